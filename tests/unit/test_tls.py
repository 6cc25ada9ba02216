"""TLS: from what a user says about it to a context, and what is spoken then."""

import os
import socket
import ssl
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import stompy
from stompy import STOMPConnectError, STOMPError
from stompy.tls import TLSOptions
from tests.certificates import (
    Files,
    authority,
    client_context,
    server_context,
    write_files,
)
from tests.unit.ends import tls_end
from tests.unit.peer import TIMEOUT, Link, Peer, Script, dead_port, message, raw

PASSWORD = "s3cret"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A client's certificate, and the authority of all."""
    return write_files(tmp_path, authority().issue_cert("client.example"))


@pytest.fixture
def encrypted(tmp_path: Path) -> Files:
    """The same with a key that needs a password."""
    certificate = authority().issue_cert("client.example")
    return write_files(tmp_path, certificate, PASSWORD.encode())


def check_text(error: STOMPError) -> None:
    """It says what to try, and holds no password."""
    assert "\nTry: " in str(error)
    assert PASSWORD not in f"{error} {error!r} {error.__cause__!r}"


# -- the options ---------------------------------------------------------------------------------


def context(wanted: bool = False, **options: Any) -> ssl.SSLContext | None:
    return TLSOptions(**options).context(wanted)


def test_without_options_and_wish_there_is_no_tls() -> None:
    assert context() is None
    assert context(tls=False) is None


@pytest.mark.parametrize("options", [{"wanted": True}, {"tls": True}])
def test_tls_checks_certificate_and_host_name_unless_told_otherwise(
    options: dict[str, bool],
) -> None:
    made = context(**options)
    assert made is not None
    assert made.verify_mode is ssl.CERT_REQUIRED
    assert made.check_hostname
    assert made.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_file_asks_for_tls(files: Files) -> None:
    assert context(ca_file=str(files.ca)) is not None
    assert context(cert_file=files.cert, key_file=files.key) is not None


def test_a_context_of_the_users_own_is_taken_as_it_is() -> None:
    mine = client_context()
    assert context(tls=mine) is mine
    assert context(tls=mine, wanted=True) is mine


@pytest.mark.parametrize(
    "options",
    [
        {"tls": False, "wanted": True},
        {"tls": False, "ca_file": "ca.pem"},
        {"tls": False, "cert_file": "cert.pem"},
        {"key_file": "key.pem"},
        {"tls": True, "key_file": "key.pem"},
        {"key_password": PASSWORD},
        {"tls": True, "key_password": PASSWORD},
    ],
    ids=str,
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(STOMPError) as caught:
        context(**options)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    "option",
    [
        {"cert_file": "cert.pem"},
        {"key_file": "key.pem"},
        {"ca_file": "ca.pem"},
        {"key_password": PASSWORD},
        {"check_hostname": False},
        {"verify": False},
    ],
    ids=lambda option: next(iter(option)),
)
def test_a_context_and_an_option_that_would_change_it_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(STOMPError, match="SSLContext") as caught:
        context(tls=client_context(), **option)
    check_text(caught.value)


@pytest.mark.parametrize("option", ["cert_file", "key_file", "ca_file"])
@pytest.mark.parametrize("wrong", ["missing", "no certificate", "a folder"])
def test_a_file_that_cannot_be_used_is_named(
    files: Files, tmp_path: Path, option: str, wrong: str
) -> None:
    bad = tmp_path / "bad.pem"
    if wrong == "no certificate":
        bad.write_text("no PEM in here")
    elif wrong == "a folder":
        bad.mkdir()
    given = {"cert_file": files.cert, "key_file": files.key, "ca_file": files.ca, option: bad}
    with pytest.raises(STOMPError) as caught:
        context(**given)
    check_text(caught.value)
    assert str(bad) in str(caught.value)


def test_a_certificate_and_a_key_that_do_not_belong_together_are_refused(
    files: Files, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = write_files(tmp_path / "other", authority().issue_cert("client.example"))
    with pytest.raises(STOMPError) as caught:
        context(cert_file=files.cert, key_file=other.key)
    check_text(caught.value)


def test_a_key_may_be_encrypted(encrypted: Files) -> None:
    files = {"cert_file": encrypted.cert, "key_file": encrypted.key}
    assert context(**files, key_password=PASSWORD) is not None


@pytest.mark.parametrize("password", ["a wrong one", "", None])
def test_a_key_that_is_not_opened_is_an_error_and_nobody_is_asked_for_a_password(
    encrypted: Files, password: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    load = ssl.SSLContext.load_cert_chain

    def observed(self: ssl.SSLContext, cert: Any, key: Any = None, secret: Any = None) -> None:
        given.append(secret)
        assert secret is not None, "OpenSSL would ask at the terminal"
        load(self, cert, key, secret)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", observed)
    files = {"cert_file": encrypted.cert, "key_file": encrypted.key}
    with pytest.raises(STOMPError) as caught:
        context(**files, key_password=password)
    check_text(caught.value)
    assert len(given) == 1


@pytest.mark.parametrize(
    ("option", "words"),
    [({"check_hostname": False}, "host name"), ({"verify": False}, "broker's certificate")],
)
def test_a_check_that_is_left_out_is_warned_of(option: dict[str, bool], words: str) -> None:
    with pytest.warns(UserWarning, match=words):
        made = context(tls=True, **option)
    assert made is not None
    assert not made.check_hostname
    assert made.verify_mode is (ssl.CERT_NONE if "verify" in option else ssl.CERT_REQUIRED)


# -- spoken --------------------------------------------------------------------------------------


def hello(link: Link) -> None:
    link.accept()
    link.send(message(b"hello"))
    link.serve()


def listening(script: Script = hello, **server: Any) -> Peer:
    """A peer that speaks TLS; `server` is for `server_context`."""
    return Peer(script, wrap=lambda sock: tls_end(sock, **server))


def url(peer: Peer, host: str = "127.0.0.1") -> str:
    return f"stomp+ssl://{host}:{peer.address[1]}"


@contextmanager
def connected(address: Any, **options: Any) -> Iterator[stompy.STOMPClient]:
    """A client that has got through to the script above."""
    with stompy.connect(address, timeout=TIMEOUT, **options) as client:
        assert client.recv(TIMEOUT).Body == b"hello"
        yield client


def refused(peer: Peer, address: Any = None, **options: Any) -> STOMPConnectError:
    with peer, pytest.raises(STOMPConnectError) as caught:
        stompy.connect(address or url(peer), timeout=TIMEOUT, **options)
    check_text(caught.value)
    return caught.value


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_broker_is_trusted_by_the_authority_in_ca_file(files: Files, host: str) -> None:
    with listening() as peer, connected(url(peer, host), ca_file=files.ca) as client:
        assert client.address == f"stomp+ssl://{host}:{peer.address[1]}"


def test_a_pair_and_ca_file_are_tls_too(files: Files) -> None:
    with listening() as peer, connected(peer.address, ca_file=files.ca):
        pass


def test_a_context_of_the_users_own_is_spoken_by() -> None:
    with listening() as peer, connected(peer.address, tls=client_context()):
        pass


def test_a_broker_nobody_vouches_for_is_refused_and_the_error_says_so() -> None:
    peer = listening()
    error = refused(peer, login="me", passcode=PASSWORD)
    assert error.phase == "tls"
    assert "certificate" in error.Message
    assert "unable to get local issuer certificate" in error.Message
    assert "ca_file" in error.hint
    assert peer.refused is not None
    assert peer.frames == [], "something was said to a stranger"


def test_a_list_goes_on_from_a_broker_nobody_vouches_for_to_the_next() -> None:
    with (
        listening() as stranger,
        Peer(hello) as good,
        connected([url(stranger), good.address], passcode=PASSWORD) as client,
    ):
        assert client.BrokerAddress == good.address
    assert stranger.frames == []


def test_a_broker_of_another_name_is_refused_and_the_error_names_both(files: Files) -> None:
    error = refused(listening(host="other.example"), ca_file=files.ca)
    assert error.phase == "tls"
    assert "certificate" in error.Message
    assert "127.0.0.1" in error.Message


def test_without_the_check_of_its_name_a_broker_of_another_name_is_accepted(files: Files) -> None:
    options = {"ca_file": files.ca, "check_hostname": False}
    with (
        listening(host="other.example") as peer,
        pytest.warns(UserWarning, match="host name"),
        connected(url(peer), **options),
    ):
        pass


def test_without_the_check_of_its_name_a_broker_still_needs_a_certificate() -> None:
    with pytest.warns(UserWarning, match="host name"):
        assert refused(listening(), check_hostname=False).phase == "tls"


def test_without_any_check_every_broker_is_accepted() -> None:
    with (
        listening(host="other.example") as peer,
        pytest.warns(UserWarning, match="certificate"),
        connected(url(peer), verify=False),
    ):
        pass


@pytest.mark.parametrize("connect", [stompy.connect, stompy.STOMPClient().connect])
def test_the_warning_points_at_the_line_that_connects(connect: Any) -> None:
    with (
        dead_port() as port,
        pytest.warns(UserWarning, match="certificate") as caught,
        pytest.raises(STOMPConnectError),
    ):
        connect(("127.0.0.1", port), tls=True, verify=False)
    assert [one.filename for one in caught] == [__file__]


def test_a_safe_connection_is_not_warned_of(files: Files) -> None:
    with warnings.catch_warnings(), listening() as peer:
        warnings.simplefilter("error")
        with connected(url(peer), ca_file=files.ca):
            pass


# -- mutual TLS ----------------------------------------------------------------------------------


def test_a_client_shows_its_certificate(files: Files) -> None:
    shown: list[Any] = []

    def script(link: Link) -> None:
        shown.append(link.socket.getpeercert())
        hello(link)

    mine = {"ca_file": files.ca, "cert_file": files.cert, "key_file": files.key}
    with listening(script, mutual=True) as peer, connected(url(peer), **mine):
        pass
    assert ("DNS", "client.example") in shown[0]["subjectAltName"]


def test_a_certificate_and_its_key_may_be_in_one_file(files: Files) -> None:
    files.cert.write_bytes(files.key.read_bytes() + files.cert.read_bytes())
    mine = {"ca_file": files.ca, "cert_file": files.cert}
    with listening(mutual=True) as peer, connected(url(peer), **mine):
        pass


def test_an_encrypted_key_is_opened_by_its_password(encrypted: Files) -> None:
    mine = {"cert_file": encrypted.cert, "key_file": encrypted.key, "key_password": PASSWORD}
    with listening(mutual=True) as peer, connected(url(peer), ca_file=encrypted.ca, **mine):
        pass


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_broker_that_wants_a_certificate_and_gets_none_says_so(
    files: Files, version: ssl.TLSVersion
) -> None:
    def wrap(sock: Any) -> ssl.SSLSocket:
        made = server_context(mutual=True)
        made.maximum_version = version
        return made.wrap_socket(sock, server_side=True)

    error = refused(Peer(hello, wrap=wrap), ca_file=files.ca)
    assert error.phase == "tls"
    assert "certificate" in str(error)


# -- one of the two speaks no TLS ----------------------------------------------------------------


def answers(*octets: bytes, then: Callable[[Link], object] = Link.close) -> Script:
    """Takes the beginning of what comes, answers, and does `then`."""

    def script(link: Link) -> None:
        link.socket.recv(65536)
        link.send(*octets)
        then(link)

    return script


@pytest.mark.parametrize(
    "script",
    [
        answers(raw("ERROR", "message:no such command")),
        answers(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    ],
    ids=["STOMP", "HTTP"],
)
def test_a_broker_that_answers_in_plain_text_is_told_of_as_such(script: Script) -> None:
    error = refused(Peer(script))
    assert error.phase == "tls"
    assert "no TLS with 127.0.0.1" in error.Message.replace("stomp+ssl://", "")
    assert "speaks TLS" in error.hint


@pytest.mark.parametrize("end", [Link.close, Link.reset])
def test_a_broker_that_closes_when_it_hears_tls(end: Callable[[Link], object]) -> None:
    error = refused(Peer(answers(then=end)))
    assert error.phase == "tls"
    assert "TLS" in error.hint


def test_a_broker_that_says_nothing_to_tls_is_given_up_in_time() -> None:
    def script(link: Link) -> None:
        while link.socket.recv(65536):
            pass

    with Peer(script) as peer, pytest.raises(STOMPConnectError, match=r"within 0\.2 s") as caught:
        stompy.connect(url(peer), timeout=0.2)
    assert "TLS" in caught.value.hint


def test_a_client_that_speaks_no_tls_is_told_that_the_broker_does() -> None:
    alert = b"\x15\x03\x03\x00\x02\x02\x46"
    peer = Peer(answers(alert))
    error = refused(peer, peer.address)
    assert "speaks TLS" in error.Message
    assert "tls=True" in error.hint or "stomp+ssl://" in error.hint


def test_a_client_that_speaks_no_tls_where_it_is_a_reset_gets_a_hint_at_tls() -> None:
    peer = listening()  # OpenSSL takes CONNECT for a request to a proxy and says nothing
    assert "TLS" in refused(peer, peer.address).hint
    assert peer.refused is not None


# -- the end -------------------------------------------------------------------------------------


def test_a_broker_that_closes_tls_properly_is_an_end_without_damage(files: Files) -> None:
    def script(link: Link) -> None:
        link.accept()
        link.send(message(b"hello"))
        link.socket.unwrap()  # waits until the client closes too

    with listening(script) as peer, connected(url(peer), ca_file=files.ca) as client:
        assert client.recv(TIMEOUT) is None
        assert str(client.close_reason) == "the broker closed the connection"


def test_a_broker_that_cuts_tls_off_is_an_end_too(files: Files) -> None:
    def script(link: Link) -> None:
        link.accept()
        link.send(message(b"hello"), message(b"cut")[:9])
        link.close()

    with listening(script) as peer, connected(url(peer), ca_file=files.ca) as client:
        assert client.recv(TIMEOUT) is None
        assert str(client.close_reason) == "the broker closed the connection inside a frame"


def test_octets_that_are_no_tls_end_the_connection_with_a_reason(files: Files) -> None:
    def script(link: Link) -> None:
        link.accept()
        link.send(message(b"hello"))
        with socket.socket(fileno=os.dup(link.socket.fileno())) as below:
            below.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))

    with listening(script) as peer, connected(url(peer), ca_file=files.ca) as client:
        assert client.recv(TIMEOUT) is None
        assert "bad record mac" in str(client.close_reason)


def test_the_client_closes_tls_properly(files: Files) -> None:
    ends: list[str] = []

    def script(link: Link) -> None:
        hello(link)
        link.socket.suppress_ragged_eofs = False
        ends.append("closed" if link.socket.recv(1) == b"" else "more")

    with listening(script) as peer, connected(url(peer), ca_file=files.ca):
        pass
    assert ends == ["closed"]


def test_the_library_of_tls_is_loaded_only_when_it_is_needed() -> None:
    code = "import sys, stompy; print('ssl' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("name", [".example", "a" * 64 + ".example", "ex\0ample"])
def test_a_server_hostname_that_cannot_be_one_is_refused(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(STOMPError):
        stompy.connect(listener.getsockname(), tls=True, server_hostname=name, timeout=1)
