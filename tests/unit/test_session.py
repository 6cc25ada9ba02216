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
from tests.unit.waiting import until

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def session(broker: Broker) -> Iterator[StompSession]:
    with StompSession(broker.address) as session:
        yield session


@pytest.fixture
def other(broker: Broker) -> Iterator[stompy.STOMPClient]:
    """Another client of the same broker."""
    with stompy.connect(broker.address) as client:
        yield client


def settled(client: stompy.STOMPClient) -> None:
    """Wait until the broker has handled all that this client has sent."""
    receipt = client.send("SEND", destination="/topic/nobody", receipt=True)
    assert client.recv(timeout=5)["receipt-id"] == receipt


def waiting_in(client: stompy.STOMPClient, queue: str) -> list[str]:
    """The bodies that wait in a queue."""
    client.subscribe(queue, receipt="subscribed")
    frames = iter(lambda: client.recv(timeout=5), None)
    bodies = []
    for frame in frames:
        if frame.Command == "RECEIPT":
            return bodies
        bodies.append(frame.text)
    raise AssertionError("the connection closed")


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


def test_a_subscription_that_fails_as_the_connection_ends_says_that_it_is_closed(
    session, broker, monkeypatch
):
    def subscribe(*_: object, **__: object) -> str:
        broker.stop()
        until(lambda: not any(t.name.startswith("stomp-reader") for t in threading.enumerate()))
        raise STOMPClosed("the connection is closed")

    monkeypatch.setattr(session.client, "subscribe", subscribe)
    with pytest.raises(STOMPClosed):
        session.subscribe("/topic/t")


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
        session.client, "ack", lambda *given: (filed.append(len(stream)), ack(*given))
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

    def late(sub_id: str) -> None:
        other.message("/queue/q", "late")
        until(lambda: session.received == 1)
        settled(other)
        unsubscribe(sub_id)

    monkeypatch.setattr(session.client, "unsubscribe", late)
    stream.unsubscribe()
    session.disconnect()
    assert [*stream.df["body"], *waiting_in(other, "/queue/q")] == ["late"]


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


def test_a_lost_broker_ends_the_session_and_its_streams_with_the_reason(session, broker):
    stream = session.subscribe("/topic/t")
    broker.stop()
    with pytest.raises(STOMPClosed, match="the broker closed the connection"):
        stream.wait(1, timeout=5)
    until(lambda: session.state == "lost")
    assert isinstance(stream.error, STOMPClosed)
    assert isinstance(session.last_error, STOMPClosed)
    assert not session.connected
    session.disconnect()
    stream.unsubscribe()


def test_an_error_of_the_broker_is_the_last_error(session):
    session.client.send("SEND", body="where to?")
    error = until(lambda: session.last_error)
    assert "SEND without destination" in error.Message
    assert error.Frame["message"] == "SEND without destination"
    until(lambda: session.state == "lost")


def test_a_stream_that_ends_by_an_error_of_the_broker_says_what_it_was(session):
    stream = session.subscribe("/topic/t")
    session.client.send("SEND", body="where to?")
    with pytest.raises(STOMPClosed, match="SEND without destination"):
        stream.wait(1, timeout=5)
    assert "SEND without destination" in stream.error.Message


def test_an_error_that_the_connection_outlived_is_not_why_it_ended(silent):
    with StompSession(silent.address) as session:
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
    session = StompSession((host, port)).connect()
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
    assert time.monotonic() - began < 0.5
    assert forgotten() is None
    assert not client.Connected
    until(lambda: [frame.Command for frame in silent.received][-1] == "DISCONNECT")


def test_a_stream_keeps_its_session(broker):
    stream = StompSession(broker.address).connect().subscribe("/topic/t")
    gc.collect()
    assert stream.session.connected
    stream.session.disconnect()


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
    stream = session.subscribe("/topic/t")
    session.send("/topic/t", "a")
    with pytest.raises(STOMPClosed, match="out of order"):
        stream.wait(1, timeout=2)
    assert isinstance(session.last_error, STOMPError)
    until(lambda: not session.connected, timeout=2)
