"""Readings of growth, divergence and revision: what an entity's last updates say, as numbers that rules compare.

growth       to date of the open period, as soon as `min_days` of it are complete (and `min_coverage` is there), until
             then that of its predecessor; or `over` pop or yoy, of the last period that has one
divergence   growth of the entity minus that of the nation in the same period
revision     |v / v at closing - 1| of the closed period that moved most; after `settle` the new value is the one that
             counts
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from index.periods import Period
from index.rules.alert import RESOLVED
from index.rules.published import Update
from index.rules.rule import DIVERGENCE, Rule
from index.rules.state import CLOSED, State
from index.rules.world import World

OPEN = "provisional"


class Reading(NamedTuple):
    """What a rule sees of a subject: `value` against its bounds, and the period that it is of."""

    value: float
    period: str | None
    bound: float | None = None  # None: the rule's
    significant: bool = True  # False: beyond the bound, but not beyond the noise


def growth_readings(world: World, rule: Rule, state: State, entities: Iterable[str]) -> dict[str, Reading]:
    """Growth or divergence of the entities that have one."""
    if state.day is None:
        return {}
    grain = world.grain if rule.grain is None else rule.grain
    finest = world.period_of_day(state.day)
    if grain > world.grain:
        return {}
    present = Period(grain, finest.ordinal * finest.grain.months // grain.months)
    names = present.name, present.predecessor.name
    nations = [_growth(rule, state.rows.get(p, {}).get(world.nation or "")) for p in names]
    out = {}
    for entity in entities:
        for period, nation in zip(names, nations, strict=True):
            value = _growth(rule, state.rows.get(period, {}).get(entity))
            if value is not None and rule.type == DIVERGENCE:
                value = None if nation is None else value - nation
            if value is not None:
                out[entity] = Reading(value, period)
                break
    return out


def _growth(rule: Rule, update: Update | None) -> float | None:
    if update is None or update.coverage < rule.min_coverage:
        return None
    if rule.over != "growth":
        return update.growth[rule.over]
    if update.status != OPEN:
        return update.growth["pop"]
    if update.days is None or update.days < rule.min_days:
        return None
    return update.growth["to_date"]


def remember_closed(state: State, update: Update) -> None:
    """Keep the value that a period closed with, and the one that it has now."""
    if update.status == OPEN or update.value is None:
        return
    period = state.closed.get(update.period)
    if period is None:
        if len(state.closed) >= CLOSED:
            oldest = min(state.closed, key=lambda name: Period.parse(name).successor.first_day())
            del state.closed[oldest]
            state.touched.add(f"closed/{oldest}")
        period = state.closed[update.period] = {}
    held = period.get(update.entity)
    period[update.entity] = (update.value if held is None else held[0], update.value)
    if held is None or held[1] != update.value:
        state.touched.add(f"closed/{update.period}")


def revision_readings(
    world: World, rule: Rule, state: State, entities: Iterable[str], now_us: int
) -> dict[str, Reading]:
    """How far closed periods have moved. An alert that is older than `settle` takes the new values for granted."""
    out = {}
    for entity in entities:
        alert = state.alerts.get((rule.name, entity))
        settled = alert is not None and alert.state != RESOLVED and now_us - alert.at_us >= rule.settle_us
        worst: Reading | None = None
        for name, held in state.closed.items():
            if entity not in held or (rule.grain is not None and Period.parse(name).grain is not rule.grain):
                continue
            closing, value = held[entity]
            if settled and closing != value:
                held[entity] = value, value
                state.touched.add(f"closed/{name}")
                closing = value
            moved = abs(value / closing - 1.0) if closing else (1.0 if value else 0.0)
            if worst is None or moved > worst.value:
                worst = Reading(moved, name)
        if worst is not None:
            out[entity] = worst
    return out
