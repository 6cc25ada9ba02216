"""Octets to frames and back, by the rules of each version."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stompy import wire
from stompy.errors import STOMPError, STOMPProtocolError
from stompy.frame import STOMPFrame
from stompy.wire import FrameDecoder, encode, other_protocol
from tests.unit.peer import TIMEOUT, message, raw, sends, session


@pytest.fixture(params=[1, wire.LEARN_AFTER], ids=["learned", "new"], scope="module", autouse=True)
def learning(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each of these tests holds for frames of a shape that is known as for those of a new one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "LEARN_AFTER", request.param)
        yield


VERSIONS = pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
ESCAPING = pytest.mark.parametrize("version", ["1.1", "1.2"])


def decode(*portions: bytes, version: str | None = "1.2", **limits: int) -> list[STOMPFrame]:
    """The frames in `portions`, fed one after the other."""
    decoder = FrameDecoder(version, **limits)
    frames = []
    for portion in portions:
        decoder.feed(portion)
        frames += decoder.frames()
    return frames


def decode_one(*portions: bytes, **arguments: Any) -> STOMPFrame:
    """The one frame in `portions`."""
    (frame,) = decode(*portions, **arguments)
    return frame


def headers_of(*lines: bytes, version: str | None = "1.2") -> dict[str, str]:
    """The headers of a MESSAGE with these header lines."""
    octets = b"".join(line + b"\n" for line in (b"MESSAGE", *lines, b"")) + b"\0"
    return decode_one(octets, version=version).Headers


def octet_by_octet(data: bytes) -> Iterable[bytes]:
    return (data[i : i + 1] for i in range(len(data)))


# -- encoding ------------------------------------------------------------------------------------


def test_a_frame_is_a_command_header_lines_a_blank_line_the_body_and_a_nul() -> None:
    octets = encode("SEND", {"destination": "/queue/Q", "a": "b"}, b"body\0\n")
    assert octets == b"SEND\ndestination:/queue/Q\na:b\n\nbody\0\n\0"


def test_a_frame_without_headers_and_body_is_its_command() -> None:
    assert encode("DISCONNECT", {}) == b"DISCONNECT\n\n\0"


@pytest.mark.parametrize(
    ("version", "escaped"),
    [("1.1", b"\\ca\\nb\\\\c\r"), ("1.2", b"\\ca\\nb\\\\c\\r")],
)
def test_names_and_values_are_escaped_as_the_version_says(version: str, escaped: bytes) -> None:
    octets = encode("SEND", {":a\nb\\c\r": ":a\nb\\c\r"}, version=version)
    assert octets == b"SEND\n" + escaped + b":" + escaped + b"\n\n\0"


@pytest.mark.parametrize(
    ("command", "version"),
    [("SEND", "1.0"), ("CONNECT", "1.2"), ("STOMP", "1.2"), ("CONNECTED", "1.2")],
)
def test_nothing_is_escaped_in_1_0_and_in_the_handshake(command: str, version: str) -> None:
    octets = encode(command, {"passcode": "a:b\\c"}, version=version)
    assert octets == f"{command}\npasscode:a:b\\c\n\n\0".encode()


@pytest.mark.parametrize(
    ("command", "version"), [("SEND", "1.0"), ("CONNECT", "1.2"), ("CONNECTED", "1.1")]
)
@pytest.mark.parametrize(("name", "value"), [("a:b", ""), ("a\nb", ""), ("a", "b\nc"), ("a", "\r")])
def test_what_cannot_be_said_without_escapes_is_refused(
    command: str, version: str, name: str, value: str
) -> None:
    with pytest.raises(STOMPProtocolError, match="cannot be sent"):
        encode(command, {name: value}, version=version)


def test_the_refusal_of_a_header_does_not_repeat_its_value() -> None:
    with pytest.raises(STOMPProtocolError) as caught:
        encode("CONNECT", {"passcode": "s3cret\n"})
    assert "passcode" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("command", ["SEND", "CONNECT"])
def test_a_header_that_utf8_cannot_hold_is_a_protocol_error(command: str) -> None:
    with pytest.raises(STOMPProtocolError):
        encode(command, {"file": "\udcff"})


@VERSIONS
def test_headers_are_sent_as_utf8_and_are_neither_trimmed_nor_padded(version: str) -> None:
    octets = encode("SEND", {"é": " € "}, version=version)
    assert octets == "SEND\né: € \n\n\0".encode()


# -- where frames begin and end ------------------------------------------------------------------


@VERSIONS
def test_a_frame_that_comes_octet_by_octet_is_whole(version: str) -> None:
    octets = encode("MESSAGE", {"a": "é", "content-length": "4"}, b"\0b\xc3\n", version)
    frame = STOMPFrame("MESSAGE", {"a": "é", "content-length": "4"}, b"\0b\xc3\n")
    assert decode(*octet_by_octet(octets * 2), version=version) == [frame, frame]


def test_many_frames_in_one_portion_keep_their_order() -> None:
    octets = b"".join(encode("MESSAGE", {"n": str(n)}, b"\n\n") for n in range(100))
    assert [frame["n"] for frame in decode(octets)] == [str(n) for n in range(100)]


@VERSIONS
def test_line_ends_between_frames_are_no_frames(version: str) -> None:
    octets = b"\n\r\n\nMESSAGE\n\n1\0\n\r\n\r\n\nMESSAGE\n\n2\0\n"
    assert [frame.Body for frame in decode(octets, version=version)] == [b"1", b"2"]


@VERSIONS
def test_only_a_frame_that_has_begun_is_unfinished(version: str) -> None:
    decoder = FrameDecoder(version)
    assert not decoder.unfinished
    for octets, unfinished in [(b"\n\r\n", False), (b"MESS", True), (b"AGE\n\n\0\n", False)]:
        decoder.feed(octets)
        list(decoder.frames())
        assert decoder.unfinished is unfinished


def test_an_unfinished_frame_is_none() -> None:
    octets = encode("MESSAGE", {"a": "b", "content-length": "3"}, b"abc")
    assert decode(*octet_by_octet(octets[:-1])) == []


def test_frames_that_are_not_taken_yet_are_kept() -> None:
    decoder = FrameDecoder("1.2")
    decoder.feed(b"MESSAGE\n\n1\0MESSAGE\n\n2\0MESS")
    frames = decoder.frames()
    assert next(frames).Body == b"1"
    frames.close()
    decoder.feed(b"AGE\n\n3\0")
    assert [frame.Body for frame in decoder.frames()] == [b"2", b"3"]


def test_a_head_that_comes_in_many_portions_is_parsed_at_most_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsed = []
    parse = FrameDecoder._parse_head
    monkeypatch.setattr(
        FrameDecoder, "_parse_head", lambda self, head: parsed.append(head) or parse(self, head)
    )
    body = b"x" * 2000
    assert decode_one(*octet_by_octet(encode("MESSAGE", {"content-length": "2000"}, body)))
    assert len(parsed) <= 2
    assert decode_one(*octet_by_octet(encode("MESSAGE", {}, body)))
    assert len(parsed) <= 4


# -- the body ------------------------------------------------------------------------------------


@VERSIONS
def test_content_length_octets_are_the_body_whatever_they_are(version: str) -> None:
    body = bytes(range(256)) + b"\0MESSAGE\n\n\0\r\n\n"
    octets = encode("MESSAGE", {"content-length": str(len(body))}, body)
    assert [frame.Body for frame in decode(octets * 2, version=version)] == [body, body]


@VERSIONS
def test_without_a_content_length_the_body_ends_at_the_first_nul(version: str) -> None:
    octets = b"MESSAGE\n\n\nfirst\r\n\0MESSAGE\n\n\0"
    assert [frame.Body for frame in decode(octets, version=version)] == [b"\nfirst\r\n", b""]


@pytest.mark.parametrize("command", ["MESSAGE", "ERROR", "RECEIPT", "CONNECTED"])
def test_any_frame_may_have_a_content_length(command: str) -> None:
    frame = decode_one(f"{command}\ncontent-length:0\n\n\0\n".encode())
    assert (frame.Command, frame.Body) == (command, b"")


def test_no_nul_behind_content_length_octets_is_an_error() -> None:
    with pytest.raises(STOMPProtocolError, match="no NUL behind the 3 octets"):
        decode(b"MESSAGE\ncontent-length:3\n\nabcdef\0")


@pytest.mark.parametrize("length", ["-5", "5x", "", "+5", "5.0", " 5", "٣", "1" * 5000])
def test_a_content_length_that_is_no_number_or_none_too_large_is_an_error(length: str) -> None:
    with pytest.raises(STOMPProtocolError):
        decode(f"MESSAGE\ncontent-length:{length}\n\nabcde\0".encode())


@pytest.mark.parametrize("second", [b"5", b"2", b"5x"])
def test_the_first_of_two_content_lengths_counts(second: bytes) -> None:
    octets = b"MESSAGE\ncontent-length:5\ncontent-length:" + second + b"\n\nab\0de\0"
    assert decode_one(octets).Body == b"ab\0de"


# -- the head ------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [None, "1.2"])
def test_lines_may_end_in_cr_lf(version: str | None) -> None:
    octets = b"MESSAGE\r\na:b\r\nc:\r\n\r\nbody\r\n\0"
    assert decode(*octet_by_octet(octets), version=version) == [
        STOMPFrame("MESSAGE", {"a": "b", "c": ""}, b"body\r\n")
    ]


def test_in_1_1_a_cr_at_the_end_of_a_line_belongs_to_the_value() -> None:
    assert headers_of(b"a:b\r", version="1.1") == {"a": "b\r"}


@VERSIONS
def test_a_header_without_a_colon_is_an_error(version: str) -> None:
    with pytest.raises(STOMPProtocolError, match="without a colon"):
        headers_of(b"a:b", b"nocolon", version=version)


@VERSIONS
def test_the_first_colon_divides_name_and_value(version: str) -> None:
    assert headers_of(b"url:http://host:80/a:b", version=version) == {"url": "http://host:80/a:b"}


@VERSIONS
def test_a_value_may_be_empty(version: str) -> None:
    assert headers_of(b"empty:", version=version) == {"empty": ""}


@VERSIONS
def test_the_first_of_repeated_headers_counts(version: str) -> None:
    assert headers_of(b"a:1", b"b:2", b"a:3", b"a:4", version=version) == {"a": "1", "b": "2"}


@VERSIONS
def test_header_names_are_case_sensitive(version: str) -> None:
    assert headers_of(b"A:1", b"a:2", version=version) == {"A": "1", "a": "2"}


@ESCAPING
def test_headers_are_not_trimmed(version: str) -> None:
    assert headers_of(b" a : b ", version=version) == {" a ": " b "}


def test_in_1_0_headers_are_trimmed() -> None:
    assert headers_of(b" a : b ", b"content-length: 0 ", version="1.0") == {
        "a": "b",
        "content-length": "0",
    }


def test_of_headers_that_trimming_makes_the_same_the_first_counts() -> None:
    assert headers_of(b"a:1", b"a :2", version="1.0") == {"a": "1"}


@VERSIONS
def test_headers_are_utf8(version: str) -> None:
    assert headers_of("é:€".encode(), version=version) == {"é": "€"}


@VERSIONS
def test_a_head_that_is_not_utf8_is_an_error(version: str) -> None:
    with pytest.raises(STOMPProtocolError, match="no UTF-8"):
        headers_of(b"a:\xff", version=version)


@ESCAPING
def test_a_nul_in_a_header_does_not_end_the_frame(version: str) -> None:
    assert headers_of(b"a:b\0c", version=version) == {"a": "b\0c"}


@ESCAPING
def test_escapes_are_resolved_in_names_and_values(version: str) -> None:
    assert headers_of(rb"na\cme\n:\c\n\\\\n", version=version) == {"na:me\n": ":\n\\\\n"}


def test_in_1_2_a_cr_is_escaped_too() -> None:
    assert headers_of(rb"a:\r", version="1.2") == {"a": "\r"}


@pytest.mark.parametrize(
    ("version", "value"),
    [("1.1", rb"\r"), ("1.1", rb"\t"), ("1.2", rb"\t"), ("1.2", rb"\C"), ("1.2", b"\\\xc3\xa9")],
)
def test_an_undefined_escape_is_an_error(version: str, value: bytes) -> None:
    with pytest.raises(STOMPProtocolError, match="undefined escape"):
        headers_of(b"a:x" + value + b"y", version=version)


@ESCAPING
def test_a_lone_backslash_at_the_end_is_an_error(version: str) -> None:
    with pytest.raises(STOMPProtocolError, match="undefined escape"):
        headers_of(b"a:b\\", version=version)


def test_1_0_has_no_escapes() -> None:
    assert headers_of(rb"a:\n\c\\\t", version="1.0") == {"a": r"\n\c\\\t"}


def test_connected_has_no_escapes() -> None:
    frame = decode_one(b"CONNECTED\nversion:1.2\nserver:Odd\\Server C:\\temp\n\n\0", version=None)
    assert frame["server"] == r"Odd\Server C:\temp"


def test_before_the_version_is_known_an_undefined_escape_stays_as_it_is() -> None:
    frame = decode_one(b"ERROR\nmessage:C\\c\\temp\n\n\0", version=None)
    assert frame["message"] == r"C:\temp"


# -- versions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("connected", "value"),
    [
        (b"CONNECTED\nversion:1.2\n\n\0", "\r"),
        (b"CONNECTED\nversion:1.0\n\n\0", r"\r"),
        (b"CONNECTED\nsession:1\n\n\0", r"\r"),
    ],
)
def test_the_version_in_connected_rules_what_follows(connected: bytes, value: str) -> None:
    _, frame = decode(connected + b"MESSAGE\na:\\r\n\n\0", version=None)
    assert frame["a"] == value


def test_a_server_may_set_the_version_between_two_frames_of_one_portion() -> None:
    decoder = FrameDecoder()
    decoder.feed(b"CONNECT\naccept-version:1.0\n\n\0SEND\na:\\n\n\n\0")
    frames = decoder.frames()
    next(frames)
    decoder.version = "1.0"
    assert next(frames)["a"] == r"\n"


# -- frames that are alike -----------------------------------------------------------------------

ODD_VALUES = ["", "b:c", r"\c", r"\n\\c", r"\t", "\\", "\r", " 1 ", "é", "\0", "5" * 200]


def test_the_headers_of_frames_that_are_alike_are_looked_at_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsed = []
    parse = FrameDecoder._parse_head
    monkeypatch.setattr(
        FrameDecoder, "_parse_head", lambda self, head: parsed.append(head) or parse(self, head)
    )
    octets = [b"MESSAGE\na:%d\nb:\\c\n\n%d\0\n" % (n, n) for n in range(100)]
    frames = decode(b"".join(octets))
    assert frames == [
        STOMPFrame("MESSAGE", {"a": str(n), "b": ":"}, str(n).encode()) for n in range(100)
    ]
    assert len(parsed) == wire.LEARN_AFTER


@pytest.mark.parametrize("version", [None, *wire.VERSIONS])
@pytest.mark.parametrize("value", ODD_VALUES)
@pytest.mark.parametrize("length", [b"", b"content-length:2\n", b"content-length:9\n"])
def test_a_frame_among_others_that_are_alike_is_what_it_is_alone(
    version: str | None, value: str, length: bytes
) -> None:
    usual = b"MESSAGE\na:1\n" + length.replace(b"9", b"2") + b"\nxy\0"
    odd = f"MESSAGE\na:{value}\n".encode() + length + b"\nxy\0"

    def outcome(octets: bytes) -> list[STOMPFrame] | str:
        try:
            return decode(octets, version=version, max_header_line=100)
        except STOMPProtocolError as error:
            return error.Message

    alone, among = outcome(odd), outcome(usual * 20 + odd)
    assert among == (alone if isinstance(alone, str) else decode(usual * 20) + alone)


def test_frames_of_several_kinds_may_come_in_turn() -> None:
    kinds = [encode("MESSAGE", {name: "1", "b": "2"}, name.encode()) for name in "acdefghijklm"]
    frames = decode(b"".join(kinds) * 40)
    assert frames == [decode_one(kind) for kind in kinds] * 40


def test_a_version_that_is_set_between_frames_that_are_alike_rules_those_after_it() -> None:
    decoder = FrameDecoder("1.2")
    decoder.feed(b"SEND\na:\\n \n\n\0" * 40)
    values = []
    for frame in decoder.frames():
        values.append(frame["a"])
        decoder.version = "1.2" if len(values) < 30 else "1.0"
    assert values == ["\n "] * 30 + [r"\n"] * 10


# -- errors and limits ---------------------------------------------------------------------------


def test_good_frames_come_before_the_error_and_the_error_comes_again() -> None:
    decoder = FrameDecoder("1.2")
    decoder.feed(b"MESSAGE\n\ngood\0MESSAGE\nbad\n\n\0MESSAGE\n\nnever\0")
    frames = decoder.frames()
    assert next(frames).Body == b"good"
    with pytest.raises(STOMPProtocolError, match="without a colon"):
        next(frames)
    decoder.feed(b"MESSAGE\n\nnever\0")
    with pytest.raises(STOMPProtocolError, match="without a colon"):
        next(decoder.frames())


def test_900_headers_are_no_problem() -> None:
    assert len(headers_of(*(b"h%d:v" % n for n in range(900)))) == 900


def test_a_header_of_60_000_octets_is_no_problem() -> None:
    assert headers_of(b"a:" + b"x" * 60_000)["a"] == "x" * 60_000


TOO_MUCH = {
    "a body with a content-length": (b"MESSAGE\ncontent-length:101\n\n", b"x"),
    "a body without a content-length": (b"MESSAGE\n\n", b"x"),
    "a header line": (b"MESSAGE\na:", b"x"),
    "the number of headers": (b"MESSAGE\n", b"a:b\n"),
    "a command": (b"", b"X"),
}


@pytest.mark.parametrize(("beginning", "more"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_a_frame_that_grows_without_end_is_an_error(beginning: bytes, more: bytes) -> None:
    portions = [beginning] + [more] * 200
    with pytest.raises(STOMPProtocolError, match=r"longer than 100|more than 10 headers"):
        decode(*portions, max_body=100, max_header_line=100, max_headers=10)


@pytest.mark.parametrize(("beginning", "more"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_a_frame_beyond_a_limit_is_an_error_also_in_one_portion(
    beginning: bytes, more: bytes
) -> None:
    end = b"\0" if b"\n\n" in beginning else b":\n\n\0"
    with pytest.raises(STOMPProtocolError, match=r"longer than 100|more than 10 headers"):
        decode(beginning + more * 200 + end, max_body=100, max_header_line=100, max_headers=10)


def test_headers_that_are_too_long_together_are_an_error() -> None:
    line = b"x" * 60_000
    with pytest.raises(STOMPProtocolError, match="headers of a frame are longer"):
        decode(b"MESSAGE\n", *(b"h%d:%b\n" % (n, line) for n in range(20)))


def test_a_frame_at_its_limits_is_none_beyond_them() -> None:
    octets = b"MESSAGE\na:" + b"x" * 98 + b"\nb:c\n\n" + b"x" * 100 + b"\0"
    for portions in ([octets], octet_by_octet(octets)):
        assert decode_one(*portions, max_body=100, max_header_line=100, max_headers=2)


# -- other protocols -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP"),
        (b"<html>", "HTTP"),
        (b"\r\n<!doctype html>", "HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "TLS"),
        (b"AMQP\x00\x00\x09\x01", "AMQP"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH"),
        (b"220 mail.example ESMTP\r\n", "SMTP or FTP"),
        (b"\x00\x00\x01\x2a\x01ActiveMQ\x00\x00", "OpenWire"),
        (b"-ERR unknown command 'CONNECT'\r\n", "Redis or POP3"),
        (b"hello\n", "something else"),
        (b"\xff\xff", "something else"),
        (b"CONNECTEDX", "something else"),
        (b"SEND\n", "something else"),
    ],
)
def test_another_protocol_is_told_by_its_first_octets(answer: bytes, name: str) -> None:
    assert other_protocol(answer) == name


@pytest.mark.parametrize(
    "answer",
    [
        b"\n\r\nCONNECTED\r\nversion:1.2\r\n\r\n\0",
        b"ERROR\nmessage:no\n\n\0",
        b"RECEIPT\n",
        b"MESSAGE\n",
    ],
)
def test_no_beginning_of_a_stomp_answer_is_taken_for_another_protocol(answer: bytes) -> None:
    for end in range(len(answer) + 1):
        assert other_protocol(answer[:end]) is None


# -- properties ----------------------------------------------------------------------------------

FEW = settings(max_examples=40, deadline=None)
COMMANDS = ["MESSAGE", "ERROR", "RECEIPT", "SEND", "SUBSCRIBE"]


def texts(exclude: str = "") -> st.SearchStrategy[str]:
    return st.text(st.characters(codec="utf-8", exclude_characters=exclude), max_size=8)


def frames_of(version: str) -> st.SearchStrategy[STOMPFrame]:
    """Frames as `version` can carry them."""
    if version == "1.0":
        names, values = texts(":\n").map(str.strip), texts("\n").map(str.strip)
    else:
        names, values = texts(), texts()
    headers = st.dictionaries(names.filter("content-length".__ne__), values, max_size=4)
    return st.builds(STOMPFrame, st.sampled_from(COMMANDS), headers, st.binary(max_size=20))


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(places)]


ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=5)
CUTS = st.lists(st.integers(0, 2000), max_size=12)


@FEW
@given(data=st.data(), version=st.sampled_from(wire.VERSIONS), cuts=CUTS)
def test_any_frames_in_any_portions_are_the_same_frames(
    data: st.DataObject, version: str, cuts: list[int]
) -> None:
    frames = data.draw(st.lists(frames_of(version), max_size=4))
    for frame in frames:
        if b"\0" in frame.Body or data.draw(st.booleans()):
            frame.Headers["content-length"] = str(len(frame.Body))
    heartbeats = st.sampled_from([b"", b"\n", b"\r\n\n"])
    octets = b"".join(
        data.draw(heartbeats) + encode(frame.Command, frame.Headers, frame.Body, version)
        for frame in frames
    )
    assert decode(*split(octets, cuts), version=version) == frames


@FEW
@given(st.dictionaries(texts(":\n"), texts("\n").filter(lambda value: value[-1:] != "\r")))
def test_any_headers_of_a_handshake_are_the_same_headers(headers: dict[str, str]) -> None:
    headers.pop("content-length", None)
    assert decode_one(encode("CONNECT", headers), version=None).Headers == headers


FRAGMENTS = [
    b"\n",
    b"\r\n",
    b"\0",
    b":",
    b"\\",
    b"\\n",
    b"MESSAGE\n",
    b"CONNECTED\nversion:1.0\n\n",
]
FRAGMENTS += [b"content-length:", b"3", b"a:b\n", b"\xc3\xa9", b"\xff", b"abc"]
STREAMS = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=3), max_size=30).map(b"".join)


@settings(FEW, max_examples=200)
@given(STREAMS, st.sampled_from([None, *wire.VERSIONS]), CUTS)
def test_any_octets_give_the_same_frames_however_they_are_cut_or_a_stomp_error(
    octets: bytes, version: str | None, cuts: list[int]
) -> None:
    def outcome(*portions: bytes) -> tuple[list[STOMPFrame], bool]:
        decoder, frames = FrameDecoder(version), []
        try:
            for portion in portions:
                decoder.feed(portion)
                for frame in decoder.frames():
                    frames.append(frame)
        except STOMPError:
            return frames, True
        return frames, False

    assert outcome(*split(octets, cuts)) == outcome(octets)


@FEW
@given(ANY_TEXT, ANY_TEXT, st.sampled_from(wire.VERSIONS))
def test_any_header_is_encoded_or_is_a_stomp_error(name: str, value: str, version: str) -> None:
    try:
        octets = encode("SEND", {name: value}, version=version)
    except STOMPError:
        return
    assert octets.count(b"\n") == 3


@FEW
@given(STREAMS)
def test_any_octets_are_judged_to_be_another_protocol_or_not(octets: bytes) -> None:
    assert other_protocol(octets) in {None, "something else", "HTTP", "TLS"}


def test_a_second_connected_does_not_change_how_frames_are_read() -> None:
    octets = raw("CONNECTED", "version:1.0") + message(b"", r"a:x\cy")
    with session(sends(octets)) as (client, _):
        client.recv(TIMEOUT)
        assert client.recv(TIMEOUT)["a"] == "x:y"


def test_a_nul_between_frames_is_an_error() -> None:
    with session(sends(message(b"1") + b"\0" + message(b"2"))) as (client, _):
        assert client.recv(TIMEOUT).Body == b"1"
        with pytest.raises(STOMPProtocolError, match="NUL"):
            client.recv(TIMEOUT)


def test_a_passcode_without_its_colon_is_not_repeated() -> None:
    with pytest.raises(STOMPProtocolError, match="without a colon") as caught:
        decode(b"CONNECT\nlogin:me\npasscode s3cret\n\n\0")
    assert "s3cret" not in str(caught.value)
