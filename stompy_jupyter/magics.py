"""The ``%stomp_…`` magics: each a thin shell over a Python function of the same meaning."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import pandas as pd
from IPython.core.error import UsageError
from IPython.core.magic import Magics, magics_class
from IPython.core.magic_arguments import argument
from traitlets import Bool, Enum, Float, Int, TraitError, Unicode, observe, validate

from stompy import AckMode, STOMPAddressError, STOMPFrame
from stompy.address import parse_addresses
from stompy_jupyter import cells
from stompy_jupyter.arguments import (
    ALL,
    DECODE,
    DESTINATION,
    FORCE,
    FRAMES,
    HEADER,
    NAME,
    ON,
    STREAM,
    headers_of,
    heart_beat,
    magic,
    number,
    octets,
    of_the_cell,
    parse,
    parser_of,
    rotation,
    seconds,
    split_body,
    text,
)
from stompy_jupyter.broker_magics import StompBrokerMagics
from stompy_jupyter.completion import Completion
from stompy_jupyter.decode import DECODERS
from stompy_jupyter.display import Listing, frame_html, visible
from stompy_jupyter.embedded import stop_embedded_broker
from stompy_jupyter.exercise_magics import StompExerciseMagics
from stompy_jupyter.notebook import Notebook
from stompy_jupyter.raw_magics import StompRawMagics
from stompy_jupyter.replay_magics import StompReplayMagics
from stompy_jupyter.session import StompSession
from stompy_jupyter.stream import FrameStream
from stompy_jupyter.table import MAX_BYTES, MAX_ROWS
from stompy_jupyter.tally_magics import StompTallyMagics
from stompy_jupyter.trace_magics import StompTraceMagics
from stompy_jupyter.widget import StompWidget

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from stompy import Receipt


SESSION = argument("session", nargs="?", type=text, help="the session (default: the newest)")

CONFIRM_LIMIT = 1.0
"""Seconds that %stomp_subscribe waits for the broker's word: some never give it."""


@magics_class
class StompMagics(Magics):
    """The magics; what they do where a line says nothing else is for `%config StompMagics`."""

    address = Unicode(
        help="the broker that %stomp_connect connects to without an address, after $STOMPY_URL; "
        "when it is empty, the embedded one"
    ).tag(config=True)
    passcode_env = Unicode(
        help="the environment variable with the passcode of whoever logs in; when it is empty, "
        "you are asked"
    ).tag(config=True)
    ack = Enum([mode.value for mode in AckMode], "auto", help="how streams acknowledge").tag(
        config=True
    )
    max_rows = Int(MAX_ROWS, min=1, help="rows that a stream keeps").tag(config=True)
    max_bytes = Int(MAX_BYTES, min=1, help="bytes that a stream keeps, about").tag(config=True)
    decode = Enum(list(DECODERS), "text", help="what the bodies of streams are").tag(config=True)
    timeout = Float(30.0, min=0, help="seconds that %stomp_wait waits").tag(config=True)
    reconnect = Bool(True, help="whether a connection that was lost comes back").tag(config=True)
    widget = Bool(True, help="whether a stream is shown by a live view").tag(config=True)
    short_errors = Bool(True, help="whether errors are shown without their stack").tag(config=True)

    def __init__(self, shell: InteractiveShell) -> None:
        self.notebook = Notebook(shell)
        self.completion = Completion(self.notebook)
        self.undo: list[Callable[[], object]] = []
        super().__init__(shell)

    def close(self, shell: InteractiveShell) -> None:
        """End everything, and take back what goes beyond the magics."""
        for undo in self.undo:
            undo()
        self.completion.unregister(shell)
        self.notebook.close()

    @validate("address")
    def _address_without_passcode(self, proposal: Any) -> str:
        address: str = proposal.value
        try:
            secret = address and any(known.passcode for known in parse_addresses(address))
        except STOMPAddressError as error:
            raise TraitError(str(error)) from error
        if secret:
            raise TraitError("no passcode in StompMagics.address: set StompMagics.passcode_env")
        return address

    @observe("short_errors")
    def _short_errors_changed(self, change: Any) -> None:
        self.notebook.short_errors = change.new

    # -- connecting --------------------------------------------------------------------------

    @magic(
        argument(
            "address",
            nargs="?",
            type=text,
            help="host:port, stomp://login@host:port/vhost, stomp+ssl://…, ws://…, wss://… or "
            "stomp+unix:///path (default: $STOMPY_URL, else %%config StompMagics.address, else "
            "the embedded broker)",
        ),
        NAME,
        argument("--login", type=text, help="who connects"),
        argument(
            "--passcode-env",
            type=text,
            metavar="VAR",
            help="the environment variable with the passcode (default: you are asked for it)",
        ),
        argument("--vhost", type=text, help="the virtual host (default: /)"),
        argument("--tls", action="store_true", help="TLS by the system's authorities"),
        argument("--ca-file", type=text, metavar="FILE", help="TLS: whom to trust instead"),
        argument("--cert-file", type=text, metavar="FILE", help="TLS: our certificate"),
        argument("--key-file", type=text, metavar="FILE", help="TLS: its key"),
        argument("--server-hostname", type=text, metavar="H", help="TLS: whom to expect there"),
        argument(
            "--heart-beat",
            type=heart_beat,
            metavar="A,B",
            help="milliseconds: how often we can send, how often we want to hear; 0: never",
        ),
        argument("--timeout", type=seconds, metavar="S", help="how long to wait for the broker"),
        argument("--no-reconnect", action="store_true", help="do not come back after a loss"),
        HEADER,
        FORCE,
    )
    def stomp_connect(self, line: str) -> StompSession:
        """Connect to a STOMP broker; what is received streams in the background.

        Without an address it starts the broker that is embedded in the kernel. Running the cell
        again replaces the session. The same in Python: `StompSession(address).connect()`.

        Example::

            %stomp_connect localhost:61613 --login guest --passcode-env STOMP_PASSCODE
        """
        args = parse(self.stomp_connect, line)
        self.notebook.check_name(args.name, StompSession, args.force)
        address = args.address or os.environ.get("STOMPY_URL") or self.address or None
        session = StompSession(
            address,
            name=args.name or "",
            passcode=self._passcode(args, address),
            reconnect=self.reconnect and not args.no_reconnect,
            **_given(args, "login", "vhost", "timeout", "heart_beat", "server_hostname"),
            **_given(args, "ca_file", "cert_file", "key_file", "tls"),
            headers=headers_of(args.header),
        )
        name = session.name  # its address, if it has no other
        if (before := self.notebook.sessions.get(name)) is not None:
            before.disconnect()  # first, for a broker may allow one connection to a client-id
            self.notebook.forget(before)
        session.connect()
        self.notebook.sessions[name] = session
        self.notebook.bind(args.name, session)
        return session

    def _passcode(self, args: Any, address: str | None) -> str | None:
        """The passcode that was named, or that is asked for; None where nobody logs in by one."""
        if args.passcode_env is not None:
            return _from_environment(args.passcode_env)
        known = parse_addresses(address)[0] if address else None
        if known is not None and known.passcode is not None:
            if args.address:
                warnings.warn(
                    "the passcode in this address is saved with the notebook: --passcode-env "
                    "VARIABLE keeps it out",
                    stacklevel=2,
                )
            return None
        login = args.login or (known and known.login)
        if not login:
            return None
        if self.passcode_env:
            return _from_environment(self.passcode_env)
        return self.notebook.ask_passcode(login)

    @magic(SESSION)
    def stomp_disconnect(self, line: str) -> None:
        """Say goodbye and close. The DataFrames of its streams stay.

        Without a name it closes the connection of %%stomp_raw as well, or that alone where there is
        no session. The same in Python: `session.disconnect()`.

        Example::

            %stomp_disconnect
        """
        args = parse(self.stomp_disconnect, line)
        by_hand = self.notebook.raw if args.session is None else None
        if by_hand is not None:
            self.notebook.set_raw(None)
            if not self.notebook.sessions:
                return
        session = self.notebook.session(args.session)
        session.disconnect()
        self.notebook.forget(session)
        self.notebook.displays.finish()

    # -- receiving ---------------------------------------------------------------------------

    @magic(
        DESTINATION,
        NAME,
        argument(
            "--ack",
            type=text,
            choices=[mode.value for mode in AckMode],
            help="in the client modes a message is acknowledged when it is in the table",
        ),
        argument(
            "--no-send-acks", action="store_true", help="leave that to %%stomp_ack, %%stomp_nack"
        ),
        argument("--max-rows", type=number, metavar="N", help="keep the newest N"),
        argument("--max-bytes", type=octets, metavar="B", help="keep about this much, e.g. 64MB"),
        DECODE,
        argument("--keep", type=text, metavar="DIR", help="keep all in a Parquet dataset there"),
        argument(
            "--rotate",
            type=rotation,
            metavar="R",
            help="when a file of it is full, e.g. 10min, 100MB, or (default) 10min,100MB",
        ),
        argument("--prefetch", type=number, metavar="N", help="N unacknowledged at a time"),
        argument("--selector", type=text, metavar="CONDITION", help="e.g. \"colour = 'red'\""),
        argument("--durable", type=text, metavar="NAME", help="the broker keeps what we miss"),
        argument("--n", type=number, metavar="N", help="end when N frames have come"),
        argument("--for", dest="span", type=seconds, metavar="S", help="end then, e.g. 30s, 5min"),
        argument("--no-widget", action="store_true", help="show a plain table"),
        FORCE,
        HEADER,
        ON,
    )
    def stomp_subscribe(self, line: str) -> FrameStream:
        """Stream a destination into a DataFrame, in the background: `NAME.df`.

        With `--n` or `--for` it waits until one of the two is reached, and ends the subscription.
        With `--keep` all frames are written to disk as well, and acknowledged only then.
        Running the cell again replaces the stream. The same in Python:
        `session.subscribe(destination, name=NAME)`, and `stream.read(n, seconds)`.

        Example::

            %stomp_subscribe /topic/prices --as prices
        """
        args = parse(self.stomp_subscribe, line)
        self.notebook.check_name(args.name, FrameStream, args.force)
        session = self.notebook.session(args.on)
        session.wait_connected(self.timeout)
        stream = session.subscribe(
            args.destination,
            name=args.name,
            ack_mode=args.ack or self.ack,
            send_acks=not args.no_send_acks,
            max_rows=args.max_rows or self.max_rows,
            max_bytes=args.max_bytes or self.max_bytes,
            decode=self.notebook.decode(args.decode or self.decode),
            headers=headers_of(args.header),
            **_given(args, "keep", "rotate", "prefetch", "selector", "durable"),
        )
        bounded = args.n is not None or args.span is not None
        try:
            self.notebook.note(args.destination)
            self.notebook.bind(args.name, stream)
            if args.no_widget or not self.widget:
                self.notebook.show_plain(stream)
            stream.confirm(CONFIRM_LIMIT)
            if bounded:
                self._read(stream, args.n, args.span)
        except BaseException:  # an interrupt before it reads
            if bounded:
                stream.unsubscribe()
            raise
        return stream

    def _read(self, stream: FrameStream, n: int | None, span: float | None) -> None:
        """Receive so much and no more; too little is a failure where no time was named."""
        limit = self.timeout if span is None else span
        if stream.read(n, limit) < (n or 0) and span is None:
            raise stream.table.too_few(n or 0, limit)

    @magic(STREAM, ON)
    def stomp_unsubscribe(self, line: str) -> None:
        """End a stream; what it has received stays.

        The same in Python: `stream.unsubscribe()`.

        Example::

            %stomp_unsubscribe prices
        """
        args = parse(self.stomp_unsubscribe, line)
        self.notebook.stream(args.stream, args.on).unsubscribe()
        self.notebook.displays.finish()

    @magic(STREAM, ON)
    def stomp_pause(self, line: str) -> None:
        """End the subscription of a stream until %stomp_resume.

        A queue keeps its messages meanwhile; what a topic carries goes by. The same in Python:
        `stream.pause()`.

        Example::

            %stomp_pause prices
        """
        args = parse(self.stomp_pause, line)
        self.notebook.stream(args.stream, args.on).pause()

    @magic(STREAM, ON)
    def stomp_resume(self, line: str) -> None:
        """Subscribe again after %stomp_pause; the table goes on.

        The same in Python: `stream.resume()`.

        Example::

            %stomp_resume prices
        """
        args = parse(self.stomp_resume, line)
        self.notebook.stream(args.stream, args.on).resume()

    @magic(
        STREAM,
        argument("--n", type=number, default=1, metavar="N", help="how many in all (default: 1)"),
        argument("--timeout", type=seconds, metavar="S", help="how long (default: 30s)"),
        ON,
    )
    def stomp_wait(self, line: str) -> int:
        """Wait until a stream has received N frames in all; returns how many it has.

        The same in Python: `stream.wait(n, timeout)`, and where a cell awaits:
        `await stream.wait_async(n, timeout)`.

        Example::

            %stomp_wait prices --n 100 --timeout 10s
        """
        args = parse(self.stomp_wait, line)
        timeout = self.timeout if args.timeout is None else args.timeout
        return self.notebook.stream(args.stream, args.on).wait(args.n, timeout)

    @magic(
        STREAM,
        argument("--ack", action="store_true", help="acknowledge a frame when the cell has ended"),
        argument("--off", action="store_true", help="(%%stomp_on) call it no more"),
        ON,
        kind="line_cell",
    )
    def stomp_on(self, line: str, cell: str | None = None) -> None:
        """Run the cell for each frame of a stream that comes from now on, in the background.

        It sees `frame`, `client` and the notebook's variables. What it prints appears under it, and
        so does an exception; all are counted in `stream.stats`. With `--ack` a frame is
        acknowledged when the cell has ended, and refused by NACK when it has raised. Running it
        again replaces what the stream had. The same in Python: `stream.on_frame(function)`.

        Example::

            %%stomp_on prices
            print(frame.destination, frame.text)

            %stomp_on prices --off
        """
        __tracebackhide__ = True
        args = parse(self.stomp_on, line)
        stream = self.notebook.stream(args.stream, args.on)
        if (cell is None) != args.off:
            raise UsageError("write %%stomp_on above a cell, or %stomp_on NAME --off")
        function = None
        if cell is not None:
            called = cells.callback_of(self._shell, cell, self.notebook.title(stream))
            client = stream.session.client
            function = lambda frame: called(frame, client)  # noqa: E731
        self.notebook.set_callback(stream, function, ack=args.ack)

    # -- acknowledging -----------------------------------------------------------------------

    @magic(
        FRAMES,
        ALL,
        ON,
    )
    def stomp_ack(self, line: str) -> None:
        """Acknowledge frames by their numbers (the index of `NAME.df`), else the oldest.

        For a stream made with `--ack client-individual --no-send-acks`; in the mode `client` it
        covers all earlier frames. The same in Python: `stream.ack(*numbers)`.

        Example::

            %stomp_ack orders 0 1
        """
        stream, numbers = self._answered(parse(self.stomp_ack, line))
        stream.ack(*numbers)

    @magic(
        FRAMES,
        ALL,
        ON,
    )
    def stomp_nack(self, line: str) -> None:
        """Say that frames were not processed: the broker sends them again, or puts them aside.

        The same in Python: `stream.nack(*numbers)`.

        Example::

            %stomp_nack orders 2
        """
        stream, numbers = self._answered(parse(self.stomp_nack, line))
        stream.nack(*numbers)

    def _answered(self, args: Any) -> tuple[FrameStream, list[int]]:
        """The stream and the numbers that %stomp_ack or %stomp_nack names."""
        given = list(args.what)
        named = given.pop(0) if given and not given[0].isdecimal() else None
        stream = self.notebook.stream(named, args.on)
        if wrong := next((item for item in given if not item.isdecimal()), None):
            raise UsageError(f"{wrong!r} is no number of a frame")
        return stream, stream.unacknowledged if args.all else [int(item) for item in given]

    # -- sending -----------------------------------------------------------------------------

    @magic(
        DESTINATION,
        HEADER,
        argument("--receipt", action="store_true", help="wait until the broker has confirmed"),
        argument("--timeout", type=seconds, default=15.0, metavar="S", help="how long (15s)"),
        argument("--json", action="store_true", help="check that it is JSON, and say so"),
        argument("--template", action="store_true", help="fill {{name}} from the notebook"),
        argument("--repeat", type=number, default=1, metavar="N", help="send it N times"),
        ON,
        kind="line_cell",
    )
    def stomp_send(self, line: str, cell: str | None = None) -> Receipt | None:
        """Send a message. Its body is the cell, or the rest of the line, as it stands.

        In a line the options come before the destination: all behind that is the body. With
        `--template` each `{{name}}` in it is the variable of that name; in JSON text is escaped, to
        stand between quotes. The same in Python: `session.send(destination, body)`.

        Example::

            %%stomp_send /topic/prices --header 'currency: EUR'
            {"symbol": "ABC", "price": 42.0}

            %stomp_send /topic/prices {"symbol": "ABC", "price": 42.0}
        """
        if cell is None:
            line, body = split_body(parser_of(self.stomp_send), line)
            if not body:
                raise UsageError("no body: write it behind the destination, or use %%stomp_send")
        else:
            body = cell.removesuffix("\n")  # the one that IPython puts behind every cell
        args = parse(self.stomp_send, line)
        headers = headers_of(args.header)
        if args.template:
            body = cells.filled(body, self._shell.user_ns, as_json=args.json)
        if args.json:
            cells.check_json(body)
            headers.setdefault("content-type", "application/json")
        session = self.notebook.session(args.on)
        session.wait_connected(args.timeout)
        self.notebook.note(args.destination)
        receipts = [
            session.send(args.destination, body, headers=headers, receipt=args.receipt)
            for _ in range(args.repeat)
        ]
        for receipt in receipts:
            if receipt is not None:
                receipt.wait(args.timeout)
        return receipts[-1]

    @magic(
        argument("--no-receipt", action="store_true", help="do not wait for the broker's word"),
        ON,
        kind="cell",
    )
    def stomp_transaction(self, line: str, cell: str) -> object:
        """Run the cell; what it sends and acknowledges takes effect together, or never.

        It commits at the end of the cell, and waits until the broker has confirmed; it aborts when
        the cell raises. The same in Python: `with session.transaction(receipt=True): …`.

        Example::

            %%stomp_transaction
            %stomp_send /queue/orders part 1
            %stomp_send /queue/orders part 2
        """
        __tracebackhide__ = True
        args = parse(self.stomp_transaction, line)
        session = self.notebook.session(args.on)
        session.wait_connected(self.timeout)
        with session.transaction(receipt=not args.no_receipt):
            try:
                return cells.run(self._shell, cell, "<%%stomp_transaction>")
            except BaseException as error:
                error.add_note("The transaction was aborted: nothing in it takes effect.")
                of_the_cell(error)
                raise

    # -- looking -----------------------------------------------------------------------------

    @magic(SESSION)
    def stomp_widget(self, line: str) -> StompWidget:
        """Show a session live: all its streams, each frame as it came, and a form to send one.

        Running it again shows the same view. The same in Python: `StompWidget(session)`.

        Example::

            %stomp_widget
        """
        args = parse(self.stomp_widget, line)
        return self.notebook.widget(self.notebook.session(args.session))

    @magic()
    def stomp_status(self, line: str) -> pd.DataFrame:
        """The sessions and their streams, as a DataFrame with one row a stream.

        The same in Python: `session.state`, `session.streams`, `stream.stats`.

        Example::

            %stomp_status
        """
        parse(self.stomp_status, line)
        rows = []
        for session in self.notebook.sessions.values():
            known: dict[str, object] = {
                "session": visible(session.name),
                "address": session.address,
                "state": session.state,
                "reconnects": session.reconnects,
                "sent": session.sent,
            }
            streams = [_stream_status(stream) for stream in session.streams.values()]
            error = {"error": visible(session.last_error and session.last_error.Message)}
            rows += [{**known, **status, **error} for status in streams or [{}]]
        columns = ["session", "address", "state", "reconnects", "sent"]
        counts = ["received", "dropped", "unacknowledged", "callback_errors"]
        columns += ["stream", "destination", "ack", "now", *counts, "error"]
        status = pd.DataFrame(rows, columns=columns)
        return status.astype(dict.fromkeys(["reconnects", "sent", *counts], "Int64"))

    @magic()
    def stomp(self, line: str) -> Listing:
        """All magics, with an example each.

        The same in Python: `help(stompy_jupyter)`.

        Example::

            %stomp
        """
        parse(self.stomp, line)
        made = map(parser_of, _magics(StompMagics, StompReplayMagics, *MORE))
        rows = [_help(parser.description or "") for parser in made]
        return Listing(("example", "what it does"), rows, "%stomp_…? explains one of them")

    @property
    def _shell(self) -> InteractiveShell:
        assert self.shell is not None
        return self.shell


def _from_environment(variable: str) -> str:
    """The value of an environment variable, which must be there."""
    if variable not in os.environ:
        raise UsageError(f"the environment variable {variable} is not set")
    return os.environ[variable]


def _given(args: Any, *names: str) -> dict[str, Any]:
    """Those of the arguments that were given."""
    return {name: getattr(args, name) for name in names if getattr(args, name)}


def _stream_status(stream: FrameStream) -> dict[str, object]:
    stats = stream.stats
    return {
        "stream": visible(stream.name),
        "destination": visible(stream.destination),
        "ack": stream.ack_mode.value,
        "now": stream.state,
        **{name: stats[name] for name in ("received", "dropped")},
        **{name: stats[name] for name in ("unacknowledged", "callback_errors")},
    }


def _magics(*classes: type[Magics]) -> list[Any]:
    """The functions of all magics, in the order in which they stand."""
    return [made for kind in classes for made in vars(kind).values() if hasattr(made, "parser")]


def _help(description: str) -> tuple[str, str]:
    """The example of a magic, and what its docstring says first."""
    summary, _, rest = description.strip().partition("\n")
    example = rest.partition("Example::")[2].strip().partition("\n\n")[0]
    return "\n".join(line.strip() for line in example.splitlines()), summary


# -- loading ---------------------------------------------------------------------------------

MORE = (
    StompTraceMagics,
    StompRawMagics,
    StompExerciseMagics,
    StompBrokerMagics,
    StompTallyMagics,
)
"""The magics that need no more than the notebook, in the order in which %stomp lists them."""


def load(shell: InteractiveShell) -> None:
    """Register the magics, completion, and how streams and frames are shown."""
    before = list(shell.configurables)
    try:
        magics = StompMagics(shell)
    except TraitError:  # the configuration has a wrong value
        shell.configurables[:] = before
        raise
    more = [kind(shell, magics.notebook) for kind in MORE]
    shell.register_magics(magics, StompReplayMagics(shell, magics), *more)
    magics.completion.register(shell)
    formatter = shell.display_formatter
    assert formatter is not None
    magics.undo = [
        _showing(formatter.mimebundle_formatter, FrameStream, magics.notebook.show),
        _showing(formatter.mimebundle_formatter, StompWidget, magics.notebook.show_widget),
        _showing(formatter.formatters["text/html"], STOMPFrame, frame_html),
        magics.notebook.displays.install(),
    ]


def _showing(formatter: Any, kind: type, how: Callable[..., Any]) -> Callable[[], object]:
    """Have a formatter show a kind of object in this way; returns what takes that back."""
    before = formatter.type_printers.get(kind)
    formatter.for_type(kind, how)
    if before is None:
        return lambda: formatter.pop(kind, None)
    return lambda: formatter.for_type(kind, before)


def unload(shell: InteractiveShell) -> None:
    """End what the magics have begun, and take everything back that `load` has brought."""
    for kind in (StompMagics, StompReplayMagics, *MORE):
        magics = shell.magics_manager.registry.pop(kind.__name__, None)
        for table, names in kind.magics.items():
            for name in names:
                shell.magics_manager.magics[table].pop(name, None)
        if magics is not None:
            shell.configurables.remove(magics)
        if isinstance(magics, StompMagics):
            magics.close(shell)
    stop_embedded_broker()
