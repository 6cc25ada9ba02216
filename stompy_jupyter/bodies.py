"""From bodies to records: many at once where they are JSON of one shape, else one by one."""

from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from stompy_jupyter.bulk import MAX_EXACT, MAX_FIELDS, BulkReader, Fragment
from stompy_jupyter.decode import as_text, is_packed, may_be_json, sayable, to_utf8, unpacked
from stompy_jupyter.flatten import flatten, name_of, records_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from stompy_jupyter.decode import Decoder, Octets
    from stompy_jupyter.flatten import Path
    from stompy_jupyter.settle import Values

MORE_VALUES = ("more_values",)
"""The path of what a record has beyond the columns that there may be, as JSON by names."""

FEW = 4
"""Bodies of which one is odd are read in halves, and one by one when they are so few."""

RUN_BYTES = 8 * 1024 * 1024
"""So much is read at once, when it is unpacked."""

PATIENCE = 32
"""After so many times one by one, the rest of a run is not tried at once any more."""

_EXPECTED = (ValueError, RecursionError)


class BodyReader:
    """Reads the bodies of one stream. It learns what they look like.

    Args:
        decoder: what reads a body; as "auto" where it is for text or octets.

    Attributes:
        errors: why bodies could not be read, by the numbers of their frames.

    Example:
        >>> reader = BodyReader(Decoder("auto"))
        >>> (fragment,) = reader.read(0, [b'{"a": 1}', b"hello"], [None, None])
        >>> {path: values.to_pylist() for path, values in fragment.columns.items()}
        {('a',): [1, None], (): [None, 'hello']}
    """

    def __init__(self, decoder: Decoder) -> None:
        self.errors: dict[int, str] = {}
        self._decoder = decoder
        self._in_bulk = decoder.function is None and decoder.name in ("auto", "json")
        self._bulk = BulkReader()
        self._known: set[Path] = set()

    def read(
        self, first: int, bodies: Sequence[Octets], content_types: Sequence[str | None]
    ) -> Iterator[Fragment]:
        """The records of bodies, in order; the first is of the frame with number `first`."""
        in_bulk = self._in_bulk and all(map(may_be_json, set(content_types)))
        for start, plain in self._runs(bodies, content_types):
            end = start + len(plain)
            part = first + start, bodies[start:end], content_types[start:end]
            if in_bulk:
                yield from self._at_once(plain, *part)
            else:
                yield self._one_by_one(*part)

    def _runs(
        self, bodies: Sequence[Octets], content_types: Sequence[str | None]
    ) -> Iterator[tuple[int, list[Octets]]]:
        """Bodies as their decoder sees them, not too much at a time, with the place of the first:
        what is packed may become a thousand times as large."""
        plain: list[Octets] = []
        start = size = 0
        for place, (body, content_type) in enumerate(zip(bodies, content_types, strict=True)):
            plain.append(self._plain(body, content_type))
            size += len(plain[-1])
            if size >= RUN_BYTES:
                yield start, plain
                plain, start, size = [], place + 1, 0
        if plain:
            yield start, plain

    def _at_once(
        self,
        plain: Sequence[Octets],
        first: int,
        bodies: Sequence[Octets],
        content_types: Sequence[str | None],
    ) -> Iterator[Fragment]:
        waiting = [(0, len(plain))]  # what is to be read, the first of it on top
        failures = 0
        while waiting:
            start, end = waiting.pop()
            fragment = self._bulk.read(plain[start:end]) if failures < PATIENCE else None
            if fragment is not None:
                yield fragment
            elif failures < PATIENCE and end - start > FEW:
                middle = start + 1 if self._bulk.is_new else (start + end) // 2
                waiting += (middle, end), (start, middle)
            else:
                failures += 1
                part = slice(start, end)
                fragment = self._one_by_one(first + start, bodies[part], content_types[part])
                self._bulk.learn(fragment.columns)
                yield fragment

    def _plain(self, body: Octets, content_type: str | None) -> Octets:
        """A body as its decoder sees it: unpacked, and in UTF-8."""
        octets = body
        if self._decoder.name == "auto" and is_packed(body):
            try:
                octets = unpacked(bytes(body))
            except ValueError:  # it is told of when that body is read alone
                return body
        if content_type is None or "charset" not in content_type.lower():
            return octets
        return to_utf8(bytes(octets), content_type)

    def _one_by_one(
        self, first: int, bodies: Sequence[Octets], content_types: Sequence[str | None]
    ) -> Fragment:
        records: list[Sequence[Mapping[Path, object]]] = []
        for number, (octets, content_type) in enumerate(
            zip(bodies, content_types, strict=True), first
        ):
            body = bytes(octets)
            try:
                value = self._decoder(body, content_type)
                items = () if self._leaves_out(value) else records_of(value)
                records.append(list(map(flatten, items)))
            except _EXPECTED as error:
                self.errors[number] = str(error)
                records.append([{(): as_text(body, content_type)}])
        counts = np.fromiter(map(len, records), np.int64, len(records))
        return Fragment(counts, self._columns(int(counts.sum()), chain.from_iterable(records)))

    def _leaves_out(self, value: object) -> bool:
        """Whether the user's function has made nothing of a body."""
        return value is None and self._decoder.function is not None

    def _columns(self, count: int, records: Iterable[Mapping[Path, object]]) -> dict[Path, Values]:
        columns: dict[Path, list[object]] = {}
        for row, record in enumerate(records):
            more = {}
            for path, value in record.items():
                if path not in columns:
                    if path not in self._known and len(self._known) >= MAX_FIELDS:
                        more[name_of(path)] = value
                        continue
                    self._known.add(path)
                    columns[path] = [None] * count
                columns[path][row] = value
            if more:
                columns.setdefault(MORE_VALUES, [None] * count)[row] = json.dumps(more, default=str)
        return {path: as_column(values) for path, values in columns.items()}


def as_column(values: Sequence[object]) -> Values:
    """Values as an Arrow array where all are of one kind, else as objects.

    Example:
        >>> as_column([1, None, 2.5]).type
        DataType(double)
        >>> as_column([1, "x"])
        array([1, 'x'], dtype=object)
    """
    kinds = set(map(type, values)) - {type(None)}
    try:
        if not kinds:
            return pa.nulls(len(values))
        if kinds == {str}:
            return pa.array(values, pa.large_string())
        if kinds == {bool}:
            return pa.array(values, pa.bool_())
        if kinds == {int}:
            return pa.array(values, pa.int64())
        if kinds == {float} or (kinds == {int, float} and all(map(_is_exact, values))):
            return pa.array(values, pa.float64())
    except OverflowError:  # a whole number of more than 64 bits
        pass
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can say and UTF-8 cannot
        return as_column([_sayable(value) for value in values])
    return np.fromiter(map(_sayable, values), object, len(values))


def _is_exact(value: object) -> bool:
    return not isinstance(value, int) or abs(value) <= MAX_EXACT


def _sayable(value: object) -> object:
    """A value; text as UTF-8 can say it."""
    return sayable(value) if isinstance(value, str) else value
