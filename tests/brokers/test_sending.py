"""A DataFrame through each broker: all rows arrive, also when the broker is killed meanwhile."""

import pandas as pd
import pytest

import stompy
from stompy import ReconnectPolicy, STOMPFrame
from stompy_jupyter import StompSession
from stompy_jupyter.sending import SendFrameError
from tests.brokers.servers import Server
from tests.brokers.test_restart import declare, restart
from tests.unit.peer import Background
from tests.unit.waiting import until

ROWS = 20_000
LIMIT = 45.0
SOON = ReconnectPolicy(first=0.05, cap=0.2)


@pytest.fixture(params=["embedded", "rabbitmq", "activemq"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture
def df() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "n": range(ROWS),
            "price": [n / 7 for n in range(ROWS)],
            "symbol": pd.Categorical.from_codes([n % 2 for n in range(ROWS)], ["ABC", "é"]),
            "at": pd.date_range("2026-11-30", periods=ROWS, freq="s", tz="UTC"),
        }
    )


def test_all_rows_come_back_from_a_queue_in_their_order(
    server: Server, queue: str, df: pd.DataFrame
) -> None:
    # By two connections: where both directions of one are full, ActiveMQ stops reading it, and TCP
    # of Linux 6.18 was seen not to come out of that.
    sessions = [StompSession(server.address, **server.arguments) for _ in range(2)]
    with sessions[0] as session, sessions[1] as receiving:
        stream = receiving.subscribe(queue, decode="json")
        assert session.send_frame(df, queue, header_columns=["symbol"]) == ROWS
        stream.wait(ROWS, LIMIT)
        got = pd.DataFrame(stream.df["body"].tolist())
        assert stream.df["symbol"].tolist() == df["symbol"].tolist()
    assert got["n"].tolist() == df["n"].tolist()
    assert got["price"].tolist() == df["price"].tolist()
    assert pd.to_datetime(got["at"]).tolist() == df["at"].tolist()


def test_rows_of_a_transaction_arrive_when_it_commits(server: Server, queue: str) -> None:
    with StompSession(server.address, **server.arguments) as session:
        stream = session.subscribe(queue)
        with session.transaction(receipt=True):
            assert session.send_frame(pd.DataFrame({"n": range(1500)}), queue) == 1500
            assert stream.received == 0
        stream.wait(1500, LIMIT)


def test_no_row_is_lost_when_the_broker_is_killed_and_sending_goes_on_where_the_error_says(
    own_server: Server, queue: str, df: pd.DataFrame
) -> None:
    declare(own_server, queue)
    persistent = {"persistent": "true"}
    with StompSession(own_server.address, **own_server.arguments, reconnect=SOON) as session:
        with Background(lambda: sent_until_lost(session, df, queue, persistent)) as sending:
            until(lambda: session.sent > ROWS // 4, LIMIT)
            restart(own_server)
            error = sending.result(LIMIT)
        session.wait_connected(LIMIT)
        assert 0 < error.confirmed <= error.sent <= error.confirmed + 1002
        assert session.send_frame(df, queue, headers=persistent, start=error.confirmed) == ROWS
    got = [frame.json["n"] for frame in left_in(own_server, queue)]
    assert set(got) == set(range(ROWS))
    assert len(got) - ROWS <= error.sent - error.confirmed + 1
    print(f"{own_server.name}: {error.confirmed} confirmed, {len(got) - ROWS} rows twice")


def sent_until_lost(
    session: StompSession, df: pd.DataFrame, queue: str, headers: dict[str, str]
) -> SendFrameError:
    with pytest.raises(SendFrameError) as caught:
        session.send_frame(df, queue, headers=headers)
    return caught.value


def left_in(server: Server, queue: str) -> list[STOMPFrame]:
    """What a queue holds, as another client gets it."""
    frames: list[STOMPFrame] = []
    with stompy.connect(server.address, **server.arguments) as client:
        client.subscribe(queue)
        client.message(queue, "the last", persistent=True)
        while (frame := client.recv(LIMIT)) is not None and frame.text != "the last":
            frames.append(frame)
    return frames
