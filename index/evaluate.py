"""Values of all nodes from amounts: one pure function, column by column.

docs/formats.md section 4, in exactly its order of operations. Only elementwise operations on columns: a product of
matrix and vector, or a sum over an axis, adds in an order of its own and gives other last bits (152 of 351 rows,
measured). So a column evaluated alone, with others, or in any order of columns, gives the same bits; tests hold that.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.definition import Definition
from index.normalise import Base, base_share
from index.reasons import Reason
from index.tree import Node

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Values(NamedTuple):
    """`values` float64[nodes, n], NaN where missing.

    `why` int8[nodes, n], Reason; `coverage` float64[n], of the root.
    """

    values: Floats
    why: NDArray[np.int8]
    coverage: Floats


def evaluate(definition: Definition, amounts: NDArray[np.int64], present: Bools, base: Base) -> Values:
    """amounts int64[leaves, n], present bool[leaves, n], of any columns (entities, periods) -> Values."""
    scores, leaf_why = base_share(amounts, present, base, definition.scale)
    scored = leaf_why == Reason.NONE
    tree = definition.tree
    n = amounts.shape[1]
    values = np.empty((len(tree.nodes), n), np.float64)
    why = np.zeros((len(tree.nodes), n), np.int8)
    if scored.all():
        _evaluate_complete(definition, scores, values)
        return Values(values, why, np.ones(n))
    coverage = np.empty((len(tree.nodes), n), np.float64)
    for number in range(len(tree.nodes) - 1, -1, -1):
        node = tree.nodes[number]
        if node.leaf >= 0:
            values[number], why[number] = scores[node.leaf], leaf_why[node.leaf]
            coverage[number] = scored[node.leaf]
            continue
        below = tree.leaves_below[number]
        covered = _weighted(node, coverage)
        covered[_all_of(scored, below)] = 1.0
        coverage[number] = covered
        there = [why[c] == Reason.NONE for c in node.children]
        whole = _every(there)
        value = _weighted(node, values)
        if definition.renormalise:
            some = ~whole & _any(there)
            if some.any():
                value[some] = _renormalised(node, values, there, some)
            computed = whole | some
        else:
            computed = whole
        no_base = _any([leaf_why[leaf] == Reason.NO_BASE for leaf in below])
        reason = np.where(computed, Reason.NONE, np.where(no_base, Reason.NO_BASE, Reason.NO_DATA))
        reason[computed & (covered < definition.min_coverage)] = Reason.LOW_COVERAGE
        value[reason != Reason.NONE] = np.nan
        values[number], why[number] = value, reason
    return Values(values, why, coverage[0])


def _evaluate_complete(definition: Definition, scores: Floats, values: Floats) -> None:
    """All leaves have scores.

    Every node is its plain weighted sum, and coverage is 1, which no min_coverage exceeds.
    """
    nodes = definition.tree.nodes
    for number in range(len(nodes) - 1, -1, -1):
        node = nodes[number]
        values[number] = scores[node.leaf] if node.leaf >= 0 else _weighted(node, values)


def _weighted(node: Node, columns: Floats) -> Floats:
    """((w1*v1) + (w2*v2)) + ..., over the children in file order; NaN where one is."""
    total: Floats = columns[node.children[0]] * node.weights[0]
    for child, weight in zip(node.children[1:], node.weights[1:], strict=True):
        total += columns[child] * weight
    return total


def _renormalised(node: Node, values: Floats, there: list[Bools], chosen: Bools) -> Floats:
    """The same sum over the children that are there, divided by the sum of their weights in that order; at `chosen`
    columns.

    A column's sum begins with its first present child (not with 0.0, which would turn -0.0 into 0.0).
    """
    n = int(chosen.sum())
    total, weights, begun = np.zeros(n), np.zeros(n), np.zeros(n, np.bool_)
    for child, weight, present in zip(node.children, node.weights, there, strict=True):
        here = present[chosen]
        term = values[child][chosen] * weight
        total = np.where(here, np.where(begun, total + term, term), total)
        weights = np.where(here, weights + weight, weights)
        begun |= here
    quotient: Floats = total / weights
    return quotient


def _every(flags: list[Bools]) -> Bools:
    result = flags[0].copy()
    for flag in flags[1:]:
        result &= flag
    return result


def _any(flags: list[Bools]) -> Bools:
    result = flags[0].copy()
    for flag in flags[1:]:
        result |= flag
    return result


def _all_of(scored: Bools, leaves: tuple[int, ...]) -> Bools:
    return _every([scored[leaf] for leaf in leaves])
