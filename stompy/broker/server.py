"""The broker's listener: asyncio, in a thread of its own."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from stompy.broker.destinations import Destinations
from stompy.broker.session import Session
from stompy.errors import STOMPError

if TYPE_CHECKING:
    from typing import Self

StrPath = str | os.PathLike[str]

UNREAD_LIMIT = 64 * 1024 * 1024
"""Octets that may wait for one client to read them, before it gets nothing more."""
SEND_SIZE = 64 * 1024
LINGER = 2.0
"""Seconds that a client has to read the broker's last words before the connection is cut."""
FLUSH_LIMIT = 0.5
"""Seconds that clients have to read what is left for them when the broker stops."""
STOP_LIMIT = 5.0


class Broker:
    """A STOMP 1.0, 1.1 and 1.2 broker in this process, for one machine.

    Queues and topics live in memory and are gone when it stops. ``/topic/…`` goes to all
    subscribers of the moment; everything else is a queue. A client that does not read is held back
    at 64 MiB: its queues keep their messages, its topics' messages are dropped.

    Args:
        host: the interface to listen on; by default this machine alone can connect.
        port: the port; 0 takes a free one.
        unix_path: a Unix socket to listen on as well; who may use it is a matter of its folder.

    Example:
        >>> with Broker() as broker:
        ...     client = stompy.connect(broker.address)
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, *, unix_path: StrPath | None = None
    ) -> None:
        self._wanted = (host, port, unix_path)
        self._engine: _Engine | None = None
        self._finalizer: weakref.finalize[[], Broker] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """``(host, port)`` of the running broker, as `stompy.connect` takes it.

        Raises:
            STOMPError: it does not run.
        """
        if self._engine is None:
            raise STOMPError("the broker is not running", hint="start() it, or use `with`")
        return self._engine.address

    @property
    def running(self) -> bool:
        """Whether it listens."""
        return self._engine is not None

    def start(self) -> Self:
        """Listen. Does nothing when it runs already.

        Raises:
            OSError: the address is taken or not to be had.
        """
        if self._engine is None:
            engine = _Engine(*self._wanted)
            engine.start()
            self._engine = engine
            # The engine's thread knows nothing of the Broker, so that a forgotten one can go.
            self._finalizer = weakref.finalize(self, engine.stop)
        return self

    def stop(self) -> None:
        """Close all connections and stop listening; twice is fine."""
        if self._finalizer is not None:
            self._finalizer()
        self._engine = self._finalizer = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        if self._engine is None:
            return "<Broker, stopped>"
        host, port = self._engine.address
        return f"<Broker at {host}:{port}>"


class _Engine:
    """The event loop, its thread, and what they serve."""

    def __init__(self, host: str, port: int, unix_path: StrPath | None) -> None:
        self.address = (host, port)
        self._unix_path = unix_path
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="stompy-broker", daemon=True)
        self._listening = threading.Event()
        self._failure: BaseException | None = None
        self._stopping: asyncio.Event | None = None
        self._destinations = Destinations()
        self._connections: set[_Connection] = set()
        self._unsent: set[_Connection] = set()

    def start(self) -> None:
        self._thread.start()
        self._listening.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def stop(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._stop)
        except RuntimeError:  # the loop is closed: it has stopped already
            return
        if threading.current_thread() is not self._thread:
            self._thread.join(STOP_LIMIT)

    def _stop(self) -> None:
        if self._stopping is not None:
            self._stopping.set()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:
            self._failure = error
        finally:
            self._loop.close()
            self._listening.set()

    async def _serve(self) -> None:
        self._stopping, self._all_left = asyncio.Event(), asyncio.Event()
        servers: list[asyncio.Server] = []
        try:
            await self._listen(servers)
            self._listening.set()
            await self._stopping.wait()
        finally:
            for server in servers:
                server.close()
            if self._unix_path is not None and len(servers) == 2:
                Path(self._unix_path).unlink(missing_ok=True)
        for connection in list(self._connections):
            connection.close()
        if self._connections:
            self._loop.call_later(FLUSH_LIMIT, self._cut)
            await self._all_left.wait()

    async def _listen(self, servers: list[asyncio.Server]) -> None:
        servers.append(await self._loop.create_server(lambda: _Connection(self), *self.address))
        self.address = servers[0].sockets[0].getsockname()[:2]
        if self._unix_path is not None:
            path = os.fspath(self._unix_path)
            if _listens(path):  # asyncio would take it over, as it does what a crash has left
                raise OSError(errno.EADDRINUSE, f"{path} is in use")
            servers.append(await self._loop.create_unix_server(lambda: _Connection(self), path))

    def _cut(self) -> None:
        for connection in list(self._connections):
            connection.cut()

    # -- called by the connections, in the loop's thread -------------------------------------

    def joined(self, connection: _Connection) -> Session:
        self._connections.add(connection)
        self._all_left.clear()
        return Session(self._destinations, connection.has_output)

    def will_send(self, connection: _Connection) -> None:
        self._unsent.add(connection)

    def left(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        self._unsent.discard(connection)
        if not self._connections:
            self._all_left.set()

    def flush(self) -> None:
        """Send what the frames just handled have produced, at whichever connections."""
        while self._unsent:
            self._unsent.pop().send_output()


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) == 0


class _Connection(asyncio.Protocol):
    """One client's socket."""

    def __init__(self, engine: _Engine) -> None:
        self._engine = engine
        self._closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=UNREAD_LIMIT)
        self._session = self._engine.joined(self)

    def data_received(self, data: bytes) -> None:
        self._session.receive(data)
        self._engine.flush()

    def has_output(self, session: Session) -> None:
        """Called by the session. Much output is sent at once, so that a client that does not read
        shows before a whole queue has been delivered to it."""
        self._engine.will_send(self)
        if session.output_size >= SEND_SIZE:
            self.send_output()

    def send_output(self) -> None:
        self._transport.write(self._session.take_output())
        if self._session.closing and not self._closing:
            self._closing = True
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        """Close so that the last frame arrives: a reset would swallow it (STOMP 1.2,
        "Connection Lingering"), so the sending side ends first and the client may close."""
        if self._transport.can_write_eof():
            self._transport.write_eof()
        asyncio.get_running_loop().call_later(LINGER, self._transport.abort)

    def pause_writing(self) -> None:
        self._session.ready = False

    def resume_writing(self) -> None:
        if not self._session.closing:
            self._session.resume()
            self._engine.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._engine.left(self)
        self._session.end()
        self._engine.flush()

    def close(self) -> None:
        """Send what is left, then close."""
        self._transport.close()

    def cut(self) -> None:
        """Close now."""
        self._transport.abort()
