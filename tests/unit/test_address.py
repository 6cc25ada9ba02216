"""What a user may write as an address."""

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
    assert address._asdict() == {
        "host": "broker.example",
        "port": 61614,
        "login": "me",
        "passcode": SECRET,
        "vhost": "prices",
    }


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


@pytest.mark.parametrize("scheme", ["http", "tcp", "stomp+ssl", "wss"])
def test_a_url_of_another_scheme_is_an_error_that_names_it(scheme: str) -> None:
    with pytest.raises(STOMPAddressError, match=f"by {scheme}://".replace("+", r"\+")):
        parse_address(f"{scheme}://broker.example")


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
