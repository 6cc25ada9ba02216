"""Actions: what a browser asks for is done, and each request answered once.

A request comes in any thread of the kernel, which must not wait: each is done in a thread of its
own, and the answer handed to whoever sends it. What changes something is done in the order in
which it came; a wait for a receipt then holds up nobody.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from stompy import AckMode, STOMPClosed, STOMPError, STOMPTimeout
from stompy_jupyter.display import visible
from stompy_jupyter.passage import passage_of, sequence_of
from stompy_jupyter.request import id_of, parse
from stompy_jupyter.search import Term
from stompy_jupyter.subject import gone
from stompy_jupyter.window import found, frame_of, page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from stompy import Receipt
    from stompy_jupyter.request import Request
    from stompy_jupyter.session import StompSession
    from stompy_jupyter.stream import FrameStream

MAX_AT_WORK = 8
"""Requests of one widget that are done at a time."""

MAX_UNSENT = 32
"""Answers that may wait to be sent when a request is begun; a refusal may wait behind so many."""

RECEIPT_LIMIT = 5.0
"""Seconds that a request waits for a receipt."""

CONFIRM_LIMIT = 1.0
"""Seconds that a new subscription is given to be refused: some brokers never confirm one."""

MESSAGE = 1_000
"""Characters of an error that a browser is told."""

_LINES = {
    **dict.fromkeys(("send", "ack", "nack", "begin", "commit", "abort"), "frames"),
    **dict.fromkeys(
        ("subscribe", "unsubscribe", "pause", "resume", "connect", "disconnect"), "subscriptions"
    ),
}
"""Where the requests of a kind wait for those before them; the others wait for nobody."""

_OWN = {"destination", "receipt", "transaction"}
"""Headers of SEND that a request says by other means."""

_log = logging.getLogger(__name__)


class Target(Protocol):
    """What requests are about; see `stompy_jupyter.subject.Subject`."""

    @property
    def session(self) -> StompSession | None: ...
    def stream(self, id: str) -> FrameStream: ...
    def add(self, stream: FrameStream) -> None: ...


class Answer(NamedTuple):
    """The result of a request."""

    result: dict[str, Any]
    buffers: tuple[bytes, ...] = ()


Outcome: TypeAlias = "Answer | functools.partial[Answer]"
"""What a request has come to; or a wait for that, in which the next may be done."""


class Actions:
    """The requests of one widget.

    Args:
        target: what they are about.
        answered: is called, in any thread, when there is one more in `replies`.
        greeted: is called when a page has said hello: it has not seen anything yet.

    Attributes:
        replies: one for each request, with its buffers, until somebody takes and sends it.
    """

    def __init__(
        self, target: Target, answered: Callable[[], object], greeted: Callable[[], object]
    ) -> None:
        self.replies: deque[tuple[dict[str, Any], list[bytes]]] = deque()
        self._target = target
        self._answered = answered
        self._greeted = greeted
        self._at_work = 0
        self._lines: dict[str, deque[Callable[[], object]]] = {}  # a thread works each off
        self._transaction: _Transaction | None = None  # of the line "frames" alone
        self._closed = False
        self._lock = threading.Lock()  # guards all but the transaction
        self._known: Mapping[str, Callable[..., Outcome]] = {
            "hello": self._hello,
            "rows": self._rows,
            "frame": self._frame,
            "find": self._find,
            "sequence": self._sequence,
            "passage": self._passage,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "pause": self._pause,
            "resume": self._resume,
            "ack": self._ack,
            "nack": self._nack,
            "send": self._send,
            "begin": self._begin,
            "commit": self._commit,
            "abort": self._abort,
            "connect": self._connect,
            "disconnect": self._disconnect,
        }

    # -- who does it, and when ---------------------------------------------------------------

    def take(self, content: object) -> None:
        """Take what a browser has sent: returns at once, whatever it is."""
        id = id_of(content)
        if id is None:
            _log.debug("a message of a browser has no id by which it could be answered")
            return
        try:
            request = parse(content)
        except ValueError as error:
            self._turn_away(id, ValueError(f"bad request: {error}"))
            return
        try:
            with self._lock:
                if not self._closed:
                    self._begin_work(request.kind, functools.partial(self._do, request))
        except (STOMPError, RuntimeError) as error:
            self._turn_away(id, error)

    def _turn_away(self, id: str, error: Exception) -> None:
        """Refuse what is not begun; who floods us is not even told so."""
        if len(self.replies) < 2 * MAX_UNSENT:
            self._answer(id, _refusal(error, self._target.session), done=False)
        else:
            _log.debug("a request is dropped: too many answers wait to be sent")

    def _begin_work(self, kind: str, work: Callable[[], object]) -> None:
        """Have it done by a thread; the lock is held.

        Raises:
            STOMPError: there is too much to do already.
            RuntimeError: this process can start no more threads.
        """
        if self._at_work >= MAX_AT_WORK or len(self.replies) >= MAX_UNSENT:
            message = f"{MAX_AT_WORK} requests are at work already"
            raise STOMPError(message, hint="try again in a moment")
        name = _LINES.get(kind)
        if name is None:
            _start(kind, work)
        else:
            line = self._lines.setdefault(name, deque())
            if not line:  # it waits for the lock, until there is one
                _start(kind, self._work_off, line)
            line.append(work)
        self._at_work += 1

    def _work_off(self, line: deque[Callable[[], object]]) -> None:
        """Do what waits in a line, until there is nothing more."""
        while True:
            with self._lock:
                work = line[0]
            work()
            with self._lock:
                line.popleft()  # not before: who comes meanwhile must not start another thread
                if not line:
                    return

    def _do(self, request: Request) -> None:
        if not self._closed:
            self._attempt(request, functools.partial(self._known[request.kind], **request.args))

    def _attempt(self, request: Request, action: Callable[[], Outcome]) -> None:
        """Do it, and answer; what is still to be waited for gets a thread of its own."""
        try:
            outcome = action()
            if isinstance(outcome, functools.partial):
                _start(request.kind, self._attempt, request, outcome)
                return
        except (STOMPError, ValueError, LookupError) as error:
            self._answer(request.id, _refusal(error, self._target.session))
        except BaseException:  # also SystemExit: those behind it in the line have to be done
            _log.exception("a request of the kind %s failed", request.kind)
            failure = STOMPError("internal error: see the kernel's log")
            self._answer(request.id, _refusal(failure, self._target.session))
        else:
            self._answer(request.id, {"result": outcome.result}, outcome.buffers)

    def _answer(
        self, id: str, answer: dict[str, Any], buffers: Sequence[bytes] = (), *, done: bool = True
    ) -> None:
        """Have an answer sent; `done` is whether the request was at work."""
        with self._lock:
            self._at_work -= done
            if self._closed:
                return
            self.replies.append(({"kind": "reply", "id": id, **answer}, list(buffers)))
        self._answered()

    def close(self) -> None:
        """Answer nothing more, and do nothing more; a transaction that is open is aborted."""
        session = self._target.session
        with self._lock:
            self._closed = True
            self.replies.clear()
            if self._transaction is not None and session is not None and not sys.is_finalizing():
                self._at_work = 0  # none of those is answered
                self._begin_work("abort", functools.partial(self._give_up, session))

    # -- looking -----------------------------------------------------------------------------

    def _hello(self) -> Answer:
        self._greeted()
        return Answer({})

    def _rows(self, stream: str, first: int, count: int) -> Answer:
        return Answer(page(self._target.stream(stream), first, count))

    def _frame(self, stream: str, number: int, offset: int) -> Answer:
        shown, part = frame_of(self._target.stream(stream), number, offset)
        return Answer(shown, (part,))

    def _find(self, stream: str, terms: list[dict[str, Any]], first: int) -> Answer:
        wanted = [Term(term["header"], term["text"], term["not"]) for term in terms]
        return Answer(found(self._target.stream(stream), wanted, first))

    def _sequence(self, last: int) -> Answer:
        return Answer(sequence_of(self._session(), last))

    def _passage(self, number: int) -> Answer:
        passage, octets = passage_of(self._session().trace, number)
        return Answer(passage, (octets,))

    # -- the session and its streams ---------------------------------------------------------

    def _session(self) -> StompSession:
        session = self._target.session
        if session is None:
            raise gone("session")
        return session

    def _connected(self) -> StompSession:
        """The session, where it could send: a button does not wait for one to come back."""
        session = self._session()
        if not session.connected:
            hint = "wait until it is back" if session.state == "reconnecting" else "connect it"
            raise STOMPClosed(f"the session is {session.state}", hint=hint)
        return session

    def _connect(self) -> Answer:
        self._session().connect()
        return Answer({})

    def _disconnect(self) -> Answer:
        self._session().disconnect()
        return Answer({})

    def _subscribe(self, destination: str, ack: AckMode) -> Answer:
        session = self._connected()
        known = session.streams.get(destination)
        if known is not None and known.live:  # it would be replaced
            raise STOMPError(f"{destination} is subscribed already", hint="unsubscribe it first")
        stream = session.subscribe(destination, ack_mode=ack, send_acks=ack is AckMode.Auto)
        stream.confirm(CONFIRM_LIMIT)
        self._target.add(stream)
        return Answer({"stream": stream.id})

    def _unsubscribe(self, stream: str) -> Answer:
        self._target.stream(stream).unsubscribe()
        return Answer({})

    def _pause(self, stream: str) -> Answer:
        self._target.stream(stream).pause()
        return Answer({})

    def _resume(self, stream: str) -> Answer:
        self._target.stream(stream).resume()
        return Answer({})

    # -- frames ------------------------------------------------------------------------------

    def _ack(self, stream: str, number: int) -> Answer:
        self._target.stream(stream).ack(number)
        return Answer({"number": number})

    def _nack(self, stream: str, number: int) -> Answer:
        self._target.stream(stream).nack(number)
        return Answer({"number": number})

    def _send(
        self,
        destination: str,
        headers: list[tuple[str, str]],
        body: str,
        receipt: str | None,
        transaction: bool,
    ) -> Outcome:
        named = _named(headers)
        if transaction:
            session = self._session()
            ongoing = self._open(session)
            asked = session.send_by(
                ongoing.within, destination, body, headers=named, receipt=receipt or False
            )
            ongoing.frames += 1
            return Answer({"receipt": asked and str(asked), "confirmed": None, "ms": None})
        session = self._connected()
        began = time.monotonic()
        asked = session.send(destination, body, headers=named, receipt=receipt or False)
        if asked is None:
            return Answer({"receipt": None, "confirmed": None, "ms": None})
        return functools.partial(_sent, session, destination, asked, began)

    # -- the transaction ---------------------------------------------------------------------

    @property
    def transaction(self) -> dict[str, Any] | None:
        """The transaction that is open: its id, and how many frames are in it."""
        ongoing, session = self._transaction, self._target.session
        if ongoing is None or session is None or ongoing.lost(session):
            return None
        return {"id": ongoing.within.id, "frames": ongoing.frames}

    def _open(self, session: StompSession) -> _Transaction:
        """The transaction that is ongoing.

        Raises:
            STOMPError: there is none, or it was lost.
        """
        ongoing = self._transaction
        if ongoing is None:
            raise STOMPError("no transaction is open", hint="begin one first")
        if ongoing.lost(session):
            self._transaction = None
            ongoing.note(session, "lost with its connection")
            raise STOMPClosed(
                f"{ongoing.within.id} was lost with its connection: nothing of it took effect",
                hint="begin another",
            )
        return ongoing

    def _begin(self) -> Answer:
        session = self._connected()
        if self.transaction is not None:
            raise STOMPError("a transaction is open already", hint="commit or abort it first")
        self._transaction = ongoing = _Transaction(session)
        session.journal.note("transaction", f"{ongoing.within.id} begun")
        return Answer({"id": ongoing.within.id})

    def _commit(self) -> Outcome:
        session = self._session()
        ongoing = self._open(session)
        self._transaction = None
        began = time.monotonic()
        asked = ongoing.within.commit(receipt=True)
        assert asked is not None
        return functools.partial(_committed, session, ongoing, asked, began)

    def _abort(self) -> Answer:
        return Answer({"frames": self._abort_in(self._session())})

    def _abort_in(self, session: StompSession) -> int:
        ongoing = self._open(session)
        self._transaction = None
        ongoing.within.abort()
        ongoing.note(session, "aborted")
        return ongoing.frames

    def _give_up(self, session: StompSession) -> None:
        """Abort for a widget that was closed; a transaction that is not there any more is fine."""
        with contextlib.suppress(STOMPError):
            self._abort_in(session)


class _Transaction:
    """A transaction that was begun in a widget, and ends with its connection.

    Attributes:
        within: the transaction of the client.
        frames: how many messages were sent in it.
    """

    def __init__(self, session: StompSession) -> None:
        self._client = session.client
        self._reconnects = session.reconnects
        self.within = self._client.transaction()
        self.frames = 0

    def lost(self, session: StompSession) -> bool:
        """Whether its connection is not there any more."""
        same = session.client is self._client and session.reconnects == self._reconnects
        return not (same and session.connected)

    def note(self, session: StompSession, outcome: str) -> None:
        """Note in the journal what has become of it."""
        frames = f"{self.frames} frame{'s' * (self.frames != 1)}"
        session.journal.note("transaction", f"{self.within.id} {outcome}, {frames}")


def _start(kind: str, work: Callable[..., object], *args: object) -> None:
    name = f"stomp-request-{kind}"
    threading.Thread(target=work, args=args, name=name, daemon=True).start()


def _refusal(error: Exception, session: StompSession | None) -> dict[str, Any]:
    message = error.Message if isinstance(error, STOMPError) else str(error)
    if session is not None:
        message = session.journal.masked(message)
    hint = error.hint if isinstance(error, STOMPError) else None
    return {"error": {"message": visible(message, MESSAGE), "hint": visible(hint, MESSAGE)}}


def _named(headers: list[tuple[str, str]]) -> dict[str, str]:
    """Headers by their names.

    Raises:
        ValueError: one is there twice, or is said by other means.
    """
    named: dict[str, str] = {}
    for name, value in headers:
        if name in named:
            raise ValueError(f"the header {name!r} is there twice")
        if name in _OWN:
            raise ValueError(f"the header {name!r} is none of the others: it is said apart")
        named[name] = value
    return named


def _sent(session: StompSession, destination: str, asked: Receipt, began: float) -> Answer:
    """Wait for the receipt of a message."""
    ms = _confirmed(session, asked, f"SEND to {destination}", began)
    return Answer({"receipt": str(asked), "confirmed": ms is not None, "ms": ms})


def _committed(
    session: StompSession, ongoing: _Transaction, asked: Receipt, began: float
) -> Answer:
    """Wait for the receipt of a COMMIT."""
    if _confirmed(session, asked, f"COMMIT of {ongoing.within.id}", began) is None:
        raise STOMPTimeout(
            f"the broker has not confirmed the COMMIT within {RECEIPT_LIMIT:g} s",
            hint="it may have taken effect; some brokers never confirm one",
        )
    ongoing.note(session, "committed")
    return Answer({"frames": ongoing.frames})


def _confirmed(session: StompSession, asked: Receipt, what: str, began: float) -> float | None:
    """The milliseconds after which a receipt has come; None where it does not come in time."""
    try:
        asked.wait(RECEIPT_LIMIT)
    except STOMPTimeout:
        session.journal.note("receipt", f"{asked}, {what}: none within {RECEIPT_LIMIT:g} s")
        return None
    except STOMPError as error:
        if error.Frame is not None:
            session.journal.note_error(error.Frame)
        session.journal.note("receipt", f"{asked}, {what}: {error.Message}")
        raise
    ms = (time.monotonic() - began) * 1000
    session.journal.note("receipt", f"{asked}, {what}: confirmed after {ms:.0f} ms")
    return round(ms, 1)
