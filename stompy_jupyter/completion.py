"""Completion inside the magics: options, names, destinations, headers, and in their cells.

From the text and the cursor comes a `Place`: in whose arguments, or in whose cell, it is. From that
comes an `Offer`: what could stand there, in place of what is typed. Behind a magic's name and in a
message nothing is Python, so that IPython's own completers have no say there; they have it wherever
a cell is Python, and about files.
"""

from __future__ import annotations

import argparse
import builtins
import contextlib
import json
import keyword
import logging
import os
import re
import threading
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import quote as percent_encoded

from IPython.core.completer import SimpleCompletion, context_matcher
from IPython.core.error import UsageError

from stompy import STOMPAddressError, STOMPClient
from stompy.address import PORTS, UNIX, Address, parse_addresses
from stompy_jupyter.arguments import text
from stompy_jupyter.batch import COLUMNS, MORE_HEADERS
from stompy_jupyter.broker_magics import OPTIONS as BROKER_OPTIONS
from stompy_jupyter.embedded import embedded_broker
from stompy_jupyter.session import StompSession
from stompy_jupyter.stream import FrameStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.core.magic_arguments import MagicArgumentParser

    from stompy_jupyter.notebook import Notebook

T = TypeVar("T")

PATIENCE = 0.015
"""Seconds that the broker or a table is waited for: who types does not want to wait."""

MAX_STREAMS = 10
"""So many streams, the newest, are asked for headers."""

MAX_ROWS = 10
"""So many rows of a stream, the newest, are looked at for headers."""

MAX_FRAMES = 50
"""So many frames that wait to be acknowledged are offered."""

MAX_BODIES = 5
"""So many bodies, the newest of a stream, are read for the names in their JSON."""

MAX_BODY = 16_384
"""A body longer than this, in characters, is not read; nor is more of a cell that is typed."""

_log = logging.getLogger(__name__)


# -- what is known of STOMP ------------------------------------------------------------------

HEADERS: Mapping[str, Sequence[str]] = {
    "stomp_connect": ("client-id", "accept-version"),
    "stomp_send": (
        *("content-type", "persistent", "priority", "expires", "expiration", "reply-to"),
        *("correlation-id", "type", "receipt", "JMSXGroupID", "AMQ_SCHEDULED_DELAY"),
    ),
    "stomp_subscribe": (
        *("selector", "prefetch-count", "durable", "auto-delete", "exclusive", "x-queue-name"),
        *("activemq.prefetchSize", "activemq.subscriptionName", "activemq.retroactive"),
        *("activemq.exclusive", "activemq.priority", "durable-subscription-name", "no-local"),
    ),
}
"""What a client may say in CONNECT, SEND and SUBSCRIBE (STOMP 1.2), and what RabbitMQ, ActiveMQ
and Artemis know beyond that; without what arguments of the magics say."""

_YES_NO = ("persistent", "durable", "auto-delete", "exclusive", "no-local")
HEADER_VALUES: Mapping[str, Sequence[str]] = {
    **dict.fromkeys((*_YES_NO, "activemq.exclusive", "activemq.retroactive"), ("true", "false")),
    "accept-version": ("1.2", "1.1,1.2", "1.0,1.1,1.2"),
    "content-type": (
        *("application/json", "text/plain", "text/plain;charset=utf-8", "text/csv"),
        *("application/xml", "application/octet-stream"),
    ),
    "priority": tuple("0123456789"),
}

OF_MESSAGE = ("destination", "message-id", "subscription", "content-type", "content-length")
"""The headers of MESSAGE (STOMP 1.2) that a table does not show by their own names."""

OF_FRAME = ("text", "json", "destination", "get", "Headers", "Body", "Command", "ack", "nack")
OF_CLIENT = tuple(
    name for name in dir(STOMPClient) if not name.startswith("_") and name != "connection_ended"
)
OF_OBJECT = {"frame": OF_FRAME, "client": OF_CLIENT}
"""What the two names of %%stomp_on have to offer."""

_PREFIXES = ("/topic/", "/queue/")
_SCHEMES = (*(f"{scheme}://" for scheme in PORTS), f"{UNIX}:///")
_BEGINNINGS = frozenset((*_PREFIXES, *_SCHEMES))
"""What the user goes on typing: no quote is closed behind it."""

_FILES = ("ca_file", "cert_file", "key_file")
_SECRET = re.compile(r"PASS|TOKEN|SECRET|KEY", re.IGNORECASE)


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
        return in_callback(self._known, place, arguments) if place.magic == "stomp_on" else None


# -- where the cursor is ---------------------------------------------------------------------

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
"""As IPython takes a line apart: quotes are quotes where a word begins with one."""


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

    def names(self) -> Iterable[str]:
        """What can be bound: what is bound to the like already, and the destination's last part."""
        if self.place.magic == "stomp_connect":
            return self.known.variables(StompSession)
        destinations = [*self.arguments.values, *self.beyond.values][:1]
        return [*map(self.known.free_name, destinations), *self.known.variables(FrameStream)]


def _quoted(value: str, quote: str, closed: bool) -> str:
    """A value as it is written behind a quote, or behind none; empty if it cannot be.

    Example:
        >>> _quoted("/queue/a", "'", False), _quoted("/queue/a b", "", False)
        ("/queue/a'", "'/queue/a b'")
    """
    if quote:
        end = "" if closed or value in _BEGINNINGS else quote
        return "" if quote in value else value + end
    if " " not in value and not value.startswith(("-", "'", '"')):
        return value
    around = next((q for q in "'\"" if q not in value), "")
    return around and around + value + around


_VALUES: Mapping[str, tuple[str, Callable[[Word], Iterable[str]]]] = {
    "address": ("address", lambda word: word.known.addresses()),
    "client": ("client", lambda word: word.known.clients()),
    "destination": ("destination", lambda word: word.known.destinations()),
    "name": ("variable", Word.names),
    "on": ("session", lambda word: word.known.sessions()),
    "passcode_env": ("variable", lambda word: word.known.environment()),
    "session": ("session", lambda word: word.known.sessions()),
    "stream": ("stream", lambda word: word.known.streams()),
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


# -- what there is to be named ---------------------------------------------------------------


class Known:
    """What can be named in a notebook. Nothing here connects, starts a broker, or waits long."""

    def __init__(self, notebook: Notebook) -> None:
        self.notebook = notebook

    def variables(self, kind: type) -> list[str]:
        """The variables of that kind, without IPython's own."""
        # By type(): isinstance() may run code of whatever a variable holds.
        named = [name for name, value in self._user_ns() if issubclass(type(value), kind)]
        return [name for name in named if not name.startswith("_")]

    def _user_ns(self) -> list[tuple[str, Any]]:
        """All variables, the newest first."""
        return list(self.notebook.shell.user_ns.items())[::-1]

    def values(self) -> list[str]:
        """The variables that can be filled into a text: no functions, modules, or IPython's own."""
        hidden = self.notebook.shell.user_ns_hidden
        return [
            name
            for name, value in self._user_ns()
            if not name.startswith("_")
            and name not in hidden
            and not (callable(value) or issubclass(type(value), ModuleType))
        ]

    def free_name(self, destination: str) -> str:
        """What a destination could be called: its last part, if nothing is called so."""
        name = re.sub(r"\W", "_", destination.rpartition("/")[2])
        taken = name in self.notebook.shell.user_ns or hasattr(builtins, name)
        return name if name.isidentifier() and not (taken or keyword.iskeyword(name)) else ""

    def sessions(self) -> list[str]:
        """The names of sessions, the newest first."""
        named = [session.name for session in reversed(self.notebook.sessions.values())]
        return [*named, *self.variables(StompSession)]

    def streams(self) -> list[str]:
        """The names of streams, the newest first."""
        return [*reversed(self.notebook.streams()), *self.variables(FrameStream)]

    def named(self, names: Sequence[str]) -> list[FrameStream]:
        """The stream of that name; the newest without one; none if there is none."""
        with contextlib.suppress(UsageError):
            return [self.notebook.stream(*names)]
        return []

    def destinations(self) -> list[str]:
        """The destinations that were seen, the newest first, and what they usually begin with."""
        subscribed = [stream.destination for stream in reversed(self.notebook.streams().values())]
        of_broker = _within(PATIENCE, lambda: _of_broker("destinations", "destination"))
        return [*reversed(self.notebook.destinations), *subscribed, *of_broker, *_PREFIXES]

    def clients(self) -> list[str]:
        """The clients of the embedded broker."""
        return _within(PATIENCE, lambda: _of_broker("clients", "client"))

    def addresses(self) -> list[str]:
        """The addresses of sessions, that in ``$STOMPY_URL`` without its passcode, the usual."""
        known = [session.address for session in reversed(self.notebook.sessions.values())]
        with contextlib.suppress(STOMPAddressError):
            known += map(_url, parse_addresses(os.environ.get("STOMPY_URL")))
        return [*known, f"localhost:{PORTS['stomp']}", *_SCHEMES]

    def environment(self) -> list[str]:
        """The names of environment variables, first those that sound like a passcode."""
        return sorted(os.environ, key=lambda name: (not _SECRET.search(name), name))

    def unacknowledged(self, names: Sequence[str]) -> list[str]:
        """The numbers of the frames of a stream that wait for an answer."""
        streams = self.named(names)
        numbers = _within(PATIENCE, lambda: (n for s in streams for n in s.unacknowledged))
        return list(map(str, numbers[:MAX_FRAMES]))

    def headers(self, names: Sequence[str] | None = None) -> list[str]:
        """The headers that messages had: those of one stream, or of all; beyond the usual ones."""
        every = list(reversed(self.notebook.streams().values()))[:MAX_STREAMS]
        streams = every if names is None else self.named(names)
        rows = _within(PATIENCE, lambda: (r for s in streams for r in _newest(s, MAX_ROWS)))
        columns = dict.fromkeys(column for row in rows for column in row)
        fixed = (*COLUMNS, MORE_HEADERS)
        return [name.removeprefix("header_") for name in columns if name not in fixed]

    def header_values(self, header: str) -> Sequence[str]:
        """What stands in a header as a rule."""
        return self.destinations() if header == "reply-to" else HEADER_VALUES.get(header, ())

    def properties(self, destination: str) -> list[str]:
        """The names in the newest JSON objects that came from there, as JSON has them."""
        streams = [s for s in self.notebook.streams().values() if s.destination == destination]
        rows = _within(PATIENCE, lambda: (r for s in streams for r in _newest(s, MAX_BODIES)))
        names = dict.fromkeys(name for row in rows for name in _names_in(row["body"]))
        return [json.dumps(name, ensure_ascii=False)[1:-1] for name in names]


def _newest(stream: FrameStream, n: int) -> list[dict[str, Any]]:
    return stream.table.last(n)[1]


def _names_in(body: object) -> list[str]:
    """The names of a JSON object, if a body is one and no long one."""
    if not isinstance(body, str | bytes) or len(body) > MAX_BODY:
        return []
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(body)
        return list(value) if isinstance(value, dict) else []
    return []


def _of_broker(look: str, column: str) -> list[str]:
    """What the embedded broker names, if it runs."""
    broker = embedded_broker(start=False)
    return [row[column] for row in getattr(broker, look)()] if broker.running else []


def _url(address: Address) -> str:
    """An address as a URL without its passcode; nor the query of a WebSocket, which may be one."""
    scheme, _, place = str(address).rpartition("://")
    login = f"{percent_encoded(address.login, safe='')}@" if address.login else ""
    vhost = f"/{percent_encoded(address.vhost, safe='')}" if address.vhost else ""
    return f"{scheme or 'stomp'}://{login}{place}{vhost}" if scheme or login or vhost else place


def _within(seconds: float, find: Callable[[], Iterable[T]]) -> list[T]:
    """What is found in so many seconds, or before it fails.

    The broker answers when it has time, and a lock may be held by whoever starts or stops it.
    """
    found: list[T] = []
    late = threading.Event()

    def look() -> None:
        with contextlib.suppress(Exception):
            for one in find():
                if late.is_set():
                    return
                found.append(one)

    thread = threading.Thread(target=look, name="stompy completion", daemon=True)
    thread.start()
    thread.join(seconds)
    late.set()
    return list(found)
