"""What a browser is shown: whole, true, and small whatever strangers send."""

import json
from typing import Any

import pytest

from stompy import AckMode, STOMPClient, STOMPError, STOMPFrame
from stompy.wire import encode
from stompy_jupyter import FrameStream, FrameTable
from stompy_jupyter.inlet import Inlet
from stompy_jupyter.search import Term
from stompy_jupyter.window import (
    LIVE,
    MAX_FOUND,
    MAX_HEADS,
    MAX_PAGE,
    MAX_PART,
    SAVED,
    cut,
    found,
    frame_of,
    head_of,
    make_window,
    page,
    size_of,
)
from tests.unit.fakes import ARRIVAL, FakeSession, receive
from tests.unit.test_frame_trace import told

KIB = 1024
MS = ARRIVAL // 1_000_000
HOSTILE = "<b>\x1b[31m\x00\n\u202e\u200b"
SHOWN = "<b>\\x1b[31m\\x00\\n\\u202e\\u200b"

# Of each, what takes the most octets: as an escape of ours, and as one of JSON.
WORST = ["\U000e0001", "\U0001f600", '"', "\\", "\x1b"]


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


def window_of(session: FakeSession, bounds: Any = LIVE, transaction: Any = None) -> dict[str, Any]:
    head = head_of(session, transaction)  # type: ignore[arg-type]
    return make_window(7, head, list(session.streams.values()), bounds)


# -- cutting -------------------------------------------------------------------------------------


@pytest.mark.parametrize("character", [*WORST, "a", "ä"])
@pytest.mark.parametrize("octets", [8, 20, 21, 22, 100])
def test_a_text_is_cut_where_it_does_not_fit_and_not_before(character, octets):
    shown = cut(character * 100, octets)
    assert shown.endswith("…")
    assert size_of(shown) <= octets
    assert size_of(character + shown) > octets
    assert cut(character, 100) == character


# -- the session ---------------------------------------------------------------------------------


def test_a_window_says_how_the_session_is(session):
    session.last_error = STOMPError(f"it broke {HOSTILE}")
    session.sent, session.received, session.reconnects = 3, 4, 1
    session.fake.heart_beat, session.fake.silence = (10_000, 0), (1.5, 2.25)
    session.journal.note("connected", "there")
    window = window_of(session, transaction={"id": "t", "frames": 2})
    assert (window["kind"], window["seq"], window["streams"]) == ("window", 7, [])
    assert window["session"] == {
        "name": "prices",
        "address": "127.0.0.1:61613",
        "state": "connected",
        "server": "RabbitMQ/3.13.7",
        "version": "1.2",
        "error": f"it broke {SHOWN}",
        "sent": 3,
        "received": 4,
        "reconnects": 1,
        "passed": 0,
        "transaction": {"id": "t", "frames": 2},
        "beats": {"out": [10_000, 1500], "in": [0, 2250]},
    }
    (entry,) = window["log"]
    assert (entry["n"], entry["kind"], entry["text"]) == (1, "connected", "there")
    assert abs(entry["time"] - window["now"]) < 5000


def test_without_a_connection_there_are_no_beats(session):
    session.fake.silence = None
    assert window_of(session)["session"]["beats"] is None
    session.fake = None
    shown = window_of(session)["session"]
    assert (shown["server"], shown["version"], shown["beats"]) == ("", "", None)


def test_the_log_has_the_newest_entries_that_fit(session):
    for number in range(60):
        session.journal.note("receipt", str(number))
    assert [entry["text"] for entry in window_of(session)["log"]] == [
        str(number) for number in range(10, 60)
    ]
    for _ in range(10):
        session.journal.note("error", "\u202e" * 100_000)
    log = window_of(session)["log"]
    assert 1 <= len(log) < 10
    assert size_of(log) <= LIVE.log + 2


# -- streams and rows ----------------------------------------------------------------------------


def test_a_window_shows_the_streams_and_their_newest_rows(session):
    prices = session.add("prices", max_rows=200)
    for number in range(250):
        receive(prices, f"body {number}", currency="EUR")
    (shown,) = window_of(session)["streams"]
    rows = shown.pop("rows")
    octets = shown.pop("octets")
    assert octets >= 250 * len("body 0/topic/tEUR")
    assert shown == {
        "id": prices.id,
        "name": "prices",
        "destination": "/topic/t",
        "ack": "auto",
        "state": "live",
        "error": None,
        "received": 250,
        "dropped": prices.dropped,
        "waiting": 0,
        "answers": False,
        "tally": None,
        "variable": "prices",
        "rate": {"second": MS // 1000, "frames": [250]},
        "columns": [["destination", "destination"], ["currency", "currency"]],
        "first": 150,
    }
    assert rows == [[MS, len(f"body {n}"), f"body {n}", "/topic/t", "EUR"] for n in range(150, 250)]


def test_a_stream_that_has_received_nothing_has_no_rows(session):
    session.add("t")
    (shown,) = window_of(session)["streams"]
    assert (shown["first"], shown["rows"], shown["received"]) == (0, [], 0)
    assert shown["rate"] == {"second": 0, "frames": []}


def test_a_header_that_a_frame_has_not_is_null_and_one_of_a_fixed_column_is_named_by_both(session):
    stream = session.add("t")
    receive(stream, "a", size="large", message_id="7")
    receive(stream, "b")
    (shown,) = window_of(session)["streams"]
    assert shown["columns"] == [
        ["destination", "destination"],
        ["size", "header_size"],
        ["message-id", "message_id"],
    ]
    assert [row[2:] for row in shown["rows"]] == [
        ["a", "/topic/t", "large", "7"],
        ["b", "/topic/t", None, None],
    ]


def test_a_stream_that_ended_says_so_and_why(session):
    stream = session.add("t")
    stream.table.end(STOMPError(f"it broke {HOSTILE}"))
    (shown,) = window_of(session)["streams"]
    assert (shown["state"], shown["error"]) == ("ended", f"it broke {SHOWN}")


def test_hostile_text_is_sent_as_visible_text(session):
    stream = session.add(f"n{HOSTILE}", f"/topic/{HOSTILE}")
    receive(stream, HOSTILE, **{HOSTILE: HOSTILE})
    (shown,) = window_of(session)["streams"]
    assert (shown["name"], shown["destination"]) == (f"n{SHOWN}", f"/topic/{SHOWN}")
    assert shown["columns"][-1] == [SHOWN, SHOWN]
    assert shown["rows"][0][2:] == [SHOWN, "/topic/t", SHOWN]
    assert shown["variable"] == f'session.streams["n{SHOWN}"]'


def test_text_is_shown_as_text_though_another_body_is_none(session):
    stream = session.add("t")
    receive(stream, "grün")
    receive(stream, b"\xff")
    (shown,) = window_of(session)["streams"]
    assert [row[2] for row in shown["rows"]] == ["grün", "b'\\xff'"]


def test_cells_are_cut(session):
    stream = session.add("t")
    receive(stream, "b" * 1000, **{"h" * 1000: "v" * 1000})
    (shown,) = window_of(session)["streams"]
    assert shown["columns"][-1] == ["h" * 128 + "…"] * 2
    assert shown["rows"][0][1:] == [1000, "b" * 256 + "…", "/topic/t", "v" * 128 + "…"]


def test_a_passcode_among_the_headers_is_masked_in_rows(session):
    stream = session.add("t")
    receive(stream, "a", passcode="s3cr3t", Passcode="s3cr3t")
    (shown,) = window_of(session)["streams"]
    assert "s3cr3t" not in json.dumps([shown, page(stream, 0, 10)])
    assert shown["rows"][0][3:] == ["/topic/t", "***", "***"]


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("prices", "prices"),
        ("ünï", "ünï"),
        ("class", 'session.streams["class"]'),
        ("/topic/t", 'session.streams["/topic/t"]'),
        ("it's", """session.streams["it's"]"""),
        ('"', """session.streams['"']"""),
        ("a\\b\n", 'session.streams["a\\\\b\\n"]'),
        ("\U0001f600\u202e", 'session.streams["\U0001f600\\u202e"]'),
    ],
)
def test_a_stream_is_named_as_python_finds_it(session, name, variable):
    stream = session.add(name)
    (shown,) = window_of(session)["streams"]
    assert shown["variable"] == variable
    assert eval(variable, {"session": session, name: stream}) is stream


def test_a_rate_begins_with_a_second_that_had_frames_also_when_it_is_shortened(session):
    stream = session.add("t")
    for second in (0, 250, 299):
        stream.table.append(STOMPFrame("MESSAGE"), ARRIVAL + second * 10**9)
    frames = window_of(session)["streams"][0]["rate"]["frames"]
    assert (len(frames), frames[0], frames[250], frames[299]) == (300, 1, 1, 1)
    for number in range(49):
        session.add(f"u{number}")
    shown = window_of(session)["streams"][0]["rate"]
    assert shown == {"second": ARRIVAL // 10**9 + 299, "frames": [1, *[0] * 48, 1]}


# -- sizes ---------------------------------------------------------------------------------------


def hostile(session: FakeSession, streams: int, character: str, headers: int = 80) -> None:
    """Streams whose texts are as long and as costly as a broker lets them be."""
    session.name = session.address = session.fake.server = character * 10_000
    session.last_error = STOMPError(character * 10_000)
    for number in range(60):
        session.journal.note("error", character * 10_000 + str(number))
    for number in range(streams):
        stream = session.add(f"{number}{character * 5000}", character * 5000)
        names = {f"{n}{character * 150}": character * 200 for n in range(headers)}
        for second in range(3):
            frame = STOMPFrame("MESSAGE", names, (character * 300).encode())
            stream.table.extend([frame] * 40, ARRIVAL + second * 150 * 10**9)
        stream.table.end(STOMPError(character * 5000))


@pytest.mark.parametrize("character", WORST)
@pytest.mark.parametrize("streams", [1, 7, 60])
def test_a_window_stays_small_whatever_is_received(session, streams, character):
    hostile(session, streams, character)
    live, saved = window_of(session), window_of(session, SAVED)
    assert size_of(live) <= 120 * KIB
    assert size_of(saved) <= 48 * KIB
    for window in (live, saved):
        newest = window["streams"][-1]
        assert newest["rows"], "nothing is shown of it at all"
        assert newest["first"] + len(newest["rows"]) == newest["received"] == 120
        assert newest["columns"] or window is saved
        assert len(newest["columns"]) <= 64
        assert all(len(row) == 3 + len(newest["columns"]) for row in newest["rows"])
        rows = [stream["rows"] for stream in window["streams"]]
        assert size_of(rows) <= 64 * KIB


def test_of_many_streams_the_newest_are_listed_and_the_newest_of_these_have_rows(session):
    for number in range(60):
        receive(session.add(f"t{number}"))
    shown = window_of(session)["streams"]
    assert [stream["name"] for stream in shown] == [f"t{n}" for n in range(10, 60)]
    assert [len(stream["rows"]) for stream in shown] == [0] * 30 + [1] * 20
    assert all(stream["received"] == stream["first"] + len(stream["rows"]) for stream in shown)
    assert len(window_of(session, SAVED)["streams"]) == 20


def test_streams_share_the_room_and_a_small_one_leaves_what_it_does_not_need(session):
    large, small = session.add("large"), session.add("small")
    other = session.add("other")
    for _ in range(100):
        receive(large, "\U0001f600" * 256)
        receive(other, "\U0001f600" * 256)
    receive(small, "a")
    rows = {stream["name"]: len(stream["rows"]) for stream in window_of(session)["streams"]}
    alone = LIVE.rows / (256 * 12)  # as many as there is room for
    assert rows["small"] == 1
    assert rows["large"] == pytest.approx(rows["other"], abs=1)
    assert rows["large"] + rows["other"] > 0.9 * alone


def test_what_goes_to_the_browser_is_json(session):
    receive(session.add("t"), b"\xff")
    window = window_of(session)
    assert json.loads(json.dumps(window, allow_nan=False)) == window


# -- what is left of a stream that is gone ------------------------------------------------------


@pytest.mark.parametrize("bounds", [LIVE, SAVED])
def test_what_was_shown_of_a_stream_that_is_gone_is_shown_on(session, bounds):
    stream = session.add("t")
    for number in range(200):
        receive(stream, f"body {number}")
    before = window_of(session, bounds)
    again = make_window(8, before, before["streams"], bounds)
    assert again["streams"] == before["streams"]
    assert (again["session"], again["log"]) == (before["session"], before["log"])


def test_what_is_left_is_made_smaller_where_it_has_to(session):
    hostile(session, 8, "\U0001f600", headers=3)
    before = window_of(session)
    saved = make_window(8, before, before["streams"], SAVED)
    assert size_of(saved) <= 48 * KIB
    for old, new in zip(before["streams"], saved["streams"], strict=True):
        assert new["rows"] == old["rows"][len(old["rows"]) - len(new["rows"]) :]
        assert new["first"] + len(new["rows"]) == new["received"] == 120


# -- what is asked for ---------------------------------------------------------------------------


def test_a_page_has_the_rows_from_a_number_on(session):
    stream = session.add("t", max_rows=100)
    for number in range(150):
        receive(stream, f"body {number}")
    shown = page(stream, 120, 10)
    assert shown == {
        "stream": stream.id,
        "columns": [["destination", "destination"]],
        "first": 120,
        "rows": [[MS, 8, f"body {n}", "/topic/t"] for n in range(120, 130)],
        "received": 150,
        "dropped": stream.dropped,
    }
    assert page(stream, 0, 1)["first"] == stream.dropped
    assert page(stream, 145, 500)["rows"][-1][2] == "body 149"
    assert page(stream, 500, 10)["rows"] == page(stream, 0, 0)["rows"] == []


@pytest.mark.parametrize("character", WORST)
def test_a_page_has_as_many_rows_as_fit_from_its_beginning_on(session, character):
    hostile(session, 1, character, headers=100)
    (stream,) = session.streams.values()
    shown = page(stream, 10, 110)
    assert shown["first"] == 10
    assert 1 <= len(shown["rows"]) < 110
    assert size_of(shown) <= MAX_PAGE + KIB


def test_a_frame_is_as_it_came(session):
    stream = session.add("t")
    receive(stream, HOSTILE, **{HOSTILE: HOSTILE, "passcode": "s3cr3t", "content-length": "3"})
    shown, body = frame_of(stream, 0, 0)
    assert shown == {
        "stream": stream.id,
        "number": 0,
        "received": ARRIVAL / 1_000_000,
        "command": "MESSAGE",
        "headers": [
            ["destination", "/topic/t"],
            [HOSTILE, HOSTILE],
            ["passcode", "***"],
            ["content-length", "3"],
        ],
        "whole": True,
        "cut": False,
        "size": len(HOSTILE.encode()),
        "offset": 0,
        "version": "1.2",
        "answerable": False,
    }
    assert body == HOSTILE.encode()


def test_of_a_large_body_a_part_is_given(session):
    stream = session.add("t")
    body = bytes(range(256)) * 1000
    receive(stream, body)
    assert frame_of(stream, 0, 0)[1] == body[:MAX_PART]
    shown, part = frame_of(stream, 0, 200_000)
    assert (shown["offset"], shown["size"], part) == (200_000, 256_000, body[200_000:])
    assert frame_of(stream, 0, 10**9)[1] == b""


@pytest.mark.parametrize("character", WORST)
def test_headers_that_do_not_fit_are_left_out_and_that_is_said(session, character):
    stream = session.add("t")
    names = {"first": "1", **{f"{n}": character * 5000 for n in range(30)}, "last": "2"}
    receive(stream, "a" * 100_000, **names)
    shown, body = frame_of(stream, 0, 0)
    assert shown["cut"]
    assert dict(shown["headers"]).keys() >= {"destination", "first", "last"}
    assert size_of(shown["headers"]) <= MAX_HEADS + 2
    assert size_of(shown) + len(body) < 128 * KIB


@pytest.mark.parametrize("number", [1, 10**15])
def test_a_frame_that_there_is_not_is_an_error(session, number):
    stream = session.add("t")
    receive(stream)
    with pytest.raises(LookupError):
        frame_of(stream, number, 0)


def test_what_was_found_is_numbers_and_how_many_there_are(session):
    stream = session.add("t")
    for number in range(MAX_FOUND + 500):
        receive(stream, "even" if number % 2 == 0 else "odd")
    assert found(stream, [Term(None, "EVEN")], 2000) == {
        "stream": stream.id,
        "numbers": list(range(2000, 2500, 2)),
        "total": 250,
        "first": 2000,
        "end": 2500,
    }
    everything = found(stream, [], 0)
    assert (len(everything["numbers"]), everything["total"]) == (MAX_FOUND, 2500)
    assert size_of(everything) < 128 * KIB


# -- acknowledging by hand -----------------------------------------------------------------------


def test_a_stream_with_a_tally_has_its_numbers(session):
    stream = session.add("t", "/queue/q")
    first = stream.tally()
    told(session.trace, encode("SEND", {"destination": "/queue/q"}, b"a"))
    newest = stream.tally()
    told(session.trace, encode("SEND", {"destination": "/queue/q"}, b"b"))
    numbers = {"expected": 1, "arrived": 0, "lost": 1, "doubled": 0, "redelivered": 0}
    shown = {**numbers, "unexpected": 0, "coming": 0, "complete": True}
    assert window_of(session)["streams"][0]["tally"] == shown
    newest.stop()
    assert window_of(session)["streams"][0]["tally"] == {**shown, "expected": 2, "lost": 2}
    first.stop()
    assert window_of(session)["streams"][0]["tally"] is None


@pytest.mark.parametrize(
    ("mode", "send_acks", "answers"),
    [
        (AckMode.Auto, True, False),
        (AckMode.Client, True, False),
        (AckMode.Client, False, True),
        (AckMode.ClientInd, False, True),
    ],
)
def test_frames_are_answered_by_hand_where_nobody_else_does(session, mode, send_acks, answers):
    inlet = Inlet(STOMPClient(), FrameTable(), "/queue/q", mode, send_acks)
    stream = FrameStream(session, "q", inlet)  # type: ignore[arg-type]
    session.streams["q"] = stream
    assert window_of(session)["streams"][0]["answers"] is answers
    if answers:
        stream.on_frame(print, ack=True)
        assert not stream.answers
        stream.off_frame(print)
        assert stream.answers
    stream.table.end()
    assert not stream.answers
