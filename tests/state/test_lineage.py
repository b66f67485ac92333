"""Who follows a partition whose state was replaced (a rebuild, a restore): it loads again, and never goes below."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from state.errors import FeedGapError
from state.feed import FeedReader
from state.keys import Partition
from tests.state.partition import P, everything, owner

Q = Partition(8)
META = "{tw:7}:meta"


def row(value: int) -> list[str | int]:
    return ["cells:2022-06:anna", "till.visits/all", value]


async def apply(feed: FeedReader) -> list[int]:
    """Read without waiting, and take over; the ends of the entries."""
    entries = await feed.read(block_ms=1)
    for entry in entries:
        feed.applied[entry.partition] = entry.end
    return [int(entry.end) for entry in entries]


async def test_an_entry_names_the_lineage_only_where_there_is_one(client: Redis):
    me = await owner(client)
    await me.flush(3, row(3))
    assert "lineage" not in (await everything(client))["{tw:7}:changes"][0][1]
    await client.hset(META, "lineage", "new")
    await me.flush(6, row(6))
    assert (await everything(client))["{tw:7}:changes"][1][1]["lineage"] == "new"


async def test_at_the_applied_offset_it_is_loaded_again(client: Redis):
    me, other, feed = await owner(client), await owner(client, "q", Q), FeedReader(client, [P, Q])
    await me.flush(3, row(3))
    await apply(feed)
    await client.hset(META, "lineage", "new")
    assert await feed.silent_gaps() == await feed.replaced() == [P]
    await other.flush(3, row(3))
    assert await feed.replaced() == [P], "an offset above ours is no news while entries come"
    assert await feed.load(P) is not None
    assert await feed.replaced() == []
    await me.flush(6, row(6))
    assert await apply(feed) == [6, 3]


async def test_the_first_entry_behind_the_applied_offset_is_a_gap(client: Redis):
    me, feed = await owner(client), FeedReader(client, [P])
    await me.flush(3, row(3))
    await apply(feed)
    await client.hset(META, "lineage", "new")
    await me.flush(6, row(6))
    with pytest.raises(FeedGapError):
        await feed.read(block_ms=1)
    assert feed.applied[P] == 3
    assert await feed.load(P) is not None
    assert await feed.read(block_ms=1) == []


async def test_below_the_applied_offset_it_waits(client: Redis):
    """A restored state that lies before what was published: nothing is adopted until it has caught up."""
    me, feed = await owner(client), FeedReader(client, [P])
    await me.flush(9, row(9))
    await apply(feed)
    await client.flushdb()
    restored = await owner(client, "restored")
    await client.hset(META, mapping={"lineage": "new", "offset": "3"})
    restored.offset = 3  # type: ignore[assignment]
    assert await feed.silent_gaps() == await feed.replaced() == []
    await restored.flush(6, row(6))
    assert await apply(feed) == []
    await restored.flush(9, row(9))
    assert await apply(feed) == [], "it ends at the applied offset"
    assert await feed.silent_gaps() == [P]
    snapshot = await feed.load(P)
    assert snapshot is not None
    assert (snapshot.offset, snapshot.lineage) == (9, "new")
