"""What the bodies of a table say, one row per record."""

import gzip
import json

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stompy import STOMPFrame
from stompy_jupyter import records as module
from stompy_jupyter.bodies import BodyReader
from stompy_jupyter.flatten import flatten, records_of
from stompy_jupyter.records import to_records
from stompy_jupyter.table import FrameTable

NOON = 1_772_366_400_000_000_000


def message(body: object, content_type: str | None = None) -> STOMPFrame:
    headers = {"destination": "/topic/T"}
    if content_type:
        headers["content-type"] = content_type
    return STOMPFrame(
        "MESSAGE", headers, body if isinstance(body, bytes) else json.dumps(body).encode()
    )


def table_of(*bodies: object, **arguments) -> FrameTable:
    table = FrameTable(**arguments)
    table.extend([message(body) for body in bodies], NOON)
    return table


def shown(table: FrameTable) -> pd.DataFrame:
    return table.records.drop(columns=["received_at"])


def test_a_table_without_frames_has_no_records():
    records = FrameTable().records
    assert records.columns.tolist() == ["frame", "received_at"]
    assert len(records) == 0
    assert records.dtypes.astype(str).tolist() == ["int64", "datetime64[us, UTC]"]


def test_arrays_are_exploded_and_keys_flattened():
    table = table_of([{"id": "1", "at": {"x": 2}}, {"id": "3"}], {"id": "4", "at": {"y": True}}, [])
    expected = pd.DataFrame(
        {
            "frame": [0, 0, 1],
            "id": [1, 3, 4],
            "at.x": pd.array([2, None, None], "Int64"),
            "at.y": pd.array([None, None, True], "boolean"),
        }
    )
    pd.testing.assert_frame_equal(shown(table), expected, check_index_type=False)
    assert (table.records["received_at"] == pd.Timestamp(NOON, tz="UTC")).all()


def test_a_record_leads_back_to_its_frame():
    table = table_of([{"n": 1}], [{"n": 2}, {"n": 3}])
    both = table.records.join(table.df["size"], on="frame")
    assert both["size"].tolist() == [10, 20, 20]


def test_what_is_no_object_is_a_value():
    assert shown(table_of(b"42.5", b"hello"))["value"].tolist() == [42.5, "hello"]
    assert shown(table_of([1, 2], 3))["value"].tolist() == [1, 2, 3]


def test_a_body_that_cannot_be_read_is_kept_and_its_error_told():
    table = table_of({"a": 1}, b'{"a": 2', {"a": 3})
    records = shown(table)
    assert records["a"].tolist() == [1, pd.NA, 3]
    assert records["value"].tolist()[1] == '{"a": 2'
    assert records["decode_error"].isna().tolist() == [True, False, True]
    assert "delimiter" in records["decode_error"][1]
    assert list(table.decode_errors) == [1]


def test_a_pickle_is_kept_as_octets():
    pickle = b"\x80\x04\x95\x00."
    records = shown(table_of(pickle))
    assert records["value"].tolist() == [pickle]
    assert records["decode_error"].tolist() == ["a pickle, which is never opened"]


def test_keys_that_are_called_like_our_columns_get_a_prefix():
    record = {"frame": 1, "received_at": 2, "decode_error": 3, "record_x": 4}
    names = table_of(record).records.columns.tolist()[2:]
    assert names == ["record_frame", "record_received_at", "record_decode_error", "record_record_x"]


def test_null_where_others_have_an_object_is_no_column():
    assert list(shown(table_of({"a": None}, {"a": {"b": 1}}))) == ["frame", "a.b"]
    assert list(shown(table_of({"a": None}))) == ["frame", "a"]
    assert list(shown(table_of({"a": 1}, {"a": {"b": 1}}))) == ["frame", "a", "a.b"]


def test_decode_says_how_bodies_are_read():
    table = FrameTable(decode="csv")
    table.append(message(b"a,b\n1,x\n2,y\n"))
    assert shown(table)["a"].tolist() == [1, 2]
    table = FrameTable(decode="bytes")
    table.append(message({"a": 1}))
    assert shown(table)["a"].tolist() == [1]


@pytest.mark.parametrize("decode", ["text", "bytes", "auto"])
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ('{"a": "é"}'.encode("latin-1"), "application/json;charset=latin-1"),
        ('{"a": "é"}'.encode("utf-16"), "application/json; charset=utf-16"),
        ('{"a": "é"}'.encode("utf-16"), "text/plain; charset=utf-16"),
        (
            gzip.compress('{"a": "é"}'.encode("latin-1"), mtime=0),
            "application/json;charset=latin-1",
        ),
        ('<r a="é"/>'.encode("latin-1"), "text/xml;charset=latin-1"),
        (
            '<?xml version="1.0" encoding="latin1"?><r a="é"/>'.encode("latin-1"),
            "text/xml;charset=latin1",
        ),
        ("a\né\n".encode("latin-1"), "text/csv;charset=latin-1"),
    ],
)
def test_a_charset_is_heeded_once(body, content_type, decode):
    table = FrameTable(decode=decode)
    table.extend([message(body, content_type)] * 10)
    table.append(message(b"\xff", "application/octet-stream"))
    assert shown(table).iloc[:10, -1].tolist() == ["é"] * 10
    assert table.decode_errors == {}


def test_packed_bodies_are_read_at_once(monkeypatch):
    table = table_of(*[gzip.compress(b'{"a": %d}' % n) for n in range(500)])
    alone = []
    original = BodyReader._one_by_one
    monkeypatch.setattr(
        BodyReader,
        "_one_by_one",
        lambda self, first, bodies, kinds: (
            alone.extend(bodies) or original(self, first, bodies, kinds)
        ),
    )
    assert table.records["a"].tolist() == list(range(500))
    assert len(alone) < 10


def test_what_ctrl_c_breaks_off_is_not_there_twice(monkeypatch):
    table = table_of(*[{"n": n} for n in range(10)])
    monkeypatch.setattr(module, "CHUNK_FRAMES", 4)
    original = module.Records._add

    def interrupted(self, frame, arrivals, fragment):
        original(self, frame, arrivals, fragment)
        if frame >= 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module.Records, "_add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _ = table.records
    assert table.records["n"].tolist() == list(range(10))


def test_strange_keys_do_no_harm():
    table = table_of(b'{"\\ud800": 1}', b'{"\\u0000": 2}', b'{"": 3}')
    assert list(shown(table)) == ["frame", "\\ud800", "\0", ""]


def test_a_function_has_the_last_word():
    table = table_of({"rows": [{"n": 1}, {"n": 2}]}, {}, decode=lambda value: value["rows"])
    records = shown(table)
    assert records["n"].tolist() == [1, 2, pd.NA]
    assert records["decode_error"].tolist()[2] == "<lambda>: KeyError: 'rows'"
    assert table.df["body"].tolist()[0] == [{"n": 1}, {"n": 2}]


def test_types_settle_as_more_comes():
    table = table_of({"n": "1"})
    assert table.records["n"].dtype == "int64"
    table.append(message({"n": "2.5"}))
    assert table.records["n"].tolist() == [1.0, 2.5]
    table.append(message({"n": "late"}))
    assert table.records["n"].tolist() == ["1", "2.5", "late"]


def test_what_is_dropped_has_no_say_any_more():
    table = table_of({"n": "x"}, max_rows=8)
    assert table.records["n"].tolist() == ["x"]
    table.extend([message({"n": "1"})] * 8)
    assert table.records["n"].dtype == "int64"
    assert table.records.index.tolist() == list(range(1, 9))
    assert table.records["frame"].tolist() == list(range(1, 9))


def test_records_that_were_dropped_before_anybody_looked_are_not_there():
    table = table_of(*[[{"n": 1}, {"n": 2}]] * 30, max_rows=8)
    assert table.records["frame"].unique().tolist() == list(range(22, 30))
    table.extend([message([{"n": 3}])] * 30)
    assert table.records["frame"].unique().tolist() == list(range(52, 60))
    assert table.decode_errors == {}


def test_errors_of_frames_that_are_dropped_are_dropped():
    table = table_of(b"{", *[{"n": 1}] * 8, max_rows=8)
    assert "decode_error" not in table.records


def test_a_later_frame_does_not_change_a_data_frame():
    table = table_of({"n": 1})
    before = table.records
    copy = before.copy(deep=True)
    table.append(message({"n": 2, "m": "x"}))
    before.loc[0, "n"] = 99
    assert table.records["n"].tolist() == [1, 2]
    copy.loc[0, "n"] = 99
    pd.testing.assert_frame_equal(before, copy)


def test_a_new_key_is_told_of_once():
    table = table_of(*[{"n": 1}] * 150)
    _ = table.records
    assert table.record_news() == []
    table.extend([message({"n": 1, "m": {"k": 2}})] * 3)
    _ = table.records
    assert table.record_news() == ["m.k is new, since frame 150"]
    _ = table.records
    assert table.record_news() == []


def test_a_vanished_key_is_told_of_once():
    table = table_of(*[{"n": 1, "m": 2}] * 50, *[{"n": 1}] * 999)
    _ = table.records
    assert table.record_news() == []
    table.extend([message({"n": 1})] * 10)
    _ = table.records
    assert table.record_news() == ["m has vanished: not in the last 1,000 records"]
    table.extend([message({"n": 1})] * 10)
    _ = table.records
    assert table.record_news() == []


def test_a_key_that_was_always_rare_does_not_vanish():
    table = table_of(*[{"n": 1}] * 50, {"n": 1, "m": 2}, *[{"n": 1}] * 30, {"m": 3})
    table.extend([message({"n": 1})] * 10 + [message({"m": 1})] + [message({"n": 1})] * 1200)
    _ = table.records
    assert table.record_news() == []


def test_what_is_there_is_not_read_again(monkeypatch):
    table = table_of(*[[{"n": n}, {"n": "x"}] for n in range(50)])
    _ = table.records
    read = []
    original = module.BodyReader.read

    def counted(self, first, bodies, kinds):
        read.extend(bodies)
        return original(self, first, bodies, kinds)

    monkeypatch.setattr(module.BodyReader, "read", counted)
    _ = table.records
    table.append(message({"n": 1}))
    _ = table.records
    assert read == [b'{"n": 1}']


def test_nbytes_may_be_asked_for_while_records_come():
    table = table_of({"n": 1})
    _ = table.records
    records = table._records
    keys = iter(records._keys.values())
    next(keys).column = Watched(records._keys)
    assert table.nbytes > 0


class Watched:
    """A column that is asked for its size just when there is another key."""

    def __init__(self, keys):
        self._keys = keys

    @property
    def nbytes(self):
        self._keys["another",] = self._keys["n",]
        return 1


def test_nbytes_tells_of_records():
    table = table_of(*[{"text": "x" * 100}] * 100)
    before = table.nbytes
    _ = table.records
    assert table.nbytes > before + 100 * 100


SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "1", "x", 2**70])
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["a", "b", "a.b", "frame"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(JSON, max_size=40), st.data())
def test_batches_give_the_same_data_frame_as_one_go(values, data):
    bodies = [json.dumps(value).encode() for value in values]
    at_once, in_batches = table_of(*bodies), FrameTable()
    place = 0
    while place < len(bodies):
        count = data.draw(st.integers(1, 20))
        in_batches.extend([message(body) for body in bodies[place : place + count]], NOON)
        if data.draw(st.booleans()):
            _ = in_batches.records
        place += count
    pd.testing.assert_frame_equal(in_batches.records, at_once.records)


@settings(max_examples=150, deadline=None)
@given(st.lists(JSON, max_size=20))
def test_no_value_is_lost(values):
    records = shown(table_of(*[json.dumps(value).encode() for value in values]))
    flat = [flatten(record) for value in values for record in records_of(value)]
    there = [sum(v not in (None, "") for v in record.values()) for record in flat]
    cells = records.drop(columns="frame").astype(object)
    found = [
        [not (v is None or v is pd.NA or v != v or v == "") for v in row] for row in cells.values
    ]
    assert list(map(sum, found)) == there


@pytest.mark.parametrize("rows", [10, 1000])
def test_parts_are_joined_so_that_there_are_few(rows, monkeypatch):
    monkeypatch.setattr(module, "PART_ROWS", rows)
    table = FrameTable()
    values = []
    for n in range(300):
        values += [n, n + 0.5 if n % 7 == 0 else n]
        table.append(message([{"n": value, "s": str(value)} for value in values[-2:]]))
        _ = table.records
    assert table.records["n"].tolist() == values
    assert len(table._records._parts) <= 20 + 2 * 600 / rows


def test_records_are_bounded_by_bytes_and_the_oldest_go():
    table = FrameTable(max_bytes=1_000_000)
    bodies = [
        gzip.compress(json.dumps([{"text": "x" * 500, "n": n}] * 100).encode()) for n in range(40)
    ]
    for body in bodies:
        table.append(message(body))
        _ = table.records
    records = table.records
    assert len(table) == 40
    assert records["frame"].iloc[-1] == 39
    assert records["frame"].iloc[0] > 10
    assert len(records) * 500 < 1_000_000
    assert records.index[-1] == 3999
    assert (records["n"] == records["frame"]).all()


def test_errors_lie_on_their_rows_also_when_the_oldest_records_went_for_their_size():
    table = FrameTable(max_bytes=1_000_000)
    many = gzip.compress(json.dumps([{"text": "x" * 500}] * 100).encode())
    table.extend([message(b"{"), *[message(many)] * 40, message(b"["), message({"text": "y"})])
    records = table.records
    assert records["frame"].iloc[0] > 0
    told = records["decode_error"].notna()
    assert records["frame"][told].tolist() == [41]
    assert list(table.decode_errors) == [0, 41]


# -- frames that are in a table already ------------------------------------------------------------


def test_frames_of_a_data_frame_have_records():
    table = table_of([{"n": 1}, {"n": 2}], {"n": 3}, b"\xff")
    pd.testing.assert_frame_equal(to_records(table.df), table.records)


def test_frames_of_a_dataset_have_their_octets_beside():
    frames = pa.table(
        {"body": ['{"n": 1}', None], "body_bytes": [None, gzip.compress(b'{"n": 2}')]}
    )
    assert to_records(frames).to_dict("list") == {"frame": [0, 1], "n": [1, 2]}
    for library in (pd, pl):
        again = pl.from_arrow(frames) if library is pl else frames.to_pandas()
        assert to_records(again).to_dict("list") == {"frame": [0, 1], "n": [1, 2]}


def test_text_of_a_dataset_is_in_utf_8_already():
    latin = "application/json;charset=latin-1"
    frames = pa.table({"body": ['{"a": "é"}'], "content_type": [latin]})
    assert to_records(frames)["a"].tolist() == ["é"]
    octets = pa.table({"body": ['{"a": "é"}'.encode("latin-1")], "content_type": [latin]})
    assert to_records(octets)["a"].tolist() == ["é"]


def test_a_content_type_and_a_decoder_count():
    frames = pd.DataFrame({"body": ["a,b\n1,2\n"], "content_type": ["text/csv"]})
    assert to_records(frames)["b"].tolist() == [2]
    assert to_records(frames, lambda rows: rows[0]["a"])["value"].tolist() == [1]


def test_times_in_nanoseconds_are_rounded_down():
    moment = pd.Timestamp("2026-03-01T12:00:00.123456789")
    records = to_records(pd.DataFrame({"body": ["1"], "received_at": [moment]}))
    assert records["received_at"].tolist() == [pd.Timestamp("2026-03-01T12:00:00.123456Z")]


@pytest.mark.parametrize("body", [{"a": 1}, 5])
def test_bodies_that_were_decoded_before_are_refused(body):
    with pytest.raises(ValueError, match=r"the column body has .*, not text or octets"):
        to_records(pd.DataFrame({"body": [body]}))


def test_no_frames_have_no_records():
    assert len(to_records(pd.DataFrame({"body": []}, dtype="str"))) == 0


def test_without_bodies_there_is_nothing_to_read():
    with pytest.raises(ValueError, match="there is no column body"):
        to_records(pd.DataFrame({"text": ["x"]}))
