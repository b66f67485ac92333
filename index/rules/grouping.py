"""Which of several entities that fall together fires: a province that falls as a whole, not its thirty cities; the
city, if the province falls because of it alone.

The kinds of a rule stand from the broadest to the narrowest. A member is held while a group of a broader kind is about
to fire or fires, unless the member falls more than DEEPER times as far, or is by itself (`ALONE`) what the group is
missing: then the group is held. A group that falls visibly, but not yet beyond the bound, holds its members for
PATIENCE: noise lets some of thirty cross the bound first. An indicator is held where its entity falls as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping

from index.rules.alert import FIRING, parts_of, subject_of
from index.rules.explain import ALONE, Losses
from index.rules.judge import holds
from index.rules.measures import Reading
from index.rules.rule import DRAWDOWN, DROP, HOUR_US, Rule
from index.rules.state import State
from index.rules.world import World

DEEPER = 2.0
AS_FAR = 0.6  # of its member's fall: the group falls with it
PATIENCE_US = 2 * 24 * HOUR_US


def relative_that_explains(
    world: World,
    rule: Rule,
    state: State,
    readings: Mapping[str, Reading],
    losses: Losses,
    subject: str,
    waited_us: int,
) -> str:
    """The group or member that an alert is due to, in words; empty if it is its own.

    `waited_us`: for how long it could have fired.
    """
    if not rule.group:
        return ""
    entity, node = parts_of(subject)
    row = world.row_of.get(entity)
    if row is None or world.kinds[row] not in rule.kinds:
        return ""
    rank = rule.kinds.index(world.kinds[row])
    return _group(world, rule, state, readings, losses, entity, node, rank, waited_us) or _member(
        world, rule, state, readings, losses, entity, node, rank
    )


def _group(
    world: World, rule: Rule, state: State, readings: Mapping[str, Reading], losses: Losses, entity: str,
    node: str | None, rank: int, waited_us: int,
) -> str:  # fmt: skip
    value = readings[subject_of(entity, node)].value
    for group in world.groups_of.get(entity, ()):
        kind = world.kinds[world.row_of[group]]
        if kind not in rule.kinds or rule.kinds.index(kind) >= rank:
            continue
        subject = subject_of(group, node)
        reading = readings.get(subject)
        if reading is None or abs(value) > DEEPER * abs(reading.value) or value * reading.value < 0:
            continue
        if _share(world, rule, losses, entity, group, node) >= ALONE:
            continue
        if _about(rule, state, subject, reading):
            return f"{rule.name} {subject}"
        fallen = rule.falling and reading.value <= AS_FAR * value and not rule.clears(reading.value)
        if fallen and waited_us < PATIENCE_US and (rule.name, subject) not in state.alerts:
            return f"{subject} falls with it"
    return ""


def _member(
    world: World, rule: Rule, state: State, readings: Mapping[str, Reading], losses: Losses, entity: str,
    node: str | None, rank: int,
) -> str:  # fmt: skip
    if entity not in world.members or rule.type not in (DROP, DRAWDOWN):
        return ""
    inside = set(world.members_of(entity))
    for subject, reading in readings.items():
        other, other_node = parts_of(subject)
        if other_node != node or other == entity or not _about(rule, state, subject, reading):
            continue
        kind = world.kinds[world.row_of[other]]
        narrower = rule.kinds.index(kind) > rank and inside.issuperset(world.members_of(other))
        if narrower and _share(world, rule, losses, other, entity, node) >= ALONE:
            return f"{rule.name} {subject}"
    return ""


def _about(rule: Rule, state: State, subject: str, reading: Reading) -> bool:
    """Whether it fires, or its condition holds and nothing holds it back."""
    alert = state.alerts.get((rule.name, subject))
    return holds(rule, reading) if alert is None else alert.state == FIRING


def _share(world: World, rule: Rule, losses: Losses, member: str, group: str, node: str | None) -> float:
    """Part of what the group is missing that is missing in the member; 0.0 where that says nothing."""
    if rule.type not in (DROP, DRAWDOWN):
        return 0.0
    number = 0 if node is None else world.node_of[node]
    kind = world.kinds[world.row_of[group]]
    whole = losses.of(world.row_of[group], number, kind)
    return losses.of(world.row_of[member], number, kind) / whole if whole > 0.0 else 0.0
