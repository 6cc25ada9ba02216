"""What stays of streams in a notebook that is saved, and what a terminal shows of them."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from tests.kernel.conftest import Kernel

VIEW = "application/vnd.jupyter.widget-view+json"


def run_of(folder: Path, *cells: str) -> nbformat.NotebookNode:
    """A notebook of these cells, run from top to bottom and read from its file."""
    notebook = new_notebook(cells=list(map(new_code_cell, cells)))
    NotebookClient(notebook, timeout=30, resources={"metadata": {"path": str(folder)}}).execute()
    nbformat.write(notebook, folder / "saved.ipynb")
    return nbformat.read(folder / "saved.ipynb", as_version=4)


BEGUN = "%load_ext stompy_jupyter\n%stomp_connect --as session"
SENT = "%stomp_send --repeat 60 /queue/q <b>bold</b>\n%stomp_wait stream --n 60"


@pytest.mark.parametrize(
    "end", ["%stomp_unsubscribe stream", "session.disconnect()", "%unload_ext stompy_jupyter"]
)
def test_a_saved_notebook_has_the_last_rows_of_a_stream(tmp_path: Path, end: str) -> None:
    saved = run_of(tmp_path, BEGUN, "%stomp_subscribe /queue/q --as stream", SENT, end, "1 + 1")
    (shown,) = saved.cells[1].outputs
    assert shown.output_type == "display_data"
    assert shown.data["text/plain"] == "<FrameStream /queue/q: 60 frames, ended>"
    assert shown.data["text/html"].count("<td>&lt;b&gt;bold&lt;/b&gt;</td>") == 50
    assert "60 frames, ended; the newest 50 are shown" in shown.data["text/html"]
    assert (VIEW in shown.data) == ("unload" not in end)  # there is no widget any more
    assert saved.cells[3].outputs == []


def test_a_stream_is_shown_where_it_is_a_result_and_nowhere_else(tmp_path: Path) -> None:
    saved = run_of(
        tmp_path,
        BEGUN,
        "x = %stomp_subscribe /queue/x",
        "%stomp_subscribe /queue/y --as y",
        "x",
        "x;",
        "[x is y, _ is x, Out[4] is x, len([out for out in Out.values() if out is x])]",
        "%%capture captured\ny",
        "from IPython.display import display\nhandle = display(x, display_id='mine')\ny",
        "x.unsubscribe()",
    )
    kinds = [[output.output_type for output in cell.outputs] for cell in saved.cells]
    shown = ["display_data"]
    assert kinds[1:] == [[], shown, shown, [], ["execute_result"], [], shown * 2, []]
    assert saved.cells[5].outputs[0].data["text/plain"] == "[False, True, True, 1]"
    assert "/queue/x: 0 frames, ended" in saved.cells[3].outputs[0].data["text/plain"]
    assert "/queue/x: 0 frames, live" in saved.cells[7].outputs[0].data["text/plain"]


def test_the_widget_of_a_session_is_saved_with_a_table_of_each_stream(tmp_path: Path) -> None:
    saved = run_of(
        tmp_path,
        BEGUN,
        "%stomp_subscribe /queue/q --as stream\n%stomp_widget",
        "%stomp_widget",
        SENT,
        "%stomp_disconnect",
    )
    first, again = (saved.cells[number].outputs[0].data for number in (1, 2))
    assert first[VIEW]["model_id"] == again[VIEW]["model_id"]
    assert first["text/html"] == again["text/html"]
    assert "60 frames, ended; the newest 50 are shown" in first["text/html"]
    assert "disconnected" in first["text/plain"]


def test_the_end_of_a_stream_is_shown_where_the_stream_was(kernel: Kernel, connect: str) -> None:
    kernel.ok(connect)
    (shown,) = kernel.ok("%stomp_subscribe /queue/saved --as stream").of("display_data")
    (update,) = kernel.ok("stream.unsubscribe()").of("update_display_data")
    assert update["transient"] == shown["transient"] != {}
    assert "0 frames, ended" in update["data"]["text/html"]
    assert not kernel.ok("1").of("update_display_data")


TERMINAL = """
from IPython.terminal.interactiveshell import TerminalInteractiveShell
shell = TerminalInteractiveShell.instance(ipython_dir={folder!r}, colors="nocolor")
for cell in {cells!r}:
    shell.run_cell(cell, store_history=True)
"""


def test_a_terminal_shows_a_stream_as_a_line_and_says_nothing_at_its_end(tmp_path: Path) -> None:
    cells = [
        f"{BEGUN}\nNone",
        "x = %stomp_subscribe /queue/x",
        "%stomp_subscribe /queue/q --as stream",
        "stream.unsubscribe()",
        "session.disconnect()",
        "_ is stream",
    ]
    code = TERMINAL.format(folder=str(tmp_path), cells=cells)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line for line in done.stdout.splitlines() if line]
    assert lines == ["Out[3]: <FrameStream /queue/q: 0 frames, live>", "Out[6]: True"]
