"""The user's callbacks: on a thread of their own, behind a bounded queue.

A slow callback delays neither the tables nor the acknowledgements. When the queue is full it holds
back the thread that reads, and by that the broker; nothing is dropped.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from stompy_jupyter.display import visible_lines
from stompy_jupyter.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from stompy import STOMPFrame
    from stompy_jupyter.inlet import Inlet

MAX_FRAMES = 10_000
MAX_BYTES = 64 * 1024 * 1024

_log = logging.getLogger(__name__)


class Callback:
    """A function of the user, and what became of its calls.

    Its output goes where output went when it was made: in a notebook, to that cell.

    Attributes:
        acks: whether a frame is acknowledged when the function returns, and refused when it raises.
        calls: how many have ended.
        errors: how many of them by an exception.
        last_error: the newest of these.
        waiting: how many frames are still to come to it, or are with it now.
        active: whether it is called at all.
    """

    def __init__(self, function: Callable[[STOMPFrame], object], acks: bool = False) -> None:
        self.function = function
        self.acks = acks
        self.calls = 0
        self.errors = 0
        self.last_error: BaseException | None = None
        self.waiting = 0
        self.active = True
        self._output = Output()
        self._shown: set[tuple[type[BaseException], str, int]] = set()

    def replace(self, function: Callable[[STOMPFrame], object], acks: bool) -> None:
        """Have another function called from now on, also with what waits; it writes here."""
        self.function = function
        self.acks = acks
        self._output = Output()
        self._shown = set()

    def __call__(self, frame: STOMPFrame) -> bool:
        """Call the function; returns whether it did not raise. What it raises is shown once."""
        try:
            self._output.run(self.function, frame)
        except BaseException as error:  # also SystemExit: one frame must not end the thread
            self.errors += 1
            self.last_error = error
            self._output.run(self._show, error)
            return False
        finally:
            self.calls += 1
        return True

    def _show(self, error: BaseException) -> None:
        """Write an exception where the function writes: of each place the first, in full."""
        trace = _of_the_user(error.__traceback__)
        where = traceback.extract_tb(trace)[-1:]
        key = (type(error), *((where[0].filename, where[0].lineno or 0) if where else ("", 0)))
        if key in self._shown:
            return
        self._shown.add(key)
        render = getattr(error, "_render_traceback_", None)
        if render is None:
            lines = "".join(traceback.format_exception(type(error), error, trace))
        else:  # as a cell shows it, and where it was
            lines = "\n".join([*traceback.format_tb(trace, limit=1), *render()])
        print(visible_lines(lines), file=sys.stderr, flush=True)
        print("Further ones from there are counted only.", file=sys.stderr, flush=True)


def _of_the_user(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the part of it that lies in this package."""
    package = __name__.partition(".")[0]
    while trace and trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] == package:
        trace = trace.tb_next
    return trace


class Call(NamedTuple):
    """A frame on its way to a callback."""

    inlet: Inlet
    number: int
    frame: STOMPFrame
    callback: Callback
    acks: bool

    @property
    def wanted(self) -> bool:
        """Whether it is still to be done: a frame that can be acknowledged no more comes again."""
        if not self.callback.active:
            return False
        return not self.acks or self.inlet.awaits(self.number)

    def run(self) -> None:
        """Have the callback called, and acknowledge the frame if that is wanted."""
        if self.wanted:
            good = self.callback(self.frame)
            if self.acks:
                self.inlet.settle(self.number, good)


class CallbackThread:
    """Runs calls one after the other. The thread begins with the first of them.

    Args:
        name: of the thread.
        max_frames, max_bytes: how many frames, and how many bytes of their bodies, may wait.
    """

    def __init__(self, name: str, max_frames: int = MAX_FRAMES, max_bytes: int = MAX_BYTES) -> None:
        self._name = name
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._calls: deque[Call] = deque()
        self._pending = 0  # calls that are not done, with the one that waits for room
        self._bytes = 0
        self._postponed: deque[Callable[[], object]] = deque()
        self._busy = False  # whether the thread is in a call
        self._closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def is_current(self) -> bool:
        """Whether this is the thread."""
        return threading.current_thread() is self._thread

    # -- what others ask of it ---------------------------------------------------------------

    def expect(self, call: Call) -> None:
        """Count a call as one to come; it is `put` next."""
        with self._changed:
            self._pending += 1
            call.callback.waiting += 1
            self._bytes += len(call.frame.Body)

    def put(self, call: Call) -> None:
        """Have a call done; waits while the queue is full and the call is still wanted."""

        def settled() -> bool:
            full = len(self._calls) >= self._max_frames or self._bytes > self._max_bytes
            return self._closed or not (full and self._calls) or not call.wanted

        with self._changed:
            self._changed.wait_for(settled)
            if self._closed or not call.wanted:
                self._forget(call)
                return
            self._calls.append(call)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def wake(self) -> None:
        """Have whoever waits look again, since some calls may not be wanted any more."""
        with self._changed:
            self._changed.notify_all()

    def wait(self, deadline: float, inlet: Inlet | None = None) -> None:
        """Wait until all calls are done, or those of an inlet that acknowledge; not in the thread.

        Args:
            deadline: until when (`time.monotonic`).
        """

        def done() -> bool:
            if inlet is None:
                return not self._pending
            return not any(callback.waiting for callback in inlet.callbacks if callback.acks)

        with self._changed:
            if not self.is_current:
                self._changed.wait_for(done, max(0.0, deadline - time.monotonic()))

    def postpone(self, action: Callable[[], object]) -> bool:
        """In a call: do something as soon as it is done. Elsewhere: nothing, and False."""
        if not (self.is_current and self._busy):
            return False
        self._postponed.append(action)
        return True

    def close(self) -> None:
        """Take no more calls; the thread ends when it has done those that wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """Take no more calls, and drop those that wait."""
        self.close()
        with self._changed:
            while self._calls:
                self._forget(self._calls.popleft())

    def join(self, timeout: float) -> None:
        """Wait for the end of the thread; not in itself."""
        if self._thread is not None and not self.is_current:
            self._thread.join(timeout)

    # -- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        while (call := self._next()) is not None:
            _guarded(call.run)
            with self._changed:
                self._busy = False
                self._forget(call)
            while self._postponed:
                _guarded(self._postponed.popleft())

    def _next(self) -> Call | None:
        with self._changed:
            self._changed.wait_for(lambda: self._calls or self._closed)
            if not self._calls:
                return None
            self._busy = True
            self._changed.notify_all()  # there is room
            return self._calls.popleft()

    def _forget(self, call: Call) -> None:
        """Count a call as done; the lock is held."""
        self._pending -= 1
        self._bytes -= len(call.frame.Body)
        call.callback.waiting -= 1
        self._changed.notify_all()


def _guarded(action: Callable[[], object]) -> None:
    """Do something of which no failure may end the thread: the queue would fill up for ever."""
    try:
        action()
    except BaseException:
        _log.exception("the thread of the callbacks goes on")
