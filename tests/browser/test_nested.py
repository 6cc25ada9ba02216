"""The widget in a frame within a frame, as VS Code shows it: without Jupyter and its colours."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, FrameLocator, Page, expect

from tests.browser.fake import ORIGIN, WIDGET, serve
from tests.browser.problems import Problems
from tests.browser.view import View

OUTER = """<!doctype html><html lang="en"><title>VS Code</title>
<body data-vscode-theme-kind="vscode-light"><iframe src="/middle" width="1100" height="760">
</iframe></body></html>"""
MIDDLE = """<!doctype html><html lang="en"><title>webview</title>
<body><iframe src="/widget" width="1080" height="740"></iframe></body></html>"""
PAGES = {"/": OUTER, "/middle": MIDDLE, "/widget": WIDGET}


@pytest.fixture(scope="module")
def vscode(context: BrowserContext) -> Iterator[Page]:
    """The outer page, with the widget two frames within."""
    page = context.new_page()
    problems = Problems(page)
    serve(page, PAGES)
    page.goto(f"{ORIGIN}/")
    within(page).locator(".stompy").wait_for()
    yield page
    page.close()
    problems.expect_none()


def within(page: Page) -> FrameLocator:
    return page.frame_locator("iframe").frame_locator("iframe")


@pytest.mark.parametrize(
    ("kind", "theme"),
    [
        ("vscode-dark", "dark"),
        ("vscode-light", "light"),
        ("vscode-high-contrast", "dark"),
        ("vscode-high-contrast-light", "light"),
    ],
)
def test_the_theme_is_taken_from_the_outer_page(vscode: Page, kind: str, theme: str) -> None:
    """Also when it is changed."""
    vscode.evaluate("kind => { document.body.dataset.vscodeThemeKind = kind; }", kind)
    view = View(within(vscode).locator(".stompy"))
    expect(view.root).to_have_attribute("data-theme", theme)
    shade = view.shade("background-color")
    assert shade < 0x40 if theme == "dark" else shade > 0xC0


def test_frames_are_seen_and_read_there(vscode: Page) -> None:
    view = View(within(vscode).locator(".stompy"))
    expect(view.rows).to_have_count(12)
    view.inspect(11, "Body")
    expect(view.inspector.get_by_role("treeitem").last).to_have_text("price: 184.2")
    for tab in "Rate", "Send", "Log", "Sequence", "Frames":
        view.tab(tab).click()
        expect(view.tab(tab)).to_have_attribute("aria-selected", "true")
