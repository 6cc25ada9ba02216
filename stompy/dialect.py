"""What differs between brokers, as one table keyed on the ``server`` header of CONNECTED.

The specification leaves to the broker how a subscription is bounded, filtered and kept. `subscribe`
has one word for each; here is what each broker calls it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from stompy.errors import STOMPError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Dialect(NamedTuple):
    """How one broker wants things said. A header that is None is one that it does not have.

    Attributes:
        name: the broker, for people.
        prefetch: the header of SUBSCRIBE that bounds how many messages may be unacknowledged.
        selector: the header of SUBSCRIBE that holds a condition on messages.
        durable: the header of SUBSCRIBE that names a durable subscription; ``"id"`` where its id
            is the name.
        durable_more: what else SUBSCRIBE and UNSUBSCRIBE say of a durable subscription.
        durable_client_id: whether CONNECT needs a ``client-id`` for one.
        delete_apart: whether a durable subscription is deleted by an UNSUBSCRIBE of its own.
    """

    name: str
    prefetch: str | None = None
    selector: str | None = None
    durable: str | None = None
    durable_more: Mapping[str, str] = {}
    durable_client_id: bool = False
    delete_apart: bool = False

    def subscribe_headers(
        self,
        prefetch: int | None,
        selector: str | None,
        durable: str | None,
        client_id: str | None = None,
    ) -> dict[str, str]:
        """The headers of SUBSCRIBE for what `STOMPClient.subscribe` was asked.

        Raises:
            STOMPError: this broker has no such thing, or wants a ``client-id`` for it.
        """
        headers: dict[str, str] = {}
        if prefetch is not None:
            headers[self._need("prefetch")] = str(prefetch)
        if selector is not None:
            headers[self._need("selector")] = selector
        if durable is not None:
            headers |= {self._need("durable"): durable, **self.durable_more}
            if self.durable_client_id and not client_id:
                raise STOMPError(
                    f"{self.name} keeps a durable subscription for a client-id, and there is none",
                    hint='connect with headers={"client-id": …}',
                )
        return headers

    def _need(self, what: str) -> str:
        header: str | None = getattr(self, what)
        if header is None:
            raise STOMPError(
                f"{what}= is not known for {self.name}",
                hint="say it in the broker's own headers: headers={…}",
            )
        return header


UNKNOWN = Dialect("this broker", selector="selector")  # STOMP 1.0, "SUBSCRIBE", has that one

_BY_SERVER = {
    "RabbitMQ": Dialect(
        "RabbitMQ",
        prefetch="prefetch-count",
        durable="id",
        durable_more={"durable": "true", "auto-delete": "false"},
    ),
    # Before ActiveMQ, which its name begins with. Its prefetch is counted in octets.
    "ActiveMQ-Artemis": Dialect(
        "Artemis",
        selector="selector",
        durable="durable-subscription-name",
        durable_client_id=True,
    ),
    "ActiveMQ": Dialect(
        "ActiveMQ",
        prefetch="activemq.prefetchSize",
        selector="selector",
        durable="activemq.subscriptionName",
        durable_client_id=True,
        delete_apart=True,
    ),
    "stompy": Dialect("the embedded broker", prefetch="prefetch-count", selector="selector"),
}


def dialect_of(server: str) -> Dialect:
    """The dialect of the broker with this ``server`` header.

    Example:
        >>> dialect_of("RabbitMQ/3.10.8").prefetch, dialect_of("").name
        ('prefetch-count', 'this broker')
    """
    return next((d for name, d in _BY_SERVER.items() if server.startswith(name)), UNKNOWN)
