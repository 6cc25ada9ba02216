"""The widget by keyboard alone: no test here clicks anywhere in it."""

from typing import Any

from playwright.sync_api import Locator, expect

from stompy import STOMPClient
from tests.browser.pages import NotebookPage

MOST_STOPS = 40
"""So many times Tab is pressed at the most to get somewhere."""


COMMANDS = ["d", "d", "a", "b", "x", "m", "z", "Shift+M", "v", "c", "1", "i", "i", "0", "0"]
"""Keys that delete, add, cut, merge and change cells, or end the kernel's work."""


class Keyboard:
    """The keys, and where they go to."""

    def __init__(self, notebook: NotebookPage) -> None:
        self.page = notebook.page

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)

    def tab_to(self, target: Locator, key: str = "Tab") -> None:
        """Press Tab until the focus is there."""
        passed = []
        for _ in range(MOST_STOPS):
            self.press(key)
            if target.count() and target.evaluate(IS_FOCUSED):
                return
            passed.append(self.page.evaluate("document.activeElement.outerHTML.slice(0, 80)"))
        raise AssertionError("\n".join(["Tab does not lead there, but to", *passed]))

    def back_to(self, target: Locator) -> None:
        self.tab_to(target, "Shift+Tab")


IS_FOCUSED = "element => element.getRootNode().activeElement === element"


def test_everything_is_done_by_keyboard(
    lab: NotebookPage, sender: STOMPClient, connect: str, word: str
) -> None:
    lab.do(connect.replace("--as session", f"--as {word}"))
    view = lab.show(f"%stomp_widget {word}")
    keys, header = Keyboard(lab), view.head
    lab.enter_command_mode()

    # Into the widget, out of the connection and back
    keys.tab_to(view.button("Disconnect"))
    keys.press("Enter")
    expect(header).to_contain_text("disconnected")
    expect(view.button("Connect")).to_be_focused()
    keys.press("Enter")
    expect(view.button("Disconnect")).to_be_focused()
    expect(header.locator("strong")).to_have_text("connected")

    # Two streams by the form
    orders, prices = f"/queue/{word}", f"/topic/{word}"
    keys.tab_to(view.button("+ Subscribe"))
    keys.press("Enter")
    keys.tab_to(view.root.locator(".stompy-form [name=destination]"))
    keys.type(orders)
    keys.press("Tab", "ArrowDown", "ArrowDown")
    keys.tab_to(view.button("Subscribe"))
    keys.press("Enter")
    expect(view.button("+ Subscribe")).to_be_focused()
    expect(view.root.locator(".stompy-chosen")).to_contain_text("ack: client-individual")
    keys.press("Space", "Tab")
    keys.type(prices)
    keys.press("Enter")
    expect(view.chip(prices)).to_have_attribute("aria-pressed", "true")
    for n in range(20):
        sender.send("SEND", {"destination": orders}, f'{{"order": {n}, "items": [1, 2]}}')
    expect(view.count(orders)).to_have_text("20 frames")
    keys.back_to(view.chip(orders))
    keys.press("Space")
    expect(view.row(19)).to_be_visible()

    # Tabs
    keys.tab_to(view.tab("Frames"))
    for name in "Rate", "Send", "Log", "Sequence", "Frames":
        keys.press("ArrowRight")
        expect(view.tab(name)).to_be_focused()
        expect(view.tab(name)).to_have_attribute("aria-selected", "true")

    # Pausing and finding
    keys.tab_to(view.button("Pause"))
    keys.press("Space")
    expect(view.button("Paused")).to_be_focused()
    keys.tab_to(view.grid.locator("[tabindex='0']"))
    keys.press("Space")
    expect(view.button("Pause")).to_be_visible()
    keys.press("/")
    expect(view.filter).to_be_focused()
    keys.type('"order\\": 1"')
    expect(view.shown).to_have_text("11 of 20 frames match")
    keys.press("Enter")
    expect(view.row(19).locator("[tabindex='0']")).to_be_focused()

    # Looking into frames, and acknowledging one
    keys.press("Home", "ArrowDown", "Enter")
    view.expect_inspected(10)
    expect(view.tab("Headers")).to_be_focused()
    keys.press("ArrowRight")
    expect(view.tab("Body")).to_be_focused()
    tree = view.inspector.get_by_role("treeitem")
    keys.tab_to(tree.first)
    keys.press("ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight")
    expect(tree.nth(3)).to_be_focused()
    expect(tree.nth(3)).to_contain_text("0: 1")
    keys.back_to(view.tab("Body"))
    keys.press("ArrowRight", "Tab", "End")
    expect(view.inspector.locator("[data-marked=true] strong")).to_have_text("NUL")
    keys.back_to(view.button("Ack"))
    keys.press("Enter")
    expect(view.outcome).to_have_text("Frame 10 is acknowledged.")
    expect(view.root).to_contain_text("19 unacknowledged")
    expect(view.button("Ack")).to_have_count(0)
    expect(view.inspector.locator(":focus")).to_have_count(1)
    keys.press("Escape")
    expect(view.inspector).to_have_count(0)
    expect(view.row(10).locator("[tabindex='0']")).to_be_focused()
    keys.press("/", "Escape")
    expect(view.shown).to_have_text("20 frames")

    # Writing
    keys.back_to(view.tab("Frames"))
    keys.press("ArrowRight", "ArrowRight", "Tab", "ControlOrMeta+a")
    keys.type(prices)
    keys.press("Tab")
    keys.type("currency: EUR")
    keys.press("Tab")
    keys.type("by keyboard")
    keys.press("Tab", "Space")
    keys.tab_to(view.button("Send"))
    keys.press("Enter")
    expect(view.outcome).to_contain_text("the broker has confirmed it")
    expect(view.count(prices)).to_have_text("1 frame")

    # Reading what has happened
    keys.back_to(view.tab("Send"))
    keys.press("ArrowRight", "Tab")
    log = view.root.get_by_role("region", name="Log")
    expect(log).to_be_focused()
    expect(log.locator("li").first).to_contain_text("receipt")
    lab.execute(f"{word}.disconnect()")


def test_the_focus_stays_in_the_widget_when_the_button_with_it_goes(
    lab: NotebookPage, sender: STOMPClient, word: str
) -> None:
    view = lab.stream(f"/topic/{word}", word)

    def press(button: Locator) -> None:
        button.focus()
        button.press("Enter")
        expect(button).to_have_count(0)
        expect(view.root.locator(":focus"), "somewhere in the widget").to_have_count(1)

    for n in range(40):
        sender.send("SEND", {"destination": f"/topic/{word}"}, str(n))
    view.row(39).wait_for()
    view.button("Pause").press("Enter")
    sender.send("SEND", {"destination": f"/topic/{word}"}, "new")
    press(view.badge)
    press(view.button("Pause subscription"))
    press(view.button("Resume subscription"))
    view.tab("Send").press("Enter")
    press(view.button("Begin a transaction"))
    press(view.button("Abort"))
    press(view.button("Unsubscribe"))


def test_keys_that_are_typed_in_the_widget_leave_the_cells_alone(
    notebook: NotebookPage, sender: STOMPClient, word: str
) -> None:
    view = notebook.stream(f"/queue/{word}", word, "--ack client-individual")
    sender.send("SEND", {"destination": f"/queue/{word}"}, '{"a": [1]}')
    view.inspect(0, "Body")
    before = cells(notebook)
    places = {
        "grid": view.grid.locator("[tabindex='0']"),
        "button": view.button("Columns"),
        "stream": view.chip(word),
        "tabs": view.tab("Frames"),
        "tabs of the frame": view.tab("Body"),
        "tree": view.inspector.get_by_role("treeitem").first,
        "head": view.button("Disconnect"),
    }
    for name, place in places.items():
        place.focus()
        for key in COMMANDS:
            notebook.page.keyboard.press(key)
        assert cells(notebook) == before, f"keys in the {name} got to the notebook"
        assert place.evaluate(IS_FOCUSED), f"keys have taken the focus from the {name}"
    for tab, role in ("Rate", "slider"), ("Log", "region"), ("Send", "textbox"):
        view.tab(tab).click()
        last = view.root.get_by_role(role).last
        last.press("d")
        last.press("d")
        assert cells(notebook) == before, f"keys in the tab {tab} got to the notebook"
    expect(view.root.locator(".stompy-composer [name=body]")).to_have_value("dd")


def cells(notebook: NotebookPage) -> Any:
    """All cells: what they are, what is written in them, which is the active one; and the mode."""
    return notebook.page.evaluate(
        """() => {
            const { content } = window.jupyterapp.shell.currentWidget;
            const cells = content.widgets.map(({ model }) =>
                [model.type, model.sharedModel.getSource()]);
            return [cells, content.activeCellIndex, content.mode];
        }"""
    )
