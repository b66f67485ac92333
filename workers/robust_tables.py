"""The process beside an index worker that computes rank intervals and publishes them (docs/formats.md section 6).

A process of its own, at the lowest priority: in a thread, every step of the worker's event loop would wait for the
interpreter's lock (measured: a third of the revisions). Jobs come in on standard input, answers go out on standard
output, each a length of 4 bytes and MessagePack; it ends when its input does, so with its worker, however that ended.
Owns: what stands on `robustness` for each system that it is asked about.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from typing import IO, Any

import msgspec
import numpy as np
from confluent_kafka import Producer

from index.catalogue import Catalogue
from index.definition import Definition
from index.periods import Period
from index.robustness import Interval, Robustness, ranks_by_root
from index.system import System
from stream.errors import UnreachableError
from stream.messages import Intervals, RobustTable, encode, read_message
from stream.published import read_latest
from stream.topics import EVENT_BYTES, ROBUSTNESS, client_options, partition_of

FLUSH_S = 5.0
NICENESS = 19


class Job(msgspec.Struct, kw_only=True):
    """Renew the tables of one period. `values`: float64[nodes, rows] as published, empty: nothing is; `periods`: all
    that have anything. `text`, `catalogue` (JSON): of `definition`/`digest` (version, catalogue), "" if known already.
    """

    kafka: str
    options: dict[str, Any]
    system: str
    definition: int
    digest: str
    text: str
    catalogue: bytes
    period: str
    periods: list[str]
    revision: int
    values: bytes


class Answer(msgspec.Struct):
    """Processor seconds used, of all threads; `error`: what went wrong, "" for nothing."""

    cost_s: float
    error: str


_encode = msgspec.msgpack.Encoder().encode
_job = msgspec.msgpack.Decoder(Job)
answer_of = msgspec.msgpack.Decoder(Answer).decode


def frame(message: Job | Answer) -> bytes:
    """A message as it goes through the pipe."""
    body = _encode(message)
    return len(body).to_bytes(4, "big") + body


class RobustTables:
    """The tables of one system under one definition and catalogue."""

    def __init__(self, address: str, options: Mapping[str, Any], definition: Definition, catalogue: Catalogue) -> None:
        """Draws the weights; reads what stands on the topic. Errors: UnreachableError, MessageError."""
        self._address, self._options, self._definition = address, options, definition
        self._system = System(definition, catalogue)
        self._robustness = Robustness(definition)
        self._producer: Producer | None = None
        self.sent = self._read()

    def renew(self, job: Job) -> None:
        """Compute and publish the tables of a period that differ from what was sent. Errors: UnreachableError."""
        period, found = Period.parse(job.period), list[Interval]()
        if job.values:
            values = np.frombuffer(job.values).reshape(len(self._definition.tree.nodes), -1)
            outlines = [
                o for o in self._system.outlines.values() if ranks_by_root(o) and period.grain in o.ranking.grains
            ]
            found += self._robustness.intervals(self._system.layout, outlines, values)
        tables = {table_key(table): table for table in (self._table(i, job) for i in found)}
        differ = {key: table for key, table in tables.items() if not _same(self.sent.get(key), table)}
        gone = [
            key
            for key, table in self.sent.items()
            if key not in tables and (table.period == job.period or table.period not in job.periods)
        ]
        if differ or gone:
            self._publish({**{key: encode(table) for key, table in differ.items()}, **dict.fromkeys(gone)})
            self.sent.update(differ)
            for key in gone:
                del self.sent[key]

    def _read(self) -> dict[str, RobustTable]:
        return read_robust_tables(self._address, self._definition.system, self._options)

    def _table(self, interval: Interval, job: Job) -> RobustTable:
        settings = self._definition.robustness
        assert settings is not None
        return RobustTable(
            system=job.system,
            ranking=interval.ranking,
            period=job.period,
            scope=interval.scope,
            revision=job.revision,
            definition=job.definition,
            draws=settings.draws,
            seed=settings.seed,
            level=settings.level,
            rows=Intervals(interval.entity, interval.rank, interval.rank_low, interval.rank_high),
        )

    def _publish(self, records: Mapping[str, bytes | None]) -> None:
        """As `publish_records`."""
        if self._producer is None:
            self._producer = Producer(_producer_options(self._address, self._options))
        try:
            publish_records(self._producer, partition_of(self._definition.system), records)
        except UnreachableError:
            self._producer = None  # what it still holds is older than what the next one sends
            raise


def read_robust_tables(
    address: str, system: str, options: Mapping[str, object] | None = None
) -> dict[str, RobustTable]:
    """What stands on `robustness` for a system, by key. Blocking. Errors: UnreachableError, MessageError."""
    held = read_latest(address, ROBUSTNESS, system, options)
    read = {key: read_message(RobustTable, value, f"{ROBUSTNESS} {key}", lambda _: None) for key, value in held.items()}
    return {key: table for key, table in read.items() if table is not None}  # a foreign one is written over


def clear(address: str, system: str, options: Mapping[str, object] | None = None) -> int:
    """Remove all of a system's tables: its definition in force has no intervals. Returns how many there were.

    Blocking. Errors: UnreachableError.
    """
    held = read_robust_tables(address, system, options)
    if held:
        publish_records(Producer(_producer_options(address, options)), partition_of(system), dict.fromkeys(held))
    return len(held)


def _producer_options(address: str, options: Mapping[str, object] | None) -> dict[str, Any]:
    own = {"enable.idempotence": True, "acks": "all", "linger.ms": 5, "message.max.bytes": EVENT_BYTES}
    return {**client_options(address, options), **own}


def publish_records(producer: Producer, partition: int, records: Mapping[str, bytes | None]) -> None:
    """Send and wait for the acknowledgements. Errors: UnreachableError; some may be written then."""
    failures: list[str] = []

    def delivered(error: object, _message: object) -> None:
        if error is not None:
            failures.append(str(error))

    for key, value in records.items():
        producer.produce(ROBUSTNESS, value, key, partition, on_delivery=delivered)
    left = producer.flush(FLUSH_S)
    if left or failures:
        producer.purge()
        reason = failures[0] if failures else "no answer"
        raise UnreachableError(f"{ROBUSTNESS}: {len(failures) + left} records not written: {reason}")


def table_key(table: RobustTable) -> str:
    """Its message key: `system/ranking/period[/scope]`."""
    path = f"{table.system}/{table.ranking}/{table.period}"
    return path if table.scope is None else f"{path}/{table.scope}"


def _same(sent: RobustTable | None, table: RobustTable) -> bool:
    """Whether it says the same, but for the revision."""
    return sent is not None and msgspec.structs.replace(sent, revision=table.revision) == table


class _Office:
    """The systems that this process has been asked about: of each the last definition and catalogue."""

    def __init__(self) -> None:
        self._tables: dict[str, tuple[tuple[int, str], RobustTables]] = {}

    def answer(self, job: Job) -> Answer:
        began = time.process_time()
        try:
            self._of(job).renew(job)
        except Exception as error:  # the worker says it, once
            return Answer(time.process_time() - began, f"{type(error).__name__}: {error}")
        return Answer(time.process_time() - began, "")

    def _of(self, job: Job) -> RobustTables:
        if job.text:
            catalogue = Catalogue.from_json(job.catalogue)
            definition = Definition.parse(job.text, catalogue, f"{job.system}/{job.definition}")
            self._tables.pop(job.system, None)
            tables = RobustTables(job.kafka, job.options, definition, catalogue)
            self._tables[job.system] = (job.definition, job.digest), tables
        return self._tables[job.system][1]


def serve(given: IO[bytes], answers: IO[bytes]) -> None:
    """Answer jobs until the input ends."""
    office = _Office()
    while len(head := given.read(4)) == 4:
        answers.write(frame(office.answer(_job.decode(given.read(int.from_bytes(head, "big"))))))
        answers.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches it too; its worker ends it
    os.nice(NICENESS)
    serve(sys.stdin.buffer, sys.stdout.buffer)
