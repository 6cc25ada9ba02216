"""The embedded broker's listener: real sockets, and the thread that serves them."""

import asyncio
import contextlib
import gc
import json
import logging
import os
import socket
import ssl
import struct
import subprocess
import sys
import textwrap
import threading
import time
import types
import warnings
import weakref

import pytest

import stompy
from stompy.broker import Broker, Limits, connection, engine, listeners, server, session
from tests.certificates import (
    authority,
    client_context,
    server_certificate,
    server_context,
    write_files,
)
from tests.processes import HOST, free_port
from tests.unit.peer import TIMEOUT, Background, in_threads
from tests.unit.waiting import until

CONNECT = b"CONNECT\naccept-version:1.2\nhost:/\n\n\0"
GARBAGE = b"garbage\n\n\0"

SCHEMES = ("stomp", "stomp+ssl", "stomp+unix", "ws", "wss")
STREAMS = ("stomp", "stomp+ssl", "stomp+unix")
LARGE = bytes(range(256)) * 20_000
"""More than sockets' buffers hold."""


def broker_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "stompy-broker"]


@pytest.fixture(autouse=True)
def no_thread_left():
    until(lambda: not broker_threads())
    yield
    until(lambda: not broker_threads())


@pytest.fixture
def connect():
    """Connects like `stompy.connect`, and disconnects at the end of the test."""
    clients: list[stompy.STOMPClient] = []

    def connect(broker: Broker) -> stompy.STOMPClient:
        clients.append(stompy.connect(broker.address))
        return clients[-1]

    yield connect
    for client in clients:
        client.disconnect()


def read_to_the_end(sock: socket.socket) -> bytes:
    sock.settimeout(5)
    return b"".join(iter(lambda: sock.recv(65536), b""))


def broker_everywhere(folder):
    """A broker that listens in all the ways that it can, not started."""
    return Broker(
        unix_path=folder / "stomp.sock",
        tls_port=0,
        websocket_port=0,
        wss_port=0,
        tls=server_context(),
    )


@pytest.fixture
def everywhere(tmp_path):
    return broker_everywhere(tmp_path)


def by(broker: Broker, scheme: str, **arguments) -> stompy.STOMPClient:
    """A client that came this way."""
    if scheme in ("stomp+ssl", "wss"):
        arguments.setdefault("tls", client_context())
    return stompy.connect(broker.urls[scheme], **arguments)


def place(broker: Broker, scheme: str) -> tuple[str, int]:
    """Host and port of a listener."""
    host, _, port = broker.urls[scheme].partition("://")[2].rpartition(":")
    return host.strip("[]"), int(port)


@contextlib.contextmanager
def stream(broker: Broker, scheme: str):
    """A socket that came this way; with TLS, an end without a goodbye is an error."""
    if scheme == "stomp+unix":
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(broker.urls[scheme].partition("://")[2])
            yield sock
        return
    with socket.create_connection(place(broker, scheme)) as sock:
        if scheme == "stomp":
            yield sock
            return
        with client_context().wrap_socket(
            sock, server_hostname="localhost", suppress_ragged_eofs=False
        ) as secured:
            yield secured


def subscribed(client: stompy.STOMPClient, destination: str = "/topic/t") -> stompy.STOMPClient:
    """The client, when its subscription is there."""
    client.subscribe(destination, receipt="subscribed")
    assert client.recv(timeout=2)["receipt-id"] == "subscribed"
    return client


@contextlib.contextmanager
def does_not_read(broker: Broker):
    """A socket whose client has more of a queue to read than the operating system takes in."""
    with socket.create_connection(broker.address) as sock:
        sock.sendall(CONNECT + b"SUBSCRIBE\nid:1\ndestination:/queue/q\n\n\0")
        with stompy.connect(broker.address) as sender:
            until(broker.destinations)
            while not broker.clients()[0]["unsent"]:
                sender.message("/queue/q", bytes(100_000), receipt="r")
                assert sender.recv(timeout=5)["receipt-id"] == "r"
        yield sock


@contextlib.contextmanager
def nothing_left_open(caplog):
    """No socket, transport or task that nobody closed, and nothing said in the log."""
    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert [str(warning.message) for warning in caught] == []
    assert [one.getMessage() for one in caplog.records if one.levelno > logging.INFO] == []


# -- starting and stopping -------------------------------------------------------------------


def test_a_broker_takes_a_free_port_of_this_machine(connect):
    with Broker() as one, Broker() as other:
        assert one.address[0] == "127.0.0.1"
        assert one.address != other.address
        assert connect(one).version == "1.2"


def test_a_broker_that_runs_may_be_started_again_and_stays_where_it_is():
    with Broker() as broker:
        address = broker.address
        assert broker.start() is broker
        assert broker.address == address
        assert len(broker_threads()) == 1


def test_who_arrives_as_the_broker_stops_leaves_no_socket_open():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        for _ in range(20):
            with Broker() as broker:
                clients = [socket.create_connection(broker.address) for _ in range(3)]
            for client in clients:
                client.close()
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


def test_a_broker_may_be_stopped_twice():
    broker = Broker().start()
    broker.stop()
    broker.stop()
    assert not broker.running
    assert broker_threads() == []


def test_a_broker_that_does_not_run_has_no_address():
    broker = Broker()
    with pytest.raises(stompy.STOMPError, match="not running"):
        _ = broker.address
    assert repr(broker) == "<Broker, stopped>"
    with broker:
        assert repr(broker) == "<Broker at {}:{}>".format(*broker.address)


def test_a_port_that_is_taken_is_an_os_error_and_another_start_may_succeed(connect):
    with Broker() as first:
        second = Broker(*first.address)
        with pytest.raises(OSError, match="Address already in use"):
            second.start()
        assert not second.running
    with second:
        assert connect(second).Connected


def test_a_stopped_broker_keeps_nothing(connect):
    broker = Broker()
    with broker, connect(broker) as client:
        client.message("/queue/q", b"a")
    with broker, connect(broker) as client:
        client.subscribe("/queue/q")
        with pytest.raises(stompy.STOMPTimeout):
            client.recv(timeout=0.1)


def test_stopping_with_clients_connected_is_quick_and_they_see_the_end(connect):
    broker = Broker().start()
    clients = [connect(broker) for _ in range(3)]
    began = time.monotonic()
    broker.stop()
    assert time.monotonic() - began < 1.0
    assert [client.recv(timeout=2) for client in clients] == [None] * 3
    assert {client.Connected for client in clients} == {False}


def test_stopping_is_quick_though_a_client_does_not_read(connect):
    broker = Broker().start()
    reader, sender = connect(broker), connect(broker)
    reader.subscribe("/topic/t", receipt="r")
    assert reader.recv(timeout=2)["receipt-id"] == "r"
    for _ in range(200):  # beyond what the operating system takes in for a reader
        sender.message("/topic/t", bytes(100_000))
    sender.disconnect()
    began = time.monotonic()
    broker.stop()
    assert time.monotonic() - began < 2.0


def test_what_was_sent_before_the_stop_still_arrives(connect, monkeypatch):
    monkeypatch.setattr(engine, "FLUSH_LIMIT", 5)
    broker = Broker().start()
    receiver = connect(broker)
    receiver.subscribe("/topic/t", receipt="subscribed")
    assert receiver.recv(timeout=2)["receipt-id"] == "subscribed"
    with connect(broker) as sender:
        for number in range(200):  # more than the operating system takes in for a reader
            sender.message("/topic/t", b"%-100000d" % number)
    stopping = threading.Thread(target=broker.stop)
    stopping.start()
    assert [int(frame.Body) for frame in receiver] == list(range(200))
    stopping.join()


def test_two_threads_that_start_a_broker_start_one():
    broker = Broker()
    in_threads(8, lambda _: broker.start())
    assert len(broker_threads()) == 1
    broker.stop()
    assert broker_threads() == []


def test_stop_has_stopped_also_for_the_second_who_calls_it():
    with (
        Broker(heart_beat=(0, 0)) as broker,
        does_not_read(broker),
        Background(broker.stop) as first,
    ):
        time.sleep(0.1)
        broker.stop()
        assert broker_threads() == []
        first.result()


def test_who_interrupts_a_start_has_no_broker_left(monkeypatch):
    class Interrupted(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            super().wait(timeout)
            raise KeyboardInterrupt

    class Watched(engine.Engine):
        def __init__(self, *arguments) -> None:
            super().__init__(*arguments)
            self._listening = Interrupted()

    monkeypatch.setattr(server, "Engine", Watched)
    broker = Broker()
    with pytest.raises(KeyboardInterrupt):
        broker.start()
    assert not broker.running
    assert broker_threads() == []


def test_a_start_that_fails_half_way_leaves_no_client_hanging(monkeypatch, caplog):
    listen = listeners.Listeners._listen_tcp
    clients: list[socket.socket] = []

    async def slowly(self, scheme, port, factory):
        if scheme != "stomp":
            clients.append(socket.create_connection(self.address))
            await asyncio.sleep(0.1)  # as long as it takes to look up a name
        return await listen(self, scheme, port, factory)

    monkeypatch.setattr(listeners.Listeners, "_listen_tcp", slowly)
    with nothing_left_open(caplog), socket.create_server((HOST, 0)) as taken:
        with pytest.raises(OSError, match="in use"):
            Broker(websocket_port=taken.getsockname()[1]).start()
        with clients.pop() as client:
            assert read_to_the_end(client) == b""


def test_the_event_loop_is_made_in_the_thread_that_runs_it(monkeypatch):
    makers: list[threading.Thread] = []
    make = asyncio.new_event_loop

    def noted() -> asyncio.AbstractEventLoop:
        makers.append(threading.current_thread())
        return make()

    monkeypatch.setattr(asyncio, "new_event_loop", noted)
    with Broker():
        assert makers == broker_threads()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_clients_see_the_end_of_a_broker_though_a_child_process_has_its_sockets():
    with Broker() as broker, socket.create_connection(broker.address) as sock:
        address = broker.address
        sock.sendall(CONNECT)
        assert sock.recv(65536).startswith(b"CONNECTED\n")
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(writing)
            os.read(reading, 1)  # until the parent closes it
            os._exit(0)
        try:
            broker.stop()
            assert read_to_the_end(sock) == b""
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address)
        finally:
            os.close(writing)
            os.close(reading)
            os.waitpid(child, 0)


def test_a_forgotten_broker_is_collected_and_its_thread_ends(connect):
    broker = Broker().start()
    client = connect(broker)
    forgotten = weakref.ref(broker)
    del broker
    gc.collect()
    assert forgotten() is None
    until(lambda: not broker_threads())
    assert client.recv(timeout=2) is None


# -- a Unix socket ---------------------------------------------------------------------------


def by_unix(path):
    """A client that came by the Unix socket."""
    return stompy.connect(f"stomp+unix://{path}")


def test_a_broker_listens_at_a_unix_socket_as_well(tmp_path, connect):
    path = tmp_path / "stomp.sock"
    with Broker(unix_path=path) as broker, by_unix(path) as client:
        assert client.BrokerAddress == str(path)
        other = connect(broker)
        other.subscribe("/topic/t", receipt="subscribed")
        assert other.recv(timeout=2)["receipt-id"] == "subscribed"
        client.message("/topic/t", "hello")
        assert other.recv(timeout=2).text == "hello"


def test_a_client_that_says_goodbye_and_is_gone_at_once_is_no_failure(caplog):
    with Broker() as broker:
        for _ in range(30):
            stompy.connect(broker.address).disconnect(timeout=0)
        until(lambda: [e["event"] for e in broker.events()].count("disconnected") == 30)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_free_port_is_taken_again_when_the_broker_is_started_again():
    broker = Broker().start()
    address = broker.address
    broker.stop()
    with broker:
        assert broker.address == address


def test_a_free_port_that_somebody_else_has_by_now_is_another_one():
    broker = Broker().start()
    address = broker.address
    broker.stop()
    with Broker(*address), broker:
        assert broker.address != address


def test_a_stopped_broker_leaves_no_unix_socket_and_may_be_started_again(tmp_path):
    path = tmp_path / "stomp.sock"
    broker = Broker(unix_path=str(path))
    for _ in range(2):
        with broker, by_unix(path) as client:
            assert client.Connected
        assert not path.exists()


def test_a_forgotten_broker_leaves_no_unix_socket(tmp_path):
    path = tmp_path / "stomp.sock"
    broker = Broker(unix_path=path).start()
    del broker
    gc.collect()
    until(lambda: not path.exists())


def test_a_unix_socket_that_a_crash_has_left_is_replaced(tmp_path):
    path = tmp_path / "stomp.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    with Broker(unix_path=path), by_unix(path) as client:
        assert client.Connected


@pytest.mark.parametrize("name", ["missing/stomp.sock", "a file", "x" * 200])
def test_a_broker_whose_unix_socket_cannot_be_made_leaves_nothing(tmp_path, name):
    (tmp_path / "a file").write_text("precious")
    address = (HOST, free_port())
    broker = Broker(*address, unix_path=tmp_path / name)
    with pytest.raises(OSError):  # noqa: PT011  -- which one is the system's business
        broker.start()
    assert not broker.running
    assert broker_threads() == []
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]
    assert (tmp_path / "a file").read_text() == "precious"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_the_unix_socket_of_a_running_broker_is_not_taken_from_it(tmp_path):
    path = tmp_path / "stomp.sock"
    with Broker(unix_path=path):
        second = Broker(unix_path=path)
        with pytest.raises(OSError, match="in use"):
            second.start()
        second.stop()
        with by_unix(path) as client:
            assert client.Connected


def test_a_unix_socket_on_which_somebody_is_busy_is_not_taken_over(tmp_path):
    path = tmp_path / "stomp.sock"
    with contextlib.ExitStack() as leaving:
        listener = leaving.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(path))
        listener.listen(0)
        for _ in range(2):  # more than it has asked for
            waiting = leaving.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            waiting.connect_ex(str(path))
        before = path.stat().st_ino
        with pytest.raises(OSError, match="in use"):
            Broker(unix_path=path).start()
        assert path.stat().st_ino == before


def test_where_there_are_no_unix_sockets_the_error_says_so(monkeypatch, tmp_path):
    there = {name: value for name, value in vars(socket).items() if name != "AF_UNIX"}
    monkeypatch.setattr(listeners, "socket", types.SimpleNamespace(**there))
    with pytest.raises(stompy.STOMPError, match="Unix sockets are not to be had"):
        Broker(unix_path=tmp_path / "stomp.sock").start()


# -- serving ---------------------------------------------------------------------------------


def test_rapid_connects_and_disconnects_are_served(connect):
    with Broker() as broker:
        for number in range(40):
            client = connect(broker)
            if number % 3 == 0:
                client.disconnect()
        assert connect(broker).Connected


def test_frames_before_the_client_closes_its_side_are_processed(connect):
    with Broker() as broker:
        with socket.create_connection(broker.address) as sock:
            sock.sendall(CONNECT + b"SEND\ndestination:/queue/q\n\na\0" * 20)
            sock.shutdown(socket.SHUT_WR)
            read_to_the_end(sock)
        with connect(broker) as client:
            client.subscribe("/queue/q")
            assert [client.recv(timeout=2).text for _ in range(20)] == ["a"] * 20


def test_no_message_goes_to_a_client_that_has_closed_its_side(connect):
    with Broker() as broker, does_not_read(broker) as gone:
        gone.shutdown(socket.SHUT_WR)
        until(lambda: "disconnected" in [one["event"] for one in broker.events()])
        client = subscribed(connect(broker), "/queue/late")
        client.subscribe("/queue/q", receipt="s")
        kept = 0
        while (frame := client.recv(timeout=2)).Command == "MESSAGE":
            kept += 1
        assert frame["receipt-id"] == "s"
        for number in range(6):
            client.message("/queue/q", str(number))
        got = []
        while len(got) < 6:
            frame = client.recv(timeout=2)
            if len(frame.Body) == 1:
                got.append(frame.text)
        assert got == list("012345")
        assert read_to_the_end(gone).endswith(b"\0")


def test_beyond_the_most_clients_others_are_told_so_and_these_go_on(connect):
    with Broker(limits=Limits(max_clients=2)) as broker:
        one, other = subscribed(connect(broker)), connect(broker)
        with pytest.raises(stompy.STOMPConnectError, match="too many clients"):
            stompy.connect(broker.address)
        until(lambda: len(broker.clients()) == 2)
        other.message("/topic/t", "hello")
        assert one.recv(timeout=2).text == "hello"
        other.disconnect()
        until(lambda: len(broker.clients()) == 1)
        assert connect(broker).Connected


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_clients_do_not_use_up_the_files_of_the_process():
    program = """
        import resource, sys
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
        from stompy.broker import Broker
        with Broker() as broker:
            print(broker.address[1], flush=True)
            sys.stdin.readline()
            open("/dev/null").close()
            print("fine", flush=True)
            sys.stdin.readline()
    """
    with (
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process,
        contextlib.ExitStack() as leaving,
    ):
        port = int(process.stdout.readline())
        for _ in range(140):
            leaving.enter_context(socket.create_connection((HOST, port)))
        time.sleep(0.3)  # they are accepted, and most of them turned away
        assert process.communicate("\n", timeout=10)[0] == "fine\n"


def test_a_bug_in_sending_to_one_client_cuts_that_one_alone(connect, monkeypatch, caplog):
    pump = connection.Connection.pump

    def broken(self) -> None:
        if self.session.id == "1":
            raise ZeroDivisionError
        pump(self)

    with Broker() as broker:
        first, other = subscribed(connect(broker)), connect(broker)
        monkeypatch.setattr(connection.Connection, "pump", broken)
        other.message("/topic/t", "hello", receipt="r")
        assert other.recv(timeout=2)["receipt-id"] == "r"
        assert first.recv(timeout=2) is None
        assert [one["client"] for one in broker.clients()] == ["2"]
    assert "client 1 could not be sent to" in caplog.text


def test_a_lost_client_gives_back_what_it_held(connect):
    with Broker() as broker:
        other = connect(broker)
        with socket.create_connection(broker.address) as lost:
            lost.sendall(CONNECT + b"SUBSCRIBE\nid:1\nack:client\ndestination:/queue/q\n\n\0")
            lost.sendall(b"SEND\ndestination:/queue/q\n\na\0")
            received = b""
            while received.count(b"\0") < 2:
                received += lost.recv(65536)
            other.subscribe("/queue/q", receipt="subscribed")
            assert other.recv(timeout=2)["receipt-id"] == "subscribed"
        frame = other.recv(timeout=2)
        assert (frame.text, frame["redelivered"]) == ("a", "true")


def test_garbage_is_answered_by_error_and_the_others_notice_nothing(connect):
    with Broker() as broker:
        other = connect(broker)
        other.subscribe("/topic/t")
        with socket.create_connection(broker.address) as sock:
            sock.sendall(GARBAGE)
            answer = read_to_the_end(sock)
        assert answer.startswith(b"ERROR\n")
        assert answer.endswith(b"\0")
        other.message("/topic/t", "still here")
        assert other.recv(timeout=2).text == "still here"


def test_the_error_arrives_before_the_close_though_the_client_goes_on_sending():
    with Broker() as broker, socket.create_connection(broker.address) as sock:
        sock.sendall(CONNECT)
        sock.sendall(GARBAGE + bytes(2_000_000))
        answer = read_to_the_end(sock)  # a reset would raise, and swallow the ERROR
        assert answer.startswith(b"CONNECTED\n")
        assert b"\0ERROR\n" in answer
        assert answer.endswith(b"\0")


def test_an_error_about_a_frame_reaches_the_client_as_the_reason(connect):
    with Broker() as broker:
        client = connect(broker)
        client.send("SEND", body="where to?")
        with pytest.raises(stompy.STOMPError, match="SEND without destination"):
            client.recv(timeout=2)
        assert client.recv(timeout=2) is None


def test_a_frame_that_the_broker_cannot_handle_is_answered_and_not_dropped_in_silence():
    with Broker() as broker, socket.create_connection(broker.address) as sock:
        digits = b"9" * 5000
        subscribe = b"SUBSCRIBE\nid:1\ndestination:/queue/q\nprefetch-count:%b\nreceipt:r\n\n\0"
        sock.sendall(CONNECT + subscribe % digits)
        sock.settimeout(2)
        received = b""
        while received.count(b"\0") < 2:
            received += (portion := sock.recv(65536))
            assert portion, "the broker closed without a word"


def test_a_client_that_stays_after_an_error_is_cut_off(monkeypatch):
    monkeypatch.setattr(connection, "LINGER", 0.05)
    with Broker() as broker, socket.create_connection(broker.address) as sock:
        sock.sendall(GARBAGE)
        assert read_to_the_end(sock).startswith(b"ERROR\n")

        def cut_off() -> bool:
            try:
                sock.sendall(b"\n")
            except ConnectionError:
                return True
            return False

        until(cut_off)


@pytest.mark.parametrize("first", ["the subscriber", "the messages"])
def test_a_client_that_does_not_read_leaves_a_queue_to_the_others(monkeypatch, first, connect):
    monkeypatch.setattr(session, "UNREAD_LIMIT", 100_000)
    count = 300
    with Broker() as broker:
        quick, slow, sender = connect(broker), connect(broker), connect(broker)
        if first == "the subscriber":
            slow.subscribe("/queue/q")
        for number in range(count):  # far more than the operating system takes in for a reader
            sender.message("/queue/q", b"%-100000d" % number)
        sender.disconnect()
        if first == "the messages":
            slow.subscribe("/queue/q")
        slow.send("SEND", destination="/topic/none", receipt="all is subscribed")
        quick.subscribe("/queue/q")
        left = [int(quick.recv(timeout=2).Body)]  # a STOMPTimeout: the slow one got them all
        with contextlib.suppress(stompy.STOMPTimeout):
            while True:
                left.append(int(quick.recv(timeout=0.3).Body))
        given: list[int] = []
        while len(given) + len(left) < count:
            frame = slow.recv(timeout=2)
            if frame.Command == "MESSAGE":
                given.append(int(frame.Body))
        assert sorted(given + left) == list(range(count))


def test_a_topic_drops_the_oldest_for_a_client_that_does_not_read_and_the_others_get_all(connect):
    count = 300
    limits = Limits(max_backlog=2_000_000)
    with Broker(limits=limits) as broker:
        slow, quick, sender = connect(broker), connect(broker), connect(broker)
        slow_id = broker.clients()[0]["client"]
        subscribed(slow)
        subscribed(quick)
        for number in range(count):  # far more than the operating system takes in
            sender.message("/topic/t", b"%-100000d" % number)
            assert int(quick.recv(timeout=5).Body) == number
        (seen,) = (one for one in broker.clients() if one["client"] == slow_id)
        assert seen["dropped"] > 0
        assert seen["waiting"] * 100_000 < 2_000_000
        received = [int(slow.recv(timeout=2).Body) for _ in range(count - seen["dropped"])]
        assert received == sorted(received)
        assert received[0] == 0
        assert received[-1] == count - 1
        sender.message("/topic/t", "it goes on")
        assert slow.recv(timeout=2).text == "it goes on"


def test_memory_is_bounded_however_many_clients_do_not_read(connect):
    limits = Limits(max_backlog=2_000_000)
    with Broker(limits=limits) as broker:
        slow = [subscribed(connect(broker)) for _ in range(5)]
        quick, sender = subscribed(connect(broker)), connect(broker)
        most = 0
        for number in range(60):
            sender.message("/topic/t", bytes(1_000_000))
            assert len(quick.recv(timeout=5).Body) == 1_000_000
            if number % 10 == 9:
                most = max(most, broker.stats()["octets"])
                assert max(one["unsent"] for one in broker.clients()) < 4_000_000
        assert most < 5 * 3_000_000  # each counts for itself, though they share the bodies
        assert sum(one["dropped"] for one in broker.clients()) > 5 * 40
        assert len(slow) == 5


def test_a_client_that_does_not_read_its_receipts_is_not_read_from_any_more():
    octets = memoryview((b"SEND\ndestination:/topic/none\nreceipt:%10000d\n\n\0" % 1) * 6000)
    with Broker() as broker, socket.create_connection(broker.address) as sock:
        sock.sendall(CONNECT)
        sock.settimeout(0.5)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < len(octets):
                sent += sock.send(octets[sent:])
        assert sent < len(octets)
        assert broker.clients()[0]["unsent"] < 4_000_000


def test_a_client_that_reads_again_gets_the_receipts_that_waited():
    count = 300
    with Broker() as broker, socket.create_connection(broker.address) as sock:
        sock.sendall(CONNECT)
        names = [b"%-10000d" % number for number in range(count)]

        def ask() -> None:
            for name in names:
                sock.sendall(b"SEND\ndestination:/topic/none\nreceipt:%b\n\n\0" % name)

        with Background(ask):
            received = b""
            while received.count(b"\0") < count + 1:
                received += (portion := sock.recv(65536))
                assert portion
        answered = [frame.partition(b"receipt-id:")[2] for frame in received.split(b"\0")[1:-1]]
        assert [answer.partition(b"\n")[0] for answer in answered] == names


def test_a_client_that_neither_reads_nor_beats_any_more_is_cut(monkeypatch):
    monkeypatch.setattr(connection, "LINGER", 0.1)
    connect = CONNECT.replace(b"host:/\n", b"host:/\nheart-beat:100,0\n")
    with Broker() as broker, socket.create_connection(broker.address) as frozen:
        frozen.sendall(connect + b"SUBSCRIBE\nid:1\ndestination:/topic/t\n\n\0")
        until(broker.destinations)
        with stompy.connect(broker.address) as sender:
            for _ in range(100):  # more than the operating system takes in for a reader
                sender.message("/topic/t", bytes(100_000))
        until(lambda: not broker.clients(), timeout=3)


def test_a_client_that_reads_slowly_but_steadily_gets_the_last_words(monkeypatch):
    monkeypatch.setattr(connection, "LINGER", 0.5)
    with Broker(heart_beat=(0, 0)) as broker, does_not_read(broker) as reader:
        reader.sendall(b"DISCONNECT\nreceipt:bye\n\n\0")
        got = b""
        while data := reader.recv(64_000):
            got = got[-1000:] + data
            time.sleep(0.02)
    assert b"receipt-id:bye" in got


def test_clients_that_break_off_while_much_waits_for_them_leave_no_trace_in_the_log(caplog):
    for number in range(10):
        with Broker() as broker, socket.create_connection(broker.address) as sock:
            sock.sendall(CONNECT + b"SUBSCRIBE\nid:1\ndestination:/topic/t\n\n\0")
            until(broker.destinations)
            with stompy.connect(broker.address) as sender:
                for _ in range(100):
                    sender.message("/topic/t", bytes(100_000))
            for _ in range(30 + number):
                sock.recv(65536)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
            until(lambda broker=broker: not broker.clients())
    assert [one.getMessage() for one in caplog.records if one.levelno > logging.INFO] == []


# -- the ways to come ------------------------------------------------------------------------


def test_the_urls_say_where_a_broker_listens(everywhere, tmp_path):
    with everywhere:
        urls = everywhere.urls
        assert tuple(urls) == ("stomp", "stomp+ssl", "ws", "wss", "stomp+unix")
        assert urls["stomp"] == "stomp://{}:{}".format(*everywhere.address)
        assert urls["stomp+unix"] == f"stomp+unix://{tmp_path / 'stomp.sock'}"
        assert urls["wss"].startswith("wss://127.0.0.1:")
    with pytest.raises(stompy.STOMPError, match="not running"):
        _ = everywhere.urls
    with Broker() as broker:
        assert tuple(broker.urls) == ("stomp",)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_client_comes_and_goes_by_each_way(everywhere, scheme):
    with everywhere:
        with by(everywhere, scheme) as client:
            subscribed(client)
            for body in (b"", "grüße".encode(), LARGE):
                client.message("/topic/t", body)
                assert client.recv(timeout=TIMEOUT).Body == body
        until(lambda: not everywhere.clients())


def test_messages_go_from_every_way_to_every_other(everywhere, caplog):
    with nothing_left_open(caplog), everywhere, contextlib.ExitStack() as leaving:
        clients = {
            scheme: subscribed(leaving.enter_context(by(everywhere, scheme))) for scheme in SCHEMES
        }
        for scheme, client in clients.items():
            client.message("/topic/t", f"by {scheme}")
            assert [one.recv(timeout=2).text for one in clients.values()] == [f"by {scheme}"] * 5


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_last_error_arrives_and_the_end_follows(everywhere, scheme):
    with everywhere:
        client = by(everywhere, scheme)
        client.send("SEND", body="where to?")
        with pytest.raises(stompy.STOMPError, match="SEND without destination"):
            client.recv(timeout=2)
        assert client.recv(timeout=2) is None
        until(lambda: not everywhere.clients(), timeout=1)


@pytest.mark.parametrize("scheme", STREAMS)
def test_a_stream_ends_with_the_error_and_a_goodbye(everywhere, scheme):
    with everywhere, stream(everywhere, scheme) as sock:
        sock.sendall(CONNECT + b"SEND\n\n\0")
        answer = read_to_the_end(sock)
        assert answer.startswith(b"CONNECTED\n")
        assert b"\0ERROR\nmessage:SEND without destination\n" in answer
        assert answer.endswith(b"\0")


def test_stopping_is_quick_and_clean_whichever_way_clients_came(everywhere, caplog):
    with nothing_left_open(caplog):
        everywhere.start()
        clients = [subscribed(by(everywhere, scheme)) for scheme in SCHEMES]
        clients[0].message("/topic/t", LARGE)
        assert clients[0].recv(timeout=2).Body == LARGE  # the others have not read it
        began = time.monotonic()
        everywhere.stop()
        assert time.monotonic() - began < 1.0
        assert broker_threads() == []
        for client in clients:
            client.disconnect()
        del client, clients


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_client_that_has_said_nothing_is_cut_and_does_not_hold_up_the_stop(
    everywhere, scheme, caplog
):
    if scheme in STREAMS:
        silent = stream(everywhere.start(), scheme)
    else:
        silent = socket.create_connection(place(everywhere.start(), scheme))
    with nothing_left_open(caplog), silent as sock:
        if scheme == "wss":  # let it be through with TLS
            context = client_context()
            sock = context.wrap_socket(sock, server_hostname="localhost")
        until(everywhere.clients)
        began = time.monotonic()
        everywhere.stop()
        assert time.monotonic() - began < 1.0
        assert read_to_the_end(sock) == b""
        sock.close()


def test_stopping_is_clean_while_a_client_is_in_the_middle_of_the_tls_handshake(everywhere, caplog):
    with nothing_left_open(caplog):
        everywhere.start()
        with (
            socket.create_connection(place(everywhere, "stomp+ssl")) as half,
            stream(everywhere, "stomp+ssl"),  # that it is through says that both were accepted
        ):
            everywhere.stop()
            half.settimeout(5)
            with contextlib.suppress(ConnectionResetError):
                assert half.recv(1) == b""


def test_a_client_has_no_longer_for_its_tls_handshake_than_for_its_connect():
    limits = Limits(connect_timeout=0.3)
    with (
        Broker(tls_port=0, tls=server_context(), limits=limits) as broker,
        socket.create_connection(place(broker, "stomp+ssl")) as sock,
    ):
        assert read_to_the_end(sock) == b""


def test_a_forgotten_broker_lets_go_of_clients_whichever_way_they_came(tmp_path, caplog):
    with nothing_left_open(caplog):
        broker = broker_everywhere(tmp_path).start()
        clients = [by(broker, scheme) for scheme in SCHEMES]
        assert all(client.Connected for client in clients)
        forgotten = weakref.ref(broker)
        del broker
        gc.collect()
        assert forgotten() is None
        until(lambda: not broker_threads())
        assert [client.recv(timeout=2) for client in clients] == [None] * len(SCHEMES)
        for client in clients:
            client.disconnect()
        del client, clients


PROGRAM = """
import json
import sys

from stompy.broker import Broker

path, cert, key = sys.argv[1:]
broker = Broker(
    unix_path=path, tls_port=0, websocket_port=0, wss_port=0, cert_file=cert, key_file=key
).start()
print(json.dumps(broker.urls), flush=True)
input()
"""


def test_a_program_may_end_with_its_broker_running_and_clients_connected(tmp_path):
    path = tmp_path / "stomp.sock"
    files = write_files(tmp_path, server_certificate())
    program = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM, path, files.cert, files.key],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with program:
        urls = json.loads(program.stdout.readline())
        clients = []
        for url in urls.values():
            tls = client_context() if url.startswith(("stomp+ssl", "wss")) else None
            clients.append(subscribed(stompy.connect(url, tls=tls)))
        clients[0].message("/topic/t", LARGE)
        assert clients[0].recv(timeout=2).Body == LARGE  # the others have not read it
        began = time.monotonic()
        _, said = program.communicate(b"\n", timeout=10)
        assert time.monotonic() - began < 2.0
    assert (program.returncode, said.decode()) == (0, "")
    assert not path.exists()
    for client in clients:
        client.disconnect()


def test_a_unix_socket_of_somebody_else_in_its_place_is_left_alone(tmp_path):
    path = tmp_path / "stomp.sock"
    with Broker(unix_path=path), socket.socket(socket.AF_UNIX) as other:
        path.unlink()
        other.bind(str(path))
    assert path.is_socket()


def test_a_unix_socket_that_somebody_removed_does_not_prevent_the_stop(tmp_path):
    path = tmp_path / "stomp.sock"
    with Broker(unix_path=path) as broker:
        path.unlink()
    assert not broker.running


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")
def test_a_broker_listens_at_an_ipv6_address(caplog):
    with (
        nothing_left_open(caplog),
        Broker("::1", websocket_port=0, tls_port=0, tls=server_context("::1")) as broker,
    ):
        assert broker.urls["stomp"] == f"stomp://[::1]:{broker.address[1]}"
        with socket.create_connection(broker.address) as sock:
            until(broker.clients)
            assert broker.clients()[0]["address"] == f"[::1]:{sock.getsockname()[1]}"
        with (
            subscribed(stompy.connect(broker.address)) as one,
            subscribed(stompy.connect(broker.urls["ws"])) as other,
            subscribed(stompy.connect(broker.urls["stomp+ssl"], tls=client_context())) as third,
        ):
            one.message("/topic/t", "six")
            assert {client.recv(timeout=2).text for client in (one, other, third)} == {"six"}


@pytest.mark.parametrize("which", ["tls_port", "websocket_port", "wss_port"])
def test_a_broker_of_which_one_port_is_taken_leaves_none_open(which):
    with socket.create_server((HOST, 0)) as taken:
        address = (HOST, free_port())
        broker = Broker(*address, tls=server_context(), **{which: taken.getsockname()[1]})
        with pytest.raises(OSError, match="Address already in use"):
            broker.start()
        assert not broker.running
        assert broker_threads() == []
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)


# -- certificates ----------------------------------------------------------------------------


@pytest.mark.parametrize("password", [None, "geheim"])
def test_a_certificate_may_be_in_files(tmp_path, password):
    files = write_files(tmp_path, server_certificate(), password and password.encode())
    with (
        Broker(
            tls_port=0, cert_file=files.cert, key_file=str(files.key), key_password=password
        ) as broker,
        by(broker, "stomp+ssl", tls=None, ca_file=files.ca) as client,
    ):
        assert client.Connected


def test_a_certificate_and_its_key_may_be_in_one_file(tmp_path):
    files = write_files(tmp_path, server_certificate())
    both = tmp_path / "both.pem"
    both.write_bytes(files.key.read_bytes() + files.cert.read_bytes())
    with Broker(wss_port=0, cert_file=both) as broker, by(broker, "wss") as client:
        assert client.Connected


@pytest.mark.parametrize(
    "wrong", ["no file", "no certificate", "another's key", "a wrong password", "no password"]
)
def test_a_certificate_that_cannot_be_used_is_an_error_that_names_it(tmp_path, wrong):
    locked = "password" in wrong
    files = write_files(tmp_path, server_certificate(), b"geheim" if locked else None)
    password = "wrong-one" if wrong == "a wrong password" else None
    if wrong == "no file":
        files.cert.unlink()
    elif wrong == "no certificate":
        files.cert.write_text("hello")
    elif wrong == "another's key":
        files.key.write_bytes(authority().issue_cert("other").private_key_pem.bytes())
    with pytest.raises(stompy.STOMPError, match=r"cert\.pem .*cannot be used") as caught:
        Broker(tls_port=0, cert_file=files.cert, key_file=files.key, key_password=password)
    assert "key_file" in str(caught.value)
    assert "wrong-one" not in str(caught.value)


def test_a_key_file_that_does_not_exist_is_named(tmp_path):
    files = write_files(tmp_path, server_certificate())
    with pytest.raises(stompy.STOMPError, match=r"nothing\.pem"):
        Broker(tls_port=0, cert_file=files.cert, key_file=tmp_path / "nothing.pem")


def test_options_of_tls_that_make_no_sense_together_are_refused(tmp_path):
    files = write_files(tmp_path, server_certificate())
    with pytest.raises(stompy.STOMPError, match="cert_file"):
        Broker(key_file=files.key)
    with pytest.raises(stompy.STOMPError, match="SSLContext"):
        Broker(tls_port=0, tls=server_context(), cert_file=files.cert, key_file=files.key)


@pytest.mark.parametrize("which", ["tls_port", "wss_port"])
def test_a_port_for_tls_without_a_certificate_is_an_error(which):
    with pytest.raises(stompy.STOMPError, match="needs a certificate") as caught:
        Broker(**{which: 0})
    assert "cert_file=" in str(caught.value)


def test_a_client_that_does_not_trust_the_certificate_is_gone_and_the_others_go_on(everywhere):
    with everywhere, by(everywhere, "stomp+ssl") as client:
        subscribed(client)
        for scheme in ("stomp+ssl", "wss"):
            with pytest.raises(stompy.STOMPConnectError, match="certificate"):
                by(everywhere, scheme, tls=ssl.create_default_context())
        client.message("/topic/t", "still here")
        assert client.recv(timeout=2).text == "still here"
        assert len(everywhere.clients()) == 1


def test_a_broker_may_ask_its_clients_for_certificates():
    with Broker(tls_port=0, tls=server_context(mutual=True)) as broker:
        known = client_context()
        authority().issue_cert("me@client.example").configure_cert(known)
        with by(broker, "stomp+ssl", tls=known) as client:
            assert client.Connected
            with pytest.raises(stompy.STOMPConnectError):
                by(broker, "stomp+ssl")
            assert len(broker.clients()) == 1


def test_the_wrong_door_is_said_to_be_so(everywhere):
    with everywhere:
        with socket.create_connection(everywhere.address) as sock:
            sock.sendall(b"\x16\x03\x01\x02\x00" + bytes(60))  # TLS knocks at the plain port
            assert b"TLS" in read_to_the_end(sock)
        with socket.create_connection(place(everywhere, "stomp+ssl")) as sock:
            sock.sendall(CONNECT)  # and the other way round: all that can be said is goodbye
            assert not read_to_the_end(sock).startswith(b"CONNECTED")
        with by(everywhere, "stomp+ssl") as client:
            assert client.Connected


# -- heart-beats -----------------------------------------------------------------------------


def test_clients_with_short_heart_beats_stay_connected_while_both_are_quiet(everywhere):
    intervals = (100, 100), (200, 100), (150, 150), (100, 200), (100, 0)
    with everywhere:
        pairs = list(zip(SCHEMES, intervals, strict=True))
        clients = [by(everywhere, scheme, heart_beat=beats) for scheme, beats in pairs]
        assert [client.heart_beat for client in clients] == list(intervals)

        def stay(number: int) -> None:
            with pytest.raises(stompy.STOMPTimeout):
                clients[number].recv(timeout=1.4)  # longer than either side bears silence

        in_threads(len(clients), stay)
        for client in clients:
            subscribed(client).disconnect()


def test_beats_come_as_often_as_was_agreed_and_a_client_without_any_is_refused():
    connect = CONNECT.replace(b"host:/\n", b"host:/\nheart-beat:100,100\n")
    with Broker() as broker, socket.create_connection(broker.address) as sock:
        sock.sendall(connect)
        began = time.monotonic()
        answer = read_to_the_end(sock)
        lasted = time.monotonic() - began
        connected, beats_and_error = answer.split(b"\0", 1)
        assert connected.startswith(b"CONNECTED\n")
        beats = len(beats_and_error) - len(beats_and_error.lstrip(b"\n"))
        assert beats_and_error.lstrip(b"\n").startswith(b"ERROR\nmessage:no heart-beat\n")
        assert 1.1 < lasted < 2.5
        assert lasted / 0.1 - 4 < beats < lasted / 0.08 + 2
        sock.close()
        until(lambda: not broker.clients())


# -- arguments -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 65536},
        {"port": -1},
        {"port": "61613"},
        {"websocket_port": 70000},
        {"logins": {"a": 123}},
        {"logins": {"a": None}},
        {"logins": {"a": ""}},
        {"heart_beat": 5},
        {"heart_beat": (0.5, 1)},
        {"heart_beat": (-1, 0)},
        {"origins": "app.example"},
        {"origins": ["https://app.example/path"]},
    ],
    ids=str,
)
def test_wrong_arguments_are_said_to_be_wrong_at_once(wrong):
    with pytest.raises(stompy.STOMPError):
        Broker(**wrong)


@pytest.mark.parametrize("wrong", [{"max_memory": -1}, {"max_body": "1"}, {"connect_timeout": 0}])
def test_wrong_limits_are_said_to_be_wrong_at_once(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Limits(**wrong)


def test_a_message_id_is_not_used_again_when_a_broker_is_started_again(connect):
    broker = Broker()
    seen = []
    for _ in range(2):
        with broker, connect(broker) as client:
            client.subscribe("/queue/q")
            client.message("/queue/q", "x")
            seen.append(client.recv(timeout=2)["message-id"])
    assert seen[0] != seen[1]
