"""STOMP at a shell, with real brokers."""

import json
import os
import subprocess
import sys
from pathlib import Path

from stompy import capture
from tests.brokers.servers import Server

TIMEOUT = 30.0


def run(server: Server, *arguments: str, given: str = "") -> str:
    """What ``python -m stompy`` writes, called for this broker; it has to succeed."""
    command, *others = arguments
    address = server.address if isinstance(server.address, str) else "{}:{}".format(*server.address)
    options = ["--address", address]
    if server.login is not None:
        options += ["--login", server.login, "--passcode-env", "STOMPY_TEST_PASSCODE"]
    if "ca_file" in server.arguments:
        options += ["--ca-file", str(server.ca_file)]
    return subprocess.run(
        [sys.executable, "-m", "stompy", command, *options, *others],
        check=True,
        stdout=subprocess.PIPE,
        input=given,
        encoding="utf-8",
        timeout=TIMEOUT,
        env={**os.environ, "STOMPY_TEST_PASSCODE": server.passcode or ""},
    ).stdout


def test_what_is_sent_at_a_shell_is_heard_at_a_shell(server: Server, queue: str) -> None:
    run(server, "send", "--lines", "--header", "kind: a:b", queue, given="one\nzwölf\n3\n")
    first = run(server, "listen", "-n", "2", queue)
    rest = run(server, "listen", "-n", "1", queue)
    heard = [json.loads(line) for line in (first + rest).splitlines()]
    assert [frame["body"] for frame in heard] == ["one", "zwölf", "3"]
    assert {frame["headers"]["kind"] for frame in heard} == {"a:b"}


def test_what_is_recorded_at_a_shell_is_replayed_at_a_shell(
    server: Server, queue: str, tmp_path: Path
) -> None:
    path = tmp_path / "recorded.stompcap.gz"
    own = ("--header", "kind: a:b", "--header", "timestamp: 5", "--content-type", "text/csv")
    run(server, "send", "--lines", *own, queue, given="one\nzwölf\n3\n")
    run(server, "record", str(path), "-n", "3", queue)
    assert [entry.frame.text for entry in capture.read(path)] == ["one", "zwölf", "3"]
    for _ in range(2):  # each from where it came from to there
        run(server, "replay", str(path), "--speed", "max")
        again = run(server, "listen", "-n", "3", queue)
        heard = [json.loads(line) for line in again.splitlines()]
        assert [frame["body"] for frame in heard] == ["one", "zwölf", "3"]
        kinds = {(f["headers"]["kind"], f["headers"]["content-type"]) for f in heard}
        assert kinds == {("a:b", "text/csv")}
