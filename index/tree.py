"""The tree of an index: root `index`, sub-indices, and indicators, or single industries of them, as leaves.

Nodes are numbered from the root down, children in file order (depth first), so node 0 is the root and a child's number
is above its parent's. Leaves are numbered apart, in the same order: that is the order of all columns of scores.
`index.tree_table` reads it.
"""

from __future__ import annotations

from functools import cached_property

from msgspec import Struct

ROOT = "index"
ARITHMETIC, GEOMETRIC, SUM = AGGREGATES = ("arithmetic", "geometric", "sum")


class Node(Struct, frozen=True):
    """`children`: numbers of its nodes; `weights`: theirs (of a `sum`: 1/n each, which count for coverage only);
    `leaf`: number among the leaves, -1 for an inner node; `panel`: experts x children, empty where weights are given.
    """

    name: str
    children: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()
    leaf: int = -1
    aggregate: str = ARITHMETIC
    panel: tuple[tuple[int, ...], ...] = ()


class Source(Struct, frozen=True):
    """What a leaf counts: an indicator, one of its industries or (None) all of them. `whole`: its base is that of all
    industries even so, since `industries =` made it."""

    indicator: str
    industry: str | None = None
    whole: bool = False


class Tree(Struct, frozen=True, dict=True):
    """All nodes, by number; `sources` by leaf number; `industry_nodes`: numbers of those that `industries =` made."""

    nodes: tuple[Node, ...]
    sources: tuple[Source, ...]
    industry_nodes: tuple[int, ...] = ()

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
        """Names of the leaves, by leaf number: `indicator` or `indicator/industry`."""
        return tuple(n.name for n in self.nodes if n.leaf >= 0)

    @cached_property
    def leaves_below(self) -> tuple[tuple[int, ...], ...]:
        """Per node, the leaf numbers below it (of a leaf: itself), in order."""
        below: list[tuple[int, ...]] = [()] * len(self.nodes)
        for i in range(len(self.nodes) - 1, -1, -1):
            node = self.nodes[i]
            below[i] = (node.leaf,) if node.leaf >= 0 else tuple(leaf for c in node.children for leaf in below[c])
        return tuple(below)
