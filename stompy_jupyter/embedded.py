"""The embedded broker of this process: the address of those who name none."""

from __future__ import annotations

import threading
from typing import Any

from stompy import STOMPError
from stompy.broker import Broker

_broker = Broker()
_options: dict[str, Any] = {}
_lock = threading.Lock()


def embedded_broker(start: bool = True) -> Broker:
    """The one embedded broker of this process, started if it is not, unless that is not wanted."""
    with _lock:
        return _broker.start() if start else _broker


def start_embedded_broker(**options: Any) -> Broker:
    """Start it, with the arguments of `stompy.broker.Broker`; it may run already with the same.

    Raises:
        STOMPError: it runs with others.
        OSError: an address is taken or not to be had.

    Example:
        >>> start_embedded_broker(port=61613, websocket_port=15674)
    """
    global _broker, _options
    with _lock:
        if _broker.running and options not in ({}, _options):
            raise STOMPError(
                f"the embedded broker runs already, with other arguments: {_broker!r}",
                hint="%stomp_broker stop; its queues will be gone",
            )
        if not _broker.running and options != _options:
            _broker, _options = Broker(**options).start(), options
        return _broker.start()


def stop_embedded_broker() -> None:
    """Stop it; its queues are gone. Does nothing when it does not run."""
    with _lock:
        _broker.stop()
