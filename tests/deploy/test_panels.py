"""Every panel's query and every rule, asked of a real Prometheus that scrapes a real run: none empty, none an error."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.deploy.deployed import tool
from tests.deploy.prom import Prometheus
from tests.deploy.queries import queries, rules
from tests.waiting import eventually
from tests.workers.desk import Desk
from workers.local.ports import free_port
from workers.settings import REPOSITORY

pytestmark = pytest.mark.servers

IN_TIME_S = 100.0  # the feed plays two quarters in 40 s; growth is known in the second
CHOSEN = {"$__rate_interval": "15s", "$system": ".+", "$grain": ".+"}
# What this feed holds must show: a zero in its place would hide a misspelt label.
LABELLED = {
    "quality/Rejects by reason/A": "reason",
    "quality/Rejected by source/A": "source",
    "quality/Repeated by source/A": "source",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Desk, Prometheus]]:
    """An ingest worker, two index and two alert workers (one of each stands by), and a feed that goes on."""
    program = tool("prometheus", why="Debian's package prometheus brings it")
    folder = tmp_path_factory.mktemp("panels")
    systems = folder / "systems"
    systems.mkdir()
    for name in ("dti-2023.toml", "alerts.toml"):
        shutil.copy(REPOSITORY / "systems" / name, systems)
    with Desk(folder / "desk") as desk:
        desk.start("ingest", TIDEWATCH_GROUP=f"panels-{uuid4()}")
        for name in ("index-1", "index-2", "alert-1", "alert-2"):
            desk.ports[name] = free_port()
            env = {"TIDEWATCH_SYSTEMS": str(systems), "TIDEWATCH_HTTP_PORT": str(desk.ports[name])}
            desk.crew.start(name, name.partition("-")[0], env=env)
        desk.ready("ingest")
        desk.crew.start("feed", "feed", "--speed", "5", "--days", "730", "--density", "0.15", "--bad", "0.02",
                        "--duplicates", "0.02", "--seed", "5")  # fmt: skip
        targets = {
            "tidewatch-ingest": [desk.ports["ingest"]],
            "tidewatch-index": [desk.ports["index-1"], desk.ports["index-2"]],
            "tidewatch-alert": [desk.ports["alert-1"], desk.ports["alert-2"]],
        }
        with Prometheus(program, folder / "prometheus", targets) as prometheus:
            yield desk, prometheus


@pytest.mark.timeout(300)
def test_no_panel_is_empty(run: tuple[Desk, Prometheus]) -> None:
    desk, prometheus = run
    asked = dict(queries())
    assert len(asked) > 50

    def none_empty() -> bool:
        desk.crew.check()
        empty = {}
        for where, query in asked.items():
            for variable, value in CHOSEN.items():
                query = query.replace(variable, value)
            samples = prometheus.ask(query)
            label = LABELLED.get(where)
            if not samples or (label and not any(label in labels for labels, _ in samples)):
                empty[where] = query
        assert not empty, empty
        return True

    eventually(none_empty, IN_TIME_S, lambda: desk.crew.log("index-1")[-2000:])


@pytest.mark.timeout(120)
def test_rules_are_evaluated_and_a_healthy_run_fires_only_the_watchdog(run: tuple[Desk, Prometheus]) -> None:
    _, prometheus = run
    held = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in held} == {rule.get("alert") or rule["record"] for _, rule in rules()}
    assert [rule["name"] for rule in held if rule["health"] != "ok"] == []
    firing = {rule["name"] for rule in held if rule.get("state") == "firing"}
    assert firing == {"TidewatchWatchdog"}
    for _, rule in rules():
        if "record" in rule and "redis_memory" not in rule["record"]:  # the desk's Redis has no limit
            assert prometheus.ask(rule["record"]), rule["record"]


@pytest.mark.timeout(60)
def test_all_workers_are_ready_also_the_one_that_stands_by(run: tuple[Desk, Prometheus]) -> None:
    """Kubernetes holds an update back for one that is not, and counts it as disrupted."""
    desk, prometheus = run
    for name in desk.ports:
        status, body = desk.get(name, "/readyz")
        assert status == 200, (name, body)
    for running in ("tidewatch_index_running", "tidewatch_alerts_revision"):
        # A scrape that came too late on a busy machine leaves a gap of one interval.
        eventually(lambda running=running: len(prometheus.ask(f"count by (instance) ({running})")) == 1, 30.0)
