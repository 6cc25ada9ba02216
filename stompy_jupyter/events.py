"""What a sequence diagram shows: entries of traces as events, each one line of it.

Pure: entries and joins in, events out. Heart-beats that follow each other are one event.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from stompy_jupyter.display import visible
from stompy_jupyter.trace import body_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stompy_jupyter.joins import Joins, Outcome
    from stompy_jupyter.trace import TraceEntry

Kind: TypeAlias = Literal["frame", "heart-beats", "connection", "no frame"]

LABEL = 60
"""Characters of what is said of a frame, beside its command."""

_VALUE = 40
"""Characters of a header, or of a body, in that."""

_BARE = ("destination", "transaction", "receipt-id", "message")
"""Headers that need no name beside the command."""

_TOLD = {
    **dict.fromkeys(("CONNECT", "STOMP"), ("accept-version", "heart-beat")),
    "CONNECTED": ("version", "heart-beat"),
    "SEND": ("destination",),
    "MESSAGE": ("destination",),
    "SUBSCRIBE": ("destination", "id", "ack"),
    "UNSUBSCRIBE": ("id",),
    **dict.fromkeys(("ACK", "NACK"), ("id", "message-id")),
    **dict.fromkeys(("BEGIN", "COMMIT", "ABORT"), ("transaction",)),
    "RECEIPT": ("receipt-id",),
    "ERROR": ("message",),
}
"""The headers that say what a frame is about."""


@dataclass(frozen=True)
class Event:
    """One line of a sequence diagram.

    Attributes:
        lane: whose it is: 0 for the first session.
        kind: ``"frame"``; ``"heart-beats"``, some that follow each other; ``"connection"``, a new
            one begins here; ``"no frame"``, octets that are no whole frame: one that broke off.
        number: in the trace; of heart-beats that of the first, of a connection that of what comes
            next.
        time: seconds since 1970; of heart-beats that of the first.
        sent: whether it went to the broker.
        command: of a frame; else what it is.
        label: what it is about: destination, id, the beginning of the body; visible, and cut.
        answers: the numbers of the frames that it answers, oldest first.
        answered: the numbers of those that answer it.
        receipt: ``""`` if it asked for none; ``"open"``, ``"came"``, or ``"none"``: the connection
            has ended without it.
        transaction: the id of the transaction that it is in.
        outcome: what has become of that.
        beats: of heart-beats, how many went out and how many came.
    """

    lane: int
    kind: Kind
    number: int
    time: float
    sent: bool
    command: str
    label: str = ""
    answers: tuple[int, ...] = ()
    answered: tuple[int, ...] = ()
    receipt: Literal["", "open", "came", "none"] = ""
    transaction: str | None = None
    outcome: Outcome | None = None
    beats: tuple[int, int] = (0, 0)

    @property
    def aborted(self) -> bool:
        """Whether it took no effect, with its transaction."""
        return self.outcome in ("aborted", "refused", "lost")

    @property
    def arrow(self) -> bool:
        """Whether it went from one lane to another."""
        return self.kind in ("frame", "no frame")

    @property
    def text(self) -> str:
        """Its command and its label."""
        return f"{self.command} {self.label}".rstrip()

    @property
    def note(self) -> str:
        """How it belongs to others, in words.

        Example:
            >>> event.note
            'answers 12-14; in t1, aborted'
        """
        notes = [f"answers {_in_words(self.answers)}"] if self.answers else []
        notes += {"open": ["no receipt yet"], "none": ["no receipt came"]}.get(self.receipt, [])
        if self.transaction is not None:
            notes.append(f"in {self.transaction}, {self.outcome}")
        return "; ".join(notes)


def spans(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Numbers that rise, those that follow each other as one span: its first, its last.

    Example:
        >>> spans([3, 4, 5, 9])
        [(3, 5), (9, 9)]
    """
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return found


def _in_words(numbers: Iterable[int]) -> str:
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans(numbers))


def events_of(lane: int, entries: Iterable[TraceEntry], joins: Joins) -> list[Event]:
    """The events of one trace.

    Args:
        lane: which it is.
        entries: of the trace, in their order.
        joins: of the whole of it.
    """
    events: list[Event] = []
    connection: int | None = None
    for entry in entries:
        if connection not in (None, entry.connection):
            label = f"connection {entry.connection}"
            events.append(_event(lane, "connection", entry, label))
        connection = entry.connection
        if entry.command == "heart-beat":
            _add_beat(events, lane, entry)
        elif entry.frame is None:
            shown = visible(entry.octets[:_VALUE], _VALUE).removeprefix("b")
            events.append(_event(lane, "no frame", entry, "no whole frame", label=shown))
        else:
            events.append(_frame(lane, entry, joins))
    return events


def _event(lane: int, kind: Kind, entry: TraceEntry, command: str, label: str = "") -> Event:
    return Event(lane, kind, entry.number, entry.time, entry.sent, command, label)


def _add_beat(events: list[Event], lane: int, entry: TraceEntry) -> None:
    """Count a heart-beat to those right before it, if there are any."""
    run = events[-1] if events and events[-1].kind == "heart-beats" else None
    if run is None:
        events.append(_event(lane, "heart-beats", entry, ""))
        run = events[-1]
    out, came = run.beats[0] + entry.sent, run.beats[1] + (not entry.sent)
    many = f"{out + came} heart-beat{'s' * (out + came != 1)}"
    lasted = f" in {entry.time - run.time:.3g} s" if out + came != 1 else ""
    ways = [f"{n} {way}" for n, way in ((out, "out"), (came, "in")) if n]
    label = f"({', '.join(ways)})"
    events[-1] = replace(run, command=f"{many}{lasted}", label=label, beats=(out, came))


def _frame(lane: int, entry: TraceEntry, joins: Joins) -> Event:
    number = entry.number
    transaction = joins.transactions.get(number)
    answered = tuple(joins.answered.get(number, ()))
    receipt: Literal["", "open", "came", "none"] = ""
    if (waits := joins.asked.get(number)) is not None:
        receipt = "open" if waits else "came" if number in joins.confirmed else "none"
    return Event(
        lane,
        "frame",
        number,
        entry.time,
        entry.sent,
        visible(entry.command, _VALUE),
        _label(entry),
        tuple(joins.answers.get(number, ())),
        answered,
        receipt,
        None if transaction is None else visible(transaction.id, _VALUE),
        None if transaction is None else transaction.outcome,
    )


def _label(entry: TraceEntry) -> str:
    parts = []
    for header in _TOLD.get(entry.command, ()):
        value = entry.get(header)
        if value is not None:
            shown = visible(value, _VALUE)
            parts.append(shown if header in _BARE else f"{header}={shown}")
    body = body_of(entry)
    if isinstance(body, bytes):
        parts.append(visible(body, _VALUE))
    elif body:
        parts.append(f"“{visible(body, _VALUE)}”")
    whole = " ".join(parts)
    return whole if len(whole) <= LABEL else f"{whole[: LABEL - 1]}…"
