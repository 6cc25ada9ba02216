"""What a broker bounds, and by how much."""

from __future__ import annotations

from dataclasses import dataclass

MiB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """The bounds of a broker. Memory is counted in octets, with what Python adds to a message.

    Attributes:
        max_body: octets that the body of one message may have.
        max_headers: headers that a frame may have.
        max_header_line: octets that one of them may have.
        max_queue: octets that a queue may hold; a SEND that finds no room is refused by ERROR.
        max_memory: octets that all queues, transactions and half received messages may hold.
        max_backlog: octets that a topic keeps for a subscriber that does not read; the oldest
            messages are dropped and counted.
        max_deliveries: after so many deliveries a NACK moves a message to ``/queue/DLQ.<name>``.
        connect_timeout: seconds that a client has for its CONNECT.

    Example:
        >>> with Broker(limits=Limits(max_deliveries=2)) as broker:
        ...     ...
    """

    max_body: int = 100 * MiB
    max_headers: int = 1000
    max_header_line: int = 64 * 1024
    max_queue: int = 512 * MiB
    max_memory: int = 1024 * MiB
    max_backlog: int = 64 * MiB
    max_deliveries: int = 5
    connect_timeout: float = 10.0
