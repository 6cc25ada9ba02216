"""axe-core, which finds what keeps people from using a page."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Frame, Locator, Page

from tests.requirements import need

AXE = Path(__file__).parents[2] / "js/node_modules/axe-core/axe.min.js"


def add_axe(page: Page | Frame) -> None:
    """Load it into a page; once is enough until it is loaded anew."""
    need(
        None if AXE.exists() else "axe-core is not installed: (cd js && npm install --include=dev)"
    )
    page.add_script_tag(path=AXE)


def violations(element: Locator) -> list[str]:
    """What is wrong within an element: the rule, and where it is broken."""
    found: list[str] = element.evaluate(
        """async element => {
            const { violations } = await axe.run(element);
            return violations.flatMap(({ id, help, nodes }) => nodes.map(
                ({ html, any }) => `${id}: ${help}: ${html.slice(0, 200)} ${any[0]?.message ?? ""}`
            ));
        }"""
    )
    return found
