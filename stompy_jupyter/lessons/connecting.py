"""The exercises of ``10-connect.ipynb``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stompy_jupyter.display import visible
from stompy_jupyter.exercises import exercise, expect
from stompy_jupyter.lessons.predicting import as_said

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stompy_jupyter.exercises import Evidence, Outcome, Step

LESSON = "10-connect"

FAREWELL = "farewell"
"""The receipt of the goodbye: by it the learner's own can be told from those of sessions."""


@exercise(
    "version-agreed",
    lesson=LESSON,
    task="Say which version is agreed on when a client offers 1.0 and 1.1.",
    hint="Both sides want the newest version that both speak. The broker here speaks 1.0, 1.1 and "
    "1.2.",
    solution="""
%%stomp_predict version-agreed
1.1
""",
    predicted="a version, e.g. 1.0",
)
def version_agreed(evidence: Evidence) -> Iterator[Outcome]:
    """What CONNECTED says to the newest client that has offered those two."""
    offers = [step for step in _greetings(evidence) if _offered(step) == {"1.0", "1.1"}]
    answers = _answers(offers, evidence)
    yield expect(
        "a client has offered 1.0 and 1.1, and the broker has let it in",
        [*offers[-1:], *answers[-1:]] if answers else [],
        "since your prediction none has: run the cell below it",
    )
    yield as_said(
        "they agreed on the version that you have predicted",
        evidence,
        [_agreed(step) for step in answers[-1:]],
        answers[-1:],
        remark="It is the newest that both speak.",
    )


@exercise(
    "offer-1.1",
    lesson=LESSON,
    task="Connect as a client that speaks STOMP 1.1 and no other version.",
    hint="The header accept-version of CONNECT has the versions that the client offers. Type the "
    "frame by hand, as in the cell above; in Python it is "
    "`StompSession(session.address, versions=(…,)).connect()`.",
    solution="""
%%stomp_raw
CONNECT
accept-version:1.1
host:/

^@
""",
)
def offer_1_1(evidence: Evidence) -> Iterator[Outcome]:
    """A client that has offered 1.1 alone was let in."""
    greetings = _greetings(evidence)
    offers = [step for step in greetings if _offered(step) == {"1.1"}]
    yield expect("a client has offered version 1.1, and no other", offers, _why_no_offer(greetings))
    answers = [step for step in _answers(offers, evidence) if _agreed(step) == "1.1"]
    yield expect(
        "the broker has agreed: CONNECTED says version 1.1",
        answers,
        "no CONNECTED came to it: is there an ERROR in the trace?"
        if offers
        else "there was no such offer yet",
    )


def _why_no_offer(greetings: Sequence[Step]) -> str:
    if not greetings:
        return "no new CONNECT has passed: run your cell, then the check"
    offered = greetings[-1].get("accept-version")
    if offered is None:
        return "the newest CONNECT has no header accept-version: that means 1.0"
    return f"the newest CONNECT offers {visible(offered, 60)}"


@exercise(
    "say-goodbye",
    lesson=LESSON,
    task=f"Say goodbye properly: send a DISCONNECT that asks for the receipt `{FAREWELL}`, and see "
    "the RECEIPT come.",
    hint="DISCONNECT needs one header here, `receipt`. The broker answers with RECEIPT, whose "
    "receipt-id is the same, and closes the connection. Behind the headers comes a blank line.",
    solution=f"""
%%stomp_raw
DISCONNECT
receipt:{FAREWELL}

^@
""",
)
def say_goodbye(evidence: Evidence) -> Iterator[Outcome]:
    """DISCONNECT with that receipt, its RECEIPT, and nothing of the client behind it."""
    goodbyes = evidence.sent("DISCONNECT")
    right = [step for step in goodbyes if step.get("receipt") == FAREWELL]
    yield expect(
        f"a DISCONNECT went out that asks for the receipt `{FAREWELL}`",
        right,
        _why_no_goodbye(goodbyes),
    )
    lines = {step.connection for step in right}
    receipts = evidence.came("RECEIPT", receipt_id=FAREWELL)
    receipts = [step for step in receipts if step.connection in lines]
    yield expect(
        "its RECEIPT has come: the broker has received all that was sent before",
        receipts,
        "no RECEIPT came: was the connection still open?" if right else "there is no such frame",
    )
    last = [step for step in right if not _sent_behind(step, evidence)]
    yield expect(
        "it was the last frame that the client has sent on that connection",
        last,
        "something was sent behind it: a client that has said DISCONNECT sends nothing more"
        if right
        else "there is no such frame",
    )


def _why_no_goodbye(goodbyes: Sequence[Step]) -> str:
    if not goodbyes:
        return "no new DISCONNECT has passed: run your cell, then the check"
    receipt = goodbyes[-1].get("receipt")
    if receipt is None:
        return "the newest DISCONNECT asks for no receipt: nobody knows whether it has arrived"
    if receipt.strip() == FAREWELL:
        return f"its receipt is {visible(repr(receipt), 60)}: the blank belongs to the value"
    return f"the newest DISCONNECT asks for the receipt {visible(receipt, 60)}"


def _sent_behind(goodbye: Step, evidence: Evidence) -> list[Step]:
    """Frames that the client has sent behind it on the same connection."""
    return [
        step
        for step in evidence.steps
        if step.entry.sent
        and step.connection == goodbye.connection
        and step.entry.number > goodbye.entry.number
        and step.command != "heart-beat"
    ]


def _greetings(evidence: Evidence) -> list[Step]:
    """The first frames of clients; since 1.1 STOMP says the same as CONNECT."""
    return [
        step for step in evidence.steps if step.entry.sent and step.command in ("CONNECT", "STOMP")
    ]


def _offered(greeting: Step) -> set[str]:
    """The versions that a client offers; 1.0 had no header for that (STOMP 1.2, "Protocol
    Negotiation")."""
    return {version.strip() for version in (greeting.get("accept-version") or "1.0").split(",")}


def _answers(greetings: Sequence[Step], evidence: Evidence) -> list[Step]:
    """The CONNECTED that they got."""
    lines = {step.connection for step in greetings}
    return [step for step in evidence.came("CONNECTED") if step.connection in lines]


def _agreed(connected: Step) -> str:
    """The version that CONNECTED names."""
    return connected.get("version") or "1.0"
