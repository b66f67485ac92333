"""The index worker of a played trace: the product's `Hub`, `SystemRunner` and `Publisher`, behind gates.

`IndexWorker` starts and ends a runner as Kafka's assignment of `control` says; here the trace says it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from model_index import ANEW, GAP
from model_log import Cells
from model_state import Index
from player_gates import Gates, here
from player_world import CITY, FLOW, MONTH, SHIFT, STOCK, P, control, meta_of
from redis.asyncio import Redis

from state import feed, load
from state.keys import Partition
from state.snapshot import Snapshot
from stream import published, publisher
from stream.errors import UnreachableError
from workers.health import Health
from workers.hub import Hub
from workers.metrics_index import IndexMetrics
from workers.runner import SystemRunner
from workers.settings import Settings

_product_read = feed.FeedReader.read


async def gated_load(redis: Redis, partition: Partition) -> Snapshot:
    """The product's, behind a gate."""
    await here().passing("load")
    return await load.load(redis, partition)


async def gated_read(reader: feed.FeedReader, _block_ms: int = 0) -> list[feed.Entry]:
    """The product's, behind a gate; it does not wait where there is nothing."""
    await here().passing("feed")
    return await _product_read(reader, block_ms=1)


def gated_read_back(address: str, system: str, options: Any, stopping: Callable[[], bool]) -> published.Published:
    """The product's, between two gates: nothing is made of it until the second one opens."""
    gates = here()
    gates.passing_in_thread("read back")
    found = published.read_back(address, system, options, stopping)
    gates.passing_in_thread("result")
    return found


class GatedPublisher(publisher.Publisher):
    """The product's, a gate before each of its steps; the reply of a commit may get lost."""

    async def initialise(self) -> None:
        await here().passing("initialise")
        await super().initialise()

    async def publish(self, records: Iterable[publisher.Record]) -> None:
        how = await here().passing("publish")
        await super().publish(records)
        if how["lost"]:
            raise UnreachableError("the reply was lost")


class PlayedRunner(SystemRunner):
    """The product's; it looks for differences, and whether the cells have reached the last revision, when told."""

    async def _pause(self, seconds: float) -> None:
        if "before the last revision" in self._health.waiting.get(self.system, ""):
            await here().passing("below")
        else:
            await super()._pause(seconds)

    async def _until(self, _moved: asyncio.Event) -> None:
        await here().passing("follow")


class PlayedIndex:
    """One index worker: its hub, and a runner while it is told to run the system."""

    def __init__(self, name: str, redis: Redis, settings: Settings, system: str, make: type[SystemRunner]) -> None:
        self.gates = Gates(name)
        self._settings, self._system, self._make = settings, system, make
        self._health, self.now = Health(name), 1000.0
        self.hub = Hub(redis, [P], self._health)
        self._metrics = IndexMetrics(self._health.registry, list)
        self.runner: SystemRunner | None = None
        self._running: asyncio.Task[None] | None = None
        self._hub_task = self.gates.task(self._follow())

    async def _follow(self) -> None:
        await self.hub.start()
        await self.hub.run()

    @property
    def started(self) -> bool:
        """Whether its hub has loaded."""
        return self.hub.generation > 0

    async def tell(self, assigned: bool, definition: int) -> None:
        """Kafka assigns it the system, or takes it away."""
        if assigned:
            await self.gates.comes_to("load", "feed", "read offset", "read cells", "read offset again")
            if self.started:
                await self.start_runner(definition)
        elif self.runner is not None and self._running is not None:
            self.runner.stop()
            self.gates.give_up(UnreachableError("it ends"), "initialise", "read back", "result", "below", "follow")
            await asyncio.wait_for(self._running, 30)
            self.runner = self._running = None

    async def start_runner(self, definition: int) -> None:
        """As IndexWorker does once its hub has started."""
        version = control(self._system, definition)
        self.runner = self._make(
            self._settings, self.hub, version, self._health, self._metrics, clock=lambda: self.now
        )  # fmt: skip
        self._running = self.gates.task(self.runner.run())
        await self.gates.comes_to("initialise", "read back")

    async def load(self, told: bool, definition: int) -> None:
        """The load that it waits for."""
        first = not self.started
        self.gates.let("load")
        await self.gates.comes_to("feed", "load")
        await self.loaded(first, told, definition)

    async def loaded(self, first: bool, told: bool, definition: int) -> None:
        """What follows a load."""
        if first and told and self.started:
            await self.start_runner(definition)

    async def feed(self, then: str) -> None:
        """One read of the feed; `then`: the gate that it comes to."""
        self.gates.let("feed")
        await self.gates.comes_to(then)

    async def board_is_void(self) -> None:
        """The runner wakes up, and begins anew."""
        self.gates.let("follow")
        await self.gates.comes_to("initialise", "read back")

    async def read_back(self, definition: int) -> None:
        """It reads back, and knows the definition that is in force then."""
        assert self.runner is not None
        if self.runner.version != definition:
            self.runner.switch(control(self._system, definition))
        self.gates.let("read back")
        await self.gates.comes_to("result", "initialise")

    async def commit(self, then: str | None, *, first: bool, due: bool, lost: bool = False) -> None:
        """A revision. `first`: after a reconcile; `due`: tables may be written again; `then`: the gate that follows."""
        if due:
            self.now += 10.0
        self.gates.let("follow" if not first else "below" if "below" in self.gates.at else "result")
        await self.gates.comes_to("publish")
        self.gates.let("publish", lost=lost)
        if then is not None:
            await self.gates.comes_to(then)
        elif self._running is not None:
            await asyncio.wait_for(asyncio.shield(self._running), 30)

    async def waits_for_the_cells(self) -> None:
        """It goes on from what it has read back, and does not publish."""
        if "below" not in self.gates.at:
            self.gates.let("result")
        await self.gates.comes_to("below")

    async def switch(self, definition: int) -> None:
        """It is told of another definition."""
        assert self.runner is not None
        self.runner.switch(control(self._system, definition))
        await self.board_is_void()

    async def crash(self) -> None:
        """It is gone, and does nothing more."""
        self.gates.give_up(UnreachableError("crashed"), "read back", "result")
        tasks = [self._hub_task, *([self._running] if self._running is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- comparing -------------------------------------------------------------------------------------------------

    def compare(self, model: Index, waits_first: str) -> None:
        """Whether it stands where the model's worker stands. `waits_first`: at which gate a reconcile begins."""
        name = self.gates.name
        assert self.started == (model.offset >= 0), name
        if self.started:
            feed_reader, hub = self.hub._feed, self.hub
            assert feed_reader.applied[P] == model.offset + SHIFT, name
            cells = model.cells
            assert self._cells() == (cells.flow, cells.day, cells.stock[0] if cells.stock else 0), name
            meta = meta_of(hub._watermarks[P], hub._counts[P], hub.catalogue.version)
            # Only an entry or load of a newer catalogue changes the hub's.
            assert meta == model.meta, name
            if model.loading in ((), GAP, ANEW):
                assert ("load" in self.gates.at) == bool(model.loading), f"{name} is at {self.gates.at}"
        phase = self._phase(waits_first)
        told = model.phase if model.told and model.offset >= 0 else "idle" if model.phase != "stopped" else "stopped"
        assert phase == told, f"{name}: {phase}, the model's: {told}"
        if phase == "running" and self.runner is not None:
            assert self.runner._revision == model.last.number, name
            assert self.runner._offsets == {"0": model.last.offset + SHIFT}, name
            assert self.runner.version == model.definition, name

    def _phase(self, waits_first: str) -> str:
        at = self.gates.at
        if self.runner is None or waits_first in at:
            return "idle"
        if self._running is not None and self._running.done():
            return "stopped"
        found = [
            p for p, gate in (("reconciled", "result"), ("reconciled", "below"), ("running", "follow")) if gate in at
        ]
        return found[0] if found else "half"

    def _cells(self) -> tuple[int, int, int]:
        """Flow, day and stock of the city, as the hub has them."""
        changes, catalogue = self.hub.cells.everything(), self.hub.catalogue
        city, flow, stock = catalogue.city_index[CITY], *(catalogue.indicator_index[i] for i in (FLOW, STOCK))
        flows, levels, days = changes.flows, changes.levels, changes.days
        mine = (levels.city == city) & (levels.indicator == stock)
        months = [i for i in mine.nonzero()[0] if changes.periods[levels.period[i]].name == MONTH]
        return Cells(
            int(flows.delta[(flows.city == city) & (flows.indicator == flow)].sum()),
            int(days.delta[(days.city == city) & (days.indicator == flow)].sum()),
            int(sum(levels.delta[i] for i in months)),  # type: ignore[arg-type]
        )
