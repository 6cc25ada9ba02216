"""Where a broker listens: TCP, TLS, a Unix socket, WebSockets."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from stompy.broker.connection import LINGER, Connection, place_of
from stompy.errors import STOMPError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from stompy.broker.engine import Engine
    from stompy.tls import StrPath

BACKLOG = 1024
"""Clients that may wait to be accepted."""


class ListenAt(NamedTuple):
    """Where a broker is to listen. A port is 0 for a free one, and None for none.

    Attributes:
        host, port: for TCP.
        unix_path: for a Unix socket.
        tls_port: for TLS.
        websocket_port, wss_port: for WebSockets, in the clear and with TLS.
        tls: how TLS is to be spoken.
        origins: pages that may open WebSockets besides those of this machine.
    """

    host: str
    port: int
    unix_path: StrPath | None = None
    tls_port: int | None = None
    websocket_port: int | None = None
    wss_port: int | None = None
    tls: ssl.SSLContext | None = None
    origins: tuple[str, ...] = ()


class Listeners:
    """The sockets at which an engine's clients arrive. In the event loop's thread.

    Attributes:
        urls: where they are, by scheme.
        address: host and port for TCP.
    """

    def __init__(self, where: ListenAt, engine: Engine) -> None:
        self.urls: dict[str, str] = {}
        self.address = (where.host, where.port)
        self._where = where
        self._engine = engine
        self._servers: list[asyncio.Server] = []
        self._unix_socket: os.stat_result | None = None

    async def open(self) -> None:
        """Listen everywhere.

        Raises:
            OSError: an address is taken or not to be had; some may be open then.
            STOMPError: the library for WebSockets is missing, or the system has no Unix sockets.
        """
        where = self._where
        plain = partial(Connection, self._engine)
        self.address = await self._listen_tcp("stomp", where.port, partial(plain, "stomp"))
        if where.tls_port is not None:
            await self._listen_tcp("stomp+ssl", where.tls_port, partial(plain, "stomp+ssl"))
        for scheme, port in (("ws", where.websocket_port), ("wss", where.wss_port)):
            if port is not None:
                await self._listen_tcp(scheme, port, self._websocket_factory(scheme))
        if where.unix_path is not None:
            await self._listen_unix(os.fspath(where.unix_path))

    async def _listen_tcp(
        self, scheme: str, port: int, factory: Callable[[], Connection]
    ) -> tuple[str, int]:
        secure = scheme in ("stomp+ssl", "wss")
        host = self._where.host or "0.0.0.0"
        with _naming(f"{host}:{port} ({scheme})"):
            server = await asyncio.get_running_loop().create_server(
                factory,
                host,
                port,
                family=0 if port else await self._family(host),
                backlog=BACKLOG,
                ssl=self._where.tls if secure else None,
                ssl_handshake_timeout=self._engine.rules.limits.connect_timeout if secure else None,
                ssl_shutdown_timeout=LINGER if secure else None,
            )
        self._servers.append(server)
        address: tuple[str, int] = server.sockets[0].getsockname()[:2]
        self.urls[scheme] = f"{scheme}://{place_of(address)}"
        return address

    async def _family(self, host: str) -> int:
        """Of a name that stands for several addresses the first: each would get a free port of its
        own."""
        found = await asyncio.get_running_loop().getaddrinfo(host, 0, type=socket.SOCK_STREAM)
        return found[0][0]

    def _websocket_factory(self, scheme: str) -> Callable[[], Connection]:
        try:
            from stompy.broker.websocket import WebSocketConnection
        except ImportError as error:
            raise STOMPError(
                "a WebSocket needs the websockets library",
                hint='pip install "stompy-jupyter[ws]"',
            ) from error
        return partial(WebSocketConnection, self._engine, scheme, self._where.origins)

    async def _listen_unix(self, path: str) -> None:
        if not hasattr(socket, "AF_UNIX"):
            raise STOMPError("Unix sockets are not to be had on this system")
        factory = partial(Connection, self._engine, "stomp+unix")
        with _naming(path):
            _look_for_others(path)
            server = await asyncio.get_running_loop().create_unix_server(
                factory, path, backlog=BACKLOG
            )
        self._servers.append(server)
        self._unix_socket = Path(path).stat()
        self.urls["stomp+unix"] = f"stomp+unix://{Path(path).absolute()}"

    async def close(self) -> None:
        """Listen no more; who has just been accepted still joins."""
        loop = asyncio.get_running_loop()
        for sock in [sock for server in self._servers for sock in server.sockets]:
            with contextlib.suppress(NotImplementedError):  # the loop of Windows has no readers
                loop.remove_reader(sock)
        # A task, a transport, a protocol: a turn for each. A server that is closed meanwhile
        # refuses the transport, and asyncio would leave its socket open.
        for _ in range(3):
            await asyncio.sleep(0)
        for server in self._servers:
            _close(server)
        self._unlink_unix_socket()

    def _unlink_unix_socket(self) -> None:
        """Remove our Unix socket, unless somebody else's has taken its place."""
        if self._unix_socket is None:
            return
        path = Path(os.fspath(self._where.unix_path or ""))
        try:
            if os.path.samestat(path.stat(), self._unix_socket):
                path.unlink()
        except FileNotFoundError:
            pass


_ADVICE = {
    errno.EADDRINUSE: "; take another, or port 0 for a free one",
    errno.EACCES: "; ports below 1024 are for the system",
}


@contextlib.contextmanager
def _naming(where: str) -> Iterator[None]:
    """Say in an OSError of the block where it was that nobody could listen."""
    try:
        yield
    except OSError as error:
        number = error.errno or 0  # below 0: it is about the host's name, and not the system's
        reason = os.strerror(number) if number > 0 else error.strerror or error
        text = f"cannot listen on {where}: {reason}{_ADVICE.get(number, '')}"
        raise OSError(error.errno, text) from error


def _look_for_others(path: str) -> None:
    """Raise when somebody listens at a Unix socket: asyncio would take it over, as it does what a
    crash has left."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        number = probe.connect_ex(path)
    if number in (0, errno.EAGAIN, errno.EPROTOTYPE):  # it is busy, or no stream
        number = errno.EADDRINUSE
    if number not in (errno.ECONNREFUSED, errno.ENOENT):
        raise OSError(number, os.strerror(number))


def _close(server: asyncio.Server) -> None:
    """Listen no more, also where a child process has copies of the sockets."""
    for sock in server.sockets:
        with contextlib.suppress(OSError):  # some systems cannot
            sock.shutdown(socket.SHUT_RDWR)
    server.close()
