"""The whole running state of one index system, for the worker: exact changes in, what must be published out.

    apply(changes)    adds integers to the cube and notes the rows that they touch
    watermark(us)     what opens, what closes, which days are complete
    diff()            evaluates what was touched and what depends on it, compares with what was published, and
                      counts the differences as published
    restore(updates)  takes over what a predecessor published, so that diff() gives only differences from that

A diff goes through `touch` (values), `grow` and `growtodate` (growth), `publish` (updates, ranks). After a failed
publish the state is not what is published: throw the board away and begin anew, with restore.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from index.catalogue import Catalogue
from index.changes import Changes
from index.definition import Definition
from index.derived import changes_of
from index.diff import Diff, TableKey, table_of
from index.grow import grow, restore_growth
from index.growtodate import grow_to_date
from index.periods import Period
from index.publish import publish_tables, publish_updates
from index.sheet import Status
from index.system import System
from index.touch import evaluate_touched, open_and_close, touched
from index.updates import UpdateWriter, get, read_update


class Board:
    """See the head of this file. One definition and one catalogue for its whole life."""

    def __init__(self, definition: Definition, catalogue: Catalogue) -> None:
        """Nothing known, nothing published, no watermark."""
        self.system = System(definition, catalogue)
        self._writer = UpdateWriter(self.system.layout, definition.tree.names)
        self._watermark_us: int | None = None
        self._restored = False  # the next diff looks at all rows
        self._removed: list[str] = []  # keys of restored updates that this definition or catalogue does not have

    def apply(self, changes: Changes) -> None:
        """Add differences. AmountOverflowError: a sum left the exact range; the board is then of no more use."""
        self.system.cube.apply(changes)

    def watermark(self, watermark_us: int | None) -> None:
        """The system's watermark, UTC microseconds (`index.watermark`).

        None: there is none. Counts from the next diff on.
        """
        self._watermark_us = watermark_us

    def restore(self, updates: Iterable[Any]) -> None:
        """Take over the updates last published (dicts, or objects with such attributes), before the first diff.

        Entities, periods or nodes that are no more are marked for removal or repetition. Tables then have the published
        ranks; why a row is left out is known again only after the next diff.
        """
        system, periods = self.system, dict[str, Period]()
        for update in updates:
            entity, name = get(update, "entity"), get(update, "period")
            if name not in periods:
                periods[name] = Period.parse(name)
            period, row = periods[name], system.layout.row_of.get(entity)
            if row is None or not system.supports(period):
                self._removed.append(f"{entity}/{name}")
                continue
            sheet = system.sheet(period)
            sheet.exists = sheet.present[row] = True
            if not read_update(update, sheet, row, system.definition.tree.number_of, system.layout.kinds[row]):
                sheet.force = np.append(sheet.force, row)
        for sheet in system.in_order:
            sheet.is_open = bool((sheet.status == Status.PROVISIONAL).any())
            restore_growth(system, sheet)
            for tables in sheet.tables:
                tables.values = system.measure(sheet, tables.outline, tables.outline.every).values
        self._restored = True

    def diff(self) -> Diff:
        """What differs from what was published; counts as published from here on. Nothing touched: an empty Diff."""
        everything, self._restored = self._restored, False
        system = self.system
        plan = touched(system, everything)
        evaluate_touched(system, plan)
        open_and_close(system, plan, self._watermark_us)
        grow(system, plan)
        grow_to_date(system, plan)
        out = Diff(removed=self._removed)
        self._removed = []
        changes = changes_of(system, plan)
        for sheet in system.in_order:
            work = plan.get(sheet.period)
            if work is not None:
                publish_updates(system, self._writer, sheet, work, out)
            publish_tables(system, sheet, work, changes, out)
        return out

    def table_keys(self) -> list[TableKey]:
        """All tables that exist, by period, ranking, scope; a scope without any row, in or left out, has none."""
        return [
            TableKey(tables.outline.ranking.name, sheet.name, tables.outline.scopes[scope])
            for sheet in self.system.in_order
            if sheet.exists
            for tables in sheet.tables
            for scope in tables.outline.scopes_with_rows
        ]

    def table(self, key: TableKey) -> dict[str, Any]:
        """The whole table as published: measure, node, rows and left_out columns. Empty for a period without cells.

        KeyError for a ranking or scope that is not of this system, ValueError for a wrong period name. O(n log n).
        """
        system = self.system
        outline = system.outlines[key.ranking]
        scope = outline.number_of[key.scope]
        period = Period.parse(key.period)
        sheet, ranking = system.sheets.get(period), outline.ranking
        tables = system.tables(sheet, ranking) if sheet is not None and sheet.exists else None
        before, year_ago = (system.tables(system.sheets.get(p), ranking) for p in (period.predecessor, period.year_ago))
        return table_of(outline, key.period, scope, tables, before, year_ago)
