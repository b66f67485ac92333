"""A play by day with plants in it: what is reported on each day, as the cells that Redis would hold, or as events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.scenario.daily import Daily, Floats
from workers.scenario.drops import FALLS, SILENT, Plant

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Report:
    """What is reported on a day of one day of event time: `amounts` (city, indicator), 0 where nothing is."""

    of_day: int
    amounts: Ints


class Planted:
    """`amounts` (day, city, indicator): with all plants; `fallen`: the part that real falls leave (1: all).

    `late[day]`: parts of that day, by whom and when they are reported.
    """

    def __init__(self, days: Daily, plants: Sequence[Plant], last_day: int | None = None) -> None:
        """Days 0 to `last_day` (excluded; default: all)."""
        self.days, self.plants = days, list(plants)
        self.n = len(days) if last_day is None else last_day
        self.fallen = np.ones((self.n, *days.amounts.shape[1:]))
        level = np.ones_like(self.fallen)
        self.late: dict[int, list[tuple[Plant, float, int]]] = defaultdict(list)
        for plant in plants:
            where = np.ix_(range(plant.first, plant.last + 1), plant.cities, plant.indicators)
            if plant.kind in FALLS:
                self.fallen[where] *= 1 - _course(plant)[:, None, None]
            elif plant.kind == "spike":
                level[where] *= 1 + plant.size
            elif plant.kind == "dip":
                level[where] *= 1 - plant.size
            elif plant.kind == "holiday":
                level[where] *= days.holiday
            elif plant.kind == "quarter":
                self.late[plant.first].append((plant, plant.size, plant.first + 3))
                self.late[plant.first + 1].append((plant, plant.size / 2, plant.first + 4))
            elif plant.kind in SILENT:
                for day in range(plant.first, plant.last + 1):
                    self.late[day].append((plant, 1.0, plant.last + 1))
        self.amounts = np.rint(days.amounts[: self.n] * level * self.fallen).astype(np.int64)

    def reports(self) -> Iterator[list[Report]]:
        """Of each day in turn: its own report, and what is reported late on it."""
        due: dict[int, list[Report]] = defaultdict(list)
        for day in range(self.n):
            own = self.amounts[day].copy()
            for plant, part, when in self.late.get(day, ()):
                where = np.ix_(plant.cities, plant.indicators)
                held = np.zeros_like(own)
                held[where] = np.rint(own[where] * part).astype(np.int64)
                own -= held
                due[when].append(Report(day, held))
            yield [Report(day, own), *due.pop(day, ())]

    def true_fall(self, cities: Sequence[int], indicators: Sequence[int] | None, span: int = 7) -> Floats:
        """By day: the part that real falls took in `span` days up to it, of these cities' composite (or indicators)."""
        usual = self.days.amounts[: self.n, list(cities)]
        left = usual * self.fallen[:, list(cities)]
        if indicators is not None:
            usual, left = usual[:, :, list(indicators)], left[:, :, list(indicators)]
            would, is_ = usual.sum(axis=(1, 2)), left.sum(axis=(1, 2))
        else:
            would, is_ = self.days.composite(usual).sum(axis=1), self.days.composite(left).sum(axis=1)
        lost, whole = (np.cumsum(np.concatenate((np.zeros(span), x))) for x in (would - is_, would))
        fall: Floats = (lost[span:] - lost[:-span]) / (whole[span:] - whole[:-span])
        return fall


def _course(plant: Plant) -> Floats:
    """The part taken away on each day of a fall."""
    n = plant.last - plant.first + 1
    if plant.kind != "slide":
        return np.full(n, plant.size)
    return plant.size * np.minimum(1.0, np.arange(1, n + 1) / (n // 2))


class CellRows:
    """Reports added up into the rows of docs/formats.md section 3, absolute, as a change feed brings them.

    An indicator's whole amount goes to its first industry: nothing here looks at industries.
    """

    def __init__(self, days: Daily, fields: dict[str, str]) -> None:
        """`fields`: the field of each indicator, `indicator/industry`."""
        self._days = days
        self._fields = [fields[code] for code in days.indicators]
        shape = len(days.frame.codes), len(days.indicators)
        self._months: dict[str, Ints] = defaultdict(lambda: np.zeros(shape, np.int64))
        self._by_day: dict[int, Ints] = defaultdict(lambda: np.zeros(shape, np.int64))

    def add(self, reports: Sequence[Report]) -> list[list[Any]]:
        """The rows that these reports change."""
        dates = {report.of_day: self._days.day(report.of_day).isoformat() for report in reports}
        for report in reports:
            self._months[dates[report.of_day][:7]] += report.amounts
            self._by_day[report.of_day] += report.amounts
        rows: list[list[Any]] = []
        months = sorted({name[:7] for name in dates.values()})
        for month in months:
            inside = [(day, name) for day, name in sorted(dates.items()) if name[:7] == month]
            touched = np.zeros_like(self._months[month], np.bool_)
            for report in reports:
                if dates[report.of_day][:7] == month:
                    touched |= report.amounts != 0
            for city in np.flatnonzero(touched.any(axis=1)).tolist():
                code = self._days.frame.codes[city]
                cells: list[Any] = [f"cells:{month}:{code}"]
                for i, amount in enumerate(self._months[month][city].tolist()):
                    if amount:
                        cells += (self._fields[i], amount)
                of_days: list[Any] = [f"days:{month}:{code}"]
                for day, name in inside:
                    for i, amount in enumerate(self._by_day[day][city].tolist()):
                        if amount:
                            of_days += (f"{self._days.indicators[i]}@{name}", amount)
                rows += (cells, of_days)
        return rows
