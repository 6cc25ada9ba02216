"""Progress: one line that says how far a long work is."""

import io
from types import SimpleNamespace
from typing import Any

import pytest

from stompy_jupyter.progress import PACE, QUIET, Progress


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return seen(monkeypatch, Terminal())


def seen(monkeypatch: pytest.MonkeyPatch, stderr: Any) -> Any:
    """Make this the standard error; that of sys belongs to pytest."""
    monkeypatch.setattr("stompy_jupyter.progress.sys", SimpleNamespace(stderr=stderr))
    return stderr


def work(clock: Clock, seconds: float, steps: int = 100, **more: object) -> None:
    with Progress("the work", steps, clock=clock, **more) as progress:
        for step in range(steps):
            clock.now += seconds / steps
            progress.update(step + 1)


def test_nothing_is_shown_of_work_that_is_over_soon(terminal, clock):
    work(clock, QUIET * 0.9)
    assert terminal.getvalue() == ""


def test_the_line_says_how_many_which_share_how_fast_and_how_long(terminal, clock):
    with Progress("the work", 20_000, clock=clock) as progress:
        clock.now += 2
        progress.update(5_000)
        assert terminal.getvalue() == (
            "\rthe work: 5,000 of 20,000 rows (25 %), 2,500 a second, 0:06 left"
        )


def test_the_line_is_written_over_a_few_times_a_second_and_ends_with_a_line_end(terminal, clock):
    work(clock, 11, steps=11_000)
    lines = terminal.getvalue().split("\r")[1:]
    assert 10 / PACE * 0.9 <= len(lines) <= 10 / PACE + 2
    assert lines[-1].endswith("\n")
    assert lines[-1].split(",")[-1].strip() == "0:11 in all"
    assert not any("\n" in line for line in lines[:-1])


def test_the_line_of_a_long_work_is_written_more_slowly(terminal, clock):
    work(clock, 3600, steps=36_000)
    assert 1700 < terminal.getvalue().count("\r") < 2000


def test_no_part_of_a_longer_version_is_left(terminal, clock):
    work(clock, 7_200, steps=10_000)
    screen = ""
    for line in terminal.getvalue().rstrip("\n").split("\r"):
        screen = line + screen[len(line) :]
    assert screen.rstrip() == "the work: 10,000 of 10,000 rows (100 %), 1 a second, 2:00:00 in all"


def test_what_was_done_before_counts_for_the_share_and_not_for_the_rate(terminal, clock):
    with Progress("the work", 100, 50, clock=clock) as progress:
        clock.now += 5
        progress.update(60)
    first = terminal.getvalue().split("\r")[1]
    assert first == "the work: 60 of 100 rows (60 %), 2 a second, 0:20 left"


def test_work_that_fails_leaves_the_line_where_it_had_come_to(terminal, clock):
    def interrupted() -> None:
        with Progress("the work", 100, clock=clock) as progress:
            clock.now += 2
            progress.update(40)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "40 of 100 rows (40 %)" in terminal.getvalue().split("\r")[-1]
    assert terminal.getvalue().endswith("\n")


def test_where_there_is_no_terminal_the_last_version_alone_is_written(monkeypatch, clock):
    stderr = seen(monkeypatch, io.StringIO())
    work(clock, 10)
    assert stderr.getvalue() == "the work: 100 of 100 rows (100 %), 10 a second, 0:10 in all\n"


def test_the_output_of_a_cell_is_written_over_as_a_terminal_is(monkeypatch, clock):
    kernels = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})
    stderr = seen(monkeypatch, kernels())
    work(clock, 10)
    assert stderr.getvalue().count("\r") > 10


@pytest.mark.parametrize("closed", [True, False])
def test_work_goes_on_where_nothing_can_be_shown(monkeypatch, clock, closed):
    stderr = Terminal() if closed else None
    if stderr is not None:
        stderr.close()
    seen(monkeypatch, stderr)
    work(clock, 10)


def test_nothing_is_shown_to_who_wants_nothing(terminal, clock):
    work(clock, 10, shown=False)
    assert terminal.getvalue() == ""


def test_what_a_terminal_would_obey_is_shown_as_an_escape(terminal, clock):
    with Progress("\x1b[31mred", 1, clock=clock):
        clock.now += 2
    assert "\x1b" not in terminal.getvalue()


def test_nothing_to_do_is_done(terminal, clock):
    with Progress("the work", 0, clock=clock):
        clock.now += 2
    assert "0 of 0 rows (100 %)" in terminal.getvalue()
