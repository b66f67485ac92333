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
        self._coordinates = np.zeros((4, 1024), np.int32)  # when, city, indicator, industry
        self._opened: list[int] = []  # coordinates of the newest slots, flat: a list grows faster than arrays

    def open(self, when: int, city: int, indicator: int, industry: int) -> int:
        """A new slot.

        Of a cell (`when` = number of its period) or, with industry = DAY, of a day cell (`when` = epoch day).
        """
        self._opened += (when, city, indicator, industry)
        self.n += 1
        return self.n - 1

    def settle(self) -> None:
        """Give newly opened slots their place in the columns; before anything else is asked of them."""
        if not self._opened:
            return
        opened = np.array(self._opened, np.int32).reshape(-1, 4).T
        self._opened.clear()
        while self.n > len(self.values):
            self.values = np.concatenate((self.values, np.zeros_like(self.values)))
            self.exists = np.concatenate((self.exists, np.zeros_like(self.exists)))
            self._coordinates = np.concatenate((self._coordinates, np.zeros_like(self._coordinates)), axis=1)
        self._coordinates[:, self.n - opened.shape[1] : self.n] = opened

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
        when, city, indicator, industry = self._coordinates.take(slots, axis=1)
        day = industry == self.DAY
        cell = ~day
        return (
            Amounts(when[cell], city[cell], indicator[cell], industry[cell], delta[cell], new[cell]),
            DayAmounts(when[day], city[day], indicator[day], delta[day], new[day]),
        )
