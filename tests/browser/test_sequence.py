"""The sequence of a session: drawn by the front end itself, and live in the widget."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.sync_api import Locator, expect

import stompy
from tests.browser.axe import add_axe, violations
from tests.browser.pages import NotebookPage

HOSTILE = [
    *(";", "#", "end", "a\nend\nb", "%%", "%%{init: {}}%%", "<script>alert(1)</script>", "&lt;"),
    *("'\"`", "\u202eabc\u2066", "-->>", "B->>A: x", "style a:b#c;", "classDef a:b#c;", "$$x$$"),
    *("#35;", "ﬂ°60¶ß", "]]>", "<!--", "<br/>", "wrap: x", "\\", "{'a': [1, 2]}", "Straße 20°"),
]

DRAW = """
with StompSession(session.address, name="<b>%%; end") as shown:
    for text in {texts!r}:
        shown.send("/queue/{word}" + text, text)
    with shown.transaction(receipt=True):
        shown.send("/queue/{word}", "in a transaction")
    broken = shown.client.transaction()
    broken.message("/queue/{word}", "never")
    broken.abort()
shown.sequence(99)
"""


def drawn(notebook: NotebookPage, word: str) -> Locator:
    """The output of a cell that draws what strangers may send."""
    notebook.execute("from stompy_jupyter import StompSession")
    number = notebook.do(DRAW.format(texts=HOSTILE, word=word))
    return notebook.cell(number).locator(".jp-OutputArea")


def svg_of(picture: Locator) -> str:
    """The document of an image, which the browser could draw."""
    expect(picture).to_be_visible()
    assert picture.evaluate("img => img.decode().then(() => img.naturalWidth)") > 0
    return unquote(picture.get_attribute("src") or "")


def test_jupyterlab_draws_it_by_mermaid_whatever_was_sent(
    lab: NotebookPage, word: str, tmp_path: Path
) -> None:
    output = drawn(lab, word)
    picture = output.locator(".jp-RenderedMermaid img")
    svg = svg_of(picture)
    expect(output.locator(".jp-mod-warning")).to_have_count(0)
    assert "<script>alert" not in svg
    for shown in ("&lt;script&gt;", "B-&gt;&gt;A: x", "style a:b#c;", "“#35;”", "“ﬂ°60¶ß”"):
        assert shown in svg, shown
    assert svg.count('class="messageText"') == 2 + len(HOSTILE) + 9
    expect(picture).to_have_attribute("alt", "frames of <b>%%; end")
    picture.screenshot(path=tmp_path / "mermaid.png")


NAMES = [
    *("a:b", "x as y", "x@{type: 1}", "end", "participant q", "wrap: z", ":wrap:", "a,b", "-->"),
    *(
        "+x",
        "()",
        "---",
        "{}",
        "box",
        "title: x",
        "accDescr {",
        "",
        " ",
        "|",
        "a\nb",
        "x#y;",
        "(x)",
    ),
    *(
        "[[x]]",
        "`md`",
        "**b**",
        "http://a.b/c",
        "%%",
        "a->b",
        "a/\\b",
        "ﬂ°¶ß",
        "'",
        '"',
        "=",
        "漢😀",
    ),
]

NAMED = """
from stompy import TracedFrame
from stompy.wire import encode
from stompy_jupyter.sequence import FrameSequence, Lane
from stompy_jupyter.trace import FrameTrace
for name in {names!r}:
    trace = FrameTrace()
    tell = trace.beside(lambda _: None)
    tell(TracedFrame(0.0, True, encode("BEGIN", {{"transaction": name, "receipt": name}}), "1.2"))
    lanes = [Lane(each, trace.newest(), True) for each in (name, name[::-1])]
    display(FrameSequence(lanes, title=name, broker=name))
"""


def test_no_name_acts_in_mermaid(lab: NotebookPage) -> None:
    output = lab.cell(lab.do(NAMED.format(names=NAMES))).locator(".jp-OutputArea")
    expect(output.locator(".jp-RenderedMermaid figure img")).to_have_count(len(NAMES))
    expect(output.locator(".jp-mod-warning")).to_have_count(0)


def test_notebook_draws_it_as_an_svg_of_our_own(
    desks: Callable[[str], NotebookPage], word: str, tmp_path: Path
) -> None:
    notebook = desks("Notebook 7")
    with notebook.in_front():
        picture = drawn(notebook, word).locator(".jp-RenderedSVG img")
        assert "stompy-sequence" in svg_of(picture)
        picture.screenshot(path=tmp_path / "svg.png")


def test_the_widget_shows_what_passes_while_it_passes(
    lab: NotebookPage, sender: stompy.STOMPClient, word: str, tmp_path: Path
) -> None:
    view = lab.stream(f"/queue/{word}", word, "--ack client-individual")
    view.tab("Sequence").click()
    lines = view.root.get_by_role("listbox", name="Frames in their sequence")
    expect(lines.get_by_role("option").last).to_be_visible()
    sender.send("SEND", destination=f"/queue/{word}", body="live")
    message = lines.get_by_role("option", name=f"from the broker MESSAGE /queue/{word} “live”")
    ack = lines.get_by_role("option", name="to the broker ACK")
    expect(message).to_be_visible()
    expect(ack.last).to_be_visible()
    ack.last.hover()
    expect(message).to_have_attribute("data-mark", "partner")

    lab.execute(
        f"with session.transaction(receipt=True):\n"
        f"    session.send('/queue/other-{word}', 'one')\n"
        f"    session.send('/queue/other-{word}', 'two', receipt=True)\n"
        f"transaction = session.client.transaction()\n"
        f"transaction.message('/queue/other-{word}', 'never')\n"
        f"transaction.abort()"
    )
    expect(lines.locator('[data-aborted="true"]')).to_have_count(3)
    expect(lines.locator(".stompy-box-name").last).to_contain_text("(aborted)")
    lab.page.mouse.move(0, 0)
    view.picture(tmp_path / "sequence.png")
    add_axe(lab.page)
    assert violations(view.root) == []

    message.click()
    octets = view.root.locator(".stompy-passage")
    expect(octets.locator(".stompy-raw-text [data-part=body]")).to_have_text("live")
    view.picture(tmp_path / "sequence-octets.png")
    assert violations(view.root) == []
    lab.page.keyboard.press("ArrowDown")
    expect(octets).to_contain_text("ACK")
    lab.page.keyboard.press("Escape")
    expect(octets).to_have_count(0)
    expect(ack.last).to_be_focused()


ORDERS = """
shop.send("/queue/orders", "two books", receipt=True).wait()
with shop.transaction(receipt=True):
    shop.send("/queue/orders", "ink")
    shop.send("/queue/orders", "paper")
orders.wait(3)
try:
    with shop.transaction():
        shop.send("/queue/orders", "never mind")
        raise ValueError
except ValueError:
    pass
"""


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_it_can_be_read_in_both_themes(lab: NotebookPage, theme: str, pictures: Path) -> None:
    """Its session is one of its own, with the broker in the kernel."""
    lab.use_theme(theme)
    lab.do("%stomp_connect --as shop")
    view = lab.show("%stomp_subscribe /queue/orders --as orders --on shop --ack client-individual")
    lab.execute(ORDERS)
    view.tab("Sequence").click()
    add_axe(lab.page)
    try:
        expect(view.root.get_by_role("option").last).to_be_visible()
        expect(view.root.get_by_role("listbox")).to_contain_text("never mind")
        view.root.scroll_into_view_if_needed()
        assert violations(view.root) == []
        view.picture(pictures / f"sequence-{theme}.png")
    finally:
        lab.execute("%stomp_disconnect shop")
        lab.use_theme("light")
