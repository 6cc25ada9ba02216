"""The ``%stomp_…`` magics: each a thin shell over a Python function of the same meaning."""

from __future__ import annotations

import dataclasses
import functools
import keyword
import os
import re
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import pandas as pd
from IPython.core.error import UsageError
from IPython.core.magic import (
    Magics,
    line_cell_magic,
    line_magic,
    magics_class,
    no_var_expand,
)
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from stompy import AckMode, STOMPConnectError, STOMPError
from stompy.broker import Broker, Faults
from stompy_jupyter.embedded import (
    embedded_broker,
    start_embedded_broker,
    stop_embedded_broker,
)
from stompy_jupyter.session import StompSession
from stompy_jupyter.stream import FrameStream
from stompy_jupyter.table import MAX_ROWS
from stompy_jupyter.widget import StompWidget

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell


class StompMagicError(STOMPError):
    """A magic failed. A notebook shows its lines and no stack: there is nothing of the user's
    in it."""

    def _render_traceback_(self) -> list[str]:
        return f"{type(self.__cause__ or self).__name__}: {self}".splitlines()


def _short_errors(magic: Callable[..., Any]) -> Callable[..., Any]:
    """Let a magic fail with the two or three lines that help."""

    @functools.wraps(magic)
    def wrapped(*args: Any) -> Any:
        try:
            return magic(*args)
        except STOMPConnectError:
            raise
        except (STOMPError, OSError) as error:
            frame = error.Frame if isinstance(error, STOMPError) else None
            raise StompMagicError(str(error), frame) from error

    return wrapped


F = TypeVar("F", bound="Callable[..., Any]")


def _magic(*arguments: Any, cell: bool = False) -> Callable[[F], F]:
    """A line magic (or a cell magic too) with arguments, help by ``?`` and short errors.

    IPython's own expansion of ``{x}`` and ``$x`` is off: bodies are JSON, destinations hold ``$``.
    """

    def decorate(function: Any) -> Any:
        for described in reversed(arguments):
            function = described(function)
        function = no_var_expand(_short_errors(magic_arguments()(function)))
        return line_cell_magic(function) if cell else line_magic(function)

    return decorate


_FORCE = argument("--force", action="store_true", help="bind NAME though it is something else")
_ON = argument("--on", metavar="SESSION", help="the session to use (default: the newest)")
_HEADER = argument(
    "--header",
    "-H",
    action="append",
    default=[],
    metavar="'NAME: VALUE'",
    help="one more header; may be given again",
)


@magics_class
class StompMagics(Magics):
    """The magics and the sessions that they have opened."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.sessions: dict[str, StompSession] = {}
        self._widgets: WeakKeyDictionary[FrameStream, StompWidget] = WeakKeyDictionary()

    def close(self) -> None:
        """Disconnect all sessions and end their widgets."""
        for session in self.sessions.values():
            session.disconnect()
        self.sessions.clear()
        for widget in self._widgets.values():
            widget.close()
        self._widgets.clear()

    def show(self, stream: FrameStream) -> tuple[dict[str, Any], dict[str, Any]]:
        """A stream as its live view, with a table beside it for those who cannot show a widget."""
        if stream not in self._widgets:
            self._widgets[stream] = StompWidget(stream.session, stream)
        data, metadata = self._widgets[stream]._repr_mimebundle_() or ({}, {})
        return {**data, "text/plain": repr(stream), "text/html": stream._repr_html_()}, metadata

    # -- connecting --------------------------------------------------------------------------

    @_magic(
        argument(
            "address",
            nargs="?",
            help="host:port or stomp://login@host:port/vhost (default: $STOMPY_URL, else the "
            "embedded broker)",
        ),
        argument("--as", dest="name", metavar="NAME", help="bind the session to this variable"),
        argument("--login", help="who connects"),
        argument(
            "--passcode-env", metavar="VAR", help="the environment variable with the passcode"
        ),
        argument("--vhost", help="the virtual host (default: /)"),
        argument("--timeout", type=float, metavar="S", help="seconds to wait for the broker"),
        _FORCE,
    )
    def stomp_connect(self, line: str) -> StompSession:
        """Connect to a STOMP broker; what is received streams in the background.

        Without an address it starts the broker that is embedded in the kernel. Running the cell
        again replaces the session. The same in Python: `StompSession(address).connect()`.

        Example::

            %stomp_connect localhost:61613 --login guest --passcode-env STOMP_PASSCODE
        """
        args = parse_argstring(self.stomp_connect, line)
        self._check_name(args.name, StompSession, args.force)
        wanted = {"login": args.login, "vhost": args.vhost, "timeout": args.timeout}
        if args.passcode_env is not None:
            if args.passcode_env not in os.environ:
                raise UsageError(f"the environment variable {args.passcode_env} is not set")
            wanted["passcode"] = os.environ[args.passcode_env]
        name = args.name or ""
        session = StompSession(args.address, name=name, **wanted)
        if name in self.sessions:  # first, for a broker may allow one connection to a client-id
            self.sessions.pop(name).disconnect()
        session.connect()
        self.sessions[name] = session
        self._bind(args.name, session)
        return session

    @_magic(
        argument("session", nargs="?", help="the session (default: the newest)"),
    )
    def stomp_disconnect(self, line: str) -> None:
        """Say goodbye and close. The DataFrames of its streams stay.

        The same in Python: `session.disconnect()`.

        Example::

            %stomp_disconnect
        """
        args = parse_argstring(self.stomp_disconnect, line)
        session = self._session(args.session)
        session.disconnect()
        self.sessions = {k: known for k, known in self.sessions.items() if known is not session}

    # -- receiving ---------------------------------------------------------------------------

    @_magic(
        argument("destination", help="e.g. /topic/prices or /queue/orders"),
        argument("--as", dest="name", metavar="NAME", help="bind the stream to this variable"),
        argument(
            "--ack",
            default=AckMode.Auto.value,
            choices=[mode.value for mode in AckMode],
            help="in the client modes a message is acknowledged when it is in the table",
        ),
        argument("--max-rows", type=int, default=MAX_ROWS, metavar="N", help="keep the newest N"),
        _FORCE,
        _HEADER,
        _ON,
    )
    def stomp_subscribe(self, line: str) -> FrameStream:
        """Stream a destination into a DataFrame, in the background: `NAME.df`.

        Running the cell again replaces the stream. The same in Python:
        `session.subscribe(destination, name=NAME)`.

        Example::

            %stomp_subscribe /topic/prices --as prices
        """
        args = parse_argstring(self.stomp_subscribe, line)
        self._check_name(args.name, FrameStream, args.force)
        if args.max_rows < 1:
            raise UsageError("--max-rows must be 1 at the least")
        stream = self._session(args.on).subscribe(
            _unquoted(args.destination),
            name=args.name,
            ack_mode=args.ack,
            max_rows=args.max_rows,
            headers=_headers(args.header),
        )
        self._bind(args.name, stream)
        return stream

    @_magic(
        argument("name", help="the stream's name, or its destination if it has none"),
        argument(
            "--n", type=int, default=1, metavar="N", help="how many frames, in all (default: 1)"
        ),
        argument("--timeout", type=float, default=30.0, metavar="S", help="seconds (default: 30)"),
        _ON,
    )
    def stomp_wait(self, line: str) -> int:
        """Wait until a stream has received N frames in all; returns how many it has.

        The same in Python: `stream.wait(n, timeout)`.

        Example::

            %stomp_wait prices --n 100 --timeout 10
        """
        args = parse_argstring(self.stomp_wait, line)
        return self._stream(args.name, args.on).wait(args.n, args.timeout)

    # -- sending -----------------------------------------------------------------------------

    @_magic(
        argument("destination", help="e.g. /topic/prices or /queue/orders"),
        _HEADER,
        _ON,
        cell=True,
    )
    def stomp_send(self, line: str, cell: str | None = None) -> None:
        """Send a message. Its body is the cell, or the rest of the line, as it stands.

        The same in Python: `session.send(destination, body)`.

        Example::

            %%stomp_send /topic/prices --header 'currency: EUR'
            {"symbol": "ABC", "price": 42.0}

            %stomp_send /topic/prices {"symbol": "ABC", "price": 42.0}
        """
        if cell is None:
            line, body = _split_body(line)
            if not body:
                raise UsageError("no body: write it behind the destination, or use %%stomp_send")
        else:
            body = cell.removesuffix("\n")  # the one that IPython puts behind every cell
        args = parse_argstring(self.stomp_send, line)
        destination = _unquoted(args.destination)
        self._session(args.on).send(destination, body, headers=_headers(args.header))

    # -- looking -----------------------------------------------------------------------------

    @_magic()
    def stomp_status(self, line: str) -> pd.DataFrame:
        """The sessions and their streams, as a DataFrame with one row a stream.

        The same in Python: `session.state`, `session.streams`.

        Example::

            %stomp_status
        """
        parse_argstring(self.stomp_status, line)
        rows = []
        for session in self.sessions.values():
            known = {"session": session.name, "address": session.address, "state": session.state}
            streams = [_stream_status(stream) for stream in session.streams.values()]
            rows += [{**known, **status} for status in streams or [{}]]
        columns = ["session", "address", "state", *_STREAM_STATUS]
        status = pd.DataFrame(rows, columns=columns)
        return status.astype({"received": "Int64", "dropped": "Int64", "live": "boolean"})

    # -- the embedded broker -----------------------------------------------------------------

    @_magic(
        argument(
            "action",
            choices=["start", "stop", "status", "destinations", "clients", "events", "faults"],
            help="what to do",
        ),
        argument("--port", type=int, metavar="PORT", help="start: for TCP (default: a free one)"),
        argument(
            "--websocket", type=int, metavar="PORT", help="start: for browsers; 0: a free one"
        ),
        argument("--client", metavar="C", help="faults: with this one (default: all)"),
        argument("--slow", type=float, default=0.0, metavar="S", help="faults: S seconds late"),
        argument("--split", type=int, default=0, metavar="N", help="faults: N octets at a time"),
        argument("--no-receipts", action="store_true", help="faults: no RECEIPT is sent"),
        argument("--no-heart-beats", action="store_true", help="faults: no heart-beats"),
        argument("--duplicate", action="store_true", help="faults: each MESSAGE comes twice"),
        argument(
            "--reorder", type=int, default=0, metavar="N", help="faults: N MESSAGEs in reverse"
        ),
        argument(
            "--drop-after", type=int, default=0, metavar="N", help="faults: cut after N frames"
        ),
        argument("--drop", action="store_true", help="faults: cut the connection now"),
        argument("--off", action="store_true", help="faults: none any more"),
    )
    def stomp_broker(self, line: str) -> Any:
        """Start, stop, look into, or disturb the broker that is embedded in the kernel.

        `status`, `destinations`, `clients` and `events` give a DataFrame. `faults` lets go wrong
        what it names, from now on, and nothing else; without options it says what is on. The same
        in Python: the methods of `stompy_jupyter.embedded.embedded_broker()`.

        Example::

            %stomp_broker start --websocket 15674
            %stomp_broker destinations
            %stomp_broker faults --slow 0.5 --duplicate
            %stomp_broker faults --off
        """
        args = parse_argstring(self.stomp_broker, line)
        _check_options(args)
        if args.action == "start":
            wanted = {"port": args.port, "websocket_port": args.websocket}
            return start_embedded_broker(**{k: v for k, v in wanted.items() if v is not None})
        if args.action == "stop":
            return stop_embedded_broker()
        broker = embedded_broker(start=False)
        if not broker.running and args.action != "events":
            raise UsageError("the broker does not run: %stomp_broker start")
        if args.action == "faults":
            return _disturb(broker, args)
        if args.action == "status":
            return pd.DataFrame([broker.stats()])
        look = {
            "destinations": broker.destinations,
            "clients": broker.clients,
            "events": broker.events,
        }[args.action]
        return _with_times(pd.DataFrame(look()))

    # -- names -------------------------------------------------------------------------------

    def _session(self, name: str | None) -> StompSession:
        if name is None:
            if not self.sessions:
                raise UsageError("no session yet: connect with %stomp_connect")
            return list(self.sessions.values())[-1]
        named = {session.name: session for session in self.sessions.values()}
        found = named.get(name) or self._variable(name)
        if not isinstance(found, StompSession):
            raise UsageError(f"{name!r} is no session: %stomp_status lists them")
        return found

    def _stream(self, name: str, session: str | None) -> FrameStream:
        sessions = [self._session(session)] if session else self.sessions.values()
        found = self._variable(name)
        for candidate in sessions:
            found = candidate.streams.get(name, found)
        if not isinstance(found, FrameStream):
            raise UsageError(f"{name!r} is no stream: %stomp_status lists them")
        return found

    def _check_name(self, name: str | None, kind: type, force: bool) -> None:
        """Refuse a NAME that is none, or that would overwrite something of another kind."""
        if name is None:
            return
        if not name.isidentifier() or keyword.iskeyword(name):
            raise UsageError(f"{name!r} cannot be the name of a variable")
        if self._variable(name) is not None and not force:
            taken = type(self._variable(name))
            if not issubclass(taken, kind):
                raise UsageError(
                    f"{name} is a variable already, a {taken.__name__}: choose another name, or "
                    "overwrite it by --force"
                )

    def _variable(self, name: str) -> object:
        assert self.shell is not None
        return self.shell.user_ns.get(name)

    def _bind(self, name: str | None, value: object) -> None:
        if name is not None:
            assert self.shell is not None
            self.shell.push({name: value})


_STREAM_STATUS = ("stream", "destination", "ack", "received", "dropped", "live")


def _stream_status(stream: FrameStream) -> dict[str, object]:
    values = (
        stream.name,
        stream.destination,
        stream.ack_mode.value,
        stream.received,
        stream.dropped,
        stream.live,
    )
    return dict(zip(_STREAM_STATUS, values, strict=True))


def _with_times(table: pd.DataFrame) -> pd.DataFrame:
    """With seconds since the epoch as times."""
    for name in {"time", "connected_at"}.intersection(table.columns):
        table[name] = pd.to_datetime(table[name], unit="s", utc=True).dt.as_unit("us")
    return table


_BROKER_OPTIONS = {
    "start": {"port", "websocket"},
    "faults": {"client", "drop", "off", *(field.name for field in dataclasses.fields(Faults))},
}


def _check_options(args: Any) -> None:
    """Refuse options of %stomp_broker that its action does not have."""
    known = _BROKER_OPTIONS.get(args.action, set())
    given = {name for name, value in vars(args).items() if value} - {"action"}
    for name in sorted(given - known):
        raise UsageError(f"%stomp_broker {args.action} has no --{name.replace('_', '-')}")


def _disturb(broker: Broker, args: Any) -> Faults:
    """Set the faults that are named, cut connections, or say what is on."""
    names = [field.name for field in dataclasses.fields(Faults)]
    try:
        faults = Faults(**{name: getattr(args, name) for name in names})
    except ValueError as error:
        raise UsageError(str(error)) from error
    if args.off or faults != Faults():
        broker.set_faults(faults, args.client)
    if args.drop:
        broker.drop(args.client)
    return broker.faults


def _headers(given: list[str]) -> dict[str, str]:
    headers = {}
    for text in given:
        name, colon, value = _unquoted(text).partition(":")
        if not colon or not name.strip():
            raise UsageError(f"--header {text!r}: write --header 'name: value'")
        headers[name.strip()] = value.strip()
    return headers


def _unquoted(text: str) -> str:
    """An argument without its quotes, which IPython leaves around it."""
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text


_TOKEN = re.compile(r"""\s*((?:"[^"]*"|'[^']*'|\S)+)""")


def _needs_value(option: str) -> bool:
    """Whether the next token belongs to an option of %stomp_send; it may be abbreviated."""
    return option == "-H" or (len(option) > 2 and "--header".startswith(option)) or option == "--on"


def _split_body(line: str) -> tuple[str, str]:
    """Options and destination, and apart from them the body, which is no matter of argparse."""
    end = 0
    takes_value = False
    while match := _TOKEN.match(line, end):
        end = match.end()
        token = match.group(1)
        if takes_value or token.startswith("-"):
            takes_value = not takes_value and _needs_value(token)
        else:
            break
    return line[:end], line[end:].lstrip()


def load(shell: InteractiveShell) -> None:
    """Register the magics, and the widget as the way in which a stream is shown."""
    magics = StompMagics(shell)
    shell.register_magics(magics)
    _mimebundles(shell).for_type(FrameStream, magics.show)


def unload(shell: InteractiveShell) -> None:
    """End what the magics have begun, and take everything back that `load` has brought."""
    _mimebundles(shell).pop(FrameStream, None)
    magics = shell.magics_manager.registry.pop(StompMagics.__name__, None)
    for table in shell.magics_manager.magics.values():
        for name in [name for name in table if name.startswith("stomp_")]:
            del table[name]
    if magics is not None:
        shell.configurables.remove(magics)
        magics.close()
    stop_embedded_broker()


def _mimebundles(shell: InteractiveShell) -> Any:
    assert shell.display_formatter is not None
    return shell.display_formatter.mimebundle_formatter
