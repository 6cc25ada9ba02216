"""All destinations of the embedded broker: names, room, dead letters, temp queues, figures."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stompy import AckMode
from stompy.broker.destinations import REPLY_QUEUE, Destinations
from stompy.broker.limits import Limits
from stompy.broker.message import Full, Message
from stompy.broker.subscription import Delivery, Subscription
from tests.unit.broker.clients import (
    Client,
    ack,
    admit,
    assert_settled,
    drained,
    nack,
    place,
    places,
    restore,
    send,
    size,
    subscribe,
)

QUEUE, TOPIC, DEAD = "/queue/q", "/topic/t", "/queue/DLQ.q"
BOTH_CLIENT_MODES = pytest.mark.parametrize("mode", [AckMode.Client, AckMode.ClientInd])


@pytest.fixture
def there() -> Destinations:
    return places()


# -- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "destination",
    ["/queue/q", "plain", "/topics/t", "/topic", "/Topic/t", "", "/", "a\nb", "/queue//topic/t"],
)
def test_whatever_is_no_topic_is_a_queue(there, destination):
    send(there, destination, "a", "b", "c")
    assert place(there, destination)["kind"] == "queue"
    assert drained(there, destination) == ["a", "b", "c"]
    assert_settled(there)


def test_every_message_has_a_number_of_its_own(there):
    client, _ = subscribe(there, QUEUE)
    other, _ = subscribe(there, TOPIC)
    send(there, QUEUE, *"abcdef")
    send(there, TOPIC, *"ghijkl")
    assert len({*client.numbers, *other.numbers}) == 12


# -- room ------------------------------------------------------------------------------------


def test_a_queue_holds_as_much_as_it_may_and_not_an_octet_more():
    there = places(Limits(max_queue=3 * size("a")))
    send(there, QUEUE, "a", "b", "c")
    with pytest.raises(Full, match=r"/queue/q holds 1,503 of "):
        send(there, QUEUE, "")
    send(there, "/queue/other", "d")  # is a matter of its own
    assert drained(there, QUEUE) == ["a", "b", "c"]
    send(there, QUEUE, "d")


def test_all_queues_and_transactions_share_the_memory_of_the_broker():
    there = places(Limits(max_memory=3 * size("a")))
    send(there, "/queue/a", "a")
    send(there, "/queue/b", "b")
    message = admit(there, "/queue/c", "c")
    with pytest.raises(Full, match="the broker holds 1,503 of "):
        send(there, "/queue/d", "")
    with pytest.raises(Full):
        admit(there, TOPIC)
    assert place(there, "/queue/d") == {}
    there.discard(message)
    send(there, "/queue/d", "d")


def test_a_message_of_a_topic_needs_room_only_while_a_transaction_holds_it(there):
    client, _ = subscribe(there, TOPIC)
    message = admit(there, TOPIC, "a")
    assert there.memory.octets == size("a")
    there.publish(message)
    assert client.bodies == ["a"]
    assert there.memory.octets == 0
    there.discard(admit(there, TOPIC, "b"))
    assert there.memory.octets == 0


def test_a_topic_delivers_though_the_broker_is_full():
    there = places(Limits(max_memory=size("a")))
    send(there, QUEUE, "a")
    client, _ = subscribe(there, TOPIC)
    send(there, TOPIC, "b")
    assert client.bodies == ["b"]


def test_headers_take_memory_too():
    assert size("", a="", b="") > size("", a="") > size("")
    assert size("", a="x" * 1000) - size("", a="") == size("x" * 1000) - size("") == 1000


def settle_auto(there: Destinations) -> None:
    subscribe(there, QUEUE)


def settle_by_ack(there: Destinations) -> None:
    client, subscription = subscribe(there, QUEUE, AckMode.Client)
    ack(there, subscription, client.numbers[-1])


def settle_by_commit(there: Destinations) -> None:
    client, subscription = subscribe(there, QUEUE, AckMode.Client)
    there.ack(subscription, subscription.claim(client.numbers[-1]))


def settle_by_dead_letters(there: Destinations) -> None:
    client, subscription = subscribe(there, QUEUE, AckMode.Client)
    for _ in range(2):
        nack(there, subscription, client.numbers[-1])
    drained(there, DEAD)


def settle_after_a_loss(there: Destinations) -> None:
    _, subscription = subscribe(there, QUEUE, AckMode.Client)
    there.unsubscribe([subscription])
    drained(there, QUEUE)


SETTLING = [
    settle_auto,
    settle_by_ack,
    settle_by_commit,
    settle_by_dead_letters,
    settle_after_a_loss,
]


@pytest.mark.parametrize("settle", SETTLING)
def test_room_is_given_back_by(settle):
    there = places(Limits(max_queue=3 * size("a"), max_memory=4 * size("a"), max_deliveries=2))
    send(there, QUEUE, "a", "b", "c")
    settle(there)
    send(there, QUEUE, "d", "e", "f")


def test_room_is_kept_until_the_ack():
    there = places(Limits(max_queue=size("a")))
    client, subscription = subscribe(there, QUEUE, AckMode.Client)
    send(there, QUEUE, "a")
    for _ in range(2):
        with pytest.raises(Full):
            send(there, QUEUE, "b")
        deliveries = subscription.claim(client.numbers[0])
        with pytest.raises(Full):
            send(there, QUEUE, "b")
        restore(there, subscription, deliveries)
    ack(there, subscription, client.numbers[0])
    send(there, QUEUE, "b")


@pytest.mark.parametrize("name", [QUEUE, TOPIC])
def test_a_destination_is_forgotten_with_the_only_message_that_was_for_it(there, name):
    there.discard(admit(there, name, "a"))
    assert_settled(there)


def test_a_queue_is_forgotten_when_nobody_would_miss_it(there):
    client, subscription = subscribe(there, QUEUE, AckMode.Client)
    send(there, QUEUE, "a")
    claimed = subscription.claim(client.numbers[0])
    there.unsubscribe([subscription])
    assert place(there, QUEUE)  # there may be an ABORT
    there.ack(subscription, claimed)
    assert_settled(there)


# -- dead letters ----------------------------------------------------------------------------


@BOTH_CLIENT_MODES
def test_a_message_that_was_refused_too_often_is_a_dead_letter(mode):
    there = places(Limits(max_deliveries=3))
    client, subscription = subscribe(there, QUEUE, mode)
    send(there, QUEUE, "a")
    for _ in range(3):
        assert place(there, DEAD) == {}
        nack(there, subscription, client.numbers[0])
    assert client.bodies == ["a", "a*", "a*"]
    assert drained(there, DEAD) == ["a"]
    there.unsubscribe([subscription])
    assert_settled(there)
    assert there.counts().dead_lettered == 1


def test_a_dead_letter_says_where_it_was_and_how_often_and_keeps_its_headers():
    there = places(Limits(max_deliveries=1))
    letters: list[Message] = []

    class Reader(Client):
        def deliver(self, subscription, message):
            letters.append(message)

    subscribe(there, DEAD, client=Reader())
    client, subscription = subscribe(there, QUEUE, AckMode.ClientInd)
    send(there, QUEUE, "a", colour="red", **{"original-destination": "/queue/lie"})
    nack(there, subscription, client.numbers[0])
    (letter,) = letters
    assert letter.body == b"a"
    assert letter.envelope.destination == DEAD
    assert letter.envelope.headers == {
        "colour": "red",
        "original-destination": QUEUE,
        "deliveries": "1",
    }
    (event,) = there._log.events()
    assert (event["event"], event["destination"]) == ("dead letter", QUEUE)
    assert DEAD in str(event["detail"])


def test_of_what_a_nack_covers_each_is_a_dead_letter_for_itself():
    there = places(Limits(max_deliveries=2))
    client, subscription = subscribe(there, QUEUE, AckMode.Client, prefetch=2)
    send(there, QUEUE, "a", "b")
    client.ready = False
    nack(there, subscription, client.numbers[0])  # a alone
    client.ready = True
    there.dispatch(subscription)
    assert client.bodies == ["a", "b", "a*"]
    nack(there, subscription, client.numbers[0])  # b is in front of it
    assert drained(there, DEAD) == ["a"]
    assert client.bodies == ["a", "b", "a*", "b*"]


@pytest.mark.parametrize(
    ("name", "dead"),
    [
        ("/queue/a", "/queue/DLQ.a"),
        ("a", "/queue/DLQ.a"),
        ("/a/b", "/queue/DLQ.a/b"),
        ("/queue/DLQ", "/queue/DLQ.DLQ"),
        ("", "/queue/DLQ."),
    ],
)
def test_the_name_of_the_dead_letters_is_that_of_the_queue(name, dead):
    there = places(Limits(max_deliveries=1))
    client, subscription = subscribe(there, name, AckMode.ClientInd)
    send(there, name, "a")
    nack(there, subscription, client.numbers[0])
    assert drained(there, dead) == ["a"]


@pytest.mark.parametrize("name", [DEAD, "/queue/DLQ.DLQ.q"])
def test_dead_letters_do_not_die_again(name):
    there = places(Limits(max_deliveries=1))
    client, subscription = subscribe(there, name, AckMode.ClientInd)
    send(there, name, "a")
    for _ in range(5):
        nack(there, subscription, client.numbers[0])
    assert client.bodies == ["a"] + ["a*"] * 5
    assert [one["destination"] for one in there.described()] == [name]


def test_a_temp_queue_has_no_dead_letters():
    there = places(Limits(max_deliveries=1))
    client = Client()
    name = there.open_temp_queue(client)
    _, subscription = subscribe(there, name, AckMode.ClientInd, client=client)
    send(there, name, "a")
    for _ in range(5):
        nack(there, subscription, client.numbers[0])
    assert client.bodies == ["a"] + ["a*"] * 5
    assert [one["destination"] for one in there.described()] == [name]


def test_a_dead_letter_is_counted_though_its_queue_is_forgotten_at_the_same_moment():
    there = places(Limits(max_deliveries=1))
    client, subscription = subscribe(there, QUEUE, AckMode.ClientInd)
    send(there, QUEUE, "a")
    claimed = subscription.claim(client.numbers[0])
    there.unsubscribe([subscription])
    there.nack(subscription, claimed)
    assert place(there, QUEUE) == {}
    assert there.counts().dead_lettered == 1
    assert drained(there, DEAD) == ["a"]
    assert_settled(there)


def test_a_dead_letter_finds_room_where_there_is_none():
    there = places(Limits(max_queue=2 * size("a"), max_memory=2 * size("a"), max_deliveries=1))
    client, subscription = subscribe(there, QUEUE, AckMode.Client)
    send(there, QUEUE, "a", "b")
    nack(there, subscription, client.numbers[1])
    assert drained(there, DEAD) == ["a", "b"]
    there.unsubscribe([subscription])
    assert_settled(there)


# -- temp queues -----------------------------------------------------------------------------


def test_anybody_may_send_to_a_temp_queue_and_its_owner_alone_subscribes(there):
    owner = Client()
    name = there.open_temp_queue(owner)
    assert name.startswith(REPLY_QUEUE)
    assert place(there, name)["kind"] == "temp-queue"
    with pytest.raises(PermissionError):
        subscribe(there, name)
    send(there, name, "a")
    subscribe(there, name, client=owner)
    send(there, name, "b")
    assert owner.bodies == ["a", "b"]


@pytest.mark.parametrize("name", [REPLY_QUEUE, f"{REPLY_QUEUE}never"])
def test_a_temp_queue_that_there_is_not_has_no_subscribers_and_drops_what_it_gets(there, name):
    with pytest.raises(PermissionError):
        subscribe(there, name)
    send(there, name, "a")
    assert_settled(there)
    assert there.counts().received == there.counts().dropped == 1


def test_a_temp_queue_goes_with_all_that_is_in_it(there):
    owner = Client()
    name = there.open_temp_queue(owner)
    _, subscription = subscribe(there, name, AckMode.Client, prefetch=1, client=owner)
    send(there, name, "a", "b")
    there.unsubscribe([subscription])
    there.close_temp_queue(name)
    assert_settled(there)
    assert there.counts().dropped == 2


@pytest.mark.parametrize("end", ["publish", "discard"])
def test_a_reply_in_a_transaction_may_outlive_the_queue_that_it_was_for(there, end):
    name = there.open_temp_queue(Client())
    message = admit(there, name, "a")
    there.close_temp_queue(name)
    getattr(there, end)(message)
    assert_settled(there)
    assert there.counts().dropped == (end == "publish")


def test_a_reply_that_was_discarded_is_nothing_to_the_counts_or_to_other_queues(there):
    send(there, "", "a")
    send(there, f"{REPLY_QUEUE}gone", "b")
    there.discard(admit(there, f"{REPLY_QUEUE}gone", "c"))
    assert there.counts().dropped == 1
    assert drained(there, "") == ["a"]


def test_a_temp_queue_stays_when_it_is_empty(there):
    owner = Client()
    name = there.open_temp_queue(owner)
    _, subscription = subscribe(there, name, client=owner)
    send(there, name, "a")
    there.unsubscribe([subscription])
    send(there, name, "b")
    subscribe(there, name, client=owner)
    assert owner.bodies == ["a", "b"]


def test_a_temp_queue_is_bounded_like_all_others():
    there = places(Limits(max_queue=size("a")))
    name = there.open_temp_queue(Client())
    send(there, name, "a")
    with pytest.raises(Full):
        send(there, name, "b")


# -- looking ---------------------------------------------------------------------------------


def test_a_destination_is_described_by_what_it_holds_and_what_has_happened_there():
    there = places(Limits(max_deliveries=2))
    client, subscription = subscribe(there, QUEUE, AckMode.ClientInd, prefetch=3)
    send(there, QUEUE, *"abcdef")
    ack(there, subscription, client.numbers[0])
    nack(there, subscription, client.numbers[1])
    nack(there, subscription, client.numbers[1])
    assert place(there, QUEUE) == {
        "destination": QUEUE,
        "kind": "queue",
        "subscribers": 1,
        "waiting": 1,
        "unacknowledged": 3,
        "octets": 4 * size("a"),
        "received": 6,
        "delivered": 6,
        "redelivered": 1,
        "acknowledged": 1,
        "dead_lettered": 1,
        "dropped": 0,
    }


def test_what_has_happened_is_known_when_its_place_is_forgotten(there):
    client, subscription = subscribe(there, QUEUE, AckMode.Client)
    _, other = subscribe(there, TOPIC)
    send(there, QUEUE, "a", "b")
    send(there, TOPIC, "c")
    send(there, "/topic/nobody", "d")
    nack(there, subscription, client.numbers[1])
    ack(there, subscription, client.numbers[1])
    before = vars(there.counts())
    there.unsubscribe([subscription, other])
    assert_settled(there)
    assert vars(there.counts()) == before
    assert before == {
        "received": 4,
        "delivered": 5,
        "redelivered": 2,
        "acknowledged": 2,
        "dead_lettered": 0,
        "dropped": 0,
    }


# -- whatever happens ------------------------------------------------------------------------


NAMES = (QUEUE, DEAD, TOPIC, "/topic/>")
DOINGS = (
    *("send", "admit", "publish", "discard", "subscribe", "unsubscribe"),
    *("ack", "nack", "claim", "commit", "abort", "sleep", "wake"),
)
STEPS = st.lists(
    st.tuples(st.sampled_from(DOINGS), st.integers(0, 5), st.integers(0, 5)), max_size=80
)


@settings(deadline=None, max_examples=200)
@given(STEPS)
def test_whatever_happens_no_message_of_a_queue_is_lost_or_doubled_and_no_room_either(steps):
    there = places(Limits(max_queue=12 * size(""), max_memory=20 * size(""), max_deliveries=2))
    modes = list(AckMode)
    subscriptions = [
        Subscription(Client(), "1", NAMES[who % 4], modes[who % 3], who % 2 or None)
        for who in range(6)
    ]
    active: list[Subscription] = []
    transaction: list[Message] = []
    claims: list[tuple[Subscription, list[Delivery]]] = []
    sent, done = 0, 0
    for step, who, which in steps:
        subscription = subscriptions[who]
        held = list(subscription.pending)
        on_queue = subscription.destination.startswith("/queue/")
        if step in ("send", "admit"):
            name = NAMES[which % 3]
            try:
                message = admit(there, name)
            except Full:
                assert there.memory.octets + size("") > 12 * size("")
                continue
            sent += name.startswith("/queue/")
            if step == "send":
                there.publish(message)
            else:
                transaction.append(message)
        elif step == "publish" and transaction:
            there.publish(transaction.pop(0))
        elif step == "discard" and transaction:
            message = transaction.pop()
            sent -= message.place is not None
            there.discard(message)
        elif step == "subscribe" and not subscription.active and not subscription.claimed:
            active.append(subscription)
            there.subscribe(subscription)
        elif step == "unsubscribe" and subscription.active:
            active.remove(subscription)
            there.unsubscribe([subscription])
        elif step == "ack" and which < len(held):
            deliveries = subscription.claim(held[which])
            done += on_queue * len(deliveries)
            there.ack(subscription, deliveries)
        elif step == "nack" and which < len(held):
            nack(there, subscription, held[which])
        elif step == "claim" and which < len(held):
            claims.append((subscription, subscription.claim(held[which])))
        elif step == "commit" and claims:
            subscription, deliveries = claims.pop(0)
            if which % 2:
                done += subscription.destination.startswith("/queue/") * len(deliveries)
                there.ack(subscription, deliveries)
            else:
                there.nack(subscription, deliveries)
        elif step == "abort" and claims:
            restore(there, *claims.pop())
        elif step in ("sleep", "wake"):
            subscription.owner.ready = step == "wake"
            if subscription.active:
                there.dispatch(subscription)
    for subscription, deliveries in claims:
        restore(there, subscription, deliveries)
    for message in transaction:
        there.publish(message)
    for subscription in subscriptions:
        subscription.owner.ready = False
    there.unsubscribe(active)
    autos = [one for one in subscriptions if one.ack_mode is AckMode.Auto]
    done += sum(len(one.owner.bodies) for one in autos if one.destination in (QUEUE, DEAD))
    assert there.memory.octets == sum(int(str(one["octets"])) for one in there.described())
    rest = len(drained(there, QUEUE)) + len(drained(there, DEAD))
    assert done + rest == sent
    assert_settled(there)
