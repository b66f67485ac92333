"""Set-up b's Redis: a primary, two replicas and three Sentinels, which decide by two who is the primary.

Servers keep their configuration over a restart, since Redis and the Sentinels write into it who follows whom. An old
primary comes back as what it was, and the Sentinels demote it some ten seconds later: that is how it is in the field.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import redis

from tests.chaos.brokers import start_all
from tests.chaos.redises import HEAL_S, Redises, ask, holds
from tests.waiting import eventually
from workers.local.jars import Progress
from workers.local.ports import HOST
from workers.local.process import ChildProcess
from workers.local.redis import RedisServer, find_redis

MASTER = "tidewatch"
REPLICAS, SENTINELS, QUORUM = 2, 3, 2
DOWN_MS = 3_000  # of silence; above the pauses of a loaded 2-core machine (1 s)
# A fail-over that got stuck is tried again after twice this.
FAILOVER_MS = 6_000
# Nothing waits for a second replica, and links that broke are noticed soon.
REPLICATION: dict[str, object] = {
    "repl-diskless-sync": "yes",
    "repl-diskless-sync-delay": 0,
    "repl-ping-replica-period": 1,
}


class LastingRedis(RedisServer):
    """Its configuration is made once, and from then on is the server's own."""

    def _prepare(self) -> Sequence[str | Path]:
        config = self.folder / "redis.conf"
        kept = config.read_text() if config.exists() else None
        command = super()._prepare()
        if kept is not None:
            config.write_text(kept)
        return command


class Sentinel(RedisServer):
    """One Sentinel; `watched` is the port of the first primary."""

    name = "Sentinel"
    watched = 0

    def _prepare(self) -> Sequence[str | Path]:
        config = self.folder / "sentinel.conf"
        if not config.exists():
            config.write_text(
                f'bind {HOST}\nport {self.port}\ndir "{self.folder}"\ndaemonize no\n'
                f"sentinel monitor {MASTER} {HOST} {self.watched} {QUORUM}\n"
                f"sentinel down-after-milliseconds {MASTER} {DOWN_MS}\n"
                f"sentinel failover-timeout {MASTER} {FAILOVER_MS}\n"
                f"sentinel parallel-syncs {MASTER} {REPLICAS}\n"
            )
        return [find_redis(), config, "--sentinel"]

    def _wait_until_serving(self, child: ChildProcess) -> None:
        child.wait_until(lambda: holds(lambda: f"process_id:{child.pid}" in ask(self.port, "INFO", "server")), HEAL_S)


class WatchedRedis(Redises):
    """See the head of this file. Clients ask the Sentinels, so no proxy stands in between."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        """Starts nothing yet."""
        first = LastingRedis(folder / "redis-0", settings=REPLICATION, progress=progress)
        following = REPLICATION | {"replicaof": f"{HOST} {first.port}"}
        self.servers = [first] + [
            LastingRedis(folder / f"redis-{i}", settings=following, progress=progress) for i in range(1, 1 + REPLICAS)
        ]
        self.sentinels = [Sentinel(folder / f"sentinel-{i}", progress=progress) for i in range(SENTINELS)]
        for sentinel in self.sentinels:
            sentinel.watched = first.port
        self.proxies = []
        places = ",".join(f"{HOST}:{sentinel.port}" for sentinel in self.sentinels)
        self.url = self.direct = f"redis+sentinel://{places}/0?master={MASTER}"

    def start(self) -> None:
        """Start all together. Errors: a LocalError, NotInTimeError."""
        start_all([*self.servers, *self.sentinels])
        eventually(lambda: holds(self.whole), HEAL_S, self.standing)

    def others(self) -> list[RedisServer]:
        """The Sentinels."""
        return list(self.sentinels)

    def primary(self, partition: int = 0) -> int:
        """The one that most Sentinels name, once it says so itself; the same for every partition."""
        return eventually(lambda: self._primary() + 1, HEAL_S, self.standing) - 1

    def replicas(self, index: int) -> list[int]:
        """Those that run and follow it."""
        port = str(self.servers[index].port)
        return [i for i in range(len(self.servers)) if holds(lambda i=i: self.info(i).get("master_port") == port)]

    def _fail_over(self, index: int, *, kill: bool) -> int:
        """A replica takes over from the primary; see Redises."""
        if kill:
            self.servers[index].kill()
        else:
            eventually(lambda: holds(self._order), HEAL_S)
        return eventually(lambda: self._other_than(index) + 1, HEAL_S, self.standing) - 1

    def _order(self) -> bool:
        """Refused while an earlier fail-over is under way, or while a Sentinel has not looked at the replicas yet."""
        sentinel = next(sentinel for sentinel in self.sentinels if sentinel.running())
        return bool(ask(sentinel.port, "SENTINEL", "FAILOVER", MASTER))

    def _other_than(self, index: int) -> int:
        found = self._primary()
        return found if found != index else -1

    def _primary(self) -> int:
        """-1 where there is none now."""
        named: Counter[int] = Counter()
        for sentinel in self.sentinels:
            try:
                named[int(ask(sentinel.port, "SENTINEL", "get-master-addr-by-name", MASTER)[1])] += 1
            except (OSError, redis.ResponseError):
                continue
        port, votes = named.most_common(1)[0] if named else (0, 0)
        index = next((i for i, server in enumerate(self.servers) if server.port == port), -1)
        said = index >= 0 and votes >= QUORUM and holds(lambda: self.info(index)["role"] == "master")
        return index if said else -1

    def whole(self) -> bool:
        """Whether all Sentinels name the same primary and know each other, and both replicas are in step with it."""
        index = self._primary()
        if index < 0:
            return False
        port = self.servers[index].port
        for sentinel in self.sentinels:
            fields = ask(sentinel.port, "SENTINEL", "master", MASTER)
            seen = dict(zip(fields[::2], fields[1::2], strict=True))
            if (
                int(seen["port"]) != port
                or seen["flags"] != "master"
                or int(seen["num-other-sentinels"]) < SENTINELS - 1
                or int(seen["num-slaves"]) < REPLICAS
            ):
                return False
        return len(self.in_step(index)) == REPLICAS

    def in_step(self, index: int) -> list[int]:
        """Replicas of `index` whose link is up and that have what it has."""
        port = str(self.servers[index].port)
        return [
            i
            for i in range(len(self.servers))
            if (told := self.info(i)).get("master_port") == port and told["master_link_status"] == "up"
        ]
