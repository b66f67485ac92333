"""The Lua scripts, read once; each is `common.lua` (the snapshot) and its own body where it needs both."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ResponseError


@cache
def _source(name: str) -> str:
    folder = files("state") / "lua"
    body = (folder / f"{name}.lua").read_text(encoding="utf-8")
    return (folder / "common.lua").read_text(encoding="utf-8") + body


@cache
def _sha(name: str) -> str:
    from hashlib import sha1

    return sha1(_source(name).encode(), usedforsecurity=False).hexdigest()


async def run(redis: Redis, name: str, key: str, *args: str | bytes | int) -> Any:
    """Run script `name` on the slot of `key`; loads it where the server does not have it yet.

    Errors: those of redis-py (connection, timeout, out of memory, read-only), for the caller to retry.
    """
    try:
        try:
            return await redis.evalsha(_sha(name), 1, key, *args)
        except NoScriptError:
            return await redis.eval(_source(name), 1, key, *args)
    except ResponseError as refusal:
        if "READONLY" in str(refusal):  # from within a script it is no error of a class of its own
            await _leave(redis)
        raise


async def _leave(redis: Redis) -> None:
    """Drop the connections: they lead to a primary that is one no more, and the next ones are looked up anew.

    A Cluster's client is told where to go by the nodes themselves.
    """
    pool = getattr(redis, "connection_pool", None)
    if pool is not None:
        await pool.disconnect()
