"""A DataFrame into a destination: a message for each row, and which of them are confirmed."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from stompy import ReceiptOutcome, STOMPError
from stompy.receipt import RECEIPT_LIMIT
from stompy_jupyter.json_rows import columns_of, rows_json
from stompy_jupyter.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from stompy import Receipt
    from stompy_jupyter.json_rows import Column
    from stompy_jupyter.session import StompSession

WINDOW = 1000
"""So many rows may be on their way before the receipt of the first is waited for."""

CHUNK_ROWS = 1024
"""So many rows are made into messages at once."""

_OURS = frozenset({"destination", "receipt", "transaction"})
"""Headers that `send_frame` itself sets."""

SETTLE_LIMIT = 1.0
"""Seconds for which, after a failure, receipts of rows on their way are waited for."""


class SendFrameError(STOMPError):
    """Not all rows of a DataFrame were sent and confirmed; ``__cause__`` says why.

    Attributes:
        confirmed: how many rows are, from the first on and without a gap: where to `start` again.
        sent: how many rows had been sent; those from `confirmed` to here may have arrived or not.

    Example:
        >>> try:
        ...     session.send_frame(df, "/queue/orders")
        ... except SendFrameError as error:
        ...     session.wait_connected()
        ...     session.send_frame(df, "/queue/orders", start=error.confirmed)
    """

    confirmed: int
    sent: int


def send_frame(
    session: StompSession,
    data: Any,
    destination: str,
    *,
    headers: Mapping[str, Any] | None = None,
    header_columns: Sequence[str] = (),
    body: str | None = None,
    index: bool = False,
    start: int = 0,
    window: int = WINDOW,
    progress: bool = True,
    timeout: float | None = RECEIPT_LIMIT,
) -> int:
    """As `StompSession.send_frame`."""
    if window < 1:
        raise ValueError("a window has one row at the least")
    columns, rows = columns_of(data, index)
    if not 0 <= start <= rows:
        raise ValueError(f"start={start}: there are {rows} rows")
    messages = _Messages(columns, headers or {}, header_columns, body)
    sending = _Sending(session, destination, start, window, timeout)
    shown = Progress(f"to {destination}", rows, start, shown=progress)
    try:
        with shown:
            for first in range(start, rows, CHUNK_ROWS):
                for fields, octets in messages.of(first, min(first + CHUNK_ROWS, rows)):
                    sending.send(octets, fields)
                    shown.update(sending.done)
            while sending.unconfirmed:
                sending.confirm_first()
                shown.update(sending.done)
    except (STOMPError, OSError) as error:
        raise sending.failed(error, rows) from error
    except KeyboardInterrupt as interrupt:
        failure = sending.failed(STOMPError("interrupted"), rows)
        interrupt.add_note(str(failure))
        interrupt.confirmed, interrupt.sent = failure.confirmed, failure.sent  # type: ignore[attr-defined]
        raise
    return sending.done


class _Messages:
    """Rows as messages: headers and a body."""

    def __init__(
        self,
        columns: list[Column],
        headers: Mapping[str, Any],
        header_columns: Sequence[str],
        body: str | None,
    ) -> None:
        named = {column.name: column for column in columns}
        wanted = [header_columns] if isinstance(header_columns, str) else list(header_columns)
        for name in wanted if body is None else [*wanted, body]:
            if name not in named:
                raise ValueError(f"no column {name!r}; there are: {', '.join(named)}")
        for name in _OURS.intersection([*headers, *wanted]):
            raise ValueError(f"{name!r} cannot be among the headers: send_frame sets it")
        self._in_headers = [named[name] for name in wanted]
        self._body = None if body is None else named[body]
        self._in_body = [column for column in columns if column.name not in wanted]
        json_type = {} if self._body else {"content-type": "application/json"}
        self._headers = {**json_type, **headers}

    def of(self, first: int, end: int) -> Iterator[tuple[dict[str, Any], str | bytes]]:
        """The messages of rows `first` to `end`; all are made before the first is given."""
        bodies: Sequence[str | bytes]
        if self._body is not None:
            bodies = self._body.bodies(first, end)
        else:
            bodies = rows_json(self._in_body, first, end)
        if not self._in_headers:
            return ((self._headers, body) for body in bodies)
        names = [column.name for column in self._in_headers]
        values = zip(*(column.headers(first, end) for column in self._in_headers), strict=True)
        return (
            ({**self._headers, **dict(zip(names, row, strict=True))}, body)
            for row, body in zip(values, bodies, strict=True)
        )


class _Sending:
    """The rows on their way, in order.

    A receipt is also said to acknowledge all earlier frames (STOMP 1.2, "RECEIPT"), but only that
    the broker has received them, not what became of them. So each row asks for one of its own.

    Attributes:
        confirmed: how many rows are, from the first on.
        sent: how many rows have gone out, from the first on.
        unconfirmed: the receipts of those in between.
    """

    def __init__(
        self,
        session: StompSession,
        destination: str,
        start: int,
        window: int,
        timeout: float | None,
    ) -> None:
        self.confirmed = self.sent = self._start = start
        self.unconfirmed: deque[Receipt] = deque()
        self._session = session
        self._destination = destination
        self._window = window
        self._timeout = timeout
        # In a transaction the broker decides at COMMIT, and RabbitMQ keeps the receipts until then.
        self._in_transaction = session.open_transaction is not None

    @property
    def done(self) -> int:
        """How many rows are as far as they can be."""
        return self.sent if self._in_transaction else self.confirmed

    def send(self, body: str | bytes, headers: Mapping[str, Any]) -> None:
        """Send a row; when the window is full, wait until its first is confirmed."""
        # What was lost with a connection leaves a gap, and the session may be back by now.
        if self.unconfirmed and self.unconfirmed[0].outcome is ReceiptOutcome.Lost:
            self.confirm_first()
        wanted = not self._in_transaction
        receipt = self._session.send(self._destination, body, headers=headers, receipt=wanted)
        self.sent += 1
        if receipt is not None:
            self.unconfirmed.append(receipt)
        if len(self.unconfirmed) > self._window:
            self.confirm_first()

    def confirm_first(self) -> None:
        """Wait until the first row on its way is confirmed."""
        self.unconfirmed[0].wait(self._timeout)
        # In this order: an interrupt in between counts one too few, and none is left out.
        self.unconfirmed.popleft()
        self.confirmed += 1

    def failed(self, why: STOMPError | OSError, rows: int) -> SendFrameError:
        """The error that says how far it has come."""
        self._settle()
        reason = why.Message if isinstance(why, STOMPError) else str(why)
        call = f"send_frame(…, {self._destination!r}, start={self.confirmed})"
        if self._in_transaction:
            so_far, hint = "its transaction is to be aborted", f"{call} in another one"
        else:
            so_far = f"{self.confirmed:,} of {rows:,} rows are confirmed"
            hint = f"{call} goes on there"
            if unsure := self.sent - self.confirmed:
                hint += f"; of the next {unsure:,} some may arrive twice"
        if isinstance(why, STOMPError) and why.hint:
            hint = f"{why.hint}; {hint}"
        error = SendFrameError(f"{reason}; {so_far}", getattr(why, "Frame", None), hint=hint)
        error.confirmed, error.sent = self.confirmed, self.sent
        return error

    def _settle(self) -> None:
        """Take in the receipts that still come, so that as few rows as possible go twice."""
        deadline = time.monotonic() + SETTLE_LIMIT
        with contextlib.suppress(STOMPError, KeyboardInterrupt):  # who is impatient has them twice
            while self.unconfirmed:
                self._timeout = max(0.0, deadline - time.monotonic())
                self.confirm_first()
