"""Reading `indicator-events` in whole batches, and whose turn a partition is.

The consumer's group gives partitions to workers (cooperative: only what moves is interrupted); where reading starts is
Redis's to say, so a partition that is assigned is acquired there first. Kafka's committed offset is written for lag
tools only and never read. All calls of the client run in one thread of their own, so the event loop never waits on
them.

Why not aiokafka, which Faust uses: see docs/decisions/two-kafka-clients.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from numpy.typing import NDArray

from state.keys import Offset, Partition
from stream.errors import RetentionError, StreamError
from stream.topics import EVENT_BYTES, EVENTS, client_options

_T = TypeVar("_T")

# Messages of one read: enough for array arithmetic to pay, few enough for the flush of one to overlap the next.
READ_MESSAGES = 4096
READ_BYTES = 2 << 20
LINGER_S = 0.003
# Without traffic a read comes back this often, so that a stop is noticed.
IDLE_S = 0.2


def fetch_options() -> dict[str, object]:
    """How the log is fetched; the same for every reader of it (and for the baseline that the bench compares with)."""
    return {
        "fetch.wait.max.ms": 100,
        "fetch.min.bytes": 1,
        # Of a partition, and of all: the queue's bound is looked at between two answers, and an answer is unpacked
        # whole, to ten times as much and more where sources compress.
        "fetch.message.max.bytes": 256 << 10,
        "fetch.max.bytes": EVENT_BYTES,
        "receive.message.max.bytes": 128 << 20,
        "queued.min.messages": 100_000,
        "queued.max.messages.kbytes": 64 << 10,
        # A full queue is looked at again soon: the default of a second would be a stutter.
        "fetch.queue.backoff.ms": 5,
        "isolation.level": "read_committed",
        "check.crcs": True,
    }


@dataclass(slots=True)
class Batch:
    """Messages of one read, partition by partition and in log order, as columns of length n."""

    partition: NDArray[np.int32]
    offset: NDArray[np.int64]
    timestamp_ms: NDArray[np.int64]
    values: list[bytes | None]
    messages: list[Message]

    def __len__(self) -> int:
        return len(self.values)


def batch_of(messages: list[Message]) -> Batch:
    """Columns of `messages`, ordered by partition (the client hands them over in runs of one partition)."""
    n = len(messages)
    partition = np.fromiter(map(Message.partition, messages), dtype=np.int32, count=n)
    if n and bool((partition[1:] < partition[:-1]).any()):
        order = np.argsort(partition, kind="stable")
        messages = [messages[i] for i in order.tolist()]
        partition = partition[order]
    return Batch(
        partition=partition,
        offset=np.fromiter(map(Message.offset, messages), dtype=np.int64, count=n),
        timestamp_ms=np.fromiter((stamp for _, stamp in map(Message.timestamp, messages)), dtype=np.int64, count=n),
        values=list(map(Message.value, messages)),
        messages=messages,
    )


class EventReader:
    """The consumer of one worker. Use: `await start(...)`, `await read()` in a loop, `await stop()`."""

    def __init__(
        self,
        address: str,
        group: str,
        *,
        options: Mapping[str, object] | None = None,
        topic: str = EVENTS,
        session_ms: int = 10_000,
    ) -> None:
        self.topic = topic
        self.problem: str | None = None  # why nothing can be read now: no broker answers
        self._config = {
            **fetch_options(),
            "error_cb": self._trouble,
            **client_options(address, options),
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": session_ms,
            "heartbeat.interval.ms": max(500, session_ms // 5),
        }
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka-reader")
        self._consumer: Consumer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.assigned: set[Partition] = set()
        self._mean_bytes = 0.0
        self._moved: set[Partition] = set()  # by rebalances, since the last read began

    async def start(
        self,
        acquire: Callable[[list[Partition]], Awaitable[dict[Partition, Offset]]],
        release: Callable[[list[Partition], bool], Awaitable[None]],
    ) -> None:
        """Join the group. `acquire` gives the offsets to read from; `release(partitions, lost)` ends their use.

        Both run on the caller's event loop while the rebalance waits for them. Errors: StreamError.
        """
        self._loop = loop = asyncio.get_running_loop()

        def on_assign(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            chosen = [Partition(p.partition) for p in partitions]
            offsets = asyncio.run_coroutine_threadsafe(_as_coroutine(acquire(chosen)), loop).result()
            self.assigned.update(chosen)
            self._moved.update(chosen)
            consumer.incremental_assign([TopicPartition(self.topic, p, offsets[p]) for p in chosen if p in offsets])

        def on_gone(partitions: list[TopicPartition], lost: bool) -> None:
            chosen = [Partition(p.partition) for p in partitions]
            self.assigned.difference_update(chosen)
            self._moved.update(chosen)
            asyncio.run_coroutine_threadsafe(_as_coroutine(release(chosen, lost)), loop).result()

        def subscribe() -> None:
            self._consumer = Consumer(self._config)
            self._consumer.subscribe(
                [self.topic],
                on_assign=on_assign,
                on_revoke=lambda _c, partitions: on_gone(partitions, False),
                on_lost=lambda _c, partitions: on_gone(partitions, True),
            )

        await loop.run_in_executor(self._pool, subscribe)

    async def read(self, prepare: Callable[[Batch], _T], limit: int = READ_MESSAGES, idle_s: float = IDLE_S) -> _T:
        """`prepare` of the next messages, at most `limit`; of none after `idle_s` without any. Rebalances happen in
        here.

        `prepare` runs in the reader's thread, where the messages are still in the processor's cache. Errors:
        RetentionError where the log does not hold the offset that reading should start from; StreamError.
        """
        assert self._loop is not None, "start() comes first"
        return await self._loop.run_in_executor(self._pool, lambda: prepare(self._read(limit, idle_s)))

    def _read(self, limit: int, idle_s: float) -> Batch:
        consumer = self._consumer
        assert consumer is not None
        if self.problem:
            self._ask_again(consumer)
        # The first is waited for, the rest is what is there already: a full batch is never waited for.
        first = consumer.poll(idle_s)
        if first is None:
            return batch_of([])
        self._moved.clear()
        rest = consumer.consume(self._fill(first, limit) - 1, timeout=LINGER_S) if limit > 1 else []
        # A partition that was given anew in between is read from Redis's offset: the one in hand comes again.
        messages = rest if Partition(first.partition() or 0) in self._moved else [first, *rest]
        if any(map(Message.error, messages)):
            for message in messages:
                self._check(consumer, message)
            messages = [m for m in messages if m.error() is None]
        batch = batch_of(messages)
        if messages:
            self._mean_bytes = sum(len(v) for v in batch.values if v) / len(messages)
        return batch

    def _fill(self, first: Message, limit: int) -> int:
        """How many messages make a read: fewer where messages are large (arrays), by the first and the last read."""
        size = max(len(first), self._mean_bytes)
        return max(2, min(limit, READ_BYTES // max(1, int(size))))

    def _trouble(self, error: KafkaError) -> None:
        """librdkafka's own word on its connections; it goes on trying by itself."""
        if error.code() in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE):
            self.problem = error.str()

    def _ask_again(self, consumer: Consumer) -> None:
        """Whether a broker answers again: it says nothing by itself when there is nothing to read."""
        try:
            consumer.list_topics(self.topic, timeout=0.5)
        except KafkaException as error:
            self.problem = error.args[0].str()
        else:
            self.problem = None

    def _check(self, consumer: Consumer, message: Message) -> None:
        error = message.error()
        if error is None or error.code() == KafkaError._PARTITION_EOF:
            return
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            partition = message.partition() or 0
            where = TopicPartition(self.topic, partition)
            low, high = consumer.get_watermark_offsets(where, timeout=10)
            raise RetentionError(self.topic, partition, message.offset() or 0, low, high)
        if error.fatal():
            raise StreamError(f"Kafka consumer: {error.str()}; the worker must start anew")

    async def seek(self, partition: Partition, offset: Offset) -> None:
        """Go on reading `partition` at `offset`; what was fetched before is dropped. Errors: StreamError."""
        assert self._loop is not None

        def do() -> None:
            if self._consumer is not None and partition in self.assigned:
                self._consumer.seek(TopicPartition(self.topic, partition, offset))

        try:
            await self._loop.run_in_executor(self._pool, do)
        except KafkaException as error:
            raise StreamError(f"{self.topic}/{partition}: cannot go to offset {offset}: {error}") from None

    async def report(self, offsets: Mapping[Partition, Offset]) -> None:
        """Tell the group how far we are, for lag tools; nobody reads it back, so failures do not matter."""
        consumer = self._consumer
        if consumer is None or not offsets or self._loop is None or self.problem:
            return
        positions = [TopicPartition(self.topic, p, o) for p, o in offsets.items() if p in self.assigned]

        def do() -> None:
            try:
                consumer.commit(offsets=positions, asynchronous=True)
            except KafkaException:
                return  # being revoked, or no coordinator: the next report tells

        if positions:
            await self._loop.run_in_executor(self._pool, do)

    async def stop(self) -> None:
        """Leave the group; `release` is called for what is still assigned."""
        if self._consumer is not None and self._loop is not None:
            await self._loop.run_in_executor(self._pool, self._consumer.close)
            self._consumer = None
        self._pool.shutdown(wait=False)


async def _as_coroutine(awaitable: Awaitable[_T]) -> _T:
    return await awaitable
