"""A subscription as an object: what was asked for, and how its messages are acknowledged."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from stompy.frame import AckMode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stompy.client import STOMPClient
    from stompy.receipt import Receipt


class STOMPSubscription:
    """One subscription of a client (STOMP 1.2, "SUBSCRIBE").

    Attributes:
        id: the subscription's id, unique in its connection.
        destination: what was subscribed to.
        ack_mode: an `AckMode`.
        send_acks: whether the client acknowledges by itself.
        durable: its name, if it is durable.
        headers: those of its SUBSCRIBE.
        receipt: the `Receipt` of its SUBSCRIBE, if one was asked for.
    """

    def __init__(
        self,
        client: STOMPClient,
        ack_mode: AckMode,
        send_acks: bool,
        durable: str | None,
        headers: Mapping[str, str],
    ) -> None:
        self._client = weakref.ref(client)  # so that a forgotten client goes at once
        self.id = headers["id"]
        self.destination = headers["destination"]
        self.ack_mode = ack_mode
        self.send_acks = send_acks and ack_mode is not AckMode.Auto
        self.durable = durable
        self.headers = headers
        self.receipt: Receipt | None = None

    def unsubscribe(self) -> None:
        """End the subscription."""
        client = self._client()
        if client is not None:
            client.unsubscribe(self.id)

    def __repr__(self) -> str:
        return f"<STOMPSubscription {self.id} {self.destination} ack={self.ack_mode}>"
