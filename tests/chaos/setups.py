"""The set-ups of the chaos trial: real brokers and Redises on loopback, each a process, which can be made to fail.

    a: one broker, one Redis
    b: three brokers (every topic three times, two in sync), a Redis primary with two replicas and three Sentinels
    c: three such brokers, a Redis Cluster of three primaries with a replica each

    with make_setup("b", folder, seed_is_elsewhere) as setup:
        workers get setup.kafka and setup.redis; feeds and checks setup.kafka_direct and setup.redis_direct

Everything dies with this process. Nothing here is random: whoever chooses a fault names its target by index.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from tests.chaos.brokers import Brokers
from tests.chaos.proxy import Network, Proxy
from tests.chaos.redis_cluster import RedisCluster
from tests.chaos.redises import OneRedis, Redises
from tests.chaos.sentinels import WatchedRedis
from workers.local.folder import DataFolder
from workers.local.jars import Progress
from workers.local.kafka import KafkaServer
from workers.local.redis import RedisServer

NAMES = ("a", "b", "c")


class Setup:
    """See the head of this file; made by `make_setup`. A context manager: started within it, gone behind it."""

    def __init__(self, name: str, folder: Path, progress: Progress) -> None:
        """Takes the folder; starts nothing yet."""
        self.name = name
        self._folder = DataFolder(folder)
        self._network = Network()
        self._network.__enter__()
        self._brokers = Brokers(self._folder.path, 1 if name == "a" else 3, self._network, progress)
        self._redises = _redises(name, self._folder.path, self._network, progress)

    def __enter__(self) -> Self:
        """Start all. Errors: a LocalError, and then nothing is left running."""
        try:
            self._redises.start()
            self._brokers.start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill all, and remove their data; their logs stay."""
        self._end()

    def _end(self) -> None:
        try:
            self._redises.end()
            self._brokers.end()
        finally:
            self._network.__exit__(None, None, None)
            self._folder.close()

    # --- addresses ----------------------------------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """Where the servers' data and logs are."""
        return self._folder.path

    @property
    def kafka(self) -> str:
        """Bootstrap addresses for workers: through the proxies."""
        return self._brokers.kafka

    @property
    def kafka_direct(self) -> str:
        """Bootstrap addresses for the feed, the watcher and verify."""
        return self._brokers.direct

    @property
    def redis(self) -> str:
        """TIDEWATCH_REDIS for workers; in set-up a through a proxy."""
        return self._redises.url

    @property
    def redis_direct(self) -> str:
        """The same form for verify and for looks, through no proxy."""
        return self._redises.direct

    # --- processes ----------------------------------------------------------------------------------------------------

    @property
    def brokers(self) -> list[KafkaServer]:
        """`kill()`, `stop()`, `start()`, `send(signal)`, `running()`, `pid`."""
        return self._brokers.servers

    @property
    def redises(self) -> list[RedisServer]:
        """The servers that hold data, primaries and replicas alike."""
        return self._redises.servers

    @property
    def sentinels(self) -> list[RedisServer]:
        """Set-up b's Sentinels; otherwise none."""
        return self._redises.others()

    @property
    def kafka_proxies(self) -> list[Proxy]:
        """`kafka_proxies[i]` stands before broker i."""
        return self._brokers.proxies

    @property
    def redis_proxies(self) -> list[Proxy]:
        """Set-up a's; none where clients are told the servers' own addresses."""
        return self._redises.proxies

    # --- who does what ------------------------------------------------------------------------------------------------

    def leader(self, topic: str, partition: int) -> int:
        """Index of the broker that leads a partition now. Waits while none does."""
        return self._brokers.leader(topic, partition)

    def coordinator(self, transactional_id: str) -> int:
        """Index of the broker that coordinates a producer's transactions. Waits while none does."""
        return self._brokers.coordinator(transactional_id)

    def group_coordinator(self, group: str) -> int:
        """Index of the broker that coordinates a consumer group. Waits while none does."""
        return self._brokers.group_coordinator(group)

    def redis_primary(self, partition: int) -> int:
        """Index of the Redis that takes the writes of `{tw:partition}` now. Waits while none does."""
        return self._redises.primary(partition)

    def redis_replicas(self, index: int) -> list[int]:
        """Indices of the running replicas of that primary."""
        return self._redises.replicas(index)

    # --- trouble ------------------------------------------------------------------------------------------------------

    def fail_over(self, index: int, *, kill: bool = False) -> int:
        """A replica takes over from Redis primary `index`: by order, or since that is killed (`kill`; it stays dead).

        Returns the new primary's index, when it takes writes. Errors: LookupError where there is no replica.
        """
        return self._redises.fail_over(index, kill=kill)

    def lag(self, index: int) -> list[int]:
        """The replicas of Redis primary `index` get nothing more of it until `fail_over` or `heal`; returns them.

        With `fail_over(index, kill=True)` some time after it, what was written in between is lost.
        """
        return self._redises.lag(index)

    def set_memory_limit(self, index: int, limit_bytes: int | None) -> None:
        """`maxmemory` of one Redis; None: no limit."""
        self._redises.set_memory_limit(index, limit_bytes)

    def copy_redis(self, index: int) -> Path:
        """A copy of one Redis's data as they are on its disk now."""
        return self._redises.copy(index, self.folder / "copies" / uuid4().hex)

    def restore_redis(self, index: int, copy: Path | None) -> None:
        """That Redis dies, the copy is put back (None: nothing at all), and it starts."""
        self._redises.put_back(index, copy)

    def forget_copy(self, copy: Path) -> None:
        """Remove a copy that is of no more use."""
        shutil.rmtree(copy, ignore_errors=True)

    def fill_disk(self, index: int) -> str:
        """Broker `index` can write nothing more, which ends it; returns the means: `disk` (full) or `limit`."""
        return self._brokers.fill_disk(index)

    def free_disk(self, index: int) -> None:
        """There is room again; `heal` (or its `start`) brings the broker back."""
        self._brokers.free_disk(index)

    def heal(self) -> None:
        """All up, no fault of a proxy, no limit, all replicas in step. May be called at any time.

        Errors: a LocalError (a server does not start), NotInTimeError.
        """
        self._redises.heal()
        self._brokers.heal()


def make_setup(name: str, folder: Path, progress: Progress = lambda line: None) -> Setup:
    """Set-up `name` (a, b or c) in a folder of its own. Errors: ValueError, LocalError."""
    if name not in NAMES:
        raise ValueError(f"there is no set-up {name!r}: one of {', '.join(NAMES)}")
    return Setup(name, folder, progress)


def _redises(name: str, folder: Path, network: Network, progress: Progress) -> Redises:
    if name == "b":
        return WatchedRedis(folder, progress)
    if name == "c":
        return RedisCluster(folder, progress)
    return OneRedis(folder, network, progress)
