"""The Kafka of played traces: the logs, the committed outputs as a consumer sees them, another system's transaction."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any
from uuid import uuid4

import msgspec
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from model_log import NOT_YET, Meta
from player_world import BASE_EVENTS, CITY, FLOW, MONTH, QUARTER, SHIFT, STOCK, minutes, records

from stream.errors import UnreachableError
from stream.messages import IndexUpdate, RankingTable, Revision
from stream.tail import high_watermarks, read_to, reader_options
from stream.topics import (
    OUTPUTS,
    RANKINGS,
    REVISIONS,
    SYSTEM_PARTITIONS,
    UPDATES,
    client_options,
    ensure_topics,
    partition_of,
)
from tests.waiting import eventually

WHEN_MS = 1_654_080_000_000  # the records' timestamps: behind all events
_names = count(1)


class Logs:
    """Logs of the model as topics, each written once; `kafka` is the address."""

    def __init__(self, kafka: str) -> None:
        self.kafka = kafka
        self._prefix = f"played-{uuid4().hex[:8]}"
        self._read: dict[tuple, list[Message]] = {}
        self._producer = Producer({**client_options(kafka), "linger.ms": 0, "enable.idempotence": True})
        self._admin = AdminClient(client_options(kafka))
        ensure_topics(kafka, 2)
        eventually(self._led, 60.0)

    def _led(self) -> bool:
        """Whether every partition of the outputs has the leader that the metadata name."""
        try:
            high_watermarks(self.kafka, [(topic, p) for topic in OUTPUTS for p in range(SYSTEM_PARTITIONS)])
        except UnreachableError as error:
            raise AssertionError(str(error)) from error
        return True

    def messages(self, log: tuple) -> list[Message]:
        """Every record of `log` and those before it, as a consumer got them from Kafka."""
        if log not in self._read:
            topic = f"{self._prefix}-log-{len(self._read)}"
            self._admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
            for key, value in records(log):
                self._producer.produce(topic, value, key, 0, timestamp=WHEN_MS)
            assert not self._producer.flush(30)
            read = list(read_to(self.kafka, high_watermarks(self.kafka, [(topic, 0)])))
            assert [m.offset() for m in read] == list(range(SHIFT + len(log)))
            self._read[log] = read
        return self._read[log]

    def new_system(self) -> str:
        """A name that no trace has had: keys and transactional id of its own."""
        return f"{self._prefix}-{next(_names)}"


class Outputs:
    """Everything that `system` committed, as a `read_committed` consumer that runs all along gets it."""

    def __init__(self, kafka: str, system: str) -> None:
        self._prefix, self._partition = f"{system}/", partition_of(system)
        where = [(topic, self._partition) for topic in OUTPUTS]
        starts = high_watermarks(kafka, where)
        self._consumer = Consumer(reader_options(kafka, None, committed=True) | {"enable.partition.eof": False})
        self._consumer.assign([TopicPartition(t, p, starts[t, p]) for t, p in where])
        self.revisions: list[Revision] = []
        self.updates: dict[str, IndexUpdate] = {}
        self.tables: dict[str, RankingTable] = {}
        self.deltas: list[dict[str, Any]] = []

    def follow(self, enough: Callable[[], Any], said: Callable[[], str] = str, bound_s: float = 20.0) -> None:
        """Read until `enough()`, for at most `bound_s`; `said`: what was wanted. Blocking."""

        def look() -> bool:
            for message in self._consumer.consume(1000, 0.02):
                self._take(message)
            return bool(enough())

        if not enough():
            eventually(look, bound_s, lambda: f"committed: {self.seen()}, {said()}")

    def _take(self, message: Message) -> None:
        assert message.error() is None, message.error()
        key, value, topic = (message.key() or b"").decode(), message.value(), message.topic()
        if not key.startswith(self._prefix):
            return
        name = key.removeprefix(self._prefix)
        if topic == UPDATES:
            self.updates.pop(name, None)
            if value is not None:
                self.updates[name] = msgspec.json.decode(value, type=IndexUpdate)
        elif topic == RANKINGS:
            self.tables.pop(name, None)
            if value is not None:
                self.tables[name] = msgspec.json.decode(value, type=RankingTable)
        elif topic == REVISIONS:
            self.revisions.append(msgspec.json.decode(value, type=Revision))
        else:
            self.deltas.append(msgspec.json.decode(value))

    def values(self) -> tuple:
        """What index-updates holds, as the model names it: by key, without those that have no value."""
        month, quarter = self.updates.get(f"{CITY}/{MONTH}"), self.updates.get(f"{CITY}/{QUARTER}")
        pairs = [
            ("flow", month and month.nodes.get(FLOW)),
            ("day", quarter and quarter.nodes.get(FLOW)),
            ("stock", month and month.nodes.get(STOCK)),
        ]
        return tuple((name, value) for name, value in pairs if value)

    def table(self) -> tuple:
        """The same of the whole tables."""
        pairs = [("flow", f"flow/{MONTH}"), ("day", f"flow/{QUARTER}"), ("stock", f"stock/{MONTH}")]
        out = []
        for name, path in pairs:
            rows = self.tables[path].rows if path in self.tables else None
            if rows is not None and CITY in rows.entity:
                out.append((name, rows.value[rows.entity.index(CITY)]))
        return tuple(out)

    def seen(self) -> tuple:
        """How many revisions; (number, offset, definition) and meta of the last one; values; whole tables."""
        number, offset, definition, meta = self._last()
        return len(self.revisions), (number, offset, definition), meta, self.values(), self.table()

    def _last(self) -> tuple:
        if not self.revisions:
            return 0, 0, 1, Meta()
        revision = self.revisions[-1]
        watermark = minutes(revision.watermark) if revision.watermark is not None else 0
        counts = revision.counts
        meta = Meta(
            watermark or NOT_YET, counts.accepted - BASE_EVENTS, counts.duplicate, sum(counts.rejected.values()),
            revision.catalogue,
        )  # fmt: skip
        return revision.revision, revision.offsets["0"] - SHIFT, revision.definition, meta

    def whole(self, revisions: int) -> bool:
        """Whether so many revisions have come, and every delta of them."""
        held = self.revisions
        return len(held) == revisions and len(self.deltas) >= sum(revision.deltas for revision in held)

    def contradiction(self) -> str:
        """What no consumer may see: a gap or repeat of a number, offsets going back, a delta that does not continue."""
        number, offset, anew = 0, 0, set()
        for revision in self.revisions:
            if revision.revision != number + 1:
                return f"revision {revision.revision} after revision {number}"
            if revision.offsets["0"] < offset:
                return f"revision {revision.revision} goes back from offset {offset} to {revision.offsets['0']}"
            number, offset = revision.revision, revision.offsets["0"]
            if revision.reason in ("definition", "catalogue"):
                anew.add(number)
        ranks: dict[tuple[str, str], dict[str, int]] = {}
        for delta in self.deltas:
            table = ranks.setdefault((delta["ranking"], delta["period"]), {})
            if delta["revision"] in anew:
                table.clear()
            moved = delta["moved"]
            for entity, was in zip(moved["entity"], moved["was"], strict=True):
                if table.get(entity) != was:
                    return f"a delta moves {entity} from rank {was}, it stands at {table.get(entity)}: {delta}"
            for entity, rank in table.items():
                table[entity] = rank + sum(add for first, last, add in delta["shifted"] if first <= rank <= last)
            table.update(zip(moved["entity"], moved["rank"], strict=True))
        return ""

    def close(self) -> None:
        """End the consumer."""
        self._consumer.close()


class OtherSystem:
    """A transaction of another system that writes to the same partitions, and stays open until `end`."""

    def __init__(self, kafka: str, system: str) -> None:
        wanted = partition_of(system)
        name = next(f"other-{n}" for n in range(1000) if partition_of(f"other-{n}") == wanted)
        self._producer = Producer({**client_options(kafka), "transactional.id": f"played/{name}", "linger.ms": 0})
        self._producer.init_transactions(20)
        self._producer.begin_transaction()
        for topic in OUTPUTS:
            self._producer.produce(topic, None, f"{name}/none", wanted)
        self._producer.flush(20)

    def end(self) -> None:
        """Commit it."""
        self._producer.commit_transaction(20)
