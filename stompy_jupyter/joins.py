"""Which frames of a trace belong together: by receipts, acknowledgements, transactions.

Pure: entries of a trace in, joins by their numbers out. Whatever strangers send is looked up and
compared, never obeyed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stompy_jupyter.trace import TraceEntry

Outcome: TypeAlias = Literal["open", "committed", "aborted", "refused", "lost"]

CUMULATIVE = "client"
"""The ack mode in which an answer covers what came before (STOMP 1.2, "SUBSCRIBE ack Header")."""


@dataclass
class Transaction:
    """Frames that take effect together, or not at all (STOMP 1.2, "BEGIN").

    Attributes:
        id: its name, as a client chose it.
        numbers: of its frames, from BEGIN to COMMIT or ABORT.
        outcome: ``"open"``, ``"committed"``, ``"aborted"``; ``"refused"``, if an ERROR answered
            COMMIT or another of its frames; ``"lost"``, if the connection ended before.
    """

    id: str
    numbers: list[int] = field(default_factory=list)
    outcome: Outcome = "open"
    _answered: list[tuple[_Subscription, list[int]]] = field(default_factory=list)

    @property
    def aborted(self) -> bool:
        """Whether nothing of it took effect."""
        return self.outcome in ("aborted", "refused", "lost")

    def end(self, outcome: Outcome) -> None:
        """End it; what it acknowledged and took no effect waits for another answer."""
        self.outcome = outcome
        if self.aborted:
            for subscription, numbers in self._answered:
                subscription.waiting = sorted({*subscription.waiting, *numbers})


@dataclass
class _Subscription:
    """A subscription, and which of its messages wait for an answer.

    Attributes:
        number: of its SUBSCRIBE; None if that is not in the trace.
        mode: its header ``ack``.
        waiting: the numbers of those messages, oldest first.
    """

    number: int | None
    mode: str
    waiting: list[int] = field(default_factory=list)


@dataclass
class Joins:
    """What was found, by the numbers of the frames.

    Attributes:
        answers: what a frame answers: a RECEIPT or an ERROR the frame that asked for it, an ACK or
            a NACK its messages, an UNSUBSCRIBE its SUBSCRIBE.
        answered: the same the other way round.
        asked: the frames that asked for a receipt, and whether it may still come: False where it
            has come, and where the connection has ended without it.
        confirmed: those of them that a RECEIPT or an ERROR has answered.
        transactions: the transaction of a frame that is in one.
    """

    answers: dict[int, list[int]] = field(default_factory=dict)
    answered: dict[int, list[int]] = field(default_factory=dict)
    asked: dict[int, bool] = field(default_factory=dict)
    confirmed: set[int] = field(default_factory=set)
    transactions: dict[int, Transaction] = field(default_factory=dict)

    def add(self, number: int, answers: Sequence[int]) -> None:
        """Note what a frame answers."""
        if answers:
            self.answers[number] = list(answers)
            for each in answers:
                self.answered.setdefault(each, []).append(number)


def join(entries: Iterable[TraceEntry], ended: bool) -> Joins:
    """Find out which entries belong together.

    Args:
        entries: of one trace, in their order.
        ended: whether the last connection has ended: what waits then waits in vain.

    Example:
        >>> joins = join(session.trace, ended=not session.connected)
        >>> joins.answers
        {3: [2]}
    """
    joins = Joins()
    connection: _Connection | None = None
    for entry in entries:
        if connection is None or connection.number != entry.connection:
            if connection is not None:
                connection.end()
            connection = _Connection(entry.connection, joins)
        connection.take(entry)
    if connection is not None and ended:
        connection.end()
    return joins


class _Connection:
    """What is not finished on one connection."""

    def __init__(self, number: int, joins: Joins) -> None:
        self.number = number
        self._joins = joins
        self._receipts: dict[str, int] = {}
        self._subscriptions: dict[str, _Subscription] = {}
        self._messages: dict[tuple[str, ...], tuple[int, _Subscription]] = {}
        self._transactions: dict[str, Transaction] = {}

    def end(self) -> None:
        """Nothing more comes."""
        for number in self._receipts.values():
            self._joins.asked[number] = False
        for transaction in self._transactions.values():
            transaction.end("lost")
        self._receipts, self._transactions = {}, {}

    def take(self, entry: TraceEntry) -> None:
        """Take one more entry."""
        if entry.frame is None:
            return
        if entry.sent:
            self._take_sent(entry)
        elif entry.command == "MESSAGE":
            self._take_message(entry)
        elif entry.command in ("RECEIPT", "ERROR"):
            self._take_confirmation(entry)
            if entry.command == "ERROR":  # the broker closes the connection (STOMP 1.2, "ERROR")
                self.end()

    # -- what was sent -----------------------------------------------------------------------

    def _take_sent(self, entry: TraceEntry) -> None:
        receipt = entry.get("receipt")
        if receipt is not None:
            self._receipts[receipt] = entry.number
            self._joins.asked[entry.number] = True
        transaction = self._transaction_of(entry)
        if entry.command == "SUBSCRIBE":
            made = _Subscription(entry.number, entry.get("ack") or "auto")
            self._subscriptions[_subscription_id(entry, "id")] = made
        elif entry.command == "UNSUBSCRIBE":
            ended = self._subscriptions.pop(_subscription_id(entry, "id"), None)
            if ended is not None and ended.number is not None:
                self._joins.add(entry.number, [ended.number])
        elif entry.command in ("ACK", "NACK"):
            self._take_answer(entry, transaction)
        elif transaction is not None and entry.command in ("COMMIT", "ABORT"):
            del self._transactions[transaction.id]
            transaction.end("committed" if entry.command == "COMMIT" else "aborted")

    def _transaction_of(self, entry: TraceEntry) -> Transaction | None:
        """The transaction that a frame is in, which begins if there is none of that name."""
        id = entry.get("transaction")
        if id is None:
            return None
        transaction = self._transactions.setdefault(id, Transaction(id))
        transaction.numbers.append(entry.number)
        self._joins.transactions[entry.number] = transaction
        return transaction

    def _take_answer(self, entry: TraceEntry, transaction: Transaction | None) -> None:
        number, subscription = self._messages.get(_answered_by(entry), (None, None))
        if number is None or subscription is None:
            return
        covered = [number]
        if subscription.mode == CUMULATIVE:
            covered = [n for n in subscription.waiting if n < number] + covered
        gone = set(covered)
        subscription.waiting = [n for n in subscription.waiting if n not in gone]
        if transaction is not None:
            transaction._answered.append((subscription, covered))
        self._joins.add(entry.number, covered)

    # -- what came ---------------------------------------------------------------------------

    def _take_message(self, entry: TraceEntry) -> None:
        id = _subscription_id(entry, "subscription")
        # Without its SUBSCRIBE, or one by the destination, nothing is known of the mode.
        subscription = self._subscriptions.setdefault(id, _Subscription(None, ""))
        if subscription.mode == CUMULATIVE:
            subscription.waiting.append(entry.number)
        for key in _names_of(entry):
            self._messages[key] = entry.number, subscription

    def _take_confirmation(self, entry: TraceEntry) -> None:
        number = self._receipts.pop(entry.get("receipt-id") or "", None)
        if number is None:
            return
        self._joins.asked[number] = False
        self._joins.confirmed.add(number)
        self._joins.add(entry.number, [number])
        transaction = self._joins.transactions.get(number)
        if entry.command == "ERROR" and transaction is not None:
            self._transactions.pop(transaction.id, None)
            transaction.end("refused")


def _subscription_id(entry: TraceEntry, header: str) -> str:
    """The subscription that a frame is about; in STOMP 1.0 it may be its destination alone."""
    id = entry.get(header)
    return f"id {id}" if id is not None else f"destination {entry.get('destination')}"


def _names_of(message: TraceEntry) -> list[tuple[str, ...]]:
    """By what an answer may name a message: each version has a way of its own."""
    ack, id, subscription = map(message.get, ("ack", "message-id", "subscription"))
    names: list[tuple[str, ...]] = []
    if message.version in ("1.2", None) and ack is not None:
        names.append(("ack", ack))
    if id is not None:
        names.append(("message-id", id))
        if subscription is not None:
            names.append(("message-id", id, subscription))
    return names


def _answered_by(answer: TraceEntry) -> tuple[str, ...]:
    """The name of the message that an ACK or NACK answers (STOMP 1.0, 1.1 and 1.2, "ACK")."""
    id, subscription = answer.get("message-id"), answer.get("subscription")
    if answer.version == "1.2" or id is None:
        return ("ack", answer.get("id") or "")
    return ("message-id", id) if subscription is None else ("message-id", id, subscription)
