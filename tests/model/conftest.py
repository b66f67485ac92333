"""What playing a walk needs: logs on the session's Kafka, a database of its Redis, one box for dead letters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis

from stream.letters import LetterBox
from workers.connect import make_redis
from workers.local import Servers

if TYPE_CHECKING:
    from player_kafka import Logs

# Before anything imports them: what they compare shall be told in full.
pytest.register_assert_rewrite("player", "player_index", "player_ingest", "player_kafka")

DATABASE = 11  # the workers of other tests use 0
# How often Redis looks at its clocks: with the default of 10 a read that finds nothing takes a tenth of a second.
LOOKS_PER_S = 500


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    redis = make_redis(redis_url.rpartition("/")[0] + f"/{DATABASE}")
    before = await redis.config_get("hz")
    await redis.config_set("hz", LOOKS_PER_S)
    yield redis
    await redis.flushdb()
    await redis.config_set("hz", before["hz"])
    await redis.aclose()


@pytest.fixture(scope="session")
def logs(servers: Servers) -> Logs:
    from player_kafka import Logs

    return Logs(servers.kafka)


@pytest.fixture(scope="session")
def letters(servers: Servers) -> LetterBox:
    return LetterBox(servers.kafka)
