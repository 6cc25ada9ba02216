"""Rows of a DataFrame as JSON."""

import datetime
import decimal
import enum
import json
import math
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stompy.errors import STOMPBodyError
from stompy_jupyter.json_rows import columns_of, json_text, rows_json


def sent(data: Any, **more: Any) -> list[Any]:
    """The rows as whoever receives them reads them."""
    columns, rows = columns_of(data, **more)
    return [json.loads(body, parse_constant=pytest.fail) for body in rows_json(columns, 0, rows)]


def column(*values: Any, dtype: Any = None) -> list[Any]:
    """What becomes of the values of one column."""
    return [row["a"] for row in sent(pd.DataFrame({"a": pd.Series(values, dtype=dtype)}))]


def test_a_row_is_an_object_of_its_columns_in_their_order():
    df = pd.DataFrame({"symbol": ["ABC", "x%s"], "price": [42.5, 1.0], "n": [1, 2]})
    columns, rows = columns_of(df)
    assert rows_json(columns, 0, rows) == [
        b'{"symbol":"ABC","price":42.5,"n":1}',
        b'{"symbol":"x%s","price":1.0,"n":2}',
    ]
    assert rows_json(columns, 1, 2) == [b'{"symbol":"x%s","price":1.0,"n":2}']


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([1, None, -(2**63)], "Int64", [1, None, -(2**63)]),
        ([2**64 - 1], "uint64", [2**64 - 1]),
        ([0.1, math.nan, 1e300], "float64", [0.1, None, 1e300]),
        ([1.5, None], "float32", [1.5, None]),
        ([True, False], "bool", [True, False]),
        ([True, None], "boolean", [True, None]),
        (['a"\\\n\0é', None, ""], "str", ['a"\\\n\0é', None, ""]),
        (["x", "y", None, "x"], "category", ["x", "y", None, "x"]),
        ([1, 2, 1], "category", [1, 2, 1]),
        ([None, None], "object", [None, None]),
        ([1, "a", None, 2.5, True], "object", [1, "a", None, 2.5, True]),
        ([pd.NA, pd.NaT, math.nan], "object", [None, None, None]),
        ([[1, [2]], {"a": {"b": math.nan}}], "object", [[1, [2]], {"a": {"b": None}}]),
        ([np.int64(5), np.float32(0.5), np.bool_(True)], "object", [5, 0.5, True]),
        ([np.array([1, 2]), (3, "x")], "object", [[1, 2], [3, "x"]]),
        ([10**30], "object", [10**30]),
    ],
)
def test_values_are_what_json_has_for_them(values, dtype, expected):
    assert column(*values, dtype=dtype) == expected
    assert list(map(type, column(*values, dtype=dtype))) == list(map(type, expected))


def test_times_are_iso_8601():
    utc = pd.to_datetime(["2026-11-30T23:59:59.5Z", None])
    assert column(*utc, dtype="datetime64[ms, UTC]") == ["2026-11-30T23:59:59.500Z", None]
    berlin = utc.tz_convert("Europe/Berlin")
    assert column(*berlin, dtype="datetime64[ms, Europe/Berlin]")[0] == "2026-11-30T23:59:59.500Z"
    assert column(*utc.tz_localize(None), dtype="datetime64[s]")[0] == "2026-11-30T23:59:59"
    assert column(pd.Timedelta("1 days 00:01:30"), None) == ["P1DT0H1M30S", None]


def test_times_among_other_objects_are_iso_8601_too():
    moment = datetime.datetime(2026, 11, 30, 12, tzinfo=datetime.UTC)
    assert column(moment, "x", dtype="object")[0] == "2026-11-30T12:00:00+00:00"
    assert column(moment.date(), dtype="object") == ["2026-11-30"]
    assert column([np.datetime64("2026-11-30T12", "ns")], 1) == [["2026-11-30T12:00:00"], 1]
    assert column({"for": datetime.timedelta(seconds=90)}) == [{"for": "P0DT0H1M30S"}]
    assert json_text(np.timedelta64(90, "s")) == '"P0DT0H1M30S"'


def test_all_of_arrow_that_has_a_form_is_sent():
    moment = datetime.datetime(2026, 11, 30, 12, 0, 1, 5)
    table = pa.table(
        {
            "date": pa.array([moment.date(), None]),
            "date64": pa.array([moment.date(), None], pa.date64()),
            "time": pa.array([moment.time(), None]),
            "time32": pa.array([datetime.time(1, 2, 3), None], pa.time32("s")),
            "half": pa.array([np.float16(0.5), None]),
            "struct": [{"a": 1, "at": moment}, None],
            "list": [[1, None], []],
            "view": pa.array(["é", None], pa.string_view()),
            "null": pa.nulls(2),
            "word": pa.array(["x", None]).dictionary_encode(),
        }
    )
    first, second = sent(table)
    assert first == {
        "date": "2026-11-30",
        "date64": "2026-11-30",
        "time": "12:00:01.000005",
        "time32": "01:02:03",
        "half": 0.5,
        "struct": {"a": 1, "at": "2026-11-30T12:00:01.000005"},
        "list": [1, None],
        "view": "é",
        "null": None,
        "word": "x",
    }
    assert second == {**dict.fromkeys(first), "list": []}


def test_polars_and_whatever_streams_arrow_is_sent_in_the_same_way():
    frame = pl.DataFrame({"a": [1, None], "b": ["x", "é"], "c": [[1.5], []]})
    expected = [{"a": 1, "b": "x", "c": [1.5]}, {"a": None, "b": "é", "c": []}]
    assert sent(frame) == expected
    assert sent(pa.RecordBatchReader.from_stream(frame)) == expected


def test_the_categories_of_polars_are_text():
    for kind in (pl.Categorical, pl.Enum(["x", "y"])):
        frame = pl.DataFrame({"a": ["y", None, "x"]}, schema={"a": kind})
        assert sent(frame) == [{"a": "y"}, {"a": None}, {"a": "x"}]


def test_the_index_is_sent_when_asked_for():
    df = pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", "y"], name="key"))
    assert sent(df) == [{"a": 1}, {"a": 2}]
    assert sent(df, index=True) == [{"key": "x", "a": 1}, {"key": "y", "a": 2}]


def test_rows_without_columns_are_empty_objects():
    assert sent(pd.DataFrame(index=[0, 1])) == [{}, {}]


def test_names_that_are_no_text_are_written_as_text():
    assert sent(pd.DataFrame({1: ["a"]})) == [{"1": "a"}]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1, 2], "a list has no columns"),
        (pd.Series([1, 2]), "a Series has no columns"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns are called 'a'"),
        (pd.DataFrame([[1, 2]], columns=[1, "1"]), "two columns are called '1'"),
    ],
)
def test_what_has_no_rows_with_names_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        columns_of(data)


def test_nothing_but_pandas_has_an_index():
    with pytest.raises(ValueError, match="index=True is for pandas"):
        columns_of(pl.DataFrame({"a": [1]}), index=True)


class Colour(enum.Enum):
    Red = 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (decimal.Decimal("1.5"), "a Decimal has no form in JSON\nTry: astype"),
        (b"octets", "a bytes has no form in JSON\nTry: decode it"),
        (Colour.Red, "a Colour has no form"),
        (math.inf, "no infinity"),
        (np.float64(-math.inf), "no infinity"),
        ([{"a": decimal.Decimal(1)}], "a Decimal has no form"),
        ({1: "a"}, "the key 1 is no text"),
        ("\ud800", "surrogate"),
        (["\ud800"], "surrogate"),
    ],
)
def test_a_value_without_json_is_named_by_row_and_column(value, message):
    df = pd.DataFrame({"fine": range(3), "odd": pd.Series(["a", "b", value], dtype=object)})
    with pytest.raises(STOMPBodyError, match=f"row 2, column 'odd': .*{message}"):
        sent(df)


def test_a_circle_is_nested_too_deeply():
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(STOMPBodyError, match="row 0, column 'a': it is nested too deeply"):
        column(circle, dtype="object")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pa.array([1.5, math.inf]), "row 1, column 'a': JSON has no infinity"),
        (pa.array([None, [b"x"]]), "row 1, column 'a': a bytes has no form"),
        (pa.array([decimal.Decimal("1.5")]), "row 0, column 'a': decimal128.* has no form"),
        (pa.array([b"x"]), "row 0, column 'a': binary has no form in JSON\nTry: decode"),
        (pa.array([(1, 2, 3)], pa.month_day_nano_interval()), "row 0, column 'a': month_day"),
    ],
)
def test_a_type_without_json_is_named_too(values, message):
    with pytest.raises(STOMPBodyError, match=message):
        sent(pa.table({"a": values}))


@pytest.mark.parametrize(
    "values", [pd.period_range("2026", periods=1), pd.interval_range(0, 1), [1 + 2j]]
)
def test_what_pandas_alone_has_is_refused(values):
    with pytest.raises(STOMPBodyError, match="row 0, column 'a'"):
        column(*values)


CELL = st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"))
CELL |= st.floats(allow_nan=False, allow_infinity=False)
NESTED = st.recursive(
    CELL,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)


@settings(deadline=None)
@given(st.lists(st.tuples(NESTED, CELL), max_size=5))
def test_any_row_comes_back_from_its_json(rows):
    df = pd.DataFrame(
        {name: pd.Series([row[n] for row in rows], dtype=object) for n, name in enumerate("ab")}
    )
    assert sent(df) == [{"a": a, "b": b} for a, b in rows]


TYPED = st.one_of(
    st.tuples(st.just(pa.int64()), st.lists(st.none() | st.integers(-(2**63), 2**63 - 1))),
    st.tuples(
        st.just(pa.float64()),
        st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False)),
    ),
    st.tuples(st.just(pa.bool_()), st.lists(st.none() | st.booleans())),
    st.tuples(st.just(pa.string()), st.lists(st.none() | st.text(st.characters(codec="utf-8")))),
)


@settings(deadline=None)
@given(TYPED)
def test_any_typed_column_comes_back_from_its_json(typed):
    kind, values = typed
    table = pa.table({"a": pa.array(values, kind)})
    assert [row["a"] for row in sent(table)] == values
    assert [row["a"] for row in sent(table.to_pandas(types_mapper=pd.ArrowDtype))] == values


@settings(deadline=None)
@given(st.datetimes(datetime.datetime(1700, 1, 1)))
def test_any_time_comes_back_from_its_json(moment):
    (text,) = column(moment, dtype="datetime64[us]")
    assert datetime.datetime.fromisoformat(text) == moment
    (text,) = column(moment.replace(tzinfo=datetime.UTC), dtype="datetime64[us, UTC]")
    assert datetime.datetime.fromisoformat(text) == moment.replace(tzinfo=datetime.UTC)
