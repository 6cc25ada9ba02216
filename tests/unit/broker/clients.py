"""Clients of the embedded broker by method calls: no sockets, and a clock that tests move."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from stompy import AckMode, STOMPFrame, wire
from stompy.broker.destinations import Destinations
from stompy.broker.events import EventLog
from stompy.broker.limits import Limits
from stompy.broker.message import Envelope, Message
from stompy.broker.selector import Selector
from stompy.broker.session import Rules, Session
from stompy.broker.subscription import Delivery, Subscription

SEND_SIZE = 256 * 1024
"""Octets that a peer reads at a time, as the broker's sockets do."""


# -- of destinations -------------------------------------------------------------------------


class Client:
    """Takes what it is given, and notes each body, with a * when it was given before."""

    def __init__(self, id: str = "client") -> None:
        self.id = id
        self.ready = True
        self.bodies: list[str] = []
        self.numbers: list[int] = []

    def deliver(self, subscription: Subscription, message: Message) -> None:
        self.bodies.append(message.body.decode() + ("*" if message.deliveries else ""))
        self.numbers.append(message.number)


def places(limits: Limits | None = None) -> Destinations:
    """The destinations of a broker."""
    return Destinations(limits or Limits(), EventLog())


def subscribe(
    there: Destinations,
    destination: str,
    mode: AckMode = AckMode.Auto,
    prefetch: int | None = None,
    selector: str | None = None,
    client: Client | None = None,
) -> tuple[Client, Subscription]:
    """Subscribe somebody new, unless it is said who."""
    client = client or Client()
    condition = Selector(selector) if selector else None
    subscription = Subscription(client, "1", destination, mode, prefetch, condition)
    there.subscribe(subscription)
    return client, subscription


def send(there: Destinations, destination: str, *bodies: str, **headers: str) -> None:
    """Send a message for each body."""
    for body in bodies:
        there.send(Envelope(destination, headers), body.encode())


def admit(there: Destinations, destination: str, body: str = "", **headers: str) -> Message:
    """Make room for a message, as a transaction does."""
    return there.admit(Envelope(destination, headers), body.encode())


def ack(there: Destinations, subscription: Subscription, number: int) -> None:
    there.ack(subscription, subscription.claim(number))


def nack(there: Destinations, subscription: Subscription, number: int) -> None:
    there.nack(subscription, subscription.claim(number))


def restore(there: Destinations, subscription: Subscription, deliveries: list[Delivery]) -> None:
    """What was claimed was not meant: the transaction is aborted."""
    there.unsubscribe((), [(subscription, deliveries)])


def drained(there: Destinations, queue: str) -> list[str]:
    """Take all that waits in a queue."""
    client, subscription = subscribe(there, queue)
    there.unsubscribe([subscription])
    return client.bodies


def size(body: str, **headers: str) -> int:
    """What a message takes in memory."""
    return Message(None, Envelope("", headers), body.encode()).size


def place(there: Destinations, name: str) -> dict[str, object]:
    """What is said of a destination; nothing of one that there is not."""
    return next((one for one in there.described() if one["destination"] == name), {})


def assert_settled(there: Destinations) -> None:
    """Check that nothing is left of anything."""
    assert there.described() == []
    assert there.memory.octets == there.kept.octets == there.subscribed.octets == 0


# -- of sessions -----------------------------------------------------------------------------


class PureBroker:
    """All of a broker but its sockets.

    At the end of a `with`, all clients leave, all queues are emptied, and no memory may be counted
    any more.

    Attributes:
        now: the time for all, in seconds.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        heart_beat: tuple[int, int] = (0, 0),
        logins: Mapping[str, str] | None = None,
    ) -> None:
        self.now = 1000.0
        self.log = EventLog(lambda: self.now)
        self.limits = limits or Limits()
        self.destinations = Destinations(self.limits, self.log)
        self.rules = Rules(self.destinations, self.log, self.limits, heart_beat, logins)
        self.sessions: list[Session] = []

    def __enter__(self) -> PureBroker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is None:
            self.settle()

    @property
    def octets(self) -> int:
        """The memory that is counted."""
        return self.destinations.memory.octets

    def settle(self) -> None:
        """Have all leave, empty all queues, and check that nothing is left."""
        for session in self.sessions:
            session.end("the test is over")
        for queue in self.destinations.described():
            drained(self.destinations, str(queue["destination"]))
        assert_settled(self.destinations)

    def events(self, *names: str) -> list[tuple[object, object]]:
        """Destination and detail of what was noted under these names."""
        events = self.log.events()
        return [(one["destination"], one["detail"]) for one in events if one["event"] in names]

    def drain(self, queue: str) -> list[bytes]:
        """Take the bodies that wait in a queue."""
        peer = Peer(self)
        messages = [frame.Body for frame in peer.subscribe(queue) if frame.Command == "MESSAGE"]
        peer.session.end("drained")
        return messages


class Peer:
    """One client of a broker, connected by method calls.

    Args:
        broker: whose client it is.
        version: the version it speaks; None for one that has not connected.
        headers: more of its CONNECT.
        whole_frames: whether each piece that it is sent has to be a whole frame.

    Attributes:
        outputs: how often the session has said that there is output where there was none.
    """

    def __init__(
        self,
        broker: PureBroker,
        version: str | None = "1.2",
        headers: Mapping[str, str] | None = None,
        whole_frames: bool = False,
    ) -> None:
        self.outputs = 0
        self.version = version or "1.2"
        self.broker = broker
        name = str(len(broker.sessions) + 1)
        self.session = Session(broker.rules, name, broker.now, self._count, whole_frames)
        broker.sessions.append(self.session)
        self._decoder = wire.FrameDecoder()
        if version is not None:
            (self.connected,) = self.connect(headers)
            assert self.connected.Command == "CONNECTED"

    def _count(self) -> None:
        assert not self.session.outbox.size
        self.outputs += 1

    def connect(self, headers: Mapping[str, str] | None = None) -> list[STOMPFrame]:
        return self.send(
            "CONNECT", {"accept-version": self.version, "host": "/", **(headers or {})}
        )

    def octets(self, data: bytes) -> list[STOMPFrame]:
        """Send octets; returns what has come since the last call."""
        self.give(data)
        return self.take()

    def give(self, data: bytes) -> None:
        """Send octets, and read nothing."""
        self.session.receive(data, self.broker.now)

    def put(self, command: str, headers: dict[str, str], body: bytes = b"") -> None:
        """Send a frame, and read nothing."""
        self.give(wire.encode(command, headers, body, self.version))

    def send(self, command: str, headers: dict[str, str], body: bytes = b"") -> list[STOMPFrame]:
        """Send a frame; returns what has come since the last call."""
        return self.octets(wire.encode(command, headers, body, self.version))

    def message(self, destination: str, body: bytes = b"", **headers: str) -> list[STOMPFrame]:
        return self.send("SEND", {"destination": destination, **headers}, body)

    def subscribe(self, destination: str, id: str = "1", **headers: str) -> list[STOMPFrame]:
        return self.send("SUBSCRIBE", {"destination": destination, "id": id, **headers})

    def answer(self, command: str, message: STOMPFrame, **headers: str) -> list[STOMPFrame]:
        """ACK or NACK a message, by the headers of its version."""
        return self.send(command, {**self.names(message), **headers})

    def names(self, message: STOMPFrame) -> dict[str, str]:
        """The headers by which an ACK or NACK means a message."""
        if self.version == "1.2":
            return {"id": message["ack"]}
        names = {"message-id": message["message-id"]}
        if self.version == "1.1":
            names["subscription"] = message["subscription"]
        return names

    def tick(self) -> float | None:
        """Have the session do what is due."""
        return self.session.tick(self.broker.now)

    def read(self, limit: int = SEND_SIZE) -> bytes:
        """Some octets that the broker has for it."""
        return b"".join(self.session.take_output(limit, self.broker.now))

    def output(self) -> bytes:
        """All octets that the broker has for it."""
        return b"".join(iter(self.read, b""))

    def take(self) -> list[STOMPFrame]:
        """All frames that the broker has for it."""
        return self.decoded(self.output())

    def decoded(self, octets: bytes) -> list[STOMPFrame]:
        """The frames that are complete with these octets."""
        self._decoder.feed(octets)
        return list(self._decoder.frames())

    def bodies(self) -> list[bytes]:
        """The bodies of the messages that the broker has for it."""
        return [frame.Body for frame in self.take() if frame.Command == "MESSAGE"]

    def lose(self) -> None:
        """Lose the connection."""
        self.session.end("the connection is lost")

    @property
    def closing(self) -> bool:
        return self.session.closing
