"""Where the cursor is, and what the magic's line around it says so far: pure text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stompy_jupyter.arguments import text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from IPython.core.magic_arguments import MagicArgumentParser

# Possessive, since a line may be very long.
_LINE_MAGIC = re.compile(r"""\s*+(?:[^%="'#]*+=\s*+)?%(stomp\w*+)[ \t]++""")
_CELL_MAGIC = re.compile(r"\s*+%%(stomp\w*+)([ \t]*+)")


@dataclass(frozen=True)
class Place:
    """Where the cursor is.

    Attributes:
        kind, magic: in whose arguments or whose cell: ``"line"`` or ``"cell"``, and its name.
        arguments: what is behind the name, as far as the cursor.
        body: the cell as far as the cursor, if that is in there.
        left, right: the cursor's line.
    """

    kind: str
    magic: str
    arguments: str
    body: str | None
    left: str
    right: str

    @property
    def message(self) -> bool:
        """Whether the line holds a message behind the arguments."""
        return self.kind == "line" and self.magic == "stomp_send"


def place_of(lines: Sequence[str], line: int, column: int) -> Place | None:
    """Where the cursor is, if that is with a magic of ours.

    Its line alone will do for all but cells: some front ends send no more.
    """
    left, right = lines[line][:column], lines[line][column:]
    first = next((number for number, text in enumerate(lines) if text.strip()), line)
    head = _CELL_MAGIC.match(lines[first])
    of_message = head is not None and head[1] == "stomp_send" and first < line
    joined = _continued(lines, line) + left
    if not of_message and (found := _LINE_MAGIC.match(joined)):
        return Place("line", found[1], joined[found.end() :], None, left, right)
    if head is None:
        return None
    if first < line:
        body = "\n".join([*lines[first + 1 : line], left])
        return Place("cell", head[1], lines[first][head.end() :], body, left, right)
    in_name = not head[2] or column < head.end()
    return None if in_name else Place("cell", head[1], left[head.end() :], None, left, right)


def _continued(lines: Sequence[str], line: int) -> str:
    """The lines above that go on in this one, since they end in a backslash."""
    first = line
    while first > 0 and lines[first - 1].endswith("\\"):
        first -= 1
    return "".join(f"{text[:-1]} " for text in lines[first:line])


# -- what is written of the arguments --------------------------------------------------------

_WORD = re.compile(r"""'[^']*'|"[^"]*"|['"].*|[^ \t\r\n]+""", re.DOTALL)
"""Quotes are quotes where a word begins with one."""


class Arguments:
    """What a line says to a magic, as far as it is written.

    Args:
        whole: whether the line ends where it ends; else the cursor is there, at its last word.
        message: whether a body follows the first value, as in the line of %stomp_send.

    Attributes:
        given: the options.
        values: what is no option, without quotes.
        awaited: the option whose value is next.
        only_values: whether there was a ``--``, after which no options come.
        word: the one that the cursor is at, with the quote it begins with; may be empty.
        body: of a message, if the line is long enough.
    """

    def __init__(
        self, parser: MagicArgumentParser, line: str, *, whole: bool, message: bool
    ) -> None:
        self.parser = parser
        self.given: set[str] = set()
        self.values: list[str] = []
        self.awaited: argparse.Action | None = None
        self.only_values = False
        self.word = ""
        self.body: str | None = None
        for found in _WORD.finditer(line):
            if not whole and found.end() == len(line):
                self.word = found[0]
                return
            self._take(found[0])
            if message and self.values:
                self.body = line[found.end() :]
                return

    def _take(self, word: str) -> None:
        if self.awaited is not None:
            self.awaited = None
        elif self.only_values or not word.startswith("-"):
            self.values.append(text(word))
        elif word == "--":
            self.only_values = True
        else:
            option, value = self.option(word)
            if option is not None:
                self.given.add(option.dest)
                self.awaited = option if value is None and option.nargs is None else None

    def option(self, word: str) -> tuple[argparse.Action | None, str | None]:
        """Which option a word names, if that is certain, and the value that is in the word."""
        name, _, value = word.partition("=")
        if not word.startswith("--"):
            name, value = word[:2], word[2:]
        known = {o: action for action in self.parser._actions for o in action.option_strings}
        begun = [action for o, action in known.items() if len(name) > 2 and o.startswith(name)]
        found = known.get(name) or (begun[0] if len(begun) == 1 else None)
        return found, value if len(word) > len(name) else None

    @property
    def positional(self) -> argparse.Action | None:
        """What the next value is that belongs to no option."""
        expected = [action for action in self.parser._actions if not action.option_strings]
        if len(self.values) < len(expected):
            return expected[len(self.values)]
        return expected[-1] if expected and expected[-1].nargs == "*" else None
