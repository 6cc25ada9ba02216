"""FrameStream: one subscription and everything it has received."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import functools
import itertools
import os
import sys
from typing import TYPE_CHECKING, Any

from stompy import AckMode, STOMPClosed, STOMPError, STOMPTimeout, capture
from stompy_jupyter.callbacks import Callback
from stompy_jupyter.display import MAX_FRAMES, MAX_HTML, PREVIEW, frames_html, visible
from stompy_jupyter.export import to_csv, to_parquet
from stompy_jupyter.quality import quality
from stompy_jupyter.table import WAIT_SLICE
from stompy_jupyter.tally import GRACE, Tally
from stompy_jupyter.trace import FrameTrace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Literal

    import pandas as pd

    from stompy import STOMPFrame
    from stompy_jupyter.inlet import Inlet
    from stompy_jupyter.keep import Kept
    from stompy_jupyter.session import StompSession
    from stompy_jupyter.table import FrameTable

    Senders = Iterable[StompSession | FrameTrace]

_HINTS = {
    "paused": "the stream is paused: resume() it, or %stomp_resume",
    "reconnecting": "its connection was lost and is tried again: wait, or start the broker",
}

RATE_SPAN = 10
"""Seconds over which `FrameStream.stats` takes the rate."""


_numbers = itertools.count(1)


class FrameStream:
    """The frames of one subscription, arriving in the background.

    Made by `StompSession.subscribe`. It keeps what it has received after the subscription or the
    connection has ended.

    Attributes:
        id: tells it from all other streams of this process, also from those that are gone.
        name: what it is called in the notebook.
        session: the session it belongs to.
        sequence: the header by which its messages are counted, for `quality`; None looks for one.

    Example:
        >>> prices = session.subscribe("/topic/prices")
        >>> prices.wait(10, timeout=5)
        10
        >>> prices.df.tail()
    """

    def __init__(self, session: StompSession, name: str, inlet: Inlet) -> None:
        self.id = f"s{next(_numbers)}"
        self.session = session
        self.name = name
        self.sequence: str | None = None
        self._inlet = inlet
        self._tallies: tuple[Tally, ...] = ()

    # -- what has come -----------------------------------------------------------------------

    @property
    def destination(self) -> str:
        """What was subscribed to."""
        return self._inlet.destination

    @property
    def ack_mode(self) -> AckMode:
        """How its messages are acknowledged (STOMP 1.2, "SUBSCRIBE ack Header")."""
        return self._inlet.mode

    @property
    def table(self) -> FrameTable:
        """Its frames, as `df` and the Arrow interface show them."""
        return self._inlet.table

    @property
    def df(self) -> pd.DataFrame:
        """What has been received, as a DataFrame; see `FrameTable.df` for its columns."""
        return self.table.df

    @property
    def records(self) -> pd.DataFrame:
        """What the bodies say, as a DataFrame with one row for each record: see
        `FrameTable.records`. Keys that come new, or vanish, are noted in the session's journal.

        Example:
            >>> trains = session.subscribe("/topic/TRAIN_MVT_ALL_TOC")
            >>> trains.records.groupby("body.toc_id")["body.timetable_variation"].median()
        """
        records = self.table.records
        for news in self.table.record_news():
            self.session.journal.note("records", f"{self.name}: {news}")
        return records

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
    def state(self) -> Literal["live", "paused", "reconnecting", "ended"]:
        """``"live"``, ``"paused"`` (until `resume`), ``"reconnecting"`` (its connection was lost
        and is tried again), or ``"ended"``."""
        if not self.live:
            return "ended"
        if self._inlet.paused:
            return "paused"
        return "reconnecting" if self.session.state == "reconnecting" else "live"

    @property
    def error(self) -> STOMPError | None:
        """Why it ended, if that was a failure."""
        return self.table.error

    @property
    def stats(self) -> dict[str, int | float]:
        """Its numbers.

        ``received`` frames, of which ``kept`` are in the table and ``dropped`` are not any more;
        ``bytes`` that the table holds, about; ``rate``, frames a second over the last 10 s;
        ``unacknowledged`` frames that wait for `ack` or a callback; of the callbacks the ``calls``
        that have ended, the ``callback_errors`` among them, and the frames ``waiting`` for one;
        bodies ``undecoded``; the frames that are ``on_disk`` where the stream is kept.
        """
        callbacks = self._inlet.callbacks + self._inlet.former
        return {
            "received": self.received,
            "kept": len(self),
            "dropped": self.dropped,
            "bytes": self.table.nbytes,
            "rate": self._rate(),
            "unacknowledged": len(self.unacknowledged),
            "calls": sum(callback.calls for callback in callbacks),
            "callback_errors": sum(callback.errors for callback in callbacks),
            "waiting": sum(callback.waiting for callback in callbacks),
            "undecoded": self.table.undecoded,
            "on_disk": self._inlet.keeper.on_disk if self._inlet.keeper else 0,
        }

    def _rate(self) -> float:
        since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=RATE_SPAN)
        return int((self.df["received_at"] > since).sum()) / RATE_SPAN

    @property
    def kept(self) -> Kept | None:
        """What is kept of it on disk; None where nothing is to be."""
        return self._inlet.keeper.kept if self._inlet.keeper else None

    def confirm(self, timeout: float) -> None:
        """Wait until the broker has confirmed the subscription, or for `timeout` seconds.

        Some brokers never do, and all may be well then.

        Raises:
            STOMPError: the broker has refused it.
        """
        self._inlet.answered.wait(timeout)
        if self._inlet.refused and self.error is not None:
            raise self.error

    # -- waiting -----------------------------------------------------------------------------

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
        try:
            return self.table.wait(n, timeout)
        except STOMPTimeout as error:
            raise self._explained(error) from None

    def _explained(self, error: STOMPTimeout) -> STOMPTimeout:
        """A wait in vain, with what to try where the stream itself is the reason."""
        error.hint = _HINTS.get(self.state, error.hint)
        return error

    def read(self, n: int | None = None, seconds: float | None = None) -> int:
        """Receive `n` frames, or for so many `seconds`, whichever is over first; then unsubscribe.

        Returns:
            How many have come.

        Raises:
            STOMPClosed: the stream ended before.
            ValueError: neither is given.

        Example:
            >>> session.subscribe("/topic/prices").read(100, seconds=30)
            100
        """
        if n is None and seconds is None:
            raise ValueError("read() needs n or seconds: how many frames, or how long")
        try:
            self.wait(sys.maxsize if n is None else n, seconds)
        except STOMPTimeout:
            pass
        except STOMPClosed:
            if n is None:
                raise STOMPClosed(f"the stream ended early: {self._summary()}") from self.error
            raise
        finally:
            self.unsubscribe()
        return self.received

    async def wait_async(self, n: int = 1, timeout: float | None = 30.0) -> int:
        """As `wait`, for a cell or a coroutine that awaits, while the event loop goes on.

        Example:
            >>> await prices.wait_async(10, timeout=5)
            10
        """
        loop = asyncio.get_running_loop()
        arrived = asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
                loop.call_soon_threadsafe(arrived.set)

        forget = self.table.when(n, wake)
        try:
            deadline = None if timeout is None else loop.time() + timeout
            while not arrived.is_set():
                left = WAIT_SLICE if deadline is None else deadline - loop.time()
                if left <= 0 < n - self.received:
                    raise self._explained(self.table.too_few(n, timeout))
                # In slices: an interrupt of the kernel takes effect when the loop wakes.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(arrived.wait(), min(left, WAIT_SLICE))
        finally:
            forget()
        return self.table.wait(n, 0)

    # -- callbacks ---------------------------------------------------------------------------

    def on_frame(
        self,
        function: Callable[[STOMPFrame], Any],
        *,
        ack: bool = False,
        instead_of: Callable[[STOMPFrame], Any] | None = None,
    ) -> Callable[[STOMPFrame], Any]:
        """Have `function(frame)` called for each frame that comes from now on.

        All callbacks of a session run one after the other, on a thread of their own. When 10,000
        frames wait for them, or 64 MiB, the session reads no further until there is room. What
        they print goes to the cell that has called `on_frame`, and so does an exception: of each
        place the first is shown, all are counted in `stats`. What has been received when the stream
        ends is still given to them, but only for two seconds after `StompSession.disconnect`.

        Args:
            function: what to call. It may send, acknowledge, unsubscribe.
            ack: whether a frame is acknowledged when the function has returned, and refused by a
                NACK when it has raised (STOMP 1.0 has none). Needs a client mode. What a broker
                does with a NACK differs: RabbitMQ sends the message again, at once.
            instead_of: a function that was given here before. This one takes its place, and the
                frames that wait for it.

        Returns:
            The function, so that this is a decorator.

        Raises:
            STOMPClosed: the stream has ended.
            STOMPError: `ack` where nothing is to be acknowledged, or where a callback does it.

        Example:
            >>> @prices.on_frame
            ... def show(frame):
            ...     print(frame.text)
        """
        if not self.live:
            raise STOMPClosed(f"the stream {self.name} has ended", hint="subscribe again")
        before = [c for c in self._inlet.callbacks if c.function == instead_of]
        if ack:
            self._check_ack(before)
        for callback in before[:1]:
            callback.replace(function, ack)
        if not before:
            self._inlet.callbacks += (Callback(function, ack),)
        return function

    def _check_ack(self, before: list[Callback]) -> None:
        if self.ack_mode is AckMode.Auto:
            raise STOMPError(
                f"the messages of {self.name} are acknowledged by being sent (ack mode auto)",
                hint='subscribe with ack_mode="client-individual" (%stomp_subscribe … --ack)',
            )
        if self._inlet.keeper_acks:
            raise STOMPError(
                f"the messages of {self.name} are acknowledged when they are on disk (keep)",
                hint="on_frame(…) without ack, or another stream without keep",
            )
        if any(callback.acks for callback in self._inlet.callbacks if callback not in before):
            raise STOMPError(f"a callback of {self.name} acknowledges already")

    def off_frame(self, function: Callable[[STOMPFrame], Any]) -> None:
        """Call `function` no more, also not with the frames that wait for it.

        Those that it was to acknowledge are `unacknowledged`. Does nothing when it is not called.
        """
        ended = tuple(c for c in self._inlet.callbacks if c.function == function)
        for callback in ended:
            callback.active = False
        self._inlet.former += ended
        self._inlet.callbacks = tuple(c for c in self._inlet.callbacks if c.active)

    # -- acknowledging -----------------------------------------------------------------------

    @property
    def unacknowledged(self) -> list[int]:
        """The numbers (see `df.index`) of the frames that wait for `ack` or `nack`."""
        return self._inlet.unanswered

    @property
    def waiting(self) -> int:
        """How many frames are `unacknowledged`; costs the same however many there are."""
        return self._inlet.waiting

    @property
    def answers(self) -> bool:
        """Whether `ack` and `nack` are for whoever looks: nobody else is to acknowledge."""
        if not self.live or self.ack_mode is AckMode.Auto or self._inlet.callback_acks:
            return False
        return not self._inlet.send_acks or self.waiting > 0

    def awaits(self, number: int) -> bool:
        """Whether a frame is `unacknowledged`."""
        return self._inlet.awaits(number)

    def ack(self, *numbers: int) -> None:
        """Acknowledge frames by their numbers, else the oldest that waits (STOMP 1.2, "ACK").

        For a stream that was made with ``send_acks=False``. In the mode ``client`` an ACK covers
        all earlier frames, too. In a `StompSession.transaction` it takes effect with that.

        Raises:
            STOMPError: a frame does not wait for it, or none does.

        Example:
            >>> orders = session.subscribe(
            ...     "/queue/orders", ack_mode="client-individual", send_acks=False
            ... )
            >>> orders.wait(2)
            2
            >>> orders.ack(0)
            >>> orders.unacknowledged
            [1]
        """
        self._answer("ACK", numbers)

    def nack(self, *numbers: int) -> None:
        """Say that frames were not processed (STOMP 1.2, "NACK"); as `ack`."""
        self._answer("NACK", numbers)

    def _answer(self, command: Literal["ACK", "NACK"], numbers: tuple[int, ...]) -> None:
        waiting = self.unacknowledged
        numbers = numbers or tuple(waiting[:1])
        if not numbers:
            raise STOMPError(
                f"no frame of {self.name} waits to be acknowledged",
                hint="subscribe in a client mode, with send_acks=False",
            )
        for number in numbers:  # all or nothing: an answer cannot be taken back
            if number not in waiting:
                self._inlet.refuse(number)
        if self.ack_mode is AckMode.Client:  # the last covers the others
            numbers = (max(numbers),)
        for number in dict.fromkeys(numbers):
            take_back = self._inlet.answer(command, number, self.session.open_transaction)
            self.session.note_answer(take_back)

    # -- the end -----------------------------------------------------------------------------

    def pause(self) -> None:
        """End the subscription until `resume`; the table and the callbacks stay.

        A queue keeps its messages meanwhile; what a topic carries goes by, unless the subscription
        is durable. What was not acknowledged goes back to the queue and comes again; RabbitMQ does
        that when the session disconnects, not before. Twice is fine.

        Raises:
            STOMPClosed: the stream has ended.
        """
        self.session.pause(self)

    def resume(self) -> None:
        """Subscribe again after `pause`. Does nothing when it is not paused.

        Raises:
            STOMPClosed: the stream has ended.
        """
        self.session.resume(self)

    def unsubscribe(self) -> None:
        """End the subscription; what it has received stays. Twice is fine.

        A callback may do so: the subscription ends when it has returned.
        """
        self.session.unsubscribe(self)

    # -- keeping -----------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> int:
        """Write the frames of the table to a file that can be replayed, in the place of another.

        They are made from their rows: headers in another order, no ``content-length``,
        ``subscription`` or ``ack``, times in microseconds. See `stompy.capture`.

        Args:
            path: as ``"prices.stompcap"``; compressed if it ends in ``.gz``.

        Returns:
            How many frames it has.

        Raises:
            OSError: the file cannot be written; what was there is as it was.

        Example:
            >>> prices.save("prices.stompcap")
            1000
            >>> again = stompy_jupyter.replay("prices.stompcap", speed=10)
        """
        frames = self.table.frames()
        return capture.save(path, (capture.Entry(time_ns, "in", f) for time_ns, f in frames))

    # -- how well they came ------------------------------------------------------------------

    @property
    def quality(self) -> pd.DataFrame:
        """How well the frames that are kept have come, over time.

        A row is an interval, of 1 s, 10 s, 1 min, 10 min, 1 h or 1 day, so that there are no more
        than 300; `quality_by` takes another. Those without frames are there, too, up to now as long
        as the stream is live. The columns:

        - ``frames``, their ``rate`` per second, ``bytes`` of their bodies;
        - ``lag_median_ms``, ``lag_max_ms``: from the ``timestamp`` header to the arrival, in
          milliseconds; below zero where clocks differ;
        - ``gaps`` and how many numbers are ``missing`` in them, as far as they have not come since;
        - ``duplicates``: their number or id came before; ``out_of_order``: a greater number did;
        - ``restarts``: the numbers began anew, since the producer has, or they had no more digits;
        - ``redelivered``: those that the broker says it had delivered before;
        - ``decode_errors``: bodies that are not what the stream decodes.

        The numbers are those of the header `sequence`, else of the first that is called like one
        (SequenceNumber, PushPortSequence, session-sequence-nr, sequence, seq, x-stream-offset, …)
        and holds nothing but whole numbers; each destination has its own sequence. A number that is
        more than 100,000 away from the one before restarts it, and so does a fall by more than
        1,000, or to 0 or 1, from where the next number goes on; nothing is missing then.

        Where there is no such header, it is the ``message-id``: one that comes again is a
        duplicate, and ActiveMQ's (``ID:…:5``) count the messages of each producer, wherever it
        sends them to. So what goes to other destinations, or other consumers of a queue, is missing
        as well. RabbitMQ's ids count deliveries and say nothing.

        Example:
            >>> prices.quality[["rate", "lag_max_ms", "missing"]].plot(subplots=True)
        """
        return self.quality_by()

    def quality_by(
        self, every: str | datetime.timedelta | None = None, *, sequence: str | None = None
    ) -> pd.DataFrame:
        """As `quality`, by intervals of this length, and perhaps another header.

        Args:
            every: e.g. ``"10s"``, ``"5min"``; None chooses.
            sequence: the header by which messages are counted; None takes `FrameStream.sequence`.

        Raises:
            ValueError: `every` is no length of time, or far too short; or no frame has the header.
        """
        frames, first = self.table.numbered()
        live = self.live and not self.session.replays
        until = datetime.datetime.now(datetime.UTC) if live else None
        return quality(
            frames,
            every,
            sequence=sequence or self.sequence,
            first=first,
            errors=self.table.decode_errors,
            until=until,
        )

    def tally(
        self,
        by: str | None = None,
        senders: Senders | Callable[[], Senders] = (),
        grace: float = GRACE,
    ) -> Tally:
        """Count from now on what is sent to its destination against what comes of it.

        The widget shows the newest that was not stopped.

        Args:
            by: the header by which messages are told from each other; None: their bodies.
            senders: the sessions that send, or their traces, or a function that gives those that
                there are, in any thread; by default its own session.
            grace: seconds in which a message that was sent is on its way, and not lost.

        Raises:
            STOMPClosed: the stream has ended.
            STOMPError: it is a replay: nobody sends.
            ValueError: an argument is none of those that are possible.

        Example:
            >>> tally = prices.tally(by="n")
            >>> tally.counts.lost, tally.counts.doubled
            (1, 2)
        """
        if self.session.replays:
            raise STOMPError(
                "nothing is sent to a replay", hint="stream.quality says which numbers are missing"
            )
        if not self.live:
            raise STOMPClosed(f"the stream {self.name} has ended", hint="subscribe again")
        given = senders if callable(senders) else tuple(senders) or (self.session,)
        tally = Tally(self._inlet, self.session.trace, functools.partial(_traces, given), by, grace)
        self._tallies = (*self.tallies, tally)
        return tally

    @property
    def tallies(self) -> tuple[Tally, ...]:
        """The tallies that were not stopped, the newest last."""
        return tuple(tally for tally in self._tallies if not tally.stopped)

    # -- files -------------------------------------------------------------------------------

    def to_parquet(self, path: str | os.PathLike[str], *, progress: bool = True) -> int:
        """Write what `df` shows as Parquet: times as times, numbers as numbers.

        pandas reads it back as it was, index and all. A body is text where all bodies are, octets
        where some are no text; decoded values are JSON. What JSON has no form for is written as
        text, octets in there as ``{"base64": …}``. The file takes the place of another when it is
        whole and on disk.

        Args:
            path: the file; its folder must be there.
            progress: whether to show a line that says how far it is, when it takes longer.

        Returns:
            How many rows it has.

        Raises:
            OSError: the file cannot be written; what was there is as it was.

        Example:
            >>> prices.to_parquet("prices.parquet")
            20000
        """
        return to_parquet(self.df, path, progress=progress)

    def to_csv(self, path: str | os.PathLike[str], *, progress: bool = True) -> int:
        """Write what `df` shows as CSV (RFC 4180, in UTF-8); as `to_parquet`.

        All text is in quotes, so that it may hold commas, quotes, line ends and NUL; lines end in
        LF. A header that a message has not is nothing, one that is empty is ``""``. Where bodies
        are octets, those that are UTF-8 are in ``body`` and the others in ``body_base64``.

        Example:
            >>> prices.to_csv("prices.csv")
            20000
        """
        return to_csv(self.df, path, progress=progress)

    # -- showing -----------------------------------------------------------------------------

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        """The Arrow PyCapsule interface: polars, DuckDB and pandas read a stream directly."""
        return self.table.arrow().__arrow_c_stream__(requested_schema)

    def _summary(self) -> str:
        dropped = f", {self.dropped:,} dropped" if self.dropped else ""
        why = f", {self.error.Message}" if self.error else ""
        kept = f", kept: {self._inlet.keeper.summary}" if self._inlet.keeper else ""
        numbers = f"{self.received:,} frames{dropped}, {self.state}{kept}{why}"
        return visible(f"{self.destination}: {numbers}")

    def __repr__(self) -> str:
        return f"<FrameStream {self._summary()}>"

    def _repr_html_(self, frames: int = MAX_FRAMES, limit: int = MAX_HTML) -> str:
        first, rows = self.table.last(frames, body=PREVIEW + 1)
        return frames_html(first, rows, self._summary(), limit)


def _traces(senders: Senders | Callable[[], Senders]) -> list[FrameTrace]:
    """The traces of those who send."""
    given = senders() if callable(senders) else senders
    return [sender if isinstance(sender, FrameTrace) else sender.trace for sender in given]
