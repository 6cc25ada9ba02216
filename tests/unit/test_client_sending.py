"""A client that sends: frames as the specification wants them, and their receipts."""

import enum
import threading
from collections.abc import Callable
from typing import Any

import pytest

from stompy import STOMPClient, STOMPClosed, STOMPError, STOMPFrame, STOMPProtocolError
from tests.unit.peer import (
    TIMEOUT,
    Link,
    commands,
    in_threads,
    message,
    raw,
    sends,
    sent,
    sent_one,
    session,
)

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
        assert not {"receipt", "transaction"} & each.headers.keys()


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


def test_any_command_and_its_headers_go_out_as_they_are() -> None:
    octets = b"NEWS\ndestination:/queue/Q\na:b\\cc\nreceipt:r\n\n\0"
    with session(lambda link: link.take(octets)) as (client, _):
        client.send("NEWS", {"destination": "/queue/Q"}, a="b:c", receipt="r")


# -- what cannot be sent -------------------------------------------------------------------------


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


def test_a_receipt_that_was_asked_for_comes_in_every_way(
    take: Callable[[STOMPClient], STOMPFrame],
) -> None:
    def script(link: Link) -> None:
        receipt = link.expect("SEND").headers["receipt"]
        link.send(raw("RECEIPT", f"receipt-id:{receipt}"))

    with session(script) as (client, _):
        receipt = client.message("/queue/Q", receipt=True)
        assert take(client)["receipt-id"] == receipt


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


@pytest.mark.parametrize("argument", ["transaction", "receipt"])
def test_a_nul_in_a_receipt_or_transaction_is_refused(argument: str) -> None:
    def action(client: STOMPClient) -> None:
        with pytest.raises(STOMPProtocolError, match="NUL"):
            client.message("/queue/Q", **{argument: "a\0SEND\n\n"})

    assert sent(action) == []


@pytest.mark.parametrize("argument", ["transaction", "receipt"])
def test_a_receipt_or_transaction_may_be_a_number_like_any_header(argument: str) -> None:
    (frame,) = sent(lambda client: client.message("/queue/a:b", **{argument: 7}))
    assert frame.headers[argument] == "7"


@pytest.mark.parametrize(
    "action",
    [
        lambda client: client.message(None, "x"),
        lambda client: client.subscribe(None),
        lambda client: client.message("/queue/Q", headers={"": "x"}),
    ],
    ids=["message", "subscribe", "an empty header name"],
)
def test_what_lacks_a_destination_or_a_name_is_refused(action: Any) -> None:
    def refused(client: STOMPClient) -> None:
        with pytest.raises(STOMPError):
            action(client)

    assert sent(refused) == []


class Queues(str, enum.Enum):  # noqa: UP042 - of a StrEnum, str() gives the text already
    Orders = "/queue/orders"


def test_text_of_an_enumeration_goes_out_as_the_text_it_is() -> None:
    with session() as (client, peer):
        client.message(Queues.Orders, "x")
        client.message("/queue/orders", "x")
        client.message(Queues.Orders, "x")
        client.message("/queue/Q", "x", reply=Queues.Orders)
        client.subscribe(Queues.Orders)
    headers = [frame.headers for frame in peer.frames[1:-1]]
    places = [headers[i]["destination"] for i in (0, 1, 2, 4)] + [headers[3]["reply"]]
    assert places == ["/queue/orders"] * 5


def test_octets_go_out_as_they_are() -> None:
    with session() as (client, peer):
        client.send_octets(b"SEND\ndestination:/queue/Q\n\nhello\x00")
    frame = peer.frames[1]
    assert (frame.command, frame.body) == ("SEND", b"hello")
    with pytest.raises(STOMPClosed):
        client.send_octets(b"\n")
