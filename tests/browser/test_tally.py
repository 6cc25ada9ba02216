"""A tally in the widget: what is lost or doubled is seen as it happens."""

from pathlib import Path

from playwright.sync_api import expect

from tests.browser.axe import add_axe, violations
from tests.browser.pages import NotebookPage


def test_a_fault_is_switched_on_and_the_line_says_what_is_lost_and_doubled(
    lab: NotebookPage, word: str, tmp_path: Path
) -> None:
    """Its session is one of its own, with the broker in the kernel."""
    send = f"for n in range({{}}): {word}.send('/topic/{word}', 'a price', n=n)"
    lab.do(f"%stomp_connect --as {word}")
    view = lab.show(f"%stomp_subscribe /topic/{word} --as {word}_prices --on {word}")
    line = view.root.locator(".stompy-tally")
    expect(line).to_have_count(0)

    lab.do(f"tally = %stomp_tally {word}_prices --by n")
    lab.execute(send.format("6"))
    expect(line).to_have_text("expected 6 · arrived 6 · ✓ lost 0 · ✓ doubled 0 · on their way 0")
    lab.do("%stomp_broker faults --lose 3")
    lab.execute(send.format("6, 12"))
    expect(line).to_contain_text("expected 12 · arrived 10 · ✗ lost 2 · ✓ doubled 0")
    expect(line.locator(".stompy-bad")).to_have_text(["✗ lost 2"])
    lab.do("%stomp_broker faults --duplicate")
    lab.execute(send.format("12, 15"))
    expect(line).to_have_text("expected 15 · arrived 16 · ✗ lost 2 · ✗ doubled 3 · on their way 0")

    add_axe(lab.page)
    for theme in "light", "dark":
        lab.use_theme(theme)
        view.picture(tmp_path / f"tally-{theme}.png")
        assert violations(view.root) == []
    shown = lab.cell(lab.do("tally")).locator(".jp-OutputArea-output")
    expect(shown).to_contain_text("lost: 8, 11")
    shown.screenshot(path=tmp_path / "tally-table-dark.png")
    lab.use_theme("light")
    shown.screenshot(path=tmp_path / "tally-table-light.png")

    lab.do(f"%stomp_tally {word}_prices --off")
    expect(line).to_have_count(0)
    lab.execute("%stomp_broker faults --off\n%stomp_disconnect " + word)
