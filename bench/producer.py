"""The open-loop producer of `bench.latency`, a process of its own:  python -m bench.producer '{"kafka": ..., ...}'

Sends events of the open quarter on a schedule fixed by the clock: what the system does never slows it down (a full
buffer would, and then shows as lateness). Spread over all cities, indicators and industries; event time moves
`event_speed` times as fast as the clock. The ready pieces of each event are encoded beforehand. Writes, per partition,
the time (time.time_ns) at which each message was handed to the client, in the order of the log: one idempotent
producer writes every partition in order, so the k-th message of a partition has offset `starts[p] + k`.
"""

from __future__ import annotations

import json
import sys
import time
from array import array
from datetime import datetime, timedelta, timezone
from typing import Any
from zlib import crc32

import numpy as np
from confluent_kafka import Producer

from bench.common import SYSTEM
from index.catalogue import Catalogue
from stream.topics import EVENTS, client_options
from workers.scenario import load as load_scenario
from workers.settings import Settings

FIRST_AT = datetime(2023, 1, 10, 10, tzinfo=timezone(timedelta(hours=8)))  # behind the closing statements of 2022Q4
SLICE = 32  # messages that share one look at the clock: 0.4 ms at 75,000 a second
NAP_S = 0.0004
LINGER_MS = 1


def pieces(partitions: int, seed: int) -> list[tuple[bytes, bytes, bytes, int]]:
    """(key, before the sequence number, between it and the time, partition) of every (city, indicator, industry)."""
    scenario = load_scenario(Catalogue.load(Settings().catalogue), SYSTEM)
    rng = np.random.default_rng(seed)
    made = []
    for city in scenario.frame.codes:
        for code, industry in scenario.whats:
            base, size = scenario.family(code)
            source = scenario.sources[base + int(rng.integers(size))]
            middle = f',"industry":"{industry}"' if industry else ""
            made.append((
                city.encode(),
                f'{{"source":"{source}","seq":'.encode(),
                f',"city":"{city}","indicator":"{code}"{middle},"op":"add",'
                f'"value":{rng.integers(1, 10_000) / 100},"at":"'.encode(),
                crc32(city.encode()) % partitions,
            ))  # fmt: skip
    return [made[i] for i in rng.permutation(len(made)).tolist()]


def run(given: dict[str, Any]) -> dict[str, Any]:
    """Send for `seconds` at `rate` a second; returns how it went, and writes the times to `out` (npz)."""
    rate, seconds, seq = float(given["rate"]), float(given["seconds"]), int(given["first_seq"])
    ready = pieces(given["partitions"], given["seed"])
    producer = Producer(
        {
            **client_options(given["kafka"]),
            "enable.idempotence": True,
            "linger.ms": LINGER_MS,
            "queue.buffering.max.messages": 1_000_000,
            "delivery.report.only.error": True,
        }
    )
    producer.list_topics(EVENTS, timeout=10)
    times = [array("q") for _ in range(given["partitions"])]
    produce, total, sent, blocked, n = producer.produce, int(rate * seconds), 0, 0, len(ready)
    late: list[float] = []
    event_speed, first_at = float(given["event_speed"]), FIRST_AT + timedelta(seconds=float(given["at_s"]))
    began, cpu = time.monotonic(), time.process_time()
    while sent < total:
        elapsed = time.monotonic() - began
        due = min(total, int(elapsed * rate))
        if due <= sent:
            time.sleep(NAP_S)
            continue
        late.append(elapsed - sent / rate)
        at = (first_at + timedelta(seconds=elapsed * event_speed)).isoformat(timespec="seconds").encode() + b'"}'
        now = time.time_ns()
        stop = min(due, sent + SLICE)
        for number in range(sent, stop):
            key, head, tail, partition = ready[number % n]
            value = b"%b%d%b%b" % (head, seq + number, tail, at)
            while True:
                try:
                    produce(EVENTS, value, key, partition)
                    break
                except BufferError:
                    blocked += 1
                    producer.poll(0.001)
            times[partition].append(now)
        sent = stop
        producer.poll(0)
    took, used = time.monotonic() - began, time.process_time() - cpu
    left = producer.flush(30)
    np.savez(given["out"], **{str(p): np.frombuffer(each, dtype=np.int64) for p, each in enumerate(times)})
    late.sort()
    return {
        "sent": total,
        "seconds": took,
        "unsent": left,
        "blocked": blocked,
        "late_p99_ms": late[int(len(late) * 0.99)] * 1000,
        "cpu_s": used,
        "at_s": given["at_s"] + took * event_speed,
    }


if __name__ == "__main__":
    print(json.dumps(run(json.loads(sys.argv[1]))))
