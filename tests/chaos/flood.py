"""A flood of cheap events at a steady rate, in a process of its own: `python -m tests.chaos.flood ...`, run by `Flood`.

Event n is a function of n: 16 cities, each with a source of its own, 2 indicators, one day of event time for each
PER_DAY events, over and over DAYS days, so the state is bounded however long it lasts. Every REPEATED-th repeats an
earlier one, every BAD-th has an indicator that nobody knows. `pad` bytes of a key that is ignored make messages larger.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

from confluent_kafka import Producer

from stream.topics import EVENTS
from workers.local.process import ChildProcess
from workers.settings import REPOSITORY

CITIES = (
    "330100", "320100", "420100", "430100", "510100", "410100", "350200", "370200", "610100", "440300", "530100",
    "230100", "110000", "310000", "440100", "500000",
)  # fmt: skip
INDICATORS = ("dti.ecommerce", "dti.entertainment")  # without industries
PER_DAY, DAYS = 4_000, 60
FIRST = date(2021, 1, 1)
REPEATED, BAD = 100, 1_000
PARTITIONS = 4
NOISE = 4 << 20
SLICE_S = 0.02
END_S = 60.0


class Events:
    """Events one after the other, with what must become of each so far (`expected`)."""

    def __init__(self, pad: int = 0, first: int = 0) -> None:
        """`first`: the number to begin with, where an earlier flood ended."""
        self.n = first
        self.expected: Counter[str] = Counter()
        # Nothing that a codec could make small: what is tried is how much is held, and a fetch holds what it unpacks.
        self._pad, self._noise = pad, random.Random(1).randbytes(NOISE).hex() if pad else ""

    def next(self) -> tuple[int, bytes, bytes]:
        """Partition, key and value of the next message."""
        n = self.n
        self.n += 1
        repeat = n % REPEATED == REPEATED - 1
        bad = n % BAD == 500
        m = n - len(CITIES) if repeat else n  # the same city's last
        city = CITIES[m % len(CITIES)]
        self.expected["duplicate" if repeat else "rejected:unknown-indicator" if bad else "accepted"] += 1
        indicator = "no.such" if bad else INDICATORS[m // len(CITIES) % len(INDICATORS)]
        day = FIRST + timedelta(days=m // PER_DAY % DAYS)
        value = (
            f'{{"source": "flood-{city}", "seq": {m // len(CITIES)}, "city": "{city}", "indicator": "{indicator}", '
            f'"op": "add", "value": {1 + m % 7}.25, "at": "{day}T12:00:00+08:00"{self._note(n)}}}'
        )
        return m % PARTITIONS, city.encode(), value.encode()

    def _note(self, n: int) -> str:
        if not self._pad:
            return ""
        at = n * self._pad % (len(self._noise) - self._pad)
        return f', "note": "{self._noise[at : at + self._pad]}"'


def send(kafka: str, rate: float, seconds: float, limit: int, pad: int, first: int) -> dict[str, object]:
    """Send at `rate` events a second (0: as fast as Kafka takes them) for `seconds` or `limit` events, acknowledged."""
    producer = Producer(
        {
            "bootstrap.servers": kafka, "enable.idempotence": True, "linger.ms": 20, "compression.type": "lz4",
            "queue.buffering.max.messages": 500_000, "queue.buffering.max.kbytes": 512 << 10, "log_level": 0,
        }
    )  # fmt: skip
    failed: list[str] = []

    def delivered(error: object, _message: object) -> None:
        if error is not None:
            failed.append(str(error))

    events, began = Events(pad, first), time.monotonic()
    while (sent := events.n - first) < limit and (passed := time.monotonic() - began) < seconds:
        due = min(limit, int(rate * passed) if rate else sent + 1_000)
        if due <= sent:
            time.sleep(SLICE_S)
            continue
        for _ in range(due - sent):
            partition, key, value = events.next()
            while True:
                try:
                    producer.produce(EVENTS, value, key, partition, on_delivery=delivered)
                    break
                except BufferError:
                    producer.poll(0.05)
        producer.poll(0)
    sent_s = time.monotonic() - began
    left = producer.flush(END_S)
    if left or failed:
        raise RuntimeError(f"{left} not acknowledged, failed: {failed[:3]}")
    return {"sent": events.n - first, "seconds": sent_s, "expected": events.expected}


class Flood:
    """The process. `done()`: whether it has ended well; then `sent`, `seconds` and `expected` are known."""

    def __init__(
        self, kafka: str, log: Path, *, rate: float = 0.0, seconds: float = 1e9, limit: int = 1 << 62, pad: int = 0,
        first: int = 0,
    ) -> None:  # fmt: skip
        arguments = {"rate": rate, "seconds": seconds, "limit": limit, "pad": pad, "first": first}
        command = [sys.executable, "-m", "tests.chaos.flood", kafka, json.dumps(arguments)]
        log.unlink(missing_ok=True)
        self._process = ChildProcess("flood", command, log, cwd=REPOSITORY, env={"PYTHONPATH": str(REPOSITORY)})
        self._log = log
        self.sent, self.seconds = 0, 0.0
        self.expected: Counter[str] = Counter()

    def done(self) -> bool:
        """Look. Errors: AssertionError, where it failed."""
        if self._process.running():
            return False
        said = self._log.read_text()
        assert self._process.returncode == 0, said[-2000:]
        answer = json.loads(said.splitlines()[-1])
        self.sent, self.seconds, self.expected = answer["sent"], answer["seconds"], Counter(answer["expected"])
        return True

    def end(self) -> None:
        """Whatever it does."""
        self._process.stop(1.0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("kafka")
    parser.add_argument("arguments", type=json.loads)
    given = parser.parse_args()
    print(json.dumps(send(given.kafka, **given.arguments)), flush=True)
