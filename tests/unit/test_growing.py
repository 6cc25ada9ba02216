"""Values that gather in buffers, and the Series that are parts of them."""

import numpy as np
import pandas as pd

from stompy_jupyter.growing import Growing, plain


def memory(series: pd.Series) -> np.ndarray:
    """What a Series shows, not a copy of it."""
    return series.to_numpy(copy=False)


def test_a_buffer_gives_what_was_added_from_any_row_on():
    numbers = Growing(10, "int64")
    numbers.append(10, np.arange(10, 13))
    numbers.append(10, np.arange(13, 15))
    assert numbers.end == 15
    assert numbers.series(plain, 10).tolist() == [10, 11, 12, 13, 14]
    assert numbers.series(plain, 13).tolist() == [13, 14]


def test_what_was_given_shares_memory_with_the_buffer_and_with_what_is_given_next():
    numbers = Growing(0, "int64")
    numbers.append(0, np.arange(3))
    one = numbers.series(plain, 0)
    numbers.append(0, np.arange(3))
    two = numbers.series(plain, 1)
    assert np.shares_memory(memory(one), memory(two))
    assert one.tolist() == [0, 1, 2]


def test_a_buffer_that_is_full_goes_on_in_a_larger_one_and_the_old_one_stays():
    numbers = Growing(0, "int64")
    numbers.append(0, np.arange(1000))
    old = numbers.series(plain, 0)
    numbers.append(0, np.arange(1000, 3000))
    assert numbers.series(plain, 0).tolist() == list(range(3000))
    assert not np.shares_memory(memory(old), memory(numbers.series(plain, 0)))
    old.iloc[0] = -1
    assert numbers.series(plain, 0)[0] == 0


def test_a_buffer_of_the_newest_rows_does_not_grow_for_ever():
    numbers = Growing(0, "int64")
    for row in range(0, 200_000, 100):
        numbers.append(max(0, row - 5000), np.arange(row, row + 100))
    assert numbers.nbytes < 3 * 5000 * 8
    assert numbers.series(plain, 195_000).tolist() == list(range(195_000, 200_000))


def test_a_buffer_is_moved_in_pieces(monkeypatch):
    monkeypatch.setattr("stompy_jupyter.growing._PIECE", 7)
    numbers = Growing(0, "object")
    numbers.append(0, np.arange(1000).astype(object))
    numbers.append(3, np.arange(1000, 3000).astype(object))
    assert numbers.series(plain, 3).tolist() == list(range(3, 3000))
