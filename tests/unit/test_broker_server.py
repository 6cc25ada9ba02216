"""The embedded broker's listener: real sockets, and the thread that serves them."""

import contextlib
import gc
import socket
import threading
import time
import weakref

import pytest

import stompy
from stompy.broker import Broker, server
from tests.processes import HOST, free_port
from tests.unit.waiting import until

CONNECT = b"CONNECT\naccept-version:1.2\nhost:/\n\n\0"
GARBAGE = b"garbage\n\n\0"


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
        with pytest.raises(OSError, match="address"):
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
    monkeypatch.setattr(server, "FLUSH_LIMIT", 5)
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
    monkeypatch.setattr(server, "LINGER", 0.05)
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
    monkeypatch.setattr(server, "UNREAD_LIMIT", 100_000)
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
