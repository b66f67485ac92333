"""One reader of the change feeds for all systems of the process: cells in, exact differences out to every board.

Owns: the offsets applied (per partition), the cells, and with them the cut that a revision names. All of it moves in
one step of the event loop, so whoever looks between two steps sees one consistent cut.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, groupby

import structlog
from redis.asyncio import Redis

from index.catalogue import Catalogue
from index.cells import CellStore
from index.changes import Changes
from index.errors import NewerCatalogueError
from index.watermark import system_watermark
from state.errors import FeedGapError
from state.feed import Entry, FeedReader
from state.keys import Offset, Partition
from state.load import load
from state.snapshot import Snapshot
from stream.messages import Counts
from workers.health import Health
from workers.retry import until_done

log = structlog.get_logger(__name__)

TASK = "feed"
ASK_S = 1.0  # how often it is asked whether a rebuild or a restore has replaced a partition, while entries come

Listener = Callable[[Changes], None]


@dataclass(frozen=True, slots=True)
class Cut:
    """What a revision includes: the next offset of every partition, and what holds there."""

    offsets: dict[str, int]
    watermark_us: int | None
    counts: Counts
    catalogue: int


class Hub:
    """See the head of this file. `await start()`, then `await run()` beside the systems that listen."""

    def __init__(
        self,
        redis: Redis,
        partitions: list[Partition],
        health: Health,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis, self._partitions, self._health, self._clock = redis, partitions, health, clock
        self._asked = 0.0
        self._watermarks: dict[Partition, int | None] = {}
        self._counts: dict[Partition, dict[str, int]] = {}
        self._listeners: dict[str, Listener] = {}
        self._moved: dict[str, asyncio.Event] = {}
        self._ending = False
        self.entries = 0  # of the feeds, applied
        self.loads: Counter[Partition] = Counter()  # after a gap
        self.repairs = 0  # loads of a partition that a rebuild or a restore had replaced
        self.generation = 0  # rises when the catalogue changed: every board must be made anew
        self.catalogue: Catalogue
        self.cells: CellStore
        self._feed: FeedReader

    async def start(self) -> None:
        """Load every partition; waits until some ingest worker has stored a catalogue."""
        while not self._ending:
            snapshots = await until_done("Redis", self._load_all, self._health, stopping=lambda: self._ending)
            catalogues = {s.catalogue_version: s.catalogue for s in snapshots if s.catalogue}
            if catalogues:
                newest = catalogues[max(v for v in catalogues if v is not None)]
                self._begin(Catalogue.from_json(newest or b""), snapshots)
                return
            self._health.waiting["ingest"] = "no partition has a catalogue yet: is an ingest worker running?"
            await asyncio.sleep(0.2)

    async def _load_all(self) -> list[Snapshot]:
        return list(await asyncio.gather(*(load(self._redis, p) for p in self._partitions)))

    def _begin(self, catalogue: Catalogue, snapshots: list[Snapshot]) -> None:
        self._health.waiting.pop("ingest", None)
        feed = FeedReader(self._redis, self._partitions)
        if self.generation:
            # Made anew for a newer catalogue: what was applied stays the least that may be adopted.
            feed.applied = dict(self._feed.applied)
        behind = [snapshot for snapshot in snapshots if not feed.adopt(snapshot)]
        if behind:  # before anything of ours moves: the cut stays what it was
            raise FeedGapError(behind[0].partition, feed.applied[behind[0].partition], behind[0].offset)
        cells = CellStore(catalogue)
        for snapshot in snapshots:
            cells.replace(snapshot.partition, snapshot.changed_rows(), snapshot.catalogue_version)
            self._note(snapshot.partition, snapshot.watermark_us, snapshot.counts)
        self._feed, self.cells, self.catalogue = feed, cells, catalogue
        self.generation += 1
        # Changes name cities by the catalogue's numbers: a board of the one before must not hear of them any more.
        self._listeners.clear()
        log.info("loaded", partitions=len(snapshots), catalogue=catalogue.version, offsets=sum(feed.applied.values()))

    def _note(self, partition: Partition, watermark_us: int | None, counts: dict[str, int]) -> None:
        self._watermarks[partition], self._counts[partition] = watermark_us, counts

    async def run(self) -> None:
        """Follow the feeds until `stop()`. Errors: those that need a person (SchemaError, CorruptCellError)."""
        try:
            while not self._ending:
                self._health.turn(TASK)
                try:
                    await self._turn()
                except NewerCatalogueError as newer:
                    log.info("newer catalogue", catalogue=self.catalogue.version, reason=str(newer))
                    await self._restart()
        finally:
            self._health.rest(TASK)
            await self._feed.close()

    async def _turn(self) -> None:
        """What is new in the feeds; where they say nothing, whether they kept something back."""
        try:
            entries = await until_done("Redis", self._feed.read, self._health, stopping=lambda: self._ending)
        except FeedGapError as gap:
            log.info(
                "feed gap",
                partition=gap.partition,
                offset=self._feed.applied[Partition(gap.partition)],
                reason=str(gap),
            )
            await self._reload(Partition(gap.partition))
            return
        self._apply(entries)
        now = self._clock()
        if entries and now - self._asked < ASK_S:
            return
        self._asked = now
        # While others flow, an offset above ours is no news; a state that was replaced is.
        ask = self._feed.replaced if entries else self._feed.silent_gaps
        for partition in await until_done("Redis", ask, self._health, stopping=lambda: self._ending):
            await self._reload(partition)

    def _apply(self, entries: list[Entry]) -> None:
        """Take over one read, all entries of a partition at once: a cell that stands in several counts once."""
        for partition, group in groupby(entries, key=lambda entry: entry.partition):
            every = list(group)
            mine = [entry for entry in every if (entry.catalogue_version or 0) <= self.catalogue.version]
            if mine:
                self._apply_one(partition, mine)
            if len(mine) < len(every):
                version = every[len(mine)].catalogue_version
                raise NewerCatalogueError("catalogue", str(version), "feed", self.catalogue.version)

    def _apply_one(self, partition: Partition, mine: list[Entry]) -> None:
        last = mine[-1]
        rows = chain.from_iterable(entry.rows for entry in mine)
        changes = self.cells.apply(partition, rows, last.catalogue_version)
        self._feed.applied[partition] = last.end
        self.entries += len(mine)
        self._note(partition, last.watermark_us, last.counts)
        self._tell(changes)

    async def _reload(self, partition: Partition) -> None:
        """Adopt a whole load of one partition; where Redis stands below what was applied, nothing: it catches up."""
        snapshot = await until_done(
            "Redis", lambda: load(self._redis, partition), self._health, stopping=lambda: self._ending
        )
        if snapshot.offset < self._feed.applied[partition]:
            await asyncio.sleep(0.05)
            return
        if (snapshot.catalogue_version or 0) > self.catalogue.version:
            raise NewerCatalogueError("catalogue", str(snapshot.catalogue_version), "load", self.catalogue.version)
        changes = self.cells.replace(partition, snapshot.changed_rows(), snapshot.catalogue_version)
        # Only now: an offset is never named without its cells.
        self.repairs += self._feed.follows_another(snapshot)
        self._feed.adopt(snapshot)
        self.loads[partition] += 1
        self._note(partition, snapshot.watermark_us, snapshot.counts)
        self._tell(changes)
        log.info("loaded again", partition=partition, offset=snapshot.offset)

    async def _restart(self) -> None:
        """Everything anew under the newest catalogue; the boards follow, since `generation` rises."""
        before = self.generation
        await self._feed.close()
        while self.generation == before and not self._ending:
            try:
                await self.start()
            except FeedGapError:
                await asyncio.sleep(0.05)  # Redis went back as well: until it has caught up
        for event in self._moved.values():
            event.set()

    def _tell(self, changes: Changes) -> None:
        for name, listener in self._listeners.items():
            listener(changes)
            self._moved[name].set()

    def listen(self, name: str, listener: Listener) -> asyncio.Event:
        """Call `listener` with every difference from here on; the event is set whenever there was one, or a restart."""
        self._listeners[name] = listener
        return self._moved.setdefault(name, asyncio.Event())

    def wake(self, name: str) -> None:
        """Set the event of a listener."""
        if name in self._moved:
            self._moved[name].set()

    def forget(self, name: str) -> None:
        """End what `listen` began."""
        self._listeners.pop(name, None)
        self._moved.pop(name, None)

    def reaches(self, offsets: dict[str, int]) -> bool:
        """Whether no partition is below `offsets` (of a revision): a state that lies before it is never published."""
        return all(self._feed.applied.get(Partition(int(p)), Offset(0)) >= o for p, o in offsets.items())

    def positions(self) -> dict[int, int]:
        """The offset applied, of every partition."""
        return {int(p): int(o) for p, o in self._feed.applied.items()}

    def cut(self) -> Cut:
        """The cut that the cells stand at now."""
        counts = Counts(rejected={})
        for by_name in self._counts.values():
            for name, number in by_name.items():
                if name == "accepted":
                    counts.accepted += number
                elif name == "duplicate":
                    counts.duplicate += number
                else:
                    reason = name.removeprefix("rejected:")
                    counts.rejected[reason] = counts.rejected.get(reason, 0) + number
        return Cut(
            offsets={str(p): int(o) for p, o in sorted(self._feed.applied.items())},
            watermark_us=system_watermark(list(self._watermarks.values())),
            counts=counts,
            catalogue=self.catalogue.version,
        )

    def stop(self) -> None:
        """End `run` at its next turn."""
        self._ending = True
