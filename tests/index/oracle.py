"""The slow oracle: recomputes everything from the list of accepted events, in plain Python, as docs/formats.md says it.

Shares no code with index/. Nothing is kept, nothing is incremental: every number is searched out of the events again.
Periods are (first month, number of months), months counted from year 0; days are datetime.date.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from tests.index.oracle_amounts import Key, amount, cells, days_amount, held, merged, own_period, undated
from tests.index.oracle_values import (
    Answer as NodeAnswer,
)
from tests.index.oracle_values import (
    Look,
    base_level,
    keys_of,
    leaves_below,
    level,
    mean_of,
    nodes,
    plain_sum,
    relative,
    score,
)
from tests.index.oracle_world import (
    DAY_US,
    EPOCH,
    Event,
    World,
    first_day,
    grain,
    inside,
    months_of,
    n_days,
    name_of,
    shift,
    start_us,
    year_ago,
)

__all__ = [
    "Answer", "Event", "World", "evaluate", "first_day", "grain", "inside", "months_of", "n_days", "name_of",
    "own_period", "panel", "shift", "start_us", "year_ago",
]  # fmt: skip


def evaluate(
    world: World, look: Look, bases: dict[str, float | None], others: dict[str, list[float]]
) -> dict[str, NodeAnswer]:
    """All nodes of one entity from its amounts. `others`: per relative leaf, the levels of the base entities."""
    leaves = leaves_below(world, "index")
    return nodes(world, {leaf: score(world, leaf, look, bases[leaf], others.get(leaf, [])) for leaf in leaves})


class Answer:
    """Everything that a world's events amount to: `updates` by entity/period, `tables` by (ranking, period, scope)."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.entities = world.entities()
        self.leaves = leaves_below(world, "index")
        self.nodes = list(dict.fromkeys(self._walk("index")))
        self.keys = {key for leaf in self.leaves for key in keys_of(world, leaf)}
        total = self._look(world.cities, world.base)
        self.bases = {leaf: base_level(world, leaf, total) for leaf in self.leaves}
        used = {own_period(e) for e in held(world) if {(e.indicator, None), (e.indicator, e.industry)} & self.keys}
        starts = {months_of(p) for p in used}
        sizes = {"year": 12, "half": 6, "quarter": 3, "month": 1}
        self.periods = sorted(
            {name_of(a - a % sizes[g], sizes[g]) for a, n in starts for g in world.grains if sizes[g] >= n}
        )
        self._values: dict[tuple[str, str], dict[str, NodeAnswer]] = {}
        self._others: dict[str, dict[str, list[float]]] = {}
        self.updates = {
            f"{e}/{p}": u for p in self.periods for e in self.entities if (u := self._update(e, p)) is not None
        }
        self.tables = {
            (r["name"], p, s): self._table(r, p, s)
            for r in world.rankings
            for p in self.periods
            if grain(p) in r.get("grains", world.grains)
            for s in self._scopes(r)
        }

    def _walk(self, node: str) -> list[str]:
        return [node] + [n for child, _ in self.world.tree.get(node, []) for n in self._walk(child)]

    def _scopes(self, ranking: dict[str, Any]) -> list[str | None]:
        if "scope" not in ranking:
            return [None]
        return sorted(g for g, (kind, members) in self.entities.items() if kind == ranking["scope"] and members)

    # --- values -------------------------------------------------------------------------------------------------------

    def _look(self, members: list[str], period: str) -> Look:
        kept: dict[Key, int | None] = {}

        def look(key: Key) -> int | None:
            if key not in kept:
                kept[key] = amount(self.world, key, members, period)
            return kept[key]

        return look

    def others(self, period: str) -> dict[str, list[float]]:
        """Per relative leaf, the levels of all base entities that have one."""
        if period not in self._others:
            leaves = [leaf for leaf in self.leaves if relative(self.world, leaf)]
            cities = [e for e, (kind, _) in self.entities.items() if kind == self.world.base_kind]
            looks = [self._look([city], period) for city in cities]
            found = {leaf: [level(self.world, leaf, look)[0] for look in looks] for leaf in leaves}
            self._others[period] = {leaf: [x for x in xs if x is not None] for leaf, xs in found.items()}
        return self._others[period]

    def values(self, entity: str, period: str) -> dict[str, NodeAnswer]:
        key = (entity, period)
        if key not in self._values:
            self._values[key] = self._evaluate(entity, period)
        return self._values[key]

    def _evaluate(self, entity: str, period: str) -> dict[str, NodeAnswer]:
        kind, members = self.entities[entity]
        if kind == self.world.base_kind and merged(self.world, entity, period):
            return dict.fromkeys(self.nodes, (None, 0.0, "merged"))
        if kind != self.world.base_kind and self.world.group_rule == "mean":
            return self._mean([self.values(m, period) for m in members if not merged(self.world, m, period)])
        return evaluate(self.world, self._look(members, period), self.bases, self.others(period))

    def _mean(self, members: list[dict[str, NodeAnswer]]) -> dict[str, NodeAnswer]:
        return mean_of(self.world, members) or dict.fromkeys(self.nodes, (None, 0.0, "no-data"))

    def value(self, entity: str, period: str, node: str = "index") -> float | None:
        return self.values(entity, period)[node][0]

    def present(self, entity: str, period: str) -> bool:
        return any(cells(self.world, key, self.entities[entity][1], period) for key in self.keys)

    def is_open(self, period: str) -> bool:
        end = start_us(first_day(shift(period, 1))) + self.world.grace_s * 10**6
        return self.world.watermark is None or self.world.watermark < end

    # --- growth -------------------------------------------------------------------------------------------------------

    def over(self, entity: str, period: str, other: str, node: str) -> tuple[float | None, str | None]:
        v, before = self.value(entity, period, node), self.value(entity, other, node)
        if v is None:
            return None, "no-value"
        if self.is_open(period):
            return None, "open"
        if before is None:
            return None, "no-predecessor"
        if before == 0:
            return None, "zero-predecessor"
        return v / before - 1.0, None

    def mean_yoy(self, entity: str, period: str, node: str) -> tuple[float | None, str | None]:
        start = self.world.mean_yoy_from
        if start is None or grain(start) != grain(period) or months_of(period)[0] < months_of(start)[0]:
            return None, "outside-span"
        months = months_of(period)[0] - months_of(start)[0]
        step = 12 if self.world.mean_yoy_step == "year" else months_of(start)[1]
        if months % step:
            return None, "outside-span"
        if self.is_open(period):
            return None, "open"
        span = [shift(start, i * step // months_of(start)[1]) for i in range(months // step + 1)]
        rates = [self.over(entity, p, year_ago(p), node)[0] for p in span]
        if any(r is None for r in rates):
            return None, "gap"
        return plain_sum(rates) / len(span), None

    def complete_days(self, period: str) -> int:
        if self.world.watermark is None:
            return 0
        ended = (self.world.watermark + 8 * 3600 * 10**6) // DAY_US - (first_day(period) - EPOCH).days
        return min(max(ended, 0), n_days(period))

    def to_date(self, entity: str, period: str) -> tuple[float | None, str | None, int | None]:
        """(growth, reason, n')"""
        before = shift(period, -1)
        n = min(self.complete_days(period), n_days(before))
        if self.value(entity, period) is None:
            return None, "no-value", None
        if not self.is_open(period):
            return None, "closed", None
        if any(relative(self.world, leaf) for leaf in self.leaves):
            return None, "relative", None
        if n == 0:
            return None, "no-complete-day", None
        if self.value(entity, before) is None:
            return None, "no-predecessor", None
        members = self.entities[entity][1]
        if any(undated(self.world, key, members, p) for key in self.keys for p in (period, before)):
            return None, "no-days", None
        now, then = self.value_to_date(entity, period, n), self.value_to_date(entity, before, n)
        if now is None:
            return None, "no-value", None
        if then is None:
            return None, "no-predecessor", None
        if then == 0:
            return None, "zero-predecessor", None
        return now / then - 1.0, None, n

    def value_to_date(self, entity: str, period: str, n: int) -> float | None:
        """Of the root, with flows from the first n days."""
        world = self.world

        def by_days(members: list[str]) -> dict[str, NodeAnswer]:
            def look(key: Key) -> int | None:
                if key[0] in world.stocks:
                    return amount(world, key, members, period)
                return days_amount(world, key, members, period, n)

            return evaluate(world, look, self.bases, {})

        kind, members = self.entities[entity]
        if kind == world.base_kind or world.group_rule == "sum":
            return by_days(members)["index"][0]
        return self._mean([by_days([m]) for m in members if not merged(world, m, period)])["index"][0]

    def _update(self, entity: str, period: str) -> dict[str, Any] | None:
        if not self.present(entity, period):
            return None
        values = self.values(entity, period)
        value, coverage, reason = values["index"]
        pop, pop_why = self.over(entity, period, shift(period, -1), "index")
        yoy, yoy_why = self.over(entity, period, year_ago(period), "index")
        mean, mean_why = self.mean_yoy(entity, period, "index")
        to_date, to_date_why, days = self.to_date(entity, period)
        why = {"value": reason, "pop": pop_why, "yoy": yoy_why, "mean_yoy": mean_why, "to_date": to_date_why}
        return {
            "entity": entity,
            "kind": self.entities[entity][0],
            "period": period,
            "value": value,
            "coverage": coverage,
            "nodes": {node: values[node][0] for node in self.nodes if node != "index"},
            "growth": {"pop": pop, "yoy": yoy, "mean_yoy": mean, "to_date": to_date},
            "days": days,
            "why": {name: word for name, word in why.items() if word is not None},
        }

    # --- rankings -----------------------------------------------------------------------------------------------------

    def measure(
        self, ranking: dict[str, Any], entity: str, period: str, scope: str | None
    ) -> tuple[float | None, str | None]:
        node, measure = ranking.get("node", "index"), ranking["measure"]
        if measure == "value":
            value, _, reason = self.values(entity, period)[node]
            return value, reason
        if measure == "share":
            part, whole = self.value(entity, period, node), self.value(scope or self.world.nation, period, node)
            if part is None:
                return None, "no-value"
            if whole is None:
                return None, "no-parent"
            return (None, "zero-parent") if whole == 0 else (part / whole, None)
        if measure == "growth":
            measure = "to_date" if self.is_open(period) else "pop"
        if measure == "to_date":
            return self.to_date(entity, period)[:2]
        if measure == "mean_yoy":
            return self.mean_yoy(entity, period, node)
        return self.over(entity, period, shift(period, -1) if measure == "pop" else year_ago(period), node)

    def ranks(
        self, ranking: dict[str, Any], period: str, scope: str | None
    ) -> tuple[dict[str, int], dict[str, float], dict[str, str]]:
        """ranks and values of the rows that are in, reasons of those left out."""
        rows = [e for e, (kind, _) in self.entities.items() if kind == ranking["rows"]]
        if scope is not None:
            rows = [r for r in rows if r in self.entities[scope][1]]
        values: dict[str, float] = {}
        left_out: dict[str, str] = {}
        for row in sorted(rows):
            value, reason = self.measure(ranking, row, period, scope)
            if value is None:
                left_out[row] = reason
            else:
                values[row] = value
        decimals = ranking.get("rank_decimals")
        keys = {row: v if decimals is None else float(round(v * 10.0**decimals)) for row, v in values.items()}
        ranks = {row: 1 + sum(other > keys[row] for other in keys.values()) for row in keys}
        return ranks, values, left_out

    def _table(self, ranking: dict[str, Any], period: str, scope: str | None) -> dict[str, Any]:
        ranks, values, left_out = self.ranks(ranking, period, scope)
        before = shift(period, -1)
        was = self.ranks(ranking, before, scope)[0] if before in self.periods else {}
        then = self.ranks(ranking, year_ago(period), scope)[0] if year_ago(period) in self.periods else {}
        listed = sorted(ranks, key=lambda row: (ranks[row], row))
        return {
            "rows": {
                "entity": listed,
                "rank": [ranks[r] for r in listed],
                "value": [values[r] for r in listed],
                "change": [was[r] - ranks[r] if r in was else None for r in listed],
                "change_year": [then[r] - ranks[r] if r in then else None for r in listed],
            },
            "left_out": {"entity": list(left_out), "reason": list(left_out.values())},
        }


def panel(scores: list[list[int]]) -> list[float]:
    """Expert panel weights, each the double nearest to the exact fraction."""
    total = sum(sum(row) for row in scores)
    return [float(Fraction(sum(row[j] for row in scores), total)) for j in range(len(scores[0]))]
