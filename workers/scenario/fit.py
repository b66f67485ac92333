"""Iterative proportional fitting: a table with given row and column sums, as near as can be to a given pattern.

(Deming and Stephan, 1940.) Ratios of odds of the pattern survive, so what a city is strong in stays visible while every
city total and every national total is met.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Part(NamedTuple):
    """A further margin: the sum over `rows` x `columns` is `ratio` times the sum over `base_rows` x `base_columns`."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    base_rows: NDArray[np.int64]
    base_columns: NDArray[np.int64]
    ratio: float


def fit(pattern: Floats, rows: Floats, columns: Floats, rounds: int = 60, parts: Sequence[Part] = ()) -> Floats:
    """`pattern` (r, c), all positive, scaled to the sums `rows` (r) and `columns` (c), and to `parts`.

    The sums of `rows` and `columns` must agree to 1e-6 of their size (ValueError). Row sums are exact to rounding,
    column sums to about 1e-9 after the default rounds where pattern and margins differ by factors, not magnitudes.
    """
    total = float(rows.sum())
    if abs(total - float(columns.sum())) > 1e-6 * abs(total):
        raise ValueError(f"row sums {total} and column sums {float(columns.sum())} differ")
    table = np.array(pattern, dtype=np.float64)
    for _ in range(rounds):
        table *= columns / table.sum(axis=0)
        for part in parts:
            inside = np.ix_(part.rows, part.columns)
            base = table[np.ix_(part.base_rows, part.base_columns)].sum()
            table[inside] *= part.ratio * base / table[inside].sum()
        table *= (rows / table.sum(axis=1))[:, None]
    return table
