"""When to send a heart-beat and when to give a peer up: rules alone, the clock is passed in.

STOMP 1.2, "Heart-beating".
"""

from __future__ import annotations

import math
import re

SEND_FACTOR = 0.8
"""The share of the agreed interval after which a beat is sent: it has to be there in time."""
DEAD_FACTOR, DEAD_GRACE = 2.0, 1.0
"""A peer is given up after this many intervals of silence and this many seconds."""

HELD_UP = 1.0
"""Who is called so many seconds late was held up, and has not seen whether others were silent."""

_HEADER = re.compile(r"([0-9]{1,9}),([0-9]{1,9})")


def agree(ours: tuple[int, int], header: str | None) -> tuple[int, int]:
    """The intervals in milliseconds in which we send and they send; 0 is never.

    Args:
        ours: what we offered: how often we can send, how often we want to hear.
        header: the ``heart-beat`` header of the other side; one that is missing or malformed
            means ``0,0``.

    Example:
        >>> agree((1000, 500), "0,3000"), agree((1000, 500), "2000,3000"), agree((1000, 500), None)
        ((3000, 0), (3000, 2000), (0, 0))
    """
    match = _HEADER.fullmatch(header or "")
    can_send, wants = map(int, match.groups()) if match else (0, 0)
    send = max(ours[0], wants) if ours[0] and wants else 0
    receive = max(ours[1], can_send) if ours[1] and can_send else 0
    return send, receive


class HeartBeat:
    """The state of one connection's beats. Times are in seconds, on any clock that only goes on.

    Args:
        send_ms, receive_ms: the agreed intervals, as `agree` gives them; 0 is never.
        now: the time.

    Attributes:
        sent_at: when something was last sent: any octets are a beat.
        received_at: when something last came: any octets are a sign of life.

    Example:
        >>> beat = HeartBeat(1000, 0, now=5.0)
        >>> beat.must_send(5.5), beat.must_send(5.8), beat.is_dead(99.0)
        (False, True, False)
    """

    def __init__(self, send_ms: int, receive_ms: int, now: float) -> None:
        self.send_ms = send_ms
        self.receive_ms = receive_ms
        self._send_after = send_ms / 1000 * SEND_FACTOR
        self._dead_after = receive_ms / 1000 * DEAD_FACTOR + DEAD_GRACE if receive_ms else 0.0
        self.sent_at = self.received_at = now
        self._until = math.inf

    @property
    def agreed(self) -> bool:
        """Whether there are beats in at least one direction."""
        return bool(self.send_ms or self.receive_ms)

    @property
    def silence_limit(self) -> float:
        """Seconds of silence after which the peer is given up; 0 for any number."""
        return self._dead_after

    def woke(self, now: float) -> None:
        """Say that the time of a `wait` is over.

        When that took much longer than asked, this side was held up itself, by a busy interpreter
        or a machine that slept: then the peer has another while to be heard.
        """
        if now > self._until + HELD_UP:
            self.received_at = now

    def must_send(self, now: float) -> bool:
        """Whether it is time for a beat."""
        return bool(self._send_after) and now >= self.sent_at + self._send_after

    def is_dead(self, now: float) -> bool:
        """Whether the peer has been silent for too long."""
        return bool(self._dead_after) and now > self.received_at + self._dead_after

    def wait(self, now: float) -> float:
        """Seconds until one of the two may be due."""
        moments = []
        if self._send_after:
            moments.append(self.sent_at + self._send_after)
        if self._dead_after:
            moments.append(self.received_at + self._dead_after)
        wait = max(0.0, min(moments, default=now) - now)
        self._until = now + wait
        return wait
