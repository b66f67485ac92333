"""`tidewatch verify` on a real Kafka and a real Redis: it finds nothing where all is well, and names each planted
fault.

What is verified is written by `World`, a publisher of a few dozen lines for three cities and closed quarters, which
shares no code with the engine nor with verify.
"""

import itertools
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
import redis
from confluent_kafka import Producer

from stream.topics import CONTROL, DELTAS, EVENTS, RANKINGS, REVISIONS, UPDATES, ensure_topics
from tests.workers.test_verify_data import catalogue, catalogue_record, us
from workers.local import Servers
from workers.local.servers import to_stderr
from workers.verify import Report, VerifyError, total, verify, verify_all

# index = 0.25 * pay + 0.75 * run
DEFINITION = """
system = "{system}"
version = 3
title = "planted"
base = "2021Q1"
scale = 100
grains = ["quarter"]
groups = ["area"]
min_coverage = 0.5
renormalise = true
[tree]
children = ["pay", "run"]
weights = [0.25, 0.75]
[[ranking]]
name = "cities"
rows = "city"
measure = "value"
[[ranking]]
name = "within"
rows = "city"
scope = "area"
measure = "pop"
"""
# city, indicator/industry, value, local date; all of them good
EVENTS_OF = [
    ("a", "pay/food", 10.25, "2021-01-02"),
    ("b", "pay/food", 20.0, "2021-01-02"),
    ("a", "run/all", 7, "2021-02-02"),
    ("b", "run/all", 3, "2021-03-02"),
    ("a", "pay/toys", 33.33, "2021-04-02"),
    ("b", "run/all", 15, "2021-04-02"),
    ("a", "run/all", 1, "2021-04-02"),
    ("c", "run/all", 9, "2021-05-02"),
    ("c", "run/all", -2, "2021-05-02"),
    ("c", "cap/all", 5, "2021-05-03"),
]
QUARTER = {"2021-01": "2021Q1", "2021-02": "2021Q1", "2021-03": "2021Q1", "2021-04": "2021Q2", "2021-05": "2021Q2"}
DECIMALS = {"pay": 2, "run": 0, "cap": 1}
MEMBERS = {"a": ["a"], "b": ["b"], "c": ["c"], "area:ab": ["a", "b"]}


class World:
    """Two partitions (c has one of its own), the log, Redis, and what a system publishes of them."""

    def __init__(self, kafka: str, redis_url: str) -> None:
        self.kafka, self.redis_url = kafka, redis_url
        self.redis = redis.Redis.from_url(redis_url, decode_responses=True)
        self.producer = Producer({"bootstrap.servers": kafka, "linger.ms": 0})
        ensure_topics(kafka, 2)
        self.cells: dict[tuple[str, str, str], int] = defaultdict(int)
        self.days: dict[tuple[str, str, str], int] = defaultdict(int)
        self.levels: dict[str, str] = {}
        self.counts: list[dict[str, int]] = [defaultdict(int), defaultdict(int)]
        self.top: dict[int, int] = {}
        self.next = [0, 0]
        self.watermark: list[int | None] = [None, None]
        self.systems = itertools.count(1)
        for partition in (0, 1):
            self.append(partition, catalogue_record(window=64), b"catalogue")
        for city, what, value, date in EVENTS_OF:
            self.apply(city, what, value, date)
        # Moves both watermarks far on, so that all quarters are closed, and opens no quarter of its own.
        for city in ("a", "c"):
            self.apply(city, "run/all", 2, "2021-12-31", period="2021Q2")
        for value, outcome in ((self.last[1], "duplicate"), (b"{", "rejected:malformed")):
            self.append(1, value)
            self.counts[1][outcome] += 1
        self.write()

    def append(self, partition: int, value: bytes, key: bytes | None = None) -> None:
        self.producer.produce(EVENTS, value, key, partition)
        self.producer.flush()
        self.next[partition] += 1

    def event(self, city: str, what: str, value: float, date: str, period: str | None = None) -> bytes:
        """The next event of a city's source: appended to the log, but not applied."""
        indicator, industry = what.split("/")
        partition = 1 if city == "c" else 0
        seq = self.top[partition] = self.top.get(partition, -1) + 1
        event = {"source": "s", "seq": seq, "city": city, "indicator": indicator, "industry": industry, "value": value}
        event |= {"op": "set" if indicator == "cap" else "add", "at": f"{date}T00:00:00+08:00", "period": period}
        self.last = partition, json.dumps(event).encode()
        self.append(*self.last)
        return self.last[1]

    def apply(self, city: str, what: str, value: float, date: str, period: str | None = None) -> None:
        self.event(city, what, value, date, period)
        partition, at = self.last[0], us(f"{date}T00:00:00+08:00")
        self.counts[partition]["accepted"] += 1
        self.watermark[partition] = max(at, self.watermark[partition] or at)
        indicator = what.split("/")[0]
        s = round(value * 10 ** DECIMALS[indicator])
        if indicator == "cap":
            self.levels[city] = f"{s} {at} {self.top[partition]} s"
        self.cells[period or date[:7], city, what] += s
        if period is None and indicator != "cap":
            self.days[date, city, indicator] += s

    def write(self) -> None:
        """Redis as the ingest workers would leave it."""
        self.redis.flushdb()
        for partition in (0, 1):
            tag = f"{{tw:{partition}}}:"
            meta = {"offset": self.next[partition], "catalogue": 1, "schema": 1, "epoch": "x"}
            self.redis.hset(f"{tag}meta", mapping={**meta, "watermark": self.watermark[partition]})
            self.redis.hset(f"{tag}counts", mapping=dict(self.counts[partition]))
            self.redis.set(f"{tag}catalogue", json.dumps(catalogue()))
            top = self.top[partition]
            self.redis.hset(f"{tag}seq", "s", f"{top}:{2 ** (top + 1) - 1:x}")
        for (period, city, what), s in self.cells.items():
            text = self.levels[city] if what == "cap/all" else str(s)
            self._row(city, f"cells:{period}:{city}", what, text)
        for (date, city, indicator), s in self.days.items():
            self._row(city, f"days:{date[:7]}:{city}", f"{indicator}@{date}", str(s))

    def _row(self, city: str, row: str, name: str, text: str) -> None:
        tag = "{tw:1}:" if city == "c" else "{tw:0}:"
        self.redis.hset(tag + row, name, text)
        self.redis.sadd(f"{tag}rows", row)

    # --- what a system publishes -------------------------------------------------------------------------------------

    def send(self, topic: str, key: str, value: dict[str, Any] | None) -> None:
        partition = crc32(self.system.encode()) % 4
        self.producer.produce(topic, None if value is None else json.dumps(value), f"{self.system}/{key}", partition)
        self.producer.flush()

    def publish(self) -> None:
        """A new system: its definition, two revisions, of which the first ranks `cities` otherwise, and all values."""
        self.system = f"planted-{next(self.systems)}"
        text = DEFINITION.format(system=self.system)
        self.send(CONTROL, "3", {"schema": 1, "system": self.system, "version": 3, "definition": text})
        self.send(CONTROL, "active", {"schema": 1, "system": self.system, "version": 3})
        for entity, period in itertools.product(MEMBERS, ("2021Q1", "2021Q2")):
            self.update(entity, period)
        self.table("cities", "2021Q1", None)
        self.table("within", "2021Q1", "area:ab")
        self.table("within", "2021Q2", "area:ab")
        entities, ranks, values = self.rows("cities", "2021Q2")[:3]
        # From nothing to c, a by revision 1; then b comes in between them.
        assert (entities, ranks) == (["b", "c", "a"], [1, 2, 3])
        first = {"entity": ["c", "a"], "was": [None, None], "rank": [1, 2], "value": values[1:]}
        self.first_rows = {"entity": ["c", "a"], "rank": [1, 2], "value": values[1:], "change": [None] * 2}
        self.first_rows["change_year"] = [None] * 2
        second = {"entity": ["b"], "was": [None], "rank": [1], "value": values[:1]}
        self.delta("cities", "2021Q2", None, 1, first, [])
        self.delta("cities", "2021Q2", None, 2, second, [[1, 2, 1]])
        self.table("cities", "2021Q2", None)
        self.revision(1)
        self.revision(2)

    def amount(self, entity: str, period: str, indicator: str) -> int | None:
        found = [
            s
            for (cell, city, what), s in self.cells.items()
            if what.startswith(indicator) and city in MEMBERS[entity] and QUARTER.get(cell, cell) == period
        ]
        return sum(found) if found else None

    def scores(self, entity: str, period: str) -> dict[str, float | None]:
        found = {}
        for indicator in ("pay", "run"):
            x, base = self.amount(entity, period, indicator), self.amount("area:ab", "2021Q1", indicator)
            assert base
            found[indicator] = None if x is None else (x / base) * 100.0
        return found

    def value(self, entity: str, period: str) -> tuple[float | None, float]:
        """Value and coverage: with pay alone, 0.25, it is missing; with run alone it is run."""
        pay, run = self.scores(entity, period).values()
        if run is None:
            return None, 0.25 * (pay is not None)
        return (0.75 * run / 0.75, 0.75) if pay is None else (0.25 * pay + 0.75 * run, 1.0)

    def pop(self, entity: str, period: str) -> tuple[float | None, str | None]:
        v, before = self.value(entity, period)[0], self.value(entity, "2021Q1")[0] if period == "2021Q2" else None
        if v is None:
            return None, "no-value"
        return (None, "no-predecessor") if before is None else (v / before - 1.0, None)

    def update(self, entity: str, period: str, key: str | None = None, **fault: Any) -> None:
        value, coverage = self.value(entity, period)
        if value is None:
            return  # c in 2021Q1 has no data at all
        pop, pop_why = self.pop(entity, period)
        why = {"pop": pop_why, "yoy": "no-predecessor", "mean_yoy": "outside-span", "to_date": "closed"}
        update = {
            "schema": 1,
            "system": self.system,
            "entity": entity,
            "kind": "city" if len(entity) == 1 else "area",
            "period": period,
            "revision": 1,
            "definition": 3,
            "status": "final",
            "value": value,
            "coverage": coverage,
            "nodes": self.scores(entity, period),
            "growth": {"pop": pop, "yoy": None, "mean_yoy": None, "to_date": None},
            "days": None,
            "why": {measure: reason for measure, reason in why.items() if reason},
        }
        self.send(UPDATES, key or f"{entity}/{period}", {**update, **fault})

    def nothing(self) -> dict[str, Any]:
        return {"entity": [], "was": [], "rank": [], "value": []}

    def rows(self, ranking: str, period: str) -> tuple[list[str], list[int], list[float], list[int | None]]:
        measured = {}
        for city in ("a", "b", "c") if ranking == "cities" else ("a", "b"):
            v = self.value(city, period)[0] if ranking == "cities" else self.pop(city, period)[0]
            if v is not None:
                measured[city] = v
        ranks = {city: 1 + sum(other > v for other in measured.values()) for city, v in measured.items()}
        before: dict[str, int] = {}
        if period == "2021Q2":
            earlier = self.rows(ranking, "2021Q1")
            before = dict(zip(earlier[0], earlier[1], strict=True))
        cities = sorted(measured, key=lambda city: (ranks[city], city))
        changes = [before[city] - ranks[city] if city in before else None for city in cities]
        return cities, [ranks[city] for city in cities], [measured[city] for city in cities], changes

    def table(self, ranking: str, period: str, scope: str | None, **fault: Any) -> None:
        columns = dict(zip(("entity", "rank", "value", "change"), self.rows(ranking, period), strict=True))
        left = [c for c in (("a", "b", "c") if scope is None else ("a", "b")) if c not in columns["entity"]]
        reasons = ["no-data" if ranking == "cities" else self.pop(city, period)[1] for city in left]
        table = {
            "schema": 1,
            "system": self.system,
            "ranking": ranking,
            "period": period,
            "scope": scope,
            "revision": 2,
            "measure": "value" if ranking == "cities" else "pop",
            "node": "index",
            # Both quarters are of one year: nothing was there a year before.
            "rows": {**columns, "change_year": [None] * len(columns["entity"]), **fault.pop("rows", {})},
            "left_out": {"entity": left, "reason": reasons},
        }
        self.send(RANKINGS, "/".join(filter(None, (ranking, period, scope))), {**table, **fault})
        if (ranking, period) != ("cities", "2021Q2"):
            moved = {"entity": columns["entity"], "was": [None] * len(columns["entity"])}
            self.delta(ranking, period, scope, 1, {**moved, "rank": columns["rank"], "value": columns["value"]}, [])

    def delta(
        self, ranking: str, period: str, scope: str | None, revision: int, moved: dict[str, Any], shifted: list[Any]
    ) -> None:
        size = 3 if revision == 2 else len(moved["entity"])
        delta = {"ranking": ranking, "period": period, "scope": scope, "revision": revision, "size": size}
        delta |= {"schema": 1, "system": self.system, "moved": moved, "shifted": shifted}
        self.send(DELTAS, "/".join(filter(None, (ranking, period, scope))), delta)

    def revision(self, number: int, **fault: Any) -> None:
        counts: dict[str, int] = defaultdict(int)
        for each in self.counts:
            for name, n in each.items():
                counts[name] += n
        revision = {
            "schema": 1,
            "system": self.system,
            "revision": number,
            "definition": 3,
            "catalogue": 1,
            "reason": "feed",
            "offsets": {"0": self.next[0], "1": self.next[1]},
            "watermark": min(each for each in self.watermark if each is not None),
            "counts": {
                "accepted": counts["accepted"],
                "duplicate": counts["duplicate"],
                "rejected": {n.split(":")[1]: counts[n] for n in counts if n.startswith("rejected:")},
            },
            "updates": 8,
            "deltas": 5,
            "tables": 4,
        }
        self.send(REVISIONS, str(number % 1000), {**revision, **fault})

    def verify(self, **options: Any) -> Report:
        return verify(self.kafka, self.redis_url, self.system, rest_s=0, **options)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Servers of this module's own: the log and Redis must hold nothing but what is verified."""
    with (
        tempfile.TemporaryDirectory(prefix="tidewatch-planted-", ignore_cleanup_errors=True) as folder,
        Servers(Path(folder), progress=to_stderr) as both,
    ):
        yield both


@pytest.fixture(scope="module")
def world_of(servers: Servers) -> World:
    return World(servers.kafka, servers.redis)


@pytest.fixture
def world(servers: Servers, world_of: World) -> World:
    """The world, whole, with a system that has just published."""
    world_of.write()
    world_of.publish()
    return world_of


def found(report: Report) -> set[tuple[str, str]]:
    return {(each.kind, each.key) for each in report.differences}


def test_nothing_is_found_where_all_is_well(world: World) -> None:
    report = world.verify()
    assert not report.differences
    assert report.ok
    summary = report.to_json()
    assert summary["differences"] == 0
    assert summary["counts"] == {"accepted": 12, "duplicate": 1, "rejected:malformed": 1}
    assert (summary["events"], summary["revision"]) == (14, 2)
    # 7 (entity, period), each with its value and two leaves; c has nothing in 2021Q1
    assert (summary["cells"], summary["days"], summary["values"], summary["tables"]) == (11, 8, 21, 4)


def test_no_revision_yet_is_an_error(world: World) -> None:
    world.system = "nobody"
    with pytest.raises(VerifyError, match="nobody has published no revision yet"):
        world.verify()


REDIS: list[tuple[str, Callable[[redis.Redis], Any], set[tuple[str, str]]]] = [
    (
        "wrong cell",
        lambda r: r.hset("{tw:0}:cells:2021-01:a", "pay/food", 1026),
        {("cell", "partition 0 cells:2021-01:a pay/food")},
    ),
    (
        "missing cell",
        lambda r: r.hdel("{tw:1}:cells:2021-05:c", "run/all"),
        {("cell", "partition 1 cells:2021-05:c run/all")},
    ),
    (
        "cell too many",
        lambda r: r.hset("{tw:1}:cells:2021-05:c", "pay/food", 0),
        {("cell", "partition 1 cells:2021-05:c pay/food")},
    ),
    (
        "row that is not listed",
        lambda r: r.srem("{tw:0}:rows", "days:2021-02:a"),
        {("day", "partition 0 days:2021-02:a run@2021-02-02")},
    ),
    (
        "wrong stock",
        lambda r: r.hset("{tw:1}:cells:2021-05:c", "cap/all", "50 1 2 s"),
        {("cell", "partition 1 cells:2021-05:c cap/all")},
    ),
    (
        "wrong day",
        lambda r: r.hincrby("{tw:0}:days:2021-01:b", "pay@2021-01-02", 1),
        {("day", "partition 0 days:2021-01:b pay@2021-01-02")},
    ),
    (
        "wrong count",
        lambda r: r.hincrby("{tw:1}:counts", "rejected:malformed", 1),
        {("count", "partition 1 rejected:malformed")},
    ),
    ("wrong window", lambda r: r.hset("{tw:1}:seq", "s", "3:7"), {("window", "partition 1 s")}),
    ("wrong watermark", lambda r: r.hdel("{tw:1}:meta", "watermark"), {("watermark", "partition 1")}),
]


@pytest.mark.parametrize(("plant", "named"), [each[1:] for each in REDIS], ids=[each[0] for each in REDIS])
def test_fault_in_redis(world: World, plant: Callable[[redis.Redis], Any], named: set[tuple[str, str]]) -> None:
    plant(world.redis)
    assert found(world.verify()) == named


# What a system published last, spoilt.
TOPICS: list[tuple[str, Callable[[World], None], set[tuple[str, str]]]] = [
    ("wrong in the last bit", lambda w: w.update("b", "2021Q2", value=150.00000000000003), {("value", "b/2021Q2")}),
    ("missing value", lambda w: w.send(UPDATES, "area:ab/2021Q2", None), {("value", "area:ab/2021Q2")}),
    ("value too many", lambda w: w.update("a", "2021Q1", key="a/2021Q3"), {("value", "a/2021Q3")}),
    ("wrong leaf", lambda w: w.update("c", "2021Q2", nodes={"pay": 0.0, "run": 90.0}), {("node", "c/2021Q2 pay")}),
    ("wrong coverage", lambda w: w.update("c", "2021Q2", coverage=1.0), {("coverage", "c/2021Q2")}),
    ("wrong status", lambda w: w.update("a", "2021Q1", status="provisional"), {("status", "a/2021Q1")}),
    ("wrong days", lambda w: w.update("a", "2021Q1", days=4), {("days", "a/2021Q1")}),
    (
        "wrong growth",
        lambda w: w.update("a", "2021Q1", growth={"pop": -0.0, "yoy": None, "mean_yoy": None, "to_date": None}),
        {("growth", "a/2021Q1 pop")},
    ),
    (
        "wrong reason",
        lambda w: w.update("c", "2021Q2", why=dict.fromkeys(("value", "pop", "yoy", "to_date"), "no-predecessor")),
        {("reason", "c/2021Q2 value"), ("reason", "c/2021Q2 to_date"), ("reason", "c/2021Q2 mean_yoy")},
    ),
    (
        "wrong rank",
        lambda w: w.table("cities", "2021Q1", None, rows={"rank": [1, 1]}),
        {("rank", "cities/2021Q1 b rank")},
    ),
    (
        "wrong change",
        lambda w: w.table("cities", "2021Q2", None, rows={"change": [1, 0, 2]}),
        {("change", "cities/2021Q2 c")},
    ),
    (
        "wrong change from the year before",
        lambda w: w.table("cities", "2021Q2", None, rows={"change_year": [None, 0, None]}),
        {("change", "cities/2021Q2 c change_year")},
    ),
    (
        "left out for another reason",
        lambda w: w.table("within", "2021Q1", "area:ab", left_out={"entity": ["a", "b"], "reason": ["gap"] * 2}),
        {("left-out", "within/2021Q1/area:ab a"), ("left-out", "within/2021Q1/area:ab b")},
    ),
    (
        "a column that is too short",
        lambda w: w.table("cities", "2021Q2", None, rows={"rank": [1, 2]}),
        {("table", "cities/2021Q2")},
    ),
    ("missing table", lambda w: w.send(RANKINGS, "cities/2021Q2", None), {("table", "cities/2021Q2")}),
    (
        "a table that lags",
        lambda w: w.table("cities", "2021Q2", None, revision=1, rows=w.first_rows),
        {("table", "cities/2021Q2")},
    ),
    (
        "a delta with a wrong shift",
        lambda w: w.delta("cities", "2021Q2", None, 2, w.nothing(), [[2, 2, 1]]),
        {("delta", "cities/2021Q2 from all deltas c rank")},
    ),
    (
        "a revision twice",
        lambda w: w.revision(2),
        {("revision", "planted/2 of 2")},
    ),
    ("a revision skipped", lambda w: w.revision(4), {("revision", "number 3")}),
    ("wrong watermark", lambda w: w.revision(3, watermark=None), {("watermark", "revision 3")}),
]


@pytest.mark.parametrize(("plant", "named"), [each[1:] for each in TOPICS], ids=[each[0] for each in TOPICS])
def test_fault_on_a_topic(world: World, plant: Callable[[World], None], named: set[tuple[str, str]]) -> None:
    plant(world)
    differences = {(kind, key.replace(world.system, "planted")) for kind, key in found(world.verify())}
    assert named <= differences
    # a fault of a table shows in what its deltas make of it, too; nothing else may be named
    assert {kind for kind, _ in differences} == {kind for kind, _ in named}


def test_a_missing_event_and_a_doubled_one(world: World) -> None:
    """The log has one more event than what was applied; then it is applied twice."""
    world.event("b", "run/all", 4, "2021-04-05")
    world.write()
    world.publish()
    report = world.verify()
    cells = {"partition 0 cells:2021-04:b run/all", "partition 0 days:2021-04:b run@2021-04-05"}
    assert {each.key for each in report.differences if each.kind in ("cell", "day")} == cells
    assert {"count", "value", "rank"} <= report.found.keys()
    assert ("count", "revision 2 accepted") in found(report)

    accepted = world.counts[0]["accepted"]
    for applied, good in ((1, True), (2, False), (1, True)):
        world.cells["2021-04", "b", "run/all"] = 15 + 4 * applied
        world.days["2021-04-05", "b", "run"] = 4 * applied
        world.counts[0]["accepted"] = accepted + applied
        world.write()
        world.publish()
        report = world.verify()
        assert report.ok == good
        assert good or {"cell", "day", "count", "value", "node", "growth", "rank", "delta"} == set(report.found)


def test_all_systems_at_once(world: World) -> None:
    """The log is read once; every system is judged at its own last revision, and by itself."""
    behind = world.system
    world.apply("b", "run/all", 6, "2021-04-07")
    world.write()
    world.publish()
    world.update("c", "2021Q2", value=-1.0)
    lines: list[str] = []
    reports = verify_all(world.kafka, world.redis_url, [behind, world.system], rest_s=0, progress=lines.append)
    assert [report.system for report in reports] == [behind, world.system]
    assert reports[0].ok
    assert found(reports[1]) == {("value", "c/2021Q2")}
    assert reports[1].offsets[0] == reports[0].offsets[0] + 1
    assert sum("reading Redis" in line for line in lines) == 1
    summary = total(reports, 1.0)
    assert (summary["ok"], summary["differences"]) == (False, 1)
    assert [each["ok"] for each in summary["systems"]] == [True, False]


def test_no_system_named_means_all_that_published(world: World) -> None:
    systems = [report.system for report in verify_all(world.kafka, world.redis_url, rest_s=0)]
    assert world.system in systems
    assert systems == sorted(set(systems))
    assert len(systems) > 1


def test_redis_ahead_of_the_last_revision_is_no_difference(world: World) -> None:
    world.apply("c", "run/all", 1, "2021-05-09")
    world.write()
    report = world.verify()
    assert report.ok
    assert report.redis_offsets[1] == report.offsets[1] + 1


def test_redis_behind_the_last_revision(world: World) -> None:
    world.redis.hincrby("{tw:1}:meta", "offset", -1)
    report = world.verify(catch_up_s=0.3)
    assert ("redis-behind", "partition 1: next offset") in found(report)


def test_redis_that_does_not_answer(world: World) -> None:
    with pytest.raises(VerifyError, match="Redis"):
        verify(world.kafka, "redis://127.0.0.1:1/0", world.system, rest_s=0)
