"""Exercises: checks look at frames, a learner may begin anew, predictions come first."""

import re
from collections.abc import Iterator

import pytest

from stompy_jupyter import StompSession
from stompy_jupyter.exercises import (
    Evidence,
    Exercise,
    Outcome,
    Step,
    exercise,
    exercises,
    expect,
    judge,
    words,
)
from stompy_jupyter.trace import TraceEntry
from tests.unit.peer import raw


def step(n: int, frame: bytes, *, sent: bool = True, session: str = "s") -> Step:
    """A frame that passed `n` seconds after the beginning."""
    return Step(session, TraceEntry(n, 1, float(n), sent, frame, "1.2"))


SEND = step(1, raw("SEND", "destination:/queue/a", "receipt:1", body="grün".encode()))
MESSAGE = step(2, raw("MESSAGE", "destination:/queue/a", "message-id:7", body=b"\xff"), sent=False)
BEAT = step(3, b"\n", sent=False)
LATER = step(4, raw("SEND", "destination:/queue/b", "x:"))


def test_frames_are_found_by_direction_command_and_headers() -> None:
    evidence = Evidence([SEND, MESSAGE, BEAT, LATER])
    assert evidence.sent("SEND") == [SEND, LATER]
    assert evidence.came("SEND") == []
    assert evidence.came("MESSAGE", message_id="7") == [MESSAGE]
    assert evidence.came("heart-beat") == [BEAT]
    assert evidence.sent("SEND", receipt=...) == [SEND]
    assert evidence.sent("SEND", receipt=None) == [LATER]
    assert evidence.sent("SEND", x=...) == [LATER]
    assert evidence.sent("SEND", destination=re.compile("/queue/[bc]")) == [LATER]
    assert evidence.sent("SEND", destination=re.compile("/queue")) == []


def test_a_step_says_what_is_in_its_frame() -> None:
    assert SEND.body == "grün"
    assert MESSAGE.body == "�"
    assert (BEAT.body, BEAT.get("receipt"), BEAT.command) == ("", None, "heart-beat")
    assert SEND.connection == ("s", 0, 1)


def test_connections_of_sessions_with_the_same_name_are_two(broker) -> None:
    with StompSession(broker.address) as one, StompSession(broker.address) as two:
        assert one.name == two.name
        sent = Evidence.gathered().sent("CONNECT")
        ours = [step for step in sent if step.session == one.name]
        assert len({step.connection for step in ours}) == 2


def test_what_was_done_earlier_is_known_but_not_looked_at() -> None:
    evidence = Evidence([SEND, MESSAGE, LATER]).since(2.0, ["b"])
    assert evidence.steps == [LATER]
    assert evidence.prediction == ["b"]
    assert evidence.everything.sent("SEND") == [SEND, LATER]
    assert evidence.since(1.0).steps == [MESSAGE, LATER]


def test_evidence_is_of_all_sessions_in_the_order_of_time(broker) -> None:
    with (
        StompSession(broker.address, name="one") as one,
        StompSession(broker.address, name="two") as two,
    ):
        for session, body in ((one, "a"), (two, "b"), (one, "c")):
            session.send("/queue/gathered", body, receipt=True).wait()
        sent = Evidence.gathered().sent("SEND", destination="/queue/gathered")
        assert [(s.session, s.body) for s in sent] == [("one", "a"), ("two", "b"), ("one", "c")]
        assert Evidence.gathered(sent[1].entry.time).sent("SEND") == [sent[2]]


def test_an_expectation_passes_by_frames_or_by_a_word() -> None:
    assert expect("sent", [SEND], "it was not") == Outcome("sent", True, [SEND], "")
    assert expect("sent", [], "it was not") == Outcome("sent", False, [], "it was not")
    assert expect("right", True, "no") == Outcome("right", True, (), "")
    assert expect("right", False, "no") == Outcome("right", False, (), "no")


def known(check) -> Exercise:
    return Exercise("n", "l", "t", "h", "s", check)


def both(evidence: Evidence) -> Iterator[Outcome]:
    yield expect("a SEND", evidence.sent("SEND"))
    yield expect("no MESSAGE", not evidence.came("MESSAGE"))


def test_who_has_gone_astray_may_begin_anew() -> None:
    evidence = Evidence([SEND, MESSAGE, LATER])
    assert not all(o.passed for o in judge(known(both), [evidence]))
    outcomes = judge(known(both), [evidence, evidence.since(2.0)])
    assert [o.passed for o in outcomes] == [True, True]
    assert outcomes[0].frames == [LATER]


def test_who_has_forgotten_something_need_not_begin_anew() -> None:
    evidence = Evidence([SEND, LATER])
    outcomes = judge(known(both), [evidence, evidence.since(1.5), evidence.since(9.0)])
    assert [o.passed for o in outcomes] == [True, True]
    assert outcomes[0].frames == [SEND, LATER]


def test_what_is_not_done_is_told_of_where_most_is_and_of_these_latest() -> None:
    evidence = Evidence([SEND, MESSAGE, BEAT])
    outcomes = judge(known(both), [evidence, evidence.since(2.5), evidence.since(9.0)])
    assert [(o.expectation, o.passed) for o in outcomes] == [
        ("a SEND", False),
        ("no MESSAGE", True),
    ]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("b, c", ["b", "c"]),
        ("b\nc  # comes twice\n# a remark", ["b", "c"]),
        ("b;c d", ["b", "c", "d"]),
        (" \n # nothing", []),
        ("1.1", ["1.1"]),
        ("'b', \"c\" `d`, ''", ["b", "c", "d"]),
    ],
)
def test_a_prediction_is_words(said: str, meant: list[str]) -> None:
    assert words(said) == meant


def test_an_exercise_is_known_by_its_name_and_replaced_by_it(monkeypatch) -> None:
    monkeypatch.setattr("stompy_jupyter.exercises._known", {})
    for task in ("first", "second"):
        made = exercise("mine", task=task, hint="h", solution="\nx = 1\n")(both)
    assert exercises() == {"mine": made}
    assert (made.task, made.solution, made.predicted) == ("second", "x = 1", "")


@pytest.mark.parametrize("name", ["", "two words", "a/b", "%x"])
def test_a_name_that_no_line_could_say_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name of an exercise"):
        exercise(name, task="t", hint="h", solution="s")
