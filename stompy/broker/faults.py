"""Faults to teach and to test with: what can go wrong between a broker and a client. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SPLIT_PAUSE = 0.001
"""Seconds between the pieces of a frame that is split; they would be read as one without it."""
REORDER_WAIT = 0.5
"""Seconds for which a message waits for others to change places with."""


@dataclass(frozen=True)
class Faults:
    """What is to go wrong with the frames that a broker sends.

    The broker itself knows nothing of it: for it a message that is late, lost or sent twice was
    sent.

    Attributes:
        slow: seconds that each frame is late.
        split: frames are sent in pieces of so many octets, one after the other; 0 for whole.
        drop_after: so many frames more, then the connection is cut in the middle of the next;
            0 for never. Heart-beats are no frames.
        no_receipts: RECEIPT frames are not sent.
        no_heart_beats: heart-beats are not sent.
        duplicate: each MESSAGE is sent twice.
        reorder: so many MESSAGE frames at a time are sent in reverse order; 0 for none.
        lose: every so many-th MESSAGE is not sent, and the connection stays; 0 for none, 1 for all.
            In the client modes the broker waits for its ACK all the same: the message comes again
            when the subscription or the connection has ended. In the mode ``client`` an ACK of a
            later message covers it, and it is lost for good; so it is in the mode ``auto``.

    Example:
        >>> broker.set_faults(Faults(slow=0.2, duplicate=True))
    """

    slow: float = 0.0
    split: int = 0
    drop_after: int = 0
    no_receipts: bool = False
    no_heart_beats: bool = False
    duplicate: bool = False
    reorder: int = 0
    lose: int = 0

    def __post_init__(self) -> None:
        if not (isinstance(self.slow, int | float) and 0 <= self.slow < float("inf")):
            raise ValueError(f"slow must be seconds, 0 or more, not {self.slow!r}")
        for name in ("split", "drop_after", "reorder", "lose"):
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= 0):
                raise ValueError(f"{name} must be a whole number, 0 or more, not {value!r}")


NO_FAULTS = Faults()


class FaultyLine:
    """The way of frames to one client, with faults on it.

    Times are in seconds, on any clock that only goes on.

    Attributes:
        size: octets that are on the way.
        cut: whether the connection is to be cut when what `take` gives is sent.
    """

    def __init__(self, faults: Faults) -> None:
        self.size = 0
        self.cut = False
        self._faults = faults
        self._due: deque[tuple[float, bytes | memoryview]] = deque()  # whole, until it is split
        self._last_at = 0.0  # when the last of them has arrived
        self._gathered: list[bytes | memoryview] = []  # to be reordered
        self._gathered_until = 0.0
        self._passed = 0
        self._messages = 0

    def put(self, frames: Iterable[bytes | memoryview], now: float) -> None:
        """Send frames on their way; `Outbox.whole_frames` makes every piece one."""
        for frame in frames:
            faults = self._faults
            if faults.no_receipts and _is(frame, b"RECEIPT\n"):
                continue
            if faults.no_heart_beats and frame == b"\n":
                continue
            if self._loses(frame):
                continue
            if not (faults.reorder and _is(frame, b"MESSAGE\n")):
                self._send_gathered(now)
                self._send(frame, now)
                continue
            if not self._gathered:
                self._gathered_until = now + REORDER_WAIT
            self._gathered.append(frame)
            self.size += len(frame)
            if len(self._gathered) >= faults.reorder:
                self._send_gathered(now)

    def take(self, now: float) -> list[bytes | memoryview]:
        """What has arrived by now."""
        if self._gathered and now >= self._gathered_until:
            self._send_gathered(now)
        arrived = []
        split = self._faults.split
        while self._due and self._due[0][0] <= now:
            at, frame = self._due.popleft()
            if split and len(frame) > split:
                self._due.appendleft((at + SPLIT_PAUSE, memoryview(frame)[split:]))
                frame = bytes(frame[:split])
            arrived.append(frame)
        self.size -= sum(map(len, arrived))
        return arrived

    def rest(self, now: float) -> list[bytes | memoryview]:
        """All that is on its way: the faults have ended."""
        self._send_gathered(now)
        rest = [frame for _, frame in self._due]
        self._due.clear()
        self.size = 0
        return rest

    def next_at(self) -> float | None:
        """When there will be something to take; None for never."""
        moments = [self._due[0][0]] if self._due else []
        if self._gathered:
            moments.append(self._gathered_until)
        return min(moments, default=None)

    def _loses(self, frame: bytes | memoryview) -> bool:
        if not (self._faults.lose and _is(frame, b"MESSAGE\n")):
            return False
        self._messages += 1
        return self._messages % self._faults.lose == 0

    def _send_gathered(self, now: float) -> None:
        gathered, self._gathered = self._gathered, []
        self.size -= sum(map(len, gathered))
        for frame in reversed(gathered):
            self._send(frame, now)

    def _send(self, frame: bytes | memoryview, now: float) -> None:
        for _ in range(2 if self._faults.duplicate and _is(frame, b"MESSAGE\n") else 1):
            if self.cut:
                return
            if self._faults.drop_after and frame != b"\n":
                if self._passed == self._faults.drop_after:
                    self.cut = True
                    frame = frame[: len(frame) // 2]
                self._passed += 1
            self._line_up(frame, now)

    def _line_up(self, frame: bytes | memoryview, now: float) -> None:
        at = now + self._faults.slow
        pause = SPLIT_PAUSE if self._faults.split else 0.0
        if self._due:
            at = max(at, self._last_at + pause)
        pieces = -(-len(frame) // (self._faults.split or len(frame) or 1))
        self._last_at = at + max(0, pieces - 1) * pause
        if pieces:
            self._due.append((at, frame))
        self.size += len(frame)


def _is(frame: bytes | memoryview, command: bytes) -> bool:
    return frame[: len(command)] == command
