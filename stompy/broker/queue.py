"""A queue: each message goes to one subscriber, and waits while there is none."""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING

from stompy.broker.message import Counts, Full, Memory, Message
from stompy.frame import AckMode

if TYPE_CHECKING:
    from collections.abc import Iterable

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
        # In order. What selectors have taken out of turn stays in it until it is passed.
        self._line: deque[Message] = deque()
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
            raise Full(f"{self.name} holds {self.octets:,} octets already")
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
        returned = sorted(messages)
        if not returned or self.closed:
            return
        missing = [message for message in returned if not message.listed]
        older = []
        while self._line and missing and self._line[0] < missing[-1]:
            older.append(self._line.popleft())
        self._line.extendleft(reversed(list(heapq.merge(older, missing))))
        for message in returned:
            self._wait(message)
        self.dispatch()

    def _wait(self, message: Message) -> None:
        message.waits = message.listed = True
        self.waiting += 1
        for subscription in self._selective:
            if subscription.accepts(message):
                heapq.heappush(subscription.wanted, message)

    def settle(self, deliveries: Iterable[Delivery]) -> None:
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
            subscription.wanted = [m for m in self._line if m.waits and subscription.accepts(m)]
        subscription.active = True
        self.subscriptions.append(subscription)
        self.dispatch()

    def unsubscribe(self, subscription: Subscription) -> list[Message]:
        """Forget a subscriber; returns what it has not acknowledged, which is to be given back."""
        self.subscriptions.remove(subscription)
        if subscription.selector is not None:
            self._selective.remove(subscription)
        subscription.active = False
        held = [one.message for one in subscription.pending.values() if one.message is not None]
        subscription.pending.clear()
        subscription.wanted.clear()
        return held

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
            while True:  # there is one: nothing is dispatched otherwise
                message = self._line.popleft()
                message.listed = False
                if message.waits:
                    return message
        while subscription.wanted:
            message = heapq.heappop(subscription.wanted)
            if message.waits:
                return message
        return None

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
        if len(self._line) > most:
            for message in self._line:
                message.listed = message.waits
            self._line = deque(message for message in self._line if message.waits)
        for subscription in self._selective:
            if len(subscription.wanted) > most:
                subscription.wanted = sorted({m for m in subscription.wanted if m.waits})
