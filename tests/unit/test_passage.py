"""What a browser is shown of a trace: small whatever passes, and octet by octet as it was."""

from typing import Any

import pytest

from stompy import TracedFrame, wire
from stompy.broker import Broker
from stompy_jupyter import StompSession
from stompy_jupyter.explain import explain
from stompy_jupyter.passage import MAX_SEQUENCE, passage_of, sequence_of
from stompy_jupyter.replaying import ReplaySession
from stompy_jupyter.request import MAX_LINES
from stompy_jupyter.subject import Subject
from stompy_jupyter.trace import FrameTrace
from stompy_jupyter.window import MAX_PART, size_of
from tests.unit.test_actions import Desk

pytestmark = pytest.mark.usefixtures("nothing_left")


def told(session: StompSession, *octets: bytes, sent: bool = True) -> StompSession:
    """A session whose trace has been told of octets."""
    tell = session.trace.beside(lambda _: None)
    assert callable(tell)
    for each in octets:
        tell(TracedFrame(1_700_000_000.5, sent, each, "1.2"))
    return session


@pytest.fixture
def silent(broker: Broker) -> StompSession:
    """A session that was never connected."""
    return StompSession(broker.address)


def passage(octets: bytes, version: str | None = "1.2") -> tuple[dict[str, Any], bytes]:
    trace = FrameTrace()
    tell = trace.beside(lambda _: None)
    assert callable(tell)
    tell(TracedFrame(1_700_000_000.5, True, octets, version))
    return passage_of(trace, 0)


# -- the lines -----------------------------------------------------------------------------------


def test_lines_have_all_that_is_drawn(silent: StompSession) -> None:
    told(silent, wire.encode("SEND", {"destination": "/queue/a", "receipt": "r"}, b"x"))
    told(silent, wire.encode("RECEIPT", {"receipt-id": "r"}), sent=False)
    shown = sequence_of(silent, 1)
    assert shown["passed"] == 2
    assert shown["replay"] is False
    assert shown["lines"] == [
        {
            "kind": "frame",
            "number": 1,
            "time": 1_700_000_000_500,
            "sent": False,
            "command": "RECEIPT",
            "label": "r",
            "answers": [(0, 0)],
            "answered": [],
            "receipt": "",
            "transaction": None,
            "outcome": None,
        }
    ]
    assert sequence_of(silent, 9)["lines"][0]["answered"] == [(1, 1)]


def test_what_waits_when_the_connection_has_ended_waits_in_vain(broker: Broker) -> None:
    with StompSession(broker.address) as session:
        session.send_by(session.client.transaction(), "/queue/a", "x")
        assert sequence_of(session, 1)["lines"][0]["outcome"] == "open"
    sent = [line for line in sequence_of(session, 99)["lines"] if line["command"] == "SEND"]
    assert sent[0]["outcome"] == "lost"


@pytest.mark.parametrize("text", ["\U0001f600", "\u202e", "\x01", "ä", '"', "a"])
def test_lines_are_small_whatever_passes(silent: StompSession, text: str) -> None:
    heads = dict.fromkeys(("destination", "transaction", "receipt"), text * 300)
    told(silent, *[wire.encode("SEND", heads, text.encode() * 500)] * 500)
    shown = sequence_of(silent, MAX_LINES)
    assert 0 < len(shown["lines"]) <= MAX_LINES
    assert shown["lines"][-1]["number"] == 499
    assert size_of(shown) <= MAX_SEQUENCE + 1024
    assert all(line["label"].isprintable() for line in shown["lines"])


def test_an_answer_to_many_frames_names_the_newest(silent: StompSession) -> None:
    told(silent, wire.encode("SUBSCRIBE", {"id": "0", "ack": "client"}))
    for number in range(100):
        heads = {"message-id": str(number), "ack": str(number), "subscription": "0"}
        told(silent, wire.encode("MESSAGE", heads), b"\n", sent=False)
    told(silent, wire.encode("ACK", {"id": "99"}))
    answers = sequence_of(silent, 1)["lines"][0]["answers"]
    assert len(answers) == 20
    assert answers[-1] == (199, 199)


def test_a_replay_has_no_wire(tmp_path: Any) -> None:
    path = tmp_path / "empty.stompcap"
    path.write_bytes(b"")
    shown = sequence_of(ReplaySession(path), 5)
    assert shown == {"passed": 0, "replay": True, "lines": []}


# -- a frame -------------------------------------------------------------------------------------


def kinds(shown: dict[str, Any]) -> list[str]:
    return [kind for kind, _, _ in shown["parts"]]


def lengths(shown: dict[str, Any]) -> int:
    return sum(length for _, length, _ in shown["parts"])


def test_a_frame_comes_part_by_part_with_the_meaning_of_each() -> None:
    octets = wire.encode("SEND", {"destination": "/queue/a:b", "content-length": "3"}, b"a\0b")
    shown, sent = passage(octets + b"\n")
    assert sent == octets + b"\n"
    explained = explain(octets + b"\n", "1.2", True)
    assert shown["parts"] == [[p.kind, len(p.octets), p.meaning] for p in explained.parts]
    assert (shown["command"], shown["sent"], shown["note"]) == ("SEND", True, "")
    assert (shown["time"], shown["size"]) == (1_700_000_000_500, len(octets) + 1)


@pytest.mark.parametrize(
    ("octets", "kind"),
    [
        (b"SEND\r\ndestination:/queue/a\r\n\r\n\0", "blank line"),
        (b"SEND\na:\\q\n\n\0", "undefined escape"),
        (b"SEND\nno colon\n\n\0", "no header"),
        (b"MESSAGE\nfoo", "no header"),
        (b"\n", "heart-beat"),
        (b"\xff\xfe", "not STOMP"),
    ],
)
def test_what_is_wrong_or_no_frame_is_taken_apart_as_well(octets: bytes, kind: str) -> None:
    shown, sent = passage(octets)
    assert sent == octets
    assert lengths(shown) == len(octets)
    assert kind in kinds(shown)


def test_a_frame_of_the_handshake_has_no_version_yet() -> None:
    octets = wire.encode("CONNECT", {"accept-version": "1.2", "host": "/"})
    assert lengths(passage(octets, version=None)[0]) == len(octets)


def test_of_a_large_frame_the_beginning_comes() -> None:
    octets = wire.encode("SEND", {"destination": "/queue/a"}, b"x" * 2 * MAX_PART)
    shown, sent = passage(octets)
    assert sent == octets[:MAX_PART]
    assert lengths(shown) == MAX_PART
    assert shown["size"] == len(octets)
    assert kinds(shown)[-1] == "body"


@pytest.mark.parametrize("name", ["h", "\U0001f600", '"', "\x01"])
def test_an_answer_is_small_however_many_headers_there_are(name: str) -> None:
    heads = {f"{name * 90}{n}": name * 300 for n in range(900)}
    shown, sent = passage(wire.encode("SEND", heads))
    assert len(sent) <= MAX_PART
    assert size_of(shown) < 120 * 1024


# -- as a browser asks ---------------------------------------------------------------------------


def test_a_browser_gets_the_lines_and_the_octets(session: StompSession) -> None:
    desk = Desk(Subject(session, ()))
    lines = desk.result("sequence", last=200)["lines"]
    assert [line["command"] for line in lines] == ["CONNECT", "CONNECTED"]
    asked = desk.ask("passage", number=1)
    assert desk.answer_to(asked)["result"]["command"] == "CONNECTED"
    (octets,) = next(buffers for answer, buffers in desk.answers if answer["id"] == asked)
    assert octets == session.trace[1].octets


def test_a_browser_never_sees_a_passcode(broker: Broker) -> None:
    with StompSession(broker.address, login="user", passcode="s3cr3t") as session:
        desk = Desk(Subject(session, ()))
        desk.result("passage", number=0)
        octets = b"".join(b for _, buffers in desk.answers for b in buffers)
        assert b"passcode:***" in octets
        assert b"s3cr3t" not in octets


def test_a_frame_that_is_not_there_is_refused(session: StompSession) -> None:
    desk = Desk(Subject(session, ()))
    assert "there is no frame 99" in desk.error("passage", number=99)


@pytest.mark.parametrize("last", [0, MAX_LINES + 1, -1, True, "3", None])
def test_a_browser_cannot_ask_for_more_lines_than_are_shown(
    session: StompSession, last: object
) -> None:
    assert "whole number from 1 to 200" in Desk(Subject(session, ())).error("sequence", last=last)
