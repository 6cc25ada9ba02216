"""What this package takes for granted of IPython and ipykernel, on each that matters.

None of it is our code. Where one of these fails with a new release, the design that rests on it is
to be looked at.
"""

import json
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.kernel.conftest import INSTALLED, Kernel, Platform, bare_kernel, parent

WORKER = """
import asyncio, contextvars, queue, sys, threading, time
from IPython.display import clear_output, display
jobs = queue.Queue()
def work():
    while True:
        job, done = jobs.get()
        job()
        done.set()
def do(job):
    done = threading.Event()
    jobs.put((job, done))
    return done
threading.Thread(target=work, daemon=True).start()
"""
"""A thread that was there before the cells that have it do something."""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory, platform: Platform) -> Iterator[Kernel]:
    """One kernel for all, with a thread that works in the background."""
    with bare_kernel(tmp_path_factory.mktemp("platform"), platform) as kernel:
        kernel.ok(WORKER)
        yield kernel


def test_the_kernel_has_the_ipykernel_that_it_is_to_have(
    kernel: Kernel, platform: Platform
) -> None:
    running = kernel.ok("import ipykernel; print(ipykernel.__version__)").printed.strip()
    if platform.name == INSTALLED:
        assert running == version("ipykernel")
    else:
        assert running.startswith(f"{platform.name}.")


# -- output of threads: the %%stomp_on of an earlier cell -------------------------------------


def owner(kernel: Kernel, kind: str, text: str) -> str:
    """The request of the cell under which something is shown."""
    return parent(
        kernel.published(lambda m: m["msg_type"] == kind and text in json.dumps(m["content"]))
    )


def test_a_late_print_goes_to_some_cell_by_itself(kernel: Kernel, platform: Platform) -> None:
    """Hence no thread of ours prints without a context."""
    first = kernel.start(WORKER)
    kernel.finish(first)
    last = kernel.start("do(lambda: print('late'))")
    assert owner(kernel, "stream", "late") == (first if platform.name == "6.31" else last)
    kernel.finish(last)


@pytest.mark.parametrize("until_done", ["{}.wait()", "await asyncio.to_thread({}.wait)"])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_in_the_context_of_a_cell_a_thread_prints_under_it(
    kernel: Kernel, stream: str, until_done: str
) -> None:
    registering = kernel.start("context = contextvars.copy_context()")
    kernel.finish(registering)
    said = f"do(lambda: context.copy().run(print, 'its own', file=sys.{stream}))"
    running = kernel.start(f"print('begun'); {until_done.format(said)}; print('ended')")
    assert owner(kernel, "stream", "its own") == registering
    result = kernel.finish(running)
    assert result.printed == "begun\nended\n"


PLACED = """
context = contextvars.copy_context()
header = get_ipython().display_pub.parent_header
def place(message):
    message["parent_header"] = header
    return message
def placed(show, *args, **kwargs):
    publisher = get_ipython().display_pub
    publisher.register_hook(place)
    try:
        return context.copy().run(show, *args, **kwargs)
    finally:
        publisher.unregister_hook(place)
"""


@pytest.mark.parametrize(
    ("show", "kind", "text"),
    [
        ("placed(display, 'a value')", "display_data", "a value"),
        ("placed(lambda: display('a', display_id='x').update('b'))", "update_display_data", "b"),
        ("placed(clear_output, wait=True)", "clear_output", "true"),
    ],
)
def test_by_a_hook_a_thread_displays_under_the_cell_that_it_belongs_to(
    kernel: Kernel, show: str, kind: str, text: str
) -> None:
    registering = kernel.start(PLACED)
    kernel.finish(registering)
    running = kernel.start(f"display('begun'); do(lambda: {show}).wait(); 'ended'")
    assert owner(kernel, kind, text) == registering
    result = kernel.finish(running)
    assert [shown["data"]["text/plain"] for shown in result.of("display_data")] == ["'begun'"]
    assert result.text == "'ended'"


def test_an_interrupt_is_a_matter_of_the_main_thread_alone(kernel: Kernel) -> None:
    kernel.ok("go = threading.Event(); done = do(go.wait)")
    running = kernel.start("print('asleep'); time.sleep(30)")
    kernel.printed("asleep")
    kernel.interrupt()
    result = kernel.finish(running)
    assert (result.status, result.of("error")[0]["ename"]) == ("error", "KeyboardInterrupt")
    assert kernel.ok("done.is_set(), go.set(), done.wait(5)").text == "(False, None, True)"


def test_a_cell_that_awaits_and_is_stopped_ends_only_when_its_loop_wakes(kernel: Kernel) -> None:
    """Hence what is awaited in a cell wakes the loop by itself, several times a second."""
    running = kernel.start("print('asleep'); await asyncio.sleep(1)")
    kernel.printed("asleep")
    kernel.interrupt()
    result = kernel.finish(running)
    assert [error["ename"] for error in result.of("error")] == ["CancelledError"]
    assert result.seconds > 0.3


# -- what a magic raises ------------------------------------------------------------------------

RAISE = """
from IPython.core.error import UsageError
from IPython.core.magic import register_line_magic
class Narrower(UsageError): pass
class Rendered(Exception):
    def _render_traceback_(self): return ["what failed", "what to try"]
@register_line_magic
def fail(line): raise globals()[line](f"a {line} it is")
"""


def test_a_usage_error_is_one_line(kernel: Kernel) -> None:
    kernel.ok(RAISE)
    result = kernel.run("%fail UsageError")
    assert (result.status, result.of("error")) == ("error", [])
    assert result.printed == "UsageError: a UsageError it is\n"


def test_a_kind_of_usage_error_is_a_whole_traceback(kernel: Kernel) -> None:
    """Hence magics raise UsageError itself."""
    kernel.ok(RAISE)
    assert "Traceback" in "".join(kernel.run("%fail Narrower").traceback)


def test_an_error_that_renders_itself_is_the_lines_that_it_gives(kernel: Kernel) -> None:
    kernel.ok(RAISE)
    result = kernel.run("%fail Rendered")
    assert result.status == "error"
    assert result.traceback == ["what failed", "what to try"]


@pytest.mark.parametrize("allowed", [True, False])
def test_whether_the_page_can_be_asked_stands_in_the_request(kernel: Kernel, allowed: bool) -> None:
    ask = "get_ipython().get_parent()['content']['allow_stdin']"
    assert kernel.finish(kernel.start(ask, allow_stdin=allowed)).text == str(allowed)


def test_asking_a_page_that_cannot_be_asked_is_an_error(kernel: Kernel) -> None:
    result = kernel.finish(kernel.start("import getpass; getpass.getpass()", allow_stdin=False))
    assert result.of("error")[0]["ename"] == "StdinNotImplementedError"


# -- completion ---------------------------------------------------------------------------------

MATCHER = """
from IPython.core.completer import SimpleCompletion, context_matcher
@context_matcher()
def matcher(context):
    asked = context.full_text.startswith("%%stomp_send") and context.token.startswith("content-")
    found = [SimpleCompletion("content-type", type="header")] if asked else []
    return {"completions": found, "suppress": bool(found), "matched_fragment": context.token}
get_ipython().Completer.custom_matchers.append(matcher)
"""


def test_a_matcher_completes_in_the_body_of_a_cell_and_keeps_others_out(kernel: Kernel) -> None:
    kernel.ok(MATCHER)
    code = "%%stomp_send /topic/T\ncontent-ty\n\nbody"
    cursor = code.index("\n\n")
    content = kernel.reply(kernel.client.complete(code, cursor))["content"]
    assert content["matches"] == ["content-type"]
    assert (content["cursor_start"], content["cursor_end"]) == (cursor - len("content-ty"), cursor)
    [described] = content["metadata"]["_jupyter_types_experimental"]
    assert described["type"] == "header"


def test_where_a_matcher_finds_nothing_python_is_completed(kernel: Kernel) -> None:
    kernel.ok(MATCHER)
    matches = kernel.reply(kernel.client.complete("impor"))["content"]["matches"]
    assert "import" in matches


# -- widgets ------------------------------------------------------------------------------------

WIDGET = """
import anywidget, traitlets
class Widget(anywidget.AnyWidget):
    _esm = "export default {}"
    fresh = traitlets.Any().tag(sync=True, to_json=lambda _, widget: time.monotonic())
widget = Widget()
widget.on_msg(lambda *_: heard.append(threading.current_thread() is threading.main_thread()))
heard = []
"""


def comm_id(kernel: Kernel) -> str:
    return kernel.ok("print(widget.comm.comm_id)").printed.strip()


def test_a_thread_sends_to_the_page_while_a_cell_runs(kernel: Kernel) -> None:
    kernel.ok(WIDGET)
    result = kernel.ok("do(lambda: widget.send('live')).wait()")
    sent = [m["content"]["data"] for m in result.messages if m["msg_type"] == "comm_msg"]
    assert {"method": "custom", "content": "live"} in sent


def test_a_page_that_asks_for_the_state_is_given_what_is_true_then(kernel: Kernel) -> None:
    """Hence the snapshot of a stream is a trait whose value is made when it is asked for."""
    kernel.ok(WIDGET)
    before = time.monotonic()
    tell(kernel, comm_id(kernel), {"method": "request_state"})
    state = kernel.published(
        lambda m: m["msg_type"] == "comm_msg" and "fresh" in m["content"]["data"].get("state", {})
    )
    assert state["content"]["data"]["state"]["fresh"] > before


def tell(kernel: Kernel, comm: str, data: dict[str, object], subshell: str | None = None) -> str:
    """Send what a widget's page sends, through a subshell if there is one."""
    session = kernel.client.session
    message = session.msg("comm_msg", {"comm_id": comm, "data": data})
    message["header"]["subshell_id"] = subshell
    kernel.client.shell_channel.send(message)
    return str(message["header"]["msg_id"])


def test_a_page_is_heard_by_one_thread_or_the_other_during_a_cell_or_after_it(
    kernel: Kernel, platform: Platform
) -> None:
    """Hence a handler is safe in any thread, and nothing waits for one."""
    kernel.ok(WIDGET)
    comm, subshell = comm_id(kernel), None
    if platform.name != "6.31":
        create = kernel.client.session.msg("create_subshell_request")
        kernel.client.control_channel.send(create)
        subshell = kernel.reply(create["header"]["msg_id"], "control")["content"]["subshell_id"]
    running = kernel.start("print('begun'); time.sleep(0.5); print(heard)")
    kernel.printed("begun")
    tell(kernel, comm, {"method": "custom", "content": "hello"}, subshell)
    in_time = kernel.finish(running).printed.endswith("[False]\n")
    assert kernel.ok("heard").text == ("[False]" if in_time else "[True]")
    assert in_time == (platform.name == "7.3")


# -- the end ------------------------------------------------------------------------------------


def test_a_kernel_that_is_to_end_runs_atexit_though_a_daemon_thread_lives(
    tmp_path: Path, platform: Platform
) -> None:
    with bare_kernel(tmp_path, platform) as kernel:
        kernel.ok(WORKER)
        kernel.ok("import atexit, pathlib; atexit.register(pathlib.Path('ended').touch)")
        assert kernel.shut_down() < 5
    assert (tmp_path / "ended").exists()
