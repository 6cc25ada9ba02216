"""A receipt that is waited for, and one that is not."""

import copy
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

from stompy import Receipt, ReceiptOutcome, STOMPClient, STOMPClosed, STOMPError, STOMPTimeout
from tests.unit.peer import TIMEOUT, Background, Link, Script, message, raw, session
from tests.unit.waiting import until

ERROR = b"no such queue"


def answers(
    *answer: Callable[[str], bytes], then: Callable[[Link], object] | None = None
) -> Script:
    """A script that answers a SEND by octets made of its receipt id, then does `then`."""

    def script(link: Link) -> None:
        receipt = link.expect("SEND").headers["receipt"]
        link.send(*[make(receipt) for make in answer])
        (then or Link.serve)(link)

    return script


def confirmed(receipt: str) -> bytes:
    return raw("RECEIPT", f"receipt-id:{receipt}")


def rejected(receipt: str) -> bytes:
    return raw("ERROR", "message:refused", f"receipt-id:{receipt}", body=ERROR)


def unclear(_: str) -> bytes:
    return raw("ERROR", "message:something is wrong")


def some_message(_: str) -> bytes:
    return message(b"in between")


def ask(client: STOMPClient) -> Receipt:
    receipt = client.message("/queue/Q", "x", receipt=True)
    assert receipt is not None
    return receipt


def test_a_receipt_is_its_id_as_text() -> None:
    with session(answers(confirmed)) as (client, peer):
        receipt = ask(client)
        assert isinstance(receipt, str)
        receipt.wait(TIMEOUT)
    assert peer.frames[1].headers["receipt"] == receipt


def test_waiting_ends_with_the_confirmation_which_nobody_else_sees() -> None:
    with session(answers(some_message, confirmed)) as (client, _):
        receipt = ask(client)
        assert receipt.outcome is ReceiptOutcome.Pending
        receipt.wait(TIMEOUT)
        assert receipt.outcome is ReceiptOutcome.Confirmed
        assert client.recv(TIMEOUT).Body == b"in between"
        with pytest.raises(STOMPTimeout):
            client.recv(0)


def test_a_confirmation_that_nobody_waits_for_comes_by_recv() -> None:
    with session(answers(confirmed)) as (client, _):
        receipt = ask(client)
        frame = client.recv(TIMEOUT)
        assert (frame.Command, frame["receipt-id"]) == ("RECEIPT", receipt)
        assert receipt.outcome is ReceiptOutcome.Confirmed
        receipt.wait(0)


def test_a_confirmation_that_came_before_the_wait_is_taken_out_of_the_way() -> None:
    def script(link: Link) -> None:
        first, second = (link.expect("SEND").headers["receipt"] for _ in range(2))
        link.send(confirmed(first), message(b"in between"), confirmed(second))

    with session(script) as (client, _):
        first, second = ask(client), ask(client)
        second.wait(TIMEOUT)
        first.wait(0)
        assert client.recv(0).Body == b"in between"


def test_a_receipt_may_have_an_id_of_ones_own() -> None:
    with session(answers(confirmed)) as (client, _):
        receipt = client.message("/queue/Q", receipt="mine")
        assert receipt == "mine"
        receipt.wait(TIMEOUT)


def test_a_broker_that_sends_no_receipt_is_a_timeout_and_the_connection_lives() -> None:
    with session(answers(some_message)) as (client, _):
        receipt = ask(client)
        with pytest.raises(STOMPTimeout, match=f"no receipt '{receipt}' came within 0.05 s"):
            receipt.wait(0.05)
        assert receipt.outcome is ReceiptOutcome.Pending
        assert client.Connected
        assert client.recv(TIMEOUT).Body == b"in between"


def test_an_error_that_names_a_receipt_rejects_that_receipt_alone() -> None:
    def script(link: Link) -> None:
        good, bad = (link.expect("SEND").headers["receipt"] for _ in range(2))
        link.send(rejected(bad), confirmed(good))
        link.serve()

    with session(script) as (client, _):
        good, bad = ask(client), ask(client)
        with pytest.raises(STOMPError, match="refused; no such queue") as caught:
            bad.wait(TIMEOUT)
        assert caught.value.Frame["receipt-id"] == bad
        assert bad.outcome is ReceiptOutcome.Rejected
        good.wait(TIMEOUT)
        assert good.outcome is ReceiptOutcome.Confirmed
        with pytest.raises(STOMPTimeout):
            client.recv(0)


def test_an_error_that_names_no_receipt_ends_the_wait_and_comes_by_recv_too() -> None:
    with session(answers(unclear)) as (client, _):
        receipt = ask(client)
        with pytest.raises(STOMPError, match="something is wrong"):
            receipt.wait(TIMEOUT)
        assert receipt.outcome is ReceiptOutcome.Pending
        with pytest.raises(STOMPError, match="something is wrong"):
            client.recv(TIMEOUT)


def test_a_rejection_that_nobody_waits_for_raises_in_recv() -> None:
    with session(answers(rejected)) as (client, _):
        receipt = ask(client)
        with pytest.raises(STOMPError, match="refused"):
            client.recv(TIMEOUT)
        assert receipt.outcome is ReceiptOutcome.Rejected


def test_a_receipt_is_lost_with_its_connection() -> None:
    with session(answers(then=Link.half_close)) as (client, _):
        receipt = ask(client)
        with pytest.raises(STOMPClosed, match="ended before the receipt"):
            receipt.wait(TIMEOUT)
        assert receipt.outcome is ReceiptOutcome.Lost


def test_a_confirmation_that_comes_during_disconnect_counts() -> None:
    def script(link: Link) -> None:
        receipts = [link.expect(command).headers["receipt"] for command in ("SEND", "DISCONNECT")]
        link.send(*map(confirmed, receipts))

    with session(script) as (client, _):
        receipt = ask(client)
        client.disconnect()
        assert receipt.outcome is ReceiptOutcome.Confirmed
        receipt.wait(0)
        assert client.recv() is None


def test_one_thread_waits_while_another_reads() -> None:
    def script(link: Link) -> None:
        link.send(message(b"1"))
        receipt = link.expect("SEND").headers["receipt"]
        link.send(message(b"2"), confirmed(receipt), message(b"3"))
        link.half_close()

    def read(client: STOMPClient) -> list[bytes]:
        return [frame.Body for frame in client if frame.Command == "MESSAGE"]

    with session(script) as (client, _), Background(read, client) as reader:
        ask(client).wait(TIMEOUT)
        assert reader.result() == [b"1", b"2", b"3"]


def test_the_contracts_own_way_of_waiting_still_works() -> None:
    def arrived(_, frame, receipt):
        return frame is not None and frame.Command == "RECEIPT" and frame["receipt-id"] == receipt

    with session(answers(some_message, confirmed)) as (client, _):
        my_receipt = ask(client)
        assert client.loop(arrived, receipt=my_receipt, timeout=TIMEOUT) is True


def test_a_transaction_can_be_confirmed() -> None:
    def script(link: Link) -> None:
        link.expect("BEGIN")
        link.send(confirmed(link.expect("COMMIT").headers["receipt"]))
        link.serve()

    with session(script) as (client, _):
        receipt = client.transaction().commit(receipt=True)
        assert receipt is not None
        receipt.wait(TIMEOUT)
        assert repr(receipt) == f"<Receipt '{receipt}' confirmed>"


def test_an_error_that_names_no_receipt_does_not_fail_one_that_is_confirmed() -> None:
    def script(link: Link) -> None:
        receipt = link.expect("SEND").headers["receipt"]
        link.send(raw("RECEIPT", f"receipt-id:{receipt}") + raw("ERROR", "message:of another"))

    with session(script) as (client, _):
        receipt = client.message("/queue/Q", receipt=True)
        receipt.wait(TIMEOUT)  # raises though it is confirmed
        assert receipt.outcome is ReceiptOutcome.Confirmed


def test_an_error_that_was_read_before_the_wait_began_ends_the_wait_too() -> None:
    def script(link: Link) -> None:
        link.expect("SEND")
        link.send(message(b"1") + raw("ERROR", "message:no such exchange"))

    with session(script) as (client, _):
        receipt = client.message("/queue/Q", receipt=True)
        assert client.recv(TIMEOUT).Body == b"1"
        with pytest.raises(STOMPError, match="no such exchange"):
            receipt.wait(0.5)  # by default 15 s, then "no receipt came in time"


def test_a_wait_that_ends_with_the_connection_says_why_that_ended() -> None:
    with session(lambda link: (link.expect("SEND"), link.send(raw("MESSAGE", "nocolon")))) as (
        client,
        _,
    ):
        receipt = client.message("/queue/Q", receipt=True)
        with pytest.raises(STOMPClosed, match="without a colon"):
            receipt.wait(TIMEOUT)


def test_a_receipt_that_has_been_read_is_not_lost_when_the_connection_ends_meanwhile() -> None:
    read, go_on = threading.Event(), threading.Event()
    with session(lambda link: link.serve()) as (client, _):
        connection = client._connection
        assert connection is not None
        feed = connection._decoder.feed

        def slow(*data: Any) -> None:
            read.set()
            go_on.wait(TIMEOUT)
            feed(*data)

        connection._decoder.feed = slow  # type: ignore[method-assign]
        receipt = client.message("/queue/Q", receipt=True)
        assert receipt is not None
        with Background(lambda: client.recv(5)):
            assert read.wait(TIMEOUT)
            connection.close(STOMPClosed("the heart-beat thread has given it up"))
            waiter = Background(lambda: receipt.wait(5))
            waiter._thread.start()
            until(lambda: receipt._waiting)
            go_on.set()
        waiter.result()


@pytest.mark.parametrize(
    "copied",
    [
        lambda r: pickle.loads(pickle.dumps(r)),
        copy.deepcopy,
        lambda r: copy.deepcopy({"id": r})["id"],
    ],
    ids=["pickle", "deepcopy", "within a dict"],
)
def test_a_receipt_can_be_copied_like_the_text_it_is(copied: Callable[[Any], Any]) -> None:
    with session() as (client, _):
        receipt = client.message("/queue/Q", receipt=True)
        assert copied(receipt) == receipt
