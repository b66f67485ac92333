"""The runbook's way to more partitions, step by step on real servers: nothing is lost, nothing counts twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions

from stream.topics import DLQ, EVENTS
from tests.waiting import eventually
from tests.workers.desk import PARTITIONS, STILL_S, Desk, event
from workers.local.ports import free_port
from workers.settings import REPOSITORY

pytestmark = pytest.mark.servers
GROWN = PARTITIONS + 2
CITIES = ("330100", "330200", "310000")


def _index(desk: Desk, systems: Path, name: str) -> None:
    desk.ports[name] = free_port()
    env = {"TIDEWATCH_SYSTEMS": str(systems), "TIDEWATCH_HTTP_PORT": str(desk.ports[name])}
    desk.crew.start(name, "index", env=env)


def test_a_log_that_gets_partitions_goes_on(tmp_path: Path) -> None:
    systems = tmp_path / "systems"
    systems.mkdir()
    shutil.copy(REPOSITORY / "systems" / "dti-2023.toml", systems)
    with Desk(tmp_path / "desk") as desk:
        desk.start("ingest")
        _index(desk, systems, "index")
        desk.ready("ingest")
        desk.send([event(seq=n, city=CITIES[n % 3]) for n in range(1, 301)], partition=0)
        desk.passed()
        eventually(lambda: _published(desk, 300), STILL_S, lambda: desk.crew.log("index")[-3000:])

        # 2 and 3: nothing lags, the index worker is stopped, both topics grow
        desk.end("index")
        admin = AdminClient({"bootstrap.servers": desk.servers.kafka})
        for done in admin.create_partitions([NewPartitions(EVENTS, GROWN), NewPartitions(DLQ, GROWN)]).values():
            done.result(30)
        # 4 and 5: the catalogue for the new ones; workers anew, with the new number
        desk.env["TIDEWATCH_PARTITIONS"] = str(GROWN)
        desk.tidewatch("catalogue", "publish")
        desk.end("ingest")
        desk.start("ingest", TIDEWATCH_PARTITIONS=str(GROWN))
        eventually(lambda: len(desk.lines("ingest", "acquired")) >= GROWN, STILL_S, lambda: desk.crew.log("ingest"))
        _index(desk, systems, "index-again")

        # Cities go on in another partition. The source asks where it may send, as one that begins anew does.
        desk.producer.list_topics(EVENTS, timeout=10)
        desk.send([event(seq=n, city=CITIES[n % 3]) for n in range(301, 601)], partition=GROWN - 1)
        eventually(lambda: _published(desk, 600), STILL_S, lambda: desk.crew.log("index-again")[-3000:])

        # 6
        verified = desk.tidewatch("verify", "dti-2023", "--json")
        assert verified["differences"] == 0, verified
        found = desk.tidewatch("doctor", "--json")
        assert found["ok"], found
        where = {each["what"].split(":")[0] for each in found["findings"] if each["check"] == "partition"}
        assert where == {f"{EVENTS}/{p}" for p in range(GROWN)}


def _published(desk: Desk, accepted: int) -> bool:
    """Whether the last revision includes so many events."""
    import urllib.request

    name = "index-again" if "index-again" in desk.crew.workers else "index"
    with urllib.request.urlopen(f"http://127.0.0.1:{desk.ports[name]}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    wanted = f'tidewatch_index_published_events{{outcome="accepted",system="dti-2023"}} {float(accepted)}'
    other = f'tidewatch_index_published_events{{system="dti-2023",outcome="accepted"}} {float(accepted)}'
    return wanted in text or other in text
