"""Octets, whatever they are, as the parts of STOMP frames: each octet is in one part."""

from __future__ import annotations

import dataclasses
import re
import sys
from typing import TYPE_CHECKING, Literal, NamedTuple

from stompy.wire import HANDSHAKE, other_protocol, past_line_ends
from stompy_jupyter.meanings import (
    COMMANDS,
    ESCAPES,
    of_body,
    of_command,
    of_header,
    of_value,
    say,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Kind = Literal[
    "command",
    "line end",
    "header name",
    "colon",
    "header value",
    "escape",
    "blanks",
    "blank line",
    "body",
    "NUL",
    "heart-beat",
    # what no frame has that is right
    "undefined escape",
    "no header",
    "rest",
    "not STOMP",
]

WRONG: Sequence[Kind] = ("undefined escape", "no header", "rest", "not STOMP")


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of a frame.

    Attributes:
        offset: where it begins, in octets.
        octets: what it is; a passcode is ``***``.
        kind: what part of a frame that is.
        meaning: what it is for, in a short sentence, with the section of the specification.
        header: the name of the header that it belongs to, unescaped; None where it is of none.
    """

    offset: int
    octets: bytes
    kind: Kind
    meaning: str
    header: str | None = None


_BLANK_LINE = re.compile(rb"\n(\r?\n)")
_PASSCODE = re.compile(rb"^([ \t]*passcode[ \t]*:?)[^\n\0]+", re.MULTILINE | re.IGNORECASE)
_COMMAND_LINE = re.compile(rb"([A-Z]+)[ \t]*\r?\n")
_ESCAPE = re.compile(rb"\\[\x00-\x7f]?")
_MEANT = {"\\\\": "\\", "\\n": "\n", "\\c": ":", "\\r": "\r"}
_DIGITS = re.compile(r"[0-9]+")


def take_apart(
    octets: bytes, version: str | None, sent: bool | None, size: int | None = None
) -> Iterator[Part]:
    """The parts of octets, in order.

    Args:
        octets, version, sent: as for `explain`.
        size: how many octets the body has, where that is known: of a frame, and nothing else.
    """
    offset = 0
    for part in _Octets(octets, version, sent, size).parts():
        yield dataclasses.replace(part, offset=offset)
        offset += len(part.octets)


class _Octets:
    """Octets on their way into parts, which do not know their offsets yet."""

    def __init__(
        self, octets: bytes, version: str | None, sent: bool | None, size: int | None
    ) -> None:
        self.octets = octets
        self.version = version
        self.sent = sent
        self.size = size
        self.place = 0

    def parts(self) -> Iterator[Part]:
        """All parts, in order."""
        first = True
        while self.place < len(self.octets):
            end = past_line_ends(self.octets, self.place)
            if end > self.place:
                yield Part(0, self._take(end), "heart-beat", self._of_line_ends(first))
            elif (rest := self._no_frame(first)) is not None:
                self.place = len(self.octets)
                yield rest
            else:
                frame = _Frame(self.octets, self.place, self.version, self.sent, self.size)
                yield from frame.parts()
                self.place = frame.end
                if frame.command == "CONNECTED" and self.version is None:
                    self.version = frame.value("version") or "1.0"
                first = False

    def _take(self, end: int) -> bytes:
        taken = self.octets[self.place : end]
        self.place = end
        return taken

    def _of_line_ends(self, first: bool) -> str:
        version = self.version or "1.2"
        if not first:
            return say("behind", version, "STOMP Frames")
        if self.sent is None:
            return say("heart-beat", version, "Heart-beating")
        side = "client" if self.sent else "broker"
        return say("heart-beat-of", version, "Heart-beating", side=side)

    def _no_frame(self, first: bool) -> Part | None:
        """The rest, if no frame begins there."""
        line = _COMMAND_LINE.match(self.octets, self.place)
        if line is not None and line[1].decode() in COMMANDS:
            return None
        rest = self.octets[self.place :]
        if line is None and _may_become_command(rest):
            return None
        version = self.version or "1.2"
        if not first:
            return Part(0, _masked(rest), "rest", say("rest", version, "STOMP Frames"))
        protocol = other_protocol(rest, tuple(COMMANDS))
        if protocol not in (None, "something else"):
            means = say("other-protocol", version, protocol=str(protocol))
            return Part(0, _masked(rest), "not STOMP", means)
        if b"\n" in rest or b"\0" in rest:
            return None  # a frame with a command that does not exist
        return Part(0, _masked(rest), "not STOMP", say("not-stomp", version))


def _may_become_command(octets: bytes) -> bool:
    """Whether a command that exists is cut off there, or ends with a NUL."""
    begun = octets[:20].removesuffix(b"\r").partition(b"\0")[0]
    return bool(begun) and any(command.encode().startswith(begun) for command in COMMANDS)


def _masked(octets: bytes) -> bytes:
    return _PASSCODE.sub(rb"\1***", octets)


class _Line(NamedTuple):
    """A line of a head: what is in it, and how it ends."""

    text: bytes
    end: bytes

    @classmethod
    def of(cls, octets: bytes, cr_ends: bool) -> _Line:
        text = octets.removesuffix(b"\n")
        if cr_ends:
            text = text.removesuffix(b"\r")
        return cls(text, octets[len(text) :])


class _Piece(NamedTuple):
    """A piece of a name or a value: an escape, or what is between them."""

    octets: bytes
    kind: Kind | None
    text: str


class _Field(NamedTuple):
    """A header: its name and its value, as they are meant."""

    line: _Line
    name: str
    value: str

    @property
    def is_header(self) -> bool:
        return b":" in self.line.text


class _Frame:
    """The frame that begins at a place, as far as it is one.

    Attributes:
        command: its command.
        end: the place behind it.
    """

    def __init__(
        self,
        octets: bytes,
        start: int,
        version: str | None,
        sent: bool | None,
        size: int | None,
    ) -> None:
        self.version = version or "1.2"
        self.sent = sent
        self._octets = octets
        blank = _BLANK_LINE.search(octets, start)
        head = octets[start : blank.start() + 1] if blank else octets[start:]
        nul = head.find(b"\0")
        if nul >= 0 and not (blank and _is_sound(head)):
            head, blank = head[:nul], None
        lines = _lines_of(head)
        self.first = _Line.of(lines[0], cr_ends=True)
        self.command = self.first.text.decode("utf-8", "backslashreplace")
        cr_ends = self.version == "1.2" or self.command in HANDSHAKE
        self.escapes = self.version != "1.0" and self.command not in HANDSHAKE
        self.fields = [self._field(_Line.of(line, cr_ends)) for line in lines[1:]]
        self.blank = blank[1] if blank else b""
        self.body = start + len(head) + len(self.blank)
        self.size = size
        self.nul = self.body + (size or 0)
        if blank and size is None:
            self._find_nul()
        self.end = min(self.nul + 1, len(octets))

    def value(self, name: str) -> str | None:
        """The value of a header; of one that is repeated the first."""
        named = (f.value for f in self.fields if f.is_header and f.name == name)
        return next(named, None)

    def _field(self, line: _Line) -> _Field:
        name, _, value = line.text.partition(b":")
        return _Field(line, self._meant(name), self._meant(value))

    def _meant(self, octets: bytes) -> str:
        text = "".join(piece.text for piece in self._pieces(octets))
        return text.strip(" \t") if self.version == "1.0" else text

    def _pieces(self, octets: bytes) -> Iterator[_Piece]:
        """What is between escapes, and the escapes (STOMP 1.2, "Value Encoding")."""
        place = 0
        for match in _ESCAPE.finditer(octets) if self.escapes else ():
            yield _Piece(octets[place : match.start()], None, _text(octets[place : match.start()]))
            pair = _text(match[0])
            known = pair in _MEANT and (pair != "\\r" or self.version != "1.1")
            kind: Kind = "escape" if known else "undefined escape"
            yield _Piece(match[0], kind, _MEANT[pair] if known else pair)
            place = match.end()
        yield _Piece(octets[place:], None, _text(octets[place:]))

    def _find_nul(self) -> None:
        """Where the body ends, and how long it is (STOMP 1.2, "Header content-length").

        Where a content-length is wrong, that is a NUL behind which there is nothing, or a frame.
        """
        octets, begin = self._octets, self.body
        announced = self.value("content-length")
        nul = octets.find(b"\0", begin)
        if announced is not None and _DIGITS.fullmatch(announced):
            end = begin + (int(announced) if len(announced) < 19 else sys.maxsize)
            if octets[end : end + 1] == b"\0" or (nul < 0 and end == len(octets)):
                nul = end
            else:
                nul = _last_nul(octets, nul)
        elif announced is not None:
            nul = _last_nul(octets, nul)
        self.nul = len(octets) if nul < 0 else nul
        self.size = None if nul < 0 and announced is not None else self.nul - begin

    # -- as parts ----------------------------------------------------------------------------

    def parts(self) -> Iterator[Part]:
        """Its parts, in order; what is missing is said of the last of them."""
        made = [part for part in self._parts() if part.octets]
        if self.nul >= len(self._octets):
            made[-1] = self._cut(made[-1])
        yield from made

    def _parts(self) -> Iterator[Part]:
        yield self._checked(Part(0, self.first.text, "command", self._of_command()))
        yield self._line_end(self.first, "command-end")
        seen: set[str] = set()
        for field in self.fields:
            if field.is_header:
                yield from self._header(field, field.name in seen)
                seen.add(field.name)
            else:
                means = say("no-colon", self.version, "STOMP Frames")
                yield Part(0, _masked(field.line.text), "no header", means)
                yield self._line_end(field.line, "header-end")
        yield Part(0, self.blank, "blank line", self._say("blank-line"))
        body = self._octets[self.body : self.nul]
        if self.command in ("CONNECT", "STOMP"):  # a blank line too early, and it is in the body
            body = _masked(body)
        yield Part(0, body, "body", of_body(self.command, self.version, self.nul - self.body))
        ended = "nul" if self.blank else "no-blank-line"
        yield Part(0, self._octets[self.nul : self.nul + 1], "NUL", self._say(ended))

    def _say(self, word: str) -> str:
        return say(word, self.version, "STOMP Frames")

    def _of_command(self) -> str:
        means = of_command(self.command, self.version)
        by = COMMANDS.get(self.command, {}).get("by")
        if self.sent is None or by is None or by == ("client" if self.sent else "broker"):
            return means
        return say("wrong-side", self.version, means=means, by=by)

    def _line_end(self, line: _Line, word: str, header: str | None = None) -> Part:
        means = say(word, self.version)
        if line.end == b"\r\n" and self.version != "1.2":
            means = say("cr-line-end", self.version, means=means)
        return Part(0, line.end, "line end", means, header)

    def _header(self, field: _Field, repeated: bool) -> Iterator[Part]:
        name, _, value = field.line.text.partition(b":")
        if repeated:
            of_both = say("repeated", self.version, "Repeated Header Entries")
            meanings = of_both, of_both
        else:
            meanings = (
                of_header(field.name, self.command, self.version),
                of_value(field.name, field.value, self.command, self.version, self.size),
            )
        yield from self._text(name, "header name", meanings[0], field.name)
        yield Part(0, b":", "colon", say("colon", self.version), field.name)
        if field.name.strip(" \t").lower() == "passcode":
            yield Part(0, b"***" if value else b"", "header value", meanings[1], field.name)
        else:
            yield from self._text(value, "header value", meanings[1], field.name)
        yield self._line_end(field.line, "header-end", field.name)

    def _text(self, octets: bytes, kind: Kind, means: str, header: str) -> Iterator[Part]:
        """A name or a value, with escapes and blanks apart."""
        if octets.endswith(b"\r"):
            means = say("cr", self.version, means=means)
        inner = octets.strip(b" \t") if self.version == "1.0" else octets
        before = octets.find(inner) if inner else len(octets)
        blanks = say("blanks", self.version)
        yield Part(0, octets[:before], "blanks", blanks, header)
        for piece in self._pieces(inner):
            if piece.kind is None:
                yield self._checked(Part(0, piece.octets, kind, means, header))
            else:
                yield Part(0, piece.octets, piece.kind, self._of_escape(piece), header)
        yield Part(0, octets[before + len(inner) :], "blanks", blanks, header)

    def _of_escape(self, piece: _Piece) -> str:
        section = "Value Encoding"
        if piece.kind != "escape":
            return say("undefined-escape", self.version, section, version=self.version)
        pair = _text(piece.octets)
        return say("escape", self.version, section, pair=pair, char=ESCAPES[pair])

    def _checked(self, part: Part) -> Part:
        """A part of the head, and whether it is UTF-8."""
        try:
            part.octets.decode()
        except UnicodeDecodeError:
            means = say("not-utf-8", self.version, "Value Encoding", means=part.meaning)
            return dataclasses.replace(part, meaning=means)
        return part

    def _cut(self, last: Part) -> Part:
        if self.blank:
            missing = "missing-nul"
        elif last.octets.endswith(b"\n"):
            missing = "missing-blank-line"
        else:
            missing = "missing-line-end"
        means = say("cut", self.version, means=last.meaning, missing=say(missing, self.version))
        return dataclasses.replace(last, meaning=means)


def _lines_of(head: bytes) -> list[bytes]:
    """The lines of a head with their line ends: LF alone is one."""
    lines = [line + b"\n" for line in head.split(b"\n")]
    lines[-1] = lines[-1].removesuffix(b"\n")
    return lines if lines[-1] or len(lines) == 1 else lines[:-1]


def _is_sound(head: bytes) -> bool:
    """Whether a head with a NUL in it is one all the same: nobody sends it, and it is allowed."""
    command, *lines = _lines_of(head)
    return b"\0" not in command and all(b":" in line for line in lines)


def _last_nul(octets: bytes, nul: int) -> int:
    """From this NUL on the first that may be the end of a frame; -1 where there is none."""
    while nul >= 0:
        behind = past_line_ends(octets, nul + 1)
        following = octets.find(b"\0", nul + 1)
        if following < 0 or behind == len(octets) or _COMMAND_LINE.match(octets, behind):
            return nul
        nul = following
    return nul


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")
