"""Events as columns, before they are written as JSON."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.scenario.frame import Ints

EPOCH = date(1970, 1, 1)
DAY_S = 86_400
# What a row is, for the counts of what was sent. CLOSING: the empty statement at the end that closes the last quarter.
NORMAL, LATE, CORRECTION, RESTATEMENT, CLOSING = range(5)
KINDS = ("event", "late", "correction", "restatement", "closing")


@dataclass
class Rows:
    """Columns of equal length. `at` and `emit` are local seconds since 1970 (event time, and when the source sends it);

    `what` is a position in `Scenario.whats`; `amount` is in units; `period` is -1 or the quarter that the event names.
    """

    city: Ints
    what: Ints
    source: Ints
    amount: Ints
    at: Ints
    emit: Ints
    period: Ints
    kind: Ints

    def __len__(self) -> int:
        return len(self.city)

    def take(self, which: NDArray[Any] | slice) -> Rows:
        """The rows at these positions, or of this mask or slice."""
        return Rows(**{field.name: getattr(self, field.name)[which] for field in fields(self)})

    def but(self, **columns: Ints) -> Rows:
        """The same rows with other columns."""
        return replace(self, **columns)

    @classmethod
    def empty(cls) -> Rows:
        """No rows."""
        return cls(**{field.name: np.zeros(0, np.int64) for field in fields(cls)})

    @staticmethod
    def join(parts: list[Rows]) -> Rows:
        """One after the other."""
        return Rows(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Rows)})
