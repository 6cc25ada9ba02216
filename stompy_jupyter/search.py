"""Which rows of a table say something: conditions over Arrow record batches; pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stompy_jupyter.batch import MORE_HEADERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_NO_HEADERS = {"received_at", "size", "body", MORE_HEADERS}

_NUMBER = r"^-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?$"
_NUMERIC = re.compile(_NUMBER)

_LONG = 256
"""A longer text makes an expression that takes its time for each character."""

# Octets are searched as if they were UTF-8: what is none matches nothing.
_AS_TEXT = pc.CastOptions(target_type=pa.large_string(), allow_invalid_utf8=True)


@dataclass(frozen=True)
class Term:
    """A condition on a frame.

    Args:
        header: the header that has to be equal to `text`, as text or as a number; None: the text
            occurs in the body or in the value of any header, in upper or lower case.
        text: what is looked for.
        negated: whether it is the others that are looked for.
    """

    header: str | None
    text: str
    negated: bool = False


@dataclass(frozen=True)
class Found:
    """What was found.

    Attributes:
        numbers: of the newest frames that match, ascending.
        total: how many frames match.
        first: the first frame that was looked at.
        end: the number behind the last.
    """

    numbers: list[int]
    total: int
    first: int
    end: int


def search(
    parts: Iterable[pa.RecordBatch],
    headers: Mapping[str, str],
    terms: Sequence[Term],
    first: int,
    limit: int,
) -> Found:
    """The frames for which all terms are true.

    Args:
        parts: rows that follow each other, as `batch.make_batch` makes them.
        headers: the column of each header that has one.
        terms: the conditions; without any, all frames match.
        first: the number of the first row.
        limit: so many numbers at the most, those of the newest.
    """
    number, total = first, 0
    found = [np.empty(0, np.int64)]
    for part in parts:
        places = np.flatnonzero(matching(part, headers, terms))
        found.append(number + places)
        total += len(places)
        number += part.num_rows
    numbers = np.concatenate(found)
    return Found(numbers[max(0, total - limit) :].tolist(), total, first, number)


def matching(rows: pa.RecordBatch, headers: Mapping[str, str], terms: Iterable[Term]) -> np.ndarray:
    """A flag for each row: whether all terms are true for it."""
    flags = np.ones(rows.num_rows, bool)
    for term in terms:
        if not flags.any():
            break
        if term.header is None:
            true = _anywhere(rows, term.text)
        else:
            true = _header(rows, headers.get(term.header), term.header, term.text)
        flags &= ~true if term.negated else true
    return flags


# -- text anywhere ---------------------------------------------------------------------------------


def _anywhere(rows: pa.RecordBatch, text: str) -> np.ndarray:
    """Whether the text occurs in the body or in a header, in upper or lower case."""
    if not _possible(text):
        return np.zeros(rows.num_rows, bool)
    bodies = rows.column("body")
    if pa.types.is_large_binary(bodies.type):
        bodies = bodies.cast(options=_AS_TEXT)
    flags = _contains(bodies, text, by_expression=True)
    for name in rows.column_names:
        column = rows.column(name)
        if name not in _NO_HEADERS and column.null_count < len(column):
            flags |= _contains(column, text, by_expression=not text.isascii())
    wanted = text.lower()
    for place, further in _further(rows):
        flags[place] |= any(wanted in value.lower() for value in further.values())
    return flags


def _contains(column: pa.Array, text: str, *, by_expression: bool) -> np.ndarray:
    """Whether texts contain one, in upper or lower case.

    An expression is faster where the texts are long, and slower where they are short; without one,
    of a text that is not ASCII the case of ASCII letters alone is no matter.
    """
    if not text.isascii() and pc.all(pc.string_is_ascii(column)).as_py():
        return np.zeros(len(column), bool)
    if by_expression and len(text) <= _LONG:
        return _flags(pc.match_substring(column, text, ignore_case=True))
    lower = text.encode().lower().decode()
    return _flags(pc.match_substring(pc.ascii_lower(column), lower))


# -- one header ------------------------------------------------------------------------------------


def _header(rows: pa.RecordBatch, column: str | None, header: str, text: str) -> np.ndarray:
    """Whether a header equals the text, or both are the same number."""
    flags = np.zeros(rows.num_rows, bool)
    if not _possible(text):
        return flags
    if column is None:
        for place, further in _further(rows):
            flags[place] = header in further and _same(further[header], text)
    elif column in rows.column_names:
        values = rows.column(column)
        flags |= _flags(pc.equal(values, text))
        if _NUMERIC.fullmatch(text):
            flags |= _flags(_same_number(values, text))
    return flags


def _same(value: str, text: str) -> bool:
    if value == text:
        return True
    numbers = _NUMERIC.fullmatch(value) and _NUMERIC.fullmatch(text)
    return bool(numbers) and Decimal(value) == Decimal(text)


def _same_number(values: pa.Array, text: str) -> pa.Array:
    """Which texts are the number that this one is."""
    numeric = pc.match_substring_regex(values, _NUMBER)
    floats = pc.if_else(numeric, values, None).cast(pa.float64())
    near = values.filter(pc.equal(floats, float(text)))
    # Floats that are equal may have been different numbers of many digits.
    same = [value for value in pc.unique(near).to_pylist() if _same(value, text)]
    return pc.is_in(values, pa.array(same, values.type))


# -- both ------------------------------------------------------------------------------------------


def _further(rows: pa.RecordBatch) -> Iterator[tuple[int, dict[str, str]]]:
    """The headers that have no column, of the rows that have such."""
    if MORE_HEADERS in rows.column_names:
        column = rows.column(MORE_HEADERS)
        if column.null_count < len(column):
            for place, text in enumerate(column.to_pylist()):
                if text is not None:
                    yield place, json.loads(text)


def _possible(text: str) -> bool:
    """Whether a frame can contain the text: half of a surrogate pair has no UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _flags(mask: pa.Array) -> np.ndarray:
    """Flags as a NumPy array; those that are null are not set."""
    flags: np.ndarray = pc.fill_null(mask, False).to_numpy(zero_copy_only=False)
    return flags
