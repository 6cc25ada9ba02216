"""All destinations of a broker by their names. Pure: no sockets, no clock, no threads.

``/topic/…`` is a topic, anything else a queue. A ``/temp-queue/…`` is its client's own and ends
with it; others reply to it by the name that it gets here, ``/reply-queue/…``.
"""

from __future__ import annotations

import itertools
import uuid
from typing import TYPE_CHECKING, Any

from stompy.broker.message import Counts, Envelope, Full, Memory, Message
from stompy.broker.queue import Queue
from stompy.broker.topic import Topic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stompy.broker.events import EventLog
    from stompy.broker.limits import Limits
    from stompy.broker.subscription import Delivery, Owner, Subscription

QUEUE, TOPIC = "/queue/", "/topic/"
TEMP_QUEUE, REPLY_QUEUE = "/temp-queue/", "/reply-queue/"
DEAD_LETTERS = "/queue/DLQ."
MAX_SUBSCRIBED = 256 * 1024 * 1024
"""Octets that all subscriptions may take, without messages."""
MAX_REMEMBERED = 1000
"""Names of which it is known which topics they concern."""


class Destinations:
    """All queues and topics of a broker.

    In a transaction a message is sent in two steps, `admit` and `publish`, so that one that has
    room for its messages cannot fail any more. An acknowledgement has two, too: what
    `Subscription.claim` gives is settled by `ack` or `nack`, or goes back by `unsubscribe`.

    Args:
        limits: how much they may keep.
        log: what is noteworthy is noted there.
        numbers: those of the messages; no two brokers of a process give the same.

    Attributes:
        memory: what queues, transactions and half received messages take.
        subscribed: what subscriptions take, without messages; and what is unacknowledged of topics.
        kept: what topics keep for subscribers that do not read: it gives way, and is no reason to
            refuse anything.
    """

    def __init__(self, limits: Limits, log: EventLog, numbers: Iterator[int] | None = None) -> None:
        self.memory = Memory(limits.max_memory)
        self.kept = Memory(limits.max_memory)
        self.subscribed = Memory(MAX_SUBSCRIBED)
        self._limits = limits
        self._log = log
        self._queues: dict[str, Queue] = {}
        self._topics: dict[str, Topic] = {}
        self._patterns: dict[str, Topic] = {}  # those of the topics that are
        self._audiences: dict[str, list[Topic]] = {}  # which topics a name concerns
        self._numbers = numbers or itertools.count(1)
        self._received = 0
        self._past = Counts()  # of all that is forgotten
        self._nowhere = Queue("", self.memory, 0)  # where replies go to those who have left
        self._nowhere.close()

    # -- sending -----------------------------------------------------------------------------

    def send(self, envelope: Envelope, body: bytes) -> None:
        """Take a message and give it to whom it may concern.

        Raises:
            Full: its queue has no room, or the broker has none.
        """
        if not envelope.destination.startswith(TOPIC):
            self.publish(self.admit(envelope, body))
            return
        self._received += 1
        self._publish_to_topics(Message(None, envelope, body))

    def admit(self, envelope: Envelope, body: bytes) -> Message:
        """Make room for a message that is to be published, or discarded.

        Raises:
            Full: its queue has no room, or the broker has none.
        """
        if envelope.destination.startswith(TOPIC):
            message = Message(None, envelope, body)
            self.memory.reserve(message.size)
            return message
        queue = self._queue(envelope.destination)
        message = Message(queue, envelope, body)
        try:
            queue.reserve(message)
        except Full:
            self._forget_idle(queue)
            raise
        return message

    def publish(self, message: Message) -> None:
        """Give a message that was admitted to whom it may concern."""
        self._received += 1
        if message.place is None:
            self.memory.release(message.size)
            self._publish_to_topics(message)
        else:
            message.number = next(self._numbers)
            place = self._nowhere if message.place.closed else message.place
            place.send(message)

    def _publish_to_topics(self, message: Message) -> None:
        message.number = next(self._numbers)
        name = message.envelope.destination
        audience = self._audiences.get(name)
        if audience is None:
            audience = self._find_audience(name)
        for topic in audience:
            topic.send(message)

    def discard(self, message: Message) -> None:
        """Give up the room of a message that was admitted, or is done."""
        if message.place is None:
            self.memory.release(message.size)
        else:
            message.place.release(message)
            self._forget_idle(message.place)

    # -- subscribing -------------------------------------------------------------------------

    def subscribe(self, subscription: Subscription) -> None:
        """Add a subscription; what waits in a queue may be delivered at once.

        Raises:
            PermissionError: it is to a temp queue of somebody else, or one that has gone.
            Full: the broker has no room for it.
        """
        name = subscription.destination
        self.subscribed.reserve(subscription.size)
        if name.startswith(TOPIC):
            subscription.place = topic = self._topic(name)
            topic.subscribe(subscription)
            return
        queue = self._queue(name)
        if name.startswith(REPLY_QUEUE) and queue.owner is not subscription.owner:
            self.subscribed.release(subscription.size)
            raise PermissionError(name)
        subscription.place = queue
        queue.subscribe(subscription)

    def unsubscribe(
        self,
        subscriptions: Iterable[Subscription],
        claims: Iterable[tuple[Subscription, list[Delivery]]] = (),
    ) -> None:
        """End subscriptions; what they held unacknowledged goes back, in order.

        Args:
            subscriptions: those that end.
            claims: what was claimed, also by others, and is unacknowledged still: the transactions
                are aborted.
        """
        ending = dict.fromkeys(subscriptions)
        held: dict[Queue | Topic, list[Message]] = {}
        for subscription, deliveries in _together(claims).items():
            if subscription.active and subscription not in ending:
                subscription.unclaim(deliveries)
            else:
                subscription.claimed -= len(deliveries)
                returning = subscription.place.returning(deliveries)
                held.setdefault(subscription.place, []).extend(returning)
        for subscription in ending:
            place = subscription.place
            held.setdefault(place, []).extend(place.unsubscribe(subscription))
            self.subscribed.release(subscription.size)
        for place, messages in held.items():
            place.give_back(messages)
            self._forget_idle(place)

    def dispatch(self, subscription: Subscription) -> None:
        """Deliver what waited for this subscription to become ready."""
        subscription.place.go_on(subscription)

    # -- acknowledging -----------------------------------------------------------------------

    def ack(self, subscription: Subscription, deliveries: list[Delivery]) -> None:
        """What was claimed is done."""
        subscription.claimed -= len(deliveries)
        subscription.place.settle(deliveries)
        self._go_on(subscription)

    def nack(self, subscription: Subscription, deliveries: list[Delivery]) -> None:
        """What was claimed was refused: a queue delivers it again, until that was in vain too
        often; a topic keeps nothing."""
        subscription.claimed -= len(deliveries)
        again = []
        for message in subscription.place.returning(deliveries):
            spent = message.deliveries >= self._limits.max_deliveries
            if not (spent and self._dead_letter(message)):
                again.append(message)
        subscription.place.give_back(again)
        self._go_on(subscription)

    def _go_on(self, subscription: Subscription) -> None:
        if subscription.active:
            subscription.place.go_on(subscription)
        else:
            self._forget_idle(subscription.place)

    def _dead_letter(self, message: Message) -> bool:
        """Move a message away that was refused too often; False where there is no other place."""
        queue = message.place
        assert queue is not None
        if queue.name.startswith(DEAD_LETTERS) or queue.owner is not None:
            return False
        name = DEAD_LETTERS + queue.name.removeprefix(QUEUE).removeprefix("/")
        more = {"original-destination": queue.name, "deliveries": str(message.deliveries)}
        letters = self._queue(name)
        envelope = Envelope(name, {**message.envelope.headers, **more})
        letter = Message(letters, envelope, message.body)
        letters.reserve(letter, beyond=True)  # it was here before
        queue.counts.dead_lettered += 1
        self.discard(message)
        self.publish(letter)
        self._log.note("dead letter", destination=queue.name, detail=f"moved to {name}")
        return True

    # -- temp queues -------------------------------------------------------------------------

    def open_temp_queue(self, owner: Owner) -> str:
        """A new queue of the owner's; returns the name by which all can send to it."""
        name = REPLY_QUEUE + uuid.uuid4().hex
        self._queues[name] = Queue(name, self.memory, self._limits.max_queue, owner)
        return name

    def close_temp_queue(self, name: str) -> None:
        """Forget a temp queue that nobody subscribes to, and what is in it."""
        queue = self._queues.pop(name)
        queue.close()
        self._past.add(queue.counts)

    # -- looking -----------------------------------------------------------------------------

    def counts(self) -> Counts:
        """What has happened at all destinations together."""
        total = Counts()
        for place in self._all():
            total.add(place.counts)
        total.add(self._past)
        total.add(self._nowhere.counts)
        total.received = self._received  # a message may concern several topics, or none
        return total

    def described(self) -> list[dict[str, object]]:
        """All destinations that there are, as plain data."""
        return [
            {
                "destination": place.name,
                "kind": place.kind,
                "subscribers": len(place.subscriptions),
                "waiting": place.waiting,
                "unacknowledged": sum(one.unacknowledged for one in place.subscriptions),
                "octets": place.octets,
                **vars(place.counts),
            }
            for place in self._all()
        ]

    def _all(self) -> Iterable[Queue | Topic]:
        return itertools.chain(self._queues.values(), self._topics.values())

    # -- finding -----------------------------------------------------------------------------

    def _queue(self, name: str) -> Queue:
        """The queue of a name, made when it is asked for."""
        queue = self._queues.get(name)
        if queue is None:
            if name.startswith(REPLY_QUEUE):
                return self._nowhere
            queue = self._queues[name] = Queue(name, self.memory, self._limits.max_queue)
        return queue

    def _forget_idle(self, place: Queue | Topic) -> None:
        known: dict[str, Any] = self._topics if isinstance(place, Topic) else self._queues
        if place.idle and known.get(place.name) is place:
            del known[place.name]
            self._patterns.pop(place.name, None)
            self._past.add(place.counts)
            self._audiences.clear()

    def _topic(self, name: str) -> Topic:
        topic = self._topics.get(name)
        if topic is None:
            topic = Topic(
                name, self.kept, self.subscribed, self._limits.max_backlog, self._note_drop
            )
            self._topics[name] = topic
            if topic.is_pattern:
                self._patterns[name] = topic
            self._audiences.clear()
        return topic

    def _find_audience(self, name: str) -> list[Topic]:
        """The topics, plain and patterns, that a message to `name` concerns."""
        named = self._topics.get(name)
        audience = [topic for topic in self._patterns.values() if topic.concerns(name)]
        if named is not None and name not in self._patterns:
            audience.append(named)
        if len(self._audiences) >= MAX_REMEMBERED:
            self._audiences.clear()
        self._audiences[name] = audience
        if not audience:
            self._log.note("unheard", destination=name, detail="nobody subscribes to the topic")
        return audience

    def _note_drop(self, subscription: Subscription) -> None:
        self._log.note(
            "dropping",
            subscription.owner.id,
            subscription.destination,
            "the client does not keep up with the topic",
        )


def _together(
    claims: Iterable[tuple[Subscription, list[Delivery]]],
) -> dict[Subscription, list[Delivery]]:
    by_subscription: dict[Subscription, list[Delivery]] = {}
    for subscription, deliveries in claims:
        by_subscription.setdefault(subscription, []).extend(deliveries)
    return by_subscription
