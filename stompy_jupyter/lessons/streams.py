"""The exercises of ``17-streams-and-pandas.ipynb``."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING

from stompy_jupyter.display import visible
from stompy_jupyter.exercises import exercise, expect
from stompy_jupyter.lessons.predicting import as_said

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stompy_jupyter.exercises import Evidence, Outcome, Step

LESSON = "17-streams-and-pandas"

FEED = "/topic/sensor"

SUMMARY = "/topic/summary"

_NUMBER = re.compile("[0-9]{1,6}")
"""Of a sequence; a greater one would have more gaps than anybody could name."""

CLOSE = 0.01
"""How far a mean may be off, in degrees: some round it."""


@exercise(
    "rows-and-gaps",
    lesson=LESSON,
    task="Say how many rows the stream of /topic/ticks will have, and how many numbers will be "
    "missing in it.",
    hint="Write down the numbers that the cell sends: which are left out, which come twice? What "
    "is missing is looked for between the first and the last.",
    solution="""
%%stomp_predict rows-and-gaps
23, 4
""",
    predicted="two numbers: the rows, and the numbers that are missing",
)
def rows_and_gaps(evidence: Evidence) -> Iterator[Outcome]:
    """What came, with all that came twice, and what never did."""
    ticks = evidence.came("MESSAGE", destination="/topic/ticks", sequence=_NUMBER)
    yield expect(
        "ticks have come",
        ticks,
        "since your prediction none has: run the cell that sends them",
    )
    truth = [str(len(ticks)), str(len(_missing(ticks)))] if ticks else []
    yield as_said(
        "the rows and the missing numbers are those that you have predicted",
        evidence,
        truth,
        ticks,
        remark=f"Missing: {_listed(_missing(ticks))}. What is lost behind the last leaves no gap.",
    )


@exercise(
    "find-the-gaps",
    lesson=LESSON,
    task="Find the sequence numbers that are missing in the feed of /topic/sensor, and send them "
    "to /queue/missing in one message, with commas or blanks between.",
    hint="`range(first, last + 1)` has all numbers, the column `sequence` those that came. Of two "
    "sets, `a - b` is what is in the one alone.",
    solution="""
numbers = set(sensor.df["sequence"].astype(int))
missing = sorted(set(range(min(numbers), max(numbers) + 1)) - numbers)
session.send("/queue/missing", ", ".join(map(str, missing)), receipt=True).wait()
""",
)
def find_the_gaps(evidence: Evidence) -> Iterator[Outcome]:
    """The numbers between the first and the last that never came, whatever stands between them."""
    feed = _feed(evidence)
    yield expect("the feed has come", feed, "it has not: run the cells in which it is received")
    reports = evidence.sent("SEND", destination="/queue/missing")
    yield expect("a message went to /queue/missing", reports, "none went there yet")
    true = _missing(feed)
    said = [set(map(int, re.findall(r"[0-9]{1,9}", step.body))) for step in reports]
    right = [step for step, numbers in zip(reports, said, strict=True) if numbers == true]
    newest = said[-1] if said else set()
    yield expect(
        "it has the missing numbers, and no others",
        right if feed else [],
        _difference(true, newest) if said else "none went there yet",
    )


def _difference(true: set[int], said: set[int]) -> str:
    """How what was said differs: without giving away what was not found."""
    wrong = said - true
    some = f"; these are not missing: {_listed(wrong)}" if wrong else ""
    return f"of {len(true)} missing numbers it has {len(true & said)}{some}"


@exercise(
    "publish-a-summary",
    lesson=LESSON,
    task="Publish a summary of the feed on /topic/summary: a JSON object with `readings`, how many "
    "there are, and `mean`, the mean temperature. A reading that came twice counts once. Say in a "
    "header content-type that it is application/json.",
    hint="`readings` above has the temperatures and the numbers. `drop_duplicates` keeps the first "
    "of those that have the same sequence; `json.dumps` makes JSON, of plain numbers: `int(…)`, "
    "`float(…)`.",
    solution="""
import json

readings = sensor.records.join(sensor.df["sequence"], on="frame")
once = readings.drop_duplicates("sequence")
summary = {"readings": len(once), "mean": round(float(once["temperature"].mean()), 2)}
session.send(
    "/topic/summary",
    json.dumps(summary),
    headers={"content-type": "application/json"},
    receipt=True,
).wait()
""",
)
def publish_a_summary(evidence: Evidence) -> Iterator[Outcome]:
    """The numbers are computed again, from the frames."""
    feed = _feed(evidence)
    yield expect("the feed has come", feed, "it has not: run the cells in which it is received")
    sent = evidence.sent("SEND", destination=SUMMARY)
    yield expect("a message went to /topic/summary", sent, "none went there yet")
    as_json = [
        step for step in sent if (step.get("content-type") or "").startswith("application/json")
    ]
    yield expect(
        "it says that it is JSON",
        as_json,
        "its header content-type is not application/json" if sent else "none went there yet",
    )
    once = {step.get("sequence"): temperature for step, temperature in _temperatures(feed)}
    wanted = {"readings": float(len(once)), "mean": sum(once.values()) / max(1, len(once))}
    candidates = as_json or sent
    for key, tolerance in (("readings", 0.0), ("mean", CLOSE)):
        right = [s for s in candidates if _near(_summary(s).get(key), wanted[key], tolerance)]
        yield expect(
            f"its `{key}` is right",
            right if feed else [],
            _why_not(candidates, key, len(feed) > len(once)),
        )
        candidates = right or candidates  # it is one message that has to have it all


def _why_not(sent: Sequence[Step], key: str, doubles: bool) -> str:
    if not sent:
        return "none went there yet"
    value = _summary(sent[-1]).get(key)
    if value is None:
        return f"the newest has no `{key}`, or is no JSON object: {visible(sent[-1].body, 80)}"
    why = f"the newest says {visible(str(value), 40)}"
    return f"{why}: does each reading count once?" if doubles else why


def _near(value: object, wanted: float, tolerance: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isclose(value, wanted, rel_tol=0.0, abs_tol=tolerance)


def _summary(step: Step) -> dict[str, object]:
    """The JSON object in a body; an empty one if there is none."""
    try:
        value = json.loads(step.body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _feed(evidence: Evidence) -> list[Step]:
    """All that has come of the feed, also before the exercise was tried."""
    return evidence.everything.came("MESSAGE", destination=FEED, sequence=_NUMBER)


def _temperatures(feed: Sequence[Step]) -> Iterator[tuple[Step, float]]:
    for step in feed:
        value = _summary(step).get("temperature")
        if isinstance(value, int | float):
            yield step, float(value)


def _missing(steps: Sequence[Step]) -> set[int]:
    """The numbers between the first and the last that none of them has."""
    numbers = {int(step.get("sequence") or 0) for step in steps}
    return set(range(min(numbers), max(numbers) + 1)) - numbers if numbers else set()


def _listed(numbers: set[int]) -> str:
    return ", ".join(map(str, sorted(numbers))) or "none"
