"""Every part of the product against a Redis with TLS and users: as one server, as a Cluster, and by way of a Sentinel.

Each role is the user of deploy/redis/users.acl: it may do its work, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from typer.testing import CliRunner

from stream.tail import high_watermarks
from stream.topics import ALERTS, SYSTEM_PARTITIONS
from tests.waiting import eventually
from tests.workers.desk import event
from tests.workers.secured import Authority
from tests.workers.secured_redis import NAMELESS, ROLES, WITHOUT, SecuredRedis, find_tls_redis
from tests.workers.small import CITIES, INDICATORS, SYSTEM, TEXT
from workers.cli import main
from workers.crew import Crew
from workers.drained import wait_until_drained
from workers.feed import Outbox
from workers.local.kafka import KafkaServer
from workers.prepare import prepare_topics
from workers.redis_client import make_blocking_redis, make_redis
from workers.settings import Settings

pytestmark = pytest.mark.servers

PARTITIONS = 1  # the server is a Cluster, and the index worker takes it for one server
STILL_S = 40.0
# One that looks at the sources' numbers in Redis.
RULES = """
[[rule]]
name = "source-silent"
title = "a source sends nothing"
type = "silence"
systems = ["small"]
severity = "warn"
of = "source"
fire = 1
clear = 0
neighbours = 0.5
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredRedis]:
    folder = tmp_path_factory.mktemp("secured-redis")
    program = find_tls_redis(folder)
    if program is None:
        pytest.skip(WITHOUT)
    server = SecuredRedis(folder / "redis", program, Authority(folder), {role: f"secret-of-{role}" for role in ROLES})
    try:
        server.start()
        yield server
    finally:
        server.stop()


def test_every_part_of_the_product_works_with_the_rights_of_its_role(server: SecuredRedis, tmp_path: Path) -> None:
    kafka = KafkaServer(tmp_path / "kafka")
    systems = tmp_path / "systems"
    systems.mkdir()
    (systems / "small.toml").write_text(TEXT, encoding="utf-8")
    (systems / "alerts.toml").write_text(RULES, encoding="utf-8")
    common = {
        "TIDEWATCH_SYSTEMS": str(systems), "TIDEWATCH_SESSION_S": "6", "TIDEWATCH_PARTITIONS": str(PARTITIONS),
        "TIDEWATCH_KAFKA": kafka.address, "COLUMNS": "300",
    }  # fmt: skip
    urls = {
        "ingest": server.url_of("ingest", scheme="rediss+cluster"),
        "index": server.url_of("index"),
        "alert": server.sentinel_url_of("alert"),
    }
    crew = Crew(tmp_path / "workers", kafka.address, "", common)
    try:
        kafka.start()
        prepare_topics(Settings(kafka=kafka.address, partitions=PARTITIONS))
        for role, url in urls.items():
            crew.start(role, role, env={"TIDEWATCH_REDIS": url})
        outbox = Outbox(kafka.address)
        outbox.put(
            (None, event(seq=i * 10 + n, city=city, indicator=indicator, value=1 + (i + n) % 5))
            for i, city in enumerate(CITIES)
            for n, indicator in enumerate(INDICATORS, 1)
        )
        outbox.put([(None, event(seq=1000, city="000000"))])
        outbox.flush()
        ends = outbox.ends()
        reader = server.url_of("reader")
        wait_until_drained(kafka.address, reader, ends, [SYSTEM], timeout_s=STILL_S, check=crew.check)

        def said() -> str:
            return "\n".join(crew.log(name)[-3000:] for name in crew.workers)

        def judged() -> bool:
            crew.check()
            where = [(ALERTS, p) for p in range(SYSTEM_PARTITIONS)]
            return sum(high_watermarks(kafka.address, where).values()) > 0

        eventually(judged, STILL_S, said)
        as_cluster = server.url_of("reader", scheme="rediss+cluster")
        for url, command in (
            (reader, ("explain", SYSTEM, "330100", "-p", "2023Q1")), (as_cluster, ("verify", SYSTEM)),
            (server.sentinel_url_of("reader"), ("verify", SYSTEM)), (server.url_of("operator"), ("doctor",)),
            (server.url_of("operator"), ("rebuild",)), (server.url_of("operator"), ("backup", str(tmp_path / "saved"))),
            (server.url_of("operator", scheme="rediss+cluster"), ("restore", str(tmp_path / "saved"), "--replace")),
        ):  # fmt: skip
            done = CliRunner().invoke(main, list(command), env={**common, "TIDEWATCH_REDIS": url})
            assert done.exit_code == 0, f"{url} {command}: {done.output} {done.exception!r}"
        for name in crew.workers:
            log = crew.log(name)
            assert "waiting" not in log, log
            assert "NOPERM" not in log, log
            assert "no look at Redis" not in log, log
        assert {crew.end(name) for name in list(crew.workers)} == {0}
    finally:
        crew.stop()
        kafka.stop()


DANGEROUS = (
    "FLUSHALL", "FLUSHDB", "CONFIG GET requirepass", "CONFIG SET maxmemory-policy allkeys-lru", "KEYS *", "SCAN 0",
    "ACL LIST", "SHUTDOWN NOSAVE", "SCRIPT FLUSH", "SCRIPT KILL", "FUNCTION LIST", "MODULE LIST", "CLIENT LIST",
    "CLIENT KILL TYPE normal", "MONITOR", "SAVE", "BGSAVE", "SLAVEOF NO ONE", "REPLICAOF NO ONE", "CLUSTER RESET",
    "CLUSTER FAILOVER", "PUBLISH a b", "SUBSCRIBE a", "DEBUG SLEEP 0", "MIGRATE localhost 1 {tw:0}:a 0 1",
    "SORT {tw:0}:a GET other:*", "SET other 1", "GET other", "HGETALL other", "HSET {tw other 1 1",
)  # fmt: skip
WRITES = ("HSET {tw:0}:planted a 1", "SET {tw:0}:planted-too 1", "XADD {tw:0}:planted-stream * a 1")


@pytest.mark.parametrize("role", ROLES)
def test_a_role_can_do_no_harm(server: SecuredRedis, role: str) -> None:
    with server.client(role) as client:
        for command in DANGEROUS:
            with pytest.raises(redis.ResponseError, match=r"no permissions|DEBUG command not allowed"):
                client.execute_command(*command.split())
        # Scripts run with the rights of who runs them.
        with pytest.raises(redis.ResponseError, match=r"can't run this command|ACL failure|no permissions"):
            client.eval("return redis.call('FLUSHALL')", 1, "{tw:0}:meta")
        with pytest.raises(redis.ResponseError, match=r"can't access|ACL failure|No permissions"):
            client.eval("return redis.call('HGETALL', 'other')", 1, "{tw:0}:meta")
        if role in ("index", "alert", "reader"):
            for command in WRITES:
                with pytest.raises(redis.ResponseError, match="no permissions"):
                    client.execute_command(*command.split())
                script = f"return redis.call({', '.join(repr(word) for word in command.split())})"
                with pytest.raises(redis.ResponseError, match=r"can't run this command|ACL failure|no permissions"):
                    client.eval(script, 1, command.split()[1])


async def test_who_is_not_let_in_is_told_why_and_no_password_is_told(server: SecuredRedis) -> None:
    right = server.url_of("reader")
    for url, why in (
        (server.url_of("reader", host=NAMELESS), "IP address mismatch"),
        (server.url_of("reader", trust=False), "self-signed certificate"),
        (right.replace("rediss://", "redis://").partition("?")[0], "onnection"),
        (right.replace(server.passwords["reader"], "wrong"), "invalid username-password pair"),
        (right.replace("reader:", "nobody:"), "invalid username-password pair"),
        (
            right.replace(right[9 : right.index("@") + 1], ""),
            "HELLO must be called|equired",
        ),
    ):
        client = make_redis(url)
        with pytest.raises((redis.RedisError, OSError), match=why) as told:
            await client.ping()
        await client.aclose()
        assert server.passwords["reader"] not in str(told.value)
        with make_blocking_redis(url) as blocking, pytest.raises((redis.RedisError, OSError), match=why):
            blocking.ping()
