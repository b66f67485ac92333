"""`tidewatch alerts test`."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from workers.output import console, emit, note, told
from workers.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")]
_SCENARIOS = "mixed, quiet, or one of city, province, indicator, slide, spike, dip, holiday, quarter, source, still"


def play_scenario(
    scenario: Annotated[str, typer.Option("--scenario", "-s", help=_SCENARIOS)] = "mixed",
    seed: Annotated[int, typer.Option(min=0, help="of places, times, sizes and noise")] = 1,
    json: Json = False,
) -> None:
    """Play a scenario with planted drops through the rules: what would fire, when, and how late. No server is asked.

    Exit code 0 where every fall of 20 % or more was heard and nothing fired without a cause.
    """
    from workers.alert_trial import run_alert_trial

    with told():
        result = run_alert_trial(scenario, seed, Settings(), note)
        if json:
            emit(result)
        else:
            show(result)
        raise typer.Exit(0 if result["heard"] == result["required"] and not result["false"] else 1)


def show(result: dict[str, Any]) -> None:
    """Tables for people: what was planted and who heard of it, what fired, and the sums."""
    planted = _table("planted", "what", "where", "first day", "last day", "falls by", "heard by", "on", "days late")
    for plant in result["plants"]:
        where = plant["entity"] + (f" {', '.join(plant['indicators'])}" if plant["indicators"] else "")
        by = plant["rule"] or ("MISSED" if plant["required"] else "-")
        fall = f"{plant['fall']:.0%}" if plant["fall"] else "-"
        late = "" if plant["delay_days"] is None else str(plant["delay_days"])
        planted.add_row(plant["kind"], where, plant["first"], plant["last"], fall, by, plant["on"] or "", late)
    console.print(planted)
    fired = _table("fired", "on", "until", "rule", "severity", "what", "value", "bound", "due to", "ms")
    for alert in result["alerts"]:
        if alert["state"] == "firing":
            due = "a plant" if alert["right"] else "NOTHING"
            fired.add_row(
                alert["on"], alert["ended"] or "", alert["rule"], alert["severity"], alert["subject"],
                f"{alert['value']:.3f}", f"{alert['bound']:g}", due, f"{alert['wall_ms']:.0f}",
            )  # fmt: skip
    console.print(fired)
    held = sum(alert["state"] == "held" for alert in result["alerts"])
    console.print(
        f"{result['days']} days, seed {result['seed']}: {result['heard']} of {result['required']} falls of 20 % "
        f"or more heard, {result['silences_heard']} of {result['silences']} silences; {result['false']} alerts "
        f"due to nothing; {held} held back. Days of event time until heard: {result['delay_days'] or '-'}; "
        f"milliseconds from a day's cells to its alerts: {result['wall_ms'] or '-'}",
        markup=False,
        highlight=False,
    )


def _table(title: str, *columns: str) -> Table:
    made = Table(title=title, title_justify="left")
    for column in columns:
        made.add_column(column)
    return made
