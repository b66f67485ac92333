"""More than the workers can take, and a Redis that is ten times slower: memory stays flat, and all of it is right.

    python -m tests.chaos.backpressure flood --minutes 10 --record docs/soak/backpressure.jsonl.gz
    python -m tests.chaos.backpressure slow --record docs/soak/slow-redis.jsonl.gz

`flood`: one ingest, one index and one alert worker. Their capacity is measured first, from a backlog; then events come
at twice that rate for the minutes given; then nothing more comes. The answers of Redis are late by `--delay` (a proxy),
so that a flush takes long and capacity is some thousand events a second: at the machine's own capacity, ten minutes of
twice as much would be a log of 10^8 events, which this machine could neither hold nor verify. What is tried is the
same: reading must stop where flushing does not keep up, whatever holds the flush back. Once the flood is over Redis is
as fast as it can be, and the rest is taken at the machine's own capacity. `--delay 0`: so it is from the beginning.

`slow`: the same backlog twice, by a Redis as it is, and by one whose answers take ten times as long as a flush took.

What must hold: the lag grows while the flood lasts (it is more than what the workers' queues could hold), and is zero
in the end; no worker ends, is fenced or refused; the memory of each worker, and of Redis, is flat after its warm-up,
within FLAT_MIB; and everything that tests/chaos/checks.py checks.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import redis

from stream.tail import high_watermarks
from stream.topics import EVENTS
from tests.chaos.checks import ALERT_RULES, Checker, Found
from tests.chaos.flood import PARTITIONS, Flood
from tests.chaos.leaks import look_at
from tests.chaos.proxy import Network
from tests.chaos.record import End, Sample, Writer, begin
from tests.waiting import eventually
from workers.crew import Crew
from workers.drained import offsets_in_redis
from workers.local import Servers
from workers.local.ports import free_port
from workers.prepare import prepare_topics
from workers.settings import REPOSITORY, Settings

SYSTEM = "dti-2023"
WORKERS = ("ingest", "index", "alert")
FLAT_MIB = 48.0
EVENT_BYTES = 170  # of a message without pad
STILL_S = 120.0
CLOSELY_S = 0.2
MIB = 1 << 20


@dataclass
class Levels:
    """Memory by process over one phase: `warm` is the greatest of its first part, `most` of the rest (MiB); and lag."""

    warm: dict[str, float] = field(default_factory=dict)
    most: dict[str, float] = field(default_factory=dict)
    lag: int = 0

    def take(self, rss: dict[str, float], *, warm: bool) -> None:
        """A sample."""
        into = self.warm if warm else self.most
        for name, mib in rss.items():
            into[name] = max(into.get(name, 0.0), mib)

    def risen(self, bound: float) -> list[str]:
        """Who grew by more than `bound`."""
        return [
            f"{name}: {self.most[name]:.0f} MiB, warm it was {self.warm[name]:.0f}, and {bound:.0f} more are allowed"
            for name in self.most
            if self.most[name] > self.warm[name] + bound
        ]


class Pressure:
    """One broker, one Redis behind a proxy, one worker of each kind, and floods; a context manager."""

    def __init__(self, folder: Path, writer: Writer | None = None, say: Callable[[str], None] = print) -> None:
        """`writer`: gets the samples."""
        self._folder, self._writer, self._say = folder, writer, say
        self.began = time.monotonic()
        self.servers, self._network = Servers(folder / "servers", progress=lambda text: None), Network()
        self.expected: Counter[str] = Counter()
        self.sent, self.failures = 0, list[str]()
        self._floods = 0
        self.ports: dict[str, int] = {}

    def __enter__(self) -> Self:
        """Everything runs and is at rest, with nothing in the log but the catalogue."""
        servers = self.servers.__enter__()
        self.kafka, self.redis_url = servers.kafka, servers.redis
        prepare_topics(Settings(kafka=self.kafka, redis=self.redis_url, partitions=PARTITIONS))
        self.redis = redis.Redis.from_url(self.redis_url)
        port = urlsplit(self.redis_url).port
        assert port is not None
        self.proxy = self._network.__enter__().proxy(port)
        self.checker = Checker(self.kafka, self.redis_url, SYSTEM, partitions=PARTITIONS).__enter__()
        systems = self._folder / "systems"  # one: what is tried does not hang on how many there are
        systems.mkdir()
        shutil.copy(REPOSITORY / "systems" / f"{SYSTEM}.toml", systems)
        env = {"TIDEWATCH_SYSTEMS": str(systems)}
        self.crew = Crew(self._folder / "workers", self.kafka, f"redis://{self.proxy.address}/0", env)
        for name in WORKERS:
            self.start(name)
        for name in WORKERS:
            eventually(lambda name=name: self.ready(name), STILL_S, lambda name=name: self.crew.log(name)[-3000:])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """All is gone."""
        self.crew.stop()
        self.checker.__exit__(kind, error, trace)
        self.redis.close()
        self._network.__exit__(kind, error, trace)
        self.servers.__exit__(kind, error, trace)

    def start(self, name: str) -> None:
        """A worker of that kind, of that name."""
        self.ports[name] = free_port()
        # Session: nobody is to take over from a worker that is stopped for a measurement.
        env = {"TIDEWATCH_SESSION_S": "60", "TIDEWATCH_ALERTS": str(ALERT_RULES)}
        env["TIDEWATCH_HTTP_PORT"] = str(self.ports[name])
        self.crew.start(name, name, env=env)

    def ready(self, name: str) -> bool:
        """Whether a worker is at work."""
        if name == "ingest":
            return self.metric(name, "tidewatch_ingest_acquires_total") == PARTITIONS
        return self.metric(name, "tidewatch_worker_ready") == 1

    # --- looks --------------------------------------------------------------------------------------------------------

    def ends(self) -> dict[int, int]:
        """Ends of the log."""
        where = [(EVENTS, p) for p in range(PARTITIONS)]
        return {p: end for (_, p), end in high_watermarks(self.kafka, where, timeout_s=20.0).items()}

    def taken(self) -> int:
        """How many messages Redis has passed."""
        return sum(offsets_in_redis(self.redis_url, list(range(PARTITIONS))).values())

    def sample(self, phase: str) -> Sample:
        """Where everything stands."""
        self.crew.check()
        rss = {name: round(look_at(worker.pid).rss, 1) for name, worker in self.crew.workers.items()}
        rss["redis"] = round(int(self.redis.info("memory")["used_memory"]) / MIB, 1)
        taken, sent = self.taken(), sum(self.ends().values())
        at_s = round(time.monotonic() - self.began, 2)
        made = Sample(at_s=at_s, phase=phase, sent=sent, taken=taken, lag=sent - taken, rss=rss)
        if self._writer is not None:
            self._writer.add(made)
        self._say(f"{at_s:7.1f} s  {phase}: lag {made.lag:,}, taken {taken:,}, memory {rss}")
        return made

    def metric(self, worker: str, name: str) -> float:
        """The sum of a metric's samples over all labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[worker]}/metrics", timeout=10) as answer:
            page = answer.read().decode()
        return sum(float(n) for n in re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", page, re.MULTILINE))

    # --- phases -------------------------------------------------------------------------------------------------------

    def flood(self, **how: Any) -> Flood:
        """Begin to send what no earlier flood sent."""
        self._floods += 1
        log = self._folder / f"flood-{self._floods}.log"
        return Flood(self.kafka, log, first=self.sent, **how)

    def sent_all(self, flood: Flood) -> None:
        """Wait for its end, and count it."""
        eventually(flood.done, STILL_S)
        self.sent += flood.sent
        self.expected += flood.expected

    def backlog(self, events: int, phase: str, pad: int) -> tuple[float, Levels]:
        """Send so many while the ingest worker is stopped, then let it go: how many a second it takes, and memory."""
        worker = self.crew.workers["ingest"]
        worker.send(signal.SIGSTOP)
        at = self.taken()
        self.sent_all(self.flood(limit=events, pad=pad))
        end = sum(self.ends().values())
        worker.send(signal.SIGCONT)
        # Waking up is none of its capacity, nor is a last batch that is not full.
        eventually(lambda: self.taken() > at, STILL_S)
        first, began = self.taken(), time.monotonic()
        until = end - events // 10
        levels = self.watch(phase, lambda: self.taken() >= until, CLOSELY_S, STILL_S + events / 500, 0.0)
        rate = (self.taken() - first) / (time.monotonic() - began)
        eventually(lambda: self.taken() >= end, STILL_S)
        return rate, levels

    def watch(self, phase: str, until: Callable[[], bool], every_s: float, bound_s: float, warm_s: float) -> Levels:
        """Sample until something is so; the first `warm_s` are the warm-up."""
        levels, began = Levels(), time.monotonic()
        while True:
            passed = time.monotonic() - began
            made = self.sample(phase)
            levels.take(made.rss, warm=passed < warm_s)
            levels.lag = max(levels.lag, made.lag)
            if until():
                return levels
            assert passed < bound_s, f"{phase}: not over after {passed:.0f} s; {made}"
            time.sleep(every_s)

    def check(self) -> Found:
        """Everything that the trial checks, at rest."""
        found = self.checker.check(sent=self.sent, expected=self.expected, alive=self.crew.check, still_s=STILL_S)
        self.failures += found.failures
        return found

    def refused(self) -> dict[str, int]:
        """What must not happen: partitions taken over again, refused flushes."""
        return {
            "taken over again": int(self.metric("ingest", "tidewatch_ingest_acquires_total")) - PARTITIONS,
            "flushes refused": int(self.metric("ingest", "tidewatch_ingest_refused_total")),
        }

    def flush_s(self) -> float:
        """The mean of a flush so far."""
        name = "tidewatch_ingest_flush_seconds"
        return self.metric("ingest", f"{name}_sum") / max(1.0, self.metric("ingest", f"{name}_count"))


def run_flood(
    trial: Pressure, *, seconds: float, delay_s: float, times: float = 2.0, pad: int = 200, backlog: int = 60_000,
    every_s: float = 5.0, flat_mib: float = FLAT_MIB, recover: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """`times` as much as is taken, for so long. Returns what was found; `trial.failures` is what did not hold.

    `recover`: Redis answers as fast as it can once the flood is over; else it is as slow as before.
    """
    if delay_s:
        trial.proxy.slow(delay_s)
    trial.backlog(max(4_000, backlog // 10), "warm-up", pad)
    capacity, _ = trial.backlog(backlog, "capacity", pad)
    before = trial.taken()
    began = time.monotonic()
    flood = trial.flood(rate=times * capacity, seconds=seconds, pad=pad)
    fed = trial.watch("flood", flood.done, every_s, 2 * seconds + STILL_S, seconds / 4)
    trial.sent_all(flood)
    rate, fed_s = (trial.taken() - before) / (time.monotonic() - began), time.monotonic()
    end = sum(trial.ends().values())
    if recover:
        trial.proxy.heal()
    drain = trial.watch("drain", lambda: trial.taken() >= end, every_s, 10 * times * seconds + STILL_S, 0.0)
    drained_s = time.monotonic() - fed_s
    found = trial.check()
    for levels in (fed, Levels(fed.warm, drain.most)):
        trial.failures += levels.risen(flat_mib)
    message = EVENT_BYTES + pad
    bytes_behind = fed.lag * message
    hold = trial.failures.append
    if flood.sent < 0.75 * times * capacity * seconds:
        hold(f"the flood was too slow: {flood.sent} events, {times * capacity * seconds:.0f} were meant")
    # A worker that read ahead without bound would have grown by this, less what it kept since it took the backlog.
    if bytes_behind < backlog * message + flat_mib * MIB:
        hold(f"the lag was too small to prove anything: {fed.lag} messages, {bytes_behind / MIB:.0f} MiB")
    refused = trial.refused()
    trial.failures += [f"{n} {what}" for what, n in refused.items() if n]
    return {
        "capacity_events_a_second": round(capacity),
        "Redis_answers_later_by_s": delay_s,
        "flush_s": round(trial.flush_s(), 3),
        "fed_events_a_second": round(flood.sent / flood.seconds),
        "minutes": round(flood.seconds / 60, 1),
        "taken_meanwhile_events_a_second": round(rate),
        "greatest_lag_events": fed.lag,
        "greatest_lag_MiB": round(bytes_behind / MIB),
        "lag_zero_after_s": round(drained_s, 1),
        "memory_warm": fed.warm,
        "memory_flood_most": fed.most,
        "memory_drain_most": drain.most,
        **{name.replace(" ", "_"): n for name, n in refused.items()},
        "events": found.sent,
        "revisions": found.revision,
        "differences": found.differences,
    }


def run_slow(
    trial: Pressure, *, times: float = 10.0, pad: int = 200, backlog: int = 300_000, flat_mib: float = FLAT_MIB
) -> dict[str, Any]:
    """A backlog by a Redis as it is, then by one whose answers take `times` as long as a flush took. As `run_flood`."""
    trial.backlog(max(4_000, backlog // 10), "warm-up", pad)
    (fast, before), flush_s = trial.backlog(backlog, "as it is", pad), trial.flush_s()
    flushes, spent_s = (trial.metric("ingest", f"tidewatch_ingest_flush_seconds_{what}") for what in ("count", "sum"))
    trial.proxy.slow((times - 1) * flush_s)
    rate, slow = trial.backlog(backlog, "slow", pad)
    count, total_s = (trial.metric("ingest", f"tidewatch_ingest_flush_seconds_{what}") for what in ("count", "sum"))
    slow_s = (total_s - spent_s) / max(1.0, count - flushes)
    trial.proxy.heal()
    found = trial.check()
    trial.failures += Levels(before.most, slow.most).risen(flat_mib)
    if slow_s < 0.5 * times * flush_s:
        trial.failures.append(f"Redis was not slow: a flush took {slow_s:.3f} s, before {flush_s:.3f} s")
    if rate >= fast:
        trial.failures.append(f"a slow Redis slowed nothing: {rate:.0f} events a second, before {fast:.0f}")
    refused = trial.refused()
    trial.failures += [f"{n} {what}" for what, n in refused.items() if n]
    return {
        "flush_ms": round(1000 * flush_s, 1),
        "flush_ms_slow": round(1000 * slow_s, 1),
        "events_a_second": round(fast),
        "events_a_second_slow": round(rate),
        "memory_before": before.most,
        "memory_slow_most": slow.most,
        **{name.replace(" ", "_"): n for name, n in refused.items()},
        "events": found.sent,
        "revisions": found.revision,
        "differences": found.differences,
    }


def main(arguments: list[str]) -> int:
    """0: all held; 1: something did not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("flood", "slow"))
    parser.add_argument("--minutes", type=float, default=10.0, help="of the flood")
    parser.add_argument("--delay", type=float, default=0.5, help="seconds by which Redis answers later, in the flood")
    parser.add_argument("--backlog", type=int, default=120_000, help="events from which capacity is measured")
    parser.add_argument("--record", type=Path, required=True, help="docs/soak/NAME.jsonl.gz")
    given = parser.parse_args(arguments)
    settings = {name: value for name, value in vars(given).items() if name not in ("record", "what")}
    what = {"flood": "backpressure", "slow": "slow-redis"}[given.what]
    began = time.monotonic()
    with (
        Writer(given.record, begin("none: nothing is random", "a", what, **settings)) as writer,
        tempfile.TemporaryDirectory(prefix="tidewatch-pressure-", ignore_cleanup_errors=True) as folder,
        Pressure(Path(folder), writer) as trial,
    ):
        failure: str | None = None
        found: dict[str, Any] = {}
        try:
            if given.what == "flood":
                found = run_flood(
                    trial, seconds=60 * given.minutes, delay_s=given.delay, backlog=given.backlog, recover=True
                )
            else:
                found = run_slow(trial, backlog=given.backlog)
        except AssertionError as error:
            trial.failures.append(str(error))
        failure = "\n".join(trial.failures) or None
        seconds = round(time.monotonic() - began, 1)
        writer.add(End(kills=0, rounds=1, ok=failure is None, failure=failure, seconds=seconds, found=found))
    print(found)
    print("failed: " + failure if failure else "all held")
    return int(failure is not None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
