"""Which flows' cells and day cells must end, and which come back, once the sums are right.

A drop ends a cell that holds 0, and, where it names no period, the day cell of its `at` likewise. What ends so and
should stay is brought back by an `add` of 0. So, in this order: days that must come back, days that must end (both may
take the month's cell along), then the months' cells, by events that name the period and touch no day.
"""

from __future__ import annotations

from collections.abc import Iterable

from workers.retraction.changes import DONE, Change, Changes
from workers.retraction.ledger import Ledger


def presence(ledger: Ledger, made: Changes, adds: Iterable[Change]) -> list[Change]:
    """The events to be sent behind `adds`, in order. Only of cells whose adds are sent."""
    return _Presence(ledger, made, adds).changes()


class _Presence:
    """`_cells`, `_days`: whether each cell that the selection touches is there, as far as was planned."""

    def __init__(self, ledger: Ledger, made: Changes, adds: Iterable[Change]) -> None:
        self._ledger, self._made = ledger, made
        accepted = ledger.accepted
        cell_sums, day_sums = dict[int, int](), dict[int, int]()
        self._at: dict[int, int] = {}  # cell -> when it was written last
        self._in_day: dict[int, dict[int, int]] = {}  # day cell -> cell -> the same
        for (cell, day, at_us), total in ledger.flows.items():
            cell_sums[cell] = cell_sums.get(cell, 0) + total
            self._at[cell] = max(at_us, self._at.get(cell, at_us))
            if day >= 0:
                day_sums[day] = day_sums.get(day, 0) + total
                when = self._in_day.setdefault(day, {})
                when[cell] = max(at_us, when.get(cell, at_us))
        self._want_cell = {c: ledger.cell_without(c, accepted.cell_sums[c] - n) for c, n in cell_sums.items()}
        self._want_day = {d: ledger.day_without(d, accepted.day_sums[d] - n) for d, n in day_sums.items()}
        self._cells = {cell: cell not in accepted.ended_cells for cell in cell_sums}
        self._days = {day: day not in accepted.ended_days for day in day_sums}
        for change in adds:
            self._cells[change.cell] = True
            if change.day >= 0:
                self._days[change.day] = True

    def changes(self) -> list[Change]:
        """See the head of this file."""
        out: list[Change] = []
        for drop in False, True:
            for day, cells in sorted(self._in_day.items()):
                usable = [cell for cell in sorted(cells) if self._is_whole(cell)]
                # Those of a cell that was left alone are not taken back, so the day stays with it.
                if len(usable) < len(cells) or self._days[day] is not drop or self._want_day[day] is drop:
                    continue
                # Through a cell that must go the same way, where there is one.
                cell = min(usable, key=lambda c: self._want_cell[c] is drop)
                out.append(self._made.flow(cell, day, cells[cell], drop=drop))
                self._days[day] = not drop
                self._cells[cell] = not drop or self._sum_after(cell) != 0
        for cell, there in sorted(self._cells.items()):
            if there != self._want_cell[cell] and self._is_whole(cell):
                out.append(self._made.flow(cell, -1, self._at[cell], drop=there))
        return out

    def _is_whole(self, cell: int) -> bool:
        row = self._made.flow_rows.get(cell)
        return row is None or row.outcome == DONE

    def _sum_after(self, cell: int) -> int:
        return self._made.sum_without(cell)
