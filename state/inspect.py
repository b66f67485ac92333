"""A look at everything of a partition that can be wrong, readable or not: for comparing, never for working on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from state import scripts
from state.errors import SchemaError
from state.keys import META, SCHEMA, Offset, Partition, Token, key, tag
from state.migrate import FIRST, oldest


@dataclass(frozen=True, slots=True)
class Look:
    """What Redis holds of one partition at one instant, as text. `odd`: keys of a type that they must not have.

    `skipped`: what a person gave up (`tidewatch skip-missing`). The feed: number of `entries`, ids of the `first` and
    the `last` ('' if there is none), and the list `sizes`.
    """

    partition: Partition
    meta: dict[str, str]
    catalogue: bytes | None
    windows: dict[str, str]
    counts: dict[str, str]
    rows: dict[str, dict[str, str]]
    entries: int
    first: str
    last: str
    sizes: list[str]
    skipped: list[str]
    odd: list[str]

    @property
    def offset(self) -> Offset | None:
        """The next offset, 0 before the first flush; None where it is no number."""
        text = self.meta.get("offset", "0")
        return Offset(int(text)) if text.isdecimal() and text.isascii() else None


async def inspect(redis: Redis, partition: Partition, token: Token | None = None) -> Look:
    """All of `partition` in one atomic step; with `token`, that is the owner from then on, and every other is fenced.

    Holds Redis as long as `load` does. Errors: SchemaError (another than this code's), redis-py's errors.
    """
    reply: Any = await scripts.run(redis, "inspect", key(partition, META), token or "", SCHEMA)
    if reply[0] == "schema":
        raise SchemaError(partition, str(reply[1]), SCHEMA)
    found = _dict(reply[1][0])
    version = found.get("schema", str(FIRST)) if found else str(SCHEMA)
    if version.isdecimal() and int(version) != SCHEMA:  # an older one: its owner brings it up first
        raise SchemaError(partition, version, SCHEMA, oldest())
    (_, catalogue, windows, counts, rows), (entries, first, last, sizes), skipped, odd = reply[1:]
    return Look(
        partition,
        found,
        catalogue.encode() if catalogue else None,
        _dict(windows),
        _dict(counts),
        {row: _dict(flat) for row, flat in zip(rows[::2], rows[1::2], strict=True)},
        int(entries),
        first,
        last,
        list(sizes),
        list(skipped),
        list(odd),
    )


def _dict(flat: list[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


async def rows_there(redis: Redis, partition: Partition) -> set[str]:
    """Every row key that exists, listed in `rows` or not: a walk over the keys of the server that holds the partition.

    Not one step: what flushes add meanwhile may be missed. Nothing where the user has no right to walk (SCAN shows the
    keys of others too). Errors: redis-py's.
    """
    prefix = tag(partition)
    client: Any = redis
    await client.hget(key(partition, META), "offset")  # so that a client of a Cluster knows who holds the partition
    where = {"target_nodes": client.get_node_from_key(prefix)} if hasattr(client, "get_node_from_key") else {}
    # A brace is no special character of a pattern.
    try:
        names = [name async for name in client.scan_iter(match=f"{prefix}*", count=5000, **where)]
    except NoPermissionError:
        return set()
    return {name[len(prefix) :] for name in names if name.startswith((f"{prefix}cells:", f"{prefix}days:"))}
