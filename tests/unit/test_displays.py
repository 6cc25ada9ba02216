"""Results of cells that are replaced when they have ended."""

import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from stompy_jupyter.displays import REPLACED, Displays, Kind
from tests.unit.shells import FrontEnd, Shown, run_cell


class Thing:
    """Something that can end."""

    def __init__(self) -> None:
        self.ended = False

    def __repr__(self) -> str:
        return f"<Thing, ended: {self.ended}>"


def show(thing: Thing) -> tuple[dict[str, Any], dict[str, Any]]:
    return {"text/plain": repr(thing)}, {}


@pytest.fixture
def displays(bare_shell: Any) -> Iterator[Displays]:
    """The displays of things, as long as the test takes."""
    displays = Displays(bare_shell, {Thing: Kind(show, lambda thing: not thing.ended)})
    undo = displays.install()
    yield displays
    undo()


@pytest.fixture
def shell(bare_shell: Any, displays: Displays) -> Iterator[Any]:
    """A shell with a thing, which forgets what its cells have assigned."""
    variables = dict(bare_shell.user_ns)
    bare_shell.user_ns["thing"] = Thing()
    yield bare_shell
    bare_shell.user_ns.clear()
    bare_shell.user_ns.update(variables)
    bare_shell.user_ns["_oh"].clear()


@pytest.fixture
def front_end(shell: Any, monkeypatch: pytest.MonkeyPatch) -> FrontEnd:
    """The front end of the shell."""
    front_end = FrontEnd(shell)
    monkeypatch.setattr(shell, "display_pub", front_end)
    return front_end


LIVE = {"text/plain": "<Thing, ended: False>"}
ENDED = {"text/plain": "<Thing, ended: True>"}


def test_a_result_is_displayed_once_and_replaced_once_when_it_has_ended(shell, front_end, capsys):
    thing = run_cell(shell, "thing")
    assert thing is shell.user_ns["thing"] is shell.displayhook._
    ((data, display, update),) = front_end.shown
    assert (data, update) == (LIVE, False)
    run_cell(shell, "1")
    assert len(front_end.shown) == 1
    run_cell(shell, "thing.ended = True")
    assert front_end.shown[1:] == [Shown(ENDED, display, True)]
    run_cell(shell, "1")
    assert len(front_end.shown) == 2
    assert "<Thing" not in capsys.readouterr().out


def test_it_is_replaced_also_after_a_cell_that_fails(shell, front_end):
    run_cell(shell, "thing")
    assert shell.run_cell("thing.ended = True; 1 / 0").error_in_exec
    assert [shown.update for shown in front_end.shown] == [False, True]


@pytest.mark.parametrize("cell", ["x = thing", "thing; 1", "print(thing)", "pass"])
def test_what_is_no_result_is_not_displayed(shell, front_end, cell):
    run_cell(shell, cell)
    assert front_end.shown == []


def test_what_is_shown_several_times_is_replaced_everywhere(shell, front_end):
    for _ in range(3):
        run_cell(shell, "thing")
    displays = [shown.display for shown in front_end.shown]
    assert len(set(displays)) == 3
    run_cell(shell, "thing.ended = True")
    assert front_end.shown[3:] == [Shown(ENDED, display, True) for display in displays]


def test_of_many_displays_the_newest_are_replaced(shell, front_end):
    for _ in range(REPLACED + 5):
        run_cell(shell, "thing")
    newest = [shown.display for shown in front_end.shown[-REPLACED:]]
    run_cell(shell, "thing.ended = True")
    assert [shown.display for shown in front_end.shown if shown.update] == newest


def test_what_has_ended_before_is_shown_in_the_usual_way(shell, front_end, capsys):
    run_cell(shell, "thing.ended = True\nthing")
    assert front_end.shown == []
    assert "<Thing, ended: True>" in capsys.readouterr().out


def test_other_results_are_shown_in_the_usual_way(shell, front_end, capsys):
    assert run_cell(shell, "6 * 7") == 42
    assert front_end.shown == []
    assert "42" in capsys.readouterr().out


def test_what_the_user_displays_is_left_to_him(shell, front_end):
    data, _ = shell.display_formatter.format(shell.user_ns["thing"])
    assert data == LIVE
    run_cell(shell, "thing.ended = True")
    assert front_end.shown == []


def test_a_terminal_shows_a_result_once_and_no_more(shell, capsys):
    run_cell(shell, "thing")
    run_cell(shell, "thing.ended = True")
    assert capsys.readouterr().out.count("<Thing") == 1


def test_another_thread_replaces_nothing(shell, displays, front_end):
    run_cell(shell, "thing")
    shell.user_ns["thing"].ended = True
    thread = threading.Thread(target=displays.finish)
    thread.start()
    thread.join()
    assert len(front_end.shown) == 1
    displays.finish()
    assert front_end.shown[-1].update


def test_a_thing_that_nobody_holds_is_let_go(displays, front_end):
    displays._display(Thing())
    assert len(front_end.shown) == 1
    gc.collect()
    assert not displays._shown


def test_what_was_installed_is_taken_back_exactly(bare_shell):
    callbacks, hook = list(bare_shell.events.callbacks["post_run_cell"]), bare_shell.displayhook
    before = dict(vars(hook))
    outer, inner = (Displays(bare_shell, {}).install() for _ in range(2))
    assert vars(hook) != before
    inner()
    outer()
    assert vars(hook) == before
    assert bare_shell.events.callbacks["post_run_cell"] == callbacks
