"""Measures over a span of periods: from..P."""

from __future__ import annotations

import numpy as np

from index.measures.result import Floats, Mask, Result, no, power, settle
from index.measures.view import View
from index.periods import Period
from index.rank import rank_all
from index.reasons import Reason


def span(view: View) -> list[Period]:
    """The periods from..P, empty if P is before or of another grain."""
    start = view.ranking.since
    if start is None or start.grain != view.period.grain:
        return []
    return [Period(start.grain, ordinal) for ordinal in range(start.ordinal, view.period.ordinal + 1)]


def span_sum(view: View) -> Result:
    """(v(from) + v(next)) + ... + v(P): the "cumulative ranking" of the DTI-2023 industries."""
    return _total(view, divide=False)


def span_mean(view: View) -> Result:
    """The same, divided by the number of periods."""
    return _total(view, divide=True)


def _total(view: View, divide: bool) -> Result:
    periods = span(view)
    if not periods:
        return no(Reason.OUTSIDE_SPAN, view.n)
    terms = [view.values(period) for period in periods]
    gap: Mask = np.any(np.isnan(terms), axis=0)
    with np.errstate(all="ignore"):
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        if divide:
            total = total / len(terms)
    return settle(total, (gap, Reason.GAP))


def compound(view: View) -> Result:
    """pow(v(P) / v(from), per_year / (P - from)) - 1: compound yearly growth (DCI-2020)."""
    start, n = view.ranking.since, len(span(view)) - 1
    if start is None or n < 1:
        return no(Reason.OUTSIDE_SPAN, view.n)
    value, first = view.values(view.period), view.values(start)
    with np.errstate(all="ignore"):
        ratio = value / first
    exponent = view.period.grain.per_year / n
    values: Floats = np.array([power(one, exponent) for one in ratio.tolist()], np.float64) - 1.0
    return settle(
        values,
        (np.isnan(value), Reason.NO_VALUE),
        (view.is_open, Reason.OPEN),
        (np.isnan(first), Reason.NO_PREDECESSOR),
        (first == 0.0, Reason.ZERO_PREDECESSOR),
        (ratio <= 0.0, Reason.NOT_POSITIVE),
    )


def times_in_first(view: View) -> Result:
    """In how many periods of the span the row was among the `first` by value (DTI-2023: among the first three)."""
    periods, outline = span(view), view.outline
    if not periods:
        return no(Reason.OUTSIDE_SPAN, view.n)
    times = np.zeros(view.n)
    for period in periods:
        rank = rank_all(view.values(period), outline.scope, outline.starts).rank
        times += (rank > 0) & (rank <= view.ranking.first)
    return settle(times, (np.isnan(view.values(view.period)), Reason.NO_VALUE))
