"""STOMP at a shell: ``python -m stompy listen|send|record|replay|broker``, or ``stompy`` for short.

Exit codes: 0 when it is done, 1 when it failed, 2 when it was called in a wrong way, 130 after
Ctrl-C and 143 after SIGTERM.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import functools
import io
import json
import logging
import os
import signal
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from stompy import __version__
from stompy.client import STOMPClient, connect
from stompy.errors import STOMPBodyError, STOMPClosed, STOMPError, STOMPTimeout, broker_error
from stompy.frame import AckMode
from stompy.receipt import RECEIPT_LIMIT
from stompy.replay import WINDOW, Resending, messages
from stompy.trace import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from stompy.capture import CaptureWriter
    from stompy.frame import STOMPFrame
    from stompy.receipt import Receipt
    from stompy.trace import TracedFrame

PATIENCE = 60.0
"""Seconds that a replay waits at a time for what comes from the broker."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit code."""
    options = _parser().parse_args(arguments)
    if sys.stdout is None and options.run in (listen, broker):
        return _fail("there is no standard output")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # as JSON has to be, whatever the locale
    signal.signal(signal.SIGTERM, _terminate)
    try:
        options.run(options)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:  # who read our output, e.g. `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13  # SIGPIPE, which not every system has
    except (STOMPError, OSError) as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _fail(text: str) -> int:
    shown = "\n".join(map(visible, text.split("\n")))
    if sys.stderr is not None:  # print() would take standard output instead
        print(f"stompy: {shown}", file=sys.stderr)
    return 1


def _terminate(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


# -- listen --------------------------------------------------------------------------------------


def listen(options: argparse.Namespace) -> None:
    """Write each message as a line of JSON, and acknowledge what is written."""
    shown = 0

    def show(_: STOMPClient, frame: STOMPFrame) -> bool:
        nonlocal shown
        if frame.Command == "ERROR":
            raise broker_error(frame)
        print(json_line(frame), flush=True)
        shown += 1
        return bool(shown == options.count)

    with _connected(options, reconnect=options.reconnect) as client:
        _receive(client, options, show)


def _receive(client: STOMPClient, options: argparse.Namespace, take: Callable[..., bool]) -> None:
    """Subscribe to all destinations, until `take` has had enough."""
    for destination in options.destination:
        client.subscribe(
            destination,
            options.ack,
            headers=dict(options.header),
            prefetch=options.prefetch,
            selector=options.selector,
            durable=options.durable,
        )
    if not client.loop(take, timeout=options.wait):
        raise client.close_reason or STOMPClosed("the connection is closed")


def json_line(frame: STOMPFrame) -> str:
    """A frame as one line of JSON: ``command``, ``headers``, and ``body`` as text.

    A body that is no text by its ``content-type`` is in ``body_base64`` instead. What a terminal
    would obey is written as escapes.
    """
    shown: dict[str, Any] = {"command": frame.Command, "headers": frame.headers()}
    try:
        shown["body"] = frame.text
    except STOMPBodyError:
        shown["body_base64"] = base64.b64encode(frame.Body).decode()
    line = json.dumps(shown, ensure_ascii=False)
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in line)


# -- send ----------------------------------------------------------------------------------------


def send(options: argparse.Namespace) -> None:
    """Send standard input as a message, or each of its lines; done when the broker confirms."""
    headers = dict(options.header)
    if options.content_type is not None:
        headers["content-type"] = options.content_type
    limit = options.timeout or RECEIPT_LIMIT
    with _connected(options) as client:
        unconfirmed: deque[Receipt] = deque()
        for body in _bodies(options.lines):
            receipt = client.message(
                options.destination,
                body,
                headers=headers,
                receipt=True,
                content_length=options.content_length,
            )
            assert receipt is not None
            unconfirmed.append(receipt)
            with contextlib.suppress(STOMPTimeout):
                client.recv(timeout=0)  # raises when the broker has refused an earlier one
            if len(unconfirmed) > WINDOW:
                unconfirmed.popleft().wait(limit)
        for receipt in unconfirmed:
            receipt.wait(limit)


def _bodies(lines: bool) -> Iterator[bytes]:
    if sys.stdin is None:
        raise STOMPError("there is no standard input")
    if lines:
        yield from (line.rstrip(b"\r\n") for line in sys.stdin.buffer)
    else:
        yield sys.stdin.buffer.read()


# -- record --------------------------------------------------------------------------------------


def record(options: argparse.Namespace) -> None:
    """Write the messages to a file, with their times, and acknowledge what is written."""
    from stompy import capture  # brings gzip and json, which the others do not need

    with capture.record(options.file) as writer:
        recorder = _Recorder(writer, options.count, both=options.both)
        with _connected(options, recorder.trace, reconnect=options.reconnect) as client:
            _receive(client, options, recorder.take)


class _Recorder:
    """Writes what comes; with `both`, each frame as it passes in either direction."""

    def __init__(self, writer: CaptureWriter, count: int | None, *, both: bool) -> None:
        self.trace = self._passed if both else None
        self._writer = writer
        self._count = count
        self._taken = 0
        self._failure: OSError | None = None  # why a frame that passed could not be written

    def _passed(self, traced: TracedFrame) -> None:
        try:
            self._writer.trace(traced)
        except OSError as error:
            self._failure = error

    def take(self, _: STOMPClient, frame: STOMPFrame) -> bool:
        if frame.Command == "ERROR":
            raise broker_error(frame)
        if self.trace is None:
            self._writer.write(frame)
            self._writer.flush()
        elif self._failure is not None:
            raise self._failure
        self._taken += 1
        return self._taken == self._count


# -- replay --------------------------------------------------------------------------------------


def replay(options: argparse.Namespace) -> None:
    """Send the messages of a recorded file again, at their times; done when the broker confirms."""
    from stompy import capture

    with capture.read(options.file) as reader:
        with _connected(options) as client:
            resending = Resending(
                functools.partial(_send_again, client, options.content_length),
                functools.partial(_hear, client),
                to=options.to,
                speed=options.speed,
                limit=options.timeout or RECEIPT_LIMIT,
            )
            resending.run(messages(reader, options.count))
        if reader.cut_off:
            raise STOMPError(
                f"the end of {options.file} is missing: the {resending.sent} messages before it "
                "were sent"
            )


def _send_again(
    client: STOMPClient,
    content_length: bool,
    destination: str,
    body: bytes,
    headers: dict[str, str],
) -> Receipt | None:
    return client.message(
        destination,
        body,
        headers=headers,
        receipt=True,
        content_length=content_length or b"\0" in body,
    )


def _hear(client: STOMPClient, seconds: float) -> None:
    """Hear what the broker says for so long; raises when it has refused something."""
    due = time.monotonic() + seconds
    while True:
        left = due - time.monotonic()
        with contextlib.suppress(STOMPTimeout):
            if client.recv(timeout=min(max(left, 0.0), PATIENCE)) is None:
                raise client.close_reason or STOMPClosed("the connection is closed")
        if left <= 0:
            return


# -- broker --------------------------------------------------------------------------------------


def broker(options: argparse.Namespace) -> None:
    """Run the embedded broker until Ctrl-C; its address is the first line written."""
    from stompy.broker import Broker  # brings asyncio, which the others do not need

    if options.verbose:
        logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    if options.cert_file is None and not (options.tls is None and options.wss is None):
        raise STOMPError("TLS needs a certificate", hint="--cert-file and --key-file")
    running = Broker(
        options.host,
        options.port,
        unix_path=options.unix_path,
        tls_port=options.tls,
        websocket_port=options.websocket,
        wss_port=options.wss,
        cert_file=options.cert_file,
        key_file=options.key_file,
        origins=options.origin,
        logins=_logins(options),
    )
    try:
        running.start()
    except OSError as error:
        raise STOMPError(str(error.strerror or error)) from error
    with running:
        print(*running.urls.values(), sep="\n", flush=True)
        threading.Event().wait()


def _logins(options: argparse.Namespace) -> dict[str, str] | None:
    """Who may come in, with their passcodes; None: everybody."""
    logins = _logins_in(options.logins) if options.logins is not None else {}
    if options.login is not None or options.passcode_env is not None:
        passcode = _passcode(options)
        if options.login is None or not passcode:
            raise STOMPError(
                "who may come in needs a login and a passcode",
                hint="--login NAME --passcode-env VAR, or --logins FILE",
            )
        logins[options.login] = passcode
    return logins or None


def _logins_in(path: str) -> dict[str, str]:
    """Logins and passcodes: a line ``login:passcode`` for each; ``#`` begins a comment line."""
    try:
        text = Path(path).read_text("utf-8-sig")  # some editors begin a file with a mark
    except (OSError, UnicodeDecodeError) as error:
        raise STOMPError(f"{path} cannot be read: {error}") from error
    logins = {}
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.startswith("#"):
            login, _, passcode = line.partition(":")
            if not (login and passcode) or login in logins:
                known = "is there twice" if login in logins else "is no login:passcode"
                raise STOMPError(f"{path}, line {number} {known}")
            logins[login] = passcode
    if not logins:
        raise STOMPError(f"{path} has no line login:passcode: nobody could come in")
    return logins


# -- the command line ----------------------------------------------------------------------------


def _connected(
    options: argparse.Namespace,
    trace: Callable[[TracedFrame], object] | None = None,
    **more: Any,
) -> STOMPClient:
    """A client of the broker that the options name; `trace` is told of its frames, too."""
    told = [tell for tell in (trace, _show_trace if options.verbose else None) if tell]

    def tell_all(traced: TracedFrame) -> None:
        for tell in told:
            tell(traced)

    return connect(
        options.address or os.environ.get("STOMPY_URL") or "127.0.0.1:61613",
        login=options.login,
        passcode=_passcode(options),
        vhost=options.vhost,
        timeout=options.timeout,
        ca_file=options.ca_file,
        cert_file=options.cert_file,
        key_file=options.key_file,
        trace=tell_all if told else None,
        **more,
    )


def _passcode(options: argparse.Namespace) -> str | None:
    """What the variable holds that the options name."""
    name: str | None = options.passcode_env
    if name is None:
        return None
    if name not in os.environ:
        raise STOMPError(f"the environment variable {name} is not set")
    return os.environ[name]


def _show_trace(traced: TracedFrame) -> None:
    if sys.stderr is not None:
        print(traced, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stompy", description="STOMP messaging at a shell.")
    parser.add_argument("--version", action="version", version=f"stompy {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add = functools.partial(_add_command, commands)
    _add_listen(add("listen", listen, [_connection_options()]))
    _add_send(add("send", send, [_connection_options()]))
    _add_record(add("record", record, [_connection_options()]))
    _add_replay(add("replay", replay, [_connection_options()]))
    _add_broker(add("broker", broker, []))
    return parser


def _add_command(
    commands: Any, name: str, run: Any, parents: list[argparse.ArgumentParser]
) -> argparse.ArgumentParser:
    text = run.__doc__
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text, parents=parents
    )
    parser.set_defaults(run=run)
    return parser


def _add_listen(parser: argparse.ArgumentParser) -> None:
    _add_receiving(parser)


def _add_record(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="where to: appended to if it is there, compressed if .gz")
    parser.add_argument("--both", action="store_true", help="all frames, and ours as well")
    _add_receiving(parser)


def _add_receiving(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("destination", nargs="+", help="e.g. /topic/prices")
    parser.add_argument("-n", "--count", type=_count, metavar="N", help="end after N messages")
    parser.add_argument(
        "--wait", type=_seconds, metavar="S", help="give up when none has come for S seconds"
    )
    parser.add_argument(
        "--ack",
        choices=[*AckMode],
        default=AckMode.ClientInd,
        help="the ack mode (%(default)s); with auto, messages may be lost that are not written yet",
    )
    parser.add_argument("--prefetch", type=_count, metavar="N", help="messages not acknowledged")
    parser.add_argument("--selector", help="which messages, e.g. \"colour = 'red'\"")
    parser.add_argument("--durable", metavar="NAME", help="a durable subscription's name")
    parser.add_argument("--reconnect", action="store_true", help="come back when it is lost")
    _add_header(parser, "SUBSCRIBE")


def _add_send(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("destination", help="e.g. /queue/orders")
    parser.add_argument("--lines", action="store_true", help="each line is a message")
    parser.add_argument("--content-type", metavar="TYPE", help="e.g. application/json")
    _add_content_length(parser)
    _add_header(parser, "SEND")


def _add_replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="what stompy record or stream.save has written")
    parser.add_argument("--to", metavar="DEST", help="where to (default: where each came from)")
    parser.add_argument(
        "--speed",
        type=_speed,
        default=1.0,
        metavar="X",
        help="X times as fast as it was; 0 or max: as fast as it goes (default: 1)",
    )
    parser.add_argument("-n", "--count", type=_count, metavar="N", help="the first N messages")
    _add_content_length(parser)


def _add_content_length(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-content-length",
        dest="content_length",
        action="store_false",
        help="leave it out: ActiveMQ makes a text message of that",
    )


def _add_broker(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (%(default)s)")
    parser.add_argument("--port", type=_port, default=61613, help="0: a free one (%(default)s)")
    parser.add_argument("--unix-path", metavar="PATH", help="a Unix socket to listen on as well")
    port = functools.partial(parser.add_argument, type=_port, metavar="PORT")
    port("--websocket", help="a port for WebSockets as well; 0: a free one, as for all")
    port("--tls", help="a port for TLS as well; needs --cert-file")
    port("--wss", help="a port for WebSockets over TLS as well; needs --cert-file")
    parser.add_argument("--cert-file", help="the certificate, perhaps with its key")
    parser.add_argument("--key-file", help="its key")
    parser.add_argument(
        "--origin",
        action="append",
        default=[],
        help="a web page that may open WebSockets, as https://host; may be given again",
    )
    parser.add_argument("--login", help="let in nobody but this one")
    parser.add_argument(
        "--logins", metavar="FILE", help="let in nobody but these: a line login:passcode for each"
    )
    parser.add_argument(
        "--passcode-env", metavar="VAR", help="the variable that holds the passcode"
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="show what happens on standard error"
    )


def _connection_options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("connection")
    group.add_argument(
        "-a",
        "--address",
        action="append",
        help="host:port or a URL; given again, one more to try (default: $STOMPY_URL, else "
        "127.0.0.1:61613)",
    )
    group.add_argument("--login")
    group.add_argument("--passcode-env", metavar="VAR", help="the variable that holds the passcode")
    group.add_argument("--vhost", help="the virtual host")
    group.add_argument("--ca-file", help="the authorities to trust; asks for TLS")
    group.add_argument("--cert-file", help="our certificate")
    group.add_argument("--key-file", help="its key")
    group.add_argument(
        "--timeout", type=_seconds, metavar="S", help="seconds for an answer of the broker"
    )
    group.add_argument(
        "-v", "--verbose", action="store_true", help="show each frame on standard error"
    )
    return parser


def _add_header(parser: argparse.ArgumentParser, command: str) -> None:
    parser.add_argument(
        "-H",
        "--header",
        type=_header,
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help=f"one more header of {command}; may be given again",
    )


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise argparse.ArgumentTypeError(f"{text!r}: write 'name: value'")
    return name.strip(), value.strip()


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port")
    return int(text)


def _speed(text: str) -> float:
    try:
        speed = 0.0 if text == "max" else float(text)
    except ValueError:
        speed = -1.0
    if not speed >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no speed: 1, 10, 0.5, max")
    return speed


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < threading.TIMEOUT_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
