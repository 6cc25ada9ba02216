"""FrameTable: frames in, pandas and Arrow out. Bounded, columnar, thread-safe; knows no Jupyter.

Frames gather in a short tail. Every few thousand are sealed into an Arrow record batch, and only
the tail is converted anew when somebody looks.
"""

from __future__ import annotations

import enum
import threading
import time
from collections import deque
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from stompy import STOMPBodyError, STOMPClosed, STOMPTimeout
from stompy.frame import charset_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stompy import STOMPError, STOMPFrame

MAX_ROWS = 1_000_000
MAX_BYTES = 512 * 1024 * 1024
SEAL_ROWS = 4096
SEAL_BYTES = 8 * 1024 * 1024

COLUMNS = ("received_at", "destination", "message_id", "content_type", "size", "body")
"""The columns that every table has; one more follows for each further header."""

# Headers that have a column under another name, or that say nothing outside their connection.
_NO_COLUMN = frozenset(
    {"destination", "message-id", "content-type", "content-length", "subscription", "ack"}
)

_EPOCH_MS = (100_000_000_000, 32_503_680_000_000)
"""Between these (March 1973 and the year 3000) a "timestamp" is taken for epoch milliseconds."""

_TEXT: Any = pd.StringDtype("pyarrow", na_value=np.nan)


class _Kind(enum.Flag):
    """What the values of a header column are; a column has the kinds of all its batches."""

    INTEGER = enum.auto()
    LONG_INTEGER = enum.auto()
    NUMBER = enum.auto()
    TEXT = enum.auto()


# Only what is written in the one canonical way, and loses no digit, is taken for a number.
_PATTERNS = {
    _Kind.INTEGER: r"^(0|-?[1-9][0-9]{0,14})$",  # exact in a float, too
    _Kind.LONG_INTEGER: r"^(0|-?[1-9][0-9]{0,17}|-?[1-8][0-9]{18})$",  # fits into 64 bits
    _Kind.NUMBER: r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]+)?$",
}


@dataclass(frozen=True)
class _Batch:
    """Some thousand rows; headers as text, with what their texts amount to."""

    data: pa.RecordBatch
    kinds: dict[str, _Kind]

    def without_first(self, rows: int) -> _Batch:
        return _Batch(self.data.slice(rows), self.kinds) if rows else self

    @property
    def rows(self) -> int:
        return int(self.data.num_rows)


class FrameTable:
    """The frames of one stream, in order of arrival.

    Any thread may append while others look. At `max_rows` rows or `max_bytes` bytes the oldest
    go first; `dropped` counts them, so that ``received == dropped + len(table)`` always holds.

    Args:
        max_rows: how many rows are kept at the most.
        max_bytes: how many bytes of bodies and headers are kept, about: the oldest rows go by
            eighths of it.

    Example:
        >>> table = FrameTable()
        >>> table.append(STOMPFrame("MESSAGE", {"destination": "/topic/T"}, b"hello"))
        >>> table.df["body"].tolist()
        ['hello']
    """

    def __init__(self, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES) -> None:
        if max_rows < 1 or max_bytes < 1:
            raise ValueError("a table holds one row and one byte at the least")
        self.max_rows = max_rows
        self.max_bytes = max_bytes
        self.received = 0
        self.dropped = 0
        self.ended = False
        self.error: STOMPError | None = None
        self._seal_rows = min(SEAL_ROWS, max(1, max_rows // 8))
        self._seal_bytes = min(SEAL_BYTES, max(1, max_bytes // 8))
        self._batches: deque[_Batch] = deque()
        self._batch_bytes = 0
        self._skip = 0  # rows of the first batch that are dropped already
        self._tail: list[tuple[int, STOMPFrame]] = []
        self._tail_bytes = 0
        self._changed = threading.Condition()
        self._waiting = 0

    # -- frames in ---------------------------------------------------------------------------

    def append(self, frame: STOMPFrame, received_ns: int | None = None) -> None:
        """Add a frame that arrived at `received_ns` (nanoseconds since 1970; now by default)."""
        arrival = time.time_ns() if received_ns is None else received_ns
        with self._changed:
            self._tail.append((arrival, frame))
            self._tail_bytes += len(frame.Body) + sum(map(len, frame.Headers.values()))
            self.received += 1
            if len(self._tail) >= self._seal_rows or self._tail_bytes >= self._seal_bytes:
                self._seal()
            if len(self) > self.max_rows:
                self._drop_first(len(self) - self.max_rows)
            if self._waiting:
                self._changed.notify_all()

    def end(self, error: STOMPError | None = None) -> None:
        """Say that no more frames come, and why if that is a failure; the rows stay."""
        with self._changed:
            if not self.ended:
                self.ended, self.error = True, error
                self._changed.notify_all()

    def _seal(self) -> None:
        batch = _make_batch(self._tail)
        self._batches.append(batch)
        self._batch_bytes += batch.data.nbytes
        self._tail, self._tail_bytes = [], 0
        while self._batch_bytes > self.max_bytes and len(self._batches) > 1:
            self._drop_first(self._batches[0].rows - self._skip)

    def _drop_first(self, rows: int) -> None:
        """Drop the oldest rows. They are in batches: a tail is sealed long before it is full."""
        self.dropped += rows
        self._skip += rows
        while self._batches and self._skip >= self._batches[0].rows:
            first = self._batches.popleft()
            self._skip -= first.rows
            self._batch_bytes -= first.data.nbytes

    # -- waiting -----------------------------------------------------------------------------

    def wait(self, n: int, timeout: float | None) -> int:
        """Wait until `n` frames have been received in all; returns how many have.

        Raises:
            STOMPTimeout: fewer came within `timeout` seconds.
            STOMPClosed: the stream ended before.
        """
        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: self.received >= n or self.ended, timeout)
            finally:
                self._waiting -= 1
            if self.received >= n:
                return self.received
            came = f"{self.received} of {n} frames had come"
            if self.ended:
                reason = f": {self.error.Message}" if self.error else ""
                raise STOMPClosed(f"the stream ended when {came}{reason}")
        raise STOMPTimeout(
            f"{came} after {timeout:g} s",
            hint="check the destination's name and that something sends to it",
        )

    # -- tables out --------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.received - self.dropped

    @property
    def df(self) -> pd.DataFrame:
        """The rows as a DataFrame: a copy that later frames do not change.

        Columns: ``received_at`` (UTC, microseconds), ``destination``, ``message_id``,
        ``content_type``, ``size`` (bytes of the body), ``body`` (text where it decodes, bytes
        where not), then one for each further header that occurs: a number where all its values
        are numbers, a time where it is called ``timestamp`` and they are epoch milliseconds. A
        header that is called like one of the first six has ``header_`` in front. The index is
        the frame's number since the stream began.
        """
        batches, first = self._snapshot()
        frame = _to_pandas(batches)
        frame.index = pd.RangeIndex(first, first + len(frame))
        return frame

    def arrow(self) -> pa.Table:
        """The rows as an Arrow table, headers as the text that they were; costs no copy.

        ``body`` is text as long as all bodies are, else binary: UTF-8 where it is text, whatever
        the charset it came in, and the octets that came where it is not.
        """
        return _to_arrow(self._snapshot()[0])

    def last(self, n: int) -> tuple[int, list[dict[str, object]]]:
        """The newest `n` rows, oldest first, with the number of the first of them."""
        batches, first = self._snapshot(n)
        rows = [row for batch in batches for row in batch.data.to_pylist()]
        for row in rows:
            if isinstance(row["body"], bytes):
                row["body"] = _text_or_bytes(row["body"])
        return first, rows

    def _snapshot(self, newest: int | None = None) -> tuple[list[_Batch], int]:
        """The rows, or the `newest` of them, with the number of the first; one batch at least."""
        with self._changed:
            batches, tail = list(self._batches), self._tail[-newest:] if newest else self._tail[:]
            end, skip = self.received, self._skip
        if tail or not batches:
            batches.append(_make_batch(tail))
        rows = sum(batch.rows for batch in batches) - skip
        if newest is not None and rows > newest:
            skip += rows - newest
            rows = newest
        while len(batches) > 1 and skip >= batches[0].rows:
            skip -= batches.pop(0).rows
        batches[0] = batches[0].without_first(skip)
        return batches, end - rows


def _make_batch(rows: Sequence[tuple[int, STOMPFrame]]) -> _Batch:
    """Columns from frames. Comprehensions over whole columns, since every frame comes by here."""
    frames = [frame for _, frame in rows]
    headers = [frame.Headers for frame in frames]
    arrivals = np.fromiter((arrival for arrival, _ in rows), np.int64, len(rows)) // 1000

    def texts(header: str) -> pa.Array:
        return pa.array([h.get(header) for h in headers], pa.large_string())

    columns = {
        "received_at": pa.array(arrivals, pa.timestamp("us", tz="UTC")),
        "destination": texts("destination"),
        "message_id": texts("message-id"),
        "content_type": texts("content-type"),
        "size": pa.array([len(frame.Body) for frame in frames], pa.int64()),
        "body": _bodies(frames),
    }
    kinds = {}
    for header in dict.fromkeys(chain.from_iterable(headers)):
        if header not in _NO_COLUMN:
            taken = header in COLUMNS or header.startswith("header_")
            name = f"header_{header}" if taken else header
            columns[name] = texts(header)
            kinds[name] = _kind(columns[name])
    return _Batch(pa.RecordBatch.from_pydict(columns), kinds)


def _bodies(frames: Iterable[STOMPFrame]) -> pa.Array:
    """Bodies as text if all of them are, else as octets: those that are text in UTF-8."""
    bodies = pa.array([_as_utf8(frame) for frame in frames], pa.large_binary())
    try:
        return bodies.cast(pa.large_string())
    except pa.ArrowInvalid:
        return bodies


def _as_utf8(frame: STOMPFrame) -> bytes:
    content_type = frame.Headers.get("content-type")
    if content_type is None or "charset" not in content_type.lower():
        return frame.Body
    if charset_of(content_type) in ("utf-8", "utf8"):
        return frame.Body
    try:
        return frame.text.encode()
    except (STOMPBodyError, UnicodeEncodeError):
        return frame.Body


def _kind(column: pa.Array) -> _Kind:
    for kind, pattern in _PATTERNS.items():
        if pc.all(pc.match_substring_regex(column, pattern)).as_py():
            return kind
    return _Kind.TEXT


def _to_arrow(batches: Sequence[_Batch]) -> pa.Table:
    tables = [pa.Table.from_batches([batch.data]) for batch in batches]
    if len({table.schema.field("body").type for table in tables}) > 1:
        tables = [_with_binary_body(table) for table in tables]
    return pa.concat_tables(tables, promote_options="default")


def _with_binary_body(table: pa.Table) -> pa.Table:
    at = table.schema.get_field_index("body")
    return table.set_column(at, "body", table.column(at).cast(pa.large_binary()))


def _to_pandas(batches: Sequence[_Batch]) -> pd.DataFrame:
    table = _to_arrow(batches)
    kinds: dict[str, _Kind] = {}
    for batch in batches:
        for name, kind in batch.kinds.items():
            kinds[name] = kinds.get(name, kind) | kind
    columns = {
        name: _series(name, table.column(name), kinds.get(name, _Kind.TEXT))
        for name in table.column_names
    }
    # A copy, since the numbers are views on sealed batches; text shares what cannot be changed.
    return pd.DataFrame(columns, copy=True)


def _series(name: str, column: pa.ChunkedArray, kind: _Kind) -> pd.Series:
    if pa.types.is_large_binary(column.type):
        return pd.Series([_text_or_bytes(body) for body in column.to_pylist()], dtype=object)
    if pa.types.is_large_string(column.type):
        lossy = _Kind.NUMBER in kind and _Kind.LONG_INTEGER in kind
        if _Kind.TEXT in kind or lossy:
            return pd.Series(_TEXT.__from_arrow__(column))
        column = _numbers(name, column, kind)
    integers_with_gaps = pa.types.is_integer(column.type) and column.null_count
    series: pd.Series = column.to_pandas(
        types_mapper={pa.int64(): pd.Int64Dtype()}.get if integers_with_gaps else None
    )
    return series


def _numbers(name: str, column: pa.ChunkedArray, kind: _Kind) -> pa.ChunkedArray:
    if _Kind.NUMBER in kind:
        return column.cast(pa.float64())
    integers = column.cast(pa.int64())
    if name == "timestamp":
        least, most = pc.min_max(integers).as_py().values()
        if _EPOCH_MS[0] <= (least or 0) <= (most or 0) <= _EPOCH_MS[1]:
            return integers.cast(pa.timestamp("ms", tz="UTC"))
    return integers


def _text_or_bytes(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body
