"""The exercises of 16-heart-beats-and-failure: a cut, an ERROR, and payments that come twice."""

import pytest

from stompy import STOMPError
from stompy.broker import Broker, Faults
from stompy_jupyter import FrameStream, StompSession
from stompy_jupyter.exercises import Evidence, exercises
from stompy_jupyter.raw import RawConnection
from tests.unit.lessons.learning import Learner
from tests.unit.peer import raw
from tests.unit.test_exercises import step
from tests.unit.waiting import until

BACK = "the connection of the reader was cut, and it is back with its subscriptions"
AFTER = "after the cut came what you have predicted"
REFUSED = "the broker has answered a frame of yours with ERROR"
NAMED = "its header `message` went to /queue/causes"
ALIVE = "it went on a connection that no ERROR had ended"
BOOKED = "each of them was booked"
NOT_TWICE = "none was booked twice"
NOTHING_ELSE = "nothing else was booked"


# -- after-the-cut ---------------------------------------------------------------------------


def subscribed(reader: StompSession) -> tuple[FrameStream, FrameStream]:
    news = reader.subscribe("/topic/news")
    jobs = reader.subscribe("/queue/jobs", ack_mode="client-individual", send_acks=False)
    news.confirm(5)
    jobs.confirm(5)
    return news, jobs


def cut_and_back(session: StompSession, broker: Broker, learner: Learner, prediction: str) -> None:
    """What the lesson does, with a prediction in its middle."""
    with StompSession(broker.address, name="reader", reconnect=False) as reader:
        news, jobs = subscribed(reader)
        learner.predicts(prediction)
        session.send("/topic/news", "n1")
        session.send("/queue/jobs", "j1")
        session.send("/queue/jobs", "j2")
        news.wait(1, timeout=5)
        jobs.wait(2, timeout=5)
        with reader.transaction(receipt=True):
            jobs.ack(0)
        broker.drop(reader.trace[1].get("session"))
        until(lambda: not reader.connected)
        send_and_wait(session, "/topic/news", "n2")
        send_and_wait(session, "/queue/jobs", "j3")
        assert BACK in learner.told
        reader.connect()
        news, jobs = subscribed(reader)
        session.send("/topic/news", "n3")
        session.send("/queue/jobs", "j4")
        news.wait(1, timeout=5)
        jobs.wait(3, timeout=5)


def send_and_wait(session: StompSession, destination: str, body: str) -> None:
    receipt = session.send(destination, body, receipt=True)
    assert receipt is not None
    receipt.wait()


@pytest.mark.parametrize("prediction", ["n3, j2, j3, j4", "j4 j3 j2 n3"], ids=lambda said: said)
def test_a_queue_keeps_what_a_topic_loses(
    session: StompSession, broker: Broker, prediction: str
) -> None:
    learner = Learner("after-the-cut")
    cut_and_back(session, broker, learner, prediction)
    learner.passes()


@pytest.mark.parametrize(
    "prediction", ["n2 n3 j2 j3 j4", "n3 j1 j2 j3 j4", "n3 j3 j4", "none"], ids=lambda said: said
)
def test_who_is_wrong_is_told_what_came_and_what_was_lost(
    session: StompSession, broker: Broker, prediction: str
) -> None:
    learner = Learner("after-the-cut")
    cut_and_back(session, broker, learner, prediction)
    assert "In fact: j2, j3, j4, n3. Of the topic was lost: n2." in learner.told[AFTER]


def test_who_has_not_run_it_is_told(session: StompSession) -> None:
    learner = Learner("after-the-cut")
    learner.predicts("n3 j2 j3 j4")
    assert "run the cells below" in learner.told[BACK]


# -- name-the-cause --------------------------------------------------------------------------


def cause_of(session: StompSession, command: str = "BEGIN") -> str:
    """What the broker says of a frame that lacks all of its headers."""
    receipt = session.client.send(command, receipt=True)
    assert receipt is not None
    with pytest.raises(STOMPError) as refused:
        receipt.wait()
    frame = refused.value.Frame
    assert frame is not None
    return frame["message"]


@pytest.mark.parametrize("command", ["BEGIN", "SUBSCRIBE", "SEND", "ACK"])
def test_the_message_of_an_error_names_its_cause(
    session: StompSession, broker: Broker, command: str
) -> None:
    learner = Learner("name-the-cause")
    with StompSession(broker.address, reconnect=False) as wrong:
        session.send("/queue/causes", cause_of(wrong, command))
    learner.passes()


def test_a_connection_by_hand_will_do(session: StompSession, broker: Broker) -> None:
    learner = Learner("name-the-cause")
    with RawConnection(broker.address) as by_hand:
        by_hand.send(b"HELLO\n\n\x00")
        until(lambda: by_hand.trace[-1].command == "ERROR")
        session.send("/queue/causes", by_hand.trace[-1].get("message") or "")
    learner.passes()


def test_a_session_that_came_back_may_name_it(session: StompSession) -> None:
    learner = Learner("name-the-cause")
    cause = cause_of(session)
    until(lambda: session.reconnects == 1)
    session.send("/queue/causes", f"{cause}\n")
    learner.passes()


def test_what_goes_down_the_connection_of_the_error_is_lost() -> None:
    error = step(1, raw("ERROR", "message:no"), sent=False)
    named = step(2, raw("SEND", "destination:/queue/causes", body=b"no"))
    check = exercises()["name-the-cause"].check
    assert [outcome.expectation for outcome in check(Evidence([error, named])) if outcome.why] == [
        ALIVE
    ]
    elsewhere = named._replace(session="another")
    assert all(outcome.passed for outcome in check(Evidence([error, named, elsewhere])))


def test_another_text_is_no_cause(session: StompSession, broker: Broker) -> None:
    learner = Learner("name-the-cause")
    with StompSession(broker.address, reconnect=False) as wrong:
        cause_of(wrong)
    session.send("/queue/causes", "something was wrong")
    assert "something was wrong" in learner.told[NAMED]


def test_the_error_that_the_lesson_shows_is_not_the_learners(
    session: StompSession, broker: Broker
) -> None:
    learner = Learner("name-the-cause")
    with StompSession(broker.address, reconnect=False) as wrong:
        wrong.send_octets(b"SEND\nreceipt:77\n\nTo nobody\x00")
        until(lambda: wrong.state == "lost")
    session.send("/queue/causes", "SEND without destination")
    assert {REFUSED, NAMED} < set(learner.told)


# -- book-once -------------------------------------------------------------------------------


class Bank:
    """A learner of `book-once`, to whom payments have come; p3 was sent twice, all come twice."""

    def __init__(self, session: StompSession, broker: Broker) -> None:
        self.learner = Learner("book-once")
        self.session = session
        self.payments = session.subscribe("/queue/payments")
        broker.set_faults(Faults(duplicate=True))
        for number in (1, 2, 3, 3, 4):
            session.send("/queue/payments", f"{number}0 EUR", payment=f"p{number}")
        self.payments.wait(10, timeout=5)
        broker.set_faults()

    def books(self, *payments: str) -> None:
        for payment in payments:
            self.session.send("/queue/booked", "booked", payment=payment)


@pytest.fixture
def bank(session: StompSession, broker: Broker) -> Bank:
    return Bank(session, broker)


def test_each_payment_is_booked_once(bank: Bank) -> None:
    bank.books("p1", "p2", "p3", "p4")
    bank.learner.passes()


def test_a_reader_may_remember_what_it_has_booked(bank: Bank) -> None:
    seen = set()
    for payment in bank.payments.df["payment"]:
        if payment not in seen:
            seen.add(payment)
            bank.session.send_octets(
                f"SEND\ndestination:/queue/booked\npayment:{payment}\n\n\0".encode()
            )
    bank.learner.passes()


def test_the_message_id_does_not_tell_what_was_sent_twice(bank: Bank) -> None:
    bank.books(*bank.payments.df.drop_duplicates("message_id")["payment"])
    assert bank.learner.told == {NOT_TWICE: "booked more than once: p3"}
    bank.learner.begins_anew()
    bank.books("p4", "p3", "p2", "p1")
    bank.learner.passes()


def test_what_was_forgotten_is_named(bank: Bank) -> None:
    bank.books("p1", "p4")
    assert bank.learner.told == {BOOKED: "not booked: p2, p3"}


def test_what_never_came_is_not_to_be_booked(bank: Bank) -> None:
    bank.books("p1", "p2", "p3", "p4", "p5")
    assert bank.learner.told == {NOTHING_ELSE: "booked, though it never came: p5"}


def test_a_booking_without_the_header_is_of_no_payment(bank: Bank) -> None:
    bank.session.send("/queue/booked", "10 EUR")
    told = bank.learner.told
    assert told[BOOKED] == "not booked: p1, p2, p3, p4"
    assert told[NOTHING_ELSE].endswith(": one without a header")
