"""A transaction as an object: what is said through it takes effect together, or never."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from stompy.errors import STOMPClosed, STOMPError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from stompy.client import STOMPClient
    from stompy.frame import STOMPFrame
    from stompy.receipt import Receipt


class STOMPTransaction:
    """Frames that take effect together at `commit`, or never after `abort` (STOMP 1.2, "BEGIN").

    Made by `STOMPClient.transaction`. As a context manager it commits at the end of the block,
    and aborts when the block raises.

    Example:
        >>> with client.transaction() as transaction:
        ...     transaction.message("/queue/Q", "part 1")
        ...     transaction.message("/queue/Q", "part 2")
    """

    def __init__(self, client: STOMPClient, transaction_id: str) -> None:
        self._client = client
        self.id = transaction_id
        self._connection = client._connection
        self._outcome: str | None = None

    def send(self, command: str, *args: Any, **kwargs: Any) -> Receipt | None:
        """As `STOMPClient.send`, inside the transaction."""
        return self._open().send(command, *args, **{**kwargs, "transaction": self.id})

    def message(self, destination: str, *args: Any, **kwargs: Any) -> Receipt | None:
        """As `STOMPClient.message`, inside the transaction."""
        return self._open().message(destination, *args, **{**kwargs, "transaction": self.id})

    def recv(self, *args: Any, **kwargs: Any) -> STOMPFrame | None:
        """As `STOMPClient.recv`; the ACK that it may send is part of the transaction."""
        return self._open().recv(*args, **{**kwargs, "transaction": self.id})

    def ack(self, ack: str | STOMPFrame, *args: Any, **kwargs: Any) -> Receipt | None:
        """As `STOMPClient.ack`, inside the transaction."""
        return self._open().ack(ack, *args, **{**kwargs, "transaction": self.id})

    def nack(self, ack: str | STOMPFrame, *args: Any, **kwargs: Any) -> Receipt | None:
        """As `STOMPClient.nack`, inside the transaction."""
        return self._open().nack(ack, *args, **{**kwargs, "transaction": self.id})

    def commit(self, receipt: bool | str = False) -> Receipt | None:
        """Make it all happen; returns the `Receipt` when one is asked for."""
        return self._end("COMMIT", "committed", receipt)

    def abort(self, receipt: bool | str = False) -> Receipt | None:
        """Make nothing of it happen; returns the `Receipt` when one is asked for."""
        return self._end("ABORT", "aborted", receipt)

    def _open(self) -> STOMPClient:
        if self._outcome:
            raise STOMPError(
                f"transaction {self.id} is {self._outcome} already",
                hint="begin another with client.transaction()",
            )
        if self._client._connection is not self._connection:
            raise STOMPClosed(f"transaction {self.id} has ended with its connection")
        return self._client

    def _end(self, command: str, outcome: str, receipt: bool | str) -> Receipt | None:
        client = self._open()
        self._outcome = outcome
        return client.send(command, transaction=self.id, receipt=receipt)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._outcome:
            return
        if kind is None:
            self.commit()
        else:
            with contextlib.suppress(STOMPClosed):  # the block's own error is the one to see
                self.abort()

    def __repr__(self) -> str:
        return f"<STOMPTransaction {self.id} {self._outcome or 'open'}>"
