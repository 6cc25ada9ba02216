"""Every notebook runs from top to bottom in a real kernel; of the lessons: `test_lessons.py`."""

from itertools import chain
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

Notebook = nbformat.NotebookNode

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("0?-*.ipynb"))
LESSONS = sorted(FOLDER.glob("1?-*.ipynb"))


def test_there_are_notebooks() -> None:
    assert [path.name for path in NOTEBOOKS][:1] == ["01-quickstart.ipynb"]
    assert sorted(FOLDER.glob("*.ipynb")) == NOTEBOOKS + LESSONS


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def executed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Notebook:
    """Each notebook in turn, run from top to bottom."""
    notebook = nbformat.read(request.param, as_version=4)
    folder = tmp_path_factory.mktemp(request.param.stem)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=60, resources=resources).execute()
    notebook.metadata["name"] = request.param.name
    return notebook


def outputs(notebook: Notebook) -> dict[str, list[Any]]:
    """The outputs of the code cells by their first lines."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return {cell.source.splitlines()[0]: cell.outputs for cell in code}


def test_the_notebook_runs_without_an_error(executed: Notebook) -> None:
    shown = list(chain.from_iterable(outputs(executed).values()))
    assert shown
    for output in shown:
        assert output.output_type != "error", output
        assert output.get("name") != "stderr", output


@pytest.mark.parametrize("path", NOTEBOOKS + LESSONS, ids=lambda path: path.stem)
def test_the_notebook_is_kept_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs, f"clear the outputs of {path.name} before you commit it"
            assert cell.execution_count is None


@pytest.mark.parametrize("executed", NOTEBOOKS[:1], ids=lambda path: path.stem, indirect=True)
def test_the_quickstart_shows_what_it_promises(executed: Notebook) -> None:
    shown = outputs(executed)

    stream = shown["%stomp_subscribe /topic/prices --as prices"][0].data
    assert "application/vnd.jupyter.widget-view+json" in stream
    assert stream["text/plain"] == "<FrameStream /topic/prices: 401 frames, ended>"
    assert stream["text/html"].count("<tr>") == 51  # what has come since it was shown

    dtypes = shown["prices.df.dtypes"][0].data["text/plain"]
    for column, dtype in {
        "received_at": "datetime64[us, UTC]",
        "size": "int64",
        "price": "float64",
        "timestamp": "datetime64[ms, UTC]",
        "symbol": "str",
    }.items():
        assert f"\n{column} " in f"\n{dtypes}"
        assert dtype in next(line for line in dtypes.splitlines() if line.startswith(f"{column} "))

    before, during, after = eval(shown["import threading"][0].data["text/plain"])
    assert before == 301
    assert before < during < after == 401
    assert any("image/png" in output.get("data", {}) for output in shown["%matplotlib inline"])


@pytest.mark.parametrize("executed", NOTEBOOKS[-1:], ids=lambda path: path.stem, indirect=True)
def test_the_rail_feed_gives_one_answer_whatever_asks(executed: Notebook) -> None:
    shown = outputs(executed)

    def lines(first: str) -> list[list[str]]:
        text = shown[first][-1].data["text/plain"]
        return [line.split() for line in text.splitlines() if line[-1:].isdigit()]

    assert "rows=294, files=1," in shown["feed.join()"][-1].data["text/plain"]
    duckdb = [(int(count), float(mean)) for _, _, count, mean in lines("import duckdb")]
    pandas = [(int(row[-4]), float(row[-3])) for row in lines("import pandas as pd")]
    assert duckdb == pandas
    assert len(pandas) == 4
    received = sum(int(row[-2]) for row in lines("consumers = consume("))
    assert received == 400
    assert len(lines("def late(frames):")) == 4
    assert any("image/png" in output.get("data", {}) for output in shown["import asyncio"])
