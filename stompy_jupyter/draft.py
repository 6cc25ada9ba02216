"""A frame under the eyes of the linter: its lines, however wrong they are, and what was found."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from stompy.wire import HANDSHAKE, past_line_ends
from stompy_jupyter.rules import RULES, Severity
from stompy_jupyter.typed import Typed

BLANKS = " \t"


@dataclass(frozen=True)
class Finding:
    """What is wrong with a frame, and where.

    Attributes:
        line, column: where, from 1, in characters of what was typed (``^@`` is two); of what is
            missing: where it should be.
        rule: its short name, e.g. ``"undefined-escape"``.
        message: what is wrong, and by which sentence, in our words.
        version: the version of STOMP whose specification says so.
        section: the section of it that does.
        hint: what to write instead.
        severity: ``"error"`` or ``"warning"``, see `Rule`.
    """

    line: int
    column: int
    rule: str
    message: str
    version: str
    section: str
    hint: str
    severity: Severity

    def __str__(self) -> str:
        where = f"line {self.line}, column {self.column}"
        return f"{self.severity}: {where}: {self.message} (STOMP {self.version}, {self.section})"


@dataclass(frozen=True)
class Line:
    """A line of the head, without its line end.

    Attributes:
        start: the place of its first octet.
        text: with what is no UTF-8 as halves of surrogate pairs.
        ends_in_cr: whether there is a CR before its LF.
    """

    start: int
    text: str
    ends_in_cr: bool

    @property
    def colon(self) -> int:
        """Where in the text the name ends; -1 where there is no colon."""
        return self.text.find(":")

    @property
    def name(self) -> str:
        """What is before the first colon."""
        return self.text[: self.colon]

    @property
    def value(self) -> str:
        """What is behind the first colon."""
        return self.text[self.colon + 1 :]


class Draft:
    """A frame that may be wrong, taken apart as far as that goes.

    Args:
        frame: as it was typed.
        version: by whose rules.

    Attributes:
        command: its first line; None where there is nothing but line ends.
        lines: the header lines, up to the blank line, to a NUL, or to the end.
        head_end: where the blank line is; without one, where the lines end.
        body: where the body begins; None where there is no blank line before the first NUL.
        findings: what was found so far.
        flawed: the lines in which an error was found, by their `start`.
    """

    def __init__(self, frame: str | bytes | Typed, version: str) -> None:
        self.typed = frame if isinstance(frame, Typed) else Typed(frame)
        self.octets = self.typed.octets
        self.version = version
        self.lines: list[Line] = []
        self.body: int | None = None
        self.findings: list[Finding] = []
        self.flawed: set[int] = set()
        self.head_end = self._read_lines()
        self.command = self.lines.pop(0) if self.lines else None
        self.escapes = version != "1.0" and self.word.upper() not in HANDSHAKE

    @property
    def word(self) -> str:
        """The first word of the first line: the command, unless something is wrong with it."""
        begun = self.command.text.lstrip(BLANKS) if self.command else ""
        return re.split(f"[{BLANKS}]", begun, maxsplit=1)[0]

    def _read_lines(self) -> int:
        """Read the lines of the head; returns where they end.

        Before 1.2 a value may end in a CR, which is one of its characters, unless the command does.
        """
        octets, at = self.octets, past_line_ends(self.octets, 0)
        trims = self.version == "1.2"
        while True:
            end = octets.find(b"\n", at)
            stop = end if end >= 0 else len(octets)
            nul = octets.find(b"\0", at, stop)
            stop = nul if nul >= 0 else stop
            whole = nul < 0 <= end
            carriage = whole and octets.endswith(b"\r", at, stop)
            trims = trims or (carriage and not self.lines)
            line = octets[at : stop - (carriage and trims)]
            if whole and not line:
                self.body = end + 1
                return at
            if line:
                self.lines.append(Line(at, self.typed.decoded(line), carriage))
            if not whole:
                return stop
            at = end + 1

    def offset(self, line: Line, index: int) -> int:
        """The place of a character of a line."""
        return line.start + len(self.typed.encoded(line.text[:index]))

    def value(self, line: Line) -> tuple[int, str]:
        """Where the value begins in the text of a line, and what it is: trimmed in 1.0 alone."""
        value = line.value
        if self.version != "1.0":
            return line.colon + 1, value
        return len(line.text) - len(value.lstrip(BLANKS)), value.strip(BLANKS)

    def note(self, rule: str, offset: int, **words: object) -> None:
        """Note that a rule is broken.

        Args:
            rule: its name.
            offset: the octet that is wrong, or before which something is missing.
            words: what the rule says in braces.
        """
        kind = RULES[rule]
        section = (kind.first if self.version == "1.0" else "") or kind.section
        given = {"version": self.version, **words}
        said = [text.format(**given) for text in (kind.message, section, kind.hint)]
        place = self.typed.place(offset)
        message, section, hint = said
        self.findings.append(
            Finding(*place, rule, message, self.version, section, hint, kind.severity)
        )

    def note_in(self, rule: str, line: Line, index: int, **words: object) -> None:
        """Note an error at a character of a header line, of which nothing more is said."""
        self.flawed.add(line.start)
        self.note(rule, self.offset(line, index), **words)


@dataclass
class Fields:
    """The headers of a draft, by the names that they mean; of a repeated one the first.

    Attributes:
        lines: the lines by the names in them.
        whole: whether all lines could be read: if not, none is known to be missing.
    """

    lines: dict[str, Line] = field(default_factory=dict)
    whole: bool = True
