"""Twenty-two things that hurt in other STOMP clients: none that we know of passes all of them.

The tests are in the order of that list, and named after its rows. What they need of a broker is the
real one where the row is about real ones, else a peer that does what a script says.
"""

import contextlib
import gc
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.sync.server import ServerConnection, serve

import stompy
from stompy import (
    ReceiptOutcome,
    ReconnectPolicy,
    STOMPClient,
    STOMPConnectError,
    STOMPError,
    STOMPFrame,
    STOMPProtocolError,
    STOMPTimeout,
    wire,
)
from stompy.broker import Broker
from stompy.broker.destinations import Destinations
from stompy.broker.events import EventLog
from stompy.broker.limits import Limits
from stompy.broker.session import Rules, Session
from stompy.client import CONNECT_LIMIT
from tests.brokers import servers
from tests.brokers.test_client import WAIT, Connect, left_in, received
from tests.certificates import client_context, server_certificate, server_context, write_files
from tests.processes import HOST, free_port, listens, running
from tests.requirements import need
from tests.unit.ends import tls_end
from tests.unit.peer import (
    TIMEOUT,
    Background,
    Link,
    Peer,
    Script,
    in_threads,
    message,
    raw,
    session,
)

ROOT = Path(stompy.__file__).parent.parent

MIB = 1024 * 1024

STREAM = b"".join(
    (
        b"CONNECTED\nversion:1.2\nsession:ID:host-1:2\n\n\0",
        b"\n\r\n",
        b"MESSAGE\r\nsubscription:1\r\nmessage-id:m\\c1\r\ncontent-length:5\r\n\r\n\0\n\n\0x\0\n",
        b"RECEIPT\nreceipt-id:gr\xc3\xbc\xc3\x9fe\n\n\0\n",
        b"MESSAGE\ndestination:/queue/Q\nsubscription:1\nmessage-id:m2\n\nuntil the NUL\0",
    )
)
"""All that makes it hard to see where a frame ends."""


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail when the block takes longer; the limits are far from what is usual."""
    begun = time.monotonic()
    yield
    took = time.monotonic() - begun
    assert took < seconds, f"took {took:.2f} s"


def body(client: STOMPClient) -> bytes:
    """The body of the next message."""
    frame = client.recv(WAIT)
    assert frame is not None
    assert frame.Command == "MESSAGE"
    return frame.Body


def confirmed(client: STOMPClient) -> bool:
    """Whether the session works both ways: a SEND is answered by its receipt."""
    receipt = client.message("/queue/other", b"", receipt=True)
    assert receipt is not None
    receipt.wait(WAIT)
    return client.Connected


def beating(script: Script, **more: Any) -> AbstractContextManager[tuple[STOMPClient, Peer]]:
    """A `session` in which both sides promise a beat every 100 ms."""
    return session(script, lines=["heart-beat:100,100"], heart_beat=(100, 100), **more)


def python(code: str, *arguments: str) -> str:
    """What a fresh interpreter prints that runs the code."""
    program = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{code}"
    result = subprocess.run(
        [sys.executable, "-I", "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


# -- 1 -------------------------------------------------------------------------------------------


def frames_of(*portions: bytes) -> list[STOMPFrame]:
    decoder = wire.FrameDecoder()
    frames: list[STOMPFrame] = []
    for portion in portions:
        decoder.feed(portion)
        frames += decoder.frames()
    return frames


def test_01_every_split_of_the_octets_gives_the_same_frames() -> None:
    """A command or a header line in two reads is where a parser may spin for ever."""
    whole = frames_of(STREAM)
    assert [frame.Command for frame in whole] == ["CONNECTED", "MESSAGE", "RECEIPT", "MESSAGE"]
    assert [frame.Body for frame in whole] == [b"", b"\0\n\n\0x", b"", b"until the NUL"]
    for cut in range(len(STREAM) + 1):
        assert frames_of(STREAM[:cut], STREAM[cut:]) == whole
        for second in range(cut, len(STREAM) + 1):
            assert frames_of(STREAM[:cut], STREAM[cut:second], STREAM[second:]) == whole


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_01_a_client_may_read_as_little_as_it_likes(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same through a socket, whose reads end where they like."""

    def conversation(link: Link) -> None:
        link.expect("CONNECT")
        link.send(STREAM)

    monkeypatch.setattr("stompy.transport.READ_SIZE", size)
    with Peer(conversation) as peer:
        client = STOMPClient()
        assert [client.connect(peer.address), *client] == frames_of(STREAM)


# -- 2 -------------------------------------------------------------------------------------------


def test_02_a_header_of_connected_keeps_its_raw_colons() -> None:
    """CONNECTED has no escapes: the first colon ends the name, the others are the value's."""

    def conversation(link: Link) -> None:
        link.accept("1.2", "session:ID:host-1:2", "server:a\\cb\\n")
        link.serve()

    with Peer(conversation) as peer, STOMPClient() as client:
        connected = client.connect(peer.address)
        assert connected["session"] == "ID:host-1:2"
        assert connected["server"] == client.server == "a\\cb\\n"


def test_02_an_activemq_says_its_session_so(activemq_server: servers.Server) -> None:
    """A real one, whose ids are like that."""
    with STOMPClient() as client:
        connected = client.connect((activemq_server.host, activemq_server.port))
        assert re.fullmatch(r"ID:.+-\d+-\d+-\d+:\d+", connected["session"])


# -- 3 -------------------------------------------------------------------------------------------


def test_03_a_carriage_return_in_a_header_survives_a_round_trip(
    connect: Connect, queue: str
) -> None:
    """STOMP 1.2 has an escape for it, and no other version has."""
    client = connect(versions=("1.2",))
    client.subscribe(queue)
    client.message(queue, b"", note="one\rtwo\r\nthree\r", other="plain")
    frame = client.recv(WAIT)
    assert frame is not None
    assert (frame["note"], frame["other"]) == ("one\rtwo\r\nthree\r", "plain")


# -- 4 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["note:a\\tb", "no\\te:ab", "note:ab\\"])
def test_04_a_bad_escape_is_a_fatal_error(line: str) -> None:
    """Let through, it is a value that nobody has sent."""

    def script(link: Link) -> None:
        link.send(message(b"good"), message(b"bad", line), message(b"never seen"))

    with session(script) as (client, _):
        assert body(client) == b"good"
        for _ in range(2):
            with pytest.raises(STOMPProtocolError, match="undefined escape"):
                client.recv(WAIT)
        assert not client.Connected


# -- 5 -------------------------------------------------------------------------------------------


def close_with_an_alert(link: Link) -> None:
    with contextlib.suppress(ssl.SSLError):  # a heart-beat may be on its way
        link.socket.unwrap()
    link.close()


@pytest.mark.parametrize("close", [close_with_an_alert, Link.close])
@pytest.mark.parametrize("reads", [True, False], ids=["in recv", "idle"])
def test_05_a_tls_peer_that_closes_is_said_once_and_soon_and_costs_no_time(
    close: Callable[[Link], None], reads: bool
) -> None:
    """An end that is taken for "nothing yet" is never said, and spins."""
    states: list[str] = []
    moments: list[float] = []
    closed = threading.Event()
    go = threading.Event()

    def script(link: Link) -> None:
        assert go.wait(TIMEOUT)
        moments.append(time.monotonic())
        close(link)

    def on_state(_: STOMPClient, state: str) -> None:
        states.append(state)
        if state == "closed":
            moments.append(time.monotonic())
            closed.set()

    with beating(script, by="tls", on_state=on_state) as (client, _):
        with Background(list, client) if reads else contextlib.nullcontext():
            go.set()
            assert closed.wait(TIMEOUT)
        assert moments[1] - moments[0] < 1
        cpu = time.process_time()
        go.clear()
        go.wait(0.5)  # nothing is to happen in it
        assert time.process_time() - cpu < 0.1
        assert client.recv(WAIT) is None
        assert client.close_reason is not None
    assert states == ["connected", "closed"]


# -- 6 -------------------------------------------------------------------------------------------

FIFTY = """
import stompy
client = stompy.connect(sys.argv[1], ca_file=sys.argv[2])
for number in range(50):
    client.message("/queue/Q", f"{number} ".ljust(10_000, "x"))
client.disconnect()
"""


@pytest.mark.parametrize("answer", [Link.serve, Link.stay_silent], ids=["receipt", "no receipt"])
def test_06_fifty_sends_a_disconnect_and_an_exit_over_tls_lose_nothing(
    answer: Callable[[Link], None], tmp_path: Path
) -> None:
    """What a thread still has in a queue when the process ends is lost."""

    def conversation(link: Link) -> None:
        link.accept()
        answer(link)

    ca = write_files(tmp_path, server_certificate()).ca
    with Peer(conversation, wrap=tls_end) as peer:
        python(FIFTY, f"stomp+ssl://127.0.0.1:{peer.address[1]}", str(ca))
    bodies = [frame.body for frame in peer.frames if frame.command == "SEND"]
    assert bodies == [b"%d " % n + b"x" * (10_000 - len(b"%d " % n)) for n in range(50)]
    assert peer.frames[-1].command == "DISCONNECT"


# -- 7 -------------------------------------------------------------------------------------------


def says_half_of_it(link: Link) -> None:
    link.send(b"CONNECTED\nversion:1.2\n")
    link.stay_silent()


def only_beats(link: Link) -> None:
    with contextlib.suppress(OSError):  # that the client has gone
        while True:
            link.send(b"\n" * 1000)


@pytest.mark.parametrize("script", [Link.stay_silent, says_half_of_it, only_beats])
def test_07_a_peer_without_connected_is_given_up_in_the_limit_and_said_so(script: Script) -> None:
    """The wait for CONNECTED is the one that is often without a bound."""
    with (
        Peer(script) as peer,
        within(1.5),
        pytest.raises(STOMPConnectError, match=r"sent no CONNECTED within 0\.3 s") as caught,
    ):
        stompy.connect(peer.address, timeout=0.3)
    assert "{}:{}".format(*peer.address) in caught.value.Message
    assert caught.value.hint
    assert 0 < CONNECT_LIMIT <= 10  # for those who name no limit


# -- 8 -------------------------------------------------------------------------------------------


def test_08_a_self_signed_certificate_is_what_the_error_names(tmp_path: Path) -> None:
    """An empty error is bad, no check at all is worse."""
    own = trustme.CA()  # its certificate is signed by its own key
    pem = tmp_path / "self-signed.pem"
    own.private_key_pem.write_to_path(pem)
    own.cert_pem.write_to_path(pem, append=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    with (
        Peer(Link.serve, wrap=lambda sock: context.wrap_socket(sock, server_side=True)) as peer,
        pytest.raises(STOMPConnectError, match=r"certificate .* is not accepted: self.signed") as e,
    ):
        stompy.connect(peer.address, tls=True)
    assert e.value.phase == "tls"
    assert isinstance(e.value.__cause__, ssl.SSLCertVerificationError)
    assert "ca_file" in str(e.value)
    assert peer.frames == []  # no passcode has gone to a stranger


# -- 9 -------------------------------------------------------------------------------------------


def test_09_a_callback_of_twenty_beats_stays_connected() -> None:
    """Scaled down from 30 s of work with a beat a second; the peer's beats lie unread meanwhile."""
    done = threading.Event()
    count, interval = 25, 0.1

    def script(link: Link) -> None:
        link.send(message(b"a lot of work"))
        begun = time.monotonic()
        for _ in range(count):
            link.beat()
            link.send(b"\n")
        took = time.monotonic() - begun
        assert took < count * interval, "the beats are late"
        assert took > 1.2, "the work was too short to show anything"  # what silence is allowed
        done.set()

    with beating(script) as (client, _):
        assert client.heart_beat == (100, 100)
        assert client.loop(lambda *_: done.wait(TIMEOUT), timeout=WAIT) is True
        assert confirmed(client)


# -- 10 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "named_by", [lambda frame: frame, lambda frame: frame["ack"]], ids=["frame", "header"]
)
def test_10_after_a_restart_the_subscription_is_back_and_an_old_ack_is_not_sent(
    named_by: Callable[[STOMPFrame], str | STOMPFrame], queue: str
) -> None:
    """An old ACK on a new connection ends it, or acknowledges what nobody has seen."""
    broker = Broker(port=free_port())
    soon = ReconnectPolicy(first=0.02, cap=0.05)

    def connect(**more: Any) -> STOMPClient:
        return stompy.connect(broker.address, **more)

    def put(text: str) -> None:
        with connect() as sender:
            sender.message(queue, text)

    with broker, connect(reconnect=soon) as client:
        client.subscribe(queue, "client-individual", send_acks=False)
        put("before")
        old = client.recv(WAIT)
        assert old is not None
        broker.stop()
        broker.start()
        put("after")
        assert received(client, 1) == ["after"]
        with pytest.warns(UserWarning, match="is not sent"):
            client.ack(named_by(old))
        assert confirmed(client)  # the broker would have answered that ACK by ERROR
        client.disconnect()
        assert left_in(connect, queue) == ["after"]


# -- 11 ------------------------------------------------------------------------------------------


def test_11_a_receipt_that_never_comes_is_said_and_the_connection_lives() -> None:
    """Some brokers never send one."""

    def script(link: Link) -> None:
        link.expect("SEND")
        link.expect("SEND")
        link.send(message(b"still here"))

    with session(script) as (client, _):
        receipt = client.message("/queue/Q", b"1", receipt="r1")
        assert receipt is not None
        with within(1), pytest.raises(STOMPTimeout, match="no receipt 'r1' came within"):
            receipt.wait(0.1)
        assert receipt.outcome is ReceiptOutcome.Pending
        assert client.Connected
        client.message("/queue/Q", b"2")
        assert body(client) == b"still here"
        assert confirmed(client)


def test_11_a_receipt_that_never_comes_and_that_nobody_keeps_is_forgotten() -> None:
    """With such a broker, whoever asks for receipts would gather them."""
    with session(lambda link: link.expect("SEND")) as (client, _):
        forgotten = weakref.ref(client.message("/queue/Q", receipt=True))
        gc.collect()
        assert forgotten() is None


# -- 12 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "octets",
    [b"\0", b"a\0b\0\0", b"", bytes(range(256)) * (30 * MIB // 256)],
    ids=["NUL", "NULs", "empty", "30 MB"],
)
def test_12_a_body_may_hold_nul_be_empty_or_be_of_30_mb(
    connect: Connect, queue: str, octets: bytes
) -> None:
    """Through each broker, there and back."""
    client = connect()
    client.subscribe(queue)
    with within(15):
        client.message(queue, octets)
        assert body(client) == octets


def test_12_a_body_of_30_mb_may_come_in_portions_of_1_kib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking through all that has come at each portion would take minutes."""
    octets = bytes(range(256)) * (30 * MIB // 256)

    def script(link: Link) -> None:
        frame = message(octets)
        link.send(*(frame[start : start + 1024] for start in range(0, len(frame), 1024)))

    monkeypatch.setattr("stompy.transport.READ_SIZE", 1024)
    with session(script) as (client, _), within(10):
        assert body(client) == octets


# -- 13 ------------------------------------------------------------------------------------------


def test_13_connected_needs_no_heart_beat_header() -> None:
    """Without one the broker neither sends nor wants beats."""
    with session(heart_beat=(50, 50)) as (client, peer):
        assert client.heart_beat == (0, 0)
        assert confirmed(client)
    assert peer.frames[0].headers["heart-beat"] == "50,50"


# -- 14 ------------------------------------------------------------------------------------------

PASSCODE = "C:\\new\\\\folder\\s"
"""Holds an escape, an escaped backslash, and what is no escape."""

TENANT = "tenant.example"


@pytest.fixture(scope="module")
def own_rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """A RabbitMQ whose guest has that passcode, and a virtual host that is not ``/``."""
    need(servers.missing_rabbitmq())
    folder = tmp_path_factory.mktemp("own-rabbitmq")
    stomp, web, node, epmd = (free_port() for _ in range(4))
    servers._write_rabbitmq_files(folder, stomp, web)
    quoted = PASSCODE.replace("\\", "\\\\")
    (folder / "advanced.config").write_text(
        f'[{{rabbit, [{{default_pass, <<"{quoted}">>}}, {{default_vhost, <<"{TENANT}">>}}]}}].\n'
    )
    environment = servers._rabbitmq_environment(folder, node, epmd)
    command = [str(servers.RABBITMQ_SERVER)]
    with (
        servers._epmd(folder, epmd),
        running("RabbitMQ", command, folder, environment, lambda: listens(stomp)),
    ):
        yield HOST, stomp


def with_escapes(text: str) -> str | None:
    """A passcode as RabbitMQ and ActiveMQ read it; None for what is no escape."""
    known = {"\\\\": "\\", "\\n": "\n", "\\c": ":", "\\r": "\r"}
    if set(re.findall(r"\\.?", text)) - known.keys():
        return None
    return re.sub(r"\\.", lambda match: known[match[0]], text)


def admits(read: Callable[[str], str | None], passcode: str) -> Script:
    """A script that lets in who knows the passcode."""

    def script(link: Link) -> None:
        if read(link.expect("CONNECT").headers["passcode"]) == passcode:
            link.send(raw("CONNECTED", "version:1.2"))
            link.serve()
        else:
            link.send(raw("ERROR", "message:Bad CONNECT"))

    return script


@pytest.mark.parametrize("passcode", [PASSCODE, "a\\sb", "a\\nb", "a\\\\b", "\\"])
def test_14_a_passcode_with_a_backslash_is_understood_by_either_rule(passcode: str) -> None:
    """With one fixed rule a client fails with one of two kinds of brokers."""
    as_it_stands, escaped = admits(str, passcode), admits(with_escapes, passcode)
    for scripts in [as_it_stands], [escaped, escaped]:
        with Peer(*scripts) as peer, stompy.connect(peer.address, passcode=passcode) as client:
            assert confirmed(client)


def test_14_a_given_socket_cannot_be_asked_twice_and_says_how_it_was_refused() -> None:
    """The other rule needs another connection."""
    with (
        Peer(admits(str, "another")) as peer,
        socket.create_connection(peer.address) as given,
        pytest.raises(STOMPConnectError, match="Bad CONNECT"),
    ):
        stompy.connect(given, passcode=PASSCODE)


def test_14_a_passcode_with_a_backslash_opens_a_rabbitmq(own_rabbitmq: tuple[str, int]) -> None:
    """A real one; of the other kind there is none in Debian."""
    secrets = {"login": "guest", "passcode": PASSCODE, "vhost": TENANT}
    with stompy.connect(own_rabbitmq, **secrets) as client:
        assert confirmed(client)
    with pytest.raises(STOMPConnectError, match="refused the session"):
        stompy.connect(own_rabbitmq, **secrets | {"passcode": PASSCODE.replace("\\", "/")})


# -- 15 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["bad", "good"])
def test_15_an_error_with_a_receipt_id_fails_that_receipt_alone(first: str) -> None:
    """It is the answer to one frame, and no reason to fail all that wait."""

    def script(link: Link) -> None:
        bad, good = (link.expect("SEND").headers["receipt"] for _ in range(2))
        link.send(raw("ERROR", f"receipt-id:{bad}", "message:no such queue"))
        link.send(raw("RECEIPT", f"receipt-id:{good}"), message(b"after"))

    with session(script) as (client, _):
        receipts = {name: client.message("/queue/Q", receipt=True) for name in ("bad", "good")}
        bad, good = receipts["bad"], receipts["good"]
        assert bad is not None
        assert good is not None
        if first == "good":
            good.wait(WAIT)
        with pytest.raises(STOMPError, match="no such queue") as caught:
            bad.wait(WAIT)
        good.wait(WAIT)
        assert caught.value.Frame is not None
        assert caught.value.Frame["receipt-id"] == bad
        assert bad.outcome is ReceiptOutcome.Rejected
        assert good.outcome is ReceiptOutcome.Confirmed
        assert body(client) == b"after"
        assert confirmed(client)


@pytest.mark.parametrize("command", ["SUBSCRIBE", "SEND"])
def test_15_nor_does_it_fail_another_when_nobody_keeps_that_receipt(command: str) -> None:
    """It comes through `recv` then, as the RECEIPT would have done."""

    def script(link: Link) -> None:
        link.expect(command)
        good = link.expect("SEND").headers["receipt"]
        link.send(raw("ERROR", "receipt-id:r1", "message:no such queue"))
        link.send(raw("RECEIPT", f"receipt-id:{good}"))

    with session(script) as (client, _):
        ask = client.subscribe if command == "SUBSCRIBE" else client.message
        ask("/queue/none", receipt="r1")
        good = client.message("/queue/Q", receipt=True)
        assert good is not None
        good.wait(WAIT)
        with pytest.raises(STOMPError, match="no such queue"):
            client.recv(WAIT)
        assert confirmed(client)


# -- 16 ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def forgotten(by_the_peer: Peer) -> Iterator[None]:
    """What drops the last reference: it has to return at once, and the peer to see the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", lambda _: None)  # "unclosed socket" is right
        gc.collect()
        with within(1):
            yield
            gc.collect()
        by_the_peer.wait()


def says_half(link: Link) -> None:
    """Send one message and a half, and never answer anything; the goodbye may be missing."""
    link.accept("1.2", "heart-beat:0,100")  # it may be silent for ever
    link.send(message(b"first") + message(b"unread") + message(b"half of it")[:-5])
    link.stay_silent()


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("reconnect", [False, True], ids=["once", "reconnect"])
def test_16_a_client_dropped_in_mid_wait_goes_at_once(tls: bool, reconnect: bool) -> None:
    """A goodbye from the garbage collector would wait for a broker that does not answer."""
    with Peer(says_half, wrap=tls_end if tls else lambda sock: sock) as peer:
        secured = {"tls": client_context()} if tls else {}
        client = stompy.connect(peer.address, heart_beat=(100, 100), reconnect=reconnect, **secured)
        client.subscribe("/queue/Q")
        assert body(client) == b"first"
        receipt = client.message("/queue/Q", receipt=True)
        assert receipt is not None
        with pytest.raises(STOMPTimeout):
            receipt.wait(0.05)
        with forgotten(peer):
            del client, receipt
    assert "DISCONNECT" not in [frame.command for frame in peer.frames]


def test_16_a_message_that_is_kept_does_not_keep_the_connection() -> None:
    """Whoever collects messages would collect connections."""
    with Peer(says_half) as peer:
        client = stompy.connect(peer.address, heart_beat=(100, 100))
        kept = client.recv(WAIT)
        assert kept is not None
        with forgotten(peer):
            del client
        assert kept.Body == b"first"


# -- 17 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["tcp", "tls", "wss"])
def test_17_two_threads_send_a_thousand_frames_each_and_none_is_mixed(by: str) -> None:
    """The peer takes each frame apart: one octet out of place fails it."""
    with session(by=by) as (client, peer):

        def send_many(thread: int) -> None:
            for n in range(1000):
                client.message("/queue/Q", b"%d %d " % (thread, n) + bytes(n), thread=thread)

        in_threads(2, send_many)
    frames = [frame for frame in peer.frames if frame.command == "SEND"]
    for thread in range(2):
        mine = [frame.body for frame in frames if frame.headers["thread"] == str(thread)]
        assert mine == [b"%d %d " % (thread, n) + bytes(n) for n in range(1000)]


# -- 18 ------------------------------------------------------------------------------------------


def test_18_a_time_out_in_mid_frame_loses_nothing_of_it() -> None:
    """Wherever it falls: what was read is kept, and the next `recv` goes on."""
    whole = message(b"a\0\nb", "note:gr\\nu\u00df")

    def script(link: Link) -> None:
        link.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for cut in range(1, len(whole)):
            link.send(message(b"before") + whole[:cut])
            link.expect("SEND")
            link.send(whole[cut:])

    with session(script) as (client, _):
        for _ in range(1, len(whole)):
            assert body(client) == b"before"
            with pytest.raises(STOMPTimeout):
                client.recv(timeout=0.002)
            client.message("/queue/go-on")
            frame = client.recv(WAIT)
            assert frame is not None
            assert (frame.Body, frame["note"]) == (b"a\0\nb", "gr\nu\u00df")


# -- 19 ------------------------------------------------------------------------------------------

TIMED = """
import time
begun = time.perf_counter()
import {module}
print(time.perf_counter() - begun)
"""

WATCHED = """
events = []
sys.addaudithook(lambda event, _: events.append(event))
import stompy
print([e for e in events if e.startswith("socket.") or e == "_thread.start_new_thread"])
"""

BUDGET = 0.050
REFERENCE = 0.045
"""Seconds that `import asyncio` takes, at the best, on a machine for which that is the budget."""


def test_19_the_import_takes_less_than_50_ms_and_opens_and_starts_nothing() -> None:
    """On a machine that is slow at importing the standard library, as much more as that takes."""

    def seconds(module: str) -> float:
        return float(python(TIMED.format(module=module)))

    pairs = [(seconds("stompy"), seconds("asyncio")) for _ in range(5)]
    ours, reference = (min(times) for times in zip(*pairs, strict=True))
    slowness = max(1.0, reference / REFERENCE)
    assert ours < BUDGET * slowness, f"{ours:.3f} s, and asyncio {reference:.3f} s"
    assert python(WATCHED) == "[]\n"


# -- 20 ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def application(path: str, token: str) -> Iterator[int]:
    """The port of a web application that serves STOMP to who brings the token, by text messages."""

    def admit(connection: ServerConnection, request: Any) -> Any:
        if request.headers.get("Authorization") != f"Bearer {token}":
            return connection.respond(401, "who are you?\n")
        return None if request.path == path else connection.respond(404, "not here\n")

    def converse(connection: ServerConnection) -> None:
        assert connection.subprotocol == "v12.stomp"
        limits, log = Limits(), EventLog()
        stomp = Session(Rules(Destinations(limits, log), log, limits), "1", 0.0, lambda: None)
        for data in connection:
            stomp.receive(data.encode() if isinstance(data, str) else data, 0.0)
            for piece in stomp.take_output(1_000_000, 0.0):
                connection.send(str(piece, "utf-8"))

    with serve(
        converse,
        "127.0.0.1",
        0,
        ssl=server_context(),
        process_request=admit,
        subprotocols=["v12.stomp"],  # type: ignore[list-item]
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.socket.getsockname()[1]
        server.shutdown()
        thread.join(TIMEOUT)


def test_20_wss_goes_to_a_path_with_a_token_header(tmp_path: Path) -> None:
    """As applications made with Spring want it."""
    ca_file = write_files(tmp_path, server_certificate()).ca
    with application("/app/stomp", "t0ken") as port:
        url = f"wss://localhost:{port}/app/stomp"
        token = {"Authorization": "Bearer t0ken"}
        with stompy.connect(url, ws_headers=token, ca_file=ca_file) as client:
            client.subscribe("/topic/prices")
            client.message("/topic/prices", "42.5 €")
            assert received(client, 1) == ["42.5 €"]
            assert confirmed(client)
        with pytest.raises(STOMPConnectError, match="401") as caught:
            stompy.connect(url, ws_headers={"Authorization": "Bearer wr0ng"}, ca_file=ca_file)
        assert "wr0ng" not in str(caught.value)
        with pytest.raises(STOMPConnectError, match="404"):
            stompy.connect(f"{url}/elsewhere", ws_headers=token, ca_file=ca_file)


# -- 21 ------------------------------------------------------------------------------------------


def test_21_the_callers_headers_are_not_changed() -> None:
    """One dict for many messages must not gather the headers of each."""
    headers: dict[str, Any] = {"note": "a:b\\c\nd", "priority": 4}
    before = dict(headers)
    text = {"note": "none of it can be escaped"}

    def conversation(link: Link) -> None:
        link.accept()
        link.serve()

    with Peer(conversation) as peer, stompy.connect(peer.address, headers=text) as client:
        client.send("SEND", headers, "text", "t1", receipt=True, destination="/queue/Q")
        client.message("/queue/Q", "text", "id-1", headers, receipt=True, transaction="t1")
        sub_id = client.subscribe("/queue/Q", headers=headers)
        client.unsubscribe(sub_id, headers)
        client.transaction().message("/queue/Q", "text", headers=headers)
    assert (headers, text) == (before, {"note": "none of it can be escaped"})
    noted = [frame for frame in peer.frames if frame.headers.get("note") == headers["note"]]
    assert len(noted) == 5


# -- 22 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["tcp", "tls", "ws", "wss"])
def test_22_the_virtual_host_need_not_be_the_host(by: str) -> None:
    """TLS checks the certificate for the host, CONNECT names the virtual host."""
    with session(by=by, vhost=TENANT) as (client, peer):
        assert confirmed(client)
    assert peer.frames[0].headers["host"] == TENANT


def test_22_the_virtual_host_may_be_part_of_the_address() -> None:
    def conversation(link: Link) -> None:
        assert link.accept().headers["host"] == TENANT
        link.serve()

    with Peer(conversation) as peer:
        stompy.connect("stomp://{}:{}/{}".format(*peer.address, TENANT)).disconnect()


def test_22_a_rabbitmq_has_the_virtual_host_and_no_other(own_rabbitmq: tuple[str, int]) -> None:
    secrets = {"login": "guest", "passcode": PASSCODE}
    with stompy.connect(own_rabbitmq, vhost=TENANT, **secrets) as client:
        assert confirmed(client)
    with pytest.raises(STOMPConnectError, match="refused the session"):
        stompy.connect(own_rabbitmq, vhost="another.example", **secrets)
