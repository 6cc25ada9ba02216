"""FrameTable: frames in, pandas and Arrow out."""

import threading
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stompy import STOMPClosed, STOMPError, STOMPFrame, STOMPTimeout
from stompy_jupyter import FrameTable

NOON = 1_700_000_000_123_456_789
"""Nanoseconds since 1970 at which frames arrive here."""


def message(body: bytes | str = b"a", **headers: str) -> STOMPFrame:
    """A MESSAGE; an underscore in a keyword is a hyphen in its header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return STOMPFrame("MESSAGE", {"destination": "/topic/t", **named}, body)


def table_of(*frames: STOMPFrame, **bounds: int) -> FrameTable:
    table = FrameTable(**bounds)
    for frame in frames:
        table.append(frame, NOON)
    return table


def column(header: str, *values: str | None) -> pd.Series:
    """The column of a header that has these values in this order; None where it is missing."""
    frames = [message(**({} if value is None else {header: value})) for value in values]
    return table_of(*frames).df[header]


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
