"""Backlog: the frames of a stream that wait to be written, between who reads and who writes.

It is bounded: when it is full, who reads waits, and by that the broker; nothing is dropped.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stompy_jupyter.batch import Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stompy import STOMPFrame

FLUSH_SECONDS = 1.0
"""So long a frame waits at the most until it is written."""

QUIET_SECONDS = 0.02
"""When so long no other has come, frames that are to be acknowledged wait no longer: the broker may
hold back more for want of an ACK. ActiveMQ does so after some hundred, whatever the prefetch."""

FLUSH_ROWS = 16_384
FLUSH_BYTES = 8 * 1024 * 1024
"""So many wait at the most until they are written, if that is sooner."""

MAX_ROWS = 50_000
MAX_BYTES = 32 * 1024 * 1024
"""When so much waits, the reader does."""

LONGEST = 3600.0
"""Seconds that a thread waits at a time."""

HOUR = 3_600_000_000_000
"""Nanoseconds."""


@dataclass
class Portion:
    """Frames that came in one hour, and those of them that are to be acknowledged."""

    hour: int
    ticket: object
    rows: Rows = field(default_factory=Rows)
    octets: int = 0
    frames: list[STOMPFrame] = field(default_factory=list)

    @property
    def is_large(self) -> bool:
        """Whether it is written as it is, to bound what that takes of memory."""
        return len(self.rows) >= FLUSH_ROWS or self.octets >= FLUSH_BYTES


class Backlog:
    """The portions that wait. Any thread may put frames; one takes them.

    Args:
        window: how many frames the broker sends without an ACK; None if it waits for none, 0 if
            it does and how many is not known.

    Attributes:
        received: how many frames were put in all.
        done: how many of them are done with.
        closed: whether no more is to come.
        ended: whether no more is taken.
    """

    def __init__(self, window: int | None = None) -> None:
        self.received = self.done = 0
        self.closed = self.ended = False
        self._portions: deque[Portion] = deque()
        self._rows = self._octets = 0  # that wait, with those that are being written
        self._oldest = self._newest = 0.0  # when the first and the last came, by time.monotonic
        self._asked = 0  # up to which frame somebody waits
        self._quiet_seconds = FLUSH_SECONDS if window is None else QUIET_SECONDS
        # Half of a window, so that the other half is on its way meanwhile.
        self._flush_rows = min(FLUSH_ROWS, max(1, window // 2)) if window else FLUSH_ROWS
        self._changed = threading.Condition()  # guards all of these

    # -- for who reads -----------------------------------------------------------------------

    def put(self, frames: Sequence[STOMPFrame], arrival: int, ticket: object = None) -> None:
        """Add frames that arrived then (nanoseconds since 1970); does not wait.

        Args:
            ticket: not None: they are to be acknowledged.
        """
        with self._changed:
            self.received += len(frames)
            if self.ended:
                return
            last = self._portions[-1] if self._portions else None
            kind = arrival // HOUR, ticket
            if last is None or (last.hour, last.ticket) != kind or last.is_large:
                last = Portion(arrival // HOUR, ticket)
                self._portions.append(last)
            octets = last.rows.add_all(frames, arrival)
            last.octets += octets
            if ticket is not None:
                last.frames += frames
            self._newest = time.monotonic()
            if not self._rows:
                self._oldest = self._newest
                self._changed.notify_all()
            self._rows += len(frames)
            self._octets += octets
            if self._many:
                self._changed.notify_all()

    def wait_for_room(self) -> None:
        """Wait while it is full: who reads must not be faster than a disk."""
        if self._has_room:  # nearly always
            return
        with self._changed:
            self._changed.wait_for(lambda: self._has_room or self.ended)

    @property
    def _has_room(self) -> bool:
        return self._rows < MAX_ROWS and self._octets < MAX_BYTES

    def flush(self, timeout: float) -> bool:
        """Have all that was put done, and wait for that; returns whether it is."""
        with self._changed:
            received = self._asked = self.received
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.done >= received or self.ended, timeout)
            return self.done >= received

    def close(self) -> None:
        """No more is to come; what does all the same is taken until the end."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    # -- for who writes ----------------------------------------------------------------------

    def next(self, until: float | None) -> Portion | None:
        """Wait for the next portion that is to be written.

        Args:
            until: how long, by `time.monotonic`; None for ever.

        Returns:
            None when the time is over, or no more is to come.
        """
        with self._changed:
            while not (self._portions and (self.closed or self._is_due())):
                now = time.monotonic()
                if self.closed or (until is not None and now >= until):
                    return None
                times = [until] if until is not None else []
                times += [self._due] if self._portions else []
                # Python cannot wait for as long as anybody may say.
                self._changed.wait(min(LONGEST, *(at - now for at in times)) if times else None)
            return self._portions.popleft()

    def _is_due(self) -> bool:
        return self._many or self._asked > self.done or time.monotonic() >= self._due

    @property
    def _many(self) -> bool:
        return self._rows >= self._flush_rows or self._octets >= FLUSH_BYTES

    @property
    def _due(self) -> float:
        """When what waits is to be written, few as it is."""
        return min(self._oldest + FLUSH_SECONDS, self._newest + self._quiet_seconds)

    def finish(self, portion: Portion) -> None:
        """A portion is done with."""
        with self._changed:
            self.done += len(portion.rows)
            self._rows -= len(portion.rows)
            self._octets -= portion.octets
            self._oldest = time.monotonic()  # what has come meanwhile has not waited for long
            self._changed.notify_all()

    def end(self, *, at_once: bool = False) -> bool:
        """Take no more; returns False, and goes on, while something waits, unless `at_once`."""
        with self._changed:
            if self._portions and not at_once:
                return False
            self.ended = True
            self._portions.clear()
            self._changed.notify_all()
            return True
