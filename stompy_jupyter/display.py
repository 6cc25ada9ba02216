"""What a person gets to see: text that cannot act, tables, short numbers.

Headers and bodies come from strangers. Whatever is shown of them passes through `visible`, and
through `html.escape` on its way into HTML.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

PREVIEW = 256
"""Characters of a body or header that a table shows."""

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
    short = text[:limit]
    if not short.isprintable():
        short = "".join(c if c.isprintable() else _escape(c) for c in short)
    return short if len(text) <= limit else f"{short}…"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def frame_rows(first: int, rows: Iterable[dict[str, object]]) -> list[list[str]]:
    """Rows of a `FrameTable` under `FRAME_COLUMNS`, as short visible text."""
    return [
        [
            str(number),
            _clock(row["received_at"]),  # type: ignore[arg-type]
            visible(row["content_type"]),
            str(row["size"]),
            visible(row["body"]),
        ]
        for number, row in enumerate(rows, first)
    ]


def _clock(moment: datetime) -> str:
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03}"


def html_table(columns: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    """A plain table, everything in it escaped; readable where no widget can run."""
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f"<table><caption>{html.escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )
