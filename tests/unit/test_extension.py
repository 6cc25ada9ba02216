"""%load_ext, %reload_ext and %unload_ext of stompy_jupyter."""

import gc
from typing import Any

import pytest

from stompy_jupyter import FrameStream, StompWidget
from stompy_jupyter.embedded import embedded_broker
from tests.unit.conftest import our_threads

MAGICS = {"broker", "connect", "disconnect", "send", "status", "subscribe", "wait"}


def magics(shell: Any) -> dict[str, set[str]]:
    """The names of our magics, by their kind."""
    return {
        kind: {name.removeprefix("stomp_") for name in table if name.startswith("stomp")}
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
    assert magics(shell) == {"line": MAGICS, "cell": {"send"}}
    assert our_threads() == []


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
    assert our_threads() == []
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
    assert our_threads() == []


def test_reloading_starts_afresh(shell, used):
    shell.run_line_magic("reload_ext", "stompy_jupyter")
    assert magics(shell)["line"] == MAGICS
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
