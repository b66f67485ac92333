"""The totals of the scenario dti-2022, put through the engine: what its tests compare with the report."""

import csv
from functools import cache
from pathlib import Path

import numpy as np

from index.board import Board
from index.catalogue import Catalogue
from index.changes import Amounts, Changes, DayAmounts
from index.definition import Definition
from index.diff import TableKey
from index.periods import Period
from workers.scenario import Scenario, load
from workers.scenario.totals import calibration
from workers.settings import REPOSITORY

PUBLISHED = Path(__file__).parents[1] / "data" / "published"
Q = calibration("dti-2022")["quarters"]
FIRST, BEFORE, LAST = Q[0], Q[4], Q[8]  # 2020Q1, 2021Q1, 2022Q1
YEAR = "2021"
LATE_US = 1_748_750_400_000_000  # 2025: everything is closed


def published(name: str, **where: str) -> list[dict[str, str]]:
    """The rows of a published table that have these texts in these columns."""
    with (PUBLISHED / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if all(row[key] == value for key, value in where.items())]


@cache
def the_catalogue() -> Catalogue:
    return Catalogue.load(REPOSITORY / "systems" / "catalogue")


@cache
def the_scenario() -> Scenario:
    return load(the_catalogue(), "dti-2022")


@cache
def the_world(system: str) -> "World":
    return World(system, the_scenario(), the_catalogue())


class World:
    """One system, evaluated by the engine from the scenario's quarterly totals."""

    def __init__(self, system: str, scenario: Scenario, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.definition = Definition.load(REPOSITORY / "systems" / f"{system}.toml", catalogue)
        self.board = Board(self.definition, catalogue)
        self.board.apply(changes_of(scenario, catalogue))
        self.board.watermark(LATE_US)
        self.updates = {(update["entity"], update["period"]): update for update in self.board.diff().updates}
        merged = {line.code for line in catalogue.mergers}
        entities = [
            e for e in catalogue.entities if e.code not in merged and e.kind in {"city", *self.definition.groups}
        ]
        # Municipalities are cities and provinces of one name: a name means the city.
        self.codes = {e.name: e.code for e in reversed(entities)}
        self.of_kind = {
            kind: [e.code for e in entities if e.kind == kind] for kind in ("city", "province", "agglomeration")
        }

    def value(self, name: str, period: str, node: str = "index") -> float:
        """Of an entity, by name or code."""
        update = self.updates[self.codes.get(name, name), period]
        return float(update["value"] if node == "index" else update["nodes"][node])

    def growth(self, name: str, measure: str, period: str = LAST, node: str = "index") -> float:
        if node == "index":
            return float(self.updates[self.codes.get(name, name), period]["growth"][measure])
        now, then = (self.value(name, p, node) for p in (period, Period.parse(period).year_ago.name))
        return now / then - 1

    def rank(self, name: str, kind: str, period: str, node: str = "index", digits: int = 9) -> int:
        """Competition rank among the entities of a kind, at so many decimals."""
        values = {code: round(self.value(code, period, node), digits) for code in self.of_kind[kind]}
        return 1 + sum(value > values[self.codes.get(name, name)] for value in values.values())

    def growth_rank(self, name: str, kind: str) -> int:
        rates = {code: self.growth(code, "mean_yoy") for code in self.of_kind[kind]}
        return 1 + sum(rate > rates[self.codes.get(name, name)] for rate in rates.values())

    def members(self, name: str) -> list[str]:
        return list(self.catalogue.members[self.codes.get(name, name)])

    def largest(self, name: str, period: str) -> list[str]:
        """The cities of a group, the largest first."""
        return sorted(self.members(name), key=lambda code: -self.value(code, period))

    def share(self, names: list[str], whole: str, period: str = LAST) -> float:
        return sum(self.value(name, period) for name in names) / self.value(whole, period)

    def sum_yoy(self, names: list[str]) -> float:
        """Mean of the two year-over-year rates of a sum."""
        first, before, last = (sum(self.value(name, period) for name in names) for period in (FIRST, BEFORE, LAST))
        return (before / first + last / before) / 2 - 1

    def table(self, ranking: str, period: str, scope: str | None = None) -> dict[str, dict[str, float]]:
        rows = self.board.table(TableKey(ranking, period, scope))["rows"]
        return {
            entity: {"rank": rank, "value": value, "change": change}
            for entity, rank, value, change in zip(
                *(rows[k] for k in ("entity", "rank", "value", "change")), strict=True
            )
        }


def changes_of(scenario: Scenario, catalogue: Catalogue) -> Changes:
    """All totals as cells of their quarters."""
    parts = []
    for code, amounts in scenario.totals.amounts.items():
        j = catalogue.indicator_index[code]
        names = scenario.totals.industries[code] or ["all"]
        q, city, k = (place.ravel() for place in np.indices(amounts.shape))
        cities = np.array([catalogue.city_index[c] for c in scenario.frame.codes])
        industry = np.array([catalogue.industry_index[j][name] for name in names])
        parts.append(np.stack([q, cities[city], np.full(len(q), j), industry[k], amounts.ravel()]))
    period, city, indicator, industry, delta = np.concatenate(parts, axis=1)
    small = [column.astype(np.int32) for column in (period, city, indicator, industry)]
    none = [np.zeros(0, np.int32)] * 4
    empty = np.zeros(0, np.int64), np.zeros(0, np.int8)
    return Changes(
        [Period.parse(name) for name in scenario.totals.quarters],
        Amounts(*small, delta, np.ones(len(delta), np.int8)),
        Amounts(*none, *empty),
        DayAmounts(*none[:3], *empty),
    )
