"""The index worker's metrics (docs/metrics.md). Counters move when a transaction is committed, never before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram

from index.diff import Diff
from stream.topics import DELTAS, RANKINGS, UPDATES
from workers.metrics import OUTCOMES, SECONDS, Live, Sample
from workers.movement import movements
from workers.redis_look import RedisLook
from workers.system_standing import SystemStanding

if TYPE_CHECKING:
    from index.board import Board
    from workers.hub import Hub


class RunningSystem(Protocol):
    """What is read of a system that runs."""

    system: str
    standing: SystemStanding

    @property
    def version(self) -> int:
        """Of its definition."""

    @property
    def board(self) -> Board | None:
        """None before the first."""


class IndexMetrics:
    """Told by the systems what they did; reads how they, the hub and Redis stand."""

    def __init__(self, registry: CollectorRegistry, systems: Callable[[], Iterable[RunningSystem]]) -> None:
        """`systems`: those that this worker runs now."""

        def counter(name: str, tells: str, *labels: str) -> Counter:
            return Counter(f"tidewatch_index_{name}", tells, ["system", *labels], registry=registry)

        def histogram(name: str, tells: str) -> Histogram:
            return Histogram(f"tidewatch_index_{name}", tells, ["system"], registry=registry, buckets=SECONDS)

        self._revisions = counter("revisions_total", "Revisions committed", "reason")
        self._records = counter("records_total", "Records published", "topic")
        self._moved = counter("moved_rows_total", "Rows of rankings that moved")
        self._reconciles = counter("reconciles_total", "Beginnings from what is committed", "reason")
        self._diff = histogram("diff_seconds", "Evaluating what was touched, with growth and ranks")
        self._transaction = histogram("transaction_seconds", "One Kafka transaction")
        self._latency = histogram("latency_seconds", "From a revision's first difference to its commit")
        self._reconcile = histogram("reconcile_seconds", "From the beginning to following the feed")
        self._systems = systems
        self._declare_systems(registry)

    def _declare_systems(self, registry: CollectorRegistry) -> None:
        live, systems = Live(registry), self._systems

        def gauge(name: str, tells: str, read: Callable[[RunningSystem], float | None]) -> None:
            def samples() -> Iterable[Sample]:
                values = [(each.system, read(each)) for each in systems()]
                return [((system,), value) for system, value in values if value is not None]

            live.gauge(f"tidewatch_index_{name}", tells, ("system",), samples)

        gauge("running", "1 while revisions follow the feed", lambda s: float(s.standing.running))
        gauge("revision", "Number of the last revision", lambda s: s.standing.revision)
        gauge("revision_timestamp_seconds", "When it was committed", lambda s: s.standing.committed_s)
        gauge("lag_messages", "Messages that no revision includes yet", lambda s: s.standing.lag_messages())
        gauge("lag_seconds", "How old what is published is, at most", lambda s: s.standing.lag_s())
        gauge("definition_version", "Definition that is run", lambda s: s.version)
        gauge(
            "watermark_timestamp_seconds", "Watermark of the system",
            lambda s: None if s.standing.watermark_us is None else s.standing.watermark_us / 1e6,
        )  # fmt: skip

        def published() -> Iterable[Sample]:
            for each in systems():
                counts = each.standing.counts
                numbers = counts.accepted, counts.duplicate, sum(counts.rejected.values())
                yield from (((each.system, o), float(n)) for o, n in zip(OUTCOMES, numbers, strict=True))

        live.gauge("tidewatch_index_published_events", "Events in the last revision", ("system", "outcome"), published)

        def moves(name: str) -> Callable[[], Iterable[Sample]]:
            return lambda: [
                ((each.system, *labels), value)
                for each in systems()
                if each.board is not None
                for labels, value in movements(each.board, name)
            ]

        labels = ("system", "grain")
        live.gauge("tidewatch_index_value", "The nation's latest value", labels, moves("value"))
        live.gauge("tidewatch_index_growth_ratio", "The nation's latest growth", labels, moves("growth"))
        live.gauge("tidewatch_index_coverage_ratio", "Mean coverage of base entities", labels, moves("coverage"))
        live.gauge("tidewatch_index_entities", "Base entities by move", (*labels, "move"), moves("entities"))
        live.register()

    def watch(self, registry: CollectorRegistry, hub: Hub, ends: Callable[[], dict[int, int]], look: RedisLook) -> None:
        """Declare what is read of the hub, of the log's ends, and of Redis."""
        live = Live(registry)

        def numbers(read: Callable[[], dict[int, int]]) -> Callable[[], Iterable[Sample]]:
            return lambda: [((str(p),), float(n)) for p, n in read().items()]

        by_partition, name = ("partition",), "tidewatch_index_"
        live.gauge(f"{name}catalogue_version", "Of the boards", (), lambda: [((), hub.catalogue.version)])
        live.gauge(f"{name}applied_offset", "Next offset of the feed", by_partition, numbers(hub.positions))
        live.gauge(f"{name}end_offset", "End of the log", by_partition, numbers(ends))
        live.counter(f"{name}feed_entries_total", "Feed entries applied", (), lambda: [((), hub.entries)])
        live.counter(
            f"{name}feed_loads_total",
            "Loads after a gap",
            by_partition,
            numbers(lambda: {int(p): n for p, n in hub.loads.items()}),
        )
        live.gauge(
            "tidewatch_redis_feed_bytes",
            "What a feed holds",
            by_partition,
            numbers(lambda: {int(p): n for p, n in look.feed_bytes.items()}),
        )

        def info(field: str) -> Callable[[], Iterable[Sample]]:
            return lambda: [((node,), float(held[field])) for node, held in look.info.items() if field in held]

        by_node, name = ("node",), "tidewatch_redis_"
        live.gauge(f"{name}memory_bytes", "Memory used", by_node, info("used_memory"))
        live.gauge(f"{name}memory_limit_bytes", "maxmemory; 0: none", by_node, info("maxmemory"))
        live.gauge(f"{name}aof_bytes", "Append-only file", by_node, info("aof_current_size"))
        live.gauge(
            f"{name}persistence_ok", "1 while writes reach the disk", by_node,
            lambda: [((node,), float(ok)) for node, ok in look.persistence_ok()],
        )  # fmt: skip
        live.register()

    def diffed(self, system: str, seconds: float) -> None:
        """What was touched has been evaluated."""
        self._diff.labels(system).observe(seconds)

    def committed(self, system: str, reason: str, diff: Diff, tables: int, seconds: float, since_s: float) -> None:
        """A revision is committed: `tables` whole tables besides the `diff`; the transaction took `seconds`.

        `since_s`: seconds since the first difference that it holds.
        """
        self._revisions.labels(system, reason).inc()
        for topic, number in ((UPDATES, len(diff.updates)), (DELTAS, len(diff.deltas)), (RANKINGS, tables)):
            self._records.labels(system, topic).inc(number)
        self._moved.labels(system).inc(sum(len(delta["moved"]["entity"]) for delta in diff.deltas))
        self._transaction.labels(system).observe(seconds)
        self._latency.labels(system).observe(since_s)

    def reconciling(self, system: str, reason: str) -> None:
        """A system begins from what is committed."""
        self._reconciles.labels(system, reason).inc()

    def reconciled(self, system: str, seconds: float) -> None:
        """It follows the feed now."""
        self._reconcile.labels(system).observe(seconds)
