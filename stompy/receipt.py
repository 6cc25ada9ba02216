"""A receipt as a value: the id that was asked for, and what became of it."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from stompy.errors import STOMPClosed, broker_error

if TYPE_CHECKING:
    from stompy.connection import Connection
    from stompy.frame import STOMPFrame

RECEIPT_LIMIT = 15.0
"""Seconds that `Receipt.wait` waits by default."""


class ReceiptOutcome(enum.StrEnum):
    """What became of a frame that asked for a receipt."""

    Pending = "pending"
    """Nothing is known yet."""
    Confirmed = "confirmed"
    """The broker has processed the frame."""
    Rejected = "rejected"
    """The broker answered it by an ERROR."""
    Lost = "lost"
    """The connection ended before: the frame was processed, or it was not."""


class Receipt(str):
    """The id of a receipt, as text, that can be waited for (STOMP 1.2, "RECEIPT").

    This is what sending with ``receipt=`` returns. The RECEIPT frame comes through `recv`,
    iteration or `loop`, unless somebody waits for it here.

    Example:
        >>> receipt = client.message("/queue/Q", "important", receipt=True)
        >>> receipt.wait(timeout=5)
        >>> receipt.outcome
        <ReceiptOutcome.Confirmed: 'confirmed'>
    """

    _connection: Connection | None = None
    _answer: STOMPFrame | None = None
    _kept = False  # whether the answer was left in the inbox
    _unclear: STOMPFrame | None = None  # the newest ERROR without a receipt-id that was said
    _waiting = False

    @property
    def outcome(self) -> ReceiptOutcome:
        """What is known now; reads nothing."""
        if self._answer is not None:
            confirmed = self._answer.Command == "RECEIPT"
            return ReceiptOutcome.Confirmed if confirmed else ReceiptOutcome.Rejected
        if self._connection is not None and self._connection.open:
            return ReceiptOutcome.Pending
        return ReceiptOutcome.Lost

    def wait(self, timeout: float | None = RECEIPT_LIMIT) -> None:
        """Wait until the broker has confirmed the frame.

        Frames that come meanwhile are kept for `recv`, iteration and `loop`. Some brokers (the
        simple broker of Spring) never send a receipt: after a STOMPTimeout the connection and the
        frame may be well.

        Args:
            timeout: seconds to wait at the most; None for as long as the connection lives.

        Raises:
            STOMPError: the broker sent an ERROR, which is in ``.Frame``: about this frame, or
                one that does not say about which (RabbitMQ never does). After the latter the
                receipt may still come, and can be waited for again.
            STOMPTimeout: no receipt came in time.
            STOMPClosed: the connection ended before; whether the frame was processed is not known.
        """
        if self._connection is not None:
            self._connection.wait_for(self, timeout)
        if self._answer is None:
            ended = self._connection and self._connection.close_reason
            why = f": {ended.Message}" if ended else ""
            raise STOMPClosed(f"the connection ended before the receipt {str(self)!r} came{why}")
        if self._answer.Command == "ERROR":
            raise broker_error(self._answer)

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """In another process, or in a copy, it is plain text."""
        return str, (str(self),)

    def __repr__(self) -> str:
        return f"<Receipt {str(self)!r} {self.outcome}>"
