"""A connected byte stream that one thread may read while others write: TCP, Unix sockets, TLS.

Sockets are non-blocking and every wait is a poll with a deadline, because a timeout set on a
socket would be shared by its reader and its writers. Deadlines are points on `time.monotonic`'s
scale; None waits without a bound.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from typing import TYPE_CHECKING, Protocol

from stompy.errors import STOMPTimeout

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

READ_SIZE = 64 * 1024

LONGEST_WAIT = 86_400.0
"""Seconds; the system takes none that is much longer, so a longer one is made of several."""

BURST, BURST_TIME = 64, 0.01
"""So many frames in so many seconds are a burst."""
BURST_PAUSE = 0.002
"""Seconds: when fewer come in such a time, it is over."""

_Selector: type[selectors.BaseSelector] = getattr(
    selectors, "PollSelector", selectors.SelectSelector
)


class Transport(Protocol):
    """What a connection needs of a byte stream."""

    def recv(self, deadline: float | None) -> bytes:
        """What has arrived; ``b""`` at the end of the stream. One thread at a time.

        Raises:
            STOMPTimeout: nothing had come when the deadline did; nothing is lost.
            OSError: the stream broke.
        """

    def read(self, into: list[bytes], deadline: float | None) -> None:
        """Append to a list what `recv` would return.

        Over a plain socket no interrupt comes between: what has left the system is in the list.
        """

    def send(self, data: bytes, deadline: float | None) -> None:
        """Write all of `data`. One thread at a time.

        What a time-out or an interrupt leaves unwritten goes out first at the next call, so that
        the stream stays whole.

        Raises:
            STOMPTimeout: the peer had not taken all of it when the deadline came.
            OSError: the stream broke.
        """

    def readable(self) -> bool:
        """Whether `recv` would return at once."""

    def shutdown(self) -> None:
        """End the stream both ways and wake whoever waits on it; the descriptor stays open."""

    def close(self) -> None:
        """Give the descriptor back. No other thread may be in `recv` or `send`."""


class SocketTransport:
    """A `Transport` over a connected socket."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._sends = 0  # how often something was sent
        # What is being sent, and how many octets of it each write took: together they say what is
        # unsent, whenever an interrupt comes.
        self._begun = b""
        self._written: list[int] = []

    def recv(self, deadline: float | None) -> bytes:
        data: list[bytes] = []
        self.read(data, deadline)
        return data[0]

    def read(self, into: list[bytes], deadline: float | None) -> None:
        while True:
            try:
                into.extend(map(self._socket.recv, (READ_SIZE,)))  # one call into C, as in `send`
                return
            except BlockingIOError:
                self._wait(selectors.EVENT_READ, deadline)

    def send(self, data: bytes, deadline: float | None, kept: list[bytes] | None = None) -> None:
        """As `Transport.send`; `kept` is emptied in the moment in which `data` is taken."""
        self._sends += 1
        if self._sends % BURST == 0:
            self._note_many()
        if self._begun:
            data = self._begun[sum(self._written) :] + data
        # An interrupt is raised when a call returns: these two stay together.
        self._begun, self._written = data, []
        if kept is not None:
            del kept[:]
        written = self._written
        rest: bytes | memoryview = data
        while rest:
            try:
                # One call into C, since an interrupt is raised between two: it would come between
                # the octets' way out and the note of it, and they would go out twice.
                written.extend(map(self._socket.send, (rest,)))
            except BlockingIOError:
                self._wait(selectors.EVENT_WRITE, deadline)
            else:
                if written[-1] == len(rest):
                    break
                rest = memoryview(rest)[written[-1] :]
        self._begun = b""

    def _note_many(self) -> None:
        """Called at every `BURST`-th send."""

    def readable(self) -> bool:
        return self._ready(selectors.EVENT_READ, 0)

    def shutdown(self) -> None:
        with contextlib.suppress(OSError):  # the peer may have closed it first
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()

    def _wait(self, event: int, deadline: float | None) -> None:
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        if timeout is not None and timeout > LONGEST_WAIT:
            self._ready(event, LONGEST_WAIT)
        elif not self._ready(event, timeout):
            raise STOMPTimeout("nothing could be read or written in time")

    def _ready(self, event: int, timeout: float | None) -> bool:
        with _Selector() as selector:
            selector.register(self._socket, event)
            return bool(selector.select(timeout))


class TCPTransport(SocketTransport):
    """A `Transport` over TCP, where the frames of a burst share segments.

    A segment for each frame costs several times what the rest of sending one does. So the kernel
    may gather small frames (Nagle's algorithm) as long as many are sent in close succession; a
    thread that lives as long as the burst sees to it that the last of them leaves, too. At all
    other times each frame leaves at once.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._gathers = False
        self._noted = 0.0  # when there had been so many frames again

    def _note_many(self) -> None:
        now = time.monotonic()
        if now - self._noted < BURST_TIME and not self._gathers:
            self._gather()
        self._noted = now

    def _gather(self) -> None:
        self._gathers = True
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        try:
            threading.Thread(target=self._end_burst, name="stompy-burst", daemon=True).start()
        except RuntimeError:  # at the interpreter's end none starts: each frame leaves at once
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _end_burst(self) -> None:
        """Wait until few are sent any more, and have the kernel send what it has gathered."""
        now, sends = time.monotonic(), self._sends
        while True:
            time.sleep(BURST_PAUSE)  # or longer, where another thread computes
            before, sent = now, sends
            now, sends = time.monotonic(), self._sends
            if sends - sent < BURST / BURST_TIME * (now - before):
                break
        with contextlib.suppress(OSError):  # it may be closed by now
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._gathers = False


class TLSTransport:
    """A `Transport` that speaks TLS over another.

    OpenSSL works on two memory buffers here, under a lock: a TLS socket must not be read and
    written by two threads at once, and this way a reader that waits does not hold up a writer.
    """

    def __init__(self, raw: SocketTransport, context: ssl.SSLContext, host: str) -> None:
        import ssl

        self._want_read = ssl.SSLWantReadError
        self._ends = (ssl.SSLZeroReturnError, ssl.SSLEOFError)
        self._raw = raw
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._lock = threading.Lock()  # guards OpenSSL's state
        self._writing = threading.Lock()  # keeps the order of what OpenSSL has written
        # What is on its way between the socket and OpenSSL, in and out: an interrupt loses nothing.
        self._sealed: list[bytes] = []
        self._taken: list[int] = []
        self._unsent: list[bytes] = []

    def handshake(self, deadline: float) -> None:
        """Agree on keys, and check the peer's certificate.

        Raises:
            ssl.SSLCertVerificationError: the certificate is not trusted, or is of another host.
            ssl.SSLError: the peer speaks no TLS, or none that both know.
            STOMPTimeout, OSError: as `recv` and `send`.
        """
        while True:
            try:
                with self._lock:
                    self._tls.do_handshake()
            except self._want_read:
                self._flush(deadline)
                self._take(deadline)
            else:
                self._flush(deadline)
                return

    def recv(self, deadline: float | None) -> bytes:
        data: list[bytes] = []
        self.read(data, deadline)
        return data[0]

    def read(self, into: list[bytes], deadline: float | None) -> None:
        while True:
            try:
                with self._lock:
                    into.extend(map(self._tls.read, (READ_SIZE,)))
                    return
            except self._want_read:
                self._take(deadline)
            except self._ends:
                into.append(b"")
                return

    def send(self, data: bytes, deadline: float | None) -> None:
        with self._writing:  # one thread at a time sends, and `shutdown` does not wait
            with self._lock:
                self._tls.write(data)
            self._write(deadline)

    def readable(self) -> bool:
        return self._tls.pending() > 0 or self._incoming.pending > 0 or self._raw.readable()

    def shutdown(self) -> None:
        with contextlib.suppress(OSError, STOMPTimeout):
            with self._lock, contextlib.suppress(self._want_read):
                self._tls.unwrap()  # writes the alert that says it ends here, not cut off
            self._flush(time.monotonic())
        self._raw.shutdown()

    def close(self) -> None:
        self._raw.close()

    def _take(self, deadline: float | None) -> None:
        """Hand to OpenSSL what comes in."""
        if not self._sealed:
            self._raw.read(self._sealed, deadline)
        with self._lock:
            if not self._sealed[0]:
                self._incoming.write_eof()
            elif not self._taken:
                self._taken.extend(map(self._incoming.write, self._sealed))
            del self._sealed[:], self._taken[:]

    def _flush(self, deadline: float | None) -> None:
        with turn_to_write(self._writing, deadline):
            self._write(deadline)

    def _write(self, deadline: float | None) -> None:
        """Send what OpenSSL has written; `_writing` is held."""
        with self._lock:
            self._unsent.extend(map(self._outgoing.read, (-1,)))
        self._raw.send(b"".join(self._unsent), deadline, self._unsent)


def patience(deadline: float | None) -> float:
    """Seconds until the deadline, as the ``acquire`` of a lock takes them."""
    if deadline is None:
        return -1
    return min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)


@contextlib.contextmanager
def turn_to_write(lock: threading.Lock, deadline: float | None) -> Iterator[None]:
    """Hold the lock; STOMPTimeout when another thread does so until the deadline."""
    if not lock.acquire(timeout=patience(deadline)):
        raise STOMPTimeout("another thread is writing")
    try:
        yield
    finally:
        lock.release()


def open_tcp(host: str, port: int, deadline: float) -> TCPTransport:
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
            _connect(sock, where, (deadline - time.monotonic()) / left)
            return TCPTransport(sock)
        except OSError as error:
            failure = error
    if isinstance(failure, TimeoutError):
        raise STOMPTimeout("no answer to the connection attempt") from failure
    raise failure


def open_unix(path: str, deadline: float) -> SocketTransport:
    """Connect to a Unix socket.

    Raises:
        OSError: what the operating system says.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    _connect(sock, path, deadline - time.monotonic())
    return SocketTransport(sock)


def _connect(sock: socket.socket, where: object, timeout: float) -> None:
    """Connect, or close the socket and raise."""
    try:
        sock.settimeout(max(0.001, timeout))
        sock.connect(where)  # type: ignore[arg-type]
    except BaseException:
        sock.close()
        raise


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
