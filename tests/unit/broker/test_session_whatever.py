"""Whatever clients of the embedded broker do: it never fails, and gives all room back."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from stompy import STOMPFrame, wire
from stompy.broker.limits import Limits
from tests.unit.broker.clients import Peer, PureBroker

PEERS = 3
DESTINATIONS = (
    *("/queue/a", "/queue/a", "/queue/DLQ.a", "/topic/a.b", "/topic/a.*", "/topic/>"),
    *("/temp-queue/x", "/temp-queue/y"),
)
IDS = ("1", "2", "3", "/temp-queue/x")
MODES = ("auto", "client", "client-individual")
SELECTORS = ("", "", "colour = 'red'", "colour IS NULL")
DOINGS = (
    *(
        "send",
        "send",
        "send",
        "subscribe",
        "subscribe",
        "unsubscribe",
        "ack",
        "ack",
        "nack",
        "nack",
    ),
    *("begin", "commit", "abort", "reply", "read", "read", "rest", "wait", "disconnect", "lose"),
)
STEPS = st.lists(
    st.tuples(st.sampled_from(DOINGS), st.integers(0, PEERS - 1), st.integers(0, 10**9)),
    max_size=200,
)


class Crowd:
    """Some clients that do things by number, most of them right; who was sent away comes again."""

    def __init__(self, broker: PureBroker) -> None:
        self.errors: list[str] = []
        self._broker = broker
        self._replies = ["/reply-queue/never"]
        self._versions = itertools.cycle(("1.2", "1.1", "1.0"))
        self._doers = [self._come() for _ in range(PEERS)]

    def _come(self) -> Doer:
        peer = Peer(self._broker, next(self._versions), {"heart-beat": "1000,1000"})
        return Doer(peer, self._replies, self.errors)

    def do(self, doing: str, who: int, number: int) -> None:
        if doing == "wait":
            self._broker.now += number % 4 / 2
            for doer in self._doers:
                doer.peer.tick()
        else:
            getattr(self._doers[who], doing)(Numbers(number))
        if self._doers[who].peer.closing:
            self._doers[who].read_all()
            self._doers[who] = self._come()


class Numbers:
    """One number for many choices."""

    def __init__(self, number: int) -> None:
        self._number = number

    def below(self, limit: int) -> int:
        self._number, number = divmod(self._number, limit)
        return number

    def of(self, names: Sequence[str]) -> str:
        return names[self.below(len(names))]

    def rarely(self) -> bool:
        return self.below(20) == 19


class Doer:
    """One client, that knows what it has done."""

    def __init__(self, peer: Peer, replies: list[str], errors: list[str]) -> None:
        self.peer = peer
        self._replies = replies
        self._errors = errors
        self._messages: list[STOMPFrame] = []
        self._subscribed: set[str] = set()
        self._begun: set[str] = set()
        self._rest = b""

    def send(self, numbers: Numbers) -> None:
        headers = {"destination": numbers.of(DESTINATIONS)} | self._transaction(numbers)
        if numbers.below(2):
            headers["colour"] = numbers.of(("red", "blue"))
        if numbers.below(3) == 0:
            headers["reply-to"] = numbers.of(DESTINATIONS)
        self._put("SEND", headers, b"x" * (numbers.below(3) * 40_000))

    def reply(self, numbers: Numbers) -> None:
        headers = {"destination": numbers.of(self._replies)} | self._transaction(numbers)
        self._put("SEND", headers, b"answer")

    def subscribe(self, numbers: Numbers) -> None:
        free = [id for id in IDS if id not in self._subscribed or numbers.rarely()]
        if free:
            headers = {
                "id": numbers.of(free),
                "ack": numbers.of(MODES),
                "prefetch-count": numbers.of(("", "1", "2")),
                "selector": numbers.of(SELECTORS),
                "destination": numbers.of(DESTINATIONS),
            }
            self._subscribed.add(headers["id"])
            self._put("SUBSCRIBE", headers)

    def unsubscribe(self, numbers: Numbers) -> None:
        if self._subscribed:
            id = numbers.of(sorted(self._subscribed))
            self._subscribed.remove(id)
            self._put("UNSUBSCRIBE", {"id": id})

    def ack(self, numbers: Numbers) -> None:
        self._answer("ACK", numbers)

    def nack(self, numbers: Numbers) -> None:
        self._answer("NACK", numbers)

    def _answer(self, command: str, numbers: Numbers) -> None:
        if self._messages:
            message = self._messages.pop(numbers.below(len(self._messages)))
            names = {
                n: v for n, v in message.Headers.items() if n in ("message-id", "subscription")
            }
            id = {"id": message["ack"]} if "ack" in message else {}
            self._put(command, names | id | self._transaction(numbers))

    def begin(self, numbers: Numbers) -> None:
        name = numbers.of(("t", "u"))
        if name not in self._begun or numbers.rarely():
            self._begun.add(name)
            self._put("BEGIN", {"transaction": name})

    def commit(self, numbers: Numbers) -> None:
        self._end("COMMIT", numbers)

    def abort(self, numbers: Numbers) -> None:
        self._end("ABORT", numbers)

    def _end(self, command: str, numbers: Numbers) -> None:
        if self._begun or numbers.rarely():
            self._put(command, self._transaction(numbers))
            self._begun.clear()

    def _transaction(self, numbers: Numbers) -> dict[str, str]:
        if numbers.rarely():
            return {"transaction": numbers.of(("t", "u", "v"))}
        if self._begun and numbers.below(2):
            return {"transaction": numbers.of(sorted(self._begun))}
        return {}

    def disconnect(self, _: Numbers) -> None:
        self._put("DISCONNECT", {"receipt": "bye"})

    def lose(self, _: Numbers) -> None:
        self.peer.lose()

    def _put(self, command: str, headers: dict[str, str], body: bytes = b"") -> None:
        """Send a frame, of a large one a part."""
        octets = self._rest + wire.encode(command, headers, body, self.peer.version)
        self._rest = octets[50_000:]
        self.peer.give(octets[:50_000])

    def rest(self, numbers: Numbers) -> None:
        part = numbers.below(100_000)
        self.peer.give(self._rest[:part])
        self._rest = self._rest[part:]

    def read(self, numbers: Numbers) -> None:
        self._note(self.peer.read(10 + numbers.below(200_000)))

    def read_all(self) -> None:
        self._note(self.peer.output())

    def _note(self, octets: bytes) -> None:
        for frame in self.peer.decoded(octets):
            if frame.Command == "ERROR":
                self._errors.append(frame["message"])
            elif frame.Command == "MESSAGE":
                if frame.get("subscription", "") in self._subscribed:
                    self._messages.append(frame)
                if frame.get("reply-to", "").startswith("/reply-queue/"):
                    self._replies.append(frame["reply-to"])


@settings(deadline=None, max_examples=200)
@given(STEPS)
def test_it_goes_on_and_forgets_nothing(steps):
    size = 120_000
    with PureBroker(Limits(max_queue=size, max_memory=3 * size, max_backlog=size)) as broker:
        crowd = Crowd(broker)
        for doing, who, number in steps:
            crowd.do(doing, who, number)
            assert "internal error" not in crowd.errors
            there = broker.destinations.described()
            assert 0 <= sum(int(str(one["octets"])) for one in there) <= broker.octets
