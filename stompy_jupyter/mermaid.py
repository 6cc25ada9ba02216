"""A sequence diagram in Mermaid's language, which JupyterLab and Notebook draw themselves.

Nothing of what strangers have sent may act in it: whatever could is written as an entity.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stompy_jupyter.diagram import BROKER, boxed

if TYPE_CHECKING:
    from stompy_jupyter.diagram import Diagram
    from stompy_jupyter.events import Event

MIME_TYPE = "text/vnd.mermaid"
"""By which front ends know it; JupyterLab prefers it to SVG, and HTML to it."""

# `#` and `;` end a text, `%%{` is a directive, `<` and `&` are HTML, `$$` is a formula, and Mermaid
# keeps entities between the characters ﬂ° and ¶ß. A `;` is taken off lines that hold these words.
_ACTS = re.compile(r"[#;%<>&$\\`ﬂ¶]|s(?=tyle)|c(?=lassDef)")


def escape(text: str) -> str:
    """A text, which is one visible line already, as Mermaid shows it and does nothing by it.

    Example:
        >>> escape("/queue/a;b#1")
        '/queue/a#59;b#35;1'
    """
    return _ACTS.sub(lambda found: f"#{ord(found[0])};", text)


def as_mermaid(diagram: Diagram) -> str:
    """A diagram as Mermaid's ``sequenceDiagram``.

    Example:
        >>> print(as_mermaid(diagram))
        sequenceDiagram
        ...
    """
    outer = [_id(lane) for lane in (diagram.order[0], diagram.order[-1])]
    over = ",".join(outer)
    lines = ["sequenceDiagram", f"accTitle: {escape(diagram.title)}"]
    lines += [f"participant {_id(each)} as {escape(diagram.name(each))}" for each in diagram.order]
    notes = [diagram.rest] if diagram.rest else []
    if not diagram.events:
        notes.append("nothing has passed yet")
    lines += [f"Note over {over}: {escape(note)}" for note in notes]
    for transaction, events in diagram.runs():
        if transaction is not None:
            lines.append("rect rgba(128, 128, 128, 0.15)")
            lines.append(f"Note over {over}: {escape(boxed(events))}")
        lines += [_line(event, over) for event in events]
        if transaction is not None:
            lines.append("end")
    return "\n".join(lines)


def _id(lane: int) -> str:
    return "broker" if lane == BROKER else f"client{lane}"


def _line(event: Event, over: str) -> str:
    if not event.arrow:
        return f"Note over {over}: {escape(event.text)}"
    ends = [_id(event.lane), _id(BROKER)]
    if not event.sent:
        ends.reverse()
    dashed = "--" if event.command == "RECEIPT" else "-"
    head = "x" if event.aborted or event.kind == "no frame" else ">>"
    answers = f" ({event.note})" if event.note and event.transaction is None else ""
    return f"{ends[0]}{dashed}{head}{ends[1]}: {escape(f'{event.number} {event.text}{answers}')}"
