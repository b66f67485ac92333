"""What the log says of a selection: its accepted events summed up, and what stands in the same cells without them.

Fed with the rows that a `Judge` accepts (workers/verify/accept.py). Flows are summed by (cell, day, `at`): a later
selection that cuts a day in two then still finds each compensation where its events are. Memory: an entry for each of
these, for each stock's cell, and for each cell that others hold.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workers.retraction.selection import Selection, chain
from workers.verify.accept import COLUMNS, Accepted

CELL, DAY, _, _, SOURCE, SEQ, AT, VALUE = range(len(COLUMNS))


class Level(NamedTuple):
    """A stock's level, in the order in which the latest wins; `partition` is where it stands."""

    at_us: int
    source: str
    seq: int
    value: int
    partition: int = -1


@dataclass
class Ledger:
    """Keys are numbers of cells and day cells in `accepted`.

    `flows`: (cell, day or -1, at_us) -> sum of the selection; `now`, `without`: stock's cell -> the level that stands,
    and the one that would without the selection; `events`: cell -> events of the source itself that are selected.
    """

    selection: Selection
    accepted: Accepted = field(default_factory=Accepted)
    flows: dict[tuple[int, int, int], int] = field(default_factory=dict)
    now: dict[int, Level] = field(default_factory=dict)
    without: dict[int, Level] = field(default_factory=dict)
    events: Counter[int] = field(default_factory=Counter)
    _others: set[int] = field(default_factory=set)
    _chain: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self._chain = {name: depth for depth, name in enumerate(chain(self.selection.source))}

    def take(self) -> None:
        """Take over (and drop) the rows that were accepted since."""
        accepted = self.accepted
        if not accepted.rows:
            return
        rows = np.array(accepted.rows, dtype=np.int64).reshape(-1, len(COLUMNS))
        accepted.rows = array("q")
        names = list(accepted.sources)
        depth = np.array([self._chain.get(name, -1) for name in names])[rows[:, SOURCE]]
        chosen = (depth >= 0) & self._of_indicator(rows[:, CELL])
        if self.selection.begin_us is not None:
            chosen &= rows[:, AT] >= self.selection.begin_us
        if self.selection.end_us is not None:
            chosen &= rows[:, AT] < self.selection.end_us
        self._others.update(np.unique(rows[~chosen, CELL]).tolist())
        flow = np.array([cell[5] for cell in accepted.cells], dtype=bool)[rows[:, CELL]]
        self.events.update(rows[chosen & (depth == 0), CELL].tolist())
        for cell, day, at_us, value in rows[chosen & flow][:, [CELL, DAY, AT, VALUE]].tolist():
            key = cell, day, at_us
            self.flows[key] = self.flows.get(key, 0) + value
        stocks = rows[~flow][:, [CELL, AT, SOURCE, SEQ, VALUE]].tolist()
        for (cell, at_us, source, seq, value), mine in zip(stocks, chosen[~flow].tolist(), strict=True):
            level = Level(at_us, names[source], seq, value, accepted.cells[cell][0])
            for levels in (self.now,) if mine else (self.now, self.without):
                if cell not in levels or level > levels[cell]:
                    levels[cell] = level

    def _of_indicator(self, cells: NDArray[np.int64]) -> NDArray[np.bool_]:
        wanted = self.selection.indicator
        if wanted is None:
            return np.ones(len(cells), dtype=bool)
        of_cell: NDArray[np.bool_] = np.array([cell[3] == wanted for cell in self.accepted.cells], dtype=bool)
        return of_cell[cells]

    def held_by_others(self) -> set[tuple[str, ...]]:
        """(period, city, indicator, industry) of the cells that would be there without the selection, in any
        partition.
        """
        return {self.accepted.cells[cell][1:5] for cell in self._others}
