"""A primary that has become a replica under us: refused, nothing written, and its connections are given up."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis.exceptions import ResponseError

from tests.state.partition import owner
from workers.connect import make_redis
from workers.local.ports import free_port
from workers.local.redis import RedisServer
from workers.retry import PASSING

pytestmark = pytest.mark.servers


async def test_a_demoted_primary_is_left(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    client = make_redis(server.url)
    try:
        me = await owner(client)
        await me.flush(3)
        connection = await client.client_id()
        await client.execute_command("REPLICAOF", "127.0.0.1", free_port())
        with pytest.raises(ResponseError, match="READONLY") as refused:
            await me.flush(5)
        assert isinstance(refused.value, PASSING)
        assert await client.client_id() != connection
        await client.execute_command("REPLICAOF", "NO", "ONE")
        await me.flush(5)
        assert (await me.acquire()).offset == 5
    finally:
        await client.aclose()
        server.stop()
