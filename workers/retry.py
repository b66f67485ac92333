"""Waiting for a server that is away: bounded back-off, said once when it begins and once when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from redis.exceptions import RedisClusterException, RedisError

from stream.errors import UnreachableError
from workers.health import Health

log = structlog.get_logger(__name__)
T = TypeVar("T")

# Redis's own refusals (out of memory, read-only replica, loading, cluster down) come as RedisError as well: all of them
# pass, or a person mends them; none is a reason to lose or skip anything.
PASSING = (RedisError, RedisClusterException, UnreachableError, OSError, asyncio.TimeoutError)
FIRST_S, LAST_S = 0.05, 2.0


async def until_done(
    what: str,
    do: Callable[[], Awaitable[T]],
    health: Health,
    *,
    stopping: Callable[[], bool] = lambda: False,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """Call `do` until it succeeds; `what` names the server for people (`Redis`, `Kafka`).

    Errors: everything that is not PASSING at once; the last PASSING one if `stopping()` says that the worker ends.
    """
    wait_s, failures = FIRST_S, 0
    try:
        while True:
            try:
                result = await do()
            except PASSING as error:
                if stopping():
                    raise
                reason, failures = f"{type(error).__name__}: {error}", failures + 1
                # One failure is no news: a pooled connection that broke while it was idle shows itself like that.
                if failures > 1 and health.waits(what, reason, anew=failures == 2):
                    log.warning(
                        "waiting", server=what, reason=reason, action="trying again until it answers; nothing is lost"
                    )
                await sleep(wait_s)
                wait_s = min(LAST_S, wait_s * 2)
            else:
                waited, failures = failures > 1, 0
                if waited and health.goes_on(what):
                    log.info("answers again", server=what)
                return result
    finally:
        if failures > 1:
            health.goes_on(what)
