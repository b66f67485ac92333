"""Fuzz a running ingest worker through a real Kafka: `python -m tests.fuzz.live --messages 100000 --seed N`.

The decoder's mutated messages with keys, headers, tombstones, every codec, odd times, transactions that commit and that
abort, and messages of a megabyte. The worker may not stop, start anew, or leak; what became of each element, its dead
letter's bytes, the counts, cells and windows in Redis must be what verify's acceptance makes of the log. Exit code 1
where something is not so.
"""

from __future__ import annotations

import argparse
import json
import random as system_random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import redis
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from index.catalogue import Catalogue
from stream.catalogue_log import publish_catalogue
from stream.letters import Letter
from stream.topics import EVENT_BYTES, EVENTS
from tests.fuzz import records
from tests.fuzz.both_sides import Result, differences, judged
from tests.fuzz.made_catalogues import catalogue_of
from tests.fuzz.made_logs import Maker, Record
from tests.workers.desk import PARTITIONS, Desk
from workers.verify.log import Log

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
ROUND, ROUNDS = 1000, 20  # least messages between two looks at the worker; the most looks
FUTURE_MS = 1_700_000_600_000  # the makers' own times lie before
PASS_S = 300.0  # for a round to be read: it takes a second; the machine may be busy
GROWTH_BYTES, FILES = 64 << 20, 8  # what the worker may hold more at the end than after the first fifth


def main(arguments: list[str] | None = None) -> int:
    """Run; the exit code."""
    parser = argparse.ArgumentParser(description="Mutated messages through a real Kafka and a running ingest worker.")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", default=None, help="made up and printed when it is not given")
    parser.add_argument("--record", help="file to append the record to (JSON line; .gz)")
    chosen = parser.parse_args(arguments)
    seed = chosen.seed or str(system_random.SystemRandom().randrange(2**32))
    with tempfile.TemporaryDirectory(prefix="tidewatch-fuzz-", ignore_cleanup_errors=True) as folder:
        record = fuzz(seed, chosen.messages, Path(folder), print)
    records.write(chosen.record, record)
    return 1 if record["failures"] else 0


def fuzz(seed: str, messages: int, folder: Path, say: Callable[[str], object] = lambda text: None) -> dict[str, Any]:
    """Servers, a worker, `messages`; the record. `failures` holds what was found, in words."""
    say(f"live: seed {seed}, {messages:,} messages")
    out, began = records.head("live", seed), time.monotonic()
    random = Random(seed)
    made, random = catalogue_of(random), Random(f"{seed}/messages")
    with Desk(folder) as desk:
        first = Catalogue.load(desk.settings.catalogue)  # what the topic begins with
        catalogue = msgspec.structs.replace(
            made, version=first.version + 1, timezone=first.timezone, years=(2000, 2030)
        )
        publish_catalogue(desk.servers.kafka, catalogue, list(range(PARTITIONS)))
        desk.start("ingest")
        desk.ready("ingest")
        pid = desk.crew.workers["ingest"].pid
        sender, held = Sender(desk, random, catalogue), []
        step = max(ROUND, messages // ROUNDS)
        for done in range(0, messages, step):
            if done >= messages // 2 > done - step:
                _log_append_time(desk)
            sender.send(min(step, messages - done))
            desk.passed(timeout_s=PASS_S)
            held.append((records.resident_bytes(pid), len(list(Path(f"/proc/{pid}/fd").iterdir()))))
            say(f"  {done + step:,} messages, {time.monotonic() - began:.0f} s, {held[-1][0] >> 20} MiB")
        failures = _compared(desk, first)
        failures += _leaks(held[len(held) // 5 :])
        if desk.get("ingest", "/healthz")[0] != 200 or desk.crew.workers["ingest"].pid != pid:
            failures.append("the worker is not well, or is another one")
        if desk.end("ingest") != 0:
            failures.append("the worker did not end in good order: " + desk.crew.log("ingest")[-2000:])
        counts = dict(sorted(desk.counts().items()))
    out |= {
        **{"messages": messages, "seconds": round(time.monotonic() - began, 1), "outcomes": counts},
        **{"written": sender.written, "refused_by_the_broker": sender.refused, "aborted": sender.aborted},
        "resident_mib": [held[len(held) // 5][0] >> 20, held[-1][0] >> 20],
        "files": [held[len(held) // 5][1], held[-1][1]],
        "failures": failures,
    }
    say(json.dumps(out))
    return out


class Sender:
    """Writes messages in short runs, each in another way."""

    def __init__(self, desk: Desk, random: Random, catalogue: Catalogue) -> None:
        self.desk, self.random = desk, random
        self.makers = [Maker(random, catalogue) for _ in range(PARTITIONS)]
        self.written = self.refused = self.aborted = 0
        common = {"bootstrap.servers": desk.servers.kafka, "message.max.bytes": EVENT_BYTES, "linger.ms": 2}
        self.producers = [Producer({**common, "compression.type": codec}) for codec in CODECS]
        self.transactional = Producer(
            {**common, "transactional.id": f"fuzz-{random.getrandbits(64)}", "compression.type": "zstd"}
        )
        self.transactional.init_transactions(60)

    def send(self, n: int) -> None:
        """`n` messages, acknowledged or refused by the broker."""
        left = n
        while left > 0:
            partition, size = self.random.randrange(PARTITIONS), min(left, self.random.choice([1, 3, 20, 100]))
            if self.random.random() < 0.2:
                self.makers[partition].renew()
            made = self.makers[partition].log(partition, size)
            if self.random.random() < 0.02:
                made[-1] = made[-1]._replace(value=self._large())
            if self.random.random() < 0.2:
                self._transaction(made)
            else:
                self._produce(self.random.choice(self.producers), made)
            left -= size
        for producer in self.producers:
            assert producer.flush(60) == 0
        self._note_ends()

    def _large(self) -> bytes:
        n = self.random.choice([1_000_000, 3_000_000])
        return self.random.choice(
            [b"[" * n, b'{"a":"' + b"x" * n + b'"}', self.random.randbytes(n), b"[" + b"{}," * 3000 + b"7]"]
        )

    def _produce(self, producer: Producer, made: list[Record], *, count: bool = True) -> None:
        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                self.refused += 1
            elif count:
                self.written += 1

        for each in made:
            stamp = each.timestamp_ms if self.random.random() < 0.5 else 0  # none given: the client's clock
            # A broker refuses what is over an hour ahead, and all that stands in one batch with it.
            if not -1 <= stamp <= FUTURE_MS and self.random.random() > 0.02:
                stamp = self.random.choice([-1, 1, 10**12])
            headers = [(f"h{i}", self.random.randbytes(4)) for i in range(self.random.choice([0, 0, 1, 5]))]
            try:
                producer.produce(
                    EVENTS, each.value, each.own_key, each.partition, delivered, timestamp=stamp, headers=headers
                )
            except (KafkaException, BufferError, ValueError):
                self.refused += 1
            producer.poll(0)

    def _transaction(self, made: list[Record]) -> None:
        """Commits, or aborts: what an aborted one wrote is no event."""
        producer, aborts = self.transactional, self.random.random() < 0.4
        producer.begin_transaction()
        plain = [each._replace(timestamp_ms=0) for each in made]  # one that the broker refuses would abort them all
        self._produce(producer, plain, count=not aborts)
        if aborts:
            producer.flush(60)
            producer.abort_transaction(60)
            self.aborted += len(made)
            return
        producer.commit_transaction(60)

    def _note_ends(self) -> None:
        """Where Redis must come to: past the last message; behind it there may be markers, which nobody reads."""
        for partition, end in _last_offsets(self.desk).items():
            self.desk.sent[partition] = end


def _last_offsets(desk: Desk) -> dict[int, int]:
    """By partition, the next offset behind the last committed message."""
    log = Log(desk.servers.kafka)
    ends = {p: high for p, (_, high) in log.bounds(EVENTS, range(PARTITIONS)).items()}
    begins = dict(desk.sent)
    for record in _records_from(desk, begins, ends):
        begins[record.partition] = record.offset + 1
    return begins


def _records_from(desk: Desk, begins: dict[int, int], ends: dict[int, int]) -> list[Any]:
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer(
        {
            **{"bootstrap.servers": desk.servers.kafka, "group.id": "fuzz", "enable.auto.commit": False},
            **{"enable.partition.eof": True, "isolation.level": "read_committed", "fetch.message.max.bytes": 4 << 20},
            **{"fetch.wait.max.ms": 10, "receive.message.max.bytes": 128 << 20},
        }
    )
    out: list[Any] = []
    left = {p: end for p, end in ends.items() if end > begins.get(p, 0)}
    try:
        consumer.assign([TopicPartition(EVENTS, p, begins.get(p, 0)) for p in left])
        deadline = time.monotonic() + 120
        while left and time.monotonic() < deadline:
            for message in consumer.consume(2000, 0.1):
                partition, offset, error = message.partition() or 0, message.offset() or 0, message.error()
                if error is not None:
                    if error.code() == KafkaError._PARTITION_EOF and offset >= ends[partition]:
                        left.pop(partition, None)
                    continue
                out.append(Record(partition, offset, message.timestamp()[1], message.key(), message.value()))
    finally:
        consumer.close()
    assert not left, left
    return out


def _log_append_time(desk: Desk) -> None:
    """From here on the broker's clock stamps the records."""
    entry = ConfigEntry("message.timestamp.type", "LogAppendTime", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, EVENTS, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": desk.servers.kafka})  # held until it has answered
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(30)


def _compared(desk: Desk, first: Catalogue) -> list[str]:
    """What Redis and the dead letters say, against verify's acceptance of the same log."""
    ends = {p: high for p, (_, high) in Log(desk.servers.kafka).bounds(EVENTS, range(PARTITIONS)).items()}
    every: list[Record] = _records_from(desk, {}, ends)
    letters, out = desk.letters(), []
    for p in range(PARTITIONS):
        log = [record for record in every if record.partition == p]
        wanted = judged(first, log)
        found = _found(desk.redis, p, letters)
        out += [f"partition {p}: {text}" for text in differences(found, wanted)]
        rejected = sum(n for name, n in found.counts.items() if name.startswith("rejected:"))
        if rejected != len(found.rejects):
            out.append(f"partition {p}: {rejected} rejected, {len(found.rejects)} dead letters")
    return out


def _found(client: redis.Redis, p: int, letters: dict[tuple[int, int, int], Letter]) -> Result:
    tag = f"{{tw:{p}}}:"
    meta = client.hgetall(f"{tag}meta")
    names = sorted(client.smembers(f"{tag}rows"))
    return Result(
        {(o, e): (each.reason, each.raw, each.timestamp_ms) for (q, o, e), each in letters.items() if q == p},
        {name: int(n) for name, n in client.hgetall(f"{tag}counts").items()},
        {name: client.hgetall(tag + name) for name in names},
        client.hgetall(f"{tag}seq"),
        int(meta["watermark"]) if "watermark" in meta else None,
        int(meta["catalogue"]),
    )


def _leaks(held: list[tuple[int, int]]) -> list[str]:
    out = []
    if held[-1][0] - held[0][0] > GROWTH_BYTES:
        out.append(f"memory grew from {held[0][0] >> 20} to {held[-1][0] >> 20} MiB")
    if held[-1][1] - held[0][1] > FILES:
        out.append(f"open files grew from {held[0][1]} to {held[-1][1]}")
    return out


if __name__ == "__main__":
    sys.exit(main())
