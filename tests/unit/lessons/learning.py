"""A learner, who does things with a broker, and what a check says of them."""

from __future__ import annotations

import time

import stompy_jupyter.lessons  # noqa: F401 - its exercises are known from then on
from stompy_jupyter.exercises import Evidence, exercises, words
from tests.unit.waiting import until


class Learner:
    """Somebody who works at one exercise.

    Args:
        exercise: its name.

    Example:
        >>> learner = Learner("ten-by-one")
        >>> session.send("/queue/parcels", "one")
        >>> learner.told
        {'ten messages went to /queue/parcels on one connection': 'on one connection it was 1', …}
    """

    def __init__(self, exercise: str) -> None:
        self.exercise = exercises()[exercise]
        self._began = self._said = time.time()
        self._prediction: list[str] = []

    def predicts(self, prediction: str) -> None:
        """Say what is expected: it counts for what happens from now on."""
        self._prediction = words(prediction)
        self._said = time.time()

    def begins_anew(self) -> None:
        """As somebody whose check was red: what was done until now counts no more."""
        self._said = time.time()

    @property
    def told(self) -> dict[str, str]:
        """What is not as it was expected to be, with the reasons."""
        evidence = Evidence.gathered(self._began).since(self._said, self._prediction)
        outcomes = list(self.exercise.check(evidence))
        assert outcomes
        assert all(outcome.why for outcome in outcomes if not outcome.passed), outcomes
        return {outcome.expectation: outcome.why for outcome in outcomes if not outcome.passed}

    def passes(self) -> None:
        """Wait until all is as expected: frames may be on their way."""
        until(lambda: not self.told)
