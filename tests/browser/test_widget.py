"""The widget in a real JupyterLab."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import LIMIT, NotebookPage

OpenNotebook = Callable[..., NotebookPage]

CONNECT = "%load_ext stompy_jupyter\n%stomp_connect --as session"
SUBSCRIBE = "%stomp_subscribe /topic/prices --as prices"
FEED = """
import json, threading, time
def feed():
    for number in range(200):
        body = json.dumps({"symbol": "ABC", "price": 100 + number})
        session.send("/topic/prices", body)
        time.sleep(0.02)
feeder = threading.Thread(target=feed)
feeder.start()
"""
SLEEP = "time.sleep(8)"


def count(notebook: NotebookPage, cell: int) -> int:
    """How many frames the widget under a cell says have come."""
    text = notebook.cell(cell).locator(".stompy-count").inner_text()
    return int(text.split()[0].replace(",", ""))


def test_the_widget_counts_while_a_cell_sleeps(open_notebook: OpenNotebook, tmp_path: Path) -> None:
    notebook = open_notebook(CONNECT, SUBSCRIBE, FEED, SLEEP)
    notebook.run(0, 1)
    notebook.expect_done(1)
    widget = notebook.cell(1).locator(".stompy")
    expect(widget).to_contain_text("No frames yet on /topic/prices", timeout=LIMIT)

    notebook.run(2, 3)
    notebook.expect_running(3)
    counts = []
    for target in (20, 60, 120):
        notebook.page.wait_for_function(
            "n => parseInt(document.querySelector('.stompy-count').textContent) >= n",
            arg=target,
            timeout=LIMIT,
        )
        counts.append(count(notebook, 1))
        assert notebook.state(3) == "[*]:", "the cell had ended before the widget counted"
    assert counts == sorted(counts)
    rows = widget.locator("tbody tr")
    expect(rows).to_have_count(10)
    expect(rows.last).to_contain_text('"symbol": "ABC"')
    notebook.page.screenshot(path=tmp_path / "while-a-cell-sleeps.png")

    notebook.expect_done(3)
    expect(widget.locator(".stompy-count")).to_have_text("200 frames", timeout=LIMIT)
    expect(rows.last).to_contain_text('"price": 299')


def test_a_second_view_and_a_reloaded_page_show_the_same(open_notebook: OpenNotebook) -> None:
    send = "for n in range(30): session.send('/topic/prices', f'body {n}')"
    notebook = open_notebook(CONNECT, SUBSCRIBE, send, "prices")

    def expect_everywhere(count: str) -> None:
        for cell in (1, 3):
            counter = notebook.cell(cell).locator(".stompy-count")
            expect(counter).to_have_text(count, timeout=LIMIT)
            expect(notebook.cell(cell).locator("tbody tr").last).to_contain_text("body 29")

    notebook.run(0, 1, 2, 3)
    expect_everywhere("30 frames")
    notebook.save_and_reload()
    expect_everywhere("30 frames")
    notebook.run(2)
    expect_everywhere("60 frames")


def test_what_strangers_send_stays_text(open_notebook: OpenNotebook) -> None:
    hostile = "<img src=x onerror=document.title=1337>"
    notebook = open_notebook(
        CONNECT,
        f"%stomp_subscribe /topic/{hostile.replace(' ', '')} --as prices",
        f"session.send(prices.destination, {hostile!r} + '\\x1b[31m\\u202e', "
        f"headers={{'content-type': {hostile!r}}})",
    )
    notebook.run(0, 1, 2)
    widget = notebook.cell(1).locator(".stompy")
    expect(widget.locator(".stompy-count")).to_have_text("1 frame", timeout=LIMIT)
    expect(widget).to_contain_text(hostile)
    expect(widget).to_contain_text("\\x1b[31m\\u202e")
    assert widget.locator("img").count() == 0
    assert "1337" not in notebook.page.title()


@pytest.mark.parametrize("ending", ["%stomp_disconnect", "prices.unsubscribe()"])
def test_the_widget_says_when_it_is_over(open_notebook: OpenNotebook, ending: str) -> None:
    notebook = open_notebook(CONNECT, SUBSCRIBE, "session.send('/topic/prices', 'x')", ending)
    notebook.run(0, 1, 2)
    widget = notebook.cell(1).locator(".stompy")
    expect(widget.locator(".stompy-count")).to_have_text("1 frame", timeout=LIMIT)
    notebook.run(3)
    expect(widget).to_contain_text("ended", timeout=LIMIT)
