"""The %stomp_… magics, in a real IPython shell against the embedded broker."""

import _thread
import gc
import sys
import threading
import weakref
from typing import Any

import pytest
import traitlets
from IPython.core.error import UsageError

import stompy
from stompy import STOMPConnectError, STOMPError
from stompy_jupyter import FrameStream, StompSession
from stompy_jupyter.embedded import embedded_broker
from tests.unit.shells import (
    FrontEnd,
    message,
    received,
    run,
    run_cell,
    saying,
    sessions,
    shown_error,
)
from tests.unit.waiting import until

pytestmark = pytest.mark.usefixtures("unconfigured")


@pytest.fixture
def queue(shell: Any) -> FrameStream:
    """A stream of /queue/q, on a session of the shell."""
    run(shell, "stomp_connect", "--as s")
    return run(shell, "stomp_subscribe", "/queue/q --as q")


# -- %stomp_connect and %stomp_disconnect ------------------------------------------------------


def test_connect_without_an_address_takes_the_embedded_broker(shell):
    session = run(shell, "stomp_connect")
    assert session.state == "connected"
    assert session.client.BrokerAddress == embedded_broker().address


def test_connect_takes_an_address(shell, broker):
    session = run(shell, "stomp_connect", "{}:{}".format(*broker.address))
    assert session.client.BrokerAddress == broker.address


def test_connect_takes_the_address_in_stompy_url(shell, broker, monkeypatch):
    monkeypatch.setenv("STOMPY_URL", "stomp://{}:{}".format(*broker.address))
    assert run(shell, "stomp_connect").client.BrokerAddress == broker.address


def test_connect_hands_on_who_connects_and_shows_no_passcode(shell, silent, monkeypatch, capsys):
    monkeypatch.setenv("SECRET", "s3cr3t")
    address = "{}:{}".format(*silent.address)
    shell.run_cell(
        f"%stomp_connect {address} --as s --login me --passcode-env SECRET --vhost /v --timeout 5"
    )
    connect = until(lambda: silent.received)[0]
    assert (connect["login"], connect["passcode"], connect["host"]) == ("me", "s3cr3t", "/v")
    shown = capsys.readouterr()
    assert "StompSession s:" in shown.out
    assert "s3cr3t" not in shown.out + shown.err
    shell.user_ns["s"].client.disconnect(timeout=0)


def test_a_passcode_variable_that_is_not_set_is_named(shell, monkeypatch):
    monkeypatch.delenv("SECRET", raising=False)
    with pytest.raises(UsageError, match="SECRET is not set"):
        run(shell, "stomp_connect", "--passcode-env SECRET")
    assert sessions(shell) == {}


def test_connect_binds_a_variable_only_when_told_to(shell):
    before = set(shell.user_ns)
    run(shell, "stomp_connect")
    assert set(shell.user_ns) == before
    assert run(shell, "stomp_connect", "--as s") is shell.user_ns["s"]
    assert shell.user_ns["s"].name == "s"


def test_the_value_of_a_magic_can_be_assigned(shell):
    shell.run_cell("mine = %stomp_connect").raise_error()
    assert isinstance(shell.user_ns["mine"], StompSession)


@pytest.mark.parametrize("name", ["1a", "a-b", "a.b", "a[0]", "class", "None"])
def test_as_refuses_what_cannot_be_a_variable(shell, name):
    for magic, line in (("stomp_connect", ""), ("stomp_subscribe", "/topic/t ")):
        with pytest.raises(UsageError, match="cannot be the name of a variable"):
            run(shell, magic, f"{line}--as {name}")
    assert sessions(shell) == {}


@pytest.mark.parametrize("magic", ["stomp_connect", "stomp_subscribe /topic/t"])
def test_as_overwrites_a_variable_of_another_kind_only_by_force(shell, magic):
    run(shell, "stomp_connect")
    shell.user_ns["mine"] = [1, 2, 3]
    name, _, line = magic.partition(" ")
    with pytest.raises(UsageError, match="mine is a variable already, a list"):
        run(shell, name, f"{line} --as mine")
    assert shell.user_ns["mine"] == [1, 2, 3]
    made = run(shell, name, f"{line} --as mine --force")
    assert shell.user_ns["mine"] is made


def test_running_connect_again_replaces_the_session(shell):
    first = run(shell, "stomp_connect", "--as s")
    second = run(shell, "stomp_connect", "--as s")
    assert (first.state, second.state) == ("disconnected", "connected")
    assert shell.user_ns["s"] is second
    assert sessions(shell) == {"s": second}


def test_disconnect_ends_the_newest_session_or_the_one_that_is_named(shell):
    one, two, three = (run(shell, "stomp_connect", f"--as {name}") for name in ("a", "b", "c"))
    run(shell, "stomp_disconnect", "a")
    run(shell, "stomp_disconnect")
    assert [session.connected for session in (one, two, three)] == [False, True, False]
    assert run(shell, "stomp_status")["session"].tolist() == ["b"]


def test_the_rows_of_a_stream_outlive_its_session(shell, queue):
    run(shell, "stomp_send", "/queue/q a")
    queue.wait(1, timeout=5)
    run(shell, "stomp_disconnect")
    assert shell.user_ns["q"].df["body"].tolist() == ["a"]


class Captured(Exception):
    """Stands for a connection: what it was to be like."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs %stomp_connect; returns the addresses and arguments for `STOMPClient.connect`."""

    def capture(client: stompy.STOMPClient, addresses: Any, **arguments: Any) -> None:
        own = ("on_state", "trace")  # of the session
        raise Captured(addresses, {k: v for k, v in arguments.items() if k not in own})

    monkeypatch.setattr(stompy.STOMPClient, "connect", capture)

    def ask(shell: Any, line: str) -> tuple[Any, dict[str, Any]]:
        with pytest.raises(Captured) as captured:
            run(shell, "stomp_connect", line)
        addresses, arguments = captured.value.args
        return addresses, arguments

    return ask


PLAIN = {"reconnect": True, "passcode": None, "headers": {}}


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("", {}),
        ("--vhost /v", {"vhost": "/v"}),
        ("--vhost 'a b'", {"vhost": "a b"}),
        ("--tls", {"tls": True}),
        ("--ca-file 'my ca.pem'", {"ca_file": "my ca.pem"}),
        ("--cert-file c.pem --key-file k.pem", {"cert_file": "c.pem", "key_file": "k.pem"}),
        ("--server-hostname h", {"server_hostname": "h"}),
        ("--heart-beat 0,0", {"heart_beat": (0, 0)}),
        ("--heart-beat 100,200", {"heart_beat": (100, 200)}),
        ("--heart-beat=100,200", {"heart_beat": (100, 200)}),
        ("--timeout 5", {"timeout": 5.0}),
        ("--timeout 1.5min", {"timeout": 90.0}),
        ("--no-reconnect", {"reconnect": False}),
        ("-H client-id:me --header 'a: b'", {"headers": {"client-id": "me", "a": "b"}}),
    ],
)
def test_each_option_of_connect_is_handed_on_and_nothing_else(shell, asked, line, arguments):
    _, given = asked(shell, f"localhost:1 {line}")
    assert given == {**PLAIN, **arguments}


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("localhost:61613", "localhost:61613"),
        ("'localhost:61613'", "localhost:61613"),
        ("stomp+ssl://h:1/v", "stomp+ssl://h:1"),
        ("ws://h:15674/ws", "ws://h:15674/ws"),
        ("stomp+unix:///tmp/s", "stomp+unix:///tmp/s"),
    ],
)
def test_an_address_may_be_written_as_for_the_client(shell, asked, typed, address):
    ((parsed,), _) = asked(shell, typed)
    assert str(parsed) in (address, address.partition("://")[2])


def test_the_address_is_that_of_the_line_else_stompy_url_else_the_configured_one(
    shell, asked, monkeypatch
):
    def port(line: str = "") -> int:
        ((address,), _) = asked(shell, line)
        return int(address.port)

    run_cell(shell, "%config StompMagics.address = 'localhost:3'")
    assert port() == 3
    monkeypatch.setenv("STOMPY_URL", "stomp://localhost:2")
    assert port() == 2
    assert port("localhost:1") == 1
    monkeypatch.setenv("STOMPY_URL", "")
    assert port() == 3


def test_a_connection_that_fails_leaves_other_sessions_and_the_variable(shell):
    other = run(shell, "stomp_connect", "--as other")
    with pytest.raises(STOMPConnectError):
        run(shell, "stomp_connect", "127.0.0.1:1 --as s")
    assert sessions(shell) == {"other": other}
    assert "s" not in shell.user_ns
    assert other.connected


def test_a_name_is_bound_as_python_reads_it(shell):
    session = run(shell, "stomp_connect", "--as \ufb01")  # one letter, which Python reads as two
    assert run_cell(shell, "\ufb01") is session


def test_a_heart_beat_of_years_is_one(shell):
    session = run(shell, "stomp_connect", "--heart-beat 999999999999999,0")
    run(shell, "stomp_send", "--receipt /queue/q a")
    assert session.connected


def test_disconnect_takes_a_variable(shell):
    session = run(shell, "stomp_connect", "--as s")
    shell.user_ns["mine"] = session
    run(shell, "stomp_disconnect", "mine")
    assert not session.connected
    assert sessions(shell) == {}


# -- %stomp_subscribe and %stomp_wait ----------------------------------------------------------


def test_subscribe_streams_into_a_variable(shell, queue):
    assert shell.user_ns["q"] is queue
    assert sessions(shell)["s"].streams == {"q": queue}
    run(shell, "stomp_send", "/queue/q a")
    assert received(queue) == ["a"]


def test_running_subscribe_again_replaces_the_stream(shell, queue):
    again = run(shell, "stomp_subscribe", "/queue/q --as q")
    assert shell.user_ns["q"] is again
    assert (queue.live, again.live) == (False, True)
    run(shell, "stomp_send", "/queue/q a")
    assert received(again) == ["a"]
    assert len(queue) == 0


def test_without_as_a_stream_is_called_by_its_destination(shell):
    session = run(shell, "stomp_connect")
    stream = run(shell, "stomp_subscribe", "/topic/t")
    assert session.streams == {"/topic/t": stream}


def test_subscribe_hands_on_its_options(shell, silent):
    session = run(shell, "stomp_connect", "{}:{} --as s".format(*silent.address))
    run(shell, "stomp_connect", "--as newer")
    stream = run(
        shell, "stomp_subscribe", "/queue/q --ack client --max-rows 7 -H 'a: b' -H c:d --on s"
    )
    assert (stream.session, stream.table.max_rows, stream.ack_mode) == (session, 7, "client")
    _, subscribe = until(lambda: len(silent.received) > 1 and silent.received)
    assert {"ack": "client", "a": "b", "c": "d"}.items() <= subscribe.Headers.items()
    session.client.disconnect(timeout=0)


def test_wait_returns_how_many_frames_have_come(shell, queue):
    for body in "ab":
        run(shell, "stomp_send", f"/queue/q {body}")
    assert run(shell, "stomp_wait", "q --n 2 --timeout 5") == 2
    assert run(shell, "stomp_wait", "q") == 2


def test_wait_takes_a_destination_where_a_stream_has_no_name(shell):
    run(shell, "stomp_connect")
    run(shell, "stomp_subscribe", "/queue/q")
    run(shell, "stomp_send", "/queue/q a")
    assert run(shell, "stomp_wait", "/queue/q --timeout 5") == 1


def test_wait_takes_any_variable_that_is_a_stream(shell, broker):
    with StompSession(broker.address) as session:
        shell.user_ns["mine"] = session.subscribe("/queue/q")
        session.send("/queue/q", "a")
        assert run(shell, "stomp_wait", "mine --timeout 5") == 1


def test_streams_may_be_paused_resumed_and_ended(shell, queue):
    run(shell, "stomp_pause", "q")
    run(shell, "stomp_pause", "q")
    assert queue.state == "paused"
    run(shell, "stomp_send", "--receipt /queue/q kept")
    assert queue.received == 0
    run(shell, "stomp_resume", "q")
    run(shell, "stomp_resume", "q")
    assert received(queue) == ["kept"]
    run(shell, "stomp_unsubscribe", "q")
    assert queue.state == "ended"
    assert shell.user_ns["q"] is queue
    run(shell, "stomp_unsubscribe", "q")


def test_what_has_ended_cannot_be_resumed(shell, queue, capsys):
    run(shell, "stomp_unsubscribe", "q")
    for magic in ("%stomp_pause q", "%stomp_resume q"):
        assert shown_error(shell, capsys, magic)[0] == "STOMPClosed: the stream q has ended"


@pytest.mark.parametrize("magic", ["pause", "resume", "unsubscribe", "wait --timeout 5"])
def test_without_a_name_the_newest_stream_is_meant(shell, queue, magic):
    name, _, rest = magic.partition(" ")
    run(shell, "stomp_send", "/queue/q a")
    run(shell, f"stomp_{name}", rest)
    assert queue.received in (0, 1)


@pytest.fixture
def subscribed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What `StompSession.subscribe` is called with."""
    calls: list[tuple[str, dict[str, Any]]] = []
    subscribe = StompSession.subscribe

    def note(session: StompSession, destination: str, **arguments: Any) -> FrameStream:
        calls.append((destination, arguments))
        plain = ("name", "ack_mode", "max_rows", "max_bytes", "decode", "send_acks")
        known = {k: v for k, v in arguments.items() if k in plain}
        return subscribe(session, destination, **known)

    monkeypatch.setattr(StompSession, "subscribe", note)
    return calls


DEFAULTS = {
    "name": None,
    "ack_mode": "auto",
    "send_acks": True,
    "max_rows": 1_000_000,
    "max_bytes": 512 * 1024 * 1024,
    "decode": "text",
    "headers": {},
}


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("", {}),
        ("--as t", {"name": "t"}),
        ("--as 't'", {"name": "t"}),
        ("--ack client", {"ack_mode": "client"}),
        ("--ack=client-individual --no-send-acks", {"ack_mode": "client-individual"}),
        ("--max-rows 10", {"max_rows": 10}),
        ("--max-bytes 64MB", {"max_bytes": 64_000_000}),
        ("--max-bytes 1MiB", {"max_bytes": 1 << 20}),
        ("--decode json", {"decode": "json"}),
        ("--decode bytes", {"decode": "bytes"}),
        ("--prefetch 5", {"prefetch": 5}),
        ("--selector \"colour = 'red'\"", {"selector": "colour = 'red'"}),
        ("--durable me", {"durable": "me"}),
        ("--header 'a: b' -H c:d", {"headers": {"a": "b", "c": "d"}}),
    ],
)
def test_each_option_of_subscribe_is_handed_on(shell, subscribed, line, arguments):
    run(shell, "stomp_connect")
    run(shell, "stomp_subscribe", f"{line} /topic/t")
    run(shell, "stomp_subscribe", f"/topic/t {line}")
    expected = {**DEFAULTS, **arguments, "send_acks": "--no-send-acks" not in line}
    assert subscribed == [("/topic/t", expected)] * 2


def test_decode_json_gives_values(shell):
    run(shell, "stomp_connect")
    stream = run(shell, "stomp_subscribe", "/queue/j --as j --decode json")
    run(shell, "stomp_send", '--json /queue/j {"a": [1, null]}')
    assert received(stream) == [{"a": [1, None]}]


def test_a_function_of_the_notebook_decodes(shell):
    shell.run_cell("def items(order):\n    return order['items']")
    run(shell, "stomp_connect")
    stream = run(shell, "stomp_subscribe", "/queue/o --as o --decode items")
    run(shell, "stomp_send", '/queue/o {"id": 1, "items": [{"n": 1}, {"n": 2}]}')
    assert received(stream) == [[{"n": 1}, {"n": 2}]]
    assert stream.records["n"].tolist() == [1, 2]


@pytest.mark.parametrize("how", ["yaml", "pd", "no_such"])
def test_what_does_not_decode_is_refused(shell, how):
    shell.user_ns["yaml"] = 5
    run(shell, "stomp_connect")
    with pytest.raises(UsageError, match=f"'{how}' is no function of this notebook, and no decod"):
        run(shell, "stomp_subscribe", f"/queue/o --decode {how}")


def test_max_rows_keeps_the_newest(shell):
    run(shell, "stomp_connect")
    stream = run(shell, "stomp_subscribe", "/queue/m --as m --max-rows 2")
    for body in "abc":
        run(shell, "stomp_send", f"/queue/m {body}")
    assert run(shell, "stomp_wait", "m --n 3 --timeout 5") == 3
    assert (stream.df["body"].tolist(), stream.dropped) == (["b", "c"], 1)


# -- --n and --for ---------------------------------------------------------------------------


@pytest.fixture
def three(shell: Any) -> StompSession:
    """A session, and three messages in /queue/q."""
    session = run(shell, "stomp_connect", "--as s")
    run(shell, "stomp_send", "--repeat 3 --receipt /queue/q a")
    return session


@pytest.mark.parametrize("line", ["--n 2", "--n 2 --for 10s", "--n=2", "--n 3 --for 1min"])
def test_with_n_it_ends_when_so_many_have_come(shell, three, line):
    stream = run(shell, "stomp_subscribe", f"/queue/q --as q {line}")
    assert stream.received >= int(line[4])
    assert stream.state == "ended"
    assert shell.user_ns["q"] is stream
    assert three.streams == {}


@pytest.mark.parametrize("line", ["--for 100ms", "--for 0.1", "--n 99 --for 100ms", "--for 0"])
def test_with_for_it_ends_then(shell, three, line):
    stream = run(shell, "stomp_subscribe", f"/queue/q --as q {line}")
    assert stream.state == "ended"
    assert stream.received == (3 if line != "--for 0" else stream.received)
    assert len(stream.df) == stream.received


def test_too_few_in_the_configured_time_is_an_error_that_keeps_the_rows(shell, three, capsys):
    run_cell(shell, "%config StompMagics.timeout = 0.1")
    lines = shown_error(shell, capsys, "%stomp_subscribe /queue/q --as q --n 99")
    assert lines[0] == "STOMPTimeout: 3 of 99 frames had come after 0.1 s"
    stream = shell.user_ns["q"]
    assert (stream.state, stream.df["body"].tolist()) == ("ended", ["a"] * 3)


@pytest.mark.parametrize("line", ["--n 99", "--for 1min", "--n 99 --for 1min"])
def test_an_interrupt_ends_it_and_keeps_the_rows(shell, three, capsys, line):
    def interrupt() -> None:
        until(lambda: "q" in three.streams)
        three.streams["q"].wait(3, 5)
        _thread.interrupt_main()

    user = threading.Thread(target=interrupt)
    user.start()
    result = shell.run_cell(f"%stomp_subscribe /queue/q --as q {line}")
    user.join()
    assert isinstance(result.error_in_exec, KeyboardInterrupt)
    assert capsys.readouterr().out.splitlines() == [
        "KeyboardInterrupt: what is in the background goes on"
    ]
    stream = shell.user_ns["q"]
    assert (stream.state, stream.df["body"].tolist()) == ("ended", ["a"] * 3)
    assert three.connected


@pytest.mark.parametrize("line", ["--n 99", "--for 1min", "--n 99 --for 1min"])
def test_an_end_by_the_broker_is_an_error_that_keeps_the_rows(shell, line):
    with saying(message("a"), message("b"), then_close=True) as address:
        run(shell, "stomp_connect", f"{address} --as s --no-reconnect")
        result = shell.run_cell(f"%stomp_subscribe /queue/q --as q {line}")
    assert isinstance(result.error_in_exec.__cause__, stompy.STOMPClosed)
    assert str(sys.maxsize) not in str(result.error_in_exec)  # nobody has asked for so many
    stream = shell.user_ns["q"]
    assert (stream.state, stream.df["body"].tolist()) == ("ended", ["a", "b"])


@pytest.mark.parametrize("line", ["--n 0", "--n -1", "--n x", "--for soon", "--for -1s", "--for"])
def test_bounds_that_are_none_are_refused_before_anything_is_bound(shell, three, line):
    with pytest.raises(UsageError):
        run(shell, "stomp_subscribe", f"/queue/q --as q {line}")
    assert "q" not in shell.user_ns
    assert three.streams == {}


@pytest.mark.parametrize("line", ["", " --n 3"])
def test_without_a_widget_a_plain_table_is_shown(shell, three, line):
    stream = run(shell, "stomp_subscribe", f"/queue/q --as q --no-widget{line}")
    stream.wait(3, 5)
    data, _ = shell.display_formatter.format(stream)
    assert set(data) == {"text/plain", "text/html"}


def test_wait_takes_any_way_to_write_a_time(shell, queue, capsys):
    for time in ("0", "10ms", "0.01", ".01s", "'10 ms'"):
        lines = shown_error(shell, capsys, f"%stomp_wait q --n 2 --timeout {time}")
        assert lines[0].startswith("STOMPTimeout: 0 of 2 frames had come after 0")


def test_wait_says_that_a_stream_has_ended(shell, queue, capsys):
    run(shell, "stomp_unsubscribe", "q")
    lines = shown_error_lines(shell, capsys, "%stomp_wait q --n 2")
    assert lines == ["STOMPClosed: the stream ended when 0 of 2 frames had come"]


def shown_error_lines(shell: Any, capsys: pytest.CaptureFixture[str], code: str) -> list[str]:
    """The lines that a notebook shows for the error of a cell, however many."""
    capsys.readouterr()
    shell.run_cell(code)
    return capsys.readouterr().out.splitlines()


# -- %stomp_status -----------------------------------------------------------------------------


def test_the_status_has_a_row_for_each_stream(shell, queue):
    run(shell, "stomp_subscribe", "/topic/t --ack client")
    run(shell, "stomp_send", "/queue/q a")
    queue.wait(1, timeout=5)
    address = queue.session.address
    run(shell, "stomp_pause", "/topic/t")
    rows = run(shell, "stomp_status").drop(columns=["session", "address", "state"])
    assert rows.to_dict("split")["data"] == [
        [0, 1, "q", "/queue/q", "auto", "live", 1, 0, 0, 0, ""],
        [0, 1, "/topic/t", "/topic/t", "client", "paused", 0, 0, 0, 0, ""],
    ]
    known = run(shell, "stomp_status")[["session", "address", "state"]].drop_duplicates()
    assert known.values.tolist() == [["s", address, "connected"]]


def test_the_status_of_nothing_is_an_empty_table(shell):
    status = run(shell, "stomp_status")
    assert len(status) == 0
    assert {"session", "state", "stream", "received"} <= set(status.columns)


def test_the_status_shows_a_session_without_streams_and_one_that_is_lost(shell, broker):
    run(shell, "stomp_connect", "{}:{} --as s --no-reconnect".format(*broker.address))
    broker.stop()
    until(lambda: run(shell, "stomp_status")["state"].tolist() == ["lost"])
    assert run(shell, "stomp_status")["stream"].isna().tolist() == [True]


def test_counts_in_the_status_are_whole_numbers_beside_a_session_without_streams(shell, queue):
    run(shell, "stomp_connect", "--as other")
    assert str(run(shell, "stomp_status")["received"][0]) == "0"


def test_a_session_is_found_by_the_name_in_the_status(shell, broker):
    run(shell, "stomp_connect", "{}:{}".format(*broker.address))
    run(shell, "stomp_connect", "--as newer")
    for name in run(shell, "stomp_status")["session"]:
        run(shell, "stomp_send", f"--on {name} /queue/q a")


# -- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("magic", "line"),
    [
        ("stomp_connect", "a b"),
        ("stomp_connect", "--no-such-option"),
        ("stomp_connect", "--timeout soon"),
        ("stomp_subscribe", ""),
        ("stomp_subscribe", "/topic/t --ack sometimes"),
        ("stomp_subscribe", "/topic/t --max-rows many"),
        ("stomp_subscribe", "/topic/t --max-rows 0"),
        ("stomp_subscribe", "/topic/t --header nocolon"),
        ("stomp_subscribe", "/topic/t --header ': no name'"),
        ("stomp_subscribe", "/topic/t --on nobody"),
        ("stomp_subscribe", "/topic/t --on number"),
        ("stomp_send", ""),
        ("stomp_send", "--header 'a: b'"),
        ("stomp_send", "--header a /queue/q body"),
        ("stomp_send", "--on nobody /queue/q body"),
        ("stomp_wait", "nothing"),
        ("stomp_wait", "number"),
        ("stomp_wait", "q --n x"),
        ("stomp_wait", "q --on nobody"),
        ("stomp_disconnect", "nobody"),
        ("stomp_status", "argument"),
    ],
)
def test_a_wrong_argument_is_a_usage_error_and_changes_nothing(shell, queue, magic, line):
    shell.user_ns["number"] = 1
    with pytest.raises(UsageError):
        run(shell, magic, line)
    assert sessions(shell) == {"s": queue.session}
    assert queue.session.streams == {"q": queue}


@pytest.mark.parametrize(
    "line", ["stomp_subscribe /topic/t", "stomp_send /queue/q a", "stomp_disconnect"]
)
def test_without_a_session_it_is_said_how_to_get_one(shell, line):
    with pytest.raises(UsageError, match="%stomp_connect"):
        run(shell, *line.split(" ", 1))


def test_a_broker_that_does_not_answer_is_two_or_three_lines(shell, broker, capsys):
    address = "{}:{}".format(*broker.address)
    broker.stop()
    lines = shown_error(shell, capsys, f"%stomp_connect {address} --as s")
    assert lines[0] == f"STOMPConnectError: nothing listens at {address} (connection refused)"
    assert lines[1].startswith("Try: start the broker")
    assert "s" not in shell.user_ns
    assert sessions(shell) == {}
    with pytest.raises(STOMPConnectError):
        run(shell, "stomp_connect", address)


def test_what_is_no_address_is_two_or_three_lines_without_its_passcode(shell, capsys):
    lines = shown_error(shell, capsys, "%stomp_connect stomp://me:s3cr3t@host:port")
    assert lines[0].startswith("STOMPAddressError: 'host:port' is no address")
    assert "s3cr3t" not in "".join(lines)


def test_a_wait_in_vain_is_two_or_three_lines(shell, queue, capsys):
    lines = shown_error(shell, capsys, "%stomp_wait q --n 3 --timeout 0.01")
    assert lines[0] == "STOMPTimeout: 0 of 3 frames had come after 0.01 s"


def test_sending_on_a_closed_session_is_two_or_three_lines(shell, queue, capsys):
    queue.session.disconnect()
    lines = shown_error(shell, capsys, "%stomp_send /queue/q a")
    assert lines[0] == "STOMPClosed: the connection is closed"
    assert lines[1].startswith("Try: ")


def test_the_frame_of_the_broker_is_kept_in_the_error(shell, monkeypatch):
    frame = stompy.STOMPFrame("ERROR", {"message": "no"})

    def refuse(*_: object, **__: object) -> None:
        raise STOMPError("the broker says: no", frame)

    run(shell, "stomp_connect")
    monkeypatch.setattr(StompSession, "send", refuse)
    with pytest.raises(STOMPError) as failure:
        run(shell, "stomp_send", "/queue/q a")
    assert failure.value.Frame == frame


# -- help and display --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("magic", "options"),
    [
        ("stomp_connect", ["address", "--as NAME", "--login", "--passcode-env VAR", "--vhost"]),
        ("stomp_disconnect", ["session"]),
        ("stomp_subscribe", ["destination", "--as NAME", "--ack", "--max-rows N", "--header"]),
        ("stomp_wait", ["name", "--n N", "--timeout S", "--on SESSION"]),
        ("stomp_send", ["destination", "--header", "-H", "--on SESSION"]),
        ("stomp_status", []),
    ],
)
def test_the_help_of_a_magic_shows_its_options_and_an_example(shell, capsys, magic, options):
    shell.run_cell(f"%{magic}?").raise_error()
    shown = capsys.readouterr().out
    for text in [*options, f"%{magic}", "Example", "The same in Python"]:
        assert text in shown


def test_a_stream_is_shown_as_a_live_view_with_a_table_beside_it(shell, queue):
    run(shell, "stomp_send", "/queue/q <b>")
    queue.wait(1, timeout=5)
    data, _ = shell.display_formatter.format(queue)
    assert data["text/plain"] == "<FrameStream /queue/q: 1 frames, live>"
    assert "&lt;b&gt;" in data["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in data


def test_a_stream_has_one_live_view_however_often_it_is_shown(shell, queue):
    views = [shell.display_formatter.format(queue)[0] for _ in range(2)]
    kind = "application/vnd.jupyter.widget-view+json"
    assert views[0][kind]["model_id"] == views[1][kind]["model_id"]


def test_a_replaced_stream_that_nobody_holds_is_let_go(shell):
    run(shell, "stomp_connect")
    shell.display_formatter.format(run(shell, "stomp_subscribe", "/queue/q --as q"))
    table = weakref.ref(shell.user_ns["q"].table)
    run(shell, "stomp_subscribe", "/queue/q --as q")
    until(lambda: gc.collect() >= 0 and table() is None)  # when its view has had the last news


def test_the_widget_shows_the_newest_session_or_the_one_that_is_named(shell, broker):
    address = "{}:{}".format(*broker.address)
    first, newest = (run(shell, "stomp_connect", f"{address} --as {name}") for name in "ab")
    assert run(shell, "stomp_widget") is run(shell, "stomp_widget", "b")
    assert run(shell, "stomp_widget").window()["session"]["name"] == newest.name
    assert run(shell, "stomp_widget", "a") is not run(shell, "stomp_widget", "b")
    assert run(shell, "stomp_widget", "'a'").window()["session"]["name"] == first.name


def test_the_widget_of_a_session_is_shown_with_its_tables_beside_it(shell, queue):
    run(shell, "stomp_send", "/queue/q <b>")
    queue.wait(1, timeout=5)
    data, _ = shell.display_formatter.format(run(shell, "stomp_widget"))
    assert "&lt;b&gt;" in data["text/html"]
    assert "StompSession s:" in data["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in data


def test_without_a_session_there_is_no_widget(shell):
    with pytest.raises(UsageError, match="no session yet"):
        run(shell, "stomp_widget")
    run(shell, "stomp_connect")
    with pytest.raises(UsageError, match="'other' is no session"):
        run(shell, "stomp_widget", "other")


# -- what stays of a stream that was shown -----------------------------------------------------


@pytest.fixture
def front_end(shell: Any, monkeypatch: pytest.MonkeyPatch) -> FrontEnd:
    """The front end of the shell."""
    front_end = FrontEnd(shell)
    monkeypatch.setattr(shell, "display_pub", front_end)
    return front_end


def test_a_cell_that_ends_in_a_stream_shows_it_once_and_has_it_as_its_value(shell, front_end):
    run(shell, "stomp_connect")
    stream = run_cell(shell, "%stomp_subscribe /queue/q --as q")
    assert stream is shell.user_ns["q"] is shell.displayhook._
    (shown,) = front_end.shown
    assert shown.data["text/plain"] == repr(stream)
    assert {"text/html", "application/vnd.jupyter.widget-view+json"} <= set(shown.data)
    assert (shown.display is not None, shown.update) == (True, False)


def test_a_stream_that_is_assigned_is_not_shown(shell, front_end):
    run(shell, "stomp_connect")
    run_cell(shell, "x = %stomp_subscribe /queue/q")
    run_cell(shell, "%stomp_subscribe /queue/p --as p\n1")
    assert front_end.shown == []
    assert run_cell(shell, "x") is shell.user_ns["x"]
    assert len(front_end.shown) == 1


@pytest.mark.parametrize(
    "end",
    [
        "%stomp_unsubscribe q",
        "%stomp_disconnect",
        "q.unsubscribe()",
        "s.disconnect()",
        "%stomp_subscribe /queue/q --as q",
        "%stomp_broker stop",
    ],
)
def test_when_a_stream_has_ended_what_was_shown_of_it_is_its_last_state(shell, front_end, end):
    run(shell, "stomp_connect", "--as s --no-reconnect")
    stream = run_cell(shell, "%stomp_subscribe /queue/q --as q")
    run(shell, "stomp_send", "/queue/q one")
    run_cell(shell, "%stomp_wait q")
    assert len(front_end.shown) == 1
    run_cell(shell, f"{end}\n_ = None")
    until(lambda: not stream.live)
    run_cell(shell, "pass")
    final = [shown for shown in front_end.shown if shown.update]
    assert [shown.display for shown in final] == [front_end.shown[0].display]
    assert "application/vnd.jupyter.widget-view+json" in final[0].data
    assert "/queue/q: 1 frames, ended" in final[0].data["text/html"]
    assert "<td>one</td>" in final[0].data["text/html"]


def test_the_last_state_is_shown_at_once_while_the_cell_goes_on(shell, front_end):
    run(shell, "stomp_connect")
    run_cell(shell, "%stomp_subscribe /queue/q --as q")
    run_cell(shell, "%stomp_subscribe /queue/p --as p")
    shell.user_ns["shown"] = front_end.shown
    run_cell(
        shell, "%stomp_unsubscribe p\nfirst = len(shown)\n%stomp_disconnect\nlater = len(shown)"
    )
    assert (shell.user_ns["first"], shell.user_ns["later"]) == (3, 4)
    assert len(front_end.shown) == 4


def test_a_stream_that_has_been_read_to_its_end_is_shown_in_its_last_state(shell, front_end):
    run(shell, "stomp_connect")
    run(shell, "stomp_send", "/queue/q one")
    stream = run_cell(shell, "%stomp_subscribe /queue/q --n 1")
    assert (stream.live, front_end.shown) == (False, [])  # nothing is to be replaced


def test_the_widget_of_a_session_ends_with_it(shell, front_end):
    run(shell, "stomp_connect", "--as s")
    run_cell(shell, "%stomp_subscribe /queue/q --as q\n%stomp_widget")
    run_cell(shell, "%stomp_unsubscribe q")
    assert not any(shown.update for shown in front_end.shown)
    run_cell(shell, "%stomp_disconnect")
    (final,) = [shown for shown in front_end.shown if shown.update]
    assert "disconnected" in final.data["text/html"]


# -- %stomp ----------------------------------------------------------------------------------


def known(shell: Any) -> set[str]:
    """The names of our magics."""
    names = {name for table in shell.magics_manager.magics.values() for name in table}
    return {name for name in names if name == "stomp" or name.startswith("stomp_")}


def test_the_overview_has_an_example_of_every_magic(shell):
    overview = run(shell, "stomp")
    assert overview.columns == ("example", "what it does")
    examples = [example for example, _ in overview.rows]
    firsts = [example.split()[0].lstrip("%") for example in examples]
    assert sorted(firsts) == sorted(known(shell))
    for text in (repr(overview), overview._repr_html_()):
        assert all(f"%{name}" in text for name in known(shell))
    for example, what in overview.rows:
        assert what.endswith(".")
        assert example in repr(overview)


def test_every_example_of_the_overview_runs(shell, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STOMP_PASSCODE", "guest")
    run_cell(shell, "%stomp_broker start --port 0")
    port = embedded_broker().address[1]
    examples = {row[0].split()[0]: row[0] for row in run(shell, "stomp").rows}
    made = {"%stomp_connect", "%stomp_subscribe", "%stomp_broker", "%stomp_disconnect"}
    connect = examples["%stomp_connect"].replace("61613", str(port))
    run_cell(shell, connect)
    run_cell(shell, examples["%stomp_subscribe"])
    orders = "/queue/orders --as orders --ack client-individual --no-send-acks"
    run_cell(shell, f"%stomp_subscribe {orders}")
    run_cell(shell, "%stomp_send --repeat 3 /queue/orders a\n%stomp_wait orders --n 3")
    run_cell(shell, "%stomp_send --repeat 100 --receipt /topic/prices a")
    run_cell(shell, "prices.save('prices.stompcap')")
    last = {"%stomp_unsubscribe", *made}
    for name in [*(name for name in examples if name not in last), "%stomp_unsubscribe"]:
        run_cell(shell, examples[name])
    run_cell(shell, examples["%stomp_disconnect"])
    assert shell.user_ns["prices"].received >= 100
    run_cell(shell, "%stomp_broker stop")
    run_cell(shell, examples["%stomp_broker"].replace("15674", "0"))


@pytest.mark.parametrize("kind", ["line", "cell"])
def test_the_help_of_every_magic_has_what_the_overview_says(shell, capsys, kind):
    rows = {row[0].split()[0].lstrip("%"): row for row in run(shell, "stomp").rows}
    for name in known(shell):
        found = shell.magics_manager.magics[kind].get(name)
        if found is None:
            continue
        shell.run_cell(f"{'%' if kind == 'line' else '%%'}{name}?").raise_error()
        shown = " ".join(capsys.readouterr().out.split())
        example, what = rows[name]
        for words in (what, *example.splitlines(), "The same in Python"):
            assert words in shown


# -- %config StompMagics ---------------------------------------------------------------------


def configure(shell: Any, setting: str) -> None:
    run_cell(shell, f"%config StompMagics.{setting}")


def test_the_configuration_is_what_subscribe_does_where_it_says_nothing_else(shell, subscribed):
    run(shell, "stomp_connect")
    for setting in ("ack = 'client'", "max_rows = 7", "max_bytes = 8", "decode = 'json'"):
        configure(shell, setting)
    run(shell, "stomp_subscribe", "/topic/t")
    run(shell, "stomp_subscribe", "/topic/t --ack auto --max-rows 1 --max-bytes 2 --decode text")
    configured = {"ack_mode": "client", "max_rows": 7, "max_bytes": 8, "decode": "json"}
    said = {"ack_mode": "auto", "max_rows": 1, "max_bytes": 2, "decode": "text"}
    assert [arguments for _, arguments in subscribed] == [
        {**DEFAULTS, **configured},
        {**DEFAULTS, **said},
    ]


def test_whether_a_connection_comes_back_is_configured(shell, asked):
    configure(shell, "reconnect = False")
    assert asked(shell, "localhost:1")[1] == {**PLAIN, "reconnect": False}


def test_without_widgets_a_stream_is_a_plain_table(shell):
    configure(shell, "widget = False")
    run(shell, "stomp_connect")
    stream = run(shell, "stomp_subscribe", "/queue/q --as q")
    assert set(shell.display_formatter.format(stream)[0]) == {"text/plain", "text/html"}


def test_the_timeout_of_wait_is_configured(shell, queue, capsys):
    configure(shell, "timeout = 0.01")
    lines = shown_error(shell, capsys, "%stomp_wait q")
    assert "after 0.01 s" in lines[0]


def test_an_expert_may_have_the_stack_of_all_errors(shell, queue, capsys):
    configure(shell, "short_errors = False")
    for code in ("%stomp_wait q --timeout 10ms", "%stomp_connect 127.0.0.1:1 --as other"):
        capsys.readouterr()
        error = shell.run_cell(code).error_in_exec
        shown = capsys.readouterr().out
        assert type(error).__name__ in shown
        assert "stompy_jupyter/magics.py" in shown
    configure(shell, "short_errors = True")
    shown_error(shell, capsys, "%stomp_wait q --timeout 10ms")


@pytest.mark.parametrize(
    "setting",
    [
        "ack = 'sometimes'",
        "max_rows = 0",
        "max_rows = 'many'",
        "max_bytes = -1",
        "decode = 'yaml'",
        "timeout = -1",
        "timeout = 'soon'",
        "reconnect = 'maybe'",
        "widget = 3",
        "short_errors = None",
        "address = 61613",
    ],
)
def test_a_wrong_setting_is_refused_and_changes_nothing(shell, caplog, setting):
    magics = shell.magics_manager.registry["StompMagics"]
    before = magics.trait_values(config=True)
    shell.run_cell(f"%config StompMagics.{setting}")
    assert magics.trait_values(config=True) == before
    assert setting.partition(" ")[0] in caplog.text


def test_the_configuration_lists_what_there_is(shell, capsys):
    run_cell(shell, "%config StompMagics")
    shown = capsys.readouterr().out
    magics = shell.magics_manager.registry["StompMagics"]
    for name, trait in magics.traits(config=True).items():
        assert f"StompMagics.{name}=" in shown
        assert trait.help
        assert trait.help.split()[0] in shown


def test_a_configuration_file_sets_what_the_magics_start_with(bare_shell, nothing_left):
    bare_shell.config.StompMagics.max_rows = 3
    bare_shell.config.StompMagics.short_errors = False
    bare_shell.config.StompMagics.address = "localhost:1"
    try:
        bare_shell.run_line_magic("load_ext", "stompy_jupyter")
        magics = bare_shell.magics_manager.registry["StompMagics"]
        assert (magics.max_rows, magics.address) == (3, "localhost:1")
        assert magics.notebook.short_errors is False
    finally:
        bare_shell.run_line_magic("unload_ext", "stompy_jupyter")


def test_what_was_configured_outlives_a_reload(shell):
    configure(shell, "max_rows = 7")
    shell.run_line_magic("reload_ext", "stompy_jupyter")
    assert shell.magics_manager.registry["StompMagics"].max_rows == 7


def test_a_magic_that_reads_and_is_interrupted_before_it_waits_leaves_no_subscription(
    shell, broker, monkeypatch
):
    magics = shell.magics_manager.registry["StompMagics"]
    shell.run_line_magic("stomp_connect", "{}:{}".format(*broker.address))

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(magics.notebook, "bind", interrupted)
    with pytest.raises(KeyboardInterrupt):
        shell.run_line_magic("stomp_subscribe", "/queue/q --as rows --n 5 --for 30s")
    until(lambda: "subscribed" in [event["event"] for event in broker.events()])
    until(lambda: not any(client["subscriptions"] for client in broker.clients()))


def test_a_configured_address_that_is_none_is_not_kept(shell, capsys):
    magics = shell.magics_manager.registry["StompMagics"]
    shell.run_cell("%config StompMagics.address = 'a:b:c'")
    assert magics.address == ""


def test_a_load_that_fails_leaves_nothing_behind(bare_shell, nothing_left):
    before = list(bare_shell.configurables)
    bare_shell.config.StompMagics.max_rows = 0
    try:
        with pytest.raises(traitlets.TraitError):
            bare_shell.run_line_magic("load_ext", "stompy_jupyter")
        assert bare_shell.configurables == before
    finally:
        del bare_shell.config.StompMagics["max_rows"]
        bare_shell.configurables[:] = before


def test_the_examples_of_the_overview_keep_their_lines_in_html(shell):
    shown = run(shell, "stomp")._repr_html_()
    assert "%%stomp_on prices\nprint(" not in shown
    assert "%%stomp_on prices<br>print(" in shown
