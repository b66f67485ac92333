"""The two sides of an explained move: which values are compared, or why none can be.

A closed period is compared whole, as published; an open one to date, over as many days of both periods, as its growth
to date is (docs/formats.md section 4), and not at all with the year before.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from index.elementwise import exact_sum
from index.evaluate import evaluate
from index.explain_leaves import Side
from index.growth import Kind
from index.growtodate import BEFORE, ITSELF
from index.layout import Rows
from index.periods import Period
from index.reasons import WORDS, Reason
from index.sheet import Sheet
from index.system import System
from index.todate import to_date_of


class Sides(NamedTuple):
    """What is compared: the entity in the first column, the members of a group (`members`; None: a base entity) behind
    it. With a `reason` there are no sides, and `why` tells of the missing value; `days` as in Explanation."""

    other: Period
    before: Side
    after: Side
    members: Rows | None
    before_value: float | None
    after_value: float | None
    days: int | None
    growth: float | None
    reason: str | None
    why: str | None
    growth_reason: str | None


_NOTHING = Side(np.zeros((0, 0)), np.zeros((0, 0), np.int64), np.zeros((0, 0), np.bool_), None)


def sides_of(system: System, row: int, period: Period, against: str) -> Sides:
    """The sides of the entity in `row`; `against`: `pop` (the predecessor) or `yoy` (the year before)."""
    other = period.predecessor if against == "pop" else period.year_ago
    sheet, before = system.sheets.get(period), system.sheets.get(other)
    members = system.layout.members.get(system.layout.codes[row])
    rows = np.array([row], np.int64) if members is None else np.concatenate(([row], members))
    after_value, before_value = _value(sheet, row), _value(before, row)
    if sheet is None or after_value is None:
        return _refused(other, members, before_value, None, Reason.NO_VALUE, _why(sheet, row))
    to_date = bool(sheet.is_open) and against == "pop"
    kind = Kind.TO_DATE if to_date else Kind.POP if against == "pop" else Kind.YOY
    growth_why = Reason(int(sheet.growth_why[kind, 0, row]))
    growth = None if growth_why is not Reason.NONE else float(sheet.growth[kind, 0, row])
    if growth_why not in (Reason.NONE, Reason.ZERO_PREDECESSOR, Reason.NOT_FINITE):
        return _refused(other, members, before_value, after_value, growth_why, _why(before, row))
    assert before is not None  # there would be no predecessor
    if to_date:
        sides = _to_date(system, before, sheet, rows)
    else:
        sides = _whole(system, before, rows), _whole(system, sheet, rows)
    then, now = (_optional(side.values[0, 0]) for side in sides)
    growth_reason = None if growth is not None else WORDS[growth_why]
    days = int(sheet.n_days) if to_date else None
    return Sides(other, *sides, members, then, now, days, growth, None, None, growth_reason)


def _refused(
    other: Period, members: Rows | None, before: float | None, after: float | None, reason: Reason, why: Reason
) -> Sides:
    """`why`: of the value that `reason` may mean; it is told if that is missing."""
    told = why.word if reason in (Reason.NO_VALUE, Reason.NO_PREDECESSOR) and why is not Reason.NONE else None
    return Sides(other, _NOTHING, _NOTHING, members, before, after, None, None, reason.word, told, reason.word)


def _why(sheet: Sheet | None, row: int) -> Reason:
    """Why the root has no value; of a period without any cell `no-data`."""
    return Reason.NO_DATA if sheet is None else Reason(int(sheet.why[0, row]))


def _whole(system: System, sheet: Sheet, rows: Rows) -> Side:
    page = system.cube.page(sheet.period)
    return Side(sheet.values[:, rows], page.amounts[:, rows], page.cells[:, rows] > 0, system.populations(sheet.period))


def _to_date(system: System, before: Sheet, sheet: Sheet, rows: Rows) -> tuple[Side, Side]:
    """As `growtodate`: the same complete days of both periods. No leaf is relative here."""
    sides = []
    for one, role in ((before, BEFORE), (sheet, ITSELF)):
        prefix = system.cube.days.prefix(one.period, role, sheet.n_days)
        part = to_date_of(system.cube.page(one.period), prefix, system.cube, system.definition.columns.used, rows)
        values = evaluate(system.definition, part.amounts, part.present, system.base).values
        if system.definition.mean_of_members and len(rows) > 1:
            for node in values:
                there = node[1:][~np.isnan(node[1:])]
                node[0] = exact_sum(there) / len(there) if len(there) else math.nan
        sides.append(Side(values, part.amounts, part.present, None))
    return sides[0], sides[1]


def _value(sheet: Sheet | None, row: int) -> float | None:
    return None if sheet is None else _optional(sheet.values[0, row])


def _optional(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
