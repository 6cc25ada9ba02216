"""FrameStream: one subscription and everything it has received."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stompy_jupyter.display import FRAME_COLUMNS, frame_rows, html_table, visible

if TYPE_CHECKING:
    import pandas as pd

    from stompy import AckMode, STOMPError
    from stompy_jupyter.session import StompSession
    from stompy_jupyter.table import FrameTable


class FrameStream:
    """The frames of one subscription, arriving in the background.

    Made by `StompSession.subscribe`. It keeps what it has received after the subscription or the
    connection has ended.

    Attributes:
        name: what it is called in the notebook.
        destination: what was subscribed to.
        table: its `FrameTable`.
        session: the session it belongs to.

    Example:
        >>> prices = session.subscribe("/topic/prices")
        >>> prices.wait(10, timeout=5)
        10
        >>> prices.df.tail()
    """

    def __init__(
        self,
        session: StompSession,
        name: str,
        destination: str,
        ack_mode: AckMode,
        table: FrameTable,
    ) -> None:
        self.session = session
        self.name = name
        self.destination = destination
        self.ack_mode = ack_mode
        self.table = table

    @property
    def df(self) -> pd.DataFrame:
        """What has been received, as a DataFrame; see `FrameTable.df` for its columns."""
        return self.table.df

    def __len__(self) -> int:
        """How many frames are kept, that is, how many rows `df` has."""
        return len(self.table)

    def __bool__(self) -> bool:
        """A stream is true, also one that has received nothing yet."""
        return True

    @property
    def received(self) -> int:
        """How many frames have come in all."""
        return self.table.received

    @property
    def dropped(self) -> int:
        """How many of them are not kept any more, because the table is bounded."""
        return self.table.dropped

    @property
    def live(self) -> bool:
        """Whether more can come: neither the subscription nor the connection has ended."""
        return not self.table.ended

    @property
    def error(self) -> STOMPError | None:
        """Why it ended, if that was a failure."""
        return self.table.error

    def wait(self, n: int = 1, timeout: float | None = 30.0) -> int:
        """Wait until `n` frames have come in all, counted from the beginning of the stream.

        Args:
            n: how many.
            timeout: seconds to wait at the most; None waits as long as the stream lives.

        Returns:
            How many have come.

        Raises:
            STOMPTimeout: fewer came in time.
            STOMPClosed: the stream ended before.
        """
        return self.table.wait(n, timeout)

    def unsubscribe(self) -> None:
        """End the subscription; what it has received stays. Twice is fine."""
        self.session.unsubscribe(self)

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        """The Arrow PyCapsule interface: polars, DuckDB and pandas read a stream directly."""
        return self.table.arrow().__arrow_c_stream__(requested_schema)

    def _summary(self) -> str:
        state = "live" if self.live else "ended"
        dropped = f", {self.dropped:,} dropped" if self.dropped else ""
        why = f", {self.error.Message}" if self.error else ""
        return visible(f"{self.destination}: {self.received:,} frames{dropped}, {state}{why}")

    def __repr__(self) -> str:
        return f"<FrameStream {self._summary()}>"

    def _repr_html_(self) -> str:
        return html_table(FRAME_COLUMNS, frame_rows(*self.table.last(10)), self._summary())
