"""Where things are on the screen: what sticks out, and what lies on something else."""

from __future__ import annotations

from playwright.sync_api import Locator

_TROUBLES = """root => {
    const box = root.getBoundingClientRect();
    const troubles = [];
    const name = ({ localName, className, textContent }) =>
        `${localName}.${className} "${textContent.slice(0, 30)}"`;
    const clips = node => getComputedStyle(node).overflow !== "visible";

    // The lines of an element, as far as they are in sight.
    const inSight = node => {
        let rects = [...node.getClientRects()].map(({ left, top, right, bottom }) =>
            ({ left, top, right, bottom }));
        for (let up = node.parentElement; up !== null && up !== root; up = up.parentElement) {
            if (clips(up)) {
                const edge = up.getBoundingClientRect();
                rects = rects.map(rect => ({
                    left: Math.max(rect.left, edge.left), right: Math.min(rect.right, edge.right),
                    top: Math.max(rect.top, edge.top), bottom: Math.min(rect.bottom, edge.bottom),
                }));
            }
        }
        return rects.filter(({ left, right, top, bottom }) => right - left > 2 && bottom - top > 2);
    };

    if (root.scrollWidth > root.clientWidth) {
        troubles.push(`the widget scrolls: ${root.scrollWidth} in ${root.clientWidth}`);
    }
    const hidden = ".stompy-hidden, .stompy-hidden *, svg *, option, datalist";
    const things = [...root.querySelectorAll("*")].filter(node => !node.matches(hidden));
    for (const node of things) {
        if (inSight(node).some(({ left, right }) => left < box.left - 1 || right > box.right + 1)) {
            troubles.push(`sticks out: ${name(node)}`);
        }
    }

    // Rows pass below the head of their table, which is as it should be.
    const drawn = "button, input, select, textarea, th, [role=columnheader]";
    const text = node => [...node.childNodes].some(({ nodeType, data }) =>
        nodeType === Node.TEXT_NODE && data.trim() !== "");
    const cells = "td, td *, [role=gridcell]";
    const leaves = things
        .filter(node => (node.matches(drawn) || text(node)) && !node.matches(cells))
        .map(node => [node, inSight(node)]);
    leaves.forEach(([one, ones], i) => leaves.slice(i + 1).forEach(([other, others]) => {
        const over = ones.some(a => others.some(b =>
            Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
            Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1));
        if (over && !one.contains(other) && !other.contains(one)) {
            troubles.push(`overlap: ${name(one)} and ${name(other)}`);
        }
    }));
    return troubles;
}"""


def troubles(root: Locator) -> list[str]:
    """What is wider than the widget, and what overlaps in it."""
    found: list[str] = root.evaluate(_TROUBLES)
    return found
