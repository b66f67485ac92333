"""How far each source has come: the highest sequence numbers in Redis, looked at from time to time. Read-only.

A source's silence cannot be seen in what is published; the windows of `{tw:p}:seq` say it exactly (docs/formats.md
section 3). A Redis that is away only means that nobody knows.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from confluent_kafka import KafkaException
from redis.asyncio import Redis

from state.keys import SEQ, Partition, key
from stream.topics import EVENTS, partitions_of_topic
from workers.retry import PASSING
from workers.settings import Settings

EVERY_S = 1.0


class SourceLook:
    """`await run()` beside the work; `tops` at any time: source -> sum over partitions, empty where not known."""

    def __init__(self, settings: Settings, redis: Redis, every_s: float = EVERY_S) -> None:
        self._settings, self._redis, self._every_s = settings, redis, every_s
        self.tops: dict[str, int] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        partitions: list[Partition] = []
        while True:
            try:
                if not partitions:
                    partitions = await asyncio.to_thread(self._partitions)
                self.tops = await self._look(partitions)
            except (*PASSING, KafkaException):
                self.tops = {}
            await asyncio.sleep(self._every_s)

    def _partitions(self) -> list[Partition]:
        found = partitions_of_topic(self._settings.kafka, EVENTS, self._settings.kafka_options)
        return [Partition(p) for p in found]

    async def _look(self, partitions: list[Partition]) -> dict[str, int]:
        tops: Counter[str] = Counter()
        for partition in partitions:
            windows = await self._redis.hgetall(key(partition, SEQ))
            for source, window in windows.items():
                tops[source] += int(window.partition(":")[0]) + 1
        return dict(tops)
