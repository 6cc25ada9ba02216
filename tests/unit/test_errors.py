"""What an error says, and what may catch it."""

import pickle

import pytest

from stompy import errors
from stompy.errors import (
    STOMPAddressError,
    STOMPBodyError,
    STOMPClosed,
    STOMPConnectError,
    STOMPError,
    STOMPProtocolError,
    STOMPTimeout,
)
from stompy.frame import STOMPFrame

KINDS = [value for value in vars(errors).values() if isinstance(value, type)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_of_the_package_is_a_stomp_error(kind: type) -> None:
    assert issubclass(kind, STOMPError)


@pytest.mark.parametrize(
    ("kind", "built_in"),
    [
        (STOMPTimeout, TimeoutError),
        (STOMPClosed, ConnectionError),
        (STOMPConnectError, ConnectionError),
        (STOMPProtocolError, ValueError),
        (STOMPAddressError, ValueError),
        (STOMPBodyError, ValueError),
    ],
)
def test_an_error_is_caught_by_the_built_in_kind_it_belongs_to(
    kind: type[STOMPError], built_in: type[Exception]
) -> None:
    with pytest.raises(built_in, match="words"):
        raise kind("words")


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_keeps_its_message_the_brokers_frame_and_a_hint(kind: type[STOMPError]) -> None:
    frame = STOMPFrame("ERROR")
    error = kind("no such queue", frame, hint="check its name")
    assert (error.Message, error.Frame, error.hint) == ("no such queue", frame, "check its name")
    assert str(error) == "no such queue\nTry: check its name"


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_without_a_hint_is_its_message_alone(kind: type[STOMPError]) -> None:
    error = kind("no such queue")
    assert str(error) == "no such queue"
    assert error.Frame is None


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_survives_the_way_to_another_process(kind: type[STOMPError]) -> None:
    error = kind("no such queue", STOMPFrame("ERROR", {"message": "m"}, b"b"), hint="look")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (str(copy), copy.Frame) == (str(error), error.Frame)


def test_a_connect_error_says_how_far_each_attempt_came() -> None:
    first = STOMPConnectError("nothing listens", address="a:1")
    error = STOMPConnectError("none", phase="handshake", address="b:2", attempts=[first])
    assert (error.phase, error.address, error.attempts) == ("handshake", "b:2", (first,))


def test_a_notebook_shows_a_connect_error_without_a_stack() -> None:
    error = STOMPConnectError("nothing listens at a:1", hint="start the broker")
    assert error._render_traceback_() == [
        "STOMPConnectError: nothing listens at a:1",
        "Try: start the broker",
    ]
