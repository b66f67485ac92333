"""What the makers of Redis clients make of a URL, and what they say when nobody answers."""

from __future__ import annotations

import pytest
from redis.exceptions import RedisClusterException, RedisError
from redis.sentinel import MasterNotFoundError

from workers.local.ports import free_port
from workers.redis_client import make_blocking_redis, make_redis
from workers.retry import PASSING

SAID = "none of the Sentinels {} answers and names a primary 'tidewatch' that is up"


@pytest.fixture
def nobody() -> str:
    """Two places where nobody listens, without the scheme."""
    return f"127.0.0.1:{free_port()},127.0.0.1:{free_port()}"


async def test_no_sentinel_answers(nobody: str) -> None:
    client = make_redis(f"redis+sentinel://someone:secret@{nobody}/3?master=tidewatch")
    with pytest.raises(MasterNotFoundError) as away:
        await client.ping()
    await client.aclose()
    assert str(away.value) == SAID.format(nobody.replace(",", ", "))
    assert isinstance(away.value, PASSING)


def test_no_sentinel_answers_who_may_block(nobody: str) -> None:
    client = make_blocking_redis(f"redis+sentinel://someone:secret@{nobody}/3?master=tidewatch")
    with pytest.raises(MasterNotFoundError) as away:
        client.ping()
    client.close()
    assert str(away.value) == SAID.format(nobody.replace(",", ", "))


async def test_no_node_of_a_cluster_answers(nobody: str) -> None:
    client = make_redis(f"redis+cluster://someone:secret@{nobody}")
    with pytest.raises(PASSING) as away:
        await client.ping()
    await client.aclose()
    assert "secret" not in str(away.value)
    with pytest.raises((RedisError, RedisClusterException)) as away:
        make_blocking_redis(f"redis+cluster://someone:secret@{nobody}")
    assert "secret" not in str(away.value)


@pytest.mark.parametrize(
    "url", ["redis+sentinel://host:port/0", "redis+cluster://a:1,b:port", "http://host", "redis://u:secret/x@host:port"]
)
def test_what_is_no_url_of_redis(url: str) -> None:
    for make in (make_redis, make_blocking_redis):
        with pytest.raises(ValueError, match="TIDEWATCH_REDIS") as refused:
            make(url)
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
async def test_a_connection_that_a_neighbour_closed_is_a_trouble_that_passes(nobody: str, scheme: str) -> None:
    """Found by the chaos trial (set-up c, seed 101): an index worker ended while it loaded all partitions at once."""
    client = make_redis(f"{scheme}+cluster://{nobody}")
    for node in client.startup_nodes:
        connection = node.connection_class(**node.connection_kwargs)
        with pytest.raises(PASSING):
            await connection._send_packed_command([b"PING"])
    assert client.connection_kwargs["connection_class"] is client.startup_nodes[0].connection_class
    await client.aclose()
