"""A log of what happens in a broker, for people to look at."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from stompy.trace import visible

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_EVENTS = 1000

_log = logging.getLogger("stompy.broker")


class EventLog:
    """The newest events of a broker; the logger ``stompy.broker`` has them at INFO as well.

    Args:
        clock: gives the time, in seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._events: deque[dict[str, object]] = deque(maxlen=MAX_EVENTS)
        self._lock = threading.Lock()

    def note(self, event: str, client: str = "", destination: str = "", detail: str = "") -> None:
        """Note that something has happened.

        Args:
            event: what, in a word or two: ``"connected"``, ``"refused"``, ``"dead letter"``.
            client: the session whose doing it was.
            destination: where.
            detail: more, for people.
        """
        noted: dict[str, object] = {
            "time": self._clock(),
            "event": event,
            "client": client,
            "destination": destination,
            "detail": detail,
        }
        with self._lock:
            self._events.append(noted)
        if _log.isEnabledFor(logging.INFO):
            _log.info("%s", visible(" ".join(filter(None, (event, client, destination, detail)))))

    def events(self) -> list[dict[str, object]]:
        """All that are known, oldest first."""
        with self._lock:
            return [dict(event) for event in self._events]
