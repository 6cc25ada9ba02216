"""Keeper: writes the frames of a stream into a Parquet dataset while they come.

Frames go to an open file first, about once a second or when some thousand wait, and are on disk
then; only after that are they acknowledged. When it is full, it becomes a file of the dataset.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stompy import STOMPError
from stompy_jupyter.amounts import Rotation
from stompy_jupyter.backlog import HOUR, Backlog, Portion
from stompy_jupyter.dataset import OPEN, Recovered, close, recover
from stompy_jupyter.openfile import OpenFile, raw_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stompy import STOMPFrame

__all__ = ["PREFETCH", "Keeper", "Kept", "Recovered", "recover"]

PREFETCH = 2_000
"""Frames that a broker may send ahead to a stream that is kept, where it can be told so: enough for
one half to be on the way while the other is written and acknowledged. What was sent ahead and not
acknowledged comes again when the process was killed; with 8,000, ActiveMQ 5.17 was seen to take
more than a minute for that."""

LIMIT = 60.0
"""Seconds that an end waits for the disk."""

EXIT_LIMIT = 4.0
"""Seconds that the end of the process waits for it: Jupyter kills a kernel after 5."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """What a stream has kept on disk.

    Attributes:
        directory: the dataset.
        rows, files, bytes: of the files that were closed.
        open_rows: how many frames are not in one of these yet.
    """

    directory: Path
    rows: int = 0
    files: int = 0
    bytes: int = 0
    open_rows: int = 0


class Keeper:
    """Keeps the frames of one stream. Any thread may `put`; a thread of its own writes.

    Args:
        directory: the dataset; made if it is not there. Others may keep there at the same time.
        rotate: when a file is closed; always at the end of an hour, too.
        window: how many frames the broker sends without an ACK; None if it waits for none, 0 if
            it does and how many is not known.

    Attributes:
        error: why no more is kept, if that is so.

    Raises:
        STOMPError: the folder cannot be made, or not be written to.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        rotate: Rotation = Rotation(),  # noqa: B008 - it is frozen
        window: int | None = None,
    ) -> None:
        self.directory = Path(directory).expanduser().absolute()
        self.error: STOMPError | None = None
        self._folder = _made(self.directory)
        self._rotate = rotate
        self._backlog = Backlog(window)
        self._file: OpenFile | None = None
        self._hour = 0  # that of its frames
        self._full_at = 0.0  # when it is to be closed, by time.monotonic
        self._closed = Kept(self.directory)
        self._answer: Callable[[Sequence[STOMPFrame], object], object]
        self._failed: Callable[[STOMPError], object]
        self._note: Callable[[str, str], object]
        self._thread = threading.Thread(target=self._run, name="stomp-keeper", daemon=True)

    def start(
        self,
        answer: Callable[[Sequence[STOMPFrame], object], object],
        failed: Callable[[STOMPError], object],
        note: Callable[[str, str], object],
    ) -> None:
        """Start the thread, in which all three are called.

        Args:
            answer: is told which frames are on disk, with the ticket they were put with.
            failed: is told why no more is kept, once.
            note: takes down what has happened: a kind and a text.
        """
        self._answer, self._failed, self._note = answer, failed, note
        self._thread.start()
        atexit.register(self._at_exit)

    # -- what others ask of it ---------------------------------------------------------------

    def put(self, frames: Sequence[STOMPFrame], arrival: int, ticket: object = None) -> None:
        """Have frames kept that arrived then (nanoseconds since 1970); does not wait.

        Args:
            ticket: not None: they are to be acknowledged when they are on disk.
        """
        self._backlog.put(frames, arrival, ticket)

    def wait_for_room(self) -> None:
        """Wait while too much waits to be written."""
        self._backlog.wait_for_room()

    def flush(self, timeout: float = LIMIT) -> bool:
        """Wait until all that was put is on disk and answered; whether it is. Not in its thread."""
        return self._is_elsewhere and self._backlog.flush(timeout)

    def close(self) -> None:
        """Take nothing more; the thread ends when all is in a file that is closed."""
        self._backlog.close()

    def join(self, timeout: float = LIMIT) -> None:
        """Wait for the end of the thread; not in itself."""
        if self._is_elsewhere:
            self._thread.join(timeout)

    @property
    def _is_elsewhere(self) -> bool:
        """Whether the thread has begun, and is another than this one."""
        return self._thread.ident is not None and threading.current_thread() is not self._thread

    def _at_exit(self) -> None:
        """At the end of the process close what nobody has closed, if that can be done soon."""
        self.close()
        self.join(EXIT_LIMIT)

    @property
    def kept(self) -> Kept:
        """What is on disk, and what is not yet."""
        closed = self._closed
        return replace(closed, open_rows=max(0, self._backlog.received - closed.rows))

    @property
    def on_disk(self) -> int:
        """How many frames are on disk, with those in the open file."""
        return self._backlog.done

    @property
    def summary(self) -> str:
        """What is kept, for people."""
        kept = self.kept
        shown = f"{_count(kept.rows, 'row')} in {_count(kept.files, 'file')}"
        open_rows = f", {kept.open_rows:,} open" if kept.open_rows else ""
        return f"{shown}{open_rows} in {self.directory}"

    # -- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._recover()
            self._keep()
        except STOMPError as error:
            self._fail(error)
        except Exception as error:  # of the disk, or of Arrow
            if not isinstance(error, OSError):
                _log.exception("keeping in %s failed", self.directory)
            self._fail(_explained(error, self))
        finally:
            if self._file is not None:
                self._file.release()
            self._backlog.end(at_once=True)
            atexit.unregister(self._at_exit)
        if self.error is None:
            self._note("kept", f" is kept: {self.summary}")

    def _recover(self) -> None:
        recovered = recover(self.directory)
        if recovered.files:
            self._note("kept", f": {_count(recovered.rows, 'row')} recovered of an earlier writer")
        for why in recovered.failed.values():
            self._note("error", f": an earlier open file stays as it is: {why}")

    def _keep(self) -> None:
        while True:
            portion = self._backlog.next(self._full_at if self._file else None)
            if portion is not None:
                self._write(portion)
                if portion.frames:
                    self._answer(portion.frames, portion.ticket)
                self._backlog.finish(portion)
            elif self._backlog.closed:
                self._close_file()
                if self._backlog.end():  # else something has come meanwhile
                    return
            if self._is_full():
                self._close_file()

    def _write(self, portion: Portion) -> None:
        if self._hour != portion.hour:
            self._close_file()
        if self._file is None:
            self._hour = portion.hour
            left = (HOUR - time.time_ns() % HOUR) / 1e9
            self._full_at = time.monotonic() + min(self._rotate.seconds, left)
            self._file = OpenFile(self._folder)
        self._file.write(raw_batch(portion.rows), portion.octets)

    def _is_full(self) -> bool:
        file = self._file
        if file is None:
            return False
        return file.octets >= self._rotate.octets or time.monotonic() >= self._full_at

    def _close_file(self) -> None:
        """Make the open file one of the dataset."""
        if self._file is None:
            return
        made = close(self._file.path, self.directory)
        self._file.release()
        self._file = None
        if made is not None:
            had = self._closed
            rows, octets = had.rows + made.rows, had.bytes + made.octets
            self._closed = replace(had, rows=rows, files=had.files + 1, bytes=octets)

    def _fail(self, error: STOMPError) -> None:
        self.error = error
        self._backlog.end(at_once=True)
        self._failed(error)


def _made(directory: Path) -> Path:
    """The folder for open files, made with that of the dataset."""
    folder = directory / OPEN
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise STOMPError(
            f"nothing can be kept in {directory}: {error.strerror}",
            hint="name a folder that can be written to",
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise STOMPError(
            f"nothing can be kept in {directory}: it cannot be written to",
            hint="name a folder that can be written to",
        )
    return folder


def _explained(error: Exception, keeper: Keeper) -> STOMPError:
    """Why no more is kept, what is, and what becomes of the rest."""
    why = (error.strerror or error) if isinstance(error, OSError) else repr(error)
    kept = keeper.kept
    open_rows = keeper.on_disk - kept.rows
    parts = [f"{_count(kept.rows, 'row')} in {_count(kept.files, 'file')}"]
    if open_rows:
        parts.append(f"{open_rows:,} in an open file, which the next to keep there closes")
    explained = STOMPError(
        f"keeping in {keeper.directory} failed: {why}. On disk are {' and '.join(parts)}",
        hint="in the client modes the broker has what was not acknowledged: make room, and "
        "subscribe again",
    )
    explained.__cause__ = error
    return explained


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
