"""Looks at Redis from time to time for /metrics: what the feeds hold, memory, and whether writes reach the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import structlog
from redis.asyncio import Redis, RedisCluster

from state.keys import META, Partition, key
from workers.retry import PASSING

log = structlog.get_logger(__name__)

EVERY_S = 5.0


@dataclass(slots=True)
class RedisLook:
    """`await run()` beside the work; read the attributes at any time. `info`: node (host:port) -> fields of INFO."""

    redis: Redis
    partitions: list[Partition]
    every_s: float = EVERY_S
    feed_bytes: dict[Partition, int] = field(default_factory=dict)
    info: dict[str, dict[str, Any]] = field(default_factory=dict)
    _refused: str = ""

    async def run(self) -> None:
        """Look until cancelled. A Redis that is away is others' to tell: what was seen is forgotten."""
        while True:
            try:
                await self._look()
            except PASSING as error:
                self.feed_bytes, self.info = {}, {}
                if type(error).__name__ != self._refused:
                    self._refused = type(error).__name__
                    log.debug("no look at Redis", server="Redis", reason=str(error))
            await asyncio.sleep(self.every_s)

    async def _look(self) -> None:
        pipe = self.redis.pipeline(transaction=False)
        for partition in self.partitions:
            pipe.hget(key(partition, META), "feed_bytes")
        held = await pipe.execute()
        self.feed_bytes = {p: int(n or 0) for p, n in zip(self.partitions, held, strict=True)}
        self.info = {}  # may be refused to this user, and then is not known
        self.info = await info_of(self.redis)

    def persistence_ok(self) -> Iterable[tuple[str, bool]]:
        """(node, whether what was to be written to its disk last was written)."""
        wanted = ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")
        return [(node, all(info.get(name, "ok") == "ok" for name in wanted)) for node, info in self.info.items()]


async def info_of(redis: Redis) -> dict[str, dict[str, Any]]:
    """INFO of every server by `host:port` (`redis` where the client does not say). Errors: redis-py's."""
    client: Any = redis  # a cluster's is of no common type
    if isinstance(client, RedisCluster):
        await client.initialize()
        return {node.name: await client.info(target_nodes=node) for node in client.get_nodes()}
    where = redis.connection_pool.connection_kwargs
    node = f"{where['host']}:{where['port']}" if "host" in where and "port" in where else "redis"
    return {node: await redis.info()}
