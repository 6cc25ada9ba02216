"""``%stomp_replay``: recorded frames come again, or are sent again, as the rows of a DataFrame."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING

from IPython.core.error import UsageError
from IPython.core.magic import Magics, magics_class
from IPython.core.magic_arguments import argument

from stompy_jupyter.arguments import DECODE, FORCE, NAME, ON, magic, number, parse, text
from stompy_jupyter.replaying import ALL, ReplaySession, resend
from stompy_jupyter.stream import FrameStream

if TYPE_CHECKING:
    from typing import Any

    from IPython.core.interactiveshell import InteractiveShell

    from stompy_jupyter.magics import StompMagics


def speed(given: str) -> float:
    """How many times as fast as it was; 0 is as fast as it goes.

    Example:
        >>> speed("10"), speed("0.5"), speed("max")
        (10.0, 0.5, 0.0)
    """
    named = text(given)
    try:
        value = 0.0 if named == "max" else float(named)
    except ValueError:
        value = -1.0
    if not value >= 0:
        raise ArgumentTypeError(f"{given!r} is no speed: 1, 10, 0.5, max")
    return value


@magics_class
class StompReplayMagics(Magics):
    """The magic of captures."""

    def __init__(self, shell: InteractiveShell, defaults: StompMagics) -> None:
        super().__init__(shell)
        self.notebook = defaults.notebook
        self.defaults = defaults

    @magic(
        argument(
            "source",
            type=text,
            help="a file of `stream.save` or `stompy record`, or the name of a DataFrame",
        ),
        argument(
            "--speed",
            type=speed,
            metavar="X",
            help="X times as fast as it was; 0 or max: as fast as it goes (default: 1)",
        ),
        argument("--to", type=text, metavar="DEST", help="send it there instead, by a session"),
        argument("--n", type=number, metavar="N", help="the first N messages alone"),
        NAME,
        DECODE,
        argument("--no-widget", action="store_true", help="show a plain table"),
        FORCE,
        ON,
    )
    def stomp_replay(self, line: str) -> FrameStream | int:
        """Have recorded messages come again, at their times, in the background and with no broker.

        With `--to` they are sent to a broker instead, and so are the rows of a DataFrame, one
        message each: that waits until all are confirmed, and says how many. The same in Python:
        `stompy_jupyter.replay(path, speed=10)`, `stompy_jupyter.resend(session, path, to=DEST)`,
        and `session.send_frame(df, DEST)`.

        Example::

            %stomp_replay prices.stompcap --speed 10 --as again
        """
        args = parse(self.stomp_replay, line)
        data = self.notebook.variable(args.source)
        if _has_rows(data):
            return self._send_rows(data, args)
        if not Path(args.source).exists():
            raise UsageError(f"there is neither a file nor a DataFrame {args.source!r}")
        return self._send(args) if args.to is not None else self._play(args)

    def _send_rows(self, data: Any, args: Any) -> int:
        if args.to is None:
            raise UsageError(f"say where to send the rows of {args.source}: --to DEST")
        if args.speed is not None:
            raise UsageError("rows have no times: --speed is for a file")
        _refuse_name(args)
        session = self.notebook.session(args.on)
        session.wait_connected()
        self.notebook.note(args.to)
        return session.send_frame(data[: args.n], args.to)

    def _send(self, args: Any) -> int:
        _refuse_name(args)
        session = self.notebook.session(args.on)
        session.wait_connected()
        self.notebook.note(args.to)
        return resend(session, args.source, to=args.to, speed=_speed_of(args), n=args.n)

    def _play(self, args: Any) -> FrameStream:
        if args.on is not None:
            raise UsageError("a replay has no session: --on is for --to")
        self.notebook.check_name(args.name, FrameStream, args.force)
        name = args.source if args.name is None else f"{args.source} as {args.name}"
        session = ReplaySession(args.source, speed=_speed_of(args), n=args.n, name=name).connect()
        replaced = self.notebook.sessions.pop(name, None)
        if replaced is not None:
            replaced.disconnect()
        self.notebook.sessions[name] = session
        stream = session.subscribe(
            ALL,
            name=args.name or Path(args.source).name,
            max_rows=self.defaults.max_rows,
            max_bytes=self.defaults.max_bytes,
            decode=self.notebook.decode(args.decode or self.defaults.decode),
        )
        self.notebook.bind(args.name, stream)
        if args.no_widget or not self.defaults.widget:
            self.notebook.show_plain(stream)
        return stream


def _has_rows(value: object) -> bool:
    """Whether it is a DataFrame, of pandas, polars or pyarrow; not a column or a stream."""
    # By type: to ask the value itself may run code of whatever a variable holds.
    return all(hasattr(type(value), name) for name in ("__arrow_c_stream__", "columns"))


def _refuse_name(args: Any) -> None:
    """Where something is sent, there is no stream to be named or shown."""
    if args.name is not None or args.no_widget or args.decode is not None:
        raise UsageError("with --to no stream is made: it has no --as, --decode, --no-widget")


def _speed_of(args: Any) -> float:
    return 1.0 if args.speed is None else float(args.speed)
