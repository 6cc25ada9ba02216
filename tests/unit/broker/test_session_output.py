"""What the embedded broker has for a client, and how much of it at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stompy.broker.limits import Limits
from stompy.broker.outbox import SHARED_SIZE
from stompy.broker.session import UNREAD_LIMIT
from tests.unit.broker.clients import Peer, PureBroker, place, size


@pytest.fixture
def broker() -> Iterator[PureBroker]:
    with PureBroker() as broker:
        yield broker


# -- what the server is told -------------------------------------------------------------------


def test_the_server_is_told_when_there_is_output_for_another_client(broker):
    sender, receiver = Peer(broker), Peer(broker)
    receiver.subscribe("/topic/t")
    before = receiver.outputs
    sender.message("/topic/t", b"a")
    assert receiver.outputs > before
    assert receiver.bodies() == [b"a"]
    assert receiver.output() == b""


def test_the_end_of_a_session_may_be_told_twice(broker):
    peer = Peer(broker)
    peer.subscribe("/queue/q", ack="client")
    peer.message("/queue/q", b"a")
    peer.lose()
    peer.lose()
    assert broker.drain("/queue/q") == [b"a"]


def test_the_queues_of_a_session_do_not_come_back_to_it_at_its_end(broker):
    peer = Peer(broker)
    peer.subscribe("/queue/q", id="1")
    peer.subscribe("/queue/q", id="2", ack="client")
    peer.message("/queue/q", b"for 1")
    peer.message("/queue/q", b"for 2")
    peer.lose()
    assert peer.output() == b""
    assert broker.drain("/queue/q") == [b"for 2"]


# -- a client that does not read -----------------------------------------------------------------


def fill(broker: PureBroker, destination: str, count: int) -> list[bytes]:
    """Send so many messages of 100 kB; returns their bodies."""
    sender = Peer(broker)
    bodies = [b"%03d" % number + bytes(99_997) for number in range(count)]
    for body in bodies:
        sender.message(destination, body, **{"content-length": str(len(body))})
    return bodies


def test_a_client_that_does_not_read_gets_no_more_than_the_limit_of_a_queue(broker):
    slow = Peer(broker)
    slow.subscribe("/queue/q")
    bodies = fill(broker, "/queue/q", 30)
    assert UNREAD_LIMIT <= slow.session.outbox.size < UNREAD_LIMIT + 101_000
    assert not slow.session.ready
    assert place(broker.destinations, "/queue/q")["waiting"] == 19
    assert slow.bodies() == bodies


def test_what_a_client_does_not_read_goes_to_another(broker):
    slow, quick = Peer(broker), Peer(broker)
    slow.subscribe("/queue/q")
    fill(broker, "/queue/q", 15)
    assert len(quick.subscribe("/queue/q")) == 4
    assert len(slow.bodies()) == 11


def test_it_gets_more_when_half_of_that_is_read(broker):
    slow = Peer(broker)
    slow.subscribe("/queue/q")
    fill(broker, "/queue/q", 30)
    while slow.session.outbox.size - 100_000 >= UNREAD_LIMIT // 2:
        slow.read(100_000)
        assert not slow.session.ready
        assert place(broker.destinations, "/queue/q")["waiting"] == 19
    slow.read(100_000)
    assert slow.session.outbox.size >= UNREAD_LIMIT
    assert int(str(place(broker.destinations, "/queue/q")["waiting"])) < 19


def test_of_a_topic_it_gets_in_order_what_was_kept(broker):
    slow = Peer(broker)
    slow.subscribe("/topic/t")
    bodies = fill(broker, "/topic/t", 30)
    assert slow.session.described()["waiting"] == 19
    assert broker.destinations.kept.octets == 19 * size("x" * 100_000)
    assert slow.bodies() == bodies
    assert (broker.destinations.kept.octets, slow.session.described()["dropped"]) == (0, 0)


def test_of_a_topic_it_misses_the_oldest_of_what_is_too_much():
    with PureBroker(Limits(max_backlog=5 * size("x" * 100_000))) as broker:
        slow, quick = Peer(broker), Peer(broker)
        slow.subscribe("/topic/t")
        quick.subscribe("/topic/t")
        bodies = []
        for number in range(30):
            bodies.append(b"%03d" % number + b"x" * 99_997)
            quick.message("/topic/t", bodies[-1])
        assert slow.session.described()["dropped"] == 14
        assert slow.bodies() == bodies[:11] + bodies[-5:]
        assert broker.events("dropping") == [
            ("/topic/t", "the client does not keep up with the topic")
        ]


def test_what_is_no_message_is_written_all_the_same(broker):
    slow = Peer(broker)
    slow.subscribe("/queue/q")
    fill(broker, "/queue/q", 15)
    slow.put("BEGIN", {"transaction": "t", "receipt": "r"})
    assert [frame.Command for frame in slow.take()] == ["MESSAGE"] * 11 + ["RECEIPT"] + [
        "MESSAGE"
    ] * 4


def test_a_busy_subscription_does_not_starve_the_others_of_a_slow_client(broker):
    slow = Peer(broker)
    for number in range(3):
        slow.subscribe(f"/queue/{number}", id=str(number))
    fill(broker, "/queue/0", 100)
    fill(broker, "/queue/1", 20)
    fill(broker, "/queue/2", 20)
    order = "".join(frame["subscription"] for frame in slow.take())
    assert len(order) == 140
    assert order.rindex("1") < 80
    assert order.rindex("2") < 80


def test_the_server_is_told_anew_of_what_was_held_back(broker):
    slow = Peer(broker)
    slow.subscribe("/queue/q")
    fill(broker, "/queue/q", 30)
    before = slow.outputs
    slow.read(10**9)
    assert slow.outputs == before + 1
    assert slow.session.outbox.size


def test_after_its_end_a_client_gets_nothing_more_though_it_reads(broker):
    slow = Peer(broker)
    slow.subscribe("/queue/q")
    bodies = fill(broker, "/queue/q", 30)
    slow.put("DISCONNECT", {"receipt": "r"})
    frames = slow.take()
    assert [frame.Body for frame in frames] == [*bodies[:11], b""]
    assert frames[-1]["receipt-id"] == "r"
    assert broker.drain("/queue/q") == bodies[11:]


# -- large bodies --------------------------------------------------------------------------------


def test_a_large_body_is_shared_by_all_its_receivers(broker):
    receivers = [Peer(broker, version) for version in ("1.0", "1.1", "1.2")]
    for receiver in receivers:
        receiver.subscribe("/topic/t")
    body = bytes(range(256)) * 1000
    Peer(broker).message("/topic/t", body, **{"content-length": str(len(body))})
    pieces = [receiver.session.take_output(10**9, broker.now) for receiver in receivers]
    views = [piece for of in pieces for piece in of if isinstance(piece, memoryview)]
    assert len(views) == 3
    assert len({id(view.obj) for view in views}) == 1
    assert [b"".join(of).count(body) for of in pieces] == [1, 1, 1]


@pytest.mark.parametrize("length", [0, 1, SHARED_SIZE - 1, SHARED_SIZE, 1_000_000])
@pytest.mark.parametrize("whole", [False, True])
def test_a_body_of_any_length_arrives_in_whole_frames_and_in_pieces(broker, length, whole):
    receiver = Peer(broker, whole_frames=whole)
    receiver.subscribe("/queue/q")
    body = bytes(length)
    Peer(broker).message("/queue/q", body, **{"content-length": str(length)})
    (message,) = receiver.take()
    assert message.Body == body
    assert message["content-length"] == str(length)


def test_where_whole_frames_are_wanted_each_piece_is_one(broker):
    receiver = Peer(broker, whole_frames=True)
    receiver.subscribe("/queue/q")
    for length in (10, 500_000, 20):
        Peer(broker).message("/queue/q", b"x" * length)
    pieces = receiver.session.take_output(10**9, broker.now)
    assert len(pieces) == 3
    assert all(piece[:7] == b"MESSAGE" and piece[-1] == 0 for piece in pieces)


# -- the end of the broker -----------------------------------------------------------------------


def test_when_the_broker_stops_a_client_gets_all_that_topics_have_kept_for_it(broker):
    slow = Peer(broker)
    slow.subscribe("/topic/t", id="t")
    slow.subscribe("/queue/q", id="q")
    bodies = fill(broker, "/topic/t", 40)
    Peer(broker).message("/queue/q", b"stays")
    slow.session.finish()
    assert slow.closing
    assert slow.bodies() == bodies
    assert broker.drain("/queue/q") == [b"stays"]
    assert broker.events("disconnected")[0] == ("", "the broker stops")


def test_when_the_broker_stops_it_waits_for_no_ack(broker):
    peer = Peer(broker)
    peer.subscribe("/topic/t", ack="client", **{"prefetch-count": "2"})
    for body in (b"a", b"b", b"c", b"d"):
        peer.put("SEND", {"destination": "/topic/t"}, body)
    peer.session.finish()
    assert peer.closing
    assert peer.bodies() == [b"a", b"b"]


def test_a_session_that_has_ended_may_be_finished(broker):
    peer = Peer(broker)
    peer.lose()
    peer.session.finish()
    assert peer.output() == b""
    assert broker.events("disconnected") == [("", "the connection is lost")]


# -- what it is doing ----------------------------------------------------------------------------


def test_a_session_is_described_as_plain_data(broker):
    peer = Peer(broker, headers={"login": "me"})
    peer.subscribe("/queue/q", id="1", ack="client")
    peer.subscribe("/topic/t", id="2")
    peer.send("BEGIN", {"transaction": "t"})
    for body in (b"a", b"b", b"c"):
        peer.message("/queue/q", body)
    peer.put("ACK", {"id": "1,2", "transaction": "t"})
    peer.put("BEGIN", {"transaction": "u", "receipt": "r"})
    described = peer.session.described()
    octets = [described.pop(name) for name in ("octets_received", "octets_sent")]
    assert described == {
        "client": "1",
        "login": "me",
        "version": "1.2",
        "heart_beat": (0, 0),
        "subscriptions": ["/queue/q", "/topic/t"],
        "unacknowledged": 3,
        "waiting": 0,
        "dropped": 0,
        "transactions": 2,
        "unsent": len(b"RECEIPT\nreceipt-id:r\n\n\0"),
        "frames_received": 9,
        "frames_sent": 5,
    }
    assert all(octets)


def test_before_connect_little_is_known_of_a_client(broker):
    described = Peer(broker, None).session.described()
    assert (described["login"], described["version"], described["frames_sent"]) == ("", "", 0)


def test_octets_are_counted_as_they_come_and_go(broker):
    peer = Peer(broker, None)
    frame = b"\nCONNECT\naccept-version:1.2\n\n\0"
    peer.give(frame)
    assert peer.session.octets_received == len(frame)
    assert peer.session.octets_sent == 0 < peer.session.outbox.size
    output = peer.output()
    assert peer.session.octets_sent == len(output)


def test_the_log_has_the_doings_of_a_client_in_order(broker):
    peer = Peer(broker, headers={"login": "me", "passcode": "geheim"})
    peer.subscribe("/queue/q")
    peer.send("UNSUBSCRIBE", {"id": "1"})
    peer.send("FROBNICATE", {})
    events = [
        (event["client"], event["event"], event["destination"], event["detail"])
        for event in broker.log.events()
    ]
    assert events == [
        ("1", "connected", "", "STOMP 1.2"),
        ("1", "subscribed", "/queue/q", ""),
        ("1", "unsubscribed", "/queue/q", ""),
        ("1", "refused", "", "unknown command 'FROBNICATE'"),
        ("1", "disconnected", "", "unknown command 'FROBNICATE'"),
    ]
