"""Leaves, industries, grades and robustness of a definition: what is read, and what is refused with key and reason."""

from __future__ import annotations

import pytest

from index.definition import Definition
from index.errors import DefinitionError
from index.grades import Grade, Robustness
from index.leaves import Leaf
from index.tree import Source
from tests.index.worlds import catalogue

TEXT = """
system = "demo"
version = 1
title = "Demo"
base = "2021Q1"
grains = ["quarter"]
normalise = "min-max"
group_rule = "mean"
mergers = "keep"
mean_yoy_step = "year"
[tree]
children = ["online", "digital", "ai"]
aggregate = "geometric"
panel = [[5, 4, 3], [4, 4, 4]]
[tree.digital]
children = ["cloud", "pay"]
aggregate = "sum"
[tree.online]
industries = "trade"
children = ["cloud"]
weights = [1]
[indicator.cloud]
normalise = "base-share"
[indicator.ai]
direction = "lower"
denominator = "users"
transform = "log"
floor = 0.1
cap = 85
goalposts = [1, 85]
[[grade]]
code = "first"
title = "First"
at_least = 85
[[grade]]
code = "rest"
title = "Rest"
[robustness]
draws = 200
seed = 1
level = 0.9
"""


def test_what_is_read() -> None:
    d = Definition.parse(TEXT, catalogue())
    assert d.tree.names == (
        "index", "online", "retail", "cloud/retail", "food", "cloud/food", "digital", "cloud", "pay", "ai",
    )  # fmt: skip
    assert [d.tree.names[n] for n in d.tree.industry_nodes] == ["retail", "food"]
    assert [(n.aggregate, n.weights) for n in d.tree.nodes[:3]] == [
        ("geometric", (9 / 24, 8 / 24, 7 / 24)), ("sum", (0.5, 0.5)), ("arithmetic", (1.0,)),
    ]  # fmt: skip
    assert (d.tree.nodes[0].panel, d.tree.nodes[1].panel) == (((5, 4, 3), (4, 4, 4)), ())
    assert d.tree.nodes[6].weights == (0.5, 0.5)
    assert d.tree.sources[:3] == (Source("cloud", "retail", True), Source("cloud", "food", True), Source("cloud"))
    assert [leaf.normalise for leaf in d.leaves] == ["base-share", "base-share", "base-share", "min-max", "min-max"]
    assert d.leaves[4] == Leaf(
        "ai", "ai", None, False, "lower", "users", "log", 0.1, 85.0, "min-max", (1.0, 85.0), 2, 2, ()
    )
    assert [leaf.plain for leaf in d.leaves] == [True, True, True, False, False]
    assert [leaf.relative for leaf in d.leaves] == [False, False, False, True, False]
    assert d.columns.keys == (
        ("cloud", "retail"), ("cloud", "food"), ("cloud", None), ("pay", None), ("ai", None), ("users", None),
    )  # fmt: skip
    assert d.columns.base == (2, 2, 2, 3, 4)
    assert d.grades == (Grade("first", "First", 85.0), Grade("rest", "Rest", None))
    assert d.robustness == Robustness(200, 1, 0.9)
    assert (d.group_rule, d.mergers, d.mean_yoy_step, d.relative) == ("mean", "keep", "year", True)


def test_only_some_industries_in_catalogue_order() -> None:
    text = TEXT.replace('industries = "trade"', 'industries = "trade"\nonly = ["food", "retail"]')
    assert Definition.parse(text, catalogue()).tree == Definition.parse(TEXT, catalogue()).tree
    one = Definition.parse(TEXT.replace('industries = "trade"', 'industries = "trade"\nonly = ["food"]'), catalogue())
    assert [one.tree.names[n] for n in one.tree.industry_nodes] == ["food"]
    assert one.columns.used.all()  # the base of all industries is that of the leaf `cloud`


def test_a_base_that_nothing_needs_may_be_missing() -> None:
    text = TEXT.replace('base = "2021Q1"\n', "")
    with pytest.raises(DefinitionError, match="base: is missing; cloud/retail is normalised by base-share") as caught:
        Definition.parse(text, catalogue(), "demo.toml")
    assert (caught.value.file, caught.value.key) == ("demo.toml", "base")
    assert Definition.parse(text.replace('normalise = "base-share"', 'normalise = "rank"'), catalogue()).base is None


@pytest.mark.parametrize(
    ("old", "new", "key", "reason"),
    [
        ('"lower"', '"less"', 'indicator."ai".direction', "known are higher, lower"),
        ('"users"', '"user"', 'indicator."ai".denominator', "no indicator of the catalogue"),
        ('"users"', '"ai"', 'indicator."ai".denominator', "is the indicator itself"),
        ('"log"', '"sqrt"', 'indicator."ai".transform', "known are none, log, entropy"),
        ('"log"', '"entropy"', 'indicator."ai".transform', "at least two industries"),
        ("floor = 0.1", "floor = 90", 'indicator."ai".floor', "above the cap"),
        ("floor = 0.1", 'floor = "x"', 'indicator."ai".floor', "finite number"),
        ("floor = 0.1", "floor = nan", 'indicator."ai".floor', "finite number"),
        ("cap = 85", "cap = 1e300", 'indicator."ai".cap', "a size from"),
        ("cap = 85", "limit = 85", 'indicator."ai".limit', "unknown key"),
        ("goalposts = [1, 85]", "goalposts = [85, 1]", 'indicator."ai".goalposts', "direction = 'lower'"),
        ("goalposts = [1, 85]", "goalposts = [85, 85]", 'indicator."ai".goalposts', "are equal"),
        ("goalposts = [1, 85]", "goalposts = [0, 85]", 'indicator."ai".goalposts', "must be positive"),
        ("goalposts = [1, 85]", "goalposts = [1]", 'indicator."ai".goalposts', "[low, high]"),
        ("cap = 85", 'normalise = "rank"', 'indicator."ai".goalposts', "belong to normalise = 'min-max'"),
        ("goalposts = [1, 85]", 'normalise = "none"', 'indicator."ai".direction', "no meaning with normalise"),
        ('normalise = "base-share"', 'transform = "entropy"', 'indicator."cloud".transform', "is one of them"),
        ("[indicator.ai]", "[indicator.users]", 'indicator."users"', "is no leaf of the tree"),
        ("[indicator.ai]", '[indicator."cloud/food"]', 'indicator."cloud/food"', "is no leaf of the tree"),
        ('children = ["cloud", "pay"]', 'children = ["cloud", "pay/all"]', "tree.digital.children", "no industries"),
        ('children = ["cloud", "pay"]', 'children = ["cloud/all"]', "tree.digital.children", "is no industry of cloud"),
        ('children = ["cloud", "pay"]', 'children = ["cloud/food"]', "tree.digital.children", "stands elsewhere"),
        ('aggregate = "sum"', 'aggregate = "sum"\nweights = [0.5, 0.5]', "tree.digital.weights", "sum has no weights"),
        ('aggregate = "sum"', 'aggregate = "harmonic"', "tree.digital.aggregate", "known are arithmetic"),
        ('industries = "trade"', 'industries = "craft"', "tree.online.industries", "known are trade"),
        ('industries = "trade"', 'industries = "trade"\nonly = ["tool"]', "tree.online.only", "no industry of 'trade'"),
        ('industries = "trade"', 'industries = "trade"\nonly = []', "tree.online.only", "a list of industries"),
        ('industries = "trade"', 'industries = "trade"\naggregate = "sum"', "tree.online.aggregate", "is their sum"),
        ('industries = "trade"', 'only = ["food"]', "tree.online.only", "give `industries`"),
        ('children = ["cloud"]', 'children = ["pay"]', "tree.online.children", "no indicator with the industries"),
        ('children = ["cloud"]', 'children = ["digital"]', "tree.online.children", "no indicator with"),
        ("weights = [1]", "weights = [0.9]", "tree.online.weights", "must sum to 1"),
        ("at_least = 85\n", "", "grade first.at_least", "only the last"),
        ('title = "Rest"', 'title = "Rest"\nat_least = 85', "grade rest.at_least", "not below 85.0"),
        ('code = "rest"', 'code = "first"', "grade first", "stands twice"),
        ('code = "rest"', "", "grade[2].code", "must be given"),
        ("at_least = 85", "at_most = 85", "grade first.at_most", "unknown key"),
        ("draws = 200", "draws = 0", "robustness.draws", "a whole number from 1"),
        ("level = 0.9", "level = 1", "robustness.level", "between 0 and 1"),
        ("seed = 1\n", "", "robustness.seed", "must be given"),
        ("panel = [[5, 4, 3], [4, 4, 4]]", "weights = [0.5, 0.25, 0.25]", "robustness", "no node has one"),
        ('group_rule = "mean"', 'group_rule = "median"', "group_rule", "known are sum, mean"),
        ('mergers = "keep"', 'mergers = "drop"', "mergers", "known are restate, keep"),
        ('mean_yoy_step = "year"', 'mean_yoy_step = "month"', "mean_yoy_step", "known are period, year"),
    ],
)  # fmt: skip
def test_refused_with_key_and_reason(old: str, new: str, key: str, reason: str) -> None:
    assert old in TEXT
    with pytest.raises(DefinitionError) as caught:
        Definition.parse(TEXT.replace(old, new, 1), catalogue(), "demo.toml")
    assert (caught.value.file, caught.value.key) == ("demo.toml", key), caught.value
    assert reason in caught.value.reason, caught.value.reason


def test_entropy_stands_alone() -> None:
    text = (
        'system="s"\nversion=1\ntitle="t"\ngrains=["year"]\nnormalise="rank"\n[tree]\nchildren=["cloud"]\nweights=[1]\n'
    )
    text += '[indicator.cloud]\ntransform="entropy"\n'
    d = Definition.parse(text, catalogue())
    assert d.leaves[0].parts == ("retail", "food")
    assert d.columns.keys == (("cloud", None), ("cloud", "retail"), ("cloud", "food"))
    assert d.columns.used.tolist() == [False, True, True]
    for option in ("floor=1", "cap=1", 'denominator="pay"'):
        with pytest.raises(DefinitionError, match="does not go with transform = 'entropy'"):
            Definition.parse(text + option, catalogue())
