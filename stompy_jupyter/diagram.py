"""Diagram: the lanes and the events that are drawn, and the same as two lanes of plain text."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stompy_jupyter.events import Event

BROKER = -1
"""The number of the broker's lane; those of clients are from 0 on."""

_GAP = 56
"""Characters between two lanes."""


@dataclass(frozen=True)
class Diagram:
    """What is drawn.

    Attributes:
        title: what it is about.
        clients: the names of the clients' lanes, visible and short.
        broker: the name of the broker's.
        events: oldest first.
        left_out: how many older ones are not among them.
    """

    title: str
    clients: Sequence[str]
    broker: str
    events: Sequence[Event]
    left_out: int = 0

    @property
    def order(self) -> list[int]:
        """The lanes from left to right: the broker is in the middle, the first session left of it.

        Example:
            >>> Diagram("", ["a", "b", "c"], "broker", []).order
            [2, 0, -1, 1]
        """
        lanes = range(len(self.clients))
        return [*lanes[::2][::-1], BROKER, *lanes[1::2]]

    def name(self, lane: int) -> str:
        """What a lane is called."""
        return self.broker if lane == BROKER else self.clients[lane]

    def runs(self) -> Iterator[tuple[str | None, list[Event]]]:
        """The events, those together that follow each other in one transaction; with its id."""

        def transaction(event: Event) -> tuple[int, str] | None:
            return None if event.transaction is None else (event.lane, event.transaction)

        for of, events in itertools.groupby(self.events, transaction):
            yield None if of is None else of[1], list(events)

    def seconds(self, event: Event) -> float:
        """When an event was, after the first that is drawn."""
        return event.time - self.events[0].time

    @property
    def rest(self) -> str:
        """How many events are left out, in words; empty if none is."""
        return f"{self.left_out:,} older lines are left out" if self.left_out else ""


def boxed(events: Sequence[Event]) -> str:
    """What is written at the box of a transaction."""
    begins = events[0].command == "BEGIN"
    more = "" if begins else ", goes on"
    return f"transaction {events[0].transaction} ({events[0].outcome}{more})"


def as_text(diagram: Diagram) -> str:
    """A diagram in characters: an arrow a line, ``.`` for receipts, ``x`` for what took no effect.

    Example:
        >>> print(as_text(diagram))
    """
    order = diagram.order
    places = {lane: i * _GAP for i, lane in enumerate(order)}
    width = (len(order) - 1) * _GAP + 1
    head = [" "] * (width + _GAP // 2)
    for lane, place in places.items():
        name = diagram.name(lane)[: _GAP - 4]
        head[place : place + len(name)] = name
    lines = [diagram.title, f"{'':15}{''.join(head).rstrip()}"]
    if diagram.rest:
        lines.append(f"{'':15}{diagram.rest}")
    for event in diagram.events:
        bars = [" "] * width
        for place in places.values():
            bars[place] = "|"
        if event.arrow:
            ends = places[event.lane], places[BROKER]
            low, high = min(ends), max(ends)
            bars[low + 1 : high] = _arrow(event, high - low - 1, to_right=(low == ends[0]))
        else:
            text = f" {event.text} "[:width]
            begin = (width - len(text)) // 2
            bars[begin : begin + len(text)] = text
        when = f"{event.number:>5} {diagram.seconds(event):>8.3f} "
        lines.append(f"{when}{''.join(bars)}  {event.note}".rstrip())
    return "\n".join(lines)


def _arrow(event: Event, width: int, *, to_right: bool) -> str:
    """An arrow of a client that is left of the broker (`to_right`) or right of it."""
    shaft = "." if event.command == "RECEIPT" else "-"
    text = event.text
    room = width - 8
    shown = text if len(text) <= room else f"{text[: room - 1]}…"
    line = f"{shaft * 2} {shown} ".ljust(width - 1, shaft)
    lost = event.aborted or event.kind == "no frame"
    if event.sent == to_right:
        return line + ("x" if lost else ">")
    return ("x" if lost else "<") + line
