"""A client that receives: by `recv`, by iteration, by `loop`; and what an ERROR frame is."""

import gc
import os
import pickle
import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from stompy import STOMPClient, STOMPError, STOMPFrame, STOMPProtocolError, STOMPTimeout, transport
from tests.unit.peer import (
    TIMEOUT,
    Background,
    Link,
    a_reset_keeps_what_was_sent,
    acks,
    bodies,
    commands,
    delivers,
    in_threads,
    message,
    raw,
    sends,
    session,
    waiting,
)

ERROR = raw("ERROR", "message:no such queue", body=b"/queue/Q is not there\n")

on_posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")


# -- receiving -----------------------------------------------------------------------------------


def test_recv_gives_the_frames_then_none_then_none_again() -> None:
    with session(sends(message(b"1"), message(b"2"), then=Link.half_close)) as (client, _):
        assert bodies([client.recv(), client.recv(TIMEOUT)]) == [b"1", b"2"]
        assert client.recv(TIMEOUT) is None
        assert client.recv() is None
        assert not client.Connected


def test_iteration_gives_the_frames_until_the_connection_closes() -> None:
    numbers = [b"%d" % n for n in range(200)]
    with session(sends(*map(message, numbers), then=Link.half_close)) as (client, _):
        assert bodies(client) == numbers
        assert bodies(client) == []


def test_iteration_may_be_left_and_taken_up_again() -> None:
    with session(sends(*map(message, [b"1", b"2", b"3"]), then=Link.half_close)) as (client, _):
        for frame in client:
            assert frame.Body == b"1"
            break
        assert bodies(client) == [b"2", b"3"]


@pytest.mark.parametrize("place", ["idle", "in a header", "in a body"])
def test_a_timeout_loses_nothing(place: str) -> None:
    octets = message(b"hello")
    cut = {"idle": 0, "in a header": 20, "in a body": -4}[place]
    go_on = threading.Event()

    def script(link: Link) -> None:
        link.send(octets[:cut])
        assert go_on.wait(TIMEOUT)
        link.send(octets[cut:])

    with session(script) as (client, _):
        for _ in range(2):
            with pytest.raises(STOMPTimeout):
                client.recv(timeout=0.02)
        with pytest.raises(STOMPTimeout):
            client.loop(timeout=0.02)
        go_on.set()
        assert client.recv(TIMEOUT).Body == b"hello"


def test_a_timeout_is_a_stomp_error_and_a_timeout_error() -> None:
    with session() as (client, _):
        with pytest.raises(STOMPError):
            client.recv(0)
        with pytest.raises(TimeoutError):
            client.recv(0)
        assert client.Connected


def test_messages_that_nobody_subscribed_to_are_handed_over() -> None:
    octets = [
        raw("MESSAGE", "destination:/queue/Q", "message-id:1", "ack:a", body=b"1"),
        message(b"2", "subscription:/temp-queue/foo", "ack:b"),
    ]
    with session(sends(*octets)) as (client, peer):
        client.subscribe("/queue/Q", ack_mode="client")
        assert bodies([client.recv(TIMEOUT), client.recv(TIMEOUT)]) == [b"1", b"2"]
    assert acks(peer) == []


def test_a_command_nobody_knows_is_handed_over_and_the_next_frame_follows() -> None:
    with session(sends(raw("SURPRISE"), message(b"1"))) as (client, _):
        assert client.recv(TIMEOUT).Command == "SURPRISE"
        assert client.recv(TIMEOUT).Body == b"1"


AS_SENT_BY = {
    "RabbitMQ": (
        b"MESSAGE\nsubscription:1\ndestination:/topic/a.b\n"
        b"message-id:T_1@@session-gvcjX\\c3@@2\nredelivered:false\nack:T_1@@session-gvcjX\\c3@@2\n"
        b"receipt:r1\ntransaction:t1\ncontent-length:5\n\nhello\0\n",
        {"destination": "/topic/a.b", "ack": "T_1@@session-gvcjX:3@@2", "receipt": "r1"},
    ),
    "ActiveMQ": (
        b"MESSAGE\nack:ID\\chost-34303-2\\c1\nexpires:0\ndestination:/queue/Q\nsubscription:1\n"
        b"priority:4\nmessage-id:ID\\chost-34303\\c2\\c-1\\c1\\c1\npersistent:true\n"
        b"timestamp:1764000000000\nurl:http://host:80/a\n\nhello\0\n",
        {"ack": "ID:host-34303-2:1", "message-id": "ID:host-34303:2:-1:1:1"},
    ),
    "Artemis": (
        b"MESSAGE\r\nsubscription:1\r\ncontent-length:5\r\nmessage-id:17\r\nack:17\r\n"
        b"destination:/queue/Q\r\nredelivered:false\r\nfoo:new\r\nfoo:old\r\n\r\nhello\0\r\n",
        {"message-id": "17", "destination": "/queue/Q", "foo": "new"},
    ),
    "Apollo": (
        b"MESSAGE\nreply-to:/queue/temp.default.23.x\nsubscription:1\ndestination:/queue/Q\n"
        b"message-id:x1\ncontent-length:5\nreply-to:/temp-queue/x\n\nhello\0",
        {"reply-to": "/queue/temp.default.23.x", "message-id": "x1"},
    ),
}


@pytest.mark.parametrize("broker", AS_SENT_BY)
def test_a_message_is_understood_as_brokers_send_it(broker: str) -> None:
    octets, headers = AS_SENT_BY[broker]
    with session(sends(b"\n" + octets + octets)) as (client, _):
        for frame in (client.recv(TIMEOUT), client.recv(TIMEOUT)):
            assert (frame.Command, frame.text, frame["subscription"]) == ("MESSAGE", "hello", "1")
            assert headers.items() <= frame.headers().items()


def test_an_error_with_its_frame_survives_the_way_to_another_process() -> None:
    with session(sends(ERROR)) as (client, _):
        with pytest.raises(STOMPError) as caught:
            client.recv(TIMEOUT)
        assert pickle.loads(pickle.dumps(caught.value)).Frame == caught.value.Frame


# -- loop ----------------------------------------------------------------------------------------


def test_loop_calls_back_with_the_client_the_frame_and_the_arguments() -> None:
    calls = []

    def callback(*args: Any, **kwargs: Any) -> str:
        calls.append((args, kwargs))
        return "done"

    with session(sends(message(b"1"))) as (client, _):
        assert client.loop(callback, "a", 2, key="value") == "done"
        (((first, frame, *rest), kwargs),) = calls
    assert first is client
    assert frame.Body == b"1"
    assert (rest, kwargs) == (["a", 2], {"key": "value"})


def test_loop_takes_its_callback_as_a_keyword() -> None:
    with session(sends(message(b"1"))) as (client, _):
        assert client.loop(callback=lambda _, frame: frame.Body) == b"1"


def test_loop_goes_on_after_anything_false_and_returns_what_is_true() -> None:
    answers = [None, False, 0, "", [], "seven"]
    left = iter(answers)
    with session(sends(*[message(b"")] * 7, then=Link.half_close)) as (client, _):
        assert client.loop(lambda *_: next(left)) == "seven"
        assert len(bodies(client)) == 1


@pytest.mark.parametrize("callback", [None, lambda *_: False])
def test_loop_returns_none_when_the_connection_closes(callback: Any) -> None:
    with session(sends(*[message(b"")] * 200, then=Link.half_close)) as (client, _):
        assert client.loop(callback) is None
        assert client.loop(callback) is None


def test_loop_times_out_when_no_further_frame_comes() -> None:
    def script(link: Link) -> None:
        link.send(message(b"1"))
        for body in (b"2", b"3"):
            link.expect("SEND")
            link.send(message(body))

    seen = []

    def callback(client: STOMPClient, frame: STOMPFrame) -> None:
        seen.append(frame.Body)
        client.message("/queue/next")

    with session(script) as (client, _):
        with pytest.raises(STOMPTimeout):
            client.loop(callback, timeout=0.2)
        assert client.Connected
    assert seen == [b"1", b"2", b"3"]


def test_the_callback_may_send_and_receive() -> None:
    def callback(client: STOMPClient, frame: STOMPFrame) -> bytes:
        client.message("/queue/reply", frame.Body)
        return client.recv(TIMEOUT).Body

    with session(sends(message(b"1"), message(b"2"))) as (client, peer):
        assert client.loop(callback) == b"2"
    assert commands(peer.frames) == ["CONNECT", "SEND", "DISCONNECT"]


def test_the_callback_may_disconnect() -> None:
    with session(delivers(b"1")) as (client, peer):
        client.subscribe("/queue/Q", "client")
        assert client.loop(lambda client, _: client.disconnect()) is None
    assert acks(peer) == []


# -- ERROR ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("receive", [STOMPClient.recv, list, STOMPClient.loop])
def test_an_error_frame_is_raised_with_the_brokers_words(
    receive: Callable[[STOMPClient], object],
) -> None:
    with session(sends(ERROR)) as (client, _):
        with pytest.raises(STOMPError, match="no such queue") as caught:
            receive(client)
        assert "/queue/Q is not there" in caught.value.Message
        assert caught.value.Frame == STOMPFrame(
            "ERROR", {"message": "no such queue"}, b"/queue/Q is not there\n"
        )
        assert client.Connected  # some brokers go on; the end comes by itself when they do not


@pytest.mark.parametrize("octets", [raw("ERROR"), raw("ERROR", "message:", body=b"\xff\n")])
def test_an_error_frame_may_be_empty(octets: bytes) -> None:
    with session(sends(octets)) as (client, _), pytest.raises(STOMPError, match="broker") as caught:
        client.recv(TIMEOUT)
    assert caught.value.Frame.Command == "ERROR"


def test_an_error_frame_can_be_returned_instead() -> None:
    with session(sends(ERROR)) as (client, _):
        frame = client.recv(TIMEOUT, exception_on_error=False)
        assert (frame.Command, frame["message"]) == ("ERROR", "no such queue")


def test_loop_hands_an_error_frame_to_the_callback() -> None:
    with session(sends(ERROR)) as (client, _):
        assert client.loop(lambda _, frame: frame.Command) == "ERROR"


def test_a_message_before_an_error_frame_is_delivered_and_the_end_comes_after_it() -> None:
    with session(sends(message(b"1") + ERROR, then=Link.half_close)) as (client, _):
        assert client.recv(TIMEOUT).Body == b"1"
        with pytest.raises(STOMPError, match="no such queue"):
            client.recv(TIMEOUT)
        assert client.recv(TIMEOUT) is None


@a_reset_keeps_what_was_sent
def test_a_receiver_sees_an_error_frame_that_is_followed_by_a_reset() -> None:
    gone = threading.Event()
    with session(sends(ERROR, then=lambda link: (link.reset(), gone.set()))) as (client, _):
        assert gone.wait(TIMEOUT)
        with pytest.raises(STOMPError, match="no such queue"):
            client.recv(TIMEOUT)
        assert client.recv(TIMEOUT) is None


@a_reset_keeps_what_was_sent
def test_a_sender_or_the_next_recv_sees_an_error_frame_that_is_followed_by_a_reset() -> None:
    gone = threading.Event()
    with session(sends(ERROR, then=lambda link: (link.reset(), gone.set()))) as (client, _):
        assert gone.wait(TIMEOUT)
        with pytest.raises(STOMPError) as caught:
            client.message("/queue/Q", "hello")
        assert not client.Connected
        if caught.value.Frame is None:
            with pytest.raises(STOMPError, match="no such queue"):
                client.recv(TIMEOUT)


# -- several threads -----------------------------------------------------------------------------


def test_several_receivers_share_all_frames() -> None:
    numbers = [b"%d" % n for n in range(400)]
    shares: list[list[bytes]] = [[], []]
    with session(sends(*map(message, numbers), then=Link.half_close)) as (client, _):
        in_threads(2, lambda thread: shares[thread].extend(bodies(client)))
    assert sorted(shares[0] + shares[1], key=int) == numbers
    for share in shares:
        assert share == sorted(share, key=int)


def test_one_thread_may_send_while_another_receives(monkeypatch: pytest.MonkeyPatch) -> None:
    def script(link: Link) -> None:
        link.send(message(link.expect("SEND").body))

    with session(script) as (client, _):
        receiver_waits = waiting(monkeypatch)
        with Background(client.recv, TIMEOUT) as receiving:
            assert receiver_waits.wait(TIMEOUT)
            client.message("/queue/Q", "hello")
            assert receiving.result().Body == b"hello"


@pytest.mark.parametrize("timeout", [30 * 86_400.0, float("inf")])
def test_a_timeout_may_be_a_month_or_more(timeout: float, monkeypatch: pytest.MonkeyPatch) -> None:
    def script(link: Link) -> None:
        link.expect("SEND")
        link.send(message(b"at last"))

    reader_waits = waiting(monkeypatch)
    with session(script) as (client, _), Background(client.recv, timeout) as reading:
        assert reader_waits.wait(TIMEOUT)
        client.message("/queue/Q")
        assert reading.result().Body == b"at last"  # OverflowError where it has to wait


def interrupted(work: Callable[[], object], times: int) -> None:
    """Do `work()` over and over, and break into it by a KeyboardInterrupt so many times."""
    armed = False

    def interrupt(*_: object) -> None:
        if armed:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    gc.disable()  # an interrupt in somebody's callback of the collector is none of our concern
    try:
        for _ in range(times):
            # Again after 20 ms, should it get lost: Python ignores exceptions in finalizers.
            signal.setitimer(signal.ITIMER_REAL, random.uniform(2e-5, 1e-3), 0.02)
            try:
                armed = True
                while True:
                    work()
            except KeyboardInterrupt:
                armed = False
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()


@on_posix
@pytest.mark.parametrize("by", ["tcp", "unix", "tls"])
def test_whenever_a_send_is_interrupted_other_threads_can_send(
    by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Python itself counts a thread for ever whose start() was interrupted: no burst starts one.
    monkeypatch.setattr(transport, "BURST", 10**9)
    with session(by=by, heart_beat=(0, 0)) as (client, _):
        interrupted(lambda: client.message("/queue/Q", b"x"), 1000)
        with Background(lambda: client.message("/queue/Q", receipt=True).wait(5)) as other:
            other.result(6)


def floods(stop: threading.Event) -> Callable[[Link], None]:
    """A script that sends numbered messages until `stop`, then one that says "end"."""

    def script(link: Link) -> None:
        number = 0
        while not stop.is_set():
            portion = b""
            for _ in range(random.randint(1, 20)):
                number += 1
                portion += message(b"%d" % number)
            link.send(portion)
            time.sleep(0.0005)
        link.send(message(b"end"))

    return script


@on_posix
@pytest.mark.parametrize("by", ["tcp", "unix", "tls"])
def test_whenever_a_receiver_is_interrupted_the_stream_stays_whole(by: str) -> None:
    stop = threading.Event()
    bodies: list[bytes] = []

    def take() -> None:
        frame = client.recv(5)
        assert frame is not None, client.close_reason
        bodies.append(frame.Body)

    def take_the_rest() -> None:
        while bodies[-1] != b"end":
            take()

    times = 800
    with session(floods(stop), by=by, heart_beat=(0, 0)) as (client, _):
        try:
            interrupted(take, times)
        finally:
            stop.set()
        with Background(take_the_rest) as other:
            other.result(6)
    numbers = [int(body) for body in bodies[:-1]]
    assert numbers == sorted(set(numbers))
    # The one that is being handed over may be lost (as with queue.get), but no other.
    assert numbers[-1] - len(numbers) <= times


def test_what_recv_raises_has_nothing_of_the_inbox_behind_it() -> None:
    with session(lambda link: link.send(b"nonsense\nx\n\n\0")) as (client, _):
        with pytest.raises(STOMPProtocolError) as failed:
            client.recv(TIMEOUT)
        shown = failed.value
        assert shown.__context__ is None or shown.__suppress_context__


def test_a_burst_is_all_that_was_read_together_whatever_it_is() -> None:
    burst = raw("ERROR", "message:a warning") + b"".join(message(b"%d" % n) for n in range(3))

    def script(link: Link) -> None:
        link.send(burst)
        link.serve()

    with session(script) as (client, _):
        frames = client.recv_burst()
        while len(frames) < 4:
            frames += client.recv_burst()
        assert [frame.Command for frame in frames] == ["ERROR", *["MESSAGE"] * 3]
        assert [frame.Body for frame in frames[1:]] == [b"0", b"1", b"2"]
        client.disconnect()
        assert client.recv_burst() == []
