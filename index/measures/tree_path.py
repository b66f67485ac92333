"""The way from the root of a tree down to a node."""

from __future__ import annotations

from index.tree import SUM, Tree


def path_to(tree: Tree, number: int) -> list[tuple[int, int]]:
    """From the root down to a node: (number of a node above it, place of the next one among its children)."""
    path: list[tuple[int, int]] = []
    while number:
        above = next(i for i, node in enumerate(tree.nodes) if number in node.children)
        path.append((above, tree.nodes[above].children.index(number)))
        number = above
    return path[::-1]


def path_weight(tree: Tree, number: int) -> float:
    """((w1 * w2) * ...) from the root down to a node; a node that sums its children gives each 1."""
    weight = 1.0
    for above, place in path_to(tree, number):
        node = tree.nodes[above]
        weight = weight * (1.0 if node.aggregate == SUM else node.weights[place])
    return weight
