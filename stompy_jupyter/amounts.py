"""Amounts as people write them: times, sizes, and when a file is full."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SECONDS = {"ms": 0.001, "": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600}
_BYTES = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3}
_BYTES |= {"k": 1024, "m": 1024**2, "g": 1024**3, "kib": 1024, "mib": 1024**2, "gib": 1024**3}


def seconds(given: str) -> float:
    """A span of time, in seconds.

    Raises:
        ValueError: it is none.

    Example:
        >>> seconds("30s"), seconds("1.5min"), seconds("250ms"), seconds("7")
        (30.0, 90.0, 0.25, 7.0)
    """
    return _amount(given, _SECONDS, "a time such as 30s, 5min, 250ms")


def octets(given: str) -> int:
    """A size, in bytes.

    Raises:
        ValueError: it is none.

    Example:
        >>> octets("64MB"), octets("1MiB"), octets("1000")
        (64000000, 1048576, 1000)
    """
    return max(1, int(min(_amount(given, _BYTES, "a size such as 64MB, 1GiB"), sys.maxsize)))


def _amount(given: str, units: dict[str, float] | dict[str, int], what: str) -> float:
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([a-z]*)", given.lower())
    if match is None or match[2] not in units:
        raise ValueError(f"{given!r} is not {what}")
    return float(match[1]) * units[match[2]]


@dataclass(frozen=True)
class Rotation:
    """When a file is full: after so many seconds, or with so many bytes, whichever is first.

    Example:
        >>> Rotation.of("10min,100MB")
        Rotation(seconds=600.0, octets=100000000)
        >>> Rotation.of("1GB").seconds
        inf
    """

    seconds: float = 600.0
    octets: int = 100_000_000

    @classmethod
    def of(cls, given: str | Iterable[str] | Rotation) -> Rotation:
        """What was said: a time, a size, or both, with a comma between them or as a tuple.

        Raises:
            ValueError: it is no such thing, could be both, or says one of them twice.
        """
        if isinstance(given, Rotation):
            return given
        parts = given.split(",") if isinstance(given, str) else list(given)
        written = [str(part).strip() for part in parts]
        times = [seconds(part) for part in written if _is(seconds, part)]
        sizes = [octets(part) for part in written if _is(octets, part)]
        for part in written:
            if _is(seconds, part) == _is(octets, part):  # without a unit, or with an m
                why = "could be a time and a size" if _is(seconds, part) else "is none of both"
                raise ValueError(f"{part!r} {why}: write e.g. 10min, 100MB, or 10min,100MB")
        if not written or len(times) > 1 or len(sizes) > 1:
            raise ValueError(f"{given!r} is not a time, a size or one of each, as 10min,100MB")
        if 0 in times:
            raise ValueError("a file is open for longer than no time at all")
        return cls(times[0] if times else float("inf"), sizes[0] if sizes else sys.maxsize)


def _is(kind: Callable[[str], float], given: str) -> bool:
    try:
        kind(given)
    except ValueError:
        return False
    return True
