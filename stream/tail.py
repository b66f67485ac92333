"""Reading a partition from its start to where it ends now: for compacted topics, at start."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream.errors import UnreachableError
from stream.topics import ANSWER_S, client_options

READ = 10_000
# What is read ahead: librdkafka's own 64 MiB would be a worker's memory for good after one look at a long topic.
QUEUE_KIB = 8 << 10


def reader_options(address: str, options: Mapping[str, object] | None, *, committed: bool) -> dict[str, object]:
    """Options of a consumer that belongs to no group of others, commits nothing and is told where partitions end."""
    return {
        **client_options(address, options),
        "group.id": f"tidewatch-reader-{uuid4()}",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed" if committed else "read_uncommitted",
        "fetch.wait.max.ms": 50,
        "fetch.queue.backoff.ms": 5,
        "queued.max.messages.kbytes": QUEUE_KIB,
    }


def high_watermarks(
    address: str,
    where: list[tuple[str, int]],
    options: Mapping[str, object] | None = None,
    timeout_s: float = ANSWER_S,
) -> dict[tuple[str, int], int]:
    """High watermark of each (topic, partition): past everything written, committed or not.

    Errors: UnreachableError. (A read_committed consumer would be told the last stable offset instead: see PROTOCOL.)
    """
    consumer = Consumer(reader_options(address, options, committed=False))
    try:
        return {
            (topic, partition): consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=timeout_s)[1]
            for topic, partition in where
        }
    except KafkaException as error:
        raise UnreachableError(f"Kafka at {address}: no offsets of {where[0][0]}: {error.args[0].str()}") from None
    finally:
        consumer.close()


def read_to(
    address: str,
    ends: Mapping[tuple[str, int], int],
    options: Mapping[str, object] | None = None,
    *,
    committed: bool = True,
    timeout_s: float = 60.0,
    clock: Callable[[], float] = time.monotonic,
    stopping: Callable[[], bool] = lambda: False,
) -> Iterator[Message]:
    """Every message of the partitions in `ends`, from the start up to (not including) the offsets given, in log order.

    With `committed`, waits until no open transaction hides anything below these ends. Errors: UnreachableError where
    the end is not reached and nothing comes for `timeout_s`, or `stopping()` says that nobody wants it any more.
    """
    open_ends = {where: end for where, end in ends.items() if end > 0}
    if not open_ends:
        return
    consumer = Consumer(reader_options(address, options, committed=committed))
    try:
        # By number: librdkafka takes half a second to find out what "the beginning" is.
        starts = [_start(consumer, address, topic, partition) for topic, partition in open_ends]
        consumer.assign(starts)
        deadline = clock() + timeout_s
        while open_ends:
            first = consumer.poll(0.2)
            if first is None:
                if stopping():
                    raise UnreachableError(f"Kafka at {address}: not read to the end, since the worker ends")
                if clock() > deadline:
                    left = ", ".join(f"{topic}/{partition}" for topic, partition in open_ends)
                    raise UnreachableError(f"Kafka at {address}: {left} not read to the end within {timeout_s:.0f} s")
                continue
            deadline = clock() + timeout_s
            for message in [first, *consumer.consume(READ, timeout=0)]:
                where = (message.topic() or "", message.partition() or 0)
                error = message.error()
                offset = message.offset() or 0
                if error is None:
                    if offset < ends[where]:
                        yield message
                    # Behind the last message there may be markers only: the end of partition tells that.
                    if offset + 1 >= ends[where]:
                        open_ends.pop(where, None)
                elif error.code() == KafkaError._PARTITION_EOF:
                    if offset >= ends[where]:
                        open_ends.pop(where, None)
                elif error.fatal():
                    raise UnreachableError(f"Kafka at {address}: {error.str()}")
    finally:
        consumer.close()


def _start(consumer: Consumer, address: str, topic: str, partition: int) -> TopicPartition:
    try:
        low, _ = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=ANSWER_S)
    except KafkaException as error:
        raise UnreachableError(f"Kafka at {address}: no offsets of {topic}: {error.args[0].str()}") from None
    return TopicPartition(topic, partition, low)
