"""Journal: what has happened to a session, the newest entries; it knows no Jupyter and no session.

An entry is text that can be shown as it is: what strangers had a part in is made visible when it is
noted, and a passcode is not in it.
"""

from __future__ import annotations

import datetime
import re
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from stompy_jupyter.display import Listing, clock, visible, visible_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stompy import STOMPFrame

MAX_ENTRIES = 200
"""So many entries are kept, the newest."""

MAX_BODY = 4_000
"""Characters of an ERROR's body that an entry has."""

MAX_TEXT = 16_000
"""Characters that the text of an entry has at the most."""

_PASSCODE = re.compile(r"^([ \t]*passcode[ \t]*:).*", re.MULTILINE | re.IGNORECASE)
"""A passcode in a body: some brokers repeat the frame that they complain about."""


class Entry(NamedTuple):
    """Something that has happened.

    Attributes:
        n: its number since the session was made.
        time: when, in seconds since 1970.
        kind: what: ``connected``, ``reconnecting``, ``lost``, ``disconnected``, ``error``,
            ``subscribed``, ``unsubscribed``, ``refused``, ``receipt``, ``transaction``, ``full``,
            ``kept``.
        text: more about it, one line or several.
    """

    n: int
    time: float
    kind: str
    text: str


class Journal:
    """The newest entries of one session, oldest first. Any thread may note one.

    Args:
        hide: takes out of a text what is not to be shown, e.g. a passcode.

    Example:
        >>> journal = Journal()
        >>> journal.note("subscribed", "/topic/prices")
        >>> [entry.kind for entry in journal]
        ['subscribed']
    """

    def __init__(self, hide: Callable[[str], str] = str) -> None:
        self._hide = hide
        self._entries: deque[Entry] = deque(maxlen=MAX_ENTRIES)
        self._count = 0
        self._error: STOMPFrame | None = None  # the newest
        self._lock = threading.Lock()

    def note(self, kind: str, text: str) -> None:
        """Add an entry; its text may have lines, all else that cannot be seen becomes escapes."""
        shown = visible_lines(self._hide(text)[:MAX_TEXT])[:MAX_TEXT]
        with self._lock:
            self._count += 1
            self._entries.append(Entry(self._count, time.time(), kind, shown))

    def masked(self, text: str) -> str:
        """A text without what is not to be shown: a broker may repeat what it was sent."""
        return self._hide(text)

    def note_error(self, frame: STOMPFrame) -> None:
        """Add an ERROR in full: its message, its other headers, the beginning of its body.

        Whoever waits for a receipt and the thread that reads may both get it: it is noted once.
        """
        with self._lock:
            if frame is self._error:
                return
            self._error = frame
        self.note("error", _in_full(frame))

    @property
    def count(self) -> int:
        """How many entries there have been; those beyond the newest 200 are not kept."""
        return self._count

    def newest(self, n: int) -> list[Entry]:
        """The last `n` entries, oldest first."""
        with self._lock:
            entries = list(self._entries)
        return entries[max(0, len(entries) - n) :]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.newest(MAX_ENTRIES))

    def __len__(self) -> int:
        return len(self._entries)

    def __bool__(self) -> bool:
        """A journal is true, also one in which nothing is noted yet."""
        return True

    def __repr__(self) -> str:
        lines = (f"{_clock(entry.time)}  {entry.kind}: {entry.text}" for entry in self)
        return "\n".join(lines) or "<Journal, nothing noted yet>"

    def _repr_html_(self) -> str:
        rows = [(_clock(entry.time), entry.kind, entry.text) for entry in self]
        return Listing(("time (UTC)", "what", "text"), rows)._repr_html_()


def _in_full(frame: STOMPFrame) -> str:
    others = (
        f"{visible(name)}: {'***' if name.lower() == 'passcode' else visible(value)}"
        for name, value in frame.Headers.items()
        if name != "message"
    )
    text = frame.Body[: 4 * MAX_BODY].decode("utf-8", "replace")[:MAX_BODY]
    body = text.replace("\r\n", "\n").strip()
    message = visible(frame.get("message", "ERROR, without a message"), MAX_BODY)
    parts = ["\n".join([message, *others]), _PASSCODE.sub(r"\1***", body)]
    return "\n\n".join(filter(None, parts))


def _clock(seconds: float) -> str:
    return clock(datetime.datetime.fromtimestamp(seconds, datetime.UTC))
