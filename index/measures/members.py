"""Measures of a group's members: level, leader, spread. y is what each member has, by `of`; k members have one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from index.layout import Rows
from index.measures.result import Floats, Result, exact_sum, settle
from index.measures.steady import deviation
from index.measures.view import View
from index.periods import Period
from index.reasons import Reason

if TYPE_CHECKING:
    from index.rankings import Ranking

OfMembers = Callable[[list[float], "Ranking"], "float | Reason"]


def of_members(function: OfMembers) -> Callable[[View], Result]:
    """The measure whose value for each group is a function of y (k >= 1 numbers, ascending), or a reason."""

    def compute(view: View) -> Result:
        found = [function(y, view.ranking) if y else Reason.NO_VALUE for y in members(view, view.period)]
        return _result(view, found)

    return compute


def members(view: View, period: Period) -> list[list[float]]:
    """Per place, the y of its group's members that have one, ascending."""
    rows = groups(view)
    together = np.concatenate(rows) if rows else np.zeros(0, np.int64)
    y = view.level(view.ranking.of, period, view.number(view.ranking.node), together)
    ends = np.cumsum([len(one) for one in rows]).tolist()
    return [present(y[end - len(one) : end]) for one, end in zip(rows, ends, strict=True)]


def groups(view: View) -> list[Rows]:
    """Per place, the rows of its group's members."""
    codes, members = view.outline.codes, view.layout.members
    return [members[codes[place]] for place in view.places.tolist()]


def present(y: Floats) -> list[float]:
    """Those that are there, ascending."""
    found: list[float] = np.sort(y[~np.isnan(y)]).tolist()
    return found


def _result(view: View, found: list[float | Reason]) -> Result:
    """Values and reasons; where no member has a y, `open` if that is why."""
    none = Reason.OPEN if view.is_open and view.ranking.of != "value" else Reason.NO_VALUE
    missing = np.array([isinstance(one, Reason) for one in found], np.bool_)
    values = np.array([math.nan if isinstance(one, Reason) else one for one in found], np.float64)
    why = [Reason.NONE if not isinstance(one, Reason) else none if one == Reason.NO_VALUE else one for one in found]
    return settle(values, (missing, np.array(why, np.int8)))


def total(y: list[float], ranking: Ranking) -> float | Reason:
    """S(y)."""
    return exact_sum(y)


def average(y: list[float], ranking: Ranking) -> float | Reason:
    """S(y) / k: beside growth of the sum, the mean of the members' growths (DTI-2022)."""
    return exact_sum(y) / len(y)


def greatest(y: list[float], ranking: Ranking) -> float | Reason:
    """The greatest y."""
    return y[-1]


def lead(y: list[float], ranking: Ranking) -> float | Reason:
    """The greatest against the mean of the others (Cluster-2023, lead city)."""
    if len(y) < 2:
        return Reason.NO_SPREAD
    others = exact_sum(y[:-1]) / (len(y) - 1)
    return Reason.ZERO_PARENT if others == 0.0 else y[-1] / others


def lead_share(y: list[float], ranking: Ranking) -> float | Reason:
    """The greatest's part of S(y)."""
    return _part(y[-1], exact_sum(y))


def first_share(y: list[float], ranking: Ranking) -> float | Reason:
    """The part of the `first` greatest in S(y)."""
    return _part(exact_sum(y[-ranking.first :]), exact_sum(y))


def above(y: list[float], ranking: Ranking) -> float | Reason:
    """How many lie above the threshold, or above the mean (DEI-2023)."""
    threshold = exact_sum(y) / len(y) if ranking.threshold is None else ranking.threshold
    return math.nan if threshold != threshold else float(sum(one > threshold for one in y))


def max_to_mean(y: list[float], ranking: Ranking) -> float | Reason:
    """The greatest against the mean: the digital divide, one way (DCI-2020 names none)."""
    return _part(y[-1], exact_sum(y) / len(y))


def variation(y: list[float], ranking: Ranking) -> float | Reason:
    """Coefficient of variation: population standard deviation / mean."""
    return _part(deviation(y), exact_sum(y) / len(y))


def gini(y: list[float], ranking: Ranking) -> float | Reason:
    """(2 * S(i * y_i)) / (k * S(y)) - (k + 1) / k, y_i ascending, i from 1 (Gini 1912, of a finite population)."""
    k, whole = len(y), exact_sum(y)
    if y[0] < 0.0:
        return Reason.NOT_POSITIVE
    share = _part(2.0 * exact_sum(i * one for i, one in enumerate(y, start=1)), k * whole)
    return share if whole == 0.0 or isinstance(share, Reason) else share - (k + 1) / k


def _part(part: float, whole: float) -> float | Reason:
    return Reason.ZERO_PARENT if whole == 0.0 else part / whole


def members_above_growth(view: View) -> Result:
    """members_above(P) / members_above(Q) - 1."""
    now, then = members(view, view.period), members(view, view.before)
    return _result(view, [_above_growth(view, *pair) for pair in zip(now, then, strict=True)])


def _above_growth(view: View, now: list[float], then: list[float]) -> float | Reason:
    if not now:
        return Reason.NO_VALUE
    if view.is_open:
        return Reason.OPEN
    if not then:
        return Reason.NO_PREDECESSOR
    count, before = above(now, view.ranking), above(then, view.ranking)
    if isinstance(count, Reason) or isinstance(before, Reason):  # neither: a count has no reason to be missing
        return Reason.NOT_FINITE
    return Reason.ZERO_PREDECESSOR if before == 0.0 else count / before - 1.0


def correlation(view: View) -> Result:
    """Pearson's correlation of two nodes over the members that have both (DTI-2023, sub-indices)."""
    base, ranking = np.arange(view.layout.n_cities), view.ranking
    x, y = (view.values(view.period, view.number(name), base) for name in (ranking.node, ranking.other))
    both = ~np.isnan(x) & ~np.isnan(y)
    found: list[float | Reason] = []
    for members in groups(view):
        rows = members[both[members]]
        found.append(correlated(x[rows].tolist(), y[rows].tolist()))
    return _result(view, found)


def correlated(x: list[float], y: list[float]) -> float | Reason:
    """S(dx * dy) / sqrt(S(dx * dx) * S(dy * dy)), dx = x - S(x) / k."""
    if not x:
        return Reason.NO_VALUE
    if len(x) < 2 or min(x) == max(x) or min(y) == max(y):
        return Reason.NO_SPREAD
    mx, my = exact_sum(x) / len(x), exact_sum(y) / len(y)
    dx, dy = [one - mx for one in x], [one - my for one in y]
    spread = math.sqrt(exact_sum(a * a for a in dx) * exact_sum(b * b for b in dy))
    return exact_sum(a * b for a, b in zip(dx, dy, strict=True)) / spread if spread else math.nan
