"""%load_ext, %reload_ext and %unload_ext of stompy_jupyter."""

import gc
import subprocess
import sys
import weakref
from typing import Any

import pytest

from stompy import STOMPFrame
from stompy.broker import Broker
from stompy_jupyter import FrameStream, StompSession, StompWidget
from stompy_jupyter.embedded import embedded_broker
from stompy_jupyter.publisher import publisher
from tests.unit.conftest import our_threads
from tests.unit.shells import called, run
from tests.unit.waiting import until

LINE = """
    ack broker check connect disconnect explain nack on pause replay resume send sequence status
    subscribe tally trace unsubscribe wait widget
"""
CELL = "explain on predict raw send transaction"


def magics(shell: Any) -> dict[str, set[str]]:
    """The names of our magics, by their kind."""
    return {
        kind: {name.removeprefix("stomp_") for name in table if name.startswith("stomp_")}
        for kind, table in shell.magics_manager.magics.items()
    }


def state_of(shell: Any) -> dict[str, Any]:
    """All that an extension may have changed in a shell."""
    formatters = shell.display_formatter.formatters.values()
    return {
        "magics": {kind: set(table) for kind, table in shell.magics_manager.magics.items()},
        "registry": set(shell.magics_manager.registry),
        "formatters": [dict(formatter.type_printers) for formatter in formatters],
        "mimebundles": dict(shell.display_formatter.mimebundle_formatter.type_printers),
        "callbacks": {event: list(known) for event, known in shell.events.callbacks.items()},
        "matchers": list(shell.Completer.custom_matchers),
        "configurables": [type(configurable).__name__ for configurable in shell.configurables],
        "variables": set(shell.user_ns),
    }


def open_widgets() -> list[StompWidget]:
    """The live views that could still reach a browser."""
    ours = [found for found in gc.get_objects() if issubclass(type(found), StompWidget)]
    return [widget for widget in ours if widget.comm is not None]


@pytest.fixture
def used(shell: Any) -> FrameStream:
    """A stream that is shown, in a shell with the extension."""
    shell.run_line_magic("stomp_connect", "--as session")
    stream = shell.run_line_magic("stomp_subscribe", "/queue/q --as stream")
    shell.display_formatter.format(stream)
    shell.run_line_magic("stomp_send", "/queue/q a")
    stream.wait(1, timeout=5)
    return stream


def test_loading_brings_the_magics_and_starts_nothing(shell):
    assert magics(shell) == {"line": set(LINE.split()), "cell": set(CELL.split())}
    until(lambda: not our_threads())


def test_loading_twice_is_loading_once(shell, used):
    shell.run_line_magic("load_ext", "stompy_jupyter")
    assert used.session.connected
    assert len(shell.run_line_magic("stomp_status", "")) == 1


def test_unloading_takes_back_all_that_loading_has_brought(bare_shell, nothing_left):
    bare_shell.find_line_magic("who")  # IPython brings in its own magics late
    before = state_of(bare_shell)
    bare_shell.run_line_magic("load_ext", "stompy_jupyter")
    assert state_of(bare_shell) != before
    bare_shell.run_line_magic("unload_ext", "stompy_jupyter")
    after = state_of(bare_shell)
    for what, value in before.items():
        assert (what, after[what]) == (what, value)


def test_unloading_ends_sessions_widgets_and_threads(shell, used):
    assert {thread.name.partition("-")[2].partition("-")[0] for thread in our_threads()} == {
        "broker",
        "heart",
        "reader",
        "publisher",
    }
    assert open_widgets()
    shell.run_line_magic("unload_ext", "stompy_jupyter")
    until(lambda: not our_threads())
    assert used.session.state == "disconnected"
    assert open_widgets() == []
    assert magics(shell) == {"line": set(), "cell": set()}


def test_what_was_received_outlives_the_extension(shell, used):
    shell.run_line_magic("unload_ext", "stompy_jupyter")
    assert shell.user_ns["stream"] is used
    assert used.df["body"].tolist() == ["a"]
    data, _ = shell.display_formatter.format(used)
    assert data["text/plain"] == "<FrameStream /queue/q: 1 frames, ended>"
    assert "<table>" in data["text/html"]


def test_unloading_works_when_the_broker_is_gone(shell, used):
    embedded_broker().stop()
    shell.run_line_magic("unload_ext", "stompy_jupyter")
    until(lambda: not our_threads())


def test_reloading_starts_afresh(shell, used):
    shell.run_line_magic("reload_ext", "stompy_jupyter")
    assert magics(shell)["line"] == set(LINE.split())
    assert not used.session.connected
    assert len(shell.run_line_magic("stomp_status", "")) == 0
    again = shell.run_line_magic("stomp_connect", "--as session")
    assert again.connected
    assert shell.user_ns["session"] is again


def test_reloading_often_leaves_one_set_of_magics(shell):
    before = len(shell.configurables)
    for _ in range(3):
        shell.run_line_magic("reload_ext", "stompy_jupyter")
    assert len(shell.configurables) == before


def test_loading_again_and_again_leaves_one_of_everything(shell, used):
    before = {what: len(value) for what, value in state_of(shell).items()}
    for _ in range(2):
        shell.run_line_magic("load_ext", "stompy_jupyter")
        shell.run_line_magic("reload_ext", "stompy_jupyter")
        shell.run_line_magic("unload_ext", "stompy_jupyter")
        shell.run_line_magic("load_ext", "stompy_jupyter")
    assert {what: len(value) for what, value in state_of(shell).items()} == before


def test_unloading_twice_is_unloading_once(shell, used, capsys):
    for _ in range(2):
        shell.run_line_magic("unload_ext", "stompy_jupyter")
    until(lambda: not our_threads())
    assert magics(shell) == {"line": set(), "cell": set()}


def test_unloading_ends_callbacks_and_their_thread(shell, used):
    shell.user_ns["seen"] = seen = []
    shell.run_cell_magic("stomp_on", "stream", "seen.append(frame.text)\n")
    shell.run_line_magic("stomp_send", "--repeat 3 --receipt /queue/q b")
    called(used, 3)
    shell.run_line_magic("unload_ext", "stompy_jupyter")
    until(lambda: not our_threads())
    assert seen == ["b"] * 3


def test_unloading_ends_all_sessions_also_one_that_is_trying_to_come_back(shell, used):
    with Broker() as broker:
        lost = shell.run_line_magic("stomp_connect", "{}:{} --as lost".format(*broker.address))
    until(lambda: lost.state == "reconnecting")
    shell.run_line_magic("unload_ext", "stompy_jupyter")
    until(lambda: not our_threads())
    assert (used.session.state, lost.state) == ("disconnected", "disconnected")


def test_unloading_leaves_sessions_that_were_made_in_python(shell):
    with Broker() as broker, StompSession(broker.address) as session:
        shell.user_ns["mine"] = session
        shell.run_line_magic("unload_ext", "stompy_jupyter")
        assert session.connected


def test_reloading_while_frames_come_ends_and_goes_on(shell, used):
    address = "{}:{}".format(*embedded_broker().address)
    with StompSession(address) as session:
        shell.run_line_magic("reload_ext", "stompy_jupyter")  # the broker goes, too
        until(lambda: not session.connected)
        session.disconnect()
    assert shell.run_line_magic("stomp_connect", "").connected


def test_the_classes_of_before_a_reload_are_those_of_after_it(shell, used):
    shell.run_line_magic("reload_ext", "stompy_jupyter")
    assert isinstance(used, FrameStream)
    assert isinstance(shell.run_line_magic("stomp_connect", "--as session"), type(used.session))


def test_frames_and_streams_are_shown_in_their_way_only_while_it_is_loaded(shell, used):
    frame = STOMPFrame("MESSAGE", {"a": "b"}, "c")
    assert "<table>" in shell.display_formatter.format(frame)[0]["text/html"]
    shell.run_line_magic("unload_ext", "stompy_jupyter")
    assert set(shell.display_formatter.format(frame)[0]) == {"text/plain"}


def test_unloading_leaves_the_users_own_magics(shell):
    shell.register_magic_function(lambda line: "mine", "line", "stomp_mine")
    shell.run_line_magic("unload_ext", "stompy_jupyter")
    assert shell.run_line_magic("stomp_mine", "") == "mine"
    del shell.magics_manager.magics["line"]["stomp_mine"]


def test_unloading_brings_back_what_loading_has_replaced(bare_shell, nothing_left):
    html = bare_shell.display_formatter.formatters["text/html"]
    html.for_type(STOMPFrame, lambda frame: "mine")
    bare_shell.run_line_magic("load_ext", "stompy_jupyter")
    assert html(STOMPFrame("A")) != "mine"
    bare_shell.run_line_magic("unload_ext", "stompy_jupyter")
    assert html(STOMPFrame("A")) == "mine"
    html.pop(STOMPFrame)


def test_lazy_magics_load_it_when_they_are_used(bare_shell, nothing_left):
    manager = bare_shell.magics_manager
    manager.lazy_magics["stomp_connect"] = "stompy_jupyter"
    try:
        assert bare_shell.run_line_magic("stomp_connect", "").connected
    finally:
        del manager.lazy_magics["stomp_connect"]
        bare_shell.run_line_magic("unload_ext", "stompy_jupyter")


def test_a_shell_that_ends_says_nothing(tmp_path):
    code = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        f"ip = InteractiveShell(ipython_dir={str(tmp_path)!r})\n"
        "ip.run_cell('%load_ext stompy_jupyter')\n"
        "ip.run_cell('%stomp_connect')\n"
        "ip.run_cell('%stomp_subscribe /queue/q --as q')\n"
        "ip.run_cell('%stomp_send /queue/q a')\n"
        "ip.run_cell('%stomp_wait q')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def test_unloading_ends_the_publisher_also_of_a_view_whose_stream_is_gone(shell):
    run(shell, "stomp_connect", "--as s")
    shell.display_formatter.format(run(shell, "stomp_subscribe", "/queue/q --as q"))
    replaced = weakref.ref(shell.user_ns["q"])
    run(shell, "stomp_subscribe", "/queue/q --as q")
    until(lambda: gc.collect() >= 0 and replaced() is None)
    shell.run_line_magic("unload_ext", "stompy_jupyter")
    until(lambda: not our_threads())


def test_the_publisher_forgets_a_view_that_has_had_its_last_news(shell):
    run(shell, "stomp_connect", "--as s")
    shell.display_formatter.format(run(shell, "stomp_subscribe", "/queue/q --as q"))
    run(shell, "stomp_unsubscribe", "q")
    run(shell, "stomp_disconnect")
    until(lambda: not publisher._sources)
