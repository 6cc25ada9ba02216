"""Programs that tests run beside themselves, and the ports they are given."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
START_SECONDS = 90.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.1
ATTEMPT_SECONDS = 5.0


@dataclass(frozen=True)
class Process:
    """A running program that leads a process group of its own, and the file it writes to."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    def exited(self) -> bool:
        """Say whether the program has ended."""
        if self.popen.returncode is not None:
            return True
        # Not poll(): that lets go of the process id, which then may come to name a stranger's
        # group while the rest of this one is still to be ended.
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.popen.pid, options) is not None

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Return once ready() is true; RuntimeError if the program ends or time is up before."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self.exited():
                raise RuntimeError(f"{self.name} ended while starting:\n{self.tail()}")
            if ready():
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
        os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()


@contextmanager
def running(
    name: str, command: list[str], folder: Path, environment: dict[str, str]
) -> Iterator[Process]:
    """Run a command in the folder, its output going to a file there, and end it afterwards."""
    log = folder / f"{name.lower()}.log"
    with log.open("wb") as output:
        popen = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal is for the tests: they end this
        )
    process = Process(name, popen, log)
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
