"""stompy: a STOMP client for Python, with nothing beyond the standard library.

>>> client = stompy.connect(("127.0.0.1", 61613))
>>> client.subscribe("/topic/prices")
>>> for frame in client:
...     print(frame.destination, frame.text)
"""

from stompy.client import STOMPClient, connect
from stompy.errors import (
    STOMPAddressError,
    STOMPBodyError,
    STOMPClosed,
    STOMPConnectError,
    STOMPError,
    STOMPProtocolError,
    STOMPTimeout,
)
from stompy.frame import AckMode, STOMPFrame
from stompy.receipt import Receipt, ReceiptOutcome
from stompy.reconnect import ClientState, ReconnectPolicy
from stompy.subscription import STOMPSubscription
from stompy.trace import Tape, TracedFrame
from stompy.transaction import STOMPTransaction

__version__ = "0.1.0"

__all__ = [
    "AckMode",
    "ClientState",
    "Receipt",
    "ReceiptOutcome",
    "ReconnectPolicy",
    "STOMPAddressError",
    "STOMPBodyError",
    "STOMPClient",
    "STOMPClosed",
    "STOMPConnectError",
    "STOMPError",
    "STOMPFrame",
    "STOMPProtocolError",
    "STOMPSubscription",
    "STOMPTimeout",
    "STOMPTransaction",
    "Tape",
    "TracedFrame",
    "connect",
]
