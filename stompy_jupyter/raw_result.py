"""RawResult: what was said of a frame typed by hand, what was sent, and what came back."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

import pandas as pd

from stompy.errors import printable
from stompy_jupyter.display import AMBER, GREEN, RED, coloured_box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stompy_jupyter.draft import Finding
    from stompy_jupyter.raw import Exchange
    from stompy_jupyter.trace import TraceEntry
    from stompy_jupyter.typed import Typed

MAX_OCTETS = 16 * 1024
"""Octets of a frame that are shown; an ERROR has all of its own in nearly any case."""

MAX_ANSWERS = 20
"""So many frames that came are shown, the first."""

_COLUMNS = ("severity", "line", "column", "rule", "message", "version", "section", "hint")
_COLOURS = {"error": RED, "warning": AMBER, "right": GREEN}
_LINE_END = re.compile(r"(\r?\n|\r)")
_ENDS = {"\r\n": "←↵\n", "\n": "↵\n", "\r": "←"}


class RawResult:
    """What a cell with a frame typed by hand has come to.

    Args:
        typed: the frame.
        findings: what the linter says of it.
        where: where it went, or why it went nowhere; for people.
        exchanged: what was sent and came back; None if nothing was sent.
        notes: what else there is to say.

    Attributes:
        findings: as given.
        sent: the frame as the trace has it; None if it was not sent.
        answers: what came back, as the trace has it, without heart-beats.
        closed: why the connection has ended; None if it has not.

    Example:
        >>> result = _
        >>> result.sent, [answer.command for answer in result.answers], result.closed
        >>> result.df[["line", "column", "rule"]]
    """

    def __init__(
        self,
        typed: Typed,
        findings: Sequence[Finding],
        where: str,
        exchanged: Exchange | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.findings = list(findings)
        self.sent: TraceEntry | None = exchanged.sent if exchanged else None
        self.answers: list[TraceEntry] = exchanged.answers if exchanged else []
        self.closed: str | None = exchanged.closed if exchanged else None
        self._typed = typed
        self._where = where
        self._went = exchanged is not None
        self._notes = list(notes)
        if self.closed:
            self._notes.append(f"the connection has ended: {self.closed}")

    @property
    def df(self) -> pd.DataFrame:
        """A row for each finding; columns as the attributes of a `Finding`, ``severity`` first."""
        rows = [[getattr(found, name) for name in _COLUMNS] for found in self.findings]
        return pd.DataFrame(rows, columns=list(_COLUMNS))

    # -- as text -----------------------------------------------------------------------------

    def __repr__(self) -> str:
        lines = [printable(self._where)]
        for found in self.findings:
            shown, caret = self._typed.marked(found.line, found.column)
            lines += [printable(str(found)), f"    {shown}", f"    {caret}"]
            lines.append(f"    Try: {printable(found.hint)}")
        lines += _with_arrow(">>>" if self._went else "   ", self._shown())
        for answer in self.answers[:MAX_ANSWERS]:
            lines += _with_arrow("<<<", shown_octets(answer.octets))
        return "\n".join(lines + [printable(note) for note in self._last_notes()])

    def _shown(self) -> str:
        """The frame as it was sent, or would be, without a passcode."""
        octets = self.sent.octets if self.sent else self._typed.masked_octets
        return shown_octets(octets)

    def _last_notes(self) -> list[str]:
        more = len(self.answers) - MAX_ANSWERS
        left = [f"… and {more:,} more frames: result.answers has them"] if more > 0 else []
        return [*left, *self._notes]

    # -- as HTML -----------------------------------------------------------------------------

    def _repr_html_(self) -> str:
        worst = next((f for f in self.findings if f.severity == "error"), None)
        kind = "error" if worst else "warning" if self.findings else "right"
        found = "".join(map(self._html_of, self.findings))
        came = "".join(_pre(shown_octets(e.octets)) for e in self.answers[:MAX_ANSWERS])
        notes = "".join(f"<div>{_escaped(note)}</div>" for note in self._last_notes())
        sides = _side("sent" if self._went else "not sent", _pre(self._shown()))
        if self._went:
            sides += _side("came back", came or "<div>nothing</div>")
        return coloured_box(
            _COLOURS[kind],
            f"<b>{_escaped(self._where)}</b>{found}"
            f'<div style="display:flex;flex-wrap:wrap;gap:1em">{sides}</div>{notes}',
        )

    def _html_of(self, found: Finding) -> str:
        shown, caret = self._typed.marked(found.line, found.column)
        at = len(caret) - 1
        width = 2 if shown[at : at + 2] == "^@" else 1
        colour = _COLOURS[found.severity]
        place = html.escape(shown[at : at + width]) or "&nbsp;"
        marked = (
            f"{html.escape(shown[:at])}"
            f'<span style="background:rgba({colour},.35);outline:1px solid rgb({colour})">'
            f"{place}</span>{html.escape(shown[at + width :])}\n{html.escape(caret)}"
        )
        return (
            f'<div style="margin:.4em 0"><b style="color:rgb({colour})">{found.severity}</b> '
            f"{_escaped(str(found).partition(': ')[2])}{_preformatted(marked)}"
            f'<div style="opacity:.8">Try: {_escaped(found.hint)}</div></div>'
        )


def shown_octets(octets: bytes) -> str:
    """Octets as text in which each can be seen: ``^@`` is NUL, ↵ is LF, ← is CR.

    Example:
        >>> shown_octets(b"BEGIN\\ntransaction:t\\x1b\\n\\n\\0")
        'BEGIN↵\\ntransaction:t\\\\x1b↵\\n↵\\n^@'
    """
    text = octets[:MAX_OCTETS].decode("utf-8", "backslashreplace").replace("\0", "^@")
    parts = [_ENDS.get(part) or printable(part) for part in _LINE_END.split(text)]
    more = len(octets) - MAX_OCTETS
    return "".join(parts).removesuffix("\n") + (f"… and {more:,} octets more" if more > 0 else "")


def _with_arrow(arrow: str, text: str) -> list[str]:
    return [f"{arrow} {line}" for line in text.split("\n")]


def _escaped(text: str) -> str:
    return html.escape(printable(text))


def _side(title: str, content: str) -> str:
    return (
        f'<div style="flex:1 1 20em;min-width:0"><div style="opacity:.7">{title}</div>'
        f"{content}</div>"
    )


def _pre(text: str) -> str:
    """A frame, with its line ends and NULs in the background."""
    dim = re.sub(r"\^@|←?↵", r'<span style="opacity:.5">\g<0></span>', html.escape(text))
    return _preformatted(dim)


def _preformatted(content: str) -> str:
    style = (
        "white-space:pre-wrap;overflow-wrap:anywhere;background:rgba(128,128,128,.12);"
        "padding:.3em .6em;margin:.3em 0"
    )
    return f'<pre style="{style}">{content}</pre>'
