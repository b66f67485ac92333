"""A loss that a person accepts, on a real Redis: what is written, who is fenced, and what a reader of the feed sees."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from state.errors import FencedError, RewoundError, SchemaError
from state.feed import FeedReader
from state.keys import SCHEMA, Offset, Token
from state.load import load
from state.skip import Skip, skip, skipped, stored_offset
from tests.state.partition import P, everything, owner

GONE = Skip(5, 20, "2023-03-01T00:00:00+00:00", "me", "why")


async def test_the_offset_moves_and_nothing_else_but_what_is_written_down(client: Redis):
    me = await owner(client)
    row = ["cells:2022-06:anna", "till.visits/all", 7]
    await me.flush(5, row, watermark_us=9, windows=["pay", "9:1ff"], counts={"accepted": 3, "rejected:malformed": 1})
    before = await load(client, P)
    reader = FeedReader(client, [P])
    reader.adopt(before)
    await skip(client, P, Token("person"), GONE)
    after = await load(client, P)
    assert after.offset == await stored_offset(client, P) == 20
    assert (after.rows, after.windows, after.counts) == (before.rows, before.windows, before.counts)
    assert (after.watermark_us, after.catalogue) == (before.watermark_us, before.catalogue)
    assert await skipped(client, P) == [GONE]
    [entry] = await reader.read()
    assert (entry.start, entry.end, entry.rows, entry.watermark_us) == (5, 20, [], 9)
    assert entry.counts == {"accepted": 3, "rejected:malformed": 1}
    with pytest.raises(FencedError):
        await me.flush(6)
    again = await owner(client, "next")
    assert again.offset == 20
    await again.flush(21, row)
    assert [e.end for e in await reader.read()] == [20, 21]


async def test_a_partition_that_was_never_read(client: Redis):
    await skip(client, P, Token("person"), Skip(0, 20, "", "", ""))
    assert (await load(client, P)).offset == Offset(20)
    assert (await owner(client)).offset == 20


async def test_a_partition_that_stands_elsewhere_is_left_alone(client: Redis):
    await (await owner(client)).flush(6)
    before = await everything(client)
    with pytest.raises(RewoundError):
        await skip(client, P, Token("person"), GONE)
    await client.hset("{tw:7}:meta", "schema", SCHEMA + 1)
    with pytest.raises(SchemaError):
        await skip(client, P, Token("person"), Skip(6, 20, "", "", ""))
    await client.hset("{tw:7}:meta", "schema", SCHEMA)
    assert await everything(client) == before
