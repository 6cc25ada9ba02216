"""From bodies to records: many at once and one by one say the same."""

import gzip
import json
import random
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stompy_jupyter.bodies import FEW, MORE_VALUES, BodyReader, as_column
from stompy_jupyter.bulk import MAX_EXACT, MAX_FIELDS, BulkReader
from stompy_jupyter.decode import Decoder
from stompy_jupyter.flatten import flatten, records_of
from stompy_jupyter.settle import as_objects

TEXTS = pa.array(["x"], pa.large_string())


def rows(fragments) -> list[list[dict]]:
    """The flat records of each body, without gaps."""
    by_body = []
    for fragment in fragments:
        columns = {path: as_objects(values) for path, values in fragment.columns.items()}
        place = 0
        for count in fragment.counts.tolist():
            found = []
            for row in range(place, place + count):
                values = {path: column[row] for path, column in columns.items()}
                found.append({path: v for path, v in values.items() if v is not None})
            by_body.append(found)
            place += count
    return by_body


def expected(body: bytes) -> list[dict]:
    flat = [flatten(record) for record in records_of(json.loads(body))]
    return [{path: v for path, v in record.items() if v is not None} for record in flat]


def read(*bodies: bytes, kinds: list[str | None] | None = None, how="auto") -> BodyReader:
    reader = BodyReader(Decoder(how))
    reader.found = rows(reader.read(0, list(bodies), kinds or [None] * len(bodies)))
    return reader


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        ["", "1", "x", "2020-01-01", "2020-01-01T10:00:00Z", "true", "[]{}", '"', "\\"]
    )
    | st.text(max_size=3)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab."), inner),
    max_leaves=5,
)
RECORDS = st.dictionaries(st.sampled_from(["a", "b", "c", ""]), VALUES, max_size=4)
ODD = st.sampled_from(["null", "5", '"x"', "[]", "{}", "[1, 2]", "[null]", " [] ", "1e400", "[{}]"])
BODIES = st.lists(
    st.builds(
        json.dumps, st.lists(RECORDS, max_size=3) | RECORDS, indent=st.sampled_from([None, 1])
    )
    | ODD,
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(BODIES, st.integers(0, 3))
def test_bodies_that_are_read_at_once_say_what_they_say_alone(texts, times):
    bodies = [text.encode() for text in texts] * (times + 1)
    assert read(*bodies).found == [expected(body) for body in bodies]


REGULAR = st.fixed_dictionaries(
    {"n": st.integers(-(2**63), 2**63 - 1), "s": st.text(max_size=5)},
    optional={
        "f": st.floats(-1e15, 1e15) | st.none(),
        "o": st.fixed_dictionaries({"t": st.booleans()}),
    },
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(REGULAR, max_size=4), min_size=2 * FEW, max_size=80))
def test_regular_bodies_are_read_at_once(arrays):
    bodies = [json.dumps(array).encode() for array in arrays]
    bulk = BulkReader()
    bulk.learn(
        {
            ("n",): pa.array([1]),
            ("s",): TEXTS,
            ("f",): pa.array([1.5]),
            ("o", "t"): pa.array([True]),
        }
    )
    fragment = bulk.read(bodies)
    assert fragment is not None
    assert rows([fragment]) == [expected(body) for body in bodies]


def learnt(**columns) -> BulkReader:
    bulk = BulkReader()
    bulk.learn({tuple(name.split("_")): column for name, column in columns.items()})
    return bulk


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1.5}',
        b'{"a": "1"}',
        b'{"a": true}',
        b'{"a": [1]}',
        b'{"a": {"b": 1}}',
        b'{"new": 1}',
        b'{"a": 9223372036854775808}',
        b'{"a": 1, "a": 2}',
        b'{"a": 1',
        b'{"a": 1}}',
        b'{"a": 01}',
        b'{"a": 1,}',
        b'{"a": 1} {"a": 2}',
        b'{"a": 1}\n{"a": 2}',
        b'[{"a": 1}]}\n{"x": [{"a": 2}]',
        b'{"o": {}}',
        b'{"o": {"p": null}}',
        b'{"s": "\xff"}',
        b'{"s": "\\ud800"}',
        b'{"s": "a\nb"}',
        b'{"f": 9007199254740993}',
        b'{"f": 1e400}',
        b"[null]",
        b"[1]",
        b"5",
        b"",
        b"\xef\xbb\xbf{}",
        b"[" * 1000 + b"]" * 1000,
        b'{"a":' * 1000 + b"1" + b"}" * 1000,
    ],
)
def test_what_is_odd_is_left_to_who_reads_one_by_one(body):
    bulk = learnt(a=pa.array([1]), s=TEXTS, f=pa.array([1.5]), o_p=TEXTS)
    good = b'{"a": 1, "s": "x", "f": 0.5, "o": {"p": "y"}}'
    assert bulk.read([good]) is not None
    assert bulk.read([good, body, good]) is None
    assert bulk.read([good]) is not None


def test_a_body_cannot_speak_for_its_neighbours():
    bulk = learnt(a=pa.array([1]))
    for body in (b'{"a": 1}]}\n{"a": [{"a": 2}', b'[], "x": [{"a": 1}]', b'[{"a": 1'):
        assert bulk.read([body, b'{"a": 2}']) is None
        assert bulk.read([body, b']}\n{"a": 2}']) is None


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'["]",' * 100_000,
        b'{"a":' * 100_000,
        b'["\\"]",' * 100_000,
        b'{"[":{"}":' * 50_000,
    ],
)
def test_nothing_that_is_nested_deeply_reaches_the_parser(body):
    # In a process of its own: what would go wrong is a crash.
    code = (
        "import sys, pyarrow as pa\n"
        "from stompy_jupyter.bodies import BodyReader\n"
        "from stompy_jupyter.decode import Decoder\n"
        "body = sys.stdin.buffer.read()\n"
        "reader = BodyReader(Decoder('auto'))\n"
        "list(reader.read(0, [b'{\"a\": 1}'] * 20 + [body], [None] * 21))\n"
        "assert list(reader.errors) == [20], reader.errors\n"
    )
    subprocess.run([sys.executable, "-c", code], input=body, check=True, timeout=60)


def test_one_odd_body_among_many_costs_the_others_nothing():
    bodies = [b'{"a": %d}' % n for n in range(1000)]
    bodies[700] = b'{"a":'
    reader = read(*bodies)
    assert reader.errors == {700: "Expecting value: line 1 column 6 (char 5)"}
    found = reader.found
    assert found[700] == [{(): '{"a":'}]
    assert found[699:702:2] == [[{("a",): 699}], [{("a",): 701}]]
    assert len(found) == 1000


def test_frames_are_named_by_their_numbers():
    reader = BodyReader(Decoder("json"))
    list(reader.read(500, [b"1", b"x", b"2", b"y"], [None] * 4))
    assert list(reader.errors) == [501, 503]


def test_packed_bodies_are_read_at_once_as_well():
    bodies = [gzip.compress(b'[{"a": %d}, {"a": 0}]' % n) for n in range(100)]
    assert read(*bodies).found == [[{("a",): n}, {("a",): 0}] for n in range(100)]


def test_a_charset_is_heeded():
    body = '{"a": "é"}'.encode("latin-1")
    assert (
        read(*[body] * 50, kinds=["application/json;charset=latin-1"] * 50).found
        == [[{("a",): "é"}]] * 50
    )


def test_bodies_of_other_kinds_are_read_one_by_one():
    reader = read(b"a,b\n1,2\n", b'{"a": 1}', kinds=["text/csv", None])
    assert reader.found == [[{("a",): "1", ("b",): "2"}], [{("a",): 1}]]


def test_the_users_function_has_the_last_word():
    reader = read(
        b'{"rows": [{"n": 1}, {"n": 2}]}', b"{}", b"7", how=lambda value: value and value["rows"]
    )
    assert reader.found == [[{("n",): 1}, {("n",): 2}], [{}], [{(): "7"}]]
    assert reader.errors == {2: "<lambda>: TypeError: 'int' object is not subscriptable"}


def test_a_function_that_gives_none_leaves_a_body_out():
    assert read(b"1", b"2", how=lambda value: value if value == 2 else None).found == [
        [],
        [{(): 2}],
    ]


def test_there_is_a_bound_for_columns_and_nothing_is_lost():
    record = {f"k{n}": n for n in range(MAX_FIELDS + 2)}
    ((found,),) = read(json.dumps(record).encode()).found
    more = json.loads(found.pop(MORE_VALUES))
    assert more == {f"k{MAX_FIELDS}": MAX_FIELDS, f"k{MAX_FIELDS + 1}": MAX_FIELDS + 1}
    assert len(found) == MAX_FIELDS


def test_a_stranger_who_makes_up_keys_takes_no_memory_for_it():
    names = random.Random(7)
    bodies = [b'{"%x": 1}' % names.getrandbits(60) for _ in range(5000)]
    reader = BodyReader(Decoder("auto"))
    size = 0
    for start in range(0, len(bodies), 500):
        for fragment in reader.read(start, bodies[start : start + 500], [None] * 500):
            size += sum(column.nbytes for column in fragment.columns.values())
    assert size < 50 * 1024**2


def test_columns_that_nobody_fills_take_no_room():
    bulk = BulkReader()
    bulk.learn({(f"k{n}",): pa.array([1]) for n in range(MAX_FIELDS)})
    fragment = bulk.read([b'{"k7": 1}', b"{}"])
    assert list(fragment.columns) == [("k7",)]
    assert rows([fragment]) == [[{("k7",): 1}], [{}]]


@pytest.mark.parametrize(
    ("values", "type"),
    [
        ([1, None], pa.int64()),
        ([1.5, 2], pa.float64()),
        ([True, None], pa.bool_()),
        (["x", None, "\ud800"], pa.large_string()),
        ([None], pa.null()),
        ([], pa.null()),
    ],
)
def test_values_of_one_kind_are_an_array_of_it(values, type):
    assert as_column(values).type == type


@pytest.mark.parametrize(
    "values", [[1, "x"], [True, 1], [[1]], [{}], [2**63], [1.5, MAX_EXACT + 1], [b"\xff"]]
)
def test_other_values_stay_as_they_are(values):
    column = as_column([*values, None])
    assert isinstance(column, np.ndarray)
    assert column.tolist() == [*values, None]


def test_half_of_a_surrogate_pair_is_shown_as_it_is_written():
    assert read(b'{"a": "\\ud800"}').found == [[{("a",): "\\ud800"}]]
    bodies = [b'{"\\ud800": {"\\ud800": 1}}', b'{"a": 1}'] * 2
    assert read(*bodies).found == [[{("\\ud800", "\\ud800"): 1}], [{("a",): 1}]] * 2


def test_what_is_unpacked_at_once_has_a_bound(monkeypatch):
    monkeypatch.setattr("stompy_jupyter.bodies.RUN_BYTES", 10_000)
    at_once = []
    monkeypatch.setattr(
        BulkReader, "read", lambda self, bodies: at_once.append(sum(map(len, bodies)))
    )
    bodies = [gzip.compress(b'[{"a": "' + b"x" * 4000 + b'"}]') for _ in range(50)]
    assert len(read(*bodies).found) == 50
    assert max(at_once) < 10_000 + 5_000
