"""What the tests of sessions and streams share: clients of the same broker, callbacks that wait."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from stompy import ReconnectPolicy
from tests.unit.peer import TIMEOUT

if TYPE_CHECKING:
    from stompy import STOMPClient, STOMPFrame

SOON = ReconnectPolicy(first=0.01, cap=0.02)
"""Comes back about as soon as it can."""


def settled(client: STOMPClient) -> None:
    """Wait until the broker has handled all that this client has sent."""
    receipt = client.send("SEND", destination="/topic/nobody", receipt=True)
    assert client.recv(timeout=5)["receipt-id"] == receipt


def waiting_in(client: STOMPClient, queue: str) -> list[str]:
    """The bodies that wait in a queue, which is empty then."""
    sub_id = client.subscribe(queue, receipt="subscribed")
    bodies = []
    while (frame := client.recv(timeout=5)) is not None:
        if frame.Command == "RECEIPT":
            client.unsubscribe(sub_id)
            return bodies
        bodies.append(frame.text)
    raise AssertionError("the connection closed")


class Gate:
    """A callback that notes the bodies it gets, and stays in its calls until it is opened."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        self._entered = threading.Event()
        self._open = threading.Event()

    def __call__(self, frame: STOMPFrame) -> None:
        self.bodies.append(frame.text)
        self._entered.set()
        assert self._open.wait(TIMEOUT), "the gate was not opened"

    def reached(self) -> None:
        """Wait until it was called."""
        assert self._entered.wait(TIMEOUT), "the callback was not called"

    def open(self) -> None:
        """Let the call, and all to come, return."""
        self._open.set()


def threads_of_sessions() -> list[threading.Thread]:
    """The threads of sessions that still run; those of brokers and heart-beats are not theirs."""
    ours = "stomp-reader", "stomp-callbacks"
    return [thread for thread in threading.enumerate() if thread.name.startswith(ours)]
