"""From amounts to levels: the x of a leaf, in its own measure, before it is placed on a common scale.

docs/formats.md section 4, "Scores of leaves": unit, denominator, floor and cap, logarithm, entropy. Column by column,
as everything in `evaluate`: a column alone gives the same bits as among others.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.columns import Columns
from index.elementwise import Floats, log
from index.leaves import ENTROPY, LOG, Leaf
from index.reasons import Reason

Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]
Reasons = NDArray[np.int8]


class Levels(NamedTuple):
    """`x` float64[n], NaN where missing, and why int8[n]."""

    x: Floats
    why: Reasons


def levels(
    leaf: Leaf, number: int, columns: Columns, amounts: Integers, present: Bools, of_base: bool = False
) -> Levels:
    """The levels of a leaf that is not plain; amounts, present [columns, n].

    `of_base`: of the column that its base is taken from.
    """
    if leaf.transform == ENTROPY:
        parts = list(columns.parts[number])
        return _entropy(amounts[parts], present[parts])
    column = columns.base[number] if of_base else number
    x = amounts[column] / 10.0**leaf.decimals
    why = np.where(present[column], Reason.NONE, Reason.NO_DATA).astype(np.int8)
    if leaf.denominator is not None:
        below = columns.denominator[number]
        divisor = amounts[below]
        mark(why, ~present[below], Reason.NO_DENOMINATOR)
        mark(why, divisor == 0, Reason.ZERO_DENOMINATOR)
        x /= np.where(divisor == 0, 1, divisor) / 10.0**leaf.denominator_decimals
    if leaf.floor is not None:
        x[x < leaf.floor] = leaf.floor
    if leaf.cap is not None:
        x[x > leaf.cap] = leaf.cap
    if leaf.transform == LOG:
        mark(why, x <= 0, Reason.NOT_POSITIVE)
        there = why == Reason.NONE
        x[there] = log(x[there])
    x[why != Reason.NONE] = np.nan
    return Levels(x, why)


def _entropy(amounts: Integers, present: Bools) -> Levels:
    """Normalised Shannon entropy of k >= 2 parts [k, n]: 0 where one has everything, 1 where all have the same."""
    k, n = amounts.shape
    total = amounts.sum(axis=0)  # of integers, so in any order
    why = np.where(present.any(axis=0), Reason.NONE, Reason.NO_DATA).astype(np.int8)
    mark(why, (amounts < 0).any(axis=0), Reason.NOT_POSITIVE)
    mark(why, total == 0, Reason.ZERO_VALUE)
    x = np.full(n, np.nan)
    for column in np.flatnonzero(why == Reason.NONE).tolist():
        whole = float(total[column])
        shares = [amount / whole for amount in map(float, amounts[:, column].tolist()) if amount > 0]
        x[column] = (0.0 - math.fsum(p * math.log(p) for p in shares)) / math.log(k)
    return Levels(x, why)


def mark(why: Reasons, where: Bools | np.bool_, reason: Reason) -> None:
    """Give a reason to those that have none yet."""
    why[where & (why == Reason.NONE)] = reason
