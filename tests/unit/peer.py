"""A broker that does what a test's script says, and refuses what no client may send.

It reads and writes octets by itself, without `stompy.wire`, so that a mistake in there shows.

>>> def script(link):
...     link.expect("SUBSCRIBE")
...     link.send(message(b"hello"))
>>> with session(script) as (client, peer):
...     client.subscribe("/queue/Q")
...     assert client.recv(5).Body == b"hello"
>>> [frame.command for frame in peer.frames]
['CONNECT', 'SUBSCRIBE', 'DISCONNECT']
"""

from __future__ import annotations

import contextlib
import re
import selectors
import socket
import struct
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import pytest

import stompy
from stompy.transport import SocketTransport
from tests.unit.ends import WAYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType

    from stompy import STOMPFrame

Script = Callable[["Link"], object]

TIMEOUT = 10.0
"""Seconds that nothing in these tests may take; reached only when a test fails."""

a_reset_keeps_what_was_sent = pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere a reset takes what was not read yet with it"
)

_ESCAPES = {"\\\\": "\\", "\\n": "\n", "\\c": ":", "\\r": "\r"}
_REQUIRED = {
    "CONNECT": {"accept-version", "host"},
    "SEND": {"destination"},
    "SUBSCRIBE": {"destination", "id"},
    "UNSUBSCRIBE": {"id"},
    "BEGIN": {"transaction"},
    "COMMIT": {"transaction"},
    "ABORT": {"transaction"},
    "DISCONNECT": set(),
}
_ACKNOWLEDGES = {"1.0": {"message-id"}, "1.1": {"message-id", "subscription"}, "1.2": {"id"}}


class Received(NamedTuple):
    """A frame of the client: headers unescaped, and the lines of its head as they came."""

    command: str
    headers: dict[str, str]
    body: bytes
    lines: list[str]


def raw(command: str, *lines: str, body: bytes = b"") -> bytes:
    """The octets of a frame; its header lines go out as they are written here."""
    return "\n".join((command, *lines, "\n")).encode() + body + b"\0"


def message(body: bytes, *lines: str) -> bytes:
    """The octets of a MESSAGE of subscription 1, unless `lines` name another."""
    usual = ("destination:/queue/Q", "message-id:m1", f"content-length:{len(body)}")
    mine = any(line.startswith("subscription:") for line in lines)
    return raw("MESSAGE", *usual, *([] if mine else ["subscription:1"]), *lines, body=body)


def bodies(frames: Iterable[STOMPFrame]) -> list[bytes]:
    """Those of frames that a client has received."""
    return [frame.Body for frame in frames]


def commands(frames: Iterable[Received]) -> list[str]:
    """Those of frames that a peer has received."""
    return [frame.command for frame in frames]


class Link:
    """The peer's end of one connection. Whatever goes wrong here is an AssertionError.

    Attributes:
        socket: a socket, or what has the same methods.
        beats: how many heart-beats came in front of frames.
    """

    def __init__(self, sock: Any, frames: list[Received]) -> None:
        sock.settimeout(TIMEOUT)
        self.version = "1.2"
        self.socket = sock
        self.beats = 0
        self._file = sock.makefile("rb")
        self._frames = frames
        self._last = ""

    def send(self, *octets: bytes) -> None:
        """Each in a write of its own."""
        for portion in octets:
            self.socket.sendall(portion)

    def expect(self, command: str) -> Received:
        """The next frame, which has to be a `command`."""
        received = self.read()
        assert received, f"the client closed instead of sending {command}"
        assert received.command == command, f"expected {command}, not {received}"
        return received

    def accept(self, version: str = "1.2", *lines: str) -> Received:
        """Take CONNECT, answer CONNECTED; return the CONNECT frame."""
        connect = self.expect("CONNECT")
        self.version = version
        self.send(raw("CONNECTED", *([] if version == "1.0" else [f"version:{version}"]), *lines))
        return connect

    def take(self, octets: bytes) -> None:
        """Take these octets, which need not be a frame that a client may send."""
        taken = self._file.read(len(octets))
        assert taken == octets, f"expected {octets!r}, not {taken!r}"

    def beat(self) -> None:
        """Take a heart-beat."""
        self.take(b"\n")

    def serve(self) -> None:
        """Answer what asks for a receipt, until the client closes."""
        while received := self.read():
            if "receipt" in received.headers:
                receipt = next(line for line in received.lines if line.startswith("receipt:"))
                with contextlib.suppress(ConnectionError):  # it may not wait for the answer
                    self.send(raw("RECEIPT", receipt.replace("receipt:", "receipt-id:", 1)))

    def stay_silent(self) -> None:
        """Read and answer nothing, until the client closes."""
        while self.read():
            pass

    def half_close(self) -> None:
        """Send no more; still read."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break the connection off, as a crashed broker does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def interrupt(self) -> None:
        """Wake the script, which may be reading in another thread."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def read(self) -> Received | None:
        """The next frame; None at the end of the connection."""
        if self._file.closed:
            return None
        try:
            received = self._read()
        except ConnectionError:
            return None
        except TimeoutError:
            raise AssertionError(f"the client sent nothing for {TIMEOUT} s") from None
        if received:
            self._check(received)
            self._last = received.command
            self._frames.append(received)
        return received

    def _read(self) -> Received | None:
        while (line := self._file.readline()) == b"\n":
            self.beats += 1
        if not line:
            return None
        lines = []
        while line != b"\n":
            assert line.endswith(b"\n"), f"the client closed inside a head: {lines} {line!r}"
            lines.append(line[:-1].decode())
            line = self._file.readline()
        command = lines.pop(0)
        headers = dict(self._header(command, line) for line in lines)
        assert len(headers) == len(lines), f"a header twice: {lines}"
        if "content-length" in headers:
            body = self._file.read(int(headers["content-length"]))
            end = self._file.read(1)
        else:
            body = b""
            while (end := self._file.read(1)) not in (b"", b"\0"):
                body += end
        assert end == b"\0", f"no NUL behind {command} {body[:40]!r}"
        return Received(command, headers, body, lines)

    def _header(self, command: str, line: str) -> tuple[str, str]:
        name, colon, value = line.partition(":")
        assert colon, f"a header line without a colon: {line!r}"
        if command == "CONNECT" or self.version == "1.0":
            return name, value
        assert ":" not in value, f"a colon that is not escaped: {line!r}"
        assert self.version == "1.1" or "\r" not in line, f"a CR that is not escaped: {line!r}"
        return self._unescaped(name), self._unescaped(value)

    def _unescaped(self, text: str) -> str:
        def replace(match: re.Match[str]) -> str:
            known = match[0] in _ESCAPES and (self.version, match[0]) != ("1.1", "\\r")
            assert known, f"undefined escape in {text!r}"
            return _ESCAPES[match[0]]

        return re.sub(r"\\.?", replace, text, flags=re.DOTALL)

    def _check(self, received: Received) -> None:
        command, headers, body, _ = received
        assert (command == "CONNECT") == (not self._last), f"{command} after {self._last!r}"
        assert self._last != "DISCONNECT", f"{command} after DISCONNECT"
        required = dict(_REQUIRED, ACK=_ACKNOWLEDGES[self.version])
        if self.version != "1.0":
            required["NACK"] = required["ACK"]
        assert command in required, f"no client may send {command} in STOMP {self.version}"
        missing = required[command] - headers.keys()
        assert not missing, f"{command} without {missing}"
        assert command == "SEND" or not body, f"a body in {command}: {body[:40]!r}"
        assert command != "CONNECT" or "receipt" not in headers, received


class Peer:
    """Listens at `address`; runs `scripts`, each on one connection, one after the other.

    At the end of its block every script must have come to its end; what failed in one is raised
    there, in front of what failed in the test because of that.

    Args:
        scripts: what to do with each connection.
        listener: where to listen, if not at a free port; the caller's to close.
        wrap: what to make of a socket that was accepted, e.g. one with TLS.

    Attributes:
        frames: all that the client sent, in order.
        refused: why `wrap` came to nothing for the last connection, whose script did not run then.
    """

    def __init__(
        self,
        *scripts: Script,
        listener: socket.socket | None = None,
        wrap: Callable[[socket.socket], Any] = lambda sock: sock,
    ) -> None:
        self.frames: list[Received] = []
        self.refused: Exception | None = None
        self._scripts = scripts
        self._wrap = wrap
        self._failure: BaseException | None = None
        self._aborted = False
        self._link: Link | None = None
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TIMEOUT)
        self.address: tuple[str, int] = self._listener.getsockname()
        self._thread = threading.Thread(target=self._run, name="peer", daemon=True)

    def _run(self) -> None:
        try:
            for script in self._scripts:
                if not self._aborted:
                    self._play(script)
        except BaseException as error:
            self._failure = self._failure or error

    def _play(self, script: Script) -> None:
        accepted, _ = self._listener.accept()
        accepted.settimeout(TIMEOUT)
        try:
            self._link = Link(self._wrap(accepted), self.frames)
        except (OSError, EOFError) as error:
            accepted.close()
            self.refused = error
            return
        try:
            if not self._aborted:
                script(self._link)
        except BaseException as error:
            self._failure = error  # known before the client can notice the end
            raise
        finally:
            self._link.close()

    def wait(self) -> None:
        """Until the scripts have come to their ends."""
        self._thread.join(TIMEOUT)
        assert not self._thread.is_alive(), "the script has not come to its end"

    def _abort(self) -> None:
        self._aborted = True
        if self._link:
            self._link.interrupt()
        with contextlib.suppress(OSError), socket.socket(self._listener.family) as knock:
            knock.settimeout(1)
            knock.connect(self.address)  # wakes accept()
        self._thread.join(TIMEOUT)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.wait()
        finally:
            failure = self._failure  # what fails from here on is the abort's work
            if self._thread.is_alive():
                self._abort()
            self._listener.close()
        if failure:
            raise failure


def nothing(_: Link) -> None:
    """A script without a line."""


def sends(*octets: bytes, then: Script = nothing) -> Script:
    """A script that sends `octets` as soon as the session is there, then does `then`."""

    def script(link: Link) -> None:
        link.send(*octets)
        then(link)

    return script


def delivers(*bodies: bytes, then: Script = nothing) -> Script:
    """A script that answers SUBSCRIBE by messages with the ack headers ack1, ack2, …"""

    def script(link: Link) -> None:
        subscription = f"subscription:{link.expect('SUBSCRIBE').headers['id']}"
        for number, body in enumerate(bodies, 1):
            link.send(message(body, subscription, f"ack:ack{number}", f"n:{number}"))
        then(link)

    return script


def conversation(script: Script = nothing, version: str = "1.2", *lines: str) -> Script:
    """A whole one: `Link.accept` with these arguments, `script`, then `Link.serve`."""

    def whole(link: Link) -> None:
        link.accept(version, *lines)
        script(link)
        link.serve()

    return whole


@contextlib.contextmanager
def session(
    script: Script = nothing,
    *,
    version: str = "1.2",
    lines: Sequence[str] = (),
    by: str = "tcp",
    **arguments: Any,
) -> Iterator[tuple[stompy.STOMPClient, Peer]]:
    """A client and the peer it is connected to, which plays a `conversation`.

    Args:
        script, version, lines: of the conversation.
        by: which of the `WAYS` the client takes.
        arguments: more for `stompy.connect`.
    """
    whole = conversation(script, version, *lines)
    way = WAYS[by]
    with (
        way.listener() as listener,
        Peer(whole, listener=listener, wrap=way.wrap) as peer,
        stompy.connect(way.address(listener), **way.options(), **arguments) as client,
    ):
        yield client, peer


def sent(action: Callable[[stompy.STOMPClient], object], *, version: str = "1.2") -> list[Received]:
    """The frames that `action(client)` sends, without CONNECT and DISCONNECT."""
    with session(version=version) as (client, peer):
        action(client)
    return peer.frames[1:-1]


def sent_one(action: Callable[[stompy.STOMPClient], object], *, version: str = "1.2") -> Received:
    """The one frame that `action(client)` sends."""
    frames = sent(action, version=version)
    assert len(frames) == 1, frames
    return frames[0]


def acks(peer: Peer) -> list[str]:
    """The ids that ACK frames named."""
    return [frame.headers["id"] for frame in peer.frames if frame.command == "ACK"]


class Background:
    """Runs `work(*args)` in a thread of its own, from the start of the block on.

    `result()` waits for it, and raises what it raised; a block that ends without having asked
    waits all the same.
    """

    def __init__(self, work: Callable[..., Any], *args: Any) -> None:
        self._outcome: list[Any] = []
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work, args), daemon=True)

    def _run(self, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            self._outcome.append(work(*args))
        except BaseException as error:
            self._failure = error

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def result(self, timeout: float = TIMEOUT) -> Any:
        self._thread.join(timeout)
        assert not self._thread.is_alive(), f"not done after {timeout} s"
        if self._failure:
            raise self._failure
        return self._outcome[0]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, tb: object) -> None:
        self._thread.join(TIMEOUT)
        if kind is None:
            self.result(0)


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """`work(0)`, `work(1)`, … at the same time."""
    start = threading.Barrier(count)

    def run(number: int) -> None:
        start.wait(TIMEOUT)
        work(number)

    workers = [Background(run, number) for number in range(count)]
    for worker in workers:
        worker.__enter__()
    for worker in workers:
        worker.result()


@contextlib.contextmanager
def dead_port() -> Iterator[int]:
    """A port of 127.0.0.1 that refuses connections, and that nobody else can take meanwhile."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


def waiting(monkeypatch: pytest.MonkeyPatch, kind: int = selectors.EVENT_READ) -> threading.Event:
    """An event that is set when a client's thread waits for octets, or for room to write some."""
    reached = threading.Event()
    wait = SocketTransport._wait

    def observed(self: SocketTransport, event: int, deadline: float | None) -> None:
        if event == kind:
            reached.set()
        wait(self, event, deadline)

    monkeypatch.setattr(SocketTransport, "_wait", observed)
    return reached
