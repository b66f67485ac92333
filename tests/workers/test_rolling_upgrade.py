"""A rolling upgrade on real servers: two versions of the workers side by side while events flow.

In the order of the runbook: readers first (index), owners after them (ingest). Nothing is lost or counted twice, and
whoever is left behind says so.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import eventually
from tests.workers.desk import PARTITIONS, STILL_S, Desk
from tests.workers.small import CITIES, SYSTEM, Small
from workers.local.process import ChildProcess
from workers.settings import REPOSITORY

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    with Small(tmp_path_factory.mktemp("rolling")) as small:
        yield small


def environment(small: Small) -> dict[str, str]:
    return {**small.env, "TIDEWATCH_SYSTEMS": str(small.systems), "TIDEWATCH_ROBUSTNESS": "off"}


def newer(small: Small, name: str, command: str) -> None:
    """Start a worker of the newer version."""
    program = [sys.executable, "-m", "tests.workers.newer", command]
    log = small.crew.folder / f"{name}.log"
    small.crew.workers[name] = ChildProcess(name, program, log, cwd=REPOSITORY, env=environment(small))


def schemas(small: Small) -> list[str | None]:
    return [small.redis.hget(f"{{tw:{p}}}:meta", "schema") for p in range(PARTITIONS)]


def flowing(small: Small, what: object) -> bool:
    """Send some events; whether `what`, a condition, holds."""
    number = small.seq // 4
    small.flow(CITIES[number % len(CITIES)], f"2021-08-{number % 28 + 1:02d}", 1, 2, 3, 4)
    return bool(what() if callable(what) else what)


def verified(small: Small, module: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, "verify", SYSTEM]
    env = {**os.environ, **environment(small), "COLUMNS": "300"}
    return subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=120)


def test_readers_first_then_owners(small: Small) -> None:
    assert schemas(small) == ["2"] * PARTITIONS
    newer(small, "index-newer", "index")
    eventually(lambda: flowing(small, lambda: "loaded" in small.crew.log("index-newer")), STILL_S)
    assert small.crew.end("index") == 0
    small.settled()
    assert schemas(small) == ["2"] * PARTITIONS, "a reader brings nothing up"

    newer(small, "ingest-newer", "ingest")
    eventually(lambda: flowing(small, lambda: "3" in schemas(small)), 2 * STILL_S)
    for _ in range(5):  # both own a partition, one of each version
        flowing(small, True)
    small.settled()
    assert small.crew.end("ingest") == 0
    eventually(lambda: flowing(small, lambda: schemas(small) == ["3"] * PARTITIONS), 2 * STILL_S)
    small.settled()
    assert small.counts() == {"accepted": small.seq}


def test_workers_of_the_older_version_say_what_to_do(small: Small) -> None:
    """They end by themselves with code 1; what runs goes on."""
    small.crew.start("ingest-older", "ingest", env=environment(small))
    small.crew.start("index-older", "index", env=environment(small))
    for name in ("ingest-older", "index-older"):
        assert Desk.ended(small, name, 2 * STILL_S) == 1, small.crew.log(name)
        [line] = small.lines(name, "stopped", "schema version 3, this worker knows 2; upgrade the worker")
        assert "runbook" in line
    flowing(small, True)
    small.settled()
    assert schemas(small) == ["3"] * PARTITIONS
    assert small.counts() == {"accepted": small.seq}


def test_verify_of_either_version(small: Small) -> None:
    done = verified(small, "tests.workers.newer")
    assert done.returncode == 0, done.stdout + done.stderr
    older = verified(small, "workers")
    assert older.returncode != 0
    assert "schema version 3, this verify reads 2" in older.stderr + older.stdout


def test_redis_set_back_behind_the_upgrade(small: Small, tmp_path: Path) -> None:
    """As after a restart that lost the last second: the newer workers bring it up again, and read on."""
    for p in range(PARTITIONS):
        small.redis.hset(f"{{tw:{p}}}:meta", "schema", "2")
    eventually(lambda: flowing(small, lambda: schemas(small) == ["3"] * PARTITIONS), 2 * STILL_S)
    small.settled()
    assert small.lines("ingest-newer", "refused", "went back behind the upgrade")
    assert small.counts() == {"accepted": small.seq}
    assert verified(small, "tests.workers.newer").returncode == 0
