"""Real kernels as fixtures, on each ipykernel that matters, and a broker for them to talk to."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

import stompy
from stompy.broker import Broker
from tests.requirements import need

Message = dict[str, Any]

LIMIT = 60.0
"""Seconds that a cell may take."""

INSTALLED = "newest"
OLDEST_OF_THE_NEWEST = (7, 4)
OLDER = {
    "6.31": ["ipykernel==6.31.*", "nest-asyncio"],
    "7.3": ["ipykernel==7.3.*", "nest-asyncio2"],
}
"""The ipykernels that behave in ways of their own, and what they need that the newest does not."""

on_the_newest = pytest.mark.parametrize("platform", [INSTALLED], indirect=True)
"""For a test whose subject is the same on every ipykernel: it runs on one."""


@dataclass(frozen=True)
class Platform:
    """An ipykernel.

    Attributes:
        name: its version, as far as it matters, or ``"newest"`` for the one that is installed.
        folder: where it lies, if it is not the installed one.
    """

    name: str
    folder: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which Python finds it before the installed one."""
        if self.folder is None:
            return dict(os.environ)
        path = [str(self.folder), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


@pytest.fixture(scope="session", params=[*OLDER, INSTALLED], ids=lambda name: f"ipykernel {name}")
def platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """Each ipykernel in turn; an older one comes from the package index, into a folder."""
    if request.param == INSTALLED:
        found = version("ipykernel")
        old = tuple(map(int, found.split(".")[:2])) < OLDEST_OF_THE_NEWEST
        need(f"ipykernel {found} is an old one: pip install --upgrade ipykernel" if old else None)
        return Platform(INSTALLED)
    folder = tmp_path_factory.mktemp(f"ipykernel-{request.param}-")
    need(_install(OLDER[request.param], folder))
    return Platform(request.param, folder)


def _install(packages: list[str], folder: Path) -> str | None:
    """Install packages into a folder, without what they depend on; say why that cannot be done."""
    options = ["--quiet", "--no-deps", "--disable-pip-version-check", "--retries=1", "--timeout=10"]
    command = [sys.executable, "-m", "pip", "install", *options, f"--target={folder}", *packages]
    pip = subprocess.run(command, capture_output=True, text=True, check=False)
    if pip.returncode == 0:
        return None
    why = (pip.stderr.strip().splitlines() or ["pip says nothing"])[-1].removeprefix("ERROR: ")
    return f"{packages[0]} is not to be had from the package index: {why}"


@dataclass
class Result:
    """What running a cell gave.

    Attributes:
        status: of the reply: ``"ok"``, ``"error"``, or ``"aborted"`` when it was not run.
        seconds: from when the result was asked for.
        messages: all that the kernel has published meanwhile, whatever it belongs to.
        request: the id of the cell's request.
        reply: the content of the reply; its ``"payload"`` has the answer to a ``?``.
    """

    status: str
    seconds: float
    messages: list[Message] = field(repr=False)
    request: str
    reply: dict[str, Any] = field(repr=False)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The contents of the cell's own messages of a type, e.g. ``"stream"``, in order."""
        own = (m for m in self.messages if parent(m) == self.request)
        return [m["content"] for m in own if m["msg_type"] == kind]

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

    @property
    def printed(self) -> str:
        """What the cell printed."""
        return "".join(stream["text"] for stream in self.of("stream"))


def parent(message: Message) -> str:
    """The id of the request that a message belongs to: the cell under which it is shown."""
    return str(message["parent_header"].get("msg_id"))


class Kernel:
    """A kernel process and the conversation with it.

    Attributes:
        manager: starts, interrupts and ends the process.
        client: the channels, for what has no method here.
    """

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager = manager
        self.client = client
        self._published: list[Message] = []  # what nobody has been given yet
        self._replies: dict[str, dict[str, Message]] = defaultdict(dict)

    def start(self, code: str, **options: Any) -> str:
        """Ask for a cell to be run, and return the id of the request."""
        return str(self.client.execute(code, **options))

    def finish(self, request: str) -> Result:
        """Wait for the end of a cell that was started."""
        started = time.monotonic()
        last = self.published(partial(_is_idle, request), LIMIT)
        count = 1 + next(i for i, message in enumerate(self._published) if message is last)
        messages, self._published = self._published[:count], self._published[count:]
        reply = self.reply(request)
        seconds = time.monotonic() - started
        return Result(reply["content"]["status"], seconds, messages, request, reply["content"])

    def run(self, code: str) -> Result:
        """Run a cell to its end; whatever it gives is in the result."""
        return self.finish(self.start(code))

    def ok(self, code: str) -> Result:
        """Run a cell that must not fail."""
        result = self.run(code)
        assert result.status == "ok", result.of("error")
        return result

    def published(self, matches: Callable[[Message], bool], limit: float = 10.0) -> Message:
        """The first message that matches, of those published since the last cell ended."""
        known = next(filter(matches, self._published), None)
        if known is not None:
            return known
        end = time.monotonic() + limit
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f"not published within {limit:g} s") from None
            self._published.append(message)
            if matches(message):
                return message

    def printed(self, text: str) -> None:
        """Wait until a cell has printed this: it has come so far, and runs."""
        self.published(lambda m: m["msg_type"] == "stream" and text in m["content"]["text"])

    def reply(self, request: str, channel: str = "shell") -> Message:
        """The reply to a request."""
        replies = self._replies[channel]
        receive = getattr(self.client, f"get_{channel}_msg")
        while request not in replies:
            message = receive(timeout=LIMIT)
            replies[parent(message)] = message
        return replies.pop(request)

    def answer(self, text: str) -> None:
        """Wait until a cell asks for a line (``input()``, ``getpass()``), and give it one."""
        self.client.get_stdin_msg(timeout=LIMIT)
        self.client.input(text)

    def interrupt(self) -> None:
        """What the stop button does."""
        self.manager.interrupt_kernel()

    def shut_down(self, restart: bool = False) -> float:
        """Ask the kernel to end, and return how many seconds it took, of its own accord."""
        process = self.manager.provisioner.process
        started = time.monotonic()
        self.client.shutdown(restart=restart)
        assert process.wait(timeout=LIMIT) == 0
        return time.monotonic() - started

    def restart(self) -> None:
        """Start a kernel in the place of one that was asked to end."""
        self.manager.restart_kernel(now=True)
        self.client.wait_for_ready(timeout=LIMIT)
        self._published.clear()


def _is_idle(request: str, message: Message) -> bool:
    return (
        parent(message) == request
        and message["msg_type"] == "status"
        and message["content"]["execution_state"] == "idle"
    )


@contextmanager
def bare_kernel(folder: Path, platform: Platform) -> Iterator[Kernel]:
    """A fresh kernel that works in `folder`."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(folder), env=platform.environment)
    client = manager.blocking_client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=LIMIT)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


@contextmanager
def running_kernel(folder: Path, platform: Platform) -> Iterator[Kernel]:
    """The same, with the extension loaded."""
    with bare_kernel(folder, platform) as kernel:
        kernel.ok("%load_ext stompy_jupyter")
        yield kernel


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory, platform: Platform) -> Iterator[Kernel]:
    """One kernel for all tests of a file: each makes the sessions and streams that it uses."""
    with running_kernel(tmp_path_factory.mktemp("kernel"), platform) as kernel:
        yield kernel


@pytest.fixture
def fresh_kernel(tmp_path: Path, platform: Platform) -> Iterator[Kernel]:
    """A kernel of the test's own, for what cannot be undone."""
    with running_kernel(tmp_path, platform) as kernel:
        yield kernel


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """A broker outside of the kernels, which sees how they come and go."""
    with Broker() as broker:
        yield broker


@pytest.fixture
def sender(broker: Broker) -> Iterator[stompy.STOMPClient]:
    """A client of it outside of the kernels."""
    with stompy.connect(broker.address) as client:
        yield client


@pytest.fixture
def connect(broker: Broker) -> str:
    """The magic by which a kernel connects to it, as `session`."""
    host, port = broker.address
    return f"%stomp_connect {host}:{port} --as session"
