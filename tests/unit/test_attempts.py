"""Attempts: green or red, a hint with the second try, a solution with the fourth, in DataFrames."""

import pytest

from stompy_jupyter import StompSession, attempts
from stompy_jupyter.attempts import Attempts, CheckResult
from stompy_jupyter.exercises import Evidence, Exercise, Outcome, expect
from tests.unit.peer import raw
from tests.unit.test_exercises import SEND, step

TASK = "Send `<hello>` to /queue/greetings."


def hello(evidence: Evidence):
    sent = evidence.sent("SEND", destination="/queue/greetings")
    yield expect("a message was sent", sent, "nothing was sent to /queue/greetings")
    yield expect("it says hello", [s for s in sent if s.body == "hello"], "it says something else")


def guess(evidence: Evidence):
    sent = evidence.sent("SEND", destination="/queue/greetings")
    yield expect("it was sent", sent)
    yield expect("you said so", [s.body for s in sent] == evidence.prediction)


HELLO = Exercise("hello", "11", TASK, "look at `%stomp_send`", "%stomp_send x <y>", hello)
GUESS = Exercise("guess", "11", TASK, "think", "b", guess, predicted="what is sent")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "PATIENCE", 0.0)
    monkeypatch.setattr("stompy_jupyter.exercises._known", {"hello": HELLO, "guess": GUESS})


def send(session: StompSession, body: str) -> None:
    session.send("/queue/greetings", body, receipt=True).wait()


def test_what_is_not_done_is_red_and_what_is_done_is_green(session: StompSession) -> None:
    tried = Attempts()
    assert not tried.check(HELLO).passed
    send(session, "hullo")
    result = tried.check(HELLO)
    assert result.df[["expectation", "passed", "why"]].values.tolist() == [
        ["a message was sent", True, ""],
        ["it says hello", False, "it says something else"],
    ]
    send(session, "hello")
    result = tried.check(HELLO)
    assert result.passed
    assert result.tries == 3
    numbers = [e.number for e in session.trace if e.command == "SEND"]
    assert result.df.frames.tolist() == [numbers, numbers[1:]]


def test_a_hint_comes_with_the_second_try_and_a_solution_with_the_fourth() -> None:
    tried = Attempts()
    helped = [(bool(r.hint), bool(r.solution)) for r in (tried.check(HELLO) for _ in range(4))]
    assert helped == [(False, False), (True, False), (True, False), (True, True)]


def test_what_passes_needs_no_help(session: StompSession) -> None:
    tried = Attempts()
    for _ in range(4):
        tried.check(HELLO)
    send(session, "hello")
    result = tried.check(HELLO)
    assert (result.passed, result.hint, result.solution) == (True, "", "")


def test_frames_on_their_way_are_waited_for(session, monkeypatch) -> None:
    monkeypatch.setattr(attempts, "PATIENCE", 30.0)
    monkeypatch.setattr(attempts.time, "sleep", lambda _: send(session, "hello"))
    assert Attempts().check(HELLO).passed


def test_frames_of_an_earlier_course_do_not_count(session: StompSession) -> None:
    send(session, "hello")
    assert not Attempts().check(HELLO).passed


def test_a_prediction_has_to_be_made_first(session: StompSession) -> None:
    tried = Attempts()
    send(session, "a")
    result = tried.check(GUESS)
    assert not result.passed
    assert "%%stomp_predict guess" in repr(result)


def test_a_prediction_counts_for_what_happens_from_then_on(session: StompSession) -> None:
    tried = Attempts()
    send(session, "a")
    tried.predict(GUESS, ["b"])
    assert not tried.check(GUESS).passed  # nothing has happened yet
    send(session, "b")
    assert tried.check(GUESS).passed


def test_a_prediction_that_is_mended_afterwards_needs_another_run(session: StompSession) -> None:
    tried = Attempts()
    tried.predict(GUESS, ["wrong"])
    send(session, "b")
    assert not tried.check(GUESS).passed
    tried.predict(GUESS, ["b"])
    assert not tried.check(GUESS).passed
    send(session, "b")
    assert tried.check(GUESS).passed


def test_all_that_was_tried_is_a_dataframe(session: StompSession) -> None:
    tried = Attempts()
    tried.check(HELLO)
    send(session, "hello")
    tried.check(HELLO)
    tried.check(HELLO)
    df = tried.df.set_index("exercise")
    assert df.loc["hello", ["lesson", "tries", "passed"]].tolist() == ["11", 3, True]
    assert df.loc["guess", ["lesson", "tries", "passed"]].tolist() == ["11", 0, False]
    assert df.passed_at.notna().tolist() == [True, False]
    assert df.passed_at.dt.tz is not None


def test_nobody_has_tried_anything_yet() -> None:
    assert Attempts().df.tries.tolist() == [0, 0]


def shown(*outcomes: Outcome, tries: int = 4) -> CheckResult:
    return CheckResult(HELLO, outcomes, tries)


def test_a_result_shows_what_shows_it() -> None:
    text = repr(shown(expect("`x` was sent", [SEND]), expect("twice", [], "once"), tries=1))
    assert text.splitlines() == [
        "hello: not yet (try 1)",
        f"  {TASK}",
        "  ✓ `x` was sent",
        "      s, frame 1: → SEND destination:/queue/a receipt:1 'grün'",
        "  ✗ twice",
        "      once",
    ]


def test_a_result_that_passes_is_short() -> None:
    assert repr(shown(expect("sent", True))) == "hello: done\n  ✓ sent"


def test_help_is_shown_below() -> None:
    assert repr(shown(expect("x", False))).splitlines()[-3:] == [
        "Hint: look at `%stomp_send`",
        "A solution:",
        "    %stomp_send x <y>",
    ]


def test_much_evidence_is_cut() -> None:
    steps = [step(n, raw("SEND")) for n in range(11)]
    assert repr(shown(expect("sent", steps))).splitlines()[-1] == "      … and 3 more"


def test_nothing_in_it_acts() -> None:
    hostile = step(1, raw("SEND", "destination:<script>\x1b[31m", body=b"<img src=x>"))
    html = shown(expect("`<b>`", [hostile]), expect("<i>", False, "<u>"))._repr_html_()
    for tag in ("<script", "<img", "<b>`", "<i>", "<u>", "\x1b"):
        assert tag not in html
    assert "<code>&lt;b&gt;</code>" in html
    assert "<pre>%stomp_send x &lt;y&gt;</pre>" in html


def test_a_check_without_expectations_is_not_passed() -> None:
    assert not shown().passed
