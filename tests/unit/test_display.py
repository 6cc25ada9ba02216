"""What a person gets to see: text that cannot act."""

from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stompy_jupyter.display import FRAME_COLUMNS, PREVIEW, frame_rows, html_table, visible

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
        assert attrs == []
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
