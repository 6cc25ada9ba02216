"""From an address to a session: open the connection, send CONNECT, judge what comes back."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, NoReturn

from stompy import wire
from stompy.connection import Connection
from stompy.errors import STOMPConnectError, STOMPError, STOMPTimeout, error_text
from stompy.transport import SocketTransport, open_tcp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stompy.address import Address
    from stompy.frame import STOMPFrame

_USUAL_PORT = "check the port: STOMP is usually on 61613"
_NO_STOMP_PORT = "check whether it is a STOMP port, without TLS: STOMP is usually on 61613"


def connect_one(
    address: Address, headers: Mapping[str, str], versions: Sequence[str], limit: float
) -> tuple[STOMPFrame, Connection]:
    """Connect to one address within `limit` seconds (STOMP 1.2, "Connecting").

    Returns:
        The CONNECTED frame and the connection.

    Raises:
        STOMPConnectError: with the phase that failed, the reason, and what to try.
        STOMPProtocolError: a header cannot be written in a CONNECT frame.
    """
    greeting = wire.encode("CONNECT", headers)
    deadline = time.monotonic() + limit
    transport = _open(address, deadline, limit)
    try:
        transport.send(greeting, deadline)
        return _await_connected(transport, address, versions, deadline)
    except STOMPTimeout as error:
        transport.close()
        _fail(
            f"{address} accepted the connection, but sent no CONNECTED within {limit:g} s",
            _NO_STOMP_PORT,
            address,
            cause=error,
        )
    except STOMPError as error:
        transport.close()
        if isinstance(error, STOMPConnectError):
            raise
        message = f"no STOMP session with {address}: {error.Message}"
        _fail(message, _USUAL_PORT, address, cause=error)
    except OSError as error:
        transport.close()
        reason = error.strerror or error
        _fail(f"{address} broke the connection off: {reason}", _USUAL_PORT, address, cause=error)
    except BaseException:
        transport.close()
        raise


def _open(address: Address, deadline: float, limit: float) -> SocketTransport:
    try:
        return open_tcp(address.host, address.port, deadline)
    except socket.gaierror as error:
        hint = "check the spelling of the host"
        _fail(f"the host {address.host!r} is not known", hint, address, "resolve", error)
    except STOMPTimeout as error:
        hint = "check the host and the port; a firewall may swallow the connection"
        _fail(f"{address} did not answer within {limit:g} s", hint, address, "connect", error)
    except ConnectionRefusedError as error:
        hint = "start the broker, or " + _USUAL_PORT
        _fail(f"nothing listens at {address} (connection refused)", hint, address, "connect", error)
    except OSError as error:
        reason = error.strerror or error
        hint = "check the host, the port and the network"
        _fail(f"cannot connect to {address}: {reason}", hint, address, "connect", error)


def _await_connected(
    transport: SocketTransport, address: Address, versions: Sequence[str], deadline: float
) -> tuple[STOMPFrame, Connection]:
    decoder = wire.FrameDecoder()
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
            _fail(f"{address} speaks {spoken}, not STOMP", _USUAL_PORT, address)
        decoder.feed(data)
        frames = decoder.frames()
        first = next(frames, None)
        frames.close()  # what comes behind CONNECTED is the connection's to decode
        if first is not None:
            return _judge(first, address, versions), Connection(transport, decoder)
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
        offered = ", ".join(versions)
        hint = "offer the broker's version: versions=(…)"
        _fail(
            f"{address} chose STOMP {version}; offered were {offered}", hint, address, frame=frame
        )
    return frame


def _fail(
    message: str,
    hint: str | None,
    address: Address,
    phase: str = "handshake",
    cause: Exception | None = None,
    frame: STOMPFrame | None = None,
) -> NoReturn:
    raise STOMPConnectError(message, frame, hint=hint, phase=phase, address=str(address)) from cause
