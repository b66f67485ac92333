"""`tidewatch rebuild`, `backup` and `restore`: the state in Redis, judged by the log, saved and put back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer
from redis.asyncio import Redis
from redis.exceptions import RedisClusterException, RedisError

from state.keys import Partition
from workers.masked import masked
from workers.output import console, emit, note, people_table, told
from workers.repair_error import RepairError
from workers.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")]
TIMEOUT_S = 120.0  # of one answer of Redis: a whole partition is written in one step
FAILED = 2  # exit code of an error: 1 says that something differed


@asynccontextmanager
async def _redis(settings: Settings) -> AsyncIterator[Redis]:
    """A client; what Redis refuses, or that it does not answer, is told in one line."""
    from workers.connect import make_redis

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
    2: it could not be done.
    """
    from workers.rebuild import Verdict, partitions_of
    from workers.rebuild import rebuild as rebuild_one

    async def run(settings: Settings) -> list[Verdict]:
        there = partitions_of(settings)
        absent = sorted(set(partition or ()) - set(there))
        if absent:
            raise ValueError(f"--partition {absent[0]}: indicator-events has the partitions 0 to {there[-1]}")
        async with _redis(settings) as redis:
            return [
                await rebuild_one(settings, redis, Partition(p), dry_run=dry_run, progress=note)
                for p in sorted(set(partition or there))
            ]

    with told(FAILED):
        verdicts = asyncio.run(run(Settings()))
        if json:
            emit({"right": all(v.right for v in verdicts), "partitions": [v.to_json() for v in verdicts]})
        else:
            for verdict in verdicts:
                _print(verdict, limit)
        raise typer.Exit(0 if all(v.right for v in verdicts) else 1)


def _print(verdict: object, limit: int) -> None:
    from workers.rebuild import Verdict

    assert isinstance(verdict, Verdict)
    where = f"partition {verdict.partition} at offset {verdict.offset:,} ({verdict.events:,} events)"
    if verdict.right:
        note(f"{where}: right, nothing written")
        return
    total = sum(verdict.kinds.values())
    note(f"{where}: {total:,} difference{'s' * (total != 1)}, {'mended' if verdict.swapped else 'nothing written'}")
    table = people_table("kind", "row", "field", "Redis", "by the log", title=f"{where}: {dict(verdict.kinds)}")
    for each in verdict.shown[: limit or None]:
        table.add_row(each.kind, each.row, each.field, each.live or "-", each.right or "-")
    console.print(table)


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
