"""`tidewatch skip-missing`: a person accepts that the log no longer holds what Redis would read next.

Only what is gone is skipped: the partition goes on at the first offset that the log holds, no further.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from state.errors import RewoundError
from state.keys import Partition, Token
from state.skip import Skip, skip, stored_offset
from stream.ends import Ends
from stream.topics import EVENTS, partitions_of_topic
from workers.redis_client import make_redis
from workers.settings import Settings


def skip_missing(
    settings: Settings,
    partition: int,
    to: int,
    author: str,
    reason: str,
    agree: Callable[[str], bool],
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    new_token: Callable[[], str] = lambda: uuid4().hex,
) -> dict[str, Any]:
    """Skip the offsets of `partition` from where Redis stands up to `to`, if that is where the log begins.

    `agree` is told what is lost, and decides. Returns partition, from, to, missing. Errors: ValueError (nothing is
    missing, `to` is another offset, nobody agrees); RewoundError (a worker moved it meanwhile), UnreachableError.
    """
    there = partitions_of_topic(settings.kafka, EVENTS, settings.kafka_options)
    if there and partition not in there:
        raise ValueError(f"--partition {partition}: {EVENTS} has the partitions 0 to {there[-1]}")
    ends = Ends(settings.kafka, settings.kafka_options)
    low, high = ends.ask([partition], first=True)[partition], ends.ask([partition])[partition]

    async def run() -> dict[str, Any]:
        redis = make_redis(settings.redis)
        try:
            stored = await stored_offset(redis, Partition(partition))
            _check(partition, stored, low, high, to)
            lost = f"{EVENTS}/{partition}: offsets {stored} to {to - 1} ({to - stored} of them) will never be counted"
            if not agree(lost):
                raise ValueError("nothing was skipped")
            gone = Skip(stored, to, now().isoformat(timespec="seconds"), author, reason)
            try:
                await skip(redis, Partition(partition), Token(new_token()), gone)
            except RewoundError as moved:
                raise ValueError(
                    f"partition {partition} stands at {moved.stored} now, no longer at {stored}; nothing was skipped"
                ) from None
            return {"partition": partition, "from": stored, "to": to, "missing": to - stored}
        finally:
            await redis.aclose()

    return asyncio.run(run())


def _check(partition: int, stored: int, low: int, high: int, to: int) -> None:
    where = f"{EVENTS}/{partition}: Redis names offset {stored}, the log holds {low} to {high}"
    if stored > high:
        raise ValueError(f"{where}: nothing to skip, Redis is ahead; restore a backup of it, or use an empty one")
    if stored >= low:
        raise ValueError(f"{where}: nothing is missing")
    if to != low:
        raise ValueError(f"{where}: exactly what is gone can be skipped, --to {low}")
