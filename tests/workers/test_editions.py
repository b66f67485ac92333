"""`tidewatch edition` on real servers: what is frozen stays, and what has moved since is named row by row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from stream.editions import read_editions, write_edition
from stream.errors import OvertakenError, StreamError
from stream.messages import Edition, EditionValues, encode
from stream.tail import high_watermarks, read_to
from stream.topics import EDITION_BYTES, EDITIONS, partition_of
from tests.waiting import eventually
from tests.workers.desk import STILL_S
from tests.workers.small import CITIES, SYSTEM, Small

pytestmark = pytest.mark.servers

PERIOD = "2021Q2"
FREEZE = ("edition", "freeze", SYSTEM, "--period", PERIOD, "--author", "Ada")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    with Small(tmp_path_factory.mktemp("editions")) as running:
        yield running


@pytest.fixture
def report(small: Small, request: pytest.FixtureRequest) -> str:
    """An edition of the second quarter, as it is now, named after the test."""
    name = request.node.name[:50]
    small.object(*FREEZE, "--name", name)
    return name


def rows_of(small: Small) -> dict[str, dict[str, tuple[int, float]]]:
    """Of each committed table of the second quarter, entity -> (rank, value)."""
    found = {}
    for key, table in small.tables().items():
        if table["period"] == PERIOD:
            rows = table["rows"]
            columns = zip(rows["entity"], rows["rank"], rows["value"], strict=True)
            found[key] = {entity: (rank, value) for entity, rank, value in columns}
    return found


def late(small: Small, city: str, amount: float, *, until: Any) -> None:
    """An event of the closed second quarter; returns when the committed tables show it."""
    small.flow(city, "2021-05-20", amount, 0, 0, 0)
    small.settled()
    eventually(until, STILL_S, lambda: small.crew.log("index")[-3000:])


def test_an_edition_holds_the_committed_tables_and_values(small: Small, report: str):
    edition = small.object("edition", "show", SYSTEM, report)
    expected = [table for key, table in sorted(small.tables().items()) if table["period"] == PERIOD]
    assert len(expected) == 2 + 31  # two rankings, and one in each province
    assert [
        {"schema": 1, "system": SYSTEM} | {k: v for k, v in t.items() if k != "revision"} for t in edition["tables"]
    ] == expected
    updates = {u["entity"]: u for u in small.updates().values() if u["period"] == PERIOD}
    values = edition["values"]
    assert values["entity"] == sorted(updates)
    assert values["value"] == [updates[entity]["value"] for entity in values["entity"]]
    assert values["coverage"] == [updates[entity]["coverage"] for entity in values["entity"]]
    assert set(values["status"]) <= {"final", "revised"}
    [last] = [each for each in small.revisions() if each.revision == edition["revision"]]
    for name in ("definition", "catalogue", "offsets", "watermark"):
        assert edition[name] == getattr(last, name), name
    assert (edition["author"], edition["corrects"]) == ("Ada", None)


def test_nothing_has_moved(small: Small, report: str):
    found = small.object("edition", "diff", SYSTEM, report)
    assert found["differences"] == 0
    assert found["tables"] == found["values"] == []


def test_a_late_event_restates_the_period_and_diff_names_the_moved_rows(small: Small, report: str):
    key = f"{SYSTEM}/cities/{PERIOD}"
    frozen, before = small.run("edition", "show", SYSTEM, report, "--json").stdout, rows_of(small)
    last = max(before[key], key=lambda city: before[key][city][0])  # the last one overtakes all others
    late(small, last, 1000, until=lambda: rows_of(small)[key][last][0] == 1)
    after = rows_of(small)
    done = small.object("edition", "diff", SYSTEM, report, code=1)
    assert small.run("edition", "show", SYSTEM, report, "--json").stdout == frozen
    found = {}
    for table in done["tables"]:
        path = f"{SYSTEM}/{table['ranking']}/{PERIOD}" + (f"/{table['scope']}" if table["scope"] else "")
        assert table["entered"] == table["left"] == []
        found[path] = {row["entity"]: row for row in table["moved"]}
    province = "province:330000" if last.startswith("33") else "province:440000"
    assert {row: set(rows) for row, rows in found.items()} == {
        key: set(CITIES),
        f"{SYSTEM}/cities-in-province/{PERIOD}/{province}": {city for city in CITIES if city[:2] == last[:2]},
        # by growth: only if the order of the two did not hold before is the other one's rank another
        f"{SYSTEM}/provinces-pop/{PERIOD}": {
            entity
            for entity in after[f"{SYSTEM}/provinces-pop/{PERIOD}"]
            if after[f"{SYSTEM}/provinces-pop/{PERIOD}"][entity] != before[f"{SYSTEM}/provinces-pop/{PERIOD}"][entity]
        },
    }
    for path, rows in found.items():
        for entity, row in rows.items():
            assert (row["was_rank"], row["was_value"]) == before[path][entity]
            assert (row["rank"], row["value"]) == after[path][entity]
    assert [value["entity"] for value in done["values"]] == sorted([last, province, "nation:CN"])
    assert done["differences"] == sum(map(len, found.values())) + 3
    said = small.run("edition", "diff", SYSTEM, report)
    assert said.returncode == 1
    assert f"{before[key][last][0]} -> 1" in said.stdout


def test_a_correction_is_a_new_edition_with_a_reason(small: Small, report: str):
    city, key = CITIES[0], f"{SYSTEM}/cities/{PERIOD}"
    was = rows_of(small)[key][city]
    late(small, city, 2000, until=lambda: rows_of(small)[key][city] != was)
    new = f"{report}-corrected"
    refused = small.run(*FREEZE, "--name", new, "--corrects", report)
    assert refused.returncode == 1
    assert "needs a reason" in refused.stderr
    refused = small.run(*FREEZE, "--name", new, "--corrects", "nothing", "--reason", "r")
    assert refused.returncode == 1
    assert "known: " in refused.stderr
    made = small.object(*FREEZE, "--name", new, "--corrects", report, "--reason", "a late report")
    assert (made["corrects"], made["reason"]) == (report, "a late report")
    found = small.object("edition", "diff", SYSTEM, report, "--against", new, code=1)
    assert (found["from"]["edition"], found["to"]["edition"]) == (report, new)
    assert city in {row["entity"] for table in found["tables"] for row in table["moved"]}
    assert small.object("edition", "diff", SYSTEM, new)["differences"] == 0
    listed = {each["name"]: each for each in small.object("edition", "list", SYSTEM)["editions"]}
    assert listed[new]["corrects"] == report
    assert listed[report]["corrects"] is None
    assert new in {each["name"] for each in small.object("edition", "list")["editions"]}


def test_a_name_is_used_once(small: Small, report: str):
    frozen = small.run("edition", "show", SYSTEM, report, "--json").stdout
    done = small.run(*FREEZE, "--name", report)
    assert done.returncode == 1
    assert "never changes" in done.stderr
    assert small.run("edition", "show", SYSTEM, report, "--json").stdout == frozen


def test_of_two_at_once_exactly_one_wins(small: Small):
    waiting = [small.started(*FREEZE, "--name", "both", "--reason", f"number {i}") for i in range(2)]
    done = [small.ended(each) for each in waiting]
    assert sorted(each.returncode for each in done) == [0, 1], [each.stderr for each in done]
    [lost] = [each for each in done if each.returncode]
    said = lost.stderr.replace("\n", " ")
    assert "never changes" in said or "somebody else wrote at the same time" in said
    won = next(i for i, each in enumerate(done) if each.returncode == 0)
    assert small.object("edition", "show", SYSTEM, "both")["reason"] == f"number {won}"
    assert len([key for key, _ in raw_editions(small) if key == f"{SYSTEM}/both".encode()]) == 1


def edition(name: str, author: str, entities: int = 0) -> Edition:
    """One by hand, with so many values and no table."""
    n = entities
    values = EditionValues([f"entity:{i}" for i in range(n)], ["final"] * n, [i / 7 for i in range(n)], [1.0] * n)
    return Edition(
        system=SYSTEM, name=name, period=PERIOD, revision=1, definition=1, catalogue=1, offsets={}, watermark=None,
        author=author, reason="", at="now", corrects=None, tables=[], values=values,
    )  # fmt: skip


def test_an_edition_as_large_as_a_whole_report(small: Small):
    large = edition("large", "Ada", 300_000)
    assert 10 << 20 < len(encode(large)) < EDITION_BYTES
    write_edition(small.servers.kafka, large)
    assert read_editions(small.servers.kafka, SYSTEM)[f"{SYSTEM}/large"] == large
    with pytest.raises(StreamError, match="too large"):
        write_edition(small.servers.kafka, edition("larger", "Ada", 600_000))
    assert f"{SYSTEM}/larger" not in read_editions(small.servers.kafka, SYSTEM)


def test_who_took_the_turn_later_wins(small: Small, monkeypatch: pytest.MonkeyPatch):
    """The earlier one looked, found the name free, and is refused all the same; nothing of it is seen."""
    kafka, name = small.servers.kafka, "taken"

    def look_and_let_another_in(*_: object) -> dict[str, Edition]:
        monkeypatch.undo()
        found = read_editions(kafka, SYSTEM)
        write_edition(kafka, edition(name, "fast"))
        return found

    monkeypatch.setattr("stream.editions.read_editions", look_and_let_another_in)
    with pytest.raises(OvertakenError):
        write_edition(kafka, edition(name, "slow"))
    assert read_editions(kafka, SYSTEM)[f"{SYSTEM}/{name}"].author == "fast"


def test_an_open_period_is_refused_unless_provisional(small: Small):
    command = ("edition", "freeze", SYSTEM, "--period", "2021Q3", "--name", "early", "--author", "Ada")
    done = small.run(*command)
    assert done.returncode == 1
    assert "--provisional" in done.stderr
    small.object(*command, "--provisional")
    assert "provisional" in small.object("edition", "show", SYSTEM, "early")["values"]["status"]


REFUSED = [
    (("edition", "freeze", SYSTEM, "-p", "2020Q1", "--name", "n", "-a", "A"), "nothing of small is published"),
    (("edition", "freeze", "nobody", "-p", PERIOD, "--name", "n", "-a", "A"), "nothing of nobody is published"),
    (("edition", "freeze", SYSTEM, "-p", "2021Q9", "--name", "n", "-a", "A"), "no period"),
    (("edition", "freeze", SYSTEM, "-p", PERIOD, "--name", "a/b", "-a", "A"), "a name"),
    (("edition", "show", SYSTEM, "nothing"), "is no edition"),
    (("edition", "diff", SYSTEM, "nothing"), "is no edition"),
]


@pytest.mark.parametrize(("command", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_what_cannot_be_done_is_said(small: Small, command: tuple[str, ...], said: str):
    known = [key for key, _ in raw_editions(small)]
    done = small.run(*command)
    assert done.returncode == 1
    assert said in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    assert [key for key, _ in raw_editions(small)] == known


def test_a_period_that_keeps_moving_is_not_frozen(small: Small):
    """Events of the same period come faster than it could come to rest."""
    waiting = small.started(*FREEZE, "--name", "restless", "--timeout", "4")
    while waiting.poll() is None:
        small.flow(CITIES[1], "2021-05-21", 1, 1, 1, 1)
    done = small.ended(waiting)
    assert done.returncode == 1
    assert "did not come to rest within 4 s" in done.stderr.replace("\n", " ")
    small.settled()


def test_a_table_can_be_read(small: Small, report: str, tmp_path: Path):
    table = small.object("edition", "show", SYSTEM, report, "--ranking", "cities-in-province", "-s", "province:330000")
    assert sorted(table["rows"]["entity"]) == ["330100", "330200", "330300"]
    done = small.run("edition", "show", SYSTEM, report, "--ranking", "cities")
    assert done.returncode == 0
    assert all(city in done.stdout for city in CITIES)
    done = small.run("edition", "show", SYSTEM, report, "--ranking", "towns")
    assert done.returncode == 1
    assert "cities-in-province" in done.stderr


def test_compaction_removes_no_edition(small: Small, report: str):
    """Once Kafka's cleaner has been here (it took away what a probe was overwritten by), every edition is there."""
    kafka, probe = small.servers.kafka, b"probe/probe"
    cleaned_at_once(kafka)
    send(kafka, probe, b"first")
    small.object(*FREEZE, "--name", "between")
    send(kafka, probe, b"second")
    small.object(*FREEZE, "--name", "behind")  # another segment: the one that is open is not cleaned
    before = {key: value for key, value in raw_editions(small) if key != probe}
    assert len(before) >= 3

    def cleaned() -> bool:
        return [value for key, value in raw_editions(small) if key == probe] == [b"second"]

    eventually(cleaned, 90)
    after = raw_editions(small)
    assert len(after) == len(before) + 1
    assert {key: value for key, value in after if key != probe} == before


def raw_editions(small: Small) -> list[tuple[bytes, bytes]]:
    """The records of the system's partition, committed, as they stand in the log."""
    where = (EDITIONS, partition_of(SYSTEM))
    found = read_to(small.servers.kafka, high_watermarks(small.servers.kafka, [where]))
    return [(message.key() or b"", message.value() or b"") for message in found]  # type: ignore[misc]


def send(kafka: str, key: bytes, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(EDITIONS, value, key, partition_of(SYSTEM))
    assert producer.flush(STILL_S) == 0


def cleaned_at_once(kafka: str) -> None:
    """Let every record begin a segment, and the cleaner take all but the last."""
    admin = AdminClient({"bootstrap.servers": kafka})
    settings = {"segment.ms": "100", "min.cleanable.dirty.ratio": "0.0", "max.compaction.lag.ms": "100"}
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in settings.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, EDITIONS, incremental_configs=entries)
    for future in admin.incremental_alter_configs([resource]).values():
        future.result()
