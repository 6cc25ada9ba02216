"""Watching a connection: each frame as it passes, both ways, with its octets and its time."""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from stompy.errors import STOMPProtocolError
from stompy.wire import FrameDecoder, past_line_ends

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from stompy.frame import STOMPFrame
    from stompy.transport import Transport

_log = logging.getLogger(__name__)

_PASSCODE = re.compile(rb"^passcode:[^\n]*", re.MULTILINE)
_GREETINGS = (b"CONNECT\n", b"CONNECT\r\n", b"STOMP\n", b"STOMP\r\n")

MAX_BYTES = 4 * 1024 * 1024
"""Octets that a `Tape` holds until somebody asks for its frames."""

MAX_PORTIONS = 65_536
"""In so many portions, since each costs some 150 octets more: a heart-beat is one of one octet."""


class TracedFrame(NamedTuple):
    """A frame, or line ends that are a heart-beat, on its way.

    Attributes:
        time: when it was about to be written, or had been read: seconds since the epoch.
        sent: whether this side sent it.
        octets: what was on the wire, with the line ends that came right behind the frame; of a
            CONNECT frame the passcode is ``***``.
        version: the protocol version agreed on by then; None before CONNECTED.

    Example:
        >>> traced = TracedFrame(0.0, True, b"BEGIN\\ntransaction:t1\\n\\n\\0", "1.2")
        >>> traced.frame["transaction"]
        't1'
        >>> print(traced)
        >>> BEGIN
        >>> transaction:t1
        >>>
        >>> ^@
    """

    time: float
    sent: bool
    octets: bytes
    version: str | None

    @property
    def frame(self) -> STOMPFrame | None:
        """The frame; None of a heart-beat, and of what is not, or not all of, a frame."""
        decoder = FrameDecoder(self.version, max_body=len(self.octets))
        decoder.feed(self.octets)
        try:
            return next(decoder.frames(), None)
        except STOMPProtocolError:
            return None

    @property
    def beat(self) -> bool:
        """Whether it is a heart-beat: line ends alone."""
        return not self.octets.strip(b"\r\n")

    def __str__(self) -> str:
        """Its text with an arrow before each line: ``>>>`` was sent, ``<<<`` came; NUL is ^@."""
        arrow = ">>>" if self.sent else "<<<"
        text = self.octets.decode("utf-8", "backslashreplace").replace("\0", "^@")
        lines = text.removesuffix("\n").split("\n")
        return "\n".join(f"{arrow} {visible(line)}".rstrip() for line in lines)


def visible(line: str) -> str:
    """A line with what a terminal would obey, as escapes."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)


class Trace:
    """Tells a callback of the frames of a connection.

    Args:
        tell: is called with each `TracedFrame`; when it fails, the log has it.
    """

    def __init__(self, tell: Callable[[TracedFrame], object]) -> None:
        self._tell = tell

    def passed(self, sent: bool, octets: bytes, version: str | None) -> None:
        """Tell of a frame."""
        try:
            self._tell(TracedFrame(time.time(), sent, _masked(octets), version))
        except Exception:  # an observer's failure is no failure of the connection
            _log.exception("the callback trace failed")

    def decoder(self, **limits: Any) -> FrameDecoder:
        """A decoder of which the trace is told."""
        return TracedDecoder(self, **limits)


def _masked(octets: bytes) -> bytes:
    """The octets of a frame without a passcode."""
    if octets.lstrip(b"\r\n").startswith(_GREETINGS):
        return _PASSCODE.sub(b"passcode:***", octets)
    return octets


class _Told(Protocol):
    """Who is told of what passes."""

    def passed(self, sent: bool, octets: bytes, version: str | None) -> None: ...


class TracedDecoder(FrameDecoder):
    """A `FrameDecoder` that tells of the frames it gives, before it gives them.

    Line ends right behind a frame are counted to it; others are heart-beats.
    """

    def __init__(self, trace: _Told, **limits: Any) -> None:
        super().__init__(**limits)
        self._trace = trace

    def frames(self) -> Generator[STOMPFrame]:
        data = b""
        if self._ready:
            data = b"".join(self._portions)
            self._portions = [data]  # so that they need not be joined again
        told = 0
        for frame in super().frames():
            begin = past_line_ends(data, told)
            self._tell(data[told:begin])
            self._start = told = past_line_ends(data, self._start)
            self._tell(data[begin:told])
            yield frame
        self._tell(data[told : self._start])

    def _tell(self, octets: bytes) -> None:
        if octets:
            self._trace.passed(False, octets, self.version)


class TracedTransport:
    """A `Transport` that tells of the frames it sends: each comes whole, in one call.

    Args:
        raw: the transport that does the work.
        trace: whom to tell.
        decoder: of the same connection; it knows the version.
    """

    def __init__(self, raw: Transport, trace: _Told, decoder: FrameDecoder) -> None:
        self._raw = raw
        self._trace = trace
        self._decoder = decoder
        self.recv = raw.recv
        self.read = raw.read
        self.readable = raw.readable
        self.shutdown = raw.shutdown
        self.close = raw.close

    def send(self, data: bytes, deadline: float | None) -> None:
        # Told before: the answer may be read before this thread comes to it again.
        self._trace.passed(True, data, self._decoder.version)
        self._raw.send(data, deadline)


class _Portion(NamedTuple):
    """Octets as they passed: a frame that was sent, or what one read has brought.

    Attributes:
        unfinished: of what was read: so many octets before it belong to the frame that it goes on
            with.
    """

    time: float
    sent: bool
    octets: bytes
    version: str | None
    unfinished: int


class Tape:
    """What passes on a connection, and on those that take its place, kept as octets.

    To note what one read has brought costs next to nothing, whatever number of frames is in it;
    frames are made of it when somebody asks. Any thread may note; one at a time may ask.

    Args:
        max_bytes: octets that are kept between two calls of `take`; the oldest go.

    Attributes:
        lost: how many octets have gone before somebody asked for them.
        noted: how often something was noted: it grows with whatever passes, and costs nothing.

    Example:
        >>> tape = Tape()
        >>> client = stompy.connect("broker.example", trace=tape)
        >>> [traced.frame.Command for traced in tape.take()]
        ['CONNECT', 'CONNECTED']
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.lost = 0
        self.noted = 0
        self._max_bytes = max_bytes
        self._portions: deque[_Portion] = deque()
        self._size = 0
        self._gap = False  # whether something that came has gone since the last of `take`
        self._lock = threading.Lock()
        self._parser = _Parser()

    # -- noting ------------------------------------------------------------------------------

    def passed(self, sent: bool, octets: bytes, version: str | None) -> None:
        """Note a whole frame."""
        self._note(_Portion(time.time(), sent, _masked(octets), version, 0))

    def decoder(self, **limits: Any) -> FrameDecoder:
        """A decoder of which the tape notes what it is fed."""
        return _TapedDecoder(self._note, **limits)

    def ended(self) -> None:
        """Note that the connection has ended: a frame that is not complete is given as it is."""
        self._note(_Portion(time.time(), False, b"", None, 0))

    def _note(self, portion: _Portion) -> None:
        with self._lock:
            self.noted += 1
            self._portions.append(portion)
            self._size += len(portion.octets)
            while self._size > self._max_bytes or len(self._portions) > MAX_PORTIONS:
                gone = self._portions.popleft()
                self._size -= len(gone.octets)
                self.lost += len(gone.octets)
                self._gap |= not gone.sent

    # -- asking ------------------------------------------------------------------------------

    def take(self) -> list[TracedFrame]:
        """The frames and heart-beats that have passed since the last call, oldest first.

        The time of one that came is that of its last octet. A frame that broke off with its
        connection is given when that has `ended`, or when there is another connection; what is
        no STOMP is given as it is.
        """
        with self._lock:
            portions, self._portions = self._portions, deque()
            self._size = 0
            gap, self._gap = self._gap, False
        if gap:
            begun, self._parser = self._parser.unfinished, _Parser()
            whole = _from_a_frame_on(portions)
            gone = sum(len(p.octets) for p in portions) - sum(len(p.octets) for p in whole)
            with self._lock:
                self.lost += begun + gone
                # Nothing that came could be read: what comes next is in the middle of a frame, too.
                self._gap |= all(p.sent for p in whole)
            portions = deque(whole)
        return self._parser.frames(portions)


class _TapedDecoder(FrameDecoder):
    """A `FrameDecoder` that notes what it is fed, as it is."""

    def __init__(self, note: Callable[[_Portion], object], **limits: Any) -> None:
        super().__init__(**limits)
        self._note = note

    def feed(self, data: bytes, kept: list[bytes] | None = None) -> None:
        # Noted before: frames of it may be seen in another thread before this one goes on.
        self._note(_Portion(time.time(), False, data, self.version, self.size))
        super().feed(data, kept)


_NO_LIMITS = dict.fromkeys(("max_body", "max_headers", "max_header_line"), sys.maxsize)
"""What passed has been held to limits already, if to any."""


class _Parser:
    """Makes frames of portions, in the order in which they passed."""

    def __init__(self) -> None:
        self._told: list[TracedFrame] = []
        self._time = 0.0
        self._decoder = TracedDecoder(self, **_NO_LIMITS)

    def frames(self, portions: Iterable[_Portion]) -> list[TracedFrame]:
        for portion in portions:
            if portion.sent:
                if portion.octets.startswith(_GREETINGS):
                    self._break_off()
                self._told.append(TracedFrame(*portion[:4]))
            else:
                self._receive(portion)
        told, self._told = self._told, []
        return told

    @property
    def unfinished(self) -> int:
        """Octets of a frame of which not all has come."""
        return self._decoder.size

    def passed(self, sent: bool, octets: bytes, version: str | None) -> None:
        """Is told by the decoder of a frame."""
        self._told.append(TracedFrame(self._time, sent, octets, version))

    def _receive(self, portion: _Portion) -> None:
        if portion.unfinished < self._decoder.size:  # another connection
            self._break_off()
        self._time = portion.time
        if self._decoder.version is None:
            self._decoder.version = portion.version
        self._decoder.feed(portion.octets)
        try:
            for _ in self._decoder.frames():
                pass
        except STOMPProtocolError:  # the connection ends with that
            self._break_off()

    def _break_off(self) -> None:
        """Tell of what is there of a frame whose connection has ended."""
        rest = b"".join(self._decoder._portions)
        if rest:
            self.passed(False, rest, self._decoder.version)
        self._decoder = TracedDecoder(self, **_NO_LIMITS)


def _from_a_frame_on(portions: Iterable[_Portion]) -> list[_Portion]:
    """Portions without those octets, of what came, with whose frames they do not begin."""
    place, begin = 0, None
    for portion in portions:
        if not portion.sent:
            if portion.unfinished <= place:
                begin = place - portion.unfinished
                break
            place += len(portion.octets)
    whole = []
    for portion in portions:
        if not portion.sent:
            if begin is None:  # one frame, larger than all that is kept
                continue
            skipped, begin = min(begin, len(portion.octets)), max(0, begin - len(portion.octets))
            if skipped:
                portion = portion._replace(octets=portion.octets[skipped:], unfinished=0)
        if portion.octets:
            whole.append(portion)
    return whole
