"""A frame as a person types it."""

import pytest

from stompy_jupyter.typed import Typed, masked, passcode_of

BEGIN = "BEGIN\ntransaction:t\n"


@pytest.mark.parametrize(
    ("typed", "octets"),
    [
        (BEGIN + "\n^@", b"BEGIN\ntransaction:t\n\n\0"),
        (BEGIN + "\n", b"BEGIN\ntransaction:t\n\n\0"),
        (BEGIN + "\n^@\n", b"BEGIN\ntransaction:t\n\n\0\n"),
        ("A\n\nb^@c", b"A\n\nb\0c"),
        ("A\ncontent-length:3\n\nb^@c", b"A\ncontent-length:3\n\nb\0c\0"),
        ("A\ncontent-length:3\n\nb^@c^@", b"A\ncontent-length:3\n\nb\0c\0"),
        ("A\ncontent-length:1\n\nb^@c", b"A\ncontent-length:1\n\nb\0c"),
        ("A\r\ncontent-length:9\r\n\r\nb^@c", b"A\r\ncontent-length:9\r\n\r\nb\0c\0"),
        ("\n\n", b"\n\n"),
        ("", b""),
        ("A\n\n\u20ac", b"A\n\n\xe2\x82\xac\0"),
        (b"A\n\nb^@", b"A\n\nb^@"),
    ],
)
def test_a_nul_is_typed_as_it_is_written_and_added_where_it_is_left_out(typed, octets):
    assert Typed(typed).octets == octets


@pytest.mark.parametrize(
    ("cell", "octets"),
    [
        (BEGIN + "\n^@\n", b"BEGIN\ntransaction:t\n\n\0"),
        ("A\n\nhello\n", b"A\n\nhello\0"),
        ("A\n\nhello\n\n", b"A\n\nhello\n\0"),
        (BEGIN + "\n", b"BEGIN\ntransaction:t\n\n\0"),
        (BEGIN, b"BEGIN\ntransaction:t\0"),
        ("\n", b""),
    ],
)
def test_the_line_end_behind_a_cell_is_taken_off_unless_it_makes_the_blank_line(cell, octets):
    assert Typed.of_cell(cell).octets == octets


def test_places_are_those_that_the_user_sees():
    typed = Typed("A\nn:\u20acx\n\n^@^@y")
    place = {octet: typed.place(typed.octets.index(octet)) for octet in (b"A", b"x", b"\0", b"y")}
    assert place == {b"A": (1, 1), b"x": (2, 4), b"\0": (4, 1), b"y": (4, 5)}
    assert typed.place(len(typed.octets)) == (4, 6)


def test_a_line_is_shown_with_a_caret_under_the_place():
    typed = Typed("A\nn:\x1b\ud800x\n\n")
    assert typed.marked(2, 5) == ("n:\\x1b\\ud800x", "            ^")
    assert typed.marked(9, 1) == ("", "^")


def test_a_passcode_is_masked_however_the_frame_is_written():
    frame = "connect\n PassCode : secret\0\n"
    assert masked(frame) == "connect\n PassCode :***\0\n"
    assert passcode_of(b"CONNECT\r\npasscode:a b\r\n\r\n\0") == "a b"
    assert passcode_of(b"CONNECT\n\n\0") is None
    assert "secret" not in repr(Typed(frame).lines) + repr(Typed(frame).masked_octets)


@pytest.mark.parametrize(
    "frame",
    [
        "\n\nCONNECT\nlogin:me\npasscode:secret\n\n^@",
        "CONNECT\n\nlogin:me\npasscode:secret\n\n^@",
        "BEGIN\ntransaction:t\n\n^@\nCONNECT\npasscode:secret\n\n^@",
    ],
    ids=["blank lines before it", "a blank line too early", "a second frame"],
)
def test_a_passcode_is_masked_wherever_blank_lines_are(frame):
    typed = Typed(frame)
    assert b"secret" not in typed.masked_octets
    assert passcode_of(typed.octets) == "secret"


def test_a_passcode_in_the_body_of_a_message_is_its_own_business():
    frame = b"SEND\ndestination:/queue/a\n\nDear Ada,\npasscode: 1234\0"
    assert passcode_of(frame) is None
    assert Typed(frame).masked_octets == frame
