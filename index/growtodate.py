"""Third step of a diff: growth to date of the root, of rows touched in a period or in its predecessor."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from index.evaluate import evaluate
from index.grow import put_growth
from index.growth import Floats, Growth, Kind
from index.layout import Rows
from index.members import means
from index.periods import Period
from index.reasons import Reason
from index.sheet import NO_DAYS, Sheet
from index.system import System
from index.todate import Bools, ToDate, growth_to_date, no_growth_to_date, to_date_of
from index.work import Work, union

ITSELF, BEFORE = "itself", "before"  # for which side of a comparison the first days of a period are summed


class _Asked(NamedTuple):
    """Rows of a period whose growth to date is computed. `needed`: these, and the members of groups that are means."""

    sheet: Sheet
    rows: Rows
    needed: Rows
    itself: ToDate
    before: ToDate


def grow_to_date(system: System, plan: dict[Period, Work]) -> None:
    """All periods in one evaluation: the amounts to date of each, and those of the same days of its predecessor."""
    asked: list[_Asked] = []
    relative, pages = system.definition.relative, system.cube.pages
    for sheet in system.in_order:
        here, before = plan.get(sheet.period), plan.get(sheet.period.predecessor)
        rows = union([r for w in (here, before) if w is not None for r in (w.touched, w.moved)])
        if not len(rows):
            continue
        if sheet.is_open and sheet.n_days > 0 and sheet.period.predecessor in pages and not relative:
            asked.append(_ask(system, sheet, rows))
        else:
            growth = no_growth_to_date(sheet.values[0, rows], bool(sheet.is_open), sheet.n_days, relative)
            _put(sheet, rows, growth, plan.setdefault(sheet.period, Work()))
    if not asked:
        return
    parts = [(a, period, part) for a in asked for period, part in _sides(a)]
    values = evaluate(
        system.definition,
        np.concatenate([part.amounts for _, _, part in parts], axis=1),
        np.concatenate([part.present for _, _, part in parts], axis=1),
        system.base,
    )
    end, found = 0, list[Floats]()
    for one, period, _ in parts:
        start, end = end, end + len(one.needed)
        found.append(_values_of(system, one, period, values.values[0, start:end], values.coverage[start:end]))
    for one, to_date, to_date_before in zip(asked, found[::2], found[1::2], strict=True):
        growth = growth_to_date(
            one.sheet.values[0, one.rows],
            system.sheets[one.sheet.period.predecessor].values[0, one.rows],
            _of_rows(one, one.itself.undated | one.before.undated),
            to_date,
            to_date_before,
        )
        _put(one.sheet, one.rows, growth, plan.setdefault(one.sheet.period, Work()))


def _ask(system: System, sheet: Sheet, rows: Rows) -> _Asked:
    """What the growth to date of some rows of an open period follows from."""
    cube, layout, used = system.cube, system.layout, system.definition.columns.used
    needed = rows
    if system.definition.mean_of_members:
        groups = rows[rows.searchsorted(layout.n_cities) :].tolist()
        needed = union([rows, *(layout.members[layout.codes[group]] for group in groups)])
    previous = sheet.period.predecessor
    itself = cube.days.prefix(sheet.period, ITSELF, sheet.n_days)
    earlier = cube.days.prefix(previous, BEFORE, sheet.n_days)
    return _Asked(
        sheet,
        rows,
        needed,
        to_date_of(cube.pages[sheet.period], itself, cube, used, needed),
        to_date_of(cube.pages[previous], earlier, cube, used, needed),
    )


def _sides(one: _Asked) -> tuple[tuple[Period, ToDate], tuple[Period, ToDate]]:
    return (one.sheet.period, one.itself), (one.sheet.period.predecessor, one.before)


def _values_of(system: System, one: _Asked, period: Period, values: Floats, coverage: Floats) -> Floats:
    """Values to date of the rows asked for from those of the rows needed."""
    if not system.definition.mean_of_members:
        return values
    layout, n = system.layout, system.layout.n_cities
    groups, cities = one.rows[one.rows.searchsorted(n) :], one.needed[: one.needed.searchsorted(n)]
    value_of, coverage_of = np.full((1, n), np.nan), np.zeros(n)
    value_of[0, cities], coverage_of[cities] = values[: len(cities)], coverage[: len(cities)]
    merged = layout.merged(period)
    root, least = np.zeros(1, np.int64), system.definition.min_coverage
    of_groups = means(layout, groups, value_of, coverage_of, merged, least, root).values[0]
    result = values[one.needed.searchsorted(one.rows)]
    result[len(one.rows) - len(groups) :] = of_groups
    return result


def _of_rows(one: _Asked, flags: Bools) -> Bools:
    """Flags of the rows asked for, from those of the rows needed."""
    return flags if one.needed is one.rows else flags[one.needed.searchsorted(one.rows)]


def _put(sheet: Sheet, rows: Rows, new: Growth, work: Work) -> None:
    """Take over growths to date [rows], and the days that they compare."""
    put_growth(sheet, Kind.TO_DATE, rows, Growth(new.values[None], new.why[None]), work)
    days = np.where(new.why == Reason.NONE, sheet.n_days, NO_DAYS).astype(np.int16)
    differs = days != sheet.days[rows]
    if differs.any():
        sheet.days[rows] = days
        work.content.append(rows[differs])
