"""The places of a ranking: its (scope, row) pairs, the same in every period.

A row is an entity, a node of the tree or a grade. What a place measures is the value of a node at an entity row: of the
ranking's node at its own row, or, where nodes are the rows, of its own node at the scope's row.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from index.grades import Grade
from index.layout import Layout, Rows
from index.measures.table import MEASURES, Asks
from index.ranking_rows import GRADES, NODES
from index.rankings import Ranking
from index.tree import Tree

Places = NDArray[np.int64]  # place numbers, ascending, each once
_FEW_ROWS = 32  # so many are looked up one by one: faster than columns, whose calls cost some 20 us
_NO_ROW = -1


class Outline:
    """Places are grouped by scope, in the order of their codes within each: `scope`, `row`, `node` int64[n]; scope s
    has `starts[s]..starts[s+1]-1`.

    `scopes`: entity codes, or [None]; `codes`: entity, node or grade per place; `parent`: row of the entity that a
    share divides by, per scope; `nation`: row of the nation, -1 if there is none. `plain`: see `Ranking`; `whole`: a
    place reads all rows of its table. Of grades, `row` is the scope's (-1: none), `grade` their number, `bounds`
    [at_least, below) of each, `members` the base rows of each scope.
    """

    def __init__(
        self, ranking: Ranking, layout: Layout, nation: str | None, tree: Tree, grades: Sequence[Grade] = ()
    ) -> None:
        """`nation`: what shares without a scope divide by. Scopes in code order. Merged codes are no rows."""
        self.ranking = ranking
        self.plain = ranking.plain
        self.asks = MEASURES[ranking.measure].asks
        self.whole = Asks.TABLE in self.asks or (ranking.rows == GRADES and ranking.scope is None)
        self.nation = layout.row_of[nation] if nation is not None else _NO_ROW
        scope_rows = _entities(layout, ranking.scope) if ranking.scope is not None else None
        self.scopes: list[str | None] = [None]
        self.parent = np.array([self.nation])
        if scope_rows is not None:
            self.scopes = [layout.codes[row] for row in scope_rows.tolist()]
            self.parent = np.full(len(scope_rows), self.nation) if ranking.rows == NODES else scope_rows
        self.number_of: dict[str | None, int] = {scope: i for i, scope in enumerate(self.scopes)}
        kind = ranking.rows if ranking.of_entities else next(iter(layout.range_of_kind))  # the base kind
        self.members: list[Rows] = []
        if ranking.rows != NODES:
            self.members = [_of_scope(layout, kind, scope) for scope in self.scopes]
        self.bounds = _bounds(grades)
        if ranking.of_entities:
            sizes = [len(rows) for rows in self.members]
            self.row: Rows = np.concatenate(self.members)
            self.codes = [layout.codes[row] for row in self.row.tolist()]
        else:
            names = sorted(ranking.nodes if ranking.rows == NODES else [grade.code for grade in grades])
            sizes = [len(names)] * len(self.scopes)
            self.codes = names * len(self.scopes)
        self.starts = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
        self.scope = np.repeat(np.arange(len(sizes)), sizes)
        self.n = len(self.codes)
        self.every: Places = np.arange(self.n)
        self.node: NDArray[np.int64] = np.full(self.n, tree.number_of[ranking.node])
        self.grade: NDArray[np.int64] = np.zeros(0, np.int64)
        if ranking.rows == NODES:
            assert scope_rows is not None  # the definition's check
            self.row = np.repeat(scope_rows, sizes)
            self.node = np.array([tree.number_of[name] for name in self.codes], np.int64)
        elif ranking.rows == GRADES:
            number = {grade.code: i for i, grade in enumerate(grades)}
            self.row = np.full(self.n, _NO_ROW) if scope_rows is None else np.repeat(scope_rows, sizes)
            self.grade = np.array([number[code] for code in self.codes], np.int64)
        self.scopes_with_rows = [scope for scope, size in enumerate(sizes) if size]
        self.first, self.end = layout.range_of_kind[kind]
        self._shares = ranking.measure == "share"

    def places_of(self, rows: Rows) -> Places:
        """The places of a plain ranking whose measure may differ when these rows (ascending) have changed.

        Theirs, and all whose whole moved.
        """
        low, high = rows.searchsorted((self.first, self.end))
        inside = rows[low:high]
        moved = np.isin(self.parent, rows) if self._shares else None
        if moved is not None and moved.any():
            chosen = moved[self.scope]
            chosen[self._places_of_own(inside)] = True
            return np.flatnonzero(chosen)
        return self._places_of_own(inside)

    def _places_of_own(self, rows: Rows) -> Places:
        if self.ranking.scope is None:
            if self.n == self.end - self.first:
                return rows - self.first
            return np.flatnonzero(np.isin(self.row, rows))  # codes that are merged into others are no rows
        if len(rows) <= _FEW_ROWS:
            places = self._places_by_row
            return np.array(sorted(place for row in rows.tolist() for place in places[row - self.first]), np.int64)
        chosen = np.zeros(self.end - self.first, np.bool_)
        chosen[rows - self.first] = True
        return np.flatnonzero(chosen[self.row - self.first])

    @cached_property
    def _places_by_row(self) -> list[list[int]]:
        found: list[list[int]] = [[] for _ in range(self.first, self.end)]
        for place, row in enumerate(self.row.tolist()):
            found[row - self.first].append(place)
        return found


def _entities(layout: Layout, kind: str) -> Rows:
    """The rows of a kind that are rows of tables."""
    rows = np.arange(*layout.range_of_kind[kind])
    return rows[layout.is_row[rows]]


def _of_scope(layout: Layout, kind: str, scope: str | None) -> Rows:
    """The entities of a kind in a scope."""
    return _entities(layout, kind) if scope is None else layout.members[scope]


def _bounds(grades: Sequence[Grade]) -> list[tuple[float, float]]:
    """[at_least, below) of each grade, from the best down."""
    low = [-np.inf if grade.at_least is None else grade.at_least for grade in grades]
    return list(zip(low, [np.inf, *low[:-1]], strict=True)) if grades else []
