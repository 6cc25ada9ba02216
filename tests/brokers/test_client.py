"""The client against real brokers: what a program relies on holds for each of them.

What the contract promises word by word is in test_contract.py.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

import stompy
from stompy import AckMode, STOMPClient, STOMPError, STOMPFrame, STOMPTimeout
from tests.brokers.servers import Server

Connect = Callable[..., STOMPClient]

WAIT = 10.0
"""Seconds in which a broker on this machine has answered."""
QUIET = 0.5
"""Seconds after which we believe that nothing comes any more."""


def confirm(client: STOMPClient, receipt: str | None) -> None:
    """Wait for a receipt, as the contract shows it."""

    def arrived(_: STOMPClient, frame: STOMPFrame, receipt: str) -> bool:
        return frame.Command == "RECEIPT" and frame["receipt-id"] == receipt

    assert client.loop(arrived, receipt=receipt, timeout=WAIT) is True


def subscribe(client: STOMPClient, destination: str, **how: object) -> str:
    """Subscribe, and return when the broker has done so."""
    sub_id = client.subscribe(destination, receipt="subscribed", **how)  # type: ignore[arg-type]
    confirm(client, "subscribed")
    return sub_id


def received(client: STOMPClient, n: int) -> list[str]:
    """The bodies of the next `n` messages."""
    frames = [client.recv(timeout=WAIT) for _ in range(n)]
    return [frame.text for frame in frames if frame is not None]


def left_in(connect: Connect, queue: str) -> list[str]:
    """What a queue still holds."""
    with connect() as client:
        client.subscribe(queue)
        bodies = []
        try:
            while (frame := client.recv(timeout=QUIET)) is not None:
                bodies.append(frame.text)
        except STOMPTimeout:
            return bodies
    raise AssertionError("the broker closed the connection")


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_a_message_goes_through_a_queue_in_each_version(
    connect: Connect, queue: str, version: str
) -> None:
    client = connect(versions=(version,))
    assert client.version == version
    client.message(queue, "grüße", source="me", count=3)
    client.subscribe(queue)
    frame = client.recv(timeout=WAIT)
    assert frame is not None
    assert (frame.Command, frame.text) == ("MESSAGE", "grüße")
    assert (frame["source"], frame["count"]) == ("me", "3")
    assert frame["content-type"] == "text/plain;charset=utf-8"


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_header_values_with_colons_backslashes_and_line_ends_come_back(
    connect: Connect, queue: str, version: str
) -> None:
    client = connect(versions=(version,))
    value = "12:30 C:\\temp\\n\nend"
    client.message(queue, b"", path=value)
    client.subscribe(queue)
    frame = client.recv(timeout=WAIT)
    assert frame is not None
    assert frame["path"] == value


def test_any_octets_go_through_as_a_body(connect: Connect, queue: str) -> None:
    client = connect()
    bodies = [bytes(range(256)), b"", b"\0", b"\n\n\0SEND\n\n\0", bytes(1024 * 1024)]
    client.subscribe(queue)
    for body in bodies:
        client.message(queue, body)
        frame = client.recv(timeout=WAIT)
        assert frame is not None
        assert frame.Body == body


def test_a_topic_gives_each_message_to_all_subscribers(connect: Connect, topic: str) -> None:
    first, second, sender = connect(), connect(), connect()
    subscribe(first, topic)
    subscribe(second, topic)
    for number in range(5):
        sender.message(topic, str(number))
    assert received(first, 5) == received(second, 5) == list("01234")


def test_iteration_ends_when_another_thread_disconnects(connect: Connect, queue: str) -> None:
    client = connect()
    client.message(queue, "only one")
    client.subscribe(queue)
    got_one = threading.Event()

    def read() -> list[str]:
        bodies = []
        for frame in client:
            bodies.append(frame.text)
            got_one.set()
        return bodies

    with ThreadPoolExecutor() as pool:
        reading = pool.submit(read)
        assert got_one.wait(WAIT)
        client.disconnect()
        assert reading.result(WAIT) == ["only one"]
    assert not client.Connected
    assert client.close_reason is None


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_what_is_acknowledged_is_gone_and_what_is_not_comes_back(
    connect: Connect, queue: str, version: str
) -> None:
    client = connect(versions=(version,))
    for number in range(3):
        client.message(queue, str(number))
    client.subscribe(queue, ack_mode="client", send_acks=False)
    frames = [client.recv(timeout=WAIT) for _ in range(3)]
    assert frames[1] is not None
    client.ack(frames[1])  # cumulative: covers the first as well
    client.disconnect()
    assert left_in(connect, queue) == ["2"]


def test_an_individual_ack_covers_its_message_alone(connect: Connect, queue: str) -> None:
    client = connect()
    for number in range(3):
        client.message(queue, str(number))
    client.subscribe(queue, ack_mode=AckMode.ClientInd, send_acks=False)
    frames = [client.recv(timeout=WAIT) for _ in range(3)]
    assert frames[1] is not None
    client.ack(frames[1]["ack"])
    client.disconnect()
    assert left_in(connect, queue) == ["0", "2"]


@pytest.mark.parametrize("mode", ["client", "client-individual"])
def test_the_client_acknowledges_by_itself_what_it_hands_over(
    connect: Connect, queue: str, mode: str
) -> None:
    client = connect()
    for number in range(3):
        client.message(queue, str(number))
    client.subscribe(queue, ack_mode=mode)
    assert received(client, 2) == ["0", "1"]
    client.disconnect()
    assert left_in(connect, queue) == ["2"]


def test_a_callback_that_raises_leaves_its_message_unacknowledged(
    connect: Connect, queue: str
) -> None:
    client = connect()
    client.message(queue, "important")
    client.subscribe(queue, ack_mode="client-individual")

    def fail(_: STOMPClient, frame: STOMPFrame) -> None:
        raise ZeroDivisionError(frame.text)

    with pytest.raises(ZeroDivisionError, match="important"):
        client.loop(fail, timeout=WAIT)
    client.disconnect()
    assert left_in(connect, queue) == ["important"]


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_nack_is_understood(connect: Connect, queue: str, version: str) -> None:
    client = connect(versions=(version,))
    client.message(queue, "unwanted")
    client.subscribe(queue, ack_mode="client-individual", send_acks=False)
    frame = client.recv(timeout=WAIT)
    assert frame is not None
    client.nack(frame, receipt="refused")
    confirm(client, "refused")


def test_a_transaction_shows_at_its_commit_and_not_before(connect: Connect, topic: str) -> None:
    client, watcher = connect(), connect()
    subscribe(watcher, topic)
    transaction = client.transaction()
    transaction.message(topic, "part 1")
    transaction.message(topic, "part 2")
    client.message(topic, "outside")
    assert received(watcher, 1) == ["outside"]
    confirm(client, transaction.commit(receipt=True))
    assert received(watcher, 2) == ["part 1", "part 2"]
    with pytest.raises(STOMPError, match="committed"):
        transaction.message(topic, "too late")


def test_an_aborted_transaction_never_shows(connect: Connect, topic: str) -> None:
    client = connect()
    subscribe(client, topic)
    transaction = client.transaction()
    with pytest.raises(ZeroDivisionError), transaction:
        raise ZeroDivisionError(transaction.message(topic, "never"))
    client.message(topic, "after")
    assert received(client, 1) == ["after"]


def test_an_ack_in_an_aborted_transaction_does_not_count(connect: Connect, queue: str) -> None:
    client = connect()
    client.message(queue, "kept")
    client.subscribe(queue, ack_mode="client-individual", send_acks=False)
    frame = client.recv(timeout=WAIT)
    assert frame is not None
    transaction = client.transaction()
    transaction.ack(frame)
    confirm(client, transaction.abort(receipt=True))
    client.disconnect()
    assert left_in(connect, queue) == ["kept"]


def test_beats_keep_a_quiet_connection_alive(connect: Connect, topic: str) -> None:
    client = connect(heart_beat=(200, 200))
    interval = max(client.heart_beat) / 1000  # RabbitMQ has none below a second
    assert interval
    subscribe(client, topic)
    with pytest.raises(STOMPTimeout):
        client.recv(timeout=2 * interval + 1.2)  # until one would give up
    client.message(topic, "still here")
    assert received(client, 1) == ["still here"]


def test_an_error_of_the_broker_raises_with_its_words_and_its_frame(connect: Connect) -> None:
    client = connect()
    client.send("SEND", body="to nowhere")
    with pytest.raises(STOMPError, match="the broker says: ") as caught:
        client.recv(timeout=WAIT)
    assert caught.value.Frame is not None
    assert caught.value.Frame.Command == "ERROR"
    assert caught.value.Frame["message"] in caught.value.Message


def test_threads_share_one_client_without_mixing_frames(connect: Connect, queue: str) -> None:
    client, reader = connect(), connect()
    reader.subscribe(queue)

    def send(sender: int) -> None:
        for number in range(200):
            client.message(queue, f"{sender}-{number}".ljust(300, "x"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(4)))
    bodies = {body.rstrip("x") for body in received(reader, 800)}
    assert bodies == {f"{sender}-{number}" for sender in range(4) for number in range(200)}


@pytest.mark.parametrize("way", ["tcp", "tls", "ws"])
def test_a_wrong_passcode_is_said_so(rabbitmq_server: Server, way: str) -> None:
    server = replace(rabbitmq_server, way=way, passcode="a wrong one")
    with pytest.raises(stompy.STOMPConnectError, match="refused the session") as caught:
        stompy.connect(server.address, **server.arguments)
    assert caught.value.Frame is not None
    assert "login" in str(caught.value)
    assert "a wrong one" not in str(caught.value)
