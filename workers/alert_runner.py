"""Evaluates the systems of one partition of the outputs, from what its predecessor left on the topic `alerts`.

    1. initialise transactions: no predecessor can commit any more
    2. read `alerts` back: state, alerts and position of one moment; and the outputs up to there
    3. read on; each whole revision goes through the rules
    4. ONE transaction: what fired and resolved, the state's pieces that changed, the position
    5. tell people; look for the causes, which follow in a later transaction

A kill at any point repeats from 2: what 4 committed is not done again, what it did not is. A transaction is made when
an alert changed, else every COMMIT_S: state and position only ever move together.
"""

from __future__ import annotations

import asyncio
import time

import msgspec
import structlog

from index.rules.ranks import watched
from index.rules.rule import Rule
from stream.alerts import Held, alert_record, position_record, read_alerts
from stream.control import read_control
from stream.errors import MessageError, PublisherFenced, StreamError
from stream.messages import AlertMessage
from stream.publisher import Publisher, Record
from stream.topics import DELTAS, UPDATES
from workers.alert_back import updates_before, watch_anew
from workers.alert_cause import causes_of
from workers.alert_reader import OutputReader
from workers.alert_sources import SourceLook
from workers.alert_system import AlertSystem, definition_of, subject_of_message
from workers.alert_tell import Teller
from workers.alert_whole import Whole
from workers.catalogue_in_force import catalogue_in_redis
from workers.health import Health
from workers.metrics_alerts import AlertMetrics
from workers.retry import PASSING, until_done
from workers.settings import Settings

log = structlog.get_logger(__name__)

COMMIT_S = 1.0
AGAIN_S = 1.0  # before a fenced or failed worker that is still assigned begins anew


class AlertRunner:
    """One partition. `await run()` until `stop()`."""

    def __init__(
        self, settings: Settings, rules: tuple[Rule, ...], partition: int, sources: SourceLook, teller: Teller,
        health: Health, metrics: AlertMetrics,
    ) -> None:  # fmt: skip
        self._settings, self._rules, self.partition = settings, rules, partition
        self._sources, self._teller, self._health, self._metrics = sources, teller, health, metrics
        self._ending = False
        self._task = f"alerts {partition}"
        self.systems: dict[str, AlertSystem] = {}
        self.held = Held()
        self.behind_s: dict[str, float] = {}
        self._causes: asyncio.Task[None] | None = None
        self._wanted: list[AlertMessage] = []
        self._explained: list[AlertMessage] = []

    def stop(self) -> None:
        """End; a transaction under way is finished."""
        self._ending = True

    async def run(self) -> None:
        """Evaluate until `stop()`. Errors: those that need a person."""
        while not self._ending:
            try:
                await self._follow()
            except PublisherFenced as error:
                log.warning("fenced", partition=self.partition, reason=str(error))
                await asyncio.sleep(AGAIN_S)
            except MessageError:
                raise  # a newer version wrote it: a person looks
            except (StreamError, *PASSING) as error:
                if self._ending:
                    return
                log.warning("begins anew", partition=self.partition, reason=str(error))
                await asyncio.sleep(AGAIN_S)
            finally:
                self._health.rest(self._task)
                if self._causes is not None:
                    self._causes.cancel()
                    await asyncio.gather(self._causes, return_exceptions=True)
                    self._causes = None

    async def _follow(self) -> None:
        settings, partition = self._settings, self.partition
        name = f"alerts/{partition}"
        publisher = Publisher(settings.kafka, name, options=settings.kafka_options, partition=partition)

        async def begin() -> OutputReader:
            await publisher.initialise()
            return await asyncio.to_thread(self._read_back)

        try:
            reader = await until_done("Kafka", begin, self._health, stopping=lambda: self._ending)
            try:
                self._teller.begin(self.held.alerts.values())
                self._teller.turn(self.held.silences)
                self._wanted = [each.alert for each in self.held.alerts.values() if _wants_cause(each.alert)]
                self._explained = []
                ended = [message for system in self.systems.values() for message in system.orphans()]
                await self._turns(publisher, reader, ended)
            finally:
                await asyncio.to_thread(reader.close)
        finally:
            # Not left to be collected: a worker's cycle collector seldom runs, and a client has threads of its own.
            publisher.close()

    def _read_back(self) -> OutputReader:
        """Blocking: everything that the last owner left. Errors: UnreachableError, MessageError, DefinitionError."""
        settings, partition = self._settings, self.partition
        self.held = held = read_alerts(settings.kafka, [partition], settings.kafka_options)
        for text in held.refused:
            log.warning("foreign record", partition=partition, reason=text, action="it is passed over")
        self.systems = {}
        reader = OutputReader(settings, partition, held, _done(held))
        try:
            updates = updates_before(settings, partition, reader.begins[UPDATES] if held.offsets else 0)
            for name in set(held.pieces) | {key[0] for key in held.alerts}:
                pieces = held.pieces.get(name, {})
                system = self._made(name, definition_of(pieces))
                if system is not None:
                    standing = [each for key, each in held.alerts.items() if key[0] == name]
                    system.restore(pieces, standing, updates.get(name, ()))
                    self.systems[name] = system
            watch_anew(settings, partition, watched(self._rules), self.systems, reader.begins[DELTAS])
        except BaseException:
            reader.close()
            raise
        log.info(
            "alerts begin", partition=partition, systems=sorted(self.systems), offsets=reader.begins,
            revisions={name: system.state.revision for name, system in self.systems.items()},
        )  # fmt: skip
        return reader

    def _made(self, name: str, definition: int | None) -> AlertSystem | None:
        """A system with that definition (the one in force, where it is not known) and the catalogue that Redis has now.

        None where `control` does not know the system.
        """
        settings = self._settings
        control = read_control(settings.kafka, [self.partition], settings.kafka_options).get(name)
        if control is None:
            return None
        version = control.versions.get(definition or 0) or control.in_force()
        return version and AlertSystem(settings, self._rules, version, catalogue_in_redis(settings))

    async def _turns(self, publisher: Publisher, reader: OutputReader, ended: list[AlertMessage]) -> None:
        messages: list[tuple[AlertMessage, int]] = [(message, int(time.time() * 1000)) for message in ended]
        moved: set[str] = {message.system for message in ended}
        committed_s = time.monotonic()
        while not self._ending:
            self._health.turn(self._task)
            wholes = await asyncio.to_thread(reader.turn)
            for whole in wholes:
                messages += await self._evaluate(whole, at_end=reader.at_end)
                moved.add(whole.revision.system)
            _tell_lacking(wholes)
            self._metrics.progress_s = time.time()
            if reader.at_end:
                self.behind_s = dict.fromkeys(self.systems, 0.0)
            explained, self._explained = self._still_firing(self._explained), []
            if messages or explained or (moved and time.monotonic() - committed_s >= COMMIT_S):
                began = time.monotonic()
                records = self._records(moved, [*(message for message, _ in messages), *explained], reader)
                await publisher.publish(records)
                committed_s = time.monotonic()
                self._metrics.committed(messages, committed_s - began)
                self._tell([message for message, _ in messages], explained)
                messages, moved = [], set()
            self._teller.turn(self.held.silences)
            self._look_for_causes()
        if moved:
            await publisher.publish(self._records(moved, [message for message, _ in messages], reader))

    async def _evaluate(self, whole: Whole, *, at_end: bool) -> list[tuple[AlertMessage, int]]:
        name, revision = whole.revision.system, whole.revision
        system = self.systems.get(name)
        if system is None or system.versions != (revision.definition, revision.catalogue):
            # What the index worker evaluated with; asked once for each revision's pair.
            made = await until_done(
                "Kafka", lambda: asyncio.to_thread(self._made, name, revision.definition), self._health,
                stopping=lambda: self._ending,
            )  # fmt: skip
            if made is None:
                return []
            if system is not None:
                made.adopt(system)
            made.versions = revision.definition, revision.catalogue
            system = self.systems[name] = made
        self.behind_s[name] = max(0.0, time.time() - whole.written_ms / 1000)
        began = time.monotonic()
        found = system.evaluate(whole, self._sources.tops if at_end else {})
        self._metrics.evaluated(time.monotonic() - began)
        return [(message, whole.written_ms) for message in found]

    def _records(self, moved: set[str], messages: list[AlertMessage], reader: OutputReader) -> list[Record]:
        records = [alert_record(message) for message in messages]
        for name in sorted(moved & self.systems.keys()):
            records += self.systems[name].records(())
        return [*records, position_record(reader.offsets())]

    def _tell(self, messages: list[AlertMessage], explained: list[AlertMessage]) -> None:
        for message in (*messages, *explained):
            self._teller.told(message)
        for message in messages:
            log.info(
                f"alert {message.state}", system=message.system, rule=message.rule, subject=subject_of_message(message),
                value=round(message.value, 4), bound=message.bound, revision=message.revision, held_by=message.held_by,
            )  # fmt: skip
        self._wanted += [message for message in messages if _wants_cause(message)]

    def _still_firing(self, explained: list[AlertMessage]) -> list[AlertMessage]:
        """Those causes whose alert has not changed meanwhile."""
        out = []
        for message in explained:
            system = self.systems.get(message.system)
            alert = None if system is None else system.state.alerts.get((message.rule, subject_of_message(message)))
            if alert is not None and alert.state == message.state and alert.revision == message.revision:
                out.append(message)
        return out

    def _look_for_causes(self) -> None:
        if self._wanted and (self._causes is None or self._causes.done()):
            wanted, self._wanted = self._wanted, []
            self._causes = asyncio.create_task(self._find_causes(wanted))

    async def _find_causes(self, wanted: list[AlertMessage]) -> None:
        for name in dict.fromkeys(message.system for message in wanted):
            mine = [message for message in wanted if message.system == name]
            subjects = list(dict.fromkeys((m.entity, m.period or "") for m in mine))
            try:
                found = await causes_of(self._settings, name, subjects)
            except Exception as error:  # an alert without a cause is better than no worker
                log.warning("no cause", system=name, alerts=len(mine), reason=f"{type(error).__name__}: {error}")
                continue
            for message in mine:
                cause = found.get((message.entity, message.period or ""))
                if cause is not None:
                    self._explained.append(msgspec.structs.replace(message, cause=cause))


def _tell_lacking(wholes: list[Whole]) -> None:
    """The worker was away for longer than the outputs keep every revision."""
    for name in dict.fromkeys(whole.revision.system for whole in wholes if whole.lacking):
        lacking = [whole for whole in wholes if whole.lacking and whole.revision.system == name]
        log.warning(
            "compacted", system=name, revisions=[lacking[0].revision.revision, lacking[-1].revision.revision],
            messages=sum(whole.lacking for whole in lacking),
            action="alerts that came and went within these revisions are not told; the others are",
        )  # fmt: skip


def _wants_cause(message: AlertMessage) -> bool:
    return message.state == "firing" and message.cause is None and bool(message.period)


def _done(held: Held) -> dict[str, int]:
    """The last revision evaluated, by system."""
    return {
        system: int(msgspec.json.decode(pieces["head"])["revision"])
        for system, pieces in held.pieces.items()
        if "head" in pieces
    }
