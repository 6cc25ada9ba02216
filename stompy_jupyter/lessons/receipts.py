"""The exercises of ``14-receipts.ipynb``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stompy_jupyter.exercises import exercise, expect
from stompy_jupyter.lessons.predicting import as_said, in_any_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stompy_jupyter.exercises import Evidence, Outcome, Step

LESSON = "14-receipts"

PARCELS = 10
"""So many messages are to be vouched for by one receipt."""


@exercise(
    "receipts-in-order",
    lesson=LESSON,
    task="Say which receipts come for the messages to /queue/desk, and in which order.",
    hint="Look at which frames ask for a receipt, and remember: the broker takes the frames of a "
    "connection one after the other.",
    solution="""
%%stomp_predict receipts-in-order
delta, alpha, bravo
""",
    predicted="the ids of the receipts, in the order in which they come",
)
def receipts_in_order(evidence: Evidence) -> Iterator[Outcome]:
    """The order is that of the frames, not of the ids; who asks for nothing gets nothing."""
    asked = evidence.sent("SEND", destination="/queue/desk", receipt=...)
    ids = [step.get("receipt") for step in asked]
    came = [step for step in evidence.came("RECEIPT") if step.get("receipt-id") in ids]
    yield expect(
        "messages went to /queue/desk, and receipts came",
        [*asked, *came] if came else [],
        "since your prediction none has: run the cell that sends them",
    )
    # Whoever has run that cell twice has every id twice, in the same order.
    truth = list(dict.fromkeys(step.get("receipt-id") or "" for step in came))
    yield as_said(
        "the receipts came in the order that you have predicted",
        evidence,
        truth,
        came,
        remark="This broker answers the frames of a connection in the order in which they came.",
    )


@exercise(
    "ten-by-one",
    lesson=LESSON,
    task="Send ten messages to /queue/parcels with a single receipt that vouches for all of them.",
    hint="A receipt says that the earlier frames of the connection have arrived, too. So which of "
    "the ten has to ask for it? `session.send(…, receipt=True)` asks, `.wait()` waits.",
    solution="""
for number in range(9):
    session.send("/queue/parcels", f"parcel {number}")
session.send("/queue/parcels", "parcel 9", receipt=True).wait()
""",
)
def ten_by_one(evidence: Evidence) -> Iterator[Outcome]:
    """All but the last ask for none; what vouches is the last, or any frame behind it."""
    parcels = _most_on_one_connection(evidence.sent("SEND", destination="/queue/parcels"))
    enough = len(parcels) >= PARCELS
    yield expect(
        "ten messages went to /queue/parcels on one connection",
        parcels if enough else [],
        f"on one connection it was {len(parcels)}",
    )
    early = [step for step in parcels[:-1] if step.get("receipt") is not None]
    yield expect(
        "none of them but the last has asked for a receipt",
        enough and not early,
        f"{len(early)} of the earlier ones have asked: one receipt is enough for all"
        if early
        else "there are not ten yet",
    )
    vouching = _vouching(evidence, parcels) if enough else []
    yield expect(
        "the last, or a frame behind it, has asked for one",
        vouching,
        "nothing has asked for one at their end: the receipt of an earlier frame says nothing of "
        "those that come later"
        if enough
        else "there are not ten yet",
    )
    ids = {(step.connection, step.get("receipt")) for step in vouching}
    yield expect(
        "the receipt has come",
        [s for s in evidence.came("RECEIPT") if (s.connection, s.get("receipt-id")) in ids],
        "it has not: no RECEIPT with this id came back",
    )


def _most_on_one_connection(steps: list[Step]) -> list[Step]:
    by_connection: dict[tuple[str, int, int], list[Step]] = {}
    for step in steps:
        by_connection.setdefault(step.connection, []).append(step)
    return max(by_connection.values(), key=len, default=[])


def _vouching(evidence: Evidence, parcels: list[Step]) -> list[Step]:
    """The first frame from the last of them on that asks for a receipt."""
    last = parcels[-1]
    behind = [
        step
        for step in evidence.steps
        if step.entry.sent
        and step.connection == last.connection
        and step.entry.number >= last.entry.number
        and step.get("receipt") is not None
    ]
    return behind[:1]


@exercise(
    "receipt-missing",
    lesson=LESSON,
    task="Say which of the messages x, y and z are in /queue/shelf, though no receipt has come.",
    hint="What was disturbed: the way of the messages to the broker, or that of the receipts back?",
    solution="""
%%stomp_predict receipt-missing
x, y, z
""",
    predicted="the bodies of those that are in the queue, or `none`",
)
def receipt_missing(evidence: Evidence) -> Iterator[Outcome]:
    """They are all there: without a receipt nothing is known."""
    asked = evidence.sent("SEND", destination="/queue/shelf", receipt=...)
    ids = [step.get("receipt") for step in asked]
    answered = [step for step in evidence.came("RECEIPT") if step.get("receipt-id") in ids]
    yield expect(
        "messages to /queue/shelf have asked for receipts, and none came",
        asked if not answered else [],
        "receipts came: switch them off, `%stomp_broker faults --no-receipts`, and predict again"
        if answered
        else "since your prediction none has gone there: run the cells below it",
    )
    looked = evidence.sent("SUBSCRIBE", destination="/queue/shelf")
    yield expect("somebody has looked into the queue", looked, "run the cell that subscribes to it")
    there = evidence.came("MESSAGE", destination="/queue/shelf")
    yield in_any_order(
        "in the queue was what you have predicted",
        evidence,
        ([step.body for step in there] or ["none"]) if looked else [],
        there,
        remark="A receipt that is missing says nothing: the message may have arrived or not.",
    )
