"""What a user may write as an address, brought into one form."""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from stompy.errors import STOMPAddressError

DEFAULT_PORT = 61613

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_SPACE = re.compile(r"\s")
_HOST = re.compile(r"[^\s/@\x00-\x1f]+")


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
    if isinstance(given, list) or (isinstance(given, tuple) and not _is_one(given)):
        addresses = [parse_address(item) for item in given]
    else:
        addresses = [parse_address(given)]
    if not addresses:
        raise STOMPAddressError("no address was given", hint='write ("host", 61613)')
    return addresses


def _is_one(given: tuple[Any, ...]) -> bool:
    """Whether a tuple is a host and a port, right or wrong, rather than several addresses."""
    if isinstance(given, Address):
        return True
    if len(given) != 2 or isinstance(given[1], tuple | list):
        return False
    return not isinstance(given[1], str) or given[1].isdigit()


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
        if not _HOST.fullmatch(host) or type(port) is not int or not 0 < port < 65536:
            raise _no_address(f"({_without_credentials(host)!r}, {port!r})")
        return Address(host, port)
    if isinstance(given, str) and given.strip():
        return _parse_text(given.strip())
    raise _no_address(repr(given) if isinstance(given, str) else f"a {type(given).__name__}")


def _parse_text(text: str) -> Address:
    scheme, separator, _ = text.partition("://")
    if separator and _SCHEME.fullmatch(scheme) and scheme.lower() != "stomp":
        raise STOMPAddressError(
            f"cannot connect by {scheme.lower()}://: this release connects over plain TCP",
            hint="write stomp://host:port or host:port",
        )
    try:
        url = urlsplit(text if separator else f"stomp://{text}")
        host, port = url.hostname, url.port
    except ValueError:
        raise _no_address(repr(_without_credentials(text))) from None
    further = url.query or url.fragment or "@" in url.path or url.scheme != "stomp"
    if not _HOST.fullmatch(host or "") or port == 0 or further or _SPACE.search(text):
        raise _no_address(repr(_without_credentials(text)))
    assert host is not None
    return Address(
        host,
        DEFAULT_PORT if port is None else port,
        login=unquote(url.username) if url.username else None,
        passcode=unquote(url.password) if url.password else None,
        vhost=unquote(url.path[1:]) or None,
    )


def _without_credentials(text: str) -> str:
    """What an error may repeat of an address that was not understood: it may hold a passcode."""
    return text.rpartition("@")[2]


def _no_address(shown: str) -> STOMPAddressError:
    return STOMPAddressError(
        f"{shown} is no address",
        hint='write host:port, stomp://login@host:port/vhost, or ("host", port) in Python',
    )
