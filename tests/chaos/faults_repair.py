"""The commands of repair, given while everything else goes on: none may break what is right, or find fault with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis
from redis.exceptions import RedisClusterException, RedisError

from state.keys import Partition
from tests.chaos.faults_workers import T, until_reached
from tests.chaos.schedule import Fault
from tests.chaos.world import World
from workers.backup import backup, restore
from workers.connect import make_redis
from workers.rebuild import rebuild


def rebuilt(world: World, fault: Fault) -> int:
    """`rebuild --partition p`: whatever was killed or lost, a partition is what its log says at its offset."""
    partition = Partition(int(fault.target.partition("/")[2]))
    verdict = _said(world, lambda redis: rebuild(world.settings, redis, partition))
    if not verdict.right:
        world.wrong.append(f"rebuild: {verdict.to_json()}")
    return 0


def restored(world: World, fault: Fault) -> int:
    """`backup`, and after `for_s` seconds `restore --replace` over the live state: the workers read on from there."""
    place = world.folder / f"{time.monotonic_ns()}.backup"
    _said(world, lambda redis: backup(world.settings, redis, place))
    time.sleep(fault.for_s)
    _said(world, lambda redis: restore(world.settings, redis, place, replace=True))
    place.unlink()
    return 0


def _said(world: World, command: Callable[[Redis], Awaitable[T]]) -> T:
    """What a command returns; repeated until it reaches its servers."""

    async def once() -> T:
        redis = make_redis(world.settings.redis)
        try:
            return await command(redis)
        except (RedisError, RedisClusterException) as error:
            raise OSError(str(error)) from None
        finally:
            await redis.aclose()

    return until_reached(lambda: asyncio.run(once()))


STRIKES = {"rebuild": rebuilt, "restore": restored}
