"""Contributions to growth: which part of a whole's growth comes from a member, or from a node of the tree."""

from __future__ import annotations

import numpy as np

from index.measures.result import Floats, Result, settle
from index.measures.tree_path import path_weight
from index.measures.view import View
from index.reasons import Reason
from index.tree import ROOT


def contribution(view: View) -> Result:
    """(v(e, P) - v(e, Q)) / v(parent, Q): with values that add up, these sum to the parent's growth."""
    return _part_of_growth(view, np.ones(view.n), view.parent(view.before))


def node_contribution(view: View) -> Result:
    """(W * (v(n, P) - v(n, Q))) / v(root, Q), W the product of the weights from the root to n (DCI-2020, boards)."""
    weight = {number: path_weight(view.tree, number) for number in set(view.node.tolist())}
    weights = np.array([weight[number] for number in view.node.tolist()])
    return _part_of_growth(view, weights, view.values(view.before, view.number(ROOT)))


def _part_of_growth(view: View, weight: Floats, whole: Floats) -> Result:
    now, then = view.values(view.period), view.values(view.before)
    with np.errstate(all="ignore"):
        values = (weight * (now - then)) / whole
    return settle(
        values,
        (np.isnan(now), Reason.NO_VALUE),
        (view.is_open, Reason.OPEN),
        (np.isnan(then), Reason.NO_PREDECESSOR),
        (np.isnan(whole), Reason.NO_PARENT),
        (whole == 0.0, Reason.ZERO_PARENT),
    )
