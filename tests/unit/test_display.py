"""What a person gets to see: text that cannot act."""

from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stompy import STOMPFrame
from stompy_jupyter.display import (
    AS_IT_IS,
    FRAME_COLUMNS,
    PREVIEW,
    Listing,
    frame_html,
    frame_rows,
    frames_html,
    html_table,
    visible,
    visible_lines,
)

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 6789, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain text, ünïcode ☃ 😀", "plain text, ünïcode ☃ 😀"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
        ("abc\u202edcba\u2066", "abc\\u202edcba\\u2066"),
        ("a\u200bb\ufeff\u2028", "a\\u200bb\\ufeff\\u2028"),
        ("\ud800", "\\ud800"),
        (b"\xff\x00a", "b'\\xff\\x00a'"),
        (None, ""),
        (12, "12"),
        ("", ""),
    ],
)
def test_every_character_can_be_seen(value, shown):
    assert visible(value) == shown


@settings(deadline=None)
@given(st.one_of(st.text(st.characters()), st.binary(), st.integers()), st.integers(1, 50))
def test_what_is_visible_is_one_printable_line(value, limit):
    assert visible(value, limit).isprintable()


@pytest.mark.parametrize("letter", ["a", "ü", b"a"])
def test_a_long_value_is_cut_and_says_so(letter):
    assert visible(letter * 100_000).endswith("…")
    assert len(visible(letter * 100_000)) == PREVIEW + 1
    assert not visible(letter * (PREVIEW - 3)).endswith("…")


def test_rows_of_a_table_become_short_text_under_their_columns():
    row = {
        "received_at": MOMENT,
        "destination": "/topic/t",
        "message_id": "1",
        "content_type": None,
        "size": 4,
        "body": "a\nb\x1b",
        "price": "1",
    }
    (shown,) = frame_rows(41, [row])
    assert dict(zip(FRAME_COLUMNS, shown, strict=True)) == {
        "frame": "41",
        "received (UTC)": "03:04:05.006",
        "content-type": "",
        "size": "4",
        "body": "a\\nb\\x1b",
    }
    assert [numbered[0] for numbered in frame_rows(7, [row, row])] == ["7", "8"]


class Reader(HTMLParser):
    """Notes which tags there are, and the text of each cell."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.cells: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert attrs == ([("class", AS_IT_IS)] if tag == "tbody" else [])
        self.tags.append(tag)
        if tag in ("td", "th", "caption"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        self.cells[-1] += data


def test_a_table_has_a_caption_a_head_and_its_rows():
    table = Reader(html_table(["a", "b"], [["1", "2"], ["3", "4"]], "title"))
    assert table.cells == ["title", "a", "b", "1", "2", "3", "4"]
    assert table.tags.count("tr") == 3


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=y>&amp;"


def test_markup_in_a_table_stays_text():
    table = Reader(html_table([HOSTILE], [[HOSTILE]], HOSTILE))
    assert table.cells == [HOSTILE] * 3
    assert set(table.tags) == {"table", "caption", "thead", "tbody", "tr", "th", "td"}


ROW = {"received_at": MOMENT, "content_type": "text/plain", "size": 9, "body": "<☃>'"}


@pytest.mark.parametrize("limit", [0, 300, 400, 700, 1000, 1001, 2000, 100_000])
def test_of_rows_those_are_shown_that_fit_the_newest_and_their_number_is_said(limit):
    rows = [{**ROW, "body": f"<☃>'{number}"} for number in range(20)]
    html = frames_html(100, rows, "title", limit)
    table = Reader(html)
    shown = table.tags.count("tr") - 1
    assert len(html.encode()) <= limit or not shown
    assert table.cells[:1] == [f"title; the newest {shown} are shown"]
    assert table.cells[6 :: len(FRAME_COLUMNS)] == [str(n) for n in range(120 - shown, 120)]
    one_more = frames_html(100, rows[: shown + 1], "title")
    assert shown == 20 or len(one_more.encode()) > limit


def test_when_all_frames_are_shown_the_caption_does_not_count_them():
    assert Reader(frames_html(0, [ROW, ROW], "title")).cells[0] == "title"
    assert Reader(frames_html(0, [], "title")).cells[0] == "title"
    assert Reader(frames_html(1234, [], "title")).cells[0] == "title; the newest 0 are shown"


# -- several lines ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\tc\n", "a\nb\tc\n"),
        ("a\r\nb\x1b[1m\n\u202ec", "a\\r\nb\\x1b[1m\n\\u202ec"),
        ("\x0b\x0c\x85\u2028", "\\x0b\\x0c\\x85\\u2028"),
        ("", ""),
    ],
)
def test_of_control_characters_line_ends_and_tabs_alone_stay(text, shown):
    assert visible_lines(text) == shown


@settings(deadline=None)
@given(st.text(st.characters()))
def test_lines_stay_lines_and_everything_in_them_can_be_seen(text):
    shown = visible_lines(text)
    assert shown.count("\n") == text.count("\n")
    assert all(part.isprintable() for line in shown.split("\n") for part in line.split("\t"))
    assert visible_lines(shown) == shown


# -- frames and listings ---------------------------------------------------------------------


def test_a_frame_is_a_table_of_its_headers_and_its_body():
    frame = STOMPFrame("MESSAGE", {"destination": "/queue/q", "b": "2", "a": "1"}, "x" * 1500)
    table = Reader(frame_html(frame))
    assert table.cells[:3] == ["MESSAGE", "header", "value"]
    assert table.cells[3:-2] == ["destination", "/queue/q", "b", "2", "a", "1"]
    assert table.cells[-2:] == ["1,500 bytes", "x" * PREVIEW + "…"]


@pytest.mark.parametrize(
    ("content_type", "body", "shown"),
    [
        ("text/plain;charset=latin-1", b"caf\xe9", "café"),
        ("application/octet-stream", b"\xff\x00", "b'\\xff\\x00'"),
        ("text/plain;charset=nonsense", b"a", "b'a'"),
        ("", b"", ""),
    ],
)
def test_the_body_of_a_frame_is_text_where_it_is(content_type, body, shown):
    frame = STOMPFrame("MESSAGE", {"content-type": content_type}, body)
    assert Reader(frame_html(frame)).cells[-1] == shown


def test_a_frame_without_headers_or_body_is_a_table_all_the_same():
    assert Reader(frame_html(STOMPFrame("BEGIN"))).cells == [
        "BEGIN",
        "header",
        "value",
        "0 bytes",
        "",
    ]


def test_the_passcode_of_a_frame_is_not_shown():
    frame = STOMPFrame("CONNECT", {"login": "me", "passcode": "s3cr3t"})
    assert "me" in frame_html(frame)
    assert "s3cr3t" not in frame_html(frame) + repr(frame)


def test_a_listing_is_text_and_a_table():
    listing = Listing(["a", "b"], [["1", "2"], ["3", "4"]], "caption")
    assert repr(listing) == "1\n    2\n\n3\n    4\n\ncaption"
    assert Reader(listing._repr_html_()).cells == ["caption", "a", "b", "1", "2", "3", "4"]


def test_markup_in_a_listing_stays_text():
    listing = Listing([HOSTILE], [[HOSTILE, HOSTILE]], HOSTILE)
    assert Reader(listing._repr_html_()).cells == [HOSTILE] * 4
