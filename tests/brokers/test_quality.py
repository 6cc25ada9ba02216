"""What the ids of each broker tell of the quality of a stream."""

import pyarrow as pa
import pytest

from stompy_jupyter import StompSession
from stompy_jupyter.quality import quality
from tests.brokers.servers import Server

WAIT = 10.0


@pytest.mark.parametrize(("name", "missing"), [("embedded", 0), ("rabbitmq", 0), ("activemq", 5)])
def test_rows_that_are_missing_show_where_ids_count_messages(
    request: pytest.FixtureRequest, queue: str, name: str, missing: int
) -> None:
    server: Server = request.getfixturevalue(f"{name}_server")
    with StompSession(server.address, **server.arguments) as session:
        stream = session.subscribe(queue)
        for _ in range(20):
            session.send(queue, "a")
        stream.wait(20, WAIT)
    frames = stream.table.arrow()
    assert quality(frames)[["missing", "duplicates", "out_of_order"]].sum().tolist() == [0, 0, 0]
    left = pa.concat_tables([frames.slice(0, 8), frames.slice(13)])
    assert quality(left)["missing"].sum() == missing


def test_what_is_delivered_again_is_seen(activemq_server: Server, queue: str) -> None:
    server = activemq_server
    with StompSession(server.address, **server.arguments) as session:
        stream = session.subscribe(queue, ack_mode="client-individual", send_acks=False)
        session.send(queue, "a", persistent=True)
        stream.wait(1, WAIT)
        stream.pause()  # without an acknowledgement: it goes back
        stream.resume()
        stream.wait(2, WAIT)
        assert stream.quality[["redelivered", "duplicates"]].sum().tolist() == [1, 1]
