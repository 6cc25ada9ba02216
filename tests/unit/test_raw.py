"""Octets as they are: the connection by hand, that of a session, and what comes back."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from stompy import STOMPClosed, STOMPConnectError, wire
from stompy.broker import Broker
from stompy_jupyter.raw import RawConnection, SessionWay, exchange
from tests.processes import free_port
from tests.unit.waiting import until

CONNECT = b"CONNECT\naccept-version:1.2\nhost:/\n\n\0"


@pytest.fixture
def raw(nothing_left: None, broker: Broker) -> Iterator[RawConnection]:
    """A connection by hand on which nothing has been said."""
    with RawConnection(broker.address) as connection:
        yield connection


@contextmanager
def answering(*octets: bytes) -> Iterator[str]:
    """The address of a peer that says this to the first that comes, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"".join(octets))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield "{}:{}".format(*server.getsockname())
        thread.join(5)


def commands(connection: Any) -> list[str]:
    return [entry.command for entry in connection.trace]


def test_it_says_nothing_of_its_own_accord(raw):
    assert commands(raw) == []
    assert raw.version is None
    assert raw.closed is None


def test_it_sends_octets_as_they_are_and_hears_what_comes(raw):
    raw.send(CONNECT)
    until(lambda: raw.version == "1.2")
    raw.send(b"BEGIN\ntransaction:t\nreceipt:1\n\n\0")
    until(lambda: commands(raw) == ["CONNECT", "CONNECTED", "BEGIN", "RECEIPT"])
    assert raw.trace[0].octets == CONNECT
    assert [entry.direction for entry in raw.trace] == ["out", "in", "out", "in"]
    assert raw.trace.name == raw.name == f"the connection by hand to {raw.address}"


def test_an_error_ends_it_and_it_says_why(raw):
    raw.send(CONNECT)
    until(lambda: raw.version)
    raw.send(b"SEND\ncolour:red\n\nhello\0")
    until(lambda: raw.closed)
    assert raw.closed.startswith("the broker closed it after ERROR: SEND without destination")
    with pytest.raises(STOMPClosed, match="has ended: the broker closed it after ERROR"):
        raw.send(CONNECT)
    assert commands(raw)[-1] == "ERROR"
    assert "ended: the broker closed it" in repr(raw)


def test_a_connect_that_is_refused_ends_it_though_the_broker_may_not_close(nothing_left):
    with answering(b"ERROR\nmessage:go away\n\n\0") as address, RawConnection(address) as raw:
        raw.send(CONNECT)
        until(lambda: raw.closed)
        assert raw.closed == "the broker refused it: go away"


def test_what_is_no_stomp_ends_it(nothing_left):
    said = b"HTTP/1.1 400 Bad Request\nno colon\n\n"
    with answering(said) as address, RawConnection(address) as raw:
        raw.send(CONNECT)
        until(lambda: raw.closed)
        assert raw.closed.startswith("what came is no STOMP")


def test_it_sends_no_heart_beats_and_says_so_when_the_broker_closes_it_for_that(nothing_left):
    with Broker(heart_beat=(0, 100)) as broker, RawConnection(broker.address) as raw:
        raw.send(b"CONNECT\naccept-version:1.2\nhost:/\nheart-beat:100,0\n\n\0")
        until(lambda: raw.beat == 100)
        until(lambda: raw.closed)
        assert raw.closed.endswith(
            "; it had been promised a heart-beat every 100 ms, and here is none sent"
        )
    assert "heart-beat" not in commands(raw)


def test_a_passcode_is_nowhere_to_be_read(nothing_left):
    said = b"ERROR\nmessage:no geheim\n\nconnect\npasscode:geheim\n\0"
    frame = b" connect\nlogin:me\npasscode: geheim\n\n\0"
    with answering(said) as address, RawConnection(address, frame) as raw:
        raw.send(frame)
        until(lambda: raw.closed)
        told = repr((raw, raw.closed, list(raw.trace)))
        assert "***" in told
        assert "geheim" not in told


@pytest.mark.parametrize(
    "said",
    [b"HTTP/1.1 400 Bad Request\r\n\r\nno", b"\0\0\0", b"CONNECTED\nversion:1.2"],
    ids=["HTTP", "octets", "half a frame"],
)
def test_what_came_is_seen_also_when_it_is_no_frame(nothing_left, said):
    with answering(said) as address, RawConnection(address, CONNECT) as raw:
        heard = exchange(raw, CONNECT, lambda _: False, 5.0)
    assert [answer.octets for answer in heard.answers] == [said]
    assert heard.answers[0].command == "no frame"


def test_who_only_repeats_what_was_said_tells_no_passcode(nothing_left):
    frame = b"CONNECT\nlogin:me\npasscode:geheim\n\n"
    with answering(b"you said geheim: " + frame) as address, RawConnection(address, frame) as raw:
        heard = exchange(raw, frame, lambda _: False, 5.0)
    assert b"geheim" not in b"".join(entry.octets for entry in raw.trace)
    assert heard.answers[0].octets.count(b"***") == 2


def test_nothing_that_listens_is_an_error_that_says_what_to_do(nothing_left):
    with pytest.raises(STOMPConnectError, match=r"cannot connect to .*refused"):
        RawConnection(("127.0.0.1", free_port()))


@pytest.mark.parametrize("address", ["ws://127.0.0.1:80/ws", "stomp+ssl://127.0.0.1"])
def test_only_plain_addresses_can_be_spoken_to_by_hand(address):
    with pytest.raises(STOMPConnectError, match="no frames by hand"):
        RawConnection(address)


def test_it_goes_over_a_unix_socket_as_well(nothing_left, tmp_path):
    with Broker(unix_path=tmp_path / "s") as _, RawConnection(f"stomp+unix://{tmp_path}/s") as raw:
        raw.send(CONNECT)
        until(lambda: raw.version == "1.2")


def test_closing_twice_is_fine(raw):
    raw.close()
    raw.close()
    assert raw.closed == "it was closed here"


# -- what comes back -------------------------------------------------------------------------


def never(_: Any) -> bool:
    return False


def test_an_exchange_ends_with_the_answer_that_is_waited_for(raw):
    said = exchange(raw, CONNECT, lambda answer: answer.command == "CONNECTED", 5)
    assert said.sent.command == "CONNECT"
    assert [answer.command for answer in said.answers] == ["CONNECTED"]
    assert said.closed is None


def test_an_exchange_ends_with_an_error_and_the_close_behind_it(raw):
    exchange(raw, CONNECT, lambda answer: answer.command == "CONNECTED", 5)
    said = exchange(raw, b"COMMIT\n\n\0", never, 5)
    assert [answer.command for answer in said.answers] == ["ERROR"]
    assert said.closed.startswith("the broker closed it after ERROR")


def test_an_exchange_ends_when_the_time_is_up(raw):
    said = exchange(raw, b"CONNECT\n", never, 0.01)
    assert said.answers == []
    assert said.sent.command == "no frame"
    assert said.closed is None


def test_a_session_carries_octets_as_well(session):
    way = SessionWay(session)
    frame = b"BEGIN\ntransaction:t\nreceipt:r\n\n\0"
    said = exchange(way, frame, lambda answer: answer.get("receipt-id") == "r", 5)
    assert said.sent.octets == frame
    assert [answer.command for answer in said.answers] == ["RECEIPT"]
    assert (way.version, way.closed) == ("1.2", None)
    assert way.trace is session.trace


def test_a_session_whose_connection_has_ended_by_that_comes_back(session):
    way = SessionWay(session)
    said = exchange(way, b"FOO\n\n\0", never, 5)
    assert [answer.command for answer in said.answers] == ["ERROR"]
    assert said.closed == "the broker closed it; the session comes back by itself"
    session.wait_connected()
    again = exchange(way, wire.encode("BEGIN", {"transaction": "t", "receipt": "r"}), never, 0.05)
    assert again.closed is None


def test_messages_of_a_subscription_made_by_hand_are_in_the_trace(session, other):
    frame = b"SUBSCRIBE\nid:mine\ndestination:/topic/t\nreceipt:r\n\n\0"
    exchange(SessionWay(session), frame, lambda answer: answer.get("receipt-id") == "r", 5)
    other.message("/topic/t", "hello")
    until(lambda: session.trace[-1].command == "MESSAGE")
    assert session.trace[-1].get("subscription") == "mine"
    assert session.connected
