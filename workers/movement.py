"""How a system's index moves, in a few numbers: of the nation, and how many base entities rise and fall.

Read from the board when Prometheus asks: nothing is evaluated for it. Entities and periods are no labels, since there
is no bound on them; the latest period of a grain stands for it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from index.board import Board
from index.growth import Kind
from index.periods import Grain
from index.sheet import Sheet
from workers.metrics import Sample

ROOT_ROW = 0  # of values and growths: the composite stands first


def movements(board: Board, name: str) -> Iterable[Sample]:
    """Samples, by grain, of `value`, `growth`, `coverage` or `entities`."""
    system = board.system
    nation = system.definition.nation
    row = system.layout.row_of.get(nation) if nation is not None else None
    begin, end = system.layout.range_of_kind[system.catalogue.base_kind]
    for grain, sheet in _latest(board, begin, end).items():
        values, growths = sheet.values[ROOT_ROW], sheet.growth[Kind.TO_DATE if sheet.is_open else Kind.POP, ROOT_ROW]
        if name == "value" and row is not None:
            yield from _known(grain, float(values[row]))
        elif name == "growth" and row is not None:
            yield from _known(grain, float(growths[row]))
        elif name == "coverage":
            yield (grain.label,), float(sheet.coverage[begin:end].mean())
        elif name == "entities":
            there, grown = ~np.isnan(values[begin:end]), growths[begin:end]
            moves = {
                "rising": there & (grown > 0),
                "falling": there & (grown < 0),
                "still": there & (grown == 0),
                "unknown": there & np.isnan(grown),
                "missing": ~there,
            }
            for move, which in moves.items():
                yield (grain.label, move), float(which.sum())


def _latest(board: Board, begin: int, end: int) -> dict[Grain, Sheet]:
    """Of each grain the latest period in which some base entity has a value."""
    latest: dict[Grain, Sheet] = {}
    for sheet in board.system.in_order:  # sorted: a later one replaces
        if sheet.exists and not np.isnan(sheet.values[ROOT_ROW, begin:end]).all():
            held = latest.get(sheet.period.grain)
            if held is None or sheet.period.ordinal > held.period.ordinal:
                latest[sheet.period.grain] = sheet
    return latest


def _known(grain: Grain, value: float) -> Iterable[Sample]:
    if not np.isnan(value):
        yield (grain.label,), value
