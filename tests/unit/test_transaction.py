"""A transaction as an object."""

from collections.abc import Callable
from typing import Any

import pytest

import stompy
from stompy import STOMPClient, STOMPClosed, STOMPError, STOMPTransaction
from tests.unit.peer import TIMEOUT, Link, Received, commands, message, sent, session


def said(action: Callable[[STOMPTransaction], object], **arguments: Any) -> list[Received]:
    """The frames of a transaction behind BEGIN; BEGIN and all of them carry the same id."""
    begin, *frames = sent(lambda client: action(client.transaction()), **arguments)
    assert begin.command == "BEGIN"
    for frame in frames:
        assert frame.headers["transaction"] == begin.headers["transaction"]
    return frames


def test_the_client_module_exports_the_class_too() -> None:
    assert stompy.client.STOMPTransaction is stompy.STOMPTransaction is STOMPTransaction


def test_all_that_is_said_through_it_is_part_of_it() -> None:
    def action(transaction: STOMPTransaction) -> None:
        transaction.message("/queue/Q", "part 1", source="me")
        transaction.send("SEND", {"a": "b"}, b"part 2", destination="/queue/Q")
        transaction.ack("ack1")
        transaction.nack("ack2", requeue=False)
        transaction.commit()

    frames = said(action)
    assert commands(frames) == ["SEND", "SEND", "ACK", "NACK", "COMMIT"]
    assert (frames[0].body, frames[0].headers["source"]) == (b"part 1", "me")
    assert (frames[1].body, frames[1].headers["a"]) == (b"part 2", "b")
    assert (frames[2].headers["id"], frames[3].headers["requeue"]) == ("ack1", "false")


def test_its_id_comes_before_another_that_is_given() -> None:
    (frame,) = said(lambda transaction: transaction.message("/queue/Q", transaction="other"))
    assert frame.headers["transaction"] != "other"


def test_the_ack_that_recv_sends_is_part_of_it() -> None:
    def script(link: Link) -> None:
        link.expect("SUBSCRIBE")
        link.send(message(b"hello", "subscription:mine", "ack:1"))

    with session(script) as (client, peer):
        client.subscribe("/queue/Q", "client", id="mine")
        with client.transaction("t1") as transaction:
            assert transaction.recv(TIMEOUT).Body == b"hello"
    (ack,) = [frame for frame in peer.frames if frame.command == "ACK"]
    assert ack.headers == {"id": "1", "transaction": "t1"}


def test_an_id_may_be_given() -> None:
    with session() as (client, peer):
        transaction = client.transaction("my:own")
        assert transaction.id == "my:own"
    assert peer.frames[1].headers == {"transaction": "my:own"}


def test_two_transactions_have_different_ids() -> None:
    begins = sent(lambda client: [client.transaction(), client.transaction()])
    assert len({begin.headers["transaction"] for begin in begins}) == 2


@pytest.mark.parametrize("end", ["commit", "abort"])
@pytest.mark.parametrize("receipt", [False, True, "r"])
def test_its_end_may_ask_for_a_receipt(end: str, receipt: bool | str) -> None:
    returned: list[str | None] = []
    (frame,) = said(lambda transaction: returned.append(getattr(transaction, end)(receipt=receipt)))
    assert frame.command == end.upper()
    assert returned == [frame.headers.get("receipt")]
    assert (returned == [None]) == (receipt is False)


@pytest.mark.parametrize("end", ["commit", "abort"])
@pytest.mark.parametrize(
    "use",
    [
        lambda transaction: transaction.send("SEND", destination="/queue/Q"),
        lambda transaction: transaction.message("/queue/Q"),
        lambda transaction: transaction.recv(0),
        lambda transaction: transaction.ack("1"),
        lambda transaction: transaction.nack("1"),
        STOMPTransaction.commit,
        STOMPTransaction.abort,
    ],
    ids=["send", "message", "recv", "ack", "nack", "commit", "abort"],
)
def test_after_its_end_every_call_is_an_error(
    end: str, use: Callable[[STOMPTransaction], object]
) -> None:
    def action(transaction: STOMPTransaction) -> None:
        getattr(transaction, end)()
        with pytest.raises(STOMPError, match=f"is {end}t?ed already"):
            use(transaction)

    assert commands(said(action)) == [end.upper()]


def test_its_repr_tells_its_state() -> None:
    def action(client: STOMPClient) -> None:
        transaction = client.transaction("t1")
        assert repr(transaction) == "<STOMPTransaction t1 open>"
        transaction.commit()
        assert repr(transaction) == "<STOMPTransaction t1 committed>"

    sent(action)


# -- as a context manager ------------------------------------------------------------------------


def test_a_block_that_ends_commits() -> None:
    def action(transaction: STOMPTransaction) -> None:
        with transaction as entered:
            assert entered is transaction
            transaction.message("/queue/Q")

    assert commands(said(action)) == ["SEND", "COMMIT"]


def raise_inside(transaction: STOMPTransaction, first: Callable[[], object]) -> None:
    with transaction:
        first()
        raise LookupError


def test_a_block_that_raises_aborts_and_its_error_comes_out() -> None:
    def action(transaction: STOMPTransaction) -> None:
        with pytest.raises(LookupError):
            raise_inside(transaction, lambda: transaction.message("/queue/Q"))

    assert commands(said(action)) == ["SEND", "ABORT"]


@pytest.mark.parametrize("end", ["commit", "abort"])
def test_a_block_that_has_ended_it_itself_is_left_alone(end: str) -> None:
    def action(transaction: STOMPTransaction) -> None:
        with transaction:
            getattr(transaction, end)()

    assert commands(said(action)) == [end.upper()]


def test_a_block_that_raises_when_the_connection_has_ended_shows_its_own_error() -> None:
    with session() as (client, _), pytest.raises(LookupError):
        raise_inside(client.transaction(), client.disconnect)


def test_a_block_that_cannot_commit_is_an_error() -> None:
    with session() as (client, _), pytest.raises(STOMPClosed), client.transaction():
        client.disconnect()
