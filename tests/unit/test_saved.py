"""What a notebook that is saved keeps of a session."""

from types import SimpleNamespace
from typing import Any

import pytest

from stompy import AckMode, STOMPClient, STOMPFrame
from stompy_jupyter import FrameStream, FrameTable
from stompy_jupyter.inlet import Inlet
from stompy_jupyter.saved import session_html


def session_of(*bodies: list[str], destination: str = "/topic/t") -> Any:
    """A session with a stream for each list of bodies."""
    session = SimpleNamespace(state="connected", streams={}, _repr_html_=lambda: "<code>s</code>")
    for number, some in enumerate(bodies):
        table = FrameTable()
        table.extend([STOMPFrame("MESSAGE", {}, body) for body in some])
        inlet = Inlet(STOMPClient(), table, f"{destination}{number}", AckMode.Auto)
        session.streams[str(number)] = FrameStream(session, str(number), inlet)
    return session


def test_a_session_is_a_line_and_a_table_of_each_stream():
    html = session_html(session_of(["a", "b"], [], ["<c>"]))
    assert html.startswith("<p><code>s</code></p><table><caption>/topic/t0: 2 frames, live<")
    assert html.count("<table>") == 3
    assert html.index("/topic/t1: 0 frames") < html.index("/topic/t2: 1 frames")
    assert "<td>&lt;c&gt;</td>" in html
    assert "more streams" not in html


def test_a_session_without_streams_is_a_line():
    assert session_html(session_of()) == "<p><code>s</code></p>"


@pytest.mark.parametrize("streams", [1, 2, 3, 49, 50, 51, 120])
def test_all_streams_together_show_no_more_frames_than_one_may(streams):
    html = session_html(session_of(*[["a"] * 100] * streams))
    assert html.count("<table>") == min(streams, 50)
    assert html.count("<td>a</td>") == 50 // min(streams, 50) * min(streams, 50)
    left_out = streams - 50
    assert (f"<p>{left_out} more streams are not shown</p>" in html) == (left_out > 0)
    assert f"/topic/t{streams - 1}: 100 frames" in html


@pytest.mark.parametrize("streams", [1, 5, 50, 200])
def test_it_is_small_whatever_was_received_and_whatever_streams_are_called(streams):
    body, name = "\U000e0001'" * 500, "/topic/" + "'" * 300
    html = session_html(session_of(*[[body] * 50] * streams, destination=name))
    assert 20_000 < len(html.encode()) <= 64 * 1024
    shown = html.count("<table>")
    assert shown == streams or f"{streams - shown} more streams" in html
