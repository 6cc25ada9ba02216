"""The embedded broker against a list of what STOMP 1.0, 1.1 and 1.2 ask of a server, over TCP.

S-01 to S-148 are the statements of the three specifications, and what a server has to survive; B-01
to B-05 is what all the usual brokers have in common. `item` says which of them a test proves, and
the last test sees to it that none is left out. Where the specification leaves the choice to the
server, the test says what this one has chosen.

Nothing here uses `stompy.wire`, which the broker is made of: a mistake in there shows.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import re
import select
import socket
import struct
import time
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

import pytest

import stompy
from stompy.broker import Broker
from tests.unit.peer import TIMEOUT, raw

ALL = pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
NOT_10 = pytest.mark.parametrize("version", ["1.1", "1.2"])
CLIENT_MODES = pytest.mark.parametrize("mode", ["client", "client-individual"])

MARKER = b"the end"
LATE = 0.3
"""Seconds that this machine may be late."""
MIB = 1024 * 1024

NUMBERS = itertools.count(1)
CLAIMED: set[str] = set()

T = TypeVar("T", bound=Callable[..., None])


def item(*numbers: str) -> Callable[[T], T]:
    """Say which items of the list a test proves."""

    def claim(test: T) -> T:
        CLAIMED.update(numbers)
        return test

    return claim


# -- A client in octets ----------------------------------------------------------------------


class Frame(NamedTuple):
    """A frame of the broker: headers unescaped, and the lines of its head as they came."""

    command: str
    headers: dict[str, str]
    body: bytes
    lines: list[str]

    def line(self, name: str) -> str:
        """The header `name` as it came."""
        return next(line for line in self.lines if line.startswith(f"{name}:"))


class Link:
    """One connection to the broker. It sends what it is told to, and checks what it reads."""

    def __init__(self, address: tuple[str, int], version: str) -> None:
        self.version = version
        self.socket = socket.create_connection(address, timeout=TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._data = bytearray()
        self._inbox: deque[Frame] = deque()

    # -- sending -----------------------------------------------------------------------------

    def octets(self, data: bytes) -> None:
        """Send them in one write."""
        self.socket.sendall(data)

    def send(self, command: str, *lines: str, body: bytes = b"") -> None:
        """Send a frame; its header lines go out as they are written here."""
        self.octets(raw(command, *lines, body=body))

    def connect(self, *lines: str) -> Frame:
        """CONNECT, in 1.0 with the headers that 1.0 has; returns CONNECTED."""
        offer = () if self.version == "1.0" else (f"accept-version:{self.version}", "host:/")
        self.send("CONNECT", *offer, *lines)
        connected = self.expect("CONNECTED")
        assert connected.headers.get("version", "1.0") == self.version
        return connected

    def ask(self, command: str, *lines: str, body: bytes = b"") -> Frame:
        """Send a frame and wait for its RECEIPT; what comes before it is kept for `read`."""
        receipt = f"r{next(NUMBERS)}"
        self.send(command, *lines, f"receipt:{receipt}", body=body)
        passed = []
        while (frame := self.read()).headers.get("receipt-id") != receipt:
            passed.append(frame)
        assert frame.command == "RECEIPT", frame
        self._inbox.extend(passed)
        return frame

    def sync(self) -> None:
        """Wait until the broker has done what it was sent."""
        self.ask("SEND", "destination:/topic/nobody-listens")

    def message(self, destination: str, body: bytes, *lines: str) -> None:
        self.send("SEND", f"destination:{destination}", *lines, body=body)

    def subscribe(self, destination: str, id: str = "1", *lines: str) -> None:
        """Subscribe, and wait until that is done."""
        self.ask("SUBSCRIBE", f"destination:{destination}", f"id:{id}", *lines)

    def names(self, message: Frame) -> tuple[str, ...]:
        """The headers by which an ACK or NACK names a message."""
        if self.version == "1.2":
            return (message.line("ack").replace("ack:", "id:", 1),)
        subscription = (message.line("subscription"),) if self.version == "1.1" else ()
        return (message.line("message-id"), *subscription)

    def acknowledge(self, message: Frame, *lines: str) -> None:
        """ACK, and wait until that is done."""
        self.ask("ACK", *self.names(message), *lines)

    def leave(self) -> None:
        """DISCONNECT, and wait until that is done."""
        self.ask("DISCONNECT")
        self.expect_end()

    def lose(self) -> list[Frame]:
        """Send no more, as a process that has died, and read to the end; returns the frames."""
        self.socket.shutdown(socket.SHUT_WR)
        frames = list(self._inbox)
        self._inbox.clear()
        while self._has_more():
            frames.append(self.read())
        return frames

    def reset(self) -> None:
        """Break the connection off, as a machine that has crashed."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self.socket.close()

    # -- reading -----------------------------------------------------------------------------

    def read(self) -> Frame:
        """The next frame."""
        if self._inbox:
            return self._inbox.popleft()
        assert self._has_more(), "the broker has closed"
        command, *lines = self._through(b"\n\n")[:-2].decode().split("\n")
        headers: dict[str, str] = {}
        for line in lines:
            name, colon, value = self._fields(command, line)
            assert colon, f"a header line without a colon: {line!r}"
            headers.setdefault(name, value)
        if "content-length" in headers:
            body = self._cut(int(headers["content-length"]))
            assert self._cut(1) == b"\0", f"no NUL behind {command} {body[:40]!r}"
        else:
            body = self._through(b"\0")[:-1]
        return Frame(command, headers, body, lines)

    def expect(self, command: str) -> Frame:
        """The next frame, which has to be a `command`."""
        frame = self.read()
        assert frame.command == command, f"expected {command}, not {frame}"
        return frame

    def bodies(self, count: int) -> list[bytes]:
        """Those of the next frames, which have to be so many MESSAGEs."""
        return [self.expect("MESSAGE").body for _ in range(count)]

    def rest(self) -> list[Frame]:
        """What has come, once the broker has done all that it was sent."""
        self.sync()
        frames = list(self._inbox)
        self._inbox.clear()
        return frames

    def refused(self) -> Frame:
        """The ERROR that has to come next, and nothing but the end behind it."""
        error = self.expect("ERROR")
        self.expect_end()
        return error

    def expect_end(self) -> None:
        """The end of the stream has to come next."""
        if self._inbox or self._has_more():
            raise AssertionError(f"expected the end of the stream, not {self.read()}")

    def beat(self) -> float:
        """A heart-beat has to come next; returns the time."""
        assert self._cut(1) == b"\n"
        return time.monotonic()

    def has_something(self, within: float = 0) -> bool:
        """Whether something is there to be read, or comes within so many seconds."""
        return bool(self._inbox or self._data or select.select([self], [], [], within)[0])

    def fileno(self) -> int:
        """For `select`."""
        return self.socket.fileno()

    def _fields(self, command: str, line: str) -> tuple[str, str, str]:
        name, colon, value = line.partition(":")
        if self.version == "1.0" or command == "CONNECTED" or not (":" in value or "\\" in line):
            return name, colon, value
        assert ":" not in value, f"a colon that is not escaped: {line!r}"
        return self._unescaped(name), colon, self._unescaped(value)

    def _unescaped(self, text: str) -> str:
        known = {"\\\\": "\\", "\\n": "\n", "\\c": ":"}
        if self.version == "1.2":
            known["\\r"] = "\r"
        return re.sub(r"\\.?", lambda match: known[match[0]], text, flags=re.DOTALL)

    def _has_more(self) -> bool:
        """Whether more comes than line ends before the end of the stream."""
        deadline = time.monotonic() + TIMEOUT
        while self._data or self._receive(deadline):
            if self._data[0] not in b"\r\n":
                return True
            del self._data[0]
        return False

    def _through(self, end: bytes) -> bytes:
        deadline = time.monotonic() + TIMEOUT
        while (place := self._data.find(end)) < 0:
            assert self._receive(deadline), f"the broker closed inside a frame: {self._data!r}"
        return self._cut(place + len(end))

    def _cut(self, size: int) -> bytes:
        deadline = time.monotonic() + TIMEOUT
        while len(self._data) < size:
            assert self._receive(deadline), f"the broker closed inside a frame: {self._data!r}"
        data = bytes(self._data[:size])
        del self._data[:size]
        return data

    def _receive(self, deadline: float) -> bool:
        self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
        portion = self.socket.recv(256 * 1024)
        self.socket.settimeout(TIMEOUT)
        self._data += portion
        return bool(portion)


def those_with_something(links: list[Link]) -> list[Link]:
    """Those on which something is there to be read; waits for it."""
    there = [link for link in links if link.has_something()]
    return there or select.select(links, [], [], TIMEOUT)[0]


def bodies(frames: Iterable[Frame]) -> list[bytes]:
    """Those of the MESSAGEs; there must be no other frame."""
    frames = list(frames)
    assert {frame.command for frame in frames} <= {"MESSAGE"}, frames
    return [frame.body for frame in frames]


def numbered(count: int) -> list[bytes]:
    """So many bodies."""
    return [b"%d" % number for number in range(count)]


# -- Fixtures --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """The broker of all tests in here; what they share is its address and nothing else."""
    with Broker() as running:
        yield running


@pytest.fixture
def dial(broker):
    """Opens a connection and says nothing; closes it at the end of the test."""
    with contextlib.ExitStack() as links:

        def dial(version: str = "1.2", to: Broker = broker) -> Link:
            return links.enter_context(contextlib.closing(Link(to.address, version)))

        yield dial


@pytest.fixture
def connect(dial):
    """Opens a connection, up to CONNECTED."""

    def connect(version: str = "1.2", *lines: str) -> Link:
        link = dial(version)
        link.connect(*lines)
        return link

    return connect


@pytest.fixture
def queue() -> str:
    """A queue of the test's own."""
    return f"/queue/q{next(NUMBERS)}"


@pytest.fixture
def topic() -> str:
    """A topic of the test's own."""
    return f"/topic/t{next(NUMBERS)}"


@pytest.fixture
def left_in(connect):
    """Takes the messages that wait in a queue; returns their bodies."""

    def left_in(queue: str) -> list[bytes]:
        link = connect()
        link.subscribe(queue)
        link.message(queue, MARKER)
        left = list(iter(lambda: link.expect("MESSAGE").body, MARKER))
        link.leave()
        return left

    return left_in


@pytest.fixture
def holding(connect, queue):
    """Connects a client that holds messages of `queue` without having acknowledged them."""

    def holding(version: str, mode: str, *bodies: bytes) -> tuple[Link, list[Frame]]:
        link = connect(version)
        link.subscribe(queue, "1", f"ack:{mode}")
        for body in bodies:
            link.message(queue, body)
        messages = [link.expect("MESSAGE") for _ in bodies]
        assert [message.body for message in messages] == list(bodies)
        return link, messages

    return holding


@pytest.fixture
def passed(connect, queue):
    """Sends one message through a queue, from one client to another; returns the MESSAGE."""

    def passed(version: str, *lines: str, body: bytes = b"a") -> Frame:
        receiver, sender = connect(version), connect(version)
        receiver.subscribe(queue)
        sender.message(queue, body, *lines)
        message = receiver.expect("MESSAGE")
        assert message.body == body
        return message

    return passed


# -- Connecting and negotiation --------------------------------------------------------------


@item("S-01", "S-04")
@pytest.mark.parametrize("lines", [[], ["login:me", "passcode:secret"]])
def test_connect_without_accept_version_is_answered_by_connected_of_1_0(dial, lines):
    link = dial("1.0")
    link.send("CONNECT", *lines)
    connected = link.expect("CONNECTED")
    assert connected.headers.get("version", "1.0") == "1.0"
    assert connected.body == b""


@item("S-02")
@ALL
def test_a_stomp_frame_is_taken_like_connect(dial, version):
    link = dial(version)
    link.send("STOMP", *([] if version == "1.0" else [f"accept-version:{version}", "host:/"]))
    assert link.expect("CONNECTED").headers.get("version", "1.0") == version


@item("S-03", "S-05", "S-06")
@NOT_10
def test_connected_names_the_version_that_was_asked_for(dial, version):
    assert dial(version).connect().headers["version"] == version


@item("S-07")
def test_the_highest_common_version_is_taken(dial):
    link = dial()
    link.send("CONNECT", "accept-version:1.0,1.1,2.0", "host:/")
    assert link.expect("CONNECTED").headers["version"] == "1.1"


@item("S-08")
@pytest.mark.parametrize("offered", ["1.0,1.1,1.2", "1.2,1.0,1.1", "1.1,1.2,1.0"])
def test_the_order_of_the_offered_versions_does_not_matter(dial, offered):
    link = dial()
    link.send("CONNECT", f"accept-version:{offered}", "host:/")
    assert link.expect("CONNECTED").headers["version"] == "1.2"


@item("S-09", "S-11")
def test_without_a_common_version_error_comes_and_then_the_end(dial):
    link = dial()
    link.send("CONNECT", "accept-version:9.9,10.1", "host:/")
    link.refused()


@item("S-10")
def test_the_error_about_the_version_lists_those_that_there_are(dial):
    link = dial()
    link.send("CONNECT", "accept-version:9.9,10.1", "host:/")
    assert set(link.refused().headers["version"].split(",")) == {"1.0", "1.1", "1.2"}


@item("S-12")
@NOT_10
def test_bad_credentials_are_answered_by_error_and_then_the_end(dial, version):
    with Broker(logins={"me": "secret"}) as strict:
        dial(version, strict).connect("login:me", "passcode:secret")
        for lines in (["login:me", "passcode:wrong"], ["login:you", "passcode:secret"], []):
            link = dial(version, strict)
            link.send("CONNECT", f"accept-version:{version}", "host:/", *lines)
            link.refused()


@item("S-13")
@pytest.mark.parametrize("command", ["SEND", "SUBSCRIBE", "DISCONNECT", "CONNECTED"])
def test_a_frame_before_connect_is_refused(dial, left_in, queue, command):
    link = dial()
    link.send(command, f"destination:{queue}", "id:1", body=b"a")
    link.refused()
    assert left_in(queue) == []


@item("S-14")
@ALL
def test_each_connection_has_a_session_of_its_own(dial, version):
    sessions = {dial(version).connect().headers["session"] for _ in range(5)}
    assert len(sessions) == 5


@item("S-15")
@NOT_10
def test_the_server_says_its_name_and_version(dial, version):
    server = dial(version).connect().headers["server"]
    assert re.fullmatch(r"[^\s/]+(/\S+)?( \(.*\))*", server)
    assert server.split(" ")[0] == f"stompy/{stompy.__version__}"


@item("S-16")
@NOT_10
def test_any_host_is_accepted(dial, version):
    link = dial(version)
    link.send("CONNECT", f"accept-version:{version}", "host:no-such-vhost.invalid")
    assert link.expect("CONNECTED").headers["version"] == version


@item("S-17")
@NOT_10
def test_rapid_connects_and_disconnects_are_served(dial, version):
    for number in range(40):
        link = dial(version)
        link.connect()
        if number % 3 == 0:
            link.send("DISCONNECT")
        link.close()
    dial(version).connect()


@item("S-18")
@NOT_10
def test_a_backslash_in_connect_is_harmless(dial, version):
    dial(version).connect(r"x-path:C:\temp\q", "x-end:\\")


@item("S-19")
def test_connect_of_1_2_without_a_host_is_accepted(dial):
    link = dial()
    link.send("CONNECT", "accept-version:1.2")
    assert link.expect("CONNECTED").headers["version"] == "1.2"


@item("S-20")
@ALL
def test_a_second_connect_is_refused_and_others_may_come(connect, version):
    link = connect(version)
    link.send("CONNECT", f"accept-version:{version}", "host:/")
    link.refused()
    assert connect(version).rest() == []


# -- Grammar ---------------------------------------------------------------------------------


@item("S-21")
@ALL
def test_frames_that_come_octet_by_octet_are_understood(dial, left_in, queue, version):
    link = dial(version)
    offer = [] if version == "1.0" else [f"accept-version:{version}", "host:/"]
    message = raw("SEND", f"destination:{queue}", "receipt:r", body=b"hello")
    for octet in raw("CONNECT", *offer) + message:
        link.octets(bytes([octet]))
    assert [link.read().command for _ in range(2)] == ["CONNECTED", "RECEIPT"]
    assert left_in(queue) == [b"hello"]


@item("S-22")
@ALL
def test_many_frames_in_one_write_are_all_processed_in_order(connect, queue, version):
    link = connect(version)
    messages = [raw("SEND", f"destination:{queue}", body=body) for body in numbered(30)]
    link.octets(raw("SUBSCRIBE", f"destination:{queue}", "id:1") + b"".join(messages))
    assert link.bodies(30) == numbered(30)


@item("S-23")
@ALL
def test_line_feeds_between_frames_are_skipped(dial, left_in, queue, version):
    link = dial(version)
    link.octets(b"\n\n\n")
    link.connect()
    link.octets(b"\n\n" + raw("SEND", f"destination:{queue}", body=b"a") + b"\n\n\n")
    link.octets(b"\n" + raw("SEND", f"destination:{queue}", body=b"b") + b"\n")
    assert link.rest() == []
    assert left_in(queue) == [b"a", b"b"]


@item("S-24")
def test_cr_lf_ends_the_lines_of_a_1_2_frame_as_well(dial, queue):
    link = dial()
    link.octets(b"CONNECT\r\naccept-version:1.2\r\nhost:/\r\n\r\n\0")
    link.expect("CONNECTED")
    link.octets(b"SUBSCRIBE\r\ndestination:%b\r\nid:1\r\n\r\n\0" % queue.encode())
    link.octets(b"SEND\r\ndestination:%b\r\nk:v\r\n\r\n\r\na\r\nb\r\n\0" % queue.encode())
    message = link.expect("MESSAGE")
    assert (message.headers["k"], message.body) == ("v", b"\r\na\r\nb\r\n")


@item("S-25")
def test_cr_lf_between_1_2_frames_is_skipped(connect, left_in, queue):
    link = connect()
    link.octets(b"\r\n\r\n" + raw("SEND", f"destination:{queue}", body=b"a") + b"\r\n\n\r\n")
    assert link.rest() == []
    assert left_in(queue) == [b"a"]


@item("S-26")
@NOT_10
def test_commands_are_case_sensitive(connect, left_in, queue, version):
    link = connect(version)
    link.send("send", f"destination:{queue}", body=b"a")
    link.refused()
    assert left_in(queue) == []


@item("S-27")
@NOT_10
def test_header_names_are_case_sensitive(connect, left_in, queue, version):
    link = connect(version)
    link.send("SEND", f"Destination:{queue}", body=b"a")
    link.refused()
    assert left_in(queue) == []


@item("S-28")
@ALL
def test_a_header_line_without_a_colon_is_a_malformed_frame(connect, left_in, queue, version):
    link = connect(version)
    link.send("SEND", f"destination:{queue}", "no colon", body=b"a")
    link.refused()
    assert left_in(queue) == []


@item("S-29")
@NOT_10
def test_an_empty_header_value_stays_empty(passed, version):
    assert passed(version, "k:").headers["k"] == ""


@item("S-30")
@NOT_10
def test_utf_8_in_header_names_and_values_passes_through(passed, version):
    message = passed(version, "n\u00e4me\u2603:\u00fcber \U0001f600")
    assert message.headers["n\u00e4me\u2603"] == "\u00fcber \U0001f600"


@item("S-31", "S-32")
@NOT_10
def test_header_values_are_neither_trimmed_nor_padded(passed, version):
    sent = {"pad": "  both sides  ", "lead": " lead", "trail": "trail\t", " name ": "v", "s": " "}
    headers = passed(version, *(f"{name}:{value}" for name, value in sent.items())).headers
    assert {name: headers.get(name) for name in sent} == sent


@item("S-33")
def test_a_1_0_header_value_may_hold_colons(passed):
    assert "time:12:30:00" in passed("1.0", "time:12:30:00").lines


@item("S-34")
@pytest.mark.parametrize("length", [[], ["content-length:0"]])
@ALL
def test_an_empty_body_is_delivered_empty(passed, version, length):
    assert passed(version, *length, body=b"").body == b""


@item("S-35")
@pytest.mark.parametrize("body", [b"\0", b"\0a", b"a\0", b"a\0b", b"\0\n\0"])
@ALL
def test_content_length_octets_are_read_whatever_they_are(passed, version, body):
    assert passed(version, f"content-length:{len(body)}", body=body).body == body


@item("S-36")
@ALL
def test_without_content_length_the_body_ends_at_the_first_nul(connect, left_in, queue, version):
    link = connect(version)
    link.octets(b"".join(raw("SEND", f"destination:{queue}", body=body) for body in numbered(2)))
    assert link.rest() == []
    assert left_in(queue) == numbered(2)


@item("S-37")
@ALL
def test_octets_beyond_the_content_length_are_fatal(connect, left_in, queue, version):
    link = connect(version)
    link.send("SEND", f"destination:{queue}", "content-length:3", body=b"abcdefgh")
    link.refused()
    assert left_in(queue) == []


@item("S-38", "S-39")
@pytest.mark.parametrize("length", ["abc", "", "-5", "+5", "1.5", "0x5", "\u0665"])
@ALL
def test_a_content_length_that_is_no_number_is_refused(connect, left_in, queue, version, length):
    link = connect(version)
    link.send("SEND", f"destination:{queue}", f"content-length:{length}", body=b"a")
    link.refused()
    assert left_in(queue) == []


@item("S-40")
@pytest.mark.parametrize("length", [[], ["content-length:5"]])
@ALL
def test_a_frame_cut_off_by_the_end_is_not_processed(connect, left_in, queue, version, length):
    link = connect(version)
    link.octets(raw("SEND", f"destination:{queue}", *length, body=b"abc")[:-1])
    link.lose()
    assert left_in(queue) == []


@item("S-41")
def test_any_1_2_frame_may_have_a_content_length(connect, queue):
    link = connect()
    link.ask("SUBSCRIBE", f"destination:{queue}", "id:1", "content-length:0")
    link.ask("BEGIN", "transaction:t", "content-length:0")
    link.ask("COMMIT", "transaction:t", "content-length:0")
    link.ask("UNSUBSCRIBE", "id:1", "content-length:0")
    link.ask("DISCONNECT", "content-length:0")


@item("S-42")
@ALL
def test_a_body_of_subscribe_does_not_upset_the_stream(connect, queue, version):
    link = connect(version)
    link.ask("SUBSCRIBE", f"destination:{queue}", "id:1", body=b"a body")
    link.message(queue, b"a")
    assert link.bodies(1) == [b"a"]


@item("S-43")
@ALL
def test_a_body_that_looks_like_a_frame_stays_a_body(connect, left_in, queue, version):
    body = b"\0\n" + raw("SEND", f"destination:{queue}", body=b"false")
    link = connect(version)
    link.message(queue, body, f"content-length:{len(body)}")
    assert link.rest() == []
    assert left_in(queue) == [body]


# -- Escaping --------------------------------------------------------------------------------


@item("S-44", "S-45")
@pytest.mark.parametrize(
    ("version", "value", "meaning"),
    [
        ("1.1", r"a\nb\cc\\d\\n", "a\nb:c\\d\\n"),
        ("1.2", r"a\nb\cc\\d\\n\re\\r", "a\nb:c\\d\\n\re\\r"),
    ],
)
def test_escapes_in_values_are_decoded_and_encoded_again(passed, version, value, meaning):
    message = passed(version, f"k:{value}")
    assert message.headers["k"] == meaning
    assert f"k:{value}" in message.lines


@item("S-46")
@NOT_10
def test_header_names_are_escaped_too(passed, version):
    message = passed(version, r"na\cme\\x:v")
    assert message.headers["na:me\\x"] == "v"
    assert r"na\cme\\x:v" in message.lines


@item("S-47", "S-48", "S-49")
@pytest.mark.parametrize(
    ("version", "value"),
    [
        ("1.1", r"a\rb"),
        ("1.1", r"a\tb"),
        ("1.2", r"a\tb"),
        ("1.2", r"a\Nb"),
        ("1.1", "a\\"),
        ("1.2", "a\\"),
    ],
)
def test_an_undefined_escape_is_fatal(connect, left_in, queue, version, value):
    for line in (f"k:{value}", f"{value}:v"):
        link = connect(version)
        link.send("SEND", f"destination:{queue}", line, body=b"a")
        link.refused()
    assert left_in(queue) == []


@item("S-50")
def test_backslashes_in_1_0_pass_through_as_they_are(passed):
    assert r"k:a\nb\cc\td\\" in passed("1.0", r"k:a\nb\cc\td\\").lines


@item("S-51")
@NOT_10
def test_the_receipt_id_is_escaped_like_any_header(connect, version):
    link = connect(version)
    link.send("SEND", "destination:/topic/nobody-listens", r"receipt:a\cb\\c")
    receipt = link.expect("RECEIPT")
    assert r"receipt-id:a\cb\\c" in receipt.lines
    assert receipt.headers["receipt-id"] == "a:b\\c"


# -- Repeated headers ------------------------------------------------------------------------


@item("S-52")
@NOT_10
def test_of_two_receipt_headers_the_first_counts(connect, version):
    link = connect(version)
    link.send("SEND", "destination:/topic/nobody-listens", "receipt:first", "receipt:second")
    assert [frame.headers["receipt-id"] for frame in link.rest()] == ["first"]


@item("S-53")
@NOT_10
def test_of_a_repeated_user_header_consumers_see_the_first_entry_first(passed, version):
    assert passed(version, "foo:World", "foo:Hello").headers["foo"] == "World"


@item("S-54")
@NOT_10
def test_of_two_destinations_the_first_counts(connect, left_in, queue, version):
    link = connect(version)
    link.subscribe(queue)
    link.message(queue, b"a", f"destination:{queue}.other")
    assert link.bodies(1) == [b"a"]
    assert link.rest() == []
    assert left_in(f"{queue}.other") == []


# -- SEND and MESSAGE ------------------------------------------------------------------------


@item("S-55")
@ALL
def test_send_without_destination_is_answered_by_error(connect, version):
    link = connect(version)
    link.send("SEND", body=b"a")
    link.refused()


@item("S-56")
@NOT_10
def test_message_has_destination_message_id_and_subscription(passed, queue, version):
    headers = passed(version).headers
    assert (headers["destination"], headers["subscription"]) == (queue, "1")
    assert headers["message-id"]


@item("S-57")
@ALL
def test_message_ids_are_unique(connect, queue, topic, version):
    link = connect(version)
    link.subscribe(queue, "q")
    link.subscribe(topic, "t")
    for body in numbered(10):
        link.message(queue, body)
        link.message(topic, body)
    ids = [link.expect("MESSAGE").headers["message-id"] for _ in range(20)]
    assert len(set(ids)) == 20


@item("S-58")
@pytest.mark.parametrize("kind", ["queue", "topic"])
@pytest.mark.parametrize("name", ["plain", "a.b", "a b", "\u00fc\u2603", "a/b//c", ""])
def test_the_destination_of_message_is_that_of_send(connect, kind, name):
    destination = f"/{kind}/{next(NUMBERS)}{name}"
    link = connect()
    link.subscribe(destination)
    link.message(destination, b"a")
    assert link.expect("MESSAGE").headers["destination"] == destination


@item("S-59")
@NOT_10
def test_headers_of_the_user_pass_through(passed, version):
    sent = {"foo": "1", "x-bar": "two words", "BAZ": "3", "persistent": "true"}
    headers = passed(version, *(f"{name}:{value}" for name, value in sent.items())).headers
    assert {name: headers.get(name) for name in sent} == sent


@item("S-60")
@NOT_10
def test_the_content_type_reaches_the_consumer(passed, version):
    content_type = "text/html;charset=utf-16"
    assert passed(version, f"content-type:{content_type}").headers["content-type"] == content_type


@item("S-61", "S-62")
@pytest.mark.parametrize(
    ("lines", "body"),
    [([], b"abc"), (["content-length:3"], b"abc"), (["content-length:3"], b"a\0b")],
)
@ALL
def test_a_message_with_a_body_has_a_right_content_length(passed, version, lines, body):
    assert passed(version, *lines, body=body).headers["content-length"] == "3"


@item("S-63")
@ALL
def test_a_body_of_all_octets_passes_unchanged(passed, version):
    body = bytes(range(256)) * 3
    assert passed(version, f"content-length:{len(body)}", body=body).body == body


@item("S-64")
def test_messages_of_one_sender_to_one_queue_come_in_order(connect, queue):
    receiver, sender = connect(), connect()
    receiver.subscribe(queue)
    for body in numbered(200):
        sender.message(queue, body)
    assert receiver.bodies(200) == numbered(200)


@item("S-65")
def test_a_body_of_a_mebibyte_passes_unchanged(passed):
    body = random.Random(1).randbytes(MIB)
    assert passed("1.2", f"content-length:{MIB}", body=body).body == body


@item("S-66")
@NOT_10
def test_each_message_names_its_own_subscription(connect, queue, topic, version):
    link = connect(version)
    link.subscribe(queue, r"one\c 1")
    link.subscribe(topic, "two")
    link.message(queue, b"a")
    link.message(topic, b"b")
    came = {message.body: message.headers["subscription"] for message in link.rest()}
    assert came == {b"a": "one: 1", b"b": "two"}


# -- SUBSCRIBE and UNSUBSCRIBE ---------------------------------------------------------------


@item("S-67")
@ALL
def test_subscribe_without_destination_is_answered_by_error(connect, version):
    link = connect(version)
    link.send("SUBSCRIBE", "id:1")
    link.refused()


@item("S-68")
@NOT_10
def test_subscribe_without_id_is_answered_by_error(connect, queue, version):
    link = connect(version)
    link.send("SUBSCRIBE", f"destination:{queue}")
    link.refused()


@item("S-69")
@NOT_10
def test_a_second_subscribe_with_the_same_id_is_answered_by_error(connect, queue, topic, version):
    link = connect(version)
    link.subscribe(queue)
    link.send("SUBSCRIBE", f"destination:{topic}", "id:1")
    link.refused()


@item("S-70")
@ALL
def test_without_an_ack_header_what_was_sent_is_consumed(connect, left_in, queue, version):
    link = connect(version)
    link.subscribe(queue)
    link.message(queue, b"a")
    assert link.bodies(1) == [b"a"]
    link.lose()
    assert left_in(queue) == []


@item("S-71")
@NOT_10
@pytest.mark.parametrize("mode", ["sometimes", "", "Auto"])
def test_an_invalid_ack_mode_is_refused(connect, queue, version, mode):
    link = connect(version)
    link.send("SUBSCRIBE", f"destination:{queue}", "id:1", f"ack:{mode}")
    link.refused()


@item("S-72")
@NOT_10
def test_two_connections_may_use_the_same_subscription_id(connect, topic, version):
    one, other = connect(version), connect(version)
    one.subscribe(topic)
    other.subscribe(topic)
    one.message(topic, b"a")
    assert (one.bodies(1), other.bodies(1)) == ([b"a"], [b"a"])


@item("S-73")
def test_in_1_0_a_message_names_its_subscription_if_that_has_an_id(connect, queue):
    link = connect("1.0")
    link.ask("SUBSCRIBE", f"destination:{queue}.with", "id:one")
    link.message(f"{queue}.with", b"a")
    assert link.expect("MESSAGE").headers["subscription"] == "one"
    link.ask("SUBSCRIBE", f"destination:{queue}.without")
    link.message(f"{queue}.without", b"b")
    assert "subscription" not in link.expect("MESSAGE").headers


@item("S-74")
@ALL
def test_unsubscribe_ends_the_messages_of_that_subscription_only(connect, topic, version):
    link = connect(version)
    link.subscribe(f"{topic}.a", "a")
    link.subscribe(f"{topic}.b", "b")
    link.ask("UNSUBSCRIBE", "id:a")
    link.message(f"{topic}.a", b"a")
    link.message(f"{topic}.b", b"b")
    assert bodies(link.rest()) == [b"b"]


@item("S-75")
@NOT_10
def test_unsubscribe_of_an_unknown_id_is_answered_by_error(connect, version):
    link = connect(version)
    link.send("UNSUBSCRIBE", "id:never")
    link.refused()


@item("S-76")
@NOT_10
def test_unsubscribe_without_id_is_answered_by_error(connect, queue, version):
    link = connect(version)
    link.subscribe(queue)
    link.send("UNSUBSCRIBE", f"destination:{queue}")
    link.refused()


@item("S-77")
def test_in_1_0_unsubscribe_may_name_the_destination(connect, topic):
    link = connect("1.0")
    link.ask("SUBSCRIBE", f"destination:{topic}")
    link.ask("UNSUBSCRIBE", f"destination:{topic}")
    link.message(topic, b"a")
    assert link.rest() == []


@item("S-78")
@NOT_10
def test_an_id_is_free_again_after_unsubscribe(connect, topic, version):
    link = connect(version)
    link.subscribe(f"{topic}.a")
    link.ask("UNSUBSCRIBE", "id:1")
    link.subscribe(f"{topic}.b")
    link.message(f"{topic}.a", b"a")
    link.message(f"{topic}.b", b"b")
    assert bodies(link.rest()) == [b"b"]


# -- Acknowledgment --------------------------------------------------------------------------


@item("S-79")
@ALL
def test_in_auto_mode_a_message_that_was_sent_is_not_sent_again(holding, left_in, queue, version):
    link, _ = holding(version, "auto", b"a", b"b", b"c")
    link.leave()
    assert left_in(queue) == []


@item("S-80")
@pytest.mark.parametrize("loss", [Link.lose, Link.reset])
@pytest.mark.parametrize(
    ("version", "mode"),
    [("1.0", "client"), *itertools.product(["1.1", "1.2"], ["client", "client-individual"])],
)
def test_what_was_not_acknowledged_comes_again_in_order(
    connect, holding, queue, version, mode, loss
):
    link, _ = holding(version, mode, b"a", b"b", b"c")
    loss(link)
    other = connect(version)
    other.subscribe(queue)
    assert other.bodies(3) == [b"a", b"b", b"c"]


@item("S-80")
@ALL
def test_what_was_not_acknowledged_comes_again_before_what_waits(connect, left_in, queue, version):
    link = connect(version)
    link.subscribe(queue, "1", "ack:client", "prefetch-count:2")
    for body in numbered(4):
        link.message(queue, body)
    assert link.bodies(2) == numbered(2)
    link.lose()
    assert left_in(queue) == numbered(4)


@item("S-81")
@NOT_10
def test_in_client_mode_an_ack_is_cumulative(holding, left_in, queue, version):
    link, messages = holding(version, "client", b"a", b"b", b"c", b"d")
    link.acknowledge(messages[2])
    link.lose()
    assert left_in(queue) == [b"d"]


@item("S-82")
@NOT_10
def test_in_client_individual_mode_an_ack_is_not_cumulative(holding, left_in, queue, version):
    link, messages = holding(version, "client-individual", b"a", b"b", b"c", b"d")
    link.acknowledge(messages[2])
    link.lose()
    assert left_in(queue) == [b"a", b"b", b"d"]


@item("S-83")
@CLIENT_MODES
def test_a_1_2_message_that_waits_for_its_ack_has_an_ack_header(holding, mode):
    _, messages = holding("1.2", mode, b"a", b"b")
    assert len({message.headers["ack"] for message in messages}) == 2


@item("S-84", "S-85")
@pytest.mark.parametrize(
    ("version", "names"), [("1.0", ["message-id"]), ("1.1", ["message-id", "subscription"])]
)
def test_before_1_2_an_ack_names_the_message_id(holding, left_in, queue, version, names):
    link, (message,) = holding(version, "client", b"a")
    link.ask("ACK", *(message.line(name) for name in names))
    link.lose()
    assert left_in(queue) == []


@item("S-86", "S-92")
@NOT_10
def test_an_ack_that_lacks_a_required_header_is_answered_by_error(holding, left_in, queue, version):
    link, (message,) = holding(version, "client", b"a")
    lines = [message.line("message-id")]
    link.send("ACK", *lines, *([message.line("subscription")] if version == "1.2" else []))
    link.refused()
    assert left_in(queue) == [b"a"]


@item("S-87")
@pytest.mark.parametrize("command", ["ACK", "NACK"])
@NOT_10
def test_an_ack_of_an_unknown_message_is_answered_by_error(
    holding, left_in, queue, version, command
):
    link, _ = holding(version, "client", b"a")
    unknown = ["id:no-such-ack"] if version == "1.2" else ["message-id:no-such", "subscription:1"]
    link.send(command, *unknown)
    link.refused()
    assert left_in(queue) == [b"a"]


@item("S-88")
@CLIENT_MODES
@NOT_10
def test_a_nack_is_understood(holding, version, mode):
    link, (message,) = holding(version, mode, b"a")
    assert link.ask("NACK", *link.names(message)).command == "RECEIPT"


@item("S-89")
@NOT_10
def test_in_client_mode_a_nack_covers_the_messages_before_it(holding, version):
    link, messages = holding(version, "client", b"a", b"b", b"c")
    link.ask("NACK", *link.names(messages[1]))
    again = link.rest()
    assert bodies(again) == [b"a", b"b"]
    assert [message.headers.get("redelivered") for message in again] == ["true", "true"]


@item("S-90", "S-91")
@pytest.mark.parametrize(("end", "left"), [("COMMIT", [b"b"]), ("ABORT", [b"a", b"b"])])
@ALL
def test_an_ack_counts_if_its_transaction_is_committed(holding, left_in, queue, version, end, left):
    link, messages = holding(version, "client", b"a", b"b")
    link.ask("BEGIN", "transaction:t")
    link.acknowledge(messages[0], "transaction:t")
    link.ask(end, "transaction:t")
    link.lose()
    assert left_in(queue) == left


@item("S-93")
@ALL
def test_a_message_that_waits_for_its_ack_is_not_given_to_another(connect, queue, version):
    first, second = connect(version), connect(version)
    first.subscribe(queue, "1", "ack:client", "prefetch-count:1")
    first.message(queue, b"a")
    assert first.bodies(1) == [b"a"]
    second.subscribe(queue)
    first.message(queue, b"b")
    assert second.bodies(1) == [b"b"]
    assert first.rest() == second.rest() == []


# -- Transactions ----------------------------------------------------------------------------


@item("S-94", "S-95")
@ALL
def test_a_transaction_shows_at_its_commit_and_in_order(connect, queue, version):
    receiver, sender = connect(version), connect(version)
    receiver.subscribe(queue)
    sender.send("BEGIN", "transaction:t")
    for body in numbered(20):
        sender.message(queue, body, "transaction:t")
    sender.message(queue, b"plain")
    sender.sync()
    assert bodies(receiver.rest()) == [b"plain"]
    sender.send("COMMIT", "transaction:t")
    assert receiver.bodies(20) == numbered(20)


@item("S-96")
@ALL
def test_abort_discards_what_was_sent(connect, left_in, queue, version):
    link = connect(version)
    link.ask("BEGIN", "transaction:t")
    link.message(queue, b"no", "transaction:t")
    link.ask("ABORT", "transaction:t")
    link.message(queue, b"plain")
    link.leave()
    assert left_in(queue) == [b"plain"]


@item("S-97")
@pytest.mark.parametrize("command", ["BEGIN", "COMMIT", "ABORT"])
@ALL
def test_without_a_transaction_header_these_are_answered_by_error(connect, version, command):
    link = connect(version)
    link.send(command)
    link.refused()


@item("S-98", "S-99")
@pytest.mark.parametrize("command", ["COMMIT", "ABORT"])
@ALL
def test_the_end_of_an_unknown_transaction_is_answered_by_error(connect, version, command):
    link = connect(version)
    link.send(command, "transaction:never")
    link.refused()


@item("S-100")
@ALL
def test_a_send_in_an_unknown_transaction_is_answered_by_error(connect, left_in, queue, version):
    link = connect(version)
    link.message(queue, b"a", "transaction:never")
    link.refused()
    assert left_in(queue) == []


@item("S-101")
@ALL
def test_a_second_begin_with_the_same_id_is_answered_by_error(connect, version):
    link = connect(version)
    link.ask("BEGIN", "transaction:t")
    link.send("BEGIN", "transaction:t")
    link.refused()


@item("S-102")
@ALL
def test_a_transaction_id_is_free_again_after_its_end(connect, version):
    link = connect(version)
    for end in ("COMMIT", "ABORT", "COMMIT"):
        link.ask("BEGIN", "transaction:t")
        link.ask(end, "transaction:t")


@item("S-103", "S-104")
@pytest.mark.parametrize("end", [Link.leave, Link.lose])
@ALL
def test_an_open_transaction_is_aborted_when_its_client_goes(connect, left_in, queue, version, end):
    link = connect(version)
    link.ask("BEGIN", "transaction:t")
    link.message(queue, b"a", "transaction:t")
    link.sync()
    end(link)
    assert left_in(queue) == []


@item("S-105")
@ALL
def test_two_open_transactions_do_not_mix(connect, left_in, queue, version):
    link = connect(version)
    for transaction in ("a", "b"):
        link.ask("BEGIN", f"transaction:{transaction}")
    for body in numbered(6):
        link.message(queue, body, f"transaction:{'ab'[int(body) % 2]}")
    link.ask("ABORT", "transaction:a")
    link.ask("COMMIT", "transaction:b")
    assert left_in(queue) == [b"1", b"3", b"5"]


# -- Receipts and DISCONNECT -----------------------------------------------------------------


@item("S-106")
@ALL
def test_every_frame_gets_a_receipt_when_it_asks_for_one(connect, queue, version):
    link = connect(version)
    link.ask("SUBSCRIBE", f"destination:{queue}", "id:1", "ack:client")
    link.ask("SEND", f"destination:{queue}", body=b"a")
    link.ask("ACK", *link.names(link.expect("MESSAGE")))
    link.ask("SEND", f"destination:{queue}", body=b"b")
    link.ask("ACK" if version == "1.0" else "NACK", *link.names(link.expect("MESSAGE")))
    link.ask("UNSUBSCRIBE", "id:1")
    for end in ("COMMIT", "ABORT"):
        link.ask("BEGIN", "transaction:t")
        link.ask(end, "transaction:t")
    link.ask("DISCONNECT")


@item("S-107")
@ALL
def test_a_receipt_has_the_value_as_its_receipt_id_and_no_body(connect, version):
    link = connect(version)
    link.send("SEND", "destination:/topic/nobody-listens", "receipt:a b=c&d \u00fc\u2603")
    receipt = link.expect("RECEIPT")
    assert (receipt.headers["receipt-id"], receipt.body) == ("a b=c&d \u00fc\u2603", b"")


@item("S-108")
@ALL
def test_there_is_no_receipt_unless_asked(connect, queue, version):
    link = connect(version)
    link.message(queue, b"a")
    link.send("BEGIN", "transaction:t")
    link.send("COMMIT", "transaction:t")
    assert link.rest() == []


@item("S-109")
@ALL
def test_receipts_come_in_the_order_of_the_frames(connect, queue, version):
    link = connect(version)
    names = [f"r{number}" for number in range(30)]
    link.octets(b"".join(raw("SEND", f"destination:{queue}", f"receipt:{name}") for name in names))
    assert [link.expect("RECEIPT").headers["receipt-id"] for _ in names] == names


@item("S-110")
@ALL
def test_a_disconnect_is_answered_by_its_receipt_and_then_the_end(connect, version):
    link = connect(version)
    link.send("DISCONNECT", "receipt:bye")
    assert link.expect("RECEIPT").headers["receipt-id"] == "bye"
    link.expect_end()


@item("S-111")
@pytest.mark.parametrize("end", ["disconnect and close", "half-close"])
@ALL
def test_frames_before_a_disconnect_or_a_close_are_processed(connect, queue, version, end):
    link = connect(version)
    link.octets(b"".join(raw("SEND", f"destination:{queue}", body=b) for b in numbered(20)))
    if end == "half-close":
        assert link.lose() == []
    else:
        link.send("DISCONNECT")
        link.close()
    receiver = connect(version)
    receiver.subscribe(queue)
    assert receiver.bodies(20) == numbered(20)


@item("S-112")
@ALL
def test_frames_after_disconnect_have_no_effect(connect, left_in, queue, version):
    link = connect(version)
    late = raw("SEND", f"destination:{queue}", "receipt:late", body=b"too late")
    link.octets(raw("DISCONNECT", "receipt:bye") + late)
    assert link.expect("RECEIPT").headers["receipt-id"] == "bye"
    link.expect_end()
    assert left_in(queue) == []


# -- ERROR -----------------------------------------------------------------------------------


@item("S-113")
@ALL
def test_error_says_in_its_message_header_what_was_wrong(connect, version):
    link = connect(version)
    link.send("SEND", body=b"a")
    assert "destination" in link.refused().headers["message"]


@item("S-114", "S-144")
@ALL
def test_error_names_the_frame_by_its_receipt(connect, version):
    link = connect(version)
    link.send("SEND", "receipt:about this", body=b"a")
    assert link.refused().headers["receipt-id"] == "about this"


@item("S-115")
@pytest.mark.parametrize("command", ["SEND", "SUBSCRIBE", "ACK", "COMMIT", "FROBNICATE"])
@ALL
def test_after_error_the_end_comes_soon(connect, version, command):
    link = connect(version)
    link.send(command)
    began = time.monotonic()
    link.refused()
    assert time.monotonic() - began < 2


@item("S-116")
@ALL
def test_error_with_a_body_has_content_length_and_content_type(connect, version):
    link = connect(version)
    link.send("SEND")
    error = link.refused()
    assert int(error.headers["content-length"]) == len(error.body) > 0
    assert error.headers["content-type"].startswith("text/plain")


@item("S-117")
@ALL
def test_an_unknown_command_is_answered_by_error(connect, version):
    link = connect(version)
    link.send("FROBNICATE", "receipt:r")
    assert link.refused().headers["receipt-id"] == "r"


@item("S-118")
@pytest.mark.parametrize("garbage", [b"garbage\n\n\0", b"\xff\xfe\n\n\0", b"\0\n\n\0"])
def test_an_error_of_one_connection_leaves_the_others_alone(dial, connect, queue, garbage):
    good, bad = connect(), dial()
    good.subscribe(queue)
    good.message(queue, b"a")
    bad.octets(garbage)
    bad.refused()
    good.message(queue, b"b")
    assert good.bodies(2) == [b"a", b"b"]


# -- Heart-beats -----------------------------------------------------------------------------


def wait_in_silence(links: list[Link], seconds: float) -> None:
    """Nothing may come on any of the connections for that long."""
    end = time.monotonic() + seconds
    for link in links:
        assert not link.has_something(max(end - time.monotonic(), 0))


@item("S-119")
@pytest.mark.parametrize("lines", [[], ["heart-beat:0,0"], ["heart-beat:500,1000"]])
@NOT_10
def test_connected_offers_a_heart_beat_every_100_ms_both_ways(dial, version, lines):
    link = dial(version)
    link.send("CONNECT", f"accept-version:{version}", "host:/", *lines)
    assert link.expect("CONNECTED").headers["heart-beat"] == "100,100"


@item("S-120")
def test_without_a_heart_beat_header_no_beats_come_and_silence_is_fine(connect):
    links = [connect(version) for version in ("1.0", "1.1", "1.2")]
    wait_in_silence(links, 1.5)
    for link in links:
        assert link.rest() == []


@item("S-121")
@pytest.mark.parametrize(("asked", "agreed"), [(20, 0.1), (300, 0.3)])
@NOT_10
def test_the_server_beats_at_least_as_often_as_was_agreed(connect, version, asked, agreed):
    link = connect(version, f"heart-beat:0,{asked}")
    began = time.monotonic()
    for number in range(1, 4):
        assert link.beat() - began < number * agreed + LATE


@item("S-122")
def test_a_client_that_beats_a_little_late_is_not_dropped(connect):
    quick = [connect(version, "heart-beat:100,0") for version in ("1.1", "1.2")]
    slow = [connect(version, "heart-beat:1500,0") for version in ("1.1", "1.2")]
    for _ in range(15):  # for longer than the broker waits for a quick one that is silent
        for link in quick:
            link.octets(b"\n")
        wait_in_silence(quick + slow, 0.11)
    for link in quick + slow:
        assert link.rest() == []


@item("S-123")
def test_a_client_that_has_stopped_beating_gets_error_and_is_cut_off(connect):
    began = time.monotonic()
    for link in [connect(version, "heart-beat:100,0") for version in ("1.1", "1.2")]:
        link.refused()
        assert 1.15 < time.monotonic() - began < 1.2 + 2 * LATE  # two intervals and a second


@item("S-124")
def test_a_malformed_heart_beat_header_counts_as_none(connect):
    malformed = ("abc", "1000", "-1,5", "1,2,3", "10,x", "100;100", "", ",", "1e2,100")
    links = [
        connect(version, f"heart-beat:{value}") for version in ("1.1", "1.2") for value in malformed
    ]
    wait_in_silence(links, 1.5)
    for link in links:
        assert link.rest() == []


@item("S-125")
@pytest.mark.parametrize(("version", "beat"), [("1.1", b"\n"), ("1.2", b"\n"), ("1.2", b"\r\n")])
def test_line_ends_of_a_client_are_heart_beats_and_no_frames(connect, version, beat):
    link = connect(version, "heart-beat:1000,0")
    for _ in range(10):
        link.octets(beat)
    assert link.rest() == []


# -- Limits ----------------------------------------------------------------------------------


@item("S-126")
@pytest.mark.parametrize("count", [1001, 20_000])
@ALL
def test_a_frame_of_more_than_1000_headers_is_refused(connect, left_in, queue, version, count):
    link = connect(version)
    more = [f"k{number}:v" for number in range(1, count)]
    link.send("SEND", f"destination:{queue}", *more, body=b"a")
    link.refused()
    assert left_in(queue) == []


@item("S-126")
@ALL
def test_a_frame_of_1000_headers_is_taken(connect, left_in, queue, version):
    link = connect(version)
    link.message(queue, b"a", *[f"k{number}:v" for number in range(1, 1000)])
    assert link.rest() == []
    assert left_in(queue) == [b"a"]


@item("S-127")
@pytest.mark.parametrize("size", [64 * 1024 + 1, 8 * MIB])
@ALL
def test_a_header_line_of_more_than_64_kib_is_refused(connect, left_in, queue, version, size):
    link = connect(version)
    link.send("SEND", f"destination:{queue}", f"k:{'v' * (size - 2)}", body=b"a")
    link.refused()
    assert left_in(queue) == []


@item("S-127")
@ALL
def test_a_header_line_of_64_kib_is_taken(passed, version):
    value = "v" * (64 * 1024 - 2)
    assert passed(version, f"k:{value}").headers["k"] == value


@item("S-128")
@pytest.mark.parametrize("digits", ["4000000000000", "9" * 5000], ids=["4 TB", "5000 digits"])
@ALL
def test_an_absurd_content_length_is_refused_at_once(connect, version, digits):
    link = connect(version)
    link.octets(f"SEND\ndestination:/queue/q\ncontent-length:{digits}\n\n".encode())
    link.refused()


@item("S-129")
def test_an_endless_command_line_is_cut_off(dial, connect):
    for link in (dial(), connect()):
        link.octets(b"S" * 4 * MIB)
        link.refused()


# -- Custom shared by real brokers (not in the specification) --------------------------------


@item("B-01")
@ALL
def test_of_a_queue_each_message_goes_to_exactly_one_of_two_consumers(connect, queue, version):
    one, other = connect(version), connect(version)
    one.subscribe(queue)
    other.subscribe(queue)
    for body in numbered(20):
        one.message(queue, body)
    shares = [bodies(link.rest()) for link in (one, other)]
    assert sorted(shares[0] + shares[1]) == sorted(numbered(20))
    assert all(shares)


@item("B-02")
@ALL
def test_of_a_topic_every_subscriber_gets_every_message(connect, topic, version):
    one, other = connect(version), connect(version)
    one.subscribe(topic)
    other.subscribe(topic)
    for body in numbered(5):
        one.message(topic, body)
    assert one.bodies(5) == other.bodies(5) == numbered(5)


@item("B-03")
@ALL
def test_a_message_of_a_topic_without_subscribers_is_dropped(connect, topic, version):
    link = connect(version)
    link.message(topic, b"too early")
    link.subscribe(topic)
    link.message(topic, b"in time")
    assert bodies(link.rest()) == [b"in time"]


@item("B-04")
@ALL
def test_messages_of_a_queue_wait_for_a_consumer_in_order(connect, queue, version):
    link = connect(version)
    for body in numbered(5):
        link.message(queue, body)
    link.subscribe(queue)
    assert link.bodies(5) == numbered(5)


@item("B-05")
@ALL
def test_a_message_that_comes_again_says_so(connect, holding, queue, version):
    link, (message,) = holding(version, "client", b"a")
    assert "redelivered" not in message.headers
    link.lose()
    other = connect(version)
    other.subscribe(queue)
    assert other.expect("MESSAGE").headers["redelivered"] == "true"


# -- Statements without a check (server) -----------------------------------------------------


@item("S-130")
@NOT_10
def test_a_repeated_header_means_the_same_after_two_hops(connect, queue, version):
    link = connect(version)
    link.subscribe(queue, "1")
    link.subscribe(f"{queue}.next", "2")
    link.message(queue, b"a", "foo:World", "foo:Hello")
    first = link.expect("MESSAGE")
    link.message(f"{queue}.next", b"a", *(ln for ln in first.lines if ln.startswith("foo:")))
    assert link.expect("MESSAGE").headers["foo"] == "World"


@item("S-130")
@ALL
def test_what_the_server_says_of_a_message_is_not_the_senders_to_say(passed, queue, version):
    claims = ("message-id:mine", "subscription:x", "ack:y", "redelivered:true", "receipt:r")
    message = passed(version, *claims)
    assert message.headers["message-id"] != "mine"
    assert message.headers["subscription"] == "1"
    assert not {"ack", "redelivered", "receipt"} & message.headers.keys()


@item("S-131")
@ALL
def test_a_message_comes_again_to_another_client(connect, holding, queue, version):
    first, _ = holding(version, "client", b"a")
    second = connect(version)
    second.subscribe(queue)
    first.lose()
    assert second.bodies(1) == [b"a"]


@item("S-132")
@NOT_10
def test_a_nacked_message_comes_again_at_its_place(connect, queue, version):
    link = connect(version)
    for body in (b"a", b"b", b"c"):
        link.message(queue, body)
    link.subscribe(queue, "1", "ack:client-individual", "prefetch-count:1")
    first = link.expect("MESSAGE")
    link.ask("NACK", *link.names(first))
    for body, again in [(b"a", "true"), (b"b", None), (b"c", None)]:
        message = link.expect("MESSAGE")
        assert (message.body, message.headers.get("redelivered")) == (body, again)
        link.acknowledge(message)


@item("S-132")
@CLIENT_MODES
@NOT_10
def test_a_message_nacked_after_its_fifth_delivery_is_a_dead_letter(
    holding, left_in, queue, version, mode
):
    link, (message,) = holding(version, mode, b"a")
    for _ in range(4):
        link.ask("NACK", *link.names(message))
        message = link.expect("MESSAGE")
        assert (message.body, message.headers["redelivered"]) == (b"a", "true")
    link.ask("NACK", *link.names(message))
    assert link.rest() == []
    link.leave()
    assert left_in(queue) == []
    assert left_in(queue.replace("/queue/", "/queue/DLQ.")) == [b"a"]


@item("S-133")
@ALL
def test_unknown_headers_of_subscribe_are_ignored(connect, queue, version):
    link = connect(version)
    link.subscribe(queue, "1", "x-unheard-of:yes", "activemq.priority:7", "durable:maybe")
    link.message(queue, b"a")
    assert link.bodies(1) == [b"a"]


@item("S-133")
@CLIENT_MODES
@NOT_10
def test_prefetch_count_bounds_what_is_unacknowledged(connect, queue, version, mode):
    link = connect(version)
    link.subscribe(queue, "1", f"ack:{mode}", "prefetch-count:2")
    for body in numbered(4):
        link.message(queue, body)
    first, second = link.rest()
    link.acknowledge(first)
    (third,) = link.rest()
    link.acknowledge(second)
    (fourth,) = link.rest()
    assert bodies([first, second, third, fourth]) == numbered(4)


@item("S-134")
@pytest.mark.parametrize("kind", ["queue", "topic"])
@ALL
def test_a_selector_chooses_messages_by_their_headers(connect, left_in, version, kind):
    destination = f"/{kind}/s{next(NUMBERS)}"
    link = connect(version)
    link.subscribe(destination, "1", "selector:colour = 'red'")
    for body, colour in [(b"a", "red"), (b"b", "blue"), (b"c", "red"), (b"d", "Red")]:
        link.message(destination, body, f"colour:{colour}")
    link.message(destination, b"e")
    assert bodies(link.rest()) == [b"a", b"c"]
    if kind == "queue":
        assert left_in(destination) == [b"b", b"d", b"e"]


@item("S-135")
@NOT_10
def test_heart_beats_go_only_where_both_sides_want_them(connect, version):
    none = connect(version, "heart-beat:0,0")
    ours = connect(version, "heart-beat:300,0")
    began = time.monotonic()
    theirs = connect(version, "heart-beat:0,300")
    for number in (1, 2):
        assert theirs.beat() - began < number * 0.3 + LATE
    assert time.monotonic() - began > 0.3  # the greater of both wishes, not the broker's 100 ms
    wait_in_silence([none, ours], 0)


@item("S-136")
@NOT_10
def test_the_server_sets_no_content_type_but_that_of_its_errors(connect, passed, version):
    assert "content-type" not in passed(version, body=b"{}").headers
    link = connect(version)
    link.send("SEND")
    assert re.fullmatch(r"text/plain(; *charset=[\w-]+)?", link.refused().headers["content-type"])


@item("S-137")
@NOT_10
def test_the_body_of_error_is_text_in_the_charset_it_says(connect, version):
    link = connect(version)
    link.send("COMMIT", "transaction:\u00fc\u2603")
    error = link.refused()
    _, _, charset = error.headers["content-type"].partition("charset=")
    assert error.body.decode(charset or "utf-8")


@item("S-138")
def test_each_message_is_acknowledged_once_though_consumers_come_and_go(connect, left_in, queue):
    chance = random.Random(1)

    def consumer() -> Link:
        link = connect()
        link.subscribe(queue, "1", "ack:client-individual", "prefetch-count:3")
        return link

    consumers = [consumer() for _ in range(3)]
    for body in numbered(60):
        consumers[0].message(queue, body)
    done: list[bytes] = []
    while len(done) < 60:
        link = chance.choice(those_with_something(consumers))
        message = link.expect("MESSAGE")
        if chance.random() < 0.2:
            link.reset()
            consumers[consumers.index(link)] = consumer()
        else:
            link.acknowledge(message)
            done.append(message.body)
    assert sorted(done) == sorted(numbered(60))
    for link in consumers:
        link.leave()
    assert left_in(queue) == []


@item("S-139")
@pytest.mark.parametrize("lines", [[], ["login:me"], ["login:me", "passcode:"], ["passcode:x"]])
@ALL
def test_a_broker_without_logins_needs_none_and_takes_any(dial, version, lines):
    dial(version).connect(*lines)


@item("S-140")
@pytest.mark.parametrize("refused", [raw("CONNECT", "accept-version:9.9"), raw("SEND"), b"x\n\n\0"])
def test_the_error_arrives_though_the_client_goes_on_sending(dial, refused):
    for _ in range(100):
        link = dial()
        link.octets(refused + bytes(MIB))
        link.refused()
        for _ in range(3):  # a broker that did not read on would answer these by a reset
            link.octets(b"more")
        link.close()


@item("S-141")
@ALL
def test_connected_and_receipt_have_no_body(dial, version):
    link = dial(version)
    assert link.connect().body == b""
    for command in ("BEGIN", "ABORT"):
        assert link.ask(command, "transaction:t").body == b""


@item("S-142")
@NOT_10
def test_text_in_utf_8_passes_through_in_headers_and_bodies(passed, version):
    text = "a\u00fc\u2603\U0001f600\u0661"
    message = passed(version, f"{text}:{text}", "content-type:text/plain", body=text.encode())
    assert (message.headers[text], message.body.decode()) == (text, text)


@item("S-143")
@ALL
def test_a_message_that_needs_no_ack_has_no_ack_header(connect, queue, topic, version):
    link = connect(version)
    link.subscribe(queue, "1", "ack:auto")
    link.subscribe(topic, "2")
    link.message(queue, b"a")
    link.message(topic, b"b")
    assert ["ack" in message.headers for message in link.rest()] == [False, False]


@item("S-145")
@ALL
def test_what_was_not_acknowledged_goes_back_at_unsubscribe(holding, left_in, queue, version):
    link, messages = holding(version, "client", b"a", b"b", b"c")
    link.acknowledge(messages[0])
    link.ask("UNSUBSCRIBE", "id:1")
    assert link.rest() == []
    assert left_in(queue) == [b"b", b"c"]


@item("S-146")
def test_a_subscriber_that_does_not_read_loses_the_oldest_and_others_nothing(connect, topic):
    slow, quick, sender = connect(), connect(), connect()
    slow.subscribe(topic)
    quick.subscribe(topic)
    count = 192
    tracemalloc.start()
    try:
        for number in range(count):
            sender.message(topic, b"%-*d" % (MIB, number))
            assert int(quick.expect("MESSAGE").body) == number
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 128 * MIB
    given = [-1]
    while given[-1] != count - 1:
        given.append(int(slow.expect("MESSAGE").body))
    assert given == sorted(set(given))
    assert len(given) < count


@item("S-147")
def test_the_time_for_a_queue_of_many_messages_grows_with_their_number_alone(connect):
    def seconds(count: int) -> float:
        queue, sent = f"/queue/{count}", numbered(count)
        began = time.monotonic()
        sender, receiver = connect(), connect()
        for start in range(0, count, 1000):
            portion = sent[start : start + 1000]
            sender.octets(b"".join(raw("SEND", f"destination:{queue}", body=b) for b in portion))
        sender.sync()
        receiver.send("SUBSCRIBE", f"destination:{queue}", "id:1")
        assert receiver.bodies(count) == sent
        return time.monotonic() - began

    few, many = seconds(20_000), seconds(100_000)
    assert many < 3 * 5 * few


@item("S-148")
@ALL
def test_a_client_that_has_closed_its_side_gets_its_messages_and_a_clean_end(
    connect, queue, version
):
    link = connect(version)
    messages = [raw("SEND", f"destination:{queue}", body=body) for body in numbered(20)]
    link.octets(raw("SUBSCRIBE", f"destination:{queue}", "id:1") + b"".join(messages))
    assert bodies(link.lose()) == numbered(20)


# -- The list itself -------------------------------------------------------------------------


def test_every_item_of_the_list_is_claimed():
    server = {f"S-{number:02}" for number in range(1, 149)}
    shared = {f"B-{number:02}" for number in range(1, 6)}
    assert server | shared == CLAIMED
