"""FrameTrace: every frame of a session, by its number, bounded, and without passcodes."""

import pandas as pd
import pytest

import stompy
from stompy import TracedFrame
from stompy.broker import Broker
from stompy_jupyter import StompSession
from stompy_jupyter.trace import FrameTrace, all_traces
from tests.unit.peer import Peer, conversation, raw, sends
from tests.unit.sessions import SOON
from tests.unit.waiting import until

PASSCODE = "geheim"


def told(trace: FrameTrace, *frames: bytes, sent: bool = True) -> FrameTrace:
    """A trace that has been told of frames."""
    tell = trace.beside(lambda _: None)
    assert callable(tell)
    for octets in frames:
        tell(TracedFrame(1700000000.5, sent, octets, "1.2"))
    return trace


def test_a_session_has_every_frame_both_ways(broker: Broker) -> None:
    with StompSession(broker.address) as session:
        stream = session.subscribe("/queue/A", ack_mode="client-individual")
        session.send("/queue/A", "x", receipt=True).wait()
        stream.wait(1)
        until(lambda: any(entry.command == "ACK" for entry in session.trace))
    passed = [(entry.direction, entry.command) for entry in session.trace]
    assert passed[:2] == [("out", "CONNECT"), ("in", "CONNECTED")]
    assert {("out", "SEND"), ("in", "MESSAGE"), ("out", "ACK"), ("in", "RECEIPT")} < set(passed)
    assert passed[-2:] == [("out", "DISCONNECT"), ("in", "RECEIPT")]
    assert [entry.number for entry in session.trace] == list(range(len(passed)))


def test_a_trace_goes_on_over_connections(broker: Broker) -> None:
    session = StompSession(broker.address)
    for connection in (1, 2):
        with session:
            assert session.trace[-1].connection == connection
            assert session.trace[-1].command == "CONNECTED"


def test_what_was_lost_and_came_back_is_another_connection() -> None:
    script = conversation(sends(raw("MESSAGE", "subscription:x", body=b"one")))
    with (
        Peer(lambda link: link.accept(), script) as peer,
        StompSession(peer.address, reconnect=SOON) as session,
    ):
        until(lambda: session.trace[-1].command == "MESSAGE")
        assert [e.connection for e in session.trace if e.command == "CONNECT"] == [1, 2]


def test_a_user_may_listen_as_well(broker: Broker) -> None:
    heard: list[TracedFrame] = []
    with StompSession(broker.address, trace=heard.append) as session:
        session.send("/queue/A", "x", receipt=True).wait()
    assert [traced.octets for traced in heard] == [entry.octets for entry in session.trace]


def test_its_frames_are_a_dataframe(broker: Broker) -> None:
    with StompSession(broker.address) as session:
        session.send("/queue/A", "grün", receipt=True, colour="green").wait()
        df = session.trace.df
    sent = df[df.command == "SEND"].iloc[0]
    assert (sent.direction, sent.destination, sent.body) == ("out", "/queue/A", "grün")
    assert sent.headers["colour"] == "green"
    assert sent.octets.endswith(b"gr\xc3\xbcn\0")
    assert sent["size"] == len(sent.octets)
    assert df[df.command == "RECEIPT"].receipt_id.tolist() == [sent.receipt]
    assert df.time.dt.tz is not None
    assert df.time.is_monotonic_increasing
    assert df.index.name == "frame"
    assert df.destination.isna().sum() == len(df) - 1


def test_an_empty_trace_has_the_same_columns() -> None:
    empty, full = FrameTrace().df, told(FrameTrace(), raw("SEND")).df
    assert empty.empty
    pd.testing.assert_series_equal(empty.dtypes, full.dtypes)


def test_frames_are_found_by_their_numbers_and_from_the_end() -> None:
    trace = told(FrameTrace(max_frames=3), *(raw("SEND", f"n:{n}") for n in range(5)))
    assert (len(trace), trace.dropped) == (3, 2)
    assert trace[2].get("n") == "2"
    assert trace[-1].get("n") == "4"
    assert [entry.number for entry in trace.newest(2)] == [3, 4]
    assert [entry.number for entry in trace.since(0)] == [2, 3, 4]
    assert [entry.number for entry in trace.since(4)] == [4]
    assert trace.since(5) == []
    for number in (0, 1, 5, -4):
        with pytest.raises(IndexError, match="there are: 2 to 4"):
            trace[number]
    with pytest.raises(IndexError, match="none yet"):
        FrameTrace()[0]


def test_a_trace_is_bounded_by_its_octets() -> None:
    trace = told(FrameTrace(max_bytes=1000), *(raw("SEND", body=b"." * 300) for _ in range(9)))
    assert len(trace) == 3
    assert trace.dropped == 6


def test_a_trace_that_is_cleared_goes_on_with_its_numbers() -> None:
    trace = told(FrameTrace(), raw("SEND"), raw("SEND"))
    trace.clear()
    assert (len(trace), trace.dropped) == (0, 2)
    assert told(trace, raw("SEND"))[-1].number == 2


def test_heart_beats_and_what_is_no_frame_are_told_apart() -> None:
    trace = told(FrameTrace(), b"\n", b"\r\n", b"SEND\nno", raw("SEND"))
    assert [entry.command for entry in trace] == ["heart-beat", "heart-beat", "no frame", "SEND"]


def test_passcodes_are_in_no_trace(broker: Broker) -> None:
    error = raw("ERROR", f"message:no {PASSCODE}", body=b"you said\npasscode: other\n" + b"geheim")

    def refuses(link) -> None:  # type: ignore[no-untyped-def]
        link.expect("CONNECT")
        link.send(error)

    with Peer(refuses) as peer:
        session = StompSession(peer.address, login="me", passcode=PASSCODE)
        with pytest.raises(stompy.STOMPError):
            session.connect()
    octets = b"".join(entry.octets for entry in session.trace)
    assert PASSCODE.encode() not in octets
    assert b"other" not in octets
    assert octets.count(b"***") == 4
    assert PASSCODE not in f"{session.trace!r}{session.trace._repr_html_()}{session.trace.df}"


@pytest.mark.parametrize("secret", ["guest", "message", "ERROR", "3", "content-length"])
def test_an_error_is_still_a_frame_without_the_secret(secret: str) -> None:
    body = f"Access refused for user {secret}".encode()
    octets = raw("ERROR", "message:Bad CONNECT", f"content-length:{len(body)}", body=body)
    [entry] = told(FrameTrace([secret]), octets, sent=False)
    assert entry.command == "ERROR"
    assert entry.frame is not None
    assert entry.frame.text == "Access refused for user ***"
    assert entry.get("message") == "Bad CONNECT"


@pytest.mark.parametrize("command", ["\n\nCONNECT", "connect", "STOMP", "CONNECT "])
def test_a_connect_sent_as_octets_has_no_passcode_in_the_trace(command: str) -> None:
    octets = f"{command}\nlogin:me\n passcode : {PASSCODE}\n\n\0".encode()
    [entry] = told(FrameTrace(), octets)
    assert PASSCODE.encode() not in entry.octets
    assert entry.connection == 1


def test_a_trace_shows_its_newest_frames_and_nothing_acts() -> None:
    trace = told(FrameTrace(), raw("SEND", "n:<script>", body=b"\x1b[31m"), sent=False)
    assert repr(trace) == "0  22:13:20.500  ← in  SEND  n: <script>  \\x1b[31m"
    assert "&lt;script&gt;" in trace._repr_html_()
    assert "<script>" not in trace._repr_html_()
    assert repr(FrameTrace()) == "<FrameTrace, nothing has passed yet>"


def test_a_trace_says_that_there_was_no_room_for_a_frame() -> None:
    trace = FrameTrace(max_bytes=100)
    tape = trace.beside(None)
    assert isinstance(tape, stompy.Tape)
    tape.passed(True, raw("SEND", body=b"." * 1000), "1.2")
    tape.passed(True, raw("SEND"), "1.2")
    assert len(trace) == 1
    assert "1,007 octets have gone unseen" in trace._repr_html_()


def test_the_traces_of_a_process_are_known_by_their_names(broker: Broker) -> None:
    with StompSession(broker.address, name="prices") as session:
        assert session.trace in all_traces()
        assert session.trace.name == "prices"


def test_that_something_has_passed_is_seen_without_reading_it(broker: Broker) -> None:
    for arguments in {}, {"trace": lambda _: None}:
        with StompSession(broker.address, **arguments) as session:
            before = session.trace.passed
            session.send("/queue/A", "x", receipt=True).wait()
            assert session.trace.passed >= before + 2
