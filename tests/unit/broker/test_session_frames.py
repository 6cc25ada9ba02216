"""What the embedded broker reads and writes: the grammar, and the headers of messages."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stompy import wire
from tests.unit.broker.clients import Peer, PureBroker

ALL = pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
NOT_10 = pytest.mark.parametrize("version", ["1.1", "1.2"])


@pytest.fixture
def broker() -> Iterator[PureBroker]:
    with PureBroker() as broker:
        yield broker


# -- grammar -----------------------------------------------------------------------------------


CONVERSATION = (
    b"\nSUBSCRIBE\nid:1\ndestination:/queue/q\nreceipt:r1\n\n\0\n\n"
    b"SEND\r\ndestination:/queue/q\r\ncontent-length:3\r\n\r\na\0b\0\r\n"
    b"SEND\ndestination:/queue/q\nk:\\c\\n\\r\\\\\n\nno length\0"
    b"UNSUBSCRIBE\nid:1\nreceipt:r2\n\n\0\n"
    b"DISCONNECT\nreceipt:r3\n\n\0"
    b"SEND\ndestination:/queue/q\n\ntoo late\0"
)


@settings(deadline=None)
@given(st.lists(st.integers(0, len(CONVERSATION)), max_size=12))
def test_it_does_not_matter_in_which_portions_octets_come(cuts):
    whole, portioned = Peer(PureBroker()), Peer(PureBroker())
    whole.give(CONVERSATION)
    edges = [0, *sorted(cuts), len(CONVERSATION)]
    for start, end in itertools.pairwise(edges):
        portioned.give(CONVERSATION[start:end])
    output = whole.output()
    assert portioned.output() == output
    assert output.count(b"RECEIPT") == 3
    assert output.count(b"MESSAGE") == 2


def test_octets_may_come_one_by_one(broker):
    peer = Peer(broker, None)
    for octet in b"CONNECT\naccept-version:1.2\nhost:/\n\n\0SEND\ndestination:/queue/q\n\nhello\0":
        peer.give(bytes([octet]))
    assert broker.drain("/queue/q") == [b"hello"]


def test_many_frames_in_one_portion_are_processed_in_order(broker):
    peer = Peer(broker)
    bodies = [b"%d" % number for number in range(30)]
    frames = [wire.encode("SEND", {"destination": "/queue/q"}, body) for body in bodies]
    subscribe = wire.encode("SUBSCRIBE", {"destination": "/queue/q", "id": "1"})
    assert [frame.Body for frame in peer.octets(subscribe + b"".join(frames))] == bodies


@ALL
def test_line_feeds_between_frames_are_no_frames(broker, version):
    peer = Peer(broker, version)
    assert peer.octets(b"\n" * 10) == []
    peer.octets(b"\n\n" + wire.encode("SEND", {"destination": "/queue/q"}, b"a") + b"\n\n\n")
    assert not peer.closing
    assert broker.drain("/queue/q") == [b"a"]


@pytest.mark.parametrize("body", [b"\0", b"\0a", b"a\0b", b"a\0", bytes(range(256)) * 3])
@ALL
def test_a_body_with_a_content_length_may_hold_any_octets(broker, version, body):
    sender, receiver = Peer(broker, version), Peer(broker, version)
    receiver.subscribe("/queue/q")
    sender.message("/queue/q", body, **{"content-length": str(len(body))})
    (message,) = receiver.take()
    assert message.Body == body
    assert message["content-length"] == str(len(body))


def test_a_body_that_looks_like_a_frame_stays_a_body(broker):
    body = b"\0SEND\ndestination:/queue/q\n\nfalse\0"
    Peer(broker).message("/queue/q", body, **{"content-length": str(len(body))})
    assert broker.drain("/queue/q") == [body]


@ALL
def test_a_body_without_a_content_length_ends_at_the_first_nul(broker, version):
    peer = Peer(broker, version)
    peer.octets(b"SEND\ndestination:/queue/q\n\na\0SEND\ndestination:/queue/q\n\nb\0")
    assert broker.drain("/queue/q") == [b"a", b"b"]


@pytest.mark.parametrize("length", [{}, {"content-length": "0"}])
def test_an_empty_message_is_delivered_empty(broker, length):
    Peer(broker).message("/queue/q", b"", **length)
    assert broker.drain("/queue/q") == [b""]


def test_a_body_of_a_frame_that_has_none_does_not_upset_the_stream(broker):
    peer = Peer(broker)
    peer.send("SUBSCRIBE", {"destination": "/queue/q", "id": "1"}, b"a body")
    assert [frame.Body for frame in peer.message("/queue/q", b"a")] == [b"a"]


def test_a_frame_cut_off_by_the_end_of_the_connection_is_not_processed(broker):
    peer = Peer(broker)
    peer.octets(b"SEND\ndestination:/queue/q\ncontent-length:5\n\nabc")
    peer.lose()
    assert broker.drain("/queue/q") == []


@pytest.mark.parametrize(
    "octets",
    [
        b"SEND\ndestination:/queue/q\nno colon\n\na\0",
        b"SEND\ndestination:/queue/q\ncontent-length:3\n\nabcde\0",
        b"SEND\ndestination:/queue/q\ncontent-length:abc\n\na\0",
        b"SEND\ndestination:/queue/q\ncontent-length:-5\n\na\0",
        b"SEND\ndestination:/queue/q\ncontent-length:4000000000000\n\na",
        b"SEND\ndestination:/queue/q\nk:a\\tb\n\na\0",
        b"SEND\ndestination:/queue/q\nk:a\\\n\na\0",
        b"SEND\ndestination:/queue/q\n" + b"k:v\n" * 2000 + b"\na\0",
        b"SEND\ndestination:/queue/q\nk:" + b"v" * 100_000,
        b"SEND" * 50_000,
        b"\xff\xfe\xfd\n\n\0",
    ],
    ids=lambda octets: octets[-20:].decode("ascii", "replace"),
)
def test_octets_that_are_no_frame_end_the_session_by_an_error_that_says_so(broker, octets):
    peer = Peer(broker)
    (error,) = peer.octets(octets)
    assert (error.Command, error["message"]) == ("ERROR", "malformed frame")
    assert len(error.Body) > 20
    assert peer.closing
    assert broker.drain("/queue/q") == []


def test_a_carriage_return_has_no_escape_in_1_1(broker):
    peer = Peer(broker, "1.1")
    assert peer.octets(b"SEND\ndestination:/queue/q\nk:a\\rb\n\na\0")[0].Command == "ERROR"
    assert broker.drain("/queue/q") == []


# -- headers -----------------------------------------------------------------------------------


HEADERS = {
    "plain": "value",
    "empty": "",
    " pad ": "  both sides ",
    "n\u00e4me\u2603": "\u00fcber \U0001f600",
    "co:lon": "a:b:c",
    "back\\slash": "\\n \\c \\\\",
    "line\nfeed": "a\nb",
    "content-type": "text/html;charset=utf-16",
}


@NOT_10
def test_the_headers_of_a_sender_reach_the_receiver_unchanged(broker, version):
    sent = HEADERS | ({"cr": "a\rb\r"} if version == "1.2" else {})
    receiver = Peer(broker, version)
    receiver.subscribe("/queue/q")
    Peer(broker, version).message("/queue/q", b"a", **sent)
    (message,) = receiver.take()
    assert {name: message.get(name) for name in sent} == sent


def test_a_1_0_header_is_written_as_it_came(broker):
    peer = Peer(broker, "1.0")
    peer.subscribe("/queue/q")
    peer.give(b"SEND\ndestination:/queue/q\nk:12:30:00 a\\nb\\cc\\td\n\na\0")
    assert b"\nk:12:30:00 a\\nb\\cc\\td\n" in peer.output()


@pytest.mark.parametrize(
    "header", [{"a\nb": "c"}, {"a": "b\nc"}, {"a:b": "c"}, {"a": "b\r"}, {"a\r": "b"}]
)
def test_a_header_that_1_0_cannot_write_is_left_out_and_hurts_nobody(broker, header):
    old, sender = Peer(broker, "1.0"), Peer(broker, "1.2")
    old.subscribe("/queue/q")
    assert sender.message("/queue/q", b"a", other="x", **header) == []
    assert not sender.closing
    (message,) = old.take()
    assert (message.Body, message["other"]) == (b"a", "x")


@ALL
def test_of_a_repeated_header_the_first_counts(broker, version):
    peer = Peer(broker, version)
    peer.subscribe("/queue/q")
    frames = peer.octets(
        b"SEND\ndestination:/queue/q\ndestination:/queue/no\nk:1\nk:2\n"
        b"receipt:first\nreceipt:second\n\na\0"
    )
    assert [frame.Command for frame in frames] == ["MESSAGE", "RECEIPT"]
    assert (frames[0]["k"], frames[1]["receipt-id"]) == ("1", "first")


def test_names_are_case_sensitive(broker):
    assert Peer(broker).send("send", {"destination": "/queue/q"}, b"a")[0].Command == "ERROR"
    assert Peer(broker).send("SEND", {"Destination": "/queue/q"}, b"a")[0].Command == "ERROR"
    assert broker.drain("/queue/q") == []


@ALL
def test_a_message_says_where_it_is_from_and_which_subscription_it_is_for(broker, version):
    peer = Peer(broker, version)
    peer.subscribe("/topic/a b.\u00fc", id="one: 1")
    peer.subscribe("/topic/other", id="two")
    (message,) = peer.message("/topic/a b.\u00fc", b"abc")
    assert message["destination"] == "/topic/a b.\u00fc"
    assert message["subscription"] == "one: 1"
    assert message["message-id"]
    assert message["content-length"] == "3"
    assert "redelivered" not in message
    assert "ack" not in message


def test_what_is_between_a_sender_and_the_broker_is_not_passed_on(broker):
    sender, receiver = Peer(broker), Peer(broker)
    receiver.subscribe("/queue/q")
    sender.send("BEGIN", {"transaction": "t"})
    private = {"receipt": "r", "message-id": "mine", "subscription": "x", "ack": "y"}
    sender.message("/queue/q", b"a", transaction="t", redelivered="true", **private)
    sender.send("COMMIT", {"transaction": "t"})
    (message,) = receiver.take()
    assert set(message.Headers) == {"destination", "message-id", "subscription", "content-length"}
    assert message["message-id"] != "mine"
    assert message["subscription"] == "1"


def test_a_message_of_a_topic_is_redelivered_to_none_of_its_subscribers(broker):
    peers = [Peer(broker), Peer(broker)]
    for peer in peers:
        peer.subscribe("/topic/t")
    Peer(broker).message("/topic/t", b"a")
    assert ["redelivered" in peer.take()[0] for peer in peers] == [False, False]


def test_each_message_has_its_own_headers_though_those_before_it_are_much_the_same(broker):
    peer = Peer(broker)
    peer.subscribe("/queue/a", id="a")
    peer.subscribe("/topic/b", id="b")
    sent = [
        {"destination": "/queue/a", "k": "1"},
        {"destination": "/queue/a", "k": "1", "receipt": "r"},
        {"destination": "/queue/a", "k": "1", "content-length": "1"},
        {"destination": "/topic/b", "k": "1"},
        {"destination": "/topic/b", "k": "2"},
        {"destination": "/topic/b", "k": "2"},
        {"destination": "/topic/b", "k": "2", "more": ""},
        {"destination": "/topic/b"},
        {"destination": "/queue/a"},
    ]
    for headers in sent * 3:
        peer.put("SEND", headers, b"x")
    got = [
        {name: frame[name] for name in ("destination", "k", "more") if name in frame}
        for frame in peer.take()
        if frame.Command == "MESSAGE"
    ]
    private = ("receipt", "content-length")
    public = [{n: v for n, v in headers.items() if n not in private} for headers in sent]
    assert got == public * 3


@ALL
def test_a_message_of_one_version_reaches_a_client_of_each(broker, version):
    receivers = {of: Peer(broker, of) for of in ("1.0", "1.1", "1.2")}
    for of, receiver in receivers.items():
        receiver.subscribe("/topic/t", id=of, ack="client")
    Peer(broker, version).message("/topic/t", b"a", k="1:2", path="a\\nb")
    for of, receiver in receivers.items():
        (message,) = receiver.take()
        assert (message.Body, message["k"], message["path"]) == (b"a", "1:2", "a\\nb")
        assert message["subscription"] == of
        assert ("ack" in message) == (of == "1.2")
