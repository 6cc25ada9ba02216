"""Replays: a capture takes the place of a broker, or is sent to one again."""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from stompy import (
    AckMode,
    ClientState,
    Receipt,
    STOMPClient,
    STOMPClosed,
    STOMPError,
    STOMPFrame,
    STOMPSubscription,
)
from stompy.broker.topic import pattern_of
from stompy.capture import CaptureReader, Entry, StrPath
from stompy.receipt import RECEIPT_LIMIT
from stompy.replay import Pace, Resending, messages
from stompy_jupyter.reader import LEAVE_LIMIT, Reader
from stompy_jupyter.session import StompSession
from stompy_jupyter.table import WAIT_SLICE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from stompy.address import Address
    from stompy_jupyter.stream import FrameStream

ALL = ">"
"""The destination of a subscription to everything in a capture."""

BURST = 1000
"""So many messages of one time are filed at once."""

MAX_KNOWN = 1000
"""For so many destinations it is remembered who has subscribed to them."""

_NEVER_SENDS = "a replay has no broker to send to"


def replay(
    path: StrPath,
    *,
    speed: float = 1.0,
    destination: str = ALL,
    n: int | None = None,
    name: str | None = None,
    **options: Any,
) -> FrameStream:
    """Have the messages of a capture come again, as from a broker, in the background.

    They come at their times; ``received_at`` is when they came first. When the last has come, the
    stream has ended. `FrameStream.pause` holds the replay, `FrameStream.resume` goes on with it.

    Args:
        path: what `FrameStream.save` or ``stompy record`` has written.
        speed: how many times as fast as it was; 0: as fast as it goes.
        destination: which messages: those of one destination, or of a pattern as
            ``/topic/prices.*``; all by default.
        n: no more than the first `n` messages of the file.
        name: what the stream is called; as the file when None.
        options: as for `StompSession.subscribe`, e.g. ``max_rows``, ``decode``.

    Raises:
        STOMPProtocolError: the file is no capture. Where it is damaged further on, the stream ends
            there with an `error`; so it does where the file was cut off.
        OSError: the file cannot be read.
        ValueError: the speed is none.

    Example:
        >>> prices = replay("prices.stompcap", speed=10)
        >>> prices.wait(100)
        100
    """
    session = ReplaySession(path, speed=speed, n=n).connect()
    return session.subscribe(destination, name=name or Path(path).name, **options)


def resend(
    session: StompSession,
    path: StrPath,
    *,
    to: str | None = None,
    speed: float = 1.0,
    n: int | None = None,
) -> int:
    """Send the messages of a capture to a broker, at their times; returns how many they were.

    It returns when the broker has confirmed all. Headers that a broker sets at each delivery, as
    ``message-id``, do not go along.

    Args:
        session: by which they are sent; in its `StompSession.transaction`, if one is open.
        path: what `FrameStream.save` or ``stompy record`` has written.
        to: the destination of all; None: each goes where it came from.
        speed: how many times as fast as it was; 0: as fast as it goes.
        n: no more than the first `n` messages of the file.

    Raises:
        STOMPError: a message cannot be sent, was refused or not confirmed; the file is no capture,
            or its end is missing.
        OSError: the file cannot be read.
        KeyboardInterrupt: with a note that says how many were sent.

    Example:
        >>> resend(session, "prices.stompcap", to="/topic/prices.again", speed=10)
        1000
    """

    def send(destination: str, body: bytes, headers: dict[str, str]) -> Receipt | None:
        return session.send(destination, body, headers=headers, receipt=True)

    def wait(seconds: float) -> None:
        due = time.monotonic() + seconds
        while (left := due - time.monotonic()) > 0:
            if not session.alive:
                raise STOMPClosed(f"the session is {session.state}", hint="connect() it first")
            time.sleep(min(left, WAIT_SLICE))

    resending = Resending(send, wait, to=to, speed=speed, limit=RECEIPT_LIMIT)
    try:
        with CaptureReader(path) as entries:
            resending.run(messages(entries, n))
    except BaseException as error:
        error.add_note(f"{resending.sent:,} messages of {path} were sent.")
        raise
    if entries.cut_off:
        raise STOMPError(f"{_cut_off(entries)}: {resending.sent:,} messages before it were sent")
    return resending.sent


def _cut_off(entries: CaptureReader) -> str:
    return f"the end of {entries.path} is missing"


class ReplaySession(StompSession):
    """A session whose frames come out of a capture; no broker takes part.

    Its streams get the messages of their destinations, at their times, as long as one of them is
    subscribed: nothing goes by before the first is, or while all are paused. A stream that is
    paused beside others misses what comes meanwhile, as with a topic. When the last message has
    come the session is disconnected; `connect` begins anew. It acknowledges to nobody, and sending
    is an error.

    Args:
        path: what `FrameStream.save` or ``stompy record`` has written.
        speed: how many times as fast as it was; 0: as fast as it goes.
        n: no more than the first `n` messages of the file.
        name: what the session is called in lists.
        held: whether to wait for `play`, also when there are subscriptions.

    Raises:
        ValueError: the speed is none.

    Example:
        >>> with ReplaySession("all.stompcap", held=True) as session:
        ...     prices = session.subscribe("/topic/prices")
        ...     orders = session.subscribe("/queue/orders")
        ...     session.play()
        ...     prices.wait(100)
    """

    replays = True

    def __init__(
        self,
        path: StrPath,
        *,
        speed: float = 1.0,
        n: int | None = None,
        name: str = "",
        held: bool = False,
    ) -> None:
        Pace(speed)  # refuses one that is none
        super().__init__(name=name or str(path))
        self.set_trait("address", str(path))
        self._how = speed, n, held

    def play(self) -> None:
        """Go on after `hold`, or begin if it was made ``held``."""
        self._player.hold(False)

    def hold(self) -> None:
        """Let nothing come until `play`, whatever is subscribed."""
        self._player.hold(True)

    def pause(self, stream: FrameStream) -> None:
        """As `FrameStream.pause`; what the replay has given by then is in the table."""
        with self._player.at_rest(LEAVE_LIMIT):
            super().pause(stream)

    @property
    def _player(self) -> ReplayClient:
        client = self.client
        assert isinstance(client, ReplayClient)
        return client

    def _parsed(self, address: Any) -> list[Address] | None:
        return None

    def _target(self) -> str:
        return self.address

    def _new_reader(self, on_change: Callable[[], None]) -> Reader:
        client = ReplayClient(*self._how)
        return Reader(on_change, self._journal, client, lambda: client.arrival)


class _Source:
    """Where frames have come from, for their `STOMPFrame.ack`."""

    def __init__(self, client: ReplayClient) -> None:
        self.client = weakref.ref(client)


class ReplayClient(STOMPClient):
    """What a `Reader` has of a client, with a capture in the place of a connection.

    Attributes:
        arrival: when the messages came that `recv_burst` has given, in nanoseconds since 1970.
    """

    def __init__(self, speed: float = 1.0, n: int | None = None, held: bool = False) -> None:
        super().__init__()
        self.arrival = 0
        self.server = "replay"
        self._pace = Pace(speed)
        self._n = n
        self._held = held
        self._resting = 0  # how many want it to give nothing for the moment
        self._idle = False  # whether all that it has given is filed
        self._left = False
        self._answers: deque[STOMPFrame] = deque()
        self._audiences: dict[str, list[str]] = {}  # ids of subscriptions by destination
        # Guards these; reentrant, since the garbage collector may be who disconnects.
        self._changed = threading.Condition()
        self._reader: CaptureReader | None = None
        self._entries: Iterator[Entry] = iter(())
        self._head: Entry | None = None  # the message that comes next
        self._failure: STOMPError | None = None
        self._source = _Source(self)

    # -- what a session asks of it -----------------------------------------------------------

    def connect(self, addr_list: Any, *_: Any, on_state: Any = None, **__: Any) -> STOMPFrame:
        """Open the file; other arguments than `on_state` are for brokers."""
        self.address = str(addr_list)
        self._reader = CaptureReader(self.address)
        self._entries = messages(self._reader, self._n)
        self._advance()
        if self._failure is not None and self._head is None and not self._reader.cut_off:
            raise self._failure
        if on_state is not None:
            this = weakref.ref(self)
            self._states.tell = lambda state: _tell(this, on_state, state)
        self._states.change(ClientState.Connected)
        return STOMPFrame("CONNECTED", {"version": self.version})

    @property
    def Connected(self) -> bool:  # the contract's name
        return self.state is ClientState.Connected

    @property
    def close_reason(self) -> STOMPError | None:
        return self._failure if self._head is None else None

    def disconnect(self, timeout: float = 0.0) -> None:
        with self._changed:
            self._left = True
            self._changed.notify_all()
        self._states.change(ClientState.Closed)

    def subscribe(
        self,
        dest: str,
        ack_mode: str | AckMode = AckMode.Auto,
        send_acks: bool = True,
        headers: Mapping[str, Any] = {},
        *,
        id: str | None = None,
        receipt: bool | str = False,
        prefetch: int | None = None,
        selector: str | None = None,
        durable: str | None = None,
        **kv_headers: Any,
    ) -> str:
        """As `STOMPClient.subscribe`; prefetch and further headers have no effect."""
        if selector is not None or durable is not None:
            what = "selectors" if selector is not None else "durable subscriptions"
            raise STOMPError(f"a replay has no {what}")
        with self._changed:
            if not self.Connected:
                raise STOMPClosed(f"the replay of {self.address} has ended", hint="begin anew")
            sub_id = id or self._new_subscription_id()
            named = {"id": sub_id, "destination": dest}
            self._subscriptions[sub_id] = STOMPSubscription(
                self, AckMode(ack_mode), send_acks, None, named
            )
            self._answer_to(receipt)
        return sub_id

    def unsubscribe(
        self, sub_id: str, headers: Mapping[str, Any] = {}, receipt: bool | str = False, **_: Any
    ) -> Receipt | None:
        with self._changed:
            if self._subscriptions.pop(sub_id, None) is None:
                raise STOMPError(f"no subscription with the id {sub_id!r}")
            self._answer_to(receipt)
        return Receipt(receipt) if isinstance(receipt, str) and self.Connected else None

    def _answer_to(self, receipt: bool | str) -> None:
        """Note a change of the subscriptions, and confirm it."""
        self._audiences.clear()
        if isinstance(receipt, str):
            self._answers.append(STOMPFrame("RECEIPT", {"receipt-id": receipt}))
        self._changed.notify_all()

    def answerable(self, frame: STOMPFrame) -> bool:
        return True  # also when the last has come: nobody would send it again

    def ack(self, *_: Any, **__: Any) -> None:
        """Nobody has to know."""

    nack = ack

    def _live(self) -> NoReturn:
        raise STOMPError(_NEVER_SENDS, hint="send by another session: --on SESSION")

    def __repr__(self) -> str:
        return f"<ReplayClient {self.address} {self.state}>"

    def hold(self, held: bool) -> None:
        """Let nothing come for a while, or go on."""
        with self._changed:
            self._held = held
            self._changed.notify_all()

    @contextlib.contextmanager
    def at_rest(self, timeout: float) -> Iterator[None]:
        """Give no messages meanwhile; before that, wait until those that it gave are filed."""
        with self._changed:
            self._resting += 1
            self._changed.wait_for(lambda: self._idle or self._left, timeout)
        try:
            yield
        finally:
            with self._changed:
                self._resting -= 1
                self._changed.notify_all()

    # -- what comes ----------------------------------------------------------------------------

    def recv_burst(self) -> list[STOMPFrame]:
        """The messages that are due, of one time; none at the end."""
        while self._await_due():
            if burst := self._due():
                return burst
        if self._reader is not None:
            self._reader.close()
        return []

    def _await_due(self) -> bool:
        """Wait until there is something to give; False when there will be no more."""
        with self._changed:
            self._idle = True
            self._changed.notify_all()
            try:
                return self._is_due()
            finally:
                self._idle = False

    def _is_due(self) -> bool:
        with self._changed:
            while not self._left:
                if self._answers:
                    return True
                left: float | None = None
                if self._held or self._resting or not self._subscriptions:
                    self._pace.hold()
                elif self._head is None:
                    return False
                elif (left := self._pace.left(self._head.time_ns)) <= 0:
                    return True
                self._changed.wait(None if left is None else min(left, threading.TIMEOUT_MAX))
        return False

    def _due(self) -> list[STOMPFrame]:
        """Answers to subscriptions, else the next messages; those that nobody wants go by."""
        with self._changed:
            answers, self._answers = list(self._answers), deque()
        if answers or self._head is None:
            return answers
        self.arrival = self._head.time_ns
        burst: list[STOMPFrame] = []
        while self._head is not None and self._head.time_ns == self.arrival and len(burst) < BURST:
            frame = self._head.frame
            burst += [self._copy(frame, sub_id) for sub_id in self._audience(frame)]
            self._advance()
        return burst

    def _advance(self) -> None:
        """Read on; what keeps it from that is the reason why the replay ends."""
        try:
            self._head = next(self._entries, None)
        except STOMPError as error:
            self._head, self._failure = None, error
        except OSError as error:
            self._head, self._failure = None, STOMPError(f"the replay cannot go on: {error}")
        else:
            if self._head is None and self._reader is not None and self._reader.cut_off:
                self._failure = STOMPError(_cut_off(self._reader))

    def _audience(self, frame: STOMPFrame) -> list[str]:
        """The ids of the subscriptions that get a message."""
        destination = frame.get("destination", "")
        with self._changed:
            known = self._audiences.get(destination)
            if known is None:
                if len(self._audiences) >= MAX_KNOWN:
                    self._audiences.clear()
                wishes = self._subscriptions.items()
                known = [id for id, wish in wishes if _concerns(wish.destination, destination)]
                self._audiences[destination] = known
        return known

    def _copy(self, frame: STOMPFrame, sub_id: str) -> STOMPFrame:
        """A message for a subscription."""
        places, values = frame.fields
        values = list(values)
        if "subscription" in places:  # then those that are alike go on sharing their names
            values[places["subscription"]] = sub_id
        else:
            places = {**places, "subscription": len(places)}
            values.append(sub_id)
        copy = STOMPFrame.received("MESSAGE", places, values, frame.Body)
        copy.came_from(weakref.ref(self._source))  # type: ignore[arg-type]
        return copy


def _concerns(wanted: str, destination: str) -> bool:
    """Whether a subscription to `wanted` gets what went to `destination`."""
    pattern = pattern_of(wanted)
    return wanted in (ALL, destination) or bool(pattern and pattern.fullmatch(destination))


def _tell(
    ref: weakref.ref[ReplayClient],
    on_state: Callable[[STOMPClient, ClientState], object],
    state: ClientState,
) -> None:
    """Call back, unless the client was forgotten; it must not keep itself alive by this."""
    client = ref()
    if client is not None:
        on_state(client, state)
