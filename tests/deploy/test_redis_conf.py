"""deploy/redis/redis.conf: a real Redis takes it, and doctor finds nothing to say."""

from __future__ import annotations

import subprocess
from pathlib import Path

import redis.asyncio

from tests.deploy.deployed import DEPLOY
from tests.waiting import eventually
from workers.doctor_redis import redis_findings
from workers.finding import Level
from workers.local.ports import free_port
from workers.local.redis import find_redis


async def test_a_redis_with_it_is_well_in_the_eyes_of_doctor(tmp_path: Path) -> None:
    port = free_port()
    program = str(find_redis())
    text = (DEPLOY / "redis" / "redis.conf").read_text(encoding="utf-8")
    assert "\nport 6379\ndir /data\n" in text
    conf = tmp_path / "redis.conf"  # as compose.yaml makes it, but here
    text = text.replace("port 6379\ndir /data", f"port {port}\ndir {tmp_path}\nbind 127.0.0.1")
    conf.write_text(f"{text}requirepass change-me\n", encoding="utf-8")
    server = subprocess.Popen([program, str(conf)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    url = f"redis://:change-me@127.0.0.1:{port}/0"
    client = redis.asyncio.Redis.from_url(url, decode_responses=True)
    try:
        sync = redis.Redis.from_url(url)
        eventually(lambda: _pings(sync))
        sync.close()
        found = await redis_findings(client, url)
        assert {finding.level for finding in found} == {Level.OK}, found
        assert any("everysec" in finding.what for finding in found)
    finally:
        await client.aclose()
        server.terminate()
        server.communicate(timeout=20)


def _pings(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError as error:
        raise OSError(str(error)) from error
