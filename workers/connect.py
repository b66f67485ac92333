"""Clients made from the settings: Redis as one server, Sentinel or Cluster; the parts of each worker put together."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from stream.batches import EventReader
from stream.letters import LetterBox
from workers.health import Health
from workers.ingest import IngestWorker
from workers.masked import masked
from workers.settings import Settings

# Above any flush or load that makes sense; a server that is silent for longer is away, and is tried again.
SOCKET_TIMEOUT_S = 10.0


def make_redis(url: str) -> Redis:
    """Client of `redis://`, `rediss://`, `unix://`, `redis+cluster://host:port` or
    `redis+sentinel://host:port[,host:port]/db?master=name`. Connects on first use.

    Errors: ValueError for another form, without the password.
    """
    try:
        return _redis(url)
    except ValueError:  # whose text may hold any part of the URL
        raise ValueError(
            f"TIDEWATCH_REDIS: {masked(url)} is not redis://[user:password@]host:port/db, rediss://, unix://, "
            "redis+cluster:// or redis+sentinel://; encode special characters of a password (%2F for /)"
        ) from None


def _redis(url: str) -> Redis:
    common: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": SOCKET_TIMEOUT_S,
        "socket_connect_timeout": 3.0,
        "health_check_interval": 0,
    }
    # Retrying is ours (workers.retry): it is said, counted, and ends when the worker ends.
    never = Retry(NoBackoff(), 0)
    if url.startswith(("redis+cluster://", "rediss+cluster://")):
        client: Any = RedisCluster.from_url(url.replace("+cluster", "", 1), **common)
        return client  # type: ignore[no-any-return]
    if url.startswith("redis+sentinel://"):
        parts = urlsplit(url)
        places = [(h.rpartition(":")[0], int(h.rpartition(":")[2])) for h in parts.netloc.split("@")[-1].split(",")]
        master = parse_qs(parts.query).get("master", ["mymaster"])[0]
        sentinel = Sentinel(places, socket_timeout=1.0)
        return sentinel.master_for(master, db=int(parts.path.strip("/") or 0), retry=never, **common)  # type: ignore[no-any-return]
    return Redis.from_url(url, retry=never, **common)


def make_ingest(settings: Settings, health: Health, redis: Redis) -> IngestWorker:
    """The ingest worker of this process."""
    return IngestWorker(
        settings,
        redis,
        EventReader(
            settings.kafka, settings.group, options=settings.kafka_options, session_ms=int(settings.session_s * 1000)
        ),
        LetterBox(settings.kafka, settings.kafka_options),
        health,
    )
