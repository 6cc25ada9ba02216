"""A client that subscribes, and acknowledges what it is sent."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

import stompy
from stompy import (
    AckMode,
    ReceiptOutcome,
    STOMPClient,
    STOMPClosed,
    STOMPError,
    STOMPFrame,
    STOMPProtocolError,
)
from tests.unit.peer import (
    TIMEOUT,
    Peer,
    Received,
    acks,
    bodies,
    commands,
    conversation,
    delivers,
    message,
    nothing,
    raw,
    sends,
    sent,
    sent_one,
    session,
)
from tests.unit.test_reconnect import accepts

# -- subscriptions -------------------------------------------------------------------------------


def test_subscribe_sends_destination_id_and_mode_and_returns_the_id() -> None:
    ids = []
    frame = sent_one(lambda client: ids.append(client.subscribe("/queue/Q")))
    assert isinstance(ids[0], str)
    assert frame.headers == {"destination": "/queue/Q", "id": ids[0], "ack": "auto"}


def test_subscriptions_have_different_ids() -> None:
    def action(client: STOMPClient) -> None:
        client.subscribe("/queue/Q", id="2")
        for _ in range(3):
            client.message("/queue/Q", receipt=True)
            client.subscribe("/queue/Q")

    ids = [frame.headers["id"] for frame in sent(action) if frame.command == "SUBSCRIBE"]
    assert len(set(ids)) == 4


@pytest.mark.parametrize("mode", [*AckMode, "auto", "client", "client-individual"])
def test_the_ack_mode_is_a_str_or_an_ack_mode(mode: str) -> None:
    frame = sent_one(lambda client: client.subscribe("/queue/Q", ack_mode=mode))
    assert frame.headers["ack"] == str(mode)


def test_subscribe_takes_more_headers_and_a_receipt() -> None:
    frame = sent_one(
        lambda client: client.subscribe(
            "/queue/Q", headers={"prefetch-count": 1}, selector="a > 1", receipt="r"
        )
    )
    assert frame.headers["prefetch-count"] == "1"
    assert frame.headers["selector"] == "a > 1"
    assert frame.headers["receipt"] == "r"


def test_an_unknown_mode_an_id_in_use_and_a_bad_header_are_refused() -> None:
    def action(client: STOMPClient) -> None:
        client.subscribe("/queue/Q", id="mine")
        with pytest.raises(STOMPError, match="no ack mode"):
            client.subscribe("/queue/Q", "sometimes")
        with pytest.raises(STOMPError, match="in use"):
            client.subscribe("/queue/Q", id="mine")
        with pytest.raises(STOMPError, match="NUL"):
            client.subscribe("/queue/Q", id="other", selector="\0")
        assert list(client.subscriptions) == ["mine"]

    assert commands(sent(action)) == ["SUBSCRIBE"]


def test_a_subscription_knows_what_it_is() -> None:
    with session() as (client, peer):
        sub_id = client.subscribe("/queue/Q", AckMode.ClientInd, send_acks=False)
        subscription = client.subscriptions[sub_id]
        assert isinstance(subscription, stompy.STOMPSubscription)
        assert (subscription.id, subscription.destination) == (sub_id, "/queue/Q")
        assert (subscription.ack_mode, subscription.send_acks) == (AckMode.ClientInd, False)
        assert "/queue/Q" in repr(subscription)
        subscription.unsubscribe()
        assert client.subscriptions == {}
    assert commands(peer.frames[1:-1]) == ["SUBSCRIBE", "UNSUBSCRIBE"]


def test_the_subscriptions_of_a_client_are_a_copy() -> None:
    with session() as (client, _):
        client.subscribe("/queue/Q")
        client.subscriptions.clear()
        assert len(client.subscriptions) == 1


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_unsubscribe_names_the_id_and_in_1_0_the_destination_too(version: str) -> None:
    subscribe, unsubscribe = sent(
        lambda client: client.unsubscribe(client.subscribe("/queue/Q"), durable=True, receipt="r"),
        version=version,
    )
    expected = {"id": subscribe.headers["id"], "durable": "true", "receipt": "r"}
    if version == "1.0":
        expected["destination"] = "/queue/Q"
    assert (unsubscribe.command, unsubscribe.headers) == ("UNSUBSCRIBE", expected)


def test_unsubscribing_twice_is_an_error() -> None:
    def action(client: STOMPClient) -> None:
        sub_id = client.subscribe("/queue/Q")
        client.unsubscribe(sub_id)
        with pytest.raises(STOMPError, match="no subscription"):
            client.unsubscribe(sub_id)

    assert commands(sent(action)) == ["SUBSCRIBE", "UNSUBSCRIBE"]


# -- acknowledgement by the client ---------------------------------------------------------------


@pytest.mark.parametrize("mode", ["client", "client-individual"])
def test_each_message_is_acknowledged_once(
    take: Callable[[STOMPClient], STOMPFrame], mode: str
) -> None:
    with session(delivers(b"1", b"2")) as (client, peer):
        client.subscribe("/queue/Q", mode)
        assert bodies([take(client), take(client)]) == [b"1", b"2"]
    assert acks(peer) == ["ack1", "ack2"]


@pytest.mark.parametrize(
    ("mode", "send_acks"), [("client", False), ("client-individual", False), ("auto", True)]
)
def test_nothing_is_acknowledged_in_auto_mode_or_against_the_users_will(
    take: Callable[[STOMPClient], STOMPFrame], mode: str, send_acks: bool
) -> None:
    with session(delivers(b"1", b"2")) as (client, peer):
        client.subscribe("/queue/Q", mode, send_acks=send_acks)
        assert bodies([take(client), take(client)]) == [b"1", b"2"]
    assert acks(peer) == []


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        ("1.0", {"message-id": "m1"}),
        ("1.1", {"message-id": "m1", "subscription": "mine"}),
        ("1.2", {"id": "ack1"}),
    ],
)
def test_an_ack_has_the_headers_of_the_version(version: str, headers: dict[str, str]) -> None:
    with session(delivers(b"1"), version=version) as (client, peer):
        client.subscribe("/queue/Q", "client", id="mine")
        client.recv(TIMEOUT)
    assert [frame.headers for frame in peer.frames if frame.command == "ACK"] == [headers]


def test_a_message_without_an_ack_header_is_not_acknowledged_in_1_2() -> None:
    with session(sends(message(b"1", "subscription:mine"))) as (client, peer):
        client.subscribe("/queue/Q", "client", id="mine")
        assert client.recv(TIMEOUT).Body == b"1"
    assert acks(peer) == []


@pytest.mark.parametrize("mine", ["mine", 7])
def test_a_subscription_with_an_id_of_the_users_own_is_acknowledged_too(mine: Any) -> None:
    with session(delivers(b"1")) as (client, peer):
        assert client.subscribe("/queue/Q", "client", id=mine) == str(mine)
        client.recv(TIMEOUT)
    assert acks(peer) == ["ack1"]


def test_loop_acknowledges_after_the_callback_and_recv_when_it_hands_over() -> None:
    with session(delivers(b"1", b"2")) as (client, peer):
        client.subscribe("/queue/Q", "client")
        client.loop(lambda client, _: client.message("/queue/in", "") or True)
        client.recv(TIMEOUT)
        client.message("/queue/after")
    assert commands(peer.frames[2:-1]) == ["SEND", "ACK", "ACK", "SEND"]


def test_a_callback_that_raises_leaves_its_message_unacknowledged() -> None:
    def callback(_: STOMPClient, frame: STOMPFrame) -> None:
        if frame.Body == b"2":
            raise LookupError("not to be processed")

    with session(delivers(b"1", b"2", b"3")) as (client, peer):
        client.subscribe("/queue/Q", "client-individual")
        with pytest.raises(LookupError, match="not to be processed"):
            client.loop(callback)
        assert client.recv(TIMEOUT).Body == b"3"
    assert acks(peer) == ["ack1", "ack3"]


@pytest.mark.parametrize("way", ["recv", "loop"])
def test_acks_of_the_client_may_be_part_of_a_transaction(way: str) -> None:
    with session(delivers(b"1", b"2")) as (client, peer):
        client.subscribe("/queue/Q", "client")
        transaction = client.transaction()
        for by in ("t1", transaction):
            if way == "recv":
                client.recv(TIMEOUT, transaction=by)
            else:
                client.loop(lambda *_: True, transaction=by, timeout=TIMEOUT)
    found = [frame.headers for frame in peer.frames if frame.command == "ACK"]
    assert [headers["transaction"] for headers in found] == ["t1", transaction.id]


@pytest.mark.parametrize("way", ["iteration", "loop"])
def test_a_broker_that_leaves_while_it_is_acknowledged_takes_no_message_with_it(way: str) -> None:
    gone = threading.Event()
    numbers = [b"1", b"2", b"3", b"4"]
    with session(delivers(*numbers, then=lambda link: (link.close(), gone.set()))) as (client, _):
        client.subscribe("/queue/Q", "client")
        assert gone.wait(TIMEOUT)
        seen: list[STOMPFrame] = []
        if way == "iteration":
            seen.extend(client)
        else:
            assert client.loop(lambda _, frame: seen.append(frame)) is None
    assert bodies(seen) == numbers


# -- acknowledgement by the user -----------------------------------------------------------------

ANSWERS = pytest.mark.parametrize("command", ["ack", "nack"])


def answered(
    command: str, what: Callable[[STOMPFrame], Any], version: str, **more: Any
) -> Received:
    """The ACK or NACK that the user sends of `what(frame)`."""
    with session(delivers(b"1"), version=version) as (client, peer):
        client.subscribe("/queue/Q", "client", send_acks=False, id="mine")
        getattr(client, command)(what(client.recv(TIMEOUT)), **more)
    (answer,) = peer.frames[2:-1]
    assert answer.command == command.upper()
    return answer


@ANSWERS
@pytest.mark.parametrize("what", [lambda frame: frame["ack"], lambda frame: frame])
def test_in_1_2_a_message_is_answered_by_its_ack_header(command: str, what: Any) -> None:
    assert answered(command, what, "1.2").headers == {"id": "ack1"}


@ANSWERS
def test_in_1_1_a_message_is_answered_by_message_id_and_subscription(command: str) -> None:
    headers = answered(command, lambda frame: frame, "1.1").headers
    assert headers == {"message-id": "m1", "subscription": "mine"}


def test_in_1_0_a_message_is_answered_by_its_message_id() -> None:
    assert answered("ack", lambda frame: frame, "1.0").headers == {"message-id": "m1"}


@ANSWERS
def test_an_answer_may_have_a_transaction_a_receipt_and_more_headers(command: str) -> None:
    headers = answered(
        command, lambda f: f["ack"], "1.2", transaction="t1", receipt="r", requeue=False
    ).headers
    assert headers == {"id": "ack1", "transaction": "t1", "receipt": "r", "requeue": "false"}


@ANSWERS
def test_a_message_that_was_received_can_be_told_to_answer_for_itself(command: str) -> None:
    with session(delivers(b"1")) as (client, peer):
        client.subscribe("/queue/Q", "client-individual", send_acks=False)
        getattr(client.recv(TIMEOUT), command)(transaction="t1")
    answer = peer.frames[2]
    assert answer.command == command.upper()
    assert answer.headers == {"id": "ack1", "transaction": "t1"}


@ANSWERS
def test_a_message_that_no_client_has_received_has_nobody_to_answer(command: str) -> None:
    with pytest.raises(STOMPError, match="no client has received"):
        getattr(STOMPFrame("MESSAGE", {"ack": "1"}), command)()


def test_an_answer_returns_the_receipt_it_asked_for() -> None:
    receipts: list[str | None] = []
    frames = sent(
        lambda client: receipts.extend(
            [client.ack("a", receipt=True), client.nack("b", receipt="r"), client.ack("c")]
        )
    )
    assert [frame.headers.get("receipt") for frame in frames] == receipts
    assert receipts[1:] == ["r", None]


@ANSWERS
def test_an_ack_header_with_colons_is_escaped_again(command: str) -> None:
    octets = message(b"", r"ack:T_1@@session\c7@@\\3")
    with session(sends(octets)) as (client, peer):
        getattr(client, command)(client.recv(TIMEOUT)["ack"])
    assert r"id:T_1@@session\c7@@\\3" in peer.frames[1].lines


def test_1_0_has_no_nack() -> None:
    def action(client: STOMPClient) -> None:
        with pytest.raises(STOMPProtocolError, match="no NACK"):
            client.nack(STOMPFrame("MESSAGE", {"message-id": "m1"}))

    assert sent(action, version="1.0") == []


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_before_1_2_an_answer_needs_the_frame(version: str) -> None:
    def action(client: STOMPClient) -> None:
        with pytest.raises(STOMPProtocolError, match="needs the frame"):
            client.ack("m1")

    assert sent(action, version=version) == []


@pytest.mark.parametrize("what", [STOMPFrame("MESSAGE", {"message-id": "m1"}), None, ""])
def test_a_message_without_an_ack_header_cannot_be_answered_in_1_2(what: Any) -> None:
    def action(client: STOMPClient) -> None:
        with pytest.raises(STOMPProtocolError):
            client.ack(what)

    assert sent(action) == []


def test_the_receipt_of_a_subscription_can_be_waited_for() -> None:
    with session() as (client, peer):
        sub_id = client.subscribe("/queue/Q", receipt=True)
        receipt = client.subscriptions[sub_id].receipt
        receipt.wait(TIMEOUT)
        assert receipt.outcome is ReceiptOutcome.Confirmed
        other = client.subscribe("/queue/R")
        assert client.subscriptions[other].receipt is None
    assert peer.frames[1].headers["receipt"] == receipt


@pytest.mark.parametrize("header", ["ack", "id", "destination", "receipt"])
def test_a_header_of_subscribe_that_has_an_argument_is_refused_and_not_lost(header: str) -> None:
    def action(client: STOMPClient) -> None:
        with pytest.raises(STOMPError, match=header):
            client.subscribe("/queue/Q", headers={header: "client"})

    assert sent(action) == []


def test_an_id_and_a_durable_name_that_rabbitmq_cannot_both_have_are_refused() -> None:
    with session(lines=["server:RabbitMQ/3"]) as (client, _), pytest.raises(STOMPError):
        client.subscribe("/topic/T", id="mine", durable="name")


def test_an_answer_takes_headers_from_a_dict() -> None:
    (frame,) = sent(lambda client: client.nack("a", headers={"requeue": "false"}))
    assert frame.headers == {"id": "a", "requeue": "false"}


def test_a_message_without_an_id_is_handed_over_and_not_acknowledged_in_1_1() -> None:
    octets = raw("MESSAGE", "subscription:mine", "destination:/queue/Q", body=b"1")
    with session(sends(octets), version="1.1") as (client, peer):
        client.subscribe("/queue/Q", "client", id="mine")
        assert client.recv(TIMEOUT).Body == b"1"
    assert "ACK" not in commands(peer.frames)


def test_a_subscription_that_fails_while_the_client_is_connected_anew_says_why() -> None:
    with Peer(accepts(nothing), conversation()) as peer:
        client = stompy.connect(peer.address)
        assert client.recv(TIMEOUT) is None
        connection = client._connection
        assert connection is not None

        def send(*_: object, **__: object) -> None:
            client.connect(peer.address)  # as by another thread
            raise connection.closed_error()

        connection.send = send  # type: ignore[method-assign]
        with pytest.raises(STOMPClosed):
            client.subscribe("/queue/Q")
        client.disconnect()


def test_an_unsubscribe_that_cannot_be_sent_leaves_the_subscription() -> None:
    with session() as (client, _):
        sub_id = client.subscribe("/queue/Q")
        with pytest.raises(STOMPProtocolError):
            client.unsubscribe(sub_id, headers={"x": b"bytes"})
        assert sub_id in client.subscriptions
