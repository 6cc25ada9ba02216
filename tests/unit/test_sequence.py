"""FrameSequence: frames as a diagram, in which nothing of what strangers send can act."""

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from IPython.core.error import UsageError

from stompy import TracedFrame, wire
from stompy.broker import Broker
from stompy_jupyter import StompSession
from stompy_jupyter.events import Event, spans
from stompy_jupyter.mermaid import MIME_TYPE, escape
from stompy_jupyter.sequence import MAX_DRAWN, FrameSequence, Lane
from stompy_jupyter.trace import FrameTrace
from tests.unit.shells import run
from tests.unit.test_completion import offered
from tests.unit.test_joins import entries
from tests.unit.waiting import until

SVG = "{http://www.w3.org/2000/svg}"

HOSTILE = [
    *(";", "#", "end", "a\nend\nb", "%%", "%%{init: {}}%%", "<script>alert(1)</script>", "&lt;"),
    *("'\"`", "\u202eabc\u2066", "-->>", "B->>A: x", "style a:b#c;", "classDef a:b#c;", "$$x$$"),
    *("#35;", "ﬂ°60¶ß", "]]>", "<!--", "<br/>", "wrap: x", "\\", "\x00\x1b[31m", "😀" * 80, ""),
]


def sequence(*frames: str, ended: bool = False, **arguments: Any) -> FrameSequence:
    return FrameSequence([Lane("client", entries(*frames), ended)], **arguments)


def lines(*frames: str, ended: bool = False) -> list[Event]:
    return sequence(*frames, ended=ended).events


def traced(*octets: tuple[bool, bytes]) -> list[Event]:
    """The events of octets, each of which was sent or came."""
    trace = FrameTrace()
    tell = trace.beside(lambda _: None)
    assert callable(tell)
    for sent, passed in octets:
        tell(TracedFrame(1_700_000_000.0, sent, passed, "1.2"))
    return FrameSequence([Lane("client", trace.newest(), ended=True)]).events


# -- what is chosen ------------------------------------------------------------------------------


def test_a_session_shows_the_newest_frames_and_how_they_belong_together(broker: Broker) -> None:
    with StompSession(broker.address) as session:
        stream = session.subscribe("/queue/A", ack_mode="client-individual")
        session.send("/queue/A", "x", receipt=True).wait()
        stream.wait(1)
        until(lambda: session.sequence().df.command.eq("ACK").any())
        df = session.sequence().df
    sent, ack = df[df.command == "SEND"].iloc[0], df[df.command == "ACK"].iloc[0]
    assert (sent.direction, sent.label, sent.receipt) == ("out", "/queue/A “x”", "came")
    assert df.loc[sent.answered[0]].command == "RECEIPT"
    assert df.loc[ack.answers[0]].command == "MESSAGE"
    assert list(session.sequence(2).df.command) == ["DISCONNECT", "RECEIPT"]


def test_lines_are_chosen_by_numbers_of_the_trace_or_from_the_end() -> None:
    frames = [f"SEND destination:/queue/{n}" for n in range(60)]

    def numbers(**arguments: Any) -> list[int]:
        return [event.number for event in sequence(*frames, **arguments).events]

    assert numbers() == list(range(20, 60))
    assert numbers(last=3) == [57, 58, 59]
    assert numbers(start=10) == list(range(10, 60))
    assert numbers(start=10, stop=12) == [10, 11]
    assert numbers(stop=12) == list(range(12))
    assert numbers(stop=12, last=2) == [10, 11]
    assert numbers(start=100) == []


@pytest.mark.parametrize("wrong", [{"last": 0}, {"last": -1}, {"start": -1}, {"stop": -2}])
def test_numbers_that_choose_nothing_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="from"):
        sequence("SEND", **wrong)


def test_joins_are_those_of_the_whole_trace() -> None:
    (receipt,) = sequence("SEND receipt:r", "RECEIPT receipt-id:r", start=1).events
    assert receipt.answers == (0,)


def test_other_sessions_are_lanes_in_order_of_time(broker: Broker) -> None:
    with StompSession(broker.address, name="a") as a, StompSession(broker.address, name="b") as b:
        first = len(a.trace)
        b.send("/queue/x", "1", receipt=True).wait()
        a.send("/queue/x", "2", receipt=True).wait()
        b.send("/queue/x", "3", receipt=True).wait()
        found = a.sequence(also=[b, a]).df
        alone = a.sequence(start=first, also=[b]).df
    sent = found[found.command == "SEND"]
    assert list(zip(sent.lane, sent.label, strict=True)) == [
        ("b", "/queue/x “1”"),
        ("a", "/queue/x “2”"),
        ("b", "/queue/x “3”"),
    ]
    assert "/queue/x “1”" not in set(alone.label)  # that was before
    assert "/queue/x “3”" in set(alone.label)


def test_lanes_of_one_name_are_told_apart() -> None:
    lane = Lane("client", entries("SEND"), ended=False)
    assert set(FrameSequence([lane, lane]).df.lane) == {"client 1", "client 2"}


# -- what a line is ------------------------------------------------------------------------------


def test_heart_beats_that_follow_each_other_are_one_line() -> None:
    beats = lines("SEND", "^", "^", "^", "SEND", "^")
    assert [event.kind for event in beats] == ["frame", "heart-beats", "frame", "heart-beats"]
    assert beats[1].text == "3 heart-beats in 2 s (3 out)"
    assert beats[3].text == "1 heart-beat (1 out)"
    assert (beats[1].number, beats[2].number) == (1, 4)


def test_heart_beats_of_both_sides_are_counted() -> None:
    (run,) = traced((True, b"\n"), (False, b"\r\n"), (False, b"\n"))
    assert run.beats == (1, 2)
    assert run.text == "3 heart-beats in 0 s (1 out, 2 in)"


def test_a_new_connection_is_a_line_and_ends_what_was_open() -> None:
    begun = lines("CONNECT", "BEGIN transaction:t", "SEND receipt:r", "CONNECT")
    assert [event.kind for event in begun] == ["frame"] * 3 + ["connection", "frame"]
    assert begun[3].text == "connection 2"
    assert begun[1].outcome == "lost"
    assert begun[2].receipt == "none"
    assert begun[2].note == "no receipt came"


def test_a_frame_that_broke_off_is_shown_as_that() -> None:
    _, broken = traced((True, wire.encode("SEND", {})), (False, b"MESSAGE\nfoo"))
    assert broken.kind == "no frame"
    assert broken.text == "no whole frame 'MESSAGE\\nfoo'"


def test_a_label_says_what_a_frame_is_about_and_is_cut() -> None:
    (subscribe,) = lines("SUBSCRIBE id:7 destination:/queue/a ack:client")
    assert subscribe.text == "SUBSCRIBE /queue/a id=7 ack=client"
    (error,) = lines("ERROR message:bad")
    assert error.text == "ERROR bad"
    (long,) = traced((True, wire.encode("SEND", {"destination": "d" * 100}, b"b" * 100)))
    assert long.label == f"{'d' * 40}… “{'b' * 16}…"
    (octets,) = traced((True, wire.encode("SEND", {"content-length": "1"}, b"\xff")))
    assert octets.label == "b'\\xff'"


def test_numbers_that_follow_each_other_are_a_span() -> None:
    assert spans([]) == []
    assert spans([1, 2, 3, 7, 9, 10]) == [(1, 3), (7, 7), (9, 10)]


# -- as a picture --------------------------------------------------------------------------------

ABORTED = ["BEGIN transaction:t", "SEND transaction:t", "SEND", "ABORT transaction:t"]


def test_it_is_shown_as_mermaid_svg_and_text_and_not_as_html() -> None:
    shown = sequence("SEND")._repr_mimebundle_(include=None, exclude=None)
    assert list(shown) == [MIME_TYPE, "image/svg+xml", "text/plain"]
    assert shown[MIME_TYPE].startswith("sequenceDiagram\n")
    assert shown["image/svg+xml"].startswith("<svg ")


def test_mermaid_has_a_box_for_each_run_of_a_transaction() -> None:
    assert sequence(*ABORTED, "SEND receipt:r", "RECEIPT receipt-id:r").mermaid.splitlines() == [
        "sequenceDiagram",
        "accTitle: frames",
        "participant client0 as client",
        "participant broker as broker",
        "rect rgba(128, 128, 128, 0.15)",
        "Note over client0,broker: transaction t (aborted)",
        "client0-xbroker: 0 BEGIN t",
        "client0-xbroker: 1 SEND",
        "end",
        "client0->>broker: 2 SEND",
        "rect rgba(128, 128, 128, 0.15)",
        "Note over client0,broker: transaction t (aborted, goes on)",
        "client0-xbroker: 3 ABORT t",
        "end",
        "client0->>broker: 4 SEND",
        "broker-->>client0: 5 RECEIPT r (answers 4)",
    ]


def test_the_svg_strikes_what_was_aborted_in_a_dashed_box() -> None:
    root = ET.fromstring(sequence(*ABORTED).svg)
    struck = root.findall(f".//{SVG}g[@class='struck']/{SVG}text[@class='label']")
    assert [text.text for text in struck] == ["BEGIN t", "SEND", "ABORT t"]
    boxes = [rect for rect in root.iter(f"{SVG}rect") if rect.get("stroke-dasharray")]
    assert len(boxes) == 2
    assert "text-decoration:line-through" in root.findtext(f"{SVG}style", "")


def test_the_svg_can_be_heard() -> None:
    root = ET.fromstring(sequence("SEND receipt:r", "RECEIPT receipt-id:r", title="x").svg)
    assert root.get("role") == "img"
    title, desc = (root.get("aria-labelledby") or "").split()
    assert root.findtext(f"{SVG}title[@id='{title}']") == "x"
    said = "0 out SEND; 1 in RECEIPT r, answers 0"
    assert root.findtext(f"{SVG}desc[@id='{desc}']") == said


def test_the_same_frames_are_the_same_svg() -> None:
    assert sequence("SEND", "^").svg == sequence("SEND", "^").svg
    assert sequence("SEND").svg != sequence("ACK").svg


def test_text_has_two_lanes() -> None:
    assert repr(sequence("SEND receipt:r", "RECEIPT receipt-id:r", *ABORTED[:1], ended=True)) == (
        "frames\n"
        "               client                                                  broker\n"
        "    0    0.000 |-- SEND ---------------------------------------------->|\n"
        "    1    1.000 |<.. RECEIPT r .........................................|  answers 0\n"
        "    2    2.000 |-- BEGIN t -------------------------------------------x|  in t, lost"
    )


def test_a_diagram_is_bounded_and_says_what_is_left_out() -> None:
    many = sequence(*["SEND"] * (MAX_DRAWN + 5), start=0)
    assert len(many) == len(many.df) == MAX_DRAWN + 5
    assert many.mermaid.count("SEND") == MAX_DRAWN
    for picture in (many.mermaid, many.svg, repr(many)):
        assert "5 older lines are left out" in picture


def test_nothing_is_shown_as_that(broker: Broker) -> None:
    empty = StompSession(broker.address).sequence()
    assert len(empty) == 0
    assert empty.df.empty
    for picture in (empty.mermaid, empty.svg, repr(empty)):
        assert "nothing has passed yet" in picture
    ET.fromstring(empty.svg)


@pytest.mark.parametrize("clients", [1, 2, 3, 4, 5])
def test_any_number_of_clients_has_its_lanes(clients: int) -> None:
    lane = Lane("c", entries("SEND", "RECEIPT receipt-id:r"), ended=False)
    many = FrameSequence([lane] * clients)
    assert many.mermaid.count("participant") == clients + 1
    assert len(repr(many).splitlines()) == 2 + 2 * clients
    ET.fromstring(many.svg)


# -- strangers -----------------------------------------------------------------------------------


def hostile(text: str) -> FrameSequence:
    """A sequence in which a text is wherever one can be."""
    trace = FrameTrace()
    tell = trace.beside(lambda _: None)
    assert callable(tell)
    safe = text.replace("\x00", "")
    heads = dict.fromkeys(("destination", "transaction", "receipt", "id", "message"), safe)
    frames = [
        (True, wire.encode("BEGIN", heads)),
        (True, wire.encode("SEND", heads, text.encode())),
        (False, wire.encode("ERROR", heads, text.encode())),
        (False, text.encode() or b"x"),
    ]
    for sent, octets in frames:
        tell(TracedFrame(1_700_000_000.0, sent, octets, "1.2"))
    return FrameSequence([Lane(text, trace.newest(), False)], title=text, broker=text)


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_is_sent_the_svg_has_our_tags_alone(text: str) -> None:
    root = ET.fromstring(hostile(text).svg)
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags <= {"svg", "title", "desc", "style", "rect", "g", "text", "line", "path"}
    names = {name for element in root.iter() for name in element.attrib}
    assert not [name for name in names if name.startswith("on") or "href" in name]


SAID = r"(?:[^#;%<>&$\\`\n]|#\d+;)*"
"""Text in which nothing acts."""

GRAMMAR = re.compile(
    rf"sequenceDiagram|accTitle: {SAID}|participant (?:client\d|broker) as {SAID}"
    rf"|rect rgba\(128, 128, 128, 0\.15\)|end|Note over client\d,broker: {SAID}"
    rf"|(?:client\d|broker)--?(?:x|>>)(?:client\d|broker): {SAID}"
)


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_is_sent_each_line_of_mermaid_is_one_of_ours(text: str) -> None:
    diagram = hostile(text).mermaid
    for line in diagram.split("\n"):
        assert GRAMMAR.fullmatch(line), line
    assert not re.search("style|classDef|ﬂ°", diagram)
    assert diagram.count("rect ") == len(re.findall("^end$", diagram, re.MULTILINE))


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_is_sent_a_line_of_text_is_a_line(text: str) -> None:
    found = hostile(text)
    shown = repr(found)
    assert len(shown.splitlines()) == 2 + len(found)
    assert shown.replace("\n", "").isprintable()


def test_what_was_escaped_reads_as_it_was() -> None:
    text = "".join(chr(code) for code in range(32, 127)) + "ﬂ°¶ß style classDef"
    back = re.sub(r"#(\d+);", lambda found: chr(int(found[1])), escape(text))
    assert back == text


# -- %stomp_sequence -----------------------------------------------------------------------------

magic = pytest.mark.usefixtures("unconfigured")


@magic
def test_the_magic_draws_the_newest_session(shell: Any) -> None:
    run(shell, "stomp_connect", "--as main")
    run(shell, "stomp_send", "/queue/q hello")
    assert run(shell, "stomp_sequence").df.command.tolist()[:2] == ["CONNECT", "CONNECTED"]
    (last,) = run(shell, "stomp_sequence", "--last 1").events
    assert last.text == "SEND /queue/q “hello”"


@magic
def test_the_magic_draws_sessions_beside_each_other(shell: Any, broker: Broker) -> None:
    run(shell, "stomp_connect", "--as one")
    run(shell, "stomp_connect", "{}:{} --as two".format(*broker.address))
    both = run(shell, "stomp_sequence", "one two one --last 99")
    assert set(both.df.lane) == {"one", "two"}


@magic
def test_the_magic_draws_what_has_ended(shell: Any) -> None:
    session = run(shell, "stomp_connect", "--as main")
    transaction = session.client.transaction()
    transaction.message("/queue/q", "hello")
    session.disconnect()
    shell.magics_manager.registry["StompMagics"].notebook.forget(session)
    ended = run(shell, "stomp_sequence").df
    assert ended[ended.command == "SEND"].outcome.tolist() == ["lost"]


@magic
def test_the_magic_draws_a_connection_by_hand(shell: Any) -> None:
    run(shell, "stomp_connect", "--as main")
    shell.run_cell_magic("stomp_raw", "", "CONNECT\naccept-version:1.2\nhost:/\n\n^@")
    by_hand = run(shell, "stomp_sequence", "raw").df
    assert by_hand.command.tolist() == ["CONNECT", "CONNECTED"]


@magic
def test_what_the_magic_takes_is_completed(shell: Any) -> None:
    run(shell, "stomp_connect", "--as main")
    assert offered(shell, "%stomp_sequence ma|") == ["main"]
    assert offered(shell, "%stomp_sequence main ma|") == ["main"]


@magic
def test_the_magic_says_what_it_does_not_find(shell: Any) -> None:
    with pytest.raises(UsageError, match="no session yet"):
        run(shell, "stomp_sequence")
    run(shell, "stomp_connect", "--as main")
    with pytest.raises(UsageError, match="'nobody' is no session"):
        run(shell, "stomp_sequence", "main nobody")
    with pytest.raises(UsageError, match="from 1 on"):
        run(shell, "stomp_sequence", "--last 0")


@magic
def test_the_magic_is_listed_and_goes_with_the_extension(shell: Any) -> None:
    assert "%stomp_sequence --last 10" in repr(run(shell, "stomp"))
    shell.run_line_magic("unload_ext", "stompy_jupyter")
    assert "stomp_sequence" not in shell.magics_manager.magics["line"]
