"""Definitions: what is read, and what is refused with file, key and reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.definition import Definition
from index.errors import DefinitionError
from index.periods import Grain, Period
from index.weights import given_weights, panel_weights
from tests.index.oracle import panel
from tests.index.worlds import catalogue

TEXT = """
system = "demo"
version = 2
title = "Demo"
base = "2021Q1"
scale = 100
grains = ["quarter", "year"]
groups = ["prov", "circle", "nation"]
nation = "nation:n"
grace_s = 60
normalise = "base-share"
group_rule = "sum"
renormalise = true
min_coverage = 0.5
mean_yoy_from = "2022Q1"
[tree]
children = ["digital", "ai"]
panel = [[5, 4], [4, 4]]
[tree.digital]
children = ["pay", "users"]
weights = [0.6, 0.4]
[[ranking]]
name = "cities"
rows = "city"
measure = "value"
[[ranking]]
name = "in-circle"
rows = "city"
node = "digital"
measure = "share"
scope = "circle"
grains = ["year"]
rank_decimals = 2
"""


def test_what_is_read() -> None:
    d = Definition.parse(TEXT, catalogue())
    assert (d.system, d.version, d.base, d.scale, d.grains) == (
        "demo",
        2,
        Period.parse("2021Q1"),
        100.0,
        (Grain.QUARTER, Grain.YEAR),
    )
    assert (d.nation, d.grace_s, d.renormalise, d.min_coverage, d.mean_yoy_from) == (
        "nation:n",
        60,
        True,
        0.5,
        Period.parse("2022Q1"),
    )
    assert d.tree.names == ("index", "digital", "pay", "users", "ai")
    assert d.tree.leaves == ("pay", "users", "ai")
    assert d.tree.nodes[0].weights == (9 / 17, 8 / 17)
    assert d.tree.leaves_below[1] == (0, 1)
    assert [(r.name, r.node, r.scope, r.rank_decimals, r.grains) for r in d.rankings] == [
        ("cities", "index", None, None, (Grain.QUARTER, Grain.YEAR)),
        ("in-circle", "digital", "circle", 2, (Grain.YEAR,)),
    ]
    assert d.text == TEXT


def test_defaults() -> None:
    d = Definition.parse(
        'system="s"\nversion=1\ntitle="t"\nbase="2021"\ngrains=["year"]\n[tree]\nchildren=["pay"]\nweights=[1]',
        catalogue(),
    )
    assert (d.scale, d.groups, d.nation, d.grace_s, d.renormalise, d.min_coverage, d.mean_yoy_from, d.rankings) == (
        100.0, (), None, 0, False, 0.0, None, (),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "key", "reason"),
    [
        ('system = "demo"', 'system = "a/b"', "system", "1 to 64 characters"),
        ('system = "demo"', "", "system", "must be given"),
        ("version = 2", "version = 0", "version", "whole number"),
        ("version = 2", "version = true", "version", "whole number"),
        ('title = "Demo"', "title = 3", "title", "a text is needed"),
        ("version = 2", "version = = 2", "", "is not TOML"),
        ("renormalise = true", 'renormalise = "yes"', "renormalise", "true or false"),
        ("renormalise", "renormalize", "renormalize", "unknown key"),
        ('base = "2021Q1"', 'base = "2021-01"', "base", "month, which is not among the grains"),
        ('base = "2021Q1"', 'base = "2021Q5"', "base", "is no period"),
        ('base = "2021Q1"', 'base = "1999Q1"', "base", "outside the catalogue's years"),
        ('base = "2021Q1"', "base = 2021", "base", "as text"),
        ("scale = 100", "scale = 0", "scale", "number from"),
        ("scale = 100", "scale = inf", "scale", "number from"),
        ("scale = 100", "scale = nan", "scale", "number from"),
        ('grains = ["quarter", "year"]', 'grains = ["week"]', "grains", "is no grain"),
        ('grains = ["quarter", "year"]', "grains = []", "grains", "list of grains"),
        ('grains = ["quarter", "year"]', 'grains = ["year", "year", "quarter"]', "grains", "twice"),
        ('"prov", "circle"', '"prov", "galaxy"', "groups", "'galaxy' is no group kind"),
        ('"prov", "circle"', '"prov", "prov"', "groups", "twice"),
        ('"nation:n"', '"nation:x"', "nation", "is no group"),
        ('"nation:n"', '"c1"', "nation", "is no group"),
        ("grace_s = 60", "grace_s = -1", "grace_s", "whole number"),
        ('"base-share"', '"best-share"', "normalise", "known are base-share, none, min-max, z-score, rank"),
        ('group_rule = "sum"', 'group_rule = "max"', "group_rule", "known are sum, mean"),
        ("min_coverage = 0.5", "min_coverage = 1.5", "min_coverage", "number from 0 to 1"),
        ('mean_yoy_from = "2022Q1"', 'mean_yoy_from = "2022H1"', "mean_yoy_from", "half, which is not among"),
        ('children = ["digital", "ai"]', 'children = ["digital", "xx"]',
         "tree.children", "neither a table [tree.xx] nor an indicator"),
        ('children = ["digital", "ai"]', 'children = ["digital", "pay"]', "tree.children", "already stands elsewhere"),
        ('children = ["digital", "ai"]', 'children = ["ai", "ai"]', "tree.children", "already stands elsewhere"),
        ('children = ["digital", "ai"]', 'children = ["ai", "cloud"]', "tree.digital", "below no node"),
        ('children = ["digital", "ai"]', "children = []", "tree.children", "at least one"),
        ('children = ["pay", "users"]', 'children = ["pay", "digital"]',
         "tree.digital.children", "index > digital > digital is a cycle"),
        ('children = ["pay", "users"]', 'children = ["pay", "index"]',
         "tree.digital.children", "index > digital > index is a cycle"),
        ("weights = [0.6, 0.4]", "weights = [0.6, 0.5]", "tree.digital.weights", "must sum to 1"),
        ("weights = [0.6, 0.4]", "weights = [1.0]", "tree.digital.weights", "1 for 2 children"),
        ("weights = [0.6, 0.4]", "weights = [1.0, 0.0]", "tree.digital.weights", "lie above 0"),
        ("weights = [0.6, 0.4]", "weights = [1.5, -0.5]", "tree.digital.weights", "lie above 0"),
        ("weights = [0.6, 0.4]", "weights = [nan, 0.4]", "tree.digital.weights", "is no weight"),
        ("weights = [0.6, 0.4]", 'weights = ["a", "b"]', "tree.digital.weights", "is no weight"),
        ("weights = [0.6, 0.4]", "weights = [0.6, 0.4]\npanel = [[1, 1]]", "tree.digital", "not both"),
        ("weights = [0.6, 0.4]", "", "tree.digital", "either weights or a panel"),
        ("weights = [0.6, 0.4]", "weights = [0.6, 0.4]\ntitle = 1", "tree.digital.title", "unknown key"),
        ("[tree.digital]", "[tree.pay]", "tree.children", "'digital' is neither"),
        ("panel = [[5, 4], [4, 4]]", "panel = [[5, 4], [4]]", "tree.panel", "expert 2 has 1 scores"),
        ("panel = [[5, 4], [4, 4]]", "panel = [[5, 4], [4, 6]]", "tree.panel", "from 1 to 5"),
        ("panel = [[5, 4], [4, 4]]", "panel = [[5, 4], [4, 0]]", "tree.panel", "from 1 to 5"),
        ("panel = [[5, 4], [4, 4]]", "panel = [[5, 4.0]]", "tree.panel", "whole numbers"),
        ("panel = [[5, 4], [4, 4]]", "panel = [5, 4]", "tree.panel", "list of rows"),
        ("panel = [[5, 4], [4, 4]]", "panel = [[5, 4, 3]]", "tree.panel", "3 for 2 children"),
        ('name = "cities"', 'name = "a/b"', "ranking a/b.name", "1 to 64 characters"),
        ('name = "cities"', 'name = "in-circle"', "ranking in-circle", "stands twice"),
        ('name = "cities"', "", "ranking[1].name", "a text is needed"),
        ('name = "cities"', 'name = "cities"\nwhere = 1', "ranking cities.where", "unknown key"),
        ('rows = "city"\nmeasure', 'rows = "tier"\nmeasure',
         "ranking cities.rows", "neither 'city' nor among the groups"),
        ('measure = "value"', 'measure = "size"', "ranking cities.measure", "known are"),
        ('node = "digital"', 'node = "analog"', "ranking in-circle.node", "no node of the tree"),
        ('measure = "share"', 'measure = "growth"', "ranking in-circle.measure", "for the root only"),
        ('scope = "circle"', 'scope = "tier"', "ranking in-circle.scope", "among the groups"),
        ('rows = "city"\nnode', 'rows = "prov"\nnode', "ranking in-circle.scope", "rows of kind 'city'"),
        ('grains = ["year"]', 'grains = ["month"]', "ranking in-circle.grains", "not among the grains of the system"),
        ("rank_decimals = 2", "rank_decimals = 13", "ranking in-circle.rank_decimals", "from 0 to 12"),
        ('nation = "nation:n"\n', "", None, None),
    ],
)  # fmt: skip
def test_refused_with_file_key_and_reason(old: str, new: str, key: str | None, reason: str | None) -> None:
    assert old in TEXT
    text = TEXT.replace(old, new, 1)
    if key is None:
        assert Definition.parse(text, catalogue()).nation is None  # a share within a scope needs no nation
        return
    with pytest.raises(DefinitionError) as caught:
        Definition.parse(text, catalogue(), "demo.toml")
    assert (caught.value.file, caught.value.key) == ("demo.toml", key)
    assert reason is not None
    assert reason in caught.value.reason, caught.value.reason


def test_a_share_without_scope_needs_a_nation() -> None:
    text = TEXT.replace('nation = "nation:n"\n', "").replace('scope = "circle"\n', "")
    with pytest.raises(DefinitionError, match=r"ranking in-circle\.measure: .* give `nation`"):
        Definition.parse(text, catalogue())


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "demo.toml"
    path.write_text(TEXT, encoding="utf-8")
    assert Definition.load(path, catalogue()) == Definition.parse(TEXT, catalogue())
    with pytest.raises(DefinitionError, match="cannot be read"):
        Definition.load(tmp_path / "none.toml", catalogue())


@given(
    st.integers(1, 5).flatmap(
        lambda m: st.lists(st.lists(st.integers(1, 5), min_size=m, max_size=m), min_size=1, max_size=6)
    )
)
def test_panel_weights_are_the_nearest_doubles(scores: list[list[int]]) -> None:
    assert list(panel_weights(scores)) == panel(scores)


def test_panel_by_hand() -> None:
    assert panel_weights([[5, 4, 4], [4, 4, 5]]) == (9 / 26, 8 / 26, 9 / 26)
    assert given_weights([1]) == (1.0,)
