"""``%stomp_trace``, ``%stomp_sequence``, ``%stomp_explain``: what has passed, frame by frame."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from IPython.core.error import UsageError
from IPython.core.magic import Magics, magics_class
from IPython.core.magic_arguments import argument

from stompy import STOMPFrame, TracedFrame
from stompy.wire import VERSIONS
from stompy_jupyter.arguments import ON, magic, number, parse, text
from stompy_jupyter.explain import explain, explain_frame
from stompy_jupyter.meanings import say
from stompy_jupyter.sequence import FrameSequence, Lane
from stompy_jupyter.stream import FrameStream
from stompy_jupyter.trace import FrameTrace, TraceEntry
from stompy_jupyter.typed import Typed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from IPython.core.interactiveshell import InteractiveShell

    from stompy_jupyter.explain import Explanation
    from stompy_jupyter.notebook import Notebook
    from stompy_jupyter.trace import TraceEntries

_LITERAL = re.compile(r"""(?i:b|br|rb)(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")(?=\s|$)""")


@magics_class
class StompTraceMagics(Magics):
    """The magics that show what has passed."""

    def __init__(self, shell: InteractiveShell, notebook: Notebook) -> None:
        super().__init__(shell)
        self.notebook = notebook

    @magic(
        argument(
            "session",
            nargs="?",
            type=text,
            help="the session, or raw: the connection of %%%%stomp_raw (default: where something "
            "has passed last)",
        ),
        argument("--n", type=number, metavar="N", help="the newest N alone"),
    )
    def stomp_trace(self, line: str) -> FrameTrace | TraceEntries:
        """Show what has passed between a session and its broker: frames, heart-beats, both ways.

        Its value has a DataFrame `df`. The same in Python: `session.trace`, and
        `session.trace.newest(N)`.

        Example::

            %stomp_trace --n 5
        """
        args = parse(self.stomp_trace, line)
        trace = self.notebook.trace(args.session)
        return trace if args.n is None else trace.newest(args.n)

    @magic(
        argument(
            "sessions",
            nargs="*",
            type=text,
            metavar="session",
            help="sessions, each a lane of its own, or raw: the connection of %%%%stomp_raw "
            "(default: where something has passed last)",
        ),
        argument("--last", type=number, metavar="N", help="the newest N lines (default: 40)"),
    )
    def stomp_sequence(self, line: str) -> FrameSequence:
        """Draw what has passed between sessions and their broker as a sequence diagram.

        Receipts are joined to what asked for them, ACKs to their messages; a transaction is a box.
        Its value has a DataFrame `df`, and `mermaid` and `svg` as text. The same in Python:
        `session.sequence(N, also=[other])`.

        Example::

            %stomp_sequence --last 10
        """
        args = parse(self.stomp_sequence, line)
        found = [self.notebook.trace(name) for name in args.sessions or [None]]
        traces = list(dict.fromkeys(found))
        title = f"frames of {traces[0].name}"
        return FrameSequence(map(self._lane_of, traces), args.last, title=title)

    def _lane_of(self, trace: FrameTrace) -> Lane:
        """A client in a sequence, which may have ended."""
        for session in self.notebook.sessions.values():
            if session.trace is trace:
                return session.as_lane()
        raw = self.notebook.raw
        going_on = raw is not None and raw.trace is trace and raw.closed is None
        return Lane(trace.name, trace.newest(), ended=not going_on)

    @magic(
        argument(
            "explained",
            nargs="*",
            type=text,
            metavar="[NUMBER | STREAM [ROW] | NAME]",
            help="a frame: its number in the trace; a row of a stream (default: the newest); a "
            "variable, or octets such as b'BEGIN\\n\\n\\0' (default: the last that has passed)",
        ),
        argument(
            "--version",
            choices=VERSIONS,
            metavar="V",
            help="by whose rules it is read: 1.0, 1.1 or 1.2 (default: those that it came by)",
        ),
        ON,
        kind="line_cell",
    )
    def stomp_explain(self, line: str, cell: str | None = None) -> Explanation:
        """Show what each octet of a frame is for, with the section of the specification.

        Without more than that it is the last frame that has passed. In a cell of its own a frame
        can be typed, right or wrong: ^@ is NUL, and one at the end may be left out. Its value has
        a DataFrame `df`. The same in Python: `stompy_jupyter.explain.explain(octets)`.

        Example::

            %stomp_explain
            %stomp_explain 12
            %stomp_explain prices 0
        """
        literal = _LITERAL.match(line.strip())
        rest = line.strip()[literal.end() :] if literal else line
        args = parse(self.stomp_explain, rest)
        if cell is not None:
            _refuse(args, literal, "the frame is the one in the cell")
            octets = Typed.of_cell(cell).octets
            if not octets:
                raise UsageError("there is nothing to explain: type a frame")
            return explain(octets, args.version)
        if literal:
            _refuse(args, None, "these octets are in no trace and no stream")
            return explain(_octets_of(literal[0]), args.version)
        return self._explained(args)

    def _explained(self, args: Any) -> Explanation:
        """What the words of a line mean."""
        words = args.explained
        if not words:
            return _of_value(_last(self.notebook.trace(args.on)), args.version)
        if len(words) == 1 and re.fullmatch(r"-?[0-9]+", words[0]):
            try:
                entry = self.notebook.trace(args.on)[int(words[0])]
            except IndexError as error:
                raise UsageError(str(error)) from error
            return _of_value(entry, args.version)
        value = self.notebook.variable(words[0])
        if args.on is None and len(words) == 1 and isinstance(value, EXPLICABLE):
            return _of_value(value, args.version)
        known = self.notebook.streams()
        if words[0] not in known and not isinstance(value, FrameStream):
            raise UsageError(_no_frame(words[0], value))
        return _of_row(self.notebook.stream(words[0], args.on), words[1:], args.version)


# -- what is explained -----------------------------------------------------------------------

EXPLICABLE = (bytes, bytearray, str, STOMPFrame, TraceEntry, TracedFrame, FrameTrace)
"""What a variable may hold."""


def _refuse(args: Any, literal: object, why: str) -> None:
    """Refuse what says of which frame it is, where that is clear."""
    if args.explained or args.on is not None or literal is not None:
        raise UsageError(f"{why}: say no more than --version")


def _octets_of(literal: str) -> bytes:
    try:
        octets: bytes = ast.literal_eval(literal)
    except (SyntaxError, ValueError) as error:
        raise UsageError(f"{literal} are no octets as Python writes them: {error}") from error
    return octets


def _last(trace: FrameTrace) -> TraceEntry:
    """The last frame that has passed, heart-beats aside."""
    for entry in reversed(trace.newest()):
        if entry.command != "heart-beat":
            return entry
    raise UsageError("no frame has passed yet")


def _of_value(value: object, version: str | None) -> Explanation:
    """What a variable holds, or what is in a trace."""
    if isinstance(value, FrameTrace):
        value = _last(value)
    if isinstance(value, TraceEntry | TracedFrame):
        return explain(value.octets, version or value.version, value.sent)
    if isinstance(value, STOMPFrame):
        return explain_frame(value, version)
    if isinstance(value, str):
        return explain(Typed(value).octets, version)
    assert isinstance(value, bytes | bytearray)
    return explain(bytes(value), version)


def _of_row(stream: FrameStream, rows: Sequence[str], version: str | None) -> Explanation:
    """A frame of a stream, by its number; the newest without one."""
    row = rows[0] if rows else str(max(stream.received - 1, 0))
    if len(rows) > 1 or not re.fullmatch("[0-9]+", row):
        raise UsageError(f"{' '.join(rows)!r} is no row of a stream: one number, from 0")
    try:
        frame, whole, _ = stream.table.frame(int(row))
    except LookupError as error:
        raise UsageError(str(error.args[0])) from error
    explained = explain_frame(frame, version or stream.session.client.version, sent=False)
    if not whole:
        explained.note = say("rebuilt", explained.version or "1.2")
    return explained


def _no_frame(name: str, value: object) -> str:
    if value is None:
        return f"{name!r} is no frame: neither a number, nor a stream, nor a variable"
    return f"{name} is a {type(value).__name__}: it holds no frame, no octets and no text"
