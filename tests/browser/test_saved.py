"""What is left of widgets in a notebook that is saved, and what another kernel makes of it."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import nbformat
from playwright.sync_api import expect

from tests.browser.pages import LIMIT, NotebookPage

RECEIVE = """%stomp_subscribe /topic/prices --as prices --on session
for n in range(200):
    session.send("/topic/prices", f"body {n} " + "<long> " * 1000)
prices.wait(200)
prices.unsubscribe()
prices"""
WATCH = "%stomp_subscribe /topic/quotes --as quotes --on session"
WHOLE = "%stomp_widget session"
QUOTE = "session.send('/topic/quotes', 'a quote')"


def test_a_notebook_is_saved_with_tables_and_runs_again_in_a_new_kernel(
    notebook: NotebookPage,
) -> None:
    """Its first cell connects."""
    for code in RECEIVE, WATCH, WHOLE, QUOTE:
        last = notebook.do(code)
    notebook.run(last)
    assert last == 4
    expect_all_shown(notebook, "2 frames")

    saved = notebook.save()
    assert "widgets" not in saved.metadata  # the state of widgets is not kept
    ended, watched, session = (output_of(saved, n) for n in (1, 2, 3))
    assert ended["text/html"].count("<tr>") == 51, "50 frames below a head"
    assert "body 199" in ended["text/html"]
    for data in ended, watched, session:
        html, plain = data["text/html"], data["text/plain"]
        assert "<table>" in html
        assert len(html.encode()) <= 64 * 1024
        assert "<long>" not in html
        assert plain.startswith(("<FrameStream", "<StompSession"))

    with kept_widget_state(notebook):
        saved = notebook.save()
    nbformat.validate(saved)
    states = saved.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    snapshots = [s["state"]["_snapshot"] for s in states.values() if "_snapshot" in s["state"]]
    assert len(snapshots) >= 3  # those of earlier tests are there, too
    assert max(len(json.dumps(snapshot)) for snapshot in snapshots) <= 64 * 1024

    notebook.page.evaluate("void window.jupyterapp.commands.execute('notebook:restart-run-all')")
    notebook.page.get_by_role("button", name=re.compile("Confirm.*Restart|^Restart$")).click()
    expect(notebook.prompt(4)).to_have_text("[5]:", timeout=LIMIT)
    expect_all_shown(notebook, "1 frame")
    notebook.run(4)
    expect_all_shown(notebook, "2 frames")


@contextmanager
def kept_widget_state(notebook: NotebookPage) -> Iterator[None]:
    """Jupyter's setting by which widgets are saved as they are, too."""
    notebook.command("@jupyter-widgets/jupyterlab-manager:saveWidgetState")
    yield
    notebook.command("@jupyter-widgets/jupyterlab-manager:saveWidgetState")


def expect_all_shown(notebook: NotebookPage, quotes: str) -> None:
    expect(notebook.view(1).count("prices")).to_have_text("200 frames")
    expect(notebook.view(1).chip("prices")).to_contain_text("ended")
    expect(notebook.view(2).row(0)).to_contain_text("a quote")
    for cell in 2, 3:
        expect(notebook.view(cell).count("quotes")).to_have_text(quotes)


def output_of(saved: Any, cell: int) -> dict[str, str]:
    """What a cell has shown, by its kinds; there is a widget among them."""
    (output,) = saved.cells[cell].outputs
    assert "application/vnd.jupyter.widget-view+json" in output.data
    return dict(output.data)
