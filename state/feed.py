"""Following what changes: one reader, all partitions, absolute values, and the position per partition.

Rules (DESIGN section 3, each with its trace in PROTOCOL.md): an entry that ends at or below the applied offset is
skipped
(Redis went back and catches up); one that starts above it is a gap: load again; a load below the applied offset is
never adopted: it waits; in silence the stored offset is compared, since a trimmed or rewound feed says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from redis.asyncio import Redis

from state.errors import FeedGapError
from state.keys import CHANGES, META, Offset, Partition, key
from state.load import load
from state.snapshot import Snapshot

# Entries asked for per partition and read; a bound on the memory of one read, not on progress.
ENTRIES = 64
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


_rows = msgspec.json.Decoder(list[list[int | str]])
_counts = msgspec.json.Decoder(dict[str, int])


def _entry(partition: Partition, entry_id: str, fields: dict[str, str]) -> Entry:
    return Entry(
        partition=partition,
        start=Offset(int(fields["from"])),
        end=Offset(int(entry_id.partition("-")[0])),
        watermark_us=int(fields["watermark"]) if fields["watermark"] else None,
        catalogue_version=int(fields["catalogue"]) if fields["catalogue"] else None,
        counts=_counts.decode(fields["counts"]),
        rows=_rows.decode(fields["rows"]),
    )


class FeedReader:
    """Reads the feeds of `partitions` from the offsets applied; the caller applies what it returns, in order."""

    def __init__(self, redis: Redis, partitions: Iterable[Partition]) -> None:
        self._redis = redis
        self.applied: dict[Partition, Offset] = dict.fromkeys(partitions, Offset(0))

    def adopt(self, snapshot: Snapshot) -> bool:
        """Take a loaded partition's offset as applied; False, and nothing changes, where it lies below (wait)."""
        if snapshot.offset < self.applied[snapshot.partition]:
            return False
        self.applied[snapshot.partition] = snapshot.offset
        return True

    async def read(self, block_ms: int = BLOCK_MS) -> list[Entry]:
        """Entries behind the applied offsets, at most `ENTRIES` a partition, waiting up to `block_ms` for the first.

        Whoever applies an entry moves `applied` to its end. Errors: FeedGapError (that partition must be loaded;
        entries of others come again with the next read), redis-py's errors.
        """
        streams = {key(p, CHANGES): f"{offset}-0" for p, offset in self.applied.items()}
        reply: Any = await self._redis.xread(streams, count=ENTRIES, block=block_ms)  # type: ignore[arg-type]
        entries: list[Entry] = []
        for name, raw in reply.items() if isinstance(reply, dict) else reply or ():
            partition = Partition(int(name[4 : name.index("}")]))
            position = self.applied[partition]
            for entry_id, fields in raw:
                entry = _entry(partition, entry_id, fields)
                if entry.end <= position:
                    continue
                if entry.start > position:
                    raise FeedGapError(partition, position, entry.start)
                entries.append(entry)
                position = entry.end
        return entries

    async def silent_gaps(self) -> list[Partition]:
        """Partitions whose stored offset lies above the applied one although the feed says nothing: load them.

        One round trip for all; to be asked when a read came back empty. Errors: redis-py's.
        """
        pipe = self._redis.pipeline(transaction=False)
        for partition in self.applied:
            pipe.hget(key(partition, META), "offset")
        stored = await pipe.execute()
        return [p for p, offset in zip(self.applied, stored, strict=True) if int(offset or 0) > self.applied[p]]

    async def load(self, partition: Partition) -> Snapshot | None:
        """Load `partition`; None where Redis stands below the applied offset (it went back: ask again later)."""
        snapshot = await load(self._redis, partition)
        return snapshot if self.adopt(snapshot) else None
