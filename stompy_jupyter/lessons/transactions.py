"""The exercises of ``15-transactions.ipynb``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from stompy_jupyter.exercises import exercise, expect
from stompy_jupyter.lessons.predicting import as_said

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stompy_jupyter.exercises import Evidence, Outcome, Step

LESSON = "15-transactions"

INBOX, OUTBOX = "/queue/inbox", "/queue/outbox"


@exercise(
    "which-arrive",
    lesson=LESSON,
    task="Say which of the messages a to f arrive from /queue/shop, and in which order.",
    hint="Go through the cell line by line. Where is each message: at the broker's for good, or "
    "in a transaction? When does a transaction that is committed let go of its messages?",
    solution="""
%%stomp_predict which-arrive
c, b, d, f
""",
    predicted="the bodies of those that arrive, in the order in which they do",
)
def which_arrive(evidence: Evidence) -> Iterator[Outcome]:
    """At once what is in no transaction; at COMMIT what is; never what was aborted."""
    sent = evidence.sent("SEND", destination="/queue/shop")
    ends = [*evidence.sent("COMMIT"), *evidence.sent("ABORT")]
    yield expect(
        "messages went to /queue/shop, and the transactions have ended",
        [*sent, *ends] if sent and len(ends) >= 2 else [],
        "since your prediction they have not: run the cell that sends them",
    )
    came = evidence.came("MESSAGE", destination="/queue/shop")
    truth = list(dict.fromkeys(step.body for step in came))
    yield as_said(
        "those arrived that you have predicted, in that order",
        evidence,
        truth,
        came,
        remark="What is in a transaction waits for its COMMIT; an ABORT throws it away.",
    )


class _Transaction(NamedTuple):
    """What a learner has done in one transaction, as far as it matters for moving a message.

    Attributes:
        acks: the ACKs of messages of the inbox.
        sends: the messages to the outbox.
        commits: the COMMIT, if there is one.
    """

    acks: list[Step]
    sends: list[Step]
    commits: list[Step]

    @property
    def progress(self) -> tuple[bool, bool, bool]:
        """How far it is."""
        return bool(self.acks), bool(self.sends), bool(self.commits)


@exercise(
    "move-a-message",
    lesson=LESSON,
    task="Move a message from /queue/inbox to /queue/outbox, so that it can neither be lost nor "
    "doubled, whatever happens meanwhile.",
    hint="Two things have to take effect together: that it is in the outbox (SEND), and that it is "
    "gone from the inbox (ACK). `%%stomp_transaction` makes one of what its cell does; "
    "`inbox.unacknowledged` has the numbers that `inbox.ack` takes.",
    solution="""
%%stomp_transaction
number = inbox.unacknowledged[0]
session.send("/queue/outbox", inbox.df.loc[number, "body"])
inbox.ack(number)
""",
)
def move_a_message(evidence: Evidence) -> Iterator[Outcome]:
    """ACK and SEND in one transaction that is committed, and neither of them besides."""
    begun = [t for t in _transactions(evidence) if t.acks or t.sends]
    done = max(begun, key=lambda t: t.progress, default=_Transaction([], [], []))
    sends = evidence.sent("SEND", destination=OUTBOX)
    yield expect(
        "a message of /queue/inbox was acknowledged in a transaction",
        done.acks,
        _why_no_ack(_acks(evidence)),
    )
    bodies = _bodies_of(evidence, done.acks)
    copies = [step for step in done.sends if step.body in bodies]
    yield expect(
        "in the same transaction a message with its body went to /queue/outbox",
        copies,
        _why_no_copy(done, sends),
    )
    yield expect(
        "the transaction was committed", done.commits, "there is no COMMIT of it: nothing happened"
    )
    elsewhere = [step for other in begun if other.commits for step in other.sends]
    elsewhere += [step for step in sends if step.get("transaction") is None]
    again = [step for step in elsewhere if step.body in bodies and step not in copies]
    yield expect(
        "it was sent there once",
        len(copies) == len({step.body for step in copies}) > 0 and not again,
        "it was sent there outside of the transaction as well: it is there twice"
        if again
        else "it was sent there twice in the transaction"
        if copies
        else "it was not sent there",
    )


def _why_no_ack(acks: list[Step]) -> str:
    if any(ack.get("transaction") is None for ack in acks):
        return (
            "its ACK has no header transaction, so it took effect at once: had the connection been "
            "cut before the SEND was through, the message would be lost"
        )
    return "the transaction of its ACK was aborted" if acks else "none was acknowledged"


def _why_no_copy(done: _Transaction, sends: list[Step]) -> str:
    if done.sends:
        return "what went there has another body"
    if sends and done.acks:
        return (
            "the SEND has not the transaction of the ACK: had the connection been cut between the "
            "two, the message would be in both queues or in none"
        )
    return "nothing went there in the transaction of the ACK"


def _transactions(evidence: Evidence) -> Iterator[_Transaction]:
    """What was begun, and not aborted, oldest first."""
    acks = _acks(evidence)
    for begin in evidence.sent("BEGIN"):
        own = _same(begin, evidence)
        if any(step.command == "ABORT" for step in own):
            continue
        yield _Transaction(
            [step for step in own if step in acks],
            [step for step in own if step.has({"destination": OUTBOX})],
            [step for step in own if step.command == "COMMIT"],
        )


def _same(begin: Step, evidence: Evidence) -> list[Step]:
    """The frames of the transaction that begins there; its id may begin another one later."""
    frames: list[Step] = []
    for step in evidence.steps:
        if step.connection != begin.connection or step.entry.number <= begin.entry.number:
            continue
        if step.entry.sent and step.get("transaction") == begin.get("transaction"):
            if step.command == "BEGIN":
                break
            frames.append(step)
    return frames


def _acks(evidence: Evidence) -> list[Step]:
    """The ACKs of messages of the inbox."""
    return [ack for ack in evidence.sent("ACK") if _acknowledged(ack, evidence) is not None]


def _bodies_of(evidence: Evidence, acks: list[Step]) -> list[str]:
    messages = [_acknowledged(ack, evidence) for ack in acks]
    return [message.body for message in messages if message is not None]


def _acknowledged(ack: Step, evidence: Evidence) -> Step | None:
    """The message of the inbox that an ACK names: by its ack, before STOMP 1.2 by its id."""
    for message in evidence.everything.came("MESSAGE", destination=INBOX):
        if message.connection == ack.connection and (
            (ack.get("id") is not None and ack.get("id") == message.get("ack"))
            or (ack.get("id") is None and ack.get("message-id") == message.get("message-id"))
        ):
            return message
    return None
