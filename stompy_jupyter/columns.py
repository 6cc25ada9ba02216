"""The columns of a table as pandas has them, again and again: only what is new is converted.

Text is shared with Arrow. Numbers, times and decoded bodies gather in buffers (`growing.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from stompy_jupyter.batch import COLUMNS, DECODE_ERROR
from stompy_jupyter.decode import as_text
from stompy_jupyter.growing import TEXT, Growing, plain, times_in
from stompy_jupyter.settle import HEADERS, SettlingColumn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stompy_jupyter.decode import Decoder
    from stompy_jupyter.settle import Part


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
        self._headers: dict[str, SettlingColumn] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of the buffers; not of decoded bodies."""
        headers = sum(column.nbytes for column in self._headers.values())
        growing = (self._arrivals, self._sizes, self._bodies)
        return headers + sum(each.nbytes for each in growing if each)

    def to_pandas(self, table: pa.Table, first: int) -> pd.DataFrame:
        """A DataFrame of all rows that are kept, from number `first` on."""
        names = table.column_names
        known = self._headers
        self._headers = {
            name: known.get(name) or SettlingColumn(name, HEADERS) for name in names[len(COLUMNS) :]
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
            return self._headers[name].series(_parts(column, first), first, first + len(column))
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


def _parts(column: pa.ChunkedArray, first: int) -> list[Part]:
    """The chunks of a column, each with the number of its first row."""
    parts = []
    for chunk in column.chunks:
        parts.append((first, len(chunk), chunk))
        first += len(chunk)
    return parts


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
