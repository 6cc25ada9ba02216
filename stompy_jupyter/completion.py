"""Completion inside the magics: options, names, destinations, headers, and in their cells.

From the text and the cursor comes a `Place`: in whose arguments, or in whose cell, it is. From that
comes an `Offer`: what could stand there, in place of what is typed. Behind a magic's name and in a
message nothing is Python, so that IPython's own completers have no say there; they have it wherever
a cell is Python, and about files.
"""

from __future__ import annotations

import argparse
import logging
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from IPython.core.completer import SimpleCompletion, context_matcher

from stompy_jupyter.broker_magics import OPTIONS as BROKER_OPTIONS
from stompy_jupyter.cursor import Arguments, Place, place_of
from stompy_jupyter.decode import DECODERS
from stompy_jupyter.exercises import exercises
from stompy_jupyter.known import (
    HEADERS,
    MAX_BODY,
    OF_MESSAGE,
    OF_OBJECT,
    PREFIXES,
    SCHEMES,
    Known,
)
from stompy_jupyter.session import StompSession
from stompy_jupyter.stream import FrameStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell

    from stompy_jupyter.notebook import Notebook

_log = logging.getLogger(__name__)


_BEGINNINGS = frozenset((*PREFIXES, *SCHEMES))
"""What the user goes on typing: no quote is closed behind it."""

_FILES = ("ca_file", "cert_file", "key_file", "keep")


# -- what is offered -------------------------------------------------------------------------


class Offer(NamedTuple):
    """What could stand at the cursor.

    Attributes:
        typed: what it would take the place of, on the left of the cursor.
        texts: what to insert, the likeliest first.
        kind: what all that is, as a word for the list that a front end shows.
        options: of the magic, behind that.
        files: whether IPython knows better: it is a file.
    """

    typed: str
    texts: Sequence[str] = ()
    kind: str = ""
    options: Sequence[str] = ()
    files: bool = False


class _Nothing(list[SimpleCompletion]):
    """No completions, and the last word: to an empty list IPython adds what others find."""

    def __len__(self) -> int:
        return 1


def _result(offer: Offer) -> SimpleMatcherResult:
    kinds = dict.fromkeys(offer.texts, offer.kind) | dict.fromkeys(offer.options, "option")
    found = [
        SimpleCompletion(text, type=kind)
        for text, kind in kinds.items()
        if text.isprintable()  # strangers' names: a line end would put a line into the cell
    ]
    result: SimpleMatcherResult = {
        "completions": found or _Nothing(),
        "suppress": True,
        "ordered": True,
    }
    if offer.files:
        result["do_not_suppress"] = {"IPCompleter.file_matcher"}
    else:
        result["matched_fragment"] = offer.typed
    return result


class Completion:
    """The completer of a notebook's magics, for IPython a matcher among others."""

    def __init__(self, notebook: Notebook) -> None:
        self._known = Known(notebook)

        named = context_matcher(identifier="stompy_jupyter")
        self._matcher: Any = named(lambda context: self._match(context))  # a method has no name

    def register(self, shell: InteractiveShell) -> None:
        """Have IPython ask us, before its own completers. Twice is fine."""
        self.unregister(shell)
        shell.Completer.custom_matchers.append(self._matcher)

    def unregister(self, shell: InteractiveShell) -> None:
        """Have IPython ask us no more. Twice is fine."""
        matchers = shell.Completer.custom_matchers
        if self._matcher in matchers:
            matchers.remove(self._matcher)

    def _match(self, context: CompletionContext) -> SimpleMatcherResult:
        offer = None
        try:
            offer = self.offer(context.full_text, context.cursor_line, context.cursor_position)
        except Exception:  # IPython would print it into the notebook, at every key that is hit
            _log.debug("no completion", exc_info=True)
        # IPython itself fails when the cursor does not follow what is to be replaced.
        if offer is None or not context.text_until_cursor.endswith(offer.typed):
            return {"completions": [], "suppress": False}
        return _result(offer)

    def offer(self, cell: str, line: int, column: int) -> Offer | None:
        """What could stand at a place of a cell; None where that is not for us to say."""
        place = place_of(cell.split("\n"), line, column)
        if place is None:
            return None
        magics = self._known.notebook.shell.magics_manager.magics
        parser = getattr(magics[place.kind].get(place.magic), "parser", None)
        if parser is None:
            return None
        in_cell = place.body is not None
        arguments = Arguments(parser, place.arguments, whole=in_cell, message=place.message)
        body = place.body if in_cell else arguments.body
        if body is None:
            return Word(self._known, place, arguments).offer()
        if place.magic == "stomp_send":
            return in_message(self._known, place, arguments, body)
        if place.magic in ("stomp_raw", "stomp_explain"):  # a frame is not Python
            return Offer("")
        return in_callback(self._known, place, arguments) if place.magic == "stomp_on" else None


# -- what could be the word at the cursor ----------------------------------------------------


class Word:
    """The word of a magic's line that the cursor is at, and what it could become."""

    def __init__(self, known: Known, place: Place, arguments: Arguments) -> None:
        self.known = known
        self.place = place
        self.arguments = arguments
        right = re.sub(r"^[^ \t]*", "", place.right)
        self.beyond = Arguments(arguments.parser, right, whole=True, message=place.message)

    def offer(self) -> Offer:
        """What the word could become."""
        word = self.arguments.word
        if self.arguments.awaited is not None:
            return self._value(self.arguments.awaited, word)
        if word.startswith("-") and not self.arguments.only_values:
            option, value = self.arguments.option(word)
            if value is None:
                return Offer(word, options=self._options(word))
            takes_it = option is not None and option.nargs is None
            return self._value(option, value, attached=True) if takes_it else Offer(word)
        offer = self._value(self.arguments.positional, word)
        if word or self.arguments.only_values:
            return offer
        return offer._replace(options=self._options(""))

    def _options(self, word: str) -> Sequence[str]:
        """The options that the magic has and that may still come."""
        given = self.arguments.given | self.beyond.given
        options = [
            option
            for option in self.arguments.parser._actions
            if option.option_strings and self._may_come(option, given)
        ]
        names = [name for option in options for name in option.option_strings]
        return [name for name in names if name.startswith(word)]

    def _may_come(self, option: argparse.Action, given: set[str]) -> bool:
        if self.place.magic == "stomp_broker":
            action = next(iter(self.arguments.values), "")
            if option.dest not in BROKER_OPTIONS.get(action, ()):
                return False
        return option.dest not in given or isinstance(option, argparse._AppendAction)

    def _value(self, action: argparse.Action | None, word: str, *, attached: bool = False) -> Offer:
        """What the value of an option could become, or one that belongs to none.

        Args:
            attached: whether it is in one word with the option: then no quotes keep it together.
        """
        quote = word[:1] if word.startswith(("'", '"')) else ""
        begun = word.removeprefix(quote)
        if action is None:
            return Offer(begun)
        if action.dest in _FILES:
            return Offer(begun, files=True)
        if action.dest == "header":
            return self._header(begun, quote, attached)
        kind, find = _VALUES.get(action.dest, ("value", lambda word: action.choices or ()))
        return Offer(begun, self._fitting(find(self), begun, quote, attached), kind)

    def _fitting(
        self, values: Iterable[str], begun: str, quote: str, attached: bool
    ) -> Sequence[str]:
        """Those values that begin like that, as they are written behind the quote."""
        closed = bool(quote) and self.place.right.startswith(quote)  # front ends set two at once
        texts = [_quoted(value, quote, closed) for value in values if value.startswith(begun)]
        return [text for text in texts if text and not (attached and " " in text)]

    def _header(self, begun: str, quote: str, attached: bool) -> Offer:
        """The name of a header, or behind its colon the value."""
        name, colon, value = begun.partition(":")
        if colon:
            value = value.lstrip(" ")
            values = self.known.header_values(name.strip())
            return Offer(value, self._fitting(values, value, quote, attached), "value")
        opening = "" if quote or attached else "'"
        space = "" if attached else " "
        names = [*HEADERS.get(self.place.magic, ())]
        if self.place.magic == "stomp_send":
            names += self.known.headers()
        fitting = [
            name for name in names if name.startswith(begun) and not set(name) & set(" :'\"")
        ]
        return Offer(begun, [f"{opening}{name}:{space}" for name in fitting], "header")

    def frames(self) -> Iterable[str]:
        """What %stomp_ack takes: a stream, then numbers of its frames."""
        named = [value for value in self.arguments.values[:1] if not value.isdecimal()]
        streams = [] if self.arguments.values else self.known.streams()
        numbers = self.known.unacknowledged(named)
        return [*streams, *(n for n in numbers if n not in self.arguments.values)]

    def explained(self) -> Iterable[str]:
        """What %stomp_explain takes: a stream, a variable, or the number of a frame."""
        return [] if self.arguments.values else self.known.explained()

    def captures(self) -> Iterable[str]:
        """What %stomp_replay takes: files, and folders to go on with."""
        return self.known.captures(self.arguments.word.lstrip("'\""))

    def names(self) -> Iterable[str]:
        """What can be bound: what is bound to the like already, and the destination's last part."""
        if self.place.magic == "stomp_connect":
            return self.known.variables(StompSession)
        named = [*self.arguments.values, *self.beyond.values][:1]
        destinations = [re.sub(r"\.stompcap(\.gz)?$", "", name) for name in named]
        return [*map(self.known.free_name, destinations), *self.known.variables(FrameStream)]


def _quoted(value: str, quote: str, closed: bool) -> str:
    """A value as it is written behind a quote, or behind none; empty if it cannot be.

    Example:
        >>> _quoted("/queue/a", "'", False), _quoted("/queue/a b", "", False)
        ("/queue/a'", "'/queue/a b'")
    """
    if quote:
        end = "" if closed or value in _BEGINNINGS or value.endswith("/") else quote
        return "" if quote in value else value + end
    if " " not in value and not value.startswith(("-", "'", '"')):
        return value
    around = next((q for q in "'\"" if q not in value), "")
    return around and around + value + around


_VALUES: Mapping[str, tuple[str, Callable[[Word], Iterable[str]]]] = {
    "address": ("address", lambda word: word.known.addresses()),
    "by": ("header", lambda word: word.known.headers(word.arguments.values[:1])),
    "client": ("client", lambda word: word.known.clients()),
    "decode": ("decoder", lambda word: [*DECODERS, *word.known.functions()]),
    "destination": ("destination", lambda word: word.known.destinations()),
    "exercise": ("exercise", lambda word: exercises()),
    "explained": ("frame", Word.explained),
    "name": ("variable", Word.names),
    "on": ("session", lambda word: word.known.sessions()),
    "passcode_env": ("variable", lambda word: word.known.environment()),
    "session": ("session", lambda word: word.known.sessions()),
    "sessions": ("session", lambda word: word.known.sessions()),
    "source": ("capture", lambda word: [*word.known.data_frames(), *word.captures()]),
    "stream": ("stream", lambda word: word.known.streams()),
    "to": ("destination", lambda word: word.known.destinations()),
    "what": ("frame", Word.frames),
}
"""By the argument: what its values are, and which there are."""


# -- what could stand in a cell --------------------------------------------------------------

_PLACEHOLDER = re.compile(r"\{\{\s*+(\w*)$")
_PROPERTY = re.compile(r'[{,]\s*+"([^"\\\n]*)$')
_ATTRIBUTE = re.compile(r"(?<![\w.])(frame|client)\.(\w*)$")
_SUBSCRIPT = re.compile(r"""(?<![\w.])frame(?:\[|\.get\()\s*+(["'])([^"'\\]*)$""")


def in_message(known: Known, place: Place, arguments: Arguments, body: str) -> Offer:
    """In the body of a message: variables in ``{{``, names where it is JSON, else nothing at all.

    Not what IPython finds, either: a front end inserts the only match without asking, and a body
    would have a Python name in it.
    """
    typed = body[-MAX_BODY:]
    if "template" in arguments.given and (at := _PLACEHOLDER.search(typed)):
        braces = len(place.right[:2]) - len(place.right[:2].lstrip("}"))
        names = [name for name in known.values() if name.startswith(at[1])]
        return Offer(at[1], [name + "}}"[braces:] for name in names], "variable")
    is_json = "json" in arguments.given or body.lstrip().startswith(("{", "["))
    if is_json and arguments.values and (at := _PROPERTY.search(typed)):
        end = "" if place.right.startswith('"') else '": '
        names = [name for name in known.properties(arguments.values[0]) if name.startswith(at[1])]
        return Offer(at[1], [name + end for name in names], "property")
    return Offer("")


def in_callback(known: Known, place: Place, arguments: Arguments) -> Offer | None:
    """In the cell of %%stomp_on: what `frame` and `client` have; all else is Python's."""
    if at := _ATTRIBUTE.search(place.left):
        names = [name for name in OF_OBJECT[at[1]] if name.startswith(at[2])]
        return Offer(at[2], names, "attribute")
    if at := _SUBSCRIPT.search(place.left):
        headers = [*OF_MESSAGE, *known.headers(arguments.values[:1])]
        names = [
            name for name in headers if name.startswith(at[2]) and not set(name) & set("\"'\\")
        ]
        end = "" if place.right.startswith(at[1]) else at[1]
        return Offer(at[2], [name + end for name in names], "header")
    return None
