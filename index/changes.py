"""Exact differences, as columns: what `cells` hands to every cube.

Adding all differences of a store in any grouping gives its present state: they are integers, so the order does not
matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.periods import Period

# In rows of cells, as Redis and the feed have them (docs/formats.md section 3).
GONE = ""  # in place of a flow's amount, only in the feed: the cell has ended
NO_LEVEL = "-"  # in place of a stock's level: the latest that was said of it is that there is none

Selection = slice | NDArray[np.bool_] | NDArray[np.int64]


class Amounts(NamedTuple):
    """Differences of amounts. Per change: `period` (place in Changes.periods), `city`, `indicator`, `industry` (of the
    indicator), `delta` (int64, units of 10^-decimals), `new` (+1: the cell came into being, -1: it went, 0:
    neither)."""

    period: NDArray[np.int32]
    city: NDArray[np.int32]
    indicator: NDArray[np.int32]
    industry: NDArray[np.int32]
    delta: NDArray[np.int64]
    new: NDArray[np.int8]


class DayAmounts(NamedTuple):
    """Differences of day cells (flows, all industries together). `day`: epoch day of the local date."""

    day: NDArray[np.int32]
    city: NDArray[np.int32]
    indicator: NDArray[np.int32]
    delta: NDArray[np.int64]
    new: NDArray[np.int8]


class Changes(NamedTuple):
    """`flows`: of own cells; each counts for its period and all that contain it. `levels`: of stocks, already resolved;
    each counts for exactly its period (there is one for every period that contains the cell). `days`: of day cells."""

    periods: Sequence[Period]
    flows: Amounts
    levels: Amounts
    days: DayAmounts

    @property
    def size(self) -> int:
        """Number of changes of all three sorts."""
        return len(self.flows.delta) + len(self.levels.delta) + len(self.days.delta)


def select_amounts(a: Amounts, chosen: Selection) -> Amounts:
    """The chosen changes."""
    return Amounts(
        a.period[chosen], a.city[chosen], a.indicator[chosen], a.industry[chosen], a.delta[chosen], a.new[chosen]
    )


def select_days(d: DayAmounts, chosen: Selection) -> DayAmounts:
    """The chosen changes."""
    return DayAmounts(d.day[chosen], d.city[chosen], d.indicator[chosen], d.delta[chosen], d.new[chosen])
