"""What tests do with an IPython shell that has the extension loaded."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from IPython.core.displaypub import DisplayPublisher

from stompy import STOMPError, wire
from stompy_jupyter import FrameStream, StompSession
from tests.unit.waiting import until


def run(shell: Any, magic: str, line: str = "") -> Any:
    """Run a line magic; returns its value."""
    return shell.run_line_magic(magic, line)


def run_cell(shell: Any, code: str) -> Any:
    """Run a cell that must not fail; returns its value."""
    result = shell.run_cell(code)
    result.raise_error()
    return result.result


def sessions(shell: Any) -> dict[str, StompSession]:
    """The sessions that the magics have open."""
    return shell.magics_manager.registry["StompMagics"].notebook.sessions


def received(stream: FrameStream, count: int = 1) -> list[str]:
    """The bodies of a stream, when `count` have come."""
    stream.wait(count, timeout=5)
    return stream.df["body"].tolist()


def called(stream: FrameStream, count: int = 1) -> dict[str, int]:
    """The numbers of a stream, when its callbacks have been called `count` times."""
    until(lambda: stream.stats["calls"] >= count)
    return stream.stats


def shown_error(shell: Any, capsys: pytest.CaptureFixture[str], code: str) -> list[str]:
    """The two or three lines that a notebook shows for the error of a cell."""
    capsys.readouterr()
    result = shell.run_cell(code)
    assert isinstance(result.error_in_exec, STOMPError), result
    lines = result.error_in_exec._render_traceback_()
    assert capsys.readouterr().out.splitlines() == lines
    assert 2 <= len(lines) <= 3, lines
    return lines


class Shown(NamedTuple):
    """What a front end was told to display: by its kinds, under which id, in place of another."""

    data: dict[str, Any]
    display: str | None
    update: bool


class FrontEnd(DisplayPublisher):
    """Notes what is displayed; put it in the place of a shell's `display_pub`."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell=shell)
        self.shown: list[Shown] = []

    def publish(  # type: ignore[override]  # without what is no more than deprecated
        self,
        data: dict[str, Any],
        metadata: Any = None,
        *,
        transient: dict[str, str] | None = None,
        update: bool = False,
        **_: Any,
    ) -> None:
        self.shown.append(Shown(data, (transient or {}).get("display_id"), update))


@contextmanager
def saying(*octets: bytes, connected: bool = True, then_close: bool = False) -> Iterator[str]:
    """The address of a peer for one client: it says CONNECTED, and these at the next frame."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                if connected:
                    connection.sendall(wire.encode("CONNECTED", {"version": "1.2"}))
                    connection.recv(65536)
                connection.sendall(b"".join(octets))
                while not then_close and connection.recv(65536):
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield "{}:{}".format(*server.getsockname())
        thread.join(5)


def message(body: bytes | str, subscription: str = "stream-1", **headers: str) -> bytes:
    """The octets of a MESSAGE of the first stream of a session."""
    octets = body.encode() if isinstance(body, str) else body
    known = {"destination": "/queue/q", "message-id": "1", "subscription": subscription}
    return wire.encode("MESSAGE", {**known, **headers, "content-length": str(len(octets))}, octets)
