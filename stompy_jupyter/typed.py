"""A frame as a person types it: its octets, and where in the text each of them stands."""

from __future__ import annotations

import re

from stompy.errors import printable
from stompy.wire import past_line_ends

NUL = "^@"
"""How NUL is typed and shown, as in the specification: there is no key for it."""

_BLANK_LINE = re.compile(r"\n\r?\n")
_LENGTH = re.compile(rb"^[ \t]*content-length[ \t]*:[ \t]*([0-9]{1,15})[ \t]*\r?$", re.MULTILINE)
_PASSCODE = re.compile(r"^([ \t]*passcode[ \t]*:)[^\n\0]*", re.MULTILINE | re.IGNORECASE)
_GREETING = re.compile(r"^[ \t]*(?:CONNECT|STOMP)[ \t\r]*$", re.MULTILINE | re.IGNORECASE)


class Typed:
    """A frame as it was typed.

    In a text ``^@`` is NUL. One is added at the end where none is typed, and where a
    content-length reaches to the end. Line ends alone are a heart-beat, and stay as they are.

    Args:
        frame: its text; or its octets, which are taken as they are.

    Attributes:
        octets: what is to be sent. Half a surrogate pair, which UTF-8 does not have, is encoded
            all the same.

    Example:
        >>> Typed("BEGIN\\ntransaction:t1\\n\\n^@").octets
        b'BEGIN\\ntransaction:t1\\n\\n\\x00'
    """

    def __init__(self, frame: str | bytes) -> None:
        # Both give back what they were made of, whatever it was.
        self.errors = "surrogateescape" if isinstance(frame, bytes) else "surrogatepass"
        self.octets = frame if isinstance(frame, bytes) else _ended(frame)

    @classmethod
    def of_cell(cls, cell: str) -> Typed:
        """The frame in a cell, without the line end that IPython has put behind it.

        A blank line at the end of a cell may be that line end: two of them are one.
        """
        text = cell.removesuffix("\n")
        ends_head = _BLANK_LINE.search(cell) and not _BLANK_LINE.search(text)
        return cls(cell if ends_head else text)

    def decoded(self, octets: bytes) -> str:
        """Some of the octets as text; what is no UTF-8 becomes halves of surrogate pairs."""
        return octets.decode("utf-8", self.errors)

    def encoded(self, text: str) -> bytes:
        """The octets that `decoded` has made a text of."""
        return text.encode("utf-8", self.errors)

    def place(self, offset: int) -> tuple[int, int]:
        """The line and the column of an octet, both from 1, in characters of what was typed."""
        before = self.decoded(self.octets[:offset]).replace("\0", NUL)
        return before.count("\n") + 1, len(before) - before.rfind("\n")

    @property
    def masked_octets(self) -> bytes:
        """The octets without a passcode."""
        return masked_octets(self.octets)

    @property
    def lines(self) -> list[str]:
        """What was typed, line by line, without a passcode; not yet `printable`."""
        return masked(self.decoded(self.octets)).replace("\0", NUL).split("\n")

    def marked(self, line: int, column: int) -> tuple[str, str]:
        """A line in which each character can be seen, and a caret to put under a column of it."""
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        return printable(text), " " * len(printable(text[: column - 1])) + "^"


def masked(text: str) -> str:
    """The text of a frame without a passcode, however the frame is written."""
    end = _secret_end(text)
    return _PASSCODE.sub(r"\1***", text[:end]) + text[end:]


def masked_octets(octets: bytes) -> bytes:
    """The octets of a frame without a passcode, however the frame is written."""
    return masked(octets.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def passcode_of(octets: bytes) -> str | None:
    """The passcode that a frame has, however the frame is written."""
    text = octets.decode("utf-8", "surrogateescape")
    found = _PASSCODE.search(text, 0, _secret_end(text))
    return found[0][len(found[1]) :].strip(" \t\r") or None if found else None


def _secret_end(text: str) -> int:
    """Up to where a passcode may be: in the head, and anywhere if there is a CONNECT, in which a
    blank line may be too early."""
    if _GREETING.search(text):
        return len(text)
    head = _BLANK_LINE.search(text, len(text) - len(text.lstrip("\r\n")))
    return head.start() if head else len(text)


def _ended(text: str) -> bytes:
    octets = text.encode("utf-8", "surrogatepass").replace(NUL.encode(), b"\0")
    if not octets.strip(b"\r\n"):
        return octets
    return octets + b"\0" if b"\0" not in octets or _wants_more(octets) else octets


def _wants_more(octets: bytes) -> bool:
    """Whether a content-length covers all there is of a body, with the NULs in it."""
    head = re.search(rb"\n\r?\n", octets[past_line_ends(octets, 0) :])
    if head is None or octets.rstrip(b"\r\n").endswith(b"\0"):
        return False
    body = past_line_ends(octets, 0) + head.end()
    length = _LENGTH.search(octets, 0, body)
    return length is not None and body + int(length[1]) >= len(octets)
