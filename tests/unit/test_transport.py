"""A byte stream that one thread reads while others write: TCP, and what lies above it."""

import contextlib
import random
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from stompy import transport, wire
from stompy.errors import STOMPTimeout
from stompy.transport import (
    SocketTransport,
    TCPTransport,
    TLSTransport,
    Transport,
    open_tcp,
    open_unix,
)
from stompy.websocket import WebSocketTransport
from tests.certificates import HOST, client_context
from tests.unit.ends import WebSocketEnd, tls_end
from tests.unit.peer import TIMEOUT, Background, dead_port, session, waiting
from tests.unit.waiting import until

LARGE = b"0123456789" * 400_000
"""More than a socket's buffers hold."""

Ends = tuple[Transport, Any]
"""A transport, and what is at its other end: a socket, or what has the same methods."""


def soon(seconds: float = TIMEOUT) -> float:
    return time.monotonic() + seconds


def plain(ours: socket.socket, theirs: socket.socket) -> Ends:
    return SocketTransport(ours), theirs


def tls(ours: socket.socket, theirs: socket.socket) -> Ends:
    stream = TLSTransport(SocketTransport(ours), client_context(), HOST)
    with Background(tls_end, theirs) as end:
        stream.handshake(soon())
    return stream, end.result()


def websocket(ours: socket.socket, theirs: socket.socket) -> Ends:
    uri = f"ws://{HOST}/ws"
    with Background(WebSocketEnd, theirs) as end:
        stream = WebSocketTransport.open(SocketTransport(ours), uri, wire.VERSIONS, {}, soon())
    return stream, end.result()


@pytest.fixture(params=[plain, tls, websocket], ids=lambda made: made.__name__)
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    """Each kind of transport in turn: what is proved of one holds for all."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(TIMEOUT)
    stream, end = request.param(ours, theirs)
    with contextlib.closing(end), contextlib.closing(stream):
        yield stream, end


def only(*made: Callable[..., Ends]) -> pytest.MarkDecorator:
    """For what does not hold for all kinds."""
    return pytest.mark.parametrize("ends", made, indirect=True, ids=lambda made: made.__name__)


def read_until(sock: Any, end: bytes) -> bytes:
    """What comes up to `end`, which has to come."""
    received = b""
    while not received.endswith(end):
        portion = sock.recv(65536)
        assert portion, f"the stream ended before {end!r}"
        received += portion
    return received


def read_all(sock: Any, size: int) -> bytes:
    received = bytearray()
    while len(received) < size and (data := sock.recv(size)):
        received += data
    return bytes(received)


def read_to_the_end(sock: Any) -> bytes:
    return b"".join(iter(lambda: sock.recv(1_000_000), b""))


def test_recv_gives_what_has_arrived(ends: Ends) -> None:
    ours, theirs = ends
    theirs.sendall(b"hello")
    assert ours.recv(soon()) == b"hello"


@only(plain, tls)  # a WebSocket gives its messages whole
def test_recv_gives_at_most_64_kib_at_once(ends: Ends) -> None:
    ours, theirs = ends
    with Background(theirs.sendall, LARGE):
        received = b""
        while len(received) < len(LARGE):
            portion = ours.recv(soon())
            assert len(portion) <= 64 * 1024
            received += portion
    assert received == LARGE


def test_recv_gives_all_of_a_large_portion(ends: Ends) -> None:
    ours, theirs = ends
    with Background(theirs.sendall, LARGE):
        received = b""
        while len(received) < len(LARGE):
            received += ours.recv(soon())
    assert received == LARGE


def test_recv_waits_for_what_comes_later(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = ends
    reader_waits = waiting(monkeypatch)
    with Background(ours.recv, None) as reading:
        assert reader_waits.wait(TIMEOUT)
        theirs.sendall(b"hello")
        assert reading.result() == b"hello"


def test_recv_is_empty_at_the_end_of_the_stream_and_again(
    ends: Ends,
) -> None:
    ours, theirs = ends
    theirs.sendall(b"last")
    theirs.close()
    assert [ours.recv(soon()) for _ in range(3)] == [b"last", b"", b""]


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.05])
def test_recv_gives_up_at_its_deadline(ends: Ends, seconds: float) -> None:
    deadline = soon(seconds)
    with pytest.raises(STOMPTimeout):
        ends[0].recv(deadline)
    assert time.monotonic() >= deadline


def test_what_has_arrived_is_read_also_when_the_deadline_is_over(
    ends: Ends,
) -> None:
    ours, theirs = ends
    theirs.sendall(b"hello")
    assert ours.recv(soon(-1)) == b"hello"


def test_a_wait_uses_no_processor(ends: Ends) -> None:
    begin = time.process_time()
    with pytest.raises(STOMPTimeout):
        ends[0].recv(soon(0.3))
    assert time.process_time() - begin < 0.1


def test_the_end_of_the_stream_is_noticed_without_a_busy_loop(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = ends
    read, reads = SocketTransport.recv, []
    monkeypatch.setattr(SocketTransport, "recv", lambda *args: reads.append(args) or read(*args))
    theirs.close()
    assert ours.recv(soon()) == b""
    assert len(reads) < 5


def test_readable_says_whether_recv_would_return_at_once(ends: Ends) -> None:
    ours, theirs = ends
    for octets in (b"hello", b"again"):
        theirs.sendall(octets)
        assert ours.readable()
        assert ours.recv(soon()) == octets
        assert not ours.readable()
    theirs.close()
    assert ours.readable()


@only(tls)
def test_what_tls_has_taken_in_and_not_handed_over_is_readable(ends: Ends) -> None:
    ours, theirs = ends
    theirs.sendall(b"x" * 10_000)
    theirs.sendall(b"y" * 10_000)
    received = ours.recv(soon())
    while len(received) < 20_000:
        assert ours.readable()
        received += ours.recv(soon(-1))


def test_send_writes_all_however_slowly_the_peer_reads(
    ends: Ends,
) -> None:
    ours, theirs = ends
    with Background(ours.send, LARGE, soon()):
        assert read_all(theirs, len(LARGE)) == LARGE


def test_send_gives_up_on_a_peer_that_does_not_read(
    ends: Ends,
) -> None:
    with pytest.raises(STOMPTimeout):
        ends[0].send(LARGE, soon(0.05))


def test_what_a_timeout_left_goes_out_first_at_the_next_send(ends: Ends) -> None:
    ours, theirs = ends
    for data in (LARGE, b"second "):
        with pytest.raises(STOMPTimeout):
            ours.send(data, soon(0.05))
    expected = LARGE + b"second third"
    with Background(read_all, theirs, len(expected)) as reading:
        ours.send(b"third", soon())
        assert reading.result() == expected


def test_what_an_interrupt_left_goes_out_first_at_the_next_send(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    ours, theirs = ends
    with monkeypatch.context() as patch:
        patch.setattr(SocketTransport, "_wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ours.send(LARGE, soon())
    with Background(read_all, theirs, len(LARGE) + 4) as reading:
        ours.send(b"next", soon())
        assert reading.result() == LARGE + b"next"


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals")
def test_a_stream_stays_whole_wherever_interrupts_hit_a_send(ends: Ends) -> None:
    """Signals hit `send` anywhere, also between the octets' way out and the note of it."""
    ours, theirs = ends
    size, hits = 20_000, 0
    done = threading.Event()

    def interrupt(_: int, frame: FrameType | None) -> None:
        nonlocal hits
        while frame and frame.f_code is not type(ours).send.__code__:
            frame = frame.f_back
        if frame:
            hits += 1
            raise KeyboardInterrupt

    def disturb(thread: int) -> None:
        chance = random.Random(1)
        while not done.wait(chance.uniform(0, 0.0005)):
            signal.pthread_kill(thread, signal.SIGUSR1)

    def send_until_hit_often() -> None:
        deadline = soon()
        for number in range(65536):
            with contextlib.suppress(KeyboardInterrupt):
                ours.send(number.to_bytes(2, "big") * size, deadline)
            if hits > 100:
                return

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with Background(read_to_the_end, theirs) as reading:
            with Background(disturb, threading.get_ident()):
                send_until_hit_often()
                done.set()
            ours.send(b"", soon())
            ours.shutdown()
            received = reading.result()
    finally:
        done.set()
        signal.signal(signal.SIGUSR1, before)
    frames = [received[at : at + 2 * size] for at in range(0, len(received), 2 * size)]
    assert hits > 100
    assert all(frame == frame[:2] * size for frame in frames), "a frame is torn"
    assert [frame[:2] for frame in frames] == sorted({frame[:2] for frame in frames})


def test_shutdown_wakes_a_reader(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, _ = ends
    reader_waits = waiting(monkeypatch)
    with Background(ours.recv, None) as reading:
        assert reader_waits.wait(TIMEOUT)
        ours.shutdown()
        assert reading.result() == b""


def test_shutdown_wakes_a_writer(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, _ = ends
    writer_waits = waiting(monkeypatch, selectors.EVENT_WRITE)
    with Background(pytest.raises, OSError, ours.send, LARGE, soon(3)) as writing:
        assert writer_waits.wait(TIMEOUT)
        begin = time.monotonic()
        ours.shutdown()
        writing.result()
        assert time.monotonic() - begin < 1


def test_shutdown_after_the_peer_has_gone_is_no_error(
    ends: Ends,
) -> None:
    ours, theirs = ends
    theirs.close()
    ours.shutdown()
    ours.shutdown()
    assert ours.recv(soon()) == b""


def test_the_peer_reads_the_end_after_a_shutdown(ends: Ends) -> None:
    ours, theirs = ends
    ours.send(b"last", soon())
    ours.shutdown()
    assert theirs.recv(100) == b"last"
    assert theirs.recv(100) == b""


def test_a_reader_and_a_writer_do_not_hold_each_other_up(ends: Ends) -> None:
    def echo() -> None:
        left = len(LARGE)
        while left:
            data = theirs.recv(65536)
            theirs.sendall(data)
            left -= len(data)

    ours, theirs = ends
    with Background(echo), Background(ours.send, LARGE, soon()):
        received = b""
        while len(received) < len(LARGE):
            received += ours.recv(soon())
    assert received == LARGE


def test_a_descriptor_above_1024_is_no_problem() -> None:
    fcntl = pytest.importorskip("fcntl")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        high = SocketTransport(
            socket.socket(fileno=fcntl.fcntl(ours.fileno(), fcntl.F_DUPFD_CLOEXEC, 1100))
        )
        with pytest.raises(STOMPTimeout):
            high.recv(soon(0.01))
        high.close()


# -- open_tcp ------------------------------------------------------------------------------------


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[Any, ...]) -> None:
    """Let every host name have these addresses: pairs of family and socket address."""
    answer = [(family, socket.SOCK_STREAM, 0, "", where) for family, where in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer)


def test_open_tcp_connects(listener: socket.socket) -> None:
    stream = open_tcp("127.0.0.1", listener.getsockname()[1], soon())
    accepted, _ = listener.accept()
    with accepted:
        stream.send(b"hello", soon())
        assert read_all(accepted, 5) == b"hello"
    stream.close()


# -- bursts over TCP -----------------------------------------------------------------------------


def gathers(stream: TCPTransport) -> bool:
    """Whether the kernel may hold a small frame back until there are more."""
    return not stream._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.fixture
def tcp(listener: socket.socket) -> Iterator[tuple[TCPTransport, socket.socket]]:
    """A transport over TCP, and the socket at its other end."""
    with contextlib.closing(open_tcp(*listener.getsockname(), soon())) as stream:
        accepted, _ = listener.accept()
        with accepted:
            accepted.settimeout(TIMEOUT)
            yield stream, accepted


def test_a_few_small_frames_are_not_held_back(tcp: tuple[TCPTransport, socket.socket]) -> None:
    stream, _ = tcp
    for _ in range(transport.BURST // 2):
        stream.send(b"x", soon())
        assert not gathers(stream)


def test_frames_that_come_now_and_then_are_never_held_back(
    tcp: tuple[TCPTransport, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, _ = tcp
    monkeypatch.setattr(transport, "BURST_TIME", 0.0)  # no two are in close succession
    for _ in range(transport.BURST * 2):
        stream.send(b"x", soon())
        assert not gathers(stream)


def test_frames_of_a_burst_share_segments_and_the_last_one_leaves_soon(
    tcp: tuple[TCPTransport, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, end = tcp
    monkeypatch.setattr(transport, "BURST_TIME", TIMEOUT)  # however slow this machine is
    frames = transport.BURST * 3
    for _ in range(frames):
        stream.send(b"x", soon())
        if gathers(stream):
            break
    else:
        pytest.fail("the burst was not noticed")
    stream.send(b"the last", soon())
    assert read_until(end, b"the last")
    until(lambda: not gathers(stream))


def test_a_second_burst_is_one_too(
    tcp: tuple[TCPTransport, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, _ = tcp
    monkeypatch.setattr(transport, "BURST_TIME", TIMEOUT)
    monkeypatch.setattr(transport, "BURST_PAUSE", 0.05)  # longer than this thread may be held up
    for _ in range(2):
        for _ in range(transport.BURST * 2):
            stream.send(b"x", soon())
        assert stream._gathers
        until(lambda: not stream._gathers)


def test_a_stream_that_is_closed_in_a_burst_leaves_no_thread(
    tcp: tuple[TCPTransport, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, _ = tcp
    before = set(threading.enumerate())
    monkeypatch.setattr(transport, "BURST_TIME", TIMEOUT)
    for _ in range(transport.BURST * 2):
        stream.send(b"x", soon())
    stream.close()
    until(lambda: set(threading.enumerate()) <= before)


def test_a_burst_goes_on_where_no_thread_can_be_started(
    tcp: tuple[TCPTransport, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    stream, _ = tcp
    monkeypatch.setattr(transport, "BURST_TIME", TIMEOUT)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    for _ in range(transport.BURST * 2):
        stream.send(b"x", soon())
    assert not gathers(stream)


# -- connecting ----------------------------------------------------------------------------------


def test_a_port_nobody_listens_at_is_what_the_operating_system_says() -> None:
    with dead_port() as port, pytest.raises(ConnectionRefusedError):
        open_tcp("127.0.0.1", port, soon())


def test_the_next_address_of_a_host_is_tried(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket
) -> None:
    with dead_port() as port:
        resolve_to(
            monkeypatch,
            (socket.AF_INET, ("127.0.0.1", port)),
            (socket.AF_INET, listener.getsockname()),
        )
        open_tcp("broker.example", 1, soon()).close()


def test_an_address_family_this_machine_does_not_have_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket
) -> None:
    no_such_family = 255
    resolve_to(monkeypatch, (no_such_family, ("::1", 1)), (socket.AF_INET, listener.getsockname()))
    open_tcp("broker.example", 1, soon()).close()


def test_a_host_without_an_address_is_an_os_error(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch)
    with pytest.raises(OSError, match=r"broker\.example has no address"):
        open_tcp("broker.example", 1, soon())


def test_an_attempt_that_is_not_answered_is_a_timeout(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket
) -> None:
    class Unanswered(socket.socket):
        def connect(self, where: Any) -> None:
            raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "socket", Unanswered)
    resolve_to(monkeypatch, (socket.AF_INET, listener.getsockname()))
    with pytest.raises(STOMPTimeout):
        open_tcp("broker.example", 1, soon())


def test_an_address_that_swallows_connections_leaves_time_for_the_next(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket
) -> None:
    given: list[float | None] = []

    class Swallowed(socket.socket):
        def connect(self, where: Any) -> None:
            given.append(self.gettimeout())
            if where[1] == 1:
                raise TimeoutError("timed out")
            super().connect(where)

    monkeypatch.setattr(socket, "socket", Swallowed)
    swallowing = (socket.AF_INET, ("127.0.0.1", 1))
    resolve_to(monkeypatch, swallowing, (socket.AF_INET, listener.getsockname()))
    open_tcp("broker.example", 1, soon(4)).close()
    assert given == [pytest.approx(2, abs=0.5), pytest.approx(4, abs=0.5)]


def test_open_unix_connects(tmp_path: Path) -> None:
    path = str(tmp_path / "stomp.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        stream = open_unix(path, soon())
        accepted, _ = listener.accept()
        with accepted:
            stream.send(b"hello", soon())
            assert read_all(accepted, 5) == b"hello"
        stream.close()


@pytest.mark.parametrize("name", ["missing", "a file", "x" * 200])
def test_a_path_that_is_no_unix_socket_is_what_the_operating_system_says(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "a file").touch()
    with pytest.raises(OSError):  # noqa: PT011  -- which one is the system's business
        open_unix(str(tmp_path / name), soon())


def test_an_unknown_host_is_a_gaierror(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(socket.gaierror):
        open_tcp("no-such-host.invalid", 61613, soon())


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example", "\udcff.example"])
def test_a_name_that_no_host_can_have_is_a_gaierror(host: str) -> None:
    with pytest.raises(socket.gaierror):
        open_tcp(host, 61613, soon())


def test_a_silent_name_server_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()

    def silent(*_: Any, **__: Any) -> list[Any]:
        answer.wait(TIMEOUT)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    with pytest.raises(STOMPTimeout):
        open_tcp("broker.example", 61613, soon(0.05))
    answer.set()
    for thread in threading.enumerate():
        if thread.name == "stompy-resolve-broker.example":
            thread.join(TIMEOUT)


def test_no_descriptor_is_left_of_a_failed_attempt() -> None:
    made = []

    class Remembered(socket.socket):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            made.append(self)

    with dead_port() as port, pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "socket", Remembered)
        with pytest.raises(ConnectionRefusedError):
            open_tcp("127.0.0.1", port, soon())
    assert [sock.fileno() for sock in made] == [-1]


def test_without_poll_select_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_Selector", selectors.SelectSelector)
    ours, theirs = socket.socketpair()
    stream = SocketTransport(ours)
    with theirs, pytest.raises(STOMPTimeout):
        stream.recv(soon(0.01))
    stream.close()


@pytest.mark.skipif(sys.platform != "linux", reason="about Linux's timing")
def test_a_steady_stream_behind_a_burst_is_no_burst() -> None:
    with session() as (client, _):
        assert client._connection is not None
        sock = client._connection._transport._socket  # type: ignore[attr-defined]
        for _ in range(2000):
            client.message("/queue/Q", "burst")
        deadline = soon()
        while sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0:
            due = time.monotonic() + 0.001
            client.message("/queue/Q", "x")  # 1000 a second
            while time.monotonic() < due:
                pass
            assert due < deadline, "the burst has not ended"
