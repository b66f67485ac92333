"""Amounts as doubles in columns: an array over (slot, entity) per column of amounts, from DuckDB.

A slot is one evaluation of all entities: a period, or one side of a growth to date.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Codes = NDArray[np.int8]

# HUGEINT to DOUBLE by way of text, as that is rounded once; directly it is not always.
AS_DOUBLE = "CAST(CAST(x AS VARCHAR) AS DOUBLE)"


@dataclass(frozen=True, slots=True)
class Column:
    """Amounts in units of 10^-decimals, 0.0 where not present; both (slots, entities)."""

    x: Floats
    present: Bools


@dataclass(frozen=True, slots=True)
class Grid:
    """All columns of one evaluation; one that no cell contributes to is not among them."""

    slots: int
    entities: int
    columns: Mapping[str, Column]

    def column(self, name: str) -> Column:
        """The column of that name, empty where nothing contributes."""
        shape = self.slots, self.entities
        return self.columns.get(name) or Column(np.zeros(shape), np.zeros(shape, np.bool_))

    def any_present(self, names: Sequence[str]) -> Bools:
        """Where at least one of those columns is present."""
        found = np.zeros((self.slots, self.entities), np.bool_)
        for name in names:
            found = found | self.column(name).present
        return found


def fetch(con: duckdb.DuckDBPyConnection, query: str, slots: int, entities: int) -> Grid:
    """The grid of a query of rows (slot INT, entity INT, name of the column, x HUGEINT)."""
    rows = con.execute(f"""
        SELECT slot, entity, col, {AS_DOUBLE} AS x FROM ({query}) ORDER BY col""").fetchnumpy()
    names = dict(con.execute("SELECT col, name FROM col").fetchall())
    col, slot, entity, x = (np.asarray(rows[key]) for key in ("col", "slot", "entity", "x"))
    columns = {}
    starts = [] if len(col) == 0 else np.flatnonzero(np.diff(col, prepend=-1)).tolist()
    for start, end in itertools.pairwise([*starts, len(col)]):
        column = Column(np.zeros((slots, entities)), np.zeros((slots, entities), np.bool_))
        column.x[slot[start:end], entity[start:end]] = x[start:end]
        column.present[slot[start:end], entity[start:end]] = True
        columns[names[int(col[start])]] = column
    return Grid(slots, entities, columns)


def totals(amounts: Mapping[str, int]) -> Grid:
    """The grid of one slot and one entity: column -> amount."""
    return Grid(1, 1, {name: Column(np.array([[float(x)]]), np.array([[True]])) for name, x in amounts.items()})
