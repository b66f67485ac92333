"""Following what changes: one reader, all partitions, absolute values, and the position per partition.

Rules (docs/protocol.md has the trace of each): an entry that ends at or below the applied offset is skipped (Redis
went back and catches up); one that starts above it is a gap: load again; a load below the applied offset is never
adopted: it waits; in silence the stored offset is compared, since a trimmed or rewound feed says nothing.
A state that a rebuild or a restore replaced has another lineage: what was applied before no longer goes with it, so the
partition is loaded again, as after a gap.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from redis.asyncio import Redis

from state import migrate
from state.errors import FeedGapError
from state.keys import META, Offset, Partition, key
from state.load import load
from state.snapshot import Snapshot
from state.streams import streams_of

# Entries asked for per partition and read; a bound on the memory of one read, not on progress.
ENTRIES = 16
# Finite, and below redis-py's socket timeout: a BLOCK that outlives the connection would hang.
BLOCK_MS = 250


@dataclass(frozen=True, slots=True)
class Entry:
    """One flush as the feed tells it: cells after it, absolute, and the position that they reach."""

    partition: Partition
    start: Offset
    end: Offset
    watermark_us: int | None
    catalogue_version: int | None
    counts: dict[str, int]
    rows: list[list[Any]]  # [row, field, value, field, value, ...]
    lineage: str | None = None


_rows = msgspec.json.Decoder(list[list[int | str]])
_counts = msgspec.json.Decoder(dict[str, int])


def _entry(partition: Partition, entry_id: str, fields: dict[str, str]) -> Entry:
    version = migrate.version_of(partition, fields.get("schema"))
    return Entry(
        partition=partition,
        start=Offset(int(fields["from"])),
        end=Offset(int(entry_id.partition("-")[0])),
        watermark_us=int(fields["watermark"]) if fields["watermark"] else None,
        catalogue_version=int(fields["catalogue"]) if fields["catalogue"] else None,
        counts=_counts.decode(fields["counts"]),
        rows=migrate.upgraded_rows(version, _rows.decode(fields["rows"])),
        lineage=fields.get("lineage"),
    )


class FeedReader:
    """Reads the feeds of `partitions` from the offsets applied; the caller applies what it returns, in order."""

    def __init__(self, redis: Redis, partitions: Iterable[Partition]) -> None:
        self._redis = redis
        self._streams = streams_of(redis)
        self.applied: dict[Partition, Offset] = dict.fromkeys(partitions, Offset(0))
        self._lineage: dict[Partition, str | None] = dict.fromkeys(self.applied)  # of what was loaded

    def adopt(self, snapshot: Snapshot) -> bool:
        """Take a loaded partition's offset as applied; False, and nothing changes, where it lies below (wait)."""
        if snapshot.offset < self.applied[snapshot.partition]:
            return False
        self.applied[snapshot.partition] = snapshot.offset
        self._lineage[snapshot.partition] = snapshot.lineage
        return True

    def follows_another(self, snapshot: Snapshot) -> bool:
        """Whether a loaded partition is of another lineage than the one applied: it was rebuilt or restored."""
        return snapshot.lineage != self._lineage[snapshot.partition]

    async def read(self, block_ms: int = BLOCK_MS) -> list[Entry]:
        """Entries behind the applied offsets, at most `ENTRIES` a partition, waiting up to `block_ms` for the first.

        Whoever applies an entry moves `applied` to its end. Errors: FeedGapError (that partition must be loaded;
        entries of others come again with the next read), SchemaError, redis-py's errors.
        """
        entries: list[Entry] = []
        for partition, raw in await self._streams.read(self.applied, ENTRIES, block_ms):
            position = self.applied[partition]
            for entry_id, fields in raw:
                entry = _entry(partition, entry_id, fields)
                if entry.end <= position:
                    continue
                if entry.start > position or entry.lineage != self._lineage[partition]:
                    raise FeedGapError(partition, position, entry.start)
                entries.append(entry)
                position = entry.end
        return entries

    async def silent_gaps(self) -> list[Partition]:
        """Partitions whose stored offset lies above the applied one although the feed says nothing, and those that were
        replaced (`replaced`): load them.

        One round trip for all; to be asked when a read came back empty. Errors: redis-py's.
        """
        stored = await self._stored()
        return [p for p, (offset, _) in stored.items() if offset > self.applied[p] or self._is_replaced(p, *stored[p])]

    async def replaced(self) -> list[Partition]:
        """Partitions whose state a rebuild or a restore has replaced, and that stand where we can adopt it: load them.

        To be asked about once a second: others may flow, so that a read never comes back empty. Errors: redis-py's.
        """
        return [p for p, found in (await self._stored()).items() if self._is_replaced(p, *found)]

    def _is_replaced(self, partition: Partition, offset: int, lineage: str | None) -> bool:
        # Below the applied offset (a restore, or a Redis that went back) it catches up first.
        return offset >= self.applied[partition] and lineage != self._lineage[partition]

    async def _stored(self) -> dict[Partition, tuple[int, str | None]]:
        """Offset and lineage of each partition, as Redis has them."""
        pipe = self._redis.pipeline(transaction=False)
        for partition in self.applied:
            pipe.hmget(key(partition, META), ["offset", "lineage"])
        replies = await pipe.execute()
        return {p: (int(offset or 0), lineage) for p, (offset, lineage) in zip(self.applied, replies, strict=True)}

    async def load(self, partition: Partition) -> Snapshot | None:
        """Load `partition`; None where Redis stands below the applied offset (it went back: ask again later)."""
        snapshot = await load(self._redis, partition)
        return snapshot if self.adopt(snapshot) else None

    async def close(self) -> None:
        """End what `read` left under way."""
        await self._streams.close()
