"""A client that sends heart-beats, and listens for those of its broker."""

import ctypes
import gc
import sys
import threading
import time
import weakref
from typing import Any

import pytest

import stompy
from stompy import STOMPClient, STOMPClosed, STOMPTimeout, heartbeat
from stompy.broker import Broker
from tests.unit.peer import (
    TIMEOUT,
    Link,
    Peer,
    Script,
    commands,
    conversation,
    message,
    nothing,
    sends,
    session,
)
from tests.unit.test_reconnect import accepts
from tests.unit.waiting import until

INTERVAL = 60
"""Milliseconds between the beats of these tests."""


def beat_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "stompy-heart-beat"]


def beating(
    script: Script = nothing, *, ours: int = INTERVAL, theirs: int = 0, **arguments: Any
) -> Any:
    """A session in which we send a beat each `ours` ms, and the peer promises one each `theirs`."""
    return session(
        script,
        lines=[f"heart-beat:{theirs},{ours}"],
        heart_beat=(min(ours, 1), min(theirs, 1)),
        **arguments,
    )


def takes_beats(count: int = 3) -> Script:
    """A script that takes some beats, and checks that they do not come in a hurry."""

    def script(link: Link) -> None:
        begin = time.monotonic()
        for _ in range(count):
            link.beat()
        assert time.monotonic() - begin > (count - 1) * heartbeat.SEND_FACTOR * INTERVAL / 1000

    return script


@pytest.mark.parametrize(
    ("offered", "lines", "agreed"),
    [
        ((1000, 2000), ["heart-beat:3000,4000"], (4000, 3000)),
        ((1000, 2000), ["heart-beat:0,4000"], (4000, 0)),
        ((0, 0), ["heart-beat:3000,4000"], (0, 0)),
        ((1000, 2000), ["heart-beat:0,0"], (0, 0)),
        ((1000, 2000), ["heart-beat:nonsense"], (0, 0)),
        ((1000, 2000), [], (0, 0)),
    ],
)
def test_a_client_knows_which_beats_were_agreed(
    offered: tuple[int, int], lines: list[str], agreed: tuple[int, int]
) -> None:
    with session(lines=lines, heart_beat=offered) as (client, _):
        assert client.heart_beat == agreed
        assert len(beat_threads()) == (agreed != (0, 0))


def test_a_client_that_was_never_connected_has_no_beats() -> None:
    assert STOMPClient().heart_beat == (0, 0)


def test_beats_go_out_while_the_client_waits_for_a_frame() -> None:
    def script(link: Link) -> None:
        takes_beats()(link)
        link.send(message(b"at last"))

    with beating(script) as (client, _):
        assert client.recv(TIMEOUT).Body == b"at last"


def test_beats_go_out_while_a_callback_works() -> None:
    def script(link: Link) -> None:
        link.send(message(b"work"))
        takes_beats()(link)
        beaten.set()

    beaten = threading.Event()
    with beating(script) as (client, _):
        assert client.loop(lambda *_: beaten.wait(TIMEOUT))


def test_beats_go_out_while_the_program_does_something_else() -> None:
    def script(link: Link) -> None:
        takes_beats()(link)
        beaten.set()

    beaten = threading.Event()
    with beating(script) as (client, peer):
        assert beaten.wait(TIMEOUT)
        client.message("/queue/Q", "afterwards")
    assert commands(peer.frames) == ["CONNECT", "SEND", "DISCONNECT"]


def test_no_beats_go_out_when_none_were_agreed() -> None:
    links: list[Link] = []
    with (
        session(links.append, heart_beat=(0, 0), lines=["heart-beat:10,10"]) as (client, _),
        pytest.raises(STOMPTimeout),
    ):
        client.recv(0.2)
    assert links[0].beats == 0


def test_a_silent_peer_is_given_up_and_the_reason_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "DEAD_GRACE", 0.1)
    with beating(Link.stay_silent, theirs=50) as (client, _):
        begin = time.monotonic()
        assert client.recv(TIMEOUT) is None
        assert 0.1 < time.monotonic() - begin < TIMEOUT / 2
        assert not client.Connected
        assert "no sign of life for 0.2 s" in str(client.close_reason)
        with pytest.raises(STOMPClosed, match="no sign of life"):
            client.message("/queue/Q")


def test_a_peer_whose_beats_come_late_but_in_time_is_kept() -> None:
    limit = 2 * INTERVAL / 1000 + heartbeat.DEAD_GRACE
    quiet = threading.Event()

    def script(link: Link) -> None:
        for _ in range(4):
            quiet.wait(limit / 3)  # many intervals, but within the grace
            link.send(b"\n")
        link.send(message(b"still here"))

    with beating(script, theirs=INTERVAL) as (client, _):
        begin = time.monotonic()
        assert client.recv(TIMEOUT).Body == b"still here"
        assert time.monotonic() - begin > limit


def test_a_peer_whose_frames_nobody_reads_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def script(link: Link) -> None:
        link.expect("SEND")
        link.send(message(b"unread"))

    monkeypatch.setattr(heartbeat, "DEAD_GRACE", 0.4)
    judged: list[bool] = []
    is_dead = heartbeat.HeartBeat.is_dead

    def observed(self: heartbeat.HeartBeat, now: float) -> bool:
        judged.append(is_dead(self, now))
        return judged[-1]

    monkeypatch.setattr(heartbeat.HeartBeat, "is_dead", observed)
    with beating(script, theirs=20) as (client, _):
        client.message("/queue/Q")
        until(lambda: judged.count(True) > 1)
        assert client.recv(TIMEOUT).Body == b"unread"


def test_beats_of_the_peer_do_not_wake_the_program() -> None:
    with beating(sends(*[b"\n"] * 5, message(b"1"), b"\n"), theirs=INTERVAL) as (client, _):
        assert client.recv(TIMEOUT).Body == b"1"
        with pytest.raises(STOMPTimeout):
            client.recv(0.05)


@pytest.mark.parametrize("end", ["disconnect", "the peer closes"])
def test_when_the_connection_ends_the_thread_of_its_beats_ends(end: str) -> None:
    script = sends(then=Link.half_close) if end == "the peer closes" else Link.serve
    with beating(script, theirs=10_000) as (client, _):
        if end == "disconnect":
            assert beat_threads()
            client.disconnect()
        else:
            assert client.recv(TIMEOUT) is None
        until(lambda: not beat_threads())


def test_the_beats_do_not_keep_a_forgotten_client() -> None:
    def script(link: Link) -> None:
        link.beat()
        beaten.set()
        link.stay_silent()

    beaten = threading.Event()
    beats = f"heart-beat:{INTERVAL},{INTERVAL}"
    with Peer(conversation(script, "1.2", beats)) as peer, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", lambda _: None)  # "unclosed socket" is right
        client = stompy.connect(peer.address, heart_beat=(1, 1))
        assert beaten.wait(TIMEOUT)
        forgotten = weakref.ref(client)
        del client
        gc.collect()
        assert forgotten() is None
        peer.wait()
        until(lambda: not beat_threads())


def test_who_only_sends_hears_that_the_peer_has_fallen_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(heartbeat, "DEAD_GRACE", 0.2)

    def beats_for_a_while(link: Link) -> None:
        for _ in range(3):
            link.send(b"\n")
        link.stay_silent()

    with Peer(accepts(beats_for_a_while, "heart-beat:50,50")) as peer:
        client = stompy.connect(peer.address, heart_beat=(50, 50))
        try:
            until(lambda: not client.Connected, 3)
        finally:
            client.disconnect(0.1)
    assert "no sign of life" in str(client.close_reason)


@pytest.mark.skipif(sys.platform == "win32", reason="usleep is POSIX")
def test_a_cell_that_holds_the_whole_interpreter_up_costs_no_connection() -> None:
    """Client and broker of one process: neither can tell that the other was silent."""
    with Broker() as broker, stompy.connect(broker.address, heart_beat=(100, 100)) as client:
        assert client.heart_beat == (100, 100)
        ctypes.PyDLL(None).usleep(2_500_000)  # holds the GIL; 1.2 s are an end otherwise
        before = broker.stats()["octets_received"]
        until(lambda: broker.stats()["octets_received"] > before + 3)  # beats go on
        client.subscribe("/topic/T")
        client.message("/topic/T", "still here")
        assert client.recv(timeout=TIMEOUT).text == "still here"


# -- silence ---------------------------------------------------------------------------------


def test_silence_is_counted_from_what_went_out_and_from_what_was_read(broker):
    with stompy.connect(broker.address, heart_beat=(0, 0)) as client:
        time.sleep(0.05)
        ours, theirs = client.silence
        assert 0.05 <= ours < 2
        assert 0.05 <= theirs < 2
        client.send("SEND", destination="/topic/t", receipt=True)
        assert client.silence[0] < ours
        assert client.silence[1] >= theirs
        client.recv(TIMEOUT)
        assert client.silence[1] < theirs


def test_beats_end_the_silence_though_no_frame_comes():
    with beating(takes_beats(1)) as (client, _):
        until(lambda: client.silence[0] > INTERVAL / 2000)
        until(lambda: client.silence[0] < INTERVAL / 4000)


def test_who_reads_nothing_but_beats_has_heard_them():
    long_enough = threading.Event()

    def script(link: Link) -> None:
        assert long_enough.wait(TIMEOUT)
        link.send(b"\n")

    with beating(script, ours=0, theirs=INTERVAL) as (client, _):
        until(lambda: client.silence[1] > 0.1)
        long_enough.set()
        until(lambda: client._connection._unread())
        with pytest.raises(STOMPTimeout):
            client.recv(0)
        assert client.silence[1] < 0.1


def test_without_a_connection_there_is_no_silence(broker):
    client = STOMPClient()
    assert client.silence is None
    with stompy.connect(broker.address) as client:
        assert client.silence is not None
    assert client.silence is None
