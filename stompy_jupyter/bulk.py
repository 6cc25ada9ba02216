"""Many JSON bodies at once: Arrow's parser makes columns of them, where Python would make dicts.

It reads what has the shape that it has learnt and nothing odd about it, and gives up otherwise;
whoever asks then reads these bodies one by one, and lets it learn. What it does read is what
`json.loads` and `flatten` give.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json as arrow_json

from stompy_jupyter.batch import MEMORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from stompy_jupyter.flatten import Path
    from stompy_jupyter.settle import Values

MAX_FIELDS = 1000
"""A shape has so many columns at the most: each takes room for every record."""

MAX_KEYS = 32
"""A path has so many keys at the most: Arrow goes down a schema by recursion."""

MAX_EXACT = 2**53
"""Whole numbers up to that are exact also as floats."""

# Nobody who sends a body can guess what is written around it.
_KEY = secrets.token_hex(8)
_AROUND = {
    ord("["): (f'{{"{_KEY}":'.encode(), b"}\n"),
    ord("{"): (f'{{"{_KEY}":['.encode(), b"]}\n"),
}
"""What is written around a body, by its first octet, so that a line has an array of records."""

_BLANK = b" \t\r\n"


@dataclass(frozen=True)
class Fragment:
    """The records of some bodies.

    Attributes:
        counts: how many records each body has.
        columns: the value of each record by path.
    """

    counts: np.ndarray
    columns: Mapping[Path, Values]


class BulkReader:
    """Reads bodies that are JSON objects, or arrays of them, of a shape that it has learnt.

    Example:
        >>> reader = BulkReader()
        >>> reader.learn({("a",): pa.array([1]), ("b", "c"): pa.array(["x"], pa.large_string())})
        >>> fragment = reader.read([b'[{"a": 1}, {"a": 2}]', b'{"a": 3, "b": {"c": "y"}}'])
        >>> {path: column.to_pylist() for path, column in fragment.columns.items()}
        {('a',): [1, 2, 3], ('b', 'c'): [None, None, 'y']}
        >>> reader.read([b'{"a": "text"}']) is None
        True
    """

    def __init__(self) -> None:
        self._types: dict[Path, pa.DataType | None] = {}
        self._schema: pa.Schema | None = None

    @property
    def is_new(self) -> bool:
        """Whether it has learnt nothing yet."""
        return self._schema is None

    def learn(self, columns: Mapping[Path, Values]) -> None:
        """Learn what columns there are, and of which types, from some that were read otherwise."""
        known = self._types.copy()
        for path, column in columns.items():
            if path in known or (len(known) < MAX_FIELDS and len(path) <= MAX_KEYS):
                type = None if isinstance(column, np.ndarray) else column.type
                known[path] = _wider(known.get(path, pa.null()), type)
        if known != self._types:
            self._types = known
            self._schema = _schema_of(known)

    def read(self, bodies: Sequence[bytes | memoryview]) -> Fragment | None:
        """The records of all these bodies; None where one of them is not to be read like this."""
        if self._schema is None:
            return None
        parts: list[bytes | memoryview] = []
        for body in bodies:
            around = _AROUND.get(body[0] if body else 0)
            if around is None:
                around = _AROUND.get((bytes(body).lstrip(_BLANK) or b" ")[0])
                if around is None:
                    return None
            parts += around[0], body, around[1]
        octets = b"".join(parts)
        table = _read(octets, self._schema) if _is_utf8(octets) else None
        if table is None or table.num_rows != len(bodies):
            return None
        lists = table.column(0).combine_chunks()
        return None if lists.null_count else _fragment(lists)


def _wider(known: pa.DataType | None, other: pa.DataType | None) -> pa.DataType | None:
    """The type of a column that has values of both; None where there is none."""
    if known is None or other is None or known == other or pa.types.is_null(known):
        return None if known is None else other
    if pa.types.is_null(other):
        return known
    return pa.float64() if {known, other} == {pa.int64(), pa.float64()} else None


def _schema_of(types: Mapping[Path, pa.DataType | None]) -> pa.Schema:
    """The schema of lines around bodies; without columns that have no type, or others below."""
    tree: dict[str, Any] = {}
    for path, type in types.items():
        place = tree
        for key in path[:-1]:
            below = place.setdefault(key, {})
            place = below if isinstance(below, dict) else {}
        if path and type is not None and not isinstance(place.get(path[-1]), dict):
            place[path[-1]] = type
    return pa.schema([(_KEY, pa.list_(_struct_of(tree)))])


def _struct_of(tree: Mapping[str, Any]) -> pa.StructType:
    return pa.struct(
        [(key, _struct_of(type) if isinstance(type, dict) else type) for key, type in tree.items()]
    )


def _read(octets: bytes, schema: pa.Schema) -> pa.Table | None:
    """Lines of JSON that have this schema and no other field; None where one has not."""
    try:
        return arrow_json.read_json(
            pa.BufferReader(octets),
            read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(octets) + 1),
            # What is not in the schema is not inferred: strangers would choose its size, and crash
            # the process by how deeply they nest.
            parse_options=arrow_json.ParseOptions(
                explicit_schema=schema, unexpected_field_behavior="error"
            ),
            memory_pool=MEMORY,
        )
    except pa.ArrowInvalid:
        return None


def _is_utf8(octets: bytes) -> bool:
    if octets.isascii():  # much faster, and the rule
        return True
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True


# -- columns ---------------------------------------------------------------------------------------


def _fragment(lists: pa.ListArray) -> Fragment | None:
    records = lists.flatten()
    if records.null_count:
        return None
    columns = dict(_flat((), records))
    if any(column is None for column in columns.values()):
        return None
    # Shapes may have a thousand columns, most of which are empty here and would take room.
    filled = {path: v for path, v in columns.items() if v is not None and v.null_count < len(v)}
    return Fragment(np.diff(lists.offsets.to_numpy()), filled)


def _flat(above: Path, struct: pa.StructArray) -> Iterator[tuple[Path, pa.Array | None]]:
    """The columns of a struct by their paths; None for one that is not to be read like this."""
    for field, column in zip(struct.type, struct.flatten(), strict=True):
        path = (*above, field.name)
        if not pa.types.is_struct(column.type):
            yield path, _exact(column)
        elif _may_be_empty(column):
            yield path, None
        else:
            yield from _flat(path, column)


def _may_be_empty(struct: pa.StructArray) -> bool:
    """Whether one of these objects may be ``{}``: all of its values are null."""
    empty = struct.is_valid()
    for column in struct.flatten():
        empty = pc.and_(empty, column.is_null())
    return bool(pc.any(empty).as_py())


def _exact(column: pa.Array) -> pa.Array | None:
    """A column; None where a float may have been a whole number with more digits in the text."""
    if pa.types.is_floating(column.type):
        large = pc.greater_equal(pc.abs(column), float(MAX_EXACT))
        return None if pc.any(large).as_py() else column
    return column
