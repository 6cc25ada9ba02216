"""Tally: what was sent to a destination against what a stream has received of it.

It reads the traces of the sessions when somebody asks; the threads that read and send do not know
of it. It knows no session and no widget.
"""

from __future__ import annotations

import hashlib
import html
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from stompy import STOMPBodyError
from stompy.broker.topic import pattern_of
from stompy_jupyter.display import GREEN, RED, coloured_box, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stompy_jupyter.inlet import Inlet
    from stompy_jupyter.trace import FrameTrace, TraceEntry

GRACE = 1.0
"""Seconds in which a message that was sent is on its way, and not lost."""

GLANCE_EVERY = 1.0
"""Seconds between two counts for those who look again and again."""

MAX_ROWS = 20_000
"""So many different messages are told from each other."""

MAX_IDS = 100_000
"""So many message-ids are remembered, the newest."""

MAX_NUMBERS = 100
"""So many numbers of frames are kept of a row, the newest."""

KEY = 256
"""Characters of a key; what is longer is told from others by all of it nevertheless."""

NAMED = 8
"""So many of what is lost, and of what is doubled, are named where a tally is shown."""


class Counts(NamedTuple):
    """The numbers of a `Tally`.

    Attributes:
        expected: messages that were sent.
        arrived: messages that came.
        lost: were sent and have not come, nor are they on their way.
        doubled: came once more than they were sent.
        redelivered: came with ``redelivered:true``, or with a ``message-id`` that came before.
        unexpected: came, and were not sent by those who are watched.
        on_its_way: were sent less than a second ago, and have not come yet.
        complete: whether every frame was seen. Otherwise nothing is said to be lost or unexpected,
            and what is doubled is what came by the same ``message-id``.
    """

    expected: int = 0
    arrived: int = 0
    lost: int = 0
    doubled: int = 0
    redelivered: int = 0
    unexpected: int = 0
    on_its_way: int = 0
    complete: bool = True


@dataclass(eq=False, slots=True)
class _Row:
    """Messages that are taken for the same.

    Attributes:
        key: what they are called.
        sent, came: how many.
        again: those that came by an id that had come before.
        young: those that were sent within the grace.
        frames: their numbers in the trace of the stream's session.
    """

    key: str
    sent: int = 0
    came: int = 0
    again: int = 0
    young: int = 0
    frames: deque[int] = field(default_factory=lambda: deque(maxlen=MAX_NUMBERS))

    @property
    def missing(self) -> int:
        return max(0, self.sent - (self.came - self.again))

    @property
    def lost(self) -> int:
        return max(0, self.missing - self.young)

    @property
    def doubled(self) -> int:
        return self.again + (max(0, self.came - self.again - self.sent) if self.sent else 0)

    @property
    def unexpected(self) -> int:
        return 0 if self.sent else self.came - self.again


class _Message(NamedTuple):
    """A message: by what it is told from others, what it is called, and its number in its trace."""

    identity: bytes | None
    key: str
    number: int


class _Reading:
    """How far a trace was read, and the transactions that are open in it.

    Args:
        trace: the trace.
        began: when the tally began; a trace that was not there then is read from there on. None: it
            was, and is read from now on.
    """

    def __init__(self, trace: FrameTrace, began: float | None) -> None:
        self.trace = trace
        self.open: dict[tuple[int, str], list[_Message]] = {}
        self._began = began
        self._lost = 0
        self._next = 0
        if began is None:
            newest = trace.newest(1)
            self._lost = trace.lost
            self._next = newest[-1].number + 1 if newest else trace.dropped

    def news(self) -> tuple[list[TraceEntry], bool]:
        """The entries that have come since the last call, and whether none is missing."""
        entries: list[TraceEntry] = self.trace.since(self._next)
        first = entries[0].number if entries else self.trace.dropped
        # What has gone of a trace from its beginning may have been older than the tally.
        older = self._began is not None and bool(entries) and entries[0].time < self._began
        lost = self.trace.lost
        whole = (first <= self._next or older) and lost == self._lost
        self._lost = lost
        self._next = entries[-1].number + 1 if entries else max(self._next, first)
        if self._began is not None:
            entries = [entry for entry in entries if entry.time >= self._began]
            self._began = None
        return entries, whole


class Tally:
    """What was sent to the destination of a stream, and what of it has come, from now on.

    Made by `FrameStream.tally`. Messages are told from each other by a header or by their bodies,
    and counted: of ten equal bodies that were sent and came twelve times two are doubled. A message
    of a transaction is expected when its COMMIT was sent (STOMP 1.2, "COMMIT"), and never when that
    was aborted or its connection has ended.

    What others take from a queue, what a selector keeps back, and what is sent to a topic while
    the stream is paused is lost to this stream, and counted as that. Of what is sent to a broker of
    another address a tally knows no better than that it has the same destination.

    Args:
        inlet: of the stream.
        trace: of its session.
        senders: gives the traces of those who send; asked again and again.
        by: the header by which messages are told from each other; None: their bodies.
        grace: seconds in which a message that was sent is on its way, and not lost.

    Attributes:
        destination: of the stream.
        by: as above.
        stopped: whether it was stopped.

    Raises:
        ValueError: `by` is no name of a header, or `grace` no time.

    Example:
        >>> tally = prices.tally(by="n")
        >>> tally.counts.lost
        1
        >>> tally.lost
        ['17']
    """

    def __init__(
        self,
        inlet: Inlet,
        trace: FrameTrace,
        senders: Callable[[], Iterable[FrameTrace]],
        by: str | None = None,
        grace: float = GRACE,
    ) -> None:
        if by is not None and not (isinstance(by, str) and by.strip()):
            raise ValueError(f"by must be the name of a header, not {by!r}")
        if not (isinstance(grace, int | float) and 0 <= grace < float("inf")):
            raise ValueError(f"grace must be seconds, 0 or more, not {grace!r}")
        self.destination = inlet.destination
        self.by = by
        self.stopped = False
        self._inlet = inlet
        self._pattern = pattern_of(inlet.destination)
        self._senders = senders
        self._grace = grace
        self._began = time.time()
        self._over = False  # whether nothing can change any more
        self._until = float("inf")  # what is sent later cannot come, once the stream is to end
        self._leaving = self._left = False  # whether the session says goodbye, and is back
        self._own = _Reading(trace, None)
        self._readings = {id(each): _Reading(each, None) for each in senders() if each is not trace}
        self._rows: dict[bytes | None, _Row] = {}
        self._young: deque[tuple[float, _Row]] = deque()
        self._ids: dict[str, int] = {}  # message-ids, with the connection they came by last
        self._redelivered = 0
        self._complete = True
        self._counts = Counts()
        self._glanced_at = float("-inf")
        self._lock = threading.Lock()

    # -- asking ------------------------------------------------------------------------------

    @property
    def counts(self) -> Counts:
        """How many messages were expected, have arrived, are lost, …"""
        with self._lock:
            return self._counted()

    def glance(self) -> Counts:
        """As `counts`, not older than a second: for those who look again and again."""
        with self._lock:
            due = time.monotonic() >= self._glanced_at + GLANCE_EVERY
            return self._counted() if due or self._inlet.table.ended else self._counts

    @property
    def df(self) -> pd.DataFrame:
        """A row for each message that is told from the others.

        Columns: ``key`` (the value of the header, or the body), ``sent``, ``came``, ``difference``
        (below zero: so many have not come), ``lost``, ``doubled``, ``frames``: numbers of its SEND
        and MESSAGE frames in the trace of the stream's session, the newest 100.
        """
        with self._lock:
            complete = self._counted().complete
            rows = list(self._rows.values())
            numbers = {
                "sent": [row.sent for row in rows],
                "came": [row.came for row in rows],
                "difference": [row.came - row.sent for row in rows],
                "lost": [row.lost if complete else 0 for row in rows],
                "doubled": [row.doubled if complete else row.again for row in rows],
            }
            frames = [list(row.frames) for row in rows]
        return pd.DataFrame(
            {
                "key": pd.array([row.key for row in rows], dtype="str"),
                **{name: pd.array(values, dtype="int64") for name, values in numbers.items()},
                "frames": pd.Series(frames, dtype="object"),
            }
        )

    @property
    def lost(self) -> list[str]:
        """The keys of what is lost, each once."""
        return self._keys("lost")

    @property
    def doubled(self) -> list[str]:
        """The keys of what is doubled, each once."""
        return self._keys("doubled")

    def _keys(self, column: str) -> list[str]:
        df = self.df
        return [str(key) for key in df.loc[df[column] > 0, "key"]]

    def stop(self) -> None:
        """Count no more; what was on its way stays so. Twice is fine."""
        with self._lock:
            self._counted()
            self.stopped = self._over = True

    # -- counting ----------------------------------------------------------------------------

    def _counted(self) -> Counts:
        """Read what is new, and count; the lock is held."""
        self._glanced_at = time.monotonic()
        if self._over:
            return self._counts
        ended = self._inlet.table.ended  # asked for first: then all that came is in the trace
        changed = self._read()
        now = time.time()
        while self._young and (ended or self._young[0][0] <= now - self._grace):
            self._young.popleft()[1].young -= 1
            changed = True
        if changed:
            self._counts = self._summed()
        self._over = ended
        return self._counts

    def _summed(self) -> Counts:
        rows = self._rows.values()
        whole = self._complete
        missing = sum(row.missing for row in rows)
        lost = sum(row.lost for row in rows)
        return Counts(
            expected=sum(row.sent for row in rows),
            arrived=sum(row.came for row in rows),
            lost=lost if whole else 0,
            doubled=sum(row.doubled if whole else row.again for row in rows),
            redelivered=self._redelivered,
            unexpected=sum(row.unexpected for row in rows) if whole else 0,
            on_its_way=missing - lost if whole else 0,
            complete=whole,
        )

    def _read(self) -> bool:
        """Read on in all traces; whether there was anything."""
        senders = {id(trace): trace for trace in self._senders()}
        for known, trace in senders.items():
            if trace is not self._own.trace and known not in self._readings:
                self._readings[known] = _Reading(trace, self._began)
        # The stream's own first: what has come was sent before, and is in the others by then.
        entries, whole = self._own.news()
        read = bool(entries) or not whole
        sends = id(self._own.trace) in senders
        for entry in entries:
            self._passed(entry, sends)
        for known, reading in list(self._readings.items()):
            entries, seen = reading.news()
            read |= bool(entries) or not seen
            whole &= seen
            for entry in entries:
                if entry.sent:
                    self._sent(reading, entry)
            if known not in senders:  # its session has gone, and all of it was read
                del self._readings[known]
        self._complete &= whole
        return read

    def _passed(self, entry: TraceEntry, sends: bool) -> None:
        """A frame of the stream's own session has passed."""
        ours = not self._left and self._inlet.subscriptions
        if not entry.sent:
            if entry.command == "MESSAGE" and ours and entry.get("subscription") in ours:
                self._came(entry)
            return
        if ours:
            self._note_end(entry, ours)
        if sends:
            self._sent(self._own, entry)

    def _note_end(self, entry: TraceEntry, ours: tuple[str, ...]) -> None:
        """Note since when nothing more can come, if this frame says so."""
        command = entry.command
        if command == "DISCONNECT" or (command == "UNSUBSCRIBE" and entry.get("id") in ours):
            self._until = entry.time
            self._leaving = command == "DISCONNECT"
        elif command == "SUBSCRIBE" and entry.get("id") in ours:
            self._until = float("inf")
        elif command in ("CONNECT", "STOMP"):  # a later connection may have the same ids again
            self._left = self._leaving

    def _sent(self, reading: _Reading, entry: TraceEntry) -> None:
        """A frame was sent, perhaps one that is to be expected from now on."""
        command, transaction = entry.command, entry.get("transaction")
        named = (entry.connection, transaction or "")
        if command == "SEND":
            if not self._concerned(entry.get("destination") or ""):
                return
            if transaction is None:
                self._expect(reading, self._message(entry), entry.time)
            else:
                reading.open.setdefault(named, []).append(self._message(entry))
        elif command == "COMMIT":
            for each in reading.open.pop(named, ()):
                self._expect(reading, each, entry.time)
        elif command == "ABORT":
            reading.open.pop(named, None)
        elif command in ("CONNECT", "STOMP"):
            reading.open.clear()

    def _concerned(self, destination: str) -> bool:
        """Whether the stream is to get what goes to a destination."""
        pattern = self._pattern
        return destination == self.destination or bool(pattern and pattern.fullmatch(destination))

    def _expect(self, reading: _Reading, message: _Message, at: float) -> None:
        over = self._inlet.over or self._inlet.table.ended
        if (over and at > self._until) or (row := self._row_of(message)) is None:
            return
        row.sent += 1
        row.young += 1
        self._young.append((at, row))
        if reading is self._own:
            row.frames.append(message.number)

    def _came(self, entry: TraceEntry) -> None:
        if (row := self._row_of(self._message(entry))) is None:
            return
        row.came += 1
        row.frames.append(entry.number)
        marked = entry.get("redelivered") == "true"
        again = self._came_before(entry, marked)
        row.again += again
        self._redelivered += marked or again

    def _came_before(self, entry: TraceEntry, marked: bool) -> bool:
        """Whether the same message has come before, by its id.

        A broker that was started again may have the same ids for others: on another connection only
        what is marked as redelivered is the same.
        """
        message_id = entry.get("message-id")
        if message_id is None:
            return False
        before = self._ids.pop(message_id, None)
        self._ids[message_id] = entry.connection
        if len(self._ids) > MAX_IDS:
            del self._ids[next(iter(self._ids))]
        return before is not None and (marked or before == entry.connection)

    def _row_of(self, message: _Message) -> _Row | None:
        """Where a message is counted; None, and no longer complete, where there are too many."""
        row = self._rows.get(message.identity)
        if row is None and len(self._rows) >= MAX_ROWS:
            self._complete = False
        elif row is None:
            row = self._rows[message.identity] = _Row(message.key)
        return row

    def _message(self, entry: TraceEntry) -> _Message:
        if self.by is None:
            octets, key = _body_of(entry)
        elif (value := entry.get(self.by)) is not None:
            octets, key = value.encode("utf-8", "surrogatepass"), value
        else:
            return _Message(None, f"(without {self.by})", entry.number)
        if len(octets) > KEY:
            octets = hashlib.sha256(octets).digest()
        key = key if len(key) <= KEY else f"{key[:KEY]}…"
        # A charset may let surrogates through, which no column of text can hold.
        return _Message(octets, key.encode("utf-8", "replace").decode(), entry.number)

    # -- showing -----------------------------------------------------------------------------

    def _head(self) -> str:
        by = f" by {self.by}" if self.by is not None else ""
        state = ", stopped" if self.stopped else ""
        return visible(f"{self.destination}{by}{state}")

    def __repr__(self) -> str:
        counts = self.counts
        numbers = " · ".join(f"{name} {number:,}" for name, number in _named(counts))
        return f"<Tally {self._head()}: {numbers}{'' if counts.complete else f' · {INCOMPLETE}'}>"

    def _repr_html_(self) -> str:
        counts = self.counts
        wrong = counts.lost + counts.doubled > 0
        colour = GREEN if not wrong and counts.complete else RED
        names = "".join(f"<th>{html.escape(name)}</th>" for name, _ in _named(counts))
        cells = "".join(_cell(name, number) for name, number in _named(counts))
        more = "" if counts.complete else f"<div>⚠ {html.escape(INCOMPLETE)}</div>"
        more += _listed("lost", self.lost) + _listed("doubled", self.doubled)
        return coloured_box(
            colour,
            f"<b>{html.escape(self._head())}</b>"
            f"<table><thead><tr>{names}</tr></thead><tbody><tr>{cells}</tr></tbody></table>{more}",
        )


INCOMPLETE = "incomplete: frames were not seen, so that nothing can be said of losses"


def _named(counts: Counts) -> list[tuple[str, int]]:
    """The numbers of a tally by their names."""
    return [
        (name.replace("on_its_way", "on their way"), number)
        for name, number in counts._asdict().items()
        if name != "complete"
    ]


def _cell(name: str, number: int) -> str:
    if name not in ("lost", "doubled"):
        return f"<td>{number:,}</td>"
    colour, sign = (RED, "✗") if number else (GREEN, "✓")
    return f'<td><b style="color:rgb({colour})">{sign}</b> {number:,}</td>'


def _listed(what: str, keys: list[str]) -> str:
    """The first of some keys, in a line."""
    if not keys:
        return ""
    shown = ", ".join(visible(key, 40) or "(empty)" for key in keys[:NAMED])
    more = f" … and {len(keys) - NAMED:,} more" if len(keys) > NAMED else ""
    return f"<div>{what}: <code>{html.escape(shown)}</code>{more}</div>"


def _body_of(entry: TraceEntry) -> tuple[bytes, str]:
    """The body of a frame, and how it is called."""
    frame = entry.frame
    if frame is None:  # which has no command then
        return b"", ""
    try:
        return frame.Body, frame.text[: KEY + 1]
    except STOMPBodyError:
        return frame.Body, repr(frame.Body[: KEY + 1])
