"""Real brokers as fixtures: each is started once, and ends with the last test of this folder."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import stompy
from stompy.broker import Broker
from tests.brokers.servers import (
    Server,
    activemq,
    missing_activemq,
    missing_rabbitmq,
    rabbitmq,
)
from tests.certificates import server_certificate, write_files
from tests.requirements import need

REAL = {"rabbitmq": (missing_rabbitmq, rabbitmq), "activemq": (missing_activemq, activemq)}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-table",
        action="store_true",
        help="write what brokers say of wrong frames to notebooks/who-refuses-what.csv, to be "
        "committed",
    )


@pytest.fixture(params=REAL)
def own_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """Each real broker in turn, for one test alone, which may kill it."""
    missing, run = REAL[request.param]
    need(missing())
    with run(tmp_path) as server:
        yield server


@pytest.fixture(scope="package")
def rabbitmq_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running RabbitMQ of this run's own."""
    need(missing_rabbitmq())
    with rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


@pytest.fixture(scope="package")
def activemq_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running ActiveMQ Classic of this run's own."""
    need(missing_activemq())
    with activemq(tmp_path_factory.mktemp("activemq")) as server:
        yield server


@pytest.fixture(scope="package")
def embedded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The embedded broker, as one more server of the same kind."""
    folder = tmp_path_factory.mktemp("embedded")
    path = folder / "stomp.sock"
    files = write_files(folder, server_certificate())
    with Broker(
        unix_path=path,
        tls_port=0,
        websocket_port=0,
        cert_file=files.cert,
        key_file=files.key,
    ) as broker:
        host, port = broker.address
        web, tls = (int(broker.urls[way].rpartition(":")[2]) for way in ("ws", "stomp+ssl"))
        yield Server("embedded", host, port, None, None, web, tls, files.ca, path)


@pytest.fixture(
    params=[
        "embedded",
        "embedded by unix",
        "embedded by tls",
        "embedded by ws",
        "rabbitmq",
        "rabbitmq by tls",
        "rabbitmq by ws",
        "activemq",
    ]
)
def server(request: pytest.FixtureRequest) -> Server:
    """Each broker by each way in turn: what a test does with it must hold for all."""
    broker, _, way = request.param.partition(" by ")
    found: Server = request.getfixturevalue(f"{broker}_server")
    return replace(found, way=way or "tcp")


@pytest.fixture
def connect(server: Server) -> Iterator[Callable[..., stompy.STOMPClient]]:
    """`connect(**more)` gives a client of the server; all are disconnected afterwards."""
    with ExitStack() as clients:

        def connect(**more: Any) -> stompy.STOMPClient:
            client = stompy.connect(server.address, **server.arguments, **more)
            return clients.enter_context(client)

        yield connect


@pytest.fixture
def queue() -> str:
    """A queue that no other test uses."""
    return f"/queue/test-{uuid.uuid4().hex}"


@pytest.fixture
def topic() -> str:
    """A topic that no other test uses."""
    return f"/topic/test-{uuid.uuid4().hex}"
