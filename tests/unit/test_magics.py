"""The %stomp_… magics, in a real IPython shell against the embedded broker."""

import gc
import socket
import weakref
from typing import Any

import pytest
from IPython.core.error import UsageError

import stompy
from stompy import STOMPConnectError, STOMPError
from stompy.broker import Faults
from stompy_jupyter import FrameStream, StompSession
from stompy_jupyter.embedded import embedded_broker
from tests.processes import free_port
from tests.unit.waiting import until


def run(shell: Any, magic: str, line: str = "") -> Any:
    return shell.run_line_magic(magic, line)


def sessions(shell: Any) -> dict[str, StompSession]:
    return shell.magics_manager.registry["StompMagics"].sessions


def received(stream: FrameStream, count: int = 1) -> list[str]:
    stream.wait(count, timeout=5)
    return stream.df["body"].tolist()


@pytest.fixture
def queue(shell: Any) -> FrameStream:
    """A stream of /queue/q, on a session of the shell."""
    run(shell, "stomp_connect", "--as s")
    return run(shell, "stomp_subscribe", "/queue/q --as q")


# -- %stomp_connect and %stomp_disconnect ----------------------------------------------------


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


# -- %stomp_subscribe and %stomp_wait --------------------------------------------------------


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


# -- %stomp_send -----------------------------------------------------------------------------


BODIES = [
    '{"symbol": "ABC", "price": {x}}',
    "$x ${x} {x} {{x}}",
    "a -> b --header 'c: d' -H e --on f",
    "it's \"unbalanced",
    "--force",
    "# no comment; 100 % ? !",
    "two  spaces\tand a tab",
    "grün ☃ 😀",
    "back\\slash\\n",
]


@pytest.mark.parametrize("body", BODIES)
def test_the_rest_of_the_line_is_sent_as_it_stands(shell, queue, body):
    shell.user_ns["x"] = "expanded"
    shell.run_cell(f"%stomp_send /queue/q {body}").raise_error()
    assert received(queue) == [body]


@pytest.mark.parametrize(
    "body", [*BODIES, "two\nlines", "\nempty lines\n\n", "  indented\n", "%magic", ""]
)
def test_the_cell_is_sent_as_it_stands(shell, queue, body):
    shell.user_ns["x"] = "expanded"
    shell.run_cell(f"%%stomp_send /queue/q\n{body}\n").raise_error()
    assert received(queue) == [body]


def test_only_the_last_line_end_of_a_cell_is_not_sent(shell, queue):
    shell.run_cell_magic("stomp_send", "/queue/q", "a\n\n")
    shell.run_cell_magic("stomp_send", "/queue/q", "b")
    assert received(queue, 2) == ["a\n", "b"]


@pytest.mark.parametrize(
    ("typed", "name", "value"),
    [
        ("--header 'currency: EUR'", "currency", "EUR"),
        ('--header "currency: EUR"', "currency", "EUR"),
        ("--header currency:EUR", "currency", "EUR"),
        ("--header=currency:EUR", "currency", "EUR"),
        ("-H 'at: 12:30'", "at", "12:30"),
        ("-H 'empty:'", "empty", ""),
        ("""-H "selector: color = 'red'" """, "selector", "color = 'red'"),
        ("""-H 'etag: "abc"'""", "etag", '"abc"'),
        ("-H 'dollar: {x} $x'", "dollar", "{x} $x"),
    ],
)
def test_a_header_may_be_written_in_many_ways(shell, queue, typed, name, value):
    shell.user_ns["x"] = "expanded"
    run(shell, "stomp_send", f"{typed} /queue/q a")
    shell.run_cell_magic("stomp_send", f"/queue/q {typed}", "a\n")
    assert received(queue, 2) == ["a", "a"]
    assert queue.table.arrow()[name].to_pylist() == [value, value]


def test_several_headers_and_a_session_go_before_the_destination(shell, queue):
    run(shell, "stomp_connect", "--as newer")
    run(shell, "stomp_send", "-H a:1 --on s --header 'b: 2' /queue/q -H c:3")
    assert received(queue) == ["-H c:3"]
    assert queue.df[["a", "b"]].values.tolist() == [[1, 2]]


def test_two_dashes_end_the_options(shell, queue):
    run(shell, "stomp_send", "-H a:1 -- /queue/q --body")
    assert received(queue) == ["--body"]


@pytest.mark.parametrize("quote", ["'", '"'])
def test_quotes_around_a_destination_are_not_part_of_it(shell, quote):
    run(shell, "stomp_connect")
    stream = run(shell, "stomp_subscribe", f"{quote}/queue/a b{quote} --as q")
    assert stream.destination == "/queue/a b"
    run(shell, "stomp_send", f"{quote}/queue/a b{quote} line")
    shell.run_cell_magic("stomp_send", f"{quote}/queue/a b{quote}", "cell\n")
    stream.session.send("/queue/a b", "python")
    assert received(stream, 3) == ["line", "cell", "python"]


def test_what_is_sent_reaches_other_clients(shell, broker):
    with stompy.connect(broker.address) as client:
        client.subscribe("/queue/q")
        run(shell, "stomp_connect", "{}:{}".format(*broker.address))
        run(shell, "stomp_send", "/queue/q grün")
        frame = client.recv(timeout=5)
        assert (frame.text, frame["content-type"]) == ("grün", "text/plain;charset=utf-8")


def test_the_newest_session_is_used_where_none_is_named(shell, broker):
    run(shell, "stomp_connect", "--as old")
    new = run(shell, "stomp_connect", "{}:{} --as new".format(*broker.address))
    assert run(shell, "stomp_subscribe", "/topic/t").session is new
    old = run(shell, "stomp_connect", "--as old")
    assert run(shell, "stomp_subscribe", "/topic/t").session is old


# -- %stomp_status ---------------------------------------------------------------------------


def test_the_status_has_a_row_for_each_stream(shell, queue):
    run(shell, "stomp_subscribe", "/topic/t --ack client")
    run(shell, "stomp_send", "/queue/q a")
    queue.wait(1, timeout=5)
    address = queue.session.address
    rows = run(shell, "stomp_status").drop(columns=["session", "address", "state"])
    assert rows.to_dict("split")["data"] == [
        ["q", "/queue/q", "auto", 1, 0, True],
        ["/topic/t", "/topic/t", "client", 0, 0, True],
    ]
    known = run(shell, "stomp_status")[["session", "address", "state"]].drop_duplicates()
    assert known.values.tolist() == [["s", address, "connected"]]


def test_the_status_of_nothing_is_an_empty_table(shell):
    status = run(shell, "stomp_status")
    assert len(status) == 0
    assert {"session", "state", "stream", "received"} <= set(status.columns)


def test_the_status_shows_a_session_without_streams_and_one_that_is_lost(shell, broker):
    run(shell, "stomp_connect", "{}:{} --as s".format(*broker.address))
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


# -- errors ----------------------------------------------------------------------------------


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
        ("stomp_wait", ""),
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


def shown_error(shell: Any, capsys: pytest.CaptureFixture[str], code: str) -> list[str]:
    """The lines that a notebook shows for the error of a cell."""
    capsys.readouterr()
    result = shell.run_cell(code)
    assert isinstance(result.error_in_exec, STOMPError)
    lines = result.error_in_exec._render_traceback_()
    assert capsys.readouterr().out.splitlines() == lines
    assert 2 <= len(lines) <= 3
    return lines


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


# -- help and display ------------------------------------------------------------------------


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


# -- %stomp_broker ---------------------------------------------------------------------------


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
