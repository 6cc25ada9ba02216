"""%%stomp_raw, in a real IPython shell."""

import socket
from typing import Any

import pytest
from IPython.core.error import UsageError

from stompy.broker import Broker
from stompy_jupyter.raw import RawConnection
from stompy_jupyter.raw_result import RawResult, shown_octets
from tests.unit.shells import run, run_cell, saying, sessions
from tests.unit.waiting import until

CONNECT = "CONNECT\naccept-version:1.2\nhost:/\n\n^@"
SEND = "SEND\ndestination:/queue/a\nreceipt:1\n\nhello"
WRONG = "SEND\ndestination:/queue/a\npath:a\\tb\n\nhello"


def raw(shell: Any, frame: str, line: str = "") -> RawResult:
    """Run the cell; its result."""
    result = run_cell(shell, f"%%stomp_raw {line}\n{frame}")
    assert isinstance(result, RawResult)
    return result


def by_hand(shell: Any) -> RawConnection | None:
    """The connection by hand of the notebook."""
    return shell.magics_manager.registry["StompRawMagics"].notebook.raw


def commands(result: RawResult) -> list[str]:
    return [answer.command for answer in result.answers]


# -- where it goes ---------------------------------------------------------------------------


def test_connect_opens_a_connection_by_hand_and_what_follows_goes_there(shell):
    connected = raw(shell, CONNECT)
    connection = by_hand(shell)
    assert repr(connected).startswith(f"sent by the connection by hand to {connection.address}")
    assert commands(connected) == ["CONNECTED"]
    sent = raw(shell, SEND)
    assert sent.sent is connection.trace[2]
    assert commands(sent) == ["RECEIPT"]
    assert sessions(shell) == {}


def test_another_connect_opens_another_connection_and_closes_the_one_before(shell):
    raw(shell, CONNECT)
    before = by_hand(shell)
    raw(shell, CONNECT)
    assert before.closed == "it was closed here"
    assert by_hand(shell).closed is None


def test_without_a_connection_by_hand_it_goes_by_the_newest_session(shell):
    run(shell, "stomp_connect", "--as first")
    session = run(shell, "stomp_connect", "--as second")
    result = raw(shell, SEND)
    assert repr(result).startswith("sent by the connection of the session second\n")
    assert result.sent in list(session.trace)
    assert by_hand(shell) is None


def test_on_names_the_session(shell):
    run(shell, "stomp_connect", "--as first")
    raw(shell, CONNECT)
    first = shell.user_ns["first"]
    assert raw(shell, SEND, "--on first").sent in list(first.trace)


def test_an_address_opens_a_connection_whatever_the_frame_is(shell, broker):
    run(shell, "stomp_connect")
    address = "{}:{}".format(*broker.address)
    result = raw(shell, SEND, f"--address {address} --force")
    assert [found.rule for found in result.findings] == ["not-connected"]
    assert commands(result) == ["ERROR"]
    assert by_hand(shell).address == address


def test_by_hand_it_goes_to_the_broker_of_the_newest_session(shell, broker):
    run(shell, "stomp_connect", "{}:{}".format(*broker.address))
    raw(shell, CONNECT)
    assert by_hand(shell).address == "{}:{}".format(*broker.address)


def test_a_frame_without_any_connection_is_not_sent(shell):
    result = raw(shell, SEND)
    assert [found.rule for found in result.findings] == ["not-connected"]
    assert result.sent is None
    assert by_hand(shell) is None


def test_where_the_connection_by_hand_has_ended_that_is_said(shell):
    run(shell, "stomp_connect")
    raw(shell, CONNECT)
    raw(shell, "DISCONNECT\nreceipt:bye\n\n^@")
    until(lambda: by_hand(shell).closed)
    result = raw(shell, SEND)
    assert result.sent in list(sessions(shell).popitem()[1].trace)
    assert "has ended (the broker closed it); CONNECT opens another" in repr(result)


@pytest.mark.parametrize("line", ["--on s --address x", "--version 2.0", "--wait x", "--on nobody"])
def test_what_contradicts_itself_is_a_usage_error(shell, line):
    with pytest.raises(UsageError):
        raw(shell, SEND, line)


def test_a_passcode_is_not_sent_by_a_session_and_is_in_no_result(shell):
    run(shell, "stomp_connect", "--as s")
    frame = CONNECT.replace("host:/", "host:/\nlogin:me\npasscode:geheim")
    with pytest.raises(UsageError, match="goes by a connection by hand"):
        raw(shell, frame, "--on s")
    for line in ("--lint-only", ""):
        result = raw(shell, frame, line)
        assert "geheim" not in repr(result) + result._repr_html_() + repr(result.sent)
    assert "the passcode in this cell is saved with the notebook" in repr(result)


# -- what is wrong with it -------------------------------------------------------------------


def test_a_wrong_frame_is_not_sent_and_the_place_is_shown(shell):
    run(shell, "stomp_connect")
    result = raw(shell, WRONG)
    assert result.sent is None
    assert result.answers == []
    assert repr(result) == (
        "not sent: it is wrong; --force sends it all the same\n"
        "error: line 3, column 7: a backslash begins an escape, and STOMP 1.2 has no other than "
        "\\r \\n \\c \\\\ (STOMP 1.2, Value Encoding)\n"
        "    path:a\\tb\n"
        "          ^\n"
        "    Try: a backslash itself is written \\\\\n"
        "    SEND↵\n"
        "    destination:/queue/a↵\n"
        "    path:a\\tb↵\n"
        "    ↵\n"
        "    hello^@"
    )


def test_forced_it_is_sent_and_the_error_stands_beside_it(shell):
    run(shell, "stomp_connect")
    result = raw(shell, WRONG, "--force")
    assert result.sent.octets == b"SEND\ndestination:/queue/a\npath:a\\tb\n\nhello\0"
    assert commands(result) == ["ERROR"]
    assert result.closed == "the broker closed it; the session comes back by itself"
    assert "<<< message:malformed frame↵" in repr(result)


def test_a_warning_is_shown_and_the_frame_is_sent(shell):
    run(shell, "stomp_connect")
    result = raw(shell, SEND.replace("receipt:1", "receipt:1\nat:12:30"))
    assert [found.severity for found in result.findings] == ["warning"]
    assert commands(result) == ["RECEIPT"]


def test_lint_only_never_sends_and_needs_no_connection(shell):
    result = raw(shell, SEND, "--lint-only")
    assert result.findings == []
    assert result.sent is None
    assert repr(result).startswith("not sent: --lint-only")
    assert raw(shell, WRONG, "--lint-only --force").sent is None


def test_whose_rules_count_is_that_of_the_connection_unless_it_is_said(shell):
    assert raw(shell, "NACK\nid:1\n\n^@", "--lint-only --version 1.0").findings != []
    assert raw(shell, "ACK\nmessage-id:1\n\n^@", "--lint-only --version 1.0").findings == []
    raw(shell, "CONNECT\naccept-version:1.0,1.1\nhost:/\n\n^@")
    assert by_hand(shell).version == "1.1"
    result = raw(shell, "ACK\nid:1\n\n^@", "--lint-only")
    assert [found.version for found in result.findings] == ["1.1", "1.1"]


def test_the_rules_of_a_connect_are_those_of_the_highest_version_that_it_names(shell):
    assert raw(shell, "CONNECT\naccept-version:1.0\n\n^@", "--lint-only").findings == []
    [found] = raw(shell, "CONNECT\naccept-version:1.1\n\n^@", "--lint-only").findings
    assert (found.version, found.rule) == ("1.1", "missing-header")


def test_findings_are_a_dataframe(shell):
    df = raw(shell, "send\ndestination: /q\n\nx", "--lint-only").df
    assert df[["severity", "line", "column", "rule"]].values.tolist() == [
        ["error", 1, 1, "lower-case"],
        ["warning", 2, 13, "blank-in-value"],
    ]
    assert raw(shell, SEND, "--lint-only").df.empty


# -- what comes back -------------------------------------------------------------------------


def test_a_frame_that_the_broker_waits_to_be_continued_is_told_of(shell):
    raw(shell, CONNECT)
    long = "SEND\ndestination:/queue/a\ncontent-length:99\n\nhello"
    result = raw(shell, long, "--force --wait 0.05")
    assert result.answers == []
    assert "the broker takes it, or waits for the rest of it" in repr(result)


def test_a_receipt_that_does_not_come_is_told_of(shell):
    with saying() as address:
        run(shell, "stomp_connect", f"{address} --as s")
        assert "no receipt came yet" in repr(raw(shell, SEND, "--wait 0.05"))
        run(shell, "stomp_disconnect", "s")


def test_no_answer_is_no_wonder_where_none_was_asked_for(shell):
    raw(shell, CONNECT)
    result = raw(shell, "SEND\ndestination:/queue/a\n\nhello", "--wait 0.05")
    assert "no receipt was asked for, and there was no ERROR" in repr(result)


def test_goodbye_by_hand_ends_the_connection_and_says_so(shell):
    raw(shell, CONNECT)
    result = raw(shell, "DISCONNECT\nreceipt:bye\n\n^@")
    assert commands(result) == ["RECEIPT"]
    assert result.closed == "the broker closed it"


def test_heart_beats_that_will_not_come_are_told_of(shell):
    with Broker(heart_beat=(0, 5000)) as broker:
        frame = CONNECT.replace("host:/", "host:/\nheart-beat:1000,0")
        result = raw(shell, frame, "--address {}:{}".format(*broker.address))
        assert "promised a heart-beat every 5000 ms" in repr(result)
        run(shell, "stomp_disconnect")


def test_line_ends_alone_are_a_heart_beat_if_that_is_forced(shell):
    raw(shell, CONNECT)
    result = raw(shell, "\n\n", "--force --wait 0")
    assert result.sent.command == "heart-beat"
    assert result.closed is None


def test_nothing_acts_in_what_is_shown(shell):
    script = "<script>alert(1)</script>"
    said = f"ERROR\nmessage:{script}\x1b[31m\n\n{script}\0".encode()
    with saying(said, connected=False) as address:
        frame = f"CONNECT\naccept-version:1.2\nhost:/\nx:{script}\n\n{script}\x1b^@"
        result = raw(shell, frame, f"--address {address} --force")
        shown = result._repr_html_()
        assert "<script" not in shown
        assert "\x1b" not in shown + repr(result)
        assert shown.count("&lt;script&gt;") >= 4
        run(shell, "stomp_disconnect")


def test_octets_are_shown_with_their_line_ends():
    assert shown_octets(b"A\r\nb:c\n\n\xff\r\0\n") == "A←↵\nb:c↵\n↵\n\\xff←^@↵"
    assert shown_octets(b"x" * 20_000).endswith("x… and 3,616 octets more")


# -- the end ---------------------------------------------------------------------------------


def test_disconnect_closes_the_connection_by_hand_and_the_session(shell):
    session = run(shell, "stomp_connect")
    raw(shell, CONNECT)
    connection = by_hand(shell)
    run(shell, "stomp_disconnect")
    assert by_hand(shell) is None
    assert connection.closed == "it was closed here"
    assert session.state == "disconnected"


def test_disconnect_needs_no_session_where_there_is_a_connection_by_hand(shell):
    raw(shell, CONNECT)
    run(shell, "stomp_disconnect")
    assert by_hand(shell) is None
    with pytest.raises(UsageError, match="no session yet"):
        run(shell, "stomp_disconnect")


def test_disconnect_of_a_named_session_leaves_the_connection_by_hand(shell):
    run(shell, "stomp_connect", "--as s")
    raw(shell, CONNECT)
    run(shell, "stomp_disconnect", "s")
    assert by_hand(shell).closed is None


def test_unloading_the_extension_closes_the_connection_by_hand(shell):
    raw(shell, CONNECT)
    connection = by_hand(shell)
    run(shell, "unload_ext", "stompy_jupyter")
    assert connection.closed == "it was closed here"


def test_a_broker_that_is_not_there_is_an_error_in_two_lines(shell):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    result = shell.run_cell(f"%%stomp_raw --address 127.0.0.1:{port}\n{CONNECT}")
    assert "cannot connect to" in str(result.error_in_exec)
    assert by_hand(shell) is None
