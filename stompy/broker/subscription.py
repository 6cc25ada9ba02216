"""One client's wish for the messages of a destination, and what it has not acknowledged yet."""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

from stompy.frame import AckMode

if TYPE_CHECKING:
    from stompy.broker.message import Message
    from stompy.broker.queue import Queue
    from stompy.broker.selector import Selector
    from stompy.broker.topic import Topic


SUBSCRIPTION_OVERHEAD = 2000
"""Octets that a subscription takes in memory besides its texts."""
SELECTOR_FACTOR = 100
"""Octets that a compiled selector takes for each of its characters, at the most."""


class Owner(Protocol):
    """A client's session, as far as destinations know it."""

    @property
    def id(self) -> str:
        """Its name in the log."""

    @property
    def ready(self) -> bool:
        """Whether it takes more messages now; one whose client does not read does not."""

    def deliver(self, subscription: Subscription, message: Message) -> None:
        """Pass a message on to the client."""


class Delivery(NamedTuple):
    """A message that waits for its ACK.

    Attributes:
        number: the how-many-eth of its subscription it is.
        id: the message's number.
        message: None of a topic's, which never goes back.
    """

    number: int
    id: int
    message: Message | None


class Subscription:
    """One client's wish for the messages of a destination.

    Attributes:
        place: the queue or topic that it is to.
        active: whether that knows it.
        pending: what was delivered and waits for its ACK, by the message's number, oldest first.
        claimed: how many more wait for the end of the transaction that their ACK is part of.
        prefetch: how many may be unacknowledged at the most; None for any number.
        backlog: messages of a topic that its client was not ready for, oldest first.
        wanted: a heap of what waits in its queue and passes its selector, and of what did.
        dropped: messages of a topic that it missed because its client did not read.
        tag: what its owner writes into every MESSAGE of it.
        ack_tag: the same with ``%d`` for the message's number, where an ACK is awaited.
    """

    place: Queue | Topic

    def __init__(
        self,
        owner: Owner,
        id: str | None,
        destination: str,
        ack_mode: AckMode = AckMode.Auto,
        prefetch: int | None = None,
        selector: Selector | None = None,
    ) -> None:
        self.owner = owner
        self.id = id
        self.destination = destination
        self.ack_mode = ack_mode
        self.prefetch = prefetch
        self.selector = selector
        self.active = False
        # An ordered one: of a dict the first is slow to find when many before it have gone.
        self.pending: OrderedDict[int, Delivery] = OrderedDict()
        self.claimed = 0
        self.backlog: deque[Message] = deque()
        self.backlog_octets = 0
        self.wanted: list[Message] = []
        self.dropped = 0
        self.tag = b""
        self.ack_tag = b""
        self._taken = 0

    @property
    def size(self) -> int:
        """Octets that it takes in memory, without messages."""
        selector = len(self.selector.text) if self.selector else 0
        text = len(self.id or "") + len(self.destination)
        return SUBSCRIPTION_OVERHEAD + 4 * text + SELECTOR_FACTOR * selector

    @property
    def unacknowledged(self) -> int:
        """How many messages wait for their ACK to count."""
        return len(self.pending) + self.claimed

    @property
    def ready(self) -> bool:
        """Whether it takes one more message."""
        return self.owner.ready and (
            self.prefetch is None or len(self.pending) + self.claimed < self.prefetch
        )

    def accepts(self, message: Message) -> bool:
        """Whether the message passes its selector."""
        return self.selector is None or self.selector.matches(message.envelope.headers)

    def take(self, message: Message, kept: Message | None) -> None:
        """Have the message delivered, and wait for its ACK where the mode asks for one.

        Args:
            message: what is delivered.
            kept: the same if it may have to go back.
        """
        if self.ack_mode is not AckMode.Auto:
            self._taken += 1
            self.pending[message.number] = Delivery(self._taken, message.number, kept)
        self.owner.deliver(self, message)

    def claim(self, number: int) -> list[Delivery]:
        """Take out what an ACK or NACK of a message covers (STOMP 1.2, "SUBSCRIBE ack Header").

        Raises:
            KeyError: the message with that number is not pending here.
        """
        last = self.pending[number]
        covered = [last]
        if self.ack_mode is AckMode.Client:
            covered = list(
                itertools.takewhile(lambda one: one.number <= last.number, self.pending.values())
            )
        for delivery in covered:
            del self.pending[delivery.id]
        self.claimed += len(covered)
        return covered

    def unclaim(self, deliveries: list[Delivery]) -> None:
        """Put back what was claimed, as if it had not been: its transaction was aborted."""
        self.claimed -= len(deliveries)
        ordered = sorted([*self.pending.values(), *deliveries])
        self.pending = OrderedDict((delivery.id, delivery) for delivery in ordered)
