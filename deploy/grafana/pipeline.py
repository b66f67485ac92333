"""The dashboard "Pipeline health": from the log to the topics, where does it wait?"""

from __future__ import annotations

from panels import Panel, Variable, dashboard

VARIABLES = (Variable("system", "system", "tidewatch_index_running"),)
BY = 'system=~"$system"'


def quantiles(metric: str, by: str, legend: str, matching: str = "") -> tuple[tuple[str, str], ...]:
    """Queries of the median and the 99th percentile of a histogram. `by`: further labels, each followed by a comma."""
    rate = f"sum by ({by}le) (rate({metric}_bucket{matching}[$__rate_interval]))"
    return tuple((f"histogram_quantile({q}, {rate})", f"{legend}{name}") for q, name in ((0.5, "p50"), (0.99, "p99")))


def both(metric: str) -> tuple[tuple[str, str], ...]:
    """Queries of the two quantiles over all workers."""
    return quantiles(metric, "", "")


def of_systems(metric: str) -> tuple[tuple[str, str], ...]:
    """Queries of the two quantiles of each system."""
    return quantiles(metric, "system, ", "{{system}} ", f"{{{BY}}}")


ROWS = {
    "Workers": (
        Panel(
            "Ready",
            "Workers that make progress, and those that do not (their /readyz says why).",
            (
                ("count by (job) (tidewatch_worker_ready == 1)", "{{job}} ready"),
                ("count by (job) (tidewatch_worker_ready == 0) or vector(0)", "{{job}} not ready"),
            ),
            kind="stat",
            unit="none",
        ),
        Panel(
            "Alerts on the system itself",
            "The watchdog always fires; each of the others has its heading in docs/runbook.md.",
            (('count by (alertname, severity) (ALERTS{alertstate="firing"})', "{{alertname}} ({{severity}})"),),
            stacked=True,
        ),
        Panel(
            "Versions",
            "More than one only while an upgrade is under way.",
            (("count by (worker, version) (tidewatch_build_info)", "{{worker}} {{version}}"),),
            kind="stat",
            unit="none",
        ),
        Panel(
            "Waiting for a server",
            "Tasks that wait for Kafka or Redis now.",
            (("sum by (job, server) (tidewatch_server_waiting)", "{{job}} {{server}}"),),
            red_above=1,
        ),
        Panel(
            "Longest time since a task's turn",
            "Grows when a task hangs.",
            (("max by (job, task) (tidewatch_worker_still_seconds)", "{{job}} {{task}}"),),
            unit="s",
            red_above=30,
        ),
        Panel(
            "Processor",
            "Cores used. One is all that a worker can use for long: then it is time for another.",
            (
                (
                    'sum by (job, instance) (rate(process_cpu_seconds_total{job=~"tidewatch-.+"}[$__rate_interval]))',
                    "{{job}} {{instance}}",
                ),
            ),
        ),
        Panel(
            "Memory",
            "Resident, of each worker.",
            (('max by (job, instance) (process_resident_memory_bytes{job=~"tidewatch-.+"})', "{{job}} {{instance}}"),),
            unit="bytes",
        ),
    ),
    "Ingest": (
        Panel(
            "Events",
            "Flushed to Redis a second, by outcome.",
            (("sum by (outcome) (rate(tidewatch_ingest_events_total[$__rate_interval]))", "{{outcome}}"),),
            unit="ops",
        ),
        Panel(
            "Lag in messages",
            "In the log, not yet in Redis.",
            (("min by (partition) (tidewatch_ingest_lag_messages)", "partition {{partition}}"),),
            stacked=True,
        ),
        Panel(
            "Lag in seconds",
            "At most so old is the oldest message that Redis does not hold.",
            (("min by (partition) (tidewatch_ingest_lag_seconds)", "partition {{partition}}"),),
            unit="s",
            red_above=60,
        ),
        Panel(
            "Since a partition got on",
            "A flush, or Kafka's word that nothing is left to do. One that climbs is stuck.",
            (("time() - max by (partition) (tidewatch_ingest_progress_timestamp_seconds)", "partition {{partition}}"),),
            unit="s",
            red_above=60,
        ),
        Panel(
            "From the log to Redis", "Of a batch's first record.", both("tidewatch_ingest_latency_seconds"), unit="s"
        ),
        Panel("One flush", "Redis's answer included.", both("tidewatch_ingest_flush_seconds"), unit="s", red_above=1),
        Panel("Events in a flush", "Grows with the lag.", both("tidewatch_ingest_batch_events")),
        Panel(
            "Owners",
            "Partitions of each worker.",
            (("count by (instance) (tidewatch_ingest_offset)", "{{instance}}"),),
            stacked=True,
        ),
        Panel(
            "Refused by Redis",
            "Fenced: another worker owns it. Rewound: Redis lost its last writes.",
            (
                (
                    "sum by (partition, reason) (increase(tidewatch_ingest_refused_total[$__rate_interval]))"
                    " or vector(0)",
                    "{{partition}} {{reason}}",
                ),
            ),
        ),
    ),
    "Index": (
        Panel(
            "Age of what is published",
            "0 while everything in the log is published.",
            ((f"min by (system) (tidewatch_index_lag_seconds{{{BY}}})", "{{system}}"),),
            unit="s",
            red_above=60,
        ),
        Panel(
            "Messages that no revision includes",
            "In the log, not yet published.",
            ((f"min by (system) (tidewatch_index_lag_messages{{{BY}}})", "{{system}}"),),
        ),
        Panel(
            "Since the last revision",
            "Climbs while nothing comes in as well.",
            ((f"time() - max by (system) (tidewatch_index_revision_timestamp_seconds{{{BY}}})", "{{system}}"),),
            unit="s",
        ),
        Panel(
            "From the feed to the commit",
            "Of a revision's first difference.",
            of_systems("tidewatch_index_latency_seconds"),
            unit="s",
        ),
        Panel(
            "Evaluating",
            "What was touched, with growth and ranks.",
            of_systems("tidewatch_index_diff_seconds"),
            unit="s",
        ),
        Panel("One transaction", "Kafka's answer.", of_systems("tidewatch_index_transaction_seconds"), unit="s"),
        Panel(
            "Records",
            "Published a second, by topic.",
            ((f"sum by (topic) (rate(tidewatch_index_records_total{{{BY}}}[$__rate_interval]))", "{{topic}}"),),
            unit="ops",
        ),
        Panel(
            "Active",
            "1 while a system follows the feed. Two workers of one system: a hand-over.",
            ((f"sum by (system, instance) (tidewatch_index_running{{{BY}}})", "{{system}} {{instance}}"),),
        ),
        Panel(
            "Begun anew",
            "In the last hour, by reason.",
            (
                (
                    f"sum by (system, reason) (increase(tidewatch_index_reconciles_total{{{BY}}}[1h]))",
                    "{{system}} {{reason}}",
                ),
            ),
        ),
    ),
    "Redis": (
        Panel(
            "Memory",
            "Used, and the limit above which it refuses writes (0: none).",
            (
                ("max by (node) (tidewatch_redis_memory_bytes)", "{{node}}"),
                ("max by (node) (tidewatch_redis_memory_limit_bytes)", "{{node}} limit"),
            ),
            unit="bytes",
        ),
        Panel(
            "Append-only file",
            "Grows until it is rewritten.",
            (("max by (node) (tidewatch_redis_aof_bytes)", "{{node}}"),),
            unit="bytes",
        ),
        Panel(
            "Writes reach the disk",
            "0: its disk is full, or broken.",
            (("min by (node) (tidewatch_redis_persistence_ok)", "{{node}}"),),
            kind="stat",
            unit="none",
        ),
        Panel(
            "Change feeds",
            "A few seconds' worth: bounded.",
            (("max by (partition) (tidewatch_redis_feed_bytes)", "partition {{partition}}"),),
            unit="bytes",
            stacked=True,
        ),
    ),
    "Alert worker": (
        Panel(
            "Age of what the rules have not seen",
            "0 while every revision has been evaluated.",
            (("min by (system) (tidewatch_alerts_lag_seconds)", "{{system}}"),),
            unit="s",
            red_above=30,
        ),
        Panel("Evaluating one revision", "All rules.", both("tidewatch_alerts_evaluation_seconds"), unit="s"),
        Panel(
            "Notifications",
            "In the last hour, by output and outcome.",
            (
                (
                    "sum by (output, outcome) (increase(tidewatch_alerts_notifications_total[1h])) or vector(0)",
                    "{{output}} {{outcome}}",
                ),
            ),
        ),
    ),
}


def board() -> dict[str, object]:
    """Its JSON."""
    return dashboard("tidewatch-pipeline", "Pipeline health", (__doc__ or "").strip(), VARIABLES, ROWS)
