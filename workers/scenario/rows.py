"""A quarter of the scenario as columns: one row per event; the amounts add up to the quarter's totals to the last unit.

Days of one (city, indicator, industry) are spread evenly over the quarter, their amounts follow the week, the holidays
and some noise, and are rounded cumulatively: so the sum is exact without a remainder to place.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import cached_property
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from index.catalogue import Catalogue
from workers.scenario.columns import CLOSING, DAY_S, EPOCH, NORMAL, Rows
from workers.scenario.frame import Frame, Ints
from workers.scenario.ranked_totals import ranked_totals
from workers.scenario.side import Side, side_streams
from workers.scenario.totals import Totals, calibration, totals


class Scenario:
    """Totals by quarter, who reports them and how a week looks; immutable, without any randomness of a play.

    Beside the totals, which are played day by day, a scenario may have side streams (side.py).
    """

    def __init__(self, given: dict[str, Any], all_totals: Totals, side: Side | None = None) -> None:
        """From a calibration (see dti2023.toml) and the totals made from it."""
        self.given = given
        self.totals = all_totals
        self.side = side or Side.none()
        self.name: str = given["name"]
        self.first = _quarter_start(all_totals.quarters[0])
        self.last = _quarter_end(all_totals.quarters[-1])

    @property
    def frame(self) -> Frame:
        """Its cities and groups."""
        return self.totals.frame

    @cached_property
    def codes(self) -> list[str]:
        """Codes of all cities by position: those of the frame, then merged ones that only side streams speak of."""
        return self.frame.codes + self.side.merged

    @cached_property
    def daily_whats(self) -> list[tuple[str, str | None]]:
        """Every (indicator, industry) that is played day by day; None where the indicator has no industries."""
        return [(code, industry) for code, names in self.totals.industries.items() for industry in (names or [None])]

    @cached_property
    def whats(self) -> list[tuple[str, str | None]]:
        """Every (indicator, industry): the daily ones, then those of the side streams."""
        return self.daily_whats + [what for what, _, _ in self.side.whats]

    @cached_property
    def ops(self) -> list[str]:
        """`add` or `set`, of each of `whats`."""
        return ["add"] * len(self.daily_whats) + [op for _, op, _ in self.side.whats]

    @cached_property
    def decimals(self) -> list[int]:
        """Decimals of the indicator, of each of `whats`; the daily ones have 2."""
        return [2] * len(self.daily_whats) + [places for _, _, places in self.side.whats]

    @cached_property
    def periods(self) -> list[str]:
        """Periods that an event may name, by position."""
        return self.totals.quarters + self.side.periods

    @cached_property
    def sources(self) -> list[str]:
        """Names of all sources, by position."""
        return [name for family in self.given["sources"].values() for name in family["names"]] + self.side.sources

    @cached_property
    def utc(self) -> NDArray[np.bool_]:
        """Which sources write times in UTC."""
        daily = [family.get("utc", False) for family in self.given["sources"].values() for _ in family["names"]]
        return np.array(daily + [False] * len(self.side.sources))

    def side_rows(self) -> Rows:
        """The rows of the side streams in the order of sending."""
        daily = len(self.sources) - len(self.side.sources)
        rows = self.side.rows
        return rows.but(
            what=rows.what + len(self.daily_whats),
            source=rows.source + daily,
            period=rows.period + len(self.totals.quarters),
        )

    @cached_property
    def reports(self) -> NDArray[np.float64]:
        """How often each city reports, beside an ordinary one."""
        often = np.ones(len(self.frame.codes))
        for tier, factor in self.given["reports"].items():
            often[self.frame.groups[tier]] = factor
        return often

    @cached_property
    def region(self) -> Ints:
        """0 east, 1 centre, 2 west, of each city."""
        where = np.zeros(len(self.frame.codes), dtype=np.int64)
        for i, region in enumerate(("east", "central", "west")):
            where[self.frame.groups[f"region3:{region}"]] = i
        return where

    def family(self, indicator: str) -> tuple[int, int]:
        """Position of the first source of the indicator's family, and how many it has. Raises KeyError."""
        start = 0
        for family in self.given["sources"].values():
            if indicator in family["indicators"]:
                return start, len(family["names"])
            start += len(family["names"])
        raise KeyError(indicator)

    def shape(self, indicator: str, first: date, days: int) -> NDArray[np.float64]:
        """Level of each day (working day: 1)."""
        level = np.ones(days)
        weekend = self.given["week"][indicator]
        spans = [tuple(map(date.fromisoformat, span)) for span in self.given["holidays"]["days"]]
        for i in range(days):
            day = first + timedelta(days=i)
            if day.weekday() >= 5:
                level[i] = weekend
            if any(start <= day <= end for start, end in spans):
                level[i] *= weekend ** self.given["holidays"]["power"]
        return level

    def quarter(self, q: int, density: float, cities: Ints, rng: Generator) -> Rows:
        """Rows of quarter `q` of `cities` (positions), in no order.

        `density`: reports a day of an ordinary city and indicator; every (city, indicator, industry) gets at least one
        row a quarter. Amounts sum exactly to `totals.amounts[indicator][q, city]`.
        """
        first = _quarter_start(self.totals.quarters[q])
        days = (_quarter_end(self.totals.quarters[q]) - first).days + 1
        midnight = (first - EPOCH).days * DAY_S
        parts, what = [], 0
        for code, amounts in self.totals.amounts.items():
            target = amounts[q][cities]
            share = target / target.sum(axis=1, keepdims=True)
            rows = np.maximum(1, np.rint(density * days * self.reports[cities][:, None] * share)).astype(np.int64)
            count = rows.ravel()
            group = np.repeat(np.arange(len(count)), count)
            start = np.cumsum(count) - count
            i = np.arange(len(group)) - start[group]
            day = ((i + rng.random(len(count))[group]) / count[group] * days).astype(np.int64)
            weight = self.shape(code, first, days)[day] * np.exp(rng.normal(0, 0.12, len(group)))
            at = midnight + day * DAY_S + rng.integers(6 * 3600, DAY_S, len(group))
            city = cities[group // target.shape[1]]
            base, size = self.family(code)
            spread = np.where(self.reports[city] > 1, rng.integers(0, size, len(group)), self.region[city] % size)
            parts.append(
                Rows(
                    city=city,
                    what=what + group % target.shape[1],
                    source=base + spread,
                    amount=_split(target.ravel(), weight, group, start, count),
                    at=at,
                    emit=at,
                    period=np.full(len(group), -1),
                    kind=np.full(len(group), NORMAL),
                )
            )
            what += target.shape[1]
        return Rows.join(parts)

    def closing(self, day: date, quarter: int, cities: Ints) -> Rows:
        """A statement of 0 on `quarter` for each city, sent on `day`: it moves the watermarks past its end."""
        at = np.full(len(cities), (day - EPOCH).days * DAY_S + 9 * 3600) + np.arange(len(cities))
        families = list(self.given["sources"].values())
        what, source = [], []
        for i, city in enumerate(cities.tolist()):
            family = families[i % len(families)]
            base, size = self.family(family["indicators"][0])
            what.append(next(w for w, (code, _) in enumerate(self.daily_whats) if code == family["indicators"][0]))
            source.append(base + int(self.region[city]) % size)
        same = np.ones(len(cities), dtype=np.int64)
        return Rows(cities, np.array(what), np.array(source), same * 0, at, at, same * quarter, same * CLOSING)


def _split(target: Ints, weight: NDArray[np.float64], group: Ints, start: Ints, count: Ints) -> Ints:
    """`target[g]` split over the rows of group g in proportion to `weight`; each group sums exactly."""
    running = np.cumsum(weight)
    before = (running[start] - weight[start])[group]
    reached = np.rint((running - before) / (running[start + count - 1] - before[start])[group] * target[group])
    last = start + count - 1
    reached[last] = target
    amount = np.diff(reached, prepend=0.0)
    amount[start] = reached[start]
    return amount.astype(np.int64)


def _quarter_start(quarter: str) -> date:
    return date(int(quarter[:4]), int(quarter[5]) * 3 - 2, 1)


def _quarter_end(quarter: str) -> date:
    year, number = int(quarter[:4]), int(quarter[5])
    return date(year + number // 4, number % 4 * 3 + 1, 1) - timedelta(days=1)


def load(catalogue: Catalogue, name: str = "dti-2023") -> Scenario:
    """The scenario of that name. Raises ValueError for an unknown name, KeyError for a city not in the catalogue."""
    given = calibration(name)
    frame = Frame.of(catalogue)
    made = (ranked_totals if "tables" in given else totals)(frame, given)
    if "side" not in given:
        return Scenario(given, made)
    sizes = sum(amounts[-1].sum(axis=1) / amounts[-1].sum() for amounts in made.amounts.values())
    return Scenario(given, made, side_streams(given, catalogue, frame, sizes, _quarter_start(made.quarters[0])))
