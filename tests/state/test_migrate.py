"""Schema versions of the state: newer and unknown ones are refused, older ones are read and brought up by steps.

There is only version 1 now, so version 2 is made here: it writes a cell's field the other way round, `all|till.visits`,
and counts of accepted events by another name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from state import flush as flush_module
from state import keys, migrate, ownership, snapshot
from state.errors import DowngradedError, FencedError, SchemaError
from state.feed import FeedReader
from state.keys import Offset, Token
from state.load import load
from state.migrate import Step
from state.ownership import watch
from state.snapshot import Snapshot
from tests.state.partition import P, dumped, everything, owner, put_back

ROW = "cells:2022-06:anna"
META = "{tw:7}:meta"


def turned(name: str) -> str:
    indicator, _, industry = name.rpartition("/")
    return f"{industry}|{indicator}"


def rows_2(rows: list[list[Any]]) -> list[list[Any]]:
    return [[row, *(turned(x) if i % 2 == 0 else x for i, x in enumerate(flat))] for row, *flat in rows]


def state_2(old: Snapshot) -> Snapshot:
    counts = {"taken" if name == "accepted" else name: n for name, n in old.counts.items()}
    return replace(
        old, counts=counts, rows={row: flat for row, *flat in rows_2([[r, *f] for r, f in old.rows.items()])}
    )


class Versions:
    """Which version this process is."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch

    def is_(self, version: int, *, steps: bool = True) -> None:
        for module in (keys, ownership, flush_module, snapshot):
            self._patch.setattr(module, "SCHEMA", version)
        self._patch.setattr(migrate, "STEPS", {1: Step(state_2, rows_2)} if version == 2 and steps else {})


@pytest.fixture(autouse=True)
def version(monkeypatch: pytest.MonkeyPatch) -> Versions:
    """We are of version 1 here, and what comes after it is another 2 than the real one: its step rewrites cells."""
    versions = Versions(monkeypatch)
    versions.is_(1)
    return versions


async def older(client: Redis) -> None:
    """A state of version 1 with a feed entry."""
    me = await owner(client, "old")
    await me.flush(3, [ROW, "till.visits/all", 7], windows=["pay", "9:1"])


@pytest.mark.parametrize("stored", ["2", "17", "x", "", "-1", "0", "1.5"])
async def test_a_version_that_is_not_known_is_refused_by_all(client: Redis, stored: str) -> None:
    me = await owner(client, "old")
    await me.flush(3, [ROW, "till.visits/all", 7])
    await client.hset(META, "schema", stored)
    before = await everything(client)
    with pytest.raises(SchemaError, match="this worker knows 1"):
        await owner(client, "another")
    with pytest.raises(SchemaError):
        await load(client, P)
    with pytest.raises((SchemaError, DowngradedError)):
        await me.flush(6)
    assert await everything(client) == before


async def test_a_newer_one_says_upgrade_the_worker(client: Redis) -> None:
    me = await owner(client, "old")
    await client.hset(META, "schema", "2")
    with pytest.raises(SchemaError, match=r"partition 7: Redis holds schema version 2, this worker knows 1; upgrade"):
        await me.flush(6)


async def test_a_state_that_names_none_is_of_the_first(client: Redis, version: Versions) -> None:
    await older(client)
    await client.hdel(META, "schema")
    assert (await load(client, P)).schema == 1
    me = await owner(client, "new")
    assert me.offset == 3
    assert await client.hget(META, "schema") == "1"
    await client.hdel(META, "schema")
    version.is_(2)
    await owner(client, "newer")
    assert await client.hgetall("{tw:7}:" + ROW) == {"all|till.visits": "7"}


async def test_an_empty_partition_begins_with_our_version(client: Redis, version: Versions) -> None:
    version.is_(2)
    me = await owner(client, "new")
    assert await client.hget(META, "schema") == "2"
    await me.flush(3, [ROW, "all|till.visits", 7])
    [(_, entry)] = await client.xrange("{tw:7}:changes")
    assert entry["schema"] == "2"


async def test_the_new_owner_brings_it_up(client: Redis, version: Versions) -> None:
    """Cells, windows and counts; what it does not touch stays. The old owner is fenced, and cannot come back."""
    await older(client)
    old = await owner(client, "old again")
    before = await everything(client)
    version.is_(2)
    new = await owner(client, "new")
    found = await everything(client)
    assert found["{tw:7}:" + ROW] == {"all|till.visits": "7"}
    assert found["{tw:7}:counts"] == {"taken": "3"}
    assert found[META] == before[META] | {"epoch": "new", "schema": "2"}
    for name in ("{tw:7}:seq", "{tw:7}:rows", "{tw:7}:changes", "{tw:7}:sizes"):
        assert found[name] == before[name], name
    await new.flush(6, [ROW, "all|till.visits", 9], counts={"taken": 6})
    assert (await load(client, P)).rows == {ROW: ["all|till.visits", "9"]}
    version.is_(1)
    with pytest.raises(SchemaError, match="upgrade the worker"):
        await old.flush(6)
    with pytest.raises(FencedError):
        await watch(client, P, Token("old again"), Offset(3))
    with pytest.raises(SchemaError):
        await owner(client, "old once more")
    assert (await everything(client))[META]["epoch"] == "new"


async def test_a_reader_that_is_newer_reads_what_is_older(client: Redis, version: Versions) -> None:
    """Readers are upgraded first: loads and feed entries, before and after the owner has brought the state up."""
    await older(client)
    version.is_(2)
    feed = FeedReader(client, [P])
    [entry] = await feed.read(1)
    assert entry.rows == [[ROW, "all|till.visits", 7]]
    feed.applied[P] = entry.end
    loaded = await load(client, P)
    assert (loaded.rows, loaded.counts, loaded.schema) == ({ROW: ["all|till.visits", "7"]}, {"taken": 3}, 1)
    assert await client.hget(META, "schema") == "1", "a reader writes nothing"
    new = await owner(client, "new")
    await new.flush(6, [ROW, "all|till.visits", 9], counts={"taken": 6})
    [entry] = await feed.read(1)
    assert entry.rows == [[ROW, "all|till.visits", 9]]


async def test_a_reader_that_is_older_stops_at_what_is_newer(client: Redis, version: Versions) -> None:
    await older(client)
    feed = FeedReader(client, [P])
    [entry] = await feed.read(1)
    feed.applied[P] = entry.end
    version.is_(2)
    new = await owner(client, "new")
    version.is_(1)
    assert await feed.read(1) == [], "nothing of it is newer yet"
    version.is_(2)
    await new.flush(6, [ROW, "all|till.visits", 9])
    version.is_(1)
    with pytest.raises(SchemaError, match="upgrade the worker"):
        await feed.read(1)
    assert feed.applied[P] == 3


async def test_without_a_step_an_older_state_is_refused_and_stays_with_its_owner(
    client: Redis, version: Versions
) -> None:
    await older(client)
    before = await everything(client)
    version.is_(2, steps=False)
    with pytest.raises(SchemaError, match="run the version in between first"):
        await owner(client, "new")
    with pytest.raises(SchemaError):
        await load(client, P)
    with pytest.raises(SchemaError):
        await FeedReader(client, [P]).read(1)
    assert await everything(client) == before


async def test_redis_that_goes_back_behind_the_upgrade_is_brought_up_again(client: Redis, version: Versions) -> None:
    """Right after the token was written, and before the state was: token and offset are ours, the cells are old."""
    await older(client)
    between = await owner(client, "new")  # as the first of the two steps leaves it
    first_step = await dumped(client)
    version.is_(2)
    new = await owner(client, "new")
    await put_back(client, first_step)
    before = await everything(client)
    with pytest.raises(DowngradedError, match="went back behind the upgrade"):
        await new.flush(6, [ROW, "all|till.visits", 9])
    with pytest.raises(DowngradedError):
        await watch(client, P, Token("new"), Offset(3))
    assert await everything(client) == before
    assert between.offset == 3
    again = await owner(client, "again")
    await again.flush(6, [ROW, "all|till.visits", 9], counts={"taken": 6})
    assert await client.hgetall("{tw:7}:" + ROW) == {"all|till.visits": "9"}


async def test_the_second_step_is_fenced(client: Redis, version: Versions) -> None:
    """Another takes the partition over between the two steps: nothing of the first one's is written."""
    await older(client)
    version.is_(2)
    mine = await load(client, P)
    await owner(client, "another")
    before = await everything(client)
    with pytest.raises(FencedError):
        await migrate.rewrite(client, P, Token("mine"), mine)
    assert await everything(client) == before


async def test_many_rows(client: Redis, version: Versions) -> None:
    """More than Lua's stack holds."""
    me = await owner(client, "old")
    fields = [part for i in range(5000) for part in (f"till.visits/g{i}", i)]
    await me.flush(3, [ROW, *fields], windows=[part for i in range(5000) for part in (f"s{i}", "1:1")])
    version.is_(2)
    await owner(client, "new")
    found = await client.hgetall("{tw:7}:" + ROW)
    assert found == {f"g{i}|till.visits": str(i) for i in range(5000)}
    assert await client.hlen("{tw:7}:seq") == 5000
