"""Reading many partitions' streams at once, wherever they lie: on one server, or on a Cluster.

A Cluster refuses a command whose keys lie in several slots, even where one node holds them all, and every partition is
a slot of its own. So there each partition has an XREAD of its own under way; one that is not answered yet when others
are is left to wait, and its answer comes with a later read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from redis.asyncio import Redis, RedisCluster

from state.keys import CHANGES, Offset, Partition, key

RawEntry = tuple[str, dict[str, str]]  # id, fields


class Streams(Protocol):
    """What `streams_of` gives."""

    async def read(
        self, after: Mapping[Partition, Offset], count: int, block_ms: int
    ) -> list[tuple[Partition, list[RawEntry]]]:
        """Entries behind `after`, at most `count` a partition, waiting up to `block_ms` for the first.

        An entry that lies at or below `after` may come as well. Errors: redis-py's.
        """

    async def close(self) -> None:
        """Give up what is under way."""


def streams_of(redis: Redis) -> Streams:
    """For the server, or the Cluster, that `redis` is a client of."""
    client: Any = redis  # a Cluster's is of no common type
    return _OfCluster(redis) if isinstance(client, RedisCluster) else _OfServer(redis)


class _OfServer:
    """One XREAD for all."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def read(
        self, after: Mapping[Partition, Offset], count: int, block_ms: int
    ) -> list[tuple[Partition, list[RawEntry]]]:
        return await _xread(self._redis, after, count, block_ms)

    async def close(self) -> None:
        return


class _OfCluster:
    """One XREAD a partition, on a connection of its own, all the time."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._asked: dict[Partition, asyncio.Task[list[tuple[Partition, list[RawEntry]]]]] = {}

    async def read(
        self, after: Mapping[Partition, Offset], count: int, block_ms: int
    ) -> list[tuple[Partition, list[RawEntry]]]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + block_ms / 1000
        while True:
            for partition, offset in after.items():
                if partition not in self._asked:
                    ask = _xread(self._redis, {partition: offset}, count, block_ms)
                    self._asked[partition] = asyncio.create_task(ask)
            left_s = max(0.0, deadline - loop.time())
            await asyncio.wait(self._asked.values(), timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            found, failure = self._answers()
            # A node that is away must not keep back what the others tell; it is asked again, and fails again.
            if found:
                return found
            if failure is not None:
                try:
                    raise failure
                finally:
                    failure = None  # its traceback leads here: together they would stay until cycles are looked for
            if loop.time() >= deadline:
                return []

    def _answers(self) -> tuple[list[tuple[Partition, list[RawEntry]]], BaseException | None]:
        """What has been answered, and one of the failures."""
        found: list[tuple[Partition, list[RawEntry]]] = []
        failure: BaseException | None = None
        for partition in [p for p, task in self._asked.items() if task.done()]:
            task = self._asked.pop(partition)
            if error := task.exception():
                failure = error
            else:
                found += task.result()
        return found, failure

    async def close(self) -> None:
        asked, self._asked = list(self._asked.values()), {}
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def _xread(
    redis: Redis, after: Mapping[Partition, Offset], count: int, block_ms: int
) -> list[tuple[Partition, list[RawEntry]]]:
    streams: Any = {key(p, CHANGES): f"{offset}-0" for p, offset in after.items()}
    reply: Any = await redis.xread(streams, count=count, block=block_ms)
    pairs = reply.items() if isinstance(reply, dict) else reply or ()
    return [(Partition(int(name[4 : name.index("}")])), raw) for name, raw in pairs]
