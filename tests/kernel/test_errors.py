"""Bad input in a notebook: within ten seconds, two or three lines that help; never a hang."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.kernel.conftest import Kernel, Result, on_the_newest

LIMIT = 10.0


@contextmanager
def listener(answer: bytes | None) -> Iterator[int]:
    """A port that accepts; it says `answer` and closes, or nothing at all when that is None."""
    ended = threading.Event()

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            if answer is None:
                ended.wait(60)
            else:
                connection.recv(1024)
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            ended.set()
            thread.join(10)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def assert_helpful(result: Result, *words: str) -> None:
    """The cell failed in time, and its few lines say what, where and what to try."""
    assert result.status == "error"
    assert result.seconds < LIMIT
    assert 2 <= len(result.traceback) <= 3, result.traceback
    assert not result.of("stream")
    shown = "\n".join(result.traceback)
    for word in (*words, "Try: "):
        assert word in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("call", ["%stomp_connect {}", "StompSession('{}').connect()"])
def test_a_host_that_does_not_exist(kernel: Kernel, call: str) -> None:
    kernel.ok("from stompy_jupyter import StompSession")
    result = kernel.run(call.format("no-such-host.invalid:61613"))
    assert_helpful(result, "no-such-host.invalid", "not known", "spelling")


def test_an_address_that_is_none(kernel: Kernel) -> None:
    assert_helpful(kernel.run("%stomp_connect one:two:three"), "one:two:three", "is no address")


@pytest.mark.parametrize("call", ["%stomp_connect {}", "stompy.connect('{}')"])
def test_a_closed_port(kernel: Kernel, call: str) -> None:
    kernel.ok("import stompy")
    address = f"127.0.0.1:{closed_port()}"
    result = kernel.run(call.format(address))
    assert_helpful(result, f"nothing listens at {address}", "start the broker")


@on_the_newest
def test_a_peer_that_accepts_and_says_nothing(kernel: Kernel) -> None:
    with listener(None) as port:
        result = kernel.run(f"%stomp_connect 127.0.0.1:{port}")
    assert_helpful(result, f"127.0.0.1:{port} accepted", "sent no CONNECTED")


@pytest.mark.parametrize(
    ("answer", "words", "hint"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "speaks HTTP", "61613"),
        (b"AMQP\x00\x00\x09\x01", "speaks AMQP, not STOMP", "61613"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "speaks TLS, not STOMP", "stomp+ssl://"),
        (b"hello, who is there?\n", "something else, not STOMP", "61613"),
        (b"", "closed the connection without an answer", "61613"),
    ],
)
def test_a_peer_that_is_no_stomp_broker(
    kernel: Kernel, answer: bytes, words: str, hint: str
) -> None:
    with listener(answer) as port:
        result = kernel.run(f"%stomp_connect 127.0.0.1:{port}")
    assert_helpful(result, f"127.0.0.1:{port}", words, hint)


def test_a_wait_for_what_does_not_come(kernel: Kernel) -> None:
    kernel.ok("%stomp_connect\n%stomp_subscribe /topic/silence --as silence")
    result = kernel.run("%stomp_wait silence --timeout 0.2")
    assert_helpful(result, "0 of 1 frames", "0.2 s")


def test_a_magic_without_a_session_says_so_in_one_line(kernel: Kernel) -> None:
    kernel.ok("%reload_ext stompy_jupyter")
    result = kernel.run("%stomp_subscribe /topic/T")
    assert result.status == "error"
    assert result.printed == "UsageError: no session yet: connect with %stomp_connect\n"


@pytest.mark.parametrize(
    "failing",
    [
        "%stomp_wait silence --timeout 0.1",
        "%stomp_connect one:two:three",
        "%stomp_subscribe",
        "silence.wait(1, timeout=0.1)",
    ],
)
def test_cells_that_wait_in_line_behind_one_that_fails_are_not_run(
    kernel: Kernel, failing: str
) -> None:
    kernel.ok("%stomp_connect\n%stomp_subscribe /topic/silence --as silence\nran = []")
    first = kernel.start("input('until the others are in line')", allow_stdin=True)
    cells = [failing, "ran.append(1)", "%stomp_send /topic/silence no"]
    line = [kernel.start(cell) for cell in cells]
    kernel.answer("")
    statuses = [kernel.finish(request).status for request in (first, *line)]
    assert statuses == ["ok", "error", "aborted", "aborted"]
    assert kernel.ok("ran, silence.received").text == "([], 0)"


def test_an_error_of_what_was_called_keeps_its_traceback(kernel: Kernel) -> None:
    """It says which line of the user's it was; a magic has none."""
    kernel.ok("%stomp_connect\n%stomp_subscribe /topic/silence --as silence")
    shown = "\n".join(kernel.run("silence.wait(1, timeout=0.1)").traceback)
    assert "STOMPTimeout" in shown
    assert "Traceback" in shown


def test_the_kernel_works_on_after_an_error(kernel: Kernel) -> None:
    kernel.run(f"%stomp_connect 127.0.0.1:{closed_port()}")
    assert kernel.ok("1 + 1").text == "2"
    assert "connected" in kernel.ok("%stomp_connect").text
