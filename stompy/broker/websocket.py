"""Clients that come by WebSocket, by the sans-I/O half of the `websockets` library."""

from __future__ import annotations

import ipaddress
import logging
import re
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import SEND_EOF, State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from stompy import wire
from stompy.broker.connection import Connection, place_of
from stompy.wire import MAX_HEAD

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from websockets.http11 import Response
    from websockets.protocol import Event

    from stompy.broker.engine import Engine

MAX_BEFORE_CONNECT = 2 * 1024 * 1024
"""Octets that a client may send before its CONNECT is complete."""

_log = logging.getLogger("stompy.broker.websocket")
_log.setLevel(logging.WARNING)  # the library tells of each that comes and goes
_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)
_PLACE = re.compile(r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})

_WRONG_DOOR = (
    b"ERROR\nmessage:this is the WebSocket port\ncontent-type:text/plain\n\n"
    b"STOMP without a WebSocket has a port of its own on this broker.\n\0"
)
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    b"Content-Length: 17\r\n\r\ntoo many clients\n"
)
_NO_PAGE = """\
There is no page here: this is the WebSocket port of a STOMP broker. A page connects to it by

    const socket = new WebSocket("{url}", ["v12.stomp"]);
    socket.onopen = () => socket.send("CONNECT\\naccept-version:1.2\\nhost:/\\n\\n\\0");
    socket.onmessage = (message) => console.log(message.data);
"""


class WebSocketConnection(Connection):
    """One client, by WebSocket. Each frame is a message of its own, in text where it is text.

    A page of any web site could connect to a broker on its reader's machine, were it not for the
    ``Origin`` that browsers send: it has to be this machine, the address that was connected to, or
    one of `origins`. A name that was connected to does not count: any name may lead here.
    """

    whole_frames = True

    def __init__(self, engine: Engine, scheme: str, origins: Sequence[str]) -> None:
        super().__init__(engine, scheme)
        self._origins = origins
        self._received = 0
        self._upgraded = False
        self._protocol = ServerProtocol(
            select_subprotocol=_newest,
            max_size=engine.rules.limits.max_body + MAX_HEAD,
            logger=_log,
        )

    def data_received(self, data: bytes) -> None:
        if not self._received and data.startswith((b"CONNECT\n", b"CONNECT\r", b"STOMP")):
            self._note_refused("STOMP on the WebSocket port")
            self._transport.write(_WRONG_DOOR)
            self.shut()
            return
        self._received += len(data)
        self._protocol.receive_data(data)
        events = self._protocol.events_received()
        self._part = 0 if events else self._part + len(data)
        self._handle(events)
        self._engine.flush()
        if self.session.version is None and self._received > MAX_BEFORE_CONNECT:
            self.cut()

    def eof_received(self) -> bool:
        self._protocol.receive_eof()
        self._handle(self._protocol.events_received())
        return super().eof_received()

    def turn_away(self) -> None:
        self._transport.write(_FULL)
        super().turn_away()

    def transmit(self, pieces: Iterable[bytes | memoryview]) -> None:
        if self._protocol.state is not State.OPEN:
            return
        for piece in pieces:
            if _is_text(piece):
                self._protocol.send_text(piece)
            else:
                self._protocol.send_binary(piece)
        self._send_waiting()

    def say_goodbye(self) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(1000)
            self._send_waiting()
        elif self._eof or not self._protocol.close_expected():
            self._transport.close()

    def shut(self) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(1001)
            self._send_waiting()
        super().shut()

    def _handle(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Request):
                answer = self._answer(event)
                self._protocol.send_response(answer)
                self._upgraded = answer.status_code == HTTPStatus.SWITCHING_PROTOCOLS
            elif isinstance(event, Frame) and event.opcode in _DATA and self._upgraded:
                self.take_in(bytes(event.data))
        self._send_waiting()
        if self._protocol.close_expected():
            self.no_more("the WebSocket is closed")
        else:
            self.go_on()

    def _send_waiting(self) -> None:
        data = self._protocol.data_to_send()
        if self._transport.is_closing():
            return
        if octets := b"".join(data):
            self._transport.write(octets)
        if SEND_EOF not in data:
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _answer(self, request: Request) -> Response:
        origins, hosts = (request.headers.get_all(name) for name in ("Origin", "Host"))
        if len(origins) > 1 or len(hosts) > 1:
            return self._protocol.reject(HTTPStatus.BAD_REQUEST, "One Origin and one Host.\n")
        host = "".join(hosts)
        if origins and not self._allows(origins[0], host):
            self._note_refused(f"a WebSocket of a page of {origins[0]}")
            return self._protocol.reject(
                HTTPStatus.FORBIDDEN,
                f"Pages of {origins[0]} may not connect: see the broker's origins.\n",
            )
        answer = self._protocol.accept(request)
        if answer.status_code == HTTPStatus.UPGRADE_REQUIRED:
            return self._no_page(host)
        return answer

    def _no_page(self, host: str) -> Response:
        """Tell somebody who looks with a browser what is here."""
        if not _PLACE.fullmatch(host):
            host = place_of(self._transport.get_extra_info("sockname"))
        text = _NO_PAGE.format(url=f"{self._scheme}://{host}/")
        answer = self._protocol.reject(HTTPStatus.UPGRADE_REQUIRED, text)
        answer.headers["Upgrade"] = "websocket"
        return answer

    def _note_refused(self, detail: str) -> None:
        self._engine.rules.log.note("refused", self.session.id, detail=detail)

    def _allows(self, origin: str, host: str) -> bool:
        if "*" in self._origins or origin in self._origins:
            return True
        page = _host_of(origin)
        return page in _HERE or (_is_address(page) and page == _host_of(f"//{host}"))


def _is_address(host: str | None) -> bool:
    try:
        ipaddress.ip_address(host or "")
    except ValueError:
        return False
    return True


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _newest(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    names = (wire.SUBPROTOCOLS[version] for version in reversed(wire.VERSIONS))
    return next((Subprotocol(name) for name in names if name in offered), None)


def _is_text(piece: bytes | memoryview) -> bool:
    try:
        str(piece, "utf-8")
    except UnicodeDecodeError:
        return False
    return True
