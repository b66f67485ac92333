"""Declarations of rankings: what is read, and every way to get one wrong, with its key and its reason."""

from __future__ import annotations

from typing import Any

import pytest

from index.definition import Definition
from index.errors import DefinitionError
from index.measures.table import MEASURES
from index.periods import Period
from index.rankings import Ranking
from tests.index.measures_world import TREE_TOML, text
from tests.index.worlds import catalogue

GEOMETRIC = """
[tree]
children = ["deep", "ai"]
weights = [0.5, 0.5]
aggregate = "geometric"
[tree.deep]
children = ["pay", "users"]
weights = [0.7, 0.3]
"""


def read(tree: str = TREE_TOML, **keys: Any) -> Ranking:
    ranking = {k.rstrip("_"): v for k, v in ({"name": "r", "rows": "city", "measure": "value"} | keys).items()}
    return Definition.parse(text([ranking], tree=tree), catalogue(), "file.toml").rankings[0]


def test_what_is_read() -> None:
    r = read(rows="nodes", nodes="industries", scope="city", measure="times_in_first", from_="2021Q1", first=3,
             grains=["quarter"], order="rising", rank_decimals=1)  # fmt: skip
    assert (r.nodes, r.scope, r.since, r.first, r.rising) == (
        ("retail", "food"),
        "city",
        Period.parse("2021Q1"),
        3,
        True,
    )
    assert read(rows="nodes", nodes="children", node="digital", scope="prov").nodes == ("pay", "users")
    assert read(rows="nodes", nodes=["food", "ai"], scope="prov").nodes == ("food", "ai")
    r = read(rows="prov", measure="members_above", threshold="mean", of="yoy")
    assert (r.threshold, r.of, r.node, r.plain) == (None, "yoy", "index", False)
    assert read(rows="prov", measure="members_above", threshold=-1).threshold == -1.0
    r = read(measure="both_high", size="node_share", other="digital", node="pay")
    assert (r.size, r.other, r.first, r.over) == ("node_share", "digital", 10, "pop")
    assert read(rows="grades", measure="grade_growth", over="yoy", scope="circle").over == "yoy"
    assert [read(measure=m).plain for m in ("value", "growth", "share", "rise")] == [True, True, True, False]
    assert not read(rows="nodes", nodes="children", scope="city").plain


NODES: dict[str, Any] = {"rows": "nodes", "nodes": ["ai"], "scope": "city"}
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"measure": "size"}, "measure", "known are value, pop"),
    ({"from_": "2021Q1"}, "from", "value takes none; it takes no parameter"),
    ({"measure": "rise", "first": 3}, "first", "rise takes none; it takes over"),
    ({"measure": "span_sum", "grains": ["quarter"]}, "from", "is missing; span_sum needs it"),
    ({"measure": "span_sum", "from_": "2021Q1"}, "from", "is a quarter, and the ranking has quarter, year"),
    ({"measure": "compound", "from_": "2021", "grains": ["quarter"]}, "from", "give it grains = ['year']"),
    ({"measure": "span_sum", "from_": "2021Q5"}, "from", "is no period"),
    ({"measure": "span_sum", "from_": 2021}, "from", "write a period as text"),
    ({"measure": "span_sum", "from_": "2050Q1"}, "from", "outside the catalogue's years 2019 to 2025"),
    ({"measure": "rise", "over": "mean_yoy"}, "over", "known are pop, yoy"),
    ({"measure": "quadrant", "over": 1}, "over", "known are pop, yoy, mean_yoy"),
    ({"measure": "quadrant", "size": "share"}, "size", "known are value, node_share"),
    ({"measure": "quadrant", "other": "ai"}, "other", "is read only with size = 'node_share'"),
    ({"measure": "node_share", "other": "analog"}, "other", "no node of the tree"),
    ({"measure": "both_high", "first": 0}, "first", "at least 1"),
    ({"measure": "both_high", "first": True}, "first", "a whole number"),
    ({"rows": "prov", "measure": "members_above"}, "threshold", "is missing; members_above needs it"),
    ({"rows": "prov", "measure": "members_above", "threshold": "median"}, "threshold", "a number or 'mean'"),
    ({"rows": "prov", "measure": "members_above", "threshold": True}, "threshold", "a number or 'mean'"),
    ({"rows": "prov", "measure": "gini", "of": "growth"}, "of", "known are value, pop"),
    ({"measure": "gini"}, "rows", "its rows are groups, of whose members it is"),
    (NODES | {"measure": "lead"}, "rows", "its rows are groups, of whose members it is"),
    (NODES | {"measure": "growth"}, "rows", "'nodes' is not for growth; its rows are entities"),
    ({"rows": "grades"}, "rows", "'grades' is not for value; its rows are entities or nodes"),
    ({"measure": "grade_count"}, "rows", "its rows are grades"),
    ({"rows": "nodes", "nodes": ["ai"]}, "scope", "is missing"),
    (NODES | {"scope": "tier"}, "scope", "must be 'city' or among the groups"),
    ({"rows": "prov", "scope": "circle"}, "scope", "with rows of kind 'city'"),
    ({"scope": "city"}, "scope", "among the groups of this definition"),
    ({"rows": "nodes", "scope": "city"}, "nodes", "give a list of nodes"),
    (NODES | {"nodes": []}, "nodes", "give a list of nodes"),
    (NODES | {"nodes": ["ai", "analog"]}, "nodes", "'analog' is no node of the tree"),
    (NODES | {"nodes": ["ai", "ai"]}, "nodes", "names a node twice"),
    (NODES | {"nodes": "children", "node": "ai"}, "nodes", "'ai' is a leaf"),
    (NODES | {"node": "ai"}, "node", "read only with nodes = 'children'"),
    ({"nodes": ["ai"]}, "nodes", "is read only with rows = 'nodes'"),
    ({"measure": "steadiness", "node": "ai"}, "node", "fewer than two children"),
    (NODES | {"measure": "steadiness", "nodes": ["index", "retail"]}, "node", "'retail' has fewer than two children"),
    ({"measure": "to_date", "node": "ai"}, "measure", "kept for the root only"),
    ({"order": "down"}, "order", "known are falling, rising"),
    ({"node": ["ai"]}, "node", "no node of the tree"),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "key", "reason"), WRONG)
def test_refused_with_key_and_reason(keys: dict[str, Any], key: str, reason: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        read(**keys)
    assert (caught.value.file, caught.value.key) == ("file.toml", f"ranking r.{key}")
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"measure": "share"}, "share without scope divides by the nation; give `nation` at the top"),
        ({"measure": "contribution"}, "without scope divides by the nation"),
        (NODES | {"measure": "share"}, "without scope divides by the nation"),
        ({"measure": "growth_multiple", "scope": "prov"}, "growth_multiple is by the nation"),
    ],
)
def test_refused_without_a_nation(keys: dict[str, Any], reason: str) -> None:
    ranking = {"name": "r", "rows": "city"} | keys
    whole = text([ranking]).replace('nation = "nation:n"\n', "")
    with pytest.raises(DefinitionError, match="give `nation` at the top") as caught:
        Definition.parse(whole, catalogue())
    assert (caught.value.key, reason in caught.value.reason) == ("ranking r.measure", True)


def test_a_share_within_a_scope_needs_no_nation() -> None:
    whole = text([{"name": "r", "rows": "city", "measure": "contribution", "scope": "prov"}])
    assert Definition.parse(whole.replace('nation = "nation:n"\n', ""), catalogue()).nation is None


def test_refused_where_the_tree_or_the_definition_has_none() -> None:
    for keys in ({"node": "pay"}, NODES | {"nodes": ["index", "users"]}):
        with pytest.raises(DefinitionError, match="lies below 'index', a geometric mean"):
            read(tree=GEOMETRIC, measure="node_contribution", **keys)
    assert read(tree=GEOMETRIC, measure="node_contribution").node == "index"
    with pytest.raises(DefinitionError, match="no node of the tree is made by `industries`"):
        read(tree=GEOMETRIC, rows="nodes", nodes="industries", scope="city")
    with pytest.raises(DefinitionError, match=r"ranking r\.rows: 'grades': this definition has no \[\[grade\]\]"):
        read(tree=GEOMETRIC, rows="grades", measure="grade_count")


def test_every_measure_has_a_title_and_known_parameters() -> None:
    """What a list of measures shows."""
    for name, measure in MEASURES.items():
        assert measure.title, name
        assert measure.rows, name
        assert all(p.default is None or p.choices or p.default in ("index", 10) for p in measure.parameters.values())
