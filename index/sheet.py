"""What was last published of one period: values, growth, status and tables, by row.

A sheet is written only when something is published, so it is at once the present state and the reference that the next
difference is taken from: there is one copy of everything. About 230 bytes a row for 12 nodes, and 9 per place of a
ranking.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from index.growth import Kind
from index.layout import Rows
from index.outline import Outline
from index.periods import Period
from index.reasons import Reason
from index.tables import Tables


class Status(IntEnum):
    """Of a published value. NONE: nothing is published under this key."""

    NONE = 0
    PROVISIONAL = 1
    FINAL = 2
    REVISED = 3


STATUS_WORDS = ["", "provisional", "final", "revised"]
NO_DAYS = -1  # in place of n', where there is no growth to date


class Sheet:
    """One period.

    Arrays over all published rows; `values`, `why` [nodes, rows]; `growth`, `growth_why` [Kind, growth nodes, rows].
    """

    __slots__ = (
        "closes_us", "coverage", "days", "exists", "force", "growth", "growth_why", "is_open", "n_days", "name",
        "period", "present", "status", "tables", "values", "why",
    )  # fmt: skip

    def __init__(
        self, period: Period, closes_us: int, n_nodes: int, n_growing: int, n_rows: int, outlines: list[Outline]
    ) -> None:
        """Nothing published.

        `closes_us`: the watermark from which it is closed. `outlines`: of all rankings of its grain.
        """
        self.period = period
        self.name = period.name
        self.closes_us = closes_us
        self.exists = False  # whether any cell of the system lies below it
        self.is_open: bool | None = None  # None: not yet looked at
        self.n_days = NO_DAYS  # n' of the growth to date of all rows, as last computed
        self.values = np.full((n_nodes, n_rows), np.nan)
        self.why = np.full((n_nodes, n_rows), Reason.NO_DATA, np.int8)
        self.coverage = np.zeros(n_rows)
        self.growth = np.full((len(Kind), n_growing, n_rows), np.nan)
        self.growth_why = np.full((len(Kind), n_growing, n_rows), Reason.NO_VALUE, np.int8)
        self.present = np.zeros(n_rows, np.bool_)  # whether any cell lies below the row
        self.status = np.zeros(n_rows, np.int8)
        self.days = np.full(n_rows, NO_DAYS, np.int16)
        self.force: Rows = np.zeros(0, np.int64)  # rows published in another shape: to be published again in any case
        self.tables = [Tables(outline) for outline in outlines]


def bits_differ(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Elementwise: whether the bits differ. NaN (we have one only) equals itself, and -0.0 is not 0.0."""
    differs: NDArray[np.bool_] = a.view(np.int64) != b.view(np.int64)
    return differs
