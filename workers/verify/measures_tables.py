"""The measures of a row among the rows of its table (docs/formats.md section 5)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from workers.verify import measures
from workers.verify.asked import Asked, Measure, Row, competition
from workers.verify.numbers import Maybe
from workers.verify.periods import Period


def _ranks(asked: Asked, period: Period) -> dict[str, int]:
    """By v, falling."""
    values = {row.name: asked.v(row, period) for row in asked.rows}
    return competition({name: v for name, v in values.items() if v is not None})


def rise(asked: Asked) -> Mapping[str, Maybe]:
    """rank(Q) - rank(P)."""
    now, then = _ranks(asked, asked.period), _ranks(asked, asked.before)

    def of(row: Row) -> Maybe:
        if row.name not in now:
            return None, "no-value"
        return (float(then[row.name] - now[row.name]), None) if row.name in then else (None, "no-predecessor")

    return _all(asked, of)


def times_in_first(asked: Asked) -> Mapping[str, Maybe]:
    """In how many periods of the span the row was among the first."""
    ranks = [_ranks(asked, period) for period in asked.span()]

    def of(row: Row) -> Maybe:
        if not ranks:
            return None, "outside-span"
        if row.name not in ranks[-1]:
            return None, "no-value"
        return float(sum(row.name in each and each[row.name] <= asked.ranking.first for each in ranks)), None

    return _all(asked, of)


def _sizes(asked: Asked) -> dict[str, float]:
    size = {"value": measures.value, "node_share": measures.node_share}[asked.ranking.size]
    found = {row.name: size(asked, row)[0] for row in asked.rows}
    return {name: v for name, v in found.items() if v is not None}


def both_high(asked: Asked) -> Mapping[str, Maybe]:
    """Whether the row is among the first by size and by growth."""
    growths = {row.name: asked.g(row) for row in asked.rows}
    sizes = _sizes(asked)
    by_size = competition(sizes)
    by_growth = competition({name: g for name, (g, _) in growths.items() if g is not None})

    def of(row: Row) -> Maybe:
        if row.name not in sizes:
            return None, "no-value"
        g, reason = growths[row.name]
        first = asked.ranking.first
        high = g is not None and by_size[row.name] <= first and by_growth[row.name] <= first
        return (None, reason) if g is None else (float(high), None)

    return _all(asked, of)


def quadrant(asked: Asked) -> Mapping[str, Maybe]:
    """Which of size and growth are at or above their means."""
    growths = {row.name: asked.g(row) for row in asked.rows}
    sizes = _sizes(asked)
    both = {name: (v, g) for name, v in sizes.items() for g in [growths[name][0]] if g is not None}
    mean_size = math.fsum(v for v, _ in both.values()) / len(both) if both else math.nan
    mean_growth = math.fsum(g for _, g in both.values()) / len(both) if both else math.nan

    def of(row: Row) -> Maybe:
        if row.name not in sizes:
            return None, "no-value"
        if row.name not in both:
            return None, growths[row.name][1]
        size, g = both[row.name]
        return 1.0 * (size >= mean_size) + 2.0 * (g >= mean_growth), None

    return _all(asked, of)


def _all(asked: Asked, of: Callable[[Row], Maybe]) -> Mapping[str, Maybe]:
    return {row.name: of(row) for row in asked.rows}


OF_TABLES: dict[str, Measure] = {ask.__name__: ask for ask in (rise, times_in_first, both_high, quadrant)}
