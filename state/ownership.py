"""Who may write a partition: acquire takes it over, watch notices that it is gone.

The token is random and lives in Redis beside the offset, the cells and the windows. Acquire writes the token and reads
all of the state in ONE step; flush (`flush.py`) refuses any other token, or another starting offset. So a zombie
cannot write, and a Redis that went back in time makes the owner start again from where Redis stands.
"""

from __future__ import annotations

from redis.asyncio import Redis

from state import migrate, scripts
from state.errors import DowngradedError, FencedError, OwnershipLost, RewoundError
from state.keys import META, SCHEMA, Offset, Partition, Token, key
from state.snapshot import Snapshot, parse

ATTEMPTS = 20  # at an upgrade's second step: it is lost only to somebody who acquires within the same millisecond


async def acquire(redis: Redis, partition: Partition, token: Token) -> Snapshot:
    """Make `token` the owner of `partition` and return its whole state, atomically.

    Every earlier owner is fenced from here on. A state of an older version is rewritten in a second step, fenced as a
    flush is; an acquire that ends between the two is simply made again. Errors: SchemaError (a version that is not
    known; nothing is taken over), CorruptStateError, and redis-py's errors where Redis does not answer.
    """
    for _ in range(ATTEMPTS):
        reply = await scripts.run(redis, "acquire", key(partition, META), token, SCHEMA, migrate.oldest())
        snapshot = parse(partition, reply)
        if snapshot.schema == SCHEMA:
            return snapshot
        try:
            await migrate.rewrite(redis, partition, token, snapshot)
        except OwnershipLost:
            continue  # another took it over, or Redis went back, between the two steps: whoever is assigned it goes on
        return snapshot
    raise FencedError(partition, "another owner, again and again, before an older state was rewritten")


async def watch(redis: Redis, partition: Partition, token: Token, offset: Offset) -> None:
    """Check that Redis still names `token` and stands at `offset` (the last one flushed).

    To be called about once a second while nothing is being flushed: else an idle partition would never notice a
    Redis that went back. Errors: FencedError, RewoundError, redis-py's errors.
    """
    stored_token, stored_offset, schema = await redis.hmget(key(partition, META), ["epoch", "offset", "schema"])
    if stored_token != token:
        raise FencedError(partition, str(stored_token or ""))
    if int(stored_offset or 0) != offset:
        raise RewoundError(partition, offset, int(stored_offset or 0))
    if schema != str(SCHEMA):
        raise DowngradedError(partition, offset, str(schema))
