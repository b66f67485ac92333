"""The whole running state of one index system: from exact changes to what must be published.

    apply(changes)    adds integers to the cube and notes the rows that they touch
    watermark(us)     opens, closes, counts complete days
    diff()            evaluates what was touched and what depends on it, compares with what was published, and marks it published
    restore(updates)  takes over what a predecessor published, so that diff() gives only differences from that

Invariant: between two diffs the sheets hold exactly what is published. What is not touched would evaluate to the same
bits, since a value is a pure function of integers of its row (and of the base period's totals, which touch every row
when they move). After a failed publish the state is not what is published: throw the board away and begin anew with
restore.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.catalogue import Catalogue
from index.changes import Changes
from index.cube import Cube, Page
from index.definition import Definition
from index.diff import Diff, TableKey, delta_of, table_of
from index.evaluate import Values, evaluate
from index.growth import Growth, Kind, mean, over, share
from index.layout import Layout, Rows
from index.normalise import Base
from index.periods import Period
from index.rankings import Ranking
from index.reasons import Reason
from index.sheet import NO_DAYS, Sheet, Status, bits_differ
from index.tables import Outline, Tables
from index.todate import ToDate, days_to_compare, growth_to_date, no_growth_to_date, to_date_of
from index.tree import ROOT
from index.updates import UpdateWriter, read_update
from index.work import NO_ROWS, Work, union

ITSELF, BEFORE = "itself", "before"  # which side of a growth to date the first days of a period are summed for
_GROWING = {"pop": Kind.POP, "yoy": Kind.YOY, "mean_yoy": Kind.MEAN_YOY, "to_date": Kind.TO_DATE}


class Board:
    """See the head of this file. One definition and one catalogue for its whole life."""

    def __init__(self, definition: Definition, catalogue: Catalogue) -> None:
        """Nothing known, nothing published, no watermark."""
        self.definition = definition
        self.catalogue = catalogue
        self.layout = Layout(catalogue, definition.groups)
        self.cube = Cube(catalogue, definition.tree.leaves, definition.grains, self.layout)
        self.sheets: dict[Period, Sheet] = {}
        self._sorted: list[Sheet] = []  # the same, by period: a predecessor stands before its successor
        nodes = definition.tree.number_of
        growing = dict.fromkeys([ROOT] + [r.node for r in definition.rankings if r.measure in _GROWING])
        self._growing = np.array([nodes[name] for name in growing])  # nodes whose growth is kept, root first
        self._growing_place = {name: place for place, name in enumerate(growing)}
        self._outlines = [Outline(r, self.layout, definition.nation) for r in definition.rankings]
        self._ranking_number = {r.name: i for i, r in enumerate(definition.rankings)}
        self._writer = UpdateWriter(self.layout, definition.tree.names)
        n_leaves = self.cube.n_leaves
        self._base = Base(np.zeros(n_leaves), np.zeros(n_leaves, np.bool_))
        self._watermark_us: int | None = None
        self._everything = False  # the next diff looks at all rows
        self._removed: list[str] = []  # keys of restored updates that this definition or catalogue does not have

    # --- what comes in ------------------------------------------------------------------------------------------------

    def apply(self, changes: Changes) -> None:
        """Add differences. AmountOverflowError: a sum left the exact range; the board is then of no more use."""
        self.cube.apply(changes)

    def watermark(self, watermark_us: int | None) -> None:
        """The system's watermark (see `index.watermark`), UTC microseconds.

        None: none yet. It takes effect with the next diff.
        """
        self._watermark_us = watermark_us

    def restore(self, updates: Iterable[Any]) -> None:
        """Take over the updates last published (dicts, or objects with such attributes), before the first diff.

        Entities, periods or nodes that are no more are marked for removal or repetition.
        """
        periods: dict[str, Period] = {}
        for update in updates:
            entity, name = (
                (update["entity"], update["period"]) if isinstance(update, dict) else (update.entity, update.period)
            )
            if name not in periods:
                periods[name] = Period.parse(name)
            period, row = periods[name], self.layout.row_of.get(entity)
            if row is None or not self._supports(period):
                self._removed.append(f"{entity}/{name}")
                continue
            sheet = self._sheet(period)
            sheet.exists = sheet.present[row] = True
            kind = self.layout.kinds[row]
            if not read_update(update, sheet, row, self.definition.tree.number_of, kind):
                sheet.force = np.append(sheet.force, row)
        self._everything = True
        for sheet in self._sorted:
            sheet.is_open = bool((sheet.status == Status.PROVISIONAL).any())
            self._restore_growth_of_nodes(sheet)
        for sheet in self._sorted:
            for tables in sheet.tables:
                places = np.arange(tables.outline.n)
                tables.values, _ = self._measure(sheet, tables.outline, places)

    # --- what goes out ------------------------------------------------------------------------------------------------

    def diff(self) -> Diff:
        """What differs from what was published; counts as published from here on. Nothing touched: an empty Diff."""
        everything, self._everything = self._everything, False
        work = self._touched(everything)
        self._evaluate(work)
        self._open_and_close(work)
        self._grow(work)
        self._grow_to_date(work)
        out = Diff(removed=self._removed)
        self._removed = []
        for sheet in self._sorted:
            todo = work.get(sheet.period)
            if todo is not None:
                self._publish_updates(sheet, todo, out)
                self._publish_tables(sheet, todo, out)
        return out

    def table_keys(self) -> list[TableKey]:
        """All tables that exist, by period, ranking, scope; a table without any row, in or out, does not."""
        return [
            TableKey(tables.outline.ranking.name, sheet.name, scope)
            for sheet in self._sorted
            if sheet.exists
            for tables in sheet.tables
            for number, scope in enumerate(tables.outline.scopes)
            if tables.outline.starts[number] < tables.outline.starts[number + 1]
        ]

    def table(self, key: TableKey) -> dict[str, Any]:
        """The whole table as published: measure, node, rows and left_out columns. Empty for a period without cells.

        KeyError for a ranking or scope that is not of this system, ValueError for a period without a name. O(n log n).
        """
        outline = self._outlines[self._ranking_number[key.ranking]]
        scope = outline.number_of[key.scope]
        period = Period.parse(key.period)
        sheet, before = self.sheets.get(period), self.sheets.get(period.predecessor)
        return table_of(
            outline,
            key.period,
            scope,
            self._tables(sheet, outline.ranking) if sheet is not None and sheet.exists else None,
            self._tables(before, outline.ranking) if before is not None else None,
        )

    # --- the steps of a diff --------------------------------------------------------------------------------------------

    def _touched(self, everything: bool) -> dict[Period, Work]:
        """Which rows of which sheets must be evaluated, from what the cube noted.

        A page that comes or goes touches all its rows.
        """
        work: dict[Period, Work] = {}
        pages = self.cube.pages
        base_page = pages.get(self.definition.base)
        restored = everything
        if base_page is not None and (everything or base_page.touched) and self._base_moved(base_page):
            everything = True
        if everything:
            for period in self.sheets:
                self.cube.page(period)  # also of a restored sheet that has no cell any more
        for period, page in pages.items():
            if not (everything or page.touched or page.touched_days):
                continue
            sheet = self._sheet(period)
            todo = work[period] = Work(look_at_all=restored)
            exists = bool(page.cells[:, self.layout.total].any())
            todo.appeared = exists != sheet.exists
            sheet.exists = exists
            if everything or todo.appeared:
                todo.evaluate = todo.touched = self.layout.all
            else:
                if page.touched:
                    todo.evaluate = self.layout.published(page.touched)
                todo.touched = self.layout.published(page.touched + page.touched_days)
            if todo.appeared:
                todo.grow.append(self.layout.all)
            if todo.appeared or restored:
                todo.measured.append(self.layout.all)
            page.touched.clear()
            page.touched_days.clear()
        return work

    def _base_moved(self, page: Page) -> bool:
        """Take the base period's totals anew; whether the divisor of any leaf changed."""
        amount = page.amounts[:, self.layout.total].astype(np.float64)
        usable = amount != 0  # without a cell it is 0, too
        before, self._base = self._base, Base(amount, usable)
        same = (usable == before.usable) & (~usable | (amount == before.amount))
        return not same.all()

    def _evaluate(self, work: dict[Period, Work]) -> None:
        """Values of all touched rows of all sheets, as columns of one evaluation."""
        todo = [(self.sheets[period], w, w.evaluate) for period, w in work.items() if len(w.evaluate)]
        if not todo:
            return
        pages = [self.cube.pages[sheet.period] for sheet, _, _ in todo]
        amounts = [page.amounts.take(rows, axis=1) for page, (_, _, rows) in zip(pages, todo, strict=True)]
        present = [page.cells.take(rows, axis=1) > 0 for page, (_, _, rows) in zip(pages, todo, strict=True)]
        new = evaluate(self.definition, np.concatenate(amounts, axis=1), np.concatenate(present, axis=1), self._base)
        end = 0
        for (sheet, here, rows), there in zip(todo, present, strict=True):
            start, end = end, end + len(rows)
            columns = Values(new.values[:, start:end], new.why[:, start:end], new.coverage[start:end])
            self._put_values(sheet, here, rows, columns, np.any(there, axis=0))

    def _put_values(self, sheet: Sheet, todo: Work, rows: Rows, new: Values, present: NDArray[np.bool_]) -> None:
        """Take over new values of some rows, and note what differs from before."""
        differs = bits_differ(new.values, sheet.values.take(rows, axis=1))
        value_differs = differs[0]
        any_differs = differs.any(axis=0)
        reason_differs = new.why != sheet.why.take(rows, axis=1)
        content = (
            any_differs | reason_differs[0] | (new.coverage != sheet.coverage[rows]) | (present != sheet.present[rows])
        )
        sheet.values[:, rows], sheet.why[:, rows], sheet.coverage[rows] = new.values, new.why, new.coverage
        sheet.present[rows] = present
        todo.value_moved = rows[value_differs]
        todo.moved = rows[any_differs | reason_differs.any(axis=0)]
        todo.content.append(rows[content])
        todo.measured.append(todo.moved)

    def _open_and_close(self, work: dict[Period, Work]) -> None:
        """Mark the sheets that the watermark opened or closed, and those with another number of complete days."""
        watermark = self._watermark_us
        incomplete = None if watermark is None else self.catalogue.calendar.days_ended_by(watermark)
        for period, sheet in self.sheets.items():
            is_open = watermark is None or watermark < sheet.closes_us
            n_days = days_to_compare(period, incomplete) if is_open else NO_DAYS
            if is_open == sheet.is_open and n_days == sheet.n_days:
                continue
            todo = work.setdefault(period, Work())
            todo.touched = self.layout.all
            if is_open != sheet.is_open:
                todo.turned = True
                todo.grow.append(self.layout.all)
                todo.measured.append(self.layout.all)
                if not is_open:
                    self.cube.days.drop(period, ITSELF)
                    self.cube.days.drop(period.predecessor, BEFORE)
            sheet.is_open, sheet.n_days = is_open, n_days

    def _grow(self, work: dict[Period, Work]) -> None:
        """Growth between whole periods, of the rows that moved in a period, in the one before, or in the year before.

        A year-over-year growth counts in every later mean of the span, so what moved is carried along the span.
        """
        for period, todo in list(work.items()):
            if len(todo.moved):
                for other in dict.fromkeys((period, period.successor, period.year_after)):
                    if other in self.sheets:
                        work.setdefault(other, Work()).grow.append(todo.moved)
        span = self.definition.mean_yoy_from
        carried: list[Rows] = []
        for sheet in self._sorted:
            period = sheet.period
            in_span = self._in_span(period)
            if span is not None and period == span:
                carried = []
            todo_or_none = work.get(period)
            rows = union(todo_or_none.grow) if todo_or_none is not None else NO_ROWS
            if not len(rows) and not (in_span and carried):
                continue
            todo = work.setdefault(period, Work())
            if len(rows):
                self._put_growth(sheet, Kind.POP, rows, self._growth_over(sheet, period.predecessor, rows), todo)
                moved = self._put_growth(sheet, Kind.YOY, rows, self._growth_over(sheet, period.year_ago, rows), todo)
                if in_span and len(moved):
                    carried.append(moved)
            rows = union([rows, *carried]) if in_span else rows
            self._put_growth(sheet, Kind.MEAN_YOY, rows, self._mean_growth(sheet, rows), todo)

    def _growth_over(self, sheet: Sheet, other: Period, rows: Rows) -> Growth:
        """Growth [growing nodes, rows] over another period."""
        before = self.sheets.get(other)
        places = np.ix_(self._growing, rows)
        return over(sheet.values[places], before.values[places] if before is not None else None, bool(sheet.is_open))

    def _in_span(self, period: Period) -> bool:
        span = self.definition.mean_yoy_from
        return span is not None and period.grain == span.grain and period.ordinal >= span.ordinal

    def _mean_growth(self, sheet: Sheet, rows: Rows) -> Growth:
        """Mean of the year-over-year growths [growing nodes, rows] of the span up to this period."""
        growths: list[NDArray[np.float64] | None] = []
        span = self.definition.mean_yoy_from
        if span is not None and self._in_span(sheet.period):
            for ordinal in range(span.ordinal, sheet.period.ordinal + 1):
                one = self.sheets.get(Period(span.grain, ordinal))
                growths.append(one.growth[Kind.YOY].take(rows, axis=1) if one is not None else None)
        return mean(growths, bool(sheet.is_open), (len(self._growing), len(rows)))

    def _put_growth(self, sheet: Sheet, kind: Kind, rows: Rows, new: Growth, todo: Work) -> Rows:
        """Take over growths [nodes, rows], the root's first; notes and returns the rows that differ."""
        n = len(new.values)
        differs = bits_differ(new.values, sheet.growth[kind, :n].take(rows, axis=1))
        differs |= new.why != sheet.growth_why[kind, :n].take(rows, axis=1)
        if not differs.any():
            return NO_ROWS
        sheet.growth[kind, :n, rows], sheet.growth_why[kind, :n, rows] = new.values.T, new.why.T
        moved = rows[differs.any(axis=0)]
        todo.content.append(rows[differs[0]])
        todo.measured.append(moved)
        return moved

    def _grow_to_date(self, work: dict[Period, Work]) -> None:
        """Growth to date of the root, of rows touched in the period or in its predecessor.

        All sheets in one evaluation.
        """
        asked: list[tuple[Sheet, Rows, ToDate, ToDate]] = []
        for sheet in self._sorted:
            here, before = work.get(sheet.period), work.get(sheet.period.predecessor)
            rows = union([r for w in (here, before) if w is not None for r in (w.touched, w.moved)])
            if not len(rows):
                continue
            page_before = self.cube.pages.get(sheet.period.predecessor)
            if sheet.is_open and sheet.n_days > 0 and page_before is not None:
                itself = self.cube.days.prefix(sheet.period, ITSELF, sheet.n_days)
                earlier = self.cube.days.prefix(sheet.period.predecessor, BEFORE, sheet.n_days)
                page, is_flow = self.cube.pages[sheet.period], self.cube.is_flow
                asked.append(
                    (
                        sheet,
                        rows,
                        to_date_of(page, itself, is_flow, rows),
                        to_date_of(page_before, earlier, is_flow, rows),
                    )
                )
            else:
                todo = work.setdefault(sheet.period, Work())
                self._put_to_date(
                    sheet, rows, no_growth_to_date(sheet.values[0, rows], bool(sheet.is_open), sheet.n_days), todo
                )
        if not asked:
            return
        amounts = np.concatenate([part.amounts for _, _, a, b in asked for part in (a, b)], axis=1)
        present = np.concatenate([part.present for _, _, a, b in asked for part in (a, b)], axis=1)
        values = evaluate(self.definition, amounts, present, self._base).values[0]
        end = 0
        for sheet, rows, itself_to_date, before_to_date in asked:
            start, middle, end = end, end + len(rows), end + 2 * len(rows)
            whole_before = self.sheets[sheet.period.predecessor].values[0, rows]
            undated = itself_to_date.undated | before_to_date.undated
            growth = growth_to_date(
                sheet.values[0, rows], whole_before, undated, values[start:middle], values[middle:end]
            )
            self._put_to_date(sheet, rows, growth, work.setdefault(sheet.period, Work()))

    def _put_to_date(self, sheet: Sheet, rows: Rows, new: Growth, todo: Work) -> None:
        """Take over growths to date [rows] of the root, and the days that they compare."""
        self._put_growth(sheet, Kind.TO_DATE, rows, Growth(new.values[None], new.why[None]), todo)
        days = np.where(new.why == Reason.NONE, sheet.n_days, NO_DAYS).astype(np.int16)
        differs = days != sheet.days[rows]
        if differs.any():
            sheet.days[rows] = days
            todo.content.append(rows[differs])

    def _publish_updates(self, sheet: Sheet, todo: Work, out: Diff) -> None:
        """Status of the rows with new content, their updates, and the keys of those that are no more."""
        if todo.turned or todo.look_at_all:
            rows = self.layout.all
        else:
            rows = union([*todo.content, sheet.force])
        if not len(rows):
            return
        old, present = sheet.status[rows], sheet.present[rows]
        if sheet.is_open:
            closed_status: NDArray[np.int8] | Status = Status.PROVISIONAL
        else:
            was_closed = old >= Status.FINAL
            revised = was_closed & ((old == Status.REVISED) | np.isin(rows, todo.value_moved, assume_unique=True))
            closed_status = np.where(revised, Status.REVISED, Status.FINAL).astype(np.int8)
        status = np.where(present, closed_status, Status.NONE).astype(np.int8)
        gone = rows[(status == Status.NONE) & (old != Status.NONE)]
        sheet.status[rows] = status
        if todo.turned or todo.look_at_all:
            rows = union([*todo.content, sheet.force, rows[status != old]])
        sheet.force = NO_ROWS
        written = rows[sheet.status[rows] != Status.NONE]
        out.removed += [f"{self.layout.codes[row]}/{sheet.name}" for row in gone.tolist()]
        if len(written):
            out.updates += self._writer.write(sheet, written)

    def _publish_tables(self, sheet: Sheet, todo: Work, out: Diff) -> None:
        """Deltas of the tables in which a measure changed, and which tables differ, also those of the next period by
        `change`.
        """
        rows = union(todo.measured)
        if not len(rows):
            return
        following = self.sheets.get(sheet.period.successor)
        for tables in sheet.tables:
            outline = tables.outline
            places = outline.places_of(rows)
            if not len(places):
                continue
            moves, scopes = tables.update(places, *self._measure(sheet, outline, places))
            name = outline.ranking.name
            if todo.appeared:
                scopes = np.flatnonzero(outline.starts[1:] > outline.starts[:-1]).tolist()
            for scope in scopes:
                out.dirty[TableKey(name, sheet.name, outline.scopes[scope])] = None
            for move in moves:
                out.deltas.append(delta_of(outline, sheet.name, move))
                if move.ranked and following is not None and following.exists:
                    out.dirty[TableKey(name, following.name, outline.scopes[move.scope])] = None

    # --- small parts ------------------------------------------------------------------------------------------------------

    def _measure(
        self, sheet: Sheet, outline: Outline, places: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
        """The measure of a ranking at some places, and why it is missing."""
        ranking, rows = outline.ranking, outline.row[places]
        node = self.definition.tree.number_of[ranking.node]
        if ranking.measure == "value":
            return sheet.values[node, rows], sheet.why[node, rows]
        if ranking.measure == "share":
            return share(sheet.values[node, rows], sheet.values[node, outline.parent[outline.scope[places]]])
        if ranking.measure == "growth":
            kind = Kind.TO_DATE if sheet.is_open else Kind.POP
        else:
            kind = _GROWING[ranking.measure]
        place = self._growing_place[ranking.node] if kind is not Kind.TO_DATE else 0
        return sheet.growth[kind, place, rows], sheet.growth_why[kind, place, rows]

    def _restore_growth_of_nodes(self, sheet: Sheet) -> None:
        """Growths of nodes other than the root follow from the values published; the updates do not hold them."""
        if len(self._growing) == 1:
            return
        rows, period = self.layout.all, sheet.period
        for kind, growth in (
            (Kind.POP, self._growth_over(sheet, period.predecessor, rows)),
            (Kind.YOY, self._growth_over(sheet, period.year_ago, rows)),
        ):
            sheet.growth[kind, 1:], sheet.growth_why[kind, 1:] = growth.values[1:], growth.why[1:]
        growth = self._mean_growth(sheet, rows)
        sheet.growth[Kind.MEAN_YOY, 1:], sheet.growth_why[Kind.MEAN_YOY, 1:] = growth.values[1:], growth.why[1:]

    def _supports(self, period: Period) -> bool:
        first, last = self.catalogue.years
        return period.grain in self.definition.grains and first <= period.year <= last

    def _sheet(self, period: Period) -> Sheet:
        """The sheet of a period, empty if there was none."""
        sheet = self.sheets.get(period)
        if sheet is None:
            closes_us = self.catalogue.calendar.end_us(period) + self.definition.grace_s * 1_000_000
            outlines = [o for o in self._outlines if period.grain in o.ranking.grains]
            sheet = Sheet(
                period, closes_us, len(self.definition.tree.nodes), len(self._growing), self.layout.total, outlines
            )
            self.sheets[period] = sheet
            insort(self._sorted, sheet, key=lambda s: s.period)
        return sheet

    @staticmethod
    def _tables(sheet: Sheet | None, ranking: Ranking) -> Tables | None:
        if sheet is None:
            return None
        return next((t for t in sheet.tables if t.outline.ranking is ranking), None)
