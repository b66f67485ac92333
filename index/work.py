"""What one diff has to do, and has found, in one period."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from index.layout import Rows

NO_ROWS: Rows = np.zeros(0, np.int64)


@dataclass(slots=True)
class Work:
    """Row arrays are ascending, each row once; lists of them are unions yet to be made."""

    evaluate: Rows = field(default_factory=lambda: NO_ROWS)  # values must be evaluated
    touched: Rows = field(
        default_factory=lambda: NO_ROWS
    )  # amounts or days changed: growth to date may, here and in the next
    moved: Rows = field(default_factory=lambda: NO_ROWS)  # the value of some node, or why it is missing, changed
    value_moved: Rows = field(default_factory=lambda: NO_ROWS)  # the root's value changed
    grow: list[Rows] = field(default_factory=list)  # growth between whole periods must be computed
    content: list[Rows] = field(default_factory=list)  # the update has new content
    measured: list[Rows] = field(default_factory=list)  # some measure changed
    turned: bool = False  # opened or closed
    appeared: bool = False  # the first cell came, or the last went
    look_at_all: bool = False  # after restore: statuses may differ anywhere


def union(rows: list[Rows]) -> Rows:
    """Rows that are in any of the arrays, ascending, each once."""
    different = list({id(r): r for r in rows if len(r)}.values())  # often the same array stands in a list twice
    if len(different) <= 1:
        return different[0] if different else NO_ROWS
    return np.unique(np.concatenate(different))
