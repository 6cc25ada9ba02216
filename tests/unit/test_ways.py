"""What holds whichever way a client takes to its broker: TCP, Unix socket, TLS, WebSocket."""

import selectors
import threading
import time
from typing import Any

import pytest

from stompy import STOMPClosed, STOMPTimeout, heartbeat
from tests.unit.ends import WAYS
from tests.unit.peer import (
    TIMEOUT,
    Background,
    Link,
    in_threads,
    message,
    session,
    waiting,
)

LARGE = bytes(range(256)) * 20_000
"""More than sockets' buffers hold."""


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_a_session_has_its_beginning_its_frames_and_its_end(way: str) -> None:
    def script(link: Link) -> None:
        link.send(message(link.expect("SEND").body))

    with session(script, by=way) as (client, peer):
        assert client.Connected
        client.message("/queue/Q", "grüße")
        assert client.recv(TIMEOUT).text == "grüße"
    assert [frame.command for frame in peer.frames] == ["CONNECT", "SEND", "DISCONNECT"]
    assert client.close_reason is None


def test_a_client_says_which_way_it_took(way: str) -> None:
    with session(by=way) as (client, peer):
        place = peer.address if way == "unix" else "{}:{}".format(*peer.address)
        scheme = WAYS[way].url.partition("://")[0]
        assert client.BrokerAddress == peer.address
        assert place in client.address
        assert client.address.startswith(scheme + "://") == (way != "tcp")


def test_what_was_sent_before_disconnect_has_arrived_when_it_returns(way: str) -> None:
    with session(by=way) as (client, peer):
        for number in range(50):
            client.message("/queue/Q", str(number))
        client.disconnect()
        assert [int(frame.body) for frame in peer.frames[1:-1]] == list(range(50))


def test_large_bodies_go_both_ways(way: str) -> None:
    def script(link: Link) -> None:
        link.send(message(link.expect("SEND").body))

    with session(script, by=way) as (client, _):
        client.message("/queue/Q", LARGE)
        assert client.recv(TIMEOUT).Body == LARGE


def test_a_reader_and_several_writers_share_a_client(way: str) -> None:
    writers, count = 3, 60

    def script(link: Link) -> None:
        for _ in range(writers * count):
            link.send(message(link.expect("SEND").body))

    def body(writer: int, number: int) -> bytes:
        return b"%d %d " % (writer, number) + b"x" * (number * 100)

    def write(writer: int) -> None:
        for number in range(count):
            client.message("/queue/Q", body(writer, number))

    def read() -> list[bytes]:
        return [client.recv(TIMEOUT).Body for _ in range(writers * count)]

    with session(script, by=way) as (client, _), Background(read) as reading:
        in_threads(writers, write)
        received = reading.result()
    for writer in range(writers):
        mine = [one for one in received if one.startswith(b"%d " % writer)]
        assert mine == [body(writer, number) for number in range(count)]


def test_a_timeout_loses_nothing(way: str) -> None:
    def script(link: Link) -> None:
        octets = message(b"hello")
        link.send(octets[:30])
        link.expect("SEND")
        link.send(octets[30:])

    with session(script, by=way) as (client, _):
        for timeout in (0, 0.02):
            with pytest.raises(STOMPTimeout):
                client.recv(timeout)
        client.message("/queue/Q")
        assert client.recv(TIMEOUT).Body == b"hello"


def test_a_peer_that_cuts_the_connection_is_an_end_with_a_reason(way: str) -> None:
    def script(link: Link) -> None:
        link.send(message(b"last"))
        link.close()

    with session(script, by=way) as (client, _):
        assert client.recv(TIMEOUT).Body == b"last"
        begin = time.process_time()
        assert [client.recv(TIMEOUT) for _ in range(3)] == [None] * 3
        assert time.process_time() - begin < 0.5
        assert isinstance(client.close_reason, STOMPClosed)
        with pytest.raises(STOMPClosed):
            client.message("/queue/Q")


def test_a_peer_that_resets_the_connection_is_an_end_with_a_reason(way: str) -> None:
    def script(link: Link) -> None:
        link.expect("SEND")
        link.reset()

    with session(script, by=way) as (client, _):
        client.message("/queue/Q")
        assert client.recv(TIMEOUT) is None
        assert isinstance(client.close_reason, STOMPClosed)


def test_disconnect_is_bounded_and_wakes_a_reader_of_a_silent_peer(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with session(Link.stay_silent, by=way) as (client, _):
        reader_waits = waiting(monkeypatch)
        with Background(client.recv) as reading:
            assert reader_waits.wait(TIMEOUT)
            client.disconnect(timeout=0.1)
            assert reading.result(timeout=1) is None
        assert client.close_reason is None


def test_disconnect_is_bounded_and_ends_a_frame_that_the_peer_does_not_read(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def script(link: Link) -> None:
        assert client_left.wait(TIMEOUT)
        link.close()

    client_left = threading.Event()
    monkeypatch.setattr("stompy.connection.SEND_LIMIT", 3)
    with session(script, by=way) as (client, _):
        writer_waits = waiting(monkeypatch, selectors.EVENT_WRITE)
        with Background(pytest.raises, (STOMPClosed, STOMPTimeout), client.message, "/q", LARGE):
            assert writer_waits.wait(TIMEOUT)
            begin = time.monotonic()
            client.disconnect(timeout=0.1)
            client_left.set()
            assert time.monotonic() - begin < 1


def test_a_silent_peer_is_given_up(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "DEAD_GRACE", 0.1)
    beats: dict[str, Any] = {"lines": ["heart-beat:50,0"], "heart_beat": (0, 50)}
    with session(Link.stay_silent, by=way, **beats) as (client, _):
        assert client.recv(TIMEOUT) is None
        assert "no sign of life" in str(client.close_reason)


def test_beats_go_out_and_come_in(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "DEAD_GRACE", 0.3)

    def script(link: Link) -> None:
        for _ in range(12):  # as long as the peer would be given up for, had it not sent beats
            link.beat()
            link.send(b"\n")
        link.send(message(b"at last"))

    beats: dict[str, Any] = {"lines": ["heart-beat:50,50"], "heart_beat": (50, 50)}
    with session(script, by=way, **beats) as (client, _):
        assert client.recv(TIMEOUT).Body == b"at last"


def test_an_interrupted_send_reaches_the_peer_as_a_whole_frame(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    def script(link: Link) -> None:
        assert read_on.wait(TIMEOUT)

    read_on = threading.Event()
    with session(script, by=way) as (client, peer):
        with monkeypatch.context() as patch:
            patch.setattr("stompy.transport.SocketTransport._wait", interrupted)
            with pytest.raises(KeyboardInterrupt):
                client.message("/queue/Q", LARGE)
        read_on.set()
        client.message("/queue/Q", "next")
    assert [frame.body for frame in peer.frames[1:-1]] == [LARGE, b"next"]
