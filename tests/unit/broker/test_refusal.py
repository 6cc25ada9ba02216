"""What ERROR says of a frame: enough to learn from, and never a passcode."""

from __future__ import annotations

import pytest

from stompy import STOMPFrame
from stompy.broker.refusal import MAX_SHOWN_HEADERS, SHOWN, Refusal, error_of

REFUSAL = Refusal("what was wrong", "What to do.", version="1.0")


def body_of(frame: STOMPFrame | None) -> str:
    return error_of(REFUSAL, frame)[1].decode()


def test_the_title_is_the_message_and_the_advice_the_body():
    headers, body = error_of(REFUSAL, None)
    assert body == b"What to do.\n"
    assert headers == {
        "message": "what was wrong",
        "content-type": "text/plain",
        "content-length": str(len(body)),
        "version": "1.0",
    }


def test_the_frame_that_was_wrong_is_shown_as_it_was():
    frame = STOMPFrame("SEND", {"destination": "/queue/ä", "receipt": "r:1"}, b"hello")
    headers, body = error_of(REFUSAL, frame)
    assert body.decode() == (
        "What to do.\n\nThe frame was:\n-----\n"
        "SEND\ndestination:/queue/ä\nreceipt:r:1\n\nhello\n-----\n"
    )
    assert int(headers["content-length"]) == len(body)
    assert headers["receipt-id"] == "r:1"


@pytest.mark.parametrize("command", ["CONNECT", "STOMP"])
def test_there_is_no_receipt_for_connect(command):
    assert "receipt-id" not in error_of(REFUSAL, STOMPFrame(command, {"receipt": "r"}))[0]


@pytest.mark.parametrize(
    "frame",
    [
        STOMPFrame("C" * 100_000),
        STOMPFrame("SEND", {"k": "v" * 100_000}),
        STOMPFrame("SEND", {"k" * 100_000: "v"}),
        STOMPFrame("SEND", {}, b"b" * 100_000),
    ],
    ids=["command", "value", "name", "body"],
)
def test_what_is_long_is_cut(frame):
    assert len(body_of(frame)) < SHOWN + 100


def test_what_is_cut_says_so():
    assert f"k:{'v' * (SHOWN - 1)}…\n" in body_of(STOMPFrame("SEND", {"k": "v" * (SHOWN + 1)}))
    assert f"k:{'v' * SHOWN}\n" in body_of(STOMPFrame("SEND", {"k": "v" * SHOWN}))
    assert f"{'b' * SHOWN}…\n" in body_of(STOMPFrame("SEND", {}, b"b" * (SHOWN + 1)))
    assert f"{'b' * SHOWN}\n" in body_of(STOMPFrame("SEND", {}, b"b" * SHOWN))


def test_of_many_headers_some_are_shown_and_the_others_counted():
    text = body_of(STOMPFrame("SEND", {f"k{number}": "v" for number in range(1000)}))
    assert text.count(":v\n") == MAX_SHOWN_HEADERS
    assert f"… and {1000 - MAX_SHOWN_HEADERS} headers more\n" in text


@pytest.mark.parametrize(
    ("body", "shown"), [(b"a\0b", "a^@b"), (b"\xff\xfe", "\\xff\\xfe"), ("é".encode(), "é")]
)
def test_a_body_is_shown_as_text_whatever_it_is(body, shown):
    assert f"\n\n{shown}\n-----\n" in body_of(STOMPFrame("SEND", {}, body))


@pytest.mark.parametrize("command", ["CONNECT", "STOMP", "SEND"])
def test_a_passcode_is_not_shown(command):
    text = body_of(STOMPFrame(command, {"login": "me", "passcode": "geheim"}))
    assert "geheim" not in text
    assert "login:me\npasscode:***\n" in text
