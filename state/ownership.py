"""Who may write a partition: acquire takes it over, watch notices that it is gone.

The token is random and lives in Redis beside the offset, the cells and the windows. Acquire writes the token and reads
all of the state in ONE step; flush (`flush.py`) refuses any other token, or another starting offset. So a zombie
cannot write, and a Redis that went back in time makes the owner start again from where Redis stands.
"""

from __future__ import annotations

from redis.asyncio import Redis

from state import scripts
from state.errors import FencedError, RewoundError
from state.keys import META, SCHEMA, Offset, Partition, Token, key
from state.snapshot import Snapshot, parse


async def acquire(redis: Redis, partition: Partition, token: Token) -> Snapshot:
    """Make `token` the owner of `partition` and return its whole state, atomically.

    Every earlier owner is fenced from here on. Errors: SchemaError (state of a newer version; nothing is taken over),
    CorruptStateError, and redis-py's errors where Redis does not answer.
    """
    return parse(partition, await scripts.run(redis, "acquire", key(partition, META), token, SCHEMA))


async def watch(redis: Redis, partition: Partition, token: Token, offset: Offset) -> None:
    """Check that Redis still names `token` and stands at `offset` (the last one flushed).

    To be called about once a second while nothing is being flushed: else an idle partition would never notice a
    Redis that went back. Errors: FencedError, RewoundError, redis-py's errors.
    """
    stored_token, stored_offset = await redis.hmget(key(partition, META), ["epoch", "offset"])
    if stored_token != token:
        raise FencedError(partition, str(stored_token or ""))
    if int(stored_offset or 0) != offset:
        raise RewoundError(partition, offset, int(stored_offset or 0))
