"""A real kernel as a fixture."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

LIMIT = 60.0
"""Seconds that a cell may take."""


@dataclass
class Result:
    """What running a cell gave: the reply, and what it published while it ran."""

    status: str
    seconds: float
    messages: list[dict[str, Any]] = field(default_factory=list)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The contents of the messages of a type, e.g. ``"stream"``, in order."""
        return [m["content"] for m in self.messages if m["msg_type"] == kind]

    @property
    def traceback(self) -> list[str]:
        """The lines that the notebook shows of the cell's error."""
        errors = self.of("error")
        assert len(errors) == 1, self.messages
        lines: list[str] = errors[0]["traceback"]
        return lines

    @property
    def text(self) -> str:
        """The cell's value as text."""
        values = self.of("execute_result")
        return str(values[-1]["data"]["text/plain"]) if values else ""


class Kernel:
    """A kernel process and the conversation with it."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self._client = client

    def run(self, code: str) -> Result:
        """Run a cell to its end; whatever it gives is in the result."""
        started = time.monotonic()
        request = self._client.execute(code)
        messages = []
        while time.monotonic() - started < LIMIT:
            try:
                message = self._client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            messages.append(message)
            if (
                message["msg_type"] == "status"
                and message["content"]["execution_state"] == "idle"
                and message["parent_header"].get("msg_id") == request
            ):
                reply = self._client.get_shell_msg(timeout=LIMIT)
                seconds = time.monotonic() - started
                return Result(reply["content"]["status"], seconds, messages)
        raise TimeoutError(f"the cell did not end within {LIMIT:g} s: {code}")

    def ok(self, code: str) -> Result:
        """Run a cell that must not fail."""
        result = self.run(code)
        assert result.status == "ok", result.of("error")
        return result


@contextmanager
def running_kernel(folder: Path) -> Iterator[Kernel]:
    """A fresh kernel that works in `folder`, with the extension loaded."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(folder))
    client = manager.blocking_client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=LIMIT)
        kernel = Kernel(client)
        kernel.ok("%load_ext stompy_jupyter")
        yield kernel
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    """A kernel of the test's own."""
    with running_kernel(tmp_path) as kernel:
        yield kernel
