"""The tree of an index: root `index`, sub-indices, and indicators as leaves.

Nodes are numbered from the root down, children in file order (depth first), so node 0 is the root and a child's number
is above its parent's. Leaves are numbered apart, in the same order: that is the order of all columns of amounts.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from msgspec import Struct

from index.errors import DefinitionError
from index.weights import given_weights, panel_weights

ROOT = "index"
_KEYS = ("children", "weights", "panel")


class Node(Struct, frozen=True):
    """`children`: numbers of its nodes; `weights`: theirs; `leaf`: number among the leaves, -1 for an inner node."""

    name: str
    children: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()
    leaf: int = -1


class Tree(Struct, frozen=True, dict=True):
    """All nodes, by number."""

    nodes: tuple[Node, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the nodes, by number."""
        return tuple(n.name for n in self.nodes)

    @cached_property
    def number_of(self) -> dict[str, int]:
        """Name -> number."""
        return {n.name: i for i, n in enumerate(self.nodes)}

    @cached_property
    def leaves(self) -> tuple[str, ...]:
        """Indicator codes of the leaves, by leaf number."""
        return tuple(n.name for n in self.nodes if n.leaf >= 0)

    @cached_property
    def leaves_below(self) -> tuple[tuple[int, ...], ...]:
        """Per node, the leaf numbers below it (of a leaf: itself), in order."""
        below: list[tuple[int, ...]] = [()] * len(self.nodes)
        for i in range(len(self.nodes) - 1, -1, -1):
            node = self.nodes[i]
            below[i] = (node.leaf,) if node.leaf >= 0 else tuple(leaf for c in node.children for leaf in below[c])
        return tuple(below)


def read_tree(file: str, table: Mapping[str, Any], indicators: Mapping[str, int]) -> Tree:
    """The tree of a definition's `[tree]` table; DefinitionError names `file` and the key at fault.

    `[tree]` itself is the root; every other inner node has a table `[tree.NAME]`; a name without a table is an
    indicator.
    """
    inner: dict[str, Mapping[str, Any]] = {ROOT: {k: v for k, v in table.items() if k in _KEYS}}
    for name, value in table.items():
        if name in _KEYS:
            continue
        if not isinstance(value, Mapping):
            raise DefinitionError(file, f"tree.{name}", f"unknown key; a node has {', '.join(_KEYS[:2])} or {_KEYS[2]}")
        if name == ROOT:
            raise DefinitionError(file, f"tree.{name}", "this name is the root's; its children stand in [tree] itself")
        inner[name] = value
    nodes: list[Node] = []
    seen: set[str] = set()
    n_leaves = 0

    def add(name: str, above: tuple[str, ...]) -> int:
        nonlocal n_leaves
        key = _key(above[-1]) + ".children" if above else "tree"
        if name in above:
            raise DefinitionError(file, key, f"{' > '.join((*above, name))} is a cycle; a node cannot lie below itself")
        if name in seen:
            raise DefinitionError(file, key, f"{name} already stands elsewhere in the tree; each node has one place")
        seen.add(name)
        number = len(nodes)
        nodes.append(Node(name))
        if name not in inner:
            if name not in indicators:
                raise DefinitionError(
                    file, key, f"{name!r} is neither a table [tree.{name}] nor an indicator of the catalogue"
                )
            nodes[number] = Node(name, leaf=n_leaves)
            n_leaves += 1
            return number
        if above and name in indicators:
            raise DefinitionError(file, _key(name), "is the code of an indicator; name this node otherwise")
        children, weights = _siblings(file, name, inner[name])
        nodes[number] = Node(name, tuple(add(child, (*above, name)) for child in children), weights)
        return number

    add(ROOT, ())
    unused = [name for name in inner if name not in seen]
    if unused:
        raise DefinitionError(file, _key(unused[0]), "is below no node; add it to the children of one, or remove it")
    return Tree(tuple(nodes))


def _key(name: str) -> str:
    return "tree" if name == ROOT else f"tree.{name}"


def _siblings(file: str, name: str, table: Mapping[str, Any]) -> tuple[list[str], tuple[float, ...]]:
    """Children and weights of one inner node."""
    key = _key(name)
    unknown = table.keys() - set(_KEYS)
    if unknown:
        raise DefinitionError(
            file, f"{key}.{min(unknown)}", f"unknown key; a node has {', '.join(_KEYS[:2])} or {_KEYS[2]}"
        )
    children = table.get("children")
    if not isinstance(children, list) or not children or not all(isinstance(c, str) for c in children):
        raise DefinitionError(file, f"{key}.children", "a list of names is needed, with at least one")
    if ("weights" in table) == ("panel" in table):
        raise DefinitionError(file, key, "needs either weights or a panel, not both")
    which = "weights" if "weights" in table else "panel"
    value = table[which]
    try:
        if not isinstance(value, list) or not value:
            raise ValueError("a list is needed")
        if which == "panel" and not all(isinstance(row, list) for row in value):
            raise ValueError("a list of rows is needed: experts x children")
        weights = given_weights(value) if which == "weights" else panel_weights(value)
        if len(weights) != len(children):
            raise ValueError(f"there are {len(weights)} for {len(children)} children; give one each")
    except ValueError as error:
        raise DefinitionError(file, f"{key}.{which}", str(error)) from error
    return children, weights
