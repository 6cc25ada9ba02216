"""The linter: it points at what is wrong, and at nothing else."""

import random
import re

import pytest

from stompy import wire
from stompy_jupyter.demands import REQUIRED
from stompy_jupyter.lint import is_wrong, lint
from stompy_jupyter.rules import RULES
from tests.unit.wrong_frames import WRONG_FRAMES, WrongFrame

RIGHT_FRAMES = 1000
"""So many are generated for each version."""


@pytest.mark.parametrize("wrong", WRONG_FRAMES, ids=lambda wrong: wrong.name.replace(" ", "-"))
def test_a_wrong_frame_is_pointed_at_in_the_right_place_and_nothing_else_is(wrong: WrongFrame):
    found = lint(wrong.typed, wrong.version, connected=wrong.connected)
    expected = [(wrong.line, wrong.column, wrong.rule)]
    assert [(f.line, f.column, f.rule) for f in found] == expected, found
    assert is_wrong(found) == (RULES[wrong.rule].severity == "error")


def test_where_nothing_is_typed_there_is_no_frame():
    assert [(f.line, f.column, f.rule) for f in lint("")] == [(1, 1, "empty")]


def test_each_rule_has_a_wrong_frame():
    assert {wrong.rule for wrong in WRONG_FRAMES} == set(RULES)


def test_a_finding_says_what_is_wrong_by_which_sentence_and_what_to_do():
    [found] = lint("ACK\nmessage-id:7\nsubscription:1\n\n", "1.2")
    assert str(found) == "error: line 4, column 1: ACK needs the header id (STOMP 1.2, ACK)"
    assert found.hint == (
        "add id: and what the header ack of the MESSAGE says; message-id was the way of STOMP 1.1"
    )


@pytest.mark.parametrize("wrong", WRONG_FRAMES, ids=lambda wrong: wrong.name.replace(" ", "-"))
def test_all_that_is_said_is_filled_in(wrong: WrongFrame):
    for found in lint(wrong.typed, wrong.version, connected=wrong.connected):
        assert not re.search("[{}]", found.message + found.section + found.hint)
        assert found.version == wrong.version


def test_the_true_length_of_a_body_is_said_in_octets():
    [found] = lint("SEND\ndestination:/q\ncontent-length:6\n\nMüller")
    assert "the body has 7" in found.message
    assert found.hint.startswith("write content-length:7")
    [found] = lint("SEND\ndestination:/q\n\na^@b^@")
    assert found.hint == "add the header content-length:3"


def test_a_nul_may_be_left_out_at_the_end_and_typed_within_a_body_of_known_length():
    assert lint("SEND\ndestination:/q\n\nhello") == []
    assert lint("SEND\ndestination:/q\ncontent-length:3\n\na^@b") == []
    assert lint("SEND\ndestination:/q\ncontent-length:3\n\na^@b^@\n\n") == []


def test_line_ends_before_and_behind_a_frame_are_no_error():
    assert lint("\n\nBEGIN\ntransaction:t\n\n^@\n\n") == []


def test_a_carriage_return_before_a_line_feed_is_no_error_in_1_2():
    assert lint("SEND\r\ndestination:/q\r\n\r\nhello^@\r\n") == []


def test_several_faults_are_told_in_the_order_of_their_places():
    found = lint("send\ndestination: /q\ncontent-length:9\ncontent-length:5\n\nhello")
    rules = ["lower-case", "blank-in-value", "content-length-long", "repeated-header"]
    assert [f.rule for f in found] == rules


def test_what_a_frame_lacks_is_not_guessed_where_a_header_cannot_be_read():
    assert [f.rule for f in lint("SEND\ndestination /q\n\nhello")] == ["no-colon"]


@pytest.mark.parametrize("connected", [True, False, None])
def test_when_a_frame_comes_counts_only_where_it_is_known(connected):
    first = lint("CONNECT\naccept-version:1.2\nhost:/\n\n", connected=connected)
    later = lint("BEGIN\ntransaction:t\n\n", connected=connected)
    assert [f.rule for f in first] == (["connected-already"] if connected else [])
    assert [f.rule for f in later] == (["not-connected"] if connected is False else [])


def test_nothing_is_escaped_in_connect():
    assert lint("CONNECT\naccept-version:1.2\nhost:/\npath:C:\\temp\\\n\n") == []
    assert [f.rule for f in lint("connect\naccept-version:1.2\nhost:a:b\n\n")] == ["lower-case"]


def test_an_unknown_version_is_refused():
    with pytest.raises(ValueError, match=r"no STOMP '1\.3'; there are: 1\.0, 1\.1, 1\.2"):
        lint("BEGIN\n\n", "1.3")


# -- right frames ----------------------------------------------------------------------------

COMMANDS = {
    "1.0": ["SEND", "SUBSCRIBE", "UNSUBSCRIBE", "BEGIN", "COMMIT", "ABORT", "ACK", "DISCONNECT"],
    "1.1": [*REQUIRED["1.1"], "DISCONNECT"],
    "1.2": [*REQUIRED["1.2"], "DISCONNECT"],
}
KNOWN = {"accept-version": "1.0,1.1,1.2", "heart-beat": "0,10000"}
LETTERS = {
    "1.0": "abcXYZ019-_./\\!~ :",
    "1.1": "abcXYZ019-_./\\!~ :\n\r{}<>äß€😀\x01",
    "1.2": "abcXYZ019-_./\\!~ :\n\r{}<>äß€😀\x01",
}


def _text(chance: random.Random, letters: str, least: int = 0) -> str:
    """A text that neither begins nor ends in a blank."""
    text = "".join(chance.choices(letters, k=chance.randint(least, 12)))
    return text.strip(" ") or "x" * least


def _right(chance: random.Random, version: str) -> bytes:
    """The octets of a frame in which all is right."""
    command = chance.choice(COMMANDS[version])
    greets = command in wire.HANDSHAKE
    letters = "abcXYZ019-_./\\ " if greets else LETTERS[version]
    names = letters.replace(":", "").replace(" ", "") if version == "1.0" else letters
    headers = {
        f"x{_text(chance, names)}": _text(chance, letters, least=version == "1.0")
        for _ in range(chance.randint(0, 4))
    }
    needed = REQUIRED[version].get(command, ("id",) if command == "UNSUBSCRIBE" else ())
    for name in needed:
        headers[name] = KNOWN.get(name) or _text(chance, letters, least=1)
    if greets and chance.random() < 0.5:
        headers["heart-beat"] = KNOWN["heart-beat"]
    if not greets and chance.random() < 0.3:
        headers["receipt"] = _text(chance, letters, least=1)
    if command == "SUBSCRIBE" and chance.random() < 0.5:
        headers["ack"] = chance.choice(["auto", "client"])
    body = b""
    if command == "SEND":
        body = bytes(chance.choices(range(256), k=chance.randint(0, 40)))
        if b"\0" in body or chance.random() < 0.5:
            headers["content-length"] = str(len(body))
    ordered = list(headers.items())
    chance.shuffle(ordered)
    octets = wire.encode(command, dict(ordered), body, version)
    if version == "1.2" and chance.random() < 0.3:
        head, _, rest = octets.partition(b"\n\n")
        octets = head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + rest
    return octets + b"\n" * chance.randint(0, 2)


@pytest.mark.parametrize("version", wire.VERSIONS)
def test_the_linter_is_silent_on_right_frames_and_the_decoder_reads_them(version):
    chance = random.Random(f"right frames of {version}")
    for _ in range(RIGHT_FRAMES):
        octets = _right(chance, version)
        assert lint(octets, version) == [], octets
        decoder = wire.FrameDecoder(version)
        decoder.feed(octets)
        assert len(list(decoder.frames())) == 1


@pytest.mark.parametrize("version", wire.VERSIONS)
def test_the_linter_survives_any_octets(version):
    chance = random.Random(f"damaged frames of {version}")
    for _ in range(RIGHT_FRAMES):
        octets = bytearray(_right(chance, version))
        for _ in range(chance.randint(1, 4)):
            octets[chance.randrange(len(octets))] = chance.choice(b"\0\n\r:\\ \xff\xc3aE0")
        lines = bytes(octets).replace(b"\0", b"^@").decode("utf-8", "surrogateescape").split("\n")
        for found in lint(bytes(octets), version):
            assert 1 <= found.line <= len(lines)
            assert 1 <= found.column <= len(lines[found.line - 1]) + 1
