"""The embedded broker's WebSockets: who may come, what passes, how it ends."""

import contextlib
import logging
import socket
import struct
import sys
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_websocket

import stompy
from stompy.broker import Broker, Limits
from stompy.broker import websocket as module
from tests.certificates import client_context, server_context
from tests.unit.peer import TIMEOUT
from tests.unit.waiting import until

CONNECT = "CONNECT\naccept-version:1.2\nhost:/\n\n\0"
SUBSCRIBE = "SUBSCRIBE\nid:1\ndestination:/topic/t\nreceipt:s\n\n\0"
UPGRADE = (
    "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture
def broker():
    with Broker(websocket_port=0) as running:
        yield running


def opened(broker: Broker, scheme: str = "ws", **options) -> ClientConnection:
    """A WebSocket, by a library that is not ours; to be used by `with`."""
    options = {"ping_interval": None, "proxy": None, "open_timeout": TIMEOUT} | options
    return open_websocket(broker.urls[scheme], **options)


@contextlib.contextmanager
def session(broker: Broker, scheme: str = "ws", **options):
    """A WebSocket by which CONNECT was answered and /topic/t subscribed to."""
    with opened(broker, scheme, **options) as websocket:
        websocket.send(CONNECT)
        assert heard(websocket).startswith("CONNECTED\n")
        websocket.send(SUBSCRIBE)
        assert heard(websocket).startswith("RECEIPT\n")
        yield websocket


def heard(websocket: ClientConnection) -> str | bytes:
    """The next message."""
    return websocket.recv(timeout=5)


def ended(websocket: ClientConnection) -> tuple[int, str] | None:
    """How the other side closed, when it has; None if that was without a word."""
    try:
        while True:
            websocket.recv(timeout=5)
    except ConnectionClosed as closed:
        return None if closed.rcvd is None else (closed.rcvd.code, closed.rcvd.reason)


def send_frame(body: str, **headers: str) -> str:
    lines = [f"{name}:{value}\n" for name, value in headers.items()]
    return f"SEND\ndestination:/topic/t\n{''.join(lines)}\n{body}\0"


def masked(text: str, opcode: int = 1) -> bytes:
    """A short WebSocket frame as clients send it."""
    body = text.encode()
    return bytes((0x80 | opcode, 0x80 | len(body))) + bytes(4) + body


def refusals(broker: Broker) -> list[object]:
    return [one["detail"] for one in broker.events() if one["event"] == "refused"]


def body_of(message: str) -> str:
    """The body of a MESSAGE that is one whole frame."""
    assert message.startswith("MESSAGE\n")
    assert message.endswith("\0")
    return message[:-1].partition("\n\n")[2]


@contextlib.contextmanager
def raw(broker: Broker, *octets: bytes):
    """A socket at the WebSocket port."""
    host, _, port = broker.urls["ws"].removeprefix("ws://").rpartition(":")
    with socket.create_connection((host, int(port))) as sock:
        sock.settimeout(5)
        for portion in octets:
            sock.sendall(portion)
        yield sock


def read_to_the_end(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


@contextlib.contextmanager
def undisturbed(broker: Broker, caplog: pytest.LogCaptureFixture):
    """Two clients that notice nothing of what happens meanwhile, and neither does the log."""
    with session(broker) as one, stompy.connect(broker.urls["ws"]) as other:
        other.message("/topic/t", "before")
        assert body_of(heard(one)) == "before"
        yield
        other.message("/topic/t", "after")
        assert body_of(heard(one)) == "after"
        until(lambda: len(broker.clients()) == 2)
    said = [one for one in caplog.records if one.name != "websockets.client"]  # not the broker's
    assert [one.getMessage() for one in said if one.levelno > logging.INFO] == []


# -- coming ----------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["text", "grüße", b"\xff\0\xfe", bytes(300_000)])
def test_our_own_client_comes_by_websocket(broker, body):
    with stompy.connect(broker.urls["ws"]) as client:
        client.subscribe("/topic/t")
        client.message("/topic/t", body)
        frame = client.recv(TIMEOUT)
        assert (frame.text if isinstance(body, str) else frame.Body) == body


def test_a_websocket_over_tls_is_one_as_well():
    with Broker(wss_port=0, tls=server_context()) as broker:
        assert "ws" not in broker.urls
        with session(broker, "wss", ssl=client_context(), subprotocols=["v12.stomp"]) as websocket:
            assert websocket.subprotocol == "v12.stomp"
            websocket.send(send_frame("hello"))
            assert body_of(heard(websocket)) == "hello"


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["v10.stomp", "v11.stomp", "v12.stomp"], "v12.stomp"),
        (["v12.stomp", "v11.stomp"], "v12.stomp"),
        (["mqtt", "v10.stomp"], "v10.stomp"),
        (["mqtt"], None),
        (None, None),
    ],
)
def test_the_newest_subprotocol_that_both_know_is_chosen(broker, offered, chosen):
    with session(broker, subprotocols=offered) as websocket:
        assert websocket.subprotocol == chosen


@pytest.mark.parametrize("path", ["/", "/ws", "/stomp/websocket?token=x"])
def test_the_path_does_not_matter(broker, path):
    with open_websocket(broker.urls["ws"] + path, proxy=None) as websocket:
        websocket.send(CONNECT)
        assert heard(websocket).startswith("CONNECTED\n")


ALLOWED = [
    ((), None),
    ((), "http://localhost:8888"),
    ((), "https://localhost"),
    ((), "http://127.0.0.1:1234"),
    ((), "http://[::1]:8888"),
    (("https://lab.example",), "https://lab.example"),
    ("https://lab.example", "https://lab.example"),
    (("https://one.example", "https://lab.example:8443"), "https://lab.example:8443"),
    (("*",), "https://anywhere.example"),
    ("*", "null"),
]
REFUSED = [
    ((), "https://evil.example"),
    ((), "http://localhost.evil.example"),
    ((), "https://evil.example/localhost"),
    ((), "null"),
    ((), ""),
    (("https://lab.example",), "https://evil.example"),
    (("https://lab.example",), "http://lab.example"),
    (("https://lab.example",), "https://lab.example.evil.example"),
    (("https://lab.example",), "https://lab.example:8443"),
]


@pytest.mark.parametrize(("origins", "origin"), ALLOWED)
def test_pages_of_this_machine_and_known_ones_may_connect(origins, origin):
    with (
        Broker(websocket_port=0, origins=origins) as broker,
        session(broker, origin=origin) as websocket,
    ):
        websocket.send(send_frame("hello"))
        assert body_of(heard(websocket)) == "hello"


@pytest.mark.parametrize(("origins", "origin"), REFUSED)
def test_foreign_pages_may_not(origins, origin):
    with Broker(websocket_port=0, origins=origins) as broker:
        with pytest.raises(InvalidStatus) as caught, opened(broker, origin=origin):
            pass
        assert caught.value.response.status_code == 403
        assert b"see the broker's origins" in caught.value.response.body
        until(lambda: not broker.clients())
        assert refusals(broker) == [f"a WebSocket of a page of {origin}"]


@pytest.mark.parametrize(
    ("host", "page", "status"),
    [
        ("192.0.2.7:61615", "192.0.2.7:8888", 101),
        ("[2001:db8::7]:61615", "[2001:db8::7]", 101),
        ("192.0.2.7:61615", "192.0.2.8:8888", 403),
        ("lab.example:61615", "lab.example", 403),  # any name may lead here: DNS rebinding
    ],
)
def test_a_page_of_the_address_that_it_connects_to_may(broker, host, page, status):
    request = UPGRADE.replace("127.0.0.1", host)
    with raw(broker, request[:-2].encode(), f"Origin: https://{page}\r\n\r\n".encode()) as it:
        assert it.recv(65536).startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize("wrong", ["Origin: http://[", "Host: ["])
def test_an_upgrade_with_a_malformed_origin_or_host_is_refused(broker, wrong, caplog):
    name = wrong.partition(":")[0]
    lines = {"Host": "Host: 127.0.0.1", "Origin": "Origin: https://evil.example", name: wrong}
    request = UPGRADE.replace("Host: 127.0.0.1\r\n", "\r\n".join((*lines.values(), "")))
    with undisturbed(broker, caplog), raw(broker, request.encode()) as sock:
        assert read_to_the_end(sock).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("twice", ["Origin: http://localhost", "Host: 127.0.0.1"])
def test_an_upgrade_with_a_header_twice_that_decides_is_refused(broker, twice, caplog):
    request = UPGRADE[:-2] + "Origin: http://localhost\r\n" + f"{twice}\r\n\r\n"
    with undisturbed(broker, caplog), raw(broker, request.encode()) as sock:
        assert read_to_the_end(sock).startswith(b"HTTP/1.1 400 ")


def test_frames_behind_a_refused_upgrade_are_not_obeyed(broker):
    request = UPGRADE[:-2] + "Origin: https://evil.example\r\n\r\n"
    with raw(broker, request.encode() + masked(CONNECT)) as sock:
        assert read_to_the_end(sock).startswith(b"HTTP/1.1 403 ")
    assert "connected" not in [one["event"] for one in broker.events()]


def test_beyond_the_most_clients_an_upgrade_is_refused():
    with (
        Broker(websocket_port=0, limits=Limits(max_clients=1)) as broker,
        session(broker) as websocket,
    ):
        with raw(broker, UPGRADE.encode()) as sock:
            assert read_to_the_end(sock).startswith(b"HTTP/1.1 503 ")
        websocket.send(send_frame("hello"))
        assert body_of(heard(websocket)) == "hello"


def test_without_the_library_there_is_no_websocket_and_the_error_says_where_it_is(monkeypatch):
    for name in list(sys.modules):
        if name.partition(".")[0] == "websockets" or name == module.__name__:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "websockets", None)
    for port in ("websocket_port", "wss_port"):
        broker = Broker(**{port: 0}, tls=server_context())
        with pytest.raises(stompy.STOMPError, match="websockets library") as caught:
            broker.start()
        assert 'pip install "stompy-jupyter[ws]"' in str(caught.value)
        assert not broker.running
    with Broker() as broker, stompy.connect(broker.address) as client:
        assert client.Connected


# -- the wrong door --------------------------------------------------------------------------


def test_a_browser_that_looks_at_the_port_is_told_what_is_here(broker, caplog):
    with undisturbed(broker, caplog):
        with raw(broker, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") as sock:
            head, _, body = read_to_the_end(sock).decode().partition("\r\n\r\n")
        assert head.startswith("HTTP/1.1 426 ")
        assert "\r\nContent-Type: text/plain" in head
        assert f"\r\nContent-Length: {len(body)}" in head
        assert 'new WebSocket("ws://127.0.0.1/", ["v12.stomp"])' in body


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("lab.example:8080", "lab.example:8080"),
        ("[::1]:8080", "[::1]:8080"),
        ('x"); alert("', None),
        ("a/b", None),
        ("", None),
    ],
)
def test_the_example_has_the_host_that_was_asked_for_if_it_is_one(broker, host, shown):
    with raw(broker, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()) as sock:
        said = read_to_the_end(sock).decode()
    here = broker.urls["ws"].removeprefix("ws://")
    assert f'"ws://{shown or here}/"' in said
    assert "alert" not in said


def test_stomp_without_a_websocket_is_told_where_it_is(broker, caplog):
    with undisturbed(broker, caplog):
        for command in ("CONNECT", "STOMP"):
            with raw(broker, CONNECT.replace("CONNECT", command).encode()) as sock:
                said = read_to_the_end(sock)
            assert said.startswith(b"ERROR\nmessage:this is the WebSocket port\n")
            assert said.endswith(b"\0")
        url = broker.urls["ws"].replace("ws://", "stomp://")
        with pytest.raises(stompy.STOMPConnectError, match="this is the WebSocket port"):
            stompy.connect(url)
    assert refusals(broker) == ["STOMP on the WebSocket port"] * 3


@pytest.mark.parametrize(
    "octets",
    [
        b"garbage\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 10_000,
        b"GET /" + b"x" * 100_000,
        bytes(100_000),
        UPGRADE.replace("Version: 13", "Version: 8").encode(),
        UPGRADE.replace("Key: dGhl", "Key: ").encode(),
    ],
    ids=lambda octets: repr(octets[:20]),
)
def test_what_is_no_upgrade_is_cut(broker, octets, caplog):
    with undisturbed(broker, caplog), contextlib.suppress(ConnectionError), raw(broker) as sock:
        sock.sendall(octets)
        assert not read_to_the_end(sock).startswith(b"HTTP/1.1 1")


def test_who_says_nothing_is_cut_as_if_it_had_not_said_connect():
    with (
        Broker(websocket_port=0, limits=Limits(connect_timeout=0.2)) as broker,
        raw(broker) as silent,
        raw(broker, UPGRADE[:40].encode()) as half,
        opened(broker) as upgraded,
    ):
        assert read_to_the_end(silent) == b""
        assert read_to_the_end(half) == b""
        assert heard(upgraded).startswith("ERROR\nmessage:no CONNECT frame\n")
        assert ended(upgraded) == (1000, "")
        until(lambda: not broker.clients())


# -- what passes -----------------------------------------------------------------------------


def test_a_frame_may_come_in_several_messages(broker):
    with session(broker) as websocket:
        for piece in send_frame("octet by octet"):
            websocket.send(piece)
        assert body_of(heard(websocket)) == "octet by octet"
        for piece in (b"SEND\ndestina", "tion:/topic/t\n", b"\n\xc3", b"\xbc\0SEND\n"):
            websocket.send(piece)
        assert body_of(heard(websocket)) == "ü"
        websocket.send("destination:/topic/t\n\nthe other\0")
        assert body_of(heard(websocket)) == "the other"


def test_several_frames_may_come_in_one_message(broker):
    with session(broker) as websocket:
        websocket.send("\n".join(send_frame(str(number)) for number in range(20)))
        assert [body_of(heard(websocket)) for _ in range(20)] == [str(n) for n in range(20)]


def test_a_message_may_come_in_fragments(broker):
    with session(broker) as websocket:
        frame = send_frame("hello", **{"content-length": "5"})
        websocket.send(frame[place : place + 7] for place in range(0, len(frame), 7))
        websocket.send([b"\n", b"", send_frame("a").encode()])
        assert [body_of(heard(websocket)) for _ in range(2)] == ["hello", "a"]


def test_each_frame_is_a_message_of_its_own_and_in_text_where_it_is_text(broker):
    bodies = [b"text", "grüße".encode(), b"\xff\xfe", b"", b"\0", b"x" * 300_000, bytes([200]) * 99]
    with session(broker) as websocket, stompy.connect(broker.address) as sender:
        for body in bodies * 5:
            sender.message("/topic/t", body)
        for body in bodies * 5:
            message = heard(websocket)
            assert isinstance(message, str) == (body not in bodies[2::4])
            octets = message.encode() if isinstance(message, str) else message
            assert octets.startswith(b"MESSAGE\n")
            assert octets.endswith(b"\n\n" + body + b"\0")


def test_a_heart_beat_is_a_message_of_its_own(broker):
    with opened(broker) as websocket:
        websocket.send(CONNECT.replace("host", "heart-beat:0,100\nhost"))
        assert heard(websocket).startswith("CONNECTED\n")
        assert [heard(websocket) for _ in range(3)] == ["\n"] * 3


def test_a_client_may_beat_in_messages_too(broker):
    with opened(broker) as websocket:
        websocket.send(CONNECT.replace("host", "heart-beat:100,100\nhost"))
        assert heard(websocket).startswith("CONNECTED\n")
        began = time.monotonic()
        while time.monotonic() - began < 1.5:  # longer than silence is borne
            websocket.send("\n")
            assert heard(websocket) == "\n"


def test_pings_are_answered_at_any_time(broker):
    with opened(broker) as websocket:
        assert websocket.ping(b"before").wait(5)
        websocket.send(CONNECT)
        assert heard(websocket).startswith("CONNECTED\n")
        websocket.send("SEND\ndestination:/topic/t\n\nhal")
        assert websocket.ping(b"in the middle").wait(5)


def test_a_client_that_does_not_read_gets_all_of_a_queue_when_it_does(broker):
    with session(broker, max_queue=1) as websocket, stompy.connect(broker.address) as sender:
        websocket.send("SUBSCRIBE\nid:2\ndestination:/queue/q\n\n\0")
        for number in range(150):  # more than the operating system takes in for a reader
            sender.message("/queue/q", b"%-100000d" % number)
        assert [int(body_of(heard(websocket))) for _ in range(150)] == list(range(150))


# -- the end ---------------------------------------------------------------------------------


def test_a_client_closes_and_is_answered_and_forgotten(broker):
    with session(broker) as websocket:
        began = time.monotonic()
        websocket.close(1000)
        assert websocket.close_code == 1000
        until(lambda: not broker.clients())
        assert time.monotonic() - began < 1.0
        assert broker.destinations() == []


def test_no_message_goes_to_a_websocket_that_is_closed(broker):
    connect, subscribe = masked(CONNECT), masked("SUBSCRIBE\nid:1\ndestination:/queue/q\n\n\0")
    close = masked("", opcode=8)
    with raw(broker, UPGRADE.encode(), connect, subscribe, close) as gone:
        until(lambda: "disconnected" in [one["event"] for one in broker.events()])
        with stompy.connect(broker.address) as client:
            client.subscribe("/queue/q")
            for number in range(6):
                client.message("/queue/q", str(number))
            assert [client.recv(timeout=2).text for _ in range(6)] == list("012345")
        assert b"MESSAGE" not in read_to_the_end(gone)


def test_the_comings_and_goings_of_websockets_are_not_in_the_log_twice(broker, caplog):
    caplog.set_level(logging.INFO)
    with session(broker):
        pass
    until(lambda: not broker.clients())
    assert {one.name for one in caplog.records if "stompy" in one.name} == {"stompy.broker"}


def test_a_client_that_vanishes_is_forgotten(broker):
    with session(broker) as websocket:
        websocket.socket.shutdown(socket.SHUT_RDWR)
        until(lambda: not broker.clients())


def test_a_disconnect_is_answered_and_the_websocket_closed(broker):
    with session(broker) as websocket:
        websocket.send("DISCONNECT\nreceipt:bye\n\n\0")
        assert heard(websocket).startswith("RECEIPT\nreceipt-id:bye\n")
        assert ended(websocket) == (1000, "")
        until(lambda: not broker.clients())


def test_an_error_is_a_message_and_a_plain_close_follows(broker, caplog):
    with undisturbed(broker, caplog), session(broker) as websocket:
        websocket.send("SEND\n\nwhere to?\0" + send_frame("never"))
        assert heard(websocket).startswith("ERROR\nmessage:SEND without destination\n")
        assert ended(websocket) == (1000, "")


def test_a_broker_that_stops_says_that_it_goes_away(broker):
    with session(broker) as websocket, opened(broker) as early:
        began = time.monotonic()
        broker.stop()
        assert ended(websocket) == (1001, "")
        assert ended(early) == (1001, "")
        assert time.monotonic() - began < 1.0


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (b"\xff\xff\xff", 1002),  # reserved bits
        (b"\x83\x80abcd", 1002),  # an opcode that there is not
        (b"\x81\x05hello", 1002),  # not masked
        (b"\x80\x80abcd", 1002),  # goes on with nothing
        (b"\x89\xfe\x01\x00abcd" + bytes(256), 1002),  # a ping that is too long
    ],
)
def test_garbage_in_the_websocket_cuts_that_client_alone(broker, octets, code, caplog):
    with undisturbed(broker, caplog), session(broker) as websocket:
        websocket.socket.sendall(octets)
        close = ended(websocket)
        assert close is not None
        assert close[0] == code


def test_a_message_that_is_too_large_is_refused_at_its_head(caplog):
    with (
        Broker(websocket_port=0, limits=Limits(max_body=1000)) as broker,
        undisturbed(broker, caplog),
    ):
        with session(broker) as websocket:
            websocket.socket.sendall(b"\x82\xff" + (2**40).to_bytes(8) + b"abcd")
            assert ended(websocket)[0] == 1009
        with session(broker) as websocket:
            websocket.send(send_frame("x" * 1001))
            assert heard(websocket).startswith("ERROR\n")
            assert ended(websocket) == (1000, "")


@pytest.mark.parametrize("how", ["one message", "many messages", "pings"])
def test_too_much_before_connect_is_cut(broker, how, caplog):
    def pour(websocket: ClientConnection) -> None:
        for _ in range(1000):
            if how == "one message":
                websocket.socket.sendall(bytes(100_000))
            elif how == "many messages":
                websocket.send("\n" * 100_000)
            else:
                websocket.socket.sendall((b"\x89\xfdabcd" + bytes(125)) * 1000)

    with undisturbed(broker, caplog), opened(broker) as websocket:
        if how == "one message":
            websocket.socket.sendall(b"\x82\xff" + (90_000_000).to_bytes(8) + b"abcd")
        with pytest.raises((OSError, ConnectionClosed)):
            pour(websocket)
        until(lambda: len(broker.clients()) == 2)


@pytest.mark.parametrize("way", ["a WebSocket", "STOMP"])
def test_what_is_half_received_counts_as_memory_and_is_refused_beyond_its_limit(way):
    size = 8_000_000
    head = b"\x82\xff" + size.to_bytes(8) + bytes(4)
    if way == "STOMP":  # messages that are complete, of a frame that is not
        begun = b"SEND\ndestination:/topic/t\ncontent-length:%d\n\n" % size
        head = b"\x82\xff" + (size - 1000 + len(begun)).to_bytes(8) + bytes(4) + begun
    limits = Limits(max_body=size, max_memory=20_000_000)
    with Broker(websocket_port=0, limits=limits) as broker, contextlib.ExitStack() as leaving:
        for _ in range(3):
            websocket = leaving.enter_context(session(broker, close_timeout=0.1))
            websocket.socket.sendall(head + bytes(size - 1000))
        assert "message:no room\n" in heard(websocket)
        assert size < broker.stats()["octets"] < 20_000_000


def test_a_client_that_pings_and_does_not_read_is_not_read_from_any_more():
    pings = memoryview((b"\x89\xfdabcd" + bytes(125)) * 300_000)  # 39 MB
    with (
        Broker(websocket_port=0) as broker,
        socket.create_connection(("127.0.0.1", int(broker.urls["ws"].rpartition(":")[2]))) as sock,
    ):
        sock.settimeout(5)
        connect = b"CONNECT\naccept-version:1.2\nhost:/\n\n\0"
        sock.sendall(UPGRADE.encode() + bytes((0x82, 0x80 | len(connect))) + bytes(4) + connect)
        while b"CONNECTED" not in sock.recv(65536):
            pass
        sent = 0
        sock.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while sent < len(pings):
                sent += sock.send(pings[sent : sent + 1_000_000])
        assert sent < len(pings), "39 MB of pings were answered to a client that reads nothing"


def test_a_client_that_pings_and_vanishes_leaves_no_trace_in_the_log(caplog):
    for _ in range(5):
        with Broker(websocket_port=0) as broker:
            with socket.create_connection(
                ("127.0.0.1", int(broker.urls["ws"].rpartition(":")[2]))
            ) as sock:
                sock.sendall(UPGRADE.encode())
                sock.recv(65536)
                sock.sendall(b"\x89\x80abcd" * 20_000)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            until(lambda broker=broker: not broker.clients())
    assert [r.getMessage() for r in caplog.records if r.levelno > logging.INFO][:5] == []
