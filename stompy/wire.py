"""Octets to frames and back, for STOMP 1.0, 1.1 and 1.2. No sockets, no clock.

`encode` makes the octets of one frame. `FrameDecoder` takes octets in any portions and gives the
frames that are complete. What the versions do differently (escaping, line ends) is decided here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stompy.errors import STOMPProtocolError
from stompy.frame import STOMPFrame

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

VERSIONS = ("1.0", "1.1", "1.2")

SUBPROTOCOLS = {"1.0": "v10.stomp", "1.1": "v11.stomp", "1.2": "v12.stomp"}
"""What the versions are called when a WebSocket is opened."""

HANDSHAKE = frozenset({"CONNECT", "STOMP", "CONNECTED"})
"""Frames whose headers are never escaped (STOMP 1.2, "Value Encoding")."""

MAX_BODY = 100 * 1024 * 1024
MAX_HEADERS = 1000
MAX_HEADER_LINE = 64 * 1024
MAX_HEAD = 1024 * 1024

LEARN_AFTER = 16
"""So many frames have to be alike before more of them are looked for."""
MAX_SHAPES = 8
MAX_SHAPE_HEADERS = 64
MAX_COUNTED = 64
MAX_TEXT = 1024 * 1024
"""Octets in which frames of a known shape are looked for; with more, most are of a large body."""

_ESCAPES_11 = {"\\": "\\\\", "\n": "\\n", ":": "\\c"}
_ESCAPES = {
    "1.1": str.maketrans(_ESCAPES_11),
    "1.2": str.maketrans(_ESCAPES_11 | {"\r": "\\r"}),
}
_UNESCAPES = {
    version: {pair: chr(code) for code, pair in table.items()}
    for version, table in _ESCAPES.items()
}
_ESCAPE = re.compile(r"\\(?:.|\Z)", re.DOTALL)


def encode(
    command: str, headers: Mapping[str, str], body: bytes = b"", version: str = "1.2"
) -> bytes:
    """The octets of one frame (STOMP 1.2, "STOMP Frames" and "Value Encoding").

    Args:
        command: the command, e.g. ``"SEND"``.
        headers: names and values as the program means them; they are escaped here.
        body: the body as it is; a ``content-length`` is the caller's to give.
        version: the version agreed on.

    Raises:
        STOMPProtocolError: a name or value that this version cannot carry: line feeds where
            nothing can be escaped (1.0, CONNECT, CONNECTED), colons in such a name.

    Example:
        >>> encode("SEND", {"destination": "/queue/a:b"}, b"hello")
        b'SEND\\ndestination:/queue/a\\\\cb\\n\\nhello\\x00'
    """
    return b"".join((encode_head(command, headers, version), b"\n", body, b"\0"))


def encode_head(command: str, headers: Mapping[str, str], version: str) -> bytes:
    """The command and the header lines, without the blank line that ends the head."""
    lines = "".join([f"{name}:{value}\n" for name, value in headers.items()])
    table = None if command in HANDSHAKE else _ESCAPES.get(version)
    if table is None:
        for name, value in headers.items():
            _check_unescaped(command, version, name, value)
    # Looking for escapes once in all headers costs much less than to translate each.
    elif (
        not lines.count(":") == lines.count("\n") == len(headers) or "\\" in lines or "\r" in lines
    ):
        lines = "".join(
            [f"{n.translate(table)}:{v.translate(table)}\n" for n, v in headers.items()]
        )
    head = _utf8(f"{command}\n{lines}")
    if head is None:
        raise STOMPProtocolError("a header that UTF-8 cannot hold", hint="look for lone surrogates")
    return head


def _utf8(text: str) -> bytes | None:
    """`text` in UTF-8, or None: the exception would carry the text, and a passcode with it."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return None


def fits_unescaped(name: str, value: str) -> bool:
    """Whether a header can be written where there are no escapes."""
    return not (":" in name or "\n" in name or "\n" in value or value.endswith("\r"))


def _check_unescaped(command: str, version: str, name: str, value: str) -> None:
    if not fits_unescaped(name, value):
        where = f"a {command} frame" if command in HANDSHAKE else f"STOMP {version}"
        raise STOMPProtocolError(
            f"header {name!r} cannot be sent: {where} has no escapes for line ends and colons",
            hint="take the line ends out of the value, and colons out of the name",
        )


def _unescape(text: str, version: str | None) -> str:
    """`text` with its escapes resolved by the rules of `version`.

    Without a version (before the negotiation) an undefined escape stays as it is: brokers differ
    in whether they escape an early ERROR.
    """
    if "\\" not in text:
        return text
    # Nearly always it is colons; if no backslash is left, then each was one of those.
    colons = text.replace("\\c", ":")
    if "\\" not in colons:
        return colons
    pairs = _UNESCAPES.get(version or "1.2", _UNESCAPES["1.2"])

    def replace(match: re.Match[str]) -> str:
        pair = match.group()
        if pair in pairs:
            return pairs[pair]
        if version is None:
            return pair
        raise STOMPProtocolError(f"undefined escape {pair!r} in a header of STOMP {version}")

    return _ESCAPE.sub(replace, text)


def past_line_ends(data: bytes, place: int) -> int:
    """The first place, from `place` on, that holds no line end."""
    found = _LINE_ENDS.match(data, place)
    assert found is not None
    return found.end()


_LINE_ENDS = re.compile(rb"[\r\n]*+")
_PLAIN = re.compile(r"[!-9;-\[\]-~]+")
"""What is written in a command or a name as it is, in all versions."""


class _Shape:
    """What frames have in common that have one command and the same header names in one order.

    The messages of a subscription nearly always have. Then one `match` finds the end of the head
    and all values, several times as fast as one looks line by line. It matches whole lines with
    these names, each once: what the careful way would read there, if no line holds a CR and all
    of them are ASCII.
    """

    def __init__(self, command: str, names: Iterable[str]) -> None:
        self.command = command
        self.places = {name: place for place, name in enumerate(names)}
        self.length = self.places.get("content-length")
        lines = [
            re.escape(name) + (":([0-9]{1,15}+)" if name == "content-length" else ":(.*+)")
            for name in self.places
        ]
        head = "\n".join([re.escape(command), *lines, "\n"])
        self.match = re.compile(r"\n*+" + head).match  # a broker may send line ends before it


class FrameDecoder:
    """Turns a stream of octets, in any portions, into frames.

    After `feed`, iterate over `frames`; feed again when that has ended. A CONNECTED frame sets the
    version for what follows it; a server sets `version` itself once it has answered CONNECT, which
    may be in the middle of `frames`. Octets that break the grammar raise STOMPProtocolError after
    the good frames before them were given, and again at each later call: the stream has no more.

    The work is linear in the octets, however they are portioned, and memory is bounded by the
    limits: `max_body` octets of a body, `max_headers` headers, `max_header_line` octets in one
    of them, 1 MiB for all of them together.

    Example:
        >>> decoder = FrameDecoder()
        >>> decoder.feed(b"RECEIPT\\nreceipt-")
        >>> list(decoder.frames())
        []
        >>> decoder.feed(b"id:7\\n\\n\\0")
        >>> [frame["receipt-id"] for frame in decoder.frames()]
        ['7']
    """

    def __init__(
        self,
        version: str | None = None,
        *,
        max_body: int = MAX_BODY,
        max_headers: int = MAX_HEADERS,
        max_header_line: int = MAX_HEADER_LINE,
    ) -> None:
        self.version = version
        self.max_body = max_body
        self.max_headers = max_headers
        self.max_header_line = max_header_line
        self._portions: list[bytes] = []
        self._size = 0
        # An unfinished frame is looked at again only when there are _need octets and the newest
        # portion holds _token, or when it has more than _most: that keeps tiny portions linear.
        self._need = 1
        self._token = b""
        self._most = self.max_body
        self._ready = False
        self._broken: str | None = None
        self._start = 0  # where the next frame begins in the octets at hand
        self._blank = -1  # where its next LF LF is; found once, used until it is passed
        self._shapes: dict[tuple[str, ...], _Shape] = {}
        self._times: dict[tuple[str, ...], int] = {}  # how often those that are no shapes yet came

    @property
    def unfinished(self) -> bool:
        """Whether a frame has begun that is not complete yet."""
        return self._size > 0

    @property
    def size(self) -> int:
        """Octets at hand that `frames` has not given as frames."""
        return self._size

    @property
    def ready(self) -> bool:
        """Whether there may be complete frames that `frames` has not given yet."""
        return self._ready

    def feed(self, data: bytes, kept: list[bytes] | None = None) -> None:
        """Take the next portion of the stream.

        Args:
            data: the portion.
            kept: where the caller keeps it; emptied in the moment in which it is taken.
        """
        size = self._size + len(data)
        ready = (size >= self._need and self._token in data) or size > self._most
        # An interrupt is raised when a call returns: these stay together.
        self._portions += [data]
        self._size = size
        self._ready |= ready
        if kept is not None:
            del kept[:]

    def frames(self) -> Generator[STOMPFrame]:
        """The frames that are complete, in order; what is not complete is kept."""
        if self._broken:
            raise STOMPProtocolError(self._broken)
        if not self._ready:
            return
        data = b"".join(self._portions)
        text = ""
        plain = False
        self._start, self._blank = 0, -1
        try:
            while True:
                if self._shapes and len(data) <= MAX_TEXT:
                    if not text:
                        # In Latin-1 each octet is one character: places in it are places in data.
                        text = data.decode("latin-1")
                        plain = text.isascii() and "\r" not in text and "\\" not in text
                    yield from self._alike(data, text, plain)
                frame = self._next(data)
                if frame is None:
                    return
                if frame.Command == "CONNECTED" and self.version is None:
                    self.version = frame.get("version", "1.0")
                yield frame
        except STOMPProtocolError as error:
            self._broken = error.Message
            raise
        finally:
            self._portions = [data[self._start :]] if self._start < len(data) else []
            self._size = len(data) - self._start

    def _alike(self, data: bytes, text: str, plain: bool) -> Generator[STOMPFrame]:
        """The next frames, as long as they are complete and of a known shape.

        Others, and those that are odd in any way, are left to `_next`. A text is `plain` if no
        head in it needs a closer look.
        """
        size = len(data)
        longest = min(self.max_header_line, MAX_HEAD)
        start = self._start
        shape = next(iter(self._shapes.values()))
        while self.version != "1.0":  # there, headers are trimmed
            match = shape.match(text, start)
            if match is None:
                for shape in self._shapes.values():
                    match = shape.match(text, start)
                    if match is not None:
                        break
                else:
                    return
            body = match.end()
            if body - start > longest:
                return
            values: Sequence[str] = match.groups()
            if not plain:
                head = match[0]
                if "\r" in head or not head.isascii():
                    return
                if "\\" in head:
                    version = self.version
                    values = [_unescape(v, version) if "\\" in v else v for v in values]
            if shape.length is None:
                end = data.find(b"\0", body)
            else:
                end = body + int(values[shape.length])
                if end >= size or data[end]:
                    return
            if end < 0 or end - body > self.max_body:
                return
            self._start = start = end + 1
            yield STOMPFrame.received(shape.command, shape.places, values, data[body:end])

    def _learn(self, command: str, headers: Mapping[str, str]) -> None:
        """Count a frame that was read the careful way; when it is one of many, keep its shape."""
        words = (command, *headers)
        if words in self._shapes or len(self._shapes) == MAX_SHAPES:
            return
        times = self._times[words] = self._times.get(words, 0) + 1
        usual = times == LEARN_AFTER and len(headers) <= MAX_SHAPE_HEADERS
        if usual and all(map(_PLAIN.fullmatch, words)):
            self._shapes[words] = _Shape(command, headers)
        if len(self._times) > MAX_COUNTED:
            self._times.clear()

    def _next(self, data: bytes) -> STOMPFrame | None:
        """The next frame, or None when it is not complete."""
        self._start = start = past_line_ends(data, self._start)
        if start == len(data):
            self._wait_for(1)
            return None
        if self._blank < start:
            self._blank = data.find(b"\n\n", start)
            if self._blank < 0:
                self._blank = len(data)
        head_end, body_start = self._find_head(data, start, self._blank)
        if head_end < 0:
            self._await_head(data, start)
            return None
        frame = self._parse_head(data[start:head_end])
        end = self._find_end(frame, data, start, body_start)
        if end < 0:
            return None
        frame.Body = data[body_start:end]
        self._start = end + 1
        return frame

    def _wait_for(self, need: int, token: bytes = b"", most: int | None = None) -> None:
        self._need, self._token, self._ready = need, token, False
        self._most = need if most is None else most

    @staticmethod
    def _find_head(data: bytes, start: int, blank: int) -> tuple[int, int]:
        """Where the head ends and the body begins; (-1, -1) while the blank line is missing.

        `blank` is the next LF LF, or the size of the data. A blank line may be CR LF too.
        """
        if data.find(b"\r", start, blank) >= 0:  # one octet is found much faster than three
            crlf = data.find(b"\n\r\n", start, blank + 1)
            if crlf >= 0:
                return crlf, crlf + 3
        if blank < len(data):
            return blank, blank + 2
        return -1, -1

    def _await_head(self, data: bytes, start: int) -> None:
        """Ask for the next line end, unless the head has grown beyond a limit already."""
        line = max(start, data.rfind(b"\n") + 1)
        self._check_head(len(data) - start, data.count(b"\n", start) - 1, len(data) - line)
        self._wait_for(1, b"\n", most=line - start + self.max_header_line)

    def _check_head(self, size: int, headers: int, longest: int) -> None:
        if longest > self.max_header_line:
            raise STOMPProtocolError(f"a header line is longer than {self.max_header_line} octets")
        if headers > self.max_headers:
            raise STOMPProtocolError(f"a frame has more than {self.max_headers} headers")
        if size > MAX_HEAD:
            raise STOMPProtocolError(f"the headers of a frame are longer than {MAX_HEAD} octets")

    def _parse_head(self, head: bytes) -> STOMPFrame:
        """Command and headers, line by line: the careful way."""
        try:
            text = head.decode()
        except UnicodeDecodeError as error:
            raise STOMPProtocolError(f"the headers of a frame are no UTF-8: {error}") from error
        lines = text.split("\n")
        if len(lines) > self.max_headers or len(head) > self.max_header_line:
            self._check_head(len(head), len(lines) - 1, max(map(len, head.split(b"\n"))))
        command = lines[0].removesuffix("\r")
        if "\0" in command:
            raise STOMPProtocolError("a NUL that ends no frame")
        if "\r" in text and (self.version in (None, "1.2") or command in HANDSHAKE):
            lines = [line.removesuffix("\r") for line in lines]
        del lines[0]
        trimmed = self.version == "1.0"
        escaped = "\\" in text and not trimmed and command not in HANDSHAKE
        headers: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon:
                shown = "passcode…" if line.lower().startswith("passcode") else line[:60]
                raise STOMPProtocolError(
                    f"a header line without a colon in a {command[:20]!r} frame: {shown!r}"
                )
            if escaped and "\\" in line:
                name, value = _unescape(name, self.version), _unescape(value, self.version)
            elif trimmed:
                name, value = name.strip(" \t"), value.strip(" \t")
            if name not in headers:
                headers[name] = value
        if not ("\r" in text or trimmed or command in HANDSHAKE) and len(headers) == len(lines):
            self._learn(command, headers)
        return STOMPFrame(command, headers)

    def _find_end(self, frame: STOMPFrame, data: bytes, start: int, body_start: int) -> int:
        """Where the NUL behind the body is; -1 while it is missing.

        With a ``content-length`` it must be right behind that many octets; without one it is the
        first (STOMP 1.2, "Header content-length").
        """
        announced = frame.Headers.get("content-length")
        if announced is None:
            end = data.find(b"\0", body_start)
            if end < 0:
                self._wait_for(1, b"\0", most=body_start - start + self.max_body)
            self._check_body((end if end >= 0 else len(data)) - body_start)
            return end
        if not (announced.isascii() and announced.isdigit()):
            raise STOMPProtocolError(f"content-length is no number: {announced[:40]!r}")
        length = int(announced) if len(announced) < 19 else self.max_body + 1
        self._check_body(length)
        end = body_start + length
        if end >= len(data):
            self._wait_for(end + 1 - start)
            return -1
        if data[end]:
            raise STOMPProtocolError(
                f"no NUL behind the {length} octets that content-length announced"
            )
        return end

    def _check_body(self, size: int) -> None:
        if size > self.max_body:
            raise STOMPProtocolError(f"a body is longer than {self.max_body} octets")


_OTHER_PROTOCOLS = (
    (re.compile(rb"HTTP/|<!DOCTYPE|<html", re.IGNORECASE), "HTTP"),
    (re.compile(rb"(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|TRACE|CONNECT) "), "HTTP"),
    (re.compile(rb"\x15\x03|\x16\x03"), "TLS"),
    (re.compile(rb"AMQP"), "AMQP"),
    (re.compile(rb"SSH-"), "SSH"),
    (re.compile(rb"220[ -]"), "SMTP or FTP"),
    (re.compile(rb".{4}\x01ActiveMQ", re.DOTALL), "OpenWire"),
    (re.compile(rb"-ERR|\+OK"), "Redis or POP3"),
)


SERVER_COMMANDS = ("CONNECTED", "ERROR", "RECEIPT", "MESSAGE")
CLIENT_COMMANDS = (
    *("CONNECT", "STOMP", "SEND", "SUBSCRIBE", "UNSUBSCRIBE", "ACK", "NACK"),
    *("BEGIN", "COMMIT", "ABORT", "DISCONNECT"),
)
"""The frames that a side may send (STOMP 1.2, "Augmented BNF")."""


def other_protocol(data: bytes, commands: Sequence[str] = SERVER_COMMANDS) -> str | None:
    """What a peer speaks whose first octets cannot become a STOMP frame; None while they can.

    Args:
        data: the first octets.
        commands: what a STOMP frame of the peer's can begin with.

    Example:
        >>> other_protocol(b"HTTP/1.1 400 Bad Request")
        'HTTP'
        >>> other_protocol(b"\\nCONNEC") is None
        True
    """
    data = data.lstrip(b"\r\n")
    for pattern, name in _OTHER_PROTOCOLS:
        if pattern.match(data):
            return name
    command, newline, _ = data.partition(b"\n")
    known = [command.encode() for command in commands]
    if newline:
        return None if command.rstrip(b"\r") in known else "something else"
    fits = any(word.startswith(command.rstrip(b"\r")) for word in known)
    return None if fits else "something else"
