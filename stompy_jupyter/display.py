"""What a person gets to see: text that cannot act, tables, short numbers.

Headers and bodies come from strangers. Whatever is shown of them passes through `visible`, and
through `html.escape` on its way into HTML.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from stompy import STOMPBodyError
from stompy.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from stompy import STOMPFrame

PREVIEW = 256
"""Characters of a body or header that a table shows."""

MAX_HTML = 64 * 1024
"""Octets of the tables that a notebook keeps of streams, per output."""

MAX_FRAMES = 50
"""Frames in these tables."""

AS_IT_IS = "tex2jax_ignore mathjax_ignore"
"""Classes of an HTML element in which a notebook does not take $…$ for mathematics, nor \\\\ for a
backslash; what is in <pre> and <code> is safe from that by itself."""

GREEN, AMBER, RED = "46,160,67", "170,115,0", "218,54,51"
"""For ``rgb()``: colours that can be told apart on a light and on a dark ground."""

FRAME_COLUMNS = ("frame", "received (UTC)", "content-type", "size", "body")


def visible(value: object, limit: int = PREVIEW) -> str:
    """A value as one line in which every character can be seen.

    Control characters, escape sequences, bidirectional marks and the like become escapes.

    Example:
        >>> visible("a\\nb\\x1b[31m"), visible(b"\\xff\\x00"), visible(None)
        ('a\\\\nb\\\\x1b[31m', "b'\\\\xff\\\\x00'", '')
    """
    if value is None:
        return ""
    text = repr(value[: limit + 1]) if isinstance(value, bytes) else str(value)
    short = printable(text[:limit])
    return short if len(text) <= limit else f"{short}…"


def visible_lines(text: str) -> str:
    """A text of several lines in which every character can be seen; tabs and line ends stay."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def frame_rows(first: int, rows: Iterable[dict[str, object]]) -> list[list[str]]:
    """Rows of a `FrameTable` under `FRAME_COLUMNS`, as short visible text."""
    return [
        [
            str(number),
            clock(row["received_at"]),  # type: ignore[arg-type]
            visible(row["content_type"]),
            str(row["size"]),
            visible(row["body"]),
        ]
        for number, row in enumerate(rows, first)
    ]


def clock(moment: datetime) -> str:
    """A time of day with milliseconds."""
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03}"


def html_table(columns: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    """A plain table, everything in it escaped; readable where no widget can run."""
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "".join(map(_row, rows))
    return (
        f"<table><caption>{html.escape(caption)}</caption>"
        f'<thead><tr>{head}</tr></thead><tbody class="{AS_IT_IS}">{body}</tbody></table>'
    )


def coloured_box(colour: str, content: str) -> str:
    """HTML beside a bar of a colour, on a ground that is tinted by it."""
    style = f"border-left:4px solid rgb({colour});background:rgba({colour},.1);padding:.5em 1em"
    return f'<div class="{AS_IT_IS}" style="{style}">{content}</div>'


def frames_html(
    first: int, rows: Iterable[dict[str, object]], caption: str, limit: int = MAX_HTML
) -> str:
    """The newest rows of a `FrameTable` as a table of no more than `limit` octets.

    Rows that do not fit are left out, the oldest first, and the caption says how many are shown.
    """
    cells = frame_rows(first, rows)
    received = first + len(cells)
    left = limit - len(html_table(FRAME_COLUMNS, [], _newest_of(received, 0, caption)).encode())
    shown = 0
    for row in reversed(cells):
        left -= len(_row(row).encode())
        if left < 0:
            break
        shown += 1
    newest = cells[len(cells) - shown :]
    return html_table(FRAME_COLUMNS, newest, _newest_of(received, shown, caption))


def _newest_of(received: int, shown: int, caption: str) -> str:
    return caption if shown == received else f"{caption}; the newest {shown:,} are shown"


def _row(cells: Sequence[str]) -> str:
    return "<tr>" + "".join(map(_cell, cells)) + "</tr>"


def _cell(text: str) -> str:
    return f"<td>{html.escape(text).replace(chr(10), '<br>')}</td>"


class Listing:
    """Rows of text, as text and as a table; everything in it is data."""

    def __init__(
        self, columns: Sequence[str], rows: Sequence[Sequence[str]], caption: str = ""
    ) -> None:
        self.columns = columns
        self.rows = rows
        self.caption = caption

    def __repr__(self) -> str:
        parts = [f"{row[0]}\n    {'; '.join(row[1:])}" for row in self.rows]
        return visible_lines("\n\n".join([*parts, self.caption]))

    def _repr_html_(self) -> str:
        return html_table(self.columns, self.rows, self.caption)


def frame_html(frame: STOMPFrame) -> str:
    """A frame as a table: its command, its headers in order, the size of its body, its body."""
    headers = [
        (visible(name), "***" if name == "passcode" else visible(value))
        for name, value in frame.Headers.items()
    ]
    body = (f"{len(frame.Body):,} bytes", visible(_text_of(frame)))
    return html_table(("header", "value"), [*headers, body], visible(frame.Command))


def _text_of(frame: STOMPFrame) -> str | bytes:
    try:
        return frame.text
    except STOMPBodyError:
        return frame.Body
