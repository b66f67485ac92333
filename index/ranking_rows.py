"""The rows of a ranking: which there are, which measures are for them, and what a measure asks of their nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from index.measures.table import ENTITIES, GRADES, GROUPS, MEASURES, NODES, Asks
from index.measures.tree_path import path_to
from index.tree import GEOMETRIC, ROOT, Tree

__all__ = ["GRADES", "NODES", "check_rows", "read_nodes"]

_OF_ROWS = {ENTITIES: "entities", NODES: "nodes", GROUPS: "groups, of whose members it is", GRADES: "grades"}


def read_nodes(rows: str, table: Mapping[str, Any], node: str, tree: Tree) -> tuple[str, ...]:
    """Names of the rows where they are nodes, else (). ValueError `<key>: <reason>`."""
    value = table.get("nodes")
    if rows != NODES:
        if value is not None:
            raise ValueError(f"nodes: is read only with rows = '{NODES}'; leave it out")
        return ()
    if value == "children":
        nodes = tuple(tree.names[child] for child in tree.nodes[tree.number_of[node]].children)
        if not nodes:
            raise ValueError(f"nodes: {node!r} is a leaf and has no children")
        return nodes
    if "node" in table:
        raise ValueError("node: the rows are nodes themselves; it is read only with nodes = 'children'")
    if value == "industries":
        nodes = tuple(tree.names[number] for number in tree.industry_nodes)
        if not nodes:
            raise ValueError("nodes: no node of the tree is made by `industries`")
        return nodes
    if not isinstance(value, list) or not value:
        raise ValueError("nodes: give a list of nodes, or 'industries', or 'children'")
    for name in value:
        if not isinstance(name, str) or name not in tree.number_of:
            raise ValueError(f"nodes: {name!r} is no node of the tree")
    if len(set(value)) != len(value):
        raise ValueError("nodes: names a node twice; remove one")
    return tuple(value)


def check_rows(
    measure: str, rows: str, of_group: bool, scoped: bool, nodes: tuple[str, ...], nation: Any, tree: Tree
) -> None:
    """Whether the measure is for such rows, nodes and scope; ValueError `<key>: <reason>`.

    `of_group`: the rows are groups; `nodes`: those that the ranking measures.
    """
    entry = MEASURES[measure]
    kinds = {NODES: (NODES,), GRADES: (GRADES,)}.get(rows, (ENTITIES, GROUPS) if of_group else (ENTITIES,))
    if not any(kind in entry.rows for kind in kinds):
        raise ValueError(
            f"rows: {rows!r} is not for {measure}; its rows are {' or '.join(_OF_ROWS[kind] for kind in entry.rows)}"
        )
    if nation is None and (Asks.NATION in entry.asks or (Asks.PARENT in entry.asks and (rows == NODES or not scoped))):
        what = "is by the nation" if Asks.NATION in entry.asks else "without scope divides by the nation"
        raise ValueError(f"measure: {measure} {what}; give `nation` at the top")
    for name in nodes:
        _check_node(measure, entry.asks, name, tree)


def _check_node(measure: str, asks: frozenset[Asks], name: str, tree: Tree) -> None:
    number = tree.number_of[name]
    if Asks.ROOT in asks and name != ROOT:
        raise ValueError(f"measure: {measure} is kept for the root only; leave out node, or rank by pop or yoy")
    if Asks.CHILDREN in asks and len(tree.nodes[number].children) < 2:
        raise ValueError(f"node: {name!r} has fewer than two children, whose growths {measure} compares")
    if Asks.NO_GEOMETRIC in asks:
        for above, _ in path_to(tree, number):
            if tree.nodes[above].aggregate == GEOMETRIC:
                raise ValueError(
                    f"node: {name!r} lies below {tree.names[above]!r}, a geometric mean, which has no contributions"
                )
