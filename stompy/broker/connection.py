"""A client's socket: octets between the transport and the session. In the event loop's thread."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from collections import deque
from typing import TYPE_CHECKING

from stompy.broker.faults import NO_FAULTS, FaultyLine
from stompy.broker.refusal import Refusal
from stompy.broker.session import UNREAD_LIMIT, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stompy.broker.engine import Engine
    from stompy.broker.faults import Faults

SEND_SIZE = 256 * 1024
"""Octets that are handed to the operating system at a time."""
TURN_SIZE = 1024 * 1024
"""Octets that are sent to a client before it is the others' turn, however fast it reads."""
TURN_TIME = 0.05
"""Seconds for which frames of a client are handled before it is the others' turn."""
PORTION = 16 * 1024
"""Octets of a client that are handled without a look at the clock; later ones may be longer."""
READ_SIZE = 256 * 1024
"""Octets that asyncio reads at a time."""
LINGER = 2.0
"""Seconds in which a client that is to go has to read something, or the connection is cut."""


class Connection(asyncio.Protocol):
    """One client, by TCP, TLS or a Unix socket.

    Args:
        engine: what it is part of.
        scheme: how it is come by: ``stomp``, ``stomp+ssl``, ``stomp+unix``, ``ws``, ``wss``.
    """

    whole_frames = False
    """Whether each piece of output has to be a whole frame."""

    def __init__(self, engine: Engine, scheme: str) -> None:
        self._engine = engine
        self._scheme = scheme
        self._since = time.time()
        self._writable = True
        self._reading = True
        self._come: deque[bytes | memoryview] = deque()  # not handled yet
        self._come_size = 0
        self._part = 0  # octets of a WebSocket message that is not complete
        self._over = ""  # why nothing more is to be taken in
        self._eof = False  # nothing more can come
        self._turn_is_due = False
        self._leaving = False
        self._unsent: tuple[int, ...] | None = None  # when it was looked at last, at the end
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._line: FaultyLine | None = None

    # -- what asyncio calls ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=SEND_SIZE)
        self._peer = transport.get_extra_info("peername")
        self._socket = transport.get_extra_info("socket")
        self.session = Session(
            self._engine.rules,
            self._engine.next_id(),
            self._now(),
            self._has_output,
            self.whole_frames,
        )
        self._engine.joined(self)
        self._tick()
        self._engine.flush()

    def data_received(self, data: bytes) -> None:
        self.take_in(data)
        self.go_on()
        self._engine.flush()

    def eof_received(self) -> bool:
        """The client has closed its side. It still gets what was put out for it."""
        self._eof = True
        self.no_more("the client has closed its side")
        if not self._transport.can_write_eof():  # TLS: asyncio closes now, after what it has
            self._handle_come(float("inf"))
            self._hand_over()
            self._watch_progress()
        self._engine.flush()
        return self._transport.can_write_eof() and not self._leaving

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        # Not at once: asyncio is in the middle of writing, and may find the connection lost.
        self._have_a_turn()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in self._timers.values():
            timer.cancel()
        with contextlib.suppress(OSError):  # it is closed already
            # A child process may have a copy, which stays open.
            self._socket.shutdown(socket.SHUT_RDWR)
        self.session.end("the connection is lost")
        self._engine.left(self)
        self._engine.flush()

    # -- what the engine calls ---------------------------------------------------------------

    def pump(self) -> None:
        """Send what the session has put out, as far as the client reads it."""
        sent = 0
        while self._can_send():
            if sent >= TURN_SIZE:
                self._have_a_turn()
                break
            pieces = self.session.take_output(SEND_SIZE, self._now())
            sent += sum(map(len, pieces))
            if self._line is None:
                self.transmit(pieces)
            else:
                self._line.put(pieces, self._now())
                self._follow_line()
            if not self.session.outbox.size:  # now: taking may have led to more
                break
        self.read_or_wait()
        if self.session.closing:
            self._leave()

    def turn_away(self) -> None:
        """There are too many clients: say so and close."""
        most = f"This broker serves no more than it has now: {self._engine.max_clients}."
        self.session.refuse(Refusal("too many clients", most))
        self._has_output()

    def set_faults(self, faults: Faults) -> None:
        """Have faults on the line from now on, or none any more."""
        if self._leaving or (self._line is not None and self._line.cut):
            return
        begun = self.session.outbox.make_whole()
        if self._line is not None:
            begun = [*self._line.rest(self._now()), *begun]
        self.transmit(begun)
        self._line = None if faults == NO_FAULTS else FaultyLine(faults)
        self.session.outbox.whole_frames = self.whole_frames or self._line is not None
        self.session.forgive(faults.duplicate)
        self.pump()

    def close(self) -> None:
        """The broker stops: send what is left, then close."""
        if not self._leaving:
            self._leaving = True
            self.session.finish()
            self._hand_over()
        self.shut()

    def shut(self) -> None:
        """Close when what was transmitted is sent."""
        self._transport.close()

    def cut(self) -> None:
        """Close now."""
        self._transport.abort()

    def described(self) -> dict[str, object]:
        """What it is, and what its session does, as plain data."""
        return {
            **self.session.described(),
            "scheme": self._scheme,
            "address": place_of(self._peer),
            "connected_at": self._since,
        }

    # -- what other ways to connect do in their own way ---------------------------------------

    def transmit(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Hand octets to the transport."""
        if octets := b"".join(pieces):
            self._transport.write(octets)

    def say_goodbye(self) -> None:
        """Close so that the last frame arrives: a reset would swallow it (STOMP 1.2,
        "Connection Lingering"), so the sending side ends first and the client may close."""
        if self._transport.can_write_eof() and not self._eof:
            with contextlib.suppress(OSError):  # the client has left at once
                self._transport.write_eof()
        else:
            self._transport.close()

    # -- what comes --------------------------------------------------------------------------

    def take_in(self, data: bytes) -> None:
        """Take octets of STOMP from the client; `go_on` handles them."""
        self._come.append(data if len(data) <= PORTION else memoryview(data))
        self._come_size += len(data)

    def no_more(self, why: str) -> None:
        """The session is over when all that has come is handled."""
        self._over = self._over or why
        self.go_on()

    def go_on(self) -> None:
        """Handle what has come, in order; after a while the others have their turn."""
        self._handle_come(TURN_TIME)
        self._count_come()
        if self.session.closing:
            self._has_output()
        self.read_or_wait()

    def _handle_come(self, seconds: float) -> None:
        until = self._now() + seconds
        size = PORTION
        while self._come and not self._is_crowded():
            portion = self._come.popleft()
            if len(portion) > size:
                self._come.appendleft(portion[size:])
                portion = portion[:size]
            size *= 2  # what was quick so far will not take much longer
            self._come_size -= len(portion)
            self._count_come()
            self._receive(bytes(portion))
            if self._now() > until:
                break
        if self._over and not self._come:
            self.session.end(self._over)

    def _count_come(self) -> None:
        """Have counted as memory what waits, beyond what asyncio reads at a time anyway."""
        self.session.hold(self._part + max(0, self._come_size - READ_SIZE))

    def _receive(self, data: bytes) -> None:
        version = self.session.version
        self.session.receive(data, self._now())
        if self.session.version != version:
            self._tick()  # heart-beats were agreed

    # -- timers and pressure -----------------------------------------------------------------

    def _now(self) -> float:
        return self._engine.now()

    def _has_output(self) -> None:
        self._engine.will_send(self)

    def _after(self, seconds: float, method: Callable[[], None]) -> None:
        """Call a method after so many seconds, and not when it was to be called before."""
        if timer := self._timers.pop(method.__name__, None):
            timer.cancel()
        self._timers[method.__name__] = self._engine.later(seconds, method)

    def _have_a_turn(self) -> None:
        """Go on when others have had their turn."""
        if not self._turn_is_due:
            self._turn_is_due = True
            self._after(0, self._turn)

    def _turn(self) -> None:
        self._turn_is_due = False
        self.go_on()
        self.pump()

    def _tick(self) -> None:
        if not self._reading:
            self.session.receive(b"", self._now())  # it may well beat: we do not look
        wait = self.session.tick(self._now())
        if wait is not None:
            self._after(wait, self._tick)
        if self.session.closing:
            self._has_output()

    def read_or_wait(self) -> None:
        """Take no more from a client that does not read the answers, or has sent enough."""
        crowded = self._is_crowded()
        if self._come and not crowded:
            self._have_a_turn()
        wait = crowded or bool(self._come)
        if self._over or wait != self._reading:
            return
        self._reading = not wait
        if wait:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _is_crowded(self) -> bool:
        """Whether the client does not read the answers."""
        waiting = max(self.session.outbox.size, self._transport.get_write_buffer_size())
        return waiting > 2 * UNREAD_LIMIT and not self.session.closing and not self._over

    def _can_send(self) -> bool:
        free = self._line is None or self._line.size < SEND_SIZE
        return free and self._writable and not self._leaving and not self._transport.is_closing()

    def _leave(self) -> None:
        """The session has ended: close when all is sent, or when that comes to a halt."""
        unsent = self.session.outbox.size + (self._line.size if self._line else 0)
        if not unsent and not self._leaving:
            self._leaving = True
            self.say_goodbye()
        self._watch_progress()

    def _watch_progress(self) -> None:
        if self._unsent is None:
            self._check_progress()

    def _check_progress(self) -> None:
        unsent = (
            self.session.octets_sent,
            self._transport.get_write_buffer_size(),
            _unsent_by_the_system(self._socket),
        )
        late = self._line is not None and self._line.size and not self._leaving
        if unsent == self._unsent and not late:
            self.cut()
        else:
            self._unsent = unsent
            self._after(LINGER, self._check_progress)

    def _hand_over(self) -> None:
        """Hand all to the transport, which sends it before it closes."""
        if self._line is not None:
            self.transmit(self._line.rest(self._now()))
            self._line = None
        self.transmit(self.session.outbox.take(self.session.outbox.size))

    # -- a line with faults ------------------------------------------------------------------

    def _follow_line(self) -> None:
        """Transmit what arrives at the end of a faulty line, when it does."""
        line = self._line
        if line is None or self._leaving:
            return
        self.transmit(line.take(self._now()))
        if line.cut and not line.size:
            self._leaving = True
            self.session.end("cut off by a fault")
            self.shut()
            self._watch_progress()
            return
        at = line.next_at()
        if at is not None:
            self._after(at - self._now(), self._line_moved)

    def _line_moved(self) -> None:
        self._follow_line()
        self.pump()


def place_of(address: object) -> str:
    """Host and port as people write them; nothing of what has none, as Unix sockets."""
    if not isinstance(address, tuple):
        return ""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _unsent_by_the_system(sock: socket.socket) -> int:
    """Octets that were handed to the operating system and that the client has no room for; 0 where
    that is not known."""
    try:
        import fcntl
        import termios

        answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
    except (ImportError, OSError, ValueError):  # Windows; a system that does not say; it is lost
        return 0
    return int.from_bytes(answer, sys.byteorder)
