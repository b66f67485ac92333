"""Doctor's look at the work: how every partition and system stands, and which schemas and catalogues are in force.

Everything that may lag is looked at twice: what is behind and gets on is well, what is behind and stands still is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Message
from redis.asyncio import Redis

from index.catalogue import Catalogue
from index.definition import Definition
from index.errors import IndexFault
from state.errors import SchemaError
from state.keys import META, SCHEMA, key
from state.migrate import version_of
from stream.control import SystemControl, read_control
from stream.ends import Ends
from stream.messages import Revision, read_message
from stream.tail import high_watermarks, read_to
from stream.topics import EVENTS, REVISIONS, SYSTEM_PARTITIONS
from workers.finding import Finding, fail, ok, warn
from workers.prepare import definition_files
from workers.settings import Settings

BETWEEN_S = 1.5  # the two looks: longer than a flush, a revision, and the second that an owner waits in silence


@dataclass(slots=True)
class Look:
    """At one moment. `last`: system -> (its last revision, Kafka's time of it in ms)."""

    meta: dict[int, dict[str, str]]
    low: dict[int, int]
    ends: dict[int, int]
    last: dict[str, tuple[Revision, int]]

    def offset(self, partition: int) -> int:
        """The next offset, as Redis has it."""
        return int(self.meta[partition].get("offset", 0))


async def work_findings(
    settings: Settings,
    redis: Redis,
    partitions: list[int],
    wall: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> list[Finding]:
    """How partitions and systems stand; `partitions` of `indicator-events`, as they are. `wall`: UTC, seconds.

    Errors: UnreachableError, redis-py's, where a server went away meanwhile; MessageError.
    """
    ends = Ends(settings.kafka, settings.kafka_options)
    first = await _look(settings, redis, partitions, ends)
    found = [*_schemas(first)]
    if any(finding.level == "fail" for finding in found):
        return found
    await sleep(BETWEEN_S)
    second = await _look(settings, redis, partitions, ends)
    for partition in partitions:
        found.append(_partition(partition, first, second))
    control = await asyncio.to_thread(
        read_control, settings.kafka, list(range(SYSTEM_PARTITIONS)), settings.kafka_options
    )
    found += _systems(control, first, second, wall())
    found += _editions(settings, control, second)
    return found


async def _look(settings: Settings, redis: Redis, partitions: list[int], ends: Ends) -> Look:
    pipe = redis.pipeline(transaction=False)
    for partition in partitions:
        pipe.hgetall(key(partition, META))
    meta: list[Any] = await pipe.execute()
    held = dict(zip(partitions, meta, strict=True))
    offsets = {p: int(fields.get("offset", 0)) for p, fields in held.items()}

    def ask() -> tuple[dict[int, int], dict[int, int], dict[str, tuple[Revision, int]]]:
        asked = ends.ask(partitions)
        behind = {p: end for p, end in asked.items() if offsets[p] < end}
        return (
            ends.ask(partitions, first=True),
            {**asked, **ends.without_markers(offsets, behind)},
            _last_revisions(settings),
        )

    low, high, last = await asyncio.to_thread(ask)
    return Look(held, low, high, last)


def _last_revisions(settings: Settings) -> dict[str, tuple[Revision, int]]:
    """Blocking. Errors: UnreachableError, MessageError."""
    where = [(REVISIONS, p) for p in range(SYSTEM_PARTITIONS)]
    last: dict[str, tuple[Revision, int]] = {}
    message: Message
    for message in read_to(
        settings.kafka, high_watermarks(settings.kafka, where, settings.kafka_options), settings.kafka_options
    ):
        value = message.value()
        if isinstance(value, bytes):
            revision = read_message(Revision, value, f"{REVISIONS} {message.key()!r}", lambda _: None)
            if revision is None:
                continue
            if revision.system not in last or revision.revision > last[revision.system][0].revision:
                last[revision.system] = revision, message.timestamp()[1]
    return last


def _schemas(look: Look) -> Iterator[Finding]:
    others: dict[int, str] = {}
    older: list[int] = []
    for partition, fields in look.meta.items():
        try:
            if fields and version_of(partition, fields.get("schema")) < SCHEMA:
                older.append(partition)
        except SchemaError:
            others[partition] = fields.get("schema", "")
    if others:
        what = f"Redis holds schema version {', '.join(sorted(set(others.values())))}, this build knows {SCHEMA}"
        yield fail("schema", f"{what} (partitions {sorted(others)})", "upgrade the workers: they refuse to touch it")
    elif older:
        what = f"partitions {sorted(older)} are of an older schema version than {SCHEMA}"
        yield warn("schema", what, "ingest workers of this build bring them up when they take them over: start them")
    else:
        yield ok("schema", f"state in Redis is of schema version {SCHEMA}")


def _partition(partition: int, before: Look, now: Look) -> Finding:
    offset, low, end = now.offset(partition), now.low[partition], now.ends[partition]
    where = f"{EVENTS}/{partition}: Redis at {offset}, log {low} to {end}"
    if offset > end:
        do = f"the log lost its end: restore a backup that names at most {end} (`tidewatch restore`); or it is not ours"
        return fail("partition", where, do)
    if offset < low:
        do = (
            f"retention took {low - offset} offsets that were not read: raise it; restore a backup of Redis that names "
            f"a held one, or accept the loss: tidewatch skip-missing --partition {partition} --to {low}"
        )
        return fail("partition", where, do)
    if not now.meta[partition].get("epoch"):
        return warn("partition", f"{where}; no worker has ever owned it", "start an ingest worker: `tidewatch ingest`")
    lag = end - offset
    if lag and offset == before.offset(partition):
        do = "is an ingest worker running and ready (/readyz)? its log says what it waits for"
        return warn("partition", f"{where}: {lag} messages behind, and it stands still", do)
    return ok("partition", f"{where}: {lag} messages behind")


def _systems(control: dict[str, SystemControl], before: Look, now: Look, wall_s: float) -> Iterator[Finding]:
    if not any(system.active for system in control.values()):
        yield warn("systems", "no index system is in force", "start an index worker: it publishes those of systems/")
    for name, system in sorted(control.items()):
        if system.active is None:
            continue
        held = now.last.get(name)
        if held is None:
            yield warn("system", f"{name}: nothing published yet", "start an index worker: `tidewatch index`")
            continue
        revision, stamp_ms = held
        behind = sum(max(0, now.offset(p) - revision.offsets.get(str(p), 0)) for p in now.meta)
        back = [p for p in now.meta if now.offset(p) < revision.offsets.get(str(p), 0)]
        age = f"revision {revision.revision}, {max(0.0, wall_s - stamp_ms / 1000):.0f} s old"
        if back:
            do = "Redis went back; ingest reads it again from Kafka, and the index worker waits for that"
            yield warn("system", f"{name}: {age}, includes more than Redis holds in partitions {back}", do)
        elif behind and name in before.last and before.last[name][0].revision == revision.revision:
            do = "is an index worker running and ready (/readyz)? its log says what it waits for"
            yield warn("system", f"{name}: {age}, {behind} messages behind Redis, and it stands still", do)
        else:
            yield ok("system", f"{name}: {age}, {behind} messages behind Redis")


def _editions(settings: Settings, control: dict[str, SystemControl], look: Look) -> Iterator[Finding]:
    """Which versions are in force, against those in the folders."""
    in_force = {p: int(v) for p, fields in look.meta.items() if (v := fields.get("catalogue"))}
    try:
        ours = Catalogue.load(settings.catalogue)
    except (IndexFault, OSError) as error:
        yield fail("catalogue", str(error), "mend the folder, or set TIDEWATCH_CATALOGUE")
        return
    versions = sorted(set(in_force.values()))
    if len(versions) > 1:
        do = "publish it again (`tidewatch catalogue publish`): it goes where it is missing"
        yield warn("catalogue", f"versions {versions} are in force, by partition: {in_force}", do)
    elif versions and ours.version != versions[0]:
        do = "`tidewatch catalogue publish`, or set TIDEWATCH_CATALOGUE to the folder that is in force"
        yield warn("catalogue", f"version {versions[0]} is in force, the folder holds {ours.version}", do)
    else:
        yield ok("catalogue", f"version {versions[0] if versions else 'none yet'} is in force")
    for path in definition_files(settings.systems):
        try:
            definition = Definition.load(path, ours)
        except IndexFault as error:
            yield fail("definition", str(error), "mend the file: it cannot be put in force")
            continue
        held = control.get(definition.system)
        version = held.active.version if held is not None and held.active is not None else None
        if version is not None and version < definition.version:
            do = "put the newer one in force, or leave it: only what `control` names is run"
            yield warn("definition", f"{path.name} has version {definition.version}, in force is {version}", do)
