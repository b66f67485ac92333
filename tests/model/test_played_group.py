"""REFUSED_ASKS with Kafka's own group: a worker that acquires late, when the partition is another's already.

In test_played.py the trace says whom p is assigned to; here the group does. A is assigned p and does not come back from
on_assign for so long that the group gives p to B (what a worker that stands still does). B acquires; A acquires, late,
and learns that p was taken from it. B's next flush is refused, and Kafka still assigns p to B.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from model_setups import LATE, ONE
from player_gates import Gates, until
from player_ingest import PlayedWorker, nobody_asks
from player_without import Without
from player_without_ingest import refused_stops
from player_world import SHIFT, P, begin, held, records
from redis.asyncio import Redis

from state.keys import Offset, Partition
from stream.batches import EventReader
from stream.errors import UnreachableError
from stream.letters import LetterBox
from stream.topics import client_options
from workers.connect import make_redis
from workers.health import Health
from workers.owned import Owned
from workers.settings import Settings

AWAY_MS = 6_000  # what the broker takes as the least: after it the group gives the partition to another


class Late:
    """A worker whose acquires wait for the player, and which finds out only by its flush."""

    def __init__(self, name: str, make: type[PlayedWorker], redis: Redis, kafka: str, topic: str, letters: LetterBox):
        self.gates = gates = Gates(name)
        self.acquired, late = 0, self

        class Waiting(make):  # type: ignore[misc, valid-type]
            async def _acquire_one(self, partition: Partition) -> Offset:
                if not self._stopping():
                    await gates.passing("acquire")
                offset = await super()._acquire_one(partition)
                late.acquired += 1
                return offset

            async def _watch(self, partition: Partition, owned: Owned) -> None: ...

        self.reader = EventReader(kafka, f"{topic}-group", topic=topic, session_ms=AWAY_MS)
        self.reader._config["max.poll.interval.ms"] = AWAY_MS
        self.worker: PlayedWorker = Waiting(Settings(kafka=kafka), redis, self.reader, letters, Health(name))
        self._run = gates.task(self.worker.run())

    @property
    def assigned(self) -> bool:
        return P in self.reader.assigned

    @property
    def owns(self) -> bool:
        return P in self.worker._owned and not self.worker._owned[P].lost

    async def acquires(self) -> None:
        await self.gates.comes_to("acquire")
        self.gates.let("acquire")
        await self.gates.until(lambda: self.acquired, "it has acquired")

    async def end(self) -> None:
        self.worker.stop()
        self.gates.give_up(UnreachableError("it ends"))
        await asyncio.wait_for(asyncio.gather(self._run, return_exceptions=True), 60)


class Log:
    """A topic of one partition."""

    def __init__(self, kafka: str) -> None:
        self.topic = f"played-{uuid4().hex[:8]}"
        self._admin = AdminClient(client_options(kafka))
        self._admin.create_topics([NewTopic(self.topic, 1, 1)])[self.topic].result(30)
        self._producer = Producer({**client_options(kafka), "linger.ms": 0, "enable.idempotence": True})
        self._written = 0

    def write(self, log: tuple) -> None:
        """Everything of `log`, and what is always before it, that is not written yet."""
        every = records(log)
        for key, value in every[self._written :]:
            self._producer.produce(self.topic, value, key, 0)
        assert not self._producer.flush(30)
        self._written = len(every)


@pytest.fixture
async def clients(redis_url: str) -> AsyncIterator[list[Redis]]:
    both = [make_redis(f"{redis_url.rpartition('/')[0]}/{database}") for database in (11, 12)]
    for redis in both:
        await redis.flushdb()
        await begin(redis)
    yield both
    for redis in both:
        await redis.flushdb()
        await redis.aclose()


@asynccontextmanager
async def ended(workers: list[Late]) -> AsyncIterator[None]:
    """Whatever happens, they end."""
    try:
        yield
    finally:
        await asyncio.gather(*(worker.end() for worker in workers))


async def trace(
    make: type[PlayedWorker], redis: Redis, kafka: str, letters: LetterBox, workers: list[Late]
) -> tuple[Log, Late, Late]:
    """Up to where B's flush is refused; the log, A and B."""
    log = await asyncio.to_thread(Log, kafka)
    await asyncio.to_thread(log.write, ())
    a = Late("A", make, redis, kafka, log.topic, letters)
    workers.append(a)
    await a.gates.comes_to("acquire")  # assigned
    b = Late("B", make, redis, kafka, log.topic, letters)
    workers.append(b)
    await b.acquires()  # the group has given p to B; A does not know
    await until(lambda: b.assigned, lambda: "B is told")
    await a.acquires()  # late
    assert (await held(redis))[0] != b.worker._owned[P].token, "A's token is the one in Redis"
    await until(lambda: P not in a.worker._owned and not a.assigned, lambda: "A learns that p was taken from it")
    assert b.owns
    assert b.assigned
    await asyncio.to_thread(log.write, (ONE,))
    return log, a, b


async def test_the_group_decides(
    clients: list[Redis], kafka: str, letters: LetterBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the rule B acquires again and goes on; without it, at the same time, nobody reads p any more."""
    monkeypatch.setattr("workers.ingest.Probe.run", nobody_asks)
    without = Without()
    refused_stops(without)

    async def with_it(redis: Redis) -> None:
        workers: list[Late] = []
        async with ended(workers):
            log, a, b = await trace(PlayedWorker, redis, kafka, letters, workers)
            await b.gates.comes_to("acquire")
            assert not b.owns, "the flush was refused"
            b.gates.let("acquire")
            await asyncio.to_thread(log.write, (ONE, LATE))
            await reaches(redis, 2)
            mirror = (await held(redis))[1].mirror
            assert mirror.cells[:2] == (3, 3)
            assert mirror.meta.accepted == 2
            assert b.owns
            assert not a.owns

    async def without_it(redis: Redis) -> None:
        workers: list[Late] = []
        async with ended(workers):
            log, a, b = await trace(without.ingest, redis, kafka, letters, workers)
            await until(lambda: P not in b.worker._owned, lambda: "B is refused and stops")
            await asyncio.to_thread(log.write, (ONE, LATE))
            turns = a.worker.turns + 5, b.worker.turns + 5
            await until(lambda: a.worker.turns > turns[0] and b.worker.turns > turns[1], lambda: "both go round")
            assert b.assigned, "Kafka still assigns it p"
            assert not a.owns
            assert not b.owns
            assert (await held(redis))[1].offset == 0, "nobody reads p"

    async with asyncio.TaskGroup() as both:
        both.create_task(with_it(clients[0]))
        both.create_task(without_it(clients[1]))


async def reaches(redis: Redis, offset: int) -> None:
    """Wait until Redis stands at that offset of the model."""
    for _ in range(3000):
        if (await held(redis))[1].offset >= offset:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"Redis stands at {(await held(redis))[1].offset} + {SHIFT}, not at {offset} + {SHIFT}")
