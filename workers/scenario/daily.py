"""The scenario by day: what each city and indicator amounts to on each day, with the week, the holidays and noise.

For what looks at days and not at events (alert rules): a year in some megabytes, drawn in milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from workers.scenario.frame import Frame
from workers.scenario.rows import Scenario

Floats = NDArray[np.float64]
NOISE = 0.12  # of the logarithm of one city's amount of one indicator on one day


@dataclass(frozen=True)
class Daily:
    """`amounts` (day, city, indicator) in hundredths; day 0 is `first`. `weights`: of the indicators in the composite.

    `holiday`: level of a day of public holiday beside a working day, by indicator. `source_of` (city, indicator): the
    position in `sources` of who reports it.
    """

    first: date
    frame: Frame
    indicators: list[str]
    amounts: Floats
    weights: Floats
    holiday: Floats
    sources: list[str]
    source_of: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.amounts)

    def day(self, number: int) -> date:
        """The date of a day by its number."""
        return self.first + timedelta(days=number)

    def composite(self, amounts: Floats) -> Floats:
        """The last axis (indicators) of `amounts` weighed together; each indicator beside its national mean a day."""
        mean = self.amounts.sum(axis=1).mean(axis=0)
        together: Floats = amounts @ (self.weights / mean)
        return together


def daily(scenario: Scenario, rng: Generator, noise: float = NOISE) -> Daily:
    """All days of the scenario. Quarterly totals are the scenario's but for the noise."""
    frame, parts = scenario.frame, []
    indicators = list(scenario.totals.amounts)
    for q, quarter in enumerate(scenario.totals.quarters):
        first = date(int(quarter[:4]), int(quarter[5]) * 3 - 2, 1)
        last = date(first.year + first.month // 10, (first.month + 2) % 12 + 1, 1)
        days = (last - first).days
        shape = np.stack([scenario.shape(code, first, days) for code in indicators], axis=1)
        total = np.stack([scenario.totals.amounts[code][q].sum(axis=1) for code in indicators], axis=1)
        parts.append(total[None] * (shape / shape.sum(axis=0))[:, None])
    amounts = np.concatenate(parts)
    amounts *= np.exp(rng.normal(0, noise, amounts.shape))
    week, power = scenario.given["week"], scenario.given["holidays"]["power"]
    layers = list(scenario.given["layers"].values())
    weight = {
        code: layer["weight"] * entry["weight"] / sum(each["weight"] for each in layer["indicators"].values())
        for layer in layers
        for code, entry in layer["indicators"].items()
    }
    weights = np.array([weight[code] for code in indicators])
    families = [scenario.family(code) for code in indicators]
    return Daily(
        first=scenario.first,
        frame=frame,
        indicators=indicators,
        amounts=amounts,
        weights=weights / weights.sum(),
        holiday=np.array([week[code] ** power for code in indicators]),
        sources=scenario.sources,
        source_of=np.stack([base + scenario.region % size for base, size in families], axis=1),
    )
