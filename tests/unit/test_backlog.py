"""Backlog: what waits to be written, and when it is; it is full before memory is."""

import time

import pytest

from stompy_jupyter import backlog
from stompy_jupyter.backlog import HOUR, Backlog
from tests.unit.keeping import ARRIVAL, message
from tests.unit.peer import Background


def bodies(portion):
    return [body.decode() for body in portion.rows.bodies]


def at_once(waiting):
    """The next portion, if it is due by now."""
    return waiting.next(time.monotonic())


def test_frames_wait_for_a_while_and_are_taken_together():
    waiting = Backlog()
    waiting.put([message("a"), message("b")], ARRIVAL)
    waiting.put([message("c")], ARRIVAL + 1)
    assert at_once(waiting) is None
    start = time.monotonic()
    portion = waiting.next(None)
    assert bodies(portion) == ["a", "b", "c"]
    assert portion.frames == []
    assert time.monotonic() - start == pytest.approx(backlog.FLUSH_SECONDS, abs=0.3)


def test_frames_that_are_to_be_acknowledged_wait_no_longer_when_it_is_quiet():
    waiting = Backlog(window=0)
    waiting.put([message("a")], ARRIVAL, ticket=0)
    start = time.monotonic()
    portion = waiting.next(None)
    assert time.monotonic() - start < backlog.FLUSH_SECONDS / 2
    assert ([frame.text for frame in portion.frames], portion.ticket) == (["a"], 0)


@pytest.mark.parametrize(("window", "many"), [(10, 5), (1, 1), (None, backlog.FLUSH_ROWS)])
def test_many_frames_are_due_at_once_half_of_a_window_is_many(window, many):
    waiting = Backlog(window)
    waiting.put([message()] * (many - 1), ARRIVAL)
    assert many == 1 or at_once(waiting) is None
    waiting.put([message()], ARRIVAL)
    assert len(at_once(waiting).rows) == many


def test_large_frames_are_due_at_once():
    waiting = Backlog()
    waiting.put([message(b"x" * backlog.FLUSH_BYTES)], ARRIVAL)
    assert at_once(waiting) is not None


def test_a_portion_is_of_one_hour_and_of_one_ticket():
    waiting = Backlog()
    for number, (arrival, ticket) in enumerate([(0, 1), (HOUR - 1, 1), (HOUR, 1), (HOUR, 2)]):
        waiting.put([message(str(number))], arrival, ticket)
    waiting.close()
    portions = [waiting.next(None) for _ in range(3)]
    assert [bodies(portion) for portion in portions] == [["0", "1"], ["2"], ["3"]]
    assert [portion.hour for portion in portions] == [0, 1, 1]
    assert waiting.next(None) is None


def test_who_reads_waits_while_it_is_full(monkeypatch):
    monkeypatch.setattr(backlog, "MAX_ROWS", 2)
    waiting = Backlog(window=1)
    waiting.put([message()], ARRIVAL)
    waiting.wait_for_room()
    waiting.put([message()], ARRIVAL)
    with Background(waiting.wait_for_room) as reader:
        portion = waiting.next(None)
        assert reader.running  # what is being written has its place still
        waiting.finish(portion)
        reader.result()


def test_who_reads_waits_no_longer_when_it_ends(monkeypatch):
    monkeypatch.setattr(backlog, "MAX_BYTES", 1)
    waiting = Backlog()
    waiting.put([message("too much")], ARRIVAL)
    with Background(waiting.wait_for_room) as reader:
        assert not waiting.end()
        assert waiting.end(at_once=True)
        reader.result()
    waiting.put([message("no more")], ARRIVAL)
    assert (waiting.received, waiting.done) == (2, 0)
    waiting.wait_for_room()


def test_flush_is_over_when_all_that_was_put_is_done():
    waiting = Backlog()
    waiting.put([message()] * 2, ARRIVAL)
    with Background(waiting.flush, 10) as flush:
        portion = waiting.next(None)
        assert flush.running
        waiting.finish(portion)
        assert flush.result() is True
    assert waiting.done == 2


def test_flush_says_when_it_was_in_vain():
    waiting = Backlog()
    assert waiting.flush(0) is True
    waiting.put([message()], ARRIVAL)
    assert waiting.flush(0.01) is False


def test_a_backlog_that_has_ended_with_what_has_come_late_goes_on():
    waiting = Backlog()
    waiting.close()
    assert waiting.next(None) is None
    waiting.put([message("late")], ARRIVAL)
    assert not waiting.end()
    assert bodies(waiting.next(None)) == ["late"]
    assert waiting.end()
