"""The exercises of ``13-acknowledgement.ipynb``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from stompy_jupyter.display import visible
from stompy_jupyter.exercises import exercise, expect
from stompy_jupyter.lessons.predicting import in_any_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from stompy_jupyter.exercises import Evidence, Outcome, Step

LESSON = "13-acknowledgement"

LETTERS, PARCELS, TICKETS = "/queue/letters", "/queue/parcels", "/queue/tickets"

ENOUGH = 5
"""So many tickets are to be acknowledged by one ACK."""

ANEW = (
    "End the stream (`%stomp_unsubscribe NAME`), run the cell that sends five tickets, and "
    "subscribe in another mode"
)


@exercise(
    "ack-second",
    lesson=LESSON,
    task=f"Three letters wait in {LETTERS}: one, two, three. Acknowledge `two`, and no other.",
    hint="`%stomp_ack NAME NUMBER` acknowledges one message; its number is that of its row in "
    "`letters.df`. They are counted from 0.",
    solution="""
%stomp_ack letters 1
""",
)
def ack_second(evidence: Evidence) -> Iterator[Outcome]:
    """By one of the subscriptions `two` was acknowledged, and no other letter was.

    So a learner who begins anew subscribes again, and what comes later, as when a connection was
    cut, makes nothing undone.
    """
    acked = list(_acknowledged(evidence, LETTERS))
    right = [ack for said in acked for ack in said.acks if "two" in said.bodies]
    yield expect("the letter `two` was acknowledged", right, _why_not_two(evidence, acked))
    alone = [said for said in acked if said.bodies == {"two"}]
    yield expect(
        "no other letter was",
        bool(alone),
        _why_others(evidence, acked[-1]) if acked else "no letter was acknowledged yet",
    )


class _Said(NamedTuple):
    """What was acknowledged of the messages of one subscription.

    Attributes:
        acks: the ACKs.
        messages: those that they cover.
    """

    acks: list[Step]
    messages: list[Step]

    @property
    def bodies(self) -> set[str]:
        """The bodies of the messages."""
        return {step.body for step in self.messages}


def _acknowledged(evidence: Evidence, destination: str) -> Iterator[_Said]:
    """What was acknowledged of a destination, for each subscription to it."""
    said: dict[object, _Said] = {}
    for ack in evidence.sent("ACK"):
        for message in covered(ack, evidence, destination):
            key = message.connection, message.get("subscription")
            acks, messages = said.setdefault(key, _Said([], []))
            messages.append(message)
            if ack not in acks:
                acks.append(ack)
    yield from said.values()


def _why_not_two(evidence: Evidence, acked: Sequence[_Said]) -> str:
    if acked:
        return f"what was acknowledged is {visible(_listed(acked[-1].bodies), 60)}"
    if evidence.sent("NACK"):
        return "a NACK says the contrary: that it was not processed"
    return "no ACK of it has passed"


def _why_others(evidence: Evidence, said: _Said) -> str:
    others = said.bodies - {"two"}
    why = f"acknowledged was {visible(_listed(others), 60)}"
    if (mode := mode_of(said.messages[-1], evidence)) == "client":
        why += f": in the mode {mode} an ACK covers all earlier messages"
    return f"{why}. Run the cell that sends the letters, and try again"


def _listed(bodies: Iterable[str]) -> str:
    return ", ".join(sorted(bodies))


@exercise(
    "which-come-again",
    lesson=LESSON,
    task=f"Say which of the messages a to e of {PARCELS} come again, when the worker has gone.",
    hint="The mode is `client`. What does an ACK of c say of a and b? And what has the broker "
    "heard of d and e?",
    solution="""
%%stomp_predict which-come-again
d, e
""",
    predicted="the bodies of the messages that come again, in any order, or `none`",
)
def which_come_again(evidence: Evidence) -> Iterator[Outcome]:
    """What was delivered a second time has the message-id that it had at first."""
    came = evidence.came("MESSAGE", destination=PARCELS)
    lines = list(dict.fromkeys(step.connection for step in came))
    again = [step for i, step in enumerate(came) if _had_come(step, came[:i])]
    looked = len(lines) > 1 or bool(again)
    yield expect(
        "a worker has had the messages and gone, and somebody else has looked into the queue",
        came if looked else [],
        "since your prediction nobody has: run the cells below it",
    )
    yield in_any_order(
        "those came again that you have predicted",
        evidence,
        ([step.body for step in again] or ["none"]) if looked else [],
        again,
        remark="In the mode client an ACK covers its message and all earlier ones. What has no ACK "
        "when the connection ends is given to another.",
    )


def _had_come(message: Step, earlier: Iterable[Step]) -> bool:
    return any(message.get("message-id") == step.get("message-id") for step in earlier)


@exercise(
    "five-by-one",
    lesson=LESSON,
    task=f"Five tickets wait in {TICKETS}. Receive them, and acknowledge all five by one ACK.",
    hint="In which of the modes does an ACK cover what came before it? Subscribe in that one, with "
    "`--no-send-acks`, wait for all five, and acknowledge the last.",
    solution=f"""
%stomp_subscribe {TICKETS} --as tickets --ack client --no-send-acks --no-widget
%stomp_wait tickets --n 5 --timeout 10s
%stomp_ack tickets 4
""",
)
def five_by_one(evidence: Evidence) -> Iterator[Outcome]:
    """One ACK, in the mode client, that covers five messages; and no other of that subscription."""
    came = evidence.came("MESSAGE", destination=TICKETS)
    most = max(_by_subscription(came), key=len, default=[])
    yield expect(
        "five tickets have come by one subscription",
        most if len(most) >= ENOUGH else [],
        f"it was {len(most)}: do five wait in the queue? The cell above sends five more"
        if most
        else f"none came: subscribe to {TICKETS}",
    )
    acks = [(ack, covered(ack, evidence, TICKETS)) for ack in evidence.sent("ACK")]
    acks = [(ack, tickets) for ack, tickets in acks if tickets]
    right = [(ack, tickets) for ack, tickets in acks if len(tickets) >= ENOUGH]
    yield expect(
        "one ACK covers five of them",
        [ack for ack, _ in right],
        _why_no_five(evidence, came, len(acks)),
    )
    alone = [ack for ack, tickets in right if _only(ack, tickets, acks)]
    yield expect(
        "there was no other ACK of them",
        alone,
        f"there were {len(acks)} ACKs: one was enough"
        if right
        else "there is no ACK that covers five yet",
    )


def _why_no_five(evidence: Evidence, came: Sequence[Step], acks: int) -> str:
    if not came:
        return "no ticket came yet"
    mode = mode_of(came[-1], evidence)
    if mode == "auto":
        return (
            "the mode of the subscription is auto: the broker takes a message as processed when it "
            f"has sent it, and wants no ACK. {ANEW}"
        )
    if mode == "client-individual":
        return (
            f"the mode is client-individual: an ACK covers one message; ACKs so far: {acks}. {ANEW}"
        )
    if acks > 1:
        return (
            f"{acks} ACKs have passed, each for what had come by then: did the stream acknowledge "
            "by itself?"
        )
    return "the ACK covers fewer: which message has to be named?" if acks else "no ACK has passed"


def _only(ack: Step, tickets: Sequence[Step], acks: Sequence[tuple[Step, list[Step]]]) -> bool:
    """Whether no other ACK covers any of the same messages."""
    numbers = {(step.connection, step.entry.number) for step in tickets}
    return not any(
        other is not ack and numbers & {(s.connection, s.entry.number) for s in covers}
        for other, covers in acks
    )


# -- what an ACK covers ----------------------------------------------------------------------


def covered(ack: Step, evidence: Evidence, destination: str) -> list[Step]:
    """The messages of a destination that an ACK covers, oldest first; none if it is of another.

    In the mode client it is all that have come by the subscription until then (STOMP 1.2,
    "SUBSCRIBE ack Header"); also those that an earlier ACK has covered.
    """
    messages = [
        step
        for step in evidence.everything.came("MESSAGE", destination=destination)
        if step.connection == ack.connection and step.entry.number < ack.entry.number
    ]
    named = [step for step in messages if _names(ack, step)][-1:]
    if not named or mode_of(named[0], evidence) != "client":
        return named
    return [
        step
        for step in messages
        if step.get("subscription") == named[0].get("subscription")
        and step.entry.number <= named[0].entry.number
    ]


def _names(ack: Step, message: Step) -> bool:
    """Whether an ACK is of this message; before 1.2 it names the message-id (STOMP 1.1, "ACK")."""
    if message.get("ack") is not None:
        return ack.get("id") == message.get("ack")
    return ack.get("message-id") == message.get("message-id")


def mode_of(message: Step, evidence: Evidence) -> str:
    """The ack mode of the subscription by which a message has come; auto if none is said."""
    subscribed = [
        step
        for step in evidence.everything.sent("SUBSCRIBE")
        if step.connection == message.connection
        and step.get("id") == message.get("subscription")
        and step.entry.number < message.entry.number
    ]
    return (subscribed[-1].get("ack") if subscribed else None) or "auto"


def _by_subscription(messages: Iterable[Step]) -> list[list[Step]]:
    groups: dict[object, list[Step]] = {}
    for step in messages:
        groups.setdefault((step.connection, step.get("subscription")), []).append(step)
    return list(groups.values())
