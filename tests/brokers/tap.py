"""A relay in front of a broker: what a client says can be read there, and the line be cut."""

import io
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.brokers.servers import Server
from tests.processes import HOST
from tests.unit.peer import TIMEOUT, Link, Received


class Tap:
    """A relay in front of a broker, in which the client's frames can be read.

    What the broker says can be held back, in the middle of a frame too, and the line can be cut.
    They are taken apart by `Link`, which refuses what no client may send.
    """

    def __init__(self, server: Server) -> None:
        assert server.way == "tcp"
        self._broker = server.host, server.port
        self._listener = socket.create_server((HOST, 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self.said: list[bytearray] = []
        """The octets of the client, for each connection."""
        self.heard = bytearray()
        """The octets of the broker, those that are held back too."""
        self.held = threading.Event()
        """Whether something is held back."""
        self._part = 0.0
        self._flows = threading.Event()
        self._flows.set()
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def sent(self, *commands: str) -> list[Received]:
        """The frames that the client has sent, of these commands if any are named.

        They are complete up to the last one that the broker has answered.
        """
        frames: list[Received] = []
        for octets in self.said:
            link = Link(_Written(bytes(octets)), frames)
            while link.read():
                pass
        return [frame for frame in frames if not commands or frame.command in commands]

    def hold(self, part: float = 0.0) -> None:
        """Let through only this part of what the broker says next, and nothing behind it."""
        self._part = part
        self.held.clear()
        self._flows.clear()

    def release(self) -> None:
        """Let everything through."""
        self._flows.set()

    def cut(self) -> None:
        """End the connections, as a broker does that goes down."""
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.release()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._threads[0].join(TIMEOUT)
        self.cut()
        for thread in self._threads:
            thread.join(TIMEOUT)
        for sock in [self._listener, *self._sockets]:
            sock.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                broker = socket.create_connection(self._broker)
                self._sockets.append(broker)
                for sock in client, broker:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                said = bytearray()
                self.said.append(said)
                for work in (self._forward, client, broker, said), (self._answer, broker, client):
                    thread = threading.Thread(target=self._pump, args=work, daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _pump(self, work: Callable[..., None], source: socket.socket, *more: Any) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                work(data, *more)
        for sock in source, more[0]:  # the end of one side is the end of the other
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _forward(self, data: bytes, broker: socket.socket, said: bytearray) -> None:
        said += data
        broker.sendall(data)

    def _answer(self, data: bytes, client: socket.socket) -> None:
        self.heard += data
        if not self._flows.is_set():
            now = int(len(data) * self._part)
            client.sendall(data[:now])
            data = data[now:]
            self.held.set()
            self._flows.wait(TIMEOUT)
        client.sendall(data)


class _Written:
    """Octets, as a `Link` reads them."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def settimeout(self, _: float) -> None:
        pass

    def makefile(self, _: str) -> io.BytesIO:
        return io.BytesIO(self._octets)
