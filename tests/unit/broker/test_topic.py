"""Topics of the embedded broker: who gets what, patterns, and those who do not read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompy import AckMode
from stompy.broker import topic
from stompy.broker.destinations import Destinations
from stompy.broker.events import EventLog
from stompy.broker.limits import Limits
from stompy.broker.topic import pattern_of
from tests.unit.broker.clients import (
    Client,
    ack,
    assert_settled,
    nack,
    place,
    places,
    restore,
    send,
    size,
    subscribe,
)

TOPIC = "/topic/t"
BOTH_CLIENT_MODES = pytest.mark.parametrize("mode", [AckMode.Client, AckMode.ClientInd])


@pytest.fixture
def there() -> Destinations:
    return places()


# -- who gets what ---------------------------------------------------------------------------


def test_a_topic_gives_each_message_to_all_its_subscribers_and_none_is_redelivered(there):
    one, _ = subscribe(there, TOPIC)
    other, _ = subscribe(there, TOPIC)
    send(there, TOPIC, "a", "b")
    assert (one.bodies, other.bodies) == (["a", "b"], ["a", "b"])


def test_a_topic_keeps_nothing_for_those_who_come_later(there):
    send(there, TOPIC, "a")
    late, _ = subscribe(there, TOPIC)
    assert late.bodies == []


def test_topics_that_nobody_subscribes_to_take_no_memory(there):
    for number in range(100):
        send(there, f"/topic/reply-{number}", "a")
    assert_settled(there)


def test_a_topic_is_forgotten_with_its_last_subscriber(there):
    _, one = subscribe(there, TOPIC)
    _, other = subscribe(there, TOPIC)
    there.unsubscribe([one])
    assert place(there, TOPIC)["subscribers"] == 1
    there.unsubscribe([other])
    assert_settled(there)


def test_an_ended_subscription_gets_nothing_more(there):
    client, subscription = subscribe(there, TOPIC)
    other, _ = subscribe(there, TOPIC)
    send(there, TOPIC, "a")
    there.unsubscribe([subscription])
    send(there, TOPIC, "b")
    assert (client.bodies, other.bodies) == (["a"], ["a", "b"])


def test_a_selector_chooses_among_the_messages_of_a_topic(there):
    reds, _ = subscribe(there, TOPIC, selector="colour = 'red'")
    everyone, _ = subscribe(there, TOPIC)
    send(there, TOPIC, "a", colour="red")
    send(there, TOPIC, "b", colour="blue")
    assert (reds.bodies, everyone.bodies) == (["a"], ["a", "b"])


def test_what_a_selector_passes_over_is_neither_kept_nor_counted_as_dropped():
    there = places(Limits(max_backlog=1))
    reds, subscription = subscribe(there, TOPIC, selector="colour = 'red'")
    reds.ready = False
    send(there, TOPIC, "a", "b", "c", colour="blue")
    assert (subscription.dropped, place(there, TOPIC)["waiting"]) == (0, 0)


# -- acknowledgement -------------------------------------------------------------------------


def test_a_message_of_a_topic_that_was_refused_does_not_come_again(there):
    client, subscription = subscribe(there, TOPIC, AckMode.ClientInd)
    send(there, TOPIC, "a")
    nack(there, subscription, client.numbers[0])
    assert client.bodies == ["a"]
    assert place(there, TOPIC)["unacknowledged"] == 0


@BOTH_CLIENT_MODES
def test_prefetch_bounds_what_is_unacknowledged_and_the_rest_is_kept_in_order(there, mode):
    client, subscription = subscribe(there, TOPIC, mode, prefetch=2)
    send(there, TOPIC, "a", "b", "c", "d")
    assert client.bodies == ["a", "b"]
    assert place(there, TOPIC)["waiting"] == 2
    ack(there, subscription, client.numbers[0])
    assert client.bodies == ["a", "b", "c"]
    nack(there, subscription, client.numbers[1])
    assert client.bodies[:4] == ["a", "b", "c", "d"]
    assert subscription.dropped == 0


@pytest.mark.parametrize("asked", [None, 100])
def test_whoever_never_acknowledges_gets_a_bounded_number_of_messages(there, monkeypatch, asked):
    monkeypatch.setattr(topic, "MAX_UNACKNOWLEDGED", 5)
    client, subscription = subscribe(there, TOPIC, AckMode.Client, asked)
    send(there, TOPIC, *"abcdefg")
    assert client.bodies == list("abcde")
    ack(there, subscription, client.numbers[-1])
    assert client.bodies == list("abcdefg")


@BOTH_CLIENT_MODES
def test_what_waits_for_its_ack_is_kept_by_its_number_alone(there, mode):
    client, subscription = subscribe(there, TOPIC, mode)
    send(there, TOPIC, "a", "b")
    assert list(subscription.pending) == client.numbers
    assert [one.message for one in subscription.pending.values()] == [None, None]
    assert there.memory.octets == 0


def test_a_message_of_a_topic_that_was_claimed_is_unacknowledged_again_after_abort(there):
    client, subscription = subscribe(there, TOPIC, AckMode.ClientInd)
    send(there, TOPIC, "a", "b")
    restore(there, subscription, subscription.claim(client.numbers[0]))
    assert list(subscription.pending) == client.numbers


def test_an_ack_of_a_topic_may_be_committed_when_nobody_subscribes_any_more(there):
    client, subscription = subscribe(there, TOPIC, AckMode.Client)
    send(there, TOPIC, "a")
    deliveries = subscription.claim(client.numbers[0])
    there.unsubscribe([subscription])
    there.ack(subscription, deliveries)
    assert_settled(there)


# -- who does not read -----------------------------------------------------------------------


def test_one_that_does_not_read_costs_the_others_nothing():
    there = places(Limits(max_backlog=2 * size("0")))
    slow, subscription = subscribe(there, TOPIC)
    quick, _ = subscribe(there, TOPIC)
    slow.ready = False
    send(there, TOPIC, *"0123456789")
    assert (slow.bodies, quick.bodies) == ([], list("0123456789"))
    slow.ready = True
    there.dispatch(subscription)
    assert slow.bodies == ["8", "9"]
    assert subscription.dropped == 8


def test_what_was_kept_comes_in_order_and_before_what_is_sent_later(there):
    client, subscription = subscribe(there, TOPIC)
    client.ready = False
    send(there, TOPIC, "a", "b")
    client.ready = True
    send(there, TOPIC, "c")
    assert client.bodies == []  # it is told to go on by `dispatch`
    there.dispatch(subscription)
    send(there, TOPIC, "d")
    assert client.bodies == ["a", "b", "c", "d"]
    assert subscription.dropped == 0
    assert there.memory.octets == 0


def test_the_oldest_are_dropped_and_counted():
    there = places(Limits(max_backlog=3 * size("a")))
    client, subscription = subscribe(there, TOPIC)
    client.ready = False
    send(there, TOPIC, *"abcde")
    assert subscription.dropped == place(there, TOPIC)["dropped"] == 2
    assert place(there, TOPIC)["waiting"] == 3
    client.ready = True
    there.dispatch(subscription)
    assert client.bodies == ["c", "d", "e"]


@pytest.mark.parametrize("limits", [Limits(max_backlog=1), Limits(max_memory=1)])
def test_the_newest_message_is_always_kept(limits):
    there = places(limits)
    client, subscription = subscribe(there, TOPIC)
    client.ready = False
    send(there, TOPIC, "a", "b", "c" * 1000)
    client.ready = True
    there.dispatch(subscription)
    assert client.bodies == ["c" * 1000]
    assert subscription.dropped == 2


def test_the_oldest_are_dropped_when_the_broker_has_no_room_either():
    there = places(Limits(max_memory=4 * size("a")))
    clients = [subscribe(there, TOPIC) for _ in range(2)]
    for client, _ in clients:
        client.ready = False
    send(there, TOPIC, *"abcdefgh")
    assert there.memory.octets <= 4 * size("a")
    for client, subscription in clients:
        client.ready = True
        there.dispatch(subscription)
        assert client.bodies
        assert client.bodies == list("abcdefgh")[-len(client.bodies) :]
        assert subscription.dropped + len(client.bodies) == 8


def test_the_log_has_the_first_message_that_a_subscriber_has_missed():
    there = places(Limits(max_backlog=1))
    client, _ = subscribe(there, TOPIC, client=Client("7"))
    client.ready = False
    send(there, TOPIC, *"abcdef")
    (event,) = there._log.events()
    assert (event["event"], event["client"], event["destination"]) == ("dropping", "7", TOPIC)


def test_what_was_kept_is_forgotten_with_its_subscription_and_counted_as_dropped(there):
    client, subscription = subscribe(there, TOPIC)
    client.ready = False
    send(there, TOPIC, "a", "b")
    there.unsubscribe([subscription])
    assert_settled(there)
    assert there.counts().dropped == 2


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("send"), st.integers(0, 3)),
            st.tuples(st.sampled_from(["sleep", "wake", "ack"]), st.integers(0, 1)),
        ),
        max_size=60,
    )
)
def test_a_subscriber_gets_the_messages_in_order_and_each_that_it_does_not_is_counted(steps):
    there = places(Limits(max_backlog=3 * size("0000", length="x")))
    pairs = [
        subscribe(there, TOPIC),
        subscribe(there, TOPIC, AckMode.Client, prefetch=2),
    ]
    sent = 0
    for step, which in steps:
        client, subscription = pairs[which % 2]
        if step == "send":
            send(there, TOPIC, f"{sent:04}", length="x" * which * 100)
            sent += 1
        elif step == "ack" and subscription.pending:
            ack(there, subscription, max(subscription.pending))
        elif step in ("sleep", "wake"):
            client.ready = step == "wake"
            there.dispatch(subscription)
        kept = {message for _, one in pairs for message in one.backlog}
        assert there.kept.octets == sum(message.size for message in kept)
    for client, subscription in pairs:
        assert client.bodies == sorted(set(client.bodies))
        assert len(client.bodies) + len(subscription.backlog) + subscription.dropped == sent
        there.unsubscribe([subscription])
    assert_settled(there)


# -- patterns --------------------------------------------------------------------------------


PATTERNS = [
    # pattern, what it matches, what it does not
    ("a.*", "a.b a.x-1", "a a. a.b.c b.a aXb"),
    ("*.b", "a.b x.b", "b .b a.c a.a.b"),
    ("a.*.c", "a.b.c a.x.c", "a.c a..c a.b.b.c a.b.d"),
    ("*", "a b-c", "a.b a/b"),
    ("*.*", "a.b", "a a.b.c"),
    ("a.>", "a a.b a.b.c a.b.c.d", "ab b b.a"),
    ("a.#", "a a.b a.b.c a.b.c.d", "ab b b.a"),
    (">", "a a.b a/b/c", ""),
    ("#", "a a.b a/b/c", ""),
    ("a.*.>", "a.b a.b.c a.x.y.z", "a ab.c"),
    ("a/*", "a/b", "a a/b/c a/b.c ab"),
    ("a/*/c", "a/b/c", "a/b/b/c a.b.c"),
    ("a/>", "a a/b a/b/c", "ab"),
    ("a/#", "a a/b a/b/c", "ab"),
    ("prices.*/eur", "prices.gold/eur", "prices.gold.eur"),
    # A wildcard is one only as a whole word; # and > only as the last.
    ("a*", "a*", "ab a"),
    ("a.b>", "a.b>", "a.b a.bc"),
    ("a.#.c", "a.#.c", "a.b.c a.c"),
    ("a.>.*", "a.>.c", "a.b.c"),
    # What regular expressions know is nothing here.
    ("a+.*", "a+.b", "aa.b a.b"),
    ("[ab].*", "[ab].c", "a.c"),
    ("(a|b).*", "(a|b).c", "a.c"),
    ("^a$.*", "^a$.b", "a.b"),
    ("a\\d.*", "a\\d.b", "a1.b"),
    ("a?.*", "a?.b", "a.b .b"),
]


@pytest.mark.parametrize(("pattern", "names", "others"), PATTERNS)
def test_a_pattern_concerns_these_names_and_not_those(there, pattern, names, others):
    client, _ = subscribe(there, f"/topic/{pattern}")
    for name in (*names.split(), *others.split()):
        send(there, f"/topic/{name}", name)
    assert client.bodies == names.split()


@pytest.mark.parametrize("name", ["a", "a.b/c", "", ".", "a*b.c>d.#e", "/", "a.**"])
def test_a_name_of_which_no_word_is_a_wildcard_is_plain(name):
    assert pattern_of(f"/topic/{name}") is None


@pytest.mark.parametrize("word", ["a\nb", "\n", "a\r\nb", "\u2028", "\u00fc"])
def test_a_word_may_hold_line_ends(there, word):
    every, _ = subscribe(there, "/topic/a.>")
    one, _ = subscribe(there, "/topic/a.*")
    plain, _ = subscribe(there, f"/topic/a.{word}")
    send(there, f"/topic/a.{word}", "x")
    send(there, "/topic/b\n.c", "y")
    send(there, "/topic/a.b\n.c", "z")
    assert (every.bodies, one.bodies, plain.bodies) == (["x", "z"], ["x"], ["x"])


def test_a_message_keeps_the_name_it_was_sent_to(there):
    seen = []

    class Looker(Client):
        def deliver(self, subscription, message):
            seen.append(message.envelope.destination)

    subscribe(there, "/topic/a.*", client=Looker())
    send(there, "/topic/a.b", "x")
    assert seen == ["/topic/a.b"]


def test_a_client_with_two_patterns_that_match_gets_a_message_for_each(there):
    client, _ = subscribe(there, "/topic/a.*")
    subscribe(there, "/topic/>", client=client)
    subscribe(there, "/topic/a.b", client=client)
    send(there, "/topic/a.b", "x")
    assert client.bodies == ["x", "x", "x"]


def test_a_pattern_is_noticed_by_names_that_are_in_use_and_so_is_its_end(there):
    send(there, "/topic/a.b", "too early")
    client, subscription = subscribe(there, "/topic/a.*")
    send(there, "/topic/a.b", "x")
    there.unsubscribe([subscription])
    send(there, "/topic/a.b", "too late")
    assert client.bodies == ["x"]


def test_wildcards_are_for_topics_alone(there):
    client, _ = subscribe(there, "/queue/>")
    send(there, "/queue/a", "x")
    assert client.bodies == []
    send(there, "/queue/>", "y")
    assert client.bodies == ["y"]


def test_more_names_may_be_sent_to_than_are_remembered(there):
    client, _ = subscribe(there, "/topic/>")
    for number in range(2500):
        send(there, f"/topic/{number}", str(number))
    send(there, "/topic/0", "again")
    assert client.bodies == [*map(str, range(2500)), "again"]
    assert len(there._audiences) <= 1000


def test_a_topic_that_nobody_hears_is_an_event_but_not_for_each_message():
    log = EventLog()
    there = Destinations(Limits(), log)
    send(there, TOPIC, "a", "b", "c")
    assert [(one["event"], one["destination"]) for one in log.events()] == [("unheard", TOPIC)]
    _, subscription = subscribe(there, TOPIC)
    send(there, TOPIC, "d")
    there.unsubscribe([subscription])
    send(there, TOPIC, "e")
    assert len(log.events()) == 2
