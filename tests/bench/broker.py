"""What a broker carries: messages per second, the embedded broker beside three others.

Run by hand, from the root of the repository; it takes less than three minutes:

    pip install -r tests/bench/requirements.txt
    python -m tests.bench.broker

Every broker runs in processes of its own, on the loopback interface, and keeps its messages, with
bodies of 200 octets, in memory. The load comes from two more processes, on raw sockets: one sends
blocks of frames that were encoded before, this one counts what arrives and acknowledges whole
portions of it. The sender is never more than a window ahead of the slowest subscriber, so that no
broker has a reason to drop anything; a run in which a message is missing fails. Each broker does
each run three times after one that does not count, and the best of them counts. What ten
subscribers receive is counted ten times.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import multiprocessing
import os
import re
import selectors
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from tests.brokers import servers
from tests.brokers.servers import Server, missing_activemq, missing_rabbitmq, rabbitmq
from tests.processes import HOST, free_port, listens, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from multiprocessing.sharedctypes import Synchronized
    from multiprocessing.synchronize import Semaphore

ROUNDS = 3
RUN_SECONDS = 2.5
PATIENCE = 10.0
"""Seconds without anything, after which a run has failed."""
READ_SIZE = 256 * 1024
PREFETCH = 1000
"""So many messages may be unacknowledged, where the broker can be told."""

BODY = b"x" * 200
LAST_BODY = b"y" * 200
FRAME_SIZE = 256
BLOCK = 64
"""So many messages are sent at once."""

ACKS = {
    "1.1": (re.compile(rb"\nmessage-id:(.*)"), b"ACK\nsubscription:1\nmessage-id:%s\n\n\0"),
    "1.2": (re.compile(rb"\nack:(.*)"), b"ACK\nid:%s\n\n\0"),
}
"""By version: where a MESSAGE says how it is acknowledged, and the ACK for that."""

FORK = multiprocessing.get_context("fork")
"""The sender is a copy of this process, which has no threads: a `Server` cannot be pickled."""


# -- the brokers -----------------------------------------------------------------------------------


@contextlib.contextmanager
def embedded(folder: Path) -> Iterator[Server]:
    """Run the embedded broker at a shell."""
    with python("stompy", folder, "broker", "--port") as port:
        yield Server("stompy", HOST, port, None, None)


@contextlib.contextmanager
def activemq(folder: Path) -> Iterator[Server]:
    """Run ActiveMQ with all of Java's compilers: the tests, being short, do with the first."""
    as_in_tests = servers._activemq_command

    def command(folder: Path) -> list[str]:
        return [part for part in as_in_tests(folder) if part != "-XX:TieredStopAtLevel=1"]

    with (
        mock.patch.object(servers, "_activemq_command", command),
        servers.activemq(folder) as server,
    ):
        yield server


@contextlib.contextmanager
def coilmq(folder: Path) -> Iterator[Server]:
    """Run CoilMQ with its defaults: a thread per client, queues in memory."""
    with python("coilmq.start", folder, "--host", HOST, "--port") as port:
        yield Server("coilmq", HOST, port, None, None)


@contextlib.contextmanager
def python(module: str, folder: Path, *arguments: str) -> Iterator[int]:
    """Run a broker written in Python; its last argument is a free port, which it is given."""
    folder.mkdir()
    port = free_port()
    command = [sys.executable, "-m", module, *arguments, str(port)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with running(module, command, folder, environment, lambda: listens(port)):
        yield port


def missing_coilmq() -> str | None:
    """Say what to install before `coilmq` can work here, or None if nothing."""
    if importlib.util.find_spec("coilmq") is not None:
        return None
    return "coilmq is not installed: pip install -r tests/bench/requirements.txt"


@dataclass(frozen=True)
class Contender:
    """A broker, and what has to be said to it in a way of its own."""

    name: str
    serve: Callable[[Path], AbstractContextManager[Server]]
    missing: Callable[[], str | None] = lambda: None
    version: str = "1.2"
    ack: str = "client-individual"
    prefetch: str = "prefetch-count"
    """The header of SUBSCRIBE that limits what is unacknowledged."""
    window: int = 64
    """So many blocks may be on their way."""


CONTENDERS = (
    Contender("stompy", embedded),
    Contender("RabbitMQ", rabbitmq, missing_rabbitmq),
    Contender("ActiveMQ", activemq, missing_activemq, prefetch="activemq.prefetchSize"),
    # CoilMQ takes client-individual for auto; in client mode it has one message on its way to a
    # subscriber, which is the same then. In 1.2 its messages have no `ack` header. It reads 4096
    # octets at once and hangs up when a head goes on in the next ones: its window is small, so that
    # a full socket does not cut one.
    Contender("CoilMQ", coilmq, missing_coilmq, version="1.1", ack="client", window=8),
)


@dataclass(frozen=True)
class Scenario:
    """Where messages are sent, and who receives them."""

    title: str
    kind: str
    subscribers: int = 1
    acknowledged: bool = False


SCENARIOS = (
    Scenario("topic, 1 to 1", "topic"),
    Scenario("topic, 1 to 10", "topic", subscribers=10),
    Scenario("queue, acknowledged", "queue", acknowledged=True),
)


# -- the load --------------------------------------------------------------------------------------


def encode(command: str, **headers: str | None) -> bytes:
    """A frame without a body; a header that is None is left out."""
    lines = [command, *(f"{name}:{value}" for name, value in headers.items() if value is not None)]
    return "\n".join([*lines, "", "\0"]).encode()


def message(destination: str, body: bytes) -> bytes:
    """A SEND of FRAME_SIZE octets, so that whatever CoilMQ reads at once ends with a frame."""
    head = f"SEND\ndestination:{destination}\ncontent-length:{len(body)}\n\n"
    octets = head.encode() + body + b"\0"
    assert len(octets) == FRAME_SIZE
    return octets


def connected(contender: Contender, server: Server) -> socket.socket:
    """A session with the broker."""
    sock = socket.create_connection((server.host, server.port), timeout=PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    user = {"login": server.login, "passcode": server.passcode}
    request(sock, encode("CONNECT", **{"accept-version": contender.version, "host": "/"}, **user))
    return sock


def request(sock: socket.socket, frame: bytes) -> None:
    """Send a frame that the broker answers, and read the answer; ConnectionError if it refuses."""
    sock.sendall(frame)
    answer = b""
    while b"\0" not in answer:
        portion = sock.recv(READ_SIZE)
        answer += portion
        if not portion or answer.startswith(b"ERROR"):
            raise ConnectionError(f"{frame[:40]!r} is answered by {answer!r}")


def send(
    contender: Contender,
    server: Server,
    destination: str,
    window: Semaphore,
    sent: Synchronized[int],
) -> None:
    """Send blocks for RUN_SECONDS as the window permits, then the last message."""
    block = message(destination, BODY) * BLOCK
    with connected(contender, server) as sock:
        blocks = 0
        deadline = time.monotonic() + RUN_SECONDS
        while time.monotonic() < deadline:
            if not window.acquire(timeout=PATIENCE):
                raise TimeoutError(f"{contender.name} kept messages back, or lost them")
            sock.sendall(block)
            blocks += 1
        sock.sendall(message(destination, LAST_BODY))
        request(sock, encode("DISCONNECT", receipt="bye"))
        sent.value = blocks * BLOCK + 1


class Subscriber:
    """A connection with one subscription, which counts the messages that it receives."""

    def __init__(
        self, contender: Contender, server: Server, destination: str, acknowledged: bool
    ) -> None:
        headers = {"id": "1", "destination": destination, "receipt": "subscribed"}
        if acknowledged:
            headers |= {"ack": contender.ack, contender.prefetch: str(PREFETCH)}
        self.received = 0
        self.ended = False  # the broker has confirmed it: no more can come
        self._acknowledges = acknowledged
        self._message_id, self._ack = ACKS[contender.version]
        self._frames = self._rest = b""
        self.sock = connected(contender, server)
        request(self.sock, encode("SUBSCRIBE", **headers))

    def read(self) -> None:
        """Take one portion of what has come."""
        portion = self.sock.recv(READ_SIZE)
        if not portion:
            raise ConnectionError(f"the broker hung up after {self._frames[-FRAME_SIZE:]!r}")
        octets = self._rest + portion
        end = octets.rfind(b"\0") + 1
        self._frames, self._rest = octets[:end], octets[end:]
        if self._acknowledges:
            self._acknowledge()
        else:
            self.received += self._frames.count(b"\nmessage-id:")
        if self._frames.endswith(LAST_BODY + b"\0"):
            self.sock.sendall(encode("DISCONNECT", receipt="bye"))
        self.ended = b"\nreceipt-id:bye" in self._frames

    def _acknowledge(self) -> None:
        """Send an ACK for each message of the portion, all at once."""
        ids = self._message_id.findall(self._frames)
        self.received += len(ids)
        self.sock.sendall(b"".join([self._ack % message_id for message_id in ids]))


def receive(subscribers: list[Subscriber], window: Semaphore) -> float:
    """Read until the broker has confirmed every end; returns the seconds since the first message.

    Opens the window by each block that all subscribers have received.
    """
    start = 0.0
    blocks = 0
    with selectors.DefaultSelector() as selector:
        for subscriber in subscribers:
            selector.register(subscriber.sock, selectors.EVENT_READ, subscriber)
        while selector.get_map():
            ready = selector.select(PATIENCE)
            if not ready:
                raise TimeoutError(f"nothing came for {PATIENCE:.0f} s, and the end is missing")
            start = start or time.monotonic()
            for key, _ in ready:
                key.data.read()
                if key.data.ended:
                    selector.unregister(key.fileobj)
            while (blocks + 1) * BLOCK <= min(one.received for one in subscribers):
                window.release()
                blocks += 1
    return time.monotonic() - start


# -- running it ------------------------------------------------------------------------------------


def run(contender: Contender, server: Server, scenario: Scenario, number: int) -> float:
    """The messages per second that all subscribers together receive in one run."""
    destination = f"/{scenario.kind}/bench-{number:04}"
    window = FORK.Semaphore(contender.window)
    sent = FORK.Value("q")
    with contextlib.ExitStack() as stack:
        subscribers = []
        for _ in range(scenario.subscribers):
            one = Subscriber(contender, server, destination, scenario.acknowledged)
            stack.enter_context(one.sock)
            subscribers.append(one)
        sender = FORK.Process(target=send, args=(contender, server, destination, window, sent))
        sender.start()
        stack.callback(sender.join)
        stack.callback(sender.terminate)
        seconds = receive(subscribers, window)
        sender.join(PATIENCE)
    received = [one.received for one in subscribers]
    if set(received) != {sent.value}:
        raise OSError(f"{sent.value} messages were sent, {received} received")
    return sum(received) / seconds


def measure(brokers: dict[Contender, Server]) -> dict[tuple[Contender, Scenario], float]:
    """The best rate of each broker in each scenario where it can be had; says why one cannot."""
    best: dict[tuple[Contender, Scenario], float] = {}
    failed: set[tuple[Contender, Scenario]] = set()
    # Round by round, so that a machine that is slow for a while is slow for all of them.
    runs = itertools.product(range(1 + ROUNDS), SCENARIOS, brokers)
    for number, (counts, scenario, contender) in enumerate(runs):
        key = contender, scenario
        if key in failed:
            continue
        try:
            rate = run(contender, brokers[contender], scenario, number)
        except OSError as error:
            print(f"{contender.name} is left out of {scenario.title}: {error}", file=sys.stderr)
            failed.add(key)
            best.pop(key, None)
        else:
            if counts:  # the first round warms up
                best[key] = max(best.get(key, 0.0), rate)
    return best


def table(best: dict[tuple[Contender, Scenario], float]) -> str:
    """The results as Markdown; an em dash where there is none."""
    rows = [
        "| | " + " | ".join(f"{one.title} | stompy to it" for one in SCENARIOS) + " |",
        "|---|" + "---:|---:|" * len(SCENARIOS),
    ]
    ours = CONTENDERS[0]
    for contender in CONTENDERS:
        cells = [contender.name]
        for scenario in SCENARIOS:
            rate, our_rate = best.get((contender, scenario)), best.get((ours, scenario))
            cells.append(f"{rate:,.0f}" if rate else "—")
            cells.append(f"{our_rate / rate:.2f}" if rate and our_rate else "—")
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def started(stack: contextlib.ExitStack) -> dict[Contender, Server]:
    """Run the brokers until the stack ends; says why one cannot."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    brokers: dict[Contender, Server] = {}
    for contender in CONTENDERS:
        try:
            if reason := contender.missing():
                raise RuntimeError(reason)
            server = stack.enter_context(contender.serve(folder / contender.name))
        except RuntimeError as error:
            print(f"{contender.name} is left out: {error}", file=sys.stderr)
        else:
            brokers[contender] = server
    return brokers


def main() -> None:
    """Start the brokers, let them all run, print the table."""
    with contextlib.ExitStack() as stack:
        best = measure(started(stack))
    print(table(best))


if __name__ == "__main__":
    main()
