"""What holds an alert back, so that one cause wakes people once: a silence, a group that falls as a whole, or the one
city that a group's fall is due to.

Flows add up, so what is missing from an entity (expected - now) is the sum of what is missing from its cities, and, by
the nodes' weights, from its indicators. A silence explains an alert when at least COVERED of what is missing is missing
where that silence is.
"""

from __future__ import annotations

import numpy as np

from index.rules.alert import FIRING, HELD, RESOLVED, Alert, parts_of
from index.rules.falls import Floats, falls, median
from index.rules.rule import DROP, HOUR_US, RANK, SILENCE, Rule
from index.rules.silence import SOURCE, source_of
from index.rules.state import State
from index.rules.world import World

COVERED = 0.5  # of what is missing
AFTER_US = 10 * 24 * HOUR_US  # beyond any span that holds days of a silence by its end
SAID = 5  # silences that are named
ALONE = 0.8  # of a group's loss in one city: it is the city's


class Losses:
    """What is missing from series in the last days, computed once a revision and only if somebody asks."""

    def __init__(self, world: World, flows: Floats, rule: Rule) -> None:
        """`rule`: whose spans to take; `flows`: at least as many days as it needs."""
        self._world, self._rule, self._flows = world, rule, flows
        self._common: dict[str, float] = {}

    def of(self, row: int, node: int, kind: str) -> float:
        """expected - now: the series' own past, moved as the entities of `kind` moved at the root; 0.0 where not
        known."""
        rule, flows = self._rule, self._flows[:, row, node]
        now = flows[len(flows) - rule.span :].sum()
        then = [flows[len(flows) - rule.span - j * rule.lag : len(flows) - j * rule.lag].sum() for j in _spans(rule)]
        known = [each for each in then if not np.isnan(each)]
        if np.isnan(now) or not known:
            return 0.0
        return float(np.median(known) * self._moved(kind) - now)

    def now(self, row: int, node: int) -> float:
        """The flow of the last span."""
        return float(self._flows[len(self._flows) - self._rule.span :, row, node].sum())

    def by_leaf(self, row: int) -> list[tuple[int, float]]:
        """What each leaf is missing at an entity, in units of the root."""
        world = self._world
        pairs = zip(world.leaves, world.weights, strict=True)
        return [(leaf, weight * self.of(row, leaf, world.kinds[row])) for leaf, weight in pairs]

    def _moved(self, kind: str) -> float:
        """How the middle one of a kind moved; 1.0 for a kind of one, or of which most spans were empty."""
        held, rule = self._common.get(kind), self._rule
        if held is None:
            flows = self._flows[:, self._world.rows_of_kind[kind], :1]
            found = falls(self._rule, flows)
            sums = [
                flows[len(flows) - rule.span - j * rule.lag : len(flows) - j * rule.lag].sum(axis=0)
                for j in _spans(rule)
            ]
            with np.errstate(all="ignore"):
                moved = float(median((found.expected / median(np.stack(sums)))[:, 0]))
            held = self._common[kind] = moved if np.isfinite(moved) else 1.0
        return held


def _spans(rule: Rule) -> range:
    return range(1, rule.spans + 1)


PLAIN = Rule(name="plain", type=DROP, severity="info", fire=-0.1, clear=0.0)  # spans of rules that have none
STOPPED_DAYS, STOPPED_OF = 12, 14  # an indicator that was reported on so many of the days before, and not on the last


def stopped(world: World, losses: Losses, rule: Rule, subject: str, flows: Floats) -> str:
    """The indicators that were not reported on the last day, if the fall without them would not fire; else empty.

    On its first day a silence looks like a fall: it is told apart when a second day has shown which it is.
    """
    entity, node = parts_of(subject)
    row = world.row_of[entity]
    cities = world.members_of(entity)
    number = 0 if node is None else world.node_of[node]
    total = losses.of(row, number, world.kinds[row])
    if total <= 0.0:
        return ""
    chosen = [(leaf, w) for leaf, w in zip(world.leaves, world.weights, strict=True) if node is None or leaf == number]
    leaves = [leaf for leaf, _ in chosen]
    there = flows[-1 - STOPPED_OF :][:, cities][:, :, leaves]
    usual = np.sum(~np.isnan(there[:-1]) & (there[:-1] != 0.0), axis=0) >= STOPPED_DAYS
    still = usual & (there[-1] == 0.0)
    missing, names = 0.0, []
    for column, (leaf, weight) in enumerate(chosen):
        silent = [city for city, is_still in zip(cities, still[:, column].tolist(), strict=True) if is_still]
        if silent:
            names.append(world.nodes[leaf])
            factor = 1.0 if node is not None else weight
            missing += factor * sum(losses.of(city, leaf, world.kinds[row]) for city in silent)
    expected = total + losses.now(row, number)
    due = names and total - missing < -rule.fire * expected
    return f"not reported on the last day: {', '.join(names)}" if due else ""


def remember_ended(state: State, alerts: list[Alert]) -> None:
    """Keep the silences that resolved: what was missing is missing from the spans for some days more."""
    for alert in alerts:
        if alert.state == RESOLVED:
            state.ended[alert.rule, alert.subject] = alert.at_us
            state.ended = {key: at for key, at in state.ended.items() if alert.at_us - at < AFTER_US}
            state.touched.add("ended")


def silences(rules: tuple[Rule, ...], state: State, at_us: int) -> list[tuple[str, str]]:
    """(rule, subject) of the silences that hold at that time, have begun and wait for their hold time, or ended of
    late."""
    names = {rule.name for rule in rules if rule.type == SILENCE}
    active = [key for key, alert in state.alerts.items() if key[0] in names and alert.state in (FIRING, HELD)]
    ended = [key for key, ended_us in state.ended.items() if key[0] in names and at_us - ended_us < AFTER_US]
    return sorted({*active, *ended, *(key for key in state.pending if key[0] in names)})


def silence_that_explains(
    world: World, state: State, losses: Losses, found: list[tuple[str, str]], rule: Rule, subject: str
) -> str:
    """The silences that an alert is due to, in words; empty where they do not explain it."""
    if not found:
        return ""
    entity, node = parts_of(subject)
    row = world.row_of.get(entity)
    if row is None:
        return ""
    own = [f"{r} {s}" for r, s in found if parts_of(s)[0] == entity and parts_of(s)[1] in (None, node)]
    if own:
        return ", ".join(own)
    number = 0 if rule.type == RANK or node is None else world.node_of.get(node, 0)
    kind, cities = world.kinds[row], world.members_of(entity)
    total = losses.of(row, number, kind)
    if total <= 0.0:
        return ""
    weights = dict(zip(world.leaves, world.weights, strict=True)) if number == 0 else {number: 1.0}
    silent: set[tuple[int, int]] = set()  # city, leaf
    fed: set[int] = set()  # leaves of silent sources: wherever they fall
    words = []
    for name, other in found:
        pairs, leaves = _where(world, other)
        touched = {(city, leaf) for city in pairs[0] & set(cities) for leaf in pairs[1] & weights.keys()}
        if touched or leaves & weights.keys():
            words.append(f"{name} {other}")
            silent |= touched
            fed |= leaves & weights.keys()
    covered = sum(max(0.0, weights[leaf] * losses.of(row, leaf, kind)) for leaf in fed)
    covered += sum(weights[leaf] * losses.of(city, leaf, kind) for city, leaf in silent if leaf not in fed)
    return _listed(words) if covered >= COVERED * total else ""


def _where(world: World, subject: str) -> tuple[tuple[set[int], set[int]], frozenset[int]]:
    """Where a silence is: the rows of cities and the leaves at them, or the leaves of a silent source."""
    if subject.startswith(SOURCE):
        return (set(), set()), world.sends(source_of(subject))
    entity, node = parts_of(subject)
    if entity not in world.row_of:
        return (set(), set()), frozenset()
    leaves = set(world.leaves) if node is None else {world.node_of.get(node, -1)}
    return (set(world.members_of(entity)), leaves), frozenset()


def _listed(words: list[str]) -> str:
    more = f" and {len(words) - SAID} more" if len(words) > SAID else ""
    return ", ".join(words[:SAID]) + more
