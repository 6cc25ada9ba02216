"""Reader: the one thread that reads a connection and files its messages by subscription."""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
import weakref
from collections import deque
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from stompy import AckMode, ClientState, STOMPClient, STOMPClosed, STOMPError
from stompy.dialect import dialect_of
from stompy.errors import broker_error
from stompy_jupyter.callbacks import Call, CallbackThread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stompy import STOMPFrame
    from stompy_jupyter.inlet import Inlet
    from stompy_jupyter.journal import Journal
    from stompy_jupyter.keep import Keeper
    from stompy_jupyter.table import FrameTable

_log = logging.getLogger(__name__)

BLAME_LIMIT = 10.0
"""Seconds within which an ERROR that names no frame may be about the one SUBSCRIBE in the air."""

LEAVE_LIMIT = 2.0
"""Seconds that an end waits for each of: the callbacks, the broker's receipt, the thread."""


class _Route:
    """The way of one subscription's messages to an inlet; it ends with the broker's receipt.

    Attributes:
        closing: whether it is about to end.
        passed: whether messages were passed over for that.
        said: whether UNSUBSCRIBE has gone out.
        ended: set when all that came by it is filed.
        born: when it began, by `time.monotonic`.
    """

    def __init__(self, inlet: Inlet) -> None:
        self.inlet = inlet
        self.closing = False
        self.passed = False
        self.said = False
        self.ended = threading.Event()
        self.born = time.monotonic()


class Reader:
    """Reads one connection, and those that take its place after a loss, into inlets.

    It acknowledges a message itself, under the lock under which it files it: so who has seen a
    row, and unsubscribes or leaves, cannot overtake the row's ACK. The thread does not know the
    session, so that one that is forgotten can go.

    Args:
        on_change: is called, in whichever thread has noticed it, after `state` or `last_error`
            may have changed.
        journal: where it notes what happens to the connection and its subscriptions.
        client: what it reads; a new client by default.
        now: when what it has just read arrived, in nanoseconds since 1970.
    """

    def __init__(
        self,
        on_change: Callable[[], None],
        journal: Journal,
        client: STOMPClient | None = None,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self.client = STOMPClient() if client is None else client
        self._now = now
        self.received = 0
        self.reconnects = 0
        self.last_error: STOMPError | None = None
        self._last_words: STOMPError | None = None  # an ERROR behind which nothing has come
        self._lost = False  # whether the connection is coming back
        self._left = False  # whether we have said goodbye
        self._on_change = on_change
        self._journal = journal
        self._names: weakref.WeakKeyDictionary[Inlet, str] = weakref.WeakKeyDictionary()
        self._full: weakref.WeakSet[Inlet] = weakref.WeakSet()  # those that have dropped frames
        self._numbers = itertools.count(1)
        self._routes: dict[str, _Route] = {}  # by subscription ids
        self._beginning: dict[str, tuple[str, _Route]] = {}  # by the receipts of SUBSCRIBE
        self._ending: dict[str, tuple[str, _Route]] = {}  # by the receipts of UNSUBSCRIBE
        self._paused: set[Inlet] = set()
        self._filing = threading.Lock()  # guards these while a message is filed
        self._filed_by: int | None = None
        self._untold: deque[ClientState | None] = deque()
        self._told: Callable[[STOMPClient, ClientState], object] | None = None
        self._callbacks = CallbackThread("stomp-callbacks")

    def connect(self, addresses: Any, arguments: dict[str, Any]) -> None:
        """Connect, and start the thread; the arguments are those of `STOMPClient.connect`."""
        self._told = arguments.get("on_state")
        self.client.connect(addresses, **{**arguments, "on_state": self._note})
        name = f"stomp-reader-{self.client.address}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    # -- what is noticed ---------------------------------------------------------------------

    @property
    def state(self) -> str:
        """As `StompSession.state`."""
        state = self.client.state
        if state is ClientState.Closed:
            return "disconnected" if self._left or self.client.close_reason is None else "lost"
        return state.value

    def _note(self, client: STOMPClient, state: ClientState) -> None:
        """Take note of a change of the client's state."""
        if state is ClientState.Reconnecting:
            self._lost = True
            if self._last_words is not None:
                self._refused(self._last_words)
            self.last_error = self._last_words or self.client.close_reason
            self._journal.note("reconnecting", self._where(self.last_error))
        elif state is ClientState.Connected:
            if self._lost:
                self._came_back()
            server = client.server or "a broker that does not say its name"
            self._journal.note("connected", f"{client.address}: {server}, STOMP {client.version}")
        self._tell(state)

    def _came_back(self) -> None:
        self._lost = False
        self._last_words = None
        self.reconnects += 1
        for route in list(self._routes.values()):
            route.inlet.forget(lost_only=True)
            if route.said:  # its receipt was lost; what was received before is still filed
                route.ended.set()
        self._callbacks.wake()

    def _where(self, why: STOMPError | None) -> str:
        """The address, and why something has happened there."""
        return f"{self.client.address}: {why.Message}" if why else self.client.address

    def _note_stream(self, kind: str, inlet: Inlet, more: str = "") -> None:
        """Note what has happened to a stream; `more` follows its name."""
        name, destination = self._names.get(inlet, inlet.destination), inlet.destination
        shown = name if name == destination else f"{name}: {destination}"
        self._journal.note(kind, f"{shown}{more}")

    def _tell(self, state: ClientState | None = None) -> None:
        """Tell others of a change, also of the client's state if there is one."""
        self._untold.append(state)
        if not self._is_filing:
            self._tell_all()

    def _tell_all(self) -> None:
        with contextlib.suppress(IndexError):  # another thread may tell of them, too
            while True:
                self._tell_of(self._untold.popleft())

    def _tell_of(self, state: ClientState | None) -> None:
        try:
            try:
                self._on_change()
            finally:
                if state is not None and self._told is not None:
                    self._told(self.client, state)
        except Exception:  # an observer's failure is no failure of the connection
            _log.exception("an observer of %s failed", self.client)

    @property
    def _is_filing(self) -> bool:
        """Whether this is the thread, filing a message: then nobody is told while it is locked."""
        return self._filed_by == threading.get_ident()

    # -- subscriptions -----------------------------------------------------------------------

    def subscribe(self, inlet: Inlet, name: str) -> None:
        """Subscribe for an inlet, anew or again. Does nothing when it is subscribed.

        Args:
            inlet: where its messages go.
            name: what its stream is called.
        """
        self._names[inlet] = name
        with inlet.changing:
            if not self._reopened(inlet):
                self._subscribe(inlet)
                self._note_stream("subscribed", inlet, f" ({inlet.mode})")
            inlet.paused = False
            self._paused.discard(inlet)

    def keep(self, inlet: Inlet, name: str) -> None:
        """Have the messages of an inlet kept from the first on, before it is subscribed."""
        if inlet.keeper is not None:
            self._names[inlet] = name
            self._note_stream("kept", inlet, f" is kept in {inlet.keeper.directory}")
            inlet.keeper.start(
                inlet.acknowledge,
                lambda error: self._keep_failed(inlet, error),
                lambda kind, more: self._note_stream(kind, inlet, more),
            )

    def _keep_failed(self, inlet: Inlet, error: STOMPError) -> None:
        """End a stream that cannot be kept any more; the broker has what was not acknowledged."""
        self._note_stream("error", inlet, f": {error.Message}")
        self.end(inlet)

    def _reopened(self, inlet: Inlet) -> bool:
        """Whether its subscription is there; one that was about to end goes on if it can."""
        with self._filing:
            routes = self._open_routes(inlet)
            for _, route in routes:
                route.closing = route.passed
        for sub_id, route in routes:
            if route.passed:
                self._say_unsubscribe(sub_id, route)
        return any(not route.said for _, route in routes)

    def _subscribe(self, inlet: Inlet) -> None:
        durable = inlet.options.get("durable")
        named = durable is not None and dialect_of(self.client.server).durable == "id"
        given = None if named else f"stream-{next(self._numbers)}"
        sub_id = given or str(durable)
        route = _Route(inlet)
        with self._filing:
            if sub_id in self._routes and not self._routes[sub_id].said:
                raise STOMPError(f"there is a durable subscription {sub_id!r} already")
            # Entered before SUBSCRIBE goes out: its first MESSAGE may come at once.
            self._routes[sub_id] = route
            inlet.subscriptions = (*inlet.subscriptions, sub_id)
            receipt = f"subscribed-{sub_id}-{next(self._numbers)}"
            self._beginning[receipt] = sub_id, route
        asked = {"send_acks": False, "id": given, "receipt": receipt, **inlet.options}
        try:
            self.client.subscribe(inlet.destination, inlet.mode, **asked)
        except BaseException:
            if sub_id in self.client.subscriptions:  # an interrupt, behind SUBSCRIBE
                self._say_unsubscribe(sub_id, route)
            else:
                self._end(sub_id, route)
            raise

    def pause(self, inlet: Inlet) -> None:
        """End the subscription of an inlet until it subscribes again; its table goes on."""
        with inlet.changing:
            inlet.paused = True
            self._paused.add(inlet)
        self._close(inlet)

    def end(self, inlet: Inlet) -> None:
        """End the subscription of an inlet, and its table. Twice is fine.

        Messages on their way are filed in the mode ``auto``, and stay with the broker in the
        others. Where a callback acknowledges, what it has is finished first; when it asks for this
        itself, the subscription ends as soon as it has returned.
        """
        inlet.over = True
        self._close(inlet)

    def _close(self, inlet: Inlet) -> None:
        with self._filing:
            for _, route in self._open_routes(inlet):
                route.closing = True
        if inlet.callback_acks and self._callbacks.postpone(lambda: self._unsubscribe(inlet)):
            return
        try:
            if inlet.callback_acks:
                self._callbacks.wait(time.monotonic() + LEAVE_LIMIT, inlet)
            if inlet.keeper is not None:
                inlet.keeper.flush()
        finally:  # also when that is interrupted
            self._unsubscribe(inlet)

    def _open_routes(self, inlet: Inlet) -> list[tuple[str, _Route]]:
        """The subscriptions of an inlet whose UNSUBSCRIBE has not gone out; `_filing` is held."""
        routes = self._routes.items()
        return [(sub_id, r) for sub_id, r in routes if r.inlet is inlet and not r.said]

    def _unsubscribe(self, inlet: Inlet) -> None:
        """Send UNSUBSCRIBE, unless the inlet is to go on by now, and wait for the receipt."""
        said: list[_Route] = []
        with inlet.changing:
            if inlet.paused or inlet.over:
                with self._filing:
                    routes = self._open_routes(inlet)
                said = [self._say_unsubscribe(*named) for named in routes]
        if said:
            self._note_stream("unsubscribed", inlet, "" if inlet.over else " (paused)")
        # Where it would be a wait for oneself, there is none.
        waits = threading.current_thread() is not self._thread and not self._callbacks.is_current
        if waits:
            deadline = time.monotonic() + LEAVE_LIMIT
            for route in said:
                route.ended.wait(max(0.0, deadline - time.monotonic()))
        if inlet.over:
            if inlet.keeper is not None and (waits or not said):
                inlet.keeper.close()  # else when the receipt has come
            if inlet.keeper is not None and waits:
                inlet.keeper.join()
            self._end_table(inlet)
            self._paused.discard(inlet)

    def _say_unsubscribe(self, sub_id: str, route: _Route) -> _Route:
        route.said = True
        route.inlet.forget()
        self._callbacks.wake()
        receipt = f"unsubscribed-{sub_id}-{next(self._numbers)}"
        self._ending[receipt] = sub_id, route
        try:
            asked = self.client.unsubscribe(sub_id, receipt=receipt)
        except STOMPClosed:  # then it has ended with the connection
            asked = None
        if asked is None:
            self._end(sub_id, route)
        return route

    def _end(self, sub_id: str, route: _Route) -> None:
        """All that comes by a subscription has come."""
        with self._filing:
            if self._routes.get(sub_id) is route:
                del self._routes[sub_id]
        if route.inlet.keeper is not None and route.inlet.over:
            route.inlet.keeper.close()
        route.ended.set()

    def _refused(self, error: STOMPError) -> None:
        """End the stream whose SUBSCRIBE an ERROR is about, or it would be refused for ever.

        Where the ERROR does not say about which frame it is, and the connection has ended with it,
        that is the one SUBSCRIBE that the broker had not confirmed yet.
        """
        frame = error.Frame
        receipt = frame.get("receipt-id") if frame is not None else None
        since = time.monotonic() - BLAME_LIMIT
        recent = [known for known, (_, route) in self._beginning.items() if route.born > since]
        if receipt is None and len(recent) == 1:
            receipt = recent[0]
        if receipt not in self._beginning:
            return
        sub_id, route = self._beginning.pop(receipt)
        route.said = route.inlet.over = route.inlet.refused = True
        with contextlib.suppress(STOMPError):  # the connection is about to end
            self.client.unsubscribe(sub_id)
        self._end(sub_id, route)
        self._note_stream("refused", route.inlet, f": {error.Message}")
        self._end_table(route.inlet, error)
        route.inlet.answered.set()

    def _end_table(self, inlet: Inlet, error: STOMPError | None = None) -> None:
        """End the table of an inlet; how much of it is gone is noted once."""
        if error is None and inlet.keeper is not None:
            error = inlet.keeper.error
        inlet.table.end(error)
        with self._filing:  # several threads may end it at once
            was_full = inlet in self._full
            self._full.discard(inlet)
        if was_full:
            self._note_stream(
                "full", inlet, f" has ended: {inlet.table.dropped:,} frames were dropped in all"
            )

    def _note_drops(self, inlet: Inlet) -> None:
        """Note that a table is full, when it has dropped the first rows; `_filing` is held."""
        if inlet not in self._full and not inlet.table.ended:
            self._full.add(inlet)
            self._note_stream("full", inlet, f" is full at {_bound(inlet.table)}: the oldest go")

    # -- the thread --------------------------------------------------------------------------

    def leave(self) -> None:
        """Say goodbye; returns when the threads have ended, or soon at any rate.

        What is to be kept is waited for as long as a disk may take.
        """
        self._left = True
        keepers: list[Keeper] = []
        if self._filing.acquire(timeout=LEAVE_LIMIT):
            for route in self._routes.values():
                route.closing = True
            inlets = {route.inlet for route in self._routes.values()} | self._paused
            keepers = [inlet.keeper for inlet in inlets if inlet.keeper is not None]
            self._filing.release()
        deadline = time.monotonic() + LEAVE_LIMIT
        self._callbacks.wait(deadline)
        self._callbacks.cancel()
        for keeper in keepers:
            keeper.flush()
        connecting = self._lost  # an attempt that has begun is not cut short, and not waited for
        self.client.disconnect()
        if threading.current_thread() is not self._thread and not connecting:
            self._thread.join(LEAVE_LIMIT)
        if threading.current_thread() is not self._thread:
            for keeper in keepers:
                keeper.close()
            for keeper in keepers:
                keeper.join()
        self._callbacks.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        failure: STOMPError | None = None
        try:
            while frames := self.client.recv_burst():
                self._take_all(frames, self._now())
            failure = self.client.close_reason
        except STOMPError as error:
            failure = error
        except Exception as error:
            _log.exception("the thread that reads %s failed", self.client)
            failure = STOMPError(f"reading failed: {error!r}")
        self.client.disconnect()
        self._callbacks.close()
        if failure is not None and not self._left:
            failure = self._last_words or failure
            self.last_error = failure
        with self._filing:
            routes, self._routes = self._routes, {}
        inlets = {route.inlet for route in routes.values()} | self._paused
        keepers = [inlet.keeper for inlet in inlets if inlet.keeper is not None]
        for keeper in keepers:
            keeper.close()
        for keeper in keepers:
            keeper.join()
        for inlet in inlets:
            self._end_table(inlet, failure)
        for route in routes.values():
            route.ended.set()
        kind = "disconnected" if failure is None or self._left else "lost"
        self._journal.note(kind, self._where(failure))
        self._tell()

    def _take_all(self, frames: list[STOMPFrame], arrival: int) -> None:
        """What one read has brought: messages for a table alone go there at once."""
        for sub_id, burst in _by_subscription(frames):
            if sub_id is None or not self._filed_at_once(sub_id, burst, arrival):
                for frame in burst:
                    self._take(frame, arrival)
            route = self._routes.get(sub_id or "")
            if route is not None and route.inlet.keeper is not None:
                route.inlet.keeper.wait_for_room()

    def _filed_at_once(self, sub_id: str, burst: list[STOMPFrame], arrival: int) -> bool:
        """File messages that this thread does not acknowledge and no callback gets: for half of
        the cost."""
        with self._filing:
            route = self._routes.get(sub_id)
            if route is None or route.inlet.callbacks:
                return False
            by_keeper = route.inlet.keeper_acks and not route.closing
            if route.inlet.mode is not AckMode.Auto and not by_keeper:
                return False
            self._filed_by = self._thread.ident
            try:
                route.inlet.take_all(burst, arrival)
                if route.inlet.table.dropped:
                    self._note_drops(route.inlet)
            finally:
                self._filed_by = None
        self._last_words = None
        self.received += len(burst)
        if self._untold:
            self._tell_all()
        return True

    def _take(self, frame: STOMPFrame, arrival: int) -> None:
        self._last_words = None
        if frame.Command == "MESSAGE":
            self.received += 1
            with self._filing:
                self._filed_by = self._thread.ident
                try:
                    calls = self._filed(frame, arrival)
                finally:
                    self._filed_by = None
            if self._untold:
                self._tell_all()
            for call in calls:  # may wait, and so without the lock
                self._callbacks.put(call)
        elif frame.Command == "RECEIPT":
            receipt = frame.get("receipt-id", "")
            if receipt in self._ending:
                self._end(*self._ending.pop(receipt))
            elif receipt in self._beginning:
                self._beginning.pop(receipt)[1].inlet.answered.set()
        elif frame.Command == "ERROR":
            self.last_error = self._last_words = broker_error(frame)
            self._journal.note_error(frame)
            if self._lost or "receipt-id" in frame:
                self._refused(self._last_words)
            self._tell()

    def _filed(self, frame: STOMPFrame, arrival: int) -> list[Call]:
        """File a message; returns the calls that are to be made with it.

        It is passed over when it can be acknowledged no more: the broker keeps it.
        """
        route = self._routes.get(frame.get("subscription", ""))
        if route is None:
            return []
        inlet = route.inlet
        if route.closing and inlet.mode is not AckMode.Auto:
            route.passed = True
            return []
        callbacks = [(callback, callback.acks) for callback in inlet.callbacks]
        by_callback = any(acks for _, acks in callbacks)
        number = inlet.take(frame, arrival, by_callback)
        if inlet.table.dropped:
            self._note_drops(inlet)
        calls = [Call(inlet, number, frame, callback, acks) for callback, acks in callbacks]
        for call in calls:
            self._callbacks.expect(call)  # here, so that who leaves knows of it
        return calls


def _bound(table: FrameTable) -> str:
    """What a table that has dropped rows holds, by the bound that it has reached."""
    if len(table) >= table.max_rows:
        return f"{table.max_rows:,} rows"
    return f"{table.max_bytes / 1024**2:,.6g} MiB"


def _by_subscription(
    frames: list[STOMPFrame],
) -> Iterator[tuple[str | None, list[STOMPFrame]]]:
    """Runs of messages of one subscription, with its id; None for other frames."""
    try:
        ids = [frame["subscription"] if frame.Command == "MESSAGE" else None for frame in frames]
    except KeyError:  # a message without one
        ids = [None] * len(frames)
    if ids.count(ids[0]) == len(frames):  # nearly always
        yield ids[0], frames
        return
    for sub_id, run in itertools.groupby(zip(ids, frames, strict=True), key=itemgetter(0)):
        yield sub_id, [frame for _, frame in run]
