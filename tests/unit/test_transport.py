"""A byte stream that one thread reads while others write."""

import selectors
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from stompy import transport
from stompy.errors import STOMPTimeout
from stompy.transport import SocketTransport, open_tcp
from tests.unit.peer import TIMEOUT, Background, dead_port, waiting

LARGE = b"0123456789" * 400_000
"""More than a socket's buffers hold."""


def soon(seconds: float = TIMEOUT) -> float:
    return time.monotonic() + seconds


@pytest.fixture
def ends() -> Iterator[tuple[SocketTransport, socket.socket]]:
    """A transport, and the socket at its other end."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(TIMEOUT)
    stream = SocketTransport(ours)
    with theirs:
        yield stream, theirs
        stream.close()


def read_all(sock: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size and (data := sock.recv(size)):
        received += data
    return bytes(received)


def test_recv_gives_what_has_arrived(ends: tuple[SocketTransport, socket.socket]) -> None:
    ours, theirs = ends
    theirs.sendall(b"hello")
    assert ours.recv(soon()) == b"hello"


def test_recv_gives_at_most_64_kib_at_once(ends: tuple[SocketTransport, socket.socket]) -> None:
    ours, theirs = ends
    with Background(theirs.sendall, LARGE):
        received = b""
        while len(received) < len(LARGE):
            portion = ours.recv(soon())
            assert len(portion) <= 64 * 1024
            received += portion
    assert received == LARGE


def test_recv_waits_for_what_comes_later(
    ends: tuple[SocketTransport, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = ends
    reader_waits = waiting(monkeypatch)
    with Background(ours.recv, None) as reading:
        assert reader_waits.wait(TIMEOUT)
        theirs.sendall(b"hello")
        assert reading.result() == b"hello"


def test_recv_is_empty_at_the_end_of_the_stream_and_again(
    ends: tuple[SocketTransport, socket.socket],
) -> None:
    ours, theirs = ends
    theirs.sendall(b"last")
    theirs.close()
    assert [ours.recv(soon()) for _ in range(3)] == [b"last", b"", b""]


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.05])
def test_recv_gives_up_at_its_deadline(
    ends: tuple[SocketTransport, socket.socket], seconds: float
) -> None:
    deadline = soon(seconds)
    with pytest.raises(STOMPTimeout):
        ends[0].recv(deadline)
    assert time.monotonic() >= deadline


def test_what_has_arrived_is_read_also_when_the_deadline_is_over(
    ends: tuple[SocketTransport, socket.socket],
) -> None:
    ours, theirs = ends
    theirs.sendall(b"hello")
    assert ours.recv(soon(-1)) == b"hello"


def test_send_writes_all_however_slowly_the_peer_reads(
    ends: tuple[SocketTransport, socket.socket],
) -> None:
    ours, theirs = ends
    with Background(ours.send, LARGE, soon()):
        assert read_all(theirs, len(LARGE)) == LARGE


def test_send_gives_up_on_a_peer_that_does_not_read(
    ends: tuple[SocketTransport, socket.socket],
) -> None:
    with pytest.raises(STOMPTimeout):
        ends[0].send(LARGE, soon(0.05))


def test_shutdown_wakes_a_reader(
    ends: tuple[SocketTransport, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, _ = ends
    reader_waits = waiting(monkeypatch)
    with Background(ours.recv, None) as reading:
        assert reader_waits.wait(TIMEOUT)
        ours.shutdown()
        assert reading.result() == b""


def test_shutdown_wakes_a_writer(
    ends: tuple[SocketTransport, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, _ = ends
    writer_waits = waiting(monkeypatch, selectors.EVENT_WRITE)
    with Background(pytest.raises, OSError, ours.send, LARGE, None):
        assert writer_waits.wait(TIMEOUT)
        ours.shutdown()


def test_shutdown_after_the_peer_has_gone_is_no_error(
    ends: tuple[SocketTransport, socket.socket],
) -> None:
    ours, theirs = ends
    theirs.close()
    ours.shutdown()
    ours.shutdown()
    assert ours.recv(soon()) == b""


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


def test_small_frames_are_not_held_back(listener: socket.socket) -> None:
    stream = open_tcp("127.0.0.1", listener.getsockname()[1], soon())
    assert stream._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    stream.close()


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
