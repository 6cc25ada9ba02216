"""StompWidget, without a kernel: its comm goes nowhere."""

import gc
import json
import weakref
from collections.abc import Iterator

import pytest

from stompy import AckMode, STOMPClient, STOMPError, STOMPFrame
from stompy_jupyter import FrameStream, FrameTable, StompSession, StompWidget
from stompy_jupyter.inlet import Inlet
from stompy_jupyter.publisher import publisher
from stompy_jupyter.widget import ROWS
from tests.unit.waiting import until

pytestmark = pytest.mark.usefixtures("nothing_left")

HOSTILE = "<b>\x1b[31m\x00\n\u202e\u200b"
SHOWN = "<b>\\x1b[31m\\x00\\n\\u202e\\u200b"


class FakeSession:
    """What a widget wants of a session, without a connection."""

    def __init__(self) -> None:
        self.address = "127.0.0.1:61613"
        self.state = "connected"
        self.streams: dict[str, FrameStream] = {}

    def add(self, name: str, destination: str = "/topic/t", **bounds: int) -> FrameStream:
        table = FrameTable(**bounds)
        inlet = Inlet(STOMPClient(), table, destination, AckMode.Auto)
        self.streams[name] = FrameStream(self, name, inlet)
        return self.streams[name]


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No publisher: the test itself asks the widget for its news."""
    monkeypatch.setattr(publisher, "add", lambda _: None)


def receive(stream: FrameStream, body: bytes | str = "a", **headers: str) -> None:
    frame = STOMPFrame("MESSAGE", {"destination": "/topic/t", **headers}, body)
    stream.table.append(frame, 1_700_000_000_123_456_789)


@pytest.mark.usefixtures("quiet")
def test_the_window_shows_the_session_its_streams_and_their_newest_frames(session):
    prices = session.add("prices", max_rows=20)
    for number in range(50):
        receive(prices, f"body {number}", **{"content-type": "text/plain"})
    window = StompWidget(session).window()
    assert window["kind"] == "window"
    assert window["session"] == {"address": "127.0.0.1:61613", "state": "connected"}
    (stream,) = window["streams"]
    rows = stream.pop("rows")
    assert stream == {
        "name": "prices",
        "destination": "/topic/t",
        "received": 50,
        "dropped": 30,
        "live": True,
        "error": None,
        "columns": ["frame", "received (UTC)", "content-type", "size", "body"],
    }
    assert rows == [
        [str(number), "22:13:20.123", "text/plain", "7", f"body {number}"]
        for number in range(50 - ROWS, 50)
    ]


@pytest.mark.usefixtures("quiet")
def test_the_streams_that_were_chosen_are_shown_or_else_all_also_later_ones(session):
    one, _ = session.add("one"), session.add("two")
    chosen, all_of_them = StompWidget(session, one), StompWidget(session)
    session.add("three")
    assert [stream["name"] for stream in chosen.window()["streams"]] == ["one"]
    names = [stream["name"] for stream in all_of_them.window()["streams"]]
    assert names == ["one", "two", "three"]


@pytest.mark.usefixtures("quiet")
def test_a_stream_that_ended_says_so_and_why(session):
    stream = session.add("t")
    stream.table.end(STOMPError(f"it broke {HOSTILE}"))
    (shown,) = StompWidget(session).window()["streams"]
    assert (shown["live"], shown["error"]) == (False, f"it broke {SHOWN}")


@pytest.mark.usefixtures("quiet")
def test_hostile_text_is_sent_as_visible_text(session):
    stream = session.add(f"n{HOSTILE}", f"/topic/{HOSTILE}")
    receive(stream, HOSTILE, **{"content-type": HOSTILE})
    (shown,) = StompWidget(session).window()["streams"]
    assert (shown["name"], shown["destination"]) == (f"n{SHOWN}", f"/topic/{SHOWN}")
    assert shown["rows"][0][2] == shown["rows"][0][4] == SHOWN


@pytest.mark.usefixtures("quiet")
def test_text_is_shown_as_text_though_another_body_is_none(session):
    stream = session.add("t")
    receive(stream, "grün")
    receive(stream, b"\xff")
    (shown,) = StompWidget(session).window()["streams"]
    assert [row[4] for row in shown["rows"]] == ["grün", "b'\\xff'"]


@pytest.mark.usefixtures("quiet")
def test_a_window_stays_small_whatever_is_received(session):
    stream = session.add("t")
    for _ in range(ROWS):
        receive(stream, "\u202e" * 1_000_000, **{"content-type": "\x1b" * 60_000})
    assert len(json.dumps(StompWidget(session).window())) < 128 * 1024


@pytest.mark.usefixtures("quiet")
def test_there_are_news_once_and_again_when_something_has_changed(session):
    stream = session.add("t")
    widget = StompWidget(session)
    assert widget.news()["streams"][0]["received"] == 0
    changes = [
        lambda: receive(stream),
        lambda: setattr(session, "state", "lost"),
        lambda: receive(session.add("t")),  # another stream of the same name and numbers
        lambda: session.streams["t"].table.end(),
        lambda: session.add("u"),
        lambda: session.streams.pop("u"),
    ]
    numbers = []
    for change in changes:
        assert widget.news() is None
        change()
        numbers.append(widget.news()["seq"])
    assert widget.news() is None
    assert numbers == list(range(numbers[0], numbers[0] + len(changes)))


@pytest.mark.usefixtures("quiet")
def test_the_snapshot_of_a_page_is_made_when_it_is_asked_for(session):
    stream = session.add("t")
    widget = StompWidget(session)
    assert widget.get_state()["_snapshot"]["streams"][0]["received"] == 0
    receive(stream)
    assert widget.get_state()["_snapshot"]["streams"][0]["received"] == 1
    assert widget.get_state(["_snapshot"])["_snapshot"] == widget.window()


@pytest.mark.usefixtures("quiet")
def test_a_snapshot_does_not_count_as_news(session):
    stream = session.add("t")
    widget = StompWidget(session)
    seq = widget.news()["seq"]
    receive(stream)
    assert widget.window()["seq"] == seq
    assert widget.news()["seq"] == seq + 1


@pytest.mark.usefixtures("quiet")
def test_what_goes_to_the_browser_is_json(session):
    receive(session.add("t"), b"\xff")
    widget = StompWidget(session)
    assert json.loads(json.dumps(widget.window())) == widget.window()
    assert json.loads(json.dumps(widget.news())) == widget.window()


@pytest.mark.usefixtures("quiet")
def test_the_front_end_comes_with_the_package_and_is_small(session):
    state = StompWidget(session).get_state()
    assert "export" in state["_esm"]
    assert len(state["_esm"]) + len(state["_css"]) < 150 * 1024


class Recording(StompWidget):
    """Notes what it sends to the browser."""

    def __init__(self, *args: object) -> None:
        self.sent: list[dict[str, object]] = []
        super().__init__(*args)

    def send(self, content: dict[str, object], buffers: object = None) -> None:
        self.sent.append(content)


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


def test_a_closed_widget_sends_nothing_more(session, shown):
    until(lambda: shown.sent)
    shown.close()
    shown.close()
    sent, other = len(shown.sent), Recording(session)
    receive(session.streams["t"])
    until(lambda: other.sent)
    assert len(shown.sent) == sent


def test_a_widget_of_a_real_session_follows_it(broker):
    with StompSession(broker.address) as session:
        widget = Recording(session)
        session.subscribe("/queue/q", name="q").session.send("/queue/q", "a")
        until(lambda: widget.sent and widget.sent[-1]["streams"][0]["rows"])
        assert widget.sent[-1]["streams"][0]["rows"][0][4] == "a"
    until(lambda: widget.sent[-1]["session"]["state"] == "disconnected")
    assert widget.sent[-1]["streams"][0]["live"] is False


def test_a_passcode_is_in_no_state_of_a_widget(broker):
    with StompSession(broker.address, login="me", passcode="s3cr3t") as session:
        widget = StompWidget(session)
        assert "s3cr3t" not in json.dumps(widget.get_state())
        assert "s3cr3t" not in repr(widget)


def test_a_closed_widget_does_not_keep_its_session():
    session = FakeSession()
    kept = weakref.ref(session)
    widget = StompWidget(session)
    widget.close()
    del session
    gc.collect()
    assert kept() is None
    assert widget.window()["streams"] == []


@pytest.mark.usefixtures("quiet")
def test_a_widget_keeps_of_ended_streams_what_it_shows_and_not_their_tables(session):
    stream = session.add("one")
    session.add("two")
    widget = StompWidget(session, stream)
    receive(stream, "last")
    stream.table.end()
    news = widget.news()
    assert news["streams"][0]["rows"][0][4] == "last"
    assert news["streams"][0]["live"] is False
    table = weakref.ref(stream.table)
    session.streams.clear()
    del stream
    gc.collect()
    assert table() is None
    assert widget.news() is None
    assert widget.get_state()["_snapshot"] == news


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
    widget = StompWidget(session, stream)
    stream.table.end()
    session.meanwhile = widget.news  # the publisher's thread gets in between
    assert [shown["name"] for shown in widget.window()["streams"]] == ["one"]
