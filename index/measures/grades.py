"""Measures of grades: how the base entities of a scope fall into the definition's grades (DEI-2023, tiers by grade)."""

from __future__ import annotations

import math

import numpy as np

from index.measures.result import Floats, Result, exact_sum, settle
from index.measures.view import View
from index.periods import Period
from index.reasons import Reason


def graded(view: View, period: Period) -> list[tuple[list[float], int]]:
    """Per place, the values that lie in its grade, and K: how many of its scope's entities have one at all."""
    base = np.arange(view.layout.n_cities)
    values = view.values(period, view.number(view.ranking.node), base)
    found: list[tuple[list[float], int]] = []
    scopes = {scope: values[view.outline.members[scope]] for scope in set(view.scope.tolist())}
    for scope, grade in zip(view.scope.tolist(), view.outline.grade[view.places].tolist(), strict=True):
        low, high = view.outline.bounds[grade]
        v = scopes[scope]
        found.append((v[(v >= low) & (v < high)].tolist(), int(np.count_nonzero(~np.isnan(v)))))
    return found


def grade_count(view: View) -> Result:
    """How many lie in the grade."""
    found = graded(view, view.period)
    return _settle(found, np.array([float(len(inside)) for inside, _ in found]))


def grade_share(view: View) -> Result:
    """Their part of all that have a value."""
    found = graded(view, view.period)
    return _settle(found, np.array([len(inside) / k if k else math.nan for inside, k in found]))


def grade_mean(view: View) -> Result:
    """The mean value of those in the grade."""
    found = graded(view, view.period)
    values = [exact_sum(inside) / len(inside) if inside else math.nan for inside, _ in found]
    empty = np.array([not inside for inside, _ in found], np.bool_)
    return settle(np.array(values), (empty, Reason.NO_VALUE))


def grade_growth(view: View) -> Result:
    """count(P) / count(Q) - 1."""
    found, earlier = graded(view, view.period), graded(view, view.before)
    count, then = (np.array([float(len(inside)) for inside, _ in side]) for side in (found, earlier))
    with np.errstate(all="ignore"):
        values = count / then - 1.0
    none_then = np.array([not k for _, k in earlier], np.bool_)
    return _settle(
        found,
        values,
        (np.full(view.n, view.is_open), Reason.OPEN),
        (none_then, Reason.NO_PREDECESSOR),
        (then == 0.0, Reason.ZERO_PREDECESSOR),
    )


def _settle(found: list[tuple[list[float], int]], values: Floats, *checks: tuple[np.ndarray, Reason]) -> Result:
    none = np.array([not k for _, k in found], np.bool_)
    return settle(values, (none, Reason.NO_VALUE), *checks)
