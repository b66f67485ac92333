"""Looking at a partition, and putting another state in its place: on a real Redis, with everybody who may be about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from state.content import Content, differences
from state.errors import FencedError, SchemaError
from state.feed import FeedReader
from state.inspect import inspect, rows_there
from state.keys import SCHEMA, Offset, Token
from state.load import load
from state.replace import put, swap
from tests.state.partition import Owner, P, dumped, everything, owner, put_back

ANNA, BERT = "cells:2022-06:anna", "cells:2022-06:bert"
NEW, LINEAGE = Token("repair"), "line"


async def flushed(client: Redis) -> tuple[Owner, Content]:
    """A partition at 12, and what it says."""
    me = await owner(client)
    more = {"watermark_us": 5, "windows": ["pay", "9:1ff"], "catalogue_version": 1, "catalogue": b"{}"}
    await me.flush(12, [ANNA, "a/all", 1, "b/all", 2], [BERT, "a/all", 3], **more)
    return me, Content.of(await load(client, P))


async def test_a_look_is_read_only_and_says_all(client: Redis):
    _, content = await flushed(client)
    before = await everything(client)
    look = await inspect(client, P)
    assert await everything(client) == before
    assert look.offset == 12
    assert look.rows == content.rows == {ANNA: {"a/all": "1", "b/all": "2"}, BERT: {"a/all": "3"}}
    assert list(differences(look, content, await rows_there(client, P))) == []


async def test_a_look_with_a_token_fences_the_owner(client: Redis):
    me, _ = await flushed(client)
    await inspect(client, P, NEW)
    with pytest.raises(FencedError):
        await me.flush(13)
    assert (await me.acquire()).offset == 12, "it goes on, whether the command lives or not"
    await me.flush(13)


async def test_a_swap_writes_what_differs_and_readers_load(client: Redis):
    me, content = await flushed(client)
    feed = FeedReader(client, [P])
    await feed.load(P)
    content.rows[ANNA]["b/all"] = "7"
    del content.rows[BERT]
    content.rows["days:2022-06:anna"] = {"a@2022-06-01": "1"}
    content.windows, content.counts, content.watermark_us = {"till": "3:1"}, {"accepted": 4}, None
    assert await swap(client, P, NEW, LINEAGE, await inspect(client, P), content, ())
    assert Content.of(await load(client, P)) == content
    assert list(differences(await inspect(client, P), content)) == []
    assert await client.exists("{tw:7}:" + BERT) == 0
    with pytest.raises(FencedError):
        await me.flush(13)
    assert await feed.silent_gaps() == [P]
    assert (await me.acquire()).offset == 12
    await me.flush(15, [ANNA, "b/all", 8])
    assert await feed.silent_gaps() == [P]


async def test_a_swap_that_comes_late_writes_nothing(client: Redis):
    """The owner flushed, or somebody else swapped: by offset, and by lineage where the offset is the same."""
    me, content = await flushed(client)
    late = await inspect(client, P, NEW)
    await me.acquire()
    await me.flush(13)
    before = await everything(client)
    assert not await swap(client, P, NEW, LINEAGE, late, content, ())
    assert await everything(client) == before
    content.offset, seen = Offset(13), await inspect(client, P)
    assert await swap(client, P, NEW, LINEAGE, seen, content, ())
    before = await everything(client)
    content.rows[ANNA]["b/all"] = "99"
    assert not await swap(client, P, NEW, "second", seen, content, ())
    assert await everything(client) == before


async def test_a_swap_whose_owner_acquired_and_did_not_flush_yet(client: Redis):
    """The offset stands: the state is what was seen. The owner's mirror is void, and its flush is refused."""
    me, content = await flushed(client)
    seen = await inspect(client, P, NEW)
    await me.acquire()
    content.rows[ANNA]["b/all"] = "7"
    assert await swap(client, P, NEW, LINEAGE, seen, content, ())
    with pytest.raises(FencedError):
        await me.flush(13)


async def test_keys_of_another_type_and_unlisted_rows(client: Redis):
    _, content = await flushed(client)
    for name in ("seq", "rows", "counts", "catalogue", ANNA, "changes"):
        await client.delete("{tw:7}:" + name)
        await client.rpush("{tw:7}:" + name, "x")
    await client.hset("{tw:7}:cells:2022-07:zoe", "a/all", 1)
    there = await rows_there(client, P)
    look = await inspect(client, P)
    assert set(look.odd) >= {"seq", "rows", "counts", "catalogue", "changes"}
    assert await swap(client, P, NEW, LINEAGE, look, content, there)
    assert list(differences(await inspect(client, P), content, await rows_there(client, P))) == []


async def test_put_replaces_everything(client: Redis):
    await flushed(client)
    await client.rpush("{tw:7}:skipped", "old")
    other = Content(Offset(3), None, 2, b'{"v":2}', {}, {"accepted": 1}, {BERT: {"a/all": "1"}})
    await put(client, P, NEW, LINEAGE, other, (), ["one", "two"])
    assert await everything(client) == {
        "{tw:7}:meta": {"epoch": "repair", "lineage": "line", "schema": str(SCHEMA), "offset": "3", "catalogue": "2"},
        "{tw:7}:catalogue": '{"v":2}',
        "{tw:7}:counts": {"accepted": "1"},
        "{tw:7}:rows": {BERT},
        "{tw:7}:" + BERT: {"a/all": "1"},
        "{tw:7}:skipped": ["one", "two"],
    }


async def test_a_newer_schema_is_left_alone(client: Redis):
    _, content = await flushed(client)
    seen = await inspect(client, P)
    await client.hset("{tw:7}:meta", "schema", "99")
    before = await everything(client)
    with pytest.raises(SchemaError):
        await inspect(client, P, NEW)
    with pytest.raises(SchemaError):
        await swap(client, P, NEW, LINEAGE, seen, content, ())
    with pytest.raises(SchemaError):
        await put(client, P, NEW, LINEAGE, content, (), [])
    assert await everything(client) == before
    await client.hset("{tw:7}:meta", "schema", "0")
    with pytest.raises(SchemaError):
        await inspect(client, P)


@pytest.fixture
async def poor(client: Redis) -> AsyncIterator[Redis]:
    """A user who lacks one right after the other; the test sets which."""
    options = client.connection_pool.connection_kwargs
    await client.acl_setuser("poor", enabled=True, passwords=["+pw"], keys=["*"], categories=["+@all"])
    where = {name: options[name] for name in ("host", "port", "db")}
    user = Redis(**where, username="poor", password="pw", decode_responses=True)
    yield user
    await user.aclose()
    await client.acl_deluser("poor")


async def test_who_may_not_do_all_of_it_changes_nothing(client: Redis, poor: Redis):
    _, content = await flushed(client)
    content.rows[ANNA]["b/all"] = "7"
    seen, before = await inspect(client, P), await everything(client)
    await client.acl_setuser("poor", enabled=True, commands=["-scan"])
    assert await rows_there(poor, P) == set(), "unlisted rows are not found, and all the rest is"
    for command in ("hset", "del", "sadd", "srem", "set", "rpush"):
        await client.acl_setuser("poor", enabled=True, categories=["+@all"], commands=[f"-{command}"])
        with pytest.raises(RedisError, match=r"permission|can't run"):
            await swap(poor, P, NEW, LINEAGE, seen, content, ())
        await client.delete("{tw:7}:probe")
        assert await everything(client) == before, command
    await client.acl_setuser("poor", enabled=True, categories=["+@all"])
    assert await swap(poor, P, NEW, LINEAGE, seen, content, ())


async def test_without_memory_nothing_is_changed(client: Redis):
    _, content = await flushed(client)
    content.rows[ANNA]["b/all"] = "7"
    seen, before = await inspect(client, P), await everything(client)
    await client.config_set("maxmemory", 1)
    try:
        with pytest.raises(RedisError):
            await swap(client, P, NEW, LINEAGE, seen, content, ())
    finally:
        await client.config_set("maxmemory", 0)
    assert await everything(client) == before


async def test_whatever_is_wrong_one_swap_mends_it(client: Redis, pytestconfig: pytest.Config):
    """Random damage, an owner who flushes in between, a Redis that goes back: a swap leaves it right."""
    seed = f"{pytestconfig.option.hypothesis_seed}/damage"
    print(f"seed {seed}")
    random = Random(seed)
    for _ in range(25):
        await client.flushdb()
        me, right = await owner(client), Content(rows={})
        for end in range(1, random.randint(2, 6)):
            rows = [[random.choice((ANNA, BERT)), random.choice(("a/all", "b/all")), random.randint(-9, 9)]]
            await me.flush(end, *rows, windows=["pay", f"{end}:1"])
            right.take(rows)
            right.offset, right.counts, right.windows = Offset(end), {"accepted": end}, {"pay": f"{end}:1"}
        earlier = await dumped(client)
        for _ in range(random.randint(1, 4)):
            key = random.choice(await client.keys("{tw:7}:*"))
            if not key.endswith(":meta") and random.random() < 0.6:
                await client.delete(key)
            elif key.endswith((":seq", ":counts", "anna", "bert")):
                await client.hset(key, random.choice(("a/all", "x")), "5")
        if random.random() < 0.3:
            await put_back(client, earlier)
        while True:
            seen = await inspect(client, P, NEW)
            if random.random() < 0.3:
                await me.acquire()
                await me.flush(me.offset + 1)
                right.offset, right.counts = me.offset, {"accepted": me.offset}
            elif await swap(client, P, NEW, LINEAGE, seen, right, await rows_there(client, P)):
                break
        assert list(differences(await inspect(client, P), right, await rows_there(client, P))) == []
        assert Content.of(await load(client, P)) == right
