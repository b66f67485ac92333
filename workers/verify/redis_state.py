"""What Redis holds of each partition of `indicator-events` (keys: docs/formats.md section 3), read whole and at one
moment.

One MULTI per partition; the list of rows is read just before, under WATCH, so a flush that adds a row makes it start
again. It holds Redis for as long as sending that partition takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import redis

from workers.redis_client import make_blocking_redis
from workers.verify.errors import VerifyError

# A flush that adds rows comes a few times a second while a new month begins, and then not for long.
ATTEMPTS = 200
TIMEOUT_S = 60.0  # of one answer: a whole partition

SCHEMAS = (1, 2)  # of the keys that are read here; what 1 says, 2 says in the same way
T = TypeVar("T")


@dataclass(slots=True)
class PartitionState:
    """One partition. `offset` 0 where Redis knows nothing of it; `rows`: row key -> field -> text; `windows`: source ->
    (top, bits); `skipped`: what a person let go of the log, as JSON.
    """

    offset: int = 0
    watermark: int | None = None
    catalogue: int | None = None
    counts: dict[str, int] = field(default_factory=dict)
    windows: dict[str, tuple[int, int]] = field(default_factory=dict)
    rows: dict[str, dict[str, str]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)


def read_offsets(url: str, partitions: Iterable[int]) -> dict[int, int]:
    """The next offset of each partition, 0 where there is none. VerifyError when Redis does not answer."""

    def read(client: redis.Redis) -> dict[int, int]:
        return {p: int(client.hget(f"{{tw:{p}}}:meta", "offset") or 0) for p in partitions}

    return _with_client(url, read)


def read_schemas(url: str, partitions: Iterable[int]) -> dict[int, int | None]:
    """The schema version of each partition's state, None where there is no state. VerifyError as `read_offsets`."""

    def read(client: redis.Redis) -> dict[int, int | None]:
        metas = {p: client.hgetall(f"{{tw:{p}}}:meta") for p in partitions}
        return {p: int(meta.get(b"schema", b"1")) if meta else None for p, meta in metas.items()}

    return _with_client(url, read)


def read_state(url: str, partitions: Iterable[int]) -> dict[int, PartitionState]:
    """All of each partition. VerifyError when Redis does not answer, or holds what the formats do not say."""
    return _with_client(url, lambda client: {p: _read_partition(client, p) for p in partitions})


def _with_client(url: str, read: Callable[[redis.Redis], T]) -> T:
    try:
        client = make_blocking_redis(url, timeout_s=TIMEOUT_S, decode=False)
        try:
            return read(client)
        finally:
            client.close()
    except (redis.RedisError, redis.RedisClusterException) as error:
        raise VerifyError(f"Redis: {error}") from error
    except ValueError as error:
        raise VerifyError(f"Redis: neither a URL that is known nor what a worker writes: {error}") from error


def _read_partition(client: redis.Redis, partition: int) -> PartitionState:
    tag = f"{{tw:{partition}}}:"
    with client.pipeline(transaction=True) as pipe:
        for _ in range(ATTEMPTS):
            try:
                pipe.watch(f"{tag}rows")  # type: ignore[no-untyped-call]
                names = sorted(name.decode() for name in pipe.smembers(f"{tag}rows") if isinstance(name, bytes))
                pipe.multi()
                for name in ("meta", "counts", "seq", *names):
                    pipe.hgetall(f"{tag}{name}")
                pipe.lrange(f"{tag}skipped", 0, -1)
                meta, counts, windows, *rows, skipped = pipe.execute()
            except redis.WatchError:
                continue
            stored = meta.get(b"schema", b"1").decode()
            if meta and stored not in map(str, SCHEMAS):
                raise VerifyError(
                    f"partition {partition}: Redis holds schema version {stored}, this verify reads {SCHEMAS[-1]}; "
                    "use that of the workers' version"
                )
            return PartitionState(
                offset=int(meta.get(b"offset", 0)),
                watermark=int(meta[b"watermark"]) if b"watermark" in meta else None,
                catalogue=int(meta[b"catalogue"]) if b"catalogue" in meta else None,
                counts={name.decode(): int(n) for name, n in counts.items()},
                windows={source.decode(): _window(text.decode()) for source, text in windows.items()},
                rows={
                    name: {cell.decode(): text.decode() for cell, text in row.items()}
                    for name, row in zip(names, rows, strict=True)
                },
                skipped=[text.decode() for text in skipped],
            )
    raise VerifyError(f"partition {partition}: its rows in Redis change faster than they can be read")


def _window(text: str) -> tuple[int, int]:
    top, _, bits = text.partition(":")
    return int(top), int(bits, 16)
