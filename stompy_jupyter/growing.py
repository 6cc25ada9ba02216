"""Values that gather in NumPy buffers with room at the end, and the Series that are parts of them.

pandas copies such a part before a user's first write into it, because a "guard", a Series over the
whole buffer, refers to the same memory; so nobody who changes a DataFrame changes the table, or
another DataFrame. (The one way around that is to write into ``series.array``, which pandas lets
through to all that share it.)
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    Wrap: TypeAlias = Callable[..., pd.Series]

_ROOM = 1024
"""Rows for which a buffer has room at the least."""

_PIECE = 16 * 1024
"""So many rows are copied at once: while objects are, no other thread has a turn."""

TEXT: Any = pd.StringDtype("pyarrow", na_value=np.nan)
"""The type of text, which pandas shares with Arrow."""

NAT = int(np.iinfo(np.int64).min)
"""What a gap is among the numbers of times."""


def plain(values: np.ndarray, *_: np.ndarray) -> pd.Series:
    """What is in a buffer, as it is."""
    return pd.Series(values, dtype=values.dtype, copy=False)  # objects stay objects


def nullable(values: np.ndarray, gaps: np.ndarray) -> pd.Series:
    """Whole numbers with gaps, as Int64."""
    return pd.Series(pd.arrays.IntegerArray(values, gaps, copy=False), copy=False)


@functools.cache
def times_in(unit: Literal["s", "ms", "us", "ns"], zone: str | None) -> Wrap:
    """What makes times of whole numbers since 1970 in that unit; gaps are `NAT`."""
    plain_dtype = np.dtype(f"datetime64[{unit}]")
    dtype = pd.DatetimeTZDtype(unit, zone) if zone else plain_dtype

    def wrap(values: np.ndarray, *_: np.ndarray) -> pd.Series:
        return pd.Series(values if zone else values.view(plain_dtype), dtype=dtype, copy=False)

    return wrap


class Growing:
    """The values of the newest rows, in buffers to which more are added: O(1) a row.

    Args:
        first: the number of the row that comes first.
        dtypes: of each buffer; they have a value of each row.

    Example:
        >>> sizes = Growing(0, "int64")
        >>> sizes.append(0, np.array([5, 7, 9]))
        >>> sizes.series(plain, 1).tolist()
        [7, 9]
    """

    def __init__(self, first: int, *dtypes: str) -> None:
        self.dtypes = dtypes
        self.end = first  # the number of the row behind the last
        self._start = first
        self._buffers = [np.empty(0, dtype) for dtype in dtypes]
        self._guards: dict[Wrap, pd.Series] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of the buffers; not of objects that they refer to."""
        return sum(buffer.nbytes for buffer in self._buffers)

    def append(self, first: int, *values: np.ndarray) -> None:
        """Add the values of more rows, per buffer; rows before `first` are not needed any more."""
        end = self.end + len(values[0])
        self.reserve(first, end)
        # No Series that was given shows these places: it ends in front of them.
        for buffer, new in zip(self._buffers, values, strict=True):
            buffer[self.end - self._start : end - self._start] = new
        self.end = end

    def reserve(self, first: int, end: int) -> None:
        """Have room for the rows from `first` to `end`, if need be in buffers that are larger.

        The old ones then belong to the Series that are parts of them.
        """
        if end - self._start <= len(self._buffers[0]):
            return
        room = max(_ROOM, (end - first) * 3 // 2)
        buffers = [np.empty(room, dtype) for dtype in self.dtypes]
        for buffer, old in zip(buffers, self._buffers, strict=True):
            for row in range(first, self.end, _PIECE):
                until = min(row + _PIECE, self.end)
                buffer[row - first : until - first] = old[row - self._start : until - self._start]
        self._buffers, self._start = buffers, first
        self._guards = {}

    def series(self, wrap: Wrap, first: int) -> pd.Series:
        """The rows from `first` on as a Series of the kind that `wrap` makes of the buffers."""
        guard = self._guards.get(wrap)
        if guard is None:
            # All that were made live as long as the buffers: each guards the Series cut from it.
            guard = self._guards[wrap] = wrap(*self._buffers)
        return guard.iloc[first - self._start : self.end - self._start]
