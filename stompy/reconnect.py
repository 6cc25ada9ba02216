"""What happens when a connection is lost: when to try again, and how it comes back."""

from __future__ import annotations

import enum
import random
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from stompy.errors import STOMPClosed, STOMPConnectError, STOMPError, STOMPTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from stompy.connection import Connection
    from stompy.connector import Connector, Session

LIVED = 10.0
"""Seconds after which a connection counts as one that worked, and the pauses begin anew."""


class ClientState(enum.StrEnum):
    """What a client is doing, as `STOMPClient.state` says it."""

    Closed = "closed"
    """It was never connected, has said goodbye, or has given up."""
    Connected = "connected"
    """The connection is up, as far as this side knows."""
    Reconnecting = "reconnecting"
    """The connection was lost and comes back when somebody receives or sends."""


class ReconnectPolicy(NamedTuple):
    """How often and when a lost connection is tried again.

    The pause before attempt n is a random part ("full jitter") of ``first * factor**n`` seconds,
    `cap` at the most: clients that lost a broker together do not come back together.

    Attributes:
        attempts: how many in a row; None for any number.
        first, factor, cap: the pauses; seconds, a factor, seconds.

    Example:
        >>> ReconnectPolicy(attempts=3).delay(2, chance=1.0)
        2.0
    """

    attempts: int | None = None
    first: float = 0.5
    factor: float = 2.0
    cap: float = 60.0

    def delay(self, attempt: int, chance: float | None = None) -> float:
        """Seconds to wait before an attempt, counted from 0; `chance` is random by default."""
        longest = min(self.cap, self.first * self.factor ** min(attempt, 64))
        return longest * (random.random() if chance is None else chance)

    def allows(self, attempt: int) -> bool:
        """Whether there is an attempt of this number, counted from 0."""
        return self.attempts is None or attempt < self.attempts


def policy_of(given: object) -> ReconnectPolicy | None:
    """What the argument ``reconnect`` of `STOMPClient.connect` means.

    Raises:
        STOMPError: it is neither a boolean nor a policy.
    """
    if given is None or given is False:
        return None
    if given is True:
        return ReconnectPolicy()
    if isinstance(given, ReconnectPolicy):
        return given
    raise STOMPError(f"reconnect={given!r}", hint="write True or a stompy.ReconnectPolicy")


class Recovery:
    """Brings a lost connection back, in whichever thread needs it first; the others wait for it.

    Args:
        connector: connects anew.
        policy: how often and when.
        current: gives the client's connection of the moment.
        take_over: makes a new connection the client's; may raise when it is lost at once.
        say: is told of each change of state.
    """

    def __init__(
        self,
        connector: Connector,
        policy: ReconnectPolicy,
        current: Callable[[], Connection | None],
        take_over: Callable[[Session], None],
        say: Callable[[ClientState], None],
    ) -> None:
        self.error: STOMPError | None = None
        self._connector = connector
        self._policy = policy
        self._current = current
        self._take_over = take_over
        self._say = say
        self._goodbye = threading.Event()
        self._turn = threading.Lock()
        self._attempt = 0
        self._next_try = 0.0

    @property
    def goes_on(self) -> bool:
        """Whether a lost connection is tried again: nobody has said goodbye or given up."""
        return not self._goodbye.is_set()

    def stop(self) -> None:
        """Try no more, and wake whoever waits for the next attempt."""
        self._goodbye.set()

    def recover(self, lost: Connection, deadline: float | None) -> bool:
        """Have the client connected anew; returns whether it is.

        Raises:
            STOMPTimeout: it was not by the deadline; the next call goes on where this one was. An
                attempt that has begun is not cut short.
        """
        if not self._turn.acquire(timeout=_left(deadline)):
            raise STOMPTimeout("the connection is lost and not back yet")
        try:
            if self._current() is not lost:
                return True
            if lost.age > LIVED:
                self._attempt = 0
            while self.goes_on and self._policy.allows(self._attempt):
                self._pause(deadline)
                if self.goes_on and self._try():
                    return True
            self.stop()
            self._say(ClientState.Closed)
            return False
        finally:
            self._turn.release()

    def _pause(self, deadline: float | None) -> None:
        """Wait until the next attempt is due, or somebody says goodbye."""
        now = time.monotonic()
        self._next_try = self._next_try or now + self._policy.delay(self._attempt)
        wait = max(0.0, self._next_try - now)
        if deadline is not None and deadline < self._next_try:
            self._goodbye.wait(max(0.0, deadline - now))
            if self.goes_on:
                raise STOMPTimeout("the connection is lost and not back yet")
        self._goodbye.wait(wait)
        self._next_try = 0.0

    def _try(self) -> bool:
        self._attempt += 1
        try:
            session = self._connector.connect()
        except STOMPConnectError as error:
            self.error = error
            if error.Frame is not None:  # refused: asking again would only lock the account
                self.stop()
            return False
        if not self.goes_on:
            session.connection.close(None)
            return False
        try:
            self._take_over(session)
        except (STOMPClosed, STOMPTimeout) as error:
            self.error = error
            return False
        self.error = None
        return True


def _left(deadline: float | None) -> float:
    """Seconds until the deadline, as `threading.Lock.acquire` takes them."""
    return -1 if deadline is None else max(0.0, deadline - time.monotonic())
