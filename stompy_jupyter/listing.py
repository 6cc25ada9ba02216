"""Arrow record batches to rows of Python values: for the eyes, a few at a time; pure."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from stompy_jupyter.batch import COLUMNS
from stompy_jupyter.decode import as_text, to_utf8

if TYPE_CHECKING:
    from collections.abc import Iterable

_UTF8 = codecs.getincrementaldecoder("utf-8")
_MOST = 4
"""Octets of a character in UTF-8, at the most."""


def listed(
    batches: Iterable[pa.RecordBatch], decode: str, body: int | None = None
) -> list[dict[str, Any]]:
    """The rows of batches as dicts by column.

    Args:
        batches: as `batch.make_batch` makes them.
        decode: how they were made; bodies are text where they are any, unless it is "bytes".
        body: so much of each body at the most: characters of text, else octets. Bodies may be
            large, and their beginnings cost next to nothing.
    """
    rows: list[dict[str, Any]] = []
    for batch in batches:
        rows += (batch if body is None else _with_beginnings(batch, body)).to_pylist()
    for row in rows:
        octets = row["body"]
        if isinstance(octets, bytes):
            if decode != "bytes":
                kind = row["content_type"] if decode != "text" else None
                whole = body is None or len(octets) < _MOST * body
                octets = as_text(octets, kind) if whole else _beginning(to_utf8(octets, kind))
            row["body"] = octets[:body]
    return rows


def _with_beginnings(batch: pa.RecordBatch, body: int) -> pa.RecordBatch:
    bodies = batch.column("body")
    if pa.types.is_large_binary(bodies.type):
        bodies = pc.binary_slice(bodies, 0, _MOST * body)
    else:
        bodies = pc.utf8_slice_codeunits(bodies, 0, body)
    return batch.set_column(COLUMNS.index("body"), "body", bodies)


def _beginning(octets: bytes) -> str | bytes:
    """The text that octets begin with, which may end within a character; else the octets."""
    try:
        return _UTF8().decode(octets)
    except UnicodeDecodeError:
        return octets
