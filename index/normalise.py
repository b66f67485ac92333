"""From levels to scores: every leaf on its common scale (docs/formats.md section 4, "Scores of leaves").

Plain leaves (an amount as a share of the whole country's in the base period, times a scale; DTI-2023, method section)
are computed all at once, the others one by one. Division by the base, goalposts, ranks and moments differ only here:
each maps the levels of some columns, and what it knows of the whole, to scores.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.columns import Columns
from index.elementwise import Floats
from index.leaves import BASE_SHARE, LOG, LOWER, MIN_MAX, NONE, RANK, Leaf
from index.levels import Bools, Integers, Levels, Reasons, levels, mark
from index.populations import Population, Populations
from index.reasons import Reason


class Base(NamedTuple):
    """What base-share divides by. `amount`: float64[leaves]; `usable`: bool[leaves], there is one, and it is not 0."""

    amount: NDArray[np.float64]
    usable: NDArray[np.bool_]


class Scores(NamedTuple):
    """`scores` float64[leaves, n], NaN where missing, and why int8[leaves, n]."""

    scores: Floats
    why: Reasons


def no_base(n_leaves: int) -> Base:
    """As long as the base period has no cell."""
    return Base(np.zeros(n_leaves), np.zeros(n_leaves, np.bool_))


def base_of(leaves: tuple[Leaf, ...], columns: Columns, amounts: Integers, present: Bools) -> Base:
    """The base from the amounts of all base entities in the base period: amounts, present [columns, 1]."""
    base = no_base(len(leaves))
    for number, leaf in enumerate(leaves):
        if leaf.plain:
            base.amount[number] = amounts[columns.base[number], 0]  # without a cell it is 0, too
        elif leaf.normalise == BASE_SHARE:
            base.amount[number] = levels(leaf, number, columns, amounts, present, of_base=True).x[0]
    base.amount[np.isnan(base.amount)] = 0.0
    return Base(base.amount, base.amount != 0)


def scores(
    leaves: tuple[Leaf, ...],
    columns: Columns,
    scale: float,
    amounts: Integers,
    present: Bools,
    base: Base,
    populations: Populations | None = None,
) -> Scores:
    """amounts, present [columns, n] -> the scores of all leaves. `populations`: of the period, for relative leaves."""
    n_leaves = len(leaves)
    if not columns.others:
        return base_share(amounts[:n_leaves], present[:n_leaves], base, scale)
    result = Scores(np.empty((n_leaves, amounts.shape[1])), np.empty((n_leaves, amounts.shape[1]), np.int8))
    if columns.plain:
        plain = list(columns.plain)
        some = Base(base.amount[plain], base.usable[plain])
        result.scores[plain], result.why[plain] = base_share(amounts[plain], present[plain], some, scale)
    for number in columns.others:
        leaf = leaves[number]
        found = levels(leaf, number, columns, amounts, present)
        population = populations.of.get(number) if populations is not None else None
        t, why = _placed(leaf, found, float(base.amount[number]), bool(base.usable[number]), population)
        t *= scale
        t[why != Reason.NONE] = np.nan
        result.scores[number], result.why[number] = t, why
    return result


def base_share(amounts: Integers, present: Bools, base: Base, scale: float) -> Scores:
    """score = (x / B) * scale, of leaves that are nothing but that; amounts, present: [leaves, n]."""
    usable = base.usable[:, None]
    divisor = np.where(base.usable, base.amount, 1.0)[:, None]
    ok = present & usable
    scores = amounts.astype(np.float64)
    scores /= divisor
    scores *= scale
    scores[~ok] = np.nan
    why = np.where(present, np.where(usable, Reason.NONE, Reason.NO_BASE), Reason.NO_DATA).astype(np.int8)
    return Scores(scores, why)


def _placed(leaf: Leaf, found: Levels, base: float, usable: bool, population: Population | None) -> Levels:
    """t of one leaf, before the scale. Where a reason stands, t may be anything."""
    x, why = found
    if leaf.normalise == NONE:
        return found
    if leaf.normalise == BASE_SHARE:
        if leaf.direction == LOWER:
            mark(why, x == 0, Reason.ZERO_VALUE)
            t = base / np.where(x == 0, 1.0, x)
        else:
            t = x / (base if usable else 1.0)
        if not usable:
            mark(why, np.True_, Reason.NO_BASE)
        return Levels(t, why)
    if leaf.normalise == RANK:
        return _ranked(leaf, found, population)
    low_high = _goalposts(leaf) if leaf.goalposts is not None else population.scale if population is not None else None
    if low_high is None:
        mark(why, np.True_, Reason.NO_SPREAD)
        return found
    middle, spread = low_high
    if leaf.normalise == MIN_MAX:
        low, high = low_high
        middle, spread = high if leaf.direction == LOWER else low, high - low
    t = (middle - x if leaf.direction == LOWER else x - middle) / spread
    return Levels(t, why)


def _goalposts(leaf: Leaf) -> tuple[float, float] | None:
    """Low and high in the measure of x; None where no double lies between them."""
    assert leaf.goalposts is not None
    low, high = leaf.goalposts
    if leaf.transform == LOG:
        low, high = math.log(low), math.log(high)
    return (low, high) if low < high else None


def _ranked(leaf: Leaf, found: Levels, population: Population | None) -> Levels:
    """(n - r + 1) / n, r = 1 + how many of the n base entities are better."""
    x, why = found
    ordered = population.ordered if population is not None else np.zeros(0)
    n = len(ordered)
    if not n:
        mark(why, np.True_, Reason.NO_SPREAD)
        return found
    better = ordered.searchsorted(x, "left") if leaf.direction == LOWER else n - ordered.searchsorted(x, "right")
    return Levels((n - (better + 1) + 1) / n, why)
