"""From an event's append to the commit of the ranking it moved, seen from outside: `python -m bench.latency`.

Row 4 of DESIGN section 8. Fresh servers, one ingest worker, one index worker, two years of the scenario loaded and
published. Loading it gives the highest rate of ingest in this very run; an open-loop producer then appends events of
the open quarter at a tenth and at half of it. A `read_committed` consumer of `ranking-deltas` and `revisions` notes
when each revision is visible, deltas and all; the offsets in it say which events it includes. The latency of an event
is from the moment at which the producer handed it to its client (so linger and the append itself are in it) to that
arrival. All on one host, one clock.
"""

from __future__ import annotations

import json as json_text
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import orjson
import typer
from confluent_kafka import Consumer, TopicPartition

from bench.common import (
    SYSTEM,
    Bed,
    bed,
    cpu_s,
    emit,
    load,
    machine,
    note,
    notes,
    say_machine,
    table,
    verdict,
    versions,
)
from bench.ingest import STALLED_S, fill, run_ours
from stream.tail import high_watermarks
from stream.topics import DELTAS, EVENTS, REVISIONS, client_options, partition_of
from workers.drained import NotDrainedError, wait_until_drained
from workers.output import told
from workers.settings import REPOSITORY

BUDGETS = {"tenth": (0.1, 20.0, 60.0), "half": (0.5, 50.0, 150.0)}  # part of the highest rate, p50 ms, p99 ms
LOADED_DAYS = 730  # 2021Q1 to 2022Q4
WARM_S = 5.0
REST_S = 3.0  # after draining: whole tables that were due are out
AFTER_S = 30.0  # how long the last events may take


@dataclass
class Seen:
    """What the observer noted: when revisions came, and how many deltas had come by when (both in the log's order)."""

    revisions: list[tuple[int, bytes]] = field(default_factory=list)
    deltas: list[tuple[int, int]] = field(default_factory=list)


class Observer:
    """The outside consumer, in a thread: takes the time of arrival, parses nothing before the end."""

    def __init__(self, address: str) -> None:
        """Begins at the present end of both topics; the system must be at rest."""
        where = [(topic, partition_of(SYSTEM)) for topic in (DELTAS, REVISIONS)]
        self._consumer = Consumer(
            {
                **client_options(address),
                "group.id": "bench-latency",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 100,
                "fetch.min.bytes": 1,
                "fetch.queue.backoff.ms": 1,
                "auto.offset.reset": "error",
            }
        )
        ends = high_watermarks(address, where)
        self._consumer.assign([TopicPartition(topic, p, ends[topic, p]) for topic, p in where])
        self.seen = Seen()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="observer", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        seen, total = self.seen, 0
        while not self._ending.is_set():
            first = self._consumer.poll(0.1)
            if first is None:
                continue
            messages = [first, *self._consumer.consume(10_000, timeout=0)]
            now, before = time.time_ns(), total
            for message in messages:
                if message.error() is not None:
                    continue
                if message.topic() == DELTAS:
                    total += 1
                else:
                    seen.revisions.append((now, message.value()))
            if total > before:
                seen.deltas.append((now, total))

    def last_offsets(self) -> dict[str, int]:
        """Of the newest revision seen."""
        return orjson.loads(self.seen.revisions[-1][1])["offsets"] if self.seen.revisions else {}

    def stop(self) -> Seen:
        """End the thread."""
        self._ending.set()
        self._thread.join(5)
        self._consumer.close()
        return self.seen


def latencies_ms(seen: Seen, sent: dict[int, np.ndarray], starts: dict[int, int], skip_ns: int) -> np.ndarray:
    """Milliseconds, ascending, of every event sent `skip_ns` or more after the first. Errors: NotDrainedError."""
    revisions = [orjson.loads(value) for _, value in seen.revisions]
    came = np.array([t for t, _ in seen.revisions], dtype=np.int64)
    counts = np.cumsum([r["deltas"] for r in revisions])
    times, totals = (np.array(column, dtype=np.int64) for column in zip(*seen.deltas, strict=True))
    if counts[-1] > totals[-1]:
        raise NotDrainedError(f"{counts[-1]} deltas are named by revisions, {totals[-1]} were seen")
    # A revision is there when its record and the last of its deltas are.
    visible = np.maximum(came, times[np.searchsorted(totals, counts)])
    visible = np.maximum.accumulate(visible)
    first = min(int(each[0]) for each in sent.values() if len(each))
    found = []
    for partition, at in sent.items():
        reached = np.array([r["offsets"].get(str(partition), 0) for r in revisions], dtype=np.int64)
        which = np.searchsorted(reached, starts[partition] + np.arange(len(at)) + 1)
        if len(which) and which[-1] >= len(visible):
            raise NotDrainedError(f"partition {partition}: the last events are in no revision")
        found.append((visible[which] - at)[at - first >= skip_ns])
    return np.sort(np.concatenate(found)) / 1e6


def run_load(
    place: Bed, rate: float, seconds: float, first_seq: int, at_s: float, event_speed: float
) -> dict[str, Any]:
    """One load: its figures; `at_s` of the result is where event time has got to."""
    partitions = list(range(place.settings.partitions))
    ends = high_watermarks(place.kafka, [(EVENTS, p) for p in partitions])
    starts = {p: ends[EVENTS, p] for p in partitions}
    pids = {"ingest": place.crew.workers["ingest"].pid, "index": place.crew.workers["index"].pid,
            "redis": place.servers.redis_server.pid, "kafka": place.servers.kafka_server.pid}  # fmt: skip
    observer = Observer(place.kafka)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "times.npz"
        given = {
            "kafka": place.kafka, "rate": rate, "seconds": seconds + WARM_S, "partitions": len(partitions),
            "seed": first_seq,
            "first_seq": first_seq, "at_s": at_s, "event_speed": event_speed, "out": str(out),
        }  # fmt: skip
        time.sleep(1.0)
        before = {name: cpu_s(pid) for name, pid in pids.items()}
        done = subprocess.run(
            [sys.executable, "-m", "bench.producer", json_text.dumps(given)],
            cwd=REPOSITORY, capture_output=True, text=True, timeout=seconds + 120, check=False,
        )  # fmt: skip
        used = {name: cpu_s(pid) - before[name] for name, pid in pids.items()}
        if done.returncode != 0:
            raise OSError(f"the producer failed: {done.stderr[-2000:]}")
        produced = json_text.loads(done.stdout.splitlines()[-1])
        with np.load(out) as stored:
            sent = {p: stored[str(p)] for p in partitions}
    ends = {p: starts[p] + len(sent[p]) for p in partitions}
    held = high_watermarks(place.kafka, [(EVENTS, p) for p in partitions])
    if any(held[EVENTS, p] != end for p, end in ends.items()):
        raise NotDrainedError(f"the log ends at {held}, the producer sent up to {ends}")
    deadline = time.monotonic() + AFTER_S
    while any(observer.last_offsets().get(str(p), 0) < end for p, end in ends.items()):
        place.crew.check()
        if time.monotonic() > deadline:
            raise NotDrainedError(f"{AFTER_S:.0f} s after the last event: {observer.last_offsets()}, wanted {ends}")
        time.sleep(0.05)
    time.sleep(0.3)  # deltas of the last revision
    seen = observer.stop()
    found = latencies_ms(seen, sent, starts, int(WARM_S * 1e9))
    busy_s = produced["seconds"]
    revisions = [orjson.loads(value) for _, value in seen.revisions]
    return {
        "rate": round(rate),
        "achieved_rate": round(produced["sent"] / busy_s),
        "p50_ms": round(float(np.quantile(found, 0.5)), 3),
        "p90_ms": round(float(np.quantile(found, 0.9)), 3),
        "p99_ms": round(float(np.quantile(found, 0.99)), 3),
        "max_ms": round(float(found[-1]), 3),
        "events": len(found),
        "revisions": len(revisions),
        "revisions_s": round(len(revisions) / busy_s, 1),
        "updates_per_revision": round(float(np.mean([r["updates"] for r in revisions])), 1),
        "deltas_per_revision": round(float(np.mean([r["deltas"] for r in revisions])), 1),
        "accepted": revisions[-1]["counts"]["accepted"],
        "producer_late_p99_ms": round(produced["late_p99_ms"], 3),
        "blocked": produced["blocked"],
        "cores_used": {n: round(s / busy_s, 3) for n, s in (used | {"producer": produced["cpu_s"]}).items()},
        "load": load(),
        "at_s": produced["at_s"],
    }  # fmt: skip


def measure(seconds: float, rate: float | None, partitions: int, events: int, event_speed: float) -> dict[str, Any]:
    """Load, drain, then both loads one after the other."""
    with bed(partitions) as place:
        note(f"appending about {events:,} events of 2021Q1 to 2022Q4")
        sent = fill(place, events, 1, days=LOADED_DAYS)
        loaded = run_ours(place, sent, "ingest", keep=True)
        note(f"ingest took them in at {loaded.events_s:,.0f} events/s")
        place.crew.start("index", "index")
        wait_until_drained(place.kafka, place.redis, sent.ends, [SYSTEM], timeout_s=STALLED_S, check=place.crew.check)
        highest = rate or loaded.events_s
        result: dict[str, Any] = {"highest_rate": round(highest), "ingest": loaded.as_json()}
        at_s, first_seq, accepted = 0.0, 10**9, sent.events
        for name, (part, _, _) in BUDGETS.items():
            time.sleep(REST_S)
            note(f"{name}: {highest * part:,.0f} events/s for {WARM_S:.0f} + {seconds:.0f} s")
            found = run_load(place, highest * part, seconds, first_seq, at_s, event_speed)
            at_s, first_seq = found.pop("at_s"), first_seq + 10**9
            accepted += round(highest * part * (seconds + WARM_S))
            found["exact"] = abs(found["accepted"] - accepted) <= 2  # rounding of the number to send
            result[name] = found
            note(f"{name}: p50 {found['p50_ms']:.1f} ms, p99 {found['p99_ms']:.1f} ms, {found['cores_used']}")
        return result


def show(result: dict[str, Any]) -> None:
    """The table for people, on standard error."""
    shown = table(
        "event appended -> ranking committed",
        "load", "events/s", "achieved", "p50 ms", "p99 ms", "max ms", "revisions/s", "budget p50, p99",
    )  # fmt: skip
    for name, (_, p50, p99) in BUDGETS.items():
        found = result[name]
        shown.add_row(
            f"{name} of {result['highest_rate']:,}/s", f"{found['rate']:,}", f"{found['achieved_rate']:,}",
            f"{found['p50_ms']:.1f}",
            f"{found['p99_ms']:.1f}", f"{found['max_ms']:.0f}", f"{found['revisions_s']}",
            f"< {p50:.0f} {verdict(found['p50_ms'] < p50)}, < {p99:.0f} {verdict(found['p99_ms'] < p99)}",
        )  # fmt: skip
    notes.print(shown)
    for name in BUDGETS:
        note(f"{name}: cores used {result[name]['cores_used']}, load {result[name]['load']}")


def main(
    seconds: Annotated[float, typer.Option(min=1, help="of each load, besides 5 s of warm-up")] = 60.0,
    rate: Annotated[
        float | None, typer.Option(min=100, help="the highest rate; default: what ingest reaches here")
    ] = None,
    partitions: Annotated[int, typer.Option(min=1, help="of indicator-events")] = 4,
    events: Annotated[int, typer.Option(min=10_000, help="about how many are loaded beforehand")] = 600_000,
    event_speed: Annotated[float, typer.Option(min=0, help="event seconds a second")] = 3600.0,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")] = False,
) -> None:
    """Measure the latency of the whole way at a tenth and at half of the highest rate."""
    with told():
        before = load()
        result = measure(seconds, rate, partitions, events, event_speed)
        about = machine() | {"load_before": before}
        result |= {"machine": about, "versions": versions()}
        show(result)
        say_machine(about, result["versions"])
        if json:
            emit(result)


if __name__ == "__main__":
    typer.run(main)
