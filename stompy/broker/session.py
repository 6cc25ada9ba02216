"""One client's conversation with the broker: octets in, octets out. Pure: no sockets, no clock."""

from __future__ import annotations

import hmac
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stompy import __version__, wire
from stompy.broker.commands import Commands
from stompy.broker.message import Full
from stompy.broker.outbox import Outbox
from stompy.broker.refusal import Refusal, error_of
from stompy.errors import STOMPProtocolError
from stompy.heartbeat import HeartBeat, agree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stompy.broker.destinations import Destinations
    from stompy.broker.events import EventLog
    from stompy.broker.limits import Limits
    from stompy.broker.message import Message
    from stompy.broker.subscription import Subscription
    from stompy.frame import STOMPFrame

UNREAD_LIMIT = 1024 * 1024
"""Octets that may wait for a client to read them, before its subscriptions get nothing more."""
MAX_FIRST_FRAME = 64 * 1024
"""Octets of body that a client's frames may have before it is let in."""
MAX_OPENING = 256
"""Octets in which a first line is looked for, to see what a peer speaks."""

_NO_WEB_SERVER = (
    "This is a STOMP broker and no web server. Connect to it with a STOMP client;\n"
    "a browser needs the broker's WebSocket address.\n"
)
_HTTP_ANSWER = (
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    f"Content-Length: {len(_NO_WEB_SERVER)}\r\n\r\n{_NO_WEB_SERVER}"
).encode()

_log = logging.getLogger("stompy.broker")


@dataclass(frozen=True)
class Rules:
    """What holds for all sessions of a broker.

    Attributes:
        destinations: what they share.
        log: where their doings are noted.
        limits: what one of them may ask for.
        heart_beat: ``(can, want)`` in milliseconds: how often beats can be sent, and are wanted.
        logins: passcodes by login; None lets everybody in.
    """

    destinations: Destinations
    log: EventLog
    limits: Limits
    heart_beat: tuple[int, int] = (0, 0)
    logins: Mapping[str, str] | None = None


class Session:
    """The protocol state of one connection (STOMP 1.2, server side).

    Feed octets to `receive`, send what `take_output` gives, call `tick` when it is due, close when
    `closing` is set and all is sent, and call `end` when the connection is gone.

    Args:
        rules: what holds for all.
        id: its name, for CONNECTED and for people.
        now: the time in seconds, on any clock that only goes on; so are all others.
        on_output: is called when there is output where there was none.
        whole_frames: whether each piece of output has to be a whole frame.

    Attributes:
        version: the protocol version agreed on; None before CONNECT.
        login: who it is; None of one who has not said.
        ready: whether it takes more messages: not while its client does not read.
        closing: after an ERROR or a DISCONNECT: nothing more is read, and what is in the outbox is
            the last.
        outbox: what is to be sent.
    """

    def __init__(
        self,
        rules: Rules,
        id: str,
        now: float,
        on_output: Callable[[], None],
        whole_frames: bool = False,
    ) -> None:
        self.id = id
        self.version: str | None = None
        self.login: str | None = None
        self.ready = True
        self.closing = False
        self.outbox = Outbox(whole_frames)
        self.frames_received = self.frames_sent = 0
        self.octets_received = self.octets_sent = 0
        self._rules = rules
        self._on_output = on_output
        self._connect_by = now + rules.limits.connect_timeout
        self._beat = HeartBeat(0, 0, now)
        self._opening: bytes | None = b""  # until it is clear that it is STOMP
        self._held = 0
        self._unfinished = 0  # octets, held and in the decoder, that are counted
        self._decoder = wire.FrameDecoder(
            max_body=MAX_FIRST_FRAME, max_headers=rules.limits.max_headers
        )
        self._commands = Commands(self, rules.destinations, rules.log)

    # -- what the server calls ---------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> None:
        """Take octets from the client and do what their frames ask for."""
        if self.closing:
            return
        self._beat.received_at = now
        self.octets_received += len(data)
        if self._opening is not None and not self._opens(data):
            return
        self._decoder.feed(data)
        self._handle_complete(now)

    def _handle_complete(self, now: float) -> None:
        if self._decoder.ready:  # what was unfinished may now be counted as a message
            self._rules.destinations.memory.release(self._unfinished)
            self._unfinished = 0
        try:
            for frame in self._decoder.frames():
                self.frames_received += 1
                self._handle(frame, now)
                if self.closing:
                    return
            self._count_unfinished()
        except STOMPProtocolError as error:
            self.refuse(Refusal("malformed frame", str(error)))
        except Full as full:
            self._refuse_part(full)

    def take_output(self, limit: int, now: float) -> list[bytes | memoryview]:
        """The next pieces to send; with about `limit` octets, unless there are fewer."""
        pieces = self.outbox.take(limit)
        if pieces:
            self._beat.sent_at = now
            self.octets_sent += sum(map(len, pieces))
        if not self.ready and not self.closing and self.outbox.size < UNREAD_LIMIT // 2:
            self.ready = True
            self._commands.go_on()
        return pieces

    def tick(self, now: float) -> float | None:
        """Do what is due; returns the seconds until something is again, None for never.

        It is due when `receive` has led to a `version`, too.
        """
        if self.closing:
            return None
        if self.version is None:
            if now >= self._connect_by:
                wanted = f"A client sends CONNECT within {self._rules.limits.connect_timeout:g} s."
                self.refuse(Refusal("no CONNECT frame", wanted))
                return None
            return self._connect_by - now
        self._beat.woke(now)
        if self._beat.is_dead(now):
            silent = now - self._beat.received_at
            agreed = f"Agreed was a heart-beat every {self._beat.receive_ms} ms"
            self.refuse(Refusal("no heart-beat", f"{agreed}; nothing came for {silent:.1f} s."))
            return None
        if self._beat.must_send(now):
            if not self.outbox.size:
                self._put(b"\n")
            self._beat.sent_at = now
        return self._beat.wait(now) if self._beat.agreed else None

    def finish(self) -> None:
        """The broker stops: put out all that topics have kept for the client, then end."""
        for subscription in self._commands.kept():
            left = None
            while len(subscription.backlog) != left:  # its prefetch may be an end to it
                left = len(subscription.backlog)
                self.ready = True
                self._rules.destinations.dispatch(subscription)
        self.end("the broker stops")

    def end(self, why: str) -> None:
        """The conversation is over: transactions are aborted, messages go back."""
        if self.closing:
            return
        self.closing = True
        self.ready = False
        self._commands.end()
        self._rules.destinations.memory.release(self._unfinished)
        self._unfinished = 0
        if self.version is not None:
            self._rules.log.note("disconnected", self.id, detail=why)

    def refuse(self, refusal: Refusal, frame: STOMPFrame | None = None) -> None:
        """Say what was wrong, and with which frame, then end (STOMP 1.2, "ERROR")."""
        self._rules.log.note("refused", self.id, detail=refusal.title)
        headers, body = error_of(refusal, frame)
        if self.version == "1.0":
            headers = {n: v for n, v in headers.items() if wire.fits_unescaped(n, v)}
        self._write("ERROR", headers, body)
        self.end(refusal.title)

    def described(self) -> dict[str, object]:
        """What it is doing, as plain data."""
        return {
            "client": self.id,
            "login": self.login or "",
            "version": self.version or "",
            "heart_beat": (self._beat.send_ms, self._beat.receive_ms),
            **self._commands.described(),
            "unsent": self.outbox.size,
            "frames_received": self.frames_received,
            "frames_sent": self.frames_sent,
            "octets_received": self.octets_received,
            "octets_sent": self.octets_sent,
        }

    # -- what destinations call --------------------------------------------------------------

    def deliver(self, subscription: Subscription, message: Message) -> None:
        """Write a MESSAGE (STOMP 1.2, "MESSAGE")."""
        assert self.version is not None
        ack = subscription.ack_tag
        body = message.body
        head = b"%bmessage-id:%d\n%b%b%bcontent-length:%d\n\n" % (
            message.envelope.lines(self.version),
            message.number,
            subscription.tag,
            ack and ack % message.number,
            b"redelivered:true\n" if message.deliveries else b"",
            len(body),
        )
        self.frames_sent += 1
        if not self.outbox.size:
            self._on_output()
        self.outbox.put_frame(head, body)
        if self.outbox.size >= UNREAD_LIMIT:
            self.ready = False

    # -- reading and writing -----------------------------------------------------------------

    def _opens(self, data: bytes) -> bool:
        """Look at the first octets of all; False when they are no STOMP and that was said."""
        assert self._opening is not None
        fresh = data if self._opening else data.lstrip(b"\r\n")
        self._opening += fresh[:MAX_OPENING]
        spoken = wire.other_protocol(self._opening, wire.CLIENT_COMMANDS)
        if spoken == "HTTP":
            self._put(_HTTP_ANSWER)
            self.end("HTTP")
            return False
        if spoken is not None:
            began = self._opening[:20]
            kind = "no STOMP" if spoken == "something else" else f"{spoken} and no STOMP"
            advice = f"What came is {kind}: it began with {began!r}."
            if began.upper().startswith((b"CONNECT", b"STOMP")):
                advice += " Commands are in capitals."
            self.refuse(Refusal("not connected", advice))
            return False
        if b"\n" in self._opening:
            self._opening = None
        return True

    def forgive(self, forgiving: bool) -> None:
        """Whether to pass over an ACK too many: a fault has the client get its messages twice."""
        self._commands.forgiving = forgiving

    def hold(self, octets: int) -> None:
        """Count octets that have come and cannot be fed yet: a part of something larger."""
        if octets != self._held and not self.closing:
            self._held = octets
            try:
                self._count_unfinished()
            except Full as full:
                self._refuse_part(full)

    def _refuse_part(self, full: Full) -> None:
        self.refuse(Refusal("no room", f"{full}: there is none for this frame."))

    def _count_unfinished(self) -> None:
        grown = self._decoder.size + self._held - self._unfinished
        if grown > 0:
            self._rules.destinations.memory.reserve(grown)
        else:
            self._rules.destinations.memory.release(-grown)
        self._unfinished += grown

    def _handle(self, frame: STOMPFrame, now: float) -> None:
        try:
            if self.version is None:
                self._connect(frame, now)
                return
            if frame.Command == "DISCONNECT":
                self.end("DISCONNECT")
            else:
                self._commands.do(frame)
        except Refusal as refusal:
            self.refuse(refusal, frame)
            return
        except STOMPProtocolError as error:
            self.refuse(Refusal("malformed frame", str(error)), frame)
            return
        except Full as full:
            advice = "Messages are refused until some are taken: subscribe to it, or wait."
            self.refuse(Refusal("no room", f"{full}. {advice}"), frame)
            return
        except Exception:  # a bug: one client may have found it, the others go on
            _log.exception("a %s frame could not be handled", frame.Command)
            self.refuse(
                Refusal("internal error", "The broker has failed; its log says how."), frame
            )
            return
        if "receipt" in frame:
            self._write("RECEIPT", {"receipt-id": frame["receipt"]})

    def _put(self, octets: bytes) -> None:
        if not self.outbox.size:
            self._on_output()
        self.outbox.put(octets)

    def _write(self, command: str, headers: dict[str, str], body: bytes = b"") -> None:
        self.frames_sent += 1
        self._put(wire.encode(command, headers, body, self.version or "1.2"))

    # -- CONNECT -----------------------------------------------------------------------------

    def _connect(self, frame: STOMPFrame, now: float) -> None:
        """STOMP 1.2, "Connecting", "Protocol Negotiation" and "Heart-beating"."""
        if frame.Command not in ("CONNECT", "STOMP"):
            raise Refusal(
                "not connected", f"The first frame must be CONNECT, not {frame.Command[:40]!r}."
            )
        offered = {version.strip() for version in frame.get("accept-version", "1.0").split(",")}
        common = offered.intersection(wire.VERSIONS)
        if not common:
            raise Refusal(
                "no common version",
                f"This broker speaks STOMP {', '.join(wire.VERSIONS)}.",
                version=",".join(wire.VERSIONS),
            )
        version = max(common)
        self._check_login(frame, version)
        self.version = self._decoder.version = version
        self._decoder.max_body = self._rules.limits.max_body
        self._decoder.max_header_line = self._rules.limits.max_header_line
        headers = {"session": self.id, "server": f"stompy/{__version__}"}
        if version != "1.0":
            offer = self._rules.heart_beat
            self._beat = HeartBeat(*agree(offer, frame.get("heart-beat")), now)
            headers |= {"version": version, "heart-beat": "{},{}".format(*offer)}
        self._rules.log.note("connected", self.id, detail=f"STOMP {version}")
        self._write("CONNECTED", headers)

    def _check_login(self, frame: STOMPFrame, version: str) -> None:
        login, passcode = frame.get("login", ""), frame.get("passcode", "")
        if version == "1.0":  # where values are padded
            login, passcode = login.strip(" \t"), passcode.strip(" \t")
        logins = self._rules.logins
        if logins is not None:
            right = hmac.compare_digest(logins.get(login, "").encode(), passcode.encode())
            if not right or login not in logins:
                wrong = "The login or the passcode is wrong."
                wanted = "This broker wants a login and a passcode in CONNECT."
                raise Refusal("access refused", wrong if login else wanted)
        self.login = login or None
