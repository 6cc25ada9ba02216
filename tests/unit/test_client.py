"""The client against a peer that plays the broker: sending, receiving, acknowledging, leaving."""

import gc
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import stompy
from stompy import (
    AckMode,
    STOMPClient,
    STOMPClosed,
    STOMPError,
    STOMPFrame,
    STOMPProtocolError,
    STOMPTimeout,
    heartbeat,
)
from tests.unit.peer import (
    TIMEOUT,
    Background,
    Link,
    Peer,
    Received,
    Script,
    a_reset_keeps_what_was_sent,
    in_threads,
    message,
    raw,
    sent,
    sent_one,
    session,
    waiting,
)
from tests.unit.waiting import until

ERROR = raw("ERROR", "message:no such queue", body=b"/queue/Q is not there\n")
OPTIONS = {"receipt", "transaction"}


def sends(*octets: bytes, then: Callable[[Link], object] = lambda link: None) -> Script:
    """A script that sends `octets` as soon as the session is there, then does `then`."""

    def script(link: Link) -> None:
        link.send(*octets)
        then(link)

    return script


def delivers(*bodies: bytes, then: Callable[[Link], object] = lambda link: None) -> Script:
    """A script that answers SUBSCRIBE by messages with the ack headers ack1, ack2, …"""

    def script(link: Link) -> None:
        subscription = f"subscription:{link.expect('SUBSCRIBE').headers['id']}"
        for number, body in enumerate(bodies, 1):
            link.send(message(body, subscription, f"ack:ack{number}", f"n:{number}"))
        then(link)

    return script


def half_close(link: Link) -> None:
    link.half_close()


def bodies(frames: Any) -> list[bytes]:
    return [frame.Body for frame in frames]


def commands(frames: list[Received]) -> list[str]:
    return [frame.command for frame in frames]


def acks(peer: Peer) -> list[str]:
    """The ids that ACK frames named."""
    return [frame.headers["id"] for frame in peer.frames if frame.command == "ACK"]


# -- connecting ----------------------------------------------------------------------------------


def test_a_client_knows_its_broker() -> None:
    def conversation(link: Link) -> None:
        link.accept("1.1", "server:Broker/1.0")
        link.serve()

    with Peer(conversation) as peer, stompy.connect(peer.address) as client:
        assert isinstance(client, STOMPClient)
        assert client.Connected is True
        assert client.BrokerAddress == peer.address
        assert (client.version, client.server) == ("1.1", "Broker/1.0")


def test_a_client_that_was_never_connected_says_so() -> None:
    client = STOMPClient()
    assert client.Connected is False
    assert (client.BrokerAddress, client.close_reason) == (None, None)
    assert "never connected" in repr(client)
    client.disconnect()


@pytest.mark.parametrize(
    "use",
    [
        STOMPClient.recv,
        STOMPClient.loop,
        lambda client: next(iter(client)),
        lambda client: client.subscribe("/queue/Q"),
        lambda client: client.message("/queue/Q"),
        lambda client: client.transaction(),
    ],
)
def test_a_client_that_was_never_connected_cannot_be_used(
    use: Callable[[STOMPClient], object],
) -> None:
    with pytest.raises(STOMPClosed, match="not connected"):
        use(STOMPClient())


def test_a_connected_client_does_not_connect_again() -> None:
    with session() as (client, peer):
        with pytest.raises(STOMPError, match="connected already"):
            client.connect(peer.address)
        assert client.Connected


def test_a_client_may_connect_again_after_it_left() -> None:
    def conversation(link: Link) -> None:
        link.accept()
        link.serve()

    client = STOMPClient()
    with Peer(conversation, conversation) as peer:
        client.connect(peer.address)
        client.subscribe("/queue/Q", id="mine")
        client.disconnect()
        client.connect(peer.address)
        assert client.subscriptions == {}
        assert client.subscribe("/queue/Q", id="mine") == "mine"
        client.disconnect()
    names = ["CONNECT", "SUBSCRIBE", "DISCONNECT"]
    assert commands(peer.frames) == names * 2


def test_no_text_of_a_client_holds_the_passcode() -> None:
    with session(login="me", passcode="s3cret") as (client, peer):
        assert "s3cret" not in f"{client} {client!r} {vars(client)}"
        assert str(peer.address[1]) in repr(client)
        assert "connected" in repr(client)
    assert "closed" in repr(client)


# -- versions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "line"),
    [("1.0", "a:b:c\\d"), ("1.1", "a:b\\cc\\\\d"), ("1.2", "a:b\\cc\\\\d")],
)
def test_headers_go_out_as_the_version_says(version: str, line: str) -> None:
    sent_frame = sent_one(lambda client: client.message("/q", a="b:c\\d"), version=version)
    assert line in sent_frame.lines


@pytest.mark.parametrize(
    ("version", "value"), [("1.0", r"x:\n\c\\"), ("1.1", "x:\n:\\"), ("1.2", "x:\n:\\")]
)
def test_headers_come_in_as_the_version_says(version: str, value: str) -> None:
    with session(sends(message(b"", r"a:x:\n\c\\")), version=version) as (client, _):
        assert client.recv(TIMEOUT)["a"] == value


def test_a_header_that_1_0_cannot_carry_is_refused_and_the_session_goes_on() -> None:
    def action(client: STOMPClient) -> None:
        with pytest.raises(STOMPProtocolError, match=r"STOMP 1\.0 has no escapes"):
            client.message("/queue/Q", a="two\nlines")
        client.message("/queue/Q")

    assert commands(sent(action, version="1.0")) == ["SEND"]


# -- sending -------------------------------------------------------------------------------------


def test_send_makes_headers_of_its_keywords() -> None:
    frame = sent_one(
        lambda client: client.send("SEND", destination="/queue/Q", body="hello", source="me")
    )
    assert frame.command == "SEND"
    assert frame.headers["destination"] == "/queue/Q"
    assert frame.headers["source"] == "me"
    assert frame.body == b"hello"


def test_message_sends_the_same_as_send() -> None:
    by_send, by_message = sent(
        lambda client: (
            client.send("SEND", {"a": "b"}, "hello", destination="/queue/Q", source="me"),
            client.message("/queue/Q", "hello", headers={"a": "b"}, source="me"),
        )
    )
    assert by_send.headers == by_message.headers
    assert by_send.body == by_message.body


def test_no_receipt_and_no_transaction_are_asked_for_unless_the_call_does() -> None:
    def action(client: STOMPClient) -> None:
        assert client.message("/queue/Q", "hello") is None
        assert client.send("SEND", {"destination": "/queue/Q"}) is None

    for each in sent(action):
        assert not OPTIONS & each.headers.keys()


@pytest.mark.parametrize(
    ("body", "octets"),
    [("€€", b"\xe2\x82\xac" * 2), (b"\0\xff", b"\0\xff"), ("", b""), (b"", b"")],
)
def test_content_length_counts_octets_and_is_always_there(body: Any, octets: bytes) -> None:
    frame = sent_one(lambda client: client.message("/queue/Q", body))
    assert frame.headers["content-length"] == str(len(octets))
    assert frame.body == octets


@pytest.mark.parametrize("body", [bytearray(b"a\0b"), memoryview(b"a\0b")])
def test_a_body_may_be_any_kind_of_bytes(body: Any) -> None:
    assert sent_one(lambda client: client.message("/queue/Q", body)).body == b"a\0b"


def test_a_wrong_content_length_of_the_caller_is_mended() -> None:
    frame = sent_one(lambda client: client.message("/q", "abc", headers={"content-length": "2"}))
    assert frame.headers["content-length"] == "3"


def test_a_large_body_arrives_whole() -> None:
    body = bytes(range(256)) * 16_000
    assert sent_one(lambda client: client.message("/queue/Q", body)).body == body


def test_text_is_plain_utf8_text_and_bytes_are_not_named() -> None:
    text, octets = sent(
        lambda client: (client.message("/queue/Q", "é"), client.message("/queue/Q", b"x"))
    )
    assert text.headers["content-type"] == "text/plain;charset=utf-8"
    assert "content-type" not in octets.headers


@pytest.mark.parametrize(
    ("content_type", "octets"),
    [
        ("application/json", b"\xc3\xa9"),
        ("text/plain;charset=latin-1", b"\xe9"),
        ("text/plain; Charset=UTF-16-LE", b"\xe9\0"),
    ],
)
def test_text_goes_out_in_the_charset_its_content_type_names(
    content_type: str, octets: bytes
) -> None:
    frame = sent_one(
        lambda client: client.message("/queue/Q", "é", headers={"content-type": content_type})
    )
    assert frame.headers["content-type"] == content_type
    assert frame.body == octets


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("€", "text/plain;charset=latin-1"),
        ("x", "text/plain;charset=no-such"),
        ("x", "text/plain;charset=undefined"),
        ("\udcff", "text/plain"),
        (None, "text/plain"),
        ({"a": 1}, "application/json"),
        (3, "text/plain"),
    ],
)
def test_a_body_that_cannot_be_sent_is_refused_and_the_session_goes_on(
    body: Any, content_type: str
) -> None:
    def action(client: STOMPClient) -> None:
        with pytest.raises(STOMPError):
            client.message("/queue/Q", body, headers={"content-type": content_type})
        client.message("/queue/Q", "good")

    assert sent_one(action).body == b"good"


def test_content_length_can_be_left_out() -> None:
    frame = sent_one(lambda client: client.message("/queue/Q", "text", content_length=False))
    assert "content-length" not in frame.headers
    assert frame.body == b"text"


def test_a_body_with_a_nul_cannot_go_without_a_content_length() -> None:
    def action(client: STOMPClient) -> None:
        with pytest.raises(STOMPProtocolError, match="NUL"):
            client.message("/queue/Q", b"a\0b", content_length=False)

    assert sent(action) == []


def test_header_values_are_text_and_none_is_left_out() -> None:
    headers = sent_one(
        lambda client: client.message(
            "/queue/Q", priority=9, ratio=0.5, persistent=True, exclusive=False, nothing=None
        )
    ).headers
    assert (headers["priority"], headers["ratio"]) == ("9", "0.5")
    assert (headers["persistent"], headers["exclusive"]) == ("true", "false")
    assert "nothing" not in headers


def test_header_values_are_neither_trimmed_nor_changed() -> None:
    value = " a:b\nc\\d\re € "
    headers = sent_one(lambda client: client.message("/queue/Q", **{"na:me\n": value})).headers
    assert headers["na:me\n"] == value


@pytest.mark.parametrize("headers", [{"a": "b\0c"}, {"a\0": "b"}, {"a": "\udcff"}])
def test_a_header_that_no_broker_could_read_is_refused_and_the_session_goes_on(
    headers: dict[str, str],
) -> None:
    def action(client: STOMPClient) -> None:
        with pytest.raises(STOMPProtocolError):
            client.message("/queue/Q", headers=headers)
        client.message("/queue/Q")

    assert commands(sent(action)) == ["SEND"]


def test_the_callers_headers_are_not_changed() -> None:
    headers = {"a": "1", "content-length": "9"}

    def action(client: STOMPClient) -> None:
        client.message("/queue/Q", "text", headers=headers, receipt=True, transaction="t")
        client.send("SEND", headers, "text", destination="/queue/Q")
        client.unsubscribe(client.subscribe("/queue/Q", headers=headers), headers=headers)

    assert len(sent(action)) == 4
    assert headers == {"a": "1", "content-length": "9"}


def test_the_destination_of_a_message_comes_before_one_in_its_headers() -> None:
    old = {"destination": "/queue/old", "a": "b"}
    headers = sent_one(lambda client: client.message("/queue/new", headers=old)).headers
    assert (headers["destination"], headers["a"]) == ("/queue/new", "b")


def test_the_id_of_a_message_is_its_message_id() -> None:
    frame = sent_one(lambda client: client.message("/queue/Q", "hello", "id-1"))
    assert frame.headers["message-id"] == "id-1"


def test_a_message_may_be_part_of_a_transaction_known_by_its_id() -> None:
    frame = sent_one(lambda client: client.message("/queue/Q", transaction="t1"))
    assert frame.headers["transaction"] == "t1"


# -- receipts ------------------------------------------------------------------------------------


def test_a_receipt_is_generated_or_the_callers_own() -> None:
    receipts = []

    def action(client: STOMPClient) -> None:
        receipts.append(client.message("/queue/Q", receipt=True))
        receipts.append(client.send("SEND", destination="/queue/Q", receipt=True))
        receipts.append(client.message("/queue/Q", receipt="my:own"))

    assert [frame.headers["receipt"] for frame in sent(action)] == receipts
    assert all(isinstance(receipt, str) for receipt in receipts)
    assert len(set(receipts)) == 3
    assert receipts[2] == "my:own"


def arrived(_: STOMPClient, frame: STOMPFrame, receipt: str) -> bool:
    """As the contract writes it."""
    return frame is not None and frame.Command == "RECEIPT" and frame["receipt-id"] == receipt


def test_a_receipt_is_awaited_by_a_loop_as_the_contract_writes_it() -> None:
    def script(link: Link) -> None:
        receipt = link.expect("SEND").headers["receipt"]
        link.send(message(b"1"), raw("RECEIPT", "receipt-id:stray"))
        link.send(raw("RECEIPT", f"receipt-id:{receipt}"), message(b"2"))

    with session(script) as (client, _):
        my_receipt = client.message("/queue/Q", receipt=True)
        closed = client.loop(arrived, receipt=my_receipt) is None
        assert not closed
        assert client.recv(TIMEOUT).Body == b"2"


def test_a_loop_for_a_receipt_ends_with_the_connection() -> None:
    with session(lambda link: link.expect("SEND") and link.half_close()) as (client, _):
        my_receipt = client.message("/queue/Q", receipt=True)
        closed = client.loop(arrived, receipt=my_receipt) is None
        assert closed


def test_messages_that_come_before_a_receipt_reach_the_callback() -> None:
    seen = []

    def callback(client: STOMPClient, frame: STOMPFrame) -> bool:
        seen.append(frame.Command)
        return frame.Command == "RECEIPT"

    script = sends(message(b"1"), message(b"2"), raw("RECEIPT", "receipt-id:r"))
    with session(script) as (client, _):
        assert client.loop(callback)
    assert seen == ["MESSAGE", "MESSAGE", "RECEIPT"]


@pytest.mark.parametrize("way", ["recv", "iteration", "loop"])
def test_a_receipt_that_was_asked_for_comes_in_every_way(way: str) -> None:
    ways: dict[str, Callable[[STOMPClient], Any]] = {
        "recv": lambda client: client.recv(TIMEOUT),
        "iteration": lambda client: next(iter(client)),
        "loop": lambda client: client.loop(lambda _, frame: frame, timeout=TIMEOUT),
    }

    def script(link: Link) -> None:
        receipt = link.expect("SEND").headers["receipt"]
        link.send(raw("RECEIPT", f"receipt-id:{receipt}"))

    with session(script) as (client, _):
        receipt = client.message("/queue/Q", receipt=True)
        assert ways[way](client)["receipt-id"] == receipt


# -- receiving -----------------------------------------------------------------------------------


def test_recv_gives_the_frames_then_none_then_none_again() -> None:
    with session(sends(message(b"1"), message(b"2"), then=half_close)) as (client, _):
        assert bodies([client.recv(), client.recv(TIMEOUT)]) == [b"1", b"2"]
        assert client.recv(TIMEOUT) is None
        assert client.recv() is None
        assert not client.Connected


def test_iteration_gives_the_frames_until_the_connection_closes() -> None:
    numbers = [b"%d" % n for n in range(200)]
    with session(sends(*map(message, numbers), then=half_close)) as (client, _):
        assert bodies(client) == numbers
        assert bodies(client) == []


def test_iteration_may_be_left_and_taken_up_again() -> None:
    with session(sends(*map(message, [b"1", b"2", b"3"]), then=half_close)) as (client, _):
        for frame in client:
            assert frame.Body == b"1"
            break
        assert bodies(client) == [b"2", b"3"]


@pytest.mark.parametrize("place", ["idle", "in a header", "in a body"])
def test_a_timeout_loses_nothing(place: str) -> None:
    octets = message(b"hello")
    cut = {"idle": 0, "in a header": 20, "in a body": -4}[place]
    go_on = threading.Event()

    def script(link: Link) -> None:
        link.send(octets[:cut])
        assert go_on.wait(TIMEOUT)
        link.send(octets[cut:])

    with session(script) as (client, _):
        for _ in range(2):
            with pytest.raises(STOMPTimeout):
                client.recv(timeout=0.02)
        with pytest.raises(STOMPTimeout):
            client.loop(timeout=0.02)
        go_on.set()
        assert client.recv(TIMEOUT).Body == b"hello"


def test_a_timeout_is_a_stomp_error_and_a_timeout_error() -> None:
    with session() as (client, _):
        with pytest.raises(STOMPError):
            client.recv(0)
        with pytest.raises(TimeoutError):
            client.recv(0)
        assert client.Connected


def test_messages_that_nobody_subscribed_to_are_handed_over() -> None:
    octets = [
        raw("MESSAGE", "destination:/queue/Q", "message-id:1", "ack:a", body=b"1"),
        message(b"2", "subscription:/temp-queue/foo", "ack:b"),
    ]
    with session(sends(*octets)) as (client, peer):
        client.subscribe("/queue/Q", ack_mode="client")
        assert bodies([client.recv(TIMEOUT), client.recv(TIMEOUT)]) == [b"1", b"2"]
    assert acks(peer) == []


def test_a_command_nobody_knows_is_handed_over_and_the_next_frame_follows() -> None:
    with session(sends(raw("SURPRISE"), message(b"1"))) as (client, _):
        assert client.recv(TIMEOUT).Command == "SURPRISE"
        assert client.recv(TIMEOUT).Body == b"1"


# -- loop ----------------------------------------------------------------------------------------


def test_loop_calls_back_with_the_client_the_frame_and_the_arguments() -> None:
    calls = []

    def callback(*args: Any, **kwargs: Any) -> str:
        calls.append((args, kwargs))
        return "done"

    with session(sends(message(b"1"))) as (client, _):
        assert client.loop(callback, "a", 2, key="value") == "done"
        (((first, frame, *rest), kwargs),) = calls
    assert first is client
    assert frame.Body == b"1"
    assert (rest, kwargs) == (["a", 2], {"key": "value"})


def test_loop_takes_its_callback_as_a_keyword() -> None:
    with session(sends(message(b"1"))) as (client, _):
        assert client.loop(callback=lambda _, frame: frame.Body) == b"1"


def test_loop_goes_on_after_anything_false_and_returns_what_is_true() -> None:
    answers = [None, False, 0, "", [], "seven"]
    left = iter(answers)
    with session(sends(*[message(b"")] * 7, then=half_close)) as (client, _):
        assert client.loop(lambda *_: next(left)) == "seven"
        assert len(bodies(client)) == 1


@pytest.mark.parametrize("callback", [None, lambda *_: False])
def test_loop_returns_none_when_the_connection_closes(callback: Any) -> None:
    with session(sends(*[message(b"")] * 200, then=half_close)) as (client, _):
        assert client.loop(callback) is None
        assert client.loop(callback) is None


def test_loop_times_out_when_no_further_frame_comes() -> None:
    def script(link: Link) -> None:
        link.send(message(b"1"))
        for body in (b"2", b"3"):
            link.expect("SEND")
            link.send(message(body))

    seen = []

    def callback(client: STOMPClient, frame: STOMPFrame) -> None:
        seen.append(frame.Body)
        client.message("/queue/next")

    with session(script) as (client, _):
        with pytest.raises(STOMPTimeout):
            client.loop(callback, timeout=0.2)
        assert client.Connected
    assert seen == [b"1", b"2", b"3"]


def test_the_callback_may_send_and_receive() -> None:
    def callback(client: STOMPClient, frame: STOMPFrame) -> bytes:
        client.message("/queue/reply", frame.Body)
        return client.recv(TIMEOUT).Body

    with session(sends(message(b"1"), message(b"2"))) as (client, peer):
        assert client.loop(callback) == b"2"
    assert commands(peer.frames) == ["CONNECT", "SEND", "DISCONNECT"]


def test_the_callback_may_disconnect() -> None:
    with session(delivers(b"1")) as (client, peer):
        client.subscribe("/queue/Q", "client")
        assert client.loop(lambda client, _: client.disconnect()) is None
    assert acks(peer) == []


# -- ERROR ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("receive", [STOMPClient.recv, list, STOMPClient.loop])
def test_an_error_frame_is_raised_with_the_brokers_words(
    receive: Callable[[STOMPClient], object],
) -> None:
    with session(sends(ERROR)) as (client, _):
        with pytest.raises(STOMPError, match="no such queue") as caught:
            receive(client)
        assert "/queue/Q is not there" in caught.value.Message
        assert caught.value.Frame == STOMPFrame(
            "ERROR", {"message": "no such queue"}, b"/queue/Q is not there\n"
        )
        assert client.Connected  # some brokers go on; the end comes by itself when they do not


@pytest.mark.parametrize("octets", [raw("ERROR"), raw("ERROR", "message:", body=b"\xff\n")])
def test_an_error_frame_may_be_empty(octets: bytes) -> None:
    with session(sends(octets)) as (client, _), pytest.raises(STOMPError, match="broker") as caught:
        client.recv(TIMEOUT)
    assert caught.value.Frame.Command == "ERROR"


def test_an_error_frame_can_be_returned_instead() -> None:
    with session(sends(ERROR)) as (client, _):
        frame = client.recv(TIMEOUT, exception_on_error=False)
        assert (frame.Command, frame["message"]) == ("ERROR", "no such queue")


def test_loop_hands_an_error_frame_to_the_callback() -> None:
    with session(sends(ERROR)) as (client, _):
        assert client.loop(lambda _, frame: frame.Command) == "ERROR"


def test_a_message_before_an_error_frame_is_delivered_and_the_end_comes_after_it() -> None:
    with session(sends(message(b"1") + ERROR, then=half_close)) as (client, _):
        assert client.recv(TIMEOUT).Body == b"1"
        with pytest.raises(STOMPError, match="no such queue"):
            client.recv(TIMEOUT)
        assert client.recv(TIMEOUT) is None


@a_reset_keeps_what_was_sent
def test_a_receiver_sees_an_error_frame_that_is_followed_by_a_reset() -> None:
    gone = threading.Event()
    with session(sends(ERROR, then=lambda link: (link.reset(), gone.set()))) as (client, _):
        assert gone.wait(TIMEOUT)
        with pytest.raises(STOMPError, match="no such queue"):
            client.recv(TIMEOUT)
        assert client.recv(TIMEOUT) is None


@a_reset_keeps_what_was_sent
def test_a_sender_or_the_next_recv_sees_an_error_frame_that_is_followed_by_a_reset() -> None:
    gone = threading.Event()
    with session(sends(ERROR, then=lambda link: (link.reset(), gone.set()))) as (client, _):
        assert gone.wait(TIMEOUT)
        with pytest.raises(STOMPError) as caught:
            client.message("/queue/Q", "hello")
        assert not client.Connected
        if caught.value.Frame is None:
            with pytest.raises(STOMPError, match="no such queue"):
                client.recv(TIMEOUT)


# -- the end of the connection -------------------------------------------------------------------


def ended_by(*octets: bytes, then: Callable[[Link], object]) -> STOMPClient:
    """A client whose peer sent `octets`, then ended the connection by `then`."""
    with session(sends(*octets, then=then)) as (client, _):
        assert client.close_reason is None
        assert client.recv(TIMEOUT) is None
        assert not client.Connected
    return client


def test_the_end_of_the_stream_is_the_close_reason() -> None:
    reason = ended_by(then=half_close).close_reason
    assert isinstance(reason, STOMPClosed)
    assert "closed the connection" in str(reason)


@pytest.mark.parametrize("cut", [3, 20, -4, -1])
def test_half_a_frame_is_not_delivered_and_the_close_reason_tells_of_it(cut: int) -> None:
    reason = ended_by(message(b"hello")[:cut], then=half_close).close_reason
    assert "inside a frame" in str(reason)


def test_a_reset_is_the_close_reason() -> None:
    reason = ended_by(then=Link.reset).close_reason
    assert isinstance(reason, STOMPClosed)
    assert "broke" in str(reason)


def test_what_is_sent_after_the_end_is_an_error_that_tells_the_reason() -> None:
    client = ended_by(then=half_close)
    with pytest.raises(STOMPClosed, match="the broker closed the connection"):
        client.message("/queue/Q")


def test_a_connection_that_the_peer_reset_shows_when_something_is_sent() -> None:
    gone = threading.Event()
    with session(lambda link: (link.reset(), gone.set())) as (client, _):
        assert gone.wait(TIMEOUT)
        with pytest.raises(STOMPClosed):
            client.message("/queue/Q")
        assert client.close_reason is not None


def test_octets_that_are_no_stomp_end_the_session_with_an_error() -> None:
    def script(link: Link) -> None:
        link.expect("SUBSCRIBE")
        link.send(message(b"good"), raw("MESSAGE", "nocolon"))

    with session(script) as (client, _):
        client.subscribe("/queue/Q")
        assert client.recv(TIMEOUT).Body == b"good"
        with pytest.raises(STOMPProtocolError, match="without a colon"):
            client.recv(TIMEOUT)
        assert not client.Connected


# -- subscriptions -------------------------------------------------------------------------------


def test_subscribe_sends_destination_id_and_mode_and_returns_the_id() -> None:
    ids = []
    frame = sent_one(lambda client: ids.append(client.subscribe("/queue/Q")))
    assert isinstance(ids[0], str)
    assert frame.headers == {"destination": "/queue/Q", "id": ids[0], "ack": "auto"}


def test_subscriptions_have_different_ids() -> None:
    def action(client: STOMPClient) -> None:
        client.subscribe("/queue/Q", id="2")
        for _ in range(3):
            client.message("/queue/Q", receipt=True)
            client.subscribe("/queue/Q")

    ids = [frame.headers["id"] for frame in sent(action) if frame.command == "SUBSCRIBE"]
    assert len(set(ids)) == 4


@pytest.mark.parametrize("mode", [*AckMode, "auto", "client", "client-individual"])
def test_the_ack_mode_is_a_str_or_an_ack_mode(mode: str) -> None:
    frame = sent_one(lambda client: client.subscribe("/queue/Q", ack_mode=mode))
    assert frame.headers["ack"] == str(mode)


def test_subscribe_takes_more_headers_and_a_receipt() -> None:
    frame = sent_one(
        lambda client: client.subscribe(
            "/queue/Q", headers={"prefetch-count": 1}, selector="a > 1", receipt="r"
        )
    )
    assert frame.headers["prefetch-count"] == "1"
    assert frame.headers["selector"] == "a > 1"
    assert frame.headers["receipt"] == "r"


def test_an_unknown_mode_an_id_in_use_and_a_bad_header_are_refused() -> None:
    def action(client: STOMPClient) -> None:
        client.subscribe("/queue/Q", id="mine")
        with pytest.raises(STOMPError, match="no ack mode"):
            client.subscribe("/queue/Q", "sometimes")
        with pytest.raises(STOMPError, match="in use"):
            client.subscribe("/queue/Q", id="mine")
        with pytest.raises(STOMPError, match="NUL"):
            client.subscribe("/queue/Q", id="other", selector="\0")
        assert list(client.subscriptions) == ["mine"]

    assert commands(sent(action)) == ["SUBSCRIBE"]


def test_a_subscription_knows_what_it_is() -> None:
    with session() as (client, peer):
        sub_id = client.subscribe("/queue/Q", AckMode.ClientInd, send_acks=False)
        subscription = client.subscriptions[sub_id]
        assert isinstance(subscription, stompy.STOMPSubscription)
        assert (subscription.id, subscription.destination) == (sub_id, "/queue/Q")
        assert (subscription.ack_mode, subscription.send_acks) == (AckMode.ClientInd, False)
        assert "/queue/Q" in repr(subscription)
        subscription.unsubscribe()
        assert client.subscriptions == {}
    assert commands(peer.frames[1:-1]) == ["SUBSCRIBE", "UNSUBSCRIBE"]


def test_the_subscriptions_of_a_client_are_a_copy() -> None:
    with session() as (client, _):
        client.subscribe("/queue/Q")
        client.subscriptions.clear()
        assert len(client.subscriptions) == 1


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_unsubscribe_names_the_id_and_in_1_0_the_destination_too(version: str) -> None:
    subscribe, unsubscribe = sent(
        lambda client: client.unsubscribe(client.subscribe("/queue/Q"), durable=True, receipt="r"),
        version=version,
    )
    expected = {"id": subscribe.headers["id"], "durable": "true", "receipt": "r"}
    if version == "1.0":
        expected["destination"] = "/queue/Q"
    assert (unsubscribe.command, unsubscribe.headers) == ("UNSUBSCRIBE", expected)


def test_unsubscribing_twice_is_an_error() -> None:
    def action(client: STOMPClient) -> None:
        sub_id = client.subscribe("/queue/Q")
        client.unsubscribe(sub_id)
        with pytest.raises(STOMPError, match="no subscription"):
            client.unsubscribe(sub_id)

    assert commands(sent(action)) == ["SUBSCRIBE", "UNSUBSCRIBE"]


# -- acknowledgement by the client ---------------------------------------------------------------

RECEIVE: dict[str, Callable[[STOMPClient], STOMPFrame]] = {
    "recv": lambda client: client.recv(TIMEOUT),
    "iteration": lambda client: next(iter(client)),
    "loop": lambda client: client.loop(lambda _, frame: frame, timeout=TIMEOUT),
}
EVERY_WAY = pytest.mark.parametrize("receive", RECEIVE.values(), ids=RECEIVE)


@EVERY_WAY
@pytest.mark.parametrize("mode", ["client", "client-individual"])
def test_each_message_is_acknowledged_once(
    receive: Callable[[STOMPClient], STOMPFrame], mode: str
) -> None:
    with session(delivers(b"1", b"2")) as (client, peer):
        client.subscribe("/queue/Q", mode)
        assert bodies([receive(client), receive(client)]) == [b"1", b"2"]
    assert acks(peer) == ["ack1", "ack2"]


@EVERY_WAY
@pytest.mark.parametrize(
    ("mode", "send_acks"), [("client", False), ("client-individual", False), ("auto", True)]
)
def test_nothing_is_acknowledged_in_auto_mode_or_against_the_users_will(
    receive: Callable[[STOMPClient], STOMPFrame], mode: str, send_acks: bool
) -> None:
    with session(delivers(b"1", b"2")) as (client, peer):
        client.subscribe("/queue/Q", mode, send_acks=send_acks)
        assert bodies([receive(client), receive(client)]) == [b"1", b"2"]
    assert acks(peer) == []


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        ("1.0", {"message-id": "m1"}),
        ("1.1", {"message-id": "m1", "subscription": "mine"}),
        ("1.2", {"id": "ack1"}),
    ],
)
def test_an_ack_has_the_headers_of_the_version(version: str, headers: dict[str, str]) -> None:
    with session(delivers(b"1"), version=version) as (client, peer):
        client.subscribe("/queue/Q", "client", id="mine")
        client.recv(TIMEOUT)
    assert [frame.headers for frame in peer.frames if frame.command == "ACK"] == [headers]


def test_a_message_without_an_ack_header_is_not_acknowledged_in_1_2() -> None:
    with session(sends(message(b"1", "subscription:mine"))) as (client, peer):
        client.subscribe("/queue/Q", "client", id="mine")
        assert client.recv(TIMEOUT).Body == b"1"
    assert acks(peer) == []


@pytest.mark.parametrize("mine", ["mine", 7])
def test_a_subscription_with_an_id_of_the_users_own_is_acknowledged_too(mine: Any) -> None:
    with session(delivers(b"1")) as (client, peer):
        assert client.subscribe("/queue/Q", "client", id=mine) == str(mine)
        client.recv(TIMEOUT)
    assert acks(peer) == ["ack1"]


def test_loop_acknowledges_after_the_callback_and_recv_when_it_hands_over() -> None:
    with session(delivers(b"1", b"2")) as (client, peer):
        client.subscribe("/queue/Q", "client")
        client.loop(lambda client, _: client.message("/queue/in", "") or True)
        client.recv(TIMEOUT)
        client.message("/queue/after")
    assert commands(peer.frames[2:-1]) == ["SEND", "ACK", "ACK", "SEND"]


def test_a_callback_that_raises_leaves_its_message_unacknowledged() -> None:
    def callback(_: STOMPClient, frame: STOMPFrame) -> None:
        if frame.Body == b"2":
            raise LookupError("not to be processed")

    with session(delivers(b"1", b"2", b"3")) as (client, peer):
        client.subscribe("/queue/Q", "client-individual")
        with pytest.raises(LookupError, match="not to be processed"):
            client.loop(callback)
        assert client.recv(TIMEOUT).Body == b"3"
    assert acks(peer) == ["ack1", "ack3"]


@pytest.mark.parametrize("way", ["recv", "loop"])
def test_acks_of_the_client_may_be_part_of_a_transaction(way: str) -> None:
    with session(delivers(b"1", b"2")) as (client, peer):
        client.subscribe("/queue/Q", "client")
        transaction = client.transaction()
        for by in ("t1", transaction):
            if way == "recv":
                client.recv(TIMEOUT, transaction=by)
            else:
                client.loop(lambda *_: True, transaction=by, timeout=TIMEOUT)
    found = [frame.headers for frame in peer.frames if frame.command == "ACK"]
    assert [headers["transaction"] for headers in found] == ["t1", transaction.id]


@pytest.mark.parametrize("way", ["iteration", "loop"])
def test_a_broker_that_leaves_while_it_is_acknowledged_takes_no_message_with_it(way: str) -> None:
    gone = threading.Event()
    numbers = [b"1", b"2", b"3", b"4"]
    with session(delivers(*numbers, then=lambda link: (link.close(), gone.set()))) as (client, _):
        client.subscribe("/queue/Q", "client")
        assert gone.wait(TIMEOUT)
        seen: list[STOMPFrame] = []
        if way == "iteration":
            seen.extend(client)
        else:
            assert client.loop(lambda _, frame: seen.append(frame)) is None
    assert bodies(seen) == numbers


@pytest.mark.parametrize("command", ["", "SE ND", "SEND\n", "SEND\0", "SEND:x", "sénd"])
def test_what_is_no_command_is_refused(command: str) -> None:
    def action(client: STOMPClient) -> None:
        with pytest.raises(STOMPProtocolError, match="is no command"):
            client.send(command)

    assert sent(action) == []


@pytest.mark.parametrize("command", ["SUBSCRIBE", "COMMIT", "ANYTHING"])
def test_a_body_where_none_may_be_is_refused(command: str) -> None:
    def action(client: STOMPClient) -> None:
        with pytest.raises(STOMPProtocolError, match=f"a {command} frame has no body"):
            client.send(command, body="x")

    assert sent(action) == []


def test_a_header_that_is_bytes_is_refused() -> None:
    def action(client: STOMPClient) -> None:
        with pytest.raises(STOMPProtocolError, match="'key' is bytes"):
            client.message("/queue/Q", key=b"abc")

    assert sent(action) == []


def test_unsubscribe_returns_the_receipt_that_it_asks_for() -> None:
    def action(client: STOMPClient) -> None:
        sub_id = client.subscribe("/topic/T")
        given.append(client.unsubscribe(sub_id, receipt=True))

    given: list[str | None] = []
    frames = sent(action)
    assert [frames[-1].headers["receipt"]] == given


def test_a_receipt_asked_for_among_the_headers_is_returned_too() -> None:
    def action(client: STOMPClient) -> None:
        assert client.message("/queue/Q", "x", headers={"receipt": "mine"}) == "mine"

    sent(action)


# -- acknowledgement by the user -----------------------------------------------------------------

ANSWERS = pytest.mark.parametrize("command", ["ack", "nack"])


def answered(
    command: str, what: Callable[[STOMPFrame], Any], version: str, **more: Any
) -> Received:
    """The ACK or NACK that the user sends of `what(frame)`."""
    with session(delivers(b"1"), version=version) as (client, peer):
        client.subscribe("/queue/Q", "client", send_acks=False, id="mine")
        getattr(client, command)(what(client.recv(TIMEOUT)), **more)
    (answer,) = peer.frames[2:-1]
    assert answer.command == command.upper()
    return answer


@ANSWERS
@pytest.mark.parametrize("what", [lambda frame: frame["ack"], lambda frame: frame])
def test_in_1_2_a_message_is_answered_by_its_ack_header(command: str, what: Any) -> None:
    assert answered(command, what, "1.2").headers == {"id": "ack1"}


@ANSWERS
def test_in_1_1_a_message_is_answered_by_message_id_and_subscription(command: str) -> None:
    headers = answered(command, lambda frame: frame, "1.1").headers
    assert headers == {"message-id": "m1", "subscription": "mine"}


def test_in_1_0_a_message_is_answered_by_its_message_id() -> None:
    assert answered("ack", lambda frame: frame, "1.0").headers == {"message-id": "m1"}


@ANSWERS
def test_an_answer_may_have_a_transaction_a_receipt_and_more_headers(command: str) -> None:
    headers = answered(
        command, lambda f: f["ack"], "1.2", transaction="t1", receipt="r", requeue=False
    ).headers
    assert headers == {"id": "ack1", "transaction": "t1", "receipt": "r", "requeue": "false"}


def test_an_answer_returns_the_receipt_it_asked_for() -> None:
    receipts: list[str | None] = []
    frames = sent(
        lambda client: receipts.extend(
            [client.ack("a", receipt=True), client.nack("b", receipt="r"), client.ack("c")]
        )
    )
    assert [frame.headers.get("receipt") for frame in frames] == receipts
    assert receipts[1:] == ["r", None]


@ANSWERS
def test_an_ack_header_with_colons_is_escaped_again(command: str) -> None:
    octets = message(b"", r"ack:T_1@@session\c7@@\\3")
    with session(sends(octets)) as (client, peer):
        getattr(client, command)(client.recv(TIMEOUT)["ack"])
    assert r"id:T_1@@session\c7@@\\3" in peer.frames[1].lines


def test_1_0_has_no_nack() -> None:
    def action(client: STOMPClient) -> None:
        with pytest.raises(STOMPProtocolError, match="no NACK"):
            client.nack(STOMPFrame("MESSAGE", {"message-id": "m1"}))

    assert sent(action, version="1.0") == []


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_before_1_2_an_answer_needs_the_frame(version: str) -> None:
    def action(client: STOMPClient) -> None:
        with pytest.raises(STOMPProtocolError, match="needs the frame"):
            client.ack("m1")

    assert sent(action, version=version) == []


@pytest.mark.parametrize("what", [STOMPFrame("MESSAGE", {"message-id": "m1"}), None, ""])
def test_a_message_without_an_ack_header_cannot_be_answered_in_1_2(what: Any) -> None:
    def action(client: STOMPClient) -> None:
        with pytest.raises(STOMPProtocolError):
            client.ack(what)

    assert sent(action) == []


# -- leaving -------------------------------------------------------------------------------------


def test_disconnect_waits_for_its_receipt_which_nobody_else_sees() -> None:
    def script(link: Link) -> None:
        receipt = link.expect("DISCONNECT").headers["receipt"]
        link.send(message(b"late"), raw("RECEIPT", f"receipt-id:{receipt}"))
        receipts.append(receipt)
        assert link.read() is None

    receipts: list[str] = []
    with session(script) as (client, _):
        client.disconnect()
        assert len(receipts) == 1
        assert not client.Connected
        assert client.close_reason is None
        assert client.recv().Body == b"late"
        assert client.recv() is None


def test_messages_that_come_during_disconnect_are_not_acknowledged() -> None:
    def script(link: Link) -> None:
        link.expect("SUBSCRIBE")
        receipt = link.expect("DISCONNECT").headers["receipt"]
        link.send(message(b"late", "subscription:mine", "ack:1"))
        link.send(raw("RECEIPT", f"receipt-id:{receipt}"))
        assert link.read() is None

    with session(script) as (client, _):
        client.subscribe("/queue/Q", "client", id="mine")
        client.disconnect()
        assert bodies(client) == [b"late"]


def test_disconnecting_twice_says_goodbye_once() -> None:
    with session() as (client, peer):
        client.disconnect()
        client.disconnect()
    assert commands(peer.frames) == ["CONNECT", "DISCONNECT"]


def test_disconnecting_from_several_threads_says_goodbye_once() -> None:
    with session() as (client, peer):
        in_threads(4, lambda _: client.disconnect())
    assert commands(peer.frames) == ["CONNECT", "DISCONNECT"]


def test_a_context_manager_disconnects_also_when_its_block_raises() -> None:
    def conversation(link: Link) -> None:
        link.accept()
        link.serve()

    with Peer(conversation) as peer:
        with pytest.raises(LookupError), stompy.connect(peer.address) as client:
            raise LookupError
        assert not client.Connected
    assert commands(peer.frames) == ["CONNECT", "DISCONNECT"]


@pytest.mark.parametrize(
    "then", [Link.stay_silent, half_close, Link.reset], ids=["silence", "end", "reset"]
)
def test_a_peer_that_does_not_answer_disconnect_is_left_all_the_same(
    then: Callable[[Link], object],
) -> None:
    def script(link: Link) -> None:
        link.expect("DISCONNECT")
        then(link)

    with session(script) as (client, _):
        begin = time.monotonic()
        client.disconnect(timeout=0.1)
        assert time.monotonic() - begin < TIMEOUT / 2
        assert not client.Connected
        assert client.close_reason is None
        assert client.recv() is None


def test_disconnect_gives_up_by_itself() -> None:
    with session(Link.stay_silent) as (client, _):
        begin = time.monotonic()
        client.disconnect()
        assert time.monotonic() - begin < TIMEOUT / 2


@pytest.mark.parametrize("silent", [False, True], ids=["answered", "not answered"])
def test_disconnect_wakes_a_thread_that_receives(
    silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with session(Link.stay_silent if silent else Link.serve) as (client, _):
        receiver_waits = waiting(monkeypatch)
        with Background(client.recv) as receiving:
            assert receiver_waits.wait(TIMEOUT)
            client.disconnect(timeout=0.1)
            assert receiving.result(timeout=1.0) is None


@pytest.mark.parametrize(
    "use",
    [
        lambda client: client.message("/queue/Q"),
        lambda client: client.subscribe("/queue/Q"),
        lambda client: client.ack("1"),
        lambda client: client.transaction(),
    ],
)
def test_after_disconnect_nothing_can_be_sent(use: Callable[[STOMPClient], object]) -> None:
    with session() as (client, peer):
        client.disconnect()
        with pytest.raises(STOMPClosed):
            use(client)
    assert commands(peer.frames) == ["CONNECT", "DISCONNECT"]


def test_an_error_frame_instead_of_the_receipt_does_not_upset_disconnect() -> None:
    def script(link: Link) -> None:
        link.expect("DISCONNECT")
        link.send(ERROR)
        link.half_close()

    with session(script) as (client, _):
        client.disconnect()
        assert not client.Connected


def test_the_garbage_collector_closes_a_forgotten_client_and_waits_for_nobody() -> None:
    def conversation(link: Link) -> None:
        link.accept()
        assert link.read() is None

    with Peer(conversation) as peer, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", lambda _: None)  # "unclosed socket" is right
        stompy.connect(peer.address)
        gc.collect()
        peer.wait()


def test_a_client_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())
    with session() as (client, _):
        client.message("/queue/Q")
    assert set(threading.enumerate()) <= before


# -- several threads -----------------------------------------------------------------------------


def test_frames_of_several_threads_do_not_mix() -> None:
    threads, count = 4, 200

    def action(client: STOMPClient) -> None:
        def send_many(thread: int) -> None:
            for number in range(count):
                client.message("/queue/Q", f"{thread} {number} " + "x" * number, thread=thread)

        in_threads(threads, send_many)

    frames = sent(action)
    assert len(frames) == threads * count
    for thread in range(threads):
        mine = [frame.body for frame in frames if frame.headers["thread"] == str(thread)]
        assert mine == [b"%d %d %s" % (thread, n, b"x" * n) for n in range(count)]


def test_several_receivers_share_all_frames() -> None:
    numbers = [b"%d" % n for n in range(400)]
    shares: list[list[bytes]] = [[], []]
    with session(sends(*map(message, numbers), then=half_close)) as (client, _):
        in_threads(2, lambda thread: shares[thread].extend(bodies(client)))
    assert sorted(shares[0] + shares[1], key=int) == numbers
    for share in shares:
        assert share == sorted(share, key=int)


def test_one_thread_may_send_while_another_receives(monkeypatch: pytest.MonkeyPatch) -> None:
    def script(link: Link) -> None:
        link.send(message(link.expect("SEND").body))

    with session(script) as (client, _):
        receiver_waits = waiting(monkeypatch)
        with Background(client.recv, TIMEOUT) as receiving:
            assert receiver_waits.wait(TIMEOUT)
            client.message("/queue/Q", "hello")
            assert receiving.result().Body == b"hello"


# -- heart-beats ---------------------------------------------------------------------------------

INTERVAL = 60
"""Milliseconds between the beats of these tests."""


def beat_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "stompy-heart-beat"]


def beating(
    script: Script = lambda link: None, *, ours: int = INTERVAL, theirs: int = 0, **arguments: Any
) -> Any:
    """A session in which we send a beat each `ours` ms, and the peer promises one each `theirs`."""
    return session(
        script,
        lines=[f"heart-beat:{theirs},{ours}"],
        heart_beat=(min(ours, 1), min(theirs, 1)),
        **arguments,
    )


def takes_beats(count: int = 3) -> Script:
    """A script that takes some beats, and checks that they do not come in a hurry."""

    def script(link: Link) -> None:
        begin = time.monotonic()
        for _ in range(count):
            link.beat()
        assert time.monotonic() - begin > (count - 1) * heartbeat.SEND_FACTOR * INTERVAL / 1000

    return script


@pytest.mark.parametrize(
    ("offered", "lines", "agreed"),
    [
        ((1000, 2000), ["heart-beat:3000,4000"], (4000, 3000)),
        ((1000, 2000), ["heart-beat:0,4000"], (4000, 0)),
        ((0, 0), ["heart-beat:3000,4000"], (0, 0)),
        ((1000, 2000), ["heart-beat:0,0"], (0, 0)),
        ((1000, 2000), ["heart-beat:nonsense"], (0, 0)),
        ((1000, 2000), [], (0, 0)),
    ],
)
def test_a_client_knows_which_beats_were_agreed(
    offered: tuple[int, int], lines: list[str], agreed: tuple[int, int]
) -> None:
    with session(lines=lines, heart_beat=offered) as (client, _):
        assert client.heart_beat == agreed
        assert len(beat_threads()) == (agreed != (0, 0))


def test_a_client_that_was_never_connected_has_no_beats() -> None:
    assert STOMPClient().heart_beat == (0, 0)


def test_beats_go_out_while_the_client_waits_for_a_frame() -> None:
    def script(link: Link) -> None:
        takes_beats()(link)
        link.send(message(b"at last"))

    with beating(script) as (client, _):
        assert client.recv(TIMEOUT).Body == b"at last"


def test_beats_go_out_while_a_callback_works() -> None:
    def script(link: Link) -> None:
        link.send(message(b"work"))
        takes_beats()(link)
        beaten.set()

    beaten = threading.Event()
    with beating(script) as (client, _):
        assert client.loop(lambda *_: beaten.wait(TIMEOUT))


def test_beats_go_out_while_the_program_does_something_else() -> None:
    def script(link: Link) -> None:
        takes_beats()(link)
        beaten.set()

    beaten = threading.Event()
    with beating(script) as (client, peer):
        assert beaten.wait(TIMEOUT)
        client.message("/queue/Q", "afterwards")
    assert commands(peer.frames) == ["CONNECT", "SEND", "DISCONNECT"]


def test_no_beats_go_out_when_none_were_agreed() -> None:
    links: list[Link] = []
    with (
        session(links.append, heart_beat=(0, 0), lines=["heart-beat:10,10"]) as (client, _),
        pytest.raises(STOMPTimeout),
    ):
        client.recv(0.2)
    assert links[0].beats == 0


def test_a_silent_peer_is_given_up_and_the_reason_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "DEAD_GRACE", 0.1)
    with beating(Link.stay_silent, theirs=50) as (client, _):
        begin = time.monotonic()
        assert client.recv(TIMEOUT) is None
        assert 0.1 < time.monotonic() - begin < TIMEOUT / 2
        assert not client.Connected
        assert "no sign of life for 0.2 s" in str(client.close_reason)
        with pytest.raises(STOMPClosed, match="no sign of life"):
            client.message("/queue/Q")


def test_a_peer_whose_beats_come_late_but_in_time_is_kept() -> None:
    limit = 2 * INTERVAL / 1000 + heartbeat.DEAD_GRACE
    quiet = threading.Event()

    def script(link: Link) -> None:
        for _ in range(4):
            quiet.wait(limit / 3)  # many intervals, but within the grace
            link.send(b"\n")
        link.send(message(b"still here"))

    with beating(script, theirs=INTERVAL) as (client, _):
        begin = time.monotonic()
        assert client.recv(TIMEOUT).Body == b"still here"
        assert time.monotonic() - begin > limit


def test_a_peer_whose_frames_nobody_reads_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def script(link: Link) -> None:
        link.expect("SEND")
        link.send(message(b"unread"))

    monkeypatch.setattr(heartbeat, "DEAD_GRACE", 0.4)
    judged: list[bool] = []
    is_dead = heartbeat.HeartBeat.is_dead

    def observed(self: heartbeat.HeartBeat, now: float) -> bool:
        judged.append(is_dead(self, now))
        return judged[-1]

    monkeypatch.setattr(heartbeat.HeartBeat, "is_dead", observed)
    with beating(script, theirs=20) as (client, _):
        client.message("/queue/Q")
        until(lambda: judged.count(True) > 1)
        assert client.recv(TIMEOUT).Body == b"unread"


def test_beats_of_the_peer_do_not_wake_the_program() -> None:
    with beating(sends(*[b"\n"] * 5, message(b"1"), b"\n"), theirs=INTERVAL) as (client, _):
        assert client.recv(TIMEOUT).Body == b"1"
        with pytest.raises(STOMPTimeout):
            client.recv(0.05)


@pytest.mark.parametrize("end", ["disconnect", "the peer closes"])
def test_when_the_connection_ends_the_thread_of_its_beats_ends(end: str) -> None:
    script = sends(then=half_close) if end == "the peer closes" else Link.serve
    with beating(script, theirs=10_000) as (client, _):
        if end == "disconnect":
            assert beat_threads()
            client.disconnect()
        else:
            assert client.recv(TIMEOUT) is None
        until(lambda: not beat_threads())


def test_the_beats_do_not_keep_a_forgotten_client() -> None:
    def conversation(link: Link) -> None:
        link.accept("1.2", f"heart-beat:{INTERVAL},{INTERVAL}")
        link.beat()
        beaten.set()
        link.stay_silent()

    beaten = threading.Event()
    with Peer(conversation) as peer, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", lambda _: None)  # "unclosed socket" is right
        client = stompy.connect(peer.address, heart_beat=(1, 1))
        assert beaten.wait(TIMEOUT)
        forgotten = weakref.ref(client)
        del client
        gc.collect()
        assert forgotten() is None
        peer.wait()
        until(lambda: not beat_threads())


# -- interrupts ----------------------------------------------------------------------------------


def test_an_interrupted_frame_arrives_also_when_the_next_is_the_goodbye(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    read_on = threading.Event()
    with session(lambda link: read_on.wait(TIMEOUT)) as (client, peer):
        with monkeypatch.context() as patch:
            patch.setattr("stompy.transport.SocketTransport._wait", interrupted)
            with pytest.raises(KeyboardInterrupt):
                client.message("/queue/Q", bytes(8_000_000))
        read_on.set()
        client.disconnect()
    assert commands(peer.frames) == ["CONNECT", "SEND", "DISCONNECT"]


# -- limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "octets", "words"),
    [
        ({"max_body": 10}, message(b"x" * 11), "a body is longer than 10 octets"),
        ({"max_body": 10}, raw("MESSAGE", "a:b", body=b"x" * 11), "a body is longer than 10"),
        ({"max_headers": 2}, raw("MESSAGE", "a:1", "b:2", "c:3"), "more than 2 headers"),
        ({"max_header_line": 20}, raw("MESSAGE", "a:" + "x" * 40), "longer than 20 octets"),
    ],
)
def test_what_goes_beyond_a_limit_ends_the_session_with_an_error(
    limit: dict[str, int], octets: bytes, words: str
) -> None:
    with session(sends(octets), **limit) as (client, _):
        with pytest.raises(STOMPProtocolError, match=words):
            client.recv(TIMEOUT)
        assert not client.Connected


def test_what_is_just_within_the_limits_is_delivered() -> None:
    octets = raw("MESSAGE", "a:1", "content-length:10", body=b"x" * 10)
    limits = {"max_body": 10, "max_headers": 2, "max_header_line": len("content-length:10")}
    with session(sends(octets), **limits) as (client, _):
        assert client.recv(TIMEOUT).Body == b"x" * 10


# -- a socket of the user's own ------------------------------------------------------------------


def test_a_connected_socket_may_take_the_place_of_an_address() -> None:
    def serve(sock: socket.socket) -> list[Received]:
        link = Link(sock, frames)
        link.accept()
        link.send(message(b"hello"))
        link.serve()
        link.close()
        return frames

    frames: list[Received] = []
    ours, theirs = socket.socketpair()
    with Background(serve, theirs), stompy.connect(ours, login="me") as client:
        assert client.recv(TIMEOUT).Body == b"hello"
        assert "connected" in repr(client)
    assert commands(frames) == ["CONNECT", "DISCONNECT"]
    assert ours.fileno() == -1, "it was not closed"


def test_a_connected_tcp_socket_has_the_address_of_its_peer() -> None:
    def conversation(link: Link) -> None:
        link.accept()
        link.serve()

    with (
        Peer(conversation) as peer,
        stompy.connect(socket.create_connection(peer.address)) as client,
    ):
        assert client.BrokerAddress == peer.address


def test_a_socket_whose_other_end_is_closed_makes_no_session() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    with pytest.raises(STOMPError) as caught:
        stompy.connect(ours)
    assert "\nTry: " in str(caught.value)
    assert ours.fileno() == -1
