"""The dataset: its columns, its files, and what is made of open files."""

import datetime
import errno
import os

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stompy_jupyter.batch import MAX_HEADER_COLUMNS
from stompy_jupyter.dataset import FIXED, OPEN, close, columns_of, frames, recover
from stompy_jupyter.openfile import OpenFile
from tests.unit.keeping import (
    ARRIVAL,
    HOUR,
    batch_of,
    bodies_of,
    left_open,
    message,
    open_file,
    rows_of,
)


def rows(*frames_of_batches):
    """The rows of some batches, each with what it has."""
    _, tables = frames([batch_of(*batch) for batch in frames_of_batches])
    found = [row for table in tables for row in table.to_pylist()]
    return [{name: value for name, value in row.items() if value is not None} for row in found]


# -- columns ---------------------------------------------------------------------------------


def test_a_frame_is_a_row_with_a_column_for_each_header():
    usual = {"message-id": "7", "content-type": "text/plain", "ack": "1", "subscription": "s"}
    (row,) = rows([message("hello", usual | {"content-length": "5", "redelivered": "true"})])
    assert row == {
        "received_at": datetime.datetime(2023, 11, 14, 22, 13, 20, 123456, datetime.UTC),
        "destination": "/queue/q",
        "message_id": "7",
        "content_type": "text/plain",
        "size": 5,
        "body": "hello",
        "redelivered": "true",
    }


def test_frames_of_several_kinds_are_told_apart():
    found = rows([message("1", {"a": "1"}), message("2", {"b": "2", "a": "3"})], [message("3")])
    assert [(row.get("a"), row.get("b")) for row in found] == [("1", None), ("3", "2"), (None,) * 2]


def test_a_body_is_text_or_octets():
    kinds = {"content-type": "text/plain;charset=latin-1"}
    found = rows([message("ü"), message(b"\xfc"), message(b"\xfc", kinds), message(b"")])
    assert [(row.get("body"), row.get("body_bytes")) for row in found] == [
        ("ü", None),
        (None, b"\xfc"),
        ("ü", None),
        ("", None),
    ]
    assert [row["size"] for row in found] == [2, 1, 1, 0]


def test_a_charset_that_is_none_does_no_harm():
    (row,) = rows([message(b"\xff", {"content-type": "text/plain;charset=no\0ne"})])
    assert row["body_bytes"] == b"\xff"


@pytest.mark.parametrize("name", ["body", "SIZE", "Date", "hour", "more_headers", "Body_Bytes", ""])
def test_a_header_that_is_called_like_another_column_has_header_in_front(name):
    assert columns_of([name]) == {name: f"header_{name}"}


def test_no_two_columns_differ_in_their_case_alone():
    found = rows([message("1", {"Price": "1", "price": "2"}), message("2", {"price": "3"})])
    assert found[0]["Price"] == "1"
    assert found[0]["more_headers"] == '{"price": "2"}'
    assert found[1]["more_headers"] == '{"price": "3"}'


def test_headers_beyond_the_bound_share_a_column():
    many = {f"h{number}": str(number) for number in range(MAX_HEADER_COLUMNS + 2)}
    (row,) = rows([message("", many)])
    assert row[f"h{MAX_HEADER_COLUMNS - 1}"] == str(MAX_HEADER_COLUMNS - 1)
    assert row["more_headers"] == '{"h256": "256", "h257": "257"}'


TEXT = st.text(max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(TEXT, TEXT, max_size=5), min_size=1, max_size=5), st.binary())
def test_whatever_headers_and_bodies_are_all_of_it_is_in_a_row(many, body):
    """Nothing is lost: each header is in a column or in `more_headers`."""
    found = rows([message(body, headers) for headers in many])
    for row, headers in zip(found, many, strict=True):
        for value in headers.values():
            shown = [text for text in row.values() if isinstance(text, str)]
            assert (
                value in shown
                or "more_headers" in row
                or value
                in headers.get("ack", "")
                + (headers.get("subscription", "") + headers.get("content-length", ""))
            )
        assert row.get("body", "").encode() == body or row["body_bytes"] == body


# -- closing ---------------------------------------------------------------------------------


def test_a_closed_file_is_in_the_folder_of_its_hour(tmp_path):
    path = open_file(tmp_path, [message("a")])
    closed = close(path, tmp_path)
    assert closed.path == tmp_path / "date=2023-11-14" / "hour=22" / f"{path.stem}.parquet"
    assert (closed.rows, closed.octets) == (1, closed.path.stat().st_size)
    assert left_open(tmp_path) == []


def test_all_files_have_the_same_types_of_what_spark_can_read(tmp_path):
    close(open_file(tmp_path, [message("a", {"price": "1"})]), tmp_path)
    close(open_file(tmp_path, [message(b"\xff", {"amount": "2"})]), tmp_path)
    schemas = [pq.read_schema(path) for path in tmp_path.glob("date=*/hour=*/*.parquet")]
    assert len(schemas) == 2
    for schema in schemas:
        assert pa.schema(list(schema)[: len(FIXED)]) == FIXED
        assert {field.type for field in list(schema)[len(FIXED) :]} == {pa.string()}
        assert schema.names[-1] == "more_headers"
    metadata = pq.read_metadata(closed := next(tmp_path.glob("date=*/hour=*/*.parquet")))
    assert metadata.row_group(0).column(0).compression == "ZSTD", closed


def test_a_file_without_a_frame_becomes_none(tmp_path):
    assert close(open_file(tmp_path), tmp_path) is None
    assert left_open(tmp_path) == []
    assert list(tmp_path.glob("date=*")) == []


def test_closing_again_after_a_crash_makes_no_duplicates(tmp_path):
    """A crash between the file's appearance and the end of the open one."""
    path = open_file(tmp_path, [message("a")], [message("b")])
    before = path.read_bytes()
    first = close(path, tmp_path)
    path.write_bytes(before)
    assert recover(tmp_path).files == [first]
    assert bodies_of(tmp_path) == ["a", "b"]
    assert left_open(tmp_path) == []


def test_a_crash_while_it_is_written_leaves_nothing_that_is_read(tmp_path):
    path = open_file(tmp_path, [message("a")])
    path.with_suffix(".partial").write_bytes(b"PAR1 and no more")
    recover(tmp_path)
    assert bodies_of(tmp_path) == ["a"]
    assert left_open(tmp_path) == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_when_the_disk_is_full_the_open_file_is_as_it_was(tmp_path, monkeypatch, call):
    path = open_file(tmp_path, [message("a")])
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(*((os, "fsync") if call == "fsync" else (type(path), "replace")), full)
        with pytest.raises(OSError, match="No space left"):
            close(path, tmp_path)
    assert path.read_bytes() == before
    assert left_open(tmp_path) == [path.name]
    assert recover(tmp_path).rows == 1
    assert bodies_of(tmp_path) == ["a"]


def test_row_groups_are_bounded(tmp_path):
    batch = [message("x" * 100)] * 10_000
    closed = close(open_file(tmp_path, *[batch] * 10), tmp_path)
    metadata = pq.read_metadata(closed.path)
    groups = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    assert groups == [60_000, 40_000]


# -- recovering ------------------------------------------------------------------------------


def test_what_is_being_written_is_left_to_its_writer(tmp_path):
    dead = open_file(tmp_path, [message("a")])
    alive = OpenFile(tmp_path / OPEN)
    alive.write(batch_of(message("b")), 1)
    recovered = recover(tmp_path)
    assert (recovered.rows, recovered.failed) == (1, {})
    assert not dead.exists()
    assert left_open(tmp_path) == [alive.path.name]
    alive.release()
    assert recover(str(tmp_path)).rows == 1
    assert sorted(bodies_of(tmp_path)) == ["a", "b"]  # in one second, by names at random


def test_what_cannot_be_closed_is_told_and_stays(tmp_path, monkeypatch):
    foreign = tmp_path / OPEN / "foreign.arrows"
    with monkeypatch.context() as patch:
        patch.setattr("stompy_jupyter.openfile._MARK", {b"stompy.open": b"2"})
        later = open_file(tmp_path, [message("a")])
    foreign.write_bytes(b"no arrow " * 1000)
    good = open_file(tmp_path, [message("b")])
    recovered = recover(tmp_path)
    assert recovered.rows == 1
    assert set(recovered.failed) == {foreign, later}
    assert "no open file of ours" in recovered.failed[foreign]
    assert "or of another version" in recovered.failed[later]
    assert left_open(tmp_path) == sorted([foreign.name, later.name])
    assert not good.exists()


def test_where_nothing_is_open_nothing_is_done(tmp_path):
    assert recover(tmp_path / "not there").files == []


# -- as others read it -------------------------------------------------------------------------


@pytest.fixture
def evolved(tmp_path):
    """Two files of different hours; the second has a column more, and one less."""
    close(open_file(tmp_path, [message("a", {"price": "1", "we ird;=": "x"})] * 2), tmp_path)
    later = open_file(tmp_path, [message(b"\xff", {"amount": "2"})], arrival=ARRIVAL + HOUR)
    close(later, tmp_path)
    open_file(tmp_path, [message("not closed yet")])
    return tmp_path


def test_duckdb_opens_it_as_it_is(evolved):
    files = f"'{evolved}/**/*.parquet', union_by_name=true, hive_partitioning=true"
    query = f"SELECT body, price, amount, date, hour FROM read_parquet({files}) ORDER BY hour"
    day = datetime.date(2023, 11, 14)
    assert duckdb.sql(query).fetchall() == [
        *[("a", "1", None, day, 22)] * 2,
        (None, None, "2", day, 23),
    ]


def test_polars_opens_it_as_it_is(evolved):
    frame = pl.scan_parquet(
        f"{evolved}/**/*.parquet",
        hive_partitioning=True,
        missing_columns="insert",
        extra_columns="ignore",
    )
    found = frame.sort("hour").select("body", "price", "hour").collect()
    assert found.rows() == [("a", "1", 22), ("a", "1", 22), (None, None, 23)]


def test_pyarrow_opens_it_as_it_is(evolved):
    found = pa.dataset.dataset(evolved, partitioning="hive").to_table(["body", "hour"])
    assert found.sort_by("hour").to_pylist()[-1] == {"body": None, "hour": 23}
    assert len(rows_of(evolved)) == 3


def test_files_are_alike_whether_or_not_messages_were_redelivered(tmp_path):
    close(open_file(tmp_path, [message("a")]), tmp_path)
    close(open_file(tmp_path, [message("b", {"redelivered": "true"})]), tmp_path)
    found = pl.scan_parquet(tmp_path).select("body", "redelivered").collect()
    assert sorted(found.rows()) == [("a", None), ("b", "true")]
