"""One row of a ranking, slowly: every measure of docs/formats.md section 5. Part of `tests.index.measures_oracle`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tests.index.measures_facts import PER_YEAR, Answer, Facts, one_by_one, other, positions, total, up_to
from tests.index.oracle import grain


def power(base: float, exponent: float) -> float:
    try:
        return float(base**exponent)
    except OverflowError:
        return math.inf


@dataclass
class Cell:
    """One row of one table in one period."""

    facts: Facts
    r: dict[str, Any]
    period: str
    scope: str | None
    row: str

    def measure(self) -> Answer:
        name = self.r["measure"]
        if self.r["rows"] == "grades":
            return self.of_grade(name)
        if hasattr(self, name):
            found: Answer = getattr(self, name)()
            return found
        return self.of_members(name)

    # --- what the row stands for ------------------------------------------------------------------------------------

    def at(self, row: str, period: str, node: str | None = None) -> float | None:
        if self.r["rows"] == "nodes":
            assert self.scope is not None
            return self.facts.value(self.scope, node or row, period)
        return self.facts.value(row, node or self.r.get("node", "index"), period)

    def place(self, row: str) -> tuple[str, str]:
        """Entity and node."""
        if self.r["rows"] == "nodes":
            assert self.scope is not None
            return self.scope, row
        return row, self.r.get("node", "index")

    def g(self, row: str | None = None, kind: str | None = None) -> Answer:
        return self.facts.growth(kind or self.over, *self.place(row or self.row), self.period)

    @property
    def over(self) -> str:
        return str(self.r.get("over", "pop"))

    @property
    def q(self) -> str:
        return other(self.over, self.period)

    @property
    def is_open(self) -> bool:
        return self.facts.open[self.period]

    @property
    def now(self) -> float | None:
        return self.at(self.row, self.period)

    def parent(self, period: str) -> float | None:
        whole = self.scope if self.r["rows"] != "nodes" and self.scope else self.facts.nation
        assert whole is not None
        return self.facts.value(whole, self.place(self.row)[1], period)

    def all_rows(self) -> list[str]:
        return self.facts.rows(self.r, self.scope)

    # --- single rows --------------------------------------------------------------------------------------------------

    def value(self) -> Answer:
        entity, node = self.place(self.row)
        why = self.facts.why.get((entity, self.period), "no-data") if node == "index" else "?"
        return self.now, None if self.now is not None else why

    def pop(self) -> Answer:
        return self.g(kind="pop")

    def yoy(self) -> Answer:
        return self.g(kind="yoy")

    def mean_yoy(self) -> Answer:
        return self.g(kind="mean_yoy")

    def share(self) -> Answer:
        return part(self.now, self.parent(self.period))

    def node_share(self) -> Answer:
        return part(self.now, self.at(self.row, self.period, self.r.get("other", "index")))

    def span_values(self) -> list[float | None]:
        return [self.at(self.row, p) for p in up_to(self.r["from"], self.period)]

    def span_sum(self) -> Answer:
        x = self.span_values()
        if not x:
            return None, "outside-span"
        return (None, "gap") if None in x else (one_by_one(x), None)

    def span_mean(self) -> Answer:
        value, why = self.span_sum()
        return None if value is None else value / len(self.span_values()), why

    def compound(self) -> Answer:
        periods = len(self.span_values()) - 1
        if periods < 1:
            return None, "outside-span"
        now, first = self.now, self.at(self.row, self.r["from"])
        if now is None:
            return None, "no-value"
        if self.is_open:
            return None, "open"
        if first is None:
            return None, "no-predecessor"
        if first == 0:
            return None, "zero-predecessor"
        if now / first <= 0:
            return None, "not-positive"
        return power(now / first, PER_YEAR[grain(self.period)] / periods) - 1.0, None

    def moved(self, weight: float, whole: float | None) -> Answer:
        now, then = self.now, self.at(self.row, self.q)
        if now is None:
            return None, "no-value"
        if self.is_open:
            return None, "open"
        if then is None:
            return None, "no-predecessor"
        if whole is None:
            return None, "no-parent"
        return (None, "zero-parent") if whole == 0 else ((weight * (now - then)) / whole, None)

    def contribution(self) -> Answer:
        return self.moved(1.0, self.parent(self.q))

    def node_contribution(self) -> Answer:
        entity, node = self.place(self.row)
        path: list[float] = []
        while node != "index":
            above = next(n for n, (children, _, _) in self.facts.tree.items() if node in children)
            children, weights, aggregate = self.facts.tree[above]
            path.insert(0, 1.0 if aggregate == "sum" else weights[children.index(node)])
            node = above
        weight = 1.0
        for w in path:
            weight *= w
        return self.moved(weight, self.facts.value(entity, "index", self.q))

    def growth_multiple(self) -> Answer:
        own, why = self.g()
        if own is None:
            return None, why
        assert self.facts.nation is not None
        whole = self.facts.growth(self.over, self.facts.nation, self.place(self.row)[1], self.period)[0]
        if whole is None:
            return None, "no-parent"
        return (None, "zero-parent") if whole == 0 else (own / whole, None)

    def steadiness(self) -> Answer:
        entity, node = self.place(self.row)
        if self.now is None:
            return None, "no-value"
        if self.is_open:
            return None, "open"
        rates = [self.facts.growth(self.over, entity, child, self.period)[0] for child in self.facts.tree[node][0]]
        there = [rate for rate in rates if rate is not None]
        return (None, "gap") if len(there) < len(rates) else (deviation(there), None)

    # --- rows among rows ----------------------------------------------------------------------------------------------

    def by_value(self, period: str) -> dict[str, int]:
        return positions({row: v for row in self.all_rows() if (v := self.at(row, period)) is not None})

    def rise(self) -> Answer:
        if self.now is None:
            return None, "no-value"
        if self.at(self.row, self.q) is None:
            return None, "no-predecessor"
        return float(self.by_value(self.q)[self.row] - self.by_value(self.period)[self.row]), None

    def times_in_first(self) -> Answer:
        span = up_to(self.r["from"], self.period)
        if not span:
            return None, "outside-span"
        if self.now is None:
            return None, "no-value"
        return float(sum(self.by_value(p).get(self.row, 10**9) <= self.r["first"] for p in span)), None

    def size_and_growth(self) -> tuple[dict[str, float], dict[str, float]]:
        size, growth = {}, {}
        for row in self.all_rows():
            big = self.at(row, self.period)
            if self.r.get("size") == "node_share":
                big = finite(part(big, self.at(row, self.period, self.r.get("other", "index")))[0])
            rate = self.g(row)[0]
            if big is not None:
                size[row] = big
            if rate is not None:
                growth[row] = rate
        return size, growth

    def both_high(self) -> Answer:
        size, growth = self.size_and_growth()
        if self.row not in size:
            return None, "no-value"
        if self.row not in growth:
            return None, self.g()[1]
        first = self.r.get("first", 10)
        return float(positions(size)[self.row] <= first and positions(growth)[self.row] <= first), None

    def quadrant(self) -> Answer:
        size, growth = self.size_and_growth()
        if self.row not in size:
            return None, "no-value"
        if self.row not in growth:
            return None, self.g()[1]
        both = [row for row in size if row in growth]
        large = size[self.row] >= total(size[row] for row in both) / len(both)
        fast = growth[self.row] >= total(growth[row] for row in both) / len(both)
        return {(1, 1): 3.0, (0, 1): 2.0, (1, 0): 1.0, (0, 0): 0.0}[int(large), int(fast)], None

    # --- members ------------------------------------------------------------------------------------------------------

    def y(self, period: str) -> list[float]:
        of, node = self.r.get("of", "value"), self.r.get("node", "index")
        found = [
            self.facts.value(m, node, period) if of == "value" else self.facts.growth(of, m, node, period)[0]
            for m in self.facts.members[self.row]
        ]
        return sorted(one for one in found if one is not None)

    def of_members(self, name: str) -> Answer:
        y, r = self.y(self.period), self.r
        if name == "correlation":
            return self.correlated()
        if not y:
            return None, "open" if self.is_open and r.get("of", "value") != "value" else "no-value"
        k, s = len(y), total(y)
        if name == "members_sum":
            return s, None
        if name == "members_mean":
            return s / k, None
        if name == "members_max":
            return max(y), None
        if name == "lead":
            return (None, "no-spread") if k < 2 else part(y[-1], total(y[:-1]) / (k - 1))
        if name == "lead_share":
            return part(max(y), s)
        if name == "first_share":
            return part(total(y[::-1][: r["first"]]), s)
        if name == "members_above":
            return self.above(y), None
        if name == "members_above_growth":
            if self.is_open:
                return None, "open"
            then = self.y(self.q)
            if not then:
                return None, "no-predecessor"
            if self.above(then) == 0:
                return None, "zero-predecessor"
            return self.above(y) / self.above(then) - 1.0, None
        if name == "max_to_mean":
            return part(max(y), s / k)
        if name == "variation":
            return part(deviation(y), s / k)
        assert name == "gini"
        if min(y) < 0:
            return None, "not-positive"
        if s == 0:
            return None, "zero-parent"
        return (2.0 * total((i + 1) * one for i, one in enumerate(y))) / (k * s) - (k + 1) / k, None

    def above(self, y: list[float]) -> float:
        threshold = total(y) / len(y) if self.r["threshold"] == "mean" else self.r["threshold"]
        return float(len([one for one in y if one > threshold]))

    def correlated(self) -> Answer:
        nodes = self.r.get("node", "index"), self.r.get("other", "index")
        found = [[self.facts.value(m, node, self.period) for node in nodes] for m in self.facts.members[self.row]]
        pairs = [(x, y) for x, y in found if x is not None and y is not None]
        if not pairs:
            return None, "no-value"
        if len({x for x, _ in pairs}) < 2 or len({y for _, y in pairs}) < 2:
            return None, "no-spread"
        k = len(pairs)
        mx, my = total(x for x, _ in pairs) / k, total(y for _, y in pairs) / k
        sxy = total((x - mx) * (y - my) for x, y in pairs)
        sxx, syy = total((x - mx) * (x - mx) for x, _ in pairs), total((y - my) * (y - my) for _, y in pairs)
        below = math.sqrt(sxx * syy)
        return (sxy / below if below else math.nan), None

    # --- grades -------------------------------------------------------------------------------------------------------

    def in_grades(self, period: str) -> list[tuple[str | None, float]]:
        """The grade and the value of each base entity of the scope."""
        base = self.facts.kinds[next(iter(self.facts.kinds))] if self.scope is None else self.facts.members[self.scope]
        found: list[tuple[str | None, float]] = []
        for entity in base:
            v = self.facts.value(entity, self.r.get("node", "index"), period)
            if v is not None:
                reached = [code for code, least in self.facts.grades if least is None or v >= least]
                found.append((reached[0] if reached else None, v))
        return found

    def of_grade(self, name: str) -> Answer:
        now = self.in_grades(self.period)
        if not now:
            return None, "no-value"
        mine = [v for grade, v in now if grade == self.row]
        if name == "grade_count":
            return float(len(mine)), None
        if name == "grade_share":
            return len(mine) / len(now), None
        if name == "grade_mean":
            return (total(mine) / len(mine), None) if mine else (None, "no-value")
        assert name == "grade_growth"
        if self.is_open:
            return None, "open"
        then = self.in_grades(self.q)
        if not then:
            return None, "no-predecessor"
        before = len([v for grade, v in then if grade == self.row])
        return (len(mine) / before - 1.0, None) if before else (None, "zero-predecessor")


def part(x: float | None, whole: float | None) -> Answer:
    if x is None:
        return None, "no-value"
    if whole is None:
        return None, "no-parent"
    return (None, "zero-parent") if whole == 0 else (x / whole, None)


def finite(x: float | None) -> float | None:
    return x if x is not None and math.isfinite(x) else None


def deviation(x: list[float]) -> float:
    m = total(x) / len(x)
    return math.sqrt(total((one - m) * (one - m) for one in x) / len(x))
