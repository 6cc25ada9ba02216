"""From an address to a session, and what is said when there is none."""

import itertools
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import stompy
from stompy import STOMPConnectError, STOMPError, STOMPProtocolError
from stompy.client import CONNECT_LIMIT
from stompy.transport import SocketTransport
from tests.unit.peer import (
    TIMEOUT,
    Link,
    Peer,
    Script,
    a_reset_keeps_what_was_sent,
    dead_port,
    raw,
    session,
)

SECRET = "s3cret"
CONNECTED = raw("CONNECTED", "version:1.2")


def connect_frame(**arguments: Any) -> tuple[dict[str, str], list[str]]:
    """The headers of the CONNECT frame, and its header lines as they go out."""
    with session(**arguments) as (_, peer):
        pass
    return peer.frames[0].headers, peer.frames[0].lines


def answer(*octets: bytes, then: Callable[[Link], object] = Link.stay_silent) -> Script:
    """A script that answers CONNECT with `octets`, then does `then`."""

    def script(link: Link) -> None:
        link.expect("CONNECT")
        link.send(*octets)
        then(link)

    return script


def failure(script: Script, **arguments: Any) -> STOMPConnectError:
    """The error of connecting to a peer with this script; it is checked for what all have."""
    arguments = {"timeout": TIMEOUT, "login": "me", "passcode": SECRET, **arguments}
    with Peer(script) as peer, pytest.raises(STOMPConnectError) as caught:
        stompy.connect(peer.address, **arguments)
    check_texts(caught.value)
    assert caught.value.address == "{}:{}".format(*peer.address)
    assert caught.value.address in str(caught.value)
    return caught.value


def check_texts(error: STOMPConnectError) -> None:
    """Two or three lines, one of them says what to try; no secret; a notebook shows these lines."""
    text = str(error)
    assert 2 <= len(text.splitlines()) <= 3, text
    assert "\nTry: " in text
    prose = re.sub(r"stomp\+\w+://\S*", "", text)
    assert "stomp" not in prose, "the protocol's name is STOMP"
    assert error._render_traceback_() == f"STOMPConnectError: {text}".splitlines()
    check_secret(error)


def check_secret(error: BaseException | None) -> None:
    """Neither the error nor what is shown as its cause holds the passcode."""
    while error:
        assert SECRET not in f"{error} {error!r} {vars(error)}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


# -- CONNECT -------------------------------------------------------------------------------------


def test_connect_offers_all_versions_in_increasing_order_and_the_default_host() -> None:
    headers, _ = connect_frame()
    assert headers["accept-version"] == "1.0,1.1,1.2"
    assert headers["host"] == "/"
    assert headers.keys() == {"accept-version", "host", "heart-beat"}


@pytest.mark.parametrize(
    ("given", "offered"),
    [
        ({}, "10000,10000"),
        ({"heart_beat": (0, 0)}, "0,0"),
        ({"heart_beat": (250, 0)}, "250,0"),
        ({"heart_beat": [0, 5000.0]}, "0,5000"),
    ],
)
def test_connect_offers_heart_beats(given: dict[str, Any], offered: str) -> None:
    headers, _ = connect_frame(**given)
    assert headers["heart-beat"] == offered


@pytest.mark.parametrize("heart_beat", [None, 1000, (1000,), (1, 2, 3), (-1, 0), ("a", "b")])
def test_heart_beats_that_are_no_pair_of_times_are_refused(heart_beat: Any) -> None:
    with pytest.raises(STOMPError, match=r"heart_beat=.*\n.*0 for never"):
        stompy.connect(("127.0.0.1", 1), heart_beat=heart_beat)


def test_heart_beats_among_the_headers_are_refused() -> None:
    with pytest.raises(STOMPError, match="heart_beat="):
        stompy.connect(("127.0.0.1", 1), headers={"heart-beat": "1,1"})


def test_login_and_passcode_go_out_when_they_are_given() -> None:
    headers, _ = connect_frame(login="me", passcode=SECRET)
    assert (headers["login"], headers["passcode"]) == ("me", SECRET)


def test_more_headers_come_from_a_dict_and_from_keywords() -> None:
    headers, _ = connect_frame(headers={"client-id": "n1"}, foo="bar", number=1)
    assert (headers["client-id"], headers["foo"], headers["number"]) == ("n1", "bar", "1")


def test_the_headers_of_connect_are_not_escaped() -> None:
    _, lines = connect_frame(login="a:b\\c", passcode="p:\\n")
    assert "login:a:b\\c" in lines
    assert "passcode:p:\\n" in lines


def test_the_host_header_is_the_vhost() -> None:
    headers, _ = connect_frame(vhost="prices")
    assert headers["host"] == "prices"


@pytest.mark.parametrize(
    ("versions", "offered"),
    [(("1.2",), "1.2"), (("1.2", "1.0"), "1.0,1.2"), (["1.2", "1.1"], "1.1,1.2")],
)
def test_the_versions_to_offer_can_be_chosen(versions: Any, offered: str) -> None:
    headers, _ = connect_frame(versions=versions)
    assert headers["accept-version"] == offered


@pytest.mark.parametrize("versions", [(), ("1.3",), ("1.2", "2.0")])
def test_versions_that_do_not_exist_are_refused(versions: tuple[str, ...]) -> None:
    with pytest.raises(STOMPError, match="cannot offer"):
        stompy.connect(("127.0.0.1", 1), versions=versions)


@pytest.mark.parametrize(
    "headers",
    [{"a": "b\nc"}, {"a:b": ""}, {"a": "\0"}, {"passcode": f"{SECRET}\n"}, {"a": "\udcff"}],
)
def test_a_header_that_connect_cannot_carry_is_a_stomp_error(headers: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(STOMPError) as caught:
        stompy.connect(listener.getsockname(), headers={"passcode": SECRET, **headers})
    check_secret(caught.value)


# -- CONNECTED -----------------------------------------------------------------------------------


def connected_by(*octets: bytes) -> stompy.STOMPFrame:
    """What `connect` returns when the peer answers with `octets`."""
    client = stompy.STOMPClient()
    with Peer(answer(*octets, then=Link.serve)) as peer:
        connected = client.connect(peer.address)
        assert client.Connected
        client.disconnect()
    return connected


@pytest.mark.parametrize(
    "octets",
    [
        CONNECTED,
        b"\n\n" + CONNECTED + b"\n\n",
        b"CONNECTED\r\nversion:1.2\r\n\r\n\0\r\n\r\n",
        raw("CONNECTED", "version:1.2", "content-length:0", "content-length:0"),
    ],
)
def test_connect_returns_the_connected_frame(octets: bytes) -> None:
    connected = connected_by(octets)
    assert (connected.Command, connected["version"]) == ("CONNECTED", "1.2")


def test_connected_may_come_octet_by_octet() -> None:
    octets = raw("CONNECTED", "version:1.2", "server:é")
    assert connected_by(*(octets[i : i + 1] for i in range(len(octets))))["server"] == "é"


def test_the_headers_of_connected_are_not_unescaped() -> None:
    assert connected_by(raw("CONNECTED", "version:1.2", r"server:A\c\t"))["server"] == r"A\c\t"


def test_what_comes_together_with_connected_is_not_lost() -> None:
    octets = CONNECTED + raw("MESSAGE", "n:1") + raw("MESSAGE", "n:2")[:5]
    rest = raw("MESSAGE", "n:2")[5:]
    with (
        Peer(answer(octets, rest, then=Link.serve)) as peer,
        stompy.connect(peer.address) as client,
    ):
        assert [client.recv(TIMEOUT)["n"] for _ in range(2)] == ["1", "2"]


def test_what_is_wrong_behind_connected_is_the_sessions_trouble() -> None:
    octets = CONNECTED + raw("MESSAGE", "n:1") + raw("MESSAGE", "nocolon")
    with Peer(answer(octets)) as peer, stompy.connect(peer.address) as client:
        assert client.recv(TIMEOUT)["n"] == "1"
        with pytest.raises(STOMPProtocolError, match="without a colon"):
            client.recv(TIMEOUT)


# -- no session ----------------------------------------------------------------------------------


def test_a_closed_port() -> None:
    with dead_port() as port, pytest.raises(STOMPConnectError) as caught:
        stompy.connect(("127.0.0.1", port), passcode=SECRET)
    check_texts(caught.value)
    assert f"nothing listens at 127.0.0.1:{port}" in str(caught.value)
    assert caught.value.phase == "connect"


def test_an_unknown_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(STOMPConnectError) as caught:
        stompy.connect(f"stomp://me:{SECRET}@no-such-host.invalid")
    check_texts(caught.value)
    assert "the host 'no-such-host.invalid' is not known" in str(caught.value)
    assert (caught.value.phase, caught.value.address) == ("resolve", "no-such-host.invalid:61613")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError("timed out"), "did not answer within 5 s"),
        (OSError(101, "Network is unreachable"), "Network is unreachable"),
    ],
)
def test_a_network_that_leads_nowhere(
    monkeypatch: pytest.MonkeyPatch, error: OSError, words: str
) -> None:
    class Unconnectable(socket.socket):
        def connect(self, where: Any) -> None:
            raise error

    monkeypatch.setattr(socket, "socket", Unconnectable)
    with pytest.raises(STOMPConnectError, match=words) as caught:
        stompy.connect(("127.0.0.1", 61613), passcode=SECRET, timeout=5)
    check_texts(caught.value)
    assert caught.value.phase == "connect"


@pytest.mark.parametrize(
    ("path", "words"), [("missing", "No such file"), ("a file", "refused"), ("x" * 200, "too long")]
)
def test_a_path_where_no_unix_socket_is(tmp_path: Path, path: str, words: str) -> None:
    (tmp_path / "a file").touch()
    with pytest.raises(STOMPConnectError, match=words) as caught:
        stompy.connect(f"stomp+unix://{tmp_path / path}", passcode=SECRET)
    check_texts(caught.value)
    assert caught.value.phase == "connect"
    assert str(tmp_path / path) in caught.value.address


def test_a_unix_socket_that_nobody_listens_at(tmp_path: Path) -> None:
    left = tmp_path / "stomp.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(left))
    with pytest.raises(STOMPConnectError, match="nothing listens at") as caught:
        stompy.connect(f"stomp+unix://{left}", passcode=SECRET)
    check_texts(caught.value)


def test_silence() -> None:
    begin = time.monotonic()
    error = failure(Link.stay_silent, timeout=0.3)
    assert 0.3 <= time.monotonic() - begin < TIMEOUT
    assert "sent no CONNECTED within 0.3 s" in str(error)
    assert error.phase == "handshake"


def test_silence_is_given_up_also_when_no_timeout_was_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert 0 < CONNECT_LIMIT < 30
    monkeypatch.setattr("stompy.client.CONNECT_LIMIT", 0.1)
    assert "within 0.1 s" in str(failure(Link.stay_silent, timeout=None))


def test_heartbeats_instead_of_connected_do_not_put_off_the_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    beats = itertools.chain(itertools.repeat(b"\n", 200_000), itertools.repeat(b""))
    monkeypatch.setattr(SocketTransport, "recv", lambda *_: next(beats))
    assert "sent no CONNECTED" in str(failure(Link.stay_silent, timeout=0.02))


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b"", "closed the connection"),
        (CONNECTED[:-1], "closed the connection"),
        (b"\n", "closed the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "speaks HTTP, not STOMP"),
        (b"H", "not STOMP"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "speaks TLS, not STOMP"),
        (raw("RECEIPT", "receipt-id:1"), "answered CONNECT with RECEIPT"),
        (raw("MESSAGE", "a:b", body=b"x"), "answered CONNECT with MESSAGE"),
        (raw("SURPRISE"), "not STOMP"),
        (raw("CONNECTED", "version:7.3"), "chose STOMP 7.3"),
        (raw("CONNECTED", "nocolon"), "without a colon"),
        (raw("CONNECTED", "content-length:x"), "content-length is no number"),
    ],
)
def test_an_answer_that_is_no_connected(octets: bytes, words: str) -> None:
    error = failure(answer(octets, then=half_close))
    assert words in str(error)
    assert error.phase == "handshake"


def half_close(link: Link) -> None:
    link.half_close()
    link.stay_silent()


def test_a_reset_instead_of_an_answer() -> None:
    error = failure(answer(then=Link.reset))
    assert "broke the connection off" in str(error)


@pytest.mark.parametrize(
    ("version", "versions"), [("1.0", ("1.2",)), ("1.1", ("1.0", "1.2")), (None, ("1.1", "1.2"))]
)
def test_a_version_that_was_not_offered(version: str | None, versions: tuple[str, ...]) -> None:
    octets = raw("CONNECTED", *([f"version:{version}"] if version else []))
    error = failure(answer(octets), versions=versions)
    assert f"chose STOMP {version or '1.0'}; offered were {', '.join(versions)}" in str(error)


# -- refused by ERROR ----------------------------------------------------------------------------


def refusal(*lines: str, body: bytes = b"") -> STOMPConnectError:
    error = failure(answer(raw("ERROR", *lines, body=body)))
    assert error.Frame is not None
    assert (error.Frame.Command, error.Frame.Body) == ("ERROR", body)
    return error


def test_an_error_frame_is_told_in_the_brokers_words() -> None:
    text = str(refusal("message:Bad CONNECT", body=b"Access refused for user 'me'\nmore\n"))
    assert "refused the session" in text
    assert "Bad CONNECT" in text
    assert "Access refused for user 'me'" in text


def test_the_words_of_an_error_frame_are_not_said_twice() -> None:
    assert str(refusal("message:Access refused", body=b"Access refused\n")).count("refused") == 2


def test_an_error_frame_with_a_message_alone() -> None:
    assert "Access refused" in str(refusal("message:Access refused"))


def test_an_error_frame_with_a_body_alone() -> None:
    assert "Access refused" in str(refusal(body=b"Access refused"))


def test_an_error_frame_without_words_leaves_no_gap_in_the_text() -> None:
    first_line = str(refusal()).splitlines()[0]
    assert "refused the session" in first_line
    assert first_line == first_line.rstrip(": ")


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        ((), b"java.lang.SecurityException: no\n" + b"\tat org.example\n" * 40),
        ((r"message:first\nsecond\nthird\nfourth",), b""),
        (("message:no",), b"\n\n  first\r\nsecond"),
        (("message:no",), b"\xff\xfe\0"),
    ],
    ids=["a stack trace", "a message of many lines", "a body of many lines", "no text"],
)
def test_a_long_error_frame_makes_a_short_error(lines: tuple[str, ...], body: bytes) -> None:
    length = f"content-length:{len(body)}"
    assert len(str(refusal(length, *lines, body=body))) < 400


@a_reset_keeps_what_was_sent
def test_an_error_frame_followed_by_a_reset() -> None:
    octets = raw("ERROR", "message:Access refused")
    assert "Access refused" in str(failure(answer(octets, then=Link.reset)))


# -- a list of addresses -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first",
    [
        answer(raw("ERROR", "message:not now")),
        answer(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        Link.stay_silent,
        Link.reset,
    ],
    ids=["ERROR", "HTTP", "silence", "reset"],
)
def test_a_list_goes_on_to_the_next_address(first: Script) -> None:
    with Peer(first) as broken, Peer(answer(CONNECTED, then=Link.serve)) as good:
        client = stompy.connect([broken.address, good.address], timeout=0.3)
        assert client.BrokerAddress == good.address
        client.disconnect()


def test_a_list_goes_on_when_nothing_listens_at_the_first_address() -> None:
    with dead_port() as port, Peer(answer(CONNECTED, then=Link.serve)) as good:
        client = stompy.connect([("127.0.0.1", port), good.address])
        assert client.BrokerAddress == good.address
        client.disconnect()


def test_a_list_goes_on_from_a_unix_socket_that_is_not_there_to_the_next(tmp_path: Path) -> None:
    with Peer(answer(CONNECTED, then=Link.serve)) as good:
        client = stompy.connect([f"stomp+unix://{tmp_path}/missing", good.address])
        assert client.BrokerAddress == good.address
        client.disconnect()


def test_the_first_address_that_answers_is_taken() -> None:
    with dead_port() as port, Peer(answer(CONNECTED, then=Link.serve)) as good:
        stompy.connect([good.address, ("127.0.0.1", port)]).disconnect()


def test_when_none_answers_the_error_tells_of_each() -> None:
    refuses = answer(raw("ERROR", "message:not now"))
    with dead_port() as port, Peer(refuses) as peer, pytest.raises(STOMPConnectError) as caught:
        stompy.connect([("127.0.0.1", port), peer.address], passcode=SECRET)
    check_texts(caught.value)
    assert "none of 2 addresses" in str(caught.value)
    assert "nothing listens" in str(caught.value)
    assert "not now" in str(caught.value)
    assert [attempt.phase for attempt in caught.value.attempts] == ["connect", "handshake"]
    assert caught.value.Frame is not None


def test_each_address_gets_the_login_of_its_own_url() -> None:
    with Peer(answer(raw("ERROR"))) as first, Peer(answer(CONNECTED, then=Link.serve)) as second:
        urls = [
            f"stomp://a:one@127.0.0.1:{first.address[1]}/x",
            f"stomp://b:two@127.0.0.1:{second.address[1]}/y",
        ]
        stompy.connect(urls).disconnect()
    for peer, expected in [(first, ("a", "one", "x")), (second, ("b", "two", "y"))]:
        headers = peer.frames[0].headers
        assert (headers["login"], headers["passcode"], headers["host"]) == expected


def test_arguments_come_before_what_a_url_says() -> None:
    with Peer(answer(CONNECTED, then=Link.serve)) as peer:
        url = f"stomp://a:one@127.0.0.1:{peer.address[1]}/x"
        stompy.connect(url, login="b", passcode="two", vhost="y").disconnect()
    headers = peer.frames[0].headers
    assert (headers["login"], headers["passcode"], headers["host"]) == ("b", "two", "y")


@pytest.mark.parametrize("header", ["content-length", "receipt", "accept-version", "heart-beat"])
def test_headers_that_connect_cannot_have_are_refused(header: str) -> None:
    with pytest.raises(STOMPError, match=header):
        stompy.connect(("127.0.0.1", 1), headers={header: "5"})
