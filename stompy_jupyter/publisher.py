"""The one thread that tells browsers what is new, at most ten times a second.

Streams do not call it: it looks at what the widgets show, so that a frame costs the reading thread
nothing here, whatever the rate. Replies go first: somebody waits for them. It uses `send` of the
widget, the one way out that a thread may take: synced traits are not thread-safe.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

INTERVAL = 0.1
"""Seconds between two messages, of all widgets together."""

MAX_REPLIES = 5
"""So many replies go out in a row while there are news."""

_log = logging.getLogger(__name__)

_Message: TypeAlias = tuple[dict[str, Any], list[bytes]]
_Ask: TypeAlias = "Callable[[Source], _Message | None]"


class Source(Protocol):
    """What can be published: a widget, as the publisher knows it."""

    def reply(self) -> _Message | None:
        """The next answer to something that the browser asked, with its buffers; None if there
        is none."""

    def news(self) -> dict[str, Any] | None:
        """The message that brings the browser up to date; None when it is."""

    def send(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> object:
        """Send a message to the browser."""


class Publisher:
    """Sends the replies and the news of its sources, in turn. The thread lives as long as there are
    sources."""

    def __init__(self, interval: float = INTERVAL) -> None:
        self._interval = interval
        self._sources: list[weakref.ref[Source]] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._due = 0.0  # when the next message may go out
        self._replies = 0  # that have gone out in a row
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        """How many sources there are."""
        return len(self._sources)

    def add(self, source: Source) -> None:
        """Publish what `source` has from now on, as long as it lives; and soon, if it can be.

        Twice is fine.
        """
        with self._lock:
            if not any(ref() is source for ref in self._sources):
                self._sources.append(weakref.ref(source))
            if self._thread is None:
                self._stop = threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(self._stop,), name="stomp-publisher", daemon=True
                )
                self._thread.start()
        self._wake.set()

    def remove(self, source: Source) -> None:
        """Publish nothing more of `source`. Does nothing when it is unknown."""
        self._keep(lambda known: known not in (None, source))

    def stop(self) -> None:
        """Forget all sources and end the thread."""
        self._keep(lambda _: False)

    def _keep(self, wanted: Callable[[Source | None], bool]) -> None:
        """Keep some sources; without any there is no thread."""
        with self._lock:
            self._sources = [ref for ref in self._sources if wanted(ref())]
            if self._sources:
                return
            thread, self._thread = self._thread, None
            self._stop.set()
            self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(1.0)

    def _run(self, stop: threading.Event) -> None:
        while True:
            self._wake.wait(self._interval)
            self._wake.clear()
            if stop.wait(max(0.0, self._due - time.monotonic())):
                self._wake.set()  # it may have been for the thread that comes after this one
                return
            with self._lock:
                self._sources = [ref for ref in self._sources if ref() is not None]
                if not self._sources:
                    if not stop.is_set():
                        self._thread = None
                    return
                sources = list(self._sources)
            if self._publish(sources):
                self._due = time.monotonic() + self._interval

    def _publish(self, sources: list[weakref.ref[Source]]) -> bool:
        """Send one message, if there is one; its source then goes last in line.

        That is a reply, if anybody has one, or else news. Not for ever, or who asks again and again
        would see nothing move.
        """
        replied = self._replies < MAX_REPLIES and self._send_first(sources, _reply_of)
        self._replies = self._replies + 1 if replied else 0
        return (
            replied or self._send_first(sources, _news_of) or self._send_first(sources, _reply_of)
        )

    def _send_first(self, sources: list[weakref.ref[Source]], ask: _Ask) -> bool:
        """Send the message of the first source that has one; who fails leaves the list."""
        for ref in list(sources):
            source = ref()
            if source is None:
                continue
            try:
                message = ask(source)
                if message is None:
                    continue
                source.send(*message)
            except Exception:  # one broken widget must not keep the others from their news
                _log.exception("a widget cannot be updated and is given up")
                self.remove(source)
                sources.remove(ref)
                continue
            with self._lock:
                if ref in self._sources:
                    self._sources.remove(ref)
                    self._sources.append(ref)
            return True
        return False


def _reply_of(source: Source) -> _Message | None:
    return source.reply()


def _news_of(source: Source) -> _Message | None:
    news = source.news()
    return None if news is None else (news, [])


publisher = Publisher()
atexit.register(publisher.stop)
