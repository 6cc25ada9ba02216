"""Every lesson in a real kernel: solved, all of its checks pass; unsolved, they help and fail."""

import copy
import json
import shutil
import time
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from stompy_jupyter.attempts import HINT_AFTER, SOLUTION_AFTER
from stompy_jupyter.exercises import exercises
from stompy_jupyter.solving import exercise_of, solved

Notebook = nbformat.NotebookNode

FOLDER = Path(__file__).parents[2] / "notebooks"
LESSONS = sorted(FOLDER.glob("1?-*.ipynb"))
NAMES = [
    *("10-connect", "11-send-and-subscribe", "12-headers-and-bodies", "13-acknowledgement"),
    *("14-receipts", "15-transactions", "16-heart-beats-and-failure", "17-streams-and-pandas"),
]
LIMIT = 30.0
"""Seconds that a lesson may take from its first cell to its last."""

IMPATIENT = "import stompy_jupyter.attempts; stompy_jupyter.attempts.PATIENCE = 0.1"
"""A cell after which a check that fails does not wait for frames that will never come."""

every_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


def executed(notebook: Notebook, folder: Path) -> Notebook:
    """A notebook that was run from top to bottom, without an error, beside its files."""
    for table in FOLDER.glob("*.csv"):
        shutil.copy(table, folder)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=60, resources=resources).execute()
    return notebook


def checks(notebook: Notebook) -> list[tuple[str, str]]:
    """What each cell with a check has shown, with the name of the exercise."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    found = [cell for cell in code if cell.source.startswith("%stomp_check ")]
    return [(cell.source.split()[1], _text_of(cell)) for cell in found]


def _text_of(cell: Notebook) -> str:
    results = [output for output in cell.outputs if output.output_type == "execute_result"]
    assert len(results) == 1, cell
    text: str = results[0].data["text/plain"]
    return text


def with_more_tries(notebook: Notebook, tries: int) -> Notebook:
    """A copy in which each check is run so often."""
    copied = copy.deepcopy(notebook)
    copied.cells = [
        _again(cell, n) if n else cell
        for cell in copied.cells
        for n in range(tries if cell.source.startswith("%stomp_check ") else 1)
    ]
    return copied


def _again(cell: Notebook, n: int) -> Notebook:
    return nbformat.from_dict({**copy.deepcopy(cell), "id": f"{cell.id}-{n}"})


def with_a_wrong_prediction_first(notebook: Notebook) -> Notebook:
    """A copy in which the cells from each prediction to its check are there twice."""
    copied = copy.deepcopy(notebook)
    cells: list[Notebook] = []
    for cell in copied.cells:
        cells.append(cell)
        if not cell.source.startswith("%stomp_check "):
            continue
        said = f"%%stomp_predict {cell.source.split()[1]}\n"
        begin = next((i for i, c in enumerate(cells) if c.source.startswith(said)), None)
        if begin is not None:
            cells += [_again(c, 1) for c in cells[begin:]]
            cells[begin].source = f"{said}wrong"
    copied.cells = cells
    return copied


def test_there_are_eight_lessons() -> None:
    assert [path.stem for path in LESSONS] == NAMES


@every_lesson
def test_a_lesson_asks_and_checks_its_own_exercises(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    own = {name for name, known in exercises().items() if known.lesson == path.stem}
    assert len(own) >= 2
    worked_on = [name for cell in notebook.cells if (name := exercise_of(cell)) is not None]
    checked = [c.source.split()[1] for c in notebook.cells if c.source.startswith("%stomp_check ")]
    assert set(worked_on) == set(checked) == own
    assert any(exercises()[name].predicted for name in own)


@every_lesson
def test_a_solved_lesson_passes_all_of_its_checks_in_time(path: Path, tmp_path: Path) -> None:
    source = json.dumps(solved(json.loads(path.read_text("utf-8"))))
    notebook = nbformat.reads(source, as_version=4)
    begin = time.monotonic()
    shown = checks(executed(notebook, tmp_path))
    assert time.monotonic() - begin < LIMIT
    assert shown
    for name, text in shown:
        assert text.startswith(f"{name}: done"), text


@every_lesson
def test_an_unsolved_lesson_fails_its_checks_with_hints(path: Path, tmp_path: Path) -> None:
    notebook = with_more_tries(nbformat.read(path, as_version=4), SOLUTION_AFTER)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(IMPATIENT))
    texts: dict[str, list[str]] = {}
    for name, text in checks(executed(notebook, tmp_path)):
        texts.setdefault(name, []).append(text)
    for name, shown in texts.items():
        exercise = exercises()[name]
        assert all(text.startswith(f"{name}: not yet") for text in shown), shown
        assert [f"Hint: {exercise.hint}" in text for text in shown] == [
            n >= HINT_AFTER for n in range(1, SOLUTION_AFTER + 1)
        ]
        assert "A solution:" in shown[-1]
        assert not any("A solution:" in text for text in shown[:-1])


@every_lesson
def test_who_was_wrong_mends_the_prediction_and_runs_the_cells_again(
    path: Path, tmp_path: Path
) -> None:
    source = json.dumps(solved(json.loads(path.read_text("utf-8"))))
    notebook = with_a_wrong_prediction_first(nbformat.reads(source, as_version=4))
    texts: dict[str, list[str]] = {}
    for name, text in checks(executed(notebook, tmp_path)):
        texts.setdefault(name, []).append(text)
    predicted = {name: shown for name, shown in texts.items() if len(shown) == 2}
    assert predicted
    for name, (before, after) in predicted.items():
        assert before.startswith(f"{name}: not yet"), before
        assert "you have said: wrong. In fact: " in before
        assert after.startswith(f"{name}: done"), after
