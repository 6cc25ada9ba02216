"""What records cost: from the socket to `.records`, beside the usual way.

Run by hand, from the root of the repository; it takes about a minute:

    pip install -r tests/bench/requirements.txt
    python -m tests.bench.records

Bodies are JSON arrays of 50 records, of three shapes: train movements and steps of trains between
signals as the public feeds have them (objects in objects, 35 values and 6, nearly all of them
text), and readings (six plain values, nothing nested). A process of its own sends them; what it
costs is counted for nobody. Each client is measured in a process of
its own, three times, and the best run counts. The usual way: a stomp.py listener, `json.loads`, a
list of dicts, and `pd.json_normalize` at the end.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from tests.bench.client import HOST, requests

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RECORDS = 50
"""Records of a body."""

FRAMES = 8_000
FEW_FRAMES = 2_000
"""As many bodies the slower client gets: the ratio is of records per second."""

BLOCK = 200
"""Bodies that differ; they are sent again and again."""

ROUNDS = 3
PATIENCE = 60.0

FORK = multiprocessing.get_context("fork")


# -- what is sent --------------------------------------------------------------------------------


def movement(n: int) -> Mapping[str, object]:
    """A train movement in the shape of the public feed."""
    planned = 1_772_366_400_000 + 1000 * n
    return {
        "header": {
            "msg_type": "0003",
            "source_dev_id": "",
            "user_id": "",
            "original_data_source": "SMART",
            "msg_queue_timestamp": str(planned + 61_000),
            "source_system_id": "TRUST",
        },
        "body": {
            "event_type": ("ARRIVAL", "DEPARTURE")[n % 2],
            "gbtt_timestamp": str(planned) if n % 3 else "",
            "original_loc_stanox": "",
            "planned_timestamp": str(planned),
            "timetable_variation": str(n % 9),
            "original_loc_timestamp": "",
            "current_train_id": "",
            "delay_monitoring_point": ("true", "false")[n % 2],
            "next_report_run_time": str(n % 12),
            "reporting_stanox": f"{n % 100_000:05}",
            "actual_timestamp": str(planned + 60_000 * (n % 9)),
            "correction_ind": "false",
            "event_source": "AUTOMATIC",
            "train_file_address": None,
            "platform": f" {n % 8}",
            "division_code": str(20 + n % 60),
            "train_terminated": "false",
            "train_id": f"{n % 90:02}2L44MW{n % 31:02}",
            "offroute_ind": "false",
            "variation_status": ("ON TIME", "LATE", "EARLY")[n % 3],
            "train_service_code": str(24_745_000 + n % 99),
            "toc_id": str(20 + n % 60),
            "loc_stanox": f"{n % 100_000:05}",
            "auto_expected": "true",
            "direction_ind": "UP",
            "route": str(n % 3),
            "planned_event_type": ("ARRIVAL", "DEPARTURE")[n % 2],
            "next_report_stanox": f"{n * 7 % 100_000:05}",
            "line_ind": "",
        },
    }


def step(n: int) -> Mapping[str, object]:
    """A step of a train from signal to signal, in the shape of the public feed."""
    return {
        "CA_MSG": {
            "time": str(1_772_366_400_000 + 1000 * n),
            "area_id": ("SK", "WY", "D3")[n % 3],
            "msg_type": "CA",
            "from": f"{n % 10_000:04}",
            "to": f"{(n + 2) % 10_000:04}",
            "descr": f"{n % 9}F{n % 90:02}",
        }
    }


def reading(n: int) -> Mapping[str, object]:
    """What an instrument may send."""
    return {
        "id": n,
        "timestamp": 1_772_366_400_000 + n,
        "sensor": f"rack-{n % 40}",
        "value": n % 977 * 0.125,
        "good": n % 50 > 0,
        "unit": "K",
    }


SHAPES: Mapping[str, Callable[[int], Mapping[str, object]]] = {
    "movements": movement,
    "steps": step,
    "readings": reading,
}


def bodies(shape: str) -> list[bytes]:
    """The bodies of a block."""
    make = SHAPES[shape]
    numbers = itertools.count()
    return [
        json.dumps([make(next(numbers)) for _ in range(RECORDS)]).encode() for _ in range(BLOCK)
    ]


def serve(listener: socket.socket) -> None:
    """Serve clients for as long as this process lives: ``/queue/SHAPE/N`` has N messages."""
    blocks = {shape: bodies(shape) for shape in SHAPES}
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=converse, args=(sock, blocks), daemon=True).start()


def converse(sock: socket.socket, blocks: Mapping[str, list[bytes]]) -> None:
    """What the server says to one client."""
    with sock:
        for command, headers in requests(sock):
            if command in ("CONNECT", "STOMP"):
                sock.sendall(b"CONNECTED\nversion:1.2\n\n\0")
            if "receipt" in headers:
                sock.sendall(f"RECEIPT\nreceipt-id:{headers['receipt']}\n\n\0".encode())
            if command == "SUBSCRIBE":
                _, _, shape, count = headers["destination"].split("/")
                send(sock, headers, blocks[shape], int(count))


def send(sock: socket.socket, headers: dict[str, str], block: list[bytes], count: int) -> None:
    """Send so many messages, as the public feed's broker does."""
    for number, body in zip(range(count), itertools.cycle(block), strict=False):
        head = (
            f"MESSAGE\nsubscription:{headers['id']}\ndestination:{headers['destination']}\n"
            f"message-id:ID:{number}\ncontent-length:{len(body)}\n"
            f"timestamp:{1_772_366_400_000 + number}\npersistent:true\npriority:4\n\n"
        )
        sock.sendall(head.encode() + body + b"\0")


# -- what is measured ----------------------------------------------------------------------------


def by_stompy(port: int, shape: str) -> float:
    """Records per CPU second."""
    from stompy_jupyter import StompSession

    with StompSession((HOST, port)) as session:
        start = time.process_time()
        stream = session.subscribe(f"/queue/{shape}/{FRAMES}")
        stream.wait(FRAMES, timeout=PATIENCE)
        records = stream.records
        seconds = time.process_time() - start
    check(len(records) == FRAMES * RECORDS and "decode_error" not in records)
    return len(records) / seconds


def by_the_usual_way(port: int, shape: str) -> float:
    """Records per CPU second."""
    import pandas as pd
    import stomp

    rows: list[dict[str, Any]] = []
    done = threading.Event()

    class Listener(stomp.ConnectionListener):  # type: ignore[misc]
        def on_message(self, frame: Any) -> None:
            rows.extend(json.loads(frame.body))
            if len(rows) == FEW_FRAMES * RECORDS:
                done.set()

    connection = stomp.StompConnection12([(HOST, port)])
    connection.set_listener("", Listener())
    connection.connect(wait=True)
    start = time.process_time()
    connection.subscribe(f"/queue/{shape}/{FEW_FRAMES}", id="1")
    check(done.wait(PATIENCE))
    records = pd.json_normalize(rows)
    seconds = time.process_time() - start
    check(len(records) == FEW_FRAMES * RECORDS)
    connection.disconnect(receipt="bye")
    return len(records) / seconds


def check(as_expected: object) -> None:
    """Raise if what was measured is not what should have been."""
    if not as_expected:
        raise OSError("what was received is not what was sent")


# -- running them --------------------------------------------------------------------------------

CLIENTS = {"stompy": by_stompy, "the usual way": by_the_usual_way}


def run_alone(client: str, shape: str, port: int) -> float:
    """What a client reaches in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.records", "--run", client, shape]
    done = subprocess.run(
        [*command, "--port", str(port)], stdout=subprocess.PIPE, check=True, text=True
    )
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    """Run all measurements and print the table; or one of them, as a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        client, shape = arguments.run
        print(CLIENTS[client](arguments.port, shape))
        return
    with socket.create_server((HOST, 0)) as listener:
        server = FORK.Process(target=serve, args=(listener,), daemon=True)
        server.start()
        try:
            port = listener.getsockname()[1]
            best = {
                (client, shape): max(run_alone(client, shape, port) for _ in range(ROUNDS))
                for shape in SHAPES
                for client in CLIENTS
            }
        finally:
            server.terminate()
    print("| records per CPU second | stompy | the usual way | ratio (goal: 5) |")
    print("|---|---:|---:|---:|")
    for shape in SHAPES:
        ours, usual = (best[client, shape] for client in CLIENTS)
        print(f"| {shape} | {ours:,.0f} | {usual:,.0f} | {ours / usual:.1f} |")


if __name__ == "__main__":
    main()
