"""Waiting for what another thread brings about."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], timeout: float = 5.0) -> T:
    """Wait until `condition()` is true, and return its value; fail after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"did not come about within {timeout:g} s"
        time.sleep(0.005)
    return value
