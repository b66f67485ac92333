"""First steps of a diff.

Which rows of which periods were touched, their values, and what the watermark opened or closed.
"""

from __future__ import annotations

import numpy as np

from index.cube import Page
from index.evaluate import Values, evaluate
from index.growtodate import BEFORE, ITSELF
from index.layout import Rows
from index.members import means
from index.periods import Period
from index.reasons import Reason
from index.sheet import NO_DAYS, Sheet, bits_differ
from index.system import System
from index.todate import days_to_compare
from index.work import Work

Plan = dict[Period, Work]  # what one diff does, by period


def touched(system: System, everything: bool) -> Plan:
    """What the cube noted since the last diff. `everything`: after a restore, when any row may differ from what is
    published.

    When a total of the base period moved, all rows are; when a scale that the period's entities make did, all of that
    period. When the first cell of a period came, or its last went, all of its tables are looked at.
    """
    plan: Plan = {}
    all_rows, pages, used = system.layout.all, system.cube.pages, system.definition.columns.used
    base = system.definition.base
    base_page = pages.get(base) if base is not None else None
    base_moved = base_page is not None and (everything or bool(base_page.touched)) and system.take_base(base_page)
    if everything:
        for period in system.sheets:
            system.cube.page(period)  # also of a restored sheet that has no cell any more
    for period, page in pages.items():
        if not (everything or base_moved or page.touched or page.touched_days):
            continue
        sheet = system.sheet(period)
        exists = bool(page.cells[used, system.layout.total].any())
        todo = plan[period] = Work(look_at_all=everything, appeared=exists != sheet.exists)
        sheet.exists = exists
        if page.touched:
            todo.evaluate = system.layout.published(page.touched)
        scale_moved = system.definition.relative and _take_levels(system, page, todo.evaluate)
        if everything or base_moved or scale_moved:
            todo.evaluate = todo.touched = all_rows
        else:
            todo.touched = system.layout.published(page.touched + page.touched_days)
        if todo.appeared or everything:
            todo.measured.append(all_rows)
        page.touched.clear()
        page.touched_days.clear()
    return plan


def _take_levels(system: System, page: Page, rows: Rows) -> bool:
    """Whether the touched rows moved the scale of a relative leaf."""
    cities = rows[: rows.searchsorted(system.layout.n_cities)]
    amounts, present = page.amounts.take(cities, axis=1), page.cells.take(cities, axis=1) > 0
    return len(cities) > 0 and system.populations(page.period).take(cities, amounts, present)


def evaluate_touched(system: System, plan: Plan) -> None:
    """Values of all touched rows: of all periods as columns of one evaluation, unless each has a scale of its own."""
    todo = [(system.sheets[period], work) for period, work in plan.items() if len(work.evaluate)]
    portions = [[one] for one in todo] if system.definition.relative else [todo] if todo else []
    for portion in portions:
        _evaluate(system, portion)


def _evaluate(system: System, todo: list[tuple[Sheet, Work]]) -> None:
    """One evaluation of the touched rows of some periods; groups that are means follow from it."""
    definition, pages, layout = system.definition, system.cube.pages, system.layout
    rows = [work.evaluate for _, work in todo]
    if definition.mean_of_members:
        rows = [r[: r.searchsorted(layout.n_cities)] for r in rows]
    amounts = [pages[sheet.period].amounts.take(r, axis=1) for (sheet, _), r in zip(todo, rows, strict=True)]
    cells = [pages[sheet.period].cells.take(r, axis=1) > 0 for (sheet, _), r in zip(todo, rows, strict=True)]
    populations = system.populations(todo[0][0].period) if definition.relative else None
    new = evaluate(definition, np.concatenate(amounts, axis=1), np.concatenate(cells, axis=1), system.base, populations)
    end = 0
    for (sheet, work), evaluated in zip(todo, rows, strict=True):
        start, end = end, end + len(evaluated)
        columns = Values(new.values[:, start:end], new.why[:, start:end], new.coverage[start:end])
        merged = layout.merged(sheet.period)
        if len(merged):
            columns.why[:, np.isin(evaluated, merged)] = Reason.MERGED  # none of them has a cell here
        nodes = _put_values(system, sheet, work, evaluated, columns)
        if definition.mean_of_members:
            _put_means(system, sheet, work, work.evaluate[len(evaluated) :], merged, nodes)
        work.measured.append(work.moved)


def _put_means(system: System, sheet: Sheet, work: Work, groups: Rows, merged: Rows, moved: Rows) -> None:
    """Groups as means of their members, whose values are in the sheet. `moved`: nodes at which one of them moved; the
    others stay, but for the root, whose coverage may have."""
    layout, n_nodes, n = system.layout, len(sheet.values), system.layout.n_cities
    nodes = np.arange(n_nodes) if work.look_at_all else np.union1d([0], moved)
    least = system.definition.min_coverage
    new = means(layout, groups, sheet.values[:, :n], sheet.coverage[:n], merged, least, nodes)
    values, why = sheet.values.take(groups, axis=1), sheet.why.take(groups, axis=1)
    values[nodes], why[nodes] = new.values, new.why
    _put_values(system, sheet, work, groups, Values(values, why, new.coverage))


def _put_values(system: System, sheet: Sheet, work: Work, rows: Rows, new: Values) -> Rows:
    """Take over new values of some evaluated rows, later ones than before, and note what differs from before.

    Returns the nodes at which a value does.
    """
    page = system.cube.pages[sheet.period]
    present = (page.cells.take(rows, axis=1)[system.definition.columns.used] > 0).any(axis=0)
    differs = bits_differ(new.values, sheet.values.take(rows, axis=1))
    value_differs, any_differs = differs[0], differs.any(axis=0)
    reason_differs = new.why != sheet.why.take(rows, axis=1)
    content = any_differs | reason_differs[0]
    content |= (new.coverage != sheet.coverage[rows]) | (present != sheet.present[rows])
    sheet.values[:, rows], sheet.why[:, rows], sheet.coverage[rows] = new.values, new.why, new.coverage
    sheet.present[rows] = present
    work.value_moved = np.concatenate((work.value_moved, rows[value_differs]))
    work.moved = np.concatenate((work.moved, rows[any_differs | reason_differs.any(axis=0)]))
    work.content.append(rows[content])
    return np.flatnonzero(differs.any(axis=1))


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
