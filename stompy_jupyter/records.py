"""Records: what the bodies of a table say, one row per record. It costs what is new.

The columns of what was read are kept in parts; what their types are shows in the end.
"""

from __future__ import annotations

import itertools
import sys
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from stompy_jupyter.batch import DECODE_ERROR, MEMORY
from stompy_jupyter.bodies import BodyReader
from stompy_jupyter.columns import errors_as_text, objects
from stompy_jupyter.decode import Decoder, as_of_utf8, is_packed
from stompy_jupyter.flatten import Paths, name_of, names_of
from stompy_jupyter.growing import NAT, Growing, plain, times_in
from stompy_jupyter.settle import SettlingColumn, as_objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from stompy_jupyter.bulk import Fragment
    from stompy_jupyter.flatten import Path
    from stompy_jupyter.settle import Values

_BESIDE = {"content_type": pa.large_string(), "received_at": pa.timestamp("us", "UTC")}

_OCTETS = {pa.binary(), pa.large_binary(), pa.binary_view()}

OWN = ("frame", "received_at", DECODE_ERROR)
"""Names of columns that are no record's."""

CHUNK_FRAMES = 4096
CHUNK_BYTES = 32 * 1024 * 1024
"""So much is read at once."""

PART_ROWS = 16_384
"""Parts with fewer rows are joined now and then, so that there are not too many."""

FIRST_RECORDS = 100
"""A key that comes later than with these is told of as new."""

GONE_AFTER = 1000
"""A key that was the rule, and has not come for so many records, is told of as vanished."""


@dataclass(frozen=True, eq=False)
class _Part:
    """Some records: the number of the first, the frame of each, their values by path."""

    first: int
    frames: np.ndarray
    columns: Mapping[Path, Values]

    @property
    def nbytes(self) -> int:
        """About how many bytes it takes, without objects."""
        return self.frames.nbytes + sum(values.nbytes for values in self.columns.values())


@dataclass
class _Key:
    """What is known of one path: its column, and how regularly it comes."""

    column: SettlingColumn
    since: int
    """The record with which it came first."""
    values: int = 0
    gone: bool = False


class Records:
    """The records of frames, for one thread at a time.

    Args:
        decoder: what reads the bodies; as "auto" where it is for text or octets.
        in_utf8: whether bodies have been brought into UTF-8, so far as they are text.
        max_bytes: about how many bytes of values are kept; the oldest records go first.

    Attributes:
        next_frame: the number of the frame that is to be added next.
        errors: why bodies could not be read, by the numbers of their frames.

    Example:
        >>> records = Records(Decoder("auto"))
        >>> records.add(0, batches)
        >>> records.to_pandas(0)
    """

    def __init__(
        self, decoder: Decoder, in_utf8: bool = False, max_bytes: int = sys.maxsize
    ) -> None:
        is_for_records = decoder.name not in ("text", "bytes")
        self.next_frame = 0
        self.errors: dict[int, str] = {}
        self._in_utf8 = in_utf8
        self._max_bytes = max_bytes
        self._part_bytes = 0
        self._reader = BodyReader(decoder if is_for_records else Decoder("auto"))
        self._paths = Paths()
        self._keys: dict[Path, _Key] = {}
        self._parts: deque[_Part] = deque()
        self._first = 0  # the number of the first record that is kept
        self._end = 0
        self._frames = Growing(0, "int64")
        self._arrivals = Growing(0, "int64")
        self._news: list[str] = []

    @property
    def nbytes(self) -> int:
        """About how many bytes the records take, without objects."""
        # Of a copy: another thread may be at work on them.
        columns = sum(key.column.nbytes for key in list(self._keys.values()))
        return self._part_bytes + columns + self._frames.nbytes + self._arrivals.nbytes

    def news(self) -> list[str]:
        """Which keys have come new or vanished; each is told of once."""
        news, self._news = self._news, []
        return news

    # -- frames in ---------------------------------------------------------------------------

    def add(self, first: int, batches: Iterable[pa.RecordBatch]) -> None:
        """Add the records of frames that follow each other, from number `first` on."""
        for batch in batches:
            bodies = _views(batch.column("body"))
            kinds: list[str | None] = objects(batch.column("content_type")).tolist()
            if self._in_utf8:  # but for what is packed
                known = {kind: as_of_utf8(kind) for kind in set(kinds)}
                if any(kind != utf8 for kind, utf8 in known.items()):
                    pairs = zip(kinds, bodies, strict=True)
                    kinds = [kind if is_packed(body) else known[kind] for kind, body in pairs]
            arrivals = batch.column("received_at").cast(pa.int64()).fill_null(NAT).to_numpy()
            for start, end in _chunks(bodies):
                read = self._reader.read(first + start, bodies[start:end], kinds[start:end])
                for fragment in read:
                    end = start + len(fragment.counts)
                    self._add(first + start, arrivals[start:end], fragment)
                    start = end
            first += batch.num_rows
        self.next_frame = first
        self.errors |= self._reader.errors
        self._reader.errors.clear()

    def _add(self, frame: int, arrivals: np.ndarray, fragment: Fragment) -> None:
        frames = np.repeat(np.arange(frame, frame + len(arrivals)), fragment.counts)
        if not len(frames):
            return
        self._learn(fragment.columns, frame)
        self._frames.append(self._first, frames)
        self._arrivals.append(self._first, np.repeat(arrivals, fragment.counts))
        part = _Part(self._end, frames, fragment.columns)
        while self._parts and _are_to_join(self._parts[-1], part):
            before = self._parts.pop()
            self._part_bytes -= before.nbytes
            part = _joined(before, part)
        self._parts.append(part)
        self._part_bytes += part.nbytes
        self._end += len(frames)
        while self._part_bytes > self._max_bytes and len(self._parts) > 1:
            self._drop_first_part()

    def _drop_first_part(self) -> None:
        part = self._parts.popleft()
        self._part_bytes -= part.nbytes
        self._first = self._parts[0].first if self._parts else self._end

    def _learn(self, columns: Mapping[Path, Values], frame: int) -> None:
        """Get to know the paths of more records, the first of which are of that frame."""
        for path, values in columns.items():
            if path not in self._keys:
                self._keys[path] = _Key(SettlingColumn(name_of(path)), self._end)
                if self._end >= FIRST_RECORDS:
                    self._news.append(f"{name_of(path)} is new, since frame {frame:,}")
            self._keys[path].values += len(values) - _gaps(values)
        self._paths.learn(columns)

    def drop_before(self, frame: int) -> None:
        """Drop the records of frames before that number."""
        self.next_frame = max(self.next_frame, frame)
        self.errors = {known: why for known, why in self.errors.items() if known >= frame}
        while self._parts and self._parts[0].frames[-1] < frame:
            self._drop_first_part()
        if self._parts:
            part = self._parts[0]
            self._first = part.first + int(np.searchsorted(part.frames, frame))

    # -- tables out --------------------------------------------------------------------------

    def to_pandas(self) -> pd.DataFrame:
        """A DataFrame of all records that are kept."""
        series = {
            "frame": self._frames.series(plain, self._first),
            "received_at": self._arrivals.series(times_in("us", "UTC"), self._first),
        }
        errors = self._errors()
        if errors is not None:
            series[DECODE_ERROR] = errors
        keys = {path: self._keys[path].column for path in self._paths}
        columns = {path: self._series(path, column) for path, column in keys.items()}
        # Null where others have an object is no value of its own.
        shown = [
            path for path in columns if keys[path].last_value >= 0 or not self._paths.is_above(path)
        ]
        for path, name in names_of(shown, OWN).items():
            series[name] = columns[path]
        self._note_gone()
        index = pd.RangeIndex(self._first, self._end)
        for column in series.values():
            column.index = index
        return pd.DataFrame(series, index=index, copy=False)

    def _series(self, path: Path, column: SettlingColumn) -> pd.Series:
        parts = [(part.first, len(part.frames), part.columns.get(path)) for part in self._parts]
        return column.series(parts, self._first, self._end)

    def _errors(self) -> pd.Series | None:
        """Why bodies could not be read, for all records that are kept; None if all of them were."""
        frames = self._frames.series(plain, self._first).to_numpy()
        # Of a frame that is kept, the records may have gone before it, for their size.
        first = frames[0] if len(frames) else self.next_frame
        kept = {known: why for known, why in self.errors.items() if known >= first}
        if not kept:
            return None
        rows = np.searchsorted(frames, np.fromiter(kept, np.int64, len(kept)))
        return errors_as_text(dict(zip(rows.tolist(), kept.values(), strict=True)), len(frames))

    def _note_gone(self) -> None:
        for path, key in self._keys.items():
            last = key.column.last_value
            was_the_rule = 2 * key.values > last + 1 - key.since
            if not key.gone and was_the_rule and -1 < last < self._end - GONE_AFTER:
                key.gone = True
                self._news.append(
                    f"{name_of(path)} has vanished: not in the last {GONE_AFTER:,} records"
                )


def to_records(frames: Any, decode: str | Callable[[Any], object] = "auto") -> pd.DataFrame:
    """The records of frames that are in a table already, e.g. of a dataset that a stream has kept.

    Args:
        frames: a row per frame, as a DataFrame of pandas or polars, or an Arrow table, with a
            column ``body`` of text or octets; perhaps ``body_bytes``, which counts where ``body``
            is null, ``content_type`` and ``received_at``.
        decode: how bodies are read, as in `FrameTable`.

    Returns:
        As `FrameTable.records`; ``frame`` is the place of the row in `frames`, from 0 on.

    Raises:
        ValueError: there is no column ``body``, or it has values that were decoded before.

    Example:
        >>> frames = pd.read_parquet("movements", columns=["received_at", "body"])
        >>> to_records(frames).groupby("body.toc_id").size()
    """
    columns = _columns_of(frames)
    # Where a body is text, that has been made of what came.
    records = Records(Decoder(decode), in_utf8=columns["body"].type not in _OCTETS)
    table = pa.table({"body": _octets(columns), **_beside(columns)})
    records.add(0, table.combine_chunks().to_batches())
    df = records.to_pandas()
    return df if "received_at" in columns else df.drop(columns="received_at")


def _columns_of(frames: Any) -> dict[str, pa.ChunkedArray]:
    """The columns of frames that are in a table of any kind."""
    if isinstance(frames, pd.DataFrame):
        names = [name for name in ("body", "body_bytes", *_BESIDE) if name in frames]
        frames = pa.Table.from_pandas(frames[names], preserve_index=False)
    elif not isinstance(frames, pa.Table):
        frames = pa.table(frames)
    if "body" not in frames.column_names:
        raise ValueError("there is no column body")
    return {name: frames.column(name) for name in frames.column_names}


def _octets(columns: Mapping[str, pa.ChunkedArray]) -> pa.ChunkedArray:
    """The bodies of frames as octets, from the columns that have them."""
    try:
        bodies = columns["body"].cast(pa.large_binary())
    except pa.ArrowNotImplementedError:
        kind = columns["body"].type
        raise ValueError(f"the column body has {kind}, not text or octets") from None
    if "body_bytes" in columns:
        bodies = pc.coalesce(bodies, columns["body_bytes"].cast(pa.large_binary()))
    return pc.fill_null(bodies, b"")


def _beside(columns: Mapping[str, pa.ChunkedArray]) -> dict[str, pa.ChunkedArray]:
    """What else is needed of frames; null where it is not there."""
    rows = len(columns["body"])
    return {
        name: columns[name].cast(type, safe=False) if name in columns else pa.nulls(rows, type)
        for name, type in _BESIDE.items()
    }


def _views(bodies: pa.Array) -> list[memoryview]:
    """The octets of all bodies, not copied."""
    _, places, data = bodies.buffers()
    start, end = bodies.offset, bodies.offset + len(bodies) + 1
    edges = np.frombuffer(places, np.int64)[start:end].tolist()
    octets = memoryview(data or b"").cast("B")  # Arrow's are signed
    return [octets[first:last] for first, last in itertools.pairwise(edges)]


def _chunks(bodies: Sequence[memoryview]) -> Iterator[tuple[int, int]]:
    """Where bodies are to be parted, so that no more is read at once than a chunk has."""
    start = size = 0
    for place, body in enumerate(bodies):
        size += len(body)
        if size >= CHUNK_BYTES or place + 1 - start == CHUNK_FRAMES:
            yield start, place + 1
            start, size = place + 1, 0
    if start < len(bodies):
        yield start, len(bodies)


def _gaps(values: Values) -> int:
    """How many of these are no value."""
    if isinstance(values, np.ndarray):
        return sum(value is None for value in values)
    return int(values.null_count)


def _are_to_join(before: _Part, behind: _Part) -> bool:
    """Whether the newest two parts are to be one: a row is so copied a few times, and no more."""
    rows = len(before.frames), len(behind.frames)
    return rows[0] <= 2 * rows[1] and sum(rows) <= PART_ROWS


def _joined(before: _Part, behind: _Part) -> _Part:
    """One part of two that follow each other."""
    rows = len(before.frames), len(behind.frames)
    columns = {}
    for path in dict.fromkeys((*before.columns, *behind.columns)):
        pair = before.columns.get(path), behind.columns.get(path)
        columns[path] = _joined_values(
            *(pa.nulls(count) if v is None else v for v, count in zip(pair, rows, strict=True))
        )
    return _Part(before.first, np.concatenate((before.frames, behind.frames)), columns)


def _joined_values(before: Values, behind: Values) -> Values:
    if isinstance(before, pa.Array) and isinstance(behind, pa.Array):
        known = [values.type for values in (before, behind) if not pa.types.is_null(values.type)]
        if len(set(known)) <= 1:
            type = known[0] if known else pa.null()
            return pa.concat_arrays([before.cast(type), behind.cast(type)], memory_pool=MEMORY)
    return np.concatenate([as_objects(before), as_objects(behind)])
