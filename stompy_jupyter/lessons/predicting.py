"""Predictions: what was said beforehand, beside what the frames say.

Where nothing has happened yet the truth is empty: then a check must not tell what it will be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stompy_jupyter.display import visible
from stompy_jupyter.exercises import expect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stompy_jupyter.exercises import Evidence, Outcome, Step


NOT_YET = "nothing has happened yet that your prediction could be compared with"


def as_said(
    what: str, evidence: Evidence, truth: Sequence[str], frames: Sequence[Step], *, remark: str = ""
) -> Outcome:
    """Whether a prediction is the truth, word by word, in the order of both.

    Args:
        what: that something is as it was predicted, in words.
        evidence: whose prediction it is.
        truth: what has happened; empty if nothing has yet.
        frames: what shows it.
        remark: why it is so, for those who were wrong.
    """
    if not truth:
        return expect(what, False, NOT_YET)
    if evidence.prediction == list(truth):
        return expect(what, frames or True)
    why = f"you have said: {_listed(evidence.prediction)}. In fact: {_listed(truth)}."
    return expect(what, False, f"{why} {remark}".strip())


def in_any_order(
    what: str, evidence: Evidence, truth: Sequence[str], frames: Sequence[Step], *, remark: str = ""
) -> Outcome:
    """As `as_said`, where the order is not asked for; what comes twice is to be said once."""
    if not truth:
        return expect(what, False, NOT_YET)
    said, true = sorted(set(evidence.prediction)), sorted(set(truth))
    if said == true:
        return expect(what, frames or True)
    why = f"you have said: {_listed(said)}. In fact: {_listed(true)}."
    return expect(what, False, f"{why} {remark}".strip())


def _listed(words: Sequence[str]) -> str:
    return ", ".join(visible(word, 40) for word in words)
