"""StompSession: one connection, the one thread that reads it, its streams."""

from __future__ import annotations

import contextlib
import functools
import html
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, ClassVar

from traitlets import HasTraits, Instance, Unicode

from stompy import AckMode, STOMPClient, STOMPClosed, STOMPError, STOMPTimeout
from stompy.address import parse_addresses
from stompy.dialect import dialect_of
from stompy.receipt import RECEIPT_LIMIT
from stompy_jupyter.amounts import Rotation
from stompy_jupyter.display import visible
from stompy_jupyter.embedded import embedded_broker
from stompy_jupyter.inlet import Inlet
from stompy_jupyter.journal import Journal
from stompy_jupyter.keep import PREFETCH, Keeper
from stompy_jupyter.reader import Reader
from stompy_jupyter.sending import WINDOW, send_frame
from stompy_jupyter.sequence import FrameSequence, Lane
from stompy_jupyter.stream import FrameStream
from stompy_jupyter.table import MAX_BYTES, MAX_ROWS, WAIT_SLICE, FrameTable
from stompy_jupyter.trace import FrameTrace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Self

    from stompy import Receipt, STOMPTransaction
    from stompy.address import Address


class StompSession(HasTraits):
    """A connection whose frames stream into tables in the background.

    A connection that was lost comes back by itself, with its streams, unless ``reconnect=False``
    is among the arguments; `state` says how it is. Observers of its traits are called in whichever
    thread has noticed the change.

    Args:
        address: as for `stompy.connect`. None takes the environment variable ``STOMPY_URL``, and
            without it the broker that is embedded in this process.
        name: what the session is called in lists.
        connect_arguments: handed to `stompy.connect`, e.g. ``login``, ``passcode``, ``vhost``,
            ``heart_beat``, ``ca_file``.

    Example:
        >>> with StompSession(("127.0.0.1", 61613)) as session:
        ...     prices = session.subscribe("/topic/prices")
        ...     session.send("/topic/prices", "42.0", currency="EUR")
        ...     prices.wait(1)
        ...     prices.df
    """

    replays: ClassVar[bool] = False
    """Whether its frames had come before: then ``received_at`` is of that time."""

    name = Unicode(read_only=True, help="what the session is called in lists")
    address = Unicode(read_only=True, help="the broker's address, host:port; never a passcode")
    state = Unicode(
        "disconnected",
        read_only=True,
        help='"connected", "disconnected", "reconnecting" (it was lost, and is tried again), or '
        '"lost" (the other side ended it, and it does not come back)',
    )
    last_error = Instance(
        STOMPError,
        allow_none=True,
        read_only=True,
        help="the newest ERROR of the broker, or why the connection was lost; None at a new one",
    )

    def __init__(self, address: Any = None, *, name: str = "", **connect_arguments: Any) -> None:
        super().__init__()
        self._addresses = self._parsed(address)
        self._arguments = {"reconnect": True, **connect_arguments}
        if isinstance(passcode := connect_arguments.get("passcode"), str):
            self._arguments["passcode"] = _Secret(passcode)
        self._reader: Reader | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None
        self._streams: dict[str, FrameStream] = {}
        self._sent = 0
        self._lock = threading.RLock()  # guards the streams and which reader there is
        self._thread = threading.local()  # knows the transaction that a thread has open
        secrets = self._secrets()
        self._journal = Journal(functools.partial(_without, secrets))
        self._trace = FrameTrace(secrets)
        shown = ", ".join(map(str, self._addresses)) if self._addresses else "embedded broker"
        self.set_trait("address", shown)
        self.set_trait("name", name or shown)
        self._trace.name = self.name

    def _parsed(self, address: Any) -> list[Address] | None:
        """Where to connect to; None: to the embedded broker."""
        given = address if address is not None else os.environ.get("STOMPY_URL") or None
        return parse_addresses(given) if given is not None else None

    def _new_reader(self, on_change: Callable[[], None]) -> Reader:
        """What reads the next connection."""
        return Reader(on_change, self._journal)

    def _target(self) -> Any:
        """What it connects to."""
        return self._addresses or embedded_broker().address

    def _secrets(self) -> list[_Secret]:
        """The passcodes of this session; one that is the login as well is no secret."""
        who = [(self._arguments.get("login"), self._arguments.get("passcode"))]
        who += [(address.login, address.passcode) for address in self._addresses or ()]
        return [
            _Secret(code)
            for login, code in who
            if isinstance(code, str) and code not in ("", login)
        ]

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
            this: weakref.ref[StompSession] = weakref.ref(self)
            reader = self._new_reader(lambda: _note(this, reader))
            try:
                traced = self._trace.beside(self._arguments.get("trace"))
                reader.connect(self._target(), {**self._arguments, "trace": traced})
            except STOMPError as error:
                if error.Frame is None:
                    self._journal.note("error", error.Message)
                else:
                    self._journal.note_error(error.Frame)
                raise
            self.set_trait("address", reader.client.address)
            self._streams.clear()
            self._reader = reader
            self._note(reader)
            # The reading thread knows nothing of the session, so that a forgotten one can go; and
            # a goodbye without waiting, since the garbage collector may be who says it.
            self._finalizer = weakref.finalize(self, reader.client.disconnect, timeout=0)
        return self

    def wait_connected(self, timeout: float | None = 30.0) -> None:
        """Wait until a connection that was lost is back. Returns at once when it is there.

        Args:
            timeout: seconds to wait at the most; None waits as long as it is tried.

        Raises:
            STOMPTimeout: it is not back in time.
            STOMPClosed: it does not come back, or was never there.
        """
        changed = threading.Event()
        self.observe(wake := lambda _: changed.set(), "state")
        try:
            deadline = None if timeout is None else time.monotonic() + timeout
            while self.state == "reconnecting":
                left = WAIT_SLICE if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    raise STOMPTimeout(
                        f"the connection to {self.address} is not back after {timeout:g} s",
                        hint="it is tried on; session.state says when it is back",
                    )
                changed.wait(min(left, WAIT_SLICE))
                changed.clear()
        finally:
            self.unobserve(wake, "state")
        self._live()

    def disconnect(self) -> None:
        """Say goodbye and close; the streams keep what they have received. Twice is fine.

        Callbacks may finish what waits for them, for two seconds at the most.
        """
        reader, finalizer = self._reader, self._finalizer
        if reader is not None:
            reader.leave()
            self._note(reader)
        if finalizer is not None:
            finalizer.detach()

    def _note(self, reader: Reader) -> None:
        """Bring the traits up to date, unless there is another connection by now."""
        # Again, when another thread has noticed something else meanwhile: the last word counts.
        while reader is self._reader and self.state != (state := reader.state):
            self.set_trait("state", state)
        if reader is self._reader and self.last_error is not reader.last_error:
            self.set_trait("last_error", reader.last_error)

    @property
    def client(self) -> STOMPClient:
        """The client below; its frames are read by the session, it may be used to send.

        Raises:
            STOMPClosed: the session was never connected.
        """
        return self._live().client

    def _live(self) -> Reader:
        if self._reader is None:
            raise STOMPClosed("the session is not connected", hint="connect() it first")
        return self._reader

    @property
    def connected(self) -> bool:
        """Whether the connection is up."""
        return self._reader is not None and self._reader.client.Connected

    @property
    def alive(self) -> bool:
        """Whether frames may still come: it is connected, or was lost and is tried again."""
        return self.state in ("connected", "reconnecting")

    @property
    def received(self) -> int:
        """How many messages have come in since `connect`."""
        return self._reader.received if self._reader else 0

    @property
    def sent(self) -> int:
        """How many messages `send` has sent, with those of transactions that aborted."""
        return self._sent

    @property
    def reconnects(self) -> int:
        """How often the connection was lost and came back since `connect`."""
        return self._reader.reconnects if self._reader else 0

    @property
    def journal(self) -> Journal:
        """What has happened to it: when it was connected and lost, what was subscribed and refused,
        the ERRORs of the broker in full; the newest 200 entries."""
        return self._journal

    @property
    def trace(self) -> FrameTrace:
        """Every frame and heart-beat of it, both ways, with octets and times; the newest 10,000.

        Example:
            >>> session.trace.df[["direction", "command", "destination"]]
        """
        return self._trace

    def sequence(
        self,
        last: int | None = None,
        *,
        start: int | None = None,
        stop: int | None = None,
        also: Iterable[StompSession] = (),
    ) -> FrameSequence:
        """The frames as a sequence diagram, in which receipts, answers and transactions are joined.

        Args:
            last: so many lines, the newest: 40, or all where there is a `start`.
            start, stop: frames of `trace` from a number on, and up to, without, another.
            also: other sessions, each a lane of its own.

        Example:
            >>> session.sequence(10)
            >>> consumer.sequence(also=[producer])
        """
        sessions = list(dict.fromkeys([self, *also]))
        return FrameSequence(
            [each.as_lane() for each in sessions],
            last,
            start=start,
            stop=stop,
            title=f"frames of {self.name}",
        )

    def as_lane(self) -> Lane:
        """This session in a sequence diagram."""
        name = self.name if self.name != self.address else "client"
        return Lane(name, self._trace.newest(), not self.connected)

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
        send_acks: bool = True,
        max_rows: int = MAX_ROWS,
        max_bytes: int = MAX_BYTES,
        decode: str | Callable[[Any], object] = "text",
        keep: str | os.PathLike[str] | None = None,
        rotate: str | Iterable[str] | Rotation = Rotation(),  # noqa: B008 - it is frozen
        headers: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> FrameStream:
        """Stream the messages of a destination into a table, in the background.

        A stream of the same name is replaced: its subscription ends, its rows stay with it.

        Args:
            destination: e.g. ``"/topic/prices"``.
            name: what the stream is called; its destination when None.
            ack_mode: in the client modes a message is acknowledged when it is in the table,
                unless a callback does it (`FrameStream.on_frame`),
            send_acks: or this is False: then `FrameStream.ack` and `FrameStream.nack` do it.
            max_rows, max_bytes, decode: of the table, see `FrameTable`.
            keep: a folder: all frames are written to a Parquet dataset there, also those that the
                table drops. They are on disk after about a second; what a crash has left in an open
                file is found by the next that keeps there, or by `stompy_jupyter.keep.recover`. In
                the client modes a message is acknowledged when it is on disk; the prefetch is
                2,000 there unless it is given.
            rotate: when a file of it is full: a time, a size, or both, e.g. ``"10min,100MB"``; at
                the end of an hour in any case. The size is that of bodies and headers.
            headers: more headers of SUBSCRIBE.
            options: ``prefetch``, ``selector``, ``durable``, see `stompy.STOMPClient.subscribe`.

        Raises:
            STOMPClosed: the session is not connected.
            STOMPError: the broker does not know an option, or `keep` cannot be written to.
            ValueError: an argument is none of those that are possible.
        """
        full = Rotation.of(rotate)
        with self._lock:
            reader = self._live()
            name = destination if name is None else name
            table = FrameTable(max_rows, max_bytes, decode)
            asked = {**options, "headers": headers or {}}
            mode, keeper = AckMode(ack_mode), None
            if keep is not None:
                acks = send_acks and mode is not AckMode.Auto
                window = _window(asked, reader.client.server) if acks else None
                keeper = Keeper(keep, full, window)
            inlet = Inlet(reader.client, table, destination, mode, send_acks, asked, keeper)
            replaced = self._streams.get(name)
            durable = options.get("durable") and dialect_of(reader.client.server).durable
            if replaced is not None and durable:  # its name may be in use but once
                replaced.unsubscribe()
            reader.keep(inlet, name)
            try:
                reader.subscribe(inlet, name)
            except BaseException:
                if keeper is not None:
                    keeper.close()
                raise
            stream = FrameStream(self, name, inlet)
            self._streams[name] = stream
        if replaced is not None:  # now that the new one is there; it may have been refused
            replaced.unsubscribe()
        return stream

    def unsubscribe(self, stream: FrameStream) -> None:
        """End the subscription of a stream; what it has received stays. Twice is fine."""
        with self._lock:
            if self._streams.get(stream.name) is stream:
                del self._streams[stream.name]
        if self._reader is not None:
            self._reader.end(stream._inlet)

    def pause(self, stream: FrameStream) -> None:
        """As `FrameStream.pause`."""
        self._of_a_live(stream).pause(stream._inlet)

    def resume(self, stream: FrameStream) -> None:
        """As `FrameStream.resume`."""
        reader = self._of_a_live(stream)
        if stream.state == "paused":
            reader.subscribe(stream._inlet, stream.name)

    def _of_a_live(self, stream: FrameStream) -> Reader:
        if not stream.live:
            raise STOMPClosed(f"the stream {stream.name} has ended", hint="subscribe again")
        return self._live()

    # -- sending -----------------------------------------------------------------------------

    def send(self, destination: str, body: str | bytes = b"", **kwargs: Any) -> Receipt | None:
        """Send a message; keywords become headers, as for `STOMPClient.message`.

        In a thread that has a `transaction` open it is part of that.

        Returns:
            With ``receipt=True`` a `stompy.Receipt` that can be waited for, else None.
        """
        return self.send_by(self.open_transaction or self.client, destination, body, **kwargs)

    def send_by(
        self, sender: STOMPClient | STOMPTransaction, *args: Any, **kwargs: Any
    ) -> Receipt | None:
        """As `send`, by a transaction that is not this thread's, and counted all the same."""
        receipt = sender.message(*args, **kwargs)
        self._sent += 1
        return receipt

    def send_octets(self, octets: bytes) -> None:
        """Send octets as they are, right or wrong: for frames typed by hand.

        Raises:
            STOMPClosed: the session is not connected.
        """
        self.client.send_octets(octets)

    def send_frame(
        self,
        df: Any,
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
        """Send each row of a DataFrame as a message, and wait until the broker has confirmed them.

        A row becomes a JSON object of its columns: numbers, text, booleans, lists and dicts as
        they are, null for NA, NaN and NaT, ISO 8601 for times (those with a zone in UTC) and for
        lengths of time (``P0DT0H1M30S``). What has no such form, as Decimal, octets and infinity,
        is refused before anything of its row is sent.

        Each row has a receipt of its own. When rows fail, by an ERROR of the broker, a lost
        connection, or Ctrl-C, what was on its way is not sent again by itself: the error says from
        where on it may be. A connection that is lost while nothing is on its way comes back.
        In a thread that has a `transaction` open the rows are part of that: no receipts, and
        nothing is confirmed before its COMMIT is (``transaction(receipt=True)``).

        Args:
            df: a pandas DataFrame, or what Arrow can read: of polars, of pyarrow, a `FrameStream`.
            headers: the same for all messages; ``{"persistent": "true"}`` for those that are to
                outlive the broker.
            header_columns: columns that become headers of the same names, and are not in the body.
            body: a column of text or octets that is the body as it is, instead of JSON.
            index: whether the index of a pandas DataFrame is sent, too.
            start: how many rows are left out, because they were sent before.
            window: so many rows may be on their way before the first of them has to be confirmed.
            progress: whether to show a line that says how far it is, when it takes longer.
            timeout: seconds to wait for a receipt.

        Returns:
            How many rows are confirmed, with those before `start`: all. In a transaction: are sent.

        Raises:
            SendFrameError: not all are; its ``confirmed`` is where to `start` again. A
                KeyboardInterrupt has this attribute, too.
            ValueError: it is no DataFrame, or an argument does not fit it.

        Example:
            >>> session.send_frame(df, "/queue/orders", header_columns=["symbol"])
            20000
        """
        return send_frame(
            self,
            df,
            destination,
            headers=headers,
            header_columns=header_columns,
            body=body,
            index=index,
            start=start,
            window=window,
            progress=progress,
            timeout=timeout,
        )

    @contextlib.contextmanager
    def transaction(self, *, receipt: bool = False) -> Iterator[STOMPTransaction]:
        """What this thread sends and acknowledges in the block takes effect together at its end.

        When the block raises, nothing of it does (STOMP 1.2, "BEGIN").

        Args:
            receipt: whether to wait until the broker has confirmed the COMMIT.

        Raises:
            STOMPError: this thread has a transaction open, or the broker refused this one.
            STOMPClosed: the connection is not there, or was lost meanwhile.

        Example:
            >>> with session.transaction():
            ...     session.send("/queue/orders", "part 1")
            ...     session.send("/queue/orders", "part 2")
        """
        if self.open_transaction is not None:
            raise STOMPError("a transaction is open already", hint="one ends before the next")
        answers: list[Callable[[], None]] = []
        self._thread.answers = answers
        with self.client.transaction() as transaction:
            self._thread.transaction = transaction
            try:
                yield transaction
            except BaseException:
                for take_back in answers:
                    take_back()
                raise
            finally:
                self._thread.transaction = None
            confirmed = transaction.commit(receipt)
        if confirmed is not None:
            confirmed.wait()

    def note_answer(self, take_back: Callable[[], None]) -> None:
        """Note what is to be done with an answer if the open transaction aborts."""
        if self.open_transaction is not None:
            self._thread.answers.append(take_back)

    @property
    def open_transaction(self) -> STOMPTransaction | None:
        """The transaction that this thread has open in this session."""
        return getattr(self._thread, "transaction", None)

    # -- showing -----------------------------------------------------------------------------

    def __repr__(self) -> str:
        version = f", STOMP {self.client.version}" if self._reader else ""
        named = f" {self.name}:" if self.name != self.address else ""
        return visible(f"<StompSession{named} {self.address} {self.state}{version}>")

    def _repr_html_(self) -> str:
        message = self._journal.masked(self.last_error.Message) if self.last_error else ""
        error = f"<br>{html.escape(visible(message))}" if message else ""
        return f"<code>{html.escape(repr(self))}</code>{error}"


def _window(asked: dict[str, Any], server: str) -> int:
    """How many frames the broker is to send without an ACK; 0 where that cannot be told.

    Where SUBSCRIBE does not say so yet, it does then.
    """
    header = dialect_of(server).prefetch
    if header is not None and header not in asked["headers"]:
        return int(asked.setdefault("prefetch", PREFETCH))
    given = str(asked["headers"].get(header, ""))
    return int(given) if given.isdecimal() else 0


def _without(secrets: Sequence[str], text: str) -> str:
    """A text in which the secrets are masked."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


class _Secret(str):
    """A passcode that a traceback with the values of all arguments does not show."""

    def __repr__(self) -> str:
        return "'***'"


def _note(ref: weakref.ref[StompSession], reader: Reader) -> None:
    """Tell a session of a change, if it is still there."""
    session = ref()
    if session is not None:
        session._note(reader)
