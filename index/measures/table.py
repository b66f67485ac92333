"""All measures: what each takes, which rows it is for, and the function that computes it.

The one place that knows them. `MEASURES` is in the order of docs/formats.md section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum

from msgspec import Struct, field

from index.measures import contributions, grades, levels, members, spans, standing, steady
from index.measures.members import of_members
from index.measures.parameters import (
    FIRST,
    FROM,
    OF,
    OTHER,
    OVER,
    OVER_PERIOD,
    SIZE,
    THRESHOLD,
    Parameter,
    Parameters,
)
from index.measures.result import Result
from index.measures.view import View

ENTITIES, GROUPS = "entities", "groups"  # rows of any entity kind; of group kinds only
NODES, GRADES = "nodes", "grades"  # also the words for `rows` in a definition
# Kept row by row where the rows are entities, at the cost of the rows that moved. Of to_date and growth only the
# root's: what was last published is read back from index-updates, which hold no other (formats.md, 6).
PLAIN = ("value", "pop", "yoy", "mean_yoy", "to_date", "growth", "share")
Compute = Callable[[View], Result]


class Asks(Enum):
    """What a measure asks of a ranking beyond its parameters."""

    ROOT = "the root as node"
    NATION = "a nation"
    PARENT = "a scope, or a nation"
    CHILDREN = "nodes with two children at least"
    NO_GEOMETRIC = "no geometric mean above the node"
    TREE = "weights or children"  # so that other ones mean other tables
    TABLE = "all rows of the table"  # to rank among them


class Measure(Struct, frozen=True):
    """One measure. `title`: one line for a list; `compute`: None where the board keeps it; `rows`: what it is for."""

    title: str
    compute: Compute | None
    rows: tuple[str, ...] = (ENTITIES, NODES)
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    asks: frozenset[Asks] = frozenset()


def _of_group(title: str, function: members.OfMembers, more: Parameters | None = None) -> Measure:
    return Measure(title, of_members(function), (GROUPS,), {**OF, **(more or {})})


def _of_grades(title: str, compute: Compute, parameters: Parameters | None = None) -> Measure:
    return Measure(title, compute, (GRADES,), parameters or {})


_BOTH = (ENTITIES, NODES)
_TEN = {"first": Parameter(10)}
_TABLE = frozenset({Asks.TABLE})

MEASURES: dict[str, Measure] = {
    "value": Measure("the value", levels.value),
    "pop": Measure("growth over the period before", levels.growth),
    "yoy": Measure("growth over the same period of the year before", levels.growth),
    "mean_yoy": Measure("mean of the year-over-year growths of a span", levels.growth),
    "to_date": Measure(
        "growth of the first days over those of the period before, while open", None, (ENTITIES,), {},
        frozenset({Asks.ROOT}),
    ),
    "growth": Measure("to_date while open, then pop", None, (ENTITIES,), {}, frozenset({Asks.ROOT})),
    "share": Measure("part of the parent's value", levels.share, _BOTH, {}, frozenset({Asks.PARENT})),
    "node_share": Measure("part of the value of another node", levels.node_share, _BOTH, OTHER),
    "span_sum": Measure("sum over a span of periods", spans.span_sum, _BOTH, FROM),
    "span_mean": Measure("mean over a span of periods", spans.span_mean, _BOTH, FROM),
    "compound": Measure("compound yearly growth since a period", spans.compound, _BOTH, FROM),
    "contribution": Measure(
        "contribution to the parent's growth", contributions.contribution, _BOTH, OVER_PERIOD, frozenset({Asks.PARENT})
    ),
    "node_contribution": Measure(
        "contribution of a node to the root's growth", contributions.node_contribution, _BOTH, OVER_PERIOD,
        frozenset({Asks.NO_GEOMETRIC, Asks.TREE}),
    ),
    "growth_multiple": Measure(
        "growth as a multiple of the nation's", levels.growth_multiple, _BOTH, OVER, frozenset({Asks.NATION})
    ),
    "rise": Measure("ranks risen by value", standing.rise, _BOTH, OVER_PERIOD, _TABLE),
    "times_in_first": Measure(
        "periods of a span among the first by value", spans.times_in_first, _BOTH, {**FROM, **FIRST}, _TABLE
    ),
    "steadiness": Measure(
        "standard deviation of the children's growths", steady.steadiness, _BOTH, OVER_PERIOD,
        frozenset({Asks.CHILDREN, Asks.TREE}),
    ),
    "both_high": Measure(
        "1 if among the first by size and by growth, else 0", standing.both_high, _BOTH, {**SIZE, **OVER, **_TEN},
        _TABLE,
    ),
    "quadrant": Measure(
        "3 large and fast, 2 fast, 1 large, 0 neither, against the means", standing.quadrant, _BOTH, {**SIZE, **OVER},
        _TABLE,
    ),
    "members_sum": _of_group("sum of the members", members.total),
    "members_mean": _of_group("mean of the members", members.average),
    "members_max": _of_group("the greatest of the members", members.greatest),
    "lead": _of_group("the greatest member against the mean of the others", members.lead),
    "lead_share": _of_group("the greatest member's part of the sum", members.lead_share),
    "first_share": _of_group("part of the first members in the sum", members.first_share, FIRST),
    "members_above": _of_group("members above a threshold or the mean", members.above, THRESHOLD),
    "members_above_growth": Measure(
        "growth of the number of members above", members.members_above_growth, (GROUPS,),
        {**OF, **THRESHOLD, **OVER_PERIOD},
    ),
    "max_to_mean": _of_group("the greatest member against the mean", members.max_to_mean),
    "variation": _of_group("coefficient of variation of the members", members.variation),
    "gini": _of_group("Gini coefficient of the members", members.gini),
    "correlation": Measure("correlation of two nodes over the members", members.correlation, (GROUPS,), OTHER),
    "grade_count": _of_grades("entities in the grade", grades.grade_count),
    "grade_share": _of_grades("part of the entities in the grade", grades.grade_share),
    "grade_mean": _of_grades("mean value in the grade", grades.grade_mean),
    "grade_growth": _of_grades("growth of the number in the grade", grades.grade_growth, OVER_PERIOD),
}  # fmt: skip
