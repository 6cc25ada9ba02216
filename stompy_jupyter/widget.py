"""StompWidget: what a session receives, live in the browser, also while a cell runs.

Every message is a whole window (the counts and the newest rows), so that one that is lost does
no harm, and the rate of the stream does not matter. A page that is loaded later asks for the
``_snapshot`` trait, which is made when it is asked for: no thread ever sets it.
"""

from __future__ import annotations

import pathlib
import sys
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from stompy_jupyter.display import FRAME_COLUMNS, frame_rows, visible
from stompy_jupyter.publisher import publisher

if TYPE_CHECKING:
    from stompy_jupyter.session import StompSession
    from stompy_jupyter.stream import FrameStream

ROWS = 10
"""How many rows of a stream the window shows."""

_STATIC = pathlib.Path(__file__).parent / "static"


class StompWidget(anywidget.AnyWidget):
    """A live view of a session's streams: how many frames have come, and the last ten.

    Args:
        session: the session.
        streams: the streams to show; all of the session, also later ones, when none is given.

    Example:
        >>> StompWidget(session, prices)
    """

    _esm = _STATIC / "widget.js"
    _css = _STATIC / "widget.css"
    _snapshot = traitlets.Any().tag(sync=True, to_json=lambda _, widget: widget.window())

    def __init__(self, session: StompSession, *streams: FrameStream) -> None:
        self._session: StompSession | None = session
        self._chosen = streams
        self._number = 0
        self._shown: object = None
        self._final: dict[str, Any] = {}
        super().__init__()
        publisher.add(self)

    def window(self) -> dict[str, Any]:
        """What the browser is to show now."""
        chosen, session = self._chosen, self._session  # in the other order than `_let_go`
        if session is None:
            return self._final
        streams = chosen or session.streams.values()
        return {
            "kind": "window",
            "seq": self._number,
            "session": {"address": session.address, "state": session.state},
            "streams": [_stream_window(stream) for stream in streams],
        }

    def news(self) -> dict[str, Any] | None:
        """The window, when it differs from what was sent last; for the publisher's thread."""
        chosen, session = self._chosen, self._session
        if session is None:
            return None
        streams = chosen or session.streams.values()
        # Asked for first: what comes in between is in the window, and news again next time.
        state = session.state, [(id(s.table), s.received, s.live, s.error) for s in streams]
        over = bool(chosen) and not any(stream.live for stream in chosen)
        if state == self._shown:
            return None
        self._shown = state
        self._number += 1
        window = self.window()
        if over:
            self._let_go(window)
        return window

    def close(self) -> None:
        """Take the widget off the page and stop updating it."""
        self._let_go({} if sys.is_finalizing() else self.window())  # no table is read at the end
        super().close()

    def _let_go(self, window: dict[str, Any]) -> None:
        """Keep the last window alone: ipywidgets keep a widget, and a table may be large."""
        self._final = window
        self._session = None
        self._chosen = ()
        publisher.remove(self)


def _stream_window(stream: FrameStream) -> dict[str, Any]:
    first, rows = stream.table.last(ROWS)
    return {
        "name": visible(stream.name),
        "destination": visible(stream.destination),
        "received": first + len(rows),
        "dropped": stream.dropped,
        "live": stream.live,
        "error": visible(stream.error.Message) if stream.error else None,
        "columns": list(FRAME_COLUMNS),
        "rows": frame_rows(first, rows),
    }
