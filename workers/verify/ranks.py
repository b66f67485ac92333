"""Ranking tables (docs/formats.md section 5): measured rows, their ranks, and how those moved."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from workers.verify.asked import Asked, Measure, competition, tables_of
from workers.verify.definition import Definition, Ranking
from workers.verify.measures import OF_ROWS
from workers.verify.measures_members import OF_MEMBERS
from workers.verify.measures_tables import OF_TABLES
from workers.verify.numbers import Numbers
from workers.verify.periods import Period
from workers.verify.report import TableKey, tolerance
from workers.verify.tree import ROOT

MEASURES: Mapping[str, Measure] = {**OF_ROWS, **OF_TABLES, **OF_MEMBERS}

Range = tuple[int, int]


class Ranked(NamedTuple):
    """A row. The ranges are those within which a rank or a change may lie, where the values are known within a
    tolerance only: the rank itself, where they are exact.
    """

    rank: int
    value: float
    change: int | None = None
    change_year: int | None = None
    ranks: Range = (0, 0)
    changes: Range = (0, 0)
    changes_year: Range = (0, 0)


@dataclass(slots=True)
class Table:
    """What a ranking table should hold: `rows` by name, `left_out` name -> reason; `exact`: to the bit."""

    rows: dict[str, Ranked] = field(default_factory=dict)
    left_out: dict[str, str | None] = field(default_factory=dict)
    exact: bool = True


def rankings(numbers: Numbers) -> dict[TableKey, Table]:
    """All tables of all declared rankings that have a row or one left out."""
    found: dict[TableKey, Table] = {}
    for ranking in numbers.definition.rankings:
        exact = not _inexact(numbers.definition, ranking)
        made: dict[tuple[str | None, Period], Table] = {}
        for scope, rows in tables_of(numbers, ranking):
            for period in numbers.slots:
                if period.grain in ranking.grains:
                    made[scope, period] = _table(Asked(numbers, ranking, period, scope, rows), exact)
        for (scope, period), table in made.items():
            before = made.get((scope, period.predecessor), Table())
            _compare(table, before, made.get((scope, period.year_ago), Table()))
            if table.rows or table.left_out:
                found[ranking.name, period.name, scope] = table
    return found


def _table(asked: Asked, exact: bool) -> Table:
    table = Table(exact=exact)
    values: dict[str, float] = {}
    for name, (v, reason) in MEASURES[asked.ranking.measure](asked).items():
        if v is None:
            table.left_out[name] = reason
        elif not math.isfinite(v):
            table.left_out[name] = "not-finite"
        else:
            values[name] = v
    rising, decimals = asked.ranking.rising, asked.ranking.rank_decimals
    ranks = competition({name: _key(v, decimals) for name, v in values.items()}, rising)
    ranges = {} if exact else rank_ranges(values, decimals, rising)
    for name, v in values.items():
        rank = ranks[name]
        table.rows[name] = Ranked(rank, v, ranks=ranges.get(name, (rank, rank)))
    return table


def _key(v: float, decimals: int | None) -> float:
    """What the ranking goes by."""
    return v if decimals is None else float(np.rint(v * float(10**decimals)))


def rank_ranges(values: Mapping[str, float], decimals: int | None, rising: bool) -> dict[str, Range]:
    """Best and worst rank of each row, when every value may be off by the tolerance."""
    sign = 1.0 if rising else -1.0  # to "smaller is better"
    ends = {}
    for name, v in values.items():
        off = tolerance(v)
        ends[name] = sorted((sign * _key(v - off, decimals), sign * _key(v + off, decimals)))
    lows, highs = sorted(low for low, _ in ends.values()), sorted(high for _, high in ends.values())
    # Surely better: whose high is below my low. Perhaps better: whose low is below my high; my own is, unless I am
    # known exactly.
    return {
        name: (1 + bisect_left(highs, low), 1 + bisect_left(lows, high) - (low < high))
        for name, (low, high) in ends.items()
    }


def _compare(table: Table, before: Table, year_ago: Table) -> None:
    for name, row in table.rows.items():
        then, ago = before.rows.get(name), year_ago.rows.get(name)
        table.rows[name] = row._replace(
            change=then and then.rank - row.rank,
            changes=_difference(then, row),
            change_year=ago and ago.rank - row.rank,
            changes_year=_difference(ago, row),
        )


def _difference(then: Ranked | None, now: Ranked) -> Range:
    return (0, 0) if then is None else (then.ranks[0] - now.ranks[1], then.ranks[1] - now.ranks[0])


def _inexact(definition: Definition, ranking: Ranking) -> bool:
    """Whether a logarithm or a power goes into the ranking's values."""
    nodes = set(ranking.nodes) if ranking.rows == "nodes" else {ranking.node}
    if ranking.measure in ("node_share", "correlation") or ranking.size == "node_share":
        nodes.add(ranking.other)
    if ranking.measure == "node_contribution":
        nodes.add(ROOT)
    if ranking.measure == "steadiness":
        nodes.update(child for node in definition.nodes if node.name in nodes for child in node.children)
    return ranking.measure == "compound" or not nodes.isdisjoint(definition.inexact())
