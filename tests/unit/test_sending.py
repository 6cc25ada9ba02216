"""send_frame: a DataFrame into a destination, and how much of it is confirmed."""

import json
import signal
import sys
from collections.abc import Callable
from typing import Any

import pandas as pd
import polars as pl
import pytest

from stompy import STOMPClosed, STOMPError, STOMPTimeout
from stompy.broker import Faults
from stompy_jupyter import StompSession
from stompy_jupyter.sending import CHUNK_ROWS, SendFrameError
from tests.unit.peer import TIMEOUT, Background, Link, Peer, raw
from tests.unit.sessions import SOON, waiting_in
from tests.unit.waiting import until

pytestmark = pytest.mark.usefixtures("nothing_left")

QUEUE = "/queue/rows"


def numbers(count: int) -> pd.DataFrame:
    return pd.DataFrame({"n": range(count)})


def received(other: Any, queue: str = QUEUE) -> list[Any]:
    return [json.loads(body) for body in waiting_in(other, queue)]


# -- what is sent ----------------------------------------------------------------------------------


def test_each_row_is_a_message_of_json_in_their_order(session, other):
    rows = 3 * CHUNK_ROWS + 5
    assert session.send_frame(numbers(rows), QUEUE) == rows
    assert session.sent == rows
    assert received(other) == [{"n": n} for n in range(rows)]


def test_messages_say_that_they_are_json_and_have_the_headers_that_were_given(session, broker):
    stream = session.subscribe(QUEUE)
    session.send_frame(numbers(1), QUEUE, headers={"persistent": "true", "priority": 4})
    stream.wait()
    row = stream.df.iloc[0]
    assert (row["content_type"], row["persistent"]) == ("application/json", "true")
    assert row["priority"] == 4
    session.send_frame(numbers(1), QUEUE, headers={"content-type": "application/vnd.x+json"})
    stream.wait(2)
    assert stream.df["content_type"].iloc[1] == "application/vnd.x+json"


def test_columns_become_headers_and_are_not_in_the_body_then(session):
    df = pd.DataFrame({"symbol": ["A", None], "live": [True, False], "n": [1, 2], "x": [0.5, 1]})
    stream = session.subscribe(QUEUE, decode="json")
    session.send_frame(df, QUEUE, header_columns=["symbol", "live", "n"])
    stream.wait(2)
    assert stream.df["body"].tolist() == [{"x": 0.5}, {"x": 1.0}]
    assert stream.df["symbol"].astype(object).where(stream.df["symbol"].notna(), None).tolist() == [
        "A",
        None,
    ]
    assert stream.df["live"].tolist() == ["true", "false"]
    assert stream.df["n"].tolist() == [1, 2]


def test_a_column_can_be_the_body_as_it_is(session):
    df = pd.DataFrame({"text": ["é", "\0"], "octets": [b"\xff", b""], "kind": ["a", "b"]})
    stream = session.subscribe(QUEUE, decode="bytes")
    session.send_frame(df, QUEUE, body="text", header_columns=["kind"])
    session.send_frame(df, QUEUE, body="octets", headers={"content-type": "image/x"})
    stream.wait(4)
    assert stream.df["body"].tolist() == ["é".encode(), b"\0", b"\xff", b""]
    assert stream.df["content_type"].tolist()[::2] == ["text/plain;charset=utf-8", "image/x"]
    assert stream.df["kind"].tolist()[:2] == ["a", "b"]


@pytest.mark.parametrize("value", [None, 5, float("nan"), ["x"]])
def test_what_is_neither_text_nor_octets_is_no_body(session, other, value):
    df = pd.DataFrame({"body": pd.Series(["a", value], dtype=object)})
    with pytest.raises(SendFrameError, match=r"row 1, column 'body': .* but a body is text or oct"):
        session.send_frame(df, QUEUE, body="body")
    assert waiting_in(other, QUEUE) == []


def test_a_header_is_a_single_value(session):
    df = pd.DataFrame({"a": [[1]], "b": [{"x": 1}]})
    for name in df:
        with pytest.raises(SendFrameError, match=f"row 0, column '{name}': a header is a single"):
            session.send_frame(df, QUEUE, header_columns=name)
    with pytest.raises(SendFrameError, match="row 0, column 'a': a header is a single"):
        session.send_frame(pl.DataFrame({"a": [[1]]}), QUEUE, header_columns=["a"])


def test_polars_arrow_and_another_stream_can_be_sent(session, other):
    frame = pl.DataFrame({"n": [1, 2], "s": ["x", None]})
    stream = session.subscribe(QUEUE)
    assert session.send_frame(frame, QUEUE) == session.send_frame(frame.to_arrow(), QUEUE) == 2
    stream.wait(4)
    stream.unsubscribe()
    assert session.send_frame(stream, QUEUE, body="body") == 4
    assert received(other) == [{"n": 1, "s": "x"}, {"n": 2, "s": None}] * 2


def test_the_index_is_sent_when_asked_for(session, other):
    session.send_frame(pd.DataFrame({"a": [1]}, index=["x"]), QUEUE, index=True)
    assert received(other) == [{"index": "x", "a": 1}]


def test_no_rows_are_soon_sent(session):
    assert session.send_frame(numbers(0), QUEUE) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start": 4}, "start=4: there are 3 rows"),
        ({"start": -1}, "start=-1"),
        ({"window": 0}, "one row at the least"),
        ({"body": "m"}, "no column 'm'; there are: n"),
        ({"header_columns": ["m"]}, "no column 'm'"),
        ({"headers": {"destination": "/queue/x"}}, "'destination' cannot be among the headers"),
    ],
)
def test_what_does_not_fit_is_refused(session, arguments, message):
    with pytest.raises(ValueError, match=message):
        session.send_frame(numbers(3), QUEUE, **arguments)


def test_a_row_that_cannot_be_sent_is_named_and_the_rows_before_it_are_confirmed(session, other):
    df = pd.DataFrame({"a": pd.Series([0] * (CHUNK_ROWS + 7), dtype=object)})
    df.iloc[CHUNK_ROWS + 3, 0] = b"x"
    with pytest.raises(SendFrameError, match=f"row {CHUNK_ROWS + 3}, column 'a'") as caught:
        session.send_frame(df, QUEUE)
    assert caught.value.confirmed == caught.value.sent == CHUNK_ROWS
    assert "decode it where it is text" in caught.value.hint
    df.iloc[CHUNK_ROWS + 3, 0] = 1
    assert session.send_frame(df, QUEUE, start=CHUNK_ROWS) == CHUNK_ROWS + 7
    assert received(other) == [{"a": value} for value in df["a"]]


# -- what is confirmed -----------------------------------------------------------------------------


def confirms(count: int, then: Callable[[Link], object]) -> Callable[[Link], None]:
    """A broker that confirms so many rows."""

    def script(link: Link) -> None:
        link.accept()
        for _ in range(count):
            link.send(raw("RECEIPT", f"receipt-id:{link.expect('SEND').headers['receipt']}"))
        then(link)

    return script


def failure(peer: Peer, rows: int = 20, **arguments: Any) -> SendFrameError:
    """What comes of sending rows to this broker."""
    with (
        StompSession(peer.address, reconnect=False) as session,
        pytest.raises(SendFrameError) as caught,
    ):
        session.send_frame(numbers(rows), QUEUE, **arguments)
    return caught.value


def test_no_more_rows_than_the_window_are_on_their_way():
    sent: list[int] = []

    def script(link: Link) -> None:
        frames = [link.expect("SEND") for _ in range(4)]
        sent.append(len(frames))
        for frame in frames:
            link.send(raw("RECEIPT", f"receipt-id:{frame.headers['receipt']}"))

    def three_times(link: Link) -> None:
        for _ in range(3):
            script(link)
        link.serve()

    with Peer(confirms(0, three_times)) as peer, StompSession(peer.address) as session:
        assert session.send_frame(numbers(12), QUEUE, window=3) == 12
    assert sent == [4, 4, 4]


def test_a_lost_connection_says_where_to_go_on():
    def lose(link: Link) -> None:
        link.expect("SEND")
        link.close()

    with Peer(confirms(7, lose)) as peer:
        error = failure(peer, window=2)
    assert isinstance(error.__cause__, STOMPClosed)
    assert error.confirmed == 7
    assert 8 <= error.sent <= 10
    assert "7 of 20 rows are confirmed" in error.Message
    assert f"send_frame(…, '{QUEUE}', start=7) goes on there" in error.hint
    assert f"of the next {error.sent - 7} some may arrive twice" in error.hint


def test_an_error_of_the_broker_says_where_to_go_on_and_what_it_said():
    def refuse(link: Link) -> None:
        link.send(
            raw("ERROR", f"receipt-id:{link.expect('SEND').headers['receipt']}", "message:no")
        )
        link.close()

    with Peer(confirms(3, refuse)) as peer:
        error = failure(peer, rows=4)
    assert (error.confirmed, error.Frame["message"]) == (3, "no")
    assert "the broker says: no" in error.Message


def test_receipts_out_of_order_leave_no_gap_in_what_is_confirmed():
    def disorder(link: Link) -> None:
        frames = [link.expect("SEND") for _ in range(5)]
        for n in (4, 1, 0, 3):
            link.send(raw("RECEIPT", f"receipt-id:{frames[n].headers['receipt']}"))
        link.close()

    with Peer(confirms(0, disorder)) as peer:
        error = failure(peer, rows=5)
    assert (error.confirmed, error.sent) == (2, 5)


def test_a_broker_that_never_confirms_is_waited_for_no_longer_than_told(session, broker, other):
    broker.set_faults(Faults(no_receipts=True))
    with pytest.raises(SendFrameError, match="0 of 5 rows") as caught:
        session.send_frame(numbers(5), QUEUE, timeout=0.05)
    assert isinstance(caught.value.__cause__, STOMPTimeout)
    assert caught.value.sent == 5
    broker.set_faults()
    assert len(received(other)) == 5


def test_a_session_that_came_back_does_not_go_on_behind_a_gap(broker, other):
    """The rows that were on their way are not sent again by themselves, and none behind them."""
    with StompSession(broker.address, reconnect=SOON) as session:
        broker.set_faults(Faults(no_receipts=True))

        def lost() -> None:
            with Background(lambda: session.send_frame(numbers(500), QUEUE, window=99)) as sending:
                names = until(
                    lambda: [c["client"] for c in broker.clients() if c["frames_received"] > 100]
                )
                broker.set_faults()
                broker.drop(*names)
                sending.result(TIMEOUT)

        with pytest.raises(SendFrameError) as caught:
            lost()
        session.wait_connected()
        assert (caught.value.confirmed, caught.value.sent) == (0, 100)
        assert session.send_frame(numbers(500), QUEUE, start=caught.value.confirmed) == 500
    got = [row["n"] for row in received(other)]
    assert got == [*range(100), *range(500)]


def test_a_loss_while_nothing_is_on_its_way_is_no_failure(broker, other):
    with StompSession(broker.address, reconnect=SOON) as session:
        session.send_frame(numbers(3), QUEUE)
        broker.drop()
        until(lambda: session.reconnects and session.connected)
        assert session.send_frame(numbers(5), QUEUE, start=3) == 5


def test_a_session_that_is_not_connected_has_sent_nothing():
    with pytest.raises(SendFrameError, match="0 of 3 rows are confirmed") as caught:
        StompSession("127.0.0.1:1").send_frame(numbers(3), QUEUE)
    assert (caught.value.confirmed, caught.value.sent) == (0, 0)
    assert "connect() it first" in caught.value.hint


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
def test_an_interrupt_stays_one_and_says_how_far_it_has_come(session, other):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    df = numbers(1_000_000)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt) as caught:
            session.send_frame(df, QUEUE)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    confirmed, sent = caught.value.confirmed, caught.value.sent
    assert 0 < confirmed <= sent
    assert any(f"start={confirmed}" in note for note in caught.value.__notes__)
    other.subscribe(QUEUE)
    got = [json.loads(other.recv(timeout=TIMEOUT).text)["n"] for _ in range(confirmed)]
    assert got == list(range(confirmed))


# -- transactions ----------------------------------------------------------------------------------


def test_in_a_transaction_the_rows_are_part_of_it(session, other):
    with session.transaction(receipt=True):
        assert session.send_frame(numbers(1500), QUEUE, window=10) == 1500
        assert received(other) == []
    assert len(received(other)) == 1500


def test_a_transaction_that_a_row_fails_in_has_sent_nothing(session, other):
    df = pd.DataFrame({"a": pd.Series([0] * CHUNK_ROWS + [b"x"], dtype=object)})

    def together() -> None:
        with session.transaction():
            session.send_frame(df, QUEUE)

    with pytest.raises(SendFrameError, match="its transaction is to be aborted") as caught:
        together()
    assert (caught.value.confirmed, caught.value.sent) == (0, CHUNK_ROWS)
    assert received(other) == []
    assert isinstance(caught.value, STOMPError)
