"""The shipped definitions: each loads, the printed weights are in it, and together they use all that rankings offer."""

import csv
import math
from pathlib import Path

import pytest

from index.catalogue import Catalogue
from index.definition import Definition
from index.measures.table import MEASURES
from index.tree import ROOT
from workers.prepare import definition_files
from workers.settings import REPOSITORY

SYSTEMS = REPOSITORY / "systems"
PUBLISHED = Path(__file__).parents[1] / "data" / "published"
SIX = ("dti-2023", "dti-2022", "dci-2020", "dei-2023", "cluster-2023", "future-2023")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load(SYSTEMS / "catalogue")


@pytest.fixture(scope="module")
def definitions(catalogue: Catalogue) -> dict[str, Definition]:
    return {path.stem: Definition.load(path, catalogue) for path in definition_files(SYSTEMS)}


def rows(name: str) -> list[dict[str, str]]:
    with (PUBLISHED / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def children(definition: Definition, node: str) -> dict[str, float]:
    """Names of the children of a node -> their weights."""
    tree = definition.tree
    found = tree.nodes[tree.number_of[node]]
    return {tree.names[child]: weight for child, weight in zip(found.children, found.weights, strict=True)}


def test_all_six_are_there_each_in_the_file_of_its_name(definitions: dict[str, Definition]):
    assert set(SIX) <= definitions.keys()
    assert all(definition.system == name for name, definition in definitions.items())


def test_weights_of_siblings_sum_to_one(definitions: dict[str, Definition]):
    for name, definition in definitions.items():
        for node in definition.tree.nodes:
            if node.children:
                assert math.isclose(math.fsum(node.weights), 1, abs_tol=1e-9), (name, node.name)


def test_every_measure_is_used_by_some_system(definitions: dict[str, Definition]):
    used = {ranking.measure for definition in definitions.values() for ranking in definition.rankings}
    assert MEASURES.keys() - used == set()


def test_every_indicator_is_used_by_some_system(definitions: dict[str, Definition], catalogue: Catalogue):
    text = "".join(definition.text for definition in definitions.values())
    assert [i.code for i in catalogue.indicators if f'"{i.code}"' not in text] == []


def test_dei_tree_has_the_printed_indicators_and_weights(definitions: dict[str, Definition], catalogue: Catalogue):
    definition = definitions["dei-2023"]
    dimensions = children(definition, ROOT)
    second = {name: children(definition, name) for name in dimensions}
    assert (len(dimensions), sum(map(len, second.values())), len(definition.tree.sources)) == (5, 15, 54)
    leaves = {
        leaf: (w1, w2, w3)
        for one, w1 in dimensions.items()
        for two, w2 in second[one].items()
        for leaf, w3 in children(definition, two).items()
    }
    printed = rows("dei_2023_weights.csv")
    named = {indicator.code: indicator.name for indicator in catalogue.indicators}
    assert [named[leaf] for leaf in leaves] == [row["level3"] for row in printed], "in the order of the table"
    for (leaf, weights), row in zip(leaves.items(), printed, strict=True):
        wanted = tuple(float(row[key]) for key in ("weight1", "weight2", "weight3_norm"))
        assert weights == pytest.approx(wanted, abs=1e-12), leaf
        assert math.prod(weights) == pytest.approx(float(row["weight_global"]), abs=1e-12), leaf
    assert math.fsum(math.prod(weights) for weights in leaves.values()) == pytest.approx(1, abs=1e-12)


def test_dei_grades_are_the_printed_tiers(definitions: dict[str, Definition]):
    found = [(grade.title.split(" · ")[0], grade.at_least) for grade in definitions["dei-2023"].grades]
    wanted = [(r["tier"], float(r["min_score"]) if r["min_score"] else None) for r in rows("dei_2023_tiers.csv")]
    assert found == wanted


@pytest.mark.parametrize("edition", ["dti-2023", "dti-2022"])
def test_dti_has_the_three_layers_and_the_three_key_indicators(definitions: dict[str, Definition], edition: str):
    assert list(children(definitions[edition], ROOT)) == ["infrastructure", "platform", "application"]
    industries = definitions[f"{edition}-industries"]
    assert {source.indicator for source in industries.tree.sources} == {"dti.cloud", "dti.ai", "dti.rnd"}
    assert len(industries.tree.industry_nodes) == 12, "each industry is in exactly one class"
    assert (industries.base, industries.mean_yoy_from) == (
        definitions[edition].base,
        definitions[edition].mean_yoy_from,
    )


def test_dti_2023_indicators_are_the_printed_ones(definitions: dict[str, Definition], catalogue: Catalogue):
    named = {indicator.code: indicator.name for indicator in catalogue.indicators}
    printed = [
        row
        for row in rows("index_structure.csv")
        if row["seed"] == "dti-2023" and row["component_en"] != "industry indicators"
    ]
    found = [named[source.indicator] for source in definitions["dti-2023"].tree.sources]
    assert found == [row["subcomponent"] for row in printed]


def test_dci_has_four_boards_and_the_industry_board_the_weight_that_the_printed_figures_imply(
    definitions: dict[str, Definition],
):
    boards = children(definitions["dci-2020"], ROOT)
    assert list(boards) == ["industry", "culture", "government", "life"]
    facts = {row["id"]: float(row["value"]) for row in rows("published_facts.csv") if row["seed"] == "dci-2020"}
    rise = facts["dci-2020-004"] - facts["dci-2020-004"] / (1 + facts["dci-2020-005"])
    part = boards["industry"] * facts["dci-2020-008"] / rise
    assert part == pytest.approx(facts["dci-2020-012"], abs=0.01), "about 70 %, taken for 2019"


def test_dci_scale_joins_the_printed_level_and_the_printed_growth(definitions: dict[str, Definition]):
    definition = definitions["dci-2020"]
    facts = {row["id"]: float(row["value"]) for row in rows("published_facts.csv") if row["seed"] == "dci-2020"}
    years = 2019 - definition.base.year
    growth = (facts["dci-2020-004"] / definition.scale) ** (1 / years) - 1
    assert round(growth, 3) == facts["dci-2020-006"]


def test_dci_segments_and_cloud_industries_stand_in_exactly_one_class(
    definitions: dict[str, Definition], catalogue: Catalogue
):
    tree = definitions["dci-2020"].tree
    nodes = [tree.names[number] for number in tree.industry_nodes]
    wanted = [i.code for i in catalogue.industries if i.set.startswith("dci")]
    assert sorted(nodes) == sorted(wanted)


def test_dci_fastest_cloud_industries_are_traditional_where_the_report_says_so(
    definitions: dict[str, Definition], catalogue: Catalogue
):
    fastest = {row["industry"] for row in rows("dci_2020_cloud_industry_growth_rank.csv")}
    names = {i.code: i.name for i in catalogue.industries if i.set == "dci-cloud"}
    traditional = {names[code] for code in children(definitions["dci-2020"], "traditional")}
    assert len(fastest & traditional) == 8


def test_cluster_has_six_factors_and_future_four_dimensions_over_six_fields(definitions: dict[str, Definition]):
    assert len(children(definitions["cluster-2023"], "factors")) == 6
    future = definitions["future-2023"]
    assert list(children(future, ROOT)) == ["concentration", "activity", "growth", "diversity"]
    assert len(children(future, "concentration")) == 6
