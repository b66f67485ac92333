"""From an event's append to the alert on its topic, on real servers: the wall-clock part of `bench.alerts`.

Fresh servers, one ingest, one index and one alert worker. A feed with many planted drops is appended open-loop (the
schedule is the clock's), and an outside `read_committed` consumer notes when each revision and each alert is visible.
An alert is due to the first revision whose watermark reaches the moment it names; its delay counts from the append of
the OLDEST event that is new in that revision (so it is an upper bound for the event that set it off) to its arrival.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np
import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

from bench.common import SYSTEM, Bed, bed, load, note
from index.catalogue import Catalogue
from index.rules.rule import RESERVED
from stream.tail import high_watermarks
from stream.topics import ALERTS, EVENTS, REVISIONS, client_options, partition_of
from workers.drained import wait_until_drained
from workers.scenario import load as load_scenario
from workers.scenario.daily import Daily, daily
from workers.scenario.drops import draw
from workers.scenario.planted import Planted
from workers.scenario.planted_events import PlantedEvents
from workers.settings import Settings

PLANTS = {"city": 12, "province": 4, "indicator": 2, "still": 3}
FIRST_DAY, MEASURED_FROM, LAST_DAY = 90, 145, 300  # of the scenario: the base quarter lies before the first
MEASURED_S = 100.0  # at most: a slow feed ends before LAST_DAY
PARTITIONS = 4
FAST = 3.0  # how much faster the days before MEASURED_FROM are sent
STALLED_S = 60.0
SLICE = 16


@dataclass
class Seen:
    """Arrivals in the order of the topics: (time.time_ns, value)."""

    revisions: list[tuple[int, bytes]] = field(default_factory=list)
    alerts: list[tuple[int, bytes, bytes]] = field(default_factory=list)


class Observer:
    """The outside consumer, in a thread: takes the time of arrival, parses nothing before the end."""

    def __init__(self, kafka: str) -> None:
        """Begins at the present ends of the topics of the system."""
        where = [(topic, partition_of(SYSTEM)) for topic in (REVISIONS, ALERTS)]
        self._consumer = Consumer({
            **client_options(kafka), "group.id": "bench-alerts", "enable.auto.commit": False,
            "isolation.level": "read_committed", "fetch.wait.max.ms": 50, "fetch.queue.backoff.ms": 1,
            "auto.offset.reset": "error",
        })  # fmt: skip
        ends = high_watermarks(kafka, where)
        self._consumer.assign([TopicPartition(topic, p, ends[topic, p]) for topic, p in where])
        self.seen = Seen()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="observer", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ending.is_set():
            for message in self._consumer.consume(1_000, timeout=0.02):
                now = time.time_ns()
                value = message.value()
                if message.error() is not None or value is None:
                    continue
                if message.topic() == ALERTS:
                    self.seen.alerts.append((now, message.key() or b"", value))
                else:
                    self.seen.revisions.append((now, value))

    def stop(self) -> Seen:
        """End the thread."""
        self._ending.set()
        self._thread.join(5)
        self._consumer.close()
        return self.seen


class Feed:
    """An open-loop producer: when each message of each partition was handed to the client, in the order of the log."""

    def __init__(self, kafka: str) -> None:
        self.times = [array("q") for _ in range(PARTITIONS)]
        self._producer = Producer(
            {**client_options(kafka), "enable.idempotence": True, "linger.ms": 1,
             "queue.buffering.max.messages": 1_000_000, "delivery.report.only.error": True}
        )  # fmt: skip
        self._producer.list_topics(EVENTS, timeout=10)
        self.late_s = 0.0

    def send(self, messages: Sequence[tuple[bytes, bytes]], rate: float, due_s: float) -> float:
        """Send them at `rate` a second from `due_s` (time.monotonic) on; returns when the next is due."""
        for begin in range(0, len(messages), SLICE):
            wait_s = due_s + begin / rate - time.monotonic()
            if wait_s > 0:
                time.sleep(wait_s)
            else:
                self.late_s = max(self.late_s, -wait_s)
            now = time.time_ns()
            for key, value in messages[begin : begin + SLICE]:
                partition = crc32(key) % PARTITIONS
                self._producer.produce(EVENTS, value, key, partition)
                self.times[partition].append(now)
            self._producer.poll(0)
        return due_s + len(messages) / rate

    def flush(self) -> None:
        """Wait until everything is acknowledged."""
        if self._producer.flush(60):
            raise OSError("Kafka did not acknowledge all events within 60 s")


def delays_ms(seen: Seen, times: list[array[int]], since_ns: int) -> tuple[np.ndarray, Counter[str]]:
    """Milliseconds, ascending, of each alert that fired or resolved because of events sent after `since_ns`; and how
    many by rule. Alerts that are held back are no news to anyone and do not count."""
    revisions = [orjson.loads(value) for _, value in seen.revisions]
    watermarks = np.maximum.accumulate([r["watermark"] or 0 for r in revisions])
    found, rules, said = [], Counter[str](), set[tuple[str | int, ...]]()
    for came_ns, key, value in seen.alerts:
        if key.partition(b"/")[0].decode() in RESERVED:  # the worker's own state, people's silences
            continue
        alert = orjson.loads(value)
        news = key.decode(), alert["state"], alert["at"]
        if alert["state"] not in ("firing", "resolved") or news in said:  # told again once its cause is known
            continue
        said.add(news)
        which = int(np.searchsorted(watermarks, alert["at"]))
        if not 0 < which < len(revisions):
            continue
        before, after = revisions[which - 1]["offsets"], revisions[which]["offsets"]
        new = [times[int(p)][before.get(p, 0)] for p, end in after.items() if end > before.get(p, 0)]
        if new and min(new) >= since_ns:
            found.append((came_ns - min(new)) / 1e6)
            rules[alert["rule"]] += 1
    return np.sort(np.array(found)), rules


def measure(seed: int, rate: float) -> dict[str, Any]:
    """One run: figures in milliseconds. Errors: LocalError, NotDrainedError, StreamError, OSError."""
    with bed(PARTITIONS) as place, tempfile.TemporaryDirectory(prefix="tidewatch-bench-") as folder:
        for name in (f"{SYSTEM}.toml", "alerts.toml"):  # the one system, so that the others do not take the cores
            shutil.copy(place.settings.systems / name, folder)
        place.crew.start("ingest", "ingest")
        place.crew.start("index", "index", env={"TIDEWATCH_SYSTEMS": folder})
        place.crew.start("alert", "alert", env={"TIDEWATCH_SYSTEMS": folder})
        days, planted, events = _planned(seed)
        feed, observer = Feed(place.kafka), Observer(place.kafka)
        ends = _play(place, planted, events, feed, rate, days)
        wait_until_drained(place.kafka, place.redis, ends.ends, [SYSTEM], timeout_s=STALLED_S, check=place.crew.check)
        _rest(place, observer)
        seen = observer.stop()
        place.crew.check()
        found, rules = delays_ms(seen, feed.times, ends.measured_ns)
        if not len(found):
            raise OSError(f"no alert fired in the measured days; the worker's log: {place.crew.log('alert')[-2000:]}")
        return {
            "alerts": len(found), "rules": dict(sorted(rules.items())), "rate": round(rate),
            "days": ends.days, "revisions": len(seen.revisions),
            "p50_ms": round(float(np.quantile(found, 0.5)), 1), "p90_ms": round(float(np.quantile(found, 0.9)), 1),
            "p99_ms": round(float(np.quantile(found, 0.99)), 1), "max_ms": round(float(found[-1]), 1),
            "producer_late_ms": round(feed.late_s * 1000, 1), "load": load(),
        }  # fmt: skip


@dataclass
class _Ends:
    ends: dict[int, int]
    measured_ns: int
    days: int


def _planned(seed: int) -> tuple[Daily, Planted, PlantedEvents]:
    catalogue = Catalogue.load(Settings().catalogue)
    rng = np.random.default_rng([seed, 77])
    days = daily(load_scenario(catalogue, SYSTEM), rng)
    planted = Planted(days, draw(days, [kind for kind, n in PLANTS.items() for _ in range(n)], rng, LAST_DAY), LAST_DAY)
    number = catalogue.indicator_index
    return days, planted, PlantedEvents(days, {i: catalogue.industry_codes[number[i]][0] for i in days.indicators})


def _play(place: Bed, planted: Planted, events: PlantedEvents, feed: Feed, rate: float, days: Daily) -> _Ends:
    due_s, measured_ns = time.monotonic(), 0
    due_s = feed.send(events.whole(planted.amounts[:FIRST_DAY].sum(axis=0), 0, f"{days.first.year}Q1"), rate, due_s)
    for day, reports in enumerate(planted.reports()):
        if day < FIRST_DAY:
            continue
        if measured_ns and time.time_ns() - measured_ns > MEASURED_S * 1e9:
            break
        if day == MEASURED_FROM:
            feed.flush()
            measured_ns, due_s = time.time_ns(), time.monotonic()
        if day % 30 == 0:
            place.crew.check()
            note(f"sending {days.day(day)}, load {load()[0]}")
        due_s = feed.send(events.messages(reports), rate if measured_ns else rate * FAST, due_s)
    feed.flush()
    return _Ends({p: len(times) for p, times in enumerate(feed.times)}, measured_ns, day - MEASURED_FROM)


def _rest(place: Bed, observer: Observer) -> None:
    """Until no alert has come for two seconds (at most half a minute)."""
    deadline, held, since = time.monotonic() + 30, -1, time.monotonic()
    while time.monotonic() < deadline and time.monotonic() - since < 2:
        place.crew.check()
        if len(observer.seen.alerts) != held:
            held, since = len(observer.seen.alerts), time.monotonic()
        time.sleep(0.05)
