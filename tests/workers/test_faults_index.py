"""Whatever befalls index workers, the catalogue or a definition: each revision once, in order, and exact.

On a real Kafka and a real Redis, workers as processes of their own, while a feed plays. Each test ends with `settle`:
see tests/workers/faults.py.
"""

import re
import signal
from collections.abc import Callable
from typing import Any

import msgspec

from index.catalogue import Catalogue, Entity
from stream.catalogue_log import publish_catalogue
from stream.control import publish_definition
from stream.messages import ControlVersion
from tests.waiting import eventually
from tests.workers.faults import PARTITIONS, STILL_S, SYSTEM, Trial, aborted_records


def test_index_worker_is_killed_and_another_sleeps_in_mid_transaction(trial: Trial) -> None:
    """Another stands by and takes over. What was not committed is seen by nobody; who wakes up too late is fenced."""
    trial.workers(ingest=1, index=1)
    trial.feed()
    trial.flows()
    victim, standby = trial.active(), trial.start("index")
    trial.stop_in_mid_transaction(victim)
    trial.crew.kill(victim)
    trial.until_log(standby, "] running ")
    trial.flows()
    zombie, standby = standby, trial.start("index")
    trial.stop_in_mid_transaction(zombie)
    trial.until_log(standby, "] running ")
    trial.flows()
    trial.signal(zombie, signal.SIGCONT)
    trial.until_log(zombie, "another index worker publishes it now")
    eventually(trial.active, STILL_S, lambda: trial.logs("index"))
    trial.flows()
    trial.settle()
    assert aborted_records(trial.servers.kafka) > 0
    assert trial.watcher.reasons().count("start") >= 3


def other_catalogue(old: Catalogue, dropped: str, added: str) -> Catalogue:
    """The next version: one city fewer, and a new one in the same groups."""
    members = {
        group: tuple(added if city == dropped else city for city in cities) for group, cities in old.members.items()
    }
    entities = tuple(entity for entity in old.entities if entity.code != dropped)
    return msgspec.structs.replace(
        old, version=old.version + 1, entities=(*entities, Entity(added, old.base_kind, "new")), members=members
    ).checked("new")


def of_each_indicator(city: str, catalogue: Catalogue) -> list[dict[str, Any]]:
    """One event of each indicator."""
    return [
        {
            **{"source": "by-hand", "seq": seq, "city": city, "indicator": indicator.code, "value": 1000},
            **{"op": "add" if indicator.kind == "flow" else "set"},
            **{"industry": catalogue.industry_codes[seq][0], "at": "2021-02-01T08:00:00+08:00"},
        }
        for seq, indicator in enumerate(catalogue.indicators)
    ]


def test_new_catalogue_in_mid_stream(trial: Trial) -> None:
    """A city comes, another goes: from the offset of the record on, in every partition, in Redis and in the index."""
    trial.workers(ingest=2, index=1)
    trial.feed()
    trial.flows()
    old = trial.catalogue
    # The first city goes: it is in the play, and everybody else moves up.
    [gone] = [city for city, (rank, _) in trial.watcher.rows["cities/2021Q1"].items() if rank == 1]
    new = other_catalogue(old, gone, "999999")
    trial.send(of_each_indicator("999999", old), "rejected:unknown-city")
    publish_catalogue(trial.servers.kafka, new, list(range(PARTITIONS)))
    trial.send(of_each_indicator("999999", new), "accepted")
    trial.flows()
    counts = trial.settle(foreseen=False).counts
    ordinary = trial.feeds[0].expected["rejected:unknown-city"]
    assert counts["rejected:unknown-city"] > ordinary + trial.by_hand["rejected:unknown-city"]
    assert trial.watcher.revisions[-1]["catalogue"] == new.version
    assert trial.watcher.reasons().count("catalogue") == 1
    listed = trial.watcher.rows["cities/2021Q1"]
    assert "999999" in listed
    assert gone not in listed


def define(trial: Trial, version: int, change: Callable[[str], str]) -> None:
    """Put a changed definition in force."""
    text = (trial.settings.systems / f"{SYSTEM}.toml").read_text(encoding="utf-8")
    changed = change(re.sub(r"^version = \d+$", f"version = {version}", text, count=1, flags=re.MULTILINE))
    assert changed != text
    publish_definition(
        trial.servers.kafka,
        ControlVersion(system=SYSTEM, version=version, definition=changed, author="a test", reason="test", at="now"),
    )


def test_new_definitions_in_mid_stream(trial: Trial) -> None:
    """The running worker goes over in one revision, which says so; from what cannot be run it stays away."""
    trial.workers(ingest=1, index=1)
    [worker] = trial.running("index")
    trial.feed()
    trial.flows()

    # other weights
    first = trial.watcher.revisions[-1]["definition"]
    define(trial, 12, lambda text: text.replace("[4, 5, 4]", "[1, 5, 5]", 1))
    until_defined(trial, 12)
    # no TOML; an indicator that the catalogue does not know
    for version, change in ((13, lambda text: text + "]"), (14, lambda text: text.replace("dti.cloud", "dti.none"))):
        define(trial, version, change)
        trial.until_log(worker, f"control {SYSTEM}/{version}:")
        trial.flows()
    # one ranking under another name, one by another measure: the deltas begin those anew
    define(trial, 15, lambda text: by_share(text.replace('name = "tiers"\n', 'name = "tiers-2"\n', 1)))
    until_defined(trial, 15)
    # while nobody runs it
    trial.workers(ingest=1, index=0)
    define(trial, 16, by_share)
    trial.workers(ingest=1, index=1)
    trial.flows()
    trial.settle()
    found = [(each["definition"], each["reason"]) for each in trial.watcher.revisions]
    assert [version for version, reason in found if reason == "definition"] == [12, 15, 16]
    assert {version for version, _ in found} == {first, 12, 15, 16}


def by_share(text: str) -> str:
    """The definition with provinces ranked by their share."""
    by_value = 'rows = "province"\nmeasure = "value"'
    return text.replace(by_value, by_value.replace("value", "share"), 1)


def until_defined(trial: Trial, version: int) -> None:
    """Wait for a revision of that version, and for events behind it."""

    def defined() -> bool:
        trial.crew.check()
        return trial.watcher.revision > 0 and trial.watcher.revisions[-1]["definition"] == version

    eventually(defined, STILL_S, lambda: trial.logs("index"))
    trial.flows()
