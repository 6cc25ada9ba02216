"""Tally: what was sent against what has come, with the embedded broker and its faults."""

import gc
import weakref
from collections.abc import Iterator

import pytest

import stompy
from stompy import STOMPClient, STOMPClosed, STOMPError, wire
from stompy.broker import Broker, Faults
from stompy_jupyter import FrameStream, StompSession, replay, tally
from stompy_jupyter.inlet import Inlet
from stompy_jupyter.table import FrameTable
from stompy_jupyter.tally import MAX_NUMBERS, Counts, Tally
from stompy_jupyter.trace import FrameTrace
from tests.unit.sessions import SOON
from tests.unit.test_frame_trace import told
from tests.unit.waiting import until

QUEUE, TOPIC = "/queue/q", "/topic/t"
HOSTILE = "<b>&\x1b[31m\u202e"


@pytest.fixture
def stream(session: StompSession) -> FrameStream:
    """A stream that is there before anything is sent."""
    stream = session.subscribe(QUEUE)
    stream.confirm(5)
    return stream


@pytest.fixture
def second(broker: Broker) -> Iterator[StompSession]:
    """Another session of the same broker."""
    with StompSession(broker.address) as session:
        yield session


def send(session: StompSession, *bodies: str, to: str = QUEUE) -> None:
    """Send messages, and wait until the broker has handled them all."""
    for body in bodies:
        session.send(to, body)
    receipt = session.send("/topic/nobody", receipt=True)
    assert receipt is not None
    receipt.wait(5)


def settled(counted: Tally, **numbers: int) -> Counts:
    """What is counted, when these numbers are."""
    expected = Counts(**numbers)
    return until(lambda: counts if (counts := counted.counts) == expected else None)


# -- nothing wrong ---------------------------------------------------------------------------


def test_what_was_sent_has_come(session, stream):
    counted = stream.tally()
    assert counted.counts == Counts()
    send(session, "a", "b")
    settled(counted, expected=2, arrived=2)
    assert (counted.lost, counted.doubled) == ([], [])


def test_it_counts_from_now_on(session, stream):
    send(session, "before")
    stream.wait(1)
    counted = stream.tally()
    send(session, "a")
    settled(counted, expected=1, arrived=1)


def test_what_goes_elsewhere_is_not_expected(session, stream):
    counted = stream.tally()
    other = session.subscribe(TOPIC)
    send(session, "a", to=TOPIC)
    other.wait(1)
    assert counted.counts == Counts()


def test_a_topic_with_wildcards_expects_what_it_matches(session):
    counted = session.subscribe("/topic/prices.*").tally()
    send(session, "a", to="/topic/prices.gold")
    send(session, "b", to="/topic/prices")
    settled(counted, expected=1, arrived=1)


def test_what_is_sent_while_the_stream_pauses_comes_by_another_subscription(session, stream):
    counted = stream.tally()
    stream.pause()
    send(session, "a")
    stream.resume()
    settled(counted, expected=1, arrived=1)


def test_two_streams_of_a_destination_are_told_apart(session):
    first, second = (session.subscribe(TOPIC, name=name) for name in ("one", "two"))
    second.confirm(5)
    counted = first.tally()
    send(session, "a", to=TOPIC)
    second.wait(1)
    settled(counted, expected=1, arrived=1)


# -- lost ------------------------------------------------------------------------------------


def test_a_message_is_on_its_way_and_then_lost(session, stream, broker, monkeypatch):
    counted = stream.tally(grace=30)
    broker.set_faults(Faults(lose=2))
    send(session, "a", "b", "c")
    counts = settled(counted, expected=3, arrived=2, on_its_way=1)
    assert (counts.lost, counted.lost) == (0, [])
    now = tally.time.time()
    monkeypatch.setattr(tally.time, "time", lambda: now + 31)
    assert counted.counts == Counts(expected=3, arrived=2, lost=1)
    assert counted.lost == ["b"]


def test_what_is_late_was_not_lost(session, stream, broker):
    counted = stream.tally(grace=0)
    broker.set_faults(Faults(slow=0.3))
    session.send(QUEUE, "a")
    settled(counted, expected=1, lost=1)
    settled(counted, expected=1, arrived=1)


def test_what_has_not_come_when_the_stream_ends_is_lost_at_once(session, stream, broker):
    counted = stream.tally(grace=30)
    broker.set_faults(Faults(lose=1))
    send(session, "a")
    settled(counted, expected=1, on_its_way=1)
    stream.unsubscribe()
    send(session, "too late")
    assert counted.counts == counted.glance() == Counts(expected=1, lost=1)


def test_equal_bodies_are_counted_and_told_apart_by_their_ids(session, stream, broker):
    counted = stream.tally(grace=0)
    send(session, *["same"] * 10)
    stream.wait(10)
    broker.set_faults(Faults(duplicate=True))
    send(session, "same")
    broker.set_faults(Faults(lose=1))
    send(session, "same")
    settled(counted, expected=12, arrived=12, lost=1, doubled=1, redelivered=1)
    assert counted.lost == counted.doubled == ["same"]


# -- doubled ---------------------------------------------------------------------------------


def test_what_comes_twice_is_doubled(session, stream, broker):
    counted = stream.tally()
    send(session, "once")
    stream.wait(1)
    broker.set_faults(Faults(duplicate=True))
    send(session, "a", "b")
    settled(counted, expected=3, arrived=5, doubled=2, redelivered=2)
    assert counted.doubled == ["a", "b"]


def test_what_the_broker_delivers_again_after_a_lost_connection_is_doubled(nothing_left, broker):
    with StompSession(broker.address, reconnect=SOON) as session:
        stream = session.subscribe(QUEUE, ack_mode="client-individual", send_acks=False)
        stream.confirm(5)
        counted = stream.tally(grace=0)
        send(session, "a", "b")
        stream.wait(2)
        stream.ack(0)
        send(session)
        broker.drop()
        settled(counted, expected=2, arrived=3, doubled=1, redelivered=1)
        assert counted.doubled == ["b"]


def test_a_topic_loses_what_was_cut_off_with_the_connection(nothing_left, broker, other):
    with StompSession(broker.address, reconnect=SOON) as session:
        stream = session.subscribe(TOPIC)
        stream.confirm(5)
        counted = stream.tally(grace=0)
        broker.set_faults(Faults(drop_after=2), broker.clients()[-1]["client"])
        for body in "abc":
            session.send(TOPIC, body)
        settled(counted, expected=3, arrived=2, lost=1)
        until(lambda: session.reconnects == 1 and stream.state == "live")
        until(lambda: broker.clients()[-1]["subscriptions"] == [TOPIC])
        send(session, "d", to=TOPIC)
        settled(counted, expected=4, arrived=3, lost=1)
        assert counted.lost == ["c"]


def test_a_lost_message_of_a_queue_comes_when_the_connection_has_ended(nothing_left, broker):
    with StompSession(broker.address, reconnect=SOON) as session:
        stream = session.subscribe(QUEUE, ack_mode="client-individual")
        stream.confirm(5)
        counted = stream.tally(grace=0)
        broker.set_faults(Faults(lose=2))
        send(session, "a", "b", "c")
        settled(counted, expected=3, arrived=2, lost=1)
        until(lambda: broker.clients()[0]["unacknowledged"] == 1)
        broker.set_faults()
        broker.drop()
        settled(counted, expected=3, arrived=3, redelivered=1)


def test_ids_that_a_broker_has_again_after_a_start_are_other_messages(nothing_left):
    broker = Broker().start()
    with StompSession(broker.address, reconnect=SOON) as session:
        counted = session.subscribe(QUEUE).tally()
        send(session, "a")
        settled(counted, expected=1, arrived=1)
        port = broker.address[1]
        broker.stop()
        until(lambda: session.state == "reconnecting")
        with Broker(port=port):
            session.wait_connected(10)
            send(session, "a")
            settled(counted, expected=2, arrived=2)
            session.disconnect()


# -- by what messages are told apart ---------------------------------------------------------


def test_a_header_tells_messages_apart_whose_bodies_are_equal(session, stream, broker):
    counted = stream.tally(by="n", grace=0)
    broker.set_faults(Faults(lose=2))
    for n in range(4):
        session.send(QUEUE, "same", n=n)
    send(session)
    settled(counted, expected=4, arrived=2, lost=2)
    assert counted.lost == ["1", "3"]


def test_messages_without_the_header_are_taken_for_the_same(session, stream):
    counted = stream.tally(by="n")
    send(session, "a", "b")
    settled(counted, expected=2, arrived=2)
    assert counted.df["key"].tolist() == ["(without n)"]


def test_the_body_tells_messages_apart_whatever_it_is(session, stream, broker):
    long = "x" * 10_000
    counted = stream.tally(grace=0)
    broker.set_faults(Faults(lose=1))
    send(session, "", "text", long + "a", long + "b", b"\xff\x00")
    settled(counted, expected=5, lost=5)
    assert counted.lost == ["", "text", long[:256] + "…", long[:256] + "…", "b'\\xff\\x00'"]


# -- transactions ----------------------------------------------------------------------------


def test_what_is_in_a_transaction_is_expected_when_that_is_committed(session, stream):
    counted = stream.tally(grace=0)
    with session.transaction(receipt=True):
        session.send(QUEUE, "a")
        session.send(QUEUE, "b")
        assert counted.counts == Counts()
    settled(counted, expected=2, arrived=2)


def test_what_is_in_a_transaction_that_aborts_is_never_expected(session, stream):
    counted = stream.tally(grace=0)
    with session.client.transaction() as transaction:
        session.send_by(transaction, QUEUE, "a")
        transaction.abort()
    send(session, "b")
    settled(counted, expected=1, arrived=1)


def test_a_transaction_ends_with_its_connection(nothing_left, broker):
    with StompSession(broker.address, reconnect=SOON) as session:
        stream = session.subscribe(QUEUE)
        stream.confirm(5)
        counted = stream.tally(grace=0)
        transaction = session.client.transaction()
        session.send_by(transaction, QUEUE, "a")
        broker.drop()
        until(lambda: session.reconnects == 1)
        with pytest.raises(STOMPError):
            transaction.commit()
        until(lambda: broker.clients() and broker.clients()[0]["subscriptions"] == [QUEUE])
        send(session, "b")
        settled(counted, expected=1, arrived=1)


# -- who sends -------------------------------------------------------------------------------


def test_several_sessions_may_send(session, stream, second, broker):
    counted = stream.tally(senders=[session, second], grace=0)
    send(session, "a")
    send(second, "b")
    settled(counted, expected=2, arrived=2)
    broker.set_faults(Faults(lose=1))
    send(second, "c")
    settled(counted, expected=3, arrived=2, lost=1)
    # Of another session's frames the numbers are those of another trace.
    assert [len(numbers) for numbers in counted.df["frames"]] == [2, 1, 0]


def test_who_sends_may_come_later_and_go(nothing_left, session, stream, broker):
    senders: list[StompSession] = []
    counted = stream.tally(senders=lambda: senders)
    send(session, "not watched")
    settled(counted, arrived=1, unexpected=1)
    with StompSession(broker.address) as late:
        send(late, "a")
        senders.append(late)
        stream.wait(2)
        settled(counted, expected=1, arrived=2, unexpected=1)
        send(late, "b")
    senders.clear()  # what it had sent by then is read all the same, once it was known
    settled(counted, expected=2, arrived=3, unexpected=1)


def test_what_others_send_is_unexpected(session, stream, other: STOMPClient):
    counted = stream.tally()
    other.message(QUEUE, "a stranger's")
    settled(counted, arrived=1, unexpected=1)
    assert (counted.lost, counted.doubled) == ([], [])


# -- what was not seen -----------------------------------------------------------------------


def by_hand(trace: FrameTrace, senders: list[FrameTrace]) -> Tally:
    """A tally of a stream that has a subscription s1, and no session."""
    inlet = Inlet(STOMPClient(), FrameTable(), QUEUE, stompy.AckMode.Auto)
    inlet.subscriptions = ("s1",)
    return Tally(inlet, trace, lambda: senders, grace=0)


def sent(n: int, **headers: str) -> bytes:
    return wire.encode("SEND", {"destination": QUEUE, **headers}, b"%d" % n)


def came(n: int, **headers: str) -> bytes:
    known = {"subscription": "s1", "message-id": str(n), "destination": QUEUE}
    return wire.encode("MESSAGE", {**known, **headers}, b"%d" % n)


def test_where_frames_have_gone_before_they_were_seen_nothing_is_said_to_be_lost():
    trace = FrameTrace(max_frames=3)
    counted = by_hand(trace, [trace])
    told(trace, sent(0), sent(1), sent(2))
    assert counted.counts == Counts(expected=3, lost=3)
    told(trace, came(0), sent=False)
    assert counted.counts == Counts(expected=3, arrived=1, lost=2)  # what has gone was seen
    told(trace, came(1), came(1), came(2), came(9), sent=False)
    counts = counted.counts
    assert not counts.complete
    assert (counts.lost, counts.unexpected, counts.on_its_way) == (0, 0, 0)
    assert "incomplete" in repr(counted)
    assert "incomplete" in counted._repr_html_()


def test_a_trace_that_was_cleared_before_it_was_seen_is_incomplete():
    trace = FrameTrace()
    counted = by_hand(trace, [trace])
    told(trace, sent(0))
    trace.clear()
    assert not counted.counts.complete
    told(trace, sent(1))
    assert counted.counts == Counts(expected=1, complete=False)


def test_octets_that_have_gone_before_they_were_frames_make_it_incomplete():
    trace = FrameTrace(max_bytes=100)
    tape = trace.beside(None)
    counted = by_hand(trace, [trace])
    for n in range(20):
        tape.passed(True, sent(n), "1.2")
    counts = counted.counts
    assert not counts.complete
    assert counts.lost == 0


def test_a_trace_that_was_full_before_the_tally_began_is_no_reason_to_doubt():
    trace, own = FrameTrace(max_frames=3), FrameTrace()
    told(trace, *map(sent, range(9)))
    counted = by_hand(own, [trace])
    assert counted.counts == Counts()
    told(trace, sent(9))
    assert counted.counts == Counts(expected=1, lost=1)


@pytest.mark.parametrize(("frames", "complete"), [(3, True), (4, False)])
def test_a_trace_that_comes_later_is_complete_if_nothing_of_it_has_gone(
    monkeypatch, frames, complete
):
    monkeypatch.setattr(tally.time, "time", lambda: 0.0)  # before the frames of `told`
    traces: list[FrameTrace] = []
    counted = by_hand(FrameTrace(), traces)
    traces.append(told(FrameTrace(max_frames=3), *map(sent, range(frames))))
    assert counted.counts.complete is complete
    assert counted.counts.expected == 3


def test_more_different_messages_than_can_be_told_apart_make_it_incomplete(monkeypatch):
    monkeypatch.setattr(tally, "MAX_ROWS", 2)
    trace = FrameTrace()
    counted = by_hand(trace, [trace])
    told(trace, *map(sent, range(3)))
    assert counted.counts == Counts(expected=2, complete=False)


def test_no_more_message_ids_are_remembered_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr(tally, "MAX_IDS", 2)
    trace = FrameTrace()
    counted = by_hand(trace, [trace])
    told(trace, *map(came, (0, 1, 2, 2, 0)), sent=False)
    assert counted.counts.redelivered == 1


def test_a_row_has_the_newest_numbers_alone():
    trace = FrameTrace()
    counted = by_hand(trace, [trace])
    told(trace, *[sent(0)] * (MAX_NUMBERS + 5))
    (numbers,) = counted.df["frames"]
    assert numbers == list(range(5, MAX_NUMBERS + 5))


def test_a_message_marked_as_redelivered_is_doubled_though_its_id_is_another():
    trace = FrameTrace()
    counted = by_hand(trace, [trace])
    told(trace, sent(0))
    told(trace, came(0), came(0, **{"message-id": "x", "redelivered": "true"}), sent=False)
    assert counted.counts == Counts(expected=1, arrived=2, doubled=1, redelivered=1)


def test_messages_of_other_subscriptions_do_not_count():
    trace = FrameTrace()
    counted = by_hand(trace, [trace])
    told(trace, came(0, subscription="s2"), sent=False)
    assert counted.counts == Counts()


# -- when it is asked ------------------------------------------------------------------------


def test_a_glance_is_not_older_than_a_second(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(tally.time, "monotonic", lambda: now[0])
    trace = FrameTrace()
    counted = by_hand(trace, [trace])
    assert counted.glance() == Counts()
    told(trace, sent(0))
    now[0] += 0.9
    assert counted.glance() == Counts()
    now[0] += 0.2
    assert counted.glance() == Counts(expected=1, lost=1)


def test_a_tally_that_was_stopped_counts_no_more(session, stream):
    counted = stream.tally()
    send(session, "a")
    settled(counted, expected=1, arrived=1)
    assert stream.tallies == (counted,)
    counted.stop()
    counted.stop()
    send(session, "b")
    stream.wait(2)
    assert counted.counts == Counts(expected=1, arrived=1)
    assert (counted.stopped, stream.tallies) == (True, ())


def test_a_stream_may_have_several(session, stream):
    first = stream.tally()
    send(session, "a")
    stream.wait(1)
    newest = stream.tally(by="n")
    assert stream.tallies == (first, newest)
    assert newest.counts == Counts()
    settled(first, expected=1, arrived=1)


def test_what_a_later_connection_brings_is_not_of_the_stream_that_has_ended(session, stream):
    counted = stream.tally()
    session.disconnect()
    session.connect()
    again = session.subscribe(QUEUE)
    assert again._inlet.subscriptions == stream._inlet.subscriptions
    send(session, "a")
    again.wait(1)
    assert counted.counts == Counts()


def test_a_stream_and_its_tally_go_when_nobody_holds_them(session, stream):
    counted = weakref.ref(session.subscribe(TOPIC, name="t").tally())
    session.streams["t"].unsubscribe()
    gc.collect()
    assert counted() is None


# -- what it shows ---------------------------------------------------------------------------


def test_the_data_frame_has_a_row_for_each_message_and_the_frames_that_show_it(
    session, stream, broker
):
    counted = stream.tally(grace=0)
    broker.set_faults(Faults(lose=2))
    send(session, "a", "b")
    settled(counted, expected=2, arrived=1, lost=1)
    df = counted.df
    columns = ["key", "sent", "came", "difference", "lost", "doubled", "frames"]
    assert list(df.columns) == columns
    assert df[columns[:-1]].values.tolist() == [["a", 1, 1, 0, 0, 0], ["b", 1, 0, -1, 1, 0]]
    trace = session.trace
    passed = [[trace[number].command for number in numbers] for numbers in df["frames"]]
    assert passed == [["SEND", "MESSAGE"], ["SEND"]]
    assert str(df["key"].dtype) == "str"


def test_a_data_frame_of_nothing_has_its_columns(stream):
    df = stream.tally().df
    assert (len(df), str(df["key"].dtype), str(df["sent"].dtype)) == (0, "str", "int64")


def test_it_says_how_it_stands_in_a_line_and_in_a_table():
    trace = FrameTrace()
    counted = by_hand(trace, [trace])
    assert "✓" in counted._repr_html_()
    assert "✗" not in counted._repr_html_()
    told(trace, *map(sent, range(20)))
    told(trace, came(0), came(0), sent=False)
    assert repr(counted) == (
        "<Tally /queue/q: expected 20 · arrived 2 · lost 19 · doubled 1 · redelivered 1 · "
        "unexpected 0 · on their way 0>"
    )
    shown = counted._repr_html_()
    assert shown.count("✗") == 2
    assert "lost: <code>1, 2, 3, 4, 5, 6, 7, 8</code> … and 11 more" in shown
    assert "doubled: <code>0</code>" in shown


def test_whatever_a_stranger_sends_stays_text(session, broker):
    stream = session.subscribe(f"/topic/{HOSTILE}")
    counted = stream.tally(by=HOSTILE, grace=0)
    broker.set_faults(Faults(lose=1))
    session.send(f"/topic/{HOSTILE}", headers={HOSTILE: HOSTILE * 9})
    settled(counted, expected=1, lost=1)
    for shown in (repr(counted), counted._repr_html_()):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
    assert "<b>&" not in counted._repr_html_().replace("<b>/topic", "")
    assert "&lt;b&gt;&amp;\\x1b[31m" in counted._repr_html_()


def test_a_key_that_no_column_can_hold_is_made_one_that_can():
    trace = FrameTrace()
    counted = by_hand(trace, [trace])
    head = {"destination": QUEUE, "content-type": "text/plain;charset=utf-7"}
    told(trace, wire.encode("SEND", head, b"+2AA-"))
    assert counted.df["key"].tolist() == ["?"]


# -- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["", " ", 1, b"n"])
def test_what_is_no_name_of_a_header_is_refused(stream, by):
    with pytest.raises(ValueError, match="by must be the name of a header"):
        stream.tally(by=by)
    assert stream.tallies == ()


@pytest.mark.parametrize("grace", [-1, float("nan"), float("inf"), "1"])
def test_what_is_no_time_is_refused(stream, grace):
    with pytest.raises(ValueError, match="grace must be seconds"):
        stream.tally(grace=grace)


def test_a_stream_that_has_ended_cannot_be_counted(stream):
    stream.unsubscribe()
    with pytest.raises(STOMPClosed, match="has ended"):
        stream.tally()


def test_a_replay_cannot_be_counted(stream, tmp_path):
    path = tmp_path / "none.stompcap"
    stream.save(path)
    with pytest.raises(STOMPError, match="nothing is sent to a replay"):
        replay(path).tally()
