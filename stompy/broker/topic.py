"""A topic: each message goes to all who subscribe at that moment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stompy.broker.message import Counts, Memory, Message
from stompy.frame import AckMode

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from stompy.broker.subscription import Delivery, Subscription

PREFIX = "/topic/"
DELIVERY_OVERHEAD = 150
"""Octets that it takes to remember a message that waits for its ACK."""
MAX_UNACKNOWLEDGED = 10_000
"""Messages that may wait for their ACK on one subscription, whatever its prefetch."""


class Topic:
    """Gives each message to all its subscribers.

    To one that does not read it gives, when that reads again, the newest: the oldest are dropped
    when there are too many.

    Args:
        name: a name, or a pattern of names (`pattern_of`).
        memory: where the memory is counted that kept messages take.
        unacknowledged: where that is counted that deliveries take which wait for their ACK.
        max_backlog: octets that are kept for one subscriber; the newest message is in any case.
        on_drop: is called with a subscription when the first message of it is dropped.
    """

    kind = "topic"

    def __init__(
        self,
        name: str,
        memory: Memory,
        unacknowledged: Memory,
        max_backlog: int,
        on_drop: Callable[[Subscription], None],
    ) -> None:
        self.name = name
        self._pattern = pattern_of(name)
        self.subscriptions: list[Subscription] = []
        self.counts = Counts()
        self._memory = memory
        self._unacknowledged = unacknowledged
        self._max_backlog = max_backlog
        self._on_drop = on_drop

    @property
    def idle(self) -> bool:
        """Whether nobody would miss it."""
        return not self.subscriptions

    @property
    def waiting(self) -> int:
        """How many messages wait for subscribers that do not read, each counted for itself."""
        return sum(len(one.backlog) for one in self.subscriptions)

    @property
    def octets(self) -> int:
        """What waits takes so much memory, at the most."""
        return sum(one.backlog_octets for one in self.subscriptions)

    @property
    def is_pattern(self) -> bool:
        """Whether its name stands for others."""
        return self._pattern is not None

    def concerns(self, name: str) -> bool:
        """Whether it gets the messages that are sent to `name`."""
        return name == self.name or bool(self._pattern and self._pattern.fullmatch(name))

    def subscribe(self, subscription: Subscription) -> None:
        """Add a subscriber."""
        if subscription.ack_mode is not AckMode.Auto:
            wanted = subscription.prefetch or MAX_UNACKNOWLEDGED
            subscription.prefetch = min(wanted, MAX_UNACKNOWLEDGED)
        subscription.active = True
        self.subscriptions.append(subscription)

    def unsubscribe(self, subscription: Subscription) -> list[Message]:
        """Forget a subscriber, and what was kept for it; there is nothing to be given back."""
        self.subscriptions.remove(subscription)
        subscription.active = False
        self.settle(subscription.pending.values())
        subscription.pending.clear()
        self.counts.dropped += len(subscription.backlog)
        while subscription.backlog:
            self._unkeep(subscription)
        return []

    def send(self, message: Message) -> None:
        """Give a message to all, or keep it for those that are not ready."""
        self.counts.received += 1
        for subscription in self.subscriptions:
            if subscription.selector is not None and not subscription.accepts(message):
                continue
            if self._can_give(subscription) and not subscription.backlog:
                self._give(subscription, message)
            else:
                self._keep(subscription, message)

    def go_on(self, subscription: Subscription) -> None:
        """Give a subscriber what was kept for it, now that it is ready."""
        while subscription.backlog and self._can_give(subscription):
            self._give(subscription, self._unkeep(subscription))

    def settle(self, deliveries: Collection[Delivery]) -> None:
        """Nobody waits for an ACK, but the subscriber's own prefetch."""
        self._unacknowledged.release(DELIVERY_OVERHEAD * len(deliveries))

    def returning(self, deliveries: Collection[Delivery]) -> list[Message]:
        """What was refused or not acknowledged is done as well."""
        self.settle(deliveries)
        return []

    def give_back(self, _: Iterable[Message]) -> None:
        """A topic keeps nothing: what a subscriber did not want is gone."""

    def _can_give(self, subscription: Subscription) -> bool:
        if subscription.ack_mode is AckMode.Auto:
            return subscription.ready
        return subscription.ready and self._unacknowledged.octets < self._unacknowledged.limit

    def _give(self, subscription: Subscription, message: Message) -> None:
        self.counts.delivered += 1
        if subscription.ack_mode is not AckMode.Auto:
            self._unacknowledged.octets += DELIVERY_OVERHEAD
        subscription.take(message, None)

    def _keep(self, subscription: Subscription, message: Message) -> None:
        subscription.backlog.append(message)
        subscription.backlog_octets += message.size
        if not message.kept:
            self._memory.octets += message.size
        message.kept += 1
        while len(subscription.backlog) > 1 and (
            subscription.backlog_octets > self._max_backlog
            or self._memory.octets > self._memory.limit
        ):
            self._unkeep(subscription)
            self.counts.dropped += 1
            subscription.dropped += 1
            if subscription.dropped == 1:
                self._on_drop(subscription)

    def _unkeep(self, subscription: Subscription) -> Message:
        message = subscription.backlog.popleft()
        subscription.backlog_octets -= message.size
        message.kept -= 1
        if not message.kept:
            self._memory.release(message.size)
        return message


def pattern_of(name: str) -> re.Pattern[str] | None:
    """What a topic's name with wildcards matches; None of a plain name.

    Words are separated by ``.`` or ``/``. ``*`` is any one word; ``>`` (or RabbitMQ's ``#``) at the
    end is any number of words, also none.

    Example:
        >>> prices = pattern_of("/topic/prices.*.eur")
        >>> bool(prices.fullmatch("/topic/prices.gold.eur")), pattern_of("/topic/prices")
        (True, None)
    """
    words = re.split(r"([./])", name.removeprefix(PREFIX))
    if not {"*", ">", "#"}.intersection(words):
        return None
    rest = ""
    if words[-1] in (">", "#"):
        rest = ".*" if len(words) == 1 else r"(?:[./].*)?"
        words = words[:-2]
    parts = (r"[^./]+" if word == "*" else re.escape(word) for word in words)
    return re.compile(re.escape(PREFIX) + "".join(parts) + rest, re.DOTALL)
