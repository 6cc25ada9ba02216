"""One line that says how far a long work is, for terminals and notebooks."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING

from stompy.errors import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

QUIET = 1.0
"""Seconds for which nothing is shown: most work is over by then."""

PACE = 0.2
SLOW_PACE = 2.0
"""Seconds between two versions of the line: more and more, since a saved notebook may keep all."""


class Progress:
    """How far a work is, on one line of standard error that is written over again and again.

    Nothing is shown of work that takes less than a second. Where standard error is neither a
    terminal nor the output of a cell, the last version alone is written. What cannot be shown is no
    failure of the work.

    Args:
        what: what is done; it begins the line.
        total: how many rows there are.
        done: how many of them are done already.
        shown: whether anything is to be shown at all.
        clock: seconds that only ever grow.

    Example:
        >>> with Progress("prices.csv", 20_000) as progress:
        ...     for row in range(20_000):
        ...         progress.update(row + 1)
        prices.csv: 20,000 of 20,000 rows (100 %), 15,200 a second, 0:01 in all
    """

    def __init__(
        self,
        what: str,
        total: int,
        done: int = 0,
        *,
        shown: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.done = done
        self._what = printable(what)
        self._total = total
        self._begin = done
        self._clock = clock
        self._begun = clock()
        self._due = self._begun + QUIET if shown else float("inf")
        self._rewrites = shown and _rewrites()
        self._width = 0  # of the line as it stands

    def update(self, done: int) -> None:
        """Say how many rows are done by now; costs next to nothing when nothing is due."""
        self.done = done
        now = self._clock()
        if now >= self._due and self._rewrites:
            self._due = now + min(max(PACE, (now - self._begun) / 100), SLOW_PACE)
            self._write(self._line(now, "left"))

    def close(self) -> None:
        """Write the last version, with a line end, if the work was long enough for one."""
        now = self._clock()
        if self._width or now >= self._due:
            self._write(self._line(now, "in all"), "\n")
        self._width, self._due = 0, float("inf")

    def _line(self, now: float, ending: str) -> str:
        seconds = max(now - self._begun, 1e-9)
        rate = (self.done - self._begin) / seconds
        if ending == "left":
            seconds = (self._total - self.done) / rate if rate else float("inf")
        share = 100 * self.done // self._total if self._total else 100
        return (
            f"{self._what}: {self.done:,} of {self._total:,} rows ({share} %), "
            f"{rate:,.0f} a second, {_clock_text(seconds)} {ending}"
        )

    def _write(self, line: str, end: str = "") -> None:
        # Blanks over what a longer version has left: not all outputs know how to clear a line.
        padding = " " * (self._width - len(line))
        begin = "\r" if self._rewrites else ""
        self._width = len(line)
        # Closed, gone, or in an encoding without some character: the work goes on without it.
        with contextlib.suppress(OSError, ValueError):
            print(f"{begin}{line}{padding}", end=end, file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _rewrites() -> bool:
    """Whether standard error obeys a carriage return: a terminal does, and the output of a cell."""
    if sys.stderr is None:
        return False
    if type(sys.stderr).__module__.startswith("ipykernel."):
        return True
    try:
        return sys.stderr.isatty()
    except ValueError:  # it is closed
        return False


def _clock_text(seconds: float) -> str:
    """A length of time, as a clock shows it.

    Example:
        >>> _clock_text(3723.4)
        '1:02:03'
    """
    if seconds >= 360_000:  # a hundred hours, and what has not begun to move
        return "long"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
