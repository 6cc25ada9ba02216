"""What a broker bounds, and by how much."""

from __future__ import annotations

from dataclasses import dataclass, fields

MiB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """The bounds of a broker. Memory is counted in octets, with what Python adds to a message.

    Attributes:
        max_body: octets that the body of one message may have.
        max_headers: headers that a frame may have.
        max_header_line: octets that one of them may have.
        max_queue: octets that a queue may hold; a SEND that finds no room is refused by ERROR.
        max_memory: octets that all queues, transactions and half received messages may hold; as
            many may be kept by topics for subscribers that do not read.
        max_backlog: octets that a topic keeps for a subscriber that does not read; the oldest
            messages are dropped and counted.
        max_deliveries: after so many deliveries a NACK moves a message to ``/queue/DLQ.<name>``.
        connect_timeout: seconds that a client has for its CONNECT.
        max_clients: clients that may be connected at a time; never more than half of the files
            that the process may open.

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
    max_clients: int = 2000

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            whole = isinstance(value, int) or field.name == "connect_timeout"
            if not (whole and isinstance(value, int | float) and 0 < value < float("inf")):
                raise ValueError(f"{field.name} must be a number above 0, not {value!r}")
