"""Set-up c's Redis: a Cluster of three primaries that share the slots, with a replica each.

Servers i and i + 3 begin as primary and replica of one third of the slots. Who is who later, the nodes keep in
`nodes.conf`; an old primary that comes back is told by the others that it has a successor, and follows it.
"""

from __future__ import annotations

from pathlib import Path

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from tests.chaos.brokers import start_all
from tests.chaos.redises import HEAL_S, Redises, holds
from tests.chaos.sentinels import REPLICATION
from tests.waiting import NotInTimeError, eventually
from workers.local.errors import ChooseAnotherError
from workers.local.jars import Progress
from workers.local.ports import HOST, free_port, is_free, reserve
from workers.local.redis import RedisServer

PRIMARIES = 3
NODE_TIMEOUT_MS = 3_000  # of silence until others call a node failed; above the pauses of a loaded machine (1 s)
ORDERS, ORDER_S = 8, 6.0  # Redis itself gives an order up after 5 s
# The Cluster's own traffic has the port 10,000 above the clients': both below the ports of outgoing connections.
PORTS, BUS = range(20_000, 22_700), 10_000


class RedisCluster(Redises):
    """See the head of this file. Clients are told the servers' own addresses, so no proxy stands in between."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        """Starts nothing yet."""
        settings = REPLICATION | {
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            "cluster-node-timeout": NODE_TIMEOUT_MS,
            # However old what a replica has: it takes over, and what is lost is read again.
            "cluster-replica-validity-factor": 0,
        }
        self.servers = []
        for i in range(2 * PRIMARIES):
            port = _free_pair()
            server = RedisServer(folder / f"redis-{i}", port=port, settings=settings, progress=progress)
            self.servers.append(server)
        self.proxies = []
        places = ",".join(f"{HOST}:{server.port}" for server in self.servers)
        self.url = self.direct = f"redis+cluster://{places}"

    def start(self) -> None:
        """Start all together, make them a Cluster, and return when it serves. Errors: a LocalError, NotInTimeError."""
        start_all(self.servers)
        for i in range(len(self.servers)):
            self.ask(i, "CLUSTER", "SET-CONFIG-EPOCH", i + 1)
            self.ask(i, "CLUSTER", "MEET", HOST, self.servers[0].port)
        share = -(-REDIS_CLUSTER_HASH_SLOTS // PRIMARIES)
        for i in range(PRIMARIES):
            mine = range(i * share, min((i + 1) * share, REDIS_CLUSTER_HASH_SLOTS))
            self.ask(i, "CLUSTER", "ADDSLOTS", *mine)
        for i in range(PRIMARIES):
            name = self.ask(i, "CLUSTER", "MYID")
            eventually(
                lambda i=i, name=name: holds(lambda: self.ask(PRIMARIES + i, "CLUSTER", "REPLICATE", name)), HEAL_S
            )
        eventually(lambda: holds(self.whole), HEAL_S, self.standing)

    def primary(self, partition: int) -> int:
        """The one that says that the slot is its own, of the newest configuration. Waits while there is none."""
        slot = key_slot(f"tw:{partition}".encode())
        return eventually(lambda: self._serves(slot) + 1, HEAL_S, self.standing) - 1

    def _serves(self, slot: int) -> int:
        """-1 where nobody does now. An old primary that has not heard of its successor yet has the older epoch."""
        found: list[tuple[int, int]] = []
        for i, server in enumerate(self.servers):
            if not server.running():
                continue
            try:
                me = self._myself(i)
            except (OSError, redis.ResponseError):
                continue
            if "master" in me[2].split(",") and any(_within(slot, text) for text in me[8:]):
                found.append((int(me[6]), i))
        return max(found)[1] if found else -1

    def _myself(self, index: int) -> list[str]:
        """The fields of its own line in CLUSTER NODES: id, address, flags, primary, ..., config epoch, link, slots."""
        lines = [line.split() for line in self.ask(index, "CLUSTER", "NODES").splitlines()]
        return next(line for line in lines if "myself" in line[2].split(","))

    def replicas(self, index: int) -> list[int]:
        """Those that run and follow it."""
        port = str(self.servers[index].port)
        return [i for i in range(len(self.servers)) if holds(lambda i=i: self.info(i).get("master_port") == port)]

    def _fail_over(self, index: int, *, kill: bool) -> int:
        """A replica takes over from a primary; see Redises."""
        following = self.replicas(index)
        slot = self._slot_of(index)

        def taken() -> int:
            found = self._serves(slot)
            return found + 1 if found not in (-1, index) else 0

        if kill:
            self.servers[index].kill()
            return eventually(taken, HEAL_S, self.standing) - 1
        # An order lapses where the others do not vote in time: right after another fail-over, say. Then it is repeated.
        for _ in range(ORDERS):
            # Another fault may have brought it about meanwhile: a primary refuses the order.
            eventually(
                lambda: taken() or holds(lambda: self.ask(following[0], "CLUSTER", "FAILOVER")), HEAL_S, self.standing
            )
            try:
                return eventually(taken, ORDER_S) - 1
            except NotInTimeError:
                continue
        return eventually(taken, ORDER_S, self.standing) - 1

    def _slot_of(self, index: int) -> int:
        return int(self._myself(index)[8].partition("-")[0])

    def whole(self) -> bool:
        """Whether every node says that the Cluster is well, and each primary has a replica in step."""
        primaries = following = 0
        for i in range(len(self.servers)):
            state = dict(line.split(":", 1) for line in self.ask(i, "CLUSTER", "INFO").splitlines() if ":" in line)
            if state["cluster_state"] != "ok" or int(state["cluster_known_nodes"]) != len(self.servers):
                return False
            if "fail" in self.ask(i, "CLUSTER", "NODES"):
                return False
            told = self.info(i)
            if told["role"] == "master":
                primaries += int(told["connected_slaves"]) > 0
            else:
                following += told["master_link_status"] == "up"
        return primaries == following == PRIMARIES


def _within(slot: int, text: str) -> bool:
    """Whether `text` (`100-200`, `100`) holds the slot; slots that move stand in brackets, and none does here."""
    first, _, last = text.partition("-")
    return int(first) <= slot <= int(last or first)


def _free_pair() -> int:
    for _ in range(100):
        port = free_port(PORTS)
        if is_free(port + BUS) and reserve(port + BUS):
            return port
    raise ChooseAnotherError(f"no free pair of ports on {HOST}, {BUS} apart")
