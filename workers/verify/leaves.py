"""Scores of leaves (docs/formats.md section 4), a column at a time: v where `why` is 0, else the number of a reason.

Elementwise +, -, *, / of numpy are those of IEEE 754; logarithms and exact sums are Python's own, element by element.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from workers.verify.grid import Bools, Codes, Floats, Grid
from workers.verify.tree import Leaf

# By precedence at a node: the first that holds for a leaf below is the node's reason, too.
REASONS = (
    None,
    "no-base",
    "no-denominator",
    "zero-denominator",
    "zero-value",
    "not-positive",
    "no-spread",
    "no-data",
    "merged",
    "low-coverage",
)
NO_BASE, NO_DENOMINATOR, ZERO_DENOMINATOR, ZERO_VALUE, NOT_POSITIVE, NO_SPREAD, NO_DATA, MERGED, LOW_COVERAGE = range(
    1, 10
)


@dataclass(slots=True)
class Values:
    """Of a leaf or node: both (slots, entities); v is meaningless where why is not 0."""

    v: Floats
    why: Codes

    @property
    def ok(self) -> Bools:
        """Where it has a value."""
        found: Bools = self.why == 0
        return found

    def miss(self, where: Bools, reason: int) -> None:
        """Missing there for that reason, unless it is missing for an earlier one."""
        self.why[where & (self.why == 0)] = reason


def score(leaf: Leaf, scales: dict[str, float], grid: Grid, base: Grid, is_base: Bools, scale: float) -> Values:
    """Scores of a leaf. `scales`: indicator -> 10^decimals; `base`: the totals of the base period; `is_base`: which
    entities are base entities.
    """
    found = _raw(leaf, leaf.column, scales, grid)
    if leaf.normalise == "base-share":
        _base_share(leaf, found, _raw(leaf, leaf.base_column, scales, base))
    elif leaf.normalise == "min-max":
        _min_max(leaf, found, is_base)
    elif leaf.normalise == "z-score":
        _z_score(leaf, found, is_base)
    elif leaf.normalise == "rank":
        _rank(leaf, found, is_base)
    found.v = found.v * scale
    return found


def _raw(leaf: Leaf, column: str, scales: dict[str, float], grid: Grid) -> Values:
    """x of a leaf, of the amounts in `column`."""
    own = grid.column(column)
    if leaf.plain:
        return _where(own.x, own.present)
    if leaf.transform == "entropy":
        found = _entropy(column, leaf, grid)
    else:
        found = _where(own.x / scales[column.partition("/")[0]], own.present)
        if leaf.denominator is not None:
            by = grid.column(leaf.denominator)
            found.miss(~by.present, NO_DENOMINATOR)
            found.miss(by.x == 0, ZERO_DENOMINATOR)
            w = by.x / scales[leaf.denominator]
            found.v = found.v / np.where(by.x == 0, 1.0, w)
    if leaf.floor is not None:
        found.v = np.where(found.v < leaf.floor, leaf.floor, found.v)
    if leaf.cap is not None:
        found.v = np.where(found.v > leaf.cap, leaf.cap, found.v)
    if leaf.transform == "log":
        found.miss(found.v <= 0, NOT_POSITIVE)
        for at in np.argwhere(found.ok):
            found.v[*at] = math.log(found.v[*at])
    return found


def _where(x: Floats, present: Bools) -> Values:
    return Values(x.copy(), np.where(present, 0, NO_DATA).astype(np.int8))


def _entropy(column: str, leaf: Leaf, grid: Grid) -> Values:
    """Normalised Shannon entropy of the amounts of the industries."""
    parts, wholes = [grid.column(part) for part in leaf.parts], grid.column(column).x
    found = _where(np.zeros((grid.slots, grid.entities)), grid.any_present(leaf.parts))
    k = math.log(len(parts))
    for at in np.argwhere(found.ok):
        amounts = [float(part.x[*at]) for part in parts]
        whole = float(wholes[*at])
        if min(amounts) < 0:
            found.why[*at] = NOT_POSITIVE
        elif whole == 0:
            found.why[*at] = ZERO_VALUE
        else:
            shares = [amount / whole for amount in amounts if amount > 0]
            found.v[*at] = (0.0 - math.fsum(p * math.log(p) for p in shares)) / k
    return found


def _base_share(leaf: Leaf, found: Values, base: Values) -> None:
    b = float(base.v[0, 0])
    if leaf.lower:
        found.miss(found.v == 0, ZERO_VALUE)
    if not base.ok[0, 0] or b == 0:
        found.miss(np.ones_like(found.ok), NO_BASE)
    elif leaf.lower:
        found.v = b / np.where(found.v == 0, 1.0, found.v)
    else:
        found.v = found.v / b


def _min_max(leaf: Leaf, found: Values, is_base: Bools) -> None:
    for v, why in zip(found.v, found.why, strict=True):
        xs = v[(why == 0) & is_base]
        if leaf.goalposts is not None:
            low, high = leaf.goalposts
            if leaf.transform == "log":
                low, high = math.log(low), math.log(high)
        else:
            low, high = (float(xs.min()), float(xs.max())) if len(xs) else (0.0, 0.0)
        if low == high:
            why[why == 0] = NO_SPREAD
            continue
        v[:] = ((high - v) if leaf.lower else (v - low)) / (high - low)


def _z_score(leaf: Leaf, found: Values, is_base: Bools) -> None:
    for v, why in zip(found.v, found.why, strict=True):
        xs: list[float] = v[(why == 0) & is_base].tolist()
        n = len(xs)
        spread = mean = 0.0
        if n >= 2 and min(xs) < max(xs):
            mean = math.fsum(xs) / n
            spread = math.sqrt(math.fsum((x - mean) * (x - mean) for x in xs) / n)
        if spread == 0:
            why[why == 0] = NO_SPREAD
            continue
        v[:] = ((mean - v) if leaf.lower else (v - mean)) / spread


def _rank(leaf: Leaf, found: Values, is_base: Bools) -> None:
    for v, why in zip(found.v, found.why, strict=True):
        xs = np.sort(v[(why == 0) & is_base])
        n = len(xs)
        if n == 0:
            why[why == 0] = NO_SPREAD
            continue
        before = np.searchsorted(xs, v, "left") if leaf.lower else n - np.searchsorted(xs, v, "right")
        v[:] = (n - (1 + before) + 1).astype(np.float64) / float(n)
