"""What relative normalisations compare with: per period and leaf, the levels of all base entities and what follows.

`min-max` without goalposts needs the least and the greatest level, `z-score` their mean and deviation, `rank` all of
them, sorted. They are found anew only when the level of a base entity changed, and only if they then differ do other
rows have to be evaluated again (docs/formats.md section 4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from index.columns import Columns
from index.elementwise import Floats, exact_sum
from index.layout import Rows
from index.leaves import MIN_MAX, Z_SCORE, Leaf
from index.levels import Bools, Integers, levels


class Population:
    """One leaf in one period. `scale`: (least, greatest) or (mean, deviation), None where there is no spread;
    `ordered`: of `rank`, all levels, rising."""

    __slots__ = ("_normalise", "_x", "ordered", "scale")

    def __init__(self, normalise: str, n_cities: int) -> None:
        """Nobody has a level."""
        self._normalise = normalise
        self._x = np.full(n_cities, np.nan)
        self.scale: tuple[float, float] | None = None
        self.ordered: Floats = np.zeros(0)

    def take(self, cities: Rows, x: Floats) -> bool:
        """New levels of some base entities, NaN where missing; whether that moved the scale, or the order."""
        if np.array_equal(self._x[cities], x, equal_nan=True):
            return False
        self._x[cities] = x
        there = self._x[~np.isnan(self._x)]
        if self._normalise not in (MIN_MAX, Z_SCORE):
            before, self.ordered = self.ordered, np.sort(there)
            return not np.array_equal(before, self.ordered)
        was, self.scale = self.scale, _extremes(there) if self._normalise == MIN_MAX else _moments(there)
        return was != self.scale


def _extremes(x: Floats) -> tuple[float, float] | None:
    """Least and greatest; None where they are equal. + 0.0: of -0.0 and 0.0 either could be the least."""
    if not len(x):
        return None
    low, high = float(x.min()) + 0.0, float(x.max()) + 0.0
    return (low, high) if low < high else None


def _moments(x: Floats) -> tuple[float, float] | None:
    """Mean and population standard deviation; None for fewer than two, or equal ones."""
    if len(x) < 2 or x.min() == x.max():
        return None
    mean = exact_sum(x) / len(x)
    deviations = x - mean
    deviation = math.sqrt(exact_sum(deviations * deviations) / len(x))
    return (mean, deviation) if deviation > 0 else None


class Populations:
    """Those of all relative leaves in one period, by leaf number."""

    def __init__(self, leaves: Sequence[Leaf], columns: Columns, n_cities: int) -> None:
        """Nobody has a level."""
        self._leaves = leaves
        self._columns = columns
        self.of = {i: Population(leaf.normalise, n_cities) for i, leaf in enumerate(leaves) if leaf.relative}

    def take(self, cities: Rows, amounts: Integers, present: Bools) -> bool:
        """New amounts [columns, n] of n base entities; whether that moved the scale of any leaf."""
        moved = False
        for number, population in self.of.items():
            x = levels(self._leaves[number], number, self._columns, amounts, present).x
            moved |= population.take(cities, x)
        return moved
