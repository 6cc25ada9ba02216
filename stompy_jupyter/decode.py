"""Bodies as Python values: octets and a content-type in, one value out; no pandas, no Arrow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from stompy.frame import charset_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def to_utf8(body: bytes, content_type: str | None) -> bytes:
    """The text of a body in UTF-8, whatever its charset; as it is where it is no such text.

    Example:
        >>> to_utf8(b"caf\\xe9", "text/plain;charset=latin-1")
        b'caf\\xc3\\xa9'
    """
    if content_type is None or "charset" not in content_type.lower():
        return body
    charset = charset_of(content_type)
    if charset in ("utf-8", "utf8"):
        return body
    try:
        return body.decode(charset).encode()
    except (LookupError, ValueError):  # of a charset, anything may be wrong
        return body


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


def as_json(body: bytes, content_type: str | None) -> object:
    """The value that a body is the JSON of.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        value: object = json.loads(as_text(body, content_type))
    except RecursionError as error:
        raise ValueError("JSON that is nested too deeply") from error
    return value


DECODERS: Mapping[str, Callable[[bytes, str | None], object]] = {
    "text": as_text,
    "bytes": as_bytes,
    "json": as_json,
}
"""What a body may be read as. A decoder raises ValueError for a body that is no such thing."""


def decoder(name: str) -> Callable[[bytes, str | None], object]:
    """The decoder of that name.

    Raises:
        ValueError: there is none; it lists those that there are.
    """
    try:
        return DECODERS[name]
    except KeyError:
        known = ", ".join(DECODERS)
        raise ValueError(f"no decoder {name!r}; there are: {known}") from None
