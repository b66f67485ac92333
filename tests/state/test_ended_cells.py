"""Cells that end: in memory, in Redis and in the feed; and the step to the version of the state that knows them."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from index.cells import CellStore
from index.cells import Partition as IndexPartition
from state.content import Content
from state.errors import DowngradedError
from state.feed import FeedReader
from state.flush import flush
from state.inspect import inspect
from state.keys import SCHEMA, Offset, Partition
from state.load import load
from tests.shops import shops
from tests.state.ledger import Event, Ledger, made_events
from tests.state.partition import P, batch, everything, owner
from tests.state.test_aggregates import Mirror

NOON_US = 1_656_583_200_000_000  # 2022-06-30T12:00 in Berlin
VISIT = Event("pay", 1, "anna", "till.visits", "all", 7, NOON_US)
CELLS, DAYS = "cells:2022-06:anna", "days:2022-06:anna"


def drop(like: Event, seq: int, **changes: Any) -> Event:
    return like._replace(seq=seq, value=0, drop=True, **changes)


def after(*events: Event, batches: int = 1) -> dict[str, dict[str, str]]:
    """What Redis holds; in one batch, or one by one."""
    mirror, ledger = Mirror(shops()), Ledger()
    for some in [events] if batches == 1 else [[e] for e in events]:
        assert mirror.take(some) == [ledger.take(e) for e in some]
        mirror.holds(ledger)
    return mirror.rows


@pytest.mark.parametrize("batches", [1, 9])
def test_a_flow_ends_where_its_sum_is_0(batches: int) -> None:
    back = VISIT._replace(seq=2, value=-7)
    assert after(VISIT, back, drop(VISIT, 3), batches=batches) == {}
    assert after(VISIT, drop(VISIT, 2), batches=batches)[CELLS] == {"till.visits/all": "7"}
    assert after(VISIT, drop(VISIT, 3), back._replace(seq=4), batches=batches)[CELLS] == {"till.visits/all": "0"}
    again = VISIT._replace(seq=4, value=0)
    assert after(VISIT, back, drop(VISIT, 3), again, batches=batches)[CELLS] == {"till.visits/all": "0"}
    assert after(drop(VISIT, 1), batches=batches) == {}


@pytest.mark.parametrize("batches", [1, 9])
def test_with_a_period_only_that_cell_ends(batches: int) -> None:
    back, month = VISIT._replace(seq=2, value=-7), drop(VISIT, 3, period="2022-06")
    assert after(VISIT, back, month, batches=batches) == {DAYS: {"till.visits@2022-06-30": "0"}}
    kept = VISIT._replace(seq=4, value=0, period="2022-06")
    assert after(VISIT, back, drop(VISIT, 3), kept, batches=batches) == {CELLS: {"till.visits/all": "0"}}


@pytest.mark.parametrize("batches", [1, 9])
def test_no_level_is_a_level_like_any_other(batches: int) -> None:
    level = Event("pay", 5, "anna", "staff", "all", 40, NOON_US)
    none, late = drop(level, 6), level._replace(seq=7, at_us=NOON_US - 1)
    assert after(level, none, late, batches=batches) == {CELLS: {"staff/all": f"- {NOON_US} 6 pay"}}
    assert after(none, level, late, batches=batches) == {CELLS: {"staff/all": f"- {NOON_US} 6 pay"}}
    later = level._replace(seq=8)
    assert after(level, none, later, batches=batches) == {CELLS: {"staff/all": f"40 {NOON_US} 8 pay"}}


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_what_is_written_is_what_is_read(seed: int) -> None:
    """The rows of each flush, in any batches, give the same content, the same mirror after a take-over, and the same
    cells on the index side as a load of the whole.
    """
    random = Random(seed)
    content, mirror, store = Content(), Mirror(shops()), CellStore(shops())
    events = made_events(random, 120, size=2, drops=0.3)
    ledger = Ledger()
    partition = IndexPartition(0)
    while events:
        n = random.choice([1, 3, 20])
        some, events = events[:n], events[n:]
        before = dict(mirror.rows)
        mirror.take(some)
        rows = mirror.last_rows
        for e in some:
            ledger.take(e)
        mirror.holds(ledger)
        content.take(rows)
        assert content.rows == ledger.rows(), before
        store.apply(partition, rows)
        whole = CellStore(shops())
        whole.apply(partition, content.snapshot(Partition(0)).changed_rows())
        assert held(store) == held(whole)
        if random.random() < 0.3:
            mirror.restore(shops())
        if random.random() < 0.2:
            store.replace(partition, content.snapshot(Partition(0)).changed_rows())
            assert held(store) == held(whole)


def held(store: CellStore) -> dict[tuple[Any, ...], int]:
    """All that a new cube would be told."""
    changes = store.everything()
    found: dict[tuple[Any, ...], int] = {}
    for name, amounts in (("flow", changes.flows), ("level", changes.levels)):
        for period, city, indicator, industry, value, new in zip(*(c.tolist() for c in amounts), strict=True):
            assert new == 1
            found[name, changes.periods[period], city, indicator, industry] = value
    for day, city, indicator, value, new in zip(*(c.tolist() for c in changes.days), strict=True):
        assert new == 1
        found["day", day, city, indicator] = value
    return found


# --- on a real Redis --------------------------------------------------------------------------------------------------


async def test_redis_and_the_feed(client: Redis) -> None:
    me, feed = await owner(client), FeedReader(client, [P])
    await me.flush(3, [CELLS, "till.visits/all", 0, 'a"/all', 7], [DAYS, "till.visits@2022-06-30", 0])
    await me.flush(6, [CELLS, "till.visits/all", ""], [DAYS, "till.visits@2022-06-30", "", "x@2022-06-30", ""])
    loaded = await load(client, P)
    assert loaded.rows == {CELLS: ['a"/all', "7"]}
    assert not await client.exists("{tw:7}:" + DAYS)
    assert await client.smembers("{tw:7}:rows") == {CELLS}
    entries = await feed.read(1)
    assert entries[1].rows == [
        [CELLS, "till.visits/all", ""],
        [DAYS, "till.visits@2022-06-30", "", "x@2022-06-30", ""],
    ]
    content = Content()
    for entry in entries:
        content.take(entry.rows)
    assert content.rows == Content.of(loaded).rows == (await inspect(client, P)).rows
    await me.flush(7, ["cells:2022-07:anna", "till.visits/all", ""])  # of a row that never was
    assert await client.smembers("{tw:7}:rows") == {CELLS}
    await me.flush(9, [CELLS, 'a"/all', "", "till.visits/all", 0])
    assert await client.hgetall("{tw:7}:" + CELLS) == {"till.visits/all": "0"}


async def test_many_cells_end_at_once(client: Redis) -> None:
    """More than Lua's stack holds; some of them stay."""
    me = await owner(client)
    await me.flush(3, [CELLS, *(part for i in range(9000) for part in (f"i{i}/all", 0))])
    await me.flush(6, [CELLS, *(part for i in range(9000) for part in (f"i{i}/all", "" if i % 3 else i))])
    assert await client.hgetall("{tw:7}:" + CELLS) == {f"i{i}/all": str(i) for i in range(0, 9000, 3)}


async def test_who_may_not_end_a_cell_writes_nothing(client: Redis) -> None:
    """A user with the rights of before: refused as a whole, not in the middle."""
    me = await owner(client)
    await me.flush(3, [CELLS, "till.visits/all", 0])
    before = await everything(client)
    await client.execute_command("ACL", "SETUSER", "default", "-hdel")
    try:
        with pytest.raises(ResponseError, match=r"can.t run this command|NOPERM"):
            await flush(client, P, me.token, batch(3, 6, [[CELLS, "till.visits/all", ""]]))
        assert await everything(client) == before
        await flush(client, P, me.token, batch(3, 6, [[CELLS, "till.visits/all", 1]]))
    finally:
        await client.execute_command("ACL", "SETUSER", "default", "+@all")


async def test_a_state_of_version_1_becomes_ours(client: Redis) -> None:
    """As the worker before wrote it, with no version in meta or feed: it means the same, and the new owner says 2."""
    me = await owner(client, "old")
    await me.flush(3, [CELLS, "till.visits/all", 7, "staff/all", "40 5 9 pay"])
    await client.hdel("{tw:7}:meta", "schema")
    [(entry_id, fields)] = await client.xrange("{tw:7}:changes")
    await client.delete("{tw:7}:changes")
    del fields["schema"]
    await client.xadd("{tw:7}:changes", fields, id=entry_id)
    before, feed = await everything(client), FeedReader(client, [P])
    loaded = await load(client, P)
    assert (loaded.schema, loaded.rows) == (1, {CELLS: ["till.visits/all", "7", "staff/all", "40 5 9 pay"]})
    with pytest.raises(DowngradedError):
        await me.flush(4)
    assert await everything(client) == before
    new = await owner(client, "new")
    assert await everything(client) == before | {
        "{tw:7}:meta": before["{tw:7}:meta"] | {"epoch": "new", "schema": str(SCHEMA)}
    }
    await new.flush(6, [CELLS, "till.visits/all", ""])
    first, second = await feed.read(1)
    assert (first.end, first.rows) == (Offset(3), [[CELLS, "till.visits/all", 7, "staff/all", "40 5 9 pay"]])
    assert second.rows == [[CELLS, "till.visits/all", ""]]
