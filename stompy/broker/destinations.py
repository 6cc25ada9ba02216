"""Queues, topics and who holds which message. Pure: no sockets, no clock, no threads.

A destination that begins with ``/topic/`` gives each message to all who subscribe at that moment.
Any other is a queue: each message goes to one subscriber, in turn, and waits while there is none.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING, Protocol

from stompy.frame import AckMode

if TYPE_CHECKING:
    from collections.abc import Iterable

TOPIC = "/topic/"


class Message:
    """A message on its way.

    Attributes:
        id: unique in the broker.
        headers: as its sender gave them.
        deliveries: how often its queue has given it to a subscriber.
    """

    __slots__ = ("body", "deliveries", "destination", "headers", "id")

    def __init__(self, id: str, destination: str, headers: dict[str, str], body: bytes) -> None:
        self.id = id
        self.destination = destination
        self.headers = headers
        self.body = body
        self.deliveries = 0


class Owner(Protocol):
    """A client's session, as far as destinations know it."""

    @property
    def ready(self) -> bool:
        """Whether it takes more messages now; one whose client does not read does not."""

    def deliver(self, subscription: Subscription, message: Message) -> None:
        """Pass a message on to the client."""


class Subscription:
    """One client's wish for the messages of a destination.

    Attributes:
        pending: what was delivered and waits for its ACK, by message id, oldest first.
        prefetch: how many may be pending at the most; None for any number.
        dropped: messages of a topic that it missed because its client did not read.
    """

    def __init__(
        self,
        owner: Owner,
        id: str | None,
        destination: str,
        ack_mode: AckMode = AckMode.Auto,
        prefetch: int | None = None,
    ) -> None:
        self.owner = owner
        self.id = id
        self.destination = destination
        self.ack_mode = ack_mode
        self.prefetch = prefetch
        self.pending: dict[str, Message] = {}
        self.dropped = 0

    @property
    def ready(self) -> bool:
        """Whether it takes one more message."""
        return self.owner.ready and (self.prefetch is None or len(self.pending) < self.prefetch)

    def take(self, message: Message) -> None:
        """Have the message delivered, and hold it until its ACK where the mode asks for one."""
        if self.ack_mode is not AckMode.Auto:
            self.pending[message.id] = message
        self.owner.deliver(self, message)

    def settle(self, message_id: str) -> list[Message]:
        """Take out what an ACK or NACK of `message_id` covers (STOMP 1.2, "SUBSCRIBE ack Header").

        Raises:
            KeyError: the message is not pending here.
        """
        if self.ack_mode is not AckMode.Client:
            return [self.pending.pop(message_id)]
        if message_id not in self.pending:
            raise KeyError(message_id)
        covered = []
        while message_id in self.pending:
            covered.append(self.pending.pop(next(iter(self.pending))))
        return covered


class Topic:
    """Gives each message to all its subscribers, whatever their prefetch."""

    def __init__(self) -> None:
        self.subscriptions: list[Subscription] = []

    def send(self, message: Message) -> None:
        for subscription in self.subscriptions:
            if subscription.owner.ready:
                subscription.take(message)
            else:
                subscription.dropped += 1

    def give_back(self, messages: Iterable[Message]) -> None:
        """A topic keeps nothing: what a subscriber did not want is gone."""

    def dispatch(self) -> None:
        """Nothing ever waits."""


class Queue:
    """Gives each message to one of its subscribers, in turn; keeps them while there is none."""

    def __init__(self) -> None:
        self.subscriptions: list[Subscription] = []
        self.waiting: deque[Message] = deque()

    def send(self, message: Message) -> None:
        self.waiting.append(message)
        self.dispatch()

    def give_back(self, messages: Iterable[Message]) -> None:
        """Put messages back in front, oldest first."""
        self.waiting.extendleft(reversed(list(messages)))
        self.dispatch()

    def dispatch(self) -> None:
        """Deliver what can be delivered."""
        while self.waiting:
            ready = next((s for s in self.subscriptions if s.ready), None)
            if ready is None:
                return
            self.subscriptions.remove(ready)  # to the end of the line
            self.subscriptions.append(ready)
            message = self.waiting.popleft()
            ready.take(message)
            message.deliveries += 1


class Destinations:
    """All queues and topics of a broker."""

    def __init__(self) -> None:
        self._by_name: dict[str, Queue | Topic] = {}
        self._numbers = itertools.count(1)

    def send(self, destination: str, headers: dict[str, str], body: bytes) -> None:
        """Take a message in and give it to whom it may concern."""
        if destination in self._by_name or not destination.startswith(TOPIC):
            message = Message(str(next(self._numbers)), destination, headers, body)
            self._find(destination).send(message)

    def subscribe(self, subscription: Subscription) -> None:
        """Add a subscription; what waits in a queue may be delivered at once."""
        destination = self._find(subscription.destination)
        destination.subscriptions.append(subscription)
        destination.dispatch()

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; what it held unacknowledged goes back, in order."""
        destination = self._find(subscription.destination)
        destination.subscriptions.remove(subscription)
        held = list(subscription.pending.values())
        subscription.pending.clear()
        destination.give_back(held)
        self._forget_empty(subscription.destination)

    def ack(self, subscription: Subscription, message_id: str) -> None:
        """The message, and those that the mode covers with it, are done. KeyError if unknown."""
        subscription.settle(message_id)
        self.dispatch(subscription)

    def nack(self, subscription: Subscription, message_id: str) -> None:
        """As `ack`, but a queue gets the messages back and delivers them again."""
        covered = subscription.settle(message_id)
        self._find(subscription.destination).give_back(covered)

    def dispatch(self, subscription: Subscription) -> None:
        """Deliver what waited for this subscription to become ready."""
        self._find(subscription.destination).dispatch()

    def _find(self, name: str) -> Queue | Topic:
        found = self._by_name.get(name)
        if found is None:
            found = self._by_name[name] = Topic() if name.startswith(TOPIC) else Queue()
        return found

    def _forget_empty(self, name: str) -> None:
        found = self._by_name[name]
        if not found.subscriptions and not (isinstance(found, Queue) and found.waiting):
            del self._by_name[name]
