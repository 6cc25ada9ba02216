"""The event loop that serves a broker's clients, in a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from stompy.broker.faults import NO_FAULTS, Faults
from stompy.broker.listeners import ListenAt, Listeners
from stompy.errors import STOMPError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stompy.broker.connection import Connection
    from stompy.broker.session import Rules

_log = logging.getLogger("stompy.broker")

T = TypeVar("T")

FLUSH_LIMIT = 0.5
"""Seconds that clients have to read what is left for them when the broker stops."""
CALL_LIMIT = 5.0
"""Seconds for which somebody waits for the engine's thread."""
TURNED_AWAY = 32
"""Clients beyond the most who are told so at a time; others are cut without a word."""

_TRAFFIC = ("frames_received", "frames_sent", "octets_received", "octets_sent")


class Engine:
    """The event loop, its thread, and what they serve.

    Attributes:
        rules: what holds for all clients.
        listeners: where the clients arrive.
        max_clients: how many there may be.
    """

    _loop: asyncio.AbstractEventLoop  # made in the thread: on Windows it takes the signals there

    def __init__(self, where: ListenAt, rules: Rules) -> None:
        self.rules = rules
        self.listeners = Listeners(where, self)
        self.max_clients = min(rules.limits.max_clients, _files_allowed() // 2)
        self._thread = threading.Thread(target=self._run, name="stompy-broker", daemon=True)
        self._listening = threading.Event()
        self._failure: BaseException | None = None
        self._stopping: asyncio.Event | None = None
        self._calls: set[concurrent.futures.Future[Any]] = set()  # not answered yet
        self._ending = threading.RLock()  # no call comes while the loop is closed
        self._runs = False
        self._told_to_stop = False
        self._joined = 0
        self._connections: dict[str, Connection] = {}
        self._unsent: set[Connection] = set()
        self.faults = NO_FAULTS
        self._gone = dict.fromkeys(_TRAFFIC, 0)
        self._since = time.time()

    # -- from any thread ---------------------------------------------------------------------

    def start(self) -> None:
        """Listen; raises what prevents it."""
        try:
            self._thread.start()
            self._listening.wait()
        except BaseException:  # somebody has pressed Ctrl-C
            self.stop()
            raise
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def stop(self) -> None:
        """Say goodbye to all and end the thread; twice is fine."""
        with self._ending:
            self._told_to_stop = True  # for a loop that does not run yet
            if self._runs:
                self._loop.call_soon_threadsafe(self._stop)
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(CALL_LIMIT)

    def call(self, function: Callable[[], T]) -> T:
        """What the function returns, called in the engine's thread."""
        if threading.current_thread() is self._thread:
            return function()
        result: concurrent.futures.Future[T] = concurrent.futures.Future()

        def answer() -> None:
            self._calls.discard(result)
            try:
                result.set_result(function())
            except Exception as error:
                result.set_exception(error)

        with self._ending:
            if not self._runs:
                raise STOMPError("the broker is not running any more")
            self._calls.add(result)
            self._loop.call_soon_threadsafe(answer)
        try:
            return result.result(CALL_LIMIT)
        except concurrent.futures.TimeoutError as error:
            raise STOMPError(f"the broker has not answered for {CALL_LIMIT:g} s") from error

    # -- the thread --------------------------------------------------------------------------

    def _stop(self) -> None:
        if self._stopping is not None:
            self._stopping.set()

    def _run(self) -> None:
        try:
            with self._ending:
                self._loop = asyncio.new_event_loop()
                self._runs = True
            self._loop.run_until_complete(self._serve())
        except BaseException as error:
            self._failure = error
            if self._listening.is_set():  # nobody waits to be told
                _log.exception("the broker has failed")
        finally:
            with self._ending:
                if self._runs:
                    self._runs = False
                    self._loop.close()
            for call in self._calls:
                call.set_exception(STOMPError("the broker is not running any more"))
            self._listening.set()

    async def _serve(self) -> None:
        self._stopping, self._all_left = asyncio.Event(), asyncio.Event()
        if self._told_to_stop:
            self._stopping.set()
        try:
            await self.listeners.open()
            self._listening.set()
            await self._stopping.wait()
        finally:  # also of a start that has failed: somebody may have come meanwhile
            await self.listeners.close()
            await self._say_goodbye()

    async def _say_goodbye(self) -> None:
        for connection in list(self._connections.values()):
            connection.close()
        if self._connections:
            self.later(FLUSH_LIMIT, self._cut)
            await self._all_left.wait()
        await self._end_handshakes()

    async def _end_handshakes(self) -> None:
        """Forget the clients with whom TLS was not agreed yet; asyncio has a task for each."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # their transports are closed in the next turn

    def _cut(self) -> None:
        for connection in list(self._connections.values()):
            connection.cut()

    # -- what connections call, in this thread -----------------------------------------------

    def now(self) -> float:
        """The time, on the clock that the sessions have."""
        return self._loop.time()

    def later(self, seconds: float, what: Callable[[], None]) -> asyncio.TimerHandle:
        """Call a function after so many seconds, and send what comes of it."""
        return self._loop.call_later(seconds, self._call_and_flush, what)

    def _call_and_flush(self, what: Callable[[], None]) -> None:
        try:
            what()
        finally:
            self.flush()

    def next_id(self) -> str:
        """The name of the next session."""
        self._joined += 1
        return str(self._joined)

    def joined(self, connection: Connection) -> None:
        """A client has come."""
        self._connections[connection.session.id] = connection
        self._all_left.clear()
        if self.faults != NO_FAULTS:
            connection.set_faults(self.faults)
        if len(self._connections) > self.max_clients:
            connection.turn_away()
        if len(self._connections) > self.max_clients + TURNED_AWAY:
            connection.cut()

    def left(self, connection: Connection) -> None:
        """A client has gone."""
        session = connection.session
        del self._connections[session.id]
        self._unsent.discard(connection)
        for name in _TRAFFIC:
            self._gone[name] += getattr(session, name)
        if not self._connections:
            self._all_left.set()

    def will_send(self, connection: Connection) -> None:
        """A client has something to be sent at the next `flush`."""
        self._unsent.add(connection)

    def flush(self) -> None:
        """Send what the frames just handled have produced, at whichever connections."""
        while self._unsent:
            connection = self._unsent.pop()
            try:
                connection.pump()
            except Exception:  # a bug, and not of the client whose frames are being handled
                _log.exception("client %s could not be sent to", connection.session.id)
                connection.session.end("internal error")
                connection.cut()

    # -- what the broker asks for, in this thread --------------------------------------------

    def stats(self) -> dict[str, object]:
        """Figures of the whole broker."""
        traffic = dict(self._gone)
        for connection in self._connections.values():
            for name in _TRAFFIC:
                traffic[name] += getattr(connection.session, name)
        destinations = self.rules.destinations
        return {
            "seconds": time.time() - self._since,
            "clients": len(self._connections),
            "clients_ever": self._joined,
            "octets": destinations.memory.octets + destinations.kept.octets,
            **vars(destinations.counts()),
            **traffic,
        }

    def clients(self) -> list[dict[str, object]]:
        """All who are connected."""
        return [connection.described() for connection in self._connections.values()]

    def set_faults(self, faults: Faults, client: str | None) -> None:
        """Have faults on the lines to one client, or to all, also to those to come."""
        if client is not None:
            self._find(client).set_faults(faults)
            return
        self.faults = faults
        for connection in self._connections.values():
            connection.set_faults(faults)

    def drop(self, client: str | None) -> None:
        """Cut the connection of one client, or of all, without a word."""
        for connection in [self._find(client)] if client else list(self._connections.values()):
            connection.session.end("dropped by the broker")
            connection.cut()

    def _find(self, client: str) -> Connection:
        if client not in self._connections:
            raise STOMPError(f"no client {client!r}", hint="broker.clients() lists them")
        return self._connections[client]


def _files_allowed() -> int:
    """How many files and sockets this process may have open."""
    try:
        import resource
    except ImportError:  # Windows, where there is no such limit
        return sys.maxsize
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft
