"""Frames to Arrow: some thousand rows become one record batch, record batches one table."""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stompy import STOMPFrame
from stompy.frame import charset_of, fields_of
from stompy_jupyter.decode import to_utf8

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

BATCH_ROWS = 4096
"""A batch has so many rows at the most."""

MAX_HEADER_COLUMNS = 256
"""So many headers have a column of their own; those of later names share `MORE_HEADERS`."""

COLUMNS = ("received_at", "destination", "message_id", "content_type", "size", "body")
"""The columns that every table has; one more follows for each further header."""

MORE_HEADERS = "more_headers"
"""The headers of a row that have no column, as the JSON of an object with their names."""

DECODE_ERROR = "decode_error"
"""Why the body of a row is not what it should be; a column where that is so for one of them."""

USUAL: Mapping[str, str | None] = {
    "destination": "destination",
    "message-id": "message_id",
    "content-type": "content_type",
    # These say nothing that is not in `size`, or nothing outside their connection.
    "content-length": None,
    "subscription": None,
    "ack": None,
}
"""The columns of the headers that every message has; None: they are not kept."""

# Arrow's usual pool (mimalloc) asks Linux for huge pages, and for these to be cleared takes longer
# than all else that is done with a batch: 1 µs of 4 that a frame costs from socket to DataFrame.
MEMORY = pa.system_memory_pool()

_NULLS = pa.nulls(BATCH_ROWS, pa.large_string())
"""Batches share it where they have nothing: a column of a rare header takes no memory."""


class HeaderNames:
    """Which column each header has; the first `MAX_HEADER_COLUMNS` names get one."""

    def __init__(self) -> None:
        self._columns: dict[str, str | None] = {}
        self._further = 0  # of these, how many are not among the usual

    def copy(self) -> HeaderNames:
        """One that learns for itself."""
        names = HeaderNames()
        names._columns = self._columns.copy()
        names._further = self._further
        return names

    def __getitem__(self, header: str) -> str | None:
        """The column of a header that was learnt; None if it is not kept.

        Raises:
            KeyError: it has no column.
        """
        return self._columns[header]

    def learn(self, headers: Iterable[str]) -> bool:
        """Give a column to each header that has none yet; whether all of them have got one."""
        all_have = True
        for header in headers:
            if header in self._columns:
                continue
            if header in USUAL:
                self._columns[header] = USUAL[header]
            elif self._full:
                all_have = False
            else:
                self._columns[header] = _column_name(header)
                self._further += 1
        return all_have

    @property
    def occurring(self) -> dict[str, str]:
        """The column of each header that has come and has one, in order of first occurrence."""
        return {header: name for header, name in self._columns.items() if name is not None}

    @property
    def columns(self) -> list[str]:
        """The columns of headers, in the order in which they have come."""
        columns = list(self.occurring.values())
        return [*columns, MORE_HEADERS] if self._full else columns

    @property
    def _full(self) -> bool:
        return self._further == MAX_HEADER_COLUMNS


def _column_name(header: str) -> str:
    taken = header in (*COLUMNS, MORE_HEADERS, DECODE_ERROR) or header.startswith("header_")
    return f"header_{header}" if taken else header


class Rows:
    """Frames that are not in a batch yet: an entry per frame in each list, but for `texts`.

    Lists of text, octets and numbers, because the garbage collector does not look at these. It
    would at ten thousand tuples, and then at everything else in the process as well.
    """

    __slots__ = ("arrivals", "bodies", "shapes", "texts")

    def __init__(self) -> None:
        self.arrivals = array("q")  # nanoseconds since 1970
        self.shapes: list[Mapping[str, int]] = []  # the first of `STOMPFrame.fields`
        self.texts: list[str] = []  # the second, of all frames one after the other
        self.bodies: list[bytes] = []

    def __len__(self) -> int:
        return len(self.bodies)

    def add(self, frame: STOMPFrame, arrival: int) -> int:
        """Add a frame that arrived then; returns about how many bytes it has."""
        shape, texts = frame.fields
        size = len(frame.Body) + len("".join(texts))  # faster than a sum of lengths
        self.arrivals.append(arrival)
        self.shapes.append(shape)
        self.texts.extend(texts)
        self.bodies.append(frame.Body)
        return size

    def add_all(self, frames: Sequence[STOMPFrame], arrival: int) -> int:
        """The same for frames that arrived together, in a third of the time."""
        shapes, values = fields_of(frames)
        texts = list(chain.from_iterable(values))
        bodies = [frame.Body for frame in frames]
        size = sum(map(len, bodies)) + len("".join(texts))
        self.arrivals += array("q", (arrival,)) * len(frames)
        self.shapes += shapes
        self.texts += texts
        self.bodies += bodies
        return size

    def part(self, first: int, end: int) -> Rows:
        """A copy of the rows from place `first` to the one before `end`."""
        rows = Rows()
        rows.arrivals = self.arrivals[first:end]
        rows.shapes = self.shapes[first:end]
        rows.bodies = self.bodies[first:end]
        # Counted from the end: what is asked for are the newest rows, nearly always.
        start = len(self.texts) - sum(map(len, self.shapes[first:]))
        rows.texts = self.texts[start : start + sum(map(len, rows.shapes))]
        return rows

    def frame(self, place: int) -> STOMPFrame:
        """The frame at a place, as it came."""
        row = self.part(place, place + 1)
        headers = {name: row.texts[text] for name, text in row.shapes[0].items()}
        return STOMPFrame("MESSAGE", headers, row.bodies[0])


@dataclass(frozen=True)
class Batch:
    """Some rows: headers as the text that they were, and how many bytes they take."""

    data: pa.RecordBatch
    nbytes: int

    @property
    def rows(self) -> int:
        return int(self.data.num_rows)


def make_batch(rows: Rows, names: HeaderNames, decode: str) -> Batch:
    """The columns of some rows, those that `names` has so far or learns from them.

    Whole columns at once, since every frame comes by here.
    """
    headers = _by_header(rows, names)
    columns = {name: _array(texts, pa.large_string()) for name, texts in headers.items()}
    content_types = headers.get("content_type", ())
    columns["received_at"] = _array(
        np.array(rows.arrivals, np.int64) // 1000, pa.timestamp("us", tz="UTC")
    )
    columns["size"] = _array(np.fromiter(map(len, rows.bodies), np.int64, len(rows)), pa.int64())
    columns["body"] = _bodies(rows.bodies, content_types, decode)
    nbytes = sum(column.nbytes for column in columns.values())
    nulls = _NULLS.slice(0, len(rows))
    # All that `names` has, so that nearly all batches have one schema.
    order = dict.fromkeys((*COLUMNS, *names.columns))
    data = pa.RecordBatch.from_pydict({name: columns.get(name, nulls) for name in order})
    return Batch(data, nbytes)


def _array(values: Sequence[object] | np.ndarray, type: pa.DataType) -> pa.Array:
    return pa.array(values, type, memory_pool=MEMORY)


def _by_header(rows: Rows, names: HeaderNames) -> dict[str, Sequence[str | None]]:
    """By column, the value of each row; None where it has none."""
    shape = rows.shapes[0] if rows.shapes else {}
    # Frames of one kind share their shape, so that this compares nothing but identities.
    if rows.shapes.count(shape) == len(rows) and names.learn(shape):
        return {
            column: rows.texts[place :: len(shape)]
            for header, place in shape.items()
            if (column := names[header]) is not None
        }
    return _by_cell(rows, names)


def _by_cell(rows: Rows, names: HeaderNames) -> dict[str, Sequence[str | None]]:
    """The same one value after the other: for frames that are not alike, and for many headers."""
    columns: dict[str, list[str | None]] = {}  # by header
    more: list[str | None] = [None] * len(rows)
    texts = iter(rows.texts)
    for row, shape in enumerate(rows.shapes):
        rest = {}
        for header, text in zip(shape, texts):  # noqa: B905 - the next row begins behind
            column = columns.get(header)
            if column is None and names.learn((header,)):
                column = columns[header] = [None] * len(rows)
            if column is None:
                rest[header] = text
            else:
                column[row] = text
        if rest:
            more[row] = json.dumps(rest, ensure_ascii=False)
    named = {names[header]: column for header, column in columns.items()}
    if any(more):
        named[MORE_HEADERS] = more
    return {name: column for name, column in named.items() if name is not None}


def _bodies(bodies: Sequence[bytes], content_types: Sequence[str | None], decode: str) -> pa.Array:
    """Bodies as text if all of them are, else as octets; with "bytes" always as octets.

    With "text" those in another charset become UTF-8; other decoders want what came.
    """
    if decode == "text" and any("charset" in (kind or "").lower() for kind in set(content_types)):
        bodies = list(map(to_utf8, bodies, content_types))
    octets = _array(bodies, pa.large_binary())
    return octets if decode == "bytes" else as_text_if_all_are(octets)


def as_text_if_all_are(octets: pa.Array) -> pa.Array:
    """Octets as text; the same octets if one of them is no UTF-8. Copies nothing."""
    try:
        return octets.cast(pa.large_string())
    except pa.ArrowInvalid:
        return octets


def with_text(data: pa.RecordBatch, decode: str) -> pa.RecordBatch:
    """Rows out of a batch, their bodies as text if all of these are: those of the others may be
    what kept them from it."""
    bodies = data.column("body")
    if decode == "bytes" or not pa.types.is_large_binary(bodies.type):
        return data
    return data.set_column(COLUMNS.index("body"), "body", as_text_if_all_are(bodies))


def frame_of(row: Mapping[str, Any], headers: Mapping[str, str], decode: str) -> STOMPFrame:
    """The frame that a row of a batch was made from, as far as the row tells.

    Args:
        row: its values by column.
        headers: which header has which column, see `HeaderNames.occurring`.
        decode: how the batch was made.
    """
    values = {name: row[column] for name, column in headers.items() if row.get(column) is not None}
    values |= json.loads(row.get(MORE_HEADERS) or "{}")
    body = row["body"].encode() if isinstance(row["body"], str) else row["body"]
    if decode == "text":
        body = _from_utf8(body, row["content_type"], row["size"])
    return STOMPFrame("MESSAGE", values, body)


def frames_of(
    data: pa.RecordBatch, headers: Mapping[str, str], decode: str
) -> Iterator[tuple[int, STOMPFrame]]:
    """The frames that the rows of a batch were made from, as `frame_of`, and when each came."""
    arrivals = data.column("received_at").cast(pa.int64()).to_pylist()
    # Without what costs the most to make and is not asked for: a datetime for each row.
    rows = data.drop_columns(["received_at"]).to_pylist()
    for arrival, row in zip(arrivals, rows, strict=True):
        yield arrival * 1000, frame_of(row, headers, decode)


def _from_utf8(body: bytes, content_type: str | None, size: int) -> bytes:
    """What `to_utf8` may have made a body from that had this size."""
    try:
        before = body.decode().encode(charset_of(content_type or ""))
    except (LookupError, ValueError):  # of a charset, anything may be wrong
        return body
    return before if len(before) == size else body


def to_table(batches: Sequence[pa.RecordBatch]) -> pa.Table:
    """One table of at least one batch, without headers that no row has; copies nothing."""
    runs = [pa.Table.from_batches(run) for _, run in groupby(batches, key=lambda data: data.schema)]
    if len(runs) > 1:
        names = list(dict.fromkeys(chain.from_iterable(run.column_names for run in runs)))
        binary = any(pa.types.is_large_binary(run.schema.field("body").type) for run in runs)
        runs = [_with_columns(run, names, binary) for run in runs]
    table = pa.concat_tables(runs)
    empty = [name for name in table.column_names[len(COLUMNS) :] if _is_empty(table.column(name))]
    return table.drop_columns(empty) if empty else table


def _is_empty(column: pa.ChunkedArray) -> bool:
    return bool(column.null_count == len(column))


def _with_columns(table: pa.Table, names: Sequence[str], binary: bool) -> pa.Table:
    """A table with these columns, null where it has none, and bodies as octets if `binary`."""
    bodies = table.column("body")
    nulls = pa.chunked_array([_NULLS.slice(0, len(chunk)) for chunk in bodies.chunks])
    columns = {name: table.column(name) if name in table.column_names else nulls for name in names}
    if binary:
        columns["body"] = bodies.cast(pa.large_binary())
    return pa.table(columns)
