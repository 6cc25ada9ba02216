"""FrameTable: frames in, pandas and Arrow out."""

import contextlib
import gc
import json
import signal
import threading
import time
import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stompy import STOMPClosed, STOMPError, STOMPFrame, STOMPTimeout
from stompy_jupyter import FrameTable
from stompy_jupyter.search import Term

NOON = 1_700_000_000_123_456_789
"""Nanoseconds since 1970 at which frames arrive here."""


def message(body: bytes | str = b"a", **headers: str) -> STOMPFrame:
    """A MESSAGE; an underscore in a keyword is a hyphen in its header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return STOMPFrame("MESSAGE", {"destination": "/topic/t", **named}, body)


def table_of(*frames: STOMPFrame, **arguments: Any) -> FrameTable:
    table = FrameTable(**arguments)
    for frame in frames:
        table.append(frame, NOON)
    return table


def column(header: str, *values: str | None) -> pd.Series:
    """The column of a header that has these values in this order; None where it is missing."""
    frames = [message(**({} if value is None else {header: value})) for value in values]
    return table_of(*frames).df[header]


# -- rows ------------------------------------------------------------------------------------


def test_append_returns_the_number_of_the_row():
    table = FrameTable(max_rows=2)
    numbers = [table.append(message(body)) for body in "abc"]
    assert numbers == [0, 1, 2]
    assert table.df["body"].to_dict() == {1: "b", 2: "c"}


def test_extend_returns_the_number_of_the_first_row():
    table = FrameTable()
    assert table.extend([message("a"), message("b")], NOON) == 0
    assert table.extend([]) == 2
    assert table.extend([message("c")], NOON) == 2
    pd.testing.assert_frame_equal(table.df, table_of(message("a"), message("b"), message("c")).df)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(1, 3000), st.lists(st.integers(0, 100), max_size=8))
def test_extend_keeps_to_the_bounds_as_append_does(max_rows, max_bytes, bursts):
    table, by_one = FrameTable(max_rows, max_bytes), FrameTable(max_rows, max_bytes)
    for size in bursts:
        frames = [message(str(n), n=str(n)) for n in range(size)]
        table.extend(frames, NOON)
        for frame in frames:
            by_one.append(frame, NOON)
        assert table.received == table.dropped + len(table)
        assert len(table) <= max_rows
    newest = min(len(table), len(by_one))
    assert table.last(newest) == by_one.last(newest)


def test_a_frame_that_is_changed_later_does_not_change_its_row():
    frame = message(a="1")
    table = table_of(frame)
    frame.Headers["a"] = "2"
    assert table.df["a"].tolist() == [1]


def test_a_frame_that_is_none_leaves_the_table_as_it_was():
    table = table_of(message("a"))
    with pytest.raises(TypeError):
        table.append(STOMPFrame("MESSAGE", {"n": 1}))
    table.append(message("b"))
    assert table.df["body"].tolist() == ["a", "b"]


def test_nbytes_is_about_what_the_rows_take():
    table = FrameTable(max_rows=10_000, max_bytes=10**9)
    assert table.nbytes < 1000
    for _ in range(20):
        table.extend([message(bytes(1000)) for _ in range(1000)])
    held = table.nbytes
    assert 10_000_000 < held < 15_000_000
    df = table.df
    assert held + len(df) * 2 * 8 <= table.nbytes < 1.1 * held  # a time and a size for each row


# -- bounds ----------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 40), st.integers(1, 3000), st.lists(st.integers(0, 400), max_size=80))
def test_what_was_received_is_kept_or_counted_as_dropped(max_rows, max_bytes, sizes):
    table = FrameTable(max_rows, max_bytes)
    for number, size in enumerate(sizes):
        table.append(message(f"{number} ".ljust(size)))
        assert table.received == number + 1
        assert table.received == table.dropped + len(table)
        assert 1 <= len(table) <= max_rows
    df = table.df
    assert df.index.tolist() == list(range(table.dropped, table.received))
    assert [int(body) for body in df["body"]] == df.index.tolist()
    assert table.arrow().num_rows == len(table)


@pytest.mark.parametrize("max_rows", [1, 7, 8, 9, 100])
def test_the_newest_max_rows_rows_are_kept(max_rows):
    table = table_of(*[message(str(number)) for number in range(250)], max_rows=max_rows)
    assert table.df["body"].tolist() == [str(n) for n in range(250 - max_rows, 250)]
    assert (table.received, table.dropped, len(table)) == (250, 250 - max_rows, max_rows)


def test_about_max_bytes_bytes_of_bodies_are_kept():
    table = table_of(*[message(bytes(1000)) for _ in range(1000)], max_bytes=100_000)
    assert 50_000 < table.arrow().nbytes < 130_000


def test_about_max_bytes_bytes_of_headers_are_kept():
    table = table_of(*[message(b"", note="n" * 1000) for _ in range(1000)], max_bytes=100_000)
    assert 50_000 < table.arrow().nbytes < 130_000


@pytest.mark.parametrize("bounds", [{"max_rows": 0}, {"max_bytes": 0}, {"max_rows": -1}])
def test_a_table_that_can_hold_nothing_is_refused(bounds):
    with pytest.raises(ValueError, match="one row and one byte"):
        FrameTable(**bounds)


# -- columns ---------------------------------------------------------------------------------


def test_an_empty_table_has_the_usual_columns_and_types():
    df = FrameTable().df
    assert df.dtypes.astype(str).to_dict() == {
        "received_at": "datetime64[us, UTC]",
        "destination": "str",
        "message_id": "str",
        "content_type": "str",
        "size": "int64",
        "body": "str",
    }
    assert len(df) == 0


def test_a_frame_is_a_row():
    frame = message("grün", message_id="m1", content_type="text/plain", price="1.5")
    (row,) = table_of(frame).df.to_dict("records")
    assert row == {
        "received_at": pd.Timestamp(NOON, tz="UTC").floor("us"),
        "destination": "/topic/t",
        "message_id": "m1",
        "content_type": "text/plain",
        "size": 5,
        "body": "grün",
        "price": 1.5,
    }


def test_a_frame_arrives_now_unless_a_time_is_given():
    before = pd.Timestamp.now("UTC").floor("us")
    table = FrameTable()
    table.append(message())
    assert before <= table.df["received_at"][0] <= pd.Timestamp.now("UTC")


def test_headers_that_have_their_column_or_say_nothing_get_none():
    frame = message(message_id="1", content_type="x", content_length="1", subscription="1")
    assert table_of(frame).df.columns.tolist() == FrameTable().df.columns.tolist()


def test_a_header_with_the_name_of_a_column_gets_another_name():
    named = dict.fromkeys(["body", "size", "received_at"], "0")
    df = table_of(STOMPFrame("MESSAGE", named, b"abc")).df
    assert (df["body"][0], df["size"][0]) == ("abc", 3)
    assert df[["header_body", "header_size", "header_received_at"]].iloc[0].tolist() == [0, 0, 0]


def test_headers_of_later_frames_add_columns_and_leave_gaps():
    df = table_of(message(a="1"), message(b="x"), max_rows=8).df  # each row is a batch here
    assert df.columns.tolist()[-2:] == ["a", "b"]
    assert df["a"].isna().tolist() == [False, True]
    assert df["b"].isna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        (["1", "-2", "0"], "int64", [1, -2, 0]),
        (["1", None, "3"], "Int64", [1, pd.NA, 3]),
        (["1", "2.5"], "float64", [1.0, 2.5]),
        (["0.10", None], "float64", [0.1, np.nan]),
        (["1", "x"], "str", ["1", "x"]),
        (["x", None], "str", ["x", np.nan]),
        (["999999999999999999"], "int64", [999999999999999999]),
        ([""], "str", [""]),
        (["true", "false"], "str", ["true", "false"]),
    ],
)
def test_the_values_of_a_header_decide_the_type_of_its_column(values, dtype, expected):
    series = column("h", *values)
    assert series.dtype == dtype
    pd.testing.assert_series_equal(
        series, pd.Series(expected, dtype=dtype), check_names=False, check_index_type=False
    )


@pytest.mark.parametrize(
    "value", ["007", "+1", " 1", "1 ", "1.", ".5", "1e5", "nan", "0x10", "\u0661", "1_0", "1\n"]
)
def test_what_a_number_would_change_stays_text(value):
    assert column("h", value, "1").tolist() == [value, "1"]


@pytest.mark.parametrize("value", ["1700000000123456789", "9223372036854775808", "-" + "9" * 30])
def test_a_whole_number_too_long_for_a_number_column_keeps_its_digits(value):
    (kept,) = column("order-id", value)
    assert str(kept) == value


def test_a_column_keeps_one_type_over_all_batches():
    frames = [message(h=value) for value in ["1", "2", "x", "4"]]
    assert table_of(*frames, max_rows=8).df["h"].tolist() == ["1", "2", "x", "4"]
    assert table_of(*frames[:2], max_rows=8).df["h"].tolist() == [1, 2]


@pytest.mark.parametrize("max_rows", [8, 1000], ids=["a batch each", "one batch"])
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "2.5"], [1.0, 2.5]),
        (["1", "123456789012345678"], [1, 123456789012345678]),
        (["123456789012345678", "2.5"], ["123456789012345678", "2.5"]),
    ],
)
def test_no_digit_is_lost_whatever_other_values_a_column_has(values, expected, max_rows):
    frames = [message(h=value) for value in values]
    assert table_of(*frames, max_rows=max_rows).df["h"].tolist() == expected


def test_a_timestamp_in_epoch_milliseconds_is_a_time():
    series = column("timestamp", "1700000000123", None)
    assert isinstance(series.dtype, pd.DatetimeTZDtype)
    assert series[0] == pd.Timestamp("2023-11-14 22:13:20.123", tz="UTC")
    assert series.isna().tolist() == [False, True]


@pytest.mark.parametrize("values", [["12"], ["1700000000"], ["1700000000123", "5"], ["now"]])
def test_a_timestamp_that_is_something_else_is_no_time(values):
    series = column("timestamp", *values)
    assert not isinstance(series.dtype, pd.DatetimeTZDtype)
    assert [str(value) for value in series] == values


@pytest.mark.parametrize("value", ["1700000000123456", "999999999999999999"])
def test_a_timestamp_in_another_unit_breaks_no_table(value):
    df = table_of(message(timestamp=value)).df
    assert value in repr(df[["timestamp"]])
    assert value in df[["timestamp"]]._repr_html_()


def test_names_that_are_new_in_every_message_make_no_table_of_a_million_columns():
    table = table_of(*[message(**{f"h{n}": str(n)}) for n in range(1000)], max_rows=100)
    df = table.df
    assert df.columns.tolist() == [*FrameTable().df.columns, "more_headers"]
    assert json.loads(df["more_headers"][999]) == {"h999": "999"}
    assert table.arrow().schema.names == df.columns.tolist()


def test_nothing_is_lost_of_more_headers_than_there_are_columns_for():
    headers = {f"h{n}": f"v{n}" for n in range(1000)}
    df = table_of(message(**headers)).df
    assert len(df.columns) == 6 + 256 + 1
    row = df.iloc[0]
    kept = {name: row[name] for name in df.columns[6:-1]}
    assert {**kept, **json.loads(row["more_headers"])} == headers


def test_a_header_that_is_called_like_the_rest_gets_another_name():
    df = table_of(STOMPFrame("MESSAGE", {"more_headers": "x"})).df
    assert df["header_more_headers"].tolist() == ["x"]
    assert "more_headers" not in df


HEADERS = st.dictionaries(
    st.sampled_from(["a", "b", "timestamp", "expires", "more_headers"]),
    st.sampled_from(["0", "1", "-7", "2.5", "-0", "x", "", "123456789012345678", "1700000000123"]),
    max_size=3,
)
BODIES = st.sampled_from([b"", b"text", b'{"a": [1, 2]}', b"[1, 2]", "ü".encode(), b"\xff"])


def held(table: FrameTable, frames: list[STOMPFrame]) -> pd.DataFrame:
    """What a table would show that has never had any rows but those that `table` holds."""
    alone = FrameTable(decode=table.decode)
    alone.extend(frames[table.dropped :], NOON)
    df = alone.df
    return df.set_index(df.index + table.dropped)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.tuples(HEADERS, BODIES), max_size=6), max_size=12),
    st.sampled_from([3, 16, 40, 1000]),
    st.sampled_from(["text", "bytes", "json"]),
)
def test_a_data_frame_depends_on_nothing_but_the_rows_that_are_held(bursts, max_rows, decode):
    table = FrameTable(max_rows, decode=decode)
    frames: list[STOMPFrame] = []
    for burst in bursts:
        new = [STOMPFrame("MESSAGE", headers, body) for headers, body in burst]
        table.extend(new, NOON)
        frames += new
        df, expected = table.df, held(table, frames)
        assert set(df.columns) == set(expected.columns)
        pd.testing.assert_frame_equal(df, expected[df.columns], check_index_type=False)
        shown = [name for name in df.columns if name != "decode_error"]
        assert table.arrow().schema.names == shown


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(HEADERS, BODIES), max_size=60), st.integers(1, 60), st.integers(1, 7))
def test_it_does_not_matter_how_often_a_data_frame_is_asked_for(rows, max_rows, every):
    table, asked_once = FrameTable(max_rows), FrameTable(max_rows)
    for number, (headers, body) in enumerate(rows):
        for one in (table, asked_once):
            one.append(STOMPFrame("MESSAGE", headers, body), NOON)
        if number % every == 0:
            _ = table.df
    pd.testing.assert_frame_equal(table.df, asked_once.df)


# -- bodies ----------------------------------------------------------------------------------


LATIN = message("café".encode("latin-1"), content_type="text/plain;charset=latin-1")
UTF16 = message("€".encode("utf-16"), content_type='text/plain; Charset="UTF-16"')


@pytest.mark.parametrize(
    ("frame", "body"),
    [
        (message("grün"), "grün"),
        (message(b""), ""),
        (message(b"\xff\x00"), b"\xff\x00"),
        (message(b"a\0b"), "a\0b"),
        (LATIN, "café"),
        (UTF16, "€"),
        (message("ü", content_type="text/plain;charset=utf-8"), "ü"),
        (message("ü", content_type="text/plain;charset=no-such"), "ü"),
        (message(b"\xff", content_type="text/plain;charset=ascii"), b"\xff"),
        (message(b"\xff", content_type="text/plain;charset=undefined"), b"\xff"),
        (message(b"\xff", content_type="text/plain;charset=a\0b"), b"\xff"),
    ],
    ids=lambda value: value.get("content-type") if isinstance(value, STOMPFrame) else None,
)
def test_a_body_is_text_where_it_decodes_and_bytes_where_not(frame, body):
    assert table_of(frame).df["body"].tolist() == [body]
    assert table_of(frame).df["size"].tolist() == [len(frame.Body)]


@pytest.mark.parametrize("max_rows", [8, 1000], ids=["a batch each", "one batch"])
def test_a_body_that_is_no_text_does_not_change_the_others(max_rows):
    frames = [message("grün"), LATIN, message(b"\xff\x00"), UTF16, message("x")]
    bodies = table_of(*frames, max_rows=max_rows).df["body"]
    assert bodies.tolist() == ["grün", "café", b"\xff\x00", "€", "x"]


@pytest.mark.parametrize("max_rows", [8, 1000], ids=["a batch each", "one batch"])
def test_arrow_bodies_are_text_while_all_are_and_binary_else(max_rows):
    table = table_of(message("a"), LATIN, max_rows=max_rows)
    assert table.arrow()["body"].to_pylist() == ["a", "café"]
    table.append(message(b"\xff\x00"))
    assert table.arrow().schema.field("body").type == pa.large_binary()
    assert table.arrow()["body"][2].as_py() == b"\xff\x00"


# -- decoding --------------------------------------------------------------------------------


def test_bytes_are_the_octets_as_they_came():
    frames = [message("grün"), LATIN, message(b"\xff\x00"), UTF16]
    table = table_of(*frames, decode="bytes")
    assert table.df["body"].dtype == object
    assert table.df["body"].tolist() == [frame.Body for frame in frames]
    assert table.arrow()["body"].to_pylist() == [frame.Body for frame in frames]
    assert [row["body"] for row in table.last(9)[1]] == [frame.Body for frame in frames]
    assert table.undecoded == 0


@pytest.mark.parametrize("max_rows", [8, 1000], ids=["a batch each", "one batch"])
def test_json_is_the_value_of_each_body(max_rows):
    bodies = ['{"price": 3}', "[1, 2]", "[3, 4]", "null", '"ü"', "2.5"]
    df = table_of(*map(message, bodies), max_rows=max_rows, decode="json").df
    assert df["body"].dtype == object
    assert df["body"].tolist() == [{"price": 3}, [1, 2], [3, 4], None, "ü", 2.5]
    assert df["size"].tolist() == [len(body.encode()) for body in bodies]


def test_a_body_that_is_no_json_stays_as_it_is_and_is_counted():
    table = table_of(message("[1]"), message("{"), LATIN, message(b"\xff"), decode="json")
    assert table.undecoded == 3
    assert table.df["body"].tolist() == [[1], "{", "café", b"\xff"]
    assert [row["body"] for row in table.last(4)[1]] == ["[1]", "{", "café", b"\xff"]
    assert table.undecoded == 3


def test_json_in_another_charset_is_read_by_it():
    frame = message('{"a": "é"}'.encode("latin-1"), content_type="x;charset=latin-1")
    assert table_of(frame, decode="json").df["body"].tolist() == [{"a": "é"}]


def test_a_body_is_decoded_once():
    decoded = []

    def decode(text):
        decoded.append(text)
        return text.upper()

    table = table_of(message("a"), message("b"), max_rows=16, decode=decode)
    for _ in range(2):
        assert table.df["body"].tolist() == ["A", "B"]
    table.append(message("c"))
    assert table.df["body"].tolist() == ["A", "B", "C"]
    assert decoded == ["a", "b", "c"]


def test_an_unknown_decoder_is_refused():
    with pytest.raises(ValueError, match="no decoder 'yaml'; there are: text, bytes, json, auto"):
        FrameTable(decode="yaml")


# -- copies ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [3, 8, 11])
def test_a_data_frame_does_not_change_with_later_frames(rows):
    table = table_of(*[message(str(number)) for number in range(rows)], max_rows=16)
    df = table.df
    before = df.copy(deep=True)
    for _ in range(20):
        table.append(message("later"))
    pd.testing.assert_frame_equal(df, before)


@pytest.mark.parametrize(
    ("name", "value"), [("size", 99), ("body", "mine"), ("n", 99), ("received_at", pd.NaT)]
)
@pytest.mark.parametrize("max_rows", [16, 1000], ids=["sealed", "tail"])
def test_a_data_frame_may_be_changed_and_the_table_stays(name, value, max_rows):
    table = table_of(*[message(n="1") for _ in range(4)], max_rows=max_rows)
    before = table.df.copy(deep=True)
    df = table.df
    df.loc[0, name] = value
    assert df[name].isna()[0] if value is pd.NaT else df[name][0] == value
    pd.testing.assert_frame_equal(table.df, before)


WRITTEN = [("size", 99), ("body", "mine"), ("n", 99), ("gaps", 99), ("x", 9.5), ("timestamp", 0)]


def full_row(number: int) -> STOMPFrame:
    """A message with a column of each kind."""
    gaps = {"gaps": str(number)} if number % 3 else {}
    return message(str(number), n=str(number), x=f"{number}.25", timestamp="1700000000123", **gaps)


def write_all(df: pd.DataFrame) -> None:
    """Change every kind of column, by label, by place, and in a Series of its own."""
    times = df["timestamp"].tolist()
    for name, value in WRITTEN:
        value = times[-1] + pd.Timedelta(1, "D") if name == "timestamp" else value
        df.loc[df.index[0], name] = value
        df.iloc[1:3, df.columns.get_loc(name)] = value
        series = df[name]
        series.iloc[-1] = value


@pytest.mark.parametrize("more", [0, 1, 30, 3000], ids=lambda n: f"{n} more rows")
@pytest.mark.parametrize("decode", ["text", "bytes", "json"])
@pytest.mark.parametrize("max_rows", [16, 10_000], ids=["rows dropped", "none dropped"])
def test_who_writes_into_a_data_frame_changes_neither_table_nor_another_one(max_rows, decode, more):
    table = table_of(*map(full_row, range(12)), max_rows=max_rows, decode=decode)
    mine, other = table.df, table.df
    before = other.copy(deep=True)
    table.extend([full_row(number) for number in range(12, 12 + more)], NOON)
    later = table.df
    expected = table_of(*map(full_row, range(12 + more)), max_rows=max_rows, decode=decode).df
    write_all(mine)
    pd.testing.assert_frame_equal(other, before)
    pd.testing.assert_frame_equal(later, expected)
    write_all(later)
    pd.testing.assert_frame_equal(other, before)
    pd.testing.assert_frame_equal(table.df, expected)


def test_a_data_frame_may_be_changed_after_its_table_has_gone():
    table = table_of(*map(full_row, range(12)))
    one, two = table.df, table.df
    before = two.copy(deep=True)
    del table
    gc.collect()
    write_all(one)
    pd.testing.assert_frame_equal(two, before)


@pytest.mark.parametrize("kind", ["2.5", "x", None])
def test_a_data_frame_stays_as_it_was_when_a_column_becomes_another_kind(kind):
    table = table_of(message(n="1"), message(n="2"))
    df = table.df
    table.append(message(**({"n": kind} if kind else {})))
    assert table.df["n"].dtype != df["n"].dtype
    table.append(message(n="4"))
    df.loc[0, "n"] = 9
    assert df["n"].tolist() == [9, 2]
    assert table.df["n"].astype(str).tolist()[0] in ("1", "1.0")


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 11, 12, 20])
def test_last_gives_the_newest_rows_over_the_borders_of_batches(n):
    table = table_of(*[message(str(number)) for number in range(27)], max_rows=12)
    first, rows = table.last(n)
    kept = min(n, 12)
    assert [row["body"] for row in rows] == [str(number) for number in range(27 - kept, 27)]
    assert first == 27 - kept


def test_last_of_an_empty_table_is_nothing():
    assert FrameTable().last(10) == (0, [])


def test_last_has_the_same_bodies_as_the_data_frame():
    table = table_of(message("grün"), LATIN, message(b"\xff\x00"), message("x"))
    assert [row["body"] for row in table.last(4)[1]] == table.df["body"].tolist()


# -- rows in the middle ----------------------------------------------------------------------


@pytest.mark.parametrize("max_rows", [12, 100, 1_000_000])
@pytest.mark.parametrize(("first", "count"), [(0, 5), (16, 3), (20, 40), (26, 1), (15, 0), (3, -1)])
def test_rows_are_those_from_a_number_on_over_the_borders_of_batches(max_rows, first, count):
    table = table_of(*[message(str(number)) for number in range(27)], max_rows=max_rows)
    start = max(first, table.dropped)
    expected = list(range(start, min(start + max(count, 0), 27)))
    begin, rows = table.rows(first, count)
    assert begin == start
    assert [int(row["body"]) for row in rows] == expected


@pytest.mark.parametrize("first", [3, 100])
def test_beyond_the_newest_frame_there_are_no_rows(first):
    table = table_of(*[message()] * 3)
    assert table.rows(first, 5) == (3, [])
    assert FrameTable().rows(first, 5) == (0, [])


def test_rows_and_last_give_the_same():
    table = table_of(message("grün"), LATIN, message(b"\xff\x00", a="1"), message("x"))
    assert table.rows(1, 9) == table.last(3)
    assert [row["a"] for row in table.rows(1, 2)[1]] == [None, "1"]


@pytest.mark.parametrize("decode", ["text", "bytes", "json"])
@pytest.mark.parametrize(
    "body", [b"gr\xc3\xbcn", b"\xff\xfe", b"\xf0\x9f\x98\x80" * 3, b'"ab"', b""]
)
def test_the_beginnings_of_bodies_are_those_of_the_whole(decode, body):
    table = table_of(message(body), message("x"), message(b"\xff"), decode=decode)
    whole = [row["body"] for row in table.last(3)[1]]
    for length in range(1, 9):
        assert [row["body"] for row in table.last(3, body=length)[1]] == [
            body[:length] for body in whole
        ]


def test_of_a_large_body_the_beginning_is_cheap():
    table = table_of(*[message("ü" * 1_000_000) for _ in range(30)])
    assert len(table.last(30)[1][0]["body"]) == 1_000_000
    tracemalloc.start()
    _, rows = table.rows(0, 20, body=3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [(row["body"], row["size"]) for row in rows] == [("üüü", 2_000_000)] * 20
    assert peak < 1_000_000


# -- one frame -------------------------------------------------------------------------------


def test_a_frame_that_has_just_come_is_whole():
    headers = {
        "z": "1",
        "content-length": "3",
        "subscription": "s",
        "ack": "a",
        "destination": "/q",
    }
    table = FrameTable()
    table.append(message("x"), NOON)
    table.append(STOMPFrame("MESSAGE", headers, b"\xff\x00a"), NOON + 7)
    frame, whole, received_ns = table.frame(1)
    assert (frame.Command, list(frame.Headers.items())) == ("MESSAGE", list(headers.items()))
    assert (frame.Body, whole, received_ns) == (b"\xff\x00a", True, NOON + 7)


def test_the_frames_of_the_newest_batch_are_whole_and_older_ones_are_made_from_their_rows():
    frames = [message(str(n), n=str(n), ack=str(n)) for n in range(60)]
    table = table_of(*frames, max_rows=40)  # 5 in a batch, the last of them just full
    for number in range(20, 60):
        frame, whole, received_ns = table.frame(number)
        assert whole == (number >= 55)
        assert received_ns == (NOON if whole else NOON // 1000 * 1000)
        assert frame.Body == frames[number].Body
        expected = dict(frames[number].Headers)
        if not whole:
            del expected["ack"]
        assert frame.Headers == expected


@pytest.mark.parametrize(
    ("number", "said"), [(4, "the oldest is 5"), (15, "15 have"), (-1, "begin")]
)
def test_a_frame_that_is_not_there_is_an_error_that_says_why(number, said):
    table = table_of(*[message()] * 15, max_rows=10)
    with pytest.raises(LookupError, match=f"{number}.*{said}"):
        table.frame(number)


def test_of_an_empty_table_there_is_no_frame():
    with pytest.raises(LookupError, match="frame 0 has not come yet"):
        FrameTable().frame(0)


def rebuilt(frame: STOMPFrame, **arguments: Any) -> STOMPFrame:
    """A frame that is made from its row, though it was the only one."""
    table = table_of(frame, message(), message(), max_rows=3, **arguments)
    again, whole, _ = table.frame(0)
    assert not whole
    return again


@pytest.mark.parametrize("decode", ["text", "bytes", "json"])
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("grün", "text/plain"),
        (b"\xff\x00", "text/plain"),
        (b"caf\xe9", "text/plain;charset=latin-1"),
        ("grün ☃".encode("utf-16-le"), "text/plain;charset=utf-16-le"),
        ("grün".encode("cp037"), "text/plain;charset=cp037"),
        (b"@@@", "text/plain;charset=cp037"),
        (b"\xff", "text/plain;charset=ascii"),
        ("☃", "text/plain;charset=ascii"),
        (b"abc", "text/plain;charset=utf-16"),
        (b"a", "text/plain;charset=nonsense"),
        (b"", "text/plain;charset=latin-1"),
    ],
)
def test_a_frame_that_is_made_from_its_row_has_the_octets_that_came(decode, body, content_type):
    frame = message(body, content_type=content_type)
    assert rebuilt(frame, decode=decode) == frame


def test_all_frames_that_are_kept_are_made_from_their_rows_in_order():
    table = FrameTable(max_rows=40)
    for number in range(60):
        table.append(message(str(number), n=str(number), ack="a"), NOON + number * 1000)
    frames = table.frames()
    table.append(message("later"))
    expected = [(NOON + n * 1000, message(str(n), n=str(n))) for n in range(20, 60)]
    assert list(frames) == [(received_ns // 1000 * 1000, f) for received_ns, f in expected]
    assert list(FrameTable().frames()) == []


def test_a_frame_that_is_made_from_its_row_has_its_headers_by_their_names():
    names = [
        "destination",
        "message-id",
        "message_id",
        "body",
        "size",
        "header_body",
        "a",
        "content-type",
    ]
    frame = STOMPFrame("MESSAGE", {name: f"the {name}" for name in names}, "x")
    assert rebuilt(frame) == frame


def test_headers_that_have_no_column_are_in_the_frame_all_the_same():
    frame = STOMPFrame("MESSAGE", {f"h{n}": f'"{n}" ü' for n in range(300)}, "x")
    assert rebuilt(frame) == frame


def test_a_frame_that_is_too_large_to_be_kept_twice_is_made_from_its_row():
    table = FrameTable(max_bytes=8000)
    table.append(message(bytes(1500)))
    assert table.frame(0)[1]
    table.append(message(bytes(3000)))
    frame, whole, _ = table.frame(1)
    assert (len(frame.Body), whole) == (3000, False)


def test_what_is_kept_of_frames_as_they_came_is_bounded_and_counted():
    table = FrameTable(max_bytes=800_000)
    for _ in range(20):
        table.extend([message(bytes(1000))] * 100)
    batches = table.arrow().nbytes
    assert batches + 50_000 < table.nbytes < batches + 320_000


# -- what it amounts to ----------------------------------------------------------------------


def test_octets_are_those_of_bodies_and_headers_also_of_rows_that_were_dropped():
    table = FrameTable(max_rows=10)
    assert table.octets == 0
    for number in range(25):
        table.append(message("12345", n="12"))
        assert table.octets == (number + 1) * (5 + 2 + len("/topic/t"))


def test_the_rate_counts_frames_by_the_second_also_those_that_were_dropped():
    table = FrameTable(max_rows=8)
    assert table.rates() == (0, [])
    for second in (100, 101, 103):
        table.extend([message()] * second, second * 10**9)
        assert table.rates()[0] == second
    table.append(message(), 103 * 10**9 + 999_999_999)
    assert table.rates() == (103, [100, 101, 0, 104])
    assert table.rates() == (103, [100, 101, 0, 104])


def test_the_headers_that_occur_are_those_of_the_data_frame():
    table = FrameTable(max_rows=40)
    assert table.headers == {}
    names = ["b", "message-id", "content-length", "ack", "destination", "body", "content-type", "a"]
    for name in names:
        table.extend([STOMPFrame("MESSAGE", {name: "1"})] * 3)  # a batch has five
        df = table.df.dropna(axis="columns", how="all")
        assert set(table.headers.values()) == set(df.columns) - {"received_at", "size", "body"}
    assert list(table.headers.items()) == [
        ("b", "b"),
        ("message-id", "message_id"),
        ("destination", "destination"),
        ("body", "header_body"),
        ("content-type", "content_type"),
        ("a", "a"),
    ]


def test_a_header_stays_when_its_rows_were_dropped():
    table = table_of(message(a="1"), *[message(b="2")] * 9, max_rows=3)
    assert table.headers == {"destination": "destination", "a": "a", "b": "b"}


@pytest.mark.parametrize("max_rows", [1, 1_000_000])
def test_headers_that_have_no_column_are_not_told(max_rows):
    many = {f"h{n}": "1" for n in range(300)}
    table = FrameTable(max_rows)
    table.append(STOMPFrame("MESSAGE", many | {"message-id": "1"}))
    assert list(table.headers) == [*list(many)[:256], "message-id"]


def test_asking_changes_nothing():
    frames = [message(str(n), **{f"h{n % 7}": str(n)}) for n in range(100)]
    asked, left = FrameTable(max_rows=50), FrameTable(max_rows=50)
    for frame in frames:
        asked.append(frame, NOON)
        assert asked.headers
        assert asked.rates()
        assert asked.rows(0, 3)
        left.append(frame, NOON)
    pd.testing.assert_frame_equal(asked.df, left.df)
    assert (asked.headers, asked.rates(), asked.octets) == (left.headers, left.rates(), left.octets)


# -- Arrow -----------------------------------------------------------------------------------


def test_arrow_has_all_rows_with_headers_as_the_text_that_they_were():
    table = table_of(*[message(str(n), h=f"00{n}") for n in range(30)], max_rows=20)
    arrow = table.arrow()
    assert isinstance(arrow, pa.Table)
    assert arrow["h"].to_pylist() == [f"00{n}" for n in range(10, 30)]
    assert arrow.schema.field("received_at").type == pa.timestamp("us", tz="UTC")
    assert arrow["size"].to_pylist() == [2] * 20


def test_arrow_of_an_empty_table_has_its_columns():
    assert FrameTable().arrow().schema.names == FrameTable().df.columns.tolist()


# -- waiting ---------------------------------------------------------------------------------


def test_wait_returns_how_many_have_come_and_counts_dropped_ones():
    table = table_of(*[message()] * 5, max_rows=2)
    assert table.wait(3, timeout=0) == 5
    assert table.wait(5, timeout=None) == 5


def test_wait_says_how_many_came_until_its_timeout():
    with pytest.raises(STOMPTimeout, match=r"1 of 2 frames had come after 0\.01 s"):
        table_of(message()).wait(2, timeout=0.01)


def test_wait_is_woken_by_the_frame_it_waits_for():
    table = table_of(message())
    timer = threading.Timer(0.05, lambda: table.append(message()))
    began = time.monotonic()
    timer.start()
    assert table.wait(2, timeout=10) == 2
    assert time.monotonic() - began < 5
    timer.join()


def test_wait_is_woken_by_the_end():
    table = table_of(message())
    timer = threading.Timer(0.05, table.end)
    timer.start()
    with pytest.raises(STOMPClosed, match=r"ended when 1 of 2 frames had come$"):
        table.wait(2, timeout=10)
    timer.join()


def test_wait_of_an_ended_table_says_why_it_ended():
    table = table_of(message())
    table.end(STOMPError("the broker went away"))
    with pytest.raises(STOMPClosed, match="1 of 2 frames had come: the broker went away"):
        table.wait(2, timeout=10)
    assert table.wait(1, timeout=10) == 1


def test_the_first_end_counts_and_the_rows_stay():
    table = table_of(message("kept"))
    assert (table.ended, table.error) == (False, None)
    table.end()
    table.end(STOMPError("too late"))
    assert (table.ended, table.error) == (True, None)
    assert table.df["body"].tolist() == ["kept"]


def test_wait_is_broken_by_an_interrupt():
    table = FrameTable()
    timer = threading.Timer(0.05, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        table.wait(1, timeout=60)
    timer.join()
    assert table._wishes == []


def test_who_gives_up_waiting_elsewhere_says_the_same():
    table = table_of(message())
    with pytest.raises(STOMPTimeout) as caught:
        table.wait(2, timeout=0)
    assert str(table.too_few(2, 0)) == str(table.too_few(2, None)) == str(caught.value)


# -- wishes ----------------------------------------------------------------------------------


def test_a_callback_is_called_once_when_so_many_frames_have_come():
    table = FrameTable()
    counts = []
    for n in (3, 1, 2):
        table.when(n, lambda n=n: counts.append((n, table.received)))
    for _ in range(5):
        table.append(message())
    table.end()
    assert counts == [(1, 1), (2, 2), (3, 3)]


def test_a_callback_is_called_at_once_if_they_have_come_already():
    called = []
    table = table_of(message())
    table.when(1, lambda: called.append(threading.current_thread()))
    assert called == [threading.current_thread()]


def test_a_callback_is_called_in_the_thread_that_appends():
    table = FrameTable()
    called = []
    table.when(1, lambda: called.append(threading.current_thread()))
    thread = threading.Thread(target=lambda: table.append(message()))
    thread.start()
    thread.join()
    assert called == [thread]


def test_a_callback_is_called_by_a_burst_that_goes_beyond():
    table = FrameTable(max_rows=8)
    called = []
    table.when(5, lambda: called.append(table.received))
    table.extend([message()] * 20)
    assert called == [20]


def test_a_callback_is_called_at_the_end():
    table = FrameTable()
    called = []
    table.when(1, lambda: called.append(table.ended))
    table.end()
    table.end()
    table.when(1, lambda: called.append(table.ended))
    assert called == [True, True]


def test_a_wish_that_is_taken_back_is_not_fulfilled():
    table = FrameTable()
    called = []
    forget = table.when(1, lambda: called.append("forgotten"))
    table.when(1, lambda: called.append("kept"))
    forget()
    forget()
    table.append(message())
    assert called == ["kept"]


def test_a_callback_may_use_the_table():
    table = FrameTable()
    seen = []

    def first():
        seen.append(table.df["body"].tolist())
        table.when(2, lambda: seen.append(len(table)))
        table.append(message("b"))

    table.when(1, first)
    table.append(message("a"))
    assert seen == [["a"], 2]


def test_what_a_callback_raises_is_logged_and_stops_nobody(caplog):
    table = FrameTable()
    called = []
    table.when(1, lambda: 1 / 0)
    table.when(1, lambda: called.append(1))
    assert table.append(message()) == 0
    assert called == [1]
    assert "ZeroDivisionError" in caplog.text


# -- threads ---------------------------------------------------------------------------------


def test_one_thread_may_append_while_another_looks():
    table = FrameTable(max_rows=64)
    done = threading.Event()

    def append():
        for number in range(3000):
            table.append(message(str(number), n=str(number)))
        done.set()

    thread = threading.Thread(target=append)
    thread.start()
    looks = 0
    while not done.is_set() or not looks:
        df = table.df
        assert len(df) <= 64
        assert df["body"].tolist() == [str(number) for number in df.index]
        first, rows = table.last(5)
        assert [int(row["body"]) for row in rows] == list(range(first, first + len(rows)))
        looks += 1
    thread.join()
    assert table.df["n"].tolist() == list(range(3000 - 64, 3000))


def test_threads_may_ask_at_once_while_others_append():
    table = FrameTable(max_rows=500)
    done = threading.Event()
    failed = []

    def append():
        for number in range(3000):
            table.append(message(str(number), n=str(number), x=f"{number}.5"))

    def look():
        last = 0
        while not done.is_set():
            df = table.df
            if len(df) and not (
                (df["n"] == df.index).all()
                and (df["x"] == df.index + 0.5).all()
                and df["body"].tolist() == [str(number) for number in df.index]
                and df.index[-1] >= last
            ):
                failed.append(df)
            last = df.index[-1] if len(df) else 0

    lookers = [threading.Thread(target=look) for _ in range(3)]
    appender = threading.Thread(target=append)
    for thread in (*lookers, appender):
        thread.start()
    appender.join()
    done.set()
    for thread in lookers:
        thread.join()
    assert not failed
    assert table.received == 3000


def test_threads_may_look_for_frames_while_others_append():
    table = FrameTable(max_rows=200)
    done = threading.Event()
    failed: list[object] = []

    def append():
        for number in range(0, 6000, 3):
            table.extend([message(str(n), n=str(n)) for n in range(number, number + 3)])

    def look():
        while not done.is_set():
            first, rows = table.rows(table.received - 120, 50)
            if [row["body"] for row in rows] != [str(first + n) for n in range(len(rows))]:
                failed.append(rows)
            hits = table.find([Term(None, "7"), Term("n", "1", negated=True)])
            if hits.numbers != [n for n in range(hits.first, hits.end) if "7" in str(n)]:
                failed.append(hits)
            with contextlib.suppress(LookupError):  # it may have been dropped meanwhile
                number = max(0, table.received - 150)
                if table.frame(number)[0].text != str(number):
                    failed.append(number)
            table.rates(), table.headers, table.octets

    lookers = [threading.Thread(target=look) for _ in range(2)]
    appender = threading.Thread(target=append)
    for thread in (*lookers, appender):
        thread.start()
    appender.join()
    done.set()
    for thread in lookers:
        thread.join()
    assert not failed
    assert sum(table.rates()[1]) == table.received == 6000
