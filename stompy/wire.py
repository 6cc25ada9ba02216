"""Octets to frames and back, for STOMP 1.0, 1.1 and 1.2. No sockets, no clock.

`encode` makes the octets of one frame. `FrameDecoder` takes octets in any portions and gives the
frames that are complete. What the versions do differently (escaping, line ends) is decided here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from stompy.errors import STOMPProtocolError
from stompy.frame import STOMPFrame

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

VERSIONS = ("1.0", "1.1", "1.2")

HANDSHAKE = frozenset({"CONNECT", "STOMP", "CONNECTED"})
"""Frames whose headers are never escaped (STOMP 1.2, "Value Encoding")."""

MAX_BODY = 100 * 1024 * 1024
MAX_HEADERS = 1000
MAX_HEADER_LINE = 64 * 1024
MAX_HEAD = 1024 * 1024

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
    lines = [command]
    table = None if command in HANDSHAKE else _ESCAPES.get(version)
    if table:
        lines += [f"{n.translate(table)}:{v.translate(table)}" for n, v in headers.items()]
    else:
        for name, value in headers.items():
            _check_unescaped(command, version, name, value)
            lines.append(f"{name}:{value}")
    lines.append("\n")
    head = _utf8("\n".join(lines))
    if head is None:
        raise STOMPProtocolError("a header that UTF-8 cannot hold", hint="look for lone surrogates")
    return b"".join((head, body, b"\0"))


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
    pairs = _UNESCAPES.get(version or "1.2", _UNESCAPES["1.2"])

    def replace(match: re.Match[str]) -> str:
        pair = match.group()
        if pair in pairs:
            return pairs[pair]
        if version is None:
            return pair
        raise STOMPProtocolError(f"undefined escape {pair!r} in a header of STOMP {version}")

    return _ESCAPE.sub(replace, text)


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

    @property
    def unfinished(self) -> bool:
        """Whether a frame has begun that is not complete yet."""
        return self._size > 0

    def feed(self, data: bytes) -> None:
        """Take the next portion of the stream."""
        self._portions.append(data)
        self._size += len(data)
        if (self._size >= self._need and self._token in data) or self._size > self._most:
            self._ready = True

    def frames(self) -> Generator[STOMPFrame]:
        """The frames that are complete, in order; what is not complete is kept."""
        if self._broken:
            raise STOMPProtocolError(self._broken)
        if not self._ready:
            return
        data = b"".join(self._portions)
        start = 0
        blank = -1  # where the next LF LF is; found once, used until it is passed
        size = len(data)
        try:
            while True:
                while start < size and data[start] in b"\r\n":
                    start += 1
                if start == size:
                    self._wait_for(1)
                    return
                if blank < start:
                    blank = data.find(b"\n\n", start)
                    if blank < 0:
                        blank = size
                head_end, body_start = self._find_head(data, start, blank)
                if head_end < 0:
                    self._await_head(data, start)
                    return
                frame = self._parse_head(data[start:head_end])
                end = self._find_end(frame, data, start, body_start)
                if end < 0:
                    return
                frame.Body = data[body_start:end]
                if frame.Command == "CONNECTED":
                    self.version = frame.Headers.get("version", "1.0")
                start = end + 1
                yield frame
        except STOMPProtocolError as error:
            self._broken = error.Message
            raise
        finally:
            self._portions = [data[start:]] if start < size else []
            self._size = size - start

    def _wait_for(self, need: int, token: bytes = b"", most: int | None = None) -> None:
        self._need, self._token, self._ready = need, token, False
        self._most = need if most is None else most

    @staticmethod
    def _find_head(data: bytes, start: int, blank: int) -> tuple[int, int]:
        """Where the head ends and the body begins; (-1, -1) while the blank line is missing.

        `blank` is the next LF LF, or the size of the data. A blank line may be CR LF too.
        """
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
        """Command and headers. The shape of the common case is chosen for speed: one split, one
        dict; repeats, escapes and CR are looked for once in the whole head."""
        try:
            text = head.decode()
        except UnicodeDecodeError as error:
            raise STOMPProtocolError(f"the headers of a frame are no UTF-8: {error}") from error
        lines = text.split("\n")
        if len(lines) > self.max_headers or len(head) > self.max_header_line:
            self._check_head(len(head), len(lines) - 1, max(map(len, head.split(b"\n"))))
        command = lines[0].removesuffix("\r")
        if "\r" in text and (self.version in (None, "1.2") or command in HANDSHAKE):
            lines = [line.removesuffix("\r") for line in lines]
        del lines[0]
        frame = STOMPFrame(command)
        try:
            pairs: list[Any] = [line.split(":", 1) for line in lines]
            if self.version == "1.0":
                pairs = [(name.strip(" \t"), value.strip(" \t")) for name, value in pairs]
            elif "\\" in text and command not in HANDSHAKE:
                pairs = [
                    (_unescape(name, self.version), _unescape(value, self.version))
                    for name, value in pairs
                ]
            headers: dict[str, str] = dict(pairs)  # ValueError if not all are pairs
        except STOMPProtocolError:
            raise
        except ValueError:
            line = next(line for line in lines if ":" not in line)
            raise STOMPProtocolError(
                f"a header line without a colon in a {command[:20]!r} frame: {line[:60]!r}"
            ) from None
        if len(headers) < len(lines):
            headers = {}
            for name, value in pairs:
                headers.setdefault(name, value)
        frame.Headers = headers
        return frame

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
    (re.compile(rb"\x15\x03|\x16\x03"), "TLS"),
    (re.compile(rb"AMQP"), "AMQP"),
    (re.compile(rb"SSH-"), "SSH"),
    (re.compile(rb"220[ -]"), "SMTP or FTP"),
    (re.compile(rb".{4}\x01ActiveMQ", re.DOTALL), "OpenWire"),
    (re.compile(rb"-ERR|\+OK"), "Redis or POP3"),
)


def other_protocol(data: bytes) -> str | None:
    """What a peer speaks whose first octets cannot become a STOMP frame; None while they can.

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
    known = (b"CONNECTED", b"ERROR", b"RECEIPT", b"MESSAGE")
    if newline:
        return None if command.rstrip(b"\r") in known else "something else"
    fits = any(word.startswith(command.rstrip(b"\r")) for word in known)
    return None if fits else "something else"
