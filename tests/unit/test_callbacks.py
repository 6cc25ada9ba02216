"""The user's callbacks: on a thread of their own, behind a bounded queue."""

import contextvars
import functools
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from stompy import STOMPError, STOMPFrame, STOMPTimeout
from stompy.broker import Broker
from stompy_jupyter import FrameStream, StompSession, reader
from stompy_jupyter.callbacks import Call, Callback, CallbackThread
from tests.unit.conftest import our_threads
from tests.unit.peer import TIMEOUT, Background
from tests.unit.sessions import Gate, settled, threads_of_sessions, waiting_in
from tests.unit.waiting import until

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def held_back(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Iterator[StompSession]:
    """A session in which one call may wait: a second one holds the reader back."""
    small = functools.partial(CallbackThread, max_frames=1)
    monkeypatch.setattr(reader, "CallbackThread", small)
    with StompSession(broker.address) as session:
        yield session


def frame_of(body: str | bytes = "a") -> STOMPFrame:
    return STOMPFrame("MESSAGE", {}, body)


# -- a callback ------------------------------------------------------------------------------


def test_a_callback_counts_its_calls_and_what_they_raised(capsys):
    def fail(frame: STOMPFrame) -> None:
        if frame.text == "bad":
            raise ValueError("bad")

    callback = Callback(fail)
    assert [callback(frame_of(body)) for body in ("good", "bad", "good")] == [True, False, True]
    assert (callback.calls, callback.errors) == (3, 1)
    assert isinstance(callback.last_error, ValueError)


def test_an_exception_is_shown_once_for_each_place_that_raises_it(capsys):
    def fail(frame: STOMPFrame) -> None:
        if frame.text == "one":
            raise ValueError("here")
        raise ValueError("there")

    callback = Callback(fail)
    for body in ("one", "two", "one", "two", "one"):
        callback(frame_of(body))
    out, err = capsys.readouterr()
    assert (out, err.count("ValueError: here"), err.count("ValueError: there")) == ("", 1, 1)
    assert callback.errors == 5


def test_a_traceback_begins_in_the_users_function(capsys):
    Callback(lambda frame: frame.no_such_thing)(frame_of())
    shown = capsys.readouterr().err
    assert "no_such_thing" in shown
    assert __file__ in shown
    assert "stompy_jupyter" not in shown


def test_what_a_stranger_has_sent_is_shown_in_visible_characters(capsys):
    def fail(frame: STOMPFrame) -> None:
        raise ValueError(frame.text)

    Callback(fail)(frame_of("\x1b[31m\u202e\tred\nnext"))
    shown = capsys.readouterr().err
    assert "\\x1b[31m\\u202e\tred\nnext" in shown
    assert not {"\x1b", "\u202e"} & set(shown)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_would_end_a_program_ends_one_call(kind, capsys):
    def leave(_: STOMPFrame) -> None:
        raise kind

    callback = Callback(leave)
    assert not callback(frame_of())
    assert isinstance(callback.last_error, kind)
    assert kind.__name__ in capsys.readouterr().err


def test_a_callback_runs_in_the_context_it_was_made_in():
    cell = contextvars.ContextVar("cell", default="none")
    token = cell.set("cell 1")
    seen: list[str] = []
    callback = Callback(lambda frame: seen.append(cell.get()))
    cell.reset(token)
    callback(frame_of())
    assert seen == ["cell 1"]


# -- the thread ------------------------------------------------------------------------------


class Desk:
    """A thread with a callback that notes bodies, whose gate is shut at first."""

    def __init__(self, **bounds: int) -> None:
        self.gate = Gate()
        self.callback = Callback(self.gate)
        self.inlet: Any = SimpleNamespace(callbacks=(self.callback,), awaits=lambda number: True)
        self.thread = CallbackThread("stomp-test", **bounds)

    def put(self, *bodies: str) -> None:
        for body in bodies:
            call = Call(self.inlet, 0, frame_of(body), self.callback, self.callback.acks)
            self.thread.expect(call)
            self.thread.put(call)

    @property
    def waiting(self) -> int:
        return self.callback.waiting


@pytest.fixture
def desk() -> Iterator[Callable[..., Desk]]:
    desks: list[Desk] = []

    def make(**bounds: int) -> Desk:
        desks.append(Desk(**bounds))
        return desks[-1]

    yield make
    for each in desks:
        each.gate.open()
        each.thread.close()
        each.thread.join(TIMEOUT)


def test_the_thread_begins_with_the_first_call_and_is_no_reason_to_stay(desk):
    one = desk()
    assert our_threads() == []
    one.put("a")
    (thread,) = our_threads()
    assert (thread.name, thread.daemon) == ("stomp-test", True)


def test_calls_are_done_in_order_and_counted_while_they_wait(desk):
    one = desk()
    one.put("a", "b", "c")
    assert one.waiting == 3
    one.gate.open()
    until(lambda: one.waiting == 0)
    assert one.gate.bodies == ["a", "b", "c"]


def test_who_brings_more_calls_than_may_wait_waits_himself(desk):
    one = desk(max_frames=2)
    one.put("a")
    one.gate.reached()
    one.put("b", "c")
    with Background(one.put, "d") as putting:
        until(lambda: one.waiting == 4)
        assert putting.running
        one.gate.open()
        putting.result()
    until(lambda: one.gate.bodies == ["a", "b", "c", "d"])


def test_bodies_are_bounded_by_their_bytes_too(desk):
    one = desk(max_bytes=10)
    one.put("12345")
    one.gate.reached()
    one.put("12345")
    with Background(one.put, "6") as putting:
        until(lambda: one.waiting == 3)
        assert putting.running
        one.gate.open()
        putting.result()


def test_a_body_larger_than_the_bound_goes_alone(desk):
    one = desk(max_bytes=10)
    one.put("x" * 100)
    one.gate.reached()
    one.put("y" * 100)
    assert one.waiting == 2
    one.gate.open()
    until(lambda: one.waiting == 0)


def test_there_is_room_as_soon_as_a_call_begins(desk):
    one = desk(max_frames=1)
    one.put("a")
    one.gate.reached()
    one.put("b")  # does not wait for the end of a
    assert one.waiting == 2


def test_who_waits_for_room_goes_on_when_the_call_is_not_wanted_any_more(desk):
    one = desk(max_frames=1)
    one.put("a")
    one.gate.reached()
    one.put("b")
    with Background(one.put, "c") as putting:
        one.callback.active = False
        one.thread.wake()
        putting.result()
    one.gate.open()
    until(lambda: one.waiting == 0)
    assert one.gate.bodies == ["a"]


def test_who_waits_for_room_goes_on_when_the_thread_is_closed(desk):
    one = desk(max_frames=1)
    one.put("a")
    one.gate.reached()
    one.put("b")
    with Background(one.put, "c"):
        until(lambda: one.waiting == 3)
        one.thread.close()
    one.gate.open()
    one.thread.join(TIMEOUT)
    assert one.gate.bodies == ["a", "b"]
    assert our_threads() == []


def test_all_calls_can_be_waited_for_with_a_bound(desk):
    one = desk()
    one.put("a", "b")
    one.thread.wait(time.monotonic() + 0.01)
    assert one.waiting == 2
    one.gate.open()
    one.thread.wait(time.monotonic() + TIMEOUT)
    assert one.gate.bodies == ["a", "b"]


def test_of_a_subscription_those_that_acknowledge_are_waited_for(desk):
    one = desk()
    one.put("a")
    one.thread.wait(time.monotonic() + TIMEOUT, one.inlet)  # this one does not
    assert one.waiting == 1


def test_what_waits_can_be_dropped(desk):
    one = desk()
    one.put("a", "b", "c")
    one.gate.reached()
    one.thread.cancel()
    assert one.waiting == 1
    one.gate.open()
    one.thread.join(TIMEOUT)
    one.put("d")
    assert (one.gate.bodies, one.waiting) == (["a"], 0)


def test_nothing_that_fails_in_there_ends_the_thread(desk, caplog):
    one = desk()
    one.callback.acks = True
    one.inlet.settle = lambda number, good: 1 / 0
    one.gate.open()
    one.put("a", "b")
    one.thread.wait(time.monotonic() + TIMEOUT)
    assert one.gate.bodies == ["a", "b"]
    assert caplog.text.count("ZeroDivisionError") == 2


def test_a_thread_that_never_had_a_call_is_closed_and_joined_at_once(desk):
    one = desk()
    one.thread.wait(time.monotonic() + TIMEOUT)
    one.thread.close()
    one.thread.join(TIMEOUT)
    one.put("a")
    assert our_threads() == []


# -- the callbacks of a stream ---------------------------------------------------------------


def test_each_frame_that_comes_from_now_on_is_given_to_the_callback_in_order(session):
    stream = session.subscribe("/topic/t")
    session.send("/topic/t", "before")
    stream.wait(1, 5)
    bodies: list[str] = []
    stream.on_frame(lambda frame: bodies.append(frame.text))
    for number in range(100):
        session.send("/topic/t", str(number))
    until(lambda: len(bodies) == 100)
    assert bodies == [str(number) for number in range(100)]
    assert (stream.stats["calls"], stream.stats["waiting"]) == (100, 0)


def test_on_frame_is_a_decorator(session):
    stream = session.subscribe("/topic/t")
    seen = threading.Event()

    @stream.on_frame
    def show(frame: STOMPFrame) -> None:
        seen.set()

    session.send("/topic/t", "a")
    assert seen.wait(5)
    assert callable(show)


def test_a_method_can_be_taken_away(session):
    class Desk:
        def take(self, frame: STOMPFrame) -> None:
            raise AssertionError("not called")

    desk = Desk()
    stream = session.subscribe("/topic/t")
    stream.on_frame(desk.take)
    stream.off_frame(desk.take)
    session.send("/topic/t", "a")
    stream.wait(1, 5)
    assert (stream.stats["calls"], stream.stats["waiting"]) == (0, 0)


def test_what_waits_for_a_function_is_not_given_to_it_when_it_was_taken_away(session):
    stream = session.subscribe("/topic/t")
    gate = Gate()
    stream.on_frame(gate)
    for body in "abc":
        session.send("/topic/t", body)
    stream.wait(3, 5)
    gate.reached()
    stream.off_frame(gate)
    gate.open()
    session.disconnect()
    assert gate.bodies == ["a"]


@pytest.mark.parametrize("ack", [False, True], ids=["looks on", "acknowledges"])
def test_a_function_may_take_the_place_of_another_and_what_waits_for_it(session, other, ack):
    stream = session.subscribe("/queue/q", ack_mode="client-individual")
    gate = Gate()
    stream.on_frame(gate)
    for body in "abc":
        other.message("/queue/q", body)
    until(lambda: stream.stats["waiting"] == 3)
    gate.reached()
    bodies: list[str] = []
    stream.on_frame(lambda frame: bodies.append(frame.text), ack=ack, instead_of=gate)
    other.message("/queue/q", "d")
    stream.wait(4, 5)
    assert stream.unacknowledged == ([3] if ack else [])
    gate.open()
    until(lambda: bodies == ["b", "c", "d"])
    session.disconnect()
    assert (gate.bodies, waiting_in(other, "/queue/q")) == (["a"], [])


def test_a_function_that_is_given_twice_is_called_twice_and_taken_away_at_once(session):
    stream = session.subscribe("/topic/t")
    bodies: list[str] = []

    def note(frame: STOMPFrame) -> None:
        bodies.append(frame.text)

    stream.on_frame(note)
    stream.on_frame(note)
    session.send("/topic/t", "a")
    until(lambda: bodies == ["a", "a"])
    stream.off_frame(note)
    stream.off_frame(note)
    session.send("/topic/t", "b")
    stream.wait(2, 5)
    session.disconnect()
    assert bodies == ["a", "a"]


def test_all_callbacks_of_a_session_run_one_after_the_other_on_one_thread(session):
    at_once: list[int] = []
    threads: set[str] = set()
    inside = [0]

    def note(_: STOMPFrame) -> None:
        inside[0] += 1
        threads.add(threading.current_thread().name)
        threading.Event().wait(0.002)
        at_once.append(inside[0])
        inside[0] -= 1

    streams = [session.subscribe("/topic/t", name=name) for name in "abc"]
    for stream in streams:
        stream.on_frame(note)
        stream.on_frame(note)
    for _ in range(5):
        session.send("/topic/t", "a")
    until(lambda: len(at_once) == 30)
    assert set(at_once) == {1}
    assert threads == {"stomp-callbacks"}


def test_a_slow_callback_delays_neither_the_table_nor_the_acknowledgements(session, other):
    stream = session.subscribe("/queue/q", ack_mode="client")
    gate = Gate()
    stream.on_frame(gate)
    for body in "abc":
        other.message("/queue/q", body)
    assert stream.wait(3, 5) == 3
    gate.reached()
    until(lambda: stream.stats["waiting"] == 3)
    stream.session.client.send("SEND", destination="/topic/t", receipt=True).wait(5)
    gate.open()
    session.disconnect()
    assert waiting_in(other, "/queue/q") == []
    assert gate.bodies == ["a", "b", "c"]


@pytest.mark.parametrize("end", ["unsubscribe", "pause"])
def test_what_was_received_when_a_stream_ends_or_pauses_is_still_given_to_it(session, end):
    stream = session.subscribe("/topic/t")
    gate = Gate()
    stream.on_frame(gate)
    for body in "abc":
        session.send("/topic/t", body)
    stream.wait(3, 5)
    gate.reached()
    getattr(stream, end)()
    gate.open()
    until(lambda: gate.bodies == ["a", "b", "c"])


def test_what_waits_when_a_session_ends_is_called_first(session):
    streams = [session.subscribe("/topic/t", name=name) for name in "ab"]
    bodies: list[str] = []

    def note(frame: STOMPFrame) -> None:
        threading.Event().wait(0.005)
        bodies.append(frame.text)

    for stream in streams:
        stream.on_frame(note)
    for body in "abc":
        session.send("/topic/t", body)
    for stream in streams:
        stream.wait(3, 5)
    session.disconnect()
    assert bodies == list("aabbcc")
    assert threads_of_sessions() == []


def test_a_callback_that_fails_is_called_again_and_the_stream_goes_on(session, capsys):
    stream = session.subscribe("/topic/t")

    @stream.on_frame
    def fail(frame: STOMPFrame) -> None:
        raise SystemExit(frame.text)

    for body in "abc":
        session.send("/topic/t", body)
    until(lambda: stream.stats["callback_errors"] == 3)
    assert len(stream) == 3
    assert capsys.readouterr().err.count("SystemExit: a") == 1


# -- a callback that is slower than the broker -----------------------------------------------


def test_a_full_queue_holds_the_reader_back_and_nothing_is_lost(held_back, other):
    stream = held_back.subscribe("/queue/q")
    gate = Gate()
    stream.on_frame(gate)
    for number in range(200):
        other.message("/queue/q", str(number))
    gate.reached()
    until(lambda: stream.received >= 2)  # one is called, one waits, one is held
    settled(other)
    assert stream.received <= 3
    gate.open()
    stream.wait(200, 5)
    until(lambda: len(gate.bodies) == 200)
    assert gate.bodies == stream.df["body"].tolist() == [str(number) for number in range(200)]


ENDS: dict[str, Callable[[FrameStream], object]] = {
    "unsubscribe": lambda stream: stream.unsubscribe(),
    "pause": lambda stream: stream.pause(),
    "disconnect": lambda stream: stream.session.disconnect(),
    "replace": lambda stream: stream.session.subscribe("/topic/t", name=stream.name),
}


@pytest.mark.parametrize("mode", ["auto", "client", "client-individual"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_stream_ends_while_the_reader_is_held_back_and_nothing_is_lost(
    held_back, other, end, mode
):
    stream = held_back.subscribe("/queue/q", ack_mode=mode)
    gate = Gate()
    stream.on_frame(gate)
    for number in range(50):
        other.message("/queue/q", str(number))
    settled(other)
    gate.reached()
    until(lambda: stream.received >= 2)
    with Background(end, stream) as ending:
        until(lambda: stream.state != "live" or stream._inlet.over or held_back._reader._left)
        gate.open()
        ending.result(2)
    until(lambda: not stream.stats["waiting"])
    filed = stream.df["body"].tolist()
    held_back.disconnect()
    assert filed + waiting_in(other, "/queue/q") == [str(number) for number in range(50)]


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_stream_ends_though_its_callback_never_returns(held_back, other, end, monkeypatch):
    monkeypatch.setattr(reader, "LEAVE_LIMIT", 0.05)
    stream = held_back.subscribe("/queue/q")
    gate = Gate()
    stream.on_frame(gate)
    for number in range(50):
        other.message("/queue/q", str(number))
    settled(other)
    gate.reached()
    until(lambda: stream.received >= 2)
    began = time.monotonic()
    end(stream)
    assert time.monotonic() - began < 1
    held_back.disconnect()
    gate.open()
    until(lambda: threads_of_sessions() == [])
    assert [*stream.df["body"], *waiting_in(other, "/queue/q")] == [str(n) for n in range(50)]


# -- what a callback may do ------------------------------------------------------------------


def in_a_callback(session: StompSession, action: Callable[[FrameStream, STOMPFrame], Any]) -> Any:
    """What `action` returns in the callback of a stream, of which two more frames wait."""
    stream = session.subscribe("/topic/t")
    outcome: list[Any] = []
    ready = threading.Event()

    def act(frame: STOMPFrame) -> None:
        ready.wait(TIMEOUT)
        if not outcome:
            try:
                outcome.append(action(stream, frame))
            except BaseException as error:
                outcome.append(error)

    stream.on_frame(act)
    for body in "abc":
        session.send("/topic/t", body)
    stream.wait(3, 5)
    ready.set()
    until(lambda: outcome and not stream.stats["waiting"])
    return outcome[0]


def test_a_callback_may_send_and_wait_for_the_receipt(session, other):
    def answer(_: FrameStream, frame: STOMPFrame) -> str:
        receipt = session.send("/queue/answers", frame.text, receipt=True)
        receipt.wait(5)
        return receipt.outcome.value

    assert in_a_callback(session, answer) == "confirmed"
    assert waiting_in(other, "/queue/answers") == ["a"]


def test_a_callback_may_wait_for_frames_of_its_own_stream(session):
    def wait(stream: FrameStream, _: STOMPFrame) -> int:
        session.send("/topic/t", "d")
        return stream.wait(4, 5)

    assert in_a_callback(session, wait) == 4


def test_a_callback_that_waits_for_more_than_its_queue_holds_is_told_so(held_back):
    stream = held_back.subscribe("/topic/t")
    outcome: list[BaseException] = []

    @stream.on_frame
    def wait(_: STOMPFrame) -> None:
        if not outcome:
            with pytest.raises(STOMPTimeout) as raised:
                stream.wait(10, 0.3)
            outcome.append(raised.value)

    for number in range(10):
        held_back.send("/topic/t", str(number))
    until(lambda: outcome)
    assert stream.wait(10, 5) == 10


def test_a_callback_may_subscribe_another_stream(session):
    another = in_a_callback(session, lambda *_: session.subscribe("/topic/more"))
    session.send("/topic/more", "x")
    assert another.wait(1, 5) == 1


def test_a_callback_may_add_and_take_away_callbacks(session):
    bodies: list[str] = []

    def more(frame: STOMPFrame) -> None:
        bodies.append(frame.text)

    in_a_callback(session, lambda stream, _: stream.on_frame(more))
    session.send("/topic/t", "d")
    until(lambda: bodies == ["d"])
    session.streams["/topic/t"].off_frame(more)


def test_a_callback_that_takes_itself_away_is_called_no_more_for_what_comes(session):
    stream = session.subscribe("/topic/t")
    bodies: list[str] = []

    def once(frame: STOMPFrame) -> None:
        bodies.append(frame.text)
        stream.off_frame(once)

    stream.on_frame(once)
    session.send("/topic/t", "a")
    until(lambda: bodies)
    session.send("/topic/t", "b")
    stream.wait(2, 5)
    session.disconnect()
    assert bodies == ["a"]


def test_a_callback_that_unsubscribes_its_stream_is_called_no_more(session, other):
    stream = session.subscribe("/queue/q", ack_mode="client-individual")
    bodies: list[str] = []
    ready = threading.Event()

    def leave(frame: STOMPFrame) -> None:
        ready.wait(TIMEOUT)
        bodies.append(frame.text)
        stream.unsubscribe()

    stream.on_frame(leave, ack=True)
    for body in "abc":
        other.message("/queue/q", body)
    stream.wait(3, 5)
    ready.set()
    until(lambda: not stream.live)
    assert (bodies, session.streams) == (["a"], {})
    assert waiting_in(other, "/queue/q") == ["b", "c"]  # and a was acknowledged


def test_a_callback_may_unsubscribe_another_stream(session):
    bystander = session.subscribe("/topic/more")
    in_a_callback(session, lambda *_: bystander.unsubscribe())
    until(lambda: not bystander.live)
    assert session.streams.keys() == {"/topic/t"}


def test_a_callback_may_pause_its_stream(session):
    in_a_callback(session, lambda stream, _: stream.pause())
    stream = session.streams["/topic/t"]
    until(lambda: session.client.subscriptions == {})
    assert stream.state == "paused"
    stream.resume()
    session.send("/topic/t", "d")
    assert stream.wait(4, 5) == 4


def test_a_callback_may_replace_its_own_stream(session):
    new = in_a_callback(session, lambda *_: session.subscribe("/topic/t"))
    until(lambda: len(session.client.subscriptions) == 1)
    session.send("/topic/t", "x")
    assert new.wait(1, 5) == 1
    assert new.df["body"].tolist() == ["x"]
    assert session.streams == {"/topic/t": new}


def test_a_callback_may_disconnect_the_session(session):
    in_a_callback(session, lambda *_: session.disconnect())
    assert session.state == "disconnected"
    until(lambda: threads_of_sessions() == [])


def test_a_callback_may_disconnect_and_connect_again(session):
    def again(*_: object) -> str:
        session.disconnect()
        return session.connect().state

    assert in_a_callback(session, again) == "connected"
    stream = session.subscribe("/topic/t")
    bodies: list[str] = []
    stream.on_frame(lambda frame: bodies.append(frame.text))
    session.send("/topic/t", "x")
    until(lambda: bodies == ["x"])


# -- callbacks that acknowledge --------------------------------------------------------------


@pytest.mark.parametrize("mode", ["client", "client-individual"])
@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_a_good_return_acknowledges(broker, other, version, mode):
    with StompSession(broker.address, versions=(version,)) as session:
        stream = session.subscribe("/queue/q", ack_mode=mode)
        gate = Gate()
        stream.on_frame(gate, ack=True)
        for body in "abc":
            other.message("/queue/q", body)
        stream.wait(3, 5)
        gate.reached()
        assert stream.stats["unacknowledged"] == 3
        gate.open()
        until(lambda: stream.stats["calls"] == 3)
        until(lambda: stream.unacknowledged == [])
    assert waiting_in(other, "/queue/q") == []


@pytest.mark.parametrize("mode", ["client", "client-individual"])
@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_an_exception_refuses_and_the_broker_decides(broker, other, version, mode, capsys):
    with StompSession(broker.address, versions=(version,)) as session:
        stream = session.subscribe("/queue/q", ack_mode=mode)
        seen: list[tuple[str, bool]] = []

        def fail_first(frame: STOMPFrame) -> None:
            seen.append((frame.text, "redelivered" in frame))
            if seen[-1] == ("b", False):
                raise ValueError("not now")

        stream.on_frame(fail_first, ack=True)
        for body in "abc":
            other.message("/queue/q", body)
        until(lambda: ("b", True) in seen and len(seen) == 4)
        until(lambda: stream.unacknowledged == [])
        assert stream.stats["callback_errors"] == 1
    assert waiting_in(other, "/queue/q") == []
    assert sorted(seen) == [("a", False), ("b", False), ("b", True), ("c", False)]


def test_a_message_that_fails_again_and_again_ends_up_with_the_dead_letters(session, other, capsys):
    stream = session.subscribe("/queue/q", ack_mode="client-individual")

    def fail(_: STOMPFrame) -> None:
        raise ValueError("poison")

    stream.on_frame(fail, ack=True)
    dead = session.subscribe("/queue/DLQ.q")
    other.message("/queue/q", "poison")
    dead.wait(1, 5)
    assert stream.stats["callback_errors"] == stream.received
    assert capsys.readouterr().err.count("ValueError: poison") == 1


def test_stomp_1_0_has_no_nack_and_the_message_comes_again_later(broker, other, capsys):
    with StompSession(broker.address, versions=("1.0",)) as session:
        stream = session.subscribe("/queue/q", ack_mode="client")

        def fail(_: STOMPFrame) -> None:
            raise ValueError

        stream.on_frame(fail, ack=True)
        other.message("/queue/q", "a")
        until(lambda: stream.stats["callback_errors"] == 1)
        assert stream.unacknowledged == [0]
        assert session.connected
    assert waiting_in(other, "/queue/q") == ["a"]


def test_a_callback_may_answer_by_itself_before_it_returns(session, other):
    stream = session.subscribe("/queue/q", ack_mode="client-individual")
    stream.on_frame(lambda frame: stream.ack(), ack=True)
    other.message("/queue/q", "a")
    until(lambda: stream.stats["calls"] == 1)
    session.disconnect()
    assert (session.last_error, waiting_in(other, "/queue/q")) == (None, [])


def test_where_nothing_is_to_be_acknowledged_a_callback_cannot(session):
    stream = session.subscribe("/topic/t")
    with pytest.raises(STOMPError, match="auto") as refused:
        stream.on_frame(print, ack=True)
    assert "client-individual" in refused.value.hint
    assert stream._inlet.callbacks == ()


def test_one_callback_acknowledges_and_others_look_on(session, other):
    stream = session.subscribe("/queue/q", ack_mode="client-individual")
    bodies: list[str] = []
    stream.on_frame(lambda frame: bodies.append(frame.text))
    stream.on_frame(lambda frame: bodies.append(frame.text), ack=True)
    with pytest.raises(STOMPError, match="acknowledges already"):
        stream.on_frame(print, ack=True)
    other.message("/queue/q", "a")
    until(lambda: bodies == ["a", "a"])
    until(lambda: stream.unacknowledged == [])


def test_when_the_callback_is_taken_away_the_table_acknowledges_again(session, other):
    stream = session.subscribe("/queue/q", ack_mode="client-individual")
    gate = Gate()
    gate.open()
    stream.on_frame(gate, ack=True)
    other.message("/queue/q", "a")
    until(lambda: stream.stats["calls"] == 1)
    stream.off_frame(gate)
    other.message("/queue/q", "b")
    stream.wait(2, 5)
    session.disconnect()
    assert waiting_in(other, "/queue/q") == []


def test_what_a_callback_has_not_returned_from_in_time_stays_with_the_broker(
    session, other, monkeypatch
):
    monkeypatch.setattr(reader, "LEAVE_LIMIT", 0.05)
    stream = session.subscribe("/queue/q", ack_mode="client-individual")
    gate = Gate()
    stream.on_frame(gate, ack=True)
    for body in "abc":
        other.message("/queue/q", body)
    stream.wait(3, 5)
    gate.reached()
    stream.unsubscribe()
    assert waiting_in(other, "/queue/q") == ["a", "b", "c"]
    gate.open()
    session.disconnect()
    assert gate.bodies == ["a"]
