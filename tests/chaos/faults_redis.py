"""Faults of Redis. What takes a server down waits its turn: one at a time, or there would be nobody to take over."""

from __future__ import annotations

import time

import redis

from tests.chaos.schedule import Fault
from tests.chaos.world import World
from tests.waiting import eventually
from workers.local.server import LocalServer

BETWEEN_S = 0.15  # broken answers
REACHED_S = 90.0


def primary(world: World, fault: Fault) -> int:
    """Index of the Redis that serves the partition which the target names."""
    return world.setup.redis_primary(int(fault.target.partition("/p")[2]))


def start(server: LocalServer) -> None:
    """Start it unless it runs."""
    if not server.running():
        server.start()


def kill(world: World, fault: Fault) -> int:
    """kill -9, and a start on what it had written. `replica`: of a replica of that one."""
    with world.redis_down:
        index = primary(world, fault)
        if fault.more.get("replica"):
            index = next(iter(world.setup.redis_replicas(index)), index)
        server = world.setup.redises[index]
        server.kill()
        time.sleep(fault.for_s)
        start(server)
    return 1


def back(world: World, fault: Fault) -> int:
    """It starts on a copy of its data that is `for_s` seconds old: what came since is lost."""
    index = primary(world, fault)
    copy = world.setup.copy_redis(index)
    time.sleep(fault.for_s)
    with world.redis_down:
        world.setup.restore_redis(index, copy)
    world.setup.forget_copy(copy)
    return 1


def emptied(world: World, fault: Fault) -> int:
    """It starts on nothing."""
    with world.redis_down:
        world.setup.restore_redis(primary(world, fault), None)
    return 1


def failover(world: World, fault: Fault) -> int:
    """A replica takes over by order."""
    with world.redis_down:
        try:
            world.setup.fail_over(primary(world, fault))
        except LookupError as nobody:
            world.note(f"no fail-over: {nobody}")
    return 0


def lagging(world: World, fault: Fault) -> int:
    """The replicas hear nothing more for `for_s`; then the primary is killed, and one of them takes over."""
    with world.redis_down:
        index = primary(world, fault)
        if not world.setup.lag(index):
            world.note("no fail-over: no replica")
            return 0
        time.sleep(fault.for_s)
        world.setup.fail_over(index, kill=True)
        start(world.setup.redises[index])
    return 1


def memory(world: World, fault: Fault) -> int:
    """Out of memory: every write is refused."""
    index = primary(world, fault)

    def limit(size: int | None) -> bool:
        try:
            world.setup.set_memory_limit(index, size)
        except redis.ResponseError as loading:
            raise OSError(str(loading)) from None
        return True

    eventually(lambda: limit(fault.more["bytes"]), REACHED_S)
    time.sleep(fault.for_s)
    eventually(lambda: limit(None), REACHED_S)
    return 0


def drop(world: World, fault: Fault) -> int:
    """Answers break off in the middle: whether a flush was applied, its worker cannot know."""
    ends = time.monotonic() + fault.for_s
    while time.monotonic() < ends:
        world.setup.redis_proxies[0].drop_mid_response()
        time.sleep(BETWEEN_S)
    return 0


def slow(world: World, fault: Fault) -> int:
    """Every answer comes late."""
    proxy = world.setup.redis_proxies[0]
    proxy.slow(fault.more["delay_s"])
    time.sleep(fault.for_s)
    proxy.heal()
    return 0


STRIKES = {
    "redis-kill": kill,
    "redis-back": back,
    "redis-emptied": emptied,
    "redis-failover": failover,
    "redis-lagging": lagging,
    "redis-memory": memory,
    "redis-drop": drop,
    "redis-slow": slow,
}
