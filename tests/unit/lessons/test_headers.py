"""The exercises of 12-headers-and-bodies: octets are counted, NULs carried, lines escaped."""

from typing import Any

import pytest

from stompy_jupyter import StompSession
from tests.unit.lessons.learning import Learner
from tests.unit.shells import run_cell

LENGTHS = "their content-lengths are those that you have predicted"
RUN = "the bodies went to /queue/lengths"
NUL = "a message with a NUL in the middle of its body went to /queue/octets"
WHOLE = "it came as a MESSAGE, with the same octets"
NOTE = "a message with a header `note` went to /queue/notes"
LINES = "its value has two lines"
COLONS = "the colons in it are escaped"


# -- content-lengths -------------------------------------------------------------------------


def measured(session: StompSession, prediction: str, times: int = 1) -> Learner:
    """Somebody who has predicted, and run what the lesson sends."""
    learner = Learner("content-lengths")
    learner.predicts(prediction)
    for _ in range(times):
        for body in ("tea", "Grüße", "5€"):
            session.send("/queue/lengths", body)
    return learner


@pytest.mark.parametrize("times", [1, 2])
def test_content_length_counts_octets(session: StompSession, times: int) -> None:
    assert not measured(session, "3, 7, 4", times).told


@pytest.mark.parametrize("prediction", ["3 5 2", "4 7 3", "3, 7"], ids=lambda said: said)
def test_who_counts_characters_is_told(session: StompSession, prediction: str) -> None:
    told = measured(session, prediction).told
    assert "In fact: 3, 7, 4. It counts the octets" in told[LENGTHS]


def test_who_has_not_run_it_is_told(session: StompSession) -> None:
    learner = measured(session, "3, 7, 4")
    learner.predicts("3, 7, 4")
    assert "run the cell below it" in learner.told[RUN]


def test_by_hand_there_need_be_no_content_length(session: StompSession) -> None:
    learner = Learner("content-lengths")
    learner.predicts("7")
    session.send_octets("SEND\ndestination:/queue/lengths\n\nGrüße\0".encode())
    assert not learner.told


# -- nul-in-body -----------------------------------------------------------------------------


def test_a_client_carries_a_nul(session: StompSession) -> None:
    learner = Learner("nul-in-body")
    session.send("/queue/octets", b"\x01\x00\x02")
    session.subscribe("/queue/octets").wait(1, timeout=5)
    learner.passes()


def test_a_frame_by_hand_carries_it_by_its_content_length(shell: Any) -> None:
    learner = Learner("nul-in-body")
    run_cell(shell, "%stomp_connect")
    run_cell(shell, "%%stomp_raw\nSEND\ndestination:/queue/octets\ncontent-length:3\n\nA^@B^@")
    assert set(learner.told) == {WHOLE}
    assert "nobody has received it" in learner.told[WHOLE]
    run_cell(shell, "%stomp_subscribe /queue/octets --n 1 --no-widget")
    learner.passes()


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        ("\n\nA^@B^@", "no content-length that reaches beyond it"),
        ("\ncontent-length:1\n\nA^@B^@", "no content-length that reaches beyond it"),
        ("\ncontent-length:2\n\nA^@^@", "at an end of the body"),
        ("\n\nAB^@", "there is no NUL in the body"),
    ],
    ids=["without length", "wrong length", "at the end", "none"],
)
def test_what_is_no_nul_in_the_middle_is_told(shell: Any, frame: str, why: str) -> None:
    learner = Learner("nul-in-body")
    run_cell(shell, "%stomp_connect")
    run_cell(shell, f"%%stomp_raw --force\nSEND\ndestination:/queue/octets{frame}")
    assert why in learner.told[NUL]
    assert WHOLE in learner.told


def test_in_python_it_is_not_typed_as_two_characters(session: StompSession) -> None:
    learner = Learner("nul-in-body")
    assert learner.told[NUL] == "nothing went there"
    session.send("/queue/octets", "one^@two")
    assert "the two characters ^ and @" in learner.told[NUL]


def test_another_message_is_not_the_same_octets(session: StompSession) -> None:
    learner = Learner("nul-in-body")
    stream = session.subscribe("/queue/octets")
    session.send("/queue/octets", "another")
    stream.wait(1, timeout=5)
    stream.unsubscribe()
    session.send("/queue/octets", b"one\0two")
    assert learner.told == {WHOLE: "what came has other octets"}


# -- two-lines-in-a-header -------------------------------------------------------------------


def test_a_client_escapes_a_header(session: StompSession) -> None:
    learner = Learner("two-lines-in-a-header")
    session.send("/queue/notes", "", headers={"note": "to: Ada\nre: tea"})
    learner.passes()


def test_escapes_are_typed_by_hand(shell: Any) -> None:
    learner = Learner("two-lines-in-a-header")
    run_cell(shell, "%stomp_connect")
    run_cell(shell, "%%stomp_raw\nSEND\ndestination:/queue/notes\nnote:to\\c Ada\\nre\\c tea\n\n^@")
    learner.passes()


def test_a_line_end_that_is_not_escaped_ends_the_header(session: StompSession) -> None:
    learner = Learner("two-lines-in-a-header")
    session.send_octets(b"SEND\ndestination:/queue/notes\nnote:to: Ada\nre: tea\n\n\0")
    assert "has become a header `re`" in learner.told[LINES]
    assert "was sent as it is" in learner.told[COLONS]


@pytest.mark.parametrize("note", [r"to: Ada\nre: tea", r"to\c Ada\nre: tea"])
def test_a_colon_that_is_not_escaped_is_told(session: StompSession, note: str) -> None:
    learner = Learner("two-lines-in-a-header")
    session.send_octets(f"SEND\ndestination:/queue/notes\nnote:{note}\n\n\0".encode())
    assert set(learner.told) == {COLONS}
    assert "the specification wants an escape" in learner.told[COLONS]


@pytest.mark.parametrize(
    ("note", "why"),
    [
        (r"to: Ada\nre: tea", "the client has escaped the backslash"),
        ("to: Ada, re: tea", "there is no line end in it"),
    ],
    ids=["raw text", "one line"],
)
def test_one_line_is_not_two(session: StompSession, note: str, why: str) -> None:
    learner = Learner("two-lines-in-a-header")
    session.send("/queue/notes", "", headers={"note": note})
    assert set(learner.told) == {LINES}
    assert why in learner.told[LINES]


def test_what_has_no_note_is_told(session: StompSession) -> None:
    learner = Learner("two-lines-in-a-header")
    assert learner.told[NOTE] == "nothing went there"
    session.send("/queue/notes", "to: Ada\nre: tea")
    assert learner.told[NOTE] == "it has no header note"
    session.send("/queue/notes", "", headers={"note": "two\nlines"})
    assert learner.told == {COLONS: "there is no colon in the value"}
