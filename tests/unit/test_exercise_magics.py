"""%stomp_check and %%stomp_predict, in a real IPython shell."""

from typing import Any

import pytest
from IPython.core.error import UsageError

from stompy_jupyter import attempts
from stompy_jupyter.attempts import CheckResult
from tests.unit.shells import run, run_cell
from tests.unit.test_attempts import GUESS, HELLO
from tests.unit.test_completion import offered


@pytest.fixture(autouse=True)
def two_exercises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "PATIENCE", 0.0)
    monkeypatch.setattr("stompy_jupyter.exercises._known", {"hello": HELLO, "guess": GUESS})


def test_a_learner_tries_and_passes(shell: Any) -> None:
    run(shell, "stomp_connect", "")
    result = run(shell, "stomp_check", "hello")
    assert isinstance(result, CheckResult)
    assert not result.passed
    run(shell, "stomp_send", "--receipt /queue/greetings hello")
    assert run(shell, "stomp_check", "hello").passed


def test_a_learner_predicts_runs_and_passes(shell: Any, capsys) -> None:
    run(shell, "stomp_connect", "")
    run_cell(shell, "%%stomp_predict guess\na, b")
    assert "a, b" in capsys.readouterr().out
    run_cell(shell, "%stomp_send --receipt /queue/greetings a\n%stomp_send /queue/greetings b")
    assert run(shell, "stomp_check", "guess").passed


def test_who_predicts_nothing_is_told_nothing(shell: Any, capsys) -> None:
    run(shell, "stomp_connect", "")
    run_cell(shell, "%%stomp_predict guess\n?")
    assert "Nothing is noted yet" in capsys.readouterr().out
    run(shell, "stomp_send", "--receipt /queue/greetings a")
    result = run(shell, "stomp_check", "guess")
    assert result.df.expectation.tolist() == [
        "you have said what you expect: `%%stomp_predict guess`"
    ]


def test_frames_of_a_session_that_was_ended_count(shell: Any) -> None:
    run(shell, "stomp_connect", "")
    run(shell, "stomp_send", "--receipt /queue/greetings hello")
    run(shell, "stomp_disconnect", "")
    assert run(shell, "stomp_check", "hello").passed


def test_frames_of_a_session_that_was_replaced_count(shell: Any) -> None:
    run(shell, "stomp_connect", "--as session")
    run(shell, "stomp_send", "--receipt /queue/greetings hello")
    run(shell, "stomp_connect", "--as session")
    assert run(shell, "stomp_check", "hello").passed


def test_without_a_name_it_lists_all(shell: Any) -> None:
    run(shell, "stomp_check", "hello")
    listed = run(shell, "stomp_check", "").set_index("exercise")
    assert listed.tries.to_dict() == {"hello": 1, "guess": 0}


def test_names_of_exercises_are_completed(shell: Any) -> None:
    assert offered(shell, "%stomp_check |")[:2] == ["hello", "guess"]
    assert offered(shell, "%%stomp_predict g|") == ["guess"]


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%stomp_check nope", "there is no exercise 'nope'; there are: hello, guess"),
        ("%%stomp_predict nope\na", "there is no exercise 'nope'"),
        ("%%stomp_predict hello\na", "there is nothing to predict in 'hello'"),
        ("%%stomp_predict guess\n# a", "say what you expect: what is sent"),
    ],
)
def test_what_cannot_be_is_said(shell: Any, cell: str, said: str) -> None:
    error = shell.run_cell(cell).error_in_exec
    assert isinstance(error, UsageError)
    assert said in str(error)
