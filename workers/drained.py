"""Waiting until everything that was sent is in Redis and published."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from state.keys import META, key
from stream.published import read_revision
from workers.redis_client import make_blocking_redis

POLL_S = 0.1


class NotDrainedError(Exception):
    """Something stands still: the message says where."""


def offsets_in_redis(redis_url: str, partitions: list[int]) -> dict[int, int]:
    """The next offset of each partition as Redis has it. Errors: redis-py's."""
    with make_blocking_redis(redis_url) as client:
        pipe = client.pipeline(transaction=False)
        for partition in partitions:
            pipe.hget(key(partition, META), "offset")
        return {p: int(o or 0) for p, o in zip(partitions, pipe.execute(), strict=True)}


def wait_until_drained(
    kafka: str,
    redis_url: str,
    ends: Mapping[int, int],
    systems: list[str],
    *,
    timeout_s: float,
    check: Callable[[], None] = lambda: None,
    progress: Callable[[str], None] = lambda line: None,
    options: Mapping[str, object] | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, int]:
    """Wait until Redis has passed `ends` and each system has published a revision that includes them.

    `timeout_s` bounds the time without any progress. `check` is called at each look (a dead worker raises there).
    Returns each system's revision. Errors: NotDrainedError, and those of `check`.
    """
    deadline, best = clock() + timeout_s, -1
    published: dict[str, int] = {}
    while True:
        check()
        stored = offsets_in_redis(redis_url, list(ends))
        behind = {p: end - stored[p] for p, end in ends.items() if stored[p] < end}
        done = sum(min(stored[p], end) for p, end in ends.items())
        lagging: list[str] = []
        if not behind:
            for system in systems:
                last = read_revision(kafka, system, options)
                reached = last is not None and all(last.offsets.get(str(p), 0) >= end for p, end in ends.items())
                if last is not None:
                    published[system] = last.revision
                    done += sum(last.offsets.values())
                if not reached:
                    lagging.append(system)
            if not lagging:
                return published
        if done > best:
            best, deadline = done, clock() + timeout_s
        if clock() > deadline:
            raise NotDrainedError(
                f"no progress for {timeout_s:.0f} s: partitions behind {behind or 'none'}, systems behind "
                f"{lagging or '?'}; look at the workers' logs"
            )
        progress(f"{sum(behind.values()):,} messages to go" if behind else f"publishing {', '.join(lagging)}")
        sleep(POLL_S)
