"""Base entities that became part of others (the catalogue's mergers): where their cells count, and from when on.

docs/formats.md section 4, "Whose amounts". `restate`: a merged code's cells count for its successor in all periods, as
if it had never been. `keep`: they do from the merger's month on, judged by the first month of what is counted.
Chains are followed; the catalogue's checks refuse cycles.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.catalogue import Catalogue
from index.periods import Period

ALWAYS = np.iinfo(np.int32).max  # the month from which on a restated catalogue is looked at


class Mergers:
    """The mergers of one catalogue under one rule. `restate`: whether merged codes are no entities at all."""

    def __init__(self, catalogue: Catalogue, restate: bool) -> None:
        """Cheap; the successors of a month are found when first asked for, and kept."""
        self.restate = restate
        index = catalogue.city_index
        self._n = len(catalogue.cities)
        self._into = {index[m.code]: (index[m.into], Period.parse(m.month).ordinal) for m in catalogue.mergers}
        self._by_month: dict[int, NDArray[np.int64]] = {}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._into)

    def successors(self, month: int) -> NDArray[np.int64]:
        """int64[cities]: the base entity in which each counts in that month (year*12 + month-1); nearly all: itself."""
        found = self._by_month.get(month := ALWAYS if self.restate else month)
        if found is None:
            found = self._by_month[month] = np.arange(self._n)
            for city in self._into:
                to = city
                while to in self._into and self._into[to][1] <= month:
                    to = self._into[to][0]
                found[city] = to
        return found

    def counted_for(self, cities: NDArray[np.int32], months: NDArray[np.int32]) -> NDArray[np.int32]:
        """The base entity for which each of some cells counts; `months`: of each cell."""
        if self.restate:
            return self.successors(0)[cities].astype(np.int32)
        result = cities.copy()
        for month in np.unique(months).tolist():
            here = months == month
            result[here] = self.successors(month)[cities[here]]
        return result

    def merged(self, period: Period) -> NDArray[np.bool_]:
        """bool[cities]: which are part of another in all of a period."""
        result: NDArray[np.bool_] = self.successors(period.ordinal * period.grain.months) != np.arange(self._n)
        return result
