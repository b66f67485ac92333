"""Growth to date: an open period against the same number of complete days of its predecessor.

docs/formats.md section 4. Flows count by their day cells, stocks by their level in the whole period. Where a flow's day
cells do not add up to its amount (some of it came by whole periods), such a comparison would mislead: `no-days`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.cube import Cube, Page
from index.days import Prefix
from index.growth import Floats, Growth, ratio
from index.layout import Rows
from index.periods import Period
from index.reasons import Reason

Bools = NDArray[np.bool_]


class ToDate(NamedTuple):
    """What the values to date of some rows of a period follow from; [columns, n]."""

    amounts: NDArray[np.int64]
    present: Bools
    undated: Bools  # [n]: a flow that is present has amounts without days


def days_to_compare(period: Period, first_incomplete_day: int | None) -> int:
    """n'.

    Complete days of a period from its first on, at most as many as its predecessor has. None: there is no watermark.
    """
    if first_incomplete_day is None:
        return 0
    complete = min(first_incomplete_day - period.first_day(), period.n_days)
    return max(0, min(complete, period.predecessor.n_days))


def to_date_of(page: Page, prefix: Prefix, cube: Cube, used: Bools, rows: Rows) -> ToDate:
    """Amounts and presence to date of the rows of a page, with `prefix` over its first n' days.

    `used`: bool[columns], those that scores are made of. A flow that is no day column (one industry) has no days.
    """
    amounts, dated = page.amounts.take(rows, axis=1), np.zeros((len(used), len(rows)), np.int64)
    present = page.cells.take(rows, axis=1) > 0
    dated[cube.day_columns] = page.dated.take(rows, axis=1)
    undated = ((amounts != dated) & present & (cube.is_flow & used)[:, None]).any(axis=0)
    amounts[cube.is_flow], present[cube.is_flow] = 0, False
    amounts[cube.day_columns] = prefix.amounts.take(rows, axis=1)
    present[cube.day_columns] = prefix.cells.take(rows, axis=1) > 0
    return ToDate(amounts, present, undated)


def growth_to_date(
    value: Floats, before: Floats, undated: Bools, value_to_date: Floats, before_to_date: Floats
) -> Growth:
    """Growth to date of an open period with at least one complete day.

    value, before: of the whole periods; undated: of either period; the others: to date. All [n], NaN where missing.
    """
    growth = ratio(value_to_date, before_to_date)
    why = growth.why
    why[undated] = Reason.NO_DAYS
    why[np.isnan(before)] = Reason.NO_PREDECESSOR
    why[np.isnan(value)] = Reason.NO_VALUE
    growth.values[why != Reason.NONE] = np.nan
    return growth


def no_growth_to_date(value: Floats, is_open: bool, n_days: int, relative: bool) -> Growth:
    """Of rows of a closed period, of a relative system, of an open period without a complete day, or of one whose
    predecessor has no values at all."""
    reason = Reason.NO_COMPLETE_DAY if n_days == 0 else Reason.NO_PREDECESSOR
    if not is_open or relative:
        reason = Reason.RELATIVE if is_open else Reason.CLOSED
    why = np.where(np.isnan(value), Reason.NO_VALUE, reason).astype(np.int8)
    return Growth(np.full(value.shape, np.nan), why)
