"""Competition ranks (1, 2, 2, 4), kept so that one moved row costs two binary searches and a memmove.

rank = 1 + number of rows with a strictly greater key. A table of one scope is its present keys in ascending order and
nothing else: a rank is a binary search, and rows that merely shift are never visited. Python's list beats an array
here: bisect and insert on 40,000 floats take 2 and 10 us without numpy's call overhead.

What an unmoved row with key u shifts by follows from the moved rows alone: (new keys > u) - (old keys > u). So the
shift is constant between neighbouring old or new keys of moved rows, and the rows there are a range of old ranks.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Shift = list[int]  # [first, last, by]: old ranks first..last of unmoved rows move by that much


class Moved(NamedTuple):
    """Ranks of moved rows before and after (None: not in the table), and what the others shift by."""

    was: list[int | None]
    rank: list[int | None]
    shifted: list[Shift]


class RankTable:
    """The keys of one table, ascending."""

    __slots__ = ("_keys",)

    def __init__(self, keys: NDArray[np.float64]) -> None:
        """float64[n]; NaN: a row that is not in the table. O(n log n)."""
        self._keys: list[float] = np.sort(keys[~np.isnan(keys)]).tolist()

    def __len__(self) -> int:
        """Rows in the table."""
        return len(self._keys)

    def rank(self, key: float) -> int:
        """The rank that a row with this key has, or would have."""
        return 1 + len(self._keys) - bisect_right(self._keys, key)

    def ranks(self, keys: Sequence[float | None]) -> list[int | None]:
        """The rank of each key; None stays None."""
        table, top = self._keys, len(self._keys) + 1
        return [None if key is None else top - bisect_right(table, key) for key in keys]

    def update(self, old: Sequence[float | None], new: Sequence[float | None]) -> Moved:
        """Move rows from their old to their new keys (None: not in the table before, after)."""
        table = self._keys
        was = self.ranks(old)
        before = [key for key in old if key is not None]
        after = [key for key in new if key is not None]
        shifted = self._shifts(before, after)
        for key in before:
            del table[bisect_left(table, key)]
        for key in after:
            insort(table, key)
        return Moved(was, self.ranks(new), shifted)

    def _shifts(self, before: list[float], after: list[float]) -> list[Shift]:
        """Ranges of old ranks and their shifts, from the highest key down.

        Neighbours with the same shift are one range.
        """
        table, n = self._keys, len(self._keys)
        balance: dict[float, int] = {}
        left: dict[float, int] = {}
        for key in after:
            balance[key] = balance.get(key, 0) + 1
        for key in before:
            balance[key] = balance.get(key, 0) - 1
            left[key] = left.get(key, 0) + 1
        shifts: list[Shift] = []
        joins = False  # whether the last row seen, above, belongs to the last range
        by = above = 0  # above: rows with keys at or above the previous breakpoint
        for key in sorted(balance, reverse=True):
            greater, at_least = n - bisect_right(table, key), n - bisect_left(table, key)
            stays = (
                at_least - greater - left.get(key, 0)
            )  # unmoved rows with exactly this key: same shift as those just above it
            if stays or greater > above:
                joins = _extend(shifts, above + 1, greater + 1 if stays else greater, by, joins)
            by += balance[key]
            above = at_least
        if n > above:
            _extend(shifts, above + 1, n, by, joins)
        return shifts


def _extend(shifts: list[Shift], first: int, last: int, by: int, joins: bool) -> bool:
    """Add a range of rows to the list; returns whether the next one below may join it."""
    if by == 0:
        return False
    if joins and shifts[-1][2] == by:
        shifts[-1][1] = last
    else:
        shifts.append([first, last, by])
    return True


class Ranks(NamedTuple):
    """Ranks of all places of several scopes at once. `rank` int32[m], 0 where not in the table; `order` int64[m]: the
    places by scope, then rank, then place; those that are not in the table last within their scope."""

    rank: NDArray[np.int32]
    order: NDArray[np.int64]


def rank_all(keys: NDArray[np.float64], scope: NDArray[np.int64], starts: NDArray[np.int64]) -> Ranks:
    """keys float64[m] (NaN.

    Not in the table), grouped by scope: scope[i] holds places starts[i] .. starts[i+1]-1. O(m log m).
    """
    m = len(keys)
    falling = np.where(np.isnan(keys), np.inf, -keys)
    order = np.argsort(falling, kind="stable") if len(starts) == 2 else np.lexsort((falling, scope))
    ordered = falling[order]
    place = np.arange(m)
    begins = np.empty(m, np.bool_)
    begins[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=begins[1:])
    begins[starts[:-1][starts[:-1] < m]] = True
    first = np.maximum.accumulate(np.where(begins, place, 0))
    ranks = first - starts[scope] + 1  # scopes keep their places: `order` permutes only within each
    ranks[np.isinf(ordered)] = 0
    rank = np.empty(m, np.int32)
    rank[order] = ranks
    return Ranks(rank, order)
