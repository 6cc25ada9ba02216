"""What a user may write as an address."""

import socket
import ssl
from typing import Any

import pytest

from stompy.address import Address, parse_address, parse_addresses
from stompy.errors import STOMPAddressError

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("given", "pair"),
    [
        (("broker.example", 61614), ("broker.example", 61614)),
        (["broker.example", 61614], ("broker.example", 61614)),
        ("broker.example", ("broker.example", 61613)),
        ("broker.example:61614", ("broker.example", 61614)),
        (" broker.example:61614\n", ("broker.example", 61614)),
        ("192.0.2.1:1", ("192.0.2.1", 1)),
        ("[2001:db8::1]:61614", ("2001:db8::1", 61614)),
        ("[2001:db8::1]", ("2001:db8::1", 61613)),
        (("2001:db8::1", 61614), ("2001:db8::1", 61614)),
        ("stomp://broker.example", ("broker.example", 61613)),
        ("STOMP://Broker.Example:65535", ("broker.example", 65535)),
        (Address("broker.example", 7), ("broker.example", 7)),
    ],
)
def test_an_address_is_a_pair_a_text_or_a_url(given: Any, pair: tuple[str, int]) -> None:
    assert parse_address(given).pair == pair


def test_a_url_may_name_login_passcode_and_vhost() -> None:
    address = parse_address("stomp://me:s3cret@broker.example:61614/prices")
    assert address == Address("broker.example", 61614, "me", SECRET, "prices")


def test_what_a_url_does_not_name_is_none() -> None:
    address = parse_address("stomp://broker.example/")
    assert (address.login, address.passcode, address.vhost) == (None, None, None)


def test_the_parts_of_a_url_are_percent_decoded() -> None:
    address = parse_address("stomp://m%40e:p%2Fw%3A@broker.example/%2Fa%2Fb")
    assert (address.login, address.passcode, address.vhost) == ("m@e", "p/w:", "/a/b")


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "  ",
        ":61613",
        "broker.example:0",
        "broker.example:65536",
        "broker.example:-1",
        "broker.example:port",
        "broker.example: 61613",
        "two words",
        "::1",
        "[::1",
        "stomp://",
        "stomp://broker.example?x=1",
        "stomp://broker.example#x",
        ("", 61613),
        ("broker.example", 0),
        ("broker.example", 65536),
        ("broker.example", 61613.0),
        ("broker.example", True),
        ("localhost\0.example", 61613),
        "localhost\0.example:61613",
        ("broker.example", None),
        (b"broker.example", 61613),
        ("broker.example", 61613, "more"),
        61613,
        {"host": "broker.example"},
    ],
)
def test_what_is_no_address_is_an_address_error_with_a_hint(given: Any) -> None:
    with pytest.raises(STOMPAddressError, match="Try: write"):
        parse_address(given)


@pytest.mark.parametrize("scheme", ["http", "tcp", "stomp+tcp"])
def test_a_url_of_another_scheme_is_an_error_that_names_it_and_the_known_ones(scheme: str) -> None:
    with pytest.raises(STOMPAddressError) as caught:
        parse_address(f"{scheme}://broker.example")
    assert f"by {scheme}://" in caught.value.Message
    for known in ("stomp://", "stomp+ssl://", "ws://", "wss://", "stomp+unix://"):
        assert known in caught.value.hint


# -- by TLS, by WebSocket, by a Unix socket ------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "port", "tls", "websocket"),
    [
        ("stomp://broker.example", 61613, False, False),
        ("stomp+ssl://broker.example", 61614, True, False),
        ("STOMP+SSL://broker.example:7", 7, True, False),
        ("ws://broker.example", 80, False, True),
        ("wss://broker.example", 443, True, True),
        ("wss://broker.example:15673/ws", 15673, True, True),
    ],
)
def test_the_scheme_says_what_is_spoken_and_has_its_usual_port(
    url: str, port: int, tls: bool, websocket: bool
) -> None:
    address = parse_address(url)
    assert address.pair == ("broker.example", port)
    assert (address.tls, address.websocket) == (tls, websocket)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("ws://broker.example", "/"),
        ("ws://broker.example/", "/"),
        ("ws://broker.example/ws", "/ws"),
        ("ws://broker.example/a/b%20c?key=v%26&x=1", "/a/b%20c?key=v%26&x=1"),
        ("ws://broker.example?key=1", "/?key=1"),
    ],
)
def test_what_follows_the_host_of_a_websocket_is_its_path_as_it_stands(url: str, path: str) -> None:
    address = parse_address(url)
    assert (address.path, address.vhost) == (path, None)


def test_the_url_of_a_websocket_may_name_login_and_passcode() -> None:
    address = parse_address(f"wss://me:{SECRET}@broker.example/ws")
    assert (address.login, address.passcode) == ("me", SECRET)
    assert SECRET not in f"{address} {address!r}"


@pytest.mark.parametrize("url", ["stomp+unix:///run/a b/@stomp?#.sock", "STOMP+UNIX:///x"])
def test_the_path_of_a_unix_socket_is_everything_behind_the_scheme(url: str) -> None:
    address = parse_address(url)
    assert address.pair == address.path == url[len("stomp+unix://") :]
    assert str(address) == url.replace("STOMP+UNIX", "stomp+unix")
    assert (address.tls, address.websocket, address.vhost) == (False, False, None)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("stomp://broker.example/vhost", "broker.example:61613"),
        ("stomp+ssl://broker.example", "stomp+ssl://broker.example:61614"),
        ("ws://broker.example/ws", "ws://broker.example:80/ws"),
        ("wss://[2001:db8::1]:1/ws", "wss://[2001:db8::1]:1/ws"),
        (f"ws://broker.example/ws?token={SECRET}", "ws://broker.example:80/ws"),
    ],
)
def test_the_text_of_an_address_names_its_scheme_and_no_query(url: str, text: str) -> None:
    assert str(parse_address(url)) == text


@pytest.mark.parametrize(
    "url",
    [
        "stomp+ssl://",
        "ws:///ws",
        "ws://broker.example:0/ws",
        "ws://broker.example/a b",
        "ws://broker.example/ws#x",
        "stomp+ssl://broker.example?x=1",
        "stomp+unix://",
        "stomp+unix://run/stomp.sock",
        "stomp+unix:///a\0b",
    ],
)
def test_a_url_without_a_place_or_with_too_much_is_an_address_error(url: str) -> None:
    with pytest.raises(STOMPAddressError):
        parse_address(url)


# -- a connected socket --------------------------------------------------------------------------


def test_a_connected_socket_is_an_address_that_knows_its_peer() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as sock,
    ):
        address = parse_address(sock)
        assert address.sock is sock
        assert address.pair == listener.getsockname()


def test_a_socket_that_is_not_connected_is_refused() -> None:
    with socket.socket() as sock, pytest.raises(STOMPAddressError, match="not connected"):
        parse_address(sock)


def test_a_tls_socket_is_refused_with_what_to_do_instead() -> None:
    ours, theirs = socket.socketpair()
    context = ssl.create_default_context()
    with (
        theirs,
        context.wrap_socket(
            ours, server_hostname="broker.example", do_handshake_on_connect=False
        ) as wrapped,
        pytest.raises(STOMPAddressError, match="tls=True"),
    ):
        parse_address(wrapped)


def test_a_socket_of_datagrams_is_refused() -> None:
    with (
        socket.socket(type=socket.SOCK_DGRAM) as other,
        socket.socket(type=socket.SOCK_DGRAM) as sock,
    ):
        other.bind(("127.0.0.1", 0))
        sock.connect(other.getsockname())
        with pytest.raises(STOMPAddressError):
            parse_address(sock)


# -- several addresses ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        [("a.example", 1), ("b.example", 2)],
        (("a.example", 1), ("b.example", 2)),
        ["a.example:1", "stomp://b.example:2"],
        ("a.example:1", "b.example:2"),
    ],
)
def test_several_addresses_keep_their_order(given: Any) -> None:
    assert [address.pair for address in parse_addresses(given)] == [
        ("a.example", 1),
        ("b.example", 2),
    ]


@pytest.mark.parametrize("given", [("a.example", 1), [("a.example", 1)], "a.example:1"])
def test_one_address_need_not_be_a_list(given: Any) -> None:
    assert [address.pair for address in parse_addresses(given)] == [("a.example", 1)]


@pytest.mark.parametrize("given", [[], ()])
def test_no_address_at_all_is_an_address_error(given: Any) -> None:
    with pytest.raises(STOMPAddressError, match="no address was given"):
        parse_addresses(given)


@pytest.mark.parametrize("given", [("a.example", 0), ("a.example", "61614")])
def test_a_pair_with_a_port_that_is_none_is_not_taken_for_two_hosts(given: Any) -> None:
    with pytest.raises(STOMPAddressError):
        parse_addresses(given)


def test_the_text_of_an_address_is_host_and_port() -> None:
    assert str(Address("a.example", 1)) == "a.example:1"
    assert str(Address("::1", 1)) == "[::1]:1"


def test_the_text_of_an_address_holds_no_passcode() -> None:
    address = parse_address(f"stomp://me:{SECRET}@broker.example")
    assert address.passcode == SECRET
    assert SECRET not in f"{address} {address!r} {[address]}"


@pytest.mark.parametrize(
    "given",
    [
        f"stomp://me:{SECRET}@broker.example:99999",
        f"stomp://me:{SECRET}@broker.example?x=1",
        f"stomp://me:{SECRET}@broker.example#x",
        f"stomp://me:{SECRET}/@broker.example",
        f"stomp://me:{SECRET}#@broker.example",
        f"stomp://me:{SECRET}@[::1",
        f"stomp+ssl://me:{SECRET}@broker.example:99999",
        f"wss://me:{SECRET}@broker.example/ws#x",
        f"tcp://me:{SECRET}@broker.example",
        f"me:{SECRET}://@broker.example",
        f"me:1/{SECRET}@broker.example",
        (f"stomp://me:{SECRET}@broker.example", 61613),
        (f"stomp://me:{SECRET}@broker.example", 0),
        f"stomp://me:{SECRET}@broker.example".encode(),
        {"host": "broker.example", "passcode": SECRET},
    ],
    ids=str,
)
def test_a_broken_address_is_refused_without_repeating_its_passcode(given: Any) -> None:
    with pytest.raises(STOMPAddressError) as caught:
        parse_addresses(given)
    assert SECRET not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
