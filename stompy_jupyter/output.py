"""Output of another thread, put under the cell that it belongs to."""

from __future__ import annotations

import contextvars
import sys
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


class Output:
    """Where output goes that is written here and now: in a notebook, to this cell.

    ipykernel keeps the cell of what is printed in context variables, so that a copy of the context
    brings it to any thread. Up to ipykernel 6 it keeps that of what is displayed elsewhere; there
    a hook, which is the thread's own, puts it in.

    Example:
        >>> here = Output()
        >>> threading.Thread(target=here.run, args=(print, "hello")).start()
        hello
    """

    def __init__(self) -> None:
        self._context = contextvars.copy_context()
        self._cell = getattr(_display_publisher(), "parent_header", None)

    def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function whose output goes there; in any thread, also in several at once."""
        publisher = _display_publisher()
        run = self._context.copy().run  # one context cannot be entered twice
        if self._cell is None or not hasattr(publisher, "register_hook"):
            return run(function, *args, **kwargs)
        publisher.register_hook(self._place)
        try:
            return run(function, *args, **kwargs)
        finally:
            publisher.unregister_hook(self._place)

    def _place(self, message: dict[str, Any]) -> dict[str, Any]:
        message["parent_header"] = self._cell
        return message


def _display_publisher() -> Any:
    """What displays in this process; None where no IPython runs."""
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return shell and shell.display_pub
