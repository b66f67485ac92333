"""The change feed on a real Redis: what a reader skips, where it sees a gap, what it adopts, and what is trimmed."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from random import Random

import pytest
from redis.asyncio import Redis

from state.errors import FeedGapError, SchemaError
from state.feed import ENTRIES, Entry, FeedReader
from state.keys import SCHEMA, Offset, Partition
from tests.state.partition import Owner, P, dumped, owner, put_back

Q = Partition(8)


def row(value: int) -> list[str | int]:
    return ["cells:2022-06:anna", "till.visits/all", value]


def reader(client: Redis, *partitions: Partition) -> FeedReader:
    return FeedReader(client, partitions or (P,))


async def read(feed: FeedReader) -> list[Entry]:
    """What is there now."""
    return await feed.read(block_ms=1)


async def apply(feed: FeedReader) -> list[Entry]:
    """What is there now, applied."""
    entries = await read(feed)
    for entry in entries:
        feed.applied[entry.partition] = entry.end
    return entries


# --- what is read -----------------------------------------------------------------------------------------------------


async def test_entries_come_in_order_and_whole(client: Redis):
    me, feed = await owner(client), reader(client)
    assert await read(feed) == []
    await me.flush(3, row(1), watermark_us=5, counts={"accepted": 2, "duplicate": 1}, catalogue_version=4)
    await me.flush(9, row(2), ["days:2022-06:anna", "till.visits@2022-06-30", -2], counts={"accepted": 7})
    wanted = [
        Entry(P, Offset(0), Offset(3), 5, 4, {"accepted": 2, "duplicate": 1}, [row(1)]),
        Entry(
            *(P, Offset(3), Offset(9), None, None, {"accepted": 7}),
            [row(2), ["days:2022-06:anna", "till.visits@2022-06-30", -2]],
        ),
    ]
    assert await read(feed) == wanted
    assert await read(feed) == wanted, "reading moves nothing: applying does"
    feed.applied[P] = Offset(3)
    assert await read(feed) == wanted[1:]
    feed.applied[P] = Offset(9)
    assert await read(feed) == []


async def test_a_read_is_bounded_and_goes_on(client: Redis):
    me, feed = await owner(client), reader(client)
    for end in range(1, 2 * ENTRIES + 2):
        await me.flush(end, row(end))
    assert [len(await apply(feed)) for _ in range(4)] == [ENTRIES, ENTRIES, 1, 0]
    assert feed.applied[P] == 2 * ENTRIES + 1


async def test_a_waiting_read_ends_with_the_first_entry(client: Redis):
    me, feed = await owner(client), reader(client, P, Q)
    waiting = asyncio.create_task(feed.read(block_ms=8000))
    await me.flush(1, row(1))
    began = time.monotonic()
    assert [entry.end for entry in await waiting] == [1]
    assert time.monotonic() - began < 4


async def test_one_read_serves_several_partitions(client: Redis):
    one, other, feed = await owner(client), await owner(client, "q", Q), reader(client, P, Q)
    await one.flush(1, row(1))
    await other.flush(5, row(5))
    await one.flush(2, row(2))
    assert sorted((e.partition, e.start, e.end) for e in await apply(feed)) == [(7, 0, 1), (7, 1, 2), (8, 0, 5)]
    await other.flush(6, row(6))
    assert [(e.partition, e.end) for e in await apply(feed)] == [(8, 6)]


# --- what is skipped, and where a gap is ------------------------------------------------------------------------------


async def test_what_ends_at_or_below_the_applied_offset_is_skipped(client: Redis):
    """Redis went back, and the owner writes again what the reader has long applied."""
    me, feed = await owner(client), reader(client)
    earlier = await dumped(client)
    for end in (3, 6, 9):
        await me.flush(end, row(end))
    await apply(feed)
    await put_back(client, earlier)
    again = await owner(client, "again")
    assert again.offset == 0
    for end in (3, 9):
        await again.flush(end, row(end))
        assert await read(feed) == []
    await again.flush(12, row(12))
    assert [(e.start, e.end) for e in await apply(feed)] == [(9, 12)]


async def test_a_replay_that_is_cut_elsewhere_is_applied(client: Redis):
    """Values are absolute: an entry that begins below the applied offset and ends above it holds all that is new."""
    me, feed = await owner(client), reader(client)
    earlier = await dumped(client)
    await me.flush(5, row(5))
    await apply(feed)
    await put_back(client, earlier)
    again = await owner(client, "again")
    await again.flush(3, row(3))
    assert await read(feed) == []
    await again.flush(8, row(8))
    assert [(e.start, e.end, e.rows) for e in await apply(feed)] == [(3, 8, [row(8)])]


async def test_a_trimmed_feed_is_a_gap_and_a_load_closes_it(client: Redis):
    me, feed = await owner(client), reader(client)
    await me.flush(3, row(3))
    await apply(feed)
    for end in (6, 9):
        await me.flush(end, row(end), feed_bytes=1)
    with pytest.raises(FeedGapError, match="continues at 6, applied is 3") as gap:
        await read(feed)
    assert gap.value.partition == P
    snapshot = await feed.load(P)
    assert snapshot is not None
    assert list(snapshot.changed_rows()) == [["cells:2022-06:anna", "till.visits/all", "9"]]
    assert feed.applied[P] == 9
    await me.flush(12, row(12), feed_bytes=1)
    assert [(e.start, e.end) for e in await apply(feed)] == [(9, 12)]


async def test_a_gap_of_one_partition_costs_the_others_nothing(client: Redis):
    one, other, feed = await owner(client), await owner(client, "q", Q), reader(client, P, Q)
    await other.flush(4, row(4))
    for end in (3, 6):
        await one.flush(end, row(end), feed_bytes=1)
    with pytest.raises(FeedGapError):
        await read(feed)
    assert feed.applied == {P: 0, Q: 0}
    assert await feed.load(P) is not None
    assert [(e.partition, e.end) for e in await apply(feed)] == [(8, 4)]


async def test_a_reader_that_knows_nothing_loads(client: Redis):
    me = await owner(client)
    for end in (3, 6):
        await me.flush(end, row(end), feed_bytes=1)
    feed = reader(client)
    with pytest.raises(FeedGapError):
        await read(feed)
    assert (await feed.load(P)) is not None
    assert await read(feed) == []


# --- loads ------------------------------------------------------------------------------------------------------------


async def test_a_load_below_the_applied_offset_is_never_adopted(client: Redis):
    """Redis went back: what was published already would vanish. The reader waits until the owner has caught up."""
    me, feed = await owner(client), reader(client)
    await me.flush(3, row(3))
    earlier = await dumped(client)
    await me.flush(9, row(9))
    await apply(feed)
    await put_back(client, earlier)
    assert await feed.load(P) is None
    assert feed.applied[P] == 9
    assert await feed.silent_gaps() == [], "behind is no gap"
    again = await owner(client, "again")
    await again.flush(9, row(9))
    snapshot = await feed.load(P)
    assert snapshot is not None
    assert (snapshot.offset, feed.applied[P]) == (9, 9)


async def test_a_load_is_adopted_at_and_above_the_applied_offset(client: Redis):
    me, feed = await owner(client), reader(client)
    await me.flush(3, row(3))
    snapshot = await feed.load(P)
    assert snapshot is not None
    assert feed.adopt(snapshot)
    feed.applied[P] = Offset(4)
    assert not feed.adopt(snapshot)
    assert feed.applied[P] == 4


async def test_a_newer_schema_is_not_read(client: Redis):
    me, feed = await owner(client), reader(client)
    await me.flush(3, row(3))
    await client.hset("{tw:7}:meta", "schema", str(SCHEMA + 1))
    with pytest.raises(SchemaError):
        await feed.load(P)


# --- silence ----------------------------------------------------------------------------------------------------------


async def test_silence_over_a_trimmed_feed_is_noticed(client: Redis):
    """PROTOCOL: a load at 0, a flush, all of it trimmed, no more events: the reader would wait for ever."""
    one, feed = await owner(client), reader(client, P, Q)
    await owner(client, "q", Q)
    assert await feed.silent_gaps() == []
    await one.flush(3, row(3))
    await client.xtrim("{tw:7}:changes", maxlen=0, approximate=False)
    assert await read(feed) == []
    assert await feed.silent_gaps() == [P]
    await feed.load(P)
    assert await feed.silent_gaps() == []


# --- bounds -----------------------------------------------------------------------------------------------------------


async def test_the_feed_is_bounded_in_bytes_and_the_newest_entry_stays(client: Redis, pytestconfig: pytest.Config):
    random, bound = Random(int(pytestconfig.option.hypothesis_seed)), 3000
    me, end, trimmed = await owner(client), 0, 0
    for _ in range(150):
        end += random.randint(1, 5)
        await me.flush(end, *(row(end) for _ in range(random.choice([0, 1, 10, 30, 100]))), feed_bytes=bound)
        entries = await client.xrange("{tw:7}:changes")
        sizes = [line.split() for line in await client.lrange("{tw:7}:sizes", 0, -1)]
        assert [entry_id for entry_id, _ in entries] == [entry_id for entry_id, _ in sizes]
        assert [len(fields["rows"]) for _, fields in entries] == [int(size) for _, size in sizes]
        held = sum(int(size) for _, size in sizes)
        assert int(await client.hget("{tw:7}:meta", "feed_bytes")) == held
        assert entries[-1][0] == f"{end}-0"
        assert held <= bound or len(entries) == 1
        # Whatever stays continues: the bound takes the oldest.
        starts = [int(fields["from"]) for _, fields in entries]
        assert starts[1:] == [int(entry_id.split("-")[0]) for entry_id, _ in entries[:-1]]
        trimmed += starts[0] > 0
    assert trimmed > 50


async def test_an_entry_larger_than_the_bound_stays_alone(client: Redis):
    me = await owner(client)
    for end in (1, 2):
        await me.flush(end, *(row(end) for _ in range(100)), feed_bytes=1)
    assert [entry_id for entry_id, _ in await client.xrange("{tw:7}:changes")] == ["2-0"]
    assert await client.llen("{tw:7}:sizes") == 1


# --- everything at once -----------------------------------------------------------------------------------------------


class Reader:
    """Follows as the index worker does; `cells` is what it believes, and must be the state at what it has applied."""

    def __init__(self, client: Redis) -> None:
        self.feed = reader(client)
        self.cells: dict[str, int] = {}
        self.loads = 0

    async def load(self) -> None:
        snapshot = await self.feed.load(P)
        if snapshot is not None:
            self.cells = {line[0]: int(line[2]) for line in snapshot.changed_rows()}
            self.loads += 1

    async def step(self) -> None:
        try:
            entries = await read(self.feed)
        except FeedGapError:
            await self.load()
            return
        for entry in entries:
            self.cells.update((name, value) for name, _, value in entry.rows)
            self.feed.applied[P] = entry.end
        if not entries and await self.feed.silent_gaps():
            await self.load()


def state_at(offset: int) -> dict[str, int]:
    """Message n adds n to one of five cells: what the log's first `offset` messages amount to."""
    cells: dict[str, int] = defaultdict(int)
    for n in range(offset):
        cells[f"cells:2022-06:shop{n * 7 % 5}"] += n
    return dict(cells)


@pytest.mark.parametrize("number", range(6))
async def test_a_reader_is_right_whatever_happens(client: Redis, number: int, pytestconfig: pytest.Config):
    """Flushes cut anywhere, trims, owners that come and go, a Redis that goes back, a reader that starts anew."""
    random = Random(f"{pytestconfig.option.hypothesis_seed}/{number}")
    me, follower, owners = await owner(client, "0"), Reader(client), 0
    saved: list[dict[str, bytes]] = []
    back = restarts = 0

    async def flush(me: Owner) -> None:
        end = me.offset + random.choice([1, 1, 3, 10])
        before, after = state_at(me.offset), state_at(end)
        rows = [[name, "till.visits/all", value] for name, value in after.items() if before.get(name) != value]
        await me.flush(end, *rows, feed_bytes=random.choice([1, 200, 1000, 1 << 20]))

    for _ in range(250):
        what = random.random()
        if what < 0.45:
            await flush(me)
        elif what < 0.8:
            before = follower.feed.applied[P]
            await follower.step()
            assert follower.feed.applied[P] >= before, "what was applied is never taken back"
            assert follower.cells == state_at(follower.feed.applied[P])
        elif what < 0.85:
            saved.append(await dumped(client))
        elif what < 0.9 and saved:
            await put_back(client, random.choice(saved))
            back += 1
        elif what < 0.93:
            # it publishes on from what it published last: a start is a load that is not below
            applied, follower = follower.feed.applied[P], Reader(client)
            follower.feed.applied[P] = applied
            restarts += 1
            while follower.loads == 0:
                await follower.load()
                if follower.loads == 0:  # Redis stands before it: the owner catches up
                    me = await owner(client, f"catching up {owners}")
                    owners += 1
                    await flush(me)
        if what >= 0.85:
            me = await owner(client, str(owners := owners + 1))
    while me.offset <= follower.feed.applied[P]:
        await flush(me)
    for _ in range(5):
        await follower.step()
    assert follower.feed.applied[P] == me.offset
    assert follower.cells == state_at(me.offset)
    assert back + restarts > 0
