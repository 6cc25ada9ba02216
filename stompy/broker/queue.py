"""A queue: each message goes to one subscriber, and waits while there is none."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from typing import TYPE_CHECKING

from stompy.broker.message import Counts, Full, Memory, Message
from stompy.frame import AckMode

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from stompy.broker.subscription import Delivery, Owner, Subscription

GAPS = 64
"""Messages that selectors have taken out of turn and that may lie in the line all the same."""


class Queue:
    """Gives each message to one of its subscribers, in turn.

    Args:
        name: the name by which all send to it.
        memory: where the memory is counted that its messages take.
        max_octets: how much it may hold.
        owner: the client whose own it is, for replies; None of one for all.

    Attributes:
        waiting: how many messages lie in it.
        octets: memory of all that it is answerable for: what waits, what waits for its ACK, and
            what is on its way in a transaction.
        closed: whether it has gone, with its owner: what is sent to it is dropped.
    """

    def __init__(
        self, name: str, memory: Memory, max_octets: int, owner: Owner | None = None
    ) -> None:
        self.name = name
        self.owner = owner
        self.subscriptions: list[Subscription] = []
        self.counts = Counts()
        self.waiting = 0
        self.octets = 0
        self.closed = False
        self._memory = memory
        self._max_octets = max_octets
        # What waits, in order, and a heap of what has come back. What selectors have taken out of
        # turn stays there until it is passed.
        self._line: deque[Message] = deque()
        self._returned: list[Message] = []
        self._selective: list[Subscription] = []  # those of the subscriptions that have a selector

    @property
    def kind(self) -> str:
        """``"queue"`` or ``"temp-queue"``."""
        return "queue" if self.owner is None else "temp-queue"

    @property
    def idle(self) -> bool:
        """Whether nobody would miss it."""
        return not (self.octets or self.subscriptions or self.owner or self.closed)

    # -- room --------------------------------------------------------------------------------

    def reserve(self, message: Message, *, beyond: bool = False) -> None:
        """Make room for a message; `beyond` the limits, when it has room somewhere else already.

        Raises:
            Full: there is none.
        """
        if self.closed:
            return
        if self.octets + message.size > self._max_octets and not beyond:
            raise Full(f"{self.name} holds {self.octets:,} of {self._max_octets:,} octets")
        self._memory.reserve(message.size, beyond=beyond)
        self.octets += message.size

    def release(self, message: Message) -> None:
        """Give up a message's room: it is done, or was not to be."""
        if not self.closed:
            self._memory.release(message.size)
            self.octets -= message.size
            if message.listed or self._selective:  # which may know it for a while still
                message.body = b""

    def close(self) -> None:
        """Give up all that is in it."""
        self.counts.dropped += self.waiting
        self._memory.release(self.octets)
        self.waiting = self.octets = 0
        self._line.clear()
        self._returned.clear()
        self.closed = True

    # -- messages in -------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        """Put a message, for which there is room, at the end."""
        self.counts.received += 1
        if self.closed:
            self.counts.dropped += 1
            return
        self._line.append(message)
        self._wait(message)
        self.dispatch()

    def give_back(self, messages: Iterable[Message]) -> None:
        """Put messages back where they were: among those that wait, in order."""
        if self.closed:
            return
        for message in messages:
            if not message.listed:
                heapq.heappush(self._returned, message)
            self._wait(message)
        self.dispatch()

    def _wait(self, message: Message) -> None:
        message.waits = message.listed = True
        self.waiting += 1
        for subscription in self._selective:
            if subscription.accepts(message):
                heapq.heappush(subscription.wanted, message)

    def settle(self, deliveries: Collection[Delivery]) -> None:
        """Messages are done that were delivered."""
        for delivery in deliveries:
            if delivery.message is not None:
                self.counts.acknowledged += 1
                self.release(delivery.message)

    # -- messages out ------------------------------------------------------------------------

    def subscribe(self, subscription: Subscription) -> None:
        """Add a subscriber, behind those that are there."""
        if subscription.selector is not None:
            self._selective.append(subscription)
            waiting = (message for message in self._lying() if message.waits)
            subscription.wanted = sorted(filter(subscription.accepts, waiting))
        subscription.active = True
        self.subscriptions.append(subscription)
        self.dispatch()

    def unsubscribe(self, subscription: Subscription) -> list[Message]:
        """Forget a subscriber; returns what it has not acknowledged, which is to be given back."""
        self.subscriptions.remove(subscription)
        if subscription.selector is not None:
            self._selective.remove(subscription)
        subscription.active = False
        held = self.returning(subscription.pending.values())
        subscription.pending.clear()
        subscription.wanted.clear()
        return held

    @staticmethod
    def returning(deliveries: Collection[Delivery]) -> list[Message]:
        """The messages of deliveries that are not done: they are to be given back."""
        return [one.message for one in deliveries if one.message is not None]

    def go_on(self, _: Subscription) -> None:
        """A subscriber may be ready that was not."""
        self.dispatch()

    def dispatch(self) -> None:
        """Deliver what can be delivered."""
        while self.waiting and (turn := self._turn()) is not None:
            self._give(*turn)

    def _turn(self) -> tuple[Subscription, Message] | None:
        """Whose turn it is, and what for; the subscriber goes to the end of the line."""
        for place, subscription in enumerate(self.subscriptions):
            if subscription.ready and (message := self._next(subscription)) is not None:
                self.subscriptions.append(self.subscriptions.pop(place))
                return subscription, message
        return None

    def _next(self, subscription: Subscription) -> Message | None:
        """The oldest message for a subscriber, taken out."""
        if subscription.selector is None:
            return self._first()
        while subscription.wanted:
            message = heapq.heappop(subscription.wanted)
            if message.waits:
                return message
        return None

    def _first(self) -> Message:
        """The oldest message, taken out; there is one."""
        while True:
            if self._returned and not (self._line and self._line[0] < self._returned[0]):
                message = heapq.heappop(self._returned)
            else:
                message = self._line.popleft()
            message.listed = False
            if message.waits:
                return message

    def _give(self, subscription: Subscription, message: Message) -> None:
        message.waits = False
        self.waiting -= 1
        if self._selective:
            self._tidy()
        self.counts.delivered += 1
        self.counts.redelivered += message.deliveries > 0
        subscription.take(message, message)
        message.deliveries += 1
        if subscription.ack_mode is AckMode.Auto:
            self.counts.acknowledged += 1
            self.release(message)

    def _tidy(self) -> None:
        """Forget what was taken out of turn, when it has become more than what waits."""
        most = 2 * self.waiting + GAPS
        if len(self._line) + len(self._returned) > most:
            for message in self._lying():
                message.listed = message.waits
            self._line = deque(message for message in self._line if message.waits)
            self._returned = [message for message in sorted(self._returned) if message.waits]
        for subscription in self._selective:
            if len(subscription.wanted) > most:
                subscription.wanted = sorted({m for m in subscription.wanted if m.waits})

    def _lying(self) -> Iterable[Message]:
        return itertools.chain(self._line, self._returned)
