"""Cells of one sort in memory: packed key -> slot -> value, and the names that Redis knows them by.

A slot is an index into a growing int64 array. Slots come in blocks: one block for a (period, city, indicator), with a
slot for each low part of the key (an industry, or a day of the month). So a batch costs one look-up of a block per
touched cell, in a small dict, and arithmetic for the rest; a new day of a known month costs nothing. Memory: about 150
bytes a block and 8 a slot, with no object per cell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from index.changes import GONE
from state.packing import INDICATOR_BITS

Int64 = NDArray[np.int64]
K = TypeVar("K")
T = TypeVar("T")


class Made(dict[K, T]):
    """Code -> what `make` makes of it on first use; a look-up of what is there is one call into C."""

    def __init__(self, make: Callable[[K], T]) -> None:
        self._make = make

    def __missing__(self, code: K) -> T:
        self[code] = made = self._make(code)
        return made


class Slots:
    """Cells of one sort. A key is (period, city, indicator, low), high bits first: sorted keys come row by row."""

    def __init__(
        self,
        low_bits: int,
        block_size: Callable[[int], int],
        row_name: Callable[[int], str],
        field_codes: Callable[[Int64], Int64],
        field_name: Callable[[int], str],
    ) -> None:
        """`low_bits`: width of the low part; `block_size`: how many lows an indicator has; `row_name`: of a key's high
        bits (period, city); `field_name`: of what `field_codes` makes of keys (few distinct codes, kept for ever).
        """
        self._low_bits, self._low = low_bits, (1 << low_bits) - 1
        self._block_size, self._field_codes = block_size, field_codes
        self._rows, self._fields = Made(row_name), Made(field_name)
        self._starts = Made(self._open)  # key without its low part -> first slot of the block
        self._used = 0
        self.values: Int64 = np.zeros(1024, dtype=np.int64)

    def _open(self, block: int) -> int:
        start = self._used
        self._used += self._block_size(block & (1 << INDICATOR_BITS) - 1)
        if self._used > len(self.values):
            grown = np.zeros(2 * self._used, dtype=np.int64)
            grown[: len(self.values)] = self.values
            self.values = grown
        return start

    def _slots(self, packed: Int64) -> Int64:
        """Slots of keys; blocks that are new are opened, with zeros. May replace `values`."""
        starts = list(map(self._starts.__getitem__, (packed >> self._low_bits).tolist()))
        return np.array(starts, dtype=np.int64) + (packed & self._low)

    def put(self, packed: Int64, values: Int64) -> None:
        """Set cells, as loaded."""
        where = self._slots(packed)
        self.values[where] = values

    def value(self, packed: int) -> int:
        """Present value of one cell, 0 if there is none."""
        start = self._starts.get(packed >> self._low_bits)
        return 0 if start is None else int(self.values[start + (packed & self._low)])

    def add(
        self, packed: Int64, sums: Int64, out: dict[str, list[str | int]], dropped: NDArray[np.bool_] | None = None
    ) -> None:
        """Add `sums` to the cells `packed` (distinct, ascending, at least one); put the rows that they stand in, with
        their new absolute values, into `out`. `dropped`: the cells whose last event was a drop; of these, the ones that
        hold 0 now have ended.
        """
        where = self._slots(packed)
        self.values[where] += sums
        pairs: list[str | int] = [0] * (2 * len(packed))
        pairs[::2] = map(self._fields.__getitem__, self._field_codes(packed).tolist())
        pairs[1::2] = self.values[where].tolist()
        if dropped is not None:
            for i in np.flatnonzero(dropped & (self.values[where] == 0)).tolist():
                pairs[2 * i + 1] = GONE
        codes = packed >> self._low_bits + INDICATOR_BITS
        starts = np.concatenate(([0], np.flatnonzero(codes[1:] != codes[:-1]) + 1))
        begins = (starts * 2).tolist()
        rows = map(self._rows.__getitem__, codes[starts].tolist())
        for row, begin, end in zip(rows, begins, [*begins[1:], len(pairs)], strict=True):
            out[row] = [row, *pairs[begin:end]]

    def within(self, packed: Int64, magnitude: NDArray[np.float64], bound: float) -> bool:
        """Whether no order of adding sums of these magnitudes can leave the bound (a sufficient check)."""
        where = self._slots(packed)
        return bool(np.all(np.abs(self.values[where]).astype(np.float64) + magnitude < bound))


def segments(keys: Int64) -> tuple[NDArray[np.intp], NDArray[np.intp], Int64]:
    """Order that sorts `keys`, the starts of equal runs in it, and the distinct keys."""
    order = np.argsort(keys, kind="stable")
    sorted_keys = keys[order]
    starts = np.flatnonzero(np.concatenate(([True], sorted_keys[1:] != sorted_keys[:-1])))
    return order, starts, sorted_keys[starts]
