"""Notebooks that run without anybody: by nbclient, and with parameters as papermill does it."""

import json
import logging
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook

from stompy.broker import Broker

SECRET = "hunter2-very-secret"
LIMIT = 20.0
"""Seconds that a run may take, kernel and all; most take two."""


class Run(NotebookClient):
    """Runs cells in a fresh kernel, from top to bottom, and keeps all that the kernel says."""

    def __init__(self, folder: Path, *cells: str, **options: Any) -> None:
        resources = {"metadata": {"path": str(folder)}}
        notebook = new_notebook(cells=list(map(new_code_cell, cells)))
        super().__init__(notebook, timeout=LIMIT, resources=resources, **options)
        self.messages: list[dict[str, Any]] = []
        self.on_cell_executed = lambda execute_reply, **_: self.messages.append(execute_reply)

    def process_message(self, msg: dict[str, Any], *args: Any) -> Any:
        self.messages.append(msg)
        return super().process_message(msg, *args)

    def run(self) -> "Run":
        """Run it to its end, in time."""
        started = time.monotonic()
        try:
            self.execute()
        finally:
            assert time.monotonic() - started < LIMIT
        return self

    @property
    def everything(self) -> str:
        """The notebook as it is saved, and all messages."""
        return nbformat.writes(self.nb) + json.dumps(self.messages, default=str)

    def value(self, cell: int) -> str:
        """What a cell gave, as text."""
        outputs = self.nb.cells[cell].outputs
        return str(next(o for o in outputs if o.output_type == "execute_result").data["text/plain"])

    def printed(self, cell: int) -> str:
        """What a cell printed, also later."""
        return "".join(o.text for o in self.nb.cells[cell].outputs if o.output_type == "stream")


LOGGED = """
import logging
logging.basicConfig(filename="all.log", level=logging.DEBUG, force=True)
"""
"""All loggers of the kernel write everything."""


def test_a_passcode_is_nowhere_in_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("STOMP_SECRET", SECRET)
    with Broker(logins={"me": SECRET}) as broker:
        host, port = broker.address
        run = Run(
            tmp_path,
            LOGGED,
            "%load_ext stompy_jupyter",
            f"%stomp_connect {host}:{port} --login me --passcode-env STOMP_SECRET --as session",
            "%stomp_subscribe /queue/q --as stream",
            "%%stomp_on stream\nprint(frame, client)",
            "%stomp_send --receipt /queue/q hello",
            "%stomp_wait stream --timeout 10s",
            "[session, stream, stream.df, session.client, session.traits()]",
            "stream",
            "%stomp_status",
            "%config StompMagics",
            "%whos",
            "from stompy_jupyter import StompWidget; StompWidget(session)",
            f"%stomp_connect stomp://{host}:{port} --login nobody --passcode-env STOMP_SECRET",
            "%stomp_disconnect",
            allow_errors=True,
        ).run()
    assert run.value(6) == "1"
    assert "refused" in run.everything
    logged = (tmp_path / "all.log").read_text() + caplog.text
    assert "stompy" in logged
    assert "metadata" in run.everything
    assert SECRET not in run.everything
    assert SECRET not in logged


def test_a_passcode_of_the_embedded_broker_is_nowhere_in_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOMP_SECRET", SECRET)
    run = Run(
        tmp_path,
        LOGGED,
        "%load_ext stompy_jupyter\nimport os\n"
        "from stompy_jupyter.embedded import start_embedded_broker\n"
        "start_embedded_broker(logins={'me': os.environ['STOMP_SECRET']})",
        "%stomp_connect --login me --passcode-env STOMP_SECRET --as session",
        "%stomp_subscribe /queue/q --as stream",
        "%stomp_send --receipt /queue/q hello",
        "%stomp_broker clients",
        "%stomp_broker events",
        "%stomp_connect --login me",
        "session",
        allow_errors=True,
    ).run()
    assert "connected" in run.value(2)
    assert "nobody here who could be asked" in run.printed(7)
    assert SECRET not in run.everything + (tmp_path / "all.log").read_text()


def test_a_run_with_parameters_needs_nobody_and_ends_by_itself(tmp_path: Path) -> None:
    run = Run(
        tmp_path,
        "destination, count = '/queue/none', 0",
        "%load_ext stompy_jupyter",
        "%stomp_connect --as session",
        "%stomp_subscribe /queue/orders --as orders --ack client-individual --decode json",
        "%stomp_subscribe /queue/done --as done",
        "total = 0",
        "%%stomp_on orders --ack\n"
        "total += frame.json['price']\n"
        "%stomp_send /queue/done ok\n"
        "assert frame.json['price'] != 1",
        "price = 2.5",
        "%%stomp_send /queue/orders --json --template --receipt\n"
        '{"price": {{price}}, "count": {{count}}}',
        "%%stomp_transaction\n"
        "for number in range(count):\n"
        "    session.send('/queue/orders', f'{{\"price\": {number}}}')",
        "%stomp_wait done --n 4 --timeout 10s\n%stomp_subscribe /queue/DLQ.orders --as dead\n"
        "%stomp_wait dead --timeout 10s",
        "total, orders.unacknowledged, dead.df['body'].tolist()",
        "%stomp_subscribe /queue/done --as late --for 100ms --no-widget",
        "%stomp_disconnect",
        "done",
    )
    parameters = new_code_cell("count = 3", metadata={"tags": ["injected-parameters"]})
    run.nb.cells[0].metadata["tags"] = ["parameters"]
    run.nb.cells.insert(1, parameters)
    run.run()
    assert run.value(11) == "1"
    total, unacknowledged, dead = eval(run.value(12))
    assert (total > 5.5, unacknowledged, dead) == (True, [], ['{"price": 1}'])
    assert "frames, ended" in run.value(15)
    assert run.km is None  # its kernel has ended


@pytest.mark.parametrize(
    "callback", ["", "import time; time.sleep(60)"], ids=["", "with a callback that goes on"]
)
def test_a_run_that_leaves_everything_open_ends_by_itself(tmp_path: Path, callback: str) -> None:
    Run(
        tmp_path,
        "%load_ext stompy_jupyter",
        "%stomp_broker start --websocket 0",
        "%stomp_connect --as one\n%stomp_connect --as two",
        "%stomp_subscribe /queue/q --as stream --on one",
        f"%%stomp_on stream\n# this\n{callback}",
        "%stomp_send --repeat 1000 /queue/q a",
        "%stomp_wait stream --n 1000 --timeout 10s",
        "stream",
    ).run()


FAILING = {
    "%stomp_wait stream --n 5 --timeout 100ms": (
        "STOMPTimeout: 0 of 5 frames had come after 0.1 s",
        "Try: check the destination",
    ),
    "%stomp_connect 127.0.0.1:1 --as other": (
        "STOMPConnectError: nothing listens at 127.0.0.1:1",
        "Try: start the broker",
    ),
    "%%stomp_transaction\n%stomp_wait stream --timeout 10ms": (
        "STOMPTimeout: 0 of 1 frames had come after 0.01 s",
        "The transaction was aborted: nothing in it takes effect.",
    ),
    "%stomp_subscribe": ("the following arguments are required: destination",),
    "%stomp_send --json /queue/q {": ("the body is no JSON: ",),
    "%stomp_connect --login me --as other": (
        "no passcode for me, and nobody here who could be asked",
    ),
}


def test_a_magic_that_fails_ends_a_run_with_its_few_lines(tmp_path: Path) -> None:
    names = ["%load_ext stompy_jupyter", "%stomp_connect", "%stomp_subscribe /queue/q --as stream"]
    run = Run(tmp_path, *names, *FAILING)
    failures = []
    with run.setup_kernel():
        for index, cell in enumerate(run.nb.cells):
            if index < len(names):
                run.execute_cell(cell, index)
                continue
            with pytest.raises(CellExecutionError) as failure:
                run.execute_cell(cell, index)
            failures.append((str(failure.value), cell))
    for lines, (shown, cell) in zip(FAILING.values(), failures, strict=True):
        texts = ["".join(o.get("traceback", [o.get("text", "")])) for o in cell.outputs]
        for line in lines:
            assert line in "".join(texts)
            assert line in shown or len(lines) == 1  # what UsageError says is a stream
        assert sum(text.count("\n") for text in texts) <= 3
        assert "Traceback" not in "".join(texts)
    assert len(run.messages) > len(FAILING)


def test_an_error_ends_a_run_at_that_cell_and_the_kernel_with_it(tmp_path: Path) -> None:
    run = Run(
        tmp_path,
        "%load_ext stompy_jupyter\n%stomp_connect --as session",
        "%stomp_subscribe /queue/q --as stream",
        "%stomp_wait stream --timeout 10ms",
        "never = 1",
    )
    with pytest.raises(CellExecutionError, match="STOMPTimeout: 0 of 1 frames"):
        run.run()
    assert run.nb.cells[3].execution_count is None
    assert run.km is None  # its kernel has ended
