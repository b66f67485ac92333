"""Nodes of the tree from the scores of its leaves, and groups as the mean of their members (docs/formats.md section 4).

The term of a missing child is -0.0, the one double that changes no sum (x + -0.0 = x for every x, also for -0.0); its
factor is 1.0, which changes no product.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from workers.verify.definition import Definition
from workers.verify.grid import Bools, Codes, Floats, Grid
from workers.verify.leaves import LOW_COVERAGE, NO_DATA, NOT_POSITIVE, Values, score
from workers.verify.tree import GEOMETRIC, LEAF, ROOT, SUM, Node


@dataclass(slots=True)
class Evaluated:
    """Of every node its values, and of the root the coverage; arrays are (slots, entities)."""

    nodes: dict[str, Values]
    coverage: Floats


@dataclass(frozen=True, slots=True)
class World:
    """What stays the same for all evaluations of a system. `is_base`: by entity; `members`: entity -> base entities
    below it, by number, for groups only; `scales`: indicator -> 10^decimals; `base`: totals of the base period.
    """

    definition: Definition
    is_base: Bools
    members: Mapping[int, Sequence[int]]
    scales: dict[str, float]
    base: Grid


def evaluate(world: World, grid: Grid, gone: Bools) -> Evaluated:
    """All nodes of all entities in all slots. `gone` (slots, entities): merged away, so no member of a group."""
    definition = world.definition
    done: dict[str, Values] = {}
    covered: dict[str, Floats] = {}
    causes: dict[str, Codes] = {}
    for node in definition.nodes:
        if node.rule == LEAF:
            leaf = definition.leaves[node.name]
            with np.errstate(all="ignore"):
                found = score(leaf, world.scales, grid, world.base, world.is_base, definition.scale)
            covered[node.name] = np.where(found.ok, 1.0, 0.0)
        else:
            found = _node(node, definition, done, covered, causes)
        done[node.name] = found
        below = [causes[child] for child in node.children]
        own = np.where(found.ok, NO_DATA, found.why) if node.rule == LEAF else _only(found.why, NOT_POSITIVE)
        causes[node.name] = reduce(np.minimum, below, own)
    coverage = covered[ROOT]
    if definition.by_mean:
        for values in done.values():
            _mean(values, world.members)
        _mean_coverage(coverage, world.members, gone)
        root = done[ROOT]
        groups = np.zeros_like(world.is_base)
        groups[list(world.members)] = True
        root.miss((coverage < definition.min_coverage) & groups, LOW_COVERAGE)
    return Evaluated(done, coverage)


def _only(why: Codes, reason: int) -> Codes:
    return np.where(why == reason, reason, NO_DATA).astype(np.int8)


def _node(
    node: Node,
    definition: Definition,
    done: Mapping[str, Values],
    covered: dict[str, Floats],
    causes: Mapping[str, Codes],
) -> Values:
    """The node's values; its coverage goes to `covered`."""
    children = [done[child] for child in node.children]
    ok = [child.ok for child in children]
    every, some = np.logical_and.reduce(ok), np.logical_or.reduce(ok)
    with np.errstate(all="ignore"):
        v = _combine(node, children, ok, every)
        parts = [w * covered[child] for w, child in zip(node.weights, node.children, strict=True)]
        every_leaf = np.logical_and.reduce([done[leaf].ok for leaf in node.leaves])
        covered[node.name] = np.where(every_leaf, 1.0, reduce(np.add, parts))

    found = Values(v, np.zeros(v.shape, np.int8))
    cause = reduce(np.minimum, [causes[child] for child in node.children])
    missing = ~some if definition.renormalise else ~every
    found.why[missing] = cause[missing]
    if node.rule == GEOMETRIC:
        found.miss(np.logical_or.reduce([child.ok & (child.v <= 0) for child in children]), NOT_POSITIVE)
        _powers(node, found, children, every)
    found.miss(covered[node.name] < definition.min_coverage, LOW_COVERAGE)
    return found


def _combine(node: Node, children: Sequence[Values], ok: Sequence[Bools], every: Bools) -> Floats:
    """Sum or weighted mean over the present children."""
    if node.rule == GEOMETRIC:
        return np.zeros(every.shape)
    if node.rule == SUM:
        return _sum([np.where(here, child.v, -0.0) for child, here in zip(children, ok, strict=True)])
    listed = list(zip(node.weights, children, ok, strict=True))
    whole = _sum([np.where(here, w * child.v, -0.0) for w, child, here in listed])
    weight = _sum([np.where(here, w, -0.0) for w, _, here in listed])
    return np.where(every, whole, whole / np.where(every, 1.0, weight))


def _sum(terms: Sequence[Floats]) -> Floats:
    """`((t1 + t2) + t3) + ...`"""
    return reduce(np.add, terms)


def _powers(node: Node, found: Values, children: Sequence[Values], every: Bools) -> None:
    """The weighted geometric mean, where it is defined."""
    for at in np.argwhere(found.ok):
        product, weight = 1.0, -0.0
        for w, child in zip(node.weights, children, strict=True):
            if child.why[*at] == 0:
                product *= math.pow(child.v[*at], w)
                weight += w
        found.v[*at] = product if every[*at] else math.pow(product, 1 / weight)


def _mean(values: Values, members: Mapping[int, Sequence[int]]) -> None:
    """Each group's value: the mean over the members that have one."""

    def mean(row: list[float], why: list[int], cities: Sequence[int]) -> float | None:
        held = [row[city] for city in cities if why[city] == 0]
        return math.fsum(held) / len(held) if held else None

    _each_group(values.v, values.why, members, mean)


def _each_group(
    v: Floats,
    why: Codes,
    members: Mapping[int, Sequence[int]],
    mean: Callable[[list[float], list[int], Sequence[int]], float | None],
) -> None:
    for slot in range(len(v)):
        row, reasons = v[slot].tolist(), why[slot].tolist()
        for group, cities in members.items():
            found = mean(row, reasons, cities)
            v[slot, group], why[slot, group] = (0.0, NO_DATA) if found is None else (found, 0)


def _mean_coverage(coverage: Floats, members: Mapping[int, Sequence[int]], gone: Bools) -> None:
    for slot in range(len(coverage)):
        for group, cities in members.items():
            held = [float(coverage[slot, city]) for city in cities if not gone[slot, city]]
            coverage[slot, group] = math.fsum(held) / len(held) if held else 0.0
