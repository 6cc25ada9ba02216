"""The magics in a real kernel: what they show, ask, complete, and how they end."""

import itertools
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

import stompy
from stompy import STOMPClient
from stompy.broker import Broker
from tests.kernel.conftest import Kernel, Platform, Result, bare_kernel, on_the_newest
from tests.unit.waiting import until

_numbers = itertools.count(1)


@pytest.fixture
def queue() -> str:
    """A queue of the test's own."""
    return f"/queue/magics-{next(_numbers)}"


def at(broker: Broker, queue: str, figure: str) -> object:
    """A figure of a queue, as the broker has it; None if it has no such queue."""
    rows = {row["destination"]: row for row in broker.destinations()}
    return rows[queue][figure] if queue in rows else None


# -- %stomp_subscribe that ends by itself ---------------------------------------------------------


@pytest.mark.parametrize(("count", "options"), [(5, "--n 5 --for 30s"), (2, "--n 5 --for 300ms")])
def test_a_subscription_ends_with_the_number_or_the_time_that_it_was_given(
    kernel: Kernel,
    broker: Broker,
    connect: str,
    sender: STOMPClient,
    queue: str,
    count: int,
    options: str,
) -> None:
    for number in range(count):
        sender.message(queue, str(number))
    kernel.ok(connect)
    result = kernel.ok(f"%stomp_subscribe {queue} --as some {options}")
    assert result.text == f"<FrameStream {queue}: {count} frames, ended>"
    assert result.seconds < 5
    assert at(broker, queue, "subscribers") in (0, None)
    assert kernel.ok("some.df['body'].tolist()").text == str([str(n) for n in range(count)])


WATCH = """
import threading, time
def watch():
    while not ("rows" in globals() and rows.received == 2): time.sleep(0.005)
    print("two are there")
threading.Thread(target=watch, daemon=True).start()
"""
"""Says when two frames have come to a stream that the running cell waits for."""


def test_a_subscription_that_is_stopped_ends_at_the_broker_and_what_has_come_is_there(
    kernel: Kernel, broker: Broker, connect: str, sender: STOMPClient, queue: str
) -> None:
    kernel.ok(connect)
    kernel.ok(WATCH)
    cell = kernel.start(f"%stomp_subscribe {queue} --as rows --n 5 --for 30s")
    for body in ("one", "two"):
        sender.message(queue, body)
    kernel.printed("two are there")
    kernel.interrupt()
    result = kernel.finish(cell)
    assert result.traceback == ["KeyboardInterrupt: what is in the background goes on"]
    assert result.seconds < 1
    assert at(broker, queue, "subscribers") in (0, None)
    assert kernel.ok("rows.state, rows.df['body'].tolist()").text == "('ended', ['one', 'two'])"


# -- %%stomp_transaction --------------------------------------------------------------------------


def test_what_a_transaction_sends_is_there_when_its_cell_has_ended_and_not_before(
    kernel: Kernel, broker: Broker, connect: str, queue: str
) -> None:
    kernel.ok(connect)
    cell = kernel.start(
        "%%stomp_transaction\n"
        f"%stomp_send {queue} part 1\n"
        f"session.send('{queue}', 'part 2')\n"
        "session.client.message('/topic/T', receipt=True).wait(5)\n"
        "input('look at the broker')\n"
        "'its value'",
        allow_stdin=True,
    )
    kernel.client.get_stdin_msg(timeout=10)
    assert at(broker, queue, "waiting") in (0, None)
    kernel.client.input("")
    assert kernel.finish(cell).text == "'its value'"
    until(lambda: at(broker, queue, "waiting") == 2)


def test_a_transaction_whose_cell_fails_aborts_and_so_do_the_cells_behind_it(
    kernel: Kernel, broker: Broker, connect: str, queue: str
) -> None:
    kernel.ok(f"{connect}\nran = []")
    first = kernel.start("input('until the others are in line')", allow_stdin=True)
    failing = kernel.start(f"%%stomp_transaction\n%stomp_send {queue} no\nhalf = 1 / len(ran)\n")
    others = [kernel.start("ran.append(1)"), kernel.start(f"%stomp_send {queue} no")]
    kernel.answer("")
    kernel.finish(first)
    result = kernel.finish(failing)
    assert [kernel.finish(request).status for request in others] == ["aborted", "aborted"]
    assert [error["ename"] for error in result.of("error")] == ["ZeroDivisionError"]
    shown = plain("\n".join(result.traceback))
    assert "<%%stomp_transaction>:2" in shown
    assert "----> 2 half = 1 / len(ran)" in shown
    assert "stompy_jupyter" not in shown
    assert "The transaction was aborted: nothing in it takes effect." in shown
    assert kernel.ok("ran, session.open_transaction").text == "([], None)"
    kernel.ok(f"%stomp_send --receipt {queue} yes")
    assert at(broker, queue, "waiting") == 1


def plain(shown: str) -> str:
    """A text without its colours."""
    return re.sub(r"\x1b\[[\d;]*m", "", shown)


# -- the passcode ---------------------------------------------------------------------------------

PASSCODE = "swordfish-asked-for"


def test_the_passcode_that_is_asked_for_reaches_the_broker_and_nothing_else(
    kernel: Kernel,
) -> None:
    with Broker(logins={"me": PASSCODE}) as broker:
        address = "{}:{}".format(*broker.address)
        cell = kernel.start(f"%stomp_connect {address} --login me --as session", allow_stdin=True)
        asked = kernel.client.get_stdin_msg(timeout=10)
        assert asked["content"] == {"prompt": "Passcode of me: ", "password": True}
        kernel.client.input(PASSCODE)
        connected = kernel.finish(cell)
        assert connected.status == "ok"
        assert [client["login"] for client in broker.clients()] == ["me"]
        results = [
            connected,
            *map(
                kernel.ok, ("%history", "In", "Out", "session", "session.client", "%stomp_status")
            ),
        ]
        request = kernel.client.history(raw=True, output=True, hist_access_type="tail", n=100)
        said = [result.messages for result in results], [result.reply for result in results]
        assert "--login me" in json.dumps(said, default=str)
        assert "swordfish" not in json.dumps([said, kernel.reply(request)], default=str)


def test_where_nobody_can_be_asked_one_line_says_how_else_to_give_a_passcode(
    kernel: Kernel,
) -> None:
    cell = kernel.start("%stomp_connect localhost --login me", allow_stdin=False)
    result = kernel.finish(cell)
    assert (result.status, result.of("error")) == ("error", [])
    assert result.printed.startswith("UsageError: no passcode for me")
    assert result.printed.endswith("say --passcode-env VARIABLE\n")
    assert result.printed.count("\n") == 1


# -- a broker that goes and comes back ------------------------------------------------------------


def test_a_lost_connection_comes_back_with_its_streams_and_says_nothing_unasked(
    fresh_kernel: Kernel, queue: str
) -> None:
    results: list[Result] = []

    def value(code: str) -> str:
        results.append(fresh_kernel.ok(code))
        return results[-1].text

    with Broker() as broker:
        value("%stomp_connect {}:{} --as session".format(*broker.address))
        value(f"%stomp_subscribe {queue} --as stream --no-widget")
        value("states = []\nsession.observe(lambda change: states.append(change.new), 'state')")
        value(f"session.send('{queue}', 'before')\nstream.wait(1, 5)")
        broker.stop()
        until(lambda: value("session.state") == "'reconnecting'")
        broker.start()
        until(lambda: value("session.state") == "'connected'", 10)
        with stompy.connect(broker.address) as sender:
            sender.message(queue, "after")
            assert value("stream.wait(2, 5)\nstream.df['body'].tolist()") == "['before', 'after']"
        assert value("states") == "['reconnecting', 'connected']"
        value("status = %stomp_status")
        assert value("int(status.set_index('session')['reconnects']['session'])") == "1"
        value("%stomp_disconnect session")
    told = {message["msg_type"] for result in results for message in result.messages}
    shown = {"execute_result", "display_data", "update_display_data"}
    assert told == {"status", "execute_input", *shown}


# -- completion -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "typed", "matches"),
    [
        ("%stomp_subscribe --ma|", "--ma", ["--max-rows", "--max-bytes"]),
        ("%stomp_subscribe /queue/known-|", "/queue/known-", ["/queue/known-destination"]),
        ("smile = '\N{GRINNING FACE}'\n%stomp_wait some_st| --n 1", "some_st", ["some_stream"]),
        ("rows = %stomp_subscribe /queue/q --on some_se|", "some_se", ["some_session"]),
        ("%stomp_subscribe --ack client-|", "client-", ["client-individual"]),
        ("%%stomp_on some_stream\nprint(frame.dest|)", "dest", ["destination"]),
        ("%%stomp_on some_stream\nprint(frame.destination, isinst|)", "isinst", ["isinstance"]),
    ],
)
def test_tab_completes_what_can_stand_there_and_replaces_what_is_typed(
    kernel: Kernel, connect: str, code: str, typed: str, matches: list[str]
) -> None:
    kernel.ok(connect.replace("--as session", "--as some_session"))
    kernel.ok("%stomp_subscribe /queue/known-destination --as some_stream --no-widget")
    cursor = code.index("|")
    code = code.replace("|", "")
    found = kernel.reply(kernel.client.complete(code, cursor))["content"]
    assert found["matches"] == matches
    assert code[found["cursor_start"] : found["cursor_end"]] == typed
    assert found["cursor_end"] == cursor


# -- configuration --------------------------------------------------------------------------------

CONFIG = """
c.MagicsManager.lazy_magics = {"stomp_connect": "stompy_jupyter", "stomp": "stompy_jupyter"}
c.StompMagics.max_rows = 5
c.StompMagics.short_errors = False
"""


@pytest.fixture
def configured(
    tmp_path: Path, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Kernel]:
    """A kernel without %load_ext, in whose profile is `CONFIG`."""
    profile = tmp_path / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_config.py").write_text(CONFIG)
    monkeypatch.setenv("IPYTHONDIR", str(profile.parent))
    with bare_kernel(tmp_path, platform) as kernel:
        yield kernel


@on_the_newest
def test_with_a_line_in_the_profile_the_magics_are_there_without_load_ext(
    configured: Kernel,
) -> None:
    assert "%stomp_connect [--as NAME]" in help_of(configured, "%stomp_connect")
    assert "connected" in configured.ok("%stomp_connect --as session").text
    configured.ok("%stomp_subscribe /queue/q --as stream")
    configured.ok("%stomp_send --repeat 7 /queue/q body\n%stomp_wait stream --n 7")
    assert configured.ok("len(stream), stream.dropped").text == "(5, 2)"
    assert "Traceback" in plain(
        "\n".join(configured.run("%stomp_wait --timeout 0.1 --n 9").traceback)
    )


@on_the_newest
def test_whether_errors_are_short_can_be_changed_at_any_time(kernel: Kernel, connect: str) -> None:
    def error() -> str:
        return plain("\n".join(kernel.run("%stomp_wait stream --timeout 0.1").traceback))

    kernel.ok(f"{connect}\n%stomp_subscribe /topic/T --as stream --no-widget")
    kernel.ok("%config StompMagics.short_errors = False")
    assert "Traceback" in error()
    kernel.ok("%config StompMagics.short_errors = True")
    assert error().startswith("STOMPTimeout: 0 of 1 frames")


# -- help -----------------------------------------------------------------------------------------


def help_of(kernel: Kernel, magic: str) -> str:
    """What a front end shows for a magic, e.g. ``"%stomp"``, without its colours."""
    found = kernel.reply(kernel.client.inspect(magic, len(magic)))["content"]
    assert found["found"]
    return plain(found["data"]["text/plain"])


@on_the_newest
def test_every_magic_explains_itself_with_its_arguments_and_an_example(kernel: Kernel) -> None:
    kernel.ok("magics = get_ipython().magics_manager.magics")
    lines, cells = (
        eval(kernel.ok(f"[name for name in magics['{kind}'] if name.startswith('stomp')]").text)
        for kind in ("line", "cell")
    )
    assert {"stomp", "stomp_subscribe"} <= set(lines)
    assert {"stomp_on", "stomp_transaction"} <= set(cells)
    for magic in [*(f"%{name}" for name in lines), *(f"%%{name}" for name in cells)]:
        explained = help_of(kernel, magic)
        assert f"%{magic.lstrip('%')}" in explained
        assert "Example::" in explained
        [page] = kernel.ok(f"{magic}?").reply["payload"]
        assert plain(page["data"]["text/plain"]) == explained


class Tags(HTMLParser):
    """The tags of a piece of HTML, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@on_the_newest
def test_the_list_of_all_magics_is_text_and_a_table_in_which_nothing_acts(kernel: Kernel) -> None:
    [shown] = kernel.ok("%stomp").of("execute_result")
    table = Tags(shown["data"]["text/html"])
    assert table.tags <= {"table", "caption", "thead", "tr", "th", "tbody", "td", "br"}
    for text in (shown["data"]["text/plain"], table.text):
        assert "%stomp_subscribe /topic/prices --as prices" in text
        assert '{"symbol": "ABC", "price": 42.0}' in text
