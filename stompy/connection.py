"""One connection in use: whole frames out, sorted frames in, safe to share among threads.

There is no reader thread in here; the one thread is for heart-beats. Whoever needs a frame takes
the reading turn, reads once, and leaves what is not its own in the inbox for the others. A slow
reader is backpressure by itself.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING

from stompy.errors import (
    STOMPClosed,
    STOMPError,
    STOMPProtocolError,
    STOMPTimeout,
    broker_error,
    error_text,
)
from stompy.heartbeat import HeartBeat
from stompy.receipt import Receipt
from stompy.transport import LONGEST_WAIT, turn_to_write

if TYPE_CHECKING:
    from collections.abc import Callable

    from stompy.client import STOMPClient
    from stompy.frame import STOMPFrame
    from stompy.transport import Transport
    from stompy.wire import FrameDecoder

SEND_LIMIT = 60.0
"""Seconds that a peer may leave a frame unread before the connection is given up."""


class Connection:
    """A transport on which CONNECTED has been received, until it closes.

    Attributes:
        open: whether it has not ended yet.
        close_reason: why it ended; None while it is open and when this side closed it.
        beat: its heart-beats.
        client: whose connection it is, and who is told when it has ended.
        inbox: the frames for the user that have been read. Any thread may take the first.
    """

    def __init__(
        self, transport: Transport, decoder: FrameDecoder, beat: HeartBeat | None = None
    ) -> None:
        self.open = True
        self._weak = weakref.ref(self)
        self.client: weakref.ref[STOMPClient] | None = None
        self._begun = time.monotonic()
        self._ended_at: float | None = None
        self.close_reason: STOMPError | None = None
        self._transport = transport
        self._decoder = decoder
        self._arrived: list[bytes] = []  # what was read and the decoder has not yet
        self.inbox: deque[STOMPFrame] = deque()
        self._receipts: weakref.WeakValueDictionary[str, Receipt] = weakref.WeakValueDictionary()
        self._unclear: STOMPFrame | None = None  # the newest ERROR that names no receipt
        self._leaving = False
        self._reading = False
        self._lock = threading.RLock()  # guards the flags above
        self._turn = threading.Condition(self._lock)
        self._sending = threading.Lock()
        self._closed = threading.Event()
        self.beat = beat or HeartBeat(0, 0, now=self._begun)
        self._sort_complete()  # frames may have come right behind CONNECTED
        if self.beat.agreed and self.open:
            # It knows the connection weakly, so that a client that is forgotten can go.
            pace = (weakref.ref(self), self._closed)
            threading.Thread(
                target=_keep_pace, args=pace, name="stompy-heart-beat", daemon=True
            ).start()

    # -- sending -----------------------------------------------------------------------------

    # An interrupt is raised when a call returns. `with` takes a lock and notes that it has to be
    # released in one; acquire() in front of `try` would leave it locked now and then.

    def send(self, data: bytes, receipt: Receipt | None = None) -> None:
        """Write the octets of a frame; those of several threads never mix.

        Args:
            data: the frame.
            receipt: the receipt that it asks for.

        Raises:
            STOMPClosed: the connection is closed, or it broke meanwhile. When the broker had said
                why by an ERROR, that frame is in ``.Frame``, and still comes by `next_frame`.
            STOMPTimeout: the peer has not read for a minute; the connection is closed.
        """
        if receipt is not None:
            self._expect(receipt)
        try:
            with self._sending:  # whoever holds it lets it go after a minute at the latest
                if not self.usable:
                    raise self.closed_error()
                now = time.monotonic()
                self._transport.send(data, now + SEND_LIMIT)
                self.beat.sent_at = now
                return
        except STOMPClosed:
            raise
        except OSError as error:
            failure = error
        finally:
            if not self.open:
                self._give_back()
        if isinstance(failure, STOMPTimeout):
            reason: STOMPError = STOMPTimeout("the broker did not read a frame in time")
        else:
            reason = self._broke(failure)
        self.close(reason)
        raise reason from failure

    def _broke(self, failure: OSError) -> STOMPClosed:
        """The error for a connection that broke while sending.

        What the broker sent before is taken in first: it is often an ERROR that says why.
        """
        self._take_in(lambda: False)
        with contextlib.suppress(IndexError):
            last = self.inbox[-1]
            if last.Command == "ERROR":
                return STOMPClosed(
                    f"the connection broke; the broker says: {error_text(last)}", last
                )
        return STOMPClosed(f"the connection broke: {failure.strerror or failure}")

    def closed_error(self) -> STOMPClosed:
        """The error for an attempt to use it when it is closed."""
        if self.close_reason is None:
            return STOMPClosed("the connection is closed", hint="connect() again")
        return STOMPClosed(f"the connection is closed: {self.close_reason.Message}")

    def notice_end(self) -> None:
        """See whether it has ended, where nobody reads.

        What has come is taken in to see behind it, but no more than one frame or what was read with
        it: who does not receive holds the broker back.
        """
        self._take_in(self.inbox.__len__)

    def _take_in(self, enough: Callable[[], object]) -> None:
        """Read what has come, if nobody else reads, until it is enough or there is no more."""
        with contextlib.suppress(STOMPTimeout):
            while not enough() and not self._reading and self._unread():
                self._read(time.monotonic(), lambda: False)

    def _unread(self) -> bool:
        """Whether octets, or the end, wait to be read. While it is open in here, nobody gives the
        descriptor back: it could be another's by the time it is looked at."""
        with self._lock:
            return self.open and self._transport.readable()

    # -- receiving ---------------------------------------------------------------------------

    def next_frame(self, timeout: float | None) -> STOMPFrame | None:
        """The next frame that is for the user; None at the end of the connection.

        Raises:
            STOMPTimeout: no frame came within `timeout` seconds.
            STOMPProtocolError: the peer sent something that is no STOMP.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                frame = self.inbox.popleft()
            except IndexError:
                frame = None
            if frame is not None or self._ended():
                return frame
            self._read_in_time(deadline, self.inbox.__len__)

    def _ended(self) -> bool:
        if self.open or self._reading or self.inbox:
            return False
        if isinstance(self.close_reason, STOMPProtocolError):
            raise self.close_reason
        return True

    def _expect(self, receipt: Receipt) -> None:
        receipt._connection = self
        receipt._unclear = self._unclear
        self._receipts[str(receipt)] = receipt  # not itself: keys are held strongly

    def wait_for(self, receipt: Receipt, timeout: float | None) -> None:
        """Read until a receipt is answered or the connection has ended; see `Receipt.wait`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        receipt._waiting = True
        try:
            while receipt._answer is None:
                unclear = self._unclear
                if unclear is not None and unclear is not receipt._unclear:
                    receipt._unclear = unclear  # it is said once
                    raise broker_error(unclear)
                if not self.open and not self._reading:
                    return
                self._read_in_time(
                    deadline, lambda: receipt._answer or self._unclear is not receipt._unclear
                )
        except STOMPTimeout:
            raise STOMPTimeout(
                f"no receipt {str(receipt)!r} came within {timeout:g} s",
                hint="wait again, or longer; some brokers never send one",
            ) from None
        finally:
            receipt._waiting = False
        if receipt._kept:
            self._withdraw(receipt._answer)
            receipt._kept = False

    def _withdraw(self, frame: STOMPFrame) -> None:
        """Take a frame out of the inbox, unless somebody has received it."""
        while True:
            try:
                self.inbox.remove(frame)
            except IndexError:  # another thread has taken one meanwhile
                continue
            except ValueError:
                pass
            return

    def leave(self, data: bytes, receipt_id: str, deadline: float) -> None:
        """Send the last frame, wait for its receipt, close; the first call alone has an effect.

        Frames that come meanwhile are kept for `next_frame`.
        """
        with self._lock:
            if not self.open or self._leaving:
                return
            self._leaving = True
        receipt = Receipt(receipt_id)
        receipt._waiting = True  # before it is sent: another thread may read the answer
        try:
            # A peer that does not hear a goodbye is gone all the same.
            with contextlib.suppress(STOMPError, OSError):
                self._expect(receipt)
                self._send_goodbye(data, deadline)
                self._hear_goodbye(receipt, deadline)
        finally:
            self.close(None)
            self._give_back()  # if the end came while the goodbye was being sent

    def _send_goodbye(self, data: bytes, deadline: float) -> None:
        with turn_to_write(self._sending, deadline):
            if self.open:
                self._transport.send(data, deadline)

    def _hear_goodbye(self, receipt: Receipt, deadline: float) -> None:
        """Wait for the receipt; an ERROR that comes before it is about an earlier frame."""
        while receipt._answer is None and self.open:
            try:
                self.wait_for(receipt, max(0.0, deadline - time.monotonic()))
            except STOMPTimeout:
                return
            except STOMPError:
                continue

    def _read_in_time(self, deadline: float | None, arrived: Callable[[], object]) -> None:
        """`_read`; octets that bring nothing, heart-beats among them, do not put the deadline off.

        Raises:
            STOMPTimeout: the deadline has passed, `arrived` is not true, and more may come.
        """
        self._read(deadline, arrived)
        late = deadline is not None and time.monotonic() > deadline
        if late and self.open and not arrived():
            raise STOMPTimeout("no frame came in time")

    def _read(self, deadline: float | None, arrived: Callable[[], object]) -> None:
        """Take the reading turn and read once, or wait while another thread reads.

        Returns when something has changed: octets were read, `arrived` is true, or the connection
        closed. Raises STOMPTimeout when nothing did until `deadline`.
        """
        mine = False
        try:
            with self._lock:
                while self._reading and not arrived():
                    left = None if deadline is None else deadline - time.monotonic()
                    if left is not None and left <= 0:
                        raise STOMPTimeout("no frame came in time")
                    # Not for ever: an interrupt may keep the other thread from notifying.
                    self._turn.wait(1.0 if left is None else min(left, 1.0))
                if arrived() or not self.open:
                    return
                self._reading = mine = True
            self._take(deadline)
        finally:
            if mine:
                self._reading = False  # first: an interrupt may come here, too
                with self._lock:
                    self._turn.notify_all()
                self._give_back()

    def _take(self, deadline: float | None) -> None:
        """Read once and sort what is complete; the reading turn is this thread's."""
        if self._decoder.ready:  # an interrupt came while they were sorted
            self._sort_complete()
            return
        try:
            if not self._arrived:  # else an interrupt came before it was taken
                self._transport.read(self._arrived, deadline)
            data = self._arrived[0]
            if not data:
                where = " inside a frame" if self._decoder.unfinished else ""
                raise STOMPClosed(f"the broker closed the connection{where}")
            self.beat.received_at = time.monotonic()
            self._decoder.feed(data, self._arrived)
        except STOMPTimeout:
            raise STOMPTimeout("no frame came in time") from None
        except STOMPClosed as error:
            self.close(error)
        except OSError as error:
            self.close(STOMPClosed(f"the connection broke: {error.strerror or error}"))
        else:
            self._sort_complete()

    def _sort_complete(self) -> None:
        """Sort the frames that the decoder has complete."""
        try:
            for frame in self._decoder.frames():
                frame.came_from(self._weak)
                if frame.Command == "MESSAGE":
                    self.inbox.append(frame)
                else:
                    self._sort(frame)
        except STOMPProtocolError as error:
            self.close(error)

    def _sort(self, frame: STOMPFrame) -> None:
        """Give an answer to whoever waits for it; all else is for the user."""
        receipt = None
        if frame.Command in ("RECEIPT", "ERROR"):
            receipt = self._receipts.pop(frame.get("receipt-id", ""), None)
        waiting = receipt is not None and receipt._waiting
        if not waiting:
            self.inbox.append(frame)
        if receipt is not None:
            receipt._kept = not waiting
            receipt._answer = frame  # last: it is taken out of the inbox by whoever sees this
        elif frame.Command == "ERROR" and "receipt-id" not in frame:
            self._unclear = frame

    # -- heart-beats -------------------------------------------------------------------------

    def pulse(self) -> float:
        """Send a beat or give the peer up when it is time; returns the seconds until the next."""
        now = time.monotonic()
        if not self.open:
            return 0.0
        self.beat.woke(now)
        if self.beat.is_dead(now):
            self.notice_end()  # the beats of who is silent now may lie unread
            if self._unread():  # it is us who do not read
                self.beat.received_at = now
            elif self.beat.is_dead(now):
                silence = self.beat.silence_limit
                self.close(STOMPClosed(f"the broker gave no sign of life for {silence:g} s"))
        if self.beat.must_send(now) and self.usable:
            self._send_beat(now)
        return max(0.01, self.beat.wait(now))

    def _send_beat(self, now: float) -> None:
        """Send a line end, unless a frame is on its way anyway (STOMP 1.2, "Heart-beating")."""
        self.beat.sent_at = now
        if not self._sending.acquire(blocking=False):
            return
        failure: STOMPClosed | None = None
        try:
            with contextlib.suppress(STOMPTimeout):  # then octets of ours wait to be read
                self._transport.send(b"\n", now)
        except OSError as error:
            failure = STOMPClosed(f"the connection broke: {error.strerror or error}")
        finally:
            self._sending.release()
        if failure is not None:
            self.close(failure)
        self._give_back()

    # -- the end -----------------------------------------------------------------------------

    @property
    def age(self) -> float:
        """Seconds that it has lived."""
        return (self._ended_at or time.monotonic()) - self._begun

    @property
    def silence(self) -> tuple[float, float]:
        """Seconds since octets last went out, and since they came in."""
        now = time.monotonic()
        return max(0.0, now - self.beat.sent_at), max(0.0, now - self.beat.received_at)

    @property
    def usable(self) -> bool:
        """Whether frames can be sent: it is open and nobody is leaving."""
        return self.open and not self._leaving

    def close(self, reason: STOMPError | None) -> None:
        """End it and wake all who wait on it; the first call alone has an effect."""
        with self._lock:
            if not self.open:
                return
            self.open = False
            self._ended_at = time.monotonic()
            self.close_reason = None if self._leaving else reason  # a goodbye ends in EOF, too
            self._transport.shutdown()
            self._closed.set()
            self._turn.notify_all()
        self._give_back()
        client = self.client() if self.client else None
        if client is not None:
            client.connection_ended()

    def _give_back(self) -> None:
        """Give the descriptor back once it is closed and nobody uses it: it could be reused under
        a reader or a writer. Whoever uses it meanwhile calls this afterwards."""
        with self._lock:
            if self.open or self._reading or not self._sending.acquire(blocking=False):
                return
        try:
            self._transport.close()
        finally:
            self._sending.release()


def _keep_pace(ref: weakref.ref[Connection], closed: threading.Event) -> None:
    """What the heart-beat thread does, until the connection is closed or forgotten."""
    wait = 0.0
    while not closed.wait(min(wait, LONGEST_WAIT)):
        connection = ref()
        if connection is None:
            return
        wait = connection.pulse()
        del connection
