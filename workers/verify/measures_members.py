"""The measures of a group's members (docs/formats.md section 5). `ys`: y of each member that has one."""

from __future__ import annotations

import math
from collections.abc import Callable

from workers.verify.asked import Asked, Measure, Row, each
from workers.verify.measures import spread
from workers.verify.numbers import Maybe


def _of(ask: Callable[[Asked, list[float]], Maybe]) -> Measure:
    """The measure of the members' values, at least one of which is there."""

    def of(asked: Asked, row: Row) -> Maybe:
        ys = asked.members(row, asked.period)
        return ask(asked, ys) if ys else (None, _nobody(asked))

    return each(of)


def _nobody(asked: Asked) -> str:
    return "open" if asked.open and asked.ranking.of != "value" else "no-value"


def _by(part: float, whole: float) -> Maybe:
    return (None, "zero-parent") if whole == 0 else (part / whole, None)


def members_sum(asked: Asked, ys: list[float]) -> Maybe:
    """S(y)."""
    return math.fsum(ys), None


def members_mean(asked: Asked, ys: list[float]) -> Maybe:
    """S(y) / k."""
    return math.fsum(ys) / len(ys), None


def members_max(asked: Asked, ys: list[float]) -> Maybe:
    """The greatest."""
    return max(ys), None


def lead(asked: Asked, ys: list[float]) -> Maybe:
    """The greatest by the mean of the others."""
    if len(ys) < 2:
        return None, "no-spread"
    *others, greatest = sorted(ys)
    return _by(greatest, math.fsum(others) / len(others))


def lead_share(asked: Asked, ys: list[float]) -> Maybe:
    """The greatest by all."""
    return _by(max(ys), math.fsum(ys))


def first_share(asked: Asked, ys: list[float]) -> Maybe:
    """The `first` greatest by all."""
    return _by(math.fsum(sorted(ys, reverse=True)[: asked.ranking.first]), math.fsum(ys))


def _above(asked: Asked, ys: list[float]) -> int:
    threshold = math.fsum(ys) / len(ys) if asked.ranking.threshold is None else asked.ranking.threshold
    return sum(y > threshold for y in ys)


def members_above(asked: Asked, ys: list[float]) -> Maybe:
    """How many lie above the threshold."""
    return float(_above(asked, ys)), None


def members_above_growth(asked: Asked, row: Row) -> Maybe:
    """members_above(P) / members_above(Q) - 1."""
    now, then = asked.members(row, asked.period), asked.members(row, asked.before)
    if not now:
        return None, _nobody(asked)
    if asked.open:
        return None, "open"
    if not then:
        return None, "no-predecessor"
    before = _above(asked, then)
    return (_above(asked, now) / before - 1.0, None) if before else (None, "zero-predecessor")


def max_to_mean(asked: Asked, ys: list[float]) -> Maybe:
    """The greatest by the mean."""
    return _by(max(ys), math.fsum(ys) / len(ys))


def variation(asked: Asked, ys: list[float]) -> Maybe:
    """Coefficient of variation."""
    m = math.fsum(ys) / len(ys)
    return _by(spread(ys, m), m)


def gini(asked: Asked, ys: list[float]) -> Maybe:
    """(2 * S(i * y_i)) / (k * S(y)) - (k + 1) / k."""
    if min(ys) < 0:
        return None, "not-positive"
    k, whole = len(ys), math.fsum(ys)
    if whole == 0:
        return None, "zero-parent"
    return (2 * math.fsum(i * y for i, y in enumerate(sorted(ys), 1))) / (k * whole) - (k + 1) / k, None


def correlation(asked: Asked, row: Row) -> Maybe:
    """Pearson's, of the members' values at n and at `other`."""
    pairs = []
    for member in asked.numbers.members.get(row.entity or "", ()):
        x = asked.numbers.v(member, row.node, asked.period)
        y = asked.numbers.v(member, asked.ranking.other, asked.period)
        if x is not None and y is not None:
            pairs.append((x, y))
    k = len(pairs)
    if k == 0:
        return None, "no-value"
    if k < 2 or len({x for x, _ in pairs}) == 1 or len({y for _, y in pairs}) == 1:
        return None, "no-spread"
    mean_x, mean_y = math.fsum(x for x, _ in pairs) / k, math.fsum(y for _, y in pairs) / k
    moved = [(x - mean_x, y - mean_y) for x, y in pairs]
    root = math.sqrt(math.fsum(dx * dx for dx, _ in moved) * math.fsum(dy * dy for _, dy in moved))
    return math.fsum(dx * dy for dx, dy in moved) / root if root else math.nan, None


OF_MEMBERS: dict[str, Measure] = {
    "members_above_growth": each(members_above_growth),
    "correlation": each(correlation),
    **{
        ask.__name__: _of(ask)
        for ask in (
            members_sum, members_mean, members_max, lead, lead_share, first_share, members_above, max_to_mean,
            variation, gini,
        )
    },
}  # fmt: skip
