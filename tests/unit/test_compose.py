"""What goes out of what a program says: the heads that are kept."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompy import wire
from stompy.compose import MAX_HEADS, MessageEncoder, header_texts, payload

HEADER_VALUES = st.one_of(st.text(max_size=5), st.integers(0, 1), st.booleans(), st.none())


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["/queue/a", "/queue/a:b", ""]),
            st.dictionaries(
                st.sampled_from(["a", "b:", "content-type", "destination", "receipt"]),
                HEADER_VALUES,
                max_size=2,
            ),
            st.one_of(st.binary(max_size=5), st.text(max_size=5)),
        ),
        max_size=20,
    ),
    st.sampled_from(wire.VERSIONS),
)
def test_a_head_that_is_kept_is_the_one_that_would_be_made(
    messages: list[tuple[str, dict[str, Any], bytes | str]], version: str
) -> None:
    encoder = MessageEncoder(version)
    for destination, headers, body in messages:
        octets = encoder.encode(destination, headers, body)
        if octets is not None:
            fresh = MessageEncoder(version).encode(destination, dict(headers), body)
            fields = header_texts({**headers, "destination": destination})
            content = payload(fields, body)
            fields["content-length"] = str(len(content))
            assert octets == fresh == wire.encode("SEND", fields, content, version)


@pytest.mark.parametrize("body", [b"body", "body"])
def test_messages_of_one_kind_share_their_head(body: bytes | str) -> None:
    encoder = MessageEncoder("1.2")
    first = encoder.encode("/queue/Q", {"a": "1"}, body)
    assert len(encoder._heads) == 1
    assert encoder.encode("/queue/Q", {"a": "1"}, body) == first
    assert encoder.encode("/queue/Q", {"a": "2"}, body) != first


@pytest.mark.parametrize(
    ("destination", "headers", "body"),
    [
        ("/queue/Q", {"n": 1}, b""),
        ("/queue/Q", {"n": [1]}, b""),
        ("/queue/Q", {"receipt": "1"}, b""),
        ("/queue/Q", {"transaction": "1"}, b""),
        ("/queue/Q", {"content-length": "1"}, b""),
        ("/queue/Q", {"a": "\0"}, b""),
        ("/queue/Q", {}, bytearray(b"x")),
        ("/queue/Q", {}, "\ud800"),
        ("/queue/Q", {"content-type": "text/plain;charset=none-such"}, "x"),
        ("", {}, b""),
        (None, {}, b""),
        ([], {}, b""),
    ],
)
def test_what_is_out_of_the_ordinary_is_left_to_the_careful_way(
    destination: Any, headers: dict[str, Any], body: Any
) -> None:
    assert MessageEncoder("1.2").encode(destination, headers, body) is None


def test_so_many_heads_are_kept_and_no_more() -> None:
    encoder = MessageEncoder("1.2")
    for number in range(3 * MAX_HEADS):
        encoder.encode(f"/queue/{number}", {}, b"")
        assert len(encoder._heads) <= MAX_HEADS
