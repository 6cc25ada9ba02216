"""STOMP over WebSocket: a `Transport` by the sans-I/O half of the `websockets` library."""

from __future__ import annotations

import contextlib
import errno
import threading
import time
from typing import TYPE_CHECKING

from stompy.errors import STOMPClosed, STOMPError, STOMPTimeout
from stompy.transport import turn_to_write
from stompy.wire import SUBPROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from websockets.client import ClientProtocol

    from stompy.transport import Transport


class WebSocketTransport:
    """A `Transport` over the messages of a WebSocket.

    How frames of STOMP lie in messages of the WebSocket does not matter when reading. When
    writing, text goes out as a text message, anything else as a binary one.
    """

    def __init__(self, raw: Transport, protocol: ClientProtocol) -> None:
        self._raw = raw
        self._protocol = protocol
        self._lock = threading.Lock()  # guards the protocol's state
        self._writing = threading.Lock()  # keeps the order of what it has written

    @classmethod
    def open(
        cls,
        raw: Transport,
        uri: str,
        versions: Sequence[str],
        headers: Mapping[str, str],
        deadline: float,
        max_size: int | None = None,
    ) -> WebSocketTransport:
        """Upgrade a connection to a WebSocket.

        Args:
            raw: the connection below, with TLS for ``wss``.
            uri: ``ws://host:port/path`` or ``wss://…``.
            versions: the STOMP versions to offer as subprotocols.
            headers: more headers of the HTTP request.
            deadline: when to give up.
            max_size: octets that one message may have.

        Raises:
            STOMPError: the library is not installed, or the server refuses the upgrade.
        """
        protocol = _new_protocol(uri, versions, max_size)
        request = protocol.connect()
        for name, value in headers.items():
            request.headers[name] = value
        protocol.send_request(request)
        self = cls(raw, protocol)
        self._flush(deadline)
        while protocol.handshake_exc is None and not self._upgraded():
            data = raw.recv(deadline)
            self._take(data)
            if not data and not _is_answer(protocol.handshake_exc):
                raise STOMPClosed("the server closed the connection instead of upgrading it")
        if protocol.handshake_exc is not None:
            raise STOMPError(
                f"no WebSocket: {protocol.handshake_exc}",
                hint="check port and path; RabbitMQ's are ws://host:15674/ws",
            ) from protocol.handshake_exc
        return self

    def recv(self, deadline: float | None) -> bytes:
        while True:
            with self._lock:
                events = self._protocol.events_received()
            data = b"".join(_payload(event) for event in events)
            if data:
                return data
            if self._ended():
                self._check_end()
                return b""
            self._take(self._raw.recv(deadline))
            # Answers to pings, and to a close. What the peer does not take now goes out with the
            # next frame: a reader does not wait for it. A break shows when it reads again.
            with contextlib.suppress(STOMPTimeout, OSError):
                self._flush(time.monotonic())

    def read(self, into: list[bytes], deadline: float | None) -> None:
        into.append(self.recv(deadline))

    def send(self, data: bytes, deadline: float | None) -> None:
        with self._lock:
            if self._ended():  # by the other side, and the reader does not know yet
                raise BrokenPipeError(errno.EPIPE, "the WebSocket is closed")
            if _is_text(data):
                self._protocol.send_text(data)
            else:
                self._protocol.send_binary(data)
        self._flush(deadline)

    def readable(self) -> bool:
        return self._raw.readable()

    def shutdown(self) -> None:
        with contextlib.suppress(Exception):  # a goodbye: what is wrong with it is of no interest
            with self._lock:
                self._protocol.send_close(1000)
            self._flush(time.monotonic())
        self._raw.shutdown()

    def close(self) -> None:
        self._raw.close()

    def _upgraded(self) -> bool:
        from websockets.protocol import State

        return self._protocol.state is State.OPEN

    def _ended(self) -> bool:
        from websockets.protocol import State

        return self._protocol.state in (State.CLOSING, State.CLOSED)

    def _check_end(self) -> None:
        """Raise when the end was not a plain one."""
        broken, close = self._protocol.parser_exc, self._protocol.close_rcvd
        if broken is not None and not isinstance(broken, EOFError):
            raise STOMPClosed(f"the connection broke: {broken}")
        if close is not None and (close.reason or close.code not in (1000, 1001, 1005)):
            why = f"{close.reason} ({close.code})" if close.reason else f"code {close.code}"
            raise STOMPClosed(f"the broker closed the connection: {why}")

    def _take(self, data: bytes) -> None:
        with self._lock:
            if data:
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()

    def _flush(self, deadline: float | None) -> None:
        with turn_to_write(self._writing, deadline):
            with self._lock:
                data = b"".join(self._protocol.data_to_send())
            self._raw.send(data, deadline)


def _new_protocol(uri: str, versions: Sequence[str], max_size: int | None) -> ClientProtocol:
    try:
        from websockets.client import ClientProtocol
        from websockets.typing import Subprotocol
        from websockets.uri import parse_uri
    except ImportError as error:
        raise STOMPError(
            "ws:// and wss:// need the websockets library",
            hint='pip install "stompy-jupyter[ws]"',
        ) from error
    offered = [Subprotocol(SUBPROTOCOLS[version]) for version in sorted(versions, reverse=True)]
    # The decoder sees a message when it is complete, so this bounds the memory before that.
    return ClientProtocol(parse_uri(uri), subprotocols=offered, max_size=max_size)


def _is_answer(error: Exception | None) -> bool:
    """Whether the server has answered, if only by a refusal."""
    from websockets.exceptions import InvalidStatus

    return isinstance(error, InvalidStatus)


def _payload(event: object) -> bytes:
    """What of an event is part of the stream: the octets of data frames."""
    from websockets.frames import Frame, Opcode

    if isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
        return bytes(event.data)
    return b""


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
