"""The embedded broker of this process: the address of those who name none."""

from __future__ import annotations

import threading

from stompy.broker import Broker

_broker = Broker()
_lock = threading.Lock()


def embedded_broker() -> Broker:
    """The one embedded broker of this process, started when first asked for."""
    with _lock:
        return _broker.start()


def stop_embedded_broker() -> None:
    """Stop it; its queues are gone. Does nothing when it does not run."""
    with _lock:
        _broker.stop()
