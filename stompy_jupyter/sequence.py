"""FrameSequence: the frames of sessions as a sequence diagram, drawn by whatever shows it."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from stompy_jupyter.diagram import Diagram, as_text
from stompy_jupyter.display import visible
from stompy_jupyter.events import Event, events_of
from stompy_jupyter.joins import join
from stompy_jupyter.mermaid import MIME_TYPE, as_mermaid
from stompy_jupyter.sequence_svg import as_svg

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stompy_jupyter.trace import TraceEntry

LAST = 40
"""So many lines are chosen, the newest, where nothing else is said."""

MAX_DRAWN = 200
"""Lines of a diagram; the newest are drawn."""

_TITLE = 80
"""Characters of the title."""

_NAME = 40
"""Characters of the name of a lane."""


@dataclass(frozen=True)
class Lane:
    """A client in a sequence.

    Attributes:
        name: what it is called.
        entries: its trace, oldest first.
        ended: whether its connection has ended: what waits for an answer then waits in vain.
    """

    name: str
    entries: list[TraceEntry]
    ended: bool


class FrameSequence:
    """Frames in the order in which they passed, and how they belong together.

    Mermaid draws it in JupyterLab and Notebook; elsewhere it is an SVG, or text.

    Args:
        lanes: the clients; the numbers are those of the first.
        last: so many lines, the newest; None is 40, or all where there is a `start`.
        start, stop: frames of the first lane from a number on, and up to, without, another; of
            the others what passed in that time.
        title: what it is about.
        broker: what the lane of the broker is called.

    Attributes:
        events: a line each, oldest first, see `Event`.

    Raises:
        ValueError: `last` is not positive, or `start` or `stop` is negative.

    Example:
        >>> session.sequence(10)
        >>> session.sequence(start=12, stop=20).df[["command", "answers"]]
    """

    def __init__(
        self,
        lanes: Iterable[Lane],
        last: int | None = None,
        *,
        start: int | None = None,
        stop: int | None = None,
        title: str = "frames",
        broker: str = "broker",
    ) -> None:
        if last is not None and last < 1:
            raise ValueError(f"last={last}: a number of lines, from 1 on")
        if (start or 0) < 0 or (stop or 0) < 0:
            raise ValueError("start and stop are numbers of the trace, from 0 on")
        if last is None and start is None:
            last = LAST
        found = list(lanes)
        self.events = _chosen(found, last, start, stop)
        self._names = _names([lane.name for lane in found])
        self._title, self._broker = visible(title, _TITLE), visible(broker, _NAME)

    # -- as data -----------------------------------------------------------------------------

    @property
    def df(self) -> pd.DataFrame:
        """A row for each line, by the number of its frame in the trace.

        Columns: ``time`` (UTC), ``lane``, ``kind``, ``direction`` (``out``, ``in``; missing where
        it is no frame), ``command``, ``label``, ``answers`` and ``answered`` (lists of numbers),
        ``receipt`` (``open``, ``came``, ``none``; missing where none was asked for),
        ``transaction``, ``outcome``.
        """
        events = self.events
        index = pd.Index([e.number for e in events], dtype="int64", name="frame")

        def column(values: list[Any], dtype: str = "str") -> pd.Series[Any]:
            return pd.Series(values, index, dtype=dtype)

        times = pd.to_datetime(column([e.time for e in events], "float64"), unit="s", utc=True)
        ways = [("out" if e.sent else "in") if e.arrow else None for e in events]
        return pd.DataFrame(
            {
                "time": times.dt.as_unit("us"),
                "lane": column([self._names[e.lane] for e in events]),
                "kind": column([e.kind for e in events]),
                "direction": column(ways),
                "command": column([e.command for e in events]),
                "label": column([e.label for e in events]),
                "answers": column([list(e.answers) for e in events], "object"),
                "answered": column([list(e.answered) for e in events], "object"),
                "receipt": column([e.receipt or None for e in events]),
                "transaction": column([e.transaction for e in events]),
                "outcome": column([e.outcome for e in events]),
            }
        )

    # -- as a picture ------------------------------------------------------------------------

    @property
    def mermaid(self) -> str:
        """The diagram in Mermaid's language, for a Markdown cell or a page."""
        return as_mermaid(self._diagram)

    @property
    def svg(self) -> str:
        """The diagram as an SVG document."""
        return as_svg(self._diagram)

    @property
    def _diagram(self) -> Diagram:
        drawn = self.events[-MAX_DRAWN:]
        left_out = len(self.events) - len(drawn)
        return Diagram(self._title, self._names, self._broker, drawn, left_out)

    def __len__(self) -> int:
        return len(self.events)

    def __repr__(self) -> str:
        return as_text(self._diagram) if self.events else f"{self._title}: nothing has passed yet"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        # No HTML: JupyterLab would take it, and not Mermaid.
        return {MIME_TYPE: self.mermaid, "image/svg+xml": self.svg, "text/plain": repr(self)}


def _chosen(
    lanes: list[Lane], last: int | None, start: int | None, stop: int | None
) -> list[Event]:
    """The events of all lanes, in order of time, that were asked for."""
    found: list[list[Event]] = []
    begin, end = -float("inf"), float("inf")
    for number, lane in enumerate(lanes):
        joins = join(lane.entries, lane.ended)
        entries = lane.entries
        if number == 0 and (start is not None or stop is not None):
            entries = [e for e in entries if (start or 0) <= e.number and _before(e, stop)]
            if not entries:
                return []
            begin = entries[0].time if start is not None else begin
            end = entries[-1].time if stop is not None else end
        elif number > 0:
            entries = [e for e in entries if begin <= e.time <= end]
        found.append(events_of(number, entries, joins))
    # Those of one trace stay in their order, whatever their times are.
    merged = list(heapq.merge(*found, key=lambda event: event.time))
    return merged if last is None else merged[-last:]


def _before(entry: TraceEntry, stop: int | None) -> bool:
    return stop is None or entry.number < stop


def _names(given: list[str]) -> list[str]:
    """The names of lanes, visible, short, and no two alike."""
    short = [visible(name, _NAME) for name in given]
    return [
        f"{name} {short[:i].count(name) + 1}" if short.count(name) > 1 else name
        for i, name in enumerate(short)
    ]
