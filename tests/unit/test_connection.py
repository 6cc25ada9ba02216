"""A connection in use: frames out, frames in, among several threads."""

import contextlib
import gc
import selectors
import socket
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from stompy import STOMPFrame, connection
from stompy.connection import Connection
from stompy.errors import STOMPClosed, STOMPProtocolError, STOMPTimeout
from stompy.heartbeat import HeartBeat
from stompy.transport import SocketTransport
from stompy.wire import FrameDecoder
from tests.unit.peer import TIMEOUT, Background, in_threads, message, raw, waiting
from tests.unit.waiting import until

LARGE = b"x" * 4_000_000
"""More than a socket's buffers hold."""
FRAME = b"SEND\n\n\0"

Ends = tuple[Connection, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """A connection, and the socket at its other end."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(TIMEOUT)
    link = Connection(SocketTransport(ours), FrameDecoder("1.2"))
    with theirs:
        yield link, theirs
        link.close(None)
    assert ours.fileno() == -1, "the descriptor was not given back"


class ScriptedTransport:
    """A transport whose reads are `answers`: octets, or exceptions to raise; then it ends."""

    def __init__(self, *answers: bytes | BaseException) -> None:
        self.answers = deque(answers)
        self.closed = False

    def recv(self, deadline: float | None) -> bytes:
        return self._next()

    def read(self, into: list[bytes], deadline: float | None) -> None:
        into.append(self.recv(deadline))

    def send(self, data: bytes, deadline: float | None) -> None:
        self._next()

    def _next(self) -> bytes:
        answer = self.answers.popleft() if self.answers else b""
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def readable(self) -> bool:
        return bool(self.answers)

    def shutdown(self) -> None:
        self.answers.clear()

    def close(self) -> None:
        self.closed = True


def scripted(*answers: bytes | BaseException) -> tuple[Connection, ScriptedTransport]:
    transport = ScriptedTransport(*answers)
    return Connection(transport, FrameDecoder("1.2")), transport  # type: ignore[arg-type]


@contextlib.contextmanager
def readers(link: Connection, count: int = 1) -> Iterator[list[Background]]:
    """Threads that take a frame each: the first waits at the socket, the others for their turn."""
    in_line = threading.Semaphore(0)
    wait = link._turn.wait

    def observed(timeout: float | None = None) -> bool:
        in_line.release()  # its lock is held until it waits: who takes the lock comes after that
        return wait(timeout)

    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        at_the_socket = waiting(patch)
        patch.setattr(link._turn, "wait", observed)
        threads = [Background(link.next_frame, None) for _ in range(count)]
        stack.enter_context(threads[0])
        assert at_the_socket.wait(TIMEOUT)
        for thread in threads[1:]:
            stack.enter_context(thread)
            assert in_line.acquire(timeout=TIMEOUT)
        yield threads


def soon() -> float:
    return time.monotonic() + TIMEOUT


def read_exactly(sock: socket.socket, size: int) -> bytes:
    with sock.makefile("rb") as file:
        return file.read(size)


# -- receiving -----------------------------------------------------------------------------------


def test_frames_come_in_their_order_then_none_then_none_again(ends: Ends) -> None:
    link, theirs = ends
    theirs.sendall(message(b"1") + message(b"2"))
    theirs.close()
    assert [link.next_frame(TIMEOUT).Body for _ in range(2)] == [b"1", b"2"]
    assert link.next_frame(TIMEOUT) is None
    assert link.next_frame(None) is None


def test_frames_that_came_with_connected_are_the_first() -> None:
    decoder = FrameDecoder("1.2")
    decoder.feed(message(b"1") + message(b"2")[:9])
    transport = ScriptedTransport(message(b"2")[9:])
    link = Connection(transport, decoder)  # type: ignore[arg-type]
    assert [link.next_frame(TIMEOUT).Body for _ in range(2)] == [b"1", b"2"]


@pytest.mark.parametrize("timeout", [0.0, 0.02])
@pytest.mark.parametrize("cut", [0, 5, 20, -3])
def test_a_timeout_loses_nothing(ends: Ends, timeout: float, cut: int) -> None:
    link, theirs = ends
    octets = message(b"hello")
    theirs.sendall(octets[:cut])
    for _ in range(2):
        with pytest.raises(STOMPTimeout):
            link.next_frame(timeout)
    theirs.sendall(octets[cut:])
    assert link.next_frame(TIMEOUT).Body == b"hello"


def test_a_timeout_of_zero_takes_what_has_arrived(ends: Ends) -> None:
    link, theirs = ends
    theirs.sendall(message(b"hello"))
    assert link.next_frame(0).Body == b"hello"


def test_a_timeout_of_zero_sees_the_end(ends: Ends) -> None:
    link, theirs = ends
    theirs.close()
    assert link.next_frame(0) is None


def test_heartbeats_do_not_put_off_a_timeout() -> None:
    link, _ = scripted(*[b"\n"] * 50_000)
    with pytest.raises(STOMPTimeout):
        link.next_frame(0.01)


def test_a_second_reader_times_out_while_the_first_waits(ends: Ends) -> None:
    link, theirs = ends
    with readers(link) as (first,):
        with pytest.raises(STOMPTimeout):
            link.next_frame(0.02)
        theirs.sendall(message(b"hello"))
        assert first.result().Body == b"hello"


def test_two_readers_get_two_frames_that_come_at_once(ends: Ends) -> None:
    link, theirs = ends
    with readers(link, 2) as (first, second):
        theirs.sendall(message(b"1") + message(b"2"))
        assert {first.result().Body, second.result().Body} == {b"1", b"2"}


# -- the end -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last_octets", "reason"),
    [
        (b"", "the broker closed the connection"),
        (message(b"whole") + b"\n", "the broker closed the connection"),
        (b"MESS", "the broker closed the connection inside a frame"),
        (message(b"whole")[:-1], "the broker closed the connection inside a frame"),
    ],
)
def test_the_close_reason_says_whether_a_frame_was_cut_off(
    ends: Ends, last_octets: bytes, reason: str
) -> None:
    link, theirs = ends
    theirs.sendall(last_octets)
    theirs.close()
    while link.next_frame(TIMEOUT) is not None:
        pass
    assert not link.open
    assert isinstance(link.close_reason, STOMPClosed)
    assert str(link.close_reason) == reason


def test_a_broken_connection_is_an_end_with_a_reason() -> None:
    link, transport = scripted(message(b"1"), ConnectionResetError(104, "reset by peer"))
    assert link.next_frame(TIMEOUT).Body == b"1"
    assert link.next_frame(TIMEOUT) is None
    assert str(link.close_reason) == "the connection broke: reset by peer"
    assert transport.closed


def test_octets_that_are_no_stomp_are_an_error_after_the_good_frames_and_again(ends: Ends) -> None:
    link, theirs = ends
    theirs.sendall(message(b"good") + raw("MESSAGE", "nocolon") + message(b"never"))
    assert link.next_frame(TIMEOUT).Body == b"good"
    for _ in range(2):
        with pytest.raises(STOMPProtocolError, match="without a colon"):
            link.next_frame(TIMEOUT)
    assert not link.open


def test_frames_that_were_read_before_the_end_are_still_there_after_it(ends: Ends) -> None:
    link, theirs = ends
    theirs.sendall(message(b"1") + message(b"2"))
    assert link.next_frame(TIMEOUT).Body == b"1"
    link.close(None)
    assert link.next_frame(TIMEOUT).Body == b"2"
    assert link.next_frame(TIMEOUT) is None


def test_closing_has_no_reason_unless_one_is_given(ends: Ends) -> None:
    link, _ = ends
    assert (link.open, link.usable, link.close_reason) == (True, True, None)
    link.close(None)
    assert (link.open, link.usable, link.close_reason) == (False, False, None)


def test_the_first_reason_to_close_stays(ends: Ends) -> None:
    link, _ = ends
    reason = STOMPClosed("first")
    link.close(reason)
    link.close(STOMPClosed("second"))
    assert link.close_reason is reason


def test_closing_wakes_all_readers(ends: Ends) -> None:
    link, _ = ends
    with readers(link, 2) as (first, second):
        link.close(None)
        assert (first.result(), second.result()) == (None, None)


def test_closing_wakes_a_writer(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    link, _ = ends
    writer_waits = waiting(monkeypatch, selectors.EVENT_WRITE)
    with Background(pytest.raises, STOMPClosed, link.send, LARGE):
        assert writer_waits.wait(TIMEOUT)
        link.close(None)


def test_the_descriptor_is_given_back_only_when_the_writer_is_out() -> None:
    class Writing(ScriptedTransport):
        inside, ended, given_back = (threading.Event() for _ in range(3))

        def send(self, data: bytes, deadline: float | None) -> None:
            self.inside.set()
            assert self.ended.wait(TIMEOUT)
            assert not self.given_back.wait(0.05)
            raise BrokenPipeError(32, "Broken pipe")

        def shutdown(self) -> None:
            self.ended.set()

        def close(self) -> None:
            self.given_back.set()

    transport = Writing()
    link = Connection(transport, FrameDecoder("1.2"))  # type: ignore[arg-type]
    with Background(pytest.raises, STOMPClosed, link.send, FRAME):
        assert transport.inside.wait(TIMEOUT)
        link.close(None)
    assert transport.given_back.is_set()


# -- sending -------------------------------------------------------------------------------------


def test_what_is_sent_goes_out_as_it_is(ends: Ends) -> None:
    link, theirs = ends
    link.send(FRAME)
    assert theirs.recv(100) == FRAME


def test_sending_on_a_closed_connection_is_an_error_with_the_reason(ends: Ends) -> None:
    link, _ = ends
    link.close(STOMPClosed("the broker closed the connection"))
    with pytest.raises(STOMPClosed, match="closed: the broker closed the connection"):
        link.send(FRAME)


def test_sending_on_a_connection_closed_by_this_side_is_an_error(ends: Ends) -> None:
    link, _ = ends
    link.close(None)
    with pytest.raises(STOMPClosed, match="the connection is closed"):
        link.send(FRAME)


def test_a_peer_that_does_not_read_ends_the_connection(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, _ = ends
    monkeypatch.setattr(connection, "SEND_LIMIT", 0.05)
    with pytest.raises(STOMPTimeout, match="did not read a frame in time"):
        link.send(LARGE)
    assert not link.open
    assert isinstance(link.close_reason, STOMPTimeout)


def test_a_frame_that_waits_for_another_threads_frame_waits_no_longer_than_that(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, _ = ends
    monkeypatch.setattr(connection, "SEND_LIMIT", 0.1)
    writer_waits = waiting(monkeypatch, selectors.EVENT_WRITE)
    with Background(pytest.raises, STOMPTimeout, link.send, LARGE):
        assert writer_waits.wait(TIMEOUT)
        with pytest.raises(STOMPClosed, match="did not read"):
            link.send(FRAME)
    assert not link.open


def test_an_interrupted_frame_leaves_the_connection_usable_and_goes_out_first(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    link, theirs = ends
    with monkeypatch.context() as patch:
        patch.setattr(SocketTransport, "_wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            link.send(LARGE)
    assert link.usable
    with Background(read_exactly, theirs, len(LARGE) + len(FRAME)) as reading:
        link.send(FRAME)
        assert reading.result() == LARGE + FRAME


def test_a_reader_that_is_interrupted_leaves_the_turn_to_others() -> None:
    link, _ = scripted(KeyboardInterrupt(), message(b"hello"))
    with pytest.raises(KeyboardInterrupt):
        link.next_frame(None)
    assert link.next_frame(TIMEOUT).Body == b"hello"


def test_what_the_broker_said_before_it_broke_off_can_still_be_read() -> None:
    error = raw("ERROR", "message:too large")
    link, _ = scripted(BrokenPipeError(32, "Broken pipe"), message(b"1"), error)
    with pytest.raises(STOMPClosed, match="the broker says: too large") as caught:
        link.send(FRAME)
    assert caught.value.Frame is not None
    assert [link.next_frame(TIMEOUT).Command for _ in range(2)] == ["MESSAGE", "ERROR"]
    assert link.next_frame(TIMEOUT) is None


# -- leaving -------------------------------------------------------------------------------------


def test_leaving_waits_for_its_receipt_and_keeps_other_frames() -> None:
    link, transport = scripted(b"", message(b"1"), raw("RECEIPT", "receipt-id:bye"))
    link.leave(b"DISCONNECT\n\n\0", "bye", soon())
    assert transport.closed
    assert link.close_reason is None
    assert link.next_frame(TIMEOUT).Body == b"1"
    assert link.next_frame(TIMEOUT) is None


def test_a_receipt_that_nobody_in_here_awaits_is_for_the_user() -> None:
    link, _ = scripted(b"", raw("RECEIPT", "receipt-id:mine"), raw("RECEIPT", "receipt-id:bye"))
    link.leave(b"DISCONNECT\n\n\0", "bye", soon())
    assert link.next_frame(TIMEOUT)["receipt-id"] == "mine"
    assert link.next_frame(TIMEOUT) is None


@pytest.mark.parametrize(
    "answers",
    [
        (b"", b""),
        (b"", ConnectionResetError(104, "reset by peer")),
        (BrokenPipeError(32, "Broken pipe"),),
        (b"", STOMPTimeout("nothing came")),
        (b"", b"garbage\n\n"),
    ],
    ids=["end", "reset", "broken pipe", "silence", "no STOMP"],
)
def test_a_peer_that_does_not_hear_the_goodbye_is_gone_all_the_same(answers: Any) -> None:
    link, transport = scripted(*answers)
    link.leave(b"DISCONNECT\n\n\0", "bye", soon())
    assert not link.open
    assert transport.closed
    assert link.close_reason is None


def test_leaving_a_second_time_sends_nothing_also_while_the_first_waits(ends: Ends) -> None:
    link, theirs = ends
    with Background(link.leave, b"DISCONNECT\n\n\0", "bye", soon()):
        assert theirs.recv(100) == b"DISCONNECT\n\n\0"
        link.leave(b"DISCONNECT\n\n\0", "again", soon())
        theirs.sendall(raw("RECEIPT", "receipt-id:bye"))
    link.leave(b"DISCONNECT\n\n\0", "again", soon())
    assert theirs.recv(100) == b""


def test_nothing_is_sent_after_the_goodbye(ends: Ends) -> None:
    link, theirs = ends
    with Background(link.leave, b"DISCONNECT\n\n\0", "bye", soon()):
        assert theirs.recv(100) == b"DISCONNECT\n\n\0"
        assert not link.usable
        with pytest.raises(STOMPClosed):
            link.send(FRAME)
        theirs.sendall(raw("RECEIPT", "receipt-id:bye"))
    assert theirs.recv(100) == b""


@pytest.mark.parametrize("interrupted", [0, 1], ids=["sending", "waiting"])
def test_an_interrupted_goodbye_closes_all_the_same(interrupted: int) -> None:
    answers: list[Any] = [b"", b"\n"]
    answers[interrupted] = KeyboardInterrupt()
    link, transport = scripted(*answers)
    with pytest.raises(KeyboardInterrupt):
        link.leave(b"DISCONNECT\n\n\0", "bye", soon())
    assert not link.open
    assert transport.closed


def test_leaving_wakes_a_reader_of_a_silent_peer(ends: Ends) -> None:
    link, _ = ends
    with readers(link) as (reading,):
        link.leave(b"DISCONNECT\n\n\0", "bye", time.monotonic() + 0.05)
        assert reading.result() is None


def test_closing_from_several_threads_at_once_closes_once(ends: Ends) -> None:
    link, theirs = ends
    in_threads(4, lambda number: link.close(STOMPClosed(str(number))))
    assert link.close_reason is not None
    assert theirs.recv(1) == b""


# -- heart-beats ---------------------------------------------------------------------------------


def idle(link: Connection, seconds: float, send_ms: int = 0, receive_ms: int = 0) -> None:
    """Let the connection have agreed on these beats, and nothing have gone or come for a while.

    Its heart-beat thread is not running: a test calls `pulse` in its place.
    """
    link.beat = HeartBeat(send_ms, receive_ms, time.monotonic() - seconds)


def nothing_was_sent(theirs: socket.socket) -> bool:
    theirs.setblocking(False)
    try:
        return not theirs.recv(100)
    except BlockingIOError:
        return True


def beat_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "stompy-heart-beat"}


def test_a_beat_is_a_line_end_and_the_next_comes_an_interval_later(ends: Ends) -> None:
    link, theirs = ends
    idle(link, 0.9, send_ms=1000)
    assert link.pulse() == pytest.approx(0.8)
    assert theirs.recv(100) == b"\n"
    link.pulse()
    assert nothing_was_sent(theirs)


def test_a_beat_does_not_go_out_early(ends: Ends) -> None:
    link, theirs = ends
    idle(link, 5, send_ms=10_000)
    assert 2.5 < link.pulse() <= 3
    assert nothing_was_sent(theirs)


def test_a_frame_is_a_beat(ends: Ends) -> None:
    link, theirs = ends
    idle(link, 0.9, send_ms=1000)
    link.send(FRAME)
    link.pulse()
    assert theirs.recv(100) == FRAME
    assert nothing_was_sent(theirs)


def test_a_beat_does_not_go_out_inside_a_frame_and_does_not_wait_for_its_end(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, theirs = ends
    writer_waits = waiting(monkeypatch, selectors.EVENT_WRITE)
    with Background(link.send, LARGE):
        assert writer_waits.wait(TIMEOUT)
        idle(link, 0.9, send_ms=1000)
        link.pulse()
        assert read_exactly(theirs, len(LARGE)) == LARGE
    assert nothing_was_sent(theirs)


def test_a_beat_that_the_peer_does_not_take_waits_its_turn(ends: Ends) -> None:
    link, theirs = ends
    with pytest.raises(STOMPTimeout):
        link._transport.send(LARGE, time.monotonic())
    idle(link, 0.9, send_ms=1000)
    begin = time.monotonic()
    link.pulse()
    assert time.monotonic() - begin < 1
    assert link.usable
    with Background(read_exactly, theirs, len(LARGE) + 1 + len(FRAME)) as reading:
        link.send(FRAME)
        assert reading.result() == LARGE + b"\n" + FRAME


def test_a_beat_takes_along_what_an_interrupt_left(ends: Ends) -> None:
    link, theirs = ends
    link._transport.send(b"", soon())
    with pytest.raises(STOMPTimeout):
        link._transport.send(LARGE, time.monotonic())
    with Background(read_exactly, theirs, len(LARGE)) as reading:
        while reading.running:
            idle(link, 0.9, send_ms=1000)
            link.pulse()
        assert reading.result() == LARGE


def test_a_beat_on_a_broken_connection_ends_it_with_the_reason() -> None:
    link, transport = scripted(BrokenPipeError(32, "Broken pipe"))
    idle(link, 0.9, send_ms=1000)
    link.pulse()
    assert not link.open
    assert transport.closed
    assert str(link.close_reason) == "the connection broke: Broken pipe"


def test_no_beat_follows_the_goodbye(ends: Ends) -> None:
    link, theirs = ends
    with Background(link.leave, b"DISCONNECT\n\n\0", "bye", soon()):
        assert theirs.recv(100) == b"DISCONNECT\n\n\0"
        idle(link, 0.9, send_ms=1000)
        link.pulse()
        theirs.sendall(raw("RECEIPT", "receipt-id:bye"))
    assert theirs.recv(100) == b""


def test_a_silent_peer_is_given_up_and_its_reader_is_woken(ends: Ends) -> None:
    link, _ = ends
    with readers(link) as (reading,):
        idle(link, 3.1, receive_ms=1000)
        link.pulse()
        assert reading.result() is None
    assert str(link.close_reason) == "the broker gave no sign of life for 3 s"
    assert isinstance(link.close_reason, STOMPClosed)


def test_a_peer_that_is_late_within_the_grace_is_kept(ends: Ends) -> None:
    link, _ = ends
    idle(link, 2.5, receive_ms=1000)
    assert link.pulse() <= 0.5
    assert link.open


def test_beats_that_nobody_has_read_yet_are_a_sign_of_life(ends: Ends) -> None:
    link, theirs = ends
    theirs.sendall(message(b"unread"))
    for _ in range(3):
        theirs.sendall(b"\n")
        idle(link, 3.1, receive_ms=1000)
        assert link.pulse() > 2
    assert link.next_frame(TIMEOUT).Body == b"unread"


def test_silence_behind_beats_that_nobody_has_read_is_silence(ends: Ends) -> None:
    link, theirs = ends
    theirs.sendall(b"\n\n\n")
    idle(link, 3.1, receive_ms=1000)
    link.pulse()
    assert link.open
    idle(link, 3.1, receive_ms=1000)
    link.pulse()
    assert not link.open


@pytest.mark.parametrize("octets", [b"\n", b"\r\n", b"MESS", message(b"whole")])
def test_any_octets_that_are_read_are_a_sign_of_life(ends: Ends, octets: bytes) -> None:
    link, theirs = ends
    idle(link, 3.1, receive_ms=1000)
    theirs.sendall(octets)
    with contextlib.suppress(STOMPTimeout):
        link.next_frame(0)
    link.pulse()
    assert link.open


@pytest.mark.parametrize("beats", [(1000, 0), (0, 1000), (1000, 1000)])
def test_a_pulse_that_comes_after_the_end_does_nothing(ends: Ends, beats: tuple[int, int]) -> None:
    link, theirs = ends
    link.close(None)
    idle(link, 9, *beats)
    link.pulse()
    assert link.close_reason is None
    assert theirs.recv(100) == b""


def test_a_connection_that_ends_during_a_pulse_is_left_alone(ends: Ends) -> None:
    class Ending(HeartBeat):
        def is_dead(self, now: float) -> bool:
            link.close(None)  # as another thread may do
            return True

    link, _ = ends
    link.beat = Ending(0, 1000, time.monotonic())
    link.pulse()
    assert link.close_reason is None


def test_a_thread_sends_the_beats_until_the_connection_closes() -> None:
    before = beat_threads()
    ours, theirs = socket.socketpair()
    theirs.settimeout(TIMEOUT)
    beat = HeartBeat(50, 0, time.monotonic())
    with theirs:
        link = Connection(SocketTransport(ours), FrameDecoder("1.2"), beat)
        assert len(beat_threads() - before) == 1
        begin = time.monotonic()
        assert read_exactly(theirs, 4) == b"\n" * 4
        assert time.monotonic() - begin > 2 * 0.04
        link.close(None)
        until(lambda: beat_threads() <= before)


def test_without_beats_there_is_no_thread(ends: Ends) -> None:
    assert not beat_threads()


def test_the_thread_does_not_keep_a_forgotten_connection() -> None:
    ours, theirs = socket.socketpair()
    theirs.settimeout(TIMEOUT)
    with theirs, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", lambda _: None)  # "unclosed socket" is right
        beat = HeartBeat(50, 50, time.monotonic())
        link = Connection(SocketTransport(ours), FrameDecoder("1.2"), beat)
        forgotten = weakref.ref(link)
        del link, ours
        until(lambda: gc.collect() is not None and forgotten() is None)
        until(lambda: not beat_threads())
        assert theirs.recv(100).strip(b"\n") == b""


def test_waiting_for_a_receipt_does_not_mind_another_threads_taking_a_frame_meanwhile() -> None:
    class Taken(STOMPFrame):
        def __eq__(self, other: object) -> bool:
            link.inbox.popleft()  # as another thread may do
            return False

    link, _ = scripted(b"", raw("RECEIPT", "receipt-id:bye"))
    link.inbox.extend([Taken("MESSAGE") for _ in range(4)])
    link.leave(b"DISCONNECT\n\n\0", "bye", soon())  # IndexError
