"""Frames in the widget: how they appear, and how one finds and reads them."""

import json

from playwright.sync_api import expect

from stompy import STOMPClient
from tests.brokers.tap import Tap
from tests.browser.octets import as_shown, frame_with
from tests.browser.pages import LIMIT, NotebookPage


def send(sender: STOMPClient, destination: str, numbers: range) -> None:
    """Prices, in two currencies by turns."""
    for number in numbers:
        price = {"symbol": "ABC", "price": 100 + number, "sizes": [1, 2, {"more": None}]}
        currency = "USD" if number % 3 else "EUR"
        headers = {"content-type": "application/json", "currency": currency, "at": "12:30"}
        sender.send("SEND", {"destination": destination, **headers}, json.dumps(price))


def test_rows_appear_while_a_cell_sleeps(
    notebook: NotebookPage, sender: STOMPClient, word: str
) -> None:
    view = notebook.stream(f"/topic/{word}", word)
    expect(view.root).to_contain_text(f"No frames yet on /topic/{word}")

    sleeping = notebook.add(f"import time\nwhile {word}.received < 60: time.sleep(0.05)")
    notebook.expect_running(sleeping)
    send(sender, f"/topic/{word}", range(20))
    expect(view.count(word)).to_have_text("20 frames")
    expect(view.rows.last).to_contain_text('"price": 119')
    send(sender, f"/topic/{word}", range(20, 59))
    expect(view.count(word)).to_have_text("59 frames")
    expect(view.row(58)).to_contain_text('"price": 158')
    assert notebook.prompt(sleeping).inner_text() == "[*]:", "the cell has ended before"

    send(sender, f"/topic/{word}", range(59, 60))
    notebook.expect_done(sleeping)
    expect(view.row(59)).to_contain_text('"price": 159')


def test_a_view_that_is_paused_stands_still_and_says_how_many_are_new(
    notebook: NotebookPage, sender: STOMPClient, word: str
) -> None:
    view = notebook.stream(f"/topic/{word}", word)
    send(sender, f"/topic/{word}", range(30))
    view.row(29).wait_for()

    view.grid.locator("[tabindex='0']").press("Space")
    expect(view.button("Paused")).to_have_attribute("aria-pressed", "true")
    send(sender, f"/topic/{word}", range(30, 35))
    expect(view.badge).to_have_text("5 new ↓")
    expect(view.count(word)).to_have_text("35 frames")
    expect(view.row(30)).to_have_count(0)
    expect(view.shown).to_have_text("30 frames")

    view.badge.click()
    expect(view.badge).to_have_count(0)
    expect(view.row(34)).to_be_in_viewport()
    expect(view.button("Pause")).to_be_visible()


def test_a_filter_finds_frames_by_text_and_by_header_and_is_pandas_too(
    notebook: NotebookPage, sender: STOMPClient, word: str
) -> None:
    view = notebook.stream(f"/topic/{word}", word)
    send(sender, f"/topic/{word}", range(300))
    expect(view.count(word)).to_have_text("300 frames")

    view.filter.fill("currency=EUR")
    expect(view.shown).to_have_text("100 of 300 frames match")
    view.filter.fill('currency=EUR "price\\": 10"')
    expect(view.shown).to_have_text("4 of 300 frames match")
    expect(view.rows).to_contain_text([f'"price": {n}' for n in (100, 103, 106, 109)])
    view.button("Copy as pandas").click()
    expect(view.outcome).to_contain_text("Copied: ")
    expression = view.page.evaluate("navigator.clipboard.readText()")
    cell = notebook.do(f"list({expression}.index)")
    expect(notebook.cell(cell).locator(".jp-OutputArea")).to_contain_text("[0, 3, 6, 9]")

    send(sender, f"/topic/{word}", range(3, 5))
    expect(view.shown).to_have_text("5 of 302 frames match")  # also of what comes now
    view.filter.press("Escape")
    expect(view.shown).to_have_text("302 frames")
    expect(view.filter).to_have_value("")


def test_a_frame_is_shown_by_headers_as_a_tree_and_octet_by_octet(
    notebook: NotebookPage, sender: STOMPClient, tap: Tap, word: str
) -> None:
    view = notebook.stream(f"/topic/{word}", word)
    send(sender, f"/topic/{word}", range(1))
    view.row(0).wait_for()

    inspector = view.inspect(0, "Headers")
    frame = frame_with(word, "MESSAGE", tap.heard)
    heads = [line.partition(":") for line in frame.decode().split("\n\n")[0].splitlines()[1:]]
    expect(inspector.locator("tbody th")).to_have_text([name for name, _, _ in heads])
    values = [value.replace("\\c", ":") for _, _, value in heads]
    expect(inspector.locator("tbody td")).to_have_text(values)

    view.tab("Body").click()
    tree = inspector.get_by_role("tree")
    lines = tree.get_by_role("treeitem")
    expect(lines).to_contain_text(["{…} 3 members", 'symbol: "ABC"', "price: 100", "sizes: "])
    lines.last.click()
    expect(lines).to_have_count(7)
    lines.last.click()
    expect(lines.last).to_contain_text("more: null")
    lines.last.click()
    path = inspector.locator(".stompy-json-path code")
    expect(path).to_have_text('frame.json["sizes"][2]["more"]')

    view.tab("Raw").click()
    expect(inspector.locator(".stompy-raw-text")).to_have_text(as_shown(frame))
    parts = inspector.get_by_role("grid", name="Parts of the frame").locator("tbody tr")
    expect(parts.first).to_contain_text("4d 45 53 53 41 47 45")
    expect(parts.first.locator("strong")).to_have_text("command")
    names = ["command", "line end", "header name", "colon", "header value"]
    names += ["escape", "blank line", "body", "NUL"]
    assert set(parts.locator("strong").all_inner_texts()) == set(names)
    # The words of this version: in another an ACK would repeat it.
    words = "header name: the broker's name for this message (MESSAGE)"
    expect(parts.get_by_text(words, exact=True)).to_have_count(1)
    parts.last.hover()
    expect(inspector.locator(".stompy-raw-text [data-marked=true]")).to_have_text("^@")

    inspector.get_by_role("button", name="Close").click()
    expect(view.inspector).to_have_count(0)


def test_all_views_of_a_stream_are_live_also_in_a_page_that_was_loaded_anew(
    notebook: NotebookPage, sender: STOMPClient, word: str
) -> None:
    views = [notebook.stream(f"/topic/{word}", word), notebook.show(word)]
    send(sender, f"/topic/{word}", range(30))
    for view in views:
        expect(view.count(word)).to_have_text("30 frames")
        expect(view.row(29)).to_contain_text('"price": 129')

    notebook.save()
    notebook.reload()
    for view in views:
        expect(view.count(word)).to_have_text("30 frames", timeout=LIMIT)
    send(sender, f"/topic/{word}", range(30, 31))
    for view in views:
        expect(view.row(30)).to_contain_text('"price": 130')
        view.inspect(30)
        expect(view.inspector).to_contain_text(f"/topic/{word}")
