"""What the frames of a client do that was let in: SEND, SUBSCRIBE, ACK, BEGIN and so on. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol

from stompy import wire
from stompy.broker.destinations import REPLY_QUEUE, TEMP_QUEUE, Destinations
from stompy.broker.message import Envelope, Full
from stompy.broker.queue import Queue
from stompy.broker.refusal import Refusal
from stompy.broker.selector import Selector
from stompy.broker.subscription import Owner, Subscription
from stompy.errors import STOMPProtocolError
from stompy.frame import AckMode, STOMPFrame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stompy.broker.events import EventLog
    from stompy.broker.message import Message
    from stompy.broker.subscription import Delivery

MAX_SUBSCRIPTIONS, MAX_TRANSACTIONS, MAX_TEMP_QUEUES = 10_000, 1000, 1000
MAX_NAME = 1024
"""Characters of a destination, and of the name of a subscription or a transaction."""

_COUNT = re.compile(r"[1-9][0-9]{0,15}", re.ASCII)

# Headers of a SEND that are between its sender and the broker, or that the broker sets itself.
_NOT_PASSED_ON = frozenset(
    {"ack", "content-length", "destination", "message-id", "receipt", "redelivered"}
    | {"subscription", "transaction"}
)


class Client(Owner, Protocol):
    """The session whose frames these are."""

    @property
    def version(self) -> str | None:
        """The protocol version agreed on."""


@dataclass
class Transaction:
    """What a transaction has gathered.

    Attributes:
        steps: what is to be done at COMMIT, in order; nothing of it can fail any more.
        messages: for which there is room.
        claims: what is acknowledged in it, by subscription.
    """

    steps: list[Callable[[], None]] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    claims: list[tuple[Subscription, list[Delivery]]] = field(default_factory=list)


class Commands:
    """A client's subscriptions, transactions and temp queues, and what its frames do with them.

    Args:
        client: whose they are.
        destinations: what all clients share.
        log: where their doings are noted.

    Attributes:
        forgiving: whether an ACK of what is not pending is passed over: a fault has the client get
            its messages twice.
    """

    def __init__(self, client: Client, destinations: Destinations, log: EventLog) -> None:
        self.forgiving = False
        self._client = client
        self._destinations = destinations
        self._log = log
        self._last_envelope = Envelope("", {})
        self._last_key: object = None
        # By ("id", …); in STOMP 1.0, where an id is optional, perhaps by ("destination", …); by
        # ("reply", …) those that a reply-to has implied.
        self._subscriptions: dict[tuple[str, str], Subscription] = {}
        self._transactions: dict[str, Transaction] = {}
        self._temp_queues: dict[str, str] = {}  # what the client calls them, and what all do
        self._handlers: dict[str, Callable[[STOMPFrame], None]] = {
            "SEND": self._send,
            "ACK": self._acknowledge,
            "NACK": self._acknowledge,
            "SUBSCRIBE": self._subscribe,
            "UNSUBSCRIBE": self._unsubscribe,
            "BEGIN": self._begin,
            "COMMIT": self._commit,
            "ABORT": self._abort,
        }

    def do(self, frame: STOMPFrame) -> None:
        """Do what a frame asks for.

        Raises:
            Refusal: it asks for something that cannot be.
            Full: there is no room for its message.
        """
        handler = self._handlers.get(frame.Command)
        if handler is None:
            raise self._unknown(frame)
        handler(frame)

    def go_on(self) -> None:
        """The client reads again: deliver what was held back, if need be not all of it; then those
        are first the next time that had to wait."""
        served: set[object] = set()
        for key, subscription in list(self._subscriptions.items()):
            if subscription.place in served:  # a queue serves all of its subscribers at once
                continue
            if isinstance(subscription.place, Queue):
                served.add(subscription.place)
            self._destinations.dispatch(subscription)
            self._subscriptions[key] = self._subscriptions.pop(key)
            if not self._client.ready:
                return

    def kept(self) -> list[Subscription]:
        """The subscriptions for which topics have kept messages."""
        return [one for one in self._subscriptions.values() if one.backlog]

    def end(self) -> None:
        """The client is gone: its transactions are aborted, its messages go back."""
        self._undo(self._transactions.values(), self._subscriptions.values())
        self._transactions.clear()
        self._subscriptions.clear()
        for name in self._temp_queues.values():
            self._destinations.close_temp_queue(name)
        self._temp_queues.clear()

    def described(self) -> dict[str, object]:
        """What there is, as plain data."""
        subscriptions = self._subscriptions.values()
        return {
            "subscriptions": [one.destination for one in subscriptions],
            "unacknowledged": sum(one.unacknowledged for one in subscriptions),
            "waiting": sum(len(one.backlog) for one in subscriptions),
            "dropped": sum(one.dropped for one in subscriptions),
            "transactions": len(self._transactions),
        }

    def _unknown(self, frame: STOMPFrame) -> Refusal:
        if frame.Command in ("CONNECT", "STOMP"):
            return Refusal("connected already", "A connection has one CONNECT frame, the first.")
        return Refusal(
            f"unknown command {frame.Command[:40]!r}",
            f"A client of STOMP {self._client.version} sends one of {', '.join(self._handlers)}, "
            "DISCONNECT.",
        )

    def _need(self, frame: STOMPFrame, name: str) -> str:
        if name not in frame:
            raise Refusal(
                f"{frame.Command} without {name}",
                f"In STOMP {self._client.version}, {frame.Command} needs the header {name}.",
            )
        if len(frame[name]) > MAX_NAME:
            raise Refusal(f"{name} is too long", f"It has {MAX_NAME} characters at the most.")
        return frame[name]

    # -- messages ----------------------------------------------------------------------------

    def _send(self, frame: STOMPFrame) -> None:
        envelope = self._envelope(frame)
        if "transaction" not in frame:
            self._destinations.send(envelope, frame.Body)
            return
        transaction = self._transaction(frame)
        message = self._destinations.admit(envelope, frame.Body)
        transaction.messages.append(message)
        transaction.steps.append(partial(self._destinations.publish, message))

    def _envelope(self, frame: STOMPFrame) -> Envelope:
        """Where a SEND goes and what it says; the last one's, if that is the same."""
        key = frame.headers_apart("content-length")
        if key is not None and key == self._last_key:
            return self._last_envelope
        destination = self._resolved(self._need(frame, "destination"))
        headers = {n: v for n, v in frame.Headers.items() if n not in _NOT_PASSED_ON}
        if headers.get("reply-to", "").startswith(TEMP_QUEUE):
            headers["reply-to"] = self._await_replies(headers["reply-to"])
        self._last_key, self._last_envelope = key, Envelope(destination, headers)
        return self._last_envelope

    def _acknowledge(self, frame: STOMPFrame) -> None:
        """ACK and NACK. What is wrong with one is wrong at once, so that COMMIT cannot fail."""
        try:
            subscription, number = self._pending(frame)
        except Refusal:
            if self.forgiving:
                return
            raise
        there = self._destinations
        settle = there.ack if frame.Command == "ACK" else there.nack
        if "transaction" not in frame:
            settle(subscription, subscription.claim(number))
            return
        transaction = self._transaction(frame)
        deliveries = subscription.claim(number)
        transaction.claims.append((subscription, deliveries))
        transaction.steps.append(partial(settle, subscription, deliveries))

    def _pending(self, frame: STOMPFrame) -> tuple[Subscription, int]:
        """Which delivered message an ACK or NACK means (ACK in the three specifications)."""
        if self._client.version == "1.2":
            sub_id, _, message_id = self._need(frame, "id").rpartition(",")
        else:
            message_id, sub_id = self._need(frame, "message-id"), frame.get("subscription", "")
        if self._client.version == "1.1":
            self._need(frame, "subscription")
        number = int(message_id) if _COUNT.fullmatch(message_id) else 0
        named = self._subscriptions.get(("id", sub_id))
        others = self._subscriptions.values() if self._client.version == "1.0" else ()
        for subscription in (named, *others):
            if subscription is not None and number in subscription.pending:
                return subscription, number
        raise Refusal(
            f"{frame.Command} of an unknown message",
            "No message of that id waits for an acknowledgement on this connection: it may be "
            "acknowledged already, also in a transaction that is open, or its subscription is in "
            "auto mode or has ended.",
        )

    # -- temp queues -------------------------------------------------------------------------

    def _resolved(self, destination: str) -> str:
        """What all others call a destination of this client's."""
        if not destination.startswith(TEMP_QUEUE):
            return destination
        if destination not in self._temp_queues:
            if len(self._temp_queues) == MAX_TEMP_QUEUES:
                raise Refusal(
                    "too many temp queues", f"A client has {MAX_TEMP_QUEUES} at the most."
                )
            self._temp_queues[destination] = self._destinations.open_temp_queue(self._client)
        return self._temp_queues[destination]

    def _await_replies(self, destination: str) -> str:
        """Have replies delivered: by RabbitMQ's rule, who names a temp queue for them has
        subscribed to it. A SUBSCRIBE, as ActiveMQ has it, takes the place of that."""
        name = self._resolved(destination)
        if all(one.destination != name for one in self._subscriptions.values()):
            implied = Subscription(self._client, destination, name)
            self._add(("reply", destination), implied)
        return name

    # -- subscriptions -----------------------------------------------------------------------

    def _subscribe(self, frame: STOMPFrame) -> None:
        destination = self._need(frame, "destination")
        given = "id" in frame or self._client.version != "1.0"
        sub_id = self._need(frame, "id") if given else None
        key = ("destination", destination) if sub_id is None else ("id", sub_id)
        name = self._resolved(destination)
        subscription = Subscription(self._client, sub_id, name, *_options(frame))
        implied = self._subscriptions.pop(("reply", destination), None)
        if implied is not None:
            self._destinations.unsubscribe([implied])
        self._add(key, subscription)

    def _add(self, key: tuple[str, str], subscription: Subscription) -> None:
        if key in self._subscriptions:
            raise Refusal(
                "subscription id in use",
                "This connection has a subscription with that id already, or in STOMP 1.0 one "
                "without an id to the same destination.",
            )
        if len(self._subscriptions) == MAX_SUBSCRIPTIONS:
            raise Refusal(
                "too many subscriptions", f"A client has {MAX_SUBSCRIPTIONS} at the most."
            )
        _label(subscription, self._client.version or "")
        self._subscriptions[key] = subscription
        try:
            self._destinations.subscribe(subscription)
        except Full:
            del self._subscriptions[key]
            raise
        except PermissionError:
            del self._subscriptions[key]
            raise Refusal(
                "no such temp queue",
                f"A {REPLY_QUEUE}… is for sending to; who opened it subscribes to {TEMP_QUEUE}….",
            ) from None
        self._log.note("subscribed", self._client.id, subscription.destination)

    def _unsubscribe(self, frame: STOMPFrame) -> None:
        if self._client.version == "1.0" and "id" not in frame:
            key = ("destination", self._need(frame, "destination"))
        else:
            key = ("id", self._need(frame, "id"))
        if key not in self._subscriptions:
            key = self._otherwise_named(*key)
        subscription = self._subscriptions.pop(key, None)
        if subscription is None:
            raise Refusal("no such subscription", f"There is none with the {key[0]} {key[1]!r}.")
        self._last_key = None  # for replies it may have to be subscribed to anew
        self._destinations.unsubscribe([subscription])
        self._log.note("unsubscribed", self._client.id, subscription.destination)

    def _otherwise_named(self, kind: str, name: str) -> tuple[str, str]:
        """The key of a subscription that a reply-to has implied, by its id; or of one that has an
        id, by its destination (STOMP 1.0, "UNSUBSCRIBE")."""
        if kind == "id":
            return "reply", name
        named = (key for key, one in self._subscriptions.items() if one.destination == name)
        return next(named, (kind, name))

    # -- transactions ------------------------------------------------------------------------

    def _begin(self, frame: STOMPFrame) -> None:
        name = self._need(frame, "transaction")
        if name in self._transactions:
            raise Refusal("transaction id in use", f"The transaction {name!r} is open already.")
        if len(self._transactions) == MAX_TRANSACTIONS:
            raise Refusal("too many transactions", f"A client has {MAX_TRANSACTIONS} at the most.")
        self._transactions[name] = Transaction()

    def _commit(self, frame: STOMPFrame) -> None:
        for step in self._end_transaction(frame).steps:
            step()

    def _abort(self, frame: STOMPFrame) -> None:
        self._undo([self._end_transaction(frame)])

    def _undo(
        self, transactions: Iterable[Transaction], ended: Iterable[Subscription] = ()
    ) -> None:
        """As if the transactions had not been, and perhaps end subscriptions with them: what goes
        back to a queue does so in order."""
        claims = []
        for transaction in transactions:
            claims += transaction.claims
            for message in transaction.messages:
                self._destinations.discard(message)
        self._destinations.unsubscribe(ended, claims)

    def _end_transaction(self, frame: STOMPFrame) -> Transaction:
        return self._transactions.pop(self._open(self._need(frame, "transaction")))

    def _transaction(self, frame: STOMPFrame) -> Transaction:
        """The transaction that a frame is part of."""
        return self._transactions[self._open(frame["transaction"])]

    def _open(self, name: str) -> str:
        if name not in self._transactions:
            raise Refusal(
                "no such transaction", f"The transaction {name!r} is not open: BEGIN it first."
            )
        return name


def _options(frame: STOMPFrame) -> tuple[AckMode, int | None, Selector | None]:
    """Ack mode, prefetch and selector of a SUBSCRIBE."""
    try:
        mode = AckMode(frame.get("ack", "auto"))
    except STOMPProtocolError as error:
        raise Refusal(error.Message, f"It is one of {', '.join(AckMode)}.") from None
    prefetch = frame.get("prefetch-count", "0")
    if prefetch != "0" and not _COUNT.fullmatch(prefetch):
        raise Refusal("malformed prefetch-count", "It is a number; 0 is for any.")
    limit = int(prefetch) or None
    try:
        selector = Selector(frame["selector"]) if frame.get("selector") else None
    except STOMPProtocolError as error:
        raise Refusal("malformed selector", str(error)) from None
    return mode, limit, selector


def _label(subscription: Subscription, version: str) -> None:
    """Prepare what all MESSAGE frames of a subscription have."""
    if subscription.id is None:
        return
    subscription.tag = _line("subscription", subscription.id, version)
    if version == "1.2" and subscription.ack_mode is not AckMode.Auto:
        ack = _line("ack", f"{subscription.id},", version)
        subscription.ack_tag = ack.replace(b"%", b"%%").removesuffix(b"\n") + b"%d\n"


def _line(name: str, value: str, version: str) -> bytes:
    """A header as it is on the wire."""
    return wire.encode_head("", {name: value}, version).removeprefix(b"\n")
