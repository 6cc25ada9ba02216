"""What the embedded broker takes from one client: sizes, numbers and memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from stompy import AckMode, STOMPFrame, wire
from stompy.broker import commands
from stompy.broker.limits import Limits
from stompy.broker.session import MAX_FIRST_FRAME
from tests.unit.broker.clients import Peer, PureBroker, nack, send, size, subscribe

ALL = pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
QUEUE = "/queue/q"
SEND = b"SEND\ndestination:/queue/q\n"


@pytest.fixture
def broker() -> Iterator[PureBroker]:
    with PureBroker(Limits(max_body=100_000, max_headers=20, max_header_line=1000)) as broker:
        yield broker


def refused(peer: Peer, octets: bytes, says: str, title: str = "malformed frame") -> None:
    (error,) = peer.octets(octets)
    assert (error.Command, error["message"]) == ("ERROR", title)
    assert says in error.text
    assert peer.closing


# -- sizes ---------------------------------------------------------------------------------------


@ALL
def test_as_much_as_the_limits_allow_is_taken(broker, version):
    peer = Peer(broker, version)
    body = b"x" * 100_000
    peer.octets(SEND + b"content-length:100000\n\n" + body + b"\0")
    peer.octets(SEND + b"\n" + body + b"\0")
    peer.octets(SEND + b"".join(b"k%d:v\n" % number for number in range(19)) + b"\n\0")
    peer.octets(SEND + b"k:" + b"v" * 998 + b"\n\n\0")
    assert not peer.closing
    assert broker.drain(QUEUE) == [body, body, b"", b""]


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        (SEND + b"content-length:100001\n\n", "a body is longer than 100000 octets"),
        (SEND + b"content-length:99999999999999999999\n\n", "a body is longer than"),
        (SEND + b"\n" + b"x" * 100_001, "a body is longer than 100000 octets"),
        (SEND + b"k:v\n" * 20 + b"\n\0", "a frame has more than 20 headers"),
        (SEND + b"k:v\n" * 22, "a frame has more than 20 headers"),
        (SEND + b"k:" + b"v" * 999 + b"\n\n\0", "a header line is longer than 1000 octets"),
        (SEND + b"k:" + b"v" * 2000, "a header line is longer than 1000 octets"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@ALL
def test_more_is_refused_as_soon_as_it_shows(broker, version, octets, says):
    refused(Peer(broker, version), octets, says)
    assert broker.octets == 0
    assert broker.drain(QUEUE) == []


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        (b"content-length:%d\n\n" % (MAX_FIRST_FRAME + 1), "a body is longer than 65536 octets"),
        (b"\n" + b"x" * (MAX_FIRST_FRAME + 1), "a body is longer than 65536 octets"),
        (b"k:v\n" * 21, "a frame has more than 20 headers"),
        (b"k:" + b"v" * 100_000, "a header line is longer than 65536 octets"),
        (b"".join(b"k:" + b"v" * 60_000 + b"\n" for _ in range(18)), "are longer than 1048576"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_before_connect_less_is_taken(broker, octets, says):
    refused(Peer(broker, None), b"CONNECT\naccept-version:1.2\n" + octets, says)
    assert broker.octets == 0


def test_the_limits_for_who_is_let_in_hold_for_what_comes_in_the_same_portion(broker):
    peer = Peer(broker, None)
    body = b"x" * (MAX_FIRST_FRAME + 1)
    connect = b"CONNECT\naccept-version:1.2\nhost:/\n\n\0"
    (answer,) = peer.octets(connect + SEND + b"\n" + body + b"\0")
    assert answer.Command == "CONNECTED"
    assert broker.drain(QUEUE) == [body]


# -- memory --------------------------------------------------------------------------------------


def test_half_a_frame_counts_for_memory_until_it_is_whole(broker):
    peer = Peer(broker)
    half = SEND + b"content-length:50000\n\n" + b"x" * 20_000
    peer.give(half)
    assert broker.octets == len(half)
    peer.give(b"x" * 10_000)
    assert broker.octets == len(half) + 10_000
    peer.give(b"x" * 20_000 + b"\0")
    assert broker.octets == size("x" * 50_000)
    peer.give(b"SEND\nde")
    assert broker.octets == size("x" * 50_000) + 7


@pytest.mark.parametrize("end", ["lost", "error", "disconnect", "refused"])
def test_half_a_frame_is_given_back_when_its_connection(broker, end):
    peer = Peer(broker)
    peer.give(b"BEGIN\ntransaction:" if end == "error" else SEND)
    assert broker.octets > 0
    if end == "lost":
        peer.lose()
    elif end == "error":
        peer.octets(b"t\n\n\0FROBNICATE\n\n\0")
    elif end == "disconnect":
        peer.octets(b"\n\0DISCONNECT\n\n\0SEND\nde")
        broker.drain(QUEUE)
    else:
        peer.octets(b"no colon\n\n\0")
    assert peer.closing
    assert broker.octets == 0


def test_half_a_connect_counts_too(broker):
    peer = Peer(broker, None)
    peer.give(b"CONNECT\naccept")
    assert broker.octets == 14
    peer.lose()
    assert broker.octets == 0


def test_half_a_frame_for_which_there_is_no_room_is_refused():
    broker = PureBroker(Limits(max_memory=50_000))
    peer, other = Peer(broker), Peer(broker)
    other.give(SEND + b"\n" + b"x" * 20_000)
    refused(peer, SEND + b"\n" + b"x" * 40_000, "of 50,000 octets", "no room")
    assert not other.closing
    other.give(b"\0")
    other.lose()
    broker.drain(QUEUE)
    assert broker.octets == 0


def test_the_second_half_of_a_frame_gives_room_back_though_there_is_none():
    """There may be more than the limit: a dead letter takes more room than the message did."""
    with PureBroker(Limits(max_memory=3000, max_deliveries=1)) as broker:
        peer = Peer(broker)
        peer.give(b"SEND\ndestination:/topic/nobody\n")
        client, subscription = subscribe(broker.destinations, QUEUE, AckMode.ClientInd)
        send(broker.destinations, QUEUE, "x" * 2400)
        nack(broker.destinations, subscription, client.numbers[0])
        assert broker.octets > 3000
        assert peer.octets(b"\nhello\0") == []
        assert not peer.closing
        broker.destinations.unsubscribe([subscription])
        broker.drain("/queue/DLQ.q")


@pytest.mark.parametrize("limits", [Limits(max_queue=1000), Limits(max_memory=1000)])
@ALL
def test_a_message_for_which_there_is_no_room_is_refused(version, limits):
    with PureBroker(limits) as broker:
        peer = Peer(broker, version)
        assert peer.message(QUEUE, b"a") == []
        (error,) = peer.message(QUEUE, b"b", receipt="r")
        assert (error.Command, error["message"]) == ("ERROR", "no room")
        assert error["receipt-id"] == "r"
        assert "501 of 1,000 octets" in error.text
        assert peer.closing
        assert broker.drain(QUEUE) == [b"a"]
        assert Peer(broker, version).message(QUEUE, b"c", receipt="r")[0].Command == "RECEIPT"


def test_a_transaction_for_which_there_is_no_room_is_given_up_as_a_whole():
    with PureBroker(Limits(max_memory=5000)) as broker:
        peer = Peer(broker)
        peer.send("BEGIN", {"transaction": "t"})
        answers = [frame for _ in range(20) for frame in peer.message(QUEUE, b"a", transaction="t")]
        assert [frame["message"] for frame in answers] == ["no room"]
        assert broker.octets == 0
        assert broker.drain(QUEUE) == []


# -- numbers -------------------------------------------------------------------------------------


def test_a_client_has_so_many_subscriptions_and_no_more(broker, monkeypatch):
    monkeypatch.setattr(commands, "MAX_SUBSCRIPTIONS", 3)
    peer = Peer(broker)
    for number in range(3):
        assert peer.subscribe(f"/topic/{number}", id=str(number)) == []
    peer.send("UNSUBSCRIBE", {"id": "1"})
    assert peer.subscribe(QUEUE, id="again") == []
    (error,) = peer.subscribe(QUEUE, id="one more")
    assert error["message"] == "too many subscriptions"
    assert "3 at the most" in error.text
    assert broker.destinations.described() == []


def test_a_client_has_so_many_open_transactions_and_no_more(broker, monkeypatch):
    monkeypatch.setattr(commands, "MAX_TRANSACTIONS", 3)
    peer = Peer(broker)
    for number in range(3):
        assert peer.send("BEGIN", {"transaction": str(number)}) == []
    peer.send("COMMIT", {"transaction": "1"})
    assert peer.send("BEGIN", {"transaction": "again"}) == []
    (error,) = peer.send("BEGIN", {"transaction": "one more"})
    assert error["message"] == "too many transactions"


@pytest.mark.parametrize("way", ["SEND", "SUBSCRIBE", "reply-to"])
def test_a_client_has_so_many_temp_queues_and_no_more(broker, monkeypatch, way):
    monkeypatch.setattr(commands, "MAX_TEMP_QUEUES", 3)
    peer = Peer(broker)
    ids = itertools.count()

    def use(name: str) -> list[STOMPFrame]:
        if way == "SUBSCRIBE":
            return peer.subscribe(f"/temp-queue/{name}", id=str(next(ids)))
        if way == "SEND":
            return peer.message(f"/temp-queue/{name}", b"to myself")
        return peer.message("/topic/t", b"ask", **{"reply-to": f"/temp-queue/{name}"})

    for name in "abcabc":
        frames = use(name)
        assert [frame.Command for frame in frames if frame.Command != "MESSAGE"] == []
    (error,) = use("d")
    assert error["message"] == "too many temp queues"
    assert broker.destinations.described() == []


def test_the_numbers_are_those_that_the_documentation_says():
    assert commands.MAX_SUBSCRIPTIONS == 10_000
    assert commands.MAX_TRANSACTIONS == commands.MAX_TEMP_QUEUES == 1000


def test_many_frames_that_are_whole_take_no_memory_but_their_messages(broker):
    peer = Peer(broker)
    peer.give(wire.encode("SEND", {"destination": QUEUE}, b"a") * 50)
    assert broker.octets == 50 * size("a")
