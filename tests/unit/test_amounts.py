"""Amounts as people write them; times and sizes alone are tested in test_arguments."""

import sys

import pytest

from stompy_jupyter.amounts import Rotation

INF = float("inf")


@pytest.mark.parametrize(
    ("given", "seconds", "octets"),
    [
        ("10min", 600, sys.maxsize),
        ("100MB", INF, 100_000_000),
        ("10min,100MB", 600, 100_000_000),
        ("1MiB, 30s", 30, 1024**2),
        (("1h", "1GB"), 3600, 10**9),
        (["500ms"], 0.5, sys.maxsize),
    ],
)
def test_a_rotation_is_a_time_a_size_or_both(given, seconds, octets):
    assert Rotation.of(given) == Rotation(seconds, octets)


def test_a_rotation_that_is_one_stays_as_it_is():
    assert Rotation.of(Rotation(1.0, 2)) == Rotation(1.0, 2)
    assert Rotation() == Rotation.of("10min,100MB")


@pytest.mark.parametrize("given", ["10", "10m", ("5m", "1GB")])
def test_what_could_be_a_time_and_a_size_is_refused(given):
    with pytest.raises(ValueError, match="could be a time and a size: write"):
        Rotation.of(given)


@pytest.mark.parametrize("given", ["", "often", "10min,", "-1s", "1e3min", (), "0s"])
def test_what_is_no_rotation_is_refused(given):
    with pytest.raises(ValueError, match=r"none of both|not a time, a size|no time at all"):
        Rotation.of(given)


@pytest.mark.parametrize("given", ["1min,2min", "1MB,2MB", ("1h", "1s", "1MB")])
def test_a_time_or_a_size_is_said_once(given):
    with pytest.raises(ValueError, match="one of each"):
        Rotation.of(given)
