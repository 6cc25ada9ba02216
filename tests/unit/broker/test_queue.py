"""Queues of the embedded broker: whose turn it is, and in which order messages come and go back."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stompy import AckMode
from stompy.broker import queue
from stompy.broker.destinations import Destinations
from stompy.broker.limits import Limits
from stompy.broker.queue import GAPS
from stompy.broker.selector import Selector
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
    subscribe,
)

QUEUE = "/queue/q"
RED, BLUE = "colour = 'red'", "colour = 'blue'"
BOTH_CLIENT_MODES = pytest.mark.parametrize("mode", [AckMode.Client, AckMode.ClientInd])


@pytest.fixture
def there() -> Destinations:
    return places()


# -- turns and order -------------------------------------------------------------------------


def test_a_queue_keeps_its_messages_in_order_until_somebody_subscribes(there):
    send(there, QUEUE, "a", "b", "c")
    assert subscribe(there, QUEUE)[0].bodies == ["a", "b", "c"]


def test_a_queue_gives_each_message_to_one_subscriber_in_turn(there):
    one, _ = subscribe(there, QUEUE)
    other, _ = subscribe(there, QUEUE)
    send(there, QUEUE, "a", "b", "c", "d")
    assert (one.bodies, other.bodies) == (["a", "c"], ["b", "d"])


def test_who_comes_later_is_behind_those_who_wait(there):
    one, _ = subscribe(there, QUEUE)
    send(there, QUEUE, "a")
    late, _ = subscribe(there, QUEUE)
    send(there, QUEUE, "b", "c", "d")
    assert (one.bodies, late.bodies) == (["a", "b", "d"], ["c"])


def test_two_subscriptions_of_one_client_take_turns_like_those_of_two(there):
    client, first = subscribe(there, QUEUE, AckMode.ClientInd)
    _, second = subscribe(there, QUEUE, AckMode.ClientInd, client=client)
    send(there, QUEUE, "a", "b", "c")
    assert list(first.pending) == client.numbers[::2]
    assert list(second.pending) == client.numbers[1::2]


def test_queues_do_not_mix(there):
    client, _ = subscribe(there, "/queue/one")
    send(there, "/queue/other", "a")
    assert client.bodies == []


def test_a_queue_passes_over_a_subscriber_that_does_not_read(there):
    slow, _ = subscribe(there, QUEUE)
    quick, _ = subscribe(there, QUEUE)
    slow.ready = False
    send(there, QUEUE, "a", "b")
    assert (slow.bodies, quick.bodies) == ([], ["a", "b"])


def test_who_was_passed_over_has_the_next_turn_when_it_reads_again(there):
    slow, _ = subscribe(there, QUEUE)
    quick, _ = subscribe(there, QUEUE)
    slow.ready = False
    send(there, QUEUE, "a", "b")
    slow.ready = True
    send(there, QUEUE, "c", "d")
    assert (slow.bodies, quick.bodies) == (["c"], ["a", "b", "d"])


def test_what_a_queue_held_back_comes_when_its_subscriber_is_ready(there):
    client, subscription = subscribe(there, QUEUE)
    client.ready = False
    send(there, QUEUE, "a", "b")
    client.ready = True
    there.dispatch(subscription)
    assert client.bodies == ["a", "b"]
    assert subscription.dropped == 0


def test_an_ended_subscription_gets_nothing_more(there):
    client, subscription = subscribe(there, QUEUE)
    there.unsubscribe([subscription])
    send(there, QUEUE, "a")
    assert client.bodies == []
    assert drained(there, QUEUE) == ["a"]


# -- prefetch --------------------------------------------------------------------------------


@BOTH_CLIENT_MODES
def test_no_more_than_prefetch_messages_are_unacknowledged(there, mode):
    client, subscription = subscribe(there, QUEUE, mode, prefetch=2)
    send(there, QUEUE, "a", "b", "c", "d")
    assert client.bodies == ["a", "b"]
    ack(there, subscription, client.numbers[0])
    assert client.bodies == ["a", "b", "c"]


def test_what_is_beyond_the_prefetch_of_one_goes_to_another(there):
    full, _ = subscribe(there, QUEUE, AckMode.Client, prefetch=1)
    other, _ = subscribe(there, QUEUE)
    send(there, QUEUE, "a", "b", "c")
    assert (full.bodies, other.bodies) == (["a"], ["b", "c"])


def test_in_auto_mode_there_is_nothing_for_prefetch_to_bound(there):
    client, _ = subscribe(there, QUEUE, prefetch=1)
    send(there, QUEUE, "a", "b", "c")
    assert client.bodies == ["a", "b", "c"]


def test_a_cumulative_ack_makes_room_for_as_many_as_it_covers(there):
    client, subscription = subscribe(there, QUEUE, AckMode.Client, prefetch=3)
    send(there, QUEUE, *"abcdef")
    ack(there, subscription, client.numbers[1])
    assert client.bodies == ["a", "b", "c", "d", "e"]


# -- giving back -----------------------------------------------------------------------------


def test_what_a_subscriber_held_comes_back_in_order_before_what_waits(there):
    _, subscription = subscribe(there, QUEUE, AckMode.Client, prefetch=2)
    send(there, QUEUE, "a", "b", "c")
    there.unsubscribe([subscription])
    assert drained(there, QUEUE) == ["a*", "b*", "c"]


def test_what_two_held_in_turn_comes_back_in_the_order_of_the_queue(there):
    _, one = subscribe(there, QUEUE, AckMode.Client)
    _, other = subscribe(there, QUEUE, AckMode.ClientInd, prefetch=2)
    send(there, QUEUE, *"abcdef")  # a c e f to the one, b d to the other
    one.owner.ready = other.owner.ready = False
    send(there, QUEUE, "g")
    there.unsubscribe([one])
    there.unsubscribe([other])
    assert drained(there, QUEUE) == ["a*", "b*", "c*", "d*", "e*", "f*", "g"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_subscriptions_of_one_client_on_one_queue_end_as_one(there, order):
    client, first = subscribe(there, QUEUE, AckMode.Client)
    _, second = subscribe(there, QUEUE, AckMode.Client, client=client)
    heir, _ = subscribe(there, QUEUE, AckMode.Client)
    send(there, QUEUE, *"abcdef")
    heir.bodies.clear()
    both = (first, second)
    there.unsubscribe([both[place] for place in order])
    assert heir.bodies == ["a*", "b*", "d*", "e*"]


def test_what_goes_back_reaches_a_subscriber_that_waits_in_order(there):
    _, first = subscribe(there, QUEUE, AckMode.Client)
    send(there, QUEUE, "a", "b")
    heir, _ = subscribe(there, QUEUE)
    assert heir.bodies == []
    there.unsubscribe([first])
    assert heir.bodies == ["a*", "b*"]


def test_a_refused_message_is_delivered_again(there):
    client, subscription = subscribe(there, QUEUE, AckMode.ClientInd)
    send(there, QUEUE, "a", "b")
    nack(there, subscription, client.numbers[0])
    assert client.bodies == ["a", "b", "a*"]
    assert list(subscription.pending) == [client.numbers[1], client.numbers[0]]


def test_a_refused_message_goes_before_all_that_are_newer(there):
    client, subscription = subscribe(there, QUEUE, AckMode.ClientInd, prefetch=3)
    send(there, QUEUE, *"abcde")
    client.ready = False
    nack(there, subscription, client.numbers[1])
    client.ready = True
    there.dispatch(subscription)
    assert client.bodies == ["a", "b", "c", "b*"]
    there.unsubscribe([subscription])
    assert drained(there, QUEUE) == ["a*", "b*", "c*", "d", "e"]


def test_a_nack_in_client_mode_covers_all_earlier_messages(there):
    client, subscription = subscribe(there, QUEUE, AckMode.Client)
    send(there, QUEUE, "a", "b", "c")
    nack(there, subscription, client.numbers[1])
    assert client.bodies == ["a", "b", "c", "a*", "b*"]


def test_a_refused_message_goes_to_whose_turn_it_is(there):
    client, subscription = subscribe(there, QUEUE, AckMode.ClientInd)
    other, _ = subscribe(there, QUEUE)
    send(there, QUEUE, "a")
    nack(there, subscription, client.numbers[0])
    assert (client.bodies, other.bodies) == (["a"], ["a*"])


@BOTH_CLIENT_MODES
def test_a_message_that_waits_for_its_ack_goes_to_nobody_else(there, mode):
    subscribe(there, QUEUE, mode)
    send(there, QUEUE, "a")
    assert subscribe(there, QUEUE)[0].bodies == []


# -- selectors -------------------------------------------------------------------------------


def send_colours(there: Destinations, colours: str) -> None:
    """For each letter a message with it as its body: r is red, b blue."""
    for number, letter in enumerate(colours):
        colour = {"r": "red", "b": "blue"}[letter]
        send(there, QUEUE, f"{letter}{number}", colour=colour)


def test_a_selective_subscriber_gets_what_it_wants_in_order_and_the_rest_waits(there):
    reds, _ = subscribe(there, QUEUE, selector=RED)
    send_colours(there, "rbrbr")
    assert reds.bodies == ["r0", "r2", "r4"]
    assert place(there, QUEUE)["waiting"] == 2
    assert drained(there, QUEUE) == ["b1", "b3"]


def test_who_comes_later_gets_what_others_did_not_want(there):
    send_colours(there, "rbrb")
    reds, _ = subscribe(there, QUEUE, selector=RED)
    send_colours(there, "b")
    blues, _ = subscribe(there, QUEUE, selector=BLUE)
    assert (reds.bodies, blues.bodies) == (["r0", "r2"], ["b1", "b3", "b0"])


def test_selective_and_plain_subscribers_share_a_queue(there):
    reds, _ = subscribe(there, QUEUE, selector=RED)
    anyone, _ = subscribe(there, QUEUE)
    send_colours(there, "rbrr")
    assert (reds.bodies, anyone.bodies) == (["r0", "r2"], ["b1", "r3"])


def test_a_plain_subscriber_steps_over_what_was_taken_out_of_turn(there):
    anyone, subscription = subscribe(there, QUEUE)
    anyone.ready = False
    subscribe(there, QUEUE, selector=RED)
    send_colours(there, "brbrbr")
    anyone.ready = True
    there.dispatch(subscription)
    assert anyone.bodies == ["b0", "b2", "b4"]


def test_a_refused_message_comes_again_to_a_selective_subscriber_in_its_place(there):
    reds, subscription = subscribe(there, QUEUE, AckMode.ClientInd, selector=RED)
    send_colours(there, "brbrb")
    nack(there, subscription, reds.numbers[0])
    assert reds.bodies == ["r1", "r3", "r1*"]
    there.unsubscribe([subscription])
    assert drained(there, QUEUE) == ["b0", "r1*", "b2", "r3*", "b4"]


def test_what_goes_back_comes_to_a_selective_subscriber_that_waits_for_it(there):
    _, holder = subscribe(there, QUEUE, AckMode.Client)
    send_colours(there, "rbr")
    reds, _ = subscribe(there, QUEUE, selector=RED)
    there.unsubscribe([holder])
    assert reds.bodies == ["r0*", "r2*"]
    assert drained(there, QUEUE) == ["b1*"]


def test_a_message_that_two_want_goes_to_one_and_after_a_nack_to_the_other(there):
    one, first = subscribe(there, QUEUE, AckMode.ClientInd, selector=RED)
    other, second = subscribe(there, QUEUE, AckMode.ClientInd, selector=RED)
    send_colours(there, "r")
    nack(there, first, one.numbers[0])
    nack(there, second, other.numbers[0])
    assert (one.bodies, other.bodies) == (["r0", "r0*"], ["r0*"])
    ack(there, first, one.numbers[0])
    there.unsubscribe([first, second])
    assert_settled(there)


def test_prefetch_bounds_a_selective_subscriber_too(there):
    reds, subscription = subscribe(there, QUEUE, AckMode.ClientInd, prefetch=1, selector=RED)
    send_colours(there, "rrbr")
    assert reds.bodies == ["r0"]
    ack(there, subscription, reds.numbers[0])
    assert reds.bodies == ["r0", "r1"]


def test_in_a_long_run_nothing_is_kept_of_what_was_taken_out_of_turn(there):
    send_colours(there, "b")  # waits at the head of the line, for ever
    _, subscription = subscribe(there, QUEUE, selector=RED)
    idle, waits = subscribe(there, QUEUE, selector=RED)
    idle.ready = False
    line = there._queues[QUEUE]
    bound = 2 * 2 + GAPS  # of two that wait, when the newest comes
    for _ in range(20 * GAPS):
        send_colours(there, "r")
        assert len(line._line) <= bound
        assert len(waits.wanted) <= bound
        assert len(subscription.wanted) <= bound
    assert line.waiting == 1


def test_of_what_was_taken_out_of_turn_no_body_is_kept_when_it_is_done(there):
    send_colours(there, "b")
    reds, subscription = subscribe(there, QUEUE, AckMode.Client, selector=RED)
    send_colours(there, "r" * 10)
    ack(there, subscription, reds.numbers[-1])
    assert {message.body for message in there._queues[QUEUE]._line} <= {b"b0", b""}


def test_what_others_have_taken_is_not_kept_for_a_subscriber_that_had_wanted_it(there):
    idle, waits = subscribe(there, QUEUE, selector=RED)
    idle.ready = False
    send_colours(there, "r" * 20 * GAPS)
    assert len(drained(there, QUEUE)) == 20 * GAPS
    assert len(waits.wanted) <= GAPS


def test_refusing_again_and_again_keeps_no_copies():
    there = places(Limits(max_deliveries=10**9))
    reds, subscription = subscribe(there, QUEUE, AckMode.ClientInd, selector=RED)
    idle, waits = subscribe(there, QUEUE, selector=RED)
    idle.ready = False
    send_colours(there, "rrr")
    for _ in range(10 * GAPS):
        nack(there, subscription, next(iter(subscription.pending)))
    assert len(there._queues[QUEUE]._line) <= GAPS
    assert len(waits.wanted) <= GAPS + 2
    assert len(subscription.wanted) <= GAPS + 2
    assert len(reds.bodies) == 3 + 10 * GAPS


# -- against a simple double -----------------------------------------------------------------


MAX_DELIVERIES = 3
KINDS = st.tuples(
    st.sampled_from(list(AckMode)),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([None, RED, BLUE]),
)
STEPS = st.one_of(
    st.tuples(st.just("send"), st.sampled_from(["red", "blue"]), st.just(0)),
    st.tuples(
        st.sampled_from(
            ["subscribe", "unsubscribe", "ack", "nack", "claim", "commit", "abort", "sleep", "wake"]
        ),
        st.integers(0, 3),
        st.integers(0, 5),
    ),
)


class Double:
    """A queue as one would write it down: all that waits, in order, and those who take turns."""

    def __init__(self, subscriptions: list[Subscription]) -> None:
        self.waiting: list[tuple[int, str, int]] = []  # number, colour, deliveries
        self.turns: list[int] = []
        self.letters = 0
        self.delivered: list[list[tuple[int, int]]] = [[] for _ in subscriptions]
        self.held: list[list[tuple[int, str, int]]] = [[] for _ in subscriptions]
        self.claimed = [0 for _ in subscriptions]
        self._subscriptions = subscriptions

    def dispatch(self) -> None:
        while any(self._serve(who) for who in list(self.turns)):
            pass

    def _serve(self, who: int) -> bool:
        of = self._subscriptions[who]
        unacknowledged = len(self.held[who]) + self.claimed[who]
        if not of.owner.ready or (of.prefetch and unacknowledged >= of.prefetch):
            return False
        for message in self.waiting:
            number, colour, deliveries = message
            if of.selector is None or of.selector.matches({"colour": colour}):
                self.waiting.remove(message)
                self.turns.remove(who)
                self.turns.append(who)
                self.delivered[who].append((number, deliveries))
                if of.ack_mode is not AckMode.Auto:
                    self.held[who].append((number, colour, deliveries + 1))
                return True
        return False

    def back(self, messages: list[tuple[int, str, int]]) -> None:
        self.waiting = sorted([*self.waiting, *messages])

    def cover(self, who: int, which: int) -> list[tuple[int, str, int]]:
        first = 0 if self._subscriptions[who].ack_mode is AckMode.Client else which
        covered = self.held[who][first : which + 1]
        del self.held[who][first : which + 1]
        return covered

    def refuse(self, messages: list[tuple[int, str, int]]) -> None:
        self.letters += sum(one[2] >= MAX_DELIVERIES for one in messages)
        self.back([one for one in messages if one[2] < MAX_DELIVERIES])


class Noting(Client):
    """Notes the number of each message and how often it was delivered before."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[tuple[int, int]] = []

    def deliver(self, subscription, message):
        self.taken.append((message.number, message.deliveries))


@pytest.mark.parametrize("gaps", [0, 2, GAPS])
@settings(deadline=None, max_examples=200)
@given(kinds=st.lists(KINDS, min_size=4, max_size=4), steps=st.lists(STEPS, max_size=80))
def test_a_queue_does_what_a_simple_double_does(gaps, kinds, steps):
    with patch.object(queue, "GAPS", gaps):
        check_against_the_double(kinds, steps)


def check_against_the_double(kinds: list[Any], steps: list[Any]) -> None:
    there = places(Limits(max_deliveries=MAX_DELIVERIES))
    subscriptions = [
        Subscription(Noting(), "1", QUEUE, mode, prefetch, selector and Selector(selector))
        for mode, prefetch, selector in kinds
    ]
    double = Double(subscriptions)
    open_claims: list[tuple[int, list[Delivery], list[tuple[int, str, int]]]] = []
    for step, who, which in steps:
        if step == "send":
            message = admit(there, QUEUE, colour=who)
            there.publish(message)
            double.waiting.append((message.number, who, 0))
            double.dispatch()
            continue
        subscription = subscriptions[who]
        held = list(subscription.pending)
        active = who in double.turns
        if step == "subscribe" and not active and not double.claimed[who]:
            there.subscribe(subscription)
            double.turns.append(who)
        elif step == "unsubscribe" and active:
            there.unsubscribe([subscription])
            double.turns.remove(who)
            double.back(double.held[who])
            double.held[who] = []
        elif step == "ack" and which < len(held):
            ack(there, subscription, held[which])
            double.cover(who, which)
        elif step == "nack" and which < len(held):
            nack(there, subscription, held[which])
            double.refuse(double.cover(who, which))
        elif step == "claim" and which < len(held):
            covered = double.cover(who, which)
            double.claimed[who] += len(covered)
            open_claims.append((who, subscription.claim(held[which]), covered))
        elif step in ("commit", "abort") and open_claims:
            whose, deliveries, covered = open_claims.pop()
            double.claimed[whose] -= len(covered)
            if step == "abort":
                restore(there, subscriptions[whose], deliveries)
                if whose in double.turns:
                    double.held[whose] = sorted([*double.held[whose], *covered])
                    order = {m: p for p, m in enumerate(subscriptions[whose].pending)}
                    double.held[whose].sort(key=lambda one: order[one[0]])
                else:
                    double.back(covered)
            elif which % 2:
                there.nack(subscriptions[whose], deliveries)
                double.refuse(covered)
            else:
                there.ack(subscriptions[whose], deliveries)
        elif step in ("sleep", "wake"):
            subscription.owner.ready = step == "wake"
            if active:
                there.dispatch(subscription)
        double.dispatch()
        assert [one.owner.taken for one in subscriptions] == double.delivered
        assert place(there, QUEUE).get("waiting", 0) == len(double.waiting)
        letters = place(there, "/queue/DLQ.q").get("waiting", 0)
        assert letters == double.letters
    for whose, deliveries, _ in open_claims:
        there.ack(subscriptions[whose], deliveries)
    for subscription in subscriptions:
        subscription.owner.ready = False
    there.unsubscribe([subscriptions[who] for who in double.turns])
    drained(there, QUEUE)
    drained(there, "/queue/DLQ.q")
    assert_settled(there)


def test_what_a_selective_subscriber_had_wanted_and_others_have_taken_holds_no_bodies():
    there = places()
    holder, subscription = subscribe(there, QUEUE, selector="a = '1'")
    holder.ready = False
    send(there, QUEUE, *("x" * 100_000 for _ in range(GAPS)), a="1")
    drained(there, QUEUE)
    assert there.memory.octets == 0
    assert sum(len(message.body) for message in subscription.wanted) == 0
