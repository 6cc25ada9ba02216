"""What the embedded broker refuses, and how it says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stompy import wire
from tests.unit.broker.clients import Peer, PureBroker

ALL = pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])


@pytest.fixture
def broker() -> Iterator[PureBroker]:
    with PureBroker() as broker:
        yield broker


# -- errors ------------------------------------------------------------------------------------


REFUSED = [
    # versions, command, headers, what the message says
    ("1.0 1.1 1.2", "SEND", {}, "SEND without destination"),
    ("1.0 1.1 1.2", "SUBSCRIBE", {"id": "1"}, "SUBSCRIBE without destination"),
    ("1.1 1.2", "SUBSCRIBE", {"destination": "/queue/q"}, "SUBSCRIBE without id"),
    ("1.1 1.2", "SUBSCRIBE", {"destination": "/q", "id": "1", "ack": "sometimes"}, "sometimes"),
    ("1.1 1.2", "SUBSCRIBE", {"destination": "/q", "id": "taken"}, "subscription id in use"),
    ("1.1 1.2", "UNSUBSCRIBE", {}, "UNSUBSCRIBE without id"),
    ("1.1 1.2", "UNSUBSCRIBE", {"id": "never"}, "no such subscription"),
    ("1.0", "UNSUBSCRIBE", {"destination": "/queue/never"}, "no such subscription"),
    ("1.2", "ACK", {"message-id": "1", "subscription": "taken"}, "ACK without id"),
    ("1.1", "ACK", {"message-id": "1"}, "ACK without subscription"),
    ("1.0 1.1", "ACK", {"subscription": "taken"}, "ACK without message-id"),
    ("1.2", "ACK", {"id": "no-such-ack"}, "ACK of an unknown message"),
    ("1.2", "NACK", {"id": "no-such-ack"}, "NACK of an unknown message"),
    ("1.1", "ACK", {"message-id": "9", "subscription": "no"}, "ACK of an unknown message"),
    ("1.0 1.1 1.2", "BEGIN", {}, "BEGIN without transaction"),
    ("1.0 1.1 1.2", "COMMIT", {}, "COMMIT without transaction"),
    ("1.0 1.1 1.2", "ABORT", {}, "ABORT without transaction"),
    ("1.0 1.1 1.2", "COMMIT", {"transaction": "never"}, "no such transaction"),
    ("1.0 1.1 1.2", "ABORT", {"transaction": "never"}, "no such transaction"),
    ("1.0 1.1 1.2", "SEND", {"destination": "/q", "transaction": "never"}, "no such transaction"),
    ("1.0 1.1 1.2", "BEGIN", {"transaction": "open"}, "transaction id in use"),
    ("1.0 1.1 1.2", "FROBNICATE", {}, "unknown command 'FROBNICATE'"),
]


@pytest.mark.parametrize(
    ("version", "command", "headers", "says"),
    [(version, *case) for versions, *case in REFUSED for version in versions.split()],
)
def test_a_frame_that_is_wrong_is_answered_by_error(broker, version, command, headers, says):
    peer = Peer(broker, version)
    peer.subscribe("/queue/taken", id="taken")
    peer.send("BEGIN", {"transaction": "open"})
    (error,) = peer.send(command, {**headers, "receipt": "r:1"})
    assert error.Command == "ERROR"
    assert says in error["message"]
    assert error["receipt-id"] == "r:1"
    assert error["content-type"] == "text/plain"
    assert int(error["content-length"]) == len(error.Body) > 0
    assert peer.closing
    assert broker.drain("/q") == []


@pytest.mark.parametrize("before", ["CONNECT", "SEND", "UNSUBSCRIBE"])
@ALL
def test_a_send_without_any_header_is_refused_whatever_was_before_it(broker, version, before):
    peer = Peer(broker, version)
    if before != "CONNECT":
        peer.message("/queue/q", b"a")
    if before == "UNSUBSCRIBE":
        peer.subscribe("/topic/t")
        peer.send("UNSUBSCRIBE", {"id": "1"})
    (error,) = peer.octets(b"SEND\n\nb\0")
    assert error["message"] == "SEND without destination"


def test_nothing_is_written_after_an_error(broker):
    peer = Peer(broker)
    peer.subscribe("/topic/t")
    assert [frame.Command for frame in peer.send("SEND", {})] == ["ERROR"]
    Peer(broker).message("/topic/t", b"a")
    assert peer.octets(wire.encode("SEND", {"destination": "/queue/q", "receipt": "r"})) == []


def test_what_a_client_held_goes_to_others_after_an_error(broker):
    peer = Peer(broker)
    peer.subscribe("/queue/q", ack="client")
    peer.message("/queue/q", b"a")
    peer.send("SEND", {})
    assert broker.drain("/queue/q") == [b"a"]


def test_an_error_of_one_client_is_nothing_to_another(broker):
    good, bad = Peer(broker), Peer(broker)
    good.subscribe("/topic/t")
    bad.octets(b"garbage without end\n\n\0")
    assert bad.closing
    assert [frame.Body for frame in good.message("/topic/t", b"a")] == [b"a"]


@ALL
def test_an_error_shows_the_frame_that_was_wrong(broker, version):
    peer = Peer(broker, version)
    (error,) = peer.send("SEND", {"k": "v" * 1000, "receipt": "r"}, b"b" * 1000 + b"tail")
    lines = error.text.splitlines()
    assert lines[0] == f"In STOMP {version}, SEND needs the header destination."
    assert lines[2:6] == ["The frame was:", "-----", "SEND", "k:" + "v" * 199 + "…"]
    assert "receipt:r" in lines
    assert "tail" not in error.text


def test_octets_that_are_no_frame_are_not_shown_but_what_is_wrong_with_them_is(broker):
    (error,) = Peer(broker).octets(b"SEND\nreceipt:r\nno colon\n\nbody\0")
    assert "a header line without a colon in a 'SEND' frame: 'no colon'" in error.text
    assert "receipt-id" not in error
    assert error["content-length"] == str(len(error.Body))


@pytest.mark.parametrize("command", ["", "send", "MESSAGE", "CONNECTED", "RECEIPT", "ERROR", "é"])
@ALL
def test_a_command_that_no_client_sends_is_unknown_and_the_known_are_listed(
    broker, version, command
):
    peer = Peer(broker, version)
    octets = f"{command}\nx:y\n\n\0" if command else "\rx\nx:y\n\n\0"
    (error,) = peer.octets(octets.encode())
    assert error["message"].startswith("unknown command")
    _, _, known = error.text.splitlines()[0].removesuffix(".").partition(" one of ")
    assert set(known.split(", ")) == set(wire.CLIENT_COMMANDS) - {"CONNECT", "STOMP"}
    assert peer.closing


def test_a_long_command_is_cut_in_the_title(broker):
    (error,) = Peer(broker).octets(b"X" * 1000 + b"\n\n\0")
    assert error["message"] == f"unknown command '{'X' * 40}'"


def test_a_1_0_client_whose_lines_end_in_cr_lf_hears_what_is_wrong(broker):
    octets = b"SUBSCRIBE\r\nid:1\r\ndestination:/queue/q\r\n\r\n\0"
    (error,) = Peer(broker, "1.0").octets(octets)
    assert error["message"] == "malformed frame"
    assert "STOMP 1.0 has no escapes for line ends" in error.text


# -- bugs of the broker --------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RuntimeError, KeyError, ValueError, RecursionError])
@ALL
def test_a_bug_that_one_client_has_found_is_told_to_it_and_logged_and_others_go_on(
    broker, version, error, monkeypatch, caplog
):
    finder, other = Peer(broker, version), Peer(broker)
    other.subscribe("/queue/q")

    def fail(*_: object) -> None:
        raise error("what only the log may tell")

    with monkeypatch.context() as patch:
        patch.setattr(broker.destinations, "send", fail)
        (answer,) = finder.message("/queue/q", b"a", receipt="r")
    assert (answer.Command, answer["message"]) == ("ERROR", "internal error")
    assert answer["receipt-id"] == "r"
    assert "what only the log may tell" not in answer.text
    assert finder.closing
    (record,) = [one for one in caplog.records if one.levelname == "ERROR"]
    assert record.getMessage() == "a SEND frame could not be handled"
    assert record.exc_info[0] is error
    assert ("", "internal error") in broker.events("refused")
    assert [frame.Body for frame in other.message("/queue/q", b"b")] == [b"b"]


def test_an_ack_too_many_is_passed_over_while_a_fault_sends_messages_twice(broker):
    peer = Peer(broker)
    peer.subscribe("/queue/q", ack="client-individual")
    (message,) = peer.message("/queue/q", b"a")
    peer.session.forgive(True)
    for _ in range(2):
        assert peer.answer("ACK", message) == []
    peer.session.forgive(False)
    (error,) = peer.answer("ACK", message)
    assert error["message"] == "ACK of an unknown message"
