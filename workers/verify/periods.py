"""Periods by name: `2023`, `2022H1`, `2023Q1`, `2020-05`; their order, predecessors, parts and first days."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

# Months of a period of each grain.
MONTHS = {"year": 12, "half": 6, "quarter": 3, "month": 1}
_NAME = re.compile(r"(\d{4})(?:H([12])|Q([1-4])|-(0[1-9]|1[0-2]))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Period:
    """The `ordinal`-th period of its grain, counted from year 0: a month's ordinal is 12 * year + month - 1."""

    grain: str
    ordinal: int

    @property
    def year(self) -> int:
        """The calendar year that it lies in."""
        return self.ordinal * MONTHS[self.grain] // 12

    @property
    def name(self) -> str:
        """Its name on the wire."""
        part = self.ordinal % (12 // MONTHS[self.grain]) + 1
        mark = {"year": "", "half": f"H{part}", "quarter": f"Q{part}", "month": f"-{part:02d}"}
        return f"{self.year:04d}{mark[self.grain]}"

    @property
    def predecessor(self) -> Period:
        """The period just before."""
        return Period(self.grain, self.ordinal - 1)

    @property
    def year_ago(self) -> Period:
        """The same period of the year before."""
        return Period(self.grain, self.ordinal - 12 // MONTHS[self.grain])

    @property
    def first_day(self) -> date:
        """Its first date. ValueError outside the years 1..9999."""
        month = self.ordinal * MONTHS[self.grain]
        return date(month // 12, month % 12 + 1, 1)

    @property
    def days(self) -> list[date]:
        """All of its dates, in order. ValueError outside the years 1..9998."""
        first, after = self.first_day, Period(self.grain, self.ordinal + 1).first_day
        return [first + timedelta(days=n) for n in range((after - first).days)]

    def within(self, grain: str) -> Period | None:
        """The period of `grain` that this one is, or is a part of; None when it is longer than those."""
        if MONTHS[grain] < MONTHS[self.grain]:
            return None
        return Period(grain, self.ordinal * MONTHS[self.grain] // MONTHS[grain])


def parse_period(name: str) -> Period | None:
    """The period of that name, or None when it is none."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    year, half, quarter, month = match.groups()
    if half:
        return Period("half", int(year) * 2 + int(half) - 1)
    if quarter:
        return Period("quarter", int(year) * 4 + int(quarter) - 1)
    if month:
        return Period("month", int(year) * 12 + int(month) - 1)
    return Period("year", int(year))
