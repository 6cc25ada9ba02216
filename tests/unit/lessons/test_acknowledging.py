"""The exercises of 13-acknowledgement: one of three, what comes again, five by one."""

from collections.abc import Iterator
from typing import Any

import pytest

from stompy.broker import Broker
from stompy_jupyter import FrameStream, StompSession
from stompy_jupyter.exercises import Evidence
from stompy_jupyter.lessons.acknowledging import covered
from tests.unit.lessons.learning import Learner
from tests.unit.shells import run_cell
from tests.unit.waiting import until

TWO = "the letter `two` was acknowledged"
NO_OTHER = "no other letter was"
LOOKED = "a worker has had the messages and gone, and somebody else has looked into the queue"
AGAIN = "those came again that you have predicted"
FIVE = "five tickets have come by one subscription"
ONE_ACK = "one ACK covers five of them"
ALONE = "there was no other ACK of them"

EACH, UP_TO = "client-individual", "client"


def received(
    session: StompSession, queue: str, *bodies: str, mode: str = EACH, send_acks: bool = False
) -> FrameStream:
    """A stream to which these messages have come."""
    for body in bodies:
        session.send(queue, body)
    stream = session.subscribe(queue, name=queue, ack_mode=mode, send_acks=send_acks)
    stream.wait(len(bodies), timeout=5)
    return stream


@pytest.fixture(params=["1.0", "1.1", "1.2"])
def of_each_version(broker: Broker, request: pytest.FixtureRequest) -> Iterator[StompSession]:
    """A session of each version: an ACK names its message in another way."""
    with StompSession(broker.address, versions=(request.param,)) as session:
        yield session


# -- ack-second ------------------------------------------------------------------------------


def letters(session: StompSession, mode: str = EACH) -> FrameStream:
    return received(session, "/queue/letters", "one", "two", "three", mode=mode)


@pytest.mark.parametrize("of_each_version", ["1.1", "1.2"], indirect=True)  # 1.0 has no such mode
def test_the_second_letter_alone_is_acknowledged(of_each_version: StompSession) -> None:
    learner = Learner("ack-second")
    letters(of_each_version).ack(1)
    learner.passes()


def test_it_is_acknowledged_by_hand(shell: Any) -> None:
    learner = Learner("ack-second")
    session = run_cell(shell, "%stomp_connect")
    letters(session)
    second = session.trace.df.query("command == 'MESSAGE' and body == 'two'")
    run_cell(shell, f"%%stomp_raw\nACK\nid:{second['ack'].iloc[0]}\n\n^@")
    learner.passes()


def test_another_letter_is_told(session: StompSession) -> None:
    learner = Learner("ack-second")
    letters(session).ack(0, 2)
    assert learner.told == {
        TWO: "what was acknowledged is one, three",
        NO_OTHER: "acknowledged was one, three. Run the cell that sends the letters, and try again",
    }


def test_in_the_mode_client_the_first_is_acknowledged_as_well(session: StompSession) -> None:
    learner = Learner("ack-second")
    letters(session, UP_TO).ack(1)
    told = learner.told
    assert set(told) == {NO_OTHER}
    assert "acknowledged was one: in the mode client" in told[NO_OTHER]


def test_who_subscribes_again_begins_anew(session: StompSession) -> None:
    learner = Learner("ack-second")
    first = letters(session)
    first.ack(0)
    assert TWO in learner.told
    again = letters(session)
    again.ack(int(again.df.index[again.df["body"] == "two"][0]))
    learner.passes()


def test_what_is_acknowledged_after_a_cut_makes_nothing_undone(
    session: StompSession, broker: Broker
) -> None:
    learner = Learner("ack-second")
    stream = letters(session)
    stream.ack(1)
    learner.passes()
    until(lambda: broker.clients()[0]["unacknowledged"] == 2)
    broker.drop()
    stream.wait(5, timeout=5)
    stream.ack(*stream.unacknowledged)
    assert not learner.told


def test_a_nack_and_nothing_are_told(session: StompSession) -> None:
    learner = Learner("ack-second")
    stream = letters(session)
    assert learner.told[TWO] == "no ACK of it has passed"
    stream.nack(1)
    assert "a NACK says the contrary" in learner.told[TWO]


# -- which-come-again ------------------------------------------------------------------------


def run_the_worker(
    session: StompSession, broker: Broker, learner: Learner, mode: str, ack: int | None
) -> None:
    """What the lesson does, in this mode, up to the ACK of a message."""
    with StompSession(broker.address, name="worker") as worker:
        parcels = received(worker, "/queue/parcels", *"abcde", mode=mode)
        if ack is not None:
            parcels.ack(ack)
        assert LOOKED in learner.told
    rest = session.subscribe("/queue/parcels")
    rest.confirm(5)
    session.send("/queue/parcels", "the end")
    until(lambda: "the end" in rest.df["body"].tolist())
    rest.unsubscribe()


@pytest.mark.parametrize(
    ("mode", "ack", "prediction"),
    [
        (UP_TO, 2, "d, e"),
        (UP_TO, 2, "e d"),
        (EACH, 2, "a b d e"),
        (UP_TO, None, "a b c d e"),
        (UP_TO, 4, "none"),
    ],
    ids=["client", "in any order", "client-individual", "no ACK", "ACK of all"],
)
def test_what_has_no_ack_comes_again(
    session: StompSession, broker: Broker, mode: str, ack: int | None, prediction: str
) -> None:
    learner = Learner("which-come-again")
    learner.predicts(prediction)
    run_the_worker(session, broker, learner, mode, ack)
    learner.passes()


@pytest.mark.parametrize("prediction", ["a b d e", "c", "none"], ids=lambda said: said)
def test_who_is_wrong_is_told_what_came_again(
    session: StompSession, broker: Broker, prediction: str
) -> None:
    learner = Learner("which-come-again")
    learner.predicts(prediction)
    run_the_worker(session, broker, learner, UP_TO, 2)
    until(lambda: set(learner.told) == {AGAIN})
    assert "In fact: d, e. In the mode client" in learner.told[AGAIN]


def test_who_has_not_run_it_is_told() -> None:
    learner = Learner("which-come-again")
    learner.predicts("none")
    assert "run the cells below it" in learner.told[LOOKED]
    assert AGAIN in learner.told


# -- five-by-one -----------------------------------------------------------------------------


def tickets(session: StompSession, mode: str = UP_TO, **arguments: Any) -> FrameStream:
    bodies = [f"ticket {number}" for number in range(5)]
    return received(session, "/queue/tickets", *bodies, mode=mode, **arguments)


@pytest.mark.parametrize("numbers", [(4,), (0, 1, 2, 3, 4)], ids=["the last", "all"])
def test_one_ack_covers_five(of_each_version: StompSession, numbers: tuple[int, ...]) -> None:
    learner = Learner("five-by-one")
    tickets(of_each_version).ack(*numbers)
    learner.passes()


def test_one_ack_by_hand_covers_five(shell: Any) -> None:
    learner = Learner("five-by-one")
    session = run_cell(shell, "%stomp_connect")
    for number in range(5):
        session.send("/queue/tickets", f"ticket {number}")
    subscribe = "SUBSCRIBE\ndestination:/queue/tickets\nid:t\nack:client\nreceipt:1\n\n^@"
    run_cell(shell, f"%%stomp_raw\n{subscribe}")
    came = until(lambda: [e for e in session.trace if e.command == "MESSAGE"][4:])
    run_cell(shell, f"%%stomp_raw\nACK\nid:{came[0].get('ack')}\n\n^@")
    learner.passes()


def test_each_by_itself_is_not_one(session: StompSession) -> None:
    learner = Learner("five-by-one")
    tickets(session, EACH).ack(0, 1, 2, 3, 4)
    assert "an ACK covers one message; ACKs so far: 5" in learner.told[ONE_ACK]


def test_a_stream_that_acknowledges_by_itself_says_more_than_one(session: StompSession) -> None:
    learner = Learner("five-by-one")
    stream = tickets(session, send_acks=True)
    until(lambda: len([e for e in session.trace if e.command == "ACK"]) == stream.received)
    assert learner.told == {ALONE: "there were 5 ACKs: one was enough"}


def test_an_ack_too_early_covers_fewer(session: StompSession) -> None:
    learner = Learner("five-by-one")
    stream = tickets(session)
    assert learner.told[ONE_ACK] == "no ACK has passed"
    stream.ack(2)
    assert "which message has to be named?" in learner.told[ONE_ACK]
    stream.ack(4)
    assert set(learner.told) == {ALONE}


def test_in_the_mode_auto_there_is_nothing_to_acknowledge(session: StompSession) -> None:
    learner = Learner("five-by-one")
    tickets(session, "auto")
    assert "the mode of the subscription is auto" in learner.told[ONE_ACK]


def test_tickets_of_two_subscriptions_are_not_five(session: StompSession) -> None:
    learner = Learner("five-by-one")
    assert "subscribe to /queue/tickets" in learner.told[FIVE]
    for name in ("one", "two"):
        session.subscribe("/queue/tickets", name=name, ack_mode=UP_TO, send_acks=False).confirm(5)
    for number in range(5):
        session.send("/queue/tickets", f"ticket {number}")
    until(lambda: learner.told[FIVE].startswith("it was 3"))


def test_who_tries_again_needs_five_more(session: StompSession) -> None:
    learner = Learner("five-by-one")
    tickets(session, EACH).ack(0, 1, 2, 3, 4)
    learner.begins_anew()
    assert FIVE in learner.told
    tickets(session).ack(4)
    learner.passes()


# -- what an ACK covers ----------------------------------------------------------------------


def test_an_ack_of_another_destination_covers_nothing(session: StompSession) -> None:
    received(session, "/queue/elsewhere", "x").ack(0)
    evidence = Evidence.gathered()
    ack = evidence.sent("ACK")[-1]
    assert [step.body for step in covered(ack, evidence, "/queue/elsewhere")] == ["x"]
    assert covered(ack, evidence, "/queue/letters") == []
