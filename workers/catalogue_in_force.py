"""The catalogue that the index workers judge definitions by: the newest that the partitions in Redis hold."""

from __future__ import annotations

import asyncio

from index.catalogue import Catalogue
from state.keys import CATALOGUE, key
from stream.catalogue_log import parsed_catalogue
from stream.errors import UnreachableError
from stream.topics import EVENTS, partitions_of_topic
from workers.redis_client import make_redis
from workers.retry import PASSING
from workers.settings import Settings


def catalogue_in_redis(settings: Settings) -> Catalogue:
    """The newest one that any partition has in force. Blocking.

    Errors: UnreachableError where Kafka or Redis does not answer, or no ingest worker has stored a catalogue yet.
    """
    partitions = partitions_of_topic(settings.kafka, EVENTS, settings.kafka_options)
    try:
        held = asyncio.run(_held(settings.redis, partitions))
    except PASSING as error:
        raise UnreachableError(f"Redis does not answer: {error}") from None
    found = [parsed_catalogue(text) for text in set(held)]
    if not found:
        raise UnreachableError("no partition has a catalogue in Redis yet: is an ingest worker running?")
    return max(found, key=lambda catalogue: catalogue.version)


async def _held(url: str, partitions: list[int]) -> list[bytes]:
    redis = make_redis(url)
    try:
        texts = [await redis.get(key(partition, CATALOGUE)) for partition in partitions]
    finally:
        await redis.aclose()
    return [text.encode() for text in texts if text]
