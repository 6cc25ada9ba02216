"""Subscriptions of the embedded broker: what an acknowledgement covers, and what may be undone."""

from __future__ import annotations

import pytest

from stompy import AckMode
from stompy.broker.destinations import Destinations
from tests.unit.broker.clients import (
    ack,
    assert_settled,
    drained,
    places,
    restore,
    send,
    subscribe,
)

QUEUE = "/queue/q"
BOTH_CLIENT_MODES = pytest.mark.parametrize("mode", [AckMode.Client, AckMode.ClientInd])


@pytest.fixture
def there() -> Destinations:
    return places()


def test_in_auto_mode_a_message_is_done_when_it_was_delivered(there):
    client, subscription = subscribe(there, QUEUE)
    send(there, QUEUE, "a")
    there.unsubscribe([subscription])
    assert client.bodies == ["a"]
    assert_settled(there)


@pytest.mark.parametrize(
    ("mode", "left"),
    [(AckMode.Client, ["d*"]), (AckMode.ClientInd, ["a*", "b*", "d*"])],
)
def test_the_mode_says_what_an_ack_covers(there, mode, left):
    client, subscription = subscribe(there, QUEUE, mode)
    send(there, QUEUE, "a", "b", "c", "d")
    ack(there, subscription, client.numbers[2])
    there.unsubscribe([subscription])
    assert drained(there, QUEUE) == left


@BOTH_CLIENT_MODES
def test_what_is_not_pending_cannot_be_claimed(there, mode):
    client, subscription = subscribe(there, QUEUE, mode)
    send(there, QUEUE, "a", "b")
    with pytest.raises(KeyError):
        subscription.claim(99)
    assert list(subscription.pending) == client.numbers


@BOTH_CLIENT_MODES
def test_what_is_claimed_cannot_be_claimed_again(there, mode):
    client, subscription = subscribe(there, QUEUE, mode)
    send(there, QUEUE, "a", "b")
    subscription.claim(client.numbers[1])
    with pytest.raises(KeyError):
        subscription.claim(client.numbers[1])


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_what_was_claimed_and_restored_is_pending_in_order(there, order):
    client, subscription = subscribe(there, QUEUE, AckMode.ClientInd)
    send(there, QUEUE, *"abcd")
    claims = [subscription.claim(client.numbers[which]) for which in (2, 0, 1)]
    assert subscription.unacknowledged == 4
    for which in order:
        restore(there, subscription, claims[which])
    assert list(subscription.pending) == client.numbers
    assert subscription.claimed == 0
    there.unsubscribe([subscription])
    assert drained(there, QUEUE) == ["a*", "b*", "c*", "d*"]


def test_after_abort_an_ack_in_client_mode_covers_what_it_had_covered(there):
    client, subscription = subscribe(there, QUEUE, AckMode.Client)
    send(there, QUEUE, *"abcd")
    claimed = subscription.claim(client.numbers[1])
    restore(there, subscription, claimed)
    ack(there, subscription, client.numbers[2])
    assert list(subscription.pending) == client.numbers[3:]


def test_what_is_claimed_counts_for_prefetch(there):
    client, subscription = subscribe(there, QUEUE, AckMode.ClientInd, prefetch=2)
    send(there, QUEUE, *"abcd")
    claimed = subscription.claim(client.numbers[0])
    there.dispatch(subscription)
    assert client.bodies == ["a", "b"]
    there.ack(subscription, claimed)
    assert client.bodies == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("end", "left"),
    [
        (Destinations.ack, ["b*"]),
        (Destinations.nack, ["a*", "b*"]),
        (restore, ["a*", "b*"]),
    ],
)
def test_what_is_claimed_is_settled_though_its_subscription_has_ended(there, end, left):
    client, subscription = subscribe(there, QUEUE, AckMode.ClientInd)
    send(there, QUEUE, "a", "b")
    claimed = subscription.claim(client.numbers[0])
    there.unsubscribe([subscription])
    end(there, subscription, claimed)
    assert subscription.unacknowledged == 0
    assert drained(there, QUEUE) == left
    assert_settled(there)
