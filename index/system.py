"""The state of one index system: integers (cube), what is published (sheets), and what both follow from.

Between two diffs the sheets hold exactly what is published. What was not touched would evaluate to the same bits: a
value is a pure function of the integers of its row, of the base period's totals and, under relative normalisations, of
the scale that the period's base entities make; when a total or a scale moves, all rows are touched.
"""

from __future__ import annotations

from bisect import insort

import numpy as np

from index.catalogue import Catalogue
from index.cube import Cube, Page
from index.definition import Definition
from index.growth import Growth, Kind, share
from index.layout import Layout
from index.measures.table import MEASURES
from index.measures.view import View
from index.normalise import base_of, no_base
from index.outline import Outline, Places
from index.periods import Period
from index.populations import Populations
from index.rankings import Ranking
from index.reasons import Reason
from index.sheet import Sheet
from index.tables import Tables
from index.tree import ROOT

_GROWTH_OF_MEASURE = {"pop": Kind.POP, "yoy": Kind.YOY, "mean_yoy": Kind.MEAN_YOY, "to_date": Kind.TO_DATE}


class System:
    """`sheets`: by period; `in_order`: the same, sorted, so a predecessor stands before its successor. `growing`:
    numbers of the nodes whose growth is kept, the root first."""

    def __init__(self, definition: Definition, catalogue: Catalogue) -> None:
        """Nothing known, nothing published."""
        self.definition = definition
        self.catalogue = catalogue
        self.layout = Layout(catalogue, definition.groups, definition.mergers == "restate")
        self.cube = Cube(catalogue, definition.columns, definition.grains, self.layout)
        self.outlines = {
            r.name: Outline(r, self.layout, definition.nation, definition.tree, definition.grades)
            for r in definition.rankings
        }
        self.sheets: dict[Period, Sheet] = {}
        self.in_order: list[Sheet] = []
        growing = [ROOT] + [r.node for r in definition.rankings if r.plain and r.measure in _GROWTH_OF_MEASURE]
        self._growing_place = {name: place for place, name in enumerate(dict.fromkeys(growing))}
        self.growing = np.array([definition.tree.number_of[name] for name in self._growing_place])
        self.base = no_base(len(definition.leaves))
        self._populations: dict[Period, Populations] = {}

    def sheet(self, period: Period) -> Sheet:
        """The sheet of a period, empty if there was none."""
        sheet = self.sheets.get(period)
        if sheet is None:
            closes_us = self.catalogue.calendar.end_us(period) + self.definition.grace_s * 1_000_000
            outlines = [o for o in self.outlines.values() if period.grain in o.ranking.grains]
            n_nodes, n_growing = len(self.definition.tree.nodes), len(self.growing)
            sheet = self.sheets[period] = Sheet(period, closes_us, n_nodes, n_growing, self.layout.total, outlines)
            sheet.why[:, self.layout.merged(period)] = Reason.MERGED
            insort(self.in_order, sheet, key=lambda s: s.period)
        return sheet

    def supports(self, period: Period) -> bool:
        """Whether this system has such periods."""
        first, last = self.catalogue.years
        return period.grain in self.definition.grains and first <= period.year <= last

    def in_span(self, period: Period) -> bool:
        """Whether it has a mean of year-over-year growths: of the grain of `mean_yoy_from`, whole steps after it."""
        span = self.definition.mean_yoy_from
        if span is None or period.grain != span.grain or period.ordinal < span.ordinal:
            return False
        return (period.ordinal - span.ordinal) % self.span_step == 0

    @property
    def span_step(self) -> int:
        """Periods from one year-over-year growth of the mean to the next."""
        span = self.definition.mean_yoy_from
        return span.grain.per_year if span is not None and self.definition.mean_yoy_step == "year" else 1

    def take_base(self, page: Page) -> bool:
        """Take the base period's totals anew; whether the divisor of any leaf changed."""
        total = slice(self.layout.total, self.layout.size)
        before = self.base
        self.base = base_of(
            self.definition.leaves, self.definition.columns, page.amounts[:, total], page.cells[:, total] > 0
        )
        same = (self.base.usable == before.usable) & (self.base.amount == before.amount)
        return not same.all()

    def populations(self, period: Period) -> Populations:
        """What the relative leaves of a period compare with."""
        found = self._populations.get(period)
        if found is None:
            found = Populations(self.definition.leaves, self.definition.columns, self.layout.n_cities)
            self._populations[period] = found
        return found

    def measure(self, sheet: Sheet, outline: Outline, places: Places) -> Growth:
        """The measure of a ranking at some places, and why it is missing."""
        ranking, rows = outline.ranking, outline.row[places]
        if not ranking.plain:
            compute = MEASURES[ranking.measure].compute
            assert compute is not None  # only plain measures have none
            return compute(View(self, sheet, outline, places))
        node = self.definition.tree.number_of[ranking.node]
        if ranking.measure == "value":
            return Growth(sheet.values[node, rows], sheet.why[node, rows])
        if ranking.measure == "share":
            return share(sheet.values[node, rows], sheet.values[node, outline.parent[outline.scope[places]]])
        if ranking.measure == "growth":
            kind = Kind.TO_DATE if sheet.is_open else Kind.POP
        else:
            kind = _GROWTH_OF_MEASURE[ranking.measure]
        place = self._growing_place[ranking.node]
        return Growth(sheet.growth[kind, place, rows], sheet.growth_why[kind, place, rows])

    def tables(self, sheet: Sheet | None, ranking: Ranking) -> Tables | None:
        """The tables of a ranking in a period; None if it has none there."""
        if sheet is None:
            return None
        return next((t for t in sheet.tables if t.outline.ranking is ranking), None)
