"""FrameTable: frames in, pandas and Arrow out. Bounded, columnar, thread-safe; knows no Jupyter.

Frames gather in a short tail. Every few thousand are sealed into an Arrow record batch; only the
tail, and what pandas has not seen yet, is converted when somebody looks.
"""

from __future__ import annotations

import functools
import logging
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from stompy import STOMPClosed, STOMPTimeout
from stompy_jupyter.batch import (
    BATCH_ROWS,
    Batch,
    HeaderNames,
    Rows,
    frame_of,
    frames_of,
    make_batch,
    to_table,
    with_text,
)
from stompy_jupyter.columns import Columns
from stompy_jupyter.decode import Decoder
from stompy_jupyter.listing import listed
from stompy_jupyter.rates import RateMeter
from stompy_jupyter.records import Records
from stompy_jupyter.search import Found, Term, search

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd
    import pyarrow as pa

    from stompy import STOMPError, STOMPFrame

MAX_ROWS = 1_000_000
MAX_BYTES = 512 * 1024 * 1024
SEAL_BYTES = 8 * 1024 * 1024

WAIT_SLICE = 0.2
"""Seconds that a thread waits at a time: on some platforms Ctrl-C does not end a longer wait."""

_NEVER = sys.maxsize

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Wish:
    """What is to be called once `n` frames have come."""

    n: int
    callback: Callable[[], object]


@dataclass(frozen=True, eq=False)
class _Part:
    """Rows that follow each other, the number of the first, and the columns of headers."""

    first: int
    batches: list[pa.RecordBatch]
    names: HeaderNames


class FrameTable:
    """The frames of one stream, in order of arrival.

    Any thread may append while others look. At `max_rows` rows or `max_bytes` bytes the oldest
    go first; `dropped` counts them, so that ``received == dropped + len(table)`` always holds.

    The newest frames are kept as they came, too, so that `frame` can give them back whole: the
    newest 4,096 at the least, or as many as 8 MiB or an eighth of the table have room for.

    Args:
        max_rows: how many rows are kept at the most.
        max_bytes: how many bytes of bodies and headers are kept, about: the oldest rows go by
            eighths of it.
        decode: what the bodies are in `df`: "text" where they decode, else bytes; "bytes", the
            octets as they came; "json", "jsonl", "xml", "csv", "pairs" (lines of key=value), the
            value that a body says in that format; "auto", what it is by its content-type and its
            first octets, also out of gzip or zlib; or a function, which gets what "auto" has made
            of a body, and gives another value. Where a body is none of that, the same as with
            "text".

    Raises:
        ValueError: a bound is below one, or there is no such decoder.

    Example:
        >>> table = FrameTable()
        >>> table.append(STOMPFrame("MESSAGE", {"destination": "/topic/T"}, b"hello"))
        0
        >>> table.df["body"].tolist()
        ['hello']
    """

    def __init__(
        self,
        max_rows: int = MAX_ROWS,
        max_bytes: int = MAX_BYTES,
        decode: str | Callable[[Any], object] = "text",
    ) -> None:
        if max_rows < 1 or max_bytes < 1:
            raise ValueError("a table holds one row and one byte at the least")
        self.max_rows = max_rows
        self.max_bytes = max_bytes
        self.decoder = Decoder(decode)
        self.decode = self.decoder.name
        self.received = 0
        self.dropped = 0
        self.ended = False
        self.error: STOMPError | None = None
        self._seal_rows = min(BATCH_ROWS, max(1, max_rows // 8))
        self._seal_bytes = min(SEAL_BYTES, max(1, max_bytes // 8))
        self._batches: deque[Batch] = deque()
        self._batch_bytes = 0
        self._skip = 0  # rows of the first batch that are dropped already
        self._tail = Rows()
        self._tail_bytes = 0
        self._before = Rows()  # what the tail was before it was sealed last
        self._before_bytes = 0
        self._sealed_octets = 0
        self._names = HeaderNames()
        self._rates = RateMeter()
        self._noted = 0  # rows of the tail that these two know
        self._wishes: list[_Wish] = []
        self._next_wish = _NEVER
        self._lock = threading.Lock()  # guards all of these
        self._columns = Columns(self.decoder)
        self._records = self._no_records()
        self._looking = threading.Lock()  # guards these two; taken before the other

    # -- frames in ---------------------------------------------------------------------------

    def append(self, frame: STOMPFrame, received_ns: int | None = None) -> int:
        """Add a frame that arrived at `received_ns` (nanoseconds since 1970; now by default).

        Returns:
            The number of its row, which is its index in `df`.
        """
        arrival = time.time_ns() if received_ns is None else received_ns
        with self._lock:
            row = self.received
            self._tail_bytes += self._tail.add(frame, arrival)
            due = self._added(1)
        _fulfil(due)
        return row

    def extend(self, frames: Sequence[STOMPFrame], received_ns: int | None = None) -> int:
        """Add frames that arrived together: it costs a third of `append` for each.

        Returns:
            The number of the first row; the others follow it.
        """
        arrival = time.time_ns() if received_ns is None else received_ns
        due: list[_Wish] = []
        with self._lock:
            first = self.received
            while (done := self.received - first) < len(frames):
                # No more than there is room for: batches are no larger than they may be.
                part = frames[done : done + self._seal_rows - len(self._tail)]
                self._tail_bytes += self._tail.add_all(part, arrival)
                due += self._added(len(part))
        _fulfil(due)
        return first

    def _added(self, rows: int) -> Sequence[_Wish]:
        """Count rows that are in the tail, keep to the bounds; what is to be called now."""
        self.received += rows
        if len(self._tail.bodies) >= self._seal_rows or self._tail_bytes >= self._seal_bytes:
            self._seal()
        if self.received - self.dropped > self.max_rows:
            self._drop_first(self.received - self.dropped - self.max_rows)
        return self._due() if self.received >= self._next_wish else ()

    def end(self, error: STOMPError | None = None) -> None:
        """Say that no more frames come, and why if that is a failure; the rows stay."""
        with self._lock:
            if self.ended:
                return
            self.ended, self.error = True, error
            due = self._due()
        _fulfil(due)

    def _seal(self) -> None:
        batch = make_batch(self._tail, self._names, self.decode)
        self._batches.append(batch)
        self._batch_bytes += batch.nbytes
        self._rates.add(self._tail.arrivals[self._noted :])
        self._sealed_octets += self._tail_bytes
        self._before, self._before_bytes = self._tail, self._tail_bytes
        if self._before_bytes > 2 * self._seal_bytes:  # a frame as large as that is not kept twice
            self._before, self._before_bytes = Rows(), 0
        self._tail, self._tail_bytes, self._noted = Rows(), 0, 0
        while self._batch_bytes > self.max_bytes and len(self._batches) > 1:
            self._drop_first(self._batches[0].rows - self._skip)

    def _drop_first(self, rows: int) -> None:
        """Drop the oldest rows. They are in batches: a tail is sealed long before it is full."""
        self.dropped += rows
        self._skip += rows
        while self._batches and self._skip >= self._batches[0].rows:
            first = self._batches.popleft()
            self._skip -= first.rows
            self._batch_bytes -= first.nbytes

    # -- waiting -----------------------------------------------------------------------------

    def when(self, n: int, callback: Callable[[], object]) -> Callable[[], None]:
        """Call `callback()` once, when `n` frames have come in all or the table has ended.

        It is called in the thread that appends or ends, where an exception is logged and goes no
        further; if it is so already, in this one, at once. The table is not locked meanwhile.

        Returns:
            A function that takes the wish back.

        Example:
            >>> table = FrameTable()
            >>> forget = table.when(1, lambda: print("the first"))
            >>> table.append(STOMPFrame("MESSAGE"))
            the first
            0
        """
        wish = _Wish(n, callback)
        with self._lock:
            waits = self.received < n and not self.ended
            if waits:
                self._wishes.append(wish)
                self._next_wish = min(self._next_wish, n)
        if not waits:
            callback()
        return functools.partial(self._forget, wish)

    def _due(self) -> list[_Wish]:
        """Take the wishes out that are fulfilled."""
        due = [wish for wish in self._wishes if self.ended or wish.n <= self.received]
        for wish in due:
            self._wishes.remove(wish)
        self._next_wish = min((wish.n for wish in self._wishes), default=_NEVER)
        return due

    def _forget(self, wish: _Wish) -> None:
        with self._lock:
            if wish in self._wishes:
                self._wishes.remove(wish)

    def wait(self, n: int, timeout: float | None) -> int:
        """Wait until `n` frames have been received in all; returns how many have.

        Raises:
            STOMPTimeout: fewer came within `timeout` seconds.
            STOMPClosed: the stream ended before.
        """
        arrived = threading.Event()
        forget = self.when(n, arrived.set)
        try:
            deadline = None if timeout is None else time.monotonic() + timeout
            while not arrived.is_set():
                left = WAIT_SLICE if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    break
                arrived.wait(min(left, WAIT_SLICE))
        finally:
            forget()
        if self.received >= n:
            return self.received
        if self.ended:
            reason = f": {self.error.Message}" if self.error else ""
            raise STOMPClosed(f"the stream ended when {self._came(n)}{reason}")
        raise self.too_few(n, timeout)

    def too_few(self, n: int, timeout: float | None) -> STOMPTimeout:
        """What `wait` raises when fewer than `n` frames have come within `timeout` seconds."""
        return STOMPTimeout(
            f"{self._came(n)} after {timeout or 0:g} s",
            hint="check the destination's name and that something sends to it",
        )

    def _came(self, n: int) -> str:
        return f"{self.received} of {n} frames had come"

    # -- tables out --------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.received - self.dropped

    @property
    def nbytes(self) -> int:
        """About how many bytes the table holds, without Python objects that were decoded."""
        with self._lock:
            rows = self._batch_bytes + self._tail_bytes + self._before_bytes
        return rows + self._columns.nbytes + self._records.nbytes

    @property
    def undecoded(self) -> int:
        """How many bodies were not what `decode` says, e.g. no JSON.

        Bodies are decoded when `df` is asked for, and here; rows that were dropped before are not
        counted.
        """
        _ = self.df
        return self._columns.undecoded

    @property
    def df(self) -> pd.DataFrame:
        """The rows as a DataFrame; later frames do not change it, and you may.

        Columns: ``received_at`` (UTC, microseconds), ``destination``, ``message_id``,
        ``content_type``, ``size`` (bytes of the body), ``body`` (see `decode`), where a body was
        not what `decode` says ``decode_error``, then one for each
        further header that occurs: a number where all its values are numbers, a time where it
        is called ``expires`` or ends in ``timestamp`` and all are epoch milliseconds. A header
        that is called like one of the first six has ``header_`` in front. Headers beyond the
        first 256 names are in ``more_headers``, as JSON. The index is the frame's number since
        the stream began.

        It costs what is new since it was asked for last, and shares the rest with the table.
        Values that bodies were decoded to are shared with other DataFrames: do not alter
        what is inside of them.
        """
        with self._looking:  # in here, so that who comes later sees more
            return self._columns.to_pandas(*self._all())

    @property
    def records(self) -> pd.DataFrame:
        """What the bodies say, as a DataFrame with one row for each record.

        A body is read by `decode`, and as with "auto" where that is "text" or "bytes". The items
        of an array are a record each; nested keys are joined by dots; what is no object, e.g. a
        number or text, is in ``value``. The columns ``frame`` (the number of the frame, an index in
        `df`) and ``received_at`` come first. Where a body could not be read, ``value`` has it as it
        came, and ``decode_error`` says why. A key of one of these names has ``record_`` in front.

        Types settle over time, as all values that are kept have it: whole numbers, floats, truth
        and ISO 8601 times also where they are written as text, and epoch times (seconds to
        nanoseconds, of this century) where the name says time, as in ``event.timestamp`` or
        ``createdAt``. Empty text is a gap in a column that is not text. Arrays are lists; values
        of different types stay as they are, as objects.

        It costs what is new since it was asked for last. Records of frames that were dropped before
        are not there, and the oldest go as well where their values take more than `max_bytes`. The
        index numbers the records.

        Example:
            >>> table = FrameTable()
            >>> body = b'[{"id": "1", "at": {"x": 2}}, {"id": "3"}]'
            >>> table.append(STOMPFrame("MESSAGE", {}, body))
            0
            >>> table.records.drop(columns="received_at")
               frame  id  at.x
            0      0   1     2
            1      0   3  <NA>
        """
        with self._looking:
            self._read_records()
            return self._records.to_pandas()

    def _no_records(self) -> Records:
        return Records(self.decoder, self.decode == "text", self.max_bytes)

    def _read_records(self) -> None:
        """Bring the records up to date; `_looking` is held."""
        part = self._part(self._records.next_frame, sys.maxsize)
        try:
            self._records.add(part.first, part.batches)
        except BaseException:  # Ctrl-C: a part of them may be in, and would come again
            self._records = self._no_records()
            raise
        self._records.drop_before(self.dropped)

    @property
    def decode_errors(self) -> dict[int, str]:
        """Why bodies could not be read for `records`, by the numbers of the frames kept."""
        with self._looking:
            self._read_records()
            return self._records.errors.copy()

    def record_news(self) -> list[str]:
        """Which keys of `records` have come new or vanished since this was asked for last."""
        with self._looking:
            return self._records.news()

    def arrow(self) -> pa.Table:
        """The rows as an Arrow table, headers as the text that they were; costs no copy.

        ``body`` is text as long as all bodies are, else binary: UTF-8 where it is text, whatever
        the charset it came in, and the octets that came where it is not. With a `decode` other
        than "text" it is not brought into UTF-8, and with "bytes" always binary.
        """
        return self._all()[0]

    def numbered(self) -> tuple[pa.Table, int]:
        """As `arrow`, with the number of the first row."""
        return self._all()

    def last(self, n: int, *, body: int | None = None) -> tuple[int, list[dict[str, object]]]:
        """The newest `n` rows, oldest first, with the number of the first of them.

        Bodies are as in `df`, but text where that has decoded values; with `body`, no more than
        their first so many characters, which is cheap also where they are large.
        """
        part = self._part(None, n)
        return part.first, listed(part.batches, self.decode, body)

    def rows(
        self, first: int, count: int, *, body: int | None = None
    ) -> tuple[int, list[dict[str, object]]]:
        """`count` rows from number `first` on, as `last` gives them; fewer where there are no more.

        Where the first have been dropped, those that are left from `dropped` on.

        Example:
            >>> table = FrameTable()
            >>> table.extend([STOMPFrame("MESSAGE", {}, body) for body in "abc"])
            0
            >>> first, rows = table.rows(1, 1)
            >>> first, [row["body"] for row in rows]
            (1, ['b'])
        """
        part = self._part(first, count)
        return part.first, listed(part.batches, self.decode, body)

    def frame(self, number: int) -> tuple[STOMPFrame, bool, int]:
        """The frame of that number, as a frame again.

        Returns:
            The frame; whether it is whole, as it came; and when that was, in nanoseconds since
            1970. One that is not whole was made from its row: its headers are not in their order,
            ``content-length``, ``subscription`` and ``ack`` are missing, and its time is in whole
            microseconds.

        Raises:
            LookupError: it has been dropped, or has not come yet.

        Example:
            >>> table = FrameTable()
            >>> table.append(STOMPFrame("MESSAGE", {"destination": "/topic/T"}, b"hello"))
            0
            >>> frame, whole, received_ns = table.frame(0)
            >>> frame.text, whole
            ('hello', True)
        """
        with self._lock:
            behind = self.received - len(self._tail)
            rows = self._tail if number >= behind else self._before
            place = number - behind + (0 if rows is self._tail else len(rows))
            if self.dropped <= number < self.received and place >= 0:
                return rows.frame(place), True, rows.arrivals[place]
        part = self._part(number, 1)
        if part.first != number or not part.batches:
            raise LookupError(self._missing(number))
        (batch,) = part.batches
        (row,) = batch.to_pylist()
        frame = frame_of(row, part.names.occurring, self.decode)
        return frame, False, batch.column("received_at")[0].value * 1000

    def frames(self) -> Iterator[tuple[int, STOMPFrame]]:
        """The frames that are kept at this moment, oldest first, and when each came.

        All are made from their rows, as `frame` does it where one is not whole. It costs 3 µs for
        each, and lets other threads append meanwhile.

        Example:
            >>> table = FrameTable()
            >>> table.append(STOMPFrame("MESSAGE", {"n": "1"}, b"hello"), 1_700_000_000_000_000_000)
            0
            >>> [(received_ns, frame.text) for received_ns, frame in table.frames()]
            [(1700000000000000000, 'hello')]
        """
        part = self._part(0, sys.maxsize)
        made = (frames_of(batch, part.names.occurring, self.decode) for batch in part.batches)
        return chain.from_iterable(made)

    def _missing(self, number: int) -> str:
        if number < 0:
            return f"no frame has the number {number}: they begin with 0"
        if number < self.dropped:
            return f"frame {number} is not kept any more: the oldest is {self.dropped}"
        return f"frame {number} has not come yet: {self.received} have, beginning with 0"

    def find(self, terms: Sequence[Term], first: int = 0, limit: int = 2000) -> Found:
        """The frames for which all `terms` are true, among those from number `first` on.

        It searches the rows that are kept at this moment, a million in about a second, and lets
        other threads go on. ``content-length``, ``subscription`` and ``ack`` are not in rows.

        Returns:
            The numbers of the newest `limit` that match, and how many do in all.

        Example:
            >>> table = FrameTable()
            >>> table.extend([STOMPFrame("MESSAGE", {"n": n}, "a price") for n in "123"])
            0
            >>> table.find([Term(None, "PRICE"), Term("n", "2.0", negated=True)])
            Found(numbers=[0, 2], total=2, first=0, end=3)
        """
        part = self._part(first, sys.maxsize)
        return search(part.batches, part.names.occurring, terms, part.first, limit)

    def _part(self, first: int | None, count: int) -> _Part:
        """Up to `count` rows from number `first` on, or the newest; copies nothing but the tail."""
        with self._lock:
            start = self.received - count if first is None else first
            start = min(max(start, self.dropped), self.received)
            end = min(start + max(count, 0), self.received)
            batches, number = list(self._batches), self.dropped - self._skip
            behind = self.received - len(self._tail)
            tail = self._tail.part(max(start - behind, 0), max(end - behind, 0))
            names = self._names.copy()
        parts = []
        for batch in batches:
            if number < end and start < number + batch.rows:
                skip = max(start - number, 0)
                parts.append(batch.data.slice(skip, end - number - skip))
            number += batch.rows
        if tail:
            parts.append(make_batch(tail, names, self.decode).data)
        return _Part(start, parts, names)

    def _all(self) -> tuple[pa.Table, int]:
        """All rows as a table, with the number of the first."""
        part = self._part(0, sys.maxsize)
        batches = part.batches or [make_batch(Rows(), part.names, self.decode).data]
        # Of the first batch, what kept the bodies from being text may have been dropped.
        batches[0] = with_text(batches[0], self.decode)
        return to_table(batches), part.first

    # -- what it amounts to ------------------------------------------------------------------

    @property
    def octets(self) -> int:
        """About how many octets of bodies and headers have come in all."""
        with self._lock:
            return self._sealed_octets + self._tail_bytes

    def rates(self) -> tuple[int, list[int]]:
        """The second (since 1970) of the newest frame, and the frames of each second up to it.

        Oldest first, 300 seconds at the most and no leading zeros; ``(0, [])`` before the first
        frame.
        """
        with self._lock:
            self._note_tail()
            return self._rates.read()

    @property
    def headers(self) -> dict[str, str]:
        """The column in `df` of each header that has occurred, in order of first occurrence.

        Without those that `df` does not have, and those beyond its first 256.

        Example:
            >>> table = FrameTable()
            >>> table.append(STOMPFrame("MESSAGE", {"message-id": "1", "size": "XL"}))
            0
            >>> table.headers
            {'message-id': 'message_id', 'size': 'header_size'}
        """
        with self._lock:
            self._note_tail()
            return self._names.occurring

    def _note_tail(self) -> None:
        """Count what is new in the tail: appending costs nothing for it."""
        self._rates.add(self._tail.arrivals[self._noted :])
        for shape in {id(shape): shape for shape in self._tail.shapes[self._noted :]}.values():
            self._names.learn(shape)
        self._noted = len(self._tail)


def _fulfil(wishes: Sequence[_Wish]) -> None:
    """Call what was asked for; whoever appends has nothing to do with an exception in there."""
    for wish in wishes:
        try:
            wish.callback()
        except Exception:
            _log.exception("what waited for %d frames failed", wish.n)
