"""Third step of a diff: growth to date of the root, of rows touched in a period or in its predecessor."""

from __future__ import annotations

import numpy as np

from index.evaluate import evaluate
from index.grow import put_growth
from index.growth import Growth, Kind
from index.layout import Rows
from index.periods import Period
from index.reasons import Reason
from index.sheet import NO_DAYS, Sheet
from index.system import System
from index.todate import ToDate, growth_to_date, no_growth_to_date, to_date_of
from index.work import Work, union

ITSELF, BEFORE = "itself", "before"  # for which side of a comparison the first days of a period are summed


def grow_to_date(system: System, plan: dict[Period, Work]) -> None:
    """All periods in one evaluation: the amounts to date of each, and those of the same days of its predecessor."""
    asked: list[tuple[Sheet, Rows, ToDate, ToDate]] = []
    pages, days, is_flow = system.cube.pages, system.cube.days, system.cube.is_flow
    for sheet in system.in_order:
        here, before = plan.get(sheet.period), plan.get(sheet.period.predecessor)
        rows = union([r for w in (here, before) if w is not None for r in (w.touched, w.moved)])
        if not len(rows):
            continue
        page_before = pages.get(sheet.period.predecessor)
        if sheet.is_open and sheet.n_days > 0 and page_before is not None:
            itself = days.prefix(sheet.period, ITSELF, sheet.n_days)
            earlier = days.prefix(sheet.period.predecessor, BEFORE, sheet.n_days)
            page = pages[sheet.period]
            parts = to_date_of(page, itself, is_flow, rows), to_date_of(page_before, earlier, is_flow, rows)
            asked.append((sheet, rows, *parts))
        else:
            growth = no_growth_to_date(sheet.values[0, rows], bool(sheet.is_open), sheet.n_days)
            _put(sheet, rows, growth, plan.setdefault(sheet.period, Work()))
    if not asked:
        return
    amounts = np.concatenate([part.amounts for _, _, *parts in asked for part in parts], axis=1)
    present = np.concatenate([part.present for _, _, *parts in asked for part in parts], axis=1)
    values = evaluate(system.definition, amounts, present, system.base).values[0]
    end = 0
    for sheet, rows, to_date, to_date_before in asked:
        start, middle, end = end, end + len(rows), end + 2 * len(rows)
        growth = growth_to_date(
            sheet.values[0, rows],
            system.sheets[sheet.period.predecessor].values[0, rows],
            to_date.undated | to_date_before.undated,
            values[start:middle],
            values[middle:end],
        )
        _put(sheet, rows, growth, plan.setdefault(sheet.period, Work()))


def _put(sheet: Sheet, rows: Rows, new: Growth, work: Work) -> None:
    """Take over growths to date [rows], and the days that they compare."""
    put_growth(sheet, Kind.TO_DATE, rows, Growth(new.values[None], new.why[None]), work)
    days = np.where(new.why == Reason.NONE, sheet.n_days, NO_DAYS).astype(np.int16)
    differs = days != sheet.days[rows]
    if differs.any():
        sheet.days[rows] = days
        work.content.append(rows[differs])
