"""Drop and drawdown: the flow of the last `span` days against the spans before, beside the others of the same kind.

For each earlier span j (j * lag days before, so weekday stands against weekday):

    c_j = log(flow now / flow then) - median of the same over the other entities of the kind

What happens to all (a holiday, a new quarter, how far partitions run ahead) is in the median and cancels; a kind with
one entity (the nation) has none. A drop is the median of the c_j: one odd week before does not count. A drawdown is the
least of them but one: the highest of the spans before, but for one that may be a spike or a backlog, is the running
maximum, so a slow slide adds up. Both want the middle one of the last days to have fallen as far by STEADY, so a spike
of a day or two that recovers is none.

Noise: sigma is the root mean square of c_1 over the `noise_days` before, of this very series, or its worst there by
WORST, and not below that of the middle one of its kind (spans overlap: they are few). A fall of less than `sigmas` of
it does not fire, however far below the bound; nor does a series that had nothing on more than LUMPY of those days.

Cost: (spans + noise_days) * series, once a day of event time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.rules.rule import DRAWDOWN, Rule

Floats = NDArray[np.float64]
TINY = 1e-12  # of what was: a flow of nothing is a fall by all but everything, and has a logarithm
STEADY = 1.25  # how much further than on its middle day a span may seem to have fallen
LUMPY = 0.05  # of days with nothing: then a span is a handful of reports, and its size says little
WORST = 3.0  # sigmas: noise with a heavy tail is known by the worst of the days before
LEAST_SIGMA = 0.01  # a series is not known better than that


class Falls(NamedTuple):
    """Of series [n, nodes]. `change`: fraction (-0.2: a fall of 20 %), NaN where not known; `sigma` of its logarithm;
    `expected`: the flow of a span as it was, moved as the others moved; `now`: as it is."""

    change: Floats
    sigma: Floats
    expected: Floats
    now: Floats


def days_needed(rule: Rule) -> int:
    """How many days back the rule looks."""
    return max(rule.span + rule.lag * rule.spans, 2 * rule.span + rule.lag + rule.noise_days)


def falls(rule: Rule, flows: Floats) -> Falls:
    """`flows` [days, n, nodes] of all entities of one kind, the latest day last, NaN where not known."""
    days = len(flows)
    spans = [j for j in range(1, rule.spans + 1) if rule.span + j * rule.lag <= days]
    now = _sum(flows, rule.span, 0)
    if not spans:
        nothing = np.full(flows.shape[1:], np.nan)
        return Falls(nothing, nothing, nothing, now)
    then = np.stack([_sum(flows, rule.span, j * rule.lag) for j in spans])
    ratio = _log(now, then)
    common = others(ratio)
    table = ratio - common
    known = np.sum(~np.isnan(table), axis=0) >= min(2, rule.spans)
    change = _of_spans(rule, table)
    by_day = _of_spans(rule, _daily(rule, flows, spans))
    steady = np.minimum(median(by_day), 0.0)
    change = np.where(known, np.where(change < 0.0, np.maximum(change, STEADY * steady), change), np.nan)
    return Falls(np.expm1(change), _sigma(rule, flows), median(then * np.exp(common)), now)


def _daily(rule: Rule, flows: Floats, spans: list[int]) -> Floats:
    """[spans, days of the span, n, nodes]: each of the last days against the same weekday before."""
    days = len(flows)
    out = [_log(flows[days - rule.span :], flows[days - rule.span - j * rule.lag : days - j * rule.lag]) for j in spans]
    table = np.stack(out)
    daily: Floats = table - others(table)
    return daily


def _sigma(rule: Rule, flows: Floats) -> Floats:
    """Of c_1 in the days before the last two spans; infinite where fewer than half are known, or too many are empty."""
    days, nothing = len(flows), np.full(flows.shape[1:], np.inf)
    sums = np.lib.stride_tricks.sliding_window_view(flows, rule.span, axis=0).sum(axis=-1)  # [first day, n, nodes]
    last = days - 3 * rule.span  # the first day of the latest span that counts
    first = max(rule.lag, last - rule.noise_days + 1)
    if last < first:
        return nothing
    ratio = _log(sums[first : last + 1], sums[first - rule.lag : last + 1 - rule.lag])
    squares = (ratio - others(ratio)) ** 2
    known = np.sum(~np.isnan(squares), axis=0)
    squares = np.where(np.isnan(squares), 0.0, squares)
    mean = squares.sum(axis=0) / np.maximum(known, 1)
    own = np.maximum(np.sqrt(mean), np.sqrt(squares.max(axis=0)) / WORST)
    usual = median(np.where(2 * known >= rule.noise_days, own, np.nan))  # of the kind, by node
    sigma = np.maximum(np.maximum(own, np.nan_to_num(usual)), LEAST_SIGMA)
    dense = np.sum(flows[max(0, last - rule.noise_days) : last + rule.span] == 0.0, axis=0) <= LUMPY * rule.noise_days
    return np.where((2 * known >= rule.noise_days) & dense, sigma, nothing)


def _sum(flows: Floats, span: int, back: int) -> Floats:
    end = len(flows) - back
    total: Floats = flows[end - span : end].sum(axis=0)
    return total


def _log(now: Floats, then: Floats) -> Floats:
    """log(now / then); NaN where there was nothing."""
    with np.errstate(all="ignore"):
        ratio: Floats = np.log(np.maximum(now / np.where(then > 0.0, then, np.nan), TINY))
    return ratio


def others(ratio: Floats) -> Floats:
    """[..., n, nodes]: for each of the n the median of all the others that are known; 0.0 for one alone."""
    known = np.sum(~np.isnan(ratio), axis=-2, keepdims=True)
    order = np.argsort(ratio, axis=-2, kind="stable")  # NaN last
    ranked = np.take_along_axis(ratio, order, axis=-2)
    place = np.argsort(order, axis=-2, kind="stable")
    low, high = np.maximum(known - 2, 0) // 2, np.maximum(known - 1, 0) // 2  # of the known - 1 that are left
    last = ratio.shape[-2] - 1
    below = np.take_along_axis(ranked, np.minimum(low + (place <= low), last), axis=-2)
    above = np.take_along_axis(ranked, np.minimum(high + (place <= high), last), axis=-2)
    middle: Floats = np.where(known > 1, (below + above) / 2.0, 0.0)
    return np.where(np.isnan(ratio), np.nan, middle)


def _of_spans(rule: Rule, table: Floats) -> Floats:
    if rule.type != DRAWDOWN:
        return median(table)
    ranked = np.sort(table, axis=0)  # NaN last
    least: Floats = ranked[min(1, len(ranked) - 1)]
    return least


def median(table: Floats) -> Floats:
    """Along the first axis, of what is not NaN (`numpy.nanmedian` is a hundred times slower on such shapes)."""
    known = np.sum(~np.isnan(table), axis=0, keepdims=True)
    ranked = np.sort(table, axis=0)  # NaN last
    low = np.take_along_axis(ranked, np.maximum(known - 1, 0) // 2, axis=0)
    high = np.take_along_axis(ranked, known // 2 % len(table), axis=0)
    middle: Floats = np.where(known > 0, (low + high) / 2.0, np.nan)[0]
    return middle
