"""dti_2022_clusters.csv and dei_2023_scores.csv once more, through everything: events over Kafka, ingest, Redis, the
index worker, its topics, and the independent recomputation from the log (`tidewatch verify`).

All 134 cities of the seven agglomerations, flows and growths; all 257 cities of the scores, levels and tiers. See
`test_dti_2022_clusters` and `test_dei_2023_scores` for what is a check of the arithmetic and what of the plumbing.
Besides, each table on the topic is the one that the engine alone makes of the same events.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Producer

from stream.tail import high_watermarks, read_to
from stream.topics import EVENTS, RANKINGS, UPDATES, partition_of
from tests.published import test_dei_2023_scores as dei_scores
from tests.published import test_dti_2022_clusters as clusters
from tests.published.dei import LOST, LOST_SCORE, SCORES, TIERS, YEAR, city_of
from tests.published.play import Player, code_of, inside_tie, printed, rows, rows_of
from tests.waiting import eventually
from tests.workers.watcher import Watcher
from workers.crew import Crew
from workers.drained import wait_until_drained
from workers.local.servers import Servers
from workers.prepare import prepare_topics
from workers.settings import REPOSITORY, Settings

pytestmark = pytest.mark.servers

DTI, DEI = "dti-2022", "dei-2023"
Standing = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def players() -> dict[str, Player]:
    return {DTI: clusters.play(), DEI: dei_scores.play({LOST: LOST_SCORE})}


@pytest.fixture(scope="module")
def topics(players: dict[str, Player], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """What stands at rest, by (topic, system), and by key without the system; and under `verify` what that says."""
    folder = tmp_path_factory.mktemp("published")
    (systems := folder / "systems").mkdir()
    for system, player in players.items():
        (systems / f"{system}.toml").write_text(player.text, encoding="utf-8")
    with (
        Servers(folder / "servers") as servers,
        Crew(folder / "workers", servers.kafka, servers.redis, {"TIDEWATCH_SYSTEMS": str(systems)}) as crew,
        Watcher(servers.kafka, DTI) as dti,
        Watcher(servers.kafka, DEI) as dei,
    ):
        prepare_topics(Settings(kafka=servers.kafka, redis=servers.redis, partitions=2, systems=systems))
        crew.start("ingest", "ingest")
        crew.start("index", "index")
        ends = send(servers.kafka, list(players.values()))
        drained = wait_until_drained(
            servers.kafka, servers.redis, ends, list(players), timeout_s=30, check=crew.check
        )  # fmt: skip
        for watcher in (dti, dei):
            eventually(watcher.at_rest, 20, lambda: crew.log("index"))
            watcher.content(drained[watcher.system])  # every delta, table and update agrees with every other
        found = {(t, s): standing(servers.kafka, t, s) for t in (RANKINGS, UPDATES) for s in players}
        address = {"TIDEWATCH_KAFKA": servers.kafka, "TIDEWATCH_REDIS": servers.redis}
        yield found | {("verify", system): verify(system, address) for system in players}


def send(kafka: str, players: list[Player]) -> dict[int, int]:
    """Send all events; the offset behind the last of each partition."""
    ends: dict[int, int] = {}
    producer = Producer({"bootstrap.servers": kafka, "acks": "all", "linger.ms": 5})
    for player in players:
        for partition, value in player.messages():
            producer.produce(
                EVENTS, value, partition=partition,
                on_delivery=lambda error, message: ends.__setitem__(message.partition(), message.offset() + 1),
            )  # fmt: skip
    assert producer.flush(20) == 0
    assert len(ends) == 2
    return ends


def standing(kafka: str, topic: str, system: str) -> dict[str, Any]:
    """The last value of each key of a system."""
    where = (topic, partition_of(system))
    found: dict[str, Any] = {}
    for message in read_to(kafka, high_watermarks(kafka, [where])):
        name, _, key = message.key().decode().partition("/")
        if name == system:
            found[key] = json.loads(message.value()) if message.value() is not None else None
    return {key: value for key, value in found.items() if value is not None}


def verify(system: str, address: dict[str, str]) -> dict[str, Any]:
    """What `tidewatch verify` reports."""
    done = subprocess.run(
        [sys.executable, "-m", "workers", "verify", system, "--json"],
        cwd=REPOSITORY, env={**os.environ, **address}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("name", clusters.NAMES)
def test_ranks_changes_growths_of_the_clusters(topics: Standing, name: str) -> None:
    """134 rows: both ranks, the change, the growth, its rank."""
    group, listed = code_of(name, "agglomeration"), clusters.of(name)
    year, quarter, growth = (
        rows_of(topics[RANKINGS, DTI][f"{table}/{group}"])
        for table in ("cities-in-agglomeration/2021", "cities-in-agglomeration/2022Q1", "t-growth/2022Q1")
    )
    assert len(year) == len(quarter) == len(growth) == len(listed)
    for row in listed:
        city = row["city_code"]
        assert year[city].rank == int(row["rank_prev_implied"]), row
        assert quarter[city].rank == int(row["rank_now"]), row
        assert quarter[city].change == int(row["rank_change"]), row
        assert printed(growth[city].value, row["yoy"], 3), row
        assert inside_tie(int(row["yoy_rank"]), growth[city], growth.values()), row


def test_updates_say_the_same_growth(topics: Standing) -> None:
    for row in clusters.TABLE:
        update = topics[UPDATES, DTI][f"{row['city_code']}/2022Q1"]
        assert printed(update["growth"]["mean_yoy"], row["yoy"], 3), row
        assert (update["status"], update["definition"]) == ("final", 1)


def test_scores_and_tiers(topics: Standing) -> None:
    """256 scores and ranks, and of the five tiers the counts and means."""
    cities = rows_of(topics[RANKINGS, DEI][f"cities/{YEAR}"])
    for row in SCORES:
        mine = cities[city_of(row)]
        assert printed(mine.value, row["score"], 1), row
        assert inside_tie(int(row["rank"]), mine, cities.values()), row
    counts, means = (rows_of(topics[RANKINGS, DEI][f"tiers-{what}/{YEAR}"]) for what in ("count", "mean"))
    for row in rows("dei_2023_tiers"):
        assert counts[TIERS[row["tier"]]].value == int(row["city_count"]), row
        assert printed(means[TIERS[row["tier"]]].value, row["mean_score"], 1), row


@pytest.mark.parametrize("system", [DTI, DEI])
def test_the_topic_has_what_the_engine_alone_makes(
    topics: Standing, players: dict[str, Player], system: str
) -> None:  # fmt: skip
    keys = {key.path: key for key in players[system].board.table_keys()}
    assert keys.keys() == topics[RANKINGS, system].keys()
    for path, key in keys.items():
        assert topics[RANKINGS, system][path]["rows"] == players[system].board.table(key)["rows"], path


@pytest.mark.parametrize("system", [DTI, DEI])
def test_the_recomputation_from_the_log_finds_no_difference(topics: Standing, system: str) -> None:
    report = topics["verify", system]
    assert report["differences"] == 0, report
    assert min(report[what] for what in ("cells", "values", "ranks", "tables")) > 0
