"""StompWidget, without a kernel: its comm goes nowhere."""

import gc
import json
import time
import weakref
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from stompy import STOMPError, TracedFrame
from stompy.wire import encode
from stompy_jupyter import StompSession, StompWidget, tally, widget
from stompy_jupyter.publisher import publisher
from stompy_jupyter.trace import FrameTrace
from stompy_jupyter.window import SAVED, size_of
from tests.unit.fakes import FakeSession, receive
from tests.unit.peer import Link, Peer, raw
from tests.unit.sessions import SOON
from tests.unit.waiting import until

pytestmark = pytest.mark.usefixtures("nothing_left")

GONE = "is gone from the kernel"


class Recording(StompWidget):
    """Notes what it sends to the browser."""

    def __init__(self, *args: Any) -> None:
        self.sent: list[dict[str, Any]] = []
        self.buffers: dict[str, list[bytes]] = {}
        super().__init__(*args)

    def send(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        if content["kind"] == "reply":
            self.buffers[content["id"]] = buffers or []
        self.sent.append(content)

    @property
    def windows(self) -> list[dict[str, Any]]:
        return [message for message in self.sent if message["kind"] == "window"]

    def says(self, kind: str, **args: Any) -> None:
        """Have the browser ask for something, by an id that is the kind."""
        self._handle_custom_msg({"kind": kind, "id": kind, **args}, [])

    def answer(self, kind: str, **args: Any) -> dict[str, Any]:
        """Ask for something and wait for the answer."""
        before = len(self.sent)
        self.says(kind, **args)
        return until(lambda: next((m for m in self.sent[before:] if m.get("id") == kind), None))


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No publisher: the test itself asks the widget for its news."""
    monkeypatch.setattr(publisher, "add", lambda _: None)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time as widgets see it."""
    now = [1000.0]
    monkeypatch.setattr(widget.time, "monotonic", lambda: now[0])
    return now


# -- windows ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("quiet")
def test_the_streams_that_were_chosen_are_shown_or_else_all_also_later_ones(session):
    one, _ = session.add("one"), session.add("two")
    chosen, all_of_them = StompWidget(session, one), StompWidget(session)
    session.add("three")
    assert [stream["name"] for stream in chosen.window()["streams"]] == ["one"]
    names = [stream["name"] for stream in all_of_them.window()["streams"]]
    assert names == ["one", "two", "three"]


@pytest.mark.usefixtures("quiet")
def test_a_stream_that_ends_stays_in_the_view_of_its_session_until_another_has_its_name(session):
    session.add("other")
    kept = weakref.ref(session.add("prices"))
    receive(session.streams["prices"], "a")
    widget = StompWidget(session)
    assert widget.news()
    session.streams.pop("prices").table.end()
    gc.collect()
    shown = {part["name"]: part for part in widget.news()["streams"]}
    assert shown["prices"]["state"] == "ended"
    assert shown["prices"]["rows"][0][2] == "a"
    session.add("prices")
    assert [part["state"] for part in widget.news()["streams"]] == ["live", "live"]
    gc.collect()
    assert kept() is None


@pytest.mark.usefixtures("quiet")
def test_there_are_news_once_and_again_when_something_has_changed(session):
    stream = session.add("t")
    shown = StompWidget(session)
    assert shown.news()["streams"][0]["received"] == 0
    changes = [
        lambda: receive(stream),
        lambda: setattr(session, "state", "lost"),
        lambda: setattr(session, "last_error", STOMPError("why")),
        lambda: session.journal.note("error", "why"),
        lambda: receive(session.add("t")),  # another stream of the same name and numbers
        lambda: session.streams["t"].table.end(),
        lambda: session.add("u"),
        lambda: session.streams.pop("u"),
    ]
    numbers = []
    for change in changes:
        assert shown.news() is None
        change()
        numbers.append(shown.news()["seq"])
    assert shown.news() is None
    assert numbers == list(range(numbers[0], numbers[0] + len(changes)))


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("number", ["sent", "received", "reconnects"])
def test_numbers_of_the_session_alone_are_news_once_a_second(session, clock, number):
    shown = StompWidget(session)
    shown.news()
    setattr(session, number, 1)
    clock[0] += 0.5
    assert shown.news() is None
    clock[0] += 0.6
    assert shown.news()["session"][number] == 1
    clock[0] += 100
    assert shown.news() is None


@pytest.mark.usefixtures("quiet")
def test_numbers_alone_are_news_less_often_the_more_widgets_there_are(session, clock, monkeypatch):
    shown = StompWidget(session)
    shown.news()
    monkeypatch.setattr(publisher, "_sources", [weakref.ref(shown)] * 15)
    session.received = 1
    clock[0] += 4.9
    assert shown.news() is None
    clock[0] += 0.2
    assert shown.news()["session"]["received"] == 1


SENT = encode("SEND", {"destination": "/topic/t"}, b"a")


@pytest.mark.usefixtures("quiet")
def test_a_tally_is_news_once_a_second_also_when_no_frame_comes(session, clock, monkeypatch):
    stream = session.add("t")
    wall = [2_000_000_000.0]
    monkeypatch.setattr(tally.time, "time", lambda: wall[0])
    shown = StompWidget(session)
    assert shown.news()["streams"][0]["tally"] is None

    def news(seconds: float) -> dict[str, Any] | None:
        clock[0] += seconds
        wall[0] += seconds
        window = shown.news()
        return window and window["streams"][0]["tally"]

    stream.tally(grace=2.5)
    assert news(1.1)["expected"] == 0
    assert news(1.1) is None
    sent_at(session.trace, wall[0])
    assert news(0.5)["coming"] == 0  # that something was sent is news by itself
    assert news(1.1)["coming"] == 1
    assert news(0.5) is None
    found = news(1.1)  # what is on its way is lost by now
    assert (found["coming"], found["lost"]) == (0, 1)
    assert news(100) is None
    stream.tallies[0].stop()
    assert news(1.1) is None
    assert shown.window()["streams"][0]["tally"] is None


def sent_at(trace: FrameTrace, moment: float) -> None:
    """Have a message sent to the stream's destination then."""
    tell = trace.beside(lambda _: None)
    assert callable(tell)
    tell(TracedFrame(moment, True, SENT, "1.2"))


@pytest.mark.usefixtures("quiet")
def test_how_a_tally_has_ended_comes_with_the_end_of_its_stream(session, clock):
    stream = session.add("t")
    stream.tally(grace=1000)
    shown = StompWidget(session, stream)
    sent_at(session.trace, time.time())
    clock[0] += 1.1
    assert shown.news()["streams"][0]["tally"]["coming"] == 1
    stream.table.end()
    assert shown.news()["streams"][0]["tally"]["lost"] == 1


@pytest.mark.usefixtures("quiet")
def test_a_beat_is_news_once_and_silence_is_none(session, clock):
    session.fake.heart_beat = (10_000, 0)
    shown = StompWidget(session)
    session.fake.silence = (0.0, 0.0)
    shown.news()
    for seconds in (2, 4, 6, 8):
        clock[0] += 2
        session.fake.silence = (seconds + 0.000_3 * seconds, 0.1)  # nobody has agreed on theirs
        assert shown.news() is None
    clock[0] += 2
    session.fake.silence = (0.25, 0.1)
    assert shown.news()["session"]["beats"] == {"out": [10_000, 250], "in": [0, 100]}
    clock[0] += 2
    session.fake.silence = (2.25, 0.1)
    assert shown.news() is None


@pytest.mark.usefixtures("quiet")
def test_the_snapshot_of_a_page_is_made_when_it_is_asked_for(session):
    stream = session.add("t")
    shown = StompWidget(session)
    assert shown.get_state()["_snapshot"]["streams"][0]["received"] == 0
    for _ in range(80):
        receive(stream)
    snapshot = shown.get_state(["_snapshot"])["_snapshot"]
    assert len(snapshot["streams"][0]["rows"]) == 50
    assert {**snapshot, "now": 0} == {**shown.window(SAVED), "now": 0}
    assert size_of(snapshot) <= 48 * 1024


@pytest.mark.usefixtures("quiet")
def test_a_snapshot_does_not_count_as_news(session):
    stream = session.add("t")
    shown = StompWidget(session)
    seq = shown.news()["seq"]
    receive(stream)
    assert shown.window()["seq"] == seq
    assert shown.news()["seq"] == seq + 1


@pytest.mark.usefixtures("quiet")
def test_what_is_looked_at_again_and_again_costs_little(session):
    for number in range(20):
        stream = session.add(f"t{number}")
        receive(stream, "x" * 1000)
    shown = StompWidget(session)
    shown.news()
    rounds = 200
    began = time.perf_counter()
    for _ in range(rounds):
        assert shown.news() is None
    assert (time.perf_counter() - began) / rounds < 0.002


@pytest.mark.usefixtures("quiet")
def test_the_front_end_comes_with_the_package_and_is_small(session):
    state = StompWidget(session).get_state()
    assert "export" in state["_esm"]
    assert len(state["_esm"]) + len(state["_css"]) < 150 * 1024


# -- the publisher ---------------------------------------------------------------------------


@pytest.fixture
def shown(session: FakeSession) -> Iterator[Recording]:
    session.add("t")
    widget = Recording(session)
    yield widget
    widget.close()


def test_the_publisher_sends_the_news_of_a_widget(session, shown):
    until(lambda: shown.sent)
    for count in (1, 2):
        receive(session.streams["t"])
        until(lambda count=count: shown.sent[-1]["streams"][0]["received"] == count)
    seqs = [message["seq"] for message in shown.sent]
    assert seqs == sorted(set(seqs))


def test_a_page_that_says_hello_gets_a_window_though_nothing_is_new(session, shown):
    until(lambda: shown.sent)
    assert shown.answer("hello") == {"kind": "reply", "id": "hello", "result": {}}
    first, second = until(lambda: len(shown.windows) == 2 and shown.windows)
    assert second["seq"] == first["seq"] + 1
    assert shown.sent.index(second) == 2


def test_a_closed_widget_sends_nothing_more(session, shown):
    until(lambda: shown.sent)
    shown.close()
    shown.close()
    shown.says("hello")
    sent, other = len(shown.sent), Recording(session)
    receive(session.streams["t"])
    until(lambda: other.sent)
    assert len(shown.sent) == sent


def test_what_the_browser_asks_is_answered_with_buffers(session, shown):
    stream = session.streams["t"]
    receive(stream, b"\xff\x00")
    assert shown.answer("frame", stream=stream.id, number=0, offset=0)["result"]["size"] == 2
    assert shown.buffers["frame"] == [b"\xff\x00"]
    assert "error" in shown.answer("frame", stream=stream.id, number=1, offset=0)


def test_messages_keep_their_interval_and_are_small_whatever_is_asked(session, shown, monkeypatch):
    times: list[float] = []
    send = Recording.send

    def timed(self: Recording, content: dict[str, Any], buffers: Any = None) -> None:
        times.append(time.monotonic())
        size = size_of(content) + sum(map(len, buffers or []))
        assert size < 128 * 1024
        send(self, content, buffers)

    stream = session.streams["t"]
    for _ in range(300):
        receive(stream, "\U0001f600" * 5000, **{"\x1b" * 200: "\U0001f600" * 5000})
    until(lambda: shown.windows)
    monkeypatch.setattr(Recording, "send", timed)
    for _ in range(2):
        shown.says("rows", stream=stream.id, first=0, count=500)
        shown.says("frame", stream=stream.id, number=0, offset=0)
        shown.says("find", stream=stream.id, terms=[], first=0)
        receive(stream)
    until(lambda: len([message for message in shown.sent if "id" in message]) == 6)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps) > 0.09


def rows_of(window: dict[str, Any]) -> list[Any]:
    """The rows of all streams in a window."""
    return [row for stream in window["streams"] for row in stream["rows"]]


# -- real sessions ---------------------------------------------------------------------------


def test_a_widget_of_a_real_session_follows_it(broker):
    with StompSession(broker.address) as session:
        shown = Recording(session)
        session.subscribe("/queue/q", name="q").session.send("/queue/q", "a")
        (row,) = until(lambda: [row for part in shown.windows[-1:] for row in rows_of(part)])
        assert row[2] == "a"
        assert [entry["kind"] for entry in shown.sent[-1]["log"]] == ["connected", "subscribed"]
    until(lambda: shown.sent[-1]["session"]["state"] == "disconnected")
    assert shown.sent[-1]["streams"][0]["state"] == "ended"


def test_a_widget_shows_the_beats_of_its_connection(broker):
    with StompSession(broker.address, heart_beat=(500, 500)) as session:
        out, into = Recording(session).window()["session"]["beats"].values()
        assert (out[0], into[0]) == session.client.heart_beat
        assert 0 <= out[1] < 2000
        assert 0 <= into[1] < 2000


def test_a_passcode_is_in_no_state_of_a_widget(broker):
    with StompSession(broker.address, login="me", passcode="s3cr3t") as session:
        shown = StompWidget(session)
        assert "s3cr3t" not in json.dumps(shown.get_state())
        assert "s3cr3t" not in repr(shown)


def test_a_passcode_that_a_broker_repeats_in_an_error_is_shown_nowhere():
    def script(link: Link) -> None:
        link.accept()
        link.send(raw("ERROR", "message:me with s3cr3t is refused", body=b"s3cr3t"))

    with Peer(script) as peer:
        session = StompSession(peer.address, login="me", passcode="s3cr3t", reconnect=False)
        shown = Recording(session.connect())
        until(lambda: shown.windows and shown.windows[-1]["session"]["state"] == "lost")
        assert shown.windows[-1]["session"]["error"] == "the broker says: me with *** is refused"
        assert "s3cr3t" not in json.dumps([shown.sent, shown.get_state()])
        assert "s3cr3t" not in session._repr_html_()
        session.disconnect()


def test_a_widget_keeps_a_session_that_is_connected_and_nobody_else_has(broker):
    shown = Recording(StompSession(broker.address, reconnect=SOON).connect())
    until(lambda: shown.windows)
    gc.collect()
    assert "stream" in shown.answer("subscribe", destination="/queue/q", ack="auto")["result"]
    broker.drop()
    until(lambda: shown.windows[-1]["session"]["reconnects"] == 1)
    gc.collect()
    shown.answer(
        "send", destination="/queue/q", headers=[], body="a", receipt=None, transaction=False
    )
    until(lambda: shown.windows[-1]["streams"][0]["received"] == 1)
    assert shown.answer("disconnect")["result"] == {}
    until(lambda: shown.windows[-1]["session"]["state"] == "disconnected")
    gc.collect()
    assert GONE in shown.answer("connect")["error"]["message"]


def test_a_session_that_somebody_has_is_connected_again_from_its_head(session, broker):
    with StompSession(broker.address) as real:
        shown = Recording(real)
        assert shown.answer("disconnect")["result"] == {}
        until(lambda: shown.windows and shown.windows[-1]["session"]["state"] == "disconnected")
        assert shown.answer("connect")["result"] == {}
        until(lambda: shown.windows[-1]["session"]["state"] == "connected")


# -- what a widget keeps ---------------------------------------------------------------------


def test_a_closed_widget_does_not_keep_its_session():
    session = FakeSession()
    kept = weakref.ref(session)
    shown = StompWidget(session)
    shown.close()
    del session
    gc.collect()
    assert kept() is None
    assert shown.window()["streams"] == []


@pytest.mark.usefixtures("quiet")
def test_a_widget_keeps_of_ended_streams_what_it_shows_and_not_their_tables(session):
    stream = session.add("one")
    session.add("two")
    shown = StompWidget(session, stream)
    receive(stream, "last")
    stream.table.end()
    news = shown.news()
    assert news["streams"][0]["rows"][0][2] == "last"
    assert news["streams"][0]["state"] == "ended"
    table, id = weakref.ref(stream.table), stream.id
    session.streams.clear()
    del stream
    gc.collect()
    assert table() is None
    assert shown.news() is None
    assert shown.get_state()["_snapshot"]["streams"] == news["streams"]
    assert shown.window()["streams"] == news["streams"]
    shown._actions.take({"kind": "pause", "id": "1", "stream": id})
    answer, _ = until(shown.reply)
    assert answer["error"]["message"] == "the stream is gone from the kernel"
    assert answer["error"]["hint"] == "run the cell again"


@pytest.mark.usefixtures("quiet")
def test_a_widget_keeps_a_stream_until_it_has_shown_that_it_ended(session):
    stream = session.add("one")
    shown = StompWidget(session, stream)
    shown.news()
    receive(stream, "last")
    stream.table.end()
    session.streams.clear()
    del stream
    gc.collect()
    (part,) = shown.news()["streams"]
    assert (part["state"], part["rows"][0][2]) == ("ended", "last")


@pytest.mark.usefixtures("quiet")
def test_a_widget_shows_what_is_left_of_one_stream_beside_another_that_goes_on(session):
    one, two = session.add("one"), session.add("two")
    shown = StompWidget(session, one, two)
    receive(one, "last")
    one.table.end()
    shown.news()
    del session.streams["one"], one
    gc.collect()
    receive(two, "more")
    first, second = shown.news()["streams"]
    assert (first["name"], first["state"], first["rows"][0][2]) == ("one", "ended", "last")
    assert (second["name"], second["received"]) == ("two", 1)


def test_a_stream_that_has_ended_can_be_looked_into_as_long_as_somebody_has_it(session):
    stream = session.add("t")
    shown = Recording(session, stream)
    receive(stream, "a")
    stream.table.end()
    session.state = "disconnected"
    until(lambda: shown.windows and shown.windows[-1]["session"]["state"] == "disconnected")
    until(lambda: not publisher._sources)  # it is not looked at any more
    asked = {"stream": stream.id, "first": 0, "count": 10}
    assert shown.answer("rows", **asked)["result"]["rows"][0][2] == "a"
    until(lambda: not publisher._sources)
    assert shown.answer("rows", **asked)["result"]["received"] == 1


def test_a_page_that_says_hello_gets_the_last_window_when_all_else_is_gone(session):
    stream = session.add("t")
    shown = Recording(session, stream)
    receive(stream, "last")
    stream.table.end()
    until(lambda: shown.windows and shown.windows[-1]["streams"][0]["state"] == "ended")
    session.streams.clear()
    kept = weakref.ref(session.add("other"))  # goes with the session
    del stream
    count = len(shown.windows)
    shown.answer("hello")
    until(lambda: len(shown.windows) > count)
    assert shown.windows[-1]["streams"][0]["rows"][0][2] == "last"
    assert kept() is not None


def test_the_last_word_about_a_session_that_ends_with_its_streams_is_true(broker):
    with StompSession(broker.address) as session:
        stream = session.subscribe("/queue/q")
        shown = Recording(session, stream)
        until(lambda: shown.windows)
    until(lambda: not publisher._sources)
    assert shown.windows[-1]["session"]["state"] == "disconnected"
    assert shown.windows[-1]["streams"][0]["state"] == "ended"


def test_the_head_is_true_also_when_the_streams_have_ended_before(broker):
    with StompSession(broker.address) as session:
        stream = session.subscribe("/queue/q")
        shown = Recording(session, stream)
        stream.unsubscribe()
        until(lambda: shown.windows and shown.windows[-1]["streams"][0]["state"] == "ended")
        assert shown.windows[-1]["session"]["state"] == "connected"
    until(lambda: shown.windows[-1]["session"]["state"] == "disconnected")


def test_a_stream_that_is_subscribed_in_a_widget_is_shown_in_it(broker):
    with StompSession(broker.address) as session:
        stream = session.subscribe("/queue/q")
        shown = Recording(session, stream)
        answer = shown.answer("subscribe", destination="/queue/r", ack="client-individual")
        until(lambda: shown.windows and len(shown.windows[-1]["streams"]) == 2)
        part = shown.windows[-1]["streams"][1]
        assert (part["id"], part["answers"]) == (answer["result"]["stream"], True)


def test_a_widget_whose_streams_have_ended_shows_one_that_is_subscribed_then(broker):
    with StompSession(broker.address) as session:
        stream = session.subscribe("/queue/q")
        shown = Recording(session, stream)
        stream.unsubscribe()
        until(lambda: shown.windows and shown.windows[-1]["streams"][0]["state"] == "ended")
        shown.answer("subscribe", destination="/queue/r", ack="auto")
        session.send("/queue/r", "a")
        until(lambda: len(shown.windows[-1]["streams"]) == 2)
        until(lambda: shown.windows[-1]["streams"][1]["received"] == 1)


class Interrupted(FakeSession):
    """Runs `meanwhile` once, where another thread could, while a widget looks at it."""

    meanwhile = None

    @property
    def state(self) -> str:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return "connected"

    @state.setter
    def state(self, _: str) -> None:
        pass


@pytest.mark.usefixtures("quiet")
def test_a_window_shows_the_chosen_streams_also_if_they_end_while_it_is_made():
    session = Interrupted()
    stream = session.add("one")
    session.add("two")
    shown = StompWidget(session, stream)
    stream.table.end()
    session.meanwhile = shown.news  # the publisher's thread gets in between
    assert [part["name"] for part in shown.window()["streams"]] == ["one"]
