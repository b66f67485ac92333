"""The move of a leaf's score, split: its own amounts against what it is measured against, and by member of a group.

    own, reference   of leaves that are placed among the other entities (min-max, z-score, rank): with f the placing of
                     each period, own = ((f0(x1) - f0(x0)) + (f1(x1) - f1(x0))) / 2, reference the rest (the Shapley
                     value of two factors: A. Shorrocks, J. Economic Inequality 11, 2013)
    by member        a group's amount is the sum of its members', so its move is the sum of theirs; each later step
                     (denominator, floor and cap, logarithm, normalisation) passes it on by its secant, which leaves no
                     remainder. Under a denominator w: move of u/w = (move of u - mean of u/w * move of w) / mean of w

Ranks and entropy are no sums in any measure: their moves have no members.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.definition import Definition
from index.leaves import BASE_SHARE, ENTROPY, LOG, LOWER, MIN_MAX, NONE, RANK, Leaf
from index.normalise import Base, scores
from index.populations import Populations

Floats = NDArray[np.float64]


class Side(NamedTuple):
    """Some entities in one of two periods: `values` [nodes, n], NaN where missing; `amounts`, `present` [columns, n];
    `populations` of the period."""

    values: Floats
    amounts: NDArray[np.int64]
    present: NDArray[np.bool_]
    populations: Populations | None


class LeafMoves(NamedTuple):
    """Both float64[leaves, n], in score: 0.0 where a leaf is missing on a side."""

    own: Floats
    reference: Floats


def leaf_moves(definition: Definition, base: Base, before: Side, after: Side) -> LeafMoves:
    """The moves of the scores of all leaves of the same entities."""
    places = [number for number, node in enumerate(definition.tree.nodes) if node.leaf >= 0]
    s0, s1 = before.values[places], after.values[places]
    move = s1 - s0
    own, relative = move.copy(), [number for number, leaf in enumerate(definition.leaves) if leaf.relative]
    if relative:
        given = (definition.leaves, definition.columns, definition.scale)
        then_now = scores(*given, after.amounts, after.present, base, before.populations).scores
        now_then = scores(*given, before.amounts, before.present, base, after.populations).scores
        own[relative] = (((then_now - s0) + (s1 - now_then)) / 2)[relative]
    missing = np.isnan(move)
    own[missing] = move[missing] = 0.0
    lost = np.isnan(own)  # one period has no scale to place the other's level on, though it has one for its own
    own[lost] = 0.0
    return LeafMoves(own, move - own)


def member_moves(definition: Definition, base: Base, number: int, before: Side, after: Side) -> Floats | None:
    """Of leaf `number`: what each member moved the score of its group by its own amounts, float64[n - 1].

    The first column of both sides is the group, the others its members. None: cannot be told apart by member.
    """
    leaf = definition.leaves[number]
    if leaf.normalise == RANK or leaf.transform == ENTROPY:
        return None
    columns = definition.columns
    moves = _moved(before, after, number, leaf.decimals if not leaf.plain else 0)
    raw0, raw1 = _amount(before, number, leaf), _amount(after, number, leaf)
    if leaf.denominator is not None:
        below = columns.denominator[number]
        unit = 10.0**leaf.denominator_decimals
        w0, w1 = float(before.amounts[below, 0]) / unit, float(after.amounts[below, 0]) / unit
        raw0, raw1 = raw0 / w0, raw1 / w1  # not 0: the leaf has a score on both sides
        middle = (w0 + w1) / 2
        if middle == 0.0:
            return None
        moves = (moves - (raw0 + raw1) / 2 * _moved(before, after, below, leaf.denominator_decimals)) / middle
    x0, x1 = _clipped(leaf, raw0), _clipped(leaf, raw1)
    slope = (x1 - x0) / (raw1 - raw0) if raw1 != raw0 else float(x0 == raw0)
    if leaf.transform == LOG:
        slope *= math.log1p((x1 - x0) / x0) / (x1 - x0) if x1 != x0 else 1 / x0
        x0, x1 = math.log(x0), math.log(x1)
    found: Floats = moves * (slope * _placing(leaf, number, definition.scale, base, x0, x1, before, after))
    return found


def _amount(side: Side, number: int, leaf: Leaf) -> float:
    amount = float(side.amounts[number, 0])
    return amount if leaf.plain else amount / 10.0**leaf.decimals


def _moved(before: Side, after: Side, column: int, decimals: int) -> Floats:
    """Moves of the members' amounts in a column: differences of integers, so exact but for one rounding."""
    return (after.amounts[column, 1:] - before.amounts[column, 1:]) / 10.0**decimals


def _clipped(leaf: Leaf, x: float) -> float:
    if leaf.floor is not None and x < leaf.floor:
        return leaf.floor
    return leaf.cap if leaf.cap is not None and x > leaf.cap else x


def _placing(
    leaf: Leaf, number: int, scale: float, base: Base, x0: float, x1: float, before: Side, after: Side
) -> float:
    """Score per unit of level: the secant of the leaf's normalisation from x0 to x1, mean of both periods'."""
    if leaf.normalise == NONE:
        return scale
    amount = float(base.amount[number])
    if leaf.normalise == BASE_SHARE:
        return -(amount / x0) / x1 * scale if leaf.direction == LOWER else scale / amount
    spreads = []
    for side in (before, after):
        if leaf.goalposts is not None:
            low, high = leaf.goalposts
            spreads.append(math.log(high) - math.log(low) if leaf.transform == LOG else high - low)
        else:
            assert side.populations is not None
            pair = side.populations.of[number].scale
            assert pair is not None, "the group has a score, so there is a spread"
            spreads.append(pair[1] - pair[0] if leaf.normalise == MIN_MAX else pair[1])
    sign = -1.0 if leaf.direction == LOWER else 1.0
    return sign * scale * (1 / spreads[0] + 1 / spreads[1]) / 2
