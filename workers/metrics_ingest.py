"""The ingest worker's metrics (docs/metrics.md). Counters move when a flush is in Redis, never before."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram

from state.errors import FencedError, OwnershipLost
from state.flush import FlushBatch
from state.keys import Partition
from workers.metrics import EVENTS, OUTCOMES, SECONDS, Live, Sample
from workers.standing import Standing
from workers.tally import Tally


class IngestMetrics:
    """Told by the worker what it did; reads how its partitions stand."""

    def __init__(
        self,
        registry: CollectorRegistry,
        standings: Callable[[], Iterable[tuple[Partition, Standing]]],
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`standings`: how each partition that is owned stands now; `wall`: UTC, seconds since 1970."""
        self._wall = wall

        def counter(name: str, tells: str, *labels: str) -> Counter:
            return Counter(f"tidewatch_ingest_{name}", tells, labels, registry=registry)

        def histogram(name: str, tells: str, buckets: tuple[float, ...] = SECONDS) -> Histogram:
            return Histogram(f"tidewatch_ingest_{name}", tells, registry=registry, buckets=buckets)

        self._events = counter("events_total", "Events flushed", "partition", "outcome")
        self._sources = counter("source_events_total", "Events flushed, by source", "source", "outcome")
        self._rejects = counter("rejects_total", "Events rejected, by reason", "reason")
        self._letters = counter("dead_letters_total", "Dead letters that Kafka has acknowledged")
        self._rows = counter("rows_total", "Rows written to Redis")
        self._bytes = counter("written_bytes_total", "Rows, windows and counts as sent to Redis")
        self._acquires = counter("acquires_total", "Partitions taken over", "partition")
        self._refused = counter("refused_total", "Refusals as the owner of a partition", "partition", "reason")
        self._batch = histogram("batch_events", "Events in one flush", EVENTS)
        self._flush = histogram("flush_seconds", "One flush, waiting for Redis included")
        self._letter_s = histogram("dead_letter_seconds", "One batch's dead letters, until acknowledged")
        self._latency = histogram("latency_seconds", "From a batch's first record to being in Redis")
        self._acquire = histogram("acquire_seconds", "Taking a partition over")
        self._declare_standings(registry, standings)

    def _declare_standings(
        self, registry: CollectorRegistry, standings: Callable[[], Iterable[tuple[Partition, Standing]]]
    ) -> None:
        live = Live(registry)

        def gauge(name: str, tells: str, read: Callable[[Standing], float | None]) -> None:
            def samples() -> Iterable[Sample]:
                values = [(p, read(standing)) for p, standing in standings()]
                return [((str(p),), value) for p, value in values if value is not None]

            live.gauge(f"tidewatch_ingest_{name}", tells, ("partition",), samples)

        gauge("offset", "Next offset, as in Redis", lambda s: s.flushed)
        gauge("end_offset", "End of the log", lambda s: s.end)
        gauge("lag_messages", "Messages that Redis does not hold yet", lambda s: s.messages())
        gauge("lag_seconds", "Age of the oldest message that Redis does not hold, at most", lambda s: s.seconds())
        gauge("progress_timestamp_seconds", "When the partition last got on", lambda s: s.progress())
        gauge("watermark_timestamp_seconds", "Highest event time accepted", lambda s: s.watermark_s())
        gauge("catalogue_version", "Catalogue in force", lambda s: s.catalogue)

        def stored() -> Iterable[Sample]:
            return [
                ((str(p), outcome), value)
                for p, standing in standings()
                for outcome, value in zip(OUTCOMES, standing.stored(), strict=True)
            ]

        live.gauge("tidewatch_ingest_stored_events", "Events counted in Redis, ever", ("partition", "outcome"), stored)
        live.register()

    def flushed(self, partition: Partition, tally: Tally, batch: FlushBatch, rows: int, seconds: float) -> None:
        """A batch is in Redis: `tally` of its events, `rows` changed; the write took `seconds`."""
        name = str(partition)
        for outcome, number in zip(OUTCOMES, (tally.accepted, tally.duplicates, tally.rejected), strict=True):
            if number:
                self._events.labels(name, outcome).inc(number)
        for source, numbers in tally.sources.items():
            for outcome, number in zip(OUTCOMES, numbers, strict=True):
                if number:
                    self._sources.labels(source, outcome).inc(number)
        for reason, number in tally.reasons.items():
            self._rejects.labels(reason).inc(number)
        self._batch.observe(tally.events)
        self._flush.observe(seconds)
        if tally.events:
            self._latency.observe(max(0.0, self._wall() - tally.first_ms / 1000))
        self._rows.inc(rows)
        self._bytes.inc(len(batch.rows) + len(batch.windows) + len(batch.counts))

    def lettered(self, letters: int, seconds: float) -> None:
        """Kafka has acknowledged a batch's dead letters."""
        self._letters.inc(letters)
        self._letter_s.observe(seconds)

    def acquired(self, partition: Partition, seconds: float) -> None:
        """A partition was taken over, which took `seconds`."""
        self._acquires.labels(str(partition)).inc()
        self._acquire.observe(seconds)

    def refused(self, partition: Partition, refusal: OwnershipLost) -> None:
        """Redis refused us as the owner."""
        self._refused.labels(str(partition), "fenced" if isinstance(refusal, FencedError) else "rewound").inc()
