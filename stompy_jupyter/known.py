"""What can be named in a notebook: for completion, which must be quick and start nothing."""

from __future__ import annotations

import builtins
import contextlib
import json
import keyword
import os
import re
import threading
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote as percent_encoded

import pandas as pd
from IPython.core.error import UsageError

from stompy import STOMPAddressError, STOMPClient, STOMPFrame, TracedFrame
from stompy.address import PORTS, UNIX, Address, parse_addresses
from stompy_jupyter.batch import USUAL
from stompy_jupyter.embedded import embedded_broker
from stompy_jupyter.replaying import ReplaySession
from stompy_jupyter.session import StompSession
from stompy_jupyter.stream import FrameStream
from stompy_jupyter.trace import TraceEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from stompy_jupyter.notebook import Notebook

T = TypeVar("T")

PATIENCE = 0.015
"""Seconds that the broker or a table is waited for: who types does not want to wait."""

MAX_STREAMS = 10
"""So many streams, the newest, are asked for headers."""

MAX_FRAMES = 50
"""So many frames that wait to be acknowledged are offered."""

MAX_BODIES = 5
"""So many bodies, the newest of a stream, are read for the names in their JSON."""

MAX_BODY = 16_384
"""A body longer than this, in characters, is not read; nor is more of a cell that is typed."""

CAPTURES = (".stompcap", ".stompcap.gz")
"""What the names of captures end in."""

# -- what is known of STOMP ------------------------------------------------------------------

HEADERS: Mapping[str, Sequence[str]] = {
    "stomp_connect": ("client-id", "accept-version"),
    "stomp_send": (
        *("content-type", "persistent", "priority", "expires", "expiration", "reply-to"),
        *("correlation-id", "type", "receipt", "JMSXGroupID", "AMQ_SCHEDULED_DELAY"),
    ),
    "stomp_subscribe": (
        *("selector", "prefetch-count", "durable", "auto-delete", "exclusive", "x-queue-name"),
        *("activemq.prefetchSize", "activemq.subscriptionName", "activemq.retroactive"),
        *("activemq.exclusive", "activemq.priority", "durable-subscription-name", "no-local"),
    ),
}
"""What a client may say in CONNECT, SEND and SUBSCRIBE (STOMP 1.2), and what RabbitMQ, ActiveMQ
and Artemis know beyond that; without what arguments of the magics say."""

_YES_NO = ("persistent", "durable", "auto-delete", "exclusive", "no-local")
HEADER_VALUES: Mapping[str, Sequence[str]] = {
    **dict.fromkeys((*_YES_NO, "activemq.exclusive", "activemq.retroactive"), ("true", "false")),
    "accept-version": ("1.2", "1.1,1.2", "1.0,1.1,1.2"),
    "content-type": (
        *("application/json", "text/plain", "text/plain;charset=utf-8", "text/csv"),
        *("application/xml", "application/octet-stream"),
    ),
    "priority": tuple("0123456789"),
}

OF_MESSAGE = ("destination", "message-id", "subscription", "content-type", "content-length")
"""The headers of MESSAGE (STOMP 1.2) that a table does not show by their own names."""

OF_FRAME = ("text", "json", "destination", "get", "Headers", "Body", "Command", "ack", "nack")
OF_CLIENT = tuple(
    name for name in dir(STOMPClient) if not name.startswith("_") and name != "connection_ended"
)
OF_OBJECT = {"frame": OF_FRAME, "client": OF_CLIENT}
"""What the two names of %%stomp_on have to offer."""

# -- what there is to be named ---------------------------------------------------------------

PREFIXES = ("/topic/", "/queue/")
SCHEMES = (*(f"{scheme}://" for scheme in PORTS), f"{UNIX}:///")

_SECRET = re.compile(r"PASS|TOKEN|SECRET|KEY", re.IGNORECASE)


class Known:
    """What can be named in a notebook. Nothing here connects, starts a broker, or waits long."""

    def __init__(self, notebook: Notebook) -> None:
        self.notebook = notebook

    def variables(self, kind: type) -> list[str]:
        """The variables of that kind, without IPython's own."""
        # By type(): isinstance() may run code of whatever a variable holds.
        named = [name for name, value in self._user_ns() if issubclass(type(value), kind)]
        return [name for name in named if not name.startswith("_")]

    def _user_ns(self) -> list[tuple[str, Any]]:
        """All variables, the newest first."""
        return list(self.notebook.shell.user_ns.items())[::-1]

    def values(self) -> list[str]:
        """The variables that can be filled into a text: no functions, modules, or IPython's own."""
        hidden = self.notebook.shell.user_ns_hidden
        return [
            name
            for name, value in self._user_ns()
            if not name.startswith("_")
            and name not in hidden
            and not (callable(value) or issubclass(type(value), ModuleType))
        ]

    def free_name(self, destination: str) -> str:
        """What a destination could be called: its last part, if nothing is called so."""
        name = re.sub(r"\W", "_", destination.rpartition("/")[2])
        taken = name in self.notebook.shell.user_ns or hasattr(builtins, name)
        return name if name.isidentifier() and not (taken or keyword.iskeyword(name)) else ""

    def captures(self, begun: str) -> list[str]:
        """The captures in the folder of a path that is begun, and the folders in it."""
        folder = begun[: begun.rfind("/") + 1]
        found = _within(PATIENCE, lambda: _captures_in(folder or "."))
        return [folder + name for name in sorted(found, key=lambda name: (name[-1] == "/", name))]

    def functions(self) -> list[str]:
        """The names of the user's functions."""
        return self.variables(FunctionType)

    def data_frames(self) -> list[str]:
        """The variables that are DataFrames."""
        return self.variables(pd.DataFrame)

    def sessions(self) -> list[str]:
        """The names of sessions, the newest first."""
        named = [session.name for session in reversed(self.notebook.sessions.values())]
        return [*named, *self.variables(StompSession)]

    def streams(self) -> list[str]:
        """The names of streams, the newest first."""
        return [*reversed(self.notebook.streams()), *self.variables(FrameStream)]

    def named(self, names: Sequence[str]) -> list[FrameStream]:
        """The stream of that name; the newest without one; none if there is none."""
        with contextlib.suppress(UsageError):
            return [self.notebook.stream(*names)]
        return []

    def destinations(self) -> list[str]:
        """The destinations that were seen, the newest first, and what they usually begin with."""
        subscribed = [stream.destination for stream in reversed(self.notebook.streams().values())]
        of_broker = _within(PATIENCE, lambda: _of_broker("destinations", "destination"))
        return [*reversed(self.notebook.destinations), *subscribed, *of_broker, *PREFIXES]

    def clients(self) -> list[str]:
        """The clients of the embedded broker."""
        return _within(PATIENCE, lambda: _of_broker("clients", "client"))

    def addresses(self) -> list[str]:
        """The addresses of sessions, that in ``$STOMPY_URL`` without its passcode, the usual."""
        sessions = reversed(self.notebook.sessions.values())
        known = [s.address for s in sessions if not isinstance(s, ReplaySession)]
        with contextlib.suppress(STOMPAddressError):
            known += map(_url, parse_addresses(os.environ.get("STOMPY_URL")))
        return [*known, f"localhost:{PORTS['stomp']}", *SCHEMES]

    def environment(self) -> list[str]:
        """The names of environment variables, first those that sound like a passcode."""
        return sorted(os.environ, key=lambda name: (not _SECRET.search(name), name))

    def unacknowledged(self, names: Sequence[str]) -> list[str]:
        """The numbers of the frames of a stream that wait for an answer."""
        streams = self.named(names)
        numbers = _within(PATIENCE, lambda: (n for s in streams for n in s.unacknowledged))
        return list(map(str, numbers[:MAX_FRAMES]))

    def explained(self) -> list[str]:
        """What can be explained: variables with a frame or octets, streams, frames by number."""
        kinds = bytes, STOMPFrame, TraceEntry, TracedFrame
        variables = [name for kind in kinds for name in self.variables(kind)]
        with contextlib.suppress(UsageError):
            passed = self.notebook.trace().newest(MAX_FRAMES)
            return [*variables, *self.streams(), *(str(e.number) for e in reversed(passed))]
        return [*variables, *self.streams()]

    def headers(self, names: Sequence[str] | None = None) -> list[str]:
        """The headers that messages had: those of one stream, or of all; beyond the usual ones."""
        every = list(reversed(self.notebook.streams().values()))[:MAX_STREAMS]
        streams = every if names is None else self.named(names)
        found = _within(PATIENCE, lambda: (name for s in streams for name in s.table.headers))
        return [name for name in dict.fromkeys(found) if name not in USUAL]

    def header_values(self, header: str) -> Sequence[str]:
        """What stands in a header as a rule."""
        return self.destinations() if header == "reply-to" else HEADER_VALUES.get(header, ())

    def properties(self, destination: str) -> list[str]:
        """The names in the newest JSON objects that came from there, as JSON has them."""
        streams = [s for s in self.notebook.streams().values() if s.destination == destination]
        rows = _within(
            PATIENCE, lambda: (row for s in streams for row in s.table.last(MAX_BODIES)[1])
        )
        names = dict.fromkeys(name for row in rows for name in _names_in(row["body"]))
        return [json.dumps(name, ensure_ascii=False)[1:-1] for name in names]


def _names_in(body: object) -> list[str]:
    """The names of a JSON object, if a body is one and no long one."""
    if not isinstance(body, str | bytes) or len(body) > MAX_BODY:
        return []
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(body)
        return list(value) if isinstance(value, dict) else []
    return []


def _captures_in(folder: str) -> Iterator[str]:
    """The names of the captures in a folder, and of its folders, with a slash behind."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(CAPTURES):
                yield entry.name
            elif entry.is_dir() and not entry.name.startswith("."):
                yield f"{entry.name}/"


def _of_broker(look: str, column: str) -> list[str]:
    """What the embedded broker names, if it runs."""
    broker = embedded_broker(start=False)
    return [row[column] for row in getattr(broker, look)()] if broker.running else []


def _url(address: Address) -> str:
    """An address as a URL without its passcode; nor the query of a WebSocket, which may be one."""
    scheme, _, place = str(address).rpartition("://")
    login = f"{percent_encoded(address.login, safe='')}@" if address.login else ""
    vhost = f"/{percent_encoded(address.vhost, safe='')}" if address.vhost else ""
    return f"{scheme or 'stomp'}://{login}{place}{vhost}" if scheme or login or vhost else place


def _within(seconds: float, find: Callable[[], Iterable[T]]) -> list[T]:
    """What is found in so many seconds, or before it fails.

    The broker answers when it has time, and a lock may be held by whoever starts or stops it.
    """
    found: list[T] = []
    late = threading.Event()

    def look() -> None:
        with contextlib.suppress(Exception):
            for one in find():
                if late.is_set():
                    return
                found.append(one)

    thread = threading.Thread(target=look, name="stompy completion", daemon=True)
    thread.start()
    thread.join(seconds)
    late.set()
    return list(found)
