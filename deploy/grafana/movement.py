"""The dashboard "Index movement": what the indices do, and what the alert rules say of it."""

from __future__ import annotations

from panels import Panel, Variable, dashboard

BY = 'system=~"$system"'
AT = f'{BY}, grain=~"$grain"'
VARIABLES = (
    Variable("system", "system", "tidewatch_index_value"),
    Variable("grain", "period", "tidewatch_index_value"),
)

ROWS = {
    "The nation": (
        Panel(
            "Value",
            "The nation's value in the latest period of each grain. An open period begins low and grows.",
            ((f"max by (system, grain) (tidewatch_index_value{{{AT}}})", "{{system}} {{grain}}"),),
        ),
        Panel(
            "Growth",
            "To date while the period is open, else over the period before. Missing in a period's first days.",
            ((f"max by (system, grain) (tidewatch_index_growth_ratio{{{AT}}})", "{{system}} {{grain}}"),),
            unit="percentunit",
        ),
        Panel(
            "Data to",
            "Event time up to which the sources have reported (the watermark).",
            ((f"max by (system) (tidewatch_index_watermark_timestamp_seconds{{{BY}}}) * 1000", "{{system}}"),),
            unit="dateTimeAsIso",
            kind="stat",
        ),
    ),
    "Cities": (
        Panel(
            "Cities by move",
            "Base entities in the latest period. Many that turn from rising to falling at once: look at the alerts.",
            ((f"sum by (system, grain, move) (tidewatch_index_entities{{{AT}}})", "{{system}} {{grain}} {{move}}"),),
            stacked=True,
        ),
        Panel(
            "Share that falls",
            "Of the base entities that have a growth.",
            (
                (
                    f'sum by (system, grain) (tidewatch_index_entities{{{AT}, move="falling"}})'
                    f' / (sum by (system, grain) (tidewatch_index_entities{{{AT}, move=~"rising|falling|still"}}) > 0)',
                    "{{system}} {{grain}}",
                ),
            ),
            unit="percentunit",
        ),
        Panel(
            "Rows that moved",
            "Rows of rankings whose value or rank moved, a second.",
            ((f"sum by (system) (rate(tidewatch_index_moved_rows_total{{{BY}}}[$__rate_interval]))", "{{system}}"),),
            unit="ops",
        ),
    ),
    "Revisions": (
        Panel(
            "Revisions",
            "Transactions committed a second, by reason.",
            (
                (
                    f"sum by (system, reason) (rate(tidewatch_index_revisions_total{{{BY}}}[$__rate_interval]))",
                    "{{system}} {{reason}}",
                ),
            ),
            unit="ops",
        ),
        Panel(
            "Last revision",
            "Its number.",
            ((f"max by (system) (tidewatch_index_revision{{{BY}}})", "{{system}}"),),
            kind="stat",
            unit="none",
        ),
        Panel(
            "Age of what is published",
            "0 while everything in the log is published.",
            ((f"min by (system) (tidewatch_index_lag_seconds{{{BY}}})", "{{system}}"),),
            unit="s",
            red_above=60,
        ),
    ),
    "Alerts on the indices": (
        Panel(
            "Firing",
            "By rule of systems/alerts.toml; `tidewatch alerts` lists them with their cause.",
            (("sum by (rule, severity) (tidewatch_alerts_firing)", "{{rule}} ({{severity}})"),),
            stacked=True,
        ),
        Panel(
            "Held back and silenced",
            "Held: explained by a source that fell silent, or grouped under another alert. Silenced: by a person.",
            (
                ("sum by (rule) (tidewatch_alerts_held)", "{{rule}} held"),
                ("sum by (rule) (tidewatch_alerts_silenced)", "{{rule}} silenced"),
            ),
            stacked=True,
        ),
        Panel(
            "Began and ended",
            "In the last hour.",
            (
                (
                    "sum by (rule, to) (increase(tidewatch_alerts_transitions_total[1h])) or vector(0)",
                    "{{rule}} {{to}}",
                ),
            ),
        ),
    ),
}


def board() -> dict[str, object]:
    """Its JSON."""
    return dashboard("tidewatch-movement", "Index movement", (__doc__ or "").strip(), VARIABLES, ROWS)
