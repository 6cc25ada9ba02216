"""StompSession: one connection, the one thread that reads it, its streams."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from traitlets import HasTraits, Unicode

from stompy import AckMode, ClientState, STOMPClient, STOMPClosed, STOMPError
from stompy.address import parse_addresses
from stompy.errors import broker_error
from stompy_jupyter.embedded import embedded_broker
from stompy_jupyter.stream import FrameStream
from stompy_jupyter.table import MAX_BYTES, MAX_ROWS, FrameTable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from stompy import Receipt, STOMPFrame

_log = logging.getLogger(__name__)

LEAVE_LIMIT = 2.0
"""Seconds that `disconnect` waits for the reading thread: to finish a message, and to end."""


class StompSession(HasTraits):
    """A connection whose frames stream into tables in the background.

    Args:
        address: as for `stompy.connect`. None takes the environment variable ``STOMPY_URL``, and
            without it the broker that is embedded in this process.
        name: what the session is called in lists.
        connect_arguments: handed to `stompy.connect`, e.g. ``login``, ``passcode``, ``vhost``.

    Example:
        >>> with StompSession(("127.0.0.1", 61613)) as session:
        ...     prices = session.subscribe("/topic/prices")
        ...     session.send("/topic/prices", "42.0", currency="EUR")
        ...     prices.wait(1)
        ...     prices.df
    """

    name = Unicode(read_only=True, help="what the session is called in lists")
    address = Unicode(read_only=True, help="the broker's address, host:port; never a passcode")

    def __init__(self, address: Any = None, *, name: str = "", **connect_arguments: Any) -> None:
        super().__init__()
        given = address if address is not None else os.environ.get("STOMPY_URL") or None
        self._addresses = parse_addresses(given) if given is not None else None
        self._arguments = connect_arguments
        self._reader: _Reader | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None
        self._streams: dict[str, FrameStream] = {}
        self._lock = threading.RLock()
        shown = ", ".join(map(str, self._addresses)) if self._addresses else "embedded broker"
        self.set_trait("address", shown)
        self.set_trait("name", name or shown)

    # -- connecting --------------------------------------------------------------------------

    def connect(self) -> Self:
        """Connect, and start reading in the background. Does nothing when it is connected.

        Raises:
            STOMPConnectError: no broker answered; it says which were tried and why not.
        """
        with self._lock:
            if self.connected:
                return self
            self.disconnect()  # what was lost may still have its thread
            client = STOMPClient()
            client.connect(self._addresses or embedded_broker().address, **self._arguments)
            self.set_trait("address", client.address)
            self._streams.clear()
            self._reader = reader = _Reader(client)
            reader.start()
            # The reading thread knows nothing of the session, so that a forgotten one can go; and
            # a goodbye without waiting, since the garbage collector may be who says it.
            self._finalizer = weakref.finalize(self, client.disconnect, timeout=0)
        return self

    def disconnect(self) -> None:
        """Say goodbye and close; the streams keep what they have received. Twice is fine."""
        with self._lock:
            if self._reader is not None:
                self._reader.leave()
            if self._finalizer is not None:
                self._finalizer.detach()

    @property
    def client(self) -> STOMPClient:
        """The client below; its frames are read by the session, it may be used to send.

        Raises:
            STOMPClosed: the session was never connected.
        """
        return self._live().client

    def _live(self) -> _Reader:
        if self._reader is None:
            raise STOMPClosed("the session is not connected", hint="connect() it first")
        return self._reader

    @property
    def connected(self) -> bool:
        """Whether the connection is up."""
        return self._reader is not None and self._reader.client.Connected

    @property
    def state(self) -> str:
        """``"connected"``, ``"disconnected"``, ``"lost"`` (the other side ended it), or
        ``"reconnecting"`` (with ``reconnect=True``: it is coming back)."""
        if self._reader is None:
            return "disconnected"
        client = self._reader.client
        if client.state is ClientState.Closed and client.close_reason is not None:
            return "lost"
        return "disconnected" if client.state is ClientState.Closed else client.state.value

    @property
    def received(self) -> int:
        """How many messages have come in on this connection."""
        return self._reader.received if self._reader else 0

    @property
    def last_error(self) -> STOMPError | None:
        """The newest ERROR of the broker, or why the connection was lost."""
        return self._reader.last_error if self._reader else None

    def __enter__(self) -> Self:
        return self.connect()

    def __exit__(self, *_: object) -> None:
        self.disconnect()

    # -- streams -----------------------------------------------------------------------------

    @property
    def streams(self) -> dict[str, FrameStream]:
        """The streams of this connection by their names (a copy)."""
        return dict(self._streams)

    def subscribe(
        self,
        destination: str,
        *,
        name: str | None = None,
        ack_mode: str | AckMode = AckMode.Auto,
        max_rows: int = MAX_ROWS,
        max_bytes: int = MAX_BYTES,
        headers: Mapping[str, Any] | None = None,
    ) -> FrameStream:
        """Stream the messages of a destination into a table, in the background.

        A stream of the same name is replaced: its subscription ends, its rows stay with it.

        Args:
            destination: e.g. ``"/topic/prices"``.
            name: what the stream is called; its destination when None.
            ack_mode: in the client modes a message is acknowledged when it is in the table.
            max_rows, max_bytes: the bounds of the table, see `FrameTable`.
            headers: more headers of SUBSCRIBE, e.g. a selector.

        Raises:
            STOMPClosed: the session is not connected.
        """
        with self._lock:
            reader = self._live()
            name = destination if name is None else name
            table = FrameTable(max_rows, max_bytes)
            mode = AckMode(ack_mode)
            if name in self._streams:
                self._streams[name].unsubscribe()
            reader.subscribe(table, destination, mode, headers or {})
            stream = FrameStream(self, name, destination, mode, table)
            self._streams[name] = stream
        return stream

    def unsubscribe(self, stream: FrameStream) -> None:
        """End the subscription of a stream; what it has received stays. Twice is fine."""
        with self._lock:
            if self._streams.get(stream.name) is stream:
                del self._streams[stream.name]
            if self._reader is not None:
                self._reader.unsubscribe(stream.table)

    def send(self, destination: str, body: str | bytes = b"", **kwargs: Any) -> Receipt | None:
        """Send a message; keywords become headers, as for `STOMPClient.message`.

        Returns:
            With ``receipt=True`` a `stompy.Receipt` that can be waited for, else None.
        """
        return self.client.message(destination, body, **kwargs)

    def __repr__(self) -> str:
        version = f", STOMP {self.client.version}" if self._reader else ""
        named = f" {self.name}:" if self.name != self.address else ""
        return f"<StompSession{named} {self.address} {self.state}{version}>"


class _Reader:
    """The thread that reads one connection and files its messages by subscription.

    It acknowledges a message itself, under the lock under which it files it: so who has seen a
    row, and unsubscribes or leaves, cannot overtake the row's ACK.
    """

    def __init__(self, client: STOMPClient) -> None:
        self.client = client
        self.received = 0
        self.last_error: STOMPError | None = None
        self._last_words: STOMPError | None = None  # an ERROR behind which nothing has come
        self._numbers = itertools.count(1)
        self._tables: dict[str, FrameTable] = {}
        self._acknowledged: set[str] = set()  # the subscriptions in the client modes
        self._filing = threading.Lock()  # guards these two
        name = f"stomp-reader-{client.address}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def leave(self) -> None:
        """Say goodbye; returns when the thread has ended, or soon at any rate."""
        if self._filing.acquire(timeout=LEAVE_LIMIT):
            self._filing.release()
        self.client.disconnect()
        if threading.current_thread() is not self._thread:
            self._thread.join(LEAVE_LIMIT)

    def subscribe(
        self, table: FrameTable, destination: str, mode: AckMode, headers: Mapping[str, Any]
    ) -> None:
        sub_id = f"stream-{next(self._numbers)}"
        with self._filing:
            # Entered before SUBSCRIBE goes out: its first MESSAGE may come at once.
            self._tables[sub_id] = table
            if mode is not AckMode.Auto:
                self._acknowledged.add(sub_id)
        try:
            self.client.subscribe(destination, mode, send_acks=False, headers=headers, id=sub_id)
        except BaseException:
            with self._filing:
                self._tables.pop(sub_id, None)
            raise

    def unsubscribe(self, table: FrameTable) -> None:
        with self._filing:
            sub_id = next((i for i, known in self._tables.items() if known is table), None)
            if sub_id is None:
                return
            del self._tables[sub_id]
        table.end()
        with contextlib.suppress(STOMPClosed):  # then it has ended with the connection
            self.client.unsubscribe(sub_id)

    def _run(self) -> None:
        failure: STOMPError | None = None
        try:
            self.client.loop(self._file)
            failure = self.client.close_reason
        except STOMPError as error:
            failure = error
        except Exception as error:
            _log.exception("the thread that reads %s failed", self.client)
            failure = STOMPError(f"reading failed: {error!r}")
        self.client.disconnect()
        if failure is not None:
            failure = self._last_words or failure
            self.last_error = failure
        with self._filing:
            tables, self._tables = self._tables, {}
        for table in tables.values():
            table.end(failure)

    def _file(self, client: STOMPClient, frame: STOMPFrame) -> None:
        arrival = time.time_ns()
        self._last_words = None
        if frame.Command == "ERROR":
            self.last_error = self._last_words = broker_error(frame)
        elif frame.Command == "MESSAGE":
            self.received += 1
            sub_id = frame.Headers.get("subscription", "")
            with self._filing:
                table = self._tables.get(sub_id)
                if table is None:  # unsubscribed while it was on its way
                    return
                table.append(frame, arrival)
                if sub_id in self._acknowledged:
                    with contextlib.suppress(STOMPClosed):  # the broker will send it again
                        client.ack(frame)
