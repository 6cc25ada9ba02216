"""A message on its way, the memory that messages take, and what has become of them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from stompy import wire

if TYPE_CHECKING:
    from stompy.broker.queue import Queue

MESSAGE_OVERHEAD, HEADER_OVERHEAD = 500, 150
"""Octets that a message and a header take in memory besides their text."""


class Full(Exception):
    """There is no room for a message; the text says where."""


class Memory:
    """Counts the memory that something takes, in all of a broker.

    Attributes:
        limit: octets that there may be.
        octets: that there are.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.octets = 0

    def reserve(self, octets: int, *, beyond: bool = False) -> None:
        """Count what somebody takes, `beyond` the limit if need be.

        Raises:
            Full: there is not so much.
        """
        if self.octets + octets > self.limit and not beyond:
            raise Full(f"the broker holds {self.octets:,} of {self.limit:,} octets")
        self.octets += octets

    def release(self, octets: int) -> None:
        """Count what somebody has given up."""
        self.octets -= octets


@dataclass
class Counts:
    """What has happened at a destination, in messages.

    Attributes:
        received: sent to it.
        delivered: given to a subscriber, again and again counted.
        redelivered: of those, given a second time or later.
        acknowledged: of a queue's, done: by ACK, or by the mode auto.
        dead_lettered: moved away after too many refusals.
        dropped: lost on purpose: by a topic whose subscriber does not read, or with a temp queue.
    """

    received: int = 0
    delivered: int = 0
    redelivered: int = 0
    acknowledged: int = 0
    dead_lettered: int = 0
    dropped: int = 0

    def add(self, other: Counts) -> None:
        """Count what another has counted."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


class Envelope:
    """Where messages go and what their senders say of them: all but body and number.

    Most messages of a sender differ in nothing but these, and have one envelope together.

    Attributes:
        headers: as the sender gave them.
        size: octets that they take in memory.
    """

    __slots__ = ("_lines", "destination", "headers", "size")

    def __init__(self, destination: str, headers: dict[str, str]) -> None:
        self.destination = destination
        self.headers = headers
        text = sum(map(len, headers)) + sum(map(len, headers.values()))
        self.size = HEADER_OVERHEAD * len(headers) + text
        self._lines: dict[str, bytes] = {}

    def lines(self, version: str) -> bytes:
        """Command and headers as MESSAGE frames of a version have them."""
        lines = self._lines.get(version)
        if lines is None:
            headers = {"destination": self.destination, **self.headers}
            if version == "1.0":  # there is no way to write line ends
                headers = {n: v for n, v in headers.items() if wire.fits_unescaped(n, v)}
            lines = self._lines[version] = wire.encode_head("MESSAGE", headers, version)
        return lines


class Message:
    """A message on its way.

    Attributes:
        place: the queue that has room for it; None of a topic's.
        size: octets that it takes in memory.
        number: its place in the order of all messages, and its ``message-id``.
        deliveries: how often its queue has given it to a subscriber.
        waits: whether its queue has it to give.
        listed: whether it lies in its queue, be it that it waits or that it did.
        kept: for how many subscribers a topic keeps it.
    """

    __slots__ = (
        "body",
        "deliveries",
        "envelope",
        "kept",
        "listed",
        "number",
        "place",
        "size",
        "waits",
    )

    def __init__(self, place: Queue | None, envelope: Envelope, body: bytes) -> None:
        self.place = place
        self.envelope = envelope
        self.body = body
        self.size = MESSAGE_OVERHEAD + envelope.size + len(body)
        self.number = 0
        self.deliveries = 0
        self.waits = self.listed = False
        self.kept = 0

    def __lt__(self, other: Message) -> bool:
        return self.number < other.number
