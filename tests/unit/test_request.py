"""Requests: what a browser may ask for, and that nothing else gets through."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompy_jupyter.request import (
    KINDS,
    MAX_BODY,
    MAX_HEADERS,
    MAX_ID,
    MAX_NAME,
    MAX_NUMBER,
    MAX_ROWS,
    MAX_TERMS,
    Request,
    id_of,
    parse,
)

GOOD: dict[str, dict[str, Any]] = {
    "hello": {},
    "rows": {"stream": "s1", "first": 0, "count": 500},
    "frame": {"stream": "s1", "number": 3, "offset": 0},
    "find": {
        "stream": "s1",
        "terms": [
            {"header": None, "text": "a", "not": False},
            {"header": "price", "text": "3", "not": True},
        ],
        "first": 0,
    },
    "sequence": {"last": 200},
    "passage": {"number": 3},
    "subscribe": {"destination": "/topic/t", "ack": "client-individual"},
    "unsubscribe": {"stream": "s1"},
    "pause": {"stream": "s1"},
    "resume": {"stream": "s1"},
    "ack": {"stream": "s1", "number": 0},
    "nack": {"stream": "s1", "number": 0},
    "send": {
        "destination": "/topic/t",
        "headers": [["priority", "9"], ["empty", ""]],
        "body": "hello",
        "receipt": "r-1",
        "transaction": False,
    },
    "begin": {},
    "commit": {},
    "abort": {},
    "connect": {},
    "disconnect": {},
}

SURROGATE = "\ud800"


def wrong(kind: str, **changes: Any) -> str:
    """What is said of a request that was good before the changes."""
    with pytest.raises(ValueError, match=f"^{kind}: ") as failure:
        parse({"kind": kind, "id": "1", **GOOD[kind], **changes})
    return str(failure.value)


def test_every_kind_has_an_example_here():
    assert set(GOOD) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_request_is_taken_with_all_that_it_holds(kind):
    request = parse({"kind": kind, "id": "1", **GOOD[kind]})
    assert (request.id, request.kind, set(request.args)) == ("1", kind, set(GOOD[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_no_key_may_be_missing_and_none_may_be_unknown(kind):
    assert "unknown key, more" in wrong(kind, more=1)
    for missing in GOOD[kind]:
        rest = {key: value for key, value in GOOD[kind].items() if key != missing}
        with pytest.raises(ValueError, match=f"{kind}: has no {missing}"):
            parse({"kind": kind, "id": "1", **rest})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [None, [], {}, 1.5, -1, [[]], [None], {"a": 1}, SURROGATE])
def test_a_value_of_another_type_is_refused(kind, value):
    for key in GOOD[kind]:
        if (key, value) in [("headers", []), ("terms", []), ("receipt", None)]:
            continue
        assert wrong(kind, **{key: value}).startswith(f"{kind}: {key}: ")


@pytest.mark.parametrize("value", [True, 1.0, "1", -1, MAX_NUMBER + 1, float("nan")])
def test_a_number_is_a_whole_one_that_a_browser_can_have(value):
    assert "not a whole number" in wrong("ack", number=value)


@pytest.mark.parametrize("value", [0, 1, "true", None])
def test_a_flag_is_true_or_false_alone(value):
    assert "neither true nor false" in wrong("send", transaction=value)


@pytest.mark.parametrize(
    ("kind", "key", "largest", "larger"),
    [
        ("rows", "count", MAX_ROWS, MAX_ROWS + 1),
        ("rows", "stream", "s" * MAX_ID, "s" * (MAX_ID + 1)),
        ("send", "body", "b" * MAX_BODY, "b" * (MAX_BODY + 1)),
        ("send", "receipt", "r" * MAX_ID, "r" * (MAX_ID + 1)),
        ("send", "destination", "d" * MAX_NAME, "d" * (MAX_NAME + 1)),
        ("subscribe", "destination", "d" * MAX_NAME, "d" * (MAX_NAME + 1)),
        ("send", "headers", [["a", "b"]] * MAX_HEADERS, [["a", "b"]] * (MAX_HEADERS + 1)),
        ("find", "terms", GOOD["find"]["terms"][:1] * MAX_TERMS, [{}] * (MAX_TERMS + 1)),
    ],
)
def test_sizes_are_bounded(kind, key, largest, larger):
    assert parse({"kind": kind, "id": "1", **GOOD[kind], key: largest}).args[key]
    assert f"{kind}: {key}: " in wrong(kind, **{key: larger})


@pytest.mark.parametrize("headers", [[["a"]], [["a", "b", "c"]], [["a", 1]], [["", "b"]], ["ab"]])
def test_headers_are_pairs_of_texts(headers):
    assert wrong("send", headers=headers).startswith("send: headers: ")


@pytest.mark.parametrize("kind", ["", "Hello", "__init__", None, 1, [], {}, "window"])
def test_what_is_no_kind_is_refused(kind):
    with pytest.raises(ValueError, match="no such kind"):
        parse({"kind": kind, "id": "1"})


def test_an_empty_destination_and_another_mode_are_refused():
    assert "1 to" in wrong("send", destination="")
    assert "auto, client, client-individual" in wrong("subscribe", ack="Auto")


@pytest.mark.parametrize(
    "content", [None, 1, [], "id", {}, {"id": 1}, {"id": ""}, {"id": "x" * 65}, {"id": SURROGATE}]
)
def test_what_has_no_good_id_cannot_be_answered(content):
    assert id_of(content) is None


def test_what_is_said_of_a_bad_request_repeats_none_of_it_but_a_key():
    said = wrong("send", body=["secret text"], **{"a\x1b[31m": 1})
    assert "secret" not in said
    assert said == "send: has an unknown key, a\\x1b[31m"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@given(
    st.sampled_from([*KINDS, "other"]),
    st.dictionaries(
        st.sampled_from(
            ["stream", "number", "first", "count", "offset", "terms", "headers", "body", "x"]
        ),
        JSON,
    ),
)
def test_whatever_comes_is_a_request_or_a_value_error(kind, args):
    try:
        request = parse({"kind": kind, "id": "1", **args})
    except ValueError:
        return
    assert isinstance(request, Request)
    assert set(request.args) == set(KINDS[kind])
