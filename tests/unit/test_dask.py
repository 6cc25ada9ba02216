"""consume: competing consumers on a Dask cluster, and the dataset that they write."""

import datetime
import gc
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client, LocalCluster

import stompy
from stompy import ReconnectPolicy, STOMPClosed, STOMPConnectError, STOMPError, STOMPTimeout
from stompy.broker import Broker
from stompy_jupyter import dask as ours
from stompy_jupyter.consumer import Assignment
from stompy_jupyter.dask import Consumption, consume, dataframe
from stompy_jupyter.dataset import FIXED, OPEN
from stompy_jupyter.keep import recover
from tests.processes import HOST, free_port
from tests.unit.keeping import ARRIVAL, HOUR, left_open, message, open_file
from tests.unit.sessions import threads_of_sessions, waiting_in
from tests.unit.waiting import until

pytestmark = [
    pytest.mark.usefixtures("nothing_left"),
    # Dask's own, where it reads Parquet.
    pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index"),
]

QUEUE = "/queue/orders"
SECRET = "s3cr3t-p4ss"


def new_cluster(folder: Path, **more: Any) -> LocalCluster:
    return LocalCluster(
        threads_per_worker=1,
        host=HOST,
        protocol="tcp",
        dashboard_address=f"{HOST}:0",
        local_directory=str(folder),
        silence_logs=logging.CRITICAL,
        **more,
    )


@pytest.fixture(scope="module")
def shared_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a cluster of three workers in this process."""
    folder = tmp_path_factory.mktemp("dask")
    with new_cluster(folder, n_workers=3, processes=False) as cluster, Client(cluster) as client:
        yield client


@pytest.fixture
def client(shared_client: Client) -> Iterator[Client]:
    """The client; no consumer may be left on its cluster."""
    yield shared_client
    gc.collect()
    until(lambda: not threads_of_sessions())


@pytest.fixture
def consuming(client: Client, broker: Broker, tmp_path: Path) -> Callable[..., Consumption]:
    """`consuming(**more)` has two consumers keep the queue."""

    def consuming(**more: Any) -> Consumption:
        return consume(client, broker.address, QUEUE, 2, keep=tmp_path / "orders", **more)

    return consuming


def send(broker: Broker, *numbers: int, **arguments: Any) -> None:
    """Send messages with these numbers in a header, until the broker has them."""
    with stompy.connect(broker.address, **arguments) as client:
        for number in numbers:
            client.message(QUEUE, f"order {number}", n=number)
        receipt = client.message("/topic/nobody", receipt=True)
        assert isinstance(receipt, stompy.Receipt)
        receipt.wait(10)


def queue_of(broker: Broker) -> dict[str, object]:
    """What the broker says of the queue."""
    (queue,) = (found for found in broker.destinations() if found["destination"] == QUEUE)
    return queue


def all_acknowledged(broker: Broker) -> bool:
    """Whether its queue is empty, and nobody has a message of it unacknowledged."""
    queue = queue_of(broker)
    return queue["waiting"] == queue["unacknowledged"] == 0


def begun_elsewhere(orders: Consumption, left: str) -> bool:
    """Whether the first consumer consumes on another worker."""
    first = orders.status().loc[0]
    return first["worker"] != left and first["state"] == "consuming"


def numbers_of(ddf: Any) -> list[int]:
    return sorted(map(int, ddf["n"].compute()))


# -- what is kept ----------------------------------------------------------------------------------


def test_each_message_is_kept_once_and_acknowledged(consuming, broker, other):
    with consuming() as orders:
        send(broker, *range(300))
        assert orders.wait(300) == 300
    assert numbers_of(orders.ddf) == list(range(300))
    assert waiting_in(other, QUEUE) == []


def test_each_consumer_has_a_worker_of_its_own_and_leaves_its_thread_to_others(consuming, client):
    with consuming() as orders:
        status = orders.status()
        assert status["worker"].nunique() == 2
        assert set(status["worker"]) <= set(client.nthreads())
        assert client.gather(client.map(abs, range(-9, 0))) == list(range(9, 0, -1))


def test_there_may_be_more_consumers_than_workers(client, broker, tmp_path):
    with consume(client, broker.address, QUEUE, 5, keep=tmp_path) as orders:
        assert list(orders.status()["state"]) == ["consuming"] * 5


def test_the_status_says_how_far_each_is(consuming, broker):
    with consuming() as orders:
        send(broker, *range(100))
        orders.wait(100)
        status = orders.status()
        assert status.index.name == "consumer"
        assert tuple(status.columns) == ours.COLUMNS
        assert list(status["state"]) == ["consuming", "consuming"]
        assert set(status["pid"]) == {os.getpid()}
        assert status["received"].sum() == status["on_disk"].sum() == 100
        assert list(status["starts"]) == [1, 1]
        assert orders.live
    assert list(orders.status()["state"]) == ["ended", "ended"]
    assert orders.status()["files"].sum() == orders.ddf.npartitions
    assert not orders.live


def test_stop_closes_what_is_open_and_gives_the_dataset(consuming, broker, tmp_path):
    orders = consuming()
    send(broker, 1, 2, 3)
    orders.wait(3)
    assert len(orders.ddf) == 0
    assert numbers_of(orders.stop()) == [1, 2, 3]
    assert numbers_of(orders.stop()) == [1, 2, 3]
    assert left_open(tmp_path / "orders") == []


def test_full_files_can_be_read_while_the_consumers_go_on(consuming, broker):
    with consuming(rotate="1KB") as orders:
        send(broker, *range(200))
        until(lambda: orders.status()["files"].sum())
        assert len(orders.ddf) > 0


def test_two_consumptions_can_share_a_dataset(consuming, broker):
    with consuming() as first, consuming() as second:
        send(broker, *range(100))
        until(lambda: first.on_disk + second.on_disk == 100)
    assert numbers_of(first.ddf) == list(range(100))


# -- waiting ---------------------------------------------------------------------------------------


def test_consumers_end_by_themselves_when_nothing_comes(consuming, broker):
    send(broker, *range(50))
    orders = consuming(until_idle=0.3)
    assert orders.wait() == 50
    assert list(orders.status()["state"]) == ["ended", "ended"]
    assert numbers_of(orders.stop()) == list(range(50))


def test_a_wait_says_what_is_there_when_time_is_up(consuming):
    with consuming() as orders:
        with pytest.raises(STOMPTimeout, match=r"not within 0\.05 s: 9 messages .* there are 0"):
            orders.wait(9, timeout=0.05)
        with pytest.raises(ValueError, match="until_idle"):
            orders.wait()


def test_a_wait_for_more_than_ended_consumers_have_kept_is_closed(consuming):
    with consuming(until_idle=0.1) as orders, pytest.raises(STOMPClosed, match="have ended, 0 "):
        orders.wait(9)


# -- the end ---------------------------------------------------------------------------------------


def test_consumers_of_which_nothing_knows_any_more_end(consuming, broker, tmp_path):
    orders = consuming()
    send(broker, 1)
    orders.wait(1)
    del orders
    gc.collect()
    until(lambda: not threads_of_sessions())
    assert numbers_of(dataframe(tmp_path / "orders")) == [1]
    assert left_open(tmp_path / "orders") == []


def test_consumers_of_a_client_that_is_closed_end_and_no_wait_hangs(
    shared_client, broker, tmp_path
):
    with Client(shared_client.cluster) as client:
        orders = consume(client, broker.address, QUEUE, 2, keep=tmp_path)
        send(broker, 1, 2)
        orders.wait(2)
    until(lambda: not threads_of_sessions())
    with pytest.raises(STOMPClosed, match="all consumers have ended"):
        orders.wait(3, timeout=None)
    assert numbers_of(orders.ddf) == [1, 2]
    assert numbers_of(orders.stop()) == [1, 2]


def test_what_a_killed_client_has_left_is_cleared_away(consuming, tmp_path):
    left = tmp_path / "orders" / OPEN / "stompy-consume-0123.lock"
    left.parent.mkdir(parents=True)
    left.touch()
    with consuming():
        assert not left.exists()
        with consuming():
            assert len(left_open(tmp_path / "orders")) >= 2
    assert left_open(tmp_path / "orders") == []


def test_a_consumer_that_fails_says_why_and_the_others_go_on_without_it(consuming, broker):
    orders = consuming(reconnect=False)
    send(broker, 1, 2)
    orders.wait(2)
    broker.stop()
    until(lambda: list(orders.status()["state"]) == ["failed", "failed"])
    assert orders.status()["error"].str.contains("on the worker").all()
    with pytest.raises(STOMPClosed, match="2 messages are on disk") as caught:
        orders.wait(3)
    assert isinstance(caught.value.__cause__, STOMPError)
    with pytest.warns(UserWarning, match="had failed"):
        assert numbers_of(orders.stop()) == [1, 2]


def test_a_lost_broker_is_waited_for(client, tmp_path):
    port = free_port()
    with Broker(port=port) as broker:
        orders = consume(
            client,
            broker.address,
            QUEUE,
            1,
            keep=tmp_path,
            reconnect=ReconnectPolicy(first=0.05, cap=0.1),
        )
    until(lambda: list(orders.status()["state"]) == ["reconnecting"])
    with Broker(port=port) as broker:
        until(lambda: list(orders.status()["state"]) == ["consuming"])
        send(broker, 1)
        orders.wait(1)
        assert numbers_of(orders.stop()) == [1]


def test_a_worker_that_leaves_hands_its_consumer_to_another(broker, tmp_path):
    with (
        new_cluster(tmp_path, n_workers=2, processes=False) as cluster,
        Client(cluster) as client,
        consume(client, broker.address, QUEUE, 1, keep=tmp_path / "orders") as orders,
    ):
        send(broker, 1, 2)
        orders.wait(2)
        left = orders.status()["worker"][0]
        client.retire_workers([left])
        until(lambda: begun_elsewhere(orders, left))
        until(lambda: queue_of(broker)["subscribers"] == 1)
        send(broker, 3)
        until(lambda: orders.on_disk >= 3)
        assert numbers_of(orders.stop()) == [1, 2, 3]


def test_a_killed_worker_loses_nothing(broker, tmp_path):
    with (
        new_cluster(tmp_path, n_workers=2, processes=True) as cluster,
        Client(cluster) as client,
        consume(client, broker.address, QUEUE, 2, keep=tmp_path / "orders") as orders,
    ):
        send(broker, *range(1000))
        orders.wait(500)
        os.kill(int(orders.status()["pid"][0]), signal.SIGKILL)
        send(broker, *range(1000, 2000))
        until(lambda: orders.status()["starts"][0] == 2, timeout=20)
        orders.wait(1500)
        until(lambda: all_acknowledged(broker))
        assert set(numbers_of(orders.stop())) == set(range(2000))
        assert left_open(tmp_path / "orders") == []


def test_a_consumer_that_dask_gives_up_has_failed_and_what_it_kept_is_there(broker, tmp_path):
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        new_cluster(tmp_path, n_workers=1, processes=True) as cluster,
        Client(cluster) as client,
    ):
        orders = consume(client, broker.address, QUEUE, 1, keep=tmp_path / "orders")
        send(broker, 1, 2)
        orders.wait(2)
        os.kill(int(orders.status()["pid"][0]), signal.SIGKILL)
        until(lambda: list(orders.status()["state"]) == ["failed"])
        assert orders.status()["error"].str.contains("KilledWorker").all()
        with pytest.warns(UserWarning, match="consumer 0 had failed"):
            assert numbers_of(orders.stop()) == [1, 2]


def test_stop_does_not_wait_for_a_cluster_that_has_gone(broker, tmp_path):
    with new_cluster(tmp_path, n_workers=1, processes=False) as cluster, Client(cluster) as client:
        orders = consume(client, broker.address, QUEUE, 1, keep=tmp_path / "orders")
        send(broker, 1)
        orders.wait(1)
    until(lambda: not threads_of_sessions())
    assert numbers_of(orders.stop()) == [1]


# -- what can be wrong -----------------------------------------------------------------------------


def test_a_broker_that_no_worker_reaches_is_an_error_and_nothing_is_left(client, tmp_path):
    with pytest.raises(STOMPConnectError, match=r"refused\) \(on the worker tcp://") as caught:
        consume(client, (HOST, free_port()), QUEUE, keep=tmp_path)
    assert "Try: start the broker" in str(caught.value)
    assert left_open(tmp_path) == []
    assert not threads_of_sessions()


def test_a_cluster_without_workers_is_an_error(broker, tmp_path):
    with (
        new_cluster(tmp_path, n_workers=0, processes=False) as cluster,
        Client(cluster) as client,
        pytest.raises(STOMPTimeout, match="no workers"),
    ):
        consume(client, broker.address, QUEUE, keep=tmp_path / "orders", start_timeout=0.2)
    assert left_open(tmp_path / "orders") == []


def test_an_interrupt_at_the_start_leaves_no_consumers(consuming, client, monkeypatch, tmp_path):
    waits: list[float] = []

    def interrupted(_: object, timeout: float) -> None:
        waits.append(timeout)
        if len(waits) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(ours._Reports, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        consuming()
    until(lambda: not threads_of_sessions())
    assert left_open(tmp_path / "orders") == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"workers": 0}, "at least 1 consumer"),
        ({"until_idle": 0}, "seconds above 0"),
        ({"rotate": "often"}, "often"),
        ({"ack_mode": "never"}, "never"),
        ({"destination": "/topic/t"}, "each consumer of /topic/t would get all"),
        ({"client": "tcp://127.0.0.1:8786"}, "distributed.Client is needed, not str"),
        ({"tls": threading.Lock()}, "cannot be sent to the workers"),
    ],
)
def test_bad_arguments_are_refused_before_anything_begins(client, tmp_path, given, message):
    arguments: dict[str, Any] = {"client": client, "address": HOST, "destination": QUEUE} | given
    with pytest.raises(ValueError, match=message):
        consume(**arguments, keep=tmp_path / "orders")
    assert not (tmp_path / "orders").exists()


def test_a_folder_that_cannot_be_made_is_an_error(client, broker, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(STOMPError, match=r"nothing can be kept in .*file: Not a dir"):
        consume(client, broker.address, QUEUE, keep=tmp_path / "file")


def test_without_dask_the_import_says_what_to_install():
    program = "import sys; sys.modules['distributed'] = None; import stompy_jupyter.dask"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert 'needs Dask: pip install "stompy-jupyter[dask]"' in result.stderr


# -- the dataset as a dask.dataframe ---------------------------------------------------------------


def test_files_with_other_columns_are_one_dataframe(tmp_path):
    open_file(tmp_path, [message("a", {"n": "1"})])
    open_file(tmp_path, [message("b", {"m": "x", "n": "2"})], arrival=ARRIVAL + HOUR)
    open_file(tmp_path, [message("c", {"k": "y"})], arrival=ARRIVAL + 25 * HOUR)
    recover(tmp_path)
    open_file(tmp_path, [message("still open")])
    ddf = dataframe(tmp_path)
    df = ddf.compute().sort_values("received_at")
    assert ddf.npartitions == 3
    assert list(ddf.columns) == list(df.columns)
    assert df["body"].tolist() == ["a", "b", "c"]
    assert df["m"].fillna("-").tolist() == ["-", "x", "-"]
    assert df["hour"].tolist() == [22, 23, 23]
    assert df["date"].tolist() == [datetime.date(2023, 11, day) for day in (14, 14, 15)]
    assert len(ddf[ddf["hour"] == 23]["k"].compute()) == 2


def test_a_dataset_without_files_is_a_dataframe_without_rows(tmp_path):
    ddf = dataframe(tmp_path)
    assert len(ddf) == 0
    assert list(ddf.columns) == [*FIXED.names, "date", "hour"]


# -- what is shown ---------------------------------------------------------------------------------


def test_it_shows_what_it_does_and_nothing_acts(client, broker, tmp_path):
    with consume(client, broker.address, "/queue/<b>\x1b[31m", 1, keep=tmp_path) as orders:
        assert repr(orders).startswith(r"<Consumption /queue/<b>\x1b[31m into ")
        assert repr(orders).endswith(": 1 consuming; 0 on disk>")
        html = orders._repr_html_()
    assert "<b>" not in html
    assert "\x1b" not in html
    assert "<td>consuming</td>" in html


def test_the_passcode_is_seen_nowhere(client, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    with Broker(logins={"me": SECRET}) as guarded:
        given = {"login": "me", "passcode": SECRET}
        with consume(client, guarded.address, QUEUE, 1, keep=tmp_path, **given) as orders:
            shown = [
                repr(orders),
                orders._repr_html_(),
                orders.status().to_string(),
                repr(vars(orders)),
                repr(orders._assignment.arguments),
                str(client.get_events()),
                str(client.run_on_scheduler(_tasks)),
            ]
        url = "stomp://me:wr0ng-p4ss@{}:{}".format(*guarded.address)
        with pytest.raises(STOMPConnectError) as caught:
            consume(client, url, QUEUE, 1, keep=tmp_path)
        shown += [str(caught.value), caplog.text]
    for text in shown:
        assert SECRET not in text
        assert "wr0ng-p4ss" not in text


def _tasks(dask_scheduler: Any) -> str:
    return " ".join(f"{key} {task.run_spec!r}" for key, task in dask_scheduler.tasks.items())


def test_an_assignment_arrives_with_what_it_does_not_show(tmp_path):
    given = ("topic", [], {"passcode": SECRET}, QUEUE, {}, tmp_path, tmp_path / "lease", None)
    assignment = Assignment(*given)
    assert repr(assignment) == f"<Assignment {QUEUE} into {tmp_path}>"
    assert pickle.loads(pickle.dumps(assignment)) == assignment
