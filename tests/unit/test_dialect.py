"""What each broker calls the same thing."""

import pytest

from stompy import STOMPError
from stompy.dialect import dialect_of
from tests.unit.peer import session

SERVERS = {
    "RabbitMQ/3.10.8": ("prefetch-count", None, "id"),
    "ActiveMQ/5.17.2": ("activemq.prefetchSize", "selector", "activemq.subscriptionName"),
    "ActiveMQ-Artemis/2.31.0 ActiveMQ Artemis": (None, "selector", "durable-subscription-name"),
    "stompy/0.1.0": ("prefetch-count", "selector", None),
    "": (None, "selector", None),
    "Other/1.0": (None, "selector", None),
}


@pytest.mark.parametrize("server", SERVERS, ids=str)
def test_each_broker_has_its_words(server: str) -> None:
    dialect = dialect_of(server)
    assert (dialect.prefetch, dialect.selector, dialect.durable) == SERVERS[server]


def test_only_what_is_asked_for_is_said() -> None:
    assert dialect_of("ActiveMQ/5").subscribe_headers(None, None, None) == {}
    assert dialect_of("ActiveMQ/5").subscribe_headers(10, "a = 1", "mine", "me") == {
        "activemq.prefetchSize": "10",
        "selector": "a = 1",
        "activemq.subscriptionName": "mine",
    }


def test_a_durable_subscription_of_rabbitmq_is_named_by_its_id() -> None:
    assert dialect_of("RabbitMQ/3").subscribe_headers(None, None, "mine") == {
        "id": "mine",
        "durable": "true",
        "auto-delete": "false",
    }


def test_activemq_wants_to_know_whose_durable_subscription_it_is() -> None:
    with pytest.raises(STOMPError, match="for a client-id, and there is none"):
        dialect_of("ActiveMQ/5").subscribe_headers(None, None, "mine")


DURABLE: dict[str, tuple[dict[str, str], list[dict[str, str]]]] = {
    "RabbitMQ/3": (
        {"id": "mine", "durable": "true", "auto-delete": "false", "prefetch-count": "10"},
        [{"id": "mine", "durable": "true", "auto-delete": "false"}],
    ),
    "ActiveMQ/5": (
        {"id": "1", "activemq.subscriptionName": "mine", "activemq.prefetchSize": "10"},
        [{"id": "1"}, {"id": "1", "activemq.subscriptionName": "mine"}],
    ),
}


@pytest.mark.parametrize("server", DURABLE)
def test_a_client_says_durable_and_prefetch_in_the_words_of_its_broker(server: str) -> None:
    subscribe, unsubscribe = DURABLE[server]
    with session(lines=[f"server:{server}"], headers={"client-id": "me"}) as (client, peer):
        sub_id = client.subscribe("/topic/T", durable="mine", prefetch=10)
        client.unsubscribe(sub_id, delete=True)
    assert peer.frames[1].headers == {"destination": "/topic/T", "ack": "auto", **subscribe}
    assert [frame.headers for frame in peer.frames[2:-1]] == unsubscribe


@pytest.mark.parametrize(
    ("server", "asked", "words"),
    [
        ("RabbitMQ/3", (None, "a = 1", None), "selector= is not known for RabbitMQ"),
        ("stompy", (None, None, "mine"), "durable= is not known for the embedded broker"),
        ("", (1, None, None), "prefetch= is not known for this broker"),
    ],
)
def test_what_a_broker_does_not_have_is_refused(server: str, asked: tuple, words: str) -> None:
    with pytest.raises(STOMPError, match=words) as caught:
        dialect_of(server).subscribe_headers(*asked)
    assert "headers=" in str(caught.value)


def test_a_durable_subscription_of_artemis_is_deleted_by_its_name() -> None:
    lines = ["server:ActiveMQ-Artemis/2.31.0 ActiveMQ Artemis Messaging Engine"]
    with session(lines=lines, headers={"client-id": "me"}) as (client, peer):
        client.unsubscribe(client.subscribe("/topic/T", durable="mine"), delete=True)
    assert peer.frames[-2].headers == {"id": "1", "durable-subscription-name": "mine"}
