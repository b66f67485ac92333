"""A real run, scraped: every metric of docs/metrics.md is there, and says what Kafka and Redis say."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from itertools import product

import pytest
from confluent_kafka import Message, Producer

from index.catalogue import Catalogue
from stream.published import read_back
from stream.tail import high_watermarks, read_to
from stream.topics import DELTAS, EVENTS, RANKINGS, REVISIONS, UPDATES, partition_of
from tests.waiting import eventually
from tests.workers.desk import PARTITIONS, STILL_S, Desk, event
from tests.workers.scraped import Described, Scrape, documented
from workers.local.ports import free_port

pytestmark = pytest.mark.servers

SYSTEM = "dti-2023"
FIELDS = (
    ("cloud-a", "dti.cloud", "retail"),
    ("cloud-a", "dti.ai", "retail"),
    ("pay-a", "dti.payment", "retail"),
    ("pay-a", "dti.ecommerce", ...),
    ("media-a", "dti.entertainment", ...),
    ("trade-a", "dti.procurement", ...),
)
CITIES = {"330100": 1, "330200": -1, "110000": 0}  # which way it goes
GROWING = {"2021-01-05": 0.0, "2022-10-05": 0.0, "2023-01-05": 5.0}
QUARTER = "2023Q1"


class Run:
    """Both workers, and what was sent."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.outcomes, self.reasons = desk, Counter[str](), Counter[str]()
        self.sources: Counter[tuple[str, str]] = Counter()
        self.events = 0

    def start(self) -> None:
        self.desk.start("ingest")
        self.desk.ready("ingest")
        self.desk.ports["index"] = free_port()
        self.desk.crew.start("index", "index", env={"TIDEWATCH_HTTP_PORT": str(self.desk.ports["index"])})
        eventually(lambda: self.desk.lines("index", "running"), STILL_S, lambda: self.desk.crew.log("index"))

    def send(self, partition: int, label: str, source: str, outcome: str, *values: bytes, reason: str = "") -> None:
        """Messages of one event each, all of one fate."""
        self.desk.send(values, partition=partition)
        self.outcomes[outcome] += len(values)
        self.sources[label, outcome] += len(values)
        if reason:
            self.reasons[reason] += len(values)

    def scrape(self, name: str) -> Scrape:
        return Scrape.of(self.desk.ports[name])

    def published(self) -> None:
        """The index worker has published all that was sent, and knows that it has."""
        self.desk.passed()
        ends = high_watermarks(self.desk.servers.kafka, [(EVENTS, p) for p in range(PARTITIONS)])

        def look() -> bool:
            seen = self.scrape("index")
            known = seen.by("tidewatch_index_end_offset", "partition")
            reached = {(EVENTS, int(p)): int(end) for p, end in known.items()} == ends
            return reached and seen.total("tidewatch_index_lag_messages") == 0

        eventually(look, STILL_S, lambda: self.desk.crew.log("index")[-2000:])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with Desk(tmp_path_factory.mktemp("metrics")) as desk:
        run = Run(desk)
        run.start()
        for seq, (city, (start, change)) in enumerate(product(CITIES.items(), GROWING.items()), 1):
            for source, indicator, industry in FIELDS:
                grown = 100.0 + change * city[1]
                sent = event(source=source, seq=seq * 10 + len(indicator), city=city[0], at=f"{start}T08:00:00+08:00",
                             indicator=indicator, industry=industry, value=grown)  # fmt: skip
                run.send(0, f"{source[:-1]}*", source, "accepted", sent)
        run.send(0, "other", "desk", "accepted", *(event(seq=i) for i in range(1, 6)))
        run.send(0, "other", "desk", "duplicate", event(seq=1), event(seq=2))
        run.send(1, "other", "desk", "rejected", event(seq=1, city="?"), reason="unknown-city")
        run.send(1, "cloud-*", "cloud-a", "rejected", event(source="cloud-a", seq=1), reason="not-allowed")
        run.send(1, "unreadable", "", "rejected", b"x", b"[1]", reason="malformed")
        run.send(1, "dlq/*", "dlq/0", "accepted", event(source="dlq/0", seq=7))
        # An array: four events in one message, of three fates.
        whole = [event(seq=i) for i in (50, 51, 51)] + [event(seq=60, value=0.001)]
        desk.send([b"[" + b",".join(whole) + b"]"], partition=1)
        run.outcomes.update(accepted=2, duplicate=1, rejected=1)
        run.reasons["too-precise"] += 1
        for outcome, n in (("accepted", 2), ("duplicate", 1), ("rejected", 1)):
            run.sources["other", outcome] += n
        run.published()
        yield run


def test_what_the_ingest_worker_counts(run: Run):
    seen, stored = run.scrape("ingest"), run.desk.counts()
    rejected = {name.removeprefix("rejected:"): n for name, n in stored.items() if name.startswith("rejected:")}
    assert rejected == run.reasons
    assert seen.by("tidewatch_ingest_events_total", "outcome") == run.outcomes
    assert seen.by("tidewatch_ingest_stored_events", "outcome") == run.outcomes
    assert run.outcomes == {
        "accepted": stored["accepted"], "duplicate": stored["duplicate"], "rejected": sum(rejected.values()),
    }  # fmt: skip
    assert seen.by("tidewatch_ingest_rejects_total", "reason") == run.reasons
    sources = {
        (dict(labels)["source"], dict(labels)["outcome"]): n
        for labels, n in seen.samples["tidewatch_ingest_source_events_total"].items()
    }
    assert sources == run.sources
    assert seen.total("tidewatch_ingest_dead_letters_total") == len(run.desk.letters()) == run.outcomes["rejected"]
    assert seen.total("tidewatch_ingest_batch_events_sum") == run.outcomes.total()
    flushes = seen.total("tidewatch_ingest_batch_events_count")
    assert flushes == seen.total("tidewatch_ingest_flush_seconds_count") >= PARTITIONS
    assert 0 < seen.total("tidewatch_ingest_flush_seconds_sum") < STILL_S
    assert 0 < seen.total("tidewatch_ingest_latency_seconds_sum") < STILL_S * flushes
    rows = {key for key in run.desk.redis.keys("{tw:*") if ":cells:" in key or ":days:" in key}
    assert seen.total("tidewatch_ingest_rows_total") >= len(rows)
    assert seen.total("tidewatch_ingest_written_bytes_total") > 100 * flushes


def test_how_partitions_stand(run: Run):
    def look() -> Scrape | None:
        seen = run.scrape("ingest")
        ends = [seen.value("tidewatch_ingest_end_offset", partition=str(p)) for p in range(PARTITIONS)]
        return seen if ends == [run.desk.sent[p] for p in range(PARTITIONS)] else None

    seen = eventually(look, STILL_S)
    for p in range(PARTITIONS):
        meta = run.desk.redis.hgetall(f"{{tw:{p}}}:meta")
        assert seen.value("tidewatch_ingest_offset", partition=str(p)) == int(meta["offset"])
        assert seen.value("tidewatch_ingest_lag_messages", partition=str(p)) == 0
        assert seen.value("tidewatch_ingest_lag_seconds", partition=str(p)) == 0
        assert seen.value("tidewatch_ingest_acquires_total", partition=str(p)) == 1
        assert seen.value("tidewatch_ingest_catalogue_version", partition=str(p)) == int(meta["catalogue"])
        watermark = seen.value("tidewatch_ingest_watermark_timestamp_seconds", partition=str(p))
        assert watermark == int(meta["watermark"]) / 1e6
        # It is idle, and Kafka says so: that is progress.
        moved = seen.value("tidewatch_ingest_progress_timestamp_seconds", partition=str(p))
        eventually(
            lambda p=p, moved=moved: (
                run.scrape("ingest").value("tidewatch_ingest_progress_timestamp_seconds", partition=str(p)) > moved
            ),
            STILL_S,
        )


def read(desk: Desk, topic: str) -> list[Message]:
    where = [(topic, partition_of(SYSTEM))]
    return list(read_to(desk.servers.kafka, high_watermarks(desk.servers.kafka, where)))


def test_what_the_index_worker_counts(run: Run):
    seen = run.scrape("index")
    revisions = read(run.desk, REVISIONS)
    last = read_back(run.desk.servers.kafka, SYSTEM)
    assert last.revision is not None
    assert seen.value("tidewatch_index_revision", system=SYSTEM) == last.revision.revision == len(revisions)
    assert seen.total("tidewatch_index_revisions_total") == len(revisions)
    assert seen.value("tidewatch_index_revisions_total", system=SYSTEM, reason="start") == 1
    assert abs(seen.total("tidewatch_index_revision_timestamp_seconds") - revisions[-1].timestamp()[1] / 1000) < 2
    for topic in (UPDATES, DELTAS, RANKINGS):
        written = [message for message in read(run.desk, topic) if message.value() is not None]
        assert seen.value("tidewatch_index_records_total", system=SYSTEM, topic=topic) == len(written), topic
    for name in ("diff", "transaction", "latency"):
        assert seen.value(f"tidewatch_index_{name}_seconds_count", system=SYSTEM) >= len(revisions) - 1
    assert seen.value("tidewatch_index_moved_rows_total", system=SYSTEM) > 0
    assert seen.by("tidewatch_index_published_events", "outcome") == run.outcomes
    assert seen.by("tidewatch_index_applied_offset", "partition") == {str(p): run.desk.sent[p] for p in run.desk.sent}
    assert seen.value("tidewatch_index_watermark_timestamp_seconds", system=SYSTEM) == last.revision.watermark / 1e6
    assert seen.value("tidewatch_index_definition_version", system=SYSTEM) == last.revision.definition
    assert seen.value("tidewatch_index_catalogue_version") == last.revision.catalogue
    assert seen.value("tidewatch_index_running", system=SYSTEM) == 1
    assert seen.value("tidewatch_index_lag_seconds", system=SYSTEM) == 0


def test_how_the_index_moves(run: Run):
    seen, updates = run.scrape("index"), read_back(run.desk.servers.kafka, SYSTEM).updates
    cities = set(Catalogue.load(run.desk.settings.catalogue).cities)
    latest = {u.entity: u for u in updates.values() if u.period == QUARTER}
    assert seen.value("tidewatch_index_value", system=SYSTEM, grain="quarter") == latest["nation:CN"].value
    held = {entity: update for entity, update in latest.items() if entity in cities and update.value is not None}
    moves = seen.by("tidewatch_index_entities", "move")
    of_quarter = {
        dict(labels)["move"]: n
        for labels, n in seen.samples["tidewatch_index_entities"].items()
        if ("grain", "quarter") in labels
    }
    assert sum(of_quarter.values()) == len(cities)
    assert of_quarter["missing"] == len(cities) - len(held)
    assert set(moves) == {"rising", "falling", "still", "unknown", "missing"}
    growth = latest["nation:CN"].growth["to_date"]
    assert growth is not None
    assert seen.value("tidewatch_index_growth_ratio", system=SYSTEM, grain="quarter") == growth
    assert (of_quarter["rising"], of_quarter["falling"], of_quarter["still"]) == (1, 1, 1)
    coverage = sum(u.coverage for e, u in latest.items() if e in cities) / len(cities)
    assert seen.value("tidewatch_index_coverage_ratio", system=SYSTEM, grain="quarter") == pytest.approx(coverage)


def test_what_redis_holds(run: Run):
    def look() -> Scrape | None:
        seen = run.scrape("index")
        held = {str(p): float(run.desk.redis.hget(f"{{tw:{p}}}:meta", "feed_bytes")) for p in range(PARTITIONS)}
        return seen if seen.by("tidewatch_redis_feed_bytes", "partition") == held else None

    seen, info = eventually(look, STILL_S), run.desk.redis.info()
    assert seen.total("tidewatch_redis_memory_limit_bytes") == info["maxmemory"]
    assert seen.total("tidewatch_redis_memory_bytes") == pytest.approx(info["used_memory"], rel=0.5)
    assert seen.total("tidewatch_redis_persistence_ok") == 1
    assert seen.total("tidewatch_redis_aof_bytes") > 0


def test_a_log_that_ends_with_the_marker_of_a_transaction_has_no_lag(run: Run):
    """A marker has an offset and is never read."""
    source = Producer({"bootstrap.servers": run.desk.servers.kafka, "transactional.id": "a-source"})
    source.init_transactions(30)
    source.begin_transaction()
    for partition in range(PARTITIONS):
        source.produce(EVENTS, event(source="in-transaction", seq=1), partition=partition)
        run.outcomes["accepted"] += 1
        run.sources["other", "accepted"] += 1
    source.commit_transaction(30)
    eventually(lambda: run.desk.counts()["accepted"] == run.outcomes["accepted"], STILL_S)
    ends = high_watermarks(run.desk.servers.kafka, [(EVENTS, p) for p in range(PARTITIONS)])
    assert {p: run.desk.offset(p) for p in range(PARTITIONS)} == {p: ends[EVENTS, p] - 1 for p in range(PARTITIONS)}
    for name, of in (("ingest", "partition"), ("index", "system")):

        def look(name: str = name, of: str = of) -> bool:
            seen = run.scrape(name)
            offsets = run.scrape("index").by("tidewatch_index_applied_offset", "partition")
            known = seen.by(f"tidewatch_{name}_end_offset", "partition")
            lags = seen.by(f"tidewatch_{name}_lag_seconds", of)
            return known == offsets and set(lags.values()) == {0.0}

        eventually(look, STILL_S, lambda name=name: run.scrape(name).samples)
    for p in range(PARTITIONS):
        run.desk.sent[p] = ends[EVENTS, p] - 1  # what can be passed


def test_refusals_gaps_and_waits(run: Run):
    """Another owner, a Redis that went back, a feed that was trimmed, a Redis that refuses: each is counted once."""
    desk, redis = run.desk, run.desk.redis
    redis.hset("{tw:0}:meta", "epoch", "somebody else")
    eventually(lambda: run.scrape("ingest").value(
        "tidewatch_ingest_refused_total", partition="0", reason="fenced") == 1, STILL_S)  # fmt: skip
    back = desk.offset(1) - 1
    redis.hset("{tw:1}:meta", "offset", back)
    redis.delete("{tw:1}:changes", "{tw:1}:sizes")
    eventually(lambda: run.scrape("ingest").value(
        "tidewatch_ingest_refused_total", partition="1", reason="rewound") == 1, STILL_S)  # fmt: skip
    eventually(lambda: desk.offset(1) > back, STILL_S)
    worker = desk.crew.workers["index"]
    os.kill(worker.pid, signal.SIGSTOP)
    for seq in (1, 2, 3):
        desk.send([event(source="gap", seq=seq)])
        desk.passed()
    redis.xtrim("{tw:0}:changes", maxlen=1, approximate=False)
    os.kill(worker.pid, signal.SIGCONT)
    eventually(lambda: run.scrape("index").value("tidewatch_index_feed_loads_total", partition="0") == 1, STILL_S)
    redis.config_set("maxmemory", 1)
    try:
        desk.send([event(source="gap", seq=4)])
        desk.not_ready("ingest", "Redis")
        seen = run.scrape("ingest")
        assert seen.value("tidewatch_server_waiting", server="Redis") == 1
        assert seen.value("tidewatch_server_waits_total", server="Redis") == 1
        assert seen.value("tidewatch_worker_ready") == 0
        stuck = seen.value("tidewatch_ingest_progress_timestamp_seconds", partition="0")
        later = eventually(lambda: (s := run.scrape("ingest")).value(
            "tidewatch_ingest_lag_messages", partition="0") == 1 and s, STILL_S)  # fmt: skip
        assert later.value("tidewatch_ingest_progress_timestamp_seconds", partition="0") == stuck, "it is stuck"
        eventually(lambda: run.scrape("ingest").value("tidewatch_ingest_lag_seconds", partition="0") > 1, STILL_S)
    finally:
        redis.config_set("maxmemory", 0)
    desk.passed()
    eventually(lambda: run.scrape("ingest").value("tidewatch_worker_ready") == 1, STILL_S)


def test_the_document_and_the_workers_name_the_same(run: Run):
    """Names, types and labels; and by now every one of them has a sample somewhere."""
    said = documented()
    for name, section in (("ingest", "Ingest worker"), ("index", "Index worker")):
        wanted = said["Every worker"] | said[section]
        seen = run.scrape(name)
        assert {n: seen.types[n] for n in sorted(seen.types)} == {n: wanted[n].type for n in sorted(wanted)}
        without = {"tidewatch_server_waits_total"} if name == "index" else set()  # it never waited
        for metric, described in wanted.items():
            if metric not in without:
                assert seen.labels(metric) == {described.labels}, metric
    assert all(metric.startswith("tidewatch_alerts_") for metric in said["Alert worker"])
    assert all(isinstance(d, Described) and d.type in ("counter", "gauge", "histogram")
               for metrics in said.values() for d in metrics.values())  # fmt: skip


def test_counts_of_the_process_begin_anew_and_those_of_the_log_do_not(run: Run):
    stored = run.desk.counts()
    assert run.desk.end("ingest") == 0
    run.desk.start("ingest")
    run.desk.ready("ingest")
    run.desk.send([event(source="again", seq=1)])
    run.desk.passed()
    began = time.monotonic()
    seen = eventually(lambda: (s := run.scrape("ingest")).total("tidewatch_ingest_events_total") and s, STILL_S)
    assert seen.by("tidewatch_ingest_events_total", "outcome") == {"accepted": 1}
    assert seen.by("tidewatch_ingest_stored_events", "outcome")["accepted"] == stored["accepted"] + 1
    assert time.monotonic() - began < STILL_S
