"""The X-ray of octets: whatever they are, each of them is in one part that says what it is."""

import html
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stompy import STOMPFrame, STOMPProtocolError, wire
from stompy.wire import VERSIONS, FrameDecoder
from stompy_jupyter.display import MAX_HTML
from stompy_jupyter.explain import Explanation, Part, explain, explain_frame
from stompy_jupyter.meanings import COMMANDS
from stompy_jupyter.parts import WRONG

MEANT = {b"\\\\": "\\", b"\\n": "\n", b"\\c": ":", b"\\r": "\r"}

TOKENS = [
    *(b"SEND", b"CONNECT", b"CONNECTED", b"MESSAGE", b"BEGIN", b"\n", b"\n", b"\n\n", b"\r\n"),
    *(b"a", b"b", b":", b":", b" ", b"\t", b"\\c", b"\\n", b"\\r", b"\\\\", b"\\", b"\0", b"\0"),
    *(b"content-length:", b"3", b"version:1.1", b"\xc3\xbc", b"\xff", b"SEND\na:b\n\n"),
]
SCRAPS = st.lists(st.sampled_from(TOKENS), max_size=24).map(b"".join)
"""What looks a little like frames."""


def kinds(octets: bytes, version: str | None = None) -> list[tuple[str, bytes]]:
    return [(part.kind, part.octets) for part in explain(octets, version).parts]


def meaning(explained: Explanation, octets: bytes, place: int = 0) -> str:
    """What is said of a part with these octets; of several, of that one."""
    return [part.meaning for part in explained.parts if part.octets == octets][place]


def value_of(parts: list[Part]) -> str:
    """The value that the parts of one make, behind the colon."""
    pieces = [p for p in parts if p.kind in ("header value", "escape")]
    return "".join(MEANT[p.octets] if p.kind == "escape" else p.octets.decode() for p in pieces)


def frames_in(explained: Explanation) -> list[STOMPFrame]:
    """The frames that parts are of."""
    frames: list[STOMPFrame] = []
    value: list[Part] | None = None
    for part in explained.parts:
        if part.kind == "command":
            frames.append(STOMPFrame(part.octets.decode()))
        elif part.kind == "colon":
            value = []
        elif part.kind == "line end" and value is not None:
            assert part.header is not None
            frames[-1].Headers.setdefault(part.header, value_of(value))
            value = None
        elif value is not None:
            value.append(part)
        elif part.kind == "body":
            frames[-1].Body = part.octets
    return frames


# -- each octet once -----------------------------------------------------------------------------


@settings(max_examples=500, deadline=None)
@given(st.one_of(SCRAPS, st.binary(max_size=60)), st.sampled_from([None, *VERSIONS]))
def test_whatever_the_octets_are_the_parts_cover_each_of_them_once(octets, version):
    parts = explain(octets, version).parts
    assert b"".join(part.octets for part in parts) == octets
    offset = 0
    for part in parts:
        assert part.offset == offset
        assert part.octets
        assert part.meaning
        offset += len(part.octets)


@settings(max_examples=1000, deadline=None)
@given(SCRAPS, st.sampled_from(VERSIONS))
def test_what_the_decoder_reads_is_what_is_explained(octets, version):
    decoder = FrameDecoder(version)
    decoder.feed(octets)
    try:
        frames = list(decoder.frames())
    except STOMPProtocolError:
        return
    if decoder.unfinished or any(frame.Command not in COMMANDS for frame in frames):
        return
    explained = explain(octets, version)
    assert not {part.kind for part in explained.parts} & set(WRONG)
    assert frames_in(explained) == frames


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(list(COMMANDS)),
    st.dictionaries(st.text("ab:\\\n\r ü<", min_size=1), st.text("ab:\\\n\r ü<"), max_size=5),
    st.binary(max_size=10),
    st.sampled_from(VERSIONS),
)
def test_a_frame_that_was_encoded_is_explained_as_it_was_meant(command, headers, body, version):
    headers = {**headers, "content-length": str(len(body))}
    if version == "1.0":
        headers = {name.strip(" \t"): value.strip(" \t") for name, value in headers.items()}
    try:
        octets = wire.encode(command, headers, body, version)
    except STOMPProtocolError:
        return
    if command in wire.HANDSHAKE and b"\r\n" in octets:
        return  # the CR at the end of a name or value cannot be told from a line end
    explained = explain(octets, version)
    assert frames_in(explained) == [STOMPFrame(command, headers, body)]


# -- what is what --------------------------------------------------------------------------------


def test_a_frame_is_explained_part_by_part():
    assert kinds(b"SEND\ndestination:/queue/a\\cb\n\nhello\0\n") == [
        ("command", b"SEND"),
        ("line end", b"\n"),
        ("header name", b"destination"),
        ("colon", b":"),
        ("header value", b"/queue/a"),
        ("escape", b"\\c"),
        ("header value", b"b"),
        ("line end", b"\n"),
        ("blank line", b"\n"),
        ("body", b"hello"),
        ("NUL", b"\0"),
        ("heart-beat", b"\n"),
    ]


def test_all_parts_of_a_header_know_its_name():
    parts = explain(b"SEND\na\\cb:c\\\\d\n\nx\0", "1.2").parts
    assert [part.header for part in parts] == [None] * 2 + ["a:b"] * 8 + [None] * 3


@pytest.mark.parametrize(
    ("version", "pair", "says"),
    [
        ("1.2", rb"\r", r"\r stands for a carriage return (Value Encoding)"),
        ("1.1", rb"\r", "STOMP 1.1 has no such escape, and refuses the frame (Value Encoding)"),
        ("1.1", rb"\c", r"\c stands for a colon (Value Encoding)"),
        ("1.2", rb"\t", "STOMP 1.2 has no such escape, and refuses the frame (Value Encoding)"),
        ("1.2", b"\\", "STOMP 1.2 has no such escape, and refuses the frame (Value Encoding)"),
    ],
)
def test_an_escape_is_beside_what_it_stands_for(version, pair, says):
    assert meaning(explain(b"SEND\na:" + pair + b"\n\n\0", version), pair) == says


@pytest.mark.parametrize("head", [b"CONNECT", b"CONNECTED", b"STOMP"])
def test_the_greeting_has_no_escapes(head):
    assert ("header value", b"a\\c:b") in kinds(head + b"\nlogin:a\\c:b\n\n\0", "1.2")


def test_stomp_1_0_has_no_escapes_and_trims_blanks():
    assert kinds(b"SEND\na : \\c \n\n\0", "1.0")[2:9] == [
        ("header name", b"a"),
        ("blanks", b" "),
        ("colon", b":"),
        ("blanks", b" "),
        ("header value", b"\\c"),
        ("blanks", b" "),
        ("line end", b"\n"),
    ]


def test_cr_lf_ends_a_line_in_stomp_1_2_alone():
    octets = b"SEND\r\na:b\r\n\r\n\0"
    assert [part for kind, part in kinds(octets, "1.2") if "line" in kind] == [b"\r\n"] * 3
    explained = explain(octets, "1.1")
    assert "with CR LF, which came with STOMP 1.2" in meaning(explained, b"\r\n")
    assert meaning(explained, b"b\r").endswith(
        "; the CR at its end belongs to it: lines end with CR LF in STOMP 1.2"
    )


def test_of_a_repeated_header_the_first_counts():
    explained = explain(b"SEND\na:1\na:2\ncontent-length:1\ncontent-length:9\n\nx\0")
    ignored = "does not count: of a repeated header the first entry does (Repeated Header Entries)"
    assert meaning(explained, b"2") == meaning(explained, b"a", 1) == ignored
    assert meaning(explained, b"9") == ignored
    assert meaning(explained, b"1", 1) == "the body has 1 octet (Header content-length)"


@pytest.mark.parametrize(
    ("head", "body", "says"),
    [
        ("5", b"hello", "the body has 5 octets"),
        ("05", b"hello", "the body has 5 octets"),
        ("3", b"a\0b", "the body has 3 octets"),
        ("4", b"hello", "not true: the body has 5 octets"),
        ("50", b"hello", "not true: the body has 5 octets"),
        ("5", "grün!".encode(), "not true: the body has 6 octets"),
        ("9" * 5000, b"", "not true: the body has 0 octets"),
        ("five", b"hello", "no number; the body has 5 octets"),
        ("-1", b"hello", "no number; the body has 5 octets"),
        ("1", b"a\0b", "the body has 1 octet"),
    ],
)
def test_content_length_is_beside_the_true_length(head, body, says):
    explained = explain(b"SEND\ncontent-length:" + head.encode() + b"\n\n" + body + b"\0")
    assert meaning(explained, head.encode()) == f"{says} (Header content-length)"


def test_behind_a_wrong_content_length_the_next_frame_is_found():
    octets = b"SEND\ncontent-length:2\n\nhello\0BEGIN\ntransaction:t\n\n\0"
    assert [part for kind, part in kinds(octets) if kind in ("command", "body")] == [
        *(b"SEND", b"hello", b"BEGIN")
    ]


def test_a_body_may_be_where_none_is_allowed():
    explained = explain(b"BEGIN\ntransaction:t\n\nx y\0")
    assert meaning(explained, b"x y") == (
        "3 octets; but BEGIN has no body: only SEND, MESSAGE and ERROR may have one (Body)"
    )


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        (b"SEN", "; cut off: the line does not end"),
        (b"SEND\ndest", "; cut off: the line does not end"),
        (b"SEND\na:b\n", "; cut off: there is no blank line behind the headers"),
        (b"SEND\na:b\n\n", "; cut off: there is no NUL"),
        (b"SEND\na:b\n\nhel", "; cut off: there is no NUL"),
        (b"SEND\ncontent-length:9\n\nhel", "; cut off: there is no NUL"),
    ],
)
def test_what_is_cut_off_says_what_is_missing(octets, says):
    assert explain(octets).parts[-1].meaning.endswith(says)


def test_a_content_length_of_what_is_cut_off_is_not_called_untrue():
    explained = explain(b"SEND\ncontent-length:9\n\nhel")
    assert meaning(explained, b"9").startswith("how many octets the body has; not all have come")


def test_a_nul_before_the_blank_line_ends_the_frame_too_early():
    explained = explain(b"SUBSCRIBE\nid:1\n\0BEGIN\ntransaction:t\n\n\0")
    assert "too early" in meaning(explained, b"\0")
    assert [part.octets for part in explained.parts if part.kind == "command"] == [
        *(b"SUBSCRIBE", b"BEGIN")
    ]


@pytest.mark.parametrize(
    ("octets", "kind", "says"),
    [
        (b"hello", "not STOMP", "a frame begins with a command and a line end"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not STOMP", "it looks like HTTP"),
        (b"\x16\x03\x01\x02", "not STOMP", "it looks like TLS"),
        (b"SEND\n\n\0more\n", "rest", "behind the NUL"),
        (b"SEND\nno colon\n\n\0", "no header", "a header line is a name, a colon and a value"),
        (b"\n\n", "heart-beat", "line ends alone: the sender is there (Heart-beating)"),
        (b"SNED\n\n\0", "command", "a command that STOMP does not have"),
        (b"CONNECT \n\n\0", "command", "a command that STOMP does not have"),
    ],
)
def test_what_is_no_frame_is_called_so(octets, kind, says):
    found = [part.meaning for part in explain(octets).parts if part.kind == kind]
    assert len(found) == 1
    assert says in found[0]


def test_a_head_that_is_no_utf_8_says_so_where_it_is():
    explained = explain(b"SEND\na:\xff\n\n\xff\0")
    assert "it is no UTF-8" in meaning(explained, b"\xff")
    assert "UTF-8" not in meaning(explained, b"\xff", 1)


def test_words_are_those_of_the_version():
    octets = b"ACK\nid:1\nmessage-id:2\n\n\0"
    newest, older = explain(octets, "1.2"), explain(octets, "1.1")
    assert meaning(newest, b"1") == "which message was processed: what its header ack says (ACK)"
    assert meaning(older, b"1").startswith("not of STOMP 1.1; in STOMP 1.2: which message")
    assert meaning(newest, b"2").startswith("not of STOMP 1.2; in STOMP 1.0 and 1.1: which")
    assert explain(b"NACK\n\n\0", "1.0").parts[0].meaning.startswith("not of STOMP 1.0; in STOMP")


def test_connected_says_the_version_of_what_follows():
    octets = b"CONNECTED\nversion:1.1\n\n\0MESSAGE\na:\\r\n\n\0"
    assert ("undefined escape", b"\\r") in kinds(octets)
    assert ("escape", b"\\r") in kinds(octets, "1.2")


def test_who_sends_what_only_the_other_may_is_told():
    octets = b"MESSAGE\nsubscription:1\n\n\0"
    assert explain(octets, sent=True).parts[0].meaning.endswith("; only a broker sends it")
    assert "only" not in explain(octets, sent=False).parts[0].meaning
    assert explain(b"\n", sent=True).parts[0].meaning.startswith("line ends alone: the client")
    assert explain(b"\n", sent=False).parts[0].meaning.startswith("line ends alone: the broker")


def test_a_frame_is_explained_by_its_octets():
    frame = STOMPFrame("SEND", {"destination": "/queue/a:b"}, b"x")
    assert explain_frame(frame).parts == explain(b"SEND\ndestination:/queue/a\\cb\n\nx\0").parts
    with pytest.raises(STOMPProtocolError, match=r"STOMP 1\.0 has no escapes"):
        explain_frame(STOMPFrame("SEND", {"a:b": "c"}), "1.0")


def test_there_are_three_versions():
    with pytest.raises(ValueError, match=r"there is no STOMP 2\.0; there are: 1\.0, 1\.1, 1\.2"):
        explain(b"", "2.0")


# -- how it is shown -----------------------------------------------------------------------------

SECRET = "geheim"


@pytest.mark.parametrize(
    "octets",
    [
        b"CONNECT\nlogin:me\npasscode:geheim\n\n\0",
        b"STOMP\r\npasscode:geheim\r\n\r\n\0",
        b"CONNECT\nPasscode : geheim\n\n\0",
        b"CONNECT\npasscode:geheim",
        b"CONNECT\npasscode geheim\n\n\0",
        b"CONNECT\n\npasscode:geheim\n\0",
        b"SEND\n\n\0CONECT\npasscode:geheim\n",
        b"CONNECT\npasscode:geheim\npasscode:geheim\0",
        b"GET / HTTP/1.1\npasscode:geheim\n",
    ],
)
def test_a_passcode_is_nowhere(octets):
    explained = explain(octets)
    shown = [repr(explained), explained._repr_html_(), explained.df.to_json(default_handler=str)]
    shown += [repr(explained.parts)]
    assert not any(SECRET in text for text in shown)
    assert b"***" in b"".join(part.octets for part in explained.parts)


def test_the_text_is_an_aligned_table():
    explained = explain(b"BEGIN\ntransaction:t1\n\n\0", "1.2", True)
    first, *lines = repr(explained).split("\n")
    assert first == "BEGIN, 23 octets, STOMP 1.2, sent"
    assert lines[1] == (
        "     0  42 45 47 49 4e                    BEGIN        "
        "command: a transaction begins (BEGIN)"
    )
    column = lines[0].index("what it is")
    assert all(line[column - 2 : column] == "  " for line in lines)


def test_it_is_a_dataframe():
    df = explain(b"SEND\na:b\\c\n\nx\0").df
    assert list(df.columns) == ["offset", "octets", "text", "kind", "header", "meaning"]
    assert df[df.header == "a"].text.tolist() == ["a", ":", "b", "\\c", "⏎"]
    assert df.offset.tolist() == [0, 4, 5, 6, 7, 8, 10, 11, 12, 13]
    assert df.octets.iloc[-1] == b"\0"


@pytest.mark.parametrize(
    ("octets", "title"),
    [
        (b"SEND\n\n\0BEGIN\n\n\0", "SEND and BEGIN, 15 octets"),
        (b"\n", "heart-beat, 1 octet"),
        (b"", "no frame, 0 octets"),
        (b"hello", "no frame, 5 octets"),
    ],
)
def test_the_title_says_what_it_is(octets, title):
    assert explain(octets).title == title


def test_the_html_shows_the_text_and_says_of_each_part_what_it_is():
    page = explain(b"SEND\na:b\n\nhello\0")._repr_html_()
    text = re.search(r"<pre.*?</pre>", page, re.DOTALL)
    assert text is not None
    assert html.unescape(re.sub("<[^>]*>", "", text[0])) == "SEND⏎a:b⏎⏎hello^@".replace("⏎", "⏎\n")
    assert 'title="body: 5 octets (Body)">hello</span>' in page
    assert "<b>command</b>: a client sends a message to a destination (SEND)" in page
    assert "<script" not in page
    assert "<style" not in page


def test_nothing_of_a_stranger_acts_in_it():
    bad = b"<img src=x onerror=alert(1)>\x1b[31m\xe2\x80\xae\"'&"
    page = explain(bad + b"\n" + bad + b":" + bad + b"\n\n" + bad + b"\0" + bad)._repr_html_()
    assert "<img" not in page
    assert not re.search("[\x00-\x08\x1b\u202e]", page)


def test_the_html_is_bounded_and_says_what_is_missing():
    heads = b"".join(b"&%d\\:&&&&\x1b\n" % i for i in range(400))
    page = explain(b"SEND\n" + heads + b"\n" + b"&" * 500_000 + b"\0")._repr_html_()
    assert len(page.encode()) <= MAX_HTML
    assert re.search(r"… and [\d,]+ more parts", page)


def test_of_a_large_body_the_beginning_is_shown():
    explained = explain(b"SEND\n\n" + b"x" * 4095 + "☃".encode() + b"y" * 10 + b"\0")
    page = explained._repr_html_()
    assert "x … 13 more octets</span>" in page
    assert "78 78 … 4,092 more" in page
    assert len(repr(explained)) < 2000
