"""What clients of the embedded broker cost the others: time in proportion to what they do, memory
that is counted."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator

import pytest

from stompy import AckMode, wire
from stompy.broker.commands import MAX_NAME
from stompy.broker.limits import Limits
from tests.unit.broker.clients import Peer, PureBroker, ack, nack, places, send, subscribe

QUEUE, TOPIC = "/queue/q", "/topic/t"


@pytest.fixture
def broker() -> Iterator[PureBroker]:
    with PureBroker() as broker:
        yield broker


def seconds(work: Callable[[], object]) -> float:
    gc.collect()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def assert_linear(work: Callable[[int], Callable[[], object]], count: int) -> None:
    """Four times as much may take eight times as long; by pairs it would take sixteen."""
    small, large = (min(seconds(work(n)) for _ in range(2)) for n in (count, 4 * count))
    assert large < 8 * small + 0.05


# -- time ------------------------------------------------------------------------------------


def test_many_refusals_of_a_client_that_does_not_read_meanwhile():
    def refuse(count: int) -> Callable[[], object]:
        there = places()
        client, subscription = subscribe(there, QUEUE, AckMode.ClientInd)
        send(there, QUEUE, *["x"] * count)
        client.ready = False
        return lambda: [nack(there, subscription, n) for n in range(1, count + 1)]

    assert_linear(refuse, 2000)


@pytest.mark.parametrize("mode", [AckMode.ClientInd, AckMode.Client])
def test_many_acknowledgements_one_by_one(mode):
    def acknowledge(count: int) -> Callable[[], object]:
        there = places()
        _, subscription = subscribe(there, QUEUE, mode)
        send(there, QUEUE, *["x"] * count)
        return lambda: [ack(there, subscription, n) for n in range(1, count + 1)]

    assert_linear(acknowledge, 10_000)


@pytest.mark.parametrize("end", ["COMMIT", "ABORT", "lost"])
@pytest.mark.parametrize("answer", ["ACK", "NACK"])
def test_a_transaction_of_many_acknowledgements(broker, answer, end):
    def gather(count: int) -> Callable[[], object]:
        peer = Peer(broker)
        peer.subscribe(QUEUE, ack="client-individual")
        for _ in range(count):
            peer.message(QUEUE)
        messages = peer.take()
        peer.send("BEGIN", {"transaction": "t"})
        for message in messages:
            peer.answer(answer, message, transaction="t")
        if end == "lost":
            return peer.lose
        return lambda: (peer.send(end, {"transaction": "t"}), peer.lose())

    assert_linear(gather, 500)


def test_many_subscriptions_to_one_queue_of_a_client_that_reads_slowly(broker):
    def subscribe_often(count: int) -> Callable[[], object]:
        sender, peer = Peer(broker), Peer(broker)
        for n in range(count):
            peer.subscribe(QUEUE, str(n), ack="client", **{"prefetch-count": "1"})
        for _ in range(count + 1):
            sender.message(QUEUE)
        peer.take()
        peer.subscribe(TOPIC, "large")
        sender.message(TOPIC, b"x" * 2**20)
        return lambda: (peer.take(), peer.lose())

    assert_linear(subscribe_often, 400)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("SUBSCRIBE", "id"),
        ("SUBSCRIBE", "destination"),
        ("SEND", "destination"),
        ("BEGIN", "transaction"),
    ],
)
def test_no_name_is_long(broker, command, name):
    headers = {"id": "1", "destination": TOPIC, "transaction": "t"}
    if command == "SEND":
        del headers["transaction"]
    assert Peer(broker).send(command, headers | {name: "*." * (MAX_NAME // 2)}) == []
    (error,) = Peer(broker).send(command, headers | {name: "*." * (MAX_NAME // 2) + "*"})
    assert error["message"] == f"{name} is too long"
    broker.drain("*." * (MAX_NAME // 2))


# -- memory ----------------------------------------------------------------------------------


def test_who_does_not_read_a_topic_does_not_stop_those_who_send_to_queues():
    with PureBroker(Limits(max_memory=1_000_000, max_backlog=100_000)) as broker:
        for _ in range(12):
            Peer(broker).subscribe(TOPIC)
        sender = Peer(broker)
        sender.message(TOPIC, b"x" * 2**20)  # nobody takes that
        for _ in range(200):
            sender.message(TOPIC, b"x" * 1000)
        (answer,) = sender.message(QUEUE, b"x" * 5000, receipt="r")
        assert answer.Command == "RECEIPT"
        assert broker.destinations.kept.octets < 200_000  # of all, once


def test_what_is_unacknowledged_of_a_topic_is_counted_and_bounded(broker, monkeypatch):
    peer = Peer(broker)
    peer.subscribe(TOPIC, ack="client")
    before = broker.destinations.subscribed.octets
    messages = [peer.message(TOPIC)[0] for _ in range(100)]
    assert broker.destinations.subscribed.octets > before + 100 * 100
    monkeypatch.setattr(
        broker.destinations.subscribed, "limit", broker.destinations.subscribed.octets
    )
    assert peer.message(TOPIC, b"kept") == []
    (kept,) = peer.answer("ACK", messages[-1])
    assert kept.Body == b"kept"


def test_subscriptions_are_counted_and_bounded(broker, monkeypatch):
    peer = Peer(broker)
    monkeypatch.setattr(broker.destinations.subscribed, "limit", 5000)
    assert peer.subscribe(QUEUE, "1") == peer.subscribe(QUEUE, "2") == []
    (error,) = peer.subscribe(QUEUE, "3")
    assert error["message"] == "no room"


def test_a_message_is_not_counted_twice_when_its_frame_is_complete():
    with PureBroker(Limits(max_memory=1_000_000)) as broker:
        peer = Peer(broker)
        headers = {"destination": QUEUE, "receipt": "r", "content-length": "700000"}
        data = wire.encode("SEND", headers, b"x" * 700_000)
        peer.give(data[:690_000])
        (answer,) = peer.octets(data[690_000:])
        assert answer.Command == "RECEIPT"
