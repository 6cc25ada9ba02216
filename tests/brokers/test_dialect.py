"""Prefetch, selectors and durable subscriptions, by one word each on every broker that has them."""

import uuid
from collections.abc import Callable

import pytest

import stompy
from stompy import STOMPClient, STOMPTimeout
from tests.brokers.servers import Server
from tests.brokers.test_client import QUIET, WAIT, received

Connect = Callable[..., STOMPClient]


def test_prefetch_bounds_what_is_not_acknowledged(connect: Connect, queue: str) -> None:
    client = connect()
    for number in range(5):
        client.message(queue, str(number))
    client.subscribe(queue, "client-individual", send_acks=False, prefetch=2)
    frames = [client.recv(timeout=WAIT) for _ in range(2)]
    with pytest.raises(STOMPTimeout):
        client.recv(timeout=QUIET)
    assert frames[0] is not None
    client.ack(frames[0])
    assert received(client, 1) == ["2"]


@pytest.mark.parametrize("broker", ["embedded", "activemq"])
def test_a_selector_chooses_messages(
    request: pytest.FixtureRequest, broker: str, queue: str
) -> None:
    server: Server = request.getfixturevalue(f"{broker}_server")
    with stompy.connect((server.host, server.port)) as client:
        client.subscribe(queue, selector="colour = 'red'")
        for colour in ("blue", "red"):
            client.message(queue, colour, colour=colour)
        assert received(client, 1) == ["red"]


@pytest.mark.parametrize("broker", ["rabbitmq", "activemq"])
def test_a_durable_subscription_keeps_messages_until_it_is_deleted(
    request: pytest.FixtureRequest, broker: str, topic: str
) -> None:
    server: Server = request.getfixturevalue(f"{broker}_server")
    name = f"durable-{uuid.uuid4().hex}"

    def connect() -> STOMPClient:
        address = (server.host, server.port)
        secrets = {"login": server.login, "passcode": server.passcode}
        return stompy.connect(address, headers={"client-id": name}, **secrets)

    with connect() as client:
        sub_id = client.subscribe(topic, durable=name)
        client.send("BEGIN", transaction="t", receipt="subscribed")  # behind SUBSCRIBE
        frame = client.recv(timeout=WAIT)
        assert frame is not None
        assert frame.Command == "RECEIPT"
    with connect() as client:
        client.message(topic, "kept", receipt=True).wait(WAIT)  # type: ignore[union-attr]
    with connect() as client:
        sub_id = client.subscribe(topic, durable=name)
        assert received(client, 1) == ["kept"]
        client.unsubscribe(sub_id, delete=True, receipt=True).wait(WAIT)  # type: ignore[union-attr]
        client.message(topic, "missed", receipt=True).wait(WAIT)  # type: ignore[union-attr]
    with connect() as client:
        client.subscribe(topic, durable=name)
        with pytest.raises(STOMPTimeout):
            client.recv(timeout=QUIET)
        client.unsubscribe(name if broker == "rabbitmq" else "1", delete=True)
