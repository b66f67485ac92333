"""The parts of each worker put together, from the settings."""

from __future__ import annotations

from redis.asyncio import Redis

from stream.batches import EventReader
from stream.letters import LetterBox
from workers.health import Health
from workers.ingest import IngestWorker
from workers.redis_client import make_redis
from workers.settings import Settings

__all__ = ["make_ingest", "make_redis"]


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
