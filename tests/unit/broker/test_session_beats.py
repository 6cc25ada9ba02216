"""Heart-beats of the embedded broker, and the time that a client has for its CONNECT."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stompy.broker.limits import Limits
from tests.unit.broker.clients import Peer, PureBroker

NOT_10 = pytest.mark.parametrize("version", ["1.1", "1.2"])


@pytest.fixture
def broker() -> Iterator[PureBroker]:
    with PureBroker(heart_beat=(1000, 500)) as broker:
        yield broker


# -- what is agreed ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "agreed"),
    [
        # the client's (can, want) against (1000, 500)
        ("0,0", (0, 0)),
        ("100,100", (1000, 500)),
        ("2000,3000", (3000, 2000)),
        ("0,3000", (3000, 0)),
        ("3000,0", (0, 3000)),
        ("", (0, 0)),
        ("abc", (0, 0)),
        ("1000", (0, 0)),
        ("-1,5", (0, 0)),
        ("1,2,3", (0, 0)),
        ("10, 10", (0, 0)),
        ("\u0661,\u0661", (0, 0)),
        (f"{'9' * 5000},1", (0, 0)),
    ],
)
@NOT_10
def test_of_each_way_the_longer_interval_is_agreed(broker, version, asked, agreed):
    peer = Peer(broker, version, {"heart-beat": asked})
    assert peer.connected["heart-beat"] == "1000,500"
    assert peer.session.described()["heart_beat"] == agreed


def test_who_says_nothing_of_heart_beats_gets_none(broker):
    peer = Peer(broker)
    assert peer.session.described()["heart_beat"] == (0, 0)
    assert peer.tick() is None


def test_in_1_0_there_are_no_heart_beats(broker):
    peer = Peer(broker, "1.0", {"heart-beat": "100,100"})
    assert "heart-beat" not in peer.connected
    broker.now += 10_000
    assert peer.tick() is None
    assert peer.output() == b""


@pytest.mark.parametrize("offer", [(0, 0), (0, 500), (1000, 0)])
def test_a_broker_that_does_not_want_beats_agrees_on_none_that_way(offer):
    broker = PureBroker(heart_beat=offer)
    peer = Peer(broker, headers={"heart-beat": "700,700"})
    send, receive = offer
    assert peer.connected["heart-beat"] == f"{send},{receive}"
    assert peer.session.described()["heart_beat"] == (send, receive and 700)


# -- sending -------------------------------------------------------------------------------------


def test_a_beat_is_sent_before_the_interval_is_over_and_then_again(broker):
    peer = Peer(broker, headers={"heart-beat": "0,1000"})
    since = broker.now
    for number in range(1, 6):
        wait = peer.tick()
        assert peer.output() == b""
        assert wait is not None
        broker.now += wait
        peer.tick()
        assert peer.output() == b"\n"
        assert broker.now - since < number * 1.0


def test_no_beat_is_sent_a_little_earlier_than_that(broker):
    peer = Peer(broker, headers={"heart-beat": "0,1000"})
    broker.now += (peer.tick() or 0) - 0.01
    assert peer.tick() == pytest.approx(0.01)
    assert peer.output() == b""


def test_data_that_was_sent_takes_the_place_of_a_beat(broker):
    peer = Peer(broker, headers={"heart-beat": "0,1000"})
    broker.now += 0.7
    peer.send("BEGIN", {"transaction": "t", "receipt": "r"})
    broker.now += 0.7
    assert peer.tick() == pytest.approx(0.1)
    assert peer.output() == b""


def test_what_was_received_takes_the_place_of_none(broker):
    peer = Peer(broker, headers={"heart-beat": "0,1000"})
    broker.now += 0.7
    peer.give(b"\n")
    broker.now += 0.2
    peer.tick()
    assert peer.output() == b"\n"


def test_the_server_is_told_of_a_beat_as_of_all_output(broker):
    peer = Peer(broker, headers={"heart-beat": "0,1000"})
    before = peer.outputs
    broker.now += 1
    peer.tick()
    assert peer.outputs == before + 1


def test_a_beat_is_no_frame_for_those_who_count(broker):
    peer = Peer(broker, headers={"heart-beat": "0,1000"})
    broker.now += 1
    peer.tick()
    peer.output()
    assert peer.session.frames_sent == 1  # CONNECTED


# -- receiving -----------------------------------------------------------------------------------


def test_a_client_that_is_silent_for_two_intervals_and_a_second_is_given_up_by_error(broker):
    peer = Peer(broker, headers={"heart-beat": "2000,0"})
    assert peer.tick() == pytest.approx(5)
    broker.now += 4.99
    peer.tick()
    assert not peer.closing
    broker.now += 0.02
    assert peer.tick() is None
    (error,) = peer.take()
    assert (error.Command, error["message"]) == ("ERROR", "no heart-beat")
    assert "every 2000 ms; nothing came for 5.0 s" in error.text
    assert peer.closing


@pytest.mark.parametrize("octets", [b"\n", b"\r\n", b"S", b"SEND\ndestination:/queue/q\n\n\0"])
def test_any_octets_are_a_sign_of_life(octets):
    with PureBroker(heart_beat=(0, 100)) as broker:
        peer = Peer(broker, headers={"heart-beat": "100,0"})
        for octet in octets * 10:
            broker.now += 1.15
            peer.give(bytes([octet]))
            assert peer.tick() == pytest.approx(1.2)
        assert not peer.closing
        broker.now += 1.25
        peer.tick()
        assert peer.closing


def test_what_is_sent_to_a_client_is_no_sign_of_its_life(broker):
    peer, sender = Peer(broker, headers={"heart-beat": "1000,0"}), Peer(broker)
    peer.subscribe("/topic/t")
    for _ in range(4):
        broker.now += 1
        sender.message("/topic/t", b"a")
        assert peer.bodies() == [b"a"]
        peer.tick()
    assert peer.closing


def test_a_client_that_has_promised_nothing_may_be_silent_for_ever(broker):
    peer = Peer(broker, headers={"heart-beat": "0,1000"})
    broker.now += 10**9
    peer.tick()
    assert not peer.closing


def test_what_a_dead_client_held_goes_to_others(broker):
    dead, other = Peer(broker, headers={"heart-beat": "1000,0"}), Peer(broker)
    dead.subscribe("/queue/q", ack="client")
    dead.message("/queue/q", b"a")
    other.subscribe("/queue/q")
    broker.now += 4
    dead.tick()
    assert other.bodies() == [b"a"]


def test_with_both_ways_the_earlier_moment_is_waited_for(broker):
    assert Peer(broker, headers={"heart-beat": "600,5000"}).tick() == pytest.approx(2.2)
    assert Peer(broker, headers={"heart-beat": "5000,1000"}).tick() == pytest.approx(0.8)


@pytest.mark.parametrize("end", ["DISCONNECT", "ERROR"])
def test_after_the_end_nothing_is_due(broker, end):
    peer = Peer(broker, headers={"heart-beat": "100,100"})
    peer.send(end, {})
    assert peer.closing
    broker.now += 100
    assert peer.tick() is None
    assert peer.output() == b""


# -- the time for CONNECT ------------------------------------------------------------------------


def test_a_client_has_so_many_seconds_for_its_connect():
    broker = PureBroker(Limits(connect_timeout=3))
    peer = Peer(broker, None)
    assert peer.tick() == pytest.approx(3)
    broker.now += 2.9
    assert peer.tick() == pytest.approx(0.1)
    assert not peer.closing
    broker.now += 0.1
    assert peer.tick() is None
    (error,) = peer.take()
    assert (error.Command, error["message"]) == ("ERROR", "no CONNECT frame")
    assert "within 3 s" in error.text
    assert peer.closing


def test_octets_that_trickle_in_give_no_more_time():
    with PureBroker(Limits(connect_timeout=3)) as broker:
        peer = Peer(broker, None)
        for octet in b"CONNE":
            peer.give(bytes([octet]))
            peer.tick()
            broker.now += 1
        assert peer.take()[0]["message"] == "no CONNECT frame"
        assert peer.closing


def test_who_has_connected_in_time_may_take_all_the_time_there_is(broker):
    peer = Peer(broker, None)
    broker.now += 9.9
    assert peer.connect()[0].Command == "CONNECTED"
    broker.now += 10**6
    assert peer.tick() is None
    assert not peer.closing
