"""How the widget looks: contrast, names for what cannot be seen, widths, heights, pictures."""

import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

import stompy
from stompy import STOMPClient
from stompy.broker import Broker
from tests.browser.axe import add_axe, violations
from tests.browser.fake import ORIGIN, WIDGET, serve
from tests.browser.layout import troubles
from tests.browser.pages import NotebookPage
from tests.browser.view import View

THEMES = ["light", "dark"]
SYMBOLS = {"ACME": 184.2, "GLOBEX": 61.75, "INITECH": 23.4, "UMBRELLA": 310.05}
ORDER = "<order id='4711'><item sku='A-12' quantity='3'/><item sku='B-7' quantity='1'/></order>"


TELL_OF = """n => {
    const second = Math.floor(Date.now() / 1000);
    const rate = { second, frames: Array(9).fill(n) };
    window.say({ rate, received: 12 + 9 * n, first: 9 * n, octets: 99 * n });
    return new Promise(done => setTimeout(() => requestAnimationFrame(done)));
}"""
"""Says that so many frames have come in each of nine seconds, and waits until that is drawn."""


def send_some(sender: STOMPClient, interval: float) -> None:
    """Two streams of believable messages, the same each time, one in so many seconds."""
    chance = random.Random(6)
    for n in range(120):
        symbol, price = chance.choice(list(SYMBOLS.items()))
        bid = round(price + chance.uniform(-1, 1), 2)
        quote = {
            "symbol": symbol,
            "bid": bid,
            "ask": round(bid + 0.05, 2),
            "sizes": [100 * chance.randint(1, 9), 100 * chance.randint(1, 9)],
            "venue": {"name": "XETRA", "open": True, "halted": None},
        }
        currency = chance.choice(["EUR", "USD"])
        headers = {"content-type": "application/json", "currency": currency, "sequence": n}
        sender.send("SEND", {"destination": "/topic/prices", **headers}, json.dumps(quote))
        if n % 12 == 0:
            headers = {"content-type": "application/xml", "priority": 4}
            sender.send("SEND", {"destination": "/queue/orders", **headers}, ORDER)
        time.sleep(interval)


@pytest.fixture(scope="module")
def shop(
    request: pytest.FixtureRequest, desks: Callable[[str], NotebookPage]
) -> Iterator[tuple[NotebookPage, View]]:
    """A notebook, and in it the widget of a session with three streams."""
    posing = request.config.getoption("--screenshots", False)
    notebook = desks("JupyterLab")
    with Broker() as broker, stompy.connect(broker.address) as sender, notebook.in_front():
        host, port = broker.address
        notebook.do(
            f"%stomp_connect {host}:{port} --as shop --heart-beat 1000,1000\n"
            "%stomp_subscribe /topic/prices --as prices\n"
            "%stomp_subscribe /queue/orders --as orders --ack client-individual --no-send-acks\n"
            "%stomp_subscribe /topic/alerts --as alerts\n"
        )
        view = notebook.show("%stomp_widget shop")
        send_some(sender, 0.05 if posing else 0.0)
        expect(view.count("prices")).to_have_text("120 frames")
        expect(view.count("orders")).to_have_text("10 frames")
        yield notebook, view
        notebook.execute("shop.disconnect()")


@pytest.fixture
def lively(shop: tuple[NotebookPage, View]) -> tuple[NotebookPage, View]:
    """The same, with the frames of the first stream in sight, whatever was looked at before."""
    _, view = shop
    view.tab("Frames").click()
    view.chip("prices").click()
    if view.inspector.count():
        view.button("Close").click()
    return shop


@pytest.fixture(params=THEMES)
def theme(request: pytest.FixtureRequest, lively: tuple[NotebookPage, View]) -> Iterator[str]:
    notebook, _ = lively
    notebook.use_theme(request.param)
    yield request.param
    notebook.use_theme("light")


def test_pictures_are_taken(lively: tuple[NotebookPage, View], theme: str, pictures: Path) -> None:
    notebook, view = lively
    with notebook.sharp(1.5):
        view.button("Columns").click()
        view.root.get_by_label("currency", exact=True).set_checked(True)
        view.root.get_by_label("content-type", exact=True).set_checked(False)
        view.button("Columns").click()
        view.inspect(117, "Body")
        view.root.get_by_role("treeitem", name="venue").click()
        view.picture(pictures / f"body-{theme}.png")
        view.tab("Raw").click()
        view.picture(pictures / f"raw-{theme}.png")
        view.button("Close").click()
        view.compose("/topic/prices", "content-type: application/json\nnote: 12:30", '{"bid": 1.5}')
        view.root.get_by_label("Receipt").check()
        view.picture(pictures / f"send-{theme}.png")
    for picture in pictures.glob(f"*-{theme}.png"):
        assert picture.stat().st_size < 250_000


def test_axe_finds_nothing_in_any_tab(lively: tuple[NotebookPage, View], theme: str) -> None:
    notebook, view = lively
    add_axe(notebook.page)
    found: dict[str, list[str]] = {}

    def look(place: str) -> None:
        if problems := violations(view.root):
            found[place] = problems

    view.inspect(119, "Body")
    view.filter.fill("currency=EUR")
    view.button("Columns").click()
    view.button("+ Subscribe").click()
    look("all that opens, a body as a tree")
    view.button("+ Subscribe").click()
    view.button("Columns").click()
    view.filter.press("Escape")
    view.tab("Raw").click()
    look("a frame octet by octet")
    view.chip("orders").click()
    view.inspect(9)
    look("a frame to be acknowledged")
    view.tab("Body").click()
    look("a body as XML")
    view.chip("alerts").click()
    look("no frames")
    view.tab("Rate").click()
    look("rate")
    view.compose("/topic/prices", "a line that is no header")
    look("composer with a mistake")
    view.compose("/topic/prices", "currency: EUR\nnote: a:b", '{"bid": 1.5}')
    look("composer")
    view.tab("Log").click()
    look("log")
    view.tab("Sequence").click()
    view.lines.last.click()
    expect(view.root.locator(".stompy-passage")).to_have_attribute("aria-busy", "false")
    look("sequence")
    view.button("Close").click()
    assert not found, json.dumps(found, indent=2)


def test_two_widgets_of_a_page_keep_their_labels_apart(
    lively: tuple[NotebookPage, View],
) -> None:
    notebook, view = lively
    other = notebook.show("%stomp_widget shop")
    for each in view, other:
        each.compose("/topic/alerts", body="of one widget")
    ids = notebook.page.locator(".stompy [id]").evaluate_all("all => all.map(({ id }) => id)")
    assert len(ids) == len(set(ids)) > 20
    other.root.locator(".stompy-composer").locator("label", has_text="Destination").click()
    expect(other.root.locator(".stompy-composer [name=destination]")).to_be_focused()


@pytest.mark.parametrize("width", [1200, 900, 480])
def test_nothing_sticks_out_or_overlaps(lively: tuple[NotebookPage, View], width: int) -> None:
    notebook, view = lively
    found: dict[str, list[str]] = {}

    def look(place: str) -> None:
        if problems := troubles(view.root):
            found[place] = problems

    with notebook.of_width(width):
        assert view.width <= view.root.locator("xpath=..").evaluate("cell => cell.clientWidth")
        look("frames")
        for tab in "Headers", "Body", "Raw":
            view.inspect(119, tab)
            look(f"inspector, {tab}")
        view.button("Close").click()
        for tab in "Rate", "Send", "Log", "Sequence":
            view.tab(tab).click()
            look(tab)
        view.lines.last.wait_for()
        look("lines")
        view.button("+ Subscribe").click()
        look("form")
        view.button("+ Subscribe").click()
    assert not found, json.dumps(found, indent=2)


@pytest.mark.parametrize("width", [1200, 900, 480])
def test_the_widget_stays_as_high_as_it_is(lively: tuple[NotebookPage, View], width: int) -> None:
    notebook, view = lively
    notebook.do("%stomp_subscribe /topic/quiet --as quiet --on shop")  # a new one each time
    expect(view.count("quiet")).to_have_text("0 frames")
    with notebook.of_width(width):
        heights = {"Frames": view.height}
        for tab in "Rate", "Send", "Log", "Sequence":
            view.tab(tab).click()
            heights[tab] = view.height
        view.tab("Frames").click()
        view.chip("quiet").click()
        expect(view.root).to_contain_text("No frames yet")
        heights["empty"] = view.height
        notebook.do("for n in range(30): shop.send('/topic/quiet', f'disk {n} is full')")
        view.row(29).wait_for()
        heights["filled"] = view.height
    assert len(set(heights.values())) == 1, json.dumps(heights)


@pytest.mark.parametrize("width", [1200, 480])
def test_the_frame_that_is_looked_into_stays_in_sight_in_the_list(
    lively: tuple[NotebookPage, View], width: int
) -> None:
    notebook, view = lively
    with notebook.of_width(width):
        before = view.height
        view.inspect(119, "Raw")
        view.page.wait_for_function(
            "row => row.getBoundingClientRect().bottom <="
            " row.closest('[role=grid]').getBoundingClientRect().bottom + 1",
            arg=view.row(119).element_handle(),
        )
        if width == 1200:  # where both are side by side
            assert view.height == before


def test_the_theme_is_that_of_the_page_also_when_it_changes(
    notebook: NotebookPage, word: str
) -> None:
    view = notebook.stream(f"/topic/{word}", word)
    for theme, text in ("dark", 0xFF), ("light", 0):
        notebook.use_theme(theme)
        expect(view.root).to_have_attribute("data-theme", theme)
        assert abs(view.shade("color") - text) < 0x40
        assert abs(view.shade("background-color") - text) > 0xC0


def test_no_number_makes_the_widget_higher(context: BrowserContext) -> None:
    """Whatever its width: nothing below it may jump as frames come in."""
    jumps = []
    with context.new_page() as page:
        serve(page, {"/": WIDGET})
        page.goto(ORIGIN)
        view = View(page.locator(".stompy"))
        for width in range(360, 1200, 60):
            page.set_viewport_size({"width": width, "height": 900})
            heights = set()
            for n in 0, 7, 1_234, 123_456:
                page.evaluate(TELL_OF, n)
                expect(view.count("prices")).to_have_text(f"{12 + 9 * n:,} frames")
                heights.add(view.height)
            if len(heights) > 1:
                jumps.append(f"{width} px wide: {sorted(heights)}")
    assert not jumps, "\n".join(jumps)
