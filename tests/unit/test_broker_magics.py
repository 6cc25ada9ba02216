"""%stomp_broker, in a real IPython shell."""

import socket
from typing import Any

import pytest
from IPython.core.error import UsageError

from stompy import STOMPError
from stompy.broker import Faults
from stompy_jupyter import FrameStream
from tests.processes import free_port
from tests.unit.shells import received, run, sessions
from tests.unit.waiting import until


@pytest.fixture
def queue(shell: Any) -> FrameStream:
    """A stream of /queue/q, on a session of the shell."""
    run(shell, "stomp_connect", "--as s")
    return run(shell, "stomp_subscribe", "/queue/q --as q")


@pytest.fixture
def started(shell: Any) -> Any:
    """The embedded broker, started by the magic."""
    return run(shell, "stomp_broker", "start")


def test_the_broker_starts_where_it_is_told_and_may_be_started_again(shell):
    port = free_port()
    broker = run(shell, "stomp_broker", f"start --port {port} --websocket 0")
    assert broker.address == ("127.0.0.1", port)
    assert broker.urls["ws"] in repr(broker)
    assert run(shell, "stomp_broker", f"start --port {port} --websocket 0") is broker
    assert run(shell, "stomp_broker", "start") is broker
    assert run(shell, "stomp_connect").client.BrokerAddress == broker.address


def test_a_broker_that_runs_is_not_started_otherwise(shell, started):
    with pytest.raises(STOMPError, match="runs already, with other arguments"):
        run(shell, "stomp_broker", "start --websocket 0")
    run(shell, "stomp_broker", "stop")
    assert not started.running
    assert "ws" in run(shell, "stomp_broker", "start --websocket 0").urls


@pytest.mark.parametrize("action", ["status", "destinations", "clients", "faults"])
def test_a_broker_that_does_not_run_says_so(shell, action):
    with pytest.raises(UsageError, match="does not run: %stomp_broker start"):
        run(shell, "stomp_broker", action)


def test_a_start_that_fails_leaves_the_next_one_as_it_would_have_been(shell):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(STOMPError, match="cannot listen on"):
            run(shell, "stomp_broker", f"start --port {taken.getsockname()[1]}")
        assert run(shell, "stomp_connect").state == "connected"


def test_the_broker_can_be_looked_into(shell, started, queue):
    run(shell, "stomp_send", "/queue/q hello")
    assert received(queue) == ["hello"]
    status = run(shell, "stomp_broker", "status")
    assert status[["clients", "received", "delivered"]].values.tolist() == [[1, 1, 1]]
    destinations = run(shell, "stomp_broker", "destinations")
    assert destinations["destination"].tolist() == ["/queue/q"]
    assert run(shell, "stomp_broker", "clients")["subscriptions"].tolist() == [["/queue/q"]]
    events = run(shell, "stomp_broker", "events")
    assert events["event"].tolist()[:2] == ["connected", "subscribed"]
    assert str(events["time"].dtype) == "datetime64[us, UTC]"


def test_faults_come_and_go(shell, started, queue):
    assert run(shell, "stomp_broker", "faults --duplicate") == Faults(duplicate=True)
    run(shell, "stomp_send", "/queue/q twice")
    assert received(queue, 2) == ["twice"] * 2
    assert run(shell, "stomp_broker", "faults") == Faults(duplicate=True)
    assert run(shell, "stomp_broker", "faults --off") == Faults()
    run(shell, "stomp_send", "/queue/q once")
    run(shell, "stomp_send", "/queue/q and once")
    assert received(queue, 4) == ["twice", "twice", "once", "and once"]


def test_single_messages_are_lost_until_the_faults_are_off(shell, started, queue):
    run(shell, "stomp_broker", "faults --lose 2")
    for body in "abc":
        run(shell, "stomp_send", f"/queue/q {body}")
    assert received(queue, 2) == ["a", "c"]
    run(shell, "stomp_broker", "faults --off")
    run(shell, "stomp_send", "/queue/q d")
    assert received(queue, 3) == ["a", "c", "d"]


def test_a_client_can_be_dropped(shell, started, queue):
    run(shell, "stomp_broker", "faults --slow 0.01")
    on = run(shell, "stomp_broker", "faults --drop --client 1")
    assert on == Faults(slow=0.01)  # they stay
    until(lambda: sessions(shell)["s"].state != "connected")


@pytest.mark.parametrize(
    "line",
    ["faults --slow -1", "faults --reorder x", "events --client 1", "start --slow 1", "dance", ""],
)
def test_what_the_broker_cannot_do_is_a_usage_error(shell, started, line):
    with pytest.raises(UsageError):
        run(shell, "stomp_broker", line)


def test_faults_with_an_unknown_client_are_an_error(shell, started):
    with pytest.raises(STOMPError, match="no client '9'"):
        run(shell, "stomp_broker", "faults --slow 1 --client 9")


@pytest.mark.parametrize(
    ("line", "faults"),
    [
        ("--slow 0.01", Faults(slow=0.01)),
        ("--split 3", Faults(split=3)),
        ("--no-receipts", Faults(no_receipts=True)),
        ("--no-heart-beats", Faults(no_heart_beats=True)),
        ("--duplicate --reorder 2", Faults(duplicate=True, reorder=2)),
        ("--drop-after 1000", Faults(drop_after=1000)),
        ("--lose 3", Faults(lose=3)),
    ],
)
def test_each_fault_has_its_option_and_takes_the_place_of_the_last(shell, started, line, faults):
    run(shell, "stomp_broker", "faults --no-heart-beats")
    assert run(shell, "stomp_broker", f"faults {line}") == faults
    assert started.faults == faults


def test_a_fault_may_be_for_one_client_alone(shell, started, queue):
    run(shell, "stomp_connect", "--as other")
    clients = run(shell, "stomp_broker", "clients")["client"]
    run(shell, "stomp_broker", f"faults --duplicate --client {clients[0]}")
    assert started.faults == Faults()
    other = run(shell, "stomp_subscribe", "/topic/t --as t")
    run(shell, "stomp_send", "--on s /queue/q twice")
    run(shell, "stomp_send", "/topic/t once")
    assert received(queue, 2) == ["twice"] * 2
    assert received(other) == ["once"]


def test_after_a_start_the_newest_events_of_the_broker_before_stay_to_be_seen(
    shell, started, queue
):
    assert run(shell, "stomp_broker", "stop") is None
    events = run(shell, "stomp_broker", "events")
    assert "subscribed" in events["event"].tolist()


@pytest.mark.parametrize(
    ("action", "columns"),
    [("destinations", ["destination"]), ("clients", ["client"])],
)
def test_looking_at_nothing_gives_an_empty_table_with_columns(shell, started, action, columns):
    table = run(shell, "stomp_broker", action)
    assert len(table) == 0
    assert list(table.columns) == columns


@pytest.mark.parametrize(
    "line", ["start --port 70000", "start --port -1", "start --websocket 99999"]
)
def test_a_port_that_is_none_is_an_error_and_starts_nothing(shell, line):
    with pytest.raises((UsageError, STOMPError), match="is no port"):
        run(shell, "stomp_broker", line)
    with pytest.raises(UsageError, match="does not run"):
        run(shell, "stomp_broker", "status")


def test_a_wrong_fault_changes_nothing(shell, started):
    run(shell, "stomp_broker", "faults --duplicate")
    wrong = ("--slow -1", "--split x", "--reorder -2", "--lose -1", "--lose 1.5", "--port 1")
    for line in (f"faults {option}" for option in wrong):
        with pytest.raises(UsageError):
            run(shell, "stomp_broker", line)
    assert started.faults == Faults(duplicate=True)


@pytest.mark.parametrize("line", ["faults --off --slow 1", "faults --websocket 0", "stop --port 0"])
def test_options_that_contradict_or_do_not_belong_are_refused(shell, started, line):
    with pytest.raises(UsageError):
        run(shell, "stomp_broker", line)
    assert started.faults == Faults()


def test_a_session_that_reconnects_finds_a_broker_that_was_started_again(shell, started, queue):
    run(shell, "stomp_broker", "stop")
    until(lambda: queue.session.state == "reconnecting")
    run(shell, "stomp_broker", "start")
    until(lambda: queue.session.state == "connected", 15)
    run(shell, "stomp_send", "/queue/q again")
    assert received(queue) == ["again"]


def test_stopping_a_broker_that_does_not_run_is_fine(shell):
    assert run(shell, "stomp_broker", "stop") is None
    assert run(shell, "stomp_broker", "stop") is None
