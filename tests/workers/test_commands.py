"""The commands that later work relies on, as a user calls them: exit codes, and one JSON object at the end."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from index.catalogue import Catalogue
from stream.reasons import Reason
from workers.cli import main
from workers.crew import Crew
from workers.drained import wait_until_drained
from workers.feed import Outbox, play
from workers.local.servers import Servers
from workers.prepare import prepare_topics
from workers.scenario import Play, Rates, iter_batches, load
from workers.settings import REPOSITORY, Settings

pytestmark = pytest.mark.servers

SYSTEM = "dti-2023"


def tidewatch(
    *command: str, env: Mapping[str, str] | None = None, timeout_s: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "workers", *command],
        cwd=REPOSITORY,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@dataclass
class Running:
    """A small system at rest: twenty cities, two quarters and a half."""

    env: dict[str, str]
    settings: Settings


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("commands")
    with Servers(folder / "servers") as servers, Crew(folder / "workers", servers.kafka, servers.redis) as crew:
        settings = Settings(kafka=servers.kafka, redis=servers.redis, partitions=2)
        prepare_topics(settings)
        crew.start("ingest", "ingest")
        crew.start("index", "index")
        outbox = Outbox(settings.kafka)
        catalogue = Catalogue.load(settings.catalogue)
        chosen = Play(seed=11, rates=Rates(), density=0.05, cities=20, days=240)
        sent = play(iter_batches(load(catalogue, SYSTEM), chosen), outbox)
        outbox.close()
        wait_until_drained(settings.kafka, settings.redis, sent.ends, [SYSTEM], timeout_s=30, check=crew.check)
        yield Running({"TIDEWATCH_KAFKA": servers.kafka, "TIDEWATCH_REDIS": servers.redis}, settings)


COMMANDS = [
    ("up",), ("ingest",), ("index",), ("feed",), ("demo",), ("rankings",), ("top",), ("verify",),
    ("dlq",), ("dlq", "list"), ("dlq", "show"), ("dlq", "replay"),
    ("catalogue", "show"), ("catalogue", "publish"),
    ("define", "check"), ("define", "show"), ("define", "history"), ("define", "apply"),
    ("rebuild",), ("backup",), ("restore",),
    ("edition", "freeze"), ("edition", "list"), ("edition", "show"), ("edition", "diff"),
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(command: tuple[str, ...]) -> None:
    done = CliRunner().invoke(main, [*command, "--help"])
    assert done.exit_code == 0
    assert "--help" in done.stdout


def test_verify_of_a_sound_system_is_0(running: Running) -> None:
    done = tidewatch("verify", SYSTEM, "--json", env=running.env)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["differences"] == 0
    assert min(report[what] for what in ("cells", "days", "values", "growths", "ranks", "tables")) > 0


def test_verify_of_an_unknown_system_says_so(running: Running) -> None:
    done = tidewatch("verify", "no-such-system", env=running.env)
    assert done.returncode == 1
    assert "no-such-system" in done.stderr


def test_rankings_are_read_from_the_committed_topic(running: Running) -> None:
    done = tidewatch("rankings", SYSTEM, "cities", "--period", "2021Q2", "--json", env=running.env)
    assert done.returncode == 0, done.stderr
    table = json.loads(done.stdout.splitlines()[-1])
    ranks, values = table["rows"]["rank"], table["rows"]["value"]
    assert ranks == sorted(ranks)
    assert values == sorted(values, reverse=True)
    assert len(ranks) + len(table["left_out"]["entity"]) == 351


def test_rankings_within_a_scope(running: Running) -> None:
    done = tidewatch(
        "rankings", SYSTEM, "cities-in-province", "-p", "2021Q2", "-s", "province:440000", "--json", env=running.env
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["scope"] == "province:440000"


def test_a_table_that_is_not_there_names_those_that_are(running: Running) -> None:
    done = tidewatch("rankings", SYSTEM, "citties", "--period", "2021Q2", env=running.env)
    assert done.returncode == 1
    assert "cities 2021Q2" in done.stderr.replace("\n", " ")


def test_top_prints_the_first_rows(running: Running) -> None:
    done = tidewatch("top", SYSTEM, "--json", "--rows", "5", env=running.env)
    assert done.returncode == 0, done.stderr
    top = json.loads(done.stdout.splitlines()[-1])
    assert [row["rank"] for row in top["rows"]] == sorted(row["rank"] for row in top["rows"])
    assert len(top["rows"]) == 5


def test_the_same_catalogue_again_changes_nothing_and_a_lower_one_is_refused(running: Running, tmp_path: Path) -> None:
    done = tidewatch("catalogue", "publish", "--json", env=running.env)
    assert done.returncode == 0, done.stderr
    version = Catalogue.load(running.settings.catalogue).version
    assert json.loads(done.stdout.splitlines()[-1]) == {"version": version, "partitions": 2}
    folder = tmp_path / "catalogue"
    shutil.copytree(running.settings.catalogue, folder)
    indicators = folder / "indicators.csv"
    indicators.write_text(indicators.read_text().replace(",2,", ",3,"))
    done = tidewatch("catalogue", "publish", env={**running.env, "TIDEWATCH_CATALOGUE": str(folder)})
    assert done.returncode == 1
    assert f"is not above {version}" in done.stderr.replace("\n", " ")


def test_once_plays_verifies_and_balances() -> None:
    """The whole demonstration at the least density: fresh servers, every reject reason, no difference."""
    done = tidewatch("demo", "--once", "--json", "--density", "0.02", "--seed", "7", timeout_s=240)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["verify"]["differences"] == 0
    assert result["sent"] == result["accepted"] + result["duplicates"] + sum(result["rejected"].values())
    assert result["cities"] == 351
    assert set(result["rejected"]) == {reason.code for reason in Reason}


def test_once_verifies_every_system_of_the_folder() -> None:
    """All systems on one stream, at the least density of the scenario that has data for each of them."""
    folder = REPOSITORY / "systems"
    every = {path.stem for path in folder.glob("*.toml") if path.stem != "alerts"}
    done = tidewatch(
        "demo", "--once", "--scenario", "dti-2022", "--json", "--density", "0.02", "--seed", "7",
        timeout_s=400, env={"TIDEWATCH_SYSTEMS": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["verify"]["differences"] == 0
    assert set(result["verify"]["systems"]) == every
    assert all(found["values"] > 0 for found in result["verify"]["systems"].values())


def _children(pid: int) -> set[int]:
    found: set[int] = set()
    for task in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = task.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            child = int(task.parent.name)
            found |= {child} | _children(child)
    return found


def test_the_demo_shows_the_ranking_and_ends_cleanly_on_ctrl_c() -> None:
    leader, follower = pty.openpty()
    env = {**os.environ, "COLUMNS": "150", "LINES": "40", "TERM": "xterm"}
    demo = subprocess.Popen(
        [sys.executable, "-m", "workers", "demo", "--speed", "20", "--density", "0.05"],
        cwd=REPOSITORY, stdin=follower, stdout=follower, stderr=subprocess.PIPE, env=env, start_new_session=True,
    )  # fmt: skip
    os.close(follower)
    seen, deadline = b"", time.monotonic() + 60
    try:
        while not (b"revision" in seen and "上海市".encode() in seen) and time.monotonic() < deadline:
            if select.select([leader], [], [], 0.5)[0]:
                seen += os.read(leader, 65536)
            assert demo.poll() is None, demo.stderr and demo.stderr.read()
        assert "上海市".encode() in seen, "no ranking was shown within 60 s"
        children = _children(demo.pid)
        assert len(children) >= 4  # Kafka, Redis, two workers
        demo.send_signal(signal.SIGINT)
        while demo.poll() is None and time.monotonic() < deadline + 30:
            if select.select([leader], [], [], 0.2)[0]:
                try:
                    os.read(leader, 65536)
                except OSError:
                    break
        assert demo.wait(30) == 0
        assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    finally:
        if demo.poll() is None:
            demo.kill()
        os.close(leader)
