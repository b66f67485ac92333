"""The read-only copy of a partition's state, for readers that own nothing."""

from __future__ import annotations

from redis.asyncio import Redis

from state import scripts
from state.keys import META, Partition, key
from state.snapshot import Snapshot, parse


async def load(redis: Redis, partition: Partition) -> Snapshot:
    """Whole state of `partition` in one atomic step: never torn, whatever Redis does in between.

    Holds Redis for as long as the copy takes (about 1 us a cell): choose the number of partitions with that in mind.
    Errors: SchemaError, CorruptStateError, redis-py's errors.
    """
    return parse(partition, await scripts.run(redis, "load", key(partition, META)))
