"""Who refuses what: each wrong frame, and what the brokers make of it.

The table is kept in notebooks/who-refuses-what.csv. When a broker has changed, or there are other
wrong frames: `pytest -n 0 tests/brokers/test_wrong_frames.py --write-table`.
"""

import contextlib
import csv
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stompy import wire
from stompy_jupyter.lint import lint
from stompy_jupyter.typed import Typed
from tests.brokers.servers import Server
from tests.unit.wrong_frames import WRONG_FRAMES, WrongFrame

TABLE = Path(__file__).parents[2] / "notebooks" / "who-refuses-what.csv"
BROKERS = ("embedded", "rabbitmq", "activemq")
COLUMNS = ("frame", "version", "rule", "linter", *BROKERS)

AT_ONCE = 16
"""Connections that are open at the same time."""
SILENCE, LONG_SILENCE = 0.7, 4.0
"""Seconds after which a broker is taken to have nothing to say of a frame; the longer one for those
that seem to have changed, since the machine may have been busy."""

PROBE = b"\n\n" + wire.encode("BEGIN", {"transaction": "probe", "receipt": "probe"}, version="1.0")
"""Is sent behind a frame of which nothing was said: its receipt shows that the frame has ended."""


# Not by a decoder: brokers repeat wrong headers in frames that are as wrong.
ANSWER = re.compile(rb"(?:\A|\0)\s*(ERROR|CONNECTED)\r?\n")
PROBED = re.compile(rb"\nreceipt-id:probe\r?\n")


def heard(
    connection: socket.socket, pattern: re.Pattern[bytes], silence: float
) -> re.Match[bytes] | None:
    """What a broker says that matches; None when it says nothing more.

    Raises:
        ConnectionError: it closes the connection.
    """
    said = b""
    connection.settimeout(silence)
    with contextlib.suppress(TimeoutError):
        while data := connection.recv(65536):
            said += data
            if found := pattern.search(said):
                return found
        raise ConnectionError("closed")
    return None


def outcome(server: Server, wrong: WrongFrame, silence: float) -> str:
    """What a broker does with a wrong frame: ``ERROR``, ``closes``, ``accepts`` or ``waits``."""
    user = ""
    if server.login is not None:
        user = f"login:{server.login}\npasscode:{server.passcode}\n"
    octets = Typed(wrong.typed).octets
    with socket.create_connection((server.host, server.port)) as connection:
        if wrong.connected:
            greeting = f"CONNECT\naccept-version:{wrong.version}\nhost:/\n{user}\n\0"
            connection.sendall(greeting.encode())
            connected = heard(connection, ANSWER, LONG_SILENCE)
            assert connected is not None
            assert connected[1] == b"CONNECTED"
        else:
            command, _, rest = octets.partition(b"\n")
            octets = b"\n".join((command, user.encode() + rest))
        try:
            connection.sendall(octets)
            if answer := heard(connection, ANSWER, silence):
                return "ERROR" if answer[1] == b"ERROR" else "accepts"
        except ConnectionError:
            return "closes"
        return "accepts" if has_ended(connection, silence) else "waits"


def has_ended(connection: socket.socket, silence: float) -> bool:
    """Whether a broker takes what comes next for another frame."""
    try:
        connection.sendall(PROBE)
        return heard(connection, PROBED, silence) is not None
    except ConnectionError:
        return False


def outcomes(server: Server, wrong: list[WrongFrame], silence: float) -> dict[str, str]:
    """What a broker does with wrong frames, by their names."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda one: outcome(server, one, silence), wrong)
        return {one.name: said for one, said in zip(wrong, found, strict=True)}


def what_the_linter_says(wrong: WrongFrame) -> str:
    [found] = lint(wrong.typed, wrong.version, connected=wrong.connected)
    return f"{found.severity} at {found.line}:{found.column}: {found.message}"


def rows_of_the_table() -> dict[str, dict[str, str]]:
    """The table as it is kept, by the names of the frames."""
    if not TABLE.exists():
        return {}
    with TABLE.open(encoding="utf-8", newline="") as file:
        return {row["frame"]: row for row in csv.DictReader(file)}


def write(broker: str, said: dict[str, str]) -> None:
    """Write the table anew, with another column for this broker."""
    known = rows_of_the_table()
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for wrong in WRONG_FRAMES:
            row = known.get(wrong.name, dict.fromkeys(BROKERS, ""))
            row |= {"frame": wrong.name, "version": wrong.version, "rule": wrong.rule}
            writer.writerow(
                {**row, "linter": what_the_linter_says(wrong), broker: said[wrong.name]}
            )


@pytest.mark.parametrize("broker", BROKERS)
def test_the_table_says_what_brokers_do_with_wrong_frames(
    request: pytest.FixtureRequest, broker: str
) -> None:
    server = request.getfixturevalue(f"{broker}_server")
    said = outcomes(server, WRONG_FRAMES, SILENCE)
    kept = {name: row[broker] for name, row in rows_of_the_table().items()}
    changed = [wrong for wrong in WRONG_FRAMES if said[wrong.name] != kept.get(wrong.name)]
    said |= outcomes(server, changed, LONG_SILENCE)
    if request.config.getoption("--write-table", False):
        write(broker, said)
    else:
        assert said == kept


def test_the_table_says_what_the_linter_says() -> None:
    kept = rows_of_the_table()
    assert list(kept) == [wrong.name for wrong in WRONG_FRAMES]
    for wrong in WRONG_FRAMES:
        row = kept[wrong.name]
        assert (row["version"], row["rule"]) == (wrong.version, wrong.rule)
        assert row["linter"] == what_the_linter_says(wrong)
