"""Watching a connection: each frame as it passes, both ways, with its octets and its time."""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from stompy.wire import FrameDecoder, past_line_ends

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from stompy.frame import STOMPFrame
    from stompy.transport import Transport

_log = logging.getLogger(__name__)

_PASSCODE = re.compile(rb"^passcode:[^\n]*", re.MULTILINE)


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
        """The frame; None of a heart-beat."""
        decoder = FrameDecoder(self.version, max_body=len(self.octets))
        decoder.feed(self.octets)
        return next(decoder.frames(), None)

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
        if octets.startswith((b"CONNECT\n", b"STOMP\n")):
            octets = _PASSCODE.sub(b"passcode:***", octets)
        try:
            self._tell(TracedFrame(time.time(), sent, octets, version))
        except Exception:  # an observer's failure is no failure of the connection
            _log.exception("the callback trace failed")


class TracedDecoder(FrameDecoder):
    """A `FrameDecoder` that tells of the frames it gives, before it gives them.

    Line ends right behind a frame are counted to it; others are heart-beats.
    """

    def __init__(self, trace: Trace, **limits: Any) -> None:
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

    def __init__(self, raw: Transport, trace: Trace, decoder: FrameDecoder) -> None:
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
