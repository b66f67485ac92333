"""The columns behind a store: one place per flow cell or day cell, arrays that double when full."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.changes import Amounts, DayAmounts


class Slots:
    """Values and coordinates by slot.

    A slot is opened once and never moves; a cell that went keeps it, with exists = False.
    """

    DAY = -1  # in place of an industry: this slot is a day cell, and `when` its epoch day, not the number of a period

    def __init__(self) -> None:
        """No slot yet."""
        self.n = 0
        self.values = np.zeros(1024, np.int64)
        self.exists = np.zeros(1024, np.bool_)
        self._when = np.zeros(1024, np.int32)
        self._city = np.zeros(1024, np.int32)
        self._indicator = np.zeros(1024, np.int32)
        self._industry = np.zeros(1024, np.int32)

    def open(self, when: int, city: int, indicator: int, industry: int) -> int:
        """A new slot.

        Of a cell (`when` = number of its period) or, with industry = DAY, of a day cell (`when` = epoch day).
        """
        slot = self.n
        if slot == len(self.values):
            for name in ("values", "exists", "_when", "_city", "_indicator", "_industry"):
                old = getattr(self, name)
                setattr(self, name, np.concatenate((old, np.zeros_like(old))))
        self.n = slot + 1
        self._when[slot] = when
        self._city[slot] = city
        self._indicator[slot] = indicator
        self._industry[slot] = industry
        return slot

    def existing(self) -> NDArray[np.int64]:
        """The slots that hold a cell."""
        return np.flatnonzero(self.exists[: self.n])

    def put(
        self, slots: NDArray[np.int64], values: NDArray[np.int64], exists: NDArray[np.bool_]
    ) -> tuple[Amounts, DayAmounts]:
        """Set slots, each once, and return what differs from before. A slot that goes has value 0."""
        new = exists.astype(np.int8) - self.exists[slots]
        delta = values - self.values[slots]
        differs = (delta != 0) | (new != 0)
        if not differs.all():
            slots, values, exists, delta, new = (a[differs] for a in (slots, values, exists, delta, new))
        self.values[slots] = values
        self.exists[slots] = exists
        return self.columns(slots, delta, new)

    def columns(
        self, slots: NDArray[np.int64], delta: NDArray[np.int64], new: NDArray[np.int8]
    ) -> tuple[Amounts, DayAmounts]:
        """The differences with the coordinates of their cells: cells, day cells."""
        when, city = self._when[slots], self._city[slots]
        indicator, industry = self._indicator[slots], self._industry[slots]
        day = industry == self.DAY
        cell = ~day
        return (
            Amounts(when[cell], city[cell], indicator[cell], industry[cell], delta[cell], new[cell]),
            DayAmounts(when[day], city[day], indicator[day], delta[day], new[day]),
        )
