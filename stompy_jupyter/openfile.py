"""The open file of a part: frames as they came, on disk as soon as `write` has returned.

It is a stream of Arrow record batches (the IPC format), all of one schema, so that it can be
appended to without a look back; what a crash has cut off at its end is not read. Who writes holds a
lock on it: a lock that can be taken is that of a writer who has gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from stompy_jupyter.batch import Rows

SUFFIX = ".arrows"

SCHEMA = pa.schema(
    [
        ("received_at", pa.timestamp("us", tz="UTC")),
        ("headers", pa.map_(pa.string(), pa.string())),  # in the order of the wire
        ("body", pa.binary()),
    ]
)

_MARK = {b"stompy.open": b"1"}
"""In the schema of every open file: that it is one, and of which version."""

ROWS = 8192
OCTETS = 8 * 1024 * 1024
"""Batches that are read have so many rows or bytes, or a few more, or are the last."""

MAX_SCHEMA = 4096
"""Bytes within which an open file has its schema; what is shorter may have been cut off in it."""

_LZ4 = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)


def raw_batch(rows: Rows) -> pa.RecordBatch:
    """Some frames as a batch of `SCHEMA`."""
    shapes = rows.shapes
    lengths = np.fromiter(map(len, shapes), np.int32, len(shapes))
    offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(lengths, dtype=np.int32)])
    if shapes.count(shapes[0]) == len(shapes):  # compares identities, for frames of one kind
        places = np.tile(np.arange(len(shapes[0]), dtype=np.int32), len(shapes))
        names = pc.take(pa.array(list(shapes[0]), pa.string()), places)
    else:
        names = pa.array(list(chain.from_iterable(shapes)), pa.string())
    values = pa.array(rows.texts, pa.string())
    columns = [
        pa.array(np.array(rows.arrivals, np.int64) // 1000, SCHEMA.field("received_at").type),
        pa.MapArray.from_arrays(pa.array(offsets), names, values),
        pa.array(rows.bodies, pa.binary()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


class OpenFile:
    """An open file that this process writes.

    Args:
        folder: where it is made; its name tells it from all others, also on other machines.

    Attributes:
        path: where it is.
        rows, octets: how many frames it has, and how many bytes of bodies and headers.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self._file = _made(folder)
        self.rows = 0
        self.octets = 0
        self._schema = SCHEMA.with_metadata(_MARK)
        # The schema is in front of every batch that Arrow gives; in the file it is there once.
        self._head = self._schema.serialize().size
        try:
            self._append(self._schema.serialize())
            sync_folder(folder)
        except OSError:
            self.release()
            raise

    def write(self, batch: pa.RecordBatch, octets: int) -> None:
        """Append a batch; it is on disk when this returns.

        Raises:
            OSError: it is not, or not known to be. No more can be written then.
        """
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self._schema, options=_LZ4) as writer:
            writer.write_batch(batch)
            end = sink.tell()  # without the mark for an end that comes now
        self._append(memoryview(sink.getvalue())[self._head : end])
        self.rows += batch.num_rows
        self.octets += octets

    def _append(self, octets: Any) -> None:
        self._file.write(octets)
        self._file.flush()
        os.fsync(self._file.fileno())

    def release(self) -> None:
        """Close it and let others have it; it stays where it is. Twice is fine."""
        if not self._file.closed:
            release(self._file)


def _made(folder: Path) -> tuple[Path, BinaryIO]:
    """A new file, locked; one that others took for a dead writer's in between is theirs."""
    while True:
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        path = folder / f"{now}-{secrets.token_hex(6)}{SUFFIX}"
        file = path.open("xb")
        fcntl.flock(file, fcntl.LOCK_EX)
        if _is_at(file, path):
            return path, file
        file.close()


def taken(path: Path) -> BinaryIO | None:
    """The file with its lock, when nobody writes it; None if somebody does, or it has gone.

    Raises:
        OSError: it cannot be opened, or cannot be locked.
    """
    try:
        file = path.open("r+b")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        if isinstance(error, BlockingIOError):
            return None
        raise
    if not _is_at(file, path):  # who had it before has made something of it
        file.close()
        return None
    return file


def release(file: BinaryIO) -> None:
    """Close a file and end its lock, also where a child process has a copy of the descriptor."""
    with contextlib.suppress(OSError):  # what could not be written is known to who has written it
        fcntl.flock(file, fcntl.LOCK_UN)
    with contextlib.suppress(OSError):
        file.close()


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Whether an open file is the one of that name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


class RawBatches:
    """What is in an open file, up to the last whole batch; as often as it is asked for.

    Small batches are put together to such as are worth the work.

    Raises:
        ValueError: it is no file of ours.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def _has_schema(self, file: pa.NativeFile) -> bool:
        """Whether there is more than a crash has left of the schema."""
        try:
            schema = pa.ipc.read_schema(file)
        except (pa.ArrowInvalid, OSError) as error:
            _raise_unless_cut_off(error)
            if file.size() > MAX_SCHEMA:  # there may be something in it
                raise ValueError(f"{self.path} is no open file of ours") from error
            return False
        if not schema.equals(SCHEMA.with_metadata(_MARK), check_metadata=True):
            raise ValueError(f"{self.path} is no open file of ours, or of another version")
        return True

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        small: list[pa.RecordBatch] = []  # a slow stream has many of a few rows each
        rows = octets = 0
        for batch in self._as_written():
            small.append(batch)
            rows += batch.num_rows
            octets += batch.nbytes
            if rows >= ROWS or octets >= OCTETS:
                yield pa.concat_batches(small)
                small, rows, octets = [], 0, 0
        if rows:
            yield pa.concat_batches(small)

    def _as_written(self) -> Iterator[pa.RecordBatch]:
        with pa.OSFile(str(self.path)) as file:
            if not self._has_schema(file):
                return
            file.seek(0)
            reader = pa.ipc.open_stream(file)
            while True:
                try:
                    batch = reader.read_next_batch()
                    batch.validate(full=True)
                except StopIteration:
                    return
                except (pa.ArrowInvalid, OSError) as error:
                    _raise_unless_cut_off(error)
                    return
                yield batch


def _raise_unless_cut_off(error: Exception) -> None:
    """Raise what the operating system says; what Arrow says is that a batch is not whole."""
    if isinstance(error, OSError) and error.errno is not None:
        raise error
