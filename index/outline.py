"""The places of a ranking: its (scope, row) pairs, the same in every period."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from index.layout import Layout, Rows
from index.rankings import Ranking

Places = NDArray[np.int64]  # place numbers, ascending, each once
_FEW_ROWS = 32  # so many are looked up one by one: faster than columns, whose calls cost some 20 us


class Outline:
    """Places are grouped by scope, rows ascending within each: `scope` and `row` int64[n]; scope s has
    `starts[s]..starts[s+1]-1`.

    `scopes`: group codes, or [None]; `codes`: entity per place; `parent`: row of the entity that a share divides by,
    per scope.
    """

    def __init__(self, ranking: Ranking, layout: Layout, nation: str | None) -> None:
        """`nation`: what shares without a scope divide by. Scopes in code order."""
        self.ranking = ranking
        self.first, self.end = layout.range_of_kind[ranking.rows]
        self.scopes: list[str | None] = [None]
        members = [np.arange(self.first, self.end)]
        self.parent = np.array([layout.row_of[nation] if nation is not None else -1])
        if ranking.scope is not None:
            begin, stop = layout.range_of_kind[ranking.scope]
            self.scopes = list(layout.codes[begin:stop])
            members = [layout.members[group] for group in layout.codes[begin:stop]]
            self.parent = np.arange(begin, stop)
        sizes = [len(m) for m in members]
        self.starts = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
        self.row: Rows = np.concatenate(members)
        self.scope = np.repeat(np.arange(len(members)), sizes)
        self.n = len(self.row)
        self.codes = [layout.codes[row] for row in self.row.tolist()]
        self.scopes_with_rows = [scope for scope, size in enumerate(sizes) if size]
        self.number_of: dict[str | None, int] = {scope: i for i, scope in enumerate(self.scopes)}
        self._shares = ranking.measure == "share"

    def places_of(self, rows: Rows) -> Places:
        """The places whose measure may differ when these rows (ascending) have changed.

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
            return rows - self.first
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
