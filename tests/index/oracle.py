"""The slow oracle: recomputes everything from the list of accepted events, in plain Python, as docs/formats.md says it.

Shares no code with index/. Nothing is kept, nothing is incremental: every number is searched out of the events again.
Periods are (first month, number of months), months counted from year 0; days are datetime.date.
"""

from __future__ import annotations

import datetime as dt
import functools
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

UTC8 = dt.timedelta(hours=8)
DAY_US = 86_400_000_000
EPOCH = dt.date(1970, 1, 1)


@dataclass(frozen=True)
class Event:
    """One accepted event. `at_us`: UTC; the catalogue's zone is UTC+8. `period`: given by the event, or None."""

    partition: int
    source: str
    seq: int
    city: str
    indicator: str
    industry: str
    value: int
    at_us: int
    period: str | None = None

    @functools.cached_property
    def day(self) -> dt.date:
        return EPOCH + dt.timedelta(days=(self.at_us + 8 * 3600 * 10**6) // DAY_US)


@dataclass
class World:
    """Catalogue and definition, as far as the maths needs them."""

    cities: list[str]
    groups: dict[str, tuple[str, list[str]]]  # code -> (kind, members)
    stocks: set[str]
    tree: dict[str, list[tuple[str, float]]]  # inner node -> [(child, weight)], root "index"
    base: str
    scale: float
    grains: list[str]
    kinds: list[str]
    nation: str | None
    grace_s: int
    renormalise: bool
    min_coverage: float
    mean_yoy_from: str | None
    rankings: list[dict[str, Any]]
    base_kind: str = "city"
    events: list[Event] = field(default_factory=list)
    watermark: int | None = None

    def entities(self) -> dict[str, tuple[str, list[str]]]:
        known = {c: (self.base_kind, [c]) for c in self.cities}
        return known | {g: (k, m) for g, (k, m) in self.groups.items() if k in self.kinds}


# --- periods ----------------------------------------------------------------------------------------------------------


@functools.cache
def months_of(name: str) -> tuple[int, int]:
    year = int(name[:4]) * 12
    rest = name[4:]
    if rest == "":
        return year, 12
    if rest[0] == "H":
        return year + 6 * (int(rest[1]) - 1), 6
    if rest[0] == "Q":
        return year + 3 * (int(rest[1]) - 1), 3
    return year + int(rest[1:]) - 1, 1


@functools.cache
def name_of(first: int, n: int) -> str:
    year, month = divmod(first, 12)
    return {
        12: f"{year:04d}",
        6: f"{year:04d}H{month // 6 + 1}",
        3: f"{year:04d}Q{month // 3 + 1}",
        1: f"{year:04d}-{month + 1:02d}",
    }[n]


@functools.cache
def shift(name: str, periods: int) -> str:
    first, n = months_of(name)
    return name_of(first + periods * n, n)


def year_ago(name: str) -> str:
    first, n = months_of(name)
    return name_of(first - 12, n)


def grain(name: str) -> str:
    return {12: "year", 6: "half", 3: "quarter", 1: "month"}[months_of(name)[1]]


@functools.cache
def first_day(name: str) -> dt.date:
    first, _ = months_of(name)
    return dt.date(first // 12, first % 12 + 1, 1)


@functools.cache
def n_days(name: str) -> int:
    return (first_day(shift(name, 1)) - first_day(name)).days


def start_us(day: dt.date) -> int:
    return (day - EPOCH).days * DAY_US - 8 * 3600 * 10**6


@functools.cache
def inside(part: str, whole: str) -> bool:
    (a, n), (b, m) = months_of(part), months_of(whole)
    return b <= a and a + n <= b + m


# --- amounts ----------------------------------------------------------------------------------------------------------


def own_period(event: Event) -> str:
    return event.period or name_of(event.day.year * 12 + event.day.month - 1, 1)


def amount(world: World, indicator: str, entity: list[str], period: str) -> int | None:
    """None: no cell below."""
    found = [e for e in world.events if e.indicator == indicator and e.city in entity and inside(own_period(e), period)]
    if not found:
        return None
    if indicator not in world.stocks:
        return sum(e.value for e in found)
    total = 0
    for cell in {(e.city, e.industry) for e in found}:
        reports = [(e.at_us, e.source, e.seq, e.value) for e in found if (e.city, e.industry) == cell]
        total += max(reports)[3]
    return total


def days_amount(world: World, indicator: str, entity: list[str], period: str, n: int) -> int | None:
    """Of the first n days."""
    first = first_day(period)
    found = [
        e.value
        for e in world.events
        if e.indicator == indicator
        and e.city in entity
        and e.period is None
        and first <= e.day < first + dt.timedelta(days=n)
    ]
    return sum(found) if found else None


# --- values -----------------------------------------------------------------------------------------------------------


def leaves_below(world: World, node: str) -> list[str]:
    if node not in world.tree:
        return [node]
    return [leaf for child, _ in world.tree[node] for leaf in leaves_below(world, child)]


def evaluate(
    world: World, x: dict[str, int | None], base: dict[str, int | None], node: str
) -> tuple[float | None, float, str | None]:
    """(value, coverage, reason) of a node from the amounts of its leaves."""
    if node not in world.tree:
        if x[node] is None:
            return None, 0.0, "no-data"
        if not base[node]:
            return None, 0.0, "no-base"
        return (float(x[node]) / float(base[node])) * world.scale, 1.0, None
    below = leaves_below(world, node)
    scored = [evaluate(world, x, base, leaf)[0] is not None for leaf in below]
    parts = [(w, *evaluate(world, x, base, child)[:2]) for child, w in world.tree[node]]
    coverage = 1.0 if all(scored) else plain_sum([w * c for w, _, c in parts])
    there = [(w, v) for w, v, _ in parts if v is not None]
    no_base = any(evaluate(world, x, base, leaf)[2] == "no-base" for leaf in below)
    if not there or (len(there) < len(parts) and not world.renormalise):
        return None, coverage, "no-base" if no_base else "no-data"
    if coverage < world.min_coverage:
        return None, coverage, "low-coverage"
    value = plain_sum([w * v for w, v in there])
    if len(there) < len(parts):
        value = value / plain_sum([w for w, _ in there])
    return value, coverage, None


def plain_sum(terms: list[float]) -> float:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


class Answer:
    """Everything that a world's events amount to: `updates` by entity/period, `tables` by (ranking, period, scope)."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.entities = world.entities()
        self.leaves = leaves_below(world, "index")
        self.nodes = list(dict.fromkeys(n for n in self._walk("index")))
        self.base = {leaf: amount(world, leaf, world.cities, world.base) for leaf in self.leaves}
        used = {own_period(e) for e in world.events if e.indicator in self.leaves}
        starts = {(months_of(p)[0], months_of(p)[1]) for p in used}
        sizes = {"year": 12, "half": 6, "quarter": 3, "month": 1}
        self.periods = sorted(
            {name_of(a - a % sizes[g], sizes[g]) for a, n in starts for g in world.grains if sizes[g] >= n}
        )
        self._values: dict[tuple[str, str], dict[str, tuple[float | None, float, str | None]]] = {}
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
        return sorted(g for g, (kind, members) in self.world.groups.items() if kind == ranking["scope"] and members)

    def values(self, entity: str, period: str) -> dict[str, tuple[float | None, float, str | None]]:
        key = (entity, period)
        if key not in self._values:
            x = {leaf: amount(self.world, leaf, self.entities[entity][1], period) for leaf in self.leaves}
            self._values[key] = {node: evaluate(self.world, x, self.base, node) for node in self.nodes}
        return self._values[key]

    def value(self, entity: str, period: str, node: str = "index") -> float | None:
        return self.values(entity, period)[node][0]

    def present(self, entity: str, period: str) -> bool:
        return any(
            reason != "no-data" for leaf, (_, _, reason) in self.values(entity, period).items() if leaf in self.leaves
        )

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
        if self.is_open(period):
            return None, "open"
        n = (months_of(period)[0] - months_of(start)[0]) // months_of(start)[1] + 1
        rates = [self.over(entity, shift(start, i), year_ago(shift(start, i)), node)[0] for i in range(n)]
        if any(r is None for r in rates):
            return None, "gap"
        return plain_sum(rates) / n, None

    def complete_days(self, period: str) -> int:
        if self.world.watermark is None:
            return 0
        ended = (self.world.watermark + 8 * 3600 * 10**6) // DAY_US - (first_day(period) - EPOCH).days
        return min(max(ended, 0), n_days(period))

    def to_date(self, entity: str, period: str) -> tuple[float | None, str | None, int | None]:
        """(growth, reason, n')"""
        before = shift(period, -1)
        n = min(self.complete_days(period), n_days(before))
        v = self.value(entity, period)
        if v is None:
            return None, "no-value", None
        if not self.is_open(period):
            return None, "closed", None
        if n == 0:
            return None, "no-complete-day", None
        if self.value(entity, before) is None:
            return None, "no-predecessor", None
        members = self.entities[entity][1]
        to_date: list[float | None] = []
        for p in (period, before):
            x: dict[str, int | None] = {}
            for leaf in self.leaves:
                whole = amount(self.world, leaf, members, p)
                if leaf in self.world.stocks:
                    x[leaf] = whole
                    continue
                if whole is not None and (days_amount(self.world, leaf, members, p, n_days(p)) or 0) != whole:
                    return None, "no-days", None
                x[leaf] = days_amount(self.world, leaf, members, p, n)
            to_date.append(evaluate(self.world, x, self.base, "index")[0])
        if to_date[0] is None:
            return None, "no-value", None
        if to_date[1] is None:
            return None, "no-predecessor", None
        if to_date[1] == 0:
            return None, "zero-predecessor", None
        return to_date[0] / to_date[1] - 1.0, None, n

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
            rows = [r for r in rows if r in self.world.groups[scope][1]]
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
        listed = sorted(ranks, key=lambda row: (ranks[row], row))
        return {
            "rows": {
                "entity": listed,
                "rank": [ranks[r] for r in listed],
                "value": [values[r] for r in listed],
                "change": [was[r] - ranks[r] if r in was else None for r in listed],
            },
            "left_out": {"entity": list(left_out), "reason": list(left_out.values())},
        }


def panel(scores: list[list[int]]) -> list[float]:
    """Expert panel weights, each the double nearest to the exact fraction."""
    total = sum(sum(row) for row in scores)
    return [float(Fraction(sum(row[j] for row in scores), total)) for j in range(len(scores[0]))]
