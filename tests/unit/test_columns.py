"""Arrow to pandas, again and again."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from stompy_jupyter.columns import Columns
from stompy_jupyter.decode import Decoder
from stompy_jupyter.growing import Growing
from stompy_jupyter.settle import HEADERS, SettlingColumn


def memory(series: pd.Series) -> np.ndarray:
    """What a Series shows, not a copy of it."""
    return series.to_numpy(copy=False)


# -- headers ---------------------------------------------------------------------------------


def texts(*values: str | None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, pa.large_string())])


class Header(SettlingColumn):
    """The column of a header, for values in one chunk."""

    def __init__(self, name: str) -> None:
        super().__init__(name, HEADERS)

    def of(self, values: pa.ChunkedArray, first: int) -> pd.Series:
        return self.series([(first, len(values), values.chunk(0))], first, first + len(values))


def test_a_column_follows_its_kind_through_all_changes_and_back():
    column = Header("h")
    values = ["1", "2", "3.5", "4", "x", "6", None, "8"]
    kinds = ["int64", "int64", "float64", "float64", "str", "str", "str", "str"]
    for n, kind in enumerate(kinds, 1):
        assert column.of(texts(*values[:n]), 0).dtype == kind
    for first, kind in [(2, "str"), (4, "str"), (5, "Int64"), (6, "Int64"), (7, "int64")]:
        series = column.of(texts(*values[first:]), first)
        assert series.dtype == kind
        assert [str(v) for v in series] == [str(v or pd.NA) for v in values[first:]] or first < 5


def test_a_column_is_converted_once(monkeypatch):
    converted = []
    column = Header("h")
    append = Growing.append

    def count(self, first, *values):
        converted.append(len(values[0]))
        append(self, first, *values)

    monkeypatch.setattr(Growing, "append", count)
    for n in (3, 3, 5):
        column.of(texts(*map(str, range(n))), 0)
    assert converted == [3, 2]


def test_rows_that_were_dropped_before_they_were_seen_leave_no_hole():
    column = Header("h")
    column.of(texts("1", "2"), 0)
    assert column.of(texts("8", "9"), 8).tolist() == [8, 9]


@pytest.mark.parametrize("name", ["timestamp", "expires", "JMSTimestamp", "event_timestamp"])
def test_epoch_milliseconds_under_such_a_name_are_times(name):
    series = Header(name).of(texts("1700000000123"), 0)
    assert series.tolist() == [pd.Timestamp("2023-11-14 22:13:20.123", tz="UTC")]


@pytest.mark.parametrize("name", ["expired", "timestamps", "Expires-in", "time"])
def test_epoch_milliseconds_under_another_name_are_numbers(name):
    assert Header(name).of(texts("1700000000123"), 0).dtype == "int64"


def test_a_time_that_never_comes_keeps_its_column_a_number():
    column = Header("expires")
    assert column.of(texts("0", "1700000000123"), 0).tolist() == [0, 1700000000123]
    assert isinstance(column.of(texts("1700000000123"), 1).dtype, pd.DatetimeTZDtype)


# -- all of them -----------------------------------------------------------------------------


def test_the_parts_of_a_data_frame_are_no_copies():
    table = pa.table(
        {
            "received_at": pa.array([1, 2], pa.timestamp("us", "UTC")),
            "destination": texts("a", "b"),
            "message_id": texts("a", "b"),
            "content_type": texts("a", "b"),
            "size": pa.array([1, 2], pa.int64()),
            "body": texts("a", "b"),
            "n": texts("1", "2"),
        }
    )
    columns = Columns(Decoder("text"))
    one, two = columns.to_pandas(table, 0), columns.to_pandas(table, 0)
    for name in ("size", "n"):
        assert np.shares_memory(memory(one[name]), memory(two[name]))
    assert columns.nbytes > 0
