"""Which places of a derived ranking a diff may have moved: what was read there changed, in one of the periods read.

A place reads its own row (the nodes of it), the members of that row if it is a group, and for some measures its parent
or the nation. Ranks among the rows of a table read all of them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from index.layout import Rows
from index.measures.table import Asks
from index.measures.view import earliest
from index.outline import Outline, Places
from index.periods import Grain, Period
from index.system import System
from index.work import NO_ROWS, Work, union

# (ordinal of a period, rows in which a value of theirs or of a member moved; None: all) by grain
Changes = dict[Grain, list[tuple[int, Rows | None]]]


def changes_of(system: System, plan: Mapping[Period, Work]) -> Changes:
    """The periods in which a value moved, or that opened, closed, came or went. Empty if no ranking asks."""
    changes: Changes = {}
    if all(outline.plain for outline in system.outlines.values()):
        return changes
    layout = system.layout
    for period, work in plan.items():
        if work.turned or work.appeared or work.look_at_all:
            changes.setdefault(period.grain, []).append((period.ordinal, None))
        elif len(work.moved):
            base = work.moved[: work.moved.searchsorted(layout.n_cities)].astype(np.int32)
            groups = layout.published([layout.spread(base)[1]]) if len(base) else NO_ROWS
            changes.setdefault(period.grain, []).append((period.ordinal, union([work.moved, groups])))
    return changes


def places_to_measure(system: System, outline: Outline, period: Period, changes: Changes) -> Places:
    """The places of a derived ranking in a period whose measure may differ now."""
    first = earliest(system, outline, period)
    found = [rows for ordinal, rows in changes.get(period.grain, ()) if first <= ordinal <= period.ordinal]
    if not found:
        return NO_ROWS
    touched = np.zeros(system.layout.size, np.bool_)  # the hidden last row stands for "none", too
    for rows in found:
        if rows is None or outline.whole:
            return outline.every
        touched[rows] = True
    if Asks.NATION in outline.asks and touched[outline.nation]:
        return outline.every
    chosen = touched[outline.row]
    if Asks.PARENT in outline.asks:
        chosen |= touched[outline.parent[outline.scope]]
    return np.flatnonzero(chosen)
