"""Subscriptions of the embedded broker's clients, and what they acknowledge."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from stompy import wire
from stompy.broker.limits import Limits
from tests.unit.broker.clients import Peer, PureBroker

ALL = pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
NOT_10 = pytest.mark.parametrize("version", ["1.1", "1.2"])
CLIENT_MODES = pytest.mark.parametrize("mode", ["client", "client-individual"])


@pytest.fixture
def broker() -> Iterator[PureBroker]:
    with PureBroker() as broker:
        yield broker


# -- subscriptions -----------------------------------------------------------------------------


@ALL
def test_unsubscribe_ends_that_subscription_only(broker, version):
    peer = Peer(broker, version)
    peer.subscribe("/topic/a", id="a")
    peer.subscribe("/topic/b", id="b")
    peer.send("UNSUBSCRIBE", {"id": "a", "destination": "/topic/a"})
    peer.message("/topic/a", b"a")
    assert [frame["subscription"] for frame in peer.message("/topic/b", b"b")] == ["b"]


@ALL
def test_a_subscription_id_is_free_again_after_unsubscribe(broker, version):
    peer = Peer(broker, version)
    peer.subscribe("/topic/a")
    peer.send("UNSUBSCRIBE", {"id": "1", "destination": "/topic/a"})
    peer.subscribe("/topic/b")
    assert [frame.Body for frame in peer.message("/topic/b", b"b")] == [b"b"]


def test_two_connections_may_use_the_same_subscription_id(broker):
    one, other = Peer(broker), Peer(broker)
    one.subscribe("/topic/t")
    other.subscribe("/topic/t")
    Peer(broker).message("/topic/t", b"a")
    assert (one.bodies(), other.bodies()) == ([b"a"], [b"a"])


def test_in_1_0_a_subscription_needs_no_id_and_ends_by_its_destination(broker):
    peer = Peer(broker, "1.0")
    peer.send("SUBSCRIBE", {"destination": "/topic/t"})
    assert [frame.Body for frame in peer.message("/topic/t", b"a")] == [b"a"]
    peer.send("UNSUBSCRIBE", {"destination": "/topic/t"})
    assert peer.message("/topic/t", b"b") == []
    assert not peer.closing


def test_in_1_0_a_message_names_its_subscription_only_when_that_has_an_id(broker):
    peer = Peer(broker, "1.0")
    peer.send("SUBSCRIBE", {"destination": "/topic/t"})
    assert "subscription" not in peer.message("/topic/t", b"a")[0]


@pytest.mark.parametrize("id", ["", " ", "a,b", "a:b", "\na\n", "100%", "%d", "%%s,"])
@NOT_10
def test_a_subscription_id_may_be_any_text(broker, version, id):
    peer = Peer(broker, version)
    peer.subscribe("/queue/q", id=id, ack="client")
    (message,) = peer.message("/queue/q", b"a")
    assert message["subscription"] == id
    assert peer.send("ACK", {**peer.names(message), "receipt": "r"})[0].Command == "RECEIPT"
    peer.send("UNSUBSCRIBE", {"id": id})
    assert not peer.closing


def test_in_1_0_a_destination_has_one_subscription_without_an_id(broker):
    peer = Peer(broker, "1.0")
    peer.send("SUBSCRIBE", {"destination": "/topic/t"})
    assert peer.send("SUBSCRIBE", {"destination": "/topic/t", "id": "1"}) == []
    (error,) = peer.send("SUBSCRIBE", {"destination": "/topic/t"})
    assert (error.Command, error["message"]) == ("ERROR", "subscription id in use")


def test_several_1_0_subscriptions_without_id_do_not_mix(broker):
    peer = Peer(broker, "1.0")
    peer.send("SUBSCRIBE", {"destination": "/topic/a"})
    peer.send("SUBSCRIBE", {"destination": "/topic/b"})
    peer.send("UNSUBSCRIBE", {"destination": "/topic/a"})
    assert peer.message("/topic/a", b"a") == []
    assert [frame.Body for frame in peer.message("/topic/b", b"b")] == [b"b"]


def test_prefetch_count_bounds_what_is_unacknowledged(broker):
    peer = Peer(broker)
    peer.subscribe("/queue/q", ack="client-individual", **{"prefetch-count": "2"})
    for body in (b"a", b"b", b"c"):
        peer.give(wire.encode("SEND", {"destination": "/queue/q"}, body))
    first, _ = peer.take()
    assert [frame.Body for frame in peer.answer("ACK", first)] == [b"c"]


def test_a_prefetch_count_of_0_bounds_nothing(broker):
    peer = Peer(broker)
    assert peer.subscribe("/queue/q", **{"prefetch-count": "0"}) == []
    assert [frame.Body for frame in peer.message("/queue/q", b"a")] == [b"a"]


@pytest.mark.parametrize("count", ["", "many", "-1", "\u0665", "9" * 5000])
def test_a_prefetch_count_that_is_no_number_is_refused(broker, count):
    (error,) = Peer(broker).subscribe("/queue/q", **{"prefetch-count": count})
    assert error["message"] == "malformed prefetch-count"


# -- acknowledgement ---------------------------------------------------------------------------


@ALL
def test_in_auto_mode_what_was_sent_is_consumed(broker, version):
    peer = Peer(broker, version)
    peer.subscribe("/queue/q")
    peer.message("/queue/q", b"a")
    peer.lose()
    assert broker.drain("/queue/q") == []


@CLIENT_MODES
@ALL
def test_what_was_not_acknowledged_comes_again_and_says_so(broker, version, mode):
    peer = Peer(broker, version)
    peer.subscribe("/queue/q", ack=mode)
    peer.message("/queue/q", b"a")
    peer.lose()
    (message,) = Peer(broker, version).subscribe("/queue/q")
    assert (message.Body, message["redelivered"]) == (b"a", "true")


@pytest.mark.parametrize(
    ("mode", "left"), [("client", [b"d"]), ("client-individual", [b"a", b"b", b"d"])]
)
@NOT_10
def test_the_mode_says_what_an_ack_covers(broker, version, mode, left):
    peer = Peer(broker, version)
    peer.subscribe("/queue/q", ack=mode)
    messages = [peer.message("/queue/q", body)[0] for body in (b"a", b"b", b"c", b"d")]
    assert peer.answer("ACK", messages[2]) == []
    peer.lose()
    assert broker.drain("/queue/q") == left


def test_in_1_0_an_ack_names_the_message_alone(broker):
    peer = Peer(broker, "1.0")
    peer.send("SUBSCRIBE", {"destination": "/queue/q", "ack": "client"})
    (message,) = peer.message("/queue/q", b"a")
    peer.send("ACK", {"message-id": message["message-id"]})
    peer.lose()
    assert broker.drain("/queue/q") == []


@NOT_10
def test_a_nack_in_client_mode_brings_back_what_it_covers(broker, version):
    peer = Peer(broker, version)
    peer.subscribe("/queue/q", ack="client")
    messages = [peer.message("/queue/q", body)[0] for body in (b"a", b"b", b"c")]
    again = peer.answer("NACK", messages[1])
    assert [(frame.Body, frame["redelivered"]) for frame in again] == [
        (b"a", "true"),
        (b"b", "true"),
    ]


def test_a_topic_message_of_two_subscriptions_is_acknowledged_for_each(broker):
    peer = Peer(broker)
    peer.subscribe("/topic/t", id="1", ack="client")
    peer.subscribe("/topic/t", id="2", ack="client")
    first, second = peer.message("/topic/t", b"a")
    assert first["ack"] != second["ack"]
    peer.answer("ACK", first)
    peer.answer("ACK", second)
    assert not peer.closing


def test_in_1_0_an_ack_of_a_topics_message_counts_for_one_subscription_after_the_other(broker):
    peer = Peer(broker, "1.0")
    for id in ("1", "2"):
        peer.subscribe("/topic/t", id=id, ack="client")
    message, _ = peer.message("/topic/t", b"a")
    assert peer.answer("ACK", message) == []
    assert peer.answer("ACK", message) == []
    assert peer.answer("ACK", message)[0].Command == "ERROR"


@pytest.mark.parametrize("command", ["ACK", "NACK"])
@ALL
def test_a_message_is_answered_once(broker, version, command):
    peer = Peer(broker, version)
    peer.subscribe("/topic/t", ack="client-individual")
    (message,) = peer.message("/topic/t", b"a")
    assert peer.answer(command, message) == []
    (error,) = peer.answer(command, message)
    assert error["message"] == f"{command} of an unknown message"


@pytest.mark.parametrize(
    "id", ["", ",", "1", "1,", ",1", "1,x", "1, 1", "1,1,1", "1,01", "1,\u0661"]
)
def test_an_ack_id_that_nobody_was_given_is_refused(broker, id):
    peer = Peer(broker)
    peer.subscribe("/queue/q", ack="client")
    peer.message("/queue/q", b"a")
    assert peer.send("ACK", {"id": id})[0]["message"] == "ACK of an unknown message"
    assert broker.drain("/queue/q") == [b"a"]


@ALL
def test_there_may_have_been_any_number_of_messages(broker, version):
    broker.destinations._numbers = itertools.count(10**12)
    peer = Peer(broker, version)
    peer.subscribe("/queue/q", ack="client")
    (message,) = peer.message("/queue/q", b"a")
    assert peer.answer("ACK", message) == []
    peer.lose()
    assert broker.drain("/queue/q") == []


def test_a_client_cannot_acknowledge_for_another(broker):
    one, other = Peer(broker), Peer(broker)
    one.subscribe("/queue/q", ack="client")
    other.subscribe("/queue/other", ack="client")
    (message,) = one.message("/queue/q", b"a")
    assert other.answer("ACK", message)[0].Command == "ERROR"
    one.lose()
    assert broker.drain("/queue/q") == [b"a"]


def test_two_subscriptions_of_one_client_to_one_queue_end_in_order(broker):
    peer, other = Peer(broker), Peer(broker)
    peer.subscribe("/queue/q", id="1", ack="client")
    peer.subscribe("/queue/q", id="2", ack="client-individual")
    for body in (b"a", b"b", b"c", b"d"):
        peer.message("/queue/q", body)
    other.subscribe("/queue/q")
    peer.lose()
    assert other.bodies() == [b"a", b"b", b"c", b"d"]


@ALL
def test_what_was_refused_too_often_is_a_dead_letter_that_says_where_it_was(version):
    with PureBroker(Limits(max_deliveries=3)) as broker:
        peer = Peer(broker, version)
        peer.subscribe("/queue/q", ack="client-individual")
        (message,) = peer.message("/queue/q", b"a", colour="red")
        for _ in range(2):
            (message,) = peer.answer("NACK", message)
        assert peer.answer("NACK", message) == []
        (letter,) = peer.subscribe("/queue/DLQ.q", id="2")
        assert letter.Body == b"a"
        assert letter["original-destination"] == "/queue/q"
        assert (letter["deliveries"], letter["colour"]) == ("3", "red")
        assert "redelivered" not in letter


# -- selectors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("destination", ["/queue/q", "/topic/t"])
@ALL
def test_a_selector_chooses_messages_by_their_headers(broker, version, destination):
    peer = Peer(broker, version)
    peer.subscribe(destination, selector="colour = 'red' AND price > 10")
    for body, colour, price in ((b"a", "red", "11"), (b"b", "blue", "11"), (b"c", "red", "9")):
        peer.put("SEND", {"destination": destination, "colour": colour, "price": price}, body)
    assert peer.bodies() == [b"a"]


def test_what_a_selector_passes_over_waits_for_others(broker):
    peer = Peer(broker)
    peer.subscribe("/queue/q", selector="colour = 'red'")
    peer.message("/queue/q", b"a", colour="blue")
    peer.message("/queue/q", b"b", colour="red")
    peer.message("/queue/q", b"c")
    assert broker.drain("/queue/q") == [b"a", b"c"]


@pytest.mark.parametrize("selector", ["", " ", "\t"])
@NOT_10
def test_an_empty_selector_is_none(broker, version, selector):
    peer = Peer(broker, version)
    assert peer.subscribe("/queue/q", selector=selector) == []
    assert [frame.Body for frame in peer.message("/queue/q", b"a")] == [b"a"]


@pytest.mark.parametrize("selector", ["colour =", "colour = 'red", "(" * 5000, "x" * 100_000, "="])
@ALL
def test_what_is_no_selector_is_refused_and_the_error_says_why(broker, version, selector):
    peer = Peer(broker, version)
    (error,) = peer.octets(
        wire.encode(
            "SUBSCRIBE",
            {"id": "1", "destination": "/queue/q", "selector": selector[:60_000]},
            version=version,
        )
    )
    assert error["message"] == "malformed selector"
    assert len(error.text) > 60
    assert broker.destinations.described() == []


def test_in_1_0_an_ack_means_the_subscription_that_it_names(broker):
    peer = Peer(broker, "1.0")
    for id in ("one", "other"):
        peer.subscribe("/topic/t", id, ack="client", **{"prefetch-count": "1"})
    first = {frame["subscription"]: frame for frame in peer.message("/topic/t", b"1")}
    assert peer.message("/topic/t", b"2") == []
    (second,) = peer.answer("ACK", first["other"], subscription="other")
    assert (second["subscription"], second.Body) == ("other", b"2")
