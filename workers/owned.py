"""One partition that this worker owns: its token, its mirror, and the one flush that may be under way.

Who owns which offset: `aggregates.offset` is decoded and added up, `flushed` is in Redis. They differ by at most the
flush under way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog
from redis.asyncio import Redis

from index.catalogue import Catalogue
from state.aggregates import Aggregates
from state.errors import OwnershipLost
from state.flush import FlushBatch, flush
from state.keys import Offset, Partition, Token
from stream.letters import Letter, LetterBox
from workers.health import Health
from workers.metrics_ingest import IngestMetrics
from workers.retry import PASSING, until_done
from workers.standing import Standing
from workers.tally import Tally

log = structlog.get_logger(__name__)


class Owned:
    """A partition between acquire and release. `lost` says why it may not be written any more, None while it may."""

    def __init__(
        self,
        redis: Redis,
        partition: Partition,
        token: Token,
        aggregates: Aggregates,
        health: Health,
        stopping: Callable[[], bool],
        metrics: IngestMetrics,
        *,
        catalogue_stored: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.partition, self.token, self.aggregates = partition, token, aggregates
        self.standing = Standing(
            partition, aggregates.offset, aggregates.watermark_us, aggregates.counts, aggregates.catalogue.version
        )
        self.lost: str | None = None
        self.confirmed_s = clock()  # when Redis last said that the partition is ours
        self._metrics, self._clock = metrics, clock
        self._redis, self._health, self._stopping = redis, health, stopping
        self._catalogue_stored = catalogue_stored
        self._task: asyncio.Task[None] | None = None

    @property
    def flushed(self) -> Offset:
        """The next offset, as Redis has it."""
        return self.standing.flushed

    @property
    def idle(self) -> bool:
        """Whether no flush is under way."""
        return self._task is None or self._task.done()

    def lose(self, refusal: OwnershipLost) -> None:
        """Remember why this partition is not ours, or not as we knew it, any more."""
        self.lost = str(refusal)
        self._metrics.refused(self.partition, refusal)
        log.warning("refused", partition=self.partition, offset=self.flushed, reason=self.lost)

    def start_flush(
        self,
        end: Offset,
        box: LetterBox,
        letters: list[Letter],
        rows: list[list[str | int]],
        newer: Catalogue | None,
        tally: Tally,
    ) -> None:
        """Begin the flush of what the mirror took in up to `end`. The last one must have settled.

        With a `newer` catalogue, whose record stands right before `end`, the mirror is void after it: acquire again.
        """
        batch = self.aggregates.flush_batch(end, rows)
        if newer is not None:
            batch = batch.with_catalogue(newer.version, newer.to_json())
        elif not self._catalogue_stored:
            batch = batch.with_catalogue(batch.catalogue_version, self.aggregates.catalogue.to_json())
        told = len(rows), tally, dict(self.aggregates.counts)
        self._task = asyncio.create_task(self._flush(batch, box, letters, newer, told))

    async def _flush(
        self,
        batch: FlushBatch,
        box: LetterBox,
        letters: list[Letter],
        newer: Catalogue | None,
        told: tuple[int, Tally, dict[str, int]],
    ) -> None:
        """`told`: of the batch, for people: rows changed, what became of its events, and the counts that it writes."""
        rows, tally, counts = told
        began = self._clock()
        try:
            # Rejects first: an offset in Redis says that everything below it is settled.
            if letters:
                await until_done("Kafka", lambda: box.post(letters), self._health, stopping=self._stopping)
                before, began = began, self._clock()
                self._metrics.lettered(len(letters), began - before)
            await until_done(
                "Redis",
                lambda: flush(self._redis, self.partition, self.token, batch),
                self._health,
                stopping=self._stopping,
            )
            self.standing.moved(batch.end, batch.watermark_us, counts)
            self.confirmed_s = self._clock()
            self._metrics.flushed(self.partition, tally, batch, rows, self._clock() - began)
            self._catalogue_stored = True
            if newer is not None:
                self.lost = f"catalogue version {newer.version} is in force from offset {batch.end} on"
                log.info("catalogue", partition=self.partition, catalogue=newer.version, offset=batch.end)
        except OwnershipLost as refusal:
            self.lose(refusal)
        except PASSING as error:
            # Only when the worker ends: not flushed means read again by the next owner.
            self.lost = f"not flushed before the end: {error}"

    async def settle(self) -> None:
        """Wait until no flush is under way. Errors: those of the flush that need a person."""
        if self._task is not None:
            await self._task

    async def end(self) -> None:
        """Give the partition up: nothing more is added, and what was begun is finished."""
        self.lost = self.lost or "released"
        await self.settle()
