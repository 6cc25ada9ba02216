"""`Broker`: what a program has of an embedded broker."""

from __future__ import annotations

import itertools
import threading
import weakref
from typing import TYPE_CHECKING

from stompy.broker.destinations import Destinations
from stompy.broker.engine import Engine
from stompy.broker.events import EventLog
from stompy.broker.faults import NO_FAULTS, Faults
from stompy.broker.limits import Limits
from stompy.broker.listeners import ListenAt
from stompy.broker.session import Rules
from stompy.errors import STOMPError
from stompy.tls import TLSOptions

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence
    from typing import Self

    from stompy.tls import StrPath

_numbers = itertools.count(1)
"""Those of the messages of all brokers in this process: whoever has seen one does not see it again
as another."""


class Broker:
    """A STOMP 1.0, 1.1 and 1.2 broker in this process: for lessons, notebooks and tests.

    It is for one machine, and all is in memory: queues and topics are gone when it stops. Beyond
    that, RabbitMQ or ActiveMQ take its place, with the same clients and another address.

    ``/topic/…`` goes to all subscribers of the moment; ``.`` or ``/`` separate words, and in a
    SUBSCRIBE ``*`` stands for one and ``>`` at the end for any number. ``/temp-queue/…`` is a
    client's own, for replies: as ``reply-to`` it gets a name that others can send to. Everything
    else is a queue: each message goes to one subscriber, in turn and in order, and waits while
    there is none. A message that was refused by NACK comes again, marked ``redelivered``, and
    after `Limits.max_deliveries` goes to ``/queue/DLQ.<name>``. SUBSCRIBE takes
    ``prefetch-count`` and ``selector``.

    A queue that is full refuses more, by ERROR. A client that does not read is held back: its
    queues keep their messages, its topics the newest ones.

    Args:
        host: the interface to listen on; by default this machine alone can connect.
        port: the port; 0 takes a free one, as for the others.
        unix_path: a Unix socket to listen on as well; who may use it is a matter of its folder.
        tls_port: a port for TLS.
        websocket_port: a port for WebSockets (extra ``ws``), for browsers.
        wss_port: a port for WebSockets over TLS.
        tls: how to speak TLS, as an `ssl.SSLContext`, or
        cert_file, key_file, key_password: by what certificate.
        origins: web pages that may open WebSockets, as ``"https://host"``; ``"*"`` for all,
            ``"null"`` for files.
            Those of this machine, and of the IP address that they connect to, always may.
        logins: passcodes by login; without it everybody is let in.
        heart_beat: ``(can, want)``: how often beats can be sent and are wanted, in milliseconds.
        limits: what it bounds.

    Raises:
        STOMPError: an argument is not what it should be, TLS is asked for without a certificate, or
            with one that cannot be used.

    Example:
        >>> with Broker() as broker:
        ...     client = stompy.connect(broker.address)
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        unix_path: StrPath | None = None,
        tls_port: int | None = None,
        websocket_port: int | None = None,
        wss_port: int | None = None,
        tls: ssl.SSLContext | None = None,
        cert_file: StrPath | None = None,
        key_file: StrPath | None = None,
        key_password: str | None = None,
        origins: Sequence[str] = (),
        logins: Mapping[str, str] | None = None,
        heart_beat: tuple[int, int] = (100, 100),
        limits: Limits = Limits(),  # noqa: B008  -- it is frozen
    ) -> None:
        for each in (port, tls_port, websocket_port, wss_port):
            if each is not None and not (isinstance(each, int) and 0 <= each <= 65535):
                raise STOMPError(f"{each!r} is no port", hint="0 takes a free one")
        if not _are_intervals(heart_beat):
            raise STOMPError(
                f"heart_beat={heart_beat!r} is no pair of milliseconds", hint="(0, 0) is none"
            )
        for login, passcode in (logins or {}).items():
            if not (isinstance(login, str) and isinstance(passcode, str) and passcode):
                raise STOMPError(f"the passcode of {login!r} is no text, or empty")
        options = TLSOptions(tls, cert_file, key_file, key_password=key_password)
        tls = options.server_context()
        if tls is None and not (tls_port is None and wss_port is None):
            raise STOMPError("TLS needs a certificate", hint="cert_file= and key_file=, or tls=")
        origins = [origins] if isinstance(origins, str) else origins
        known = tuple(map(_origin, origins))
        self._where = ListenAt(
            host, port, unix_path or None, tls_port, websocket_port, wss_port, tls, known
        )
        self._logins = None if logins is None else dict(logins)
        self._heart_beat = heart_beat
        self._limits = limits
        self._log = EventLog()
        self._starting = threading.RLock()  # two who start it start one
        self._engine: Engine | None = None
        self._port = 0  # the one it had when it ran
        self._finalizer: weakref.finalize[[], Broker] | None = None

    # -- running -----------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether it listens."""
        return self._engine is not None

    @property
    def address(self) -> tuple[str, int]:
        """``(host, port)`` of the running broker, as `stompy.connect` takes it.

        Raises:
            STOMPError: it does not run.
        """
        return self._running().listeners.address

    @property
    def urls(self) -> dict[str, str]:
        """Where the running broker listens, by scheme, as `stompy.connect` takes it.

        Example:
            >>> Broker(websocket_port=0).start().urls
            {'stomp': 'stomp://127.0.0.1:40415', 'ws': 'ws://127.0.0.1:36719'}
        """
        return dict(self._running().listeners.urls)

    def start(self) -> Self:
        """Listen. Does nothing when it runs already.

        A broker that had a free port and was stopped takes the same again, unless somebody else
        has it now: so clients that come back find it.

        Raises:
            OSError: an address is taken or not to be had.
            STOMPError: WebSockets are asked for and the library is not installed.
        """
        with self._starting:
            if self._engine is None:
                self._engine = engine = self._started()
                # The engine's thread knows nothing of the Broker: a forgotten one can go.
                self._finalizer = weakref.finalize(self, engine.stop)
        return self

    def _started(self) -> Engine:
        again = self._where._replace(port=self._where.port or self._port)
        try:
            engine = self._listening(again)
        except OSError:
            if again == self._where:
                raise
            engine = self._listening(self._where)
        self._port = engine.listeners.address[1]
        return engine

    def _listening(self, where: ListenAt) -> Engine:
        destinations = Destinations(self._limits, self._log, _numbers)
        rules = Rules(destinations, self._log, self._limits, self._heart_beat, self._logins)
        engine = Engine(where, rules)
        engine.start()
        return engine

    def stop(self) -> None:
        """Close all connections and stop listening; twice is fine."""
        with self._starting:
            if self._finalizer is not None:
                self._finalizer()
            self._engine = self._finalizer = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        if self._engine is None:
            return "<Broker, stopped>"
        host, port = self._engine.listeners.address
        others = [url for scheme, url in self._engine.listeners.urls.items() if scheme != "stomp"]
        return f"<Broker at {', '.join([f'{host}:{port}', *others])}>"

    # -- looking -----------------------------------------------------------------------------

    def stats(self) -> dict[str, object]:
        """Figures of the whole broker since it was started.

        ``seconds`` it has run; ``clients`` there are, and ``clients_ever``; ``octets`` that
        messages take in memory; messages as in `destinations`, all together; ``frames_…`` and
        ``octets_received``, ``…_sent``.

        Raises:
            STOMPError: it does not run.
        """
        engine = self._running()
        return engine.call(engine.stats)

    def destinations(self) -> list[dict[str, object]]:
        """The queues and topics that there are: those with messages or with subscribers, and the
        temp queues of the clients that there are.

        Each has ``destination``, ``kind``, ``subscribers``; ``waiting`` and ``unacknowledged``
        messages and the ``octets`` they take; and how many it has ``received``, ``delivered``,
        ``redelivered``, ``acknowledged``, ``dead_lettered`` and ``dropped``.

        Example:
            >>> pd.DataFrame(broker.destinations())
        """
        engine = self._running()
        return engine.call(engine.rules.destinations.described)

    def clients(self) -> list[dict[str, object]]:
        """The clients that are connected.

        Each has ``client`` (its ``session`` header, and its name for `set_faults` and `drop`),
        ``scheme``, ``address``, ``connected_at`` (seconds since the epoch), ``login``,
        ``version``, ``heart_beat`` (as agreed, in ms: how often the broker sends, and hears),
        ``subscriptions`` (their destinations), messages that are ``unacknowledged``, ``waiting``
        because it does not read topics, or ``dropped`` for that, open ``transactions``, octets
        ``unsent``, and ``frames_…`` and ``octets_received``, ``…_sent``.
        """
        engine = self._running()
        return engine.call(engine.clients)

    def events(self) -> list[dict[str, object]]:
        """The newest 1000 events, oldest first; also of a broker that has stopped.

        Each has ``time`` (seconds since the epoch), ``event``, ``client``, ``destination`` and
        ``detail``. The logger ``stompy.broker`` has them at INFO.

        Example:
            >>> events = pd.DataFrame(broker.events())
            >>> events["time"] = pd.to_datetime(events["time"], unit="s", utc=True)
        """
        return self._log.events()

    # -- faults ------------------------------------------------------------------------------

    @property
    def faults(self) -> Faults:
        """What goes wrong with all clients for whom nothing else was said."""
        return self._running().faults

    def set_faults(self, faults: Faults = NO_FAULTS, client: str | None = None) -> None:
        """Let these things go wrong from now on, and no others; without arguments nothing.

        Args:
            faults: what goes wrong.
            client: with whom, by its name in `clients`; None for all, also those to come.

        Raises:
            STOMPError: there is no such client.

        Example:
            >>> broker.set_faults(Faults(no_receipts=True))
        """
        if not isinstance(faults, Faults):
            raise STOMPError(f"{faults!r} is no Faults", hint="set_faults(Faults(slow=1))")
        engine = self._running()
        engine.call(lambda: engine.set_faults(faults, client))

    def drop(self, client: str | None = None) -> None:
        """Cut the connection of a client, or of all, without a word.

        Raises:
            STOMPError: there is no such client.
        """
        engine = self._running()
        engine.call(lambda: engine.drop(client))

    def _running(self) -> Engine:
        if self._engine is None:
            raise STOMPError("the broker is not running", hint="start() it, or use `with`")
        return self._engine


def _are_intervals(value: object) -> bool:
    """Whether it is two intervals in milliseconds, as `heartbeat.agree` takes them."""
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and all(isinstance(each, int) and 0 <= each < 10**9 for each in value)
    )


def _origin(text: str) -> str:
    """An origin as browsers write it: scheme, host and perhaps port, in small letters."""
    scheme, separator, host = text.lower().rstrip("/").partition("://")
    if text not in ("*", "null") and not (scheme and separator and host and "/" not in host):
        raise STOMPError(f"{text!r} is no origin", hint="write https://host, or https://host:port")
    return text.lower().rstrip("/")
