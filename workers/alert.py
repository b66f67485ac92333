"""The alert worker: evaluates the systems whose partition of `control` Kafka assigns to it; others stand by.

As with the index worker, a Faust agent on `control` is the turn, and the transactional id per partition fences whoever
believes too long that it is his.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from pathlib import Path

import faust
import structlog
from redis.asyncio import Redis

from index.rules.rule import FILE, Rule, read_rules
from stream.messages import AlertSilence
from stream.topics import CONTROL, SYSTEM_PARTITIONS
from workers.alert_out import outputs_of
from workers.alert_runner import AlertRunner
from workers.alert_sources import SourceLook
from workers.alert_system import AlertSystem
from workers.alert_tell import Teller
from workers.health import Health
from workers.metrics_alerts import AlertMetrics
from workers.settings import Settings

log = structlog.get_logger(__name__)

TASK = "alerts"


def rules_of(settings: Settings) -> tuple[Rule, ...]:
    """The rules of the file that the settings name. Errors: DefinitionError."""
    return read_rules(rules_file(settings))


def rules_file(settings: Settings) -> Path:
    """Where the rules stand."""
    return settings.alerts or Path(settings.systems) / FILE


class AlertWorker:
    """One process's partitions. `await run()` until `stop()`; Kafka's assignments come in through `assigned`."""

    def __init__(self, settings: Settings, redis: Redis, health: Health) -> None:
        """Errors: DefinitionError (the rules), ValueError (an output's setting)."""
        self._settings, self._health = settings, health
        self._rules = rules_of(settings)
        self._partitions: set[int] = set()
        self._runners: dict[int, tuple[AlertRunner, asyncio.Task[None]]] = {}
        self._changed = asyncio.Event()
        self._ending = False
        self._sources = SourceLook(settings, redis)
        self._metrics = AlertMetrics(health.registry, self._rules, self._systems, self._silences, self._lag_s)

    async def run(self) -> None:
        """Evaluate what is assigned. Errors: those that need a person, of any partition."""
        outputs = outputs_of(self._settings, self._metrics.notified)
        self._teller = Teller(outputs)
        beside = [asyncio.create_task(output.run()) for output in outputs]
        beside.append(asyncio.create_task(self._sources.run()))
        try:
            while not self._ending:
                self._changed.clear()
                self._health.turn(TASK)
                await self._settle()
                self._health.rest(TASK)
                changed = asyncio.create_task(self._changed.wait())
                running = [task for _, task in self._runners.values()]
                done, _ = await asyncio.wait([changed, *running, *beside], return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                for task in done:
                    if task is not changed:
                        task.result()
        finally:
            self._health.rest(TASK)
            await self._end(list(self._runners))
            for task in beside:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*beside, return_exceptions=True)

    def stop(self) -> None:
        """End; transactions under way are finished."""
        self._ending = True
        for runner, _ in self._runners.values():
            runner.stop()
        self._changed.set()

    def assigned(self, partitions: Iterable[int]) -> None:
        """Kafka's whole assignment of `control` as it is now."""
        self._partitions = set(partitions)
        log.info("assigned", control_partitions=sorted(self._partitions))
        self._changed.set()

    def revoked(self, partitions: Iterable[int]) -> None:
        """These partitions are not ours any more."""
        self._partitions -= set(partitions)
        self._changed.set()

    async def _settle(self) -> None:
        await self._end([partition for partition in self._runners if partition not in self._partitions])
        for partition in sorted(self._partitions - self._runners.keys()):
            if self._ending:
                return
            runner = AlertRunner(
                self._settings, self._rules, partition, self._sources, self._teller, self._health, self._metrics,
            )  # fmt: skip
            self._runners[partition] = runner, asyncio.create_task(runner.run(), name=f"alerts-{partition}")

    async def _end(self, partitions: list[int]) -> None:
        for partition in partitions:
            self._runners[partition][0].stop()  # all at once: each may take a moment
        for partition in partitions:
            _, task = self._runners.pop(partition)
            await asyncio.gather(task, return_exceptions=True)

    def _systems(self) -> Iterable[AlertSystem]:
        return [system for runner, _ in self._runners.values() for system in runner.systems.values()]

    def _silences(self) -> dict[str, AlertSilence]:
        return next((runner.held.silences for runner, _ in self._runners.values()), {})

    def _lag_s(self) -> Iterable[tuple[str, float]]:
        return [each for runner, _ in self._runners.values() for each in runner.behind_s.items()]


def attach_alert_agent(app: faust.App, worker: AlertWorker) -> None:
    """Let the app's consumer of `control` say which partitions are ours."""
    topic = app.topic(
        CONTROL, partitions=SYSTEM_PARTITIONS, key_serializer="raw", value_serializer="raw", key_type=bytes,
        value_type=bytes,
    )  # fmt: skip

    @app.agent(topic, name="alerts")
    async def control(records: faust.Stream[bytes]) -> None:
        async for _ in records:
            pass  # a new definition shows in the revisions

    @app.on_partitions_assigned.connect  # type: ignore[untyped-decorator]
    async def on_assigned(_app: faust.App, assigned: set[faust.types.TP], **_: object) -> None:
        worker.assigned(tp.partition for tp in assigned if tp.topic == CONTROL)

    @app.on_partitions_revoked.connect  # type: ignore[untyped-decorator]
    async def on_revoked(_app: faust.App, revoked: set[faust.types.TP], **_: object) -> None:
        worker.revoked(tp.partition for tp in revoked if tp.topic == CONTROL)

    app._tidewatch = (control, on_assigned, on_revoked)  # signals keep weak references only
