"""A real JupyterLab, and a real browser that shows it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.processes import HOST, free_port, running
from tests.requirements import need

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LIMIT = 60_000
"""Milliseconds that a page may take to show something."""

KERNEL_IS_IDLE = """() =>
    window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === "idle"
"""
NO_NEWS = {"fetchNews": "false", "checkForUpdates": False}
"""Settings that keep JupyterLab from asking, across the page, whether it may fetch news."""


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab and the folder it serves."""

    url: str
    folder: Path


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab of this run's own: no token, its settings in a folder of its own."""
    folder = tmp_path_factory.mktemp("lab")
    notifications = folder / "settings/@jupyterlab/apputils-extension"
    notifications.mkdir(parents=True)
    (notifications / "notification.jupyterlab-settings").write_text(json.dumps(NO_NEWS))
    port = free_port()
    url = f"http://{HOST}:{port}"
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *(f"--ip={HOST}", f"--port={port}", "--ServerApp.port_retries=0"),
        *("--IdentityProvider.token=", f"--ServerApp.root_dir={folder}"),
        "--LabApp.expose_app_in_browser=True",
        f"--LabApp.workspaces_dir={folder / 'workspaces'}",
        f"--LabApp.user_settings_dir={folder / 'settings'}",
    ]
    environment = {**os.environ, "HOME": str(folder)}

    def ready() -> bool:
        return _answers(f"{url}/api/status")

    with running("JupyterLab", command, folder, environment, ready):
        yield Lab(url, folder)


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as response:
            return "started" in json.load(response)
    except OSError:
        return False


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    need(None if CHROMIUM else "chromium is not installed: sudo apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


class NotebookPage:
    """A notebook open in JupyterLab."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def cell(self, number: int) -> Locator:
        """The code cell of that number, from 0."""
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(number)

    def run(self, *cells: int) -> None:
        """Ask for cells to be run, in order; returns without waiting for them."""
        for number in cells:
            self.page.evaluate(
                """number => {
                    const { commands, shell } = window.jupyterapp;
                    shell.currentWidget.content.activeCellIndex = number;
                    void commands.execute("notebook:run-cell");
                }""",
                number,
            )

    def wait_until_ready(self) -> None:
        """Wait until the cells are there and the kernel is idle."""
        self.cell(0).wait_for(timeout=LIMIT)
        self.page.wait_for_function(KERNEL_IS_IDLE, timeout=LIMIT)

    def save_and_reload(self) -> None:
        """Save the notebook, and load the page anew; the kernel lives on."""
        self.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
        self.page.reload()
        self.wait_until_ready()

    def state(self, number: int) -> str:
        """A cell's prompt: ``"[*]:"`` while it runs, ``"[3]:"`` when it has run."""
        return self.cell(number).locator(".jp-InputPrompt").inner_text()

    def expect_running(self, number: int) -> None:
        """Wait until a cell runs."""
        expect(self.cell(number).locator(".jp-InputPrompt")).to_have_text("[*]:", timeout=LIMIT)

    def expect_done(self, number: int) -> None:
        """Wait until a cell has run."""
        prompt = self.cell(number).locator(".jp-InputPrompt")
        expect(prompt).to_contain_text("]:", timeout=LIMIT)
        expect(prompt).not_to_contain_text("*", timeout=LIMIT)
        expect(prompt).not_to_have_text("[ ]:", timeout=LIMIT)


@pytest.fixture
def open_notebook(lab: Lab, browser: Browser) -> Iterator[Callable[..., NotebookPage]]:
    """`open_notebook(cell, …)` gives a notebook of these cells, open and with its kernel ready."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))

    def open_notebook(*cells: str) -> NotebookPage:
        path = lab.folder / f"test-{os.urandom(4).hex()}.ipynb"
        kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
        notebook = new_notebook(
            cells=[new_code_cell(source) for source in cells],
            metadata={"kernelspec": kernelspec},
        )
        nbformat.write(notebook, path)
        page.goto(f"{lab.url}/lab/tree/{path.name}?reset")
        opened = NotebookPage(page)
        opened.wait_until_ready()
        return opened

    yield open_notebook
    context.close()
    assert not problems, "the page raised errors"
