"""The recomputation of a system from accepted events: integers in one in-memory DuckDB, doubles in columns of it.

The order of the steps is that of docs/formats.md sections 3 to 5. Cost: a tenth of a second for each 100,000 events a
cut, and a second or two a system of 351 cities, 12 periods and 100 nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np

from workers.verify.accept import Accepted
from workers.verify.amounts import cells_at, create, insert_events, insert_names, table
from workers.verify.catalogue import Catalogue
from workers.verify.definition import Definition
from workers.verify.grid import Bools, Grid, fetch, totals
from workers.verify.growth import days_to_date, is_open
from workers.verify.leaves import MERGED, NO_DATA
from workers.verify.mergers import merged
from workers.verify.nodes import Evaluated, World, evaluate
from workers.verify.numbers import KINDS, Maybe, Numbers
from workers.verify.periods import Period, parse_period
from workers.verify.ranks import Table, rankings
from workers.verify.report import TableKey
from workers.verify.system import amounts, base_amounts, entities, members
from workers.verify.times import Calendar
from workers.verify.to_date import to_date
from workers.verify.tree import ROOT

# Events handed to DuckDB at a time: 72 bytes each.
CHUNK_EVENTS = 200_000


@dataclass(frozen=True, slots=True)
class Value:
    """What `index-updates` should say of an entity in a period: one below which a cell lies. `nodes`: of all but the
    root; `growth`: measure -> (number or None, reason or None).
    """

    entity: str
    kind: str
    period: str
    open: bool
    days: int | None
    value: float | None
    coverage: float
    reason: str | None
    growth: dict[str, Maybe]
    nodes: dict[str, float | None]


class Batch:
    """Fill with `add`, then `names`, then ask. Not for several threads."""

    def __init__(self) -> None:
        """An empty database in memory."""
        self._con = duckdb.connect()
        create(self._con)
        self._cut: dict[int, int] | None = None  # of the tables cells_system and days_system

    def close(self) -> None:
        """Give the memory back."""
        self._con.close()

    def add(self, accepted: Accepted) -> None:
        """Take over (and empty) the rows gathered so far."""
        insert_events(self._con, accepted.rows)

    def names(self, accepted: Accepted) -> None:
        """The last rows, and what their numbers stand for."""
        self.add(accepted)
        insert_names(self._con, accepted)

    def cells(self, cut: Mapping[int, int]) -> Iterable[tuple[int, str, str, str]]:
        """(partition, row, field, text) as Redis should hold them at a cut (partition -> next offset)."""
        cells_at(self._con, "redis", cut)
        return self._all(_REDIS_CELLS)

    def days(self) -> Iterable[tuple[int, str, str, str]]:
        """The day cells of the cut that `cells` was asked for: (partition, row, field, text)."""
        return self._all(_REDIS_DAYS)

    def system(
        self, definition: Definition, catalogue: Catalogue, cut: Mapping[int, int], watermark: int | None
    ) -> System:
        """Recompute a system at a cut (partition -> next offset); `watermark` is the system's, in us."""
        if self._cut != dict(cut):
            cells_at(self._con, "system", cut)
            self._cut = dict(cut)
        amounts(self._con, "system", definition, catalogue)
        return _system(self._con, definition, catalogue, watermark)

    def _all(self, query: str) -> list[Any]:
        return self._con.execute(query).fetchall()


@dataclass(frozen=True, slots=True)
class System:
    """One system, recomputed. `held` (slots, entities): whether a cell lies below."""

    numbers: Numbers
    held: Bools

    def values(self) -> Iterator[Value]:
        """Every entity in every period with a cell below it."""
        numbers = self.numbers
        names = list(numbers.entities)
        for period, slot in numbers.slots.items():
            for entity in (names[i] for i in np.flatnonzero(self.held[slot])):
                growth = {kind: numbers.growth(entity, ROOT, period, kind) for kind in KINDS}
                growth["to_date"] = numbers.to_date[entity, period]
                yield Value(
                    entity,
                    numbers.kinds[entity],
                    period.name,
                    period in numbers.open,
                    None if growth["to_date"][0] is None else numbers.days[period],
                    numbers.v(entity, ROOT, period),
                    numbers.coverage(entity, period),
                    numbers.why(entity, ROOT, period),
                    growth,
                    numbers.nodes(entity, period),
                )

    def tables(self) -> dict[TableKey, Table]:
        """(ranking, period, scope) -> table, of those with a row or one left out."""
        return rankings(self.numbers)


def _system(
    con: duckdb.DuckDBPyConnection, definition: Definition, catalogue: Catalogue, watermark: int | None
) -> System:
    """From the tables of system.py."""
    kinds = dict(entities(catalogue, definition))
    number = {entity: i for i, entity in enumerate(kinds)}
    below = members(catalogue, kinds.items())
    slots = _slots(con, definition)
    is_base = np.array([kind == catalogue.base_kind for kind in kinds.values()], np.bool_)
    groups = {entity: cities for entity, cities in below.items() if kinds[entity] != catalogue.base_kind}
    world = World(
        definition,
        is_base,
        {number[group]: [number[city] for city in cities] for group, cities in groups.items()},
        {code: each.scale for code, each in catalogue.indicators.items()},
        totals(base_amounts(con, definition)),
    )
    query = "SELECT slot.id AS slot, entity, col, x FROM amount JOIN slot USING (period)"
    grid = fetch(con, query, len(slots), len(kinds))
    gone = np.zeros((len(slots), len(kinds)), np.bool_)
    for period, slot in slots.items():
        for code in catalogue.mergers:
            if code in number:
                gone[slot, number[code]] = merged(catalogue, definition.keep, code, period.name)
    evaluated = _evaluated(world, grid, gone)
    calendar = Calendar(catalogue.timezone)
    numbers = Numbers(
        definition,
        evaluated,
        slots,
        number,
        kinds,
        [entity for entity, kind in kinds.items() if kind == catalogue.base_kind],
        groups,
        frozenset(p for p in slots if is_open(p, calendar, watermark, definition.grace_s)),
        {},
        {p: days_to_date(p, calendar, watermark) for p in slots},
    )
    numbers.to_date = to_date(con, "system", world, numbers, gone)
    return System(numbers, grid.any_present(sorted(definition.columns)))


def _slots(con: duckdb.DuckDBPyConnection, definition: Definition) -> dict[Period, int]:
    """The periods of the system's grains to which any cell contributes; and the table `slot`(id, period)."""
    names = con.execute("SELECT DISTINCT period FROM amount JOIN col USING (col) WHERE counts").fetchall()
    periods = sorted(
        (period for (name,) in names if (period := parse_period(name)) and period.grain in definition.grains),
        key=lambda period: (period.grain, period.ordinal),
    )
    rows = list(enumerate(period.name for period in periods))
    table(con, "slot", {"id": "INT", "period": "VARCHAR"}, rows)
    return {period: i for i, period in enumerate(periods)}


def _evaluated(world: World, grid: Grid, gone: Bools) -> Evaluated:
    evaluated = evaluate(world, grid, gone)
    for values in evaluated.nodes.values():
        values.why[(values.why == NO_DATA) & gone] = MERGED
    return evaluated


_REDIS_CELLS = """
    SELECT partition, 'cells:' || period || ':' || city, indicator || '/' || industry,
           CASE WHEN flow THEN CAST(s AS VARCHAR)
                ELSE concat(coalesce(CAST(s AS VARCHAR), '-'), ' ', at_us, ' ', seq, ' ', source) END
    FROM cells_redis"""
_REDIS_DAYS = (
    "SELECT partition, 'days:' || month || ':' || city, indicator || '@' || date, CAST(s AS VARCHAR) FROM days_redis"
)
