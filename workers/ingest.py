"""The ingest worker: record batches in, one fenced and atomic flush per partition and batch out.

    read (stream.batches) -> decode (stream.events) -> check (stream.validate) -> deduplicate and add (state.aggregates)
    -> dead letters acknowledged (stream.letters) -> flush (state.flush)

The flush of one batch overlaps the decoding of the next. Whatever refuses a flush (another owner, a Redis that went
back) costs one `acquire` and reading again from where Redis stands; nothing is decided by a clock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from uuid import uuid4

import structlog
from redis.asyncio import Redis

from index.catalogue import Catalogue
from state.aggregates import Aggregates
from state.errors import OwnershipLost
from state.keys import Offset, Partition, Token
from state.ownership import acquire, watch
from stream.batches import Batch, EventReader
from stream.catalogue_log import first_catalogue, parsed_catalogue, publish_catalogue
from stream.ends import Ends
from stream.errors import UnreachableError
from stream.letters import LetterBox
from workers.health import Health
from workers.intake import Intake, Share
from workers.metrics_ingest import IngestMetrics
from workers.owned import Owned
from workers.probe import Probe
from workers.retry import until_done
from workers.settings import Settings

log = structlog.get_logger(__name__)

WATCH_S = 1.0  # how often an owner makes sure that Redis still stands where it left it
REPORT_S = 5.0  # how often the group is told how far we are (lag tools only)


class IngestWorker:
    """One process's share of the partitions. `await run()` until `stop()`."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        reader: EventReader,
        letters: LetterBox,
        health: Health,
        *,
        clock: Callable[[], float] = time.monotonic,
        new_token: Callable[[], str] = lambda: uuid4().hex,
    ) -> None:
        self._settings, self._redis, self._reader, self._letters = settings, redis, reader, letters
        self._health, self._clock, self._new_token = health, clock, new_token
        self._owned: dict[Partition, Owned] = {}
        self._intake = Intake()
        self._metrics = IngestMetrics(health.registry, lambda: [(p, o.standing) for p, o in self._owned.items()])
        ends = Ends(settings.kafka, settings.kafka_options)
        self._probe = Probe(ends, lambda: {p: o.flushed for p, o in self._owned.items()}, self._told_ends, health)
        self._ending = self._kafka_away = False
        self._watched = self._reported = 0.0
        self._looking = asyncio.Lock()

    async def run(self) -> None:
        """Work until `stop()`. Errors: those that need a person (RetentionError, SchemaError, CorruptStateError)."""
        await self._reader.start(self._acquire, self._release)
        reading = asyncio.create_task(self._reader.read(self._prepare))
        probing = asyncio.create_task(self._probe.run())
        try:
            while not self._ending:
                owners, shares = await reading
                # Not while a read is under way: what it brings belongs to the owners of before.
                await self._recover()
                reading = asyncio.create_task(self._reader.read(self._prepare))
                self._health.turn()
                self._note_kafka()
                await self._take(owners, shares)
                await self._look_around(idle=not shares)
        finally:
            self._probe.stop()
            await asyncio.gather(reading, return_exceptions=True)
            await asyncio.gather(*(owned.settle() for owned in self._owned.values()))
            await self._reader.report({p: o.flushed for p, o in self._owned.items() if not o.lost})
            await self._reader.stop()
            await probing

    def _told_ends(self, ends: dict[int, int], at_s: float) -> None:
        for partition, end in ends.items():
            owned = self._owned.get(Partition(partition))
            if owned is not None:
                owned.standing.asked(end, at_s)

    def _note_kafka(self) -> None:
        """Say once that no broker answers, and once that one does again."""
        problem, known = self._reader.problem, self._kafka_away
        if problem and self._health.waits("Kafka", problem, anew=not known):
            log.warning("waiting", server="Kafka", reason=problem, action="the client tries again; nothing is lost")
        elif known and not problem and self._health.goes_on("Kafka"):
            log.info("answers again", server="Kafka")
        self._kafka_away = problem is not None

    def _prepare(self, batch: Batch) -> tuple[dict[Partition, Owned], list[Share]]:
        """In the reader's thread, right behind the read: decode and check, for whoever owns the partitions now.

        A partition that is taken over anew later (by `_recover`, or by a rebalance in the next read) is read again from
        Redis's offset; its share here is bound to the owner of before, and void with it.
        """
        owners = dict(self._owned)
        shares = list(self._intake.shares(batch, owners)) if len(batch) else []
        batch.messages.clear()  # the client's own objects are freed where they were made
        return owners, shares

    def stop(self) -> None:
        """End after the present batch; what is decoded is flushed."""
        self._ending = True

    async def _take(self, owners: Mapping[Partition, Owned], shares: list[Share]) -> None:
        """Add what one read brought, and begin the flushes."""
        for share in shares:
            owned = owners[share.partition]
            # At most one flush under way a partition: Redis that is slow slows the reading, memory stays flat.
            await owned.settle()
            if not owned.lost:
                self._add(owned, share)
                await asyncio.sleep(0)  # the flush goes out now: Redis works while the next share is added

    def _add(self, owned: Owned, share: Share) -> None:
        letters, rows = self._intake.add(owned.aggregates, share)
        owned.start_flush(share.end, self._letters, letters, rows, share.new_catalogue, share.tally)

    async def _recover(self) -> None:
        """Take refused partitions that are still ours over again, from where Redis stands."""
        for partition in [p for p, o in self._owned.items() if o.lost]:
            owned = self._owned.pop(partition)
            if partition not in self._reader.assigned:
                log.info("stopped owning", partition=partition, reason=owned.lost)
                continue
            offsets = await self._acquire([partition])
            await self._reader.seek(partition, offsets[partition])

    async def _look_around(self, *, idle: bool) -> None:
        now = self._clock()
        if now - self._watched >= WATCH_S or idle:
            self._watched = now
            # Not what was flushed just now; and all at once, as nothing is taken meanwhile: one after the other would
            # cost more than the work where Redis is slow.
            due = [
                (p, o)
                for p, o in self._owned.items()
                if o.idle and not o.lost and (idle or now - o.confirmed_s >= WATCH_S)
            ]
            await asyncio.gather(*(self._watch(partition, owned) for partition, owned in due))
        if now - self._reported >= REPORT_S:
            self._reported = now
            await self._reader.report({p: o.flushed for p, o in self._owned.items() if not o.lost})

    async def _watch(self, partition: Partition, owned: Owned) -> None:
        offset = owned.flushed

        async def look() -> None:
            # Kafka may take the partition away while Redis does not answer: then there is nothing to watch.
            if self._owned.get(partition) is owned and owned.idle and owned.flushed == offset:
                await watch(self._redis, partition, owned.token, offset)
                owned.confirmed_s = self._clock()

        try:
            await until_done("Redis", look, self._health, stopping=self._stopping)
        except OwnershipLost as refusal:
            owned.lose(refusal)

    def _stopping(self) -> bool:
        return self._ending

    async def _acquire(self, partitions: list[Partition]) -> dict[Partition, Offset]:
        """Own `partitions` and return where each is to be read from."""
        offsets = await asyncio.gather(*(self._acquire_one(p) for p in partitions))
        return dict(zip(partitions, offsets, strict=True))

    async def _acquire_one(self, partition: Partition) -> Offset:
        token, began = Token(self._new_token()), self._clock()
        snapshot = await until_done(
            "Redis", lambda: acquire(self._redis, partition, token), self._health, stopping=self._stopping
        )
        if snapshot.catalogue is None:
            # One at a time: it happens once in a log's life, and clients that come and go side by side are no use.
            async with self._looking:
                catalogue = await until_done(
                    "Kafka", lambda: self._first_catalogue(partition), self._health, stopping=self._stopping
                )
        else:
            catalogue = parsed_catalogue(snapshot.catalogue)
        self._owned[partition] = Owned(
            self._redis,
            partition,
            token,
            Aggregates(catalogue, snapshot),
            self._health,
            self._stopping,
            self._metrics,
            catalogue_stored=snapshot.catalogue is not None,
            clock=self._clock,
        )
        self._metrics.acquired(partition, self._clock() - began)
        log.info("acquired", partition=partition, offset=snapshot.offset, catalogue=catalogue.version)
        return snapshot.offset

    async def _first_catalogue(self, partition: Partition) -> Catalogue:
        """The first catalogue in the partition's log; ours is written where there is none yet."""
        address, options = self._settings.kafka, self._settings.kafka_options
        found = await asyncio.to_thread(first_catalogue, address, partition, options)
        if found is None:
            ours = Catalogue.load(self._settings.catalogue)
            await asyncio.to_thread(publish_catalogue, address, ours, [partition], options)
            # Another worker may have written one at the same time: the log says which came first.
            found = await asyncio.to_thread(first_catalogue, address, partition, options)
        if found is None:
            raise UnreachableError(f"partition {partition}: the catalogue just written cannot be read back yet")
        return found

    async def _release(self, partitions: list[Partition], lost: bool) -> None:
        """End the use of `partitions`: what was decoded is flushed, unless Kafka has given them to others already."""
        for partition in partitions:
            owned = self._owned.pop(partition, None)
            if owned is not None:
                await owned.end()
                log.info("released", partition=partition, offset=owned.flushed, lost=lost)
