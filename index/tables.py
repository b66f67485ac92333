"""The tables of one ranking in one period: one, or one per scope.

A place is a (scope, row) pair; places are grouped by scope, rows ascending within each, so in code order. What a table
was published with is kept per place: the measure, and why it is missing. An update puts new measures in some places and
says what moved.

Few moved places go through `RankTable`, one by one, so an event costs the same whatever the number of cities. Many (a
new day, a restated base) are ranked afresh, all scopes in one pass. Both give the same ranks; `shifted` may cut ranges
that hold the same rows differently.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.outline import Outline, Places
from index.rank import Ranks, RankTable, Shift, rank_all
from index.reasons import WORDS, Reason

Floats = NDArray[np.float64]
Reasons = NDArray[np.int8]
# Ranking afresh costs about as much as 24 + places/48 single moves (measured at 351 and 40,000 cities).
_FEW, _FRACTION = 24, 48
_UNKNOWN = int(Reason.UNKNOWN)
_GREATEST = np.finfo(np.float64).max


class TableMove(NamedTuple):
    """What moved in the table of one scope.

    Moved rows by place; `ranked`: a rank or the size changed, not only values.
    """

    scope: int
    size: int
    entity: list[str]
    was: list[int | None]
    rank: list[int | None]
    value: list[float | None]
    shifted: list[Shift]
    ranked: bool


class Tables:
    """See the head of this file. Values are those last published."""

    __slots__ = ("_lists", "_ranks", "outline", "values", "why")

    def __init__(self, outline: Outline) -> None:
        """All places missing, for a reason not known."""
        self.outline = outline
        self.values: Floats = np.full(outline.n, np.nan)
        self.why: Reasons = np.full(outline.n, _UNKNOWN, np.int8)
        self._ranks: Ranks | None = None
        self._lists: dict[int, RankTable] = {}

    def update(self, places: Places, values: Floats, why: Reasons) -> tuple[list[TableMove], list[int]]:
        """New measures of some places -> the moves, by scope, and the scopes whose tables differ (also those only in
        left_out).
        """
        old, old_why = self.values[places], self.why[places]
        moved = old.view(np.int64) != values.view(np.int64)
        other_reason = (old_why != why) & (old_why != _UNKNOWN)
        differs = moved | other_reason
        self.why[places] = why
        if not differs.any():
            return [], []
        scopes = sorted(set(self.outline.scope[places[differs]].tolist()))
        if not moved.any():
            return [], scopes
        places, old, values = places[moved], old[moved], values[moved]
        if len(places) <= _FEW + self.outline.n // _FRACTION:
            return self._move(places, old, values), scopes
        return self._rank_afresh(places, old, values), scopes

    def ranks(self) -> Ranks:
        """Ranks of all places as published."""
        if self._ranks is None:
            outline = self.outline
            self._ranks = rank_all(self._keys(self.values), outline.scope, outline.starts)
        return self._ranks

    def _keys(self, values: Floats) -> Floats:
        """What is ranked, the greatest first: values, or rounded ones; of a rising order with the other sign."""
        decimals, rising = self.outline.ranking.rank_decimals, self.outline.ranking.rising
        if decimals is not None:
            with np.errstate(over="ignore"):  # an infinite key would look like a missing one
                values = np.clip(np.rint(values * 10.0**decimals), -_GREATEST, _GREATEST)
        return -values if rising else values

    def _move(self, places: Places, old: Floats, values: Floats) -> list[TableMove]:
        """A few moved places, one scope after the other."""
        outline = self.outline
        old_keys, new_keys = optional(self._keys(old)), optional(self._keys(values))
        new_values, where = optional(values), places.tolist()
        scope_of = outline.scope[places].tolist()
        tables = {s: self._list(s) for s in dict.fromkeys(scope_of)}  # made from the values before
        self.values[places] = values
        self._ranks = None
        moves = []
        begin = 0
        while begin < len(where):
            scope = scope_of[begin]
            end = begin + 1
            while end < len(where) and scope_of[end] == scope:
                end += 1
            table = tables[scope]
            entity = [outline.codes[place] for place in where[begin:end]]
            was, rank, shifted = table.update(old_keys[begin:end], new_keys[begin:end])
            ranked = bool(shifted) or was != rank
            moves.append(TableMove(scope, len(table), entity, was, rank, new_values[begin:end], shifted, ranked))
            begin = end
        return moves

    def _list(self, scope: int) -> RankTable:
        table = self._lists.get(scope)
        if table is None:
            start, end = self.outline.starts[scope : scope + 2]
            table = self._lists[scope] = RankTable(self._keys(self.values[start:end]))
        return table

    def _rank_afresh(self, places: Places, old: Floats, values: Floats) -> list[TableMove]:
        """Many moved places, all scopes in one pass."""
        outline = self.outline
        before = self.ranks()
        self.values[places] = values
        self._ranks = None
        self._lists.clear()
        after = self.ranks()
        was, rank = before.rank[places], after.rank[places]
        entity = [outline.codes[place] for place in places.tolist()]
        was_list, rank_list, value_list = ranks_or_none(was), ranks_or_none(rank), optional(values)
        first, last, by, shift_scope = self._shifts(places, before, after)
        shifts = np.stack((first, last, by), axis=1).tolist()
        every = np.arange(len(outline.scopes) + 1)
        cuts = np.searchsorted(outline.scope[places], every).tolist()
        shift_cuts = np.searchsorted(shift_scope, every).tolist()
        present = np.concatenate(([0], np.cumsum(after.rank > 0)))
        sizes = (present[outline.starts[1:]] - present[outline.starts[:-1]]).tolist()
        changed = np.concatenate(([0], np.cumsum(was != rank)))
        moves = []
        for scope in range(len(outline.scopes)):
            low, high = cuts[scope], cuts[scope + 1]
            if low == high:
                continue
            shifted = shifts[shift_cuts[scope] : shift_cuts[scope + 1]]
            ranked = bool(shifted) or bool(changed[high] - changed[low])
            part = slice(low, high)
            moves.append(
                TableMove(
                    scope,
                    sizes[scope],
                    entity[part],
                    was_list[part],
                    rank_list[part],
                    value_list[part],
                    shifted,
                    ranked,
                )
            )
        return moves

    def _shifts(self, places: Places, before: Ranks, after: Ranks) -> tuple[NDArray[Any], ...]:
        """Runs of unmoved rows with the same shift: first and last old rank, shift, scope; by scope, then rank."""
        stays = before.rank > 0
        stays[places] = False
        unmoved = before.order[stays[before.order]]
        old = before.rank[unmoved]
        by = after.rank[unmoved] - old
        scope = self.outline.scope[unmoved]
        edge = np.flatnonzero((by[1:] != by[:-1]) | (scope[1:] != scope[:-1])) + 1
        first = np.concatenate((np.zeros(min(1, len(by)), np.int64), edge))
        last = np.concatenate((edge - 1, np.full(min(1, len(by)), len(by) - 1)))
        real = by[first] != 0
        first, last = first[real], last[real]
        return old[first], old[last], by[first], scope[first]


def optional(values: Floats) -> list[float | None]:
    """As Python floats, None for NaN."""
    return [None if value != value else value for value in values.tolist()]


def ranks_or_none(ranks: NDArray[np.int32]) -> list[int | None]:
    """As Python ints, None for 0."""
    return [rank or None for rank in ranks.tolist()]


def reasons(why: Reasons) -> list[str]:
    """As words."""
    return [WORDS[code] for code in why.tolist()]
