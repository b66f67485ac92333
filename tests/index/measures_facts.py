"""What the slow oracle of rankings starts from: published values and growths, and which rows a table has.

Plain Python that shares no code with index/. It is given what a reader of index-updates knows (values of all nodes,
which periods are open) and the declarations; sums are exact fractions, rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from tests.index.oracle import grain, months_of, shift, year_ago

Answer = tuple[float | None, str | None]  # a value, or why there is none ("?": any reason)
PER_YEAR = {"year": 1, "half": 2, "quarter": 4, "month": 12}


def total(x: Iterable[float]) -> float:
    try:
        return float(sum((Fraction(one) for one in x), Fraction(0)))
    except (OverflowError, ValueError):
        return math.nan


@dataclass
class Facts:
    """What the tables follow from. `v`: by (entity, node, period), absent where missing; `tree`: node -> (children,
    weights, aggregate); `grades`: (code, at_least) from the best down."""

    kinds: dict[str, list[str]]  # kind -> codes; the base kind first
    members: dict[str, list[str]]
    tree: dict[str, tuple[list[str], list[float], str]]
    rankings: list[dict[str, Any]]
    grains: list[str]
    nation: str | None = None
    grades: list[tuple[str, float | None]] = field(default_factory=list)
    industries: list[str] = field(default_factory=list)
    mean_from: str | None = None
    mean_step: str = "period"
    v: dict[tuple[str, str, str], float] = field(default_factory=dict)
    open: dict[str, bool] = field(default_factory=dict)  # of the periods that exist
    why: dict[tuple[str, str], str] = field(default_factory=dict)  # of root values that are missing

    def value(self, entity: str, node: str, period: str) -> float | None:
        return self.v.get((entity, node, period))

    # --- growth -------------------------------------------------------------------------------------------------------

    def growth(self, kind: str, entity: str, node: str, period: str) -> Answer:
        if kind == "mean_yoy":
            return self.mean_yoy(entity, node, period)
        now, then = self.value(entity, node, period), self.value(entity, node, other(kind, period))
        if now is None:
            return None, "no-value"
        if self.open.get(period):
            return None, "open"
        if then is None:
            return None, "no-predecessor"
        if then == 0:
            return None, "zero-predecessor"
        return now / then - 1.0, None

    def mean_yoy(self, entity: str, node: str, period: str) -> Answer:
        span = up_to(self.mean_from, period)
        if self.mean_step == "year":
            span = [p for p in span if months_of(p)[0] % 12 == months_of(period)[0] % 12]
            span = span if span and span[0] == self.mean_from else []
        if not span:
            return None, "outside-span"
        if self.open.get(period):
            return None, "open"
        rates = [self.growth("yoy", entity, node, p)[0] for p in span]
        if any(rate is None for rate in rates):
            return None, "gap"
        return one_by_one(rates) / len(rates), None

    # --- rows ---------------------------------------------------------------------------------------------------------

    def scopes(self, r: dict[str, Any]) -> list[str | None]:
        if "scope" not in r:
            return [None]
        return sorted(self.kinds[r["scope"]])

    def rows(self, r: dict[str, Any], scope: str | None) -> list[str]:
        if r["rows"] == "nodes":
            if r["nodes"] == "children":
                return sorted(self.tree[r.get("node", "index")][0])
            return sorted(self.industries if r["nodes"] == "industries" else r["nodes"])
        if r["rows"] == "grades":
            return sorted(code for code, _ in self.grades)
        return sorted(self.kinds[r["rows"]] if scope is None else self.members[scope])


def positions(keys: dict[str, float], rising: bool = False) -> dict[str, int]:
    return {
        row: 1 + sum((them < mine) if rising else (them > mine) for them in keys.values()) for row, mine in keys.items()
    }


def other(kind: str, period: str) -> str:
    return shift(period, -1) if kind == "pop" else year_ago(period)


def one_by_one(x: list[Any]) -> float:
    result = x[0]
    for one in x[1:]:
        result = result + one
    return float(result)


def up_to(start: str | None, period: str) -> list[str]:
    if start is None or grain(start) != grain(period):
        return []
    found = [start]
    while months_of(found[-1])[0] < months_of(period)[0]:
        found.append(shift(found[-1], 1))
    return found if found[-1] == period else []
