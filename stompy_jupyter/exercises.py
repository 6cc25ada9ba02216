"""Exercises: what a learner is to do, and how the frames show whether it was done.

A check looks at the frames that have passed, never at the code: any way that leads there is right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from stompy import STOMPBodyError
from stompy_jupyter.trace import all_traces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import EllipsisType

    from stompy_jupyter.trace import TraceEntry

    Wanted = str | re.Pattern[str] | None | EllipsisType
    Check = Callable[["Evidence"], Iterable["Outcome"]]


class Step(NamedTuple):
    """A frame that has passed, and in which session.

    Attributes:
        session: the name of the session.
        entry: the frame in its trace.
        trace: tells that trace from others: sessions may have the same name.
    """

    session: str
    entry: TraceEntry
    trace: int = 0

    @property
    def command(self) -> str:
        """The command; ``heart-beat`` if it is one."""
        return self.entry.command

    @property
    def connection(self) -> tuple[str, int, int]:
        """Which connection it passed on: the session, its trace, and the how manieth of it."""
        return self.session, self.trace, self.entry.connection

    @property
    def body(self) -> str:
        """The body as text; octets that are none become �."""
        frame = self.entry.frame
        if frame is None:
            return ""
        try:
            return frame.text
        except STOMPBodyError:
            return frame.Body.decode("utf-8", "replace")

    def get(self, header: str) -> str | None:
        """The value of a header; None where there is none."""
        return self.entry.get(header)

    def has(self, headers: Mapping[str, Wanted]) -> bool:
        """Whether it has these headers; names may be written with _ for -.

        A value is text, a pattern that the whole of it matches, None for a header that is not
        there, or ``...`` for one that is, whatever its value.
        """
        return all(_fits(self.get(name.replace("_", "-")), want) for name, want in headers.items())


def _fits(value: str | None, wanted: Wanted) -> bool:
    if wanted is ...:
        return value is not None
    if isinstance(wanted, re.Pattern):
        return value is not None and wanted.fullmatch(value) is not None
    return value == wanted


class Evidence:
    """What a check may look at: the frames since some moment, of all sessions, oldest first.

    Attributes:
        steps: the frames and heart-beats.
        prediction: what the learner has predicted, word by word; empty if nothing.
        everything: the same from the beginning on: for what was done earlier.

    Example:
        >>> evidence.sent("SEND", destination="/queue/orders", receipt=...)
        [Step(session='…', entry=TraceEntry(number=7, …))]
    """

    def __init__(
        self, steps: Sequence[Step], since: float = 0.0, prediction: Sequence[str] = ()
    ) -> None:
        self.steps = [step for step in steps if step.entry.time > since]
        self.prediction = list(prediction)
        self.everything = self if since == 0.0 else Evidence(steps)

    @classmethod
    def gathered(cls, since: float = 0.0) -> Evidence:
        """The frames of all sessions of this process, since a moment."""
        steps = [
            Step(trace.name, entry, id(trace))
            for trace in all_traces()
            for entry in trace
            if entry.time > since
        ]
        return cls(sorted(steps, key=lambda step: (step.entry.time, step.entry.number)))

    def since(self, moment: float, prediction: Sequence[str] = ()) -> Evidence:
        """What has passed since a moment, in seconds since 1970."""
        return Evidence(self.everything.steps, moment, prediction)

    def sent(self, command: str, **headers: Wanted) -> list[Step]:
        """The frames of a command that went to the broker; headers as in `Step.has`."""
        return [s for s in self.steps if s.entry.sent and s.command == command and s.has(headers)]

    def came(self, command: str, **headers: Wanted) -> list[Step]:
        """The frames of a command that came from the broker; headers as in `Step.has`."""
        return [
            s for s in self.steps if not s.entry.sent and s.command == command and s.has(headers)
        ]


class Outcome(NamedTuple):
    """Whether something that was expected is so.

    Attributes:
        expectation: what.
        passed: whether it is so.
        frames: what shows it.
        why: in words, if it is not so.
    """

    expectation: str
    passed: bool
    frames: Sequence[Step] = ()
    why: str = ""


def expect(what: str, shown_by: Sequence[Step] | bool, why: str = "") -> Outcome:
    """An outcome that passes if there are frames that show it, or by a word.

    Example:
        >>> expect("a message was sent with a receipt", evidence.sent("SEND", receipt=...))
        Outcome(expectation='a message was sent with a receipt', passed=True, frames=[…], why='')
    """
    if isinstance(shown_by, bool):
        return Outcome(what, shown_by, (), "" if shown_by else why)
    return Outcome(what, bool(shown_by), shown_by, "" if shown_by else why)


@dataclass(frozen=True)
class Exercise:
    """Something that a learner is to do.

    Attributes:
        name: what `%stomp_check` calls it.
        lesson: the notebook that it is part of.
        task: what is to be done, in a sentence.
        hint: what is said after two tries.
        solution: a cell that does it; shown after four tries.
        check: what is expected of the frames.
        predicted: what `%%stomp_predict` asks for; empty if there is nothing to predict.
    """

    name: str
    lesson: str
    task: str
    hint: str
    solution: str
    check: Check
    predicted: str = ""


_known: dict[str, Exercise] = {}


def exercise(
    name: str, *, task: str, hint: str, solution: str, lesson: str = "", predicted: str = ""
) -> Callable[[Check], Exercise]:
    """Make a function that looks at `Evidence` the check of an exercise, known by its name.

    Defining it again replaces it. The arguments are those of `Exercise`.

    Example:
        >>> @exercise(
        ...     "hello",
        ...     task="Send hello to /queue/greetings.",
        ...     hint="%stomp_send DESTINATION BODY",
        ...     solution="%stomp_send /queue/greetings hello",
        ... )
        ... def hello(evidence):
        ...     sent = evidence.sent("SEND", destination="/queue/greetings")
        ...     yield expect("hello was sent", [step for step in sent if step.body == "hello"])
    """
    if re.fullmatch(r"[\w.-]+", name) is None:
        raise ValueError(f"{name!r} is no name of an exercise: letters, digits, - and _")

    def made(check: Check) -> Exercise:
        _known[name] = Exercise(name, lesson, task, hint, solution.strip("\n"), check, predicted)
        return _known[name]

    return made


def exercises() -> dict[str, Exercise]:
    """All exercises by their names, in the order in which they were made."""
    return dict(_known)


def judge(exercise: Exercise, windows: Iterable[Evidence]) -> list[Outcome]:
    """What is expected, and whether it is so: in the first window in which all is.

    Each window begins later. So a learner who has gone astray may begin anew, and one who has
    forgotten but a little need not. If all is so in none, it is the one in which most is, and of
    these the latest.
    """
    best: list[Outcome] = []
    for evidence in windows:
        outcomes = list(exercise.check(evidence))
        if all(outcome.passed for outcome in outcomes):
            return outcomes
        if not best or _passed(outcomes) >= _passed(best):
            best = outcomes
    return best


def _passed(outcomes: Iterable[Outcome]) -> int:
    return sum(outcome.passed for outcome in outcomes)


def words(prediction: str) -> list[str]:
    """The words of a prediction: parted by blanks, commas or lines; ``#`` begins a comment.

    They may be in quotes, as Python shows them.

    Example:
        >>> words("b, 'c'  # these come again")
        ['b', 'c']
    """
    return list(_words(prediction))


def _words(prediction: str) -> Iterator[str]:
    for line in prediction.splitlines():
        parts = re.split(r"[\s,;]+", line.partition("#")[0])
        yield from filter(None, (part.strip("'\"`") for part in parts))
