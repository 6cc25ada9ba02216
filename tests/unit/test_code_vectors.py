"""The code that the widget gives for a frame sends the same: vectors that TypeScript checks too."""

import json
from pathlib import Path
from typing import Any

import pytest

import stompy
from stompy import STOMPFrame
from stompy_jupyter.embedded import embedded_broker
from tests.unit.peer import TIMEOUT
from tests.unit.shells import run, run_cell

VECTORS = json.loads(Path(__file__, "../../../js/tests/code.json").resolve().read_bytes())

NOT_SENT = ("ack", "content-length", "destination", "message-id", "passcode", "receipt")
NOT_SENT += ("receipt-id", "redelivered", "subscription", "transaction")

TEXT_TYPE = {"content-type": "text/plain;charset=utf-8"}


@pytest.fixture
def arrival(shell: Any) -> Any:
    """What arrives at a destination when some code has run in a shell with a `session`."""
    shell.user_ns["session"] = run(shell, "stomp_connect", "")
    shell.user_ns["x"] = "expanded"

    def of(destination: str, code: str) -> STOMPFrame:
        with stompy.connect(embedded_broker().address) as client:
            client.subscribe(destination)
            run_cell(shell, code)
            frame = client.recv(TIMEOUT)
            assert frame is not None
            return frame

    return of


def headers_of(frame: STOMPFrame) -> dict[str, str]:
    """The headers that a program has sent, and not the broker."""
    return {name: value for name, value in frame.Headers.items() if name not in NOT_SENT}


def meant(vector: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    """The headers that are to arrive, and the octets of the body."""
    headers = {name: value for name, value in vector["headers"] if name not in NOT_SENT}
    octets = vector.get("octets")
    return headers, vector["body"].encode() if octets is None else octets.encode("latin-1")


@pytest.mark.parametrize("vector", VECTORS)
def test_the_python_line_sends_the_frame_again(arrival, vector):
    frame = arrival(vector["destination"], vector["python"])
    assert (headers_of(frame), frame.Body) == meant(vector)
    assert frame.destination == vector["destination"]


@pytest.mark.parametrize("vector", VECTORS)
def test_the_cell_sends_the_frame_again(arrival, vector):
    frame = arrival(vector["destination"], vector["cell"])
    headers, octets = meant(vector)
    if vector["cell"].startswith("%%"):  # which is for text
        headers = TEXT_TYPE | headers
    assert (headers_of(frame), frame.Body) == (headers, octets)
    assert frame.destination == vector["destination"]


@pytest.mark.parametrize("vector", VECTORS)
def test_nothing_hidden_is_in_the_code(vector):
    for code in (vector["cell"], vector["python"]):
        assert code.replace("\n", "").replace("\t", "").isprintable()
    assert "\n" not in vector["python"].replace("(\n    ", "").replace(",\n    ", "").replace(
        ",\n)", ""
    )
