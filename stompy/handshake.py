"""From an address to a session: open the stream, send CONNECT, judge what comes back."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from stompy import heartbeat, wire
from stompy.address import UNIX
from stompy.connection import Connection
from stompy.errors import STOMPConnectError, STOMPError, STOMPTimeout, error_text
from stompy.trace import Tape, Trace, TracedTransport
from stompy.transport import SocketTransport, TLSTransport, Transport, open_tcp, open_unix

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence

    from stompy.address import Address
    from stompy.frame import STOMPFrame

_USUAL_PORT = "check the port: STOMP is usually on 61613"
_NO_STOMP_PORT = "check whether it is a STOMP port, with or without TLS: STOMP is usually on 61613"


class Terms(NamedTuple):
    """What a connection is to be like.

    Attributes:
        versions: the protocol versions to offer.
        limit: seconds for all phases together.
        heart_beat: how often we can send and how often we want to hear, in milliseconds; 0 never.
        context: for TLS; None for a stream without it.
        server_hostname: whom the certificate has to name; None for the address's host.
        ws_headers: more headers of the HTTP request that opens a WebSocket.
        max_body, max_headers, max_header_line: the decoder's limits.
        trace: whom to tell of each frame; None for nobody, which costs nothing.
    """

    versions: Sequence[str]
    limit: float
    heart_beat: tuple[int, int] = (0, 0)
    context: ssl.SSLContext | None = None
    server_hostname: str | None = None
    ws_headers: Mapping[str, str] = {}
    max_body: int = wire.MAX_BODY
    max_headers: int = wire.MAX_HEADERS
    max_header_line: int = wire.MAX_HEADER_LINE
    trace: Trace | Tape | None = None

    def decoder(self) -> wire.FrameDecoder:
        """A decoder with these limits."""
        limits: dict[str, Any] = {
            "max_body": self.max_body,
            "max_headers": self.max_headers,
            "max_header_line": self.max_header_line,
        }
        if self.trace is not None:
            return self.trace.decoder(**limits)
        return wire.FrameDecoder(**limits)


def connect_one(
    address: Address, headers: Mapping[str, str], terms: Terms
) -> tuple[STOMPFrame, Connection]:
    """Connect to one address (STOMP 1.2, "Connecting").

    Returns:
        The CONNECTED frame and the connection.

    Raises:
        STOMPConnectError: with the phase that failed, the reason, and what to try.
        STOMPProtocolError: a header cannot be written in a CONNECT frame.
    """
    greeting = wire.encode("CONNECT", headers)
    deadline = time.monotonic() + terms.limit
    decoder = terms.decoder()
    transport: Transport = (raw := _open(address, terms, deadline))
    try:
        transport = _secure(raw, address, terms, deadline)
        if terms.trace is not None:
            transport = TracedTransport(transport, terms.trace, decoder)
        with contextlib.suppress(ConnectionError):  # what the peer said before it broke off is next
            transport.send(greeting, deadline)
        return _await_connected(transport, decoder, address, terms, deadline)
    except STOMPTimeout as error:
        transport.close()
        _fail(
            f"{address} accepted the connection, but sent no CONNECTED within {terms.limit:g} s",
            _NO_STOMP_PORT,
            address,
            cause=error,
        )
    except STOMPError as error:
        transport.close()
        if isinstance(error, STOMPConnectError):
            raise
        message = f"no STOMP session with {address}: {error.Message}"
        _fail(message, error.hint or _USUAL_PORT, address, cause=error)
    except OSError as error:
        transport.close()
        if terms.context is not None:
            _fail_tls(error, address)
        reason = error.strerror or error
        _fail(f"{address} broke the connection off: {reason}", _NO_STOMP_PORT, address, cause=error)
    except BaseException:
        transport.close()
        raise


def _open(address: Address, terms: Terms, deadline: float) -> SocketTransport:
    """The operating system's part: a connected socket."""
    if address.sock is not None:
        return SocketTransport(address.sock)
    try:
        if address.scheme == UNIX:
            return open_unix(address.path, deadline)
        return open_tcp(address.host, address.port, deadline)
    except socket.gaierror as error:
        hint = "check the spelling of the host"
        _fail(f"the host {address.host!r} is not known", hint, address, "resolve", error)
    except STOMPTimeout as error:
        message = f"{address} did not answer within {terms.limit:g} s"
        hint = "check the host and the port; a firewall may swallow the connection"
        _fail(message, hint, address, "connect", error)
    except ConnectionRefusedError as error:
        hint = "start the broker, or " + _USUAL_PORT
        _fail(f"nothing listens at {address} (connection refused)", hint, address, "connect", error)
    except OSError as error:
        reason = error.strerror or error
        hint = "check the address and the network"
        _fail(f"cannot connect to {address}: {reason}", hint, address, "connect", error)


def _secure(raw: SocketTransport, address: Address, terms: Terms, deadline: float) -> Transport:
    """TLS and WebSocket on top of the socket, where they are wanted."""
    transport: Transport = raw
    if terms.context is not None:
        host = terms.server_hostname or address.host
        transport = _start_tls(raw, terms.context, host, address, deadline)
    if not address.websocket:
        return transport
    from stompy.websocket import WebSocketTransport  # needs a library of the extra `ws`

    host = f"[{address.host}]" if ":" in address.host else address.host
    uri = f"{address.scheme}://{host}:{address.port}{address.path}"
    most = terms.max_body + 2 * wire.MAX_HEAD
    return WebSocketTransport.open(transport, uri, terms.versions, terms.ws_headers, deadline, most)


def _start_tls(
    raw: SocketTransport, context: ssl.SSLContext, host: str, address: Address, deadline: float
) -> Transport:
    import ssl

    try:
        transport = TLSTransport(raw, context, host)
    except (TypeError, ValueError) as error:
        _fail(
            f"{host!r} is no host name that a certificate can have",
            "check server_hostname, or the host of the address",
            address,
            "tls",
            error,
        )
    try:
        transport.handshake(deadline)
    except ssl.SSLCertVerificationError as error:
        _fail(
            f"the certificate of {address} is not accepted: {error.verify_message}",
            "name its authority by ca_file=…, or by server_hostname=… the host that it names",
            address,
            "tls",
            error,
        )
    except STOMPTimeout:
        raise
    except OSError as error:  # ssl.SSLError is one
        _fail_tls(error, address)
    return transport


def _fail_tls(error: OSError, address: Address) -> NoReturn:
    """Also behind our handshake: TLS 1.3 refuses a client's certificate only then."""
    reason = getattr(error, "reason", None) or error.strerror or str(error)
    hint = "check whether the port speaks TLS, and whether it wants a client certificate"
    text = reason.replace("_", " ").lower()
    _fail(f"no TLS with {address}: {text}", hint, address, "tls", error)


def _await_connected(
    transport: Transport,
    decoder: wire.FrameDecoder,
    address: Address,
    terms: Terms,
    deadline: float,
) -> tuple[STOMPFrame, Connection]:
    beginning = b""
    while True:
        data = transport.recv(deadline)
        if not data:
            _fail(
                f"{address} closed the connection without an answer to CONNECT",
                _NO_STOMP_PORT,
                address,
            )
        beginning = (beginning + data)[:256]
        spoken = wire.other_protocol(beginning)
        if spoken:
            hint = "connect by stomp+ssl://, or with tls=True" if spoken == "TLS" else _USUAL_PORT
            _fail(f"{address} speaks {spoken}, not STOMP", hint, address)
        decoder.feed(data)
        frames = decoder.frames()
        first = next(frames, None)
        frames.close()  # what comes behind CONNECTED is the connection's to decode
        if first is not None:
            connected = _judge(first, address, terms.versions)
            intervals = heartbeat.agree(terms.heart_beat, connected.get("heart-beat"))
            beat = heartbeat.HeartBeat(*intervals, now=time.monotonic())
            return connected, Connection(transport, decoder, beat)
        if time.monotonic() > deadline:  # heart-beats do not put it off
            raise STOMPTimeout("no frame came in time")


def _judge(frame: STOMPFrame, address: Address, versions: Sequence[str]) -> STOMPFrame:
    """The first frame, if it is CONNECTED with a version that was offered."""
    if frame.Command == "ERROR":
        hint = "check login, passcode and vhost"
        _fail(f"{address} refused the session: {error_text(frame)}", hint, address, frame=frame)
    if frame.Command != "CONNECTED":
        _fail(f"{address} answered CONNECT with {frame.Command}", _USUAL_PORT, address, frame=frame)
    version = frame.get("version", "1.0")
    if version not in versions:
        message = f"{address} chose STOMP {version}; offered were {', '.join(versions)}"
        _fail(message, "offer the broker's version: versions=(…)", address, frame=frame)
    return frame


def _fail(
    message: str,
    hint: str,
    address: Address,
    phase: str = "handshake",
    cause: Exception | None = None,
    frame: STOMPFrame | None = None,
) -> NoReturn:
    raise STOMPConnectError(message, frame, hint=hint, phase=phase, address=str(address)) from cause
