"""What happens when a connection is lost: when to try again, and how it comes back."""

from __future__ import annotations

import enum
import logging
import random
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from stompy.errors import STOMPConnectError, STOMPError, STOMPTimeout
from stompy.transport import patience

if TYPE_CHECKING:
    from collections.abc import Callable

    from stompy.client import STOMPClient
    from stompy.connection import Connection
    from stompy.connector import Connector

_log = logging.getLogger(__name__)

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


class States:
    """The state of a client, and the telling of its changes: each once, in order.

    Nothing is locked while `tell` is called, so that it may use the client. When one thread is in
    there, it tells also of what others change meanwhile.
    """

    def __init__(self) -> None:
        self.state = ClientState.Closed
        self.tell: Callable[[ClientState], object] | None = None
        self._lock = threading.Lock()
        self._untold: deque[ClientState] = deque()
        self._telling = False

    def note(self, state: ClientState) -> None:
        """Change it; `flush` tells of it."""
        with self._lock:
            if state is not self.state:
                self.state = state
                self._untold.append(state)

    def change(self, state: ClientState) -> None:
        """Change it and tell of it."""
        self.note(state)
        self.flush()

    def flush(self) -> None:
        """Tell of the changes that nobody has told of yet."""
        while (state := self._next()) is not None:
            try:
                if self.tell is not None:
                    self.tell(state)
            except Exception:  # an observer's failure is no failure of the connection
                _log.exception("the callback on_state failed")
            finally:
                self._telling = False

    def _next(self) -> ClientState | None:
        with self._lock:
            if self._telling or not self._untold:
                return None
            self._telling = True
            return self._untold.popleft()


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
    """

    def __init__(self, connector: Connector, policy: ReconnectPolicy) -> None:
        self.error: STOMPError | None = None
        self._connector = connector
        self._policy = policy
        self._goodbye = threading.Event()
        self._turn = threading.Lock()
        self._lost: Connection | None = None  # the one that is brought back
        self._attempt = 0
        self._next_try = 0.0

    @property
    def goes_on(self) -> bool:
        """Whether a lost connection is tried again: nobody has said goodbye or given up."""
        return not self._goodbye.is_set()

    def stop(self) -> None:
        """Try no more, and wake whoever waits for the next attempt."""
        self._goodbye.set()

    def recover(self, client: STOMPClient, lost: Connection, deadline: float | None) -> bool:
        """Have the client connected anew; returns whether it is.

        Raises:
            STOMPTimeout: it was not by the deadline; the next call goes on where this one was. An
                attempt that has begun is not cut short.
        """
        if not self._turn.acquire(timeout=patience(deadline)):
            raise STOMPTimeout("the connection is lost and not back yet")
        try:
            if client._connection is not lost:
                return True
            if lost is not self._lost:
                self._lost = lost
                if lost.age > LIVED:
                    self._attempt = 0
            while self.goes_on and self._policy.allows(self._attempt):
                self._pause(deadline)
                if self.goes_on and self._try(client):
                    return True
            if self.goes_on:
                self._give_up(client)
            return client._connection is not lost  # somebody may have connected it anew
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

    def _try(self, client: STOMPClient) -> bool:
        self._attempt += 1
        try:
            session = self._connector.connect()
        except STOMPConnectError as error:
            self.error = error
            if error.Frame is not None:  # refused: asking again would only lock the account
                self._give_up(client)
            return False
        try:
            client._take_over(session, self)
        except STOMPError as error:
            session.connection.close(None)
            self.error = error
            return False
        except BaseException:
            session.connection.close(None)
            raise
        self.error = None
        return True

    def _give_up(self, client: STOMPClient) -> None:
        self.stop()
        client._gave_up(self)
