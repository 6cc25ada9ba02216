"""%stomp_replay, in a real IPython shell."""

from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from IPython.core.error import UsageError

from stompy import STOMPError, STOMPFrame
from stompy.capture import Entry, save
from stompy_jupyter import FrameStream
from stompy_jupyter.replay_magics import speed
from tests.unit.shells import received, run, run_cell, sessions, shown_error
from tests.unit.test_completion import becomes, offered
from tests.unit.test_replaying import interrupted_clock
from tests.unit.waiting import until

BEGIN = 1_700_000_000_000_000_000
WIDGET = "application/vnd.jupyter.widget-view+json"


def message(body: str, seconds: int = 0) -> Entry:
    headers = {"destination": "/topic/prices", "message-id": body, "symbol": "ABC"}
    return Entry(BEGIN + seconds * 10**9, "in", STOMPFrame("MESSAGE", headers, body))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the notebook; in it is prices.stompcap with three messages, a second apart."""
    save(tmp_path / "prices.stompcap", [message("a"), message("b", 1), message("c", 2)])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def queue(shell: Any) -> FrameStream:
    """A stream of /queue/q, on a session of the shell."""
    run(shell, "stomp_connect", "--as session")
    return run(shell, "stomp_subscribe", "/queue/q --as q")


def ended(stream: FrameStream) -> list[str]:
    until(lambda: not stream.live)
    return stream.df["body"].tolist()


# -- a replay ------------------------------------------------------------------------------------


def test_a_capture_becomes_a_stream_with_a_live_view(shell, folder):
    stream = run(shell, "stomp_replay", "prices.stompcap --speed max --as prices")
    assert shell.user_ns["prices"] is stream
    assert ended(stream) == ["a", "b", "c"]
    data, _ = shell.display_formatter.format(stream)
    assert WIDGET in data
    assert "3 frames, ended" in data["text/plain"]


def test_without_a_name_it_is_called_as_the_file(shell, folder):
    stream = run(shell, "stomp_replay", f"'{folder}/prices.stompcap' --speed=0 --n 2")
    assert stream.name == "prices.stompcap"
    assert ended(stream) == ["a", "b"]


def test_it_takes_the_options_of_a_table(shell, folder, unconfigured):
    save("json.stompcap", [message('{"a": 1}')])
    run(shell, "config", "StompMagics.max_rows = 7")
    stream = run(shell, "stomp_replay", "json.stompcap --decode json --no-widget")
    assert ended(stream) == [{"a": 1}]
    assert stream.table.max_rows == 7
    assert WIDGET not in shell.display_formatter.format(stream)[0]


def test_the_other_magics_know_it(shell, folder):
    save("long.stompcap", [message("a"), message("b", 3600)])
    stream = run(shell, "stomp_replay", "long.stompcap --as prices")
    assert run(shell, "stomp_wait", "prices") == 1
    run(shell, "stomp_pause", "prices")
    assert stream.state == "paused"
    run(shell, "stomp_resume", "prices")
    assert stream.state == "live"
    (status,) = run(shell, "stomp_status").to_dict("records")
    assert (status["session"], status["address"]) == ("long.stompcap as prices", "long.stompcap")
    assert (status["stream"], status["received"], status["now"]) == ("prices", 1, "live")
    run(shell, "stomp_disconnect", "'long.stompcap as prices'")
    assert stream.state == "ended"


def test_running_the_cell_again_replaces_it(shell, folder):
    first = run(shell, "stomp_replay", "prices.stompcap --as prices")
    second = run(shell, "stomp_replay", "prices.stompcap --as prices")
    other = run(shell, "stomp_replay", "prices.stompcap --as others")
    assert (first.live, second.live, other.live) == (False, True, True)
    assert shell.user_ns["prices"] is second
    assert len(sessions(shell)) == 2


def test_it_is_not_the_session_that_others_mean_unless_there_is_no_other(shell, folder, queue):
    stream = run(shell, "stomp_replay", "prices.stompcap --as prices")
    run(shell, "stomp_send", "/queue/q hello")
    assert received(queue) == ["hello"]
    run(shell, "stomp_disconnect")
    assert (queue.live, stream.live) == (False, True)
    with pytest.raises(STOMPError, match="a replay has no broker to send to"):
        run(shell, "stomp_send", "/queue/q hello")
    run(shell, "stomp_disconnect")
    assert not stream.live


def test_callbacks_run_for_what_is_replayed(shell, folder):
    run(shell, "stomp_replay", "prices.stompcap --as prices")
    run_cell(shell, "bodies = []")
    run_cell(shell, "%%stomp_on prices\nbodies.append(frame.text)")
    until(lambda: shell.user_ns["bodies"][-1:] == ["c"])


# -- sending -------------------------------------------------------------------------------------


def test_the_messages_of_a_capture_are_sent_to_a_broker(shell, folder, queue):
    assert run(shell, "stomp_replay", "prices.stompcap --to /queue/q --speed 1000") == 3
    assert received(queue, 3) == ["a", "b", "c"]
    assert queue.df["symbol"].tolist() == ["ABC"] * 3
    assert run(shell, "stomp_replay", "prices.stompcap --to /queue/q --speed 0 --n 1") == 1


def test_the_session_can_be_chosen(shell, folder, queue):
    run(shell, "stomp_connect", "--as other")
    run(shell, "stomp_replay", "prices.stompcap --to /queue/q --speed 0 --on session")
    sent = {name: session.sent for name, session in sessions(shell).items()}
    assert sent == {"session": 3, "other": 0}


def test_each_row_of_a_data_frame_is_sent_as_a_message(shell, folder, queue):
    shell.user_ns["df"] = pd.DataFrame({"symbol": ["ABC", "DEF"], "price": [1, 2]})
    assert run(shell, "stomp_replay", "df --to /queue/q") == 2
    assert received(queue, 2) == ['{"symbol":"ABC","price":1}', '{"symbol":"DEF","price":2}']
    assert run(shell, "stomp_replay", "df --to /queue/q --n 1") == 1
    shell.user_ns["table"] = pa.table({"a": [1, 2, 3]})
    assert run(shell, "stomp_replay", "table --to /queue/q --n 2") == 2
    assert received(queue, 5)[3:] == ['{"a":1}', '{"a":2}']


def test_an_interrupt_says_how_many_were_sent(shell, folder, queue, monkeypatch, capsys):
    monkeypatch.setattr("stompy_jupyter.replaying.time", interrupted_clock())
    result = shell.run_cell("%stomp_replay prices.stompcap --to /queue/q")
    assert isinstance(result.error_in_exec, KeyboardInterrupt)
    assert capsys.readouterr().out.splitlines() == [
        "KeyboardInterrupt: what is in the background goes on",
        "1 messages of prices.stompcap were sent.",
    ]
    assert received(queue) == ["a"]


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "arguments are required: source"),
        ("none", "neither a file nor a DataFrame 'none'"),
        ("queue", "neither a file nor a DataFrame 'queue'"),
        ("column", "neither a file nor a DataFrame 'column'"),
        ("df", "say where to send the rows of df: --to DEST"),
        ("df --to /queue/q --speed 2", "rows have no times"),
        ("df --to /queue/q --as x", "no --as, --decode, --no-widget"),
        ("prices.stompcap --to /queue/q --no-widget", "no --as, --decode, --no-widget"),
        ("prices.stompcap --to /queue/q", "no session yet: connect with %stomp_connect"),
        ("prices.stompcap --on session", "a replay has no session"),
        ("prices.stompcap --as len", "len is a builtin"),
        ("prices.stompcap --as df", "df is a variable already, a DataFrame"),
        ("prices.stompcap --speed fast", "'fast' is no speed: 1, 10, 0.5, max"),
        ("prices.stompcap --speed -1", "'-1' is no speed"),
        ("prices.stompcap --n 0", "'0' is no whole number"),
    ],
)
def test_what_cannot_be_done_is_said(shell, folder, line, why):
    shell.user_ns["df"] = pd.DataFrame({"a": [1]})
    shell.user_ns |= {"queue": "prices", "column": pd.Series([1])}
    with pytest.raises(UsageError, match=why):
        run(shell, "stomp_replay", line)
    assert sessions(shell) == {}


def test_a_file_that_is_no_capture_is_an_error_of_two_lines(shell, folder, capsys):
    Path("x.txt").write_text("nonsense")
    lines = shown_error(shell, capsys, "%stomp_replay x.txt")
    assert lines[0] == "STOMPProtocolError: x.txt is no capture of STOMP frames"
    result = shell.run_cell(f"%stomp_replay {folder}")
    assert "Is a directory" in str(result.error_in_exec)
    assert sessions(shell) == {}


@pytest.mark.parametrize(("given", "value"), [("max", 0), ("'10'", 10), ("1e3", 1000), (".5", 0.5)])
def test_a_speed_is_a_factor(given: str, value: float) -> None:
    assert speed(given) == value


@pytest.mark.parametrize("given", ["", "nan", "-2", "10x"])
def test_what_is_no_speed_is_refused(given: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is no speed"):
        speed(given)


# -- completion ----------------------------------------------------------------------------------


@pytest.fixture
def files(folder: Path) -> Callable[[str], None]:
    """More files and folders."""
    (folder / "old").mkdir()
    (folder / ".hidden").mkdir()
    (folder / "notes.txt").touch()
    (folder / "old" / "more prices.stompcap.gz").touch()


def test_captures_folders_and_data_frames_are_offered(shell, files):
    shell.user_ns["df"] = pd.DataFrame()
    assert offered(shell, "%stomp_replay |")[:3] == ["df", "prices.stompcap", "old/"]
    assert becomes(shell, "%stomp_replay pr|") == ["%stomp_replay prices.stompcap"]
    assert becomes(shell, "%stomp_replay ol|") == ["%stomp_replay old/"]
    assert becomes(shell, "%stomp_replay 'ol|") == ["%stomp_replay 'old/"]
    (completed,) = becomes(shell, "%stomp_replay old/|")
    assert completed == "%stomp_replay 'old/more prices.stompcap.gz'"
    assert offered(shell, "%stomp_replay none/|") == []


def test_destinations_sessions_and_names_are_offered(shell, files, queue):
    assert "/queue/q" in offered(shell, "%stomp_replay prices.stompcap --to /que|")
    assert offered(shell, "%stomp_replay prices.stompcap --on s|") == ["session"]
    assert "prices" in offered(shell, "%stomp_replay prices.stompcap --as pr|")
    assert "--speed" in offered(shell, "%stomp_replay prices.stompcap --sp|")


def test_the_file_of_a_replay_is_no_address_to_connect_to(shell, folder):
    run(shell, "stomp_replay", "prices.stompcap")
    assert offered(shell, "%stomp_connect pr|") == []
