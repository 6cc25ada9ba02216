"""Whom to connect to and how, in a form that can be done again: addresses, credentials, terms."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from stompy import wire
from stompy.compose import header_texts
from stompy.errors import STOMPConnectError, STOMPError, STOMPTimeout
from stompy.handshake import Terms, connect_one

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stompy.address import Address
    from stompy.connection import Connection
    from stompy.frame import STOMPFrame
    from stompy.tls import TLSOptions


_log = logging.getLogger(__name__)


class Session(NamedTuple):
    """A connection that has come about, and what is known of it."""

    connected: STOMPFrame
    connection: Connection
    address: Address
    client_id: str | None


class _Masked(dict[str, str]):
    """The headers of CONNECT: a traceback that shows the values of variables has no passcode."""

    def __repr__(self) -> str:
        return repr({name: "***" if name == "passcode" else self[name] for name in self})


class Connector:
    """Connects to the first of several addresses that answers, as often as asked.

    Args:
        addresses: in the order in which they are tried.
        login, passcode, vhost: what CONNECT says; what a URL says where one is None.
        headers: more headers of CONNECT.
        terms: what the connection is to be like; its ``context`` is made for each address.
        tls: what was said about TLS.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        login: str | None,
        passcode: str | None,
        vhost: str | None,
        headers: Mapping[str, Any],
        terms: Terms,
        tls: TLSOptions,
    ) -> None:
        self.addresses = addresses
        self._login = login
        self._passcode = passcode
        self._vhost = vhost
        self._headers = headers
        self._terms = terms
        self._escapes = False
        # What is wrong with the arguments is said at once, and not by one of several addresses.
        self._contexts = [tls.context(address.tls) for address in addresses]

    def connect(self) -> Session:
        """Try the addresses in order.

        Raises:
            STOMPConnectError: none gave CONNECTED; the error says of each what happened.
        """
        failures: list[STOMPConnectError] = []
        for address, context in zip(self.addresses, self._contexts, strict=True):
            headers = _Masked(header_texts(self._connect_headers(address)))
            terms = self._terms._replace(context=context)
            try:
                connected, connection = self._connect_by_either_rule(address, headers, terms)
            except STOMPConnectError as error:
                _log.info("%s", error.Message)
                failures.append(error)
            else:
                version, server = connected.get("version", "1.0"), connected.get("server", "")
                _log.info("connected to %s by STOMP %s, server %r", address, version, server)
                return Session(connected, connection, address, headers.get("client-id"))
        raise _all_failed(failures)

    def _connect_by_either_rule(
        self, address: Address, headers: Mapping[str, str], terms: Terms
    ) -> tuple[STOMPFrame, Connection]:
        """`connect_one`, for both ways in which brokers read a backslash in CONNECT.

        The specification has no escapes there (STOMP 1.2, "Value Encoding"), and Artemis and
        Spring read it so; RabbitMQ and ActiveMQ take escapes all the same. Who it is shows only in
        CONNECTED. So a session that is refused, or broken off, when there is a backslash is asked
        for once more, by the other rule; the one that worked comes first the next time.
        """
        escaped = _Masked({n: text.replace("\\", "\\\\") for n, text in headers.items()})
        first, second = (escaped, headers) if self._escapes else (headers, escaped)
        try:
            return connect_one(address, first, terms)
        except STOMPConnectError as error:
            answered = error.phase == "handshake" and not isinstance(error.__cause__, STOMPTimeout)
            if not answered or escaped == headers or address.sock is not None:
                raise
        outcome = connect_one(address, second, terms)
        self._escapes = not self._escapes
        return outcome

    def _connect_headers(self, address: Address) -> dict[str, Any]:
        return {
            "accept-version": ",".join(sorted(self._terms.versions)),
            "host": self._vhost or address.vhost or "/",
            "heart-beat": "{},{}".format(*self._terms.heart_beat),
            "login": self._login if self._login is not None else address.login,
            "passcode": self._passcode if self._passcode is not None else address.passcode,
            **self._headers,
        }


_NOT_AMONG_HEADERS = {
    "heart-beat": "heart_beat=(send_ms, want_ms)",
    "accept-version": "versions=(…)",
    "content-length": "CONNECT has no body",
    "receipt": "CONNECT is answered by CONNECTED",
}
"""Headers of CONNECT that are said in another way, or not at all; and how."""


def _fits_http(text: object) -> bool:
    return isinstance(text, str) and text.isascii() and text.isprintable()


def check_terms(
    versions: tuple[str, ...],
    heart_beat: tuple[int, int],
    headers: Mapping[str, Any],
    ws_headers: Mapping[str, str] = {},
) -> tuple[int, int]:
    """Refuse what cannot be meant; returns the heart-beats, as whole milliseconds.

    Raises:
        STOMPError: with what is wrong, and how to say it right.
    """
    for name, hint in _NOT_AMONG_HEADERS.items():
        if name in headers:
            raise STOMPError(f"{name!r} among the headers of CONNECT", hint=hint)
    for name, value in ws_headers.items():
        if not all(map(_fits_http, (name, value))):
            # The value is not shown: it is often a token.
            raise STOMPError(f"HTTP cannot carry the header {name!r}", hint="look for line ends")
    if not versions or set(versions) - set(wire.VERSIONS):
        raise STOMPError(
            f"cannot offer the versions {versions!r}",
            hint=f"choose among {', '.join(wire.VERSIONS)}",
        )
    try:
        send, want = map(int, heart_beat)
        if min(send, want) < 0:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise STOMPError(
            f"heart_beat={heart_beat!r}", hint="write (send_ms, want_ms), 0 for never"
        ) from None
    return send, want


def _all_failed(failures: list[STOMPConnectError]) -> STOMPConnectError:
    if len(failures) == 1:
        return failures[0]
    last = failures[-1]
    reasons = "; ".join(failure.Message for failure in failures)
    return STOMPConnectError(
        f"none of {len(failures)} addresses: {reasons}",
        last.Frame,
        hint=last.hint,
        phase=last.phase,
        address=last.address,
        attempts=failures,
    )
