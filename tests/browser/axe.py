"""axe-core, which finds what keeps people from using a page."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Locator, Page

from tests.requirements import need

AXE = Path(__file__).parents[2] / "js/node_modules/axe-core/axe.min.js"

# The body of JupyterLab has no height and hides what is beyond: to axe, nothing there can be seen.
IN_SIGHT = "html, body { height: 100%; }"

VIOLATIONS = """async element => {
    const { violations, passes } = await axe.run(element);
    const measured = [...violations, ...passes].some(({ id, nodes }) =>
        id === "color-contrast" && nodes.some(({ any }) => any[0]?.data?.contrastRatio));
    return [measured, violations.flatMap(({ id, help, nodes }) => nodes.map(({ html, any }) =>
        `${id}: ${help}: ${html.slice(0, 200)} ${any[0]?.message ?? ""}`))];
}"""


def add_axe(page: Page) -> None:
    """Load it into a page; once is enough until it is loaded anew."""
    need(None if AXE.exists() else "axe-core is not installed: cd js; npm install --include=dev")
    page.add_script_tag(path=AXE)
    page.add_style_tag(content=IN_SIGHT)


def violations(element: Locator) -> list[str]:
    """What is wrong within an element: the rule, and where it is broken."""
    measured, found = element.evaluate(VIOLATIONS)
    assert measured, "axe has seen no text whose contrast it could measure"
    return list(found)
