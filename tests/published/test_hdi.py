"""A Human-Development-style index on data of our own making, against a plain numpy recomputation.

The formula as the UNDP publishes it (technical note 1 of the Human Development Reports): goalposts 20 to 85 years of
life, 0 to 18 expected and 0 to 15 mean years of schooling, 100 to 75,000 dollars of income, the income's logarithm, no
dimension above 1, the arithmetic mean inside education, the geometric mean of the three dimensions.
"""

from __future__ import annotations

import random

import numpy as np
import pytest

from index.catalogue import Catalogue, Entity, Indicator, Limits
from tests.published.play import Player

SEED = 1990
COUNTRIES = [f"c{number:02d}" for number in range(1, 41)]
YEARS = ["2021", "2022"]
REGIONS = {"region:north": tuple(COUNTRIES[:15]), "region:south": tuple(COUNTRIES[15:])}
COLUMNS = ["hd.life", "hd.expected", "hd.mean", "hd.income"]
DEFINITION = """
system = "hdi"
version = 1
title = "Human development"
scale = 1
grains = ["year"]
groups = ["region"]
group_rule = "mean"
normalise = "min-max"

[tree]
children = ["hd.life", "education", "hd.income"]
weights = [0.3333333333333333, 0.3333333333333333, 0.3333333333333334]
aggregate = "geometric"
[tree.education]
children = ["hd.expected", "hd.mean"]
weights = [0.5, 0.5]

[indicator."hd.life"]
goalposts = [20.0, 85.0]
cap = 85.0
[indicator."hd.expected"]
goalposts = [0.0, 18.0]
cap = 18.0
[indicator."hd.mean"]
goalposts = [0.0, 15.0]
cap = 15.0
[indicator."hd.income"]
transform = "log"
goalposts = [100.0, 75000.0]
cap = 75000.0

[[ranking]]
name = "countries"
rows = "country"
measure = "value"
rank_decimals = 3
[[ranking]]
name = "countries-growth"
rows = "country"
measure = "pop"
[[ranking]]
name = "regions"
rows = "region"
measure = "value"
"""


def catalogue() -> Catalogue:
    return Catalogue(
        name="countries", version=1, timezone="UTC", base_kind="country", years=(2000, 2030), limits=Limits(),
        entities=(*(Entity(c, "country", c) for c in COUNTRIES), *(Entity(r, "region", r) for r in REGIONS)),
        members=REGIONS,
        indicators=tuple(Indicator(c, c, c, "stock", "", 2, "") for c in COLUMNS),
    ).checked("countries")  # fmt: skip


def made(year: str) -> np.ndarray:
    """countries x (life, expected, mean, income), to two decimals; some lie beyond the caps."""
    chance = random.Random(f"{SEED} {year}")
    rows = []
    for number in range(len(COUNTRIES)):
        at = (number + chance.random()) / len(COUNTRIES)
        rows.append([45 + 42 * at, 4 + 18 * at, 1 + 15 * chance.random(), 300 * 500 ** (at + 0.1 * chance.random())])
    return np.round(np.array(rows), 2)


def hdi(data: np.ndarray) -> np.ndarray:
    """The formula, written down once more."""
    life, expected, mean, income = data.T
    health = np.minimum((life - 20) / 65, 1)
    education = (np.minimum(expected / 18, 1) + np.minimum(mean / 15, 1)) / 2
    wealth = np.minimum((np.log(income) - np.log(100)) / (np.log(75000) - np.log(100)), 1)
    return np.asarray((health * education * wealth) ** (1 / 3))


@pytest.fixture(scope="module")
def player() -> Player:
    print(f"seed {SEED}")
    play = Player(DEFINITION, catalogue())
    for year in YEARS:
        for country, row in zip(COUNTRIES, made(year), strict=True):
            for column, value in zip(COLUMNS, row, strict=True):
                play.give(column, country, year, float(value))
        assert play.board  # each year is a revision of its own
    return play


def test_data_reach_the_caps() -> None:
    for year in YEARS:
        assert (made(year) > [85, 18, 15, 75000]).any(axis=0).all()
        assert (made(year) < [85, 18, 15, 75000]).any(axis=0).all()


@pytest.mark.parametrize("year", YEARS)
def test_values(player: Player, year: str) -> None:
    for country, expected in zip(COUNTRIES, hdi(made(year)), strict=True):
        assert player.value(country, year) == pytest.approx(expected, rel=1e-12), country


@pytest.mark.parametrize("year", YEARS)
def test_ranks_at_the_published_precision(player: Player, year: str) -> None:
    rounded = np.rint(hdi(made(year)) * 1000)
    table = player.table("countries", year)
    for country, mine in zip(COUNTRIES, rounded, strict=True):
        assert table[country].rank == 1 + int((rounded > mine).sum()), country


def test_growth_and_changes(player: Player) -> None:
    before, now = (hdi(made(year)) for year in YEARS)
    table, ranks = player.table("countries-growth", "2022"), player.table("countries", "2022")
    earlier = player.table("countries", "2021")
    for number, country in enumerate(COUNTRIES):
        assert table[country].value == pytest.approx(now[number] / before[number] - 1, abs=1e-12)
        assert ranks[country].change == earlier[country].rank - ranks[country].rank
    assert any(row.change for row in ranks.values())


def test_a_region_is_the_mean_of_its_countries(player: Player) -> None:
    for region, members in REGIONS.items():
        mean = np.mean([player.value(country, "2022") for country in members])
        assert player.value(region, "2022") == pytest.approx(mean, rel=1e-12)


def test_nothing_below_zero_in_a_geometric_mean() -> None:
    """A life shorter than the lower goalpost, no income, no datum: each is missing with its reason, never NaN."""
    play = Player(DEFINITION, catalogue())
    rows = {
        "c01": [19.0, 10.0, 10.0, 5000.0],
        "c02": [60.0, 10.0, 10.0, 0.0],
        "c03": [60.0, 10.0, 10.0, None],
        "c04": [60.0, 10.0, 10.0, 5000.0],
    }
    for country, row in rows.items():
        for column, value in zip(COLUMNS, row, strict=True):
            if value is not None:
                play.give(column, country, "2022", value)
    reasons = {country: play.update(country, "2022")["why"].get("value") for country in rows}
    assert reasons == {"c01": "not-positive", "c02": "not-positive", "c03": "no-data", "c04": None}
    assert list(play.table("countries", "2022")) == ["c04"]
