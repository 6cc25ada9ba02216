"""How well frames have come, over time: rate, lag, gaps, duplicates, redeliveries, errors."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from stompy_jupyter.batch import COLUMNS, USUAL

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_INTERVALS = 300
"""An interval that was not given is chosen so that there are no more than so many."""

INTERVALS = ("1s", "10s", "1min", "10min", "1h", "1D")

MOST_INTERVALS = 1_000_000
"""So many may be asked for."""

JUMP = 100_000
"""A number that is further away from the one before, up or down, begins a new sequence."""

FALL = 1_000
"""So does a fall by more than that, or to 0 or 1, if the next number goes on from there."""

SEQUENCE_NAMES = frozenset(
    {
        "sequencenumber",
        "pushportsequence",
        "sessionsequencenr",
        "sequencenr",
        "sequenceno",
        "sequence",
        "msgseqnum",
        "seqnum",
        "seqno",
        "seqnr",
        "seq",
        "xstreamoffset",
    }
)
"""Headers that are taken for sequence numbers, without their case, hyphens and underscores."""

_WHOLE = r"^[0-9]{1,18}$"
_COUNTED_ID = r"^(?P<prefix>ID:.+):(?P<number>[0-9]{1,18})$"
_DELIVERY_TAG = r"^.*@@.+@@[0-9]+$"
_MILLISECONDS = r"^[0-9]{12,14}$"
_SECONDS = r"^[0-9]{9,10}$"

QUALITY_COLUMNS = (
    "frames",
    "rate",
    "bytes",
    "lag_median_ms",
    "lag_max_ms",
    "gaps",
    "missing",
    "duplicates",
    "out_of_order",
    "restarts",
    "redelivered",
    "decode_errors",
)


def quality(
    frames: pa.Table,
    every: str | datetime.timedelta | None = None,
    *,
    sequence: str | None = None,
    first: int = 0,
    errors: Collection[int] | None = None,
    until: datetime.datetime | None = None,
) -> pd.DataFrame:
    """The quality of frames, interval by interval; see `FrameStream.quality`.

    Args:
        frames: as `FrameTable.arrow` gives them: headers as text.
        every: the length of an interval, e.g. ``"10s"``; None chooses one.
        sequence: the header that counts the messages; None looks for one.
        first: the number of the first frame.
        errors: the numbers of the frames whose bodies could not be decoded.
        until: intervals reach up to there also where no frame comes; else up to the last frame.

    Raises:
        ValueError: there is no such header, or `every` is no length of time, or too short.

    Example:
        >>> table = FrameTable()
        >>> for n in (1, 2, 5):
        ...     _ = table.append(STOMPFrame("MESSAGE", {"seq": str(n)}))
        >>> quality(table.arrow())[["frames", "gaps", "missing"]].to_numpy().tolist()
        [[3, 1, 2]]
    """
    arrivals = frames.column("received_at").cast(pa.int64()).to_numpy()
    grid = _Grid.over(arrivals, every, until)
    found = _in_order(frames, sequence)
    columns: dict[str, np.ndarray] = {"frames": grid.count()}
    columns["rate"] = columns["frames"] / grid.seconds
    columns["bytes"] = grid.sum(frames.column("size").to_numpy())
    columns["lag_median_ms"], columns["lag_max_ms"] = grid.lags(_lag_ms(frames, arrivals))
    for name in ("gaps", "missing", "duplicates", "out_of_order", "restarts"):
        columns[name] = grid.sum(getattr(found, name))
    columns["redelivered"] = grid.sum(_is(frames, "redelivered", "true"))
    wrong = np.isin(
        np.arange(first, first + frames.num_rows),
        np.array([] if errors is None else list(errors), np.int64),
    )
    columns["decode_errors"] = grid.sum(wrong)
    return pd.DataFrame(columns, index=grid.index, columns=list(QUALITY_COLUMNS))


# -- intervals -------------------------------------------------------------------------------------


class _Grid:
    """Intervals of one length, one after the other, and in which of them each frame is.

    Args:
        places: of each frame, the number of its interval.
        index: when the intervals begin.
        seconds: how long they are.
    """

    def __init__(self, places: np.ndarray, index: pd.DatetimeIndex, seconds: float) -> None:
        self.index = index
        self.seconds = seconds
        self._places = places

    @classmethod
    def over(
        cls,
        arrivals: np.ndarray,
        every: str | datetime.timedelta | None,
        until: datetime.datetime | None,
    ) -> _Grid:
        """Those in which frames have come at these times (µs since 1970)."""
        if len(arrivals) == 0:
            length = _microseconds(every or INTERVALS[0])
            return cls(arrivals, _index(0, 0, length), length / 1e6)
        begin, end = int(arrivals.min()), int(arrivals.max())
        if until is not None:
            end = max(end, int(until.timestamp() * 1e6))
        length = _microseconds(every) if every is not None else _fitting(begin, end)
        begin, end = begin // length, end // length + 1
        if end - begin > MOST_INTERVALS:
            raise ValueError(f"every={every!r} makes {end - begin:,} intervals; take a longer one")
        return cls(arrivals // length - begin, _index(begin, end, length), length / 1e6)

    def count(self) -> np.ndarray:
        """How many frames each interval has."""
        return np.bincount(self._places, minlength=len(self.index))

    def sum(self, values: np.ndarray) -> np.ndarray:
        """The sum of a number of each frame, by interval."""
        sums = np.zeros(len(self.index), np.int64)
        there = np.flatnonzero(values)
        # Not bincount: its weights are floats, and lose what is beyond 2**53.
        np.add.at(sums, self._places[there], values[there].astype(np.int64))
        return sums

    def lags(self, values: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """The median and the maximum of each interval; NaN where it has none."""
        groups = values.groupby(self._places)
        every = range(len(self.index))
        return groups.median().reindex(every).to_numpy(), groups.max().reindex(every).to_numpy()


def _index(begin: int, end: int, length: int) -> pd.DatetimeIndex:
    moments = np.arange(begin, end, dtype=np.int64) * length
    return pd.DatetimeIndex(moments.view("M8[us]"), name="time").tz_localize("UTC")


def _fitting(begin: int, end: int) -> int:
    lengths = [_microseconds(every) for every in INTERVALS]
    return next((n for n in lengths if (end - begin) / n < MAX_INTERVALS - 1), lengths[-1])


def _microseconds(every: str | datetime.timedelta) -> int:
    try:
        length = pd.Timedelta(every) // pd.Timedelta(1, "us")
    except ValueError:
        raise ValueError(f"{every!r} is no length of time, such as 10s or 5min") from None
    if not length > 0:
        raise ValueError(f"{every!r}: an interval has a microsecond at the least")
    return int(length)


# -- headers ---------------------------------------------------------------------------------------


def _lag_ms(frames: pa.Table, arrivals: np.ndarray) -> pd.Series:
    """How long each message was on its way by its ``timestamp``, in ms; NaN where it has none.

    That is in milliseconds, or (RabbitMQ) seconds since 1970.
    """
    if "timestamp" not in frames.column_names:
        return pd.Series(np.nan, index=range(len(arrivals)))
    texts = frames.column("timestamp")
    sent = np.full(len(texts), np.nan)
    for pattern, milliseconds in ((_MILLISECONDS, 1), (_SECONDS, 1000)):
        there = _mask(pc.match_substring_regex(texts, pattern))
        numbers = texts.filter(pa.array(there)).cast(pa.int64()).to_numpy()
        sent[there] = numbers * milliseconds
    return pd.Series(arrivals / 1000 - sent)


def _is(frames: pa.Table, name: str, value: str) -> np.ndarray:
    """Of each frame, whether it has this header with this value."""
    if name not in frames.column_names:
        return np.zeros(frames.num_rows, bool)
    return _mask(pc.equal(frames.column(name), value))


def _mask(flags: pa.ChunkedArray) -> np.ndarray:
    mask: np.ndarray = pc.fill_null(flags, False).to_numpy()
    return mask


def _column_of(frames: pa.Table, header: str) -> str:
    """The column of a header.

    Raises:
        ValueError: no frame has it.
    """
    names = [USUAL.get(header) or header, f"header_{header}"]
    if header in COLUMNS:
        names = names[1:]
    for name in names:
        if name in frames.column_names:
            return name
    there = ", ".join(frames.column_names[len(COLUMNS) :]) or "none"
    raise ValueError(f"no frame has the header {header!r}; headers are: {there}")


def sequence_header(frames: pa.Table) -> str | None:
    """The first column that is called like a sequence number and holds nothing but whole ones."""
    for name in frames.column_names[len(COLUMNS) :]:
        if name.lower().translate({ord("-"): None, ord("_"): None}) in SEQUENCE_NAMES:
            texts = frames.column(name)
            if pc.all(pc.match_substring_regex(texts, _WHOLE)).as_py():
                return str(name)
    return None


# -- order -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Order:
    """What is wrong with the order of frames: a number for each of them.

    Attributes:
        gaps, missing: how many holes it is behind, and how many numbers are missing in them;
            numbers that come later are not.
        duplicates: 1 if its number, or its id, came before.
        out_of_order: 1 if it is late: a greater number came before.
        restarts: 1 if a new sequence begins with it.
    """

    gaps: np.ndarray
    missing: np.ndarray
    duplicates: np.ndarray
    out_of_order: np.ndarray
    restarts: np.ndarray

    @classmethod
    def none(cls, frames: int) -> Order:
        """Of so many frames in perfect order."""
        return cls(*(np.zeros(frames, np.int64) for _ in range(5)))


def _in_order(frames: pa.Table, sequence: str | None) -> Order:
    """What the sequence numbers say, or the ids where there are none."""
    redelivered = _is(frames, "redelivered", "true")
    if frames.num_rows == 0:
        return Order.none(0)
    name = sequence_header(frames) if sequence is None else _column_of(frames, sequence)
    if name is None:
        return _by_ids(frames, redelivered)
    texts = frames.column(name)
    there = _mask(pc.match_substring_regex(texts, _WHOLE))
    numbers = texts.filter(pa.array(there)).cast(pa.int64()).to_numpy()
    groups = _codes(frames.column("destination"))
    return _spread(order(numbers, groups[there], redelivered[there]), there)


def _by_ids(frames: pa.Table, redelivered: np.ndarray) -> Order:
    """What ``message-id`` says: one that comes again, and counters in ids of ActiveMQ's form."""
    ids = frames.column("message_id")
    parts = pc.extract_regex(ids, _COUNTED_ID)
    there = _mask(parts.is_valid())
    counted = parts.filter(pa.array(there))
    numbers = pc.struct_field(counted, "number").cast(pa.int64()).to_numpy()
    groups = _codes(pc.struct_field(counted, "prefix"))
    counts = _counts_up(numbers, groups)
    there[there] = counts
    by_counter = _spread(order(numbers[counts], groups[counts], redelivered[there]), there)
    named = _mask(ids.is_valid())
    if pc.any(pc.match_substring(ids, "@@")).as_py():
        # A delivery tag says which delivery it is, not which message.
        named &= ~_mask(pc.match_substring_regex(ids, _DELIVERY_TAG))
    keys = pd.DataFrame({"id": _codes(ids), "destination": _codes(frames.column("destination"))})
    duplicates = (keys.duplicated().to_numpy() & named).astype(np.int64)
    return Order(
        by_counter.gaps,
        by_counter.missing,
        duplicates,
        by_counter.out_of_order * (1 - duplicates),
        by_counter.restarts,
    )


def _counts_up(numbers: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Of each frame, whether the ids of its prefix go up by one, most of the times they do."""
    if len(numbers) == 0:
        return np.zeros(0, bool)
    by_group = np.argsort(groups, kind="stable")
    step, group = np.diff(numbers[by_group]), groups[by_group][1:]
    up = (np.diff(groups[by_group]) == 0) & (step > 0)
    size = int(groups.max()) + 1
    ups = np.bincount(group[up], minlength=size)
    ones = np.bincount(group[up & (step == 1)], minlength=size)
    does: np.ndarray = (2 * ones > ups)[groups]
    return does


def order(numbers: np.ndarray, groups: np.ndarray, redelivered: np.ndarray) -> Order:
    """What is wrong with the order of sequence numbers.

    Args:
        numbers: in order of arrival, 0 or greater.
        groups: which sequence each belongs to: small whole numbers.
        redelivered: which are of messages that were delivered before; none begins a sequence.
    """
    if len(numbers) == 0:
        return Order.none(0)
    place = np.argsort(groups, kind="stable")  # one sequence after the other
    n, group = numbers[place], groups[place]
    begins, restarts = _beginnings(n, group, redelivered[place])
    run = np.cumsum(begins)  # numbers of a run are to go up by one, each once
    by_number = np.lexsort((n, run))  # stable: of equal numbers the first to come is first
    sorted_n, sorted_run = n[by_number], run[by_number]
    steps, same_run = np.diff(sorted_n), np.diff(sorted_run) == 0
    again = np.append(False, same_run & (steps == 0))
    rank = np.empty(len(n), np.int64)  # among all numbers that occur, of all runs
    rank[by_number] = np.cumsum(~again)
    highest = np.maximum.accumulate(rank)
    duplicate = np.zeros(len(n), bool)
    duplicate[by_number[again]] = True
    late = np.append(False, rank[1:] < highest[:-1]) & ~duplicate
    holes = np.flatnonzero(same_run & (steps > 1))
    # A hole is where a greater number came first.
    seen_at = np.searchsorted(highest, rank[by_number[holes]], side="right")
    gaps, missing = np.zeros(len(n), np.int64), np.zeros(len(n), np.int64)
    np.add.at(gaps, seen_at, 1)
    np.add.at(missing, seen_at, steps[holes] - 1)
    found = Order(gaps, missing, *(flags.astype(np.int64) for flags in (duplicate, late, restarts)))
    back = np.empty_like(place)
    back[place] = np.arange(len(place))
    return _taken(found, back)


def _beginnings(
    n: np.ndarray, group: np.ndarray, redelivered: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where numbers begin anew, and where that is a restart; sequences follow each other."""
    new_group = np.append(True, np.diff(group) != 0)
    step = np.append(0, np.diff(n))
    goes_on = np.append((np.diff(n) == 1) & (np.diff(group) == 0), False)
    fell = (step < -FALL) | ((step < 0) & (n <= 1))
    restarts = ~new_group & ~redelivered & ((np.abs(step) > JUMP) | (fell & goes_on))
    return new_group | restarts, restarts


def _spread(found: Order, there: np.ndarray) -> Order:
    """The same of all frames, when `found` is of those that are `there`."""
    whole = Order.none(len(there))
    for name, values in vars(found).items():
        getattr(whole, name)[there] = values
    return whole


def _taken(found: Order, places: np.ndarray) -> Order:
    return Order(**{name: values[places] for name, values in vars(found).items()})


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    """Small whole numbers, the same for the same text."""
    words = column.dictionary_encode(null_encoding="encode").combine_chunks()
    codes: np.ndarray = words.indices.to_numpy(zero_copy_only=False)
    return codes.astype(np.int64)
