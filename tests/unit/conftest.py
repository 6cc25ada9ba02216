"""Fixtures: of the client's tests the first, the others of those for the Jupyter side."""

import contextlib
import copy
import gc
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import stompy
from stompy import STOMPClient, STOMPFrame, wire
from stompy.broker import Broker
from tests.unit.peer import TIMEOUT
from tests.unit.waiting import until

TAKE: dict[str, Callable[[STOMPClient], Any]] = {
    "recv": lambda client: client.recv(TIMEOUT),
    "iteration": lambda client: next(iter(client)),
    "loop": lambda client: client.loop(lambda _, frame: frame, timeout=TIMEOUT),
}


@pytest.fixture(params=TAKE.values(), ids=TAKE)
def take(request: pytest.FixtureRequest) -> Callable[[STOMPClient], Any]:
    """Each of the ways to take the next frame of a client."""
    return request.param  # type: ignore[no-any-return]


def our_threads() -> list[threading.Thread]:
    """The threads that stompy and stompy_jupyter have started and that still run."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("stomp")]


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Start without a thread of ours, and end what a kernel ends at exit: no thread may be left."""
    from ipywidgets import Widget

    from stompy_jupyter.embedded import stop_embedded_broker
    from stompy_jupyter.publisher import publisher

    if our_threads():  # of a session that an earlier test has left to the garbage collector
        gc.collect()
    until(lambda: not our_threads())
    yield
    Widget.close_all()
    publisher.stop()
    stop_embedded_broker()
    until(lambda: not our_threads())


@pytest.fixture
def broker() -> Iterator[Broker]:
    """A running broker of the test's own."""
    with Broker() as running:
        yield running


@pytest.fixture
def session(nothing_left: None, broker: Broker) -> Iterator[Any]:
    """A session with that broker."""
    from stompy_jupyter import StompSession

    with StompSession(broker.address) as session:
        yield session


@pytest.fixture
def other(broker: Broker) -> Iterator[STOMPClient]:
    """Another client of the same broker."""
    with stompy.connect(broker.address) as client:
        yield client


class SilentPeer:
    """Answers CONNECT, else says what it is told to; notes all frames that it is sent."""

    def __init__(self) -> None:
        self.received: list[STOMPFrame] = []
        self._sockets = [socket.create_server(("127.0.0.1", 0))]
        self.address = self._sockets[0].getsockname()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        decoder = wire.FrameDecoder("1.2")
        with contextlib.suppress(OSError):
            connection, _ = self._sockets[0].accept()
            self._sockets.append(connection)
            connection.sendall(wire.encode("CONNECTED", {"version": "1.2"}))
            while data := connection.recv(65536):
                decoder.feed(data)
                self.received += decoder.frames()

    def say(self, command: str, headers: dict[str, str]) -> None:
        """Send a frame to the client."""
        self._sockets[1].sendall(wire.encode(command, headers))

    def close(self) -> None:
        """End the connection; twice is fine."""
        for sock in self._sockets:
            with contextlib.suppress(OSError):  # the other side may have closed it first
                sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        for sock in self._sockets:
            sock.close()


@pytest.fixture
def silent() -> Iterator[SilentPeer]:
    peer = SilentPeer()
    yield peer
    peer.close()


@pytest.fixture(scope="session")
def bare_shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An IPython shell that keeps no history; `shell` is the one to use."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    main = sys.modules["__main__"]
    yield InteractiveShell(config=config, ipython_dir=str(tmp_path_factory.mktemp("ipython")))
    sys.modules["__main__"] = main


@pytest.fixture
def shell(bare_shell: Any, nothing_left: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A shell with the extension loaded, and without variables of an earlier test."""
    monkeypatch.delenv("STOMPY_URL", raising=False)
    variables = dict(bare_shell.user_ns)
    bare_shell.run_line_magic("load_ext", "stompy_jupyter")
    yield bare_shell
    if "stompy_jupyter" in bare_shell.extension_manager.loaded:
        bare_shell.run_line_magic("unload_ext", "stompy_jupyter")
    bare_shell.user_ns.clear()  # its own reset() would run the garbage collector, which is slow
    bare_shell.user_ns.update(variables)
    bare_shell.user_ns["_oh"].clear()


@pytest.fixture
def unconfigured(bare_shell: Any) -> Iterator[None]:
    """Take back what %config sets: it is kept by the shell, beyond a reload of the extension."""
    before = copy.deepcopy(bare_shell.config)
    yield
    bare_shell.config = before
