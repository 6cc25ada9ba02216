"""A client's socket without one: whose turn it is, in an event loop that the test moves."""

import asyncio
from collections.abc import Callable

import pytest

from stompy.broker import connection as module
from stompy.broker.connection import SEND_SIZE, TURN_SIZE, Connection
from tests.unit.broker.clients import Peer, PureBroker

CONNECT = b"CONNECT\naccept-version:1.2\nhost:/\n\n\0"
SUBSCRIBE = b"SUBSCRIBE\nid:1\ndestination:/queue/q\n\n\0"


class LostSocket:
    """Says nothing of what the operating system has not sent."""

    def fileno(self) -> int:
        return -1


class Transport(asyncio.Transport):
    """Takes all that is written, as of a client that reads faster than the broker writes."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reading = True
        self.ended = False

    def get_extra_info(self, name: str, default: object = None) -> object:
        return LostSocket() if name == "socket" else default

    def write(self, data) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.ended

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self.ended = True

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high=None, low=None) -> None:
        pass


class Timer:
    def cancel(self) -> None:
        pass


class Engine:
    """What a connection sees of the engine; `turn` is a turn of the event loop."""

    def __init__(self, broker: PureBroker) -> None:
        self.rules = broker.rules
        self.due: list[Callable[[], None]] = []
        self.unsent: set[Connection] = set()

    def joined(self, connection: Connection) -> None:
        pass

    def next_id(self) -> str:
        return "it"

    def now(self) -> float:
        return 1000.0

    def later(self, seconds: float, what: Callable[[], None]) -> Timer:
        if not seconds:
            self.due.append(what)
        return Timer()

    def will_send(self, connection: Connection) -> None:
        self.unsent.add(connection)

    def flush(self) -> None:
        while self.unsent:
            self.unsent.pop().pump()

    def turn(self) -> bool:
        """Call what is due; False when there is nothing."""
        due, self.due = self.due, []
        for what in due:
            what()
        self.flush()
        return bool(due)


@pytest.fixture
def broker():
    with PureBroker() as running:
        yield running


def connected(broker: PureBroker) -> tuple[Connection, Transport, Engine]:
    engine, transport = Engine(broker), Transport()
    connection = Connection(engine, "stomp")
    connection.connection_made(transport)
    broker.sessions.append(connection.session)
    connection.data_received(CONNECT)
    return connection, transport, engine


def test_a_client_that_reads_fast_does_not_keep_the_loop_for_itself(broker):
    sender = Peer(broker)
    for _ in range(400):
        sender.message("/queue/q", b"x" * 50_000)
    connection, transport, engine = connected(broker)
    connection.data_received(SUBSCRIBE)
    before = 0
    while len(transport.written) < 400 * 50_000:
        assert before < len(transport.written) < before + TURN_SIZE + 2 * SEND_SIZE
        before = len(transport.written)
        assert engine.turn()
    assert not engine.turn()


def test_what_takes_long_to_handle_is_handled_by_and_by_and_in_order(broker, monkeypatch):
    monkeypatch.setattr(module, "TURN_TIME", -1.0)  # whatever it is takes too long
    monkeypatch.setattr(module, "PORTION", 100)
    connection, transport, engine = connected(broker)
    frames = [b"SEND\ndestination:/queue/q\nreceipt:%d\n\n%-70d\0" % (n, n) for n in range(50)]
    connection.data_received(b"".join(frames))
    connection.eof_received()
    turns = 0
    while not transport.ended:
        assert transport.written.count(b"RECEIPT\n") < 50
        assert engine.turn()
        turns += 1
    assert turns > 20
    receipts = [part.partition(b"\n")[0] for part in transport.written.split(b"receipt-id:")[1:]]
    assert receipts == [b"%d" % number for number in range(50)]
    assert [int(body) for body in broker.drain("/queue/q")] == list(range(50))


def test_a_client_is_not_read_from_while_what_it_has_sent_waits_its_turn(broker, monkeypatch):
    monkeypatch.setattr(module, "TURN_TIME", -1.0)
    connection, transport, engine = connected(broker)
    connection.data_received(b"\n" * 100_000)
    assert not transport.reading
    while engine.turn():
        pass
    assert transport.reading
