"""Bodies as Python values: octets and a content-type in, one value out; no pandas, no Arrow.

With "auto", what a body is shows by its content-type and its first octets, since many senders leave
the one out or write a wrong one there: first it is unpacked (gzip, zlib), then read as JSON, JSON
lines, XML, CSV, lines of ``key=value``, text, or left as octets. A function of the user may make
something else of the value in the end. A pickle is never opened.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zlib
from typing import TYPE_CHECKING, Any

from stompy.frame import charset_of
from stompy_jupyter.xmltree import from_xml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    Octets: TypeAlias = bytes | memoryview

MAX_HEAD = 64
"""Octets from which it is guessed what a body is."""

MAX_UNPACKED = 64 * 1024 * 1024
"""Octets that a packed body may have when it is unpacked."""

_GZIP = b"\x1f\x8b"
_HEADS = (_GZIP, b"\x78\x01", b"\x78\x9c", b"\x78\xda")  # of zlib; x^ begins text as well
_PACKED = {head[0] for head in _HEADS}

_PAIR = re.compile(r"\s*([\w.:-]+)\s*=(.*)")  # nothing in it that goes back and forth

_BY_CONTENT_TYPE = (
    (re.compile(r"(jsonl|ndjson|jsonlines|json-seq)$"), "jsonl"),
    (re.compile(r"[/+]json$"), "json"),
    (re.compile(r"[/+]xml$"), "xml"),
    (re.compile(r"/csv$"), "csv"),
)


# -- text ------------------------------------------------------------------------------------------


def to_utf8(body: bytes, content_type: str | None) -> bytes:
    """The text of a body in UTF-8, whatever its charset; as it is where it is no such text.

    Example:
        >>> to_utf8(b"caf\\xe9", "text/plain;charset=latin-1")
        b'caf\\xc3\\xa9'
    """
    if content_type is None or not _says_charset(content_type) or body.startswith(_GZIP):
        return body
    charset = charset_of(content_type)
    if charset in ("utf-8", "utf8"):
        return body
    try:
        return body.decode(charset).encode()
    except (LookupError, ValueError):  # of a charset, anything may be wrong
        return body


def _says_charset(content_type: str | None) -> bool:
    return "charset" in (content_type or "").lower()


def sayable(text: str) -> str:
    """Text that UTF-8 can say: halves of surrogate pairs become escapes.

    Example:
        >>> sayable("a\\ud800")
        'a\\\\ud800'
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def as_bytes(body: bytes, content_type: str | None) -> bytes:
    """The octets as they came."""
    return body


def as_text(body: bytes, content_type: str | None) -> str | bytes:
    """The text of a body, by the charset of its content-type or UTF-8; else its octets."""
    octets = to_utf8(body, content_type)
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets


def _text(body: bytes, content_type: str | None) -> str:
    """The text of a body that has to be text, without a byte order mark."""
    text = as_text(body, content_type)
    if isinstance(text, bytes):
        raise ValueError("octets that are no UTF-8 text")
    return text.removeprefix("\ufeff")


# -- formats ---------------------------------------------------------------------------------------


def unpacked(body: bytes) -> bytes:
    """A body out of gzip or zlib; as it is where it is in neither.

    Raises:
        ValueError: it is broken, or has more than `MAX_UNPACKED` octets then.

    Example:
        >>> unpacked(zlib.compress(b"hello"))
        b'hello'
    """
    if not is_packed(body):
        return body
    is_gzip = body.startswith(_GZIP)
    parts: list[bytes] = []
    left, rest = MAX_UNPACKED, body
    while rest:  # gzip may have several members
        engine = zlib.decompressobj(wbits=31 if is_gzip else 15)
        try:
            parts.append(engine.decompress(rest, left + 1))
        except zlib.error as error:
            raise ValueError(f"broken {'gzip' if is_gzip else 'zlib'}: {error}") from None
        left -= len(parts[-1])
        if left < 0:
            raise ValueError(f"more than {MAX_UNPACKED:,} octets when it is unpacked")
        if not engine.eof:
            raise ValueError(f"broken {'gzip' if is_gzip else 'zlib'}: its end is missing")
        rest = engine.unused_data if is_gzip else b""
    return b"".join(parts)


def is_packed(body: Octets) -> bool:
    """Whether a body begins as gzip or zlib does, and not as text."""
    return bool(body) and body[0] in _PACKED and body[:2] in _HEADS


def as_json(body: bytes, content_type: str | None) -> object:
    """The value that a body is the JSON of.

    Raises:
        ValueError: it is no JSON.
    """
    text = as_text(body, content_type)
    if isinstance(text, str):
        text = text.removeprefix("\ufeff")
    try:
        value: object = json.loads(text)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None
    return value


def as_json_lines(body: bytes, content_type: str | None) -> list[object]:
    """The values of the lines of a body, each of them JSON.

    Raises:
        ValueError: a line is none; it says which.
    """
    values = []
    for number, line in enumerate(_text(body, content_type).split("\n"), 1):
        if line.strip("\x1e \t\r"):  # RFC 7464 has a record separator in front
            try:
                values.append(as_json(line.lstrip("\x1e").encode("utf-8", "surrogatepass"), None))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
    return values


def as_xml(body: bytes, content_type: str | None) -> object:
    """What an XML document says, see `from_xml`. A charset in the content-type counts for more
    than what the document declares (RFC 7303, section 3.2).

    Raises:
        ValueError: it is no XML, or declares a document type, which is not read.
    """
    return from_xml(as_text(body, content_type) if _says_charset(content_type) else body)


def as_csv(body: bytes, content_type: str | None) -> list[dict[str, str]]:
    """A dict for each row of a CSV table (RFC 4180) whose first row has the names.

    Raises:
        ValueError: it has no head, two columns of one name, or a row that is longer than the head.
    """
    rows = csv.reader(io.StringIO(_text(body, content_type), newline=""), strict=True)
    try:
        head = next(rows, None)
        if not head:
            raise ValueError("CSV without a head")
        if len(set(head)) < len(head):
            raise ValueError("CSV with two columns of one name")
        records = []
        for row in rows:
            if len(row) > len(head):
                raise ValueError(f"line {rows.line_num} is longer than the head")
            if row:
                records.append(dict(zip(head, row, strict=False)))
    except csv.Error as error:
        raise ValueError(f"line {rows.line_num}: {error}") from None
    return records


def as_pairs(body: bytes, content_type: str | None) -> dict[str, str]:
    """The pairs of a body whose lines are all ``key=value``.

    Raises:
        ValueError: a line is none, a key is there twice, or there is nothing.
    """
    pairs: dict[str, str] = {}
    for number, line in enumerate(_text(body, content_type).splitlines(), 1):
        pair = _PAIR.fullmatch(line)
        if pair is None and line.strip():
            raise ValueError(f"line {number} is no key=value")
        if pair is not None:
            if pair[1] in pairs:
                raise ValueError(f"line {number}: {pair[1]} is there already")
            pairs[pair[1]] = pair[2].strip()
    if not pairs:
        raise ValueError("nothing of the form key=value")
    return pairs


# -- the chain -------------------------------------------------------------------------------------


def as_auto(body: bytes, content_type: str | None) -> object:
    """What a body is by its content-type and its first octets.

    A number, a word in quotes, ``true``, ``false`` and ``null`` are JSON only where the
    content-type says so, or there is none.

    Raises:
        ValueError: it is broken, or a pickle.

    Example:
        >>> as_auto(b'[{"a": 1}]', None), as_auto(b"a=1", None), as_auto(b"hello", None)
        ([{'a': 1}], {'a': '1'}, 'hello')
    """
    octets = unpacked(body)
    said = _said(content_type)
    if said is not None:
        return DECODERS[said](octets, content_type)
    head = to_utf8(octets, content_type).lstrip(_BLANK)[:MAX_HEAD]
    failures = []
    for name in _guesses(head, content_type):
        try:
            return DECODERS[name](octets, content_type)
        except ValueError as error:
            failures.append(error)
    if _LOOKS_BROKEN.match(head) and not (content_type or "").lower().startswith("text/"):
        raise failures[0]
    if octets[:1] == b"\x80" and octets[1:2] in _PICKLES:
        raise ValueError("a pickle, which is never opened")
    return as_text(octets, content_type)


def as_of_utf8(content_type: str | None) -> str | None:
    """The content-type of a body that has been brought into UTF-8.

    Example:
        >>> as_of_utf8("text/xml;charset=latin-1"), as_of_utf8("text/xml")
        ('text/xml;charset=utf-8', 'text/xml')
    """
    if content_type is None or not _says_charset(content_type):
        return content_type
    return f"{content_type.partition(';')[0]};charset=utf-8"


def may_be_json(content_type: str | None) -> bool:
    """Whether a body with that content-type is JSON if it looks like it."""
    return _said(content_type) in (None, "json")


def _said(content_type: str | None) -> str | None:
    """The name of the decoder that a content-type asks for."""
    media_type = (content_type or "").partition(";")[0].strip().lower()
    for pattern, name in _BY_CONTENT_TYPE:
        if pattern.search(media_type):
            return name
    return None


def _guesses(head: bytes, content_type: str | None) -> tuple[str, ...]:
    """The decoders that may read a body which begins like this, the likeliest first."""
    first = head[:1]
    if first == b"<":
        return ("xml",)
    if first in (b"{", b"["):
        return ("json", "jsonl")
    if first in _SCALARS and content_type is None:
        return ("json", "pairs")
    return ("pairs",)


_BLANK = b" \t\r\n\xef\xbb\xbf"
_LOOKS_BROKEN = re.compile(
    rb"\{\s*(\"|\}|$)|\[\s*([\[{\"\]0-9-]|true|false|null|$)|<([A-Za-z_!?]|$)"
)
"""How JSON and XML begin, and other text hardly: ``[INFO] …`` and ``<14>…`` are lines of logs."""
_SCALARS = tuple(bytes((octet,)) for octet in b'"-0123456789tfn')
_PICKLES = (b"\x02", b"\x03", b"\x04", b"\x05")

DECODERS: Mapping[str, Callable[[bytes, str | None], object]] = {
    "text": as_text,
    "bytes": as_bytes,
    "json": as_json,
    "auto": as_auto,
    "jsonl": as_json_lines,
    "xml": as_xml,
    "csv": as_csv,
    "pairs": as_pairs,
}
"""What a body may be read as. A decoder raises ValueError for a body that is no such thing."""


class Decoder:
    """A decoder by its name, and a function of the user behind it.

    Args:
        how: a name among `DECODERS`, or a function, which gets what "auto" has made of a body. The
            function gives another value, or raises for a body that it cannot read.

    Raises:
        ValueError: there is no decoder of that name; it lists those that there are.

    Example:
        >>> Decoder(lambda value: value["body"])(b'{"header": {}, "body": 5}', None)
        5
    """

    def __init__(self, how: str | Callable[[Any], object]) -> None:
        self.function = None if isinstance(how, str) else how
        self.name = how if isinstance(how, str) else "auto"
        if self.name not in DECODERS:
            raise ValueError(f"no decoder {how!r}; there are: {', '.join(DECODERS)}")
        self._decode = DECODERS[self.name]

    def __call__(self, body: bytes, content_type: str | None) -> object:
        """The value of a body.

        Raises:
            ValueError: it is not what this reads; it says why.
        """
        value = self._decode(body, content_type)
        if self.function is None:
            return value
        try:
            return self.function(value)
        except Exception as error:  # of the user's function: it is told of with the frame
            name = getattr(self.function, "__name__", repr(self.function))
            raise ValueError(sayable(f"{name}: {type(error).__name__}: {error}")) from error
