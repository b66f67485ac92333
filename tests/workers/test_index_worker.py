"""The index worker's reader of the feeds on a real Redis: one cut, whatever becomes of Redis and of the catalogue."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from index.catalogue import Catalogue, Entity
from state.keys import CHANGES, Partition, key
from state.snapshot import Snapshot
from stream.messages import Counts
from tests.shops import shops
from tests.state.partition import Owner, dumped, owner, put_back
from workers.connect import make_redis
from workers.health import Health
from workers.hub import Cut, Hub

DATABASE = 10  # the workers of other tests use 0
P, Q = Partition(0), Partition(1)
BOUND_S = 15.0


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    redis = make_redis(redis_url.rpartition("/")[0] + f"/{DATABASE}")
    await redis.flushdb()
    yield redis
    await redis.aclose()


def newer() -> Catalogue:
    """Version 2: one shop more, whose number lies beyond those of version 1."""
    old = shops()
    members = {**old.members, "street:south": (*old.members["street:south"], "zoe")}
    return shops(2, entities=(*old.entities, Entity("zoe", "shop", "zoe")), members=members)


def row(shop: str, value: int) -> list[Any]:
    return [f"cells:2022-06:{shop}", "till.visits/all", value]


async def first_flush(client: Redis, partition: Partition, end: int = 10) -> Owner:
    """An owner that has brought the first catalogue into force, and flushed up to `end`."""
    me = await owner(client, "me", partition)
    await me.flush(end, row("anna", end), catalogue_version=1, catalogue=shops().to_json())
    return me


async def started(client: Redis, *partitions: Partition) -> Hub:
    """A hub that has loaded, and does not read yet."""
    hub = Hub(client, list(partitions), Health("index"))
    await hub.start()
    return hub


async def follow(hub: Hub, until: Callable[[], Any]) -> None:
    """Let it read until that holds, and end it. What it fails with is raised."""
    task = asyncio.create_task(hub.run())

    async def look() -> None:
        while not until() and not task.done():
            await asyncio.sleep(0.002)

    try:
        await asyncio.wait_for(look(), BOUND_S)
    finally:
        hub.stop()
        await asyncio.wait_for(task, BOUND_S)


def amounts(hub: Hub) -> dict[str, int]:
    """The visits of each shop in June 2022, all partitions together."""
    flows = hub.cells.everything().flows
    out: dict[str, int] = {}
    for city, delta in zip(flows.city.tolist(), flows.delta.tolist(), strict=True):
        out[hub.catalogue.cities[city]] = out.get(hub.catalogue.cities[city], 0) + delta
    return out


async def test_a_newer_catalogue_behind_a_gap(client: Redis):
    """What a reader that fell behind has to load again may be counted by a catalogue that it does not know yet."""
    me, _ = await first_flush(client, P), await first_flush(client, Q)
    hub = await started(client, P, Q)
    await me.flush(15, row("zoe", 7), catalogue_version=2, catalogue=newer().to_json())
    await me.flush(20, row("zoe", 9), catalogue_version=2)
    await client.xtrim(key(P, CHANGES), maxlen=1, approximate=False)
    await follow(hub, lambda: hub.cut().offsets == {"0": 20, "1": 10})
    assert hub.generation == 2
    assert hub.catalogue.version == hub.cut().catalogue == 2
    assert amounts(hub) == {"anna": 20, "zoe": 9}


async def test_an_offset_is_named_with_its_cells_and_not_before(client: Redis):
    """Whoever looks at the cut while the hub goes over to a newer catalogue sees the one from before, whole."""
    me, _ = await first_flush(client, P), await first_flush(client, Q)
    hub = await started(client, P, Q)
    before = hub.cut()
    await me.flush(20, row("zoe", 9), catalogue_version=2, catalogue=newer().to_json())
    await client.delete(key(P, CHANGES))  # nothing is read, only the stored offset tells
    seen: list[Cut] = []
    load_all = hub._load_all

    async def look_while_loading() -> list[Snapshot]:
        seen.append(hub.cut())
        return await load_all()

    hub._load_all = look_while_loading  # type: ignore[method-assign]
    await follow(hub, lambda: hub.generation == 2)
    assert seen == [before]
    assert hub.cut().offsets == {"0": 20, "1": 10}
    assert hub.cut().counts == Counts(accepted=30, rejected={})


async def test_counts_wait_with_their_offsets(client: Redis):
    """A newer catalogue while another partition has gone back: until that has caught up, the cut stays what it was."""
    me, other = await first_flush(client, P), await first_flush(client, Q)
    dump = await dumped(client, Q)
    await other.flush(30, row("bert:2", 3))
    hub = await started(client, P, Q)
    before = hub.cut()
    await put_back(client, dump, Q)
    await me.flush(20, row("zoe", 9), catalogue_version=2, catalogue=newer().to_json())
    tried = 0
    load_all = hub._load_all

    async def count_loads() -> list[Snapshot]:
        nonlocal tried
        tried += 1
        if tried == 3:
            assert hub.cut() == before, "loaded in vain twice: nothing may have moved"
            await Owner(client, "again", Q).acquire()
            again = await owner(client, "again", Q)
            await again.flush(30, row("bert:2", 3))
        return await load_all()

    hub._load_all = count_loads  # type: ignore[method-assign]
    await follow(hub, lambda: hub.generation == 2)
    assert tried == 3
    assert hub.cut().offsets == {"0": 20, "1": 30}
    assert hub.cut().counts == Counts(accepted=50, rejected={})


async def test_a_board_of_the_old_catalogue_hears_nothing_more(client: Redis):
    """Changes name shops by number, by the newer catalogue: to a board of the older one they would mean others."""
    me = await first_flush(client, P)
    hub = await started(client, P)
    heard: list[int] = []
    moved = hub.listen("system", lambda changes: heard.append(hub.generation))
    await me.flush(12, row("anna", 12), catalogue_version=1)
    await me.flush(20, row("zoe", 9), catalogue_version=2, catalogue=newer().to_json())
    load_all = hub._load_all

    async def flush_behind_the_load() -> list[Snapshot]:
        snapshots = await load_all()
        await me.flush(21, row("zoe", 10), catalogue_version=2)
        return snapshots

    hub._load_all = flush_behind_the_load  # type: ignore[method-assign]
    await follow(hub, lambda: hub.cut().offsets == {"0": 21})
    assert heard == [1]
    assert moved.is_set(), "it is told that there is something new, so that it looks at the generation"
