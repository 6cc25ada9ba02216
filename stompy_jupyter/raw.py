"""Octets as they are: a connection for frames typed by hand, and that of a session as another."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from stompy import STOMPClosed, STOMPConnectError, STOMPProtocolError, Tape, TracedFrame
from stompy.address import UNIX, Address, parse_address
from stompy.errors import error_text
from stompy.heartbeat import agree
from stompy.transport import SocketTransport, open_tcp, open_unix
from stompy_jupyter.display import visible
from stompy_jupyter.trace import FrameTrace
from stompy_jupyter.typed import masked_octets, passcode_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

    from stompy import STOMPFrame
    from stompy.wire import FrameDecoder
    from stompy_jupyter.session import StompSession
    from stompy_jupyter.trace import TraceEntry

CONNECT_LIMIT, SEND_LIMIT = 8.0, 10.0
"""Seconds that the operating system may take to connect, and a broker to read what is sent."""

POLL = 0.01
"""Seconds between two looks at a trace, which tells nobody of its own accord."""

LINGER = 0.2
"""Seconds within which a broker that closes after an ERROR has done so."""


class Way(Protocol):
    """A way for octets to a broker.

    Attributes:
        name: what it is called, for people.
        trace: what passes on it.
        version: the version agreed on; None before CONNECTED.
        closed: why it has ended; None while it is there.
    """

    @property
    def name(self) -> str: ...
    @property
    def trace(self) -> FrameTrace: ...
    @property
    def version(self) -> str | None: ...
    @property
    def closed(self) -> str | None: ...
    def send(self, octets: bytes) -> None: ...


class RawConnection:
    """A TCP connection, or one over a Unix socket, for frames typed by hand.

    It sends what it is given, right or wrong, and nothing else: no CONNECT, and no heart-beats. A
    thread reads what comes. It ends when the broker closes it, or has refused CONNECT.

    Args:
        address: as for `stompy.connect`, without TLS and WebSocket.
        first: the frame that is to be sent first; a passcode in it is masked wherever it comes
            back. Nothing is sent yet.

    Attributes:
        address: where it goes to.
        trace: what has passed, as `StompSession.trace`.
        closed: why it has ended, for people; None while it is open.
        beat: milliseconds of the heart-beat that the broker expects; 0 is never.

    Raises:
        STOMPConnectError: nothing listens there.

    Example:
        >>> raw = RawConnection("localhost:61613")
        >>> raw.send(b"CONNECT\\naccept-version:1.2\\nhost:/\\n\\n\\x00")
        >>> raw.trace
    """

    def __init__(self, address: Any, first: bytes = b"") -> None:
        where = parse_address(address)
        self.address = str(where)
        self.closed: str | None = None
        self.beat = 0
        self._secret = passcode_of(first)
        self.trace = FrameTrace([self._secret] if self._secret else [])
        self.trace.name = self.name
        tape = self.trace.beside(None)
        assert isinstance(tape, Tape)
        self._tape = tape
        self._decoder: FrameDecoder = tape.decoder()
        self._offer: str | None = None  # the heart-beat header of our CONNECT
        self._error: STOMPFrame | None = None
        self._sent_at = time.monotonic()
        self._transport = _open(where)
        self._lock = threading.Lock()  # nobody sends when the descriptor is given back
        name = f"stomp-raw-{self.address}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """What it is called."""
        return f"the connection by hand to {self.address}"

    @property
    def version(self) -> str | None:
        """The version agreed on; None before CONNECTED."""
        return self._decoder.version

    def send(self, octets: bytes) -> None:
        """Send octets as they are.

        Raises:
            STOMPClosed: the connection has ended.
        """
        with self._lock:
            if self.closed is not None:
                raise STOMPClosed(f"{self.name} has ended: {self.closed}")
            # Noted before: the answer may be read before this thread comes to it again.
            self._tape.passed(True, masked_octets(octets), self.version)
            self._sent_at = time.monotonic()
            if self.version is None:
                frame = TracedFrame(0.0, True, octets, None).frame
                self._offer = frame.get("heart-beat") if frame is not None else None
            try:
                self._transport.send(octets, self._sent_at + SEND_LIMIT)
            except OSError as error:
                self._end(f"it broke: {error.strerror or error}")
                raise STOMPClosed(f"{self.name} broke", hint="CONNECT opens another") from error

    def close(self) -> None:
        """Close it, without a goodbye. Twice is fine."""
        self._end("it was closed here")
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = f"ended: {self.closed}" if self.closed else "open"
        return visible(f"<RawConnection {self.address} {state}, STOMP {self.version or '?'}>", 1000)

    # -- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while data := self._transport.recv(None):
                self._decoder.feed(data)
                for frame in self._decoder.frames():
                    self._take(frame)
            self._tape.ended()  # what came may be no frame, or the half of one
            self._end(self._why())
        except STOMPProtocolError as error:
            self._end(f"what came is no STOMP: {error.Message}")
        except OSError as error:
            self._end(f"it broke: {error.strerror or error}")
        with self._lock:
            self._transport.close()

    def _take(self, frame: STOMPFrame) -> None:
        if frame.Command == "ERROR":
            self._error = frame
            if self.version is None:  # some brokers leave it open then
                self._end(f"the broker refused it: {error_text(frame)}")
        elif frame.Command == "CONNECTED":
            self.beat = _promised(self._offer, frame.get("heart-beat"))

    def _why(self) -> str:
        """Why the broker has closed it, as far as that can be told."""
        why = "the broker closed it"
        if self._error is not None:
            why += f" after ERROR: {error_text(self._error)}"
        silent = 1000 * (time.monotonic() - self._sent_at)
        if 0 < self.beat < silent:
            why += (
                f"; it had been promised a heart-beat every {self.beat} ms, and here is none sent"
            )
        return why

    def _end(self, why: str) -> None:
        if self.closed is None:
            self.closed = why.replace(self._secret, "***") if self._secret else why
        self._transport.shutdown()


def _open(where: Address) -> SocketTransport:
    """A connected socket."""
    if where.tls or where.websocket:
        raise STOMPConnectError(
            f"no frames by hand to {where}",
            hint="give an address of plain TCP: --address host:port",
        )
    deadline = time.monotonic() + CONNECT_LIMIT
    try:
        if where.scheme == UNIX:
            return open_unix(where.path, deadline)
        return open_tcp(where.host, where.port, deadline)
    except OSError as error:
        reason = getattr(error, "strerror", None) or error
        raise STOMPConnectError(
            f"cannot connect to {where}: {reason}", hint="start the broker, or check the address"
        ) from error


def _promised(ours: str | None, theirs: str | None) -> int:
    """Milliseconds of the heart-beats that we send, by both headers; 0 is never."""
    can_send = agree((0, 1), ours)[1]
    return agree((can_send, 0), theirs)[0]


class SessionWay:
    """The connection of a session, as a way for octets."""

    def __init__(self, session: StompSession) -> None:
        self._session = session
        self._reconnects = session.reconnects

    @property
    def name(self) -> str:
        """What it is called."""
        return f"the connection of the session {self._session.name}"

    @property
    def trace(self) -> FrameTrace:
        """The session's."""
        return self._session.trace

    @property
    def version(self) -> str | None:
        """The version agreed on."""
        return self._session.client.version

    @property
    def closed(self) -> str | None:
        """Whether the connection that there was has ended."""
        session = self._session
        if session.state == "connected" and session.reconnects == self._reconnects:
            return None
        back = "; the session comes back by itself" if session.alive else ""
        return f"the broker closed it{back}"

    def send(self, octets: bytes) -> None:
        """Send octets as they are; a connection that was lost is waited for."""
        self._session.wait_connected()
        self._reconnects = self._session.reconnects
        self._session.send_octets(octets)


# -- saying something, and hearing what is said ----------------------------------------------


class Exchange(NamedTuple):
    """What was sent, and what came back.

    Attributes:
        sent: the frame, as the trace has it; None if that has no room for it.
        answers: what came until the answer was clear or the time was up, without heart-beats.
        closed: why the connection has ended; None while it is there.
    """

    sent: TraceEntry | None
    answers: list[TraceEntry]
    closed: str | None


def exchange(
    way: Way,
    octets: bytes,
    clear: Callable[[TraceEntry], bool],
    limit: float,
    ends: bool = False,
) -> Exchange:
    """Send octets, and wait for what comes back.

    Args:
        way: where they go.
        octets: as they are.
        clear: whether a frame is the answer that is waited for; an ERROR and the end always are.
        limit: seconds to wait at the most.
        ends: whether the connection is to end with the answer, as it does after an ERROR.

    Raises:
        STOMPClosed: nothing could be sent.
    """
    newest = way.trace.newest(1)
    begin = newest[-1].number + 1 if newest else 0
    way.send(octets)
    deadline = time.monotonic() + limit
    while True:
        closed = way.closed  # first: then all that came before the end is in the trace
        sent, answers = _since(way.trace, begin, octets)
        if closed is not None or time.monotonic() > deadline:
            return Exchange(sent, answers, closed)
        answered = any(map(clear, answers))
        if any(answer.command == "ERROR" for answer in answers) or (answered and ends):
            deadline = min(deadline, time.monotonic() + LINGER)
        elif answered:
            return Exchange(sent, answers, None)
        time.sleep(POLL)


def _since(
    trace: FrameTrace, begin: int, octets: bytes
) -> tuple[TraceEntry | None, list[TraceEntry]]:
    """What was sent, and what came behind it."""
    entries = trace.since(begin)
    shown = masked_octets(octets)
    at = next((i for i, e in enumerate(entries) if e.sent and e.octets == shown), None)
    if at is None:
        return None, []
    came = (entry for entry in entries[at:] if not entry.sent)
    return entries[at], [entry for entry in came if entry.command != "heart-beat"]
