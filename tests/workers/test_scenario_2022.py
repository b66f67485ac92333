"""The scenario dti-2022 against the tables of the report DTI-2022: its totals, put through the engine with
systems/dti-2022.toml and its sister of industries, give all seven tables of cities and both tables of industries.

What the play sends adds up to these totals to the last unit (test_scenario_play.py), whatever its seed and density.
What the text of the report states is in test_scenario_2022_facts.py.
"""

from collections import Counter

import numpy as np
import pytest

from index.catalogue import Catalogue
from index.definition import Definition
from tests.workers.scenario_engine import LAST, YEAR, World, published, the_catalogue, the_scenario, the_world
from workers.scenario import Scenario, load
from workers.scenario.ranked import printed_tables
from workers.scenario.totals import calibration
from workers.settings import REPOSITORY

CLUSTERS = published("dti_2022_clusters")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return the_catalogue()


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return the_scenario()


@pytest.fixture(scope="module")
def world() -> World:
    return the_world("dti-2022")


@pytest.fixture(scope="module")
def industries() -> World:
    return the_world("dti-2022-industries")


# The seven tables: 134 rows.


def test_the_copy_is_the_published_table() -> None:
    assert [row for rows in printed_tables().values() for row in rows] == CLUSTERS
    assert len(CLUSTERS) == 134


@pytest.mark.parametrize("row", CLUSTERS, ids=lambda row: row["city_code"])
def test_printed_row(world: World, row: dict[str, str]) -> None:
    """Both ranks, the change, the growth to its printed digit, and the rank by growth.

    Misprints as tests/data/published/README.md lists them: `rank_prev_implied` stands for the six ranks of Chengyu that
    contradict the printed changes (7), tables under another heading are those of the cities they hold (8).
    """
    scope, city = world.codes[row["agglomeration"]], row["city_code"]
    before = world.table("cities-in-agglomeration", YEAR, scope)[city]["rank"]
    now = world.table("cities-in-agglomeration", LAST, scope)[city]["rank"]
    growth = world.table("cities-in-agglomeration-mean-growth", LAST, scope)[city]
    assert before == int(row["rank_prev_implied"])
    assert now == int(row["rank_now"])
    assert before - now == int(row["rank_change"])
    assert f"{growth['value']:.3f}" == f"{float(row['yoy']):.3f}"
    assert growth["rank"] == int(row["yoy_rank"])


def test_printed_changes_agree_with_the_previous_ranks_but_for_six_of_chengyu(world: World) -> None:
    different = [row["city"] for row in CLUSTERS if row["rank_prev"] != row["rank_prev_implied"]]
    assert len(different) == 6
    assert {row["agglomeration"] for row in CLUSTERS if row["city"] in different} == {"成渝"}


def test_growths_stand_well_inside_their_printed_digit(world: World) -> None:
    """So that no rounding of amounts to whole units can move one."""
    for row in CLUSTERS:
        assert abs(world.growth(row["city_code"], "mean_yoy") - float(row["yoy"])) < 2e-4


# Industries.

CODES = {"工业": "manufacturing", "文体娱": "culture", "电商": "ecommerce", "行业工具": "tools", "金融": "finance",
         "零售": "retail", "医疗": "healthcare"}  # fmt: skip


@pytest.mark.parametrize("measure", ["share", "growth"])
@pytest.mark.parametrize("industry", CODES)
def test_first_ten_provinces_of_an_industry(industries: World, industry: str, measure: str) -> None:
    """By part of the province's whole in 2022Q1, and by mean growth: all ten as printed."""
    table = industries.table(f"provinces-{CODES[industry]}-{measure}", LAST)
    rows = published("dti_industries", report="dti-2022", industry=industry, measure=measure)
    assert len(rows) == 10
    assert {row["province"]: table[f"province:{row['province_code']}"]["rank"] for row in rows} == {
        row["province"]: int(row["rank"]) for row in rows
    }


def test_first_three_industries_of_each_agglomeration(industries: World) -> None:
    more = {"文化体育娱乐": "culture", "生活互联": "life", "房地产": "realestate", "交通": "transport", "游戏": "games"}
    rows = published("dti_cluster_industries", report="dti-2022")
    assert len(rows) == 33
    for row in rows:
        table = industries.table("industries-in-agglomeration", LAST, industries.codes[row["agglomeration"]])
        assert table[(CODES | more)[row["industry"]]]["rank"] == int(row["position"]), row


# The construction.


def test_weights_are_those_of_the_systems(catalogue: Catalogue) -> None:
    """The calibration holds the weights a second time; should a definition's change, this says so."""
    given = calibration("dti-2022")
    tree = Definition.load(REPOSITORY / "systems" / "dti-2022.toml", catalogue).tree
    nodes = {node.name: node for node in tree.nodes}
    layers = given["layers"]
    whole = sum(layer["weight"] for layer in layers.values())
    assert [nodes["index"].weights[i] for i in range(3)] == [layer["weight"] / whole for layer in layers.values()]
    for name, layer in layers.items():
        inner = [entry["weight"] for entry in layer["indicators"].values()]
        assert [tree.nodes[child].name for child in nodes[name].children] == list(layer["indicators"])
        assert list(nodes[name].weights) == [weight / sum(inner) for weight in inner]
    view = Definition.load(REPOSITORY / "systems" / "dti-2022-industries.toml", catalogue).tree
    finance = next(node for node in view.nodes if node.name == "finance")
    key = given["industries"]["key"]
    assert [view.nodes[child].name for child in finance.children] == [f"{code}/finance" for code in key]
    assert list(finance.weights) == [weight / sum(key.values()) for weight in key.values()]


def test_totals_leave_room_for_the_cell_limit(scenario: Scenario, catalogue: Catalogue) -> None:
    for amounts in scenario.totals.amounts.values():
        assert amounts.dtype == np.int64
        assert amounts.min() > 0
        assert amounts.sum(axis=2).max() < catalogue.limits.cell / 10


def test_totals_are_the_same_whenever_they_are_made(scenario: Scenario, catalogue: Catalogue) -> None:
    again = load(catalogue, "dti-2022")
    for code, amounts in scenario.totals.amounts.items():
        assert (again.totals.amounts[code] == amounts).all()
    assert (again.side.rows.amount == scenario.side.rows.amount).all()


@pytest.mark.parametrize("density", [0.03, 0.5])
@pytest.mark.parametrize("seed", [1, 2])
def test_totals_of_a_play_depend_on_neither_seed_nor_density(scenario: Scenario, seed: int, density: float) -> None:
    """Rows of a quarter, for some cities, before anything goes wrong with them."""
    cities = np.array([0, 50, 200])
    rows = scenario.quarter(3, density, cities, np.random.default_rng(seed))
    sums: Counter[tuple[int, int]] = Counter()
    for city, what, amount in zip(rows.city.tolist(), rows.what.tolist(), rows.amount.tolist(), strict=True):
        sums[city, what] += amount
    for what, (code, industry) in enumerate(scenario.daily_whats):
        names = scenario.totals.industries[code]
        column = names.index(industry) if industry else 0
        for city in cities.tolist():
            assert sums[city, what] == scenario.totals.amounts[code][3, city, column]
