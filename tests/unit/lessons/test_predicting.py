"""Predictions: compared word by word or in any order, and those who were wrong are told."""

from collections.abc import Callable

import pytest

from stompy_jupyter.exercises import Evidence, Outcome
from stompy_jupyter.lessons.predicting import as_said, in_any_order
from tests.unit.test_exercises import SEND


def said(*prediction: str) -> Evidence:
    return Evidence([]).since(0.0, prediction)


def test_what_was_said_in_order_is_right_in_that_order_alone() -> None:
    assert as_said("so it was", said("b", "a"), ["b", "a"], [SEND]).frames == [SEND]
    assert as_said("so it was", said("b", "a"), ["b", "a"], []).passed
    wrong = as_said("so it was", said("a", "b"), ["b", "a"], [SEND], remark="Since b was first.")
    assert not wrong.passed
    assert wrong.why == "you have said: a, b. In fact: b, a. Since b was first."


def test_where_the_order_is_not_asked_for_each_word_counts_once() -> None:
    assert in_any_order("so it was", said("b", "a"), ["a", "b", "a"], [SEND]).passed
    assert in_any_order("so it was", said("a", "a"), ["a"], [SEND]).passed
    wrong = in_any_order("so it was", said("b", "c"), ["b", "a"], [SEND])
    assert wrong.why == "you have said: b, c. In fact: a, b."


@pytest.mark.parametrize("compared", [as_said, in_any_order])
def test_where_nothing_has_happened_yet_nothing_is_told(compared: Callable[..., Outcome]) -> None:
    outcome = compared("so it was", said("a"), [], [], remark="Since b was first.")
    assert not outcome.passed
    assert outcome.why == "nothing has happened yet that your prediction could be compared with"


def test_what_strangers_say_is_made_visible() -> None:
    assert "\x1b" not in as_said("so it was", said("a"), ["\x1b[31mred"], []).why
