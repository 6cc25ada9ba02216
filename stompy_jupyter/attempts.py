"""Attempts: how a learner gets on with the exercises of a notebook."""

from __future__ import annotations

import html
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from stompy_jupyter.display import GREEN, RED, coloured_box, visible
from stompy_jupyter.exercises import Evidence, exercises, expect, judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stompy_jupyter.exercises import Exercise, Outcome, Step

HINT_AFTER = 2
"""Tries after which the hint is shown."""

SOLUTION_AFTER = 4
"""Tries after which the solution is shown."""

PATIENCE = 1.0
"""Seconds in which frames that are on their way may still come."""

LOOK_EVERY = 0.05
"""Seconds between two looks meanwhile."""

SHOWN = 8
"""So many frames are named as evidence of one expectation."""


@dataclass
class _State:
    """What there is of one exercise: when it was tried, and what was predicted when."""

    tries: list[float] = field(default_factory=list)
    passed_at: float | None = None
    predictions: list[tuple[float, list[str]]] = field(default_factory=list)


class Attempts:
    """All that a learner has tried in one notebook, with the frames that pass from now on.

    Example:
        >>> attempts.check(exercises()["hello"]).passed
        False
        >>> attempts.df[["exercise", "tries", "passed"]]
    """

    def __init__(self) -> None:
        self._began = time.time()
        self._states: dict[str, _State] = {}

    def _state(self, exercise: Exercise) -> _State:
        return self._states.setdefault(exercise.name, _State())

    def predict(self, exercise: Exercise, prediction: Sequence[str]) -> None:
        """Note what a learner expects: it counts for what happens from now on."""
        self._state(exercise).predictions.append((time.time(), list(prediction)))

    def check(self, exercise: Exercise) -> CheckResult:
        """Look whether it is done; frames that are on their way are waited for, a second."""
        state = self._state(exercise)
        deadline = time.monotonic() + PATIENCE
        outcomes = self._judged(exercise)
        while not _all_passed(outcomes) and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY)
            outcomes = self._judged(exercise)
        state.tries.append(time.time())
        if _all_passed(outcomes) and state.passed_at is None:
            state.passed_at = state.tries[-1]
        return CheckResult(exercise, outcomes, len(state.tries))

    def _judged(self, exercise: Exercise) -> list[Outcome]:
        """What is expected, by the frames since the beginning, or since an earlier try.

        What was predicted counts for the frames since then: it was said before.
        """
        state = self._state(exercise)
        if exercise.predicted and not state.predictions:
            said = f"you have said what you expect: `%%stomp_predict {exercise.name}`"
            return [expect(said, False)]
        said_at, prediction = state.predictions[-1] if state.predictions else (0.0, [])
        evidence = Evidence.gathered(self._began)
        moments = [said_at, *(moment for moment in state.tries if moment > said_at)]
        return judge(exercise, (evidence.since(moment, prediction) for moment in moments))

    @property
    def df(self) -> pd.DataFrame:
        """A row for each exercise: ``exercise``, ``lesson``, ``task``, ``tries``, ``passed``,
        ``passed_at`` (UTC)."""
        known = [(exercise, self._state(exercise)) for exercise in exercises().values()]
        moments = pd.Series([state.passed_at for _, state in known], dtype="float64")
        passed_at = pd.to_datetime(moments, unit="s", utc=True)
        return pd.DataFrame(
            {
                "exercise": pd.array([exercise.name for exercise, _ in known], dtype="str"),
                "lesson": pd.array([exercise.lesson for exercise, _ in known], dtype="str"),
                "task": pd.array([exercise.task for exercise, _ in known], dtype="str"),
                "tries": pd.array([len(state.tries) for _, state in known], dtype="int64"),
                "passed": passed_at.notna(),
                "passed_at": passed_at.dt.as_unit("us"),
            }
        )


def _all_passed(outcomes: Sequence[Outcome]) -> bool:
    return bool(outcomes) and all(outcome.passed for outcome in outcomes)


class CheckResult:
    """What a check has found; a notebook shows it in green or red, with the frames that show it.

    Attributes:
        name: of the exercise.
        passed: whether all is as expected.
        tries: how many there have been.
        hint: from the second try on that has failed.
        solution: from the fourth try on that has failed.
    """

    def __init__(self, exercise: Exercise, outcomes: Sequence[Outcome], tries: int) -> None:
        self.name = exercise.name
        self.passed = _all_passed(outcomes)
        self.tries = tries
        self.hint = exercise.hint if not self.passed and tries >= HINT_AFTER else ""
        self.solution = exercise.solution if not self.passed and tries >= SOLUTION_AFTER else ""
        self._task = exercise.task
        self._outcomes = outcomes

    @property
    def df(self) -> pd.DataFrame:
        """A row for each expectation: ``expectation``, ``passed``, ``why`` not, and ``frames``: the
        numbers, in the traces of their sessions, of the frames that show it."""
        outcomes = self._outcomes
        frames = [[step.entry.number for step in outcome.frames] for outcome in outcomes]
        return pd.DataFrame(
            {
                "expectation": pd.array([o.expectation for o in outcomes], dtype="str"),
                "passed": pd.array([o.passed for o in outcomes], dtype="bool"),
                "why": pd.array([o.why for o in outcomes], dtype="str"),
                "frames": pd.Series(frames, dtype="object"),
            }
        )

    def _head(self) -> str:
        if self.passed:
            return f"{self.name}: done"
        return f"{self.name}: not yet (try {self.tries})"

    def __repr__(self) -> str:
        lines = [self._head(), *([] if self.passed else [f"  {self._task}"])]
        for outcome in self._outcomes:
            lines.append(f"  {_sign(outcome)} {outcome.expectation}")
            lines += [f"      {line}" for line in _evidence(outcome)]
        if self.hint:
            lines.append(f"Hint: {self.hint}")
        if self.solution:
            lines += ["A solution:", *(f"    {line}" for line in self.solution.splitlines())]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(_html_of(outcome) for outcome in self._outcomes)
        task = "" if self.passed else f"<div>{_code(self._task)}</div>"
        hint = f"<div><b>Hint:</b> {_code(self.hint)}</div>" if self.hint else ""
        solution = (
            f"<div><b>A solution:</b><pre>{html.escape(self.solution)}</pre></div>"
            if self.solution
            else ""
        )
        return coloured_box(
            GREEN if self.passed else RED,
            f"<b>{html.escape(self._head())}</b>{task}"
            f'<ul style="list-style:none;padding:0;margin:.4em 0">{rows}</ul>{hint}{solution}',
        )


def _html_of(outcome: Outcome) -> str:
    evidence = "".join(
        f'<div style="margin-left:1.6em;opacity:.8">{html.escape(line)}</div>'
        for line in _evidence(outcome)
    )
    colour = GREEN if outcome.passed else RED
    sign = f'<b style="color:rgb({colour})">{_sign(outcome)}</b>'
    return f"<li>{sign} {_code(outcome.expectation)}{evidence}</li>"


def _code(text: str) -> str:
    """A text as HTML; what stands in backquotes is code."""
    parts = html.escape(text).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))


def _sign(outcome: Outcome) -> str:
    return "✓" if outcome.passed else "✗"


def _evidence(outcome: Outcome) -> list[str]:
    """What shows it, a line for each frame, or why it is not so."""
    lines = [outcome.why] if outcome.why else []
    lines += [_line(step) for step in outcome.frames[:SHOWN]]
    more = len(outcome.frames) - SHOWN
    return [*lines, f"… and {more} more"] if more > 0 else lines


def _line(step: Step) -> str:
    way = "→" if step.entry.sent else "←"
    names = (
        *("destination", "id", "message-id", "ack", "receipt", "receipt-id", "transaction"),
        *("accept-version", "version"),
    )
    headers = [f"{name}:{value}" for name in names if (value := step.get(name)) is not None]
    body = f" {step.body!r}" if step.body else ""
    text = f"{way} {step.command} {' '.join(headers)}{body}"
    return f"{step.session}, frame {step.entry.number}: {visible(text, 160)}"
