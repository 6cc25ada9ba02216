"""The embedded broker's side of a conversation: how it begins and how it ends."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from stompy import wire
from tests.unit.broker.clients import Peer, PureBroker

ALL = pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
NOT_10 = pytest.mark.parametrize("version", ["1.1", "1.2"])


@pytest.fixture
def broker() -> Iterator[PureBroker]:
    with PureBroker() as broker:
        yield broker


# -- connecting --------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [b"CONNECT", b"STOMP"])
def test_connect_and_stomp_are_answered_by_connected(broker, command):
    (connected,) = Peer(broker, None).octets(command + b"\naccept-version:1.2\nhost:/\n\n\0")
    assert (connected.Command, connected["version"], connected.Body) == ("CONNECTED", "1.2", b"")


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("1.1", "1.1"),
        ("1.2", "1.2"),
        ("1.0,1.1,2.0", "1.1"),
        ("1.2,1.0,1.1", "1.2"),
        ("1.1,1.2,1.0", "1.2"),
        ("1.0, 1.1, 1.2", "1.2"),
    ],
)
def test_the_highest_common_version_is_chosen_whatever_their_order(broker, offered, chosen):
    (connected,) = Peer(broker, None).send("CONNECT", {"accept-version": offered, "host": "/"})
    assert connected["version"] == chosen


def test_a_client_that_names_no_version_speaks_1_0(broker):
    (connected,) = Peer(broker, None).octets(b"CONNECT\nlogin:me\npasscode:secret\n\n\0")
    assert connected.Command == "CONNECTED"
    assert "version" not in connected
    assert "heart-beat" not in connected


def test_without_a_common_version_error_lists_those_that_there_are(broker):
    peer = Peer(broker, None)
    (error,) = peer.send("CONNECT", {"accept-version": "9.9,10.1", "host": "/"})
    assert (error.Command, error["version"]) == ("ERROR", "1.0,1.1,1.2")
    assert b"1.0, 1.1, 1.2" in error.Body
    assert peer.closing


def test_the_first_frame_must_be_connect(broker):
    peer = Peer(broker, None)
    (error,) = peer.message("/queue/q", b"a")
    assert (error.Command, error["message"]) == ("ERROR", "not connected")
    assert peer.closing
    assert broker.drain("/queue/q") == []


@pytest.mark.parametrize("command", ["CONNECT", "STOMP"])
@ALL
def test_a_second_connect_is_refused(broker, version, command):
    peer = Peer(broker, version)
    (error,) = peer.send(command, {"accept-version": version, "receipt": "r"})
    assert (error.Command, error["message"]) == ("ERROR", "connected already")
    assert "receipt-id" not in error
    assert peer.closing


def test_connect_gets_connected_and_no_receipt(broker):
    (answer,) = Peer(broker, None).send("CONNECT", {"accept-version": "1.2", "receipt": "r"})
    assert answer.Command == "CONNECTED"


@pytest.mark.parametrize("offered", ["", "2.0", "1.2;1.1", "1.3,1.20"])
def test_no_version_is_made_of_one_that_there_is_not(broker, offered):
    (error,) = Peer(broker, None).send("CONNECT", {"accept-version": offered})
    assert (error.Command, error["message"]) == ("ERROR", "no common version")


def test_two_sessions_have_different_names_and_the_server_has_one(broker):
    first, second = (Peer(broker, None).octets(b"CONNECT\n\n\0")[0] for _ in range(2))
    assert first["session"] != second["session"]
    assert re.fullmatch(r"[^\s/]+(/\S+)?( \(.*\))*", first["server"])


def test_a_backslash_in_connect_is_harmless(broker):
    peer = Peer(broker, None)
    (answer,) = peer.octets(b"CONNECT\naccept-version:1.2\nx-path:C:\\temp\\q\n\n\0")
    assert answer.Command == "CONNECTED"


# -- what is no STOMP ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET / HTTP/1.1\r\n",
        b"POST /queue/q HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\n",
        b"OPTIONS * HTTP/1.0\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"\r\nGET / HTTP/1.1",
    ],
)
def test_http_is_answered_in_http(broker, request_line):
    peer = Peer(broker, None)
    peer.give(request_line)
    head, _, body = peer.output().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"\r\nContent-Length: %d" % len(body) in head
    assert b"\r\nConnection: close" in head
    assert b"WebSocket" in body
    assert peer.closing


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", "TLS"),
        (b"AMQP\x00\x00\x09\x01", "AMQP"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "SSH"),
        (b"\x00\x00\x01\x4b\x01ActiveMQ", "OpenWire"),
        (b"X", "no STOMP"),
        (b"CONNECTX", "no STOMP"),
        (b"CONNECTED\nversion:1.2\n\n\0", "no STOMP"),
        (b"connect\n\n\0", "no STOMP"),
        (b"\0", "no STOMP"),
        (b" CONNECT\n", "no STOMP"),
        (b"\n\n\ngarbage", "no STOMP"),
        (b"\xef\xbb\xbfCONNECT\n", "no STOMP"),
        (b"x" * 1_000_000, "no STOMP"),
    ],
    ids=lambda value: value[:12].decode("latin-1") if isinstance(value, bytes) else value,
)
def test_what_is_no_stomp_is_refused_at_once_without_waiting_for_its_end(broker, octets, says):
    peer = Peer(broker, None)
    (error,) = peer.octets(octets)
    assert (error.Command, error["message"]) == ("ERROR", "not connected")
    assert says in error.text
    assert peer.closing
    assert broker.octets == 0


def test_what_cannot_become_connect_any_more_is_refused_when_that_is_clear(broker):
    peer = Peer(broker, None)
    for octet in b"CONN":
        assert peer.octets(bytes([octet])) == []
    (error,) = peer.octets(b"!")
    assert error.Command == "ERROR"
    assert "b'CONN!'" in error.text


@pytest.mark.parametrize("before", [b"\n", b"\r\n", b"\n\r\n\n", b"\n" * 1000])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_line_ends_before_connect_are_accepted(broker, before, line_end):
    frame = before + b"CONNECT\naccept-version:1.2\nhost:/\n\n".replace(b"\n", line_end) + b"\0"
    assert Peer(broker, None).octets(frame)[0].Command == "CONNECTED"
    portioned = Peer(broker, None)
    answers = [one for octet in frame for one in portioned.octets(bytes([octet]))]
    assert [answer.Command for answer in answers] == ["CONNECTED"]


def test_many_line_ends_may_come_with_the_beginning_of_connect(broker):
    peer = Peer(broker, None)
    assert peer.octets(b"\n" * 300 + b"CONNECT\naccept-ver") == []
    (connected,) = peer.octets(b"sion:1.2\nhost:/\n\n\0")
    assert connected.Command == "CONNECTED"


def test_what_is_no_stomp_is_refused_behind_many_line_ends_too(broker):
    peer = Peer(broker, None)
    peer.give(b"\n" * 300 + b"GET / HTTP/1.1\r\n\r\n")
    assert peer.output().startswith(b"HTTP/1.1 400")
    assert peer.closing


# -- logins --------------------------------------------------------------------------------------


LOGINS = {"me": "geheim", "you": "pässwort", "padded": " two \t", "open": ""}
BAD = [
    {"login": "me", "passcode": "wrong"},
    {"login": "me", "passcode": "pässwort"},
    {"login": "me", "passcode": "geheim "},
    {"login": "me", "passcode": "geheimnis"},
    {"login": "me", "passcode": ""},
    {"login": "nobody", "passcode": "geheim"},
    {"login": "nobody", "passcode": ""},
    {"login": "ME", "passcode": "geheim"},
    {"login": "me"},
    {"passcode": "geheim"},
    {},
]


@pytest.mark.parametrize(
    "login", [("me", "geheim"), ("you", "pässwort"), ("padded", " two \t"), ("open", "")]
)
@NOT_10
def test_who_knows_login_and_passcode_is_let_in(version, login):
    broker = PureBroker(logins=LOGINS)
    peer = Peer(broker, version, dict(zip(("login", "passcode"), login, strict=True)))
    assert peer.session.login == peer.session.described()["login"] == login[0]


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        (version, headers)
        for version in ("1.0", "1.1", "1.2")
        for headers in BAD
        if version != "1.0" or headers.get("passcode") != "geheim "  # 1.0 may pad
    ],
)
def test_who_does_not_is_refused_and_learns_no_more_than_that(version, headers):
    broker = PureBroker(logins=LOGINS)
    peer = Peer(broker, None)
    peer.version = version
    (error,) = peer.connect(headers)
    assert (error.Command, error["message"]) == ("ERROR", "access refused")
    wrong = "The login or the passcode is wrong.\n"
    assert error.text.startswith((wrong, "This broker wants a login and a passcode in CONNECT.\n"))
    assert peer.closing
    assert peer.session.version is None


@pytest.mark.parametrize("pad", [" ", "\t", "  \t "])
def test_in_1_0_login_and_passcode_may_be_padded(pad):
    broker = PureBroker(logins=LOGINS)
    octets = f"CONNECT\nlogin:{pad}me{pad}\npasscode:{pad}geheim{pad}\n\n\0".encode()
    peer = Peer(broker, None)
    assert peer.octets(octets)[0].Command == "CONNECTED"
    assert peer.session.login == "me"
    strict = Peer(broker, None)
    octets = octets.replace(b"\n\n", b"\naccept-version:1.1\nhost:/\n\n")
    assert strict.octets(octets)[0].Command == "ERROR"


def test_without_logins_everybody_is_let_in_under_any_name(broker):
    assert Peer(broker).session.login is None
    peer = Peer(broker, headers={"login": "anybody", "passcode": "anything"})
    assert peer.session.login == "anybody"


@pytest.mark.parametrize(
    "octets",
    [
        b"CONNECT\naccept-version:1.2\nhost:/\nlogin:me\npasscode:geheim1\n\n\0",
        b"CONNECT\naccept-version:9.9\nlogin:me\npasscode:geheim1\n\n\0",
        b"CONNECT\nlogin:me\npasscode: geheim1\nheart-beat:x\n\n\0",
        b"SEND\nlogin:me\npasscode:geheim1\n\n\0",
    ],
)
def test_a_passcode_is_nowhere_to_be_read(octets, caplog):
    broker = PureBroker(logins=LOGINS)
    caplog.set_level(0)
    peer = Peer(broker, None)
    peer.give(octets)
    output = peer.output()
    assert output.startswith(b"ERROR\n")
    told = repr((output, broker.log.events(), peer.session.described(), caplog.messages))
    assert "geheim" not in told


def test_a_second_connect_does_not_show_the_passcode_either():
    broker = PureBroker(logins=LOGINS)
    login = {"login": "me", "passcode": "geheim"}
    peer = Peer(broker, headers=login)
    (error,) = peer.connect(login)
    assert error["message"] == "connected already"
    assert "geheim" not in repr((error.text, error.Headers, broker.log.events()))
    assert "geheim" not in repr(peer.session.described())


# -- receipts and the end ----------------------------------------------------------------------


@ALL
def test_every_frame_gets_its_receipt_when_it_asks_and_only_then(broker, version):
    peer = Peer(broker, version)
    steps = [
        ("SUBSCRIBE", {"destination": "/queue/q", "id": "1", "ack": "client"}),
        ("SEND", {"destination": "/queue/none"}),
        ("BEGIN", {"transaction": "t"}),
        ("COMMIT", {"transaction": "t"}),
        ("BEGIN", {"transaction": "t"}),
        ("ABORT", {"transaction": "t"}),
        ("UNSUBSCRIBE", {"id": "1", "destination": "/queue/q"}),
    ]
    for number, (command, headers) in enumerate(steps):
        (receipt,) = peer.send(command, {**headers, "receipt": f"{number}"})
        assert (receipt.Command, receipt["receipt-id"], receipt.Body) == (
            "RECEIPT",
            f"{number}",
            b"",
        )
    for command, headers in steps:
        assert peer.send(command, headers) == []


@pytest.mark.parametrize("command", ["ACK", "NACK"])
@NOT_10
def test_an_answer_to_a_message_gets_its_receipt_too(broker, version, command):
    peer = Peer(broker, version)
    peer.subscribe("/topic/t", ack="client")
    (message,) = peer.message("/topic/t", b"a")
    (receipt,) = peer.send(command, {**peer.names(message), "receipt": "r"})
    assert (receipt.Command, receipt["receipt-id"]) == ("RECEIPT", "r")


@NOT_10
def test_a_receipt_id_is_escaped_like_any_header(broker, version):
    peer = Peer(broker, version)
    peer.give(b"SEND\ndestination:/queue/q\nreceipt:a\\cb\\\\c =&\xc3\xbc\n\n\0")
    assert b"\nreceipt-id:a\\cb\\\\c =&\xc3\xbc\n" in peer.output()


def test_receipts_come_in_the_order_of_the_frames(broker):
    peer = Peer(broker)
    send = {"destination": "/queue/q"}
    frames = [wire.encode("SEND", {**send, "receipt": f"{n}"}, b"a") for n in range(30)]
    receipts = peer.octets(b"".join(frames))
    assert [frame["receipt-id"] for frame in receipts] == [str(n) for n in range(30)]


@ALL
def test_disconnect_is_confirmed_and_nothing_after_it_counts(broker, version):
    peer = Peer(broker, version)
    disconnect = wire.encode("DISCONNECT", {"receipt": "bye"})
    late = wire.encode("SEND", {"destination": "/queue/q"}, b"late")
    (receipt,) = peer.octets(disconnect + late)
    assert (receipt.Command, receipt["receipt-id"]) == ("RECEIPT", "bye")
    assert peer.closing
    assert peer.octets(late) == []
    assert broker.drain("/queue/q") == []


def test_frames_before_a_disconnect_are_processed(broker):
    peer = Peer(broker)
    sends = [wire.encode("SEND", {"destination": "/queue/q"}, b"a")] * 20
    peer.octets(b"".join(sends) + wire.encode("DISCONNECT", {}))
    assert len(broker.drain("/queue/q")) == 20


def test_what_a_client_held_goes_to_others_when_it_disconnects(broker):
    one, other = Peer(broker), Peer(broker)
    one.subscribe("/queue/q", ack="client")
    one.message("/queue/q", b"a")
    other.subscribe("/queue/q")
    assert other.take() == []
    one.send("DISCONNECT", {})
    assert other.bodies() == [b"a"]
