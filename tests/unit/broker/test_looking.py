"""What a program can see of its embedded broker: figures, destinations, clients, events."""

import json
import logging
import sys
import threading
import time

import pandas as pd
import pytest

import stompy
from stompy.broker import Broker, Limits
from stompy.broker.events import MAX_EVENTS, EventLog
from tests.certificates import client_context, server_context
from tests.unit.peer import Background, in_threads
from tests.unit.waiting import until

SECRET, WRONG = "geheim-4711", "falsch-0815"

CLIENT = {
    *("client", "scheme", "address", "connected_at", "login", "version", "heart_beat"),
    *("subscriptions", "unacknowledged", "waiting", "dropped", "transactions", "unsent"),
    *("frames_received", "frames_sent", "octets_received", "octets_sent"),
}
COUNTS = {"received", "delivered", "redelivered", "acknowledged", "dead_lettered", "dropped"}
DESTINATION = COUNTS | {
    *("destination", "kind", "subscribers", "waiting", "unacknowledged", "octets")
}
STATS = COUNTS | {
    *("seconds", "clients", "clients_ever", "octets"),
    *("frames_received", "frames_sent", "octets_received", "octets_sent"),
}
EVENT = {"time", "event", "client", "destination", "detail"}


@pytest.fixture
def broker():
    with Broker() as running:
        yield running


def settled(client: stompy.STOMPClient) -> stompy.STOMPClient:
    """The client, when the broker has handled all that it has sent."""
    client.send("SEND", destination="/topic/nobody", receipt="settled")
    while (frame := client.recv(timeout=2)).Command != "RECEIPT":
        pytest.fail(f"{frame} came before")
    return client


def row(rows: list[dict[str, object]], **wanted: object) -> dict[str, object]:
    """The one row that has these values."""
    (found,) = (one for one in rows if wanted.items() <= one.items())
    return found


def events_of(broker: Broker, event: str) -> list[dict[str, object]]:
    return [one for one in broker.events() if one["event"] == event]


# -- figures ---------------------------------------------------------------------------------


def test_a_broker_that_has_just_started_has_nothing_to_show(broker):
    stats = broker.stats()
    assert stats.keys() == STATS
    assert 0 <= stats.pop("seconds") < 5
    assert set(stats.values()) == {0}
    assert broker.destinations() == broker.clients() == broker.events() == []


def test_the_figures_are_right_after_a_known_exchange(broker):
    with stompy.connect(broker.address) as one, stompy.connect(broker.address) as other:
        for number in range(5):
            one.message("/queue/q", b"%d" % number)
        settled(one)
        waiting = row(broker.destinations(), destination="/queue/q")
        assert waiting.keys() == DESTINATION
        assert (waiting["kind"], waiting["subscribers"], waiting["waiting"]) == ("queue", 0, 5)
        assert (waiting["received"], waiting["delivered"], waiting["unacknowledged"]) == (5, 0, 0)
        assert waiting["octets"] == broker.stats()["octets"] > 5 * 500

        other.subscribe("/queue/q", ack_mode="client-individual", send_acks=False, id="s")
        frames = [other.recv(timeout=2) for _ in range(5)]
        held = row(broker.destinations(), destination="/queue/q")
        assert (held["subscribers"], held["waiting"], held["unacknowledged"]) == (1, 0, 5)
        assert (held["delivered"], held["acknowledged"]) == (5, 0)
        assert held["octets"] == waiting["octets"]

        for frame in frames[:3]:
            other.ack(frame)
        other.nack(frames[3])
        again = other.recv(timeout=2)
        assert again["redelivered"] == "true"
        settled(other)
        after = row(broker.destinations(), destination="/queue/q")
        assert {name: after[name] for name in COUNTS} == {
            "received": 5,
            "delivered": 6,
            "redelivered": 1,
            "acknowledged": 3,
            "dead_lettered": 0,
            "dropped": 0,
        }
        assert after["unacknowledged"] == 2
        assert row(broker.clients(), login="", unacknowledged=2)["subscriptions"] == ["/queue/q"]

        other.ack(again)
        other.ack(frames[4])
        settled(other)
        assert row(broker.destinations(), destination="/queue/q")["octets"] == 0
        assert broker.stats()["octets"] == 0
        assert broker.stats()["clients"] == 2
    until(lambda: not broker.clients())
    stats = broker.stats()
    assert (stats["clients"], stats["clients_ever"]) == (0, 2)
    assert (stats["received"], stats["delivered"], stats["acknowledged"]) == (8, 6, 5)
    assert broker.destinations() == []


def test_messages_of_a_topic_are_counted_once_and_their_deliveries_each(broker):
    with stompy.connect(broker.address) as one, stompy.connect(broker.address) as other:
        for client, name in ((one, "/topic/a.b"), (other, "/topic/a.b"), (other, "/topic/>")):
            client.subscribe(name)
            client.send("SEND", destination="/queue/none", receipt="r")
            until(lambda client=client: client.recv(timeout=2).Command == "RECEIPT")
        before = broker.stats()
        for _ in range(10):
            one.message("/topic/a.b", "x")
        assert [client.recv(timeout=2).text for client in [one, other, other] * 10] == ["x"] * 30
        after = broker.stats()
        assert after["received"] - before["received"] == 10
        assert after["delivered"] - before["delivered"] == 30
        figures = pd.DataFrame(broker.destinations()).set_index("destination")
        assert figures.received[["/topic/a.b", "/topic/>"]].tolist() == [10, 10]
        assert figures.delivered[["/topic/a.b", "/topic/>"]].tolist() == [20, 10]
        assert set(figures.kind[["/topic/a.b", "/topic/>"]]) == {"topic"}
        assert figures.subscribers["/topic/a.b"] == 2


def test_a_message_refused_too_often_shows_as_a_dead_letter():
    with (
        Broker(limits=Limits(max_deliveries=2)) as broker,
        stompy.connect(broker.address) as client,
    ):
        client.subscribe("/queue/q", ack_mode="client-individual", send_acks=False)
        client.message("/queue/q", "bad")
        for _ in range(2):
            client.nack(client.recv(timeout=2))
        until(lambda: broker.stats()["dead_lettered"] == 1)
        letters = row(broker.destinations(), destination="/queue/DLQ.q")
        assert letters["waiting"] == 1
        (event,) = events_of(broker, "dead letter")
        assert (event["destination"], event["detail"]) == ("/queue/q", "moved to /queue/DLQ.q")


def test_octets_and_frames_are_counted_as_they_were_on_the_wire(broker):
    seen: list[stompy.TracedFrame] = []
    with stompy.connect(broker.address, trace=seen.append, heart_beat=(0, 0)) as client:
        client.subscribe("/topic/t")
        client.message("/topic/t", "grüße")
        assert client.recv(timeout=2).text == "grüße"
        (entry,) = broker.clients()
        for sent, way in ((True, "received"), (False, "sent")):
            frames = [one for one in seen if one.sent == sent]
            assert entry[f"frames_{way}"] == len(frames)
            assert entry[f"octets_{way}"] == sum(len(one.octets) for one in frames)
    until(lambda: not broker.clients())
    stats = broker.stats()
    assert stats["octets_received"] == sum(len(one.octets) for one in seen if one.sent)
    assert stats["frames_sent"] == 3  # CONNECTED, MESSAGE, and a RECEIPT to say goodbye
    assert stats["frames_received"] == len([one for one in seen if one.sent])


def test_the_memory_of_what_is_half_received_or_in_a_transaction_counts(broker):
    with stompy.connect(broker.address) as client:
        assert broker.stats()["octets"] == 0
        transaction = client.transaction()
        client.send("SEND", destination="/queue/q", transaction=transaction.id, body=bytes(50_000))
        settled(client)
        assert broker.stats()["octets"] > 50_000
        assert row(broker.clients(), client="1")["transactions"] == 1
        transaction.abort()
        settled(client)
        assert broker.stats()["octets"] == 0


# -- clients ---------------------------------------------------------------------------------


def test_clients_are_shown_with_what_they_are(tmp_path):
    began = time.time()
    with Broker(
        unix_path=tmp_path / "stomp.sock",
        tls_port=0,
        websocket_port=0,
        wss_port=0,
        tls=server_context(),
        logins={"me": SECRET},
    ) as broker:
        clients = []
        for number, (scheme, url) in enumerate(broker.urls.items()):
            tls = client_context() if scheme in ("stomp+ssl", "wss") else None
            client = stompy.connect(
                url,
                login="me",
                passcode=SECRET,
                tls=tls,
                versions=("1.1",),
                heart_beat=(1000, 2000 + number),
            )
            client.subscribe("/topic/t", receipt="s")
            assert client.recv(timeout=2).Command == "RECEIPT"
            clients.append(client)
        shown = broker.clients()
        assert all(one.keys() == CLIENT for one in shown)
        assert [one["scheme"] for one in shown] == list(broker.urls)
        assert [one["client"] for one in shown] == ["1", "2", "3", "4", "5"]
        assert {(one["login"], one["version"]) for one in shown} == {("me", "1.1")}
        assert [one["heart_beat"] for one in shown] == [(2000 + n, 1000) for n in range(5)]
        assert {tuple(one["subscriptions"]) for one in shown} == {("/topic/t",)}
        for one in shown:
            unix = one["scheme"] == "stomp+unix"
            assert one["address"].partition(":")[0] == ("" if unix else "127.0.0.1")
            assert began - 1 < one["connected_at"] < time.time() + 1
        for client in clients:
            client.disconnect()


def test_a_client_is_shown_before_it_has_said_connect(broker):
    import socket

    with socket.create_connection(broker.address) as sock:
        (one,) = until(broker.clients)
        assert (one["version"], one["login"], one["subscriptions"]) == ("", "", [])
        assert one["address"] == "{}:{}".format(*sock.getsockname())
    until(lambda: not broker.clients())


# -- events ----------------------------------------------------------------------------------


def test_the_events_tell_the_story_also_when_the_broker_has_stopped(broker, caplog):
    caplog.set_level(logging.INFO, "stompy.broker")
    with stompy.connect(broker.address) as client:
        subscription = client.subscribe("/queue/q")
        client.unsubscribe(subscription)
        settled(client)
    with stompy.connect(broker.address) as client:
        client.send("SEND", body="where to?")
        with pytest.raises(stompy.STOMPError):
            client.recv(timeout=2)
    broker.stop()
    told = [(one["event"], one["client"], one["destination"]) for one in broker.events()]
    assert told == [
        ("connected", "1", ""),
        ("subscribed", "1", "/queue/q"),
        ("unsubscribed", "1", "/queue/q"),
        ("unheard", "", "/topic/nobody"),
        ("disconnected", "1", ""),
        ("connected", "2", ""),
        ("refused", "2", ""),
        ("disconnected", "2", ""),
    ]
    assert all(one.keys() == EVENT for one in broker.events())
    times = [one["time"] for one in broker.events()]
    assert times == sorted(times)
    assert broker.events()[6]["detail"] == "SEND without destination"
    logged = [one for one in caplog.records if one.name == "stompy.broker"]
    assert [one.levelno for one in logged] == [logging.INFO] * len(told)
    assert "refused 2" in logged[6].getMessage()


def test_a_subscriber_that_does_not_keep_up_is_an_event():
    with (
        Broker(limits=Limits(max_backlog=1_000_000)) as broker,
        stompy.connect(broker.address) as slow,
        stompy.connect(broker.address) as sender,
    ):
        slow.subscribe("/topic/t", receipt="s")
        assert slow.recv(timeout=2).Command == "RECEIPT"
        while not events_of(broker, "dropping"):
            for _ in range(20):
                sender.message("/topic/t", bytes(100_000))
        settled(sender)
        assert len(events_of(broker, "dropping")) == 1  # once, however many
        assert row(broker.clients(), client="1")["dropped"] > 0
        assert broker.stats()["dropped"] > 0


def test_the_newest_events_are_kept_and_what_was_given_is_the_callers_own():
    clock = iter(range(10_000))
    log = EventLog(lambda: next(clock))
    for number in range(MAX_EVENTS + 5):
        log.note("event", detail=str(number))
    events = log.events()
    assert len(events) == MAX_EVENTS == 1000
    assert (events[0]["detail"], events[-1]["detail"]) == ("5", "1004")
    assert (events[0]["time"], events[-1]["time"]) == (5, 1004)
    events[0]["detail"] = "changed"
    events.clear()
    assert log.events()[0]["detail"] == "5"


def test_the_log_may_be_read_while_it_is_written():
    log = EventLog()
    for _ in range(MAX_EVENTS):
        log.note("event")
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            log.note("event")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with Background(write):
            for _ in range(100):
                log.events()
            over.set()
    finally:
        over.set()
        sys.setswitchinterval(interval)


# -- looking ---------------------------------------------------------------------------------


def test_all_of_it_is_plain_data_that_json_and_pandas_take(broker):
    with stompy.connect(broker.address) as client:
        client.subscribe("/queue/q")
        client.message("/queue/q", "x")
        assert client.recv(timeout=2).text == "x"
        tables = [broker.destinations(), broker.clients(), broker.events()]
        for rows in (*tables, [broker.stats()]):
            again = json.loads(json.dumps(rows))
            assert [list(one) for one in again] == [list(one) for one in rows]
            frame = pd.DataFrame(rows)
            assert frame.shape == (len(rows), len(rows[0]))
            assert frame.notna().all(axis=None)
        times = pd.to_datetime(pd.DataFrame(broker.events()).time, unit="s")
        assert times.is_monotonic_increasing


def test_many_threads_may_look_while_things_happen(broker):
    over = threading.Event()

    def work() -> None:
        with stompy.connect(broker.address) as client:
            while not over.is_set():
                subscription = client.subscribe("/topic/t")
                client.message("/topic/t", "x")
                assert client.recv(timeout=2).text == "x"
                client.unsubscribe(subscription)

    def look(_: int) -> None:
        for _ in range(50):
            assert broker.stats().keys() == STATS
            assert all(one.keys() == CLIENT for one in broker.clients())
            assert all(one.keys() == DESTINATION for one in broker.destinations())
            assert all(one.keys() == EVENT for one in broker.events())

    with Background(work):
        try:
            in_threads(8, look)
        finally:
            over.set()


@pytest.mark.parametrize("how", ["stats", "destinations", "clients", "set_faults", "drop"])
def test_a_broker_that_does_not_run_says_so(how):
    broker = Broker()
    for _ in range(2):
        with pytest.raises(stompy.STOMPError, match="not running") as caught:
            getattr(broker, how)()
        assert "start()" in str(caught.value)
        broker.start().stop()


def test_looking_while_the_broker_stops_is_an_answer_or_a_clear_error_and_soon():
    for _ in range(20):
        broker = Broker().start()

        def look(broker: Broker = broker) -> str:
            try:
                while True:
                    broker.stats()
            except stompy.STOMPError as error:
                return str(error)

        began = time.monotonic()
        with Background(look) as looking:
            broker.stop()
            said = looking.result()
        assert time.monotonic() - began < 2.0
        assert "not running" in said or "stopping" in said


def test_what_one_asks_for_does_not_change_the_broker(broker):
    with stompy.connect(broker.address) as client:
        client.subscribe("/queue/q")
        settled(client)
        for rows in (broker.clients(), broker.destinations(), broker.events()):
            rows[0].clear()
        broker.clients()[0]["subscriptions"].clear()
        assert broker.clients()[0]["subscriptions"] == ["/queue/q"]
        assert broker.destinations()[0].keys() == DESTINATION
        assert broker.events()[0].keys() == EVENT


def test_no_passcode_is_anywhere(caplog, capfd):
    caplog.set_level(logging.DEBUG)
    with Broker(logins={"me": SECRET}) as broker:
        texts = [repr(broker), str(vars(broker).keys())]
        with stompy.connect(broker.address, login="me", passcode=SECRET) as client:
            client.subscribe("/queue/q")
            settled(client)
            with pytest.raises(stompy.STOMPConnectError) as caught:
                stompy.connect(broker.address, login="me", passcode=WRONG)
            texts.append(str(caught.value))
            client.send("CONNECT", passcode=SECRET)
            with pytest.raises(stompy.STOMPError) as late:
                client.recv(timeout=2)
            texts += [str(late.value), str(late.value.Frame)]
        texts += map(str, (broker.stats(), broker.clients(), broker.destinations()))
    texts += [str(broker.events()), caplog.text, *capfd.readouterr()]
    assert "me" in "".join(texts)
    assert not any(SECRET in text or WRONG in text for text in texts)


def test_a_wrong_passcode_is_an_event_without_it_and_a_right_one_has_a_login():
    with Broker(logins={"me": SECRET}) as broker:
        for login, passcode in (("me", WRONG), ("you", SECRET), (None, None), ("me", "")):
            with pytest.raises(stompy.STOMPConnectError, match="access refused"):
                stompy.connect(broker.address, login=login, passcode=passcode)
        with stompy.connect(broker.address, login="me", passcode=SECRET):
            assert row(broker.clients(), login="me")["version"] == "1.2"
        assert {one["detail"] for one in events_of(broker, "refused")} == {"access refused"}
        assert len(events_of(broker, "refused")) == 4
