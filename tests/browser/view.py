"""The widget as a person sees it: where things are in it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from playwright.sync_api import FloatRect, Locator, expect


class View:
    """One view of the widget.

    Attributes:
        root: the element that all of it is in.
    """

    def __init__(self, root: Locator) -> None:
        self.root = root
        self.page = root.page

    # -- where things are --------------------------------------------------------------------

    @property
    def head(self) -> Locator:
        """The line about the connection."""
        return self.root.locator(".stompy-head")

    @property
    def grid(self) -> Locator:
        return self.root.get_by_role("grid", name="Frames of")

    @property
    def rows(self) -> Locator:
        return self.grid.locator("[data-number]")

    def row(self, number: int) -> Locator:
        return self.grid.locator(f'[data-number="{number}"]')

    @property
    def lines(self) -> Locator:
        """What has passed, in the tab Sequence."""
        return self.root.get_by_role("listbox", name="Frames in their sequence").locator("> *")

    @property
    def inspector(self) -> Locator:
        return self.root.locator(".stompy-inspector")

    @property
    def filter(self) -> Locator:
        return self.root.get_by_role("searchbox")

    @property
    def shown(self) -> Locator:
        """How many frames the list has: "12 frames", "3 of 12 frames match"."""
        return self.root.locator(".stompy-toolbar .stompy-numbers")

    @property
    def badge(self) -> Locator:
        return self.root.locator(".stompy-badge")

    @property
    def outcome(self) -> Locator:
        """What came of the last thing that was asked for."""
        return self.root.locator(".stompy-outcome")

    @property
    def preview(self) -> Locator:
        """What goes out, as text."""
        return self.root.locator(".stompy-preview .stompy-raw-text")

    def chip(self, stream: str) -> Locator:
        return self.root.locator(f".stompy-chip[data-stream={json.dumps(stream)}]")

    def count(self, stream: str) -> Locator:
        return self.chip(stream).locator(".stompy-count")

    def button(self, name: str) -> Locator:
        return self.root.get_by_role("button", name=name, exact=True)

    def tab(self, name: str) -> Locator:
        return self.root.get_by_role("tab", name=name, exact=True)

    # -- what is done ------------------------------------------------------------------------

    def inspect(self, number: int, tab: str = "Headers") -> Locator:
        """Look into a frame, which has to be in sight."""
        self.row(number).get_by_role("gridcell").last.click()
        self.expect_inspected(number)
        self.tab(tab).click()
        return self.inspector

    def expect_inspected(self, number: int) -> None:
        """Wait until a frame is the one that is looked into, and is here."""
        expect(self.inspector).to_have_attribute("aria-label", f"Frame {number}")
        expect(self.inspector).to_have_attribute("aria-busy", "false")

    def subscribe(self, destination: str, ack: str = "auto") -> None:
        """Fill the form, and send it."""
        self.button("+ Subscribe").click()
        form = self.root.locator(".stompy-form")
        form.get_by_label("Destination").fill(destination)
        form.get_by_label("Ack").select_option(ack)
        form.get_by_role("button", name="Subscribe").click()
        expect(self.outcome).to_have_text(f"Subscribed to {destination}.")

    def compose(self, destination: str, headers: str = "", body: str = "") -> None:
        """Write a message."""
        self.tab("Send").click()
        form = self.root.locator(".stompy-composer")
        form.get_by_label("Destination").fill(destination)
        form.get_by_label("Headers, one a line").fill(headers)
        form.get_by_label("Body").fill(body)

    def picture(self, path: Path) -> None:
        """Write a picture of it to a file, with the pointer elsewhere."""
        self.page.mouse.move(0, 0)
        self.root.screenshot(path=path, animations="disabled", caret="hide")

    def shade(self, colour: str) -> int:
        """How much red there is in a colour of it, from 0 to 255; it is grey."""
        value = self.root.evaluate("(root, name) => getComputedStyle(root)[name]", colour)
        return int(re.findall(r"\d+", value)[0])

    @property
    def width(self) -> float:
        """In pixels."""
        return self._box["width"]

    @property
    def height(self) -> float:
        """In pixels."""
        return self._box["height"]

    @property
    def _box(self) -> FloatRect:
        box = self.root.bounding_box()
        assert box is not None
        return box
