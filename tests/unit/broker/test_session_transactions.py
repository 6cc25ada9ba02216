"""Transactions of the embedded broker's clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stompy.broker.limits import Limits
from tests.unit.broker.clients import Peer, PureBroker, size

ALL = pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
NOT_10 = pytest.mark.parametrize("version", ["1.1", "1.2"])
CLIENT_MODES = pytest.mark.parametrize("mode", ["client", "client-individual"])


@pytest.fixture
def broker() -> Iterator[PureBroker]:
    with PureBroker() as broker:
        yield broker


# -- transactions ------------------------------------------------------------------------------


@ALL
def test_a_transaction_delivers_in_order_and_not_before_its_commit(broker, version):
    sender, receiver = Peer(broker, version), Peer(broker, version)
    receiver.subscribe("/queue/q")
    sender.send("BEGIN", {"transaction": "t"})
    bodies = [b"%d" % number for number in range(20)]
    for body in bodies:
        sender.message("/queue/q", body, transaction="t")
    assert receiver.bodies() == []
    sender.send("COMMIT", {"transaction": "t"})
    assert receiver.bodies() == bodies


@ALL
def test_abort_discards_what_was_sent(broker, version):
    peer = Peer(broker, version)
    peer.send("BEGIN", {"transaction": "t"})
    peer.message("/queue/q", b"no", transaction="t")
    peer.send("ABORT", {"transaction": "t"})
    peer.message("/queue/q", b"plain")
    assert broker.drain("/queue/q") == [b"plain"]


@pytest.mark.parametrize("end", ["DISCONNECT", "a lost connection"])
def test_an_open_transaction_is_aborted_by(broker, end):
    peer = Peer(broker)
    peer.send("BEGIN", {"transaction": "t"})
    peer.message("/queue/q", b"no", transaction="t")
    if end == "DISCONNECT":
        peer.send("DISCONNECT", {})
    peer.lose()
    assert broker.drain("/queue/q") == []


def test_two_open_transactions_do_not_mix(broker):
    peer = Peer(broker)
    for transaction in ("a", "b"):
        peer.send("BEGIN", {"transaction": transaction})
    for number in range(4):
        transaction = "ab"[number % 2]
        peer.message("/queue/q", f"{transaction}{number}".encode(), transaction=transaction)
    peer.send("ABORT", {"transaction": "a"})
    peer.send("COMMIT", {"transaction": "b"})
    assert broker.drain("/queue/q") == [b"b1", b"b3"]


@pytest.mark.parametrize("end", ["COMMIT", "ABORT"])
def test_a_transaction_id_is_free_again_after(broker, end):
    peer = Peer(broker)
    for _ in range(3):
        peer.send("BEGIN", {"transaction": "t"})
        assert peer.send(end, {"transaction": "t"}) == []
    assert not peer.closing


@pytest.mark.parametrize(("end", "left"), [("COMMIT", []), ("ABORT", [b"a"])])
@ALL
def test_an_ack_counts_when_its_transaction_is_committed(broker, version, end, left):
    peer = Peer(broker, version)
    peer.subscribe("/queue/q", ack="client")
    (message,) = peer.message("/queue/q", b"a")
    peer.send("BEGIN", {"transaction": "t"})
    peer.send("ACK", {**peer.names(message), "transaction": "t"})
    peer.send(end, {"transaction": "t"})
    peer.lose()
    assert broker.drain("/queue/q") == left


@pytest.mark.parametrize("again", ["ACK", "NACK"])
@pytest.mark.parametrize("first", ["ACK", "NACK"])
@ALL
def test_what_an_open_transaction_has_answered_cannot_be_answered_again(
    broker, version, first, again
):
    peer = Peer(broker, version)
    peer.subscribe("/queue/q", ack="client")
    (message,) = peer.message("/queue/q", b"a")
    peer.send("BEGIN", {"transaction": "t"})
    assert peer.answer(first, message, transaction="t") == []
    (error,) = peer.answer(again, message, transaction="t")
    assert error["message"] == f"{again} of an unknown message"
    assert "also in a transaction that is open" in error.text
    assert broker.drain("/queue/q") == [b"a"]


def test_what_a_cumulative_ack_in_a_transaction_covers_is_answered_too(broker):
    peer = Peer(broker)
    peer.subscribe("/queue/q", ack="client")
    first, second = (peer.message("/queue/q", body)[0] for body in (b"a", b"b"))
    peer.send("BEGIN", {"transaction": "t"})
    assert peer.answer("ACK", second, transaction="t") == []
    assert peer.answer("ACK", first)[0].Command == "ERROR"


def test_what_is_wrong_in_a_transaction_is_said_at_once_and_nothing_of_it_has_an_effect(broker):
    peer = Peer(broker)
    peer.octets(
        b"BEGIN\ntransaction:t\n\n\0SEND\ndestination:/queue/q\ntransaction:t\n\na\0"
        b"ACK\nid:never,1\ntransaction:t\n\n\0COMMIT\ntransaction:t\n\n\0"
    )
    assert peer.closing
    assert broker.drain("/queue/q") == []


@ALL
def test_a_nack_counts_when_its_transaction_is_committed(broker, version):
    peer = Peer(broker, version)
    peer.subscribe("/queue/q", ack="client")
    (message,) = peer.message("/queue/q", b"a")
    peer.send("BEGIN", {"transaction": "t"})
    assert peer.answer("NACK", message, transaction="t") == []
    (again,) = peer.send("COMMIT", {"transaction": "t"})
    assert (again.Body, again["redelivered"]) == (b"a", "true")


@CLIENT_MODES
@NOT_10
def test_abort_restores_acknowledgements_so_that_they_may_be_made_in_order(broker, version, mode):
    peer = Peer(broker, version)
    peer.subscribe("/queue/q", ack=mode)
    messages = [peer.message("/queue/q", body)[0] for body in (b"a", b"b", b"c", b"d")]
    peer.send("BEGIN", {"transaction": "t"})
    for place in (1, 2):
        assert peer.answer("ACK", messages[place], transaction="t") == []
    assert peer.send("ABORT", {"transaction": "t"}) == []
    peer.answer("ACK", messages[1])  # in client mode a too
    peer.answer("ACK", messages[2])
    peer.lose()
    assert broker.drain("/queue/q") == ([b"d"] if mode == "client" else [b"a", b"d"])


def test_after_abort_an_ack_covers_what_it_would_have_without_the_transaction(broker):
    peer = Peer(broker)
    peer.subscribe("/queue/q", ack="client")
    messages = [peer.message("/queue/q", body)[0] for body in (b"a", b"b", b"c", b"d")]
    for transaction in ("t", "u"):
        peer.send("BEGIN", {"transaction": transaction})
    peer.answer("ACK", messages[0], transaction="t")
    peer.answer("ACK", messages[1], transaction="u")
    peer.send("ABORT", {"transaction": "t"})
    peer.send("ABORT", {"transaction": "u"})
    peer.answer("ACK", messages[2])
    peer.lose()
    assert broker.drain("/queue/q") == [b"d"]


@CLIENT_MODES
@ALL
def test_what_a_transaction_has_answered_counts_for_prefetch_until_its_commit(
    broker, version, mode
):
    peer, sender = Peer(broker, version), Peer(broker)
    peer.subscribe("/queue/q", ack=mode, **{"prefetch-count": "2"})
    for body in (b"a", b"b", b"c", b"d"):
        sender.message("/queue/q", body)
    first, second = peer.take()
    peer.send("BEGIN", {"transaction": "t"})
    peer.answer("ACK", first, transaction="t")
    assert peer.answer("ACK", second, transaction="t") == []
    assert [frame.Body for frame in peer.send("COMMIT", {"transaction": "t"})] == [b"c", b"d"]


@pytest.mark.parametrize(
    ("end", "left"), [("COMMIT", [b"b"]), ("ABORT", [b"a", b"b"]), ("lost", [b"a", b"b"])]
)
@ALL
def test_a_subscription_may_end_before_the_transaction_that_its_ack_is_in(
    broker, version, end, left
):
    peer = Peer(broker, version)
    peer.subscribe("/queue/q", ack="client-individual")
    (message,) = peer.message("/queue/q", b"a")
    peer.message("/queue/q", b"b")
    peer.send("BEGIN", {"transaction": "t"})
    peer.answer("ACK", message, transaction="t")
    peer.send("UNSUBSCRIBE", {"id": "1"})
    if end == "lost":
        peer.lose()
    else:
        assert peer.send(end, {"transaction": "t"}) == []
    assert not peer.closing or end == "lost"
    assert broker.drain("/queue/q") == left


@pytest.mark.parametrize("end", ["COMMIT", "ABORT"])
def test_an_ack_to_a_topic_may_outlive_its_subscription_and_harms_no_other(broker, end):
    peer, other = Peer(broker), Peer(broker)
    peer.subscribe("/topic/t", ack="client")
    (message,) = peer.message("/topic/t", b"a")
    peer.send("BEGIN", {"transaction": "t"})
    peer.answer("ACK", message, transaction="t")
    peer.send("UNSUBSCRIBE", {"id": "1"})
    other.subscribe("/topic/t")
    assert peer.send(end, {"transaction": "t"}) == []
    peer.message("/topic/t", b"b")
    assert other.bodies() == [b"b"]
    other.send("UNSUBSCRIBE", {"id": "1"})
    assert not other.closing


def test_a_message_that_was_refused_too_often_may_be_moved_after_its_subscription_has_ended():
    with PureBroker(Limits(max_deliveries=1)) as broker:
        peer = Peer(broker)
        peer.subscribe("/queue/q", ack="client")
        (message,) = peer.message("/queue/q", b"a")
        peer.send("BEGIN", {"transaction": "t"})
        peer.answer("NACK", message, transaction="t")
        peer.send("UNSUBSCRIBE", {"id": "1"})
        assert peer.send("COMMIT", {"transaction": "t"}) == []
        assert broker.drain("/queue/DLQ.q") == [b"a"]
        assert broker.drain("/queue/q") == []


def test_what_was_sent_and_answered_in_a_transaction_happens_in_that_order(broker):
    peer, other = Peer(broker), Peer(broker)
    peer.subscribe("/queue/in", ack="client")
    other.subscribe("/queue/out")
    peer.send("BEGIN", {"transaction": "t"})
    for number in range(3):
        (request,) = peer.message("/queue/in", b"%d" % number)
        peer.message("/queue/out", b"done %d" % number, transaction="t")
        peer.answer("ACK", request, transaction="t")
    assert other.take() == []
    peer.send("COMMIT", {"transaction": "t"})
    assert other.bodies() == [b"done 0", b"done 1", b"done 2"]
    peer.lose()
    assert broker.drain("/queue/in") == []


def test_a_client_is_lost_with_several_open_transactions(broker):
    peer = Peer(broker)
    peer.subscribe("/queue/q", ack="client-individual")
    messages = [peer.message("/queue/q", body)[0] for body in (b"a", b"b", b"c", b"d")]
    for transaction, message in zip("tuv", messages, strict=False):
        peer.send("BEGIN", {"transaction": transaction})
        command = "NACK" if transaction == "u" else "ACK"
        peer.answer(command, message, transaction=transaction)
        peer.message("/queue/q", b"never", transaction=transaction)
    peer.lose()
    assert broker.drain("/queue/q") == [b"a", b"b", b"c", b"d"]
    assert broker.octets == 0


@pytest.mark.parametrize("end", ["COMMIT", "ABORT", "lost"])
@pytest.mark.parametrize("destination", ["/queue/q", "/topic/t", "/temp-queue/x"])
def test_what_a_transaction_holds_counts_for_memory(broker, destination, end):
    peer = Peer(broker)
    peer.send("BEGIN", {"transaction": "t"})
    for _ in range(3):
        peer.message(destination, b"abc", transaction="t")
    assert broker.octets == 3 * size("abc")
    if end == "lost":
        peer.lose()
    else:
        peer.send(end, {"transaction": "t"})
    stays = end == "COMMIT" and destination != "/topic/t"
    assert broker.octets == (3 * size("abc") if stays else 0)


def test_a_commit_finds_room_whatever_was_sent_since():
    with PureBroker(Limits(max_queue=2 * size("a"))) as broker:
        peer, other = Peer(broker), Peer(broker)
        peer.send("BEGIN", {"transaction": "t"})
        peer.message("/queue/q", b"a", transaction="t")
        other.message("/queue/q", b"b")
        assert other.message("/queue/q", b"c")[0]["message"] == "no room"
        assert peer.send("COMMIT", {"transaction": "t"}) == []
        assert broker.drain("/queue/q") == [b"b", b"a"]


def test_what_abort_gives_back_of_an_ended_subscription_comes_in_order(broker):
    peer, other = Peer(broker), Peer(broker)
    peer.subscribe("/queue/q", id="s", ack="client-individual")
    peer.send("BEGIN", {"transaction": "t"})
    for body in (b"1", b"2", b"3"):
        (message,) = peer.message("/queue/q", body)
        peer.answer("ACK", message, transaction="t")
    peer.send("UNSUBSCRIBE", {"id": "s"})
    other.subscribe("/queue/q")
    peer.send("ABORT", {"transaction": "t"})
    assert other.bodies() == [b"1", b"2", b"3"]


def test_what_a_lost_client_held_and_what_it_had_claimed_comes_in_order(broker):
    peer, other = Peer(broker), Peer(broker)
    for id in ("s", "t"):
        peer.subscribe("/queue/q", id=id, ack="client-individual")
    held, claimed = [peer.message("/queue/q", body)[0] for body in (b"1", b"2")]
    peer.send("BEGIN", {"transaction": "t"})
    peer.answer("ACK", claimed, transaction="t")
    peer.send("UNSUBSCRIBE", {"id": claimed["subscription"]})
    other.subscribe("/queue/q")
    assert held["subscription"] != claimed["subscription"]
    peer.session.end("lost")
    assert other.bodies() == [b"1", b"2"]
