"""One broker, or three as a cluster, each behind a proxy: start, look up, kill, fill the disk, heal.

Clients of `kafka` reach every broker through its proxy only (a listener of its own advertises the proxy's address);
brokers among themselves, and clients of `direct`, do not.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.chaos.disk import LimitedDisk
from tests.chaos.proxy import Network, Proxy
from tests.waiting import eventually
from workers.local.jars import Progress
from workers.local.kafka import KafkaServer, Node, new_cluster_id
from workers.local.ports import free_port
from workers.local.server import LocalServer

HEAP_MB = 256
HEAL_S = 90.0  # three brokers that were killed at once, on a machine that is out of breath; some 6 s usual
ASK_S = 5.0

REPLICATED: dict[str, object] = {
    "default.replication.factor": 3,
    "min.insync.replicas": 2,
    "offsets.topic.replication.factor": 3,
    "transaction.state.log.replication.factor": 3,
    "transaction.state.log.min.isr": 2,
    "share.coordinator.state.topic.replication.factor": 3,
    "share.coordinator.state.topic.min.isr": 2,
}


class Brokers:
    """`servers[i]` is broker i (node id i + 1), `proxies[i]` stands before it, `disks[i]` is what its log lies on."""

    def __init__(self, folder: Path, n: int, network: Network, progress: Progress) -> None:
        """Starts nothing yet."""
        self._admin: AdminClient | None = None
        self.servers: list[KafkaServer] = []
        self.proxies: list[Proxy] = []
        self.disks: list[LimitedDisk] = []
        ports = [free_port() for _ in range(n)]
        voters = {i + 1: port for i, port in enumerate(ports)} if n > 1 else {}
        cluster = new_cluster_id()
        for i in range(n):
            outside = free_port()
            proxy = network.proxy(outside)
            home = folder / f"broker-{i}"
            self.proxies.append(proxy)
            self.disks.append(LimitedDisk(home / "data"))
            self.servers.append(
                KafkaServer(
                    home,
                    node=Node(i + 1, voters, cluster, (outside, proxy.port)),
                    heap_mb=HEAP_MB,
                    settings=REPLICATED if n > 1 else None,
                    progress=progress,
                )
            )
        self.kafka = ",".join(proxy.address for proxy in self.proxies)
        self.direct = ",".join(server.address for server in self.servers)

    def start(self) -> None:
        """Start all at the same time. Errors: a LocalError."""
        for disk in self.disks:
            disk.mount()
        start_all(self.servers)

    def end(self) -> None:
        """Kill all (a cluster does not end well: the last ones wait for the others), and give the disks back."""
        for server in self.servers:
            if server.running():
                server.kill()
        for disk in self.disks:
            disk.unmount()

    # --- who does what ------------------------------------------------------------------------------------------------

    def leader(self, topic: str, partition: int) -> int:
        """Index of the broker that leads it now. Waits while there is none."""

        def look() -> int | None:
            found = self._topics(topic)[topic].partitions[partition].leader - 1
            return found + 1 if found >= 0 and self.servers[found].running() else None

        return eventually(look, HEAL_S) - 1

    def coordinator(self, transactional_id: str) -> int:
        """Index of the broker that coordinates its transactions. Waits until there are any, and while there is none."""
        return self._leads("__transaction_state", transactional_id)

    def group_coordinator(self, group: str) -> int:
        """Index of the broker that coordinates a consumer group; as `coordinator`."""
        return self._leads("__consumer_offsets", group)

    def _leads(self, topic: str, name: str) -> int:
        n = eventually(lambda: len(self._topics()[topic].partitions) if topic in self._topics() else 0, HEAL_S)
        return self.leader(topic, abs(java_hash(name)) % n)

    def _topics(self, topic: str | None = None):  # type: ignore[no-untyped-def]  # confluent's own class is not exported
        if self._admin is None:
            self._admin = AdminClient({"bootstrap.servers": self.direct, "log_level": 0})
        try:
            return (
                self._admin.list_topics(topic, timeout=ASK_S) if topic else self._admin.list_topics(timeout=ASK_S)
            ).topics
        except KafkaException as error:
            raise OSError(f"no broker answers: {error}") from None

    # --- trouble ------------------------------------------------------------------------------------------------------

    def fill_disk(self, index: int) -> str:
        """Nothing can be written to the broker's log any more, which ends it; returns by which means."""
        return self.disks[index].fill(self.servers[index].pid)

    def free_disk(self, index: int) -> None:
        """There is room again. A broker that ended over it is started by `heal`."""
        self.disks[index].free()

    def heal(self) -> None:
        """No fault, all at work, and every replica of every partition in sync. Errors: a LocalError, NotInTimeError."""
        for proxy in self.proxies:
            proxy.heal()
        for disk in self.disks:
            disk.free()
        wake_all(self.servers)
        start_all(self.servers)
        eventually(self._in_sync, HEAL_S)

    def _in_sync(self) -> bool:
        return all(
            partition.leader > 0 and sorted(partition.isrs) == sorted(partition.replicas)
            for topic in self._topics().values()
            for partition in topic.partitions.values()
        )


def java_hash(text: str) -> int:
    """Java's String.hashCode, by which Kafka chooses the coordinator's partition."""
    value = 0
    units = text.encode("utf-16-be")
    for high, low in zip(units[::2], units[1::2], strict=True):
        value = (31 * value + (high << 8 | low)) & 0xFFFFFFFF
    return value - (1 << 32) if value >= 1 << 31 else value


def wake_all(servers: Sequence[LocalServer]) -> None:
    """SIGCONT to those that run: one that was stopped goes on."""
    for server in servers:
        if server.running():
            server.send(signal.SIGCONT)


def start_all(servers: Sequence[LocalServer]) -> None:
    """Start those that do not run, at the same time. Errors: the first one's LocalError."""
    ended = [server for server in servers if not server.running()]
    if not ended:
        return
    with ThreadPoolExecutor(len(ended)) as pool:
        for done in [pool.submit(server.start) for server in ended]:
            done.result()
