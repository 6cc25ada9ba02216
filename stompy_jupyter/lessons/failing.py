"""The exercises of ``16-heart-beats-and-failure.ipynb``."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from stompy_jupyter.display import visible
from stompy_jupyter.exercises import exercise, expect
from stompy_jupyter.lessons.predicting import in_any_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stompy_jupyter.exercises import Evidence, Outcome, Step

LESSON = "16-heart-beats-and-failure"

SHOWN = "77"
"""The receipt that the wrong frame asks for which the lesson itself shows."""

TOPIC, QUEUE = "/topic/news", "/queue/jobs"


@exercise(
    "after-the-cut",
    lesson=LESSON,
    task="Say which of the messages n1 to n3 (topic) and j1 to j4 (queue) come to the reader when "
    "it is back.",
    hint="A topic gives a message to those who are there at that moment. A queue keeps it until "
    "somebody has acknowledged it.",
    solution="""
%%stomp_predict after-the-cut
n3, j2, j3, j4
""",
    predicted="the bodies of all messages that come after the cut, in any order",
)
def after_the_cut(evidence: Evidence) -> Iterator[Outcome]:
    """What comes on the newest connection; of the topic nothing that was sent while it was away."""
    back = [step for step in evidence.came("CONNECTED") if _subscribed(step, evidence)]
    yield expect(
        "the connection of the reader was cut, and it is back with its subscriptions",
        back[-1:],
        "since your prediction it has not come back: run the cells below it",
    )
    came = [
        step
        for step in evidence.came("MESSAGE")
        if back
        and step.connection == back[-1].connection
        and step.get("destination") in (TOPIC, QUEUE)
    ]
    truth = [step.body for step in came]
    received = {step.body for step in evidence.came("MESSAGE")}
    sent = [step.body for step in evidence.sent("SEND", destination=TOPIC)]
    lost = ", ".join(visible(body, 40) for body in sent if body not in received)
    yield in_any_order(
        "after the cut came what you have predicted",
        evidence,
        truth,
        came,
        remark=f"Of the topic was lost: {lost or 'nothing'}. Of the queue came again or late what "
        "had not been acknowledged.",
    )


def _subscribed(connected: Step, evidence: Evidence) -> bool:
    """Whether both destinations are subscribed to on the connection that begins there."""
    wanted = {
        step.get("destination")
        for step in evidence.sent("SUBSCRIBE")
        if step.connection == connected.connection
    }
    return {TOPIC, QUEUE} <= wanted


@exercise(
    "name-the-cause",
    lesson=LESSON,
    task="Send a frame that the broker answers with ERROR. Then name the cause: send the header "
    "`message` of that ERROR to /queue/causes.",
    hint="BEGIN without a transaction, or SUBSCRIBE without a destination, will do. By hand: "
    "`%%stomp_raw --force` in a cell, then `%stomp_send /queue/causes` and the message in another. "
    "In Python: a session of its own, `StompSession(session.address, reconnect=False)`, leaves the "
    "other alone. "
    "`client.send(…, receipt=True).wait()` raises a STOMPError whose `.Frame` is the ERROR.",
    solution="""
from stompy import STOMPError
from stompy_jupyter import StompSession

with StompSession(session.address, name="wrong", reconnect=False) as wrong:
    try:
        wrong.client.send("BEGIN", receipt=True).wait()
    except STOMPError as error:
        cause = error.Frame["message"]
session.send("/queue/causes", cause, receipt=True).wait()
""",
)
def name_the_cause(evidence: Evidence) -> Iterator[Outcome]:
    """An ERROR came, and its message was sent on a connection that was still there."""
    errors = [step for step in evidence.came("ERROR") if step.get("receipt-id") != SHOWN]
    yield expect(
        "the broker has answered a frame of yours with ERROR",
        errors,
        "no ERROR has come: what is wrong enough? The table of who refuses what has ideas",
    )
    causes = {(step.get("message") or "").strip() for step in errors} - {""}
    named = [
        step
        for step in evidence.sent("SEND", destination="/queue/causes")
        if step.body.strip() in causes
    ]
    others = evidence.sent("SEND", destination="/queue/causes")
    yield expect(
        "its header `message` went to /queue/causes",
        named,
        f"what went there is not what an ERROR said: {visible(others[-1].body, 80)}"
        if others
        else "nothing went there yet",
    )
    yield expect(
        "it went on a connection that no ERROR had ended",
        [step for step in named if not _ended(step, evidence)],
        "it went down the connection that the ERROR has ended: the broker never had it. Wait "
        "until the session is back, or use another"
        if named
        else "nothing went there yet",
    )


def _ended(send: Step, evidence: Evidence) -> bool:
    """Whether an ERROR had come on its connection before."""
    return any(
        error.connection == send.connection and error.entry.number < send.entry.number
        for error in evidence.everything.came("ERROR")
    )


@exercise(
    "book-once",
    lesson=LESSON,
    task="Book each payment of /queue/payments once: send one message to /queue/booked for each, "
    "with its header `payment`.",
    hint="Two deliveries of a message have the same message-id here, but what the producer has "
    "sent twice has two. Which header is the same in all of them? A DataFrame has "
    "`drop_duplicates`.",
    solution="""
for _, row in payments.df.drop_duplicates("payment").iterrows():
    session.send("/queue/booked", row["body"], payment=row["payment"])
session.send("/queue/booked-all", "done", receipt=True).wait()
""",
)
def book_once(evidence: Evidence) -> Iterator[Outcome]:
    """However often a payment has come, it is booked once."""
    came = evidence.everything.came("MESSAGE", destination="/queue/payments", payment=...)
    payments = {step.get("payment") for step in came}
    yield expect(
        "payments have come", came, "none has: run the cells in which they are sent and received"
    )
    booked = evidence.sent("SEND", destination="/queue/booked")
    times = Counter(step.get("payment") for step in booked)
    missing = _named(payments - set(times))
    yield expect(
        "each of them was booked",
        booked if payments and not missing else [],
        f"not booked: {missing}" if booked else "none was booked yet",
    )
    double = _named(payment for payment, n in times.items() if n > 1)
    yield expect(
        "none was booked twice",
        bool(booked) and not double,
        f"booked more than once: {double}" if double else "none was booked yet",
    )
    strange = _named(set(times) - payments)
    yield expect(
        "nothing else was booked",
        bool(booked) and not strange,
        f"booked, though it never came: {strange}" if strange else "none was booked yet",
    )


def _named(payments: Iterable[str | None]) -> str:
    """Payments, for people; a message may have been sent without the header."""
    return ", ".join(sorted(visible(p, 40) if p else "one without a header" for p in payments))
