"""How far a rank hangs on who sat in the expert panel: Monte Carlo over the panels (docs/formats.md section 7).

In each draw every panel's experts are drawn anew, as many, with replacement (the bootstrap: B. Efron, Annals of
Statistics 7, 1979; of composite indicators' weights: OECD/JRC Handbook on Constructing Composite Indicators, 2008, step
7). The weights follow, from them the root's value of every row, and from these the ranks. What is missing is as
published: neither coverage nor presence is judged anew by drawn weights.

The draws depend on the definition only, so they are made once. A computation costs draws x rows x nodes, as columns
[draws, rows] in blocks of draws; nothing loops over rows. No clock and no state: the caller's arrays are only read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.definition import Definition
from index.elementwise import powers
from index.layout import Layout
from index.outline import Outline
from index.tree import GEOMETRIC, ROOT, SUM, Node, Tree

Floats = NDArray[np.float64]
Ranks = NDArray[np.int64]
_BLOCK = 1 << 19  # numbers of one column block [draws, rows]: 4 MB, so that a few of them stay in the cache


class Interval(NamedTuple):
    """One table: its rows by rank, then code, with the least and the greatest rank that they have in the level."""

    ranking: str
    scope: str | None
    entity: list[str]
    rank: list[int]
    rank_low: list[int]
    rank_high: list[int]


class Robustness:
    """The drawn weights of one definition, and what they make of a period's values."""

    def __init__(self, definition: Definition) -> None:
        """ValueError for a definition without `[robustness]`."""
        settings = definition.robustness
        if settings is None:
            raise ValueError(f"{definition.system}: has no [robustness]; add draws, seed and level")
        self.draws, self.level = settings.draws, settings.level
        self._definition = definition
        self._weights = drawn_weights(definition.tree, settings.draws, settings.seed)

    def intervals(self, layout: Layout, outlines: Sequence[Outline], values: Floats) -> Iterator[Interval]:
        """The intervals of every table that ranks entities by the root's value.

        `values` float64[nodes, rows]: a period's published values of all nodes and rows, NaN where missing.
        """
        chosen = [outline for outline in outlines if ranks_by_root(outline)]
        if not chosen:
            return
        drawn = self.roots(layout, values)
        for outline in chosen:
            yield from _tables(outline, values[0], drawn, self.level)

    def roots(self, layout: Layout, values: Floats) -> Floats:
        """The root's value of every row in every draw, float64[draws, rows]; NaN where it is missing."""
        n = values.shape[1]
        drawn = np.empty((self.draws, n))
        step = max(1, _BLOCK // max(1, n))
        for start in range(0, self.draws, step):
            block = slice(start, start + step)
            drawn[block] = _evaluate(self._definition, self._weights, values, block)
        drawn[:, np.isnan(values[0])] = np.nan
        if self._definition.group_rule == "mean":
            for code, members in layout.members.items():
                drawn[:, layout.row_of[code]] = _means(drawn, members)
        return drawn


def ranks_by_root(outline: Outline) -> bool:
    """Whether a ranking orders entities by the value of the root."""
    ranking = outline.ranking
    return ranking.of_entities and ranking.measure == "value" and ranking.node == ROOT


def drawn_weights(tree: Tree, draws: int, seed: int) -> list[Floats | None]:
    """Per node float64[draws, children], None where it has no panel; draw by draw, panel by panel in tree order.

    The children that `industries =` made have one panel between them, drawn where the first of them stands.
    """
    rng = np.random.default_rng(seed)
    parent = {child: number for number, node in enumerate(tree.nodes) for child in node.children}
    made_by_industries, owner = set(tree.industry_nodes), dict[int, int]()
    weights: list[Floats | None] = [None] * len(tree.nodes)
    panels: list[tuple[NDArray[np.int64], Floats]] = []
    for number, node in enumerate(tree.nodes):
        if not node.panel:
            continue
        if number in made_by_industries:
            first = owner.setdefault(parent[number], number)
            if first != number:
                weights[number] = weights[first]
                continue
        weights[number] = drawn = np.empty((draws, len(node.children)))
        panels.append((np.array(node.panel, np.int64), drawn))
    for draw in range(draws):
        for panel, drawn in panels:
            scores = panel[rng.integers(0, len(panel), len(panel))].sum(axis=0)
            drawn[draw] = scores / scores.sum()  # integers below 2^53: one rounding, as in index.weights
    return weights


def _evaluate(definition: Definition, weights: list[Floats | None], values: Floats, block: slice) -> Floats:
    """The root [draws of the block, rows], from the leaves up; a node without a drawn one below is [1, rows]."""
    tree, there = definition.tree, ~np.isnan(values)
    columns: list[Floats] = [values[number : number + 1] for number in range(len(tree.nodes))]
    for number in range(len(tree.nodes) - 1, -1, -1):
        node = tree.nodes[number]
        if node.leaf >= 0:
            continue
        drawn = weights[number]
        each = list(drawn[block].T[:, :, None]) if drawn is not None else [np.array(w) for w in node.weights]
        below = [columns[child] for child in node.children]
        if drawn is None and all(column is values[c : c + 1] for c, column in zip(node.children, below, strict=True)):
            continue
        columns[number] = _combine(node, below, each, there[list(node.children)])
    return columns[0]


def _combine(node: Node, below: list[Floats], weights: list[Floats], there: NDArray[np.bool_]) -> Floats:
    """One node from its children [draws or 1, rows] by weights [draws, 1] or []; `there` [children, rows].

    As docs/formats.md section 4, in its order; over the children that are there.
    """
    summed, geometric = node.aggregate == SUM, node.aggregate == GEOMETRIC
    whole = bool(there.all())
    total, used = np.zeros((1, 1)), np.zeros((1, 1))
    begun = np.zeros(there.shape[1], np.bool_)
    for number, (column, weight) in enumerate(zip(below, weights, strict=True)):
        term = _power(column, weight) if geometric else column if summed else column * weight
        if whole:
            total = term if number == 0 else total * term if geometric else total + term
            continue
        here = there[number]
        joined = total * term if geometric else total + term
        total = np.where(here, np.where(begun, joined, term), total)
        used = np.where(here, used + weight, used)
        begun = begun | here
    if whole or summed:
        return total
    complete = there.all(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = _power(total, 1.0 / used) if geometric else total / used
    return np.where(complete, total, np.where(begun, scaled, np.nan))


def _power(x: Floats, exponents: Floats) -> Floats:
    """x to the power, broadcast; NaN where x is not positive. Equal numbers have equal powers (`index.elementwise`)."""
    x, exponents = np.broadcast_arrays(x, exponents)
    positive = x > 0
    found = np.full(x.shape, np.nan)
    found[positive] = powers(x[positive], exponents[positive])
    return found


def _means(drawn: Floats, members: NDArray[np.int64]) -> Floats:
    """[draws]: the exact mean of the members that have a value; NaN where none has."""
    columns = drawn[:, members]
    columns = columns[:, ~np.isnan(columns).all(axis=0)]
    if not columns.shape[1]:
        return np.full(len(drawn), np.nan)
    there = [[v for v in row if v == v] for row in columns.tolist()]
    return np.array([math.fsum(row) / len(row) if row else math.nan for row in there])


def _tables(outline: Outline, published: Floats, drawn: Floats, level: float) -> Iterator[Interval]:
    """The intervals of each scope of one ranking, in scope order; a scope in which nobody has a value has none."""
    ranking = outline.ranking
    n_draws = len(drawn)
    low = math.floor((1 - level) / 2 * n_draws)
    high = n_draws - 1 - low
    for scope, name in enumerate(outline.scopes):
        places = np.arange(outline.starts[scope], outline.starts[scope + 1])
        places = places[~np.isnan(published[outline.row[places]])]
        if not len(places):
            continue
        rows = outline.row[places]
        rank = competition_ranks(_keys(outline, published[rows])[None])[0]
        ranks = competition_ranks(_keys(outline, drawn[:, rows]))
        ranks.partition((low, high), axis=0)
        order = np.argsort(rank, kind="stable")  # places are in code order
        yield Interval(
            ranking.name,
            name,
            [outline.codes[place] for place in places[order].tolist()],
            rank[order].tolist(),
            ranks[low, order].tolist(),
            ranks[high, order].tolist(),
        )


def _keys(outline: Outline, values: Floats) -> Floats:
    """What is ranked, the greatest first."""
    decimals = outline.ranking.rank_decimals
    keys = values if decimals is None else np.rint(values * 10.0**decimals)
    return -keys if outline.ranking.rising else keys


def competition_ranks(keys: Floats) -> Ranks:
    """[draws, n] -> 1 + number of strictly greater keys of the same draw; a missing one (NaN) comes last."""
    falling = np.where(np.isnan(keys), np.inf, -keys)
    order = np.argsort(falling, axis=1)
    ordered = np.take_along_axis(falling, order, axis=1)
    begins = np.ones(ordered.shape, np.bool_)
    np.not_equal(ordered[:, 1:], ordered[:, :-1], out=begins[:, 1:])
    first = np.maximum.accumulate(np.where(begins, np.arange(1, keys.shape[1] + 1), 0), axis=1)
    ranks = np.empty(ordered.shape, np.int64)
    np.put_along_axis(ranks, order, first, axis=1)
    return ranks
