"""A capture in the place of a broker, and sent to one again."""

import gc
import gzip
import json
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from traitlets import TraitError

import stompy_jupyter
from stompy import AckMode, STOMPClient, STOMPClosed, STOMPError, STOMPFrame, STOMPProtocolError
from stompy.broker import Broker, Faults
from stompy.capture import Entry, read, save
from stompy_jupyter import FrameStream, ReplaySession, StompSession, StompWidget, replay, resend
from stompy_jupyter.decode import DECODERS
from tests.unit.sessions import Gate, threads_of_sessions, waiting_in
from tests.unit.shells import received
from tests.unit.waiting import until

pytestmark = pytest.mark.usefixtures("nothing_left")

SECOND = 1_000_000_000
BEGIN = 1_700_000_000 * SECOND
FAR = 3600
"""Seconds that no test waits."""


def message(body: str, seconds: float = 0, destination: str = "/topic/prices") -> Entry:
    """A message that came so many seconds after the beginning."""
    headers = {"destination": destination, "message-id": body, "subscription": "9", "ack": body}
    return Entry(BEGIN + round(seconds * SECOND), "in", STOMPFrame("MESSAGE", headers, body))


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """`file(entry, …)` is a capture of these."""

    def file(*entries: Entry) -> Path:
        save(tmp_path / "prices.stompcap", entries)
        return tmp_path / "prices.stompcap"

    return file


@pytest.fixture
def opened() -> Iterator[Callable[..., ReplaySession]]:
    """`opened(path, …)` is a session with a capture, connected; it is disconnected at the end."""
    sessions: list[ReplaySession] = []

    def opened(path: Path, **options: Any) -> ReplaySession:
        sessions.append(ReplaySession(path, **options))
        sessions[-1].connect()
        return sessions[-1]

    yield opened
    for session in sessions:
        session.disconnect()


def interrupted_clock() -> SimpleNamespace:
    """What takes the place of the module `time`: a wait is interrupted."""

    def sleep(seconds: float) -> None:
        raise KeyboardInterrupt

    return SimpleNamespace(monotonic=time.monotonic, sleep=sleep)


def ended(stream: FrameStream) -> list[str]:
    """The bodies of a stream when its replay has come to its end."""
    until(lambda: not stream.live)
    return stream.df["body"].tolist()


def cut(path: Path, octets: int) -> Path:
    """A file without its last octets."""
    path.write_bytes(path.read_bytes()[:-octets])
    return path


# -- saving --------------------------------------------------------------------------------------


def test_what_a_stream_has_saved_gives_the_same_table_when_it_is_replayed(
    session: StompSession, tmp_path: Path
) -> None:
    prices = session.subscribe("/topic/prices", max_rows=10_000)
    for number in range(9000):
        session.send("/topic/prices", f"grüße {number}", n=number, note="a:b\\")
    session.send("/topic/prices", b"\xff\0", header_size="L", **{"content-type": "x/y"})
    prices.wait(9001)
    path = tmp_path / "prices.stompcap"
    assert prices.save(path) == 9001
    again = replay(path, speed=0)
    assert len(ended(again)) == 9001
    pd.testing.assert_frame_equal(again.df, prices.df)


def test_a_stream_saves_what_it_has_kept_whatever_came_before(
    session: StompSession, tmp_path: Path
) -> None:
    stream = session.subscribe("/queue/q", max_rows=10)
    for number in range(25):
        session.send("/queue/q", str(number))
    stream.wait(25)
    assert stream.save(tmp_path / "x.stompcap.gz") == 10
    bodies = [entry.frame.text for entry in read(tmp_path / "x.stompcap.gz")]
    assert bodies == [str(number) for number in range(15, 25)]


@pytest.mark.parametrize("decode", [*DECODERS, json.loads])
def test_bodies_are_saved_as_they_came_whatever_the_table_makes_of_them(
    session: StompSession, tmp_path: Path, decode: Any
) -> None:
    stream = session.subscribe("/queue/q", decode=decode)
    bodies = [b'{"a": 1}', "grüße".encode("latin-1"), gzip.compress(b"[1]"), b"", b"a=1\nb=2"]
    for body in bodies:
        session.send("/queue/q", body, **{"content-type": "text/plain;charset=latin-1"})
    stream.wait(len(bodies))
    assert len(stream.df) == stream.save(tmp_path / "x") == len(bodies)
    assert [entry.frame.Body for entry in read(tmp_path / "x")] == bodies


def test_a_stream_that_has_received_nothing_is_saved_as_that(
    session: StompSession, tmp_path: Path
) -> None:
    assert session.subscribe("/queue/q").save(tmp_path / "x") == 0
    assert ended(replay(tmp_path / "x")) == []


# -- coming again --------------------------------------------------------------------------------


def test_a_replay_is_a_stream_that_ends_with_the_capture(file: Callable[..., Path]) -> None:
    path = file(message("a"), message("b", 0.01), message("c", 0.02, "/queue/q"))
    stream = replay(path)
    assert ended(stream) == ["a", "b", "c"]
    assert stream.error is None
    assert stream.name == "prices.stompcap"
    assert stream.df["destination"].tolist() == ["/topic/prices"] * 2 + ["/queue/q"]
    times = pd.to_datetime([BEGIN, BEGIN + SECOND // 100, BEGIN + SECOND // 50], utc=True)
    assert stream.df["received_at"].tolist() == list(times)
    assert stream.session.state == "disconnected"
    assert [entry.kind for entry in stream.session.journal] == [
        *("connected", "subscribed", "disconnected"),
    ]
    with pytest.raises(STOMPClosed, match="ended when 3 of 4 frames had come"):
        stream.wait(4)


def test_it_keeps_to_its_times_and_the_speed(file: Callable[..., Path]) -> None:
    path = file(message("a"), message("b", 10), message("c", 10 + FAR))
    began = time.monotonic()
    stream = replay(path, speed=100)
    assert received(stream) == ["a"]
    assert stream.state == "live"
    stream.wait(2)
    assert 0.1 <= time.monotonic() - began < 2
    assert stream.received == 2
    stream.session.disconnect()
    assert not stream.live


def test_it_can_be_as_fast_as_it_goes_and_no_more_than_a_part(file: Callable[..., Path]) -> None:
    path = file(*(message(str(number), number * FAR) for number in range(3000)))
    assert len(ended(replay(path, speed=0))) == 3000
    assert ended(replay(path, speed=float("inf"), n=2)) == ["0", "1"]


def test_messages_of_one_time_come_together_and_in_order(file: Callable[..., Path]) -> None:
    path = file(*(message(str(number), number // 1500) for number in range(3000)))
    stream = replay(path, speed=0)
    assert ended(stream) == [str(number) for number in range(3000)]
    assert stream.df["received_at"].nunique() == 2


def test_a_stream_can_be_of_one_destination_or_a_pattern(
    file: Callable[..., Path], opened: Callable[..., ReplaySession]
) -> None:
    path = file(
        message("a", 0, "/topic/prices.eur"),
        message("b", 0, "/topic/prices.usd"),
        message("c", 0, "/queue/prices"),
    )
    session = opened(path, held=True)
    wanted = ["/topic/prices.eur", "/topic/prices.*", ">", "/queue/prices", "/queue/none"]
    streams = [session.subscribe(destination) for destination in wanted]
    session.play()
    assert [ended(stream) for stream in streams] == [["a"], ["a", "b"], ["a", "b", "c"], ["c"], []]
    assert session.received == 7


def test_arguments_of_a_stream_are_those_of_any(file: Callable[..., Path]) -> None:
    stream = replay(file(message('{"a": 1}')), name="prices", decode="json", max_rows=7)
    assert (stream.name, stream.table.max_rows) == ("prices", 7)
    assert ended(stream) == [{"a": 1}]


def test_callbacks_get_every_frame_in_order_and_hold_the_replay_back(
    file: Callable[..., Path], opened: Callable[..., ReplaySession]
) -> None:
    session = opened(file(*(message(str(number)) for number in range(50_000))), speed=0, held=True)
    stream = session.subscribe("/topic/prices")
    gate = Gate()
    stream.on_frame(gate)
    session.play()
    gate.reached()
    until(lambda: stream.stats["waiting"] >= 10_000)
    assert stream.received < 50_000
    gate.open()
    ended(stream)
    until(lambda: len(gate.bodies) == 50_000)
    assert gate.bodies == [str(number) for number in range(50_000)]


def test_what_a_callback_acknowledges_is_acknowledged_to_nobody(
    file: Callable[..., Path], opened: Callable[..., ReplaySession]
) -> None:
    session = opened(file(*(message(str(number)) for number in range(100))), speed=0, held=True)
    stream = session.subscribe("/topic/prices", ack_mode=AckMode.ClientInd)
    answered = []

    @stream.on_frame
    def answer(frame: STOMPFrame) -> None:
        frame.nack() if len(answered) % 2 else frame.ack()
        answered.append(frame.text)

    @session.subscribe(">", ack_mode="client").on_frame
    def fail(frame: STOMPFrame) -> None:
        frame.ack()

    session.play()
    ended(stream)
    until(lambda: len(answered) == 100)
    assert stream.stats["callback_errors"] == 0


def test_a_stream_that_is_acknowledged_by_its_callback_gets_all_of_it(
    file: Callable[..., Path], opened: Callable[..., ReplaySession]
) -> None:
    session = opened(file(*(message(str(number)) for number in range(500))), speed=0, held=True)
    stream = session.subscribe("/topic/prices", ack_mode="client-individual")
    bodies: list[str] = []
    stream.on_frame(lambda frame: bodies.append(frame.text), ack=True)
    session.play()
    until(lambda: len(bodies) == 500)
    until(lambda: not stream.unacknowledged)


def test_frames_can_be_acknowledged_by_hand(
    file: Callable[..., Path], opened: Callable[..., ReplaySession]
) -> None:
    session = opened(file(message("a"), message("b"), message("c", FAR)))
    options: dict[str, Any] = {"ack_mode": "client-individual", "send_acks": False}
    stream = session.subscribe("/topic/prices", **options)
    stream.wait(2)
    stream.ack(1)
    assert stream.unacknowledged == [0]


def test_the_keeper_of_a_stream_keeps_what_is_replayed(
    file: Callable[..., Path], opened: Callable[..., ReplaySession], tmp_path: Path
) -> None:
    session = opened(file(*(message(str(number)) for number in range(50))), speed=0)
    stream = session.subscribe("/topic/prices", keep=tmp_path / "kept", ack_mode="client")
    ended(stream)
    session.disconnect()
    kept = pd.concat(pd.read_parquet(path) for path in (tmp_path / "kept").rglob("*.parquet"))
    assert kept["message_id"].tolist() == [str(number) for number in range(50)]


# -- holding it ----------------------------------------------------------------------------------


@pytest.mark.parametrize("ack_mode", [*AckMode])
def test_nothing_goes_by_while_the_only_stream_is_paused(
    file: Callable[..., Path], opened: Callable[..., ReplaySession], ack_mode: AckMode
) -> None:
    session = opened(file(*(message(str(n), n / 1000) for n in range(2000))), speed=20)
    stream = session.subscribe("/topic/prices", ack_mode=ack_mode)
    for _ in range(5):
        stream.wait(min(stream.received + 1, 2000))
        stream.pause()
        count = stream.received
        time.sleep(0.01)  # a replay that goes on would be ahead by now
        assert stream.received == count
        assert stream.state == ("paused" if count < 2000 else stream.state)
        stream.resume()
    assert ended(stream) == [str(number) for number in range(2000)]


def test_a_stream_that_is_paused_beside_another_misses_what_comes(
    file: Callable[..., Path], opened: Callable[..., ReplaySession]
) -> None:
    path = file(message("a"), message("b"), message("c", 1), message("d", FAR))
    session = opened(path, held=True)
    first = session.subscribe("/topic/prices", name="first")
    second = session.subscribe("/topic/prices", name="second")
    second.pause()
    session.play()
    first.wait(2)
    second.resume()
    assert received(second) == ["c"]
    assert received(first, 3) == ["a", "b", "c"]


def test_a_replay_can_be_held_and_go_on(
    file: Callable[..., Path], opened: Callable[..., ReplaySession]
) -> None:
    session = opened(file(message("a"), message("b", 0.02), message("c", FAR)), held=True)
    stream = session.subscribe("/topic/prices")
    stream.confirm(5)
    time.sleep(0.05)  # a replay that begins would be ahead by now
    assert stream.received == 0
    session.play()
    stream.wait(2)
    session.hold()
    assert stream.state == "live"
    session.play()
    assert stream.received == 2


def test_a_stream_that_is_unsubscribed_has_ended_and_the_others_go_on(
    file: Callable[..., Path], opened: Callable[..., ReplaySession]
) -> None:
    session = opened(file(message("a"), message("b", 1), message("c", FAR)))
    first = session.subscribe("/topic/prices", name="first")
    second = session.subscribe("/topic/prices", name="second")
    first.wait(1)
    first.unsubscribe()
    assert received(second, 2) == ["a", "b"]
    assert (first.state, first.received, second.state) == ("ended", 1, "live")
    assert list(session.streams) == ["second"]


def test_a_session_that_has_ended_can_begin_anew(
    file: Callable[..., Path], opened: Callable[..., ReplaySession]
) -> None:
    session = opened(file(message("a"), message("b")))
    assert ended(session.subscribe("/topic/prices")) == ["a", "b"]
    until(lambda: not session.alive)
    with pytest.raises(STOMPClosed, match="has ended"):
        session.subscribe("/topic/prices")
    session.connect()
    assert ended(session.subscribe("/topic/prices")) == ["a", "b"]


# -- what it is not ------------------------------------------------------------------------------


def test_sending_to_a_replay_is_an_error_that_says_so(
    file: Callable[..., Path], opened: Callable[..., ReplaySession]
) -> None:
    session = opened(file(message("a", 0), message("b", FAR)))
    stream = session.subscribe("/topic/prices")
    stream.wait(1)
    for send in (
        lambda: session.send("/topic/prices", "c"),
        lambda: session.send("/topic/prices", "c", receipt=True),
        lambda: session.client.message("/topic/prices", "c"),
        lambda: session.client.recv(),
        session.client.transaction,
        session.transaction().__enter__,
    ):
        with pytest.raises(STOMPError, match="a replay has no broker to send to"):
            send()
    assert session.sent == 0
    assert stream.live


def test_selectors_and_durable_subscriptions_are_the_brokers(
    file: Callable[..., Path], opened: Callable[..., ReplaySession]
) -> None:
    session = opened(file(message("a", 0)))
    with pytest.raises(STOMPError, match="a replay has no selectors"):
        session.subscribe("/topic/prices", selector="a = 1")
    with pytest.raises(STOMPError, match="a replay has no durable subscriptions"):
        session.subscribe("/topic/prices", durable="me")
    assert session.streams == {}
    assert ended(session.subscribe("/topic/prices", prefetch=1)) == ["a"]


def test_the_variable_with_an_address_says_nothing_of_a_replay(
    file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOMPY_URL", "stomp://no.example")
    path = file(message("a"))
    stream = replay(path)
    assert ended(stream) == ["a"]
    assert stream.session.address == stream.session.name == str(path)
    with pytest.raises(TraitError):
        stream.session.address = "another"


# -- files ---------------------------------------------------------------------------------------


def test_a_capture_that_is_cut_off_says_so_at_its_end(file: Callable[..., Path]) -> None:
    stream = replay(cut(file(message("a"), message("b"), message("c")), 3), speed=0)
    assert ended(stream) == ["a", "b"]
    assert stream.error is not None
    assert stream.error.Message.endswith("prices.stompcap is missing")
    assert stream.session.state == "lost"
    assert stream.session.last_error is stream.error


def test_a_capture_that_is_damaged_further_on_ends_there(file: Callable[..., Path]) -> None:
    path = file(message("a"), message("b"))
    path.write_bytes(path.read_bytes() + b"nonsense\n")
    stream = replay(path, speed=0)
    assert ended(stream) == ["a", "b"]
    assert isinstance(stream.error, STOMPProtocolError)
    assert "frame 3, behind octet" in stream.error.Message


def test_what_is_no_capture_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("nonsense")
    with pytest.raises(STOMPProtocolError, match="no capture"):
        replay(tmp_path / "x")
    with pytest.raises(FileNotFoundError):
        replay(tmp_path / "none")
    with pytest.raises(ValueError, match="is no speed"):
        replay(tmp_path / "x", speed=-1)
    (tmp_path / "x").write_bytes(b"STOMPCAP 1\nnonsense\n")
    with pytest.raises(STOMPProtocolError, match="frame 1, behind octet 11"):
        replay(tmp_path / "x")


def test_a_capture_that_has_no_whole_frame_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"STOMPCAP")
    stream = replay(tmp_path / "x")
    assert ended(stream) == []
    assert stream.error is not None


# -- what is seen, and what is left --------------------------------------------------------------


def test_a_widget_shows_a_replay_as_any_session(file: Callable[..., Path]) -> None:
    path = file(message("a"), message("b", FAR))
    stream = replay(path, name="prices")
    stream.wait(1)
    widget = StompWidget(stream.session, stream)
    shown = widget.get_state("_snapshot")["_snapshot"]
    head = shown["session"]
    assert (head["address"], head["state"]) == (str(path), "connected")
    assert (head["server"], head["version"], head["beats"]) == ("replay", "1.2", None)
    (part,) = shown["streams"]
    assert (part["name"], part["destination"], part["received"]) == ("prices", ">", 1)
    widget.close()
    stream.session.disconnect()
    assert repr(stream.session) == f"<StompSession {path} disconnected, STOMP 1.2>"


def test_a_replay_that_is_forgotten_ends(file: Callable[..., Path]) -> None:
    stream = replay(file(message("a"), message("b", FAR)))
    stream.wait(1)
    session = weakref.ref(stream.session)
    del stream
    gc.collect()
    assert session() is None
    until(lambda: not threads_of_sessions())


def test_the_names_of_the_package_are_there() -> None:
    assert {"ReplaySession", "replay", "resend"} <= set(stompy_jupyter.__all__)


# -- sending it again ----------------------------------------------------------------------------


def test_messages_are_sent_again_to_where_they_came_from_or_elsewhere(
    session: StompSession, other: STOMPClient, file: Callable[..., Path]
) -> None:
    path = file(message("a", 0, "/queue/a"), message("b", 0.01, "/queue/b"))
    assert resend(session, path) == 2
    assert waiting_in(other, "/queue/a") == ["a"]
    assert waiting_in(other, "/queue/b") == ["b"]
    assert resend(session, path, to="/queue/all", speed=0, n=1) == 1
    assert waiting_in(other, "/queue/all") == ["a"]
    assert session.sent == 3


def test_they_are_confirmed_when_it_returns(
    session: StompSession, broker: Broker, file: Callable[..., Path]
) -> None:
    path = file(*(message(str(number)) for number in range(3000)))
    assert resend(session, path, to="/queue/q", speed=0) == 3000
    (queue,) = (row for row in broker.destinations() if row["destination"] == "/queue/q")
    assert queue["waiting"] == 3000


def test_in_a_transaction_they_arrive_together(
    session: StompSession, other: STOMPClient, file: Callable[..., Path]
) -> None:
    with session.transaction(receipt=True):
        assert resend(session, file(message("a"), message("b")), to="/queue/q", speed=0) == 2
        assert waiting_in(other, "/queue/q") == []
    assert waiting_in(other, "/queue/q") == ["a", "b"]


def test_an_interrupt_says_how_many_were_sent(
    session: StompSession, other: STOMPClient, file: Callable[..., Path], monkeypatch: Any
) -> None:
    path = file(message("a"), message("b"), message("c", FAR))
    monkeypatch.setattr("stompy_jupyter.replaying.time", interrupted_clock())
    with pytest.raises(KeyboardInterrupt) as caught:
        resend(session, path, to="/queue/q")
    assert caught.value.__notes__ == [f"2 messages of {path} were sent."]
    session.send("/topic/nobody", receipt=True).wait()  # what was sent before has arrived, too
    assert waiting_in(other, "/queue/q") == ["a", "b"]


def test_what_a_broker_does_not_confirm_is_an_error_that_says_how_many_were_sent(
    session: StompSession, broker: Broker, file: Callable[..., Path], monkeypatch: Any
) -> None:
    monkeypatch.setattr("stompy_jupyter.replaying.RECEIPT_LIMIT", 0.05)
    broker.set_faults(Faults(no_receipts=True))
    with pytest.raises(STOMPError, match="receipt") as caught:
        resend(session, file(message("a")), speed=0)
    assert caught.value.__notes__[0].startswith("1 messages of")


def test_a_capture_that_is_cut_off_is_sent_as_far_as_it_goes_and_is_an_error(
    session: StompSession, other: STOMPClient, file: Callable[..., Path]
) -> None:
    path = cut(file(message("a"), message("b")), 3)
    with pytest.raises(STOMPError, match="is missing: 1 messages before it were sent"):
        resend(session, path, to="/queue/q", speed=0)
    assert waiting_in(other, "/queue/q") == ["a"]


def test_a_session_that_has_ended_sends_no_more(
    session: StompSession, broker: Broker, file: Callable[..., Path]
) -> None:
    path = file(message("a"), message("b", FAR))
    thread = threading.Timer(0.05, session.disconnect)
    thread.start()
    with pytest.raises(STOMPClosed, match="the session is disconnected"):
        resend(session, path)
    thread.join()
