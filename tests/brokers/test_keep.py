"""A queue through real brokers into a dataset, and the process that keeps it is killed twice."""

import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import stompy
from stompy_jupyter.dataset import OPEN
from tests.brokers.servers import (
    Server,
    activemq,
    missing_activemq,
    missing_rabbitmq,
    rabbitmq,
)
from tests.requirements import need

FEW = 20_000
MANY = 1_000_000
PORTION = 1_000
"""So many are sent in a transaction."""

PATIENCE = 600.0
"""Seconds within which all messages have to be in the dataset."""


@pytest.fixture(params=["rabbitmq", "activemq"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each broker in turn."""
    found: Server = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture(params=["rabbitmq", "activemq"])
def large_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """Each broker in turn, with memory for long queues."""
    if request.param == "rabbitmq":
        need(missing_rabbitmq())
        running = rabbitmq(tmp_path / "broker")
    else:
        need(missing_activemq())
        running = activemq(tmp_path / "broker", heap="4g")
    with running as server:
        yield server


class Keeping:
    """The processes that keep a queue, one after the other, and what they have kept."""

    def __init__(self, server: Server, queue: str, directory: Path, mode: str) -> None:
        self.server = server
        self.queue = queue
        self.directory = directory
        self.mode = mode
        self.received = 0

    def send(self, count: int) -> None:
        """Have the queue hold so many messages, with their numbers in a header."""
        with stompy.connect(self.server.address, **self.server.arguments) as client:
            for first in range(0, count, PORTION):
                with client.transaction() as transaction:
                    for number in range(first, first + PORTION):
                        body = f"order {number}"
                        transaction.message(self.queue, body, persistent="true", n=number)
            self._confirmed(client, "")

    def _confirmed(self, client: stompy.STOMPClient, text: str) -> None:
        receipt = client.message(self.queue, text, persistent="true", receipt=True)
        assert isinstance(receipt, stompy.Receipt)
        receipt.wait(PATIENCE)

    def run(self, until: int | None = None) -> None:
        """Keep until so many have come, and be killed; or to the end of the queue."""
        last = uuid.uuid4().hex
        if until is None:
            with stompy.connect(self.server.address, **self.server.arguments) as client:
                self._confirmed(client, last)
        command = [sys.executable, "-m", "tests.brokers.keeping", "--last", last]
        given: dict[str, Any] = {
            "host": self.server.host,
            "port": self.server.port,
            "queue": self.queue,
            "directory": self.directory,
            "mode": self.mode,
        }
        user = {"login": self.server.login, "passcode": self.server.passcode}
        for name, value in (given | user).items():
            command += [f"--{name}", str(value)] if value is not None else []
        received = 0
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                received = int(line)
                if until is not None and received >= until:
                    process.kill()
                    break
        assert process.returncode == (0 if until is None else -9)
        self.received += received

    def rows(self, what: str) -> int:
        """A number that DuckDB finds in the dataset as it is."""
        files = f"read_parquet('{self.directory}/**/*.parquet', union_by_name=true)"
        found = duckdb.sql(f"SELECT {what} FROM {files} WHERE n IS NOT NULL").fetchall()
        return int(found[0][0])


def check(keeping: Keeping, count: int) -> dict[str, float]:
    """All that was sent is there, though the process was killed twice; returns the figures."""
    start = time.monotonic()
    keeping.send(count)
    sent = time.monotonic()
    for _ in range(2):
        keeping.run(count // 3)
    keeping.run()
    # What a killed one had is in the queue again when the broker has noticed: perhaps that late.
    while keeping.rows("count(DISTINCT n)") < count:
        assert time.monotonic() < sent + PATIENCE, "messages are missing"
        keeping.run()
    seconds = time.monotonic() - sent
    assert keeping.rows("count(DISTINCT n)") == count
    assert keeping.rows("min(n::INT)") == 0
    assert keeping.rows("max(n::INT)") == count - 1
    assert list((keeping.directory / OPEN).iterdir()) == []
    return {
        "sending": sent - start,
        "keeping": seconds,
        "rate": count / seconds,
        "duplicates": keeping.rows("count(*)") - count,
        "files": len(list(keeping.directory.glob("date=*/hour=*/*.parquet"))),
    }


@pytest.mark.parametrize("mode", ["client-individual", "client"])
def test_every_message_is_kept_though_the_process_was_killed_twice(
    server: Server, queue: str, tmp_path: Path, mode: str
) -> None:
    check(Keeping(server, queue, tmp_path, mode), FEW)


@pytest.mark.big
@pytest.mark.timeout(1800)
def test_a_million_messages_are_kept_though_the_process_was_killed_twice(
    large_server: Server, queue: str, tmp_path: Path
) -> None:
    keeping = Keeping(large_server, queue, tmp_path / "dataset", "client-individual")
    figures = check(keeping, MANY)
    print(f"\n{large_server.name}:", *(f"{name} {figure:,.0f}" for name, figure in figures.items()))
