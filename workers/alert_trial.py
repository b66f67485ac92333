"""`tidewatch alerts test`: a scenario with planted drops, what the rules say to it, and how late.

Scenarios: each kind of plant by itself (`workers.scenario.drops`), `mixed` (some of each, 9 quarters), `quiet` (none).
Places, times and sizes follow from the seed. No server is asked; the rules are those of `systems/alerts.toml`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from index.catalogue import Catalogue
from index.definition import Definition
from index.rules import read_rules
from index.rules.rule import FILE
from workers.alert_play import Fired, Played, Stage, play
from workers.alert_score import Heard, Score, score
from workers.scenario import load
from workers.scenario.daily import Daily, daily
from workers.scenario.drops import KINDS, MIXED, draw
from workers.scenario.planted import Planted
from workers.settings import Settings

SYSTEM = "dti-2023"
SCENARIOS = ("mixed", "quiet", *KINDS)
SHORT = 300  # days of a play with one plant


def plan(scenario: str, seed: int, catalogue: Catalogue) -> Planted:
    """The play of a scenario: the same seed, the same play. ValueError for an unknown one."""
    if scenario not in SCENARIOS:
        raise ValueError(f"no scenario {scenario!r}; there are {', '.join(SCENARIOS)}")
    rng = np.random.default_rng([seed, SCENARIOS.index(scenario)])
    days = daily(load(catalogue, SYSTEM), rng)
    if scenario == "quiet":
        return Planted(days, [])
    if scenario == "mixed":
        return Planted(days, draw(days, [kind for kind, n in MIXED.items() for _ in range(n)], rng))
    return Planted(days, draw(days, [scenario], rng, SHORT), SHORT)


def run_alert_trial(
    scenario: str, seed: int, settings: Settings, progress: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Play it and judge what fired; the result is for `--json`, and for `bench.alerts`.

    Errors: ValueError for an unknown scenario, DefinitionError and CatalogueError for files that are wrong.
    """
    catalogue = Catalogue.load(settings.catalogue)
    definition = Definition.load(settings.systems / f"{SYSTEM}.toml", catalogue)
    rules = read_rules(settings.alerts or settings.systems / FILE)
    planted = plan(scenario, seed, catalogue)
    days = planted.days

    def say(day: int) -> None:
        if day % 90 == 89:
            progress(f"{scenario}, seed {seed}: {days.day(day)}, {day + 1} of {planted.n} days")

    played = play(Stage(catalogue, definition, rules, days), planted, say)
    return {
        "scenario": scenario,
        "seed": seed,
        "days": planted.n,
        **told(planted, played, score(planted, played.fired)),
    }


def told(planted: Planted, played: Played, judged: Score) -> dict[str, Any]:
    """Everything about one play as plain values. Delays: whole days of event time; milliseconds of the engine."""
    days, false = planted.days, set(map(id, judged.false))
    required = [each for each in judged.heard if each.required]
    fired = [one for one in played.fired if not one.held]
    delays = [each.delay_days for each in required if each.delay_days is not None]
    right = len(fired) - len(false)
    return {
        "plants": [_plant(days, each) for each in (*judged.heard, *judged.silences)]
        + [_plant(days, Heard(p, 0.0, False, None, p.first)) for p in planted.plants if p.kind in _HARMLESS],
        "alerts": [_alert(days, one, id(one) in false) for one in played.fired],
        "rules": {
            name: {
                "right": tally.right, "false": tally.false, "held": tally.held,
                "precision": _ratio(tally.right, tally.right + tally.false),
                "delays_days": sorted(tally.delays or []),
            }
            for name, tally in sorted(judged.rules.items())
        },
        "required": len(required),
        "heard": len(delays),
        "recall": _ratio(len(delays), len(required)),
        "silences": len(judged.silences),
        "silences_heard": sum(each.by is not None for each in judged.silences),
        "false": len(false),
        "precision": _ratio(right, len(fired)),
        "delay_days": _spread(delays),
        "wall_ms": _spread([1000 * one.wall_s for one in fired]),
        "step_ms": _spread([1000 * s for s in played.step_s]),
    }  # fmt: skip


_HARMLESS = frozenset(("spike", "dip", "holiday", "quarter"))


def _plant(days: Daily, heard: Heard) -> dict[str, Any]:
    plant, by = heard.plant, heard.by
    all_of_them = len(plant.indicators) == len(days.indicators)
    return {
        "kind": plant.kind, "entity": plant.entity,
        "indicators": None if all_of_them else [days.indicators[i] for i in plant.indicators],
        "first": days.day(plant.first).isoformat(), "last": days.day(plant.last).isoformat(),
        "size": round(plant.size, 4), "fall": round(heard.fall, 4), "required": heard.required,
        "rule": by.alert.rule if by else None, "subject": by.alert.subject if by else None,
        "on": days.day(by.day).isoformat() if by else None, "delay_days": heard.delay_days,
        "delay_after_large_days": by.day + 1 - heard.large if by else None,
    }  # fmt: skip


def _alert(days: Daily, one: Fired, is_false: bool) -> dict[str, Any]:
    alert = one.alert
    return {
        "rule": alert.rule, "severity": alert.severity, "subject": alert.subject, "period": alert.period,
        "state": alert.state, "on": days.day(one.day).isoformat(),
        "ended": None if one.ended is None else days.day(one.ended).isoformat(),
        "value": alert.value, "bound": alert.bound, "held_by": alert.held_by or None,
        "right": None if one.held else not is_false, "wall_ms": round(1000 * one.wall_s, 2),
    }  # fmt: skip


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _spread(values: list[Any]) -> dict[str, float] | None:
    if not values:
        return None
    p50, p99 = np.quantile(values, [0.5, 0.99])
    return {"p50": round(float(p50), 2), "p99": round(float(p99), 2), "max": round(float(max(values)), 2)}
