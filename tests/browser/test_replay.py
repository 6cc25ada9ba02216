"""A replay in the widget: frames come again while one looks, and no broker takes part."""

from pathlib import Path

from playwright.sync_api import expect

from stompy import STOMPFrame
from stompy.capture import Entry, save
from tests.browser.pages import NotebookPage

BEGIN = 1_700_000_000_000_000_000


def test_a_replay_is_seen_live_can_be_paused_and_ends(
    lab: NotebookPage, word: str, tmp_path: Path
) -> None:
    path = tmp_path / "prices.stompcap"
    headers = {"destination": "/topic/prices", "symbol": "ABC"}
    frames = [STOMPFrame("MESSAGE", headers, f"price {number}") for number in range(40)]
    save(path, (Entry(BEGIN + n * 100_000_000, "in", frame) for n, frame in enumerate(frames)))

    view = lab.show(f"%stomp_replay {path} --as {word} --speed 4")
    expect(view.head).to_contain_text("prices.stompcap")
    view.row(2).wait_for()
    lab.execute(f"{word}.pause()")
    expect(view.chip(word)).to_contain_text("paused")
    lab.execute(f"assert 0 < {word}.received < 40\n{word}.resume()")
    expect(view.count(word)).to_have_text("40 frames")
    expect(view.row(39)).to_contain_text("price 39")
    expect(view.chip(word)).to_contain_text("ended")
    expect(view.head).to_contain_text("disconnected")
    view.inspect(39)
    expect(view.inspector).to_contain_text("symbol")
