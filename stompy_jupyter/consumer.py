"""Consumer: what a worker of a Dask cluster does for `stompy_jupyter.dask.consume`.

It keeps messages of a queue on disk, and says about once a second how far it is, as an event of the
cluster: that goes by the scheduler to whoever listens, costs no answer, and outlives the worker.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distributed import Reschedule, get_worker, secede
from distributed.core import Status

from stompy import STOMPClosed, STOMPError
from stompy_jupyter.display import visible
from stompy_jupyter.openfile import release, taken
from stompy_jupyter.session import StompSession

if TYPE_CHECKING:
    from pathlib import Path

    from stompy_jupyter.stream import FrameStream

LOOK_SECONDS = 0.1
"""So often a consumer looks whether it is wanted: Dask tells a thread nothing by itself."""

REPORT_SECONDS = 1.0
"""So often it says how far it is, and when all that has come is on disk."""

CONFIRM_SECONDS = 5.0
"""So long a broker may take to refuse the subscription before the consumer counts as started."""

TABLE_ROWS = 1_000
"""Frames that a consumer has in memory besides those on their way to the disk."""

OVER = frozenset({"ended", "failed"})
"""The states in which a consumer does no more."""


@dataclass(frozen=True, repr=False)
class Assignment:
    """What the consumers of one consumption are to do. It goes to the workers with the passcode in
    it, and does not show it.

    Attributes:
        topic: of the events in which they report.
        addresses, arguments: for `StompSession`.
        destination, options: for its `subscribe`.
        directory: the dataset.
        lease: a file in there that the client has locked.
        until_idle: seconds without a message after which a consumer ends by itself.
    """

    topic: str
    addresses: Any
    arguments: dict[str, Any]
    destination: str
    options: dict[str, Any]
    directory: Path
    lease: Path
    until_idle: float | None

    def __repr__(self) -> str:
        return visible(f"<Assignment {self.destination} into {self.directory}>")

    def key(self, number: int) -> str:
        """What the task of a consumer is called in the cluster."""
        return f"{self.topic}-{number}"


def work(assignment: Assignment, number: int) -> int:
    """The task of a consumer: keeps messages until that is not wanted; how many have come.

    It holds no thread of the worker's pool. When the worker leaves the cluster in order, the task
    moves to another.

    Raises:
        STOMPError: it cannot begin, or cannot go on.
    """
    secede()
    return _Consumer(assignment, number).run()


class _Consumer:
    def __init__(self, assignment: Assignment, number: int) -> None:
        self._assignment = assignment
        self._number = number
        self._key = assignment.key(number)
        self._worker = get_worker()
        self._run = uuid.uuid4().hex  # tells this start from those on workers that were killed
        self._stream: FrameStream | None = None
        self._reported_at = 0.0  # and what it said then:
        self._received = self._on_disk = 0

    def run(self) -> int:
        assignment = self._assignment
        session = StompSession(assignment.addresses, **assignment.arguments)
        self._report("starting")
        try:
            check_shared(assignment.lease)
            with session:
                stream = self._stream = session.subscribe(
                    assignment.destination,
                    keep=assignment.directory,
                    max_rows=TABLE_ROWS,
                    **assignment.options,
                )
                stream.confirm(CONFIRM_SECONDS)
                leaving = self._consume(stream)
            if stream.error is not None:  # what was in the open file could not be closed
                raise stream.error
        except STOMPError as error:
            # A broker may repeat what it was sent, and Dask logs what a task raises.
            said = session.journal.masked(error.Message)
            error.Message = f"{said} (on the worker {self._worker.address})"
            error.args = (error.Message,)
            self._report("failed", error.Message)
            raise
        if leaving:
            self._report("moving")
            raise Reschedule
        self._report("ended")
        return stream.received

    def _consume(self, stream: FrameStream) -> bool:
        """Go on until it is not wanted, or idle; whether the worker leaves the cluster."""
        received, newest = 0, time.monotonic()
        self._report("consuming")
        while self._is_wanted():
            if self._worker.status not in (Status.running, Status.paused):
                return True
            if not stream.live:
                raise stream.error or STOMPClosed("the broker has ended the subscription")
            now = time.monotonic()
            resting = stream.received == received
            if not resting or stream.state != "live":
                received, newest = stream.received, now
            if (idle := self._assignment.until_idle) is not None and now - newest >= idle:
                break
            if now - self._reported_at >= REPORT_SECONDS or (resting and self._is_news(stream)):
                self._report("consuming" if stream.state == "live" else stream.state)
            time.sleep(LOOK_SECONDS)
        return False

    def _is_wanted(self) -> bool:
        """Whether the task is neither cancelled, nor forgotten by its client, which may be gone."""
        task = self._worker.state.tasks.get(self._key)
        return task is not None and task.state != "cancelled"

    def _is_news(self, stream: FrameStream) -> bool:
        """Whether all that has come is on disk, and nobody was told."""
        return self._on_disk < stream.received == stream.stats["on_disk"]

    def _report(self, state: str, error: str = "") -> None:
        stream = self._stream
        kept = stream.kept if stream else None
        received = stream.received if stream else 0
        now = time.monotonic()
        rate = (received - self._received) / (now - self._reported_at)
        self._received, self._reported_at = received, now
        self._on_disk = int(stream.stats["on_disk"]) if stream else 0
        report = {
            "consumer": self._number,
            "run": self._run,
            "worker": self._worker.address,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "state": state,
            "received": received,
            "on_disk": self._on_disk,
            "files": kept.files if kept else 0,
            "rate": rate,
            "error": visible(error),
        }
        self._worker.log_event(self._assignment.topic, report)


def check_shared(lease: Path) -> None:
    """Make sure that the folder of this file is the client's, and its locks are seen here.

    A lock tells a writer that lives from one that has died, whose open file others close.

    Raises:
        STOMPError: it is another folder, cannot be written to, or locks are not seen.
    """
    directory = lease.parent.parent
    try:
        file = taken(lease)
        there = lease.exists()
    except OSError as error:
        raise STOMPError(
            f"nothing can be kept in {directory}: {error.strerror}",
            hint="name a folder that every worker can write to",
        ) from error
    if file is not None:
        release(file)
        raise STOMPError(
            f"locks in {directory} are not seen from machine to machine",
            hint="name a folder on a file system that has them, as NFS 4",
        )
    if not there:
        raise STOMPError(
            f"{directory} is not the folder that it is where consume() was called",
            hint="name one that all workers share with the notebook",
        )
