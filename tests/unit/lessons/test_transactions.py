"""The exercises of 15-transactions: what arrives, and a message that moves between queues."""

import contextlib

import pytest

from stompy_jupyter import StompSession
from tests.unit.lessons.learning import Learner

ARRIVED = "those arrived that you have predicted, in that order"
ACKED = "a message of /queue/inbox was acknowledged in a transaction"
COPIED = "in the same transaction a message with its body went to /queue/outbox"
COMMITTED = "the transaction was committed"
ONCE = "it was sent there once"


# -- which-arrive ----------------------------------------------------------------------------


def run_the_shop(session: StompSession) -> None:
    """What the lesson sends."""
    red = session.client.transaction()
    blue = session.client.transaction()
    red.message("/queue/shop", "a")
    blue.message("/queue/shop", "b")
    session.send("/queue/shop", "c")
    blue.message("/queue/shop", "d")
    red.message("/queue/shop", "e")
    blue.commit()
    session.send("/queue/shop", "f")
    red.abort()


def predicted(session: StompSession, prediction: str) -> Learner:
    """Somebody who has predicted and run the cell."""
    learner = Learner("which-arrive")
    stream = session.subscribe("/queue/shop")
    learner.predicts(prediction)
    run_the_shop(session)
    stream.wait(4, timeout=5)
    return learner


def test_what_is_committed_arrives_at_its_commit(session: StompSession) -> None:
    predicted(session, "c, b, d, f").passes()


@pytest.mark.parametrize(
    "prediction", ["b c d f", "a b c d e f", "c f", "c b d f a e"], ids=lambda said: said
)
def test_who_is_wrong_is_told_what_arrived(session: StompSession, prediction: str) -> None:
    assert "In fact: c, b, d, f." in predicted(session, prediction).told[ARRIVED]


def test_who_has_not_run_it_is_told(session: StompSession) -> None:
    learner = Learner("which-arrive")
    learner.predicts("c b d f")
    assert any("run the cell" in why for why in learner.told.values())


# -- move-a-message --------------------------------------------------------------------------


class Post:
    """A learner of `move-a-message`, with three letters in the inbox, not acknowledged yet."""

    def __init__(self, session: StompSession) -> None:
        self.learner = Learner("move-a-message")
        self.session = session
        self.inbox = session.subscribe(
            "/queue/inbox", ack_mode="client-individual", send_acks=False
        )
        for name in ("Ada", "Bea", "Cleo"):
            session.send("/queue/inbox", f"Dear {name}")
        self.inbox.wait(3, timeout=5)

    def moves(self, number: int) -> None:
        """Do it as it should be done."""
        with self.session.transaction():
            self.session.send("/queue/outbox", str(self.inbox.df.loc[number, "body"]))
            self.inbox.ack(number)


@pytest.fixture
def post(session: StompSession) -> Post:
    return Post(session)


def test_send_and_ack_in_one_transaction_move_a_message(post: Post) -> None:
    post.moves(1)
    post.learner.passes()


def test_they_may_be_in_the_other_order_and_of_several_messages(post: Post) -> None:
    with post.session.transaction():
        for number, name in enumerate(("Ada", "Bea")):
            post.inbox.ack(number)
            post.session.send("/queue/outbox", f"Dear {name}")
    post.learner.passes()


def test_they_may_be_typed_by_hand(post: Post) -> None:
    ack = next(e.get("ack") for e in post.session.trace if e.command == "MESSAGE")
    for head, body in [
        ("BEGIN\ntransaction:t", ""),
        ("SEND\ndestination:/queue/outbox\ntransaction:t", "Dear Ada"),
        (f"ACK\nid:{ack}\ntransaction:t", ""),
        ("COMMIT\ntransaction:t", ""),
    ]:
        post.session.send_octets(f"{head}\n\n{body}\0".encode())
    post.learner.passes()


def test_an_ack_outside_could_lose_it(post: Post) -> None:
    with post.session.transaction():
        post.session.send("/queue/outbox", "Dear Ada")
    post.inbox.ack(0)
    told = post.learner.told
    assert "the message would be lost" in told[ACKED]
    post.learner.begins_anew()
    post.moves(1)
    post.learner.passes()


def test_a_send_outside_could_double_it(post: Post) -> None:
    post.session.send("/queue/outbox", "Dear Ada")
    with post.session.transaction():
        post.inbox.ack(0)
    told = post.learner.told
    assert set(told) == {COPIED, ONCE}
    assert "in both queues or in none" in told[COPIED]


def test_one_that_is_sent_outside_as_well_is_there_twice(post: Post) -> None:
    post.session.send("/queue/outbox", "Dear Ada")
    post.moves(0)
    assert "outside of the transaction as well" in post.learner.told[ONCE]


def test_one_that_another_transaction_has_sent_is_there_twice(post: Post) -> None:
    with post.session.transaction():
        post.session.send("/queue/outbox", "Dear Ada")
    post.moves(0)
    assert "outside of the transaction as well" in post.learner.told[ONCE]
    with contextlib.suppress(ValueError), post.session.transaction():
        post.session.send("/queue/outbox", "Dear Bea")
        raise ValueError
    post.learner.begins_anew()
    post.moves(1)
    post.learner.passes()


def test_one_that_is_sent_twice_in_it_is_there_twice(post: Post) -> None:
    with post.session.transaction():
        post.inbox.ack(0)
        post.session.send("/queue/outbox", "Dear Ada")
        post.session.send("/queue/outbox", "Dear Ada")
    assert post.learner.told == {ONCE: "it was sent there twice in the transaction"}


def test_another_body_is_another_message(post: Post) -> None:
    with post.session.transaction():
        post.inbox.ack(0)
        post.session.send("/queue/outbox", "Dear Bea")
    assert post.learner.told[COPIED] == "what went there has another body"


def test_what_was_aborted_did_not_happen(post: Post) -> None:
    with contextlib.suppress(ValueError), post.session.transaction():
        post.session.send("/queue/outbox", "Dear Ada")
        post.inbox.ack(0)
        raise ValueError
    assert post.learner.told[ACKED] == "the transaction of its ACK was aborted"


def test_what_was_not_committed_has_not_happened_yet(post: Post) -> None:
    transaction = post.session.client.transaction()
    transaction.message("/queue/outbox", "Dear Ada")
    ack = next(e.get("ack") for e in post.session.trace if e.command == "MESSAGE")
    post.session.send_octets(f"ACK\nid:{ack}\ntransaction:{transaction.id}\n\n\0".encode())
    assert set(post.learner.told) == {COMMITTED}
    transaction.commit()
    post.learner.passes()


def test_a_message_of_another_queue_is_none_of_the_inbox(session: StompSession) -> None:
    learner = Learner("move-a-message")
    stream = session.subscribe("/queue/other", ack_mode="client", send_acks=False)
    session.send("/queue/other", "Dear Ada")
    stream.wait(1, timeout=5)
    with session.transaction():
        session.send("/queue/outbox", "Dear Ada")
        stream.ack()
    assert learner.told[ACKED] == "none was acknowledged"
