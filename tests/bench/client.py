"""What a frame costs: CPU seconds, receiving and sending, beside other clients and the floor.

Run by hand, from the root of the repository; it takes about a minute:

    pip install -r tests/bench/requirements.txt
    python -m tests.bench.client
    python -m tests.bench.client --profile    # where stompy's time goes, by cProfile

Every contender runs in a process of its own, three times, and the best run counts. The server is
in this process, on the loopback interface: what it costs is counted for nobody. It sends frames
that were encoded before, with eight headers, ids that differ and JSON bodies of 200 octets, and
throws away what it is sent. A contender reads the destination and the body of each frame through
its public API; the floor receives, splits at NUL, and splits head from body.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOST = "127.0.0.1"
REPETITIONS = 3
TOTAL_SECONDS = 160.0
RUN_SECONDS = 20.0
READ_SIZE = 64 * 1024
BLOCK = 10_000
"""So many messages are encoded; a larger number of frames is these again."""

BODY = json.dumps({"price": 101.25, "text": "x" * 171}).encode()
HEADERS = {"content-type": "application/json", "source": "bench"}
"""What is sent, beside the destination."""


# -- the server ----------------------------------------------------------------------------------


def serve(listener: socket.socket) -> None:
    """Serve one client after the other, for as long as this process lives."""
    while True:
        sock, _ = listener.accept()
        with sock, contextlib.suppress(OSError):  # a client that failed says so itself
            converse(sock)


def converse(sock: socket.socket) -> None:
    """Greet, answer receipts, and send a subscriber as many messages as its destination says."""
    for command, headers in requests(sock):
        if command in ("CONNECT", "STOMP"):
            version = max(headers.get("accept-version", "1.0").split(","))
            # A client that sends heart-beats sends one per minute, which is none in this time.
            sock.sendall(f"CONNECTED\nversion:{version}\nheart-beat:0,60000\n\n\0".encode())
        elif command == "SUBSCRIBE":
            block = messages(headers["destination"], headers["id"])
            for _ in range(int(headers["destination"].rpartition("/")[2]) // BLOCK):
                sock.sendall(block)
        elif "receipt" in headers:
            sock.sendall(f"RECEIPT\nreceipt-id:{headers['receipt']}\n\n\0".encode())


def requests(sock: socket.socket) -> Iterator[tuple[str, dict[str, str]]]:
    """Command and headers of the frames that come in, without those that are SEND."""
    rest = b""
    while data := sock.recv(16 * READ_SIZE):
        *frames, rest = (rest + data).split(b"\0")
        for frame in frames:
            if not frame.startswith(b"SEND"):
                command, *lines = frame.partition(b"\n\n")[0].decode().strip().splitlines()
                yield command, dict(line.split(":", 1) for line in lines)


def messages(destination: str, subscription: str) -> bytes:
    """The octets of BLOCK messages with eight headers each."""
    headers = {
        "subscription": subscription,
        "message-id": "T_{0}@@session-f2mCpTLlhFTSiFxPSDl1Ug@@{0}",
        "destination": destination,
        "ack": "T_{0}@@session-f2mCpTLlhFTSiFxPSDl1Ug@@{0}",
        "content-type": "application/json",
        "persistent": "true",
        "timestamp": "17212345{0}",
        "content-length": str(len(BODY)),
    }
    lines = ("MESSAGE", *(f"{name}:{value}" for name, value in headers.items()), "", "")
    head = "\n".join(lines)
    return b"".join(head.format(i).encode() + BODY + b"\0" for i in range(BLOCK, 2 * BLOCK))


# -- the contenders: each returns the CPU seconds of its process for so many frames ----------------


def queue(frames: int) -> str:
    """The destination whose subscriber is sent so many messages."""
    return f"/queue/{frames}"


def seconds_since(start: float, octets: int, frames: int) -> float:
    """The CPU seconds of all threads since `start`, if all destinations and bodies were read."""
    seconds = time.process_time() - start
    expected = frames * (len(queue(frames)) + len(BODY))
    if octets != expected:
        raise ValueError(f"{octets} octets were read instead of {expected}")
    return seconds


def receive_floor(port: int, frames: int) -> float:
    with by_hand(port) as sock:
        start = time.process_time()
        sock.sendall(f"SUBSCRIBE\nid:1\ndestination:{queue(frames)}\n\n\0".encode())
        octets = count = 0
        rest = b""
        while count < frames:
            *received, rest = (rest + sock.recv(READ_SIZE)).split(b"\0")
            for frame in received:
                _head, _, body = frame.partition(b"\n\n")
                octets += len(body)
            count += len(received)
        return seconds_since(start, octets + frames * len(queue(frames)), frames)


@contextlib.contextmanager
def by_hand(port: int) -> Iterator[socket.socket]:
    """A session without a client."""
    with socket.create_connection((HOST, port)) as sock:
        sock.sendall(b"CONNECT\naccept-version:1.2\nhost:/\n\n\0")
        while not sock.recv(READ_SIZE).endswith(b"\0"):
            pass
        yield sock


def receive_stompy_iteration(port: int, frames: int) -> float:
    import stompy

    with stompy.connect((HOST, port)) as client:
        start = time.process_time()
        client.subscribe(queue(frames))
        octets = 0
        for frame in itertools.islice(client, frames):
            octets += len(frame["destination"]) + len(frame.Body)
        return seconds_since(start, octets, frames)


def receive_stompy_recv(port: int, frames: int) -> float:
    import stompy

    with stompy.connect((HOST, port)) as client:
        start = time.process_time()
        client.subscribe(queue(frames))
        octets = 0
        for _ in range(frames):
            frame = client.recv()
            assert frame is not None
            octets += len(frame["destination"]) + len(frame.Body)
        return seconds_since(start, octets, frames)


def receive_stompy_loop(port: int, frames: int) -> float:
    import stompy

    octets = left = 0

    def read(_client: stompy.STOMPClient, frame: stompy.STOMPFrame) -> bool:
        nonlocal octets, left
        octets += len(frame["destination"]) + len(frame.Body)
        left -= 1
        return not left

    with stompy.connect((HOST, port)) as client:
        left = frames
        start = time.process_time()
        client.subscribe(queue(frames))
        client.loop(read)
        return seconds_since(start, octets, frames)


def receive_stomp_py(port: int, frames: int) -> float:
    import stomp

    class Reader(stomp.ConnectionListener):  # type: ignore[misc]
        def __init__(self) -> None:
            self.octets = 0
            self.left = frames
            self.done = threading.Event()

        def on_message(self, frame: Any) -> None:
            self.octets += len(frame.headers["destination"]) + len(frame.body)
            self.left -= 1
            if not self.left:
                self.done.set()

    connection = stomp.StompConnection12([(HOST, port)])
    reader = Reader()
    connection.set_listener("", reader)
    connection.connect(wait=True)
    start = time.process_time()
    connection.subscribe(queue(frames), id="1")
    reader.done.wait()
    seconds = seconds_since(start, reader.octets, frames)
    connection.disconnect(receipt="bye")
    return seconds


def receive_stompest(port: int, frames: int) -> float:
    client = stompest_client(port)
    start = time.process_time()
    client.subscribe(queue(frames), {"id": "1"})
    octets = 0
    for _ in range(frames):
        frame = client.receiveFrame()
        octets += len(frame.headers["destination"]) + len(frame.body)
    seconds = seconds_since(start, octets, frames)
    client.disconnect()
    return seconds


def stompest_client(port: int) -> Any:
    """A connected client of stompest."""
    from stompest.config import StompConfig
    from stompest.protocol import StompSpec
    from stompest.sync import Stomp

    client = Stomp(StompConfig(f"tcp://{HOST}:{port}", version=StompSpec.VERSION_1_2))
    client.connect()
    return client


def receive_stompman(port: int, frames: int) -> float:
    async def receive() -> float:
        octets = 0
        left = frames
        done = asyncio.Event()

        async def read(frame: Any) -> None:
            nonlocal octets, left
            octets += len(frame.headers["destination"]) + len(frame.body)
            left -= 1
            if not left:
                done.set()

        def give_up(error: Exception, _frame: Any) -> None:
            raise error

        async with stompman_client(port) as client:
            start = time.process_time()
            subscription = await client.subscribe(
                queue(frames), read, ack="auto", on_suppressed_exception=give_up
            )
            await done.wait()
            seconds = seconds_since(start, octets, frames)
            await subscription.unsubscribe()
        return seconds

    return asyncio.run(receive())


def stompman_client(port: int) -> Any:
    """A client of stompman, to be connected by `async with`."""
    import stompman

    server = stompman.ConnectionParameters(host=HOST, port=port, login="", passcode="")
    return stompman.Client([server])


def send_floor(port: int, frames: int) -> float:
    lines = ("SEND", f"destination:{queue(frames)}", *(f"{n}:{v}" for n, v in HEADERS.items()))
    octets = "\n".join((*lines, f"content-length:{len(BODY)}", "", "")).encode() + BODY + b"\0"
    with by_hand(port) as sock:
        start = time.process_time()
        for _ in range(frames):
            sock.sendall(octets)
        return time.process_time() - start


def send_stompy(port: int, frames: int) -> float:
    import stompy

    with stompy.connect((HOST, port)) as client:
        destination = queue(frames)
        start = time.process_time()
        for _ in range(frames):
            client.message(destination, BODY, headers=HEADERS)
        return time.process_time() - start


def send_stomp_py(port: int, frames: int) -> float:
    import stomp

    connection = stomp.StompConnection12([(HOST, port)])
    connection.connect(wait=True)
    destination = queue(frames)
    start = time.process_time()
    for _ in range(frames):
        connection.send(destination, BODY, headers=HEADERS)
    seconds = time.process_time() - start
    connection.disconnect(receipt="bye")
    return seconds


def send_stompest(port: int, frames: int) -> float:
    client = stompest_client(port)
    destination = queue(frames)
    start = time.process_time()
    for _ in range(frames):
        client.send(destination, BODY, HEADERS)
    seconds = time.process_time() - start
    client.disconnect()
    return seconds


def send_stompman(port: int, frames: int) -> float:
    async def send() -> float:
        async with stompman_client(port) as client:
            destination = queue(frames)
            start = time.process_time()
            for _ in range(frames):
                await client.send(BODY, destination, headers=HEADERS)
            return time.process_time() - start

    return asyncio.run(send())


# -- running them ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Contender:
    """What runs, with so many frames that it takes one to three seconds."""

    name: str
    run: Callable[[int, int], float]
    frames: int


RECEIVING = (
    Contender("floor", receive_floor, 1_500_000),
    Contender("stompy, iteration", receive_stompy_iteration, 600_000),
    Contender("stompy, recv", receive_stompy_recv, 600_000),
    Contender("stompy, loop", receive_stompy_loop, 600_000),
    Contender("stomp.py", receive_stomp_py, 40_000),
    Contender("stompest", receive_stompest, 50_000),
    Contender("stompman", receive_stompman, 10_000),
)
SENDING = (
    Contender("floor", send_floor, 2_000_000),
    Contender("stompy, message", send_stompy, 100_000),
    Contender("stomp.py", send_stomp_py, 100_000),
    Contender("stompest", send_stompest, 100_000),
    Contender("stompman", send_stompman, 50_000),
)
CONTENDERS = {contender.run.__name__: contender for contender in RECEIVING + SENDING}


def run_alone(contender: Contender, port: int, seconds: float, *options: str) -> str:
    """What a contender prints in a process of its own, which is ended after so many seconds."""
    arguments = ["--contender", contender.run.__name__, "--port", str(port)]
    return subprocess.run(
        [sys.executable, *options, "-m", "tests.bench.client", *arguments],
        capture_output=True,
        check=True,
        text=True,
        timeout=seconds,
    ).stdout


def measure(port: int) -> dict[Contender, float]:
    """The frames per CPU second of each contender that can be run; says why one cannot."""
    deadline = time.monotonic() + TOTAL_SECONDS
    best: dict[Contender, float] = {}
    failed: set[Contender] = set()
    # Round by round, so that a machine that is slow for a while is slow for all of them.
    for contender in [*CONTENDERS.values()] * REPETITIONS:
        left = min(RUN_SECONDS, deadline - time.monotonic())
        if contender in failed or left <= 0:
            continue
        try:
            seconds = float(run_alone(contender, port, left))
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            said = error.stderr if isinstance(error, subprocess.CalledProcessError) else ""
            reason = (said.strip().splitlines() or [f"not done in {left:.0f} s"])[-1]
            print(f"{contender.run.__name__} is left out: {reason}", file=sys.stderr)
            failed.add(contender)
        else:
            best[contender] = max(best.get(contender, 0.0), contender.frames / seconds)
    return best


def table(best: dict[Contender, float]) -> str:
    """The results as Markdown; an em dash where there is nothing to compare with."""
    rows = ["| | frames per CPU second | to stomp.py | of the floor |", "|---|---:|---:|---:|"]
    for direction, contenders in (("receiving", RECEIVING), ("sending", SENDING)):
        rates = {one.name: best[one] for one in contenders if one in best}
        for name, rate in rates.items():
            times = f"{rate / rates['stomp.py']:.2f}" if "stomp.py" in rates else "—"
            share = f"{rate / rates['floor']:.1%}" if "floor" in rates else "—"
            rows.append(f"| {direction}: {name} | {rate:,.0f} | {times} | {share} |")
    return "\n".join(rows)


def main() -> None:
    """Run all contenders and print the table; or one of them, as a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", action="store_true", help="show where stompy's time goes")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        contender = CONTENDERS[arguments.contender]
        print(contender.run(arguments.port, contender.frames))
        return
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        if arguments.profile:
            iteration = CONTENDERS["receive_stompy_iteration"]
            print(run_alone(iteration, port, TOTAL_SECONDS, "-m", "cProfile", "-s", "tottime"))
            return
        best = measure(port)
    print(table(best))


if __name__ == "__main__":
    main()
