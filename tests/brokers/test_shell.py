"""STOMP at a shell, with real brokers."""

import json
import os
import subprocess
import sys

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
