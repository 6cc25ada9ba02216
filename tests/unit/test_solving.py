"""Solved copies: the solution that an exercise shows, in the cell where a learner works."""

import json
from pathlib import Path

import pytest

from stompy_jupyter.solving import exercise_of, main, solved
from tests.unit.test_attempts import HELLO

WORK = {"cell_type": "code", "metadata": {"tags": ["x", "exercise:hello"]}, "source": ["# here"]}
TEXT = {"cell_type": "markdown", "metadata": {}, "source": ["Grüße"]}
NOTEBOOK = {"cells": [TEXT, WORK], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture(autouse=True)
def one_exercise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stompy_jupyter.exercises._known", {"hello": HELLO})


def test_a_solved_copy_has_the_solution_and_all_else_as_it_was() -> None:
    before = json.dumps(NOTEBOOK)
    copied = solved(NOTEBOOK)
    assert copied["cells"] == [TEXT, {**WORK, "source": ["%stomp_send x <y>"]}]
    assert {**copied, "cells": NOTEBOOK["cells"]} == NOTEBOOK
    assert json.dumps(NOTEBOOK) == before


def test_cells_say_of_which_exercise_they_are() -> None:
    assert exercise_of(WORK) == "hello"
    assert exercise_of(TEXT) is None
    assert exercise_of({"cell_type": "code"}) is None


def test_an_exercise_that_nobody_knows_is_an_error() -> None:
    cell = {**WORK, "metadata": {"tags": ["exercise:nope"]}}
    with pytest.raises(KeyError, match="nope"):
        solved({**NOTEBOOK, "cells": [cell]})


def test_copies_are_written_into_a_folder_and_over_nothing(tmp_path: Path) -> None:
    (tmp_path / "11.ipynb").write_text(json.dumps(NOTEBOOK), "utf-8")
    arguments = [str(tmp_path / "11.ipynb"), "--into", str(tmp_path / "solved")]
    main(arguments)
    written = (tmp_path / "solved" / "11.ipynb").read_text("utf-8")
    assert json.loads(written) == solved(NOTEBOOK)
    assert "Grüße" in written
    with pytest.raises(SystemExit, match="is there already"):
        main(arguments)
