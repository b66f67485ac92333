"""Why a value moved: the move of an entity's index since the predecessor, or the year before, split without a remainder
by indicator, by city of a group, and by both.

A pure reading of a board's present state, between two diffs: for the command, and for alerts. The parts are doubles
whose exact sum (`math.fsum`) is the published move, v(P) - v(Q), to the bit (`index.explain_parts`); how a leaf's move
reaches the root is `index.explain_tree`, what of it is the leaf's own and of which city, `index.explain_leaves`.

A group under `sum` is explained by its own amounts, which are the sums of its cities'; under `mean` as the mean of its
cities' explanations, where the cities that came or went are a part of their own. Cost: nodes x cities of the group.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from index.explain_leaves import Floats, Side, leaf_moves, member_moves
from index.explain_parts import (
    AVAILABILITY,
    CITY,
    INDICATOR,
    MEMBERSHIP,
    REFERENCE,
    ROUNDING,
    TOGETHER,
    Amount,
    Cell,
    Part,
    exactly,
    settled,
)
from index.explain_sides import Sides, sides_of
from index.explain_tree import worth
from index.periods import Period
from index.system import System

Against = Literal["pop", "yoy"]


class Explanation(Struct, frozen=True):
    """One entity's move from period `other` to `period`. `days`: how many days of each count (an open period to date),
    None: all.

    `move` = after - before. `reason`: why there is no split (then there is no move either, and the values are those of
    the whole periods), `why`: why the value is missing that it speaks of; `growth_reason`: why there is no growth.
    Parts, the largest first: `indicators`, and of a group `cities` (with what no city alone did, under its cause) and
    `cells`; each list sums to `move`, and holds what is not 0.
    """

    system: str
    entity: str
    kind: str
    period: str
    other: str
    against: str
    definition: int
    days: int | None
    before: float | None
    after: float | None
    move: float | None
    growth: float | None
    reason: str | None
    why: str | None
    growth_reason: str | None
    indicators: list[Part]
    cities: list[Part]
    cells: list[Cell]


class _Split(NamedTuple):
    indicators: list[Part]
    cities: list[Part]
    cells: list[Cell]


def explain(system: System, entity: str, period: Period, against: Against = "pop") -> Explanation:
    """The move of `entity` to `period`. ValueError where the system has no such entity or period."""
    layout = system.layout
    row = layout.row_of.get(entity)
    if row is None:
        raise ValueError(f"{entity!r} is no entity of {system.definition.system}; groups are those of its kinds")
    if not system.supports(period):
        raise ValueError(f"{period.name} is no period of {system.definition.system}; see its grains and the years")
    found = sides_of(system, row, period, against)
    before, after = found.before_value, found.after_value
    move, split = None, _Split([], [], [])
    if found.reason is None:
        assert before is not None
        assert after is not None
        move = after - before
        split = _split(system, entity, found, move)
    return Explanation(
        system=system.definition.system,
        entity=entity,
        kind=layout.kinds[row],
        period=period.name,
        other=found.other.name,
        against=against,
        definition=system.definition.version,
        days=found.days,
        before=before,
        after=after,
        move=move,
        growth=found.growth,
        reason=found.reason,
        why=found.why,
        growth_reason=found.growth_reason,
        indicators=split.indicators,
        cities=split.cities,
        cells=split.cells,
    )


def _split(system: System, entity: str, found: Sides, move: float) -> _Split:
    before, after = found.before, found.after
    if found.members is None:
        return _Split(_of_amounts(system, before, after, move), [], [])
    cities = [system.layout.codes[row] for row in found.members.tolist()]
    if system.definition.mean_of_members:
        return _of_mean(system, before, after, cities, move)
    indicators = _of_amounts(system, before, after, move)
    return _by_city(system, before, after, cities, indicators, move)


def _of_amounts(system: System, before: Side, after: Side, move: float) -> list[Part]:
    """The parts of the entity in the first column."""
    tree = system.definition.tree
    before, after = _column(before, 0), _column(after, 0)
    worths = worth(tree, before.values, after.values)
    moves = leaf_moves(system.definition, system.base, before, after)
    parts = []
    for number, node in enumerate(tree.nodes):
        if node.leaf >= 0:
            factor = float(worths.factor[number, 0])
            parts.append(_leaf_part(system, number, before, after, factor * float(moves.own[node.leaf, 0])))
            parts.append(Part(REFERENCE, node.name, factor * float(moves.reference[node.leaf, 0])))
        else:
            parts.append(_availability(system, number, before, after, float(worths.availability[number, 0])))
    return exactly(parts, move)


def _by_city(
    system: System, before: Side, after: Side, cities: list[str], indicators: list[Part], move: float
) -> _Split:
    """Under `sum`: each indicator's part by city, in proportion to the exact moves of their amounts."""
    tree = system.definition.tree
    group0, group1 = _column(before, 0), _column(after, 0)
    worths = worth(tree, group0.values, group1.values)
    cells: list[Cell] = []
    for part in indicators:
        moves = None
        if part.cause == INDICATOR:
            number = tree.number_of[part.name]
            moves = member_moves(system.definition, system.base, tree.nodes[number].leaf, before, after)
        if moves is None or not moves.any():
            cells.append(Cell(part.cause, part.name, None, part.move))
            continue
        chosen = np.flatnonzero(moves).tolist()
        parts, _ = settled((moves[chosen] * worths.factor[number, 0]).tolist(), part.move)
        cells += (Cell(INDICATOR, part.name, cities[c], m) for c, m in zip(chosen, parts, strict=True))
    here0, here1 = (np.any(side.present[:, 1:], axis=0).tolist() for side in (before, after))
    sums: dict[tuple[str, str], list[float]] = {}
    for cell in cells:
        cause = CITY if cell.city is not None else TOGETHER if cell.cause == INDICATOR else cell.cause
        sums.setdefault((cause, cell.city or cell.name), []).append(cell.move)
    place = {city: number for number, city in enumerate(cities)}
    parts_by_city = []
    for (cause, name), several in sums.items():
        total, number = math.fsum(several), place.get(name, -1)
        if cause != CITY:
            parts_by_city.append(Part(cause, name, total))
            continue
        note = "" if here0[number] and here1[number] else "came" if here1[number] else "went"
        values = _optional(before.values[0, 1 + number]), _optional(after.values[0, 1 + number])
        parts_by_city.append(Part(MEMBERSHIP if note else CITY, name, total, *values, note=note))
    return _Split(indicators, exactly(parts_by_city, move), _cells(cells, move))


def _of_mean(system: System, before: Side, after: Side, cities: list[str], move: float) -> _Split:
    """Under `mean`: the mean of the cities' own splits, over those with a value on both sides."""
    tree = system.definition.tree
    v0, v1 = before.values[0, 1:], after.values[0, 1:]
    here0, here1 = ~np.isnan(v0), ~np.isnan(v1)
    both = here0 & here1
    share0, share1 = 1 / int(here0.sum()), 1 / int(here1.sum())  # the group has a value on both sides
    share = (share0 + share1) / 2
    shift = np.where(both, (share1 - share0) * ((v1 + v0) / 2), 0.0)
    shift += np.where(here1 & ~both, v1 * share1, 0.0) - np.where(here0 & ~both, v0 * share0, 0.0)
    came = [c for c, new in zip(cities, (here1 & ~both).tolist(), strict=True) if new]
    went = [c for c, old in zip(cities, (here0 & ~both).tolist(), strict=True) if old]
    membership = Part(
        MEMBERSHIP, "", math.fsum(np.nan_to_num(shift).tolist()) if came or went else 0.0, note=_note(came, went)
    )
    columns = np.flatnonzero(both)
    one0, one1 = _column(before, 1 + columns), _column(after, 1 + columns)
    worths = worth(tree, one0.values, one1.values)
    moves = leaf_moves(system.definition, system.base, one0, one1)
    group0, group1 = _column(before, 0), _column(after, 0)
    parts, cells = [membership], [Cell(MEMBERSHIP, "", None, membership.move)]

    def add(part: Part, each: Floats) -> None:
        parts.append(part)
        cells.extend(
            Cell(part.cause, part.name, cities[c], m)
            for c, m in zip(columns.tolist(), (each * share).tolist(), strict=True)
            if m != 0.0
        )

    for number, node in enumerate(tree.nodes):
        if node.leaf >= 0:
            own = worths.factor[number] * moves.own[node.leaf]
            reference = worths.factor[number] * moves.reference[node.leaf]
            add(_leaf_part(system, number, group0, group1, _sum(own, share)), own)
            add(Part(REFERENCE, node.name, _sum(reference, share)), reference)
        else:
            lacking = worths.availability[number]
            add(Part(AVAILABILITY, node.name, _sum(lacking, share)), lacking)
    by_city = [
        Part(CITY, cities[c], share * (float(v1[c]) - float(v0[c])), float(v0[c]), float(v1[c]))
        for c in columns.tolist()
    ]
    return _Split(exactly(parts, move), exactly([*by_city, membership], move), _cells(cells, move))


def _sum(each: Floats, share: float) -> float:
    return math.fsum((each * share).tolist())


def _cells(cells: Sequence[Cell], move: float) -> list[Cell]:
    """Those that moved, with the rounding remainder of all of them."""
    moved = [cell for cell in cells if cell.move != 0.0]
    exact, left = settled([cell.move for cell in moved], move)
    made = [Cell(cell.cause, cell.name, cell.city, m) for cell, m in zip(moved, exact, strict=True)]
    return [*made, Cell(ROUNDING, "", None, left)] if left else made


def _leaf_part(system: System, number: int, before: Side, after: Side, move: float) -> Part:
    node = system.definition.tree.nodes[number]
    leaf = system.definition.leaves[node.leaf]
    indicator = system.catalogue.indicators[system.catalogue.indicator_index[leaf.indicator]]
    then, now = (int(side.amounts[node.leaf, 0]) if side.present[node.leaf, 0] else None for side in (before, after))
    amount = Amount(then, now, indicator.decimals, indicator.unit)
    values = _optional(before.values[number, 0]), _optional(after.values[number, 0])
    return Part(INDICATOR, node.name, move, *values, amount)


def _availability(system: System, number: int, before: Side, after: Side, move: float) -> Part:
    tree = system.definition.tree
    node = tree.nodes[number]
    here0, here1 = (~np.isnan(side.values[list(node.children), 0]) for side in (before, after))
    names = [tree.names[child] for child in node.children]
    came = [name for name, then, now in zip(names, here0, here1, strict=True) if now and not then]
    went = [name for name, then, now in zip(names, here0, here1, strict=True) if then and not now]
    values = _optional(before.values[number, 0]), _optional(after.values[number, 0])
    return Part(AVAILABILITY, node.name, move, *values, note=_note(came, went))


def _note(came: list[str], went: list[str]) -> str:
    said = [f"{word}: {', '.join(names)}" for word, names in (("came", came), ("went", went)) if names]
    return "; ".join(said)


def _column(side: Side, columns: int | NDArray[np.int64]) -> Side:
    chosen = [columns] if isinstance(columns, int) else columns
    return Side(side.values[:, chosen], side.amounts[:, chosen], side.present[:, chosen], side.populations)


def _optional(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
