"""The ingest worker of a played trace: the product's `IngestWorker`, assigned and given what it reads by the trace.

Kafka's group decides in life who reads what and when; here the trace does. What is read was read from Kafka before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from confluent_kafka import Message
from model_state import Ingest
from player_gates import Gates, here
from player_world import SHIFT, P, meta_of
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from state import flush as product_flush
from state import ownership
from state.flush import FlushBatch
from state.keys import Offset, Partition, Token
from state.snapshot import Snapshot
from stream.batches import Batch, batch_of
from stream.letters import LetterBox
from workers.health import Health
from workers.ingest import IngestWorker
from workers.settings import Settings

Acquire = Callable[[list[Partition]], Awaitable[dict[Partition, Offset]]]
Release = Callable[[list[Partition], bool], Awaitable[None]]
WHOLE_FEED = 1 << 20  # bytes: more than any trace writes


async def gated_acquire(redis: Redis, partition: Partition, token: Token) -> Snapshot:
    """The product's, behind a gate."""
    await here().passing("acquire")
    return await ownership.acquire(redis, partition, token)


async def gated_flush(redis: Redis, partition: Partition, token: Token, batch: FlushBatch) -> None:
    """The product's, behind a gate that says what the feed may hold, and whether the reply gets lost."""
    gates = here()
    how = await gates.passing("flush")
    await product_flush.flush(redis, partition, token, batch, feed_bytes=how["feed_bytes"])
    if how["lost"]:
        raise RedisConnectionError("the reply was lost")


async def nobody_asks(_probe: object) -> None:
    """In place of `Probe.run`: nobody wants to know the lag, and the log's topic has another name here."""


class Assigned:
    """In place of `EventReader`: hands out what the trace says, to whom the trace says."""

    problem = None

    def __init__(self, gates: Gates) -> None:
        self._gates = gates
        self.assigned: set[Partition] = set()
        self.position = -1

    async def start(self, acquire: Acquire, release: Release) -> None:
        self.acquire, self.release = acquire, release

    async def read(self, prepare: Callable[[Batch], Any]) -> Any:
        how = await self._gates.passing("read")
        messages: Iterable[Message] = how["messages"]
        return prepare(batch_of(list(messages)))

    async def seek(self, _partition: Partition, offset: Offset) -> None:
        self.position = offset

    async def report(self, _offsets: object) -> None: ...

    async def stop(self) -> None: ...


class PlayedWorker(IngestWorker):
    """The product's; it counts its turns, so that the player knows when one is over."""

    turns = 0

    async def _look_around(self, *, idle: bool) -> None:
        await super()._look_around(idle=idle)
        self.turns += 1


class PlayedIngest:
    """One ingest worker. `make`: the product's class, or one without a rule."""

    def __init__(
        self, name: str, redis: Redis, letters: LetterBox, make: type[PlayedWorker], settings: Settings
    ) -> None:
        self.gates = Gates(name)
        self.reader = Assigned(self.gates)
        reader: Any = self.reader
        self.worker = make(settings, redis, reader, letters, Health(name), clock=lambda: 0.0)
        self._run = self.gates.task(self.worker.run())
        self._turns = 0
        self._assigning: asyncio.Task[dict[Partition, Offset]] | None = None

    async def started(self) -> PlayedIngest:
        """Wait until it reads."""
        await self.gates.comes_to("read")
        return self

    @property
    def owned(self) -> Any:
        """What it holds of the partition, if it may still write it."""
        owned = self.worker._owned.get(P)
        return None if owned is None or owned.lost else owned

    async def tell(self, assigned: bool) -> None:
        """Kafka assigns it the partition, or takes it away."""
        if assigned:
            self._assigning = self.gates.task(_as_coroutine(self.reader.acquire([P])))
            await self.gates.comes_to("acquire")
            return
        assert self._assigning is None, "on_assign has not come back: nothing can be revoked yet"
        self.reader.assigned.discard(P)
        await self.gates.task(_as_coroutine(self.reader.release([P], False)))

    async def acquire(self, *more: str) -> None:
        """It takes the partition over: in on_assign, or again after a refusal. `more`: further gates on the way."""
        gates = self.gates
        if self._assigning is None:
            self._turns = self.worker.turns
            gates.let("read", messages=())
            await gates.comes_to("acquire")
        gates.let("acquire")
        if more:
            await gates.comes_to(*more)
            return
        await self.acquired()

    async def acquired(self) -> None:
        """Wait for the end of `acquire`, and read on from there."""
        if self._assigning is None:
            await self._turned(self._turns)
            return
        offsets = await self._assigning
        self._assigning = None
        self.reader.assigned.add(P)
        self.reader.position = offsets[P]

    async def _turned(self, before: int) -> None:
        """Wait until a turn that began after `before` turns is over, and it reads again."""
        await self.gates.until(lambda: self.worker.turns > before and "read" in self.gates.at, "its turn is over")

    async def flush(self, log: list[Message], start: int, end: int, *, feed_bytes: int, lost: bool = False) -> None:
        """It reads the records from `start` up to `end` and flushes them, or repeats a flush whose reply was lost."""
        gates = self.gates
        if "flush" not in gates.at and not self._waits_to_repeat():
            assert self.reader.position == start + SHIFT
            self.reader.position = end + SHIFT
            before = self.worker.turns
            gates.let("read", messages=log[start + SHIFT : end + SHIFT])
            await self._turned(before)
        await gates.comes_to("flush")
        owned = self.worker._owned[P]
        gates.let("flush", feed_bytes=feed_bytes, lost=lost)
        await gates.until(lambda: owned.idle or "flush" in gates.at, "the flush ends")

    def _waits_to_repeat(self) -> bool:
        owned = self.worker._owned.get(P)
        return owned is not None and not owned.idle

    async def look(self) -> None:
        """A read that brings nothing: behind it, it compares token and offset."""
        before = self.worker.turns
        self.gates.let("read", messages=())
        await self._turned(before)

    async def crash(self) -> None:
        """It is gone, and does nothing more."""
        tasks = [self._run]
        if self._assigning is not None:
            tasks.append(self._assigning)
        tasks += [o._task for o in self.worker._owned.values() if o._task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def compare(self, model: Ingest, stored_token: str, is_owner: bool) -> None:
        """Whether it holds what the model's worker holds."""
        owned = self.owned
        if not model.token or not model.mirror:
            assert owned is None, f"{self.gates.name} owns, the model's does not"
            return
        assert owned is not None, f"{self.gates.name} does not own, the model's does"
        assert owned.flushed == model.offset + SHIFT
        assert (owned.token == stored_token) == is_owner
        assert self._waits_to_repeat() == bool(model.pending)
        if not model.pending:
            mirror = owned.aggregates
            assert meta_of(mirror.watermark_us, mirror.counts, mirror.catalogue.version) == model.mirror.meta


async def _as_coroutine(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
