"""Columns whose type settles over time: it is what all values that are kept amount to.

Feeds write numbers, times and truth as text, leave values out, and change their mind. So a column
notes of each kind of value the last row that has one; rows are dropped from the front, and as long
as that row is there the kind counts. The type so depends on nothing but the rows.
"""

from __future__ import annotations

import enum
import functools
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from stompy_jupyter.growing import NAT, TEXT, Growing, nullable, plain, times_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Values: TypeAlias = pa.Array | np.ndarray
    """Arrow's null, int64, double, bool or large_string; or objects, None for a gap."""

    Part: TypeAlias = tuple[int, int, Values | None]

# Only what is written in the one canonical way is taken for a number, and what loses no digit in
# front of the point.
_NUMBER = r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]+)?$"
_INTEGER = r"^(0|-?[1-9][0-9]{0,17}|-?[1-8][0-9]{18})$"  # fits into 64 bits
_IS_NUMERIC = re.compile(f"{_NUMBER}|{_INTEGER}")
_IS_INTEGER = re.compile(_INTEGER)
_BOOLS = ("true", "false", "True", "False")
_ISO = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?ZONE)?"
)
_ISO_PLAIN = f"^{_ISO.replace('ZONE', '')}$"
_ISO_ZONE = f"^{_ISO.replace(')?ZONE)?', ')?(Z|[+-][0-9]{2}:?[0-9]{2}))')}$"

_MAX_LONG = 10**15
"""Whole numbers below that lose no digit as a float."""

_MOST = 9 * 10**18 - 1
"""Text is a whole number up to that, see `_INTEGER`."""


class _Kind(enum.Enum):
    """What a value may be."""

    GAP = enum.auto()
    EMPTY = enum.auto()  # text without a character: a gap, unless the others are text
    TEXT = enum.auto()
    ISO = enum.auto()  # text that is a time without a zone
    ISO_ZONE = enum.auto()
    BOOL_TEXT = enum.auto()
    NUMBER_TEXT = enum.auto()
    NUMBER = enum.auto()
    BOOL = enum.auto()
    OTHER = enum.auto()  # an array, an object, octets, a number beyond 64 bits
    # and of numbers:
    FRACTION = enum.auto()
    LONG = enum.auto()  # a whole number with more digits than a float can hold


_TEXTS = {_Kind.TEXT, _Kind.ISO, _Kind.ISO_ZONE, _Kind.BOOL_TEXT, _Kind.NUMBER_TEXT}
_NUMBERS = {_Kind.NUMBER, _Kind.NUMBER_TEXT}
_TRUTH = {_Kind.BOOL, _Kind.BOOL_TEXT}
_GAPS = {_Kind.GAP, _Kind.EMPTY}
_ISO_KINDS = ((_Kind.ISO, re.compile(_ISO_PLAIN)), (_Kind.ISO_ZONE, re.compile(_ISO_ZONE)))


class Unit(enum.Enum):
    """How an epoch time may be counted."""

    S = 1
    MS = 1_000
    US = 1_000_000
    NS = 1_000_000_000


@dataclass(frozen=True)
class Rules:
    """What values may be taken for.

    Attributes:
        texts: the kinds of text that are more than text.
        may_be_time: whether a column of a name may hold epoch times.
        times: by units, between which numbers an epoch time lies; the numbers tell the unit.
        empty_is_gap: whether empty text is a gap among numbers, times and truth.
    """

    texts: frozenset[_Kind]
    may_be_time: Callable[[str], bool]
    times: Mapping[Unit, tuple[int, int]]
    empty_is_gap: bool


_TIME_NAME = re.compile(r"(^|[^a-z])(time|timestamp|date|datetime|ts|expires|at)$")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def says_time(name: str) -> bool:
    """Whether the name of a key says that it is a time.

    Example:
        >>> [says_time(name) for name in ("event.timestamp", "createdAt", "dep_time", "price")]
        [True, True, True, False]
    """
    return bool(_TIME_NAME.search(_CAMEL.sub("_", name).lower()))


RECORDS = Rules(
    frozenset(_TEXTS - {_Kind.TEXT}),
    says_time,
    # From September 2001 to the end of 2099.
    {unit: (1_000_000_000 * unit.value, 4_102_444_800 * unit.value) for unit in Unit},
    empty_is_gap=True,
)
"""The values of bodies: many feeds write all of them as text."""

HEADERS = Rules(
    frozenset({_Kind.NUMBER_TEXT}),
    lambda name: name == "expires" or name.lower().endswith("timestamp"),
    {Unit.MS: (100_000_000_000, 32_503_680_000_000)},  # from March 1973 to the year 3000
    empty_is_gap=False,
)
"""The values of headers, which are text; a time is in milliseconds where brokers set it."""


class SettlingColumn:
    """The values of one path, as what all of them are: numbers, times, truth, text or objects.

    Args:
        name: what the column is called; numbers are times only where it says so.
        rules: what values may be taken for.

    Example:
        >>> column = SettlingColumn("n")
        >>> texts = pa.array(["1", "", "3"], pa.large_string())
        >>> column.series([(0, 3, texts)], 0, 3).tolist()
        [1, <NA>, 3]
    """

    def __init__(self, name: str, rules: Rules = RECORDS) -> None:
        self._rules = rules
        self._units = rules.times if rules.may_be_time(name) else {}
        self._last: dict[_Kind | Unit, int] = dict.fromkeys([*_Kind, *Unit], -1)
        self._seen = 0  # rows before this one have been looked at
        self._type: _Type | None = None
        self._values: Growing | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the buffers; not of objects that they refer to."""
        values = self._values  # another thread may be at work on it
        return values.nbytes if values else 0

    def series(self, parts: Sequence[Part], first: int, end: int) -> pd.Series:
        """The column of a DataFrame with the rows from number `first` to the one before `end`.

        Args:
            parts: the rows one part after the other: the number of the first, how many they are,
                and their values, or None where none of them has one.
        """
        for row, values in _from(parts, max(self._seen, first), end):
            self._look(values, row)
        self._seen = end
        type = self._settled(first)
        if type is None:
            self._type = self._values = None
            texts = [as_text(values) for _, values in _from(parts, first, end)]
            return pd.Series(TEXT.__from_arrow__(pa.chunked_array(texts, pa.large_string())))
        if self._values is None or self._type is not type or self._values.end < first:
            self._type, self._values = type, Growing(first, *type.dtypes)
        self._values.reserve(first, end)
        for _, values in _from(parts, self._values.end, end):
            self._values.append(first, *type.fill(values))
        return self._values.series(type.wrap, first)

    @property
    def last_value(self) -> int:
        """The number of the newest row that has a value, of those that were looked at; else -1."""
        return max(last for kind, last in self._last.items() if kind is not _Kind.GAP)

    # -- what the values are -----------------------------------------------------------------

    def _settled(self, first: int) -> _Type | None:
        """What the rows from number `first` on are; None for text."""
        has = {kind for kind, last in self._last.items() if last >= first}
        what = has & (_TEXTS | _NUMBERS | _TRUTH)
        native = bool(has & {_Kind.NUMBER, _Kind.BOOL})
        if _Kind.OTHER in has:
            return _OBJECTS
        if what and what <= _NUMBERS:
            if {_Kind.FRACTION, _Kind.LONG} <= has:
                return _OBJECTS if native else None
            return self._number(has)
        if what and what <= _TRUTH:
            return _truth(bool(has & _GAPS))
        if what in ({_Kind.ISO}, {_Kind.ISO_ZONE}):
            return _iso(_Kind.ISO_ZONE in what)
        return _OBJECTS if native else None

    def _number(self, has: set[_Kind | Unit]) -> _Type:
        fraction = _Kind.FRACTION in has
        for unit in self._units:
            # Noted are rows that are no time in that unit; only seconds have fractions.
            if unit not in has and (unit is Unit.S or not fraction):
                return _epoch(unit, fraction)
        return _FLOATS if fraction else _whole(bool(has & _GAPS))

    def _note(self, kind: _Kind | Unit, row: int, mask: np.ndarray) -> None:
        found = np.flatnonzero(mask)
        if len(found):
            self._last[kind] = row + int(found[-1])

    def _look(self, values: Values, row: int) -> None:
        """Note the kinds of some values, the first of which is that of `row`."""
        if isinstance(values, np.ndarray):
            for place, value in enumerate(values):
                self._last |= dict.fromkeys(self._kinds_of(value), row + place)
            return
        if pa.types.is_large_string(values.type) and self._ends_in_text(values, row):
            return
        there = _mask(values.is_valid())
        self._note(_Kind.GAP, row, ~there)
        if pa.types.is_null(values.type) or not there.any():
            return
        if pa.types.is_large_string(values.type):
            self._look_at_texts(values, row)
        elif pa.types.is_boolean(values.type):
            self._note(_Kind.BOOL, row, there)
        else:
            self._note(_Kind.NUMBER, row, there)
            self._look_at_numbers(values, row)

    def _ends_in_text(self, texts: pa.Array, row: int) -> bool:
        """Whether the last value is text and nothing else: then what came before has no say."""
        last = texts[-1].as_py()
        if last is None or self._kind_of_text(last) is not _Kind.TEXT:
            return False
        self._last[_Kind.TEXT] = row + len(texts) - 1
        return True

    def _look_at_texts(self, texts: pa.Array, row: int) -> None:
        rest = _mask(texts.is_valid())
        if self._rules.empty_is_gap:
            empty = _mask(pc.equal(texts, ""))
            self._note(_Kind.EMPTY, row, empty)
            rest &= ~empty
            texts = _without(texts, empty)
        there = np.flatnonzero(rest)
        if not len(there):
            return
        newest = int(there[-1])
        kind = self._kind_of_text(texts[newest].as_py())
        if kind is _Kind.TEXT:
            self._last[kind] = row + newest  # what came before has no say
            return
        for each in (kind, *(self._rules.texts - {kind})):
            if rest.any():
                rest &= ~self._look_for(each, texts, row)
        self._note(_Kind.TEXT, row, rest)

    def _look_for(self, kind: _Kind, texts: pa.Array, row: int) -> np.ndarray:
        """Note texts of one kind; returns which they are."""
        if kind is _Kind.NUMBER_TEXT:
            found = self._look_for_numbers(texts, row)
        elif kind is _Kind.BOOL_TEXT:
            found = _mask(pc.is_in(texts, pa.array(_BOOLS, pa.large_string())))
        else:
            found = _times(texts, zone=kind is _Kind.ISO_ZONE)
        self._note(kind, row, found)
        return found

    def _look_for_numbers(self, texts: pa.Array, row: int) -> np.ndarray:
        whole = _whole_numbers(texts)
        if whole is not None:  # all of them, which is the rule
            self._look_at_numbers(whole, row)
            return _mask(texts.is_valid())
        integers = _mask(pc.match_substring_regex(texts, _INTEGER))
        fractions = _mask(pc.match_substring_regex(texts, _NUMBER)) & ~integers
        self._look_at_numbers(_without(texts, ~integers).cast(pa.int64()), row)
        self._look_at_numbers(_without(texts, ~fractions).cast(pa.float64()), row)
        numbers: np.ndarray = integers | fractions
        return numbers

    def _look_at_numbers(self, numbers: pa.Array, row: int) -> None:
        """Note what numbers are in more detail."""
        if pa.types.is_floating(numbers.type):
            self._note(_Kind.FRACTION, row, _mask(numbers.is_valid()))
        else:
            self._note(_Kind.LONG, row, _outside(numbers, 1 - _MAX_LONG, _MAX_LONG - 1))
        for unit, (least, most) in self._units.items():
            self._note(unit, row, _outside(numbers, least, most))

    # -- one value ---------------------------------------------------------------------------

    def _kind_of_text(self, text: str) -> _Kind:
        kind = _kind_of_text(text)
        if kind is _Kind.EMPTY:
            return kind if self._rules.empty_is_gap else _Kind.TEXT
        return kind if kind in self._rules.texts else _Kind.TEXT

    def _kinds_of(self, value: object) -> list[_Kind | Unit]:
        """The kinds of a single value, for columns that have all kinds of them."""
        if value is None:
            return [_Kind.GAP]
        if isinstance(value, str):
            kind = self._kind_of_text(value)
            if kind is not _Kind.NUMBER_TEXT:
                return [kind]
            number = int(value) if _IS_INTEGER.fullmatch(value) else float(value)
            return [kind, *self._kinds_of_number(number)]
        if isinstance(value, bool):
            return [_Kind.BOOL]
        if isinstance(value, float) or (isinstance(value, int) and -(2**63) <= value < 2**63):
            return [_Kind.NUMBER, *self._kinds_of_number(value)]
        return [_Kind.OTHER]

    def _kinds_of_number(self, number: float) -> list[_Kind | Unit]:
        units = self._units.items()
        # A gap that is written as NaN is on neither side.
        kinds: list[_Kind | Unit] = [
            u for u, (least, most) in units if number < least or number > most
        ]
        if not isinstance(number, int):
            return [*kinds, _Kind.FRACTION]
        return [*kinds, _Kind.LONG] if abs(number) >= _MAX_LONG else kinds


def _from(parts: Sequence[Part], first: int, end: int) -> Iterator[tuple[int, Values]]:
    """The values of the rows from `first` to the one before `end`, with the number of the first."""
    for row, count, values in parts:
        start, stop = max(first - row, 0), min(end - row, count)
        if start >= stop:
            continue
        if values is None:
            yield row + start, pa.nulls(stop - start)
        else:
            yield row + start, values[start:stop]


# -- kinds -----------------------------------------------------------------------------------------


def _kind_of_text(text: str) -> _Kind:
    if not text:
        return _Kind.EMPTY
    if _IS_NUMERIC.fullmatch(text):
        return _Kind.NUMBER_TEXT
    if text in _BOOLS:
        return _Kind.BOOL_TEXT
    for kind, pattern in _ISO_KINDS:
        if pattern.fullmatch(text) and _is_time(pa.array([text]), kind is _Kind.ISO_ZONE):
            return kind
    return _Kind.TEXT


def _mask(flags: pa.Array) -> np.ndarray:
    """Flags as a NumPy array; those that are null are not set."""
    if flags.null_count:
        flags = pc.fill_null(flags, False)
    mask: np.ndarray = flags.to_numpy(zero_copy_only=False)
    return mask


def _outside(numbers: pa.Array, least: int, most: int) -> np.ndarray:
    bounds = pa.array([least, most]).cast(numbers.type, safe=False)
    return _mask(pc.or_(pc.less(numbers, bounds[0]), pc.greater(numbers, bounds[1])))


def _without(texts: pa.Array, mask: np.ndarray) -> pa.Array:
    """Texts with null where the mask is set."""
    return pc.if_else(pa.array(mask), None, texts) if mask.any() else texts


def _whole_numbers(texts: pa.Array) -> pa.Array | None:
    """Texts as whole numbers, where all are written in the one canonical way."""
    try:
        numbers = texts.cast(pa.int64())
    except pa.ArrowInvalid:
        return None
    # Arrow reads 007, 0x1F and -0 as well.
    zero = pc.and_(pc.starts_with(texts, "0"), pc.greater(pc.binary_length(texts), 1))
    odd = pc.or_(zero, pc.starts_with(texts, "-0"))
    return None if pc.any(odd).as_py() or _outside(numbers, -_MOST, _MOST).any() else numbers


def _times(texts: pa.Array, zone: bool) -> np.ndarray:
    """Which of these are ISO 8601 times, with a zone or without, and exist in the calendar."""
    found = _mask(pc.match_substring_regex(texts, _ISO_ZONE if zone else _ISO_PLAIN))
    if found.any():
        try:
            _as_times(_without(texts, ~found), zone)
        except pa.ArrowInvalid:
            for place in np.flatnonzero(found):
                found[place] = _is_time(texts[place : place + 1], zone)
    return found


def _is_time(text: pa.Array, zone: bool) -> bool:
    try:
        _as_times(text, zone)
    except pa.ArrowInvalid:
        return False
    return True


def _as_times(texts: pa.Array, zone: bool) -> pa.Array:
    """ISO 8601 times in microseconds; digits beyond these are left out."""
    type = pa.timestamp("us", "UTC" if zone else None)
    try:
        return texts.cast(type)
    except pa.ArrowInvalid:
        return pc.replace_substring_regex(texts, r"(\.[0-9]{6})[0-9]+", r"\1").cast(type)


# -- types -----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Type:
    """What a column is in the end.

    Attributes:
        dtypes: of the buffers that its values gather in.
        fill: gives the contents of these for some values.
        wrap: makes a Series of them.
    """

    dtypes: tuple[str, ...]
    fill: Callable[[Values], tuple[np.ndarray, ...]]
    wrap: Callable[..., pd.Series]


def as_text(values: Values) -> pa.Array:
    """Values as text, numbers as they are written in JSON; gaps are null."""
    if isinstance(values, np.ndarray):
        texts = [v if v is None or isinstance(v, str) else json.dumps(v) for v in values]
        return pa.array(texts, pa.large_string())
    return values.cast(pa.large_string())


def _filled(values: Values) -> pa.Array:
    """Values without empty text."""
    if isinstance(values, np.ndarray):
        values = as_text(values)
    if pa.types.is_large_string(values.type):
        return _without(values, _mask(pc.equal(values, "")))
    return values


def _flags(values: Values) -> tuple[np.ndarray, np.ndarray]:
    flags = _filled(values)
    if pa.types.is_large_string(flags.type):
        flags = pc.equal(pc.utf8_lower(flags), "true")
    return _mask(flags.cast(pa.bool_())), _mask(flags.is_null())


def _integers(values: Values) -> tuple[np.ndarray, np.ndarray]:
    numbers = _filled(values).cast(pa.int64())
    return pc.fill_null(numbers, NAT).to_numpy(), _mask(numbers.is_null())


def _floats(values: Values) -> tuple[np.ndarray]:
    numbers: np.ndarray = _filled(values).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return (numbers,)


def as_objects(values: Values) -> np.ndarray:
    """Values as Python objects, None for a gap."""
    if isinstance(values, np.ndarray):
        return values
    return np.fromiter(values.to_pylist(), object, len(values))


def _objects(values: Values) -> tuple[np.ndarray]:
    return (as_objects(values),)


def _fractional_seconds(values: Values) -> tuple[np.ndarray]:
    (seconds,) = _floats(values)
    gaps = np.isnan(seconds)
    microseconds = np.where(gaps, 0, seconds * 1e6).round().astype("int64")
    return (np.where(gaps, NAT, microseconds),)


def _truth_series(values: np.ndarray, gaps: np.ndarray) -> pd.Series:
    return pd.Series(pd.arrays.BooleanArray(values, gaps, copy=False), copy=False)


_OBJECTS = _Type(("object",), _objects, plain)
_FLOATS = _Type(("float64",), _floats, plain)


@functools.cache
def _whole(gaps: bool) -> _Type:
    return _Type(("int64", "bool"), _integers, nullable if gaps else plain)


@functools.cache
def _truth(gaps: bool) -> _Type:
    return _Type(("bool", "bool"), _flags, _truth_series if gaps else plain)


@functools.cache
def _iso(zone: bool) -> _Type:
    def fill(values: Values) -> tuple[np.ndarray]:
        times = _as_times(as_text(_filled(values)), zone).cast(pa.int64())
        return (pc.fill_null(times, NAT).to_numpy(),)

    return _Type(("int64",), fill, times_in("us", "UTC" if zone else None))


@functools.cache
def _epoch(unit: Unit, fraction: bool) -> _Type:
    if fraction:
        return _Type(("int64",), _fractional_seconds, times_in("us", "UTC"))
    return _Type(("int64", "bool"), _integers, times_in(unit.name.lower(), "UTC"))
