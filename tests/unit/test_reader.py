"""Reader: what becomes of streams when a connection is lost, and when they pause and end."""

import contextlib
import gc
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import stompy
from stompy import ReconnectPolicy, STOMPClosed, STOMPError, STOMPTimeout
from stompy.broker import Broker, Faults
from stompy_jupyter import FrameStream, StompSession, reader
from stompy_jupyter.callbacks import CallbackThread
from tests.unit.peer import Background, Link, Peer, Script, message, raw
from tests.unit.sessions import SOON, Gate, settled, threads_of_sessions, waiting_in
from tests.unit.waiting import until

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def session(broker: Broker) -> Iterator[StompSession]:
    with StompSession(broker.address, reconnect=SOON) as session:
        yield session


@pytest.fixture
def states(session: StompSession) -> list[str]:
    """What observers of the session's state are told."""
    told: list[str] = []
    session.observe(lambda change: told.append(change.new), "state")
    return told


@pytest.fixture
def other(broker: Broker) -> Iterator[stompy.STOMPClient]:
    """Another client of the same broker, which comes back, too."""
    with stompy.connect(broker.address, reconnect=SOON) as client:
        yield client


def name_of(session: StompSession, broker: Broker) -> str:
    """What the broker calls the client of a session."""
    host, port = session.client._connection._transport._raw._socket.getsockname()
    return next(c["client"] for c in broker.clients() if c["address"] == f"{host}:{port}")


def drop(broker: Broker, session: StompSession) -> None:
    """Cut the connection of a session, and wait until it is back."""
    before = session.reconnects
    broker.drop(name_of(session, broker))
    until(lambda: session.reconnects > before)


@contextlib.contextmanager
def session_of(*scripts: Script, **arguments: Any) -> Iterator[tuple[StompSession, Peer]]:
    """A session whose broker plays one script a connection."""
    with (
        Peer(*scripts) as peer,
        StompSession(peer.address, **{"reconnect": False, **arguments}) as session,
    ):
        yield session, peer


# -- a connection that is lost comes back ----------------------------------------------------


def test_a_broker_that_is_started_again_has_its_session_back(session, states, broker):
    broker.stop()
    until(lambda: session.state == "reconnecting")
    assert not session.connected
    assert "closed the connection" in session.last_error.Message
    broker.start()
    until(lambda: session.state == "connected")
    assert (session.reconnects, session.connected) == (1, True)
    session.disconnect()
    assert states == ["reconnecting", "connected", "disconnected"]


def test_streams_go_on_into_the_same_tables(session, broker):
    streams = [session.subscribe("/topic/t", name=name) for name in "ab"]
    session.send("/topic/t", "before")
    for stream in streams:
        stream.wait(1, 5)
    broker.stop()
    until(lambda: session.state == "reconnecting")
    assert [stream.state for stream in streams] == ["reconnecting", "reconnecting"]
    broker.start()
    until(lambda: session.reconnects == 1)
    session.send("/topic/t", "after")
    for stream in streams:
        stream.wait(2, 5)
        assert stream.df["body"].tolist() == ["before", "after"]
    assert session.received == 4


def test_each_return_is_counted(session, broker):
    for _ in range(3):
        drop(broker, session)
    assert session.reconnects == 3


def test_callbacks_go_on_too(session, broker):
    stream = session.subscribe("/topic/t")
    bodies: list[str] = []
    stream.on_frame(lambda frame: bodies.append(frame.text))
    drop(broker, session)
    session.send("/topic/t", "after")
    until(lambda: bodies == ["after"])


def test_the_error_before_a_loss_is_why_it_was_lost_and_no_later_loss(session, broker):
    session.client.send("SEND", body="where to?")
    until(lambda: session.reconnects == 1)
    assert "SEND without destination" in session.last_error.Message
    broker.stop()
    until(lambda: session.state == "reconnecting")
    assert "closed the connection" in session.last_error.Message


def test_a_session_gives_up_after_as_many_attempts_as_it_may_make(broker):
    session = StompSession(broker.address, reconnect=ReconnectPolicy(attempts=1, first=0.01))
    session.connect()
    stream = session.subscribe("/topic/t")
    broker.stop()
    with pytest.raises(STOMPClosed, match="nothing listens"):
        stream.wait(1, 5)
    until(lambda: session.state == "lost")
    until(lambda: threads_of_sessions() == [])
    assert "nothing listens" in session.last_error.Message


def test_an_observer_that_fails_does_the_session_no_harm(session, broker, caplog):
    def fail(_: object) -> None:
        raise ValueError("an observer")

    session.observe(fail, ["state", "last_error"])
    stream = session.subscribe("/topic/t")
    drop(broker, session)
    session.send("/topic/t", "a")
    assert stream.wait(1, 5) == 1
    session.unobserve_all()
    assert "an observer" in caplog.text


def test_an_observer_of_an_error_that_fails_does_the_session_no_harm(caplog):
    def warn(link: Link) -> None:
        link.accept()
        sub_id = link.expect("SUBSCRIBE").headers["id"]
        link.send(raw("ERROR", "message:a warning"), message(b"a", f"subscription:{sub_id}"))
        link.serve()

    def fail(change: Any) -> None:
        raise ValueError("an observer")

    with session_of(warn) as (session, _):
        session.observe(fail, "last_error")
        assert session.subscribe("/topic/t").wait(1, 5) == 1
        session.unobserve_all()


def test_an_observer_may_end_streams_and_sessions(session, broker):
    streams = [session.subscribe("/topic/t", name=name) for name in "ab"]

    def end(_: object) -> None:
        streams[0].unsubscribe()
        session.disconnect()

    session.observe(end, "state")
    broker.stop()
    until(lambda: session.state == "disconnected")
    until(lambda: threads_of_sessions() == [])
    assert [stream.live for stream in streams] == [False, False]


def test_an_observer_may_unsubscribe_when_an_ack_finds_the_connection_broken(
    session, other, monkeypatch
):
    stream = session.subscribe("/queue/q", ack_mode="client-individual")
    session.observe(lambda change: stream.unsubscribe(), "state")

    def broken(*_: object) -> None:
        raise BrokenPipeError("gone")

    monkeypatch.setattr(session.client._connection._transport, "send", broken)
    other.message("/queue/q", "a")
    until(lambda: not stream.live)
    until(lambda: session.reconnects == 1)
    assert session.client.subscriptions == {}


def test_an_observer_and_a_cell_that_subscribes_do_not_lock_each_other_out(
    session, other, monkeypatch
):
    stream = session.subscribe("/queue/q", ack_mode="client-individual")
    noticed, begun = threading.Event(), threading.Event()

    def end(change: Any) -> None:
        if change.new == "reconnecting":
            noticed.set()
            begun.wait(5)
            stream.unsubscribe()

    def broken(*_: object) -> None:
        raise BrokenPipeError("gone")

    def subscribe() -> FrameStream:
        assert noticed.wait(5)
        threading.Timer(0.05, begun.set).start()  # in the midst of what follows
        return session.subscribe("/topic/t")

    session.observe(end, "state")
    monkeypatch.setattr(session.client._connection._transport, "send", broken)
    with Background(subscribe) as subscribing:
        other.message("/queue/q", "a")
        assert subscribing.result().live
    until(lambda: not stream.live)


# -- acknowledgements and a loss -------------------------------------------------------------


def test_what_was_not_acknowledged_is_forgotten_and_comes_again(session, broker, other):
    stream = session.subscribe("/queue/q", ack_mode="client-individual", send_acks=False)
    for body in "ab":
        other.message("/queue/q", body)
    stream.wait(2, 5)
    stream.ack(0)
    session.send("/topic/t", receipt=True).wait(5)  # the ACK has arrived
    drop(broker, session)
    stream.wait(3, 5)
    assert stream.unacknowledged == [2]
    assert stream.df["body"].tolist() == ["a", "b", "b"]
    assert stream.df["redelivered"].tolist()[2] == "true"
    with pytest.raises(STOMPError, match="frame 1 of /queue/q does not wait"):
        stream.ack(1)
    stream.ack(2)
    session.disconnect()
    assert waiting_in(other, "/queue/q") == []


def test_a_callback_that_returns_after_the_loss_answers_nothing(session, broker, other, recwarn):
    stream = session.subscribe("/queue/q", ack_mode="client-individual")
    gate = Gate()
    stream.on_frame(gate, ack=True)
    other.message("/queue/q", "a")
    gate.reached()
    drop(broker, session)
    stream.wait(2, 5)
    assert stream.unacknowledged == [1]
    gate.open()
    until(lambda: stream.unacknowledged == [])
    assert gate.bodies == ["a", "a"]
    assert session.reconnects == 1
    assert [str(warning.message) for warning in recwarn] == []


def test_a_callback_that_returns_while_the_session_reconnects_answers_nothing(
    session, broker, other, recwarn
):
    stream = session.subscribe("/queue/q", ack_mode="client-individual")
    gate = Gate()
    stream.on_frame(gate, ack=True)
    other.message("/queue/q", "a")
    gate.reached()
    broker.stop()
    until(lambda: session.state == "reconnecting")
    gate.open()
    until(lambda: stream.stats["calls"] == 1)
    broker.start()
    until(lambda: session.reconnects == 1)
    session.send("/queue/q", "b")
    until(lambda: "b" in gate.bodies)
    assert [str(warning.message) for warning in recwarn] == []


def test_what_waits_for_a_callback_that_acknowledges_is_not_done_twice(session, broker, other):
    stream = session.subscribe("/queue/q", ack_mode="client-individual")
    gate = Gate()
    stream.on_frame(gate, ack=True)
    for body in "abc":
        other.message("/queue/q", body)
    stream.wait(3, 5)
    gate.reached()
    drop(broker, session)
    stream.wait(6, 5)
    gate.open()
    until(lambda: stream.unacknowledged == [])
    assert gate.bodies == ["a", "a", "b", "c"]  # the first was under way


def test_a_burst_that_breaks_off_is_complete_in_the_end(session, broker, other, recwarn):
    stream = session.subscribe("/queue/q", ack_mode="client-individual")
    for number in range(2000):
        other.message("/queue/q", str(number))
    stream.wait(10, 5)
    drop(broker, session)
    until(lambda: stream.df["body"].nunique() == 2000)
    assert session.reconnects == 1
    rows = stream.df
    again = rows[rows["body"].duplicated()]
    assert again.empty or set(again["redelivered"]) == {"true"}
    assert [str(warning.message) for warning in recwarn] == []


# -- a cell meanwhile ------------------------------------------------------------------------


@pytest.fixture
def away(session: StompSession, broker: Broker) -> Callable[[], None]:
    """The session reconnects in vain; what this returns brings the broker back."""
    session.subscribe("/topic/t", name="stream")
    broker.stop()
    until(lambda: session.state == "reconnecting")

    def back() -> None:
        broker.start()
        until(lambda: session.connected)

    return back


def test_send_waits_until_the_broker_is_back(session, away):
    with Background(session.send, "/topic/t", "a"):
        away()
    assert session.streams["stream"].wait(1, 5) == 1


def test_subscribe_waits_until_the_broker_is_back(session, away):
    with Background(session.subscribe, "/topic/more") as subscribing:
        away()
        stream = subscribing.result()
    session.send("/topic/more", "a")
    assert stream.wait(1, 5) == 1


def test_a_subscription_that_ends_meanwhile_does_not_come_back(session, away):
    stream = session.streams["stream"]
    stream.unsubscribe()
    assert not stream.live
    away()
    assert session.client.subscriptions == {}


def test_a_subscription_that_pauses_meanwhile_comes_back_when_it_is_resumed(session, away):
    stream = session.streams["stream"]
    stream.pause()
    assert stream.state == "paused"
    away()
    assert session.client.subscriptions == {}
    stream.resume()
    session.send("/topic/t", "a")
    assert stream.wait(1, 5) == 1


def test_resume_waits_until_the_broker_is_back(session, away):
    stream = session.streams["stream"]
    stream.pause()
    with Background(stream.resume):
        away()
    session.send("/topic/t", "a")
    assert stream.wait(1, 5) == 1


@pytest.mark.parametrize("do", ["send", "subscribe"])
def test_they_wait_no_longer_than_they_may_and_say_why(session, away, monkeypatch, do):
    monkeypatch.setattr("stompy.client.SEND_LIMIT", 0.05)
    with pytest.raises(STOMPTimeout, match="lost and not back yet"):
        getattr(session, do)("/topic/more", **({"name": "stream"} if do == "subscribe" else {}))
    assert session.streams["stream"].live
    away()
    assert session.client.state == "connected"


def test_a_transaction_cannot_begin_meanwhile(session, away):
    with pytest.raises(STOMPClosed), session.transaction():
        raise AssertionError("not reached")
    away()
    with session.transaction():
        session.send("/topic/t", "a")
    assert session.streams["stream"].wait(1, 5) == 1


def test_disconnect_meanwhile_returns_at_once_and_all_ends(session, states, away):
    began = time.monotonic()
    session.disconnect()
    assert time.monotonic() - began < 0.5
    until(lambda: threads_of_sessions() == [])
    assert session.state == states[-1] == "disconnected"
    assert session.streams["stream"].state == "ended"


def test_disconnect_does_not_wait_for_an_attempt_that_is_under_way():
    trying, enough = threading.Event(), threading.Event()

    def silent(link: Link) -> None:
        link.expect("CONNECT")
        trying.set()
        enough.wait(5)

    with Peer(Link.accept, silent) as peer:
        session = StompSession(peer.address, reconnect=SOON).connect()
        assert trying.wait(5)
        began = time.monotonic()
        session.disconnect()
        assert time.monotonic() - began < 0.5
        enough.set()
        until(lambda: threads_of_sessions() == [])


def test_a_cell_that_waits_for_the_broker_is_woken_by_disconnect(session, away):
    def send() -> None:
        with pytest.raises(STOMPClosed):
            session.send("/topic/t", "a")

    with Background(send):
        session.disconnect()


# -- the end of a subscription ---------------------------------------------------------------


def late(link: Link, *, receipts: bool = True) -> None:
    """A broker that sends one message more when it is asked to send no more."""
    link.accept()
    sub_id = link.expect("SUBSCRIBE").headers["id"]
    receipt = link.expect("UNSUBSCRIBE").headers["receipt"]
    link.send(message(b"late", f"subscription:{sub_id}", "ack:1"))
    if receipts:
        link.send(raw("RECEIPT", f"receipt-id:{receipt}"))
    link.serve()


@pytest.mark.parametrize("end", ["unsubscribe", "pause"])
def test_a_message_on_its_way_when_a_stream_ends_is_filed_in_the_mode_auto(end):
    with session_of(late) as (session, _):
        stream = session.subscribe("/queue/q")
        bodies: list[str] = []
        stream.on_frame(lambda frame: bodies.append(frame.text))
        getattr(stream, end)()
        assert stream.df["body"].tolist() == ["late"]
        until(lambda: bodies == ["late"])


@pytest.mark.parametrize("mode", ["client", "client-individual"])
@pytest.mark.parametrize("end", ["unsubscribe", "pause"])
def test_in_the_client_modes_it_stays_with_the_broker(end, mode):
    with session_of(late) as (session, peer):
        stream = session.subscribe("/queue/q", ack_mode=mode)
        getattr(stream, end)()
        assert (session.received, len(stream)) == (1, 0)
    assert "ACK" not in [frame.command for frame in peer.frames]


def test_a_broker_that_sends_no_receipts_is_not_waited_for_for_long(monkeypatch):
    monkeypatch.setattr(reader, "LEAVE_LIMIT", 0.05)

    def unconfirmed(link: Link) -> None:
        link.accept()
        sub_id = link.expect("SUBSCRIBE").headers["id"]
        link.expect("UNSUBSCRIBE")
        asked.wait(5)
        link.send(message(b"very late", f"subscription:{sub_id}"))
        link.serve()

    asked = threading.Event()
    with session_of(unconfirmed) as (session, _):
        stream = session.subscribe("/queue/q")
        began = time.monotonic()
        stream.unsubscribe()
        assert time.monotonic() - began < 0.5
        assert not stream.live
        asked.set()
        until(lambda: stream.df["body"].tolist() == ["very late"])


@pytest.mark.parametrize("receipts", [True, False], ids=["receipts", "no receipts"])
def test_a_queue_that_is_left_in_the_middle_of_a_burst_loses_nothing(
    session, broker, other, monkeypatch, receipts
):
    monkeypatch.setattr(reader, "LEAVE_LIMIT", 0.3)
    if not receipts:
        broker.set_faults(Faults(no_receipts=True), name_of(session, broker))
    stream = session.subscribe("/queue/q")
    for number in range(1000):
        other.message("/queue/q", str(number))
    stream.wait(10, 5)
    stream.unsubscribe()
    settled(other)
    left = waiting_in(other, "/queue/q")
    assert [*stream.df["body"], *left] == [str(number) for number in range(1000)]


def test_a_stream_ends_while_another_holds_the_reader_back_and_loses_nothing(
    broker, other, monkeypatch
):
    monkeypatch.setattr(reader, "LEAVE_LIMIT", 0.05)
    monkeypatch.setattr(reader, "CallbackThread", lambda name: CallbackThread(name, max_frames=1))
    with StompSession(broker.address) as session:
        slow, stream = session.subscribe("/queue/slow"), session.subscribe("/queue/q")
        gate = Gate()
        slow.on_frame(gate)
        for body in "abc":
            other.message("/queue/slow", body)
        gate.reached()
        until(lambda: slow.received == 3)
        for body in "def":
            other.message("/queue/q", body)
        settled(other)
        stream.unsubscribe()  # nobody reads its receipt
        gate.open()
        until(lambda: session.received == 6)
        assert [*stream.df["body"], *waiting_in(other, "/queue/q")] == ["d", "e", "f"]


def test_a_stream_that_an_observer_ends_in_the_reading_thread_loses_nothing():
    def burst(link: Link) -> None:
        link.accept()
        sub_id = link.expect("SUBSCRIBE").headers["id"]
        bodies = [message(body, f"subscription:{sub_id}") for body in (b"a", b"b")]
        link.send(b"".join([raw("ERROR", "message:a warning"), *bodies]))
        link.serve()

    with session_of(burst) as (session, _):
        streams: list[FrameStream] = []
        session.observe(lambda change: [each.unsubscribe() for each in streams], "last_error")
        streams.append(session.subscribe("/queue/q"))
        until(lambda: session.received == 2)
        until(lambda: streams[0].df["body"].tolist() == ["a", "b"])


def test_a_durable_name_that_is_in_use_does_not_cost_the_stream_that_has_it():
    def rabbit(link: Link) -> None:
        link.accept("1.2", "server:RabbitMQ/3.10.8")
        sub_id = link.expect("SUBSCRIBE").headers["id"]
        refused.wait(5)
        link.send(message(b"a", f"subscription:{sub_id}"))
        link.serve()

    refused = threading.Event()
    with session_of(rabbit) as (session, _):
        one = session.subscribe("/topic/t", name="one", durable="d")
        with pytest.raises(STOMPError, match="durable subscription 'd'"):
            session.subscribe("/topic/t", name="two", durable="d")
        refused.set()
        assert one.wait(1, 5) == 1


# -- pausing ---------------------------------------------------------------------------------


def test_a_queue_keeps_its_messages_while_a_stream_pauses(session, other):
    stream = session.subscribe("/queue/q")
    other.message("/queue/q", "before")
    stream.wait(1, 5)
    stream.pause()
    stream.pause()
    assert (stream.state, stream.live, session.streams["/queue/q"]) == ("paused", True, stream)
    other.message("/queue/q", "meanwhile")
    settled(other)
    assert len(stream) == 1
    stream.resume()
    stream.resume()
    assert (stream.wait(2, 5), stream.state) == (2, "live")
    assert stream.df["body"].tolist() == ["before", "meanwhile"]


def test_what_a_topic_carries_meanwhile_goes_by(session, other):
    stream = session.subscribe("/topic/t")
    stream.pause()
    other.message("/topic/t", "meanwhile")
    settled(other)
    stream.resume()
    session.send("/topic/t", "after")
    stream.wait(1, 5)
    assert stream.df["body"].tolist() == ["after"]


def test_what_was_not_acknowledged_comes_again_after_a_pause(session, other):
    stream = session.subscribe("/queue/q", ack_mode="client-individual", send_acks=False)
    other.message("/queue/q", "a")
    stream.wait(1, 5)
    stream.pause()
    assert stream.unacknowledged == []
    with pytest.raises(STOMPError, match="does not wait"):
        stream.ack(0)
    stream.resume()
    stream.wait(2, 5)
    assert stream.df["redelivered"].tolist()[1] == "true"
    stream.ack(1)


def test_a_paused_stream_waits_for_its_next_frames(session, other):
    stream = session.subscribe("/queue/q")
    stream.pause()
    with pytest.raises(STOMPTimeout):
        stream.wait(1, 0.01)
    with Background(stream.wait, 1, 5) as waiting:
        other.message("/queue/q", "a")
        stream.resume()
        assert waiting.result() == 1


ENDS: dict[str, Callable[[StompSession, FrameStream], object]] = {
    "unsubscribed": lambda session, stream: stream.unsubscribe(),
    "replaced": lambda session, stream: session.subscribe("/topic/t", name=stream.name),
    "disconnected": lambda session, stream: session.disconnect(),
}


@pytest.mark.parametrize("paused", [True, False], ids=["paused", "live"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_stream_that_has_ended_neither_pauses_nor_resumes(session, end, paused):
    stream = session.subscribe("/topic/t", name="t")
    if paused:
        stream.pause()
    end(session, stream)
    assert (stream.state, stream.error) == ("ended", None)
    for action in (stream.pause, stream.resume):
        with pytest.raises(STOMPClosed, match="the stream t has ended"):
            action()
    stream.unsubscribe()


def test_a_paused_stream_ends_with_its_connection_and_says_why(broker):
    with StompSession(broker.address, reconnect=False) as session:
        stream = session.subscribe("/topic/t")
        stream.pause()
        broker.stop()
        until(lambda: not stream.live)
        assert "closed the connection" in stream.error.Message


def test_a_paused_stream_is_still_paused_after_a_loss(session, broker):
    stream = session.subscribe("/topic/t")
    stream.pause()
    drop(broker, session)
    assert (stream.state, session.client.subscriptions) == ("paused", {})
    stream.resume()
    session.send("/topic/t", "a")
    assert stream.wait(1, 5) == 1


def test_pause_and_resume_in_one_callback_cost_nothing(session, other):
    stream = session.subscribe("/queue/q")

    @stream.on_frame
    def again(_: object) -> None:
        stream.pause()
        stream.resume()

    for number in range(20):
        other.message("/queue/q", str(number))
    stream.wait(20, 5)
    assert sorted(stream.df["body"], key=int) == [str(number) for number in range(20)]
    until(lambda: stream.stats["waiting"] == 0)
    assert (stream.state, len(session.client.subscriptions)) == ("live", 1)


def test_a_cell_may_resume_while_a_callback_pauses(session, other):
    stream = session.subscribe("/topic/t")
    paused, resumed = threading.Event(), threading.Event()

    @stream.on_frame
    def pause(frame: stompy.STOMPFrame) -> None:
        if frame.text == "a":
            stream.pause()
            paused.set()
            resumed.wait(5)

    session.send("/topic/t", "a")
    assert paused.wait(5)
    stream.resume()
    resumed.set()
    until(lambda: stream.stats["waiting"] == 0)
    session.send("/topic/t", "b")
    stream.wait(2, 5)
    session.send("/topic/more", receipt=True).wait(5)
    assert stream.df["body"].tolist() == ["a", "b"]


def test_a_stream_that_is_paused_while_its_callback_runs_is_resumed_after_it(session, other):
    stream = session.subscribe("/queue/q", ack_mode="client-individual")
    gate = Gate()
    stream.on_frame(gate, ack=True)
    for body in "abc":
        other.message("/queue/q", body)
    stream.wait(3, 5)
    gate.reached()
    with Background(stream.pause):
        until(lambda: stream.state == "paused")
        gate.open()
    stream.resume()
    until(lambda: {*gate.bodies} == {*"abc"})
    until(lambda: stream.unacknowledged == [])
    session.disconnect()
    assert waiting_in(other, "/queue/q") == []


def test_what_comes_between_pause_and_resume_of_a_callback_is_not_lost(session, other):
    stream = session.subscribe("/queue/q", ack_mode="client")

    def again(frame: stompy.STOMPFrame) -> None:
        if frame.text == "a" and session.received == 1:
            stream.pause()
            other.message("/queue/q", "b")
            until(lambda: session.received == 2)
            stream.resume()

    stream.on_frame(again, ack=True)
    other.message("/queue/q", "a")
    until(lambda: stream.stats["calls"])
    other.message("/queue/q", "c")
    until(lambda: {*stream.df["body"]} == {*"abc"})
    until(lambda: not stream.unacknowledged)
    session.disconnect()
    assert waiting_in(other, "/queue/q") == []


def test_a_late_receipt_of_a_durable_subscription_does_not_end_the_next_one():
    def rabbit(link: Link) -> None:
        link.accept("1.2", "server:RabbitMQ/3.10.8")
        subscription = f"subscription:{link.expect('SUBSCRIBE').headers['id']}"
        ready.wait(5)
        link.send(message(b"a", subscription))
        receipt = link.expect("UNSUBSCRIBE").headers["receipt"]
        link.expect("SUBSCRIBE")
        link.send(raw("RECEIPT", f"receipt-id:{receipt}"), message(b"b", subscription))
        link.serve()

    ready = threading.Event()
    with session_of(rabbit) as (session, _):
        stream = session.subscribe("/topic/t", durable="d")

        @stream.on_frame
        def again(frame: stompy.STOMPFrame) -> None:
            if frame.text == "a":
                stream.pause()
                stream.resume()

        ready.set()
        assert stream.wait(2, 5) == 2


def test_two_who_resume_at_once_subscribe_once(session, other, monkeypatch):
    stream = session.subscribe("/topic/t")
    stream.pause()
    subscribe = session.client.subscribe
    first = threading.Event()

    def slow(*args: Any, **kwargs: Any) -> str:
        first.wait(0.05)
        return subscribe(*args, **kwargs)

    monkeypatch.setattr(session.client, "subscribe", slow)
    with Background(stream.resume), Background(stream.resume):
        pass
    assert len(session.client.subscriptions) == 1


# -- interrupts ------------------------------------------------------------------------------


def interrupted(action: Callable[[], object]) -> None:
    """Do something that Ctrl-C ends, and see that this is soon."""
    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGINT))
    began = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        action()
    assert time.monotonic() - began < 0.5


@pytest.fixture
def busy(session: StompSession, other: stompy.STOMPClient) -> tuple[FrameStream, Gate]:
    """A stream whose end waits for its callback, and the gate of that."""
    stream = session.subscribe("/queue/q", ack_mode="client-individual")
    gate = Gate()
    stream.on_frame(gate, ack=True)
    other.message("/queue/q", "a")
    gate.reached()
    return stream, gate


def test_an_unsubscribe_that_was_interrupted_can_be_said_again(busy):
    stream, gate = busy
    interrupted(stream.unsubscribe)
    gate.open()
    stream.unsubscribe()
    assert not stream.live


def test_a_pause_that_was_interrupted_can_be_said_again_and_resumed(busy, session, other):
    stream, gate = busy
    interrupted(stream.pause)
    gate.open()
    stream.pause()
    assert session.client.subscriptions == {}
    stream.resume()
    other.message("/queue/q", "b")
    until(lambda: "b" in set(stream.df["body"]))
    assert len(session.client.subscriptions) == 1


def test_a_disconnect_that_was_interrupted_can_be_said_again(busy, session):
    _, gate = busy
    interrupted(session.disconnect)
    gate.open()
    session.disconnect()
    assert session.state == "disconnected"
    until(lambda: threads_of_sessions() == [])


# -- threads ---------------------------------------------------------------------------------


def test_nothing_is_left_after_disconnect(session):
    stream = session.subscribe("/topic/t")
    stream.on_frame(lambda frame: None)
    session.send("/topic/t", "a")
    until(lambda: stream.stats["calls"] == 1)
    assert {thread.daemon for thread in threads_of_sessions()} == {True}
    assert len(threads_of_sessions()) == 2
    session.disconnect()
    assert threads_of_sessions() == []


def test_nothing_is_left_after_a_loss_for_good(broker):
    session = StompSession(broker.address, reconnect=False).connect()
    stream = session.subscribe("/topic/t")
    bodies: list[str] = []
    stream.on_frame(lambda frame: bodies.append(frame.text))
    for body in "abc":
        session.send("/topic/t", body)
    stream.wait(3, 5)
    broker.stop()
    until(lambda: threads_of_sessions() == [])
    assert bodies == ["a", "b", "c"]


def test_a_callback_that_is_slow_ends_soon_after_disconnect_though_the_connection_was_lost(
    broker, monkeypatch
):
    monkeypatch.setattr(reader, "LEAVE_LIMIT", 0.05)
    session = StompSession(broker.address, reconnect=False).connect()
    stream = session.subscribe("/topic/t")
    gate = Gate()
    stream.on_frame(gate)
    for body in "abc":
        session.send("/topic/t", body)
    stream.wait(3, 5)
    gate.reached()
    broker.stop()
    until(lambda: session.state == "lost")
    session.disconnect()
    gate.open()
    until(lambda: threads_of_sessions() == [])
    assert gate.bodies == ["a"]


def test_nothing_is_left_of_a_session_that_was_forgotten_though_it_had_callbacks(broker):
    def forget() -> "weakref.ref[StompSession]":
        session = StompSession(broker.address).connect()
        bodies: list[stompy.STOMPFrame] = []
        session.subscribe("/topic/t").on_frame(bodies.append)
        session.send("/topic/t", "a")
        until(lambda: bodies)
        return weakref.ref(session)

    forgotten = forget()
    gc.collect()
    assert forgotten() is None
    until(lambda: threads_of_sessions() == [])
    until(lambda: broker.clients() == [])


def test_nothing_is_left_of_a_session_that_was_forgotten_while_it_reconnected(broker):
    def forget() -> None:
        session = StompSession(broker.address, reconnect=SOON).connect()
        broker.stop()
        until(lambda: session.state == "reconnecting")

    forget()
    gc.collect()
    until(lambda: threads_of_sessions() == [])


def test_a_stuck_callback_costs_a_disconnect_its_limit_once(session, monkeypatch):
    monkeypatch.setattr(reader, "LEAVE_LIMIT", 0.1)
    gate = Gate()
    streams = [session.subscribe("/topic/t", name=str(number)) for number in range(10)]
    for stream in streams:
        stream.on_frame(gate)
    session.send("/topic/t", "a")
    for stream in streams:
        stream.wait(1, 5)
    gate.reached()
    began = time.monotonic()
    session.disconnect()
    assert time.monotonic() - began < 0.6
    gate.open()


# -- the end of the process ------------------------------------------------------------------

PROGRAM = """
import sys
from stompy_jupyter import StompSession, reader
from stompy_jupyter.callbacks import CallbackThread
reader.CallbackThread = lambda name: CallbackThread(name, max_frames=1)
session = StompSession(sys.argv[1]).connect()
stream = session.subscribe("/queue/q")
{}
stream.wait(2, 5)
print("ready", flush=True)
{}
"""
STUCK = """
import threading
stream.on_frame(lambda frame: threading.Event().wait())
"""
ENDLESS = """
def turn(frame):
    while True:
        pass
stream.on_frame(turn)
"""


def flood(link: Link) -> None:
    """Sends many messages, and hears what the client says at the end."""
    link.accept()
    sub_id = link.expect("SUBSCRIBE").headers["id"]
    for number in range(20):
        link.send(message(str(number).encode(), f"subscription:{sub_id}"))
    link.serve()


@pytest.mark.parametrize(
    ("callback", "last", "code"),
    [
        ("", "", 0),
        (STUCK, "sys.exit(3)", 3),
        (ENDLESS, "1 / 0", 1),
    ],
    ids=["just ends", "exits with a full queue", "raises with an endless callback"],
)
def test_a_program_that_ends_says_goodbye_and_ends_at_once(callback, last, code):
    with Peer(flood) as peer:
        address = "{}:{}".format(*peer.address)
        program = [sys.executable, "-c", PROGRAM.format(callback, last), address]
        with subprocess.Popen(
            program,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline() == "ready\n"
            began = time.monotonic()
            assert process.wait(5) == code
            took = time.monotonic() - began
            errors = process.stderr.read()
    assert took < 1.5
    assert peer.frames[-1].command == "DISCONNECT"
    assert "ZeroDivisionError" in errors if last == "1 / 0" else errors == ""


# -- what two do at once, and interrupts ------------------------------------------------------


def test_a_function_that_takes_the_place_of_another_while_a_frame_is_filed_gets_it(
    session, monkeypatch
):
    stream = session.subscribe("/queue/q", ack_mode="client-individual")
    before, bodies = [], []

    def first(frame):
        before.append(frame.text)

    stream.on_frame(first)
    ack = session.client.ack

    def late(frame, *args, **kwargs):
        stream.on_frame(lambda frame: bodies.append(frame.text), ack=True, instead_of=first)
        return ack(frame, *args, **kwargs)

    monkeypatch.setattr(session.client, "ack", late)
    session.send("/queue/q", "a")
    until(lambda: before + bodies == ["a"], 1)


def test_two_threads_that_tell_do_not_fail(session):
    reader = session._reader
    reader._on_change = lambda: None
    errors = []

    def tell():
        try:
            for _ in range(20000):
                reader._tell()
        except IndexError as error:
            errors.append(error)

    old = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with Background(tell), Background(tell), Background(tell):
            pass
    finally:
        sys.setswitchinterval(old)
    assert errors == []


def test_a_callback_that_pauses_while_a_cell_does_is_no_wait_for_each_other(session, other):
    stream = session.subscribe("/queue/q", ack_mode="client-individual")
    entered, go = threading.Event(), threading.Event()

    def pause(frame):
        entered.set()
        go.wait(5)
        stream.pause()

    stream.on_frame(pause, ack=True)
    other.message("/queue/q", "a")
    assert entered.wait(5)
    began = time.monotonic()
    with Background(stream.pause):
        until(lambda: stream.state == "paused")
        go.set()
    assert time.monotonic() - began < 1


def test_a_replacement_that_was_interrupted_leaves_one_subscription(session, other):
    stream = session.subscribe("/queue/q", ack_mode="client-individual")
    gate = Gate()
    stream.on_frame(gate, ack=True)
    other.message("/queue/q", "a")
    gate.reached()
    main = threading.main_thread().ident
    threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        session.subscribe("/queue/q", ack_mode="client-individual")
    gate.open()
    session.subscribe("/queue/q", ack_mode="client-individual")  # the cell is run again
    assert len(session.client.subscriptions) == 1


def test_a_subscribe_that_is_interrupted_leaves_no_subscription_at_the_broker(
    broker, session, monkeypatch
):
    original = session.client.subscribe

    def interrupted(*args, **kwargs):
        original(*args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(session.client, "subscribe", interrupted)
    with pytest.raises(KeyboardInterrupt):
        session.subscribe("/queue/q")
    until(lambda: "subscribed" in [event["event"] for event in broker.events()])
    until(lambda: not any(client["subscriptions"] for client in broker.clients()))


def test_an_end_waits_for_a_callback_once_and_not_twice(session):
    stream = session.subscribe("/queue/q")
    gate = Gate()
    stream.on_frame(gate)
    session.send("/queue/q", "one")
    gate.reached()
    began = time.monotonic()
    session.disconnect()
    took = time.monotonic() - began
    gate.open()
    assert took < 3


# -- waiting for a connection that is coming back ----------------------------------------------


def test_a_connection_that_is_there_is_not_waited_for(session):
    session.wait_connected(0)


def test_a_connection_that_comes_back_is_waited_for(session, broker):
    broker.stop()
    until(lambda: session.state == "reconnecting")
    with Background(session.wait_connected), broker:
        until(lambda: session.state == "connected")


def test_a_connection_that_does_not_come_back_in_time_is_a_timeout(session, broker):
    broker.stop()
    until(lambda: session.state == "reconnecting")
    with pytest.raises(STOMPTimeout, match=r"not back after 0\.01 s"):
        session.wait_connected(0.01)


def test_a_connection_that_was_never_there_is_not_waited_for():
    with pytest.raises(STOMPClosed, match="not connected"):
        StompSession(("127.0.0.1", 1)).wait_connected()


# -- subscriptions that the broker refuses -----------------------------------------------------


def test_a_subscription_that_is_refused_ends_and_is_not_asked_for_again(session, broker):
    good = session.subscribe("/topic/good")
    bad = session.subscribe("/topic/bad", selector="price >")
    with pytest.raises(STOMPError, match="selector"):
        bad.confirm(5)
    assert (bad.state, "selector" in bad.error.Message) == ("ended", True)
    until(lambda: session.reconnects == 1)
    session.send("/topic/good", "a")
    assert good.wait(1, 5) == 1
    assert (session.state, session.reconnects) == ("connected", 1)


def test_an_error_that_names_no_frame_is_about_the_one_subscription_in_the_air():
    def first(link: Link) -> None:
        link.accept()
        link.expect("SUBSCRIBE")
        link.send(raw("ERROR", "message:access refused"))
        link.half_close()
        link.stay_silent()

    def second(link: Link) -> None:
        link.accept()
        link.serve()

    with session_of(first, second, reconnect=SOON) as (session, _):
        stream = session.subscribe("/queue/forbidden")
        with pytest.raises(STOMPError, match="access refused"):
            stream.confirm(5)
        until(lambda: session.reconnects == 1)
        assert session.client.subscriptions == {}


def test_a_subscription_that_is_confirmed_is_confirmed_at_once(session):
    began = time.monotonic()
    session.subscribe("/topic/t").confirm(5)
    assert time.monotonic() - began < 1
