"""Conditions on the frames of a table."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stompy import STOMPFrame
from stompy_jupyter import FrameTable, batch
from stompy_jupyter.search import Found, Term


def frame(body: bytes | str = b"", **headers: str) -> STOMPFrame:
    """A MESSAGE; an underscore in a keyword is a hyphen in its header."""
    return STOMPFrame("MESSAGE", {k.replace("_", "-"): v for k, v in headers.items()}, body)


def table_of(*frames: STOMPFrame, **arguments: Any) -> FrameTable:
    table = FrameTable(**arguments)
    table.extend(frames, 0)
    return table


def found(table: FrameTable, *terms: Term) -> list[int]:
    return table.find(terms).numbers


# -- text anywhere ---------------------------------------------------------------------------


def test_text_is_found_in_bodies_and_in_headers_in_upper_or_lower_case():
    table = table_of(
        frame("A Price of 3"),
        frame("a", destination="/topic/PRICES"),
        frame("a", message_id="price-1"),
        frame("a", content_type="application/x-price"),
        frame("a", note="the price"),
        frame("pri ce", price="a"),  # the name of a header is none of its values
    )
    assert found(table, Term(None, "price")) == [0, 1, 2, 3, 4]
    assert found(table, Term(None, "PRICE")) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("text", ["ü", "Ü", "GRÜN", "☃", "ÉTÉ"])
def test_letters_beyond_ascii_have_cases_too(text):
    table = table_of(frame("grün ☃ été"), frame("x", note="GRÜN ☃ ÉTÉ"), frame("gr n"))
    assert found(table, Term(None, text)) == [0, 1]


@pytest.mark.parametrize("text", ["a.c", "(", "[a]", "\\", "$", "^a", "a|b", "a\x00b", "%", "a\nb"])
def test_text_is_no_pattern(text):
    table = table_of(frame(f"x{text}y"), frame("xabcy"), frame("x", note=f"{text}{text}"))
    assert found(table, Term(None, text)) == [0, 2]


def test_a_body_that_is_no_text_is_searched_as_octets():
    table = table_of(frame(b"\xff\x00Price\xfe"), frame("grün"), frame(b"\xc3"), frame(b"gr\xfcn"))
    assert found(table, Term(None, "price")) == [0]
    assert found(table, Term(None, "GRÜN")) == [1]
    assert found(table, Term(None, "\xff")) == []


def test_a_body_in_another_charset_is_searched_as_the_text_that_it_is():
    table = table_of(frame(b"caf\xe9", content_type="text/plain;charset=latin-1"))
    assert found(table, Term(None, "CAFÉ")) == [0]


@pytest.mark.parametrize("decode", ["bytes", "json"])
def test_it_does_not_matter_what_bodies_are_decoded_to(decode):
    table = table_of(frame('{"symbol": "ABC"}'), frame("abc"), frame(b"\xff"), decode=decode)
    assert found(table, Term(None, "abc")) == [0, 1]


def test_a_long_text_is_found():
    text = "Ab1ü" * 20_000
    table = table_of(frame(f"x{text}"), frame("x"), frame("x", n=f"x{text}"), frame(text[1:]))
    assert found(table, Term(None, text)) == [0, 2]
    assert found(table, Term(None, text.replace("Ab", "aB"))) == [0, 2]


def test_no_text_is_in_every_frame():
    assert found(table_of(frame(), frame("a")), Term(None, "")) == [0, 1]


def test_half_a_surrogate_pair_is_in_no_frame():
    table = table_of(frame("a", n="a"))
    assert found(table, Term(None, "\ud800")) == []
    assert found(table, Term("n", "\udfff")) == []
    assert found(table, Term("n", "\udfff", negated=True)) == [0]


# -- one header ------------------------------------------------------------------------------


def test_a_header_that_is_named_equals_the_text():
    table = table_of(frame(n="a"), frame(n="A"), frame(n="ab"), frame("a", m="a"), frame(n=""))
    assert found(table, Term("n", "a")) == [0]
    assert found(table, Term("n", "")) == [4]
    assert found(table, Term("unknown", "a")) == []


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("destination", "/q"),
        ("message-id", "7"),
        ("content-type", "t"),
        ("body", "b"),
        ("size", "s"),
    ],
)
def test_a_header_is_called_by_its_own_name_not_by_that_of_its_column(header, text):
    headers = {
        "destination": "/q",
        "message-id": "7",
        "content-type": "t",
        "body": "b",
        "size": "s",
    }
    table = table_of(STOMPFrame("MESSAGE", headers, "x"), frame("y"))
    assert found(table, Term(header, text)) == [0]
    assert found(table, Term("message_id", "7")) == []


@pytest.mark.parametrize(
    ("value", "text", "equal"),
    [
        ("3", "3.0", True),
        ("3.00", "3", True),
        ("300", "3e2", True),
        ("-0", "0", True),
        ("007", "7", True),
        ("3", "3 ", False),
        ("9007199254740993", "9007199254740992", False),
        ("9007199254740993", "9007199254740993.0", True),
        ("1e999", "2e999", False),
        ("1e999", "1e999", True),
        ("3", "three", False),
        ("nan", "nan", True),
        ("inf", "Infinity", False),
        ("1_0", "10", False),
        ("٣", "3", False),
    ],
)
def test_numbers_are_equal_however_they_are_written(value, text, equal):
    table = table_of(frame(n=value), frame(n="x"), frame())
    assert found(table, Term("n", text)) == ([0] if equal else [])
    assert found(table, Term("n", text, negated=True)) == ([1, 2] if equal else [0, 1, 2])


# -- several terms ---------------------------------------------------------------------------


def test_all_terms_are_true_of_what_is_found():
    table = table_of(*[frame(f"body {n}", n=str(n % 3), even=str(n % 2 == 0)) for n in range(12)])
    assert found(table, Term("n", "0"), Term("even", "True")) == [0, 6]
    assert found(table, Term("n", "0"), Term("even", "True", negated=True)) == [3, 9]
    assert found(table, Term("n", "0"), Term(None, "1")) == []
    assert found(table, Term(None, "BODY"), Term(None, "11")) == [11]


def test_without_terms_every_frame_is_found():
    assert table_of(frame(), frame()).find([]) == Found([0, 1], 2, 0, 2)
    assert FrameTable().find([]) == Found([], 0, 0, 0)
    assert FrameTable().find([Term(None, "a"), Term("b", "1")]) == Found([], 0, 0, 0)


# -- which frames ----------------------------------------------------------------------------


def test_the_newest_are_given_and_all_are_counted():
    table = table_of(*[frame("ab"[n % 2]) for n in range(100)], max_rows=50)
    assert table.find([Term(None, "a")], limit=3) == Found([94, 96, 98], 25, 50, 100)
    assert table.find([Term(None, "a")], limit=0) == Found([], 25, 50, 100)


@pytest.mark.parametrize(
    ("first", "numbers", "begins"),
    [
        (0, [50, 98], 50),
        (51, [98], 51),
        (98, [98], 98),
        (99, [], 99),
        (500, [], 100),
        (-3, [50, 98], 50),
    ],
)
def test_a_search_begins_where_it_is_told_to_and_where_rows_are_kept(first, numbers, begins):
    table = table_of(*[frame("x" * (n in (10, 50, 98))) for n in range(100)], max_rows=50)
    assert table.find([Term(None, "x")], first) == Found(numbers, len(numbers), begins, 100)


def test_rows_that_are_in_no_batch_yet_are_searched():
    table = table_of(*[frame("a", n=str(n)) for n in range(30)], max_rows=20)  # 2 in a batch
    table.append(frame("new", later="1"))
    assert found(table, Term("later", "1")) == [30]
    assert found(table, Term(None, "NEW")) == [30]
    assert found(table, Term("later", "1", negated=True)) == list(range(11, 30))


def test_what_is_found_is_plain_data():
    hits = table_of(frame("a")).find([Term(None, "a")])
    assert [type(value) for value in (*hits.numbers, hits.total, hits.first, hits.end)] == [int] * 4


# -- against the definition ------------------------------------------------------------------

TEXTS = st.text("aAbBüÜ1.0", max_size=4)
FRAMES = st.lists(
    st.builds(
        STOMPFrame,
        st.just("MESSAGE"),
        st.dictionaries(st.sampled_from(["destination", "ack", "a", "b", "size"]), TEXTS),
        st.one_of(TEXTS.map(str.encode), st.binary(max_size=3)),
    ),
    max_size=30,
)
TERMS = st.lists(
    st.builds(Term, st.sampled_from([None, "a", "b", "size", "destination"]), TEXTS, st.booleans()),
    max_size=3,
)


def is_true(term: Term, frame: STOMPFrame) -> bool:
    """What a term means, for one frame."""
    if term.header is None:
        body = frame.Body.decode(errors="surrogateescape")
        texts = [body, *(value for name, value in frame.Headers.items() if name != "ack")]
        true = any(term.text.lower() in text.lower() for text in texts)
    else:
        value = frame.get(term.header)
        true = value is not None and (value == term.text or same_number(value, term.text))
    return true != term.negated


def same_number(value: str, text: str) -> bool:
    """Whether both are digits, with a fraction or without, and equal as numbers."""
    numbers = [part for part in (value, text) if part.strip("10.") == "" and part[:1] != "."]
    plain = [n for n in numbers if n and n.count(".") <= 1 and not n.endswith(".")]
    return len(plain) == 2 and float(value) == float(text)


@settings(deadline=None)
@given(FRAMES, TERMS, st.integers(1, 40), st.sampled_from([1, 2, 256]))
def test_what_is_found_is_what_the_terms_say(frames, terms, max_rows, columns):
    with pytest.MonkeyPatch.context() as patch:  # headers that have no column are searched, too
        patch.setattr(batch, "MAX_HEADER_COLUMNS", columns)
        table = table_of(*frames, max_rows=max_rows)
        kept = enumerate(frames[table.dropped :], table.dropped)
        expected = [number for number, one in kept if all(is_true(t, one) for t in terms)]
        assert found(table, *terms) == expected
