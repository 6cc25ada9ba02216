"""Frames that belong together: receipts, acknowledgements of all versions, transactions."""

import random

import pytest

from stompy import TracedFrame, wire
from stompy_jupyter.joins import Joins, join
from stompy_jupyter.trace import FrameTrace, TraceEntries

CAME = {"CONNECTED", "MESSAGE", "RECEIPT", "ERROR"}


def entries(*frames: str, version: str = "1.2") -> TraceEntries:
    """A trace of frames such as ``"SEND receipt:r1"``, one a second; ``^`` is a heart-beat."""
    trace = FrameTrace()
    tell = trace.beside(lambda _: None)
    assert callable(tell)
    for second, frame in enumerate(frames):
        command, *heads = frame.split()
        headers = dict(head.split(":", 1) for head in heads)
        octets = b"\n" if command == "^" else wire.encode(command, headers, b"", version)
        tell(TracedFrame(1_700_000_000.0 + second, command not in CAME, octets, version))
    return trace.newest()


def joined(*frames: str, version: str = "1.2", ended: bool = False) -> Joins:
    return join(entries(*frames, version=version), ended)


def message(number: int, subscription: str = "0") -> str:
    return f"MESSAGE message-id:m{number} ack:a{number} subscription:{subscription}"


# -- receipts ------------------------------------------------------------------------------------


def test_a_receipt_names_the_frame_that_asked_for_it_and_the_frame_its_receipt() -> None:
    joins = joined("SEND receipt:a", "SEND receipt:b", "RECEIPT receipt-id:b", "SEND")
    assert joins.answers == {2: [1]}
    assert joins.answered == {1: [2]}
    assert joins.asked == {0: True, 1: False}
    assert joins.confirmed == {1}


def test_a_frame_knows_that_no_receipt_has_come() -> None:
    assert joined("SEND receipt:a", ended=True).asked == {0: False}
    assert joined("CONNECT", "SEND receipt:a", "CONNECT").asked == {1: False}


def test_an_error_answers_what_asked_for_a_receipt_and_ends_the_others() -> None:
    joins = joined("SEND receipt:a", "SEND receipt:b", "ERROR receipt-id:a")
    assert joins.answers == {2: [0]}
    assert joins.asked == {0: False, 1: False}
    assert joins.confirmed == {0}


def test_a_receipt_that_nobody_asked_for_answers_nothing() -> None:
    assert joined("SEND receipt:a", "RECEIPT receipt-id:b", "RECEIPT").answers == {}
    assert joined("SEND receipt:a", "CONNECT", "RECEIPT receipt-id:a").answers == {}


# -- acknowledgements ----------------------------------------------------------------------------

ANSWERS = {
    "1.2": "ACK id:a{}",
    "1.1": "ACK message-id:m{} subscription:0",
    "1.0": "ACK message-id:m{}",
}


@pytest.mark.parametrize("command", ["ACK", "NACK"])
@pytest.mark.parametrize("version", ANSWERS)
def test_an_answer_names_its_message_in_the_way_of_its_version(version: str, command: str) -> None:
    answer = ANSWERS[version].format(2).replace("ACK", command)
    subscribe = "SUBSCRIBE id:0 destination:/queue/a ack:client-individual"
    joins = joined(subscribe, message(1), message(2), message(3), answer, version=version)
    assert joins.answers == {4: [2]}
    assert joins.answered == {2: [4]}


@pytest.mark.parametrize("version", ANSWERS)
def test_in_the_mode_client_an_answer_covers_what_came_before(version: str) -> None:
    frames = [
        "SUBSCRIBE id:0 destination:/queue/a ack:client",
        "SUBSCRIBE id:1 destination:/queue/b ack:client",
        message(1),
        message(9, subscription="1"),
        message(2),
        ANSWERS[version].format(2),
        message(3),
        message(4),
        ANSWERS[version].format(4),
    ]
    assert joined(*frames, version=version).answers == {5: [2, 4], 8: [6, 7]}


def test_in_stomp_1_0_a_subscription_may_be_its_destination() -> None:
    frames = [
        "SUBSCRIBE destination:/queue/a ack:client",
        "MESSAGE message-id:m1 destination:/queue/a",
        "MESSAGE message-id:m2 destination:/queue/a",
        "ACK message-id:m2",
        "UNSUBSCRIBE destination:/queue/a",
    ]
    assert joined(*frames, version="1.0").answers == {3: [1, 2], 4: [0]}


def test_what_comes_again_is_another_message() -> None:
    joins = joined("SUBSCRIBE id:0 ack:client-individual", message(1), "NACK id:a1", message(1))
    assert joins.answers == {2: [1]}


def test_an_answer_to_nothing_answers_nothing() -> None:
    assert joined(message(1), "ACK id:other", "ACK", "NACK message-id:m7").answers == {}


def test_an_unsubscribe_ends_its_subscribe() -> None:
    frames = ["SUBSCRIBE id:0", "SUBSCRIBE id:1", "UNSUBSCRIBE id:1", "UNSUBSCRIBE id:1"]
    assert joined(*frames).answers == {2: [1]}


# -- transactions --------------------------------------------------------------------------------

OPEN = ["CONNECT", "BEGIN transaction:t", "SEND transaction:t", "SEND"]


@pytest.mark.parametrize(
    ("then", "ended", "outcome"),
    [
        ([], False, "open"),
        (["COMMIT transaction:t"], False, "committed"),
        (["COMMIT transaction:t"], True, "committed"),
        (["ABORT transaction:t"], False, "aborted"),
        (["COMMIT transaction:t receipt:r", "ERROR receipt-id:r"], True, "refused"),
        (["ERROR"], False, "lost"),
        (["CONNECT"], False, "lost"),
        ([], True, "lost"),
    ],
)
def test_a_transaction_ends_in_one_way(then: list[str], ended: bool, outcome: str) -> None:
    joins = joined(*OPEN, *then, ended=ended)
    transaction = joins.transactions[1]
    assert transaction is joins.transactions[2]
    assert 3 not in joins.transactions
    assert transaction.outcome == outcome
    assert transaction.aborted == (outcome in ("aborted", "refused", "lost"))


def test_two_transactions_at_a_time_are_two() -> None:
    frames = ["BEGIN transaction:a", "BEGIN transaction:b", "SEND transaction:a"]
    joins = joined(*frames, "ABORT transaction:b", "COMMIT transaction:a")
    assert joins.transactions[0].numbers == [0, 2, 4]
    assert joins.transactions[0].outcome == "committed"
    assert joins.transactions[1].numbers == [1, 3]
    assert joins.transactions[1].outcome == "aborted"


def test_a_name_that_is_used_again_is_another_transaction() -> None:
    joins = joined(*OPEN, "COMMIT transaction:t", "BEGIN transaction:t", "ABORT transaction:t")
    assert joins.transactions[1].outcome == "committed"
    assert joins.transactions[5].outcome == "aborted"


def test_what_an_aborted_transaction_acknowledged_waits_for_the_next_answer() -> None:
    frames = [
        "SUBSCRIBE id:0 ack:client",
        message(1),
        "BEGIN transaction:t",
        "ACK id:a1 transaction:t",
        "ABORT transaction:t",
        message(2),
        "ACK id:a2",
    ]
    assert joined(*frames).answers == {3: [1], 6: [1, 5]}


def test_frames_in_any_order_are_joined_without_an_error() -> None:
    some = [
        *(
            "BEGIN transaction:t",
            "COMMIT transaction:t receipt:r",
            "ABORT transaction:t",
            "CONNECT",
        ),
        *("SUBSCRIBE id:0 ack:client", "UNSUBSCRIBE id:0", "ACK id:a1 transaction:t", message(1)),
        *("RECEIPT receipt-id:r", "ERROR receipt-id:r", "ACK message-id:m1 subscription:0", "^"),
    ]
    dice = random.Random(1)
    for _ in range(300):
        frames = dice.choices(some, k=12)
        for version in ANSWERS:
            joins = joined(*frames, version=version, ended=dice.random() < 0.5)
            for number, answers in joins.answers.items():
                assert answers == sorted(answers)
                assert all(each < number for each in answers)
                assert all(number in joins.answered[each] for each in answers)
