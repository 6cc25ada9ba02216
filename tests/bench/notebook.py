"""What a stream costs in a notebook: frames into DataFrames, memory, and how a kernel answers.

Run by hand, from the root of the repository; it takes about two minutes:

    pip install -r tests/bench/requirements.txt
    python -m tests.bench.notebook

The frames are those of `tests.bench.client`: eight headers, ids that differ, JSON bodies of 200
octets. A process of its own sends them; what it costs is counted for nobody. Whatever is measured
runs in a process of its own, too, three times, and the best run counts, as others use this machine
as well. The last rows are those of a real kernel, to which 10,000 messages a second are sent.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import itertools
import json
import multiprocessing
import socket
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.client import BLOCK, BODY, HOST, messages, queue, requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDS = 3
RUN_SECONDS = 60.0
PATIENCE = 30.0
"""Seconds in which what was sent has to arrive."""

FEW_ROWS, MANY_ROWS = 10_000, 1_000_000
NEW_ROWS = 1000
LOOKS = 24
"""So often a DataFrame is asked for, each time after NEW_ROWS more."""
PHASE = 170
"""Rows that come in between: the tail that is not sealed yet has another length each time."""

RATE = 10_000
"""Messages a second while a kernel does something else."""
ANSWERS = 200
LOOP_SECONDS = 2.0

FORK = multiprocessing.get_context("fork")


# -- the server ----------------------------------------------------------------------------------


def serve(listener: socket.socket) -> None:
    """Serve clients for as long as this process lives."""
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=Conversation(sock).run, daemon=True).start()


class Conversation:
    """What the server says to one client.

    ``/queue/N`` has N messages at once, ``/rate/N`` as many a second until it is unsubscribed.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sending = threading.Lock()
        self._stop: dict[str, threading.Event] = {}  # by subscription

    def run(self) -> None:
        with self._sock:
            for command, headers in requests(self._sock):
                if command in ("CONNECT", "STOMP"):
                    version = max(headers["accept-version"].split(","))
                    # Who sends heart-beats sends one per minute, which is none in this time.
                    self._send(f"CONNECTED\nversion:{version}\nheart-beat:0,60000\n\n\0".encode())
                elif command == "SUBSCRIBE":
                    stop = self._stop[headers["id"]] = threading.Event()
                    threading.Thread(target=self._feed, args=(headers, stop), daemon=True).start()
                elif command == "UNSUBSCRIBE":
                    self._stop[headers["id"]].set()
                if "receipt" in headers:
                    self._send(f"RECEIPT\nreceipt-id:{headers['receipt']}\n\n\0".encode())

    def _send(self, octets: bytes) -> None:
        with self._sending:
            self._sock.sendall(octets)

    def _feed(self, headers: dict[str, str], stop: threading.Event) -> None:
        block = messages(headers["destination"], headers["id"])
        _, kind, number = headers["destination"].split("/")
        whole = itertools.repeat(block, int(number) // BLOCK)
        with contextlib.suppress(OSError):  # a client that has gone says so itself
            for part in whole if kind == "queue" else paced(block, int(number)):
                if stop.is_set():
                    return
                self._send(part)


def paced(block: bytes, rate: int) -> Iterator[bytes]:
    """Portions of a block, over and over, so that its messages come at this rate."""
    size = len(block) // BLOCK  # messages of a block have one length
    place = sent = 0
    start = time.monotonic()
    while True:
        time.sleep(0.005)  # a clock, not a wait
        due = int((time.monotonic() - start) * rate) - sent
        due = min(due, BLOCK - place)
        yield block[place * size : (place + due) * size]
        sent, place = sent + due, (place + due) % BLOCK


# -- what is measured: each returns its figures by name -----------------------------------------


def stream_by_stompy(port: int) -> dict[str, float]:
    from stompy_jupyter import StompSession

    frames = 400_000
    with StompSession((HOST, port)) as session:
        start = time.process_time()
        stream = session.subscribe(queue(frames))
        stream.wait(frames, timeout=PATIENCE)
        df = stream.df
        seconds = time.process_time() - start
        check(len(df) == frames and df["size"].sum() == frames * len(BODY))
        check(str(df["timestamp"].dtype) == "datetime64[ms, UTC]")
    return {"stompy": frames / seconds}


def stream_by_stomp_py(port: int) -> dict[str, float]:
    import pandas as pd
    import stomp

    frames = 40_000
    rows: list[dict[str, Any]] = []
    done = threading.Event()

    class Listener(stomp.ConnectionListener):  # type: ignore[misc]
        def on_message(self, frame: Any) -> None:
            rows.append({**frame.headers, "body": frame.body})
            if len(rows) == frames:
                done.set()

    connection = stomp.StompConnection12([(HOST, port)])
    connection.set_listener("", Listener())
    connection.connect(wait=True)
    start = time.process_time()
    connection.subscribe(queue(frames), id="1")
    check(done.wait(PATIENCE))
    df = pd.DataFrame(rows)
    seconds = time.process_time() - start
    check(len(df) == frames and df["body"].str.len().sum() == frames * len(BODY))
    connection.disconnect(receipt="bye")
    return {"stomp.py": frames / seconds}


def new_rows(_port: int) -> dict[str, float]:
    """The seconds of a DataFrame after more rows, on a table with few and on one with many."""
    from stompy.wire import FrameDecoder
    from stompy_jupyter import FrameTable

    decoder = FrameDecoder("1.2")
    decoder.feed(messages("/topic/t", "1"))
    frames = list(decoder.frames())
    medians = {}
    for rows in (FEW_ROWS, MANY_ROWS):
        table = FrameTable(max_rows=2 * MANY_ROWS)
        while len(table) < rows:
            table.extend(frames[: rows - len(table)])
        _ = table.df
        seconds = []
        for _ in range(LOOKS):
            table.extend(frames[:PHASE])
            _ = table.df
            table.extend(frames[:NEW_ROWS])
            start = time.perf_counter()
            df = table.df
            seconds.append(time.perf_counter() - start)
            check(len(df) == table.received)
        medians[str(rows)] = statistics.median(seconds)
    return medians


def memory(port: int) -> dict[str, float]:
    """The bytes that MANY_ROWS frames take, and those of their bodies and the headers shown."""
    from stompy_jupyter import StompSession

    with StompSession((HOST, port)) as session:
        first = session.subscribe(queue(BLOCK))  # what is made once is not counted
        first.wait(BLOCK, timeout=PATIENCE)
        _ = first.df
        session.unsubscribe(first)
        del first
        before = resident()
        stream = session.subscribe(queue(MANY_ROWS), max_rows=MANY_ROWS)
        stream.wait(MANY_ROWS, timeout=RUN_SECONDS)
        rows = resident() - before
        df = stream.df
        held = resident() - before
        check(len(df) == MANY_ROWS)
        texts = df[["destination", "message_id", "content_type", "persistent"]]
        characters = sum(int(column.str.len().sum()) for _, column in texts.items())
        times = MANY_ROWS * len(str(1721234510000))
        payload = characters + times + int(df["size"].sum())
    return {"rows": rows, "held": held, "payload": payload}


def resident() -> float:
    """The bytes of this process alone and its share of the others."""
    gc.collect()
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    return 1024.0 * int(next(line for line in lines if line.startswith("Pss:")).split()[1])


LOOPS = """
import time
import numpy as np

def small(seconds):
    a, n, end = np.arange(100.0), 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        for _ in range(100):
            a = np.sqrt(a * a + 1.0)
        n += 100
    return n

def big(seconds):
    a, n, end = np.arange(1_000_000.0), 0, time.perf_counter() + seconds
    b = np.empty_like(a)
    while time.perf_counter() < end:
        np.multiply(a, a, out=b)
        np.sqrt(b, out=b)
        n += 1
    return n
"""


def kernel(port: int) -> dict[str, float]:
    """How a kernel works while messages stream into it: its answers, and loops over arrays."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3", stderr=subprocess.DEVNULL)
    try:
        notebook = Notebook(client)
        notebook.run("from stompy_jupyter import StompSession")
        notebook.run(f"session = StompSession(({HOST!r}, {port})).connect()")
        notebook.run(LOOPS)
        figures = loops(notebook)
        notebook.run(f"stream = session.subscribe('/rate/{RATE}')")
        with notebook.full_rate():
            figures["answer"] = answer(notebook)
        notebook.run("session.disconnect()")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return figures


def loops(notebook: Notebook) -> dict[str, float]:
    """What is left of the speed of each loop, with the stream beside it."""
    figures = {}
    for name in ("small", "big"):
        call = f"{name}({LOOP_SECONDS})"
        rates: dict[bool, list[float]] = {False: [], True: []}
        for streams in (False, True) * ROUNDS:
            if streams:
                notebook.run(f"stream = session.subscribe('/rate/{RATE}')")
                with notebook.full_rate():
                    rates[True].append(notebook.value(call))
                notebook.run("stream.unsubscribe()")
            else:
                rates[False].append(notebook.value(call))
        figures[name] = statistics.median(rates[True]) / statistics.median(rates[False])
    return figures


def answer(notebook: Notebook) -> float:
    """The seconds in which ``1+1`` is answered, but for the slowest twentieth."""
    seconds = []
    for _ in range(ANSWERS):
        start = time.perf_counter()
        check(notebook.value("1+1") == 2)
        seconds.append(time.perf_counter() - start)
    return statistics.quantiles(seconds, n=20)[-1]


class Notebook:
    """A kernel's client, one cell after the other."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def run(self, code: str) -> None:
        """Run a cell; OSError if it fails."""
        reply = self._client.execute_interactive(code, timeout=PATIENCE, output_hook=lambda _: None)
        if reply["content"]["status"] != "ok":
            raise OSError("\n".join(reply["content"]["traceback"]))

    def value(self, expression: str) -> float:
        """What an expression is."""
        reply = self._client.execute_interactive(
            "", user_expressions={"value": expression}, timeout=PATIENCE, store_history=False
        )
        return float(reply["content"]["user_expressions"]["value"]["data"]["text/plain"])

    def full_rate(self) -> FullRate:
        """A with-block in which the stream has to have nearly all messages that were sent."""
        return FullRate(self)


class FullRate:
    """Checks that a kernel's stream has kept pace meanwhile."""

    def __init__(self, notebook: Notebook) -> None:
        self._notebook = notebook

    def __enter__(self) -> None:
        self._start = time.monotonic()
        self._received = self._notebook.value("stream.received")

    def __exit__(self, kind: object, *_: object) -> None:
        received = self._notebook.value("stream.received") - self._received
        rate = received / (time.monotonic() - self._start)
        if kind is None and rate < 0.9 * RATE:
            raise OSError(f"only {rate:,.0f} messages a second have come")


def check(as_expected: object) -> None:
    """Raise if what was measured is not what should have been."""
    if not as_expected:
        raise OSError("what was received is not what was sent")


# -- running them --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measurement:
    """What runs, whether more is better, and how often it runs."""

    run: Callable[[int], dict[str, float]]
    best: Callable[..., float] = min
    rounds: int = ROUNDS


MEASUREMENTS = {
    one.run.__name__: one
    for one in (
        Measurement(stream_by_stompy, max),
        Measurement(stream_by_stomp_py, max),
        Measurement(new_rows),
        Measurement(memory, rounds=1),
        Measurement(kernel, rounds=1),
    )
}


def run_alone(name: str, port: int) -> dict[str, float]:
    """What a measurement gives in a process of its own; the last line of what that prints."""
    command = [sys.executable, "-m", "tests.bench.notebook", "--run", name, "--port", str(port)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, check=True, text=True, timeout=3 * RUN_SECONDS
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def measure(port: int) -> dict[str, float]:
    """The best figures of all rounds; round by round, as a machine may be slow for a while."""
    best: dict[str, float] = {}
    for number in range(ROUNDS):
        for name, one in MEASUREMENTS.items():
            if number < one.rounds:
                for figure, value in run_alone(name, port).items():
                    best[figure] = one.best(best.get(figure, value), value)
    return best


def table(best: dict[str, float]) -> str:
    """The results as Markdown, beside what was promised."""
    few, many = best[str(FEW_ROWS)], best[str(MANY_ROWS)]
    rows = [
        ("stream to DataFrame, frames per CPU second: stompy", f"{best['stompy']:,.0f}", ""),
        ("the same: stomp.py, a list of dicts", f"{best['stomp.py']:,.0f}", ""),
        ("stompy to stomp.py", f"{best['stompy'] / best['stomp.py']:.1f}", "at least 8"),
        (f"`.df` after {NEW_ROWS:,} new rows on {FEW_ROWS:,}", f"{few * 1e3:.1f} ms", ""),
        (f"the same on {MANY_ROWS:,}", f"{many * 1e3:.1f} ms", ""),
        ("many rows to few", f"{many / few:.2f}", "at most 3"),
        (
            f"memory of {MANY_ROWS:,} frames to their headers and bodies",
            f"{best['rows'] / best['payload']:.2f}",
            "at most 2",
        ),
        (
            "the same with a DataFrame of them",
            f"{best['held'] / best['payload']:.2f}",
            "at most 2",
        ),
        (
            f"`1+1` at {RATE:,} messages a second, 95th percentile",
            f"{best['answer'] * 1e3:.0f} ms",
            "under 100 ms",
        ),
        ("speed of a loop over small arrays meanwhile", f"{best['small']:.0%}", "at least 70 %"),
        ("speed of a loop over big arrays meanwhile", f"{best['big']:.0%}", "at least 70 %"),
    ]
    head = ["| | measured | goal |", "|---|---:|---|"]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)])


def main() -> None:
    """Run all measurements and print the table; or one of them, as a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", choices=MEASUREMENTS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(MEASUREMENTS[arguments.run].run(arguments.port)))
        return
    with socket.create_server((HOST, 0)) as listener:
        server = FORK.Process(target=serve, args=(listener,), daemon=True)
        server.start()
        try:
            best = measure(listener.getsockname()[1])
        finally:
            server.terminate()
    print(table(best))


if __name__ == "__main__":
    main()
