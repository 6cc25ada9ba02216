"""STOMP at a shell, as a shell calls it: arguments, standard streams, signals, exit codes."""

import base64
import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import stompy
from stompy import Receipt, capture
from stompy.__main__ import json_line
from stompy.broker import Broker
from tests.certificates import server_certificate, write_files
from tests.unit.peer import TIMEOUT, Link, Peer, conversation, delivers, nothing, raw
from tests.unit.waiting import until

on_posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")

Started = subprocess.Popen[str]


@pytest.fixture
def start(broker: Broker) -> Iterator[Callable[..., Started]]:
    """`start(*arguments)` runs the command beside the test, with the broker as its default."""
    host, port = broker.address
    with contextlib.ExitStack() as running:

        def start(*arguments: str, **variables: str) -> Started:
            process = running.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "stompy", *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    encoding="utf-8",
                    env={**os.environ, "STOMPY_URL": f"{host}:{port}", **variables},
                )
            )
            running.callback(process.kill)
            return process

        yield start


@pytest.fixture
def run(start: Callable[..., Started]) -> Callable[..., tuple[int, str, str]]:
    """`run(*arguments, given="")` gives exit code, standard output and standard error."""

    def run(*arguments: str, given: str = "", **variables: str) -> tuple[int, str, str]:
        process = start(*arguments, **variables)
        out, err = process.communicate(given, TIMEOUT)
        return process.returncode, out, err

    return run


@pytest.fixture
def client(broker: Broker) -> Iterator[stompy.STOMPClient]:
    with stompy.connect(broker.address) as client:
        yield client


def line_of(process: Started) -> Any:
    """The next line that it writes, read as JSON."""
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


# -- listen --------------------------------------------------------------------------------------


def test_listen_writes_a_line_of_json_for_each_message(
    start: Callable[..., Started], client: stompy.STOMPClient
) -> None:
    client.message("/queue/Q", "grüße", n=1)
    client.message("/queue/Q", b"\xff\xfe", n=2)
    listening = start("listen", "/queue/Q")
    first, second = line_of(listening), line_of(listening)
    assert (first["command"], first["headers"]["n"], first["body"]) == ("MESSAGE", "1", "grüße")
    assert (second["headers"]["n"], second["body_base64"]) == ("2", "//4=")
    assert "body" not in second


def test_listen_writes_while_it_waits_for_more(
    start: Callable[..., Started], client: stompy.STOMPClient
) -> None:
    listening = start("listen", "/queue/Q", "/queue/R")
    for number, queue in enumerate(["/queue/Q", "/queue/R", "/queue/Q"]):
        client.message(queue, str(number))
        assert line_of(listening)["body"] == str(number)


def test_listen_ends_after_so_many_messages_and_leaves_the_others_in_the_queue(
    run: Callable[..., tuple[int, str, str]], client: stompy.STOMPClient
) -> None:
    for number in range(5):
        client.message("/queue/Q", str(number))
    code, out, err = run("listen", "/queue/Q", "-n", "2")
    assert (code, err) == (0, "")
    assert [json.loads(line)["body"] for line in out.splitlines()] == ["0", "1"]
    client.subscribe("/queue/Q")
    assert [client.recv(TIMEOUT).text for _ in range(3)] == ["2", "3", "4"]


def test_listen_gives_up_when_nothing_comes(run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = run("listen", "/queue/Q", "--wait", "0.05")
    assert (code, out) == (1, "")
    assert "in time" in err


def test_listen_says_the_brokers_error(run: Callable[..., tuple[int, str, str]]) -> None:
    def refuses(link: Link) -> None:
        link.accept()
        link.expect("SUBSCRIBE")
        link.send(b"ERROR\nmessage:no such place\n\n\0")

    with Peer(refuses) as peer:
        code, _, err = run("listen", "-a", "{}:{}".format(*peer.address), "/queue/Q")
    assert code == 1
    assert "no such place" in err


def test_listen_fails_when_the_broker_goes_away(run: Callable[..., tuple[int, str, str]]) -> None:
    with Peer(lambda link: [link.accept(), link.expect("SUBSCRIBE")]) as peer:
        code, _, err = run("listen", "-a", "{}:{}".format(*peer.address), "/queue/Q")
    assert code == 1
    assert err == "stompy: the broker closed the connection\n"


def test_listen_can_come_back(run: Callable[..., tuple[int, str, str]]) -> None:
    def breaks_off(link: Link) -> None:
        link.accept()
        link.expect("SUBSCRIBE")

    with Peer(breaks_off, conversation(delivers(b"back"))) as peer:
        address = "{}:{}".format(*peer.address)
        code, out, _ = run("listen", "-a", address, "--reconnect", "-n", "1", "/queue/Q")
    assert (code, json.loads(out)["body"]) == (0, "back")


def test_the_options_of_listen_reach_subscribe(run: Callable[..., tuple[int, str, str]]) -> None:
    with Peer(conversation(nothing, "1.2", "server:RabbitMQ/4")) as peer:
        run(
            *("listen", "-a", "{}:{}".format(*peer.address), "/topic/T", "--wait", "0.05"),
            *("--ack", "client", "--prefetch", "7", "--durable", "mine", "-H", "x: y: z"),
        )
    subscribe = next(frame for frame in peer.frames if frame.command == "SUBSCRIBE")
    assert subscribe.headers == {
        "destination": "/topic/T",
        "ack": "client",
        "prefetch-count": "7",
        "id": "mine",
        "durable": "true",
        "auto-delete": "false",
        "x": "y: z",
    }


@on_posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_listen_with_a_goodbye_and_without_a_traceback(
    start: Callable[..., Started], number: int
) -> None:
    with Peer(conversation()) as peer:
        listening = start("listen", "-a", "{}:{}".format(*peer.address), "/queue/Q")
        until(lambda: len(peer.frames) == 2)
        listening.send_signal(number)
        _, err = listening.communicate(timeout=TIMEOUT)
    assert listening.returncode == 128 + number
    assert "Traceback" not in err
    assert peer.frames[-1].command == "DISCONNECT"


@on_posix
def test_listen_ends_quietly_when_its_reader_has_enough(
    start: Callable[..., Started], client: stompy.STOMPClient
) -> None:
    listening = start("listen", "/queue/Q")
    client.message("/queue/Q", "first")
    line_of(listening)
    assert listening.stdout
    assert listening.stderr
    listening.stdout.close()
    client.message("/queue/Q", "second")
    assert listening.wait(TIMEOUT) == 141
    assert listening.stderr.read() == ""
    client.subscribe("/queue/Q")
    assert client.recv(TIMEOUT).text == "second"  # it was not written, so it was not acknowledged


def test_what_a_terminal_would_obey_is_escaped() -> None:
    frame = stompy.STOMPFrame("MESSAGE", {"h": "\x9b2J"}, "a\x1b[31m\u202eß\U000e0001")
    line = json_line(frame)
    assert line.isprintable()
    assert "ß" in line
    assert json.loads(line) == {
        "command": "MESSAGE",
        "headers": {"h": "\x9b2J"},
        "body": "a\x1b[31m\u202eß\U000e0001",
    }


def test_a_body_that_is_no_text_is_base64() -> None:
    frame = stompy.STOMPFrame("MESSAGE", {"content-type": "text/plain;charset=ascii"}, b"\xe4\0")
    assert base64.b64decode(json.loads(json_line(frame))["body_base64"]) == b"\xe4\0"


# -- send ----------------------------------------------------------------------------------------


def test_send_sends_standard_input_as_it_is(
    run: Callable[..., tuple[int, str, str]], client: stompy.STOMPClient
) -> None:
    arguments = ("/queue/Q", "--content-type", "text/csv", "--header", "n: 1")
    assert run("send", *arguments, given="a,b\n1,ü\n") == (0, "", "")
    client.subscribe("/queue/Q")
    frame = client.recv(TIMEOUT)
    assert (frame.text, frame["content-type"], frame["n"]) == ("a,b\n1,ü\n", "text/csv", "1")


def test_send_can_send_each_line(
    run: Callable[..., tuple[int, str, str]], client: stompy.STOMPClient
) -> None:
    given = "".join(f"{number}\n" for number in range(2500)) + "the last, without a line end"
    assert run("send", "--lines", "/queue/Q", given=given) == (0, "", "")
    client.subscribe("/queue/Q")
    received = [client.recv(TIMEOUT).text for _ in range(2501)]
    assert received == given.splitlines()


def test_send_fails_when_the_broker_does_not_confirm(
    run: Callable[..., tuple[int, str, str]],
) -> None:
    with Peer(conversation(lambda link: link.expect("SEND"))) as peer:
        address = "{}:{}".format(*peer.address)
        code, _, err = run("send", "-a", address, "--timeout", "0.2", "/queue/Q", given="x")
    assert code == 1
    assert "no receipt" in err


def test_send_can_leave_content_length_out(run: Callable[..., tuple[int, str, str]]) -> None:
    with Peer(conversation()) as peer:
        address = "{}:{}".format(*peer.address)
        assert run("send", "-a", address, "--no-content-length", "/queue/Q", given="x")[0] == 0
    assert "content-length" not in peer.frames[1].headers


# -- record and replay ---------------------------------------------------------------------------


def recorded(path: Path) -> list[str]:
    """The bodies in a capture, in order."""
    return [entry.frame.text for entry in capture.read(path)]


def saved(path: Path, *bodies: str, seconds: float = 0, **headers: str) -> Path:
    """A capture of messages that came so many seconds one after the other."""
    named = {"destination": "/queue/Q", "message-id": "7", "subscription": "1", **headers}
    frames = [stompy.STOMPFrame("MESSAGE", named, body) for body in bodies]
    begin, step = 1_700_000_000_000_000_000, round(seconds * 1e9)
    capture.save(
        path, (capture.Entry(begin + n * step, "in", frame) for n, frame in enumerate(frames))
    )
    return path


@pytest.mark.parametrize("name", ["x.stompcap", "x.stompcap.gz"])
def test_record_writes_messages_with_their_times_and_appends(
    run: Callable[..., tuple[int, str, str]],
    client: stompy.STOMPClient,
    tmp_path: Path,
    name: str,
) -> None:
    path = tmp_path / name
    for body in "abcde":
        client.message("/queue/Q", body, n=1)
    began = time.time_ns()
    assert run("record", str(path), "/queue/Q", "-n", "2") == (0, "", "")
    assert run("record", str(path), "/queue/Q", "/queue/R", "-n", "1") == (0, "", "")
    assert recorded(path) == ["a", "b", "c"]
    entries = list(capture.read(path))
    assert {(entry.direction, entry.frame["n"]) for entry in entries} == {("in", "1")}
    times = [entry.time_ns for entry in entries]
    assert began < times[0] < times[1] < times[2] < time.time_ns()
    client.subscribe("/queue/Q")
    assert [client.recv(TIMEOUT).text for _ in range(2)] == ["d", "e"]


def test_record_acknowledges_what_can_be_read(
    start: Callable[..., Started], client: stompy.STOMPClient, tmp_path: Path
) -> None:
    recording = start("record", str(tmp_path / "x"), "/queue/Q")
    for count, body in enumerate("abc", 1):
        client.message("/queue/Q", body)
        until(lambda n=count: (tmp_path / "x").exists() and len(recorded(tmp_path / "x")) == n)
    recording.kill()
    recording.wait(TIMEOUT)
    assert recorded(tmp_path / "x") == ["a", "b", "c"]


@on_posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_record_with_a_goodbye_and_a_whole_file(
    start: Callable[..., Started], client: stompy.STOMPClient, tmp_path: Path, number: int
) -> None:
    path = tmp_path / "x.gz"
    recording = start("record", str(path), "/queue/Q", "--both")
    client.message("/queue/Q", "a")
    until(lambda: path.exists() and "ACK" in [e.frame.Command for e in capture.read(path)])
    recording.send_signal(number)
    assert recording.communicate(timeout=TIMEOUT) == ("", "")
    assert recording.returncode == 128 + number
    reader = capture.read(path)
    frames = [(entry.direction, entry.frame.Command) for entry in reader]
    assert frames == [
        *(("out", "CONNECT"), ("in", "CONNECTED"), ("out", "SUBSCRIBE")),
        *(("in", "MESSAGE"), ("out", "ACK"), ("out", "DISCONNECT"), ("in", "RECEIPT")),
    ]
    assert not reader.cut_off


def test_record_writes_no_passcode(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    with Peer(conversation()) as peer:
        address = "{}:{}".format(*peer.address)
        arguments = ("-a", address, "--login", "me", "--passcode-env", "MY_CODE", "--both", "-v")
        options = ("--wait", "0.1", *arguments)
        code, _, err = run("record", str(tmp_path / "x"), "/queue/Q", *options, MY_CODE="s3cret")
    assert code == 1
    assert ">>> passcode:***\n" in err
    octets = (tmp_path / "x").read_bytes()
    assert b"passcode:***" in octets
    assert b"s3cret" not in octets + err.encode()


def test_record_fails_where_it_cannot_write_and_acknowledges_nothing(
    run: Callable[..., tuple[int, str, str]], client: stompy.STOMPClient, tmp_path: Path
) -> None:
    client.message("/queue/Q", "a")
    (tmp_path / "text").write_text("something else")
    code, _, err = run("record", str(tmp_path / "text"), "/queue/Q")
    assert (code, "no capture of STOMP frames" in err) == (1, True)
    code, _, err = run("record", str(tmp_path / "none" / "x"), "/queue/Q")
    assert (code, "No such file" in err) == (1, True)
    if Path("/dev/full").exists():
        for both in ([], ["--both"]):
            code, _, err = run("record", "/dev/full", "/queue/Q", *both)
            assert (code, "No space left" in err) == (1, True)
    client.subscribe("/queue/Q")
    assert client.recv(TIMEOUT).text == "a"


def test_replay_sends_the_messages_again_to_where_they_came_from(
    run: Callable[..., tuple[int, str, str]], client: stompy.STOMPClient, tmp_path: Path
) -> None:
    bodies = [str(number) for number in range(2500)]
    path = saved(tmp_path / "x", *bodies, symbol="ABC", **{"content-type": "text/csv"})
    assert run("replay", str(path)) == (0, "", "")
    client.subscribe("/queue/Q")
    frames = [client.recv(TIMEOUT) for _ in bodies]
    assert [frame.text for frame in frames] == bodies
    assert {(frame["symbol"], frame["content-type"]) for frame in frames} == {("ABC", "text/csv")}
    assert frames[0]["message-id"] != "7"


def test_replay_can_send_them_elsewhere_and_no_more_than_a_part(
    run: Callable[..., tuple[int, str, str]], client: stompy.STOMPClient, tmp_path: Path
) -> None:
    path = saved(tmp_path / "x", "a", "b", "c", seconds=3600)
    assert run("replay", str(path), "--to", "/queue/R", "--speed", "max", "-n", "2")[0] == 0
    client.subscribe("/queue/R")
    client.subscribe("/queue/Q")
    client.message("/queue/Q", "last")
    assert [client.recv(TIMEOUT).text for _ in range(3)] == ["a", "b", "last"]


def test_replay_keeps_to_the_times_and_the_speed(
    run: Callable[..., tuple[int, str, str]], client: stompy.STOMPClient, tmp_path: Path
) -> None:
    path = saved(tmp_path / "x", "a", "b", "c", seconds=3)
    began = time.monotonic()
    assert run("replay", str(path), "--speed", "10")[0] == 0
    assert 0.6 <= time.monotonic() - began < TIMEOUT
    client.subscribe("/queue/Q")
    assert [client.recv(TIMEOUT).text for _ in range(3)] == ["a", "b", "c"]


def test_replay_hears_of_an_error_while_it_waits(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    def refuses(link: Link) -> None:
        link.accept()
        link.expect("SEND")
        link.send(raw("ERROR", "message:not allowed"))

    path = saved(tmp_path / "x", "a", "b", seconds=3600)
    with Peer(refuses) as peer:
        code, _, err = run("replay", str(path), "-a", "{}:{}".format(*peer.address))
    assert (code, "not allowed" in err) == (1, True)


def test_replay_can_leave_content_length_out_but_for_a_nul(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    path = saved(tmp_path / "x", "a", "b\0c")
    with Peer(conversation()) as peer:
        address = "{}:{}".format(*peer.address)
        assert run("replay", str(path), "-a", address, "--no-content-length")[0] == 0
    sent = [frame for frame in peer.frames if frame.command == "SEND"]
    lengths = [frame.headers.get("content-length") for frame in sent]
    assert lengths == [None, "3"]


def test_replay_sends_what_is_whole_of_a_file_and_says_that_its_end_is_missing(
    run: Callable[..., tuple[int, str, str]], client: stompy.STOMPClient, tmp_path: Path
) -> None:
    path = saved(tmp_path / "x", "a", "b")
    path.write_bytes(path.read_bytes()[:-3])
    code, _, err = run("replay", str(path))
    assert code == 1
    assert err == f"stompy: the end of {path} is missing: the 1 messages before it were sent\n"
    client.subscribe("/queue/Q")
    assert client.recv(TIMEOUT).text == "a"


@on_posix
def test_an_interrupt_ends_a_replay(
    start: Callable[..., Started], client: stompy.STOMPClient, tmp_path: Path
) -> None:
    replaying = start("replay", str(saved(tmp_path / "x", "a", "b", seconds=3600)))
    client.subscribe("/queue/Q")
    assert client.recv(TIMEOUT).text == "a"
    replaying.send_signal(signal.SIGINT)
    assert replaying.communicate(timeout=TIMEOUT) == ("", "")
    assert replaying.returncode == 130


@pytest.mark.parametrize("octets", [b"nonsense", b"STOMPCAP 1\nnonsense\n"])
def test_replay_of_what_is_no_capture_fails(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, octets: bytes
) -> None:
    (tmp_path / "x").write_bytes(octets)
    code, out, err = run("replay", str(tmp_path / "x"))
    assert (code, out) == (1, "")
    assert err.startswith(f"stompy: {tmp_path / 'x'}")
    assert "Traceback" not in err
    code, _, err = run("replay", str(tmp_path / "none"))
    assert (code, "No such file" in err) == (1, True)


@pytest.mark.parametrize("speed", ["-1", "nan", "fast"])
def test_replay_with_a_wrong_speed_is_answered_by_the_usage(
    run: Callable[..., tuple[int, str, str]], speed: str
) -> None:
    code, _, err = run("replay", "x", f"--speed={speed}")
    assert code == 2
    assert f"{speed!r} is no speed: 1, 10, 0.5, max" in err


# -- broker --------------------------------------------------------------------------------------


@on_posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_broker_says_its_address_and_runs_until_a_signal(
    start: Callable[..., Started], tmp_path: Path, number: int
) -> None:
    path = tmp_path / "stomp.sock"
    running = start("broker", "--port", "0", "--unix-path", str(path))
    assert running.stdout
    address = running.stdout.readline().strip()
    for way in (address, f"stomp+unix://{path}"):
        with stompy.connect(way) as client:
            client.message("/queue/Q", "x", receipt=True).wait(TIMEOUT)
    running.send_signal(number)
    assert running.communicate(timeout=TIMEOUT)[1] == ""
    assert running.returncode == 128 + number
    assert not path.exists()


@on_posix
def test_broker_listens_in_all_the_ways_that_it_is_told(
    start: Callable[..., Started], tmp_path: Path
) -> None:
    files = write_files(tmp_path, server_certificate())
    running = start(
        *("broker", "--port", "0", "--websocket", "0", "--tls", "0", "--wss", "0"),
        *("--cert-file", str(files.cert), "--key-file", str(files.key)),
    )
    assert running.stdout
    urls = [running.stdout.readline().strip() for _ in range(4)]
    assert [url.partition(":")[0] for url in urls] == ["stomp", "stomp+ssl", "ws", "wss"]
    for url in urls:
        secure = url.startswith(("stomp+ssl", "wss"))
        with stompy.connect(url, ca_file=files.ca if secure else None) as client:
            client.message("/queue/Q", "x", receipt=True).wait(TIMEOUT)


@on_posix
def test_broker_lets_in_a_whole_class(start: Callable[..., Started], tmp_path: Path) -> None:
    logins = tmp_path / "class.txt"
    logins.write_text("\ufeff# the class\nada:first:code\n\ngrace:sec\u2028ond\n", "utf-8")
    running = start("broker", "--port", "0", "--logins", str(logins))
    assert running.stdout
    url = running.stdout.readline().strip()
    for login, passcode in (("ada", "first:code"), ("grace", "sec\u2028ond")):
        with stompy.connect(url, login=login, passcode=passcode) as client:
            client.message("/topic/T", "here", receipt=True).wait(TIMEOUT)
    with pytest.raises(stompy.STOMPError, match="access refused"):
        stompy.connect(url, login="# the class", passcode="")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ada:one\ngrace\n", "line 2 is no login:passcode"),
        (":code\n", "line 1 is no login:passcode"),
        ("ada:\n", "line 1 is no login:passcode"),
        ("ada:one\nada:two\n", "line 2 is there twice"),
        ("# nobody\n", "nobody could come in"),
    ],
)
def test_a_list_of_logins_that_is_wrong_is_no_open_door(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "class.txt").write_text(text)
    code, out, err = run("broker", "--port", "0", "--logins", str(tmp_path / "class.txt"))
    assert (code, out) == (1, "")
    assert said in err
    assert "code" not in err.replace("passcode", "")


@on_posix
def test_broker_lets_in_whom_it_is_told_and_says_what_happens(
    start: Callable[..., Started],
) -> None:
    running = start(
        *("broker", "-v", "--port", "0", "--login", "class", "--passcode-env", "MY_CODE"),
        MY_CODE="s3cret",
    )
    assert running.stdout
    url = running.stdout.readline().strip()
    with pytest.raises(stompy.STOMPError, match="access refused"):
        stompy.connect(url, login="class", passcode="wrong")
    with stompy.connect(url, login="class", passcode="s3cret") as client:
        client.subscribe("/topic/T", receipt=True)
    running.send_signal(signal.SIGTERM)
    said = running.communicate(timeout=TIMEOUT)[1].splitlines()
    assert [line.split(" ", 2)[2] for line in said] == [  # behind the time
        "refused 1 access refused",
        "connected 2 STOMP 1.2",
        "subscribed 2 /topic/T",
        "disconnected 2 DISCONNECT",
    ]


def test_broker_says_that_a_port_is_taken(
    run: Callable[..., tuple[int, str, str]], broker: Broker
) -> None:
    code, _, err = run("broker", "--port", str(broker.address[1]))
    assert code == 1
    assert "in use" in err
    assert "port 0" in err


# -- what they share -----------------------------------------------------------------------------


def test_the_address_may_be_given_more_than_once(run: Callable[..., tuple[int, str, str]]) -> None:
    with Peer(conversation()) as second:
        address = "{}:{}".format(*second.address)
        assert run("send", "-a", "127.0.0.1:1", "-a", address, "/queue/Q", given="x")[0] == 0
    assert second.frames[1].command == "SEND"


def test_a_passcode_comes_from_a_variable_and_is_shown_nowhere(
    run: Callable[..., tuple[int, str, str]],
) -> None:
    with Peer(conversation()) as peer:
        address = "{}:{}".format(*peer.address)
        arguments = ("send", "-v", "-a", address, "--login", "me", "--passcode-env", "MY_CODE")
        code, out, err = run(*arguments, "/queue/Q", given="x", MY_CODE="s3cret")
    assert code == 0
    assert peer.frames[0].headers["passcode"] == "s3cret"
    assert "s3cret" not in out + err
    assert ">>> passcode:***\n" in err
    assert "<<< CONNECTED\n" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["listen", "-a", "127.0.0.1:1", "/queue/Q"], "nothing listens at 127.0.0.1:1"),
        (["listen", "-a", "amqp://x", "/queue/Q"], "stomp://"),
        (["listen", "--passcode-env", "STOMPY_UNSET", "/queue/Q"], "STOMPY_UNSET is not set"),
        (["send", "--ca-file", "nowhere.pem", "/queue/Q"], "nowhere.pem"),
        (["broker", "--tls", "0"], "TLS needs a certificate"),
        (["broker", "--login", "me"], "needs a login and a passcode"),
        (["broker", "--logins", "nowhere.txt"], "nowhere.txt cannot be read"),
        (["broker", "--host", "no.such.host.invalid"], "cannot listen on no.such.host.invalid"),
    ],
)
def test_what_fails_is_said_in_lines_without_a_traceback(
    run: Callable[..., tuple[int, str, str]], arguments: list[str], said: str
) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("stompy: ")
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["shout"],
        ["listen"],
        ["listen", "/queue/Q", "-n", "0"],
        ["listen", "/queue/Q", "--wait", "soon"],
        ["listen", "/queue/Q", "--ack", "never"],
        ["listen", "/queue/Q", "-H", "no colon"],
        ["send"],
        ["broker", "--port", "70000"],
    ],
)
def test_a_wrong_call_is_answered_by_the_usage(
    run: Callable[..., tuple[int, str, str]], arguments: list[str]
) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("usage: stompy")


def test_the_command_says_its_version(run: Callable[..., tuple[int, str, str]]) -> None:
    assert run("--version") == (0, f"stompy {stompy.__version__}\n", "")


def at_a_shell(
    line: str, address: Any, given: bytes | None = b"", timeout: float = TIMEOUT, **variables: str
) -> tuple[int, bytes, bytes]:
    """Exit code, standard output and standard error of `stompy line`."""
    done = subprocess.run(
        ["bash", "-c", f"exec {sys.executable} -m stompy {line}"],
        input=given,
        capture_output=True,
        timeout=timeout,
        env={**os.environ, "STOMPY_URL": f"{address[0]}:{address[1]}", **variables},
    )
    return done.returncode, done.stdout, done.stderr


@on_posix
def test_listen_without_a_standard_output_takes_no_message() -> None:
    with Broker() as broker, stompy.connect(broker.address) as client:
        client.message("/queue/Q", "precious", receipt=True).wait(5)  # type: ignore[union-attr]
        code, _, err = at_a_shell("listen /queue/Q -n 1 >&-", broker.address)
        client.subscribe("/queue/Q")
        assert client.recv(3) is not None
    assert code == 1
    assert b"Traceback" not in err


@on_posix
def test_send_without_a_standard_input_says_so() -> None:
    with Broker() as broker:
        code, _, err = at_a_shell("send /queue/Q <&-", broker.address)
    assert code == 1
    assert b"Traceback" not in err


@on_posix
def test_listen_writes_utf_8_whatever_the_locale() -> None:
    with Broker() as broker, stompy.connect(broker.address) as client:
        client.message("/queue/Q", "grüße €", receipt=True).wait(5)  # type: ignore[union-attr]
        code, out, err = at_a_shell(
            "listen /queue/Q -n 1",
            broker.address,
            LC_ALL="C",
            PYTHONUTF8="0",
            PYTHONCOERCECLOCALE="0",
        )
    assert (code, err) == (0, b"")
    assert "grüße €" in out.decode("utf-8")


def test_send_to_an_empty_destination_fails() -> None:
    with Broker() as broker:
        code, _, err = at_a_shell("send ''", broker.address, b"x")
    assert code == 1
    assert b"no destination" in err


def test_send_does_not_wait_for_ever_for_a_receipt(monkeypatch: pytest.MonkeyPatch) -> None:
    from stompy.__main__ import main

    waits: list[float | None] = []
    monkeypatch.setattr(Receipt, "wait", lambda _, timeout=15.0: waits.append(timeout))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"x")))
    before = signal.getsignal(signal.SIGTERM)
    try:
        with Peer(conversation()) as peer:
            address = "{}:{}".format(*peer.address)
            assert main(["send", "--address", address, "/queue/Q"]) == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert waits
    assert None not in waits


def a_line_more(process: subprocess.Popen[bytes]) -> None:
    """Give it one, if it still takes some."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(b"line\n")
        process.stdin.flush()


def test_send_lines_notices_an_error_while_lines_come() -> None:
    def refuses(link: Link) -> None:
        link.accept()
        link.expect("SEND")
        link.send(raw("ERROR", "message:access refused"))
        link.serve()

    with Peer(refuses) as peer:
        process = subprocess.Popen(
            [sys.executable, "-m", "stompy", "send", "--lines", "/queue/Q"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "STOMPY_URL": "{}:{}".format(*peer.address)},
        )
        try:
            assert until(lambda: a_line_more(process) or process.poll()) == 1
        finally:
            process.kill()
            with contextlib.suppress(BrokenPipeError):
                process.communicate()


def test_an_error_of_the_broker_cannot_talk_to_the_terminal() -> None:
    def refuses(link: Link) -> None:
        link.accept()
        link.expect("SUBSCRIBE")
        link.send(raw("ERROR", "message:\x1b]0;owned\x07"))

    with Peer(refuses) as peer:
        _, _, err = at_a_shell("listen /queue/Q", peer.address)
    assert b"owned" in err
    assert not re.search(rb"[\x00-\x09\x0b-\x1f]", err)
