"""Watching a connection: which frames are told of, when, and what is kept back."""

import logging
import time

import pytest

import stompy
from stompy import ReconnectPolicy, Tape, TracedFrame
from stompy.trace import MAX_PORTIONS, Trace, TracedDecoder
from stompy.wire import FrameDecoder
from tests.unit.ends import WAYS
from tests.unit.peer import TIMEOUT, Link, Peer, conversation, message, raw, sends, session

PASSCODE = "s3cret: \\n\rwith all that is odd"

BEAT = b"\n"
FRAME = raw("MESSAGE", "destination:/queue/a\\cb", "n:1", body=b"one")
RECEIPT = raw("RECEIPT", "receipt-id:7")


def told(*portions: bytes, version: str | None = "1.2") -> list[bytes]:
    """What is told of octets that come in these portions."""
    heard: list[TracedFrame] = []
    decoder = TracedDecoder(Trace(heard.append))
    decoder.version = version
    for portion in portions:
        decoder.feed(portion)
        list(decoder.frames())
    return [traced.octets for traced in heard]


@pytest.mark.parametrize("way", WAYS)
def test_a_trace_has_every_frame_both_ways_in_order(way: str) -> None:
    heard: list[TracedFrame] = []

    def script(link: Link) -> None:
        link.expect("SUBSCRIBE")
        link.send(message(b"hello", "subscription:1"))

    before = time.time()
    with session(script, by=way, trace=heard.append) as (client, _):
        client.subscribe("/queue/Q", id="1")
        assert client.recv(TIMEOUT).Body == b"hello"
    frames = [(traced.sent, traced.frame.Command) for traced in heard if traced.frame]
    assert frames == [
        (True, "CONNECT"),
        (False, "CONNECTED"),
        (True, "SUBSCRIBE"),
        (False, "MESSAGE"),
        (True, "DISCONNECT"),
        (False, "RECEIPT"),
    ]
    times = [before, *(traced.time for traced in heard), time.time()]
    assert times == sorted(times)
    assert heard[3].octets == message(b"hello", "subscription:1")
    assert [traced.version for traced in heard[:3]] == [None, "1.2", "1.2"]


def test_a_trace_has_heart_beats() -> None:
    heard: list[TracedFrame] = []

    def script(link: Link) -> None:
        link.beat()
        link.send(b"\n", message(b"over", "subscription:1"))

    beats = ("heart-beat:50,50",)
    with session(script, lines=beats, heart_beat=(50, 50), trace=heard.append) as (client, _):
        assert client.recv(TIMEOUT)
    assert {traced.sent for traced in heard if traced.octets == b"\n"} == {True, False}
    assert all(traced.frame is None for traced in heard if traced.octets == b"\n")


@pytest.mark.parametrize("command", ["CONNECT", "STOMP"])
def test_a_trace_never_has_the_passcode(command: str) -> None:
    heard: list[TracedFrame] = []
    frame = raw(command, "login:me", f"passcode:{PASSCODE}", "host:/")
    Trace(heard.append).passed(True, frame, None)
    assert heard[0].octets == raw(command, "login:me", "passcode:***", "host:/")
    assert "s3cret" not in f"{heard} {heard[0]} {heard[0].frame}"


def test_the_passcode_of_a_connection_is_not_in_its_trace() -> None:
    heard: list[TracedFrame] = []
    with session(trace=heard.append, login="me", passcode=PASSCODE) as (_, peer):
        pass
    assert peer.frames[0].headers["passcode"] == PASSCODE
    assert "s3cret" not in repr(heard)


@pytest.mark.parametrize(
    ("portions", "expected"),
    [
        ([FRAME + RECEIPT], [FRAME, RECEIPT]),
        ([FRAME + BEAT + RECEIPT], [FRAME + BEAT, RECEIPT]),
        ([BEAT + FRAME], [BEAT, FRAME]),
        ([BEAT, BEAT + BEAT], [BEAT, BEAT + BEAT]),
        ([b"\r\n", FRAME], [b"\r\n", FRAME]),
        ([FRAME[:9], FRAME[9:]], [FRAME]),
        ([BEAT + FRAME[:9], FRAME[9:] + BEAT, BEAT], [BEAT, FRAME + BEAT, BEAT]),
    ],
)
def test_line_ends_behind_a_frame_are_its_own_and_others_are_heart_beats(
    portions: list[bytes], expected: list[bytes]
) -> None:
    assert told(*portions) == expected


def test_a_trace_goes_on_when_frames_are_alike() -> None:
    assert told(FRAME * 100, FRAME * 100 + FRAME[:5], FRAME[5:]) == [FRAME] * 201


def test_who_is_traced_receives_the_same_frames() -> None:
    octets = (FRAME + BEAT + RECEIPT) * 30
    plain, traced = FrameDecoder("1.2"), TracedDecoder(Trace(lambda _: None))
    traced.version = "1.2"
    received: list[list[stompy.STOMPFrame]] = []
    for decoder in (plain, traced):
        frames: list[stompy.STOMPFrame] = []
        for place in range(0, len(octets), 7):
            decoder.feed(octets[place : place + 7])
            frames += decoder.frames()
        received.append(frames)
    assert received[0] == received[1]
    assert len(received[0]) == 60


def test_frames_and_line_ends_behind_connected_are_told_of_once() -> None:
    heard: list[TracedFrame] = []
    connected = raw("CONNECTED", "version:1.2") + BEAT

    def script(link: Link) -> None:
        link.expect("CONNECT")
        link.send(connected + FRAME)
        link.serve()

    with (
        Peer(script) as peer,
        stompy.connect(peer.address, trace=heard.append) as client,
    ):
        assert client.recv(TIMEOUT).Body == b"one"
    assert [traced.octets for traced in heard if not traced.sent][:2] == [connected, FRAME]


def test_a_callback_that_fails_ends_neither_the_connection_nor_the_frame(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_: TracedFrame) -> None:
        raise RuntimeError("an observer's own trouble")

    with (
        caplog.at_level(logging.ERROR, "stompy"),
        session(lambda link: link.send(FRAME), trace=fail) as (client, _),
    ):
        assert client.recv(TIMEOUT).Body == b"one"
        assert client.Connected
    assert "trouble" in caplog.text


def test_a_trace_goes_on_over_a_reconnect() -> None:
    heard: list[TracedFrame] = []

    def breaks_off(link: Link) -> None:
        link.accept()

    with (
        Peer(breaks_off, conversation(sends(FRAME))) as peer,
        stompy.connect(
            peer.address, reconnect=ReconnectPolicy(first=0.0), trace=heard.append
        ) as client,
    ):
        assert client.recv(TIMEOUT).Body == b"one"
    assert [t.frame.Command for t in heard if t.frame].count("CONNECTED") == 2


def test_a_traced_frame_is_readable() -> None:
    traced = TracedFrame(0.0, False, raw("ERROR", "message:\x1b[31mno", body=b"why\nnot"), "1.2")
    assert str(traced).splitlines() == [
        "<<< ERROR",
        "<<< message:\\x1b[31mno",
        "<<<",
        "<<< why",
        "<<< not^@",
    ]
    assert traced.frame["message"] == "\x1b[31mno"
    assert str(TracedFrame(0.0, True, b"\n", "1.2")) == ">>>"


# -- the tape ------------------------------------------------------------------------------------


def taped(*portions: bytes, max_bytes: int = 1000) -> tuple[Tape, list[bytes]]:
    """A tape of octets that came in these portions, and what was received meanwhile."""
    tape = Tape(max_bytes)
    decoder = tape.decoder()
    decoder.version = "1.2"
    received = []
    for portion in portions:
        decoder.feed(portion)
        received += [frame.Body for frame in decoder.frames()]
    return tape, received


@pytest.mark.parametrize("way", WAYS)
def test_a_tape_has_every_frame_both_ways_in_order(way: str) -> None:
    tape = Tape()

    def script(link: Link) -> None:
        link.expect("SUBSCRIBE")
        link.send(message(b"hello", "subscription:1"))

    before = time.time()
    with session(script, by=way, trace=tape) as (client, _):
        client.subscribe("/queue/Q", id="1")
        assert client.recv(TIMEOUT).Body == b"hello"
        early = tape.take()
    late = tape.take()
    commands = [[traced.frame.Command for traced in part if traced.frame] for part in (early, late)]
    assert commands == [
        ["CONNECT", "CONNECTED", "SUBSCRIBE", "MESSAGE"],
        ["DISCONNECT", "RECEIPT"],
    ]
    times = [before, *(traced.time for traced in early + late), time.time()]
    assert times == sorted(times)
    assert [traced.version for traced in early] == [None, "1.2", "1.2", "1.2"]
    assert early[3].octets == message(b"hello", "subscription:1")


def test_a_tape_never_has_the_passcode() -> None:
    tape = Tape()
    with session(trace=tape, login="me", passcode=PASSCODE) as (_, peer):
        pass
    assert peer.frames[0].headers["passcode"] == PASSCODE
    assert "s3cret" not in repr(tape._portions)
    assert b"passcode:***\n" in tape.take()[0].octets


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[place : place + size] for place in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_a_tape_gives_the_frames_that_were_received_however_they_came(size: int) -> None:
    octets = (FRAME + BEAT + RECEIPT) * 4
    tape, received = taped(*cut(octets, size))
    frames = [traced for traced in tape.take() if traced.frame]
    assert [traced.frame.Body for traced in frames if traced.frame] == received
    assert tape.take() == []
    assert tape.lost == 0


@pytest.mark.parametrize("size", [1, 7, 64, 150, 1000])
def test_a_tape_that_is_full_begins_with_a_whole_frame(size: int) -> None:
    octets = b"".join(raw("MESSAGE", f"n:{n}", body=b"." * n) for n in range(50))
    tape, _ = taped(*cut(octets, size), max_bytes=500)
    frames = [traced.frame for traced in tape.take()]
    numbers = [int(frame["n"]) for frame in frames if frame]
    assert len(numbers) == len(frames)  # nothing in between that is none
    assert numbers == list(range(50 - len(numbers), 50))
    assert numbers or size >= 500
    assert tape.lost == len(octets) - sum(
        len(raw("MESSAGE", f"n:{n}", body=b"." * n)) for n in numbers
    )


def test_a_tape_goes_on_when_it_was_full() -> None:
    tape = Tape(200)
    decoder = tape.decoder()
    for octets in (FRAME * 10, FRAME[:9], FRAME[9:], FRAME):
        decoder.feed(octets)
        list(decoder.frames())
    tape.take()
    decoder.feed(FRAME + FRAME[:5])
    list(decoder.frames())
    assert [traced.octets for traced in tape.take()] == [FRAME]


def test_a_frame_that_is_larger_than_a_tape_leaves_nothing() -> None:
    tape, received = taped(*cut(raw("MESSAGE", body=b"." * 900), 100), max_bytes=500)
    assert len(received) == 1
    assert tape.take() == []
    assert tape.lost > 900


def test_what_comes_of_a_frame_larger_than_a_tape_is_never_taken_for_frames() -> None:
    large = raw("MESSAGE", "content-length:900", body=FRAME * 10 + b"." * (900 - 10 * len(FRAME)))
    tape = Tape(300)
    decoder = tape.decoder()
    decoder.version = "1.2"
    given = []
    portions = [FRAME, *cut(large, 50), FRAME]
    for number, octets in enumerate(portions):
        decoder.feed(octets)
        list(decoder.frames())
        if number % 8 == 0:  # more than the tape holds has come by then
            given += tape.take()
    given += tape.take()
    assert [traced.octets for traced in given] == [FRAME, FRAME]
    assert tape.lost == len(large)


def test_a_tape_is_bounded_also_where_octets_come_one_by_one() -> None:
    tape = Tape()
    decoder = tape.decoder()
    for _ in range(MAX_PORTIONS + 10):
        decoder.feed(BEAT)
        list(decoder.frames())
    assert len(tape.take()) == MAX_PORTIONS
    assert tape.lost == 10


def test_what_a_tape_loses_is_counted_with_the_frame_it_was_in() -> None:
    tape = Tape(300)
    decoder = tape.decoder()
    decoder.version = "1.2"
    decoder.feed(FRAME + FRAME[:20])
    list(decoder.frames())
    assert [traced.octets for traced in tape.take()] == [FRAME]
    for octets in (FRAME[20:] + FRAME * 5, FRAME):
        decoder.feed(octets)
        list(decoder.frames())
    assert sum(len(traced.octets) for traced in tape.take()) + tape.lost == 7 * len(FRAME)


def test_a_frame_that_broke_off_is_seen_at_the_next_connection() -> None:
    tape, _ = taped(FRAME, FRAME[:20])
    assert [traced.octets for traced in tape.take()] == [FRAME]
    tape.passed(True, raw("CONNECT", "host:/"), None)
    broken, greeting = tape.take()
    assert (broken.octets, broken.frame, broken.sent) == (FRAME[:20], None, False)
    assert greeting.frame is not None
    decoder = tape.decoder()
    decoder.feed(raw("CONNECTED", "version:1.2"))
    assert [traced.frame.Command for traced in tape.take() if traced.frame] == ["CONNECTED"]


def test_what_is_no_stomp_is_on_the_tape_as_it_is() -> None:
    tape = Tape()
    decoder = tape.decoder()
    decoder.version = "1.2"
    decoder.feed(FRAME + b"no\nSTOMP\n\n\0 at all")
    with pytest.raises(stompy.STOMPProtocolError):
        list(decoder.frames())
    good, bad = tape.take()
    assert (good.octets, bad.octets) == (FRAME, b"no\nSTOMP\n\n\0 at all")
    assert bad.frame is None
    assert not bad.beat


def test_sessions_with_large_limits_are_traced_too() -> None:
    tape = Tape()
    headers = [f"h{n}:x" for n in range(1500)]
    frame = raw("MESSAGE", *headers, body=b"one")
    with session(lambda link: link.send(frame), trace=tape, max_headers=2000) as (client, _):
        assert client.recv(TIMEOUT).Body == b"one"
    assert frame in [traced.octets for traced in tape.take()]
