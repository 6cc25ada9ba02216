"""A Parquet dataset on disk: how it is laid out, and how open files become a part of it.

    DIR/.open/20261130T235901Z-0c4f….arrows                        being written, see `openfile`
    DIR/date=2026-11-30/hour=23/20261130T235901Z-0c4f….parquet     closed

A closed file takes its name from the open one, and appears whole or not at all; so it does no harm
to close one again that a crash has interrupted at that. Names that begin with a dot are passed over
by what reads such datasets.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stompy.frame import charset_of
from stompy_jupyter.batch import MAX_HEADER_COLUMNS, MORE_HEADERS, USUAL
from stompy_jupyter.decode import to_utf8
from stompy_jupyter.openfile import SUFFIX, RawBatches, release, sync_folder, taken

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

OPEN = ".open"
"""The folder of the open files."""

GROUP_ROWS = 65_536
GROUP_BYTES = 16 * 1024 * 1024
"""A row group of a Parquet file has so many rows, or about so many bytes, at the most."""

FIXED = pa.schema(
    [
        ("received_at", pa.timestamp("us", tz="UTC")),
        ("destination", pa.string()),
        ("message_id", pa.string()),
        ("redelivered", pa.string()),
        ("content_type", pa.string()),
        ("size", pa.int64()),
        ("body", pa.string()),
        ("body_bytes", pa.binary()),
    ]
)
"""The columns that every file has; one of text follows for each further header, then
`MORE_HEADERS`."""

_NAMED: Mapping[str, str | None] = {**USUAL, "redelivered": "redelivered"}
"""The columns of headers among these. What was redelivered has one in every file: some brokers set
that header only then, and the files of a stream are to be alike."""

_TAKEN = frozenset([*FIXED.names, MORE_HEADERS, "date", "hour"])
"""What no header's column is called; the last two are names of folders."""


# -- frames as rows ----------------------------------------------------------------------------


def columns_of(headers: Iterable[str]) -> dict[str, str]:
    """The column of each header that has one: of further ones the first 256, as in a DataFrame.

    No two differ in nothing but upper and lower case, for DuckDB and Spark would take them for one.

    Example:
        >>> columns_of(["message-id", "price", "Price", "Hour", "ack"])
        {'message-id': 'message_id', 'price': 'price', 'Hour': 'header_Hour'}
    """
    named: dict[str, str] = {}
    taken: set[str] = set()
    for header in headers:
        if header in _NAMED:
            if (column := _NAMED[header]) is not None:
                named[header] = column
            continue
        lower = header.lower()
        reserved = not header or lower in _TAKEN or lower.startswith("header_")
        column = f"header_{header}" if reserved else header
        if len(taken) < MAX_HEADER_COLUMNS and column.lower() not in taken:
            taken.add(column.lower())
            named[header] = column
    return named


def frames(batches: Iterable[pa.RecordBatch]) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """Raw batches as a row a frame: the schema of all tables, and the tables.

    Args:
        batches: those of `openfile.SCHEMA`; they are gone through twice.
    """
    headers: dict[str, None] = {}
    for batch in batches:
        headers.update(dict.fromkeys(batch.column("headers").keys.unique().to_pylist()))
    columns = columns_of(headers)
    further = [name for name in columns.values() if name not in FIXED.names]
    schema = FIXED
    for name in [*further, MORE_HEADERS]:
        schema = schema.append(pa.field(name, pa.string()))
    return schema, (_rows(batch, columns, schema) for batch in batches)


def _rows(batch: pa.RecordBatch, columns: Mapping[str, str], schema: pa.Schema) -> pa.Table:
    headers, octets = batch.column("headers"), batch.column("body")
    made = _by_header(headers, columns)
    made["received_at"] = batch.column("received_at")
    made["size"] = pc.binary_length(octets).cast(pa.int64())
    made["body"], made["body_bytes"] = _bodies(octets, made.get("content_type"))
    rows = batch.num_rows
    arrays = [
        made[field.name] if field.name in made else pa.nulls(rows, field.type) for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _by_header(headers: pa.MapArray, columns: Mapping[str, str]) -> dict[str, pa.Array]:
    """By column, the value of each row; what has no column is in `MORE_HEADERS`."""
    offsets = np.asarray(headers.offsets)
    rows = np.repeat(np.arange(len(headers)), np.diff(offsets))
    names = headers.keys.dictionary_encode()
    codes = np.asarray(names.indices)
    order = np.argsort(codes, kind="stable")  # the entries of each name, one name after the other
    ends = np.cumsum(np.bincount(codes, minlength=len(names.dictionary)))
    made = {}
    more: dict[int, dict[str, str]] = defaultdict(dict)
    for name, entries in zip(names.dictionary.to_pylist(), np.split(order, ends[:-1]), strict=True):
        if name in columns:
            places = np.full(len(headers), -1, np.int64)
            places[rows[entries]] = entries
            taken = pa.array(places, mask=places < 0)
            made[columns[name]] = pc.take(headers.items, taken)
        elif name not in _NAMED:
            for entry in entries.tolist():
                more[int(rows[entry])][name] = headers.items[entry].as_py()
    if more:
        texts = [
            json.dumps(more[row], ensure_ascii=False) if row in more else None
            for row in range(len(headers))
        ]
        made[MORE_HEADERS] = pa.array(texts, pa.string())
    return made


def _bodies(octets: pa.Array, kinds: pa.Array | None) -> tuple[pa.Array, pa.Array]:
    """Bodies as text, in UTF-8 whatever they came in; and as octets those that are no text."""
    if kinds is not None and not all(map(_in_utf8, kinds.unique().to_pylist())):
        pairs = zip(octets.to_pylist(), kinds.to_pylist(), strict=True)
        octets = pa.array([to_utf8(body, kind) for body, kind in pairs], pa.binary())
    try:
        return octets.cast(pa.string()), pa.nulls(len(octets), pa.binary())
    except pa.ArrowInvalid:
        bodies = octets.to_pylist()
        texts = [_text(body) for body in bodies]
        others = [body if text is None else None for body, text in zip(bodies, texts, strict=True)]
        return pa.array(texts, pa.string()), pa.array(others, pa.binary())


def _in_utf8(kind: str | None) -> bool:
    return charset_of(kind or "") in ("utf-8", "utf8")


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


# -- closing -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Closed:
    """A file of the dataset: where it is, its rows, its bytes."""

    path: Path
    rows: int
    octets: int


def close(source: Path, directory: Path) -> Closed | None:
    """Make a file of the dataset of an open one, which is gone then; None where it has no frame.

    Whoever calls has its lock.

    Raises:
        ValueError: it is no open file of ours, or of a version that keeps otherwise.
        OSError: the file cannot be written; the open one is as it was.
    """
    batches = RawBatches(source)
    first = next((batch for batch in batches if batch.num_rows), None)
    closed = None
    if first is not None:
        target = _target(source, directory, first.column("received_at")[0].as_py())
        if not target.exists():  # else it was closed before, and a crash has come then
            _write(batches, source.with_suffix(".partial"), target)
        _sync_folders(target.parent, directory)
        rows = pq.read_metadata(target).num_rows
        closed = Closed(target, rows, target.stat().st_size)
    source.unlink()
    return closed


def _target(source: Path, directory: Path, first: datetime.datetime) -> Path:
    """Where the file belongs whose first row came then."""
    hour = directory / f"date={first:%Y-%m-%d}" / f"hour={first:%H}"
    return hour / f"{source.stem}.parquet"


def _write(batches: RawBatches, partial: Path, target: Path) -> None:
    """Write the file beside, and then put it in its place."""
    schema, tables = frames(batches)
    try:
        with partial.open("wb") as file:
            with _writer(file, schema) as writer:
                for group in _groups(tables):
                    writer.write_table(group, row_group_size=len(group))
            file.flush()
            os.fsync(file.fileno())
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):  # what has failed before is what is to be known
            partial.unlink(missing_ok=True)
        raise


def _writer(file: object, schema: pa.Schema) -> pq.ParquetWriter:
    # A dictionary of what differs in every row is made in vain.
    differing = ("received_at", "message_id", "size", "body", "body_bytes")
    repeated = [name for name in schema.names if name not in differing]
    return pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=repeated)


def _groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Tables put together to row groups."""
    group: list[pa.Table] = []
    rows = octets = 0
    for table in tables:
        if group and (rows + len(table) > GROUP_ROWS or octets + table.nbytes > GROUP_BYTES):
            yield pa.concat_tables(group)
            group, rows, octets = [], 0, 0
        group.append(table)
        rows += len(table)
        octets += table.nbytes
    if group:
        yield pa.concat_tables(group)


def _sync_folders(folder: Path, top: Path) -> None:
    """Have the names in a folder on disk, and those of the folders down to it."""
    while True:
        sync_folder(folder)
        if folder == top:
            return
        folder = folder.parent


# -- what crashes have left --------------------------------------------------------------------


@dataclass(frozen=True)
class Recovered:
    """What was made of open files that nobody wrote any more.

    Attributes:
        files: those that were closed.
        failed: by the open files that could not be, and are as they were, why.
    """

    files: list[Closed] = field(default_factory=list)
    failed: dict[Path, str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many frames that are."""
        return sum(closed.rows for closed in self.files)


def recover(directory: str | Path) -> Recovered:
    """Close the open files in a dataset whose writers have ended without it.

    Those that are being written, here or by another process, are left to their writers.

    Raises:
        OSError: the folder cannot be read.

    Example:
        >>> recover("orders").rows
        0
    """
    directory = Path(directory).expanduser().absolute()
    recovered = Recovered()
    for path in sorted((directory / OPEN).glob(f"*{SUFFIX}")):
        try:
            file = taken(path)
            if file is None:
                continue
            try:
                closed = close(path, directory)
            finally:
                release(file)
        except (OSError, ValueError) as error:
            recovered.failed[path] = str(error)
        else:
            if closed is not None:
                recovered.files.append(closed)
    return recovered
