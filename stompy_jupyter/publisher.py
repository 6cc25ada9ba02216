"""The one thread that tells browsers what is new, at most ten times a second.

Streams do not call it: it looks at what the widgets show, so that a frame costs the reading thread
nothing here, whatever the rate. It uses `send` of the widget, the one way out that a thread may
take: synced traits are not thread-safe.
"""

from __future__ import annotations

import atexit
import logging
import threading
import weakref
from typing import Any, Protocol

INTERVAL = 0.1
"""Seconds between two messages, of all widgets together."""

_log = logging.getLogger(__name__)


class Source(Protocol):
    """What can be published: a widget, as the publisher knows it."""

    def news(self) -> dict[str, Any] | None:
        """The message that brings the browser up to date; None when it is."""

    def send(self, content: dict[str, Any]) -> object:
        """Send a message to the browser."""


class Publisher:
    """Sends the news of its sources, in turn. The thread lives as long as there are sources."""

    def __init__(self, interval: float = INTERVAL) -> None:
        self._interval = interval
        self._sources: list[weakref.ref[Source]] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, source: Source) -> None:
        """Publish the news of `source` from now on, as long as it lives."""
        with self._lock:
            self._sources.append(weakref.ref(source))
            if self._thread is None:
                self._stop = threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(self._stop,), name="stomp-publisher", daemon=True
                )
                self._thread.start()

    def remove(self, source: Source) -> None:
        """Publish nothing more of `source`. Does nothing when it is unknown."""
        with self._lock:
            self._sources = [ref for ref in self._sources if ref() not in (None, source)]
            idle = not self._sources
        if idle:
            self.stop()

    def stop(self) -> None:
        """Forget all sources and end the thread."""
        with self._lock:
            self._sources.clear()
            thread, self._thread = self._thread, None
            self._stop.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(1.0)

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(self._interval):
            with self._lock:
                self._sources = [ref for ref in self._sources if ref() is not None]
                if not self._sources:
                    if not stop.is_set():
                        self._thread = None
                    return
                sources = list(self._sources)
            self._publish(sources)

    def _publish(self, sources: list[weakref.ref[Source]]) -> None:
        """Send one message: that of the first source with news, which then goes last in line."""
        for ref in sources:
            source = ref()
            if source is None:
                continue
            try:
                news = source.news()
                if news is None:
                    continue
                source.send(news)
            except Exception:  # one broken widget must not keep the others from their news
                _log.exception("a widget cannot be updated and is given up")
                self.remove(source)
                continue
            with self._lock:
                if ref in self._sources:
                    self._sources.remove(ref)
                    self._sources.append(ref)
            return


publisher = Publisher()
atexit.register(publisher.stop)
