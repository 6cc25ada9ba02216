"""The contract of the client, as tests: its sections, its samples and its sentences, in its order.

A line that is a sample of the contract stands here as it stands there. What takes the place of its
placeholders is `address`, `client` and what the example hosts stand for (`names`); ``/queue/Q`` and
``/topic/T`` are used as they are, see `emptied`. What a broker cannot tell, since it is about the
frames themselves, is read on the way to it, by a `Tap`.
"""

import gc
import inspect
import socket
import ssl
import sys
import time
import uuid
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import stompy
import stompy.client
import stompy.frame
from stompy import (
    AckMode,
    STOMPClient,
    STOMPError,
    STOMPFrame,
    STOMPSubscription,
    STOMPTimeout,
    STOMPTransaction,
)
from tests.brokers.servers import Server
from tests.brokers.tap import Tap
from tests.brokers.test_client import WAIT, Connect, confirm, received
from tests.certificates import authority, write_files
from tests.processes import HOST
from tests.unit.ends import tls_end
from tests.unit.peer import Background, Link, Peer, dead_port, in_threads, session
from tests.unit.waiting import until

SHORT = 0.05
"""Seconds, for a wait that is to end without a frame."""

three_brokers = pytest.mark.parametrize(
    "server", ["embedded", "rabbitmq", "activemq"], indirect=True
)
"""For what is the same by each way to a broker, and for a `Tap`, which is a way of its own."""


@pytest.fixture
def emptied(connect: Connect) -> None:
    """Take out of ``/queue/Q`` what another test may have left in it."""
    client = connect()
    client.subscribe("/queue/Q")
    last = uuid.uuid4().hex
    client.message("/queue/Q", last)
    while received(client, 1) != [last]:
        pass
    client.disconnect()


@pytest.fixture
def tap(server: Server, emptied: None) -> Iterator[Tap]:
    """A `Tap` in front of the server; `client` goes through it."""
    tap = Tap(server)
    yield tap
    tap.close()


@pytest.fixture
def address(request: pytest.FixtureRequest, server: Server) -> Any:
    """Where the server answers, or the `Tap` of the test."""
    if "tap" in request.fixturenames:
        return request.getfixturevalue("tap").address
    return server.address


@pytest.fixture
def client(address: Any, server: Server, emptied: None) -> Iterator[STOMPClient]:
    """The client of the samples."""
    with stompy.connect(address, **server.arguments) as client:
        yield client


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, int], int]:
    """Which ports of this machine the contract's example hosts and ports stand for.

    It is a name server of the test's own, so that an address of a sample can stand as it is.
    """
    known: dict[tuple[str, int], int] = {}
    look_up = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        if host.endswith(".example"):
            if (host, port) not in known:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            host, port = HOST, known[host, port]
        return look_up(host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


def stranger_at(server: Server) -> AbstractContextManager[Any]:
    """What meets a client whose login or virtual host the broker has never heard of."""
    if server.name == "rabbitmq":
        return pytest.raises(STOMPError, match="refused the session")
    return nullcontext()  # ActiveMQ as it is set up here, and the embedded broker, let all in


NEEDED = inspect.Parameter.empty
"""What `in_order` says of a parameter that has no default."""


def in_order(function: Callable[..., Any], count: int) -> list[tuple[str, Any]]:
    """The first parameters of a method, which may go without their names, and their defaults."""
    parameters = list(inspect.signature(function).parameters.values())[1 : count + 1]
    assert {parameter.kind for parameter in parameters} == {inspect.Parameter.POSITIONAL_OR_KEYWORD}
    return [(parameter.name, parameter.default) for parameter in parameters]


def left_in_q(connect: Connect) -> str:
    """Take the next message out of ``/queue/Q``."""
    with connect() as client:
        client.subscribe("/queue/Q")
        return received(client, 1)[0]


# == Connecting ==================================================================================


@three_brokers
def test_one_address(server: Server, names: dict[tuple[str, int], int]) -> None:
    names["host.example", 61613] = server.port
    client = stompy.connect(("host.example", 61613))
    assert isinstance(client, STOMPClient)
    assert client.Connected is True
    assert client.BrokerAddress == ("host.example", 61613)
    client.disconnect()


@three_brokers
def test_a_list_is_tried_in_order(server: Server, names: dict[tuple[str, int], int]) -> None:
    names["a.example", 61613] = names["b.example", 61613] = server.port
    client = stompy.connect([("a.example", 61613), ("b.example", 61613)])
    assert client.BrokerAddress == ("a.example", 61613)
    client.disconnect()

    with dead_port() as names["a.example", 61613]:
        client = stompy.connect([("a.example", 61613), ("b.example", 61613)])
    assert client.Connected is True
    assert client.BrokerAddress == ("b.example", 61613)
    client.disconnect()

    del names["a.example", 61613], names["b.example", 61613]
    with pytest.raises(STOMPError):
        stompy.connect([("a.example", 61613), ("b.example", 61613)])


@three_brokers
def test_headers_and_keyword_headers_both_reach_the_connect_frame(
    tap: Tap, address: Any, server: Server
) -> None:
    with stranger_at(server):
        client = stompy.connect(
            address, login="me", passcode="secret", headers={"client-id": "n1"}, foo="bar"
        )
        client.disconnect()
    [connect] = tap.sent("CONNECT")
    said = {"login": "me", "passcode": "secret", "client-id": "n1", "foo": "bar"}
    assert connect.headers.items() >= said.items()


@three_brokers
def test_the_arguments_of_connect_have_their_order(tap: Tap, address: Any, server: Server) -> None:
    headers = {"client-id": "n1"}
    with stranger_at(server), STOMPClient() as client:
        client.connect(address, "me", "secret", headers, foo="bar")
    [connect] = tap.sent("CONNECT")
    said = {"login": "me", "passcode": "secret", "client-id": "n1", "foo": "bar"}
    assert connect.headers.items() >= said.items()
    assert headers == {"client-id": "n1"}
    assert in_order(STOMPClient.connect, 4) == [
        ("addr_list", NEEDED),
        ("login", None),
        ("passcode", None),
        ("headers", {}),
    ]


def test_stompy_connect_makes_a_client_calls_its_connect_and_returns_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def connect(self: STOMPClient, *args: Any, **kwargs: Any) -> None:
        calls.append((self, args, kwargs))

    calls: list[Any] = []
    monkeypatch.setattr(STOMPClient, "connect", connect)
    client = stompy.connect(("host.example", 61613), login="me", foo="bar")
    assert type(client) is STOMPClient
    assert calls == [(client, (("host.example", 61613),), {"login": "me", "foo": "bar"})]


def test_connect_returns_the_connected_frame(server: Server) -> None:
    with STOMPClient() as client:
        frame = client.connect(server.address, **server.arguments)
        assert isinstance(frame, STOMPFrame)
        assert frame.Command == "CONNECTED"
        assert client.Connected is True
        where = {
            "tcp": (server.host, server.port),
            "tls": (server.host, server.tls_port),
            "ws": (server.host, server.web_port),
            "unix": str(server.unix_path),
        }
        assert client.BrokerAddress == where[server.way]


def test_a_timeout_is_accepted_and_bounds_the_wait_for_a_broker(server: Server) -> None:
    with stompy.connect(server.address, timeout=WAIT, **server.arguments) as client:
        assert client.Connected
    begun = time.monotonic()
    with socket.create_server((HOST, 0)) as silent, pytest.raises(STOMPError):
        stompy.connect(silent.getsockname(), timeout=SHORT, **server.arguments)
    assert time.monotonic() - begun < 4


def test_mutual_tls(rabbitmq_server: Server, tmp_path: Path) -> None:
    server = replace(rabbitmq_server, way="tls")
    files = write_files(tmp_path, authority().issue_cert("client.example"), password=b"secret")
    assert server.ca_file is not None
    assert files.ca.read_bytes() == server.ca_file.read_bytes()
    mine = {"cert_file": files.cert, "key_file": files.key, "ca_file": files.ca}
    who = {"login": server.login, "passcode": server.passcode}
    with stompy.connect(server.address, key_password="secret", **mine, **who) as client:
        assert client.Connected
    with pytest.raises(STOMPError, match=r"key\.pem cannot be used"):
        stompy.connect(server.address, key_password="wrong", **mine, **who)


@pytest.mark.parametrize("shown", [True, False], ids=["shown", "not shown"])
def test_a_broker_that_wants_a_certificate_is_shown_it(shown: bool, tmp_path: Path) -> None:
    """RabbitMQ, as it is set up here, lets in who has none: so this is a broker of a script's."""
    files = write_files(tmp_path, authority().issue_cert("client.example"), password=b"secret")
    mine = {"cert_file": files.cert, "key_file": files.key, "key_password": "secret"}

    def script(link: Link) -> None:
        with suppress(ssl.SSLError):
            link.accept()
            link.serve()

    with Peer(script, wrap=lambda sock: tls_end(sock, mutual=True)) as peer:
        if shown:
            with stompy.connect(peer.address, ca_file=files.ca, **mine) as client:
                assert client.Connected
        else:
            with pytest.raises(STOMPError, match="certificate"):
                stompy.connect(peer.address, ca_file=files.ca)


def test_tls_checks_certificate_and_host_name_by_default(
    rabbitmq_server: Server,
    names: dict[tuple[str, int], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = replace(rabbitmq_server, way="tls")
    names["host.example", 61614] = server.tls_port or 0
    who = {"login": server.login, "passcode": server.passcode}
    with pytest.raises(STOMPError, match=r"certificate .* is not accepted"):
        stompy.connect(server.address, tls=True, **who)
    with pytest.raises(STOMPError, match=r"host\.example"):
        stompy.connect(("host.example", 61614), ca_file=server.ca_file, **who)

    trusting = ssl.create_default_context(cafile=server.ca_file)
    with pytest.raises(STOMPError, match=r"host\.example"):
        stompy.connect(("host.example", 61614), tls=trusting, **who)
    with stompy.connect(server.address, tls=trusting, **who) as client:
        assert client.Connected

    monkeypatch.setenv("SSL_CERT_FILE", str(server.ca_file))  # now it is one of the system's
    with stompy.connect(server.address, tls=True, **who) as client:
        assert client.Connected


@three_brokers
def test_the_vhost_is_the_host_header_and_a_slash_by_default(tap: Tap, server: Server) -> None:
    """RabbitMQ needs it; ActiveMQ ignores it, and so does the embedded broker."""
    host, port = tap.address
    stompy.connect(tap.address, **server.arguments).disconnect()
    with stranger_at(server):
        stompy.connect(tap.address, vhost="tenant", **server.arguments).disconnect()
    with stranger_at(server):
        stompy.connect(f"stomp://guest@{host}:{port}/tenant", passcode="guest").disconnect()
    hosts = [frame.headers["host"] for frame in tap.sent("CONNECT")]
    assert hosts == ["/", "tenant", "tenant"]


@three_brokers
def test_heart_beats_and_versions_are_offered_as_given(tap: Tap, server: Server) -> None:
    client = stompy.connect(
        tap.address, heart_beat=(7000, 9000), versions=("1.0", "1.1"), **server.arguments
    )
    client.disconnect()
    [connect] = tap.sent("CONNECT")
    assert connect.headers["heart-beat"] == "7000,9000"
    assert connect.headers["accept-version"] == "1.0,1.1"


def test_limits_are_accepted_and_kept(connect: Connect, queue: str) -> None:
    client = connect(max_body=10)
    client.subscribe(queue)
    client.message(queue, bytes(10))
    client.message(queue, bytes(11))
    assert received(client, 1) == ["\0" * 10]
    with pytest.raises(STOMPError):
        client.recv(timeout=WAIT)


@three_brokers
def test_reconnect_is_accepted_and_brings_a_lost_connection_back(
    tap: Tap, server: Server, topic: str
) -> None:
    with stompy.connect(tap.address, reconnect=True, **server.arguments) as client:
        client.subscribe(topic)
        with Background(client.recv) as waiting:
            tap.cut()
            until(lambda: len(tap.said) == 2 and b"SUBSCRIBE" in tap.said[1])
            client.message(topic, "after")
            assert waiting.result(WAIT).text == "after"
    assert [len(tap.sent(command)) for command in ("CONNECT", "SUBSCRIBE")] == [2, 2]


@three_brokers
def test_stomp_urls(tap: Tap) -> None:
    host, port = tap.address
    with stompy.connect(f"stomp://guest@{host}:{port}/%2F", passcode="guest") as client:
        assert client.Connected
        assert client.BrokerAddress == (host, port)
    [connect] = tap.sent("CONNECT")
    assert connect.headers.items() >= {"login": "guest", "host": "/"}.items()


def test_stomp_ssl_urls(rabbitmq_server: Server) -> None:
    host, port, trusted = rabbitmq_server.host, rabbitmq_server.tls_port, rabbitmq_server.ca_file
    url = f"stomp+ssl://guest@{host}:{port}/%2F"
    with stompy.connect(url, passcode="guest", ca_file=trusted) as client:
        assert client.Connected
        assert client.BrokerAddress == (host, port)
    with pytest.raises(STOMPError, match="certificate"):
        stompy.connect(url, passcode="guest")


def test_ws_urls(rabbitmq_server: Server) -> None:
    host, port = rabbitmq_server.host, rabbitmq_server.web_port
    with stompy.connect(f"ws://guest@{host}:{port}/ws", passcode="guest") as client:
        assert client.Connected
        assert client.BrokerAddress == (host, port)


def test_wss_urls() -> None:
    """None of the three brokers, as they are set up here, speaks it: this is a script's."""
    with session(by="wss") as (client, peer):
        assert client.Connected
        assert client.BrokerAddress == peer.address


def test_unix_urls(embedded_server: Server) -> None:
    """Neither RabbitMQ nor ActiveMQ listens there."""
    path = embedded_server.unix_path
    assert path is not None
    with stompy.connect(f"stomp+unix://{path}") as client:
        assert client.Connected
        assert client.BrokerAddress == str(path)


@three_brokers
def test_disconnect_waits_for_its_receipt_and_closes(client: STOMPClient, tap: Tap) -> None:
    tap.hold()
    with Background(client.disconnect) as leaving:
        assert tap.held.wait(WAIT)  # the broker has answered
        with pytest.raises(AssertionError, match="not done"):
            leaving.result(2 * SHORT)
        tap.release()
        leaving.result(WAIT)
    assert not client.Connected
    [disconnect] = tap.sent("DISCONNECT")
    assert b"receipt-id:" + disconnect.headers["receipt"].encode() in tap.heard


@pytest.mark.parametrize("server", ["embedded"], indirect=True)
def test_disconnect_waits_within_a_bound(client: STOMPClient, tap: Tap) -> None:
    """With one broker, since it is none that answers."""
    tap.hold()
    begun = time.monotonic()
    client.disconnect()
    assert time.monotonic() - begun < 4
    assert not client.Connected


def test_disconnect_twice_is_fine_from_any_thread(client: STOMPClient) -> None:
    client.subscribe("/topic/T")
    with Background(client.recv) as reading:
        in_threads(4, lambda _: client.disconnect())
        assert reading.result() is None
    client.disconnect()
    assert not client.Connected


@three_brokers
def test_a_client_is_a_context_manager(tap: Tap, server: Server) -> None:
    with stompy.connect(tap.address, **server.arguments) as client:
        assert isinstance(client, STOMPClient)
        assert client.Connected
    assert not client.Connected
    assert len(tap.sent("DISCONNECT")) == 1
    with (
        pytest.raises(ZeroDivisionError),
        stompy.connect(tap.address, **server.arguments) as client,
    ):
        raise ZeroDivisionError
    assert not client.Connected
    assert len(tap.sent("DISCONNECT")) == 2


@three_brokers
def test_the_garbage_collector_never_blocks_on_the_network(
    tap: Tap, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)  # "unclosed socket" is right
    client = stompy.connect(tap.address, **server.arguments)
    tap.hold()  # from here on the broker is silent
    client.subscribe("/topic/T")
    client.message("/topic/T", "unread", receipt=True)
    with pytest.raises(STOMPTimeout):
        client.recv(timeout=SHORT)
    gc.collect()
    known = weakref.ref(client)
    begun = time.monotonic()
    del client
    gc.collect()
    assert time.monotonic() - begun < 1
    assert known() is None


# == Receiving ===================================================================================


def test_subscribe_returns_the_subscription_id(client: STOMPClient) -> None:
    sub_id = client.subscribe("/queue/Q")
    assert isinstance(sub_id, str)
    client.message("/queue/Q", "hello")
    frame = client.recv(timeout=WAIT)
    assert frame["subscription"] == sub_id
    assert client.subscribe("/topic/T") != sub_id


@three_brokers
def test_the_client_mode_without_acks_of_its_own(client: STOMPClient, tap: Tap) -> None:
    client.subscribe("/topic/T", ack_mode="client", send_acks=False)
    for body in ("recv", "iteration", "loop"):
        client.message("/topic/T", body)
    frame = client.recv()
    assert frame.text == "recv"
    for frame in client:
        assert frame.text == "iteration"
        break
    assert client.loop(lambda _, frame: frame.text) == "loop"
    client.disconnect()
    [subscribe] = tap.sent("SUBSCRIBE")
    assert subscribe.headers.items() >= {"destination": "/topic/T", "ack": "client"}.items()
    assert tap.sent("ACK") == []


def test_iteration_ends_when_the_connection_closes(client: STOMPClient) -> None:
    client.subscribe("/queue/Q")
    for body in "123":
        client.message("/queue/Q", body)
    bodies = []
    for frame in client:
        bodies.append(frame.text)
        if bodies == ["1", "2", "3"]:
            client.disconnect()
    assert bodies == ["1", "2", "3"]


def test_recv_gives_none_at_the_end_of_the_connection(client: STOMPClient) -> None:
    client.subscribe("/queue/Q")
    client.message("/queue/Q", "hello")
    frame = client.recv()
    assert isinstance(frame, STOMPFrame)
    assert frame.text == "hello"
    client.disconnect()
    frame = client.recv()
    assert frame is None
    frame = client.recv(timeout=2.0)
    assert frame is None


@pytest.mark.parametrize("wait", ["recv", "iteration", "loop"])
@three_brokers
def test_a_broker_that_closes_is_the_end_for_each_of_the_three(
    client: STOMPClient, tap: Tap, wait: str
) -> None:
    waits: dict[str, tuple[Callable[[], Any], Any]] = {
        "recv": (client.recv, None),
        "iteration": (lambda: list(client), []),
        "loop": (client.loop, None),
    }
    call, outcome = waits[wait]
    with Background(call) as waiting:
        tap.cut()
        assert waiting.result(WAIT) == outcome
    assert not client.Connected


def test_recv_takes_a_timeout(client: STOMPClient) -> None:
    client.subscribe("/queue/Q")
    with pytest.raises(STOMPTimeout):
        client.recv(timeout=SHORT)
    client.message("/queue/Q", "late", receipt=True).wait(WAIT)
    frame = client.recv(timeout=2.0)
    assert frame.text == "late"


@three_brokers
def test_nothing_read_so_far_is_lost_by_a_timeout(
    client: STOMPClient, tap: Tap, connect: Connect
) -> None:
    """Which comes in the middle of a frame."""
    sub_id = client.subscribe("/queue/Q")
    confirm(client, client.send("BEGIN", transaction="t1", receipt=True))
    tap.hold(part=0.5)
    connect().message("/queue/Q", "all of it")
    assert tap.held.wait(WAIT)
    for _ in range(2):
        with pytest.raises(STOMPTimeout):
            client.recv(timeout=SHORT)
    tap.release()
    frame = client.recv(timeout=WAIT)
    assert (frame.Command, frame["subscription"]) == ("MESSAGE", sub_id)
    assert frame.text == "all of it"


@three_brokers
def test_the_ack_modes_are_given_as_text_or_as_ackmode(client: STOMPClient, tap: Tap) -> None:
    for number, mode in enumerate(["auto", "client", "client-individual", *AckMode]):
        client.subscribe(f"/topic/T.{number}", mode)
    client.subscribe("/topic/T")
    client.disconnect()
    modes = [frame.headers.get("ack", "auto") for frame in tap.sent("SUBSCRIBE")]
    assert modes == ["auto", "client", "client-individual"] * 2 + ["auto"]


def test_the_arguments_of_subscribe_have_their_order_and_defaults() -> None:
    assert in_order(STOMPClient.subscribe, 3) == [
        ("dest", NEEDED),
        ("ack_mode", "auto"),
        ("send_acks", True),
    ]


@three_brokers
def test_extra_headers_of_subscribe_are_possible(
    client: STOMPClient, tap: Tap, server: Server
) -> None:
    headers = {"x-one": "1"}
    client.subscribe("/topic/T", headers=headers, prefetch=5, two="2")
    if server.name == "rabbitmq":  # has no selectors, which is said; headers can still be written
        with pytest.raises(STOMPError, match="selector"):
            client.subscribe("/topic/T.1", selector="colour = 'red'")
        client.subscribe("/topic/T.1", headers={"selector": "colour = 'red'"})
    else:
        client.subscribe("/topic/T.1", selector="colour = 'red'")
        client.message("/topic/T.1", "blue one", colour="blue")
        client.message("/topic/T.1", "red one", colour="red")
        assert received(client, 1) == ["red one"]
    client.disconnect()
    first, second = tap.sent("SUBSCRIBE")
    prefetch = "activemq.prefetchSize" if server.name == "activemq" else "prefetch-count"
    assert first.headers.items() >= {"x-one": "1", "two": "2", prefetch: "5"}.items()
    assert second.headers["selector"] == "colour = 'red'"
    assert headers == {"x-one": "1"}


@three_brokers
def test_durable_names_are_possible(server: Server, emptied: None, topic: str) -> None:
    """The embedded broker keeps nothing, and says so."""

    def connect() -> STOMPClient:
        return stompy.connect(server.address, headers={"client-id": topic[7:]}, **server.arguments)

    if server.name == "embedded":
        with connect() as client, pytest.raises(STOMPError, match="durable"):
            client.subscribe(topic, durable="name")
        return
    with connect() as client:
        client.subscribe(topic, durable="name")
    with connect() as client:
        client.message(topic, "kept")
    with connect() as client:
        sub_id = client.subscribe(topic, durable="name")
        assert received(client, 1) == ["kept"]
        client.unsubscribe(sub_id, delete=True)


def test_unsubscribe_takes_the_id(client: STOMPClient) -> None:
    sub_id = client.subscribe("/topic/T")
    client.subscribe("/topic/T.kept")
    client.unsubscribe(sub_id)
    client.message("/topic/T", "unheard")
    client.message("/topic/T.kept", "heard")
    assert received(client, 1) == ["heard"]


def test_loop_calls_the_callback_with_the_client_the_frame_and_the_rest(
    client: STOMPClient,
) -> None:
    def callback(*given: Any, **named: Any) -> str:
        calls.append((given, named))
        return "a value"

    calls: list[Any] = []
    args, kwargs = ("one", 2), {"three": 3}
    client.subscribe("/queue/Q")
    client.message("/queue/Q", "first")
    client.message("/queue/Q", "second")

    value = client.loop(callback, *args, transaction=None, timeout=None, **kwargs)
    assert value == "a value"
    value = client.loop(callback=callback)
    assert value == "a value"

    [((caller, frame, *rest), named), ((second_caller, second), nothing)] = calls
    assert caller is second_caller is client
    assert (frame.text, second.text) == ("first", "second")
    assert (rest, named) == (["one", 2], {"three": 3})
    assert nothing == {}


def test_loop_calls_the_callback_for_every_frame(client: STOMPClient) -> None:
    def callback(_: STOMPClient, frame: STOMPFrame) -> bool:
        frames.append(frame.Command)
        return len(frames) == 3

    frames: list[str] = []
    client.subscribe("/queue/Q")
    client.message("/queue/Q", "1", receipt=True)
    client.message("/queue/Q", "2")
    assert client.loop(callback, timeout=WAIT) is True
    assert sorted(frames) == ["MESSAGE", "MESSAGE", "RECEIPT"]


def test_loop_goes_on_after_what_is_false_and_returns_what_is_true(client: STOMPClient) -> None:
    values: list[object] = [False, None, 0, "", {"true": 1}, "never reached"]
    returned = iter(values)
    client.subscribe("/queue/Q")
    for number in range(5):
        client.message("/queue/Q", str(number))
    value = client.loop(lambda *_: next(returned), timeout=WAIT)
    assert value is values[4]
    assert list(returned) == ["never reached"]


def test_loop_without_a_callback_runs_until_the_connection_closes(client: STOMPClient) -> None:
    client.subscribe("/queue/Q")
    with Background(client.loop) as running:
        client.message("/queue/Q", "passed over")
        client.message("/queue/Q", "passed over", receipt="all of it").wait(WAIT)
        assert running.running
        client.disconnect()
        assert running.result(WAIT) is None


def test_loop_returns_none_when_the_connection_closed(client: STOMPClient) -> None:
    def callback(client: STOMPClient, _: STOMPFrame) -> None:
        client.disconnect()

    client.subscribe("/queue/Q")
    client.message("/queue/Q", "the last")
    assert client.loop(callback, timeout=WAIT) is None
    assert client.loop(callback, timeout=WAIT) is None


@pytest.mark.parametrize("as_object", [True, False], ids=["object", "id"])
@three_brokers
def test_the_transaction_of_loop_is_put_on_its_acks(
    client: STOMPClient, tap: Tap, as_object: bool
) -> None:
    """It sends no NACK by itself, so there is none to put it on."""
    transaction = client.transaction("t1")
    client.subscribe("/topic/T", ack_mode="client-individual")
    client.message("/topic/T", "1")
    client.message("/topic/T", "2")
    count = iter([False, True])
    named = transaction if as_object else "t1"
    assert client.loop(lambda *_: next(count), transaction=named, timeout=WAIT) is True
    confirm(client, transaction.commit(receipt=True))
    acks = tap.sent("ACK")
    assert [frame.headers["transaction"] for frame in acks] == ["t1", "t1"]
    assert tap.sent("NACK") == []


def test_the_acks_of_loop_are_part_of_the_transaction(
    client: STOMPClient, connect: Connect
) -> None:
    client.message("/queue/Q", "kept")
    transaction = client.transaction()
    client.subscribe("/queue/Q", ack_mode="client-individual")
    assert client.loop(lambda *_: True, transaction=transaction, timeout=WAIT) is True
    confirm(client, transaction.abort(receipt=True))
    client.disconnect()
    assert left_in_q(connect) == "kept"


def test_the_timeout_of_loop_bounds_the_wait_for_each_frame(client: STOMPClient) -> None:
    client.subscribe("/queue/Q")
    for body in "12":
        client.message("/queue/Q", body)
    assert client.loop(lambda _, frame: frame.text == "2", timeout=WAIT) is True
    begun = time.monotonic()
    with pytest.raises(STOMPTimeout):
        client.loop(lambda *_: True, timeout=SHORT)
    assert SHORT <= time.monotonic() - begun < 4
    assert client.Connected


@pytest.mark.parametrize("ask", ["message", "send", "commit", "abort"])
def test_a_receipt_is_awaited_so(client: STOMPClient, ask: str) -> None:
    """The contract's sample, as it stands."""
    asks: dict[str, Callable[[], str | None]] = {
        "message": lambda: client.message("/topic/T", b"...", receipt=True),
        "send": lambda: client.send("SEND", destination="/topic/T", receipt="mine"),
        "commit": lambda: client.transaction().commit(receipt=True),
        "abort": lambda: client.transaction().abort(receipt="mine"),
    }
    client.subscribe("/topic/T")  # so that other frames may come before
    my_receipt = asks[ask]()

    def arrived(_, frame, receipt):
        return frame is not None and frame.Command == "RECEIPT" and frame["receipt-id"] == receipt

    closed = client.loop(arrived, receipt=my_receipt) is None
    assert closed is False

    with Background(lambda: client.loop(arrived, receipt="never asked for") is None) as waiting:
        client.disconnect()
        closed = waiting.result(WAIT)
    assert closed is True


@three_brokers
def test_receipts_appear_that_the_user_asked_for_and_those_of_the_client_do_not(
    client: STOMPClient, tap: Tap
) -> None:
    client.message("/topic/T", b"...", receipt="for recv")
    frame = client.recv(timeout=WAIT)
    assert (frame.Command, frame["receipt-id"]) == ("RECEIPT", "for recv")
    client.message("/topic/T", b"...", receipt="for iteration")
    for frame in client:
        assert (frame.Command, frame["receipt-id"]) == ("RECEIPT", "for iteration")
        break
    client.message("/topic/T", b"...", receipt="for loop")
    [frame] = client.loop(lambda _, frame: [frame], timeout=WAIT)
    assert (frame.Command, frame["receipt-id"]) == ("RECEIPT", "for loop")

    client.message("/topic/T", b"...", receipt="for later")
    until(lambda: b"receipt-id:for later" in tap.heard)
    client.disconnect()
    [disconnect] = tap.sent("DISCONNECT")
    assert b"receipt-id:" + disconnect.headers["receipt"].encode() in tap.heard
    assert [frame["receipt-id"] for frame in client] == ["for later"]


def test_recv_and_iteration_raise_on_an_error_frame(connect: Connect) -> None:
    waits: list[Callable[[STOMPClient], Any]] = [
        lambda client: client.recv(),
        lambda client: client.recv(timeout=WAIT, exception_on_error=True),
        lambda client: next(iter(client)),
    ]
    for wait in waits:
        client = connect()
        client.send("SEND", body="to nowhere")  # a frame that no broker takes
        with pytest.raises(STOMPError) as caught:
            wait(client)
        assert isinstance(caught.value.Frame, STOMPFrame)
        assert caught.value.Frame.Command == "ERROR"
        assert caught.value.Message


def test_without_exception_on_error_recv_returns_the_error_frame(connect: Connect) -> None:
    client = connect()
    client.send("SEND", body="to nowhere")
    frame = client.recv(timeout=WAIT, exception_on_error=False)
    assert isinstance(frame, STOMPFrame)
    assert frame.Command == "ERROR"


def test_loop_hands_the_error_frame_to_the_callback(connect: Connect) -> None:
    client = connect()
    client.send("SEND", body="to nowhere")
    assert client.loop(lambda _, frame: frame.Command, timeout=WAIT) == "ERROR"


@three_brokers
def test_loop_acknowledges_after_the_callback_returned(client: STOMPClient, tap: Tap) -> None:
    def callback(client: STOMPClient, frame: STOMPFrame) -> bool:
        client.message("/topic/other", b"", during=frame.text)
        return frame.text == "2"

    client.subscribe("/topic/T", ack_mode="client-individual")
    client.message("/topic/T", "1")
    client.message("/topic/T", "2")
    assert client.loop(callback, timeout=WAIT) is True
    client.disconnect()
    frames = tap.sent("SEND", "ACK")[2:]
    assert [frame.headers.get("during", "ACK") for frame in frames] == ["1", "ACK", "2", "ACK"]


@three_brokers
def test_a_callback_that_raises_leaves_its_message_unacknowledged_and_the_exception_comes_out(
    client: STOMPClient, tap: Tap, connect: Connect
) -> None:
    def callback(_: STOMPClient, frame: STOMPFrame) -> None:
        if frame.text == "too hard":
            raise error

    error = ZeroDivisionError()
    client.message("/queue/Q", "easy")
    client.message("/queue/Q", "too hard")
    client.subscribe("/queue/Q", ack_mode="client-individual")
    with pytest.raises(ZeroDivisionError) as caught:
        client.loop(callback, timeout=WAIT)
    assert caught.value is error
    client.disconnect()
    assert len(tap.sent("ACK")) == 1
    assert left_in_q(connect) == "too hard"


@three_brokers
def test_recv_and_iteration_acknowledge_when_the_frame_is_handed_over(
    client: STOMPClient, tap: Tap
) -> None:
    client.subscribe("/topic/T", ack_mode="client-individual")
    client.message("/topic/T", "1")
    client.message("/topic/T", "2")
    client.recv(timeout=WAIT)
    client.message("/topic/other", b"", during="1")
    for _ in client:
        client.message("/topic/other", b"", during="2")
        break
    client.disconnect()
    frames = tap.sent("SEND", "ACK")[2:]
    assert [frame.headers.get("during", "ACK") for frame in frames] == ["ACK", "1", "ACK", "2"]


def test_what_was_acknowledged_so_is_gone(client: STOMPClient, connect: Connect) -> None:
    for body in ("recv", "iteration", "loop", "left"):
        client.message("/queue/Q", body)
    client.subscribe("/queue/Q", ack_mode="client-individual")
    client.recv(timeout=WAIT)
    next(iter(client))
    client.loop(lambda *_: True, timeout=WAIT)
    client.disconnect()
    assert left_in_q(connect) == "left"


# == Sending =====================================================================================


def test_keywords_become_headers_and_message_is_the_same_as_send(client: STOMPClient) -> None:
    client.send("SEND", destination="/queue/Q", body="text or bytes", source="me")
    client.message("/queue/Q", "text or bytes", source="me")

    client.subscribe("/queue/Q")
    frames = [client.recv(timeout=WAIT) for _ in range(2)]
    for frame in frames:
        assert (frame.Command, frame.Body) == ("MESSAGE", b"text or bytes")
        assert frame["source"] == "me"
        assert frame.destination == "/queue/Q"


@three_brokers
def test_both_go_out_as_the_same_frame(client: STOMPClient, tap: Tap) -> None:
    client.send("SEND", destination="/topic/T", body="text or bytes", source="me")
    client.message("/topic/T", "text or bytes", source="me")
    client.disconnect()
    first, second = tap.sent("SEND")
    assert first.headers == second.headers
    assert first.body == second.body == b"text or bytes"
    assert first.headers["source"] == "me"


def test_the_receipt_id_is_returned_when_one_was_asked_for(client: STOMPClient) -> None:
    receipt = client.message("/queue/Q", b"...", receipt=True)
    assert isinstance(receipt, str)
    assert receipt
    frame = client.recv(timeout=WAIT)
    assert (frame.Command, frame["receipt-id"]) == ("RECEIPT", receipt)
    client.message("/queue/Q", b"...", receipt="my-own-id")
    frame = client.recv(timeout=WAIT)
    assert (frame.Command, frame["receipt-id"]) == ("RECEIPT", "my-own-id")

    assert client.message("/queue/Q", b"...", receipt="my-own-id") == "my-own-id"
    assert client.send("SEND", destination="/queue/Q", receipt="own") == "own"
    generated = client.send("SEND", destination="/queue/Q", receipt=True)
    assert isinstance(generated, str)
    assert generated != receipt
    assert client.message("/queue/Q", b"...") is None
    assert client.send("SEND", destination="/queue/Q") is None


def test_ack_and_nack_take_the_ack_header(client: STOMPClient, server: Server) -> None:
    client.message("/queue/Q", "processed")
    client.message("/queue/Q", "refused", persistent="true")
    client.subscribe("/queue/Q", ack_mode="client-individual", send_acks=False)
    frame = client.recv(timeout=WAIT)
    client.ack(frame["ack"])
    frame = client.recv(timeout=WAIT)
    client.nack(frame["ack"])

    if server.name == "activemq":  # puts what is refused and persistent into a queue for that
        client.subscribe("/queue/ActiveMQ.DLQ")
        assert client.loop(lambda _, frame: frame.text == "refused", timeout=WAIT) is True
    else:  # back to its queue, and so to its only subscription
        frame = client.recv(timeout=WAIT)
        assert frame.text == "refused"
        client.ack(frame["ack"])


def test_ack_in_a_transaction(client: STOMPClient, connect: Connect) -> None:
    client.message("/queue/Q", "processed")
    client.message("/queue/Q", "left")
    client.subscribe("/queue/Q", ack_mode="client-individual", send_acks=False)
    frame = client.recv(timeout=WAIT)
    client.send("BEGIN", transaction="t1")
    client.ack(frame["ack"], transaction="t1")
    client.send("COMMIT", transaction="t1")
    client.disconnect()
    assert left_in_q(connect) == "left"


def test_nack_in_a_transaction(client: STOMPClient, server: Server) -> None:
    client.message("/queue/Q", "refused")
    client.subscribe("/queue/Q", ack_mode="client-individual", send_acks=False)
    frame = client.recv(timeout=WAIT)
    client.send("BEGIN", transaction="t1")
    client.nack(frame["ack"], transaction="t1")
    if server.name == "activemq":  # has no such thing: it says so and rolls the transaction back
        with pytest.raises(STOMPError, match="cannot be transacted"):
            client.recv(timeout=WAIT)
        client.send("ABORT", transaction="t1")
    else:
        with pytest.raises(STOMPTimeout):
            client.recv(timeout=SHORT)
        client.send("COMMIT", transaction="t1")
        frame = client.recv(timeout=WAIT)
        assert frame.text == "refused"
    client.ack(frame["ack"])


@three_brokers
def test_ack_and_nack_carry_the_id_and_the_transaction(client: STOMPClient, tap: Tap) -> None:
    client.subscribe("/topic/T", ack_mode="client-individual", send_acks=False)
    client.send("BEGIN", transaction="t1")
    ids = []
    for _ in range(4):
        client.message("/topic/T", "...")
        ids.append(client.recv(timeout=WAIT)["ack"])
    client.ack(ids[0])
    client.nack(ids[1])
    client.ack(ids[2], transaction="t1")
    client.nack(ids[3], transaction="t1")
    client.disconnect()
    frames = tap.sent("ACK", "NACK")
    assert [frame.command for frame in frames] == ["ACK", "NACK"] * 2
    assert [frame.headers["id"] for frame in frames] == ids
    named = [frame.headers.get("transaction") for frame in frames]
    assert named == [None, None, "t1", "t1"]


@three_brokers
def test_the_arguments_of_send_and_message_have_their_order(client: STOMPClient, tap: Tap) -> None:
    client.send("BEGIN", {}, b"", "t1")
    client.send("SEND", {"destination": "/topic/T"}, "text", "t1", "r1", source="me")
    client.message("/topic/T", "text", "id-1", {"note": "n"}, "r2", "t1", source="me")
    client.send("COMMIT", transaction="t1")
    client.disconnect()
    send, message = tap.sent("SEND")
    both = {"destination": "/topic/T", "transaction": "t1", "source": "me"}
    assert send.headers.items() >= {**both, "receipt": "r1"}.items()
    assert message.headers.items() >= {**both, "receipt": "r2", "note": "n"}.items()
    assert "id-1" in message.headers.values()
    assert send.body == message.body == b"text"

    assert in_order(STOMPClient.send, 5) == [
        ("command", NEEDED),
        ("headers", {}),
        ("body", b""),
        ("transaction", None),
        ("receipt", False),
    ]
    assert in_order(STOMPClient.message, 6) == [
        ("destination", NEEDED),
        ("body", b""),
        ("id", None),
        ("headers", {}),
        ("receipt", False),
        ("transaction", None),
    ]


def test_the_callers_dict_is_never_changed(server: Server, emptied: None) -> None:
    connecting, sending, subscribing = {"client-id": "n1"}, {"source": "me"}, {"x": "y"}
    with stompy.connect(server.address, headers=connecting, foo="bar", **server.arguments) as c:
        transaction = c.transaction()
        c.send("SEND", sending, "text", transaction.id, True, destination="/topic/T")
        c.message("/topic/T", "text", "id-1", sending, True, transaction.id, foo="bar")
        transaction.send("SEND", sending, "text", destination="/topic/T")
        transaction.message("/topic/T", "text", headers=sending)
        transaction.commit()
        sub_id = c.subscribe("/topic/T", "client", headers=subscribing, foo="bar")
        c.unsubscribe(sub_id, subscribing)
    assert (connecting, sending, subscribing) == ({"client-id": "n1"}, {"source": "me"}, {"x": "y"})
    for method in STOMPClient.connect, STOMPClient.send, STOMPClient.message:
        assert ("headers", {}) in in_order(method, 4)


@three_brokers
def test_a_text_goes_out_as_utf_8_and_says_so_and_bytes_say_nothing(
    client: STOMPClient, tap: Tap
) -> None:
    client.message("/topic/T", "grüße")
    client.message("/topic/T", "{}", headers={"content-type": "application/json"})
    client.send("SEND", destination="/topic/T", body="<p>", **{"content-type": "text/html"})
    client.message("/topic/T", b"bytes")
    client.message("/topic/T", b"{}", headers={"content-type": "application/json"})
    client.disconnect()
    frames = tap.sent("SEND")
    assert [(frame.body.decode(), frame.headers.get("content-type")) for frame in frames] == [
        ("grüße", "text/plain;charset=utf-8"),
        ("{}", "application/json"),
        ("<p>", "text/html"),
        ("bytes", None),
        ("{}", "application/json"),
    ]


def test_a_text_arrives_with_its_content_type(client: STOMPClient) -> None:
    client.subscribe("/queue/Q")
    client.message("/queue/Q", "grüße")
    frame = client.recv(timeout=WAIT)
    assert (frame.Body, frame["content-type"]) == ("grüße".encode(), "text/plain;charset=utf-8")
    client.message("/queue/Q", '"grüße"', headers={"content-type": "application/json"})
    frame = client.recv(timeout=WAIT)
    assert (frame.Body, frame["content-type"]) == ('"grüße"'.encode(), "application/json")


@three_brokers
def test_content_length_is_always_sent_except_where_it_is_not_wanted(
    client: STOMPClient, tap: Tap
) -> None:
    for body in ("grüße", b"bytes", b"\0", ""):
        client.message("/topic/T", body)
    client.send("SEND", destination="/topic/T")
    client.message("/topic/T", "without", content_length=False)
    client.send("SEND", destination="/topic/T", body=b"without", content_length=False)
    client.disconnect()
    lengths = [frame.headers.get("content-length") for frame in tap.sent("SEND")]
    assert lengths == ["7", "5", "1", "0", "0", None, None]


def test_activemq_makes_a_text_message_of_a_body_without_content_length(
    client: STOMPClient, server: Server
) -> None:
    """A text message comes without a content-length; at the others it makes no difference."""
    client.subscribe("/queue/Q")
    client.message("/queue/Q", "with")
    client.message("/queue/Q", "without", content_length=False)
    with_it, without = (client.recv(timeout=WAIT) for _ in range(2))
    assert (with_it.text, without.text) == ("with", "without")
    assert with_it["content-length"] == "4"
    assert ("content-length" in without) == (server.name != "activemq")


# == Transactions ================================================================================


def test_a_transaction_takes_effect_when_it_is_committed(client: STOMPClient) -> None:
    transaction = client.transaction()
    transaction.message("/queue/Q", "part 1")
    receipt = transaction.commit(receipt=True)

    assert isinstance(transaction, stompy.client.STOMPTransaction)
    assert isinstance(receipt, str)
    confirm(client, receipt)
    client.subscribe("/queue/Q")
    assert received(client, 1) == ["part 1"]


def test_a_transaction_has_no_effect_when_it_is_aborted(client: STOMPClient) -> None:
    client.subscribe("/queue/Q")
    transaction = client.transaction()
    transaction.message("/queue/Q", "part 1")
    assert transaction.abort(receipt="my-own-id") == "my-own-id"
    confirm(client, "my-own-id")
    client.message("/queue/Q", "after")
    assert received(client, 1) == ["after"]
    assert client.transaction().abort() is None
    assert client.transaction().commit() is None


@three_brokers
def test_begin_is_sent_and_an_id_may_be_given(client: STOMPClient, tap: Tap) -> None:
    for transaction in (client.transaction(), client.transaction("mine"), client.transaction()):
        transaction.commit()
    client.disconnect()
    begun = [frame.headers["transaction"] for frame in tap.sent("BEGIN")]
    assert len(set(begun)) == 3
    assert begun[1] == "mine"
    assert [frame.headers["transaction"] for frame in tap.sent("COMMIT")] == begun


@pytest.mark.parametrize("end", ["commit", "abort"])
@three_brokers
def test_all_that_is_said_by_a_transaction_carries_its_header(
    client: STOMPClient, tap: Tap, server: Server, end: str
) -> None:
    client.subscribe("/topic/T", ack_mode="client-individual", send_acks=False)
    client.message("/topic/T", "to be acknowledged")
    client.message("/topic/T", "to be refused")
    good, bad = (client.recv(timeout=WAIT) for _ in range(2))
    client.subscribe("/topic/other", ack_mode="client")
    client.message("/topic/other", "handed over")

    transaction = client.transaction()
    transaction.send("SEND", destination="/topic/nobody", body="1")
    transaction.message("/topic/nobody", "2")
    frame = transaction.recv(timeout=WAIT)
    transaction.ack(good["ack"])
    transaction.nack(bad["ack"])
    receipt = getattr(transaction, end)(receipt=True)

    if server.name == "activemq":  # it has no NACK in a transaction
        refused = "cannot be transacted"
        client.loop(lambda _, frame: refused in frame.get("message", ""), timeout=WAIT)
    else:
        confirm(client, receipt)
    client.disconnect()
    assert frame.text == "handed over"
    frames = tap.sent()[-8:-1]
    commands = ["BEGIN", "SEND", "SEND", "ACK", "ACK", "NACK", end.upper()]
    assert [frame.command for frame in frames] == commands
    [named] = {frame.headers.get("transaction") for frame in frames}
    assert named
    acks = [frame.headers["id"] for frame in frames if frame.command in ("ACK", "NACK")]
    assert acks == [frame["ack"], good["ack"], bad["ack"]]


@pytest.mark.parametrize("end", ["commit", "abort"])
def test_after_commit_or_abort_every_call_raises(client: STOMPClient, end: str) -> None:
    transaction = client.transaction()
    getattr(transaction, end)()
    calls: list[Callable[[], object]] = [
        lambda: transaction.send("SEND", destination="/queue/Q"),
        lambda: transaction.message("/queue/Q", "part 2"),
        lambda: transaction.recv(timeout=WAIT),
        lambda: transaction.ack("1"),
        lambda: transaction.nack("1"),
        transaction.commit,
        transaction.abort,
    ]
    for call in calls:
        with pytest.raises(STOMPError):
            call()
    confirm(client, client.message("/topic/T", receipt=True))  # the broker has nothing to object


@three_brokers
def test_as_a_context_manager_it_commits_or_aborts_when_the_block_raises(
    client: STOMPClient, tap: Tap
) -> None:
    def fail() -> None:
        with client.transaction("bad") as transaction:
            transaction.message("/queue/Q", "never")
            raise error

    error = ZeroDivisionError()
    client.subscribe("/queue/Q")
    with pytest.raises(ZeroDivisionError) as caught:
        fail()
    assert caught.value is error
    with client.transaction("good") as transaction:
        assert isinstance(transaction, STOMPTransaction)
        transaction.message("/queue/Q", "part 1")
        transaction.message("/queue/Q", "part 2")
    assert received(client, 2) == ["part 1", "part 2"]
    client.disconnect()
    ends = tap.sent("COMMIT", "ABORT")
    assert [(frame.command, frame.headers["transaction"]) for frame in ends] == [
        ("ABORT", "bad"),
        ("COMMIT", "good"),
    ]


# == Frames ======================================================================================


def test_the_parts_of_a_frame(client: STOMPClient) -> None:
    client.subscribe("/queue/Q")
    client.message("/queue/Q", "grüße", name="value")
    frame = client.recv(timeout=WAIT)
    assert isinstance(frame, stompy.frame.STOMPFrame)
    assert frame.Command == "MESSAGE"
    assert type(frame.Headers) is dict
    assert frame.Headers["name"] == "value"
    assert type(frame.Body) is bytes
    assert frame.Body == "grüße".encode()

    assert frame["name"] == "value"
    assert frame.get("name", "default") == "value"
    assert "name" in frame
    with pytest.raises(KeyError):
        frame["absent"]
    assert frame.get("absent", "default") == "default"
    assert frame.get("absent") is None
    assert "absent" not in frame

    assert frame.destination == frame["destination"] == "/queue/Q"


def test_headers_is_a_copy(client: STOMPClient) -> None:
    client.subscribe("/queue/Q")
    client.message("/queue/Q", "grüße", name="value")
    frame = client.recv(timeout=WAIT)
    copy = frame.headers()
    assert type(copy) is dict
    assert copy == frame.Headers
    copy["name"] = "another"
    assert frame["name"] == frame.Headers["name"] == "value"


def test_a_frame_without_a_destination_has_none(client: STOMPClient) -> None:
    client.message("/queue/Q", b"...", receipt="my-own-id")
    frame = client.recv(timeout=WAIT)
    assert frame.Command == "RECEIPT"
    assert frame.Body == b""
    with pytest.raises(KeyError):
        _ = frame.destination


def test_text_is_the_body_decoded_by_its_charset_else_utf_8(client: STOMPClient) -> None:
    client.subscribe("/queue/Q")
    for body, content_type in [
        ("grüße".encode("latin-1"), "text/plain;charset=iso-8859-1"),
        ("grüße".encode("utf-16"), "text/plain; charset=UTF-16"),
        ("grüße".encode(), "text/plain"),
        ("grüße".encode(), None),
        ("grüße", None),
    ]:
        client.message("/queue/Q", body, headers={"content-type": content_type})
        frame = client.recv(timeout=WAIT)
        assert frame.text == "grüße"
        assert type(frame.Body) is bytes


def test_json_is_the_body_read_as_such(client: STOMPClient) -> None:
    client.subscribe("/queue/Q")
    client.message("/queue/Q", '{"price": 3, "name": "grüße"}')
    client.message("/queue/Q", b"[1, null]")
    frame = client.recv(timeout=WAIT)
    assert frame.json == {"price": 3, "name": "grüße"}
    frame = client.recv(timeout=WAIT)
    assert frame.json == [1, None]


def test_the_names_of_the_contract_are_exported() -> None:
    assert callable(stompy.connect)
    assert stompy.client.STOMPTransaction is STOMPTransaction
    assert stompy.frame.STOMPFrame is STOMPFrame
    exported = {
        "connect",
        "STOMPClient",
        "STOMPFrame",
        "STOMPTransaction",
        "STOMPSubscription",
        "AckMode",
        "STOMPError",
        "STOMPTimeout",
    }
    assert exported <= set(stompy.__all__)
    assert all(hasattr(stompy, name) for name in exported)
    assert isinstance(STOMPSubscription, type)
    assert (AckMode.Auto, AckMode.Client, AckMode.ClientInd) == (
        "auto",
        "client",
        "client-individual",
    )


def test_a_timeout_is_a_stomp_error_and_a_timeout_error(client: STOMPClient) -> None:
    assert issubclass(STOMPTimeout, STOMPError)
    assert issubclass(STOMPTimeout, TimeoutError)
    for kind in STOMPError, TimeoutError:
        with pytest.raises(kind) as caught:
            client.recv(timeout=0)
        assert isinstance(caught.value, STOMPTimeout)
        assert isinstance(caught.value.Message, str)
        assert caught.value.Frame is None


@three_brokers
def test_whatever_else_can_go_wrong_is_a_stomp_error_or_the_operating_systems(
    client: STOMPClient, names: dict[tuple[str, int], int], tmp_path: Path
) -> None:
    """Which of them, with which words, is tested where it belongs."""

    def breaks_off(link: Link) -> None:
        link.accept()
        link.expect("SEND")

    def lost() -> None:
        with Peer(breaks_off) as peer, stompy.connect(peer.address) as client:
            client.message("/queue/Q", receipt=True).wait(WAIT)

    def speaks_smtp() -> None:
        with Peer(lambda link: link.send(b"220 mail.example ESMTP\r\n")) as peer:
            stompy.connect(peer.address)

    with dead_port() as port:
        wrong: dict[str, Callable[[], object]] = {
            "a closed port": lambda: stompy.connect((HOST, port)),
            "an unknown host": lambda: stompy.connect(("host.example", 61613)),
            "no socket there": lambda: stompy.connect(f"stomp+unix://{tmp_path}/none"),
            "no address": lambda: stompy.connect(""),
            "no addresses": lambda: stompy.connect([]),
            "no STOMP": speaks_smtp,
            "no such file": lambda: stompy.connect((HOST, port), ca_file=tmp_path / "none"),
            "a connection that is lost": lost,
            "no such ack mode": lambda: client.subscribe("/queue/Q", ack_mode="never"),
            "no such subscription": lambda: client.unsubscribe("none"),
            "no command": lambda: client.send("\n"),
            "a NUL in a header": lambda: client.message("/queue/Q", source="\0"),
            "a NUL without a length": lambda: client.message("/q", b"\0", content_length=False),
            "nothing to acknowledge": lambda: client.ack(""),
            "a body that is no text": lambda: STOMPFrame("MESSAGE", {}, b"\xff").text,
            "a body that is no JSON": lambda: STOMPFrame("MESSAGE", {}, b"{").json,
            "receiving before connect": lambda: STOMPClient().recv(),
            "iterating before connect": lambda: list(STOMPClient()),
            "a loop before connect": lambda: STOMPClient().loop(),
            "sending before connect": lambda: STOMPClient().message("/queue/Q"),
            "subscribing before connect": lambda: STOMPClient().subscribe("/queue/Q"),
            "connecting twice": lambda: client.connect((HOST, port)),
            "sending after the end": lambda: (client.disconnect(), client.message("/queue/Q")),
            "subscribing after the end": lambda: client.subscribe("/queue/Q"),
            "a transaction after the end": lambda: client.transaction(),
        }
        for what, call in wrong.items():
            with pytest.raises((STOMPError, OSError)):
                pytest.fail(f"{what} is no error, but {call()!r}")
    kinds = [kind for kind in vars(stompy).values() if isinstance(kind, type)]
    errors = [kind for kind in kinds if issubclass(kind, BaseException)]
    assert all(issubclass(kind, STOMPError) for kind in errors)
