"""Displays: results of cells that change, each replaced once when there is no more to come.

A notebook that is saved keeps what a cell has shown, which is how a stream was when it began. What
a cell has as its result is therefore displayed under an id, and replaced by that id when it has
ended: after a cell, in the main thread. What a user displays is left to him, with an id or without.
"""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

from IPython.core.displaypub import DisplayPublisher

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from IPython.core.interactiveshell import InteractiveShell

Bundle: TypeAlias = tuple[dict[str, Any], dict[str, Any]]
"""What is shown of something, by its kind, and what is to be known of that."""

REPLACED = 10
"""So many displays of one thing, the newest, are replaced when it has ended."""


class Kind(NamedTuple):
    """How things of a class are shown, and whether there is more to come of one."""

    show: Callable[[Any], Bundle]
    lives: Callable[[Any], bool]


class Displays:
    """What cells have had as their results that has not ended yet.

    Args:
        shell: whose cells.
        kinds: the classes of things that end.
    """

    def __init__(self, shell: InteractiveShell, kinds: Mapping[type, Kind]) -> None:
        self._shell = shell
        self._kinds = kinds
        self._shown: WeakKeyDictionary[Any, tuple[Kind, list[str]]] = WeakKeyDictionary()
        self._lock = threading.Lock()  # guards these: there may be cells in subshells, too

    def install(self) -> Callable[[], None]:
        """Take care of the results of cells from now on; returns what ends that."""
        hook: Any = self._shell.displayhook
        before = vars(hook).get("compute_format_data")
        otherwise = hook.compute_format_data

        def compute_format_data(result: object) -> Bundle:
            if self._display(result):
                return {}, {}  # nothing is left to be shown
            bundle: Bundle = otherwise(result)
            return bundle

        def uninstall() -> None:
            self._shell.events.unregister("post_run_cell", self._after_cell)
            del hook.compute_format_data
            if before is not None:
                hook.compute_format_data = before

        hook.compute_format_data = compute_format_data
        self._shell.events.register("post_run_cell", self._after_cell)
        return uninstall

    def _after_cell(self, _: object) -> None:
        self.finish()

    def _display(self, thing: object) -> bool:
        """Display a thing that has not ended; whether that is done."""
        kind = next((kind for of, kind in self._kinds.items() if isinstance(thing, of)), None)
        # A terminal can only print: there an update would be one more line.
        if kind is None or type(self._shell.display_pub) is DisplayPublisher:
            return False
        if not kind.lives(thing):
            return False
        display = uuid.uuid4().hex
        with self._lock:  # before it is shown, or its end might be missed
            _, ids = self._shown.setdefault(thing, (kind, []))
            ids.append(display)
            del ids[:-REPLACED]
        self._publish(display, kind.show(thing), update=False)
        return True

    def finish(self) -> None:
        """Replace the displays of what has ended; in the main thread alone, and once."""
        if threading.current_thread() is not threading.main_thread():
            return
        with self._lock:
            ended = [thing for thing, (kind, _) in self._shown.items() if not kind.lives(thing)]
            shown = [(thing, *self._shown.pop(thing)) for thing in ended]
        for thing, kind, ids in shown:
            bundle = kind.show(thing)
            for display in ids:
                self._publish(display, bundle, update=True)

    def _publish(self, display: str, bundle: Bundle, *, update: bool) -> None:
        data, metadata = bundle
        self._shell.display_pub.publish(
            data, metadata, transient={"display_id": display}, update=update
        )
