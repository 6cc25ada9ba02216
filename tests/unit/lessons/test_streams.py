"""The exercises of 17-streams-and-pandas: gaps, and a summary, computed again from the frames."""

import json
from typing import Any

import pytest

from stompy import STOMPClient
from stompy_jupyter import StompSession
from tests.unit.lessons.learning import Learner

TICKS = "the rows and the missing numbers are those that you have predicted"
GAPS = "it has the missing numbers, and no others"
IS_JSON = "it says that it is JSON"
READINGS, MEAN = "its `readings` is right", "its `mean` is right"


# -- rows-and-gaps ---------------------------------------------------------------------------


def ticked(session: StompSession, prediction: str) -> Learner:
    """Somebody who has predicted, and run what the lesson sends."""
    learner = Learner("rows-and-gaps")
    ticks = session.subscribe("/topic/ticks")
    ticks.confirm(5)
    learner.predicts(prediction)
    for number in range(1, 26):
        for _ in range(0 if number % 5 == 0 else 2 if number % 8 == 0 else 1):
            session.send("/topic/ticks", "tick", sequence=number)
    ticks.wait(23, timeout=5)
    return learner


def test_what_came_twice_is_a_row_and_what_did_not_come_a_gap(session: StompSession) -> None:
    ticked(session, "23, 4").passes()


@pytest.mark.parametrize("prediction", ["23, 5", "20, 4", "25 0", "23"], ids=lambda said: said)
def test_who_is_wrong_is_told_the_numbers(session: StompSession, prediction: str) -> None:
    told = ticked(session, prediction).told[TICKS]
    assert "In fact: 23, 4. Missing: 5, 10, 15, 20." in told


def test_who_has_not_run_it_is_told(session: StompSession) -> None:
    learner = Learner("rows-and-gaps")
    learner.predicts("23 4")
    assert any("run the cell" in why for why in learner.told.values())


# -- find-the-gaps ---------------------------------------------------------------------------


def fed(session: StompSession, other: STOMPClient, exercise: str) -> Learner:
    """A learner to whom the feed has come: 3, 6 and 7 are missing, 4 and 9 came twice."""
    learner = Learner(exercise)
    sensor = session.subscribe("/topic/sensor")
    sensor.confirm(5)
    for number in (2, 4, 5, 4, 8, 9, 9, 10):
        body = json.dumps({"temperature": float(number)})
        other.message("/topic/sensor", body, sequence=number)
    sensor.wait(8, timeout=5)
    return learner


@pytest.mark.parametrize("report", ["3, 6, 7", "7 6 3", "[3, 6, 7]", "missing: 3; 6; 7", "3\n6\n7"])
def test_the_missing_numbers_may_be_written_in_any_way(
    session: StompSession, other: STOMPClient, report: str
) -> None:
    learner = fed(session, other, "find-the-gaps")
    session.send("/queue/missing", report)
    learner.passes()


def test_frames_typed_by_another_client_of_ours_count(
    session: StompSession, other: STOMPClient, broker: Any
) -> None:
    learner = fed(session, other, "find-the-gaps")
    with StompSession(broker.address) as second:
        second.send_octets(b"SEND\ndestination:/queue/missing\n\n3 6 7\x00")
        learner.passes()


@pytest.mark.parametrize(
    ("report", "why"),
    [
        ("3, 6", "of 3 missing numbers it has 2"),
        ("3, 6, 7, 9", "of 3 missing numbers it has 3; these are not missing: 9"),
        ("1 3 6 7", "of 3 missing numbers it has 3; these are not missing: 1"),
        ("nothing", "of 3 missing numbers it has 0"),
    ],
)
def test_who_is_wrong_is_told_how_far_it_is(
    session: StompSession, other: STOMPClient, report: str, why: str
) -> None:
    learner = fed(session, other, "find-the-gaps")
    session.send("/queue/missing", report)
    assert learner.told == {GAPS: why}
    session.send("/queue/missing", "3 6 7")
    learner.passes()


def test_a_number_in_each_message_is_not_one_message(
    session: StompSession, other: STOMPClient
) -> None:
    learner = fed(session, other, "find-the-gaps")
    for number in "367":
        session.send("/queue/missing", number)
    assert learner.told == {GAPS: "of 3 missing numbers it has 1"}


def test_without_the_feed_nothing_is_right(session: StompSession) -> None:
    learner = Learner("find-the-gaps")
    session.send("/queue/missing", "3 6 7")
    assert "the feed has come" in learner.told


# -- publish-a-summary -----------------------------------------------------------------------

JSON = {"content-type": "application/json"}
RIGHT = {"readings": 6, "mean": 38 / 6}


@pytest.mark.parametrize(
    "summary", [RIGHT, {**RIGHT, "mean": 6.33, "unit": "°C"}, {**RIGHT, "readings": 6.0}]
)
def test_a_right_summary_passes(
    session: StompSession, other: STOMPClient, summary: dict[str, object]
) -> None:
    learner = fed(session, other, "publish-a-summary")
    session.send("/topic/summary", json.dumps(summary), headers=JSON)
    learner.passes()


def test_a_charset_does_no_harm(session: StompSession, other: STOMPClient) -> None:
    learner = fed(session, other, "publish-a-summary")
    typed = {"content-type": "application/json;charset=utf-8"}
    session.send("/topic/summary", json.dumps(RIGHT), headers=typed)
    learner.passes()


def test_one_message_has_to_have_it_all(session: StompSession, other: STOMPClient) -> None:
    learner = fed(session, other, "publish-a-summary")
    session.send("/topic/summary", json.dumps(RIGHT))
    session.send("/topic/summary", json.dumps({"readings": 6}), headers=JSON)
    session.send("/topic/summary", json.dumps({"mean": 38 / 6}), headers=JSON)
    assert set(learner.told) == {MEAN}
    session.send("/topic/summary", json.dumps(RIGHT), headers=JSON)
    learner.passes()


@pytest.mark.parametrize(
    ("body", "headers", "wrong", "why"),
    [
        (json.dumps(RIGHT), {}, {IS_JSON}, "content-type is not application/json"),
        (
            '{"readings": 8, "mean": 6.375}',
            JSON,
            {READINGS, MEAN},
            "the newest says 8: does each reading count once?",
        ),
        ('{"readings": 6}', JSON, {MEAN}, "has no `mean`"),
        ('{"readings": "6", "mean": NaN}', JSON, {READINGS, MEAN}, "the newest says nan"),
        ('{"readings": 6, "mean": true}', JSON, {MEAN}, "the newest says True"),
        ("readings 6, mean 6.33", JSON, {READINGS, MEAN}, "is no JSON object"),
        ("[6, 6.33]", JSON, {READINGS, MEAN}, "is no JSON object"),
        ("[" * 100_000, JSON, {READINGS, MEAN}, "is no JSON object"),
    ],
    ids=["text", "doubles", "no mean", "no numbers", "truth", "no JSON", "an array", "deep"],
)
def test_who_is_wrong_is_told_what(
    session: StompSession,
    other: STOMPClient,
    body: str,
    headers: dict[str, str],
    wrong: set[str],
    why: str,
) -> None:
    learner = fed(session, other, "publish-a-summary")
    session.send("/topic/summary", body, headers=headers)
    told = learner.told
    assert set(told) == wrong
    assert any(why in each for each in told.values()), told
