"""Captures: frames in a file, with times and directions.

The format, so that others can read and write it: a first line, and one record for each frame::

    STOMPCAP 1
    {"time":1700000000123456789,"direction":"in","octets":68}
    MESSAGE
    destination:/topic/prices
    message-id:7
    subscription:1

    42.5^@

- The first line is ``STOMPCAP`` and the version of the format.
- A record begins with a line of JSON, an object: ``time``, in nanoseconds since 1970;
  ``direction``, ``"in"`` for what came from the broker and ``"out"`` for what went to it;
  ``octets``, how many follow. Names that a reader does not know it passes over. The line has 1,000
  octets at the most.
- So many octets follow, and a line feed that is not counted. They are one frame as STOMP 1.2
  writes it, with the NUL behind the body (^@ above), whatever version was spoken; where a body
  holds a NUL, there is a ``content-length``. Heart-beats are not in a capture, and passcodes are
  ``***``.
- A file may be cut off anywhere: what is whole in it is good. A file may be appended to.
- A file whose name ends in ``.gz`` is all that, compressed by gzip, in one or more members.

>>> with record("prices.stompcap") as capture:
...     client.loop(lambda _, frame: capture.write(frame))
>>> for entry in read("prices.stompcap"):
...     print(entry.time_ns, entry.direction, entry.frame.text)
"""

from __future__ import annotations

import gzip
import json
import os
import re
import threading
import time
import weakref
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple, cast

from stompy import wire
from stompy.errors import STOMPProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Self

    from stompy.frame import STOMPFrame
    from stompy.trace import TracedFrame

Direction = Literal["in", "out"]
StrPath = str | os.PathLike[str]

FIRST_LINE = b"STOMPCAP 1\n"

MAX_LINE = 1000
"""Octets that the line before a frame may have."""

LATEST = 2**63
"""Times are smaller: Arrow and pandas hold no later ones."""

_GZIPPED = b"\x1f\x8b"
_LEVEL = 6
"""How hard gzip tries: a third of the time of its default, for files that are hardly larger."""

_COMMAND = re.compile(r"[A-Z]+")
_PASSCODE = re.compile(rb"^([ \t]*passcode[ \t]*:).*", re.MULTILINE | re.IGNORECASE)
"""A passcode in a body: some brokers repeat the frame that they complain about."""


class Entry(NamedTuple):
    """A frame in a capture.

    Attributes:
        time_ns: when it came or went, in nanoseconds since 1970.
        direction: ``"in"`` if it came from the broker, ``"out"`` if it went there.
        frame: the frame.
    """

    time_ns: int
    direction: Direction
    frame: STOMPFrame


# -- writing -------------------------------------------------------------------------------------


class CaptureWriter:
    """Writes frames to a capture; made by `record`. Any thread may write.

    Attributes:
        frames: how many it has written.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.frames = 0
        self._file = file
        self._lock = threading.Lock()

    def write(
        self, frame: STOMPFrame, time_ns: int | None = None, direction: Direction = "in"
    ) -> None:
        """Add a frame.

        Args:
            frame: the frame; a passcode in it is masked.
            time_ns: when it came or went, in nanoseconds since 1970; now by default.
            direction: ``"in"`` if it came from the broker, ``"out"`` if it went there.

        Raises:
            STOMPProtocolError: it cannot be written as a frame.
            ValueError: there is no such time or direction.
            OSError: the file cannot be written.
        """
        octets = _record_of(Entry(time.time_ns() if time_ns is None else time_ns, direction, frame))
        with self._lock:
            self._file.write(octets)
            self.frames += 1

    def trace(self, traced: TracedFrame) -> None:
        """Add a frame as it passes, flushed: for ``stompy.connect(address, trace=capture.trace)``.

        So both directions are captured. Heart-beats are not, nor what passes after `close`.
        """
        frame = traced.frame
        if frame is not None and not self._file.closed:
            self.write(frame, round(traced.time * 1e9), "out" if traced.sent else "in")
            self.flush()

    def flush(self) -> None:
        """Hand what was written over to the operating system: whoever reads the file sees it."""
        with self._lock:
            self._file.flush()

    def close(self) -> None:
        """Write what is left, and close the file. Twice is fine."""
        with self._lock:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def record(path: StrPath) -> CaptureWriter:
    """Begin a capture, or go on with one that is there: frames are appended.

    Where an earlier recording was cut off in the middle of a frame, that part of a frame goes.

    Raises:
        STOMPProtocolError: the file is there and is no capture, or a compressed one that was cut
            off.
        OSError: the file cannot be written.

    Example:
        >>> with record("prices.stompcap") as capture:
        ...     client = stompy.connect("broker.example", trace=capture.trace)
    """
    path = Path(path)
    going_on = path.is_file() and path.stat().st_size > 0
    if going_on:
        _cut_to_whole(path)
    file = _opened(path, "ab")
    writer = CaptureWriter(file)
    if not going_on or path.stat().st_size == 0:
        file.write(FIRST_LINE)
        file.flush()
    return writer


def save(path: StrPath, entries: Iterable[Entry]) -> int:
    """Write a whole capture, in the place of a file that is there: all of it or nothing.

    Returns:
        How many frames it has.

    Raises:
        STOMPProtocolError: a frame cannot be written.
        OSError: the file cannot be written.

    Example:
        >>> with read("all.stompcap") as entries:
        ...     save("sent.stompcap", (entry for entry in entries if entry.direction == "out"))
        12
    """
    path = Path(path)
    part = path.with_name(f".{os.urandom(4).hex()}.{path.name}")
    frames = 0
    try:
        with _opened(part, "xb") as file:
            file.write(FIRST_LINE)
            for entry in entries:
                file.write(_record_of(entry))
                frames += 1
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return frames


def _opened(path: Path, mode: Literal["ab", "xb"]) -> BinaryIO:
    if path.suffix == ".gz":
        return cast("BinaryIO", gzip.open(path, mode, compresslevel=_LEVEL))
    return path.open(mode)


def _record_of(entry: Entry) -> bytes:
    """The octets of a record."""
    time_ns, direction, frame = entry
    if not 0 <= time_ns < LATEST:
        raise ValueError(f"{time_ns} is no time in nanoseconds since 1970")
    if direction not in ("in", "out"):
        raise ValueError(f'{direction!r} is no direction: "in" or "out"')
    if not _COMMAND.fullmatch(frame.Command):
        raise STOMPProtocolError(f"{frame.Command!r} is no command")
    headers, body = frame.Headers, frame.Body
    if any(name.lower() == "passcode" for name in headers):
        headers = {n: "***" if n.lower() == "passcode" else v for n, v in headers.items()}
    if frame.Command == "ERROR":
        body = _PASSCODE.sub(rb"\1***", body)
    announced = headers.get("content-length")
    if b"\0" in body if announced is None else announced != str(len(body)):
        headers = {**headers, "content-length": str(len(body))}
    octets = wire.encode(frame.Command, headers, body)
    head = f'{{"time":{time_ns},"direction":"{direction}","octets":{len(octets)}}}\n'
    return b"%b%b\n" % (head.encode(), octets)


def _cut_to_whole(path: Path) -> None:
    """Take away the last part of a frame, if a file ends with one."""
    with CaptureReader(path) as reader:
        end = reader._skip_all()
        compressed = reader._compressed
    if end is None:
        return
    if compressed:
        raise STOMPProtocolError(
            f"{path} is compressed and was cut off: nothing can be appended",
            hint="record into another file",
        )
    os.truncate(path, end)


# -- reading -------------------------------------------------------------------------------------


class CaptureReader:
    """The entries of a capture, one after the other; made by `read`.

    It closes the file at the end, and by `close` or ``with``.

    Attributes:
        path: of the file.
        cut_off: whether the end of the file is missing; known when all entries have been read.
    """

    def __init__(self, path: StrPath, **limits: int) -> None:
        self.path = Path(path)
        self.cut_off = False
        self._decoder = wire.FrameDecoder("1.2", **limits)
        self._longest = self._decoder.max_body + wire.MAX_HEAD + 2
        self._place = 0  # octets up to the end of what was read, without compression
        self._whole = 0  # the same up to the last entry
        self._number = 0  # of the entry, from 1
        raw = self.path.open("rb")
        self._closing = weakref.finalize(self, raw.close)
        self._compressed = raw.peek(2)[:2] == _GZIPPED
        self._file = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if self._compressed else raw
        try:
            self._check_first_line()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file; there are no more entries then. Twice is fine."""
        self._closing()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Entry]:
        return self

    def __next__(self) -> Entry:
        try:
            head = self._next_head()
            octets = None if head is None else self._octets_of(head)
            if head is not None and octets is not None:
                frame = self._frame_of(octets)
                self._whole = self._place
                return Entry(head["time"], head["direction"], frame)
        except BaseException:
            self.close()
            raise
        self.close()
        raise StopIteration

    def _skip_all(self) -> int | None:
        """Go to the end; where the last whole entry ends, if that is not the end of the file."""
        while (head := self._next_head()) is not None and self._octets_of(head) is not None:
            self._whole = self._place
        return self._whole if self.cut_off else None

    def _check_first_line(self) -> None:
        line = self._read_line(len(FIRST_LINE) + 1)
        if line == FIRST_LINE:
            self._whole = self._place
        elif FIRST_LINE.startswith(line):  # with all of it, or with no more than the line end gone
            self.cut_off = True
        elif line.startswith(b"STOMPCAP "):
            version = line[9:].strip().decode("ascii", "replace")
            raise STOMPProtocolError(f"{self.path} is a capture of version {version!r}, not of 1")
        else:
            raise STOMPProtocolError(
                f"{self.path} is no capture of STOMP frames",
                hint="one begins with a line STOMPCAP 1: stompy record, stream.save",
            )

    def _next_head(self) -> dict[str, Any] | None:
        """What the next line says of the frame behind it; None at the end."""
        if self.cut_off or not self._closing.alive:
            return None
        self._number += 1
        line = self._read_line(MAX_LINE)
        if not line.endswith(b"\n"):
            if len(line) == MAX_LINE:
                raise self._error(f"a line of more than {MAX_LINE} octets")
            self.cut_off |= line != b""
            return None
        try:
            head = json.loads(line)
        except (ValueError, RecursionError):
            head = None
        if not isinstance(head, dict):
            raise self._error("a line of JSON should be here")
        if not _is_number(head.get("time"), LATEST):
            raise self._error("no time in nanoseconds since 1970")
        if head.get("direction") not in ("in", "out"):
            raise self._error('no direction "in" or "out"')
        if not _is_number(head.get("octets"), self._longest + 1):
            raise self._error(f"no number of octets up to {self._longest}")
        return head

    def _octets_of(self, head: dict[str, Any]) -> bytes | None:
        """The octets of the frame; None where they are cut off."""
        size: int = head["octets"]
        octets = self._read(size + 1)
        if len(octets) <= size:
            self.cut_off = True
            return None
        if octets[size:] != b"\n":
            raise self._error(f"no line feed behind {size} octets")
        return octets[:size]

    def _frame_of(self, octets: bytes) -> STOMPFrame:
        self._decoder.feed(octets)
        try:
            frames = list(self._decoder.frames())
        except STOMPProtocolError as error:
            raise self._error(error.Message) from None
        if len(frames) != 1 or self._decoder.unfinished:
            raise self._error(f"{len(octets)} octets that are not one frame")
        return frames[0]

    def _read_line(self, size: int) -> bytes:
        return self._checked(lambda: self._file.readline(size))

    def _read(self, size: int) -> bytes:
        return self._checked(lambda: self._file.read(size))

    def _checked(self, read: Callable[[], bytes]) -> bytes:
        """What is read; nothing where a compressed file is cut off."""
        try:
            octets = read()
        except EOFError:
            self.cut_off = True
            return b""
        except (gzip.BadGzipFile, zlib.error) as error:
            raise self._error(f"the file is damaged: {error}") from None
        self._place += len(octets)
        return octets

    def _error(self, what: str) -> STOMPProtocolError:
        return STOMPProtocolError(
            f"{self.path}, frame {self._number}, behind octet {self._whole}: {what}"
        )


def read(path: StrPath, **limits: int) -> CaptureReader:
    """The entries of a capture, compressed or not, in the order of the file.

    Args:
        path: of the file.
        limits: ``max_body``, ``max_headers``, ``max_header_line`` of a frame, as for
            `stompy.connect`. Memory is bounded by them, whatever the file says.

    Raises:
        STOMPProtocolError: it is no capture, here or at a later entry; it says where.
        OSError: the file cannot be read.

    Example:
        >>> with read("prices.stompcap") as entries:
        ...     bodies = [entry.frame.text for entry in entries]
        >>> entries.cut_off
        False
    """
    return CaptureReader(path, **limits)


def _is_number(value: object, limit: int) -> bool:
    return type(value) is int and 0 <= value < limit
