"""The changes that take a selection back, one event each, not numbered yet.

A flow's is the negative of a sum; a stock's is a level that wins, or a drop. Running sums may not leave the bound on
the way, so `in_bounds` puts them into an order in which none does; a cell that has no such order is left alone. Which
cells must then end, or come back, is for presence.py.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from math import log10

from index.changes import GONE, NO_LEVEL
from index.periods import Period
from workers.retraction.ledger import Ledger, Level
from workers.retraction.selection import chain
from workers.retraction.stocks import levels_to_set
from workers.verify.accept import Accepted, Judge

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DONE = "done"


@dataclass
class Row:
    """What happens to one cell (a stock: one period). `now`, `after`: what stands there in units of 10^-`decimals`
    (None: nothing); `outcome`: done, or the reject reason.
    """

    city: str
    indicator: str
    industry: str
    period: str
    flow: bool
    decimals: int
    events: int
    now: int | None
    after: int | None
    outcome: str = DONE


@dataclass
class Change:
    """One compensating event. `cell`, `day`: of a flow, numbers in `Accepted` (-1: none); `period` None: that of
    `at_us`; `seq` None: the next one of its source; `drop`: that nothing is there (`value` is 0). `fate`: the rows that
    it is sent or not sent with, its own first.
    """

    partition: int
    value: int
    at_us: int
    period: str | None
    source: str
    fate: list[Row]
    row: Row
    seq: int | None = None
    cell: int = -1
    day: int = -1
    drop: bool = False


class Changes:
    """Makes them, of everything that `ledger` holds; `rows`: what happens to each cell that changes.

    `judges` stand behind what was read.
    """

    def __init__(self, ledger: Ledger, judges: Mapping[int, Judge]) -> None:
        self.rows: list[Row] = []
        self.flow_rows: dict[int, Row] = {}  # by number of the cell
        self._ledger, self._judges = ledger, judges
        self._chain = chain(ledger.selection.source)
        self._next: dict[tuple[int, str], int] = {}
        # Every catalogue that an event was accepted under is among these, and decimals never change.
        self._decimals = {
            code: round(log10(known.scale))
            for judge in judges.values()
            for catalogue in judge.catalogues
            for code, known in catalogue.indicators.items()
        }

    def flows(self) -> list[Change]:
        """The negative of each sum; in parts where it is more than an event may hold."""
        out = []
        for (cell, day, at_us), total in sorted(self._ledger.flows.items()):
            while total:
                partition = self._ledger.accepted.cells[cell][0]
                catalogue = self._judges[partition].in_force
                assert catalogue is not None, "an event was accepted there"
                part = max(1 - catalogue.cell, min(catalogue.cell - 1, total))
                out.append(self.flow(cell, day, at_us, value=-part))
                total -= part
        return out

    def flow(self, cell: int, day: int, at_us: int, *, value: int = 0, drop: bool = False) -> Change:
        """One event of a flow; `day` -1: it names the period of the cell."""
        ledger = self._ledger
        partition, period, city, indicator, industry, _ = ledger.accepted.cells[cell]
        if cell not in self.flow_rows:
            now = None if cell in ledger.accepted.ended_cells else ledger.accepted.cell_sums[cell]
            row = self._row(city, indicator, industry, period, True, ledger.events[cell], now)
            self.flow_rows[cell] = row
            after = self.sum_without(cell)
            row.after = after if ledger.cell_without(cell, after) else None
        named, row = period if day < 0 else None, self.flow_rows[cell]
        return Change(partition, value, at_us, named, self._chain[1], [row], row, None, cell, day, drop)

    def sum_without(self, cell: int) -> int:
        """Of a flow's cell, without the selection."""
        return self._ledger.accepted.cell_sums[cell] - self._sums[cell]

    @cached_property
    def _sums(self) -> Counter[int]:
        """Cell -> sum of the selection."""
        sums = Counter[int]()
        for (cell, _, _), total in self._ledger.flows.items():
            sums[cell] += total
        return sums

    def stocks(self) -> list[Change]:
        """The levels to set; of a city's stock all partitions and periods together."""
        ledger, trees = self._ledger, dict[tuple[str, ...], list[int]]()
        for cell in ledger.now:
            trees.setdefault(ledger.accepted.cells[cell][2:5], []).append(cell)
        out: list[Change] = []
        for (city, indicator, industry), cells in trees.items():
            if all(ledger.now[cell] == ledger.without.get(cell) for cell in cells):
                continue
            now, without = dict[Period, dict[int, Level]](), dict[Period, dict[int, Level]]()
            events = Counter[Period]()
            for cell in cells:
                period = Period.parse(ledger.accepted.cells[cell][1])
                events[period] += ledger.events[cell]
                for own, levels in (now, ledger.now), (without, ledger.without):
                    if cell in levels:
                        own.setdefault(period, {})[levels[cell].partition] = levels[cell]
            fate: list[Row] = []
            for period, level, over in levels_to_set(now, without, self._follow):
                held = None if over is None else over.value
                row = self._row(city, indicator, industry, period.name, False, events.pop(period, 0), held)
                row.after = level.value
                fate.append(row)
                at = level.partition, level.value or 0, level.at_us, period.name
                out.append(Change(*at, level.source, fate, row, level.seq, drop=level.value is None))
        return out

    def _row(
        self, city: str, indicator: str, industry: str, period: str, flow: bool, events: int, now: int | None
    ) -> Row:
        self.rows.append(Row(city, indicator, industry, period, flow, self._decimals[indicator], events, now, None))
        return self.rows[-1]

    def _follow(self, level: Level) -> Level:
        """A level at the same time, by a source and a number that win."""
        source = level.source if level.source in self._chain[1:] else self._chain[1]
        place = level.partition, source
        top = self._judges[level.partition].top(source)
        seq = self._next.get(place, 1 if top is None else top + 1)
        self._next[place] = seq + 1
        # A source whose compensator had to be renamed may lie behind it: a microsecond decides then.
        at_us = level.at_us if (source, seq) > (level.source, level.seq) else level.at_us + 1
        return Level(at_us, source, seq, 0, level.partition)


def in_bounds(changes: list[Change], accepted: Accepted, judges: Mapping[int, Judge]) -> list[Change]:
    """Flows' changes in an order in which no running sum leaves the bound; the cells without one are refused whole.

    What would leave it waits for the others. Cost: a pass, and another for each time that something had to wait.
    """
    while True:
        cells, days = dict[int, int](), dict[int, int]()
        ordered, left = list[Change](), changes
        while left:
            waiting = []
            for change in left:
                catalogue = judges[change.partition].in_force
                assert catalogue is not None
                cell = cells.get(change.cell, accepted.cell_sums[change.cell]) + change.value
                day = 0
                if change.day >= 0:
                    day = days.get(change.day, accepted.day_sums[change.day]) + change.value
                if max(abs(cell), abs(day)) >= catalogue.cell:
                    waiting.append(change)
                    continue
                cells[change.cell] = cell
                days[change.day] = day
                ordered.append(change)
            if len(waiting) == len(left):
                break
            left = waiting
        if not left:
            return ordered
        for change in left:
            change.row.outcome = "overflow"
        changes = [change for change in changes if change.row.outcome != "overflow"]


def text_of(change: Change, seq: int) -> bytes:
    """The event as JSON; its value as decimal digits: no float ever stands between a sum and the wire."""
    row = change.row
    fields: dict[str, object] = {"source": change.source, "seq": seq, "city": row.city, "indicator": row.indicator}
    fields |= {} if row.industry == "all" else {"industry": row.industry}
    fields |= {"op": "drop" if change.drop else "add" if row.flow else "set", "value": None}
    fields |= {"at": (EPOCH + timedelta(microseconds=change.at_us)).isoformat().replace("+00:00", "Z")}
    fields |= {} if change.period is None else {"period": change.period}
    value = format(Decimal(change.value).scaleb(-row.decimals), "f")
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return text.replace('"value":null', f'"value":{value}', 1).encode()


def cells_left(change: Change, accepted: Accepted) -> list[list[str]]:
    """The rows of Redis that it leaves behind, once it is in `accepted`: key, field, value."""
    row = change.row
    key, field = f"cells:{row.period}:{row.city}", f"{row.indicator}/{row.industry}"
    if not row.flow:
        level = NO_LEVEL if change.drop else change.value
        return [[key, field, f"{level} {change.at_us} {change.seq} {change.source}"]]
    ended = change.cell in accepted.ended_cells
    left = [[key, field, GONE if ended else str(accepted.cell_sums[change.cell])]]
    if change.day >= 0:
        _, month, city, indicator, date = accepted.days[change.day]
        text = GONE if change.day in accepted.ended_days else str(accepted.day_sums[change.day])
        left.append([f"days:{month}:{city}", f"{indicator}@{date}", text])
    return left
