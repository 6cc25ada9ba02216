"""A broker that goes away in the middle of a stream and comes back: nothing is lost.

A producer sends 10,000 numbers to a queue and a consumer processes them, each by a client of its
own that reconnects. The producer waits for the receipt of each number, and sends again what was not
confirmed, because whether the broker has it is not known; the consumer acknowledges what it has
processed. So a number may be processed twice, but none is left out. How many were is printed:

    pytest tests/brokers/test_restart.py -rA
"""

import contextlib
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence

import pytest

import stompy
from stompy import (
    ClientState,
    Receipt,
    ReceiptOutcome,
    ReconnectPolicy,
    STOMPClient,
    STOMPClosed,
    STOMPFrame,
)
from stompy.broker import Broker
from tests.brokers.servers import (
    Server,
)
from tests.brokers.tap import Tap
from tests.brokers.test_client import subscribe
from tests.processes import free_port
from tests.unit.peer import Background

MESSAGES = 10_000
LOSS = 3_050
"""After so many were processed, in the middle of a window, the connections are lost."""
WINDOW = 100
"""So many are sent before the producer waits for their receipts."""
PREFETCH = 100
"""So many may be delivered that are not acknowledged."""
HELD = 10
"""So many are processed and not acknowledged yet, as by one who works in batches."""
IN_FLIGHT = PREFETCH + 3 * WINDOW
"""So many may be processed twice: what is sent again, which is a window; what is delivered and not
acknowledged; and what is acknowledged, but not on the broker's disk: RabbitMQ writes ACKs with the
next window that it confirms, and the consumer is one window behind as a rule, so that is two."""
LIMIT = 45.0
"""Seconds in which a broker has come back, and the stream has ended."""

SOON = ReconnectPolicy(first=0.05, cap=0.2)
LOST_ONCE = [
    ClientState.Connected,
    ClientState.Reconnecting,
    ClientState.Connected,
    ClientState.Closed,
]
END = b"the end"


class Party:
    """One end of the stream: a client that reconnects, and what it has said of its states."""

    def __init__(self, server: Server, queue: str) -> None:
        self.server, self.queue = server, queue
        self.states: list[ClientState] = []

    def connected(self) -> STOMPClient:
        return stompy.connect(
            self.server.address,
            **self.server.arguments,
            reconnect=SOON,
            on_state=lambda _, state: self.states.append(state),
        )


class Producer(Party):
    """Sends the numbers, one window after the other, and then the end.

    Attributes:
        begun: how many numbers are in the windows so far.
        again: those that were sent once more.
    """

    def __init__(self, server: Server, queue: str) -> None:
        super().__init__(server, queue)
        self.begun = 0
        self.again: list[int] = []

    def run(self) -> None:
        with self.connected() as client:
            while self.begun < MESSAGES:
                window = range(self.begun, self.begun + WINDOW)
                self.begun = window.stop
                left = self.send(client, window)
                while left:
                    self.again += left
                    left = self.send(client, left)
            client.message(self.queue, END, persistent=True)

    def send(self, client: STOMPClient, numbers: Sequence[int]) -> list[int]:
        """Send numbers; return those of which it is not known whether the broker has them."""
        receipts: dict[int, Receipt | None] = {}
        for number in numbers:
            with contextlib.suppress(STOMPClosed):  # it broke off in the middle
                receipts[number] = client.message(
                    self.queue, str(number), receipt=True, persistent=True
                )
        return [number for number in numbers if not confirmed(receipts.get(number))]


def confirmed(receipt: Receipt | None) -> bool:
    """Wait until a receipt has come, or cannot come any more; and say which."""
    if receipt is None:
        return False
    with contextlib.suppress(STOMPClosed):
        receipt.wait(LIMIT)
    return receipt.outcome is ReceiptOutcome.Confirmed


class Consumer(Party):
    """Processes the numbers until the end comes, and acknowledges each a little later.

    Attributes:
        processed: the numbers as they came.
        warned: those of which the client did not send the ACK, and said so.
        amid: set when it is time for the loss.
    """

    def __init__(self, server: Server, queue: str) -> None:
        super().__init__(server, queue)
        self.processed: list[int] = []
        self.warned: set[int] = set()
        self.amid = threading.Event()

    def run(self) -> None:
        try:
            self.process()
        finally:
            self.amid.set()  # if it was not: then nobody has to wait for it

    def process(self) -> None:
        held: deque[STOMPFrame] = deque()
        with self.connected() as client:
            client.subscribe(self.queue, "client-individual", send_acks=False, prefetch=PREFETCH)
            while (frame := client.recv(LIMIT)) is not None and frame.Body != END:
                self.processed.append(int(frame.Body))
                if len(self.processed) == LOSS:
                    self.amid.set()
                held.append(frame)
                if len(held) > HELD:
                    self.acknowledge(client, held.popleft())
            for frame in held:
                client.ack(frame)

    def acknowledge(self, client: STOMPClient, frame: STOMPFrame) -> None:
        try:
            client.ack(frame)
        except STOMPClosed:  # it broke off in the middle: the broker delivers the number again
            pass
        except UserWarning as warning:  # an error, as all warnings are in our tests
            if "is not sent" not in str(warning):
                raise
            self.warned.add(int(frame.Body))


def stream(producer: Producer, consumer: Consumer, lose: Callable[[], None]) -> int:
    """Send everything through the queue, and call `lose` in the middle of it.

    That no ACK of the first connection goes to the second is seen from two things: `recv` raises no
    ERROR, by which a broker answers an ACK that it does not know, and the client has warned of
    those that the consumer still held when the second connection delivered.

    Returns:
        How many numbers were in windows that had begun before `lose` returned.
    """
    with Background(consumer.run) as consuming, Background(producer.run) as producing:
        assert consumer.amid.wait(LIMIT)
        lose()
        begun = producer.begun
        producing.result(LIMIT)
        consuming.result(LIMIT)
    assert producer.states == consumer.states == LOST_ONCE
    assert len(consumer.warned) >= HELD
    return begun


Say = Callable[[Producer, Consumer], int]


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> Say:
    """`say(producer, consumer)` reports what a loss has cost; returns the duplicates."""

    def say(producer: Producer, consumer: Consumer) -> int:
        duplicates = len(consumer.processed) - len(set(consumer.processed))
        figures = {
            "duplicates": duplicates,
            "sent again": len(producer.again),
            "ACKs not sent": len(consumer.warned),
        }
        for what, figure in figures.items():
            record_property(what, figure)
        print(f"{producer.server.name}:", ", ".join(f"{n} {what}" for what, n in figures.items()))
        return duplicates

    return say


def declare(server: Server, queue: str) -> None:
    """Make a queue that is there after a restart, too.

    RabbitMQ keeps the end of the transaction that declares a queue in memory for some seconds,
    and knows nothing of the queue when it is killed meanwhile: everything in it would be lost, with
    any client. Another queue, declared later, has it written to the disk.
    """
    with stompy.connect(server.address, **server.arguments) as client:
        subscribe(client, queue)
        subscribe(client, f"{queue}-and-another")


def restart(server: Server) -> None:
    server.kill()
    server.start()


def test_none_of_10_000_messages_is_lost_when_the_broker_is_killed_and_started_again(
    own_server: Server, queue: str, say: Say
) -> None:
    declare(own_server, queue)
    producer, consumer = Producer(own_server, queue), Consumer(own_server, queue)
    stream(producer, consumer, lambda: restart(own_server))
    duplicates = say(producer, consumer)
    assert set(consumer.processed) == set(range(MESSAGES))
    assert consumer.warned <= {n for n, times in Counter(consumer.processed).items() if times > 1}
    assert len(producer.again) <= WINDOW
    assert duplicates <= IN_FLIGHT


@pytest.fixture
def tap() -> Iterator[Tap]:
    """A relay in front of an embedded broker."""
    with Broker() as broker:
        tap = Tap(Server("embedded", *broker.address, None, None))
        yield tap
        tap.close()


def test_none_of_10_000_messages_is_lost_when_all_connections_to_the_embedded_broker_are_cut(
    tap: Tap, queue: str, say: Say
) -> None:
    """It cannot keep them when it is stopped, because it has them in memory alone, by design."""
    server = Server("embedded", *tap.address, None, None)
    producer, consumer = Producer(server, queue), Consumer(server, queue)
    stream(producer, consumer, tap.cut)
    duplicates = say(producer, consumer)
    assert set(consumer.processed) == set(range(MESSAGES))
    assert len(producer.again) <= WINDOW
    assert duplicates <= PREFETCH + WINDOW


def test_all_that_the_embedded_broker_confirms_after_a_restart_arrives(
    queue: str, say: Say
) -> None:
    """What was in its queues before is gone with it: the windows until then may have gaps."""
    with Broker(port=free_port()) as broker:
        server = Server(
            "embedded", *broker.address, None, None, kill=broker.stop, start=broker.start
        )
        producer, consumer = Producer(server, queue), Consumer(server, queue)
        begun = stream(producer, consumer, lambda: restart(server))
        say(producer, consumer)
    assert begun < MESSAGES
    assert set(range(begun, MESSAGES)) <= set(consumer.processed)
