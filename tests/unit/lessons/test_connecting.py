"""The exercises of 10-connect: which version is agreed on, an old client, a proper goodbye."""

from collections.abc import Iterator

import pytest

from stompy.broker import Broker, Faults
from stompy_jupyter import StompSession
from stompy_jupyter.raw import RawConnection
from tests.unit.lessons.learning import Learner
from tests.unit.waiting import until

RUN = "a client has offered 1.0 and 1.1, and the broker has let it in"
AGREED = "they agreed on the version that you have predicted"
OFFERED = "a client has offered version 1.1, and no other"
LET_IN = "the broker has agreed: CONNECTED says version 1.1"
GOODBYE = "a DISCONNECT went out that asks for the receipt `farewell`"
RECEIPT = "its RECEIPT has come: the broker has received all that was sent before"
LAST = "it was the last frame that the client has sent on that connection"


def connect_frame(versions: str | None, command: str = "CONNECT") -> bytes:
    offer = "" if versions is None else f"accept-version:{versions}\n"
    return f"{command}\n{offer}host:/\n\n\0".encode()


@pytest.fixture
def by_hand(broker: Broker) -> Iterator[RawConnection]:
    """A connection for frames typed by hand."""
    with RawConnection(broker.address) as raw:
        yield raw


# -- version-agreed --------------------------------------------------------------------------


@pytest.mark.parametrize("offer", ["1.0,1.1", "1.1, 1.0"])
def test_the_newest_version_that_both_speak_is_agreed_on(
    by_hand: RawConnection, offer: str
) -> None:
    learner = Learner("version-agreed")
    learner.predicts("1.1")
    by_hand.send(connect_frame(offer))
    learner.passes()


def test_a_session_may_be_that_client(broker: Broker) -> None:
    learner = Learner("version-agreed")
    learner.predicts("1.1")
    with StompSession(broker.address, versions=("1.0", "1.1")):
        learner.passes()


def test_who_is_wrong_is_told_the_version(by_hand: RawConnection) -> None:
    learner = Learner("version-agreed")
    learner.predicts("1.0")
    by_hand.send(connect_frame("1.0,1.1"))
    until(lambda: RUN not in learner.told)
    assert learner.told[AGREED].startswith("you have said: 1.0. In fact: 1.1.")


def test_who_has_not_run_it_is_told(session: StompSession, by_hand: RawConnection) -> None:
    learner = Learner("version-agreed")
    by_hand.send(connect_frame("1.0,1.1"))
    until(lambda: len(by_hand.trace) == 2)
    learner.predicts("1.1")
    with StompSession(session.address):  # which offers 1.2 as well
        assert "run the cell below it" in learner.told[RUN]


# -- offer-1.1 -------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["CONNECT", "STOMP"])
def test_1_1_is_offered_by_hand(by_hand: RawConnection, command: str) -> None:
    learner = Learner("offer-1.1")
    by_hand.send(connect_frame("1.1", command))
    learner.passes()


def test_1_1_is_offered_by_a_session(broker: Broker) -> None:
    learner = Learner("offer-1.1")
    with StompSession(broker.address, versions=("1.1",)):
        learner.passes()


@pytest.mark.parametrize(
    ("versions", "why"),
    [
        ("1.0,1.1", "the newest CONNECT offers 1.0,1.1"),
        ("1.2", "the newest CONNECT offers 1.2"),
        (None, "the newest CONNECT has no header accept-version: that means 1.0"),
    ],
    ids=["two", "another", "none"],
)
def test_another_offer_is_named(by_hand: RawConnection, versions: str | None, why: str) -> None:
    learner = Learner("offer-1.1")
    by_hand.send(connect_frame(versions))
    assert learner.told[OFFERED] == why
    assert LET_IN in learner.told


def test_who_has_not_connected_is_told() -> None:
    assert Learner("offer-1.1").told[OFFERED] == (
        "no new CONNECT has passed: run your cell, then the check"
    )


def test_a_client_that_was_refused_has_no_version() -> None:
    learner = Learner("offer-1.1")
    with (
        Broker(logins={"ada": "right"}) as strict,
        Broker() as open_to_all,
        RawConnection(strict.address) as refused,
        RawConnection(open_to_all.address) as another,
    ):
        another.send(connect_frame("1.2"))
        refused.send(connect_frame("1.1"))
        until(lambda: refused.closed)
        assert set(learner.told) == {LET_IN}


# -- say-goodbye -----------------------------------------------------------------------------


def test_goodbye_is_said_by_hand(by_hand: RawConnection) -> None:
    learner = Learner("say-goodbye")
    by_hand.send(connect_frame("1.2"))
    by_hand.send(b"DISCONNECT\nreceipt:farewell\n\n\0")
    learner.passes()


def test_goodbye_is_said_by_a_session_in_python(broker: Broker) -> None:
    learner = Learner("say-goodbye")
    with StompSession(broker.address, reconnect=False) as leaving:
        leaving.client.send("DISCONNECT", receipt="farewell")
        learner.passes()


def test_a_session_that_comes_back_has_said_goodbye_all_the_same(session: StompSession) -> None:
    learner = Learner("say-goodbye")
    session.client.send("DISCONNECT", receipt="farewell")
    until(lambda: session.reconnects)
    session.send("/queue/q", "on the next connection")
    learner.passes()


def test_a_goodbye_without_a_receipt_is_none(by_hand: RawConnection) -> None:
    learner = Learner("say-goodbye")
    by_hand.send(connect_frame("1.2"))
    by_hand.send(b"DISCONNECT\n\n\0")
    assert "asks for no receipt" in learner.told[GOODBYE]


def test_the_goodbye_of_a_session_has_another_receipt(broker: Broker) -> None:
    learner = Learner("say-goodbye")
    with StompSession(broker.address) as leaving:
        leaving.send("/queue/q", "hello")
    assert learner.told[GOODBYE].startswith("the newest DISCONNECT asks for the receipt disconnect")


def test_a_blank_before_the_receipt_is_shown(by_hand: RawConnection) -> None:
    learner = Learner("say-goodbye")
    by_hand.send(connect_frame("1.2"))
    by_hand.send(b"DISCONNECT\nreceipt: farewell\n\n\0")
    assert learner.told[GOODBYE] == "its receipt is ' farewell': the blank belongs to the value"


def test_a_goodbye_that_nobody_hears_gets_no_receipt(by_hand: RawConnection) -> None:
    learner = Learner("say-goodbye")
    by_hand.send(b"DISCONNECT\nreceipt:farewell\n\n\0")
    until(lambda: by_hand.closed)
    assert set(learner.told) == {RECEIPT}


def test_a_frame_behind_a_goodbye_is_told() -> None:
    learner = Learner("say-goodbye")
    with Broker() as late, RawConnection(late.address) as raw:
        late.set_faults(Faults(slow=0.2))  # so that the connection is there still
        raw.send(connect_frame("1.2"))
        raw.send(b"DISCONNECT\nreceipt:farewell\n\n\0")
        raw.send(b"SEND\ndestination:/queue/q\n\n\0")
        until(lambda: RECEIPT not in learner.told)
        assert set(learner.told) == {LAST}
