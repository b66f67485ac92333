"""What an owner asks Redis about its partitions, at a distance: all at once, and not what a flush has just told.

On servers of its own: the shared ones may have a log of fewer partitions.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from state.keys import META, Partition, key
from tests.chaos.proxy import Network, Proxy
from workers.connect import make_ingest, make_redis
from workers.health import Health
from workers.ingest import WATCH_S, IngestWorker
from workers.local import Servers
from workers.prepare import prepare_topics
from workers.settings import Settings

PARTITIONS = [Partition(p) for p in range(4)]
DELAY_S = 1.0


class Far:
    """An ingest worker that owns all partitions, and the proxy before its Redis."""

    def __init__(self, worker: IngestWorker, proxy: Proxy) -> None:
        self.worker, self.proxy = worker, proxy

    async def look_s(self, *, idle: bool) -> float:
        """How long a look around takes."""
        began = time.monotonic()
        await self.worker._look_around(idle=idle)
        return time.monotonic() - began


@pytest.fixture
async def far(own_servers: Servers) -> AsyncIterator[Far]:
    prepare_topics(Settings(kafka=own_servers.kafka, redis=own_servers.redis, partitions=len(PARTITIONS)))
    port = urlsplit(own_servers.redis).port
    assert port is not None
    with Network() as network:
        proxy = network.proxy(port)
        settings = Settings(kafka=own_servers.kafka, redis=f"redis://{proxy.address}/0")
        async with make_redis(settings.redis) as client:
            await client.flushall()
            worker = make_ingest(settings, Health("ingest"), client)
            await worker._acquire(PARTITIONS)
            proxy.slow(DELAY_S)
            yield Far(worker, proxy)
            proxy.heal()


async def test_all_partitions_are_asked_about_at_once(far: Far) -> None:
    assert DELAY_S / 2 < await far.look_s(idle=True) < DELAY_S * len(PARTITIONS) / 2


async def test_what_was_just_told_is_not_asked_again(far: Far) -> None:
    """Work goes on: the looks between two batches cost no round trip until a second has passed."""
    for owned in far.worker._owned.values():
        owned.confirmed_s = time.monotonic() + WATCH_S
    far.worker._watched = 0.0
    assert await far.look_s(idle=False) < DELAY_S / 2


async def test_a_redis_that_went_back_is_noticed(far: Far) -> None:
    far.proxy.heal()
    gone, *_ = PARTITIONS
    await far.worker._redis.hset(key(gone, META), "offset", 7)
    await far.look_s(idle=True)
    assert [p for p, owned in far.worker._owned.items() if owned.lost] == [gone]
