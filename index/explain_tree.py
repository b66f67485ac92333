"""How a move of the leaves reaches the root: what one unit of each node's move is worth there, exactly.

    arithmetic, sum   the move of a node is the sum of weight * move of its children
    geometric         with L(a, b) = (a - b) / log(a / b), the logarithmic mean: the move is the sum of
                      L(v1, v0) * weight * log(c1 / c0) over the children (LMDI I: B. W. Ang, F. Q. Zhang, K. H. Choi,
                      Energy 23, 1998; Ang, Energy Policy 33, 2005), and log(c1 / c0) = move / L(c1, c0)
    a child that came or went, where weights are renormalised: the move of the others counts with the mean of the two
                      weights (T. L. Bennet, J. Royal Statistical Society 83, 1920), and what is left is `availability`

Both leave no remainder, whatever the size and sign of the moves. Columns [n] of entities; nothing loops over them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.tree import GEOMETRIC, SUM, Node, Tree

Floats = NDArray[np.float64]


class Worth(NamedTuple):
    """`factor` float64[nodes, n]: moves of the root per unit of the node's move, 0.0 where that does not count (missing
    on a side); `availability` float64[nodes, n]: moves of the root since children of the node came or went."""

    factor: Floats
    availability: Floats


def worth(tree: Tree, before: Floats, after: Floats) -> Worth:
    """before, after: values [nodes, n] of the same entities, NaN where missing; the root of each is on both sides."""
    factor, availability = np.zeros(before.shape), np.zeros(before.shape)
    factor[0] = 1.0
    for number, node in enumerate(tree.nodes):
        if node.leaf >= 0:
            continue
        children = list(node.children)
        outer = factor[number]
        alive = outer != 0.0  # so the node is present on both sides; under a geometric one, its children are positive
        effect = _effect(node, np.where(alive, before[children], np.nan), np.where(alive, after[children], np.nan))
        if node.aggregate == GEOMETRIC:
            mean = log_mean(np.where(alive, after[number], 1.0), np.where(alive, before[number], 1.0))
            outer = np.where(alive, outer * mean, 0.0)
        factor[children] = outer * effect.factor
        availability[number] = outer * effect.availability
    return Worth(factor, availability)


def log_mean(a: Floats, b: Floats) -> Floats:
    """(a - b) / log(a / b) of positive numbers, a where they are equal."""
    same = a == b
    move = np.where(same, b, a - b)
    mean: Floats = np.where(same, a, move / np.log1p(move / b))
    return mean


class _Effect(NamedTuple):
    """Of the children on their node (geometric: on its logarithm): `factor` [children, n], `availability` [n]."""

    factor: Floats
    availability: Floats


def _effect(node: Node, c0: Floats, c1: Floats) -> _Effect:
    """c0, c1 [children, n]."""
    here0, here1 = ~np.isnan(c0), ~np.isnan(c1)
    both = here0 & here1
    e0, e1 = _weights(node, here0), _weights(node, here1)
    means = np.where(both, (e0 + e1) / 2, 0.0)
    if node.aggregate == GEOMETRIC:
        with np.errstate(invalid="ignore", divide="ignore"):
            l0, l1 = np.where(here0, np.log(c0), 0.0), np.where(here1, np.log(c1), 0.0)
        factor = means / log_mean(np.where(both, c1, 1.0), np.where(both, c0, 1.0))
    else:
        l0, l1, factor = np.where(here0, c0, 0.0), np.where(here1, c1, 0.0), means
    shift = np.where(both, (e1 - e0) * ((l1 + l0) / 2), e1 * l1 - e0 * l0).sum(axis=0)
    return _Effect(factor, np.where((here0 == here1).all(axis=0), 0.0, shift))


def _weights(node: Node, here: NDArray[np.bool_]) -> Floats:
    """The weights [children, n] that the children which are there had: renormalised where some are not."""
    if node.aggregate == SUM:
        return here.astype(np.float64)
    weights = np.where(here, np.array(node.weights)[:, None], 0.0)
    complete = here.all(axis=0)
    total = weights.sum(axis=0)
    scaled: Floats = weights / np.where(complete | (total == 0.0), 1.0, total)
    return scaled
