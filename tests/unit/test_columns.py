"""Arrow to pandas, again and again."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from stompy_jupyter.columns import Columns, Growing, HeaderColumn, plain
from stompy_jupyter.decode import Decoder


def memory(series: pd.Series) -> np.ndarray:
    """What a Series shows, not a copy of it."""
    return series.to_numpy(copy=False)


# -- buffers ---------------------------------------------------------------------------------


def test_a_buffer_gives_what_was_added_from_any_row_on():
    numbers = Growing(10, "int64")
    numbers.append(10, np.arange(10, 13))
    numbers.append(10, np.arange(13, 15))
    assert numbers.end == 15
    assert numbers.series(plain, 10).tolist() == [10, 11, 12, 13, 14]
    assert numbers.series(plain, 13).tolist() == [13, 14]


def test_what_was_given_shares_memory_with_the_buffer_and_with_what_is_given_next():
    numbers = Growing(0, "int64")
    numbers.append(0, np.arange(3))
    one = numbers.series(plain, 0)
    numbers.append(0, np.arange(3))
    two = numbers.series(plain, 1)
    assert np.shares_memory(memory(one), memory(two))
    assert one.tolist() == [0, 1, 2]


def test_a_buffer_that_is_full_goes_on_in_a_larger_one_and_the_old_one_stays():
    numbers = Growing(0, "int64")
    numbers.append(0, np.arange(1000))
    old = numbers.series(plain, 0)
    numbers.append(0, np.arange(1000, 3000))
    assert numbers.series(plain, 0).tolist() == list(range(3000))
    assert not np.shares_memory(memory(old), memory(numbers.series(plain, 0)))
    old.iloc[0] = -1
    assert numbers.series(plain, 0)[0] == 0


def test_a_buffer_of_the_newest_rows_does_not_grow_for_ever():
    numbers = Growing(0, "int64")
    for row in range(0, 200_000, 100):
        numbers.append(max(0, row - 5000), np.arange(row, row + 100))
    assert numbers.nbytes < 3 * 5000 * 8
    assert numbers.series(plain, 195_000).tolist() == list(range(195_000, 200_000))


def test_a_buffer_is_moved_in_pieces(monkeypatch):
    monkeypatch.setattr("stompy_jupyter.columns._PIECE", 7)
    numbers = Growing(0, "object")
    numbers.append(0, np.arange(1000).astype(object))
    numbers.append(3, np.arange(1000, 3000).astype(object))
    assert numbers.series(plain, 3).tolist() == list(range(3, 3000))


# -- headers ---------------------------------------------------------------------------------


def texts(*values: str | None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, pa.large_string())])


def test_a_column_follows_its_kind_through_all_changes_and_back():
    column = HeaderColumn("h")
    values = ["1", "2", "3.5", "4", "x", "6", None, "8"]
    kinds = ["int64", "int64", "float64", "float64", "str", "str", "str", "str"]
    for n, kind in enumerate(kinds, 1):
        assert column.series(texts(*values[:n]), 0).dtype == kind
    for first, kind in [(2, "str"), (4, "str"), (5, "Int64"), (6, "Int64"), (7, "int64")]:
        series = column.series(texts(*values[first:]), first)
        assert series.dtype == kind
        assert [str(v) for v in series] == [str(v or pd.NA) for v in values[first:]] or first < 5


def test_a_column_is_converted_once(monkeypatch):
    converted = []
    column = HeaderColumn("h")
    append = Growing.append

    def count(self, first, *values):
        converted.append(len(values[0]))
        append(self, first, *values)

    monkeypatch.setattr(Growing, "append", count)
    for n in (3, 3, 5):
        column.series(texts(*map(str, range(n))), 0)
    assert converted == [3, 0, 2]


def test_rows_that_were_dropped_before_they_were_seen_leave_no_hole():
    column = HeaderColumn("h")
    column.series(texts("1", "2"), 0)
    assert column.series(texts("8", "9"), 8).tolist() == [8, 9]


@pytest.mark.parametrize("name", ["timestamp", "expires", "JMSTimestamp", "event_timestamp"])
def test_epoch_milliseconds_under_such_a_name_are_times(name):
    series = HeaderColumn(name).series(texts("1700000000123"), 0)
    assert series.tolist() == [pd.Timestamp("2023-11-14 22:13:20.123", tz="UTC")]


@pytest.mark.parametrize("name", ["expired", "timestamps", "Expires-in", "time"])
def test_epoch_milliseconds_under_another_name_are_numbers(name):
    assert HeaderColumn(name).series(texts("1700000000123"), 0).dtype == "int64"


def test_a_time_that_never_comes_keeps_its_column_a_number():
    column = HeaderColumn("expires")
    assert column.series(texts("0", "1700000000123"), 0).tolist() == [0, 1700000000123]
    assert isinstance(column.series(texts("1700000000123"), 1).dtype, pd.DatetimeTZDtype)


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
