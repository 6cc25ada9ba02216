"""StompWidget: what a session receives, live in the browser, also while a cell runs.

News are whole windows (the counts and the newest rows), so that one that is lost does no harm, and
the rate of the stream does not matter. What a browser asks for by itself, older rows or a frame to
be sent, is a request that is answered once (`actions.py`). A page that is loaded later asks for the
``_snapshot`` trait, which is made when it is asked for: no thread ever sets it.
"""

from __future__ import annotations

import pathlib
import sys
import time
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from stompy_jupyter.actions import Actions
from stompy_jupyter.publisher import publisher
from stompy_jupyter.subject import Subject
from stompy_jupyter.window import LIVE, SAVED, head_of, make_window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stompy_jupyter.session import StompSession
    from stompy_jupyter.stream import FrameStream
    from stompy_jupyter.window import Bounds

SLOW = 1.0
"""Seconds between two windows that show nothing new but heart-beats or numbers of the session;
more, where there are many widgets."""

LINGER = 1.0
"""Seconds after the last news of streams that have ended, until the publisher is let go."""

_STATIC = pathlib.Path(__file__).parent / "static"


class StompWidget(anywidget.AnyWidget):
    """A live view of a session and its streams: what they receive, and what can be done with it.

    It does not keep what has ended. While the notebook does, older frames can be looked into.

    Args:
        session: the session.
        streams: the streams to show; all of the session, also later ones, when none is given.

    Example:
        >>> StompWidget(session, prices)
    """

    _esm = _STATIC / "widget.js"
    _css = _STATIC / "widget.css"
    _snapshot = traitlets.Any().tag(sync=True, to_json=lambda _, widget: widget.window(SAVED))

    def __init__(self, session: StompSession, *streams: FrameStream) -> None:
        self._subject = Subject(session, streams)
        self._actions = Actions(self._subject, self._wake, self._greet)
        self._number = 0
        self._last: dict[str, Any] = {}  # the window that was sent last
        self._shown: object = None
        self._shown_numbers: tuple[float, ...] = ()
        self._sent_at = 0.0
        self._awake_until = 0.0
        self._next_look = 0.0  # once the streams have ended
        self._greetings = self._greetings_seen = 0
        super().__init__()
        self.on_msg(_take)
        publisher.add(self)

    # -- what the browser is shown -----------------------------------------------------------

    def window(self, bounds: Bounds = LIVE) -> dict[str, Any]:
        """What the browser is to show now; an earlier window where all is gone that it showed."""
        session = self._subject.session
        if session is not None:
            head = head_of(session, self._actions.transaction)
            streams = self._subject.streams(self._last)
            return make_window(self._number, head, streams, bounds)
        if not self._last:  # closed as the interpreter ends
            return {}
        return make_window(self._number, self._last, self._last["streams"], bounds)

    def news(self) -> dict[str, Any] | None:
        """The window, when there is more in it than was sent last; for the publisher's thread."""
        # Asked for first: what comes in between is in the window, and news again next time.
        greetings = self._greetings
        greeted = greetings != self._greetings_seen
        now = time.monotonic()
        if self._subject.over and not greeted and now < self._next_look:
            return None  # of those whose cells have run before there may be many
        self._next_look = now + SLOW
        state, numbers = self._state(), self._numbers()
        # Of all widgets together these are a third of all messages at the most.
        pace = SLOW * max(1.0, len(publisher) / 3)
        due = now > self._sent_at + pace and _differ(numbers, self._shown_numbers)
        if not greeted and (state is None or (state == self._shown and not due)):
            self._rest(now)
            return None
        self._greetings_seen = greetings
        self._shown, self._shown_numbers = state, numbers
        self._sent_at = now
        self._awake_until = now + LINGER
        self._number += 1
        self._last = window = self.window()
        self._subject.hold(window)
        return window

    def _state(self) -> object:
        """What is news when it changes; None when all is gone. Cheap: it is asked for often."""
        session = self._subject.session
        if session is None:
            return None
        if self._subject.over:
            return session.state
        return (
            session.state,
            session.address,
            session.last_error and session.last_error.Message,
            session.journal.count,
            self._actions.transaction,
            [_state_of(stream) for stream in self._subject.streams(self._last)],
        )

    def _numbers(self) -> tuple[float, ...]:
        """What makes news once a second at the most: numbers of the session, and its beats."""
        session = self._subject.session
        if session is None or self._subject.over:
            return ()
        beats = [0.0, 0.0]
        client = session.client if session.connected else None
        silence = client.silence if client else None
        if client and silence:
            now = time.monotonic()
            agreed = zip(client.heart_beat, silence, strict=True)
            beats = [now - seconds if interval else 0.0 for interval, seconds in agreed]
        tallies = [n for stream in self._subject.streams(self._last) for n in _tally_of(stream)]
        counts = (session.sent, session.received, session.reconnects, session.trace.passed)
        return (*counts, *beats, *tallies)

    # -- what the browser asks ---------------------------------------------------------------

    def reply(self) -> tuple[dict[str, Any], list[bytes]] | None:
        """The next answer to a request, for the publisher's thread."""
        replies = self._actions.replies
        return replies.popleft() if replies else None

    def _wake(self) -> None:
        self._awake_until = time.monotonic() + LINGER
        publisher.add(self)  # which may have let it go

    def _greet(self) -> None:
        self._greetings += 1

    # -- the end -----------------------------------------------------------------------------

    def _rest(self, now: float) -> None:
        """Have the publisher look no more at what has ended; the next reply wakes it."""
        ended = self._subject.over and not self._subject.alive
        if ended and now > self._awake_until and not self._actions.replies:
            publisher.remove(self)
            if self._actions.replies:  # one came in between
                publisher.add(self)

    def close(self) -> None:
        """Take the widget off the page and stop updating it."""
        if not sys.is_finalizing():  # no table is read at the end
            self._last = self.window()
        self._actions.close()
        self._subject.let_go()
        publisher.remove(self)
        super().close()


def _take(widget: StompWidget, content: object, _: object) -> None:
    widget._actions.take(content)


def _state_of(stream: FrameStream | dict[str, Any]) -> object:
    if isinstance(stream, dict):  # it is gone, and that alone is no news
        return stream["id"], stream["state"], stream["received"], stream["dropped"]
    state, numbers = stream.state, (stream.received, stream.dropped)
    if state == "ended":
        return stream.id, state, *numbers
    return stream.id, state, *numbers, stream.waiting, stream.answers


def _tally_of(stream: FrameStream | dict[str, Any]) -> tuple[float, ...]:
    """The numbers of its newest tally: some change though no frame comes."""
    if isinstance(stream, dict) or not stream.tallies:
        return ()
    return stream.tallies[-1].glance()


def _differ(now: Sequence[float], before: Sequence[float]) -> bool:
    """Whether numbers have changed: times are taken again, and never quite the same."""
    return len(now) != len(before) or any(
        abs(one - other) > 0.1 for one, other in zip(now, before, strict=True)
    )
