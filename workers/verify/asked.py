"""One ranking table to be made: its rows, and what a measure needs to look up for them (docs/formats.md section 5)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from workers.verify.definition import Definition, Ranking
from workers.verify.numbers import Maybe, Numbers, back
from workers.verify.periods import Period


class Row(NamedTuple):
    """`name`: as it is listed; `entity`: e, None where it has none (grades without scope); `node`: n."""

    name: str
    entity: str | None
    node: str


@dataclass(frozen=True, slots=True)
class Asked:
    """One table: a ranking in a period and a scope (None: it has none)."""

    numbers: Numbers
    ranking: Ranking
    period: Period
    scope: str | None
    rows: Sequence[Row]

    @property
    def definition(self) -> Definition:
        """Of the system."""
        return self.numbers.definition

    @property
    def open(self) -> bool:
        """Whether the period is."""
        return self.period in self.numbers.open

    @property
    def before(self) -> Period:
        """Q: the predecessor, or the period a year before, by the ranking's `over`."""
        return back(self.period, self.ranking.over)

    @property
    def parent(self) -> str | None:
        """The scope's entity; the nation without scope and for rows that are nodes."""
        return self.definition.nation if self.scope is None or self.ranking.rows == "nodes" else self.scope

    def v(self, row: Row, period: Period | None = None) -> float | None:
        """v(e, n) of a row, in the table's period where no other is named."""
        return self.numbers.v(row.entity, row.node, period or self.period)

    def g(self, row: Row) -> Maybe:
        """g(e, n) by `over`."""
        return self.numbers.growth(row.entity, row.node, self.period, self.ranking.over)

    def span(self) -> list[Period]:
        """`from`, from + 1, ..., P; empty where P lies before, or has another grain."""
        start = self.ranking.start
        if start is None or start.grain != self.period.grain:
            return []
        return [Period(start.grain, ordinal) for ordinal in range(start.ordinal, self.period.ordinal + 1)]

    def members(self, row: Row, period: Period, of: str | None = None) -> list[float]:
        """y of the members of the row's entity that have one."""
        kind, found = of or self.ranking.of, []
        for member in self.numbers.members.get(row.entity or "", ()):
            if kind == "value":
                y = self.numbers.v(member, row.node, period)
            else:
                y = self.numbers.growth(member, row.node, period, kind)[0]
            if y is not None:
                found.append(y)
        return found


Measure = Callable[[Asked], Mapping[str, Maybe]]


def competition(values: Mapping[str, float], rising: bool = False) -> dict[str, int]:
    """Rank of each row: 1 + the number of rows with a strictly greater (`rising`: less) value."""
    ranks: dict[str, int] = {}
    ahead = 0
    last: float | None = None
    ordered = sorted(values.items(), key=lambda item: item[1], reverse=not rising)
    for position, (name, v) in enumerate(ordered):
        if last is None or v != last:
            ahead, last = position, v
        ranks[name] = 1 + ahead
    return ranks


def each(ask: Callable[[Asked, Row], Maybe]) -> Measure:
    """A measure of a whole table from one of a single row."""

    def of(asked: Asked, row: Row) -> Maybe:
        try:
            return ask(asked, row)
        except OverflowError:  # of a power or an exact sum
            return math.inf, None

    return lambda asked: {row.name: of(asked, row) for row in asked.rows}


def tables_of(numbers: Numbers, ranking: Ranking) -> Iterator[tuple[str | None, list[Row]]]:
    """(scope, rows) of each table that the ranking has in a period."""
    of_kind: dict[str, list[str]] = {}
    for entity, kind in numbers.kinds.items():
        of_kind.setdefault(kind, []).append(entity)
    for scope in [None] if ranking.scope is None else of_kind.get(ranking.scope, []):
        if ranking.rows == "nodes":
            yield scope, [Row(node, scope, node) for node in ranking.nodes]
        elif ranking.rows == "grades":
            yield scope, [Row(grade.code, scope, ranking.node) for grade in numbers.definition.grades]
        else:
            rows = of_kind.get(ranking.rows, []) if scope is None else numbers.members[scope]
            yield scope, [Row(e, e, ranking.node) for e in rows if numbers.kinds[e] == ranking.rows]
