"""What the widget costs a browser and a kernel while 20,000 messages a second arrive.

Run by hand, from the root of the repository; it takes about a minute and a half:

    python -m tests.bench.widget

A process sends the frames of `tests.bench.notebook`, a real JupyterLab shows them in headless
Chromium, and the kernel sleeps in a cell meanwhile. Counted is what the page sees: the messages of
the kernel that come by its WebSocket, the time between two refreshes of the screen, the memory of
its JavaScript after a garbage collection; and the memory of the kernel's process.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import socket
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright

from tests.bench.client import HOST
from tests.bench.notebook import FORK, serve
from tests.browser.conftest import CHROMIUM, CHROMIUM_FLAGS
from tests.browser.hosts import jupyterlab, write_notebook
from tests.browser.pages import LIMIT, NotebookPage

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

RATE = 20_000
SECONDS = 60
ROWS = 200_000
"""Rows that the table keeps: what it holds levels off within the time."""

CELLS = (
    "%load_ext stompy_jupyter\n%stomp_connect {host}:{port} --as session",
    "%stomp_subscribe /rate/{rate} --as prices --max-rows {rows}",
    "import os, time\nprint('pid', os.getpid())\ntime.sleep({seconds})",
    "prices.unsubscribe()\nprint('received', prices.received)",
)

WATCH = """() => {
    window.refreshes = [];
    window.watching = true;
    let before = null;
    const next = (now) => {
        if (window.watching && before !== null) {
            window.refreshes.push(now - before);
        }
        before = window.watching ? now : null;
        requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
}"""


class Wire:
    """The messages for widgets that have come to a page: when they were sent, their octets."""

    def __init__(self, page: Page) -> None:
        self.messages: list[tuple[float, int]] = []
        page.on("websocket", lambda socket: socket.on("framereceived", self._take))

    def _take(self, payload: str | bytes) -> None:
        octets = payload.encode() if isinstance(payload, str) else payload
        if b'"comm_id"' in octets:
            sent = re.search(rb'"date": ?"([^"]+)"', octets)
            assert sent is not None
            moment = datetime.datetime.fromisoformat(sent[1].decode())
            self.messages.append((moment.timestamp(), len(octets)))


def measure(page: Page, wire: Wire, url: str, path: Path, seconds: int) -> dict[str, str]:
    """Show a stream for so many seconds; the figures by their names."""
    page.goto(f"{url}/lab/tree/{path.name}?reset")
    notebook = NotebookPage(page)
    notebook.wait_until_ready()
    notebook.run(0, 1, 2)
    output = notebook.cell(2).locator(".jp-OutputArea-output")
    output.wait_for(timeout=LIMIT)
    kernel = int(output.inner_text().split()[-1])
    page.evaluate(WATCH)
    browser = page.context.new_cdp_session(page)
    wire.messages.clear()
    began = time.monotonic()
    memory = []
    for share in (1 / 3, 2 / 3, 0.97):
        page.wait_for_timeout(1000 * (began + share * seconds - time.monotonic()))
        memory.append((heap(page, browser), resident(kernel)))
    span = time.monotonic() - began
    sizes = [size for _, size in wire.messages]
    refreshes = sorted(page.evaluate("window.refreshes"))
    notebook.expect_done(2)
    notebook.run(3)
    notebook.expect_done(3)
    received = int(notebook.cell(3).inner_text().split()[-1])
    counter = notebook.cell(1).locator(".stompy-count")
    page.wait_for_function(
        "text => document.querySelector('.stompy-count').textContent === text",
        arg=f"{received:,} frames",
        timeout=LIMIT,
    )
    return {
        "messages a second that arrived": f"{received / seconds:,.0f}",
        "messages a second to the browser, mean": f"{len(sizes) / span:.1f}",
        "messages to the browser within any second, most": f"{busiest(wire.messages)}",
        "the largest of them": f"{max(sizes) / 1024:.0f} KB",
        "time between two refreshes, median": f"{statistics.median(refreshes):.0f} ms",
        "the same, 99th percentile": f"{refreshes[int(0.99 * len(refreshes))]:.0f} ms",
        "the same, longest": f"{refreshes[-1]:.0f} ms",
        "memory of the page after 1/3, 2/3, all of the time": series(m for m, _ in memory),
        "memory of the kernel": series(m for _, m in memory),
        "frames that the widget shows at the end": counter.inner_text(),
        "frames that the kernel has counted": f"{received:,}",
    }


def busiest(messages: list[tuple[float, int]]) -> int:
    """The most messages within one second, wherever it begins."""
    times = [moment for moment, _ in messages]
    return max(sum(begin <= moment < begin + 1 for moment in times) for begin in times)


def heap(page: Page, browser: CDPSession) -> float:
    """Octets of the page's JavaScript objects that are in use."""
    page.evaluate("window.watching = false")  # it stands still now, which it does for nobody else
    browser.send("HeapProfiler.collectGarbage")
    page.evaluate("window.watching = true")
    used: Any = browser.send("Runtime.getHeapUsage")
    return float(used["usedSize"])


def resident(process: int) -> float:
    """Octets of memory of a process."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return float(pages * os.sysconf("SC_PAGE_SIZE"))


def series(sizes: Any) -> str:
    return ", ".join(f"{size / 1024**2:.0f}" for size in sizes) + " MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=int, default=RATE, help="messages a second")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="for so long")
    args = parser.parse_args()
    listener = socket.create_server((HOST, 0))
    server = FORK.Process(target=serve, args=(listener,), daemon=True)
    server.start()
    values = {
        "host": HOST,
        "port": listener.getsockname()[1],
        "rate": args.rate,
        "rows": ROWS,
        "seconds": args.seconds,
    }
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        path = write_notebook(folder, *(cell.format(**values) for cell in CELLS))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        with jupyterlab(folder) as url:
            figures = measure(page, Wire(page), url, path, args.seconds)
        browser.close()
    server.terminate()
    for label, figure in figures.items():
        print(f"{label:<52} {figure}")


if __name__ == "__main__":
    main()
