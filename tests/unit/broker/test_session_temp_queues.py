"""Temp queues of the embedded broker: requests and replies, the ways of ActiveMQ and RabbitMQ."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stompy import STOMPFrame
from stompy.broker.destinations import REPLY_QUEUE
from stompy.broker.limits import Limits
from tests.unit.broker.clients import Peer, PureBroker, place, size

ALL = pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
TEMP, SERVICE = "/temp-queue/replies", "/queue/service"


@pytest.fixture
def broker() -> Iterator[PureBroker]:
    with PureBroker() as broker:
        yield broker


def serve(broker: PureBroker) -> Peer:
    """Somebody who answers, but by hand."""
    server = Peer(broker)
    server.subscribe(SERVICE)
    return server


def ask(client: Peer, body: bytes = b"ask") -> list[STOMPFrame]:
    return client.message(SERVICE, body, **{"reply-to": TEMP})


def answer(server: Peer, body: bytes) -> None:
    """Answer the oldest request."""
    request = server.take()[0]
    assert server.message(request["reply-to"], body) == []


# -- RabbitMQ's way: who asks has subscribed -----------------------------------------------------


@ALL
def test_a_reply_comes_without_a_subscribe(broker, version):
    client, server = Peer(broker, version), serve(broker)
    assert ask(client) == []
    answer(server, b"answer")
    (reply,) = client.take()
    assert reply.Body == b"answer"
    assert reply["subscription"] == TEMP
    assert reply["destination"].startswith(REPLY_QUEUE)
    assert "ack" not in reply


def test_the_server_sees_a_name_to_which_all_can_send(broker):
    client, server = Peer(broker), serve(broker)
    ask(client)
    (request,) = server.take()
    assert request["reply-to"].startswith(REPLY_QUEUE)
    Peer(broker).message(request["reply-to"], b"from a third")
    assert client.bodies() == [b"from a third"]


def test_replies_to_many_requests_come_in_order(broker):
    client, server = Peer(broker), serve(broker)
    for number in range(5):
        ask(client, b"%d" % number)
    for request in server.take():
        server.message(request["reply-to"], b"re " + request.Body)
    replies = client.take()
    assert [reply.Body for reply in replies] == [b"re %d" % number for number in range(5)]
    assert {reply["subscription"] for reply in replies} == {TEMP}
    assert client.session.described()["subscriptions"] == [replies[0]["destination"]]


def test_several_clients_may_have_temp_queues_of_the_same_name(broker):
    clients, server = [Peer(broker) for _ in range(3)], serve(broker)
    for number, client in enumerate(clients):
        ask(client, b"%d" % number)
    requests = server.take()
    assert len({request["reply-to"] for request in requests}) == 3
    for request in requests:
        server.message(request["reply-to"], b"re " + request.Body)
    assert [client.bodies() for client in clients] == [[b"re 0"], [b"re 1"], [b"re 2"]]


def test_a_client_may_have_several_temp_queues(broker):
    client, server = Peer(broker), serve(broker)
    for name in ("/temp-queue/a", "/temp-queue/b"):
        client.message(SERVICE, name.encode(), **{"reply-to": name})
    for request in server.take():
        server.message(request["reply-to"], request.Body)
    assert [(reply["subscription"], reply.Body) for reply in client.take()] == [
        ("/temp-queue/a", b"/temp-queue/a"),
        ("/temp-queue/b", b"/temp-queue/b"),
    ]


def test_after_unsubscribe_replies_wait_for_the_next_request(broker):
    client, server = Peer(broker), serve(broker)
    ask(client)
    assert client.send("UNSUBSCRIBE", {"id": TEMP}) == []
    answer(server, b"one")
    assert client.take() == []
    assert [frame.Body for frame in ask(client)] == [b"one"]
    answer(server, b"two")
    assert client.bodies() == [b"two"]


def test_a_request_in_a_transaction_is_answered_after_its_commit(broker):
    client, server = Peer(broker), serve(broker)
    client.send("BEGIN", {"transaction": "t"})
    client.message(SERVICE, b"ask", transaction="t", **{"reply-to": TEMP})
    assert server.take() == []
    client.send("COMMIT", {"transaction": "t"})
    answer(server, b"answer")
    assert client.bodies() == [b"answer"]


# -- ActiveMQ's way: who asks subscribes ---------------------------------------------------------


@ALL
def test_a_reply_comes_to_a_subscription_that_was_there_before(broker, version):
    client, server = Peer(broker, version), serve(broker)
    assert client.subscribe(TEMP, id="mine") == []
    ask(client)
    answer(server, b"answer")
    assert [(reply["subscription"], reply.Body) for reply in client.take()] == [("mine", b"answer")]


@ALL
def test_a_reply_comes_once_to_a_subscription_that_was_made_after_the_request(broker, version):
    client, server = Peer(broker, version), serve(broker)
    ask(client)
    assert client.subscribe(TEMP, id="mine") == []
    answer(server, b"answer")
    assert [(reply["subscription"], reply.Body) for reply in client.take()] == [("mine", b"answer")]
    ask(client)
    answer(server, b"again")
    assert [(reply["subscription"], reply.Body) for reply in client.take()] == [("mine", b"again")]


def test_a_subscription_may_have_the_very_id_that_it_would_have_without(broker):
    client, server = Peer(broker), serve(broker)
    ask(client)
    assert client.subscribe(TEMP, id=TEMP, ack="client") == []
    answer(server, b"answer")
    (reply,) = client.take()
    assert client.answer("ACK", reply) == []


def test_its_name_may_be_the_id_of_another_subscription(broker):
    client, server = Peer(broker), serve(broker)
    client.subscribe("/queue/q", id=TEMP)
    ask(client)
    answer(server, b"answer")
    assert client.bodies() == [b"answer"]
    client.subscribe(TEMP, id="1")
    assert [frame.Body for frame in client.message("/queue/q", b"a")] == [b"a"]


def test_in_1_0_a_subscription_to_a_temp_queue_needs_no_id(broker):
    client, server = Peer(broker, "1.0"), serve(broker)
    client.send("SUBSCRIBE", {"destination": TEMP})
    ask(client)
    answer(server, b"answer")
    (reply,) = client.take()
    assert reply.Body == b"answer"
    assert "subscription" not in reply
    client.send("UNSUBSCRIBE", {"destination": TEMP})
    assert not client.closing


def test_replies_wait_for_their_ack_where_the_mode_asks_for_one(broker):
    client, server = Peer(broker), serve(broker)
    client.subscribe(TEMP, ack="client-individual")
    ask(client)
    answer(server, b"answer")
    (reply,) = client.take()
    assert [again.Body for again in client.answer("NACK", reply)] == [b"answer"]


def test_a_client_may_send_to_its_own_temp_queue(broker):
    client = Peer(broker)
    assert client.message(TEMP, b"to myself") == []
    (message,) = client.subscribe(TEMP)
    assert message.Body == b"to myself"


# -- what others may do --------------------------------------------------------------------------


@ALL
def test_nobody_else_may_subscribe_to_it(broker, version):
    client, server, spy = Peer(broker), serve(broker), Peer(broker, version)
    ask(client)
    (request,) = server.take()
    (error,) = spy.subscribe(request["reply-to"])
    assert (error.Command, error["message"]) == ("ERROR", "no such temp queue")
    assert spy.closing
    server.message(request["reply-to"], b"answer")
    assert client.bodies() == [b"answer"]


def test_its_owner_may_use_the_name_that_all_use(broker):
    client, server = Peer(broker), serve(broker)
    ask(client)
    (request,) = server.take()
    client.send("UNSUBSCRIBE", {"id": TEMP})
    assert client.subscribe(request["reply-to"]) == []
    server.message(request["reply-to"], b"answer")
    assert client.bodies() == [b"answer"]


def test_a_name_of_that_kind_that_there_is_not_cannot_be_subscribed_to(broker):
    (error,) = Peer(broker).subscribe(f"{REPLY_QUEUE}never")
    assert error["message"] == "no such temp queue"


def test_anothers_temp_queue_is_not_reached_by_the_name_that_its_owner_has_for_it(broker):
    client, other = Peer(broker), Peer(broker)
    client.subscribe(TEMP)
    other.message(TEMP, b"to mine")
    assert client.take() == []
    assert [frame.Body for frame in other.subscribe(TEMP)] == [b"to mine"]


# -- the end -------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["DISCONNECT", "lost"])
def test_replies_to_one_who_has_left_are_dropped_and_counted(broker, end):
    client, server = Peer(broker), serve(broker)
    ask(client)
    (request,) = server.take()
    if end == "DISCONNECT":
        client.send("DISCONNECT", {})
    client.lose()
    for _ in range(3):
        (receipt,) = server.message(request["reply-to"], b"too late", receipt="r")
        assert receipt.Command == "RECEIPT"
    assert broker.destinations.counts().dropped == 3
    assert broker.octets == 0


def test_all_temp_queues_of_a_client_go_with_it_and_what_is_in_them(broker):
    client = Peer(broker)
    client.message(TEMP, b"never read")
    client.message("/temp-queue/other", b"never read")
    client.subscribe("/temp-queue/held", ack="client")
    client.message("/temp-queue/held", b"never acknowledged")
    assert broker.octets == 2 * size("never read") + size("never acknowledged")
    client.lose()
    assert broker.destinations.described() == []
    assert broker.octets == 0
    assert broker.destinations.counts().dropped == 3


def test_a_reply_that_is_in_a_transaction_when_its_queue_goes_harms_nobody(broker):
    client, server = Peer(broker), serve(broker)
    ask(client)
    (request,) = server.take()
    for transaction in ("t", "u"):
        server.send("BEGIN", {"transaction": transaction})
        server.message(request["reply-to"], b"answer", transaction=transaction)
    client.lose()
    assert server.send("COMMIT", {"transaction": "t"}) == []
    assert server.send("ABORT", {"transaction": "u"}) == []
    assert not server.closing
    assert broker.octets == 0


def test_a_temp_queue_is_bounded_like_all_others():
    with PureBroker(Limits(max_queue=1000)) as broker:
        client = Peer(broker)
        client.message(TEMP, b"a")
        assert client.message(TEMP, b"b")[0]["message"] == "no room"


def test_a_reply_that_is_refused_again_and_again_is_no_dead_letter():
    with PureBroker(Limits(max_deliveries=2)) as broker:
        client = Peer(broker)
        client.subscribe(TEMP, ack="client")
        (reply,) = client.message(TEMP, b"a")
        for _ in range(5):
            (reply,) = client.answer("NACK", reply)
        assert reply["redelivered"] == "true"
        assert place(broker.destinations, "/queue/DLQ.replies") == {}
        client.answer("ACK", reply)


def test_a_name_that_only_looks_like_one_is_an_ordinary_queue(broker):
    Peer(broker).message("/temp-queues/x", b"a", **{"reply-to": "/queue/answers"})
    (message,) = Peer(broker).subscribe("/temp-queues/x")
    assert message["reply-to"] == "/queue/answers"
