"""How a row stands among the rows of its table: rises, and size beside growth."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from index.measures.levels import node_share
from index.measures.result import Floats, Mask, Result, exact_sum, settle
from index.measures.view import View
from index.rank import rank_all
from index.reasons import Reason


def rise(view: View) -> Result:
    """rank(Q) - rank(P) by value, greatest first: the "risers" of DEI-2023."""
    now, then = view.values(view.period), view.values(view.before)
    values = (_ranks(view, then) - _ranks(view, now)).astype(np.float64)
    return settle(values, (np.isnan(now), Reason.NO_VALUE), (np.isnan(then), Reason.NO_PREDECESSOR))


def both_high(view: View) -> Result:
    """1.0 where the row is within the `first` both by size and by growth, else 0.0 (DTI-2023, industries)."""
    size, growth = _size(view), view.growth(view.ranking.over, view.period)
    first = view.ranking.first
    high = (_ranks(view, size) <= first) & (_ranks(view, growth.values) <= first)
    return settle(high.astype(np.float64), (np.isnan(size), Reason.NO_VALUE), (growth.why != Reason.NONE, growth.why))


def quadrant(view: View) -> Result:
    """3 size and growth, 2 growth only, 1 size only, 0 neither at or above the mean of the rows that have both."""
    size, growth = _size(view), view.growth(view.ranking.over, view.period)
    large, fast = _at_least_mean(view, size, growth.values)
    return settle(2.0 * fast + large, (np.isnan(size), Reason.NO_VALUE), (growth.why != Reason.NONE, growth.why))


def _size(view: View) -> Floats:
    return node_share(view).values if view.ranking.size == "node_share" else view.values(view.period)


def _ranks(view: View, values: Floats) -> Floats:
    """Ranks within each table, greatest first; 0 where missing."""
    ranks: Floats = rank_all(values, view.outline.scope, view.outline.starts).rank.astype(np.float64)
    return ranks


def _at_least_mean(view: View, *columns: Floats) -> list[Floats]:
    """Per column, 1.0 where a row is at or above the mean of its table's rows that have all columns; else 0.0."""
    found = [np.zeros(view.n) for _ in columns]
    both: Mask = ~np.any(np.isnan(columns), axis=0)
    for start, end in pairwise(view.outline.starts.tolist()):
        rows = start + np.flatnonzero(both[start:end])
        for column, high in zip(columns, found, strict=True):
            if len(rows):
                high[rows] = column[rows] >= exact_sum(column[rows].tolist()) / len(rows)
    return found
