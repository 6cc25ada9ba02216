"""Private brokers for tests: RabbitMQ and ActiveMQ Classic.

Each one listens on 127.0.0.1 only, on ports of its own, keeps all its files in the folder it is
given, and is gone when its `with` block ends. Killed meanwhile, it can be started again: at the
same ports, with what its queues have kept.
"""

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.certificates import Files, server_certificate, write_files
from tests.processes import ATTEMPT_SECONDS, HOST, free_port, listens, running

# The rabbitmq-server found on the PATH changes to the user rabbitmq or refuses; this one does not.
RABBITMQ_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
ACTIVEMQ_HOME = Path("/usr/share/activemq")
ACTIVEMQ_JAR = ACTIVEMQ_HOME / "bin" / "activemq.jar"


@dataclass(frozen=True)
class Server:
    """A broker that answers STOMP at host:port, and perhaps in other places too."""

    name: str
    host: str
    port: int
    login: str | None
    passcode: str | None
    web_port: int | None = None
    """Where STOMP over WebSocket is served, at the path /ws, if it is."""
    tls_port: int | None = None
    """Where STOMP over TLS is served, if it is."""
    ca_file: Path | None = None
    """Who vouches for the broker there."""
    unix_path: Path | None = None
    """The Unix socket where it listens, if it does."""
    kill: Callable[[], object] = field(default=lambda: None, repr=False, compare=False)
    """Takes the broker away in the middle of whatever it does, for tests of what happens then."""
    start: Callable[[], object] = field(default=lambda: None, repr=False, compare=False)
    """Brings it back after that, and returns when it answers."""
    way: str = "tcp"
    """The way that `address` and `arguments` are for: tcp, unix, tls or ws."""

    @property
    def address(self) -> Any:
        """What `stompy.connect` takes."""
        return {
            "tcp": (self.host, self.port),
            "unix": f"stomp+unix://{self.unix_path}",
            "tls": (self.host, self.tls_port),
            "ws": f"ws://{self.host}:{self.web_port}/ws",
        }[self.way]

    @property
    def arguments(self) -> dict[str, Any]:
        """What `stompy.connect` takes besides: who connects, and whom to trust."""
        user = {"login": self.login, "passcode": self.passcode}
        return {**user, "ca_file": self.ca_file} if self.way == "tls" else user


def missing_rabbitmq() -> str | None:
    """Say what to install before `rabbitmq` can work here, or None if nothing."""
    if RABBITMQ_SERVER.exists() and shutil.which("erl") and shutil.which("epmd"):
        return None
    return "rabbitmq-server is not installed: sudo apt-get install rabbitmq-server"


def missing_activemq() -> str | None:
    """Say what to install before `activemq` can work here, or None if nothing."""
    if not ACTIVEMQ_JAR.exists():
        return "activemq is not installed: sudo apt-get install activemq"
    if not shutil.which("java"):
        return "java is not installed: sudo apt-get install default-jre-headless"
    return None


@contextmanager
def rabbitmq(folder: Path) -> Iterator[Server]:
    """Run a RabbitMQ that serves STOMP by TCP, by TLS, and by WebSocket (at /ws)."""
    folder = _made(folder)
    stomp, tls, web, node, epmd = (free_port() for _ in range(5))
    files = write_files(folder, server_certificate())
    _write_rabbitmq_files(folder, stomp, web, _tls_listener(tls, files))
    environment = _rabbitmq_environment(folder, node, epmd)

    def ready() -> bool:
        return _answers_stomp(stomp, "guest", "guest") and listens(tls) and listens(web)

    with (
        _epmd(folder, epmd),
        running("RabbitMQ", [str(RABBITMQ_SERVER)], folder, environment, ready) as process,
    ):
        yield Server(
            *("rabbitmq", HOST, stomp, "guest", "guest", web, tls, files.ca),
            kill=process.kill,
            start=process.start,
        )


@contextmanager
def activemq(folder: Path, heap: str = "256m") -> Iterator[Server]:
    """Run an ActiveMQ Classic that serves STOMP and lets everybody in.

    Args:
        heap: the memory that it has; queues of more than 50,000 messages need more.
    """
    folder = _made(folder)
    stomp = free_port()
    _write_activemq_files(folder, stomp)
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}

    def ready() -> bool:
        return _answers_stomp(stomp, None, None)

    command = _activemq_command(folder, heap)
    with running("ActiveMQ", command, folder, environment, ready) as process:
        yield Server("activemq", HOST, stomp, None, None, kill=process.kill, start=process.start)


@contextmanager
def _epmd(folder: Path, port: int) -> Iterator[None]:
    """Run an Erlang port mapper of our own.

    RabbitMQ does not start without one, and the one it would start by itself outlives it.
    """
    command = ["epmd", "-port", str(port), "-address", HOST]
    environment = {"PATH": os.environ["PATH"]}
    with running("epmd", command, folder, environment, lambda: listens(port)):
        yield


def _write_rabbitmq_files(folder: Path, stomp: int, web: int, more: str = "") -> None:
    """Write the configuration that `_rabbitmq_environment` points to, with more lines in it."""
    (folder / "conf.d").mkdir(exist_ok=True)
    (folder / "environment.conf").write_text("")
    (folder / "advanced.config").write_text("[].\n")
    (folder / "enabled_plugins").write_text("[rabbitmq_stomp,rabbitmq_web_stomp].\n")
    (folder / "rabbitmq.conf").write_text(
        "listeners.tcp = none\n"
        f"stomp.listeners.tcp.1 = {HOST}:{stomp}\n"
        f"web_stomp.tcp.ip = {HOST}\n"
        f"web_stomp.tcp.port = {web}\n"
        "web_stomp.ws_frame = binary\n"  # in a text message a body could not be any octets
        f"{more}"
    )


def _tls_listener(port: int, files: Files) -> str:
    """The lines for STOMP over TLS that asks for no certificate of the client."""
    return (
        f"stomp.listeners.ssl.1 = {HOST}:{port}\n"
        f"ssl_options.cacertfile = {files.ca}\n"
        f"ssl_options.certfile = {files.cert}\n"
        f"ssl_options.keyfile = {files.key}\n"
        "ssl_options.verify = verify_none\n"
        "ssl_options.fail_if_no_peer_cert = false\n"
    )


def _rabbitmq_environment(folder: Path, node: int, epmd: int) -> dict[str, str]:
    """Return the environment that keeps RabbitMQ to its folder, its ports and 127.0.0.1."""
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(folder),  # the Erlang cookie goes there
        "ERL_EPMD_PORT": str(epmd),
        "ERL_FLAGS": "-start_epmd false",
        # Erlang takes the place of the script, so that who has seen that end has seen the broker's.
        "RUNNING_UNDER_SYSTEMD": "true",
        "RABBITMQ_NODENAME": f"stompy-{node}@localhost",
        "RABBITMQ_DIST_PORT": str(node),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        # Without these three it would also read what it finds in /etc/rabbitmq.
        "RABBITMQ_CONFIG_FILES": str(folder / "conf.d"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "environment.conf"),
    }


def _activemq_command(folder: Path, heap: str) -> list[str]:
    """Return the command that runs ActiveMQ in the foreground, with `folder` as its directory."""
    return [
        "java",
        f"-Xmx{heap}",
        "-XX:TieredStopAtLevel=1",  # starts sooner, and no test runs long enough to miss the rest
        "-XX:-UsePerfData",  # which would be a file outside the folder
        f"-Djava.io.tmpdir={folder}",
        f"-Dactivemq.home={ACTIVEMQ_HOME}",
        f"-Dactivemq.base={folder}",
        f"-Dactivemq.conf={folder / 'conf'}",
        f"-Dactivemq.data={folder / 'data'}",
        "-jar",
        str(ACTIVEMQ_JAR),
        "start",
        "xbean:file:conf/activemq.xml",  # relative: a folder's name need not be a valid URI
    ]


# The schemas are not fetched: the jars bring them.
ACTIVEMQ_XML = """\
<beans xmlns="http://www.springframework.org/schema/beans"
       xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
       xsi:schemaLocation="
         http://www.springframework.org/schema/beans
         http://www.springframework.org/schema/beans/spring-beans.xsd
         http://activemq.apache.org/schema/core
         http://activemq.apache.org/schema/core/activemq-core.xsd">
  <broker xmlns="http://activemq.apache.org/schema/core" brokerName="stompy"
          dataDirectory="data" useJmx="false">
    <transportConnectors>
      <transportConnector name="stomp" uri="stomp://{host}:{port}"/>
    </transportConnectors>
  </broker>
</beans>
"""

LOG4J_PROPERTIES = """\
log4j.rootLogger=INFO, console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d %-5p %c{1}: %m%n
"""


def _write_activemq_files(folder: Path, stomp: int) -> None:
    """Write the configuration that `_activemq_command` points to."""
    (folder / "conf").mkdir(exist_ok=True)
    (folder / "conf" / "activemq.xml").write_text(ACTIVEMQ_XML.format(host=HOST, port=stomp))
    (folder / "conf" / "log4j.properties").write_text(LOG4J_PROPERTIES)


def _made(folder: Path) -> Path:
    """Return the folder as an absolute path, made if it was not there."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def _answers_stomp(port: int, login: str | None, passcode: str | None) -> bool:
    """Say whether a STOMP broker on the port lets us in."""
    headers = ["accept-version:1.2", "host:/"]
    if login is not None:
        headers += [f"login:{login}", f"passcode:{passcode}"]
    frame = "\n".join(["CONNECT", *headers, "", "\0"]).encode()
    try:
        with socket.create_connection((HOST, port), timeout=ATTEMPT_SECONDS) as connection:
            connection.sendall(frame)
            return connection.makefile("rb").readline().strip() == b"CONNECTED"
    except OSError:
        return False
