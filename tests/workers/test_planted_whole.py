"""`tidewatch verify` against what real workers made of a real feed: it finds nothing, and names each planted fault."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from zlib import crc32

import pytest
from confluent_kafka import Producer
from redis.asyncio import Redis

from state.flush import FlushBatch, flush
from state.keys import Offset, Partition, Token
from state.ownership import acquire
from stream.topics import EVENTS, RANKINGS, SYSTEM_PARTITIONS, UPDATES
from tests.waiting import eventually
from tests.workers.faults import PARTITIONS, SYSTEM, Trial
from tests.workers.watcher import REST_S
from workers.local import Servers
from workers.verify import Report, verify, verify_all
from workers.verify.log import Log
from workers.verify.published import read_published, read_revisions


@pytest.fixture(scope="module")
def run(own_servers: Servers, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Trial]:
    """A short run in which all is well. Whoever plants a fault takes it away again."""
    with Trial(own_servers, tmp_path_factory.mktemp("run"), f"{pytestconfig.option.hypothesis_seed}/planted") as trial:
        trial.workers(ingest=1, index=1)
        trial.feed()
        trial.flows()
        trial.settle()
        yield trial


def report(run: Trial) -> Report:
    return verify(run.servers.kafka, run.servers.redis, SYSTEM, rest_s=REST_S)


def named(found: Report, *kinds: str) -> set[str]:
    """The keys of the differences of these kinds."""
    return {each.key for each in found.differences if each.kind in kinds}


def a_cell(run: Trial) -> tuple[int, str, str, str, int]:
    """Partition, row, field, city and value of some cell of the first quarter, chosen by the seed."""
    rows = [
        (p, row)
        for p in range(PARTITIONS)
        for row in run.redis.smembers(f"{{tw:{p}}}:rows")
        if row.startswith("cells:2021-0")
    ]
    partition, row = run.random.choice(sorted(rows))
    field, value = run.random.choice(sorted(run.redis.hgetall(f"{{tw:{partition}}}:{row}").items()))
    return partition, row, field, row.rpartition(":")[2], int(value)


def test_a_wrong_cell(run: Trial) -> None:
    partition, row, field, *_ = a_cell(run)
    run.redis.hincrby(f"{{tw:{partition}}}:{row}", field, 1)
    found = report(run)
    run.redis.hincrby(f"{{tw:{partition}}}:{row}", field, -1)
    assert {(each.kind, each.key) for each in found.differences} == {("cell", f"partition {partition} {row} {field}")}
    assert report(run).ok


class Forger:
    """Flushes as an ingest worker does, once the real one has ended; what it writes is for the test to say."""

    def __init__(self, run: Trial) -> None:
        self.run, self.partition = run, Partition(run.random.randrange(PARTITIONS))
        self.tag = f"{{tw:{self.partition}}}:"
        self.cell, self.day = "cells:2021-01:330100", "days:2021-01:330100"
        [self.industry, *_] = run.catalogue.industry_codes[run.catalogue.indicator_index["dti.cloud"]]
        self.amounts = [
            int(run.redis.hget(f"{self.tag}{self.cell}", self.fields[0]) or 0),
            int(run.redis.hget(f"{self.tag}{self.day}", self.fields[1]) or 0),
        ]
        self.seq = 0

    @property
    def fields(self) -> tuple[str, str]:
        """In the cell's row, and in the day's."""
        return f"dti.cloud/{self.industry}", "dti.cloud@2021-01-01"

    def event(self, counted: int) -> None:
        """The next event of 7.50 stands in the log and is counted; the cells hold its amount `counted` times too often.

        (-1: it is missing; 0: all is right, also what was wrong before; 1: it is doubled.)
        """
        event = {"source": "forged", "seq": self.seq, "city": "330100", "indicator": "dti.cloud", "op": "add"}
        event |= {"industry": self.industry, "value": 7.5, "at": "2021-01-01T04:05:06+08:00"}
        producer = Producer({"bootstrap.servers": self.run.servers.kafka})
        producer.produce(EVENTS, json.dumps(event), b"330100", self.partition)
        producer.flush()
        self.seq += 1
        self.amounts = [amount + 750 for amount in self.amounts]
        cell, day = (amount + counted * 750 for amount in self.amounts)
        asyncio.run(self._flush([[self.cell, self.fields[0], cell], [self.day, self.fields[1], day]]))

    async def _flush(self, rows: list[list[str | int]]) -> None:
        async with Redis.from_url(self.run.servers.redis, decode_responses=True) as client:
            now = await acquire(client, self.partition, Token("forger"))
            window = f"{self.seq - 1}:{2**self.seq - 1:x}"
            counts = {**now.counts, "accepted": now.counts["accepted"] + 1}
            fields = [json.dumps(each).encode() for each in (rows, ["forged", window], counts)]
            batch = FlushBatch(now.offset, Offset(now.offset + 1), now.watermark_us, *fields, now.catalogue_version)
            await flush(client, self.partition, Token("forger"), batch)


def test_a_missing_event_and_a_doubled_one(run: Trial) -> None:
    """As by a worker that lost it, or took it twice: the cells are wrong, and all that was published from them."""
    run.workers(ingest=0, index=1)
    forger = Forger(run)
    where = f"partition {forger.partition} "
    for counted in (-1, 1):
        forger.event(counted)
        eventually(lambda: run.watcher.revisions[-1]["offsets"] == {str(p): o for p, o in run.offsets().items()})
        found = report(run)
        assert named(found, "cell") == {f"{where}{forger.cell} {forger.fields[0]}"}
        assert named(found, "day") == {f"{where}{forger.day} {forger.fields[1]}"}
        assert "330100/2021Q1" in named(found, "value")
        assert named(found, "rank", "delta")
        assert "count" not in found.found
    forger.event(0)
    eventually(lambda: run.watcher.revisions[-1]["offsets"] == {str(p): o for p, o in run.offsets().items()})
    assert report(run).ok
    run.watcher.check()


def send(run: Trial, topic: str, key: str, value: dict[str, Any]) -> None:
    """Committed by somebody else, of a revision that was."""
    producer = Producer({"bootstrap.servers": run.servers.kafka, "transactional.id": "somebody-else"})
    producer.init_transactions(10)
    producer.begin_transaction()
    producer.produce(topic, json.dumps(value), f"{SYSTEM}/{key}", crc32(SYSTEM.encode()) % SYSTEM_PARTITIONS)
    producer.commit_transaction(10)


def test_a_wrong_value_from_a_foreign_producer(run: Trial) -> None:
    """Wrong by the last bit. (One of the last tests: the watcher keeps what it saw.)"""
    update = run.random.choice([each for each in run.watcher.updates.values() if each["value"]])
    wrong = {**update, "value": float.fromhex("0x1.0000000000001p0") * update["value"]}
    assert wrong["value"] != update["value"]
    where = f"{update['entity']}/{update['period']}"
    send(run, UPDATES, where, wrong)
    found = report(run)
    send(run, UPDATES, where, update)
    assert {(each.kind, each.key) for each in found.differences} == {("value", where)}
    assert report(run).ok
    assert any(f"{UPDATES} {where}" in each for each in run.watcher.wrong)


def test_a_wrong_table_from_a_foreign_producer(run: Trial) -> None:
    """A rank, and the change from the year before, in the whole table of some ranking; `verify_all` finds it, too."""
    log = Log(run.servers.kafka)
    published = read_revisions(log, SYSTEM)
    read_published(log, SYSTEM, published)
    key, table = run.random.choice([each for each in published.tables.items() if len(each[1]["rows"]["rank"]) > 2])
    where = "/".join(part for part in key if part is not None)
    last = table["rows"]["entity"][-1]
    for column, kind, named in (("rank", "rank", "rank"), ("change_year", "change", "change_year")):
        numbers = [*table["rows"][column][:-1], (table["rows"][column][-1] or 0) + 1]
        send(run, RANKINGS, where, {**table, "rows": {**table["rows"], column: numbers}})
        [found] = verify_all(run.servers.kafka, run.servers.redis, rest_s=REST_S)
        send(run, RANKINGS, where, table)
        assert {(each.kind, each.key) for each in found.differences} == {(kind, f"{where} {last} {named}")}
    assert report(run).ok
