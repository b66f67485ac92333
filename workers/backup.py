"""`tidewatch backup` and `restore`: the state in Redis as a file, and back.

Each partition is one atomic look at an offset of its own. That is sound: its state is a function of the log up to
there, so whoever has it goes on from there. A restore puts each partition back in one step, under a token of its own:
live workers are refused, acquire again, and read on from the offset restored.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace as replaced
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis

from index.errors import IndexFault
from state import migrate
from state.aggregates import Aggregates
from state.content import Content
from state.errors import CorruptStateError, SchemaError
from state.inspect import Look, inspect, rows_there
from state.keys import SCHEMA, Partition, Token
from state.replace import put
from stream.catalogue_log import parsed_catalogue
from stream.ends import Ends
from stream.identity import Identity, identity
from stream.topics import EVENTS
from workers.backup_file import About, Part, check, read_about, read_parts, write
from workers.repair_error import RepairError
from workers.settings import Settings

Progress = Callable[[str], None]


async def backup(
    settings: Settings,
    redis: Redis,
    place: Path,
    *,
    progress: Progress = lambda line: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> dict[str, Any]:
    """Write the state of all partitions to `place` (a file, or a folder for a name that says when). Returns a summary.

    Errors: RepairError (a state that could not be restored: it names what), SchemaError, StreamError, OSError.
    """
    log, made = identity(settings.kafka, settings.kafka_options), now()
    path = place / f"tidewatch-{made:%Y%m%dT%H%M%SZ}.backup" if place.is_dir() else place
    about = About(
        schema=SCHEMA,
        made_at=f"{made:%Y-%m-%dT%H:%M:%SZ}",
        topic=EVENTS,
        topic_id=log.topic_id,
        cluster_id=log.cluster_id,
        partitions=log.partitions,
    )
    offsets: dict[str, int] = {}
    rows = 0

    async def parts() -> AsyncIterator[Part]:
        nonlocal rows
        for partition in log.partitions:
            look = await inspect(redis, Partition(partition))
            part = Part(partition, _content(look), look.skipped)
            offsets[str(partition)] = part.content.offset
            rows += len(look.rows)
            progress(f"partition {partition} at offset {look.offset}: {len(look.rows):,} rows")
            yield part

    size = await write(path, about, parts())
    return {"file": str(path), "bytes": size, "offsets": offsets, "rows": rows}


def _content(look: Look) -> Content:
    """What a look says; only what a worker could go on from. Errors: RepairError."""
    mend = f"; nothing written. Mend it first: tidewatch rebuild --partition {look.partition}"
    if look.odd:
        raise RepairError(f"partition {look.partition}: keys of another type in Redis: {', '.join(look.odd)}{mend}")
    try:
        watermark, version = look.meta.get("watermark"), look.meta.get("catalogue")
        content = Content(
            look.offset if look.offset is not None else int(look.meta["offset"]),  # type: ignore[arg-type]
            None if watermark is None else int(watermark),
            None if version is None else int(version),
            look.catalogue,
            look.windows,
            {name: int(n) for name, n in look.counts.items()},
            look.rows,
        )
        _usable(Part(look.partition, content, look.skipped))
    except (ValueError, CorruptStateError, IndexFault) as error:
        raise RepairError(f"partition {look.partition}: Redis holds what cannot be read: {error}{mend}") from None
    return content


def _usable(part: Part) -> None:
    """Whether an ingest worker could go on from it. Errors: CorruptStateError, IndexFault, ValueError."""
    content = part.content
    if content.catalogue is not None:
        catalogue = parsed_catalogue(content.catalogue)
        if catalogue.version != content.catalogue_version:
            raise ValueError(f"catalogue {catalogue.version} under the version {content.catalogue_version}")
        Aggregates(catalogue, content.snapshot(Partition(part.partition)))
    elif content.offset > 0:
        raise ValueError(f"offset {content.offset}, and no catalogue")


async def restore(
    settings: Settings,
    redis: Redis,
    path: Path,
    *,
    replace: bool = False,
    dry_run: bool = False,
    progress: Progress = lambda line: None,
    new_token: Callable[[], str] = lambda: uuid4().hex,
) -> dict[str, Any]:
    """Put a backup's partitions into Redis, each in one step; `replace`: over what is there. All is checked first.

    Errors: RepairError, SchemaError, StreamError, OSError; where it breaks off on the way, run it again.
    """
    check(path)
    about = read_about(path)
    log = identity(settings.kafka, settings.kafka_options)
    _belongs(path, about, log)
    offsets: dict[int, int] = {}
    for part in _parts(path, about):
        try:
            _usable(part)
        except (ValueError, CorruptStateError, IndexFault) as error:
            raise RepairError(f"{path}: partition {part.partition}: {error}; nothing written") from None
        offsets[part.partition] = part.content.offset
    _held(settings, path, offsets)
    try:
        seen = {p: await inspect(redis, Partition(p)) for p in offsets}
    except SchemaError as error:
        if error.older:
            raise
        raise RepairError(
            f"{error}. A newer state may hold keys that this version does not know, so it is not overwritten: go back "
            "by restoring into an empty Redis"
        ) from None
    there = {p: look.meta.get("offset", "0") for p, look in seen.items()}
    taken = [p for p, offset in there.items() if offset != "0" or seen[p].rows or seen[p].odd]
    if taken and not replace:
        raise RepairError(
            f"Redis is not empty: partition {taken[0]} stands at offset {there[taken[0]]}; nothing written. "
            "To go back to the backup all the same, say --replace: the workers read the log again from its offsets"
        )
    result = {"file": str(path), "made_at": about.made_at, "offsets": {str(p): o for p, o in offsets.items()}}
    if dry_run:
        return {**result, "restored": 0}
    n = 0
    for n, part in enumerate(_parts(path, about), 1):
        partition = Partition(part.partition)
        orphans = await rows_there(redis, partition)
        only = None if replace else seen[partition]
        if not await put(redis, partition, Token(new_token()), new_token(), part.content, orphans, part.skipped, only):
            raise RepairError(
                f"partition {partition}: somebody began to fill it; {n - 1} partitions before it are restored. Stop "
                "the ingest workers, or say --replace, and run it again"
            )
        progress(f"partition {partition} at offset {part.content.offset}, was at {there[partition]}")
    return {**result, "restored": n}


def _parts(path: Path, about: About) -> Iterator[Part]:
    """The partitions as our schema version has them; a file of an older one is read through the steps."""
    for part in read_parts(path):
        old = replaced(part.content.snapshot(Partition(part.partition)), schema=about.schema)
        yield part._replace(content=Content.of(migrate.upgraded(old))) if about.schema != SCHEMA else part


def _belongs(path: Path, about: About, log: Identity) -> None:
    if not migrate.oldest() <= about.schema <= SCHEMA:
        raise RepairError(
            f"{path}: a state of schema version {about.schema}, this version knows {SCHEMA}; nothing written. Use the "
            "version that wrote it, or a newer one"
        )
    if about.topic_id and log.topic_id and about.topic_id != log.topic_id:
        raise RepairError(
            f"{path}: made of another log: topic {about.topic} {about.topic_id} of cluster {about.cluster_id}, here it "
            f"is {log.topic_id} of {log.cluster_id}; nothing written. Its offsets mean nothing here"
        )
    if about.partitions != log.partitions:
        raise RepairError(
            f"{path}: of {len(about.partitions)} partitions, {about.topic} has {len(log.partitions)}; nothing written"
        )


def _held(settings: Settings, path: Path, offsets: dict[int, int]) -> None:
    """Whether the log still holds what follows each offset."""
    ends = Ends(settings.kafka, settings.kafka_options)
    first, end = ends.ask(list(offsets), first=True), ends.ask(list(offsets))
    for partition, offset in offsets.items():
        if offset < first[partition]:
            raise RepairError(
                f"{path}: partition {partition} stands at offset {offset}, and the log now begins at "
                f"{first[partition]}: {first[partition] - offset} offsets between are gone; nothing written. "
                "Use a younger backup"
            )
        if offset > end[partition]:
            raise RepairError(
                f"{path}: partition {partition} stands at offset {offset}, and the log ends at {end[partition]}: it is "
                "another log, or it lost records; nothing written"
            )
