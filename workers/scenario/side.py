"""Side streams: whole-period figures of the other systems, so that all of them have data while one scenario is played.

Made up: an amount is the nation's, shared by the size of a city; a score rises with it; both with noise. Each event
names its period, as sources do that report by year, half or month, and is sent soon after the period's end (of periods
before the scenario: one after the other in its first weeks). Cities that were merged report until their merger.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.random import Generator, default_rng

from index.catalogue import Catalogue, Indicator
from index.periods import Period
from workers.scenario.columns import DAY_S, EPOCH, NORMAL, Rows
from workers.scenario.fit import Floats
from workers.scenario.frame import Frame, Ints

EPOCH_YEAR = 2019  # the year in which national totals and mean scores are stated
LAG_DAYS, SPAN_DAYS = 10, 20  # after a period's end the first event, and over how many days all of them
OLD_DAYS = 8  # periods before the scenario: each takes so many days, in their order
MERGED_SIZE = 0.0015  # of a merged city, as a part of the nation


@dataclass(frozen=True)
class Side:
    """`whats`: (indicator, industry), operation, decimals. `merged`: codes behind those of the frame.

    In `rows`, `what`, `source` and `period` are positions in the lists here; amounts are in units of 10^-decimals.
    """

    whats: list[tuple[tuple[str, str | None], str, int]]
    sources: list[str]
    periods: list[str]
    merged: list[str]
    rows: Rows

    @classmethod
    def none(cls) -> Side:
        """No side streams."""
        return cls([], [], [], [], Rows.empty())


def side_streams(given: dict[str, Any], catalogue: Catalogue, frame: Frame, sizes: Floats, first: date) -> Side:
    """The side streams of a calibration (its list `side`).

    `sizes` (city): any measure of size; `first`: the scenario's first day. Raises KeyError for an indicator that the
    catalogue lacks.
    """
    maker = _Maker(catalogue, frame, sizes / sizes.sum(), first, default_rng(given["noise_seed"]))
    parts = [maker.stream(entry, name) for entry in given["side"] for name in _indicators(entry, catalogue)]
    rows = Rows.join(parts)
    order = np.argsort(rows.emit, kind="stable")
    return Side(maker.whats, maker.sources, maker.periods, maker.merged, rows.take(order))


@dataclass(frozen=True)
class _Shape:
    """Of an indicator: its first place in `whats`; factors by (city, industry), by industry, and drifts by city."""

    what: int
    own: Floats
    mix: Floats
    lead: Floats


class _Maker:
    """Collects the lists of a `Side` while its streams are made."""

    def __init__(self, catalogue: Catalogue, frame: Frame, sizes: Floats, first: date, rng: Generator) -> None:
        self.catalogue, self.frame, self.first, self.rng = catalogue, frame, first, rng
        self.merged = [line.code for line in catalogue.mergers]
        self.until = [date.fromisoformat(f"{line.month}-01") for line in catalogue.mergers]
        self.sizes = np.concatenate([sizes, np.full(len(self.merged), MERGED_SIZE)])
        self.order = np.argsort(-sizes, kind="stable")
        self.whats: list[tuple[tuple[str, str | None], str, int]] = []
        self.sources: list[str] = []
        self.periods: list[str] = []
        self.made: dict[str, _Shape] = {}

    def stream(self, entry: dict[str, Any], name: str) -> Rows:
        """All events of one indicator."""
        indicator = self.catalogue.indicators[self.catalogue.indicator_index[name]]
        shape = self.made.get(name) or self._shape(indicator)
        source = _position(self.sources, entry["source"])
        parts = []
        for which in entry["periods"]:
            period = Period.parse(which)
            cities = self._cities(entry, period)
            amount = self._amounts(entry, indicator, period, shape)[cities]
            columns = shape.own.shape[1]
            city, what = np.repeat(cities, columns), np.tile(np.arange(columns), len(cities)) + shape.what
            same = np.ones(len(city), dtype=np.int64)
            at = self._times(entry, period, len(city))
            number = same * _position(self.periods, which)
            parts.append(Rows(city, what, same * source, amount.ravel(), at, at, number, same * NORMAL))
        return Rows.join(parts)

    def _shape(self, indicator: Indicator) -> _Shape:
        """What stays the same in all periods of an indicator; takes its places in `whats`."""
        codes = self.catalogue.industry_codes[self.catalogue.indicator_index[indicator.code]]
        names = list(codes) if indicator.industries else [None]
        what = len(self.whats)
        op = "add" if indicator.kind == "flow" else "set"
        self.whats += [((indicator.code, industry), op, indicator.decimals) for industry in names]
        own = np.exp(self.rng.normal(0, 0.25, (len(self.sizes), len(names))))
        mix = np.exp(self.rng.normal(0, 0.5, len(names)))
        lead = self.rng.normal(0, 0.25, (len(self.sizes), 1))
        self.made[indicator.code] = _Shape(what, own, mix, lead)
        return self.made[indicator.code]

    def _cities(self, entry: dict[str, Any], period: Period) -> Ints:
        """Positions of the cities that report `period`."""
        if "group_kind" in entry:
            chosen = np.unique(np.concatenate([self.frame.groups[g] for g in self.frame.kinds[entry["group_kind"]]]))
        else:
            chosen = np.sort(self.order[entry.get("after", 0) : entry.get("cities")])
        first = _day(period.first_day())
        merged = [len(self.frame.codes) + i for i, until in enumerate(self.until) if first < until]
        return np.concatenate([chosen, np.array(merged if entry.get("merged") else [], dtype=np.int64)])

    def _amounts(self, entry: dict[str, Any], indicator: Indicator, period: Period, shape: _Shape) -> Ints:
        """Units of 10^-decimals (city, industry)."""
        years = period.year - EPOCH_YEAR
        noise = self.rng.normal(0, 1, shape.own.shape)
        if entry["form"] == "score":
            z = np.log(self.sizes)
            z = (z - z.mean()) / z.std()
            level = entry["mean"] + entry["spread"] * (z[:, None] + shape.lead * 2) + entry["rise"] * years + 2 * noise
            return np.rint(np.clip(level, 5, 99) * 10**indicator.decimals).astype(np.int64)
        total = entry["total"][indicator.code] * (1 + entry["rise"]) ** years * 10**indicator.decimals
        if indicator.kind == "flow":
            total /= period.grain.per_year
        share = (self.sizes ** entry.get("power", 1.0))[:, None] * shape.own * shape.mix
        # Cities gain and lose beside the nation from year to year.
        share = share * np.exp(0.3 * shape.lead * years + 0.03 * noise)
        amount = np.rint(total * share / share.sum())
        if entry["form"] == "net":  # what may be below zero
            return np.rint(amount * (1 + 0.8 * noise)).astype(np.int64)
        return np.maximum(amount, 1).astype(np.int64)

    def _times(self, entry: dict[str, Any], period: Period, count: int) -> Ints:
        """Local seconds since 1970 at which `count` events of the period are written and sent."""
        start, span = _day(period.successor.first_day()) + timedelta(days=LAG_DAYS), SPAN_DAYS
        if start < self.first:
            older = sorted(map(Period.parse, entry["periods"]), key=lambda p: p.successor.first_day())
            start, span = self.first + timedelta(days=3 + OLD_DAYS * older.index(period)), OLD_DAYS
        midnight = (start - EPOCH).days * DAY_S
        return midnight + self.rng.integers(0, span, count) * DAY_S + self.rng.integers(8 * 3600, 20 * 3600, count)


def _indicators(entry: dict[str, Any], catalogue: Catalogue) -> list[str]:
    """The indicators of an entry: those named, or all of its families."""
    families = entry.get("families", [])
    return entry.get("indicators", []) + [i.code for i in catalogue.indicators if i.code.split(".")[0] in families]


def _position(names: list[str], name: str) -> int:
    """Where `name` stands in `names`; put at the end where it does not."""
    if name not in names:
        names.append(name)
    return names.index(name)


def _day(epoch_day: int) -> date:
    return EPOCH + timedelta(days=epoch_day)
