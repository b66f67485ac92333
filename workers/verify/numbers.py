"""Values and growths of one system by entity, node and period, in plain Python (docs/formats.md section 4).

Growths of a node are made when they are first asked for. Cost: about a microsecond each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from workers.verify.definition import Definition
from workers.verify.leaves import REASONS
from workers.verify.nodes import Evaluated
from workers.verify.periods import Period
from workers.verify.tree import ROOT

# A number, or None and the reason why it is missing.
Maybe = tuple[float | None, str | None]
KINDS = ("pop", "yoy", "mean_yoy")


@dataclass(slots=True)
class Numbers:
    """`slots`: period -> number of its slot, of all periods in which the system has data; `entities`: entity -> number;
    `kinds`: entity -> kind; `base`: the base entities; `members`: group -> base entities; `open`: the open periods;
    `to_date`: (entity, period) -> growth to date of the root; `days`: period -> n' of it.
    """

    definition: Definition
    evaluated: Evaluated
    slots: Mapping[Period, int]
    entities: Mapping[str, int]
    kinds: Mapping[str, str]
    base: Sequence[str]
    members: Mapping[str, Sequence[str]]
    open: frozenset[Period]
    to_date: Mapping[tuple[str, Period], Maybe]
    days: Mapping[Period, int]
    _values: dict[str, list[list[float | None]]] = field(default_factory=dict)
    _growths: dict[tuple[str, str], dict[tuple[str, Period], Maybe]] = field(default_factory=dict)

    def v(self, entity: str | None, node: str, period: Period) -> float | None:
        """A value; None where it is missing, or there is no such entity or period."""
        slot, column = self.slots.get(period), None if entity is None else self.entities.get(entity)
        if slot is None or column is None:
            return None
        values = self._values.get(node)
        if values is None:
            values = self._values[node] = self._listed(node)
        return values[slot][column]

    def why(self, entity: str, node: str, period: Period) -> str | None:
        """Why the value of an entity in a held period is missing."""
        return REASONS[int(self.evaluated.nodes[node].why[self.slots[period], self.entities[entity]])]

    def coverage(self, entity: str, period: Period) -> float:
        """Of the root."""
        return float(self.evaluated.coverage[self.slots[period], self.entities[entity]])

    def growth(self, entity: str | None, node: str, period: Period, kind: str) -> Maybe:
        """`pop`, `yoy` or `mean_yoy`; no-value where there is no such entity."""
        if entity is None or entity not in self.entities or period not in self.slots:
            return None, "no-value"
        found = self._growths.setdefault((node, kind), {})
        key = entity, period
        if key not in found:
            if kind == "mean_yoy":
                found[key] = self._mean_yoy(entity, node, period)
            else:
                found[key] = self._against(entity, node, period, back(period, kind))
        return found[key]

    def nodes(self, entity: str, period: Period) -> dict[str, float | None]:
        """Of every node but the root."""
        return {each.name: self.v(entity, each.name, period) for each in self.definition.nodes if each.name != ROOT}

    def _listed(self, node: str) -> list[list[float | None]]:
        values = self.evaluated.nodes[node]
        return [
            [None if reason else v for v, reason in zip(row, why, strict=True)]
            for row, why in zip(values.v.tolist(), values.why.tolist(), strict=True)
        ]

    def _against(self, entity: str, node: str, period: Period, other: Period) -> Maybe:
        now, then = self.v(entity, node, period), self.v(entity, node, other)
        if now is None:
            return None, "no-value"
        if period in self.open:
            return None, "open"
        if then is None:
            return None, "no-predecessor"
        return (None, "zero-predecessor") if then == 0 else finite(now / then - 1.0)

    def _mean_yoy(self, entity: str, node: str, period: Period) -> Maybe:
        start = self.definition.mean_yoy_from
        step = period.ordinal - period.year_ago.ordinal if self.definition.mean_yoy_by_year else 1
        if start is None or start.grain != period.grain or period.ordinal < start.ordinal:
            return None, "outside-span"
        if (period.ordinal - start.ordinal) % step:
            return None, "outside-span"
        if period in self.open:
            return None, "open"
        total, n = -0.0, 0
        for ordinal in range(start.ordinal, period.ordinal + 1, step):
            yoy = self.growth(entity, node, Period(period.grain, ordinal), "yoy")[0]
            if yoy is None:
                return None, "gap"
            total, n = total + yoy, n + 1
        return finite(total / n)


def finite(value: float) -> Maybe:
    """A growth that leaves the range of a double is missing."""
    return (value, None) if math.isfinite(value) else (None, "not-finite")


def back(period: Period, over: str) -> Period:
    """The period that a growth `over` (`pop`, `yoy`) compares with."""
    return period.predecessor if over == "pop" else period.year_ago
