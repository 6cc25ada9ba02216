"""What a user may write as an address, brought into one form."""

from __future__ import annotations

import re
import socket
from typing import Any, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from stompy.errors import STOMPAddressError

PORTS = {"stomp": 61613, "stomp+ssl": 61614, "ws": 80, "wss": 443}
"""The schemes that have a host, and their usual ports."""

UNIX = "stomp+unix"

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_SPACE = re.compile(r"\s")
_HOST = re.compile(r"[^\s/@\x00-\x1f]+")


class Address(NamedTuple):
    """One broker: where it listens, and what a URL said beyond that.

    `passcode` is left out of every text made from an address.
    """

    host: str
    port: int = PORTS["stomp"]
    login: str | None = None
    passcode: str | None = None
    vhost: str | None = None
    scheme: str = "stomp"
    path: str = ""
    """The path of a WebSocket's URL, or of a Unix socket."""
    sock: socket.socket | None = None
    """A socket that is connected already."""

    def __str__(self) -> str:
        if self.scheme == UNIX:
            return f"{UNIX}://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        place = f"{host}:{self.port}{self.path.partition('?')[0]}"  # a query may hold a token
        return place if self.scheme == "stomp" else f"{self.scheme}://{place}"

    def __repr__(self) -> str:
        return f"Address({str(self)!r})"

    @property
    def tls(self) -> bool:
        """Whether the scheme asks for TLS."""
        return self.scheme in ("stomp+ssl", "wss")

    @property
    def websocket(self) -> bool:
        """Whether the scheme asks for a WebSocket."""
        return self.scheme in ("ws", "wss")

    @property
    def pair(self) -> tuple[str, int] | str:
        """``(host, port)``, or the path of a Unix socket: what `STOMPClient.BrokerAddress` is."""
        return self.path if self.scheme == UNIX else (self.host, self.port)


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
    """One address: ``("host", 61613)``, ``"host:61613"``, ``"host"`` or a URL.

    URLs, each part but the host or the path of a Unix socket optional:

    - ``stomp://login:passcode@host:port/vhost``, and ``stomp+ssl://…`` with TLS,
    - ``ws://login:passcode@host:port/path``, and ``wss://…`` with TLS,
    - ``stomp+unix:///path/of/socket``.

    It may also be a connected `socket.socket`, which the client then owns.

    Raises:
        STOMPAddressError: it is none of these.

    Example:
        >>> address = parse_address("stomp://me@broker.example/prices")
        >>> address, address.login, address.vhost
        (Address('broker.example:61613'), 'me', 'prices')
    """
    if isinstance(given, Address):
        return given
    if isinstance(given, socket.socket):
        return _of_socket(given)
    if isinstance(given, list | tuple) and len(given) == 2 and isinstance(given[0], str):
        host, port = given
        if not _HOST.fullmatch(host) or type(port) is not int or not 0 < port < 65536:
            raise _no_address(f"({_without_credentials(host)!r}, {port!r})")
        return Address(host, port)
    if isinstance(given, str) and given.strip():
        return _parse_text(given.strip())
    raise _no_address(repr(given) if isinstance(given, str) else f"a {type(given).__name__}")


def _of_socket(sock: socket.socket) -> Address:
    if hasattr(sock, "do_handshake"):
        raise STOMPAddressError(
            "a TLS socket cannot be shared by threads",
            hint="give the plain socket, and tls=True or an SSLContext",
        )
    if sock.type != socket.SOCK_STREAM:
        raise STOMPAddressError("a socket that is no stream", hint="give a connected TCP socket")
    try:
        peer = sock.getpeername()
    except OSError as error:
        raise STOMPAddressError(f"a socket that is not connected: {error.strerror}") from error
    if isinstance(peer, tuple):
        return Address(peer[0], peer[1], sock=sock)
    return Address("localhost", scheme=UNIX, path=str(peer), sock=sock)


def _parse_text(text: str) -> Address:
    scheme, separator, rest = text.partition("://")
    if not separator:
        return _parse_url("stomp", text, text)
    scheme = scheme.lower()
    if scheme == UNIX and rest.startswith("/") and "\0" not in rest:
        return Address("localhost", scheme=UNIX, path=rest)
    if scheme in PORTS:
        return _parse_url(scheme, rest, text)
    if _SCHEME.fullmatch(scheme):
        raise STOMPAddressError(
            f"cannot connect by {scheme}://",
            hint=f"write one of {', '.join(f'{known}://' for known in [*PORTS, UNIX])}",
        )
    raise _no_address(repr(_without_credentials(text)))


def _parse_url(scheme: str, rest: str, text: str) -> Address:
    try:
        # Always as http, since urlsplit treats schemes that it does not know in other ways.
        url = urlsplit(f"http://{rest}")
        host, port = url.hostname, url.port
    except ValueError:
        raise _no_address(repr(_without_credentials(text))) from None
    websocket = scheme in ("ws", "wss")
    if host is None or not _is_right(url, host, websocket) or _SPACE.search(text):
        raise _no_address(repr(_without_credentials(text)))
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    return Address(
        host,
        PORTS[scheme] if port is None else port,
        login=unquote(url.username) if url.username else None,
        passcode=unquote(url.password) if url.password else None,
        vhost=None if websocket else unquote(url.path[1:]) or None,
        scheme=scheme,
        path=path if websocket else "",
    )


def _is_right(url: SplitResult, host: str, websocket: bool) -> bool:
    """Whether the parts of a URL are such as an address can have."""
    if not _HOST.fullmatch(host) or url.port == 0 or url.fragment:
        return False
    return websocket or not (url.query or "@" in url.path)


def _without_credentials(text: str) -> str:
    """What an error may repeat of an address that was not understood: it may hold a passcode."""
    return text.rpartition("@")[2]


def _no_address(shown: str) -> STOMPAddressError:
    return STOMPAddressError(
        f"{shown} is no address",
        hint='write host:port, stomp://login@host:port/vhost, or ("host", port) in Python',
    )
