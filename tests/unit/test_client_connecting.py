"""A client that connects: what it knows then, what each version means, what it was limited to."""

import math
import socket
from collections.abc import Callable

import pytest

import stompy
from stompy import STOMPClient, STOMPClosed, STOMPError, STOMPProtocolError
from tests.unit.peer import (
    TIMEOUT,
    Background,
    Link,
    Peer,
    Received,
    commands,
    conversation,
    dead_port,
    message,
    raw,
    sends,
    sent,
    sent_one,
    session,
)

# -- connecting ----------------------------------------------------------------------------------


def test_a_client_knows_its_broker() -> None:
    with session(version="1.1", lines=["server:Broker/1.0"]) as (client, peer):
        assert isinstance(client, STOMPClient)
        assert client.Connected is True
        assert client.BrokerAddress == peer.address
        assert (client.version, client.server) == ("1.1", "Broker/1.0")


def test_a_client_that_was_never_connected_says_so() -> None:
    client = STOMPClient()
    assert client.Connected is False
    assert (client.BrokerAddress, client.close_reason) == (None, None)
    assert "never connected" in repr(client)
    client.disconnect()


@pytest.mark.parametrize(
    "use",
    [
        STOMPClient.recv,
        STOMPClient.loop,
        lambda client: next(iter(client)),
        lambda client: client.subscribe("/queue/Q"),
        lambda client: client.message("/queue/Q"),
        lambda client: client.transaction(),
    ],
)
def test_a_client_that_was_never_connected_cannot_be_used(
    use: Callable[[STOMPClient], object],
) -> None:
    with pytest.raises(STOMPClosed, match="not connected"):
        use(STOMPClient())


def test_a_connected_client_does_not_connect_again() -> None:
    with session() as (client, peer):
        with pytest.raises(STOMPError, match="connected already"):
            client.connect(peer.address)
        assert client.Connected


def test_a_client_may_connect_again_after_it_left() -> None:
    client = STOMPClient()
    with Peer(conversation(), conversation()) as peer:
        client.connect(peer.address)
        client.subscribe("/queue/Q", id="mine")
        client.disconnect()
        client.connect(peer.address)
        assert client.subscriptions == {}
        assert client.subscribe("/queue/Q", id="mine") == "mine"
        client.disconnect()
    names = ["CONNECT", "SUBSCRIBE", "DISCONNECT"]
    assert commands(peer.frames) == names * 2


def test_no_text_of_a_client_holds_the_passcode() -> None:
    with session(login="me", passcode="s3cret") as (client, peer):
        assert "s3cret" not in f"{client} {client!r} {vars(client)}"
        assert str(peer.address[1]) in repr(client)
        assert "connected" in repr(client)
    assert "closed" in repr(client)


# -- versions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "line"),
    [("1.0", "a:b:c\\d"), ("1.1", "a:b\\cc\\\\d"), ("1.2", "a:b\\cc\\\\d")],
)
def test_headers_go_out_as_the_version_says(version: str, line: str) -> None:
    sent_frame = sent_one(lambda client: client.message("/q", a="b:c\\d"), version=version)
    assert line in sent_frame.lines


@pytest.mark.parametrize(
    ("version", "value"), [("1.0", r"x:\n\c\\"), ("1.1", "x:\n:\\"), ("1.2", "x:\n:\\")]
)
def test_headers_come_in_as_the_version_says(version: str, value: str) -> None:
    with session(sends(message(b"", r"a:x:\n\c\\")), version=version) as (client, _):
        assert client.recv(TIMEOUT)["a"] == value


def test_a_header_that_1_0_cannot_carry_is_refused_and_the_session_goes_on() -> None:
    def action(client: STOMPClient) -> None:
        with pytest.raises(STOMPProtocolError, match=r"STOMP 1\.0 has no escapes"):
            client.message("/queue/Q", a="two\nlines")
        client.message("/queue/Q")

    assert commands(sent(action, version="1.0")) == ["SEND"]


# -- limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "octets", "words"),
    [
        ({"max_body": 10}, message(b"x" * 11), "a body is longer than 10 octets"),
        ({"max_body": 10}, raw("MESSAGE", "a:b", body=b"x" * 11), "a body is longer than 10"),
        ({"max_headers": 2}, raw("MESSAGE", "a:1", "b:2", "c:3"), "more than 2 headers"),
        ({"max_header_line": 20}, raw("MESSAGE", "a:" + "x" * 40), "longer than 20 octets"),
    ],
)
def test_what_goes_beyond_a_limit_ends_the_session_with_an_error(
    limit: dict[str, int], octets: bytes, words: str
) -> None:
    with session(sends(octets), **limit) as (client, _):
        with pytest.raises(STOMPProtocolError, match=words):
            client.recv(TIMEOUT)
        assert not client.Connected


def test_what_is_just_within_the_limits_is_delivered() -> None:
    octets = raw("MESSAGE", "a:1", "content-length:10", body=b"x" * 10)
    limits = {"max_body": 10, "max_headers": 2, "max_header_line": len("content-length:10")}
    with session(sends(octets), **limits) as (client, _):
        assert client.recv(TIMEOUT).Body == b"x" * 10


# -- a socket of the user's own ------------------------------------------------------------------


def test_a_connected_socket_may_take_the_place_of_an_address() -> None:
    def serve(sock: socket.socket) -> list[Received]:
        link = Link(sock, frames)
        conversation(sends(message(b"hello")))(link)
        link.close()
        return frames

    frames: list[Received] = []
    ours, theirs = socket.socketpair()
    with Background(serve, theirs), stompy.connect(ours, login="me") as client:
        assert client.recv(TIMEOUT).Body == b"hello"
        assert "connected" in repr(client)
    assert commands(frames) == ["CONNECT", "DISCONNECT"]
    assert ours.fileno() == -1, "it was not closed"


def test_a_connected_tcp_socket_has_the_address_of_its_peer() -> None:
    with (
        Peer(conversation()) as peer,
        stompy.connect(socket.create_connection(peer.address)) as client,
    ):
        assert client.BrokerAddress == peer.address


def test_a_socket_whose_other_end_is_closed_makes_no_session() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    with pytest.raises(STOMPError) as caught:
        stompy.connect(ours)
    assert "\nTry: " in str(caught.value)
    assert ours.fileno() == -1


@pytest.mark.parametrize("timeout", [math.inf, 1e10])
def test_a_long_timeout_is_no_overflow(timeout: float) -> None:
    with Peer(conversation()) as peer, stompy.connect(peer.address, timeout=timeout) as client:
        assert client.Connected


def test_endless_heart_beats_are_refused() -> None:
    with dead_port() as port, pytest.raises(STOMPError, match="heart_beat"):
        stompy.connect(("127.0.0.1", port), heart_beat=(math.inf, 0))
