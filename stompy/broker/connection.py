"""A client's socket: octets between the transport and the session. In the event loop's thread."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from stompy.broker.faults import NO_FAULTS, FaultyLine
from stompy.broker.session import UNREAD_LIMIT, Session

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stompy.broker.engine import Engine
    from stompy.broker.faults import Faults

SEND_SIZE = 256 * 1024
"""Octets that are handed to the operating system at a time."""
LINGER = 2.0
"""Seconds that a client has to read the broker's last words before the connection is cut."""


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
        self._leaving = False
        self._unsent: tuple[int, int] | None = None  # when it was looked at last, at the end
        self._timer: asyncio.TimerHandle | None = None
        self._line: FaultyLine | None = None
        self._line_timer: asyncio.TimerHandle | None = None

    # -- what asyncio calls ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=SEND_SIZE)
        self._peer = transport.get_extra_info("peername")
        self.session = Session(
            self._engine.rules,
            self._engine.next_id(),
            self._now(),
            self._has_output,
            self.whole_frames,
        )
        self._engine.joined(self)
        self._tick()

    def data_received(self, data: bytes) -> None:
        self.take_in(data)
        self._engine.flush()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        # Not at once: asyncio is in the middle of writing, and may find the connection lost.
        self._engine.later(0, self.pump)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._timer, self._line_timer):
            if timer is not None:
                timer.cancel()
        self.session.end("the connection is lost")
        self._engine.left(self)
        self._engine.flush()

    # -- what the engine calls ---------------------------------------------------------------

    def pump(self) -> None:
        """Send what the session has put out, as far as the client reads it."""
        while self._can_send():
            pieces = self.session.take_output(SEND_SIZE, self._now())
            if not pieces:
                break
            if self._line is None:
                self.transmit(pieces)
            else:
                self._line.put(pieces, self._now())
                self._follow_line()
        self.read_or_wait()
        if self.session.closing:
            self._leave()

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
        self.pump()

    def close(self) -> None:
        """The broker stops: send what is left, then close."""
        if not self._leaving:
            self._leaving = True
            self.session.finish()
            if self._line is not None:
                self.transmit(self._line.rest(self._now()))
                self._line = None
            self.transmit(self.session.outbox.take(self.session.outbox.size))
        self.shut()

    def shut(self) -> None:
        """Close when what was transmitted is sent."""
        self._transport.close()

    def cut(self) -> None:
        """Close now."""
        self._transport.abort()

    def described(self) -> dict[str, object]:
        """What it is, and what its session does, as plain data."""
        host = self._peer[:2] if isinstance(self._peer, tuple) else ("", "")
        return {
            **self.session.described(),
            "scheme": self._scheme,
            "address": "{}:{}".format(*host).strip(":"),
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
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()
        self._engine.later(LINGER, self.cut)

    def take_in(self, data: bytes) -> None:
        """Take octets of STOMP from the client."""
        version = self.session.version
        self.session.receive(data, self._now())
        if self.session.version != version:
            self._tick()  # heart-beats were agreed
        if self.session.closing:
            self._has_output()
        self.read_or_wait()

    # -- timers and pressure -----------------------------------------------------------------

    def _now(self) -> float:
        return self._engine.now()

    def _has_output(self) -> None:
        self._engine.will_send(self)

    def _tick(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._reading:
            self.session.receive(b"", self._now())  # it may well beat: we do not look
        wait = self.session.tick(self._now())
        self._timer = None if wait is None else self._engine.later(wait, self._tick)
        if self.session.closing:
            self._has_output()
        self._engine.flush()

    def read_or_wait(self) -> None:
        """Take no more from a client that does not read the answers."""
        waiting = max(self.session.outbox.size, self._transport.get_write_buffer_size())
        crowded = waiting > 2 * UNREAD_LIMIT and not self.session.closing
        if crowded and self._reading:
            self._reading = False
            self._transport.pause_reading()
        elif not crowded and not self._reading:
            self._reading = True
            self._transport.resume_reading()

    def _can_send(self) -> bool:
        free = self._line is None or self._line.size < SEND_SIZE
        return free and self._writable and not self._leaving and not self._transport.is_closing()

    def _leave(self) -> None:
        """The session has ended: close when all is sent, or when that comes to a halt."""
        unsent = self.session.outbox.size + (self._line.size if self._line else 0)
        if not unsent and not self._leaving:
            self._leaving = True
            self.say_goodbye()
        elif unsent and self._unsent is None:
            self._check_progress()

    def _check_progress(self) -> None:
        unsent = self.session.octets_sent, self._transport.get_write_buffer_size()
        if unsent == self._unsent:
            self.cut()
        elif not self._leaving:
            self._unsent = unsent
            self._engine.later(LINGER, self._check_progress)

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
            return
        at = line.next_at()
        if self._line_timer is not None:
            self._line_timer.cancel()
        self._line_timer = None
        if at is not None:
            self._line_timer = self._engine.later(at - self._now(), self._line_moved)

    def _line_moved(self) -> None:
        self._follow_line()
        self.pump()
