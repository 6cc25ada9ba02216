"""The embedded broker with many clients, hurried ones, and bad ones among good ones.

Figures are printed: see them with ``pytest -s``. What takes long is marked ``stress``.
"""

import asyncio
import contextlib
import itertools
import random
import select
import socket
import statistics
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import stompy
from stompy.broker import Broker, Limits, connection
from tests.unit.peer import Background, in_threads
from tests.unit.waiting import until

MiB = 1024 * 1024
CONNECT = b"CONNECT\naccept-version:1.2\nhost:/\n\n\0"
SUBSCRIBE = b"SUBSCRIBE\nid:1\ndestination:/topic/t\nreceipt:s\n\n\0"

LIMITS = Limits(max_body=8 * MiB, max_memory=32 * MiB, max_backlog=4 * MiB, connect_timeout=1.0)
MEMORY = 96 * MiB
"""What the process may grow by, whatever bad clients do: three times what is allowed."""


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    """Let this process have as many open files as 1,000 clients and their broker need."""
    try:
        import resource
    except ImportError:  # Windows, where there is no such limit
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8192 if hard == resource.RLIM_INFINITY else min(8192, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def open_files() -> int:
    """How many files this process has open; 0 where that is not known."""
    return len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0


def memory() -> int:
    """Octets of memory that this process takes; 0 where that is not known."""
    if sys.platform != "linux":
        return 0
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


# -- many ------------------------------------------------------------------------------------


async def until_nul(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.readuntil(b"\0"), 30)


async def a_crowd_hears(broker: Broker, count: int) -> list[bytes]:
    """So many clients subscribe, one message is sent; returns what each of them got."""

    async def come() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*broker.address)
        writer.write(CONNECT + SUBSCRIBE)
        assert (await until_nul(reader)).startswith(b"CONNECTED\n")
        assert (await until_nul(reader)).startswith(b"RECEIPT\n")
        return reader, writer

    began = time.perf_counter()
    crowd = await asyncio.gather(*(come() for _ in range(count)))
    there = time.perf_counter()
    assert broker.stats()["clients"] == count
    crowd[0][1].write(b"SEND\ndestination:/topic/t\n\nhello\0")
    heard = await asyncio.gather(*(until_nul(reader) for reader, _ in crowd))
    over = time.perf_counter()
    print(f"\n{count} clients: there in {there - began:.2f} s, told in {over - there:.3f} s")
    for _, writer in crowd:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for _, writer in crowd))
    return heard


def test_a_thousand_clients_at_once_each_get_the_message_of_one_topic():
    count, before = 1000, open_files()
    with Broker() as broker:
        heard = asyncio.run(a_crowd_hears(broker, count))
        assert {message.partition(b"\n\n")[2].lstrip() for message in heard} == {b"hello\0"}
        assert {message.lstrip().split(b"\n")[0] for message in heard} == {b"MESSAGE"}
        assert len(heard) == count
        until(lambda: not broker.clients())
        stats = broker.stats()
        assert (stats["clients_ever"], stats["received"], stats["delivered"]) == (1000, 1, 1000)
        assert broker.destinations() == []
    assert open_files() <= before


def test_stopping_with_a_thousand_clients_connected_is_quick():
    before = open_files()
    with contextlib.ExitStack() as leaving, Broker() as broker:
        sockets = [
            leaving.enter_context(socket.create_connection(broker.address)) for _ in range(1000)
        ]
        for sock in sockets:
            sock.sendall(CONNECT)
        until(lambda: broker.stats()["frames_received"] == 1000)
        began = time.monotonic()
        broker.stop()
        took = time.monotonic() - began
        print(f"\nstopped with 1000 clients in {took:.3f} s")
        assert took < 2.0
        for sock in sockets:
            sock.settimeout(5)
            said = b"".join(iter(lambda sock=sock: sock.recv(65536), b""))
            assert said.startswith(b"CONNECTED\n")
    assert open_files() <= before


# -- hurried ---------------------------------------------------------------------------------


def comes_and_goes(broker: Broker, number: int) -> None:
    """Connect, and leave in one of the ways in which clients leave."""
    way = number % 5
    if way == 0:
        with stompy.connect(broker.address) as client:
            client.subscribe(f"/topic/{number}")
        return
    with socket.create_connection(broker.address) as sock:
        if way == 1:
            sock.sendall(CONNECT + SUBSCRIBE + b"DISCONNECT\n\n\0")
        elif way == 2:
            sock.sendall(CONNECT + SUBSCRIBE)
        elif way == 3:
            sock.sendall(CONNECT[:20])
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def nothing_is_left_of_them(broker: Broker) -> None:
    # All at once: the last of them may not have been accepted yet.
    until(
        lambda: not (broker.clients() or broker.destinations() or broker.stats()["octets"]),
        timeout=10,
    )
    with stompy.connect(broker.address) as client:
        client.subscribe("/topic/t")
        client.message("/topic/t", "still here")
        assert client.recv(timeout=2).text == "still here"


def test_a_thousand_rapid_connects_and_disconnects_leave_nothing():
    before, each, threads = open_files(), 250, 4
    with Broker() as broker:
        began = time.perf_counter()

        def hurry(thread: int) -> None:
            for number in range(each):
                comes_and_goes(broker, number + thread)

        in_threads(threads, hurry)
        took = time.perf_counter() - began
        print(f"\n{each * threads} connects and disconnects, {each * threads / took:.0f} a second")
        nothing_is_left_of_them(broker)
        assert broker.stats()["clients_ever"] >= 0.7 * each * threads  # a reset one may go unseen
    until(lambda: open_files() <= before)


@pytest.mark.stress
def test_two_hundred_connects_and_disconnects_a_second_for_half_a_minute():
    rate, seconds, threads = 200, 30, 4
    before = open_files()
    with Broker() as broker, GoodPair(broker) as good:
        late: list[float] = []
        began = time.monotonic()

        def hurry(thread: int) -> None:
            pace = threading.Event()
            for number in range(thread, rate * seconds, threads):
                due = began + number / rate
                pace.wait(max(0.0, due - time.monotonic()))
                comes_and_goes(broker, number // threads)
                late.append(time.monotonic() - due)

        workers = [Background(hurry, thread) for thread in range(threads)]
        for worker in workers:
            worker.__enter__()
        for worker in workers:
            worker.result(timeout=seconds + 30)
        took = time.monotonic() - began
        print(
            f"\n{len(late)} connects and disconnects in {took:.1f} s, the latest {max(late):.3f} s"
        )
        print(good)
        assert took < seconds + 2
        assert good.grown < MEMORY
        until(lambda: len(broker.clients()) == 2, timeout=10)
        assert len(good.latencies) > 1000
        assert max(good.latencies) < 3.0
    until(lambda: open_files() <= before)


# -- bad ones among good ones ----------------------------------------------------------------


class GoodPair:
    """Two clients, one of which sends to the other, again and again while the block runs.

    None may be lost, and none come too late.

    Attributes:
        latencies: seconds that each message took.
        grown: octets by which the process has grown meanwhile, at the most.
    """

    def __init__(self, broker: Broker) -> None:
        self.latencies: list[float] = []
        self.grown = 0
        self._over = threading.Event()
        self._sender = stompy.connect(broker.address, heart_beat=(0, 0))
        self._receiver = stompy.connect(broker.address, heart_beat=(0, 0))
        self._receiver.subscribe("/queue/good", receipt="subscribed")
        assert self._receiver.recv(timeout=5)["receipt-id"] == "subscribed"
        self._work = Background(self._go_on)

    def _go_on(self) -> None:
        before = memory()
        for number in itertools.count():
            began = time.perf_counter()
            self._sender.message("/queue/good", str(number))
            assert self._receiver.recv(timeout=5).text == str(number)
            self.latencies.append(time.perf_counter() - began)
            self.grown = max(self.grown, memory() - before)
            if self._over.wait(0.002):
                return

    def __enter__(self) -> "GoodPair":
        self._work.__enter__()
        until(lambda: self.latencies)
        return self

    def __exit__(self, kind: object, error: object, tb: object) -> None:
        self._over.set()
        self._work.__exit__(kind, error, tb)
        for client in (self._sender, self._receiver):
            client.disconnect()

    def __str__(self) -> str:
        median, most = statistics.median(self.latencies), max(self.latencies)
        return (
            f"{len(self.latencies)} good messages, median {1000 * median:.2f} ms, "
            f"at most {1000 * most:.1f} ms; memory {self.grown / MiB:+.1f} MiB"
        )


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    monkeypatch.setattr(connection, "LINGER", 0.1)
    with Broker(limits=LIMITS) as running:
        yield running


@contextlib.contextmanager
def all_is_well(broker: Broker, name: str, seconds: float = 3.0) -> Iterator[None]:
    """What happens in the block takes no more than MEMORY, and a good pair is not disturbed."""
    with GoodPair(broker) as good:
        yield
        until(lambda: len(broker.clients()) == 2, timeout=10)
        count = len(good.latencies)
        until(lambda: len(good.latencies) > count)
        print(f"\n{name}: {good}")
    assert good.grown < MEMORY
    assert max(good.latencies) < seconds
    assert broker.stats()["octets"] == 0


def pour(broker: Broker, octets: Iterator[bytes], seconds: float = 20.0) -> bytes:
    """Send until the broker has had enough; returns what it said to that."""
    said, deadline = b"", time.monotonic() + seconds
    with socket.create_connection(broker.address) as sock:
        sock.settimeout(seconds)
        while True:
            assert time.monotonic() < deadline, "it bears that for ever"
            try:
                if select.select([sock], [], [], 0)[0]:
                    portion = sock.recv(65536)
                    if not portion:
                        return said
                    said += portion
                portion = next(octets, None)
                if portion is None:
                    return said + b"".join(iter(lambda: sock.recv(65536), b""))
                sock.sendall(portion)
            except ConnectionError:
                return said


def endless(head: bytes, portion: bytes = b"x" * 65536) -> Callable[[], Iterator[bytes]]:
    return lambda: itertools.chain([head], itertools.repeat(portion))


def once(*octets: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: iter(octets)


SEND = b"SEND\ndestination:/queue/q\n"
NOISE = random.Random(4711).randbytes(MiB)

BAD = {
    "garbage first": once(b"garbage\n\n\0"),
    "garbage later": once(CONNECT, b"garbage\n\n\0"),
    "noise first": once(NOISE),
    "noise later": once(CONNECT, NOISE),
    "NUL octets": endless(CONNECT, bytes(65536)),
    "another protocol": once(b"\x16\x03\x01\x02\x00" + NOISE),
    "half a frame without end": endless(CONNECT + SEND + b"\n"),
    "half a CONNECT without end": endless(CONNECT[:-1]),
    "a content-length of 1 GB": endless(CONNECT + SEND + b"content-length:1000000000\n\n"),
    "a content-length of 1 GB first": endless(CONNECT[:-2] + b"content-length:1000000000\n\n"),
    "a content-length of many digits": once(
        CONNECT + SEND + b"content-length:" + b"9" * 5000 + b"\n\n"
    ),
    "a content-length below zero": once(CONNECT + SEND + b"content-length:-1\n\n\0"),
    "a million headers": endless(CONNECT + SEND, b"a:b\n" * 10_000),
    "a million headers first": endless(CONNECT[:-2], b"a:b\n" * 10_000),
    "an endless header line": endless(CONNECT + SEND + b"a:"),
    "an endless header line first": endless(CONNECT[:-2] + b"a:"),
    "an endless first line": endless(CONNECT + b"SEND"),
    "an endless first line first": endless(b"CONNECT"),
    "line ends for ever instead of CONNECT": endless(b"\n", b"\n" * 1000),
    "a header that is no UTF-8": once(CONNECT + SEND + b"a:\xff\n\n\0"),
    "escapes that there are not": once(CONNECT + SEND + b"a:\\x\n\n\0"),
    "a hundred thousand subscriptions": lambda: itertools.chain(
        [CONNECT], (b"SUBSCRIBE\nid:%d\ndestination:/topic/t\n\n\0" % n for n in itertools.count())
    ),
    "a hundred thousand transactions": lambda: itertools.chain(
        [CONNECT], (b"BEGIN\ntransaction:%d\n\n\0" % n for n in itertools.count())
    ),
    "a transaction without end": endless(
        CONNECT + b"BEGIN\ntransaction:t\n\n\0",
        SEND + b"transaction:t\ncontent-length:60000\n\n" + bytes(60_000) + b"\0",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_client_gets_an_error_and_the_good_ones_notice_nothing(broker, name):
    with all_is_well(broker, name):
        said = pour(broker, BAD[name]())
        assert b"ERROR\nmessage:" in said
        assert said.endswith(b"\0")


def test_queues_that_nobody_reads_are_bounded_all_together(broker):
    with GoodPair(broker) as good:
        number = itertools.count()
        body = b"content-length:60000\n\n" + bytes(60_000) + b"\0"
        frames = (b"SEND\ndestination:/queue/%d\n" % next(number) + body for _ in iter(int, 1))
        assert b"ERROR\nmessage:no room\n" in pour(broker, itertools.chain([CONNECT], frames))
        full = broker.stats()["octets"]
        assert LIMITS.max_memory * 0.9 < full <= LIMITS.max_memory
        good_before = len(good.latencies)
        with stompy.connect(broker.address) as reader:  # who takes some makes room
            reader.subscribe("/queue/0")
            assert len(reader.recv(timeout=2).Body) == 60_000
        until(lambda: len(good.latencies) > good_before)
        print(f"\nfull with {full / MiB:.1f} MiB: {good}")
        assert max(good.latencies) < 3.0


def test_clients_that_connect_and_say_nothing_are_told_and_cut(broker):
    with all_is_well(broker, "200 silent clients"), contextlib.ExitStack() as leaving:
        silent = [
            leaving.enter_context(socket.create_connection(broker.address)) for _ in range(200)
        ]
        began = time.monotonic()
        for sock in silent:
            sock.settimeout(5)
            said = b"".join(iter(lambda sock=sock: sock.recv(65536), b""))
            assert said.startswith(b"ERROR\nmessage:no CONNECT frame\n")
        assert 0.8 < time.monotonic() - began < 3.0


def test_clients_that_send_and_do_not_read_are_not_read_from_any_more(broker):
    ask = (b"SEND\ndestination:/topic/none\nreceipt:%1000d\n\n\0" % 1) * 50_000
    with all_is_well(broker, "10 that do not read"), contextlib.ExitStack() as leaving:
        for _ in range(10):
            deaf = leaving.enter_context(socket.create_connection(broker.address))
            deaf.settimeout(0.05)
            deaf.sendall(CONNECT)
            with pytest.raises(TimeoutError):
                deaf.sendall(ask)
        assert len(broker.clients()) == 2 + 10
        assert max(one["unsent"] for one in broker.clients()) < 4 * MiB


def test_all_of_them_at_once(broker):
    with all_is_well(broker, "all at once", seconds=5.0):
        said: dict[str, bytes] = {}

        def trouble(number: int) -> None:
            name = list(BAD)[number]
            said[name] = pour(broker, BAD[name]())

        in_threads(len(BAD), trouble)
    assert [name for name in BAD if b"ERROR\nmessage:" not in said[name]] == []
