"""What the log says of a selection: its accepted events summed up, and what stands in the same cells without them.

Fed with the rows that a `Judge` accepts (workers/verify/accept.py). Flows are summed by (cell, day, `at`): a later
selection that cuts a day in two then still finds each compensation where its events are. Memory: an entry for each of
these and for each stock's cell, and a byte for each cell and day cell.
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

CELL, DAY, _, _, SOURCE, SEQ, AT, VALUE, DROPPED = range(len(COLUMNS))
_ADD, _DROP = 1, 2  # what others said last of a cell; 0: nothing


class Level(NamedTuple):
    """A stock's level, in the order in which the latest wins; `partition` is where it stands. `value` None: it says
    that there is none.
    """

    at_us: int
    source: str
    seq: int
    value: int | None
    partition: int = -1


@dataclass
class Ledger:
    """Keys are numbers of cells and day cells in `accepted`.

    `flows`: (cell, day or -1, at_us) -> sum of the selection; `now`, `without`: stock's cell -> the level that stands,
    and the one that would without the selection; `events`: cell -> events of the source itself that are selected.
    `closed`: what is taken of the source itself from here on is not selected, only what compensates it.
    """

    selection: Selection
    accepted: Accepted = field(default_factory=Accepted)
    flows: dict[tuple[int, int, int], int] = field(default_factory=dict)
    now: dict[int, Level] = field(default_factory=dict)
    without: dict[int, Level] = field(default_factory=dict)
    events: Counter[int] = field(default_factory=Counter)
    closed: bool = False
    _others: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))  # by cell
    _other_days: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))  # by day cell
    _chain: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self._chain = {name: depth for depth, name in enumerate(chain(self.selection.source))}

    def take(self) -> None:
        """Take over (and drop) the rows that were accepted since."""
        accepted = self.accepted
        self._others = _longer(self._others, len(accepted.cells))
        self._other_days = _longer(self._other_days, len(accepted.days))
        if not accepted.rows:
            return
        rows = np.array(accepted.rows, dtype=np.int64).reshape(-1, len(COLUMNS))
        accepted.rows = array("q")
        names = list(accepted.sources)
        depth = np.array([self._chain.get(name, -1) for name in names])[rows[:, SOURCE]]
        chosen = (depth >= int(self.closed)) & self._of_indicator(rows[:, CELL])
        if self.selection.begin_us is not None:
            chosen &= rows[:, AT] >= self.selection.begin_us
        if self.selection.end_us is not None:
            chosen &= rows[:, AT] < self.selection.end_us
        others = rows[~chosen]
        dated = others[others[:, DAY] >= 0]
        # A cell's events come in the order of its log; of a place that is named twice, the last assignment stays.
        self._others[others[:, CELL]] = np.where(others[:, DROPPED], _DROP, _ADD)
        self._other_days[dated[:, DAY]] = np.where(dated[:, DROPPED], _DROP, _ADD)
        flow = np.array([cell[5] for cell in accepted.cells], dtype=bool)[rows[:, CELL]]
        self.events.update(rows[chosen & (depth == 0), CELL].tolist())
        for cell, day, at_us, value in rows[chosen & flow][:, [CELL, DAY, AT, VALUE]].tolist():
            key = cell, day, at_us
            self.flows[key] = self.flows.get(key, 0) + value
        stocks = rows[~flow][:, [CELL, AT, SOURCE, SEQ, VALUE, DROPPED]].tolist()
        for (cell, at_us, source, seq, value, dropped), mine in zip(stocks, chosen[~flow].tolist(), strict=True):
            level = Level(at_us, names[source], seq, None if dropped else value, accepted.cells[cell][0])
            for levels in (self.now,) if mine else (self.now, self.without):
                if cell not in levels or level[:3] > levels[cell][:3]:
                    levels[cell] = level

    def _of_indicator(self, cells: NDArray[np.int64]) -> NDArray[np.bool_]:
        wanted = self.selection.indicator
        if wanted is None:
            return np.ones(len(cells), dtype=bool)
        of_cell: NDArray[np.bool_] = np.array([cell[3] == wanted for cell in self.accepted.cells], dtype=bool)
        return of_cell[cells]

    def cell_without(self, cell: int, total: int) -> bool:
        """Whether a flow's cell would be there without the selection, with the sum `total`."""
        return _there(int(self._others[cell]), total)

    def day_without(self, day: int, total: int) -> bool:
        """The same of a day cell."""
        return _there(int(self._other_days[day]), total)


def _there(last: int, total: int) -> bool:
    """A drop that finds 0 ends a cell; whatever follows brings it back. So what was said last decides."""
    return last == _ADD or (last == _DROP and total != 0)


def _longer(held: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    return np.concatenate((held, np.zeros(size - len(held), np.uint8)))
