"""What is sent again of a capture, and when; with a clock that the test sets."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompy import Receipt, STOMPError, STOMPFrame
from stompy.capture import Entry
from stompy.replay import WINDOW, Pace, Resending, messages, sendable_headers

SECOND = 1_000_000_000
BEGIN = 1_700_000_000 * SECOND


def message(body: str = "", seconds: float = 0, **headers: str) -> Entry:
    """A message that came so many seconds after the beginning."""
    named = {"destination": "/topic/prices", **headers}
    return Entry(BEGIN + round(seconds * SECOND), "in", STOMPFrame("MESSAGE", named, body))


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# -- which, and what of them ---------------------------------------------------------------------


def test_the_messages_are_what_came_and_is_a_message() -> None:
    entries = [
        Entry(1, "out", STOMPFrame("SEND", {"destination": "/topic/prices"})),
        message("1"),
        Entry(3, "in", STOMPFrame("RECEIPT", {"receipt-id": "1"})),
        message("2"),
        Entry(5, "out", STOMPFrame("MESSAGE")),
    ]
    assert [entry.frame.text for entry in messages(entries)] == ["1", "2"]
    assert [entry.frame.text for entry in messages(entries, 1)] == ["1"]


def test_headers_of_a_delivery_do_not_go_along() -> None:
    of_delivery = ["message-id", "subscription", "ack", "redelivered", "content-length"]
    of_delivery += ["receipt", "transaction", "expires"]
    kept = {"content-type": "text/plain", "symbol": "ABC", "priority": "4"}
    entry = message(**dict.fromkeys(of_delivery, "1"), **kept)
    assert sendable_headers(entry.frame) == kept


# -- when ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("speed", "left"), [(1, 3.0), (10, 0.3), (0.5, 6.0)])
def test_the_first_is_due_at_once_and_the_others_by_their_times(speed: float, left: float) -> None:
    clock = Clock()
    pace = Pace(speed, clock)
    assert pace.left(BEGIN) == 0
    assert pace.left(BEGIN + 3 * SECOND) == pytest.approx(left)
    clock.now += left / 2
    assert pace.left(BEGIN + 3 * SECOND) == pytest.approx(left / 2)
    clock.now += left
    assert pace.left(BEGIN + 3 * SECOND) == pytest.approx(-left / 2)
    assert pace.left(BEGIN + 6 * SECOND) == pytest.approx(left / 2), "what was late is caught up"


@pytest.mark.parametrize("speed", [0, math.inf])
def test_all_can_be_due_at_once(speed: float) -> None:
    pace = Pace(speed, Clock())
    assert [pace.left(moment) for moment in (BEGIN, 2**63 - 1, 0)] == [0, 0, 0]


@pytest.mark.parametrize("speed", [-1, math.nan, -math.inf])
def test_what_is_no_speed_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="is no speed"):
        Pace(speed)


def test_time_stands_still_while_it_is_held() -> None:
    clock = Clock()
    pace = Pace(1, clock)
    pace.hold()
    clock.now += 100
    assert pace.left(BEGIN) == 0
    assert pace.left(BEGIN + 10 * SECOND) == pytest.approx(10)
    clock.now += 4
    pace.hold()
    clock.now += 100
    pace.hold()
    assert pace.left(BEGIN + 10 * SECOND) == pytest.approx(6)
    clock.now += 1
    assert pace.left(BEGIN + 10 * SECOND) == pytest.approx(5)


def test_where_times_go_back_no_time_passes() -> None:
    pace = Pace(1, Clock())
    assert pace.left(BEGIN) == 0
    assert pace.left(BEGIN - 3600 * SECOND) == 0
    assert pace.left(BEGIN - 3598 * SECOND) == pytest.approx(2)


@given(st.lists(st.integers(0, 2**63 - 1), max_size=10), st.floats(0, 1e9))
def test_whatever_the_times_are_they_can_be_waited_for(times: list[int], speed: float) -> None:
    pace = Pace(speed, Clock())
    waits = [pace.left(moment) for moment in times]
    assert all(wait >= 0 for wait in waits)
    assert waits == sorted(waits)


# -- sending -------------------------------------------------------------------------------------


class Line:
    """Notes what is sent, and how long was waited for it in between."""

    def __init__(self) -> None:
        self.happened: list[object] = []

    def send(self, destination: str, body: bytes, headers: dict[str, str]) -> Receipt | None:
        self.happened.append((destination, body, headers))
        return None

    def wait(self, seconds: float) -> None:
        self.happened.append(round(seconds))


def test_messages_are_sent_at_their_times_to_where_they_came_from() -> None:
    line = Line()
    entries = [message("a", symbol="ABC"), message("b", 7, destination="/queue/q")]
    resending = Resending(line.send, line.wait)
    assert resending.run(entries) == resending.sent == 2
    assert line.happened == [
        *(0, ("/topic/prices", b"a", {"symbol": "ABC"})),
        *(7, ("/queue/q", b"b", {})),
    ]


def test_or_all_are_sent_to_one_destination() -> None:
    line = Line()
    nowhere = Entry(BEGIN, "in", STOMPFrame("MESSAGE"))
    Resending(line.send, line.wait, to="/queue/all", speed=0).run([message("a"), nowhere])
    assert [sent[0] for sent in line.happened if isinstance(sent, tuple)] == ["/queue/all"] * 2


def test_a_message_of_no_destination_needs_one() -> None:
    line = Line()
    resending = Resending(line.send, line.wait)
    with pytest.raises(STOMPError, match="message 2 has no destination"):
        resending.run([message("a"), Entry(BEGIN, "in", STOMPFrame("MESSAGE"))])
    assert resending.sent == 1


class NoReceipt(Receipt):
    """A receipt that is noted when it is waited for."""

    waited: list[str] = []  # noqa: RUF012 - each test begins with it empty

    def wait(self, timeout: float | None = None) -> None:
        assert timeout == 5
        self.waited.append(str(self))


def test_no_more_than_a_window_is_on_its_way_and_all_are_confirmed_at_the_end() -> None:
    NoReceipt.waited.clear()
    waited_while_sending = []

    def send(*_: object) -> Receipt:
        waited_while_sending.append(len(NoReceipt.waited))
        return NoReceipt(len(waited_while_sending))

    resending = Resending(send, lambda _: None, speed=0, limit=5)
    assert resending.run([message()] * (WINDOW + 3)) == WINDOW + 3
    assert waited_while_sending[-1] == 2
    assert list(map(int, NoReceipt.waited)) == list(range(1, WINDOW + 4))
