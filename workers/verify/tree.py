"""The tree of a definition, with what its `industries` nodes stand for written out (docs/formats.md section 7).

Nodes are listed with every child before its parent, so the root, `index`, comes last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ROOT = "index"
LEAF, ARITHMETIC, SUM, GEOMETRIC = "leaf", "arithmetic", "sum", "geometric"
RELATIVE = ("min-max", "z-score", "rank")


@dataclass(frozen=True, slots=True)
class Node:
    """`rule`: how its children make it; a leaf has none. `weights` of a sum are 1/n each: it adds without them.
    `leaves`: those below it, of a leaf itself.
    """

    name: str
    rule: str
    children: tuple[str, ...]
    weights: tuple[float, ...]
    leaves: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a leaf is made of. `column`: `indicator` (all its industries) or `indicator/industry`; `base_column`: the
    same, of its base; `parts`: the columns of an entropy's industries.
    """

    name: str
    column: str
    base_column: str
    normalise: str
    lower: bool
    denominator: str | None
    transform: str
    floor: float | None
    cap: float | None
    goalposts: tuple[float, float] | None
    parts: tuple[str, ...]

    @property
    def plain(self) -> bool:
        """Amount by base amount, and nothing else."""
        extras = (self.denominator, self.floor, self.cap)
        return self.normalise == "base-share" and not self.lower and self.transform == "none" and extras == (None,) * 3

    @property
    def relative(self) -> bool:
        """Whether its score depends on the other entities of the period."""
        return self.normalise in RELATIVE and self.goalposts is None

    @property
    def inexact(self) -> bool:
        """Whether a logarithm goes into it."""
        return self.transform != "none"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of amounts that its value needs (those of its base apart)."""
        own = self.parts or (self.column,)
        return own if self.denominator is None else (*own, self.denominator)


def read_tree(
    table: Mapping[str, Any], industries: Mapping[str, Sequence[str]]
) -> tuple[tuple[Node, ...], dict[str, str]]:
    """The nodes, and the leaves made by `industries =` (leaf -> indicator).

    `table`: the whole definition; `industries`: set -> codes, in the catalogue's order. KeyError where it is no tree.
    """
    made: dict[str, str] = {}
    nodes = {node.name: node for node in _below(table["tree"], ROOT, industries, made)}
    return tuple(nodes.values()), made


def read_leaf(
    name: str, indicator: str | None, table: Mapping[str, Any], industries: Mapping[str, Sequence[str]]
) -> Leaf:
    """A leaf with its options. `indicator`: where it was made by `industries =`; `industries`: indicator -> codes."""
    options = table.get("indicator", {}).get(indicator or name, {})
    posts, floor, cap = options.get("goalposts"), options.get("floor"), options.get("cap")
    transform = options.get("transform", "none")
    return Leaf(
        name=name,
        column=name,
        base_column=indicator or name,
        normalise=options.get("normalise", table.get("normalise", "base-share")),
        lower=options.get("direction", "higher") == "lower",
        denominator=options.get("denominator"),
        transform=transform,
        floor=None if floor is None else float(floor),
        cap=None if cap is None else float(cap),
        goalposts=None if posts is None else (float(posts[0]), float(posts[1])),
        parts=tuple(f"{name}/{code}" for code in industries[name]) if transform == "entropy" else (),
    )


def _below(
    tree: Mapping[str, Any], name: str, industries: Mapping[str, Sequence[str]], made: dict[str, str]
) -> list[Node]:
    """The node and all below it, children first."""
    table = tree if name == ROOT else tree.get(name)
    if not isinstance(table, dict):
        return [Node(name, LEAF, (), (), (name,))]
    if "industries" in table:
        return _by_industry(name, table, industries[table["industries"]], made)
    below: list[Node] = []
    leaves: list[str] = []
    for child in table["children"]:
        below += _below(tree, child, industries, made)
        leaves += below[-1].leaves
    children, rule = tuple(table["children"]), table.get("aggregate", ARITHMETIC)
    return [*below, Node(name, rule, children, _weights(table, rule, len(children)), tuple(leaves))]


def _by_industry(name: str, table: Mapping[str, Any], codes: Sequence[str], made: dict[str, str]) -> list[Node]:
    """One child per industry, each with leaves of that industry; the node is their sum."""
    below: list[Node] = []
    children = [code for code in codes if code in table.get("only", codes)]
    weights = _weights(table, ARITHMETIC, len(table["children"]))
    for code in children:
        leaves = {f"{indicator}/{code}": indicator for indicator in table["children"]}
        made.update(leaves)
        below += [Node(leaf, LEAF, (), (), (leaf,)) for leaf in leaves]
        below.append(Node(code, ARITHMETIC, tuple(leaves), weights, tuple(leaves)))
    every = tuple(leaf for node in below if node.rule == LEAF for leaf in node.leaves)
    return [*below, Node(name, SUM, tuple(children), _weights({}, SUM, len(children)), every)]


def _weights(table: Mapping[str, Any], rule: str, n: int) -> tuple[float, ...]:
    if rule == SUM:
        return (1 / n,) * n
    if "weights" in table:
        return tuple(float(weight) for weight in table["weights"])
    panel = table["panel"]  # experts x children
    total = sum(sum(expert) for expert in panel)
    return tuple(sum(scores) / total for scores in zip(*panel, strict=True))
