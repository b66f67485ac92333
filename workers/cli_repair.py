"""`tidewatch rebuild`, `backup` and `restore`: the state in Redis, judged by the log, saved and put back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workers.masked import masked
from workers.output import console, emit, note, people_table, told
from workers.repair_error import RepairError
from workers.settings import Settings

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from workers.rebuild import Verdict

Json = Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")]
TIMEOUT_S = 120.0  # of one answer of Redis: a whole partition is written in one step
FAILED = 2  # exit code of an error: 1 says that something differed


@asynccontextmanager
async def _redis(settings: Settings) -> AsyncIterator[Redis]:
    """A client; what Redis refuses, or that it does not answer, is told in one line."""
    from redis.exceptions import RedisClusterException, RedisError

    from workers.redis_client import make_redis

    redis = make_redis(settings.redis, timeout_s=TIMEOUT_S)
    try:
        yield redis
    except (RedisError, RedisClusterException) as error:
        raise RepairError(f"Redis at {masked(settings.redis)}: {type(error).__name__}: {error}") from None
    finally:
        await redis.aclose()


def rebuild(
    partition: Annotated[list[int] | None, typer.Option("--partition", "-p", help="repeatable; default: all")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what differs")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", help="differences to print of each partition")] = 20,
    json: Json = False,
) -> None:
    """Recompute Redis's aggregates from the log, and swap in what differs, while the workers go on.

    Exit code 0: all was right, and nothing was written; 1: it was wrong, and is mended (with --dry-run: is wrong);
    2: a partition could not be judged; the others are, and what is mended is said at once.
    """
    from state.errors import StateError
    from state.keys import Partition
    from workers.rebuild import partitions_of
    from workers.rebuild import rebuild as rebuild_one

    async def run(settings: Settings) -> tuple[list[Verdict], dict[str, str]]:
        there = partitions_of(settings)
        absent = sorted(set(partition or ()) - set(there))
        if absent:
            raise ValueError(f"--partition {absent[0]}: indicator-events has the partitions 0 to {there[-1]}")
        verdicts: list[Verdict] = []
        failed: dict[str, str] = {}
        async with _redis(settings) as redis:
            for p in sorted(set(partition or there)):
                try:
                    verdict = await rebuild_one(settings, redis, Partition(p), dry_run=dry_run, progress=note)
                except (RepairError, StateError) as error:  # of this partition alone
                    failed[str(p)] = masked(str(error))
                    note(f"tidewatch: {failed[str(p)]}")
                    continue
                verdicts.append(verdict)
                # At once: whatever happens to the next partition, what was written here is said.
                _print(verdict, limit, table=not json)
        return verdicts, failed

    with told(FAILED):
        verdicts, failed = asyncio.run(run(Settings()))
        right = not failed and all(v.right for v in verdicts)
        if json:
            emit({"right": right, "partitions": [v.to_json() for v in verdicts], "failed": failed})
        raise typer.Exit(FAILED if failed else 0 if right else 1)


def _print(verdict: Verdict, limit: int, *, table: bool) -> None:
    where = f"partition {verdict.partition} at offset {verdict.offset:,} ({verdict.events:,} events)"
    if verdict.right:
        note(f"{where}: right, nothing written")
        return
    total = sum(verdict.kinds.values())
    note(f"{where}: {total:,} difference{'s' * (total != 1)}, {'mended' if verdict.swapped else 'nothing written'}")
    if not table:
        return
    rows = people_table("kind", "row", "field", "Redis", "by the log", title=f"{where}: {dict(verdict.kinds)}")
    for each in verdict.shown[: limit or None]:
        rows.add_row(each.kind, each.row, each.field, each.live or "-", each.right or "-")
    console.print(rows)


def backup(
    place: Annotated[Path, typer.Argument(help="file to write, or a folder: then the name says when")],
    json: Json = False,
) -> None:
    """Write the state in Redis to a file, while the workers go on: each partition at an offset of its own."""
    from workers.backup import backup as make

    async def run(settings: Settings) -> dict[str, object]:
        async with _redis(settings) as redis:
            return await make(settings, redis, place, progress=note)

    with told():
        result = asyncio.run(run(Settings()))
        if json:
            emit(result)
        else:
            note(f"{result['file']}: {result['bytes']:,} bytes, {result['rows']:,} rows")


def restore(
    file: Annotated[Path, typer.Argument(help="what `backup` wrote")],
    replace: Annotated[bool, typer.Option("--replace", help="also where Redis is not empty")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only check whether it could be done")] = False,
    json: Json = False,
) -> None:
    """Put a backup into Redis; ingest workers, running or started later, read on from its offsets."""
    from workers.backup import restore as put_back

    async def run(settings: Settings) -> dict[str, object]:
        async with _redis(settings) as redis:
            return await put_back(settings, redis, file, replace=replace, dry_run=dry_run, progress=note)

    with told():
        result = asyncio.run(run(Settings()))
        if json:
            emit(result)
        else:
            note(f"{result['file']} of {result['made_at']}: {result['restored']} partitions restored")
