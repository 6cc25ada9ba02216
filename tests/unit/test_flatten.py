"""Values as flat records, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompy_jupyter.flatten import (
    MAX_DEPTH,
    Paths,
    flatten,
    name_of,
    names_of,
    records_of,
    unflatten,
)

KEYS = st.text(alphabet="ab.x_", max_size=3)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
PATHS = st.lists(KEYS, max_size=3).map(tuple)


@given(JSON)
def test_any_json_value_is_flattened_and_comes_back(value):
    records = [flatten(record) for record in records_of(value)]
    back = list(map(unflatten, records))
    assert back == (value if isinstance(value, list) else [value])


@given(JSON)
def test_nothing_in_a_flat_record_can_be_flattened_further(value):
    for record in map(flatten, records_of(value)):
        for path, inner in record.items():
            assert path == () or not (isinstance(inner, dict) and inner)


def test_keys_become_paths():
    record = {"id": 1, "place": {"name": "York", "geo": {"lat": 53.96}}, "tags": ["a", "b"]}
    assert flatten(record) == {
        ("id",): 1,
        ("place", "name"): "York",
        ("place", "geo", "lat"): 53.96,
        ("tags",): ["a", "b"],
    }


def test_an_object_without_keys_is_a_value():
    assert flatten({"a": {}, "b": {"c": []}}) == {("a",): {}, ("b", "c"): []}
    assert flatten({}) == {}


def test_keys_that_are_no_text_are_made_to():
    assert flatten({1: {None: "x"}}) == {("1", "None"): "x"}


def test_keys_that_utf_8_cannot_say_have_escapes():
    assert flatten({"\ud800": 1, "é": 2}) == {("\\ud800",): 1, ("é",): 2}


def test_depth_has_a_bound():
    deep: object = 1
    for _ in range(MAX_DEPTH):
        deep = {"a": deep}
    assert flatten(deep) == {("a",) * MAX_DEPTH: 1}
    with pytest.raises(ValueError, match="nested more than 200 deep"):
        flatten({"a": deep})


def test_an_array_is_its_items_and_all_else_is_one_record():
    assert records_of([1, [2, 3]]) == [1, [2, 3]]
    assert list(records_of(({"a": 1},))) == [{"a": 1}]
    for value in ({"a": 1}, "text", None, b"octets"):
        assert records_of(value) == [value]


@pytest.mark.parametrize("at_a_time", [1, 2, 100])
def test_siblings_stand_side_by_side_however_many_come_at_a_time(at_a_time):
    come = [("h", "a"), ("b", "x"), ("c",), ("h", "d"), ("b", "y", "z"), ("b", "y")]
    paths = Paths()
    for start in range(0, len(come), at_a_time):
        paths.learn(come[start : start + at_a_time])
    assert list(paths) == [
        ("h", "a"),
        ("h", "d"),
        ("b", "x"),
        ("b", "y"),
        ("b", "y", "z"),
        ("c",),
    ]


def test_a_path_may_have_others_below():
    paths = Paths()
    paths.learn([("a",), ("a", "b"), ()])
    assert paths.is_above(("a",))
    assert not paths.is_above(("a", "b"))


@given(st.lists(PATHS, unique=True, max_size=8))
def test_no_two_names_are_alike_and_they_do_not_depend_on_the_order(paths):
    names = names_of(paths, taken=["a", "value"])
    assert list(names) == paths
    assert len(set(names.values())) == len(paths)
    assert not set(names.values()) & {"a", "value"}
    assert names_of(sorted(paths), taken=["a", "value"]) == names


def test_a_key_with_a_dot_gives_way_to_a_nested_one():
    assert names_of([("a.b",), ("a", "b"), ("c.d",)]) == {
        ("a.b",): "a.b_2",
        ("a", "b"): "a.b",
        ("c.d",): "c.d",
    }


def test_names_that_are_taken_get_a_prefix():
    names = names_of([("frame",), ("record_frame",), ("n",)], taken=["frame"])
    assert list(names.values()) == ["record_frame", "record_record_frame", "n"]


def test_what_is_no_object_is_called_value():
    assert name_of(()) == "value"
    assert set(names_of([(), ("value",)]).values()) == {"value", "value_2"}
