"""A Redis for many short sequences: over a unix socket, a partition of its own for each, and set back as a whole.

`save` keeps a copy of all that a partition holds, `rewind` puts it in its place: a Redis that lost what came after.
"""

from __future__ import annotations

import json
import tempfile
from hashlib import sha1
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from workers.local.redis import RedisServer

_NAMES = """
local tag = KEYS[1]
local names = {'meta', 'catalogue', 'seq', 'counts', 'rows', 'changes', 'sizes'}
for _, row in ipairs(redis.call('SMEMBERS', tag .. 'rows')) do names[#names + 1] = row end
"""
_SAVE = (
    _NAMES
    + """
redis.call('DEL', tag .. 'saved:' .. ARGV[1])
for _, name in ipairs(names) do
  local payload = redis.call('DUMP', tag .. name)
  if payload then redis.call('HSET', tag .. 'saved:' .. ARGV[1], name, payload) end
end
"""
)
_REWIND = (
    _NAMES
    + """
for _, name in ipairs(names) do redis.call('DEL', tag .. name) end
local flat = redis.call('HGETALL', tag .. 'saved:' .. ARGV[1])
for i = 1, #flat, 2 do redis.call('RESTORE', tag .. flat[i], 0, flat[i + 1]) end
"""
)
_CLEAR = (
    _NAMES
    + """
for i = 0, tonumber(ARGV[1]) do names[#names + 1] = 'saved:' .. i end
for _, name in ipairs(names) do redis.call('UNLINK', tag .. name) end
"""
)
_LOOK = (
    _NAMES
    + """
local rows = {}
for i = 8, #names do
  rows[#rows + 1] = names[i]
  rows[#rows + 1] = redis.call('HGETALL', tag .. names[i])
end
return {redis.call('HGETALL', tag .. 'meta'), redis.call('GET', tag .. 'catalogue') or '',
  redis.call('HGETALL', tag .. 'seq'), redis.call('HGETALL', tag .. 'counts'), rows,
  redis.call('XRANGE', tag .. 'changes', '-', '+'), redis.call('LRANGE', tag .. 'sizes', 0, -1)}
"""
)
_SHA = {script: sha1(script.encode()).hexdigest() for script in (_SAVE, _REWIND, _CLEAR, _LOOK)}


class Durable:
    """The server and a client of it: `with Durable() as durable:`, then `client()` inside an event loop."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tidewatch-fuzz-", ignore_cleanup_errors=True)
        self.socket = Path(self._folder.name) / "redis.sock"
        settings = {"unixsocket": self.socket, "appendonly": "no", "hz": 500}
        self.server = RedisServer(Path(self._folder.name) / "redis", settings=settings)

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.stop()
        self._folder.cleanup()

    def client(self) -> Redis:
        """For one event loop; to be closed."""
        return Redis(unix_socket_path=str(self.socket), decode_responses=True)


class Partition:
    """The keys of one partition, moved and looked at from outside."""

    def __init__(self, redis: Redis, number: int) -> None:
        self.redis, self.number, self.tag = redis, number, f"{{tw:{number}}}:"
        self.saves = 0

    async def save(self) -> int:
        """Keep what stands there now; the number of the copy."""
        self.saves += 1
        await self._run(_SAVE, self.saves)
        return self.saves

    async def rewind(self, number: int) -> None:
        """Put a copy in place of what stands there."""
        await self._run(_REWIND, number)

    async def clear(self) -> None:
        """Nothing is left of it."""
        await self._run(_CLEAR, self.saves)

    async def look(self) -> dict[str, Any]:
        """Everything that stands there, JSON read."""
        meta, catalogue, windows, counts, rows, feed, sizes = await self._run(_LOOK)
        return {
            "meta": _pairs(meta),
            "catalogue": catalogue,
            "windows": _pairs(windows),
            "counts": _pairs(counts),
            "rows": {row: _pairs(flat) for row, flat in zip(rows[::2], rows[1::2], strict=True)},
            "feed": [{"id": each, **_read(_pairs(fields))} for each, fields in feed],
            "sizes": sizes,
        }

    async def _run(self, script: str, *args: int) -> Any:
        try:
            return await self.redis.evalsha(_SHA[script], 1, self.tag, *args)
        except NoScriptError:
            return await self.redis.eval(script, 1, self.tag, *args)


def _pairs(flat: list[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _read(fields: dict[str, str]) -> dict[str, Any]:
    return {name: json.loads(text) if name in ("counts", "rows") else text for name, text in fields.items()}
