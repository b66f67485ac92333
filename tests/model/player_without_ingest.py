"""Rules of the ingest side, and of Redis, taken out of the product: by rule, what to put where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha1
from typing import Any

import numpy as np
from model_rules import Rule
from numpy.typing import NDArray
from player_gates import here
from player_ingest import PlayedWorker, gated_flush
from player_without import Without
from player_world import catalogue
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from index.catalogue import Catalogue
from state import load, scripts
from state.aggregates import Aggregates
from state.errors import RewoundError
from state.flush import FlushBatch
from state.keys import META, SCHEMA, Offset, Partition, Token, key
from state.packing import INDICATOR_BITS, INDUSTRY_BITS
from state.snapshot import Snapshot
from state.valid import Valid
from workers.intake import Share
from workers.owned import Owned

_product_source = scripts._source


def two_step_acquire(_without: Without) -> dict[str, Any]:
    """The token goes in and the offset comes out; the rest is loaded by a second command."""

    async def acquire(redis: Redis, partition: Partition, token: Token) -> Snapshot:
        await here().passing("acquire")
        pipe = redis.pipeline(transaction=True)
        pipe.hset(key(partition, META), mapping={"epoch": token, "schema": SCHEMA})
        pipe.hget(key(partition, META), "offset")
        _, offset = await pipe.execute()
        await here().passing("load mirror")
        return replace(await load.load(redis, partition), offset=Offset(int(offset)))

    return {"workers.ingest.acquire": acquire}


def refused_stops(without: Without) -> dict[str, Any]:
    """A refused worker stops, whatever Kafka assigns."""

    class Stops(PlayedWorker):
        async def _recover(self) -> None:
            for partition in [p for p, o in self._owned.items() if o.lost]:
                self._owned.pop(partition)

    without.ingest = Stops
    return {}


def nobody_watches(without: Without) -> dict[str, Any]:
    """Nobody compares token and offset while nothing comes."""

    class Blind(PlayedWorker):
        async def _watch(self, partition: Partition, owned: Owned) -> None: ...

    without.ingest = Blind
    return {}


def catalogue_beside_the_log(without: Without) -> dict[str, Any]:
    """A new catalogue counts from the moment it is published, wherever a worker is."""
    published: list[Catalogue] = []
    # Redis and the feed name the version of the log's catalogue: nothing there tells of this one.
    without.catalogue_published = lambda version: published.append(replace_version(catalogue(version)))

    class Beside(PlayedWorker):
        async def _take(self, owners: Mapping[Partition, Owned], shares: list[Share]) -> None:
            if published:
                for partition in {share.partition for share in shares}:
                    snapshot = await load.load(self._redis, partition)
                    owners[partition].aggregates = Aggregates(published[-1], snapshot)
                shares = [again for share in shares for again in self._intake.shares(share.batch, owners)]
            await super()._take(owners, shares)

    without.ingest = Beside
    return {}


def replace_version(newer: Catalogue) -> Catalogue:
    """The same under the number of the first one."""
    return Catalogue.from_json(newer.to_json().replace(b'"version":2', b'"version":1'))


def feed_trimmed_to_nothing(_without: Without) -> dict[str, Any]:
    """The feed may be trimmed to nothing, and in silence nobody compares offsets."""
    trim = (
        "if tonumber(ARGV[8]) < 0 then redis.call('XTRIM', tag .. 'changes', 'MAXLEN', 0) "
        "redis.call('DEL', tag .. 'sizes') redis.call('HSET', KEYS[1], 'feed_bytes', 0) end\n"
    )

    async def silent_gaps(_reader: object) -> list[Partition]:
        return []

    def altered(flush: str) -> str:
        return flush.replace("-- Values below", trim + "-- Values below")

    return {**_flush_script(altered), "state.feed.FeedReader.silent_gaps": silent_gaps}


def writes_first(_without: Without) -> dict[str, Any]:
    """Cells are written, then the feed entry; that Redis refuses old ids there is the only check."""

    def altered(flush: str) -> str:
        checks = flush[flush.index("if meta[1] ~= ARGV[1]") : flush.index("local rows = cjson")]
        entry = flush[flush.index("-- The feed entry first") : flush.index("-- Values below")]
        last = "redis.call('HSET', KEYS[1], 'offset'"
        return flush.replace(checks, "").replace(entry, "").replace(last, entry + last)

    async def flush(redis: Redis, partition: Partition, token: Token, batch: FlushBatch) -> None:
        try:
            await gated_flush(redis, partition, token, batch)
        except ResponseError as refusal:
            if "equal or smaller" not in str(refusal):
                raise
            raise RewoundError(partition, batch.start, -1) from refusal

    return {**_flush_script(altered), "workers.owned.flush": flush}


def _flush_script(altered: Callable[[str], str]) -> dict[str, Any]:
    def source(name: str) -> str:
        text = _product_source(name)
        if name != "flush":
            return text
        assert altered(text) != text
        return altered(text)

    return {
        "state.scripts._source": source,
        "state.scripts._sha": lambda name: sha1(source(name).encode(), usedforsecurity=False).hexdigest(),
    }


def stock_keeps_time_only(_without: Without) -> dict[str, Any]:
    """Of equal times the later arrival counts."""

    def set_stocks(
        self: Aggregates, events: Valid, cell: NDArray[np.int64], where: NDArray[np.intp], out: dict[str, list[Any]]
    ) -> None:
        low = INDICATOR_BITS + INDUSTRY_BITS
        for i in where.tolist():
            packed, source = int(cell[i]), events.sources[int(events.source[i])]
            entry = int(events.at_us[i]), source, int(events.seq[i]), int(events.value[i])
            if packed not in self._stocks or entry[0] >= self._stocks[packed][0]:
                self._stocks[packed] = entry
                at_us, source, seq, amount = entry
                row, field = self._cells_row(packed >> low), self._cell_field(packed & (1 << low) - 1)
                out[row] = [row, field, f"{amount} {at_us} {seq} {source}"]

    return {"state.aggregates.Aggregates._set_stocks": set_stocks}


TAKEN_OUT: dict[Rule, Callable[[Without], dict[str, Any]]] = {
    Rule.ACQUIRE_IS_LOAD: two_step_acquire,
    Rule.REFUSED_ASKS: refused_stops,
    Rule.WATCH: nobody_watches,
    Rule.CATALOGUE_IN_LOG: catalogue_beside_the_log,
    Rule.NEWEST_STAYS: feed_trimmed_to_nothing,
    Rule.CHECKS_FIRST: writes_first,
    Rule.STOCK_KEEPS_ORDER: stock_keeps_time_only,
}
