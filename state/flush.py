"""The one write: cells, windows, counts, offset and feed entry of a batch, fenced and atomic."""

from __future__ import annotations

from dataclasses import dataclass, replace

from redis.asyncio import Redis

from state import scripts
from state.errors import DowngradedError, FencedError, RewoundError, SchemaError
from state.keys import META, SCHEMA, Offset, Partition, Token, key

# What the feed of a partition may hold: some seconds of full load. A reader that falls behind loads the partition anew.
FEED_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class FlushBatch:
    """What one flush writes, encoded: JSON as docs/formats.md section 3 gives it. `start` < `end` are Kafka offsets."""

    start: Offset
    end: Offset
    watermark_us: int | None
    rows: bytes
    windows: bytes
    counts: bytes
    catalogue_version: int | None = None
    catalogue: bytes | None = None  # only in the flush that brings a new one into force

    def with_catalogue(self, version: int | None, catalogue: bytes) -> FlushBatch:
        """The same batch, and with it `catalogue` comes into force (or is stored for the first time)."""
        return replace(self, catalogue_version=version, catalogue=catalogue)


async def flush(
    redis: Redis, partition: Partition, token: Token, batch: FlushBatch, feed_bytes: int = FEED_BYTES
) -> None:
    """Apply `batch` if `token` still owns the partition and Redis stands at `batch.start`; else write nothing.

    Safe to repeat after a lost reply: if Redis already stands at `batch.end` under our token, it was applied, since
    nobody else has the token. Errors: FencedError, RewoundError, SchemaError; redis-py's errors (nothing written, or
    written and the reply lost: repeat).
    """
    reply = await scripts.run(
        redis,
        "flush",
        key(partition, META),
        token,
        batch.start,
        batch.end,
        "" if batch.watermark_us is None else batch.watermark_us,
        batch.rows,
        batch.windows,
        batch.counts,
        feed_bytes,
        SCHEMA,
        "" if batch.catalogue_version is None else batch.catalogue_version,
        batch.catalogue or b"",
    )
    outcome, stored = reply
    if outcome == "ok":
        return
    if outcome == "fenced":
        raise FencedError(partition, stored)
    if outcome == "schema":
        raise SchemaError(partition, stored, SCHEMA)
    if outcome == "older":
        raise DowngradedError(partition, batch.start, stored)
    if int(stored) == batch.end:
        return
    raise RewoundError(partition, batch.start, int(stored))
