"""The measures of single rows (docs/formats.md section 5), one function each, as slow and as plain as they can be.

Each returns (value, None) or (None, reason), the reasons in the order of the page.
"""

from __future__ import annotations

import math

from workers.verify.asked import Asked, Measure, Row, each
from workers.verify.numbers import Maybe
from workers.verify.periods import MONTHS, Period
from workers.verify.tree import ROOT, SUM


def value(asked: Asked, row: Row) -> Maybe:
    """v."""
    v = asked.v(row)
    return (v, None) if v is not None or row.entity is None else (None, _why(asked, row))


def _why(asked: Asked, row: Row) -> str | None:
    assert row.entity is not None
    return asked.numbers.why(row.entity, row.node, asked.period)


def of_growth(kind: str) -> Measure:
    """`pop`, `yoy`, `mean_yoy`."""
    return each(lambda asked, row: asked.numbers.growth(row.entity, row.node, asked.period, kind))


def to_date(asked: Asked, row: Row) -> Maybe:
    """Of the root only."""
    assert row.entity is not None
    return asked.numbers.to_date[row.entity, asked.period]


def growth(asked: Asked, row: Row) -> Maybe:
    """To date while open, else pop."""
    return to_date(asked, row) if asked.open else asked.numbers.growth(row.entity, row.node, asked.period, "pop")


def _ratio(part: float | None, whole: float | None) -> Maybe:
    if part is None:
        return None, "no-value"
    if whole is None:
        return None, "no-parent"
    return (None, "zero-parent") if whole == 0 else (part / whole, None)


def share(asked: Asked, row: Row) -> Maybe:
    """v(e) / v(parent)."""
    return _ratio(asked.v(row), asked.numbers.v(asked.parent, row.node, asked.period))


def node_share(asked: Asked, row: Row) -> Maybe:
    """v(e, n) / v(e, other)."""
    return _ratio(asked.v(row), asked.numbers.v(row.entity, asked.ranking.other, asked.period))


def span_sum(asked: Asked, row: Row) -> Maybe:
    """`(v(from) + v(next)) + ...`."""
    periods = asked.span()
    if not periods:
        return None, "outside-span"
    total = -0.0  # changes no sum
    for period in periods:
        v = asked.v(row, period)
        if v is None:
            return None, "gap"
        total += v
    return total, None


def span_mean(asked: Asked, row: Row) -> Maybe:
    """The same by the number of periods."""
    total, reason = span_sum(asked, row)
    return (None, reason) if total is None else (total / len(asked.span()), None)


def compound(asked: Asked, row: Row) -> Maybe:
    """pow(v(P) / v(from), per_year / (P - from)) - 1."""
    periods = asked.span()
    if len(periods) < 2:
        return None, "outside-span"
    now, then = asked.v(row), asked.v(row, periods[0])
    if now is None:
        return None, "no-value"
    if asked.open:
        return None, "open"
    if then is None:
        return None, "no-predecessor"
    if then == 0:
        return None, "zero-predecessor"
    if now / then <= 0:
        return None, "not-positive"
    per_year = 12 // MONTHS[asked.period.grain]
    return math.pow(now / then, per_year / (len(periods) - 1)) - 1.0, None


def _moved(asked: Asked, row: Row, weight: float | None, parent: str | None, node: str) -> Maybe:
    now, then = asked.v(row), asked.v(row, asked.before)
    whole = asked.numbers.v(parent, node, asked.before)
    if now is None:
        return None, "no-value"
    if asked.open:
        return None, "open"
    if then is None:
        return None, "no-predecessor"
    if whole is None:
        return None, "no-parent"
    if whole == 0:
        return None, "zero-parent"
    return (now - then if weight is None else weight * (now - then)) / whole, None


def contribution(asked: Asked, row: Row) -> Maybe:
    """(v(e, P) - v(e, Q)) / v(parent, Q)."""
    return _moved(asked, row, None, asked.parent, row.node)


def node_contribution(asked: Asked, row: Row) -> Maybe:
    """(W * (v(n, P) - v(n, Q))) / v(root, Q)."""
    parents = {child: node for node in asked.definition.nodes for child in node.children}
    weights: list[float] = []
    name = row.node
    while name != ROOT:
        above = parents[name]
        weights.append(1.0 if above.rule == SUM else above.weights[above.children.index(name)])
        name = above.name
    weight = 1.0
    for each_weight in reversed(weights):  # from the root down
        weight *= each_weight
    return _moved(asked, row, weight, row.entity, ROOT)


def growth_multiple(asked: Asked, row: Row) -> Maybe:
    """g(e) / g(nation)."""
    mine, reason = asked.g(row)
    whole = asked.numbers.growth(asked.definition.nation, row.node, asked.period, asked.ranking.over)[0]
    return (None, reason) if mine is None else _ratio(mine, whole)


def steadiness(asked: Asked, row: Row) -> Maybe:
    """Standard deviation of the growths of n's children."""
    if asked.v(row) is None:
        return None, "no-value"
    if asked.open:
        return None, "open"
    [children] = [node.children for node in asked.definition.nodes if node.name == row.node]
    growths: list[float] = []
    for child in children:
        g = asked.numbers.growth(row.entity, child, asked.period, asked.ranking.over)[0]
        if g is None:
            return None, "gap"
        growths.append(g)
    return spread(growths, math.fsum(growths) / len(growths)), None


def spread(ys: list[float], m: float) -> float:
    """sqrt(S((y - m) * (y - m)) / k)."""
    return math.sqrt(math.fsum((y - m) * (y - m) for y in ys) / len(ys))


def in_grade(asked: Asked, row: Row, period: Period) -> tuple[list[float], int]:
    """Values of the scope's base entities in the row's grade; and how many have a value at all."""
    numbers = asked.numbers
    cities = numbers.base if row.entity is None else numbers.members[row.entity]
    values = [v for v in (numbers.v(city, row.node, period) for city in cities) if v is not None]
    above: float | None = None
    for grade in asked.definition.grades:
        if grade.code == row.name:
            lowest = grade.at_least
            break
        above = grade.at_least
    return [v for v in values if (above is None or v < above) and (lowest is None or v >= lowest)], len(values)


def grade_count(asked: Asked, row: Row) -> Maybe:
    """How many lie in the grade."""
    inside, k = in_grade(asked, row, asked.period)
    return (float(len(inside)), None) if k else (None, "no-value")


def grade_share(asked: Asked, row: Row) -> Maybe:
    """The same by the number of those that have a value."""
    inside, k = in_grade(asked, row, asked.period)
    return (len(inside) / k, None) if k else (None, "no-value")


def grade_mean(asked: Asked, row: Row) -> Maybe:
    """Mean value in the grade."""
    inside, _ = in_grade(asked, row, asked.period)
    return (math.fsum(inside) / len(inside), None) if inside else (None, "no-value")


def grade_growth(asked: Asked, row: Row) -> Maybe:
    """count(P) / count(Q) - 1."""
    now, k = in_grade(asked, row, asked.period)
    then, k_then = in_grade(asked, row, asked.before)
    if k == 0:
        return None, "no-value"
    if asked.open:
        return None, "open"
    if k_then == 0:
        return None, "no-predecessor"
    return (len(now) / len(then) - 1.0, None) if then else (None, "zero-predecessor")


OF_ROWS: dict[str, Measure] = {
    "pop": of_growth("pop"),
    "yoy": of_growth("yoy"),
    "mean_yoy": of_growth("mean_yoy"),
    **{
        ask.__name__: each(ask)
        for ask in (
            value, to_date, growth, share, node_share, span_sum, span_mean, compound, contribution, node_contribution,
            growth_multiple, steadiness, grade_count, grade_share, grade_mean, grade_growth,
        )
    },
}  # fmt: skip
