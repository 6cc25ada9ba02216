"""Arrow to pandas, again and again: text is shared, and of the rest only new rows are converted.

Numbers, times and decoded bodies gather in NumPy buffers with room at the end. The Series of a
DataFrame are parts of these buffers. pandas copies such a part before a user's first write into
it, because a "guard", a Series over the whole buffer, refers to the same memory; so nobody who
changes a DataFrame changes the table, or another DataFrame. (The one way around that is to write
into ``series.array``, which pandas lets through to all that share it.)
"""

from __future__ import annotations

import enum
import functools
import re
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from stompy_jupyter.batch import COLUMNS, DECODE_ERROR
from stompy_jupyter.decode import as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Literal

    from stompy_jupyter.decode import Decoder

    Wrap: TypeAlias = Callable[..., pd.Series]

_EPOCH_MS = (100_000_000_000, 32_503_680_000_000)
"""Between these (March 1973 and the year 3000) a time is taken for epoch milliseconds."""

_ROOM = 1024
"""Rows for which a buffer has room at the least."""

_PIECE = 16 * 1024
"""So many rows are copied at once: while objects are, no other thread has a turn."""

TEXT: Any = pd.StringDtype("pyarrow", na_value=np.nan)
NAT = int(np.iinfo(np.int64).min)

# Only what is written in the one canonical way, and loses no digit, is taken for a number.
NUMBER = r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]+)?$"
INTEGER = r"^(0|-?[1-9][0-9]{0,17}|-?[1-8][0-9]{18})$"  # fits into 64 bits
_NUMERIC = re.compile(rf"{NUMBER}|{INTEGER}")


# -- buffers ---------------------------------------------------------------------------------------


def plain(values: np.ndarray, *_: np.ndarray) -> pd.Series:
    """What is in a buffer, as it is."""
    return pd.Series(values, dtype=values.dtype, copy=False)  # objects stay objects


def nullable(values: np.ndarray, gaps: np.ndarray) -> pd.Series:
    """Whole numbers with gaps, as Int64."""
    return pd.Series(pd.arrays.IntegerArray(values, gaps, copy=False), copy=False)


@functools.cache
def times_in(unit: Literal["s", "ms", "us", "ns"], zone: str | None) -> Wrap:
    """What makes times of whole numbers since 1970 in that unit; gaps are `NAT`."""
    plain_dtype = np.dtype(f"datetime64[{unit}]")
    dtype = pd.DatetimeTZDtype(unit, zone) if zone else plain_dtype

    def wrap(values: np.ndarray, *_: np.ndarray) -> pd.Series:
        return pd.Series(values if zone else values.view(plain_dtype), dtype=dtype, copy=False)

    return wrap


class Growing:
    """The values of the newest rows, in buffers to which more are added: O(1) a row.

    Args:
        first: the number of the row that comes first.
        dtypes: of each buffer; they have a value of each row.

    Example:
        >>> sizes = Growing(0, "int64")
        >>> sizes.append(0, np.array([5, 7, 9]))
        >>> sizes.series(plain, 1).tolist()
        [7, 9]
    """

    def __init__(self, first: int, *dtypes: str) -> None:
        self.dtypes = dtypes
        self.end = first  # the number of the row behind the last
        self._start = first
        self._buffers = [np.empty(0, dtype) for dtype in dtypes]
        self._guards: dict[Wrap, pd.Series] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of the buffers; not of objects that they refer to."""
        return sum(buffer.nbytes for buffer in self._buffers)

    def append(self, first: int, *values: np.ndarray) -> None:
        """Add the values of more rows, per buffer; rows before `first` are not needed any more."""
        end = self.end + len(values[0])
        self.reserve(first, end)
        # No Series that was given shows these places: it ends in front of them.
        for buffer, new in zip(self._buffers, values, strict=True):
            buffer[self.end - self._start : end - self._start] = new
        self.end = end

    def reserve(self, first: int, end: int) -> None:
        """Have room for the rows from `first` to `end`, if need be in buffers that are larger.

        The old ones then belong to the Series that are parts of them.
        """
        if end - self._start <= len(self._buffers[0]):
            return
        room = max(_ROOM, (end - first) * 3 // 2)
        buffers = [np.empty(room, dtype) for dtype in self.dtypes]
        for buffer, old in zip(buffers, self._buffers, strict=True):
            for row in range(first, self.end, _PIECE):
                until = min(row + _PIECE, self.end)
                buffer[row - first : until - first] = old[row - self._start : until - self._start]
        self._buffers, self._start = buffers, first
        self._guards = {}

    def series(self, wrap: Wrap, first: int) -> pd.Series:
        """The rows from `first` on as a Series of the kind that `wrap` makes of the buffers."""
        guard = self._guards.get(wrap)
        if guard is None:
            # All that were made live as long as the buffers: each guards the Series cut from it.
            guard = self._guards[wrap] = wrap(*self._buffers)
        return guard.iloc[first - self._start : self.end - self._start]


# -- headers ---------------------------------------------------------------------------------------


class _Kind(enum.Enum):
    """What may be said of a row's value, beside that it is a whole number of up to 15 digits."""

    GAP = enum.auto()
    TEXT = enum.auto()
    FRACTION = enum.auto()
    LONG = enum.auto()  # a whole number with more digits than a float can hold
    NO_TIME = enum.auto()  # a whole number, but no epoch milliseconds


class HeaderColumn:
    """The values of one header, as what all of them are: numbers, times or text.

    Rows are dropped from the front. So it is enough to know the last row of each kind: as long as
    that one is there, the kind counts.
    """

    def __init__(self, name: str) -> None:
        self._may_be_time = name == "expires" or name.lower().endswith("timestamp")
        self._last = dict.fromkeys(_Kind, -1)
        self._seen = 0  # rows before this one have been looked at
        self._numbers: Growing | None = None

    @property
    def nbytes(self) -> int:
        return self._numbers.nbytes if self._numbers else 0

    def series(self, texts: pa.ChunkedArray, first: int) -> pd.Series:
        """The column of a DataFrame; `texts` are all rows that are kept, from number `first` on.

        Text stays text where one value is no number, or could not be told from another by its
        number. Whole numbers with gaps are Int64.
        """
        self._look(texts, first)
        has = {kind for kind, last in self._last.items() if last >= first}
        if _Kind.TEXT in has or has >= {_Kind.FRACTION, _Kind.LONG}:
            self._numbers = None
            return pd.Series(TEXT.__from_arrow__(texts), copy=False)
        if _Kind.FRACTION in has:
            return self._filled(texts, first, "float64").series(plain, first)
        integers = self._filled(texts, first, "int64", "bool")
        if self._may_be_time and self._last[_Kind.NO_TIME] < first:
            return integers.series(times_in("ms", "UTC"), first)
        return integers.series(nullable if _Kind.GAP in has else plain, first)

    def _look(self, texts: pa.ChunkedArray, first: int) -> None:
        """Note the kinds of the rows that are new."""
        row = max(self._seen, first)
        new = texts.slice(row - first)
        there = np.flatnonzero(_mask(new.is_valid()))
        if len(there) < len(new):
            self._note(_Kind.GAP, row, _mask(new.is_null()))
        if len(there):
            self._look_at_values(new, row, int(there[-1]))
        self._seen = row + len(new)

    def _look_at_values(self, new: pa.ChunkedArray, row: int, newest: int) -> None:
        if not _NUMERIC.fullmatch(new[newest].as_py()):
            self._last[_Kind.TEXT] = row + newest  # what came before has no say
            return
        number = pc.match_substring_regex(new, NUMBER)
        fraction = pc.or_(pc.match_substring(new, "."), pc.equal(new, "-0"))
        self._note(_Kind.FRACTION, row, _mask(pc.and_(number, fraction)))
        if not pc.all(number).as_py():
            integer = pc.match_substring_regex(new, INTEGER)
            self._note(_Kind.LONG, row, _mask(pc.and_not(integer, number)))
            self._note(_Kind.TEXT, row, _mask(pc.invert(pc.or_(integer, number))))

    def _note(self, kind: _Kind, row: int, mask: np.ndarray) -> None:
        found = np.flatnonzero(mask)
        if len(found):
            self._last[kind] = row + int(found[-1])

    def _filled(self, texts: pa.ChunkedArray, first: int, *dtypes: str) -> Growing:
        """The numbers of all rows, of these types; begun anew when they were of others."""
        numbers = self._numbers
        if numbers is None or numbers.dtypes != dtypes or numbers.end < first:
            self._numbers = numbers = Growing(first, *dtypes)
        new = texts.slice(numbers.end - first)
        if dtypes == ("float64",):
            numbers.append(first, new.cast(pa.float64()).to_numpy())
            return numbers
        integers = new.cast(pa.int64())
        outside = pc.or_(pc.less(integers, _EPOCH_MS[0]), pc.greater(integers, _EPOCH_MS[1]))
        self._note(_Kind.NO_TIME, numbers.end, _mask(outside))
        gaps = _mask(new.is_null())
        numbers.append(first, pc.fill_null(integers, NAT).to_numpy(), gaps)
        return numbers


def _mask(flags: pa.ChunkedArray) -> np.ndarray:
    """Flags as a NumPy array; those that are null are not set."""
    mask: np.ndarray = pc.fill_null(flags, False).to_numpy()
    return mask


# -- all of them -----------------------------------------------------------------------------------


class Columns:
    """The columns of a table's DataFrames, for one thread at a time.

    Args:
        decoder: what makes values of the bodies.

    Attributes:
        undecoded: how many bodies were not what the decoder reads.
    """

    def __init__(self, decoder: Decoder) -> None:
        self.undecoded = 0
        self._decoder = decoder
        self._errors: dict[int, str] = {}  # by rows, of those that are kept
        self._arrivals = Growing(0, "int64")
        self._sizes = Growing(0, "int64")
        self._bodies: Growing | None = None
        self._headers: dict[str, HeaderColumn] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of the buffers; not of decoded bodies."""
        headers = sum(column.nbytes for column in self._headers.values())
        bodies = self._bodies.nbytes if self._bodies else 0
        return self._arrivals.nbytes + self._sizes.nbytes + bodies + headers

    def to_pandas(self, table: pa.Table, first: int) -> pd.DataFrame:
        """A DataFrame of all rows that are kept, from number `first` on."""
        names = table.column_names
        known = self._headers
        self._headers = {
            name: known.get(name) or HeaderColumn(name) for name in names[len(COLUMNS) :]
        }
        series = {name: self._series(name, table, first) for name in names}
        errors = self._kept_errors(first, table.num_rows)
        if errors is not None:
            # Behind the body, where it is looked for.
            series = {**{name: series[name] for name in COLUMNS}, DECODE_ERROR: errors, **series}
        index = pd.RangeIndex(first, first + table.num_rows)
        for column in series.values():
            column.index = index
        return pd.DataFrame(series, index=index, copy=False)

    def _series(self, name: str, table: pa.Table, first: int) -> pd.Series:
        column = table.column(name)
        if name in self._headers:
            return self._headers[name].series(column, first)
        if name == "received_at":
            self._arrivals = _caught_up(self._arrivals, column, first)
            return self._arrivals.series(times_in("us", "UTC"), first)
        if name == "size":
            self._sizes = _caught_up(self._sizes, column, first)
            return self._sizes.series(plain, first)
        if name == "body":
            return self._body(table, first)
        return pd.Series(TEXT.__from_arrow__(column), copy=False)

    def _body(self, table: pa.Table, first: int) -> pd.Series:
        column = table.column("body")
        if self._decoder.name == "text" and pa.types.is_large_string(column.type):
            self._bodies = None
            return pd.Series(TEXT.__from_arrow__(column), copy=False)
        if self._bodies is None or self._bodies.end < first:
            self._bodies = Growing(first, "object")
        self._bodies.reserve(first, first + table.num_rows)
        # Batch by batch: in the middle of one, no other thread has a turn.
        for batch in table.slice(self._bodies.end - first).to_batches():
            values = self._decoded(batch, self._bodies.end)
            self._bodies.append(first, np.fromiter(values, object, len(values)))
        return self._bodies.series(plain, first)

    def _decoded(self, batch: pa.RecordBatch, row: int) -> list[object]:
        """The values of all bodies, the first of them that of `row`.

        One that is not what the decoder reads stays text or octets; why is noted.
        """
        values: list[object] = []
        bodies = objects(batch.column("body").cast(pa.large_binary()))
        kinds = objects(batch.column("content_type"))
        if self._decoder.name == "text":  # it is in UTF-8 already
            kinds[:] = None
        for octets, kind in zip(bodies, kinds, strict=True):
            try:
                values.append(self._decoder(octets, kind))
            except ValueError as error:
                self._errors[row + len(values)] = str(error)
                self.undecoded += 1
                values.append(as_text(octets, kind))
        return values

    def _kept_errors(self, first: int, rows: int) -> pd.Series | None:
        """Why bodies did not decode, for all rows that are kept; None if all of them did."""
        if self._errors and next(iter(self._errors)) < first:
            self._errors = {row: why for row, why in self._errors.items() if row >= first}
        if not self._errors:
            return None
        return errors_as_text({row - first: why for row, why in self._errors.items()}, rows)


def errors_as_text(errors: Mapping[int, str], rows: int) -> pd.Series:
    """The column of so many rows that says why bodies could not be read, null where they could."""
    texts = np.full(rows, None, object)
    for row, why in errors.items():
        texts[row] = why
    return pd.Series(TEXT.__from_arrow__(pa.chunked_array([texts], pa.large_string())), copy=False)


def objects(column: pa.Array) -> np.ndarray:
    """A column as Python objects, without letting go of the interpreter in between.

    `to_pylist` does at each value, for a moment. That resets the clock of a thread that waits for
    a turn, so that it may wait as long as the whole takes.
    """
    objects: np.ndarray = column.to_numpy(zero_copy_only=False)
    return objects


def _caught_up(known: Growing, column: pa.ChunkedArray, first: int) -> Growing:
    """`known` with the rows that are new in a column without gaps."""
    if known.end < first:
        known = Growing(first, *known.dtypes)
    known.append(first, column.slice(known.end - first).cast(pa.int64()).to_numpy())
    return known
