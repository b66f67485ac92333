"""Are the default rules right? `python -m bench.alerts --seed N`: precision, recall and delay on planted drops.

For each seed two plays of nine quarters over all cities, through the engine and the rules without servers: one with
planted drops and with what only looks like one (`workers.scenario.drops`), one quiet. Then, once, the real way:
servers, workers, an open-loop feed with many plants, and the time from an event's append to the alert on its topic
(`bench.alert_delay`).
"""

from __future__ import annotations

from collections import defaultdict
from typing import Annotated, Any

import typer

from bench.common import emit, load, machine, note, notes, percentile, say_machine, table, verdict, versions
from workers.alert_trial import run_alert_trial
from workers.output import told
from workers.settings import Settings

BUDGET_P99_MS = 1000.0


def judge(seed: int) -> dict[str, Any]:
    """Both plays of a seed."""
    settings = Settings()
    return {name: run_alert_trial(name, seed, settings, note) for name in ("mixed", "quiet")}


def together(seeds: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Over all seeds: recall on falls that are required, false alarms of quiet plays, and per rule."""
    mixed, quiet = ([each[name] for each in seeds.values()] for name in ("mixed", "quiet"))
    rules: dict[str, dict[str, Any]] = defaultdict(lambda: {"right": 0, "false": 0, "held": 0, "days": [], "quiet": 0})
    for result in mixed:
        for name, found in result["rules"].items():
            for key in ("right", "false", "held"):
                rules[name][key] += found[key]
            rules[name]["days"] += found["delays_days"]
    for result in quiet:
        for name, found in result["rules"].items():
            rules[name]["quiet"] += found["right"] + found["false"]
    required, heard = (sum(result[key] for result in mixed) for key in ("required", "heard"))
    silences, silences_heard = (sum(result[key] for result in mixed) for key in ("silences", "silences_heard"))
    right, false = (sum(rule[key] for rule in rules.values()) for key in ("right", "false"))
    return {
        "rules": {name: _rule(found) for name, found in sorted(rules.items())},
        "required": required,
        "heard": heard,
        "recall": heard / required if required else None,
        "silences": silences,
        "silences_heard": silences_heard,
        "right": right,
        "false": false,
        "precision": right / (right + false) if right + false else None,
        "quiet_false": sum(rule["quiet"] for rule in rules.values()),
        "quiet_years": round(sum(result["days"] for result in quiet) / 365.25, 2),
    }


def _rule(found: dict[str, Any]) -> dict[str, Any]:
    said, days = found["right"] + found["false"], sorted(found["days"])
    return {
        **{key: found[key] for key in ("right", "false", "held", "quiet")},
        "heard": len(days),
        "precision": round(found["right"] / said, 4) if said else None,
        "delay_days_p50": percentile(days, 0.5) if days else None,
        "delay_days_max": days[-1] if days else None,
    }


def show(result: dict[str, Any], seeds: dict[int, dict[str, Any]]) -> None:
    """The tables for people, on standard error."""
    shown = table(
        f"alerts, {len(seeds)} seeds: {', '.join(map(str, seeds))}",
        "rule", "right", "false", "precision", "held", "plants heard", "delay days p50", "max", "in quiet plays",
    )  # fmt: skip
    for name, found in result["rules"].items():
        shown.add_row(name, *("" if found[key] is None else str(found[key]) for key in (
            "right", "false", "precision", "held", "heard", "delay_days_p50", "delay_days_max", "quiet")))  # fmt: skip
    notes.print(shown)
    for seed, plays in seeds.items():
        for plant in plays["mixed"]["plants"]:
            if plant["required"] and plant["rule"] is None:
                note(f"seed {seed} MISSED: {plant}")
        for name, played in plays.items():
            for each in played["alerts"]:
                if each["right"] is False:
                    what = f"{each['rule']} {each['subject']} {each['on']} {each['value']:.3f}"
                    note(f"seed {seed} {name} FALSE: {what}")
    shown = table("targets", "what", "seen", "target")
    recall = f"{result['heard']} of {result['required']}"
    shown.add_row("falls of 20 % or more that were heard", recall, f"all {verdict(result['recall'] == 1.0)}")
    shown.add_row("silences that were heard", f"{result['silences_heard']} of {result['silences']}", "")
    shown.add_row(
        "alerts that were right, among plants", f"{result['right']} of {result['right'] + result['false']}", ""
    )
    shown.add_row(f"alarms in {result['quiet_years']} quiet years", str(result["quiet_false"]),
                  f"none {verdict(not result['quiet_false'])}")  # fmt: skip
    delay = result.get("pipeline")
    if delay:
        shown.add_row(f"event appended -> alert on the topic, {delay['alerts']} alerts",
                      f"p50 {delay['p50_ms']:.0f} ms, p99 {delay['p99_ms']:.0f} ms",
                      f"p99 < {BUDGET_P99_MS:.0f} ms {verdict(delay['p99_ms'] < BUDGET_P99_MS)}")  # fmt: skip
    notes.print(shown)


def main(
    seed: Annotated[
        list[int] | None, typer.Option(help="of the plants and the noise; may be given more than once")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="so many seeds, from the (first) one given on")] = 1,
    pipeline: Annotated[bool, typer.Option(help="measure the delay on real servers as well")] = True,
    rate: Annotated[int, typer.Option(min=500, help="events a second of that run")] = 700,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")] = False,
) -> None:
    """Measure the quality of the default rules."""
    with told():
        before = load()
        first = seed or [1]
        chosen = [*first, *range(first[-1] + 1, first[-1] + seeds)]
        judged = {number: judge(number) for number in dict.fromkeys(chosen)}
        result = together(judged)
        if pipeline:
            from bench.alert_delay import measure

            result["pipeline"] = measure(chosen[0], rate)
        about = machine() | {"load_before": before}
        result |= {"machine": about, "versions": versions()}
        show(result, judged)
        say_machine(about, result["versions"])
        if json:
            emit(result | {"seeds": {str(number): plays for number, plays in judged.items()}})


if __name__ == "__main__":
    typer.run(main)
