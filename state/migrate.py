"""From one schema version of the state to the next: a table of steps, and what may be read at all.

A step is a pure function, so the owner and every reader use the same one. The owner rewrites a partition of an older
version when it takes it over, in one fenced atomic step of its own (`migrate.lua`); until then, and for feed entries
that were written before, readers take the steps in memory. So readers are upgraded first, owners after them. A version
without a step, or above ours, is refused by name (SchemaError).

A step is added together with a new `SCHEMA`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from state import keys, scripts
from state.errors import FencedError, RewoundError, SchemaError
from state.keys import META, Partition, Token, key

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from state.snapshot import Snapshot

Rows = list[list[Any]]  # [row, field, value, field, value, ...], as in a feed entry
FIRST = 1  # of a state, or a feed entry, that names no version

_encode = msgspec.json.Encoder().encode


class Step(NamedTuple):
    """From a version to the next. `state` rewrites a whole partition (rows, windows, counts); `rows` those of a feed
    entry. Both must agree: a cell that is not touched means the same before and after.
    """

    state: Callable[[Snapshot], Snapshot]
    rows: Callable[[Rows], Rows]


STEPS: dict[int, Step] = {
    # Version 2 has more to say (a cell that ended, a level that is none), and says what 1 said as 1 did.
    1: Step(state=lambda snapshot: snapshot, rows=lambda rows: rows),
}


def oldest() -> int:
    """The lowest version that the steps lead up from."""
    version = keys.SCHEMA
    while version - 1 in STEPS:
        version -= 1
    return version


def version_of(partition: int, stored: str | None) -> int:
    """The version that is stored (None: none is named). Errors: SchemaError where it cannot be read by us."""
    version = FIRST if stored is None else int(stored) if stored.isdecimal() else -1
    if not oldest() <= version <= keys.SCHEMA:
        raise SchemaError(partition, str(stored), keys.SCHEMA)
    return version


def upgraded(snapshot: Snapshot) -> Snapshot:
    """The snapshot as our version has it; `schema` still names the version that is stored."""
    out = snapshot
    for version in range(snapshot.schema, keys.SCHEMA):
        out = STEPS[version].state(out)
    return replace(out, schema=snapshot.schema)


def upgraded_rows(version: int, rows: Rows) -> Rows:
    """Rows of a feed entry of `version` as ours has them."""
    for each in range(version, keys.SCHEMA):
        rows = STEPS[each].rows(rows)
    return rows


async def rewrite(redis: Redis, partition: Partition, token: Token, snapshot: Snapshot) -> None:
    """Store an upgraded snapshot in place of the older state that its owner has just taken over, atomically.

    Nothing is written where the state is not that one any more. Errors: FencedError, RewoundError, redis-py's errors
    (written or not: acquire again).
    """
    outcome, stored = await scripts.run(
        redis,
        "migrate",
        key(partition, META),
        token,
        snapshot.offset,
        snapshot.schema,
        keys.SCHEMA,
        _encode(list(snapshot.changed_rows())),
        _encode([part for pair in snapshot.windows.items() for part in pair]),
        _encode([part for name, n in snapshot.counts.items() for part in (name, str(n))]),
    )
    if outcome == "fenced":
        raise FencedError(partition, stored)
    if outcome == "rewound":
        raise RewoundError(partition, snapshot.offset, int(stored))
