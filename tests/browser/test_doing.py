"""What is done in the widget: subscribing, acknowledging, sending, leaving."""

from typing import Any

from playwright.sync_api import expect

from stompy import STOMPClient
from stompy.broker import Broker
from tests.brokers.tap import Tap
from tests.browser.octets import as_shown, frame_with
from tests.browser.pages import NotebookPage

ODD = "a: b\\c\nMenü \u20ac"
"""A body with what headers would escape."""


def test_the_form_subscribes_and_frames_are_acknowledged_one_by_one(
    notebook: NotebookPage, sender: STOMPClient, broker: Broker, word: str
) -> None:
    queue, hand = f"/queue/{word}", f"/queue/{word}.by-hand"
    view = notebook.stream(hand, word, "--ack client-individual --no-send-acks")
    view.subscribe(queue, "client-individual")
    expect(view.chip(queue)).to_have_attribute("aria-pressed", "true")
    expect(view.root.locator(".stompy-chosen")).to_contain_text("ack: client-individual")
    for destination, stream in (queue, queue), (hand, word):
        view.chip(stream).click()
        for n in range(3):
            sender.send("SEND", {"destination": destination}, f"order {n}")
        waiting = view.root.get_by_text("unacknowledged")
        expect(waiting).to_have_text("3 unacknowledged")
        view.inspect(1)
        view.button("Ack").click()
        expect(view.outcome).to_have_text("Frame 1 is acknowledged.")
        expect(waiting).to_have_text("2 unacknowledged")
        expect(view.button("Ack")).to_have_count(0)
        view.inspect(2)
        view.button("Nack").click()
        expect(view.outcome).to_have_text("Frame 2 is refused.")
        expect(view.row(3)).to_contain_text("order 2")  # it has come again
        known = of(broker, destination)
        assert (known["acknowledged"], known["unacknowledged"]) == (1, 2)

    view.button("Unsubscribe").click()
    expect(view.chip(word)).to_contain_text("ended")
    notebook.do(f"session.streams[{queue!r}].unsubscribe()")


def of(broker: Broker, destination: str) -> dict[str, Any]:
    """What the broker knows of a destination."""
    return next(each for each in broker.destinations() if each["destination"] == destination)


def test_what_is_composed_goes_out_as_the_preview_shows_it(
    notebook: NotebookPage, tap: Tap, word: str
) -> None:
    view = notebook.stream(f"/topic/{word}", word)
    headers = f"currency: EUR\nnote: {word}: 12:30\\n"
    view.compose(f"/topic/{word}", headers, ODD)
    view.root.get_by_label("Receipt").check()
    preview = view.preview.inner_text()
    view.button("Send").click()
    expect(view.outcome).to_contain_text(f"Sent to /topic/{word}; the broker has confirmed it")
    expect(view.count(word)).to_have_text("1 frame")
    assert preview == as_shown(frame_with(word, "SEND", b"".join(tap.said)))

    view.tab("Frames").click()
    inspector = view.inspect(0)
    expect(inspector.locator("tr", has_text="note")).to_contain_text(f"{word}: 12:30\\n")
    view.tab("Body").click()
    expect(inspector.get_by_role("group", name="Body")).to_have_text(ODD)
    view.tab("Log").click()
    expect(view.root.locator("[data-kind=receipt]").first).to_contain_text("confirmed after")


def test_what_is_composed_is_copied_as_a_cell_and_as_python_that_do_the_same(
    notebook: NotebookPage, word: str
) -> None:
    view = notebook.stream(f"/topic/{word}", word)
    view.compose(f"/topic/{word}", "currency: EUR", ODD)
    view.button("Send").click()
    expect(view.outcome).to_have_text(f"Sent to /topic/{word}.")
    for n, button in enumerate(["Copy as %%stomp_send", "Copy as Python"], 1):
        view.button(button).click()
        expect(view.outcome).to_have_text("Copied.")
        notebook.do(view.page.evaluate("navigator.clipboard.readText()"))
        expect(view.count(word)).to_have_text(f"{n + 1} frames")
    cell = notebook.do(f"{word}.df[['body', 'currency', 'content_type']].nunique().tolist()")
    expect(notebook.cell(cell).locator(".jp-OutputArea-output")).to_have_text("[1, 1, 1]")


def test_a_transaction_goes_out_as_a_whole_or_not_at_all(
    notebook: NotebookPage, broker: Broker, word: str
) -> None:
    view = notebook.stream(f"/topic/{word}", word)
    for end, outcome in ("Abort", "Aborted"), ("Commit", "Committed, and confirmed"):
        view.compose(f"/topic/{word}", "", f"to {end}")
        view.button("Begin a transaction").click()
        for n in ("1 message", "2 messages"):
            view.button("Add to the transaction").click()
            expect(view.root.locator(".stompy-composer")).to_contain_text(f": {n}")
        expect(view.preview).to_contain_text("transaction:")
        expect(view.count(word)).to_have_text("0 frames")
        view.button(end).click()
        expect(view.outcome).to_contain_text(outcome)
    expect(view.count(word)).to_have_text("2 frames")
    view.tab("Frames").click()
    expect(view.rows).to_contain_text(["to Commit", "to Commit"])


def test_the_widget_says_when_it_is_over(
    notebook: NotebookPage, sender: STOMPClient, connect: str, word: str
) -> None:
    """Its session is one of its own."""
    notebook.do(connect.replace("--as session", f"--as {word}"))
    view = notebook.show(f"%stomp_subscribe /topic/{word} --as {word}_prices --on {word}")
    expect(view.head).to_contain_text("connected")
    sender.send("SEND", {"destination": f"/topic/{word}"}, "the last")
    view.row(0).wait_for()
    notebook.do(f"%stomp_disconnect {word}")
    expect(view.head).to_contain_text("disconnected")
    expect(view.chip(f"{word}_prices")).to_contain_text("ended")
    expect(view.row(0)).to_contain_text("the last")
    view.inspect(0)  # what has come can still be looked into
    view.tab("Log").click()
    expect(view.root.locator(".stompy-entries li").first).to_contain_text("disconnected")
