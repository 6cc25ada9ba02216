"""What a test does in a page that shows a notebook."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import nbformat
from playwright.sync_api import Locator, Page, expect

from tests.browser.problems import Problems
from tests.browser.view import View

LIMIT = 60_000
"""Milliseconds that a page may take to show something."""

CONNECTED = """() =>
    window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === "idle"
"""


class NotebookPage:
    """A notebook open in JupyterLab or in Notebook 7."""

    def __init__(
        self, page: Page, path: Path | None = None, problems: Problems | None = None
    ) -> None:
        self.page = page
        self.path = path
        self.problems = problems or Problems(page)

    @contextmanager
    def in_front(self) -> Iterator[Self]:
        """Use it, and fail if something went wrong in the page. Others hardly draw meanwhile.

        Cells that are added go away at the end.
        """
        self.page.bring_to_front()
        cells = self.page.evaluate("window.jupyterapp.shell.currentWidget.content.widgets.length")
        yield self
        self.page.evaluate(
            """cells => {
                const { sharedModel } = window.jupyterapp.shell.currentWidget.content.model;
                sharedModel.deleteCellRange(cells, sharedModel.cells.length);
            }""",
            cells,
        )
        self.problems.expect_none()

    # -- cells -------------------------------------------------------------------------------

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

    def add(self, code: str) -> int:
        """Write a cell at the end and ask for it to be run; returns its number."""
        number: int = self.page.evaluate(
            """async code => {
                const { commands, shell } = window.jupyterapp;
                const notebook = shell.currentWidget.content;
                notebook.activeCellIndex = notebook.widgets.length - 1;
                await commands.execute("notebook:insert-cell-below");
                notebook.activeCell.model.sharedModel.setSource(code);
                void commands.execute("notebook:run-cell");
                return notebook.activeCellIndex;
            }""",
            code,
        )
        return number

    def rewrite(self, number: int, code: str) -> None:
        """Write something else into a cell."""
        self.page.evaluate(
            """([number, code]) => {
                const notebook = window.jupyterapp.shell.currentWidget.content;
                notebook.widgets[number].model.sharedModel.setSource(code);
            }""",
            [number, code],
        )

    def do(self, code: str) -> int:
        """Write a cell at the end and run it to its end."""
        number = self.add(code)
        self.expect_done(number)
        return number

    def view(self, number: int) -> View:
        """The widget under a cell."""
        return View(self.cell(number).locator(".stompy"))

    def show(self, code: str) -> View:
        """The widget that is the result of a new cell."""
        view = self.view(self.do(code))
        view.root.wait_for(timeout=LIMIT)
        return view

    def stream(self, destination: str, name: str, options: str = "") -> View:
        """The widget of a new stream of the session."""
        return self.show(f"%stomp_subscribe {destination} --as {name} --on session {options}")

    def execute(self, code: str) -> None:
        """Have the kernel do something that is in no cell, to its end."""
        self.page.evaluate(
            """code => {
                const { session } = window.jupyterapp.shell.currentWidget.sessionContext;
                return session.kernel.requestExecute({ code, silent: true }).done.then(() => null);
            }""",
            code,
        )

    def prompt(self, number: int) -> Locator:
        """A cell's prompt: ``"[*]:"`` while it runs, ``"[3]:"`` when it has run."""
        return self.cell(number).locator(".jp-InputPrompt")

    def expect_running(self, number: int) -> None:
        """Wait until a cell runs."""
        expect(self.prompt(number)).to_have_text("[*]:", timeout=LIMIT)

    def expect_done(self, number: int) -> None:
        """Wait until a cell has run."""
        prompt = self.prompt(number)
        expect(prompt).to_contain_text("]:", timeout=LIMIT)
        expect(prompt).not_to_contain_text("*", timeout=LIMIT)
        expect(prompt).not_to_have_text("[ ]:", timeout=LIMIT)

    def enter_command_mode(self) -> None:
        """Have the focus in the active cell, as after Escape."""
        self.command("notebook:enter-command-mode")
        self.page.evaluate("window.jupyterapp.shell.currentWidget.content.activeCell.node.focus()")

    # -- the notebook ------------------------------------------------------------------------

    def command(self, name: str, **arguments: Any) -> None:
        """Have the front end do something, to its end."""
        self.page.evaluate(
            "([name, args]) => window.jupyterapp.commands.execute(name, args).then(() => null)",
            [name, arguments],
        )

    def wait_until_ready(self) -> None:
        """Wait until the cells are there and the kernel is idle."""
        self.cell(0).wait_for(timeout=LIMIT)
        self.page.wait_for_function(CONNECTED, timeout=LIMIT)

    def save(self) -> Any:
        """Save the notebook; returns what is in the file."""
        assert self.path is not None
        self.command("docmanager:save")
        return nbformat.read(self.path, as_version=4)

    def reload(self) -> None:
        """Load the page anew; the kernel lives on."""
        self.page.reload()
        self.wait_until_ready()

    def use_theme(self, name: str) -> None:
        """Light or dark."""
        self.command("apputils:change-theme", theme=f"JupyterLab {name.capitalize()}")
        light = "true" if name == "light" else "false"
        expect(self.page.locator("body")).to_have_attribute("data-jp-theme-light", light)
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0, timeout=LIMIT)

    @contextmanager
    def of_width(self, width: int) -> Iterator[None]:
        """Have a window of that width meanwhile."""
        before = self.page.viewport_size
        assert before is not None
        self.page.set_viewport_size({**before, "width": width})
        # The page is laid out anew a moment later.
        self.page.wait_for_function(
            "end => document.querySelector('.jp-Notebook').getBoundingClientRect().right <= end",
            arg=width,
        )
        yield
        self.page.set_viewport_size(before)

    @contextmanager
    def sharp(self, factor: float) -> Iterator[None]:
        """Have a screen with so many dots to a pixel meanwhile."""
        size = self.page.viewport_size
        assert size is not None
        screen = self.page.context.new_cdp_session(self.page)
        metrics = {**size, "deviceScaleFactor": factor, "mobile": False}
        screen.send("Emulation.setDeviceMetricsOverride", metrics)
        yield
        screen.send("Emulation.clearDeviceMetricsOverride")
        screen.detach()
