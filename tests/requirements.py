"""What a test needs besides Python, and what to do when it is not there."""

import os

import pytest


def need(missing: str | None) -> None:
    """Go on if nothing is missing; else skip the test, giving what is missing as the reason.

    With STOMPY_TEST_REQUIRE=1 in the environment it fails instead, so that a run meant to cover
    everything cannot pass by skipping.
    """
    if missing is None:
        return
    if os.environ.get("STOMPY_TEST_REQUIRE") == "1":
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)
