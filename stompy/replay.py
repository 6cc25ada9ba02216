"""What is in a capture once more: which messages, when each is due, and how they are sent again."""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from typing import TYPE_CHECKING

from stompy.errors import STOMPError
from stompy.receipt import RECEIPT_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from stompy.capture import Entry
    from stompy.frame import STOMPFrame
    from stompy.receipt import Receipt

WINDOW = 1000
"""So many messages may be on their way before their receipts are waited for."""

OF_DELIVERY = frozenset(
    (
        *("destination", "message-id", "subscription", "ack", "redelivered", "receipt"),
        *("receipt-id", "transaction", "content-length"),
        "expires",  # a moment that is past: ActiveMQ would drop the message at once
    )
)
"""Headers of MESSAGE that are about one delivery of it, and do not go along when it is sent again;
the destination is said apart."""


def messages(entries: Iterable[Entry], n: int | None = None) -> Iterator[Entry]:
    """The messages among the entries of a capture that came from a broker; the first `n` of them.

    Example:
        >>> with stompy.capture.read("all.stompcap") as entries:
        ...     bodies = [entry.frame.text for entry in messages(entries)]
    """
    came = (e for e in entries if e.direction == "in" and e.frame.Command == "MESSAGE")
    return itertools.islice(came, n)


def sendable_headers(frame: STOMPFrame) -> dict[str, str]:
    """The headers of a message that go along when it is sent again.

    Example:
        >>> message = STOMPFrame("MESSAGE", {"message-id": "7", "symbol": "ABC"})
        >>> sendable_headers(message)
        {'symbol': 'ABC'}
    """
    return {name: text for name, text in frame.Headers.items() if name not in OF_DELIVERY}


class Pace:
    """When the entries of a capture are due: the first at once, the others by their times.

    Time stands still from `hold` to the next `left`. Where times go back, as they do when a
    capture was gone on with after a clock was set, no time passes.

    Args:
        speed: how many seconds of the capture pass in one; 0 or infinity: all are due at once.
        clock: what says the time, in seconds.

    Raises:
        ValueError: the speed is none.

    Example:
        >>> pace = Pace(10)
        >>> pace.left(5_000_000_000)  # the first
        0.0
        >>> pace.left(8_000_000_000)  # 3 s later
        0.3
    """

    def __init__(self, speed: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        if not speed >= 0:
            raise ValueError(f"{speed!r} is no speed: 1 as it was, 10 ten times as fast, 0 at once")
        self._speed = math.inf if speed == 0 else speed
        self._clock = clock
        self._newest: int | None = None  # the time of the entry that was asked for last
        self._ahead = 0.0  # seconds of the capture from where time has come to up to there
        self._since: float | None = None  # when that was so; None while time stands still

    def left(self, time_ns: int) -> float:
        """Seconds until an entry is due; 0 or less when it is."""
        if self._newest is not None:
            self._ahead += max(0, time_ns - self._newest) / 1e9
        self._newest = time_ns
        if self._speed == math.inf:
            return 0.0
        now = self._clock()
        if self._since is not None:
            self._ahead -= (now - self._since) * self._speed
        self._since = now
        return self._ahead / self._speed

    def hold(self) -> None:
        """Let time stand still."""
        if self._newest is not None:
            self.left(self._newest)
        self._since = None


class Resending:
    """Sends the messages of a capture again, at their times, and waits for their receipts.

    Args:
        send: sends a message of a destination, a body and headers, and asks for a receipt.
        wait: waits so many seconds, which may be none; raises when sending has come to an end.
        to: the destination of all; None: each goes where it came from.
        speed: see `Pace`.
        limit: seconds that a receipt is waited for.

    Attributes:
        sent: how many messages it has sent.
    """

    def __init__(
        self,
        send: Callable[[str, bytes, dict[str, str]], Receipt | None],
        wait: Callable[[float], object],
        *,
        to: str | None = None,
        speed: float = 1.0,
        limit: float = RECEIPT_LIMIT,
    ) -> None:
        self.sent = 0
        self._send = send
        self._wait = wait
        self._to = to
        self._pace = Pace(speed)
        self._limit = limit

    def run(self, entries: Iterable[Entry]) -> int:
        """Send all; returns how many, when the broker has confirmed them.

        Raises:
            STOMPError: one cannot be sent, or was refused or not confirmed.
        """
        unconfirmed: deque[Receipt] = deque()
        for entry in entries:
            destination = self._to or entry.frame.get("destination")
            if destination is None:
                raise STOMPError(
                    f"message {self.sent + 1} has no destination", hint="say where to: --to"
                )
            self._wait(max(0.0, self._pace.left(entry.time_ns)))
            receipt = self._send(destination, entry.frame.Body, sendable_headers(entry.frame))
            self.sent += 1
            if receipt is not None:
                unconfirmed.append(receipt)
            if len(unconfirmed) > WINDOW:
                unconfirmed.popleft().wait(self._limit)
        for receipt in unconfirmed:
            receipt.wait(self._limit)
        return self.sent
