"""The widget in a frame within a frame, as VS Code shows it: without Jupyter and its colours."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, FrameLocator, Page, Route, expect

from tests.browser.problems import Problems
from tests.browser.view import View

STATIC = Path(__file__).parents[2] / "stompy_jupyter/static"
ORIGIN = "http://vscode.test"
"""Answered by the test itself."""

OUTER = """<!doctype html><html lang="en"><title>VS Code</title>
<body data-vscode-theme-kind="vscode-light"><iframe src="/middle" width="1100" height="760">
</iframe></body></html>"""
MIDDLE = """<!doctype html><html lang="en"><title>webview</title>
<body><iframe src="/inner" width="1080" height="740"></iframe></body></html>"""
INNER = """<!doctype html><html lang="en"><title>output</title>
<link rel="stylesheet" href="/widget.css">
<body><main id="cell"></main><script type="module">
import widget from "/widget.js";

const BODY = '{"symbol": "ACME", "price": 184.2}';
const now = Date.now();
const listeners = [];
const stream = {
    id: "s1", name: "prices", destination: "/topic/prices", ack: "auto", state: "live",
    error: null, received: 12, dropped: 0, octets: 1200, waiting: 0, answers: false,
    variable: "prices", rate: { second: Math.floor(now / 1000), frames: [4, 5, 3] },
    columns: [["content-type", "content_type"]], first: 0,
    rows: Array(12).fill([now, BODY.length, BODY, "application/json"]),
};
const session = {
    name: "", address: "127.0.0.1:61613", state: "connected", server: "stompy/1", version: "1.2",
    error: null, sent: 0, received: 12, reconnects: 0, transaction: null,
    beats: { out: [1000, 10], in: [1000, 10] },
};
const log = [{ n: 1, time: now, kind: "connected", text: "127.0.0.1:61613" }];
const state = { _snapshot: { kind: "window", seq: 1, now, session, streams: [stream], log } };
const frame = {
    stream: "s1", received: now, command: "MESSAGE",
    headers: [["content-type", "application/json"]], whole: true, cut: false,
    size: BODY.length, offset: 0, version: "1.2", answerable: false,
};
const model = {
    get: key => state[key],
    set: (key, value) => { state[key] = value; },
    save_changes: () => {},
    on: (event, listener) => event === "msg:custom" && listeners.push(listener),
    off: () => {},
    send: ({ kind, id, number }) => {
        const reply = { kind: "reply", id, result: kind === "frame" ? { ...frame, number } : {} };
        const buffers = kind === "frame" ? [new TextEncoder().encode(BODY).buffer] : [];
        setTimeout(() => listeners.forEach(listener => listener(reply, buffers)));
    },
};
const { initialize, render } = widget();
initialize({ model });
render({ model, el: document.querySelector("#cell") });
</script></body></html>"""
PAGES = {"/": OUTER, "/middle": MIDDLE, "/inner": INNER}


@pytest.fixture(scope="module")
def vscode(context: BrowserContext) -> Iterator[Page]:
    """The outer page, with the widget two frames within."""

    def answer(route: Route) -> None:
        place = route.request.url.removeprefix(ORIGIN)
        if place in PAGES:
            route.fulfill(body=PAGES[place], content_type="text/html; charset=utf-8")
        else:
            route.fulfill(path=STATIC / place.removeprefix("/"))

    page = context.new_page()
    problems = Problems(page)
    page.route(f"{ORIGIN}/**", answer)
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
    shade = view.root.evaluate(
        "root => Number(getComputedStyle(root).backgroundColor.match(/\\d+/)[0])"
    )
    assert shade < 64 if theme == "dark" else shade > 192


def test_frames_are_seen_and_read_there(vscode: Page) -> None:
    view = View(within(vscode).locator(".stompy"))
    expect(view.rows).to_have_count(12)
    view.inspect(11, "Body")
    expect(view.inspector.get_by_role("treeitem").last).to_have_text("price: 184.2")
    for tab in "Rate", "Send", "Log", "Frames":
        view.tab(tab).click()
        expect(view.tab(tab)).to_have_attribute("aria-selected", "true")
