"""A consumer that runs beside a test from its first revision on, and believes nothing.

`Watcher` reads what a system publishes (`read_committed`, as any subscriber would) in a thread of its own; `Book` puts
each revision together when all of its records are there, and holds against it, in docs/formats.md's words:

- revisions are contiguous from 1, each comes once, in order, and none names a lower offset than its predecessor;
- counts never fall, and the same offsets always come with the same counts and watermark (but after a `repair`);
- no key is written twice with one revision, so no value contradicts an earlier one;
- the deltas fit the rows that they are applied to, and give exactly each whole table at its own revision: rows, ranks,
  values, and `change` from the predecessor's rows at that moment;
- a table's values are those of `index-updates`, as of that revision;
- at rest the compacted tables are what the deltas give, no more and no fewer.

Shares the names of the topics with the engine, and nothing else.
"""

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from uuid import uuid4
from zlib import crc32

from confluent_kafka import Consumer, TopicPartition

from stream.topics import DELTAS, OUTPUTS, RANKINGS, REVISIONS, SYSTEM_PARTITIONS, UPDATES
from tests.waiting import eventually

READ = 5_000
RING = 1000  # keys of `revisions`
POLL_S = 0.1
SHOWN = 8
REST_S = 1.5  # whole tables lag by a second; after so long without anything none is outstanding
REASONS = ("start", "feed", "definition", "catalogue", "repair")

Rows = dict[str, tuple[int, float]]  # entity -> rank, value


@dataclass
class Parts:
    """The records of one revision, as far as they have come. Keys without the system."""

    revision: dict[str, Any] | None = None
    updates: dict[str, dict[str, Any]] = field(default_factory=dict)
    deltas: dict[str, dict[str, Any]] = field(default_factory=dict)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)

    def whole(self) -> bool:
        """Whether as many have come as the revision says."""
        said = self.revision
        return said is not None and (
            (said["updates"], said["deltas"], said["tables"]) == (len(self.updates), len(self.deltas), len(self.tables))
        )

    def count(self) -> str:
        """For people."""
        said = self.revision and {name: self.revision[name] for name in ("updates", "deltas", "tables")}
        return f"{len(self.updates)} updates, {len(self.deltas)} deltas, {len(self.tables)} tables of {said}"


class Book:
    """What is known of a system from the records that were taken so far."""

    def __init__(self, system: str) -> None:
        """Nothing is known."""
        self.system = system
        self.revisions: list[dict[str, Any]] = []  # those that are whole, in order
        self.wrong: list[str] = []
        self.rows: dict[str, Rows] = {}  # what the deltas give, by table
        self.updates: dict[str, dict[str, Any]] = {}
        self.pending: dict[int, Parts] = {}
        self._tables: dict[str, dict[str, Any] | None] = {}  # as compacted: None after a tombstone
        self._compacted: dict[str, dict[str, Any] | None] = {}  # the same of updates
        self._in_topic: dict[str, int] = {}  # the last revision met in each topic

    @property
    def revision(self) -> int:
        """Number of the last whole revision; 0 before the first."""
        return len(self.revisions)

    def reasons(self) -> list[str]:
        """The reason of each revision."""
        return [revision["reason"] for revision in list(self.revisions)]

    def check(self) -> None:
        """Assert that nothing was wrong so far."""
        assert not self.wrong, f"{len(self.wrong)} in all:\n" + "\n".join(self.wrong[:SHOWN])

    def close(self, revision: int) -> None:
        """Assert that nothing was ever wrong, and `revision` is the last. Only at rest: then all tables are whole."""
        self.check()
        assert self.revision == revision, f"revision {self.revision} has come, {revision} is the last: not at rest"
        assert not self.pending, {number: parts.count() for number, parts in self.pending.items()}
        for key, table in self._tables.items():
            left = len(self.rows.get(key, ()))
            if table is None:
                self._hold(left == 0, f"{key}: removed, and the deltas leave {left} rows")
            else:
                self._compare_table(key, table, "at rest")
        for key, rows in self.rows.items():
            there = not rows or key in self._tables
            self._hold(there, f"{key}: the deltas give {len(rows)} rows, no table is published")
        for key, update in self._compacted.items():
            last = update is None or self.updates[key] == update
            self._hold(last, f"{key}: the last update is not the last revision's")
        self.check()

    def take(self, topic: str, key: str, raw: bytes | None) -> None:
        """The next record of a topic; `key` without the system."""
        if raw is None:  # a tombstone names no revision
            self._hold(topic in (UPDATES, RANKINGS), f"{topic} {key}: a tombstone")
            (self._compacted if topic == UPDATES else self._tables)[key] = None
            return
        value = json.loads(raw)
        number, last = value["revision"], self._in_topic.get(topic, 0)
        where = f"{topic} {key}: revision {number}"
        self._hold(value["system"] == self.system, f"{where}: of system {value['system']}")
        self._hold(number > self.revision, f"{where} after revision {self.revision} was whole")
        self._hold(number >= last, f"{where} behind {last}")
        self._in_topic[topic] = number
        parts = self.pending.setdefault(number, Parts())
        if topic == REVISIONS:
            self._hold(parts.revision is None, f"{where} comes twice")
            self._hold(number == last + 1, f"{where} behind {last}: not contiguous")
            self._hold(key == str(number % RING), f"{where} has key {key}")
            parts.revision = value
            return
        into = {UPDATES: parts.updates, DELTAS: parts.deltas, RANKINGS: parts.tables}[topic]
        if key in into:
            self._hold(False, f"{where} twice, {'the same' if into[key] == value else 'another value'}")
        into[key] = value
        if topic == UPDATES:
            self._compacted[key] = value
        elif topic == RANKINGS:
            self._tables[key] = value

    # --- one revision after the other ---------------------------------------------------------------------------------

    def advance(self) -> None:
        """Take over the revisions that are whole."""
        while (parts := self.pending.get(self.revision + 1)) is not None and parts.whole():
            assert parts.revision is not None
            self._follow(parts.revision)
            for key, delta in parts.deltas.items():
                if parts.revision["reason"] in ("definition", "catalogue") and _starts_anew(delta):
                    self.rows[key] = {}
                self._apply(key, delta)
            for key, update in parts.updates.items():
                self._hold(
                    update["definition"] == parts.revision["definition"],
                    f"{key}: definition {update['definition']} in revision {parts.revision['revision']}",
                )
            self.updates.update(parts.updates)
            for key, table in parts.tables.items():
                self._compare_table(key, table, f"revision {table['revision']}")
            del self.pending[self.revision + 1]
            self.revisions.append(parts.revision)
            self.followed(parts)

    def followed(self, parts: Parts) -> None:
        """Hears of each revision once it is taken over; for whoever wants more of it."""

    def _follow(self, new: dict[str, Any]) -> None:
        name = f"revision {new['revision']}"
        self._hold(new["reason"] in REASONS, f"{name}: reason {new['reason']}")
        if not self.revisions:
            self._hold(new["reason"] == "start", f"{name}: the first, reason {new['reason']}")
            return
        old = self.revisions[-1]
        self._hold(new["offsets"].keys() == old["offsets"].keys(), f"{name}: partitions {sorted(new['offsets'])}")
        for partition, offset in new["offsets"].items():
            before = old["offsets"].get(partition, 0)
            self._hold(offset >= before, f"{name}: partition {partition} goes back from {before} to {offset}")
        repaired = new["reason"] == "repair"
        was, now = _flat(old["counts"]), _flat(new["counts"])
        for outcome in was | now if not repaired else ():
            self._hold(now[outcome] >= was[outcome], f"{name}: {outcome} falls from {was[outcome]} to {now[outcome]}")
        old_catalogue, new_catalogue = old["catalogue"], new["catalogue"]
        self._hold(new_catalogue >= old_catalogue, f"{name}: catalogue {new_catalogue} behind {old_catalogue}")
        if new["offsets"] == old["offsets"] and not repaired:
            for what in ("counts", "watermark"):
                self._hold(
                    new[what] == old[what], f"{name}: other {what} at the same offsets: {old[what]}, {new[what]}"
                )

    def _apply(self, key: str, delta: dict[str, Any]) -> None:
        where, moved, rows = f"revision {delta['revision']} delta {key}", delta["moved"], self.rows.setdefault(key, {})
        columns = list(zip(moved["entity"], moved["was"], moved["rank"], moved["value"], strict=True))
        entities = {entity for entity, *_ in columns}
        self._hold(len(entities) == len(columns), f"{where}: an entity stands twice in moved")
        for entity, was, rank, value in columns:
            held = rows.get(entity, (None,))[0]
            self._hold(was == held, f"{where}: {entity} was {was}, and stands at {held}")
            self._hold((rank is None) == (value is None), f"{where}: {entity} has rank {rank} and value {value}")
        for entity, (rank, value) in list(rows.items()):
            if entity not in entities:
                shifts = [by for first, last, by in delta["shifted"] if first <= rank <= last]
                self._hold(len(shifts) <= 1, f"{where}: rank {rank} lies in {len(shifts)} ranges")
                if shifts:
                    rows[entity] = rank + shifts[0], value
        for entity, _, rank, value in columns:
            if rank is None:
                rows.pop(entity, None)
            else:
                rows[entity] = rank, value
        self._hold(len(rows) == delta["size"], f"{where}: size {delta['size']}, applied it has {len(rows)} rows")

    def _compare_table(self, key: str, table: dict[str, Any], when: str) -> None:
        where, columns, rows = f"{when} table {key}", table["rows"], self.rows.get(key, {})
        listed = list(zip(columns["entity"], columns["rank"], columns["value"], strict=True))
        mine = sorted(((entity, rank, value) for entity, (rank, value) in rows.items()), key=lambda r: (r[1], r[0]))
        if listed != mine:
            shown = [pair for pair in zip(listed, mine, strict=False) if pair[0] != pair[1]][:2]
            self._hold(
                False,
                f"{where}: {len(listed)} rows, {len(mine)} by the deltas; (table, deltas) first differ at {shown}",
            )
        before = self.rows.get(
            "/".join([table["ranking"], _predecessor(table["period"]), *filter(None, [table["scope"]])]), {}
        )
        for (entity, rank, _), change in zip(listed, columns["change"], strict=True):
            was = before.get(entity)
            expected = None if was is None else was[0] - rank
            self._hold(change == expected, f"{where}: {entity} change {change}, by the deltas {expected}")
        self._hold(not set(table["left_out"]["entity"]) & rows.keys(), f"{where}: somebody is left out, and in it")
        if table["measure"] == "value":
            for entity, _, value in listed:
                update = self.updates.get(f"{entity}/{table['period']}", {"value": None, "nodes": {}})
                held = update["value"] if table["node"] == "index" else update["nodes"].get(table["node"])
                self._hold(value == held, f"{where}: {entity} {value}, its update says {held}")

    def _hold(self, true: bool, otherwise: str) -> None:
        if not true:
            self.wrong.append(otherwise)


class Watcher(Book):
    """`with Watcher(kafka, system) as watcher: ...; watcher.content(revision)`. The topics must be there."""

    def __init__(self, kafka: str, system: str) -> None:
        """Reads from the beginning of the topics."""
        super().__init__(system)
        self._moved_at = 0.0  # when something came
        self._ended = threading.Event()
        self._consumer = Consumer(
            {
                "bootstrap.servers": kafka,
                "group.id": f"watcher-{uuid4()}",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 50,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,  # it would say every failed attempt while a broker is away
            }
        )
        partition = crc32(system.encode()) % SYSTEM_PARTITIONS
        self._consumer.assign([TopicPartition(topic, partition, 0) for topic in OUTPUTS])
        self._thread = threading.Thread(target=self._run, name=f"watcher-{system}")

    def __enter__(self) -> Self:
        """Begin to read."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self._ended.set()
        self._thread.join()

    def at_rest(self) -> bool:
        """Whether nothing came for so long that no whole table can be outstanding."""
        return not self.pending and time.monotonic() - self._moved_at > REST_S

    def standing(self) -> str:
        """Where it stands, for a message; not while its thread is at work on the consumer for long."""
        parts = {number: each.count() for number, each in sorted(self.pending.items())}
        try:
            where = {
                f"{at.topic}/{at.partition}": (at.offset, self._consumer.get_watermark_offsets(at, timeout=5)[1])
                for at in self._consumer.position(self._consumer.assignment())
            }
        except Exception as error:
            where = {"unknown": (repr(error), 0)}
        still_s = time.monotonic() - self._moved_at
        return (
            f"the watcher stands at revision {self.revision}, waits for parts of {parts}, heard nothing for "
            f"{still_s:.1f} s, and has read (to, of) {where}"
        )

    def content(self, revision: int, timeout_s: float = 30.0) -> None:
        """Wait for that revision, and `close`."""
        eventually(lambda: self.revision >= revision or self.wrong, timeout_s)
        self.close(revision)

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                first = self._consumer.poll(POLL_S)
                if first is None:
                    continue
                for message in (first, *self._consumer.consume(READ, timeout=0)):
                    name, _, key = (message.key() or b"").decode().partition("/")
                    if message.error() is None and name == self.system:
                        self._moved_at = time.monotonic()
                        self.take(message.topic(), key, message.value())
                self.advance()
        except Exception as error:
            self.wrong.append(f"the watcher cannot go on: {error!r}")
        finally:
            self._consumer.close()


def _flat(counts: dict[str, Any]) -> Counter[str]:
    return Counter({"accepted": counts["accepted"], "duplicate": counts["duplicate"], **counts["rejected"]})


def _starts_anew(delta: dict[str, Any]) -> bool:
    """It comes from nowhere and holds all: a table that lists others than before begins again."""
    moved = delta["moved"]
    return delta["size"] == len(moved["entity"]) and all(was is None for was in moved["was"])


def _predecessor(period: str) -> str:
    """Of `2023`, `2023H1`, `2023Q1`, `2023-01`: the period before."""
    year, part = int(period[:4]), period[4:]
    if not part:
        return f"{year - 1:04d}"
    mark, number = part[0], int(part[1:])
    last = {"H": 2, "Q": 4, "-": 12}[mark]
    year, number = (year, number - 1) if number > 1 else (year - 1, last)
    return f"{year:04d}{mark}{number:02d}" if mark == "-" else f"{year:04d}{mark}{number}"
