"""Second step of a diff.

Growth between whole periods, of the rows that moved there, a period before, or a year before.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.growth import Growth, Kind, mean, over
from index.layout import Rows
from index.periods import Period
from index.sheet import Sheet, Status, bits_differ
from index.system import System
from index.work import NO_ROWS, Work, union


def grow(system: System, plan: dict[Period, Work]) -> None:
    """Periods in order, since a mean takes the year-over-year growths of its whole span.

    What moved is carried along.
    """
    for period, work in list(plan.items()):
        if len(work.moved):
            for other in dict.fromkeys((period, period.successor, period.year_after)):
                if other in system.sheets:
                    plan.setdefault(other, Work()).grow.append(work.moved)
    carried: list[Rows] = []  # one span, of one grain
    for sheet in system.in_order:
        period, in_span = sheet.period, system.in_span(sheet.period)
        work_or_none = plan.get(period)
        rows = union(work_or_none.grow) if work_or_none is not None else NO_ROWS
        if not len(rows) and not (in_span and carried):
            continue
        work = plan.setdefault(period, Work())
        if len(rows):
            put_growth(sheet, Kind.POP, rows, _growth_over(system, sheet, period.predecessor, rows), work)
            moved = put_growth(sheet, Kind.YOY, rows, _growth_over(system, sheet, period.year_ago, rows), work)
            if in_span and len(moved):
                carried.append(moved)
        if in_span:
            rows = union([rows, *carried])
        put_growth(sheet, Kind.MEAN_YOY, rows, _mean_growth(system, sheet, rows), work)


def put_growth(sheet: Sheet, kind: Kind, rows: Rows, new: Growth, work: Work) -> Rows:
    """Take over growths [nodes, rows] of the first growing nodes.

    Notes and returns the rows that differ from before.
    """
    n = len(new.values)
    differs = bits_differ(new.values, sheet.growth[kind, :n].take(rows, axis=1))
    differs |= new.why != sheet.growth_why[kind, :n].take(rows, axis=1)
    if not differs.any():
        return NO_ROWS
    sheet.growth[kind, :n, rows], sheet.growth_why[kind, :n, rows] = new.values.T, new.why.T
    moved = rows[differs.any(axis=0)]
    work.content.append(rows[differs[0]])
    work.measured.append(moved)
    return moved


def restore_growth(system: System, sheet: Sheet) -> None:
    """Growths of nodes other than the root follow from the values published, and so does what rows without an update
    miss: the updates do not tell. Periods in order.
    """
    rows, period = system.layout.all, sheet.period
    if len(system.growing) > 1:
        for kind, other in ((Kind.POP, period.predecessor), (Kind.YOY, period.year_ago)):
            _restore_nodes(sheet, kind, _growth_over(system, sheet, other, rows))
    mean_growth = _mean_growth(system, sheet, rows)
    _restore_nodes(sheet, Kind.MEAN_YOY, mean_growth)
    absent = sheet.status == Status.NONE
    sheet.growth_why[Kind.MEAN_YOY, 0, absent] = mean_growth.why[0, absent]


def _restore_nodes(sheet: Sheet, kind: Kind, growth: Growth) -> None:
    sheet.growth[kind, 1:], sheet.growth_why[kind, 1:] = growth.values[1:], growth.why[1:]


def _growth_over(system: System, sheet: Sheet, other: Period, rows: Rows) -> Growth:
    """Growth [growing nodes, rows] over another period."""
    before = system.sheets.get(other)
    places = np.ix_(system.growing, rows)
    return over(sheet.values[places], before.values[places] if before is not None else None, bool(sheet.is_open))


def _mean_growth(system: System, sheet: Sheet, rows: Rows) -> Growth:
    """Mean of the year-over-year growths [growing nodes, rows] of the span up to this period."""
    growths: list[NDArray[np.float64] | None] = []
    span = system.definition.mean_yoy_from
    if span is not None and system.in_span(sheet.period):
        for ordinal in range(span.ordinal, sheet.period.ordinal + 1, system.span_step):
            one = system.sheets.get(Period(span.grain, ordinal))
            growths.append(one.growth[Kind.YOY].take(rows, axis=1) if one is not None else None)
    return mean(growths, bool(sheet.is_open), (len(system.growing), len(rows)))
