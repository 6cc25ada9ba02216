"""%stomp_trace and %stomp_explain, in a real IPython shell."""

from typing import Any

import pandas as pd
import pytest
from IPython.core.error import UsageError

from stompy import STOMPFrame
from stompy_jupyter import FrameStream
from stompy_jupyter.explain import Explanation
from stompy_jupyter.trace import FrameTrace, TraceEntries
from tests.unit.shells import received, run, run_cell, sessions
from tests.unit.test_completion import kinds, offered
from tests.unit.waiting import until

pytestmark = pytest.mark.usefixtures("unconfigured")


@pytest.fixture
def prices(shell: Any) -> FrameStream:
    """A stream of /queue/prices with one message, on a session called `main`."""
    run(shell, "stomp_connect", "--as main")
    stream = run(shell, "stomp_subscribe", "/queue/prices --as prices")
    run(shell, "stomp_send", "/queue/prices hello")
    received(stream)
    return stream


def explained(shell: Any, line: str = "") -> Explanation:
    return run(shell, "stomp_explain", line)


def octets_of(explanation: Explanation) -> bytes:
    return b"".join(part.octets for part in explanation.parts)


# -- %stomp_trace --------------------------------------------------------------------------------


def test_the_trace_of_the_newest_session_is_shown(shell, prices):
    trace = run(shell, "stomp_trace")
    assert trace is sessions(shell)["main"].trace
    assert [entry.command for entry in trace.newest()][:2] == ["CONNECT", "CONNECTED"]
    assert "CONNECTED" in shell.display_formatter.format(trace)[0]["text/html"]


def test_the_newest_of_it_alone_are_shown_as_a_table(shell, prices):
    newest = run(shell, "stomp_trace", "main --n 2")
    assert isinstance(newest, TraceEntries)
    assert [entry.number for entry in newest] == [e.number for e in prices.session.trace][-2:]
    assert newest.df.index.tolist() == [entry.number for entry in newest]
    assert "the newest 2 of 2 frames" in newest._repr_html_()
    assert repr(newest).count("\n") == 1


def test_a_session_that_has_ended_is_asked_by_its_name(shell, prices):
    trace = prices.session.trace
    run(shell, "stomp_disconnect")
    assert run(shell, "stomp_trace") is trace
    run(shell, "stomp_connect", "--as other")
    assert run(shell, "stomp_trace", "main") is trace
    assert run(shell, "stomp_trace") is sessions(shell)["other"].trace


def test_a_connection_by_hand_is_asked_when_it_was_used_last(shell, prices):
    run_cell(shell, "%%stomp_raw\nCONNECT\naccept-version:1.2\nhost:/\n\n^@")
    by_hand = run(shell, "stomp_trace")
    assert by_hand is run(shell, "stomp_trace", "raw")
    assert [entry.command for entry in by_hand] == ["CONNECT", "CONNECTED"]
    run(shell, "stomp_send", "/queue/prices again")
    assert run(shell, "stomp_trace") is prices.session.trace


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "no session yet: connect with %stomp_connect"),
        ("none", "'none' is no session: %stomp_status lists them"),
        ("raw", "'raw' is no session"),
        ("df", "'df' is no session"),
        ("--n 0", "'0' is no whole number from 1 on"),
    ],
)
def test_what_has_no_trace_is_said(shell, line, why):
    shell.user_ns["df"] = pd.DataFrame({"trace": [1]})
    with pytest.raises(UsageError, match=why):
        run(shell, "stomp_trace", line)


# -- %stomp_explain ------------------------------------------------------------------------------


def test_the_last_frame_is_explained(shell, prices):
    until(lambda: explained(shell).parts[0].octets == b"MESSAGE")
    explanation = explained(shell)
    assert octets_of(explanation) == prices.session.trace[-1].octets
    assert (explanation.version, explanation.sent) == ("1.2", False)
    assert "the broker delivers a message" in explanation._repr_html_()


def test_a_heart_beat_is_not_the_last_frame(shell, prices):
    for octets in b"RECEIPT\nreceipt-id:x\n\n\0", b"\n":
        prices.session.trace._tape.passed(False, octets, "1.2")
    assert prices.session.trace[-1].command == "heart-beat"
    assert explained(shell).parts[0].octets == b"RECEIPT"


def test_a_number_is_that_of_the_trace(shell, prices):
    assert explained(shell, "0").title.startswith("CONNECT, ")
    assert explained(shell, "0 --on main").sent is True
    assert octets_of(explained(shell, "1")) == prices.session.trace[1].octets


def test_a_row_of_a_stream_is_explained(shell, prices):
    first = explained(shell, "prices 0")
    assert (first.parts[0].octets, first.sent, first.note) == (b"MESSAGE", False, "")
    assert first.parts == explained(shell, "prices 0 --on main").parts
    run(shell, "stomp_send", "/queue/prices newer")
    received(prices, 2)
    assert octets_of(explained(shell, "prices")).endswith(b"newer\0")
    shell.user_ns["again"] = prices
    assert octets_of(explained(shell, "again 1")).endswith(b"newer\0")


def test_a_row_that_was_made_of_a_table_says_so(shell, prices, monkeypatch):
    frame, _, at = prices.table.frame(0)
    monkeypatch.setattr(prices.table, "frame", lambda number: (frame, False, at))
    assert explained(shell, "prices 0").note.startswith("An older frame, taken from the table:")


@pytest.mark.parametrize(
    "value",
    [
        b"BEGIN\ntransaction:t1\n\n\0",
        bytearray(b"BEGIN\ntransaction:t1\n\n\0"),
        "BEGIN\ntransaction:t1\n\n^@",
        STOMPFrame("BEGIN", {"transaction": "t1"}),
    ],
)
def test_a_variable_that_holds_a_frame_is_explained(shell, value):
    shell.user_ns["it"] = value
    assert octets_of(explained(shell, "it")) == b"BEGIN\ntransaction:t1\n\n\0"


def test_an_entry_and_a_trace_are_explained(shell, prices):
    shell.user_ns |= {"entry": prices.session.trace[1], "trace": prices.session.trace}
    assert explained(shell, "entry").title.startswith("CONNECTED, ")
    assert isinstance(shell.user_ns["trace"], FrameTrace)
    assert octets_of(explained(shell, "trace")) == prices.session.trace[-1].octets


@pytest.mark.parametrize(
    ("line", "octets"),
    [
        (r"b'SEND\ndestination:/queue/a\n\nhello you\0'", b"hello you\0"),
        (r'B"SEND\n\nit\'s\x00" --version 1.1', b"it's\0"),
        (r"b'SEND\n\n\'quoted\'\0'", b"'quoted'\0"),
        (r"rb'SEND\n'", rb"SEND\n"),
    ],
)
def test_octets_as_python_writes_them_are_explained(shell, line, octets):
    explanation = explained(shell, line)
    assert octets_of(explanation).endswith(octets)
    assert explanation.version == ("1.1" if "--version" in line else None)


def test_a_frame_that_was_typed_in_a_cell_is_explained(shell):
    explanation = run_cell(
        shell, "%%stomp_explain --version 1.1\nSEND\ndestination:/queue/a\\r\n\nhello"
    )
    assert [part.kind for part in explanation.parts].count("undefined escape") == 1
    assert octets_of(explanation).endswith(b"hello\0")
    assert octets_of(run_cell(shell, "%%stomp_explain\nSEND\n\na^@b^@")).endswith(b"a\0b\0")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "no session yet"),
        ("3", "no session yet"),
        ("nothing", "'nothing' is no frame: neither a number, nor a stream, nor a variable"),
        ("df", "df is a DataFrame: it holds no frame, no octets and no text"),
        ("octets --on main", "octets is a bytes"),
        (r"b'\xg'", "are no octets as Python writes them"),
        ("b'x' --on main", "these octets are in no trace"),
        ("b'x' 3", "these octets are in no trace"),
        ("octets --version 2.0", "invalid choice: '2.0'"),
    ],
)
def test_what_cannot_be_explained_is_said(shell, line, why):
    shell.user_ns |= {"df": pd.DataFrame(), "octets": b"x"}
    with pytest.raises(UsageError, match=why):
        explained(shell, line)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("99", "there is no frame 99 in the trace"),
        ("-99", "there is no frame -99 in the trace"),
        ("prices 7", "frame 7 has not come yet: 1 have, beginning with 0"),
        ("prices x", "'x' is no row of a stream: one number, from 0"),
        ("prices 0 1", "'0 1' is no row of a stream"),
        ("prices 0 --on none", "'none' is no session"),
    ],
)
def test_a_frame_that_is_not_there_is_said(shell, prices, line, why):
    with pytest.raises(UsageError, match=why):
        explained(shell, line)


def test_a_cell_is_the_frame_and_nothing_else_is(shell, capsys):
    shell.run_cell("%%stomp_explain 3\nSEND\n")
    assert "the frame is the one in the cell: say no more than --version" in capsys.readouterr().err


def test_what_stomp_1_0_cannot_carry_is_an_error_of_two_lines(shell, capsys):
    shell.user_ns["frame"] = STOMPFrame("SEND", {"a:b": "c"})
    result = shell.run_cell("%stomp_explain frame --version 1.0")
    assert "STOMP 1.0 has no escapes" in str(result.error_in_exec)


# -- both ----------------------------------------------------------------------------------------


def test_they_are_listed_and_go_with_the_extension(shell):
    listing = repr(run(shell, "stomp"))
    assert "%stomp_trace --n 5" in listing
    assert "%stomp_explain 12" in listing
    shell.run_line_magic("unload_ext", "stompy_jupyter")
    assert "stomp_explain" not in shell.magics_manager.magics["line"]
    assert "stomp_explain" not in shell.magics_manager.magics["cell"]


def test_what_they_take_is_completed(shell, prices):
    shell.user_ns |= {"frame": STOMPFrame("SEND"), "octets": b"x", "number": 7}
    names = offered(shell, "%stomp_explain |")
    assert {"frame", "octets", "prices", "0", "1", "--version", "--on"} <= set(names)
    assert "number" not in names
    assert offered(shell, "%stomp_explain pr|") == ["prices"]
    assert offered(shell, "%stomp_explain --version |") == ["1.0", "1.1", "1.2"]
    assert offered(shell, "%stomp_trace ma|") == ["main"]
    assert offered(shell, "%%stomp_explain\nSE|") == []
    assert kinds(shell, "%stomp_explain pr|") == {"frame"}
