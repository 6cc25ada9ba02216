"""What a user may write as an address, brought into one form."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from stompy.errors import STOMPAddressError

DEFAULT_PORT = 61613


class Address(NamedTuple):
    """One broker: where it listens, and what a URL said beyond that.

    `passcode` is left out of every text made from an address.
    """

    host: str
    port: int = DEFAULT_PORT
    login: str | None = None
    passcode: str | None = None
    vhost: str | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __repr__(self) -> str:
        return f"Address({str(self)!r})"

    @property
    def pair(self) -> tuple[str, int]:
        """``(host, port)``, the form that `stompy.connect` takes."""
        return self.host, self.port


def parse_addresses(given: Any) -> list[Address]:
    """The addresses in `given`, in order: one address or a list of them.

    Raises:
        STOMPAddressError: nothing is given, or something that is no address.

    Example:
        >>> parse_addresses([("a.example", 61613), "b.example:61614"])
        [Address('a.example:61613'), Address('b.example:61614')]
    """
    if isinstance(given, list) or (
        isinstance(given, tuple) and not isinstance(given, Address) and not _is_pair(given)
    ):
        addresses = [parse_address(item) for item in given]
    else:
        addresses = [parse_address(given)]
    if not addresses:
        raise STOMPAddressError("no address was given", hint='write ("host", 61613)')
    return addresses


def _is_pair(given: tuple[Any, ...]) -> bool:
    return len(given) == 2 and isinstance(given[0], str) and isinstance(given[1], int)


def parse_address(given: Any) -> Address:
    """One address: ``("host", 61613)``, ``"host:61613"``, ``"host"`` or ``stomp://…``.

    A URL is ``stomp://login:passcode@host:port/vhost``, each part but the host optional.

    Raises:
        STOMPAddressError: it is none of these.

    Example:
        >>> address = parse_address("stomp://me@broker.example/prices")
        >>> address, address.login, address.vhost
        (Address('broker.example:61613'), 'me', 'prices')
    """
    if isinstance(given, Address):
        return given
    if isinstance(given, list | tuple) and len(given) == 2 and isinstance(given[0], str):
        host, port = given
        if not host or not isinstance(port, int) or not 0 < port < 65536:
            raise _no_address(f"({host!r}, {port!r})")
        return Address(host, port)
    if isinstance(given, str) and given.strip():
        return _parse_text(given.strip())
    raise _no_address(repr(given))


def _parse_text(text: str) -> Address:
    scheme, separator, _ = text.partition("://")
    if separator and scheme.lower() != "stomp":
        raise STOMPAddressError(
            f"cannot connect by {scheme.lower()}://: this release connects over plain TCP",
            hint="write stomp://host:port or host:port",
        )
    shown = text.rpartition("@")[2]  # an error must not repeat a passcode
    try:
        url = urlsplit(text if separator else f"stomp://{text}")
        host, port = url.hostname, url.port
    except ValueError:
        raise _no_address(repr(shown)) from None
    if not host or port == 0 or url.query or url.fragment or any(c.isspace() for c in text):
        raise _no_address(repr(shown))
    return Address(
        host,
        DEFAULT_PORT if port is None else port,
        login=unquote(url.username) if url.username else None,
        passcode=unquote(url.password) if url.password else None,
        vhost=unquote(url.path[1:]) or None,
    )


def _no_address(shown: str) -> STOMPAddressError:
    return STOMPAddressError(
        f"{shown} is no address",
        hint='write host:port, stomp://login@host:port/vhost, or ("host", port) in Python',
    )
