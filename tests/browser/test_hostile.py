"""What strangers send is text in the widget, and nothing else, wherever it is shown."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import expect

from tests.browser.pages import NotebookPage
from tests.browser.view import View
from tests.unit.peer import TIMEOUT, Link, Peer, raw

IMAGE = "<img src=x onerror=alert(1)>"
SCRIPT = "</script><script>alert(2)</script>"
ATTRIBUTE = "\"' onmouseover='alert(3)' autofocus onfocus=alert(4) x=\""
LINK = "<a href=javascript:alert(5)>x</a>"
BELL = "\x1b]0;red\x07"
SIGNS = "\x1b[31m\x1b]0;red\x07 \u202egnp.exe\u2066 \u200b\ufeff\u2028"
SHOWN_SIGNS = r"\x1b[31m\x1b]0;red\x07 \u202egnp.exe\u2066 \u200b\ufeff\u2028"
ALL = f"{IMAGE}{SCRIPT}{ATTRIBUTE}{LINK}{SIGNS}"
SHOWN = f"{IMAGE}{SCRIPT}{ATTRIBUTE}{LINK}{SHOWN_SIGNS}"
DESTINATION = f"/topic/{IMAGE}{SIGNS}"
SHOWN_DESTINATION = f"/topic/{IMAGE}{SHOWN_SIGNS}"
BODIES = {
    "application/json": json.dumps({ALL: ALL, "__proto__": {"constructor": [ALL]}}),
    "application/xml": f"<r a='1'><script>alert(6)</script><i onload='alert(7)'>{BELL}</i></r>",
    "text/html": ALL,
    ALL: ALL,
}
NAMES = ["__proto__", "constructor", ATTRIBUTE, SIGNS, IMAGE]
"""Of headers."""

ELEMENTS = [
    *("div", "section", "p", "pre", "span", "strong", "code", "time", "ul", "ol", "li"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary"),
    *("form", "fieldset", "legend", "label", "input", "textarea", "select", "option", "datalist"),
    *("button", "svg", "g", "path", "rect"),
]
"""All that there is in a widget; its drawings have no text."""


UNSEEN = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
"""Characters that must have become escapes; all others but line ends, in JavaScript's words."""


def escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace(":", r"\c")


def attack(link: Link, finish: threading.Event) -> None:
    """A broker that means no good."""
    link.accept("1.2", f"server:{escaped(ALL)}", f"session:{escaped(ALL)}")
    subscription = link.expect("SUBSCRIBE").headers["id"]
    for n, (kind, body) in enumerate(BODIES.items()):
        lines = [f"destination:{escaped(DESTINATION)}", f"message-id:{n}"]
        lines += [f"subscription:{subscription}", f"content-type:{escaped(kind)}"]
        lines += [f"{escaped(name)}:{escaped(ALL)}" for name in NAMES]
        lines += [f"content-length:{len(body.encode())}"]
        link.send(raw("MESSAGE", *lines, body=body.encode()))
    assert finish.wait(6 * TIMEOUT)
    link.send(raw("ERROR", f"message:{escaped(ALL)}", body=ALL.encode()))


@contextmanager
def attacker() -> Iterator[tuple[Peer, threading.Event]]:
    finish = threading.Event()
    with Peer(lambda link: attack(link, finish)) as peer:
        try:
            yield peer, finish
        finally:
            finish.set()


def expect_harmless(view: View) -> None:
    """Nothing came into being but what the widget is made of, and all text can be seen."""
    found = view.root.evaluate(
        r"""(root, [known, unseen]) => {
            const hidden = new RegExp(unseen);
            const found = hidden.test(root.textContent) ? ["text that cannot be seen"] : [];
            for (const node of root.querySelectorAll("*")) {
                if (!known.includes(node.localName)) {
                    found.push(`an element ${node.localName}`);
                }
                for (const { name, value } of node.attributes) {
                    if (/^on|^href$|^src$|^autofocus$/i.test(name) || hidden.test(value)) {
                        found.push(`an attribute ${name} of ${node.localName}: ${value}`);
                    }
                }
            }
            return found;
        }""",
        [ELEMENTS, UNSEEN],
    )
    assert not found, "\n".join(found)


def test_nothing_that_a_stranger_sends_does_anything(lab: NotebookPage, word: str) -> None:
    title = lab.page.title()
    with attacker() as (peer, finish):
        host, port = peer.address
        lab.do(f"%stomp_connect {host}:{port} --as {word} --no-reconnect")
        view = lab.show(
            f"{word}.subscribe({DESTINATION!r})\n"
            f"from stompy_jupyter import StompWidget\nStompWidget({word})"
        )
        expect(view.head).to_contain_text(IMAGE)
        expect(view.root.locator(".stompy-count")).to_have_text("4 frames")
        expect(view.root.locator(".stompy-name")).to_have_text(SHOWN_DESTINATION)

        view.button("Columns").click()
        for choice in view.root.locator(".stompy-choice [type=checkbox]").all():
            choice.check()
        expect(view.root.locator(".stompy-choice")).to_contain_text(SHOWN_SIGNS)
        expect_harmless(view)
        view.button("Columns").click()
        expect(view.row(3)).to_contain_text(IMAGE)
        view.row(3).locator("[role=gridcell]").nth(3).hover()

        for number, first in enumerate(["JSON", "XML", "Text", "Text"]):
            inspector = view.inspect(number, "Headers")
            headers = inspector.locator("table")
            for name in ATTRIBUTE, IMAGE, SHOWN_SIGNS:
                expect(headers.locator("th", has_text=name).first).to_be_visible()
            expect(headers.locator("td", has_text=SHOWN).first).to_be_visible()
            view.tab("Body").click()
            expect(view.tab(first)).to_have_attribute("aria-selected", "true")
            for tab in ["JSON", "XML", "Text", "Hex"] if number == 0 else [first]:
                view.tab(tab).click()
                expect_harmless(view)
            view.tab("Raw").click()
            expect(inspector.locator(".stompy-raw-text")).to_contain_text(SHOWN_SIGNS)
            expect_harmless(view)
        view.inspect(0, "Body")
        view.tab("JSON").click()
        expect(inspector.get_by_role("treeitem").nth(1)).to_contain_text(SHOWN)
        view.button("Close").click()

        view.tab("Rate").click()
        expect(view.root.locator(".stompy-chart")).to_contain_text(SHOWN_DESTINATION)
        expect_harmless(view)
        view.tab("Send").click()
        expect_harmless(view)

        finish.set()
        expect(view.head).to_contain_text("lost")
        expect(view.head.get_by_role("alert")).to_contain_text(SHOWN[:200])
        view.tab("Log").click()
        error = view.root.locator("[data-kind=error]")
        expect(error).to_contain_text(SHOWN)
        expect_harmless(view)
    assert lab.page.title() == title


def test_what_looks_like_a_formula_is_shown_as_it_came(lab: NotebookPage, word: str) -> None:
    body = rf"{word} costs $x^2$ or C:\\temp"
    trace = lab.do(f"session.send('/topic/{word}', {body!r})\nsession.trace")
    formula = lab.do("from IPython.display import HTML\nHTML('<p>$x^2$</p>')")
    expect(lab.cell(formula).locator("mjx-container")).to_be_visible()  # so these are made by now
    expect(lab.cell(trace).locator("table")).to_contain_text(body)
    expect(lab.cell(trace).locator("mjx-container")).to_have_count(0)
