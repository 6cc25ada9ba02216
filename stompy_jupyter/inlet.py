"""Inlet: where the messages of one stream go. It knows the client, and no session."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from stompy import AckMode, STOMPClosed, STOMPError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from stompy import STOMPClient, STOMPFrame, STOMPTransaction
    from stompy_jupyter.callbacks import Callback
    from stompy_jupyter.keep import Keeper
    from stompy_jupyter.table import FrameTable

_log = logging.getLogger(__name__)


class Inlet:
    """The table and the callbacks of a stream, and who acknowledges what they get.

    In the client modes that is one of four: the callback that has ``acks``; else whoever calls
    `answer`, when `send_acks` is off; else the keeper, when the frame is on disk; else the thread
    that reads, when the frame is in the table.

    Attributes:
        destination, mode, options: what SUBSCRIBE says.
        send_acks: whether the keeper or the thread that reads may acknowledge.
        keeper: what keeps the frames on disk, if that is wanted.
        callbacks, former: who is called with each frame, and who was.
        paused: whether its subscription has ended for a while.
        over: whether it has ended for good.
        subscriptions: the ids of its subscriptions, the newest last: each begins with another.
        answered: set when the broker has confirmed or refused SUBSCRIBE.
        refused: whether it has refused it.
        changing: held while it is subscribed or its subscription ended.
    """

    def __init__(
        self,
        client: STOMPClient,
        table: FrameTable,
        destination: str,
        mode: AckMode,
        send_acks: bool = True,
        options: Mapping[str, Any] = {},
        keeper: Keeper | None = None,
    ) -> None:
        self.table = table
        self.destination = destination
        self.mode = mode
        self.send_acks = send_acks
        self.options = options
        self.keeper = keeper
        self.callbacks: tuple[Callback, ...] = ()
        self.former: tuple[Callback, ...] = ()
        self.paused = False
        self.over = False
        self.subscriptions: tuple[str, ...] = ()
        self.answered = threading.Event()
        self.refused = False
        self.changing = threading.RLock()
        self._client = client
        self._unanswered: dict[int, STOMPFrame] = {}
        self._times = 0  # how often what waited was forgotten
        self._stuck = False  # whether a frame was refused that cannot be, and no later ACK may be

    def take(self, frame: STOMPFrame, arrival: int, by_callback: bool = False) -> int:
        """File a message that arrived then (nanoseconds since 1970); returns its number.

        Args:
            by_callback: whether a callback is going to acknowledge it.
        """
        number = self.table.append(frame, arrival)
        if self.keeper is not None:
            self.keeper.put((frame,), arrival, self._ticket)
        if self.mode is AckMode.Auto or self.keeper_acks:
            return number
        if by_callback or not self.send_acks:
            self._unanswered[number] = frame
        elif self.answerable(frame):
            with contextlib.suppress(STOMPClosed):  # the broker will send it again
                self._client.ack(frame, warn=False)
        return number

    def take_all(self, frames: Sequence[STOMPFrame], arrival: int) -> None:
        """The same for messages that arrived together, where neither a callback nor this thread
        acknowledges: for half of the cost."""
        self.table.extend(frames, arrival)
        if self.keeper is not None:
            self.keeper.put(frames, arrival, self._ticket)

    @property
    def callback_acks(self) -> bool:
        """Whether a callback acknowledges."""
        return any(callback.acks for callback in self.callbacks)

    @property
    def keeper_acks(self) -> bool:
        """Whether the keeper acknowledges."""
        return self.keeper is not None and self.send_acks and self.mode is not AckMode.Auto

    @property
    def _ticket(self) -> int | None:
        """What the keeper gives back with frames that it is to have acknowledged."""
        return self._times if self.keeper_acks else None

    def acknowledge(self, frames: Sequence[STOMPFrame], ticket: object) -> None:
        """Acknowledge frames that are on disk, unless they were forgotten meanwhile.

        Args:
            ticket: what they were put with.
        """
        if self.mode is AckMode.Client:  # the last covers the others
            frames = [frame for frame in frames if self.answerable(frame)][-1:]
        for frame in frames:
            if ticket != self._times:
                return
            if self.answerable(frame):
                with contextlib.suppress(STOMPClosed):  # the broker will send it again
                    self._client.ack(frame, warn=False)

    # -- answers -----------------------------------------------------------------------------

    @property
    def unanswered(self) -> list[int]:
        """The numbers of the frames that were neither acknowledged nor refused, in order."""
        waiting = sorted(self._unanswered.items())
        return [number for number, frame in waiting if self.answerable(frame)]

    @property
    def waiting(self) -> int:
        """How many of them there are, without a look at each.

        What came by a connection that was lost is forgotten when there is another.
        """
        return len(self._unanswered) if self._client.Connected else 0

    def awaits(self, number: int) -> bool:
        """Whether a frame can be acknowledged."""
        frame = self._unanswered.get(number)
        return frame is not None and self.answerable(frame)

    def answerable(self, frame: STOMPFrame) -> bool:
        """Whether the connection that a frame came by is the present one."""
        return self._client.answerable(frame)

    def forget(self, *, lost_only: bool = False) -> None:
        """Forget what waits for an answer: all, or what came by a connection that was lost.

        The broker delivers it again.
        """
        self._stuck = False
        self._times += 1
        for number, frame in list(self._unanswered.items()):
            if not (lost_only and self.answerable(frame)):
                self._unanswered.pop(number, None)

    def answer(
        self,
        command: Literal["ACK", "NACK"],
        number: int,
        transaction: STOMPTransaction | None = None,
    ) -> Callable[[], None]:
        """Acknowledge or refuse a frame; in the mode ``client`` with all that came before it.

        Returns:
            What takes it back, when it was part of a transaction that aborts: the frames wait for
            an answer again, unless they were forgotten meanwhile.

        Raises:
            STOMPError: it does not wait for an answer.
        """
        frame = self._unanswered.get(number)
        if frame is None:
            self.refuse(number)
        say = self._client.ack if command == "ACK" else self._client.nack
        with contextlib.suppress(STOMPClosed):  # then the broker will send it again
            say(frame, transaction=transaction, warn=False)
        covered = [number]
        if self.mode is AckMode.Client:
            covered = [known for known in list(self._unanswered) if known <= number]
        answered = {done: self._unanswered.pop(done, frame) for done in covered}
        times = self._times

        def take_back() -> None:
            if times == self._times:
                self._unanswered.update(answered)

        return take_back

    def refuse(self, number: int) -> NoReturn:
        """Say that a frame does not wait for an answer."""
        raise STOMPError(
            f"frame {number} of {self.destination} does not wait for an answer",
            hint="the numbers of those that do are in stream.unacknowledged",
        )

    def settle(self, number: int, good: bool) -> None:
        """Answer for a callback that has returned, or raised, unless it has answered itself."""
        if not good and self._client.version == "1.0":  # it has no NACK
            self._stuck = self.mode is AckMode.Client
            return
        if self._stuck or not self.awaits(number):
            return
        try:
            self.answer("ACK" if good else "NACK", number)
        except STOMPError:
            _log.exception("frame %d of %s cannot be answered", number, self.destination)
