"""When to send a beat, and when to give the peer up: pure rules, with a clock of the test's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompy import heartbeat
from stompy.heartbeat import DEAD_GRACE, HeartBeat, agree

# -- what is agreed on (STOMP 1.2, "Heart-beating") ----------------------------------------------


@pytest.mark.parametrize(
    ("ours", "header", "agreed"),
    [
        ((10_000, 10_000), "10000,10000", (10_000, 10_000)),
        ((100, 200), "300,400", (400, 300)),
        ((400, 300), "200,100", (400, 300)),
        ((100, 200), "0,400", (400, 0)),
        ((100, 200), "300,0", (0, 300)),
        ((0, 200), "300,400", (0, 300)),
        ((100, 0), "300,400", (400, 0)),
        ((0, 0), "300,400", (0, 0)),
        ((100, 200), "0,0", (0, 0)),
        ((1, 1), "999999999,999999999", (999_999_999, 999_999_999)),
    ],
)
def test_each_direction_has_the_longer_interval_unless_one_side_says_never(
    ours: tuple[int, int], header: str, agreed: tuple[int, int]
) -> None:
    assert agree(ours, header) == agreed


@pytest.mark.parametrize(
    "header", [None, "", "1000", ",", "1,2,3", "a,b", "-1,1", "1.5,1", " 1,1", "1,1 ", "1,²", "1,१"]
)
def test_a_header_that_is_missing_or_malformed_means_no_beats(header: str | None) -> None:
    assert agree((1000, 1000), header) == (0, 0)


def test_a_number_without_end_is_no_interval() -> None:
    assert agree((1000, 1000), "9" * 5000 + ",1") == (0, 0)


# -- sending -------------------------------------------------------------------------------------


def test_a_beat_is_due_after_four_fifths_of_the_interval() -> None:
    beat = HeartBeat(1000, 0, now=5.0)
    assert not beat.must_send(5.79)
    assert beat.must_send(5.81)


def test_whatever_is_sent_puts_the_next_beat_off() -> None:
    beat = HeartBeat(1000, 0, now=5.0)
    beat.sent_at = 5.7
    assert not beat.must_send(6.4)
    assert beat.must_send(6.6)


def test_what_comes_does_not_put_a_beat_off() -> None:
    beat = HeartBeat(1000, 1000, now=5.0)
    beat.received_at = 5.7
    assert beat.must_send(5.81)


def test_no_beat_is_ever_due_when_none_was_agreed() -> None:
    assert not HeartBeat(0, 1000, now=5.0).must_send(1e9)


# -- giving up -----------------------------------------------------------------------------------


def test_a_peer_is_dead_after_two_intervals_and_a_second() -> None:
    beat = HeartBeat(0, 1000, now=5.0)
    assert beat.silence_limit == 3.0
    assert not beat.is_dead(7.99)
    assert beat.is_dead(8.01)


def test_whatever_comes_is_a_sign_of_life() -> None:
    beat = HeartBeat(0, 1000, now=5.0)
    beat.received_at = 7.9
    assert not beat.is_dead(10.8)
    assert beat.is_dead(11.0)


def test_what_is_sent_is_no_sign_of_the_peers_life() -> None:
    beat = HeartBeat(1000, 1000, now=5.0)
    beat.sent_at = 7.9
    assert beat.is_dead(8.01)


def test_a_peer_that_promised_no_beats_is_never_dead() -> None:
    beat = HeartBeat(1000, 0, now=5.0)
    assert beat.silence_limit == 0
    assert not beat.is_dead(1e9)


# -- waiting -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("intervals", "wait"),
    [((1000, 0), 0.8), ((0, 1000), 3.0), ((1000, 1000), 0.8), ((10_000, 500), 2.0), ((0, 0), 0.0)],
)
def test_the_wait_lasts_until_the_first_of_the_two_may_be_due(
    intervals: tuple[int, int], wait: float
) -> None:
    assert HeartBeat(*intervals, now=5.0).wait(5.0) == pytest.approx(wait)


def test_a_wait_is_never_negative() -> None:
    assert HeartBeat(1000, 1000, now=5.0).wait(99.0) == 0.0


@pytest.mark.parametrize(
    ("intervals", "agreed"), [((0, 0), False), ((1, 0), True), ((0, 1), True), ((1, 1), True)]
)
def test_there_are_beats_when_one_direction_has_them(
    intervals: tuple[int, int], agreed: bool
) -> None:
    assert HeartBeat(*intervals, now=0.0).agreed is agreed


@given(interval=st.integers(1, 60_000), start=st.floats(0, 1e6))
def test_whoever_waits_as_told_sends_in_time_and_never_in_a_busy_loop(
    interval: int, start: float
) -> None:
    beat = HeartBeat(interval, 0, start)
    now = start
    for _ in range(20):
        now += beat.wait(now) + 1e-6  # no sleep is shorter than asked for
        assert beat.must_send(now)
        beat.sent_at = now
    assert 0.8 * 20 * interval / 1000 <= now - start < 20 * interval / 1000


@given(interval=st.integers(1, 60_000), late=st.floats(0, DEAD_GRACE))
def test_a_beat_that_is_an_interval_late_and_up_to_the_grace_is_in_time(
    interval: int, late: float
) -> None:
    beat = HeartBeat(0, interval, now=100.0)
    assert not beat.is_dead(100.0 + 2 * interval / 1000 + late - 1e-6)


def test_who_was_held_up_has_not_seen_whether_the_peer_was_silent() -> None:
    beat = HeartBeat(0, 1000, now=0.0)
    assert beat.wait(0.0) == 3.0
    beat.woke(2.0 + 3.0)  # a busy interpreter, a machine that slept
    assert not beat.is_dead(5.0)
    assert beat.wait(5.0) == 3.0
    beat.woke(8.01)
    assert beat.is_dead(8.01)


def test_who_wakes_a_little_late_sees_it() -> None:
    beat = HeartBeat(0, 1000, now=0.0)
    beat.wait(0.0)
    beat.woke(3.0 + heartbeat.HELD_UP)
    assert beat.is_dead(3.0 + heartbeat.HELD_UP)
