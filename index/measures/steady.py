"""Steadiness: how far apart the growths of a node's children lie."""

from __future__ import annotations

import math

import numpy as np

from index.measures.result import Result, exact_sum, settle
from index.measures.view import View
from index.reasons import Reason


def steadiness(view: View) -> Result:
    """Standard deviation of the growths of the k children: m = S(g) / k, sqrt(S((g - m) * (g - m)) / k).

    The least is the steadiest, so such rankings are `rising` (DCI-2020).
    """
    values = np.full(view.n, np.nan)
    for number in set(view.node.tolist()):
        places = np.flatnonzero(view.node == number)
        children = np.array(view.tree.nodes[number].children)
        growths = view.growth(view.ranking.over, view.period, children[:, None], view.row[places]).values
        values[places] = [deviation(one) for one in growths.T.tolist()]
    return settle(
        values,
        (np.isnan(view.values(view.period)), Reason.NO_VALUE),
        (view.is_open, Reason.OPEN),
        (np.isnan(values), Reason.GAP),
    )


def deviation(x: list[float]) -> float:
    """Population standard deviation; NaN where a member is."""
    if any(one != one for one in x):
        return math.nan
    m = exact_sum(x) / len(x)
    return math.sqrt(exact_sum((one - m) * (one - m) for one in x) / len(x))
