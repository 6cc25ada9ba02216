"""The embedded broker's side of STOMP 1.0, 1.1 and 1.2, from octets to octets."""

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stompy import STOMPFrame, wire
from stompy.broker.destinations import Destinations
from stompy.broker.session import Session

ALL = pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
NOT_10 = pytest.mark.parametrize("version", ["1.1", "1.2"])
CLIENT_MODES = pytest.mark.parametrize("mode", ["client", "client-individual"])


class Peer:
    """One client of a broker, connected by method calls. Without a version it has not connected."""

    def __init__(self, destinations: Destinations, version: str | None = "1.2") -> None:
        self.outputs = 0
        self.session = Session(destinations, self._count)
        self._decoder = wire.FrameDecoder()
        self.version = version or "1.2"
        if version is not None:
            headers = {"accept-version": version, "host": "/"}
            assert self.send("CONNECT", headers)[0].Command == "CONNECTED"

    def _count(self, session: Session) -> None:
        assert session is self.session
        self.outputs += 1

    def octets(self, data: bytes) -> list[STOMPFrame]:
        self.session.receive(data)
        return self.take()

    def send(self, command: str, headers: dict[str, str], body: bytes = b"") -> list[STOMPFrame]:
        """Send a frame; returns what has come since the last call."""
        return self.octets(wire.encode(command, headers, body, self.version))

    def message(self, destination: str, body: bytes = b"", **headers: str) -> list[STOMPFrame]:
        return self.send("SEND", {"destination": destination, **headers}, body)

    def subscribe(self, destination: str, id: str = "1", **headers: str) -> list[STOMPFrame]:
        return self.send("SUBSCRIBE", {"destination": destination, "id": id, **headers})

    def take(self) -> list[STOMPFrame]:
        self._decoder.feed(self.session.take_output())
        return list(self._decoder.frames())

    def bodies(self) -> list[bytes]:
        return [frame.Body for frame in self.take() if frame.Command == "MESSAGE"]

    @property
    def closing(self) -> bool:
        return self.session.closing


@pytest.fixture
def broker() -> Destinations:
    return Destinations()


def ack_headers(frame: STOMPFrame, version: str) -> dict[str, str]:
    if version == "1.2":
        return {"id": frame["ack"]}
    return {"message-id": frame["message-id"], "subscription": frame["subscription"]}


def drain(broker: Destinations, queue: str) -> list[bytes]:
    """The bodies that wait in a queue."""
    return [frame.Body for frame in Peer(broker).subscribe(queue) if frame.Command == "MESSAGE"]


# -- connecting ------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [b"CONNECT", b"STOMP"])
def test_connect_and_stomp_are_answered_by_connected(broker, command):
    (connected,) = Peer(broker, None).octets(command + b"\naccept-version:1.2\nhost:/\n\n\0")
    assert (connected.Command, connected["version"], connected.Body) == ("CONNECTED", "1.2", b"")


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("1.1", "1.1"),
        ("1.2", "1.2"),
        ("1.0,1.1,2.0", "1.1"),
        ("1.2,1.0,1.1", "1.2"),
        ("1.1,1.2,1.0", "1.2"),
        ("1.0, 1.1, 1.2", "1.2"),
    ],
)
def test_the_highest_common_version_is_chosen_whatever_their_order(broker, offered, chosen):
    (connected,) = Peer(broker, None).send("CONNECT", {"accept-version": offered, "host": "/"})
    assert connected["version"] == chosen


def test_a_client_that_names_no_version_speaks_1_0(broker):
    (connected,) = Peer(broker, None).octets(b"CONNECT\nlogin:me\npasscode:secret\n\n\0")
    assert connected.Command == "CONNECTED"
    assert "version" not in connected
    assert "heart-beat" not in connected


def test_without_a_common_version_error_lists_those_that_there_are(broker):
    peer = Peer(broker, None)
    (error,) = peer.send("CONNECT", {"accept-version": "9.9,10.1", "host": "/"})
    assert (error.Command, error["version"]) == ("ERROR", "1.0,1.1,1.2")
    assert b"1.0, 1.1, 1.2" in error.Body
    assert peer.closing


def test_the_first_frame_must_be_connect(broker):
    peer = Peer(broker, None)
    (error,) = peer.message("/queue/q", b"a")
    assert (error.Command, error["message"]) == ("ERROR", "not connected")
    assert peer.closing
    assert drain(broker, "/queue/q") == []


def test_a_second_connect_is_refused(broker):
    peer = Peer(broker)
    assert peer.send("CONNECT", {"accept-version": "1.2"})[0].Command == "ERROR"
    assert peer.closing


def test_two_sessions_have_different_names_and_the_server_has_one(broker):
    first, second = (Peer(broker, None).octets(b"CONNECT\n\n\0")[0] for _ in range(2))
    assert first["session"] != second["session"]
    assert re.fullmatch(r"[^\s/]+(/\S+)?( \(.*\))*", first["server"])


def test_a_backslash_in_connect_is_harmless(broker):
    peer = Peer(broker, None)
    (answer,) = peer.octets(b"CONNECT\naccept-version:1.2\nx-path:C:\\temp\\q\n\n\0")
    assert answer.Command == "CONNECTED"


@pytest.mark.parametrize("beat", ["0,500", "abc", "1000", "-1,5", "1,2,3", "10,x"])
def test_whatever_heart_beat_a_client_asks_for_it_is_told_that_there_is_none(broker, beat):
    headers = {"accept-version": "1.2", "host": "/", "heart-beat": beat}
    (connected,) = Peer(broker, None).send("CONNECT", headers)
    assert connected["heart-beat"] == "0,0"


# -- grammar ---------------------------------------------------------------------------------


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
    whole, portioned = Peer(Destinations()), Peer(Destinations())
    whole.session.receive(CONVERSATION)
    edges = [0, *sorted(cuts), len(CONVERSATION)]
    for start, end in itertools.pairwise(edges):
        portioned.session.receive(CONVERSATION[start:end])
    output = whole.session.take_output()
    assert portioned.session.take_output() == output
    assert output.count(b"RECEIPT") == 3
    assert output.count(b"MESSAGE") == 2


def test_octets_may_come_one_by_one(broker):
    peer = Peer(broker, None)
    for octet in b"CONNECT\naccept-version:1.2\nhost:/\n\n\0SEND\ndestination:/queue/q\n\nhello\0":
        peer.session.receive(bytes([octet]))
    assert drain(broker, "/queue/q") == [b"hello"]


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
    assert drain(broker, "/queue/q") == [b"a"]


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
    assert drain(broker, "/queue/q") == [body]


@ALL
def test_a_body_without_a_content_length_ends_at_the_first_nul(broker, version):
    peer = Peer(broker, version)
    peer.octets(b"SEND\ndestination:/queue/q\n\na\0SEND\ndestination:/queue/q\n\nb\0")
    assert drain(broker, "/queue/q") == [b"a", b"b"]


@pytest.mark.parametrize("length", [{}, {"content-length": "0"}])
def test_an_empty_message_is_delivered_empty(broker, length):
    Peer(broker).message("/queue/q", b"", **length)
    assert drain(broker, "/queue/q") == [b""]


def test_a_body_of_a_frame_that_has_none_does_not_upset_the_stream(broker):
    peer = Peer(broker)
    peer.send("SUBSCRIBE", {"destination": "/queue/q", "id": "1"}, b"a body")
    assert [frame.Body for frame in peer.message("/queue/q", b"a")] == [b"a"]


def test_a_frame_cut_off_by_the_end_of_the_connection_is_not_processed(broker):
    peer = Peer(broker)
    peer.octets(b"SEND\ndestination:/queue/q\ncontent-length:5\n\nabc")
    peer.session.end()
    assert drain(broker, "/queue/q") == []


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
    assert drain(broker, "/queue/q") == []


def test_a_carriage_return_has_no_escape_in_1_1(broker):
    peer = Peer(broker, "1.1")
    assert peer.octets(b"SEND\ndestination:/queue/q\nk:a\\rb\n\na\0")[0].Command == "ERROR"
    assert drain(broker, "/queue/q") == []


# -- headers ---------------------------------------------------------------------------------


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
    peer.session.receive(b"SEND\ndestination:/queue/q\nk:12:30:00 a\\nb\\cc\\td\n\na\0")
    assert b"\nk:12:30:00 a\\nb\\cc\\td\n" in peer.session.take_output()


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
    assert drain(broker, "/queue/q") == []


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


# -- subscriptions ---------------------------------------------------------------------------


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


@pytest.mark.parametrize("id", ["", " ", "a,b", "a:b", "\na\n"])
@NOT_10
def test_a_subscription_id_may_be_any_text(broker, version, id):
    peer = Peer(broker, version)
    peer.subscribe("/queue/q", id=id, ack="client")
    (message,) = peer.message("/queue/q", b"a")
    assert message["subscription"] == id
    assert (
        peer.send("ACK", {**ack_headers(message, version), "receipt": "r"})[0].Command == "RECEIPT"
    )
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
        peer.session.receive(wire.encode("SEND", {"destination": "/queue/q"}, body))
    first, _ = peer.take()
    assert [frame.Body for frame in peer.send("ACK", {"id": first["ack"]})] == [b"c"]


@pytest.mark.parametrize("count", ["0", "", "many", "-1", "\u0665", "9" * 5000])
def test_a_prefetch_count_that_bounds_nothing_is_no_failure(broker, count):
    peer = Peer(broker)
    assert peer.subscribe("/queue/q", **{"prefetch-count": count}) == []
    assert [frame.Body for frame in peer.message("/queue/q", b"a")] == [b"a"]


# -- acknowledgement -------------------------------------------------------------------------


@ALL
def test_in_auto_mode_what_was_sent_is_consumed(broker, version):
    peer = Peer(broker, version)
    peer.subscribe("/queue/q")
    peer.message("/queue/q", b"a")
    peer.session.end()
    assert drain(broker, "/queue/q") == []


@CLIENT_MODES
@ALL
def test_what_was_not_acknowledged_comes_again_and_says_so(broker, version, mode):
    peer = Peer(broker, version)
    peer.subscribe("/queue/q", ack=mode)
    peer.message("/queue/q", b"a")
    peer.session.end()
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
    assert peer.send("ACK", ack_headers(messages[2], version)) == []
    peer.session.end()
    assert drain(broker, "/queue/q") == left


def test_in_1_0_an_ack_names_the_message_alone(broker):
    peer = Peer(broker, "1.0")
    peer.send("SUBSCRIBE", {"destination": "/queue/q", "ack": "client"})
    (message,) = peer.message("/queue/q", b"a")
    peer.send("ACK", {"message-id": message["message-id"]})
    peer.session.end()
    assert drain(broker, "/queue/q") == []


@NOT_10
def test_a_nack_in_client_mode_brings_back_what_it_covers(broker, version):
    peer = Peer(broker, version)
    peer.subscribe("/queue/q", ack="client")
    messages = [peer.message("/queue/q", body)[0] for body in (b"a", b"b", b"c")]
    again = peer.send("NACK", ack_headers(messages[1], version))
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
    peer.send("ACK", {"id": first["ack"]})
    peer.send("ACK", {"id": second["ack"]})
    assert not peer.closing


# -- transactions ----------------------------------------------------------------------------


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
    assert drain(broker, "/queue/q") == [b"plain"]


@pytest.mark.parametrize("end", ["DISCONNECT", "a lost connection"])
def test_an_open_transaction_is_aborted_by(broker, end):
    peer = Peer(broker)
    peer.send("BEGIN", {"transaction": "t"})
    peer.message("/queue/q", b"no", transaction="t")
    if end == "DISCONNECT":
        peer.send("DISCONNECT", {})
    peer.session.end()
    assert drain(broker, "/queue/q") == []


def test_two_open_transactions_do_not_mix(broker):
    peer = Peer(broker)
    for transaction in ("a", "b"):
        peer.send("BEGIN", {"transaction": transaction})
    for number in range(4):
        transaction = "ab"[number % 2]
        peer.message("/queue/q", f"{transaction}{number}".encode(), transaction=transaction)
    peer.send("ABORT", {"transaction": "a"})
    peer.send("COMMIT", {"transaction": "b"})
    assert drain(broker, "/queue/q") == [b"b1", b"b3"]


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
    peer.send("ACK", {**ack_headers(message, version), "transaction": "t"})
    peer.send(end, {"transaction": "t"})
    peer.session.end()
    assert drain(broker, "/queue/q") == left


def test_a_message_may_be_acknowledged_twice_in_one_transaction(broker):
    peer = Peer(broker)
    peer.subscribe("/queue/q", ack="client")
    first, second = (peer.message("/queue/q", body)[0] for body in (b"a", b"b"))
    peer.send("BEGIN", {"transaction": "t"})
    for message in (second, first, second):  # the first ACK covers both
        peer.send("ACK", {"id": message["ack"], "transaction": "t"})
    assert peer.send("COMMIT", {"transaction": "t"}) == []
    peer.session.end()
    assert drain(broker, "/queue/q") == []


def test_a_transaction_that_cannot_be_committed_has_no_effect(broker):
    peer = Peer(broker)
    peer.octets(
        b"BEGIN\ntransaction:t\n\n\0SEND\ndestination:/queue/q\ntransaction:t\n\na\0"
        b"ACK\nid:never,1\ntransaction:t\n\n\0COMMIT\ntransaction:t\n\n\0"
    )
    assert peer.closing
    assert drain(broker, "/queue/q") == []


# -- receipts and the end --------------------------------------------------------------------


@ALL
def test_every_frame_gets_its_receipt_when_it_asks_and_only_then(broker, version):
    peer = Peer(broker, version)
    steps = [
        ("SUBSCRIBE", {"destination": "/queue/q", "id": "1", "ack": "client"}),
        ("SEND", {"destination": "/queue/none"}),
        ("BEGIN", {"transaction": "t"}),
        ("COMMIT", {"transaction": "t"}),
        ("BEGIN", {"transaction": "t"}),
        ("ABORT", {"transaction": "t"}),
        ("UNSUBSCRIBE", {"id": "1", "destination": "/queue/q"}),
    ]
    for number, (command, headers) in enumerate(steps):
        (receipt,) = peer.send(command, {**headers, "receipt": f"{number}"})
        assert (receipt.Command, receipt["receipt-id"], receipt.Body) == (
            "RECEIPT",
            f"{number}",
            b"",
        )
    for command, headers in steps:
        assert peer.send(command, headers) == []


@pytest.mark.parametrize("command", ["ACK", "NACK"])
@NOT_10
def test_an_answer_to_a_message_gets_its_receipt_too(broker, version, command):
    peer = Peer(broker, version)
    peer.subscribe("/topic/t", ack="client")
    (message,) = peer.message("/topic/t", b"a")
    (receipt,) = peer.send(command, {**ack_headers(message, version), "receipt": "r"})
    assert (receipt.Command, receipt["receipt-id"]) == ("RECEIPT", "r")


@NOT_10
def test_a_receipt_id_is_escaped_like_any_header(broker, version):
    peer = Peer(broker, version)
    peer.session.receive(b"SEND\ndestination:/queue/q\nreceipt:a\\cb\\\\c =&\xc3\xbc\n\n\0")
    assert b"\nreceipt-id:a\\cb\\\\c =&\xc3\xbc\n" in peer.session.take_output()


def test_receipts_come_in_the_order_of_the_frames(broker):
    peer = Peer(broker)
    send = {"destination": "/queue/q"}
    frames = [wire.encode("SEND", {**send, "receipt": f"{n}"}, b"a") for n in range(30)]
    receipts = peer.octets(b"".join(frames))
    assert [frame["receipt-id"] for frame in receipts] == [str(n) for n in range(30)]


@ALL
def test_disconnect_is_confirmed_and_nothing_after_it_counts(broker, version):
    peer = Peer(broker, version)
    disconnect = wire.encode("DISCONNECT", {"receipt": "bye"})
    late = wire.encode("SEND", {"destination": "/queue/q"}, b"late")
    (receipt,) = peer.octets(disconnect + late)
    assert (receipt.Command, receipt["receipt-id"]) == ("RECEIPT", "bye")
    assert peer.closing
    assert peer.octets(late) == []
    assert drain(broker, "/queue/q") == []


def test_frames_before_a_disconnect_are_processed(broker):
    peer = Peer(broker)
    sends = [wire.encode("SEND", {"destination": "/queue/q"}, b"a")] * 20
    peer.octets(b"".join(sends) + wire.encode("DISCONNECT", {}))
    assert len(drain(broker, "/queue/q")) == 20


def test_what_a_client_held_goes_to_others_when_it_disconnects(broker):
    one, other = Peer(broker), Peer(broker)
    one.subscribe("/queue/q", ack="client")
    one.message("/queue/q", b"a")
    other.subscribe("/queue/q")
    assert other.take() == []
    one.send("DISCONNECT", {})
    assert other.bodies() == [b"a"]


# -- errors ----------------------------------------------------------------------------------


REFUSED = [
    # versions, command, headers, what the message says
    ("1.0 1.1 1.2", "SEND", {}, "SEND without destination"),
    ("1.0 1.1 1.2", "SUBSCRIBE", {"id": "1"}, "SUBSCRIBE without destination"),
    ("1.1 1.2", "SUBSCRIBE", {"destination": "/queue/q"}, "SUBSCRIBE without id"),
    ("1.1 1.2", "SUBSCRIBE", {"destination": "/q", "id": "1", "ack": "sometimes"}, "sometimes"),
    ("1.1 1.2", "SUBSCRIBE", {"destination": "/q", "id": "taken"}, "subscription id in use"),
    ("1.1 1.2", "UNSUBSCRIBE", {}, "UNSUBSCRIBE without id"),
    ("1.1 1.2", "UNSUBSCRIBE", {"id": "never"}, "no such subscription"),
    ("1.0", "UNSUBSCRIBE", {"destination": "/queue/never"}, "no such subscription"),
    ("1.2", "ACK", {"message-id": "1", "subscription": "taken"}, "ACK without id"),
    ("1.1", "ACK", {"message-id": "1"}, "ACK without subscription"),
    ("1.0 1.1", "ACK", {"subscription": "taken"}, "ACK without message-id"),
    ("1.2", "ACK", {"id": "no-such-ack"}, "ACK of an unknown message"),
    ("1.2", "NACK", {"id": "no-such-ack"}, "NACK of an unknown message"),
    ("1.1", "ACK", {"message-id": "9", "subscription": "no"}, "ACK of an unknown message"),
    ("1.0 1.1 1.2", "BEGIN", {}, "BEGIN without transaction"),
    ("1.0 1.1 1.2", "COMMIT", {}, "COMMIT without transaction"),
    ("1.0 1.1 1.2", "ABORT", {}, "ABORT without transaction"),
    ("1.0 1.1 1.2", "COMMIT", {"transaction": "never"}, "no such transaction"),
    ("1.0 1.1 1.2", "ABORT", {"transaction": "never"}, "no such transaction"),
    ("1.0 1.1 1.2", "SEND", {"destination": "/q", "transaction": "never"}, "no such transaction"),
    ("1.0 1.1 1.2", "BEGIN", {"transaction": "open"}, "transaction id in use"),
    ("1.0 1.1 1.2", "FROBNICATE", {}, "unknown command 'FROBNICATE'"),
]


@pytest.mark.parametrize(
    ("version", "command", "headers", "says"),
    [(version, *case) for versions, *case in REFUSED for version in versions.split()],
)
def test_a_frame_that_is_wrong_is_answered_by_error(broker, version, command, headers, says):
    peer = Peer(broker, version)
    peer.subscribe("/queue/taken", id="taken")
    peer.send("BEGIN", {"transaction": "open"})
    (error,) = peer.send(command, {**headers, "receipt": "r:1"})
    assert error.Command == "ERROR"
    assert says in error["message"]
    assert error["receipt-id"] == "r:1"
    assert error["content-type"] == "text/plain"
    assert int(error["content-length"]) == len(error.Body) > 0
    assert peer.closing
    assert drain(broker, "/q") == []


def test_nothing_is_written_after_an_error(broker):
    peer = Peer(broker)
    peer.subscribe("/topic/t")
    assert [frame.Command for frame in peer.send("SEND", {})] == ["ERROR"]
    Peer(broker).message("/topic/t", b"a")
    assert peer.octets(wire.encode("SEND", {"destination": "/queue/q", "receipt": "r"})) == []


def test_what_a_client_held_goes_to_others_after_an_error(broker):
    peer = Peer(broker)
    peer.subscribe("/queue/q", ack="client")
    peer.message("/queue/q", b"a")
    peer.send("SEND", {})
    assert drain(broker, "/queue/q") == [b"a"]


def test_an_error_of_one_client_is_nothing_to_another(broker):
    good, bad = Peer(broker), Peer(broker)
    good.subscribe("/topic/t")
    bad.octets(b"garbage without end\n\n\0")
    assert bad.closing
    assert [frame.Body for frame in good.message("/topic/t", b"a")] == [b"a"]


# -- what the server is told -----------------------------------------------------------------


def test_the_server_is_told_when_there_is_output_for_another_client(broker):
    sender, receiver = Peer(broker), Peer(broker)
    receiver.subscribe("/topic/t")
    before = receiver.outputs
    sender.message("/topic/t", b"a")
    assert receiver.outputs > before
    assert receiver.bodies() == [b"a"]
    assert receiver.session.take_output() == b""


def test_a_client_that_does_not_read_gets_nothing_until_it_does(broker):
    slow, sender = Peer(broker), Peer(broker)
    slow.subscribe("/queue/q")
    slow.session.ready = False
    sender.message("/queue/q", b"a")
    assert slow.take() == []
    slow.session.resume()
    assert slow.bodies() == [b"a"]


def test_the_end_of_a_session_may_be_told_twice(broker):
    peer = Peer(broker)
    peer.subscribe("/queue/q", ack="client")
    peer.message("/queue/q", b"a")
    peer.session.end()
    peer.session.end()
    assert drain(broker, "/queue/q") == [b"a"]


def test_the_queues_of_a_session_do_not_come_back_to_it_at_its_end(broker):
    peer = Peer(broker)
    peer.subscribe("/queue/q", id="1")
    peer.subscribe("/queue/q", id="2", ack="client")
    peer.message("/queue/q", b"for 1")
    peer.message("/queue/q", b"for 2")
    peer.session.end()
    assert peer.session.take_output() == b""
    assert drain(broker, "/queue/q") == [b"for 2"]
