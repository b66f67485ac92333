"""The dashboard "Data quality": what the sources send, what of it counts, and how much of each index rests on data."""

from __future__ import annotations

from panels import Panel, Variable, dashboard

VARIABLES = (Variable("system", "system", "tidewatch_index_coverage_ratio"),)
BY = 'system=~"$system"'
SOURCES = "sum by (source) (rate(tidewatch_ingest_source_events_total"

ROWS = {
    "Events": (
        Panel(
            "Stored since the log began",
            "Exact over restarts: Redis counts them with the sums.",
            (("sum by (outcome) (max by (partition, outcome) (tidewatch_ingest_stored_events))", "{{outcome}}"),),
            kind="stat",
            unit="none",
        ),
        Panel(
            "Published",
            "Included in the last revision. Equal to what is stored once the lag is 0.",
            ((f"max by (system, outcome) (tidewatch_index_published_events{{{BY}}})", "{{system}} {{outcome}}"),),
            kind="stat",
            unit="none",
        ),
        Panel(
            "Rejected and repeated",
            "Of all events.",
            (
                (
                    '(sum(rate(tidewatch_ingest_events_total{outcome="rejected"}[$__rate_interval])) or vector(0))'
                    " / (sum(rate(tidewatch_ingest_events_total[$__rate_interval])) > 0)",
                    "rejected",
                ),
                (
                    '(sum(rate(tidewatch_ingest_events_total{outcome="duplicate"}[$__rate_interval])) or vector(0))'
                    " / (sum(rate(tidewatch_ingest_events_total[$__rate_interval])) > 0)",
                    "repeated",
                ),
            ),
            unit="percentunit",
        ),
        Panel(
            "Rejects by reason",
            "A second; docs/formats.md section 2 says what each means.",
            (("sum by (reason) (rate(tidewatch_ingest_rejects_total[$__rate_interval])) or vector(0)", "{{reason}}"),),
            unit="ops",
            stacked=True,
        ),
        Panel(
            "Dead letters",
            "Written a second. `tidewatch dlq list` shows them.",
            (("sum(rate(tidewatch_ingest_dead_letters_total[$__rate_interval]))", "letters"),),
            unit="ops",
        ),
    ),
    "Sources": (
        Panel(
            "Events by source",
            "Patterns of the catalogue's sources.csv; `other` where none matches.",
            ((f"{SOURCES}[$__rate_interval]))", "{{source}}"),),
            unit="ops",
            stacked=True,
        ),
        Panel(
            "Rejected by source",
            "A second.",
            ((f'{SOURCES}{{outcome="rejected"}}[$__rate_interval])) or vector(0)', "{{source}}"),),
            unit="ops",
        ),
        Panel(
            "Repeated by source",
            "A second. A source that repeats much does not get its acknowledgements.",
            ((f'{SOURCES}{{outcome="duplicate"}}[$__rate_interval])) or vector(0)', "{{source}}"),),
            unit="ops",
        ),
        Panel(
            "Silent sources, cities, indicators",
            "Alerts of the rules of type silence: data faults, not movements.",
            (('sum by (rule) (tidewatch_alerts_firing{rule=~".*silent"}) or vector(0)', "{{rule}}"),),
        ),
    ),
    "Time": (
        Panel(
            "Data to, by partition",
            "Highest event time accepted.",
            (
                (
                    "max by (partition) (tidewatch_ingest_watermark_timestamp_seconds) * 1000",
                    "partition {{partition}}",
                ),
            ),
            unit="dateTimeAsIso",
        ),
        Panel(
            "Spread of the partitions",
            "Event time between the first and the last. Over a day: the last ones count as idle.",
            (
                (
                    "max(tidewatch_ingest_watermark_timestamp_seconds) - min(max by (partition)"
                    " (tidewatch_ingest_watermark_timestamp_seconds))",
                    "spread",
                ),
            ),
            unit="s",
        ),
        Panel(
            "Catalogue",
            "Version in force, by partition; and of the boards.",
            (
                ("max by (partition) (tidewatch_ingest_catalogue_version)", "partition {{partition}}"),
                ("max(tidewatch_index_catalogue_version)", "boards"),
            ),
            unit="none",
        ),
    ),
    "Coverage": (
        Panel(
            "Mean coverage",
            "Weight of the indicators that have data, over the base entities; one without data counts 0.",
            ((f"max by (system, grain) (tidewatch_index_coverage_ratio{{{BY}}})", "{{system}} {{grain}}"),),
            unit="percentunit",
        ),
        Panel(
            "Cities without a value",
            "In the latest period of each grain.",
            ((f'max by (system, grain) (tidewatch_index_entities{{{BY}, move="missing"}})', "{{system}} {{grain}}"),),
        ),
        Panel(
            "Cities without a growth",
            "They have a value and nothing to compare it with.",
            ((f'max by (system, grain) (tidewatch_index_entities{{{BY}, move="unknown"}})', "{{system}} {{grain}}"),),
        ),
    ),
}


def board() -> dict[str, object]:
    """Its JSON."""
    return dashboard("tidewatch-quality", "Data quality", (__doc__ or "").strip(), VARIABLES, ROWS)
