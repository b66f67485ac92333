"""The recomputation of one system from accepted events: amounts, values, growths, ranks, all in one in-memory DuckDB.

The order of the steps is that of docs/formats.md sections 3 to 5. Cost: about a second for 351 cities and 12 periods,
whatever the number of events; a tenth of a second for each 100,000 events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from workers.verify.accept import Accepted
from workers.verify.amounts import amounts, cells_at, create, insert_events, insert_names
from workers.verify.catalogue import Catalogue
from workers.verify.definition import ROOT, Definition
from workers.verify.evaluate import base_amounts, evaluate
from workers.verify.growth import growths, period_table
from workers.verify.ranks import rankings
from workers.verify.times import Calendar

# Events handed to DuckDB at a time: 64 bytes each.
CHUNK_EVENTS = 200_000


@dataclass(frozen=True, slots=True)
class Value:
    """What `index-updates` should say of an entity in a period. `growth`: measure -> (number or None, reason or
    None).
    """

    entity: str
    period: str
    open: bool
    days: int | None
    value: float | None
    coverage: float
    reason: str | None
    growth: dict[str, tuple[float | None, str | None]]


@dataclass(slots=True)
class Table:
    """What a ranking table should hold: `rows` entity -> (rank, value, change), `left_out` entity -> reason."""

    rows: dict[str, tuple[int, float, int | None]]
    left_out: dict[str, str]


class Batch:
    """Fill with `add`, then `names`, then ask. Not for several threads."""

    def __init__(self) -> None:
        """An empty database in memory."""
        self._con = duckdb.connect()
        create(self._con)

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
    ) -> None:
        """Recompute a system at a cut (partition -> next offset); `watermark` is the system's, in us."""
        con = self._con
        cells_at(con, "system", cut)
        amounts(con, "system", definition, catalogue)
        bases = base_amounts(con, definition)
        grains = set(definition.grains)
        held = {name for (name,) in con.execute("SELECT DISTINCT period FROM amount").fetchall()}
        period_table(con, held, definition, Calendar(catalogue.timezone), watermark)
        listed = ", ".join(f"'{grain}'" for grain in sorted(grains))
        con.execute(f"DELETE FROM period WHERE grain NOT IN ({listed})")
        con.execute("CREATE OR REPLACE VIEW slot_amount AS SELECT period AS slot, entity, indicator, x FROM amount")
        evaluate(con, definition, bases, "(SELECT period AS slot FROM period)", "slot_amount", "scored")
        con.execute("CREATE OR REPLACE VIEW value AS SELECT slot AS period, * EXCLUDE (slot) FROM scored")
        growths(con, "system", definition, bases)
        rankings(con, definition)

    def values(self) -> Iterable[Value]:
        """Every entity in every period, once `system` is done."""
        for row in self._all(_VALUES):
            entity, period, is_open, n, value, coverage, reason = row[:7]
            pop, pop_why, yoy, yoy_why, mean, mean_why, to_date, to_date_why = row[7:]
            growth = {
                "pop": (pop, pop_why),
                "yoy": (yoy, yoy_why),
                "mean_yoy": (mean, mean_why),
                "to_date": (to_date, to_date_why),
            }
            yield Value(entity, period, is_open, None if to_date is None else n, value, coverage, reason, growth)

    def nodes(self) -> dict[tuple[str, str], dict[str, float | None]]:
        """(entity, period) -> node -> value, of every node but the root."""
        found: dict[tuple[str, str], dict[str, float | None]] = {}
        for entity, period, node, v in self._all(f"SELECT entity, period, node, v FROM value WHERE node <> '{ROOT}'"):
            found.setdefault((entity, period), {})[node] = v
        return found

    def tables(self) -> dict[tuple[str, str, str | None], Table]:
        """(ranking, period, scope) -> table, of those with a row or one left out."""
        found: dict[tuple[str, str, str | None], Table] = {}
        for ranking, period, scope, entity, v, rank, change in self._all("SELECT * FROM ranked"):
            found.setdefault((ranking, period, scope or None), Table({}, {})).rows[entity] = (rank, v, change)
        for ranking, period, scope, entity, reason in self._all("SELECT * FROM left_out"):
            found.setdefault((ranking, period, scope or None), Table({}, {})).left_out[entity] = reason
        return found

    def _all(self, query: str) -> list[Any]:
        return self._con.execute(query).fetchall()


_REDIS_CELLS = """
    SELECT partition, 'cells:' || period || ':' || city, indicator || '/' || industry,
           CASE WHEN flow THEN CAST(s AS VARCHAR) ELSE concat(s, ' ', at_us, ' ', seq, ' ', source) END
    FROM cells_redis"""
_REDIS_DAYS = (
    "SELECT partition, 'days:' || month || ':' || city, indicator || '@' || date, CAST(s AS VARCHAR) FROM days_redis"
)
_VALUES = f"""
    SELECT v.entity, v.period, p.open, p.n, v.v, v.coverage, v.reason, g.pop, g.pop_why, g.yoy, g.yoy_why,
           g.mean_yoy, g.mean_yoy_why, g.to_date, g.to_date_why
    FROM value v JOIN period p USING (period) JOIN growth g USING (period, entity, node)
    WHERE v.node = '{ROOT}'"""
