"""Random clients of the embedded broker, checked step by step against a small model of it.

Hypothesis makes up what some clients do: octets go into their sessions and come out, without
sockets, and time is what the test says. All that the broker puts out is held against `Model`, which
has lists and plain loops where the broker has heaps and counters. Where the broker is free to
choose, namely which of several subscribers gets a message, the model follows what it did and only
checks that it was allowed.

A failure is shown as the shortest list of steps that leads to it.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from unittest.mock import patch

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stompy import STOMPFrame, wire
from stompy.broker import session as session_module
from stompy.broker.destinations import Destinations
from stompy.broker.events import EventLog
from stompy.broker.limits import Limits
from stompy.broker.message import HEADER_OVERHEAD, MESSAGE_OVERHEAD
from stompy.broker.outbox import Outbox
from stompy.broker.session import Rules, Session

pytestmark = pytest.mark.timeout(600)  # to find the shortest list of steps takes minutes

UNREAD_LIMIT, MAX_BACKLOG, MAX_DELIVERIES = 1500, 2500, 2  # a few messages each
CLIENTS, ENOUGH_SUBSCRIPTIONS, MAX_SUBSCRIPTIONS = 3, 4, 7

QUEUES = ["/queue/a", "/queue/b"]
DEAD_LETTERS = ["/queue/DLQ.a", "/queue/DLQ.b"]
TOPICS = ["/topic/x.1", "/topic/y"]
PATTERNS = {"/topic/x.*": ["/topic/x.1"], "/topic/>": TOPICS}
"""Patterns of topics, and what they match."""

Step = Callable[[], None]


# -- The model -------------------------------------------------------------------------------


class At(Enum):
    """Where a message of a queue is: in one of these places, and so never in two."""

    WAITING = "in its queue"
    HELD = "unacknowledged at a client, or its ACK is part of an open transaction"
    DONE = "acknowledged, or given to a subscriber in auto mode"
    DEAD = "moved to the dead letters"


@dataclass(eq=False)
class Letter:
    """A message; its body begins with a number that only its dead letter has, too."""

    number: int
    destination: str
    headers: dict[str, str]
    padding: int

    def __post_init__(self) -> None:
        self.at = At.WAITING
        self.given = 0  # to a subscriber of its queue, so often

    @property
    def body(self) -> bytes:
        return b"%d %s" % (self.number, b"." * self.padding)

    @property
    def octets(self) -> int:
        """What it takes in memory."""
        text = "".join([*self.headers, *self.headers.values()])
        overhead = MESSAGE_OVERHEAD + HEADER_OVERHEAD * len(self.headers)
        return overhead + len(text) + len(self.body)

    @property
    def for_queue(self) -> bool:
        return self.destination not in TOPICS


@dataclass(eq=False)
class Client:
    """One client, as far as it matters to others.

    Attributes:
        unread: the frames that the broker has put out and the client has not read.
        full: whether it gets no more messages: from when `UNREAD_LIMIT` octets are unread until it
            has read so much that less than half of that is left.
        paused: whether it reads nothing for the time being.
        answers: what it has to be told, in order, as ``(command, receipt-id)``.
    """

    name: str
    version: str
    session: Session = field(repr=False)

    def __post_init__(self) -> None:
        self.subscriptions: list[Subscription] = []
        self.transactions: list[Transaction] = []
        self.unread: deque[tuple[bytes, Delivery | None]] = deque()
        self.full = False
        self.paused = False
        self.answers: deque[tuple[str, str | None]] = deque()

    @property
    def unread_octets(self) -> int:
        return sum(len(octets) for octets, _ in self.unread)

    def read(self, data: bytes) -> None:
        """It has read `data`: just what comes next. Who has read all reads on as it comes."""
        while data:
            octets, delivery = self.unread.popleft()
            assert data.startswith(octets)
            data = data[len(octets) :]
            if delivery is not None:
                delivery.read = True
        self.full = self.full and self.unread_octets >= UNREAD_LIMIT // 2
        self.paused = self.paused and bool(self.unread)


@dataclass(eq=False)
class Subscription:
    """A client's subscription.

    Attributes:
        colour: what its selector asks for.
        held: what it was given and has to acknowledge, in the order in which it was given.
        due: messages of its topic that its client was not ready for.
    """

    client: Client
    id: str | None
    destination: str
    mode: str
    prefetch: int | None
    colour: str | None

    def __post_init__(self) -> None:
        self.held: list[Delivery] = []
        self.due: list[Letter] = []
        self.dropped = 0

    @property
    def ready(self) -> bool:
        hands_full = self.prefetch is not None and len(self.held) >= self.prefetch
        return not self.client.full and not hands_full

    @property
    def active(self) -> bool:
        return self in self.client.subscriptions

    def wants(self, letter: Letter) -> bool:
        names = PATTERNS.get(self.destination, [self.destination])
        return letter.destination in names and self.colour in (None, letter.headers.get("colour"))


@dataclass(eq=False)
class Delivery:
    """A message that a subscription holds; `read` when its client has seen it."""

    letter: Letter
    frame: STOMPFrame = field(repr=False)

    def __post_init__(self) -> None:
        self.read = False
        self.claimed_by: Transaction | None = None


@dataclass(eq=False)
class Transaction:
    """What COMMIT has to do, step by step; what is to be sent; and who holds what it claims."""

    name: str

    def __post_init__(self) -> None:
        self.steps: list[Step] = []
        self.letters: list[Letter] = []
        self.claimants: list[Subscription] = []


class Model:
    """What a broker has to do, without how.

    Attributes:
        clients: those that are connected.
        letters: all that were ever sent to queues, in the order of sending.
        counts: what `Destinations.counts` has to say.
    """

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.letters: list[Letter] = []
        self.counts: Counter[str] = Counter()

    @property
    def subscriptions(self) -> list[Subscription]:
        return [one for client in self.clients for one in client.subscriptions]

    def waiting(self) -> list[Letter]:
        return [letter for letter in self.letters if letter.at is At.WAITING]

    # -- what clients do ---------------------------------------------------------------------

    def publish(self, letter: Letter) -> None:
        """A message has come: it waits in its queue, or is due to all who want it now."""
        self.counts["received"] += 1
        if letter.for_queue:
            self.letters.append(letter)
            return
        for subscription in self.subscriptions:
            if subscription.wants(letter):
                subscription.due.append(letter)
                if not subscription.ready:
                    self._drop(subscription)

    def _drop(self, subscription: Subscription) -> None:
        """The oldest are dropped when there are too many; the newest is kept in any case."""
        due = subscription.due
        while len(due) > 1 and sum(letter.octets for letter in due) > MAX_BACKLOG:
            due.pop(0)
            subscription.dropped += 1
            self.counts["dropped"] += 1

    def settle(self, subscription: Subscription, deliveries: list[Delivery], command: str) -> None:
        """An ACK or NACK counts now."""
        for delivery in deliveries:
            subscription.held.remove(delivery)
            letter = delivery.letter
            if command == "ACK":
                self.counts["acknowledged"] += letter.for_queue
                letter.at = At.DONE
            elif letter.for_queue:
                self._refuse(letter)

    def _refuse(self, letter: Letter) -> None:
        """Back to its queue, or after too many refusals to the dead letters."""
        if letter.given < MAX_DELIVERIES or letter.destination in DEAD_LETTERS:
            letter.at = At.WAITING
            return
        letter.at = At.DEAD
        self.counts["dead_lettered"] += 1
        name = DEAD_LETTERS[QUEUES.index(letter.destination)]
        more = {"original-destination": letter.destination, "deliveries": str(letter.given)}
        self.publish(Letter(letter.number, name, letter.headers | more, letter.padding))

    def abort(self, client: Client, transaction: Transaction) -> None:
        """It is as if nothing in it had been sent; what a subscription that ended since had
        acknowledged goes back."""
        client.transactions.remove(transaction)
        for subscription in transaction.claimants:
            for delivery in list(subscription.held):
                if delivery.claimed_by is transaction:
                    delivery.claimed_by = None
                    if not subscription.active:
                        self._give_back(subscription, delivery)

    def unsubscribe(self, subscription: Subscription) -> None:
        """What it holds goes back, but for what an open transaction claims."""
        subscription.client.subscriptions.remove(subscription)
        for delivery in list(subscription.held):
            if delivery.claimed_by is None:
                self._give_back(subscription, delivery)
        self.counts["dropped"] += len(subscription.due)
        subscription.due.clear()

    def _give_back(self, subscription: Subscription, delivery: Delivery) -> None:
        subscription.held.remove(delivery)
        if delivery.letter.for_queue:
            delivery.letter.at = At.WAITING

    def leave(self, client: Client) -> None:
        """A client is gone, however it went."""
        for transaction in list(client.transactions):
            self.abort(client, transaction)
        for subscription in list(client.subscriptions):
            self.unsubscribe(subscription)
        self.clients.remove(client)

    # -- what the broker does ----------------------------------------------------------------

    def next_for(self, subscription: Subscription) -> Letter | None:
        """The only message that a subscriber may be given now."""
        wanted = (letter for letter in self.waiting() if subscription.wants(letter))
        return next(iter(subscription.due or wanted), None)

    def objection(self, client: Client, frame: STOMPFrame) -> str:
        """Why the broker may not send a client this frame now; empty if it may."""
        if frame.Command != "MESSAGE":
            due = client.answers[0] if client.answers else None
            wrong = (frame.Command, frame.get("receipt-id")) != due
            return f"{client.name} gets {frame!r}, due is {due}" if wrong else ""
        subscription = self.receiver(client, frame)
        if subscription is None:
            return f"{client.name} gets {frame!r} and has no such subscription"
        letter = self.next_for(subscription)
        if not subscription.ready:
            return f"{frame!r} comes to {subscription}, which is not ready"
        if letter is None or not carries(frame, letter):
            return f"{frame!r} comes to {subscription}, due is {letter}"
        return ""

    def take(self, client: Client, frame: STOMPFrame, octets: bytes) -> None:
        """The broker sends a frame to which there is no objection."""
        if frame.Command != "MESSAGE":
            client.answers.popleft()
            client.unread.append((octets, None))
            return
        client.unread.append((octets, self._deliver(client, frame)))
        client.full = client.unread_octets >= UNREAD_LIMIT

    def _deliver(self, client: Client, frame: STOMPFrame) -> Delivery:
        subscription = self.receiver(client, frame)
        assert subscription is not None
        letter = self.next_for(subscription)
        assert letter is not None
        delivery = Delivery(letter, frame)
        self.counts["delivered"] += 1
        self.counts["redelivered"] += letter.given > 0
        if letter.for_queue:
            letter.given += 1
            letter.at = At.HELD
        else:
            subscription.due.pop(0)
        subscription.held.append(delivery)
        if subscription.mode == "auto":
            self.settle(subscription, [delivery], "ACK")
        return delivery

    @staticmethod
    def receiver(client: Client, frame: STOMPFrame) -> Subscription | None:
        """Whom a MESSAGE is for; in STOMP 1.0, where there may be no id, its destination says."""
        named = frame.get("subscription")
        for subscription in client.subscriptions:
            meant = named or subscription.destination == frame["destination"]
            if subscription.id == named and meant:
                return subscription
        return None

    # -- what there is -----------------------------------------------------------------------

    def described(self) -> dict[str, dict[str, int]]:
        """What `Destinations.described` has to say, as far as it is told here."""
        there: dict[str, Counter[str]] = defaultdict(Counter)
        for one in self.subscriptions:
            octets = sum(letter.octets for letter in one.due)
            there[one.destination].update(
                subscribers=1, unacknowledged=len(one.held), waiting=len(one.due), octets=octets
            )
        for letter in self.letters:
            if letter.at in (At.WAITING, At.HELD):
                waits = int(letter.at is At.WAITING)
                there[letter.destination].update(waiting=waits, octets=letter.octets)
        for letter in self._to_be_sent():
            if letter.for_queue:
                there[letter.destination].update(octets=letter.octets)
        names = ("subscribers", "unacknowledged", "waiting", "octets")
        return {place: {name: told[name] for name in names} for place, told in there.items()}

    def octets(self) -> int:
        """What the messages of queues and transactions take in memory."""
        lying = (one for one in self.letters if one.at in (At.WAITING, At.HELD))
        return sum(one.octets for one in (*lying, *self._to_be_sent()))

    def kept_octets(self) -> int:
        """What topics keep for those who do not read, each message once."""
        kept = {id(letter): letter for one in self.subscriptions for letter in one.due}
        return sum(letter.octets for letter in kept.values())

    def _to_be_sent(self) -> Iterable[Letter]:
        for client in self.clients:
            for transaction in client.transactions:
                yield from transaction.letters


def carries(frame: STOMPFrame, letter: Letter) -> bool:
    """Whether a MESSAGE is that letter, and says ``redelivered`` if and only if it has to."""
    headers = {"destination": letter.destination, **letter.headers}
    if letter.given:
        headers["redelivered"] = "true"
    told = {name: frame[name] for name in (*headers, "redelivered") if name in frame}
    return told == headers and frame.Body == letter.body


# -- The machine -----------------------------------------------------------------------------


class SeenOutbox(Outbox):
    """An outbox that shows each frame when it is put in, long before its client reads it."""

    def __init__(self, show: Callable[[bytes], None]) -> None:
        super().__init__()
        self._show = show

    def put(self, octets: bytes) -> None:
        self._show(octets)
        super().put(octets)

    def put_frame(self, head: bytes, body: bytes) -> None:
        whole = Outbox()
        whole.put_frame(head, body)
        self.put(b"".join(whole.take(whole.size)))


def decoded(octets: bytes, version: str) -> STOMPFrame:
    decoder = wire.FrameDecoder(version)
    decoder.feed(octets)
    (frame,) = decoder.frames()
    return frame


VERSIONS = st.sampled_from(["1.0", "1.1", "1.2"])
MODES = st.sampled_from(["auto", *2 * ["client", "client-individual"]])
COLOURS = st.sampled_from(["red", "blue"])
SELECTORS = st.sampled_from([None, "red", "blue"])
PREFETCH = st.sampled_from([None, 1, 2, 3])
PADDING = st.sampled_from([0, 100, 700])  # of the last, two are more than `UNREAD_LIMIT`
WAYS_TO_GO = ["lost", "lost within a frame", "bye", "error"]
PORTIONS = st.sampled_from([1, 600, 10_000])
PADDINGS = st.lists(PADDING, min_size=1, max_size=3)


class BrokerMachine(RuleBasedStateMachine):
    """Clients that do what they like, within the protocol."""

    def __init__(self) -> None:
        super().__init__()
        self._patch = patch.object(session_module, "UNREAD_LIMIT", UNREAD_LIMIT)
        self._patch.start()
        limits = Limits(max_backlog=MAX_BACKLOG, max_deliveries=MAX_DELIVERIES)
        log = EventLog()
        self.destinations = Destinations(limits, log)
        self.rules_ = Rules(self.destinations, log, limits)
        self.model = Model()
        self.now = 0.0
        self.names = 0
        self.seen: list[tuple[Client, bytes]] = []
        self.sound = True  # until a check fails

    # -- how a step is checked ---------------------------------------------------------------

    def check(self, *steps: Step) -> None:
        """Hold what the broker has just put out against the model, where `steps` happen in order.

        The broker may send between them: the next step is done in the model when that is needed
        to allow what was sent.
        """
        self.sound = False
        ahead = deque(steps)
        for client, octets in self.seen:
            frame = decoded(octets, client.version)
            while (objection := self.model.objection(client, frame)) and ahead:
                ahead.popleft()()
            assert not objection, objection
            self.model.take(client, frame, octets)
        self.seen.clear()
        for step in ahead:
            step()
        self.check_rest()
        self.sound = True

    def check_rest(self) -> None:
        """Nothing is missing, and the broker says of itself what is true."""
        there = self.destinations
        for one in self.model.subscriptions:
            due = self.model.next_for(one)
            assert due is None or not one.ready, f"{one} is ready and does not get {due}"
        for client in self.model.clients:
            told = client.session.described()
            assert told["dropped"] == sum(one.dropped for one in client.subscriptions)
            assert told["unacknowledged"] == sum(len(one.held) for one in client.subscriptions)
            assert told["unsent"] == client.unread_octets
        expected = self.model.described()
        described = {str(told["destination"]): told for told in there.described()}
        assert described.keys() == expected.keys()
        for name, told in expected.items():
            assert told.items() <= described[name].items(), (name, told, described[name])
        assert there.memory.octets == self.model.octets()
        assert there.kept.octets == self.model.kept_octets()
        counts = vars(there.counts())
        assert counts == {name: self.model.counts[name] for name in counts}

    def new_name(self) -> str:
        self.names += 1
        return f"n{self.names}"

    def frame(
        self,
        client: Client,
        command: str,
        headers: dict[str, str],
        *steps: Step,
        receipt: bool,
    ) -> None:
        """A client sends one frame, which has that effect."""
        self.frames(client, [(command, headers, b"")], [steps], receipt)

    def frames(
        self,
        client: Client,
        frames: Iterable[tuple[str, dict[str, str], bytes]],
        effects: Iterable[Iterable[Step]],
        receipts: bool,
    ) -> None:
        """A client sends frames in one portion."""
        self.now += 1
        data, steps = b"", []
        for (command, headers, body), effect in zip(frames, effects, strict=True):
            steps += effect
            if receipts:
                headers = {**headers, "receipt": self.new_name()}
                steps.append(partial(client.answers.append, ("RECEIPT", headers["receipt"])))
            data += wire.encode(command, headers, body, client.version)
        client.session.receive(data, self.now)
        self.check(*steps)
        assert not client.answers, f"{client} has not got {client.answers}"

    # -- coming and going --------------------------------------------------------------------

    @initialize(data=st.data(), versions=st.lists(VERSIONS, min_size=CLIENTS, max_size=CLIENTS))
    def start(self, data: st.DataObject, versions: list[str]) -> None:
        """Some clients connect, and begin with the same queue."""
        for version in versions:
            self.subscribe(data, self.new_client(version), QUEUES[0])

    def new_client(self, version: str) -> Client:
        name = self.new_name()
        client = Client(name, version, Session(self.rules_, name, self.now, lambda: None))
        client.session.outbox = SeenOutbox(lambda octets: self.seen.append((client, octets)))
        self.model.clients.append(client)
        client.answers.append(("CONNECTED", None))
        self.frame(client, "CONNECT", {"accept-version": version, "host": "/"}, receipt=False)
        return client

    def one_of(self, data: st.DataObject, clients: Iterable[Client] | None = None) -> Client:
        return data.draw(st.sampled_from(list(clients or self.model.clients)), "client")

    @precondition(lambda self: len(self.model.subscriptions) >= ENOUGH_SUBSCRIPTIONS)
    @rule(data=st.data(), how=st.sampled_from(WAYS_TO_GO), version=VERSIONS)
    def leave(self, data: st.DataObject, how: str, version: str) -> None:
        """A client goes, by one of the ways there are, and another one comes."""
        client = self.one_of(data)
        if how == "bye":
            self.disconnect(client)
        elif how == "error":
            self.err(client)
        else:
            self.lose(client, half=how == "lost within a frame")
        self.new_client(version)

    def disconnect(self, client: Client) -> None:
        """DISCONNECT: all that was sent before can be read still."""
        self.frame(client, "DISCONNECT", {}, partial(self.model.leave, client), receipt=True)
        self.read_all(client)

    def err(self, client: Client) -> None:
        """A client does what it must not do, is told so, and is gone."""
        client.answers.append(("ERROR", None))
        gone = partial(self.model.leave, client)
        self.frame(client, "COMMIT", {"transaction": "never begun"}, gone, receipt=False)

    def lose(self, client: Client, half: bool = False) -> None:
        """The connection breaks off, perhaps within a frame; what was not read is lost with it."""
        if half:
            octets = wire.encode("SEND", {"destination": QUEUES[0]}, b"half", client.version)
            client.session.receive(octets[:-2], self.now)
        client.session.end("lost")
        self.check(partial(self.model.leave, client))

    # -- reading -----------------------------------------------------------------------------

    @precondition(lambda self: not any(client.paused for client in self.model.clients))
    @rule(data=st.data())
    def pause(self, data: st.DataObject) -> None:
        """A client reads nothing any more, but for `read`."""
        self.one_of(data).paused = True

    @precondition(lambda self: any(client.unread for client in self.model.clients))
    @rule(data=st.data(), octets=PORTIONS)
    def read(self, data: st.DataObject, octets: int) -> None:
        self.read_some(self.one_of(data, (one for one in self.model.clients if one.unread)), octets)

    @invariant()
    def all_read(self) -> None:
        """After each step clients read what has come, but for one that has paused."""
        while self.sound and (
            waiting := [one for one in self.model.clients if one.unread and not one.paused]
        ):
            self.read_all(waiting[0])

    def read_some(self, client: Client, octets: int) -> None:
        self.now += 1
        data = b"".join(client.session.take_output(octets, self.now))
        self.check(partial(client.read, data))

    def read_all(self, client: Client) -> None:
        while client.unread:
            self.read_some(client, 1000)

    # -- subscriptions -----------------------------------------------------------------------

    @precondition(lambda self: len(self.model.subscriptions) < MAX_SUBSCRIPTIONS)
    @rule(data=st.data(), queue=st.sampled_from([*QUEUES, DEAD_LETTERS[0]]))
    def subscribe_to_queue(self, data: st.DataObject, queue: str) -> None:
        self.subscribe(data, self.one_of(data), queue)

    @precondition(lambda self: len(self.model.subscriptions) < MAX_SUBSCRIPTIONS)
    @rule(data=st.data(), topic=st.sampled_from([*TOPICS, *PATTERNS]))
    def subscribe_to_topic(self, data: st.DataObject, topic: str) -> None:
        self.subscribe(data, self.one_of(data), topic)

    def subscribe(self, data: st.DataObject, client: Client, destination: str) -> None:
        mode, prefetch, colour = (
            data.draw(options, label)
            for options, label in ((MODES, "mode"), (PREFETCH, "prefetch"), (SELECTORS, "colour"))
        )
        if self.could_mean_two(client, destination):
            mode = "auto"
        headers = {"destination": destination, "ack": mode}
        if prefetch is not None:
            headers["prefetch-count"] = str(prefetch)
        if colour is not None:
            headers["selector"] = f"colour = '{colour}'"
        if not self.may_do_without_id(client, destination) or data.draw(st.booleans(), "with id"):
            headers["id"] = self.new_name()
        new = Subscription(client, headers.get("id"), destination, mode, prefetch, colour)
        done = partial(client.subscriptions.append, new)
        self.frame(client, "SUBSCRIBE", headers, done, receipt=data.draw(st.booleans(), "receipt"))

    @staticmethod
    def could_mean_two(client: Client, destination: str) -> bool:
        """STOMP 1.0: an ACK does not say for which of the subscriptions to topics it is."""
        held = [one.destination for one in client.subscriptions if one.mode != "auto"]
        topics = {*TOPICS, *PATTERNS}
        return client.version == "1.0" and destination in topics and not topics.isdisjoint(held)

    @staticmethod
    def may_do_without_id(client: Client, destination: str) -> bool:
        """STOMP 1.0: once for each destination; with a pattern nobody could tell what it is for."""
        taken = [one.destination for one in client.subscriptions if one.id is None]
        return client.version == "1.0" and destination not in (*taken, *PATTERNS)

    @precondition(lambda self: len(self.model.subscriptions) >= ENOUGH_SUBSCRIPTIONS)
    @rule(data=st.data(), receipt=st.booleans())
    def unsubscribe(self, data: st.DataObject, receipt: bool) -> None:
        ended = data.draw(st.sampled_from(self.model.subscriptions), "subscription")
        headers = {"destination": ended.destination} if ended.id is None else {"id": ended.id}
        done = partial(self.model.unsubscribe, ended)
        self.frame(ended.client, "UNSUBSCRIBE", headers, done, receipt=receipt)

    # -- messages ----------------------------------------------------------------------------

    def transaction(self, data: st.DataObject, client: Client) -> Transaction | None:
        """Perhaps one of the client's, perhaps a new one."""
        if not data.draw(st.booleans(), "in a transaction"):
            return None
        new = Transaction(self.new_name())
        chosen: Transaction = data.draw(st.sampled_from([*client.transactions, new]), "which")
        if chosen is new:
            done = partial(client.transactions.append, new)
            self.frame(client, "BEGIN", {"transaction": new.name}, done, receipt=True)
        return chosen

    @rule(data=st.data(), queue=st.sampled_from(QUEUES))
    def send_to_queue(self, data: st.DataObject, queue: str) -> None:
        self.send(data, queue)

    @rule(data=st.data(), topic=st.sampled_from(TOPICS))
    def send_to_topic(self, data: st.DataObject, topic: str) -> None:
        self.send(data, topic)

    def send(self, data: st.DataObject, destination: str) -> None:
        """A client sends some messages in one portion."""
        client = self.one_of(data)
        transaction = self.transaction(data, client)
        colour = data.draw(COLOURS, "colour")
        frames, effects = [], []
        for padding in data.draw(PADDINGS, "paddings"):
            self.names += 1
            letter = Letter(self.names, destination, {"colour": colour}, padding)
            headers = {"destination": destination, "colour": colour}
            publish = partial(self.model.publish, letter)
            if transaction is None:
                effects.append([publish])
            else:
                headers["transaction"] = transaction.name
                transaction.letters.append(letter)
                transaction.steps.append(publish)
                effects.append([])
            frames.append(("SEND", headers, letter.body))
        self.frames(client, frames, effects, data.draw(st.booleans(), "receipts"))

    def acknowledgeable(self) -> list[tuple[Subscription, Delivery]]:
        """What clients have read and not acknowledged yet, also not in a transaction."""
        return [
            (subscription, delivery)
            for subscription in self.model.subscriptions
            for delivery in subscription.held
            if delivery.read and delivery.claimed_by is None
        ]

    @precondition(lambda self: self.acknowledgeable())
    @rule(data=st.data(), times=st.integers(1, 3), receipt=st.booleans())
    def ack(self, data: st.DataObject, times: int, receipt: bool) -> None:
        for _ in range(times):
            self.acknowledge(data, "ACK", receipt)

    @precondition(lambda self: self.acknowledgeable())
    @rule(data=st.data(), times=st.integers(1, 3), receipt=st.booleans())
    def nack(self, data: st.DataObject, times: int, receipt: bool) -> None:
        for _ in range(times):
            self.acknowledge(data, "NACK", receipt)

    def acknowledge(self, data: st.DataObject, command: str, receipt: bool) -> None:
        there = self.acknowledgeable()
        if not there:
            return
        subscription, delivery = data.draw(st.sampled_from(there), "delivery")
        client, frame = subscription.client, delivery.frame
        if client.version == "1.2":
            headers = {"id": frame["ack"]}
        elif client.version == "1.1":
            headers = {name: frame[name] for name in ("message-id", "subscription")}
        else:
            command, headers = "ACK", {"message-id": frame["message-id"]}  # it has no NACK
        covered = [delivery]
        if subscription.mode == "client":
            until = subscription.held[: subscription.held.index(delivery) + 1]
            covered = [one for one in until if one.claimed_by is None]
        settle = partial(self.model.settle, subscription, covered, command)
        transaction = self.transaction(data, client)
        if transaction is None:
            self.frame(client, command, headers, settle, receipt=receipt)
            return
        headers["transaction"] = transaction.name
        transaction.claimants.append(subscription)
        transaction.steps.append(settle)
        for one in covered:
            one.claimed_by = transaction
        self.frame(client, command, headers, receipt=receipt)

    @precondition(lambda self: any(client.transactions for client in self.model.clients))
    @rule(data=st.data(), command=st.sampled_from(["COMMIT", "ABORT"]), receipt=st.booleans())
    def end_transaction(self, data: st.DataObject, command: str, receipt: bool) -> None:
        client = self.one_of(data, (one for one in self.model.clients if one.transactions))
        transaction = data.draw(st.sampled_from(client.transactions), "transaction")
        if command == "COMMIT":
            steps = [partial(client.transactions.remove, transaction), *transaction.steps]
        else:
            steps = [partial(self.model.abort, client, transaction)]
        self.frame(client, command, {"transaction": transaction.name}, *steps, receipt=receipt)

    # -- the end -----------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            if self.sound:
                self.drain()
        finally:
            self._patch.stop()

    def drain(self) -> None:
        """All clients are lost. A last one gets all that is left, in order, and then nothing is."""
        for client in list(self.model.clients):
            self.lose(client)
        last = self.new_client("1.2")
        for queue in (*QUEUES, *DEAD_LETTERS):
            new = Subscription(last, queue, queue, "auto", None, None)
            headers = {"destination": queue, "id": queue}
            done = partial(last.subscriptions.append, new)
            self.frame(last, "SUBSCRIBE", headers, done, receipt=False)
            self.read_all(last)
        self.frame(last, "DISCONNECT", {}, partial(self.model.leave, last), receipt=True)
        assert self.model.waiting() == []
        assert self.destinations.described() == []
        assert self.destinations.memory.octets == 0


TestBrokerModel = BrokerMachine.TestCase
TestBrokerModel.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
