"""StompSession: one connection that is read in the background, against the embedded broker."""

import gc
import threading
import time
import weakref
from collections.abc import Iterator

import pytest
from traitlets import TraitError

import stompy
from stompy import STOMPClosed, STOMPConnectError, STOMPError
from stompy.broker import Broker
from stompy_jupyter import FrameTable, StompSession
from stompy_jupyter.embedded import embedded_broker
from stompy_jupyter.reader import LEAVE_LIMIT
from tests.unit.peer import Background, Link, Peer, in_threads, raw
from tests.unit.sessions import SOON, settled, waiting_in
from tests.unit.waiting import until

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def fragile(broker: Broker) -> Iterator[StompSession]:
    """A session that does not come back when it is lost."""
    with StompSession(broker.address, reconnect=False) as session:
        yield session


# -- connecting ------------------------------------------------------------------------------


def test_a_session_connects_once_and_says_where(broker):
    session = StompSession(broker.address, name="prices")
    assert session.state == "disconnected"
    with session:
        client = session.client
        assert session.connect() is session
        assert session.client is client
        assert (session.connected, session.state) == (True, "connected")
        assert session.address == "{}:{}".format(*broker.address)
        assert repr(session) == f"<StompSession prices: {session.address} connected, STOMP 1.2>"
    assert (session.connected, session.state) == (False, "disconnected")


def test_a_session_that_was_never_connected_refuses_to_work(broker):
    session = StompSession(broker.address)
    with pytest.raises(STOMPClosed, match="not connected"):
        session.subscribe("/topic/t")
    with pytest.raises(STOMPClosed, match="not connected"):
        session.send("/topic/t", "a")
    session.disconnect()
    assert (session.received, session.last_error, session.streams) == (0, None, {})


def test_without_an_address_the_embedded_broker_is_started(monkeypatch):
    monkeypatch.delenv("STOMPY_URL", raising=False)
    with StompSession() as one, StompSession() as other:
        assert one.address == other.address == "{}:{}".format(*embedded_broker().address)


def test_stompy_url_is_the_address_of_those_who_name_none(broker, monkeypatch):
    monkeypatch.setenv("STOMPY_URL", "stomp://{}:{}".format(*broker.address))
    with StompSession() as session:
        assert session.client.BrokerAddress == broker.address


def test_an_address_that_is_given_counts_more_than_stompy_url(broker, monkeypatch):
    monkeypatch.setenv("STOMPY_URL", "stomp://no-such-host.invalid")
    with StompSession(broker.address) as session:
        assert session.connected


def test_an_empty_stompy_url_is_none(monkeypatch):
    monkeypatch.setenv("STOMPY_URL", "")
    assert StompSession().address == "embedded broker"


def test_a_broker_that_does_not_answer_leaves_the_session_as_it_was(broker):
    session = StompSession(broker.address)
    broker.stop()
    with pytest.raises(STOMPConnectError, match="nothing listens"):
        session.connect()
    assert session.state == "disconnected"


def test_arguments_reach_the_connect_frame(silent):
    session = StompSession(
        silent.address, login="me", passcode="s3cr3t", vhost="/v", headers={"a": "b"}
    )
    session.connect()
    connect = until(lambda: silent.received)[0]
    sent = {name: connect[name] for name in ("login", "passcode", "host", "a")}
    assert sent == {"login": "me", "passcode": "s3cr3t", "host": "/v", "a": "b"}
    session.client.disconnect(timeout=0)
    session.disconnect()


def test_a_passcode_is_in_nothing_that_can_be_shown(broker, monkeypatch):
    url = "stomp://me:s3cr3t@{}:{}".format(*broker.address)
    monkeypatch.setenv("STOMPY_URL", url)
    named = StompSession(broker.address, passcode="s3cr3t")
    for session in (StompSession(), StompSession(url), named):
        with session:
            stream = session.subscribe("/topic/t")
            shown = [session, session.trait_values(), session.client, stream, stream._repr_html_()]
            assert "s3cr3t" not in "\n".join(map(repr, shown))
    broker.stop()
    for session in (StompSession(), StompSession(url), named):
        with pytest.raises(STOMPConnectError) as failure:
            session.connect()
        assert (
            "s3cr3t" not in f"{failure.value} {failure.value!r} {vars(failure.value)} {session!r}"
        )


def test_its_name_and_address_are_not_for_others_to_set(session):
    with pytest.raises(TraitError):
        session.name = "mine"
    with pytest.raises(TraitError):
        session.address = "mine"


# -- streams ---------------------------------------------------------------------------------


def test_what_others_send_arrives_in_the_background(session, other):
    stream = session.subscribe("/queue/q")
    other.message("/queue/q", "a", currency="EUR")
    assert stream.wait(1, timeout=5) == 1
    assert stream.df[["body", "currency"]].to_dict("records") == [{"body": "a", "currency": "EUR"}]
    assert session.received == 1


def test_a_stream_is_called_by_its_destination_or_by_the_name_it_is_given(session):
    plain, named = session.subscribe("/topic/a"), session.subscribe("/topic/b", name="b")
    assert session.streams == {"/topic/a": plain, "b": named}
    session.streams.clear()
    assert len(session.streams) == 2


def test_two_streams_of_one_topic_both_get_each_frame(session):
    one, two = session.subscribe("/topic/t", name="one"), session.subscribe("/topic/t", name="two")
    for body in "abc":
        session.send("/topic/t", body)
    assert (one.wait(3, 5), two.wait(3, 5)) == (3, 3)
    assert one.df["body"].tolist() == two.df["body"].tolist() == ["a", "b", "c"]


def test_a_stream_of_the_same_name_is_replaced_and_keeps_its_rows(session):
    old = session.subscribe("/topic/t", name="t")
    session.send("/topic/t", "a")
    old.wait(1, timeout=5)
    new = session.subscribe("/topic/t", name="t")
    session.send("/topic/t", "b")
    new.wait(1, timeout=5)
    assert session.streams == {"t": new}
    assert (old.live, old.error, old.df["body"].tolist()) == (False, None, ["a"])
    assert new.df["body"].tolist() == ["b"]
    assert session.received == 2


def test_an_unsubscribed_stream_keeps_its_rows_and_gets_no_more(session):
    stream = session.subscribe("/queue/q")
    session.send("/queue/q", "a")
    stream.wait(1, timeout=5)
    stream.unsubscribe()
    stream.unsubscribe()
    assert session.streams == {}
    with pytest.raises(STOMPClosed):
        stream.wait(2, timeout=5)
    session.send("/queue/q", "b")
    later = session.subscribe("/queue/q")
    assert later.wait(1, timeout=5) == 1
    assert stream.df["body"].tolist() == ["a"]


def test_bounds_and_headers_of_a_stream_are_passed_on(silent):
    session = StompSession(silent.address).connect()
    stream = session.subscribe(
        "/queue/q", ack_mode="client", max_rows=5, max_bytes=7, headers={"selector": "a = 'b'"}
    )
    assert (stream.table.max_rows, stream.table.max_bytes, stream.ack_mode) == (5, 7, "client")
    _, subscribe = until(lambda: len(silent.received) > 1 and silent.received)
    assert (subscribe["selector"], subscribe["ack"]) == ("a = 'b'", "client")
    session.client.disconnect(timeout=0)
    session.disconnect()


@pytest.mark.parametrize("wrong", [{"ack_mode": "sometimes"}, {"max_rows": 0}])
def test_a_wrong_argument_does_not_cost_the_stream_of_that_name(session, wrong):
    stream = session.subscribe("/topic/t")
    with pytest.raises(ValueError, match=r"sometimes|one row"):
        session.subscribe("/topic/t", **wrong)
    assert stream.live
    assert session.streams == {"/topic/t": stream}


@pytest.mark.parametrize("unknown", [{"durable": "d"}, {"headers": {"id": "x"}}])
def test_an_option_that_the_broker_refuses_does_not_cost_the_stream_of_that_name(session, unknown):
    stream = session.subscribe("/topic/t")
    with pytest.raises(STOMPError, match=r"durable= is not known|say it by id="):
        session.subscribe("/topic/t", **unknown)
    assert stream.live
    assert session.streams == {"/topic/t": stream}


def test_a_subscription_that_fails_as_the_connection_ends_says_that_it_is_closed(
    fragile, broker, monkeypatch
):
    def subscribe(*_: object, **__: object) -> str:
        broker.stop()
        until(lambda: not any(t.name.startswith("stomp-reader") for t in threading.enumerate()))
        raise STOMPClosed("the connection is closed")

    monkeypatch.setattr(fragile.client, "subscribe", subscribe)
    with pytest.raises(STOMPClosed):
        fragile.subscribe("/topic/t")


# -- acknowledgement -------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["client", "client-individual"])
@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_in_the_client_modes_what_is_in_the_table_is_acknowledged(broker, other, version, mode):
    with StompSession(broker.address, versions=(version,)) as session:
        assert session.client.version == version
        stream = session.subscribe("/queue/q", ack_mode=mode)
        for body in "abc":
            other.message("/queue/q", body)
        stream.wait(3, timeout=5)
    assert waiting_in(other, "/queue/q") == []
    assert stream.df["body"].tolist() == ["a", "b", "c"]


def test_a_message_is_in_the_table_before_it_is_acknowledged(session, monkeypatch):
    stream = session.subscribe("/queue/q", ack_mode="client")
    filed: list[int] = []
    ack = session.client.ack
    monkeypatch.setattr(
        session.client, "ack", lambda *a, **k: (filed.append(len(stream)), ack(*a, **k))
    )
    for _ in range(3):
        session.send("/queue/q", "a")
    until(lambda: len(filed) == 3)
    assert filed == [1, 2, 3]


def test_a_message_that_comes_while_its_stream_ends_is_filed_or_stays_in_the_queue(
    session, other, monkeypatch
):
    stream = session.subscribe("/queue/q", ack_mode="client")
    unsubscribe = session.client.unsubscribe

    def late(sub_id: str, **kwargs: str) -> object:
        other.message("/queue/q", "late")
        until(lambda: session.received == 1)
        settled(other)
        return unsubscribe(sub_id, **kwargs)

    monkeypatch.setattr(session.client, "unsubscribe", late)
    stream.unsubscribe()
    session.disconnect()
    assert [*stream.df["body"], *waiting_in(other, "/queue/q")] == ["late"]


def test_what_waits_for_an_answer_is_counted_as_long_as_its_connection_is_there(session):
    stream = session.subscribe("/queue/q", ack_mode="client-individual", send_acks=False)
    for _ in range(3):
        session.send("/queue/q", "a")
    stream.wait(3, timeout=5)
    stream.ack()
    assert (stream.waiting, stream.unacknowledged) == (2, [1, 2])
    assert [stream.awaits(number) for number in range(4)] == [False, True, True, False]
    assert stream.answers
    session.disconnect()
    assert (stream.waiting, stream.unacknowledged, stream.answers) == (0, [], False)


# -- several streams and several sessions ----------------------------------------------------


def test_a_frame_that_matches_two_streams_goes_to_both(session):
    exact, wide = session.subscribe("/topic/a.b"), session.subscribe("/topic/a.*", max_rows=1)
    for body in "abc":
        session.send("/topic/a.b", body)
    session.send("/topic/a.c", "d")
    exact.wait(3, 5)
    wide.wait(4, 5)
    assert exact.df["body"].tolist() == ["a", "b", "c"]
    assert wide.df["body"].tolist() == ["d"]
    assert session.received == sum(s.dropped + len(s) for s in (exact, wide)) == 7


def test_several_sessions_live_side_by_side_and_end_one_by_one(broker):
    with StompSession(broker.address, name="one") as one, StompSession(broker.address) as two:
        streams = [one.subscribe("/topic/t"), two.subscribe("/topic/t")]
        two.client.send("SEND", destination="/topic/nobody", receipt=True).wait(5)
        one.send("/topic/t", "a")
        for stream in streams:
            stream.wait(1, 5)
        one.disconnect()
        two.send("/topic/t", "b")
        streams[1].wait(2, 5)
        assert [stream.state for stream in streams] == ["ended", "live"]
        assert (one.sent, two.sent, one.received, two.received) == (1, 1, 1, 2)


def test_a_session_goes_on_when_another_is_lost(broker, session):
    stream = session.subscribe("/topic/t")
    with Broker() as second, StompSession(second.address, reconnect=False) as lost:
        lost.subscribe("/topic/t")
        second.stop()
        until(lambda: lost.state == "lost")
    session.send("/topic/t", "a")
    assert (stream.wait(1, 5), session.state) == (1, "connected")


def test_streams_of_one_name_that_two_threads_make_at_once_are_one_in_the_end(session):
    streams = []
    in_threads(4, lambda number: streams.append(session.subscribe("/topic/t", name="t")))
    assert [stream.live for stream in streams].count(True) == 1
    assert len(session.client.subscriptions) == 1
    session.send("/topic/t", "a")
    assert session.streams["t"].wait(1, 5) == 1
    assert session.received == 1


def test_a_queue_loses_nothing_when_its_stream_is_replaced_again_and_again(session, other):
    streams = []
    for number in range(200):
        other.message("/queue/q", str(number))
        if number % 20 == 0:
            streams.append(session.subscribe("/queue/q"))
    streams[-1].unsubscribe()
    settled(other)
    filed = [body for stream in streams for body in stream.df["body"]]
    assert filed + waiting_in(other, "/queue/q") == [str(number) for number in range(200)]


def test_every_frame_is_in_the_table_or_counted_as_dropped(session):
    stream = session.subscribe("/topic/t", max_rows=10)
    for number in range(100):
        session.send("/topic/t", str(number))
    stream.wait(100, 5)
    assert (stream.received, len(stream), stream.dropped) == (100, 10, 90)
    assert stream.df["body"].tolist() == [str(number) for number in range(90, 100)]


# -- sending ---------------------------------------------------------------------------------


def test_what_is_sent_is_counted_and_confirmed_where_that_is_asked_for(session):
    assert session.send("/queue/q", "a", currency="EUR") is None
    session.send("/queue/q", b"b", receipt=True).wait(5)
    assert session.sent == 2


def test_what_cannot_be_sent_is_not_counted(session):
    with pytest.raises(STOMPError, match="NUL"):
        session.send("/queue/q", "a", odd="\0")
    assert (session.sent, session.connected) == (0, True)


# -- transactions ----------------------------------------------------------------------------


def test_what_is_sent_in_a_transaction_arrives_at_its_end(session, other):
    with session.transaction() as transaction:
        assert session.open_transaction is transaction
        session.send("/queue/q", "a")
        session.send("/queue/q", "b")
        session.send("/topic/nobody", receipt=True).wait(5)
        assert waiting_in(other, "/queue/q") == []
    assert session.open_transaction is None
    session.send("/topic/nobody", receipt=True).wait(5)
    assert waiting_in(other, "/queue/q") == ["a", "b"]
    assert session.sent == 4


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_an_exception_aborts_a_transaction_and_comes_out(session, other, kind):
    def fail() -> None:
        with session.transaction():
            session.send("/queue/q", "a")
            raise kind

    with pytest.raises(kind):
        fail()
    assert session.open_transaction is None
    session.send("/queue/q", "b", receipt=True).wait(5)
    assert waiting_in(other, "/queue/q") == ["b"]


def test_a_transaction_may_wait_for_its_confirmation(session, other):
    with session.transaction(receipt=True):
        session.send("/queue/q", "a")
    assert waiting_in(other, "/queue/q") == ["a"]


def test_a_transaction_is_of_its_thread_alone(session, other):
    with session.transaction():
        session.send("/queue/q", "in here")
        with Background(lambda: session.send("/queue/q", "elsewhere", receipt=True)) as sending:
            sending.result().wait(5)
        with Background(lambda: session.open_transaction) as looking:
            assert looking.result() is None
        assert waiting_in(other, "/queue/q") == ["elsewhere"]


def test_each_thread_may_have_a_transaction(session, other):
    def send(number: int) -> None:
        with session.transaction(receipt=True):
            for part in range(5):
                session.send("/queue/q", f"{number}.{part}")

    in_threads(4, send)
    arrived = waiting_in(other, "/queue/q")
    assert [arrived[at : at + 5] for at in range(0, 20, 5)] == [
        [f"{first[0]}.{part}" for part in range(5)] for first in arrived[::5]
    ]


def test_a_transaction_is_not_begun_in_another_which_goes_on(session, other):
    with session.transaction(receipt=True):
        with pytest.raises(STOMPError, match="open already"), session.transaction():
            raise AssertionError("not reached")
        session.send("/queue/q", "a")
    assert waiting_in(other, "/queue/q") == ["a"]


def test_two_sessions_have_transactions_of_their_own(session, broker, other):
    with StompSession(broker.address) as second:
        with session.transaction(receipt=True):
            second.send("/queue/q", "of the second", receipt=True).wait(5)
            session.send("/queue/q", "of the first")
            assert waiting_in(other, "/queue/q") == ["of the second"]
        assert waiting_in(other, "/queue/q") == ["of the first"]


def test_a_transaction_that_the_broker_refuses_says_so_in_the_cell():
    def refuse(link: Link) -> None:
        link.accept()
        link.expect("BEGIN")
        link.expect("SEND")
        receipt = link.expect("COMMIT").headers["receipt"]
        link.send(raw("ERROR", "message:not today", f"receipt-id:{receipt}"))
        link.serve()

    with Peer(refuse) as peer, StompSession(peer.address, reconnect=False) as session:
        with pytest.raises(STOMPError, match="not today"), session.transaction(receipt=True):
            session.send("/queue/q", "a")
        assert session.open_transaction is None


def test_a_transaction_that_is_open_over_a_loss_has_ended_with_its_connection(broker, other):
    with StompSession(broker.address, reconnect=SOON) as session:

        def over_a_loss() -> None:
            with session.transaction():
                session.send("/queue/q", "a")
                broker.drop()
                until(lambda: session.reconnects == 1)
                with pytest.raises(STOMPClosed, match="ended with its connection"):
                    session.send("/queue/q", "b")

        with pytest.raises(STOMPClosed, match="ended with its connection"):  # at COMMIT, too
            over_a_loss()
        assert session.open_transaction is None
        session.send("/queue/q", "c", receipt=True).wait(5)
        assert session.reconnects == 1
    with stompy.connect(broker.address) as client:
        assert waiting_in(client, "/queue/q") == ["c"]


def test_without_a_connection_no_transaction_begins(broker):
    session = StompSession(broker.address)
    with pytest.raises(STOMPClosed, match="not connected"), session.transaction():
        raise AssertionError("not reached")
    with session:
        pass
    with pytest.raises(STOMPClosed), session.transaction():
        raise AssertionError("not reached")
    assert session.open_transaction is None


# -- the end ---------------------------------------------------------------------------------


def test_a_session_may_be_disconnected_twice_and_its_streams_keep_what_they_have(session):
    stream = session.subscribe("/topic/t")
    session.send("/topic/t", "a")
    stream.wait(1, timeout=5)
    session.disconnect()
    session.disconnect()
    assert (session.state, session.last_error) == ("disconnected", None)
    assert (stream.live, stream.error, stream.df["body"].tolist()) == (False, None, ["a"])
    with pytest.raises(STOMPClosed, match="1 of 2"):
        stream.wait(2, timeout=5)
    with pytest.raises(STOMPClosed):
        session.send("/topic/t", "b")
    stream.unsubscribe()


def test_a_lost_broker_ends_the_session_and_its_streams_with_the_reason(fragile, broker):
    stream = fragile.subscribe("/topic/t")
    broker.stop()
    with pytest.raises(STOMPClosed, match="the broker closed the connection"):
        stream.wait(1, timeout=5)
    until(lambda: fragile.state == "lost")
    assert isinstance(stream.error, STOMPClosed)
    assert isinstance(fragile.last_error, STOMPClosed)
    assert not fragile.connected
    fragile.disconnect()
    stream.unsubscribe()


def test_an_error_of_the_broker_is_the_last_error(fragile):
    fragile.client.send("SEND", body="where to?")
    error = until(lambda: fragile.last_error)
    assert "SEND without destination" in error.Message
    assert error.Frame["message"] == "SEND without destination"
    until(lambda: fragile.state == "lost")


def test_a_stream_that_ends_by_an_error_of_the_broker_says_what_it_was(fragile):
    stream = fragile.subscribe("/topic/t")
    fragile.client.send("SEND", body="where to?")
    with pytest.raises(STOMPClosed, match="SEND without destination"):
        stream.wait(1, timeout=5)
    assert "SEND without destination" in stream.error.Message


def test_an_error_that_the_connection_outlived_is_not_why_it_ended(silent):
    with StompSession(silent.address, reconnect=False) as session:
        stream = session.subscribe("/queue/q")
        silent.say("ERROR", {"message": "a warning, as some brokers send"})
        silent.say("MESSAGE", {"destination": "/queue/q", "subscription": "stream-1"})
        stream.wait(1, timeout=5)
        assert "a warning" in session.last_error.Message
        silent.close()
        until(lambda: not stream.live)
        assert "closed the connection" in stream.error.Message


def test_a_lost_session_connects_again_and_has_no_streams_yet(broker):
    host, port = broker.address
    session = StompSession((host, port), reconnect=False).connect()
    old = session.subscribe("/topic/t")
    broker.stop()
    until(lambda: session.state == "lost")
    with Broker(host, port):
        session.connect()
        assert (session.state, session.streams, session.last_error) == ("connected", {}, None)
        new = session.subscribe("/topic/t")
        session.send("/topic/t", "a")
        assert new.wait(1, timeout=5) == 1
        assert not old.live
        old.unsubscribe()
        assert new.live
        session.disconnect()


def test_a_forgotten_session_is_collected_without_a_wait_and_says_goodbye(silent):
    session = StompSession(silent.address).connect()
    session.subscribe("/topic/t")
    client, forgotten = session.client, weakref.ref(session)
    del session
    began = time.monotonic()
    gc.collect()
    assert time.monotonic() - began < LEAVE_LIMIT
    assert forgotten() is None
    assert not client.Connected
    until(lambda: [frame.Command for frame in silent.received][-1] == "DISCONNECT")


def test_a_stream_keeps_its_session(broker):
    stream = StompSession(broker.address).connect().subscribe("/topic/t")
    gc.collect()
    assert stream.session.connected
    stream.session.disconnect()


# -- the journal -----------------------------------------------------------------------------


def noted(session: StompSession) -> list[tuple[str, str]]:
    """What the journal of a session says."""
    return [(entry.kind, entry.text) for entry in session.journal]


def test_a_journal_says_what_has_happened_to_a_session(session):
    stream = session.subscribe("/queue/q", name="q")
    session.subscribe("/topic/t", ack_mode="client")
    stream.pause()
    stream.resume()
    stream.unsubscribe()
    stream.unsubscribe()
    session.disconnect()
    at = session.address
    server = session.client.server
    assert noted(session) == [
        ("connected", f"{at}: {server}, STOMP 1.2"),
        ("subscribed", "q: /queue/q (auto)"),
        ("subscribed", "/topic/t (client)"),
        ("unsubscribed", "q: /queue/q (paused)"),
        ("subscribed", "q: /queue/q (auto)"),
        ("unsubscribed", "q: /queue/q"),
        ("disconnected", at),
    ]
    session.connect()
    assert [kind for kind, _ in noted(session)][-1] == "connected"


def test_a_journal_says_which_keys_of_records_come_new(session):
    stream = session.subscribe("/queue/r", name="orders")
    session.send("/queue/r", str([{"n": 1}] * 100).replace("'", '"'))
    stream.wait(1)
    assert len(stream.records) == 100
    session.send("/queue/r", '{"n": 1, "late": true}')
    stream.wait(2)
    assert stream.records["late"].tolist()[-1] is True
    assert ("records", "orders: late is new, since frame 1") in noted(session)


def test_a_journal_says_when_a_connection_was_lost_and_came_back(broker):
    with StompSession(broker.address, reconnect=SOON) as session:
        session.subscribe("/queue/q")
        broker.drop()
        until(lambda: session.reconnects == 1)
        until(lambda: len(session.journal) == 4)
    kinds = [kind for kind, _ in noted(session)]
    assert kinds == ["connected", "subscribed", "reconnecting", "connected", "disconnected"]
    assert "the connection broke" in noted(session)[2][1] or "closed" in noted(session)[2][1]


def test_a_journal_says_when_a_session_is_lost_and_has_the_error_in_full(fragile):
    stream = fragile.subscribe("/topic/t")
    fragile.client.send("SEND", body="where to?")
    until(lambda: not stream.live)
    until(lambda: len(fragile.journal) == 4)
    (_, _, (error, text), (lost, why)) = noted(fragile)
    assert (error, lost) == ("error", "lost")
    assert text.startswith("SEND without destination\n")
    assert why.startswith(f"{fragile.address}: the broker says: SEND without destination")


def test_a_refused_connection_is_in_the_journal(broker):
    session = StompSession(broker.address)
    broker.stop()
    with pytest.raises(STOMPConnectError):
        session.connect()
    ((kind, text),) = noted(session)
    assert kind == "error"
    assert "nothing listens" in text


def test_a_refused_login_is_in_the_journal_without_the_passcode():
    with Broker(logins={"me": "s3cr3t"}) as guarded:
        session = StompSession(guarded.address, login="me", passcode="wr0ng")
        with pytest.raises(STOMPConnectError):
            session.connect()
    assert [kind for kind, _ in noted(session)] == ["error"]
    assert "wr0ng" not in repr(session.journal) + repr(vars(session.journal))


def test_a_passcode_that_is_the_login_is_no_secret():
    def refuse(link: Link) -> None:
        link.expect("CONNECT")
        link.send(raw("ERROR", "message:guest is no friend of s3cr3t"))

    with Peer(refuse, refuse) as peer:
        host, port = peer.address
        for url, login, said in (
            ((host, port), "guest", "guest is no friend of s3cr3t"),
            (f"stomp://me:s3cr3t@{host}:{port}", None, "guest is no friend of ***"),
        ):
            given = {"login": login, "passcode": login} if login else {}
            session = StompSession(url, **given)
            with pytest.raises(STOMPConnectError):
                session.connect()
            assert noted(session) == [("error", said)]


@pytest.mark.parametrize("mode", ["auto", "client"])
def test_a_table_that_is_full_is_noted_once_and_at_its_end_what_was_dropped(session, mode):
    full = session.subscribe("/topic/t", name="t", max_rows=2, ack_mode=mode)
    large = session.subscribe("/topic/t", name="large", max_bytes=3 * 1024**2)
    roomy = session.subscribe("/topic/t")
    for _ in range(5):
        session.send("/topic/t", "x" * 1024**2)
    for stream in (full, large, roomy):
        stream.wait(5, 5)
    full.pause()
    full.resume()
    session.send("/topic/t", "a")
    full.wait(6, 5)
    full.unsubscribe()
    session.disconnect()
    assert [text for kind, text in noted(session) if kind == "full" and "large" not in text] == [
        "t: /topic/t is full at 2 rows: the oldest go",
        f"t: /topic/t has ended: {full.dropped} frames were dropped in all",
    ]
    assert [text for kind, text in noted(session) if kind == "full" and "large" in text] == [
        "large: /topic/t is full at 3 MiB: the oldest go",
        f"large: /topic/t has ended: {large.dropped} frames were dropped in all",
    ]


def test_a_journal_does_not_keep_its_session(broker):
    session = StompSession(broker.address).connect()
    journal, forgotten = session.journal, weakref.ref(session)
    del session
    gc.collect()
    assert forgotten() is None
    until(lambda: [entry.kind for entry in journal] == ["connected", "disconnected"])


# -- what must not kill the reading thread ---------------------------------------------------


@pytest.mark.parametrize("charset", ["no-such", "undefined", "rot13"])
def test_a_hostile_charset_does_not_stop_a_stream(session, charset):
    stream = session.subscribe("/topic/t", max_rows=1)  # each row is converted as it comes
    session.send("/topic/t", b"\xff", **{"content-type": f"text/plain;charset={charset}"})
    session.send("/topic/t", "next")
    assert stream.wait(2, timeout=2) == 2
    assert stream.df["body"].tolist() == ["next"]


def test_a_failure_in_the_reading_thread_ends_the_streams_and_says_why(session, monkeypatch):
    def broken(*_: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(FrameTable, "append", broken)
    monkeypatch.setattr(FrameTable, "extend", broken)
    stream = session.subscribe("/topic/t")
    session.send("/topic/t", "a")
    with pytest.raises(STOMPClosed, match="out of order"):
        stream.wait(1, timeout=2)
    assert isinstance(session.last_error, STOMPError)
    until(lambda: not session.connected, timeout=2)
