"""The rows of a system's arrays: cities in code order, then the groups of the definition's kinds (kind by kind, in code
order), then one hidden row for the sum of all base entities.

A city's amounts count in its own row, in the row of each group that it belongs to, and in the hidden row. These rows
are kept as one flat array with offsets (CSR), so that a batch of changes is spread over its rows without a loop.

Under `mergers = "restate"` a merged code keeps its number, but it is no row: nothing counts there, and it is no member.
"""

from __future__ import annotations

from typing import NewType

import numpy as np
from numpy.typing import NDArray

from index.catalogue import Catalogue
from index.mergers import Mergers
from index.periods import Period

RowNumber = NewType("RowNumber", int)
Rows = NDArray[np.int64]  # row numbers, ascending, each once


class Layout:
    """`codes`, `kinds`: of each published row. `total`: number of the hidden row; `size`: number of rows with it.
    `is_row`: bool[total], False of merged codes under restate."""

    def __init__(self, catalogue: Catalogue, group_kinds: tuple[str, ...], restate: bool = True) -> None:
        """`group_kinds` in the order of the definition. `restate`: what becomes of merged codes."""
        self.codes: list[str] = list(catalogue.cities)
        self.kinds: list[str] = [catalogue.base_kind] * len(self.codes)
        self.range_of_kind: dict[str, tuple[int, int]] = {catalogue.base_kind: (0, len(self.codes))}
        for kind in group_kinds:
            groups = catalogue.groups(kind)
            self.range_of_kind[kind] = (len(self.codes), len(self.codes) + len(groups))
            self.codes += groups
            self.kinds += [kind] * len(groups)
        self.n_cities = len(catalogue.cities)
        self.total = len(self.codes)
        self.mergers = Mergers(catalogue, restate)
        self.is_row: NDArray[np.bool_] = np.ones(self.total, np.bool_)
        if restate:
            self.is_row[: self.n_cities] = self.mergers.successors(0) == np.arange(self.n_cities)
        self.row_of: dict[str, int] = {code: row for row, code in enumerate(self.codes) if self.is_row[row]}
        self.size = self.total + 1
        self.all: Rows = np.arange(self.total)
        self.members: dict[str, Rows] = {
            code: members[self.is_row[members]]
            for code in self.codes[self.n_cities :]
            for members in [catalogue.members_of(code).astype(np.int64)]
        }
        self._starts, self._targets = self._rows_of_cities()

    def _rows_of_cities(self) -> tuple[Rows, Rows]:
        """CSR: the rows in which each city counts, ascending."""
        cities = [self.all[: self.n_cities], self.all[: self.n_cities]]
        rows = [self.all[: self.n_cities], np.full(self.n_cities, self.total)]
        for code, members in self.members.items():
            cities.append(members)
            rows.append(np.full(len(members), self.row_of[code]))
        city, row = np.concatenate(cities), np.concatenate(rows)
        order = np.lexsort((row, city))
        starts = np.zeros(self.n_cities + 1, np.int64)
        np.cumsum(np.bincount(city, minlength=self.n_cities), out=starts[1:])
        return starts, row[order]

    def spread(self, cities: NDArray[np.int32]) -> tuple[NDArray[np.int64], Rows]:
        """city indices [n] -> (which of them, row) for every row in which each counts.

        Two int64 arrays [sum over cities].
        """
        first = self._starts[cities]
        counts = self._starts[cities + 1] - first
        which = np.repeat(np.arange(len(cities)), counts)
        ends = np.cumsum(counts)
        place = np.arange(len(which)) - np.repeat(ends - counts - first, counts)
        return which, self._targets[place]

    def merged(self, period: Period) -> Rows:
        """The rows of base entities that are part of another in all of a period; none of them has a value there."""
        if self.mergers.restate or not self.mergers:
            return self.all[:0]
        return np.flatnonzero(self.mergers.merged(period))

    def published(self, rows: list[Rows]) -> Rows:
        """The union of some results of `spread`, ascending, each once, without the hidden row (which every spread
        touches).
        """
        together = rows[0] if len(rows) == 1 else np.concatenate(rows)
        if len(together) < self.size // 8:
            return np.unique(together)[:-1]
        flags = np.zeros(self.size, np.bool_)
        flags[together] = True
        return np.flatnonzero(flags[: self.total])
