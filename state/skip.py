"""Going on behind offsets that the log no longer holds: only because a person said so, and written down for ever.

One atomic step, as a flush is: the offset moves, the feed tells of it (an entry without rows), and the list
`{tw:p}:skipped` names what was never read. The sums of such a partition are no function of the log any more, and
`verify` says so.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import msgspec
from redis.asyncio import Redis

from state import migrate, scripts
from state.errors import RewoundError, SchemaError
from state.keys import META, SCHEMA, SKIPPED, Offset, Partition, Token, key


@dataclass(frozen=True, slots=True)
class Skip:
    """Offsets `start` up to (not including) `end` were given up; `at` is RFC 3339, `author` and `reason` are free."""

    start: int
    end: int
    at: str
    author: str
    reason: str

    @property
    def said(self) -> str:
        """For people."""
        return f"offsets {self.start} to {self.end - 1} skipped by {self.author or '?'} at {self.at} ({self.reason})"


_decode = msgspec.json.Decoder(Skip).decode


async def skip(redis: Redis, partition: Partition, token: Token, gone: Skip) -> None:
    """Move `partition` from `gone.start`, where it must stand, to `gone.end`; every owner is fenced by `token`.

    Errors: RewoundError (it stands elsewhere; nothing written), SchemaError, redis-py's errors (written or not: look).
    """
    outcome, stored = await scripts.run(
        redis, "skip", key(partition, META), token, gone.start, gone.end, SCHEMA, msgspec.json.encode(asdict(gone))
    )
    if outcome == "schema":
        raise SchemaError(partition, stored, SCHEMA, migrate.oldest())
    if outcome == "moved":
        raise RewoundError(partition, gone.start, int(stored))


async def skipped(redis: Redis, partition: Partition) -> list[Skip]:
    """What was ever given up, oldest first. Errors: redis-py's."""
    found = await redis.lrange(key(partition, SKIPPED), 0, -1)
    return [_decode(each) for each in found]


async def stored_offset(redis: Redis, partition: Partition) -> Offset:
    """Where the partition stands. Errors: redis-py's."""
    return Offset(int(await redis.hget(key(partition, META), "offset") or 0))
