"""Another state in place of a partition's: what a rebuild swaps in, and what a restore writes. One atomic step.

The state is a function of the log up to its offset. So whoever knows it at the offset where Redis stands may write it,
whoever the owner is: the owner of before is fenced by the new token, acquires again, and goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from redis.asyncio import Redis

from state import scripts
from state.content import Content
from state.errors import SchemaError
from state.inspect import Look
from state.keys import META, SCHEMA, Partition, Token, key

_encode = msgspec.json.Encoder().encode
CHUNK = 1_000  # rows that Redis decodes at a time: bounds what the script needs beside the state


async def swap(
    redis: Redis, partition: Partition, token: Token, lineage: str, seen: Look, right: Content, orphans: Iterable[str]
) -> bool:
    """Write `right` where Redis still stands as `seen`, by offset and lineage; False, and nothing written, where not.

    Rows that are right stay as they are. `right` must reach the offset of `seen` (any, where that is no number).
    Repeating it after a lost reply is safe: it says False then. Errors: SchemaError, redis-py's errors.
    """
    changed = {row: fields for row, fields in right.rows.items() if seen.rows.get(row) != fields}
    gone = [row for row in {*seen.rows, *orphans} if row not in right.rows]
    whole = bool(seen.odd)
    rows = right.rows if whole else changed
    return await _run(redis, partition, _as(seen), token, lineage, right, rows, gone, None, whole)


async def put(
    redis: Redis,
    partition: Partition,
    token: Token,
    lineage: str,
    content: Content,
    orphans: Iterable[str],
    skipped: list[str],
    only: Look | None = None,
) -> bool:
    """Write `content` in place of whatever is there, with what was `skipped`; with `only`, as long as Redis stands so.

    False, and nothing written, where it does not. Errors: SchemaError, redis-py's errors (repeat it).
    """
    state = ("any", "", "") if only is None else _as(only)
    return await _run(redis, partition, state, token, lineage, content, content.rows, list(orphans), skipped, True)


def _as(seen: Look) -> tuple[str, str, str]:
    return "state", seen.meta.get("offset", ""), seen.meta.get("lineage", "")


async def _run(
    redis: Redis,
    partition: Partition,
    state: tuple[str, str, str],
    token: Token,
    lineage: str,
    content: Content,
    rows: dict[str, dict[str, str]],
    gone: list[str],
    skipped: list[str] | None,
    whole: bool,
) -> bool:
    reply = await scripts.run(
        redis,
        "replace",
        key(partition, META),
        *state,
        token,
        lineage,
        SCHEMA,
        content.offset,
        "" if content.watermark_us is None else content.watermark_us,
        "" if content.catalogue_version is None else content.catalogue_version,
        content.catalogue or b"",
        _encode(_flat({name: str(n) for name, n in content.counts.items()})),
        _encode(_flat(content.windows)),
        "whole" if whole else "rows",
        _encode(gone),
        b"" if skipped is None else _encode(skipped),
        *_chunks(rows),
    )
    if reply[0] == "schema":
        raise SchemaError(partition, str(reply[1]), SCHEMA)
    return bool(reply[0] == "ok")


def _flat(pairs: dict[str, str]) -> list[str]:
    return [text for pair in pairs.items() for text in pair]


def _chunks(rows: dict[str, dict[str, str]]) -> Iterator[bytes]:
    names = list(rows)
    for begin in range(0, len(names), CHUNK):
        yield _encode([[row, *_flat(rows[row])] for row in names[begin : begin + CHUNK]])
