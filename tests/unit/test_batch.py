"""Frames to Arrow."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompy import STOMPFrame
from stompy_jupyter import batch
from stompy_jupyter.batch import MAX_HEADER_COLUMNS, MORE_HEADERS, HeaderNames, Rows, make_batch

HEADERS = st.dictionaries(
    st.sampled_from(["destination", "ack", "body", "more_headers", "a", "b", "c", "d"]),
    st.text("0x", max_size=2),
)


def rows_of(*headers: dict[str, str]) -> Rows:
    rows = Rows()
    for number, given_headers in enumerate(headers):
        rows.add(STOMPFrame("MESSAGE", given_headers, b"%d" % number), number * 1000)
    return rows


def received(*headers: dict[str, str]) -> Rows:
    """The same as they come from a decoder: frames of one kind share their shape."""
    shapes = {}
    rows = Rows()
    for number, some in enumerate(headers):
        shape = shapes.setdefault(tuple(some), {name: i for i, name in enumerate(some)})
        frame = STOMPFrame.received("MESSAGE", shape, tuple(some.values()), b"%d" % number)
        rows.add(frame, number * 1000)
    return rows


def columns(rows: Rows, names: HeaderNames | None = None) -> dict[str, list[object]]:
    return make_batch(rows, names or HeaderNames(), "text").data.to_pydict()


@given(st.lists(HEADERS, max_size=5))
def test_frames_give_the_same_batch_however_they_are_made_and_added(headers):
    one_by_one = columns(rows_of(*headers))
    at_once = Rows()
    at_once.add_all([STOMPFrame("MESSAGE", h, b"%d" % n) for n, h in enumerate(headers)], 0)
    del one_by_one["received_at"]
    assert columns(at_once).items() >= one_by_one.items()
    assert columns(received(*headers)).items() >= one_by_one.items()


@given(st.lists(HEADERS, min_size=1, max_size=5))
def test_a_batch_has_each_header_of_each_frame(headers):
    table = columns(rows_of(*headers))
    for row, some in enumerate(headers):
        for header, value in some.items():
            if header != "ack":
                taken = header in ("body", "more_headers")
                assert table[f"header_{header}" if taken else header][row] == value
    assert table["body"] == [str(row) for row in range(len(headers))]


@pytest.mark.parametrize("how", [rows_of, received])
def test_frames_that_are_alike_and_frames_that_are_not_are_read_alike(how):
    alike = {"destination": "/topic/t", "subscription": "1", "a": "1"}
    assert columns(how(alike, alike))["a"] == ["1", "1"]
    assert columns(how(alike, {"b": "2", **alike}))["b"] == [None, "2"]


@pytest.mark.parametrize("alike", [True, False])
def test_headers_beyond_so_many_names_share_a_column(alike):
    many = {f"h{n}": str(n) for n in range(MAX_HEADER_COLUMNS + 2)}
    headers = [many, many] if alike else [many, {**many, "last": "ü"}]
    table = columns(rows_of(*headers))
    assert len(table) == 6 + MAX_HEADER_COLUMNS + 1
    rest = {"h256": "256", "h257": "257"}
    assert json.loads(table[MORE_HEADERS][0]) == rest
    assert json.loads(table[MORE_HEADERS][1]) == (rest if alike else {**rest, "last": "ü"})
    assert "h256" not in table


def test_a_header_keeps_its_column_in_later_batches(monkeypatch):
    monkeypatch.setattr(batch, "MAX_HEADER_COLUMNS", 1)
    names = HeaderNames()
    columns(rows_of({"a": "1"}), names)
    table = columns(rows_of({"b": "2", "a": "3"}), names)
    assert table["a"] == ["3"]
    assert table[MORE_HEADERS] == ['{"b": "2"}']


def test_names_that_a_copy_learns_are_its_own():
    names = HeaderNames()
    columns(rows_of({"a": "1"}), names.copy())
    assert names.columns == HeaderNames().columns


def test_a_column_that_a_batch_has_nothing_in_takes_no_memory():
    names = HeaderNames()
    without = make_batch(rows_of({"a": "1"}), names, "text").nbytes
    names.learn(f"h{n}" for n in range(200))
    assert make_batch(rows_of({"a": "1"}), names, "text").nbytes == without


def test_the_weight_of_a_row_is_its_body_and_its_values():
    frame = STOMPFrame("MESSAGE", {"a": "12", "b": ""}, b"123")
    assert Rows().add(frame, 0) == 5
    assert Rows().add_all([frame, frame], 0) == 10


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("end", [0, 1, 2, 3, 9])
def test_a_part_of_rows_has_its_headers(first, end):
    headers = [{"a": "0"}, {"b": "1", "c": "1"}, {"c": "2"}]
    part = rows_of(*headers).part(first, end)
    expected = headers[first:end]
    assert len(part) == len(expected)
    assert [part.frame(place).Headers for place in range(len(part))] == expected
    table = columns(part)
    assert table["body"] == [str(number) for number in range(first, min(end, 3))]
    for name in "abc":
        values = [some.get(name) for some in expected]
        assert table.get(name, [None] * len(values)) == values


def test_names_know_which_headers_have_come_and_in_what_order():
    names = HeaderNames()
    assert names.occurring == {}
    assert names.learn(["b", "ack", "message-id", "a", "b", "size"])
    assert list(names.occurring.items()) == [
        ("b", "b"),
        ("message-id", "message_id"),
        ("a", "a"),
        ("size", "header_size"),
    ]
    assert names["ack"] is None
    with pytest.raises(KeyError):
        names["never"]


def test_a_usual_header_has_its_column_also_where_there_is_no_other_left(monkeypatch):
    monkeypatch.setattr(batch, "MAX_HEADER_COLUMNS", 1)
    names = HeaderNames()
    assert not names.learn(["a", "b", "destination"])
    assert names.occurring == {"a": "a", "destination": "destination"}
    assert names.learn(["destination", "a", "content-length"])
    assert not names.copy().learn(["b"])
