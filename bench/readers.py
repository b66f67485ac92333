"""The bare readers that ingest is compared with, each run as a process of its own:

    python -m bench.readers aiokafka|confluent HOST:PORT '{"0": 250000, ...}'

reads `indicator-events` from offset 0 of every partition up to these ends (no other record in between) with the fetch
settings of `stream.batches`, does nothing with what it reads, and prints one JSON object: messages, seconds (from the
assignment to the last message), cpu_s.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from stream.batches import READ_MESSAGES, fetch_options
from stream.topics import EVENTS, client_options


async def read_aiokafka(address: str, ends: dict[int, int]) -> dict[str, float]:
    """`getmany`, all partitions in one consumer: the baseline."""
    from aiokafka import AIOKafkaConsumer, TopicPartition

    options = fetch_options()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=address,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=options["fetch.wait.max.ms"],
        fetch_min_bytes=options["fetch.min.bytes"],
        fetch_max_bytes=options["fetch.max.bytes"],
        max_partition_fetch_bytes=options["fetch.message.max.bytes"],
        isolation_level=options["isolation.level"],
        check_crcs=options["check.crcs"],
    )
    await consumer.start()
    try:
        total, messages = sum(ends.values()), 0
        began, cpu = time.monotonic(), time.process_time()
        consumer.assign([TopicPartition(EVENTS, p) for p in ends])
        while messages < total:
            messages += sum(map(len, (await consumer.getmany(timeout_ms=1000)).values()))
        return {"messages": messages, "seconds": time.monotonic() - began, "cpu_s": time.process_time() - cpu}
    finally:
        await consumer.stop()


def read_confluent(address: str, ends: dict[int, int]) -> dict[str, float]:
    """confluent-kafka's `consume`, beside it, so that a slow baseline shows."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer(
        {**fetch_options(), **client_options(address), "group.id": "bench-reader", "enable.auto.commit": False}
    )
    try:
        total, messages = sum(ends.values()), 0
        began, cpu = time.monotonic(), time.process_time()
        consumer.assign([TopicPartition(EVENTS, p, OFFSET_BEGINNING) for p in ends])
        while messages < total:
            if consumer.poll(0.2) is not None:
                messages += 1 + len(consumer.consume(READ_MESSAGES - 1, timeout=0))
        return {"messages": messages, "seconds": time.monotonic() - began, "cpu_s": time.process_time() - cpu}
    finally:
        consumer.close()


def main() -> None:
    """See the head of this file."""
    kind, address, text = sys.argv[1:4]
    ends = {int(p): end for p, end in json.loads(text).items()}
    found = asyncio.run(read_aiokafka(address, ends)) if kind == "aiokafka" else read_confluent(address, ends)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
