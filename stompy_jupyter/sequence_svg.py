"""A sequence diagram as an SVG, where no front end draws Mermaid: no script, no outside resource.

It brings its own ground, light or dark: as an image it knows nothing of the page around it.
"""

from __future__ import annotations

import html
import zlib
from typing import TYPE_CHECKING

from stompy_jupyter.diagram import BROKER, boxed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stompy_jupyter.diagram import Diagram
    from stompy_jupyter.events import Event

_LEFT = 128
"""Where the first lane is; left of it are number and time. All of this is in pixels."""

_RIGHT = 170
"""What is right of the last lane: what belongs together, and notes."""

_TOP = 64
_ROW = 30
_BOX = 20
"""The line above the first row of a transaction."""

_GAPS = {2: 470, 3: 360}
"""Between two lanes, by how many there are."""

_MIN_GAP = 300
_LETTER = 7.3
"""How wide a letter is."""

_MAX_CURVES = 5
"""Curves from one answer to what it answers; beyond that its numbers say it alone."""

_STYLE = (
    ".stompy-sequence{--ground:#fff;color:#1b1b1b;--out:#1565c0;--in:#0a7a3c;--bad:#c62828}"
    "@media (prefers-color-scheme:dark){.stompy-sequence"
    "{--ground:#1b1b1b;color:#e4e4e4;--out:#6cb2ff;--in:#5fd38d;--bad:#ff8a80}}"
    ".stompy-sequence text{fill:currentColor;font:12px ui-monospace,Menlo,Consolas,monospace}"
    ".stompy-sequence .head{font-weight:600}"
    ".stompy-sequence .dim{opacity:.75}"
    ".stompy-sequence .struck text.label{text-decoration:line-through}"
    ".stompy-sequence .struck{opacity:.75}"
    ".stompy-sequence .struck .dim{opacity:1}"
    ".stompy-sequence .out{color:var(--out)}.stompy-sequence .in{color:var(--in)}"
    ".stompy-sequence .bad{color:var(--bad)}"
)


def as_svg(diagram: Diagram) -> str:
    """A diagram as an SVG document; all text in it is escaped.

    Example:
        >>> pathlib.Path("frames.svg").write_text(as_svg(diagram))
    """
    return _Drawing(diagram).document


class _Drawing:
    """The parts of one document, from top to bottom."""

    def __init__(self, diagram: Diagram) -> None:
        self._diagram = diagram
        order = diagram.order
        gap = _GAPS.get(len(order), _MIN_GAP)
        self._x = {lane: _LEFT + i * gap for i, lane in enumerate(order)}
        self._last = _LEFT + (len(order) - 1) * gap
        self._places: dict[tuple[int, int], float] = {}  # of frames: their height
        self._y = _TOP
        rows = [*self._notes(), *self._rows()]
        parts = [*self._lanes(), *rows, *self._curves()]
        self.document = self._wrapped("".join(parts))

    def _wrapped(self, content: str) -> str:
        width, height = self._last + _RIGHT, self._y + 16
        id = f"stompy-sequence-{zlib.crc32(content.encode()):08x}"  # the same for the same frames
        said = "; ".join(filter(None, [self._diagram.rest, *map(_said, self._diagram.events)]))
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="stompy-sequence" role="img" '
            f'aria-labelledby="{id}-title {id}-desc" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" style="max-width:100%;height:auto">'
            f'<title id="{id}-title">{html.escape(self._diagram.title)}</title>'
            f'<desc id="{id}-desc">{html.escape(said or "nothing has passed yet")}</desc>'
            f"<style>{_STYLE}</style>"
            f'<rect width="{width}" height="{height}" rx="4" fill="var(--ground,#fff)"/>'
            f"{content}</svg>"
        )

    # -- what does not move ------------------------------------------------------------------

    def _lanes(self) -> Iterator[str]:
        yield _text(12, 22, self._diagram.title, "head")
        for lane, x in self._x.items():
            yield _text(x, 46, self._diagram.name(lane), "head", anchor="middle")
            yield _line(x, 54, x, self._y + 6, opacity=0.4)

    def _notes(self) -> Iterator[str]:
        if self._diagram.rest or not self._diagram.events:
            note = self._diagram.rest or "nothing has passed yet"
            yield self._across(note, "dim")

    def _across(self, text: str, kind: str) -> str:
        """A line of text over all lanes."""
        middle, y = (_LEFT + self._last) / 2, self._y + 19
        self._y += _ROW
        half = len(text) * _LETTER / 2 + 8
        dashes = "".join(
            _line(a, y - 4, b, y - 4, opacity=0.4, dashes="2 4")
            for a, b in ((_LEFT - 20, middle - half), (middle + half, self._last + 20))
            if a < b
        )
        return f"{dashes}{_text(middle, y, text, kind, anchor='middle')}"

    # -- rows --------------------------------------------------------------------------------

    def _rows(self) -> Iterator[str]:
        for transaction, events in self._diagram.runs():
            if transaction is None:
                yield from map(self._row, events)
            else:
                yield self._box(events)

    def _box(self, events: list[Event]) -> str:
        top = self._y
        self._y += _BOX
        rows = "".join(map(self._row, events))
        width, height = self._last - _LEFT + 40, self._y - top - 2
        label = _text(_LEFT - 14, top + 15, boxed(events), "dim")
        box = (
            f'<rect x="{_LEFT - 20}" y="{top}" width="{width}" height="{height}" rx="4" '
            f'fill="currentColor" fill-opacity="0.05" stroke="currentColor" '
            f'stroke-opacity="0.55" stroke-dasharray="5 4"/>'
        )
        self._y += 4
        return f"{box}{label}{rows}"

    def _row(self, event: Event) -> str:
        y = self._y + 22
        when = f"{self._diagram.seconds(event):.3f}"
        at = _text(38, y, str(event.number), "dim", anchor="end")
        at += _text(_LEFT - 28, y, when, "dim", anchor="end")
        if not event.arrow:
            kind = "dim" if event.kind == "heart-beats" else "head"
            return f"{at}{self._across(event.text, kind)}"
        self._places[event.lane, event.number] = y
        self._y += _ROW
        ends = [self._x[event.lane], self._x[BROKER]]
        begin, end = ends if event.sent else ends[::-1]
        room = int((abs(end - begin) - 24) / _LETTER)
        shown = event.text if len(event.text) <= room else f"{event.text[: room - 1]}…"
        bad = event.command == "ERROR" or event.kind == "no frame"
        way = "bad" if bad else "out" if event.sent else "in"
        return (
            f'<g class="{"struck" if event.aborted else "row"}"><title>{html.escape(_said(event))}'
            f"</title>{at}{_text((begin + end) / 2, y - 7, shown, 'label', anchor='middle')}"
            f'<g class="{way}">{_arrow(event, begin, end, y)}</g>{self._note(event, y)}</g>'
        )

    def _note(self, event: Event, y: float) -> str:
        notes = [f"↳ {_short(event)}"] if event.answers else []
        notes += {"open": ["no receipt yet"], "none": ["no receipt"]}.get(event.receipt, [])
        return _text(self._last + 68, y, ", ".join(notes), "dim") if notes else ""

    def _curves(self) -> Iterator[str]:
        """From each answer to what it answers, right of the last lane."""
        x = self._last + 22
        for event in self._diagram.events:
            to = self._places.get((event.lane, event.number))
            for number in event.answers[-_MAX_CURVES:]:
                begin = self._places.get((event.lane, number))
                if begin is not None and to is not None:
                    out = x + min(52, 14 + (to - begin) / 6)
                    yield (
                        f'<path d="M{x} {begin}C{out:g} {begin} {out:g} {to} {x} {to}" fill="none" '
                        f'stroke="currentColor" stroke-opacity="0.55"/>'
                    )


def _said(event: Event) -> str:
    """An event in words."""
    way = ("out " if event.sent else "in ") if event.arrow else ""
    note = f", {event.note}" if event.note else ""
    return f"{event.number} {way}{event.text}{note}"


def _short(event: Event) -> str:
    """The numbers that an event answers, in a few letters."""
    first, last = event.answers[0], event.answers[-1]
    return str(first) if first == last else f"{first}…{last}"


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">'
        f"{html.escape(text)}</text>"
    )


def _line(
    x1: float, y1: float, x2: float, y2: float, *, opacity: float = 1, dashes: str = ""
) -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="currentColor" '
        f'stroke-opacity="{opacity:g}"{dashed}/>'
    )


def _arrow(event: Event, begin: float, end: float, y: float) -> str:
    """A line with a head; dashed of a receipt, with a cross where it came to nothing."""
    way = 1 if end > begin else -1
    shaft = _line(begin, y, end - 3 * way, y, dashes="5 4" if event.command == "RECEIPT" else "")
    if event.aborted or event.kind == "no frame":
        x = end - 8 * way
        return f"{shaft}{_line(x - 5, y - 5, x + 5, y + 5)}{_line(x - 5, y + 5, x + 5, y - 5)}"
    back = end - 9 * way
    head = f'<path d="M{end:g} {y:g}L{back:g} {y - 4.5:g}L{back:g} {y + 4.5:g}Z"'
    return f'{shaft}{head} fill="currentColor"/>'
