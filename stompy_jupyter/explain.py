"""The X-ray of a frame: every octet of it with its meaning."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import pandas as pd

from stompy import wire
from stompy.wire import VERSIONS
from stompy_jupyter.display import AS_IT_IS, MAX_HTML, visible, visible_lines
from stompy_jupyter.parts import WRONG, Kind, Part, take_apart

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stompy import STOMPFrame

__all__ = ["Explanation", "Part", "explain", "explain_frame"]

MOST_PARTS = 300
"""So many parts are shown."""

MOST_OF_TEXT, MOST_IN_TABLE, MOST_IN_HEX = 4096, 64, 16
"""Octets of a part that are shown: in the text, in the table as text, and there in hex."""

MAX_TEXT = 24 * 1024
"""Octets that the HTML of the text may take; the table has the rest of `MAX_HTML`."""


def explain(octets: bytes, version: str | None = None, sent: bool | None = None) -> Explanation:
    """What each octet means, of octets that need not be a frame.

    Args:
        octets: a frame, several, heart-beats, or what is none of it, cut off or malformed.
        version: the version of STOMP by which they are read; None: 1.2, or what a CONNECTED
            among them says.
        sent: whether a client has sent them; None: not known.

    Returns:
        The parts, which cover each octet once. A passcode is ``***`` in them.

    Raises:
        ValueError: there is no such version.

    Example:
        >>> explain(b"SEND\\ndestination:/queue/a\\\\cb\\n\\nhello\\0").df[["kind", "meaning"]]
    """
    if version not in (None, *VERSIONS):
        raise ValueError(f"there is no STOMP {version}; there are: {', '.join(VERSIONS)}")
    return Explanation(list(take_apart(bytes(octets), version, sent)), version, sent)


def explain_frame(
    frame: STOMPFrame, version: str | None = None, sent: bool | None = None
) -> Explanation:
    """The same of a frame that was read or made, by the octets that it has when it is sent.

    Raises:
        STOMPProtocolError: this version cannot carry it.
    """
    octets = wire.encode(frame.Command, frame.Headers, frame.Body, version or "1.2")
    parts = take_apart(octets, version, sent, len(frame.Body))
    return Explanation(list(parts), version, sent)


class Explanation:
    """Octets with their meaning: a coloured text and a table in a notebook.

    Attributes:
        parts: the parts, in order; their octets follow one another.
        version: the version of STOMP by which they were read; None: the newest.
        sent: whether a client has sent them; None: not known.
        note: what there is to know about them as a whole; empty if nothing is.

    Example:
        >>> print(explain(b"BEGIN\\ntransaction:t1\\n\\n\\0"))
    """

    def __init__(self, parts: Sequence[Part], version: str | None, sent: bool | None) -> None:
        self.parts = parts
        self.version = version
        self.sent = sent
        self.note = ""

    @property
    def df(self) -> pd.DataFrame:
        """A row for each part.

        Columns: ``offset`` (octets from the beginning), ``octets``, ``text`` (the same as text in
        which everything can be seen), ``kind``, ``header`` (to which it belongs), ``meaning``.
        """
        parts = self.parts
        return pd.DataFrame(
            {
                "offset": pd.Series([part.offset for part in parts], dtype="int64"),
                "octets": pd.Series([part.octets for part in parts], dtype="object"),
                "text": pd.Series([_text(part, len(part.octets)) for part in parts], dtype="str"),
                "kind": pd.Series([part.kind for part in parts], dtype="str"),
                "header": pd.Series([part.header for part in parts], dtype="str"),
                "meaning": pd.Series([part.meaning for part in parts], dtype="str"),
            }
        )

    @property
    def title(self) -> str:
        """What it is, in a line: the commands, the size, the version."""
        commands = [visible(_decoded(p.octets), 40) for p in self.parts if p.kind == "command"]
        size = sum(len(part.octets) for part in self.parts)
        way = {True: "sent", False: "received", None: ""}[self.sent]
        version = f"STOMP {self.version}" if self.version else ""
        octets = f"{size:,} octet{'s' * (size != 1)}"
        named = " and ".join(filter(None, (", ".join(commands[:-1][:4]), *commands[-1:])))
        if not named:
            named = "heart-beat" if {p.kind for p in self.parts} == {"heart-beat"} else "no frame"
        return ", ".join(filter(None, (named, octets, version, way)))

    def __repr__(self) -> str:
        rows = [("offset", "octets", "text", "what it is"), *map(_row, self.parts[:MOST_PARTS])]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = [
            f"{row[0]:>{widths[0]}}  {row[1]:{widths[1]}}  {row[2]:{widths[2]}}  {row[3]}"
            for row in rows
        ]
        rest = len(self.parts) - MOST_PARTS
        more = [f"… and {rest:,} more parts"] if rest > 0 else []
        return "\n".join(filter(None, [self.title, self.note, *lines, *more]))

    def _repr_html_(self) -> str:
        note = f'<div style="opacity:.8">{html.escape(self.note)}</div>' if self.note else ""
        title = f"<div><b>{html.escape(self.title)}</b></div>{note}"
        head = f"{_BEGIN}{title}{_legend(self.parts)}"
        text = _text_html(self.parts)
        limit = MAX_HTML - len((head + text).encode()) - 200
        return f"{head}{text}{_table_html(self.parts, limit)}</div>"


# -- as text ---------------------------------------------------------------------------------


def _decoded(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")


def _beginning(octets: bytes, most: int) -> bytes:
    """The first octets, so many or a few less: no character of UTF-8 is cut in two."""
    end = most
    while end > most - 3 and end < len(octets) and octets[end] & 0xC0 == 0x80:
        end -= 1
    return octets[:end]


def _text(part: Part, most: int) -> str:
    """A part as a line; line ends are ⏎."""
    if part.kind == "NUL":
        return "^@"
    text = visible_lines(_decoded(_beginning(part.octets, most))).replace("\n", "⏎")
    return text + "…" * (len(part.octets) > most)


def _hex(octets: bytes) -> str:
    rest = len(octets) - MOST_IN_HEX
    return octets[:MOST_IN_HEX].hex(" ") + (f" … {rest:,} more" if rest > 0 else "")


def _row(part: Part) -> tuple[str, str, str, str]:
    """What the table says of a part."""
    text = _text(part, MOST_IN_TABLE).replace("\t", "\\t")
    return str(part.offset), _hex(part.octets), text, f"{part.kind}: {part.meaning}"


# -- as HTML, which needs no style sheet and is readable on any ground ------------------------

_MONO = "font-family:var(--jp-code-font-family,ui-monospace,monospace);font-size:12px"
_LINE = "1px solid rgba(128,128,128,.4)"
_BEGIN = f'<div class="{AS_IT_IS}" style="display:grid;gap:6px;line-height:1.5;max-width:72em">'
_WRONG = "background:rgba(218,54,51,.25);text-decoration:underline wavy"
_STYLES: dict[Kind, str] = {
    "command": "background:rgba(25,118,210,.3);font-weight:700",
    "header name": "background:rgba(25,118,210,.16)",
    "header value": "background:rgba(46,160,67,.2)",
    "escape": "background:rgba(230,140,0,.35);text-decoration:underline",
    "body": "background:rgba(128,128,128,.16);font-style:italic",
    "NUL": "background:rgba(218,54,51,.3);font-weight:700",
    "blank line": "opacity:.75;text-decoration:underline dashed",
    "blanks": "background:rgba(128,128,128,.3);text-decoration:line-through",
    "heart-beat": "background:rgba(171,71,188,.3)",
    **dict.fromkeys(WRONG, _WRONG),
}
"""Each kind differs in more than its colour."""


def _token(kind: Kind, text: str, title: str = "") -> str:
    """A coloured text."""
    style = _STYLES.get(kind, "opacity:.75")
    said = f' title="{html.escape(title)}"' if title else ""
    return f'<span style="{style}"{said}>{html.escape(text)}</span>'


def _legend(parts: Iterable[Part]) -> str:
    """The kinds of parts that occur, each as it looks in the text."""
    kinds = dict.fromkeys(part.kind for part in parts)
    tokens = "  ".join(_token(kind, kind) for kind in kinds)
    return f'<div style="{_MONO};white-space:pre-wrap">{tokens}</div>'


def _text_html(parts: Sequence[Part]) -> str:
    """The frame as it reads; what a part means comes when one points to it."""
    tokens: list[str] = []
    left = MAX_TEXT
    for part in parts[:MOST_PARTS]:
        token = _token(part.kind, _as_text(part), f"{part.kind}: {part.meaning}")
        left -= len(token.encode())
        if left < 0:
            break
        tokens.append(token)
    more = _more(len(parts) - len(tokens))
    style = f"{_MONO};margin:0;padding:6px;border:{_LINE};border-radius:3px;line-height:1.6"
    style += ";white-space:pre-wrap;overflow-wrap:anywhere;background:transparent;color:inherit"
    return f'<pre style="{style}">{"".join(tokens)}{more}</pre>'


def _as_text(part: Part) -> str:
    if part.kind == "NUL":
        return "^@"
    shown = _beginning(part.octets, MOST_OF_TEXT)
    rest = len(part.octets) - len(shown)
    more = f" … {rest:,} more octet{'s' * (rest != 1)}" if rest > 0 else ""
    return visible_lines(_decoded(shown)).replace("\n", "⏎\n") + more


def _table_html(parts: Sequence[Part], limit: int) -> str:
    """A row for each part, no more octets than `limit`."""
    style = "text-align:left;vertical-align:top;padding:1px 12px 1px 0"
    head = "".join(
        f'<th style="{style};opacity:.75">{name}</th>'
        for name in ("offset", "octets", "text", "what it is")
    )
    table = "border-collapse:collapse;margin:0;font-size:inherit"
    begin = f'<div style="overflow-x:auto"><table style="{table}"><thead><tr>{head}</tr></thead>'
    rows: list[str] = []
    left = limit - len(begin.encode())
    for part in parts[:MOST_PARTS]:
        row = _row_html(part, style)
        left -= len(row.encode())
        if left < 0:
            break
        rows.append(row)
    more = _more(len(parts) - len(rows))
    return f"{begin}<tbody>{''.join(rows)}</tbody></table>{more}</div>"


def _row_html(part: Part, style: str) -> str:
    offset, octets, text, _ = _row(part)
    mono = f"{style};{_MONO}"
    cells = [
        f'<td style="{mono};text-align:right">{offset}</td>',
        f'<td style="{mono};min-width:11em">{octets}</td>',
        f'<td style="{mono};min-width:9em;white-space:pre-wrap;overflow-wrap:anywhere">'
        f"{_token(part.kind, text)}</td>",
        f'<td style="{style}"><b>{part.kind}</b>: {html.escape(part.meaning)}</td>',
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _more(rest: int) -> str:
    return f"… and {rest:,} more part{'s' * (rest != 1)}" if rest > 0 else ""
