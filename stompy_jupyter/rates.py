"""RateMeter: how many frames came in each of the last seconds. Pure: times are passed in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

SECONDS = 300
"""So many seconds are remembered."""

_NS = 1_000_000_000


class RateMeter:
    """Frames per second, in a ring of `SECONDS` counts.

    A clock that is set back does no harm: within what is remembered, a frame counts for the
    second in which it came; further back, the count begins anew.

    Example:
        >>> meter = RateMeter()
        >>> meter.add([7_000_000_000, 7_999_999_999, 9_000_000_000])
        >>> meter.read()
        (9, [2, 0, 1])
    """

    def __init__(self) -> None:
        self._frames = [0] * SECONDS  # of a second, at its remainder
        self._newest = -SECONDS

    def add(self, arrivals: Sequence[int]) -> None:
        """Count frames that came then (nanoseconds since 1970), in order of arrival."""
        if not len(arrivals):
            return
        times = np.asarray(arrivals, np.int64)
        second = int(times.min()) // _NS
        if second == int(times.max()) // _NS:  # as a rule, and many divisions take their time
            self._count(second, len(times))
            return
        seconds = times // _NS
        starts = np.flatnonzero(np.diff(seconds, prepend=seconds[0] - 1))
        runs = np.diff(starts, append=len(seconds))
        for second, frames in zip(seconds[starts].tolist(), runs.tolist(), strict=True):
            self._count(second, frames)

    def _count(self, second: int, frames: int) -> None:
        if abs(second - self._newest) >= SECONDS:
            self._frames = [0] * SECONDS
            self._newest = second
        while self._newest < second:
            self._newest += 1
            self._frames[self._newest % SECONDS] = 0
        self._frames[second % SECONDS] += frames

    def read(self) -> tuple[int, list[int]]:
        """The newest second (since 1970), and the frames of each second up to it.

        Oldest first, without leading zeros; ``(0, [])`` before the first frame.
        """
        newest = self._newest
        frames = [self._frames[s % SECONDS] for s in range(newest - SECONDS + 1, newest + 1)]
        first = next((place for place, some in enumerate(frames) if some), SECONDS)
        return (newest, frames[first:]) if first < SECONDS else (0, [])
