"""Rules of the index side taken out of the product: by rule, what to put where."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import redis as blocking
from confluent_kafka import Consumer, TopicPartition
from model_rules import Rule
from player_gates import here
from player_index import GatedPublisher, PlayedRunner, gated_read_back
from player_without import Without
from player_world import P
from redis.asyncio import Redis

from state import load
from state.feed import FeedReader
from state.keys import COUNTS, META, Offset, Partition, key
from state.snapshot import Snapshot
from stream import published, publisher
from stream.errors import PublisherFenced
from stream.messages import Counts
from stream.tail import reader_options
from stream.topics import UPDATES
from workers.hub import Cut, Hub
from workers.revision import RevisionWriter

_product_cut = Hub.cut
_product_records = RevisionWriter.records


def adopts_anything(without: Without) -> dict[str, Any]:
    """A load below the applied offset is adopted; a start does not wait; a revision may go back."""

    class Forgets(PlayedRunner):
        async def _commit(self, *args: Any) -> None:
            self._offsets = {}
            await super()._commit(*args)

    def adopt(reader: FeedReader, snapshot: Snapshot) -> bool:
        reader.applied[snapshot.partition] = snapshot.offset
        return True

    async def reload(hub: Hub, partition: Partition) -> None:
        from workers import hub as module  # behind its gate

        snapshot = await module.load(hub._redis, partition)
        changes = hub.cells.replace(partition, snapshot.changed_rows(), snapshot.catalogue_version)
        hub._feed.adopt(snapshot)
        hub._note(partition, snapshot.watermark_us, snapshot.counts)
        hub._tell(changes)

    without.runner = Forgets
    return {
        "state.feed.FeedReader.adopt": adopt,
        "workers.hub.Hub._reload": reload,
        "workers.hub.Hub.reaches": lambda _hub, _offsets: True,
    }


def loads_in_three(_without: Without) -> dict[str, Any]:
    """A load reads offset, then cells, then the offset again, and is adopted where both are equal."""

    async def in_three(redis: Redis, partition: Partition) -> Snapshot:
        await here().passing("read offset")
        first = await redis.hget(key(partition, META), "offset")
        await here().passing("read cells")
        snapshot = await load.load(redis, partition)
        await here().passing("read offset again")
        again = await redis.hget(key(partition, META), "offset")
        return replace(snapshot, offset=Offset(int(first) if first == again else -1))

    return {"workers.hub.load": in_three}


def reads_back_first(_without: Without) -> dict[str, Any]:
    """Read back, then initialise transactions."""
    late: dict[str, LatePublisher] = {}

    class LatePublisher(GatedPublisher):
        async def initialise(self) -> None:
            late[here().name] = self

    def read_back(*args: Any) -> published.Published:
        gates = here()
        gates.passing_in_thread("read back")
        found = published.read_back(*args)
        gates.passing_in_thread("initialise")
        initialising = publisher.Publisher.initialise(late[gates.name])
        asyncio.run_coroutine_threadsafe(initialising, gates.loop).result()
        gates.passing_in_thread("result")
        return found

    return {"workers.runner.Publisher": LatePublisher, "workers.runner.read_back": read_back}


def reads_back_to_the_stable_offset(_without: Without) -> dict[str, Any]:
    """Read back to the last stable offset."""

    def last_stable(address: str, where: list[tuple[str, int]], options: Any = None) -> Mapping[tuple[str, int], int]:
        consumer = Consumer(reader_options(address, options, committed=True))
        try:
            return {w: consumer.get_watermark_offsets(TopicPartition(*w), timeout=20)[1] for w in where}
        finally:
            consumer.close()

    return {"stream.published.high_watermarks": last_stable}


def fenced_stops(without: Without) -> dict[str, Any]:
    """A fenced index worker stops, whatever Kafka assigns."""

    class Stops(PlayedRunner):
        async def _commit(self, *args: Any) -> None:
            try:
                await super()._commit(*args)
            except PublisherFenced:
                self._ending.set()
                raise

    without.runner = Stops
    return {}


def reads_the_tables(_without: Without) -> dict[str, Any]:
    """What was last published is taken from the whole tables."""

    def read_back(*args: Any) -> published.Published:
        found = gated_read_back(*args)
        for name, update in list(found.updates.items()):
            _, entity, period = name.split("/")
            seen = {}
            for node in update.nodes:
                table = found.tables.get(f"{update.system}/{node.partition('.')[2]}/{period}")
                if table is not None and entity in table.rows.entity:
                    seen[node] = table.rows.value[table.rows.entity.index(entity)]
            if not seen:
                del found.updates[name]
            else:
                update.nodes.update(seen)
        return found

    return {"workers.runner.read_back": read_back}


def meta_from_redis(_without: Without) -> dict[str, Any]:
    """A revision's watermark and counts are read from Redis when it is made."""

    def cut(hub: Hub) -> Cut:
        where = hub._redis.connection_pool.connection_kwargs
        with blocking.Redis(host=where["host"], port=where["port"], db=where["db"], decode_responses=True) as redis:
            watermark, counts = redis.hget(key(P, META), "watermark"), redis.hgetall(key(P, COUNTS))
        rejected = {name[9:]: int(n) for name, n in counts.items() if name.startswith("rejected:")}
        told = Counts(int(counts.get("accepted", 0)), int(counts.get("duplicate", 0)), rejected)
        return replace(_product_cut(hub), watermark_us=int(watermark), counts=told)

    return {"workers.hub.Hub.cut": cut}


def no_tombstones(_without: Without) -> dict[str, Any]:
    """Keys that a new definition does not publish any more are left as they are."""

    def records(*args: Any) -> list[publisher.Record]:
        return [r for r in _product_records(*args) if r.topic != UPDATES or r.value is not None]

    return {"workers.revision.RevisionWriter.records": records}


TAKEN_OUT: dict[Rule, Callable[[Without], dict[str, Any]]] = {
    Rule.NEVER_BELOW: adopts_anything,
    Rule.LOAD_IS_ONE: loads_in_three,
    Rule.INITIALISE_FIRST: reads_back_first,
    Rule.HIGH_WATERMARK: reads_back_to_the_stable_offset,
    Rule.FENCED_RECONCILES: fenced_stops,
    Rule.FROM_UPDATES: reads_the_tables,
    Rule.META_TRAVELS: meta_from_redis,
    Rule.TOMBSTONES: no_tombstones,
}
