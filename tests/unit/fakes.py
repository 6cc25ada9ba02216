"""A session without a connection, for the tests of what browsers are shown."""

from __future__ import annotations

from typing import Any

from stompy import AckMode, STOMPClient, STOMPClosed, STOMPError, STOMPFrame
from stompy_jupyter import FrameStream, FrameTable
from stompy_jupyter.inlet import Inlet
from stompy_jupyter.journal import Journal
from stompy_jupyter.trace import FrameTrace

ARRIVAL = 1_700_000_000_123_456_789
"""When the frames of `receive` came, in nanoseconds since 1970."""


class FakeClient:
    """What a window says of a client: heart-beats and the broker."""

    def __init__(self) -> None:
        self.server = "RabbitMQ/3.13.7"
        self.version = "1.2"
        self.heart_beat = (0, 0)
        self.silence: tuple[float, float] | None = (0.0, 0.0)
        self.Connected = True


class FakeSession:
    """What a widget wants of a session, without a connection."""

    def __init__(self) -> None:
        self.name = "prices"
        self.address = "127.0.0.1:61613"
        self.state = "connected"
        self.last_error: STOMPError | None = None
        self.sent = self.received = self.reconnects = 0
        self.streams: dict[str, FrameStream] = {}
        self.journal = Journal()
        self.trace = FrameTrace()
        self.replays = False
        self.fake: FakeClient | None = FakeClient()

    @property
    def client(self) -> Any:
        if self.fake is None:
            raise STOMPClosed("the session is not connected")
        return self.fake

    @property
    def connected(self) -> bool:
        return self.state == "connected"

    @property
    def alive(self) -> bool:
        return self.state in ("connected", "reconnecting")

    def add(self, name: str, destination: str = "/topic/t", **bounds: Any) -> FrameStream:
        """A stream that `receive` can be used with."""
        table = FrameTable(**bounds)
        inlet = Inlet(STOMPClient(), table, destination, AckMode.Auto)
        self.streams[name] = FrameStream(self, name, inlet)  # type: ignore[arg-type]
        return self.streams[name]


def receive(stream: FrameStream, body: bytes | str = "a", **headers: str) -> None:
    """Have a frame come, as if the broker had sent it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    frame = STOMPFrame("MESSAGE", {"destination": "/topic/t", **named}, body)
    stream.table.append(frame, ARRIVAL)
