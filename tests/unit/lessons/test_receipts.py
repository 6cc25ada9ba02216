"""The exercises of 14-receipts: the order of receipts, one for ten, and what a missing one says."""

from typing import Any

import pytest

from stompy.broker import Broker, Faults
from stompy_jupyter import StompSession
from tests.unit.lessons.learning import Learner
from tests.unit.waiting import until

TEN = "ten messages went to /queue/parcels on one connection"
ONLY_THE_LAST = "none of them but the last has asked for a receipt"
VOUCHED = "the last, or a frame behind it, has asked for one"
CAME = "the receipt has come"
ORDER = "the receipts came in the order that you have predicted"
NONE_CAME = "messages to /queue/shelf have asked for receipts, and none came"
LOOKED = "somebody has looked into the queue"
SHELF = "in the queue was what you have predicted"


# -- receipts-in-order -----------------------------------------------------------------------


def run_the_desk(session: StompSession) -> None:
    """What the lesson sends."""
    session.send("/queue/desk", "one", receipt="delta")
    session.send("/queue/desk", "two")
    session.send("/queue/desk", "three", receipt="alpha")
    receipt = session.send("/queue/desk", "four", receipt="bravo")
    assert receipt is not None
    receipt.wait()


@pytest.mark.parametrize("times", [1, 2])
def test_receipts_come_in_the_order_of_the_frames(session: StompSession, times: int) -> None:
    learner = Learner("receipts-in-order")
    learner.predicts("delta alpha bravo")
    for _ in range(times):
        run_the_desk(session)
    learner.passes()


def test_their_order_is_not_that_of_the_ids(session: StompSession) -> None:
    learner = Learner("receipts-in-order")
    learner.predicts("alpha, bravo, delta")
    run_the_desk(session)
    said = "you have said: alpha, bravo, delta. In fact: delta, alpha, bravo."
    assert learner.told[ORDER].startswith(said)


def test_receipts_that_came_before_the_prediction_do_not_count(session: StompSession) -> None:
    learner = Learner("receipts-in-order")
    run_the_desk(session)
    learner.predicts("delta alpha bravo")
    assert "run the cell that sends them" in " ".join(learner.told.values())


# -- ten-by-one ------------------------------------------------------------------------------


def parcels(session: StompSession, count: int, **headers: Any) -> None:
    for number in range(count):
        session.send("/queue/parcels", f"parcel {number}", **headers)


def settled(session: StompSession) -> None:
    """Wait until all receipts that were asked for so far have come."""
    receipt = session.send("/topic/nobody", receipt=True)
    assert receipt is not None
    receipt.wait()


def test_the_receipt_of_the_last_vouches_for_all(session: StompSession) -> None:
    learner = Learner("ten-by-one")
    parcels(session, 9)
    parcels(session, 1, receipt=True)
    learner.passes()


def test_so_does_that_of_a_frame_behind_them(session: StompSession) -> None:
    learner = Learner("ten-by-one")
    parcels(session, 10)
    session.send_octets(b"BEGIN\ntransaction:x\nreceipt:all-of-them\n\n\x00")
    learner.passes()


def test_so_does_that_of_the_goodbye(session: StompSession) -> None:
    learner = Learner("ten-by-one")
    parcels(session, 10)
    session.disconnect()
    learner.passes()


def test_frames_typed_by_hand_count(session: StompSession) -> None:
    learner = Learner("ten-by-one")
    frame = b"SEND\ndestination:/queue/parcels\n\nby hand\x00"
    for _ in range(9):
        session.send_octets(frame)
    session.send_octets(frame.replace(b"\n\n", b"\nreceipt:r\n\n"))
    learner.passes()


def test_a_receipt_for_each_is_too_many_and_one_may_begin_anew(session: StompSession) -> None:
    learner = Learner("ten-by-one")
    parcels(session, 10, receipt=True)
    settled(session)
    assert learner.told == {
        ONLY_THE_LAST: "9 of the earlier ones have asked: one receipt is enough for all"
    }
    learner.begins_anew()
    parcels(session, 9)
    parcels(session, 1, receipt=True)
    learner.passes()


def test_a_receipt_of_the_first_says_nothing_of_the_others(session: StompSession) -> None:
    learner = Learner("ten-by-one")
    parcels(session, 1, receipt=True)
    parcels(session, 9)
    told = learner.told
    assert set(told) == {ONLY_THE_LAST, VOUCHED, CAME}
    assert "says nothing of those that come later" in told[VOUCHED]


def test_five_on_each_of_two_connections_are_not_ten(broker: Broker) -> None:
    learner = Learner("ten-by-one")
    with StompSession(broker.address) as one, StompSession(broker.address) as two:
        parcels(one, 5)
        parcels(two, 5)
        assert learner.told[TEN] == "on one connection it was 5"


def test_a_receipt_that_does_not_come_vouches_for_nothing(
    session: StompSession, broker: Broker
) -> None:
    learner = Learner("ten-by-one")
    broker.set_faults(Faults(no_receipts=True))
    parcels(session, 9)
    parcels(session, 1, receipt=True)
    assert set(learner.told) == {CAME}
    broker.set_faults()


# -- receipt-missing -------------------------------------------------------------------------


def put_on_the_shelf(session: StompSession, broker: Broker, faults: Faults) -> None:
    """What the lesson does: three messages are sent while something is wrong."""
    broker.set_faults(faults)
    for body in "xyz":
        session.send("/queue/shelf", body, receipt=True)
    until(lambda: [queue["waiting"] for queue in broker.destinations()] == [3])
    broker.set_faults()


@pytest.mark.parametrize("prediction", ["x, y, z", "z y x"])
def test_messages_without_a_receipt_are_there(
    session: StompSession, broker: Broker, prediction: str
) -> None:
    learner = Learner("receipt-missing")
    learner.predicts(prediction)
    put_on_the_shelf(session, broker, Faults(no_receipts=True))
    assert LOOKED in learner.told
    session.subscribe("/queue/shelf").wait(3, timeout=5)
    learner.passes()


@pytest.mark.parametrize("prediction", ["none", "x"])
def test_who_thinks_that_they_are_lost_is_told(
    session: StompSession, broker: Broker, prediction: str
) -> None:
    learner = Learner("receipt-missing")
    learner.predicts(prediction)
    put_on_the_shelf(session, broker, Faults(no_receipts=True))
    session.subscribe("/queue/shelf").wait(3, timeout=5)
    assert learner.told[SHELF].startswith(f"you have said: {prediction}. In fact: x, y, z.")


def test_who_has_forgotten_to_switch_receipts_off_is_told(
    session: StompSession, broker: Broker
) -> None:
    learner = Learner("receipt-missing")
    learner.predicts("x y z")
    put_on_the_shelf(session, broker, Faults())
    settled(session)
    session.subscribe("/queue/shelf").wait(3, timeout=5)
    assert "switch them off" in learner.told[NONE_CAME]
