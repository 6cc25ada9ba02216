"""What a stream costs that is kept on disk, and that its memory stays flat.

Run by hand, from the root of the repository; 10,000,000 messages take some minutes and a few
hundred MB of disk in a temporary folder:

    python -m tests.bench.keep
    python -m tests.bench.keep --frames 1000000

The frames are those of `tests.bench.client`: eight headers, ids that differ, JSON bodies of 200
octets. A process of its own sends them as fast as they are taken; what it costs is counted for
nobody.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.client import BLOCK, HOST, queue
from tests.bench.notebook import FORK, check, resident, serve

FRAMES = 10_000_000
ROWS = 100_000
"""Rows that the table keeps: it is full before the first look at the memory."""
LOOKS = (0.1, 0.25, 0.5, 0.75, 1.0)
"""Parts of the stream after which the memory is looked at."""
PATIENCE = 3600.0


def keep(port: int, frames: int, directory: Path) -> dict[str, float]:
    """Keep so many frames; the figures by name, memory in bytes."""
    from stompy_jupyter import StompSession

    figures: dict[str, float] = {}
    with StompSession((HOST, port)) as session:
        start, cpu = time.monotonic(), time.process_time()
        stream = session.subscribe(queue(frames), keep=directory, max_rows=ROWS)
        for part in LOOKS:
            stream.wait(int(part * frames), timeout=PATIENCE)
            figures[f"{part:.0%}"] = resident()
        stream.unsubscribe()
        figures["seconds"] = time.monotonic() - start
        figures["cpu"] = time.process_time() - cpu
        kept = stream.kept
        check(kept is not None and (kept.rows, kept.open_rows) == (frames, 0))
        assert kept is not None
        figures |= {"files": kept.files, "bytes": kept.bytes}
    del stream, session
    gc.collect()
    figures["afterwards"] = resident()
    figures["peak"] = 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return figures


def measure(port: int, frames: int, directory: Path) -> dict[str, float]:
    """The figures of a process of its own."""
    command = [sys.executable, "-m", "tests.bench.keep", "--port", str(port)]
    command += ["--frames", str(frames), "--directory", str(directory)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def table(figures: dict[str, float], frames: int) -> str:
    """The results as Markdown."""
    mib = 1024**2
    rows = [
        ("frames kept", f"{frames:,}"),
        ("frames per second", f"{frames / figures['seconds']:,.0f}"),
        ("frames per CPU second", f"{frames / figures['cpu']:,.0f}"),
        *(
            (f"memory after {part:.0%}", f"{figures[f'{part:.0%}'] / mib:.0f} MiB")
            for part in LOOKS
        ),
        ("memory afterwards", f"{figures['afterwards'] / mib:.0f} MiB"),
        ("memory at its peak", f"{figures['peak'] / mib:.0f} MiB"),
        ("files", f"{figures['files']:,.0f}"),
        ("bytes of them per frame", f"{figures['bytes'] / frames:.1f}"),
    ]
    return "\n".join(["| | measured |", "|---|---:|", *(f"| {' | '.join(row)} |" for row in rows)])


def main() -> None:
    """Measure and print the table; or keep, as a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=FRAMES, help="a multiple of 10,000 of them")
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.port:
        print(json.dumps(keep(arguments.port, arguments.frames, arguments.directory)))
        return
    check(arguments.frames % BLOCK == 0)
    with socket.create_server((HOST, 0)) as listener, tempfile.TemporaryDirectory() as folder:
        server = FORK.Process(target=serve, args=(listener,), daemon=True)
        server.start()
        try:
            port = listener.getsockname()[1]
            figures = measure(port, arguments.frames, Path(folder))
        finally:
            server.terminate()
    print(table(figures, arguments.frames))


if __name__ == "__main__":
    main()
