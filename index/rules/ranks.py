"""Readings of ranks: places lost against the predecessor period's table, or places behind the first n.

The open period's ranks wobble in its first days (`min_days`); the predecessor's stand still. With `first = n` only
those that were among the first n count, by how far they stand behind place n.
"""

from __future__ import annotations

from index.rules.measures import Reading
from index.rules.rule import Rule
from index.rules.state import State
from index.rules.world import World


def rank_readings(world: World, rule: Rule, state: State) -> dict[str, Reading]:
    """Of every entity that has a rank now and had one in the predecessor."""
    if state.day is None:
        return {}
    period = world.period_of_day(state.day)
    if state.day - period.first_day() < rule.min_days:
        return {}
    now = state.ranks.get((rule.ranking, period.name), {})
    then = state.ranks.get((rule.ranking, period.predecessor.name), {})
    out = {}
    for entity, rank in now.items():
        was = then.get(entity)
        if was is None:
            continue
        behind = max(0, rank - rule.first if was <= rule.first else 0) if rule.first else max(0, rank - was)
        out[entity] = Reading(float(behind), period.name)
    return out


def watched(rules: tuple[Rule, ...]) -> frozenset[str]:
    """The rankings that rules look at."""
    return frozenset(rule.ranking for rule in rules if rule.ranking)
