"""A client that leaves, and one whose broker does."""

import gc
import sys
import threading
import time
import weakref
from collections.abc import Callable

import pytest

import stompy
from stompy import ClientState, STOMPClient, STOMPClosed, STOMPProtocolError
from tests.unit.peer import (
    TIMEOUT,
    Background,
    Link,
    Peer,
    Script,
    a_reset_keeps_what_was_sent,
    bodies,
    commands,
    conversation,
    in_threads,
    message,
    raw,
    sends,
    session,
    waiting,
)
from tests.unit.test_reconnect import accepts
from tests.unit.waiting import until

# -- leaving -------------------------------------------------------------------------------------


def test_disconnect_waits_for_its_receipt_which_nobody_else_sees() -> None:
    def script(link: Link) -> None:
        receipt = link.expect("DISCONNECT").headers["receipt"]
        link.send(message(b"late"), raw("RECEIPT", f"receipt-id:{receipt}"))
        receipts.append(receipt)
        assert link.read() is None

    receipts: list[str] = []
    with session(script) as (client, _):
        client.disconnect()
        assert len(receipts) == 1
        assert not client.Connected
        assert client.close_reason is None
        assert client.recv().Body == b"late"
        assert client.recv() is None


def test_messages_that_come_during_disconnect_are_not_acknowledged() -> None:
    def script(link: Link) -> None:
        link.expect("SUBSCRIBE")
        receipt = link.expect("DISCONNECT").headers["receipt"]
        link.send(message(b"late", "subscription:mine", "ack:1"))
        link.send(raw("RECEIPT", f"receipt-id:{receipt}"))
        assert link.read() is None

    with session(script) as (client, _):
        client.subscribe("/queue/Q", "client", id="mine")
        client.disconnect()
        assert bodies(client) == [b"late"]


def test_disconnecting_twice_says_goodbye_once() -> None:
    with session() as (client, peer):
        client.disconnect()
        client.disconnect()
    assert commands(peer.frames) == ["CONNECT", "DISCONNECT"]


def test_disconnecting_from_several_threads_says_goodbye_once() -> None:
    with session() as (client, peer):
        in_threads(4, lambda _: client.disconnect())
    assert commands(peer.frames) == ["CONNECT", "DISCONNECT"]


def test_a_context_manager_disconnects_also_when_its_block_raises() -> None:
    with Peer(conversation()) as peer:
        with pytest.raises(LookupError), stompy.connect(peer.address) as client:
            raise LookupError
        assert not client.Connected
    assert commands(peer.frames) == ["CONNECT", "DISCONNECT"]


@pytest.mark.parametrize(
    "then", [Link.stay_silent, Link.half_close, Link.reset], ids=["silence", "end", "reset"]
)
def test_a_peer_that_does_not_answer_disconnect_is_left_all_the_same(
    then: Script,
) -> None:
    def script(link: Link) -> None:
        link.expect("DISCONNECT")
        then(link)

    with session(script) as (client, _):
        begin = time.monotonic()
        client.disconnect(timeout=0.1)
        assert time.monotonic() - begin < TIMEOUT / 2
        assert not client.Connected
        assert client.close_reason is None
        assert client.recv() is None


def test_disconnect_gives_up_by_itself() -> None:
    with session(Link.stay_silent) as (client, _):
        begin = time.monotonic()
        client.disconnect()
        assert time.monotonic() - begin < TIMEOUT / 2


@pytest.mark.parametrize("silent", [False, True], ids=["answered", "not answered"])
def test_disconnect_wakes_a_thread_that_receives(
    silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with session(Link.stay_silent if silent else Link.serve) as (client, _):
        receiver_waits = waiting(monkeypatch)
        with Background(client.recv) as receiving:
            assert receiver_waits.wait(TIMEOUT)
            client.disconnect(timeout=0.1)
            assert receiving.result(timeout=1.0) is None


@pytest.mark.parametrize(
    "use",
    [
        lambda client: client.message("/queue/Q"),
        lambda client: client.subscribe("/queue/Q"),
        lambda client: client.ack("1"),
        lambda client: client.transaction(),
    ],
)
def test_after_disconnect_nothing_can_be_sent(use: Callable[[STOMPClient], object]) -> None:
    with session() as (client, peer):
        client.disconnect()
        with pytest.raises(STOMPClosed):
            use(client)
    assert commands(peer.frames) == ["CONNECT", "DISCONNECT"]


def test_an_error_frame_instead_of_the_receipt_does_not_upset_disconnect() -> None:
    def script(link: Link) -> None:
        link.expect("DISCONNECT")
        link.send(raw("ERROR", "message:no such queue"))
        link.half_close()

    with session(script) as (client, _):
        client.disconnect()
        assert not client.Connected


def test_the_garbage_collector_closes_a_forgotten_client_and_waits_for_nobody() -> None:
    def script(link: Link) -> None:
        link.accept()
        assert link.read() is None

    with Peer(script) as peer, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", lambda _: None)  # "unclosed socket" is right
        stompy.connect(peer.address)
        gc.collect()
        peer.wait()


def test_a_client_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())
    with session() as (client, _):
        client.message("/queue/Q")
    assert set(threading.enumerate()) <= before


# -- the end of the connection -------------------------------------------------------------------


def ended_by(*octets: bytes, then: Script) -> STOMPClient:
    """A client whose peer sent `octets`, then ended the connection by `then`."""
    with session(sends(*octets, then=then)) as (client, _):
        assert client.close_reason is None
        assert client.recv(TIMEOUT) is None
        assert not client.Connected
    return client


def test_the_end_of_the_stream_is_the_close_reason() -> None:
    reason = ended_by(then=Link.half_close).close_reason
    assert isinstance(reason, STOMPClosed)
    assert "closed the connection" in str(reason)


@pytest.mark.parametrize("cut", [3, 20, -4, -1])
def test_half_a_frame_is_not_delivered_and_the_close_reason_tells_of_it(cut: int) -> None:
    reason = ended_by(message(b"hello")[:cut], then=Link.half_close).close_reason
    assert "inside a frame" in str(reason)


@pytest.mark.parametrize(
    "then", [Link.half_close, pytest.param(Link.reset, marks=a_reset_keeps_what_was_sent)]
)
@pytest.mark.parametrize(
    "half",
    [
        b"MESS",
        b"MESSAGE\ndestination:/queue/Q\nmess",
        message(b"hello")[:-4],
        message(b"hello")[:-1],
        raw("MESSAGE", "destination:/queue/Q", body=b"hello")[:-1],
    ],
)
def test_a_whole_frame_in_front_of_half_a_one_is_delivered(half: bytes, then: Script) -> None:
    with session(sends(message(b"whole") + half, then=then)) as (client, _):
        assert bodies(client) == [b"whole"]
        assert not client.Connected
        assert isinstance(client.close_reason, STOMPClosed)


def test_a_reset_is_the_close_reason() -> None:
    reason = ended_by(then=Link.reset).close_reason
    assert isinstance(reason, STOMPClosed)
    assert "broke" in str(reason)


def test_what_is_sent_after_the_end_is_an_error_that_tells_the_reason() -> None:
    client = ended_by(then=Link.half_close)
    with pytest.raises(STOMPClosed, match="the broker closed the connection"):
        client.message("/queue/Q")


def test_a_connection_that_the_peer_reset_shows_when_something_is_sent() -> None:
    gone = threading.Event()
    with session(lambda link: (link.reset(), gone.set())) as (client, _):
        assert gone.wait(TIMEOUT)
        with pytest.raises(STOMPClosed):
            client.message("/queue/Q")
        assert client.close_reason is not None


def test_a_program_that_only_sends_learns_that_its_broker_has_left() -> None:
    with session(lambda link: (link.expect("SEND"), link.close())) as (client, _):
        with pytest.raises(STOMPClosed):
            until(lambda: client.message("/queue/Q"))  # the first may go out as if into the void
        assert not client.Connected


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (raw("MESSAGE", "nocolon"), "without a colon"),
        (raw("MESSAGE", r"a:b\tc"), "undefined escape"),
        (raw("MESSAGE", "a:b\\"), "undefined escape"),
        (raw("MESSAGE", "content-length:3", body=b"abcdef"), "no NUL behind"),
        (raw("MESSAGE", "content-length:-5", body=b"abcde"), "is no number"),
        (b"MESSAGE\na:\xff\n\n\0", "no UTF-8"),
    ],
)
def test_octets_that_are_no_stomp_end_the_session_with_an_error(octets: bytes, words: str) -> None:
    def script(link: Link) -> None:
        link.expect("SUBSCRIBE")
        link.send(message(b"good"), octets, message(b"never"))
        assert link.read() is None

    with session(script) as (client, _):
        client.subscribe("/queue/Q")
        assert client.recv(TIMEOUT).Body == b"good"
        for _ in range(2):
            with pytest.raises(STOMPProtocolError, match=words):
                client.recv(TIMEOUT)
        assert not client.Connected


def test_an_error_frame_during_disconnect_does_not_end_the_wait_for_its_receipt() -> None:
    def script(link: Link) -> None:
        receipt = link.expect("DISCONNECT").headers["receipt"]
        link.send(raw("ERROR", "message:about an earlier frame"))
        answered.wait(0.3)  # meanwhile it processes what was sent before
        answered.set()
        link.send(raw("RECEIPT", f"receipt-id:{receipt}"))

    answered = threading.Event()
    with session(script) as (client, _):
        client.disconnect()
        assert answered.is_set()


def test_who_connects_anew_when_told_of_the_end_stays_connected() -> None:
    said: list[str] = []

    def on_state(client: STOMPClient, state: ClientState) -> None:
        said.append(state)
        if said == ["connected", "closed"]:
            client.connect(peer.address, on_state=on_state)

    with Peer(conversation(), conversation()) as peer:
        client = stompy.connect(peer.address, on_state=on_state)
        client.disconnect()
        now = client.Connected, client.state, said[:]
        client.disconnect()
    assert now == (True, ClientState.Connected, ["connected", "closed", "connected"])


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("kind", ["a subscription", "reconnect"])
def test_a_forgotten_client_goes_at_once(kind: str) -> None:
    gc.collect()
    gc.disable()
    try:
        with Peer(accepts(Link.stay_silent)) as peer:
            client = stompy.connect(peer.address, reconnect=kind == "reconnect")
            if kind == "a subscription":
                client.subscribe("/queue/Q")
            forgotten = weakref.ref(client)
            del client
            assert forgotten() is None
    finally:
        gc.enable()
        gc.collect()
