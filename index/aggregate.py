"""From the scores of leaves to the values of all nodes (docs/formats.md section 4, "Nodes").

Exactly its order of operations, and only elementwise: a sum over an axis, or a product of matrix and vector, adds in an
order of its own and gives other last bits (152 of 351 rows, measured).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from index.elementwise import Floats, power, powers
from index.reasons import Reason
from index.tree import GEOMETRIC, SUM, Node

Bools = NDArray[np.bool_]


def aggregate(node: Node, parts: Sequence[Floats]) -> Floats:
    """The value of a node from the values of its children, each [n], all there (of a geometric one: and positive)."""
    if node.aggregate == SUM:
        total: Floats = parts[0].copy()
        for part in parts[1:]:
            total += part
        return total
    if node.aggregate == GEOMETRIC:
        total = power(parts[0], node.weights[0])
        for part, weight in zip(parts[1:], node.weights[1:], strict=True):
            total *= power(part, weight)
        return total
    return weighted(node, parts)


def weighted(node: Node, parts: Sequence[Floats]) -> Floats:
    """((w1*v1) + (w2*v2)) + ..., over the children in file order; NaN where one is."""
    total: Floats = parts[0] * node.weights[0]
    for part, weight in zip(parts[1:], node.weights[1:], strict=True):
        total += part * weight
    return total


def aggregate_present(node: Node, parts: Sequence[Floats], there: Sequence[Bools]) -> Floats:
    """The same over the children that are there; of each column at least one is, and not all.

    A column's sum begins with its first present child (not with 0.0, which would turn -0.0 into 0.0).
    """
    n = len(parts[0])
    total, weights, begun = np.zeros(n), np.zeros(n), np.zeros(n, np.bool_)
    for part, weight, here in zip(parts, node.weights, there, strict=True):
        term = np.zeros(n)
        if node.aggregate == GEOMETRIC:
            term[here] = power(part[here], weight)
            following = total * term
        else:
            term[here] = part[here] if node.aggregate == SUM else part[here] * weight
            following = total + term
        total = np.where(here, np.where(begun, following, term), total)
        weights = np.where(here, weights + weight, weights)
        begun |= here
    if node.aggregate == SUM:
        return total
    if node.aggregate == GEOMETRIC:
        return powers(total, 1 / weights)
    quotient: Floats = total / weights
    return quotient


# Of several leaves below a node that are missing for different reasons, the first of these is the node's.
_CAUSES = (
    Reason.NO_BASE, Reason.NO_DENOMINATOR, Reason.ZERO_DENOMINATOR, Reason.ZERO_VALUE, Reason.NOT_POSITIVE,
    Reason.NO_SPREAD, Reason.NO_DATA,
)  # fmt: skip
REASON_OF_CAUSE = np.array(_CAUSES, np.int8)
NO_CAUSE = len(_CAUSES) - 1  # nothing of note: no-data
NOT_POSITIVE_CAUSE = _CAUSES.index(Reason.NOT_POSITIVE)
CAUSE_OF_REASON = np.full(max(Reason) + 1, NO_CAUSE, np.int8)
CAUSE_OF_REASON[list(_CAUSES)] = np.arange(len(_CAUSES))
