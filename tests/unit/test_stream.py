"""FrameStream: one subscription and what it has received."""

import asyncio
import signal
import threading
import time

import pandas as pd
import pyarrow as pa
import pytest

from stompy import AckMode, STOMPClient, STOMPClosed, STOMPError, STOMPFrame, STOMPTimeout
from stompy_jupyter import FrameStream, FrameTable, StompSession
from stompy_jupyter.inlet import Inlet
from tests.unit.peer import Background
from tests.unit.sessions import Gate, waiting_in
from tests.unit.waiting import until


class FakeSession:
    open_transaction = None
    state = "connected"
    replays = False

    def __init__(self) -> None:
        self.unsubscribed: list[FrameStream] = []

    def unsubscribe(self, stream: FrameStream) -> None:
        self.unsubscribed.append(stream)


def stream_of(*bodies: bytes | str, destination: str = "/topic/t", **bounds: int) -> FrameStream:
    table = FrameTable(**bounds)
    for body in bodies:
        table.append(STOMPFrame("MESSAGE", {"destination": destination}, body))
    inlet = Inlet(STOMPClient(), table, destination, AckMode.Auto)
    return FrameStream(FakeSession(), "t", inlet)


def test_a_stream_has_the_rows_and_the_numbers_of_its_table():
    stream = stream_of("a", "b", "c", max_rows=2)
    assert stream.df["body"].tolist() == ["b", "c"]
    assert (len(stream), stream.received, stream.dropped) == (2, 3, 1)


def test_a_stream_is_live_until_it_ends_and_then_says_why():
    stream = stream_of()
    assert (stream.live, stream.error) == (True, None)
    reason = STOMPError("the broker went away")
    stream.table.end(reason)
    assert (stream.live, stream.error) == (False, reason)


def test_wait_waits_for_one_frame_unless_told_otherwise():
    stream = stream_of("a")
    assert stream.wait() == 1
    with pytest.raises(STOMPTimeout, match="1 of 2"):
        stream.wait(2, timeout=0.01)
    stream.table.end()
    with pytest.raises(STOMPClosed, match="1 of 2"):
        stream.wait(2)


def test_unsubscribe_is_the_sessions_matter():
    stream = stream_of()
    stream.unsubscribe()
    assert stream.session.unsubscribed == [stream]


def test_the_text_of_a_stream_is_one_line_of_numbers():
    stream = stream_of(*["a"] * 1234, max_rows=1000)
    assert repr(stream) == "<FrameStream /topic/t: 1,234 frames, 234 dropped, live>"
    stream.table.end(STOMPError("it broke"))
    assert repr(stream) == "<FrameStream /topic/t: 1,234 frames, 234 dropped, ended, it broke>"


def test_the_text_of_a_stream_shows_a_hostile_destination_as_text():
    assert "\\x1b[31m\\n\\u202e" in repr(stream_of(destination="/topic/\x1b[31m\n\u202e"))


def test_the_html_of_a_stream_shows_its_newest_frames_escaped():
    stream = stream_of("first", *["x"] * 49, "<script>\x1b", destination="/topic/<b>")
    html = stream._repr_html_()
    assert "&lt;script&gt;\\x1b" in html
    assert "/topic/&lt;b&gt;: 51 frames, live; the newest 50 are shown" in html
    assert "<script>" not in html
    assert "first" not in html
    assert html.count("<tr>") == 51


def test_the_html_of_a_stream_that_shows_all_says_no_more_than_that():
    stream = stream_of("a", "b")
    assert "<caption>/topic/t: 2 frames, live</caption>" in stream._repr_html_()
    stream.table.end()
    assert "<caption>/topic/t: 2 frames, ended</caption>" in stream._repr_html_()
    assert "<caption>/topic/t: 0 frames, live</caption>" in stream_of()._repr_html_()


def test_the_html_of_a_stream_is_small_whatever_it_has_received():
    stream = stream_of(*[f"{n:02}" + "\U000e0001'" * 500_000 for n in range(50)])
    html = stream._repr_html_()
    assert 50_000 < len(html.encode()) <= 64 * 1024
    shown = html.count("<tr>") - 1
    assert f"50 frames, live; the newest {shown} are shown" in html
    assert f"<td>{50 - shown}</td>" in html
    assert f"<td>{49 - shown}</td>" not in html


def test_text_is_shown_as_text_though_another_body_is_none():
    html = stream_of("grün", b"\xff\x00")._repr_html_()
    assert "<td>grün</td>" in html
    assert "<td>b&#x27;\\xff\\x00&#x27;</td>" in html


def test_pyarrow_and_pandas_read_a_stream_directly():
    stream = stream_of("a", "b", "c", max_rows=2)
    assert pa.table(stream)["body"].to_pylist() == ["b", "c"]
    assert pd.DataFrame.from_arrow(stream)["body"].tolist() == ["b", "c"]
    assert pa.RecordBatchReader.from_stream(stream).read_all() == stream.table.arrow()


def test_a_stream_without_frames_is_read_as_an_empty_table():
    assert pa.table(stream_of()).num_rows == 0


# -- waiting ---------------------------------------------------------------------------------


def arrive(stream: FrameStream, body: str = "a") -> None:
    stream.table.append(STOMPFrame("MESSAGE", {}, body))


@pytest.mark.parametrize("timeout", [None, 30])
def test_an_interrupt_ends_a_wait_at_once_and_costs_nothing(timeout):
    stream = stream_of("a")
    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGINT))
    began = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        stream.wait(2, timeout)
    assert time.monotonic() - began < 0.5
    arrive(stream)
    assert stream.wait(2, timeout=5) == 2


def test_wait_async_lets_the_loop_go_on_until_the_frames_have_come():
    stream = stream_of()
    ticks: list[int] = []

    async def cell() -> int:
        waiting = asyncio.ensure_future(stream.wait_async(2, timeout=5))
        for tick in range(3):
            await asyncio.sleep(0)
            ticks.append(tick)
        with Background(arrive, stream), Background(arrive, stream):
            pass
        return await waiting

    assert asyncio.run(cell()) == 2
    assert ticks == [0, 1, 2]


def test_wait_async_returns_what_has_come_already():
    assert asyncio.run(stream_of("a", "b").wait_async()) == 2


def test_wait_async_gives_up_in_time_and_says_what_wait_says():
    stream = stream_of("a")
    with pytest.raises(STOMPTimeout, match=r"1 of 2 frames had come after 0\.01 s"):
        asyncio.run(stream.wait_async(2, timeout=0.01))


@pytest.mark.parametrize("before", [True, False], ids=["before", "meanwhile"])
def test_wait_async_ends_with_its_stream(before):
    stream = stream_of("a")
    reason = STOMPError("the broker went away")

    async def cell() -> None:
        if before:
            stream.table.end(reason)
        waiting = asyncio.ensure_future(stream.wait_async(2, timeout=5))
        await asyncio.sleep(0)
        stream.table.end(reason)
        await waiting

    with pytest.raises(STOMPClosed, match=r"1 of 2 frames had come: the broker went away"):
        asyncio.run(cell())


def test_wait_async_can_be_cancelled_and_leaves_nothing_behind():
    stream = stream_of()

    async def cell() -> bool:
        waiting = asyncio.ensure_future(stream.wait_async(1, timeout=None))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        return waiting.cancelled()

    assert asyncio.run(cell())
    assert stream.table._wishes == []
    arrive(stream)


def test_a_frame_that_comes_when_the_loop_is_closed_harms_nobody(caplog):
    stream = stream_of()
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(stream.wait_async(1, timeout=None))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    arrive(stream)
    assert (len(stream), caplog.text) == (1, "")
    with pytest.raises(RuntimeError, match="closed"):
        waiting.get_coro().throw(RuntimeError("closed"))  # or it is told of at its end
    waiting._log_destroy_pending = False


def test_loops_of_several_threads_may_wait_for_one_stream():
    stream = stream_of()

    def wait() -> int:
        return asyncio.run(stream.wait_async(1, timeout=5))

    with Background(wait) as one, Background(wait) as two:
        until(lambda: len(stream.table._wishes) == 2)
        arrive(stream)
        assert (one.result(), two.result()) == (1, 1)


# -- reading ---------------------------------------------------------------------------------


def test_read_ends_the_stream_when_the_frames_are_there():
    stream = stream_of("a", "b", "c")
    assert stream.read(2, seconds=5) == 3
    assert stream.session.unsubscribed == [stream]


def test_read_ends_the_stream_when_the_time_is_over_however_many_have_come():
    stream = stream_of("a")
    assert stream.read(seconds=0.01) == 1
    assert stream.read(5, seconds=0.01) == 1
    assert stream.session.unsubscribed == [stream, stream]


def test_read_says_when_the_stream_ended_before():
    one, two = stream_of("a"), stream_of("a")
    for stream in (one, two):
        stream.table.end(STOMPError("the broker went away"))
    with pytest.raises(STOMPClosed, match="1 of 2 frames had come: the broker went away"):
        one.read(2)
    with pytest.raises(STOMPClosed, match="ended early: /topic/t: 1 frames, ended, the broker"):
        two.read(seconds=5)


def test_read_has_to_know_when_to_end():
    with pytest.raises(ValueError, match="how many frames, or how long"):
        stream_of().read()


# -- acknowledging by hand -------------------------------------------------------------------


def delivered(session: StompSession, mode: str = "client-individual") -> FrameStream:
    """A stream with four frames that wait to be acknowledged."""
    stream = session.subscribe("/queue/q", ack_mode=mode, send_acks=False)
    for body in "abcd":
        session.send("/queue/q", body)
    stream.wait(4, 5)
    return stream


def test_frames_are_acknowledged_by_their_numbers_or_else_the_oldest(session, other):
    stream = delivered(session)
    assert stream.unacknowledged == [0, 1, 2, 3]
    stream.ack(2)
    stream.ack()
    assert stream.unacknowledged == [1, 3]
    stream.ack(1, 3)
    assert (stream.unacknowledged, stream.stats["unacknowledged"]) == ([], 0)
    session.disconnect()
    assert waiting_in(other, "/queue/q") == []


def test_what_was_not_acknowledged_stays_in_the_queue(session, other):
    delivered(session).ack(1, 2)
    session.disconnect()
    assert waiting_in(other, "/queue/q") == ["a", "d"]


def test_in_the_mode_client_an_ack_covers_all_before_it(session, other):
    stream = delivered(session, "client")
    stream.ack(2)
    assert stream.unacknowledged == [3]
    with pytest.raises(STOMPError, match="frame 1 of /queue/q"):
        stream.ack(1)
    session.disconnect()
    assert waiting_in(other, "/queue/q") == ["d"]


def test_what_was_refused_comes_again(session):
    stream = delivered(session)
    stream.nack(1)
    stream.wait(5, 5)
    assert stream.df["body"].tolist() == [*"abcd", "b"]
    assert stream.unacknowledged == [0, 2, 3, 4]


def test_in_the_mode_client_a_nack_covers_all_before_it(session):
    stream = delivered(session, "client")
    stream.nack(1)
    stream.wait(6, 5)
    assert stream.unacknowledged == [2, 3, 4, 5]
    assert stream.df["body"].tolist() == [*"abcd", "a", "b"]


@pytest.mark.parametrize("number", [4, -1])
def test_a_frame_that_does_not_wait_is_not_acknowledged(session, number):
    stream = delivered(session)
    with pytest.raises(STOMPError, match=f"frame {number} of /queue/q does not wait") as refused:
        stream.ack(number)
    assert "stream.unacknowledged" in refused.value.hint
    assert (stream.unacknowledged, session.connected) == ([0, 1, 2, 3], True)


@pytest.mark.parametrize("arguments", [{}, {"ack_mode": "client"}])
def test_where_no_frame_waits_that_is_said(session, arguments):
    stream = session.subscribe("/queue/q", **arguments)
    session.send("/queue/q", "a")
    stream.wait(1, 5)
    with pytest.raises(STOMPError, match="no frame of /queue/q waits") as refused:
        stream.ack()
    assert "send_acks=False" in refused.value.hint


def test_after_the_end_no_frame_waits(session):
    stream = delivered(session)
    stream.unsubscribe()
    assert stream.unacknowledged == []
    with pytest.raises(STOMPError, match="no frame"):
        stream.ack()


def test_an_ack_in_a_transaction_counts_when_that_is_committed(session, other):
    stream = delivered(session)
    with session.transaction(receipt=True):
        stream.ack()
        session.send("/queue/done", "a is done")
        assert stream.unacknowledged == [1, 2, 3]
    session.disconnect()
    assert waiting_in(other, "/queue/q") == ["b", "c", "d"]
    assert waiting_in(other, "/queue/done") == ["a is done"]


def test_an_ack_in_a_transaction_that_is_aborted_has_never_been(session, other):
    stream = delivered(session)

    def fail() -> None:
        with session.transaction():
            stream.ack(1)
            stream.ack(0)
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        fail()
    assert stream.unacknowledged == [0, 1, 2, 3]
    stream.ack(0, 1)
    session.disconnect()
    assert session.last_error is None
    assert waiting_in(other, "/queue/q") == ["c", "d"]


def test_an_ack_of_another_thread_is_not_part_of_a_transaction(session, other):
    stream = delivered(session)

    def fail() -> None:
        with session.transaction():
            with Background(stream.ack, 0):
                pass
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        fail()
    assert stream.unacknowledged == [1, 2, 3]
    session.disconnect()
    assert waiting_in(other, "/queue/q") == ["b", "c", "d"]


# -- its numbers -----------------------------------------------------------------------------


def test_the_numbers_of_a_stream_that_has_received_nothing():
    assert stream_of().stats == {
        "received": 0,
        "kept": 0,
        "dropped": 0,
        "bytes": 0,
        "rate": 0.0,
        "unacknowledged": 0,
        "calls": 0,
        "callback_errors": 0,
        "waiting": 0,
        "undecoded": 0,
        "on_disk": 0,
    }


def test_the_numbers_of_a_stream_are_those_of_its_table():
    stats = stream_of(*"abcdefghij", max_rows=4).stats
    assert (stats["received"], stats["kept"], stats["dropped"]) == (10, 4, 6)
    assert stats["bytes"] > 4


def test_its_rate_is_that_of_the_last_ten_seconds():
    stream = stream_of()
    now = time.time_ns()
    for age in (1, 2, 60):
        stream.table.append(STOMPFrame("MESSAGE"), now - age * 1_000_000_000)
    assert stream.stats["rate"] == 0.2


def test_the_numbers_of_its_callbacks(session):
    stream = session.subscribe("/topic/t")
    gate = Gate()
    stream.on_frame(gate)
    for body in "abc":
        session.send("/topic/t", body)
    stream.wait(3, 5)
    gate.reached()
    until(lambda: stream.stats["waiting"] == 3)
    assert stream.stats["calls"] == 0
    gate.open()
    until(lambda: stream.stats["calls"] == 3)
    assert stream.stats["waiting"] == 0


def test_a_stream_says_whether_it_is_live_paused_or_ended(session):
    stream = session.subscribe("/topic/t")
    assert repr(stream) == "<FrameStream /topic/t: 0 frames, live>"
    stream.pause()
    assert repr(stream) == "<FrameStream /topic/t: 0 frames, paused>"
    stream.unsubscribe()
    assert repr(stream) == "<FrameStream /topic/t: 0 frames, ended>"


def test_an_empty_stream_is_true_all_the_same():
    stream = stream_of()
    assert (bool(stream), len(stream)) == (True, 0)


def test_the_numbers_of_a_stream_outlive_the_callback_that_was_taken_off(session):
    stream = session.subscribe("/queue/q")

    @stream.on_frame
    def fail(frame):
        raise ValueError

    session.send("/queue/q", "one")
    until(lambda: stream.stats["calls"] == 1)
    stream.off_frame(fail)
    assert (stream.stats["calls"], stream.stats["callback_errors"]) == (1, 1)


def test_a_wait_in_vain_says_when_the_stream_is_paused(session):
    stream = session.subscribe("/queue/q")
    stream.pause()
    with pytest.raises(STOMPTimeout, match="the stream is paused"):
        stream.wait(1, 0.01)


def test_frames_are_acknowledged_all_or_none(session):
    stream = session.subscribe("/queue/q", ack_mode="client-individual", send_acks=False)
    for body in "abc":
        session.send("/queue/q", body)
    stream.wait(3, 5)
    with pytest.raises(STOMPError, match="frame 7"):
        stream.ack(0, 7, 2)
    assert stream.unacknowledged == [0, 1, 2]
    stream.ack(2, 0)
    assert stream.unacknowledged == [1]
