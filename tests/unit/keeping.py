"""What the tests of keeping share: frames, and datasets as others read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset

from stompy import STOMPFrame
from stompy_jupyter.batch import Rows
from stompy_jupyter.dataset import OPEN
from stompy_jupyter.openfile import OpenFile, raw_batch

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ARRIVAL = 1_700_000_000_123_456_789
"""2023-11-14 22:13:20 UTC, in nanoseconds since 1970."""

HOUR = 3_600_000_000_000


def message(body: bytes | str = "a", headers: dict[str, str] | None = None) -> STOMPFrame:
    return STOMPFrame("MESSAGE", {"destination": "/queue/q", **(headers or {})}, body)


def batch_of(*frames: STOMPFrame, arrival: int = ARRIVAL) -> pa.RecordBatch:
    rows = Rows()
    rows.add_all(frames, arrival)
    return raw_batch(rows)


def open_file(directory: Path, *batches: Iterable[STOMPFrame], arrival: int = ARRIVAL) -> Path:
    """An open file with these batches, whose writer has gone without closing it."""
    (directory / OPEN).mkdir(parents=True, exist_ok=True)
    file = OpenFile(directory / OPEN)
    for frames in batches:
        file.write(batch_of(*frames, arrival=arrival), 1)
    file.release()
    return file.path


def rows_of(directory: Path) -> list[dict[str, Any]]:
    """The rows of a dataset, in the order in which they came."""
    files = sorted(directory.glob("date=*/hour=*/*.parquet"))
    tables = [pa.parquet.read_table(path, partitioning=None) for path in files]
    rows: list[dict[str, Any]] = pa.concat_tables(tables, promote_options="default").to_pylist()
    return rows


def bodies_of(directory: Path) -> list[str]:
    return [row["body"] for row in rows_of(directory)]


def left_open(directory: Path) -> list[str]:
    """The names of what is not a part of the dataset yet."""
    return sorted(path.name for path in (directory / OPEN).iterdir())
