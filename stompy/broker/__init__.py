"""An embedded STOMP broker, for lessons, notebooks and tests.

It serves one machine and keeps nothing after it stops; beyond that, RabbitMQ or ActiveMQ take its
place under another address.

>>> with Broker() as broker:
...     client = stompy.connect(broker.address)
"""

from stompy.broker.faults import Faults
from stompy.broker.limits import Limits
from stompy.broker.server import Broker

__all__ = ["Broker", "Faults", "Limits"]
