"""What a session does in a real kernel while cells run, are stopped, wait in line, or none runs."""

import itertools
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stompy import STOMPClient
from stompy.broker import Broker
from tests.kernel.conftest import Kernel, Message, Platform, bare_kernel, on_the_newest
from tests.unit.waiting import until

SUBSCRIBE = "%stomp_subscribe /topic/T --as stream"


def window(message: Message) -> dict[str, Any] | None:
    """What a message tells a widget, if it tells it anything."""
    if message["msg_type"] != "comm_msg" or message["content"]["data"]["method"] != "custom":
        return None
    content: dict[str, Any] = message["content"]["data"]["content"]
    return content


def windows(messages: list[Message]) -> list[dict[str, Any]]:
    """What the widgets were told."""
    return list(filter(None, map(window, messages)))


def shows(message: Message, received: int) -> bool:
    """Whether a message tells a widget that so many frames have come."""
    told = window(message)
    return told is not None and told["streams"][0]["received"] == received


# -- while cells run ----------------------------------------------------------------------------


@pytest.mark.parametrize("pause", ["time.sleep(0.01)", "await asyncio.sleep(0.01)"])
def test_frames_are_filed_and_shown_while_a_cell_blocks_or_awaits(
    kernel: Kernel, connect: str, sender: STOMPClient, pause: str
) -> None:
    kernel.ok(connect)
    kernel.ok(SUBSCRIBE)
    cell = kernel.start(
        f"import asyncio, time\nwhile stream.received < 5: {pause}\nstream.received"
    )
    for count in range(1, 6):
        sender.message("/topic/T", str(count))
        kernel.published(partial(shows, received=count))
    assert kernel.finish(cell).text == "5"


@on_the_newest
def test_the_browser_gets_ten_small_messages_a_second_at_the_most(kernel: Kernel) -> None:
    kernel.ok("%stomp_connect --as session")
    kernel.ok(SUBSCRIBE)
    result = kernel.ok(
        "import time\n"
        "end = time.monotonic() + 2\n"
        "while time.monotonic() < end: session.send('/topic/T', 'x' * 100_000)\n"
        "time.sleep(0.3)"
    )
    sent = windows(result.messages)
    assert 5 <= len(sent) <= 25
    assert max(len(json.dumps(told)) for told in sent) < 128 * 1024


@pytest.mark.parametrize("wait", ["%stomp_wait stream --n 9", "stream.wait(9)"])
def test_a_wait_that_is_stopped_ends_at_once_and_the_session_counts_on(
    kernel: Kernel, connect: str, sender: STOMPClient, wait: str
) -> None:
    kernel.ok(f"{connect}\n{SUBSCRIBE}")
    cell = kernel.start(f"print('begun')\n{wait}")
    kernel.printed("begun")
    kernel.interrupt()
    result = kernel.finish(cell)
    assert result.seconds < 1
    assert [error["ename"] for error in result.of("error")] == ["KeyboardInterrupt"]
    for count in range(9):
        sender.message("/topic/T", str(count))
    assert kernel.ok(f"{wait}").text == "9"


def test_cells_that_wait_in_line_run_in_order_behind_one_that_waits_for_frames(
    kernel: Kernel, connect: str, sender: STOMPClient
) -> None:
    kernel.ok(f"{connect}\n{SUBSCRIBE}")
    first = kernel.start("print('begun')\n%stomp_wait stream --n 2")
    queued = [kernel.start("stream.df['body'].tolist()"), kernel.start("%stomp_wait stream --n 3")]
    kernel.printed("begun")
    for body in "abc":
        sender.message("/topic/T", body)
    results = [kernel.finish(request) for request in (first, *queued)]
    assert [result.status for result in results] == ["ok", "ok", "ok"]
    assert results[1].text.startswith("['a', 'b'")
    assert results[2].text == "3"


@on_the_newest
def test_a_replay_fills_a_table_and_its_view_without_a_broker(kernel: Kernel) -> None:
    kernel.ok("%stomp_connect --as session\n%stomp_subscribe /topic/T --as stream")
    for count, body in enumerate("abc", 1):
        kernel.ok(f"session.send('/topic/T', {body!r})\nstream.wait({count}, 10)")
    assert kernel.ok("stream.save('saved.stompcap')").text == "3"
    kernel.ok("%stomp_disconnect\n%stomp_broker stop")
    for speed, count in ("1e-9", 1), ("max", 3):
        cell = kernel.start(f"%stomp_replay saved.stompcap --speed {speed} --as again")
        kernel.published(partial(shows, received=count))
        kernel.finish(cell)
    kernel.ok("%stomp_wait again --n 3 --timeout 10s")
    assert kernel.ok("again.df.equals(stream.df)").text == "True"


# -- coming and going ---------------------------------------------------------------------------

TRACES = """
import threading
def traces():
    shell = get_ipython()
    return {
        "magics": {k: sorted(found) for k, found in shell.magics_manager.magics.items()},
        "configurables": [c for c in shell.configurables if "Stomp" in type(c).__name__],
        "matchers": [getattr(m, "__qualname__", repr(m)) for m in shell.Completer.matchers],
        "events": {name: len(found) for name, found in shell.events.callbacks.items()},
        "shown": len(shell.display_formatter.mimebundle_formatter.type_printers),
        "transformers": len(shell.input_transformers_cleanup + shell.input_transformers_post),
        "threads": sorted(t.name for t in threading.enumerate() if "stomp" in t.name),
    }
"""
"""What an extension may leave in IPython."""


def test_the_extension_leaves_nothing_behind_however_often_it_comes_and_goes(
    tmp_path: Path, platform: Platform
) -> None:
    with bare_kernel(tmp_path, platform) as kernel:
        kernel.ok("import stompy_jupyter.magics")  # modules may stay
        kernel.ok(TRACES + "before = traces()")
        for _ in range(3):
            kernel.ok("%load_ext stompy_jupyter\n%load_ext stompy_jupyter")
            kernel.ok(f"%stomp_connect\n{SUBSCRIBE}")
            kernel.ok("stream")
            for _ in range(2):
                kernel.ok("%reload_ext stompy_jupyter")
                kernel.ok(f"%stomp_connect\n{SUBSCRIBE}")
            kernel.ok("%unload_ext stompy_jupyter")
            assert kernel.ok("{k: v for k, v in traces().items() if v != before[k]}").text == "{}"
            assert kernel.ok("stream.live").text == "False"
            assert kernel.run("%stomp_status").status == "error"
        kernel.ok("%reload_ext stompy_jupyter")
        kernel.ok("%stomp_connect")


@pytest.mark.parametrize("restart", [False, True])
def test_a_kernel_that_is_to_end_says_goodbye_to_the_broker_and_ends_by_itself(
    fresh_kernel: Kernel, broker: Broker, connect: str, restart: bool
) -> None:
    already = len(broker.events())

    def events() -> list[tuple[object, object]]:
        return [(event["event"], event["detail"]) for event in broker.events()[already:]]

    fresh_kernel.ok(f"{connect}\n{SUBSCRIBE}")
    fresh_kernel.ok("stream")
    assert fresh_kernel.shut_down(restart) < 3
    until(lambda: ("disconnected", "DISCONNECT") in events())
    if restart:
        fresh_kernel.restart()
        fresh_kernel.ok("%load_ext stompy_jupyter")
        assert "connected" in fresh_kernel.ok(connect).text


def test_running_a_cell_again_replaces_what_it_made(kernel: Kernel) -> None:
    count = "sum(t.name.startswith('stomp-reader') for t in threading.enumerate())"
    kernel.ok("import threading\n%stomp_connect --as session")
    readers = kernel.ok(count).text
    for _ in range(3):
        kernel.ok("%stomp_connect --as session")
        kernel.ok(SUBSCRIBE)
        kernel.ok(SUBSCRIBE)
    kernel.ok("%stomp_send /topic/T once")
    kernel.ok("%stomp_wait stream --timeout 10")
    kernel.ok("session.send('/topic/T', 'twice')\nstream.wait(2, 10)")
    assert kernel.ok("stream.df['body'].tolist()").text == "['once', 'twice']"
    assert kernel.ok(count).text == readers


# -- what is said -------------------------------------------------------------------------------


@on_the_newest
def test_a_body_is_sent_as_it_stands(kernel: Kernel) -> None:
    kernel.ok("%stomp_connect\n%stomp_subscribe /queue/Q --as stream\nx = 1")
    bodies = ['{"a": {"b": "{x}"}, "c": "$x"}', "it's -> --header {{x}}", "two\nlines"]
    for count, body in enumerate(bodies, 1):
        kernel.ok(f"%%stomp_send /queue/Q --header 'k: a:b'\n{body}")
        kernel.ok(f"stream.wait({count}, 10)")
    kernel.ok(f"%stomp_send /queue/Q {bodies[0]}\nstream.wait(4, 10)")
    received = eval(kernel.ok("stream.df['body'].tolist()").text)
    assert received == [*bodies, bodies[0]]
    assert kernel.ok("stream.df['k'].tolist()[:3]").text == "['a:b', 'a:b', 'a:b']"


@on_the_newest
def test_the_passcode_is_in_nothing_that_the_kernel_publishes(kernel: Kernel) -> None:
    results = [
        kernel.run(code)
        for code in (
            "%env STOMP_SECRET=hunter2-very-secret",
            "%stomp_connect --login me --passcode-env STOMP_SECRET --as session",
            "session",
            "session.client",
            "%stomp_subscribe /topic/T --as stream",
            "stream",
            "%stomp_status",
            "%stomp_connect stomp://me:hunter2-very-secret@127.0.0.1:1",
            "%stomp_connect stomp://me:hunter2-very-secret@127.0.0.1:nonsense",
            "%stomp_connect tcp://me:hunter2-very-secret@127.0.0.1:1",
        )
    ]
    assert [r.status for r in results] == ["ok"] * 7 + ["error"] * 3
    published = itertools.chain.from_iterable(r.messages for r in results[1:])
    shown = [m for m in published if m["msg_type"] not in ("execute_input", "status")]
    assert shown
    assert "hunter2" not in json.dumps(shown, default=str)
