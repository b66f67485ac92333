"""One index system, run: reconcile with what is published, then a revision for all that arrived meanwhile, for ever.

    reconcile   initialise transactions (fence) -> read back -> wait for the cells to reach it -> publish what differs
    follow      wait for differences -> diff -> ONE transaction -> again

Who owns which number: `_revision` is the last one committed by us; nobody else can commit since `initialise`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from index.board import Board
from index.changes import Changes
from index.definition import Definition
from index.diff import Diff, TableKey
from stream.errors import BackwardsError, PublisherFenced, StreamError, UnreachableError
from stream.messages import ControlVersion
from stream.published import Published, read_back
from stream.publisher import Publisher
from workers.health import Health
from workers.hub import Cut, Hub
from workers.metrics_index import IndexMetrics
from workers.retry import FIRST_S, LAST_S, PASSING
from workers.revision import RevisionWriter, Source, anew, empty, same_tables, stale_tables
from workers.robust import NoIntervals, RobustTask
from workers.settings import Settings
from workers.system_standing import SystemStanding

log = structlog.get_logger(__name__)

# Trouble after so long a quiet run is new trouble: the back-off begins anew. Two workers that fence each other, because
# one has not yet learnt that it lost the system, come at shorter intervals, and back off.
STEADY_S = 10.0
TROUBLE = (UnreachableError, PublisherFenced, BackwardsError, *PASSING)  # a reconcile mends it
TABLE_EVERY_S = 1.0  # a whole table is published at most so often; the deltas carry every move


class SystemRunner:
    """Publishes one system for as long as this worker is assigned it. `await run()` until `stop()`."""

    def __init__(
        self,
        settings: Settings,
        hub: Hub,
        control: ControlVersion,
        health: Health,
        metrics: IndexMetrics,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.system = control.system
        self._settings, self._hub, self._control, self._health, self._clock = settings, hub, control, health, clock
        self.standing, self._metrics = SystemStanding(), metrics
        self._watched = f"systems {self.system}"
        self._since: float | None = None  # of the first difference that is not published
        self._ending = asyncio.Event()
        self.board: Board | None = None
        self._board: Board
        self._made_from: Source | None = None
        self._writer: RevisionWriter
        self._publisher: Publisher | None = None
        self._robust: RobustTask | NoIntervals | None = None
        self._generation = 0
        self._repairs = 0  # as the hub counts them, included in what is published
        self._revision = 0
        self._offsets: dict[str, int] = {}
        self._dirty: dict[TableKey, None] = {}
        self._sent: dict[TableKey, float] = {}

    async def run(self) -> None:
        """Run the system; reconciles after any trouble, with back-off. Errors: those that need a person."""
        wait_s, said, reason = FIRST_S, "", "start"
        try:
            while not self._ending.is_set():
                began = self._clock()
                self._metrics.reconciling(self.system, reason)
                reason = "void"  # unless it ends with an error
                try:
                    moved = await self._reconcile()
                    self._health.waiting.pop(self.system, None)
                    if moved is not None:
                        self._metrics.reconciled(self.system, self._clock() - began)
                        self.standing.running = True
                        await self._follow(moved)
                except (PublisherFenced, StreamError, *PASSING) as error:
                    if not isinstance(error, TROUBLE) and type(error) is not StreamError:
                        raise
                    reason = _why(error)
                    if self._clock() - began > STEADY_S:
                        wait_s, said = FIRST_S, ""
                    self._health.waiting[self.system] = str(error)
                    if type(error).__name__ != said:
                        said = type(error).__name__
                        log.warning("reconciling", system=self.system, revision=self._revision, reason=str(error))
                    self._health.rest(self._watched)
                    await self._pause(wait_s)
                    wait_s = min(LAST_S, wait_s * 2)
                finally:
                    self.standing.running = False
                    self._hub.forget(self.system)
                    if self._robust is not None:
                        await self._robust.stop()
                        self._robust = None
                    if self._publisher is not None:
                        self._publisher.close()
                        self._publisher = None
        finally:
            self._health.rest(self._watched)
            self._health.waiting.pop(self.system, None)

    def stop(self) -> None:
        """End at the next turn; a transaction under way is finished."""
        self._ending.set()
        if self._publisher is not None:
            self._publisher.hurry()

    def switch(self, control: ControlVersion) -> None:
        """Go over to another version of the definition, in one revision that names it."""
        self._control = control
        self._generation = -1
        self._hub.wake(self.system)

    @property
    def version(self) -> int:
        """Version of the definition that is run, or is being switched to."""
        return self._control.version

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._ending.wait(), seconds)
        except TimeoutError:
            return

    async def _reconcile(self) -> asyncio.Event | None:
        """From nothing but the committed topics and the cells to a board that equals what is published.

        None where the worker ends meanwhile.
        """
        settings, hub = self._settings, self._hub
        if self.board is not None:  # it goes first: it is as large as what is read back, and as the next one
            self.board = None
            del self._board
        # Initialise first, then read back: the other way round a predecessor could commit in between.
        self._publisher = Publisher(settings.kafka, self.system, options=settings.kafka_options)
        self._health.turn(self._watched)
        await self._publisher.initialise()
        self._health.turn(self._watched)
        published = await asyncio.to_thread(
            read_back, settings.kafka, self.system, settings.kafka_options, self._ending.is_set
        )
        for text in published.refused:
            log.warning(
                "foreign record", system=self.system, reason=text, action="what it displaced is published again"
            )
        last = published.revision
        if last is not None:
            self.standing.found(last)
        while last is not None and not hub.reaches(last.offsets):
            if self._ending.is_set():
                return None
            # Redis went back: publishing what it has now would take back what was published.
            self._health.waiting[self.system] = "Redis stands before the last revision: until ingest caught up"
            self._health.turn(self._watched)
            await self._pause(0.05)
        self._health.waiting.pop(self.system, None)
        # From here to `listen` without a pause: the board takes over at exactly the cut that the cells stand at.
        self._health.turn(self._watched)
        self._generation, self._repairs = hub.generation, hub.repairs
        definition = Definition.parse(
            self._control.definition, hub.catalogue, f"control {self.system}/{self._control.version}"
        )
        self._board = self.board = Board(definition, hub.catalogue)
        self._board.restore(published.updates.values())
        self._board.apply(hub.cells.everything())
        self._writer = RevisionWriter(self.system, self._control.version)
        moved = hub.listen(self.system, self._take)
        moved.clear()
        self._revision = last.revision if last else 0
        self._offsets = last.offsets if last else {}
        before, self._made_from = self._made_from, (definition, hub.catalogue)
        await self._publish_differences(published, before, self._made_from)
        if settings.robustness == "on" and definition.robustness is not None:
            self._robust = RobustTask(settings, definition)
        else:
            self._robust = NoIntervals(settings, self.system)
        self._robust.start()
        self._robust.published(self._board.system, self._revision, list(self._board.system.sheets))
        return moved

    async def _publish_differences(self, published: Published, before: Source | None, now: Source) -> None:
        """`before`: what the board was made from that we ran until now, if any; `now`: what this one is made from."""
        last, cut = published.revision, self._hub.cut()
        diff = self._diff(cut)
        stale, gone = stale_tables(self._board, published.tables, self.system)
        self._dirty = {}
        self._sent = {}
        reason = "start"
        if last is not None and last.definition != self._control.version:
            reason = "definition"
        elif last is not None and last.catalogue != cut.catalogue:
            reason = "catalogue"
        if last is not None and reason != "start":
            known = before is not None and (before[0].version, before[1].version) == (last.definition, last.catalogue)
            if before is None or not known or not same_tables(before, now):
                diff.deltas, stale = anew(self._board, gone), self._board.table_keys()
        if diff or stale or gone or last is None or last.offsets != cut.offsets or reason != "start":
            await self._commit(diff, stale, gone, reason)
        log.info(
            "running", system=self.system, revision=self._revision, definition=self._control.version, reason=reason
        )

    def _take(self, changes: Changes) -> None:
        if self._since is None:
            self._since = self._clock()
        self._board.apply(changes)

    def _diff(self, cut: Cut) -> Diff:
        """What differs from what is published, at the cut that the cells stand at."""
        began = self._clock()
        self._board.watermark(cut.watermark_us)
        diff = self._board.diff()
        self._metrics.diffed(self.system, self._clock() - began)
        return diff

    async def _follow(self, moved: asyncio.Event) -> None:
        """A revision for whatever arrived while the last one was being committed."""
        while not self._ending.is_set():
            self._health.rest(self._watched)  # it may be that nothing comes for hours
            await self._until(moved)
            self._health.turn(self._watched)
            if self._ending.is_set():
                return
            if self._generation != self._hub.generation:
                why = "a newer catalogue or definition is in force"
                log.info("board is void", system=self.system, revision=self._revision, reason=why)
                return
            moved.clear()
            cut = self._hub.cut()
            diff = self._diff(cut)
            self._dirty.update(diff.dirty)
            due = self._due()
            if diff or due or cut.offsets != self._offsets:
                # Said, since counts and values may differ from those of the same offsets before.
                repaired, self._repairs = self._hub.repairs != self._repairs, self._hub.repairs
                await self._commit(diff, due, [], "repair" if repaired else "feed")

    async def _until(self, moved: asyncio.Event) -> None:
        """Wait for differences, or until a table that lags is due, or the end."""
        waits = [asyncio.ensure_future(moved.wait()), asyncio.ensure_future(self._ending.wait())]
        timeout = None
        if self._dirty:
            oldest = min(self._sent.get(key, 0.0) for key in self._dirty)
            timeout = max(0.0, oldest + TABLE_EVERY_S - self._clock())
        try:
            await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _due(self) -> list[TableKey]:
        now = self._clock()
        return [key for key in self._dirty if now - self._sent.get(key, -TABLE_EVERY_S) >= TABLE_EVERY_S]

    async def _commit(self, diff: Diff, due: list[TableKey], gone: list[str], reason: str) -> None:
        assert self._publisher is not None
        if self._robust is not None:
            self._robust.hold()
        cut = self._hub.cut()
        # The hub adopts nothing below what it applied, and a start waits for the last revision; here is where a breach
        # of either would become public, so it is the last place to stop it.
        below = {p: (o, cut.offsets.get(p, 0)) for p, o in self._offsets.items() if cut.offsets.get(p, 0) < o}
        if below:
            raise BackwardsError(self.system, self._revision + 1, below)
        tables, emptied = [], list(gone)
        for key in due:
            table = self._board.table(key)
            if empty(table):
                emptied.append(key.path)
            else:
                tables.append(table)
        records = self._writer.records(diff, tables, emptied, self._revision + 1, reason, cut)
        now = self._clock()
        since, self._since = now if self._since is None else self._since, None
        await self._publisher.publish(records)
        self._revision += 1
        self._offsets = cut.offsets
        done = self._clock()
        self.standing.committed(self._revision, cut)
        self._metrics.committed(self.system, reason, diff, len(tables), done - now, done - since)
        for key in due:
            self._dirty.pop(key, None)
            self._sent[key] = now
        if self._robust is not None:
            self._robust.published(self._board.system, self._revision, {update["period"] for update in diff.updates})


def _why(error: Exception) -> str:
    """The reason of a reconcile, as docs/metrics.md lists them."""
    if isinstance(error, PublisherFenced):
        return "fenced"
    if isinstance(error, BackwardsError):
        return "backwards"
    return "kafka" if isinstance(error, StreamError) else "redis"
