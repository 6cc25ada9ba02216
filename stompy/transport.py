"""A connected byte stream that one thread may read while others write.

The socket is non-blocking and every wait is a poll with a deadline, because a timeout set on a
socket would be shared by its reader and its writers.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time

from stompy.errors import STOMPTimeout

READ_SIZE = 64 * 1024

_Selector: type[selectors.BaseSelector] = getattr(
    selectors, "PollSelector", selectors.SelectSelector
)


class SocketTransport:
    """A TCP connection.

    Deadlines are points on `time.monotonic`'s scale; None waits without a bound. A wait that
    reaches its deadline raises STOMPTimeout, and `shutdown` from any thread ends all waits.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock

    def recv(self, deadline: float | None) -> bytes:
        """What has arrived, up to 64 KiB; ``b""`` at the end of the stream."""
        while True:
            try:
                return self._socket.recv(READ_SIZE)
            except BlockingIOError:
                self._wait(selectors.EVENT_READ, deadline)

    def send(self, data: bytes, deadline: float | None) -> None:
        """Write all of `data`. After a STOMPTimeout an unknown part of it is written."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                self._wait(selectors.EVENT_WRITE, deadline)

    def shutdown(self) -> None:
        """End the stream both ways and wake whoever waits on it; the descriptor stays open."""
        with contextlib.suppress(OSError):  # the peer may have closed it first
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the descriptor back. No other thread may be in `recv` or `send`."""
        self._socket.close()

    def _wait(self, event: int, deadline: float | None) -> None:
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        with _Selector() as selector:
            selector.register(self._socket, event)
            if not selector.select(timeout):
                raise STOMPTimeout("nothing could be read or written in time")


def open_tcp(host: str, port: int, deadline: float) -> SocketTransport:
    """Connect to the first of the host's addresses (IPv6 or IPv4) that answers.

    Each has its share of the time: one that swallows connections leaves enough for the others.

    Raises:
        socket.gaierror: the name is not known.
        STOMPTimeout: the deadline has come.
        OSError: what the operating system says of the last address.
    """
    failure: OSError = OSError(f"{host} has no address")
    found = _resolve(host, port, deadline)
    for left, (family, kind, protocol, _, where) in zip(
        range(len(found), 0, -1), found, strict=True
    ):
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:  # a name may have addresses of a family that this machine lacks
            failure = error
            continue
        try:
            sock.settimeout(max(0.001, (deadline - time.monotonic()) / left))
            sock.connect(where)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return SocketTransport(sock)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
    if isinstance(failure, TimeoutError):
        raise STOMPTimeout("no answer to the connection attempt") from failure
    raise failure


def _resolve(host: str, port: int, deadline: float) -> list[tuple]:  # type: ignore[type-arg]
    """`socket.getaddrinfo` with a bound: it has none itself, and a dead name server is common."""
    outcome: list[list[tuple] | OSError] = []  # type: ignore[type-arg]

    def ask() -> None:
        try:
            outcome.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            outcome.append(error)
        except UnicodeError as error:  # a name that cannot be written in the name system
            outcome.append(socket.gaierror(socket.EAI_NONAME, str(error)))

    thread = threading.Thread(target=ask, name=f"stompy-resolve-{host}", daemon=True)
    thread.start()
    thread.join(max(0.0, deadline - time.monotonic()))
    if not outcome:
        raise STOMPTimeout("the name server did not answer")
    if isinstance(outcome[0], OSError):
        raise outcome[0]
    return outcome[0]
