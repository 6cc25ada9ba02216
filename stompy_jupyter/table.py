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
from typing import TYPE_CHECKING

from stompy import STOMPClosed, STOMPTimeout
from stompy_jupyter.batch import (
    BATCH_ROWS,
    Batch,
    HeaderNames,
    Rows,
    make_batch,
    to_table,
    without_first,
)
from stompy_jupyter.columns import Columns
from stompy_jupyter.decode import as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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


class FrameTable:
    """The frames of one stream, in order of arrival.

    Any thread may append while others look. At `max_rows` rows or `max_bytes` bytes the oldest
    go first; `dropped` counts them, so that ``received == dropped + len(table)`` always holds.

    Args:
        max_rows: how many rows are kept at the most.
        max_bytes: how many bytes of bodies and headers are kept, about: the oldest rows go by
            eighths of it.
        decode: what the bodies are in `df`: "text" where they decode, else bytes; "bytes", the
            octets as they came; "json", the value that a body is the JSON of, and where it is
            none the same as with "text".

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
        self, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES, decode: str = "text"
    ) -> None:
        if max_rows < 1 or max_bytes < 1:
            raise ValueError("a table holds one row and one byte at the least")
        self.max_rows = max_rows
        self.max_bytes = max_bytes
        self.decode = decode
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
        self._names = HeaderNames()
        self._wishes: list[_Wish] = []
        self._next_wish = _NEVER
        self._lock = threading.Lock()  # guards all of these
        self._columns = Columns(decode)
        self._looking = threading.Lock()  # guards this one; taken before the other

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
        self._tail, self._tail_bytes = Rows(), 0
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
            rows = self._batch_bytes + self._tail_bytes
        return rows + self._columns.nbytes

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
        ``content_type``, ``size`` (bytes of the body), ``body`` (see `decode`), then one for each
        further header that occurs: a number where all its values are numbers, a time where it
        is called ``expires`` or ends in ``timestamp`` and all are epoch milliseconds. A header
        that is called like one of the first six has ``header_`` in front. Headers beyond the
        first 256 names are in ``more_headers``, as JSON. The index is the frame's number since
        the stream began.

        It costs what is new since it was asked for last, and shares the rest with the table.
        Values that JSON bodies were decoded to are shared with other DataFrames: do not alter
        what is inside of them.
        """
        with self._looking:  # in here, so that who comes later sees more
            batches, first = self._snapshot()
            return self._columns.to_pandas(to_table(batches), first)

    def arrow(self) -> pa.Table:
        """The rows as an Arrow table, headers as the text that they were; costs no copy.

        ``body`` is text as long as all bodies are, else binary: UTF-8 where it is text, whatever
        the charset it came in, and the octets that came where it is not. With a `decode` other
        than "text" it is not brought into UTF-8, and with "bytes" always binary.
        """
        return to_table(self._snapshot()[0])

    def last(self, n: int) -> tuple[int, list[dict[str, object]]]:
        """The newest `n` rows, oldest first, with the number of the first of them.

        Bodies are as in `df`, but text where that has decoded values.
        """
        batches, first = self._snapshot(n)
        rows = [row for batch in batches for row in batch.data.to_pylist()]
        if self.decode != "bytes":
            for row in rows:
                if isinstance(row["body"], bytes):
                    kind = row["content_type"] if self.decode != "text" else None
                    row["body"] = as_text(row["body"], kind)
        return first, rows

    def _snapshot(self, newest: int | None = None) -> tuple[list[Batch], int]:
        """The rows, or the `newest` of them, with the number of the first; one batch at least."""
        with self._lock:
            batches, tail = list(self._batches), self._tail.newest(newest or BATCH_ROWS)
            end, skip, names = self.received, self._skip, self._names.copy()
        if tail or not batches:
            batches.append(make_batch(tail, names, self.decode))
        rows = sum(batch.rows for batch in batches) - skip
        if newest is not None and rows > newest:
            skip += rows - newest
            rows = newest
        while len(batches) > 1 and skip >= batches[0].rows:
            skip -= batches.pop(0).rows
        if skip:
            batches[0] = without_first(batches[0], skip, self.decode)
        return batches, end - rows


def _fulfil(wishes: Sequence[_Wish]) -> None:
    """Call what was asked for; whoever appends has nothing to do with an exception in there."""
    for wish in wishes:
        try:
            wish.callback()
        except Exception:
            _log.exception("what waited for %d frames failed", wish.n)
