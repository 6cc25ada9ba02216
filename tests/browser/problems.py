"""What must never happen in a page, noted as it does."""

from __future__ import annotations

from playwright.sync_api import ConsoleMessage, Dialog, Error, Page

HOST_FILES = "/static/"
"""Where the scripts of Jupyter and marimo are; the widget's module is a blob."""


class Problems:
    """Watches a page for what is wrong with the widget, or with what a stranger has sent.

    Attributes:
        noted: errors that nobody caught, errors in the console, dialogs, other windows. The front
            ends have troubles of their own, which are left out.
    """

    def __init__(self, page: Page) -> None:
        self.noted: list[str] = []
        page.on("pageerror", self._take_error)
        page.on("console", self._take_line)
        page.on("dialog", self._dismiss)
        page.on("popup", lambda popup: self.noted.append(f"popup: {popup.url}"))

    def expect_none(self) -> None:
        """Fail if there was something."""
        noted, self.noted = self.noted, []
        assert not noted, "\n".join(noted)

    def _take_error(self, error: Error) -> None:
        stack = error.stack or ""
        if "blob:" in stack or HOST_FILES not in stack:
            self.noted.append(f"error: {error} {stack}")

    def _take_line(self, line: ConsoleMessage) -> None:
        source = f"{line.location.get('url', '')} {line.text}"
        if line.type in ("error", "warning") and ("blob:" in source or "stompy" in source):
            self.noted.append(f"console: {source}")

    def _dismiss(self, dialog: Dialog) -> None:
        self.noted.append(f"dialog: {dialog.message}")
        dialog.dismiss()
