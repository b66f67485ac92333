"""What a measure sees: the places of one ranking in one period, and the values of that period and of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from index.growth import Growth, mean, over
from index.measures.result import Floats
from index.periods import Period

if TYPE_CHECKING:
    from index.outline import Outline, Places
    from index.sheet import Sheet
    from index.system import System

Numbers = NDArray[np.int64]


class View:
    """`places`: those asked for; `scope`, `node`, `row` int64[n]: of each; `period`, `is_open`: of the table."""

    def __init__(self, system: System, sheet: Sheet, outline: Outline, places: Places) -> None:
        """Reads only; nothing is kept. `places`: all, where the measure asks for the whole table."""
        self.system, self.outline, self.ranking = system, outline, outline.ranking
        self.tree, self.layout = system.definition.tree, system.layout
        self.period, self.is_open = sheet.period, bool(sheet.is_open)
        self.why = sheet.why
        self.places, self.n = places, len(places)
        self.scope, self.node, self.row = outline.scope[places], outline.node[places], outline.row[places]

    @property
    def before(self) -> Period:
        """Q: the period that `over` compares with."""
        return before(self.ranking.over, self.period)

    def values(self, period: Period, nodes: Numbers | int | None = None, rows: Numbers | None = None) -> Floats:
        """v of some nodes and rows (arrays that fit each other; unless given, of all places), NaN where missing."""
        nodes, rows = self.node if nodes is None else nodes, self.row if rows is None else rows
        sheet = self.system.sheets.get(period)
        if sheet is None:
            return np.full(np.broadcast_shapes(np.shape(nodes), np.shape(rows)), np.nan)
        found: Floats = sheet.values[nodes, rows]
        return found

    def growth(
        self, kind: str, period: Period, nodes: Numbers | int | None = None, rows: Numbers | None = None
    ) -> Growth:
        """g of some nodes and rows by `kind` (pop, yoy, mean_yoy) in a period, with reasons."""
        if kind == "mean_yoy":
            span = [p if self.system.sheets.get(p) is not None else None for p in mean_span(self.system, period)]
            growths = [None if p is None else self.growth("yoy", p, nodes, rows).values for p in span]
            return mean(growths, self._is_open(period), self.values(period, nodes, rows).shape)
        other = self.values(before(kind, period), nodes, rows)
        return over(self.values(period, nodes, rows), other, self._is_open(period))

    def level(self, kind: str, period: Period, nodes: Numbers | int, rows: Numbers) -> Floats:
        """y of some rows by `of`: the value or a growth, NaN where missing."""
        if kind == "value":
            return self.values(period, nodes, rows)
        return self.growth(kind, period, nodes, rows).values

    def parent(self, period: Period) -> Floats:
        """v of each place's parent, at the place's node."""
        return self.values(period, self.node, self.outline.parent[self.scope])

    def number(self, name: str) -> int:
        """The number of a node."""
        return self.tree.number_of[name]

    def _is_open(self, period: Period) -> bool:
        sheet = self.system.sheets.get(period)
        return sheet is not None and bool(sheet.is_open)


def before(kind: str, period: Period) -> Period:
    """The period that a growth by `kind` compares with."""
    return period.predecessor if kind == "pop" else period.year_ago


def mean_span(system: System, period: Period) -> list[Period]:
    """The periods whose yoy `mean_yoy` is the mean of; empty outside its span."""
    start = system.definition.mean_yoy_from
    if start is None or start.grain != period.grain or period < start:
        return []
    step = period.grain.per_year if system.definition.mean_yoy_step == "year" else 1
    if (period.ordinal - start.ordinal) % step:
        return []
    return [Period(period.grain, ordinal) for ordinal in range(start.ordinal, period.ordinal + 1, step)]


def earliest(system: System, outline: Outline, period: Period) -> int:
    """No period before this ordinal (of the same grain) has a part in the table of a derived ranking."""
    ranking, per_year, start = outline.ranking, period.grain.per_year, system.definition.mean_yoy_from
    kinds = (ranking.measure, ranking.over, ranking.of)
    starts = [p for p in (ranking.since, start if "mean_yoy" in kinds else None) if p is not None]
    first = min([period.ordinal, *(p.ordinal for p in starts if p.grain == period.grain)])
    return first - sum({"pop": 1, "yoy": per_year, "mean_yoy": per_year}.get(kind, 0) for kind in kinds)
