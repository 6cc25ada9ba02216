"""The client: what a program says and hears in STOMP, whatever the version of its broker."""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from stompy import wire
from stompy.address import parse_addresses
from stompy.compose import (
    ANSWER_HEADERS,
    MessageEncoder,
    answer_headers,
    compose,
    header_texts,
    need_destination,
)
from stompy.connection import SEND_LIMIT
from stompy.connector import Connector, check_terms
from stompy.dialect import dialect_of
from stompy.errors import (
    STOMPClosed,
    STOMPError,
    STOMPProtocolError,
    STOMPTimeout,
    broker_error,
    warn_unsent,
)
from stompy.frame import AckId, AckMode, STOMPFrame
from stompy.handshake import Terms
from stompy.receipt import Receipt
from stompy.reconnect import ClientState, ReconnectPolicy, Recovery, States, policy_of
from stompy.subscription import STOMPSubscription
from stompy.tls import StrPath, TLSOptions
from stompy.trace import Tape, Trace
from stompy.transaction import STOMPTransaction
from stompy.transport import LONGEST_WAIT

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping
    from typing import Self

    from stompy.connection import Connection
    from stompy.connector import Session
    from stompy.trace import TracedFrame

__all__ = ["STOMPClient", "STOMPSubscription", "STOMPTransaction", "connect"]

_log = logging.getLogger(__name__)

_BOUND = frozenset({"ACK", "NACK", "UNSUBSCRIBE", "COMMIT", "ABORT", "DISCONNECT"})
"""Frames about something that ended with its connection, if that has ended."""

_OF_SUBSCRIBE = {"ack": "ack_mode=", "destination": "dest", "id": "id=", "receipt": "receipt="}
"""Headers of SUBSCRIBE that are said by an argument, and by which."""

CONNECT_LIMIT = 8.0
"""Seconds that one address may take to answer CONNECT, all phases together."""
HEART_BEAT = (10_000, 10_000)
"""Milliseconds: how often we can send, and how often we want to hear."""
DISCONNECT_LIMIT = 2.0
"""Seconds that `STOMPClient.disconnect` waits for its receipt."""


def connect(addr_list: Any, **args: Any) -> STOMPClient:
    """Connect to a broker: make a `STOMPClient`, call its `connect`, return it.

    Args:
        addr_list: one address or a list of them, tried in order; see `STOMPClient.connect`.
        args: as for `STOMPClient.connect`.

    Example:
        >>> client = stompy.connect(("127.0.0.1", 61613), login="guest", passcode="guest")
    """
    client = STOMPClient()
    client.connect(addr_list, **args)
    return client


def _tell(
    ref: weakref.ref[STOMPClient],
    on_state: Callable[[STOMPClient, ClientState], object],
    state: ClientState,
) -> None:
    """Call back, unless the client was forgotten; it must not keep itself alive by this."""
    client = ref()
    if client is not None:
        on_state(client, state)


class STOMPClient:
    """A connection to a STOMP 1.0, 1.1 or 1.2 broker.

    Frames come by `recv`, by iteration and by `loop`; any thread may send, acknowledge, subscribe
    and disconnect meanwhile. Where several threads receive, each frame goes to one of them.

    An interrupt (Ctrl-C) leaves the connection usable. The frame that was just being handed over
    may be lost, as with `queue.get`; over a WebSocket, an interrupt in the middle of its work, and
    not of a wait, may end the connection.

    Attributes:
        BrokerAddress: the ``(host, port)`` that answered, or the path of its Unix socket; None
            before `connect`.
        address: the same as text, for people.
        version: the protocol version agreed on.
        server: the broker's ``server`` header, ``""`` when it has none.

    Example:
        >>> client = stompy.connect(("127.0.0.1", 61613))
        >>> client.subscribe("/topic/prices")
        '1'
        >>> for frame in client:
        ...     print(frame.destination, frame.text)
    """

    def __init__(self) -> None:
        self.BrokerAddress: tuple[str, int] | str | None = None
        self.address = ""
        self.version = "1.2"
        self.server = ""
        self._client_id: str | None = None
        self._encoder = MessageEncoder(self.version)
        self._connection: Connection | None = None
        self._subscriptions: dict[str, STOMPSubscription] = {}
        self._sends_acks = False  # whether one of the subscriptions so far wanted that
        self._ids = itertools.count(1)
        self._recovery: Recovery | None = None
        self._states = States()
        self._changing = threading.Lock()  # held while another connection becomes the client's
        # Held while a subscription is entered and sent, so that one is not sent twice, by
        # `subscribe` and by what brings a lost connection back.
        self._subscribing = threading.RLock()
        self._subscriber: int | None = None  # the thread in `subscribe`

    # -- connecting and leaving --------------------------------------------------------------

    def connect(
        self,
        addr_list: Any,
        login: str | None = None,
        passcode: str | None = None,
        headers: Mapping[str, Any] = {},
        *,
        timeout: float | None = None,
        vhost: str | None = None,
        versions: tuple[str, ...] = wire.VERSIONS,
        heart_beat: tuple[int, int] = HEART_BEAT,
        tls: bool | ssl.SSLContext | None = None,
        cert_file: StrPath | None = None,
        key_file: StrPath | None = None,
        ca_file: StrPath | None = None,
        key_password: str | None = None,
        check_hostname: bool = True,
        verify: bool = True,
        server_hostname: str | None = None,
        ws_headers: Mapping[str, str] = {},
        max_body: int = wire.MAX_BODY,
        max_headers: int = wire.MAX_HEADERS,
        max_header_line: int = wire.MAX_HEADER_LINE,
        reconnect: bool | ReconnectPolicy = False,
        on_state: Callable[[STOMPClient, ClientState], None] | None = None,
        trace: Callable[[TracedFrame], object] | Tape | None = None,
        **kv_headers: Any,
    ) -> STOMPFrame:
        """Connect to the first address that answers (STOMP 1.2, "Connecting").

        Args:
            addr_list: ``("host", 61613)``, ``"host:61613"``, a URL (``stomp://``,
                ``stomp+ssl://``, ``ws://``, ``wss://``, ``stomp+unix://``; see
                `stompy.address.parse_address`), a connected socket, or a list of such, tried in
                order until one gives CONNECTED.
            login, passcode: who connects; kept in no text that this package makes.
            headers, kv_headers: more headers of the CONNECT frame.
            timeout: seconds that one address may take, all phases together; 8 when None.
            vhost: the ``host`` header, ``"/"`` by default.
            versions: the protocol versions to offer.
            heart_beat: milliseconds: how often we can send, how often we want to hear; 0 is
                never (STOMP 1.2, "Heart-beating").
            tls: True for TLS by the system's authorities, or an `ssl.SSLContext`.
            cert_file, key_file, key_password: our certificate, for a broker that wants one.
            ca_file: the authorities to trust instead of the system's. Each of these files asks
                for TLS, as ``stomp+ssl://`` and ``wss://`` do.
            check_hostname, verify: False leaves out the check of the host name, or all checks;
                a warning says so.
            server_hostname: whom the broker's certificate has to name, where that is not the host
                of the address, as behind a tunnel.
            ws_headers: more headers of the HTTP request that opens a WebSocket.
            max_body: bytes that a body may have.
            max_headers, max_header_line: how many headers a frame may have, and bytes one of them.
            reconnect: True, or a `ReconnectPolicy`, to come back after the connection was lost:
                with all subscriptions, in whichever thread receives or sends next. Iteration and
                `loop` go on. It gives up when the broker refuses the login.
            on_state: is called with the client and the new `ClientState` at each change, one
                after the other, in a thread that has noticed one. It may use the client.
            trace: is called with a `TracedFrame` for each frame and heart-beat, both ways, in the
                thread that sends or reads it; with its octets and time, the passcode masked. It
                has to be quick, and must not use the client. Or a `Tape`, that is asked for them.

        Returns:
            The CONNECTED frame.

        Raises:
            STOMPAddressError: `addr_list` holds something that is no address.
            STOMPConnectError: no address gave CONNECTED; the error says of each what happened.
            STOMPError: the arguments contradict each other.

        Example:
            >>> client = STOMPClient()
            >>> client.connect("stomp+ssl://broker.example", ca_file="ca.pem")["server"]
            'RabbitMQ/3.13.7'
        """
        if self._connection is not None and self._connection.open:
            raise STOMPError("this client is connected already", hint="disconnect() it first")
        more = {**headers, **kv_headers}
        terms = Terms(
            versions,
            CONNECT_LIMIT if timeout is None else min(timeout, LONGEST_WAIT),
            check_terms(versions, heart_beat, more, ws_headers),
            server_hostname=server_hostname,
            ws_headers=ws_headers,
            max_body=max_body,
            max_headers=max_headers,
            max_header_line=max_header_line,
            trace=trace if trace is None or isinstance(trace, Tape) else Trace(trace),
        )
        secured = TLSOptions(
            tls, cert_file, key_file, ca_file, key_password, check_hostname, verify
        )
        addresses = parse_addresses(addr_list)
        connector = Connector(addresses, login, passcode, vhost, more, terms, secured)
        policy = policy_of(reconnect)
        if policy and any(address.sock for address in addresses):
            raise STOMPError("a given socket cannot be connected again", hint="give an address")
        with self._changing:
            if self._recovery is not None:
                self._recovery.stop()
        self._states.change(ClientState.Closed)
        session = connector.connect()
        self._subscriptions.clear()
        self._states.tell = on_state and functools.partial(_tell, weakref.ref(self), on_state)
        self._take_over(session, policy and Recovery(connector, policy))
        self._states.flush()
        return session.connected

    def _take_over(self, session: Session, recovery: Recovery | None) -> None:
        """Make a new connection the client's: with its subscriptions, and before anybody sends.

        Raises:
            STOMPClosed: the connection is lost again, or the recovery was stopped meanwhile.
        """
        connected, connection, address, client_id = session
        version = connected.get("version", "1.0")
        with self._subscribing:
            for subscription in self._subscriptions.values():
                connection.send(wire.encode("SUBSCRIBE", subscription.headers, version=version))
            with self._changing:
                if recovery is not None and not recovery.goes_on:
                    raise STOMPClosed("the client does not want to come back any more")
                self.BrokerAddress, self.address = address.pair, str(address)
                self.version, self.server = version, connected.get("server", "")
                self._client_id = client_id
                self._encoder = MessageEncoder(version)
                if recovery is not None and recovery is self._recovery:
                    self._carry_over(connection)
                self._connection, self._recovery = connection, recovery
                connection.client = weakref.ref(self)
                self._states.note(ClientState.Connected)
        if not connection.open:  # it ended before it could say so
            self._note_end()

    def _carry_over(self, connection: Connection) -> None:
        """Move what was received by the lost connection, and not taken yet, to the next one."""
        lost = self._live()
        with contextlib.suppress(IndexError):  # it is empty; another thread may take from it, too
            while True:
                connection.inbox.appendleft(lost.inbox.pop())

    def connection_ended(self) -> None:
        """Called by the connection when it has ended: by a goodbye, or by the other side."""
        self._note_end()
        if threading.get_ident() != self._subscriber:  # it does so when it holds no lock any more
            self._states.flush()

    def _note_end(self) -> None:
        with self._changing:
            if self.Connected:
                return  # it was the one before
            reason = self.close_reason
            if reason is not None:
                _log.info("lost %s: %s", self.address, reason.Message)
            lost = reason is not None and self._recovery is not None and self._recovery.goes_on
            self._states.note(ClientState.Reconnecting if lost else ClientState.Closed)

    def _gave_up(self, recovery: Recovery) -> None:
        with self._changing:
            if recovery is self._recovery:
                self._states.note(ClientState.Closed)

    @property
    def state(self) -> ClientState:
        """What the client is doing."""
        return self._states.state

    def _comes_back(self, lost: Connection, deadline: float | None) -> bool:
        """Whether there is a new connection for one that has ended; see `Recovery.recover`."""
        if self._recovery is None or lost.close_reason is None:
            return False
        try:
            return self._recovery.recover(self, lost, deadline)
        finally:
            self._states.flush()  # nothing is locked any more

    @property
    def Connected(self) -> bool:  # the contract's name
        """Whether the connection is up, as far as this side knows."""
        return self._connection is not None and self._connection.usable

    @property
    def heart_beat(self) -> tuple[int, int]:
        """The agreed intervals in milliseconds: ours and the broker's; 0 is never."""
        beat = self._connection.beat if self._connection else None
        return (beat.send_ms, beat.receive_ms) if beat else (0, 0)

    @property
    def silence(self) -> tuple[float, float] | None:
        """Seconds of silence, ours and the broker's (STOMP 1.2, "Heart-beating").

        That is how long ago octets last went out, and came in: those of any frame are a sign of
        life, too. What has come and nobody has read does not count. None when it is not connected.

        Example:
            >>> client.heart_beat, client.silence
            ((10000, 10000), (3.2, 7.9))
        """
        connection = self._connection
        return connection.silence if connection and connection.usable else None

    @property
    def close_reason(self) -> STOMPError | None:
        """Why the connection ended, when it was not this side that ended it; else None.

        With `reconnect`, when that was given up: why the last attempt failed.
        """
        if self._recovery is not None and not self._recovery.goes_on and self._recovery.error:
            return self._recovery.error
        return self._connection.close_reason if self._connection else None

    def disconnect(self, timeout: float = DISCONNECT_LIMIT) -> None:
        """Say goodbye and close (STOMP 1.2, "DISCONNECT").

        Sends DISCONNECT with a receipt and waits for it, `timeout` seconds at the most; so what
        was sent before has reached the broker when this returns in time. May be called from any
        thread and more than once: the first call does it, the others return at once. A thread that
        waits in `recv` is woken.

        Example:
            >>> with stompy.connect(("127.0.0.1", 61613)) as client:  # says goodbye at its end
            ...     client.message("/queue/Q", "hello")
        """
        with self._changing:
            connection = self._connection
            if self._recovery is not None:
                self._recovery.stop()
        if connection is not None:
            receipt = self._new_id("disconnect")
            goodbye = wire.encode("DISCONNECT", {"receipt": receipt}, version=self.version)
            connection.leave(goodbye, receipt, time.monotonic() + timeout)
            with self._changing:
                if connection is self._connection:  # nobody has connected it anew
                    self._states.note(ClientState.Closed)
            self._states.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.disconnect()

    def __repr__(self) -> str:
        if self.BrokerAddress is None:
            return "<STOMPClient, never connected>"
        state = "connected" if self.Connected else "closed"
        return f"<STOMPClient {self.address} {state}, STOMP {self.version}>"

    # -- sending -----------------------------------------------------------------------------

    def send(
        self,
        command: str,
        headers: Mapping[str, Any] = {},
        body: str | bytes = b"",
        transaction: str | STOMPTransaction | None = None,
        receipt: bool | str = False,
        *,
        content_length: bool = True,
        **kv_headers: Any,
    ) -> Receipt | None:
        """Send a frame (STOMP 1.2, "Client Frames").

        Args:
            command: any client command, e.g. ``"SEND"``; SEND alone has a body.
            headers, kv_headers: its headers; numbers and booleans are written as text, a None is
                left out. The dict is not changed.
            body: text goes out in the charset of its ``content-type``; without one it is UTF-8 and
                ``text/plain;charset=utf-8`` is added. Bytes go out as they are.
            transaction: the transaction that the frame is part of.
            receipt: True for a generated receipt id, or an id of your own. The RECEIPT comes
                through `recv`, iteration or `loop`.
            content_length: False leaves the ``content-length`` header out (ActiveMQ makes a text
                message of such a frame); the body must not hold a NUL then.

        Returns:
            The `Receipt` when one was asked for: its id, as text, with `wait`. Else None.

        Raises:
            STOMPClosed: the connection is not there; nothing or an unknown part was sent.
            STOMPProtocolError: a header cannot be written in the agreed version.
            STOMPTimeout: the broker has read nothing for a minute; the connection is closed.

        Example:
            >>> client.send("SEND", destination="/queue/Q", body="text or bytes", source="me")
        """
        more, wanted = {**headers, **kv_headers}, self._receipt_id(receipt)
        fields, octets = compose(command, more, body, transaction, wanted, content_length)
        bound = command in _BOUND or "transaction" in fields
        connection = self._live() if bound else self._sendable()
        return self._send_by(connection, command, fields, octets)

    def _send_by(
        self, connection: Connection, command: str, fields: dict[str, str], octets: bytes = b""
    ) -> Receipt | None:
        asked = Receipt(fields["receipt"]) if "receipt" in fields else None
        connection.send(wire.encode(command, fields, octets, self.version), asked)
        return asked

    def send_octets(self, octets: bytes) -> None:
        """Send octets as they are, right or wrong, for those who look into the protocol.

        Whatever they ask for, and what comes of it, is for the caller to know.

        Raises:
            STOMPClosed: the connection is not there, or broke meanwhile.

        Example:
            >>> client.send_octets(b"SEND\\ndestination:/queue/Q\\n\\nhello\\x00")
        """
        self._sendable().send(octets)

    def message(
        self,
        destination: str,
        body: str | bytes = b"",
        id: str | None = None,  # the contract's name
        headers: Mapping[str, Any] = {},
        receipt: bool | str = False,
        transaction: str | STOMPTransaction | None = None,
        **kv_headers: Any,
    ) -> Receipt | None:
        """Send a message (STOMP 1.2, "SEND"): `send` with the command SEND.

        Args:
            destination: where to, e.g. ``"/queue/Q"``.
            id: the ``message-id`` header, if the broker takes one from a client.

        The others, the result and the errors are those of `send`.

        Example:
            >>> receipt = client.message("/queue/Q", b"...", receipt=True)
        """
        if id is None and transaction is None and receipt is False:
            plain = {**headers, **kv_headers} if kv_headers else headers
            # First, since another connection may have another version.
            connection = self._connection if self._recovery is None else self._sendable()
            octets = self._encoder.encode(destination, plain, body)
            if octets is not None and connection is not None:
                connection.send(octets)
                return None
        need_destination(destination)
        fields = {**headers, "destination": destination}
        if id is not None:
            fields["message-id"] = id
        return self.send("SEND", fields, body, transaction, receipt, **kv_headers)

    def _live(self) -> Connection:
        if self._connection is None:
            raise STOMPClosed("the client is not connected", hint="connect() it first")
        return self._connection

    def _sendable(self) -> Connection:
        """The connection to send by: one that was lost comes back first, if it may."""
        connection = self._live()
        if self._recovery is not None:
            connection.notice_end()  # else a frame would go into a dead socket, unnoticed
        while not connection.open and self._comes_back(connection, time.monotonic() + SEND_LIMIT):
            connection = self._live()
        return connection

    def _next(self, timeout: float | None) -> STOMPFrame | None:
        """The next frame, of this connection or of the one that comes after it."""
        try:
            frame = self._live().inbox.popleft()  # the usual case needs no clock and no lock
        except IndexError:
            frame = None
        return self._await_next(timeout) if frame is None else frame

    def _await_next(self, timeout: float | None) -> STOMPFrame | None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            connection = self._live()
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                frame = connection.next_frame(left)
            except STOMPProtocolError:
                if not self._comes_back(connection, deadline):
                    raise
            else:
                if frame is not None or not self._comes_back(connection, deadline):
                    return frame

    def _receipt_id(self, receipt: bool | str) -> str | None:
        """The id that is asked for: True generates one, what is false asks for none."""
        return self._new_id("receipt") if receipt is True else receipt or None

    def _new_id(self, kind: str) -> str:
        return f"{kind}-{next(self._ids)}"

    # -- subscriptions and acknowledgement ---------------------------------------------------

    def subscribe(
        self,
        dest: str,
        ack_mode: str | AckMode = AckMode.Auto,
        send_acks: bool = True,
        headers: Mapping[str, Any] = {},
        *,
        id: str | None = None,
        receipt: bool | str = False,
        prefetch: int | None = None,
        selector: str | None = None,
        durable: str | None = None,
        **kv_headers: Any,
    ) -> str:
        """Ask for the messages of a destination (STOMP 1.2, "SUBSCRIBE").

        Args:
            dest: the destination, e.g. ``"/topic/T"``.
            ack_mode: ``"auto"``, ``"client"`` or ``"client-individual"``, or an `AckMode`.
            send_acks: in the client modes, whether this client acknowledges by itself: in `recv`
                and iteration when a message is handed over, in `loop` after the callback.
            headers, kv_headers: more headers, as the broker knows them.
            id: the subscription's id; generated when None.
            receipt: True for a generated receipt id, or an id of your own. It is the ``receipt``
                of the `STOMPSubscription`, which can be waited for.
            prefetch: how many messages the broker may have sent that are not acknowledged.
            selector: which messages are wanted, in the broker's language for that (for ActiveMQ
                SQL, e.g. ``"colour = 'red'"``).
            durable: the name under which the broker keeps the messages of a topic while nobody
                subscribes; `unsubscribe` with ``delete=True`` ends that.

        Returns:
            The subscription id.

        Raises:
            STOMPError: the mode is none of the three, the id is in use, a header is one that has
                an argument, or this broker does not know one of the last three.

        Example:
            >>> client.subscribe("/queue/orders", "client-individual", prefetch=10)
            '1'
            >>> client.subscriptions["1"]
            <STOMPSubscription 1 /queue/orders ack=client-individual>
        """
        need_destination(dest)
        mode = AckMode(ack_mode)
        more = {**headers, **kv_headers}
        for name, argument in _OF_SUBSCRIBE.items():
            if name in more:
                raise STOMPError(f"{name!r} among the headers", hint=f"say it by {argument}")
        dialect = dialect_of(self.server)
        asked = dialect.subscribe_headers(prefetch, selector, durable, self._client_id)
        if id is not None and "id" in asked:
            raise STOMPError(
                f"on {dialect.name} the name of a durable subscription is its id",
                hint="say durable= alone",
            )
        given = asked.pop("id", None) if id is None else str(id)
        self._sendable()  # a lost connection comes back first, and its other subscriptions
        try:
            with self._subscribing:
                sub_id = given or self._new_subscription_id()
                if sub_id in self._subscriptions:
                    raise STOMPError(f"subscription id {sub_id!r} is in use on this connection")
                named = {"destination": dest, "id": sub_id, "ack": mode.value}
                fields = header_texts({**asked, **more, **named})
                fields.pop("content-length", None)
                subscription = STOMPSubscription(self, mode, send_acks, durable, fields)
                self._enter(subscription, self._receipt_id(receipt))
        finally:
            self._states.flush()  # nothing is locked any more
        return sub_id

    def _enter(self, subscription: STOMPSubscription, receipt: str | None) -> None:
        """Enter a subscription and send it; `_subscribing` is held."""
        fields = dict(subscription.headers)
        if receipt is not None:
            fields |= header_texts({"receipt": receipt})
            subscription.receipt = Receipt(fields["receipt"])
        octets = wire.encode("SUBSCRIBE", fields, version=self.version)
        # Entered before it is sent: the first MESSAGE may come before `subscribe` returns.
        self._subscriptions[subscription.id] = subscription
        self._sends_acks |= subscription.send_acks
        self._subscriber = threading.get_ident()
        try:
            self._live().send(octets, subscription.receipt)
        except BaseException:
            self._subscriptions.pop(subscription.id, None)
            raise
        finally:
            self._subscriber = None

    def _new_subscription_id(self) -> str:
        return next(i for i in map(str, self._ids) if i not in self._subscriptions)

    def unsubscribe(
        self,
        sub_id: str,
        headers: Mapping[str, Any] = {},
        receipt: bool | str = False,
        *,
        delete: bool = False,
        **kv_headers: Any,
    ) -> Receipt | None:
        """End a subscription (STOMP 1.2, "UNSUBSCRIBE"). Messages on their way still arrive.

        Args:
            sub_id: what `subscribe` returned.
            headers, receipt, kv_headers: as for `send`.
            delete: of a durable subscription, tell the broker to keep no more messages for it.

        Returns:
            The `Receipt` when one was asked for: its id, as text, with `wait`. Else None.

        Raises:
            STOMPError: this connection has no such subscription.

        Example:
            >>> client.unsubscribe("1")
        """
        more = header_texts({**headers, **kv_headers})  # if it cannot be sent, nothing has ended
        with self._subscribing:
            subscription = self._subscriptions.pop(sub_id, None)
        if subscription is None:
            raise STOMPError(f"no subscription with the id {sub_id!r}")
        if self.state is ClientState.Reconnecting:
            return None  # it has ended with the connection, and will not come back
        fields = {**more, "id": sub_id}
        if self.version == "1.0":
            fields["destination"] = subscription.destination
        if not (delete and subscription.durable):
            return self.send("UNSUBSCRIBE", fields, receipt=receipt)
        dialect = dialect_of(self.server)
        named = dialect.subscribe_headers(None, None, subscription.durable, self._client_id)
        if dialect.delete_apart:
            self.send("UNSUBSCRIBE", fields)
        return self.send("UNSUBSCRIBE", {**named, **fields}, receipt=receipt)

    @property
    def subscriptions(self) -> dict[str, STOMPSubscription]:
        """The subscriptions of this connection by their ids (a copy)."""
        return dict(self._subscriptions)

    def ack(
        self,
        ack: str | STOMPFrame,
        transaction: str | STOMPTransaction | None = None,
        receipt: bool | str = False,
        headers: Mapping[str, Any] = {},
        *,
        warn: bool = True,
        **kv_headers: Any,
    ) -> Receipt | None:
        """Acknowledge a message (STOMP 1.2, "ACK").

        Args:
            ack: the MESSAGE frame, or its ``ack`` header. STOMP 1.0 and 1.1 need more than one
                header of the message, so there it has to be the frame.
            transaction, receipt, headers, kv_headers: as for `send`.
            warn: whether a warning says so when it is not sent, because the message came by an
                earlier connection, or, with `reconnect`, the loss of this one overtakes it. The
                broker delivers the message again.

        Returns:
            The `Receipt` when one was asked for: its id, as text, with `wait`. Else None.

        Raises:
            STOMPProtocolError: `ack` does not name a message, or not in this version.
            STOMPClosed: the connection is not there.

        Example:
            >>> client.subscribe("/queue/orders", "client-individual", send_acks=False)
            >>> frame = client.recv()
            >>> client.ack(frame)  # or, in STOMP 1.2: client.ack(frame["ack"])
        """
        return self._answer("ACK", ack, transaction, receipt, {**headers, **kv_headers}, warn)

    def nack(
        self,
        ack: str | STOMPFrame,
        transaction: str | STOMPTransaction | None = None,
        receipt: bool | str = False,
        headers: Mapping[str, Any] = {},
        *,
        warn: bool = True,
        **kv_headers: Any,
    ) -> Receipt | None:
        """Say that a message was not processed (STOMP 1.2, "NACK"); as `ack`.

        What the broker does with it differs: RabbitMQ queues it again, ActiveMQ sends it to its
        dead letter queue (and takes none in a transaction), Artemis drops it. STOMP 1.0 has no
        NACK.
        """
        if self.version == "1.0":
            raise STOMPProtocolError("STOMP 1.0 has no NACK", hint="leave it unacknowledged")
        return self._answer("NACK", ack, transaction, receipt, {**headers, **kv_headers}, warn)

    def _answer(
        self,
        command: str,
        ack: str | STOMPFrame,
        transaction: str | STOMPTransaction | None,
        receipt: bool | str,
        more: dict[str, Any],
        warn: bool,
    ) -> Receipt | None:
        source = ack.source if isinstance(ack, STOMPFrame | AckId) else None
        connection = self._live() if source is None else self._current(source)
        if connection is None:
            if warn:
                warn_unsent(command)
            return None
        named = answer_headers(self.version, command, ack)
        wanted = self._receipt_id(receipt)
        fields, _ = compose(command, {**named, **more}, b"", transaction, wanted)
        try:
            return self._send_by(connection, command, fields)
        except STOMPClosed:
            comes_back = self._recovery is not None and self._recovery.goes_on
            if source is None or receipt or transaction or not comes_back:
                raise
            if warn:
                warn_unsent(command)
            return None

    def _current(self, source: weakref.ref[Connection] | None) -> Connection | None:
        """The connection that a frame came from, if what is said of it can still go there."""
        connection = source() if source else None
        return connection if connection is self._connection and self.Connected else None

    def answerable(self, frame: STOMPFrame) -> bool:
        """Whether an ACK or NACK of this message can still be sent.

        That is so while the connection that it came by is up. Afterwards the broker delivers the
        message again.

        Example:
            >>> client.answerable(frame)
            True
        """
        return self._current(frame.source) is not None

    def _acknowledge(
        self, frame: STOMPFrame, transaction: str | STOMPTransaction | None = None
    ) -> None:
        """Send the ACK of a message whose subscription asked the client to do so."""
        subscription = self._subscriptions.get(frame.Headers.get("subscription", ""))
        connection = self._current(frame.source)
        if subscription is None or not subscription.send_acks or connection is None:
            return
        if all(needed in frame for needed in ANSWER_HEADERS[self.version].values()):
            named = answer_headers(self.version, "ACK", frame)
            fields, _ = compose("ACK", named, transaction=transaction)
            # The message is at hand, and the broker will send it again: it is not lost, here or
            # there, when the connection breaks now. The next wait says that it did.
            with contextlib.suppress(STOMPClosed, STOMPTimeout):
                self._send_by(connection, "ACK", fields)

    # -- transactions ------------------------------------------------------------------------

    def transaction(self, id: str | None = None) -> STOMPTransaction:
        """Begin a transaction (STOMP 1.2, "BEGIN").

        Args:
            id: its id, unique among the open ones of the connection; generated when None.

        Raises:
            STOMPClosed: the connection is not there.

        Example:
            >>> with client.transaction() as transaction:  # commits at its end
            ...     transaction.message("/queue/orders", "part 1")
            ...     transaction.message("/queue/orders", "part 2")
        """
        transaction = STOMPTransaction(self, id or self._new_id("transaction"))
        self.send("BEGIN", transaction=transaction.id)
        return transaction

    # -- receiving ---------------------------------------------------------------------------

    def recv(
        self,
        timeout: float | None = None,
        *,
        exception_on_error: bool = True,
        transaction: str | STOMPTransaction | None = None,
    ) -> STOMPFrame | None:
        """The next frame: a MESSAGE, a RECEIPT that you asked for, or an ERROR.

        Args:
            timeout: seconds to wait at the most; None waits until the connection closes.
            exception_on_error: False returns an ERROR frame instead of raising it.
            transaction: put on the ACK that the client may send by itself.

        Returns:
            The frame, or None at the end of the connection (`close_reason` says why it ended).

        Raises:
            STOMPTimeout: no frame came in time; nothing read so far is lost.
            STOMPError: the broker sent ERROR; its frame is in ``.Frame``.
            STOMPProtocolError: the broker sent something that is no STOMP.

        Example:
            >>> frame = client.recv(timeout=2.0)
            >>> frame.destination, frame.text
            ('/topic/prices', '42.5')
        """
        frame = self._next(timeout)
        if frame is None:
            return None
        if frame.Command == "MESSAGE":
            if self._sends_acks:
                self._acknowledge(frame, transaction)
        elif frame.Command == "ERROR" and exception_on_error:
            raise broker_error(frame)
        return frame

    def recv_burst(self) -> list[STOMPFrame]:
        """The next frame, and all that have been read with it; none at the end of the connection.

        For who files many frames at a time. It acknowledges nothing, and an ERROR is one of them.

        Raises:
            STOMPProtocolError: the broker sent something that is no STOMP.

        Example:
            >>> while frames := client.recv_burst():
            ...     table.extend(frames)
        """
        frame = self._next(None)
        if frame is None:
            return []
        frames = [frame]
        take = self._live().inbox.popleft
        with contextlib.suppress(IndexError):
            while True:
                frames.append(take())
        return frames

    def __iter__(self) -> Iterator[STOMPFrame]:
        """The frames as `recv` gives them, until the connection closes."""
        while (frame := self.recv()) is not None:
            yield frame

    def loop(
        self,
        callback: Callable[..., Any] | None = None,
        *args: Any,
        transaction: str | STOMPTransaction | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Any:
        """Call `callback(client, frame, *args, **kwargs)` for every frame.

        Ends when the callback returns something true. A message whose subscription has
        ``send_acks`` is acknowledged after the callback returned; when it raises, the message
        stays unacknowledged and the exception comes out here.

        Args:
            callback: what to call; an ERROR frame is given to it like any other. Without one,
                frames are passed over and an ERROR raises STOMPError.
            transaction: put on the ACKs that the loop sends.
            timeout: seconds to wait for each frame.
            args, kwargs: handed on to the callback.

        Returns:
            What the callback returned, or None when the connection closed.

        Raises:
            STOMPTimeout: no frame came in time.

        Example:
            >>> def arrived(_, frame, receipt):
            ...     return frame.Command == "RECEIPT" and frame["receipt-id"] == receipt
            >>> closed = client.loop(arrived, receipt=my_receipt) is None
        """
        while (frame := self._next(timeout)) is not None:
            value = None
            if callback is not None:
                value = callback(self, frame, *args, **kwargs)
            elif frame.Command == "ERROR":
                raise broker_error(frame)
            if self._sends_acks and frame.Command == "MESSAGE":
                self._acknowledge(frame, transaction)
            if value:
                return value
        return None
