"""First steps of a diff.

Which rows of which periods were touched, their values, and what the watermark opened or closed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.evaluate import Values, evaluate
from index.growtodate import BEFORE, ITSELF
from index.layout import Rows
from index.periods import Period
from index.sheet import NO_DAYS, Sheet, bits_differ
from index.system import System
from index.todate import days_to_compare
from index.work import Work

Plan = dict[Period, Work]  # what one diff does, by period


def touched(system: System, everything: bool) -> Plan:
    """What the cube noted since the last diff. `everything`: after a restore, when any row may differ from what is
    published.

    When a total of the base period moved, all rows are. When the first cell of a period came, or its last went, all of
    its tables are looked at.
    """
    plan: Plan = {}
    all_rows, pages = system.layout.all, system.cube.pages
    base_page = pages.get(system.definition.base)
    base_moved = base_page is not None and (everything or bool(base_page.touched)) and system.take_base(base_page)
    if everything:
        for period in system.sheets:
            system.cube.page(period)  # also of a restored sheet that has no cell any more
    for period, page in pages.items():
        if not (everything or base_moved or page.touched or page.touched_days):
            continue
        sheet = system.sheet(period)
        exists = bool(page.cells[:, system.layout.total].any())
        todo = plan[period] = Work(look_at_all=everything, appeared=exists != sheet.exists)
        sheet.exists = exists
        if everything or base_moved:
            todo.evaluate = todo.touched = all_rows
        else:
            if page.touched:
                todo.evaluate = system.layout.published(page.touched)
            todo.touched = system.layout.published(page.touched + page.touched_days)
        if todo.appeared or everything:
            todo.measured.append(all_rows)
        page.touched.clear()
        page.touched_days.clear()
    return plan


def evaluate_touched(system: System, plan: Plan) -> None:
    """Values of all touched rows of all periods, as columns of one evaluation."""
    todo = [(system.sheets[period], work) for period, work in plan.items() if len(work.evaluate)]
    if not todo:
        return
    pages = system.cube.pages
    amounts = [pages[sheet.period].amounts.take(work.evaluate, axis=1) for sheet, work in todo]
    present = [pages[sheet.period].cells.take(work.evaluate, axis=1) > 0 for sheet, work in todo]
    new = evaluate(system.definition, np.concatenate(amounts, axis=1), np.concatenate(present, axis=1), system.base)
    end = 0
    for (sheet, work), there in zip(todo, present, strict=True):
        start, end = end, end + len(work.evaluate)
        columns = Values(new.values[:, start:end], new.why[:, start:end], new.coverage[start:end])
        _put_values(sheet, work, columns, np.any(there, axis=0))


def _put_values(sheet: Sheet, work: Work, new: Values, present: NDArray[np.bool_]) -> None:
    """Take over new values of the evaluated rows, and note what differs from before."""
    rows: Rows = work.evaluate
    differs = bits_differ(new.values, sheet.values.take(rows, axis=1))
    value_differs, any_differs = differs[0], differs.any(axis=0)
    reason_differs = new.why != sheet.why.take(rows, axis=1)
    content = any_differs | reason_differs[0]
    content |= (new.coverage != sheet.coverage[rows]) | (present != sheet.present[rows])
    sheet.values[:, rows], sheet.why[:, rows], sheet.coverage[rows] = new.values, new.why, new.coverage
    sheet.present[rows] = present
    work.value_moved = rows[value_differs]
    work.moved = rows[any_differs | reason_differs.any(axis=0)]
    work.content.append(rows[content])
    work.measured.append(work.moved)


def open_and_close(system: System, plan: Plan, watermark_us: int | None) -> None:
    """Mark the periods that the watermark opened or closed, and those with another number of complete days.

    All their rows.
    """
    all_rows = system.layout.all
    incomplete = None if watermark_us is None else system.catalogue.calendar.days_ended_by(watermark_us)
    for sheet in system.in_order:
        is_open = watermark_us is None or watermark_us < sheet.closes_us
        n_days = days_to_compare(sheet.period, incomplete) if is_open else NO_DAYS
        if is_open == sheet.is_open and n_days == sheet.n_days:
            continue
        work = plan.setdefault(sheet.period, Work())
        work.touched = all_rows
        if is_open != sheet.is_open:
            work.turned = True
            work.grow.append(all_rows)
            work.measured.append(all_rows)
            if not is_open:
                system.cube.days.drop(sheet.period, ITSELF)
                system.cube.days.drop(sheet.period.predecessor, BEFORE)
        sheet.is_open, sheet.n_days = is_open, n_days
