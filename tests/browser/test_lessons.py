"""The first lesson as a learner sees it: the X-ray, a check in red and in green, the diagram."""

from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Locator, expect

import stompy_jupyter.lessons  # noqa: F401 - its exercises are known from then on
from stompy_jupyter.exercises import exercises
from tests.browser.axe import add_axe, violations
from tests.browser.pages import LIMIT, NotebookPage

LESSON = Path(__file__).parents[2] / "notebooks" / "10-connect.ipynb"
CELLS = [
    cell.source for cell in nbformat.read(LESSON, as_version=4).cells if cell.cell_type == "code"
]


@pytest.fixture
def lesson(open_in: Callable[..., NotebookPage]) -> Iterator[NotebookPage]:
    """Its code cells in JupyterLab, run from top to bottom."""
    page = open_in("JupyterLab", *CELLS)
    with page.in_front():
        page.command("notebook:run-all-cells")
        page.expect_done(len(CELLS) - 1)
        yield page


def shown(page: NotebookPage, code: str) -> Locator:
    """What the last cell that says this shows."""
    number = max(n for n, cell in enumerate(CELLS) if code in cell)
    return page.cell(number).locator(".jp-Cell-outputArea")


def test_a_learner_sees_the_octets_and_tries_until_it_is_green(
    lesson: NotebookPage, tmp_path: Path
) -> None:
    xray = shown(lesson, "%stomp_explain 0")
    expect(xray.locator("tr", has_text="ends the frame")).to_contain_text("00")
    expect(xray.locator("pre").first).to_contain_text("accept-version")

    diagram = shown(lesson, "ada.sequence()").locator(".jp-RenderedMermaid")
    expect(diagram.locator("img, svg").first).to_be_visible(timeout=LIMIT)
    expect(diagram).not_to_contain_text("error", ignore_case=True)

    expect(shown(lesson, "%stomp_check offer-1.1")).to_contain_text("offer-1.1: not yet (try 1)")
    work = CELLS.index("%stomp_check offer-1.1") - 1
    lesson.rewrite(work, exercises()["offer-1.1"].solution)
    lesson.run(work, work + 1)
    check = shown(lesson, "%stomp_check offer-1.1")
    expect(check).to_contain_text("offer-1.1: done", timeout=LIMIT)
    expect(check).to_contain_text("✓")

    add_axe(lesson.page)
    for theme in "light", "dark":
        lesson.use_theme(theme)
        for name, part in {"xray": xray, "diagram": diagram, "check": check}.items():
            part.scroll_into_view_if_needed()
            part.screenshot(path=tmp_path / f"{name}-{theme}.png")
            if part is not diagram:  # which is a picture that JupyterLab makes
                assert violations(part) == []
