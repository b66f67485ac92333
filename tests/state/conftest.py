"""A client of the session's Redis, in a database of its own that every test finds empty."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from workers.connect import make_redis

DATABASE = 9  # the workers of other tests use 0
# How often Redis looks at its clocks: with the default of 10 a read that finds nothing takes a tenth of a second.
LOOKS_PER_S = 500


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    redis = make_redis(redis_url.rpartition("/")[0] + f"/{DATABASE}")
    before = await redis.config_get("hz")
    await redis.config_set("hz", LOOKS_PER_S)
    await redis.flushdb()
    yield redis
    await redis.config_set("hz", before["hz"])
    await redis.aclose()
