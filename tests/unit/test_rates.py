"""RateMeter: frames per second, without a clock of its own."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompy_jupyter.rates import SECONDS, RateMeter

NS = 1_000_000_000


def meter_of(*seconds: float) -> RateMeter:
    """One that has counted a frame at each of these times."""
    meter = RateMeter()
    meter.add([int(second * NS) for second in seconds])
    return meter


def test_before_the_first_frame_there_is_no_rate():
    assert RateMeter().read() == (0, [])
    assert meter_of().read() == (0, [])


def test_frames_count_for_the_second_in_which_they_came():
    assert meter_of(7.0, 7.999999, 9.0).read() == (9, [2, 0, 1])


def test_what_comes_later_is_added():
    meter = meter_of(100.1, 100.2)
    meter.add(array("q", [100 * NS + 5, 102 * NS]))
    assert meter.read() == (102, [3, 0, 1])


def test_seconds_that_are_long_past_are_forgotten():
    meter = meter_of(1000, 1001, 1000 + SECONDS)
    assert meter.read() == (1300, [1, *[0] * (SECONDS - 2), 1])
    meter.add([1302 * NS])
    assert meter.read() == (1302, [1, 0, 1])


@pytest.mark.parametrize("pause", [SECONDS, SECONDS + 1, 10 * SECONDS + 7, 10**9])
def test_after_a_long_pause_it_begins_anew(pause):
    assert meter_of(50, 50 + pause).read() == (50 + pause, [1])


def test_a_clock_that_is_set_back_a_little_counts_where_it_is():
    assert meter_of(100, 98, 98, 99).read() == (100, [2, 1, 1])


def test_a_clock_that_is_set_back_far_begins_anew():
    meter = meter_of(10_000, 10_001, 5_000)
    assert meter.read() == (5_000, [1])
    meter.add([5_001 * NS])
    assert meter.read() == (5_001, [1, 1])


@given(st.lists(st.lists(st.integers(5000, 5700), max_size=6), max_size=8))
def test_no_frame_of_the_last_seconds_is_lost_while_time_goes_on(bursts):
    meter, all_of_them = RateMeter(), sorted(second for burst in bursts for second in burst)
    rest = list(all_of_them)
    for burst in bursts:  # in the same parts, in order of time
        meter.add([second * NS for second in rest[: len(burst)]])
        del rest[: len(burst)]
    second, frames = meter.read()
    newest = max(all_of_them, default=0)
    counts = [all_of_them.count(s) for s in range(newest - SECONDS + 1, newest + 1)]
    first = next((place for place, some in enumerate(counts) if some), SECONDS)
    assert (second, frames) == (newest, counts[first:])


@given(st.lists(st.integers(0, 2**62), max_size=30))
def test_whatever_the_clock_says_the_rate_can_be_read(arrivals):
    meter = RateMeter()
    meter.add(arrivals)
    second, frames = meter.read()
    assert len(frames) <= SECONDS
    assert sum(frames) <= len(arrivals)
    if arrivals:
        assert second in {arrival // NS for arrival in arrivals}
        assert frames[0] > 0
