"""Whatever befalls index workers, the catalogue or a definition: each revision once, in order, and exact.

On a real Kafka and a real Redis, workers as processes of their own, while a feed plays. Each test ends with `settle`:
see tests/workers/faults.py.
"""

import json
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from index.catalogue import Catalogue, Entity
from stream.catalogue_log import publish_catalogue
from stream.control import publish_definition
from stream.messages import ControlVersion
from tests.waiting import eventually
from tests.workers.faults import PARTITIONS, STILL_S, SYSTEM, Trial, aborted_records
from workers.local import Servers


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with Servers(tmp_path_factory.mktemp("servers")) as both:
        yield both


@pytest.fixture
def trial(servers: Servers, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Trial]:
    with Trial(servers, tmp_path, f"{request.config.option.hypothesis_seed}/{request.node.name}") as trial:
        yield trial


def problem(trial: Trial, name: str) -> str:
    """What a worker that serves HTTP says of itself on /readyz; empty where all is well, or it does not listen yet."""
    address = re.search(r"address=(http://\S+)/healthz", trial.crew.log(name))
    if address is None:
        return ""
    try:
        with urllib.request.urlopen(f"{address[1]}/readyz", timeout=5) as answer:
            return json.load(answer)["problem"] or ""
    except urllib.error.HTTPError as answer:
        return json.load(answer)["problem"]


def test_active_index_worker_is_killed_in_mid_transaction(trial: Trial) -> None:
    """Another stands by and takes over; what the dead one had written and not committed is seen by nobody."""
    trial.workers(ingest=1, index=1)
    trial.feed()
    trial.flows()
    for _ in range(2):
        active = trial.active()
        trial.start("index")
        trial.stop_in_mid_transaction(active)
        trial.crew.kill(active)
        eventually(trial.active, STILL_S, lambda: trial.logs("index"))
        trial.flows()
    assert aborted_records(trial.servers.kafka) > 0
    trial.settle()
    assert trial.watcher.reasons().count("start") == 3


def test_zombie_index_worker_is_fenced(trial: Trial) -> None:
    """Asleep in mid-transaction for longer than its session: when it wakes up, the system is another's, and stays exact."""
    trial.workers(ingest=1, index=2)
    trial.feed()
    trial.flows()
    zombie = trial.active()
    [standby] = {*trial.running("index")} - {zombie}
    trial.stop_in_mid_transaction(zombie)
    trial.until_log(standby, "] running ")
    trial.flows()
    trial.signal(zombie, signal.SIGCONT)
    trial.until_log(zombie, "another index worker publishes it now")
    eventually(trial.active, STILL_S, lambda: trial.logs("index"))
    trial.flows()
    trial.settle()


def test_restart_at_rest_publishes_nothing(trial: Trial) -> None:
    """What is published is what would be published: no revision is needed to say so."""
    trial.workers(ingest=1, index=1)
    feed = trial.feed()
    trial.flows()
    feed.finish()
    revision = trial.settle().revision
    trial.workers(ingest=1, index=0)
    trial.workers(ingest=1, index=1)
    assert trial.settle().revision == revision


def test_restart_after_redis_went_back_waits_for_ingest(trial: Trial) -> None:
    """Nothing is published from before the last revision, however long nobody reads the log again."""
    trial.workers(ingest=1, index=1)
    trial.feed()
    trial.flows()
    copy, _ = trial.copy_redis()
    trial.flows()
    revision = trial.settle().revision
    trial.workers(ingest=0, index=0)
    trial.restore_redis(copy)
    assert sum(trial.offsets().values()) < sum(trial.ends().values())
    name = trial.start("index", TIDEWATCH_HTTP_PORT="0")
    eventually(lambda: "until ingest caught up" in problem(trial, name), STILL_S, lambda: trial.logs(name))
    assert not trial.active()
    trial.workers(ingest=1, index=1)
    assert trial.settle().revision == revision


def other_catalogue(old: Catalogue, dropped: str, added: str) -> Catalogue:
    """The next version: one city fewer, and a new one in the same groups."""
    members = {
        group: tuple(added if city == dropped else city for city in cities) for group, cities in old.members.items()
    }
    entities = tuple(entity for entity in old.entities if entity.code != dropped)
    return msgspec.structs.replace(
        old, version=old.version + 1, entities=(*entities, Entity(added, old.base_kind, "new")), members=members
    ).checked("new")


def send(trial: Trial, city: str, seqs: range, outcome: str) -> None:
    """Events of a city by hand."""
    from workers.feed import Outbox

    outbox = Outbox(trial.servers.kafka)
    for seq in seqs:
        event = {"source": "by-hand", "seq": seq, "city": city, "indicator": "dti.cloud", "op": "add"}
        event |= {"value": 100 + seq, "at": "2021-02-01T08:00:00+08:00"}
        outbox.put_one(city.encode(), json.dumps(event).encode())
        trial.by_hand[outcome] += 1
    outbox.flush()
    outbox.close()


def test_new_catalogue_in_mid_stream(trial: Trial) -> None:
    """A city comes, another goes: each from the offset of the record on, in every partition, in Redis and in the index."""
    trial.workers(ingest=2, index=1)
    feed = trial.feed()
    trial.flows()
    old = trial.catalogue
    # The largest city goes: it is in the play, and its rank moves everybody else's.
    gone = max(trial.watcher.rows["cities/2021Q1"].items(), key=lambda row: row[1][1])[0]
    new = other_catalogue(old, gone, "999999")
    send(trial, "999999", range(1, 6), "rejected:unknown-city")
    publish_catalogue(trial.servers.kafka, new, list(range(PARTITIONS)))
    send(trial, "999999", range(1, 6), "accepted")
    trial.flows()
    report = trial.settle()
    assert trial.watcher.revisions[-1]["catalogue"] == new.version
    assert "catalogue" in trial.watcher.reasons()


def test_new_definition_in_mid_stream(trial: Trial) -> None:
    """Other weights: the running worker goes over in one revision, which says so, and all values are the new ones."""
    trial.workers(ingest=1, index=1)
    trial.feed()
    trial.flows()
    text = (trial.settings.systems / f"{SYSTEM}.toml").read_text(encoding="utf-8")
    changed = text.replace("version = 1", "version = 2", 1).replace("[4, 5, 4]", "[1, 5, 5]", 1)
    version = ControlVersion(system=SYSTEM, version=2, definition=changed, author="a test", reason="weights", at="now")
    publish_definition(trial.servers.kafka, version)
    eventually(lambda: "definition" in trial.watcher.reasons(), STILL_S, lambda: trial.logs("index"))
    trial.flows()
    trial.settle()
    definitions = [(revision["reason"], revision["definition"]) for revision in trial.watcher.revisions]
    assert definitions.count(("definition", 2)) == 1
    assert {number for reason, number in definitions if reason == "feed"} == {1, 2}
    assert "] assigned" in trial.crew.log(trial.active())
    assert len(trial.running("index")) == 1
