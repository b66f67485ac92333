"""Cells of one sort in memory: packed key -> slot -> value, and the names that Redis knows them by.

A slot is an index into a growing int64 array: a batch costs one look-up per touched cell and one vectorised addition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]


class Slots:
    """Cells of one sort (own cells, or day cells): packed key -> slot -> value, row and field."""

    def __init__(self, name: Callable[[int], tuple[str, str]]) -> None:
        self._name = name  # packed key -> (row key, field)
        self.slot: dict[int, int] = {}
        self.values: Int64 = np.zeros(1024, dtype=np.int64)
        self.rows: list[str] = []
        self.fields: list[str] = []

    def _add(self, packed: int, names: tuple[str, str] | None = None) -> int:
        slot = len(self.rows)
        if slot == len(self.values):
            self.values = np.concatenate([self.values, np.zeros_like(self.values)])
        row, field = names or self._name(packed)
        self.slot[packed] = slot
        self.rows.append(row)
        self.fields.append(field)
        return slot

    def put(self, packed: list[int], row: str, fields: Sequence[str], values: list[int]) -> None:
        """Set the cells of one row, as loaded."""
        first = len(self.rows)
        for key, field in zip(packed, fields, strict=True):
            self._add(key, (row, field))
        self.values[first : len(self.rows)] = values

    def value(self, packed: int) -> int:
        """Present value of one cell, 0 if there is none."""
        slot = self.slot.get(packed)
        return 0 if slot is None else int(self.values[slot])

    def add(self, packed: Int64, sums: Int64, out: dict[str, list[str | int]]) -> None:
        """Add `sums` to the distinct cells `packed`; append the new absolute values to `out`, row by row."""
        get, add = self.slot.get, self._add
        keys = packed.tolist()
        slots = [get(k) for k in keys]
        if None in slots:
            slots = [add(k) if s is None else s for k, s in zip(keys, slots, strict=True)]
        where = np.array(slots, dtype=np.int64)
        self.values[where] += sums
        rows, fields = self.rows, self.fields
        for slot, value in zip(slots, self.values[where].tolist(), strict=True):
            row = rows[slot]  # type: ignore[index]
            line = out.get(row)
            if line is None:
                out[row] = [row, fields[slot], value]  # type: ignore[index]
            else:
                line.append(fields[slot])  # type: ignore[index]
                line.append(value)

    def within(self, packed: Int64, magnitude: NDArray[np.float64], bound: float) -> bool:
        """Whether no order of adding sums of these magnitudes can leave the bound (a sufficient check)."""
        get = self.slot.get
        values = self.values
        slots = np.fromiter((get(k, -1) for k in packed.tolist()), dtype=np.int64, count=len(packed))
        old = np.where(slots >= 0, np.abs(values[slots]), 0).astype(np.float64)
        return bool(np.all(old + magnitude < bound))


def segments(keys: Int64) -> tuple[NDArray[np.intp], NDArray[np.intp], Int64]:
    """Order that sorts `keys`, the starts of equal runs in it, and the distinct keys."""
    order = np.argsort(keys, kind="stable")
    sorted_keys = keys[order]
    starts = np.flatnonzero(np.concatenate(([True], sorted_keys[1:] != sorted_keys[:-1])))
    return order, starts, sorted_keys[starts]
