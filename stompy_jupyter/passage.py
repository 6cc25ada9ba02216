"""What a browser is shown of a trace: its newest part as a sequence, and a frame as it passed.

As all that goes to a browser it is small whatever strangers send; see `stompy_jupyter.window`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from stompy_jupyter.events import events_of, spans
from stompy_jupyter.explain import explain
from stompy_jupyter.joins import join
from stompy_jupyter.window import MAX_PART, cut, newest_that_fit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stompy_jupyter.events import Event
    from stompy_jupyter.parts import Part
    from stompy_jupyter.session import StompSession
    from stompy_jupyter.trace import FrameTrace

Json: TypeAlias = dict[str, Any]

MAX_SEQUENCE = 112 * 1024
"""Octets of the lines of a sequence, as JSON."""

_LOOKED_AT = 1_000
"""So many frames, the newest, are looked at for lines and joins: this is asked for every second."""

_TEXT = 400
"""Octets of a text of a line, as JSON."""

_PARTS = 240
"""So many parts of a frame are shown."""

_SPANS = 20
"""Answered frames that a line names, the newest: as many as are next to each other are one span."""


def sequence_of(session: StompSession, last: int) -> Json:
    """The newest lines of the sequence of a session, as many as fit.

    Args:
        session: the session.
        last: so many lines at the most, 1 or more.
    """
    trace = session.trace
    passed = trace.passed  # before: what passes meanwhile is asked for again
    entries = trace.newest(_LOOKED_AT)
    events = events_of(0, entries, join(entries, ended=not session.connected))
    lines = newest_that_fit([_line(event) for event in events[-last:]], MAX_SEQUENCE)
    return {"passed": passed, "replay": session.replays, "lines": lines}


def _line(event: Event) -> Json:
    return {
        "kind": event.kind,
        "number": event.number,
        "time": event.time * 1000,
        "sent": event.sent,
        "command": cut(event.command, _TEXT),
        "label": cut(event.label, _TEXT),
        "answers": spans(event.answers)[-_SPANS:],
        "answered": spans(event.answered)[-_SPANS:],
        "receipt": event.receipt,
        "transaction": event.transaction and cut(event.transaction, _TEXT),
        "outcome": event.outcome,
    }


def passage_of(trace: FrameTrace, number: int) -> tuple[Json, bytes]:
    """A frame as it passed: its parts with their meaning, and their octets, one behind the other.

    Of a large one they are the first. Octets are what strangers have sent: for text nodes and
    nothing else.

    Raises:
        LookupError: the trace has no such frame, or not any more.
    """
    entry = trace[number]
    explained = explain(entry.octets, entry.version, entry.sent)
    shown = list(_first(explained.parts))
    return {
        "number": number,
        "time": entry.time * 1000,
        "sent": entry.sent,
        "command": cut(entry.command, _TEXT),
        "note": explained.note,
        "size": len(entry.octets),
        "parts": [[part.kind, len(octets), cut(part.meaning, _TEXT)] for part, octets in shown],
    }, b"".join(octets for _, octets in shown)


def _first(parts: Sequence[Part]) -> Iterator[tuple[Part, bytes]]:
    """The first parts, each with its octets, of the last as many as fit."""
    left = MAX_PART
    for part in parts[:_PARTS]:
        if left > 0:
            yield part, part.octets[:left]
            left -= len(part.octets)
