"""What a broker says of a frame that it does not take: an ERROR that teaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stompy.frame import STOMPFrame

SHOWN = 200
"""Characters of a header, and octets of a body, that an ERROR repeats."""
MAX_SHOWN_HEADERS = 20


class Refusal(Exception):
    """A frame that is answered by ERROR.

    Args:
        title: the ``message`` of the ERROR.
        advice: its body: what was expected, and what to do.
        more: more headers of it.
    """

    def __init__(self, title: str, advice: str, **more: str) -> None:
        super().__init__(title)
        self.title = title
        self.advice = advice
        self.more = more


def error_of(refusal: Refusal, frame: STOMPFrame | None) -> tuple[dict[str, str], bytes]:
    """The headers and the body of the ERROR (STOMP 1.2, "ERROR").

    Args:
        refusal: what was wrong.
        frame: with which frame, if it was one.
    """
    text = refusal.advice + "\n"
    if frame is not None:
        text += f"\nThe frame was:\n-----\n{_shown(frame)}\n-----\n"
    body = text.encode()
    headers = {
        "message": refusal.title,
        "content-type": "text/plain",
        "content-length": str(len(body)),
        **refusal.more,
    }
    if frame is not None and "receipt" in frame and frame.Command not in ("CONNECT", "STOMP"):
        headers["receipt-id"] = frame["receipt"]
    return headers, body


def _shown(frame: STOMPFrame) -> str:
    """A frame as text, for its sender; what is long is cut."""
    lines = [frame.Command[:SHOWN]]
    for name, value in list(frame.Headers.items())[:MAX_SHOWN_HEADERS]:
        lines.append(f"{name[:SHOWN]}:{'***' if name == 'passcode' else _cut(value)}")
    if len(frame.Headers) > MAX_SHOWN_HEADERS:
        lines.append(f"… and {len(frame.Headers) - MAX_SHOWN_HEADERS} headers more")
    body = frame.Body[:SHOWN].decode("utf-8", "backslashreplace").replace("\0", "^@")
    more = "…" if len(frame.Body) > SHOWN else ""
    return "\n".join((*lines, "", body + more))


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
