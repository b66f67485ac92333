"""Last step of a diff.

Statuses, updates, deltas and dirty tables of one period, as far as they differ from what is published.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.derived import Changes, places_to_measure
from index.diff import Diff, TableKey, delta_of
from index.sheet import Sheet, Status
from index.system import System
from index.updates import UpdateWriter
from index.work import NO_ROWS, Work, union


def publish_updates(system: System, writer: UpdateWriter, sheet: Sheet, work: Work, out: Diff) -> None:
    """Updates of the rows with new content or status, and the keys of those that are no more."""
    anywhere = work.turned or work.look_at_all
    rows = system.layout.all if anywhere else union([*work.content, sheet.force])
    if not len(rows):
        return
    before = sheet.status[rows]
    if sheet.is_open:
        status: NDArray[np.int8] = np.full(len(rows), Status.PROVISIONAL, np.int8)
    else:
        value_moved = np.isin(rows, work.value_moved, assume_unique=True)
        revised = (before == Status.REVISED) | ((before == Status.FINAL) & value_moved)
        status = np.where(revised, Status.REVISED, Status.FINAL).astype(np.int8)
    status[~sheet.present[rows]] = Status.NONE
    sheet.status[rows] = status
    gone = rows[(status == Status.NONE) & (before != Status.NONE)]
    out.removed += [f"{system.layout.codes[row]}/{sheet.name}" for row in gone.tolist()]
    if anywhere:
        rows = union([*work.content, sheet.force, rows[status != before]])
    sheet.force = NO_ROWS
    written = rows[sheet.status[rows] != Status.NONE]
    if len(written):
        out.updates += writer.write(sheet, written)


def publish_tables(system: System, sheet: Sheet, work: Work | None, changes: Changes, out: Diff) -> None:
    """Deltas of the tables in which a measure changed, and the tables that differ, those of the next period and of the
    next year by `change` and `change_year` too.

    Plain measures of the rows that moved; others of the rows that read something that changed.
    """
    rows = union(work.measured) if work is not None else NO_ROWS
    appeared = work is not None and work.appeared
    period = sheet.period
    earlier = any(ordinal <= period.ordinal for ordinal, _ in changes.get(period.grain, ()))
    derived = earlier and (sheet.exists or appeared)
    if not len(rows) and not derived:
        return
    following = [system.sheets.get(p) for p in (period.successor, period.year_after)]
    later = [one.name for one in following if one is not None and one.exists]
    for tables in sheet.tables:
        outline = tables.outline
        if outline.plain:
            places = outline.places_of(rows) if len(rows) else NO_ROWS
        else:
            places = places_to_measure(system, outline, period, changes) if derived else NO_ROWS
        if not len(places):
            continue
        moves, scopes = tables.update(places, *system.measure(sheet, outline, places))
        if appeared:
            scopes = outline.scopes_with_rows
        name = outline.ranking.name
        for scope in scopes:
            out.dirty[TableKey(name, sheet.name, outline.scopes[scope])] = None
        for move in moves:
            out.deltas.append(delta_of(outline, sheet.name, move))
            if move.ranked:
                for other in later:
                    out.dirty[TableKey(name, other, outline.scopes[move.scope])] = None
