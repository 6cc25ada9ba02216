"""Columns whose type settles over time."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stompy_jupyter.bodies import as_column
from stompy_jupyter.settle import HEADERS, SettlingColumn, as_text, says_time

NOON = pd.Timestamp("2026-03-01T12:00:00Z")


def settled(*values: object, name: str = "n") -> pd.Series:
    """The column of values that came at once."""
    column = as_column(values)
    return SettlingColumn(name).series([(0, len(column), column)], 0, len(column))


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([1, 2], "int64", [1, 2]),
        (["1", "2"], "int64", [1, 2]),
        ([1, "2"], "int64", [1, 2]),
        (["0", "-7"], "int64", [0, -7]),
        ([1, None], "Int64", [1, pd.NA]),
        (["1", "", "3"], "Int64", [1, pd.NA, 3]),
        (["8999999999999999999"], "int64", [9 * 10**18 - 1]),
        (["9223372036854775807"], "str", ["9223372036854775807"]),
        ([1.5, 2], "float64", [1.5, 2.0]),
        (["1.5", "2", ""], "float64", [1.5, 2.0, math.nan]),
        ([1, "2.5"], "float64", [1.0, 2.5]),
        ([1.5, None], "float64", [1.5, math.nan]),
        ([True, False], "bool", [True, False]),
        (["true", "false"], "bool", [True, False]),
        (["True", True, None, ""], "boolean", [True, True, pd.NA, pd.NA]),
        (["x", "y"], "str", ["x", "y"]),
        (["x", "1", "", "true"], "str", ["x", "1", "", "true"]),
        (["", ""], "str", ["", ""]),
        ([None, None], "str", [math.nan, math.nan]),
        (["1", "true"], "str", ["1", "true"]),
        (["2026-03-01", "1"], "str", ["2026-03-01", "1"]),
        ([1, "x"], "object", [1, "x"]),
        ([True, 1], "object", [True, 1]),
        ([True, "x", None], "object", [True, "x", None]),
        ([[1, 2], None], "object", [[1, 2], None]),
        ([{}, 1], "object", [{}, 1]),
        ([2**63 - 1], "int64", [2**63 - 1]),
        ([2**63, 1], "object", [2**63, 1]),
        ([b"\xff"], "object", [b"\xff"]),
        ([10**17, 0.5], "object", [10**17, 0.5]),
        (["100000000000000000", "0.5"], "str", ["100000000000000000", "0.5"]),
    ],
)
def test_a_column_is_what_all_of_its_values_are(values, dtype, expected):
    column = settled(*values)
    assert column.dtype == dtype
    pd.testing.assert_series_equal(column, pd.Series(expected, dtype=dtype))


@pytest.mark.parametrize(
    "text", ["007", "+1", "1e3", " 1", "1 ", "0x1F", "1_000", "-0", "1.", ".5", "nan", "٣", "1\n"]
)
def test_text_that_is_no_number_as_one_writes_it_stays_text(text):
    column = settled("1", text)
    if text == "-0":  # only a float keeps its sign
        assert column.dtype == "float64"
    else:
        assert column.tolist() == ["1", text]


@pytest.mark.parametrize("text", ["0001", "0x10", "-0", "1.5"])
def test_where_the_odd_one_came_first_does_not_matter(text):
    assert settled(text, "1").dtype == settled("1", text).dtype


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z"),
        ("2026-03-01 12:00:00Z", "2026-03-01T12:00:00Z"),
        ("2026-03-01T13:00:00+01:00", "2026-03-01T12:00:00Z"),
        ("2026-03-01T13:00+0100", "2026-03-01T12:00:00Z"),
        ("2026-03-01T12:00:00.123456Z", "2026-03-01T12:00:00.123456Z"),
        ("2026-03-01T12:00:00.123456789Z", "2026-03-01T12:00:00.123456Z"),
        ("2026-03-01T12:00:00", "2026-03-01T12:00:00"),
        ("2026-03-01T12:00", "2026-03-01T12:00:00"),
        ("2026-03-01", "2026-03-01"),
    ],
)
def test_iso_8601_is_a_time(text, time):
    column = settled(text, "", None)
    assert column.dtype == ("datetime64[us, UTC]" if len(time) > 19 else "datetime64[us]")
    assert column[0] == pd.Timestamp(time)
    assert column[1:].isna().all()


@pytest.mark.parametrize(
    "text", ["2026-13-01", "2026-02-30T00:00:00", "2026-03-01T25:00:00Z", "2026-3-1", "12:00:00"]
)
def test_what_is_not_in_the_calendar_stays_text(text):
    assert settled("2026-03-01", text).tolist() == ["2026-03-01", text]
    assert settled(text).tolist() == [text]


def test_times_with_a_zone_and_without_are_not_mixed():
    assert settled("2026-03-01T12:00:00Z", "2026-03-01T12:00:00").dtype == "str"


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("kind", [int, str])
def test_epoch_times_are_known_by_the_name_and_their_size(unit, kind):
    number = NOON.value // pd.Timedelta(1, unit).value
    column = settled(kind(number), name="event_time")
    assert column.dtype == f"datetime64[{unit}, UTC]"
    assert column[0] == NOON
    assert settled(kind(number), name="number").dtype == "int64"


def test_seconds_may_have_a_fraction():
    column = settled(NOON.timestamp() + 0.25, None, name="ts")
    assert column[0] == NOON + pd.Timedelta("250ms")
    assert column.isna().tolist() == [False, True]


@pytest.mark.parametrize("number", [1_700_000_000, "1700000000"])
def test_nan_is_a_gap_among_times(number):
    column = settled(number, 1_700_000_000.5, math.nan, name="ts")
    assert column.dtype == "datetime64[us, UTC]"
    assert column.isna().tolist() == [False, False, True]


@pytest.mark.parametrize("other", [0, 5, 10**17, -1])
def test_a_number_that_is_no_time_of_this_century_makes_all_of_them_numbers(other):
    column = settled(NOON.value // 10**6, other, name="timestamp")
    assert column.tolist() == [NOON.value // 10**6, other]


@pytest.mark.parametrize(
    "name",
    [
        *("time", "timestamp", "TIMESTAMP", "a.ts", "dep_time", "createdAt", "created_at"),
        *("expires", "eventTime", "date", "body.msg_queue_timestamp", "startDate"),
    ],
)
def test_names_that_say_time(name):
    assert says_time(name)


@pytest.mark.parametrize("name", ["times", "at_risk", "format", "rate", "update", "flat", "costs"])
def test_names_that_do_not(name):
    assert not says_time(name)


MIXED = st.lists(
    st.sampled_from(
        [
            *(
                None,
                "",
                "1",
                "-0",
                "1.5",
                "007",
                "x",
                "true",
                "True",
                True,
                1,
                0,
                1.5,
                2**60,
                2**63,
            ),
            *("123456789012345678", "2026-03-01", "2026-03-01T10:00:00Z", "2026-13-01"),
            *(1_700_000_000, 1_700_000_000_000, "1700000000000", 1_700_000_000.5, [1], {}, b"x"),
        ]
    ),
    max_size=12,
)


# A whole number that has come together with floats is one of them, also when these are gone.
WITHOUT_FLOATS = MIXED.map(lambda values: [v for v in values if not isinstance(v, float)])


@settings(max_examples=300, deadline=None)
@given(
    st.tuples(MIXED, st.just(False)) | st.tuples(WITHOUT_FLOATS, st.just(True)),
    st.data(),
    st.sampled_from(["time", "n"]),
)
def test_it_does_not_matter_how_many_come_at_a_time(case, data, name):
    """Also when rows are dropped from the front meanwhile."""
    values, are_dropped = case
    column = SettlingColumn(name)
    parts, row, first = [], 0, 0
    while row < len(values):
        count = data.draw(st.integers(1, len(values) - row))
        parts.append((row, count, as_column(values[row : row + count])))
        row += count
        first = data.draw(st.integers(first, row)) if are_dropped else 0
        series = column.series(parts, first, row)
        series.index = pd.RangeIndex(len(series))
        alone = [(i, 1, as_column([value])) for i, value in enumerate(values[first:row])]
        expected = SettlingColumn(name).series(alone, 0, row - first)
        pd.testing.assert_series_equal(series, expected.reset_index(drop=True))


def test_rows_without_the_key_are_gaps():
    column = SettlingColumn("n")
    series = column.series([(0, 2, None), (2, 1, pa.array([5]))], 0, 3)
    assert series.tolist() == [pd.NA, pd.NA, 5]
    assert column.last_value == 2


def test_a_users_write_reaches_no_other_series():
    column = SettlingColumn("n")
    parts = [(0, 2, pa.array([1, 2]))]
    one = column.series(parts, 0, 2)
    one.iloc[0] = 99
    assert column.series(parts, 0, 2).tolist() == [1, 2]


def test_text_is_shared():
    texts = pa.array(["x", "y"], pa.large_string())
    column = SettlingColumn("n")
    series = column.series([(0, 2, texts)], 0, 2)
    shared = pa.chunked_array(series.array.__arrow_array__()).chunk(0)
    assert shared.buffers()[2].address == texts.buffers()[2].address


def test_values_as_text():
    assert as_text(np.array([1, "x", [1, True], None], object)).to_pylist() == [
        "1",
        "x",
        "[1, true]",
        None,
    ]


# -- headers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "true", "2026-03-01T12:00:00Z"])
def test_the_text_of_headers_is_a_number_or_text(text):
    column = SettlingColumn("h", HEADERS)
    series = column.series([(0, 2, pa.array([text, "1"], pa.large_string()))], 0, 2)
    assert series.tolist() == [text, "1"]
