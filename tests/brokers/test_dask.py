"""A queue of RabbitMQ, its consumers on a Dask cluster, and one of the workers is killed."""

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pytest
from distributed import Client, LocalCluster

import stompy
from stompy_jupyter.dask import consume
from stompy_jupyter.dataset import OPEN
from tests.brokers.servers import Server
from tests.processes import HOST
from tests.unit.waiting import until

# Dask's own, where it reads Parquet.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index")

COUNT = 20_000
CONSUMERS = 4


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """A client of a cluster of four processes."""
    with (
        LocalCluster(
            n_workers=CONSUMERS,
            threads_per_worker=1,
            processes=True,
            host=HOST,
            protocol="tcp",
            dashboard_address=f"{HOST}:0",
            local_directory=str(tmp_path / "dask"),
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def send(server: Server, queue: str, first: int, last: int) -> None:
    """Have the queue hold messages with these numbers in a header, the last one not among them."""
    with stompy.connect(server.address, **server.arguments) as client:
        for number in range(first, last):
            client.message(queue, f"order {number}", persistent="true", n=number)
        receipt = client.message("/topic/nobody", receipt=True)
        assert isinstance(receipt, stompy.Receipt)
        receipt.wait(30)


def test_every_message_is_kept_though_a_worker_is_killed_half_way(
    rabbitmq_server: Server, queue: str, client: Client, tmp_path: Path
) -> None:
    directory = tmp_path / "orders"
    send(rabbitmq_server, queue, 0, COUNT // 2)
    with consume(
        client,
        rabbitmq_server.address,
        queue,
        CONSUMERS,
        keep=directory,
        prefetch=500,
        until_idle=3,
        **rabbitmq_server.arguments,
    ) as orders:
        assert orders.status()["worker"].nunique() == CONSUMERS
        orders.wait(COUNT // 4)
        victim = int(orders.status()["pid"][1])
        os.kill(victim, signal.SIGKILL)
        send(rabbitmq_server, queue, COUNT // 2, COUNT)
        until(lambda: orders.status()["starts"][1] == 2, timeout=20)
        orders.wait(timeout=60)
        assert victim not in set(orders.status()["pid"])
        assert list(orders.status()["state"]) == ["ended"] * CONSUMERS
    ids = set(range(COUNT))

    by_dask = orders.ddf["n"].compute()
    assert set(by_dask.astype(int)) == ids
    by_polars = pl.scan_parquet(directory, hive_partitioning=True).collect()
    assert set(by_polars["n"].cast(pl.Int64)) == ids
    assert {"date", "hour"} <= set(by_polars.columns)
    files = f"read_parquet('{directory}/**/*.parquet', union_by_name=true)"
    by_duckdb = duckdb.sql(f"SELECT n::INT FROM {files} WHERE hour::INT >= 0")
    assert {n for (n,) in by_duckdb.fetchall()} == ids

    hours = orders.ddf.groupby("hour")["n"].count().compute()
    assert hours.sum() == len(by_dask) == len(by_polars["n"])
    assert list((directory / OPEN).iterdir()) == []
