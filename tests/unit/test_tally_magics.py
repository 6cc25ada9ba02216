"""%stomp_tally, in a real IPython shell, beside %stomp_broker faults."""

from typing import Any

import pytest
from IPython.core.error import UsageError

from stompy_jupyter import FrameStream
from stompy_jupyter.tally import Counts, Tally
from tests.unit.shells import run, run_cell
from tests.unit.test_completion import come, offered
from tests.unit.waiting import until


@pytest.fixture
def prices(shell: Any) -> FrameStream:
    run(shell, "stomp_connect", "--as main")
    return run(shell, "stomp_subscribe", "/topic/prices --as prices --no-widget")


def settled(tally: Tally, **numbers: int) -> None:
    until(lambda: tally.counts == Counts(**numbers))


def test_a_learner_sees_what_a_fault_has_lost(shell, prices):
    tally = run(shell, "stomp_tally", "prices --by n")
    assert (tally.destination, tally.by) == ("/topic/prices", "n")
    run(shell, "stomp_broker", "faults --lose 2")
    for n in range(4):
        run(shell, "stomp_send", f"-H 'n: {n}' /topic/prices same")
    settled(tally, expected=4, arrived=2, lost=2)
    assert tally.lost == ["1", "3"]


def test_all_sessions_of_the_notebook_send_also_those_that_come_later_and_go(shell, prices):
    tally = run(shell, "stomp_tally", "prices")
    run(shell, "stomp_send", "--receipt /topic/prices a")
    run(shell, "stomp_connect", "--as later")
    run(shell, "stomp_send", "--on later --receipt /topic/prices b")
    run(shell, "stomp_disconnect", "later")
    settled(tally, expected=2, arrived=2)


def test_a_frame_that_is_typed_by_hand_is_sent_as_well(shell, prices):
    tally = run(shell, "stomp_tally", "prices")
    run_cell(shell, "%%stomp_raw --on main\nSEND\ndestination:/topic/prices\n\nby hand^@")
    settled(tally, expected=1, arrived=1)


def test_running_it_again_shows_the_one_that_runs(shell, prices):
    tally = run(shell, "stomp_tally", "prices --by n")
    assert run(shell, "stomp_tally", "prices") is tally
    assert run(shell, "stomp_tally", "") is tally  # of the newest stream
    assert run(shell, "stomp_tally", "--on main --by n prices") is tally
    assert prices.tallies == (tally,)


def test_another_header_begins_anew(shell, prices):
    first = run(shell, "stomp_tally", "prices")
    run(shell, "stomp_send", "--receipt /topic/prices a")
    second = run(shell, "stomp_tally", "prices --by 'n'")
    assert second.by == "n"
    assert second.counts == Counts()
    assert first.stopped
    assert prices.tallies == (second,)


def test_it_can_be_switched_off(shell, prices):
    tally = run(shell, "stomp_tally", "prices")
    assert run(shell, "stomp_tally", "prices --off") is tally
    assert tally.stopped
    assert run(shell, "stomp_tally", "prices") is not tally


def test_a_stream_that_has_ended_shows_how_it_has_ended(shell, prices):
    tally = run(shell, "stomp_tally", "prices")
    run(shell, "stomp_unsubscribe", "prices")
    assert run(shell, "stomp_tally", "prices") is tally


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("prices --off", "no tally runs: %stomp_tally prices"),
        ("prices --off --by n", "--off has no --by"),
        ("nope", "'nope' is no stream"),
    ],
)
def test_what_cannot_be_is_said(shell, prices, line, said):
    with pytest.raises(UsageError, match=said):
        run(shell, "stomp_tally", line)


def test_headers_and_streams_are_completed(shell, prices):
    come(prices, "a", n="1", currency="EUR")
    assert offered(shell, "%stomp_tally pr|") == ["prices"]
    assert offered(shell, "%stomp_tally prices --by |") == ["n", "currency"]
    assert offered(shell, "%stomp_broker faults --lo|") == ["--lose"]


def test_it_is_listed_and_goes_with_the_extension(shell, prices):
    assert "%stomp_tally" in repr(run(shell, "stomp"))
    run(shell, "unload_ext", "stompy_jupyter")
    assert shell.find_line_magic("stomp_tally") is None
