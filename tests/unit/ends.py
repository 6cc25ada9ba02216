"""The server's end of a connection, by each of the ways that a client may take to it.

The ends have what `Link` and the tests use of a socket.
"""

import contextlib
import io
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from tests.certificates import client_context, server_context

SUBPROTOCOLS = ("v12.stomp", "v11.stomp", "v10.stomp")


def tls_end(sock: socket.socket, **options: Any) -> socket.socket:
    """Shake hands as a TLS server; the options are those of `server_context`."""
    return server_context(**options).wrap_socket(sock, server_side=True)


class WebSocketEnd:
    """The server's end of a WebSocket: the octets of its messages, as a socket has them.

    Args:
        sock: what was accepted.
        text: whether to send text messages.
        first: what to send together with the answer to the upgrade.

    Attributes:
        protocol: the library's state; `flush` sends what it has written.
        below: the socket.
        messages: all data frames that the client sent.
    """

    def __init__(self, sock: Any, *, text: bool = False, first: bytes = b"") -> None:
        self.messages: list[Frame] = []
        self.below = sock
        self.protocol = ServerProtocol(subprotocols=SUBPROTOCOLS, max_size=None)
        self._text = text
        self._left = b""
        self._events: list[Any] = []
        request = self._next_event()
        if not isinstance(request, Request):
            raise EOFError("the client sent no HTTP request")
        self.protocol.send_response(self.protocol.accept(request))
        if first:
            self.protocol.send_binary(first)
        self.flush()

    def sendall(self, data: bytes) -> None:
        """Each call makes a message of its own."""
        (self.protocol.send_text if self._text else self.protocol.send_binary)(data)
        self.flush()

    def ping(self, data: bytes) -> None:
        self.protocol.send_ping(data)
        self.flush()

    def next_pong(self) -> bytes:
        """What the next pong holds; data that comes before it is passed over."""
        while (event := self._next_event()) is not None:
            if event.opcode is Opcode.PONG:
                return bytes(event.data)
        raise AssertionError("the client closed instead of sending a pong")

    def end(self, code: int = 1000, reason: str = "") -> None:
        """Close as the specification wants it."""
        self.protocol.send_close(code, reason)
        self.flush()

    def recv(self, size: int) -> bytes:
        while not self._left:
            event = self._next_event()
            if event is None or event.opcode is Opcode.CLOSE:
                return b""
            if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self.messages.append(event)
                self._left = bytes(event.data)
        data, self._left = self._left[:size], self._left[size:]
        return data

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(_Readable(self))

    def settimeout(self, seconds: float) -> None:
        self.below.settimeout(seconds)

    def setsockopt(self, *option: Any) -> None:
        self.below.setsockopt(*option)

    def shutdown(self, how: int) -> None:
        self.below.shutdown(how)

    def close(self) -> None:
        """Cut it off."""
        self.below.close()

    def flush(self) -> None:
        """Send what the protocol has written, in one piece."""
        written = self.protocol.data_to_send()
        self.below.sendall(b"".join(written))
        if b"" in written:  # so it says that there is no more
            self.below.shutdown(socket.SHUT_WR)

    def _next_event(self) -> Any:
        while not self._events:
            data = self.below.recv(65536)
            if not data:
                return None
            self.protocol.receive_data(data)
            self._events = self.protocol.events_received()
            with contextlib.suppress(OSError):  # an answer to a close may find nobody
                self.flush()
        return self._events.pop(0)


class _Readable(io.RawIOBase):
    def __init__(self, end: WebSocketEnd) -> None:
        self._end = end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._end.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)


@contextlib.contextmanager
def tcp_listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@contextlib.contextmanager
def unix_listener() -> Iterator[socket.socket]:
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.socket(socket.AF_UNIX) as listener,
    ):
        listener.bind(str(Path(folder) / "stomp.sock"))
        listener.listen()
        yield listener


class Way(NamedTuple):
    """How a client reaches a peer, and what the peer does with a socket that it has accepted.

    Attributes:
        url: the address to connect to; ``{0}`` and ``{1}`` are what the listener is bound to.
        options: makes more arguments for `stompy.connect`.
    """

    url: str
    wrap: Callable[[socket.socket], Any] = lambda sock: sock
    options: Callable[[], dict[str, Any]] = dict
    listener: Callable[[], AbstractContextManager[socket.socket]] = tcp_listener

    def address(self, listener: socket.socket) -> str:
        bound = listener.getsockname()
        return self.url.format(*([bound] if isinstance(bound, str) else bound))


def _trusting() -> dict[str, Any]:
    return {"tls": client_context()}


WAYS = {
    "tcp": Way("stomp://{0}:{1}"),
    "unix": Way("stomp+unix://{0}", listener=unix_listener),
    "tls": Way("stomp+ssl://{0}:{1}", tls_end, _trusting),
    "ws": Way("ws://{0}:{1}/ws", WebSocketEnd),
    "wss": Way("wss://{0}:{1}/ws", lambda sock: WebSocketEnd(tls_end(sock)), _trusting),
}
