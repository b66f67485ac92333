"""`tidewatch doctor` on real servers: what is well it calls well, and each thing that was made wrong it names."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from state.keys import SCHEMA
from stream.topics import EVENTS, RANKINGS, UPDATES
from tests.waiting import eventually
from tests.workers.desk import PARTITIONS, STILL_S, Desk, event
from workers.doctor import examine
from workers.finding import Finding
from workers.local.ports import free_port
from workers.settings import REPOSITORY, Settings

pytestmark = pytest.mark.servers

SYSTEM = "dti-2023"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with Desk(tmp_path_factory.mktemp("doctor")) as desk:
        yield desk


def seen(desk: Desk, ahead_s: float = 0.0, **changes: object) -> list[Finding]:
    """Findings, by a clock that is ahead."""
    settings = Settings(**{**desk.settings.model_dump(), **changes})
    return asyncio.run(examine(settings, wall=lambda: time.time() + ahead_s))


def of(found: list[Finding], check: str, *texts: str) -> Finding:
    """The one finding of a check that has all of the texts."""
    (one,) = [f for f in found if f.check == check and all(text in f.what for text in texts)]
    assert (one.level == "ok") == (not one.do), one
    return one


def bad(found: list[Finding]) -> list[Finding]:
    return [finding for finding in found if finding.level != "ok"]


def command(env: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "workers", "doctor", *options], cwd=REPOSITORY, env={**os.environ, **env},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_before_any_worker(desk: Desk):
    """The topics are there, and nobody has begun: nothing fails, and what to start is said."""
    found = seen(desk)
    assert {f.check for f in bad(found)} == {"partition", "systems"}
    assert all(f.level == "warn" for f in bad(found))
    assert "tidewatch ingest" in of(found, "partition", f"{EVENTS}/0", "no worker has ever owned it").do


def test_all_is_well(desk: Desk):
    desk.start("ingest")
    desk.send([event(seq=seq) for seq in range(1, 6)])
    desk.passed()
    desk.crew.start("index", "index")
    eventually(lambda: desk.lines("index", "running"), STILL_S, lambda: desk.crew.log("index"))
    said = command(desk.env, "--json")
    assert said.returncode == 0, said.stderr
    answer = json.loads(said.stdout.splitlines()[-1])
    assert answer["ok"]
    assert [f for f in answer["findings"] if f["level"] != "ok"] == []
    checks = {f["check"] for f in answer["findings"]}
    assert checks >= {
        "versions", "kafka", "kafka-version", "topic", "clock-kafka", "redis", "redis-version", "redis-persistence",
        "redis-eviction", "redis-memory", "redis-role", "redis-appendfsync", "clock-redis", "schema", "partition",
        "system", "catalogue",
    }  # fmt: skip
    for_people = command({**desk.env, "COLUMNS": "200"}, "--quiet")
    assert for_people.returncode == 0
    assert for_people.stdout.splitlines() == [f"{len(answer['findings'])} checks, 0 warnings, 0 failures"]


def test_servers_that_do_not_answer(desk: Desk):
    """Both are named, and the password is not."""
    nobody = free_port()
    env = {
        "TIDEWATCH_KAFKA": f"127.0.0.1:{nobody}",
        "TIDEWATCH_REDIS": f"redis://someone:secret@127.0.0.1:{nobody}/0",
    }
    said = command(env, "--json")
    assert said.returncode == 1
    found = {f["check"]: f for f in json.loads(said.stdout.splitlines()[-1])["findings"]}
    assert set(found) == {"versions", "kafka", "redis"}, "nothing is said of what cannot be seen"
    for check, variable in (("kafka", "TIDEWATCH_KAFKA"), ("redis", "TIDEWATCH_REDIS")):
        assert found[check]["level"] == "fail"
        assert str(nobody) in found[check]["what"]
        assert "tidewatch up" in found[check]["do"]
        assert variable in found[check]["do"]
    wrong = command({**desk.env, "TIDEWATCH_REDIS": "redis://someone:secret/x@host:port/0"}, "--json")
    assert wrong.returncode == 1
    for process in (said, wrong):
        assert "secret" not in process.stdout + process.stderr
        assert "Traceback" not in process.stderr


@contextmanager
def set_in_redis(desk: Desk, **settings: object) -> Iterator[None]:
    names = {name: name.replace("_", "-") for name in settings}
    before = {wire: desk.redis.config_get(wire)[wire] for wire in names.values()}
    try:
        for name, value in settings.items():
            desk.redis.config_set(names[name], value)
        yield
    finally:
        for wire, value in before.items():
            desk.redis.config_set(wire, value)


def test_a_redis_that_forgets_and_evicts(desk: Desk):
    with set_in_redis(desk, appendonly="no", appendfsync="no", maxmemory_policy="allkeys-lru", maxmemory="1gb"):
        found = seen(desk)
    assert of(found, "redis-persistence").level == "fail"
    assert of(found, "redis-appendfsync").level == "warn"
    assert of(found, "redis-eviction", "allkeys-lru").level == "fail"
    assert "noeviction" in of(found, "redis-eviction").do
    assert of(found, "redis-memory", "of 1024 MiB").level == "ok"
    assert len(bad(found)) == 3


def test_a_redis_that_is_nearly_full(desk: Desk):
    used = int(desk.redis.info("memory")["used_memory"])
    with set_in_redis(desk, maxmemory=int(used * 0.9)):
        assert of(seen(desk), "redis-memory").level == "fail"


def test_a_redis_that_is_a_replica(desk: Desk):
    desk.redis.replicaof("127.0.0.1", str(free_port()))
    try:
        assert of(seen(desk), "redis-role", "slave").level == "fail"
    finally:
        desk.redis.replicaof("NO", "ONE")


def test_clocks(desk: Desk):
    found = seen(desk, ahead_s=-100)
    ahead = of(found, "clock-redis", "ahead of ours")
    assert ahead.level == "fail"
    assert re.search(r" (99|100)\.\d* s ", f"{ahead.what} "), ahead.what  # within what an answer takes to come
    assert of(found, "clock-kafka", "ahead of our clock").level == "warn"
    assert of(seen(desk, ahead_s=10), "clock-redis", "behind ours").level == "warn"


def alter(desk: Desk, topic: str, **settings: str | None) -> None:
    entries = [
        ConfigEntry(
            name.replace("_", "."), value or "",
            incremental_operation=AlterConfigOpType.SET if value else AlterConfigOpType.DELETE,
        )
        for name, value in settings.items()
    ]  # fmt: skip
    admin = AdminClient({"bootstrap.servers": desk.servers.kafka})
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(30)


def test_topics_with_other_settings(desk: Desk):
    alter(desk, EVENTS, retention_ms="3600000", cleanup_policy="compact")
    alter(desk, UPDATES, cleanup_policy="delete", segment_ms="604800000")
    try:
        found = seen(desk)
    finally:
        alter(desk, EVENTS, retention_ms="-1", cleanup_policy="delete")
        alter(desk, UPDATES, cleanup_policy="compact", segment_ms="600000")
    assert of(found, "topic-settings", EVENTS, "retention.ms is 3600000").level == "fail"
    assert "retention.ms=-1" in of(found, "topic-settings", EVENTS, "retention.ms").do
    assert of(found, "topic-settings", EVENTS, "cleanup.policy is compact").level == "fail"
    assert of(found, "topic-settings", UPDATES, "cleanup.policy is delete").level == "fail"
    assert of(found, "topic-settings", UPDATES, "segment.ms").level == "warn"
    assert len(bad(found)) == 4
    alter(desk, EVENTS, retention_ms=str(30 * 86_400_000))
    try:
        assert of(seen(desk), "topic-settings", EVENTS).level == "warn"
    finally:
        alter(desk, EVENTS, retention_ms="-1")
    assert bad(seen(desk)) == [], "all as it was"


def test_a_catalogue_and_a_definition_that_are_not_in_force(desk: Desk, tmp_path: Path):
    catalogue, systems = tmp_path / "catalogue", tmp_path / "systems"
    shutil.copytree(desk.settings.catalogue, catalogue)
    held = raised(catalogue / "catalogue.toml", catalogue / "catalogue.toml")
    systems.mkdir()
    version = raised(desk.settings.systems / f"{SYSTEM}.toml", systems / "newer.toml")
    (systems / "broken.toml").write_text("system = ", encoding="utf-8")
    found = seen(desk, catalogue=catalogue, systems=systems)
    assert of(found, "catalogue", f"version {held} is in force, the folder holds {held + 1}").level == "warn"
    assert of(found, "definition", f"newer.toml has version {version + 1}, in force is {version}").level == "warn"
    assert of(found, "definition", "broken.toml").level == "fail"
    assert len(bad(found)) == 3
    assert of(seen(desk, catalogue=tmp_path / "none"), "catalogue").level == "fail"


def raised(source: Path, target: Path) -> int:
    """Copy a file with a version one higher; the version that it had."""
    text = source.read_text(encoding="utf-8")
    line = re.search(r"(?m)^version = (\d+)", text)
    assert line is not None
    target.write_text(text.replace(line[0], f"version = {int(line[1]) + 1}", 1), encoding="utf-8")
    return int(line[1])


def test_workers_that_are_gone(desk: Desk):
    """What is behind and stands still is told from what is behind and gets on."""
    desk.crew.kill("index")
    desk.send([event(seq=seq) for seq in range(10, 15)])
    desk.passed()
    found = seen(desk)
    assert of(found, "system", SYSTEM, "5 messages behind", "stands still").level == "warn"
    desk.crew.kill("ingest")
    desk.send([event(seq=seq) for seq in range(20, 27)])
    found = seen(desk)
    assert of(found, "partition", f"{EVENTS}/0", "7 messages behind", "stands still").level == "warn"
    assert of(found, "partition", f"{EVENTS}/1").level == "ok"


def test_a_redis_that_does_not_fit_the_log(desk: Desk):
    """Of another log; behind what retention left; behind what was published; of a newer schema."""
    held = {p: desk.offset(p) for p in range(PARTITIONS)}
    desk.redis.hset("{tw:1}:meta", "offset", held[1] + 1000)
    assert of(seen(desk), "partition", f"{EVENTS}/1", "Redis at").level == "fail"
    desk.redis.hset("{tw:1}:meta", "offset", held[1])
    desk.redis.hset("{tw:0}:meta", "offset", 3)
    assert of(seen(desk), "system", "includes more than Redis holds in partitions [0]").level == "warn"
    admin = AdminClient({"bootstrap.servers": desk.servers.kafka})
    for future in admin.delete_records([TopicPartition(EVENTS, 0, 4)]).values():
        future.result()
    finding = of(seen(desk), "partition", f"{EVENTS}/0", "Redis at 3, log 4 to")
    assert finding.level == "fail"
    assert "retention" in finding.do
    desk.redis.hset("{tw:0}:meta", "offset", held[0])
    desk.redis.hset("{tw:0}:meta", "schema", SCHEMA + 1)
    assert of(seen(desk), "schema", f"schema version {SCHEMA + 1}").level == "fail"
    desk.redis.hset("{tw:0}:meta", "schema", SCHEMA)


def test_topics_that_are_missing_or_of_another_size(desk: Desk):
    """Last: it takes a topic away."""
    admin = AdminClient({"bootstrap.servers": desk.servers.kafka})
    for future in admin.delete_topics([RANKINGS]).values():
        future.result(30)
    eventually(lambda: RANKINGS not in admin.list_topics(timeout=5).topics, STILL_S)
    assert of(seen(desk), "topics", RANKINGS).level == "fail"
    for future in admin.create_topics([NewTopic(RANKINGS, num_partitions=2, replication_factor=1)]).values():
        future.result(30)
    eventually(lambda: RANKINGS in admin.list_topics(timeout=5).topics, STILL_S)
    found = seen(desk)
    assert of(found, "topic-partitions", RANKINGS, "has 2 partitions, not 4").level == "fail"
    assert of(found, "topic-settings", RANKINGS, "cleanup.policy is delete").level == "fail"
