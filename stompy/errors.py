"""What can go wrong, as one family: every error of this package is a `STOMPError`.

An error says what failed, where, and what to try. The broker's own words, when it sent some, are
kept as the ERROR frame in `.Frame`.
"""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stompy.frame import STOMPFrame


class STOMPError(Exception):
    """Something in a STOMP conversation failed.

    Attributes:
        Message: what failed, in one line where that is possible.
        Frame: the broker's ERROR frame, if it sent one, else None.
        hint: what to try, or None.

    Example:
        >>> str(STOMPError("no such queue", hint="check its name"))
        'no such queue\\nTry: check its name'
    """

    def __init__(
        self, message: str, frame: STOMPFrame | None = None, *, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.Message = message
        self.Frame = frame
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.Message}\nTry: {self.hint}" if self.hint else self.Message


class STOMPTimeout(STOMPError, TimeoutError):
    """A wait reached its bound. What has been read so far is kept for the next call."""


class STOMPClosed(STOMPError, ConnectionError):
    """The connection is not, or no longer, there; the message says why where that is known."""


class STOMPProtocolError(STOMPError, ValueError):
    """Octets or headers that the negotiated version of the specification forbids."""


class STOMPAddressError(STOMPError, ValueError):
    """What was given as an address is none."""


class STOMPBodyError(STOMPError, ValueError):
    """A body that is not what its content-type says, or that cannot be sent as asked."""


class STOMPConnectError(STOMPError, ConnectionError):
    """No connection came about at any of the addresses.

    Attributes:
        phase: how far the last attempt came: ``"resolve"``, ``"connect"`` (the operating system's
            part), ``"tls"``, or ``"handshake"`` (from CONNECT to CONNECTED).
        address: the address of the last attempt, as the error names it.
        attempts: the errors of all attempts when there was more than one address, in order.
    """

    def __init__(
        self,
        message: str,
        frame: STOMPFrame | None = None,
        *,
        hint: str | None = None,
        phase: str = "connect",
        address: str = "",
        attempts: Sequence[STOMPConnectError] = (),
    ) -> None:
        super().__init__(message, frame, hint=hint)
        self.phase = phase
        self.address = address
        self.attempts = tuple(attempts)

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows (IPython asks for this name): the lines that help, no stack."""
        return f"{type(self).__name__}: {self}".splitlines()


def error_text(frame: STOMPFrame) -> str:
    """What an ERROR frame says (STOMP 1.2, "ERROR"), in one line.

    That is its ``message`` and the first line of its body: for some brokers the one explains, for
    some the other, and the body may be a stack trace.
    """
    title = _first_line(frame.get("message", ""))
    detail = _first_line(frame.Body.decode("utf-8", "replace"))
    parts = [title, detail if detail not in title else ""]
    return "; ".join(filter(None, parts)) or "ERROR, without a reason"


def _first_line(text: str) -> str:
    return printable(next(iter(text.strip().splitlines()), "").strip())


def printable(text: str) -> str:
    """A text in which every character can be seen: what cannot be printed becomes an escape.

    What comes from a broker may hold control characters, with which a terminal would do something.

    Example:
        >>> printable("\\x1b[31mred")
        '\\\\x1b[31mred'
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def broker_error(frame: STOMPFrame) -> STOMPError:
    """The exception for an ERROR frame."""
    return STOMPError(f"the broker says: {error_text(frame)}", frame)


def outside() -> int:
    """The `stacklevel` of the first caller that is not in this package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "stompy":
        level, frame = level + 1, frame.f_back
    return level


def warn_unsent(command: str) -> None:
    """Say that an answer to a message goes nowhere, because its connection is gone."""
    warnings.warn(
        f"{command} of a message of an earlier connection is not sent: the broker delivers it "
        "again",
        stacklevel=outside(),
    )
