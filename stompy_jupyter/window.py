"""What a browser is shown: a window of a session, and parts of a stream that it asks for.

All of it is JSON, and small whatever strangers send: text is made visible and cut, rows are left
out where they do not fit. How much something takes is counted with all that is not ASCII as
escapes, which is the most that a front end's JSON may need. It knows no widget.
"""

from __future__ import annotations

import json
import keyword
import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from stompy import STOMPClosed
from stompy_jupyter.display import PREVIEW, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from stompy_jupyter.search import Term
    from stompy_jupyter.session import StompSession
    from stompy_jupyter.stream import FrameStream
    from stompy_jupyter.table import FrameTable

Json: TypeAlias = dict[str, Any]

CELL = 128
"""Characters of a header, and of its name, that a row shows."""

MAX_NAME = 256
"""Octets that the name of a header takes at the most, as JSON."""

MAX_COLUMNS = 64
"""Headers that the rows of a stream show."""

MAX_ROW = 8 * 1024
"""Octets that a row takes at the most, as JSON."""

MAX_ENTRY = 6 * 1024
"""Octets that the text of an entry of the log takes at the most, as JSON."""

MAX_PAGE = 96 * 1024
"""Octets of the rows that a browser asks for, as JSON."""

MAX_HEADS = 48 * 1024
"""Octets of the headers of a frame, as JSON."""

MAX_PART = 64 * 1024
"""Octets of a body that go to a browser at a time."""

MAX_FOUND = 2_000
"""Numbers of the frames that a search has found, the newest."""


class Bounds(NamedTuple):
    """How large a window may be.

    Attributes:
        octets: the whole, as JSON.
        rows: the rows of all streams together, in octets.
        each: rows of one stream.
        streams: how many streams are listed, the newest.
        filled: how many of them show rows, the newest.
        texts: the name, the destination and such of all streams together, in octets.
        counts: the numbers of the rates of all streams together.
        entries: how many entries of the log.
        log: the log, in octets.
    """

    octets: int
    rows: int
    each: int
    streams: int
    filled: int
    texts: int
    counts: int
    entries: int
    log: int


LIVE = Bounds(
    octets=120 * 1024,
    rows=64 * 1024,
    each=100,
    streams=50,
    filled=20,
    texts=32 * 1024,
    counts=3_000,
    entries=50,
    log=16 * 1024,
)
"""Of what is sent again and again."""

SAVED = Bounds(
    octets=48 * 1024,
    rows=32 * 1024,
    each=50,
    streams=20,
    filled=20,
    texts=10 * 1024,
    counts=600,
    entries=20,
    log=8 * 1024,
)
"""Of what a page that is loaded begins with, and what is saved in a notebook."""


def size_of(value: object) -> int:
    """How many octets something takes as JSON, at the most."""
    return len(json.dumps(value))


def cut(text: str, octets: int) -> str:
    """A text, or its beginning and ``…`` where the whole takes more than so many octets.

    Example:
        >>> cut("abc", 80), cut("a" * 100, 20)
        ('abc', 'aaaaaaaaaaaa…')
    """
    if size_of(text) <= octets:
        return text
    return f"{text[: _fitting(text, octets - size_of('…') + 2)]}…"


def _fitting(text: str, octets: int) -> int:
    """How many characters of a text fit into so many octets."""
    low, high = 0, min(len(text), max(0, octets))
    while low < high:
        middle = (low + high + 1) // 2
        if size_of(text[:middle]) <= octets:
            low = middle
        else:
            high = middle - 1
    return low


# -- a window --------------------------------------------------------------------------------------


def head_of(session: StompSession, transaction: Json | None) -> Json:
    """What a window says of a session, beside its streams.

    Args:
        session: the session.
        transaction: the one that was begun in the widget.
    """
    entries = session.journal.newest(LIVE.entries)
    return {
        "session": _session_part(session, transaction),
        "log": [
            {
                "n": entry.n,
                "time": int(entry.time * 1000),
                "kind": entry.kind,
                "text": cut(entry.text, MAX_ENTRY),
            }
            for entry in entries
        ],
    }


def make_window(
    seq: int, head: Json, streams: Sequence[FrameStream | Json], bounds: Bounds = LIVE
) -> Json:
    """A window of a session and some of its streams, the newest last.

    Args:
        seq: the number of the window.
        head: what `head_of` made, or an earlier window.
        streams: the streams; of one that is gone, what was its part of an earlier window.
        bounds: how large it may be.
    """
    listed = list(streams[-bounds.streams :])
    room = bounds.texts // max(1, len(listed))
    counts = bounds.counts // max(1, len(listed))
    parts = [_part_of(stream, room, counts) for stream in listed]
    window = {
        "kind": "window",
        "seq": seq,
        "now": int(time.time() * 1000),
        "session": head["session"],
        "streams": parts,
        "log": newest_that_fit(head["log"][-bounds.entries :], bounds.log),
    }
    left = min(bounds.rows, bounds.octets - size_of(window))
    shown = list(zip(listed, parts, strict=True))[-bounds.filled :]
    # Those with few rows first: what they leave is for the others.
    shown.sort(key=lambda pair: _rows_kept(pair[0]))
    # No more than about what there is room for: to look at rows is what a window costs.
    each = min(bounds.each, max(10, 2 * bounds.each // max(1, len(shown))))
    for place, (stream, part) in enumerate(shown):
        left -= _fill(part, stream, each, left // (len(shown) - place))
    return window


def _session_part(session: StompSession, transaction: Json | None) -> Json:
    try:
        client = session.client
    except STOMPClosed:  # it was never connected
        client = None
    silence = client.silence if client is not None else None
    beats = None
    if client is not None and silence is not None:
        (out, into), ages = client.heart_beat, [int(seconds * 1000) for seconds in silence]
        beats = {"out": [out, ages[0]], "in": [into, ages[1]]}
    error = session.last_error
    return {
        "name": cut(visible(session.name), 512),
        "address": cut(visible(session.address), 512),
        "state": session.state,
        "server": cut(visible(client.server), 512) if client is not None else "",
        "version": client.version if client is not None else "",
        "error": cut(visible(session.journal.masked(error.Message)), 1024) if error else None,
        "sent": session.sent,
        "received": session.received,
        "reconnects": session.reconnects,
        "passed": session.trace.passed,
        "transaction": transaction,
        "beats": beats,
    }


def newest_that_fit(parts: Sequence[Any], octets: int) -> list[Any]:
    """The last of some parts of a window, as many as fit into so many octets."""
    fitting: list[Any] = []
    for part in reversed(parts):
        octets -= size_of(part) + 2
        if octets < 0:
            break
        fitting.append(part)
    return fitting[::-1]


# -- a stream in it --------------------------------------------------------------------------------


def _part_of(stream: FrameStream | Json, room: int, counts: int) -> Json:
    """A stream without its rows.

    Args:
        stream: the stream, or what is left of it.
        room: octets for its texts.
        counts: how many numbers its rate has.
    """
    nothing: Json = {"columns": [], "rows": []}
    if isinstance(stream, dict):
        frames = stream["rate"]["frames"]
        rate = {**stream["rate"], "frames": frames[len(frames) - min(len(frames), counts) :]}
        texts = ("name", "destination", "error", "variable")
        short = {key: stream[key] and cut(stream[key], room // 4) for key in texts}
        return {**stream, **short, "rate": rate, "first": stream["received"], **nothing}
    second, frames = stream.table.rates()
    masked = stream.session.journal.masked
    received = stream.received
    return {
        "id": stream.id,
        "name": cut(visible(stream.name), room // 4),
        "destination": cut(visible(stream.destination), room // 4),
        "ack": stream.ack_mode.value,
        "state": stream.state,
        "error": cut(visible(masked(stream.error.Message)), room // 4) if stream.error else None,
        "received": received,
        "dropped": stream.dropped,
        "octets": stream.table.octets,
        "waiting": stream.waiting,
        "answers": stream.answers,
        "tally": _tally_of(stream),
        "variable": _variable_of(stream.name, room // 4),
        "rate": {"second": second, "frames": _without_leading_zeros(frames[-counts:])},
        "first": received,
        **nothing,
    }


def _tally_of(stream: FrameStream) -> Json | None:
    """The numbers of its newest tally, not older than a second."""
    if not stream.tallies:
        return None
    counts = stream.tallies[-1].glance()._asdict()
    return {"coming": counts.pop("on_its_way"), **counts}


def _rows_kept(stream: FrameStream | Json) -> int:
    return len(stream["rows"]) if isinstance(stream, dict) else len(stream)


def _without_leading_zeros(counts: Sequence[int]) -> list[int]:
    begin = next((place for place, count in enumerate(counts) if count), len(counts))
    return list(counts[begin:])


def _variable_of(name: str, octets: int) -> str:
    """What a stream is called in Python, where the notebook calls it by its name."""
    if name.isidentifier() and not keyword.iskeyword(name) and size_of(name) <= octets:
        return name
    quoted = repr(name)
    if not {"'", '"'} & set(name):
        quoted = f'"{quoted[1:-1]}"'
    return cut(f"session.streams[{quoted}]", octets)


def _fill(part: Json, stream: FrameStream | Json, each: int, room: int) -> int:
    """Put the newest rows into the part of a stream; returns the octets that they take."""
    if isinstance(stream, dict):
        return _fill_again(part, stream, each, room)
    first, rows = stream.table.last(each, body=PREVIEW + 1)
    columns = _Columns(stream.table, room // 4)
    made = columns.rows(reversed(rows), room - columns.size)
    part |= {
        "received": first + len(rows),
        "columns": columns.shown,
        "first": first + len(rows) - len(made.rows),
        "rows": made.rows[::-1],
    }
    return columns.size + made.size


def _fill_again(part: Json, old: Json, each: int, room: int) -> int:
    """The same with rows of an earlier window."""
    size = size_of(old["columns"])
    if size > room:
        return 0
    rows = newest_that_fit(old["rows"][-each:], room - size)
    first = old["first"] + len(old["rows"]) - len(rows)
    part |= {"columns": old["columns"], "first": first, "rows": rows}
    return size + size_of(rows)


class _Made(NamedTuple):
    rows: list[list[object]]
    size: int  # octets, as JSON


class _Columns:
    """The headers that rows show, and how a row is made of them.

    Args:
        table: whose rows.
        room: octets that their names may take.

    Attributes:
        shown: of each, the name of the header and of its column in a DataFrame.
        size: octets that they take, as JSON.
    """

    def __init__(self, table: FrameTable, room: int) -> None:
        self.shown: list[list[str]] = []
        self.size = 0
        self._columns: list[str | None] = []  # None is a passcode
        for header, column in list(table.headers.items())[:MAX_COLUMNS]:
            names = [cut(visible(name, CELL), MAX_NAME) for name in (header, column)]
            size = size_of(names) + 2
            if self.size + size > room:
                break
            self.size += size
            self.shown.append(names)
            self._columns.append(None if header.lower() == "passcode" else column)

    def rows(self, rows: Iterable[Mapping[str, object]], room: int) -> _Made:
        """So many of the rows, from the first on, as fit into `room` octets."""
        made: list[list[object]] = []
        left = room
        for row in rows:
            cells, size = self._row(row, min(MAX_ROW, room))
            if size > left:
                break
            left -= size
            made.append(cells)
        return _Made(made, room - left)

    def _row(self, row: Mapping[str, object], room: int) -> tuple[list[object], int]:
        received: datetime = row["received_at"]  # type: ignore[assignment]
        cells: list[object] = [
            int(received.timestamp() * 1000),
            row["size"],
            visible(row["body"], PREVIEW),
        ]
        cells += [self._cell(row, column) for column in self._columns]
        size = size_of(cells) + 2
        if size > room:  # of what is there, each gets the same
            texts = sum(isinstance(cell, str) for cell in cells)
            octets = (room - 64 - 6 * len(cells)) // texts
            cells = [cut(cell, octets) if isinstance(cell, str) else cell for cell in cells]
            size = size_of(cells) + 2
        return cells, size

    def _cell(self, row: Mapping[str, object], column: str | None) -> str | None:
        if column is None:
            return "***"
        value = row.get(column)
        return None if value is None else visible(value, CELL)


# -- what is asked for -----------------------------------------------------------------------------


def page(stream: FrameStream, first: int, count: int) -> Json:
    """So many rows of a stream from number `first` on, as fit, or from the oldest that is kept."""
    dropped = stream.dropped
    first, rows = stream.table.rows(first, count, body=PREVIEW + 1)
    columns = _Columns(stream.table, MAX_PAGE // 4)
    made = columns.rows(rows, MAX_PAGE - columns.size)
    return {
        "stream": stream.id,
        "columns": columns.shown,
        "first": first,
        "rows": made.rows,
        "received": stream.received,
        "dropped": dropped,
    }


def frame_of(stream: FrameStream, number: int, offset: int) -> tuple[Json, bytes]:
    """A frame as it is, and a part of its body from `offset` on.

    Its headers and its body are what strangers have sent: for text nodes and nothing else.

    Raises:
        LookupError: the stream has no such frame, or not any more.
    """
    frame, whole, received_ns = stream.table.frame(number)
    headers, is_cut = _heads(frame.Headers)
    shown = {
        "stream": stream.id,
        "number": number,
        "received": received_ns / 1_000_000,
        "command": frame.Command,
        "headers": headers,
        "whole": whole,
        "cut": is_cut,
        "size": len(frame.Body),
        "offset": offset,
        "version": stream.session.client.version,
        "answerable": stream.answers and stream.awaits(number),
    }
    return shown, frame.Body[offset : offset + MAX_PART]


def _heads(headers: Mapping[str, str]) -> tuple[list[list[str]], bool]:
    """The headers that fit, and whether some do not."""
    heads: list[list[str]] = []
    left = MAX_HEADS
    for name, value in headers.items():
        head = [name, "***" if name.lower() == "passcode" else str(value)]
        size = size_of(head) + 2
        if size <= left:
            left -= size
            heads.append(head)
    return heads, len(heads) < len(headers)


def found(stream: FrameStream, terms: Sequence[Term], first: int) -> Json:
    """The numbers of the frames, from `first` on, to which all terms apply."""
    hits = stream.table.find(terms, first, MAX_FOUND)
    return {
        "stream": stream.id,
        "numbers": [int(number) for number in hits.numbers],
        "total": int(hits.total),
        "first": int(hits.first),
        "end": int(hits.end),
    }
