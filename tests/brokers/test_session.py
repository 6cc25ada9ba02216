"""A notebook's session against real brokers."""

from collections.abc import Iterator

import pytest

from stompy_jupyter import StompSession
from tests.brokers.servers import Server


@pytest.fixture
def session(server: Server) -> Iterator[StompSession]:
    with StompSession(server.address, **server.arguments) as session:
        yield session


def test_messages_of_a_topic_stream_into_a_data_frame(session: StompSession, topic: str) -> None:
    prices = session.subscribe(topic, name="prices")
    for number in range(100):
        session.send(topic, f'{{"n": {number}}}', number=number, symbol="ABC")
    assert prices.wait(100, timeout=10) == 100
    frame = prices.df
    assert frame["number"].tolist() == list(range(100))
    assert set(frame["symbol"]) == {"ABC"}
    assert frame["body"].iloc[-1] == '{"n": 99}'
    assert str(frame["received_at"].dtype) == "datetime64[us, UTC]"


def test_a_queue_is_acknowledged_message_by_message(session: StompSession, queue: str) -> None:
    orders = session.subscribe(queue, ack_mode="client-individual")
    for number in range(20):
        session.send(queue, str(number))
    orders.wait(20, timeout=10)
    orders.unsubscribe()
    again = session.subscribe(queue)
    session.send(queue, "the next")
    again.wait(1, timeout=10)
    assert again.df["body"].tolist() == ["the next"]


def test_streams_keep_what_they_have_after_the_goodbye(session: StompSession, topic: str) -> None:
    stream = session.subscribe(topic)
    session.send(topic, "hello")
    stream.wait(1, timeout=10)
    session.disconnect()
    assert not stream.live
    assert stream.error is None
    assert stream.df["body"].tolist() == ["hello"]
