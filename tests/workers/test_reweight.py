"""Other weights in a definition's text: what is named, what is scaled, and that nothing else is touched."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.catalogue import Catalogue
from index.definition import Definition
from index.weights import given_weights
from tests.workers.small import TEXT
from workers.prepare import definition_files
from workers.reweight import reweighted, with_version
from workers.settings import REPOSITORY

OUT_OF_ORDER = """
version = 1
[tree]
children = ["a", "b"]
panel = [[1, 3]]
[tree.a]
children = ["a1", "a2"]
panel = [[1, 2]]  # what the experts said
# a comment below
[grade]
x = 1
[tree.b]
children = ["b1", "b2"]
panel = [[1, 2], [5, 1]]
"""


def weights(text: str, node: str | None = None) -> list[float]:
    tree: dict[str, Any] = tomllib.loads(text)["tree"]
    return list((tree if node is None else tree[node])["weights"])


def test_siblings_that_are_not_named_share_the_rest():
    three = TEXT.replace('"trade", "work"]', '"trade", "work", "x"]').replace("[0.5, 0.5]", "[0.2, 0.3, 0.5]")
    assert weights(reweighted(three, {"trade": 0.6})) == [0.6, 0.15, 0.25]


def test_comments_and_layout_stay():
    before, after = TEXT.splitlines(), reweighted(TEXT, {"trade": 0.25}).splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [("weights = [0.5, 0.5]            # equal", "weights = [0.25, 0.75]            # equal")]


def test_a_panel_is_replaced_in_its_place():
    text = reweighted(OUT_OF_ORDER, {"a1": 0.4, "b": 0.4})
    assert weights(text) == [0.6, 0.4]
    assert weights(text, "a") == [0.4, 0.6]
    assert "panel" in tomllib.loads(text)["tree"]["b"]
    lines = text.splitlines()
    assert lines[lines.index("# a comment below") - 1] == "weights = [0.4, 0.6]  # what the experts said"


def test_without_any_panel_nothing_can_be_drawn():
    assert "robustness" in tomllib.loads(reweighted(TEXT, {"trade": 0.1}))
    assert "robustness" not in tomllib.loads(reweighted(TEXT, {"dti.ecommerce": 0.1}))


@given(data=st.data())
def test_any_weights_of_any_node_make_a_sound_definition(data: st.DataObject):
    """Every definition of ours, any child of a node with weights: the rest keeps its proportions and all sum to 1."""
    path = data.draw(st.sampled_from(definition_files(REPOSITORY / "systems")))
    text = path.read_text(encoding="utf-8")
    before = tomllib.loads(text)
    tables = {None: before["tree"]} | {name: t for name, t in before["tree"].items() if isinstance(t, dict)}
    named = [c for t in tables.values() for c in t["children"]] if all("children" in t for t in tables.values()) else []
    node = data.draw(st.sampled_from(sorted(tables, key=str)))
    table = tables[node]
    children = table.get("children", [])
    if table.get("aggregate") == "sum" or len(children) < 2 or any(named.count(child) > 1 for child in children):
        return
    child = data.draw(st.sampled_from(children))
    weight = data.draw(st.floats(0.001, 0.999))
    new = reweighted(text, {child: weight})
    found = given_weights(weights(new, node))
    old = exact(table)
    assert found[children.index(child)] == weight
    rest = 1 - old[children.index(child)]
    for other, share, was in zip(children, found, old, strict=True):
        if other != child:
            assert share == pytest.approx(was / rest * (1 - weight), rel=1e-12)
    after = tomllib.loads(new)
    live = after["tree"] if node is None else after["tree"][node]
    del live["weights"]
    table.pop("weights", None)
    table.pop("panel", None)
    before.pop("robustness", None)
    after.pop("robustness", None)
    assert after == before


def exact(table: dict[str, Any]) -> list[float]:
    if "weights" in table:
        return list(table["weights"])
    total = sum(map(sum, table["panel"]))
    return [sum(column) / total for column in zip(*table["panel"], strict=True)]


REFUSED = [
    ({"index": 0.5}, "root of the tree"),
    ({"nothing": 0.5}, "no child of any node"),
    ({"trade": 1.0}, "leaves 0.0 for work"),
    ({"trade": 0.0}, "is no weight"),
    ({"trade": float("nan")}, "is no weight"),
    ({"trade": float("inf")}, "is no weight"),
    ({"trade": 0.5, "work": 0.6}, "sum to 1.1, not to 1"),
    ({"trade": -0.5, "work": 1.5}, "is no weight"),
]


@pytest.mark.parametrize(("given_", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_what_cannot_be_weighted_is_named(given_: dict[str, float], said: str):
    with pytest.raises(ValueError, match=said):
        reweighted(TEXT, given_)


def test_a_sum_has_no_weights():
    text = TEXT.replace("weights = [0.5, 0.5]            # equal", 'aggregate = "sum"')
    with pytest.raises(ValueError, match="index is the sum of its children"):
        reweighted(text, {"trade": 0.5})


def test_a_name_that_stands_twice_is_no_answer():
    with pytest.raises(ValueError, match="a1 is a child of a, b"):
        reweighted(OUT_OF_ORDER.replace('"b1"', '"a1"'), {"a1": 0.5})


def test_no_toml():
    with pytest.raises(ValueError, match="not TOML"):
        reweighted("[", {"a": 0.5})


def test_the_version_alone():
    text = with_version(TEXT, 7)
    assert text == TEXT.replace("version = 1", "version = 7")
    Definition.parse(text, Catalogue.load(REPOSITORY / "systems" / "catalogue"))
