"""One partition on a real Redis as an owner writes it, and everything that Redis holds of it, to compare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from redis.asyncio import Redis

from state.flush import FEED_BYTES, FlushBatch, flush
from state.keys import Offset, Partition, Token
from state.ownership import acquire
from state.snapshot import Snapshot

encode = msgspec.json.encode
P = Partition(7)


def batch(start: int, end: int, rows: Sequence[Sequence[Any]] = (), **more: Any) -> FlushBatch:
    """A flush from `start` to `end` of `rows`; `windows`, `counts` as Python values, further fields as they are."""
    windows, counts = more.pop("windows", []), more.pop("counts", {})
    return FlushBatch(
        Offset(start),
        Offset(end),
        more.pop("watermark_us", None),
        encode(rows),
        encode(windows),
        encode(counts),
        **more,
    )


class Owner:
    """Who acquired a partition; `offset` is where its next flush starts."""

    def __init__(self, redis: Redis, token: str, partition: Partition = P) -> None:
        self.redis, self.token, self.partition = redis, Token(token), partition
        self.offset = Offset(0)

    async def acquire(self) -> Snapshot:
        snapshot = await acquire(self.redis, self.partition, self.token)
        self.offset = snapshot.offset
        return snapshot

    async def flush(self, end: int, *rows: Sequence[Any], feed_bytes: int = FEED_BYTES, **more: Any) -> None:
        """Flush up to `end`; counts say how many messages that makes, unless they are given."""
        more.setdefault("counts", {"accepted": end})
        await flush(self.redis, self.partition, self.token, batch(self.offset, end, rows, **more), feed_bytes)
        self.offset = Offset(end)


async def owner(redis: Redis, token: str = "me", partition: Partition = P) -> Owner:
    """Acquires at once."""
    new = Owner(redis, token, partition)
    await new.acquire()
    return new


async def everything(redis: Redis) -> dict[str, Any]:
    """All keys with all that they hold, streams and lists in order."""
    out: dict[str, Any] = {}
    for key in await redis.keys("*"):
        kind = await redis.type(key)
        if kind == "hash":
            out[key] = await redis.hgetall(key)
        elif kind == "set":
            out[key] = await redis.smembers(key)
        elif kind == "list":
            out[key] = await redis.lrange(key, 0, -1)
        elif kind == "stream":
            out[key] = await redis.xrange(key)
        else:
            out[key] = await redis.get(key)
    return out


async def dumped(redis: Redis, partition: Partition = P) -> dict[str, bytes]:
    """The keys of a partition as Redis itself would save them; for `put_back`."""
    keys = await redis.keys(f"{{tw:{partition}}}:*")
    raw = await _raw(redis)
    try:
        return {key: await raw.dump(key) for key in keys}
    finally:
        await raw.aclose()


async def put_back(redis: Redis, dump: dict[str, bytes], partition: Partition = P) -> None:
    """Redis goes back in time: this partition holds what `dumped` saw, and nothing else."""
    for key in await redis.keys(f"{{tw:{partition}}}:*"):
        await redis.delete(key)
    raw = await _raw(redis)
    try:
        for key, payload in dump.items():
            await raw.restore(key, 0, payload)
    finally:
        await raw.aclose()


async def _raw(redis: Redis) -> Redis:
    options = redis.connection_pool.connection_kwargs
    return Redis(host=options["host"], port=options["port"], db=options["db"])
