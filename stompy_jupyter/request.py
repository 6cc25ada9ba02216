"""What a browser may ask for: the kinds of request, and what each may hold. Pure checks.

A browser is whoever can write to the kernel's comm, so nothing is taken for granted: no key is
missing, none is unknown, every value is of its type and of a bounded size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from stompy import AckMode
from stompy_jupyter.display import visible

Check: TypeAlias = Callable[[object], Any]
"""Returns the value if it is a good one; else raises ValueError, which says what it should be."""

MAX_ID = 64
"""Characters of the id of a request."""

MAX_ROWS = 500
"""Rows that can be asked for at a time."""

MAX_NAME = 4_096
"""Characters of a destination."""

MAX_BODY = 1_000_000
"""Characters of a body that is sent."""

MAX_HEADERS = 100
"""Headers that a message can be sent with, each with a name and a value of `MAX_HEADER`."""

MAX_HEADER = 8_192
"""Characters of the name of a header, and of its value."""

MAX_TERMS = 50
"""Terms of a search."""

MAX_LINES = 200
"""Lines of a sequence diagram."""

MAX_NUMBER = 2**53 - 1
"""The largest number that a browser has exactly."""


def text(limit: int, least: int = 0) -> Check:
    """Text of so many characters, without halves of surrogate pairs: those are in no UTF-8."""

    def check(value: object) -> str:
        if not isinstance(value, str) or not least <= len(value) <= limit:
            raise ValueError(f"not a text of {least} to {limit:,} characters")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("not a text: it has half of a character") from None
        return value

    return check


def number(limit: int = MAX_NUMBER, least: int = 0) -> Check:
    """A whole number from `least` on."""

    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= limit:
            raise ValueError(f"not a whole number from {least} to {limit:,}")
        return value

    return check


def flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")
    return value


def ack_mode(value: object) -> AckMode:
    """One of the three modes of a subscription."""
    if not isinstance(value, str) or value not in [mode.value for mode in AckMode]:
        raise ValueError(f"none of: {', '.join(AckMode)}")
    return AckMode(value)


def or_none(check: Check) -> Check:
    """None, or what `check` says."""
    return lambda value: None if value is None else check(value)


def list_of(check: Check, limit: int) -> Check:
    """A list of so many values at the most."""

    def checked(value: object) -> list[Any]:
        if not isinstance(value, list) or len(value) > limit:
            raise ValueError(f"not a list of {limit:,} at the most")
        return [check(each) for each in value]

    return checked


def pair(first: Check, second: Check) -> Check:
    """A list of two."""

    def checked(value: object) -> tuple[Any, Any]:
        if not isinstance(value, list) or len(value) != 2:
            raise ValueError("not a list of two")
        return first(value[0]), second(value[1])

    return checked


def record(checks: Mapping[str, Check]) -> Check:
    """An object that has these keys and no others."""

    def checked(value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValueError("not an object")
        for key in value:
            if key not in checks:
                raise ValueError(f"has an unknown key, {visible(key, MAX_ID)}")
        return {key: _named(key, check, value) for key, check in checks.items()}

    return checked


def _named(key: str, check: Check, value: Mapping[str, object]) -> Any:
    if key not in value:
        raise ValueError(f"has no {key}")
    try:
        return check(value[key])
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


_STREAM = text(MAX_ID, 1)
_OF_STREAM: Mapping[str, Check] = {"stream": _STREAM}
_FRAME: Mapping[str, Check] = {"stream": _STREAM, "number": number()}
_TERM: Mapping[str, Check] = {
    "header": or_none(text(MAX_HEADER)),
    "text": text(MAX_HEADER),
    "not": flag,
}

KINDS: Mapping[str, Mapping[str, Check]] = {
    "hello": {},
    "rows": {"stream": _STREAM, "first": number(), "count": number(MAX_ROWS)},
    "frame": {**_FRAME, "offset": number()},
    "find": {
        "stream": _STREAM,
        "terms": list_of(record(_TERM), MAX_TERMS),
        "first": number(),
    },
    "sequence": {"last": number(MAX_LINES, 1)},
    "passage": {"number": number()},
    "subscribe": {"destination": text(MAX_NAME, 1), "ack": ack_mode},
    "unsubscribe": _OF_STREAM,
    "pause": _OF_STREAM,
    "resume": _OF_STREAM,
    "ack": _FRAME,
    "nack": _FRAME,
    "send": {
        "destination": text(MAX_NAME, 1),
        "headers": list_of(pair(text(MAX_HEADER, 1), text(MAX_HEADER)), MAX_HEADERS),
        "body": text(MAX_BODY),
        "receipt": or_none(text(MAX_ID, 1)),
        "transaction": flag,
    },
    "begin": {},
    "commit": {},
    "abort": {},
    "connect": {},
    "disconnect": {},
}
"""The kinds of request, and what each holds beside its kind and its id."""


class Request(NamedTuple):
    """A request that is as it should be.

    Attributes:
        id: by which it is answered.
        kind: a key of `KINDS`.
        args: what else it holds.
    """

    id: str
    kind: str
    args: dict[str, Any]


def id_of(content: object) -> str | None:
    """The id by which a request can be answered, also one that is wrong otherwise."""
    if not isinstance(content, dict):
        return None
    try:
        id: str = text(MAX_ID, 1)(content.get("id"))
    except ValueError:
        return None
    return id


def parse(content: object) -> Request:
    """Check a request that `id_of` has found an id in.

    Raises:
        ValueError: it is not as it should be; the message says in what, and repeats no more than a
            key of it.

    Example:
        >>> parse({"kind": "pause", "id": "1", "stream": "s7"})
        Request(id='1', kind='pause', args={'stream': 's7'})
    """
    if not isinstance(content, dict):
        raise ValueError("not an object")
    kind = content.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError("there is no such kind of request")
    rest = {key: value for key, value in content.items() if key not in ("kind", "id")}
    try:
        return Request(content["id"], kind, record(KINDS[kind])(rest))
    except ValueError as error:
        raise ValueError(f"{kind}: {error}") from None
