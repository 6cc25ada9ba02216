"""What a browser is shown of a trace: its newest part as a sequence, and a frame as it passed.

As all that goes to a browser it is small whatever strangers send; see `stompy_jupyter.window`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from stompy import STOMPProtocolError, wire
from stompy_jupyter.events import events_of, spans
from stompy_jupyter.joins import join
from stompy_jupyter.window import MAX_PART, cut, heads_of, newest_that_fit

if TYPE_CHECKING:
    from stompy import STOMPFrame
    from stompy_jupyter.events import Event
    from stompy_jupyter.session import StompSession
    from stompy_jupyter.trace import FrameTrace, TraceEntry

Json: TypeAlias = dict[str, Any]

MAX_SEQUENCE = 112 * 1024
"""Octets of the lines of a sequence, as JSON."""

_LOOKED_AT = 1_000
"""So many frames, the newest, are looked at for lines and joins: this is asked for every second."""

_TEXT = 400
"""Octets of a text of a line, as JSON."""

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
    """A frame as it passed, and its octets, or the first of them where they are many.

    Headers and octets are what strangers have sent: for text nodes and nothing else.

    Raises:
        LookupError: the trace has no such frame, or not any more.
    """
    entry = trace[number]
    frame = entry.frame
    headers, is_cut = ([], False) if frame is None else heads_of(frame.Headers)
    written = None if frame is None or is_cut else _written(entry, frame)
    shown = {
        "number": number,
        "time": entry.time * 1000,
        "sent": entry.sent,
        "command": entry.command,
        "headers": headers,
        "body": None if frame is None or written is None else _body_in(written, frame),
        "size": len(entry.octets),
        "version": entry.version or "",
    }
    return shown, entry.octets[:MAX_PART]


def _body_in(octets: bytes, frame: STOMPFrame) -> list[int]:
    """Where the body begins and ends; behind it is the NUL."""
    end = len(octets) - 1
    return [end - len(frame.Body), end]


def _written(entry: TraceEntry, frame: STOMPFrame) -> bytes | None:
    """A frame as this package writes it; None where it was written in another way."""
    try:
        octets = wire.encode(frame.Command, frame.Headers, frame.Body, entry.version or "1.2")
    except STOMPProtocolError:
        return None
    return octets if entry.octets.rstrip(b"\r\n") == octets else None
