"""All rules on one revision: `evaluate(world, rules, state, published)`.

A revision that the state has seen changes nothing. What falls between two revisions that were seen is in the later one,
since updates are absolute. Silences are judged first, for they explain the others.

Cost: what the revision touched, for growth, divergence, revision and rank; once a day of event time all entities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from index.rules.alert import FIRING, HELD, Alert, parts_of, subject_of
from index.rules.days import close_days, ends_days, values_of, window
from index.rules.explain import PLAIN, Losses, remember_ended, silence_that_explains, silences, stopped
from index.rules.falls import Falls, Floats, days_needed, falls
from index.rules.grouping import AS_FAR, PATIENCE_US, relative_that_explains
from index.rules.judge import judge
from index.rules.measures import Reading, growth_readings, remember_closed, revision_readings
from index.rules.published import Published
from index.rules.ranks import rank_readings, watched
from index.rules.rule import DIVERGENCE, DRAWDOWN, DROP, GROWTH, RANK, REVISION, SILENCE, Rule
from index.rules.silence import SOURCE, hear_sources, sending_again, silent_entities, silent_sources, source_of
from index.rules.state import State
from index.rules.world import World


def evaluate(world: World, rules: Sequence[Rule], state: State, published: Published) -> tuple[State, list[Alert]]:
    """The state after the revision, and the alerts that began to fire, were held, or resolved, in order.

    `state` is changed in place and returned. Errors: none for any revision that the index publishes.
    """
    if published.revision <= state.revision:
        return state, []
    mine = tuple(rule for rule in rules if not rule.systems or world.system in rule.systems)
    watermark, held = published.watermark_us, state.watermark_us
    now_us = held if watermark is None else watermark if held is None else max(held, watermark)
    ending = now_us is not None and ends_days(world, state, now_us)
    before = values_of(world, state) if ending else {}
    _apply(world, mine, state, published)
    out: list[Alert] = []
    state.revision = published.revision
    if now_us is not None:
        watched_sources = {source_of(s) for _, s in (*state.alerts, *state.pending) if s.startswith(SOURCE)}
        hear_sources(state, published.sources, now_us, watched_sources)
        for _ in close_days(world, state, before, now_us):
            out += _Turn(world, mine, state, None, now_us).run()
        state.watermark_us = now_us
        out += _Turn(world, mine, state, published, now_us).run()
        if ending:
            state.forget(world)
    return state, out


def _apply(world: World, rules: tuple[Rule, ...], state: State, published: Published) -> None:
    remember = any(rule.type == REVISION for rule in rules)
    for update in published.updates:
        state.show(world, update)
        if remember:
            remember_closed(state, update)
    for entity, period in published.removed:
        state.hide(world, entity, period)
    rankings = watched(rules)
    state.watch(rankings)
    for delta in published.deltas:
        if delta.ranking in rankings:
            state.move(delta)


class _Turn:
    """One judgement of the rules: those by the day when a day has ended (`published` None), the others otherwise."""

    def __init__(
        self, world: World, rules: tuple[Rule, ...], state: State, published: Published | None, now_us: int
    ) -> None:
        self._world, self._rules, self._state, self._published = world, rules, state, published
        ended_us = None if state.day is None else world.calendar.start_of_day_us(state.day)
        self._at_us = now_us if published is not None or ended_us is None else ended_us
        self._now_us = now_us
        self._losses: dict[str, Losses] = {}
        self._flows: Floats | None = None
        self._fallen: dict[tuple[str, str], Falls] = {}

    def run(self) -> list[Alert]:
        out: list[Alert] = []
        for rule in sorted(self._rules, key=lambda rule: rule.type != SILENCE):
            readings = self._readings(rule)
            if readings:
                explain = self._explain(rule, readings)
                revision = self._state.revision
                found = judge(self._world, rule, self._state, readings, self._at_us, revision, explain)
                if rule.type == SILENCE:
                    remember_ended(self._state, found)
                out += found
        return out

    def _readings(self, rule: Rule) -> Mapping[str, Reading]:
        world, state, published = self._world, self._state, self._published
        found: Mapping[str, Reading]
        if published is None:
            if rule.type in (DROP, DRAWDOWN):
                found = self._falls(rule)
            elif rule.type == SILENCE and rule.of == "entity":
                found = silent_entities(world, rule, state)
            elif rule.type in (GROWTH, DIVERGENCE):
                found = growth_readings(world, rule, state, _entities(world, rule))
            else:
                return {}
        elif rule.type in (GROWTH, DIVERGENCE):
            found = growth_readings(world, rule, state, self._touched(rule, published))
        elif rule.type == REVISION:
            found = revision_readings(world, rule, state, self._touched(rule, published), self._now_us)
        elif rule.type == RANK:
            waiting = any(name == rule.name for name, _ in (*state.pending, *state.alerts))
            if not waiting and not any(delta.ranking == rule.ranking for delta in published.deltas):
                return {}
            found = rank_readings(world, rule, state)
        elif rule.type == SILENCE and rule.of == "source":
            if not published.sources:
                return {}
            found = silent_sources(rule, state, self._now_us)
        elif rule.type == SILENCE and any(name == rule.name for name, _ in (*state.pending, *state.alerts)):
            found = sending_again(world, rule, state)
        else:
            return {}
        return {s: r for s, r in found.items() if _about(rule, parts_of(s)[0])}

    def _touched(self, rule: Rule, published: Published) -> list[str]:
        """Entities of the rule's kinds that the revision or an alert under way is about, broad kinds first."""
        world, state = self._world, self._state
        names = {update.entity for update in published.updates}
        names |= {parts_of(subject)[0] for name, subject in (*state.pending, *state.alerts) if name == rule.name}
        rows = [world.row_of[name] for name in names if name in world.row_of]
        kinds = {kind: number for number, kind in enumerate(rule.kinds)}
        chosen = [(kinds[world.kinds[row]], row) for row in rows if world.kinds[row] in kinds]
        return [world.codes[row] for _, row in sorted(chosen)]

    def _explain(self, rule: Rule, readings: Mapping[str, Reading]) -> Callable[[str, Reading, int], str]:
        world, state = self._world, self._state

        def explain(subject: str, reading: Reading, waited_us: int) -> str:
            if firing := self._firing(rule.held_by, subject, (FIRING,)):
                return firing
            if rule.type in (SILENCE, REVISION):
                return self._relative(rule, readings, subject, waited_us) if rule.type == REVISION else ""
            losses = self._losses_of(rule)
            why = silence_that_explains(world, state, losses, silences(self._rules, state, self._at_us), rule, subject)
            if not why and rule.type in (DROP, DRAWDOWN) and waited_us < PATIENCE_US:
                why = stopped(world, losses, rule, subject, self._window())
            return (
                why
                or self._whole(rule, subject, reading, waited_us)
                or self._relative(rule, readings, subject, waited_us)
            )

        return explain

    def _relative(self, rule: Rule, readings: Mapping[str, Reading], subject: str, waited_us: int) -> str:
        losses = self._losses_of(rule)
        return relative_that_explains(self._world, rule, self._state, readings, losses, subject, waited_us)

    def _whole(self, rule: Rule, subject: str, reading: Reading, waited_us: int) -> str:
        """An indicator falls because its entity falls as a whole."""
        world = self._world
        entity, node = parts_of(subject)
        if node is None or rule.type not in (DROP, DRAWDOWN):
            return ""
        kind = world.kinds[world.row_of[entity]]
        place = world.rows_of_kind[kind].index(world.row_of[entity])
        change = float(self._fall_of(rule, kind, (0,)).change[place, 0])
        if not change <= AS_FAR * reading.value:
            return ""
        drops = tuple(each.name for each in self._rules if each.type in (DROP, DRAWDOWN))
        if firing := self._firing(drops, entity, (FIRING, HELD)):
            return firing
        return f"{entity} falls as a whole" if waited_us < PATIENCE_US else ""

    def _firing(self, rules: Sequence[str], subject: str, states: tuple[str, ...]) -> str:
        """The first of the rules that is in one of the states for the subject, or for a group that holds it."""
        entity, node = parts_of(subject)
        for name in rules:
            for one in (entity, *self._world.groups_of.get(entity, ())):
                for other in dict.fromkeys((subject_of(one, node), one)):
                    alert = self._state.alerts.get((name, other))
                    if alert is not None and alert.state in states:
                        return f"{name} {other}"
        return ""

    def _window(self) -> Floats:
        """The flows as far back as any rule looks."""
        if self._flows is None:
            days = [days_needed(rule) for rule in self._rules if rule.type in (DROP, DRAWDOWN)]
            self._flows = window(self._world, self._state, max([days_needed(PLAIN), *days]))
        return self._flows

    def _fall_of(self, rule: Rule, kind: str, nodes: tuple[int, ...]) -> Falls:
        key = rule.name, f"{kind}/{nodes}"
        if key not in self._fallen:
            flows = self._window()[-days_needed(rule) :]
            rows = self._world.rows_of_kind.get(kind, [])
            self._fallen[key] = falls(rule, flows[np.ix_(range(len(flows)), rows, list(nodes))])
        return self._fallen[key]

    def _falls(self, rule: Rule) -> dict[str, Reading]:
        """Readings of drop and drawdown, broad kinds first."""
        world, state = self._world, self._state
        if state.day is None:
            return {}
        flows = self._window()
        period = world.period_of_day(state.day - 1)
        present = (state.rows.get(period.name, {}), state.rows.get(period.successor.name, {}))
        nodes = world.leaves if rule.nodes == "leaves" else (0,)
        nation = None if world.nation is None else world.row_of.get(world.nation)
        columns = list(nodes)
        whole = np.full(len(columns), np.nan) if nation is None else flows[-rule.span :, nation, columns].sum(axis=0)
        out: dict[str, Reading] = {}
        for kind in rule.kinds:
            rows = world.rows_of_kind.get(kind, [])
            found = self._fall_of(rule, kind, tuple(nodes))
            with np.errstate(all="ignore"):
                significant = np.log1p(found.change) < -rule.sigmas * found.sigma
                large = ~(found.expected / whole < rule.min_share)
            fits = (significant & large).tolist()
            change = found.change.tolist()
            for place, row in enumerate(rows):
                code = world.codes[row]
                update = present[0].get(code) or present[1].get(code)
                if update is None or update.coverage < rule.min_coverage:
                    continue
                for column, node in enumerate(columns):
                    value = change[place][column]
                    if value == value:
                        name = subject_of(code, world.nodes[node] if node else None)
                        out[name] = Reading(value, period.name, None, fits[place][column])
        return out

    def _losses_of(self, rule: Rule) -> Losses:
        falling = rule.type in (DROP, DRAWDOWN)
        name = rule.name if falling else ""
        if name not in self._losses:
            self._losses[name] = Losses(self._world, self._window(), rule if falling else PLAIN)
        return self._losses[name]


def _entities(world: World, rule: Rule) -> Iterable[str]:
    """Of the rule's kinds, broad kinds first."""
    return [world.codes[row] for kind in rule.kinds for row in world.rows_of_kind.get(kind, [])]


def _about(rule: Rule, entity: str) -> bool:
    return entity not in rule.excluded and (not rule.entities or entity in rule.entities)
