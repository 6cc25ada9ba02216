"""The widget in marimo: another kind of notebook, which shows it in a shadow tree."""

import json
from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import BrowserContext, Page, expect

import stompy
from tests.browser.axe import add_axe, violations
from tests.browser.hosts import marimo
from tests.browser.pages import LIMIT
from tests.browser.problems import Problems
from tests.browser.view import View

APP = """# /// script
# [tool.marimo.display]
# theme = "system"
# ///
import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo
    from stompy_jupyter import StompSession, StompWidget

    session = StompSession().connect()
    prices = session.subscribe("/topic/prices", name="prices")
    return StompWidget, mo, prices, session


@app.cell
def _(StompWidget, mo, session):
    mo.ui.anywidget(StompWidget(session))
    return


@app.cell
def _(StompWidget, prices, session):
    StompWidget(session, prices)
    return
"""


@pytest.fixture(scope="module")
def page(context: BrowserContext, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The app, with two widgets of one session that has received 30 frames."""
    app = tmp_path_factory.mktemp("marimo") / "app.py"
    app.write_text(APP)
    with marimo(app) as url, context.new_page() as page:
        problems = Problems(page)
        page.goto(url)
        expect(page.locator(".stompy")).to_have_count(2, timeout=LIMIT)
        send(page, range(30))
        yield page
        problems.expect_none()


def send(page: Page, numbers: range) -> None:
    """To the app's own broker, whose address the widget tells."""
    address = View(page.locator(".stompy").first).head.locator(".stompy-code").inner_text()
    host, port = address.split(":")
    with stompy.connect((host, int(port))) as sender:
        for n in numbers:
            headers = {"destination": "/topic/prices", "content-type": "application/json"}
            sender.send("SEND", headers, json.dumps({"price": n}))


def test_frames_are_seen_paused_read_and_sent(page: Page) -> None:
    page.emulate_media(color_scheme="light")
    view, other = (View(page.locator(".stompy").nth(n)) for n in range(2))
    for each in view, other:
        expect(each.row(29)).to_contain_text('{"price": 29}')

    view.grid.locator("[tabindex='0']").press("Space")
    expect(view.button("Paused")).to_be_visible()
    send(page, range(30, 31))
    expect(view.badge).to_have_text("1 new ↓")
    expect(view.row(30)).to_have_count(0)
    expect(other.row(30)).to_be_visible()
    view.badge.click()
    expect(view.row(30)).to_be_visible()

    view.inspect(30, "Body")
    expect(view.inspector.get_by_role("treeitem").last).to_have_text("price: 30")
    view.tab("Raw").click()
    expect(view.inspector.locator(".stompy-raw-text")).to_contain_text("destination:/topic/prices")
    view.tab("Raw").press("/")
    expect(view.filter).to_be_focused()
    page.keyboard.type('": 30"')
    expect(view.shown).to_have_text("1 of 31 frames match")
    page.keyboard.press("Escape")
    expect(view.shown).to_have_text("31 frames")

    view.compose("/topic/prices", "", "from the widget")
    view.root.get_by_label("Receipt").check()
    view.button("Send").click()
    expect(view.outcome).to_contain_text("the broker has confirmed it")
    expect(other.row(31)).to_contain_text("from the widget")
    view.tab("Frames").click()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_theme_is_marimos_and_axe_finds_nothing(
    page: Page, theme: Literal["light", "dark"]
) -> None:
    page.emulate_media(color_scheme=theme)
    view = View(page.locator(".stompy").first)
    expect(view.root).to_have_attribute("data-theme", theme)
    add_axe(page)
    found = []
    for tab in "Frames", "Rate", "Send", "Log", "Sequence":
        view.tab(tab).click()
        found += violations(view.root)
    view.tab("Frames").click()
    view.rows.last.click()
    for tab in "Headers", "Body", "Raw":
        view.tab(tab).click()
        found += violations(view.root)
    view.button("Close").click()
    assert not found, "\n".join(found)
