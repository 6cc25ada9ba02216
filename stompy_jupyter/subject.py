"""Subject: what a widget shows, and keeps alive no longer than there is something new in it.

ipywidgets keep every widget for as long as the kernel lives. What has ended is therefore held
weakly: a table may be large, and a cell may run again and again. While somebody else holds it, all
of it can still be asked for; afterwards the last window is what is left.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from stompy import STOMPError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stompy_jupyter.session import StompSession
    from stompy_jupyter.stream import FrameStream

MAX_ENDED = 5
"""Streams that have ended and are shown of a whole session, as long as that goes on."""


class Subject:
    """A session, and those of its streams that are shown.

    Args:
        session: the session.
        chosen: the streams; all of the session, also later ones, when there are none.
    """

    def __init__(self, session: StompSession, chosen: Sequence[FrameStream]) -> None:
        self._session: weakref.ref[StompSession] | None = weakref.ref(session)
        self._held: StompSession | None = session
        self._chosen = {stream.id: stream for stream in chosen}  # those that go on
        self._order = [stream.id for stream in chosen]
        self._known = weakref.WeakValueDictionary(self._chosen)
        self._listed: tuple[FrameStream, ...] = ()  # of a whole session that goes on

    @property
    def session(self) -> StompSession | None:
        """The session, if it is still there."""
        return self._session() if self._session else None

    @property
    def over(self) -> bool:
        """Whether no frame can come: the session is gone, or all chosen streams have ended."""
        return self.session is None or (bool(self._order) and not self._chosen)

    @property
    def alive(self) -> bool:
        """Whether the session is there, and connected or about to be."""
        session = self.session
        return session is not None and session.alive

    def streams(self, last: Mapping[str, Any]) -> list[FrameStream | dict[str, Any]]:
        """The streams to show; of those that are gone, what the `last` window showed of them."""
        if not self._order:
            return [*self._all()]
        left = {part["id"]: part for part in last.get("streams", ())}
        found = [self._known.get(id) or left.get(id) for id in list(self._order)]
        return [stream for stream in found if stream is not None]

    def stream(self, id: str) -> FrameStream:
        """A stream that is, or was, shown.

        Raises:
            STOMPError: it is gone.
        """
        if not self._order:
            self._all()
        stream = self._known.get(id)
        if stream is None:
            raise gone("stream")
        return stream

    def _all(self) -> list[FrameStream]:
        """All streams that the session has, and some that it had, unless they were replaced."""
        session = self.session
        present = list(session.streams.values()) if session else []
        names = {stream.name for stream in present}
        ended = [stream for stream in self._listed if stream.name not in names]
        streams = [*ended[-MAX_ENDED:], *present]
        self._listed = tuple(streams) if self.alive else ()
        self._known.update({stream.id: stream for stream in streams})
        return streams

    def add(self, stream: FrameStream) -> None:
        """Show one more stream, which was subscribed in the widget."""
        self._known[stream.id] = stream
        if self._order:
            self._chosen[stream.id] = stream
            self._order.append(stream.id)

    def hold(self, window: Mapping[str, Any]) -> None:
        """Hold what goes on, and let go of what a window that was made has shown to have ended."""
        for part in window["streams"]:
            if part["state"] == "ended":
                self._chosen.pop(part["id"], None)
        self._held = self.session if self.alive and not self.over else None

    def let_go(self) -> None:
        """Hold nothing, and know nothing any more."""
        self._chosen, self._order, self._listed = {}, [], ()
        self._session = self._held = None
        self._known.clear()


def gone(what: str) -> STOMPError:
    """The error for a request about something that is not there any more."""
    return STOMPError(f"the {what} is gone from the kernel", hint="run the cell again")
