"""Programs that tests run beside themselves, and the ports they are given."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HOST = "127.0.0.1"
START_SECONDS = 90.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.1
ATTEMPT_SECONDS = 5.0


@dataclass
class Process:
    """A program that leads a process group of its own, and may be run more than once.

    It runs in the folder, where its output goes to a file; `ready` says when it can be used.
    """

    name: str
    command: list[str]
    folder: Path
    environment: dict[str, str]
    ready: Callable[[], bool]
    popen: subprocess.Popen[bytes] = field(init=False)

    @property
    def log(self) -> Path:
        """The file with the output of all runs."""
        return self.folder / f"{self.name.lower()}.log"

    def start(self) -> None:
        """Run it, and return once it is ready; RuntimeError if it ends or time is up before."""
        with self.log.open("ab") as output:
            self.popen = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is for the tests: they end this
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.end()
            raise

    def exited(self) -> bool:
        """Say whether the program has ended."""
        if self.popen.returncode is not None:
            return True
        # Not poll(): that lets go of the process id, which then may come to name a stranger's
        # group while the rest of this one is still to be ended.
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.popen.pid, options) is not None

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self.exited():
                raise RuntimeError(f"{self.name} ended while starting:\n{self.tail()}")
            if self.ready():
                return
            if time.monotonic() > deadline:
                late = f"{self.name} was not ready within {START_SECONDS:.0f} s"
                raise RuntimeError(f"{late}:\n{self.tail()}")
            time.sleep(POLL_SECONDS)

    def tail(self, lines: int = 40) -> str:
        """Return the last lines that the program wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def end(self) -> None:
        """End the program and its group: ask, wait a while, then kill whatever is left."""
        if self.popen.returncode is not None:
            return
        os.killpg(self.popen.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while not self.exited() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Kill the program and its group, without a word; `start` runs it anew."""
        if self.popen.returncode is None:
            os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait()


@contextmanager
def running(
    name: str,
    command: list[str],
    folder: Path,
    environment: dict[str, str],
    ready: Callable[[], bool],
) -> Iterator[Process]:
    """Run a `Process`, ready when the block begins, and end it afterwards."""
    process = Process(name, command, folder, environment, ready)
    process.start()
    try:
        yield process
    finally:
        process.end()


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free, and that nobody else is given for a while.

    The connection closed here leaves the port in TIME_WAIT for a minute. In that state it is not
    handed out to those who ask for any free port, while a server that names it can have it.
    """
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        with socket.create_connection((HOST, port)) as client:
            accepted, _ = listener.accept()
            accepted.close()
            client.recv(1)  # only the end that closes first is left in TIME_WAIT
    return port


def listens(port: int) -> bool:
    """Say whether something takes connections on the port."""
    try:
        socket.create_connection((HOST, port), timeout=ATTEMPT_SECONDS).close()
    except OSError:
        return False
    return True
