"""Rows for the eyes."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from stompy import STOMPFrame
from stompy_jupyter.batch import HeaderNames, Rows, make_batch
from stompy_jupyter.listing import listed

LATIN = {"content-type": "text/plain;charset=latin-1"}


def batch_of(
    *bodies: bytes, decode: str = "text", headers: dict[str, str] | None = None
) -> pa.RecordBatch:
    rows = Rows()
    for body in bodies:
        rows.add(STOMPFrame("MESSAGE", headers, body), 1_000_000_000_000)
    return make_batch(rows, HeaderNames(), decode).data


def bodies(
    *octets: bytes, decode: str = "text", body: int | None = None, **headers: dict[str, str]
) -> list[str | bytes]:
    batch = batch_of(*octets, decode=decode, **headers)
    return [row["body"] for row in listed([batch], decode, body)]


def test_rows_are_dicts_by_column_of_all_batches_in_order():
    batches = [batch_of(b"a", headers={"n": "1"}), batch_of(b"b", b"c")]
    first, *others = listed(batches, "text")
    assert first == {
        "received_at": datetime(1970, 1, 1, 0, 16, 40, tzinfo=UTC),
        "destination": None,
        "message_id": None,
        "content_type": None,
        "size": 1,
        "body": "a",
        "n": "1",
    }
    assert [row["body"] for row in others] == ["b", "c"]
    assert listed([], "text") == []


@pytest.mark.parametrize(
    ("decode", "shown"),
    [("text", ["é", b"\xff"]), ("json", ["é", b"\xff"]), ("bytes", ["é".encode(), b"\xff"])],
)
def test_each_body_is_text_where_it_is_any_unless_octets_are_wanted(decode, shown):
    assert bodies("é".encode(), b"\xff", decode=decode) == shown


@pytest.mark.parametrize("decode", ["text", "json"])
def test_a_charset_is_minded_also_in_a_beginning(decode):
    octets = b"caf\xe9" * 10
    assert bodies(octets, b"x", decode=decode, headers=LATIN) == ["café" * 10, "x"]
    assert bodies(octets, b"x", decode=decode, headers=LATIN, body=6) == ["caféca", "x"]


@pytest.mark.parametrize("length", range(1, 9))
def test_a_beginning_does_not_end_within_a_character(length):
    text = "aä☃😀" * 5
    assert bodies(text.encode(), b"\xff", body=length) == [text[:length], b"\xff"]


def test_the_size_is_that_of_the_whole_body():
    (row,) = listed([batch_of(b"abcdef")], "text", 2)
    assert (row["body"], row["size"]) == ("ab", 6)
