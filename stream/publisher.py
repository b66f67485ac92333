"""The transactional publisher of one index system: a revision is one Kafka transaction.

The transactional id is fixed per system: initialising fences whoever published before, and what it had under way is
aborted. All of a system's records go to one partition of each topic (`topics.partition_of`). Calls block (librdkafka
waits for the broker), so they run in a thread of the publisher's own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Producer

from stream.errors import PublisherFenced, StreamError, UnreachableError
from stream.topics import EVENT_BYTES, client_options, partition_of

# A transaction that its producer does not end is aborted by the broker after this: then a dead worker's open
# transaction no longer hides what is behind it from readers. Far above any commit that is under way (some ms).
TRANSACTION_TIMEOUT_MS = 15_000
CALL_TIMEOUT_S = 10.0
SLICE_S = 1.0  # of a call that may be given up before its end


class Record(NamedTuple):
    """One message to publish; `value` None is a tombstone."""

    topic: str
    key: str
    value: bytes | None


def refusal(failure: KafkaException, what: str, fenced: StreamError) -> StreamError:
    """What a failed call of a transactional producer means: `fenced`, UnreachableError (try again) or StreamError."""
    error: KafkaError = failure.args[0]
    code = error.code()
    if code in (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED):
        return fenced
    if error.retriable() or code in (KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
        return UnreachableError(f"{what}: Kafka did not finish in time: {error.str()}")
    return StreamError(f"{what}: transaction refused: {error.str()}")


class Publisher:
    """Publishes the revisions of `system`. Use: `await initialise()`, then `await publish(records)` once a revision."""

    def __init__(
        self, address: str, system: str, *, options: Mapping[str, object] | None = None, partition: int | None = None
    ) -> None:
        """`partition`: None for that of the system; others that publish by partition name it (the alert worker)."""
        self.system = system
        self._partition = partition_of(system) if partition is None else partition
        self._config = {
            **client_options(address, options),
            "transactional.id": f"tidewatch/{system}",
            "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
            "linger.ms": 0,
            "message.max.bytes": EVENT_BYTES,
            "queue.buffering.max.messages": 1_000_000,
            "queue.buffering.max.kbytes": 512 << 10,
        }
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"publisher-{system}")
        self._producer: Producer | None = None
        self._hurried = False

    def hurry(self) -> None:
        """The worker ends: an `initialise` under way is given up soon. What is being committed is finished."""
        self._hurried = True

    async def initialise(self) -> None:
        """Fence every predecessor; from here on none of them can commit.

        Errors: UnreachableError (try again), PublisherFenced (a later one initialised meanwhile), StreamError.
        """
        loop = asyncio.get_running_loop()

        def do() -> None:
            self._producer = Producer(self._config)
            self._in_slices(self._producer.init_transactions)

        await self._call(loop, do)

    async def publish(self, records: Iterable[Record]) -> None:
        """Commit `records` as one transaction: all of them, or (after an error) none that a reader sees.

        Errors: PublisherFenced (another took over), UnreachableError or StreamError (outcome unknown or aborted). After
        any of them this publisher is spent: make a new one, initialise, and read back what is committed.
        """
        loop = asyncio.get_running_loop()
        await self._call(loop, lambda: self._publish(records))

    def _in_slices(self, call: Callable[[float], object]) -> None:
        """`call(seconds)`, which goes on where it stopped when it is repeated, for CALL_TIMEOUT_S, or until `hurry`."""
        ends = time.monotonic() + CALL_TIMEOUT_S
        while True:
            try:
                call(SLICE_S)
                return
            except KafkaException as failure:
                error: KafkaError = failure.args[0]
                if not error.retriable() or self._hurried or time.monotonic() > ends:
                    raise

    def _publish(self, records: Iterable[Record]) -> None:
        producer = self._producer
        assert producer is not None, "initialise() comes first"
        partition = self._partition
        producer.begin_transaction()
        produce = producer.produce
        for topic, key, value in records:
            try:
                produce(topic, value, key, partition)
            except BufferError:
                producer.poll(CALL_TIMEOUT_S)
                produce(topic, value, key, partition)
        producer.commit_transaction(CALL_TIMEOUT_S)

    async def _call(self, loop: asyncio.AbstractEventLoop, do: object) -> None:
        try:
            await loop.run_in_executor(self._pool, do)  # type: ignore[arg-type]
        except KafkaException as failure:
            # No name for it here: an error that its own traceback leads to keeps the client, and its threads, for ever.
            raise refusal(
                failure,
                f"system {self.system}",
                PublisherFenced(f"system {self.system}: another index worker publishes it now"),
            ) from None
        except BufferError:
            raise UnreachableError(f"system {self.system}: the send queue stays full, Kafka does not take it") from None

    def close(self) -> None:
        """Give the client's threads up; an open transaction is left to the next initialise, or to its timeout."""
        self._producer = None
        self._pool.shutdown(wait=False, cancel_futures=True)
