"""Exports: what a DataFrame shows, as a file that others read."""

import base64
import csv
import json
import math
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stompy import AckMode, STOMPClient, STOMPFrame
from stompy_jupyter import FrameStream, FrameTable, export
from stompy_jupyter.export import to_csv, to_parquet
from stompy_jupyter.inlet import Inlet
from tests.unit.test_stream import FakeSession

ODD = ['a,"b"\r\nc', "x\0y", "", "\r", "é€😀", "  spaces ", "=1+1", "null"]
NOW = 1_764_547_200_123_456_000


def table_of(*bodies: bytes | str, decode: str = "text", **headers: Any) -> FrameTable:
    """Frames with these bodies; of a header given as a list each has its own."""
    table = FrameTable(decode=decode)
    for number, body in enumerate(bodies):
        mine = {
            name: str(value[number] if isinstance(value, list) else value)
            for name, value in headers.items()
            if not (isinstance(value, list) and value[number] is None)
        }
        fields = {"destination": "/topic/t", "message-id": f"m-{number}", **mine}
        octets = body if isinstance(body, bytes) else body.encode()
        table.append(STOMPFrame("MESSAGE", fields, octets), NOW + number * 1_000_000)
    return table


@pytest.fixture
def typed() -> pd.DataFrame:
    """One column of each type that the DataFrame of a stream may have."""
    return table_of(
        *ODD[:4],
        n=[1, 2, 3, 4],
        gaps=[1, None, 3, 2**62],
        price=["1.5", "0.1", None, "-2"],
        word=["a", None, "é", ""],
        timestamp=[1_764_547_200_123, None, 1_764_547_200_125, 1_764_547_200_126],
    ).df


# -- Parquet ---------------------------------------------------------------------------------------


def test_pandas_reads_parquet_back_as_it_was(typed, tmp_path):
    assert to_parquet(typed, tmp_path / "t.parquet") == 4
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), typed)


def test_the_numbers_of_frames_come_back_from_parquet(tmp_path):
    table = FrameTable(max_rows=2)
    table.extend([STOMPFrame("MESSAGE", {}, body) for body in "abcde"])
    to_parquet(table.df, tmp_path / "t.parquet")
    assert pd.read_parquet(tmp_path / "t.parquet").index.tolist() == [3, 4]


def test_rows_that_were_picked_are_written_without_their_numbers(typed, tmp_path):
    to_parquet(typed[typed["n"] != 2], tmp_path / "t.parquet")
    got = pd.read_parquet(tmp_path / "t.parquet")
    assert (got["n"].tolist(), got.index.tolist()) == ([1, 3, 4], [0, 1, 2])


def test_polars_and_duckdb_read_parquet_with_times_as_times(typed, tmp_path):
    path = tmp_path / "t.parquet"
    to_parquet(typed, path)
    got = pl.read_parquet(path)
    assert got["received_at"].dtype == pl.Datetime("us", "UTC")
    assert got["timestamp"].dtype == pl.Datetime("ms", "UTC")
    assert (got["n"].dtype, got["gaps"].dtype) == (pl.Int64, pl.Int64)
    assert rows(got.to_pandas()) == rows(typed)
    kinds = dict(
        duckdb.sql(f"select column_name, column_type from (describe from '{path}')").fetchall()
    )
    assert kinds["received_at"] == kinds["timestamp"] == "TIMESTAMP WITH TIME ZONE"
    assert (kinds["gaps"], kinds["price"], kinds["body"]) == ("BIGINT", "DOUBLE", "VARCHAR")
    assert rows(duckdb.sql(f"from '{path}'").to_arrow_table().to_pandas()) == rows(typed)


def rows(df: pd.DataFrame) -> list[list[Any]]:
    """The values of a DataFrame, whatever its types: None where there is none."""
    return [
        [None if pd.isna(value) else value for value in row]
        for row in df.astype(object).itertuples(index=False, name=None)
    ]


def test_bodies_that_are_no_text_are_octets_in_parquet(tmp_path):
    path = tmp_path / "t.parquet"
    to_parquet(table_of(b"text", b"\xff\0").df, path)
    assert pl.read_parquet(path)["body"].to_list() == [b"text", b"\xff\0"]
    assert pd.read_parquet(path)["body"].tolist() == [b"text", b"\xff\0"]
    to_parquet(table_of(b"text", decode="bytes").df, path)
    assert pd.read_parquet(path)["body"].tolist() == [b"text"]


VALUES = [{"a": [1, None]}, [], "text", 5, 1.5, None, True, {"é": {"b": "\0"}}]


def test_decoded_values_are_json(tmp_path):
    df = table_of(*map(json.dumps, VALUES), decode="json").df
    to_parquet(df, tmp_path / "t.parquet")
    to_csv(df, tmp_path / "t.csv")
    assert list(map(json.loads, pd.read_parquet(tmp_path / "t.parquet")["body"])) == VALUES
    assert list(map(json.loads, pl.read_csv(tmp_path / "t.csv")["body"])) == VALUES
    asked = f"select body->>'$.a[0]' from '{tmp_path / 't.parquet'}' limit 1"
    assert duckdb.sql(asked).fetchall() == [("1",)]


def test_what_json_has_no_form_for_is_written_all_the_same(tmp_path):
    values = [b"\xff", math.inf, "\ud800", [{"a": math.nan}], 2 + 1j]
    df = pd.DataFrame({"body": pd.Series(values, dtype=object)})
    to_parquet(df, tmp_path / "t.parquet")
    got = list(map(json.loads, pd.read_parquet(tmp_path / "t.parquet")["body"]))
    assert got[:3] == [{"base64": "/w=="}, math.inf, "\ud800"]
    assert math.isnan(got[3][0]["a"])
    assert got[4] == "(2+1j)"


def test_text_with_half_a_character_is_written_with_an_escape(tmp_path):
    df = table_of(b'"\\ud800"', decode="json").df
    to_parquet(df, tmp_path / "t.parquet")
    assert pd.read_parquet(tmp_path / "t.parquet")["body"].tolist() == ["\\ud800"]


# -- CSV -------------------------------------------------------------------------------------------


def test_csv_is_read_back_with_whatever_is_in_bodies(tmp_path):
    path = tmp_path / "t.csv"
    df = table_of(*ODD, n=list(range(8))).df
    assert to_csv(df, path) == 8
    with path.open(encoding="utf-8", newline="") as file:
        assert [row["body"] for row in csv.DictReader(file)] == ODD
    assert pd.read_csv(path, keep_default_na=False)["body"].tolist() == ODD
    got = pl.read_csv(path)
    assert [text or "" for text in got["body"]] == ODD
    asked = f"select body from read_csv('{path}', quote='\"', escape='\"', delim=',', header=true)"
    assert [body or "" for (body,) in duckdb.sql(asked).fetchall()] == ODD


def test_numbers_and_times_come_back_from_csv(typed, tmp_path):
    path = tmp_path / "t.csv"
    to_csv(typed.drop(columns="body"), path)
    got = pd.read_csv(path, parse_dates=["received_at", "timestamp"], dtype={"gaps": "Int64"})
    assert rows(got[["received_at", "n", "gaps", "price", "timestamp"]]) == rows(
        typed[["received_at", "n", "gaps", "price", "timestamp"]]
    )
    polars = pl.read_csv(path, try_parse_dates=True)
    assert polars["timestamp"].dtype.is_temporal()
    assert polars["gaps"].to_list() == [1, None, 3, 2**62]


def test_a_header_that_is_not_there_is_nothing_and_one_that_is_empty_is_quoted(typed, tmp_path):
    to_csv(typed[["n", "word"]], tmp_path / "t.csv")
    text = (tmp_path / "t.csv").read_text(encoding="utf-8")
    assert text == '"n","word"\n1,"a"\n2,\n3,"é"\n4,""\n'


def test_octets_that_are_no_text_are_in_a_column_of_their_own_in_csv(tmp_path):
    bodies = [b"text", b"\xff\0", b"", b"YQ=="]
    for decode in ("text", "bytes"):
        to_csv(table_of(*bodies, decode=decode).df, tmp_path / "t.csv")
        with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
            got = [
                base64.b64decode(row["body_base64"]) or row["body"].encode()
                for row in csv.DictReader(file)
            ]
        assert got == bodies


def test_the_column_of_octets_takes_no_name_of_another(tmp_path):
    df = table_of(b"\xff", body_base64="mine").df
    to_csv(df, tmp_path / "t.csv")
    got = pd.read_csv(tmp_path / "t.csv")
    assert (got["body_base64"].item(), got["body_base64_"].item()) == ("mine", "/w==")


@settings(deadline=None)
@given(
    st.lists(st.binary(max_size=8) | st.text(st.characters(codec="utf-8"), max_size=8), max_size=6)
)
def test_any_bodies_come_back_from_both(tmp_path_factory, bodies):
    folder = tmp_path_factory.mktemp("export")
    octets = [body if isinstance(body, bytes) else body.encode() for body in bodies]
    df = table_of(*octets, decode="bytes").df
    to_parquet(df, folder / "t.parquet")
    to_csv(df, folder / "t.csv")
    assert pl.read_parquet(folder / "t.parquet")["body"].to_list() == octets
    with (folder / "t.csv").open(encoding="utf-8", newline="") as file:
        read = [
            base64.b64decode(row.get("body_base64", "")) or row["body"].encode()
            for row in csv.DictReader(file)
        ]
    assert read == octets


# -- files -----------------------------------------------------------------------------------------

WRITE = pytest.mark.parametrize("write", [to_parquet, to_csv], ids=["parquet", "csv"])


@WRITE
def test_many_rows_are_written_a_part_at_a_time(write, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "PART_ROWS", 7)
    df = table_of(*map(str, range(100)), n=list(range(100))).df
    assert write(df, tmp_path / "t") == 100
    read = pd.read_parquet if write is to_parquet else pd.read_csv
    assert read(tmp_path / "t")["n"].tolist() == list(range(100))


def test_parts_are_smaller_where_bodies_are_large(monkeypatch, tmp_path):
    monkeypatch.setattr(export, "PART_BYTES", 1000)
    to_parquet(table_of(*[b"x" * 400] * 10).df, tmp_path / "t.parquet")
    assert duckdb.sql(
        f"select count(distinct row_group_id) from parquet_metadata('{tmp_path / 't.parquet'}')"
    ).fetchall() == [(5,)]


@WRITE
def test_no_rows_are_a_file_with_columns(write, tmp_path):
    assert write(FrameTable().df, tmp_path / "t") == 0
    read = pd.read_parquet if write is to_parquet else pd.read_csv
    got = read(tmp_path / "t")
    assert (len(got), list(got.columns)) == (0, list(FrameTable().df.columns))


@WRITE
def test_a_folder_that_is_not_there_is_named(write, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no such folder: '.*nowhere'"):
        write(table_of("a").df, tmp_path / "nowhere" / "t")
    with pytest.raises(IsADirectoryError, match="a folder"):
        write(table_of("a").df, tmp_path)


@WRITE
def test_what_was_there_stays_when_writing_fails(write, tmp_path, monkeypatch):
    path = tmp_path / "t"
    path.write_text("precious")
    monkeypatch.setattr(export._Rows, "_array", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(table_of("a").df, path)
    assert path.read_text() == "precious"
    assert [each.name for each in tmp_path.iterdir()] == ["t"]


@WRITE
def test_a_file_takes_the_place_of_another_and_a_link_stays_one(write, tmp_path):
    (tmp_path / "t").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "t")
    write(table_of("a").df, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "t").read_bytes() != b"old"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link", "t"]


def test_a_stream_is_written_as_it_is_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    stream = FrameStream(
        FakeSession(), "t", Inlet(STOMPClient(), table_of("a", "b"), "/topic/t", AckMode.Auto)
    )
    assert stream.to_parquet(str(tmp_path / "t.parquet")) == 2
    assert stream.to_csv(Path("~/t.csv")) == 2
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), stream.df)
    assert pd.read_csv(tmp_path / "t.csv")["body"].tolist() == ["a", "b"]
