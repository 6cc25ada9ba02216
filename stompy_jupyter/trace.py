"""FrameTrace: every frame of a session, both ways, with its octets and its time.

Noting costs next to nothing (`stompy.Tape`): what has passed becomes frames when somebody looks.
"""

from __future__ import annotations

import functools
import re
import threading
import weakref
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from stompy import STOMPBodyError, Tape, TracedFrame
from stompy_jupyter.display import clock, html_table, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from stompy import STOMPFrame

MAX_FRAMES = 10_000
"""So many frames and heart-beats are kept, the newest."""

MAX_BYTES = 4 * 1024 * 1024
"""Octets that they have together, at the most."""

SHOWN = 50
"""So many of them are shown."""

HEADERS = (
    *("destination", "subscription", "id", "message-id", "ack"),
    *("receipt", "receipt-id", "transaction"),
)
"""Headers with a column of their own: those by which frames belong together."""

_PASSCODE = re.compile(rb"^([ \t]*passcode[ \t]*:)[^\n\0]*", re.MULTILINE | re.IGNORECASE)
_BLANK_LINE = re.compile(rb"\n\r?\n")
_LENGTH = re.compile(rb"^(content-length:)([0-9]{1,15})(?=\r?$)", re.MULTILINE)
_PLAIN = (b"MESSAGE", b"RECEIPT", b"CONNECTED", b"\n", b"\r")
_GREETING = re.compile(rb"[\r\n]*(?:CONNECT|STOMP)[ \t]*\r?\n", re.IGNORECASE)


@dataclass(frozen=True)
class TraceEntry:
    """A frame, or a heart-beat, that has passed.

    Attributes:
        number: from 0, in the order in which they passed.
        connection: on which connection of the session: 1 for the first.
        time: seconds since 1970: when it was about to be written, or its last octet had been read.
        sent: whether it went to the broker.
        octets: what was on the wire; passcodes are ``***``.
        version: the protocol version agreed on by then; None before CONNECTED.
    """

    number: int
    connection: int
    time: float
    sent: bool
    octets: bytes
    version: str | None

    @functools.cached_property
    def frame(self) -> STOMPFrame | None:
        """The frame; None of a heart-beat, and of what is not, or not all of, a frame."""
        return TracedFrame(self.time, self.sent, self.octets, self.version).frame

    @property
    def command(self) -> str:
        """The command of the frame; ``heart-beat``, or ``no frame``."""
        if self.frame is not None:
            return self.frame.Command
        return "no frame" if self.octets.strip(b"\r\n") else "heart-beat"

    @property
    def direction(self) -> Literal["out", "in"]:
        """``"out"`` if it went to the broker, ``"in"`` if it came from there."""
        return "out" if self.sent else "in"

    def get(self, header: str) -> str | None:
        """The value of a header; None where there is none."""
        return None if self.frame is None else self.frame.Headers.get(header)


class TraceEntries(list[TraceEntry]):
    """Entries of a trace, oldest first: a list that shows itself as a table.

    Example:
        >>> session.trace.newest(5).df[["direction", "command"]]
    """

    @property
    def df(self) -> pd.DataFrame:
        """A row for each, by its number.

        Columns: ``time`` (UTC), ``connection``, ``direction`` (``out`` or ``in``), ``command``
        (``heart-beat`` if it is one), the headers by which frames belong together, with _ for -,
        ``body`` (text, or octets where it is none), ``size`` (octets of the whole), ``headers``
        (dict), ``octets``.
        """
        index = pd.Index([e.number for e in self], dtype="int64", name="frame")

        def column(values: list[Any], dtype: str) -> pd.Series[Any]:
            return pd.Series(values, index, dtype=dtype)

        times = pd.to_datetime(column([e.time for e in self], "float64"), unit="s", utc=True)
        headers = [{} if e.frame is None else dict(e.frame.Headers) for e in self]
        return pd.DataFrame(
            {
                "time": times.dt.as_unit("us"),
                "connection": column([e.connection for e in self], "int64"),
                "direction": column([e.direction for e in self], "str"),
                "command": column([e.command for e in self], "str"),
                **{
                    header.replace("-", "_"): column([e.get(header) for e in self], "str")
                    for header in HEADERS
                },
                "body": column([body_of(e) for e in self], "object"),
                "size": column([len(e.octets) for e in self], "int64"),
                "headers": column(headers, "object"),
                "octets": column([e.octets for e in self], "object"),
            }
        )

    def __repr__(self) -> str:
        rows = ["  ".join(filter(None, row)) for row in self._rows()]
        return "\n".join(rows) or "<TraceEntries, none>"

    def _repr_html_(self) -> str:
        return self.html()

    def html(self, more: str = "") -> str:
        """The newest of them as a table, with `more` in its caption."""
        head = ("frame", "time (UTC)", "way", "command", "headers", "body")
        rows = self._rows()
        return html_table(head, rows, f"the newest {len(rows)} of {len(self)} frames{more}")

    def _rows(self) -> list[list[str]]:
        return [_row(entry) for entry in self[-SHOWN:]]


_traces: weakref.WeakSet[FrameTrace] = weakref.WeakSet()


def all_traces() -> list[FrameTrace]:
    """The traces of this process that are still there, in no order."""
    return list(_traces)


class FrameTrace:
    """The newest frames and heart-beats of a session, oldest first. Any thread may look.

    Args:
        secrets: what is masked where a broker repeats it in an ERROR.
        max_frames, max_bytes: what is kept at the most: frames, and their octets.

    Attributes:
        name: whose trace it is.
        dropped: how many have gone because there were more.
        lost: octets that have gone before anybody has looked, in frames that have no numbers.

    Example:
        >>> session.trace[-1].command
        'RECEIPT'
        >>> session.trace.df[["direction", "command"]]
    """

    def __init__(
        self,
        secrets: Sequence[str] = (),
        max_frames: int = MAX_FRAMES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.name = ""
        self.dropped = 0
        self._secrets = [secret.encode("utf-8", "surrogatepass") for secret in secrets]
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._tape = Tape(max_bytes)
        self._told = 0  # of frames that came by another way than the tape
        self._entries: deque[TraceEntry] = deque()
        self._size = 0
        self._next = 0
        self._connection = 0
        self._lock = threading.Lock()
        _traces.add(self)

    def beside(
        self, tell: Callable[[TracedFrame], object] | None
    ) -> Tape | Callable[[TracedFrame], object]:
        """What `stompy.connect` is to take as ``trace``; `tell` is called as well, if there is one.

        To call it frames have to be made at once, which has its price.
        """
        if tell is None:
            return self._tape

        def both(traced: TracedFrame) -> None:
            with self._lock:
                self._told += 1
                self._add(traced)
            tell(traced)

        return both

    @property
    def lost(self) -> int:
        return self._tape.lost

    @property
    def passed(self) -> int:
        """A number that grows with whatever passes; nothing is read for it."""
        return self._tape.noted + self._told

    def newest(self, n: int = MAX_FRAMES) -> TraceEntries:
        """The last `n` entries, oldest first."""
        with self._lock:
            self._collect()
            entries = list(self._entries)
        return TraceEntries(entries[max(0, len(entries) - n) :])

    def since(self, number: int) -> TraceEntries:
        """The entries from a number on, that are still there."""
        entries = self.newest()
        first = entries[0].number if entries else 0
        return TraceEntries(entries[max(0, number - first) :])

    def clear(self) -> None:
        """Forget them all; numbers go on."""
        with self._lock:
            self._collect()
            self.dropped += len(self._entries)
            self._entries.clear()
            self._size = 0

    def _collect(self) -> None:
        """Take in what has passed; the lock is held."""
        for traced in self._tape.take():
            self._add(traced)

    def _add(self, traced: TracedFrame) -> None:
        octets = traced.octets
        if traced.sent and _GREETING.match(octets):
            self._connection += 1
            octets = _PASSCODE.sub(rb"\1***", octets)  # one typed by hand may be written anyhow
        elif octets.startswith(b"ERROR"):
            octets = self._masked(octets)
        elif not (traced.sent or octets.startswith(_PLAIN)):  # no STOMP: it may say all again
            octets = self._without_secrets(octets)
        entry = TraceEntry(
            self._next, self._connection, traced.time, traced.sent, octets, traced.version
        )
        self._next += 1
        self._entries.append(entry)
        self._size += len(octets)
        while len(self._entries) > self._max_frames or self._size > self._max_bytes:
            self._size -= len(self._entries.popleft().octets)
            self.dropped += 1

    def _masked(self, octets: bytes) -> bytes:
        """An ERROR without secrets, which stays the frame that it is: a secret may be any word."""
        blank = _BLANK_LINE.search(octets)
        end = blank.end() if blank else len(octets)
        command, *lines = octets[:end].split(b"\n")
        body = self._without_secrets(octets[end:])
        grown = len(body) - len(octets[end:])
        for i, line in enumerate(lines):
            name, colon, value = line.partition(b":")
            if name == b"content-length":
                lines[i] = _LENGTH.sub(lambda m: b"%s%d" % (m[1], int(m[2]) + grown), line)
            elif colon:
                lines[i] = name + colon + self._without_secrets(value)
            else:
                lines[i] = self._without_secrets(line)
        return _PASSCODE.sub(rb"\1***", b"\n".join([command, *lines])) + body

    def _without_secrets(self, octets: bytes) -> bytes:
        for secret in self._secrets:
            octets = octets.replace(secret, b"***")
        return _PASSCODE.sub(rb"\1***", octets)

    # -- looking -----------------------------------------------------------------------------

    def __iter__(self) -> Iterator[TraceEntry]:
        return iter(self.newest())

    def __len__(self) -> int:
        return len(self.newest())

    def __bool__(self) -> bool:
        """A trace is true, also one in which there is nothing yet."""
        return True

    def __getitem__(self, number: int) -> TraceEntry:
        """An entry by its number; from the end if it is negative.

        Raises:
            IndexError: there is none, or it is not kept any more.
        """
        entries = self.newest()
        place = number - entries[0].number if entries and number >= 0 else number
        if not entries or not -len(entries) <= place < len(entries) or (number >= 0 > place):
            kept = f"{entries[0].number} to {entries[-1].number}" if entries else "none yet"
            raise IndexError(f"there is no frame {number} in the trace; there are: {kept}")
        return entries[place]

    @property
    def df(self) -> pd.DataFrame:
        """A row for each, by its number; see `TraceEntries.df`."""
        return self.newest().df

    def __repr__(self) -> str:
        return repr(self.newest()) if len(self) else "<FrameTrace, nothing has passed yet>"

    def _repr_html_(self) -> str:
        entries, gone, lost = self.newest(), self.dropped, self.lost
        more = f"; {gone:,} older ones are gone" if gone else ""
        if lost:
            more += f"; {lost:,} octets have gone unseen: there was no room for them"
        return entries.html(more)


def _row(entry: TraceEntry) -> list[str]:
    moment = pd.Timestamp(entry.time, unit="s")
    headers = {} if entry.frame is None else entry.frame.Headers
    shown = ", ".join(f"{name}: {value}" for name, value in headers.items())
    way = "→ out" if entry.sent else "← in"
    body = visible(body_of(entry) or None, 60)
    return [str(entry.number), clock(moment), way, visible(entry.command), visible(shown), body]


def body_of(entry: TraceEntry) -> str | bytes:
    """The body of a frame as text, or its octets where it is none; empty of what is no frame."""
    if entry.frame is None:
        return ""
    try:
        return entry.frame.text
    except STOMPBodyError:
        return entry.frame.Body
