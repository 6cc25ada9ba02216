"""STOMP over WebSocket: the upgrade, the messages, the end; against the `websockets` library."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.frames import CloseCode, Opcode
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

import stompy
from stompy import STOMPClosed, STOMPConnectError, STOMPError, STOMPTimeout, wire
from stompy.transport import SocketTransport
from stompy.websocket import WebSocketTransport
from tests.certificates import client_context, server_context
from tests.unit.ends import SUBPROTOCOLS, WebSocketEnd
from tests.unit.peer import TIMEOUT, Background, Link, Peer, Script, message, raw, session
from tests.unit.waiting import until

# -- a server of the library ---------------------------------------------------------------------


@contextmanager
def served(handler: Callable[[ServerConnection], None], **options: Any) -> Iterator[Server]:
    """A server that is none of ours, with a thread for each connection."""
    with (
        serve(handler, "127.0.0.1", 0, subprotocols=SUBPROTOCOLS, **options) as server,
        Background(server.serve_forever),
    ):
        try:
            yield server
        finally:
            server.shutdown()


def url(server: Server, path: str = "/", scheme: str = "ws") -> str:
    return f"{scheme}://127.0.0.1:{server.socket.getsockname()[1]}{path}"


def echo(
    connection: ServerConnection, first: Callable[[ServerConnection], object] = lambda _: None
) -> None:
    """Say CONNECTED, do `first`; then turn each SEND into a MESSAGE, and answer receipts."""
    connection.recv()
    connection.send("CONNECTED\nversion:1.2\n\n\0")
    first(connection)
    for text in connection:
        frame = text if isinstance(text, bytes) else text.encode()
        if b"receipt:" in frame:
            receipt = frame.partition(b"receipt:")[2].partition(b"\n")[0]
            connection.send(raw("RECEIPT", f"receipt-id:{receipt.decode()}"))
        elif frame.startswith(b"SEND"):
            connection.send(frame.replace(b"SEND", b"MESSAGE", 1))


@pytest.mark.parametrize("body", ["text", "grüße", b"\xff\0\xfe", bytes(300_000)])
def test_a_server_of_the_library_is_understood_and_understands(body: Any) -> None:
    with served(echo) as server, stompy.connect(url(server)) as client:
        client.message("/queue/Q", body)
        frame = client.recv(TIMEOUT)
        assert (frame.text if isinstance(body, str) else frame.Body) == body


def test_a_server_over_tls_is_understood() -> None:
    with (
        served(echo, ssl=server_context()) as server,
        stompy.connect(url(server, scheme="wss"), tls=client_context()) as client,
    ):
        client.message("/queue/Q", "hello")
        assert client.recv(TIMEOUT).text == "hello"


def test_a_server_that_nobody_vouches_for_is_refused() -> None:
    with served(echo, ssl=server_context()) as server, pytest.raises(STOMPConnectError) as caught:
        stompy.connect(url(server, scheme="wss"))
    assert caught.value.phase == "tls"


def test_a_server_that_wants_pongs_gets_them_while_the_client_waits() -> None:
    def first(connection: ServerConnection) -> None:
        for _ in range(3):
            assert connection.ping().wait(TIMEOUT)
        connection.send(message(b"all came"))

    with (
        served(lambda connection: echo(connection, first)) as server,
        stompy.connect(url(server)) as client,
    ):
        assert client.recv(TIMEOUT).Body == b"all came"


@pytest.mark.parametrize("code", [1000, 1001, 1011])
def test_a_server_that_closes_is_the_end_and_gets_an_answer(code: int) -> None:
    codes: list[int | None] = []

    def first(connection: ServerConnection) -> None:
        connection.send(message(b"last"))
        connection.close(code, "that is it")
        codes.append(connection.protocol.close_code)

    with (
        served(lambda connection: echo(connection, first)) as server,
        stompy.connect(url(server)) as client,
    ):
        assert client.recv(TIMEOUT).Body == b"last"
        assert client.recv(TIMEOUT) is None
        assert isinstance(client.close_reason, STOMPClosed)
        assert until(lambda: codes) == [code]


def test_the_client_closes_as_the_specification_wants_it() -> None:
    codes: list[int | None] = []

    def handler(connection: ServerConnection) -> None:
        echo(connection)
        codes.append(connection.protocol.close_code)

    with served(handler) as server:
        stompy.connect(url(server)).disconnect()
    assert until(lambda: codes) == [1000]


# -- the request ---------------------------------------------------------------------------------


def request_of(path: str = "/ws", **options: Any) -> Request:
    """The HTTP request that a client sends."""
    requests: list[Request] = []

    def note(connection: ServerConnection, request: Request) -> None:
        requests.append(request)

    with served(echo, process_request=note) as server:
        stompy.connect(url(server, path), **options).disconnect()
    return requests[0]


@pytest.mark.parametrize("path", ["/", "/ws", "/a/b%20c?key=v%26w&x=1"])
def test_path_and_query_go_out_as_they_stand(path: str) -> None:
    assert request_of(path).path == path


def test_a_url_without_a_path_asks_for_the_root() -> None:
    assert request_of("").path == "/"


def test_more_headers_of_the_request_come_from_ws_headers() -> None:
    headers = {"Authorization": "Bearer t0ken", "Origin": "https://broker.example"}
    sent = request_of(ws_headers=headers).headers
    assert {name: sent[name] for name in headers} == headers


@pytest.mark.parametrize(
    ("versions", "offered"),
    [
        (wire.VERSIONS, "v12.stomp, v11.stomp, v10.stomp"),
        (("1.1", "1.2"), "v12.stomp, v11.stomp"),
        (("1.2",), "v12.stomp"),
    ],
)
def test_the_versions_are_offered_as_subprotocols_the_newest_first(
    versions: tuple[str, ...], offered: str
) -> None:
    sent = request_of(versions=versions).headers
    assert sent["Sec-WebSocket-Protocol"] == offered


def test_a_server_that_names_no_subprotocol_is_taken() -> None:
    with serve(echo, "127.0.0.1", 0) as server, Background(server.serve_forever):
        stompy.connect(url(server)).disconnect()
        server.shutdown()


# -- no upgrade ----------------------------------------------------------------------------------


def refusal(script: Script, **options: Any) -> STOMPConnectError:
    """The error of connecting to a peer that is no WebSocket server."""
    with Peer(script) as peer, pytest.raises(STOMPConnectError) as caught:
        stompy.connect("ws://{}:{}/ws".format(*peer.address), timeout=TIMEOUT, **options)
    assert "\nTry: " in str(caught.value)
    return caught.value


def http(*octets: bytes) -> Script:
    """A script that takes an HTTP request, answers and closes."""

    def script(link: Link) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += link.socket.recv(65536)
        link.send(*octets)

    return script


@pytest.mark.parametrize(
    "octets",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone",
        b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\nnone",
        b"HTTP/1.1 404 Not Found\r\n\r\n",
    ],
    ids=["length", "until the end", "nothing"],
)
def test_a_refused_upgrade_says_what_the_server_answered(octets: bytes) -> None:
    error = refusal(http(octets))
    assert "404" in error.Message
    assert "WebSocket" in error.Message
    assert "path" in error.hint


@pytest.mark.parametrize("status", [401, 403, 503])
def test_a_refusal_of_the_library_says_its_status(status: int) -> None:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(status, "no\n")

    with served(echo, process_request=refuse) as server, pytest.raises(STOMPConnectError) as caught:
        stompy.connect(url(server))
    assert str(status) in caught.value.Message
    assert caught.value.phase == "handshake"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (http(), "closed the connection"),
        (http(b"HTTP/1.1 101 "), "closed the connection|HTTP"),
        (http(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), "WebSocket"),
        (http(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "200"),
        (http(raw("ERROR", "message:no such command")), "HTTP"),
    ],
    ids=["silence", "half an answer", "half an upgrade", "a web page", "STOMP"],
)
def test_what_is_no_websocket_server_is_told_of_as_such(script: Script, words: str) -> None:
    error = refusal(script)
    assert any(word in error.Message for word in words.split("|")), error


def test_a_server_that_never_answers_is_given_up_in_time() -> None:
    def script(link: Link) -> None:
        while link.socket.recv(65536):
            pass

    with Peer(script) as peer, pytest.raises(STOMPConnectError, match=r"within 0\.2 s"):
        stompy.connect("ws://{}:{}/".format(*peer.address), timeout=0.2)


def test_without_the_library_the_error_names_the_extra() -> None:
    hidden = [name for name in sys.modules if name.partition(".")[0] == "websockets"]
    with Peer(Link.read) as peer, pytest.MonkeyPatch.context() as patch:
        for name in hidden:
            patch.setitem(sys.modules, name, None)
        with pytest.raises(STOMPError) as caught:
            stompy.connect("ws://{}:{}/".format(*peer.address))
    assert "websockets" in caught.value.Message
    assert "stompy-jupyter[ws]" in caught.value.hint


def test_the_library_is_loaded_only_when_it_is_needed() -> None:
    code = "import sys, stompy; print(any(m.startswith('websockets') for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# -- messages ------------------------------------------------------------------------------------


def end_of(link: Link) -> WebSocketEnd:
    assert isinstance(link.socket, WebSocketEnd)
    return link.socket


def test_text_goes_out_as_a_text_message_and_anything_else_as_a_binary_one() -> None:
    ends: list[WebSocketEnd] = []
    with session(lambda link: ends.append(end_of(link)), by="ws") as (client, _):
        client.message("/queue/Q", "grüße")
        client.message("/queue/Q", b"\xff")
    kinds = [frame.opcode for frame in ends[0].messages]
    assert kinds == [Opcode.TEXT, Opcode.TEXT, Opcode.BINARY, Opcode.TEXT]


@pytest.mark.parametrize("text", [False, True], ids=["binary", "text"])
def test_both_kinds_of_messages_are_understood(text: bool) -> None:
    def conversation(link: Link) -> None:
        link.accept()
        link.send(message("grüße".encode()))
        link.serve()

    with (
        Peer(conversation, wrap=lambda sock: WebSocketEnd(sock, text=text)) as peer,
        stompy.connect("ws://{}:{}/".format(*peer.address)) as client,
    ):
        assert client.recv(TIMEOUT).text == "grüße"


def received_from(script: Script, count: int) -> list[bytes]:
    with session(script, by="ws") as (client, _):
        return [client.recv(TIMEOUT).Body for _ in range(count)]


def test_one_message_may_hold_several_frames() -> None:
    octets = b"\n".join(message(b"%d" % number) for number in range(5))
    assert received_from(lambda link: link.send(octets), 5) == [b"0", b"1", b"2", b"3", b"4"]


def test_a_frame_may_be_spread_over_messages() -> None:
    octets = message("grüße".encode())
    portions = [octets[at : at + 1] for at in range(len(octets))]
    assert received_from(lambda link: link.send(*portions), 1) == ["grüße".encode()]


def test_a_message_may_come_in_fragments_with_a_ping_among_them() -> None:
    def script(link: Link) -> None:
        octets = message(b"one") + message(b"two")
        end = end_of(link)
        end.protocol.send_binary(octets[:10], fin=False)
        end.ping(b"now?")
        assert end.next_pong() == b"now?"
        end.protocol.send_continuation(octets[10:30], fin=False)
        end.protocol.send_continuation(octets[30:], fin=True)
        end.flush()

    assert received_from(script, 2) == [b"one", b"two"]


def test_an_empty_message_is_no_end() -> None:
    assert received_from(lambda link: link.send(b"", message(b"x")), 1) == [b"x"]


def test_what_comes_together_with_the_upgrade_is_not_lost() -> None:
    def script(link: Link) -> None:
        link.expect("CONNECT")
        link.serve()

    first = raw("CONNECTED", "version:1.2") + message(b"early")
    with (
        Peer(script, wrap=lambda sock: WebSocketEnd(sock, first=first)) as peer,
        stompy.connect("ws://{}:{}/".format(*peer.address)) as client,
    ):
        assert client.recv(TIMEOUT).Body == b"early"


# -- the end -------------------------------------------------------------------------------------


def test_an_answer_to_a_message_that_came_with_the_close_is_a_closed_connection() -> None:
    def script(link: Link) -> None:
        link.expect("SUBSCRIBE")
        end = end_of(link)
        end.protocol.send_binary(message(b"last", "ack:1"))
        end.end()  # in one piece with the message
        link.stay_silent()

    with session(script, by="ws") as (client, _):
        client.subscribe("/queue/Q", "client")
        assert client.recv(TIMEOUT).Body == b"last"
        with pytest.raises(STOMPClosed):
            client.message("/queue/Q", "too late")
        assert client.recv(TIMEOUT) is None
        assert not client.Connected


@pytest.mark.parametrize(
    "octets",
    [
        b"\xff\xff\xff\xff",
        b"\x82\x85mask12345",
        message(b"no WebSocket frame"),
        b"\x82\x7f" + (1 << 40).to_bytes(8, "big") + b"MESSAGE\n\n",
    ],
    ids=["reserved bits", "masked", "bare STOMP", "a message without end"],
)
def test_a_server_that_breaks_the_protocol_is_left_and_the_reason_says_so(octets: bytes) -> None:
    def script(link: Link) -> None:
        end_of(link).below.sendall(octets)
        link.stay_silent()

    with session(script, by="ws") as (client, _):
        assert client.recv(2) is None
        assert isinstance(client.close_reason, STOMPClosed)
        assert "the broker closed the connection" not in str(client.close_reason)


def test_the_reason_that_a_server_gives_for_its_close_is_the_close_reason() -> None:
    def script(link: Link) -> None:
        end_of(link).end(CloseCode.POLICY_VIOLATION, "slow consumer")
        link.stay_silent()

    with session(script, by="ws") as (client, _):
        assert client.recv(TIMEOUT) is None
        assert "slow consumer" in str(client.close_reason)


# -- reader and writer ---------------------------------------------------------------------------


@pytest.fixture
def full() -> Iterator[tuple[WebSocketTransport, WebSocketEnd]]:
    """A transport whose peer has not read for so long that nothing more can be written."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(TIMEOUT)
    deadline = time.monotonic() + TIMEOUT
    with Background(WebSocketEnd, theirs) as made:
        stream = WebSocketTransport.open(
            SocketTransport(ours), "ws://localhost/", wire.VERSIONS, {}, deadline
        )
    with theirs:
        with pytest.raises(STOMPTimeout):
            stream.send(bytes(4_000_000), time.monotonic())
        yield stream, made.result()
        stream.close()


def test_a_pong_that_cannot_be_written_does_not_keep_a_reader_from_its_frames(full: Any) -> None:
    ours, theirs = full
    theirs.ping(b"?")
    theirs.sendall(b"hello")
    assert ours.recv(time.monotonic() + 0.5) == b"hello"


def test_a_pong_that_cannot_be_written_does_not_hold_up_a_writers_deadline(full: Any) -> None:
    ours, theirs = full
    theirs.ping(b"?")
    with Background(ours.recv, time.monotonic() + 3) as reading:
        begin = time.monotonic()
        with pytest.raises(STOMPTimeout):
            ours.send(b"frame", time.monotonic() + 0.1)
        assert time.monotonic() - begin < 1
        theirs.sendall(b"hello")
        assert reading.result() == b"hello"


def test_a_header_that_http_cannot_carry_is_refused_without_its_value() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}/ws"
        with pytest.raises(Exception) as failed:  # noqa: PT011
            stompy.connect(url, ws_headers={"Authorization": "Bearer hush\n"}, timeout=1)
    assert "hush" not in str(failed.value)
    assert isinstance(failed.value, STOMPError)
