"""Doctor's look at Redis: does it answer, does it keep what it is told, and never throw it away."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis, RedisCluster

from workers.finding import Finding, fail, ok, warn
from workers.masked import masked
from workers.redis_look import info_of
from workers.retry import PASSING

OLDEST = (6, 2)  # XTRIM MINID
NEARLY_FULL, FULL = 0.8, 0.95  # of maxmemory
SKEW_S, SKEW_FAIL_S = 1.0, 60.0


async def redis_findings(
    redis: Redis, url: str, wall: Callable[[], float] = time.time, clock: Callable[[], float] = time.monotonic
) -> list[Finding]:
    """Everything about the Redis server, or every node of a cluster; one `fail` where it does not answer.

    `url` is shown without its password; `wall`: UTC, seconds since 1970.
    """
    where = masked(url)
    try:
        await redis.ping()
    except PASSING as error:
        do = "start Redis (`tidewatch up` starts a local one), or set TIDEWATCH_REDIS; for TLS rediss://"
        return [fail("redis", f"Redis at {where} does not answer: {type(error).__name__}: {error}", do)]
    found = [ok("redis", f"Redis at {where} answers")]
    try:
        nodes = await info_of(redis)
    except PASSING as error:
        found.append(warn("redis-info", f"INFO is refused: {error}", "let this user call INFO, and run doctor again"))
        nodes = {}
    for node, info in nodes.items():
        found += _node(node, info)
    found.append(await _appendfsync(redis))
    found.append(await _skew(redis, wall, clock))
    client: Any = redis  # a cluster's is of no common type
    if isinstance(client, RedisCluster):
        found.append(await _cluster(client))
    return found


def _node(node: str, info: dict[str, Any]) -> list[Finding]:
    """What a server's INFO tells."""
    return [
        _version(node, info),
        _persistence(node, info),
        _policy(node, info),
        _memory(node, info),
        _role(node, info),
    ]


def _version(node: str, info: dict[str, Any]) -> Finding:
    text = str(info.get("redis_version", "?"))
    if tuple(int(part) for part in text.split(".")[:2] if part.isdigit()) < OLDEST:
        return fail("redis-version", f"{node}: Redis {text}", "upgrade it: the change feed needs 6.2 or newer")
    return ok("redis-version", f"{node}: Redis {text}")


def _persistence(node: str, info: dict[str, Any]) -> Finding:
    if not int(info.get("aof_enabled", 0)):
        do = "appendonly yes: without it a restart takes everything back to the last snapshot, and it is read from "
        do += "Kafka again, for as long as that takes"
        return fail("redis-persistence", f"{node}: appendonly is off", do)
    for field in ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status"):
        if info.get(field, "ok") != "ok":
            do = "look at the disk (full?) and at Redis's log: what is written now is not kept"
            return fail("redis-persistence", f"{node}: {field} is {info[field]}", do)
    return ok("redis-persistence", f"{node}: appendonly is on, and its last write succeeded")


def _policy(node: str, info: dict[str, Any]) -> Finding:
    policy = str(info.get("maxmemory_policy", "?"))
    if policy != "noeviction":
        do = "CONFIG SET maxmemory-policy noeviction, and in its configuration: evicted cells are wrong values"
        return fail("redis-eviction", f"{node}: maxmemory-policy is {policy}", do)
    return ok("redis-eviction", f"{node}: maxmemory-policy is noeviction")


def _memory(node: str, info: dict[str, Any]) -> Finding:
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if not limit:
        whole = int(info.get("total_system_memory", 0))
        what = f"{node}: {used / 2**20:.0f} MiB used, maxmemory is not set"
        if whole and used > whole / 2:
            do = "set maxmemory below the machine's memory: refused writes wait, a process that is killed does not"
            return warn("redis-memory", f"{what}, and that is over half of the machine's", do)
        return ok("redis-memory", what)
    what = f"{node}: {used / 2**20:.0f} of {limit / 2**20:.0f} MiB used"
    if used > limit * NEARLY_FULL:
        level = fail if used > limit * FULL else warn
        return level("redis-memory", what, "raise maxmemory, or spread the partitions over more nodes")
    return ok("redis-memory", what)


def _role(node: str, info: dict[str, Any]) -> Finding:
    if int(info.get("loading", 0)):
        return fail("redis-role", f"{node} is loading its data", "wait until it has; the workers wait too")
    if info.get("role") != "master" and not int(info.get("cluster_enabled", 0)):
        do = "point TIDEWATCH_REDIS at the primary (redis+sentinel:// finds it): a replica takes no writes"
        return fail("redis-role", f"{node} is a {info.get('role')}", do)
    return ok("redis-role", f"{node} is a {info.get('role')}")


async def _appendfsync(redis: Redis) -> Finding:
    """The one thing that INFO does not tell. Managed servers may refuse CONFIG."""
    try:
        held = await redis.config_get("appendfsync")
    except PASSING as error:
        do = "look it up where the server is configured: it should be everysec or always"
        return warn("redis-appendfsync", f"cannot be seen: {error}", do)
    value = str(held.get("appendfsync", "?"))
    if value == "no":
        do = "appendfsync everysec: the kernel may keep half a minute of writes back, which are then read again"
        return warn("redis-appendfsync", "appendfsync is no", do)
    return ok("redis-appendfsync", f"appendfsync is {value}")


async def _skew(redis: Redis, wall: Callable[[], float], clock: Callable[[], float]) -> Finding:
    """Our clock against Redis's, by the middle of the round trip."""
    try:
        began, before = clock(), wall()
        seconds, micros = await redis.time()
        trip = clock() - began
    except PASSING as error:
        return warn("clock-redis", f"TIME is refused: {error}", "compare the clocks by hand")
    skew = seconds + micros / 1e6 - (before + trip / 2)
    what = f"Redis's clock is {abs(skew):.3f} s {'ahead of' if skew > 0 else 'behind'} ours"
    if abs(skew) > max(SKEW_S, trip):
        level = fail if abs(skew) > SKEW_FAIL_S else warn
        return level("clock-redis", what, "set the clocks (NTP): ages and delays are measured by them")
    return ok("clock-redis", what)


async def _cluster(redis: RedisCluster) -> Finding:
    try:
        state = (await redis.cluster_info()).get("cluster_state")
    except PASSING as error:
        return warn("redis-cluster", f"CLUSTER INFO is refused: {error}", "look at the cluster by hand")
    if state != "ok":
        return fail("redis-cluster", f"cluster_state is {state}", "bring the missing nodes or slots back")
    return ok("redis-cluster", "cluster_state is ok")
