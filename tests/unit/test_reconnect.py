"""A connection that is lost, and comes back."""

import contextlib
import gc
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import stompy
from stompy import (
    AckMode,
    ClientState,
    ReconnectPolicy,
    STOMPClient,
    STOMPClosed,
    STOMPError,
    STOMPFrame,
    STOMPProtocolError,
    STOMPTimeout,
    heartbeat,
    reconnect,
    wire,
)
from tests.unit.peer import (
    TIMEOUT,
    Background,
    Link,
    Peer,
    Script,
    conversation,
    delivers,
    message,
    nothing,
    raw,
    sends,
)
from tests.unit.waiting import until

SOON = ReconnectPolicy(first=0.01, cap=0.02)


# -- the rules -----------------------------------------------------------------------------------


def test_the_pauses_double_up_to_the_cap() -> None:
    policy = ReconnectPolicy(first=1, factor=2, cap=5)
    assert [policy.delay(attempt, chance=1.0) for attempt in range(5)] == [1, 2, 4, 5, 5]


def test_a_pause_is_a_random_part_of_that() -> None:
    policy = ReconnectPolicy(first=1, cap=60)
    assert policy.delay(3, chance=0.0) == 0
    assert all(0 <= policy.delay(3) <= 8 for _ in range(100))


def test_ten_thousand_attempts_are_no_overflow() -> None:
    assert ReconnectPolicy().delay(10_000, chance=1.0) == 60


@pytest.mark.parametrize(("attempts", "allowed"), [(None, [True] * 3), (2, [True, True, False])])
def test_attempts_may_be_bounded(attempts: int | None, allowed: list[bool]) -> None:
    policy = ReconnectPolicy(attempts=attempts)
    assert [policy.allows(attempt) for attempt in range(3)] == allowed


def test_what_is_no_policy_is_refused() -> None:
    with pytest.raises(STOMPError, match="reconnect='yes'"):
        stompy.connect(("127.0.0.1", 1), reconnect="yes")


# -- a client ------------------------------------------------------------------------------------


def accepts(script: Script, *lines: str) -> Script:
    def conversation(link: Link) -> None:
        link.accept("1.2", *lines)
        script(link)

    return conversation


def breaks_off(*octets: bytes) -> Script:
    """A script that sends something and then breaks the connection off."""

    def script(link: Link) -> None:
        link.send(*octets)
        link.half_close()
        link.stay_silent()

    return accepts(script)


def serves(*octets: bytes) -> Script:
    def script(link: Link) -> None:
        link.send(*octets)
        link.serve()

    return accepts(script)


@contextlib.contextmanager
def client_of(*scripts: Script, **arguments: Any) -> Iterator[tuple[STOMPClient, Peer, list[str]]]:
    """A client that reconnects, the peer that plays one script a connection, and what was said."""
    states: list[str] = []
    arguments = {"reconnect": SOON, "on_state": lambda _, state: states.append(state)} | arguments
    with Peer(*scripts) as peer, stompy.connect(peer.address, **arguments) as client:
        yield client, peer, states


def lose(client: STOMPClient) -> None:
    """Read the end of the connection, without an attempt to have it back."""
    assert client._connection is not None
    while client._connection.next_frame(TIMEOUT):
        pass
    assert client.state is ClientState.Reconnecting


def test_iteration_goes_on_over_a_lost_connection() -> None:
    with client_of(breaks_off(message(b"1")), serves(message(b"2"))) as (client, _, states):
        frames = iter(client)
        assert [next(frames).Body, next(frames).Body] == [b"1", b"2"]
        assert client.state is ClientState.Connected
    assert states == ["connected", "reconnecting", "connected", "closed"]


def test_without_reconnect_iteration_ends_and_the_state_says_so() -> None:
    with client_of(breaks_off(message(b"1")), reconnect=False) as (client, _, states):
        assert [frame.Body for frame in client] == [b"1"]
    assert states == ["connected", "closed"]


def test_a_loop_goes_on_until_its_callback_is_content() -> None:
    with client_of(breaks_off(message(b"1")), serves(message(b"2"))) as (client, _, _):
        assert client.loop(lambda _, frame: frame.Body == b"2", timeout=TIMEOUT) is True


def test_subscriptions_come_back_before_what_is_sent_next() -> None:
    def first(link: Link) -> None:
        for _ in range(3):
            link.read()
        link.half_close()

    with client_of(accepts(first), serves()) as (client, peer, _):
        client.subscribe("/topic/a", id="a", selector="x = 1")
        client.subscribe("/queue/b", AckMode.ClientInd, id="b")
        client.unsubscribe("a")
        lose(client)
        client.message("/queue/Q", "next")
        client.disconnect()
    second = peer.frames[
        next(i for i, f in enumerate(peer.frames[1:], 1) if f.command == "CONNECT") :
    ]
    assert [frame.command for frame in second] == ["CONNECT", "SUBSCRIBE", "SEND", "DISCONNECT"]
    assert second[1].headers == {"id": "b", "destination": "/queue/b", "ack": "client-individual"}


def test_a_send_brings_the_connection_back() -> None:
    with client_of(breaks_off(), serves()) as (client, peer, states):
        lose(client)
        receipt = client.message("/queue/Q", "x", receipt=True)
        assert receipt is not None
        receipt.wait(TIMEOUT)
    assert states == ["connected", "reconnecting", "connected", "closed"]
    assert [frame.command for frame in peer.frames].count("SEND") == 1


def test_what_was_received_before_the_loss_outlives_that_a_sender_brings_it_back() -> None:
    script = [breaks_off(b"".join(message(b"%d" % n) for n in range(3))), serves(message(b"3"))]
    with client_of(*script) as (client, _, states):
        assert client._connection is not None
        until(lambda: client._connection.notice_end() or len(client._connection.inbox) == 3)
        client._connection.close(STOMPClosed("it broke"))
        client.message("/queue/Q", "the connection comes back by this")
        assert states == ["connected", "reconnecting", "connected"]
        assert [client.recv(TIMEOUT).Body for _ in range(4)] == [b"0", b"1", b"2", b"3"]


def test_an_ack_that_is_not_sent_may_go_without_a_warning() -> None:
    with client_of(breaks_off(message(b"a", "ack:1")), serves(message(b"b", "ack:1"))) as (
        client,
        peer,
        _,
    ):
        frame = client.recv(TIMEOUT)
        assert client.answerable(frame)
        again = client.recv(TIMEOUT)
        assert not client.answerable(frame)
        assert client.answerable(again)
        assert client.ack(frame, warn=False) is client.nack(frame, warn=False) is None
        assert "ACK" not in [sent.command for sent in peer.frames]


@pytest.mark.parametrize("by", ["the frame", "its header"])
@pytest.mark.parametrize("place", [0, 1], ids=["a new kind of frame", "one of several alike"])
def test_an_ack_of_an_earlier_connection_is_not_sent_and_a_warning_says_so(
    by: str, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "LEARN_AFTER", 1)
    old = message(b"old", "subscription:1", "ack:old")
    new = message(b"new", "subscription:1", "ack:new")

    def first(link: Link) -> None:
        link.expect("SUBSCRIBE")
        link.send(old + old)
        link.half_close()

    def second(link: Link) -> None:
        link.expect("SUBSCRIBE")
        link.send(new)
        link.serve()

    with client_of(accepts(first), accepts(second)) as (client, peer, _):
        client.subscribe("/queue/Q", "client-individual", send_acks=False, id="1")
        frames = [client.recv(TIMEOUT) for _ in range(3)]
        said = [frame if by == "the frame" else frame["ack"] for frame in frames]
        with pytest.warns(UserWarning, match="ACK of a message of an earlier connection"):
            assert client.ack(said[place]) is None
        client.ack(said[2])
        client.disconnect()
    acks = [frame.headers["id"] for frame in peer.frames if frame.command == "ACK"]
    assert acks == ["new"]


def test_automatic_acks_of_an_earlier_connection_are_left_out_in_silence() -> None:
    def first(link: Link) -> None:
        link.expect("SUBSCRIBE")
        link.send(
            message(b"1", "subscription:1", "ack:a") + message(b"2", "subscription:1", "ack:b")
        )
        link.half_close()
        link.stay_silent()

    with client_of(accepts(first)) as (client, peer, _):
        client.subscribe("/queue/Q", "client", id="1")
        seen: list[bytes] = []

        def callback(_: STOMPClient, frame: STOMPFrame) -> bool:
            seen.append(frame.Body)
            return len(seen) == 2

        client.loop(callback, timeout=TIMEOUT)
    assert seen == [b"1", b"2"]
    assert all(frame.headers["id"] in "ab" for frame in peer.frames if frame.command == "ACK")


def test_a_transaction_ends_with_its_connection() -> None:
    with client_of(breaks_off(), serves()) as (client, peer, _):
        transaction = client.transaction()
        lose(client)
        client.message("/queue/Q", "by the new connection")
        with pytest.raises(STOMPError, match="has ended with its connection"):
            transaction.message("/queue/Q", "too late")
    assert [frame.headers["destination"] for frame in peer.frames if frame.command == "SEND"] == [
        "/queue/Q"
    ]


def test_a_refused_login_ends_the_attempts() -> None:
    def refuses(link: Link) -> None:
        link.expect("CONNECT")
        link.send(raw("ERROR", "message:Bad CONNECT", body=b"access refused"))

    with client_of(breaks_off(), refuses) as (client, _, states):
        assert client.recv(TIMEOUT) is None
        assert "access refused" in str(client.close_reason)
        assert states == ["connected", "reconnecting", "closed"]
        with pytest.raises(STOMPClosed):
            client.message("/queue/Q")


def test_attempts_come_to_an_end() -> None:
    policy = ReconnectPolicy(attempts=2, first=0.01)
    with socket.create_server(("127.0.0.1", 0)) as listener, Peer(breaks_off(), listener=listener):
        client = stompy.connect(listener.getsockname(), reconnect=policy)
        listener.close()
        assert client.recv(TIMEOUT) is None
        assert "nothing listens" in str(client.close_reason)
        assert client.state is ClientState.Closed


def test_a_wait_ends_in_time_though_the_connection_does_not_come_back() -> None:
    policy = ReconnectPolicy(first=3600, cap=3600)
    with client_of(breaks_off(), reconnect=policy) as (client, _, _):
        for _ in range(2):
            with pytest.raises(STOMPTimeout, match="lost and not back yet"):
                client.recv(0.05)
        assert client.state is ClientState.Reconnecting


def test_a_goodbye_wakes_who_waits_for_the_connection_to_come_back() -> None:
    lost = threading.Event()
    policy = ReconnectPolicy(first=3600, cap=3600)

    def noted(_: STOMPClient, state: ClientState) -> None:
        if state is ClientState.Reconnecting:
            lost.set()

    with client_of(breaks_off(), reconnect=policy, on_state=noted) as (client, _, _):
        with Background(client.recv) as reader:
            assert lost.wait(TIMEOUT)
            client.disconnect()
            assert reader.result() is None
        assert client.state is ClientState.Closed


def test_a_socket_that_was_given_cannot_come_back() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(STOMPError, match="given socket"):
        stompy.connect(ours, reconnect=True)


def test_a_callback_that_fails_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError

    with client_of(serves(message(b"1")), on_state=fails) as (client, _, _):
        assert client.recv(TIMEOUT).Body == b"1"
    assert "on_state failed" in caplog.text


def test_threads_that_send_meanwhile_share_the_one_new_connection() -> None:
    with client_of(breaks_off(), serves()) as (client, peer, states):
        lose(client)
        threads = [Background(client.message, "/queue/Q", str(n)) for n in range(4)]
        with contextlib.ExitStack() as stack:
            for thread in threads:
                stack.enter_context(thread)
        client.disconnect()
    assert [frame.command for frame in peer.frames].count("CONNECT") == 2
    assert [frame.command for frame in peer.frames].count("SEND") == 4
    assert states.count("connected") == 2


def test_a_callback_that_answers_each_message_does_not_pull_the_rest_into_memory() -> None:
    many = b"".join(message(bytes(1000)) for _ in range(1000))
    stop = threading.Event()

    def floods(link: Link) -> None:
        link.accept()
        link.socket.settimeout(0.5)
        try:
            while not stop.is_set():
                link.socket.sendall(many)
        except OSError:
            pass

    with Peer(floods) as peer:
        client = stompy.connect(peer.address, reconnect=True)
        seen = 0

        def callback(client: STOMPClient, _: STOMPFrame) -> bool:
            nonlocal seen
            seen += 1
            client.message("/queue/answers")
            return seen == 200

        client.loop(callback)
        kept = len(client._connection.inbox)
        stop.set()
        client._recovery.stop()
        client._connection.close(None)
    assert kept < 1000


def test_on_state_may_send_while_another_thread_brings_the_connection_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(heartbeat, "DEAD_GRACE", 0.1)
    monkeypatch.setattr("stompy.client.SEND_LIMIT", 3.0)  # 60 s in truth
    took: list[float] = []

    def on_state(client: STOMPClient, state: ClientState) -> None:  # in the heart-beat thread
        if state is ClientState.Reconnecting:
            until(client._recovery._turn.locked)  # the reader is at it
            threading.Timer(0.2, go_on.set).start()
            begin = time.monotonic()
            with contextlib.suppress(STOMPTimeout):
                client.message("/queue/Q", "I am back")
            took.append(time.monotonic() - begin)

    def silent(link: Link) -> None:
        link.accept("1.2", "heart-beat:50,0")
        link.stay_silent()

    def accepts_later(link: Link) -> None:
        go_on.wait(TIMEOUT)
        conversation(sends(message(b"new")))(link)

    go_on = threading.Event()
    with Peer(silent, accepts_later) as peer:
        client = stompy.connect(peer.address, reconnect=SOON, on_state=on_state, heart_beat=(0, 50))
        with Background(client.recv, TIMEOUT) as reader:
            until(lambda: took, 10)
            assert reader.result().Body == b"new"
        client.disconnect()
    assert took[0] < 1


def test_a_connection_comes_back_also_after_octets_that_are_no_stomp() -> None:
    def garbles(link: Link) -> None:
        link.accept()
        link.send(raw("MESSAGE", "nocolon"))
        link.stay_silent()

    good = conversation(sends(message(b"new")))
    with Peer(garbles, good) as peer, stompy.connect(peer.address, reconnect=SOON) as client:
        assert client.recv(TIMEOUT).Body == b"new"
        assert client.state is ClientState.Connected


def test_octets_that_are_no_stomp_are_said_when_the_connection_does_not_come_back() -> None:
    def garbles(link: Link) -> None:
        link.accept()
        link.send(raw("MESSAGE", "nocolon"))
        link.stay_silent()

    with Peer(garbles) as peer:
        policy = ReconnectPolicy(attempts=0)
        client = stompy.connect(peer.address, reconnect=policy)
        with pytest.raises(STOMPProtocolError, match="without a colon"):
            client.recv(TIMEOUT)
        assert client.state is ClientState.Closed


def test_a_goodbye_during_the_take_over_is_final() -> None:
    def first(link: Link) -> None:
        link.accept()
        link.half_close()
        link.stay_silent()

    with Peer(first, conversation()) as peer:
        client = stompy.connect(peer.address, reconnect=SOON)
        take_over = client._take_over

        def slow(*new: Any) -> None:
            client.disconnect()  # as another thread may say it just then
            take_over(*new)

        client._take_over = slow
        try:
            assert client.recv(0.5) is None
            assert not client.Connected
        finally:
            client._connection.close(None)


def test_a_client_that_connects_anew_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def first(link: Link) -> None:
        link.accept()
        link.half_close()
        link.stay_silent()

    monkeypatch.setattr(ReconnectPolicy, "delay", lambda *_: 0.2)
    with Peer(conversation()) as new, Peer(first, conversation()) as old:
        client = stompy.connect(old.address, reconnect=True)
        recovery = client._recovery
        with Background(client.recv, 2):
            until(recovery._turn.locked)
            client.connect(new.address)
            until(lambda: not recovery._turn.locked())
            there = client.BrokerAddress
            client.disconnect()
            old._abort()
    assert there == new.address


def test_a_frame_that_on_state_has_received_can_be_acknowledged_by_itself() -> None:
    failures: list[Exception] = []

    def on_state(client: STOMPClient, state: ClientState) -> None:
        if state is ClientState.Connected:
            client.subscribe("/queue/Q", "client", send_acks=False)
            try:
                client.recv(TIMEOUT).ack()
            except STOMPError as error:
                failures.append(error)

    with Peer(conversation(delivers(b"1"))) as peer:
        stompy.connect(peer.address, on_state=on_state).disconnect()
    assert failures == []


def test_on_state_may_receive_on_a_connection_that_is_lost_as_soon_as_it_has_come_back() -> None:
    said: list[str] = []
    answers: list[Any] = []

    def on_state(client: STOMPClient, state: ClientState) -> None:
        said.append(state)
        if said == ["connected", "reconnecting", "connected"]:
            with contextlib.suppress(STOMPTimeout):
                answers.append(client.recv(3))

    scripts = breaks_off(), breaks_off(), serves(message(b"3"), message(b"4"))
    with client_of(*scripts, on_state=on_state) as (client, _, _):
        client.recv(TIMEOUT)
    assert [frame.Body for frame in answers] == [b"3"]


def test_nothing_is_locked_when_subscribe_finds_the_connection_lost() -> None:
    outcome: list[Any] = []

    def on_state(client: STOMPClient, state: ClientState) -> None:
        if state is ClientState.Reconnecting and not outcome:
            other = Background(client.subscribe, "/queue/other")
            other._thread.start()
            other._thread.join(3)
            outcome.append("stuck" if other.running else "done")

    def reset(*_: object) -> None:
        raise ConnectionResetError

    scripts = accepts(Link.stay_silent), serves()
    with client_of(*scripts, on_state=on_state) as (client, _, _):
        assert client._connection is not None
        client._connection._transport.send = reset  # type: ignore[method-assign]
        with contextlib.suppress(STOMPClosed):
            client.subscribe("/queue/Q")
        until(lambda: outcome)
    assert outcome == ["done"]


def test_an_ack_that_the_loss_overtakes_is_left_out_also_when_on_state_brings_it_back() -> None:
    def on_state(client: STOMPClient, state: ClientState) -> None:
        if state is ClientState.Reconnecting:
            client.message("/queue/log", "lost")

    def reset(*_: object) -> None:
        raise ConnectionResetError

    first = accepts(delivers(b"x", then=Link.stay_silent))
    with client_of(first, serves(), on_state=on_state) as (client, _, _):
        client.subscribe("/queue/Q", "client-individual", send_acks=False)
        frame = client.recv(TIMEOUT)
        assert client._connection is not None
        client._connection._transport.send = reset  # type: ignore[method-assign]
        with pytest.warns(UserWarning, match="earlier connection"):
            assert client.ack(frame) is None


@pytest.mark.parametrize("collected", [False, True])
def test_a_frame_of_an_earlier_connection_answers_for_itself_as_the_client_does(
    collected: bool,
) -> None:
    first = accepts(delivers(b"old", then=Link.half_close))
    with client_of(first, serves(message(b"new"))) as (client, _, _):
        client.subscribe("/queue/Q", "client-individual", send_acks=False)
        old = client.recv(TIMEOUT)
        assert old is not None
        assert client.recv(TIMEOUT).Body == b"new"  # type: ignore[union-attr]
        if collected:
            gc.collect()
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            old.ack()
        assert "earlier connection" in str(warned[0].message)
        # A warning that names a line of stompy is shown once, for the whole program.
        assert warned[0].filename == __file__


@pytest.mark.parametrize("lived", [False, True])
def test_attempts_are_counted_over_several_calls(
    lived: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnect, "LIVED", -1.0 if lived else TIMEOUT)
    monkeypatch.setattr(ReconnectPolicy, "delay", lambda *_: 0.05)
    with Peer(accepts(nothing)) as peer:
        client = stompy.connect(peer.address, reconnect=ReconnectPolicy(attempts=2))
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        try:
            assert client.recv(timeout=0.02) is None
        except STOMPTimeout:
            continue
        break
    else:
        pytest.fail("it never gives up")
    assert client.state is ClientState.Closed
