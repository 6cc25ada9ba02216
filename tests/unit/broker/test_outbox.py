"""What waits for one client: whole frames, and large bodies that are shared and not copied."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stompy.broker.outbox import SHARED_SIZE, Outbox

HEAD = b"MESSAGE\nk:v\n\n"


def test_what_was_put_in_comes_out_in_order():
    outbox = Outbox()
    outbox.put(b"one")
    outbox.put_frame(HEAD, b"two")
    outbox.put(b"\n")
    assert outbox.take(1000) == [b"one", HEAD + b"two\0", b"\n"]
    assert outbox.take(1000) == []


def test_no_more_is_taken_than_the_limit_but_for_the_rest_of_a_piece():
    outbox = Outbox()
    for _ in range(4):
        outbox.put(b"0123456789")
    assert outbox.take(15) == [b"0123456789"] * 2
    assert outbox.size == 20
    assert outbox.take(10) == [b"0123456789"]
    assert outbox.take(0) == []
    assert outbox.take(1) == [b"0123456789"]
    assert outbox.size == 0


def test_a_small_body_is_one_piece_with_its_head():
    outbox = Outbox()
    body = bytes(SHARED_SIZE - 1)
    outbox.put_frame(HEAD, body)
    assert outbox.take(10**9) == [HEAD + body + b"\0"]


def test_a_large_body_is_the_senders_own_for_each_of_its_receivers():
    body = bytes(SHARED_SIZE)
    for _ in range(2):
        outbox = Outbox()
        outbox.put_frame(HEAD, body)
        assert outbox.size == len(HEAD) + len(body) + 1
        head, view, end = outbox.take(10**9)
        assert (head, end) == (HEAD, b"\0")
        assert isinstance(view, memoryview)
        assert view.obj is body


def test_a_large_body_is_taken_in_parts_that_are_no_copies_either():
    outbox = Outbox()
    body = bytes(range(256)) * (SHARED_SIZE // 256)
    outbox.put_frame(HEAD, body)
    pieces = []
    while taken := outbox.take(10_000):
        assert sum(map(len, taken)) <= 10_000
        pieces += taken
    views = [piece for piece in pieces if isinstance(piece, memoryview)]
    assert len(views) > 5
    assert all(view.obj is body for view in views)
    assert b"".join(pieces) == HEAD + body + b"\0"
    assert outbox.size == 0


@pytest.mark.parametrize("size", [0, 10, SHARED_SIZE, 3 * SHARED_SIZE])
def test_each_piece_is_a_whole_frame_where_that_is_wanted(size):
    outbox = Outbox(whole_frames=True)
    body = bytes(size)
    outbox.put_frame(HEAD, body)
    outbox.put(b"\n")
    assert outbox.take(1)[0] == HEAD + body + b"\0"
    assert outbox.take(1) == [b"\n"]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([0, 1, 1000, SHARED_SIZE, SHARED_SIZE + 1, 200_000]), max_size=8),
    st.lists(st.integers(1000, 100_000), min_size=1),
    st.booleans(),
)
def test_in_whatever_portions_it_is_taken_the_octets_are_the_same(sizes, limits, whole):
    outbox = Outbox(whole)
    expected = b""
    for number, size in enumerate(sizes):
        body = bytes([number]) * size
        outbox.put_frame(HEAD, body)
        expected += HEAD + body + b"\0"
    taken = b""
    while outbox.size:
        assert outbox.size == len(expected) - len(taken)
        taken += b"".join(outbox.take(limits[len(taken) % len(limits)]))
    assert taken == expected
    assert outbox.take(1) == []
