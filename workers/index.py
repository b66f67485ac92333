"""The index worker: runs the systems whose partition of `control` Kafka assigns to it; others stand by.

A Faust agent on `control` is the turn: whoever is assigned a partition reads its definitions from the start and runs
its systems. That alone would leave a zombie publishing; the transactional id per system (stream.publisher) fences it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime

import faust
import structlog
from redis.asyncio import Redis

from index.catalogue import Catalogue
from index.definition import Definition
from index.errors import DefinitionError
from state.keys import Partition
from stream.control import publish_definition, read_control
from stream.ends import Ends
from stream.errors import UnreachableError
from stream.messages import ControlVersion
from stream.topics import CONTROL, EVENTS, SYSTEM_PARTITIONS, partition_of, partitions_of_topic
from workers.health import Health
from workers.hub import Hub
from workers.metrics_index import IndexMetrics
from workers.prepare import definition_files
from workers.probe import Probe
from workers.redis_look import RedisLook
from workers.retry import until_done
from workers.runner import SystemRunner
from workers.settings import Settings

log = structlog.get_logger(__name__)

TASK = "control"


class IndexWorker:
    """One process's systems. `await run()` until `stop()`; Kafka's assignments come in through `assigned`/`revoked`."""

    def __init__(self, settings: Settings, redis: Redis, health: Health) -> None:
        self._settings, self._redis, self._health = settings, redis, health
        self._partitions: set[int] = set()
        self._runners: dict[str, tuple[SystemRunner, asyncio.Task[None]]] = {}
        self._changed = asyncio.Event()
        self._ending = False
        self._hub: Hub | None = None
        self._ends: dict[int, int] = {}
        self._metrics = IndexMetrics(health.registry, lambda: [runner for runner, _ in self._runners.values()])

    async def run(self) -> None:
        """Run what is assigned. Errors: those that need a person, from any system."""
        partitions = await until_done("Kafka", self._event_partitions, self._health, stopping=lambda: self._ending)
        self._hub = hub = Hub(self._redis, partitions, self._health)
        await hub.start()
        if self._ending:
            return
        following = asyncio.create_task(hub.run())
        settings, health = self._settings, self._health
        probe = Probe(Ends(settings.kafka, settings.kafka_options), hub.positions, self._told_ends, health)
        look = RedisLook(self._redis, partitions)
        self._metrics.watch(health.registry, hub, lambda: self._ends, look)
        probing, looking = asyncio.create_task(probe.run()), asyncio.create_task(look.run())
        try:
            while not self._ending:
                self._changed.clear()
                health.turn(TASK)
                await self._settle_systems(hub)
                health.rest(TASK)
                tasks = [following, *(task for _, task in self._runners.values())]
                changed = asyncio.create_task(self._changed.wait())
                done, _ = await asyncio.wait([*tasks, changed], return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                for task in done:
                    if task is not changed:
                        task.result()
        finally:
            health.rest(TASK)
            hub.stop()
            probe.stop()
            looking.cancel()
            await self._end(list(self._runners))
            await asyncio.gather(following, probing, looking, return_exceptions=True)

    def _told_ends(self, ends: dict[int, int], at_s: float) -> None:
        self._ends = ends
        for runner, _ in self._runners.values():
            runner.standing.asked(ends, at_s)

    def stop(self) -> None:
        """End; transactions under way are finished."""
        self._ending = True
        if self._hub is not None:
            self._hub.stop()
        self._changed.set()

    def assigned(self, partitions: Iterable[int]) -> None:
        """Kafka's whole assignment of `control` as it is now: systems that are not in it any more stop."""
        self._partitions = set(partitions)
        log.info("assigned", control_partitions=sorted(self._partitions))
        self._changed.set()

    def revoked(self, partitions: Iterable[int]) -> None:
        """These partitions of `control` are not ours any more."""
        self._partitions -= set(partitions)
        self._changed.set()

    def control_changed(self) -> None:
        """Something new stands on `control`."""
        self._changed.set()

    async def _event_partitions(self) -> list[Partition]:
        """The partitions of `indicator-events` as they are, which may not be as many as the settings would create."""

        def ask() -> list[Partition]:
            held = partitions_of_topic(self._settings.kafka, EVENTS, self._settings.kafka_options)
            if not held:
                raise UnreachableError(f"Kafka at {self._settings.kafka}: {EVENTS} has no partitions yet")
            return [Partition(p) for p in held]

        return await asyncio.to_thread(ask)

    async def _settle_systems(self, hub: Hub) -> None:
        """Start, switch and end systems until those that run are those that are assigned and in force."""
        mine = sorted(self._partitions)
        await self._end([system for system in self._runners if partition_of(system) not in self._partitions])
        if not mine:
            return
        controls = await until_done(
            "Kafka",
            lambda: asyncio.to_thread(read_control, self._settings.kafka, mine, self._settings.kafka_options),
            self._health,
            stopping=lambda: self._ending,
        )
        for system, control in controls.items():
            for text in control.refused:
                log.error("record refused", system=system, reason=text, action="it changes nothing")
            version = control.in_force()
            if version is None:
                continue
            if not self._sound(hub, version):
                continue
            running = self._runners.get(system)
            if running is None:
                runner = SystemRunner(self._settings, hub, version, self._health, self._metrics)
                self._runners[system] = runner, asyncio.create_task(runner.run(), name=f"system-{system}")
            elif running[0].version != version.version:
                running[0].switch(version)

    def _sound(self, hub: Hub, version: ControlVersion) -> bool:
        """Whether a definition can be run. A broken one is refused, and what runs goes on."""
        try:
            Definition.parse(version.definition, hub.catalogue, f"control {version.system}/{version.version}")
        except DefinitionError as error:
            self._health.waiting[version.system] = str(error)
            log.error("definition refused", system=version.system, definition=version.version, reason=str(error))
            return False
        return True

    async def _end(self, systems: list[str]) -> None:
        for system in systems:
            self._runners[system][0].stop()  # all at once: each may take a moment
        for system in systems:
            runner, task = self._runners.pop(system)
            await asyncio.gather(task, return_exceptions=True)
            log.info("stopped system", system=system, revision=runner.standing.revision)


def attach_agent(app: faust.App, worker: IndexWorker) -> None:
    """Let the app's consumer of `control` drive `worker`."""
    topic = app.topic(
        CONTROL, partitions=SYSTEM_PARTITIONS, key_serializer="raw", value_serializer="raw", key_type=bytes,
        value_type=bytes,
    )  # fmt: skip

    @app.agent(topic, name="control")
    async def control(records: faust.Stream[bytes]) -> None:
        async for _ in records:
            worker.control_changed()

    @app.on_partitions_assigned.connect  # type: ignore[untyped-decorator]
    async def on_assigned(_app: faust.App, assigned: set[faust.types.TP], **_: object) -> None:
        worker.assigned(tp.partition for tp in assigned if tp.topic == CONTROL)

    @app.on_partitions_revoked.connect  # type: ignore[untyped-decorator]
    async def on_revoked(_app: faust.App, revoked: set[faust.types.TP], **_: object) -> None:
        worker.revoked(tp.partition for tp in revoked if tp.topic == CONTROL)

    app._tidewatch = (control, on_assigned, on_revoked)  # signals keep weak references only


def publish_missing_definitions(settings: Settings) -> list[str]:
    """Put each definition of the systems' folder in force whose system `control` does not know yet.

    Returns the systems' names. Blocking. Errors: DefinitionError, CatalogueError, UnreachableError.
    """
    catalogue = Catalogue.load(settings.catalogue)
    known = read_control(settings.kafka, list(range(SYSTEM_PARTITIONS)), settings.kafka_options)
    published = []
    for path in definition_files(settings.systems):
        definition = Definition.load(path, catalogue)
        if definition.system in known and known[definition.system].active is not None:
            continue
        publish_definition(
            settings.kafka,
            ControlVersion(
                system=definition.system,
                version=definition.version,
                definition=path.read_text(encoding="utf-8"),
                author="tidewatch",
                reason=f"first start, from {path.name}",
                at=datetime.now(UTC).isoformat(timespec="seconds"),
            ),
            options=settings.kafka_options,
        )
        published.append(definition.system)
    return published
