"""Streams of a notebook against each broker: callbacks, acknowledgements, pauses, losses."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

import stompy
from stompy import ReconnectPolicy, STOMPFrame, STOMPTimeout
from stompy_jupyter import FrameStream, StompSession
from tests.brokers.servers import Server
from tests.brokers.tap import Tap
from tests.unit.waiting import until

WAIT = 10.0
QUIET = 0.3
"""Seconds in which nothing is to come."""
SOON = ReconnectPolicy(first=0.05, cap=0.2)


@pytest.fixture(params=["embedded", "rabbitmq", "activemq"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each broker in turn: what a test does with it must hold for all."""
    found: Server = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture
def session(server: Server) -> Iterator[StompSession]:
    with StompSession(server.address, **server.arguments) as session:
        yield session


def send(session: StompSession, destination: str, *bodies: str) -> None:
    """Send messages, and wait until the broker has them."""
    for body in bodies:
        receipt = session.send(destination, body, receipt=True)
        assert receipt is not None
        receipt.wait(WAIT)


def settled(session: StompSession, queue: str) -> None:
    """Wait until the broker has handled what this session has said."""
    send(session, f"{queue}-settled", "")


def left_in(server: Server, queue: str) -> list[str]:
    """What a queue holds when all its clients have gone, as another client gets it."""
    bodies = []
    with stompy.connect(server.address, **server.arguments) as client:
        client.subscribe(queue)
        client.message(queue, "the last")
        while (frame := client.recv(WAIT)) is not None and frame.text != "the last":
            bodies.append(frame.text)
    return bodies


def numbers(*bounds: int) -> list[str]:
    return [str(number) for number in range(*bounds)]


# -- callbacks -------------------------------------------------------------------------------


def test_a_callback_gets_each_message_in_order(session: StompSession, queue: str) -> None:
    stream = session.subscribe(queue)
    bodies: list[str] = []
    stream.on_frame(lambda frame: bodies.append(frame.text))
    for number in range(500):
        session.send(queue, str(number))
    until(lambda: len(bodies) == 500, WAIT)
    assert bodies == stream.df["body"].tolist() == numbers(500)


@pytest.mark.parametrize("mode", ["client", "client-individual"])
def test_a_callback_that_returns_acknowledges(
    session: StompSession, server: Server, queue: str, mode: str
) -> None:
    stream = session.subscribe(queue, ack_mode=mode)
    stream.on_frame(lambda frame: None, ack=True)
    send(session, queue, *numbers(20))
    until(lambda: stream.stats["calls"] == 20 and not stream.unacknowledged, WAIT)
    session.disconnect()
    assert left_in(server, queue) == []


def test_a_callback_that_raises_refuses_and_the_session_goes_on(
    session: StompSession, server: Server, queue: str
) -> None:
    """What a NACK means is the broker's matter: here it comes again, in ActiveMQ it is dead."""
    stream = session.subscribe(queue, ack_mode="client-individual")
    seen: list[str] = []

    @stream.on_frame
    def note(frame: STOMPFrame) -> None:
        seen.append(frame.text)

    def fail_once(frame: STOMPFrame) -> None:
        if frame.text == "bad" and seen.count("bad") == 1:
            raise ValueError("not now")

    stream.on_frame(fail_once, ack=True)
    send(session, queue, "good", "bad", "fine")
    times = 1 if server.name == "activemq" else 2
    until(lambda: "fine" in seen and seen.count("bad") == times, WAIT)
    until(lambda: not stream.unacknowledged, WAIT)
    assert (session.state, session.last_error) == ("connected", None)
    assert stream.stats["callback_errors"] == 1
    session.disconnect()
    assert left_in(server, queue) == []


def test_a_callback_may_leave_in_the_middle_of_a_queue(
    session: StompSession, server: Server, queue: str
) -> None:
    stream = session.subscribe(queue, ack_mode="client-individual", prefetch=5)
    done: list[str] = []

    def work(frame: STOMPFrame) -> None:
        done.append(frame.text)
        if frame.text == "9":
            stream.unsubscribe()

    stream.on_frame(work, ack=True)
    for number in range(50):
        session.send(queue, str(number))
    until(lambda: not stream.live, WAIT)
    session.disconnect()  # it waits until all that was sent is handled
    assert done == numbers(10)
    assert left_in(server, queue) == numbers(10, 50)


# -- acknowledging by hand -------------------------------------------------------------------


def test_frames_are_acknowledged_one_by_one(
    session: StompSession, server: Server, queue: str
) -> None:
    stream = session.subscribe(queue, ack_mode="client-individual", send_acks=False)
    send(session, queue, *numbers(4))
    stream.wait(4, WAIT)
    stream.ack(2)
    stream.ack()
    assert stream.unacknowledged == [1, 3]
    settled(session, queue)
    session.disconnect()
    assert left_in(server, queue) == ["1", "3"]


def test_in_the_mode_client_all_before_one(
    session: StompSession, server: Server, queue: str
) -> None:
    stream = session.subscribe(queue, ack_mode="client", send_acks=False)
    send(session, queue, *numbers(4))
    stream.wait(4, WAIT)
    stream.ack(2)
    assert stream.unacknowledged == [3]
    settled(session, queue)
    session.disconnect()
    assert left_in(server, queue) == ["3"]


def test_with_the_answer_in_one_transaction(
    session: StompSession, server: Server, queue: str
) -> None:
    answers = session.subscribe(f"{queue}-answers")
    stream = session.subscribe(queue, ack_mode="client-individual", send_acks=False)
    send(session, queue, "a", "b")
    stream.wait(2, WAIT)
    with session.transaction(receipt=True):
        stream.ack(0)
        session.send(f"{queue}-answers", "of a")
    answers.wait(1, WAIT)

    def fail() -> None:
        with session.transaction():
            session.send(f"{queue}-answers", "of b")
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        fail()
    settled(session, queue)
    assert (len(answers), stream.unacknowledged) == (1, [1])
    session.disconnect()
    assert left_in(server, queue) == ["b"]


def test_prefetch_bounds_what_is_not_acknowledged(session: StompSession, queue: str) -> None:
    stream = session.subscribe(queue, ack_mode="client-individual", send_acks=False, prefetch=2)
    send(session, queue, *numbers(5))
    stream.wait(2, WAIT)
    with pytest.raises(STOMPTimeout):
        stream.wait(3, QUIET)
    stream.ack()
    assert stream.wait(3, WAIT) == 3


# -- the end, and a pause --------------------------------------------------------------------


@pytest.mark.parametrize("broker", ["embedded", "activemq"])
def test_a_queue_that_is_left_in_the_middle_of_a_burst_loses_nothing(
    request: pytest.FixtureRequest, broker: str, queue: str
) -> None:
    server: Server = request.getfixturevalue(f"{broker}_server")
    with (
        StompSession(server.address) as session,
        stompy.connect(server.address) as other,
    ):
        stream = session.subscribe(queue)
        for number in range(1000):
            other.message(queue, str(number))
        stream.wait(10, WAIT)
        stream.unsubscribe()
    assert sorted([*stream.df["body"], *left_in(server, queue)], key=int) == numbers(1000)


@pytest.mark.parametrize("mode", ["auto", "client", "client-individual"])
def test_a_queue_keeps_its_messages_while_a_stream_pauses(
    session: StompSession, queue: str, mode: str
) -> None:
    stream = session.subscribe(queue, ack_mode=mode)
    send(session, queue, "before")
    stream.wait(1, WAIT)
    stream.pause()
    send(session, queue, "meanwhile")
    assert (len(stream), stream.state) == (1, "paused")
    stream.resume()
    assert stream.wait(2, WAIT) == 2
    assert stream.df["body"].tolist() == ["before", "meanwhile"]


@pytest.mark.parametrize("broker", ["rabbitmq", "activemq"])
def test_a_durable_subscription_is_kept_while_a_stream_pauses(
    request: pytest.FixtureRequest, broker: str, topic: str
) -> None:
    server: Server = request.getfixturevalue(f"{broker}_server")
    name = f"durable-{uuid.uuid4().hex}"
    more: Any = {"headers": {"client-id": name}}
    with StompSession(server.address, **server.arguments, **more) as session:
        stream = session.subscribe(topic, durable=name, ack_mode="client-individual")
        send(session, topic, "before")
        stream.wait(1, WAIT)
        for number in range(3):
            stream.pause()
            send(session, topic, f"pause {number}")
            stream.resume()
            stream.wait(2 + number, WAIT)
        assert stream.df["body"].tolist() == ["before", "pause 0", "pause 1", "pause 2"]
        (sub_id,) = session.client.subscriptions
        session.client.unsubscribe(sub_id, delete=True)


def test_a_stream_is_replaced_again_and_again_and_a_topic_is_never_doubled(
    session: StompSession, topic: str
) -> None:
    streams: list[FrameStream] = []
    for number in range(5):
        streams.append(session.subscribe(topic, name="t"))
        send(session, topic, str(number))
        streams[-1].wait(1, WAIT)
    assert [stream.df["body"].tolist() for stream in streams] == [[n] for n in numbers(5)]
    assert len(session.client.subscriptions) == 1


# -- a loss ----------------------------------------------------------------------------------


@pytest.fixture
def tap(server: Server) -> Iterator[Tap]:
    """A relay in front of the broker, whose line can be cut."""
    tap = Tap(server)
    yield tap
    tap.close()


@pytest.fixture
def tapped(tap: Tap, server: Server) -> Iterator[StompSession]:
    with StompSession(tap.address, **server.arguments, reconnect=SOON) as session:
        yield session


def test_streams_go_on_when_the_line_was_cut(tapped: StompSession, tap: Tap, topic: str) -> None:
    states: list[str] = []
    tapped.observe(lambda change: states.append(change.new), "state")
    streams = [tapped.subscribe(topic, name=name) for name in "ab"]
    send(tapped, topic, "before")
    for stream in streams:
        stream.wait(1, WAIT)
    tap.cut()
    until(lambda: tapped.reconnects == 1, WAIT)
    send(tapped, topic, "after")
    for stream in streams:
        stream.wait(2, WAIT)
        assert stream.df["body"].tolist() == ["before", "after"]
    assert states == ["reconnecting", "connected"]


def test_no_message_is_lost_when_the_line_is_cut_under_a_callback_that_acknowledges(
    tapped: StompSession, tap: Tap, server: Server, queue: str, recwarn: pytest.WarningsRecorder
) -> None:
    stream = tapped.subscribe(queue, ack_mode="client-individual", prefetch=10)
    done: list[str] = []

    def work(frame: STOMPFrame) -> None:
        done.append(frame.text)
        if len(done) in (50, 120):
            tap.cut()

    stream.on_frame(work, ack=True)
    with stompy.connect(server.address, **server.arguments) as other:
        for number in range(200):
            other.message(queue, str(number))
    until(lambda: set(done) == set(numbers(200)) and not stream.stats["waiting"], WAIT)
    settled(tapped, queue)
    tapped.disconnect()
    assert tapped.reconnects == 2
    assert len(done) - 200 <= 2 * 10  # what was delivered and not acknowledged
    assert left_in(server, queue) == []
    assert [str(warning.message) for warning in recwarn] == []


def test_what_was_not_acknowledged_by_hand_comes_again_when_the_line_was_cut(
    tapped: StompSession, tap: Tap, queue: str
) -> None:
    stream = tapped.subscribe(queue, ack_mode="client-individual", send_acks=False)
    send(tapped, queue, "a", "b")
    stream.wait(2, WAIT)
    stream.ack(0)
    settled(tapped, queue)
    tap.cut()
    stream.wait(3, WAIT)
    assert stream.unacknowledged == [2]
    assert stream.df["body"].tolist() == ["a", "b", "b"]
    stream.ack()
    settled(tapped, queue)


def test_a_paused_stream_stays_paused_when_the_line_was_cut(
    tapped: StompSession, tap: Tap, queue: str
) -> None:
    stream = tapped.subscribe(queue)
    stream.pause()
    tap.cut()
    until(lambda: tapped.reconnects == 1, WAIT)
    send(tapped, queue, "a")
    assert (stream.state, len(stream)) == ("paused", 0)
    stream.resume()
    assert stream.wait(1, WAIT) == 1
