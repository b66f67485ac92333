"""`tidewatch rebuild`: the state of a partition recomputed from the log beside the live one, and swapped in if it
differs.

The live ingest goes on. A look at Redis is one atomic step at an offset N; the log is replayed to exactly N, and
compared. Where they differ, the same again with a token of our own (the owner is refused and has to acquire, so Redis
stands still for a moment), and one script writes what differs, if Redis still stands at N. See docs/protocol.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis

from state.content import Difference, differences
from state.inspect import Look, inspect, rows_there
from state.keys import Offset, Partition, Token
from state.replace import swap
from stream.catalogue_log import first_catalogue
from stream.errors import RetentionError
from stream.partition_log import PartitionLog
from stream.topics import EVENTS, partitions_of_topic
from workers.repair_error import RepairError
from workers.replayed import Replayed
from workers.settings import Settings

SHOWN = 100  # differences that a report names one by one
ATTEMPTS = 50  # of a swap: each that fails means that an owner flushed in between, and acquired at once


@dataclass(slots=True)
class Verdict:
    """What became of one partition. `offset`: where it was compared; `kinds`: differences by kind."""

    partition: int
    offset: int
    events: int = 0
    swapped: bool = False
    kinds: Counter[str] = field(default_factory=Counter)
    shown: list[Difference] = field(default_factory=list)

    @property
    def right(self) -> bool:
        """Whether nothing differed."""
        return not self.kinds

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "partition": self.partition,
            "offset": self.offset,
            "events": self.events,
            "right": self.right,
            "swapped": self.swapped,
            "differences": sum(self.kinds.values()),
            "kinds": dict(sorted(self.kinds.items())),
            "shown": [each._asdict() for each in self.shown],
        }


def partitions_of(settings: Settings) -> list[int]:
    """The partitions of `indicator-events`. Errors: UnreachableError; RepairError where there is no such topic."""
    found = partitions_of_topic(settings.kafka, EVENTS, settings.kafka_options)
    if not found:
        raise RepairError(f"Kafka at {settings.kafka} has no topic {EVENTS}")
    return found


async def rebuild(
    settings: Settings,
    redis: Redis,
    partition: Partition,
    *,
    dry_run: bool = False,
    progress: Callable[[str], None] = lambda line: None,
    new_token: Callable[[], str] = lambda: uuid4().hex,
) -> Verdict:
    """Compare `partition` with its log, and mend it unless `dry_run`; a partition that is right is not written to.

    Errors: RepairError, RetentionError (the log no longer begins at 0), SchemaError, UnreachableError, redis-py's.
    """
    with _whole_log(settings, partition) as log:
        catalogue = first_catalogue(settings.kafka, partition, settings.kafka_options)
        # Before the look: what exists by now is listed then, unless nobody lists it.
        there = await rows_there(redis, partition)
        seen = await inspect(redis, partition)
        orphans = there - seen.rows.keys()
        if catalogue is None:
            if seen.meta.get("offset", "0") == "0" and not seen.rows:
                return Verdict(partition, 0)
            raise RepairError(
                f"partition {partition}: Redis stands at offset {seen.meta.get('offset')}, but the log holds no "
                "catalogue: it is another log than the one Redis was filled from; nothing written"
            )
        if seen.skipped:
            raise RepairError(
                f"partition {partition}: offsets were skipped ({seen.skipped[0]}): its state is no function of the log "
                "any more, and cannot be compared with it; nothing written"
            )
        made = Replayed(partition, catalogue)
        # The long way first, while nobody is disturbed; then the short rest.
        await _follow(made, log, seen, progress)
        verdict = _compared(seen, made, orphans)
        for _ in range(ATTEMPTS):
            if verdict.right or dry_run:
                return verdict
            token = Token(new_token())
            seen = await inspect(redis, partition, token)
            await _follow(made, log, seen, progress)
            verdict = _compared(seen, made, orphans)
            if verdict.right:  # somebody else mended it meanwhile
                return verdict
            if await swap(redis, partition, token, new_token(), seen, made.content, orphans):
                verdict.swapped = True
                return verdict
            progress(f"partition {partition}: its owner was faster; again")
    raise RepairError(
        f"partition {partition}: in {ATTEMPTS} attempts its owner flushed each time between comparing and writing; "
        "nothing written. Stop the ingest workers and run it again"
    )


def _whole_log(settings: Settings, partition: Partition) -> PartitionLog:
    try:
        return PartitionLog(settings.kafka, partition, 0, settings.kafka_options)
    except RetentionError as gone:
        raise RepairError(
            f"partition {partition}: the log begins at offset {gone.low}, what came before is gone: the state cannot "
            "be recomputed; nothing written. Restore a backup (`tidewatch restore`) whose offset the log still holds"
        ) from None


async def _follow(made: Replayed, log: PartitionLog, seen: Look, progress: Callable[[str], None]) -> None:
    """Replay up to where Redis stood when it was looked at."""
    partition, end, before = made.partition, log.end(), made.content.offset
    # An offset that is no number says nothing: then the end of the log is as good as any.
    stands = end if seen.offset is None else seen.offset
    if stands > end:
        raise RepairError(
            f"partition {partition}: Redis stands at offset {stands}, its log ends at {end}: Redis was filled from "
            "another log, or the log lost records; nothing written. If the log is the right one, empty this Redis and "
            "let the ingest workers read it anew"
        )
    if stands < before:
        raise RepairError(
            f"partition {partition}: Redis went back from offset {before} to {stands} meanwhile; nothing written; run "
            "it again"
        )
    said = before

    def reached(offset: int) -> None:
        nonlocal said
        if offset - said >= 100_000:
            said = offset
            progress(f"partition {partition}: replayed up to {offset:,} of {stands:,}")

    made.advance(log, Offset(stands), reached)


def _compared(seen: Look, made: Replayed, orphans: set[str]) -> Verdict:
    counts = made.content.counts
    verdict = Verdict(made.partition, made.content.offset, sum(counts.values()))
    for each in differences(seen, made.content, orphans):
        verdict.kinds[each.kind] += 1
        if len(verdict.shown) < SHOWN:
            verdict.shown.append(each)
    return verdict
