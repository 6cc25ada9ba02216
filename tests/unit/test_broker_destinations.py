"""Queues, topics and acknowledgement in the embedded broker, without sockets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stompy import AckMode
from stompy.broker.destinations import Destinations, Message, Subscription

QUEUE, TOPIC = "/queue/q", "/topic/t"
BOTH_CLIENT_MODES = pytest.mark.parametrize("mode", [AckMode.Client, AckMode.ClientInd])


class Client:
    """Takes what it is given, and notes each body, with a * when it was given before."""

    def __init__(self) -> None:
        self.ready = True
        self.bodies: list[str] = []
        self.ids: list[str] = []

    def deliver(self, subscription: Subscription, message: Message) -> None:
        self.bodies.append(message.body.decode() + ("*" if message.deliveries else ""))
        self.ids.append(message.id)


@pytest.fixture
def destinations() -> Destinations:
    return Destinations()


def subscribe(
    destinations: Destinations,
    destination: str,
    mode: AckMode = AckMode.Auto,
    prefetch: int | None = None,
) -> tuple[Client, Subscription]:
    client = Client()
    subscription = Subscription(client, "1", destination, mode, prefetch)
    destinations.subscribe(subscription)
    return client, subscription


def send(destinations: Destinations, destination: str, *bodies: str) -> None:
    for body in bodies:
        destinations.send(destination, {}, body.encode())


# -- topics ----------------------------------------------------------------------------------


def test_a_topic_gives_each_message_to_all_its_subscribers(destinations):
    one, _ = subscribe(destinations, TOPIC)
    other, _ = subscribe(destinations, TOPIC)
    send(destinations, TOPIC, "a", "b")
    assert [body.strip("*") for body in one.bodies] == ["a", "b"]
    assert [body.strip("*") for body in other.bodies] == ["a", "b"]


def test_no_subscriber_of_a_topic_sees_a_message_as_redelivered(destinations):
    one, _ = subscribe(destinations, TOPIC)
    other, _ = subscribe(destinations, TOPIC)
    send(destinations, TOPIC, "a")
    assert (one.bodies, other.bodies) == (["a"], ["a"])


def test_a_topic_keeps_nothing_for_those_who_come_later(destinations):
    send(destinations, TOPIC, "a")
    late, _ = subscribe(destinations, TOPIC)
    assert late.bodies == []


def test_a_message_of_a_topic_that_was_refused_does_not_come_again(destinations):
    client, subscription = subscribe(destinations, TOPIC, AckMode.ClientInd)
    send(destinations, TOPIC, "a")
    destinations.nack(subscription, client.ids[0])
    assert client.bodies == ["a"]


def test_a_subscriber_of_a_topic_that_does_not_read_misses_messages_and_they_are_counted(
    destinations,
):
    client, subscription = subscribe(destinations, TOPIC)
    client.ready = False
    send(destinations, TOPIC, "a", "b")
    client.ready = True
    send(destinations, TOPIC, "c")
    assert client.bodies == ["c"]
    assert subscription.dropped == 2


def test_a_topic_waits_for_no_acknowledgement(destinations):
    client, subscription = subscribe(destinations, TOPIC, AckMode.Client, prefetch=1)
    send(destinations, TOPIC, "a", "b")
    assert client.bodies == ["a", "b"]
    assert subscription.dropped == 0


def test_topics_that_nobody_subscribes_to_take_no_memory(destinations):
    for number in range(100):
        send(destinations, f"/topic/reply-{number}", "a")
    assert len(destinations._by_name) == 0


# -- queues ----------------------------------------------------------------------------------


@pytest.mark.parametrize("destination", ["/queue/q", "plain", "/topics/t", "/topic", "/Topic/t"])
def test_whatever_is_no_topic_is_a_queue_and_keeps_its_messages_in_order(destinations, destination):
    send(destinations, destination, "a", "b", "c")
    late, _ = subscribe(destinations, destination)
    assert late.bodies == ["a", "b", "c"]


def test_a_queue_gives_each_message_to_one_subscriber_in_turn(destinations):
    one, _ = subscribe(destinations, QUEUE)
    other, _ = subscribe(destinations, QUEUE)
    send(destinations, QUEUE, "a", "b", "c", "d")
    assert (one.bodies, other.bodies) == (["a", "c"], ["b", "d"])


def test_queues_do_not_mix(destinations):
    client, _ = subscribe(destinations, "/queue/one")
    send(destinations, "/queue/other", "a")
    assert client.bodies == []


def test_a_queue_passes_over_a_subscriber_that_does_not_read(destinations):
    slow, _ = subscribe(destinations, QUEUE)
    quick, _ = subscribe(destinations, QUEUE)
    slow.ready = False
    send(destinations, QUEUE, "a", "b")
    assert (slow.bodies, quick.bodies) == ([], ["a", "b"])


def test_what_a_queue_held_back_comes_when_its_subscriber_is_ready(destinations):
    client, subscription = subscribe(destinations, QUEUE)
    client.ready = False
    send(destinations, QUEUE, "a", "b")
    client.ready = True
    destinations.dispatch(subscription)
    assert client.bodies == ["a", "b"]
    assert subscription.dropped == 0


def test_an_ended_subscription_gets_nothing_more(destinations):
    client, subscription = subscribe(destinations, QUEUE)
    destinations.unsubscribe(subscription)
    send(destinations, QUEUE, "a")
    assert client.bodies == []
    assert subscribe(destinations, QUEUE)[0].bodies == ["a"]


def test_every_message_has_an_id_of_its_own(destinations):
    client, _ = subscribe(destinations, QUEUE)
    other, _ = subscribe(destinations, TOPIC)
    send(destinations, QUEUE, *"abcdef")
    send(destinations, TOPIC, *"ghijkl")
    assert len({*client.ids, *other.ids}) == 12


# -- acknowledgement -------------------------------------------------------------------------


def test_in_auto_mode_a_message_is_done_when_it_was_delivered(destinations):
    client, subscription = subscribe(destinations, QUEUE)
    send(destinations, QUEUE, "a")
    assert subscription.pending == {}
    destinations.unsubscribe(subscription)
    assert subscribe(destinations, QUEUE)[0].bodies == []
    assert client.bodies == ["a"]


def test_an_ack_in_client_mode_covers_all_earlier_messages(destinations):
    client, subscription = subscribe(destinations, QUEUE, AckMode.Client)
    send(destinations, QUEUE, "a", "b", "c", "d")
    destinations.ack(subscription, client.ids[2])
    destinations.unsubscribe(subscription)
    assert subscribe(destinations, QUEUE)[0].bodies == ["d*"]


def test_an_ack_in_client_individual_mode_covers_its_message_alone(destinations):
    client, subscription = subscribe(destinations, QUEUE, AckMode.ClientInd)
    send(destinations, QUEUE, "a", "b", "c", "d")
    destinations.ack(subscription, client.ids[2])
    destinations.unsubscribe(subscription)
    assert subscribe(destinations, QUEUE)[0].bodies == ["a*", "b*", "d*"]


@BOTH_CLIENT_MODES
def test_an_ack_of_an_unknown_message_settles_nothing(destinations, mode):
    client, subscription = subscribe(destinations, QUEUE, mode)
    send(destinations, QUEUE, "a", "b")
    with pytest.raises(KeyError):
        destinations.ack(subscription, "never")
    assert list(subscription.pending) == client.ids


@BOTH_CLIENT_MODES
def test_a_message_that_waits_for_its_ack_goes_to_nobody_else(destinations, mode):
    subscribe(destinations, QUEUE, mode)
    send(destinations, QUEUE, "a")
    assert subscribe(destinations, QUEUE)[0].bodies == []


def test_what_a_subscriber_held_comes_back_in_order_before_what_waits(destinations):
    _, subscription = subscribe(destinations, QUEUE, AckMode.Client, prefetch=2)
    send(destinations, QUEUE, "a", "b", "c")
    destinations.unsubscribe(subscription)
    assert subscribe(destinations, QUEUE)[0].bodies == ["a*", "b*", "c"]


def test_a_refused_message_is_delivered_again(destinations):
    client, subscription = subscribe(destinations, QUEUE, AckMode.ClientInd)
    send(destinations, QUEUE, "a", "b")
    destinations.nack(subscription, client.ids[0])
    assert client.bodies == ["a", "b", "a*"]
    assert list(subscription.pending) == [client.ids[1], client.ids[0]]


def test_a_nack_in_client_mode_covers_all_earlier_messages(destinations):
    client, subscription = subscribe(destinations, QUEUE, AckMode.Client)
    send(destinations, QUEUE, "a", "b", "c")
    destinations.nack(subscription, client.ids[1])
    assert client.bodies == ["a", "b", "c", "a*", "b*"]


def test_no_more_than_prefetch_messages_are_pending(destinations):
    client, subscription = subscribe(destinations, QUEUE, AckMode.ClientInd, prefetch=2)
    send(destinations, QUEUE, "a", "b", "c")
    assert client.bodies == ["a", "b"]
    destinations.ack(subscription, client.ids[1])
    assert client.bodies == ["a", "b", "c"]


def test_what_is_beyond_the_prefetch_of_one_goes_to_another(destinations):
    full, _ = subscribe(destinations, QUEUE, AckMode.Client, prefetch=1)
    other, _ = subscribe(destinations, QUEUE)
    send(destinations, QUEUE, "a", "b", "c")
    assert (full.bodies, other.bodies) == (["a"], ["b", "c"])


STEPS = st.lists(
    st.one_of(
        st.just(("send", 0, 0)),
        st.tuples(
            st.sampled_from(["subscribe", "unsubscribe", "ack", "nack", "sleep", "wake"]),
            st.integers(0, 3),
            st.integers(0, 5),
        ),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(list(AckMode)), st.sampled_from([None, 1, 2])), min_size=4),
    STEPS,
)
def test_a_queue_loses_and_doubles_no_message_whatever_its_subscribers_do(kinds, steps):
    destinations = Destinations()
    subscriptions = [Subscription(Client(), "1", QUEUE, *kind) for kind in kinds[:4]]
    active: list[Subscription] = []
    sent, done = 0, []
    for step, who, which in steps:
        subscription = subscriptions[who]
        held = list(subscription.pending)
        if step == "send":
            sent += 1
            destinations.send(QUEUE, {}, b"")
        elif step == "subscribe" and subscription not in active:
            active.append(subscription)
            destinations.subscribe(subscription)
        elif step == "unsubscribe" and subscription in active:
            active.remove(subscription)
            destinations.unsubscribe(subscription)
        elif step == "ack" and which < len(held):
            cumulative = subscription.ack_mode is AckMode.Client
            done += held[: which + 1] if cumulative else [held[which]]
            destinations.ack(subscription, held[which])
        elif step == "nack" and which < len(held):
            destinations.nack(subscription, held[which])
        elif step in ("sleep", "wake"):
            subscription.owner.ready = step == "wake"
            if subscription in active:
                destinations.dispatch(subscription)
    for subscription in subscriptions:
        subscription.owner.ready = False
    for subscription in active:
        destinations.unsubscribe(subscription)
    for subscription in subscriptions:
        if subscription.ack_mode is AckMode.Auto:
            done += subscription.owner.ids
    rest, _ = subscribe(destinations, QUEUE)
    assert sorted(map(int, done + rest.ids)) == list(range(1, sent + 1))
