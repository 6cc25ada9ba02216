"""``%%stomp_raw``: a frame typed by hand, looked at by the linter, and sent as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from IPython.core.error import UsageError
from IPython.core.magic import Magics, magics_class
from IPython.core.magic_arguments import argument

from stompy import TracedFrame
from stompy.wire import VERSIONS
from stompy_jupyter.arguments import ON, magic, parse, seconds, text
from stompy_jupyter.draft import Draft
from stompy_jupyter.embedded import embedded_broker
from stompy_jupyter.lint import is_wrong, lint
from stompy_jupyter.raw import RawConnection, SessionWay, exchange
from stompy_jupyter.raw_result import RawResult
from stompy_jupyter.replaying import ReplaySession
from stompy_jupyter.typed import Typed, passcode_of

if TYPE_CHECKING:
    from typing import Any

    from IPython.core.interactiveshell import InteractiveShell

    from stompy_jupyter.notebook import Notebook
    from stompy_jupyter.raw import Exchange, Way
    from stompy_jupyter.session import StompSession
    from stompy_jupyter.trace import TraceEntry

GREETING_LIMIT, ANSWER_LIMIT, SHORT_WHILE = 5.0, 2.0, 0.5
"""Seconds to wait for an answer to CONNECT; for a receipt, or for what comes of a wrong frame; and
for whatever may come."""


class Plan(NamedTuple):
    """Where a frame goes, and what is known of that before it is sent.

    Attributes:
        way: a connection that is there; None if one is opened for it.
        version: the version agreed on there, or that the frame asks for.
        connected: whether there has been a CONNECT; None if there is no connection at all.
        notes: what is to be said of the choice.
    """

    way: Way | None
    version: str
    connected: bool | None
    notes: tuple[str, ...] = ()


@magics_class
class StompRawMagics(Magics):
    """The magic of frames typed by hand."""

    def __init__(self, shell: InteractiveShell, notebook: Notebook) -> None:
        super().__init__(shell)
        self.notebook = notebook

    @magic(
        argument("--lint-only", action="store_true", help="say what is wrong, and send nothing"),
        argument("--force", action="store_true", help="send it though it is wrong"),
        ON,
        argument(
            "--address",
            type=text,
            metavar="A",
            help="open a new connection by hand to this address, for this frame and those to come",
        ),
        argument(
            "--version",
            choices=VERSIONS,
            metavar="V",
            help="whose rules count: 1.0, 1.1 or 1.2 (default: those of the connection)",
        ),
        argument("--wait", type=seconds, metavar="S", help="how long to wait for what comes back"),
        kind="cell",
    )
    def stomp_raw(self, line: str, cell: str) -> RawResult:
        """Send the frame in the cell as it is typed, unless it is wrong, and show what comes back.

        Type ^@ for NUL; one at the end may be left out. CONNECT opens a connection by hand, and
        the frames behind it go there; else they go by the connection of the newest session. A
        connection by hand sends no heart-beats. A frame that breaks the specification is not
        sent: the place and the section are shown. With `--force` it is, to see what the broker
        says. The same in Python: `stompy_jupyter.lint.lint(text)`, `session.send_octets(octets)`,
        and `stompy_jupyter.raw.RawConnection(address).send(octets)`.

        Example::

            %%stomp_raw
            SEND
            destination:/queue/a
            receipt:1

            hello^@
        """
        args = parse(self.stomp_raw, line)
        if args.on is not None and args.address is not None:
            raise UsageError("--on is for the connection of a session, --address for a new one")
        typed = Typed.of_cell(cell)
        plan = self._plan(args, typed)
        findings = lint(typed, args.version or plan.version, connected=plan.connected)
        wrong = is_wrong(findings)
        if args.lint_only or (wrong and not args.force):
            why = "it is wrong; --force sends it all the same" if wrong else "--lint-only"
            return RawResult(typed, findings, f"not sent: {why}", notes=plan.notes)
        if not typed.octets:
            raise UsageError("there is nothing to send: type a frame")
        way = plan.way or self._opened(args, typed)
        exchanged = _said(way, typed, wrong, args.wait)
        notes = [*plan.notes, *_notes_of(way, typed, wrong, exchanged)]
        return RawResult(typed, findings, f"sent by {way.name}", exchanged, notes)

    # -- where it goes -----------------------------------------------------------------------

    def _plan(self, args: Any, typed: Typed) -> Plan:
        """Where the frame goes: nothing is opened or closed yet."""
        raw = self.notebook.raw
        if args.on is not None:
            return _by_session(self.notebook.session(args.on), typed)
        if args.address is not None or _word_of(typed) in ("CONNECT", "STOMP"):
            return Plan(None, _version_asked(typed), False)
        if raw is not None and raw.closed is None:
            return Plan(raw, raw.version or "1.2", raw.version is not None)
        notes: tuple[str, ...] = ()
        if raw is not None:
            notes = (f"{raw.name} has ended ({raw.closed}); CONNECT opens another",)
        session = self.notebook.newest_with_broker()
        if session is None:
            return Plan(None, "1.2", None if args.lint_only else False, notes)
        return _by_session(session, typed)._replace(notes=notes)

    def _opened(self, args: Any, typed: Typed) -> RawConnection:
        """A new connection by hand; the one before is closed."""
        session = self.notebook.newest_with_broker()
        if args.address is not None:
            address: Any = args.address
        else:
            address = session.address if session else embedded_broker().address
        self.notebook.set_raw(None)
        raw = RawConnection(address, typed.octets)
        self.notebook.set_raw(raw)
        return raw


def _by_session(session: StompSession, typed: Typed) -> Plan:
    if isinstance(session, ReplaySession):
        raise UsageError(f"{session.name} is a replay: it has no connection to send by")
    if passcode_of(typed.octets):
        raise UsageError("a frame with a passcode goes by a connection by hand, not by a session's")
    return Plan(SessionWay(session), session.client.version, True)


def _word_of(typed: Typed) -> str:
    """The command that seems to be meant."""
    return Draft(typed, "1.2").word.upper()


def _version_asked(typed: Typed) -> str:
    """The highest version that a CONNECT names; 1.2 where it names none that we know."""
    draft = Draft(typed, "1.2")
    named = next((line.value for line in draft.lines if line.name == "accept-version"), "")
    return max({version.strip() for version in named.split(",")} & {*VERSIONS}, default="1.2")


# -- what comes back -------------------------------------------------------------------------


def _said(way: Way, typed: Typed, wrong: bool, wait: float | None) -> Exchange:
    """Send the frame, and wait for its answer."""
    word, receipt = _word_of(typed), _receipt_of(typed, way.version)
    greets = word in ("CONNECT", "STOMP")

    def clear(answer: TraceEntry) -> bool:
        if greets:
            return answer.command == "CONNECTED"
        return receipt is not None and answer.get("receipt-id") == receipt

    limit = ANSWER_LIMIT if wrong or receipt is not None else SHORT_WHILE
    if greets and not wrong:
        limit = GREETING_LIMIT
    return exchange(
        way, typed.octets, clear, limit if wait is None else wait, ends=word == "DISCONNECT"
    )


def _receipt_of(typed: Typed, version: str | None) -> str | None:
    """The receipt that a frame asks for, as far as it is one."""
    frame = TracedFrame(0.0, True, typed.octets, version).frame
    return None if frame is None else frame.get("receipt")


def _notes_of(way: Way, typed: Typed, wrong: bool, exchanged: Exchange) -> list[str]:
    """What else there is to say of an exchange."""
    notes = []
    if passcode_of(typed.octets):
        notes.append("the passcode in this cell is saved with the notebook")
    if not exchanged.answers and exchanged.closed is None:
        if wrong:
            notes.append("nothing came back: the broker takes it, or waits for the rest of it")
        elif _receipt_of(typed, way.version) is not None:
            notes.append("no receipt came yet: result.answers has what came in time")
        else:
            notes.append("nothing came back: no receipt was asked for, and there was no ERROR")
    greeted = any(answer.command == "CONNECTED" for answer in exchanged.answers)
    if isinstance(way, RawConnection) and greeted and way.beat:
        notes.append(
            f"the broker has been promised a heart-beat every {way.beat} ms: a connection by hand "
            "sends none, so that the broker will close it"
        )
    return notes
