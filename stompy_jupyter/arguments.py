"""How a magic is declared, how its arguments are written, and how it fails."""

from __future__ import annotations

import functools
import re
import unicodedata
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.core.error import UsageError
from IPython.core.magic import cell_magic, line_cell_magic, line_magic, no_var_expand
from IPython.core.magic_arguments import MagicArgumentParser, argument, magic_arguments

from stompy import STOMPConnectError, STOMPError
from stompy_jupyter import amounts
from stompy_jupyter.decode import DECODERS
from stompy_jupyter.display import visible_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Literal


F = TypeVar("F", bound="Callable[..., Any]")
T = TypeVar("T")


class StompMagicError(STOMPError):
    """A magic failed. A notebook shows its lines and no stack: there is nothing of the user's
    in it."""

    def _render_traceback_(self) -> list[str]:
        cause = type(self.__cause__ or self).__name__
        lines = [*f"{cause}: {self}".splitlines(), *getattr(self, "__notes__", ())]
        return [visible_lines(line) for line in lines]


def magic(*arguments: Any, kind: Literal["line", "cell", "line_cell"] = "line") -> Callable[[F], F]:
    """A magic with arguments, help by ``?`` and short errors.

    IPython's own expansion of ``{x}`` and ``$x`` is off: bodies are JSON, destinations hold ``$``.
    """
    register = {"line": line_magic, "cell": cell_magic, "line_cell": line_cell_magic}[kind]

    def decorate(function: Any) -> Any:
        for described in reversed(arguments):
            function = described(function)
        return register(no_var_expand(_short_errors(magic_arguments()(function))))

    return decorate


def parser_of(magic: Callable[..., Any]) -> MagicArgumentParser:
    """What reads the arguments of a magic, and knows its help."""
    parser: MagicArgumentParser = magic.parser  # type: ignore[attr-defined]
    return parser


def _short_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a magic fail with the two or three lines that help, unless all is to be seen."""

    @functools.wraps(function)
    def wrapped(self: Any, *args: Any) -> Any:
        __tracebackhide__ = True
        try:
            return function(self, *args)
        except KeyboardInterrupt as error:
            if self.notebook.short_errors:
                notes = getattr(error, "__notes__", ())
                ended = "KeyboardInterrupt: what is in the background goes on"
                _show(error, lambda: [ended, *notes])
            raise
        except (STOMPError, OSError) as error:
            if is_of_the_cell(error):
                raise
            if not self.notebook.short_errors:
                _show(error, functools.partial(_in_full, self.shell, error))
            elif not isinstance(error, STOMPConnectError):
                frame = error.Frame if isinstance(error, STOMPError) else None
                raise StompMagicError(str(error), frame) from error
            raise

    return wrapped


def of_the_cell(error: BaseException) -> None:
    """Note that an error is one of the user's lines: it is shown as it is."""
    error._of_the_cell = True  # type: ignore[attr-defined]


def is_of_the_cell(error: BaseException) -> bool:
    """Whether an error is one of the user's lines."""
    return getattr(error, "_of_the_cell", False)


def _show(error: BaseException, render: Callable[[], list[str]]) -> None:
    """Have IPython show these lines for an error, whatever its class says."""
    error._render_traceback_ = render  # type: ignore[attr-defined]


def _in_full(shell: Any, error: Exception) -> Any:
    return shell.InteractiveTB.structured_traceback(type(error), error, error.__traceback__)


# -- kinds of arguments ----------------------------------------------------------------------


def text(given: str) -> str:
    """An argument without its quotes, which IPython leaves around it."""
    quoted = len(given) > 1 and given[0] == given[-1] and given[0] in "'\""
    return given[1:-1] if quoted else given


def name(given: str) -> str:
    """The name of a variable, as Python reads it."""
    return unicodedata.normalize("NFKC", text(given))


def number(given: str) -> int:
    """A whole number from 1 on."""
    try:
        value = int(text(given))
    except ValueError:
        value = 0
    if value < 1:
        raise ArgumentTypeError(f"{given!r} is no whole number from 1 on")
    return value


def seconds(given: str) -> float:
    """A span of time, in seconds, e.g. of ``30s``; see `amounts.seconds`."""
    return _read(amounts.seconds, given)


def octets(given: str) -> int:
    """A size, in bytes, e.g. of ``64MB``; see `amounts.octets`."""
    return _read(amounts.octets, given)


def rotation(given: str) -> amounts.Rotation:
    """When a file is full, e.g. ``10min,100MB``; see `amounts.Rotation`."""
    return _read(amounts.Rotation.of, given)


def _read(reader: Callable[[str], T], given: str) -> T:
    """What a text says; what is wrong with it, in the words of whoever reads it."""
    try:
        return reader(text(given))
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error


def heart_beat(given: str) -> tuple[int, int]:
    """Milliseconds: how often we can send, how often we want to hear.

    Example:
        >>> heart_beat("10000,0")
        (10000, 0)
    """
    match = re.fullmatch(r"(\d+)\s*,\s*(\d+)", text(given))
    if match is None:
        raise ArgumentTypeError(f"{given!r} is no pair of milliseconds such as 10000,10000")
    return int(match[1]), int(match[2])


def headers_of(given: Iterable[str]) -> dict[str, str]:
    """The headers that were given as ``name: value``."""
    headers = {}
    for item in given:
        name, colon, value = text(item).partition(":")
        if not colon or not name.strip():
            raise UsageError(f"--header {item!r}: write --header 'name: value'")
        headers[name.strip()] = value.strip()
    return headers


# -- arguments of several magics -------------------------------------------------------------

NAME = argument("--as", dest="name", type=name, metavar="NAME", help="bind it to this variable")
FORCE = argument("--force", action="store_true", help="bind NAME though it is something else")
ON = argument("--on", type=text, metavar="SESSION", help="the session (default: the newest)")
HEADER = argument(
    "--header",
    "-H",
    action="append",
    default=[],
    metavar="'NAME: VALUE'",
    help="one more header; may be given again",
)
STREAM = argument(
    "stream",
    nargs="?",
    type=text,
    help="the stream's name, or its destination if it has none (default: the newest)",
)
FRAMES = argument("what", nargs="*", type=text, metavar="[STREAM] [N …]", help="frames by number")
ALL = argument("--all", action="store_true", help="all that wait")
DECODE = argument(
    "--decode",
    type=text,
    metavar="HOW",
    help=f"how bodies are read: {', '.join(DECODERS)}, or the name of a function that gets what "
    "auto gives",
)
DESTINATION = argument("destination", type=text, help="e.g. /topic/prices or /queue/orders")


# -- lines -----------------------------------------------------------------------------------

_TOKEN = re.compile(r"""\s*((?:"[^"]*"|'[^']*'|\S)+)""")
"""A word; blanks in quotes do not end it, wherever in it they are: ``--header='a: b'``."""


def parse(magic: Callable[..., Any], line: str) -> Any:
    """The arguments of a magic.

    Raises:
        UsageError: they are not such as it takes.
    """
    return parser_of(magic).parse_args(_TOKEN.findall(line))


def split_body(parser: MagicArgumentParser, line: str) -> tuple[str, str]:
    """Options and destination, and apart from them the body, which is no matter of argparse."""
    end = 0
    takes_value = False
    while match := _TOKEN.match(line, end):
        end = match.end()
        token = match.group(1)
        if takes_value or token.startswith("-"):
            takes_value = not takes_value and _needs_value(parser, token)
        else:
            break
    return line[:end], line[end:].lstrip()


def _needs_value(parser: MagicArgumentParser, token: str) -> bool:
    """Whether the next token belongs to this option, which may be abbreviated."""
    named = [
        action
        for action in parser._actions
        if any(
            o == token or (len(token) > 2 and o.startswith(token)) for o in action.option_strings
        )
    ]
    return len(named) == 1 and named[0].nargs is None
