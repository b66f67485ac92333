"""Reading a topic from its beginning up to given offsets, with a consumer that belongs to no group and commits nothing.

Offsets of a partition have gaps (compaction, the markers of transactions, aborted records), so "read up to N" means:
until the position has passed N - 1, which an end-of-partition event tells where no record stands there. Only committed
records are read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from workers.verify.errors import VerifyError

# Messages a call; and how long a partition may stand still before it is given up. An open transaction of another system
# on the same partition holds the reader back for as long as it lasts (a minute at most, the broker's default).
CONSUME_MESSAGES = 10_000
STALLED_S = 90.0
ANSWER_S = 15.0
POLL_S = 0.2
# What no waiting heals; everything else the client tries again by itself.
HOPELESS = (
    KafkaError._AUTO_OFFSET_RESET,
    KafkaError.OFFSET_OUT_OF_RANGE,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
)


class Record(NamedTuple):
    """One record; `timestamp_ms` is Kafka's."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


class Log:
    """One Kafka cluster, read only. Every method raises VerifyError when Kafka does not answer."""

    def __init__(self, address: str, options: Mapping[str, Any] | None = None) -> None:
        """`options` go over ours by librdkafka's names (TLS, SASL)."""
        self.address = address
        self._options = dict(options or {})
        self._partitions: dict[str, list[int]] = {}

    def partitions(self, topic: str) -> list[int]:
        """Numbers of a topic's partitions. VerifyError when there is no such topic."""
        if topic not in self._partitions:
            with self._consumer() as consumer:
                found = consumer.list_topics(topic, timeout=ANSWER_S).topics[topic]
            if found.error is not None or not found.partitions:
                raise VerifyError(f"Kafka at {self.address} has no topic {topic}")
            self._partitions[topic] = sorted(found.partitions)
        return self._partitions[topic]

    def bounds(self, topic: str, partitions: Iterable[int]) -> dict[int, tuple[int, int]]:
        """By partition: the first offset that is held, and the high watermark (the next offset)."""
        with self._consumer() as consumer:
            return {p: self._bounds(consumer, topic, p) for p in partitions}

    def read(
        self,
        topic: str,
        ends: Mapping[int, int],
        done: Callable[[int], bool] = lambda partition: False,
        begins: Mapping[int, int] | None = None,
    ) -> Iterator[Record]:
        """Records below `ends` (partition -> offset, exclusive), in order within a partition; from the beginning on, or
        from the offsets `begins`.

        A partition ends early when `done` says so. VerifyError when a partition stands still before its end.
        """
        left = {partition: end for partition, end in ends.items() if end > 0}
        if not left:
            return
        with self._consumer() as consumer:
            # By number, as librdkafka takes half a second to find out what "the beginning" is.
            first_of = {p: max((begins or {}).get(p, 0), self._bounds(consumer, topic, p)[0]) for p in left}
            consumer.assign([TopicPartition(topic, p, offset) for p, offset in first_of.items()])

            def finish(partition: int) -> None:
                del left[partition]
                consumer.pause([TopicPartition(topic, partition)])

            moved_at = time.monotonic()
            while left:
                first = consumer.poll(POLL_S)
                if first is None:
                    if time.monotonic() - moved_at > STALLED_S:
                        raise VerifyError(f"{topic}: nothing comes any more, and the ends {left} are not reached")
                    continue
                moved_at = time.monotonic()
                # The first is waited for, the rest is what has come already.
                for message in (first, *consumer.consume(CONSUME_MESSAGES, timeout=0)):
                    error = message.error()
                    if error is not None and error.code() != KafkaError._PARTITION_EOF:
                        if error.fatal() or error.code() in HOPELESS:
                            raise VerifyError(f"{topic}: {error.str()}")
                        continue
                    partition, offset = message.partition(), message.offset()
                    assert partition is not None
                    assert offset is not None
                    end = left.get(partition)
                    if end is None:
                        continue
                    if error is not None:
                        if offset >= end:
                            finish(partition)
                        continue
                    if offset < end:
                        yield Record(partition, offset, message.timestamp()[1], message.key(), message.value())
                    if offset >= end - 1 or done(partition):
                        finish(partition)

    def _bounds(self, consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=ANSWER_S)
        return low, high

    @contextmanager
    def _consumer(self) -> Iterator[Consumer]:
        consumer = Consumer(
            {
                "bootstrap.servers": self.address,
                "client.id": "tidewatch-verify",
                "log_level": 0,  # what matters fails a call
                "fetch.message.max.bytes": 4 << 20,
                "fetch.max.bytes": 64 << 20,
                "receive.message.max.bytes": 128 << 20,
                "fetch.wait.max.ms": 10,
                **self._options,
                "group.id": "tidewatch-verify",  # the client wants one; nothing is ever committed to it
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "auto.offset.reset": "error",
            }
        )
        try:
            yield consumer
        except KafkaException as error:
            raise VerifyError(f"Kafka at {self.address}: {error.args[0].str()}") from None
        finally:
            consumer.close()
