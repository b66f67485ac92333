"""Values of all nodes from amounts: one pure function, column by column.

docs/formats.md section 4, in exactly its order of operations: `levels` and `normalise` make the scores of leaves,
`aggregate` the values above them. A column evaluated alone, with others, or in any order of columns, gives the same
bits; tests hold that.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.aggregate import (
    CAUSE_OF_REASON,
    NO_CAUSE,
    NOT_POSITIVE_CAUSE,
    REASON_OF_CAUSE,
    Bools,
    aggregate,
    aggregate_present,
    weighted,
)
from index.definition import Definition
from index.elementwise import Floats
from index.normalise import Base, Scores, scores
from index.populations import Populations
from index.reasons import Reason
from index.tree import GEOMETRIC


class Values(NamedTuple):
    """`values` float64[nodes, n], NaN where missing.

    `why` int8[nodes, n], Reason; `coverage` float64[n], of the root.
    """

    values: Floats
    why: NDArray[np.int8]
    coverage: Floats


def evaluate(
    definition: Definition,
    amounts: NDArray[np.int64],
    present: Bools,
    base: Base,
    populations: Populations | None = None,
) -> Values:
    """amounts int64[columns, n], present bool[columns, n], of any columns (entities, periods) -> Values.

    `populations`: of the period, which then is one for all columns, if the definition has relative leaves.
    """
    leaves = scores(definition.leaves, definition.columns, definition.scale, amounts, present, base, populations)
    n = amounts.shape[1]
    if not leaves.why.any():
        values = _complete(definition, leaves.scores)
        if values is not None:
            return Values(values, np.zeros(values.shape, np.int8), np.ones(n))
    return _partial(definition, leaves)


def _complete(definition: Definition, scores: Floats) -> Floats | None:
    """All leaves have scores: every node is aggregated plainly, and coverage is 1, which no min_coverage exceeds.

    None where a geometric node cannot be.
    """
    nodes = definition.tree.nodes
    values = np.empty((len(nodes), scores.shape[1]), np.float64)
    for number in range(len(nodes) - 1, -1, -1):
        node = nodes[number]
        parts = [values[c] for c in node.children]
        if node.aggregate == GEOMETRIC and any((part <= 0).any() for part in parts):
            return None
        values[number] = scores[node.leaf] if node.leaf >= 0 else aggregate(node, parts)
    return values


def _partial(definition: Definition, leaves: Scores) -> Values:
    """Some leaf has no score, or some node has none above scored leaves."""
    tree = definition.tree
    n = leaves.scores.shape[1]
    values = np.full((len(tree.nodes), n), np.nan)
    why = np.zeros((len(tree.nodes), n), np.int8)
    coverage = np.zeros((len(tree.nodes), n))
    cause = np.full((len(tree.nodes), n), NO_CAUSE, np.int8)
    scored = leaves.why == Reason.NONE
    for number in range(len(tree.nodes) - 1, -1, -1):
        node = tree.nodes[number]
        if node.leaf >= 0:
            values[number], why[number] = leaves.scores[node.leaf], leaves.why[node.leaf]
            coverage[number], cause[number] = scored[node.leaf], CAUSE_OF_REASON[why[number]]
            continue
        parts = [values[c] for c in node.children]
        covered = weighted(node, [coverage[c] for c in node.children])
        covered[_every([scored[leaf] for leaf in tree.leaves_below[number]])] = 1.0
        coverage[number] = covered
        there = [why[c] == Reason.NONE for c in node.children]
        whole = _every(there)
        some = _any(there) & ~whole if definition.renormalise else np.zeros(n, np.bool_)
        for child in node.children:
            np.minimum(cause[number], cause[child], out=cause[number])
        reason = np.where(whole | some, Reason.NONE, REASON_OF_CAUSE[cause[number]]).astype(np.int8)
        if node.aggregate == GEOMETRIC:
            negative = _any([part <= 0 for part in parts])  # NaN, where there is none, is not
            negative &= reason == Reason.NONE
            reason[negative] = Reason.NOT_POSITIVE
            cause[number][negative] = np.minimum(cause[number][negative], NOT_POSITIVE_CAUSE)
            whole, some = whole & ~negative, some & ~negative
            value = np.full(n, np.nan)
            value[whole] = aggregate(node, [part[whole] for part in parts])
        else:
            value = aggregate(node, parts)
        if some.any():
            value[some] = aggregate_present(node, [part[some] for part in parts], [here[some] for here in there])
        reason[(reason == Reason.NONE) & (covered < definition.min_coverage)] = Reason.LOW_COVERAGE
        value[reason != Reason.NONE] = np.nan
        values[number], why[number] = value, reason
    return Values(values, why, coverage[0])


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
