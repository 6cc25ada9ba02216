"""One client's conversation with the broker: octets in, octets out. Pure: no sockets, no clock."""

from __future__ import annotations

import re
import uuid
from functools import partial
from typing import TYPE_CHECKING

from stompy import wire
from stompy.broker.destinations import Destinations, Message, Subscription
from stompy.errors import STOMPProtocolError
from stompy.frame import AckMode, STOMPFrame

if TYPE_CHECKING:
    from collections.abc import Callable

_COUNT = re.compile(r"[1-9][0-9]{0,8}")

# Headers of a SEND that are between its sender and the broker, or that the broker sets itself.
_NOT_PASSED_ON = frozenset(
    {"ack", "content-length", "destination", "message-id", "receipt", "redelivered"}
    | {"subscription", "transaction"}
)


class Refusal(Exception):
    """A frame that is answered by ERROR: `title` becomes its ``message``, `advice` its body."""

    def __init__(self, title: str, advice: str) -> None:
        super().__init__(title)
        self.title = title
        self.advice = advice


class Session:
    """The protocol state of one connection (STOMP 1.2, server side).

    Feed octets to `receive`, send what `take_output` gives, close when `closing` is set and all
    is sent, and call `end` once when the connection is gone.

    Attributes:
        closing: after an ERROR or a DISCONNECT: nothing more is read or written.
        ready: set to False while the client does not read what is sent to it.
        output_size: how many octets `take_output` would give.
    """

    def __init__(self, destinations: Destinations, on_output: Callable[[Session], None]) -> None:
        self.ready = True
        self.closing = False
        self.version: str | None = None
        self._destinations = destinations
        self._on_output = on_output
        self.output_size = 0
        self._decoder = wire.FrameDecoder()
        self._output: list[bytes] = []
        # By ("id", …), or in STOMP 1.0, where an id is optional, by ("destination", …).
        self._subscriptions: dict[tuple[str, str], Subscription] = {}
        self._transactions: dict[str, list[Callable[[], None]]] = {}
        self._handlers: dict[str, Callable[[STOMPFrame], None]] = {
            "SEND": self._in_transaction,
            "ACK": self._in_transaction,
            "NACK": self._in_transaction,
            "SUBSCRIBE": self._subscribe,
            "UNSUBSCRIBE": self._unsubscribe,
            "BEGIN": self._begin,
            "COMMIT": self._commit,
            "ABORT": self._abort,
            "DISCONNECT": self._disconnect,
        }

    # -- what the server calls ---------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take octets from the client and do what their frames ask for."""
        if not self.closing:
            self._decoder.feed(data)
            self._handle_complete()

    def _handle_complete(self) -> None:
        try:
            for frame in self._decoder.frames():
                self._handle(frame)
                if self.closing:
                    return
        except STOMPProtocolError as error:
            self._error(Refusal("malformed frame", str(error)), None)

    def take_output(self) -> bytes:
        """What is to be sent to the client since the last call."""
        output = b"".join(self._output)
        self._output.clear()
        self.output_size = 0
        return output

    def resume(self) -> None:
        """The client reads again: deliver what its queues held back."""
        self.ready = True
        for subscription in list(self._subscriptions.values()):
            self._destinations.dispatch(subscription)

    def end(self) -> None:
        """The connection is gone: its transactions are aborted, its messages go back."""
        self.closing = True
        self.ready = False
        self._transactions.clear()
        while self._subscriptions:
            _, subscription = self._subscriptions.popitem()
            self._destinations.unsubscribe(subscription)

    def deliver(self, subscription: Subscription, message: Message) -> None:
        """Write a MESSAGE (STOMP 1.2, "MESSAGE")."""
        headers = {"destination": message.destination, "message-id": message.id}
        if subscription.id is not None:
            headers["subscription"] = subscription.id
        if self.version == "1.2" and subscription.ack_mode is not AckMode.Auto:
            headers["ack"] = f"{message.id},{subscription.id}"
        if message.deliveries:
            headers["redelivered"] = "true"
        headers.update(self._writable(message.headers))
        if message.body:
            headers["content-length"] = str(len(message.body))
        self._write("MESSAGE", headers, message.body)

    # -- reading and writing -----------------------------------------------------------------

    def _handle(self, frame: STOMPFrame) -> None:
        try:
            if self.version is None:
                self._connect(frame)
                return
            handler = self._handlers.get(frame.Command)
            if handler is None:
                raise Refusal(
                    f"unknown command {frame.Command[:40]!r}",
                    f"A client of STOMP {self.version} sends one of {', '.join(self._handlers)}.",
                )
            handler(frame)
        except Refusal as refusal:
            self._error(refusal, frame)
            return
        if "receipt" in frame:
            self._write("RECEIPT", {"receipt-id": frame["receipt"]})

    def _write(self, command: str, headers: dict[str, str], body: bytes = b"") -> None:
        octets = wire.encode(command, headers, body, self.version or "1.2")
        self._output.append(octets)
        self.output_size += len(octets)
        self._on_output(self)

    def _writable(self, headers: dict[str, str]) -> dict[str, str]:
        """What a MESSAGE carries of its SEND's headers; 1.0 has no way to write line ends."""
        if self.version != "1.0":
            return headers
        return {n: v for n, v in headers.items() if wire.fits_unescaped(n, v)}

    def _error(self, refusal: Refusal, frame: STOMPFrame | None, **headers: str) -> None:
        """Say what was wrong, then close (STOMP 1.2, "ERROR")."""
        body = f"{refusal.advice}\n".encode()
        headers = {
            "message": refusal.title,
            "content-type": "text/plain",
            "content-length": str(len(body)),
            **headers,
        }
        if frame is not None and "receipt" in frame:
            headers["receipt-id"] = frame["receipt"]
        if self.version == "1.0":
            headers = {name: value.replace("\n", " ") for name, value in headers.items()}
        self._write("ERROR", headers, body)
        self.end()

    def _need(self, frame: STOMPFrame, name: str) -> str:
        if name not in frame:
            raise Refusal(
                f"{frame.Command} without {name}",
                f"A {frame.Command} frame of STOMP {self.version} needs the header {name}.",
            )
        return frame[name]

    # -- the frames --------------------------------------------------------------------------

    def _connect(self, frame: STOMPFrame) -> None:
        """STOMP 1.2, "Connecting" and "Protocol Negotiation"."""
        if frame.Command not in ("CONNECT", "STOMP"):
            raise Refusal(
                "not connected", f"The first frame must be CONNECT, not {frame.Command[:40]!r}."
            )
        offered = {version.strip() for version in frame.get("accept-version", "1.0").split(",")}
        common = offered.intersection(wire.VERSIONS)
        if not common:
            refusal = Refusal(
                "no common version", f"This broker speaks STOMP {', '.join(wire.VERSIONS)}."
            )
            self._error(refusal, None, version=",".join(wire.VERSIONS))
            return
        self.version = self._decoder.version = max(common)
        headers = {"session": uuid.uuid4().hex, "server": "stompy"}
        if self.version != "1.0":
            headers |= {"version": self.version, "heart-beat": "0,0"}
        self._write("CONNECTED", headers)

    def _disconnect(self, _: STOMPFrame) -> None:
        self.end()

    def _in_transaction(self, frame: STOMPFrame) -> None:
        """SEND, ACK, NACK: at once, or at the COMMIT of the transaction they name.

        What can be wrong with them is wrong at once, so that a COMMIT does all or nothing.
        """
        if frame.Command == "SEND":
            self._need(frame, "destination")
            step = partial(self._send, frame)
        else:
            step = partial(self._settle, frame.Command, *self._pending(frame))
        if "transaction" in frame:
            self._transaction(frame).append(step)
        else:
            step()

    def _send(self, frame: STOMPFrame) -> None:
        headers = {n: v for n, v in frame.Headers.items() if n not in _NOT_PASSED_ON}
        self._destinations.send(frame.destination, headers, frame.Body)

    def _settle(self, command: str, subscription: Subscription, message_id: str) -> None:
        if message_id in subscription.pending:  # else an earlier step of the transaction covered it
            answer = self._destinations.ack if command == "ACK" else self._destinations.nack
            answer(subscription, message_id)

    def _pending(self, frame: STOMPFrame) -> tuple[Subscription, str]:
        """Which delivered message an ACK or NACK means (ACK in the three specifications)."""
        if self.version == "1.2":
            message_id, _, sub_id = self._need(frame, "id").partition(",")
        else:
            message_id, sub_id = self._need(frame, "message-id"), frame.get("subscription", "")
        if self.version == "1.1":
            self._need(frame, "subscription")
        candidates = (
            self._subscriptions.values()
            if self.version == "1.0"
            else filter(None, [self._subscriptions.get(("id", sub_id))])
        )
        for subscription in candidates:
            if message_id in subscription.pending:
                return subscription, message_id
        raise Refusal(
            f"{frame.Command} of an unknown message",
            "No message of that id waits for an acknowledgement on this connection: it may be "
            "acknowledged already, or its subscription is in auto mode or has ended.",
        )

    def _subscribe(self, frame: STOMPFrame) -> None:
        destination = self._need(frame, "destination")
        sub_id = frame.get("id") if self.version == "1.0" else self._need(frame, "id")
        key = ("destination", destination) if sub_id is None else ("id", sub_id)
        if key in self._subscriptions:
            raise Refusal(
                "subscription id in use",
                "This connection has a subscription with that id already, or in STOMP 1.0 one "
                "without an id to the same destination.",
            )
        try:
            mode = AckMode(frame.get("ack", "auto"))
        except STOMPProtocolError as error:
            raise Refusal(error.Message, f"It is one of {', '.join(AckMode)}.") from None
        prefetch = frame.get("prefetch-count", "")
        limit = int(prefetch) if _COUNT.fullmatch(prefetch) else None
        subscription = Subscription(self, sub_id, destination, mode, limit)
        self._subscriptions[key] = subscription
        self._destinations.subscribe(subscription)

    def _unsubscribe(self, frame: STOMPFrame) -> None:
        if self.version == "1.0" and "id" not in frame:
            key = ("destination", self._need(frame, "destination"))
        else:
            key = ("id", self._need(frame, "id"))
        subscription = self._subscriptions.pop(key, None)
        if subscription is None:
            raise Refusal("no such subscription", f"There is none with the {key[0]} {key[1]!r}.")
        self._destinations.unsubscribe(subscription)

    def _begin(self, frame: STOMPFrame) -> None:
        transaction = self._need(frame, "transaction")
        if transaction in self._transactions:
            raise Refusal(
                "transaction id in use", f"The transaction {transaction!r} is open already."
            )
        self._transactions[transaction] = []

    def _commit(self, frame: STOMPFrame) -> None:
        for step in self._end_transaction(frame):
            step()

    def _abort(self, frame: STOMPFrame) -> None:
        self._end_transaction(frame)

    def _transaction(self, frame: STOMPFrame) -> list[Callable[[], None]]:
        transaction = self._need(frame, "transaction")
        if transaction not in self._transactions:
            raise Refusal(
                "no such transaction",
                f"The transaction {transaction!r} is not open: BEGIN it first.",
            )
        return self._transactions[transaction]

    def _end_transaction(self, frame: STOMPFrame) -> list[Callable[[], None]]:
        steps = self._transaction(frame)
        del self._transactions[frame["transaction"]]
        return steps
