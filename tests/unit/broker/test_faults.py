"""Faults: on the pure line, and on a running broker as a client of ours sees them."""

import contextlib
import dataclasses
import gc
import json
import socket
import threading
import time
import tracemalloc

import pytest

import stompy
from stompy.broker import Broker, Faults, connection
from stompy.broker.faults import NO_FAULTS, REORDER_WAIT, SPLIT_PAUSE, FaultyLine
from tests.certificates import client_context, server_context
from tests.unit.peer import Background
from tests.unit.waiting import until

CONNECT = b"CONNECT\naccept-version:1.2\nhost:/\n\n\0"
GARBAGE = b"garbage\n\n\0"
RECEIPT = b"RECEIPT\nreceipt-id:1\n\n\0"
BEAT = b"\n"
MiB = 1024 * 1024
EVER = 1e9
"""When all has arrived that will."""

SCHEMES = ("stomp", "stomp+ssl", "stomp+unix", "ws", "wss")


def message(number: int) -> bytes:
    return b"MESSAGE\nn:%d\n\n%d\0" % (number, number)


def passed(faults: Faults, *frames: bytes) -> list[bytes]:
    """What arrives of these frames, sooner or later."""
    line = FaultyLine(faults)
    line.put(frames, 0.0)
    arrived = [*line.take(0.0), *line.take(EVER)]
    assert line.size == 0
    assert line.next_at() is None
    return [bytes(piece) for piece in arrived]


# -- the line: each fault alone --------------------------------------------------------------


def test_without_faults_all_arrives_at_once_and_as_it_was():
    frames = [message(1), RECEIPT, BEAT, message(2)]
    line = FaultyLine(NO_FAULTS)
    line.put(frames, 5.0)
    assert line.size == sum(map(len, frames))
    assert line.next_at() == 5.0
    assert line.take(5.0) == frames
    assert (line.size, line.next_at(), line.cut) == (0, None, False)


def test_slow_frames_arrive_later_and_in_order():
    line = FaultyLine(Faults(slow=2.0))
    line.put([message(1)], 10.0)
    line.put([RECEIPT], 11.0)
    assert line.next_at() == 12.0
    assert line.take(11.9) == []
    assert line.take(12.0) == [message(1)]
    assert line.next_at() == 13.0
    assert line.take(20.0) == [RECEIPT]


def test_a_split_frame_arrives_in_pieces_one_after_the_other():
    frame = message(1)
    line = FaultyLine(Faults(split=5))
    line.put([frame, BEAT], 0.0)
    pieces = [frame[place : place + 5] for place in range(0, len(frame), 5)] + [BEAT]
    now = 0.0
    for number, piece in enumerate(pieces):
        assert line.next_at() == pytest.approx(number * SPLIT_PAUSE)
        now = max(now, line.next_at())
        assert line.take(now) == [piece]
    assert line.size == 0


def test_pieces_of_what_comes_later_do_not_overtake():
    line = FaultyLine(Faults(split=4))
    line.put([message(1)], 0.0)
    line.put([message(2)], 0.0)
    assert b"".join(line.take(EVER)) == message(1) + message(2)


def test_the_connection_is_cut_in_the_middle_of_a_frame():
    line = FaultyLine(Faults(drop_after=2))
    line.put([message(1), RECEIPT], 0.0)
    assert not line.cut
    line.put([message(2), message(3)], 0.0)
    assert line.cut
    assert line.take(0.0) == [message(1), RECEIPT, message(2)[: len(message(2)) // 2]]
    line.put([message(4)], 0.0)
    assert line.take(EVER) == []
    assert line.size == 0


def test_receipts_alone_are_left_out():
    assert passed(Faults(no_receipts=True), message(1), RECEIPT, BEAT) == [message(1), BEAT]


def test_heart_beats_alone_are_left_out():
    assert passed(Faults(no_heart_beats=True), BEAT, message(1), BEAT, RECEIPT) == [
        message(1),
        RECEIPT,
    ]


def test_messages_alone_are_duplicated():
    frames = passed(Faults(duplicate=True), message(1), RECEIPT, BEAT)
    assert frames == [message(1), message(1), RECEIPT, BEAT]


def test_so_many_messages_at_a_time_change_places():
    frames = passed(Faults(reorder=3), *map(message, range(7)))
    assert frames == [*map(message, (2, 1, 0)), *map(message, (5, 4, 3)), message(6)]


def test_what_is_no_message_keeps_its_place():
    frames = passed(Faults(reorder=3), message(1), message(2), RECEIPT, message(3), BEAT)
    assert frames == [message(2), message(1), RECEIPT, message(3), BEAT]


def test_a_message_does_not_wait_for_ever_for_others_to_change_places_with():
    line = FaultyLine(Faults(reorder=3))
    line.put([message(1)], 1.0)
    line.put([message(2)], 1.2)
    assert line.size == len(message(1)) + len(message(2))
    assert line.next_at() == 1.0 + REORDER_WAIT
    assert line.take(1.0 + REORDER_WAIT - 0.01) == []
    assert line.take(1.0 + REORDER_WAIT) == [message(2), message(1)]
    assert line.size == 0


def test_one_message_has_nothing_to_change_places_with():
    assert passed(Faults(reorder=1), message(1), message(2)) == [message(1), message(2)]


def test_every_so_many_th_message_is_lost_and_nothing_else():
    first, then = map(message, range(3)), map(message, range(3, 6))
    frames = passed(Faults(lose=3), *first, RECEIPT, BEAT, *then)
    assert frames == [message(0), message(1), RECEIPT, BEAT, message(3), message(4)]
    assert passed(Faults(lose=1), message(1), RECEIPT, message(2)) == [RECEIPT]


# -- the line: several -----------------------------------------------------------------------


def test_slow_and_split():
    line = FaultyLine(Faults(slow=1.0, split=8))
    line.put([message(1)], 0.0)
    line.put([message(2)], 0.5)
    assert line.take(0.999) == []
    assert line.take(1.0) == [message(1)[:8]]
    assert b"".join(line.take(1.4)) == message(1)[8:]
    assert line.take(1.5) == [message(2)[:8]]
    assert b"".join(line.take(EVER)) == message(2)[8:]


def test_duplicate_and_reorder():
    frames = passed(Faults(duplicate=True, reorder=2), message(1), message(2))
    assert frames == [message(2), message(2), message(1), message(1)]


def test_what_is_lost_is_not_there_to_be_duplicated_or_to_change_places():
    frames = passed(Faults(lose=2, duplicate=True, reorder=2), *map(message, range(4)))
    assert frames == [message(2), message(2), message(0), message(0)]


def test_duplicates_count_for_drop_after():
    frames = passed(Faults(duplicate=True, drop_after=3), message(1), message(2))
    assert frames == [message(1), message(1), message(2), message(2)[: len(message(2)) // 2]]


def test_what_is_left_out_does_not_count_for_drop_after():
    faults = Faults(no_receipts=True, no_heart_beats=True, drop_after=1, lose=2)
    line = FaultyLine(faults)
    line.put([RECEIPT, BEAT, message(1), message(2), RECEIPT, BEAT], 0.0)
    assert not line.cut
    assert line.take(0.0) == [message(1)]


def test_heart_beats_do_not_count_for_drop_after():
    line = FaultyLine(Faults(drop_after=1))
    line.put([BEAT, message(1), BEAT, BEAT], 0.0)
    assert not line.cut
    line.put([message(2)], 0.0)
    assert line.cut
    assert line.take(0.0) == [BEAT, message(1), BEAT, BEAT, message(2)[: len(message(2)) // 2]]


def test_a_frame_that_is_split_takes_little_more_memory_than_a_whole_one():
    line = FaultyLine(Faults(split=1))
    frame = b"x" * 200_000
    gc.collect()
    tracemalloc.start()
    try:
        line.put([frame], 0.0)
        assert tracemalloc.get_traced_memory()[0] < len(frame)
    finally:
        tracemalloc.stop()
    assert b"".join(line.take(EVER)) == frame


def test_slow_reorder_and_drop_after():
    line = FaultyLine(Faults(slow=1.0, reorder=2, drop_after=1))
    line.put([message(1), message(2)], 0.0)
    assert line.cut
    assert line.take(0.9) == []
    assert line.take(1.0) == [message(2), message(1)[: len(message(1)) // 2]]


def test_the_rest_is_all_that_is_on_its_way_in_order():
    line = FaultyLine(Faults(slow=1.0, split=6, reorder=5))
    line.put([RECEIPT, message(1), message(2)], 0.0)
    rest = line.rest(0.0)
    assert b"".join(rest) == RECEIPT + message(2) + message(1)
    assert (line.size, line.next_at(), line.take(EVER), line.rest(0.0)) == (0, None, [], [])


@pytest.mark.parametrize(
    "faults",
    [
        Faults(slow=0.25, split=3),
        Faults(duplicate=True, reorder=4),
        Faults(slow=0.1, split=1, reorder=3, duplicate=True),
        Faults(slow=1.0, split=7, no_receipts=True, drop_after=9),
    ],
    ids=lambda faults: " ".join(name for name, value in vars(faults).items() if value),
)
def test_the_size_is_what_is_still_to_come_and_there_is_a_moment_for_it(faults):
    line = FaultyLine(faults)
    arrived, now = b"", 0.0
    for number in range(12):
        line.put([message(number), RECEIPT, BEAT], now)
        arrived += b"".join(line.take(now))
        now += 0.01
    while line.size:
        at = line.next_at()
        assert at is not None
        now = max(now, at)
        taken = b"".join(line.take(now))
        assert taken
        arrived += taken
    assert line.next_at() is None
    whole = arrived.rpartition(b"\0")[0].replace(BEAT + b"M", b"M").replace(BEAT + b"R", b"R")
    assert all(part.lstrip().startswith((b"MESSAGE", b"RECEIPT")) for part in whole.split(b"\0"))


def test_views_of_octets_are_frames_as_well():
    line = FaultyLine(Faults(duplicate=True, split=9))
    line.put([memoryview(message(1))], 0.0)
    assert b"".join(line.take(EVER)) == message(1) * 2


# -- what may be asked for -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["slow", "split", "drop_after", "reorder", "lose"])
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "1", None])
def test_what_is_no_number_or_below_zero_is_refused(name, value):
    with pytest.raises(ValueError, match=name):
        Faults(**{name: value})


@pytest.mark.parametrize("name", ["split", "drop_after", "reorder", "lose"])
def test_a_count_that_is_no_whole_number_is_refused(name):
    with pytest.raises(ValueError, match=name):
        Faults(**{name: 1.5})


def test_faults_are_values():
    assert Faults() == NO_FAULTS
    assert Faults(slow=1) == Faults(slow=1.0) != NO_FAULTS
    with pytest.raises(dataclasses.FrozenInstanceError):
        Faults().slow = 1.0
    assert dataclasses.replace(Faults(slow=1.0), split=3) == Faults(slow=1.0, split=3)


# -- a running broker ------------------------------------------------------------------------


@pytest.fixture
def broker():
    with Broker() as running:
        yield running


@contextlib.contextmanager
def subscribed(broker: Broker, url: object = None, **arguments):
    """A client that has subscribed to /topic/t; faults end before it says goodbye."""
    with stompy.connect(url or broker.address, **arguments) as client:
        client.subscribe("/topic/t", receipt="s")
        assert client.recv(timeout=2)["receipt-id"] == "s"
        yield client
        broker.set_faults()


def name_of(broker: Broker, client: stompy.STOMPClient) -> str:
    """What the broker calls the client."""
    subscription = client.subscribe("/topic/whoami")
    try:
        return until(
            lambda: [c["client"] for c in broker.clients() if "/topic/whoami" in c["subscriptions"]]
        )[0]
    finally:
        client.unsubscribe(subscription)


def publish(client: stompy.STOMPClient, *numbers: int) -> None:
    for number in numbers:
        client.message("/topic/t", str(number))


def received(client: stompy.STOMPClient, count: int) -> list[int]:
    return [int(client.recv(timeout=5).text) for _ in range(count)]


def test_a_slow_broker_is_late_and_loses_nothing(broker):
    with subscribed(broker) as client:
        broker.set_faults(Faults(slow=0.2))
        began = time.monotonic()
        publish(client, *range(20))
        with pytest.raises(stompy.STOMPTimeout):
            client.recv(timeout=0.05)
        assert received(client, 20) == list(range(20))
        assert 0.2 <= time.monotonic() - began < 0.4  # each is late, not one after the other


@pytest.fixture
def everywhere(tmp_path):
    with Broker(
        unix_path=tmp_path / "stomp.sock",
        tls_port=0,
        websocket_port=0,
        wss_port=0,
        tls=server_context(),
    ) as running:
        yield running


@pytest.mark.parametrize("scheme", SCHEMES)
def test_frames_that_are_split_octet_by_octet_are_read_all_the_same(everywhere, scheme):
    tls = client_context() if scheme in ("stomp+ssl", "wss") else None
    with subscribed(everywhere, everywhere.urls[scheme], tls=tls) as client:
        everywhere.set_faults(Faults(split=1))
        client.message("/topic/t", "grüße: \0")
        publish(client, 7)
        assert client.recv(timeout=5).text == "grüße: \0"
        assert received(client, 1) == [7]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_connection_that_is_cut_in_the_middle_of_a_frame_is_seen_as_that(everywhere, scheme):
    tls = client_context() if scheme in ("stomp+ssl", "wss") else None
    with subscribed(everywhere, everywhere.urls[scheme], tls=tls) as client:
        everywhere.set_faults(Faults(drop_after=2))
        publish(client, 1, 2, 3)
        assert received(client, 2) == [1, 2]
        assert client.recv(timeout=2) is None
        assert isinstance(client.close_reason, stompy.STOMPError)
        until(lambda: not everywhere.clients())


def test_a_client_that_comes_back_goes_on_after_it_was_cut(broker):
    states = []
    with subscribed(broker, reconnect=True, on_state=lambda _, state: states.append(state)) as one:
        broker.set_faults(Faults(drop_after=3), name_of(broker, one))
        publish(one, 1, 2, 3)
        assert received(one, 3) == [1, 2, 3]
        publish(one, 4)  # what is cut in the middle is lost: a topic keeps nothing
        with pytest.raises(stompy.STOMPTimeout):
            one.recv(timeout=0.5)
        publish(one, 5)
        assert received(one, 1) == [5]
    assert stompy.ClientState.Reconnecting in states


def test_a_receipt_that_never_comes_is_a_timeout(broker):
    with subscribed(broker) as client:
        broker.set_faults(Faults(no_receipts=True))
        client.send("SEND", destination="/topic/t", body="1", receipt="r")
        assert received(client, 1) == [1]
        with pytest.raises(stompy.STOMPTimeout):
            client.recv(timeout=0.2)
        broker.set_faults()
        client.send("SEND", destination="/topic/none", receipt="r2")
        assert client.recv(timeout=2)["receipt-id"] == "r2"


def test_a_client_notices_that_the_heart_beats_have_ended(broker):
    with subscribed(broker, heart_beat=(100, 100)) as client:
        assert client.heart_beat == (100, 100)
        broker.set_faults(Faults(no_heart_beats=True))
        began = time.monotonic()
        assert client.recv(timeout=5) is None
        assert 1.0 < time.monotonic() - began < 2.5
        assert "no sign of life" in str(client.close_reason)


def test_a_client_that_comes_back_does_so_after_silence_as_well(broker):
    with subscribed(broker, heart_beat=(100, 100), reconnect=True) as client:
        broker.set_faults(Faults(no_heart_beats=True), name_of(broker, client))
        with pytest.raises(stompy.STOMPTimeout):
            client.recv(timeout=2.0)  # gives up, comes back, hears beats
        assert client.Connected
        assert broker.stats()["clients_ever"] == 2
        publish(client, 1)
        assert received(client, 1) == [1]


def test_messages_may_come_twice(broker):
    with subscribed(broker) as client:
        broker.set_faults(Faults(duplicate=True))
        client.subscribe("/queue/q", ack_mode="client-individual", send_acks=False, receipt="r")
        assert client.recv(timeout=2)["receipt-id"] == "r"
        client.message("/queue/q", "1")
        one, again = client.recv(timeout=2), client.recv(timeout=2)
        assert one["message-id"] == again["message-id"]
        client.ack(one)
        publish(client, 2)
        assert received(client, 2) == [2, 2]
        broker.set_faults()
        publish(client, 3)
        assert received(client, 1) == [3]
        (queue,) = (one for one in broker.destinations() if one["destination"] == "/queue/q")
        assert (queue["delivered"], queue["acknowledged"]) == (1, 1)  # it knows nothing of it


def test_messages_may_be_lost_while_the_connection_stays(broker):
    with subscribed(broker) as client:
        broker.set_faults(Faults(lose=3))
        publish(client, *range(7))
        assert received(client, 5) == [0, 1, 3, 4, 6]
        assert client.Connected


@contextlib.contextmanager
def worker(broker: Broker, mode: str):
    """A client that has lost the second of three messages of /queue/q, and no connection."""
    with stompy.connect(broker.address) as client:
        sub_id = client.subscribe("/queue/q", mode, send_acks=False, receipt="r")
        assert client.recv(timeout=2)["receipt-id"] == "r"
        broker.set_faults(Faults(lose=2))
        for body in ("a", "b", "c"):
            client.message("/queue/q", body)
        frames = [client.recv(timeout=2) for _ in range(2)]
        assert [frame.text for frame in frames] == ["a", "c"]
        broker.set_faults()
        yield client, sub_id, frames


def held(broker: Broker) -> int:
    """How many messages of /queue/q the broker has, be it that they wait for their ACK."""
    return sum(
        each["waiting"] + each["unacknowledged"]
        for each in broker.destinations()
        if each["destination"] == "/queue/q"
    )


@pytest.mark.parametrize("end", ["unsubscribe", "drop"])
def test_a_lost_message_waits_for_its_ack_and_comes_again_when_the_subscription_ends(broker, end):
    with worker(broker, "client-individual") as (client, sub_id, frames):
        for frame in frames:
            client.ack(frame)
        until(lambda: held(broker) == 1)
        if end == "unsubscribe":
            client.unsubscribe(sub_id)
        else:
            broker.drop()
    with stompy.connect(broker.address) as other:
        other.subscribe("/queue/q")
        again = other.recv(timeout=2)
        assert (again.text, again["redelivered"]) == ("b", "true")


def test_a_lost_message_is_lost_for_good_where_the_ack_of_a_later_one_covers_it(broker):
    with worker(broker, "client") as (client, _, frames):
        client.ack(frames[-1])
        until(lambda: held(broker) == 0)


def test_messages_may_come_in_another_order(broker):
    with subscribed(broker) as client:
        broker.set_faults(Faults(reorder=3))
        publish(client, *range(6))
        assert received(client, 6) == [2, 1, 0, 5, 4, 3]
        publish(client, 6, 7)
        assert received(client, 2) == [7, 6]  # after a while, for want of a third


def test_several_faults_at_once(broker):
    with subscribed(broker) as client:
        broker.set_faults(Faults(slow=0.05, split=20, duplicate=True, reorder=2))
        publish(client, 1, 2)
        assert received(client, 4) == [2, 2, 1, 1]


# -- for whom, and from when on --------------------------------------------------------------


def test_faults_of_one_client_are_not_the_others(broker):
    with subscribed(broker) as one, subscribed(broker) as other:
        broker.set_faults(Faults(duplicate=True), name_of(broker, one))
        publish(other, 1, 2)
        assert received(one, 4) == [1, 1, 2, 2]
        assert received(other, 2) == [1, 2]
        with subscribed(broker) as third:
            publish(other, 3)
            assert received(third, 1) == [3]
            assert received(other, 1) == [3]
            assert received(one, 2) == [3, 3]


def test_faults_of_all_are_also_of_those_to_come(broker):
    broker.set_faults(Faults(duplicate=True))
    with stompy.connect(broker.address) as client:
        client.subscribe("/topic/t", receipt="s")
        assert client.recv(timeout=2)["receipt-id"] == "s"
        publish(client, 1)
        assert received(client, 2) == [1, 1]
        broker.set_faults()
        with subscribed(broker) as later:
            publish(client, 2)
            assert received(later, 1) == received(client, 1) == [2]


def test_a_receipt_of_connect_may_be_slow_too(broker):
    broker.set_faults(Faults(slow=0.2))
    began = time.monotonic()
    with stompy.connect(broker.address):
        assert time.monotonic() - began >= 0.2
        broker.set_faults()


def test_a_client_that_there_is_not_is_an_error_that_says_where_to_look(broker):
    for call in (
        lambda: broker.set_faults(Faults(slow=1.0), "no such client"),
        lambda: broker.drop("no such client"),
    ):
        with pytest.raises(stompy.STOMPError, match="no such client") as caught:
            call()
        assert "broker.clients()" in str(caught.value)


def test_faults_come_and_go_in_mid_stream_and_no_frame_is_lost_or_garbled(broker):
    count = 400
    faults = [
        Faults(slow=0.01),
        Faults(split=50),
        NO_FAULTS,
        Faults(slow=0.02, split=30),
        Faults(no_heart_beats=True),
    ]
    body = json.dumps(list(range(20))).encode()
    with (
        subscribed(broker) as client,
        stompy.connect(broker.address) as sender,
        Background(lambda: [client.recv(timeout=10) for _ in range(count)]) as reading,
    ):
        for number in range(count):
            sender.message("/topic/t", body, n=number)
            if number % 10 == 0:
                broker.set_faults(faults[number // 10 % len(faults)])
        broker.set_faults()
        frames = reading.result()
    assert [int(frame["n"]) for frame in frames] == list(range(count))
    assert {frame.Body for frame in frames} == {body}


def test_what_waits_for_another_place_comes_when_the_faults_end(broker):
    with subscribed(broker) as client:
        broker.set_faults(Faults(reorder=100, slow=60.0))
        before = broker.stats()["frames_received"]
        publish(client, 1, 2, 3)
        until(lambda: broker.stats()["frames_received"] == before + 3)
        broker.set_faults()
        publish(client, 4)
        assert received(client, 4) == [3, 2, 1, 4]


@pytest.mark.parametrize(
    "faults",
    [Faults(duplicate=True), Faults(no_receipts=True), Faults(split=30_000), Faults(slow=0.05)],
    ids=lambda faults: " ".join(name for name, value in vars(faults).items() if value),
)
def test_no_frame_is_garbled_when_faults_are_switched_on_while_large_ones_wait(broker, faults):
    bodies = [b"RECEIPT\n%d\n" % number + bytes(100_000) for number in range(100)]
    with subscribed(broker) as client:
        with stompy.connect(broker.address) as sender:
            for body in bodies:  # more than the operating system takes in for a reader
                sender.message("/topic/t", body)
        until(lambda: broker.clients()[0]["unsent"])
        broker.set_faults(faults)
        publish(client, 7)
        seen: list[bytes] = []
        while b"7" not in seen:
            seen.append(client.recv(timeout=5).Body)
        assert list(dict.fromkeys(seen)) == [*bodies, b"7"]


def test_large_messages_go_on_when_faults_are_switched_on(broker):
    with subscribed(broker) as sender, stompy.connect(broker.address) as reader:
        name = name_of(broker, reader)
        reader.subscribe("/queue/q")
        for _ in range(2):
            sender.message("/queue/q", bytes(8 * MiB), receipt="r")
            assert sender.recv(timeout=5)["receipt-id"] == "r"
        broker.set_faults(Faults(duplicate=True), name)
        # The first is on its way already, and comes once.
        assert [len(reader.recv(timeout=5).Body) for _ in range(3)] == [8 * MiB] * 3


def test_faults_that_end_while_large_frames_are_on_their_way_leave_them_whole(broker):
    bodies = [b"%d" % number + bytes(300_000) for number in range(40)]
    with subscribed(broker) as client:
        broker.set_faults(Faults(slow=0.02, split=40_000))
        with (
            stompy.connect(broker.address) as sender,
            Background(lambda: [client.recv(timeout=10).Body for _ in bodies]) as reading,
        ):
            for number, body in enumerate(bodies):
                sender.message("/topic/t", body)
                if number % 8 == 7:
                    broker.set_faults()
                    broker.set_faults(Faults(slow=0.02, split=40_000))
            assert reading.result() == bodies


def test_a_connection_that_is_being_cut_is_cut_though_the_faults_end(broker):
    with subscribed(broker) as client:
        broker.set_faults(Faults(slow=0.3, drop_after=1))
        before = broker.stats()["frames_received"]
        publish(client, 1, 2, 3)
        until(lambda: broker.stats()["frames_received"] == before + 3)
        broker.set_faults()
        assert received(client, 1) == [1]
        assert client.recv(timeout=2) is None
        assert isinstance(client.close_reason, stompy.STOMPClosed)


def test_an_error_arrives_by_a_line_with_faults_and_then_the_end(broker):
    broker.set_faults(Faults(slow=0.1, split=10))
    with stompy.connect(broker.address) as client:
        client.send("SEND", body="where to?")
        with pytest.raises(stompy.STOMPError, match="SEND without destination"):
            client.recv(timeout=2)
        assert client.recv(timeout=2) is None


def test_a_slow_line_brings_the_last_words_too(broker, monkeypatch):
    monkeypatch.setattr(connection, "LINGER", 0.1)
    broker.set_faults(Faults(slow=0.5))
    with socket.create_connection(broker.address) as sock:
        sock.settimeout(5)
        sock.sendall(CONNECT + b"DISCONNECT\nreceipt:bye\n\n\0")
        said = b"".join(iter(lambda: sock.recv(65536), b""))
    assert said.startswith(b"CONNECTED\n")
    assert b"RECEIPT\nreceipt-id:bye\n" in said


def test_a_connection_that_a_fault_cuts_is_cut_though_nobody_reads(broker, monkeypatch):
    monkeypatch.setattr(connection, "LINGER", 0.1)
    with stompy.connect(broker.address) as sender, stompy.connect(broker.address) as reader:
        name = name_of(broker, reader)
        reader.subscribe("/queue/q")
        until(broker.destinations)
        broker.set_faults(Faults(drop_after=1), name)
        sender.message("/queue/q", "small")
        sender.message("/queue/q", bytes(32 * MiB))
        until(lambda: name not in [one["client"] for one in broker.clients()])


def test_faults_may_be_switched_while_a_client_lingers_after_its_error(broker):
    broker.set_faults(Faults(slow=0.01))
    with socket.create_connection(broker.address) as sock, subscribed(broker) as client:
        sock.sendall(GARBAGE)
        sock.settimeout(5)
        assert b"".join(iter(lambda: sock.recv(65536), b"")).startswith(b"ERROR\n")
        assert len(broker.clients()) == 2
        broker.set_faults()
        broker.set_faults(Faults(duplicate=True))
        publish(client, 1)
        assert received(client, 2) == [1, 1]


def test_a_broker_with_faults_stops_soon_and_says_what_was_on_its_way(broker):
    with stompy.connect(broker.address) as client:
        client.subscribe("/topic/t", receipt="s")
        assert client.recv(timeout=2)["receipt-id"] == "s"
        broker.set_faults(Faults(slow=60.0, reorder=3))
        before = broker.stats()["frames_received"]
        publish(client, 1, 2)
        until(lambda: broker.stats()["frames_received"] == before + 2)
        began = time.monotonic()
        broker.stop()
        assert time.monotonic() - began < 1.0
        assert received(client, 2) == [2, 1]
        assert client.recv(timeout=2) is None


def test_a_started_again_broker_has_no_faults(broker):
    broker.set_faults(Faults(duplicate=True))
    broker.stop()
    with broker.start(), subscribed(broker) as client:
        publish(client, 1, 2)
        assert received(client, 2) == [1, 2]


def test_a_slow_line_does_not_take_more_and_more_memory(broker):
    count = 40
    with subscribed(broker) as client, stompy.connect(broker.address) as sender:
        broker.set_faults(Faults(slow=0.02), name_of(broker, client))
        client.subscribe("/queue/q", receipt="r")
        assert client.recv(timeout=2)["receipt-id"] == "r"
        for number in range(count):
            sender.message("/queue/q", b"%-500000d" % number)
        sender.send("SEND", destination="/topic/none", receipt="done")
        assert sender.recv(timeout=5)["receipt-id"] == "done"
        assert broker.stats()["octets"] > 10_000_000  # they wait in the queue
        assert [int(client.recv(timeout=5).Body) for _ in range(count)] == list(range(count))


# -- drop ------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_client_that_is_dropped_sees_a_lost_connection(everywhere, scheme):
    tls = client_context() if scheme in ("stomp+ssl", "wss") else None
    with (
        subscribed(everywhere) as other,
        subscribed(everywhere, everywhere.urls[scheme], tls=tls) as client,
    ):
        everywhere.drop(name_of(everywhere, client))
        assert client.recv(timeout=2) is None
        assert isinstance(client.close_reason, stompy.STOMPClosed)
        publish(other, 1)
        assert received(other, 1) == [1]
        assert [one["scheme"] for one in everywhere.clients()] == ["stomp"]


def test_all_clients_may_be_dropped_and_the_broker_goes_on(broker):
    with subscribed(broker) as one, subscribed(broker) as other:
        broker.drop()
        assert one.recv(timeout=2) is other.recv(timeout=2) is None
        until(lambda: not broker.clients())
        with subscribed(broker) as client:
            publish(client, 1)
            assert received(client, 1) == [1]


def test_a_client_that_comes_back_recovers_from_a_drop_with_its_subscriptions(broker):
    with subscribed(broker, reconnect=True) as client, stompy.connect(broker.address) as sender:
        client.subscribe("/queue/q", receipt="r")
        assert client.recv(timeout=2)["receipt-id"] == "r"
        for number in range(3):
            broker.drop(name_of(broker, client))
            until(lambda: len(broker.clients()) == 1)
            sender.message("/queue/q", str(number))  # it waits there
            assert received(client, 1) == [number]
            publish(sender, number)
            assert received(client, 1) == [number]


def test_what_a_dropped_client_held_goes_to_the_others(broker):
    with subscribed(broker) as one, subscribed(broker) as other:
        one.subscribe("/queue/q", ack_mode="client", send_acks=False, receipt="r")
        assert one.recv(timeout=2)["receipt-id"] == "r"
        one.message("/queue/q", "work")
        assert one.recv(timeout=2).text == "work"
        other.subscribe("/queue/q", receipt="r")
        assert other.recv(timeout=2)["receipt-id"] == "r"
        broker.drop(name_of(broker, one))
        frame = other.recv(timeout=2)
        assert (frame.text, frame["redelivered"]) == ("work", "true")


def test_many_threads_may_set_faults_and_drop(broker):
    over = threading.Event()

    def trouble() -> None:
        while not over.is_set():
            broker.set_faults(Faults(split=100))
            broker.drop()
            broker.set_faults()

    with Background(trouble), Background(trouble):
        try:
            for _ in range(30):
                with contextlib.suppress(stompy.STOMPError), stompy.connect(broker.address) as one:
                    publish(one, 1)
        finally:
            over.set()
    broker.set_faults()
    with subscribed(broker) as client:
        publish(client, 1)
        assert received(client, 1) == [1]


def test_messages_that_come_twice_may_be_acknowledged_twice():
    with Broker() as broker, stompy.connect(broker.address) as client:
        broker.set_faults(Faults(duplicate=True))
        client.subscribe("/queue/q", "client-individual")
        client.message("/queue/q", "a")
        assert [client.recv(timeout=2).text for _ in range(2)] == ["a", "a"]
        client.message("/queue/q", "b", receipt=True).wait(2)
        until(lambda: broker.clients()[0]["unacknowledged"] <= 1)
        assert client.Connected
