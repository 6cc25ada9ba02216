"""The quality of frames over time."""

import datetime
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stompy import AckMode, STOMPClient, STOMPFrame
from stompy_jupyter import FrameStream, FrameTable
from stompy_jupyter.inlet import Inlet
from stompy_jupyter.quality import (
    FALL,
    JUMP,
    MAX_INTERVALS,
    QUALITY_COLUMNS,
    order,
    quality,
    sequence_header,
)
from tests.unit.test_stream import FakeSession

SECOND = 1_000_000_000
BEGIN = 1_764_547_200 * SECOND
"""2025-12-01, midnight."""

ORDER = ["gaps", "missing", "duplicates", "out_of_order", "restarts"]


def table_of(*frames: dict[str, Any], step: float = 0.0, body: bytes = b"") -> FrameTable:
    """Frames with these headers, that came so many seconds one after the other."""
    table = FrameTable()
    for number, headers in enumerate(frames):
        texts = {"destination": "/topic/t", **{name: str(value) for name, value in headers.items()}}
        table.append(STOMPFrame("MESSAGE", texts, body), BEGIN + round(number * step * SECOND))
    return table


def counted(*numbers: int, name: str = "seq") -> FrameTable:
    return table_of(*({name: number} for number in numbers))


def found(table: FrameTable, **arguments: Any) -> dict[str, int]:
    """What is wrong with the order of all frames, without what is not."""
    sums = quality(table.arrow(), **arguments)[ORDER].sum()
    return {name: int(value) for name, value in sums.items() if value}


# -- intervals -------------------------------------------------------------------------------------


def test_a_row_is_an_interval_and_a_silence_is_seen():
    table = FrameTable()
    for second, body in ((0.5, b"abc"), (0.9, b"de"), (3.1, b"")):
        table.append(STOMPFrame("MESSAGE", {}, body), BEGIN + round(second * SECOND))
    df = quality(table.arrow())
    assert list(df.columns) == list(QUALITY_COLUMNS)
    assert df["frames"].tolist() == [2, 0, 0, 1]
    assert df["rate"].tolist() == [2.0, 0.0, 0.0, 1.0]
    assert df["bytes"].tolist() == [5, 0, 0, 0]
    begin = pd.Timestamp("2025-12-01", tz="UTC")
    assert df.index.tolist() == [begin + pd.Timedelta(n, "s") for n in range(4)]
    assert df.index.name == "time"


@pytest.mark.parametrize(
    ("seconds", "length"), [(100, 1), (1_000, 10), (10_000, 60), (100_000, 600), (500_000, 3600)]
)
def test_the_interval_is_chosen_so_that_there_are_some_hundred_at_the_most(seconds, length):
    df = quality(table_of({}, {}, step=seconds).arrow())
    assert len(df) <= MAX_INTERVALS
    assert (df.index[1] - df.index[0]).total_seconds() == length


def test_an_interval_can_be_given():
    table = table_of(*[{}] * 6, step=10)
    assert quality(table.arrow(), "30s")["frames"].tolist() == [3, 3]
    assert quality(table.arrow(), "30s")["rate"].tolist() == [0.1, 0.1]
    assert quality(table.arrow(), datetime.timedelta(minutes=1))["frames"].tolist() == [6]


@pytest.mark.parametrize(
    ("every", "message"),
    [
        ("often", "'often' is no length of time"),
        ("0s", "a microsecond at the least"),
        ("-1s", "a microsecond at the least"),
        ("1us", "intervals; take a longer one"),
    ],
)
def test_an_interval_that_cannot_be_is_refused(every, message):
    with pytest.raises(ValueError, match=message):
        quality(table_of({}, {}, step=3600).arrow(), every)


def test_without_frames_there_are_no_intervals_but_the_columns():
    df = quality(FrameTable().arrow())
    assert (len(df), list(df.columns)) == (0, list(QUALITY_COLUMNS))
    assert isinstance(df.index, pd.DatetimeIndex)


def test_intervals_reach_up_to_now_where_that_is_said():
    until = datetime.datetime.fromtimestamp(BEGIN / SECOND + 2.5, datetime.UTC)
    assert quality(table_of({}).arrow(), until=until)["frames"].tolist() == [1, 0, 0]


# -- what each frame says --------------------------------------------------------------------------


def test_the_lag_is_from_the_timestamp_to_the_arrival():
    sent = BEGIN // 1_000_000
    df = quality(table_of(*({"timestamp": sent - lag} for lag in (5, 7, 100, -2))).arrow())
    assert (df["lag_median_ms"].item(), df["lag_max_ms"].item()) == (6.0, 100.0)


def test_a_timestamp_in_seconds_is_one_too_and_what_is_none_has_no_lag():
    frames = [{"timestamp": BEGIN // SECOND - 2}, {"timestamp": "yesterday"}, {}]
    assert quality(table_of(*frames).arrow())["lag_max_ms"].item() == 2000.0
    df = quality(table_of({}, {"timestamp": "x"}, step=1).arrow())
    assert df[["lag_median_ms", "lag_max_ms"]].isna().all(axis=None)


def test_redeliveries_are_counted():
    frames = [{"redelivered": "true"}, {"redelivered": "false"}, {}, {"redelivered": "true"}]
    assert quality(table_of(*frames, step=1).arrow())["redelivered"].tolist() == [1, 0, 0, 1]


def test_decode_errors_are_counted_by_the_numbers_of_their_frames():
    table = table_of(*[{}] * 4, step=1)
    df = quality(table.arrow(), first=10, errors=[9, 11, 13, 14])
    assert df["decode_errors"].tolist() == [0, 1, 0, 1]


# -- sequences -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([1, 2, 3], {}),
        ([7, 8], {}),
        ([1, 2, 5, 6], {"gaps": 1, "missing": 2}),
        ([1, 3, 5], {"gaps": 2, "missing": 2}),
        ([1, 2, 2, 3, 1], {"duplicates": 2}),
        ([1, 3, 2, 4], {"out_of_order": 1}),
        ([1, 5, 3, 6], {"gaps": 2, "missing": 2, "out_of_order": 1}),
        ([2, 1, 3], {"out_of_order": 1}),
        ([50, 51, 1, 2, 3], {"restarts": 1}),
        ([50, 51, 0, 1, 4], {"restarts": 1, "gaps": 1, "missing": 2}),
        ([9_999_999, 1, 2], {"restarts": 1}),
        ([5000, 7, 8], {"restarts": 1}),
        ([5000, 4990, 4991, 5001], {"gaps": 1, "missing": 8, "out_of_order": 2}),
        ([1, 2, 10**15, 3, 4], {"restarts": 2}),
        ([1, 1 + JUMP], {"gaps": 1, "missing": JUMP - 1}),
        ([1, 2 + JUMP], {"restarts": 1}),
    ],
)
def test_what_is_wrong_with_the_order_of_numbers(numbers, expected):
    assert found(counted(*numbers)) == expected


def test_what_is_missing_is_missing_from_where_a_greater_number_came():
    df = quality(table_of(*({"seq": n} for n in (1, 4, 2, 9)), step=1).arrow())
    assert df["missing"].tolist() == [0, 1, 0, 4]
    assert df["out_of_order"].tolist() == [0, 0, 1, 0]


def test_a_redelivered_message_begins_no_sequence():
    frames = [{"seq": n} for n in (5000, 5001)]
    frames += [{"seq": n, "redelivered": "true"} for n in (1, 2)]
    assert found(table_of(*frames, {"seq": 5002})) == {
        "gaps": 1,
        "missing": 4997,
        "out_of_order": 2,
    }


def test_each_destination_has_its_own_sequence():
    frames = [{"seq": n, "destination": d} for n in (1, 2, 3) for d in ("/topic/a", "/topic/b")]
    assert found(table_of(*frames)) == {}
    del frames[3]
    assert found(table_of(*frames)) == {"gaps": 1, "missing": 1}


@pytest.mark.parametrize(
    "name",
    ["SequenceNumber", "PushPortSequence", "session-sequence-nr", "sequence", "seq", "Seq_No"],
)
def test_headers_that_are_called_like_sequence_numbers_are_found(name):
    assert sequence_header(counted(1, 2, name=name).arrow()) == name
    assert found(counted(1, 3, name=name)) == {"gaps": 1, "missing": 1}


def test_a_header_with_other_values_is_none_and_the_first_that_is_one_counts():
    table = table_of({"sequence": "a", "seq": 1, "seqno": 5}, {"sequence": 2, "seq": 2, "seqno": 9})
    assert sequence_header(table.arrow()) == "seq"
    assert found(table) == {}
    assert found(table, sequence="seqno") == {"gaps": 1, "missing": 3}


def test_frames_without_a_number_are_passed_over():
    assert found(table_of({"n": 1}, {}, {"n": "x"}, {"n": 2}, {"n": 4}), sequence="n") == {
        "gaps": 1,
        "missing": 1,
    }


def test_a_header_that_is_called_like_a_column_can_be_the_sequence():
    table = table_of({"size": 1, "message-id": 5}, {"size": 3, "message-id": 6})
    assert found(table, sequence="size") == {"gaps": 1, "missing": 1}
    assert found(table, sequence="message-id") == {}


def test_a_header_that_no_frame_has_is_refused():
    with pytest.raises(ValueError, match="no frame has the header 'n'; headers are: seq"):
        quality(counted(1).arrow(), sequence="n")


# -- ids -------------------------------------------------------------------------------------------


def identified(*ids: str) -> FrameTable:
    return table_of(*({"message-id": id} for id in ids))


def test_an_id_that_comes_again_is_a_duplicate():
    assert found(identified("a", "b", "a", "a")) == {"duplicates": 2}


def test_a_message_to_two_destinations_is_no_duplicate():
    frames = [{"message-id": "a", "destination": d} for d in ("/topic/a", "/topic/b")]
    assert found(table_of(*frames)) == {}


def test_the_ids_of_activemq_count_the_messages_of_each_producer():
    ids = [f"ID:host-1-2-3:{c}:-1:1:{n}" for n in (1, 2, 3, 4, 5) for c in (4, 5)]
    assert found(identified(*ids)) == {}
    del ids[4:6]
    assert found(identified(*ids)) == {"gaps": 2, "missing": 2}
    assert found(identified(*ids, ids[-1])) == {"gaps": 2, "missing": 2, "duplicates": 1}


def test_numbers_at_the_ends_of_ids_that_do_not_count_up_by_one_say_nothing():
    assert found(identified("ID:x:1", "ID:x:7", "ID:x:13")) == {}
    assert found(identified("17", "30", "31")) == {}


def test_the_ids_of_rabbitmq_are_delivery_tags_and_say_nothing():
    ids = ["T_1@@session-abc@@1", "T_1@@session-abc@@1", "T_1@@session-abc@@9"]
    assert found(identified(*ids)) == {}
    assert found(identified(*ids, "a", "a")) == {"duplicates": 1}


def test_frames_without_ids_say_nothing():
    assert found(table_of({}, {})) == {}


# -- the same as one by one ------------------------------------------------------------------------


def one_by_one(
    numbers: Sequence[int], groups: Sequence[int], redelivered: Sequence[bool]
) -> dict[str, list[int]]:
    """What `order` finds, as its words say it."""
    rows = {name: [0] * len(numbers) for name in ORDER}
    for group in set(groups):
        mine = [row for row, each in enumerate(groups) if each == group]
        run: list[int] = []
        for place, row in enumerate(mine):
            if place and begins(numbers, mine, place, redelivered):
                rows["restarts"][row] = 1
                look(numbers, run, rows)
                run = []
            run.append(row)
        look(numbers, run, rows)
    return rows


def begins(
    numbers: Sequence[int], mine: Sequence[int], place: int, redelivered: Sequence[bool]
) -> bool:
    n, before = numbers[mine[place]], numbers[mine[place - 1]]
    goes_on = place + 1 < len(mine) and numbers[mine[place + 1]] == n + 1
    if redelivered[mine[place]]:
        return False
    if abs(n - before) > JUMP:
        return True
    return goes_on and (n < before - FALL or (n < before and n in (0, 1)))


def look(numbers: Sequence[int], run: Sequence[int], rows: dict[str, list[int]]) -> None:
    """Look at numbers that are to go up by one."""
    came: set[int] = set()
    for row in run:
        n = numbers[row]
        if n in came:
            rows["duplicates"][row] = 1
        elif came and n < max(came):
            rows["out_of_order"][row] = 1
        came.add(n)
    in_order = sorted(came)
    for below, above in itertools.pairwise(in_order):
        if above - below > 1:
            row = next(row for row in run if numbers[row] > below)
            rows["gaps"][row] += 1
            rows["missing"][row] += above - below - 1


NUMBER = st.integers(0, 12) | st.sampled_from([FALL + 5, FALL + 6, JUMP, 2 * JUMP, 10**17])


@settings(deadline=None)
@given(st.lists(st.tuples(NUMBER, st.integers(0, 2), st.booleans()), max_size=40))
def test_the_order_of_any_numbers_is_what_a_look_at_one_after_the_other_finds(rows):
    numbers, groups, redelivered = ([row[n] for row in rows] for n in range(3))
    whole = order(
        np.array(numbers, np.int64), np.array(groups, np.int64), np.array(redelivered, bool)
    )
    assert {name: getattr(whole, name).tolist() for name in ORDER} == one_by_one(
        numbers, groups, redelivered
    )


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0, 400),
            st.none() | st.integers(-10_000, 10_000),
            st.binary(max_size=5),
            st.booleans(),
        ),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from([None, "1s", "7s", "10min"]),
)
def test_each_interval_has_what_its_frames_say(rows, every):
    table = FrameTable()
    frames = []
    for seconds, lag, body, again in rows:
        arrival = (BEGIN + round(seconds * 1e6) * 1000) // 1000
        headers = {"redelivered": str(again).lower()}
        if lag is not None:
            headers["timestamp"] = str(arrival // 1000 - lag)
        table.append(STOMPFrame("MESSAGE", headers, body), arrival * 1000)
        frames.append((arrival, lag, len(body), again))
    df = quality(table.arrow(), every)
    length = int(pd.Timedelta(every or "1s") / pd.Timedelta(1, "us"))
    if every is None:
        length = int((df.index[1] - df.index[0]) / pd.Timedelta(1, "us")) if len(df) > 1 else length
    for begin, row in df.iterrows():
        start = int(begin.timestamp()) * 1_000_000
        mine = [f for f in frames if start <= f[0] < start + length]
        lags = [f[0] / 1000 - (f[0] // 1000 - f[1]) for f in mine if f[1] is not None]
        assert row["frames"] == len(mine)
        assert row["rate"] == pytest.approx(len(mine) / length * 1e6)
        assert (row["bytes"], row["redelivered"]) == (
            sum(f[2] for f in mine),
            sum(f[3] for f in mine),
        )
        assert row["lag_max_ms"] == pytest.approx(max(lags, default=math.nan), nan_ok=True)
        median = float(np.median(lags)) if lags else math.nan
        assert row["lag_median_ms"] == pytest.approx(median, nan_ok=True)
    assert df["frames"].sum() == len(rows)


# -- streams ---------------------------------------------------------------------------------------


def stream_of(table: FrameTable) -> FrameStream:
    return FrameStream(FakeSession(), "t", Inlet(STOMPClient(), table, "/topic/t", AckMode.Auto))


def test_a_stream_tells_of_its_quality():
    stream = stream_of(counted(1, 2, 5))
    stream.table.end()
    assert stream.quality[["frames", "missing"]].to_numpy().tolist() == [[3, 2]]
    assert len(stream.quality_by("10min")) == 1


def test_a_stream_can_be_told_which_header_counts():
    stream = stream_of(table_of({"seq": 1, "n": 1}, {"seq": 2, "n": 5}))
    assert stream.quality["missing"].sum() == 0
    stream.sequence = "n"
    assert stream.quality["missing"].sum() == 3
    assert stream.quality_by(sequence="seq")["missing"].sum() == 0


def test_the_silence_of_a_stream_that_is_live_is_seen():
    stream = stream_of(table_of({}))
    assert stream.quality["frames"].iloc[-1] == 0
    stream.table.end()
    assert stream.quality["frames"].tolist() == [1]


def test_a_replay_of_what_came_long_ago_is_not_silent_since():
    stream = stream_of(table_of({}))
    stream.session.replays = True
    assert stream.quality["frames"].tolist() == [1]


def test_what_was_dropped_is_not_looked_at():
    table = FrameTable(max_rows=2)
    for n in (1, 5, 6):
        table.append(STOMPFrame("MESSAGE", {"seq": str(n)}))
    assert found(table) == {}
