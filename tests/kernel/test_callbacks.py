"""What is called for each frame, in a real kernel: where its output goes, and what it cannot stop.

The frames come from outside of the kernel; what a callback prints, displays or raises belongs to
the cell that has made it one, whatever the kernel does by then.
"""

import itertools
import json

import pytest

from stompy import STOMPClient
from stompy.broker import Broker
from tests.kernel.conftest import Kernel, Message, Result, on_the_newest, parent
from tests.unit.waiting import until

_numbers = itertools.count(1)


@pytest.fixture
def queue(kernel: Kernel, connect: str) -> str:
    """A queue of the test's own, which the kernel has as `stream`."""
    name = f"/queue/callbacks-{next(_numbers)}"
    kernel.ok(f"{connect}\n%stomp_subscribe {name} --as stream --no-widget")
    return name


def on(kernel: Kernel, cell: str, line: str = "stream") -> str:
    """Give the stream a callback, and return the request of the cell."""
    request = kernel.start(f"%%stomp_on {line}\n{cell}")
    assert kernel.finish(request).status == "ok"
    return request


def published(kernel: Kernel, kind: str, text: str) -> Message:
    """The message by which a text is shown."""
    return kernel.published(lambda m: m["msg_type"] == kind and text in json.dumps(m["content"]))


def called(kernel: Kernel, count: int = 1) -> Result:
    """Wait in a cell until the callback has been called so often."""
    return kernel.ok(f"import time\nwhile stream.stats['calls'] < {count}: time.sleep(0.005)")


# -- what it shows --------------------------------------------------------------------------------

SHOWING = """
import logging, sys
from IPython.display import clear_output
print("printed " + frame.text)
print("complained " + frame.text, file=sys.stderr)
logging.warning("logged %s", frame.text)
display(frame)
display("before", display_id="x").update("updated " + frame.text)
clear_output()
raise ValueError("raised " + frame.text)
"""
SHOWN = [
    ("stream", "printed one"),
    ("stream", "complained one"),
    ("stream", "logged one"),
    ("stream", "ValueError: raised one"),
    ("display_data", "<td>one</td>"),
    ("update_display_data", "updated one"),
    ("clear_output", "false"),
]
"""A callback that shows something in every way there is, and by what messages.

What one print() is given in parts may be published in parts; hence each has one text."""


def where_it_is_shown(kernel: Kernel) -> set[str]:
    """The requests of the cells under which the callback shows what it shows."""
    return {parent(published(kernel, kind, text)) for kind, text in SHOWN}


def test_while_the_kernel_is_idle_all_that_a_callback_shows_is_under_its_own_cell(
    kernel: Kernel, queue: str, sender: STOMPClient
) -> None:
    registering = on(kernel, SHOWING)
    kernel.ok("'a later cell'")
    sender.message(queue, "one")
    assert where_it_is_shown(kernel) == {registering}


@pytest.mark.parametrize("pause", ["time.sleep(0.005)", "await asyncio.sleep(0.005)"])
def test_while_a_later_cell_runs_each_has_what_is_its_own(
    kernel: Kernel, queue: str, sender: STOMPClient, pause: str
) -> None:
    kernel.ok("import asyncio, time")
    registering = on(kernel, SHOWING)
    later = kernel.start(
        f"print('begun')\nwhile not stream.stats['calls']: {pause}\nprint('ended')\n"
        "display('displayed')\n'result'"
    )
    kernel.printed("begun")
    sender.message(queue, "one")
    assert where_it_is_shown(kernel) == {registering}
    result = kernel.finish(later)
    assert result.printed == "begun\nended\n"
    assert [own["data"]["text/plain"] for own in result.of("display_data")] == ["'displayed'"]
    assert result.text == "'result'"
    assert not result.of("update_display_data") + result.of("clear_output") + result.of("error")


def test_an_exception_is_shown_once_for_each_place_with_the_line_that_raised_it(
    kernel: Kernel, queue: str, sender: STOMPClient
) -> None:
    registering = on(kernel, "x = 1\nif frame.text == 'other':\n    int('?')\n1 / 0")
    for body in ("one", "two", "other", "other"):
        sender.message(queue, body)
    result = called(kernel, 4)
    streams = [m for m in result.messages if m["msg_type"] == "stream"]
    assert {parent(m) for m in streams} == {registering}
    assert {m["content"]["name"] for m in streams} == {"stderr"}
    shown = "".join(m["content"]["text"] for m in streams)
    assert shown.count("ZeroDivisionError: division by zero") == 1
    assert shown.count("ValueError: invalid literal") == 1
    assert 'File "<%%stomp_on stream' in shown
    assert '>", line 4, in callback\n    1 / 0\n' in shown
    assert "stompy_jupyter" not in shown
    assert kernel.ok("stream.stats['callback_errors']").text == "4"


def test_running_it_again_moves_the_output_to_the_new_cell(
    kernel: Kernel, queue: str, sender: STOMPClient
) -> None:
    before = on(kernel, "print('before: ' + frame.text)")
    sender.message(queue, "one")
    assert parent(published(kernel, "stream", "before: one")) == before
    after = on(kernel, "print('after: ' + frame.text)")
    sender.message(queue, "two")
    assert parent(published(kernel, "stream", "after: two")) == after
    called(kernel, 2)


def test_off_ends_it(kernel: Kernel, queue: str, sender: STOMPClient) -> None:
    on(kernel, "print('called with ' + frame.text)")
    sender.message(queue, "one")
    published(kernel, "stream", "called with one")
    kernel.ok("%stomp_on stream --off\nothers = []")
    kernel.ok("stream.on_frame(lambda frame: others.append(frame.text))")
    sender.message(queue, "two")
    result = called(kernel)
    assert not [m for m in result.messages if m["msg_type"] == "stream"]
    assert kernel.ok("others").text == "['two']"


def test_what_it_assigns_are_the_notebooks_variables(
    kernel: Kernel, queue: str, sender: STOMPClient
) -> None:
    kernel.ok("total = 0")
    on(kernel, "import decimal\ntotal += decimal.Decimal(frame.text)\nlast: str = frame.text")
    for price in ("1.5", "2"):
        sender.message(queue, price)
    called(kernel, 2)
    assert kernel.ok("total, last, decimal.__name__").text == "(Decimal('3.5'), '2', 'decimal')"
    assert kernel.ok("'frame' in globals(), 'client' in globals()").text == "(False, False)"


def test_a_function_prints_under_the_cell_that_has_given_it_to_the_stream(
    kernel: Kernel, queue: str, sender: STOMPClient
) -> None:
    kernel.ok("def show(frame): print('shown: ' + frame.text)")
    registering = kernel.start("stream.on_frame(show)")
    kernel.finish(registering)
    kernel.ok("'a later cell'")
    sender.message(queue, "one")
    assert parent(published(kernel, "stream", "shown: one")) == registering


def test_a_callback_may_use_magics(kernel: Kernel, queue: str, sender: STOMPClient) -> None:
    on(kernel, f"%stomp_send {queue}-replies thanks\nstatus = %stomp_status")
    kernel.ok(f"%stomp_subscribe {queue}-replies --as replies --no-widget")
    sender.message(queue, "one")
    assert kernel.ok("replies.wait(1, 10)\nreplies.df['body'].tolist()").text == "['thanks']"


# -- what it acknowledges -------------------------------------------------------------------------


def test_with_ack_what_returns_is_acknowledged_and_what_raises_comes_again(
    kernel: Kernel, connect: str, broker: Broker, sender: STOMPClient
) -> None:
    queue = f"/queue/acknowledged-{next(_numbers)}"
    kernel.ok(f"{connect}\n%stomp_subscribe {queue} --as stream --ack client-individual")
    on(kernel, "if frame.text == 'bad' and 'redelivered' not in frame: 1 / 0", "stream --ack")
    for body in ("good", "bad"):
        sender.message(queue, body)
    called(kernel, 3)

    def at_the_broker() -> dict[str, object]:
        return next(row for row in broker.destinations() if row["destination"] == queue)

    until(lambda: at_the_broker()["acknowledged"] == 2)
    assert {"redelivered": 1, "unacknowledged": 0, "waiting": 0}.items() <= at_the_broker().items()
    assert kernel.ok("stream.df['body'].tolist()").text == "['good', 'bad', 'bad']"
    assert kernel.ok("stream.stats['callback_errors'], stream.unacknowledged").text == "(1, [])"


def happened(broker: Broker) -> list[tuple[object, object]]:
    """The events of a broker, and where."""
    return [(event["event"], event["destination"]) for event in broker.events()]


def test_with_ack_what_raises_every_time_is_put_aside_by_the_broker(
    kernel: Kernel, connect: str, broker: Broker, sender: STOMPClient
) -> None:
    queue = f"/queue/refused-{next(_numbers)}"
    kernel.ok(f"{connect}\n%stomp_subscribe {queue} --as stream --ack client-individual")
    on(kernel, "raise ValueError(frame.text)", "stream --ack")
    sender.message(queue, "bad")
    until(lambda: ("dead letter", queue) in happened(broker))
    assert kernel.ok("set(stream.df['body'])").text == "{'bad'}"


# -- what it cannot stop --------------------------------------------------------------------------

ENDLESS = "print('stuck')\nwhile not released: pass"
ASLEEP = "import time\nprint('stuck')\nwhile not released: time.sleep(0.01)"
"""Callbacks that do not end before the notebook sets the variable `released`."""


def get_stuck(kernel: Kernel, connect: str, sender: STOMPClient, cell: str) -> str:
    """Have a callback called that does not end; returns the request of its cell."""
    queue = f"/queue/stuck-{next(_numbers)}"
    kernel.ok(f"released = False\n{connect}\n%stomp_subscribe {queue} --as stream --no-widget")
    registering = on(kernel, cell)
    sender.message(queue, "one")
    published(kernel, "stream", "stuck")
    return registering


@on_the_newest
def test_a_callback_that_does_not_end_holds_up_neither_cells_nor_the_end_of_the_extension(
    kernel: Kernel, connect: str, sender: STOMPClient
) -> None:
    get_stuck(kernel, connect, sender, ENDLESS)
    try:
        assert kernel.ok("1 + 1").seconds < 2
        assert kernel.ok("%unload_ext stompy_jupyter").seconds < 4
        assert kernel.ok("1 + 1").seconds < 2
    finally:
        kernel.ok("released = True")
        kernel.ok("%load_ext stompy_jupyter")


@pytest.mark.parametrize(
    ("cell", "restart"), [(ENDLESS, True), (ASLEEP, False)], ids=["endless", "asleep"]
)
def test_a_kernel_says_goodbye_and_ends_in_time_though_a_callback_does_not_end(
    fresh_kernel: Kernel,
    broker: Broker,
    connect: str,
    sender: STOMPClient,
    cell: str,
    restart: bool,
) -> None:
    get_stuck(fresh_kernel, connect, sender, cell)
    already = len(broker.events())
    assert fresh_kernel.shut_down(restart) < 5
    until(lambda: "DISCONNECT" in [event["detail"] for event in broker.events()[already:]])
    if restart:
        fresh_kernel.restart()
        assert fresh_kernel.ok("1 + 1").text == "2"


def test_a_callback_goes_on_when_a_cell_is_stopped(
    kernel: Kernel, connect: str, sender: STOMPClient
) -> None:
    registering = get_stuck(kernel, connect, sender, f"{ASLEEP}\nprint('went on')")
    running = kernel.start("print('begun')\ntime.sleep(30)")
    kernel.printed("begun")
    kernel.interrupt()
    stopped = kernel.finish(running)
    assert [error["ename"] for error in stopped.of("error")] == ["KeyboardInterrupt"]
    assert kernel.ok("stream.stats['waiting']").text == "1"
    releasing = kernel.start("released = True")
    assert parent(published(kernel, "stream", "went on")) == registering
    kernel.finish(releasing)
    called(kernel, 1)
    assert kernel.ok("stream.stats['callback_errors']").text == "0"


# -- beside it: a cell that awaits ----------------------------------------------------------------


def test_while_a_cell_awaits_frames_other_coroutines_go_on(kernel: Kernel, queue: str) -> None:
    kernel.ok(
        "import asyncio\n"
        "begin = asyncio.Event()\n"
        "async def send_slowly():\n"
        "    await begin.wait()\n"
        "    for number in range(5):\n"
        "        await asyncio.sleep(0.01)\n"
        f"        session.send('{queue}', str(number))\n"
        "sending = asyncio.create_task(send_slowly())"
    )
    result = kernel.ok("begin.set()\nbefore = stream.received\nawait stream.wait_async(5, 10)")
    assert result.text == "5"
    assert kernel.ok("before").text == "0"


def test_a_cell_that_awaits_frames_and_is_stopped_ends_within_a_second(
    kernel: Kernel, queue: str, sender: STOMPClient
) -> None:
    cell = kernel.start("print('begun')\nawait stream.wait_async(2, 30)")
    kernel.printed("begun")
    kernel.interrupt()
    result = kernel.finish(cell)
    assert result.status == "error"
    assert result.seconds < 1
    sender.message(queue, "one")
    assert kernel.ok("await stream.wait_async(1, 10)").text == "1"


def test_a_cell_that_awaits_what_does_not_come_says_so_with_the_line_that_did(
    kernel: Kernel, queue: str
) -> None:
    shown = "\n".join(kernel.run("await stream.wait_async(2, 0.1)").traceback)
    assert "STOMPTimeout" in shown
    assert "0 of 2 frames had come after 0.1 s" in shown
    assert "Cell" in shown
