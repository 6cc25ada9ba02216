"""A DataFrame into a file: a part at a time, and it is there when it is whole."""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from stompy_jupyter.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    AnyPath: TypeAlias = str | os.PathLike[str]

PART_ROWS = 32_768
PART_BYTES = 32 * 1024 * 1024
"""So many rows are written at a time, and about so many bytes of bodies, at the most."""

BASE64 = "_base64"
"""In CSV, octets that are no text are in a column of their own, with this behind its name."""

_TEXT = pa.large_string()
_OCTETS = pa.large_binary()


def to_parquet(df: pd.DataFrame, path: AnyPath, *, progress: bool = True) -> int:
    """As `FrameStream.to_parquet`, of any DataFrame."""
    rows = _Rows(df)
    with (
        _replacing(path) as file,
        pa.parquet.ParquetWriter(file, rows.schema, compression="zstd") as writer,
    ):
        return _write(rows, writer.write_table, path, progress)


def to_csv(df: pd.DataFrame, path: AnyPath, *, progress: bool = True) -> int:
    """As `FrameStream.to_csv`, of any DataFrame."""
    rows = _Rows(df)
    schema = _octets_apart(rows.schema.empty_table()).schema
    with _replacing(path) as file, pa.csv.CSVWriter(file, schema) as writer:
        return _write(rows, lambda part: writer.write(_octets_apart(part)), path, progress)


def _write(rows: _Rows, write: Callable[[pa.Table], object], path: AnyPath, progress: bool) -> int:
    with Progress(Path(path).name, len(rows), shown=progress) as shown:
        for part in rows.parts():
            write(part)
            shown.update(shown.done + part.num_rows)
    return len(rows)


# -- rows as Arrow ---------------------------------------------------------------------------------


class _Rows:
    """The rows of a DataFrame as Arrow, a part at a time.

    Attributes:
        schema: of the parts, with what pandas wants to find in a file of its own.
    """

    def __init__(self, df: pd.DataFrame) -> None:
        self._df = df
        objects = {name: _kind_of(column) for name, column in df.items() if column.dtype == object}
        self._convert = {name: convert for name, (_, convert) in objects.items()}
        empty = df.iloc[:0].copy()
        for name, (kind, _) in objects.items():
            empty[name] = pd.Series(dtype="str" if kind == _TEXT else "object")
        counted = isinstance(df.index, pd.RangeIndex)  # another would be a column
        schema = pa.Schema.from_pandas(empty, preserve_index=None if counted else False)
        for name, (kind, _) in objects.items():
            schema = schema.set(schema.get_field_index(str(name)), pa.field(str(name), kind))
        self.schema = schema.with_metadata(_with_index(schema.metadata, df.index))

    def __len__(self) -> int:
        return len(self._df)

    def parts(self) -> Iterator[pa.Table]:
        """All rows; those of a part have no more than `PART_BYTES` of bodies, as a rule."""
        size = self._df["size"].mean() if "size" in self._df and len(self) else 0
        step = max(1, min(PART_ROWS, int(PART_BYTES / max(1, size))))
        for first in range(0, len(self), step):
            part = self._df.iloc[first : first + step]
            arrays = {str(name): self._array(name, column) for name, column in part.items()}
            yield pa.table(arrays, schema=self.schema)

    def _array(self, name: Any, column: pd.Series) -> pa.Array | pa.ChunkedArray:
        if name not in self._convert:
            return pa.Array.from_pandas(column)
        kind = self.schema.field(str(name)).type
        return pa.array(list(map(self._convert[name], column)), kind)


def _with_index(metadata: dict[bytes, bytes], index: pd.Index) -> dict[bytes, bytes]:
    """What pandas wants to find, with the index of all rows instead of none."""
    known = json.loads(metadata[b"pandas"])
    if isinstance(index, pd.RangeIndex):
        known["index_columns"][0] |= {"start": index.start, "stop": index.stop}
    return {b"pandas": json.dumps(known).encode()}


def _kind_of(column: pd.Series) -> tuple[pa.DataType, Callable[[Any], object]]:
    """What a column of objects is: text, octets (and text), or values, which are written as JSON.

    Returns:
        Its type in Arrow, and what makes that of each of its values.
    """
    kinds = set(map(type, column))
    if kinds <= {str}:
        return _TEXT, _whole
    if kinds <= {str, bytes}:
        return _OCTETS, _octets
    return _TEXT, _json


def _whole(text: str) -> str:
    """Text without half characters (surrogates), which JSON may bring and UTF-8 does not have."""
    return text.encode("utf-8", "backslashreplace").decode()


def _octets(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "backslashreplace")


def _json(value: object) -> str:
    """The JSON of a value. It may have come from what is nearly JSON, and goes back to that."""
    try:
        text = _strict(value)
        text.encode()
    except ValueError:  # Infinity, half a character
        return _lenient(value)
    return text


def _form(value: object) -> object:
    """What stands in JSON for a value that it has no form for."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    return str(value)


_strict = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_form).encode
_lenient = json.JSONEncoder(default=_form).encode


# -- CSV -------------------------------------------------------------------------------------------


def _octets_apart(part: pa.Table) -> pa.Table:
    """Octets as text where they are UTF-8, and in base64 in a column behind it where not."""
    columns = {}
    for name in part.column_names:
        column = part.column(name)
        if column.type != _OCTETS:
            columns[name] = column
            continue
        values = column.to_pylist()
        texts = [_utf8(value) for value in values]
        columns[name] = pa.array(texts, _TEXT)
        apart = f"{name}{BASE64}"
        while apart in part.column_names:
            apart += "_"
        columns[apart] = pa.array(
            [
                base64.b64encode(value).decode() if text is None and value is not None else None
                for value, text in zip(values, texts, strict=True)
            ],
            _TEXT,
        )
    return pa.table(columns)


def _utf8(octets: bytes | None) -> str | None:
    try:
        return None if octets is None else octets.decode()
    except UnicodeDecodeError:
        return None


# -- files -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _replacing(path: AnyPath) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` when it is whole and on disk; else nothing changes.

    Raises:
        OSError: the folder is not there, or cannot be written to.
    """
    target = Path(os.path.realpath(Path(path).expanduser()))  # a link stays one
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "this is a folder, no file", str(target))
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(target.parent))
    part = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
